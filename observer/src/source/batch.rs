//! A run of events as aligned bytes.

use observer_common::Header;

use crate::event::{self, ALIGN, Event, FactKind, Malformed};

/// Events, one behind the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    words: Vec<u64>,
}

const _: () = assert!(ALIGN == align_of::<u64>());

/// Memory that is kept for what comes next, in words: 1 MiB, ten times what a saturated server leaves in 4 ms. After a
/// burst the rest is given back.
pub(super) const KEPT_WORDS: usize = 131_072;

impl Batch {
    /// Forgets the events and keeps the memory, unless that is much.
    pub fn clear(&mut self) {
        self.words.clear();
        self.words.shrink_to(KEPT_WORDS);
    }

    /// Appends the bytes of one event. Its length is a multiple of eight, as every event's is; bytes over that
    /// are dropped.
    pub fn push(&mut self, event: &[u8]) {
        self.words.extend(
            event
                .as_chunks::<8>()
                .0
                .iter()
                .map(|word| u64::from_ne_bytes(*word)),
        );
    }

    /// Appends the events of another.
    pub fn append(&mut self, other: &Self) {
        self.words.extend_from_slice(&other.words);
    }

    /// The events as bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        bytemuck::cast_slice(&self.words)
    }

    /// The events one by one. Ends at the first that is malformed, after giving the error.
    pub fn events(&self) -> impl Iterator<Item = Result<Event<'_>, Malformed>> {
        let mut rest = self.bytes();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            Some(match Event::read(rest) {
                Ok((event, size)) => {
                    rest = &rest[size..];
                    Ok(event)
                }
                Err(malformed) => {
                    rest = &[];
                    Err(malformed)
                }
            })
        })
    }

    /// How many events tell of something that happened: not the ticks, and not what tells of losses.
    #[must_use]
    pub fn happened(&self) -> u64 {
        let happened = |kind| !matches!(FactKind::from_u16(kind), Some(FactKind::Tick | FactKind::Lost));
        let events = self.raw().filter(|(header, _)| happened(header.kind));
        events.count() as u64
    }

    /// The header and the bytes of each event. Ends before the first that is malformed.
    pub fn raw(&self) -> impl Iterator<Item = (&Header, &[u8])> {
        let mut rest = self.bytes();
        std::iter::from_fn(move || {
            let header: &Header = bytemuck::from_bytes(rest.get(..size_of::<Header>())?);
            let (event, after) = rest.split_at_checked(event::size_of_kind(header.kind)?)?;
            rest = after;
            Some((header, event))
        })
    }
}
