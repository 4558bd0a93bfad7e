//! Google as these tests see it: a server that publishes keys, and tokens that they sign.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Command,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

pub const CLIENT_ID: &str = "banter-tests.apps.googleusercontent.com";

/// A key pair, made once: it takes a while.
pub struct KeyPair {
    pub kid: &'static str,
    pem: Vec<u8>,
    pub modulus: String,
}

impl KeyPair {
    pub fn make(kid: &'static str) -> Self {
        let run = |program: &str| {
            let output = Command::new("sh").args(["-c", program]).output().unwrap();
            assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
            output.stdout
        };
        let pem = run("openssl genrsa 2048 2>/dev/null");
        let text = String::from_utf8(pem.clone()).unwrap();
        let modulus = run(&format!("echo '{text}' | openssl rsa -noout -modulus"));
        let hex = String::from_utf8(modulus).unwrap().trim().trim_start_matches("Modulus=").to_owned();
        let bytes: Vec<u8> =
            (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
        Self { kid, pem, modulus: URL_SAFE_NO_PAD.encode(bytes) }
    }

    fn jwk(&self) -> Value {
        json!({ "kty": "RSA", "alg": "RS256", "use": "sig", "kid": self.kid, "n": self.modulus, "e": "AQAB" })
    }

    /// A token of this key. Each claim of `claims` replaces one of a good token; `null` removes it.
    pub fn token(&self, now: i64, claims: Value) -> String {
        let header = Header { kid: Some(self.kid.to_owned()), ..Header::new(Algorithm::RS256) };
        encode(&header, &self.claims(now, claims), &EncodingKey::from_rsa_pem(&self.pem).unwrap()).unwrap()
    }

    /// The claims of [`Self::token`].
    pub fn claims(&self, now: i64, claims: Value) -> Value {
        let mut all = json!({
            "iss": "https://accounts.google.com",
            "aud": CLIENT_ID,
            "sub": "1001",
            "email": "ann@mail.example",
            "email_verified": true,
            "given_name": "Ann",
            "family_name": "Lee",
            "picture": "https://pictures.example/ann.png",
            "iat": now / 1000,
            "exp": now / 1000 + 3_600,
        });
        for (name, value) in claims.as_object().into_iter().flatten() {
            match value {
                Value::Null => drop(all.as_object_mut().unwrap().remove(name)),
                value => all[name] = value.clone(),
            }
        }
        all
    }
}

pub static FIRST: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::make("first"));

/// Publishes keys.
pub struct Publisher {
    pub url: String,
    pub fetches: Arc<AtomicUsize>,
    published: Arc<Mutex<Value>>,
}

impl Publisher {
    /// Publishes the first key.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/certs", listener.local_addr().unwrap());
        let (fetches, published) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Value::Null)));
        let (counted, shown) = (fetches.clone(), published.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4_096]);
                counted.fetch_add(1, Ordering::SeqCst);
                let body = shown.lock().unwrap().to_string();
                let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nCache-Control: public, max-age=600\r\n";
                let _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
            }
        });
        let publisher = Self { url, fetches, published };
        publisher.publish(&[&FIRST]);
        publisher
    }

    pub fn publish(&self, keys: &[&KeyPair]) {
        *self.published.lock().unwrap() = json!({ "keys": keys.iter().map(|key| key.jwk()).collect::<Vec<_>>() });
    }

    pub fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}
