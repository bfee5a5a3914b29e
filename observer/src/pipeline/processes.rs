//! Processes and threads that begin and end.

use std::io;

use observer_common::{ProcessChange, flags};

use super::Pipeline;
use crate::event;
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::output::{Sinks, each};

impl Pipeline {
    fn process_ended(&mut self, pid: u32) {
        self.runtimes.forget(pid);
        self.threads.process_ended(pid);
        if let Some(polls) = &mut self.polls {
            polls.process_ended(pid);
        }
    }

    /// Something happened to a process or a thread.
    pub(super) fn process(
        &mut self,
        event: &observer_common::Process,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        let unix_ns = self.unix_ns(event.header.at_ns);
        let line = |change, pid, parent| ProcessLine {
            unix_ns,
            event: change,
            pid,
            comm: Some(event::text(&event.comm)),
            parent,
            exe: None,
            successors: Vec::new(),
        };
        match ProcessChange::from_u32(event.change) {
            Some(ProcessChange::Fork) if event.child_tgid == event.tgid => {
                let comm = event::text(&event.comm);
                if let Some(id) = self
                    .threads
                    .started(&event.header, event.tgid, event.child_tid, &comm)
                {
                    self.connections.touched(id, event.child_tid);
                }
                Ok(())
            }
            Some(ProcessChange::Fork) => {
                let line = line(ProcessEvent::Fork, event.child_tgid, Some(event.tgid));
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exec) => {
                self.process_ended(event.tgid);
                let line = line(ProcessEvent::Exec, event.tgid, None);
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exit) => {
                self.threads.ended(event.header.tid, event.header.at_ns);
                if let Some(polls) = &mut self.polls {
                    polls.thread_ended(event.header.tid);
                }
                if event.flags & flags::GROUP_DEAD == 0 {
                    return Ok(());
                }
                let Some(place) = self.targets.iter().position(|pid| *pid == event.tgid) else {
                    return Ok(());
                };
                self.targets.remove(place);
                self.process_ended(event.tgid);
                self.serving.leaves(line(ProcessEvent::Exit, event.tgid, None));
                Ok(())
            }
            None => Ok(()),
        }
    }
}
