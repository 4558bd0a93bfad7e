//! What happens in a dialogue, as it happens: by server-sent events, and by WebSocket.

use std::{sync::Arc, time::Duration};

use banter_server::{
    config::Rules,
    conversations::WATCHES_PER_USER,
    feeds::{Feed, Happening},
    web::App,
};
use banter_stores::{DialogueId, UserId, secret::Secret};
use futures::{SinkExt, StreamExt};
use rocket::{
    http::Header,
    local::asynchronous::LocalResponse,
    tokio::io::{AsyncBufReadExt, BufReader},
};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};

use crate::support::{Server, server, server_with};

/// The bot hands this off.
const QUESTION: &str = "track order Z-0000";

/// A user with one dialogue.
struct User<'s> {
    server: &'s Server,
    bearer: String,
    id: i64,
    dialog: i64,
}

impl<'s> User<'s> {
    async fn log_in(server: &'s Server, email: &str) -> Self {
        // A refresh token is known to all servers, also on the embedded store.
        let bearer = format!("Bearer {}", server.log_in(email).await.1);
        let headers = [("Authorization", bearer.as_str())];
        let created = server.post("/dialogs/create", &headers, json!({ "dialog_name": "orders" }).to_string()).await;
        let history = server.get("/session/history", &headers).await;
        let id = history.body["user_id"].as_str().unwrap().parse().unwrap();
        Self { server, id, dialog: created.body["dialog"].as_i64().unwrap(), bearer }
    }

    async fn say(&self, text: &str) {
        let body = json!({ "dialog_id": self.dialog, "text": text }).to_string();
        let answer = self.server.post("/messages/send", &[("Authorization", &self.bearer)], body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }

    async fn stream(&self, last: Option<i64>) -> Events<'s> {
        let request = self.server.client.get(format!("/dialogs/{}/events", self.dialog));
        let mut request = request.header(Header::new("Authorization", self.bearer.clone()));
        if let Some(last) = last {
            request.add_header(Header::new("Last-Event-ID", last.to_string()));
        }
        let response = request.dispatch().await;
        assert_eq!(response.status().code, 200);
        Events(BufReader::new(response))
    }
}

struct Events<'s>(BufReader<LocalResponse<'s>>);

impl Events<'_> {
    /// The next event: its name, id and data.
    async fn next(&mut self) -> Option<(String, String, Value)> {
        timeout(Duration::from_secs(10), self.read()).await.expect("no event comes")
    }

    async fn read(&mut self) -> Option<(String, String, Value)> {
        let (mut name, mut id, mut data) = (String::new(), String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.0.read_line(&mut line).await.unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("event", value)) => name = value.to_owned(),
                Some(("id", value)) => id = value.to_owned(),
                Some(("data", value)) => data.push_str(value),
                Some(_) => {}
                None if data.is_empty() => {}
                None => return Some((name, id, serde_json::from_str(&data).unwrap())),
            }
        }
    }

    async fn check(&mut self, name: &str, id: &str, parts: &[(&str, Value)]) {
        let (got, at, data) = self.next().await.expect("the stream has ended");
        assert_eq!((got.as_str(), at.as_str()), (name, id), "{data}");
        for (part, expected) in parts {
            assert_eq!(data.pointer(part), Some(expected), "{part} of {data}");
        }
    }
}

#[rocket::async_test]
async fn a_stream_tells_turns_and_the_flag_and_goes_on_where_it_ended() {
    let server =
        server_with(Rules::Dev, |config| config.hand_off.key = Some(Secret::new("key".to_owned()).into())).await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    ann.say("hello there").await;
    let mut events = ann.stream(None).await;
    events.check("flag", "1", &[("/content", json!(false))]).await;
    ann.say("track order A-1042").await;
    let parts = [
        ("/text", json!("track order A-1042")),
        ("/response", json!("A-1042 is fine, asked 1 times\nhttps://x.example/box.png")),
        ("/outputs/1/url", json!("https://x.example/box.png")),
        ("/outputs/2/value/n", json!(1)),
        ("/dialog_id", json!(ann.dialog)),
    ];
    events.check("message", "2", &parts).await;
    ann.say(QUESTION).await;
    events.check("message", "3", &[("/response", json!("Calling."))]).await;
    events.check("flag", "3", &[("/content", json!(true))]).await;
    let answer = json!({ "user_id": ann.id, "dialog_id": ann.dialog, "text_user": "I am Olga." }).to_string();
    assert_eq!(server.post("/send/message/user", &[("X-Messages-Key", "key")], answer).await.status, 200);
    events.check("message", "4", &[("/text", json!("")), ("/response", json!("I am Olga."))]).await;
    events.check("flag", "4", &[("/content", json!(false))]).await;
    drop(events);

    let mut again = ann.stream(Some(2)).await;
    again.check("message", "3", &[]).await;
    again.check("message", "4", &[]).await;
    again.check("flag", "4", &[("/content", json!(false))]).await;
}

