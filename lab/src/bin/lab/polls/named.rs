//! Which long polls observer's output names, by task and time: a poll that held a worker is of use to who reads it only
//! when it says which task that was.

use serde::Serialize;
use serde_json::Value;
use testbed::truth::Polled;

use super::agreement::is_long;

/// What a thread does for a request while it polls the request's task.
const POLLED: [&str; 6] = [
    "on_cpu",
    "syscall",
    "lock",
    "page_fault",
    "run_queue",
    "throttled",
];

/// A poll's start is the same by two clocks' readings when these are no further apart, ns.
const SLACK_NS: u64 = 100_000;

/// Long polls of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Named {
    /// Observer's, beside its defaults.
    pub(super) options: &'static str,
    /// Those that the server kept.
    pub(super) long: u64,
    /// Of these, polls that a line names: at least half of them, with the task.
    pub(super) named: u64,
    /// Of these, those that a request's timeline names.
    pub(super) by_requests: u64,
}

/// Time in which a line says that a thread was in a task.
struct InTask {
    tid: u64,
    task: u64,
    from_ns: u64,
    to_ns: u64,
}

impl Named {
    /// Looks for the long ones among `polls` in observer's lines.
    pub(super) fn of(options: &'static str, polls: &[Polled], lines: &[Value]) -> Self {
        let offset_ns = lines
            .first()
            .map_or(0, |header| number(&header["unix_offset_ns"]));
        let requests: Vec<Vec<InTask>> = of_type(lines, "request")
            .map(|line| times_in_tasks(line, offset_ns))
            .collect();
        // What comes after the last whole second is in the totals of the run alone.
        let totals: Vec<&Value> = ["window", "end"]
            .into_iter()
            .flat_map(|name| of_type(lines, name))
            .collect();
        let mut found = Self {
            options,
            ..Self::default()
        };
        for poll in polls.iter().filter(|poll| is_long(poll)) {
            let by_requests = requests.iter().any(|times| covers_half(times, poll));
            let by_totals = totals.iter().any(|totals| names(totals, poll, offset_ns));
            found.long += 1;
            found.named += u64::from(by_requests || by_totals);
            found.by_requests += u64::from(by_requests);
        }
        found
    }
}

fn of_type<'a>(lines: &'a [Value], name: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == name)
}

/// What a request's timeline says of tasks: its own, and those that it waited behind.
fn times_in_tasks(line: &Value, offset_ns: u64) -> Vec<InTask> {
    let arrival_ns = number(&line["start_unix_ns"]).saturating_sub(offset_ns);
    let spans = line["timeline"].as_array().into_iter().flatten();
    spans
        .filter_map(|span| {
            let culprit = &span["culprit"];
            let polled = span["cause"]
                .as_str()
                .is_some_and(|cause| POLLED.contains(&cause));
            let (tid, task) = if let Some(task) = culprit["task"].as_u64() {
                (&culprit["tid"], task)
            } else if polled {
                (&span["tid"], line["task"].as_u64()?)
            } else {
                return None;
            };
            let from_ns = arrival_ns + number(&span["at_ns"]);
            Some(InTask {
                tid: tid.as_u64()?,
                task,
                from_ns,
                to_ns: from_ns + number(&span["dur_ns"]),
            })
        })
        .collect()
}

fn covers_half(times: &[InTask], poll: &Polled) -> bool {
    let named = times
        .iter()
        .filter(|time| time.tid == u64::from(poll.tid) && Some(time.task) == poll.task);
    let covered_ns: u64 = named
        .map(|time| {
            let (from_ns, to_ns) = (time.from_ns.max(poll.start_ns), time.to_ns.min(poll.end_ns));
            to_ns.saturating_sub(from_ns)
        })
        .sum();
    covered_ns * 2 >= poll.dur_ns()
}

