//! JSON documents whose list may be too long for memory.

use banter_stores::HistoryEntry;
use rocket::{
    Request,
    futures::{StreamExt, stream::BoxStream},
    http::ContentType,
    response::{self, Responder, content::RawJson, stream::TextStream, stream::stream},
};
use serde::Serialize;
use tracing::{Instrument, Span};

use crate::histories::History;

/// An object whose last member is a list of what was said.
pub enum JsonList {
    /// Short enough for one piece, with a length.
    Whole(String),
    /// Sent while it is read, so it has no length.
    Pieces(BoxStream<'static, String>),
}

impl JsonList {
    /// `head` is the object up to the list's bracket; `items` makes the elements of the list from a message.
    pub fn of<T, I>(head: String, history: History, items: fn(HistoryEntry) -> I, span: Span) -> Self
    where
        T: Serialize,
        I: IntoIterator<Item = T> + 'static,
    {
        let History { first, mut rest } = history;
        let mut begin = head;
        let mut empty = true;
        write(&mut begin, first, items, &mut empty);
        if rest.is_empty() {
            begin.push_str("]}");
            return Self::Whole(begin);
        }
        let pieces = stream! {
            yield begin;
            loop {
                match rest.next().instrument(span.clone()).await {
                    Ok(Some(page)) => {
                        let mut piece = String::new();
                        write(&mut piece, page, items, &mut empty);
                        yield piece;
                    }
                    Ok(None) => break yield "]}".to_owned(),
                    // The status is sent already. Without its end, nobody takes the document for the whole history.
                    Err(error) => break span.in_scope(|| tracing::error!(%error, "a history breaks off")),
                }
            }
        };
        Self::Pieces(pieces.boxed())
    }
}

/// Appends the elements of a page; `empty` says whether the list has none yet.
fn write<T: Serialize, I: IntoIterator<Item = T>>(
    text: &mut String,
    page: Vec<HistoryEntry>,
    items: fn(HistoryEntry) -> I,
    empty: &mut bool,
) {
    for item in page.into_iter().flat_map(items) {
        if !std::mem::take(empty) {
            text.push(',');
        }
        // Plain structs of texts always serialise.
        text.push_str(&serde_json::to_string(&item).unwrap_or_default());
    }
}

impl<'r> Responder<'r, 'r> for JsonList {
    fn respond_to(self, request: &'r Request<'_>) -> response::Result<'r> {
        match self {
            Self::Whole(text) => RawJson(text).respond_to(request),
            Self::Pieces(pieces) => (ContentType::JSON, TextStream(pieces)).respond_to(request),
        }
    }
}
