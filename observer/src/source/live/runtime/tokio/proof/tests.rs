//! A made-up runtime with a context of seven words, of which the fifth is the task's id.

use super::*;

const ID: usize = 4;
const SCHEDULER: usize = 5;
const KIND: usize = 2;
const STACK: u64 = 0x7fff_0000_0000;

struct MadeUpRuntime {
    search: WordSearch,
    issued: u64,
}

impl MadeUpRuntime {
    fn new(is_context: bool) -> Self {
        Self {
            search: WordSearch::new(7, is_context),
            issued: 0,
        }
    }

    fn words(tid: u32, id: u64, budget: u64) -> [u64; 7] {
        let tid = u64::from(tid);
        [tid, 0, 1, 0x5555_0000_1000, id, STACK + tid * 64, budget]
    }

    fn receives(&mut self, tid: u32, conn: u64, id: u64) {
        let words = Self::words(tid, id, 0x7f01);
        self.sees(tid, Doing::Receive(ConnId(conn)), &words);
    }

    /// Its workers are the tasks 1 and 2 themselves.
    fn waits(&mut self, tid: u32) {
        self.sees(tid, Doing::WaitForEvents, &Self::words(tid, tid.into(), 0));
    }

    fn sees(&mut self, tid: u32, doing: Doing, words: &[u64]) {
        self.search.see(&Variables {
            tid: Tid(tid),
            doing,
            issued: self.issued,
            stack: STACK,
            words,
        });
    }

    fn proved(&self) -> Option<usize> {
        match self.search.verdict() {
            WordVerdict::Proved(proof) => Some(proof.word),
            _ => None,
        }
    }
}

#[test]
fn two_connections_that_each_repeat_prove_the_word() {
    let mut runtime = MadeUpRuntime::new(false);
    for (conn, id) in [(70, 11), (71, 12)] {
        assert_eq!(runtime.proved(), None);
        runtime.receives(1, conn, id);
        runtime.waits(1);
        runtime.receives(1, conn, id);
    }
    let WordVerdict::Proved(proof) = runtime.search.verdict() else {
        panic!("{:?}", runtime.search)
    };
    let expected = Proof {
        word: ID,
        connections: 2,
        receives: 4,
        waits: 2,
        counted: false,
        scheduler: Some(SCHEDULER),
        kind: Some(KIND),
    };
    assert_eq!(proof, expected);
}

#[test]
fn connections_that_are_seen_once_make_room_for_those_that_repeat() {
    let mut runtime = MadeUpRuntime::new(false);
    let many = 2 * MOST_CONNECTIONS as u64;
    for conn in 0..many {
        runtime.receives(1, 100 + conn, 11 + conn);
    }
    assert_eq!(runtime.search.connections.len(), MOST_CONNECTIONS);
    for (conn, id) in [(70, 11 + many), (71, 12 + many)] {
        runtime.receives(1, conn, id);
        runtime.waits(1);
        runtime.receives(1, conn, id);
    }
    assert_eq!(runtime.proved(), Some(ID));
}

#[test]
fn more_connections_than_have_room_are_seen_again_also_where_they_come_in_turn() {
    for many in [300, 1000] {
        let mut runtime = MadeUpRuntime::new(false);
        let mut receives = 0;
        while runtime.proved().is_none() {
            assert!(receives < 3 * many, "{many}");
            let conn = receives % many;
            runtime.receives(1, 100 + conn, 11 + conn);
            runtime.waits(1);
            receives += 1;
        }
        assert_eq!(runtime.proved(), Some(ID));
    }
}

#[test]
fn of_connections_that_are_all_seen_once_nothing_is_known_in_the_end() {
    let mut runtime = MadeUpRuntime::new(false);
    for conn in 0..u64::from(MOST_RECEIVES) {
        assert_eq!(runtime.search.verdict(), WordVerdict::Open);
        runtime.receives(1, 100 + conn, 11 + conn);
    }
    assert!(matches!(runtime.search.verdict(), WordVerdict::Refuted(_)));
}

