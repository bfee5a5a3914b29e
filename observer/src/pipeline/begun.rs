//! Turns that are not over when what threads did for them is forgotten: each is explained before, as far as it has
//! come.

use rustc_hash::FxHashMap;

use super::Pipeline;
use crate::attribution::{Begun, Evidence, Keep};
use crate::model::full::Table;
use crate::model::id::{ConnId, RequestId};
use crate::threads::LastRun;

/// Turns of which something is explained, at most. For one more, what is forgotten stays unexplained.
const MAX_BEGUN: usize = 16_384;

/// Steps that are kept one by one, of all of them together: about 2 MiB. Beyond that a turn has sums: a step a cause
/// and part.
const MAX_STEPS: usize = 16_384;

/// What is explained of turns that are not over, by connection.
#[derive(Debug, Default)]
pub(super) struct BegunTurns {
    turns: FxHashMap<ConnId, (RequestId, Begun)>,
    /// Steps that are kept of all of them.
    steps: usize,
}

impl BegunTurns {
    pub(super) fn get(&self, id: RequestId) -> Option<&Begun> {
        let (of, begun) = self.turns.get(&id.conn)?;
        (*of == id).then_some(begun)
    }

    pub(super) fn remove(&mut self, conn: ConnId) -> Option<(RequestId, Begun)> {
        let removed = self.turns.remove(&conn)?;
        self.steps -= removed.1.steps();
        Some(removed)
    }

    fn take(&mut self, id: RequestId) -> Begun {
        let taken = self.remove(id.conn).filter(|(of, _)| *of == id);
        taken.map(|(_, begun)| begun).unwrap_or_default()
    }

    fn keep(&mut self, id: RequestId, mut begun: Begun) {
        if self.steps + begun.steps() > MAX_STEPS {
            begun.sum_up();
        }
        self.steps += begun.steps();
        self.turns.insert(id.conn, (id, begun));
    }
}

impl Pipeline {
    /// Forgets what threads did longest ago. Turns that are not over and had begun by then are explained up to where
    /// they are known to have run last.
    pub(super) fn make_room(&mut self) {
        let Some(mut to_forget) = self.threads.to_forget() else {
            return;
        };
        let arrived_before = self.connections.arrived_before(to_forget.until_ns);
        if !arrived_before.is_empty() {
            let settled_ns = to_forget.settled_ns();
            let runs = self
                .threads
                .last_runs(settled_ns, |id| arrived_before.contains(&id));
            let mut runs: Vec<_> = runs.into_iter().collect();
            runs.sort_unstable_by_key(|(id, _)| (id.conn.0, id.nth));
            for (id, run) in runs {
                self.go_on(id, run);
            }
        }
        self.threads.forget(to_forget.until_ns);
        self.connections.forget_stalls_until(to_forget.until_ns);
    }

    /// Explains a turn that is not over, up to where it ran.
    fn go_on(&mut self, id: RequestId, run: LastRun) {
        let Some(turn) = self.connections.current(id) else {
            return;
        };
        let mut begun = self.begun.take(id);
        if self.begun.turns.len() >= MAX_BEGUN {
            self.connections.full.count(Table::LongRequests, 1);
            return;
        }
        let evidence = Evidence {
            threads: &self.threads,
            connections: &self.connections,
            names: &self.names,
            samples: &self.samples,
            go: &self.go,
        };
        let keep = if self.selections.ask_for_any() {
            Keep::Steps
        } else {
            Keep::Sums
        };
        self.explainer.go_on(&mut begun, turn, evidence, run, keep);
        self.begun.keep(id, begun);
    }
}
