//! The programs that are checked: observer, the testbed, and the live tests, built for release. Unoptimized
//! ones take several times as long, and an emulated CPU is some twenty times slower than a real one already.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result};
use serde_json::Value;
use xtask::{command, workspace};

/// Live tests that run nowhere here, and why.
const SKIPPED: &[(&str, &str)] = &[
    (
        "go::",
        "they compile their servers with Go, which is not in the virtual machine",
    ),
    (
        "goroutines::",
        "their server is in Go, which is not in the virtual machine",
    ),
    (
        "parked::",
        "they compile their server with Go, which is not in the virtual machine",
    ),
    (
        "scheduled::",
        "they compile their servers with Go, which is not in the virtual machine",
    ),
    (
        "functions::in_an_optimized_program_inlined_functions_are_named_where_it_has_debug_information",
        "it compiles its server with rustc, which is not in the virtual machine",
    ),
    (
        "functions::without_debug_information_the_symbols_have_the_names_and_without_symbols_there_are_none",
        "it takes symbols away with strip, which is not in the virtual machine",
    ),
    (
        "queues::what_a_real_time_thread_ran_in_its_life_is_not_what_was_waited_for",
        "it takes its priority with chrt, which is not in the virtual machine",
    ),
    (
        "made::",
        "their servers are in Python, Java and JavaScript, which are not in the virtual machine",
    ),
    (
        "executors::",
        "their servers are in Java and JavaScript, which are not in the virtual machine",
    ),
    (
        "stopped::",
        "its server is in Java, which is not in the virtual machine",
    ),
];

/// Live tests that do not run on emulated CPUs, and why.
const SKIPPED_IN_EMULATION: &[(&str, &str)] = &[
    (
        "queues::behind_a_lock_the_request_that_holds_it_is_the_culprit",
        "on such CPUs a thread starves behind the lock, and the request of who wakes it is then not always known",
    ),
    (
        "queues::a_culprit_is_named_also_when_its_connection_has_closed_since",
        LOAD,
    ),
    (
        "queues::behind_a_blocked_worker_the_call_and_the_request_that_made_it_are_the_culprit",
        LOAD,
    ),
    (
        "queues::behind_a_busy_worker_the_request_that_computes_is_the_culprit",
        LOAD,
    ),
    (
        "queues::behind_a_task_that_polls_for_a_peer_its_request_is_the_culprit",
        LOAD,
    ),
    ("programs::", PYTHON),
    ("roles::", PYTHON),
    (
        "queues::requests_that_block_their_worker_are_in_that_call_the_last_of_a_connection_too",
        LOAD,
    ),
    (
        "waits::blocking_in_the_pool_is_the_call_that_the_pool_thread_was_in",
        LOAD,
    ),
    (
        "waits::two_that_wait_for_timers_at_the_same_time_both_are_timer",
        LOAD,
    ),
    ("waits::waiting_for_a_timer_is_timer", LOAD),
    (
        "waits::a_client_that_does_not_read_blocks_the_send",
        "an emulated CPU takes longer to copy 32 MiB than the client pauses",
    ),
    (
        "waits::waiting_for_a_connection_to_a_peer_is_downstream_with_its_address",
        "an emulated CPU takes longer from the answer to the wakeup than the two are held to belong together",
    ),
    ("accepting::", LOAD),
    (
        "attach::connections_in_the_middle_of_a_request_and_of_a_question_to_a_peer_go_on_as_what_they_are",
        OPEN,
    ),
    ("clocks::", OPEN),
    (
        "counts::the_tail_of_a_quick_server_is_written_beside_a_slow_one",
        LOAD,
    ),
    (
        "counts::two_servers_with_one_path_have_their_own_p99_budget_and_diagnosis",
        LOAD,
    ),
    ("calls::", "it was not tried on an emulated CPU"),
    ("crowds::", LOAD),
    (
        "families::of_a_pre_forking_server_each_child_s_requests_are_counted_and_those_of_its_next_children",
        PYTHON,
    ),
    ("families::a_child_is_watched_from_its_first_instruction", PYTHON),
    (
        "families::a_number_that_is_used_again_at_once_is_another_process",
        PYTHON,
    ),
    (
        "families::children_are_not_followed_where_that_is_asked_for",
        PYTHON,
    ),
    (
        "families::without_children_those_that_hold_the_socket_of_a_port_are_watched_and_none_that_is_forked_later",
        PYTHON,
    ),
    (
        "families::whoever_listens_on_a_port_already_is_watched_with_its_children",
        PYTHON,
    ),
    (
        "families::of_more_processes_than_there_is_room_for_the_others_are_counted",
        LOAD,
    ),
    ("endurance::", LOAD),
    ("long::", LOAD),
    ("held::", OPEN),
    ("theft::", OPEN),
    ("uploads::", OPEN),
    ("garbage::", SAME),
    ("names::", SAME),
    ("output::", SAME),
    ("pools::", SAME),
    ("protocols::", SAME),
    ("recording::", SAME),
    ("serving::", SAME),
    ("overload::", LOAD),
    ("short_lived::", LOAD),
    ("together::", LOAD),
    (
        "full_disks::",
        "an emulated CPU fills the small disk later than the test waits for",
    ),
    ("quota::", "the guest has no control groups mounted"),
    (
        "functions::behind_a_busy_worker_the_function_that_computes_is_named",
        NAMES,
    ),
    (
        "functions::many_who_each_compute_for_a_moment_are_named_by_what_they_do_most",
        NAMES,
    ),
    (
        "functions::who_computes_for_milliseconds_now_and_then_is_named_at_the_default_rate",
        NAMES,
    ),
];

