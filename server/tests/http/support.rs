//! An in-process server with a small bot, its own stores, and an embedder without a model.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicI64, Ordering},
};

use banter_engine::{
    Engine, Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{AnyLanguage, Embedder, EmbeddingError, Urgency, Vector, hashed::HashedEmbedder},
    handlers::{plugin::NoPlugins, script::Scripting},
    policy::Ceiling,
};
use banter_server::{
    assembly::{ReleaseParts, application, open_backend},
    catalogs::{
        Catalogs,
        follower::Follower,
        gate::Gate,
        releases::{ReleaseLimits, Releases},
        serving::Serving,
        source::Source,
        terms::{Actor, Wish},
    },
    config::{Config, LogConfig, Rules},
    host::ServerHost,
    listener::{ConnectionBounds, Listener},
    metrics::Metrics,
    web::{self, launch::launch},
};
use banter_stores::{
    Millis,
    backend::{Backend, DATABASE},
    clock::{Clock, SystemClock},
    secret::Secret,
};
use rocket::{
    Build, Rocket,
    http::{ContentType, Header, Status},
    local::asynchronous::{Client, LocalResponse},
};
use serde_json::{Value, json};

pub const BOT: [(&str, &str); 4] = [
    (
        "bot.yaml",
        "name: test\nlanguages: [en, ru]\nfallback: { text: { en: Pardon?, ru: Простите? } }\nentities: { order_id: { pattern: '[A-Z]-\\d{4}' } }\nmatching: { threshold: 0.6, margin: 0.05 }",
    ),
    (
        "intents/greet.yaml",
        "intent: greet\nexamples: { en: [hello there, good morning friend], ru: [привет тебе, доброе утро друг] }\nhandler: { reply: { en: Hello!, ru: Привет! }, suggest: { en: [track order], ru: [где заказ] } }",
    ),
    (
        "intents/status.yaml",
        "intent: status\nexamples: { en: [where is my order, 'track order [A-1042](order_id)'], ru: [где мой заказ, 'отследить заказ [A-1042](order_id)'] }\nslots: { order_id: { entity: order_id, ask: { en: Which order?, ru: Какой заказ? } } }\nhandler: { script: status.rhai }",
    ),
    (
        "scripts/status.rhai",
        "fn handle(ctx) {\n if ctx.slots.order_id == \"Z-0000\" { return hand_off(\"Calling.\"); }\n let n = kv_get(\"asked\"); if n == () { n = 0; } kv_set(\"asked\", n + 1);\n say(`${ctx.slots.order_id} is fine, asked ${n + 1} times`).image(\"https://x.example/box.png\").payload(#{ n: n + 1 })\n}",
    ),
];

/// An embedder that reports `Busy` for one text, fails on another, and dies on a third.
struct Sometimes(HashedEmbedder, AtomicBool);

impl Embedder for Sometimes {
    fn id(&self) -> &str {
        self.0.id()
    }
    fn blocks(&self) -> &[usize] {
        self.0.blocks()
    }
    fn is_alive(&self) -> bool {
        !self.1.load(Ordering::Relaxed)
    }
    fn remembers(&self, _: &str) -> bool {
        false
    }
    fn embed(&self, texts: &[String], urgency: Urgency) -> Result<Vec<Vector>, EmbeddingError> {
        if !self.is_alive() {
            return Err(EmbeddingError::Failed("gone".to_owned()));
        }
        match texts.first().map(String::as_str) {
            Some("the queue is full") => Err(EmbeddingError::Busy),
            Some("the model is gone") => {
                self.1.store(true, Ordering::Relaxed);
                Err(EmbeddingError::Failed("gone".to_owned()))
            }
            Some("the model is broken") => Err(EmbeddingError::Failed("a cause that must not be shown".to_owned())),
            _ => self.0.embed(texts, urgency),
        }
    }
}

use crate::{resources::contract, services};

/// The system's clock, which tests set forward.
#[derive(Default)]
pub struct ShiftedClock(AtomicI64);

impl ShiftedClock {
    pub fn advance(&self, by: Millis) {
        self.0.fetch_add(by, Ordering::SeqCst);
    }
}

impl Clock for ShiftedClock {
    fn now(&self) -> Millis {
        SystemClock.now() + self.0.load(Ordering::SeqCst)
    }
}

pub struct Server {
    pub client: Client,
    pub config: Config,
    rules: Rules,
    pub backend: Backend,
    /// Of this server and of those with the same stores.
    pub clock: Arc<ShiftedClock>,
    /// Removed with the server.
    folder: Arc<tempfile::TempDir>,
}

