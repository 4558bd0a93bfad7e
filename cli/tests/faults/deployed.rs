//! `deploy/` as it is documented: real nginx with TLS in front of two servers in the profile `release`.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use banter_engine::{catalogue::bundle::Bundle, diagnostic::Diagnostics};
use banter_server::catalogs::archive;
use serde_json::{Value, json};
use ureq::{
    Agent,
    tls::{Certificate, RootCerts, TlsConfig},
};

use crate::{
    fleet::{Fleet, launch_with},
    neighbours::{log_in, post},
    services,
    support::{Running, root},
};

const ADMIN: &str = "7c1f0b6d93e24a58b1c07d2e6f94a3580d6b";

/// nginx over these servers; it ends with the test.
struct Nginx {
    process: Child,
    folder: PathBuf,
    https: u16,
    http: u16,
}

impl Drop for Nginx {
    fn drop(&mut self) {
        let _ = Command::new("/usr/sbin/nginx").args(["-s", "stop", "-c"]).arg(self.folder.join("nginx.conf")).status();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Nginx {
    /// Starts it with `deploy/nginx.conf`, in which only places and names are replaced.
    fn start(folder: &Path, servers: [&str; 2]) -> Self {
        let certs = folder.join("certs");
        fs::create_dir_all(&certs).unwrap();
        // As deploy/make-env.sh makes it.
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:false"])
            .args(["-keyout", "key.pem", "-out", "cert.pem"])
            .current_dir(&certs)
            .stderr(Stdio::null())
            .status();
        assert!(made.unwrap().success());
        let (https, http, front) = (free_port(), free_port(), free_port());
        let text = fs::read_to_string(root().join("deploy/nginx.conf")).unwrap();
        let temporary = format!(" {}/", folder.display());
        let replaced = [
            (" /tmp/", temporary.as_str()),
            ("/etc/nginx/certs/", &format!("{}/", certs.display())),
            ("server-1:8000 resolve", servers[0].trim_start_matches("http://")),
            ("server-2:8000 resolve", servers[1].trim_start_matches("http://")),
            ("listen 8443 ssl;", &format!("listen 127.0.0.1:{https} ssl http2;")),
            ("listen 8000;", &format!("listen 127.0.0.1:{http};")),
            ("listen 3000;", &format!("listen 127.0.0.1:{front};")),
            // Debian's nginx is older than the image's: HTTP/2 is an option of `listen` there.
            ("        http2 on;\n", ""),
            ("    resolver 127.0.0.11 valid=2s;\n", ""),
        ];
        let text = replaced.iter().fold(text, |text, (from, to)| {
            assert!(text.contains(from), "deploy/nginx.conf has no `{from}` any more");
            text.replace(from, to)
        });
        fs::write(folder.join("nginx.conf"), text).unwrap();
        let process = Command::new("/usr/sbin/nginx")
            .args(["-g", "daemon off;", "-e", "stderr", "-c"])
            .arg(folder.join("nginx.conf"))
            .stdout(Stdio::null())
            .spawn()
            .expect("services/services.sh installs nginx");
        let mut tries = 0;
        while TcpStream::connect(("127.0.0.1", https)).is_err() {
            tries += 1;
            assert!(tries < 500, "nginx does not listen");
            thread::sleep(Duration::from_millis(20));
        }
        Self { process, folder: folder.to_owned(), https, http }
    }

    /// A client that trusts the made certificate alone.
    fn agent(&self) -> Agent {
        let pem = fs::read(self.folder.join("certs/cert.pem")).unwrap();
        let roots = RootCerts::new_with_certs(&[Certificate::from_pem(&pem).unwrap()]);
        let tls = TlsConfig::builder().root_certs(roots).build();
        let config = Agent::config_builder().tls_config(tls).http_status_as_error(false);
        config.timeout_global(Some(Duration::from_secs(300))).build().into()
    }

    /// A connection without TLS, as programs on the machine use it, with a request.
    fn ask(&self, request: &str) -> TcpStream {
        let mut stream = TcpStream::connect(("127.0.0.1", self.http)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream
    }
}

/// Reads until `end` is there.
fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let (mut text, mut piece) = (String::new(), [0; 4_096]);
    while !text.contains(end) {
        let read = stream.read(&mut piece).unwrap_or(0);
        assert!(read > 0, "{end} does not come after {text}");
        text.push_str(&String::from_utf8_lossy(&piece[..read]));
    }
    text
}

#[test]
fn the_documented_fleet_serves_all_that_it_should() {
    let _alone = Fleet::alone();
    let stores = tokio::runtime::Runtime::new().unwrap().block_on(services::fresh());
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("BANTER_PROFILE", "release"),
        ("BANTER_PROXIES", "[\"127.0.0.0/8\"]"),
        ("BANTER_ADMIN__KEY", ADMIN),
        ("BANTER_AUTH__SECRET", "c9a5e1f27b3d48609d1e7a4c5b8f2036"),
        ("BANTER_HEALTH__KEY", "4b8e2d7f1a6c40935e0d9b7c3f8a1264"),
        ("BANTER_HAND_OFF__KEY", "e1d37a94c5b24f68a07f9e3d1c6b8052"),
        ("SECURE_HTTP_HTTPS", "true"),
    ];
    let places = [folder.path().join("one"), folder.path().join("two")];
    let servers: Vec<Running> = places.iter().map(|place| launch_with(place, &stores, &environment)).collect();
    let nginx = Nginx::start(folder.path(), [&servers[0].address, &servers[1].address]);
    let (agent, address) = (nginx.agent(), format!("https://localhost:{}", nginx.https));

    let (token, _) = log_in(&agent, &address, "ann@mail.example");
    let bearer = format!("Bearer {token}");
    let say = |text: &str, dialogue: i64| {
        let body = json!({ "text": text, "dialog_id": dialogue });
        post(&agent, &format!("{address}/messages/send"), &[("Authorization", &bearer)], &body)
    };
    let named = json!({ "dialog_name": "orders" });
    let (_, made) = post(&agent, &format!("{address}/dialogs/create"), &[("Authorization", &bearer)], &named);
    let dialogue = made["dialog"].as_i64().unwrap();
    let (status, answer) = say("hello", dialogue);
    assert_eq!(status, 200, "{answer}");

    events_pass_as_they_come(&nginx, &bearer, dialogue, &|text| assert_eq!(say(text, dialogue).0, 200));
    a_web_socket_passes(&nginx, &bearer, dialogue, &|text| assert_eq!(say(text, dialogue).0, 200));
    a_bot_is_published(&agent, &address);
    one_address_is_limited(&nginx);

    let mut history = agent.get(format!("{address}/session/history")).header("Authorization", &bearer).call().unwrap();
    let history: Value = history.body_mut().read_json().unwrap();
    let stored = history["history"].as_array().unwrap().len();
    println!("{:<24} sent    3  acknowledged    3  lost {}", "deployed fleet", 3 - stored);
    assert_eq!(stored, 3, "{history}");
}

fn events_pass_as_they_come(nginx: &Nginx, bearer: &str, dialogue: i64, say: &dyn Fn(&str)) {
    let request =
        format!("GET /dialogs/{dialogue}/events HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\n\r\n");
    let mut stream = nginx.ask(&request);
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200") && head.contains("text/event-stream"), "{head}");
    say("what are your opening hours");
    read_until(&mut stream, "what are your opening hours");
}

fn a_web_socket_passes(nginx: &Nginx, bearer: &str, dialogue: i64, say: &dyn Fn(&str)) {
    let request = format!(
        "GET /ws?dialog_id={dialogue} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {bearer}\r\nConnection: Upgrade\r\n\
         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    let mut stream = nginx.ask(&request);
    let head = read_until(&mut stream, "\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    say("good evening");
    read_until(&mut stream, "good evening");
}

/// The demo bot, with its plugins of many megabytes, and the progress of its checks.
fn a_bot_is_published(agent: &Agent, address: &str) {
    let mut bundle = Bundle::read(&root(), &mut Diagnostics::default()).unwrap();
    // Its fixtures have other tests.
    bundle.files.retain(|path, _| !path.starts_with("fixtures/"));
    let greeting = bundle.files.keys().find(|path| path.starts_with("texts/")).unwrap().clone();
    bundle.files.get_mut(&greeting).unwrap().extend_from_slice(b"\n# changed\n");
    let tar = archive::write(&bundle).unwrap();
    assert!(tar.len() > 230_000, "{} bytes", tar.len());
    let request = agent.post(format!("{address}/admin/versions")).header("X-Admin-Key", ADMIN);
    let request = request.header("Accept", "text/event-stream").content_type("application/x-tar");
    let mut answer = request.send(&tar).unwrap();
    let status = answer.status().as_u16();
    let told = answer.body_mut().read_to_string().unwrap();
    assert!(status == 200 && told.contains("event:progress") | told.contains("event: progress"), "{status}: {told}");
    assert!(told.contains("\"activated\":true"), "{told}");
}

fn one_address_is_limited(nginx: &Nginx) {
    let ask = || {
        let mut stream = nginx.ask("GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        read_until(&mut stream, "\r\n\r\n").split(' ').nth(1).unwrap().to_owned()
    };
    let statuses: Vec<String> = (0..600).map(|_| ask()).collect();
    let count = |status: &str| statuses.iter().filter(|one| *one == status).count();
    assert!(count("200") >= 200 && count("429") > 0, "{} served, {} refused", count("200"), count("429"));
    assert_eq!(count("200") + count("429"), 600, "and nothing else");
    thread::sleep(Duration::from_secs(5));
    let open: Vec<TcpStream> = (0..130)
        .map(|_| {
            let stream = TcpStream::connect(("127.0.0.1", nginx.http)).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            stream
        })
        .collect();
    // A request that is not finished holds its place.
    let begun = open.iter().map(|mut stream| {
        stream.write_all(b"POST /auth/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 50\r\n\r\n{")
    });
    assert_eq!(begun.filter(Result::is_ok).count(), 130);
    thread::sleep(Duration::from_millis(500));
    let refused = open.iter().filter(|stream| {
        stream.set_nonblocking(true).unwrap();
        let mut answer = [0; 12];
        let mut stream: &TcpStream = stream;
        matches!(stream.read(&mut answer), Ok(12)) && &answer == b"HTTP/1.1 429"
    });
    assert!(refused.count() >= 30, "an address may have 100 connections");
}
