//! What is told of what was looked up, in which words.

mod endings;
mod full;
mod refused;

use super::*;
use crate::event::{Ended as EndedFact, Listener as ListenerFact, Looked, Successor as SuccessorFact};
use crate::model::privilege::Missing;
use crate::model::process::ProcessEvent;

const PID: Pid = Pid(4120);

/// What was looked up of process [`PID`]: these listeners, so many connections.
fn looked(listeners: &[ListenerFact], connections: u32, io_uring: bool) -> Serving {
    let mut serving = Serving::new(std::iter::once((PID, "server".to_owned())), true);
    for listener in listeners {
        serving.listener(listener);
    }
    serving.looked(&Looked::new(1, PID, "server", connections, io_uring));
    serving
}

fn own(inode: u64, port: u16) -> ListenerFact {
    ListenerFact::tcp(1, PID, PID, inode, port).of(Pid(1), "server")
}

fn child(pid: u32, inode: u64, port: u16) -> ListenerFact {
    ListenerFact::tcp(1, Pid(pid), PID, inode, port).of(PID, "worker")
}

fn exit() -> ProcessLine {
    ProcessLine {
        unix_ns: 1,
        event: ProcessEvent::Exit,
        pid: PID,
        comm: None,
        parent: None,
        watched: None,
        exe: None,
        successors: Vec::new(),
    }
}

#[test]
fn who_asked_for_no_children_is_told_how_to_have_them() {
    let serving = Serving {
        follow: false,
        ..looked(&[own(7, 8080), child(4121, 7, 8080)], 0, false)
    };
    let [(HintKind::Children, sentence)] = &told(&serving, SILENCE)[..] else {
        panic!("one hint");
    };
    assert!(
        sentence.ends_with(": without --no-follow they are watched too"),
        "{sentence}"
    );
}

/// The kinds and the sentences, after this traffic.
fn told(serving: &Serving, traffic: Traffic) -> Vec<(HintKind, String)> {
    let hints = serving.hints(traffic);
    hints.iter().map(|hint| (hint.kind, hint.sentence())).collect()
}

const SILENCE: Traffic = Traffic {
    turns: 0,
    unanswered: 0,
    under_way: 0,
    late_sends: 0,
    begun_before: 0,
    unknown_direction: 0,
};

const REQUESTS: Traffic = Traffic { turns: 9, ..SILENCE };

#[test]
fn children_on_the_same_socket_are_named_with_the_command_that_watches_them() {
    let serving = looked(
        &[own(7, 8080), child(4121, 7, 8080), child(4122, 7, 8080)],
        0,
        false,
    );
    assert_eq!(
        told(&serving, SILENCE),
        [(
            HintKind::Children,
            "no request of server (4120) was seen, but its children 4121 and 4122 hold the same socket that listens on \
             port 8080: sudo observer attach --pid 4121 --pid 4122"
                .to_owned()
        )]
    );
    assert_eq!(
        told(&serving, REQUESTS),
        [(
            HintKind::Children,
            "what its children 4121 and 4122 answer is not counted: they hold the same socket that listens on \
             port 8080 as server (4120): sudo observer attach --pid 4120 --pid 4121 --pid 4122"
                .to_owned()
        )]
    );
}

#[test]
fn a_child_with_a_socket_of_its_own_matters_only_where_there_is_no_request() {
    let mut grandchild = child(4122, 8, 8080);
    grandchild.parent = 4121;
    let serving = looked(&[grandchild], 0, false);
    let silent = told(&serving, SILENCE);
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(
        silent[0]
            .1
            .contains("but its descendant 4122 listens on port 8080: sudo observer attach --pid 4122"),
        "{silent:?}"
    );
    assert_eq!(told(&serving, REQUESTS), []);
}

#[test]
fn of_many_ports_and_sockets_some_are_named_and_the_others_counted() {
    let ports: Vec<_> = (0..10).map(|index| own(index, 8080 + index as u16)).collect();
    let silent = told(&looked(&ports, 0, false), SILENCE);
    assert!(
        silent[0]
            .1
            .contains("listens on port 8080, 8081, 8082, 8083, 8084, 8085, 8086, 8087 and 2 more and has no"),
        "{silent:?}"
    );
    let unix = |inode| ListenerFact::unix(1, PID, PID, inode, &format!("/run/{inode}"));
    let sockets: Vec<_> = (0..9).map(unix).collect();
    let silent = told(&looked(&sockets, 0, false), SILENCE);
    assert!(
        silent[0]
            .1
            .contains("on the Unix sockets /run/0, /run/1, /run/2, /run/3, /run/4, /run/5, /run/6, /run/7 and 1 more, which"),
        "{silent:?}"
    );
}