#[rocket::async_test]
async fn a_stream_hears_of_turns_on_another_server() {
    if !crate::EXTERNAL {
        return;
    }
    let server = server().await;
    let other = server.with_the_same_stores().await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    let mut events = ann.stream(None).await;
    events.check("flag", "0", &[]).await;
    User { server: &other, bearer: ann.bearer.clone(), ..ann }.say("hello there").await;
    events.check("message", "1", &[("/response", json!("Hello!"))]).await;
}

#[rocket::async_test]
async fn a_stream_ends_with_the_log_in_and_with_the_dialogue() {
    let server = server().await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    let mut events = ann.stream(None).await;
    events.check("flag", "0", &[]).await;
    let body = json!({ "dialog_id": ann.dialog }).to_string();
    assert_eq!(server.post("/dialogs/delete", &[("Authorization", &ann.bearer)], body).await.status, 200);
    assert_eq!(events.next().await, None);

    let bob = User::log_in(&server, "bob@mail.example").await;
    let mut events = bob.stream(None).await;
    events.check("flag", "0", &[]).await;
    let second = format!("Bearer {}", server.log_in("bob@mail.example").await.1);
    assert_eq!(server.post("/logout", &[("Authorization", &bob.bearer)], "{}").await.status, 200);
    User { bearer: second, ..bob }.say("hello there").await;
    assert_eq!(events.next().await, None, "nothing is told after a log-out");
}

