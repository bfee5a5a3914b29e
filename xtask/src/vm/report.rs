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
    pub(super) signals: Vec<Signal>,
    /// Requests that the client had answered in the load.
    pub(super) requests: u64,
    pub(super) passed: usize,
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
        let mut report = Self::default();
        for (name, judge) in [
            ("kernel", Self::kernel as fn(&mut Self, &Step<'_>)),
            ("doctor", |_, _| {}),
            ("load", Self::load),
            ("tests", Self::tests),
        ] {
            match step(console, name) {
                None => report.problems.push(format!("{name}: never begun")),
                Some(step) => {
                    judge(&mut report, &step);
                    match step.status {
                        Some("0") => {}
                        Some(status) => report
                            .problems
                            .push(format!("{name}: ended with status {status}")),
                        None => report.problems.push(format!("{name}: never ended")),
                    }
                }
            }
        }
        report
    }

    fn kernel(&mut self, step: &Step<'_>) {
        self.release = step
            .lines
            .iter()
            .find(|line| !line.is_empty())
            .map(|line| (*line).to_owned());
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
        if end["requests"] != client["requests"] {
            let counted = &end["requests"];
            self.problems.push(format!(
                "load: observer counted {counted} requests of {}",
                self.requests
            ));
        }
        if end["lost"].as_object().is_none_or(|lost| !lost.is_empty()) {
            self.problems.push(format!("load: lost {}", end["lost"]));
        }
    }

    fn tests(&mut self, step: &Step<'_>) {
        for line in &step.lines {
            let Some((name, outcome)) = line
                .strip_prefix("test ")
                .and_then(|test| test.split_once(" ... "))
            else {
                continue;
            };
            match outcome {
                "ok" => self.passed += 1,
                _ => self.failed.push(name.to_owned()),
            }
        }
        // The tests count themselves, too: a line that the kernel wrote into is not overlooked.
        let counted = format!("{} passed; {} failed;", self.passed, self.failed.len());
        if self.passed == 0 || !step.lines.iter().any(|line| line.contains(&counted)) {
            self.problems
                .push(format!("tests: {counted} is not what they say themselves"));
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

fn step<'a>(console: &'a str, name: &str) -> Option<Step<'a>> {
    let begin = format!("@begin {name}");
    let end = format!("@end {name} ");
    let mut lines = console
        .lines()
        .skip_while(|line| line.trim_end() != begin)
        .skip(1);
    let mut step = Step {
        lines: Vec::new(),
        status: None,
    };
    console.lines().find(|line| line.trim_end() == begin)?;
    for line in lines.by_ref() {
        if let Some(status) = line.strip_prefix(&end) {
            step.status = Some(status.trim());
            break;
        }
        step.lines.push(line.trim_end());
    }
    Some(step)
}
