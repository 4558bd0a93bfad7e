//! The clock that interrupts guests. It stops while no guest runs, so that an idle server does no work.

use std::{
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use wasmtime::Engine;

/// The interval at which running guests are interrupted.
const TICK: Duration = Duration::from_millis(2);

/// Advances an engine's epoch while guests run. The thread ends with the clock.
pub struct GuestClock(Arc<Face>);

#[derive(Default)]
struct Face {
    state: Mutex<ClockState>,
    changed: Condvar,
}

#[derive(Default)]
struct ClockState {
    guests: usize,
    stopped: bool,
    /// Number of ticks so far.
    ticks: u64,
}

impl GuestClock {
    /// Starts the clock's thread.
    pub fn start(engine: &Engine) -> io::Result<Self> {
        let face = Arc::<Face>::default();
        let (seen, engine) = (face.clone(), engine.clone());
        thread::Builder::new().name("plugin-clock".to_owned()).spawn(move || seen.run(&engine))?;
        Ok(Self(face))
    }

    /// Keeps the clock ticking until the returned guard is dropped.
    pub fn guest(&self) -> Guest {
        let mut state = self.0.lock();
        state.guests += 1;
        if state.guests == 1 {
            self.0.changed.notify_one();
        }
        Guest(self.0.clone())
    }
}

impl Drop for GuestClock {
    fn drop(&mut self) {
        self.0.lock().stopped = true;
        self.0.changed.notify_one();
    }
}

/// A guard for a running guest.
pub struct Guest(Arc<Face>);

impl Drop for Guest {
    fn drop(&mut self) {
        self.0.lock().guests -= 1;
    }
}

impl Face {
    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, engine: &Engine) {
        let idle = |state: &mut ClockState| state.guests == 0 && !state.stopped;
        loop {
            let waited = self.changed.wait_while(self.lock(), idle);
            let mut state = waited.unwrap_or_else(PoisonError::into_inner);
            if state.stopped {
                return;
            }
            state.ticks += 1;
            drop(state);
            thread::sleep(TICK);
            engine.increment_epoch();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ticks_while_a_guest_runs() {
        let clock = GuestClock::start(&Engine::default()).unwrap();
        let ticks = || clock.0.lock().ticks;
        thread::sleep(TICK * 5);
        assert_eq!(ticks(), 0);
        let guest = clock.guest();
        while ticks() < 3 {
            thread::yield_now();
        }
        drop(guest);
        thread::sleep(TICK * 5);
        let stood = ticks();
        thread::sleep(TICK * 5);
        assert_eq!(ticks(), stood);
    }
}
