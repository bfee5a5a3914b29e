//! Chooses the sink that the arguments and the terminal ask for.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result};
use observer::output::table::{Size, Style};
use observer::output::{JsonLines, Sink, Table};
use terminal_size::{Height, Width};

use super::args::{Format, Print};

/// Room for a table where no terminal tells: wide enough for most waits in words.
const ELSEWHERE: Size = Size {
    width: 120,
    height: 24,
};

/// What to say when the output takes no more.
pub(crate) fn failed(print: &Print) -> String {
    match &print.output {
        Some(path) => cannot_write(path),
        None => "cannot write to standard output".to_owned(),
    }
}

/// What to say when a file takes no more, or nothing at all.
pub(crate) fn cannot_write(path: &Path) -> String {
    format!("cannot write to {}", path.display())
}

/// Whether the output is a table on a terminal.
pub(crate) fn is_drawn(print: &Print) -> bool {
    is_terminal(print) && print.format != Some(Format::Jsonl)
}

fn is_terminal(print: &Print) -> bool {
    print.output.is_none() && io::stdout().is_terminal()
}

/// The sink for `print`.
pub(crate) fn open(print: &Print) -> Result<Box<dyn Sink>> {
    let terminal = is_terminal(print);
    let writer: Box<dyn Write> = match &print.output {
        Some(path) => Box::new(File::create(path).with_context(|| cannot_write(path))?),
        None => Box::new(io::stdout()),
    };
    Ok(
        match print
            .format
            .unwrap_or(if terminal { Format::Table } else { Format::Jsonl })
        {
            Format::Jsonl => Box::new(JsonLines::new(writer)),
            Format::Table if terminal => Box::new(Table::new(writer, on_terminal()).with_size(size)),
            Format::Table => Box::new(Table::new(
                writer,
                Style {
                    terminal: false,
                    colour: false,
                    size: ELSEWHERE,
                },
            )),
        },
    )
}

/// How a table may look on the terminal that is the standard output.
fn on_terminal() -> Style {
    let can_be_steered = env::var_os("TERM").is_none_or(|term| term != "dumb");
    // <https://no-color.org>: set and not empty.
    let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style {
        terminal: can_be_steered,
        colour: can_be_steered && !no_colour,
        size: size().unwrap_or(ELSEWHERE),
    }
}

/// The size of the terminal now. One that was never told its size says 0.
fn size() -> Option<Size> {
    let (Width(width), Height(height)) = terminal_size::terminal_size_of(io::stdout())?;
    (width > 0 && height > 0).then_some(Size {
        width: width.into(),
        height: height.into(),
    })
}
