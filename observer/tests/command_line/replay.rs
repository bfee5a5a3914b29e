//! Recordings, whole and damaged in every way that a disk, a kill or a mistake damages a file.

use std::collections::BTreeMap;
use std::fs;

use observer::source::recording::{OLDEST_VERSION, VERSION};
use serde_json::Value;
use tempfile::TempDir;

use crate::program::{Ended, exit, observer};
use crate::recording;

const REQUESTS: u64 = 3;

/// Replays these bytes.
fn replay(bytes: &[u8]) -> Ended {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.rec");
    fs::write(&path, bytes).unwrap();
    observer(["replay", "--requests", "all", path.to_str().unwrap()])
}

fn end_of(ended: &Ended) -> Value {
    let ends = ended.lines_of("end");
    assert_eq!(ends.len(), 1, "{ended:?}");
    assert_eq!(ended.lines().last(), ends.first(), "nothing follows the end");
    serde_json::from_str(ends[0]).unwrap()
}

#[test]
fn a_recording_gives_the_same_bytes_each_time() {
    let recording = recording::bytes(200);
    assert_eq!(recording, recording::bytes(200));
    let (first, second) = (replay(&recording), replay(&recording));
    first.expect(exit::NORMAL, &[]);
    assert_eq!(first.stdout, second.stdout);
    assert_eq!(first.lines_of("request").len(), 200);
    let end = end_of(&first);
    assert_eq!(end["requests"], 200);
    assert_eq!(end.get("truncated"), None);
    assert_eq!(end["status"]["2xx"], 200);
    let header: serde_json::Value = serde_json::from_str(first.lines()[0]).unwrap();
    assert_eq!(header["replay"], true);
    assert_eq!(header["targets"][0]["pid"], recording::PID);
}

#[test]
fn a_query_string_is_shown_only_when_it_is_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("some.rec");
    fs::write(&path, recording::bytes(2)).unwrap();
    let path = path.to_str().unwrap();
    for (arguments, shown) in [
        (&["replay", path, "--requests", "all"][..], false),
        (&["replay", path, "--requests", "all", "--with-query"], true),
        (&["replay", path, "--format", "table"], false),
    ] {
        let ended = observer(arguments);
        ended.expect(exit::NORMAL, &[]);
        assert_eq!(
            String::from_utf8_lossy(&ended.stdout).contains("secret"),
            shown,
            "{arguments:?}"
        );
    }
}

#[test]
fn a_recording_cut_off_anywhere_is_replayed_up_to_there() {
    let whole = recording::bytes(REQUESTS);
    let events_at = recording::events_at(&whole);
    let replayed = replay(&whole);
    let requests = replayed.lines_of("request");
    // Every byte would be thousands of processes; 29 has no factor in common with any event's size. The first two
    // events and the last three are cut at every byte.
    let cuts = (1..events_at)
        .step_by(101)
        .chain((events_at..whole.len()).step_by(29));
    let first = events_at..events_at + 24 + 40;
    let last = whole.len() - 72 - 16 - 16..whole.len();
    for cut in cuts.chain([events_at - 1]).chain(first).chain(last) {
        let ended = replay(&whole[..cut]);
        if cut < 16 {
            ended
                .expect(exit::FAILURE, &["no recording of observer", "too short"])
                .one_line();
        } else if cut < events_at {
            ended
                .expect(exit::FAILURE, &["cut off inside its header"])
                .one_line();
        } else {
            ended.expect(exit::TRUNCATED, &["breaks off"]);
            assert_eq!(end_of(&ended)["truncated"], true, "cut at {cut}");
            let held = ended.lines_of("request");
            assert_eq!(held, requests[..held.len()], "cut at {cut}");
            assert_eq!(end_of(&ended)["requests"], held.len(), "cut at {cut}");
        }
    }
    let all_but_the_end = replay(&whole[..whole.len() - 1]);
    assert_eq!(all_but_the_end.lines_of("request").len() as u64, REQUESTS);
}

#[test]
fn a_recording_damaged_in_the_middle_is_replayed_up_to_there() {
    let mut recording = recording::bytes(REQUESTS);
    let end = recording.len() - 16;
    // No event is of this kind.
    recording[end + 12..end + 14].copy_from_slice(&u16::MAX.to_ne_bytes());
    let ended = replay(&recording);
    ended.expect(exit::TRUNCATED, &["breaks off"]);
    let end = end_of(&ended);
    assert_eq!(
        (&end["requests"], &end["truncated"]),
        (&REQUESTS.into(), &true.into())
    );
}

#[test]
fn any_damaged_byte_is_survived() {
    let whole = recording::bytes(REQUESTS);
    for at in (0..whole.len()).step_by(17) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0xff;
        let ended = replay(&damaged);
        let code = ended.code.expect("it was not killed by a signal");
        assert!(
            (0..=3).contains(&code) && code != exit::ARGUMENTS,
            "byte {at}: {ended:?}"
        );
        assert!(!ended.stderr.contains("panicked"), "byte {at}: {}", ended.stderr);
    }
}

