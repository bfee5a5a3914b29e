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
    /// Those of events that wait; the others have left.
    held_words: usize,
    waiting: Vec<Waiting>,
    /// The first that waits; those before it have left.
    first: usize,
    /// Up to here they are in order.
    sorted: usize,
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
        self.held_words += words.len();
        self.words
            .extend(words.iter().map(|word| u64::from_ne_bytes(*word)));
    }

    /// Moves every event older than `watermark_ns` into `batch`, in order.
    pub fn release(&mut self, watermark_ns: u64, batch: &mut Batch) {
        self.sort();
        let waiting = &self.waiting[self.first..];
        let ready = waiting.partition_point(|waiting| waiting.at_ns < watermark_ns);
        for waiting in &waiting[..ready] {
            batch.push(bytemuck::cast_slice(
                &self.words[waiting.start..waiting.start + waiting.words],
            ));
            self.held_words -= waiting.words;
        }
        self.first += ready;
        // To forget what has left at once would copy what stays each time: that is forty times what comes meanwhile.
        if self.held_words * 2 <= self.words.len() {
            self.compact();
        }
    }

    /// Puts what came since the last time into its place.
    fn sort(&mut self) {
        let (sorted, new) = self.waiting[self.first..].split_at(self.sorted - self.first);
        if let Some(oldest_ns) = new.iter().map(|waiting| waiting.at_ns).min() {
            let in_place = sorted.partition_point(|waiting| waiting.at_ns <= oldest_ns);
            self.waiting[self.first + in_place..].sort_by_key(|waiting| waiting.at_ns);
        }
        self.sorted = self.waiting.len();
    }

    /// Forgets what has left. Memory beyond twice of what waits is given back, but for a little.
    fn compact(&mut self) {
        self.waiting.drain(..self.first);
        self.sorted -= self.first;
        self.first = 0;
        self.spare.clear();
        for waiting in &mut self.waiting {
            let start = self.spare.len();
            self.spare
                .extend_from_slice(&self.words[waiting.start..waiting.start + waiting.words]);
            waiting.start = start;
        }
        std::mem::swap(&mut self.words, &mut self.spare);
        self.spare.clear();
        self.words.shrink_to(KEPT_WORDS.max(4 * self.held_words));
        self.spare.shrink_to(KEPT_WORDS.max(4 * self.held_words));
        self.waiting
            .shrink_to((KEPT_WORDS / 8).max(4 * self.waiting.len()));
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

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

    /// A fact with a time and a number.
    fn numbered(at_ns: u64, number: u64) -> Tick {
        let mut tick = Tick::new(at_ns);
        tick.header.tid = number as u32;
        tick
    }

    proptest! {
        #[test]
        fn whatever_comes_in_whatever_order_leaves_once_and_in_order(
            drains in vec((vec(0_u64..60, 0..30), 0_u64..50), 1..40),
        ) {
            let (mut merge, mut batch) = (Merge::default(), Batch::default());
            let (mut left, mut waiting, mut number) = (Vec::new(), Vec::new(), 0);
            for (at_drain, (times, slack)) in drains.iter().enumerate() {
                let now_ns = at_drain as u64 * 20 + 60;
                for age_ns in times {
                    number += 1;
                    let at_ns = now_ns - age_ns;
                    merge.push(bytemuck::bytes_of(&numbered(at_ns, number)));
                    waiting.push((at_ns, number));
                }
                let watermark_ns = now_ns - slack;
                waiting.sort_by_key(|&(at_ns, _)| at_ns);
                let ready = waiting.partition_point(|&(at_ns, _)| at_ns < watermark_ns);
                left.extend(waiting.drain(..ready));
                merge.release(watermark_ns, &mut batch);
                prop_assert!(merge.words.len() <= 2 * merge.held_words);
            }
            let numbers = batch.events().map(|event| match event.unwrap() {
                Event::Tick(tick) => (tick.header.at_ns, u64::from(tick.header.tid)),
                other => panic!("unexpected {other:?}"),
            });
            prop_assert_eq!(numbers.collect::<Vec<_>>(), left);
        }
    }
}
