//! What was waited for, in words: `behind task 31 in clock_nanosleep for GET /blocking`.
//!
//! It puts names together as they were recorded. How long the wait was is said by whoever asks.

use std::fmt::{Display, Write as _};
use std::net::SocketAddr;

use crate::model::cause::Cause;
use crate::model::id::{Pid, Tid};
use crate::model::report::WaitedFor;
use crate::model::request::HeldBy;
use crate::model::request::{Answer, Culprit, Detail, Span};
use crate::output::words;
use crate::summary::without_query;

/// The words that may follow a wait, those that are known.
#[derive(Default)]
struct Words<'a> {
    syscall: Option<&'a str>,
    object: Option<&'a str>,
    peer: Option<SocketAddr>,
    behind: Option<String>,
    /// It is the one waited behind that was in the call.
    holds: bool,
    request: Option<&'a str>,
    function: Option<&'a str>,
    answer: Option<String>,
    held: Option<String>,
    runtime: Option<String>,
    waits_in: Option<&'a str>,
    called_by: Option<&'a str>,
    note: Option<&'a str>,
}

impl Words<'_> {
    fn join(&self) -> String {
        let mut call = String::new();
        add(&mut call, "in", self.syscall);
        add(&mut call, "on", self.object);
        add(&mut call, "on", self.peer);
        let mut behind = String::new();
        add(&mut behind, "behind", self.behind.as_deref());
        let mut words = if self.holds {
            behind + &call
        } else {
            call + &behind
        };
        add(&mut words, "for", self.request);
        add(&mut words, "", self.answer.as_deref());
        add(&mut words, "", self.held.as_deref());
        add(&mut words, "", self.runtime.as_deref());
        if let Some(function) = self.function {
            let link = if words.is_empty() {
                "in"
            } else {
                words.push(':');
                ""
            };
            add(&mut words, link, Some(function));
        }
        add(&mut words, "waits in", self.waits_in);
        add(&mut words, "called by", self.called_by);
        if let Some(note) = self.note {
            add(&mut words, "", Some(format_args!("({note})")));
        }
        words.trim_start().to_owned()
    }
}

fn add(words: &mut String, link: &str, what: Option<impl Display>) {
    if let Some(what) = what {
        let space = if link.is_empty() { "" } else { " " };
        // Writing to a string does not fail.
        let _ = write!(words, " {link}{space}{what}");
    }
}

/// What an interval of a request of process `pid` waited for. Empty where nothing is known.
pub(super) fn of_span(span: &Span, pid: Pid, with_query: bool) -> String {
    let Detail {
        syscall,
        object,
        peer,
        held,
        runtime,
        note,
        function,
        waits_in,
    } = &span.detail;
    let mut words = Words {
        syscall: *syscall,
        object: object.as_deref(),
        peer: *peer,
        held: held.map(|held| {
            format!(
                "{} unsent, {}",
                words::bytes(held.unsent_bytes.into()),
                held_by(held.by)
            )
        }),
        runtime: runtime.map(|runtime| match runtime.cycle {
            Some(cycle) => format!("{}, GC cycle {cycle}", runtime.what),
            None => runtime.what.to_owned(),
        }),
        note: *note,
        waits_in: waits_in.as_ref().map(|waits| &*waits.function),
        called_by: waits_in.as_ref().and_then(|waits| waits.called_by.as_deref()),
        function: function.as_deref(),
        ..Words::default()
    };
    if let Some(culprit) = &span.culprit {
        let Culprit {
            pid: _,
            tid: _,
            comm: _,
            task: _,
            request,
            role,
            syscall,
            object,
            function,
            answer,
        } = culprit;
        let what = role.or(runtime.map(|runtime| runtime.what));
        words.runtime = what.map(in_brackets);
        words.behind = Some(who(culprit, pid));
        words.function = function.as_deref();
        words.answer = answer.as_deref().map(answered);
        words.request = request
            .as_deref()
            .map(|text| if with_query { text } else { without_query(text) });
        if syscall.is_some() {
            words.holds = true;
            (words.syscall, words.object) = (*syscall, object.as_deref());
        }
    }
    words.join()
}

