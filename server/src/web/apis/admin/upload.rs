//! Uploads of bots: a tar file, plain or compressed, as the body or in a multipart form.

use std::collections::BTreeMap;

use banter_engine::catalogue::{
    bundle::{Bundle, MAX_FILES},
    manifest::MAX_BUNDLE_BYTES,
};
use rocket::{
    Data, FromForm, Request,
    data::{ByteUnit, FromData, Limits, Outcome, ToByteUnit},
    form::{Form, Strict, error::ErrorKind},
    http::Status,
};
use tokio::{sync::OwnedSemaphorePermit, task::block_in_place, time::timeout};
use utoipa::{
    IntoResponses, ToSchema,
    openapi::{RefOr, Response},
};

use crate::{
    catalogs::archive,
    web::{
        body::refuse,
        document::problems,
        guard::app,
        problem::{Problem, RequestError},
    },
};

/// An uploaded bot.
pub struct Upload {
    /// Its files, not validated yet.
    pub bundle: Bundle,
    /// The publication message, if the form has one.
    pub message: Option<String>,
    /// A slot of [`RequestBounds::bundle_place`](crate::web::app::RequestBounds::bundle_place), held while the bundle is in memory.
    pub place: OwnedSemaphorePermit,
}

struct Sent {
    bundle: Bundle,
    message: Option<String>,
}

#[derive(FromForm, ToSchema)]
pub struct UploadForm<'r> {
    /// A tar file, plain or compressed.
    #[schema(value_type = String, format = Binary)]
    bundle: &'r [u8],
    /// The reason for the change.
    #[schema(value_type = Option<String>, max_length = 500)]
    message: Option<&'r str>,
}

/// The largest upload: the files plus the archive's overhead.
fn most() -> ByteUnit {
    (MAX_BUNDLE_BYTES + MAX_FILES as u64 * 2_048).bytes()
}

/// Rocket's limits on forms; only uploads use forms.
pub fn limits() -> Limits {
    Limits::default().limit("data-form", most()).limit("bytes", most()).limit("form", 16.kibibytes())
}

#[rocket::async_trait]
impl<'r> FromData<'r> for Upload {
    type Error = Problem;

    async fn from_data(request: &'r Request<'_>, data: Data<'r>) -> Outcome<'r, Self> {
        let app = match app(request) {
            Ok(app) => app,
            Err(problem) => return Outcome::Error(refuse(request, problem)),
        };
        // Take a slot before reading the body.
        let place = match app.bounds.bundle_place() {
            Ok(place) => place,
            Err(error) => return Outcome::Error(refuse(request, error)),
        };
        let read = timeout(app.bounds.upload_time, read(request, data)).await;
        match read.unwrap_or(Err(RequestError::Unreadable)) {
            Ok(Sent { bundle, message }) => Outcome::Success(Upload { bundle, message, place }),
            Err(error) => Outcome::Error(refuse(request, error)),
        }
    }
}

impl IntoResponses for Upload {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        problems([400, 413, 415, 422, 503])
    }
}

async fn read<'r>(request: &'r Request<'_>, data: Data<'r>) -> Result<Sent, RequestError> {
    let kind = request.content_type().ok_or(RequestError::UnsupportedUpload)?;
    if kind.is_form_data() {
        // Reject unknown fields rather than ignore them: `dry_run`, for example, belongs in the query.
        return match Form::<Strict<UploadForm<'_>>>::from_data(request, data).await {
            Outcome::Success(form) => {
                Ok(Sent { bundle: unpack(form.bundle)?, message: form.message.map(str::to_owned) })
            }
            Outcome::Error((Status::PayloadTooLarge, _)) => Err(RequestError::TooLarge),
            Outcome::Error((_, errors)) if errors.iter().any(|error| matches!(error.kind, ErrorKind::Unexpected)) => {
                Err(RequestError::InvalidBundle("the form may have only the fields `bundle` and `message`".to_owned()))
            }
            _ => Err(RequestError::MissingField("bundle".to_owned())),
        };
    }
    let tar = ["x-tar", "gzip", "x-gzip", "octet-stream"].contains(&kind.sub().as_str());
    if kind.top() != "application" || !tar {
        return Err(RequestError::UnsupportedUpload);
    }
    let bytes = data.open(most()).into_bytes().await.map_err(|_| RequestError::Unreadable)?;
    if !bytes.is_complete() {
        return Err(RequestError::TooLarge);
    }
    if bytes.is_empty() {
        return Err(RequestError::MissingBody);
    }
    Ok(Sent { bundle: unpack(&bytes)?, message: None })
}

fn unpack(bytes: &[u8]) -> Result<Bundle, RequestError> {
    block_in_place(|| archive::read(bytes)).map_err(|error| RequestError::InvalidBundle(error.to_string()))
}
