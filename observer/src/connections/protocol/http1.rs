//! Method, path and status out of the first bytes of an HTTP/1.x message.

use observer_common::http::begins_interim;
pub use observer_common::http::is_interim;

use crate::model::request::Http;

/// Method and target of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestLine<'a> {
    /// Request method.
    pub method: &'a str,
    /// Path with its query string, as far as it was captured.
    pub target: &'a str,
    /// The target was longer than what was captured.
    pub target_cut: bool,
}

impl<'a> RequestLine<'a> {
    /// Reads a request head that may be cut anywhere. `None` when it is not HTTP/1.x.
    #[must_use]
    pub fn read(head: &'a [u8]) -> Option<Self> {
        // What follows the first line is of no interest, and costs more than the line.
        let line_end = head
            .iter()
            .position(|&byte| byte == b'\n')
            .map_or(head.len(), |at| at + 1);
        let mut parsed = httparse::Request::new(&mut []);
        // An error about headers, none of which are there, comes after the version was read.
        if parsed.parse(&head[..line_end]).is_err() && parsed.version.is_none() {
            return None;
        }
        let method = parsed.method?;
        if let Some(target) = parsed.path {
            return Some(Self {
                method,
                target,
                target_cut: false,
            });
        }
        // The target fills all that was captured.
        let target = head.get(method.len() + 1..)?;
        let target = std::str::from_utf8(target)
            .ok()
            .filter(|target| !target.is_empty())?;
        Some(Self {
            method,
            target,
            target_cut: true,
        })
    }

    /// The target without its query string.
    #[must_use]
    pub fn path(&self) -> &'a str {
        self.target.split_once('?').map_or(self.target, |(path, _)| path)
    }
}

impl From<RequestLine<'_>> for Http {
    fn from(line: RequestLine<'_>) -> Self {
        Self {
            method: line.method.into(),
            target: line.target.into(),
            target_cut: line.target_cut,
        }
    }
}

/// Reads the status of the final response out of a response head.
#[must_use]
pub fn final_status(head: &[u8]) -> Option<u16> {
    status(head).filter(|_| !begins_interim(head))
}

/// Reads the status out of a response head.
#[must_use]
pub fn status(head: &[u8]) -> Option<u16> {
    let rest = head.strip_prefix(b"HTTP/1.")?;
    let digits = rest.get(2..5)?;
    let status = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (rest.get(1) == Some(&b' ') && (100..600).contains(&status)).then_some(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_whole_head_and_one_cut_in_the_target() {
        let line = RequestLine::read(b"GET /a?b=1 HTTP/1.1\r\nhost: x\r\n").unwrap();
        assert_eq!(
            line,
            RequestLine {
                method: "GET",
                target: "/a?b=1",
                target_cut: false
            }
        );
        assert_eq!(line.path(), "/a");
        let line = RequestLine::read(b"DELETE /very/long/path").unwrap();
        assert_eq!(
            line,
            RequestLine {
                method: "DELETE",
                target: "/very/long/path",
                target_cut: true
            }
        );
    }

    #[test]
    fn other_protocols_are_not_http() {
        assert_eq!(RequestLine::read(b"\x16\x03\x01\x02\x00\x01"), None);
        assert_eq!(RequestLine::read(b"*1\r\n$4\r\nPING\r\n"), None);
        assert_eq!(RequestLine::read(b""), None);
    }

    #[test]
    fn an_interim_response_is_not_the_answer() {
        assert_eq!(final_status(b"HTTP/1.1 100 Con"), None);
        assert_eq!(final_status(b"HTTP/1.1 103 Ear"), None);
        assert_eq!(
            final_status(b"HTTP/1.1 101 Swi"),
            Some(101),
            "what follows is no HTTP"
        );
        assert_eq!(final_status(b"HTTP/1.1 201 Cre"), Some(201));
        let alone = b"HTTP/1.1 100 Continue\r\n\r\n";
        assert!(is_interim(&alone[..16], alone.len() as u64));
        let both = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
        assert!(!is_interim(&both[..16], both.len() as u64));
        assert!(!is_interim(b"HTTP/2.0 100 Con", 25));
        assert!(!is_interim(b"", 25), "what was not seen is an answer");
    }

    #[test]
    fn a_status_is_three_digits_after_the_version() {
        assert_eq!(status(b"HTTP/1.1 204 No"), Some(204));
        assert_eq!(status(b"HTTP/1.1 999 No"), None);
        assert_eq!(status(b"HTTP/2 200 xxxx"), None);
        assert_eq!(status(b"HTTP/1.1 2"), None);
    }
}
