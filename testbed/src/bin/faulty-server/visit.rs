//! The truth about one request while its handler runs: from the handler's first line to its last.

use std::sync::Arc;

use testbed::clock;
use testbed::truth::{Served, Stretch, id};

use crate::truth::{Truth, begin};

/// What a handler tells of itself. Dropping it, at the handler's end, keeps it.
pub(crate) struct Visit {
    truth: Option<Arc<Truth>>,
    served: Served,
}

impl Visit {
    /// A request's, which has its number in its query.
    pub(crate) fn of_a_request(truth: Option<Arc<Truth>>, query: &str) -> Self {
        Self {
            truth,
            served: begin(id(query).unwrap_or(0)),
        }
    }

    /// A task's that is no request's.
    pub(crate) fn of_a_task(truth: Option<Arc<Truth>>) -> Self {
        Self {
            truth,
            served: begin(0),
        }
    }

    pub(crate) fn injected(&mut self, stretch: Stretch) {
        self.served.add(stretch);
    }

    pub(crate) fn injected_all(&mut self, stretches: impl IntoIterator<Item = Stretch>) {
        stretches.into_iter().for_each(|stretch| self.injected(stretch));
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(truth) = &self.truth {
            self.served.end_ns = clock::now_ns();
            truth.keep(self.served);
        }
    }
}