/// A server with the `dev` rules.
pub async fn server() -> Server {
    server_with(Rules::Dev, |_| {}).await
}

pub async fn server_with(rules: Rules, change: impl FnOnce(&mut Config)) -> Server {
    // Rocket's log would fill the memory that the test runner keeps for output.
    let quiet = LogConfig { filter: "off".to_owned(), ..Config::default().log };
    drop(banter_server::telemetry::start(&quiet, false).unwrap());
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut config = Config { data_dir: folder.path().to_owned(), ..Config::default() };
    config.auth.secret = Some(Secret::new("0123456789abcdef0123456789abcdef".to_owned()).into());
    config.health.key = Some(Secret::new("health".to_owned()).into());
    config.auth.logins_per_email = 6;
    // The folder of the configuration is not the test's bot.
    config.reload.watch = Some(false);
    if crate::EXTERNAL {
        config.stores = services::fresh().await;
    }
    change(&mut config);
    Server::over(config, rules, folder, Arc::default()).await
}

async fn build(backend: &Backend, config: &Config, rules: Rules, clock: Arc<ShiftedClock>) -> Rocket<Build> {
    let stores = backend.stores();
    let scripting = Arc::new(Scripting::new());
    let mut diagnostics = Diagnostics::default();
    let catalogue = loader::load(&Bundle::of(&BOT), &scripting, &NoPlugins, &Ceiling::unlimited(), &mut diagnostics)
        .unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let host =
        Arc::new(ServerHost::new(tokio::runtime::Handle::current(), stores.turns.clone(), 64, config.outside.clone()));
    let embedder = Arc::new(Sometimes(HashedEmbedder::new(128), AtomicBool::new(false)));
    let (snapshot, _) = Snapshot::build(Arc::new(catalogue), &*embedder, None, &mut |_| {}).unwrap();
    let engine = Arc::new(Engine::new(Arc::new(AnyLanguage(embedder)), scripting.clone(), host));
    let gate = Gate::new(&engine, scripting, Arc::new(NoPlugins), config.outside.clone(), &config.data_dir).unwrap();
    let serving = Serving::new(Bundle::of(&BOT).manifest().id(), snapshot);
    let catalogs = Arc::new(Catalogs::new(serving));
    let limits = ReleaseLimits { utterance_days: 7, utterances: 100 };
    let source = Arc::new(Source::new(stores.clone(), gate, engine.clone(), &config.data_dir));
    let follower = Arc::new(Follower::new(source.clone(), catalogs, "test".to_owned()));
    let releases = Arc::new(Releases::new(source.clone(), follower.clone(), clock.clone(), limits));
    // The first server publishes the bot; the others follow it.
    let actor = Actor { user: None, name: "start".to_owned() };
    let published =
        releases.publish(Bundle::of(&BOT), Diagnostics::default(), &Wish::default(), &actor, &|_| {}).await.unwrap();
    assert!(published.report.passed);
    follower.follow().await;
    let versions = ReleaseParts { source, follower, releases };
    let app = application(config, rules, stores, clock, engine, versions, Metrics::new(None)).unwrap();
    let conversations = app.conversations.clone();
    tokio::spawn(async move { conversations.follow_bus().await });
    web::build(app, config)
}

/// A response.
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Value,
}

impl Answer {
    async fn of(response: LocalResponse<'_>) -> Self {
        let status = response.status().code;
        let headers =
            response.headers().iter().map(|h| (h.name().as_str().to_lowercase(), h.value().to_owned())).collect();
        let text = response.into_string().await.unwrap_or_default();
        Self { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }
}

impl Server {
    async fn over(config: Config, rules: Rules, folder: Arc<tempfile::TempDir>, clock: Arc<ShiftedClock>) -> Self {
        let backend = open_backend(&config, clock.clone()).await.unwrap_or_else(|error| panic!("{error}"));
        let client = Client::untracked(build(&backend, &config, rules, clock.clone()).await).await.unwrap();
        Self { client, config, rules, backend, clock, folder }
    }

    /// Another server on the same stores, with other settings.
    pub async fn changed(&self, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = self.config.clone();
        change(&mut config);
        Self::over(config, self.rules, self.folder.clone(), self.clock.clone()).await
    }

    /// Another server on the same stores.
    pub async fn with_the_same_stores(&self) -> Self {
        Self::over(self.config.clone(), self.rules, self.folder.clone(), self.clock.clone()).await
    }

