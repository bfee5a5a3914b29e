//! Chooses the outputs that the arguments and the terminal ask for.

use std::env;
use std::fs::File;
use std::io::{self, IsTerminal as _, Read as _, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use observer::model::header::Requests;
use observer::output::table::{Size, Style};
use observer::output::{JsonLines, Queued, Sink, TableSink};
use observer::source::recording::MAGIC;
use terminal_size::{Height, Width};

use super::args::{Format, Print};

/// Room for a table on a terminal that does not tell its size: wide enough for most waits in words.
const NOT_TOLD: Size = Size {
    width: 120,
    height: 24,
};

/// Room where no terminal is: whoever reads on there gets every line whole.
const ELSEWHERE: Size = Size {
    width: usize::MAX,
    height: usize::MAX,
};

/// What to say when a file takes no more, or nothing at all.
pub(crate) fn cannot_write(path: &Path) -> String {
    format!("cannot write to {}", path.display())
}

/// Whether there is a table on the terminal, the next picture of which would be drawn over what standard error says.
pub(crate) fn hides_stderr(print: &Print) -> bool {
    let is_drawn =
        io::stdout().is_terminal() && (print.output.is_some() || print.format != Some(Format::Jsonl));
    is_drawn && io::stderr().is_terminal()
}

/// Makes sure that the output overwrites no recording.
///
/// # Errors
/// When its file is one.
pub(crate) fn require_no_recording(print: &Print) -> Result<()> {
    match &print.output {
        Some(path) if is_recording(path) => bail!(
            "{} is a recording, and nothing overwrites one: give another file with --output",
            path.display()
        ),
        _ => Ok(()),
    }
}

/// Whether a file begins as a recording does. A pipe is none: to look at it would take what is in it.
fn is_recording(path: &Path) -> bool {
    let mut begin = [0; MAGIC.len()];
    let read = |mut file: File| file.read_exact(&mut begin);
    path.is_file() && File::open(path).and_then(read).is_ok() && begin == *MAGIC
}

/// An output, and which requests it gets.
pub(crate) struct Output {
    pub(crate) requests: Requests,
    pub(crate) sink: Box<dyn Sink + Send>,
}

/// The outputs for `print`: what was asked for goes to the file, if there is one, and a terminal has its table beside
/// it.
pub(crate) fn open(print: &Print) -> Result<Vec<Output>> {
    let is_terminal = io::stdout().is_terminal();
    let format = |default| print.format.unwrap_or(default);
    let table_on_terminal = || -> Box<dyn Sink + Send> {
        Box::new(TableSink::new(standard_output(), on_terminal()).with_size(size))
    };
    let mut outputs = Vec::new();
    if let Some(path) = &print.output {
        require_no_recording(print)?;
        let file = File::create(path).with_context(|| cannot_write(path))?;
        let file = NamedWriter::new(path.display().to_string(), Box::new(file));
        outputs.push(Output {
            requests: print.requests,
            sink: elsewhere(format(Format::Jsonl), file),
        });
        if is_terminal {
            outputs.push(Output {
                requests: Requests::Tail,
                sink: table_on_terminal(),
            });
        }
        return Ok(outputs);
    }
    let sink = match format(if is_terminal { Format::Table } else { Format::Jsonl }) {
        Format::Table if is_terminal => table_on_terminal(),
        format => elsewhere(format, standard_output()),
    };
    let requests = print.requests;
    outputs.push(Output { requests, sink });
    Ok(outputs)
}

/// The same outputs, each on a thread of its own.
pub(crate) fn queued(outputs: Vec<Output>) -> Result<Vec<Output>> {
    let queue = |Output { requests, sink }| {
        let queued = Queued::start(sink).context("cannot start a thread for the output")?;
        let sink = Box::new(queued);
        anyhow::Ok(Output { requests, sink })
    };
    outputs.into_iter().map(queue).collect()
}

/// A form that is written where no terminal is.
fn elsewhere(format: Format, writer: NamedWriter) -> Box<dyn Sink + Send> {
    let style = Style {
        terminal: false,
        colour: false,
        size: ELSEWHERE,
    };
    match format {
        Format::Jsonl => Box::new(JsonLines::new(writer)),
        Format::Table => Box::new(TableSink::new(writer, style)),
    }
}

/// Standard output, whose errors say so.
pub(crate) fn standard_output() -> NamedWriter {
    NamedWriter::new("standard output".to_owned(), Box::new(io::stdout()))
}

/// A writer whose errors say what could not be written to.
pub(crate) struct NamedWriter {
    name: String,
    writer: Box<dyn Write + Send>,
}

impl NamedWriter {
    fn new(name: String, writer: Box<dyn Write + Send>) -> Self {
        Self { name, writer }
    }

    fn name<T>(&self, result: io::Result<T>) -> io::Result<T> {
        result
            .map_err(|error| io::Error::new(error.kind(), format!("cannot write to {}: {error}", self.name)))
    }
}

impl Write for NamedWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.writer.write(bytes);
        self.name(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.writer.flush();
        self.name(flushed)
    }
}

/// How a table may look on the terminal that is the standard output.
fn on_terminal() -> Style {
    let can_be_steered = env::var_os("TERM").is_none_or(|term| term != "dumb");
    // <https://no-color.org>: set and not empty.
    let no_colour = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    Style {
        terminal: can_be_steered,
        colour: can_be_steered && !no_colour,
        size: size().unwrap_or(NOT_TOLD),
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
