//! A plugin, compiled and linked, and the way of one call.

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
    time::{Instant, timeout, timeout_at},
};
use wasmtime::{Engine, Store, Trap};

use crate::{
    background::Background,
    clock::Clock,
    contract::PluginPre,
    convert,
    host::State,
    machine::{Machine, first_line},
    record::Record,
};

/// A call that runs for longer goes on in the background; one of a plugin that is failing begins there.
const AT_FULL_SPEED: Duration = Duration::from_millis(3);

/// So many times longer may a call take that is replayed.
const PATIENCE: u32 = 40;

/// Bytes that may cross the border in one transfer, however small they are on the other side.
const MAX_TRANSFER: usize = 4 << 20;
/// For each place so many calls may wait.
const WAITING_PER_PLACE: usize = 2;

/// What a call gives: the reply, and the state that it leaves.
type Ended = Result<(PluginReply, State), PluginFailure>;

/// A plugin, ready to be called.
pub struct Loaded {
    runtime: Handle,
    record: Arc<Record>,
    instances: Arc<Semaphore>,
    background: Arc<Background>,
    code: Arc<Code>,
    calls: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// What a call needs wherever it runs.
struct Code {
    spec: PluginSpec,
    engine: Engine,
    clock: Arc<Clock>,
    pre: PluginPre<State>,
}

impl Loaded {
    pub fn new(
        spec: PluginSpec,
        machine: &Machine,
        pre: PluginPre<State>,
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
                format!("it has failed too often and is left alone for {} ms", left.as_millis()),
            )),
            None => {
                let state = State::new(&self.code.spec, &call);
                let request = convert::request(&self.code.spec, &call);
                self.runtime.block_on(self.bounded(state, request))
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
    /// A call that fuel and memory bound as they do elsewhere, but with so much time that they do so first. It waits as long as it must for
    /// a place among all calls, and counts for nothing.
    fn replay(&self, call: PluginCall<'_>) -> Result<PluginReply, PluginFailure> {
        let state = State::new(&self.code.spec, &call);
        let request = convert::request(&self.code.spec, &call);
        let limit = Duration::from_millis(self.code.spec.limits.time_ms) * PATIENCE;
        let (reply, state) = self.runtime.block_on(async {
            let late = |_| Err(PluginFailure::new(FailureKind::TimedOut, "it does not end"));
            let place = self.instances.clone().acquire_owned().await;
            let ended = timeout(limit, self.code.run(state, &request)).await.unwrap_or_else(late);
            drop(place);
            ended
        })?;
        *call.random = state.random;
        *call.kept = state.kept;
        Ok(reply)
    }

    /// One call. It waits for a place for half of its time at the most, and only behind a few; who comes later is told at once, and holds
    /// nobody up. It begins on the caller's thread; if it takes long, it goes on in the background, where it runs when others do not.
    async fn bounded(&self, state: State, request: convert::Request) -> Ended {
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

    /// A place among this plugin's calls, and one among all.
    async fn places(&self, patience: Duration) -> Result<[OwnedSemaphorePermit; 2], PluginFailure> {
        let busy = |message: String| Err(PluginFailure::new(FailureKind::Busy, message));
        let room = self.code.spec.limits.parallel.max(1) * WAITING_PER_PLACE;
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let waiting = Waiting(&self.waiting);
        let wait = async { (self.calls.clone().acquire_owned().await, self.instances.clone().acquire_owned().await) };
        let told = match before < room || self.calls.available_permits() > 0 {
            true => timeout(patience, wait).await.ok(),
            false => None,
        };
        drop(waiting);
        match told {
            Some((Ok(one_of_its_own), Ok(one_of_all))) => Ok([one_of_its_own, one_of_all]),
            _ => busy(format!("too many calls at once: no place was free within {} ms", patience.as_millis())),
        }
    }
}

/// Counts down however the wait ends.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Code {
    async fn run(&self, state: State, request: &convert::Request) -> Ended {
        let fuel = self.spec.limits.fuel;
        let mut store = Store::new(&self.engine, state);
        store.limiter(|state| &mut state.bounds);
        store.set_hostcall_fuel(MAX_TRANSFER);
        store.set_fuel(fuel).map_err(|error| PluginFailure::new(FailureKind::Trapped, first_line(&error)))?;
        // A plugin that runs on gives way at each tick, so that its time can end.
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

fn classify(error: &wasmtime::Error, state: &State) -> PluginFailure {
    if let Some(what) = &state.not_granted {
        return PluginFailure::new(FailureKind::NotGranted, format!("bot.yaml does not grant it `{what}`"));
    }
    if let Some(what) = state.bounds.denied {
        return PluginFailure::new(FailureKind::OutOfMemory, format!("it wanted more {what} than it may have"));
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => PluginFailure::new(FailureKind::OutOfFuel, "it took more fuel than it may have"),
        Some(trap) => PluginFailure::new(FailureKind::Trapped, trap.to_string()),
        None => PluginFailure::new(FailureKind::Trapped, first_line(error)),
    }
}
