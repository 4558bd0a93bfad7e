//! A thread beside a turn that is the only one. It has the workers' other tasks looked after while the turn keeps one of them, and reads
//! the turn's text while the model's tokenizer uses one core.

use std::{
    future::ready,
    io,
    sync::{
        Arc, Weak,
        mpsc::{self, Receiver, SyncSender},
    },
    thread,
};

use banter_engine::reading::Reading;
use tokio::runtime::Handle;

/// A call is taken by a companion that waits for one, or not at all.
const CALLS: usize = 0;

/// The thread's end of the queue that turns see.
pub struct Companion {
    calls: SyncSender<Option<Weak<Reading>>>,
}

impl Companion {
    /// Starts the thread.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(runtime: Handle) -> io::Result<Self> {
        let (calls, called) = mpsc::sync_channel(CALLS);
        thread::Builder::new().name("companion".to_owned()).spawn(move || accompany(&runtime, &called))?;
        Ok(Self { calls })
    }

    /// Whether it comes along: a worker then looks after other tasks, so that this one may block; and a text is read.
    pub fn come(&self, text: Option<&Arc<Reading>>) -> bool {
        self.calls.try_send(text.map(Arc::downgrade)).is_ok()
    }
}

fn accompany(runtime: &Handle, called: &Receiver<Option<Weak<Reading>>>) {
    while let Ok(text) = called.recv() {
        // Of a task that comes from outside of the workers one of them is told, which then goes on to wait for the sockets.
        runtime.spawn(ready(()));
        // Of a turn that has ended meanwhile nothing is left to read.
        if let Some(reading) = text.and_then(|text| text.upgrade()) {
            reading.read();
        }
    }
}
