//! Reads what the checking script printed, and judges it.
//!
//! A run is good when every step of the script was reached and ended well, and when its numbers agree: a check that
//! was cut off, or that ran nothing, has failed.

use serde_json::Value;

/// What was found on one kernel.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// The release as the kernel itself tells it.
    pub(super) release: Option<String>,
    /// The state of lockdown, where the kernel tells it.
    pub(super) lockdown: Option<String>,
    pub(super) signals: Vec<Signal>,
    /// Requests that the client had answered in the load.
    pub(super) requests: u64,
    /// Requests that observer counted.
    pub(super) counted: u64,
    pub(super) passed: usize,
    /// Of the tests of `--polls` on a kernel that refuses it, those that saw it refused: nothing else is tested there.
    pub(super) refused: usize,
    /// The kernel refuses `--polls`, as `observer doctor` tells.
    pub(super) refuses_polls: bool,
    pub(super) failed: Vec<String>,
    /// Why the run is not good.
    pub(super) problems: Vec<String>,
}

/// Where observer took a signal from.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) name: String,
    pub(super) hook: Option<String>,
    pub(super) note: Option<String>,
}

/// The output of one step of the script.
struct Step<'a> {
    lines: Vec<&'a str>,
    status: Option<&'a str>,
}

impl Report {
    /// Judges an output of the script, between whatever else is on the console.
    pub(super) fn of(console: &str) -> Self {
        let steps = [
            ("kernel", Self::kernel as fn(&mut Self, &Step<'_>)),
            ("doctor", Self::doctor),
            ("load", Self::load),
            ("tests", Self::tests),
        ];
        let mut report = Self::default();
        for (name, judge) in steps {
            let Some(step) = step(console, name) else {
                report.problems.push(format!("{name}: never begun"));
                continue;
            };
            judge(&mut report, &step);
            match step.status {
                Some("0") => {}
                Some(status) => report
                    .problems
                    .push(format!("{name}: ended with status {status}")),
                None => report.problems.push(format!("{name}: never ended")),
            }
        }
        report
    }

    fn kernel(&mut self, step: &Step<'_>) {
        let mut lines = step.lines.iter().filter(|line| !line.is_empty());
        self.release = lines.next().map(|line| (*line).to_owned());
        // `none [integrity] confidentiality`
        let chosen = |line: &&str| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned());
        self.lockdown = lines.next().and_then(chosen);
    }

    fn doctor(&mut self, step: &Step<'_>) {
        let mut polls = step.lines.iter().filter(|line| line.starts_with("poll "));
        self.refuses_polls = polls.any(|line| line.contains("needs Linux"));
    }

    /// A kernel that does not know lockdown ignores the parameter that asks for it.
    pub(super) fn expect_lockdown(&mut self, expected: Option<&str>) {
        if let Some(expected) = expected
            && self.lockdown.as_deref() != Some(expected)
        {
            let found = self.lockdown.as_deref().unwrap_or("unknown");
            self.problems
                .push(format!("kernel: lockdown is {found} and not {expected}"));
        }
    }

    /// The client and observer have to have counted the same.
    fn load(&mut self, step: &Step<'_>) {
        let objects: Vec<Value> = step
            .lines
            .iter()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        let of_type = |name: &str| objects.iter().find(|object| object["type"] == name);
        let client = objects.iter().find(|object| object.get("errors").is_some());
        let (Some(header), Some(end), Some(client)) = (of_type("header"), of_type("end"), client) else {
            self.problems.push("load: what was counted is missing".to_owned());
            return;
        };
        self.signals = header["signals"]
            .as_array()
            .into_iter()
            .flatten()
            .map(signal)
            .collect();
        self.requests = client["requests"].as_u64().unwrap_or(0);
        if self.requests == 0 || client["errors"] != 0 {
            self.problems.push(format!("load: the client reports {client}"));
        }
        self.counted = end["requests"].as_u64().unwrap_or(0);
        if self.counted != self.requests {
            let (counted, requests) = (self.counted, self.requests);
            self.problems
                .push(format!("load: observer counted {counted} requests of {requests}"));
        }
        if end["lost"].as_object().is_none_or(|lost| !lost.is_empty()) {
            self.problems.push(format!("load: lost {}", end["lost"]));
        }
    }

    /// Each test has run once.
    fn tests(&mut self, step: &Step<'_>) {
        // The tests count themselves, too: a line that the kernel wrote into is not overlooked.
        let (mut seen, mut told) = (0, 0);
        for line in &step.lines {
            if let Some((name, outcome)) = line
                .strip_prefix("test ")
                .and_then(|test| test.split_once(" ... "))
            {
                seen += 1;
                if outcome != "ok" {
                    self.failed.push(name.to_owned());
                    let said = output(&step.lines, name).join("\n");
                    self.problems.push(format!("tests: {name} failed\n{said}"));
                } else if self.refuses_polls && name.starts_with("polls::") {
                    self.refused += 1;
                } else {
                    self.passed += 1;
                }
            } else if let Some(counts) = line.strip_prefix("test result: ") {
                let counts = counts.split(|c: char| !c.is_ascii_digit());
                // Passed, then failed.
                told += counts
                    .filter_map(|digits| digits.parse::<usize>().ok())
                    .take(2)
                    .sum::<usize>();
            }
        }
        if seen == 0 || seen != told {
            self.problems.push(format!(
                "tests: {seen} were seen to end, and {told} are said to have"
            ));
        }
    }
}

fn signal(value: &Value) -> Signal {
    let text = |field: &str| value[field].as_str().map(str::to_owned);
    Signal {
        name: text("signal").unwrap_or_default(),
        hook: text("hook"),
        note: text("note"),
    }
}

/// What a failed test wrote.
fn output<'a>(tests: &[&'a str], name: &str) -> Vec<&'a str> {
    let begin = format!("---- {name} stdout ----");
    let lines = tests.iter().copied().skip_while(|line| *line != begin).skip(1);
    lines
        .take_while(|line| !line.starts_with("---- ") && *line != "failures:")
        .collect()
}

