//! A client of the admin API.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read},
    path::Path,
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::Value;
use ureq::{
    Agent, Body, RequestBuilder,
    http::{Response, Uri},
    typestate::WithBody,
};

use super::{print, show};
use crate::{failure::Failure, key_file};
use banter_server::{
    catalogs::{
        gate::{GateReport, GateStep},
        terms::Published,
    },
    config::Config,
    secret_file::ADMIN_KEY,
};
use banter_stores::secret::Secret;

/// The timeout of all requests except uploads.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Training a version may take minutes.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(3_600);
/// The maximum length of a response, in bytes; no banter server sends more.
const MAX_ANSWER: u64 = 256 << 20;

/// A server and its admin key.
pub struct Client {
    server: String,
    key: Secret,
    /// The generation that must still be in use, as the value of `If-Match`.
    generation: Option<String>,
    /// Whether a refusal is also printed as JSON.
    json: bool,
    agent: Agent,
}

impl Client {
    /// A client of the given server and key; the defaults are those of the local server. With a `generation`, changes
    /// are refused unless that generation is still in use.
    ///
    /// # Errors
    /// There is no key, or the URL is not valid.
    pub fn new(
        config: &Config,
        server: Option<&str>,
        key: Option<&Path>,
        generation: Option<u64>,
    ) -> Result<Self, Failure> {
        let own = || format!("http://{}", std::net::SocketAddr::new(config.address, config.port));
        let server = server.map_or_else(own, |server| server.trim_end_matches('/').to_owned());
        let uri: Uri = server.parse().map_err(|_| no_server(&server, "it is not a URL"))?;
        key_file::refuse_in_clear("admin", &uri)?;
        let key = match (key, &config.admin.key) {
            (Some(path), _) => key_file::read(path)?,
            (None, Some(key)) => key.clone(),
            // The local server's key must not be sent to another machine.
            (None, None) if key_file::is_here(&uri) => Secret::new(local_key(&config.data_dir.join(ADMIN_KEY))?),
            (None, None) => Secret::new(String::new()),
        };
        if key.text().is_empty() {
            return Err(Failure::usage(
                "there is no admin key",
                "set BANTER_ADMIN__KEY, or name a file with --key-file; a server in the dev profile creates a key in its data folder (--data-dir)",
            ));
        }
        // A redirect would take the key to wherever the server says.
        let agent = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).max_redirects(0);
        let agent = agent.build().into();
        Ok(Self {
            server,
            key,
            generation: generation.map(|generation| format!("\"{generation}\"")),
            json: false,
            agent,
        })
    }

    /// With `json`, prints refusals also as JSON.
    pub fn telling_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Sends a GET request.
    ///
    /// # Errors
    /// The server refuses the request or does not respond.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(format!("{}{path}", self.server)).header("X-Admin-Key", self.key.text());
        self.answer(request.call())
    }

    /// Sends a POST request.
    ///
    /// # Errors
    /// The server refuses the request or does not respond.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = self.agent.post(format!("{}{path}", self.server)).header("X-Admin-Key", self.key.text());
        self.answer(self.for_generation(request).send_json(body))
    }

    /// Uploads a bot, and calls `step` at each step of the gate.
    ///
    /// # Errors
    /// The server refuses the bot or does not respond.
    pub fn publish(&self, query: &str, tar: &[u8], step: &dyn Fn(GateStep)) -> Result<Published, Failure> {
        let request = self
            .agent
            .post(format!("{}/admin/versions?{query}", self.server))
            .config()
            .timeout_global(Some(UPLOAD_TIMEOUT))
            .build()
            .header("X-Admin-Key", self.key.text())
            .header("Accept", "text/event-stream")
            // An unauthorized client is refused before it sends the bot.
            .header("Expect", "100-continue")
            .content_type("application/x-tar");
        let response =
            self.for_generation(request).send(tar).map_err(|error| no_server(&self.server, &error.to_string()))?;
        if response.status().is_redirection() {
            return Err(no_server(&self.server, "it redirects to another address, which the key does not follow"));
        }
        if response.status() != 200 {
            return Err(self.refused(&read(response)?));
        }
        let mut name = String::new();
        let events = BufReader::new(response.into_body().into_reader().take(MAX_ANSWER));
        for line in events.lines() {
            let line = line.map_err(|error| no_server(&self.server, &error.to_string()))?;
            if let Some(event) = line.strip_prefix("event:") {
                name = event.trim().to_owned();
            }
            let Some(data) = line.strip_prefix("data:") else { continue };
            let value: Value = serde_json::from_str(data).map_err(|error| strange(&error))?;
            match name.as_str() {
                "progress" => serde_json::from_value(value).map(step).map_err(|error| strange(&error))?,
                "result" => return serde_json::from_value(value).map_err(|error| strange(&error)),
                "problem" => return Err(self.refused(&value)),
                // A newer server may tell more.
                _ => {}
            }
        }
        Err(no_server(&self.server, "it closed the connection before the result"))
    }

    fn refused(&self, value: &Value) -> Failure {
        if self.json {
            print(value);
        }
        problem(value)
    }

    fn for_generation(&self, request: RequestBuilder<WithBody>) -> RequestBuilder<WithBody> {
        match &self.generation {
            Some(generation) => request.header("If-Match", generation),
            None => request,
        }
    }

    fn answer<T: DeserializeOwned>(&self, response: Result<Response<Body>, ureq::Error>) -> Result<T, Failure> {
        let response = response.map_err(|error| no_server(&self.server, &error.to_string()))?;
        if response.status().is_redirection() {
            return Err(no_server(&self.server, "it redirects to another address, which the key does not follow"));
        }
        let good = response.status() == 200;
        let value = read(response)?;
        if !good {
            return Err(self.refused(&value));
        }
        serde_json::from_value(value).map_err(|error| strange(&error))
    }
}

