//! What a slow disk and a full one leave of a recording.

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
fn what_tells_of_a_loss_and_finds_no_room_is_told_with_its_time_and_its_reason_later() {
    const RING_FULL: u32 = 1;
    let Recorded {
        mut writer,
        pause,
        written,
    } = recorded(usize::MAX);
    let mut nth = 0;
    while writer.waiting.load(Ordering::Relaxed) < ROOM + ROOM / 4 {
        writer.write(&drain(nth * 10..nth * 10 + 10));
        nth += 1;
    }
    let at_ns = nth * 10;
    let lost = |from_ns, count| Lost::new(at_ns, count, from_ns, from_ns + 50, RING_FULL);
    let mut batch = Batch::default();
    batch.push(bytemuck::bytes_of(&lost(at_ns, 5000)));
    batch.push(bytemuck::bytes_of(&lost(at_ns - 5, 7)));
    assert_eq!(writer.write(&batch), 0, "it was counted");
    assert_eq!(writer.write(&drain(at_ns..at_ns + 1)), 2);
    writer.write(&last(at_ns + 100));
    drop(pause);
    writer.finish();

    let (_, _, gaps, status) = replayed(&written);
    assert_eq!(status, Status::End);
    let told = |gap: &&Lost| gap.reason == RING_FULL;
    let told: Vec<_> = gaps.iter().filter(told).collect();
    let [lost] = told[..] else { panic!("{gaps:?}") };
    assert_eq!(
        (lost.count, lost.from_ns, lost.to_ns),
        (5007, at_ns - 5, at_ns + 50)
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
