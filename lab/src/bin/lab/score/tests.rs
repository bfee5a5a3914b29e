//! Made-up runs, judged.

use testbed::truth::{FaultKind, Stretch, Times};

use super::super::scenario::{Culprit, Injected, Load, Server};
use super::super::truth::made_up;
use super::*;

const MS: u64 = 1_000_000;

fn asleep(id: u64, ms: u64) -> Served {
    made_up(id, 0, vec![stretch(FaultKind::Sleep, ms, None)])
}

fn stretch(kind: FaultKind, ms: u64, task: Option<u64>) -> Stretch {
    Stretch {
        kind,
        from_ns: 0,
        to_ns: ms * MS,
        least_ns: ms * MS,
        most_ns: ms * MS,
        task,
    }
}

fn sent(id: u64, took_ms: u64) -> Sent {
    Sent {
        id,
        status: 200,
        times: Times {
            answered_ns: took_ms * MS,
            ..Times::default()
        },
    }
}

fn explained(id: u64, budget_ms: &[(&str, u64)]) -> Explained {
    let budget: BTreeMap<_, _> = budget_ms.iter().map(|(cause, ms)| (*cause, ms * MS)).collect();
    let spans = budget_ms
        .iter()
        .map(|(cause, ms)| json!({"dur_ns": ms * MS, "cause": cause, "syscall": "read"}));
    Explained::parse(json!({
        "http": {"path": format!("/x?id={id}")},
        "conn": {"nth": 2},
        "latency_ns": budget.values().sum::<u64>(),
        "budget_ns": budget,
        "timeline": spans.collect::<Vec<_>>(),
    }))
    .unwrap()
}

fn case(pipelined: u64) -> Case {
    Case {
        pipelined,
        ..Case::new("a", Server::workers(1), Vec::new())
    }
}

fn score(observed: &Observed) -> Score {
    score_by(&["read"], observed)
}

/// The same where it is one of these calls that is waited in.
fn score_by(calls: &'static [&'static str], observed: &Observed) -> Score {
    let own = Injected::Own(&[FaultKind::Sleep, FaultKind::AsyncLock]);
    let part = InjectedPart::new(own, &["syscall"]);
    let expected = Expected::Parts(vec![part.by(Culprit::syscalls(calls))]);
    judge(&expected, &case(1), &Names::default(), observed).0
}

#[test]
fn the_right_cause_with_the_right_length_and_name_is_right() {
    let score = score(&Observed {
        served: vec![asleep(1, 10)],
        sent: vec![sent(1, 12)],
        explained: vec![explained(1, &[("syscall", 10), ("on_cpu", 2)])],
        ..Observed::default()
    });
    assert_eq!(
        (score.affected, score.right, score.within, score.culprits_right),
        (1, 1, 1, 1)
    );
    assert_eq!(score.errors_ns, [0]);
}

#[test]
fn another_cause_is_wrong_and_its_time_is_an_error() {
    let score = score(&Observed {
        served: vec![asleep(1, 10)],
        sent: vec![sent(1, 12)],
        explained: vec![explained(1, &[("syscall", 3), ("lock", 9)])],
        ..Observed::default()
    });
    assert_eq!((score.affected, score.right, score.within), (1, 0, 0));
    assert_eq!(score.errors_ns, [7 * MS]);
    assert_eq!(score.named["syscall"]["lock"], 1);
}

#[test]
fn what_is_wrong_is_told_with_how_often_it_was() {
    let both = Observed {
        served: vec![asleep(1, 10), asleep(20, 10)],
        sent: vec![sent(1, 12), sent(20, 12)],
        explained: vec![
            explained(1, &[("syscall", 10), ("on_cpu", 2)]),
            explained(20, &[("on_cpu", 12)]),
        ],
        ..Observed::default()
    };
    let score = score_by(&["fsync"], &both);
    assert_eq!((score.culprits_wrong, score.misnamed), (1, 1));
    let mistakes: Vec<_> = score.mistakes.iter().collect();
    assert_eq!(
        mistakes,
        [
            (&"culprit: /syscall is read instead of fsync".to_owned(), &1),
            (&"on_cpu instead of syscall".to_owned(), &1)
        ]
    );
}

#[test]
fn a_request_with_two_wrong_names_is_one_and_the_same_of_others_is_one_mistake() {
    let waits_for = |id, task| made_up(id, 0, vec![stretch(FaultKind::AsyncLock, 10, Some(task))]);
    let names = |id, task: u64| {
        let mut explained = explained(id, &[("syscall", 10), ("on_cpu", 2)]);
        explained.line["timeline"][0]["culprit"] = json!({ "task": task });
        explained
    };
    let both = Observed {
        served: vec![waits_for(1, 31), waits_for(20, 32)],
        sent: vec![sent(1, 12), sent(20, 12)],
        explained: vec![names(1, 98), names(20, 99)],
        ..Observed::default()
    };
    let score = score_by(&["fsync"], &both);
    assert_eq!(
        (score.culprits_wrong, score.tasks_wrong, score.misnamed),
        (2, 2, 2)
    );
    let mistakes: Vec<_> = score.mistakes.iter().collect();
    assert_eq!(
        mistakes,
        [
            (&"culprit: /syscall is read instead of fsync".to_owned(), &2),
            (&"the task is ## and none of {##}".to_owned(), &2)
        ]
    );
}