    /// Another server on the same stores, which listens on a port of this machine; returns its address. It ends with
    /// the test.
    pub async fn listen(&self) -> String {
        let bounds = ConnectionBounds::of(&self.config);
        let listener = Listener::bind(([127, 0, 0, 1], 0).into(), bounds).await.unwrap();
        let address = listener.address().unwrap().to_string();
        let rocket = build(&self.backend, &self.config, self.rules, self.clock.clone()).await;
        tokio::spawn(launch(rocket, listener));
        address
    }

    pub async fn post(&self, path: &str, headers: &[(&'static str, &str)], body: impl AsRef<[u8]>) -> Answer {
        self.post_as("application/json", path, headers, body.as_ref()).await
    }

    /// Runs SQL on the user store: `embedded` on SQLite, `postgres` on PostgreSQL.
    pub async fn sql(&self, embedded: &'static str, postgres: &'static str) {
        use sqlx::{ConnectOptions, postgres::PgConnectOptions};
        match &self.config.stores.postgres {
            Some(url) => {
                let mut connection = url.text().parse::<PgConnectOptions>().unwrap().connect().await.unwrap();
                sqlx::raw_sql(postgres).execute(&mut connection).await.unwrap();
            }
            None => {
                let file = rusqlite::Connection::open(self.config.data_dir.join(DATABASE)).unwrap();
                file.execute_batch(embedded).unwrap();
            }
        }
    }

    /// The status of an endless stream.
    pub async fn stream_status(&self, path: &str, headers: &[(&'static str, &str)]) -> u16 {
        let mut request = self.client.get(path.to_owned());
        for (name, value) in headers {
            request.add_header(Header::new(*name, (*value).to_owned()));
        }
        request.dispatch().await.status().code
    }

    pub async fn get(&self, path: &str, headers: &[(&'static str, &str)]) -> Answer {
        let mut request = self.client.get(path.to_owned());
        for (name, value) in headers {
            request.add_header(Header::new(*name, (*value).to_owned()));
        }
        let answer = Answer::of(request.dispatch().await).await;
        contract::check("GET", path, &[], &answer);
        answer
    }

    /// A page or one of its files.
    pub async fn browse_page(&self, path: &str) -> Answer {
        Answer::of(self.client.get(path.to_owned()).dispatch().await).await
    }

    /// A GET of a browser that holds this session cookie.
    pub async fn browse(&self, path: &str, cookie: &str) -> Answer {
        let request = self.client.get(path.to_owned()).cookie(("access_token", cookie.to_owned()));
        let answer = Answer::of(request.dispatch().await).await;
        contract::check("GET", path, &[], &answer);
        answer
    }

    /// A POST of a page of this server in a browser that holds this session cookie.
    pub async fn submit(&self, path: &str, cookie: &str, body: Value) -> Answer {
        let body = body.to_string();
        let request = self.client.post(path.to_owned()).cookie(("access_token", cookie.to_owned()));
        let request = request.header(ContentType::JSON).header(Header::new("Host", "localhost"));
        let request = request.header(Header::new("Origin", "http://localhost")).body(&body);
        let answer = Answer::of(request.dispatch().await).await;
        contract::check("POST", path, body.as_bytes(), &answer);
        answer
    }

    /// A POST with any content type and body.
    pub async fn post_as(&self, kind: &str, path: &str, headers: &[(&'static str, &str)], body: &[u8]) -> Answer {
        let kind = Header::new("Content-Type", kind.to_owned());
        let mut request = self.client.post(path.to_owned()).header(kind).body(body);
        for (name, value) in headers {
            request.add_header(Header::new(*name, (*value).to_owned()));
        }
        let answer = Answer::of(request.dispatch().await).await;
        contract::check("POST", path, body, &answer);
        answer
    }

    /// Logs a user in; returns the access and the refresh token.
    pub async fn log_in(&self, email: &str) -> (String, String) {
        let answer = self.post("/auth/login", &[], json!({ "email": email, "password": "tulip" }).to_string()).await;
        assert_eq!(answer.status, Status::Ok.code, "{}", answer.body);
        let token = |name: &str| answer.body[name].as_str().unwrap().to_owned();
        (token("access_token"), token("refresh_token"))
    }

    pub async fn send(&self, token: &str, text: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.post("/messages/send", &[("Authorization", &bearer)], json!({ "text": text }).to_string()).await
    }
}
