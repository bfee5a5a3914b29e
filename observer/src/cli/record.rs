//! `observer record`: raw events to a file.

use anyhow::Result;

use super::args::Record;
use super::exit::Ending;
use super::live;
use super::recording::{self, Recording};
use super::say::{say, until};

/// Runs the command.
pub(crate) fn run(arguments: &Record) -> Result<Ending> {
    recording::require_free(&arguments.output)?;
    // Which requests are written is asked of the replay.
    let attached = live::attach(&arguments.watch, None)?;
    let mut recording = Recording::begin(arguments.output.clone(), &attached)?;
    let path = arguments.output.display();
    say(&format!("recording to {path}{}", until(arguments.watch.duration)));
    let mut taken = 0;
    attached.run(|batch| {
        taken += batch.happened();
        recording.write(batch)
    })?;
    recording.finish()?;
    let missing = recording.take_not_recorded();
    if missing > 0 {
        say(&format!(
            "{missing} events are not in {path}: it was written more slowly than they came"
        ));
    }
    if let Some(summary) = recording.summary(taken.saturating_sub(missing)) {
        say(&summary);
    }
    Ok(Ending::Normal)
}
