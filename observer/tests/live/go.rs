//! Servers in Go: net/http through Gin, and Fiber, which does without it.

use std::path::Path;
use std::process::Command;

use crate::observation::{Lines, Observation};
use crate::server::{Server, load};
use crate::{kernel, laws, measured};

/// Watches the server of this name while it answers 1000 requests on so many connections.
fn observe(name: &str, connections: &str) -> Lines {
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/servers")
        .join(name);
    // Kept between runs; Go itself knows what is up to date.
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-server"));
    // Without a deadline: on a fresh machine it fetches and compiles a hundred packages.
    let built = Command::new("go")
        .args(["build", "-o"])
        .arg(&program)
        .arg(".")
        .current_dir(source)
        .status();
    assert!(built.unwrap().success(), "go build failed");

    let server = Server::start(&mut Command::new(program));
    let observation = Observation::of(server.pid(), &[]);
    load(
        &server.url("/ping"),
        &["--requests", "1000", "--connections", connections],
    );
    let lines = observation.finish();
    lines.without_loss();
    let header: serde_json::Value = serde_json::from_str(&lines.written[0]).unwrap();
    assert_eq!(header["targets"][0]["runtime"]["name"], "go", "{header}");
    assert!(lines.runtimes.is_empty(), "{:?}", lines.runtimes);
    lines
}

fn every_request_is_counted(name: &str) {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    let lines = observe(name, "8");
    assert_eq!(lines.count(), 1000);
    assert_eq!(lines.end["status"]["2xx"], 1000);
    let partial = lines
        .requests
        .iter()
        .filter(|line| line["confidence"] == "partial");
    let (hidden, partial): (Vec<_>, Vec<_>) = partial.partition(|request| laws::is_unseen(request));
    measured::GO_HIDDEN.holds_of(&hidden);
    measured::GO.holds_of(&partial);
}

#[test]
fn every_request_of_a_gin_server_is_counted() {
    every_request_is_counted("gin");
}

#[test]
fn every_request_of_a_fiber_server_is_counted() {
    every_request_is_counted("fiber");
}

#[test]
fn every_request_of_a_gin_server_has_its_path() {
    let Some(_turn) = kernel::turn() else { return };
    if !kernel::has_program("go") {
        return;
    }
    // net/http waits for the next request on an idle connection by reading one byte of it.
    let lines = observe("gin", "1");
    assert_eq!(lines.of_path("/ping").len(), 1000);
}
