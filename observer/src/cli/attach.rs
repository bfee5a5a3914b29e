//! `observer attach`: the live run.

use std::fs::File;
use std::io::BufWriter;
use std::ops::ControlFlow;

use anyhow::{Context as _, Result, bail};
use observer::pipeline::Pipeline;
use observer::source::recording::Writer;

use super::args::Attach;
use super::exit::Ending;
use super::{live, sinks};

/// Runs the command.
pub(crate) fn run(arguments: &Attach) -> Result<Ending> {
    if arguments.record.is_some() && arguments.record == arguments.print.output {
        bail!("--record and --output name the same file");
    }
    let options = sinks::options(&arguments.print, arguments.watch.ring_kib * 1024);
    let attached = live::attach(&arguments.watch, options)?;
    let mut sink = sinks::open(&arguments.print)?;
    let mut recording = match &arguments.record {
        Some(path) => {
            let file = File::create(path).with_context(|| format!("cannot write to {}", path.display()))?;
            Some(Writer::new(BufWriter::new(file), &attached.header)?)
        }
        None => None,
    };
    let mut pipeline = Pipeline::new(&attached.header);
    pipeline.begin(&attached.header, &mut *sink)?;
    attached.run(|batch| {
        if let Some(recording) = &mut recording {
            recording.write(batch).context("cannot write the recording")?;
        }
        pipeline.batch(batch, &mut *sink)?;
        Ok(if pipeline.targets_gone() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        })
    })?;
    if let Some(recording) = recording {
        recording.finish().context("cannot write the recording")?;
    }
    pipeline.finish(&mut *sink)?;
    Ok(Ending::Normal)
}