#[test]
fn a_file_that_is_missing_or_foreign_is_named() {
    let missing = "/nonexistent/of-observer.rec";
    observer(["replay", missing])
        .expect(exit::FAILURE, &["cannot open", missing, "No such file"])
        .one_line();
    replay(b"")
        .expect(
            exit::FAILURE,
            &["some.rec", "no recording of observer", "too short"],
        )
        .one_line();
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";
    for foreign in [&png[..], b"observed nothing whatsoever", &[0; 4096]] {
        let ended = replay(foreign);
        ended
            .expect(
                exit::FAILURE,
                &["some.rec", "no recording of observer", "does not begin with"],
            )
            .one_line();
    }
}

#[test]
fn a_directory_is_no_recording() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().to_str().unwrap();
    observer(["replay", path])
        .expect(
            exit::FAILURE,
            &[path, "no recording of observer: it is a directory"],
        )
        .one_line();
}

#[test]
fn a_recording_of_another_version_is_sent_to_the_program_that_made_it() {
    let mut recording = recording::bytes(REQUESTS);
    recording[8..12].copy_from_slice(&(VERSION + 1).to_ne_bytes());
    let ended = replay(&recording);
    ended
        .expect(
            exit::FAILURE,
            &[
                &format!("format version {}", VERSION + 1),
                &format!("reads versions {OLDEST_VERSION} to {VERSION}"),
                "with the observer that made it",
            ],
        )
        .one_line();

    recording[8..12].copy_from_slice(&VERSION.swap_bytes().to_ne_bytes());
    replay(&recording)
        .expect(exit::FAILURE, &["another byte order"])
        .one_line();
}

/// `version-5.rec` was made by an observer that wrote this version, of a `faulty-server` that computed for six requests
/// while six others came. What that observer itself said of each cause, ns, is said today.
#[test]
fn a_recording_of_the_oldest_version_says_what_it_said_then() {
    let recording = include_bytes!("version-5.rec");
    assert_eq!(recording[8..12], OLDEST_VERSION.to_ne_bytes());
    let mut causes = BTreeMap::new();
    for line in replay(recording).lines_of("request") {
        let request: Value = serde_json::from_str(line).unwrap();
        for (cause, ns) in request["budget_ns"].as_object().unwrap() {
            *causes.entry(cause.clone()).or_insert(0) += ns.as_u64().unwrap();
        }
    }
    let then: [(&str, u64); 5] = [
        ("accept_queue", 1_667_419),
        ("on_cpu", 15_542_843),
        ("run_queue", 18_018_673),
        ("syscall", 12_361_430),
        ("worker_busy", 110_254),
    ];
    assert_eq!(causes, then.map(|(cause, ns)| (cause.to_owned(), ns)).into());
}

#[test]
fn a_header_that_claims_too_much_or_says_nothing_is_damaged() {
    let mut recording = recording::bytes(REQUESTS);
    let length = recording[12..16].to_vec();
    recording[12..16].copy_from_slice(&u32::MAX.to_ne_bytes());
    replay(&recording)
        .expect(exit::FAILURE, &["damaged", "4294967295 bytes"])
        .one_line();

    recording[12..16].copy_from_slice(&length);
    recording[16] = b'?';
    replay(&recording)
        .expect(exit::FAILURE, &["header is damaged"])
        .one_line();
}

#[test]
fn a_header_may_claim_any_number() {
    let recording = recording::bytes(REQUESTS);
    for claim in ["page_bytes", "started_unix_ns", "unix_offset_ns", "ring_bytes"] {
        for number in [0, u64::MAX] {
            let from = format!(r#""{claim}":"#);
            let wild = recording::with_header(&recording, &from, &format!(r#"{from}{number},"was":"#));
            let ended = replay(&wild);
            ended.expect(exit::NORMAL, &[]);
            // Of an observation that began later than all that was recorded there is nothing whole.
            let began_later =
                [("started_unix_ns", u64::MAX), ("unix_offset_ns", 0)].contains(&(claim, number));
            let requests = if began_later { 0 } else { REQUESTS };
            assert_eq!(end_of(&ended)["requests"], requests, "{claim} {number}");
        }
    }
}

#[test]
fn what_a_damaged_header_says_does_not_reach_the_terminal() {
    let recording = recording::bytes(REQUESTS);
    // Quoted in the message.
    let hostile = recording::with_header(&recording, r#""tail""#, r#""\u001b[2J\u009b31m""#);
    let ended = replay(&hostile);
    ended
        .expect(exit::FAILURE, &["header is damaged", r"\u{1b}[2J"])
        .one_line();
    assert!(!ended.stderr.contains(['\u{1b}', '\u{9b}']), "{ended:?}");
}
