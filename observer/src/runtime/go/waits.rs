//! Where goroutines that serve requests were seen waiting: which of a stack's functions says it.

use super::Stay;
use crate::model::id::TaskId;
use crate::model::request::WaitsIn;
use crate::newest::Newest;

/// Looks at goroutines of a process that are remembered.
const MOST: usize = 4096;

/// Packages that say how something is waited for, not what; and how the names of Go's other internal ones begin.
const WAITING: [&str; 2] = ["runtime", "sync"];
const INTERNAL: &str = "internal/";

/// What locks, of `sync` and `internal/sync`.
const MUTEXES: [&str; 2] = ["sync.(*Mutex).", "sync.(*RWMutex)."];

/// Calls the program's own code, and reads requests from sockets, which are another package's.
const SERVER: &str = "net/http";
const SOCKETS: &str = "net";

/// What was seen of one process.
#[derive(Debug, Default)]
pub(super) struct SeenWaiting {
    newest: Newest<Seen, MOST>,
    /// When the last of the looks was that are forgotten, ns.
    pub(super) forgotten_until_ns: u64,
}

#[derive(Debug)]
struct Seen {
    task: TaskId,
    at_ns: u64,
    place: WaitsIn,
    for_mutex: bool,
    stay: Option<Stay>,
}

impl SeenWaiting {
    /// A goroutine waited at this time in these functions, from the innermost out.
    pub(super) fn add(
        &mut self,
        task: TaskId,
        stay: Option<Stay>,
        at_ns: u64,
        functions: &[impl AsRef<str>],
    ) {
        if let Some(place) = place(functions) {
            let for_mutex = is_for_mutex(functions);
            let seen = Seen {
                task,
                at_ns,
                place,
                for_mutex,
                stay,
            };
            if let Some(forgotten) = self.newest.push(seen) {
                self.forgotten_until_ns = forgotten.at_ns;
            }
        }
    }

    /// Where it was seen most often in this time; of several the first.
    pub(super) fn most(&self, task: TaskId, from_ns: u64, to_ns: u64) -> Option<&WaitsIn> {
        let seen: Vec<&WaitsIn> = self.seen(task, from_ns, to_ns).map(|seen| &seen.place).collect();
        let count = |place: &&&WaitsIn| seen.iter().filter(|other| other == place).count();
        seen.iter().rev().max_by_key(count).copied()
    }

    /// When it was seen waiting for a mutex last in this time, ns, and what it said then.
    pub(super) fn last_for_mutex(
        &self,
        task: TaskId,
        from_ns: u64,
        to_ns: u64,
    ) -> Option<(u64, Option<Stay>)> {
        let last = self
            .seen(task, from_ns, to_ns)
            .filter(|seen| seen.for_mutex)
            .last()?;
        Some((last.at_ns, last.stay))
    }

    /// Whether it was seen in this time waiting for something like this, as it said then.
    pub(super) fn was_seen(
        &self,
        task: TaskId,
        from_ns: u64,
        to_ns: u64,
        is_like: impl Fn(Stay) -> bool,
    ) -> bool {
        let mut said = self.seen(task, from_ns, to_ns).filter_map(|seen| seen.stay);
        said.any(is_like)
    }

    fn seen(&self, task: TaskId, from_ns: u64, to_ns: u64) -> impl Iterator<Item = &Seen> {
        let first = self.newest.partition_point(|seen| seen.at_ns < from_ns);
        let in_time = self
            .newest
            .range(first..)
            .take_while(move |seen| seen.at_ns < to_ns);
        in_time.filter(move |seen| seen.task == task)
    }
}

/// What a stack says: the innermost function that is not about waiting, and the first one of another package that
/// called it. Where that only calls the program, what called it within the package.
fn place(functions: &[impl AsRef<str>]) -> Option<WaitsIn> {
    let mut functions = functions.iter().map(AsRef::as_ref);
    let function = functions.find(|function| !is_about_waiting(function))?;
    let own = package(function);
    // The runtime begins each goroutine.
    let says = |caller: &&str| {
        let other = package(caller);
        other != "runtime" && (other != SERVER || own == SERVER || own == SOCKETS)
    };
    let mut callers = functions.clone().filter(says);
    let direct = functions.next().filter(says);
    let other = callers.find(|caller| package(caller) != own);
    Some(WaitsIn {
        function: function.into(),
        called_by: other.or(direct).map(Into::into),
    })
}

/// Whether what is waited for is a mutex: none of their functions calls the program's.
fn is_for_mutex(functions: &[impl AsRef<str>]) -> bool {
    let functions = functions.iter().map(AsRef::as_ref);
    let mut waiting = functions.take_while(|function| is_about_waiting(function));
    waiting.any(|function| MUTEXES.iter().any(|of| function.contains(of)))
}

fn is_about_waiting(function: &str) -> bool {
    let package = package(function);
    WAITING.contains(&package) || package.starts_with(INTERNAL)
}

