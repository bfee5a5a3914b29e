//! Functions of code that is made at run time are named, where the process tells perf of it.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::functions::{OFTEN, functions, most_are, until_named};
use crate::observation::Observation;
use crate::run::{DEADLINE, run, wait_for};
use crate::server::{Server, load};
use crate::{kernel, measured, serving};

const ONE: &[&str] = &["--connections", "1"];

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name)
}

/// Checks that what process `pid` computes for each path has the function with this name.
fn are_named(server: &Server, pid: u32, paths: &[(&str, &str)]) {
    let mut observation = Observation::of(pid, OFTEN);
    let mut before = until_named(&mut observation, &server.url(paths[0].0), ONE);
    for (path, _) in paths {
        load(&server.url(path), &[ONE, &["--requests", "30"]].concat());
    }
    let lines = observation.finish();
    for (_, function) in paths {
        let requests = &lines.without_loss().requests[before..before + 30];
        most_are(
            &functions(requests, "on_cpu"),
            function,
            &measured::FUNCTIONS_MADE,
        );
        before += 30;
    }
}

/// The second takes the place of the first in memory.
const BOTH: &[(&str, &str)] = &[("/first", "first"), ("/second", "second")];

#[test]
fn code_in_a_map_for_perf_has_its_newest_name() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let server = Server::start(Command::new("python3").arg(script("made.py")).arg("map"));
    are_named(&server, server.pid(), BOTH);
    let map = format!("/tmp/perf-{}.map", server.pid());
    drop(server);
    fs::remove_file(map).unwrap();
}

#[test]
fn code_in_a_jitdump_has_its_newest_name() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let server = Server::start(
        Command::new("python3")
            .arg(script("made.py"))
            .arg("dump")
            .current_dir(&directory),
    );
    are_named(&server, server.pid(), BOTH);
}

#[test]
fn a_process_in_a_container_tells_by_its_own_number_in_its_own_directory() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("python3") || !kernel::has_program("unshare") {
        return;
    }
    let in_container = r#"mount -t tmpfs none /tmp && exec python3 "$0" "$@""#;
    let server = Server::start(
        Command::new("unshare")
            .args([
                "--mount",
                "--pid",
                "--fork",
                "--kill-child",
                "sh",
                "-c",
                in_container,
            ])
            .arg(script("made.py"))
            .arg("map"),
    );
    let pid = wait_for("the container's first process", DEADLINE, || {
        serving::children(server.pid()).first().copied()
    });
    are_named(&server, pid, BOTH);
}

#[test]
fn methods_that_java_compiled_are_named_once_it_was_asked_for_its_map() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("java") || !kernel::has_program("jcmd") {
        return;
    }
    let server = Server::start(Command::new("java").arg(script("Made.java")));
    load(&server.url("/compute"), &[ONE, &["--requests", "30"]].concat());
    let told = run(Command::new("jcmd").args([&server.pid().to_string(), "Compiler.perfmap"]));
    assert!(told.status.success(), "{told:?}");
    are_named(&server, server.pid(), &[("/compute", "Made.compute")]);
    let map = format!("/tmp/perf-{}.map", server.pid());
    drop(server);
    fs::remove_file(map).unwrap();
}

#[test]
fn functions_that_node_compiled_are_named_where_it_tells_of_them() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("node") {
        return;
    }
    for option in ["--perf-basic-prof", "--perf-prof"] {
        let directory = TempDir::new().unwrap();
        let server = Server::start(
            Command::new("node")
                .arg(option)
                .arg(script("made.js"))
                .current_dir(&directory),
        );
        are_named(&server, server.pid(), &[("/compute", "compute (made.js:")]);
        let map = format!("/tmp/perf-{}.map", server.pid());
        drop(server);
        // Only one of them writes it there.
        let _ = fs::remove_file(map);
    }
}
