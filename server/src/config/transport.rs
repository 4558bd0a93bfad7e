//! Whether a store's URL asks for TLS with a verified certificate.

use url::Url;

use crate::setup::SetupError;

/// Refuses a URL that leads to another machine without verified TLS.
///
/// # Errors
/// With the store's name and what to add to its URL; never with the URL, which holds a password.
pub(super) fn check(name: &str, url: &str) -> Result<(), SetupError> {
    // A URL that cannot be read is told by the store's driver.
    let Ok(url) = Url::parse(url) else { return Ok(()) };
    if is_here(&url) || is_verified(&url) {
        return Ok(());
    }
    let add = match url.scheme() {
        "postgres" | "postgresql" => "add ?sslmode=verify-full to the URL (DATABASE_* has no such setting)",
        "mongodb" => "add tls=true to the URL, without tlsInsecure and tlsAllowInvalidCertificates",
        _ => "write rediss:// in place of redis://, without #insecure",
    };
    Err(SetupError::new(
        format!(
            "the connection to {} by {name} is not encrypted with a verified certificate",
            url.host_str().unwrap_or("")
        ),
        format!("{add}; in a private network of its own, set stores.plaintext = true"),
    ))
}

/// Whether the host is this machine. Several hosts of a replica set are other machines.
fn is_here(url: &Url) -> bool {
    match url.host() {
        None => true,
        Some(url::Host::Domain(name)) => {
            let host = name.trim_start_matches('[').trim_end_matches(']');
            host.is_empty()
                || host == "localhost"
                || host.starts_with("%2F")
                || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
    }
}

fn is_verified(url: &Url) -> bool {
    let has = |name: &str, value: &str| {
        url.query_pairs().any(|(key, given)| key.eq_ignore_ascii_case(name) && given.eq_ignore_ascii_case(value))
    };
    match url.scheme() {
        "postgres" | "postgresql" => has("sslmode", "verify-full"),
        "mongodb+srv" => {
            !has("tls", "false") && !has("tlsInsecure", "true") && !has("tlsAllowInvalidCertificates", "true")
        }
        "mongodb" => {
            (has("tls", "true") || has("ssl", "true"))
                && !has("tlsInsecure", "true")
                && !has("tlsAllowInvalidCertificates", "true")
        }
        "rediss" => url.fragment() != Some("insecure"),
        _ => false,
    }
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
