//! The real model and the demo bot. Needs `make setup`.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use banter_engine::{
    Engine, Request, Snapshot,
    catalogue::{bundle::Bundle, loader},
    diagnostic::Diagnostics,
    embedding::{
        model::{Model, ModelOptions, ModelSource},
        worker::EmbeddingWorker,
    },
    handlers::{
        plugin::{LoadFailure, MissingPlugin, Plugin, PluginRuntime, PluginSpec},
        script::Scripting,
    },
    host::{Host, HostError, HttpAnswer},
    policy::HttpPolicy,
    state::DialogueState,
    turn::{Message, Turn},
};
use serde_json::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A recorded answer of the weather service; no other URL works.
struct Recorded;

impl Host for Recorded {
    fn kv_get(&self, _: i64, _: &str) -> Result<Option<Value>, HostError> {
        Ok(None)
    }

    fn http_get(&self, url: &str, policy: &HttpPolicy) -> Result<HttpAnswer, HostError> {
        assert_eq!(policy.allow, ["api.open-meteo.com"]);
        if !url.contains("latitude=51.51") {
            return Err(HostError::Failed("no answer is recorded for this place".to_owned()));
        }
        let body = r#"{"current":{"time":"2026-01-05T10:00","temperature_2m":7.5,"wind_speed_10m":14.0}}"#;
        Ok(HttpAnswer { status: 200, body: body.to_owned() })
    }

    fn log(&self, _: &str, _: &str) {}
}

/// Stand-ins for the demo bot's plugins: these tests check what the bot understands, not what plugins answer.
struct Unloaded;

impl PluginRuntime for Unloaded {
    fn load(&self, spec: PluginSpec, _: &[u8]) -> Result<Arc<dyn Plugin>, LoadFailure> {
        Ok(Arc::new(MissingPlugin(spec.name)))
    }
}

static BOT: LazyLock<(Engine, Snapshot)> = LazyLock::new(|| {
    let options = ModelOptions {
        library: root().join(".cache/onnxruntime/libonnxruntime.so"),
        source: ModelSource::Folder(root().join(".cache/model")),
        prefix: "query: ".to_owned(),
        max_tokens: 256,
        threads: 2,
    };
    let model = Model::load(&options).unwrap_or_else(|error| panic!("{error}; {}", error.hint()));
    let engine = Engine::new(Arc::new(EmbeddingWorker::new(model, 64)), Arc::new(Scripting::new()), Arc::new(Recorded));
    let mut diagnostics = Diagnostics::default();
    let bundle = Bundle::read(&root(), &mut diagnostics).unwrap();
    let catalogue = loader::load(&bundle, engine.scripting(), &Unloaded, &mut diagnostics);
    let catalogue = catalogue.unwrap_or_else(|| panic!("{}", diagnostics.render(false)));
    let (snapshot, _) = Snapshot::build(Arc::new(catalogue), &**engine.embedder(), None, &mut |_| {}).unwrap();
    (engine, snapshot)
});

fn say(state: &mut DialogueState, text: &str) -> Turn {
    let message = Message { text, user: 2, dialogue: 1, seed: 1 };
    let now = jiff::Timestamp::from_second(1_767_607_200).unwrap();
    let turn = BOT.0.reply(&BOT.1, Request::new(&BOT.1, message, state, now)).unwrap();
    *state = turn.state.clone();
    turn
}

/// The intent of a single message; `-` if it matches none.
fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let turn = say(&mut DialogueState::default(), text);
        let intent = turn.intent.as_ref().map_or("-", |intent| intent.as_str());
        assert_eq!(intent, *expected, "{text}: {:#?}", turn.explain);
    }
}

#[test]
fn both_languages_are_understood() {
    check(&[
        ("Привет, как дела?", "how_are_you"),
        ("where is my order", "order_status"),
        ("wher is my oder", "order_status"),
        ("can I get my cash back", "refund"),
        ("посылка до сих пор не доехала", "order_status"),
        ("сколко стоит доставка в питер", "delivery_cost"),
        ("whats the wether in london", "weather"),
        ("соедините меня с живым оператором", "human"),
        ("я забыл свой пароль", "account_password"),
        ("do you take visa cards", "payment_methods"),
        ("how many inches is 30 cm", "convert_units"),
        ("проверь номер заказа на опечатки", "check_order_number"),
    ]);
}

#[test]
fn what_the_bot_knows_nothing_of_is_out_of_scope() {
    check(&[
        ("как приготовить борщ", "-"),
        ("sdfgh", "-"),
        ("what is the capital of France", "-"),
        ("кто написал Войну и мир", "-"),
        ("solve x squared minus four", "-"),
    ]);
}

#[test]
fn a_greeting_is_greeted_back_in_russian() {
    let turn = say(&mut DialogueState::default(), "Привет, как дела?");
    assert_eq!(turn.language.code(), "ru");
    assert!(turn.text().starts_with("Привет!") || turn.text().starts_with("Здравствуйте!"), "{}", turn.text());
}

#[test]
fn the_weather_comes_from_the_allowed_host() {
    let mut state = DialogueState::default();
    assert_eq!(say(&mut state, "what is the weather like").text(), "In which city?");
    assert_eq!(say(&mut state, "London").text(), "London: 7.5 °C, wind 14.0 km/h.");
    assert_eq!(say(&mut DialogueState::default(), "погода в Берлине").text(), "Не могу сейчас узнать погоду: Берлин.");
}

#[test]
fn a_language_is_kept_over_an_order_number() {
    let mut state = DialogueState::default();
    assert_eq!(say(&mut state, "где мой заказ").text(), "Назовите номер заказа.");
    assert!(say(&mut state, "A-1042").text().contains("завтра"));
}

#[test]
fn a_text_has_one_vector_whatever_its_batch() {
    let texts: Vec<String> =
        ["hi", "где мой заказ", "a far longer text than both of the others are"].map(str::to_owned).to_vec();
    let embedder = BOT.0.embedder();
    let together = embedder.embed(&texts).unwrap();
    for (text, vector) in texts.iter().zip(together) {
        let alone = &embedder.embed(std::slice::from_ref(text)).unwrap()[0];
        let distance = vector.iter().zip(alone.iter()).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
        assert!(distance < 1e-5, "{text}: {distance}");
    }
}
