//! A recording that a thread of its own writes, behind a bounded queue.
//!
//! So a slow disk delays neither the drain nor the outputs, and one that takes nothing any more does not end them. What
//! finds no room in the queue is not recorded. That is counted, and the recording says when, as it does of what the
//! kernel half lost: a replay marks the requests of that time. Facts have more room than records of which there are
//! thousands in a second, because what comes after a gap cannot be understood without them.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use anyhow::anyhow;

use super::Writer;
use crate::event::{self, FactKind};
use crate::model::header::Header;
use crate::model::own_threads;
use crate::source::Batch;

/// What is handed on at once, bytes, at least: to wake the thread for the few events of an idle server costs more than
/// to write them.
const HANDED_ON: usize = 8 << 10;

/// Writes a recording by a thread of its own.
#[derive(Debug)]
pub struct QueuedWriter {
    /// None once it is closed.
    queue: Option<Sender<Batch>>,
    /// What is not handed on yet.
    pending: Batch,
    writer: Option<JoinHandle<Result<(), Broken>>>,
    /// Bytes that were taken and are not written.
    waiting: Arc<AtomicUsize>,
    /// What may wait, bytes; of facts a quarter more.
    room: usize,
    gap: Gap,
    failure: Option<anyhow::Error>,
}

/// How writing broke off.
#[derive(Debug)]
struct Broken {
    error: anyhow::Error,
    /// What was written last, the whole of it or a part.
    batch: Batch,
    queue: Receiver<Batch>,
}

/// What is missing, and is not told in the recording yet.
#[derive(Debug, Default)]
struct Gap {
    events: u64,
    from_ns: u64,
    to_ns: u64,
}

impl QueuedWriter {
    /// Begins a recording, of which so many bytes may wait to be written. The batch that reaches that is taken whole.
    ///
    /// # Errors
    /// When no thread can be started.
    pub fn start(writer: impl Write + Send + 'static, header: Header, room: usize) -> io::Result<Self> {
        let (queue, batches) = channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let waiting_there = Arc::clone(&waiting);
        let writer = thread::Builder::new()
            .name(own_threads::RECORDING.to_owned())
            .spawn(move || write(writer, &header, batches, &waiting_there))?;
        Ok(Self {
            queue: Some(queue),
            pending: Batch::default(),
            writer: Some(writer),
            waiting,
            room,
            gap: Gap::default(),
            failure: None,
        })
    }

    /// Takes a batch, the last of which ends the stream. Gives how many events were found not to be recorded, of this
    /// batch or of earlier ones.
    pub fn write(&mut self, batch: &Batch) -> u64 {
        let unwritten = if self.writer.as_ref().is_some_and(JoinHandle::is_finished) {
            self.close()
        } else {
            0
        };
        if self.queue.is_none() {
            return unwritten + count(batch);
        }
        if self.waiting.load(Ordering::Relaxed) < self.room {
            self.tell_gap();
            self.take(batch);
            unwritten
        } else {
            unwritten + self.take_facts(batch)
        }
    }

    /// Waits until everything is written: nothing is drained any more that could be delayed. Gives what
    /// [`Self::write`] does.
    pub fn finish(&mut self) -> u64 {
        self.hand_on();
        self.close()
    }

    /// Why nothing is recorded any more. Told once.
    pub fn take_failure(&mut self) -> Option<anyhow::Error> {
        self.failure.take()
    }

    /// Takes of a batch what there is room for. Gives how many events were left out.
    fn take_facts(&mut self, batch: &Batch) -> u64 {
        let is = |kind: u16, fact| FactKind::from_u16(kind) == Some(fact);
        let is_last = || batch.raw().any(|(header, _)| is(header.kind, FactKind::End));
        let has_room = self.waiting.load(Ordering::Relaxed) < self.room + self.room / 4 || is_last();
        let (mut facts, before) = (Batch::default(), self.gap.events);
        for (header, event) in batch.raw() {
            if has_room && event::lasts(header.kind) {
                facts.push(event);
            } else if !is(header.kind, FactKind::Tick) {
                self.gap.add(header.at_ns);
            }
        }
        let left_out = self.gap.events - before;
        if has_room {
            self.tell_gap();
            self.take(&facts);
        }
        left_out
    }

    /// Says what is missing, before whatever comes after it: a request of that time can end there.
    fn tell_gap(&mut self) {
        let Gap {
            events,
            from_ns,
            to_ns,
        } = mem::take(&mut self.gap);
        if events > 0 {
            let mut told = Batch::default();
            let reason = event::Lost::NOT_RECORDED;
            let lost = event::Lost::new(from_ns, events, from_ns, to_ns, reason);
            told.push(bytemuck::bytes_of(&lost));
            self.take(&told);
        }
    }

