//! Runs the server binary as a child process, on a free port, with its own data folder.

use std::{
    fs::File,
    io,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{fail, http::Connection, memory, root};

/// Other servers train before they listen.
const LISTENS_WITHIN: Duration = Duration::from_mins(10);

/// A running server; killed on drop.
pub struct Server {
    child: Child,
    log: PathBuf,
    /// The port where it listens.
    pub port: u16,
}

impl Server {
    /// Starts the server binary of this build with the demo bot. Writes the log to the data folder.
    pub fn start(data_dir: &Path) -> Self {
        Self::start_with(data_dir, &[])
    }

    /// Like [`Self::start`], with additional environment variables; `BANTER_BOT` selects another bot.
    pub fn start_with(data_dir: &Path, environment: &[(String, String)]) -> Self {
        let binary = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join("banter")));
        let binary = binary.filter(|path| path.exists()).unwrap_or_else(|| fail("build the server first: make run"));
        Self::start_binary(&binary, data_dir, environment)
    }

    /// Like [`Self::start_with`], with another build of the server.
    pub fn start_binary(binary: &Path, data_dir: &Path, environment: &[(String, String)]) -> Self {
        let mut command = Command::new(binary);
        command
            .current_dir(root())
            .args(["serve", "--data-dir"])
            .arg(data_dir)
            .env("BANTER_AUTH__LOGINS_PER_ADDRESS", "100000")
            .env("BANTER_AUTH__LOGINS_PER_EMAIL", "100000")
            .env("BANTER_LIMITS__MESSAGES_PER_MINUTE", "0")
            .env("BANTER_LIMITS__MESSAGES_PER_DAY", "0")
            .env("BANTER_CHANNEL__MESSAGES_PER_MINUTE", "0")
            .env("BANTER_CHANNEL__NEW_SENDERS", "1000000")
            .envs(environment.iter().map(|(name, value)| (name, value)));
        let port = free_port();
        Self::of(command.args(["--port", &port.to_string()]), data_dir, port)
    }

    /// Starts any server, which listens on this port. Writes what it prints as errors to the folder.
    pub fn of(command: &Command, folder: &Path, port: u16) -> Self {
        let path = folder.join("log");
        let log = std::fs::create_dir_all(folder).and_then(|()| File::create(&path));
        let log = log.unwrap_or_else(|error| fail(&format!("cannot create the log file: {error}")));
        // The server ends with the bench, also when that is killed; it would keep the data folder locked.
        let mut child = Command::new("setpriv");
        child.args(["--pdeathsig", "KILL", "--"]).arg(command.get_program()).args(command.get_args());
        child.envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.get_current_dir().map(|folder| child.current_dir(folder));
        let child = child.stdout(Stdio::null()).stderr(log).spawn();
        let child = child.unwrap_or_else(|error| fail(&format!("cannot start the server with setpriv: {error}")));
        Self { child, log: path, port }
    }

    /// Waits until the server accepts connections.
    pub fn wait(&mut self) -> Connection {
        let end = Instant::now() + LISTENS_WITHIN;
        while Instant::now() < end {
            if let Ok(connection) = Connection::open(self.port) {
                return connection;
            }
            if let Ok(Some(status)) = self.child.try_wait() {
                fail(&format!("the server exited with {status}; its last lines:\n{}", self.last_lines()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        fail(&format!("the server did not listen within {LISTENS_WITHIN:?}; its last lines:\n{}", self.last_lines()))
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    fn last_lines(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_else(|error| error.to_string());
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    /// Resident memory of the server, in KiB.
    pub fn resident_kib(&self) -> u64 {
        memory::resident_kib(self.child.id())
    }

    /// CPU seconds of the server so far, in user and kernel mode.
    pub fn cpu_s(&self) -> f64 {
        const TICKS_PER_SECOND: f64 = 100.0;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name of the program stands in parentheses before the other fields.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
        match (ticks(11), ticks(12)) {
            (Some(user), Some(kernel)) => (user + kernel) / TICKS_PER_SECOND,
            _ => fail("the server has ended, so its CPU time cannot be read"),
        }
    }

    /// Logs in as a user, who is created if new; returns the access token.
    pub fn log_in(&self, name: &str) -> io::Result<String> {
        let body = json!({ "email": format!("{name}@bench.example"), "password": "bench" });
        let (status, answer) = Connection::open(self.port)?.post("/auth/login", "", &body)?;
        let answer: serde_json::Value = serde_json::from_str(&answer)?;
        let token = answer["access_token"].as_str().filter(|_| status == 200);
        token.map(str::to_owned).ok_or_else(|| io::Error::other(format!("log-in failed: {status} {answer}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Fails only if the server has exited already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port on which nothing listens.
pub fn free_port() -> u16 {
    let bound = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    bound.unwrap_or_else(|error| fail(&format!("cannot find a free port: {error}"))).port()
}
