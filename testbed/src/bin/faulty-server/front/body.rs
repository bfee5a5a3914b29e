//! The body of an answer, for every framework: at once, or only after the head was sent, or piece by piece.

use std::io::Error;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use hyper::body::{Body, Bytes, Frame, SizeHint};

use crate::faults::{self, Answer, Streamed};

pub(super) enum Content {
    Bytes {
        bytes: Option<Bytes>,
        /// It is not there yet when it is first asked for: the framework sends the head meanwhile.
        after_head: bool,
    },
    File(Box<Streamed>),
}

impl Content {
    /// That of an answer, with its status.
    pub(super) fn of(answer: Answer) -> (u16, Self) {
        let Answer {
            status,
            body,
            in_halves,
        } = answer;
        let content = match body {
            faults::Body::Bytes(bytes) => Self::Bytes {
                bytes: Some(bytes.into()),
                after_head: in_halves,
            },
            faults::Body::File(file) => Self::File(file),
        };
        (status, content)
    }

    fn len(&self) -> u64 {
        match self {
            Self::Bytes { bytes, .. } => bytes.as_ref().map_or(0, |bytes| bytes.len() as u64),
            Self::File(file) => file.len(),
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        match self {
            Self::Bytes { bytes, after_head } => {
                if std::mem::take(after_head) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                let bytes = bytes.take().filter(|bytes| !bytes.is_empty());
                Poll::Ready(bytes.map(Ok))
            }
            Self::File(file) => file.poll(context),
        }
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        self.poll(context)
            .map(|bytes| bytes.map(|bytes| bytes.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Bytes { bytes, .. } => bytes.is_none(),
            Self::File(file) => file.len() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.len())
    }
}

impl MessageBody for Content {
    type Error = Error;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.len())
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        self.poll(context)
    }
}