#[test]
fn without_a_wait_for_events_nothing_is_proved() {
    let mut runtime = MadeUpRuntime::new(true);
    for (conn, id) in [(70, 11), (71, 12), (72, 13)] {
        runtime.receives(1, conn, id);
        runtime.receives(1, conn, id);
    }
    assert_eq!(runtime.search.verdict(), WordVerdict::Open);
}

#[test]
fn a_word_that_could_belong_to_the_threads_is_not_proved() {
    let mut runtime = MadeUpRuntime::new(false);
    for (tid, conn, id) in [(1, 70, 11), (2, 71, 12)] {
        runtime.receives(tid, conn, id);
        runtime.waits(tid);
        runtime.receives(tid, conn, id);
    }
    assert_eq!(runtime.search.verdict(), WordVerdict::Open);
    runtime.receives(2, 70, 11);
    assert_eq!(runtime.proved(), Some(ID));
}

#[test]
fn numbers_that_could_all_be_addresses_prove_nothing() {
    let mut runtime = MadeUpRuntime::new(false);
    for (conn, id) in [(70, 0x41_0000), (71, 0x41_0080), (72, 0x41_0100)] {
        runtime.receives(1, conn, id);
        runtime.waits(1);
        runtime.receives(1, conn, id);
    }
    assert_eq!(runtime.search.verdict(), WordVerdict::Open);
    runtime.receives(1, 73, 0x41_0101);
    assert_eq!(runtime.proved(), Some(ID));
}

#[test]
fn one_contradiction_ends_the_word_for_good() {
    // An id that changes on its connection; that two connections share; that is left over while the thread waits, or
    // changes then; that is an address.
    type Contradiction = fn(&mut MadeUpRuntime);
    fn wait(runtime: &mut MadeUpRuntime, id: u64) {
        runtime.sees(1, Doing::WaitForEvents, &MadeUpRuntime::words(1, id, 0));
    }
    let contradictions: [Contradiction; 5] = [
        |runtime| runtime.receives(1, 70, 13),
        |runtime| runtime.receives(2, 72, 11),
        |runtime| wait(runtime, 11),
        |runtime| wait(runtime, 0),
        |runtime| wait(runtime, 0x5555_0000_1000),
    ];
    for contradict in contradictions {
        let mut runtime = MadeUpRuntime::new(true);
        runtime.receives(1, 70, 11);
        contradict(&mut runtime);
        for _ in 0..3 {
            for (conn, id) in [(70, 11), (71, 12), (73, 14)] {
                runtime.receives(1, conn, id);
                runtime.waits(1);
            }
        }
        assert!(
            matches!(runtime.search.verdict(), WordVerdict::Refuted(_)),
            "{:?}",
            runtime.search
        );
    }
}

#[test]
fn an_id_that_was_not_given_out_yet_is_none() {
    let mut runtime = MadeUpRuntime::new(true);
    runtime.issued = 12;
    for (conn, id) in [(70, 11), (71, 12)] {
        runtime.receives(1, conn, id);
        runtime.waits(1);
        runtime.receives(1, conn, id);
    }
    assert!(matches!(runtime.search.verdict(), WordVerdict::Refuted(_)));
}

#[test]
fn one_connection_is_enough_in_the_context_when_the_ids_are_counted() {
    for (is_context, issued, expected) in [(true, 12, Some(ID)), (true, 0, None), (false, 12, None)] {
        let mut runtime = MadeUpRuntime::new(is_context);
        runtime.issued = issued;
        for _ in 0..4 {
            assert_eq!(runtime.proved(), None);
            runtime.receives(1, 70, 11);
            runtime.waits(1);
        }
        assert_eq!(runtime.proved(), expected, "{is_context} {issued}");
    }
}

#[test]
fn a_budget_that_stays_the_same_is_no_id() {
    let mut runtime = MadeUpRuntime::new(true);
    runtime.issued = 1 << 32;
    for id in 1..=4 {
        // What would be the id is another each time.
        runtime.receives(1, 70, id);
        runtime.waits(1);
    }
    assert_eq!(runtime.search.verdict(), WordVerdict::Open);
    for budget in [0x8001, 0x7f01, 0x7f01_0000, 0x101] {
        assert!(is_like_a_budget(budget), "{budget:x}");
    }
    for id in [1, 2, 257 + 1, 0x1_0001, 0x8101] {
        assert_eq!(is_like_a_budget(id), id == 1, "{id:x}");
    }
}

