//! The recordings that fuzzing begins with, `fuzz/seeds/recording/`: a few small machines, as a writer of today
//! writes them. From nothing a fuzzer would not even find the header.

use std::fs;
use std::path::{Path, PathBuf};

use observer::source::Status;
use proptest::prop_assert_eq;
use proptest::strategy::{Strategy as _, ValueTree as _};
use proptest::test_runner::{TestCaseError, TestRunner};

use super::check::Law;
use super::machine;
use super::run::{explain, recording, replay};

/// Small, because a fuzzer is the better the smaller its inputs are.
const STEPS: usize = 60;

const SEEDS: usize = 4;

/// Small recordings with requests in them, always the same.
fn made() -> Result<Vec<Vec<u8>>, TestCaseError> {
    let mut runner = TestRunner::deterministic();
    let mut made = Vec::new();
    while made.len() < SEEDS {
        let made_up = machine::stream(STEPS).new_tree(&mut runner);
        let stream = made_up.map_err(TestCaseError::fail)?.current();
        if explain(&stream)?.requests.len() >= 2 {
            made.push(recording(&stream)?);
        }
    }
    Ok(made)
}

fn kept(seed: usize) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fuzz/seeds/recording/machine-{seed}"))
}

#[test]
fn fuzzing_begins_with_what_a_writer_writes_today() -> Law {
    let mut stale = String::new();
    for (seed, made) in made()?.iter().enumerate() {
        let path = kept(seed);
        if fs::read(&path).ok().as_ref() != Some(made) {
            let current = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("machine-{seed}"));
            fs::write(&current, made).map_err(|error| TestCaseError::fail(error.to_string()))?;
            stale.push_str(&format!("\ncp {} {}", current.display(), path.display()));
        }
        let replayed = replay(made)?;
        prop_assert_eq!(replayed.map(|replayed| replayed.status), Some(Status::Truncated));
    }
    assert!(
        stale.is_empty(),
        "a writer writes something else today; look at the change, then:{stale}"
    );
    Ok(())
}
