//! Whether the culprit that observer names is the one that did it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::scenario::{Culprit, InjectedPart, Object};
use super::truth::Explained;

/// Names that are known only while a scenario runs.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) peer: String,
    pub(super) data: String,
    pub(super) files: String,
}

/// What observer says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Named {
    Right,
    /// Nobody, or not all that was asked for.
    Absent,
    /// Somebody else.
    Wrong(String),
}

impl Names {
    /// Looks at the spans of right causes: whoever is named, by all that is asked for, for most of their time counts.
    /// Nothing where nobody is to be named, or nobody is who need not be.
    pub(super) fn check(&self, part: &InjectedPart, explained: &Explained) -> Option<Named> {
        let wanted = self.wanted(&part.culprit);
        if wanted.is_empty() {
            return None;
        }
        let names = longest(part, explained, |span| {
            wanted
                .iter()
                .map(|(pointer, _)| Some(span.pointer(pointer)?.as_str()?.to_owned()))
                .collect::<Vec<_>>()
        })?;
        Some(compare(&wanted, &names)).filter(|named| !part.nameless || *named != Named::Absent)
    }

    /// Where in a span each name stands, and which are right.
    fn wanted(&self, culprit: &Culprit) -> Vec<(&'static str, Vec<String>)> {
        let Culprit {
            request,
            comm,
            role,
            syscalls,
            peer,
            object,
        } = culprit;
        let mut wanted = Vec::new();
        let mut want = |pointer, right: Vec<String>| {
            if !right.is_empty() {
                wanted.push((pointer, right));
            }
        };
        want(
            "/culprit/request",
            request.iter().map(|it| (*it).to_owned()).collect(),
        );
        want("/culprit/comm", comm.iter().map(|it| (*it).to_owned()).collect());
        want("/culprit/role", role.iter().map(|it| (*it).to_owned()).collect());
        want("/syscall", syscalls.iter().map(|it| (*it).to_owned()).collect());
        want("/peer", peer.then(|| self.peer.clone()).into_iter().collect());
        let path = |object: &Object| match object {
            Object::Data => self.data.clone(),
            Object::Files => self.files.clone(),
        };
        want("/object", object.iter().map(path).collect());
        wanted
    }
}

/// The same for the runtime's task that is named. Nothing also where the truth knows none.
///
/// Behind several tasks none has to be named: what they did one after the other for requests of one path is told in one
/// span, with the path.
pub(super) fn check_task(part: &InjectedPart, right: &BTreeSet<u64>, explained: &Explained) -> Option<Named> {
    if right.is_empty() {
        return None;
    }
    let named = longest(part, explained, |span| {
        span.pointer("/culprit/task").and_then(Value::as_u64)
    })?;
    Some(match named {
        None if part.nameless || right.len() > 1 => return None,
        None => Named::Absent,
        Some(task) if right.contains(&task) => Named::Right,
        Some(task) => Named::Wrong(format!("the task is {task} and none of {right:?}")),
    })
}

/// What the spans of right causes say for most of their time.
fn longest<T: Ord>(part: &InjectedPart, explained: &Explained, said: impl Fn(&Value) -> T) -> Option<T> {
    let spans = explained.line["timeline"].as_array()?.iter();
    let spans = spans.filter(|span| {
        span["cause"]
            .as_str()
            .is_some_and(|cause| part.causes.contains(&cause))
    });
    let mut said_ns: BTreeMap<T, u64> = BTreeMap::new();
    for span in spans {
        *said_ns.entry(said(span)).or_default() += span["dur_ns"].as_u64().unwrap_or(0);
    }
    let (said, _) = said_ns.into_iter().max_by_key(|(_, ns)| *ns)?;
    Some(said)
}

