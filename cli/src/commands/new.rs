//! `banter new`: creates a starter bot that passes `banter check`.

use std::{fs, io, path::Path};

use super::{print, schema::SchemaKind};
use crate::failure::Failure;

/// The files of the new bot; `{{name}}` is replaced with its name.
const FILES: [(&str, &str); 11] = [
    ("bot.yaml", include_str!("../../template/bot.yaml")),
    ("intents/hello.yaml", include_str!("../../template/intents/hello.yaml")),
    ("intents/bye.yaml", include_str!("../../template/intents/bye.yaml")),
    ("intents/book_table.yaml", include_str!("../../template/intents/book_table.yaml")),
    ("intents/stop.yaml", include_str!("../../template/intents/stop.yaml")),
    ("intents/thanks.yaml", include_str!("../../template/intents/thanks.yaml")),
    ("scripts/book_table.rhai", include_str!("../../template/scripts/book_table.rhai")),
    ("texts/booking.yaml", include_str!("../../template/texts/booking.yaml")),
    ("fixtures/book_table.yaml", include_str!("../../template/fixtures/book_table.yaml")),
    (".pre-commit-config.yaml", include_str!("../../template/pre-commit-config.yaml")),
    ("README.md", include_str!("../../template/README.md")),
];

pub fn run(folder: &Path) -> Result<u8, Failure> {
    let name = folder.file_name().and_then(|name| name.to_str()).filter(|name| is_name(name)).ok_or_else(|| {
        Failure::usage(
            format!("\"{}\" is not a valid bot name", folder.display()),
            "use 1 to 64 letters, digits, `-` and `_`, such as my-shop",
        )
    })?;
    if folder.exists() {
        return Err(Failure::usage(
            format!("{} already exists", folder.display()),
            "choose another name, or remove what is there",
        ));
    }
    write_all(folder, name).map_err(|error| {
        Failure::usage(
            format!("{} cannot be written: {error}", folder.display()),
            "choose a folder that you can write to",
        )
    })?;
    print(format!(
        "created {}; next:\n  banter check --bot {0}\n  banter replay --bot {0}\n  banter chat --bot {0}",
        folder.display()
    ));
    Ok(0)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && !name.starts_with('-')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
}

fn write_all(folder: &Path, name: &str) -> io::Result<()> {
    for (path, text) in FILES {
        write(&folder.join(path), &text.replace("{{name}}", name))?;
    }
    for (kind, file) in [
        (SchemaKind::Bot, "bot"),
        (SchemaKind::Intent, "intent"),
        (SchemaKind::Texts, "texts"),
        (SchemaKind::Fixture, "fixture"),
    ] {
        write(&folder.join(format!(".schemas/{file}.schema.json")), &format!("{:#}\n", kind.schema()))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::write(path, text)
}