const NAMES: &str =
    "an emulated CPU takes so long to find a name that it is not there yet when a request is explained";
const OPEN: &str =
    "it was not seen to pass on an emulated CPU, and whether that CPU or observer is the cause is open";
const PYTHON: &str = "its server is in Python, which is not in the virtual machine";
const SAME: &str = "nothing that it tests comes from the kernel in another way than on this machine";
const LOAD: &str = "an emulated CPU is too slow for the load that it needs";

/// Programs of the testbed that the live tests run.
const TESTBED: [&str; 4] = ["faulty-server", "load", "slow-peer", "hog"];

/// Paths of the programs.
pub(super) struct Programs {
    built: lab::programs::Programs,
    tests: PathBuf,
}

impl Programs {
    /// Builds them.
    pub(super) fn build() -> Result<Self> {
        let built = lab::programs::Programs::build(&[])?;
        let mut cargo = workspace::cargo("test");
        cargo.args(["--release", "--package", "observer", "--test", "live", "--no-run"]);
        cargo.args(["--message-format", "json-render-diagnostics"]);
        cargo.stderr(Stdio::inherit());
        let messages = command::text(&mut cargo)?;
        let tests = executable(&messages, "live").context("cargo built no test `live`")?;
        Ok(Self { built, tests })
    }

    /// All of them.
    pub(super) fn files(&self) -> impl Iterator<Item = PathBuf> {
        let testbed = TESTBED.map(|name| self.built.testbed(name));
        [self.built.observer.clone(), self.tests.clone()]
            .into_iter()
            .chain(testbed)
    }

    /// The call of the script that checks them, which is at this path.
    pub(super) fn check(&self, script: &Path, emulated: bool) -> Vec<OsString> {
        let [server, load] = ["faulty-server", "load"].map(|name| self.built.testbed(name));
        let mut words: Vec<OsString> = ["sh".into(), script.into()].into();
        words.extend([&self.built.observer, &server, &load, &self.tests].map(Into::into));
        for (test, _) in skipped(emulated) {
            words.extend(["--skip".into(), test.into()]);
        }
        words
    }
}

/// Live tests that do not run, and why.
pub(super) fn skipped(emulated: bool) -> impl Iterator<Item = &'static (&'static str, &'static str)> {
    let more = if emulated { SKIPPED_IN_EMULATION } else { &[] };
    SKIPPED.iter().chain(more)
}

/// The program of a target of this name, in cargo's messages.
fn executable(messages: &str, target: &str) -> Option<PathBuf> {
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message["target"]["name"] == target)
        .find_map(|message| message["executable"].as_str().map(PathBuf::from))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_test_that_does_not_run_is_there() {
        let live = workspace::root().join("observer/tests/live");
        for (test, _) in skipped(true) {
            let (module, function) = test.split_once("::").unwrap();
            let text = std::fs::read_to_string(live.join(module).with_extension("rs"));
            let text = text.unwrap_or_else(|error| panic!("{test}: {error}"));
            assert!(text.contains(&format!("fn {function}")), "{test}");
        }
    }

    #[test]
    fn the_page_on_kernels_lists_each_test_that_does_not_run() {
        let page = std::fs::read_to_string(workspace::root().join("docs/kernels.md")).unwrap();
        let list = page.split("Tests that did not run:\n").nth(1).unwrap();
        let listed: Vec<&str> = list.lines().take_while(|line| *line != "```").collect();
        let skipped: Vec<String> = skipped(true)
            .map(|(test, why)| format!("  {test}  {why}"))
            .collect();
        assert_eq!(listed, skipped);
    }

    #[test]
    fn the_test_program_is_found_among_the_messages() {
        let messages = r#"{"reason":"compiler-artifact","target":{"name":"observer"},"executable":"/t/observer"}
{"reason":"compiler-artifact","target":{"name":"live"},"executable":"/t/deps/live-1"}
{"reason":"build-finished","success":true}"#;
        assert_eq!(
            executable(messages, "live"),
            Some(PathBuf::from("/t/deps/live-1"))
        );
        assert_eq!(executable(messages, "dead"), None);
    }
}