fn step<'a>(console: &'a str, name: &str) -> Option<Step<'a>> {
    let (begin, end) = (format!("@begin {name}"), format!("@end {name} "));
    let mut lines = console.lines().map(str::trim_end);
    lines.find(|line| *line == begin)?;
    let mut step = Step {
        lines: Vec::new(),
        status: None,
    };
    for line in lines {
        if let Some(status) = line.strip_prefix(&end) {
            step.status = Some(status);
            break;
        }
        step.lines.push(line);
    }
    Some(step)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a good run prints, with the carriage returns of a serial console.
    const GOOD: &str = r#"Booting from ROM
@begin kernel
6.1.0-56-cloud-amd64
none [integrity] confidentiality

@end kernel 0
@begin doctor
poll        none allowed  --polls needs Linux 6.10
@end doctor 0
@begin load
{"requests":1000,"errors":0,"latency_ns":{"p50":1}}
{"v":1,"type":"header","signals":[{"signal":"send","hook":"fexit:tcp_sendmsg","note":"less"},{"signal":"accept"}]}
{"v":1,"type":"end","requests":1000,"lost":{}}
@end load 0
@begin tests
test counts::a ... ok
skipped b: it needs c
test counts::b ... ok
test polls::c ... ok

test result: ok. 3 passed; 0 failed; 0 ignored

@end tests 0
reboot: Power down
"#;

    fn problems(console: &str) -> Vec<String> {
        Report::of(console).problems
    }

    #[test]
    fn a_good_run_has_no_problem() {
        let report = Report::of(&GOOD.replace('\n', "\r\n"));
        assert_eq!(report.problems, Vec::<String>::new());
        assert_eq!(report.release.as_deref(), Some("6.1.0-56-cloud-amd64"));
        assert_eq!(report.lockdown.as_deref(), Some("integrity"));
        assert_eq!((report.requests, report.counted), (1000, 1000));
        assert_eq!(
            (report.passed, report.refused, report.failed.len()),
            (2, 1, 0),
            "on 6.1 a test of polls sees them refused"
        );
        let hooks: Vec<_> = report
            .signals
            .iter()
            .map(|signal| signal.hook.as_deref())
            .collect();
        assert_eq!(hooks, [Some("fexit:tcp_sendmsg"), None]);
    }

    #[test]
    fn a_run_that_was_cut_off_anywhere_is_a_problem() {
        let lines: Vec<&str> = GOOD.lines().collect();
        for length in 0..lines.len() - 1 {
            assert!(
                !problems(&lines[..length].join("\n")).is_empty(),
                "{length} lines"
            );
        }
    }

    #[test]
    fn what_does_not_agree_is_a_problem() {
        for (good, bad) in [
            (
                r#""type":"end","requests":1000"#,
                r#""type":"end","requests":999"#,
            ),
            (r#""lost":{}"#, r#""lost":{"ring_full":1}"#),
            (r#""errors":0"#, r#""errors":1"#),
            ("counts::b ... ok", "counts::b ... FAILED"),
            ("test counts::b ... ok\n", ""),
            ("@end doctor 0", "@end doctor 1"),
            ("@end tests 0", "@end tests 101"),
        ] {
            assert!(GOOD.contains(good), "{good}");
            assert!(!problems(&GOOD.replace(good, bad)).is_empty(), "{bad}");
        }
    }

    #[test]
    fn what_a_failed_test_wrote_is_told() {
        let failed = "test counts::b ... FAILED\n\n\
                      failures:\n\n\
                      ---- counts::b stdout ----\n\
                      thread 'counts::b' panicked at counts.rs:1:\n\
                      left and right\n\n\
                      failures:\n    counts::b\n";
        let problems = problems(&GOOD.replace("test counts::b ... ok\n", failed));
        assert_eq!(
            problems,
            ["tests: counts::b failed\nthread 'counts::b' panicked at counts.rs:1:\nleft and right\n"]
        );
    }

    #[test]
    fn another_state_of_lockdown_than_asked_for_is_a_problem() {
        let mut report = Report::of(GOOD);
        report.expect_lockdown(Some("integrity"));
        assert_eq!(report.problems, Vec::<String>::new());
        report.expect_lockdown(Some("confidentiality"));
        assert_eq!(report.problems.len(), 1);
    }
}
