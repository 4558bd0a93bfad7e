//! What happens in a dialogue, as it happens: by server-sent events, and by WebSocket.

use std::{sync::Arc, time::Duration};

use banter_stores::{DialogueId, NewTurn};
use rocket::{
    Request, Shutdown, State,
    futures::{SinkExt, StreamExt},
    get,
    request::{FromRequest, Outcome},
    response::stream::{Event, EventStream, stream},
};
use rocket_ws::{Channel, Config, Message, WebSocket, frame::CloseCode, frame::CloseFrame, stream::DuplexStream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::time::{MissedTickBehavior, interval, timeout};
use utoipa::ToSchema;

use crate::{
    conversations::{ConversationError, Incoming},
    feeds::{Feed, Happening},
    web::{
        app::App,
        context::RequestContext,
        guard::{IdempotencyKey, Token, is_key},
        problem::{Problem, ProblemDocument, RequestError},
    },
};

/// A silent connection gets a sign of life after this time. A log-in that has ended is noticed by then, too.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A client that takes longer to read is gone.
const SLOW: Duration = Duration::from_secs(10);

/// A turn of a dialogue.
#[derive(Serialize, ToSchema)]
pub struct TurnMessage {
    /// 24 hex digits.
    id: String,
    dialog_id: i64,
    /// The turn's number in its dialogue, from 1. A client that connects again names the last one that it knows.
    seq: i64,
    /// When the turn was made, in milliseconds since 1970.
    at: i64,
    /// What the user said; empty if the bot began.
    text: String,
    /// What the bot says, as one text.
    response: String,
    /// What the bot says and shows.
    outputs: Value,
}

impl From<NewTurn> for TurnMessage {
    fn from(turn: NewTurn) -> Self {
        let NewTurn { id, dialogue, seq, created_at: at, text, response, outputs, .. } = turn;
        Self { id, dialog_id: dialogue.0, seq, at, text, response, outputs }
    }
}

/// A server-sent event.
#[derive(ToSchema)]
pub struct StreamEvent {
    /// `message` or `flag`.
    #[schema(value_type = String)]
    event: &'static str,
    /// The number of the last turn.
    id: String,
    /// JSON: a `TurnMessage`, or `{"content": true}` for the flag.
    data: String,
}

/// What the server sends over a WebSocket.
#[derive(Serialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerMessage {
    /// A turn of the dialogue.
    Message(TurnMessage),
    /// Whether an answer of the external AI or of a person is awaited.
    Flag { content: bool },
    /// The client's message is stored; its turn comes as a `message`.
    Sent {
        /// The key of the client's message.
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
    },
    /// The client's message is not stored.
    Error {
        #[serde(skip_serializing_if = "Option::is_none")]
        key: Option<String>,
        /// A problem document.
        #[schema(value_type = Object)]
        problem: Value,
    },
}

/// What a client sends over a WebSocket.
#[derive(Deserialize, ToSchema)]
pub struct ClientMessage {
    #[schema(min_length = 1, max_length = 2000)]
    text: String,
    /// 1 to 64 visible ASCII characters. A repeat within 24 hours stores nothing.
    key: Option<String>,
}

impl From<Happening> for ServerMessage {
    fn from(happening: Happening) -> Self {
        match happening {
            Happening::Turn(turn) => Self::Message((*turn).into()),
            Happening::Flag(content) => Self::Flag { content },
        }
    }
}

/// The number in `Last-Event-ID`: the last turn that the client knows.
pub struct LastEvent(Option<i64>);

#[rocket::async_trait]
impl<'r> FromRequest<'r> for LastEvent {
    type Error = std::convert::Infallible;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Self::Error> {
        // An id that this server has not given is that of another stream, so it says nothing.
        Outcome::Success(Self(request.headers().get_one("Last-Event-ID").and_then(|id| id.parse().ok())))
    }
}

