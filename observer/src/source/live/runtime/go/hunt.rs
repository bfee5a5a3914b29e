//! The proof that the threads of a process keep their goroutine where their version of Go does: what is found on the
//! way there says so itself.
//!
//! The kernel half follows the pointers in the thread's own context when it receives, so that nothing moves meanwhile.
//! The thread's `m` has the thread's own id, and is the `m` of its `g0` and of the goroutine that it runs, which is in
//! a system call. Nothing else looks like that.

use std::collections::BTreeSet;

use bytemuck::Zeroable as _;
use observer_common::seek::{LINKS, Link, Sample, Seek};
use observer_common::{TaskPath, conn, task};

use super::super::hunt::{INTERVAL_NS, Seeks, Stage};
use super::offsets::Offsets;
use super::program::GPlace;

/// Receives in which everything must agree.
const ENOUGH: u32 = 3;

/// Receives in which something did not, until nothing more is expected: threads that Go did not begin can receive as
/// well.
const MOST_OTHERS: u32 = 256;

/// `_Gsyscall`, `_Grunning`: what a goroutine is while its thread receives.
const STATUS: [u32; 2] = [3, 2];

/// `_Gwaiting`.
const WAITS: u64 = 4;

/// Its status stands right before the id, bytes.
const BEFORE_ID: i32 = 8;

/// The words of a sample: the one at the place itself, and one for each of the [`links`].
mod word {
    pub(super) const G: usize = 0;
    pub(super) const M: usize = 1;
    pub(super) const PROCID: usize = 2;
    pub(super) const G0: usize = 3;
    pub(super) const M_OF_G0: usize = 4;
    pub(super) const CURG: usize = 5;
    pub(super) const M_OF_CURG: usize = 6;
    pub(super) const STATUS: usize = 7;
    pub(super) const GOID: usize = 8;
}

/// A search that is going on in a process.
pub(in super::super) struct Hunt {
    place: GPlace,
    offsets: Offsets,
    agreed: u32,
    others: u32,
    threads: BTreeSet<u32>,
    goroutines: BTreeSet<u64>,
}

impl Hunt {
    pub(in super::super) fn new(place: GPlace) -> Self {
        Self {
            place,
            offsets: Offsets::of(place.version),
            agreed: 0,
            others: 0,
            threads: BTreeSet::new(),
            goroutines: BTreeSet::new(),
        }
    }

    fn links(&self) -> [Link; LINKS] {
        let Offsets {
            g_m,
            g_goid,
            m_g0,
            m_procid,
            m_curg,
            ..
        } = self.offsets;
        let link = |pointer: usize, offset| Link {
            pointer: pointer as u32,
            offset,
        };
        [
            link(word::G, g_m),
            link(word::M, m_procid),
            link(word::M, m_g0),
            link(word::G0, g_m),
            link(word::M, m_curg),
            link(word::CURG, g_m),
            link(word::CURG, g_goid - BEFORE_ID),
            link(word::CURG, g_goid),
        ]
    }

    fn path(&self) -> TaskPath {
        let Offsets {
            g_m,
            g_goid,
            g_tracking_seq,
            m_curg,
            ..
        } = self.offsets;
        TaskPath {
            start: self.place.g,
            points: 1,
            steps: [g_m.into(), m_curg.into()],
            task: (g_goid - BEFORE_ID).into(),
            waits: WAITS,
            stops: (g_tracking_seq - g_goid) as u64 % 8,
            ..TaskPath::zeroed()
        }
    }

    fn evidence(&self) -> String {
        let Self {
            place,
            agreed,
            threads,
            goroutines,
            ..
        } = self;
        format!(
            "g at fsbase{:+} ({}), its fields as in Go 1.{}: in {agreed} receives by {} of {}, m had the thread's id and was the m \
             of its g0 and of the goroutine that it ran",
            place.g,
            if place.by_code {
                "as the program's own code has it"
            } else {
                "where it mostly is"
            },
            place.version.minor(),
            count(threads.len(), "thread"),
            count(goroutines.len(), "goroutine"),
        )
    }
}

impl Seeks for Hunt {
    fn seek(&self) -> Seek {
        Seek {
            from: self.place.g,
            bytes: size_of::<u64>() as u32,
            interval_ns: INTERVAL_NS,
            follows: 1,
            links: self.links(),
            ..Seek::zeroed()
        }
    }

