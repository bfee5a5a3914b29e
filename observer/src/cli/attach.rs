//! `observer attach`: the live run.

use std::path::Path;

use anyhow::{Result, bail};
use observer::output::Sink;
use observer::pipeline::Pipeline;
use observer::threads::SliceLimit;

use super::args::{Attach, Print};
use super::exit::{Ending, is_broken_pipe};
use super::recording::{self, Recording};
use super::say::say;
use super::{hints, live, sinks, watching};

/// Runs the command.
pub(crate) fn run(arguments: &Attach) -> Result<Ending> {
    if let Some(path) = &arguments.record {
        if arguments
            .print
            .output
            .as_ref()
            .is_some_and(|output| is_same(path, output))
        {
            bail!("--record and --output name the same file");
        }
        recording::require_free(path)?;
    }
    sinks::require_no_recording(&arguments.print)?;
    let attached = live::attach(&arguments.watch, Some(&arguments.print))?;
    let mut outputs = sinks::queued(sinks::open(&arguments.print)?)?;
    let recording = arguments.record.clone();
    let recording = recording.map(|path| Recording::begin(path, &attached));
    let mut recording = recording.transpose()?;
    let requests: Vec<_> = outputs.iter().map(|output| output.requests).collect();
    let mut sinks: Vec<&mut dyn Sink> = outputs.iter_mut().map(|output| &mut *output.sink as _).collect();
    let mut pipeline = Pipeline::new(&attached.header, &requests, SliceLimit::default());
    pipeline.begin(&attached.header, &mut sinks)?;
    watching::say(
        &attached.header.targets,
        arguments.watch.duration,
        &arguments.print,
    );
    let mut failure = None;
    let mut record = |pipeline: &mut Pipeline, write: &dyn Fn(&mut Recording) -> Result<()>| {
        if let Some(recording) = &mut recording {
            if let Err(error) = write(recording) {
                failure = Some(not_recorded(&error, &arguments.print));
            }
            pipeline.not_recorded(recording.take_not_recorded());
        }
    };
    let ran = attached.run(|batch| {
        record(&mut pipeline, &|recording| recording.write(batch));
        pipeline.batch(batch, &mut sinks)?;
        hints::say(&pipeline.take_hints(), &arguments.print);
        Ok(())
    });
    // Also where an output failed, or its reader went away: what was taken is written.
    record(&mut pipeline, &Recording::finish);
    let ran = ran.and_then(|()| {
        let last = pipeline.finish(&mut sinks)?;
        hints::say(&last, &arguments.print);
        Ok(())
    });
    let Some(unsaid) = failure else {
        return ran.map(|()| Ending::Normal);
    };
    unsaid.iter().for_each(|sentence| say(sentence));
    match ran {
        Err(error) if !is_broken_pipe(&error) => Err(error),
        _ => Ok(Ending::NotRecorded),
    }
}

/// Whether a file would be made in the same place by both names.
fn is_same(one: &Path, other: &Path) -> bool {
    let place = |path: &Path| {
        let path = Path::new(".").join(path);
        let directory = path.parent()?.canonicalize().ok()?;
        Some((directory, path.file_name()?.to_owned()))
    };
    one == other || place(one).is_some_and(|place_of_one| Some(place_of_one) == place(other))
}

/// Says that the recording has failed. Where a table is drawn over that, gives back what is to be said behind it.
fn not_recorded(error: &anyhow::Error, print: &Print) -> Option<String> {
    if sinks::hides_stderr(print) {
        return Some(format!("the recording broke off: {error:#}"));
    }
    say(&format!("goes on without the recording: {error:#}"));
    None
}