fn compare(wanted: &[(&str, Vec<String>)], names: &[Option<String>]) -> Named {
    let mut all = true;
    for ((pointer, right), named) in wanted.iter().zip(names) {
        let is = |named: &str, right: &String| match *pointer {
            // Files are known by the beginning of their path.
            "/object" => named.starts_with(right.as_str()),
            _ => named == right,
        };
        match named {
            None => all = false,
            Some(named) if right.iter().any(|right| is(named, right)) => {}
            Some(named) => {
                return Named::Wrong(format!("{pointer} is {named} instead of {}", right.join(" or ")));
            }
        }
    }
    if all { Named::Right } else { Named::Absent }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn names() -> Names {
        Names {
            peer: "127.0.0.1:99".to_owned(),
            data: "/x/data".to_owned(),
            files: "/x/files".to_owned(),
        }
    }

    fn explained(timeline: &Value) -> Explained {
        let line = json!({"latency_ns": 10, "budget_ns": {}, "http": {}, "timeline": timeline});
        Explained::parse(line).unwrap()
    }

    fn part(culprit: Culprit) -> InjectedPart {
        InjectedPart::new(super::super::scenario::Injected::Unread, &["worker_blocked"]).by(culprit)
    }

    #[test]
    fn the_longest_span_of_the_cause_names_the_culprit() {
        let part = part(Culprit::request("GET /a"));
        let named = |long: &str| {
            names().check(
                &part,
                &explained(&json!([
                    {"dur_ns": 2, "cause": "worker_blocked", "culprit": {"request": "GET /b"}},
                    {"dur_ns": 9, "cause": "on_cpu", "culprit": {"request": "GET /c"}},
                    {"dur_ns": 5, "cause": "worker_blocked", "culprit": {"request": long}},
                ])),
            )
        };
        assert_eq!(named("GET /a"), Some(Named::Right));
        assert!(matches!(named("GET /b"), Some(Named::Wrong(_))));
    }

    #[test]
    fn a_culprit_that_is_not_named_is_absent_and_not_wrong() {
        let part = part(Culprit::request("GET /a"));
        let nobody = json!([{"dur_ns": 9, "cause": "worker_blocked"}]);
        assert_eq!(names().check(&part, &explained(&nobody)), Some(Named::Absent));
    }

    #[test]
    fn who_is_named_for_most_of_the_time_counts() {
        let part = part(Culprit::comm("hog"));
        let spans = json!([
            {"dur_ns": 6, "cause": "worker_blocked", "culprit": {"comm": "hog"}},
            {"dur_ns": 9, "cause": "worker_blocked", "culprit": {"comm": "load"}},
            {"dur_ns": 6, "cause": "worker_blocked", "culprit": {"comm": "hog"}},
        ]);
        assert_eq!(names().check(&part, &explained(&spans)), Some(Named::Right));
    }

    #[test]
    fn a_task_is_right_wrong_or_absent() {
        let part = part(Culprit::default());
        let named = |culprit: Value, right: &[u64]| {
            let span = json!([{"dur_ns": 9, "cause": "worker_blocked", "culprit": culprit}]);
            check_task(&part, &right.iter().copied().collect(), &explained(&span))
        };
        assert_eq!(named(json!({"task": 31}), &[30, 31]), Some(Named::Right));
        assert!(matches!(named(json!({"task": 31}), &[30]), Some(Named::Wrong(_))));
        assert_eq!(named(json!({"tid": 31}), &[31]), Some(Named::Absent));
        assert_eq!(named(json!({"task": 31}), &[]), None);
    }

    #[test]
    fn files_are_known_by_the_beginning_of_their_path_and_peers_are_not() {
        let span = |field: &str, value: &str| {
            explained(&json!([{"dur_ns": 9, "cause": "worker_blocked", field: value}]))
        };
        let file = part(Culprit::default().on(Object::Files));
        assert_eq!(
            names().check(&file, &span("object", "/x/files/#7")),
            Some(Named::Right)
        );
        let peer = part(Culprit::peer());
        assert_eq!(
            names().check(&peer, &span("peer", "127.0.0.1:99")),
            Some(Named::Right)
        );
        let other = names().check(&peer, &span("peer", "127.0.0.1:990"));
        assert!(matches!(other, Some(Named::Wrong(_))));
    }
}
