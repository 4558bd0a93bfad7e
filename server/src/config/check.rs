//! Checks the configuration, and reports what is wrong with it.

use std::{collections::BTreeSet, fs, ops::RangeInclusive, path::Path};

use banter_engine::{diagnostic::choose_hint, embedding::encoders::OTHERS, language::Language};
use figment::{Figment, Profile, Source, error::Kind};

use banter_stores::secret::{Secret, Secrets};

use super::{Config, EmbeddingConfig, Rules, environment::NAMES, transport};
use crate::setup::SetupError;

/// Secrets shorter than this are refused in `release`.
const MIN_SECRET_BYTES: usize = 32;
/// Words that mark a secret copied from an example.
const EXAMPLE_WORDS: [&str; 6] = ["change", "example", "secret-key", "your", "password", "12345678"];

impl Config {
    /// Checks that a server may start with this configuration.
    ///
    /// # Errors
    /// A value violates the rules of the profile.
    pub fn check(&self, rules: Rules) -> Result<(), SetupError> {
        if rules == Rules::Dev && !self.address.is_loopback() {
            return Err(SetupError::new(
                format!("the dev profile does not listen on {}", self.address),
                "use a loopback address, or set BANTER_PROFILE=release and its secrets",
            ));
        }
        if self.auth.secret.is_none() && self.store_urls()?.is_some() {
            return Err(SetupError::new(
                "auth.secret (SECRET_KEY_JWT) is missing, which servers with external stores must share",
                "set the same random secret on all servers, for example from: openssl rand -hex 32",
            ));
        }
        if rules == Rules::Release {
            check_secrets("auth.secret (SECRET_KEY_JWT)", self.auth.secret.iter().flat_map(Secrets::all), true)?;
            check_secrets("channel.key", self.channel.key.iter().flat_map(Secrets::all), false)?;
            check_secrets("health.key (HEALTH_SECRET_KEY)", self.health.key.iter().flat_map(Secrets::all), false)?;
            check_secrets("hand_off.key (API_KEY_AI)", self.hand_off.key.iter().flat_map(Secrets::all), false)?;
            check_secrets("admin.key (BANTER_ADMIN__KEY)", self.admin.key.as_ref(), false)?;
            for (name, url) in [
                ("stores.postgres (DATABASE_PASSWORD)", &self.stores.postgres),
                ("stores.mongo", &self.stores.mongo),
                ("stores.redis", &self.stores.redis),
            ] {
                check_password(name, url.as_ref())?;
                if let Some(url) = url.as_ref().filter(|_| !self.stores.plaintext) {
                    transport::check(name, url.text())?;
                }
            }
            for key in &self.admin.keys {
                check_secrets(&format!("admin.keys: {}", key.name), Some(&key.key), true)?;
            }
        }
        Ok(())
    }

