//! What threads are by rows of counts: each kind, what fits nothing, and threads that change.

use super::*;

fn of_one(counts: Counts) -> Option<Role> {
    role(&counts, &counts, false)
}

const NONE: Counts = Counts {
    accepts: 0,
    accept_waits: 0,
    event_waits: 0,
    connection_waits: 0,
    reads: 0,
    moves: 0,
    kept: 0,
    taken: 0,
    given: 0,
    given_by_runtime: 0,
    woke_loops: 0,
    alone: 0,
    waits: 0,
    stops: 0,
};

/// As of a loop that serves many connections.
const LOOP: Counts = Counts {
    accepts: 2,
    event_waits: 90,
    connection_waits: 80,
    reads: 100,
    moves: 60,
    kept: 100,
    waits: 90,
    ..NONE
};

/// As of a thread that is handed connections with a request on each.
const POOLED: Counts = Counts {
    reads: 50,
    moves: 48,
    kept: 50,
    given: 40,
    waits: 45,
    ..NONE
};

/// As of a thread that has a client of its own.
const KEEPER: Counts = Counts {
    connection_waits: 50,
    reads: 50,
    kept: 50,
    waits: 50,
    ..NONE
};

const TIMER: Counts = Counts {
    alone: 10,
    waits: 10,
    ..NONE
};

#[test]
fn each_thread_is_what_it_does() {
    let accepts = Counts {
        accepts: 9,
        waits: 9,
        ..NONE
    };
    let answers = Counts {
        taken: 30,
        given: 20,
        waits: 20,
        ..NONE
    };
    let prefork = Counts {
        accepts: 9,
        reads: 9,
        moves: 8,
        kept: 9,
        waits: 9,
        ..NONE
    };
    let dispatcher = Counts {
        accepts: 4,
        event_waits: 50,
        connection_waits: 40,
        waits: 50,
        ..NONE
    };
    let collector = Counts {
        given: 9,
        given_by_runtime: 9,
        waits: 9,
        ..NONE
    };
    let stopper = Counts {
        stops: 1,
        alone: 5,
        waits: 8,
        ..NONE
    };
    for (counts, role) in [
        (accepts, Role::Acceptor),
        (LOOP, Role::EventLoop),
        (dispatcher, Role::EventLoop),
        (POOLED, Role::Pool),
        (answers, Role::Pool),
        (KEEPER, Role::Connection),
        (prefork, Role::Connection),
        (TIMER, Role::Timer),
        (collector, Role::Runtime),
        (stopper, Role::Runtime),
    ] {
        assert_eq!(of_one(counts), Some(role), "{counts:?}");
    }
}

#[test]
fn what_was_seen_too_seldom_or_fits_nothing_is_nothing() {
    let few = ENOUGH - 1;
    let waits_now_here_now_there = Counts {
        event_waits: 20,
        given: 20,
        waits: 40,
        ..NONE
    };
    let sleeps_for_somebody = Counts {
        given: 1,
        alone: 40,
        waits: 50,
        ..NONE
    };
    for counts in [
        NONE,
        Counts {
            accepts: few,
            waits: few,
            ..NONE
        },
        Counts {
            event_waits: few,
            waits: few,
            ..NONE
        },
        Counts {
            given: few,
            waits: few,
            ..NONE
        },
        Counts {
            alone: few,
            waits: few,
            ..NONE
        },
        waits_now_here_now_there,
        sleeps_for_somebody,
    ] {
        assert_eq!(of_one(counts), None, "{counts:?}");
    }
}

#[test]
fn later_evidence_wins_and_where_there_is_none_the_earlier_holds() {
    for before in [LOOP, POOLED, KEEPER, TIMER] {
        assert_eq!(role(&NONE, &before, false), of_one(before), "{before:?}");
        for now in [LOOP, POOLED] {
            assert_eq!(
                role(&now, &before.plus(now), false),
                of_one(now),
                "{now:?} after {before:?}"
            );
        }
    }
    // It sleeps from now on: it may do so for somebody.
    assert_eq!(role(&TIMER, &POOLED.plus(TIMER), false), Some(Role::Pool));
    // It waits until those that serve have room.
    let full = Counts {
        given: 20,
        waits: 20,
        ..NONE
    };
    let accepted = Counts {
        accept_waits: 9,
        waits: 9,
        ..NONE
    };
    assert_eq!(role(&full, &accepted.plus(full), false), Some(Role::Acceptor));
}

#[test]
fn under_load_a_thread_stays_what_it_was() {
    let saturated = Counts {
        reads: 900,
        kept: 900,
        ..NONE
    };
    let one_client = saturated;
    let many_clients = Counts {
        moves: 800,
        ..saturated
    };
    for (before, now) in [(LOOP, one_client), (LOOP, many_clients), (POOLED, many_clients)] {
        assert_eq!(
            role(&now, &before.plus(now), false),
            of_one(before),
            "{now:?} after {before:?}"
        );
    }
    // One that answers nothing itself tells its loop when something is done.
    let computes = Counts {
        woke_loops: 40,
        ..NONE
    };
    let before = Counts {
        given: 1,
        waits: 1,
        ..NONE
    };
    assert_eq!(role(&computes, &before.plus(computes), false), Some(Role::Pool));
    assert_eq!(of_one(computes), Some(Role::Pool), "it waits for nothing");
    let listens = Counts {
        waits: 40,
        ..computes
    };
    assert_eq!(of_one(listens), None, "what it waits for may come from elsewhere");
    // It was never seen to wait: a loop, one of a pool or one that keeps its client.
    assert_eq!(of_one(one_client), None);
    assert_eq!(of_one(many_clients), None);
}

#[test]
fn a_loop_with_nothing_but_timers_is_a_loop_where_it_served_before() {
    let ticks = Counts {
        event_waits: 10,
        alone: 10,
        waits: 10,
        ..NONE
    };
    assert_eq!(of_one(ticks), Some(Role::Timer));
    assert_eq!(role(&ticks, &LOOP.plus(ticks), false), Some(Role::EventLoop));
}

#[test]
fn waits_for_a_lock_that_is_not_known_make_no_pool() {
    let locked = Counts {
        reads: 2,
        kept: 2,
        given: 9,
        waits: 12,
        ..NONE
    };
    assert_eq!(role(&locked, &locked, true), Some(Role::Connection));
    assert_eq!(of_one(locked), None);
}

#[test]
fn a_thread_that_was_begun_for_one_request_keeps_it() {
    let one = Counts {
        reads: 1,
        kept: 1,
        ..NONE
    };
    assert_eq!(role(&one, &one, true), Some(Role::Connection));
    assert_eq!(role(&one, &one, false), None);
}