    /// Takes all of this, room or not.
    fn take(&mut self, batch: &Batch) {
        self.waiting.fetch_add(batch.bytes().len(), Ordering::Relaxed);
        self.pending.append(batch);
        if self.pending.bytes().len() >= HANDED_ON {
            self.hand_on();
        }
    }

    /// Hands on what was taken. Where the writer failed it is kept, to be counted.
    fn hand_on(&mut self) {
        if let Some(queue) = &self.queue
            && let Err(back) = queue.send(mem::take(&mut self.pending))
        {
            self.pending = back.0;
        }
    }

    /// Waits for the end of the thread. Gives how many events it did not write.
    fn close(&mut self) -> u64 {
        self.queue = None;
        match self.writer.take().map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => return 0,
            Some(Ok(Err(Broken { error, batch, queue }))) => {
                self.failure = Some(error);
                let left = [batch].into_iter().chain(queue);
                left.for_each(|batch| self.pending.append(&batch));
            }
            Some(Err(_)) => self.failure = Some(anyhow!("the thread that writes the recording panicked")),
        }
        count(&mem::take(&mut self.pending))
    }
}

impl Drop for QueuedWriter {
    /// What is in the queue is written also where an output failed.
    fn drop(&mut self) {
        // Who asks for the end of the run has an error already.
        self.finish();
    }
}

impl Gap {
    fn add(&mut self, at_ns: u64) {
        if self.events == 0 {
            (self.from_ns, self.to_ns) = (at_ns, at_ns);
        }
        self.events += 1;
        self.from_ns = self.from_ns.min(at_ns);
        self.to_ns = self.to_ns.max(at_ns);
    }
}

/// The events of a batch, but for the ticks, which say nothing of what happened, and for what tells of losses, which
/// were counted.
fn count(batch: &Batch) -> u64 {
    let happened = |kind| !matches!(FactKind::from_u16(kind), Some(FactKind::Tick | FactKind::Lost));
    let events = batch.raw().filter(|(header, _)| happened(header.kind));
    events.count() as u64
}

