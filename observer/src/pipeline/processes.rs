//! Processes and threads that begin and end.

use std::io;

use observer_common::{Header, ProcessChange, flags};

use super::Pipeline;
use crate::event;
use crate::model::id::{Pid, Tid};
use crate::model::process::{ProcessEvent, ProcessLine};
use crate::output::{Sinks, each};

impl Pipeline {
    fn process_ended(&mut self, pid: Pid) {
        self.settle_of(pid);
        self.tokio.forget(pid);
        self.count_cycles();
        self.go.forget(pid);
        self.threads.forget_process(pid);
        self.connections.forget_process(pid);
        self.names.forget_process(pid);
        if let Some(polls) = &mut self.polls {
            polls.process_ended(pid);
        }
    }

    fn line(&self, header: &Header, event: ProcessEvent, pid: Pid, comm: Option<String>) -> ProcessLine {
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

    /// Which program the process runs that is watched next.
    pub(super) fn program_told(&mut self, event: &event::Executable) {
        self.executable = Some((event.pid(), event::text(&event.path)));
    }

    /// The line of a process that is watched later than from the start.
    fn start(&mut self, header: &Header, pid: Pid, comm: String) -> ProcessLine {
        let told = self.executable.take().filter(|(of, _)| *of == pid);
        ProcessLine {
            exe: told.map(|(_, path)| path),
            ..self.line(header, ProcessEvent::Start, pid, Some(comm))
        }
    }

    /// Something happened to a process or a thread.
    pub(super) fn process(
        &mut self,
        event: &observer_common::Process,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        let comm = event::text(&event.comm);
        let (header, pid, child) = (&event.header, Pid(event.tgid), Pid(event.child_tgid));
        match ProcessChange::from_u32(event.change) {
            Some(ProcessChange::Fork) if child == pid => {
                self.started(event, &comm);
                Ok(())
            }
            Some(ProcessChange::Fork) => {
                let watched = event.flags & flags::WATCHED != 0;
                if watched {
                    self.watch(header, child, Some(pid), &comm, sinks)?;
                    self.started(event, &comm);
                } else {
                    self.serving.forked(pid);
                }
                let line = ProcessLine {
                    parent: Some(pid),
                    watched: Some(watched),
                    ..self.line(header, ProcessEvent::Fork, child, Some(comm))
                };
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exec) => {
                self.process_ended(pid);
                let line = self.line(header, ProcessEvent::Exec, pid, Some(comm));
                each(sinks, |sink| sink.process(&line))
            }
            Some(ProcessChange::Exit) => {
                let tid = Tid(header.tid);
                self.threads.exits(tid, header.at_ns);
                if let Some(polls) = &mut self.polls {
                    polls.thread_ended(tid);
                }
                if event.flags & flags::GROUP_DEAD == 0 {
                    return Ok(());
                }
                self.gone(header, pid, Some(comm), sinks)
            }
            Some(ProcessChange::Listens) => {
                self.watch(header, pid, None, &comm, sinks)?;
                let line = self.start(header, pid, comm);
                each(sinks, |sink| sink.process(&line))
            }
            None => Ok(()),
        }
    }

    /// A thread, or the first one of a child, was begun by another.
    fn started(&mut self, event: &observer_common::Process, comm: &str) {
        let (pid, tid) = (Pid(event.child_tgid), Tid(event.child_tid));
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
        let pid = event.pid();
        let parent = Some(Pid(event.parent)).filter(|parent| *parent != Pid::NONE);
        self.watch(header, pid, parent, &comm, sinks)?;
        let line = ProcessLine {
            parent,
            ..self.start(header, pid, comm.clone())
        };
        each(sinks, |sink| sink.process(&line))
    }

    /// A watched process has ended, though no record of the kernel half says so.
    pub(super) fn target_gone(&mut self, event: &event::TargetGone, sinks: Sinks<'_, '_>) -> io::Result<()> {
        self.gone(&event.header, event.pid(), None, sinks)
    }

    /// Process `pid` is watched from now on, as the child of another, or as the first of its family.
    fn watch(
        &mut self,
        header: &Header,
        pid: Pid,
        parent: Option<Pid>,
        comm: &str,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        // Where its end was lost, the number is another's now: what is counted of that one ends first.
        self.gone(header, pid, None, sinks)?;
        self.targets.insert(pid);
        if let Some(parent) = parent {
            self.summary.forked(parent, pid);
            return Ok(());
        }
        self.summary.target(pid, Some(comm));
        match self.serving.watch(pid, comm) {
            Some(last) => each(sinks, |sink| sink.process(&last)),
            None => Ok(()),
        }
    }

    fn gone(
        &mut self,
        header: &Header,
        pid: Pid,
        comm: Option<String>,
        sinks: Sinks<'_, '_>,
    ) -> io::Result<()> {
        if !self.targets.remove(&pid) {
            return Ok(());
        }
        self.process_ended(pid);
        self.threads.all_ended(pid, header.at_ns);
        self.summary.ended(pid);
        let line = self.line(header, ProcessEvent::Exit, pid, comm);
        // Of the first of a family it is looked for who took over.
        match self.serving.leaves(line) {
            Some(line) => each(sinks, |sink| sink.process(&line)),
            None => Ok(()),
        }
    }
}
