//! The guard at the start of each test: is there a kernel to test on, and is it this test's turn?

use std::env;
use std::io::{self, Write as _};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;

use crate::observation::OBSERVER;
use crate::run::run;

/// Held by the test that runs.
pub(crate) type Turn = MutexGuard<'static, ()>;

/// Waits for the turn. `None`: skip this test, which has been said.
pub(crate) fn turn() -> Option<Turn> {
    static TURN: Mutex<()> = Mutex::new(());
    static REFUSED: OnceLock<Option<String>> = OnceLock::new();
    // A test that failed has left nothing that another could stumble over.
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let refused = REFUSED.get_or_init(|| {
        let doctor = run(Command::new(OBSERVER).arg("doctor"));
        (!doctor.status.success()).then(|| String::from_utf8_lossy(&doctor.stderr).trim().to_owned())
    });
    match refused {
        None => Some(turn),
        Some(why) => {
            skip(&format!("a kernel that observer can attach to, as root ({why})"));
            None
        }
    }
}

/// Whether the program `name` is there. If not, the test is to be skipped, which has been said.
pub(crate) fn has_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|directory| directory.join(name).is_file());
    if !found {
        skip(&format!("the program `{name}` on the PATH"));
    }
    found
}

/// Says that a test does not run, past the capture of the test's output; with CI=true, fails.
pub(crate) fn skip(needs: &str) {
    let test = thread::current().name().unwrap_or("a test").to_owned();
    assert!(
        env::var("CI").as_deref() != Ok("true"),
        "with CI=true nothing is skipped; {test} needs {needs}"
    );
    // There is nobody else to tell.
    let _ = writeln!(io::stderr(), "skipped {test}: it needs {needs}");
}

/// Whether the kernel can probe many places of one process with one call.
pub(crate) fn has_probes_of_many_places() -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = release.split('.').map_while(|number| number.parse::<u32>().ok());
    (numbers.next(), numbers.next()) >= (Some(6), Some(10))
}
