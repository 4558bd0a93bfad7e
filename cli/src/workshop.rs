//! The authors' tools for plugins: sources from a template, and components from sources. The tools of a language are
//! fetched when they are first needed, pinned and verified by hash.

pub mod build;
pub mod language;
pub mod template;
mod tools;

use std::path::{Path, PathBuf};

pub use language::PluginLanguage;

pub fn plugins_of(bot: &Path) -> PathBuf {
    bot.join("plugins")
}

/// Whether a plugin may have this name, which becomes a folder, a file, a package and a key in bot.yaml.
pub fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_'))
        && !["sdk", "wit", "target"].contains(&name)
}
