//! One call of a script's handler: what it may use, and what it has done so far.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use serde_json::Value;

use super::{context::Context, plugin::Plugins};
use crate::{
    host::Host,
    policy::HttpPolicy,
    random::Random,
    template::Text,
    turn::{Event, Footprint},
};

/// Calls of `http_get` and of `kv_get` per handler run. Each call is limited, so their sum must be too.
const MAX_FETCHES: usize = 4;
const MAX_READS: usize = 64;
/// Calls of plugins per handler run.
const MAX_PLUGIN_CALLS: usize = 4;
/// Log lines per handler run; further lines are dropped.
const MAX_LINES: usize = 32;

/// Time limit of a call in milliseconds, without host functions: each of those has a limit of its own.
pub(super) const MAX_MILLIS: u64 = 250;
/// Operations of a handler run, at most.
const MAX_OPERATIONS: u64 = 300_000;
/// The deadline is checked once per this number of operations.
const CLOCK_EVERY: u64 = 16;

thread_local! {
    /// Deadline of the call on this thread. Rhai's progress callback has no access to the call itself.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Operations of that call so far. Rhai's own count begins anew in each callback of a native function: `map` would
    /// multiply it.
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Which part of its budget a call has used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UsedUp {
    Operations,
    Time,
}

impl fmt::Display for UsedUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operations => write!(f, "the script executed more than {MAX_OPERATIONS} operations"),
            Self::Time => write!(f, "the script ran longer than {MAX_MILLIS} ms"),
        }
    }
}

/// What a script may use of its bot.
#[derive(Clone, Debug, Default)]
pub struct Library {
    /// Texts by key.
    pub texts: Arc<BTreeMap<String, Text>>,
    /// Which URLs it may fetch, and the limits.
    pub http: Arc<HttpPolicy>,
    /// The plugins that it may call.
    pub plugins: Plugins,
}

/// The input of [`Scripting::call`](super::script::Scripting::call).
pub struct CallInput<'a> {
    /// Supplies texts and plugins.
    pub library: Library,
    /// The host: storage, HTTP and log.
    pub host: &'a Arc<dyn Host>,
    /// The script's `ctx`.
    pub context: Context,
    /// The turn's clock, in the bot's time zone.
    pub now: jiff::Zoned,
    /// The turn's random number generator; the call advances it.
    pub random: &'a mut Random,
    /// Values that this turn has stored so far; a successful call adds to them.
    pub kept: &'a mut BTreeMap<String, Value>,
    /// Failures during the call are added here, whether or not the script caught them.
    pub events: &'a mut Vec<Event>,
    /// What the call used is added here.
    pub footprint: &'a mut Footprint,
}

/// A call that runs. Script functions reach it as the call's tag, which must be shareable between threads; a call uses
/// one thread.
pub struct Call {
    pub(super) library: Library,
    pub(super) host: Arc<dyn Host>,
    pub(super) script: String,
    pub(super) now: jiff::Zoned,
    pub(super) context: Context,
    so_far: Mutex<SoFar>,
}

/// What a call has done so far.
pub(super) struct SoFar {
    pub random: Random,
    pub kept: BTreeMap<String, Value>,
    pub events: Vec<Event>,
    /// Fuel of the plugins that it called.
    pub fuel: u64,
    pub clock_read: bool,
    /// Lines that ran, if lines are traced.
    pub lines: BTreeSet<usize>,
    pub left: Left,
}

/// Remaining calls of host functions.
pub(super) struct Left {
    pub fetches: usize,
    pub reads: usize,
    pub plugins: usize,
    pub lines: usize,
}

impl Call {
    pub(super) fn begin(script: &str, input: &CallInput<'_>) -> Self {
        let left = Left { fetches: MAX_FETCHES, reads: MAX_READS, plugins: MAX_PLUGIN_CALLS, lines: MAX_LINES };
        let so_far = SoFar {
            random: input.random.clone(),
            kept: input.kept.clone(),
            events: Vec::new(),
            fuel: 0,
            clock_read: false,
            lines: BTreeSet::new(),
            left,
        };
        Self {
            library: input.library.clone(),
            host: Arc::clone(input.host),
            script: script.to_owned(),
            now: input.now.clone(),
            context: input.context.clone(),
            so_far: Mutex::new(so_far),
        }
    }

    /// What the call has done so far. The guard must not be held across a second call of this, nor of a host function.
    pub(super) fn so_far(&self) -> MutexGuard<'_, SoFar> {
        self.so_far.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one of a limited number of calls; false if none is left.
pub(super) fn take_one(left: &mut usize) -> bool {
    let some = *left > 0;
    *left = left.saturating_sub(1);
    some
}

/// Starts the deadline and the count of operations of the call on this thread.
pub(super) fn begin_deadline(deadline: Instant) {
    OPERATIONS.set(0);
    DEADLINE.set(Some(deadline));
}

pub(super) fn end_deadline() {
    DEADLINE.set(None);
}

/// Counts an operation of the call on this thread, wherever it happens: in the script, or in a callback of a native
/// function. Returns what is used up, if anything is.
pub(super) fn count_operation() -> Option<UsedUp> {
    let operations = OPERATIONS.get() + 1;
    OPERATIONS.set(operations);
    let is_late = || DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline);
    match operations {
        _ if operations > MAX_OPERATIONS => Some(UsedUp::Operations),
        _ if operations.is_multiple_of(CLOCK_EVERY) && is_late() => Some(UsedUp::Time),
        _ => None,
    }
}

/// Operations of the call on this thread.
pub(super) fn operations() -> u64 {
    OPERATIONS.get()
}

/// Runs a host function without counting its time against the script's limit.
pub(super) fn outside_deadline<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    DEADLINE.set(DEADLINE.get().map(|deadline| deadline + start.elapsed()));
    result
}
