//! Compares one and two servers on PostgreSQL, MongoDB, and Redis with one on the embedded store:
//! `bench/fleet [--json]`.
//!
//! Clients send a text whose vector the servers have cached, so that the bench measures the stores and not the model.
//! The setups alternate in blocks within one run, after a block of each that is not counted: a server that has just
//! started still prepares the version that the stores name. Stores, servers, and clients share the cores of one machine.

use std::{
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use banter_bench::{fail, http::Connection, metrics::percentile, root, server::Server};
use clap::Parser;
use serde_json::json;

const CLIENTS: usize = 16;
const BLOCK: Duration = Duration::from_secs(2);
const BLOCKS: usize = 4;

#[derive(Parser)]
struct Arguments {
    /// Print one JSON object to standard output.
    #[arg(long)]
    json: bool,
}

/// Servers that share their stores, and the times that their clients measured.
struct Setup {
    name: &'static str,
    servers: Vec<Server>,
    tokens: Vec<String>,
    milliseconds: Vec<f64>,
    seconds: f64,
    /// CPU seconds of the servers.
    cpu_s: f64,
}

/// What was measured of a setup.
struct Measured {
    name: &'static str,
    messages_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// CPU time of the servers per message, in microseconds.
    cpu_us: f64,
}

impl Setup {
    fn start(name: &'static str, count: usize, environment: &[(String, String)]) -> Self {
        let folder = root().join(".cache/bench/fleet").join(name);
        // Start one after the other, so that the second finds the cached vectors of the first.
        let start = |_| {
            let mut server = Server::start_with(&folder, environment);
            server.wait();
            server
        };
        let servers: Vec<Server> = (0..count).map(start).collect();
        let log_in = |client: usize| {
            servers[client % count].log_in(&format!("user{client}")).unwrap_or_else(|error| fail(&error.to_string()))
        };
        let tokens = (0..CLIENTS).map(log_in).collect();
        Self { name, servers, tokens, milliseconds: Vec::new(), seconds: 0.0, cpu_s: 0.0 }
    }

    /// All clients send for one block, each to its server.
    fn run(&mut self) {
        let (start, cpu_s) = (Instant::now(), self.servers_cpu_s());
        let measured: Vec<f64> = thread::scope(|scope| {
            let clients: Vec<_> = self
                .tokens
                .iter()
                .enumerate()
                .map(|(client, token)| {
                    let server = &self.servers[client % self.servers.len()];
                    scope.spawn(move || {
                        let mut connection =
                            Connection::open(server.port).unwrap_or_else(|error| fail(&error.to_string()));
                        let mut milliseconds = Vec::new();
                        while start.elapsed() < BLOCK {
                            let sent = Instant::now();
                            let body = json!({ "text": "what are your opening hours" });
                            match connection.post("/messages/send", token, &body) {
                                Ok((200, _)) => milliseconds.push(sent.elapsed().as_secs_f64() * 1e3),
                                other => fail(&format!("a message failed: {other:?}")),
                            }
                        }
                        milliseconds
                    })
                })
                .collect();
            clients.into_iter().flat_map(|client| client.join().unwrap_or_else(|_| fail("a client failed"))).collect()
        });
        self.milliseconds.extend(measured);
        self.seconds += start.elapsed().as_secs_f64();
        self.cpu_s += self.servers_cpu_s() - cpu_s;
    }

    fn servers_cpu_s(&self) -> f64 {
        self.servers.iter().map(Server::cpu_s).sum()
    }

    /// Forgets what was measured so far.
    fn begin(&mut self) {
        self.milliseconds.clear();
        (self.seconds, self.cpu_s) = (0.0, 0.0);
    }

    fn end(mut self) -> Measured {
        let messages = self.milliseconds.len() as f64;
        Measured {
            name: self.name,
            messages_per_s: messages / self.seconds,
            p50_ms: percentile(&mut self.milliseconds, 0.5),
            p99_ms: percentile(&mut self.milliseconds, 0.99),
            cpu_us: self.cpu_s * 1e6 / messages,
        }
    }
}

fn main() {
    let arguments = Arguments::parse();
    let external = external_stores();
    let mut setups = [
        Setup::start("embedded", 1, &[]),
        Setup::start("external, one server", 1, &external),
        Setup::start("external, two servers", 2, &external),
    ];
    for setup in &mut setups {
        setup.run();
        setup.begin();
    }
    for _ in 0..BLOCKS {
        for setup in &mut setups {
            setup.run();
        }
    }
    let measured = setups.map(Setup::end);
    let ratio = |row: &Measured| row.messages_per_s / measured[0].messages_per_s;
    if arguments.json {
        let row = |row: &Measured| {
            json!({
                "stores": row.name, "messages_per_s": row.messages_per_s, "p50_ms": row.p50_ms, "p99_ms": row.p99_ms,
                "server_cpu_us": row.cpu_us, "ratio_to_embedded": ratio(row),
            })
        };
        println!("{}", json!({ "clients": CLIENTS, "rows": measured.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    println!("{:<24} {:>10} {:>10} {:>10} {:>14} {:>8}", "", "messages", "p50", "p99", "server CPU", "ratio");
    for row in &measured {
        let Measured { name, messages_per_s, p50_ms, p99_ms, cpu_us } = row;
        println!(
            "{name:<24} {messages_per_s:>8.0}/s {p50_ms:>7.2} ms {p99_ms:>7.2} ms {cpu_us:>11.0} us {:>8.2}",
            ratio(row)
        );
    }
}

/// Starts the stores of `services/`; returns the environment variables for the server.
fn external_stores() -> Vec<(String, String)> {
    let output = Command::new("services/services.sh").arg("up").current_dir(root()).stderr(Stdio::inherit()).output();
    let output = output.unwrap_or_else(|error| fail(&format!("the stores did not start: {error}")));
    if !output.status.success() {
        fail("the stores did not start");
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let variable = |line: &str| {
        let (name, value) = line.strip_prefix("export ")?.split_once('=')?;
        Some((name.to_owned(), value.trim_matches('\'').to_owned()))
    };
    let mut variables: Vec<(String, String)> = text.lines().filter_map(variable).collect();
    variables.push(("BANTER_AUTH__SECRET".to_owned(), "one secret of all servers of a bench".to_owned()));
    variables
}
