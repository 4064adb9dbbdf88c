//! Bodies on their way through.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use hyper::{
    body::{Body, Bytes, Frame, Incoming, SizeHint},
    client::conn::http1::SendRequest,
};

use super::endpoint::InFlight;

/// Body of a request to a pod.
pub(super) enum RequestBody {
    Empty,
    /// With the number of frames so far, so that a slow upload is not taken for a stuck pod.
    Streamed(Incoming, Arc<AtomicU64>),
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streamed(body, frames) => {
                let polled = Pin::new(body).poll_frame(cx);
                if polled.is_ready() {
                    frames.fetch_add(1, Ordering::Relaxed);
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streamed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streamed(body, _) => body.size_hint(),
        }
    }
}

/// Body of a response to the outside.
pub(super) enum ResponseBody {
    /// Our own words.
    Text(Option<&'static str>),
    /// A pod's; holds the connection that is to be used again at its end.
    Streamed(Incoming, Option<Returning>),
}

/// What a response holds until its end.
pub(super) struct Returning {
    pub(super) sender: SendRequest<RequestBody>,
    pub(super) in_flight: InFlight,
    pub(super) worker: usize,
}

impl Returning {
    fn done(self) {
        self.in_flight.endpoint().give_back(self.worker, self.sender);
    }
}

impl ResponseBody {
    pub(super) fn streamed(body: Incoming, returning: Returning) -> Self {
        if body.is_end_stream() {
            returning.done();
            return Self::Streamed(body, None);
        }
        Self::Streamed(body, Some(returning))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match self.get_mut() {
            Self::Text(text) => {
                Poll::Ready(text.take().map(|t| Ok(Frame::data(Bytes::from_static(t.as_bytes())))))
            }
            Self::Streamed(body, returning) => {
                let polled = Pin::new(&mut *body).poll_frame(cx);
                let is_over = match &polled {
                    Poll::Ready(None) => true,
                    Poll::Ready(Some(Ok(_))) => body.is_end_stream(),
                    Poll::Ready(Some(Err(_))) => {
                        returning.take();
                        false
                    }
                    Poll::Pending => false,
                };
                if is_over && let Some(returning) = returning.take() {
                    returning.done();
                }
                polled
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Streamed(body, _) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.map_or(0, str::len) as u64),
            Self::Streamed(body, _) => body.size_hint(),
        }
    }
}
