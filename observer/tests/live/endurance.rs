//! A long run at full load, with connections that come and go: observer does not grow.

use std::io::Read as _;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::observation::OBSERVER;
use crate::run::run;
use crate::server::{Loading, Server};
use crate::{client, kernel, laws};

/// Windows in which everything reaches its size: histories fill, buffers double.
const WARM_UP: usize = 4;

/// Windows that are compared after that, at least. On two busy CPUs a window takes up to twice its second.
const COMPARED: usize = 5;

/// How much more than in its first half observer may have in the second half of a run, bytes. In a run of 100 seconds
/// it went from 52 MB to 69 MB and back to 64 MB: tables that fill, buffers that double, what the allocator keeps. What
/// stays of each of the some 10,000 connections of a half is found from 1.6 kB on.
const NOISE: u64 = 16 << 20;

#[test]
fn observer_does_not_grow_under_full_load() {
    const RUN: Duration = Duration::from_secs(20);
    let Some(_turn) = kernel::turn() else { return };
    let server = Server::faulty(&[]);
    let loading = Loading::start(
        &server.url("/ping"),
        &["--connections", "16", "--duration", "20s"],
    );
    let address = server.address;
    let until = Instant::now() + RUN;
    let clients: Vec<_> = (0..2)
        .map(|client| {
            thread::spawn(move || {
                let mut connections = 0_u64;
                while Instant::now() < until {
                    // Strangers choose the paths.
                    let path = format!("/{client}/{connections}?x=1");
                    assert!(client::get(address, &path).starts_with("HTTP/1.1 404"));
                    // One that says nothing, and one that leaves before its answer.
                    drop(client::connect(address));
                    let mut stream = client::connect(address);
                    std::io::Write::write_all(&mut stream, client::request("/ping").as_bytes()).unwrap();
                    let _ = stream.shutdown(std::net::Shutdown::Both);
                    let _ = stream.read(&mut [0]);
                    connections += 3;
                }
                connections
            })
        })
        .collect();
    let output = run(Command::new(OBSERVER).args([
        "attach",
        "--requests",
        "none",
        "--duration",
        "19s",
        "--pid",
        &server.pid().to_string(),
    ]));
    let connections: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
    let (_, failed) = loading.ended();
    assert_eq!((output.status.code(), failed), (Some(0), 0));
    assert!(connections > 3_000, "only {connections} connections");

    let lines = String::from_utf8(output.stdout).unwrap();
    let windows: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["type"] == "window")
        .collect();
    assert!(windows.len() >= WARM_UP + COMPARED, "{} windows", windows.len());
    let (first, second) = windows[WARM_UP..].split_at((windows.len() - WARM_UP) / 2);
    let (before, after) = (median_rss(first), median_rss(second));
    assert!(
        after <= before + NOISE,
        "{before} bytes in the first half, {after} in the second"
    );
}

/// What observer had in the middle one of these windows, bytes.
fn median_rss(windows: &[Value]) -> u64 {
    // What observing cost is told once a second, which can be twice in one window and not in the next.
    let costs = windows.iter().filter_map(|window| window.get("cost"));
    let mut rss: Vec<u64> = costs.map(|cost| laws::number(&cost["rss_bytes"])).collect();
    rss.sort_unstable();
    rss[rss.len() / 2]
}