#[test]
fn a_unix_socket_is_named_by_its_path_where_there_is_no_request() {
    let unix = ListenerFact::unix(1, PID, PID, 9, "/run/app.sock");
    let serving = looked(&[own(7, 8080), unix], 0, false);
    let silent = told(&serving, SILENCE);
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert_eq!(silent[0].0, HintKind::UnixSocket);
    assert!(
        silent[0].1.contains(
            "it listens on port 8080, to which none came, and the Unix socket /run/app.sock, which"
        ),
        "{silent:?}"
    );
    assert_eq!(told(&serving, REQUESTS), []);
}

#[test]
fn of_descriptors_that_cannot_be_seen_it_is_told_which_capability_is_missing() {
    let missing = Missing {
        dac_read_search: true,
        sys_ptrace: false,
    };
    let unseen = |listeners: &[ListenerFact]| {
        let mut serving = looked(listeners, 0, false);
        serving.looked(&Looked::new(2, PID, "server", 0, false).unseen(missing));
        serving
    };
    let mut serving = unseen(&[]);
    let sentence = "no request of server (4120) was seen: on which ports it listens is not known, because its \
        descriptors cannot be seen without CAP_DAC_READ_SEARCH: run observer as root, or with CAP_DAC_READ_SEARCH too";
    let expected = [(HintKind::Unseen, sentence.to_owned())];
    assert_eq!(told(&serving, SILENCE), expected);
    assert_eq!(told(&serving, REQUESTS), []);
    serving.leaves(exit());
    serving.ended(&EndedFact::new(3, PID, 0, 0));
    assert_eq!(
        told(&serving, SILENCE),
        expected,
        "nor is it known where it listened"
    );
}

#[test]
fn ports_on_which_nobody_listened_are_told() {
    let mut serving = Serving::default().awaiting(&[8080, 8081, 9090]);
    let sentence = |serving: &Serving| serving.unheard().map(|hint| hint.sentence());
    let begins = |serving: &Serving, text: &str| sentence(serving).unwrap().starts_with(text);
    assert!(begins(
        &serving,
        "on ports 8080, 8081 and 9090 nobody who can be watched was seen to listen while they"
    ));
    serving.heard(8081);
    serving.watch(PID, "server");
    serving.listener(&own(7, 8080));
    assert!(begins(
        &serving,
        "on port 9090 nobody who can be watched was seen to listen while it was watched: `sudo ss"
    ));
    serving.heard(9090);
    assert_eq!(sentence(&serving), None);
    assert_eq!(sentence(&Serving::default()), None);
}

#[test]
fn a_server_that_nobody_asks_and_one_that_is_none_are_told_apart() {
    for (listeners, connections, io_uring, kind, words) in [
        (
            &[own(7, 8080)][..],
            0,
            false,
            HintKind::NoTraffic,
            "it listens on port 8080 and has no TCP connection",
        ),
        (
            &[own(7, 8080)],
            3,
            false,
            HintKind::NoTraffic,
            "and has 3 TCP connections, on which no request came",
        ),
        (&[own(7, 8080)], 3, true, HintKind::IoUring, "it has an io_uring"),
        (
            &[],
            0,
            false,
            HintKind::NotListening,
            "it listens on no TCP port and has no TCP connection",
        ),
    ] {
        let silent = told(&looked(listeners, connections, io_uring), SILENCE);
        assert_eq!(silent.len(), 1, "{silent:?}");
        assert_eq!(silent[0].0, kind);
        assert!(silent[0].1.contains(words), "{silent:?}");
    }
}

#[test]
fn who_forks_for_each_connection_and_is_watched_alone_is_told_of_those() {
    for (follow, kind, words) in [
        (
            false,
            HintKind::Children,
            "what it forked meanwhile is not watched: without --no-follow",
        ),
        (true, HintKind::NoTraffic, "has no TCP connection"),
    ] {
        let mut serving = looked(&[own(7, 8080)], 0, false);
        serving.follow = follow;
        serving.forked(PID);
        let silent = told(&serving, SILENCE);
        assert_eq!((silent.len(), silent[0].0), (1, kind), "{silent:?}");
        assert!(silent[0].1.contains(words), "{silent:?}");
        assert_eq!(told(&serving, REQUESTS), []);
    }
}

