//! The program under test, and what it is expected to say.

use std::ffi::OsStr;
use std::process::{Command, Output};

use crate::run::run;

/// Path of the built program.
pub(crate) const PATH: &str = env!("CARGO_BIN_EXE_observer");

/// Exit codes, as `observer --help` documents them.
pub(crate) mod exit {
    pub(crate) const NORMAL: i32 = 0;
    pub(crate) const FAILURE: i32 = 1;
    pub(crate) const ARGUMENTS: i32 = 2;
    pub(crate) const TRUNCATED: i32 = 3;
}

/// How the program ended and what it said.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr,
        }
    }
}

impl Ended {
    /// Checks the exit code, and that standard error says all of `words` and nothing of a panic.
    #[track_caller]
    pub(crate) fn expect(&self, code: i32, words: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}", self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not in: {}", self.stderr);
        }
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Checks that the message is one line, as a script would log it, and that nothing else was written.
    #[track_caller]
    pub(crate) fn one_line(&self) {
        assert_eq!(self.stderr.lines().count(), 1, "{}", self.stderr);
        assert!(self.stderr.starts_with("observer: "), "{}", self.stderr);
        assert!(
            self.stdout.is_empty(),
            "{:?}",
            String::from_utf8_lossy(&self.stdout)
        );
    }

    /// Lines of standard output.
    pub(crate) fn lines(&self) -> Vec<&str> {
        std::str::from_utf8(&self.stdout)
            .expect("the output is UTF-8")
            .lines()
            .collect()
    }

    /// Lines of standard output of this type.
    pub(crate) fn lines_of(&self, kind: &str) -> Vec<&str> {
        let kind = format!(r#"{{"v":1,"type":"{kind}","#);
        self.lines()
            .into_iter()
            .filter(|line| line.starts_with(&kind))
            .collect()
    }
}

/// Runs the program.
pub(crate) fn observer<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Ended {
    run(Command::new(PATH).args(arguments)).into()
}