/// The package that a function is of.
fn package(function: &str) -> &str {
    let name = function.split('[').next().unwrap_or(function);
    let directory = name.rfind('/').map_or(0, |at| at + 1);
    let end = name[directory..]
        .find('.')
        .map_or(name.len(), |at| directory + at);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(functions: &[&str]) -> Option<(String, Option<String>)> {
        let place = place(functions)?;
        Some((
            place.function.to_string(),
            place.called_by.map(|name| name.to_string()),
        ))
    }

    fn is(functions: &[&str], function: &str, called_by: Option<&str>) {
        let expected = (function.to_owned(), called_by.map(str::to_owned));
        assert_eq!(told(functions), Some(expected));
    }

    #[test]
    fn a_library_that_the_program_calls_is_told_with_who_called_it() {
        let stack = [
            "runtime.gopark",
            "runtime.selectgo",
            "database/sql.(*DB).conn",
            "database/sql.(*DB).query",
            "database/sql.(*DB).QueryContext",
            "main.order",
            "net/http.HandlerFunc.ServeHTTP",
            "net/http.(*conn).serve",
            "runtime.goexit",
        ];
        is(&stack, "database/sql.(*DB).conn", Some("main.order"));
    }

    #[test]
    fn a_function_of_the_program_is_told_with_its_caller_but_not_with_what_calls_the_program() {
        let mut stack = vec![
            "runtime.gopark",
            "runtime.semacquire1",
            "internal/sync.(*Mutex).lockSlow",
            "sync.(*Mutex).Lock",
            "main.(*Store).Save",
            "main.report",
            "net/http.HandlerFunc.ServeHTTP",
            "net/http.(*conn).serve",
            "runtime.goexit",
        ];
        is(&stack, "main.(*Store).Save", Some("main.report"));
        stack.remove(5);
        is(&stack, "main.(*Store).Save", None);
    }

    #[test]
    fn what_waits_for_the_server_itself_is_told_as_it_is() {
        let stack = [
            "internal/poll.runtime_pollWait",
            "internal/poll.(*FD).Read",
            "net.(*netFD).Read",
            "net/http.(*connReader).Read",
            "net/http.(*conn).serve",
        ];
        is(&stack, "net.(*netFD).Read", Some("net/http.(*connReader).Read"));
        is(
            &["time.Sleep", "main.main.func3"],
            "time.Sleep",
            Some("main.main.func3"),
        );
        is(&["main.main", "runtime.main"], "main.main", None);
        assert_eq!(told(&["runtime.gopark", "sync.(*Cond).Wait"]), None);
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn who_is_in_a_function_of_a_mutex_waits_for_it_and_who_has_come_out_does_not() {
        let gopark = "runtime.gopark";
        assert!(is_for_mutex(&[
            gopark,
            "internal/sync.(*Mutex).lockSlow",
            "main.f"
        ]));
        assert!(is_for_mutex(&[gopark, "sync.(*RWMutex).RLock", "main.f"]));
        assert!(!is_for_mutex(&[gopark, "sync.(*WaitGroup).Wait", "main.f"]));
        assert!(!is_for_mutex(&[gopark, "main.f", "sync.(*Mutex).Lock"]));
        let mut waits = SeenWaiting::default();
        waits.add(
            TaskId(41),
            None,
            20,
            &[gopark, "sync.(*Mutex).lockSlow", "main.f"],
        );
        assert_eq!(waits.last_for_mutex(TaskId(41), 20, 21), Some((20, None)));
        assert_eq!(waits.last_for_mutex(TaskId(41), 21, 30), None);
        assert_eq!(waits.last_for_mutex(TaskId(42), 0, 30), None);
        waits.add(
            TaskId(41),
            None,
            25,
            &[gopark, "sync.(*Mutex).lockSlow", "main.f"],
        );
        waits.add(TaskId(41), None, 28, &[gopark, "time.Sleep", "main.f"]);
        assert_eq!(waits.last_for_mutex(TaskId(41), 20, 30), Some((25, None)));
    }

    #[test]
    fn the_package_is_what_stands_before_the_first_point_behind_the_last_slash() {
        for (function, expected) in [
            ("go.etcd.io/etcd/raft.(*node).run", "go.etcd.io/etcd/raft"),
            ("gopkg.in/yaml%2ev2.Unmarshal", "gopkg.in/yaml%2ev2"),
            ("main.first[a/b.c]", "main"),
            ("memcpy", "memcpy"),
            ("internal/poll.(*FD).Read", "internal/poll"),
        ] {
            assert_eq!(package(function), expected);
        }
        assert!(!is_about_waiting("internals.f") && !is_about_waiting("synced.f"));
        assert!(is_about_waiting("internal/sync.(*Mutex).lockSlow"));
    }

    #[test]
    fn of_several_places_the_one_that_was_seen_most_is_told_and_only_of_its_time() {
        let mut waits = SeenWaiting::default();
        for (task, at_ns, function) in [
            (41, 10, "main.a"),
            (41, 20, "main.b"),
            (42, 25, "main.a"),
            (41, 30, "main.b"),
            (41, 40, "main.c"),
        ] {
            waits.add(TaskId(task), None, at_ns, &["runtime.gopark", function]);
        }
        let most = |from_ns, to_ns| {
            let most = waits.most(TaskId(41), from_ns, to_ns);
            most.map(|place| place.function.to_string())
        };
        assert_eq!(most(0, 50).as_deref(), Some("main.b"));
        assert_eq!(most(0, 21).as_deref(), Some("main.a"), "the first");
        assert_eq!(most(40, 50).as_deref(), Some("main.c"));
        assert_eq!(most(41, 50), None);
    }

    #[test]
    fn until_when_looks_are_forgotten_is_known() {
        let mut waits = SeenWaiting::default();
        for at_ns in 0..MOST as u64 {
            waits.add(TaskId(41), None, at_ns, &["main.a"]);
        }
        assert_eq!(waits.forgotten_until_ns, 0);
        (1..=2).for_each(|more| waits.add(TaskId(41), None, MOST as u64 + more, &["main.a"]));
        assert_eq!(waits.forgotten_until_ns, 1);
    }
}