    fn see(&mut self, sample: &Sample) {
        let Sample { head, words } = sample;
        // Between two goroutines a thread can be seen with half of what changes.
        if head.conn == conn::NONE {
            return;
        }
        let (m, goid) = (words[word::M], words[word::GOID]);
        // What is not there is 0, as is all that it would point to.
        let agrees = m != 0
            && words[word::PROCID] == u64::from(head.tid)
            && words[word::M_OF_G0] == m
            && words[word::M_OF_CURG] == m
            && STATUS.contains(&(words[word::STATUS] as u32))
            && (1..=task::ID_OF_STAY).contains(&goid);
        if agrees {
            self.agreed += 1;
            self.threads.insert(head.tid);
            self.goroutines.insert(goid);
        } else {
            self.others += 1;
        }
    }

    fn step(&mut self, _now_ns: u64) -> Stage {
        if self.agreed >= ENOUGH {
            Stage::Proved(self.path(), self.evidence())
        } else if self.others >= MOST_OTHERS {
            Stage::GivenUp(format!(
                "at fsbase{:+} stands no g whose fields are as in Go 1.{}",
                self.place.g,
                self.place.version.minor()
            ))
        } else {
            Stage::Seeks(self.seek())
        }
    }
}

fn count(number: usize, of: &str) -> String {
    match number {
        1 => format!("1 {of}"),
        _ => format!("{number} {of}s"),
    }
}

#[cfg(test)]
mod tests {
    use observer_common::seek::{SampleHead, WINDOW_WORDS};

    use super::*;
    use crate::runtime::go::Version;

    const TID: u32 = 41;
    const M: u64 = 0xc000_0100;

    fn hunt() -> Hunt {
        Hunt::new(GPlace {
            version: Version::of("go1.26.8").unwrap(),
            g: -8,
            by_code: true,
            globals: None,
            stacks: None,
        })
    }

    /// A thread that runs a goroutine receives.
    fn receives(goid: u64) -> Sample {
        let mut words = [0; WINDOW_WORDS];
        words[..=word::GOID].copy_from_slice(&[1, M, TID.into(), 2, M, 3, M, 3, goid]);
        Sample {
            head: SampleHead {
                conn: 7,
                tid: TID,
                ..SampleHead::zeroed()
            },
            words,
        }
    }

    fn proved(samples: impl IntoIterator<Item = Sample>) -> Option<TaskPath> {
        let mut hunt = hunt();
        samples.into_iter().for_each(|sample| hunt.see(&sample));
        match hunt.step(0) {
            Stage::Proved(path, _) => Some(path),
            _ => None,
        }
    }

    #[test]
    fn a_few_receives_in_which_all_agrees_are_a_proof() {
        let path = proved([receives(18), receives(19), receives(18)]).unwrap();
        assert_eq!(
            (path.start, path.steps, path.task, path.stops),
            (-8, [48, 184], 144, 7)
        );
        assert_eq!(proved([receives(18), receives(19)]), None);
    }

    #[test]
    fn what_does_not_agree_is_none() {
        for (index, other) in [
            (word::PROCID, 42),
            (word::M_OF_G0, 0),
            (word::M_OF_CURG, M + 8),
            (word::STATUS, 1),
            (word::GOID, 0),
            (word::GOID, u64::MAX),
        ] {
            let mut sample = receives(18);
            sample.words[index] = other;
            assert_eq!(proved([sample; 9]), None, "word {index}");
        }
    }

    #[test]
    fn it_is_given_up_after_many_receives_in_which_not_all_agrees() {
        let mut hunt = hunt();
        let of_c = Sample {
            words: [0; WINDOW_WORDS],
            ..receives(18)
        };
        (1..MOST_OTHERS).for_each(|_| hunt.see(&of_c));
        assert!(matches!(hunt.step(0), Stage::Seeks(_)));
        hunt.see(&Sample {
            head: SampleHead {
                conn: conn::NONE,
                ..of_c.head
            },
            ..of_c
        });
        assert!(matches!(hunt.step(0), Stage::Seeks(_)));
        hunt.see(&of_c);
        assert!(matches!(hunt.step(0), Stage::GivenUp(_)));
    }
}
