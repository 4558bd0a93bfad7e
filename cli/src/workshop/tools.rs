//! The compilers of each language: found on this machine, or fetched by the language's own package client, pinned and
//! verified by hash.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use super::PluginLanguage;
use crate::failure::Failure;

/// The Rust compilation target.
pub const TARGET: &str = "wasm32-wasip2";

const JS_PACKAGE: &str = include_str!("../../../tools/plugins/js/package.json");
const JS_LOCK: &str = include_str!("../../../tools/plugins/js/package-lock.json");
const PYTHON_REQUIREMENTS: &str = include_str!("../../../tools/plugins/python/requirements.txt");

/// The version of a language's tools; built components depend on it.
pub fn version(language: PluginLanguage) -> &'static str {
    match language {
        PluginLanguage::Rust => TARGET,
        PluginLanguage::Js => JS_LOCK,
        PluginLanguage::Python => PYTHON_REQUIREMENTS,
    }
}

/// Why a language cannot be built on this machine, if a program is missing.
pub fn missing(language: PluginLanguage) -> Option<Failure> {
    let (program, hint) = match language {
        PluginLanguage::Rust => ("cargo", "install Rust with rustup"),
        PluginLanguage::Js => ("npm", "install Node.js 20 or newer with npm, on Debian: apt-get install nodejs npm"),
        PluginLanguage::Python => {
            ("python3", "install Python 3 with pip, on Debian: apt-get install python3 python3-pip")
        }
    };
    let language = language.name();
    match Command::new(program).arg("--version").output() {
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let first = said.lines().next().unwrap_or("it gives no reason");
            Some(Failure::usage(format!("{program} does not run, but plugins in {language} need it: {first}"), hint))
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            Some(Failure::usage(format!("{program} is not on the PATH, but plugins in {language} need it"), hint))
        }
        Err(error) => Some(Failure::usage(format!("{program} cannot be started: {error}"), hint)),
    }
}

/// Ensures that Rust can be compiled for WebAssembly.
pub fn rust() -> Result<(), Failure> {
    let library = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let there = library.is_ok_and(|output| Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir());
    if there {
        return Ok(());
    }
    let mut added = Command::new("rustup");
    added.args(["target", "add", TARGET]);
    run(
        &mut added,
        "cannot add the target wasm32-wasip2",
        "install Rust with rustup, then: rustup target add wasm32-wasip2",
    )
}

/// The program that builds components from JavaScript, fetched if needed.
pub fn js(tools: &Path) -> Result<PathBuf, Failure> {
    let folder = tools.join("js");
    fetch(&folder, JS_LOCK, |folder| {
        fs::write(folder.join("package.json"), JS_PACKAGE)
            .and_then(|()| fs::write(folder.join("package-lock.json"), JS_LOCK))
            .map_err(|error| unwritable(folder, &error))?;
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(folder);
        run(&mut npm, "cannot fetch componentize-qjs", "check that npm can reach its registry, then try again")
    })?;
    Ok(folder.join("node_modules/componentize-qjs/cli.mjs"))
}

/// The folder of the modules that build components from Python, fetched if needed.
pub fn python(tools: &Path) -> Result<PathBuf, Failure> {
    let folder = tools.join("python");
    fetch(&folder, PYTHON_REQUIREMENTS, |folder| {
        let requirements = folder.join("requirements.txt");
        fs::write(&requirements, PYTHON_REQUIREMENTS).map_err(|error| unwritable(folder, &error))?;
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes"])
            .args(["--only-binary", ":all:", "-d"])
            .arg(folder.join("wheels"))
            .arg("-r")
            .arg(&requirements);
        let hint = "check that pip is installed and can reach its package index, then try again";
        run(&mut pip, "cannot fetch componentize-py", hint)?;
        let wheels = fs::read_dir(folder.join("wheels")).map_err(|error| unwritable(folder, &error))?;
        for wheel in wheels {
            let wheel = wheel.map_err(|error| unwritable(folder, &error))?;
            let mut unpack = Command::new("python3");
            unpack.args(["-m", "zipfile", "-e"]).arg(wheel.path()).arg(folder.join("modules"));
            run(&mut unpack, "cannot unpack componentize-py", "check the free disk space")?;
        }
        Ok(())
    })?;
    Ok(folder.join("modules"))
}

/// Fetches into a folder, unless it already holds this version. A file lock makes concurrent processes wait.
fn fetch(folder: &Path, version: &str, work: impl FnOnce(&Path) -> Result<(), Failure>) -> Result<(), Failure> {
    let failed = |error: std::io::Error| unwritable(folder, &error);
    let parent = folder.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent).map_err(failed)?;
    let lock = File::create(folder.with_extension("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    let stamp = folder.join("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|kept| kept == version) {
        return Ok(());
    }
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    work(folder)?;
    fs::write(stamp, version).map_err(failed)
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(
        format!("cannot write to {}: {error}", folder.display()),
        "choose another folder with plugins.tools (BANTER_PLUGINS__TOOLS)",
    )
}

/// Runs a program. If it fails, the error contains its output.
pub fn run(command: &mut Command, what: &str, hint: &str) -> Result<(), Failure> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command
        .stdin(std::process::Stdio::null())
        .output()
        .map_err(|error| Failure::usage(format!("{what}: {program}: {error}"), hint))?;
    if output.status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let told = [text(&output.stdout), text(&output.stderr)].into_iter().filter(|part| !part.is_empty());
    let told = told.collect::<Vec<_>>().join("\n");
    Err(Failure::check(format!("{what}: {program} says:\n{told}"), hint))
}
