//! Runs the binary in the project's folder with a separate data folder.

use std::{
    fs::DirBuilder,
    io::{BufRead, BufReader},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    sync::LazyLock,
};

/// The project's folder, where the demo bot and `.cache/` are.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Compiled code of the demo bot's plugins, made once. Each data folder starts with a copy.
static COMPILED: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("process");
    let output = plain(&folder).args(["check", "--no-model"]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    folder.join("plugins")
});

fn seed_compiled(data_dir: &Path) {
    let folder = data_dir.join("plugins");
    if folder.exists() {
        return;
    }
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
    for entry in std::fs::read_dir(&*COMPILED).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
}

/// Variables of `api.md`. With a developer's `DATABASE_HOST`, the tests would run on that database.
pub const CONTRACT: [&str; 12] = [
    "SECRET_KEY_JWT",
    "ALGORITHM",
    "HEALTH_SECRET_KEY",
    "ADDRESS_FRONT",
    "DATABASE_HOST",
    "DATABASE_PORT",
    "DATABASE_NAME",
    "DATABASE_USER",
    "DATABASE_PASSWORD",
    "API_KEY_AI",
    "GOOGLE_CLIENT_ID",
    "SECURE_HTTP_HTTPS",
];

/// The binary, without variables in its environment that configure it.
pub fn banter(data_dir: &Path) -> Command {
    seed_compiled(data_dir);
    plain(data_dir)
}

/// Like [`banter`], and leaves the data folder as it is.
pub fn plain(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banter"));
    command.current_dir(root()).env("NO_COLOR", "1");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BANTER_") || CONTRACT.contains(&&**name)) {
        command.env_remove(name);
    }
    command.env("BANTER_DATA_DIR", data_dir);
    command
}

/// A server as a child process; killed when dropped.
pub struct Running {
    pub child: Child,
    /// Kept open, as a terminal keeps it.
    _output: BufReader<ChildStdout>,
    pub address: String,
}

impl Running {
    /// Starts a server with these environment variables.
    pub fn start(data_dir: &Path, environment: &[(&str, &str)]) -> Self {
        // Fixtures and reloads have other tests; here the demo bot does not change.
        let quiet = [
            ("BANTER_LOG__FILTER", "off"),
            ("BANTER_RELOAD__REPLAY_AT_START", "false"),
            ("BANTER_RELOAD__WATCH", "false"),
        ];
        Self::start_as(banter(data_dir).args(["serve", "--port", "0"]).envs(quiet).envs(environment.iter().copied()))
    }

    /// Starts a server with this command.
    pub fn start_as(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        Self { address: address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned(), child, _output: output }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
