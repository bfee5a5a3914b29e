//! What is told of a process that ended: who serves in its place.

use super::*;

#[test]
fn who_took_over_is_in_the_last_line_of_the_process_and_in_a_hint() {
    let mut serving = looked(&[own(7, 8080)], 0, false);
    assert_eq!(serving.leaves(exit()), None);
    assert_eq!(told(&serving, SILENCE), [], "it is not known yet");
    serving.successor(&SuccessorFact::new(2, PID, Pid(4131), "worker", 8080, true));
    let line = serving.ended(&EndedFact::new(2, PID, 8080, 5)).unwrap();
    assert_eq!(
        (line.pid, line.successors[0].pid, line.successors[0].port),
        (PID, Pid(4131), 8080)
    );
    assert_eq!(
        serving.ended(&EndedFact::new(3, PID, 8080, 5)),
        None,
        "it ends once"
    );
    let (kind, sentence) = &told(&serving, REQUESTS)[0];
    assert_eq!(*kind, HintKind::Successor);
    assert_eq!(
        sentence,
        "server (4120) ended, and 4131 (worker) listens on the same socket of port 8080: \
         sudo observer attach --pid 4131"
    );
}

#[test]
fn of_a_process_whose_number_is_another_s_by_then_the_last_line_is_kept() {
    let mut serving = looked(&[own(7, 8080)], 0, false);
    assert_eq!(serving.leaves(exit()), None);
    assert_eq!(serving.watch(PID, "another"), Some(exit()));
    assert_eq!(serving.watch(PID, "third"), None);
}

#[test]
fn that_nobody_took_over_is_told_of_what_listened_and_of_nothing_else() {
    for (port, expected) in [(8080, 1), (0, 0)] {
        let mut serving = looked(&[], 0, false);
        assert_eq!(serving.leaves(exit()), None);
        assert!(
            serving
                .ended(&EndedFact::new(2, PID, port, 2_000_000_000))
                .is_some()
        );
        let hints = told(&serving, REQUESTS);
        assert_eq!(hints.len(), expected, "{hints:?}");
        assert!(
            hints
                .iter()
                .all(|(_, sentence)| sentence.contains("in 2.0 s no other process"))
        );
    }
}

#[test]
fn of_one_that_listened_it_is_not_told_that_it_did_not() {
    let seen = looked(&[own(7, 8080)], 0, false);
    let mut later = Serving::default();
    later.watch(PID, "server");
    for mut serving in [seen, later] {
        assert_eq!(serving.leaves(exit()), None);
        // Whoever listens on an awaited port next is watched without being looked for.
        serving.ended(&EndedFact::new(2, PID, 0, 0));
        let silent = told(&serving, SILENCE);
        let [(HintKind::NoTraffic, sentence)] = &silent[..] else {
            panic!("{silent:?}");
        };
        assert!(sentence.contains("it listened, and ended"), "{sentence}");
    }
}

#[test]
fn of_a_family_it_is_told_who_listened_until_all_ended() {
    let followed = ListenerFact {
        followed: 1,
        ..child(4121, 7, 8080)
    };
    let mut serving = looked(&[followed], 0, false);
    assert_eq!(serving.leaves(exit()), None);
    serving.ended(&EndedFact::new(2, PID, 0, 0));
    let silent = told(&serving, SILENCE);
    assert!(
        silent[0].1.contains("its child 4121 listened, and they ended"),
        "{silent:?}"
    );
}

#[test]
fn of_a_process_that_served_nothing_and_ended_that_is_told() {
    let mut serving = looked(&[], 0, false);
    assert_eq!(serving.leaves(exit()), None);
    serving.ended(&EndedFact::new(2, PID, 0, 0));
    let silent = told(&serving, SILENCE);
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert_eq!(silent[0].0, HintKind::NotListening);
    assert!(
        silent[0].1.contains("it listened on no TCP port, and ended"),
        "{silent:?}"
    );
}

#[test]
fn those_that_ended_make_room_for_others_of_which_all_is_told() {
    let mut serving = Serving::default();
    let last_line_of = |serving: &mut Serving, pid| {
        serving.watch(pid, "server");
        assert_eq!(serving.leaves(ProcessLine { pid, ..exit() }), None, "{pid}");
        serving.successor(&SuccessorFact::new(2, pid, Pid(9), "next", 8080, false));
        serving.ended(&EndedFact::new(2, pid, 8080, 5)).unwrap()
    };
    let most = MAX_WATCHED as u32;
    for pid in 100..100 + 2 * most {
        assert_eq!(last_line_of(&mut serving, Pid(pid)).successors.len(), 1);
        assert!(serving.watched.len() <= MAX_WATCHED);
    }
    assert!(serving.watched.contains_key(&Pid(100 + most)));
    assert!(!serving.watched.contains_key(&Pid(99 + most)));
    // A number that is used again is that of a new one, which nothing was told of.
    let hint = (HintKind::Successor, Some(Pid(100 + most)));
    serving.told.push(hint);
    serving.watch(Pid(100 + most), "server");
    assert!(serving.watched[&Pid(100 + most)].ended.is_none() && !serving.told.contains(&hint));
    // Of more that are there than there is room for, the next is left out.
    for pid in 10_000..10_000 + most {
        serving.watch(Pid(pid), "server");
    }
    assert!(!serving.watched.contains_key(&Pid(9_999 + most)));
    assert!(serving.watched.contains_key(&Pid(9_998 + most)));
    assert_eq!(
        serving.full.counts().collect::<Vec<_>>(),
        [(Table::Serving, 2 * u64::from(most))]
    );
}