/// Follow a dialogue by server-sent events: `message` for each turn, `flag` when an answer is awaited or no longer.
///
/// The id of an event is the number of a turn. A client that sends it as `Last-Event-ID` gets what it missed. A comment
/// every 15 seconds shows that the stream lives. The stream ends with the log-in, or when the dialogue is deleted.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    params(
        ("id" = i64, Path, minimum = 1, description = "The dialogue"),
        ("Last-Event-ID" = Option<i64>, Header, description = "The last turn that the client knows"),
    ),
    responses(
        (status = 200, description = "Events", body = StreamEvent, content_type = "text/event-stream"),
        Token, ConversationError,
    ),
)]
#[get("/dialogs/<id>/events", rank = 1)]
pub async fn events(
    token: Token,
    id: &str,
    last: LastEvent,
    shutdown: Shutdown,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<EventStream![], Problem> {
    let dialogue = id.parse().map_err(|_| ConversationError::UnknownDialogue)?;
    let mut feed = context.run(app.feeds.open(token.user(), Some(DialogueId(dialogue)), last.0)).await?;
    let app = Arc::clone(app);
    let events = stream! {
        let mut beats = heartbeat();
        let mut shutdown = shutdown;
        loop {
            let happened = tokio::select! {
                happened = feed.next() => happened,
                _ = beats.tick() => Ok(feed.beat().map(Happening::Flag).into_iter().collect()),
                () = &mut shutdown => break,
            };
            // A log-out ends the stream before anything more is told.
            let Ok(happened) = happened else { break };
            if !token.is_valid(&app).await {
                break;
            }
            if happened.is_empty() {
                yield Event::comment("");
            }
            for one in happened {
                let Ok(event) = StreamEvent::new(one, feed.seq()) else { return };
                yield Event::from(event);
            }
        }
    };
    Ok(EventStream::from(events).heartbeat(None))
}

impl StreamEvent {
    /// `seq` is the number of the last turn.
    fn new(happening: Happening, seq: i64) -> Result<Self, serde_json::Error> {
        let (event, seq, data) = match happening {
            Happening::Turn(turn) => ("message", turn.seq, serde_json::to_string(&TurnMessage::from(*turn))?),
            Happening::Flag(content) => ("flag", seq, serde_json::json!({ "content": content }).to_string()),
        };
        Ok(Self { event, id: seq.to_string(), data })
    }
}

impl From<StreamEvent> for Event {
    fn from(StreamEvent { event, id, data }: StreamEvent) -> Self {
        Self::data(data).event(event).id(id)
    }
}

/// Follow a dialogue and send messages into it, by WebSocket. All frames are JSON.
///
/// The server sends `ServerMessage`, the client sends `ClientMessage`. The server answers messages one after another.
/// It reads no further meanwhile.
#[utoipa::path(
    tag = "dialogues",
    security(("cookie" = []), ("bearer" = [])),
    params(
        ("dialog_id" = Option<i64>, Query, minimum = 1, description = "The dialogue; without it, the default one"),
        ("after" = Option<i64>, Query, minimum = 0, description = "The last turn that the client knows"),
    ),
    responses(
        (status = 101, description = "The connection is a WebSocket", body = ServerMessage),
        (status = 400, description = "The request is not for a WebSocket", body = ProblemDocument,
            content_type = "application/problem+json"),
        Token, IdempotencyKey, ConversationError,
    ),
)]
#[get("/ws?<dialog_id>&<after>")]
pub async fn web_socket(
    token: Token,
    socket: WebSocket,
    dialog_id: Option<&str>,
    after: Option<&str>,
    shutdown: Shutdown,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<Channel<'static>, Problem> {
    let number = |name: &str, text: Option<&str>, least: i64| match text.map(str::parse::<i64>) {
        None => Ok(None),
        Some(Ok(number)) if number >= least => Ok(Some(number)),
        Some(_) => Err(RequestError::InvalidParameter(name.to_owned())),
    };
    let (dialogue, after) = (number("dialog_id", dialog_id, 1)?, number("after", after, 0)?);
    let feed = context.run(app.feeds.open(token.user(), dialogue.map(DialogueId), after)).await?;
    let bytes = usize::try_from(app.bounds.body_bytes).ok();
    let config = Config { max_message_size: bytes, max_frame_size: bytes, ..Config::default() };
    let connection = Connection { app: Arc::clone(app), token, context, feed };
    Ok(socket.config(config).channel(move |stream| Box::pin(connection.serve(stream, shutdown))))
}