/// The key that a local server has made; empty if there is none.
fn local_key(path: &Path) -> Result<String, Failure> {
    match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        read => read.map_err(|error| {
            Failure::usage(
                format!("cannot read the admin key {}: {error}", path.display()),
                "run this as the server's user, or set BANTER_ADMIN__KEY",
            )
        }),
    }
}

fn read(response: Response<Body>) -> Result<Value, Failure> {
    let status = response.status();
    let mut text = String::new();
    let read = response.into_body().into_reader().take(MAX_ANSWER).read_to_string(&mut text);
    read.map_err(|error| strange(&error))?;
    serde_json::from_str(&text).map_err(|_| {
        let first = text.lines().next().unwrap_or_default();
        strange(&format!("status {status} with no JSON: {}", first.chars().take(80).collect::<String>()))
    })
}

fn no_server(server: &str, reason: &str) -> Failure {
    Failure::usage(
        format!("{server} does not respond: {reason}"),
        "start a server with `banter serve`, or choose another with --server",
    )
}

fn strange(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("the response is not from a banter server: {error}"), "choose another server with --server")
}

/// A server's refusal as a failure with a hint.
fn problem(value: &Value) -> Failure {
    if let Ok(report) = serde_json::from_value::<GateReport>(value["report"].clone()) {
        let told = show::refusal(&report);
        let told = told.strip_prefix("error: ").unwrap_or(&told);
        return Failure::check(told, "nothing has changed; fix the errors and reload again");
    }
    let detail =
        show::harmless(value["detail"].as_str().unwrap_or("the server refused the request").trim_end_matches('.'));
    let hint = match value["code"].as_str().unwrap_or_default() {
        "wrong_key" | "unauthorized" => "set the correct key in BANTER_ADMIN__KEY",
        "not_allowed" => "use a key with the required scope, or ask an administrator",
        "unknown_version" => {
            "`banter versions` lists all versions; give at least four digits, enough to match only one"
        }
        "nothing_to_do" => "`banter fleet` shows what is in use, and `banter versions` lists all versions",
        "out_of_bounds" => "see the command's --help",
        "busy" => "try again in a moment",
        "overtaken" => "`banter versions` lists it; `banter rollback ID` or /console puts it into use",
        "activation_conflict" | "precondition_failed" => "`banter fleet` shows what is in use now",
        "not_found" => "check the URL; the server may be older than this command, or not a banter server",
        _ => "see the server's log",
    };
    Failure::check(detail, hint)
}
