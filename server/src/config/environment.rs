//! Settings from the environment: the variables named in `api.md`, and secrets, which are taken literally.

use std::collections::BTreeMap;

use figment::{
    Figment,
    providers::{Env, Serialized},
};

use serde::{Deserialize, Deserializer, de::Error};

use super::percent_encode;
use crate::setup::SetupError;

/// `BANTER_` settings that are read separately: the profile and the secrets.
pub(super) const IGNORED: [&str; 9] = [
    "profile",
    "auth__secret",
    "channel__key",
    "health__key",
    "hand_off__key",
    "admin__key",
    "stores__postgres",
    "stores__mongo",
    "stores__redis",
];
/// The environment variables of each secret.
const SECRETS: [(&str, &str); 11] = [
    ("BANTER_ADMIN__KEY", "admin.key"),
    ("SECRET_KEY_JWT", "auth.secret"),
    ("BANTER_AUTH__SECRET", "auth.secret"),
    ("BANTER_CHANNEL__KEY", "channel.key"),
    ("HEALTH_SECRET_KEY", "health.key"),
    ("BANTER_HEALTH__KEY", "health.key"),
    ("API_KEY_AI", "hand_off.key"),
    ("BANTER_HAND_OFF__KEY", "hand_off.key"),
    ("BANTER_STORES__POSTGRES", "stores.postgres"),
    ("BANTER_STORES__MONGO", "stores.mongo"),
    ("BANTER_STORES__REDIS", "stores.redis"),
];

/// Secrets of which there may be several, so that one can replace another.
const LISTS: [&str; 4] = ["auth.secret", "channel.key", "health.key", "hand_off.key"];

/// The variables of `api.md` that are not secrets, and the settings they set.
pub(super) const NAMES: [(&str, &str); 4] = [
    ("ALGORITHM", "auth.algorithm"),
    ("ADDRESS_FRONT", "front"),
    ("GOOGLE_CLIENT_ID", "google.client_id"),
    ("SECURE_HTTP_HTTPS", "auth.secure_cookies"),
];

/// A boolean, also as `True` or `1`, which the earlier server read.
pub(super) fn truth<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum TrueOrFalse {
        Truth(bool),
        Number(u8),
        Word(String),
    }
    let written = TrueOrFalse::deserialize(deserializer)?;
    match &written {
        TrueOrFalse::Truth(truth) => Ok(*truth),
        TrueOrFalse::Number(0) => Ok(false),
        TrueOrFalse::Number(1) => Ok(true),
        TrueOrFalse::Word(word) if word.eq_ignore_ascii_case("true") => Ok(true),
        TrueOrFalse::Word(word) if word.is_empty() || word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(D::Error::custom("expected true or false")),
    }
}

/// The settings of [`NAMES`].
pub(super) fn contract_environment() -> Env {
    Env::raw()
        .filter(|name| NAMES.iter().any(|(known, _)| name == *known))
        .map(|name| {
            let path = NAMES.iter().find(|(known, _)| name == *known).map_or("", |(_, path)| path);
            path.into()
        })
        .lowercase(false)
        .split(".")
        .global()
}

/// Secrets, taken literally: figment would parse one of digits as a number. An empty one counts as unset. A value of
/// [`LISTS`] in brackets is a JSON list.
///
/// # Errors
/// One is not UTF-8, or is not a list although it begins with a bracket.
pub(super) fn secrets_of_environment() -> Result<Figment, SetupError> {
    let mut figment = Figment::new();
    for (name, path) in SECRETS {
        if let Some(value) = variable(name)? {
            figment = match value.starts_with('[') && LISTS.contains(&path) {
                true => figment.merge(Serialized::global(path, list(name, &value)?)),
                false => figment.merge(Serialized::global(path, value)),
            };
        }
    }
    Ok(figment)
}

fn list(name: &str, value: &str) -> Result<Vec<String>, SetupError> {
    serde_json::from_str(value).map_err(|_| {
        SetupError::new(
            format!("{name} begins with `[`, but is not a list of secrets"),
            format!("write one secret, or a JSON list: {name}='[\"first\", \"second\"]'"),
        )
    })
}

/// A variable of the environment; `None` if it is unset or empty.
fn variable(name: &str) -> Result<Option<String>, SetupError> {
    let Some(value) = std::env::var_os(name) else { return Ok(None) };
    let value = value
        .into_string()
        .map_err(|_| SetupError::new(format!("{name} is not UTF-8"), "set it again in a UTF-8 locale"))?;
    Ok(Some(value).filter(|value| !value.is_empty()))
}

/// The `DATABASE_*` variables as one PostgreSQL URL.
pub(super) fn database_of_environment() -> Result<Figment, SetupError> {
    let mut set = BTreeMap::new();
    for name in ["DATABASE_HOST", "DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_PORT"] {
        set.extend(variable(name)?.map(|value| (name, value)));
    }
    let value = |name: &str| set.get(name).cloned();
    let Some(host) = value("DATABASE_HOST") else {
        // A partly configured database must not silently become the embedded store.
        let rest = ["DATABASE_NAME", "DATABASE_USER", "DATABASE_PASSWORD", "DATABASE_PORT"];
        return match rest.into_iter().find(|name| value(name).is_some()) {
            Some(name) => Err(SetupError::new(
                format!("{name} is set, but DATABASE_HOST is not"),
                "set both, or set BANTER_STORES__POSTGRES to a postgres:// URL",
            )),
            None => Ok(Figment::new()),
        };
    };
    let need = |name: &str| {
        value(name).ok_or_else(|| {
            SetupError::new(
                format!("DATABASE_HOST is set, but {name} is not"),
                "set both, or set BANTER_STORES__POSTGRES to a postgres:// URL",
            )
        })
    };
    let (name, user) = (need("DATABASE_NAME")?, need("DATABASE_USER")?);
    let port = value("DATABASE_PORT").unwrap_or_else(|| "5432".to_owned());
    if port.parse::<u16>().is_err() {
        return Err(SetupError::new(format!("DATABASE_PORT is `{port}`"), "set it to a number such as 5432"));
    }
    let password =
        value("DATABASE_PASSWORD").map_or(String::new(), |password| format!(":{}", percent_encode(&password)));
    let host = if host.contains(':') && !host.starts_with('[') { format!("[{host}]") } else { host };
    let url = format!("postgres://{}{password}@{host}:{port}/{}", percent_encode(&user), percent_encode(&name));
    Ok(Figment::from(Serialized::global("stores.postgres", url)))
}
