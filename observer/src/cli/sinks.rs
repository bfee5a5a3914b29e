//! Chooses the sink that the arguments and the terminal ask for.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal as _, Write};

use anyhow::{Context as _, Result};
use observer::output::{JsonLines, Options, SAMPLE_ONE_IN, Sink, Table};

use super::args::{Format, Print};

/// The options as the header carries them.
pub(crate) fn options(print: &Print, ring_bytes: u32) -> Options {
    Options {
        requests: print.requests,
        sample_one_in: SAMPLE_ONE_IN,
        with_query: print.with_query,
        ring_bytes: u64::from(ring_bytes),
    }
}

/// The sink for `print`.
pub(crate) fn open(print: &Print) -> Result<Box<dyn Sink>> {
    let terminal = print.output.is_none() && io::stdout().is_terminal();
    let writer: Box<dyn Write> = match &print.output {
        Some(path) => Box::new(File::create(path).with_context(|| format!("cannot write to {}", path.display()))?),
        None => Box::new(io::stdout()),
    };
    let writer = BufWriter::with_capacity(1 << 16, writer);
    Ok(match print.format.unwrap_or(if terminal { Format::Table } else { Format::Jsonl }) {
        Format::Jsonl => Box::new(JsonLines::new(writer)),
        Format::Table => Box::new(Table::new(writer, terminal)),
    })
}
