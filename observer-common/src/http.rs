//! What both halves know of HTTP: which responses are not the answer yet.

/// An interim response of status 100 is shorter than this, and one with a final response behind it is not, bytes.
const INTERIM_BYTES: u64 = 44;

/// Whether a send of so many bytes that begins with `head` is an interim response by itself: the answer is still to
/// come, and perhaps the rest of the request.
#[must_use]
#[inline(always)]
pub const fn is_interim(head: &[u8], bytes: u64) -> bool {
    bytes < INTERIM_BYTES && begins_interim(head)
}

/// Whether a response that begins with these bytes is an interim one of HTTP/1.x, after which the final one follows:
/// 100, 102, 103 and others like them. After 101 another protocol does.
#[must_use]
#[inline(always)]
pub const fn begins_interim(head: &[u8]) -> bool {
    match head {
        [
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'1',
            b'.',
            _,
            b' ',
            b'1',
            tens,
            ones,
            ..,
        ] => tens.is_ascii_digit() && ones.is_ascii_digit() && !(*tens == b'0' && *ones == b'1'),
        _ => false,
    }
}
