//! `observer attach`: the live run.

use anyhow::{Result, bail};
use observer::output::Sink;
use observer::pipeline::Pipeline;
use observer::threads::SliceLimit;

use super::args::Attach;
use super::exit::Ending;
use super::recording::Recording;
use super::say::say;
use super::{hints, live, sinks, watching};

/// Runs the command.
pub(crate) fn run(arguments: &Attach) -> Result<Ending> {
    if arguments.record.is_some() && arguments.record == arguments.print.output {
        bail!("--record and --output name the same file");
    }
    let attached = live::attach(&arguments.watch, Some(&arguments.print))?;
    let mut outputs = sinks::queued(sinks::open(&arguments.print)?)?;
    let recording = arguments.record.clone();
    let recording = recording.map(|path| Recording::begin(path, &attached));
    let mut recording = recording.transpose()?;
    let requests: Vec<_> = outputs.iter().map(|output| output.requests).collect();
    let mut sinks: Vec<&mut dyn Sink> = outputs.iter_mut().map(|output| &mut *output.sink as _).collect();
    let mut pipeline = Pipeline::new(&attached.header, &requests, SliceLimit::default());
    pipeline.begin(&attached.header, &mut sinks)?;
    watching::say(&attached.header.targets, &arguments.print);
    let mut ending = Ending::Normal;
    let mut record = |pipeline: &mut Pipeline, write: &dyn Fn(&mut Recording) -> Result<()>| {
        if let Some(recording) = &mut recording {
            if let Err(error) = write(recording) {
                say(&format!("goes on without the recording: {error:#}"));
                ending = Ending::NotRecorded;
            }
            pipeline.not_recorded(recording.take_not_recorded());
        }
    };
    attached.run(|batch| {
        record(&mut pipeline, &|recording| recording.write(batch));
        pipeline.batch(batch, &mut sinks)?;
        hints::say(&pipeline.take_hints(), &arguments.print);
        Ok(())
    })?;
    record(&mut pipeline, &Recording::finish);
    let last = pipeline.finish(&mut sinks)?;
    hints::say(&last, &arguments.print);
    Ok(ending)
}
