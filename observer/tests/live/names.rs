//! Names that strangers choose, of processes and paths: nothing of them steers a terminal, in any output.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::observation::OBSERVER;
use crate::server::{Server, testbed};
use crate::{client, kernel};

#[test]
fn a_server_and_its_clients_cannot_steer_the_terminal() {
    let Some(_turn) = kernel::turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a\u{1b}[2J\u{9b}1mb");
    symlink(testbed("faulty-server"), &path).unwrap();
    let server = Server::start(&mut Command::new(&path));
    for (format, arguments) in [("jsonl", &["--with-query"][..]), ("table", &[])] {
        let mut command = Command::new(OBSERVER);
        command
            .args([
                "attach",
                "--requests",
                "all",
                "--duration",
                "500ms",
                "--format",
                format,
            ])
            .args(arguments)
            .args(["--pid", &server.pid().to_string()]);
        let observer = std::thread::spawn(move || crate::run::run(&mut command));
        while !observer.is_finished() {
            for hostile in [
                "GET /\u{9b}2J\u{202e} HTTP/1.1\r\nConnection: close\r\n\r\n",
                "GET /\u{1b}[31m HTTP/1.1\r\n\r\n",
            ] {
                let mut stream = client::connect(server.address);
                stream.write_all(hostile.as_bytes()).unwrap();
                // Refused or not: the bytes were read.
                let _ = stream.read(&mut [0; 1024]);
            }
        }
        let output = observer.join().unwrap();
        assert!(output.status.success());
        for written in [&output.stdout, &output.stderr] {
            let text = std::str::from_utf8(written).unwrap();
            let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
            assert!(!text.contains(steers), "{text:?}");
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let named = if format == "jsonl" {
            r"a\u001b[2J\u009b1mb"
        } else {
            r"a\u{1b}[2J\u{9b}1mb"
        };
        assert!(text.contains(named), "{text}");
        assert!(text.contains(r"/\u"), "the path is not there: {text}");
    }
}
