//! `observer attach`: the live run.

use std::io::BufWriter;

use anyhow::{Context as _, Result, bail};
use observer::output::Sink;
use observer::pipeline::Pipeline;
use observer::source::recording::Writer;
use observer::threads::SliceLimit;

use super::args::Attach;
use super::exit::Ending;
use super::{begun, hints, live, sinks};

/// Runs the command.
pub(crate) fn run(arguments: &Attach) -> Result<Ending> {
    if arguments.record.is_some() && arguments.record == arguments.print.output {
        bail!("--record and --output name the same file");
    }
    let attached = live::attach(&arguments.watch, Some(&arguments.print))?;
    let mut outputs = sinks::queued(sinks::open(&arguments.print)?)?;
    let mut recording = match &arguments.record {
        Some(path) => {
            let writer = Writer::new(BufWriter::new(sinks::recording(path)?), &attached.header);
            Some((writer.with_context(|| sinks::cannot_write(path))?, path))
        }
        None => None,
    };
    let requests: Vec<_> = outputs.iter().map(|output| output.requests).collect();
    let mut sinks: Vec<&mut dyn Sink> = outputs.iter_mut().map(|output| &mut *output.sink as _).collect();
    let mut pipeline = Pipeline::new(&attached.header, &requests, SliceLimit::default());
    pipeline.begin(&attached.header, &mut sinks)?;
    begun::say(&attached.header.targets, &arguments.print);
    attached.run(|batch| {
        if let Some((writer, path)) = &mut recording {
            writer.write(batch).with_context(|| sinks::cannot_write(path))?;
        }
        pipeline.batch(batch, &mut sinks)?;
        hints::say(&pipeline.take_hints(), &arguments.print);
        Ok(())
    })?;
    if let Some((writer, path)) = recording {
        writer.finish().with_context(|| sinks::cannot_write(path))?;
    }
    let last = pipeline.finish(&mut sinks)?;
    hints::say(&last, &arguments.print);
    Ok(Ending::Normal)
}
