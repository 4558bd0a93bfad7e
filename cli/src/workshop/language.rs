//! The languages in which plugins can be written.

use std::path::Path;

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum PluginLanguage {
    /// Rust, for wasm32-wasip2.
    Rust,
    /// JavaScript, run by QuickJS.
    Js,
    /// Python, run by CPython.
    Python,
}

impl PluginLanguage {
    pub const ALL: [Self; 3] = [Self::Rust, Self::Js, Self::Python];

    /// The name on the command line and of the SDK's folder.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rust => "rust",
            Self::Js => "js",
            Self::Python => "python",
        }
    }

    /// The file that marks a plugin's folder as this language.
    pub fn marker(self) -> &'static str {
        match self {
            Self::Rust => "Cargo.toml",
            Self::Js => "plugin.js",
            Self::Python => "plugin.py",
        }
    }

    /// The language of a plugin's folder, by its marker file.
    pub fn of(folder: &Path) -> Option<Self> {
        Self::ALL.into_iter().find(|language| folder.join(language.marker()).is_file())
    }

    /// The command that runs a plugin's tests.
    pub fn test_command(self) -> &'static str {
        match self {
            Self::Rust => "cargo test",
            Self::Js => "node --test",
            Self::Python => "python3 -m unittest",
        }
    }
}
