//! The truth about one request while its handler runs: from the handler's first line to its last.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::clock;
use crate::faults::Shared;
use crate::truth::{Record, Stretch, Truth};

/// What a handler tells of itself. Dropping it, at the handler's end, keeps it.
pub(crate) struct Visit {
    truth: Option<Arc<Truth>>,
    record: Record,
}

impl Visit {
    pub(crate) fn injected(&mut self, stretch: Stretch) {
        self.record.add(stretch);
    }
}

impl FromRequestParts<Arc<Shared>> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, shared: &Arc<Shared>) -> Result<Self, Infallible> {
        Ok(Self {
            truth: shared.truth.clone(),
            record: Record::begin(id(parts.uri.query().unwrap_or_default())),
        })
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
