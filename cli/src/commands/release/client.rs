//! The admin API as a client sees it.

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    time::Duration,
};

use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use ureq::{
    Agent, Body, RequestBuilder,
    http::{Response, Uri},
    typestate::WithBody,
};

use super::{print, show};
use crate::failure::Failure;
use banter_server::{
    catalogs::{
        gate::{GateReport, Step},
        terms::Published,
    },
    config::Config,
    secret_file::ADMIN_KEY,
};

/// The longest wait for an answer that is no upload's.
const TIMEOUT: Duration = Duration::from_secs(60);
/// A version may be trained for minutes.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(3_600);
/// A longer answer is none of banter's.
const MAX_ANSWER: u64 = 256 << 20;

/// A server, and the key to it.
pub struct Client {
    server: String,
    key: String,
    /// The generation that a change is meant for, as `If-Match` has it.
    generation: Option<String>,
    /// Whether what a server refuses is told to programs too.
    json: bool,
    agent: Agent,
}

impl Client {
    /// The server and key that were named, or those of this machine; changes only `generation`, where one is given.
    ///
    /// # Errors
    /// When there is no key.
    pub fn new(
        config: &Config,
        server: Option<&str>,
        key: Option<&str>,
        generation: Option<u64>,
    ) -> Result<Self, Failure> {
        let own = || format!("http://{}", std::net::SocketAddr::new(config.address, config.port));
        let server = server.map_or_else(own, |server| server.trim_end_matches('/').to_owned());
        let uri: Uri = server.parse().map_err(|_| no_server(&server, "it is no URL"))?;
        let key = match (key, &config.admin.key) {
            (Some(key), _) => key.to_owned(),
            (None, Some(key)) => key.text().to_owned(),
            // The key of a server of this machine is for no other one.
            (None, None) if is_here(&uri) => fs::read_to_string(config.data_dir.join(ADMIN_KEY)).unwrap_or_default(),
            (None, None) => String::new(),
        };
        if key.is_empty() {
            return Err(Failure::usage(
                "there is no key to administrate with",
                "give it in BANTER_ADMIN__KEY; a server in the dev profile makes one in its data folder (--data-dir)",
            ));
        }
        let agent = Agent::config_builder().timeout_global(Some(TIMEOUT)).http_status_as_error(false).build().into();
        Ok(Self {
            server,
            key,
            generation: generation.map(|generation| format!("\"{generation}\"")),
            json: false,
            agent,
        })
    }

    /// The same; what a server refuses is also printed as JSON.
    pub fn telling_json(self, json: bool) -> Self {
        Self { json, ..self }
    }

    /// Asks for something.
    ///
    /// # Errors
    /// What the server says, or that there is none.
    pub fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let request = self.agent.get(format!("{}{path}", self.server)).header("X-Admin-Key", &self.key);
        self.answer(request.call())
    }

    /// Does something.
    ///
    /// # Errors
    /// What the server says, or that there is none.
    pub fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, Failure> {
        let request = self.agent.post(format!("{}{path}", self.server)).header("X-Admin-Key", &self.key);
        self.answer(self.for_generation(request).send_json(body))
    }

    /// Uploads a bot, telling of each step.
    ///
    /// # Errors
    /// What the server says, or that there is none.
    pub fn publish(&self, query: &str, tar: &[u8], step: &dyn Fn(Step)) -> Result<Published, Failure> {
        let request = self
            .agent
            .post(format!("{}/admin/versions?{query}", self.server))
            .config()
            .timeout_global(Some(UPLOAD_TIMEOUT))
            .build()
            .header("X-Admin-Key", &self.key)
            .header("Accept", "text/event-stream")
            // Who may not do this is told so before the bot is on its way.
            .header("Expect", "100-continue")
            .content_type("application/x-tar");
        let response =
            self.for_generation(request).send(tar).map_err(|error| no_server(&self.server, &error.to_string()))?;
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
                _ => return Err(self.refused(&value)),
            }
        }
        Err(no_server(&self.server, "it went away in the middle"))
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
        let good = response.status() == 200;
        let value = read(response)?;
        if !good {
            return Err(self.refused(&value));
        }
        serde_json::from_value(value).map_err(|error| strange(&error))
    }
}

fn is_here(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn read(response: Response<Body>) -> Result<Value, Failure> {
    let mut text = String::new();
    let read = response.into_body().into_reader().take(MAX_ANSWER).read_to_string(&mut text);
    read.map_err(|error| strange(&error))?;
    Ok(serde_json::from_str(&text).unwrap_or_else(|_| json!({ "detail": "the answer is no JSON" })))
}

fn no_server(server: &str, reason: &str) -> Failure {
    Failure::usage(
        format!("{server} does not answer: {reason}"),
        "start one with `banter serve`, or name another with --server",
    )
}

fn strange(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("the answer is not one of banter's: {error}"), "name another server with --server")
}

/// What a server refused, and how to go on.
fn problem(value: &Value) -> Failure {
    if let Ok(report) = serde_json::from_value::<GateReport>(value["report"].clone()) {
        let told = show::refusal(&report);
        let told = told.strip_prefix("error: ").unwrap_or(&told);
        return Failure::check(told, "nothing has changed; mend it and reload again");
    }
    let detail = show::harmless(value["detail"].as_str().unwrap_or("the server refused").trim_end_matches('.'));
    let hint = match value["code"].as_str().unwrap_or_default() {
        "wrong_key" | "unauthorized" => "give the right key in BANTER_ADMIN__KEY",
        "not_allowed" => "use a key with that scope, or ask an administrator",
        "unknown_version" => {
            "`banter versions` lists them; name at least four digits, and more where several begin alike"
        }
        "nothing_to_do" => "`banter fleet` shows what is in use, `banter versions` what could be",
        "out_of_bounds" => "see the command's --help",
        "busy" => "try again in a moment",
        "activation_conflict" | "precondition_failed" => "`banter fleet` shows what is in use now",
        "not_found" => "the server is older than this command, or none of banter's",
        _ => "see the server's log",
    };
    Failure::check(detail, hint)
}
