//! Turns that end: each is explained, counted, and written where an output wants it.

use std::io;
use std::sync::Arc;

use super::Pipeline;
use super::settled::Explained;
use crate::attribution::{Evidence, Keep, held_back};
use crate::connections::Turn;
use crate::model::cause::Cause;
use crate::model::full::Table;
use crate::model::id::{Pid, RequestId};
use crate::model::request::Span;
use crate::output::{Sinks, Wanted};

/// Turns that are explained at one tick because they have probably ended, at most; the others at the next. Ten
/// thousand clients can be answered at once: explaining all of them took so long that the rings ran full meanwhile.
const SETTLED_A_TICK: usize = 512;

impl Pipeline {
    /// Explains turns that have probably ended, before what threads did is forgotten.
    pub(super) fn settle(&mut self) {
        for _ in 0..SETTLED_A_TICK {
            let Some(id) = self.connections.take_settled(self.now_ns) else {
                break;
            };
            self.explain_answered(id);
        }
    }

    /// Explains the answered turns of process `pid`, before what is known of the process is forgotten.
    pub(super) fn settle_of(&mut self, pid: Pid) {
        for id in self.connections.take_answered_of(pid) {
            self.explain_answered(id);
        }
    }

    /// Explains a turn that has probably ended, for when that is certain.
    fn explain_answered(&mut self, id: RequestId) {
        let Some(turn) = self.connections.turn(id) else {
            return;
        };
        // How long TCP keeps what it has of it is not known yet: it can be one of the tail.
        let judged = !turn.is_held();
        let latency_ns = if judged { turn.latency_ns() } else { u64::MAX };
        let wanted = self.wanted(turn, latency_ns);
        // One that would be written is explained when it is finished then; there is room for those that are only
        // counted.
        if self.settled.is_full_for(judged) && wanted.by_any() {
            return;
        }
        let complete = self.is_complete(turn);
        if let Some(mut explained) = self.explain(id, complete, wanted.by_any()) {
            explained.wanted = Some(wanted).filter(|_| judged);
            self.settled.keep(explained);
        }
    }

    /// Finishes a turn that has ended.
    pub(super) fn finish_turn(&mut self, id: RequestId, sinks: Sinks<'_, '_>) -> io::Result<()> {
        let Some(turn) = self.connections.turn(id) else {
            return Ok(());
        };
        let complete = self.is_complete(turn);
        let settled = self.settled.take(id.conn);
        let settled = settled.filter(|explained| explained.is_all_of(turn, complete));
        let judged = settled.as_ref().and_then(|explained| explained.wanted);
        let wanted = judged.unwrap_or_else(|| self.wanted(turn, turn.latency_ns()));
        // What TCP held back can make one of the tail of it.
        let settled = settled.filter(|explained| explained.line.is_some() || !wanted.by_any());
        let mut explained = match settled {
            Some(settled) => Some(settled.unboxed()),
            None => self.explain(id, complete, wanted.by_any()),
        };
        let Some(explained) = &mut explained else {
            return Ok(());
        };
        self.begun.remove(id.conn);
        let Some(turn) = self.connections.turn(id) else {
            return Ok(());
        };
        let full = &self.connections.full;
        full.count(Table::RequestThreads, turn.has_more_tids().into());
        full.count(Table::Stalls, turn.has_more_stalls().into());
        let has_details = turn.has_details();
        explained.add_what_was_held_back(turn);
        if has_details {
            self.connections.forget_details(id);
        }
        let name = self
            .connections
            .get(id.conn)
            .and_then(|connection| connection.name(id.nth));
        // A name is a method and a path.
        let path = name.as_deref().and_then(|name| {
            let space = name.bytes().position(|byte| byte == b' ')?;
            name.get(space + 1..)
        });
        self.summary
            .request(&explained.figures, path, explained.longest_wait.as_ref());
        self.connections
            .finished(id, || explained.figures.budget.largest());
        let Some(request) = explained.line.take() else {
            return Ok(());
        };
        self.selections.wrote(wanted, request.timeline.len());
        let request = Arc::from(request);
        for (output, sink) in sinks.iter_mut().enumerate() {
            if let Some(why) = wanted.by(output) {
                sink.request(&request, why)?;
            }
        }
        Ok(())
    }

    /// Explains a turn, with a line of it or only to be counted. `complete` tells whether no record was lost inside its
    /// window.
    fn explain(&mut self, id: RequestId, complete: bool, with_line: bool) -> Option<Explained> {
        let turn = self.connections.turn(id)?;
        let evidence = Evidence {
            threads: &self.threads,
            connections: &self.connections,
            names: &self.names,
            samples: &self.samples,
            go: &self.go,
        };
        let begun = self.begun.get(id);
        let keep = if with_line { Keep::Steps } else { Keep::Sums };
        let figures = self.explainer.explain(turn, evidence, begun, complete, keep);
        let longest_wait = self.explainer.longest_wait(turn, evidence);
        let sent_ns = turn.sent_ns;
        let mut line = with_line.then(|| Box::new(self.explainer.request(turn, figures, evidence)));
        if let Some(line) = &mut line {
            self.explain_answers(&mut line.timeline);
        }
        Some(Explained {
            id,
            sent_ns,
            wanted: None,
            figures,
            longest_wait,
            line,
        })
    }

    /// Adds what the answers of other requests that are not finished were mostly spent on.
    fn explain_answers(&mut self, timeline: &mut [Span]) {
        let culprits = timeline.iter_mut().filter_map(|span| span.culprit.as_mut());
        let answers = culprits.filter_map(|culprit| culprit.answer.as_deref_mut());
        // Of one request there can be several spans in a row.
        let mut last: Option<(RequestId, Option<Cause>)> = None;
        for answer in answers.filter(|answer| answer.mostly.is_none()) {
            let id = RequestId {
                conn: answer.conn,
                nth: answer.nth,
            };
            if last.is_none_or(|(of, _)| of != id) {
                last = Some((id, self.mostly(id)));
            }
            answer.mostly = last.and_then(|(_, mostly)| mostly);
        }
    }

    /// What most of an answered turn was spent on, as far as that is known by now.
    fn mostly(&mut self, id: RequestId) -> Option<Cause> {
        let turn = self.connections.turn(id)?;
        let complete = self.is_complete(turn);
        let settled = self.settled.get(id.conn);
        let settled = settled.filter(|explained| explained.is_all_of(turn, complete));
        let settled = settled.map(|explained| explained.figures.budget);
        let mut budget = settled.or_else(|| Some(self.explain(id, complete, false)?.figures.budget))?;
        if let Some(span) = held_back(self.connections.turn(id)?) {
            budget.charge(span.cause, span.dur_ns);
        }
        budget.largest()
    }

    /// Whether and why each output would write a turn that took so long.
    fn wanted(&self, turn: &Turn, latency_ns: u64) -> Wanted {
        if !self.selections.ask_for_any() {
            return Wanted::default();
        }
        let tail = self.summary.tail(turn.pid, turn.protocol);
        self.selections.wants(turn.id, latency_ns, tail)
    }

    /// Whether no record was lost inside the turn's window.
    fn is_complete(&self, turn: &Turn) -> bool {
        !self
            .losses
            .overlap(turn.arrival_ns, turn.end_ns().max(turn.arrival_ns))
    }
}
