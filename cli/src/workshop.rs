//! Where authors make plugins: sources from a template, components from sources. Each language's tool is fetched when it is needed
//! for the first time, pinned and checked by hash.

pub mod build;
pub mod language;
pub mod template;
mod tools;

use std::path::{Path, PathBuf};

pub use language::Language;

/// The folder of a bot's plugins.
pub fn plugins_of(bot: &Path) -> PathBuf {
    bot.join("plugins")
}

/// Whether a plugin may have this name: it becomes a folder, a file, a package and a key of bot.yaml.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        && !["sdk", "wit", "target"].contains(&name)
}
