//! `banter schema`: prints the schemas with which editors complete and check a bot's files. The loader uses the same
//! schemas.

use std::{fs, path::Path};

use banter_engine::{
    catalogue::{
        shape::Shape,
        wire::{BotFile, IntentFile, TextsFile},
    },
    replay::wire::FixtureFile,
};
use serde_json::{Value, json};

use super::print;
use crate::failure::Failure;

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum SchemaKind {
    /// bot.yaml
    Bot,
    /// intents/*.yaml
    Intent,
    /// texts/*.yaml
    Texts,
    /// fixtures/*.yaml
    Fixture,
}

impl SchemaKind {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Bot, "bot"), (Self::Intent, "intent"), (Self::Texts, "texts"), (Self::Fixture, "fixture")];

    pub fn schema(self) -> Value {
        match self {
            Self::Bot => Shape::<BotFile>::new().schema().clone(),
            Self::Intent => Shape::<IntentFile>::new().schema().clone(),
            Self::Texts => Shape::<TextsFile>::new().schema().clone(),
            Self::Fixture => Shape::<FixtureFile>::new().schema().clone(),
        }
    }
}

pub fn run(kind: Option<SchemaKind>, out: Option<&Path>) -> Result<u8, Failure> {
    if let Some(folder) = out {
        let failed = |error: std::io::Error| {
            Failure::usage(format!("cannot write {}: {error}", folder.display()), "choose another folder with --out")
        };
        fs::create_dir_all(folder).map_err(failed)?;
        for (each, name) in SchemaKind::ALL.into_iter().filter(|(each, _)| kind.is_none_or(|kind| kind == *each)) {
            let path = folder.join(format!("{name}.schema.json"));
            fs::write(&path, format!("{:#}\n", each.schema())).map_err(failed)?;
            print(path.display());
        }
        return Ok(0);
    }
    match kind {
        Some(kind) => print(format!("{:#}", kind.schema())),
        None => {
            let all: serde_json::Map<String, Value> =
                SchemaKind::ALL.into_iter().map(|(kind, name)| (name.to_owned(), kind.schema())).collect();
            print(format!("{:#}", json!(all)));
        }
    }
    Ok(0)
}
