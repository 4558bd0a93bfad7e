//! The binary, run in the project's folder with a data folder of its own.

use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

/// The project's folder, where the demo bot and `.cache/` are.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The binary; its environment has no settings of ours.
pub fn banter(data_dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_banter"));
    command.current_dir(root()).env("NO_COLOR", "1");
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BANTER_")) {
        command.env_remove(name);
    }
    command.env("BANTER_DATA_DIR", data_dir);
    command
}

/// A server as a child process; killed when dropped.
pub struct Running {
    child: Child,
    /// Kept open, as a terminal would be.
    _output: BufReader<ChildStdout>,
    pub address: String,
}

impl Running {
    pub fn start(data_dir: &Path) -> Self {
        let mut child = banter(data_dir)
            .args(["serve", "--port", "0"])
            .env("BANTER_LOG__FILTER", "off")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        output.read_line(&mut line).unwrap();
        let address = line.split_whitespace().find(|word| word.starts_with("http://"));
        Self { address: address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned(), child, _output: output }
    }

    /// Kibibytes of memory in use.
    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Asks the server to stop (SIGTERM).
    pub fn terminate(&mut self) {
        let told = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(told.success());
    }

    /// The exit code, once it has stopped.
    pub fn exit_code(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
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

/// The JSON of a good answer.
pub fn post(address: &str, path: &str, token: &str, body: &Value) -> Option<Value> {
    let mut response = ureq::post(format!("{address}{path}"))
        .header("Authorization", format!("Bearer {token}"))
        .header("Content-Type", "application/json")
        .send(body.to_string())
        .ok()?;
    serde_json::from_str(&response.body_mut().read_to_string().ok()?).ok()
}

/// A user's access token.
pub fn log_in(address: &str, email: &str) -> Option<String> {
    let body = json!({ "email": email, "password": "tulip" });
    Some(post(address, "/auth/login", "", &body)?["access_token"].as_str()?.to_owned())
}
