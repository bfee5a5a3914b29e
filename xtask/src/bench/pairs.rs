//! Every subject on the same server, in turn, round after round.

use anyhow::Result;

use super::figures::Round;
use super::load::Server;
use super::subject::{self, Tools};
use super::{Bench, report};

/// A request that costs the server some microseconds, one of 100 us and one of 1 ms.
const PATHS: [&str; 3] = ["/ping", "/burn?us=100", "/burn?us=1000"];

const CONNECTIONS: u32 = 50;

pub(super) fn run(bench: &Bench, paths: &[String], subjects: &[String]) -> Result<()> {
    let tools = Tools::beside(&bench.observer);
    let subjects = subject::chosen(subjects);
    let default = PATHS.map(str::to_owned);
    for path in if paths.is_empty() { &default } else { paths } {
        // A server for each path: what the last one left in its memory is not the next one's.
        let server = Server::start(&bench.observer, 1)?;
        let mut measured: Vec<Vec<Round>> = subjects.iter().map(|_| Vec::new()).collect();
        for round in 1..=bench.rounds {
            for (subject, rounds) in subjects.iter().zip(&mut measured) {
                eprint!(
                    "\r{path}: round {round} of {}, {:<20}",
                    bench.rounds, subject.name
                );
                let running = subject.start(&tools, server.pid())?;
                rounds.push(bench.round(&server, path, CONNECTIONS, running.as_ref())?);
            }
        }
        eprintln!();
        println!("{}", report::pairs(path, &subjects, &measured));
    }
    Ok(())
}
