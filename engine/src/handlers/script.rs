//! Rhai scripts: compiled once with the catalogue, and run with limits on operations, depth, sizes and time.

mod compiled;

pub use compiled::Script;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    api::{self, value::Reply},
    call::{Call, CallInput, SoFar, begin_deadline, end_deadline, is_late, operations},
    effect::Effect,
    source::{CALL, KEYWORD_FUNCTIONS, KEYWORDS, RESERVED, blank_texts, line_of_function, references, span_of},
};
use crate::{
    diagnostic::{Diagnostic, Location, did_you_mean},
    turn::Footprint,
};
use rhai::{
    CallFnOptions, Dynamic, Engine, EvalAltResult, Scope,
    debugger::DebuggerCommand,
    module_resolvers::DummyModuleResolver,
    packages::{
        BasicArrayPackage, BasicMapPackage, BasicMathPackage, CorePackage, LogicPackage, MoreStringPackage, Package,
    },
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
/// The deadline is checked once per this number of operations.
const CLOCK_EVERY: u64 = 256;

/// The Rhai engine with the functions of [`api`]; all scripts share it.
pub struct Scripting {
    engine: Engine,
    limit: Duration,
    functions: BTreeSet<String>,
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

impl ScriptError {
    /// An error of which only the function is known.
    fn of_function(script: &Script, function: &str, message: &str) -> Self {
        Self { line: script.handlers.get(function).copied().unwrap_or(1), message: message.to_owned() }
    }
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
                let late = is_late(operations, operations % CLOCK_EVERY == 0);
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
                    call.so_far().lines.insert(line);
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
    pub fn compile(&self, path: &str, source: &str) -> Result<Script, Vec<Diagnostic>> {
        let ast = self.engine.compile(source).map_err(|error| {
            let location = Location { file: path.to_owned(), span: span_of(source, error.position()) };
            let diagnostic = Diagnostic::error(location, format!("the script does not compile: {}", error.err_type()));
            let span = diagnostic.location.span.clone();
            let word = source.get(span).unwrap_or_default();
            vec![match error.err_type() {
                rhai::ParseErrorType::VariableUndefined(name) => {
                    diagnostic.hint(format!("write `let {name} = …;` before it"))
                }
                _ if word == "import" => {
                    diagnostic.hint("imports are not supported: define all functions in this file")
                }
                _ if RESERVED.contains(&word) => {
                    diagnostic.hint(format!("`{word}` is a reserved word; use another name"))
                }
                _ => diagnostic.hint("look for a missing `;`, quote or bracket here or before"),
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
    fn unknown_calls(&self, path: &str, source: &str, own: &BTreeSet<&str>) -> Vec<Diagnostic> {
        let mut diagnostics = Vec::new();
        let plain = blank_texts(source);
        for call in CALL.captures_iter(&plain) {
            let Some(name) = call.get(1) else { continue };
            let word = name.as_str();
            if self.functions.contains(word) || own.contains(word) || KEYWORDS.contains(&word) {
                continue;
            }
            let location = Location { file: path.to_owned(), span: name.range() };
            let known = self.functions.iter().map(String::as_str).chain(own.iter().copied());
            let diagnostic = Diagnostic::error(location, format!("there is no function `{word}`"));
            diagnostics.push(match did_you_mean(word, known) {
                Some(meant) => diagnostic.hint(format!("did you mean `{meant}`?")),
                None => diagnostic.hint(format!("define it with `fn {word}(…) {{ … }}` in this file")),
            });
        }
        diagnostics
    }

    /// Calls a handler, which answers something.
    ///
    /// # Errors
    /// Any error of the script, with its line.
    pub fn call(&self, script: &Script, function: &str, input: CallInput<'_>) -> Result<Ran, ScriptError> {
        let ran = self.run(script, function, input)?;
        if ran.effects.is_empty() {
            return Err(ScriptError::of_function(script, function, "the handler returned an empty reply"));
        }
        Ok(ran)
    }

    /// Calls a function that refuses a slot's value: it says why, or nothing if the value is good.
    ///
    /// # Errors
    /// Any error of the script, with its line.
    pub fn check(&self, script: &Script, function: &str, input: CallInput<'_>) -> Result<Ran, ScriptError> {
        let ran = self.run(script, function, input)?;
        let says = |effect: &Effect| matches!(effect, Effect::Say { text, .. } if !text.trim().is_empty());
        if !ran.effects.iter().all(says) {
            return Err(ScriptError::of_function(script, function, "a check returns nothing, or what to say"));
        }
        Ok(ran)
    }

    fn run(&self, script: &Script, function: &str, input: CallInput<'_>) -> Result<Ran, ScriptError> {
        let call = Arc::new(Call::begin(&script.path, &input));
        let options = CallFnOptions::new().eval_ast(false).with_tag(Dynamic::from(Arc::clone(&call)));
        begin_deadline(Instant::now() + self.limit);
        let result = self.engine.call_fn_with_options::<Dynamic>(
            options,
            &mut Scope::new(),
            &script.ast,
            function,
            (input.context,),
        );
        end_deadline();
        let mut so_far = call.so_far();
        leave_footprint(&mut so_far, script, function, input.footprint);
        input.events.append(&mut so_far.events);
        *input.random = so_far.random.clone();
        let value = result.map_err(|error| {
            let error = script_error(&error);
            if error.line == 0 { ScriptError::of_function(script, function, &error.message) } else { error }
        })?;
        let reply = Reply::from_value(value).map_err(|message| ScriptError::of_function(script, function, &message))?;
        let effects = reply.into_effects();
        *input.kept = std::mem::take(&mut so_far.kept);
        Ok(Ran { effects, operations: operations(), fuel: so_far.fuel })
    }
}

fn leave_footprint(so_far: &mut SoFar, script: &Script, function: &str, footprint: &mut Footprint) {
    footprint.clock |= so_far.clock_read;
    let lines = std::mem::take(&mut so_far.lines);
    footprint.lines.extend(lines.into_iter().map(|line| (script.path.clone(), line)));
    footprint.functions.insert(format!("{} {function}", script.path));
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