#[test]
fn what_the_machine_hid_is_counted_and_not_right() {
    let of_note = |note: &str| {
        let mut hidden = explained(1, &[("unexplained", 10), ("on_cpu", 2)]);
        hidden.line["timeline"][0]["note"] = json!(note);
        let score = score(&Observed {
            served: vec![asleep(1, 10)],
            sent: vec![sent(1, 12)],
            explained: vec![hidden],
            ..Observed::default()
        });
        (score.affected, score.right, score.hidden)
    };
    assert_eq!(of_note("what the thread did was not seen"), (1, 0, 1));
    assert_eq!(of_note("no record of the thread"), (1, 0, 0));
}

#[test]
fn a_request_that_mostly_did_something_else_is_not_judged() {
    let score = score(&Observed {
        served: vec![asleep(1, 10)],
        sent: vec![sent(1, 21)],
        explained: vec![explained(1, &[("lock", 21)])],
        ..Observed::default()
    });
    assert_eq!((score.requests, score.affected), (1, 0));
}

#[test]
fn what_only_one_side_knows_is_counted() {
    let score = score(&Observed {
        served: vec![asleep(1, 10), asleep(2, 10)],
        sent: vec![sent(1, 12), sent(2, 12)],
        explained: vec![
            explained(2, &[("syscall", 10)]),
            explained(2, &[("syscall", 10)]),
            explained(3, &[]),
        ],
        ..Observed::default()
    });
    assert_eq!(
        (score.requests, score.explained, score.missing, score.extra),
        (2, 1, 1, 2)
    );
}

#[test]
fn the_first_request_of_a_connection_is_judged_only_where_all_are() {
    let nothing = Expected::Nothing(&["on_cpu"]);
    let mut first = explained(1, &[("lock", 1)]);
    first.line["conn"]["nth"] = json!(1);
    let observed = Observed {
        served: vec![asleep(1, 0)],
        sent: vec![sent(1, 1)],
        explained: vec![first],
        ..Observed::default()
    };
    let kept = case(1);
    let reconnecting = Case {
        loads: vec![Load::closed("/x", 1).with(&["--reconnect"])],
        ..case(1)
    };
    let affected = |case| judge(&nothing, case, &Names::default(), &observed).0.affected;
    assert_eq!((affected(&kept), affected(&reconnecting)), (0, 1));
}

#[test]
fn of_pipelined_requests_the_first_is_expected() {
    let nothing = Expected::Nothing(&["on_cpu"]);
    let observed = Observed {
        served: vec![asleep(1, 0), asleep(2, 0)],
        sent: vec![sent(1, 1), sent(2, 1)],
        explained: vec![explained(1, &[("on_cpu", 1)])],
        ..Observed::default()
    };
    let (score, _) = judge(&nothing, &case(2), &Names::default(), &observed);
    assert_eq!((score.requests, score.missing, score.right), (1, 0, 1));
}

#[test]
fn of_a_control_only_slow_requests_are_judged() {
    let nothing = Expected::Nothing(&["on_cpu"]);
    let observed = Observed {
        served: vec![asleep(1, 0), asleep(2, 0)],
        sent: vec![sent(1, 1), sent(2, 1)],
        explained: vec![explained(1, &[("lock", 0)]), explained(2, &[("lock", 1)])],
        ..Observed::default()
    };
    let (score, _) = judge(&nothing, &case(1), &Names::default(), &observed);
    assert_eq!((score.affected, score.right), (1, 0));
}

#[test]
fn of_a_control_a_request_behind_others_waits_for_its_worker() {
    let nothing = Expected::Nothing(&["on_cpu"]);
    // Eleven of one worker, sent at once and begun every 100 us.
    let served = (0..=10).map(|id| made_up(id, id * MS / 10, Vec::new()));
    let observed = |cause| Observed {
        served: served.clone().collect(),
        sent: vec![sent(10, 1)],
        explained: vec![explained(10, &[(cause, 1)])],
        ..Observed::default()
    };
    let right = |cause| {
        judge(&nothing, &case(1), &Names::default(), &observed(cause))
            .0
            .right
    };
    assert_eq!((right("worker_busy"), right("on_cpu")), (1, 0));
}

#[test]
fn the_error_at_a_quantile_is_one_of_the_errors() {
    let errors_ns = (1..=100).rev().collect();
    let score = Score {
        errors_ns,
        ..Score::default()
    };
    assert_eq!((score.error_ns(0.5), score.error_ns(0.99)), (Some(50), Some(99)));
    assert_eq!(Score::default().error_ns(0.5), None);
}
