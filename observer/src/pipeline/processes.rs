//! Processes and threads that begin and end.

use std::io;

use observer_common::{Header, ProcessChange, flags};

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

    fn line(&self, header: &Header, event: ProcessEvent, pid: u32, comm: Option<String>) -> ProcessLine {
        ProcessLine {
            unix_ns: self.unix_ns(header.at_ns),
            event,
            pid,
            comm,
            parent: None,
            watched: None,
            exe: None,
            successors: Vec::new(),
        }
    }

    /// Something happened to a process or a thread.
    pub(super) fn process(
        &mut self,
        event: &observer_common::Process,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        let comm = event::text(&event.comm);
        let header = &event.header;
        match ProcessChange::from_u32(event.change) {
            Some(ProcessChange::Fork) if event.child_tgid == event.tgid => {
                self.started(event, &comm);
                Ok(())
            }
            Some(ProcessChange::Fork) => {
                self.summary.forked(event.tgid, event.child_tgid);
                let watched = event.flags & flags::WATCHED != 0;
                if watched {
                    self.watch(header, event.child_tgid, None, sinks)?;
                    self.started(event, &comm);
                }
                let line = ProcessLine {
                    parent: Some(event.tgid),
                    watched: Some(watched),
                    ..self.line(header, ProcessEvent::Fork, event.child_tgid, Some(comm))
                };
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exec) => {
                self.process_ended(event.tgid);
                let line = self.line(header, ProcessEvent::Exec, event.tgid, Some(comm));
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exit) => {
                self.threads.ended(header.tid, header.at_ns);
                if let Some(polls) = &mut self.polls {
                    polls.thread_ended(header.tid);
                }
                if event.flags & flags::GROUP_DEAD == 0 {
                    return Ok(());
                }
                self.gone(header, event.tgid, Some(comm), sinks)
            }
            Some(ProcessChange::Listens) => {
                self.watch(header, event.tgid, Some(&comm), sinks)?;
                let line = self.line(header, ProcessEvent::Start, event.tgid, Some(comm));
                each(sinks, |sink| sink.process(&line))
            }
            None => Ok(()),
        }
    }

    /// A thread, or the first one of a child, was begun by another.
    fn started(&mut self, event: &observer_common::Process, comm: &str) {
        let (pid, tid) = (event.child_tgid, event.child_tid);
        if let Some(id) = self.threads.started(&event.header, pid, tid, comm) {
            self.connections.touched(id, tid);
        }
    }

    /// A process is watched, though no record of the kernel half says so.
    pub(super) fn target_added(
        &mut self,
        event: &event::TargetAdded,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        let (header, comm) = (&event.header, event::text(&event.comm));
        let parent = Some(event.parent).filter(|parent| *parent != 0);
        let first = parent.is_none().then_some(&*comm);
        if let Some(parent) = parent {
            self.summary.forked(parent, header.tid);
        }
        self.watch(header, header.tid, first, sinks)?;
        let line = ProcessLine {
            parent,
            ..self.line(header, ProcessEvent::Start, header.tid, Some(comm.clone()))
        };
        each(sinks, |sink| sink.process(&line))
    }

    /// A watched process has ended, though no record of the kernel half says so.
    pub(super) fn target_gone(&mut self, event: &event::TargetGone, sinks: Sinks<'_, '_>) -> io::Result<()> {
        self.gone(&event.header, event.header.tid, None, sinks)
    }

    /// Process `pid` is watched from now on, as the child of another, or as the first of its family with its name.
    fn watch(
        &mut self,
        header: &Header,
        pid: u32,
        first: Option<&str>,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        // Where its end was lost, the number is another's now.
        self.gone(header, pid, None, sinks)?;
        self.targets.insert(pid);
        if let Some(comm) = first {
            self.serving.watch(pid, comm);
            self.summary.target(pid, Some(comm));
        }
        Ok(())
    }

    fn gone(
        &mut self,
        header: &Header,
        pid: u32,
        comm: Option<String>,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        if !self.targets.remove(&pid) {
            return Ok(());
        }
        self.process_ended(pid);
        self.threads.all_ended(pid, header.at_ns);
        let line = self.line(header, ProcessEvent::Exit, pid, comm);
        // Of the first of a family it is looked for who took over.
        match self.serving.leaves(line) {
            Some(line) => each(sinks, |sink| sink.process(&line)),
            None => Ok(()),
        }
    }
}
