//! Lines that are written once the answer is on its way: writing one costs 30 to 50 µs with cold caches, and waking a thread for it, or
//! writing it on the core on which the client waits, costs the client as much. While there are messages at all, the thread that writes looks
//! for lines by itself; only the first after a second of silence wakes it.

use std::{
    cell::Cell,
    fmt, io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        OnceLock,
        mpsc::{self, Receiver, SyncSender, TryRecvError, TrySendError},
    },
    thread,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use tracing::Span;
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

/// Lines that may wait; who comes with one more writes it.
const QUEUE: usize = 4_096;
/// While there is something to write, the thread looks so often by itself, so that nobody needs to wake it.
const PAUSE: Duration = Duration::from_millis(10);
/// After so many pauses without a line it sleeps until there is one.
const IDLE_PAUSES: usize = 100;
/// A log that cannot be written for so long is given up when the process ends.
const FLUSH_TIME: Duration = Duration::from_secs(2);

static LATER: OnceLock<Later> = OnceLock::new();

thread_local! {
    /// When what is being written took place, where that is not now.
    static AT: Cell<Option<Timestamp>> = const { Cell::new(None) };
}

/// Writes down what a request has done when its answer does not have to wait for that any more. A process that is killed loses the lines
/// that wait: those of its last 10 ms, and under load up to 4,096.
pub fn log_later(lines: impl FnOnce() + Send + 'static) {
    let entry = Entry { at: Timestamp::now(), span: Span::current(), lines: Box::new(lines) };
    match LATER.get() {
        Some(later) => later.take(entry),
        None => entry.write(),
    }
}

/// Waits until all lines so far are written; false when the log does not take them within two seconds.
pub fn flush() -> bool {
    let Some(later) = LATER.get() else { return true };
    let until = Instant::now() + FLUSH_TIME;
    let (done, wait) = mpsc::channel();
    let tell = move || {
        // Who has given up waiting wants no answer.
        let _ = done.send(());
    };
    let mut last = Entry { at: Timestamp::now(), span: Span::none(), lines: Box::new(tell) };
    loop {
        match later.queue.try_send(last) {
            Ok(()) => return wait.recv_timeout(until.saturating_duration_since(Instant::now())).is_ok(),
            Err(TrySendError::Full(again)) if Instant::now() < until => {
                last = again;
                thread::sleep(PAUSE);
            }
            Err(_) => return false,
        }
    }
}

/// The thread's end of the queue that others see.
pub(super) struct Later {
    queue: SyncSender<Entry>,
}

impl Later {
    /// Starts the thread, if there is none yet.
    pub(super) fn start() -> io::Result<()> {
        let (queue, entries) = mpsc::sync_channel(QUEUE);
        // Of two, the second ends at once: nobody can send to it.
        thread::Builder::new().name("log".to_owned()).spawn(move || write_all(&entries))?;
        let _ = LATER.set(Self { queue });
        Ok(())
    }

    fn take(&self, entry: Entry) {
        if let Err(TrySendError::Full(entry) | TrySendError::Disconnected(entry)) = self.queue.try_send(entry) {
            entry.write();
        }
    }
}

fn write_all(entries: &Receiver<Entry>) {
    let mut idle = 0;
    loop {
        let next = if idle < IDLE_PAUSES {
            entries.try_recv()
        } else {
            entries.recv().map_err(|_| TryRecvError::Disconnected)
        };
        match next {
            Ok(entry) => {
                entry.write();
                idle = 0;
            }
            Err(TryRecvError::Empty) => {
                idle += 1;
                thread::sleep(PAUSE);
            }
            Err(TryRecvError::Disconnected) => return,
        }
    }
}

struct Entry {
    at: Timestamp,
    span: Span,
    lines: Box<dyn FnOnce() + Send>,
}

impl Entry {
    /// A line that cannot be written is lost, and nothing else with it.
    fn write(self) {
        AT.set(Some(self.at));
        let _ = catch_unwind(AssertUnwindSafe(|| self.span.in_scope(self.lines)));
        AT.set(None);
    }
}

/// The time of a line: when it took place, not when it is written.
pub(super) struct EventTime;

impl FormatTime for EventTime {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.6}", AT.get().unwrap_or_else(Timestamp::now))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[test]
    fn no_line_is_lost_and_each_keeps_its_time() {
        Later::start().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let before = Timestamp::now();
        for number in 0..QUEUE * 2 {
            let seen = Arc::clone(&seen);
            log_later(move || seen.lock().unwrap().push((number, AT.get().unwrap())));
        }
        let after = Timestamp::now();
        log_later(|| panic!("a log that is gone"));
        assert!(flush());
        let seen = seen.lock().unwrap();
        assert_eq!(seen.len(), QUEUE * 2);
        assert!(seen.iter().all(|(_, at)| (before..=after).contains(at)));
    }
}
