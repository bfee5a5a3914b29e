//! A large file as an answer, read by the runtime: each piece is a job of its blocking pool.

use std::io::{Error, ErrorKind, Result as IoResult};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use hyper::body::Bytes;
use testbed::clock;
use testbed::truth::{FaultKind, Stretch};
use tokio::fs::File;
use tokio::io::{AsyncRead as _, ReadBuf};

use super::size::Kibibytes;
use super::{Answer, Body, Failure, Shared, unavailable};
use crate::visit::Visit;

/// What is asked of the file at once.
const PIECE_BYTES: usize = 64 * 1024;

/// The rest of an answer that is read from a file while it is sent.
pub(crate) struct Streamed {
    file: File,
    left: u64,
    piece: Vec<u8>,
    /// Since when bytes are waited for.
    asked_ns: Option<u64>,
    /// The waits for bytes so far.
    waited: Option<Stretch>,
    visit: Option<Visit>,
}

/// The beginning of the file of `--data`.
pub(super) async fn file(shared: &Shared, size: &Kibibytes) -> Result<Answer, Failure> {
    let data = shared.data()?;
    let file = File::open(&data.path).await.map_err(unavailable)?;
    let streamed = Streamed {
        file,
        left: data.bytes.min(size.bytes() as u64),
        piece: vec![0; PIECE_BYTES],
        asked_ns: None,
        waited: None,
        visit: None,
    };
    Ok(Answer {
        status: 200,
        body: Body::File(Box::new(streamed)),
        in_halves: false,
    })
}

impl Streamed {
    /// The request goes on until all is read, or nobody wants more of it.
    pub(super) fn goes_on(&mut self, visit: Visit) {
        self.visit = Some(visit);
    }

    pub(crate) fn len(&self) -> u64 {
        self.left
    }

    pub(crate) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<IoResult<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let wanted = usize::try_from(self.left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        let asked_ns = *self.asked_ns.get_or_insert_with(clock::now_ns);
        let mut read = ReadBuf::new(&mut self.piece[..wanted]);
        let result = ready!(Pin::new(&mut self.file).poll_read(context, &mut read));
        self.asked_ns = None;
        let waited = Stretch::until_now(FaultKind::FileRead, asked_ns, u64::MAX);
        self.waited = Some(self.waited.map_or(waited, |before| before.and(waited)));
        let bytes = Bytes::copy_from_slice(read.filled());
        self.left -= bytes.len() as u64;
        Poll::Ready(Some(result.and_then(|()| match bytes.len() {
            0 => Err(Error::from(ErrorKind::UnexpectedEof)),
            _ => Ok(bytes),
        })))
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        if let (Some(visit), Some(waited)) = (&mut self.visit, self.waited) {
            visit.injected(waited);
        }
    }
}
