//! Every subject on the same server, in turn, round after round.

use anyhow::Result;

use super::figures::Round;
use super::load::Server;
use super::subject::{self, Tools};
use super::{Bench, CONNECTIONS, report};

pub(super) fn run(bench: &Bench, paths: &[String], subjects: &[String]) -> Result<()> {
    let tools = Tools::of(&bench.programs, bench.against.as_deref());
    let subjects = subject::chosen(subjects, &tools);
    for path in paths {
        // A server for each path: what the last one left in its memory is not the next one's.
        let server = Server::start(&bench.programs, 1)?;
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
        xtask::print(&report::pairs(path, &subjects, &measured))?;
    }
    Ok(())
}
