//! Puts the events of all CPUs into one order.
//!
//! Each CPU's ring is nearly in order (an interrupt can write between a program's clock and its record), and
//! the rings are read one after the other. So events wait here until a watermark says that nothing older can
//! come, and leave sorted by time. Equal times keep the order in which they came: by CPU, then as written.

use observer_common::Header;

use super::Batch;
use super::batch::KEPT_WORDS;

/// Events that wait for their turn.
#[derive(Debug, Default)]
pub struct Merge {
    words: Vec<u64>,
    waiting: Vec<Waiting>,
    spare: Vec<u64>,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    at_ns: u64,
    start: usize,
    words: usize,
}

impl Merge {
    /// Takes one event in. Bytes that are shorter than a header are ignored.
    pub fn push(&mut self, event: &[u8]) {
        let words = event.as_chunks::<8>().0;
        if words.len() * 8 < size_of::<Header>() {
            return;
        }
        let at_ns = u64::from_ne_bytes(words[0]);
        self.waiting.push(Waiting {
            at_ns,
            start: self.words.len(),
            words: words.len(),
        });
        self.words
            .extend(words.iter().map(|word| u64::from_ne_bytes(*word)));
    }

    /// Moves every event older than `watermark_ns` into `batch`, in order.
    pub fn release(&mut self, watermark_ns: u64, batch: &mut Batch) {
        self.waiting.sort_by_key(|waiting| waiting.at_ns);
        let ready = self
            .waiting
            .partition_point(|waiting| waiting.at_ns < watermark_ns);
        for waiting in &self.waiting[..ready] {
            batch.push(bytemuck::cast_slice(
                &self.words[waiting.start..waiting.start + waiting.words],
            ));
        }
        // What stays is little: at most what came within the watermark's slack.
        self.spare.clear();
        self.waiting.drain(..ready);
        for waiting in &mut self.waiting {
            let start = self.spare.len();
            self.spare
                .extend_from_slice(&self.words[waiting.start..waiting.start + waiting.words]);
            waiting.start = start;
        }
        std::mem::swap(&mut self.words, &mut self.spare);
        self.spare.clear();
        self.spare.shrink_to(KEPT_WORDS);
        self.waiting.shrink_to(KEPT_WORDS / 8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Tick};

    fn times(batch: &Batch) -> Vec<u64> {
        batch
            .events()
            .map(|event| match event.unwrap() {
                Event::Tick(tick) => tick.header.at_ns,
                other => panic!("unexpected {other:?}"),
            })
            .collect()
    }

    #[test]
    fn events_leave_in_order_once_the_watermark_has_passed_them() {
        let mut merge = Merge::default();
        for at_ns in [5, 1, 9, 3] {
            merge.push(bytemuck::bytes_of(&Tick::new(at_ns)));
        }
        let mut batch = Batch::default();
        merge.release(5, &mut batch);
        assert_eq!(times(&batch), [1, 3]);
        merge.push(bytemuck::bytes_of(&Tick::new(7)));
        batch.clear();
        merge.release(u64::MAX, &mut batch);
        assert_eq!(times(&batch), [5, 7, 9]);
    }
}
