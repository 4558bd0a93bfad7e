//! Rhai scripts: compiled once with the catalogue, and run with limits on operations, depth, sizes and time.

mod compiled;

pub use compiled::Script;

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use rhai::{
    CallFnOptions, Dynamic, Engine, EvalAltResult, Scope,
    debugger::DebuggerCommand,
    module_resolvers::DummyModuleResolver,
    packages::{
        BasicArrayPackage, BasicMapPackage, BasicMathPackage, CorePackage, LogicPackage, MoreStringPackage, Package,
    },
};
use serde_json::Value;

use super::{
    Effect,
    api::{self, Context, Reply},
    source::{CALL, KEYWORD_FUNCTIONS, KEYWORDS, RESERVED, blank_texts, line_of_function, references, span_of},
};
use crate::{
    catalogue::{
        Catalogue,
        fault::{Fault, Place, did_you_mean},
    },
    host::Host,
    language::Language,
    random::Random,
    turn::{Event, Footprint},
};

const MAX_OPERATIONS: u64 = 300_000;
const MAX_CALL_DEPTH: usize = 24;
const MAX_STRING: usize = 100_000;
const MAX_ARRAY: usize = 1_000;
const MAX_MAP: usize = 256;
/// Time limit of a call in milliseconds, without host functions: each of those has a limit of its own.
const MAX_MILLIS: u64 = 250;
/// Factor by which a replayed script may run longer.
const PATIENCE: u64 = 40;
/// Calls of `http_get` and of `kv_get` per handler run. Each call is limited, so their sum must be too.
const MAX_FETCHES: usize = 4;
const MAX_READS: usize = 64;
/// Calls of plugins per handler run.
const MAX_PLUGIN_CALLS: usize = 4;
/// Log lines per handler run; further lines are dropped.
const MAX_LINES: usize = 32;
/// The deadline is checked once per this number of operations.
const CLOCK_EVERY: u64 = 256;

