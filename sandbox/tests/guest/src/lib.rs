//! A plugin that does what a hostile one would do. The message names the deed.

use std::{
    fs,
    hint::black_box,
    net::TcpStream,
    sync::atomic::{AtomicU32, Ordering},
    time,
};

wit_bindgen::generate!({ path: "../contract/plugin-1.0.0.wit", world: "plugin" });

use banter::plugin::{
    clock, http, kv, log, random,
    types::{Effect, Say, Slot},
};

struct Guest_;

impl Guest for Guest_ {
    fn handle(request: Request) -> Result<Reply, Failure> {
        let (deed, rest) = request.text.split_once(' ').unwrap_or((&request.text, ""));
        match deed {
            "loop" => loop {
                black_box(0);
            },
            "recurse" => Ok(say(recurse(0).to_string())),
            "memory" => {
                let mut all: Vec<Vec<u8>> = Vec::new();
                loop {
                    all.push(vec![1; 1 << 20]);
                }
            }
            "huge" => Ok(say("x".repeat(rest.parse().unwrap()))),
            "many" => Ok(Reply { effects: (0..10_000).map(|_| Effect::End).collect(), value: None }),
            "no-json" => Ok(Reply { effects: Vec::new(), value: Some("{".repeat(9)) }),
            // SAFETY: none; that is the point.
            "invalid" => Ok(say(unsafe { String::from_utf8_unchecked(vec![b'a', 0xFF, 0xFE, 0x80]) })),
            "panic" => panic!("boom"),
            "refuse" => Err(Failure { message: "no".into(), user_text: Some("Not today.".into()), retryable: true }),
            "outside" => Ok(say(outside())),
            "get" => Ok(say(format!("{:?}", kv::get(rest)))),
            "set" => {
                let (key, value) = rest.split_once(' ').unwrap();
                Ok(say(format!("{:?}", kv::set(key, value))))
            }
            "get-for-ever" => loop {
                black_box(kv::get("x")).ok();
            },
            "gets" => {
                let refused = (0..1_000).filter(|number| kv::get(&number.to_string()).is_err()).count();
                Ok(say(refused.to_string()))
            }
            "sets" => {
                let refused = (0..1_000).filter(|number| kv::set(&number.to_string(), "1").is_err()).count();
                Ok(say(refused.to_string()))
            }
            "fetches" => Ok(say((0..100).filter(|_| http::get(rest).is_err()).count().to_string())),
            "fetch" => Ok(say(format!("{:?}", http::get(rest).map(|answer| answer.body)))),
            "log" => {
                (0..1_000).for_each(|number| log::log(log::Level::Info, &format!("{number}{}", "x".repeat(9_999))));
                Ok(say("logged"))
            }
            "chance" => Ok(say(format!("{} {}", random::unit(), random::below(1_000)))),
            "count" => {
                static CALLS: AtomicU32 = AtomicU32::new(0);
                Ok(say((CALLS.fetch_add(1, Ordering::Relaxed) + 1).to_string()))
            }
            "clock" => {
                let now = clock::now();
                Ok(say(format!("{}-{}-{} {} {}", now.year, now.month, now.day, now.hour, now.weekday)))
            }
            "echo" => Ok(Reply {
                effects: vec![
                    Effect::Say(Say { text: request.settings.clone(), suggestions: vec![request.language.clone()] }),
                    Effect::SetSlot(Slot { name: "seen".into(), value: request.user_id.to_string() }),
                ],
                value: request.arguments,
            }),
            _ => Ok(say(format!("{} of {}", request.text, request.user_id))),
        }
    }
}

export!(Guest_);

fn say(text: impl Into<String>) -> Reply {
    Reply { effects: vec![Effect::Say(Say { text: text.into(), suggestions: Vec::new() })], value: None }
}

#[expect(unconditional_recursion, reason = "that is the deed")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 64]);
    recurse(depth + 1) + frame[3]
}

/// What WASI reveals about the outside world.
fn outside() -> String {
    let wall = time::SystemTime::now().duration_since(time::UNIX_EPOCH).unwrap().as_secs();
    let begun = time::Instant::now();
    let (files, write) = (fs::read_dir("/").is_ok(), fs::write("/tmp/guest", "x").is_ok());
    let (passwords, socket) = (fs::read("/etc/passwd").is_ok(), TcpStream::connect("127.0.0.1:1").map(drop));
    let socket = socket.map_err(|error| error.kind());
    format!(
        "env {} args {} files {files} write {write} passwd {passwords} socket {socket:?} wall {wall} passed {}",
        std::env::vars().count(),
        std::env::args().count(),
        begun.elapsed().as_nanos()
    )
}
