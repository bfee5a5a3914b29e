//! `observer replay`: the same pipeline, from a file, without privileges.

use std::fs::File;

use anyhow::{Context as _, Result};
use observer::model::header::Options;
use observer::output::{SAMPLE_ONE_IN, Sink};
use observer::pipeline::Pipeline;
use observer::source::recording::Reader;
use observer::source::{Batch, Source as _, Status};
use observer::threads::SliceLimit;

use super::args::Replay;
use super::exit::Ending;
use super::say::say;
use super::{hints, sinks};

/// Runs the command.
pub(crate) fn run(arguments: &Replay) -> Result<Ending> {
    let path = arguments.file.display();
    let file = File::open(&arguments.file).with_context(|| format!("cannot open {path}"))?;
    let (mut source, mut header) = Reader::open(file).with_context(|| format!("cannot replay {path}"))?;
    header.replay = true;
    header.options = Options {
        requests: arguments.print.requests,
        sample_one_in: SAMPLE_ONE_IN,
        with_query: arguments.print.with_query,
        apart: arguments.print.apart,
        ..header.options
    };

    let mut outputs = sinks::open(&arguments.print)?;
    let requests: Vec<_> = outputs.iter().map(|output| output.requests).collect();
    let mut sinks: Vec<&mut dyn Sink> = outputs.iter_mut().map(|output| &mut *output.sink as _).collect();
    let mut pipeline = Pipeline::new(&header, &requests, SliceLimit::default());
    pipeline.begin(&header, &mut sinks)?;
    let mut batch = Batch::default();
    let ending = loop {
        let status = source.next(&mut batch)?;
        pipeline.batch(&batch, &mut sinks)?;
        hints::say(&pipeline.take_hints(), &arguments.print);
        match status {
            Status::More => {}
            Status::End => break Ending::Normal,
            Status::Truncated => {
                say(&format!("{path} breaks off; what it holds up to there follows"));
                pipeline.breaks_off();
                break Ending::Truncated;
            }
        }
    };
    let last = pipeline.finish(&mut sinks)?;
    hints::say(&last, &arguments.print);
    Ok(ending)
}