#[test]
fn a_server_that_polls_connections_outside_of_tasks_proves_nothing() {
    let mut runtime = MadeUpRuntime::new(true);
    for (conn, _) in [(70, 0), (71, 0)] {
        runtime.receives(1, conn, 0);
        runtime.waits(1);
        runtime.receives(1, conn, 0);
    }
    assert!(matches!(runtime.search.verdict(), WordVerdict::Refuted(_)));
}

#[test]
fn a_saturated_server_never_waits_and_many_counted_connections_are_enough() {
    for (issued, proved) in [(100, Some(ID)), (0, None)] {
        let mut runtime = MadeUpRuntime::new(true);
        runtime.issued = issued;
        for conn in 1..=4 {
            for _ in 0..2 {
                assert_eq!(runtime.proved(), None);
                runtime.receives(1, conn, 10 + conn);
            }
        }
        assert_eq!(runtime.proved(), proved);
    }
}

#[test]
fn the_scheduler_is_the_only_word_that_always_points_into_the_threads_stack() {
    let scheduler_with = |elsewhere: Option<(usize, u64)>| {
        let mut runtime = MadeUpRuntime::new(true);
        for round in 0..4 {
            for (tid, conn, id) in [(1, 70, 11), (2, 71, 12)] {
                let mut words = MadeUpRuntime::words(tid, id, 0);
                if let Some((word, value)) = elsewhere.filter(|_| round == 0 || conn == 70) {
                    words[word] = value;
                }
                runtime.sees(tid, Doing::Receive(ConnId(conn)), &words);
                runtime.waits(tid);
            }
        }
        match runtime.search.verdict() {
            WordVerdict::Proved(proof) => proof.scheduler,
            verdict => panic!("{verdict:?}"),
        }
    };
    assert_eq!(scheduler_with(None), Some(SCHEDULER));
    // Once none, or below or far above its stack.
    for elsewhere in [0, STACK - 8, STACK + MOST_STACK_BYTES] {
        assert_eq!(
            scheduler_with(Some((SCHEDULER, elsewhere))),
            None,
            "{elsewhere:x}"
        );
    }
    let mut runtime = MadeUpRuntime::new(true);
    for (tid, conn, id) in [(1, 70, 11), (2, 71, 12)] {
        for _ in 0..3 {
            let mut words = MadeUpRuntime::words(tid, id, 0);
            words[1] = STACK + 8;
            runtime.sees(tid, Doing::Receive(ConnId(conn)), &words);
            runtime.waits(tid);
        }
    }
    let WordVerdict::Proved(proof) = runtime.search.verdict() else {
        panic!("{:?}", runtime.search)
    };
    assert_eq!((proof.word, proof.scheduler), (ID, None), "two words point there");
}

#[test]
fn the_kind_is_the_only_small_number_before_a_pointer_that_is_not_the_schedulers() {
    let kind_with = |word: usize, value: u64| {
        let mut runtime = MadeUpRuntime::new(true);
        for _ in 0..2 {
            for (tid, conn, id) in [(1, 70, 11), (2, 71, 12)] {
                let mut words = MadeUpRuntime::words(tid, id, 0);
                words[word] = value;
                runtime.sees(tid, Doing::Receive(ConnId(conn)), &words);
                runtime.waits(tid);
            }
        }
        match runtime.search.verdict() {
            WordVerdict::Proved(proof) => proof.kind,
            verdict => panic!("{verdict:?}"),
        }
    };
    assert_eq!(kind_with(KIND, 0), Some(KIND));
    assert_eq!(kind_with(KIND, 1), Some(KIND));
    assert_eq!(kind_with(KIND, 2), None, "there is no third kind");
    assert_eq!(kind_with(KIND + 1, 0), None, "a handle to nothing");
    assert_eq!(kind_with(1, 0x5555_0000_2000), Some(KIND));
    assert_eq!(
        kind_with(6, 0x5555_0000_2000),
        Some(KIND),
        "what stands before it is the scheduler"
    );
}
