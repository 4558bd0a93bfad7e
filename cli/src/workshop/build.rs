//! `banter plugin build`: builds a component from a plugin's folder, and rebuilds it only when something has changed.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest, Sha256};

use super::{PluginLanguage, plugins_of, tools};
use crate::failure::Failure;

/// Folders among the sources that hold build output; they are not hashed.
const MADE: [&str; 4] = ["target", "node_modules", "__pycache__", ".git"];

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PluginSource {
    /// The name of the plugin and of its folder.
    pub name: String,
    pub language: PluginLanguage,
}

/// A built component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    pub path: PathBuf,
    /// The length in bytes.
    pub bytes: u64,
    /// Whether it was built now, rather than up to date already.
    pub fresh: bool,
}

/// The plugins of a bot that have sources, sorted by name.
///
/// # Errors
/// The folder cannot be read.
pub fn sources(bot: &Path) -> Result<Vec<PluginSource>, Failure> {
    let folder = plugins_of(bot);
    let unreadable = |error: io::Error| {
        Failure::usage(format!("cannot read {}: {error}", folder.display()), "choose the bot's folder with --bot DIR")
    };
    let mut found = Vec::new();
    match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(unreadable(error)),
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(unreadable)?;
                let name = entry.file_name().to_string_lossy().into_owned();
                if super::is_name(&name)
                    && let Some(language) = PluginLanguage::of(&entry.path())
                {
                    found.push(PluginSource { name, language });
                }
            }
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// Why this plugin cannot be built on this machine, if a program that its language needs is missing.
pub fn missing_tool(source: &PluginSource) -> Option<Failure> {
    tools::missing(source.language)
}

/// Builds a plugin into `plugins/NAME.wasm`, unless that file was built from the same sources.
///
/// # Errors
/// A tool is missing, or the sources do not compile.
pub fn build(bot: &Path, source: &PluginSource, tools: &Path) -> Result<Built, Failure> {
    let plugins = plugins_of(bot);
    let target = plugins.join(format!("{}.wasm", source.name));
    let failed = |error: io::Error| {
        Failure::usage(
            format!("cannot write {}: {error}", target.display()),
            "check the owner of the folder and the free disk space",
        )
    };
    let inputs = inputs(&plugins, source).map_err(failed)?;
    let stamp = stamp_path(&plugins, source, tools).map_err(failed)?;
    if let Ok(component) = fs::read(&target)
        && fs::read_to_string(&stamp).is_ok_and(|kept| kept == stamp_text(&inputs, &component))
    {
        return Ok(Built { path: target, bytes: component.len() as u64, fresh: false });
    }
    if let Some(failure) = tools::missing(source.language) {
        return Err(failure);
    }
    let made = plugins.join(format!(".{}.{}.wasm", source.name, std::process::id()));
    let result = compile(&plugins, source, tools, &made);
    let component = match result {
        Ok(()) => fs::read(&made).map_err(failed)?,
        Err(failure) => {
            // The file may not exist.
            let _ = fs::remove_file(&made);
            return Err(failure);
        }
    };
    fs::rename(&made, &target).map_err(failed)?;
    if let Some(folder) = stamp.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    // Compiling may have written a lock file, which is an input too.
    let inputs = self::inputs(&plugins, source).map_err(failed)?;
    fs::write(&stamp, stamp_text(&inputs, &component)).map_err(failed)?;
    Ok(Built { path: target, bytes: component.len() as u64, fresh: true })
}

fn compile(plugins: &Path, source: &PluginSource, tools: &Path, out: &Path) -> Result<(), Failure> {
    let folder = plugins.join(&source.name);
    let what = format!("the plugin `{}` does not compile", source.name);
    let hint = format!("fix it; test it with `{}` in {}", source.language.test_command(), folder.display());
    match source.language {
        PluginLanguage::Rust => {
            tools::rust()?;
            let made = cargo(&folder, tools, &what, &hint)?;
            fs::copy(&made, out).map(drop).map_err(|error| {
                Failure::check(
                    format!("{what}: {}: {error}", made.display()),
                    "in Cargo.toml, set the package name to the folder's name and the library's crate-type to cdylib",
                )
            })
        }
        PluginLanguage::Js => {
            let program = tools::js(tools)?;
            let mut command = Command::new("node");
            command.arg(program).arg("--sync");
            command.arg("--wit").arg(plugins.join("wit")).arg("--js").arg(folder.join("plugin.js"));
            command.arg("--module-root").arg(plugins).arg("-o").arg(out);
            tools::run(&mut command, &what, &hint)
        }
        PluginLanguage::Python => {
            let modules = tools::python(tools)?;
            let mut command = Command::new("python3");
            command.env("PYTHONPATH", modules).env("PYTHONDONTWRITEBYTECODE", "1");
            command.args(["-c", "import sys; from componentize_py import script; sys.exit(script())"]);
            command.arg("-q").arg("-d").arg(plugins.join("wit")).args(["-w", "plugin", "componentize"]);
            command.arg("-p").arg(&folder).arg("-p").arg(plugins.join("sdk/python"));
            command.arg("-o").arg(out).arg("banter_plugin.entry");
            tools::run(&mut command, &what, &hint)
        }
    }
}

/// Runs cargo, and returns the path of the component.
fn cargo(folder: &Path, tools: &Path, what: &str, hint: &str) -> Result<PathBuf, Failure> {
    let target = match std::env::var_os("CARGO_TARGET_DIR") {
        // Separate from other builds, because builds in one folder wait for each other.
        Some(folder) => PathBuf::from(folder).join("plugins"),
        None => tools.join("rust"),
    };
    let mut command = Command::new("cargo");
    command.args(["build", "--release", "--quiet", "--target", tools::TARGET, "--manifest-path"]);
    command.arg(folder.join("Cargo.toml")).arg("--target-dir").arg(&target);
    tools::run(&mut command, what, hint)?;
    let name = folder.file_name().unwrap_or_default().to_string_lossy().replace('-', "_");
    Ok(target.join(tools::TARGET).join("release").join(format!("{name}.wasm")))
}

/// A hash of everything that a component is built from.
fn inputs(plugins: &Path, source: &PluginSource) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(tools::version(source.language));
    for folder in [source.name.as_str(), &format!("sdk/{}", source.language.name()), "wit"] {
        hash_folder(&mut hash, &plugins.join(folder))?;
    }
    Ok(hex(&hash.finalize()))
}

fn hash_folder(hash: &mut Sha256, folder: &Path) -> io::Result<()> {
    let mut entries: Vec<_> = fs::read_dir(folder)?.collect::<io::Result<_>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if MADE.iter().any(|made| name == *made) {
            continue;
        }
        hash.update(name.as_encoded_bytes());
        hash.update([0, u8::from(kind.is_dir())]);
        if kind.is_dir() {
            hash_folder(hash, &entry.path())?;
        } else if kind.is_file() {
            let bytes = fs::read(entry.path())?;
            hash.update((bytes.len() as u64).to_le_bytes());
            hash.update(bytes);
        }
    }
    hash.update([1]);
    Ok(())
}

fn stamp_path(plugins: &Path, source: &PluginSource, tools: &Path) -> io::Result<PathBuf> {
    let whole = fs::canonicalize(plugins)?;
    let place = hex(&Sha256::digest(whole.as_os_str().as_encoded_bytes()));
    Ok(tools.join("built").join(format!("{}-{}", &place[..16], source.name)))
}

/// The stamp that records from which inputs a component was built.
fn stamp_text(inputs: &str, component: &[u8]) -> String {
    format!("{inputs} {}", hex(&Sha256::digest(component)))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
