//! JSON Lines: one object a line, as `docs/schema.md` describes them.
//!
//! Lines are handed on at the end of each window and when the caller asks. Writing a request borrows from
//! it and allocates nothing. It does not know which requests to write, nor who reads.

mod objects;
mod request_line;

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};
use std::sync::Arc;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

use self::request_line::RequestView;
use super::escape::is_unsafe;
use super::names::ProcessNames;
use super::{SCHEMA_VERSION, Sink, Why};
use crate::model::full::Table;
use crate::model::header::Header;
use crate::model::process::ProcessLine;
use crate::model::report::{End, Window};
use crate::model::request::Request;
use crate::model::runtime::RuntimeLine;

/// Holds about a hundred requests with their timelines: few system calls at full rate.
const BUFFER_BYTES: usize = 64 << 10;

/// Writes JSON Lines.
#[derive(Debug)]
pub struct JsonLines<W: Write> {
    writer: BufWriter<W>,
    /// One line, whose memory the next one uses again.
    line: Vec<u8>,
    unix_offset_ns: u64,
    with_query: bool,
    names: ProcessNames,
}

impl<W: Write> JsonLines<W> {
    /// Writes to `writer`, which needs no buffer of its own.
    pub fn new(writer: W) -> Self {
        Self {
            writer: BufWriter::with_capacity(BUFFER_BYTES, writer),
            line: Vec::new(),
            unix_offset_ns: 0,
            with_query: false,
            names: ProcessNames::default(),
        }
    }

    fn line<T: Serialize>(&mut self, kind: &'static str, body: &T) -> io::Result<()> {
        let line = JsonLine {
            v: SCHEMA_VERSION,
            kind,
            body,
        };
        put_line(&mut self.line, &line)?;
        self.writer.write_all(&self.line)
    }
}

/// What opens every line.
#[derive(Serialize)]
struct JsonLine<'a, T> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl<W: Write> Sink for JsonLines<W> {
    fn header(&mut self, header: &Header) -> io::Result<()> {
        self.unix_offset_ns = header.unix_offset_ns;
        self.with_query = header.options.with_query;
        self.names.begin(header);
        self.line("header", header)?;
        // A reader learns at once that it is connected to something.
        self.flush()
    }

    fn request(&mut self, request: &Arc<Request>, why: Why) -> io::Result<()> {
        let comm = self.names.of(request.figures.pid);
        let line = RequestView::new(request, why, comm, self.unix_offset_ns, self.with_query);
        put_line(&mut self.line, &line)?;
        self.writer.write_all(&self.line)
    }

    fn window(&mut self, window: &Window) -> io::Result<()> {
        let nameless = self.names.nameless_in_window();
        let mut window = Cow::Borrowed(window);
        if nameless > 0 {
            let count = (Table::ProcessNames.name(), nameless);
            window.to_mut().totals.full.push(count);
        }
        self.line("window", &*window)?;
        self.flush()
    }

    fn process(&mut self, line: &ProcessLine) -> io::Result<()> {
        self.names.learn(line);
        self.line("process", line)
    }

    fn runtime(&mut self, line: &RuntimeLine) -> io::Result<()> {
        self.line("runtime", line)
    }

    fn end(&mut self, end: &End) -> io::Result<()> {
        let nameless = self.names.nameless_in_run();
        let mut end = Cow::Borrowed(end);
        if nameless > 0 {
            let count = (Table::ProcessNames.name(), nameless);
            end.to_mut().totals.full.push(count);
        }
        self.line("end", &*end)?;
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Puts a line in place of the last one. Nearly all are ASCII, and a whole line is looked at once for what is not.
fn put_line<T: Serialize>(bytes: &mut Vec<u8>, line: &T) -> io::Result<()> {
    bytes.clear();
    line.serialize(&mut Serializer::new(&mut *bytes))?;
    let largest = bytes.iter().fold(0, |largest, &byte| largest.max(byte));
    if largest >= DELETE {
        bytes.clear();
        line.serialize(&mut Serializer::with_formatter(&mut *bytes, TerminalSafe))?;
    }
    bytes.push(b'\n');
    Ok(())
}

/// The control character of ASCII that JSON does not ask to be escaped. What is above it is no ASCII.
const DELETE: u8 = 0x7f;

/// Compact JSON that may be shown on a terminal as it is.
///
/// JSON itself asks for escapes below U+0020 only; lines are looked at with `cat` and `tail` all the same.
/// To a reader of JSON an escaped character is the same character.
struct TerminalSafe;

impl Formatter for TerminalSafe {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut clean_from = 0;
        for (at, c) in fragment.char_indices().filter(|&(_, c)| is_unsafe(c)) {
            writer.write_all(&fragment.as_bytes()[clean_from..at])?;
            for unit in c.encode_utf16(&mut [0; 2]) {
                write!(writer, "\\u{unit:04x}")?;
            }
            clean_from = at + c.len_utf8();
        }
        writer.write_all(&fragment.as_bytes()[clean_from..])
    }
}

