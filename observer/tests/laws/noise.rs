//! Streams of valid kinds with arbitrary contents: what no kernel writes, and a damaged recording holds.
//!
//! Fields are drawn from few values, so that threads and connections meet again.

use std::sync::LazyLock;

use observer::event::size_of_kind;
use observer_common::flags;
use proptest::prelude::*;

use super::stream::Stream;

/// Every kind, and those that make requests several times.
static KINDS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let all = (0..=u16::MAX).filter(|&kind| size_of_kind(kind).is_some());
    let often = [1, 2, 3, 4, 4, 5, 5, 6, 6, 7, 8, 15];
    all.chain(often).collect()
});

/// Around this time most things happen, ns.
const NOON_NS: u64 = 1_000_000_000_000;

/// Texts stand behind the numbers in every record that has both, in the longest from here on.
const TEXT_FROM: usize = 56;

const TEXTS: [&[u8; 8]; 4] = [b"GET /abc", b"HTTP/1.1", b" 200 OK\r", b"/\xff\x1b[2J\0\n"];

/// Upper halves of words: flags stand there, and little else.
const UPPER: [u64; 6] = [0, 1, 2, 3, 4, flags::INBOUND as u64];

/// How wild the values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Values {
    /// Any times and amounts that a machine can have: sums of them fit into 64 bits.
    Possible,
    /// Those and the ends of every range.
    Extreme,
}

/// Streams of up to `most` events.
pub(crate) fn stream(values: Values, most: usize) -> impl Strategy<Value = Stream> {
    let event = (0..KINDS.len(), 0..4_u32, any::<u64>());
    prop::collection::vec(event, 0..most).prop_map(move |events| {
        let mut stream = Stream::default();
        let mut bytes = Vec::new();
        for (kind, tid, seed) in events {
            write(KINDS[kind], tid, seed, values, &mut bytes);
            stream.push(&bytes);
        }
        stream
    })
}

/// Replaces `bytes` by an event of `kind` whose fields follow from `seed`.
fn write(kind: u16, tid: u32, seed: u64, values: Values, bytes: &mut Vec<u8>) {
    let mut seed = seed;
    bytes.clear();
    let at_ns = match values {
        Values::Extreme => field(&mut seed, values),
        Values::Possible => NOON_NS + draw(&mut seed) % 4_000_000_000,
    };
    bytes.extend(at_ns.to_ne_bytes());
    bytes.extend(tid.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(((draw(&mut seed) % 3) as u16).to_ne_bytes());
    while bytes.len() < size_of_kind(kind).unwrap_or_default() {
        let text = bytes.len() >= TEXT_FROM && draw(&mut seed).is_multiple_of(4);
        let value = if text {
            *TEXTS[draw(&mut seed) as usize % TEXTS.len()]
        } else {
            field(&mut seed, values).to_ne_bytes()
        };
        bytes.extend(value);
    }
}

/// Eight bytes of a record: one field, or several small ones.
fn field(seed: &mut u64, values: Values) -> u64 {
    let value = draw(seed);
    match draw(seed) % 20 {
        0..9 => value % 5,
        9..12 => (UPPER[value as usize % UPPER.len()] << 32) | ((value >> 40) & 3),
        12..15 => NOON_NS + value % 4_000_000_000,
        15..18 => value % (1 << 40),
        18 if values == Values::Extreme => value,
        19 if values == Values::Extreme => {
            [u64::MAX, u64::MAX - 1, i64::MAX as u64, 1 << 63][value as usize % 4]
        }
        _ => u64::from(value as u32 % 300),
    }
}

/// The next number of the splitmix64 generator (Steele, Lea, Flood 2014).
fn draw(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
