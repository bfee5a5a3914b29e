//! The first bytes of what clients send and servers answer, read as HTTP/1.x.
//!
//! Nothing may panic, what is found must stand in the input, and a head that is cut says nothing else than the
//! whole one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::connections::protocol::http1::{self, RequestLine};

fuzz_target!(|head: &[u8]| {
    if let Some(status) = http1::final_status(head) {
        assert!((100..600).contains(&status) && head.starts_with(b"HTTP/1."));
    }
    let Some(whole) = RequestLine::read(head) else {
        return;
    };
    assert!(!whole.method.is_empty() && !whole.target.is_empty(), "{whole:?}");
    assert!(
        head[whole.method.len() + 1..].starts_with(whole.target.as_bytes()),
        "{whole:?}"
    );
    assert!(
        !whole.path().contains('?') && whole.target.starts_with(whole.path()),
        "{whole:?}"
    );
    for cut in (0..head.len()).map(|length| &head[..length]) {
        let Some(line) = RequestLine::read(cut) else {
            continue;
        };
        assert_eq!(line.method, whole.method);
        if line.target_cut {
            assert!(whole.target.starts_with(line.target), "{line:?} of {whole:?}");
        } else {
            assert_eq!(line.target, whole.target);
        }
    }
});
