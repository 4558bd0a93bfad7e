//! `banter graph`: draws a bot's intents, forms, contexts and jumps.

use std::sync::Arc;

use banter_engine::{
    catalogue::{graph::Graph, loader},
    diagnostic::{Diagnostics, Severity},
    handlers::script::Scripting,
    policy::Ceiling,
};
use banter_server::{assembly, catalogs, config::Config};
use layout::{backends::svg::SVGWriter, gv};

use super::{colour, print, runtime};
use crate::failure::{CHECK_FAILED, Failure};

/// How the graph is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum GraphFormat {
    /// A flowchart of Mermaid, which GitHub and GitLab show.
    Mermaid,
    /// The language of Graphviz.
    Dot,
    /// A picture.
    Svg,
}

/// Prints the graph and returns the exit code: that of `banter check` if the bot has errors.
pub fn run(config: &Config, format: GraphFormat) -> Result<u8, Failure> {
    let scripting = Arc::new(Scripting::new());
    let runtime = runtime(0)?;
    let sandbox = assembly::observing_sandbox(config, runtime.handle().clone());
    let mut diagnostics = Diagnostics::default();
    let bundle = catalogs::read(&config.bot, &mut diagnostics)?;
    let catalogue = loader::load(&bundle, &scripting, &sandbox, &Ceiling::unlimited(), &mut diagnostics);
    let Some(catalogue) = catalogue.filter(|_| diagnostics.count(Severity::Error) == 0) else {
        eprint!("{}", diagnostics.render(colour()));
        return Ok(CHECK_FAILED);
    };
    let graph = Graph::of(&catalogue);
    print(match format {
        GraphFormat::Mermaid => graph.mermaid(),
        GraphFormat::Dot => graph.dot(),
        GraphFormat::Svg => svg(&graph.dot())?,
    });
    Ok(0)
}

fn svg(dot: &str) -> Result<String, Failure> {
    let mut parser = gv::DotParser::new(dot);
    let tree = parser.process().map_err(|error| {
        Failure::usage(
            format!("the graph cannot be drawn: {error}"),
            "write it with --format dot, and draw it with Graphviz",
        )
    })?;
    let mut builder = gv::GraphBuilder::new();
    builder.visit_graph(&tree);
    let mut picture = SVGWriter::new();
    builder.get().do_it(false, false, false, &mut picture);
    Ok(picture.finalize())
}
