//! One goroutine that is parked, read from outside: why it waits, and its stack.
//!
//! It can go on, end or be moved while it is read. What it says of itself is read before and after its stack, and both
//! must be the same: it counts how often it has stopped to run, and where its stack is changes when that is moved.

use std::io;

use observer_common::task;

use super::super::memory::MemoryRange;
use super::super::offsets::Offsets;

/// Of a stack from its inner end, bytes. Most goroutines that serve a request have less.
const MOST_STACK: u64 = 16 << 10;

/// Frames of it.
const MOST_FRAMES: usize = 32;

/// The largest stack that Go gives a goroutine, bytes.
const LARGEST: u64 = 1 << 30;

/// `_Gwaiting`.
const WAITS: u32 = 4;

const WORD: u64 = size_of::<u64>() as u64;

/// Reads these places, one after the other.
pub(super) type Read<'a> = dyn FnMut(&[MemoryRange], &mut [u64]) -> io::Result<()> + 'a;

/// A goroutine that was parked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Parked {
    /// Then it was, by the clock.
    pub(super) at_ns: u64,
    /// What it says, as a record's field of a task has it.
    pub(super) task: u64,
    /// Where in the code it goes on, and where each function returns to, from the innermost out.
    pub(super) frames: Vec<u64>,
}

/// Why it was not seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unseen {
    /// Another one is there now.
    Other,
    /// It runs, or could.
    NotParked,
    /// It went on meanwhile, or its stack was moved.
    Changed,
}

/// What a goroutine says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct State {
    /// Where its stack is, from its outer end down.
    stack: [u64; 2],
    sp: u64,
    pc: u64,
    frame: u64,
    status: u32,
    goid: u64,
    reason: u8,
    stops: u8,
}

impl State {
    /// Words from the start of a goroutine that have all of it.
    fn words(offsets: &Offsets) -> usize {
        offsets.g_tracking_seq as usize / WORD as usize + 1
    }

    fn of(offsets: &Offsets, words: &[u64]) -> Self {
        let word = |offset: i32| words[offset as usize / WORD as usize];
        let byte = |offset: i32| word(offset).to_le_bytes()[offset as usize % WORD as usize];
        Self {
            stack: [words[0], words[1]],
            sp: word(offsets.g_goes_on - WORD as i32),
            pc: word(offsets.g_goes_on),
            frame: word(offsets.g_frame),
            status: word(offsets.g_goid - WORD as i32) as u32,
            goid: word(offsets.g_goid),
            reason: byte(offsets.g_waitreason),
            stops: byte(offsets.g_tracking_seq),
        }
    }

    /// What is read of its stack, if it has one.
    fn stack(&self) -> Option<MemoryRange> {
        let [lowest, highest] = self.stack;
        let is_stack = highest.checked_sub(lowest)? <= LARGEST
            && (lowest..highest).contains(&self.sp)
            && self.sp.is_multiple_of(WORD)
            && highest.is_multiple_of(WORD);
        is_stack.then_some(MemoryRange {
            address: self.sp,
            bytes: (highest - self.sp).min(MOST_STACK) as usize,
        })
    }

    /// As a record's field of a task has it.
    fn task(&self) -> u64 {
        let stay = u64::from(self.stops) | u64::from(self.reason) << task::REASON_SHIFT;
        task::HAS_STAY | stay << task::STAY_SHIFT | self.goid
    }

    /// Where each function returns to, by the frame pointers on the stack: each lies in it, and further out than the
    /// last.
    fn frames(&self, stack: &[u64]) -> Vec<u64> {
        let mut frames = vec![self.pc];
        let (mut frame, mut inner) = (self.frame, self.sp);
        while frames.len() < MOST_FRAMES
            && frame >= inner
            && frame.is_multiple_of(WORD)
            && let at = ((frame - self.sp) / WORD) as usize
            && let Some(&[outer, returns_to]) = stack.get(at..).and_then(<[u64]>::first_chunk)
        {
            frames.push(returns_to);
            (frame, inner) = (outer, frame + 2 * WORD);
        }
        frames
    }
}

