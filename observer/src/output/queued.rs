//! An output on a thread of its own, behind a bounded queue.
//!
//! So one that is slow, because who reads it is, delays neither the drain nor the others. What finds no room in its
//! queue is not written, and that is counted in its `window` and `end` lines.
//!
//! Lines are handed on when the output is flushed, all at once: to wake a thread for each costs as much as a line.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use super::{Sink, Why};
use crate::losses::reason;
use crate::model::header::Header;
use crate::model::own_threads;
use crate::model::process::ProcessLine;
use crate::model::report::{End, Totals, Window};
use crate::model::request::Request;
use crate::model::runtime::RuntimeLine;

/// Requests that wait in a queue, at most.
const MAX_REQUESTS: usize = 4096;

/// Spans that their timelines have together, at most: some 16 MiB.
const MAX_SPANS: usize = 131_072;

/// Lines about processes that wait in a queue, at most: 4 MiB, but for names. A shell script forks thousands in a
/// second.
const MAX_PROCESSES: usize = 16_384;

const _: () = assert!(MAX_PROCESSES * size_of::<Item>() <= 4 << 20);

/// Other lines that wait in a queue, at most: `window` lines of a quarter of an hour.
const MAX_OTHERS: usize = 1024;

/// Lines that are handed on at once, at most.
const MAX_PENDING: usize = 256;

/// An output that is written by a thread of its own.
#[derive(Debug)]
pub struct Queued {
    /// None once it is closed.
    queue: Option<Sender<Vec<Item>>>,
    /// What came since the last flush.
    pending: Vec<Item>,
    writer: Option<JoinHandle<io::Result<()>>>,
    load: Arc<Load>,
    /// Lines that found no room since the last `window` line that did.
    in_window: u64,
    in_run: u64,
}

/// What is in a queue.
#[derive(Debug, Default)]
struct Load {
    requests: AtomicUsize,
    spans: AtomicUsize,
    processes: AtomicUsize,
    others: AtomicUsize,
}

#[derive(Debug)]
enum Item {
    Header(Box<Header>),
    Request(Arc<Request>, Why),
    Window(Box<Window>),
    Process(ProcessLine),
    Runtime(RuntimeLine),
    End(Box<End>),
}

impl Queued {
    /// Has a thread of its own write to `sink`.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(sink: Box<dyn Sink + Send>) -> io::Result<Self> {
        let (queue, items) = channel();
        let load = Arc::new(Load::default());
        let taken = Arc::clone(&load);
        let writer = thread::Builder::new()
            .name(own_threads::OUTPUT.to_owned())
            .spawn(move || write(sink, &items, &taken))?;
        Ok(Self {
            queue: Some(queue),
            pending: Vec::new(),
            writer: Some(writer),
            load,
            in_window: 0,
            in_run: 0,
        })
    }

    /// Takes an item, room or not.
    fn take(&mut self, item: Item) -> io::Result<()> {
        self.load.add(&item);
        self.pending.push(item);
        if self.pending.len() < MAX_PENDING {
            Ok(())
        } else {
            self.hand_on()
        }
    }

    /// Takes an item, or counts that there is no room for it.
    fn take_or_drop(&mut self, item: Item) -> io::Result<()> {
        if self.load.has_room(&item) {
            return self.take(item);
        }
        self.in_window += 1;
        self.in_run += 1;
        Ok(())
    }

    /// Hands on what was taken. Where the writer failed, this gives its error.
    fn hand_on(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return self.failure();
        }
        let pending = mem::take(&mut self.pending);
        match &self.queue {
            Some(queue) if queue.send(pending).is_ok() => Ok(()),
            _ => self.close(),
        }
    }

    /// The error of a writer that failed, which takes nothing from its queue any more.
    fn failure(&mut self) -> io::Result<()> {
        match &self.writer {
            Some(writer) if writer.is_finished() => self.close(),
            _ => Ok(()),
        }
    }

    /// Waits until everything is written. Gives how that ended.
    fn close(&mut self) -> io::Result<()> {
        self.queue = None;
        match self.writer.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(_)) => Err(io::Error::other("the thread that writes the output panicked")),
            None => Ok(()),
        }
    }
}

impl Sink for Queued {
    fn header(&mut self, header: &Header) -> io::Result<()> {
        self.take(Item::Header(Box::new(header.clone())))
    }

    fn request(&mut self, request: &Arc<Request>, why: Why) -> io::Result<()> {
        self.take_or_drop(Item::Request(Arc::clone(request), why))
    }

    fn window(&mut self, window: &Window) -> io::Result<()> {
        let mut window = Box::new(window.clone());
        not_written(&mut window.totals, self.in_window);
        not_written(&mut window.run, self.in_run);
        let before = self.in_run;
        self.take_or_drop(Item::Window(window))?;
        if self.in_run == before {
            self.in_window = 0;
        }
        Ok(())
    }

    fn process(&mut self, line: &ProcessLine) -> io::Result<()> {
        self.take_or_drop(Item::Process(line.clone()))
    }

    fn runtime(&mut self, line: &RuntimeLine) -> io::Result<()> {
        self.take_or_drop(Item::Runtime(line.clone()))
    }

    /// Waits until everything is written: nothing is drained any more that could be delayed.
    fn end(&mut self, end: &End) -> io::Result<()> {
        let mut end = Box::new(end.clone());
        not_written(&mut end.totals, self.in_run);
        self.take(Item::End(end))?;
        self.hand_on()?;
        self.close()
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hand_on()
    }
}

