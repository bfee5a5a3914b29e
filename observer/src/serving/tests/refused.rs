//! What is told of clients that found the queue of a listener full.

use super::*;
use crate::event::Refused;

/// So many attempts each of these sockets has dropped, by number and port, at one look after the other.
fn refused(looks: &[&[(u64, u16, u32)]]) -> Serving {
    let mut serving = looked(&[own(7, 8080), own(8, 8081)], 1, false);
    for look in looks {
        for &(inode, port, count) in *look {
            serving.refused(&Refused::new(1, PID, inode, port, count));
        }
    }
    serving
}

#[test]
fn attempts_that_were_dropped_before_are_not_told() {
    let before: &[_] = &[(7, 8080, 5), (8, 8081, 9)];
    assert_eq!(told(&refused(&[before]), REQUESTS), []);
    assert_eq!(told(&refused(&[before, before]), REQUESTS), []);
}

#[test]
fn of_those_that_were_dropped_since_the_port_with_most_is_named() {
    let looks: [&[_]; 3] = [
        &[(7, 8080, u32::MAX), (8, 8081, 9)],
        &[(7, 8080, 1)],
        &[(7, 8080, 133), (8, 8081, 10)],
    ];
    let hints = told(&refused(&looks), REQUESTS);
    let [(HintKind::QueueFull, sentence)] = &hints[..] else {
        panic!("{hints:?}");
    };
    assert!(
        sentence.starts_with("134 attempts to connect to port 8080 of server (4120) were dropped"),
        "{sentence}"
    );
}
