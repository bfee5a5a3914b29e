//! Placeholder.
use std::io::{self, Write};

use super::{Header, ProcessLine, Sink, Why};
use crate::request::Request;
use crate::summary::{End, Window};

/// Placeholder.
#[derive(Debug)]
pub struct Table<W: Write> {
    writer: W,
}

impl<W: Write> Table<W> {
    /// Placeholder.
    pub fn new(writer: W, _terminal: bool) -> Self {
        Self { writer }
    }
}

impl<W: Write> Sink for Table<W> {
    fn header(&mut self, _: &Header) -> io::Result<()> {
        Ok(())
    }
    fn request(&mut self, _: &Request, _: Why) -> io::Result<()> {
        Ok(())
    }
    fn window(&mut self, _: &Window) -> io::Result<()> {
        Ok(())
    }
    fn process(&mut self, _: &ProcessLine) -> io::Result<()> {
        Ok(())
    }
    fn end(&mut self, end: &End) -> io::Result<()> {
        writeln!(self.writer, "{end:?}")
    }
    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}
