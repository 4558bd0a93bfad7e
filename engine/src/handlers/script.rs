//! Rhai scripts: compiled once with the catalogue, and run with limits on operations, depth, sizes and time.

#[cfg(test)]
mod allocations;
mod compiled;

pub use compiled::Script;

use std::{
    collections::BTreeSet,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    api::{self, strings::MAX_STRING, value::Reply},
    call::{Call, CallInput, MAX_MILLIS, SoFar, begin_deadline, count_operation, end_deadline, operations},
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

const MAX_CALL_DEPTH: usize = 24;
const MAX_ARRAY: usize = 1_000;
const MAX_MAP: usize = 256;
/// Factor by which a replayed script may run longer.
const PATIENCE: u64 = 40;

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
            .set_max_call_levels(MAX_CALL_DEPTH)
            .set_max_expr_depths(64, 48)
            .set_max_string_size(MAX_STRING)
            .set_max_array_size(MAX_ARRAY)
            .set_max_map_size(MAX_MAP)
            .set_max_modules(0)
            .set_strict_variables(true)
            .set_fail_on_invalid_map_property(true)
            .on_progress(|_| count_operation().map(|used_up| Dynamic::from(used_up.to_string())));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A call of each native function that calls a function, over a thousand elements. Whatever the callback returns, the
    /// native function goes on.
    const CALLS: [(&str, &str); 18] = [
        ("all", "a.all(|x| slow() > 0)"),
        ("dedup", "a.dedup(|x, y| slow() < 0)"),
        ("drain", "a.drain(|x| slow() < 0)"),
        ("filter", "a.filter(|x| slow() > 0)"),
        ("find", "a.find(|x| slow() < 0)"),
        ("find_map", "a.find_map(|x| { slow(); () })"),
        ("for_each", "a.for_each(|| slow())"),
        ("index_of", "a.index_of(|x| slow() < 0)"),
        ("map", "a.map(|x| slow())"),
        ("order", "a.order(|x, y| slow() < 0)"),
        ("order_by", "a.order_by(|x, y| slow() < 0)"),
        ("reduce", "a.reduce(|sum, x| slow(), 0)"),
        ("reduce_rev", "a.reduce_rev(|sum, x| slow(), 0)"),
        ("retain", "a.retain(|x| slow() > 0)"),
        ("some", "a.some(|x| slow() < 0)"),
        ("sort", "a.sort(|x, y| slow() - 100)"),
        ("sort_by", "a.sort_by(|x, y| slow() - 100)"),
        ("zip", "a.zip(a, |x, y| slow())"),
    ];

    /// Native functions that only look at a function.
    const LOOKERS: [&str; 6] = ["call", "curry", "debug", "is_anonymous", "name", "to_debug"];

    fn scripts() -> impl Iterator<Item = (&'static str, String)> {
        let slow = "fn slow() { let n = 0; while n < 100 { n += 1; } n }\n";
        let nested =
            "let b = []; b.pad(1000, 1); let c = []; c.pad(1000, 1); a.map(|x| { b.map(|y| { c.map(|z| 1); 1 }); 1 })";
        let curried = "let f = |k, x| slow(); let g = f.curry(1); a.map(g)";
        CALLS.into_iter().chain([("nested", nested), ("curried", curried)]).map(move |(name, call)| {
            (name, format!("{slow}fn handle(ctx) {{ let a = []; a.pad(1000, 1); {call}; say(\"end\") }}"))
        })
    }

    /// Rhai counts the operations of a callback anew, so that `map` within `map` would run for ever.
    #[test]
    fn one_budget_covers_a_call_whatever_it_calls() {
        // Only the operations limit it, so that the load of the machine does not matter.
        let scripting = Scripting { limit: Duration::from_secs(3_600), ..Scripting::new() };
        for (name, source) in scripts() {
            let script =
                scripting.compile("scripts/a.rhai", &source).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
            begin_deadline(Instant::now() + scripting.limit);
            let ended = scripting.engine.call_fn::<Dynamic>(&mut Scope::new(), &script.ast, "handle", (1,));
            end_deadline();
            let error = script_error(&ended.expect_err(name));
            assert!(error.message.contains("300000 operations"), "{name}: {}", error.message);
            // `dedup` goes on after an error. Each further callback ends at its first operation.
            assert!(operations() <= 302_000, "{name}: {} operations", operations());
        }
    }

    #[test]
    fn callbacks_are_nested_only_so_deep() {
        let scripting = Scripting::new();
        let source = "fn deeper() { let a = [1]; a.map(|x| deeper()) }\nfn handle(ctx) { deeper() }";
        let script = scripting.compile("scripts/a.rhai", source).unwrap();
        begin_deadline(Instant::now() + Duration::from_secs(3_600));
        let ended = scripting.engine.call_fn::<Dynamic>(&mut Scope::new(), &script.ast, "handle", (1,));
        end_deadline();
        let error = script_error(&ended.unwrap_err());
        assert!(error.message.contains("Stack overflow"), "{}", error.message);
    }

    #[test]
    fn a_late_callback_ends() {
        let scripting = Scripting { limit: Duration::ZERO, ..Scripting::new() };
        for (name, source) in scripts() {
            let script =
                scripting.compile("scripts/a.rhai", &source).unwrap_or_else(|wrong| panic!("{name}: {wrong:?}"));
            begin_deadline(Instant::now());
            let ended = scripting.engine.call_fn::<Dynamic>(&mut Scope::new(), &script.ast, "handle", (1,));
            end_deadline();
            let error = script_error(&ended.expect_err(name));
            assert!(error.message.contains("longer than 250 ms"), "{name}: {}", error.message);
        }
    }

    #[test]
    fn all_functions_that_call_functions_are_tried() {
        let signatures = Scripting::new().engine.gen_fn_signatures(true);
        let higher: BTreeSet<&str> = signatures
            .iter()
            .filter(|signature| signature.contains(": Fn") || signature.contains("&mut Fn"))
            .filter_map(|signature| signature.split_once('(')?.0.rsplit(' ').next())
            .filter(|name| !LOOKERS.contains(name) && !name.contains('$'))
            .collect();
        assert_eq!(higher, CALLS.map(|(name, _)| name).into());
    }
}