    /// Refuses numbers with which the server would be useless or would not start.
    pub(super) fn check_bounds(&self) -> Result<(), SetupError> {
        const MANY: u64 = 1 << 30;
        let (auth, limits, embedding) = (&self.auth, &self.limits, &self.embedding);
        let bounds: [(&str, u64, RangeInclusive<u64>); 34] = [
            ("workers", self.workers as u64, 0..=512),
            ("embedding.threads", embedding.threads as u64, 0..=256),
            ("embedding.wait_ms", embedding.wait_ms, 1..=60_000),
            ("embedding.recent", embedding.recent as u64, 0..=10_000_000),
            ("embedding.max_tokens", embedding.max_tokens as u64, 8..=8_192),
            ("auth.access_minutes", auth.access_minutes.into(), 1..=525_600),
            ("auth.refresh_days", auth.refresh_days.into(), 1..=3_650),
            ("auth.refresh_leeway", auth.refresh_leeway.into(), 0..=300),
            ("auth.parallel_hashes", auth.parallel_hashes as u64, 0..=512),
            ("auth.waiting_hashes", auth.waiting_hashes as u64, 0..=1_000_000),
            ("auth.logins_per_email", auth.logins_per_email.into(), 1..=MANY),
            ("auth.logins_per_address", auth.logins_per_address.into(), 1..=MANY),
            ("auth.slow_seconds", auth.slow_seconds.into(), 0..=60),
            ("auth.refreshes_per_address", auth.refreshes_per_address.into(), 1..=MANY),
            ("auth.refreshes_per_log_in", auth.refreshes_per_log_in.into(), 1..=MANY),
            ("channel.new_senders", self.channel.new_senders.into(), 1..=MANY),
            ("limits.body_bytes", limits.body_bytes, 256..=MANY),
            ("limits.body_seconds", limits.body_seconds, 1..=3_600),
            ("limits.connections", limits.connections as u64, 1..=1_000_000),
            ("limits.connections_per_address", limits.connections_per_address as u64, 1..=1_000_000),
            ("limits.head_bytes", limits.head_bytes as u64, 1_024..=1_048_576),
            ("limits.head_seconds", limits.head_seconds, 1..=3_600),
            ("limits.idle_seconds", limits.idle_seconds, 20..=86_400),
            // Twice as many may be in work, which is what the writer of turns in MongoDB takes at once.
            ("limits.parallel_turns", limits.parallel_turns as u64, 1..=2_048),
            ("limits.histories", limits.histories as u64, 1..=100_000),
            ("limits.histories_per_user", limits.histories_per_user as u64, 1..=100_000),
            ("sqlite.readers", self.sqlite.readers.into(), 1..=256),
            ("stores.pool", self.stores.pool.into(), 1..=1_000),
            ("stores.start_seconds", self.stores.start_seconds, 0..=3_600),
            ("shutdown_seconds", self.shutdown_seconds.into(), 0..=3_600),
            ("hand_off.wait_seconds", self.hand_off.wait_seconds.into(), 1..=3_600),
            ("reload.upload_seconds", self.reload.upload_seconds, 1..=86_400),
            ("stores.timeout_ms", self.stores.timeout_ms, 10..=600_000),
            ("stores.redis_timeout_ms", self.stores.redis_timeout_ms, 10..=600_000),
        ];
        for (name, value, bound) in bounds {
            if !bound.contains(&value) {
                return Err(SetupError::new(
                    format!("{name} is {value}"),
                    format!("set it to a number from {} to {}", bound.start(), bound.end()),
                ));
            }
        }
        let is_origin = |front: &String| {
            let host = front.strip_prefix("https://").or_else(|| front.strip_prefix("http://"));
            host.is_some_and(|host| !host.is_empty() && !host.contains(['/', '?', '#', ' ']))
        };
        match self.front.as_ref().filter(|front| !is_origin(front)) {
            Some(front) => Err(SetupError::new(
                format!("front (ADDRESS_FRONT) is `{front}`"),
                "set it to the front-end's origin, such as https://shop.example",
            )),
            None => Ok(()),
        }
    }
}

impl EmbeddingConfig {
    /// Refuses languages without encoders, and names that are no folders of `embedding.path`.
    pub(super) fn check_encoders(&self) -> Result<(), SetupError> {
        let fail = |what: String, hint: &str| Err(SetupError::new(what, hint));
        if !self.encoders.contains_key(OTHERS) {
            return fail(
                "embedding.encoders has no `other`".to_owned(),
                "name the encoders of all other languages there",
            );
        }
        for (language, names) in &self.encoders {
            if language != OTHERS && Language::new(language).is_none() {
                let known = Language::known().collect::<Vec<_>>().join(", ");
                let hint = format!("use `{OTHERS}` or one of: {known}");
                return fail(format!("embedding.encoders has the unknown language `{language}`"), &hint);
            }
            if names.is_empty() {
                return fail(format!("embedding.encoders.{language} is empty"), "name at least one encoder");
            }
            let is_plain = |name: &String| name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if let Some(name) = names.iter().find(|name| name.is_empty() || !is_plain(name)) {
                let what = format!("embedding.encoders.{language} names `{name}`");
                return fail(what, "name a subfolder of embedding.path: letters, digits, - and _");
            }
        }
        Ok(())
    }
}

fn check_secrets<'a>(
    name: &str,
    secrets: impl IntoIterator<Item = &'a Secret>,
    required: bool,
) -> Result<(), SetupError> {
    let fail = |what: &str| {
        Err(SetupError::new(
            format!("{name} {what}"),
            "set a random value of at least 32 bytes, for example from: openssl rand -hex 32",
        ))
    };
    let mut found = false;
    for secret in secrets {
        found = true;
        let text = String::from_utf8_lossy(secret.expose()).to_lowercase();
        if EXAMPLE_WORDS.iter().any(|word| text.contains(word)) {
            return fail("looks like an example");
        }
        if secret.expose().len() < MIN_SECRET_BYTES {
            return fail("is shorter than 32 bytes");
        }
        let distinct: BTreeSet<u8> = secret.expose().iter().copied().collect();
        if distinct.len() < 8 {
            return fail("repeats itself");
        }
    }
    if required && !found { fail("is missing") } else { Ok(()) }
}

