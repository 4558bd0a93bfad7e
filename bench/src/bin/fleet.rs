//! Compares one and two servers on PostgreSQL, MongoDB, and Redis with one on the embedded store:
//! `bench/fleet [--json]`.
//!
//! Clients send a text whose vector the servers have cached, so that the bench measures the stores and not the model.
//! The setups alternate in blocks within one run. Stores, servers, and clients share the cores of one machine.

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
        Self { name, servers, tokens, milliseconds: Vec::new(), seconds: 0.0 }
    }

    /// All clients send for one block, each to its server.
    fn run(&mut self) {
        let start = Instant::now();
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
    for _ in 0..BLOCKS {
        for setup in &mut setups {
            setup.run();
        }
    }
    let rows = setups.map(|mut setup| {
        let rate = setup.milliseconds.len() as f64 / setup.seconds;
        let (p50, p99) = (percentile(&mut setup.milliseconds, 0.5), percentile(&mut setup.milliseconds, 0.99));
        (setup.name, rate, p50, p99)
    });
    let baseline = rows[0].1;
    if arguments.json {
        let row = |(name, rate, p50, p99): &(&str, f64, f64, f64)| json!({ "stores": name, "messages_per_s": rate, "p50_ms": p50, "p99_ms": p99, "ratio_to_embedded": rate / baseline });
        println!("{}", json!({ "clients": CLIENTS, "rows": rows.iter().map(row).collect::<Vec<_>>() }));
        return;
    }
    println!("{:<24} {:>10} {:>10} {:>10} {:>8}", "", "messages", "p50", "p99", "ratio");
    for (name, rate, p50, p99) in rows {
        println!("{name:<24} {rate:>8.0}/s {p50:>7.2} ms {p99:>7.2} ms {:>8.2}", rate / baseline);
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