thread_local! {
    /// Deadline of the call on this thread. Rhai's progress callback has no access to the call itself.
    static DEADLINE: Cell<Option<Instant>> = const { Cell::new(None) };
    /// Operations of that call so far.
    static OPERATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The Rhai engine with the functions of [`api`]; all scripts share it.
pub struct Scripting {
    engine: Engine,
    limit: Duration,
    functions: BTreeSet<String>,
}

/// The state of one handler call. Functions of [`api`] reach it as the call's tag.
pub struct Call {
    pub(super) catalogue: Arc<Catalogue>,
    pub(super) host: Arc<dyn Host>,
    pub(super) script: String,
    pub(super) language: Language,
    pub(super) user: i64,
    pub(super) now: jiff::Zoned,
    pub(super) slots: BTreeMap<String, Value>,
    /// Passed on to plugins that the script calls.
    pub(super) context: Context,
    pub(super) random: Mutex<Random>,
    pub(super) kept: Mutex<BTreeMap<String, Value>>,
    pub(super) events: Mutex<Vec<Event>>,
    /// Remaining calls of host functions.
    pub(super) fetches_left: AtomicUsize,
    pub(super) reads_left: AtomicUsize,
    pub(super) plugins_left: AtomicUsize,
    pub(super) lines_left: AtomicUsize,
    pub(super) fuel: AtomicU64,
    pub(super) clock_read: AtomicBool,
    /// Lines that ran, if lines are traced.
    pub(super) lines: Mutex<BTreeSet<usize>>,
}

/// The input of [`Scripting::call`].
pub struct CallInput<'a> {
    /// Supplies texts and plugins.
    pub catalogue: &'a Arc<Catalogue>,
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

/// The result of a call.
#[derive(Clone, Debug, PartialEq)]
pub struct Ran {
    /// Effects, in order.
    pub effects: Vec<Effect>,
    /// Number of operations that the script executed.
    pub operations: u64,
    /// Fuel that the plugins it called consumed.
    pub fuel: u64,
}

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScriptError {
    /// The line in the file, counted from 1; if only the handler is known, its first line.
    pub line: usize,
    /// The error message.
    pub message: String,
}

impl Default for Scripting {
    fn default() -> Self {
        Self::new()
    }
}

impl Scripting {
    /// An engine with limits and the script API, but without modules, files, clock, `eval` and `sleep`.
    pub fn new() -> Self {
        let mut engine = Engine::new_raw();
        CorePackage::new().register_into_engine(&mut engine);
        LogicPackage::new().register_into_engine(&mut engine);
        BasicMathPackage::new().register_into_engine(&mut engine);
        BasicArrayPackage::new().register_into_engine(&mut engine);
        BasicMapPackage::new().register_into_engine(&mut engine);
        MoreStringPackage::new().register_into_engine(&mut engine);
        engine
            .set_module_resolver(DummyModuleResolver::new())
            .disable_symbol("eval")
            .disable_symbol("import")
            .set_max_operations(MAX_OPERATIONS)
            .set_max_call_levels(MAX_CALL_DEPTH)
            .set_max_expr_depths(64, 48)
            .set_max_string_size(MAX_STRING)
            .set_max_array_size(MAX_ARRAY)
            .set_max_map_size(MAX_MAP)
            .set_max_modules(0)
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true)
            .on_progress(|operations| {
                OPERATIONS.set(operations);
                let late =
                    operations % CLOCK_EVERY == 0 && DEADLINE.get().is_some_and(|deadline| Instant::now() > deadline);
                late.then(|| Dynamic::from(format!("the script ran longer than {MAX_MILLIS} ms")))
            });
        api::register(&mut engine);
        let functions = engine
            .gen_fn_signatures(true)
            .iter()
            .filter_map(|signature| Some(signature.split_once('(')?.0.rsplit(' ').next()?.to_owned()))
            .chain(KEYWORD_FUNCTIONS.map(str::to_owned))
            .collect();
        Self { engine, functions, limit: Duration::from_millis(MAX_MILLIS) }
    }

    /// An engine for replays: in practice only the number of operations limits a script, so that results do not depend
    /// on the load of the machine.
    pub fn patient() -> Self {
        Self { limit: Duration::from_millis(MAX_MILLIS * PATIENCE), ..Self::new() }
    }

    /// [`Scripting::patient`] that also records which lines run.
    pub fn tracing() -> Self {
        let mut scripting = Self::patient();
        #[expect(deprecated, reason = "Rhai marks what may change; the version is pinned")]
        scripting.engine.register_debugger(
            |_, debugger| debugger,
            |context, _, _, _, position| {
                if let (Some(line), Some(call)) = (position.line(), context.tag().clone().try_cast::<Arc<Call>>()) {
                    call.lines.lock().unwrap_or_else(PoisonError::into_inner).insert(line);
                }
                Ok(DebuggerCommand::StepInto)
            },
        );
        scripting
    }

    /// Compiles a file.
    ///
    /// # Errors
    /// The first syntax error, or all calls of undefined functions.
    pub fn compile(&self, path: &str, source: &str) -> Result<Script, Vec<Fault>> {
        let ast = self.engine.compile(source).map_err(|error| {
            let place = Place { file: path.to_owned(), span: span_of(source, error.position()) };
            let fault = Fault::error(place, format!("the script does not compile: {}", error.err_type()));
            let span = fault.place.span.clone();
            let word = source.get(span).unwrap_or_default();
            vec![match error.err_type() {
                rhai::ParseErrorType::VariableUndefined(name) => {
                    fault.hint(format!("write `let {name} = …;` before it"))
                }
                _ if word == "import" => fault.hint("imports are not supported: define all functions in this file"),
                _ if RESERVED.contains(&word) => fault.hint(format!("`{word}` is a reserved word; use another name")),
                _ => fault.hint("look for a missing `;`, quote or bracket here or before"),
            }]
        })?;
        let own: BTreeSet<&str> = ast.iter_functions().map(|function| function.name).collect();
        let unknown = self.unknown_calls(path, source, &own);
        if !unknown.is_empty() {
            return Err(unknown);
        }
        let handlers = ast
            .iter_functions()
            .filter(|f| f.params.len() == 1)
            .map(|f| (f.name.to_owned(), line_of_function(source, f.name)))
            .collect();
        Ok(Script { path: path.to_owned(), handlers, references: references(path, source), ast })
    }

    /// Finds calls of undefined functions. Rhai itself reports them only when the call runs.
    fn unknown_calls(&self, path: &str, source: &str, own: &BTreeSet<&str>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let plain = blank_texts(source);
        for call in CALL.captures_iter(&plain) {
            let Some(name) = call.get(1) else { continue };
            let word = name.as_str();
            if self.functions.contains(word) || own.contains(word) || KEYWORDS.contains(&word) {
                continue;
            }
            let place = Place { file: path.to_owned(), span: name.range() };
            let known = self.functions.iter().map(String::as_str).chain(own.iter().copied());
            let fault = Fault::error(place, format!("there is no function `{word}`"));
            faults.push(match did_you_mean(word, known) {
                Some(meant) => fault.hint(format!("did you mean `{meant}`?")),
                None => fault.hint(format!("define it with `fn {word}(…) {{ … }}` in this file")),
            });
        }
        faults
    }

    /// Calls a handler.
    ///
    /// # Errors
    /// Any error of the script, with its line.
    pub fn call(&self, script: &Script, function: &str, input: CallInput<'_>) -> Result<Ran, ScriptError> {
        let call = Arc::new(Call {
            catalogue: Arc::clone(input.catalogue),
            host: Arc::clone(input.host),
            script: script.path.clone(),
            language: input.context.language.clone(),
            user: input.context.user,
            now: input.now,
            slots: input.context.slots.clone(),
            context: input.context.clone(),
            random: Mutex::new(input.random.clone()),
            kept: Mutex::new(input.kept.clone()),
            events: Mutex::default(),
            fetches_left: AtomicUsize::new(MAX_FETCHES),
            reads_left: AtomicUsize::new(MAX_READS),
            plugins_left: AtomicUsize::new(MAX_PLUGIN_CALLS),
            lines_left: AtomicUsize::new(MAX_LINES),
            fuel: AtomicU64::new(0),
            clock_read: AtomicBool::new(false),
            lines: Mutex::default(),
        });
        let options = CallFnOptions::new().eval_ast(false).with_tag(Dynamic::from(Arc::clone(&call)));
        OPERATIONS.set(0);
        DEADLINE.set(Some(Instant::now() + self.limit));
        let result = self.engine.call_fn_with_options::<Dynamic>(
            options,
            &mut Scope::new(),
            &script.ast,
            function,
            (input.context,),
        );
        DEADLINE.set(None);
        leave_footprint(&call, script, function, input.footprint);
        input.events.append(&mut call.events.lock().unwrap_or_else(PoisonError::into_inner));
        *input.random = call.random.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let located = |mut error: ScriptError| {
            if error.line == 0 {
                error.line = script.handlers.get(function).copied().unwrap_or(1);
            }
            error
        };
        let value = result.map_err(|error| located(script_error(&error)))?;
        let reply = Reply::from_value(value).map_err(|message| located(ScriptError { line: 0, message }))?;
        let effects = reply.into_effects();
        *input.kept = std::mem::take(&mut *call.kept.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Ran { effects, operations: OPERATIONS.get(), fuel: call.fuel.load(Ordering::Relaxed) })
    }
}