/// Whether totals name it: as what kept its worker longest, or among the longest polls.
fn names(totals: &Value, poll: &Polled, offset_ns: u64) -> bool {
    let from_ns = number(&totals["start_unix_ns"]).saturating_sub(offset_ns);
    let ended_in = (from_ns..=from_ns + number(&totals["duration_ns"])).contains(&poll.end_ns);
    let is = |tid: &Value, of: &Value| *tid == poll.tid && of["task"].as_u64() == poll.task;
    let threads = totals["workers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|workers| workers["threads"].as_array());
    let mut longest = threads
        .flatten()
        .map(|thread| (&thread["tid"], &thread["longest"]));
    let is_as_long = |dur_ns: u64| dur_ns.abs_diff(poll.dur_ns()) * 10 <= poll.dur_ns();
    let mut polls = totals["polls"]["longest"].as_array().into_iter().flatten();
    let start_unix_ns = poll.start_ns + offset_ns;
    ended_in && longest.any(|(tid, turn)| is(tid, turn) && is_as_long(number(&turn["dur_ns"])))
        || polls
            .any(|of| is(&of["tid"], of) && number(&of["start_unix_ns"]).abs_diff(start_unix_ns) <= SLACK_NS)
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MS: u64 = 1_000_000;

    /// From 10 ms to 14 ms, of task 7 on thread 3.
    fn poll() -> Polled {
        Polled {
            task: Some(7),
            tid: 3,
            queued_ns: 9 * MS,
            start_ns: 10 * MS,
            end_ns: 14 * MS,
        }
    }

    fn found(line: Value) -> Named {
        let header = json!({"type": "header", "unix_offset_ns": 1000 * MS});
        Named::of("", &[poll()], &[header, line])
    }

    fn request(span: &Value) -> Value {
        json!({"type": "request", "task": 7, "start_unix_ns": 1009 * MS, "timeline": [span]})
    }

    #[test]
    fn a_request_names_the_poll_that_served_it_and_the_one_that_it_waited_behind() {
        let own = json!({"at_ns": MS, "dur_ns": 3 * MS, "cause": "on_cpu", "tid": 3});
        let behind = json!({"at_ns": MS, "dur_ns": 3 * MS, "cause": "worker_busy", "tid": 3,
                            "culprit": {"tid": 3, "task": 7}});
        for span in [own, behind] {
            assert_eq!(found(request(&span)).by_requests, 1);
        }
    }

    #[test]
    fn less_than_half_another_task_or_another_thread_is_not_named() {
        let spans = [
            json!({"at_ns": MS, "dur_ns": MS, "cause": "on_cpu", "tid": 3}),
            json!({"at_ns": MS, "dur_ns": 4 * MS, "cause": "worker_busy", "tid": 3, "culprit": {"tid": 3, "task": 8}}),
            json!({"at_ns": MS, "dur_ns": 4 * MS, "cause": "on_cpu", "tid": 4}),
            json!({"at_ns": MS, "dur_ns": 4 * MS, "cause": "timer", "tid": 3}),
        ];
        for span in spans {
            assert_eq!(found(request(&span)).named, 0, "{span}");
        }
    }

    #[test]
    fn a_window_names_what_kept_a_worker_longest() {
        let window = |dur_ns: u64, from_ms: u64| {
            let longest = json!({"dur_ns": dur_ns, "task": 7});
            let threads = json!([{"tid": 3, "longest": longest}]);
            json!({"type": "window", "start_unix_ns": from_ms * MS, "duration_ns": 1000 * MS,
                   "workers": [{"threads": threads}]})
        };
        assert_eq!(found(window(4 * MS + 10, 1000)).named, 1);
        assert_eq!(found(window(9 * MS, 1000)).named, 0);
        assert_eq!(found(window(4 * MS, 2000)).named, 0);
    }

    #[test]
    fn totals_name_the_longest_polls() {
        let totals = |name: &str, task: u64| {
            let longest = json!([{"tid": 3, "task": task, "start_unix_ns": 1010 * MS - 9, "dur_ns": 4 * MS}]);
            json!({"type": name, "start_unix_ns": 1000 * MS, "duration_ns": 20 * MS, "polls": {"longest": longest}})
        };
        for name in ["window", "end"] {
            assert_eq!(found(totals(name, 7)).named, 1);
            assert_eq!(found(totals(name, 8)).named, 0);
        }
    }
}
