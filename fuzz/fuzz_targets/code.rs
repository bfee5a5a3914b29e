//! What programs tell of their code: maps for perf, jitdump files, symbols.
//!
//! Nothing may panic or take long, what is found must lie in the input, and what was read in two parts says the same as
//! in one.

#![no_main]

use libfuzzer_sys::fuzz_target;
use observer::source::code::{MAX_CODE_BYTES, jitdump, made, naming, perf_map};

fuzz_target!(|bytes: &[u8]| {
    let mut lines = Vec::new();
    let whole = perf_map::read(bytes, |at, line| lines.push((at, line)));
    assert!(whole.consumed <= bytes.len() as u64);
    for (at, line) in &lines {
        assert!(
            u64::from(line.bytes) <= MAX_CODE_BYTES && line.start.checked_add(line.bytes.into()).is_some()
        );
        let again = perf_map::line(
            bytes[*at..]
                .split(|byte| *byte == b'\n')
                .next()
                .unwrap_or_default(),
        );
        assert_eq!(again, Some(*line));
        let _ = made::readable(&String::from_utf8_lossy(line.name));
    }
    // In two parts, of which the second begins where the first was read to.
    let mut parts = 0;
    let first = perf_map::read(&bytes[..bytes.len() / 2], |_, _| parts += 1);
    let from = usize::try_from(first.consumed).unwrap_or_default();
    let second = perf_map::read(&bytes[from..], |_, _| parts += 1);
    assert_eq!(
        (parts, first.unusable + second.unusable),
        (lines.len(), whole.unusable)
    );

    let left = bytes.len() as u64;
    let parsed = jitdump::read(bytes, left, |at, record| {
        assert_eq!(jitdump::record(&bytes[at..]), Some(record));
    });
    assert!(parsed.is_none_or(|parsed| parsed.consumed <= left));
    let _ = jitdump::first_record(bytes);

    let text = String::from_utf8_lossy(bytes);
    let _ = naming::readable(&text);
    let _ = made::readable(&text);
});