#[rocket::async_test]
async fn streams_of_a_user_are_bounded() {
    let server = server().await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    let mut open = Vec::new();
    for _ in 0..WATCHES_PER_USER {
        open.push(ann.stream(None).await);
    }
    let path = format!("/dialogs/{}/events", ann.dialog);
    let one_more = server.get(&path, &[("Authorization", &ann.bearer)]).await;
    assert_eq!((one_more.status, one_more.code()), (429, "too_many_waiting"));
    drop(open);
    assert_eq!(server.stream_status(&path, &[("Authorization", &ann.bearer)]).await, 200);
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn connect(address: &str, query: &str, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let mut request = format!("ws://{address}/ws{query}").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    connect_async(request).await.map(|(socket, _)| socket)
}

async fn receive(socket: &mut Socket) -> Option<Value> {
    loop {
        match timeout(Duration::from_secs(10), socket.next()).await.expect("no frame comes")? {
            Ok(Message::Text(text)) => return Some(serde_json::from_str(&text).unwrap()),
            Ok(Message::Close(_)) | Err(_) => return None,
            Ok(_) => {}
        }
    }
}

async fn send(socket: &mut Socket, message: Value) {
    socket.send(Message::Text(message.to_string())).await.unwrap();
}

/// The frames that follow a message, in any order: its turn, and that it is sent.
async fn two(socket: &mut Socket) -> (Value, Value) {
    let (one, other) = (receive(socket).await.unwrap(), receive(socket).await.unwrap());
    if one["type"] == "message" { (one, other) } else { (other, one) }
}

#[rocket::async_test]
async fn a_web_socket_takes_messages_and_tells_turns() {
    let server = server().await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    let address = server.listen().await;
    let query = format!("?dialog_id={}", ann.dialog);
    let mut socket = connect(&address, &query, &[("Authorization", &ann.bearer)]).await.unwrap();
    assert_eq!(receive(&mut socket).await.unwrap(), json!({ "type": "flag", "content": false }));
    send(&mut socket, json!({ "text": "hello there", "key": "a" })).await;
    let (message, sent) = two(&mut socket).await;
    assert_eq!(sent, json!({ "type": "sent", "key": "a" }));
    assert_eq!((&message["text"], &message["response"]), (&json!("hello there"), &json!("Hello!")));
    assert_eq!(message["outputs"][0]["suggestions"], json!(["track order"]));
    send(&mut socket, json!({ "text": "hello there", "key": "a" })).await;
    assert_eq!(receive(&mut socket).await.unwrap(), json!({ "type": "sent", "key": "a" }), "a repeat stores nothing");
    for (frame, code) in [
        (json!({ "text": "other", "key": "a" }), "idempotency_mismatch"),
        (json!({ "text": " " }), "invalid_text"),
        (json!({ "text": "hi", "key": "" }), "invalid_idempotency_key"),
        (json!({ "message": "hi" }), "malformed_json"),
    ] {
        send(&mut socket, frame).await;
        let told = receive(&mut socket).await.unwrap();
        assert_eq!((&told["type"], &told["problem"]["code"]), (&json!("error"), &json!(code)), "{told}");
    }
    drop(socket);
    let second = format!("Bearer {}", server.log_in("ann@mail.example").await.1);
    let mut other = connect(&address, &query, &[("Authorization", &second)]).await.unwrap();
    receive(&mut other).await.unwrap();
    assert_eq!(server.post("/logout", &[("Authorization", &second)], "{}").await.status, 200);
    send(&mut other, json!({ "text": "hello there" })).await;
    assert_eq!(receive(&mut other).await, None, "nothing is taken after a log-out");
    let query = format!("{query}&after=0");
    let mut again = connect(&address, &query, &[("Authorization", &ann.bearer)]).await.unwrap();
    assert_eq!(receive(&mut again).await.unwrap()["seq"], 1, "what was missed comes");
    again.send(Message::Text("x".repeat(100_000))).await.unwrap();
    assert_eq!(receive(&mut again).await.map(|frame| frame["type"].clone()), Some(json!("flag")));
    assert_eq!(receive(&mut again).await, None, "a frame that is too large ends the connection");
}

#[rocket::async_test]
async fn a_web_socket_is_for_the_users_own_pages_and_dialogues() {
    let server = server().await;
    let (ann, bob) = (User::log_in(&server, "ann@mail.example").await, User::log_in(&server, "bob@mail.example").await);
    let address = server.listen().await;
    let status = async |query: &str, headers: &[(&'static str, &str)]| match connect(&address, query, headers).await {
        Ok(_) => 101,
        Err(Error::Http(response)) => response.status().as_u16(),
        Err(other) => panic!("{other}"),
    };
    let cookie = format!("access_token={}", ann.bearer.trim_start_matches("Bearer "));
    let foreign = format!("?dialog_id={}", bob.dialog);
    for (query, headers, expected) in [
        ("", vec![], 401),
        ("", vec![("Authorization", ann.bearer.as_str())], 101),
        ("", vec![("Cookie", cookie.as_str()), ("Origin", "http://evil.example")], 403),
        ("", vec![("Cookie", cookie.as_str())], 403),
        ("", vec![("Cookie", cookie.as_str()), ("Origin", &format!("http://{address}"))], 101),
        (&foreign, vec![("Authorization", ann.bearer.as_str())], 404),
        ("?dialog_id=0", vec![("Authorization", ann.bearer.as_str())], 422),
        ("?after=x", vec![("Authorization", ann.bearer.as_str())], 422),
    ] {
        assert_eq!(status(query, &headers).await, expected, "{query} {headers:?}");
    }
}

/// The next thing that is said in a dialogue.
async fn said(feed: &mut Feed) -> String {
    loop {
        let happened = timeout(Duration::from_secs(10), feed.next()).await.expect("nothing happens").unwrap();
        if let Some(Happening::Turn(turn)) = happened.into_iter().next() {
            return turn.response;
        }
    }
}

#[rocket::async_test]
async fn the_bot_breaks_a_silence_once_whoever_listens() {
    let server = server().await;
    let ann = User::log_in(&server, "ann@mail.example").await;
    let app = server.client.rocket().state::<Arc<App>>().unwrap();
    let (user, dialogue) = (UserId(ann.id), DialogueId(ann.dialog));
    let open = || app.feeds.open(user, Some(dialogue), None);
    let (mut phone, mut laptop) = (open().await.unwrap(), open().await.unwrap());
    let turns = || async { app.feeds.page(user, dialogue, None, 10).await.unwrap().0.len() };
    ann.say("track my order").await;
    let question = said(&mut phone).await;
    assert_eq!(said(&mut laptop).await, question);
    server.clock.advance(4 * 60_000);
    phone.beat();
    laptop.beat();
    assert_eq!(turns().await, 1, "it is too early");
    server.clock.advance(60_000);
    phone.beat();
    laptop.beat();
    let reminder = format!("Are you still there?\n{question}");
    assert_eq!(said(&mut phone).await, reminder);
    assert_eq!(said(&mut laptop).await, reminder);
    server.clock.advance(60 * 60_000);
    phone.beat();
    laptop.beat();
    assert_eq!(turns().await, 2, "once is enough");
    ann.say("A-1042").await;
    assert_ne!(said(&mut phone).await, reminder);
}