#[cfg(test)]
mod tests {
    use super::super::made_up;
    use super::*;
    use crate::model::id::Pid;

    fn lines(write: impl FnOnce(&mut JsonLines<&mut Vec<u8>>)) -> Vec<String> {
        let mut bytes = Vec::new();
        let mut sink = JsonLines::new(&mut bytes);
        write(&mut sink);
        drop(sink);
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    fn request_line(request: &Request, with_query: bool) -> serde_json::Value {
        let lines = lines(|sink| {
            let mut header = made_up::header();
            header.options.with_query = with_query;
            sink.header(&header).unwrap();
            sink.request(&Arc::new(request.clone()), Why::Tail).unwrap();
        });
        serde_json::from_str(&lines[1]).unwrap()
    }

    #[test]
    fn every_line_opens_with_version_and_type() {
        let lines = lines(|sink| {
            sink.header(&made_up::header()).unwrap();
            sink.process(&made_up::process()).unwrap();
            sink.request(&Arc::new(made_up::blocked(1)), Why::Tail).unwrap();
            sink.window(&Window::default()).unwrap();
            sink.end(&End::default()).unwrap();
        });
        for (line, kind) in lines
            .iter()
            .zip(["header", "process", "request", "window", "end"])
        {
            assert!(
                line.starts_with(&format!(r#"{{"v":1,"type":"{kind}","#)),
                "{line}"
            );
        }
    }

    #[test]
    fn query_strings_are_dropped_unless_asked_for() {
        let mut request = made_up::blocked(1);
        let http = request.http.as_mut().unwrap();
        http.target = "/work?token=secret".into();
        http.target_cut = true;
        let culprit = request.timeline[0].culprit.as_mut().unwrap();
        culprit.request = Some("GET /blocking?token=secret".into());

        let line = request_line(&request, false);
        assert_eq!(line["http"]["path"], "/work");
        assert_eq!(
            line["http"].get("path_cut"),
            None,
            "only the query string was cut"
        );
        assert_eq!(line["timeline"][0]["culprit"]["request"], "GET /blocking");

        let line = request_line(&request, true);
        assert_eq!(line["http"]["path"], "/work?token=secret");
        assert_eq!(line["http"]["path_cut"], true);
        assert_eq!(
            line["timeline"][0]["culprit"]["request"],
            "GET /blocking?token=secret"
        );
    }

    #[test]
    fn what_strangers_say_survives_json_and_does_not_reach_a_terminal() {
        let hostile = "/\u{1b}[2J\u{9b}\u{7f}\u{202e}\"\\\n\u{e0001}日本";
        let mut request = made_up::blocked(1);
        request.http.as_mut().unwrap().target = hostile.into();
        let lines = lines(|sink| sink.request(&Arc::new(request.clone()), Why::All).unwrap());
        assert!(!lines[0].chars().any(is_unsafe));
        let value: serde_json::Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(value["http"]["path"], hostile);
    }

    #[test]
    fn requests_whose_process_had_its_name_forgotten_are_counted() {
        let lines = lines(|sink| {
            sink.header(&made_up::header()).unwrap();
            let ended = made_up::process();
            // The server's name goes first.
            for pid in [ended.pid].into_iter().chain((10_000..15_000).map(Pid)) {
                let line = ProcessLine { pid, ..ended.clone() };
                sink.process(&line).unwrap();
            }
            for _ in 0..2 {
                let request = Arc::new(made_up::blocked(1));
                sink.request(&request, Why::All).unwrap();
                sink.window(&Window::default()).unwrap();
            }
            sink.end(&End::default()).unwrap();
        });
        let counted = lines.iter().rev().filter_map(|line| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            line["full"]["process_names"].as_u64()
        });
        assert_eq!(counted.collect::<Vec<_>>(), [2, 1, 1]);
    }

    #[test]
    fn a_line_is_handed_on_with_its_window() {
        let mut bytes = Vec::new();
        let mut sink = JsonLines::new(&mut bytes);
        sink.request(&Arc::new(made_up::blocked(1)), Why::All).unwrap();
        assert!(sink.writer.get_ref().is_empty());
        sink.window(&Window::default()).unwrap();
        assert_eq!(
            sink.writer
                .get_ref()
                .iter()
                .filter(|&&byte| byte == b'\n')
                .count(),
            2
        );
    }

    #[test]
    fn a_reader_that_went_away_is_a_broken_pipe() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = JsonLines::new(Closed);
        let error = sink.header(&made_up::header()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
        // Also where serialization itself meets the closed pipe, with the buffer full.
        let error = (0..1_000)
            .find_map(|_| sink.request(&Arc::new(made_up::blocked(1)), Why::All).err())
            .unwrap();
        assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    }
}
