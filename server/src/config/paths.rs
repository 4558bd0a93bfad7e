//! Relative paths. One in the configuration file is relative to that file, one from the environment or the command line
//! to the current folder. The program's own files, unless they are configured, are found beside the program: in a
//! repository under `.cache/`, after `make install` under `lib/banter/`.

use std::{
    env,
    path::{Path, PathBuf},
};

use figment::Figment;

use super::Config;

/// ONNX Runtime.
pub const LIBRARY: &str = "onnxruntime/libonnxruntime.so";
/// The folder of the encoders.
pub const ENCODERS: &str = "encoders";
/// The compilers of plugins.
pub const TOOLS: &str = "plugin-tools";
/// Where the program's own files may lie, seen from a folder above it.
const HOMES: [&str; 2] = [".cache", "lib/banter"];

/// Resolves the paths of a configuration by where each was set.
pub(super) fn resolve_paths(config: &mut Config, figment: &Figment) {
    let found = |key: &str| figment.find_metadata(key).and_then(|data| data.source.as_ref()?.file_path());
    let is_default =
        |key: &str| figment.find_metadata(key).is_none_or(|data| matches!(data.source, Some(figment::Source::Code(_))));
    let relative_to_file = |key: &str, path: &mut PathBuf| {
        if let Some(folder) = found(key).and_then(Path::parent) {
            *path = folder.join(&*path);
        }
    };
    relative_to_file("bot", &mut config.bot);
    relative_to_file("data_dir", &mut config.data_dir);
    relative_to_file("embedding.library", &mut config.embedding.library);
    relative_to_file("embedding.path", &mut config.embedding.path);
    relative_to_file("plugins.tools", &mut config.plugins.tools);
    if let Some(authorities) = &mut config.stores.redis_ca {
        relative_to_file("stores.redis_ca", authorities);
    }
    let program = env::current_exe().unwrap_or_default();
    let own = [
        ("embedding.library", LIBRARY, &mut config.embedding.library),
        ("embedding.path", ENCODERS, &mut config.embedding.path),
        ("plugins.tools", TOOLS, &mut config.plugins.tools),
    ];
    for (_, name, path) in own.into_iter().filter(|(key, ..)| is_default(key)) {
        *path = beside(&program, name);
    }
}

/// Finds one of the program's own files. If it is nowhere, the path where `make install` puts it.
fn beside(program: &Path, name: &str) -> PathBuf {
    let folders = program.ancestors().skip(1);
    let candidates = folders.flat_map(|folder| HOMES.map(|home| folder.join(home).join(name)));
    let installed = || program.parent().and_then(Path::parent).unwrap_or(Path::new("")).join(HOMES[1]).join(name);
    candidates.into_iter().find(|path| path.exists()).unwrap_or_else(installed)
}

#[cfg(test)]
mod tests {
    use figment::providers::{Format, Serialized, Toml};

    use super::*;

    /// Also where a path reads like the default.
    #[test]
    fn a_path_in_the_file_starts_from_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("Rocket.toml");
        std::fs::write(&file, "embedding.path = \"encoders\"\n").unwrap();
        let figment = Figment::from(Serialized::defaults(Config::default())).merge(Toml::file_exact(&file));
        let mut config: Config = figment.extract().unwrap();
        resolve_paths(&mut config, &figment);
        assert_eq!(config.embedding.path, folder.path().join(ENCODERS));
        assert_ne!(config.embedding.library, Path::new(LIBRARY), "a default is looked for beside the program");
    }

    #[test]
    fn own_files_are_found_beside_the_program() {
        let folder = tempfile::tempdir().unwrap();
        let check = |program: &str, made: &str| {
            let file = folder.path().join(made);
            std::fs::create_dir_all(&file).unwrap();
            assert_eq!(beside(&folder.path().join(program), ENCODERS), file, "{program}");
        };
        check("repository/target/release/banter", "repository/.cache/encoders");
        check("local/bin/banter", "local/lib/banter/encoders");
        let nowhere = folder.path().join("elsewhere/bin/banter");
        assert_eq!(beside(&nowhere, ENCODERS), folder.path().join("elsewhere/lib/banter/encoders"));
    }
}
