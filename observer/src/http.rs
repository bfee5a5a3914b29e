//! Method, path and status out of the first bytes of an HTTP/1.x message.

use crate::request::Http;

/// Headers that a captured head can hold.
const MAX_HEADERS: usize = 16;

/// Reads a request head that may be cut anywhere. `None` when it is not HTTP/1.x.
#[must_use]
pub fn request(head: &[u8], status: Option<u16>) -> Option<Http> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(head) {
        Ok(_) | Err(httparse::Error::TooManyHeaders) => {}
        // A request line that reads well, and what comes after it does not.
        Err(_) if parsed.version.is_some() => {}
        Err(_) => return None,
    }
    let method = parsed.method?;
    if let Some(target) = parsed.path {
        return Some(Http { method: method.into(), target: target.into(), target_cut: false, status });
    }
    // The target fills all that was captured.
    let target = head.get(method.len() + 1..)?;
    let target = std::str::from_utf8(target).ok().filter(|target| !target.is_empty())?;
    Some(Http { method: method.into(), target: target.into(), target_cut: true, status })
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
        let http = request(b"GET /a?b=1 HTTP/1.1\r\nhost: x\r\n", Some(200)).unwrap();
        assert_eq!((&*http.method, &*http.target, http.target_cut), ("GET", "/a?b=1", false));
        let http = request(b"DELETE /very/long/path", None).unwrap();
        assert_eq!((&*http.method, &*http.target, http.target_cut), ("DELETE", "/very/long/path", true));
    }

    #[test]
    fn other_protocols_are_not_http() {
        assert_eq!(request(b"\x16\x03\x01\x02\x00\x01", None), None);
        assert_eq!(request(b"*1\r\n$4\r\nPING\r\n", None), None);
        assert_eq!(request(b"", None), None);
    }

    #[test]
    fn a_status_is_three_digits_after_the_version() {
        assert_eq!(status(b"HTTP/1.1 204 No"), Some(204));
        assert_eq!(status(b"HTTP/1.1 999 No"), None);
        assert_eq!(status(b"HTTP/2 200 xxxx"), None);
        assert_eq!(status(b"HTTP/1.1 2"), None);
    }
}