impl Drop for Queued {
    /// What is in the queue is written also where another output failed.
    fn drop(&mut self) {
        // Who asks for the end of the run has an error already.
        let _ = self.hand_on().and_then(|()| self.close());
    }
}

impl Load {
    /// The numbers that an item counts in, how much it is, and how much there may be.
    fn places(&self, item: &Item) -> [(&AtomicUsize, usize, usize); 2] {
        let no_spans = (&self.spans, 0, usize::MAX);
        match item {
            Item::Request(request, _) => [
                (&self.requests, 1, MAX_REQUESTS),
                (&self.spans, request.timeline.len(), MAX_SPANS),
            ],
            Item::Process(_) => [(&self.processes, 1, MAX_PROCESSES), no_spans],
            _ => [(&self.others, 1, MAX_OTHERS), no_spans],
        }
    }

    fn has_room(&self, item: &Item) -> bool {
        let has_room =
            |(number, _, most): (&AtomicUsize, usize, usize)| number.load(Ordering::Relaxed) < most;
        self.places(item).into_iter().all(has_room)
    }

    fn add(&self, item: &Item) {
        for (number, more, _) in self.places(item) {
            number.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn take(&self, item: &Item) {
        for (number, less, _) in self.places(item) {
            number.fetch_sub(less, Ordering::Relaxed);
        }
    }
}

/// Counts lines that were not written among what was lost.
fn not_written(totals: &mut Totals, lines: u64) {
    if lines > 0 {
        totals.lost.push((reason::OUTPUT_FULL, lines));
    }
}

/// Writes what is queued until the queue is closed.
fn write(mut sink: Box<dyn Sink + Send>, queue: &Receiver<Vec<Item>>, load: &Load) -> io::Result<()> {
    for items in queue {
        for item in items {
            load.take(&item);
            match item {
                Item::Header(header) => sink.header(&header)?,
                Item::Request(request, why) => sink.request(&request, why)?,
                Item::Window(window) => sink.window(&window)?,
                Item::Process(line) => sink.process(&line)?,
                Item::Runtime(line) => sink.runtime(&line)?,
                Item::End(end) => sink.end(&end)?,
            }
        }
        sink.flush()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::mpsc::{SyncSender, sync_channel};

    use super::super::{JsonLines, made_up};
    use super::*;

    /// Takes what is written when it is asked to, and not before.
    struct SlowSink {
        goes_on: Receiver<()>,
        written: Sender<Vec<u8>>,
    }

    impl Write for SlowSink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            // When nobody asks any more, it is not slow.
            let _ = self.goes_on.recv();
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// An output that nobody reads until the sender is dropped, and what it wrote then.
    fn slow() -> (Queued, SyncSender<()>, Receiver<Vec<u8>>) {
        let (reader, goes_on) = sync_channel(0);
        let (written, lines) = channel();
        let sink = JsonLines::new(SlowSink { goes_on, written });
        (Queued::start(Box::new(sink)).unwrap(), reader, lines)
    }

    fn lines(written: &Receiver<Vec<u8>>) -> Vec<serde_json::Value> {
        let bytes: Vec<u8> = written.try_iter().flatten().collect();
        let lines = bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty());
        lines.map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    #[test]
    fn a_slow_reader_holds_nobody_up_and_is_told_what_it_missed() {
        let (mut queued, reader, written) = slow();
        queued.header(&made_up::header()).unwrap();
        let request = Arc::new(made_up::blocked(1));
        let requests = 2 * MAX_REQUESTS as u64;
        for _ in 0..requests {
            queued.request(&request, Why::All).unwrap();
            queued.flush().unwrap();
        }
        queued.window(&made_up::window()).unwrap();
        drop(reader);
        queued.end(&made_up::end()).unwrap();
        let lines = lines(&written);
        let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count() as u64;
        assert!(
            (MAX_REQUESTS as u64..requests).contains(&of("request")),
            "{}",
            of("request")
        );
        let end = lines.last().unwrap();
        assert_eq!(end["type"], "end");
        assert_eq!(end["lost"]["output_full"], requests - of("request"));
        let window = &lines[lines.len() - 2];
        assert_eq!(window["lost"]["output_full"], requests - of("request"));
    }

    #[test]
    fn windows_that_find_no_room_are_counted_in_the_next_that_does() {
        let (mut queued, reader, written) = slow();
        queued.header(&made_up::header()).unwrap();
        let windows = MAX_OTHERS as u64 + 100;
        for _ in 0..windows {
            queued.window(&made_up::window()).unwrap();
        }
        drop(reader);
        queued.end(&made_up::end()).unwrap();
        let lines = lines(&written);
        let there = lines.iter().filter(|line| line["type"] == "window").count() as u64;
        assert!(there < windows);
        assert_eq!(lines.last().unwrap()["lost"]["output_full"], windows - there);
    }

    /// Takes nothing.
    struct FullSink;

    impl Write for FullSink {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_error_of_a_writer_reaches_whoever_hands_lines_on() {
        let mut queued = Queued::start(Box::new(JsonLines::new(FullSink))).unwrap();
        let mut result = queued.header(&made_up::header());
        while result.is_ok() {
            result = queued.flush();
        }
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::StorageFull);
        // It was reported, and there is nothing more to say.
        queued.end(&made_up::end()).unwrap();
    }
}
