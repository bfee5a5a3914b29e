//! Clients that found the queue of a listener full. The kernel drops their attempt to connect without a word, and they
//! try again after a second or longer: of that time no request tells, as it begins when its first byte arrives.

use std::collections::BTreeMap;

use super::{MAX_LISTENERS, Serving, Watched};
use crate::event;
use crate::model::full::Table;
use crate::model::hint::{Hint, HintKind};
use crate::model::id::Pid;

/// What the listeners of a process have refused.
#[derive(Debug, Default)]
pub(super) struct Refused(BTreeMap<u64, Count>);

/// What one of them has.
#[derive(Clone, Copy, Debug)]
struct Count {
    port: u16,
    /// When it was looked at first.
    at_first: u32,
    at_last: u32,
}

impl Refused {
    /// So many while it was watched, and at which port most of them.
    fn most(&self) -> Option<(u64, u16)> {
        let mut by_port = BTreeMap::new();
        for count in self.0.values() {
            *by_port.entry(count.port).or_default() += u64::from(count.at_last.wrapping_sub(count.at_first));
        }
        let most = by_port.into_iter().max_by_key(|&(_, refused)| refused);
        most.filter(|&(_, refused)| refused > 0)
            .map(|(port, refused)| (refused, port))
    }
}

impl Serving {
    /// What a listener had refused when it was looked at.
    pub(crate) fn refused(&mut self, event: &event::Refused) {
        let (Some(watched), Ok(port)) = (self.watched.get_mut(&event.pid()), u16::try_from(event.port))
        else {
            return;
        };
        let counts = &mut watched.refused.0;
        if let Some(count) = counts.get_mut(&event.inode) {
            count.at_last = event.count;
        } else if counts.len() < MAX_LISTENERS {
            let count = Count {
                port,
                at_first: event.count,
                at_last: event.count,
            };
            counts.insert(event.inode, count);
        } else {
            self.full.count(Table::Serving, 1);
        }
    }
}

impl Watched {
    /// Clients found its queue full.
    pub(super) fn queue_full(&self, pid: Pid) -> Option<Hint> {
        let (refused, port) = self.refused.most()?;
        let (times, were) = if refused == 1 {
            ("attempt", "was")
        } else {
            ("attempts", "were")
        };
        Some(Hint {
            kind: HintKind::QueueFull,
            pid: Some(pid),
            pids: Vec::new(),
            text: format!(
                "{refused} {times} to connect to port {port} of {} {were} dropped so far: its accept queue was full. Each \
                 client tries again after a second or longer, and no latency here includes that wait",
                self.name(pid)
            ),
            remedy: "have it accept sooner, or listen with a longer queue (`listen`'s backlog, at most \
                     net.core.somaxconn)"
                .to_owned(),
        })
    }
}
