//! Tells people who see nothing else of a run yet that watching has begun.

use std::io::{self, IsTerminal as _};

use observer::model::header::TargetInfo;

use super::args::Print;
use super::{say, sinks};

/// Targets that the sentence names.
const NAMED: usize = 4;

/// Says that these are watched: to a terminal only, and not where a table is drawn. What programs read stays as it is.
pub(crate) fn say(targets: &[TargetInfo], print: &Print) {
    if io::stderr().is_terminal()
        && !sinks::hides_stderr(print)
        && let Some(sentence) = sentence(targets)
    {
        say::say(&sentence);
    }
}

/// `None` where nobody is watched yet: for whom is waited has been said.
fn sentence(targets: &[TargetInfo]) -> Option<String> {
    let named = targets.iter().take(NAMED);
    let mut words: Vec<String> = named
        .map(|target| format!("{} ({})", target.pid, target.comm))
        .collect();
    if let Some(more) = targets.len().checked_sub(NAMED).filter(|more| *more > 0) {
        words.push(format!("{more} more"));
    }
    (!words.is_empty()).then(|| format!("watching {}; Ctrl-C ends it", words.join(", ")))
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
        assert_eq!(sentence(&[]), None);
        assert_eq!(
            sentence(&targets[..1]).unwrap(),
            "watching 4120 (axum-srv); Ctrl-C ends it"
        );
        let all = sentence(&targets).unwrap();
        assert!(
            all.ends_with(", 4123 (axum-srv), 2 more; Ctrl-C ends it"),
            "{all}"
        );
    }
}
