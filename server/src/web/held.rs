//! A body that holds one of few places until it is sent.

use std::{
    io::{Cursor, Result, SeekFrom},
    pin::Pin,
    task::{Context, Poll},
};

use rocket::{
    Request, Response,
    http::ContentType,
    response::{self, Responder},
};
use tokio::{
    io::{AsyncRead, AsyncSeek, ReadBuf},
    sync::OwnedSemaphorePermit,
};

/// Bytes that are too many for several clients at once.
pub struct Held {
    kind: ContentType,
    bytes: Cursor<Vec<u8>>,
    _place: OwnedSemaphorePermit,
}

impl Held {
    pub fn new(kind: ContentType, bytes: Vec<u8>, place: OwnedSemaphorePermit) -> Self {
        Self { kind, bytes: Cursor::new(bytes), _place: place }
    }
}

impl AsyncRead for Held {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.bytes).poll_read(context, buffer)
    }
}

impl AsyncSeek for Held {
    fn start_seek(mut self: Pin<&mut Self>, position: SeekFrom) -> Result<()> {
        Pin::new(&mut self.bytes).start_seek(position)
    }

    fn poll_complete(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<u64>> {
        Pin::new(&mut self.bytes).poll_complete(context)
    }
}

impl<'r> Responder<'r, 'static> for Held {
    fn respond_to(self, _: &'r Request<'_>) -> response::Result<'static> {
        let (kind, length) = (self.kind.clone(), self.bytes.get_ref().len());
        Response::build().header(kind).sized_body(length, self).ok()
    }
}
