//! The head of an answer. Answers with a `Content-Length`, or without content, are read; others are an error, not
//! a guess.

use anyhow::{Context as _, Result, bail};

const MOST_HEADERS: usize = 64;

/// What this client wants to know of an answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Whether the connection takes another request.
    pub(crate) keeps_open: bool,
}

/// An answer, and how long it is.
pub(crate) struct Head {
    pub(crate) answer: Answer,
    pub(crate) head_bytes: usize,
    pub(crate) content_bytes: usize,
}

/// The answer's head, once all of it is there.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<Head>> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes).context("the answer is not HTTP")?
    else {
        return Ok(None);
    };
    let status = response.code.context("the answer has no status")?;
    let value = |name: &str| {
        let header = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name));
        header.map(|header| header.value)
    };
    let content_bytes = match value("content-length") {
        _ if matches!(status, 204 | 304) => 0,
        Some(length) => parse(length).context("the answer's Content-Length is not a number")?,
        None => bail!("the answer has no Content-Length, and this client reads no other answers"),
    };
    let closes = value("connection").is_some_and(|value| value.eq_ignore_ascii_case(b"close"));
    Ok(Some(Head {
        answer: Answer {
            status,
            keeps_open: !closes && response.version == Some(1),
        },
        head_bytes,
        content_bytes,
    }))
}

fn parse(digits: &[u8]) -> Option<usize> {
    std::str::from_utf8(digits).ok()?.trim().parse().ok()
}
