//! `banter plugin new`: writes the sources of a working plugin, with the SDK and the contract next to it.

use std::{fs, io, path::Path};

use super::PluginLanguage;

/// A path below `plugins/`, and the file's text.
type File = (&'static str, &'static str);

const CONTRACT: File = ("wit/plugin.wit", include_str!("../../../plugins/wit/plugin.wit"));

macro_rules! sdk {
    ($($path:literal),* $(,)?) => {
        &[$((concat!("sdk/", $path), include_str!(concat!("../../../plugins/sdk/", $path)))),*]
    };
}

macro_rules! starter {
    ($language:literal, $($path:literal),* $(,)?) => {
        &[$(($path, include_str!(concat!("../../template/plugins/", $language, "/", $path)))),*]
    };
}

const RUST_SDK: &[File] =
    sdk!["rust/Cargo.toml", "rust/src/lib.rs", "rust/macros/Cargo.toml", "rust/macros/src/lib.rs"];
const JS_SDK: &[File] = sdk![
    "js/package.json",
    "js/index.js",
    "js/index.d.ts",
    "js/host.js",
    "js/testing.js",
    "js/testing.d.ts",
    "js/testing/mock.js",
    "js/testing/clock.js",
    "js/testing/dialogue.js",
    "js/testing/http.js",
    "js/testing/kv.js",
    "js/testing/log.js",
    "js/testing/random.js",
];
const PYTHON_SDK: &[File] = sdk![
    "python/pyproject.toml",
    "python/banter_plugin/__init__.py",
    "python/banter_plugin/entry.py",
    "python/banter_plugin/host.py",
    "python/banter_plugin/mock.py",
];

const RUST: &[File] = starter!["rust", "Cargo.toml", "src/lib.rs"];
const JS: &[File] = starter!["js", "package.json", "plugin.js", "plugin.test.js"];
const PYTHON: &[File] = starter!["python", "plugin.py", "test_plugin.py"];

/// Writes a new plugin's sources below `plugins`. Existing files of the SDK and the contract are kept.
///
/// # Errors
/// A file cannot be written.
pub fn write(plugins: &Path, name: &str, language: PluginLanguage) -> io::Result<()> {
    let (sdk, starter) = match language {
        PluginLanguage::Rust => (RUST_SDK, RUST),
        PluginLanguage::Js => (JS_SDK, JS),
        PluginLanguage::Python => (PYTHON_SDK, PYTHON),
    };
    for (path, text) in sdk.iter().chain([&CONTRACT]) {
        let path = plugins.join(path);
        if !path.exists() {
            write_file(&path, text)?;
        }
    }
    for (path, text) in starter {
        write_file(&plugins.join(name).join(path), &text.replace("{{name}}", name))?;
    }
    Ok(())
}

fn write_file(path: &Path, text: &str) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(path, text)
}