/// How long the other request took, and for what.
fn answered(answer: &Answer) -> String {
    let took = words::ns(answer.latency_ns);
    match answer.mostly {
        Some(cause) => format!("({took}, mostly {})", cause.name()),
        None => format!("({took})"),
    }
}

/// What the runtime has a task for.
fn in_brackets(role: &str) -> String {
    format!("({role})")
}

/// What kept the last bytes.
const fn held_by(by: HeldBy) -> &'static str {
    match by {
        HeldBy::ClientWindow => "no room at the client",
        HeldBy::CongestionWindow => "congestion window full",
        HeldBy::Pacing => "paced",
        HeldBy::Nagle => "Nagle's algorithm, no TCP_NODELAY",
        HeldBy::Cork => "TCP_CORK",
        HeldBy::Unknown => "why is not known",
    }
}

/// Threads of the same process tend to have one name: it says something of others only.
fn who(culprit: &Culprit, pid: Pid) -> String {
    match &culprit.comm {
        _ if culprit.tid == Tid::IDLE => "an idle CPU".to_owned(),
        Some(comm) if culprit.pid != pid => format!("tid {} ({comm})", culprit.tid),
        _ => match culprit.task {
            Some(task) => format!("task {task}"),
            None => format!("tid {}", culprit.tid),
        },
    }
}

/// What the waits of several requests waited for. Empty where nothing is known.
pub(super) fn of_several(waited: &WaitedFor) -> String {
    let WaitedFor {
        cause,
        requests: _,
        mean_ns: _,
        syscall,
        object,
        peer,
        pid,
        comm,
        request,
        runtime,
        pool,
        function,
        held_by: by,
        waits_in,
        called_by,
    } = waited;
    let behind = match (comm, pid) {
        (_, Some(Pid::NONE)) => Some("an idle CPU".to_owned()),
        (Some(comm), Some(pid)) => Some(format!("{comm} ({pid})")),
        (Some(comm), None) => Some(comm.clone()),
        (None, pid) => pid.map(|pid| format!("pid {pid}")),
    };
    let behind_thread = behind.is_some();
    let words = Words {
        syscall: *syscall,
        object: object.as_deref(),
        peer: *peer,
        behind,
        holds: matches!(cause, Cause::AcceptQueue | Cause::WorkerBlocked),
        request: request.as_deref(),
        function: function.as_deref(),
        answer: None,
        held: (*cause == Cause::HeldBack).then(|| held_by(by.unwrap_or(HeldBy::Unknown)).to_owned()),
        runtime: runtime.map(|runtime| {
            if behind_thread {
                in_brackets(runtime)
            } else {
                runtime.to_owned()
            }
        }),
        waits_in: waits_in.as_deref(),
        called_by: called_by.as_deref(),
        note: pool.then_some("a thread of a pool"),
    };
    words.join()
}

#[cfg(test)]
mod tests {
    use super::super::is_in_page_on_go;
    use super::*;
    use crate::model::id::ConnId;
    use crate::model::request::{HeldBack, RuntimeWork};
    use crate::output::made_up;

    #[test]
    fn a_blocked_worker_is_told_with_what_blocked_it() {
        let request = made_up::blocked(1);
        let words = of_span(&request.timeline[0], Pid(4120), false);
        assert_eq!(words, "behind task 31 in clock_nanosleep for GET /blocking");
    }

    #[test]
    fn a_cpu_is_told_with_who_had_it() {
        let request = made_up::blocked(1);
        assert_eq!(
            of_span(&request.timeline[1], Pid(4120), false),
            "behind tid 77 (hog)"
        );
    }

    #[test]
    fn what_a_busy_thread_was_seen_running_comes_last() {
        let mut span = made_up::blocked(1).timeline[0].clone();
        span.cause = Cause::WorkerBusy;
        span.detail = Detail::default();
        let culprit = span.culprit.as_mut().unwrap();
        culprit.syscall = None;
        culprit.function = Some("serde_json::ser::to_vec".into());
        let words = of_span(&span, Pid(4120), false);
        assert_eq!(words, "behind task 31 for GET /blocking: serde_json::ser::to_vec");
    }

    #[test]
    fn a_call_of_its_own_comes_before_who_ended_it() {
        let mut span = made_up::blocked(1).timeline[1].clone();
        span.detail = Detail {
            syscall: Some("futex"),
            note: Some("made up"),
            ..Detail::default()
        };
        assert_eq!(of_span(&span, Pid(77), false), "in futex behind tid 77 (made up)");
    }

