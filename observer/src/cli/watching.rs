//! Tells people who see nothing else of a run yet that watching has begun.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use observer::model::header::TargetInfo;

use super::args::Print;
use super::{say, sinks};

/// Targets that the sentence names.
const NAMED: usize = 4;

/// Says that these are watched: to a terminal only, and not where a table is drawn. What programs read stays as it is.
pub(crate) fn say(targets: &[TargetInfo], duration: Option<Duration>, print: &Print) {
    if io::stderr().is_terminal()
        && !sinks::hides_stderr(print)
        && let Some(sentence) = sentence(targets, duration)
    {
        say::say(&sentence);
    }
}

/// `None` where nobody is watched yet: for whom is waited has been said.
fn sentence(targets: &[TargetInfo], duration: Option<Duration>) -> Option<String> {
    let named = targets.iter().take(NAMED);
    let mut words: Vec<String> = named
        .map(|target| format!("{} ({})", target.pid, target.comm))
        .collect();
    if let Some(more) = targets.len().checked_sub(NAMED).filter(|more| *more > 0) {
        words.push(format!("{more} more"));
    }
    (!words.is_empty()).then(|| format!("watching {}{}", words.join(", "), say::until(duration)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use observer::model::id::Pid;

    #[test]
    fn those_that_are_watched_are_named() {
        let targets: Vec<TargetInfo> = (4120..4126)
            .map(|pid| TargetInfo {
                pid: Pid(pid),
                comm: "axum-srv".to_owned(),
                exe: None,
                threads: 1,
                runtime: None,
            })
            .collect();
        assert_eq!(sentence(&[], None), None);
        assert_eq!(
            sentence(&targets[..1], None).unwrap(),
            "watching 4120 (axum-srv); Ctrl-C ends it"
        );
        let all = sentence(&targets, None).unwrap();
        assert!(
            all.ends_with(", 4123 (axum-srv), 2 more; Ctrl-C ends it"),
            "{all}"
        );
    }
}
