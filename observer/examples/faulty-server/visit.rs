//! The truth about one request while its handler runs: from the handler's first line to its last.

use std::sync::Arc;

use crate::clock;
use crate::truth::{Record, Stretch, Truth};

/// What a handler tells of itself. Dropping it, at the handler's end, keeps it.
pub(crate) struct Visit {
    truth: Option<Arc<Truth>>,
    record: Record,
}

impl Visit {
    /// A request's, which has its number in its query.
    pub(crate) fn of_a_request(truth: Option<Arc<Truth>>, query: &str) -> Self {
        Self {
            truth,
            record: Record::begin(id(query)),
        }
    }

    /// A task's that is no request's.
    pub(crate) fn of_a_task(truth: Option<Arc<Truth>>) -> Self {
        Self {
            truth,
            record: Record::begin(0),
        }
    }

    pub(crate) fn injected(&mut self, stretch: Stretch) {
        self.record.add(stretch);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        if let Some(truth) = &self.truth {
            self.record.end_ns = clock::now_ns();
            truth.keep(self.record);
        }
    }
}

/// The number that the client gave this request.
fn id(query: &str) -> u64 {
    let mut fields = query.split('&').filter_map(|field| field.strip_prefix("id="));
    fields.next().and_then(|id| id.parse().ok()).unwrap_or(0)
}
