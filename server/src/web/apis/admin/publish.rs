//! Publishes a version from an upload. Streams progress to clients that accept server-sent events.

use std::{sync::Arc, time::Duration};

use banter_engine::{catalogue::bundle::Bundle, diagnostic::Diagnostics};
use futures::{
    StreamExt,
    stream::{BoxStream, unfold},
};
use rocket::{
    Request, State, post,
    request::{FromRequest, Outcome},
    response::{
        self, Responder,
        stream::{Event, EventStream},
    },
};
use tokio::{sync::mpsc, time::timeout};
use tracing::Instrument;

use super::{
    IfMatch, Tagged,
    upload::{Upload, UploadForm},
};
use crate::{
    catalogs::{
        gate::GateStep,
        terms::{Actor, Published, ReleaseError, Wish},
    },
    config::release::Scope,
    web::{
        app::App,
        body::refuse,
        context::{RequestContext, Speech},
        guard::admin::{self, Admin},
        problem::{Problem, RequestError},
    },
};

/// Progress events that a slow reader may lag behind; later ones are dropped.
const STEPS: usize = 64;
/// After this time without an event, a comment keeps the connection open.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Whether the client accepts progress events, and the language of its errors.
pub struct Wanted {
    events: bool,
    speech: Speech,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for Wanted {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let accepts = |accept: &str| accept.split(',').any(|kind| kind.trim().starts_with("text/event-stream"));
        let events = request.headers().get_one("Accept").is_some_and(accepts);
        Outcome::Success(Self { events, speech: Speech::of(request) })
    }
}

pub enum PublishReply {
    Whole(Box<Tagged<Published>>),
    Stream(EventStream<BoxStream<'static, Event>>),
}

impl<'r> Responder<'r, 'r> for PublishReply {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'r> {
        match self {
            Self::Whole(published) => (*published).respond_to(request),
            Self::Stream(events) => events.respond_to(request),
        }
    }
}

/// The query parameters of a publication. Unknown ones are rejected: a typo such as `dry-run` would otherwise be
/// ignored and the version published.
#[derive(Default)]
pub struct PublishQuery {
    message: Option<String>,
    dry_run: bool,
    canary: Option<u8>,
}

#[rocket::async_trait]
impl<'r> FromRequest<'r> for PublishQuery {
    type Error = Problem;

    async fn from_request(request: &'r Request<'_>) -> Outcome<Self, Problem> {
        let mut asked = Self::default();
        for field in request.query_fields() {
            let name = field.name.source().as_str();
            let good = match (name, field.value) {
                ("message", text) => {
                    asked.message = Some(text.to_owned());
                    true
                }
                ("dry_run", "" | "true") => {
                    asked.dry_run = true;
                    true
                }
                ("dry_run", "false") => true,
                ("canary", percent) => {
                    asked.canary = percent.parse().ok();
                    asked.canary.is_some()
                }
                _ => false,
            };
            if !good {
                let name = name.chars().take(40).collect();
                return Outcome::Error(refuse(request, RequestError::InvalidParameter(name)));
            }
        }
        Outcome::Success(asked)
    }
}

/// Check a bot at the gate, store it, and activate it.
///
/// Needs the scope `publish`. The texts of users in a forecast need `utterances` too. A bot that does not pass changes
/// nothing. With `Accept: text/event-stream` the answer is a stream of `progress` events (`GateStep`) that ends with a
/// `result` (`Published`) or a `problem` (`Problem`).
#[utoipa::path(
    tag = "admin",
    security(("adminKey" = []), ("bearer" = []), ("cookie" = [])),
    params(
        IfMatch,
        ("message" = Option<String>, Query, max_length = 500, description = "The reason for the change"),
        ("dry_run" = Option<bool>, Query, description = "Whether to change nothing and forecast other answers"),
        ("canary" = Option<u8>, Query, minimum = 1, maximum = 99, description = "The share of users in percent"),
    ),
    request_body(
        description = "The bot as a tar file",
        content(
            (String = "application/x-tar"), (String = "application/gzip"),
            (UploadForm<'_> = "multipart/form-data"),
        ),
    ),
    responses(
        (
            status = 200, description = "What was published",
            content((Published = "application/json"), (String = "text/event-stream")),
            headers(("ETag", description = "The generation, for `If-Match`; not on streams")),
        ),
        Admin<admin::Publish>, IfMatch, Upload, ReleaseError,
    ),
)]
#[post("/admin/versions", data = "<upload>")]
pub async fn publish(
    admin: Admin<admin::Publish>,
    expected: IfMatch,
    wanted: Wanted,
    asked: PublishQuery,
    upload: Upload,
    context: RequestContext,
    app: &State<Arc<App>>,
) -> Result<PublishReply, Problem> {
    let PublishQuery { message, dry_run, canary } = asked;
    let message = message.or(upload.message).unwrap_or_default();
    let utterances = admin.may(Scope::Utterances);
    let wish = Wish { message, dry_run, canary, expected: expected.0, utterances, skip_fixtures: false };
    let (bundle, actor, app) = (upload.bundle, admin.actor, Arc::clone(app));
    if !wanted.events {
        let published =
            context.run(app.releases.publish(bundle, Diagnostics::default(), &wish, &actor, &|_| {})).await?;
        let generation = published.generation;
        return Ok(PublishReply::Whole(Box::new(Tagged::new(published, generation))));
    }
    let (send, receive) = mpsc::channel(STEPS);
    // The publication continues if the client disconnects.
    let place = upload.place;
    let work = async move {
        work_with_events(app, bundle, wish, actor, send, wanted.speech).await;
        drop(place);
    };
    tokio::spawn(work.instrument(tracing::Span::current()));
    let events = unfold(receive, async |mut receive| {
        let next = timeout(HEARTBEAT, receive.recv()).await;
        let event = next.unwrap_or_else(|_| Some(Event::comment("still at work")))?;
        Some((event, receive))
    });
    // Rocket's own heartbeat can split an event in the middle, so that a client reads two.
    Ok(PublishReply::Stream(EventStream::from(events.boxed()).heartbeat(None)))
}

async fn work_with_events(
    app: Arc<App>,
    bundle: Bundle,
    wish: Wish,
    actor: Actor,
    send: mpsc::Sender<Event>,
    speech: Speech,
) {
    let progress = |step: GateStep| {
        // A slow or disconnected reader misses progress events.
        let _ = send.try_send(Event::json(&step).event("progress"));
    };
    let result = app.releases.publish(bundle, Diagnostics::default(), &wish, &actor, &progress).await;
    let last = match result {
        Ok(published) => Event::json(&published).event("result"),
        Err(error) => Event::json(&Problem::from(error).document(speech)).event("problem"),
    };
    let _ = send.send(last).await;
}