/// An open WebSocket.
struct Connection {
    app: Arc<App>,
    token: Token,
    context: RequestContext,
    feed: Feed,
}

impl Connection {
    async fn serve(mut self, mut stream: DuplexStream, mut shutdown: Shutdown) -> rocket_ws::result::Result<()> {
        let mut beats = heartbeat();
        loop {
            let (messages, alive) = tokio::select! {
                happened = self.feed.next() => match happened {
                    Ok(happened) => (happened.into_iter().map(ServerMessage::from).collect(), true),
                    Err(_) => (Vec::new(), false),
                },
                received = stream.next() => match received {
                    Some(Ok(Message::Text(text))) if self.token.is_valid(&self.app).await => {
                        (vec![self.receive(&text).await], true)
                    }
                    // The library answers pings itself.
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => (Vec::new(), true),
                    _ => (Vec::new(), false),
                },
                _ = beats.tick() => {
                    let flag = self.feed.beat().map(|content| ServerMessage::Flag { content });
                    let sent = timeout(SLOW, stream.send(Message::Ping(Vec::new()))).await;
                    (flag.into_iter().collect(), matches!(sent, Ok(Ok(()))))
                }
                () = &mut shutdown => (Vec::new(), false),
            };
            if !alive || !self.token.is_valid(&self.app).await {
                let _ = timeout(SLOW, stream.close(Some(closing()))).await;
                return Ok(());
            }
            for message in messages {
                let text = serde_json::to_string(&message).unwrap_or_default();
                if !matches!(timeout(SLOW, stream.send(Message::Text(text))).await, Ok(Ok(()))) {
                    return Ok(());
                }
            }
        }
    }

    /// Takes one message of the client.
    async fn receive(&self, text: &str) -> ServerMessage {
        let (key, taken) = match serde_json::from_str::<ClientMessage>(text) {
            Ok(message) => (message.key.clone(), self.take(message).await),
            Err(_) => (None, Err(RequestError::MalformedJson.into())),
        };
        match taken {
            Ok(()) => ServerMessage::Sent { key },
            Err(problem) => {
                let problem = serde_json::to_value(problem.document(self.context.speech)).unwrap_or_default();
                ServerMessage::Error { key, problem }
            }
        }
    }

    async fn take(&self, message: ClientMessage) -> Result<(), Problem> {
        let ClientMessage { text, key } = message;
        if key.as_ref().is_some_and(|key| !is_key(key)) {
            return Err(RequestError::InvalidIdempotencyKey.into());
        }
        self.context.run(self.app.accounts.admit(self.token.log_in())).await?;
        let dialogue = self.feed.dialogue;
        let hash = Sha256::new_with_prefix(b"/ws\0").chain_update(dialogue.0.to_le_bytes()).chain_update(&text);
        let idempotency = key.map(|key| (key, hash.finalize().into()));
        let incoming = Incoming { user: self.token.user(), dialogue: Some(dialogue), text, idempotency };
        self.context.run(self.app.conversations.take_turn(incoming)).await.map(drop)
    }
}

/// The server has nothing more to say: the log-in or the dialogue has ended, or the server stops.
fn closing() -> CloseFrame<'static> {
    CloseFrame { code: CloseCode::Away, reason: "".into() }
}

fn heartbeat() -> tokio::time::Interval {
    let mut beats = interval(HEARTBEAT);
    beats.reset();
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beats
}
