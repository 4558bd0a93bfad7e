//! A compiled and linked plugin, and the steps of a call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use banter_engine::handlers::plugin::{FailureKind, Plugin, PluginCall, PluginFailure, PluginReply, PluginSpec};
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore},
    task::block_in_place,
    time::{Instant, timeout, timeout_at},
};
use wasmtime::{Engine, Store, Trap};

use crate::{
    background::Background,
    clock::GuestClock,
    contract::PluginPre,
    convert,
    host::GuestState,
    machine::{Machine, first_line},
    record::Record,
};

/// A call that runs longer than this continues in the background. Calls of a failing plugin start there.
const AT_FULL_SPEED: Duration = Duration::from_millis(3);

/// Factor by which a replayed call may run longer.
const PATIENCE: u32 = 40;

/// Limit on the bytes that a single transfer between host and guest may cost.
const MAX_TRANSFER: usize = 4 << 20;
/// Number of calls that may wait, for each call that may run.
const WAITING_PER_PLACE: usize = 2;

/// The result of a call: the reply and the store data.
type CallEnd = Result<(PluginReply, GuestState), PluginFailure>;

/// A plugin that is ready to be called.
pub struct Loaded {
    runtime: Handle,
    record: Arc<Record>,
    instances: Arc<Semaphore>,
    background: Arc<Background>,
    code: Arc<Code>,
    calls: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// What a call needs, on whichever thread it runs.
struct Code {
    spec: PluginSpec,
    engine: Engine,
    clock: Arc<GuestClock>,
    pre: PluginPre<GuestState>,
}

impl Loaded {
    pub fn new(
        spec: PluginSpec,
        machine: &Machine,
        pre: PluginPre<GuestState>,
        runtime: Handle,
        record: Arc<Record>,
    ) -> Self {
        Self {
            calls: Arc::new(Semaphore::new(spec.limits.parallel.max(1))),
            waiting: AtomicUsize::new(0),
            runtime,
            record,
            instances: machine.instances.clone(),
            background: machine.background.clone(),
            code: Arc::new(Code { spec, engine: machine.engine.clone(), clock: machine.clock.clone(), pre }),
        }
    }
}

impl Plugin for Loaded {
    fn name(&self) -> &str {
        &self.code.spec.name
    }

    fn reads_clock(&self) -> bool {
        self.code.spec.grants.clock
    }

    fn call(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        if call.replayed {
            return self.replay(call);
        }
        let result = match self.record.suspended() {
            Some(left) => Err(PluginFailure::new(
                FailureKind::Suspended,
                format!("it is suspended for {} ms after repeated failures", left.as_millis()),
            )),
            None => {
                let state = GuestState::new(&self.code.spec, &call);
                let request = convert::request(&self.code.spec, &call);
                self.wait(self.bounded(state, request))
            }
        };
        self.record.note(result.as_ref().map(drop));
        let (reply, state) = result?;
        *call.random = state.random;
        *call.kept = state.kept;
        Ok(reply)
    }
}

impl Loaded {
    /// Waits for a call. On a worker thread of a runtime, another thread takes over this thread's other tasks
    /// meanwhile.
    fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        block_in_place(|| self.runtime.block_on(work))
    }

    /// A replayed call. Fuel and memory limit it as always; the time limit is so long that they take effect first. It
    /// waits for an instance as long as necessary, and its result is not recorded.
    fn replay(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        let state = GuestState::new(&self.code.spec, &call);
        let request = convert::request(&self.code.spec, &call);
        let limit = Duration::from_millis(self.code.spec.limits.time_ms) * PATIENCE;
        let (reply, state) = self.wait(async {
            let late = |_| Err(PluginFailure::new(FailureKind::TimedOut, "it did not end in time"));
            let place = self.instances.clone().acquire_owned().await;
            let ended = timeout(limit, self.code.run(state, &request)).await.unwrap_or_else(late);
            drop(place);
            ended
        })?;
        *call.random = state.random;
        *call.kept = state.kept;
        Ok(reply)
    }

