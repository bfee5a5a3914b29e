//! Prints each poll in a recording that was made with `--polls`, one JSON object a line: what `cargo xtask lab --polls`
//! holds against the truth. Observer itself tells totals, and the longest.

use std::fs::File;
use std::io::{BufWriter, Write as _, stdout};
use std::path::PathBuf;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use clap::Parser as _;
use observer::event::Event;
use observer::model::id::{Pid, Task, TaskId, Tid};
use observer::model::poll::Poll;
use observer::runtime::tokio::polls::Polls;
use observer::source::recording::Reader;
use observer::source::{Batch, Source as _, Status};
use serde::Serialize;

/// Print each poll in a recording
#[derive(clap::Parser)]
struct Arguments {
    /// A recording that was made with --polls
    file: PathBuf,
}

/// A poll. Times are of `CLOCK_MONOTONIC`.
#[derive(Serialize)]
struct Line {
    task: Option<TaskId>,
    tid: Tid,
    start_ns: u64,
    dur_ns: u64,
    queued_for_ns: Option<u64>,
}

fn main() -> Result<()> {
    let Arguments { file } = Arguments::parse();
    let shown = file.display();
    let opened = File::open(&file).with_context(|| format!("cannot open {shown}"))?;
    let (mut source, header) = Reader::open(opened).with_context(|| format!("cannot read {shown}"))?;
    ensure!(
        header.options.polls,
        "{shown} has no polls: record it with --polls"
    );
    let (mut batch, mut polls) = (Batch::default(), Polls::default());
    let mut out = BufWriter::new(stdout().lock());
    loop {
        let status = source.next(&mut batch)?;
        for event in batch.events() {
            let event = event.map_err(|malformed| anyhow!("{shown} is damaged: {malformed:?}"))?;
            if let Some(poll) = ended(&event, &mut polls) {
                serde_json::to_writer(&mut out, &line(&poll))?;
                out.write_all(b"\n")?;
            }
        }
        match status {
            Status::More => {}
            Status::End => return Ok(out.flush()?),
            Status::Truncated => bail!("{shown} was cut off"),
        }
    }
}

/// The poll that ends with an event.
fn ended(event: &Event<'_>, polls: &mut Polls) -> Option<Poll> {
    match event {
        Event::PollStart(event) => {
            polls.started(event);
        }
        Event::PollEnd(event) => return polls.ended(event),
        Event::Receive(event, _) => {
            polls.seen_in(Tid(event.header.tid), Pid(event.tgid), Task::new(event.task));
        }
        Event::Send(event, _) => {
            polls.seen_in(Tid(event.header.tid), Pid(event.tgid), Task::new(event.task));
        }
        _ => {}
    }
    None
}

fn line(poll: &Poll) -> Line {
    Line {
        task: poll.task.id(),
        tid: poll.tid,
        start_ns: poll.start_ns,
        dur_ns: poll.dur_ns,
        queued_for_ns: poll.queued_for_ns,
    }
}
