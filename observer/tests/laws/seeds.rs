//! The recordings that fuzzing begins with, `fuzz/seeds/recording/`: a few small machines, as a writer of today
//! writes them. From nothing a fuzzer would not even find the header.

use std::fs;
use std::path::{Path, PathBuf};

use observer::source::Status;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::TestRunner;

use super::check::{explain, recording, replay};
use super::machine;

/// Small, because a fuzzer is the better the smaller its inputs are.
const STEPS: usize = 60;

const SEEDS: usize = 4;

/// Small recordings with requests in them, always the same.
fn made() -> Vec<Vec<u8>> {
    let mut runner = TestRunner::deterministic();
    let mut made = Vec::new();
    while made.len() < SEEDS {
        let stream = machine::stream(STEPS).new_tree(&mut runner).unwrap().current();
        if explain(&stream).unwrap().requests.len() >= 2 {
            made.push(recording(&stream).unwrap());
        }
    }
    made
}

fn kept(seed: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fuzz/seeds/recording/machine-{seed}"))
}

#[test]
fn fuzzing_begins_with_what_a_writer_writes_today() {
    let mut stale = String::new();
    for (seed, made) in made().iter().enumerate() {
        let path = kept(seed);
        if fs::read(&path).ok().as_ref() != Some(made) {
            let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{seed}"));
            fs::write(&current, made).unwrap();
            stale.push_str(&format!("\ncp {} {}", current.display(), path.display()));
        }
        assert_eq!(replay(made).unwrap().unwrap().status, Status::Truncated);
    }
    assert!(
        stale.is_empty(),
        "a writer writes something else today; look at the change, then:{stale}"
    );
}
