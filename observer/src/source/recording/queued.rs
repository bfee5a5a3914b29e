//! A recording that a thread of its own writes, behind a bounded queue.
//!
//! So a slow disk delays neither the drain nor the outputs, and one that takes nothing any more does not end them. What
//! finds no room in the queue is not recorded. That is counted, and the recording says when, as it does of what the
//! kernel half lost: a replay marks the requests of that time. Facts that hold for longer than their moment have more
//! room than all else, because what comes after a gap cannot be understood without them.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use anyhow::anyhow;

use super::Writer;
use crate::event::{self, Event, FactKind};
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

/// What is missing, and is not told in the recording yet: what found no room, and with it what was told to be lost
/// before, each by its reason.
#[derive(Debug, Default)]
struct Gap(BTreeMap<u32, Missing>);

/// So many events, all of them in this time.
#[derive(Debug)]
struct Missing {
    count: u64,
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
            return unwritten + batch.happened();
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
        let (mut facts, mut left_out) = (Batch::default(), 0);
        for (header, event) in batch.raw() {
            if has_room && event::lasts(header.kind) {
                facts.push(event);
            } else if let Ok((Event::Lost(lost), _)) = Event::read(event) {
                self.gap.add(lost.reason, lost.count, lost.from_ns, lost.to_ns);
            } else if !is(header.kind, FactKind::Tick) {
                left_out += 1;
                let reason = event::Lost::NOT_RECORDED;
                self.gap.add(reason, 1, header.at_ns, header.at_ns);
            }
        }
        if has_room {
            self.tell_gap();
            self.take(&facts);
        }
        left_out
    }

    /// Says what is missing, before whatever comes after it: a request of that time can end there.
    fn tell_gap(&mut self) {
        let mut told = Batch::default();
        for (reason, missing) in mem::take(&mut self.gap).0 {
            let Missing {
                count,
                from_ns,
                to_ns,
            } = missing;
            let lost = event::Lost::new(from_ns, count, from_ns, to_ns, reason);
            told.push(bytemuck::bytes_of(&lost));
        }
        self.take(&told);
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
        mem::take(&mut self.pending).happened()
    }
}

impl Drop for QueuedWriter {
    /// What is in the queue is written also where an output failed.
    fn drop(&mut self) {
        // Whoever wants to know what was not written has asked before.
        self.finish();
    }
}

impl Gap {
    fn add(&mut self, reason: u32, count: u64, from_ns: u64, to_ns: u64) {
        let missing = self.0.entry(reason).or_insert(Missing {
            count: 0,
            from_ns,
            to_ns,
        });
        missing.count += count;
        missing.from_ns = missing.from_ns.min(from_ns);
        missing.to_ns = missing.to_ns.max(to_ns);
    }
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
mod tests;
