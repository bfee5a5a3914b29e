//! `observer record`: raw events to a file.

use std::io::BufWriter;

use anyhow::{Context as _, Result};
use observer::source::recording::Writer;

use super::args::Record;
use super::exit::Ending;
use super::say::say;
use super::{live, sinks};

/// Runs the command.
pub(crate) fn run(arguments: &Record) -> Result<Ending> {
    // Which requests are written is asked of the replay.
    let attached = live::attach(&arguments.watch, None)?;
    let failed = || sinks::cannot_write(&arguments.output);
    let file = sinks::recording(&arguments.output)?;
    let mut writer = Writer::new(BufWriter::new(file), &attached.header).with_context(failed)?;
    say(&format!(
        "recording to {}; Ctrl-C ends it",
        arguments.output.display()
    ));
    attached.run(|batch| writer.write(batch).with_context(failed))?;
    writer.finish().with_context(failed)?;
    Ok(Ending::Normal)
}