    #[test]
    fn where_a_goroutine_waits_comes_before_the_note() {
        use crate::model::request::WaitsIn;
        let mut span = made_up::blocked(1).timeline[1].clone();
        span.culprit = None;
        let waits_in = |called_by: Option<&str>| WaitsIn {
            function: "database/sql.(*DB).conn".into(),
            called_by: called_by.map(Into::into),
        };
        span.detail = Detail {
            note: Some("made up"),
            waits_in: Some(waits_in(Some("main.order"))),
            ..Detail::default()
        };
        let told = of_span(&span, Pid(77), false);
        assert_eq!(
            told,
            "waits in database/sql.(*DB).conn called by main.order (made up)"
        );
        assert!(is_in_page_on_go(&told));
        span.detail.waits_in = Some(waits_in(None));
        assert_eq!(
            of_span(&span, Pid(77), false),
            "waits in database/sql.(*DB).conn (made up)"
        );
    }

    #[test]
    fn what_tcp_held_is_told_with_its_reason() {
        let mut span = made_up::blocked(1).timeline[0].clone();
        span.culprit = None;
        span.detail = Detail {
            held: Some(HeldBack {
                by: HeldBy::Nagle,
                unsent_bytes: 200,
            }),
            ..Detail::default()
        };
        assert_eq!(
            of_span(&span, Pid(7), false),
            "200 B unsent, Nagle's algorithm, no TCP_NODELAY"
        );
    }

    #[test]
    fn a_peer_that_is_watched_is_told_with_its_request_and_what_that_took() {
        let mut span = made_up::blocked(1).timeline[0].clone();
        span.detail = Detail {
            peer: "127.0.0.1:8081".parse().ok(),
            ..Detail::default()
        };
        let culprit = span.culprit.as_mut().unwrap();
        culprit.syscall = None;
        culprit.answer = Some(Box::new(Answer {
            conn: ConnId(18),
            nth: 2,
            latency_ns: 30_000_000,
            mostly: Some(Cause::Timer),
        }));
        assert_eq!(
            of_span(&span, Pid(7), false),
            "on 127.0.0.1:8081 behind tid 4124 (axum-srv) for GET /blocking (30.0 ms, mostly timer)"
        );
    }

    #[test]
    fn a_stop_of_the_world_is_told_with_its_cycle_and_a_gc_worker_as_what_it_is() {
        let mut span = made_up::blocked(1).timeline[0].clone();
        let culprit = span.culprit.as_mut().unwrap();
        (culprit.role, culprit.request, culprit.syscall) = (Some("GC worker"), None, None);
        span.detail = Detail::default();
        assert_eq!(of_span(&span, Pid(4120), false), "behind task 31 (GC worker)");
        span.culprit = None;
        span.detail.runtime = Some(RuntimeWork {
            what: "stop of the world",
            cycle: Some(12),
        });
        assert_eq!(of_span(&span, Pid(4120), false), "stop of the world, GC cycle 12");
    }

    #[test]
    fn query_strings_are_dropped_unless_asked_for() {
        let mut span = made_up::blocked(1).timeline[0].clone();
        span.culprit.as_mut().unwrap().request = Some("GET /blocking?token=secret".into());
        assert!(of_span(&span, Pid(4120), false).ends_with("for GET /blocking"));
        assert!(of_span(&span, Pid(4120), true).ends_with("for GET /blocking?token=secret"));
    }

    #[test]
    fn several_waits_are_told_by_the_process() {
        let band = made_up::figures(1).at.unwrap().p99;
        let words: Vec<_> = band.waited_for.iter().map(of_several).collect();
        assert_eq!(
            words,
            [
                "behind axum-srv (4120) in clock_nanosleep for GET /blocking",
                "behind hog (77)"
            ]
        );
        let to_be_accepted = WaitedFor {
            cause: Cause::AcceptQueue,
            ..band.waited_for[0].clone()
        };
        assert_eq!(of_several(&to_be_accepted), words[0]);
        let job = WaitedFor {
            pool: true,
            ..band.waited_for[0].clone()
        };
        assert!(of_several(&job).ends_with(" (a thread of a pool)"));
    }
}
