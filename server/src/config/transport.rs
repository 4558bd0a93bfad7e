//! Whether a store's URL asks for TLS with a verified certificate.

use std::{collections::BTreeMap, net::IpAddr};

use crate::setup::SetupError;

/// Refuses a URL that leads to another machine without verified TLS.
///
/// # Errors
/// With the store's name and what to add to its URL; never with the URL, which holds a password.
pub(super) fn check(name: &str, url: &str) -> Result<(), SetupError> {
    let Some(parts) = Parts::of(url) else {
        return Err(SetupError::new(format!("{name} is not a URL"), "write scheme://user:password@host/name"));
    };
    if parts.hosts.iter().all(|host| is_here(host)) || parts.is_verified() {
        return Ok(());
    }
    let add = match parts.scheme {
        "postgres" | "postgresql" => "add ?sslmode=verify-full to the URL (DATABASE_* has no such setting)",
        "mongodb" => "add tls=true to the URL, without tlsInsecure and tlsAllowInvalidCertificates",
        _ => "write rediss:// in place of redis://, without #insecure",
    };
    Err(SetupError::new(
        format!("the connection to {} by {name} is not encrypted with a verified certificate", parts.hosts.join(",")),
        format!("{add}; in a private network of its own, set stores.plaintext = true"),
    ))
}

/// The parts of a URL that say where it leads, and how. A URL of MongoDB may have several hosts, which no general
/// parser of URLs reads.
struct Parts<'u> {
    scheme: &'u str,
    /// With their ports.
    hosts: Vec<&'u str>,
    /// Parameters in lower case; of several with one name, the last counts.
    parameters: BTreeMap<String, String>,
    fragment: &'u str,
}

impl<'u> Parts<'u> {
    fn of(url: &'u str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (rest, fragment) = rest.split_once('#').unwrap_or((rest, ""));
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let authority = place.split('/').next().unwrap_or("");
        let authority = authority.rsplit_once('@').map_or(authority, |(_, hosts)| hosts);
        let mut hosts: Vec<&str> = authority.split(',').collect();
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        // These parameters of PostgreSQL lead elsewhere than the host before them.
        let elsewhere = pairs.clone().filter(|(key, _)| ["host", "hostaddr"].contains(&key.to_lowercase().as_str()));
        hosts.extend(elsewhere.map(|(_, host)| host));
        let parameters = pairs.map(|(key, value)| (key.to_lowercase(), value.to_lowercase())).collect();
        Some(Self { scheme, hosts, parameters, fragment })
    }

    fn has(&self, name: &str, value: &str) -> bool {
        self.parameters.get(name).is_some_and(|given| given == value)
    }

    fn is_verified(&self) -> bool {
        let trusting = self.has("tlsinsecure", "true") || self.has("tlsallowinvalidcertificates", "true");
        match self.scheme {
            "postgres" | "postgresql" => self.has("sslmode", "verify-full"),
            "mongodb+srv" => !self.has("tls", "false") && !self.has("ssl", "false") && !trusting,
            "mongodb" => (self.has("tls", "true") || self.has("ssl", "true")) && !trusting,
            "rediss" => self.fragment != "insecure",
            _ => false,
        }
    }
}

/// Whether a host is this machine: a loopback address or a socket.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(""),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    let socket = name.is_empty() || name.starts_with('/') || name.to_lowercase().starts_with("%2f");
    socket || name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_verified_connections_leave_the_machine() {
        for (url, good) in [
            ("postgres://banter:pw@db.example/banter", false),
            ("postgres://banter:pw@db.example/banter?sslmode=require", false),
            ("postgres://banter:pw@db.example/banter?sslmode=verify-full", true),
            ("postgres://banter:pw@127.0.0.1:5432/banter", true),
            ("postgres://banter:pw@localhost/banter", true),
            ("postgres://banter:pw@%2Frun%2Fpostgresql/banter", true),
            ("mongodb://banter:pw@db.example/banter?replicaSet=rs0", false),
            ("mongodb://banter:pw@db.example/banter?replicaSet=rs0&tls=true", true),
            ("mongodb://banter:pw@db.example/banter?tls=true&tlsInsecure=true", false),
            ("mongodb+srv://banter:pw@db.example/banter", true),
            ("mongodb+srv://banter:pw@db.example/banter?tlsAllowInvalidCertificates=true", false),
            ("mongodb://[::1]:27017/banter", true),
            ("mongodb://banter:pw@a.example:27017,b.example:27017/banter?replicaSet=rs0", false),
            ("mongodb://banter:pw@127.0.0.1:27017,b.example:27017/banter", false),
            ("mongodb://banter:pw@a.example:27017,b.example:27017/banter?tls=true", true),
            ("postgres://localhost/banter?host=db.example", false),
            ("postgres:///banter?hostaddr=192.0.2.1", false),
            ("postgres:///banter?host=/run/postgresql", true),
            ("postgres://db.example/banter?sslmode=verify-full&sslmode=disable", false),
            ("no url", false),
            ("redis://banter:pw@cache.example", false),
            ("rediss://banter:pw@cache.example", true),
            ("rediss://banter:pw@cache.example/#insecure", false),
            ("redis://127.0.0.1", true),
        ] {
            let told = check("stores.some", url);
            assert_eq!(told.is_ok(), good, "{url}");
            assert!(told.is_ok() || !told.unwrap_err().message.contains("pw"), "{url}: a secret is told");
        }
    }
}
