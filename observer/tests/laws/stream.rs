//! A stream of events as the tests hold it: one entry an event, to be cut, thinned and disordered.
//!
//! It does not know where the events come from, nor what must hold for them.

use std::fmt;

use observer::event::{Event, Lost};
use observer::source::Batch;
use observer_common::LostReason;
use proptest::prelude::*;
use proptest::sample::Index;

/// A record is delivered at most this long after its time: what the merge stage promises to put in order.
pub(crate) const SLACK_NS: u64 = 2_000_000;

/// Events, each in a batch of its own.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Stream(pub(crate) Vec<Batch>);

/// A place where records go missing: some of the 32 events from `start` on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hole {
    start: Index,
    missing: u32,
}

/// An event that comes later than those that followed it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delay {
    event: Index,
    places: usize,
}

/// A few holes.
pub(crate) fn holes() -> impl Strategy<Value = Vec<Hole>> {
    prop::collection::vec(
        (any::<Index>(), any::<u32>()).prop_map(|(start, missing)| Hole { start, missing }),
        1..4,
    )
}

/// Delays of many events.
pub(crate) fn delays() -> impl Strategy<Value = Vec<Delay>> {
    prop::collection::vec(
        (any::<Index>(), 1..6_usize).prop_map(|(event, places)| Delay { event, places }),
        1..40,
    )
}

impl Stream {
    /// Appends one event.
    pub(crate) fn push(&mut self, event: &[u8]) {
        let mut entry = Batch::default();
        entry.push(event);
        self.0.push(entry);
    }

    /// The events in their order.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.0.iter().flat_map(Batch::events).flatten()
    }

    /// All events as they stand in a recording.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.0.iter().flat_map(Batch::bytes).copied().collect()
    }

    /// The same stream without the events for which `keep` does not hold.
    pub(crate) fn only(&self, keep: impl Fn(&Event<'_>) -> bool) -> Self {
        Self(
            self.0
                .iter()
                .filter(|entry| entry.events().flatten().all(|event| keep(&event)))
                .cloned()
                .collect(),
        )
    }

    /// The same stream, broken off.
    pub(crate) fn cut(mut self, at: Index) -> Self {
        self.0.truncate(at.index(self.0.len() + 1));
        self
    }

    /// The same stream with records missing. When `told`, an event where the loss begins tells of it, as the
    /// live source does; it never loses its own facts.
    pub(crate) fn with_holes(mut self, holes: &[Hole], told: bool) -> Self {
        for hole in holes {
            if self.0.is_empty() {
                break;
            }
            let start = hole.start.index(self.0.len());
            let missing = |place: &usize, entry: &Batch| {
                *place >= start
                    && *place < start + 32
                    && hole.missing >> (place - start) & 1 == 1
                    && observer_common::Kind::from_u16(kind(entry)).is_some()
            };
            let lost: Vec<_> = self
                .0
                .iter()
                .enumerate()
                .filter(|(place, entry)| missing(place, entry))
                .collect();
            let (Some((first, from)), Some((_, to))) = (lost.first(), lost.last()) else {
                continue;
            };
            let (first, count) = (*first, lost.len() as u64);
            let (from_ns, to_ns) = (at_ns(from), at_ns(to));
            let mut place = 0;
            self.0.retain(|entry| {
                place += 1;
                !missing(&(place - 1), entry)
            });
            if told {
                let lost = Lost::new(from_ns, count, from_ns, to_ns, LostReason::RingFull as u32);
                let mut entry = Batch::default();
                entry.push(bytemuck::bytes_of(&lost));
                self.0.insert(first, entry);
            }
        }
        self
    }

    /// The same stream with some events behind others that came within [`SLACK_NS`] after them.
    pub(crate) fn disordered(mut self, delays: &[Delay]) -> Self {
        for delay in delays {
            if self.0.is_empty() {
                break;
            }
            let event = delay.event.index(self.0.len());
            for place in event..event + delay.places {
                let Some(next) = self.0.get(place + 1) else { break };
                if at_ns(next).saturating_sub(at_ns(&self.0[place])) >= SLACK_NS {
                    break;
                }
                self.0.swap(place, place + 1);
            }
        }
        self
    }

    /// The events that are whole in the first `bytes` bytes.
    pub(crate) fn whole_events(&self, bytes: usize) -> Self {
        let mut left = bytes;
        let whole = self.0.iter().take_while(|entry| {
            let size = entry.bytes().len();
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        Self(whole.cloned().collect())
    }

    /// The same stream up to its first end event: further no reader of a recording goes.
    pub(crate) fn up_to_first_end(mut self) -> Self {
        let end = self.events().position(|event| matches!(event, Event::End(_)));
        self.0.truncate(end.map_or(self.0.len(), |end| end + 1));
        self
    }
}

/// When the event of an entry happened, ns: the first field of every header.
pub(crate) fn at_ns(entry: &Batch) -> u64 {
    entry
        .bytes()
        .first_chunk()
        .map_or(0, |field| u64::from_ne_bytes(*field))
}

fn kind(entry: &Batch) -> u16 {
    entry
        .bytes()
        .get(12..)
        .and_then(<[u8]>::first_chunk)
        .map_or(0, |field| u16::from_ne_bytes(*field))
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{} events", self.0.len())?;
        for event in self.events() {
            match event {
                Event::Receive(receive, head) => {
                    writeln!(formatter, "  {receive:?} {:?}", String::from_utf8_lossy(head))?;
                }
                Event::Send(send, head) => {
                    writeln!(formatter, "  {send:?} {:?}", String::from_utf8_lossy(head))?;
                }
                Event::FdName(name) => writeln!(formatter, "  FdName {:?} fd {}", name.header, name.fd)?,
                event => writeln!(formatter, "  {event:?}")?,
            }
        }
        Ok(())
    }
}