/// Refuses a store's URL whose password was copied from an example.
fn check_password(name: &str, url: Option<&Secret>) -> Result<(), SetupError> {
    let text = url.map(|url| url.text().to_lowercase()).unwrap_or_default();
    // scheme://user:password@host
    let credentials = text.split_once("://").and_then(|(_, rest)| rest.rsplit_once('@'));
    let password =
        credentials.and_then(|(credentials, _)| credentials.split_once(':')).map_or("", |(_, password)| password);
    match EXAMPLE_WORDS.iter().any(|word| password.contains(word)) {
        true => Err(SetupError::new(
            format!("the password in {name} looks like an example"),
            "set the store's real password",
        )),
        false => Ok(()),
    }
}

/// Refuses a section that no profile reads, which would be ignored silently.
pub(super) fn refuse_unknown_profiles(own: &Figment) -> Result<(), SetupError> {
    let file = own.metadata().find_map(|data| data.source.as_ref()?.file_path()).unwrap_or(Path::new("Rocket.toml"));
    for profile in own.profiles() {
        let name = profile.as_str().as_str();
        if !["default", "dev", "release", "global"].contains(&name) {
            return Err(SetupError::new(
                format!("{} has an unknown section [{name}]", file.display()),
                "begin each section with default, dev or release, such as [default.log]",
            ));
        }
    }
    Ok(())
}

/// The failure for a configuration error, with its location: a line of the file, or an environment variable.
pub(super) fn configuration_failure(error: &figment::Error) -> SetupError {
    let mut path = error.path.clone();
    let mut hint = "Rocket.toml lists every key".to_owned();
    let secret = |path: &[String]| {
        let name = path.join(".");
        let is_url = ["stores.postgres", "stores.mongo", "stores.redis"].contains(&name.as_str());
        is_url || path.iter().any(|part| ["secret", "key", "keys"].contains(&part.as_str()))
    };
    let reason = match &error.kind {
        Kind::UnknownField(name, known) => {
            hint = choose_hint(name, known.iter().copied());
            if path.last() != Some(name) {
                path.push(name.clone());
            }
            format!("there is no key `{name}`")
        }
        _ if secret(&path) => "a secret must be a string".to_owned(),
        kind => kind.to_string(),
    };
    let source = error.metadata.as_ref().map_or(String::new(), |data| match &data.source {
        Some(Source::File(file)) => place_in_file(file, error.profile.as_ref(), &path),
        _ if data.name.contains("environment") => {
            let own = NAMES.iter().find(|(_, set)| *set == path.join(".") && !data.name.contains("BANTER_"));
            let name =
                own.map_or_else(|| format!("BANTER_{}", path.join("__").to_uppercase()), |(own, _)| (*own).to_owned());
            format!("the environment ({name})")
        }
        _ => data.name.to_string(),
    });
    let key = if path.is_empty() || matches!(error.kind, Kind::UnknownField(..)) {
        String::new()
    } else {
        format!("`{}`: ", path.join("."))
    };
    let source = if source.is_empty() { source } else { format!(" in {source}") };
    SetupError::new(format!("the configuration{source} is wrong: {key}{reason}"), hint)
}

/// The file, with the line of a key if it can be found. The parser reports no lines.
fn place_in_file(file: &Path, profile: Option<&Profile>, path: &[String]) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let (key, tables) = path.split_last().map_or(("", &[][..]), |(key, tables)| (key.as_str(), tables));
    let profile = profile.map_or("default", |profile| profile.as_str().as_str());
    let header = format!("[{}]", [&[profile.to_owned()], tables].concat().join("."));
    let is_header = |line: &&str| line.trim_start().starts_with('[');
    let is_key =
        |line: &str| line.trim_start().strip_prefix(key).is_some_and(|rest| rest.trim_start().starts_with('='));
    let lines: Vec<&str> = text.lines().collect();
    let begin = lines.iter().position(|line| line.trim_start().starts_with(&header)).map(|at| at + 1);
    let found = begin.and_then(|begin| {
        let section = lines[begin..].iter().take_while(|line| !is_header(line));
        section.enumerate().find(|(_, line)| is_key(line)).map(|(at, _)| begin + at + 1)
    });
    found.map_or(file.display().to_string(), |line| format!("{}:{line}", file.display()))
}