fn leave_footprint(call: &Call, script: &Script, function: &str, footprint: &mut Footprint) {
    footprint.clock |= call.clock_read.load(Ordering::Relaxed);
    let lines = std::mem::take(&mut *call.lines.lock().unwrap_or_else(PoisonError::into_inner));
    footprint.lines.extend(lines.into_iter().map(|line| (script.path.clone(), line)));
    footprint.functions.insert(format!("{} {function}", script.path));
}

/// Takes one of a limited number of calls; false if none is left.
pub(super) fn take_one(left: &AtomicUsize) -> bool {
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
}

/// Runs a host function without counting its time against the script's limit.
pub(super) fn outside_deadline<T>(work: impl FnOnce() -> T) -> T {
    let start = Instant::now();
    let result = work();
    DEADLINE.set(DEADLINE.get().map(|deadline| deadline + start.elapsed()));
    result
}

/// The innermost location inside the script, and the error there.
fn script_error(error: &EvalAltResult) -> ScriptError {
    let (position, message) = match error {
        EvalAltResult::ErrorInFunctionCall(_, _, inner, position) => {
            let inner = script_error(inner);
            if inner.line > 0 {
                return inner;
            }
            (*position, inner.message)
        }
        EvalAltResult::ErrorTerminated(reason, position) => (*position, reason.to_string()),
        EvalAltResult::ErrorRuntime(value, position) => (*position, value.to_string()),
        EvalAltResult::ErrorTooManyOperations(position) => {
            (*position, format!("the script executed more than {MAX_OPERATIONS} operations"))
        }
        other => {
            let mut bare = other.to_string();
            if let Some(at) = bare.rfind(" (line ") {
                bare.truncate(at);
            }
            (other.position(), bare)
        }
    };
    ScriptError { line: position.line().unwrap_or(0), message }
}
