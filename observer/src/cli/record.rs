//! `observer record`: raw events to a file.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;

use anyhow::{Context as _, Result};
use observer::event::Event;
use observer::model::header::{Options, Requests};
use observer::output::SAMPLE_ONE_IN;
use observer::source::recording::Writer;

use super::args::Record;
use super::exit::Ending;
use super::{live, sinks};

/// Runs the command.
pub(crate) fn run(arguments: &Record) -> Result<Ending> {
    let options = Options {
        requests: Requests::default(),
        sample_one_in: SAMPLE_ONE_IN,
        with_query: false,
        ring_bytes: u64::from(arguments.watch.ring_kib) * 1024,
        polls: arguments.watch.polls,
        sample_hz: arguments.watch.sample_hz,
    };
    let attached = live::attach(&arguments.watch, options)?;
    let failed = || sinks::cannot_write(&arguments.output);
    let file = File::create(&arguments.output).with_context(failed)?;
    let mut writer = Writer::new(BufWriter::new(file), &attached.header).with_context(failed)?;
    let mut targets: Vec<u32> = attached.header.targets.iter().map(|target| target.pid).collect();
    eprintln!(
        "observer: recording to {}; Ctrl-C ends it",
        arguments.output.display()
    );
    attached.run(|batch| {
        writer.write(batch).with_context(failed)?;
        for event in batch.events().flatten() {
            if let Event::Ended(event) = event {
                targets.retain(|pid| *pid != event.header.tid);
            }
        }
        Ok(if targets.is_empty() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    writer.finish().with_context(failed)?;
    Ok(Ending::Normal)
}