#[test]
fn traffic_without_a_turn_is_told_by_what_it_was() {
    let traffic = Traffic {
        under_way: 1,
        unanswered: 2,
        late_sends: 5,
        ..SILENCE
    };
    // That nobody asks is not said beside it.
    let [(HintKind::NoTurns, sentence)] = &told(&looked(&[own(7, 25)], 2, false), traffic)[..] else {
        panic!("one hint");
    };
    assert!(
        sentence.contains(
            "what came in has no answer yet (1), what came in had no answer when its connection closed (2), what was sent \
             answered nothing (5)"
        ),
        "{sentence}"
    );
}

#[test]
fn of_a_process_that_was_not_looked_at_nothing_is_told() {
    let serving = Serving::new(std::iter::once((PID, "server".to_owned())), true);
    assert_eq!(told(&serving, SILENCE), []);
}

#[test]
fn of_a_family_the_children_that_are_watched_are_its_own_and_are_named_where_they_listen() {
    let followed = |pid| ListenerFact {
        followed: 1,
        ..child(pid, 7, 8080)
    };
    // It listens through them.
    let serving = looked(&[followed(4121), followed(4122)], 2, false);
    let silent = told(&serving, SILENCE);
    assert_eq!(silent.len(), 1, "{silent:?}");
    assert!(
        silent[0]
            .1
            .contains("its children 4121 and 4122 listen on port 8080, and they have 2 TCP connections"),
        "{silent:?}"
    );
    // One of them has a socket of its own, and the others it shares.
    let one = ListenerFact {
        followed: 1,
        ..child(4121, 8, 9090)
    };
    let silent = told(&looked(&[own(7, 8080), followed(4122), one], 0, false), SILENCE);
    let words = "it and its child 4121 listen on port 8080 and 9090, and they have no TCP connection";
    assert!(silent[0].1.contains(words), "{silent:?}");
    // One for which there was no room is none of them.
    let serving = looked(&[own(7, 8080), followed(4121), child(4122, 7, 8080)], 2, false);
    let [(HintKind::Children, sentence)] = &told(&serving, REQUESTS)[..] else {
        panic!("one hint");
    };
    assert!(
        sentence.starts_with("what its child 4122 answers is not counted"),
        "{sentence}"
    );
}

#[test]
fn that_its_own_children_go_on_needs_no_hint() {
    for (port, traffic) in [(8080, REQUESTS), (0, SILENCE)] {
        let mut serving = looked(&[], 0, false);
        assert_eq!(serving.leaves(exit()), None);
        if port > 0 {
            let child = SuccessorFact {
                watched: 1,
                ..SuccessorFact::new(2, PID, Pid(4121), "worker", port, true)
            };
            serving.successor(&child);
        }
        assert!(
            serving
                .ended(&EndedFact::new(2, PID, port, 5).leaves(1))
                .is_some()
        );
        assert_eq!(told(&serving, traffic), []);
    }
}

#[test]
fn of_one_that_is_watched_as_a_child_nothing_is_looked_for() {
    let mut serving = looked(&[], 0, false);
    let child = ProcessLine {
        pid: Pid(4121),
        ..exit()
    };
    assert_eq!(serving.leaves(child.clone()), Some(child));
    serving.watch(Pid(4130), "later");
    assert_eq!(
        serving.leaves(ProcessLine {
            pid: Pid(4130),
            ..exit()
        }),
        None
    );
}

#[test]
fn a_stream_that_breaks_off_still_tells_that_a_process_ended() {
    let mut serving = looked(&[], 0, false);
    assert_eq!(serving.leaves(exit()), None);
    assert_eq!(serving.left(), [exit()]);
    assert_eq!(serving.left(), []);
}

#[test]
fn a_hint_is_given_once() {
    let mut serving = looked(&[own(7, 8080)], 0, false);
    assert!(serving.take_news() && !serving.take_news());
    let hints = serving.hints(SILENCE);
    assert_eq!(serving.tell(&hints).len(), 1);
    assert_eq!(serving.tell(&hints).len(), 0);
}

#[test]
fn strangers_cannot_make_it_grow() {
    let mut serving = looked(&[], 0, false);
    for inode in 0..5_000 {
        serving.listener(&own(inode, 8080));
        serving.successor(&SuccessorFact::new(2, PID, Pid(1), "w", 80, true));
        serving.listener(&ListenerFact::tcp(1, Pid(1), Pid(1), inode, 80));
    }
    let watched = &serving.watched[&PID];
    assert_eq!(
        (watched.coming.len(), watched.successors.len()),
        (MAX_LISTENERS, MAX_SUCCESSORS)
    );
    assert_eq!(serving.watched.len(), 1);
}
