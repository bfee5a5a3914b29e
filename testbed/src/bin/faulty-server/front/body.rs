//! The body of an answer, for every framework: at once, or only after the head was sent.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::faults::Answer;

pub(super) struct Content {
    bytes: Option<Bytes>,
    /// It is not there yet when it is first asked for: the framework sends the head meanwhile.
    after_head: bool,
}

impl Content {
    /// That of an answer, with its status.
    pub(super) fn of(answer: Answer) -> (u16, Self) {
        let Answer {
            status,
            body,
            in_halves,
        } = answer;
        let content = Self {
            bytes: Some(body.into()),
            after_head: in_halves,
        };
        (status, content)
    }

    fn len(&self) -> u64 {
        self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)
    }

    fn poll(&mut self, context: &Context<'_>) -> Poll<Option<Bytes>> {
        if std::mem::take(&mut self.after_head) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.bytes.take().filter(|bytes| !bytes.is_empty()))
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.poll(context)
            .map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

impl MessageBody for Content {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len())
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        self.poll(context).map(|bytes| bytes.map(Ok))
    }
}