/// Looks at goroutine `goid`, which is expected at address `g`.
///
/// # Errors
/// When the memory cannot be read.
pub(super) fn look(
    offsets: &Offsets,
    g: u64,
    goid: u64,
    read: &mut Read<'_>,
    clock: &dyn Fn() -> u64,
) -> io::Result<Result<Parked, Unseen>> {
    let mut words = vec![0; State::words(offsets)];
    let itself = MemoryRange {
        address: g,
        bytes: size_of_val(&*words),
    };
    read(&[itself], &mut words)?;
    let state = State::of(offsets, &words);
    if state.goid != goid {
        return Ok(Err(Unseen::Other));
    }
    if state.status != WAITS {
        return Ok(Err(Unseen::NotParked));
    }
    let Some(place) = state.stack() else {
        return Ok(Err(Unseen::Changed));
    };
    // Between the two reads it was parked all the time.
    let at_ns = clock();
    let stack_words = place.bytes / WORD as usize;
    let mut both = vec![0; stack_words + words.len()];
    // In this order: what it says itself comes last.
    read(&[place, itself], &mut both)?;
    let (stack, after) = both.split_at(stack_words);
    Ok(if State::of(offsets, after) == state {
        Ok(Parked {
            at_ns,
            task: state.task(),
            frames: state.frames(stack),
        })
    } else {
        Err(Unseen::Changed)
    })
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::runtime::go::Version;

    const G: u64 = 0x10_0000;
    const STACK: u64 = 0x20_0000;
    const GOID: u64 = 41;

    fn offsets() -> Offsets {
        Offsets::of(Version::NEWEST)
    }

    /// Made-up memory: a goroutine and its stack of 64 words, of which the last 16 are in use.
    #[derive(Clone)]
    struct Made {
        g: Vec<u64>,
        stack: Vec<u64>,
    }

    impl Made {
        fn parked() -> Self {
            let mut made = Self {
                g: vec![0; State::words(&offsets())],
                stack: vec![0; 64],
            };
            (made.g[0], made.g[1]) = (STACK, STACK + 64 * WORD);
            made.set(offsets().g_goes_on - 8, STACK + 48 * WORD);
            made.set(offsets().g_goes_on, 0x1001);
            made.set(offsets().g_frame, STACK + 50 * WORD);
            made.set(offsets().g_goid - 8, WAITS.into());
            made.set(offsets().g_goid, GOID);
            made.set(offsets().g_waitreason, 18);
            made.stops(7);
            made.stack[50..52].copy_from_slice(&[STACK + 60 * WORD, 0x1002]);
            made.stack[60..62].copy_from_slice(&[0, 0x1003]);
            made
        }

        fn set(&mut self, offset: i32, word: u64) {
            self.g[offset as usize / 8] = word;
        }

        fn stops(&mut self, stops: u8) {
            let (at, shift) = (
                offsets().g_tracking_seq as usize / 8,
                offsets().g_tracking_seq % 8 * 8,
            );
            self.g[at] = self.g[at] & !(0xff << shift) | u64::from(stops) << shift;
        }

        fn word(&self, address: u64) -> Option<u64> {
            let at = |start: u64| Some((address.checked_sub(start)? / WORD) as usize);
            let of_stack = at(STACK).and_then(|at| self.stack.get(at));
            of_stack.or_else(|| self.g.get(at(G)?)).copied()
        }

        fn read(&self, place: MemoryRange, words: &mut [u64]) -> io::Result<()> {
            let addresses = (place.address..place.address + place.bytes as u64).step_by(8);
            for (address, word) in addresses.zip(words) {
                *word = self.word(address).ok_or(io::ErrorKind::UnexpectedEof)?;
            }
            Ok(())
        }

        fn look(&self) -> Result<Parked, Unseen> {
            self.look_while(0, |_| {})
        }

        /// What is seen where this happens once so many places were read. The clock says how many there were.
        fn look_while(&self, after: u64, happens: impl Fn(&mut Self)) -> Result<Parked, Unseen> {
            let (mut made, count) = (self.clone(), Cell::new(0));
            let mut read = |places: &[MemoryRange], mut words: &mut [u64]| {
                for &place in places {
                    if count.get() == after {
                        happens(&mut made);
                    }
                    count.set(count.get() + 1);
                    let (into, rest) = words.split_at_mut(place.bytes / 8);
                    made.read(place, into)?;
                    words = rest;
                }
                Ok(())
            };
            look(&offsets(), G, GOID, &mut read, &|| count.get()).unwrap()
        }
    }

    #[test]
    fn a_parked_goroutine_tells_why_it_waits_and_its_stack_by_frame_pointers() {
        let parked = Made::parked().look().unwrap();
        assert_eq!(parked.frames, [0x1001, 0x1002, 0x1003]);
        assert_eq!(
            parked.task,
            task::HAS_STAY | (18 << 8 | 7) << task::STAY_SHIFT | GOID
        );
    }

    #[test]
    fn one_that_goes_on_ends_or_is_moved_while_it_is_read_is_not_seen() {
        let made = Made::parked();
        let changes: [fn(&mut Made); 5] = [
            // It goes on and parks again; runs; ends, and another has its place; is moved; waits elsewhere.
            |made| made.stops(8),
            |made| made.set(offsets().g_goid - 8, 2),
            |made| made.set(offsets().g_goid, 42),
            |made| {
                made.g[0] += 1 << 20;
                made.g[1] += 1 << 20;
            },
            |made| made.set(offsets().g_goes_on, 0x2001),
        ];
        for change in changes {
            // Before its stack is read, and between that and what it says last.
            for after in [1, 2] {
                assert_eq!(made.look_while(after, change), Err(Unseen::Changed), "{after}");
            }
            assert!(made.look_while(3, change).is_ok());
        }
    }

    #[test]
    fn it_was_parked_at_a_time_after_what_it_says_first_and_before_its_stack_is_read() {
        assert_eq!(Made::parked().look().unwrap().at_ns, 1);
    }

    #[test]
    fn another_one_and_one_that_does_not_wait_are_not_seen() {
        let mut made = Made::parked();
        for status in [0, 1, 2, 3, 6, 0x1004] {
            made.set(offsets().g_goid - 8, status);
            assert_eq!(made.look(), Err(Unseen::NotParked), "{status}");
        }
        made.set(offsets().g_goid, 42);
        assert_eq!(made.look(), Err(Unseen::Other));
    }

    #[test]
    fn frames_that_are_not_in_the_stack_or_do_not_lead_outwards_end_it() {
        let inner_frames = |frame: u64, outer: u64| {
            let mut made = Made::parked();
            made.set(offsets().g_frame, frame);
            made.stack[50] = outer;
            made.look().unwrap().frames
        };
        let first = STACK + 50 * WORD;
        for frame in [
            0,
            STACK + 47 * WORD,
            STACK + 63 * WORD,
            STACK + 64 * WORD,
            u64::MAX,
        ] {
            assert_eq!(inner_frames(frame, 0), [0x1001], "{frame:x}");
        }
        for outer in [0, first, first + WORD, first + 4, STACK + 63 * WORD, u64::MAX - 7] {
            assert_eq!(inner_frames(first, outer), [0x1001, 0x1002], "{outer:x}");
        }
    }

    #[test]
    fn a_stack_that_is_none_is_not_read() {
        for (lowest, highest, sp) in [
            (STACK, STACK + 512, STACK - 8),
            (STACK, STACK + 512, STACK + 512),
            (STACK, STACK + 512, STACK + 383),
            (STACK + 512, STACK, STACK + 8),
            (0, u64::MAX, STACK),
        ] {
            let mut made = Made::parked();
            (made.g[0], made.g[1]) = (lowest, highest);
            made.set(offsets().g_goes_on - 8, sp);
            assert_eq!(made.look(), Err(Unseen::Changed));
        }
        let mut long = Made::parked();
        long.stack = vec![0; 4096];
        let frames = (48..4096).step_by(2);
        for at in frames.clone() {
            long.stack[at] = STACK + (at as u64 + 2) * WORD;
        }
        long.g[1] = STACK + 4096 * WORD;
        assert_eq!(long.look().unwrap().frames.len(), MOST_FRAMES);
    }
}