    /// A call for a user. It waits for a permit for at most half of its time, and only if few calls wait; further
    /// callers fail immediately, so that they delay nobody. It starts on the caller's thread; if it takes long, it
    /// continues in the background, at low priority.
    async fn bounded(&self, state: GuestState, request: convert::Request) -> CallEnd {
        let limit = Duration::from_millis(self.code.spec.limits.time_ms);
        let places = self.places(limit / 2).await?;
        let begun = Instant::now();
        let code = self.code.clone();
        let mut call = Box::pin(async move {
            let ended = code.run(state, &request).await;
            drop(places);
            ended
        });
        if !self.record.failing()
            && let Ok(ended) = timeout(limit.min(AT_FULL_SPEED), &mut call).await
        {
            return ended;
        }
        let mut rest = self.background.spawn(call);
        match timeout_at(begun + limit, &mut rest).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => Err(PluginFailure::new(FailureKind::Trapped, error.to_string())),
            Err(_) => {
                rest.abort();
                let message = format!("it ran longer than {} ms", limit.as_millis());
                Err(PluginFailure::new(FailureKind::TimedOut, message))
            }
        }
    }

    /// Acquires a permit of this plugin, and one shared by all plugins.
    async fn places(&self, patience: Duration) -> Result<[OwnedSemaphorePermit; 2], PluginFailure> {
        let busy = |message: String| Err(PluginFailure::new(FailureKind::Busy, message));
        let room = self.code.spec.limits.parallel.max(1) * WAITING_PER_PLACE;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = WaitingCall(&self.waiting);
        let wait = async { (self.calls.clone().acquire_owned().await, self.instances.clone().acquire_owned().await) };
        let told = match before < room || self.calls.available_permits() > 0 {
            true => timeout(patience, wait).await.ok(),
            false => None,
        };
        drop(waiting);
        match told {
            Some((Ok(one_of_its_own), Ok(one_of_all))) => Ok([one_of_its_own, one_of_all]),
            _ => busy(format!("too many concurrent calls: no instance was free within {} ms", patience.as_millis())),
        }
    }
}

/// Decrements the counter, however the wait ends.
struct WaitingCall<'a>(&'a AtomicUsize);

impl Drop for WaitingCall<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Code {
    async fn run(&self, state: GuestState, request: &convert::Request) -> CallEnd {
        let fuel = self.spec.limits.fuel;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.bounds);
        store.set_hostcall_fuel(MAX_TRANSFER);
        store.set_fuel(fuel).map_err(|error| PluginFailure::new(FailureKind::Trapped, first_line(&error)))?;
        // A long-running plugin yields at each tick, so that its time limit can take effect.
        store.epoch_deadline_async_yield_and_update(1);
        let _guest = self.clock.guest();
        let answer = async {
            let instance = self.pre.instantiate_async(&mut store).await?;
            instance.call_handle(&mut store, request).await
        }
        .await;
        let left = store.get_fuel().unwrap_or(0);
        let state = store.into_data();
        match answer {
            Err(error) => Err(classify(&error, &state)),
            Ok(Err(failure)) => Err(convert::failure(failure)),
            Ok(Ok(reply)) => {
                let mut reply =
                    convert::reply(reply).map_err(|message| PluginFailure::new(FailureKind::BadReply, message))?;
                reply.fuel = fuel.saturating_sub(left);
                Ok((reply, state))
            }
        }
    }
}

fn classify(error: &wasmtime::Error, state: &GuestState) -> PluginFailure {
    if let Some(what) = &state.not_granted {
        return PluginFailure::new(FailureKind::NotGranted, format!("bot.yaml does not grant it `{what}`"));
    }
    if let Some(what) = state.bounds.denied {
        return PluginFailure::new(FailureKind::OutOfMemory, format!("it asked for more {what} than allowed"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PluginFailure::new(FailureKind::OutOfFuel, "it used more fuel than allowed"),
        Some(trap) => PluginFailure::new(FailureKind::Trapped, trap.to_string()),
        None => PluginFailure::new(FailureKind::Trapped, first_line(error)),
    }
}
