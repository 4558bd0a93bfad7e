//! `banter check`: reports all diagnostics of a bot, with `--json` for programs.

use std::{path::Path, sync::Arc};

use banter_engine::{
    Engine,
    catalogue::loader,
    diagnostic::{Diagnostic, Diagnostics, Location, Severity},
    handlers::script::Scripting,
    host::NoHost,
};
use serde_json::json;

use super::{colour, print, runtime};
use crate::{
    failure::{CHECK_FAILED, Failure},
    progress::{BuildBar, Spinner},
};
use banter_server::{assembly, catalogs, config::Config};

pub struct CheckOptions {
    pub json: bool,
    /// Skip the checks that need the model.
    pub no_model: bool,
    /// Fail on warnings too.
    pub deny_warnings: bool,
}

/// Checks a bot and returns the exit code: 0 if it is good.
pub fn run(config: &Config, options: &CheckOptions) -> Result<u8, Failure> {
    let scripting = Arc::new(Scripting::new());
    let runtime = runtime(0)?;
    let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
    let mut diagnostics = Diagnostics::default();
    let bundle = catalogs::read(&config.bot, &mut diagnostics)?;
    let spinner = Spinner::new("loading the bot".to_owned());
    let catalogue = loader::load(&bundle, &scripting, &sandbox, &config.outside, &mut diagnostics);
    drop(spinner);
    for state in sandbox.states() {
        if let Some(note) = state.note {
            let location = Location { file: "bot.yaml".to_owned(), span: 0..0 };
            let diagnostic = Diagnostic::warning(location, format!("the plugin `{}` is suspended: {note}", state.name));
            diagnostics.push(diagnostic.hint(format!("test it with `banter plugin check {}`", state.name)));
        }
    }
    let intents = catalogue.as_ref().map(|catalogue| catalogue.intents.len());
    let examples = catalogue.as_ref().map(|c| c.intents.iter().map(|intent| intent.examples.len()).sum::<usize>());
    if let Some(catalogue) = catalogue.filter(|_| !options.no_model) {
        let encoders = Arc::new(assembly::encoders(&config.embedding, &config.data_dir));
        let engine = Engine::new(encoders, scripting, Arc::new(NoHost));
        warn_of_misplaced(catalogue, &engine, &config.data_dir.join("index"), &mut diagnostics)?;
    }
    let (errors, warnings) = (diagnostics.count(Severity::Error), diagnostics.count(Severity::Warning));
    let good = errors == 0 && (warnings == 0 || !options.deny_warnings);
    if options.json {
        let report = json!({
            "good": good, "errors": errors, "warnings": warnings, "intents": intents, "examples": examples,
            "faults": diagnostics.reports(),
        });
        print(format!("{report:#}"));
    } else {
        eprint!("{}", diagnostics.render(colour()));
        let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        let verdict = if good { "passed" } else { "failed" };
        print(format!(
            "{}: {verdict}, {}, {}",
            config.bot.display(),
            count(errors, "error"),
            count(warnings, "warning")
        ));
        if let (Some(intents), Some(examples)) = (intents, examples) {
            print(format!("{}, {}", count(intents, "intent"), count(examples, "example")));
        }
    }
    Ok(if good { 0 } else { CHECK_FAILED })
}

/// Warns of examples that the model places nearer to another intent than to their own.
fn warn_of_misplaced(
    catalogue: banter_engine::catalogue::Catalogue,
    engine: &Engine,
    folder: &Path,
    diagnostics: &mut Diagnostics,
) -> Result<(), Failure> {
    let bar = BuildBar::default();
    let (snapshot, _) = catalogs::build(catalogue, engine, Some(folder), &mut |stage| bar.show(stage))?;
    for found in snapshot.misplaced() {
        let message = format!(
            "the example \"{}\" is closer to the intent `{}` than to its own intent `{}`",
            found.text, found.other, found.intent
        );
        diagnostics.push(
            Diagnostic::warning(found.location, message)
                .hint("reword it, move it, or add more examples to both intents"),
        );
    }
    Ok(())
}