/// Writes what is queued until the queue is closed.
fn write(
    writer: impl Write,
    header: &Header,
    queue: Receiver<Batch>,
    waiting: &AtomicUsize,
) -> Result<(), Broken> {
    let mut batch = Batch::default();
    let write = || -> anyhow::Result<()> {
        let mut writer = Writer::new(writer, header)?;
        while let Ok(next) = queue.recv() {
            batch = next;
            writer.write(&batch)?;
            waiting.fetch_sub(batch.bytes().len(), Ordering::Relaxed);
            batch = Batch::default();
        }
        writer.finish()?;
        Ok(())
    };
    let written = write();
    written.map_err(|error| Broken { error, batch, queue })
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use super::super::tests::header;
    use super::super::{MAGIC, Reader};
    use super::*;
    use crate::event::{End, Event, Lost, Port, Sample, Tick};
    use crate::model::id::Pid;
    use crate::source::{Source as _, Status};

    /// A disk that writes when the sender of this is dropped and not before, and then so many bytes.
    struct Disk {
        goes_on: Receiver<()>,
        free: usize,
        written: Sender<Vec<u8>>,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.goes_on.recv();
            let bytes = &bytes[..bytes.len().min(self.free)];
            if bytes.is_empty() {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.free -= bytes.len();
            self.written.send(bytes.to_vec()).unwrap();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Recorded {
        writer: QueuedWriter,
        /// The disk waits for the end of this.
        pause: Sender<()>,
        written: Receiver<Vec<u8>>,
    }

    const ROOM: usize = 4 * HANDED_ON;

    fn recorded(free: usize) -> Recorded {
        let (pause, goes_on) = channel();
        let (written, bytes) = channel();
        let disk = Disk {
            goes_on,
            free,
            written,
        };
        Recorded {
            writer: QueuedWriter::start(disk, header(), ROOM).unwrap(),
            pause,
            written: bytes,
        }
    }

    /// A drain that brings a sample and a port for each time.
    fn drain(times: Range<u64>) -> Batch {
        let mut batch = Batch::default();
        let end_ns = times.end;
        for at_ns in times {
            let mut sample: Sample = bytemuck::Zeroable::zeroed();
            sample.header = Lost::new(at_ns, 0, 0, 0, 0).header;
            sample.header.kind = FactKind::Sample as u16;
            batch.push(bytemuck::bytes_of(&sample));
            batch.push(bytemuck::bytes_of(&Port::new(at_ns, Pid(1), 2)));
        }
        batch.push(bytemuck::bytes_of(&Tick::new(end_ns)));
        batch
    }

    fn last(at_ns: u64) -> Batch {
        let mut batch = drain(at_ns..at_ns + 1);
        batch.push(bytemuck::bytes_of(&End::new(at_ns + 1)));
        batch
    }

    /// Times of samples, of ports, what is told to be missing, and how it ends.
    fn replayed(written: &Receiver<Vec<u8>>) -> (Vec<u64>, Vec<u64>, Vec<Lost>, Status) {
        let bytes: Vec<u8> = written.try_iter().flatten().collect();
        assert!(bytes.starts_with(MAGIC));
        let (mut reader, _) = Reader::open(&bytes[..]).unwrap();
        let (mut samples, mut ports, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
        let mut batch = Batch::default();
        loop {
            let status = reader.next(&mut batch).unwrap();
            for event in batch.events() {
                match event.unwrap() {
                    Event::Sample(sample) => samples.push(sample.header.at_ns),
                    Event::Port(port) => ports.push(port.header.at_ns),
                    Event::Lost(lost) => gaps.push(*lost),
                    _ => {}
                }
            }
            if status != Status::More {
                return (samples, ports, gaps, status);
            }
        }
    }

    #[test]
    fn a_slow_disk_holds_nobody_up_and_the_recording_says_what_is_missing_and_when() {
        let Recorded {
            mut writer,
            pause,
            written,
        } = recorded(usize::MAX);
        let mut missing = 0;
        let drains = 0..200;
        for nth in drains.clone() {
            missing += writer.write(&drain(nth * 10..nth * 10 + 10));
            let most = ROOM + ROOM / 4 + drain(0..10).bytes().len() + size_of::<Lost>();
            assert!(writer.waiting.load(Ordering::Relaxed) <= most);
        }
        missing += writer.write(&last(drains.end * 10));
        drop(pause);
        missing += writer.finish();
        assert!(writer.take_failure().is_none());

        let (samples, ports, gaps, status) = replayed(&written);
        assert_eq!(status, Status::End);
        let events = 2 * (drains.end * 10 + 1);
        assert_eq!((samples.len() + ports.len()) as u64 + missing, events);
        assert_eq!(gaps.iter().map(|gap| gap.count).sum::<u64>(), missing);
        assert!(gaps.iter().all(|gap| gap.reason == Lost::NOT_RECORDED));
        let is_told = |at_ns| gaps.iter().any(|gap| (gap.from_ns..=gap.to_ns).contains(&at_ns));
        for at_ns in 0..=drains.end * 10 {
            assert_ne!(samples.contains(&at_ns), is_told(at_ns), "{at_ns}");
            assert!(ports.contains(&at_ns) || is_told(at_ns), "{at_ns}");
        }
        assert!(
            ports.len() > samples.len(),
            "{} and {}",
            ports.len(),
            samples.len()
        );
    }

    #[test]
    fn what_a_full_disk_does_not_take_is_counted_and_its_error_told_once() {
        let Recorded {
            mut writer,
            pause,
            written,
        } = recorded(8 << 10);
        drop(pause);
        let (mut missing, mut failures) = (0, 0);
        for nth in 0..1000 {
            missing += writer.write(&drain(nth * 10..nth * 10 + 10));
            failures += usize::from(writer.take_failure().is_some());
        }
        missing += writer.finish();
        failures += usize::from(writer.take_failure().is_some());
        assert_eq!(failures, 1);
        let (samples, ports, _, status) = replayed(&written);
        assert_eq!(status, Status::Truncated);
        // Of what was written last a part may be there.
        let recorded = samples.len() + ports.len();
        assert!(
            (20_000 - recorded as u64..=20_000).contains(&missing),
            "{missing} and {recorded}"
        );
    }

    #[test]
    fn what_was_taken_is_written_also_where_nobody_asks_for_the_end() {
        let Recorded {
            mut writer,
            pause,
            written,
        } = recorded(usize::MAX);
        drop(pause);
        assert_eq!(writer.write(&drain(0..10)), 0);
        drop(writer);
        let (samples, _, _, status) = replayed(&written);
        assert_eq!((samples.len(), status), (10, Status::Truncated));
    }
}
