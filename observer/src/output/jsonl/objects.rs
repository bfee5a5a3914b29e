//! The values of a run as objects: each field by its own name, in its place. What a field means is said where the value
//! is defined, and in `docs/schema.md`.
//!
//! A value is taken apart whole, so one that gets a new field is no object before it is said here how that is written.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::model::cause::{Budget, Cause};
use crate::model::hint::HintKind;
use crate::model::id::{ConnId, TaskId, Tid};
use crate::model::process::{ProcessEvent, ProcessLine, Successor};
use crate::model::protocol::Protocol;
use crate::model::report::{Role, Trouble};
use crate::model::request::{Answer, Confidence, Conn, Faults, GcOverlap, HeldBy, Rss};
use crate::model::runtime::{Flavour, GoProcess, RuntimeAtWork, RuntimeLine, RuntimeThread};

/// A value with fields, which can be a part of a larger object too.
trait Object {
    fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error>;
}

/// Writes one field: as it is, or in the way that stands behind it in [`object!`].
macro_rules! field {
    ($map:ident, $field:ident) => {
        $map.serialize_entry(stringify!($field), $field)?
    };
    // Only where there is one.
    ($map:ident, $field:ident, optional) => {
        if let Some(value) = $field {
            $map.serialize_entry(stringify!($field), value)?;
        }
    };
    // Only where it is so.
    ($map:ident, $field:ident, if_true) => {
        if *$field {
            $map.serialize_entry(stringify!($field), $field)?;
        }
    };
    // Its fields, in place of it.
    ($map:ident, $field:ident, inlined) => {
        $field.fields($map)?
    };
    // An object with a field for each name.
    ($map:ident, $field:ident, counts) => {
        $map.serialize_entry(stringify!($field), &Counts($field))?
    };
    // Not at all: it is for people.
    ($map:ident, $field:ident, left_out) => {
        let _ = $field;
    };
    // Under another name.
    ($map:ident, $field:ident, $name:literal) => {
        $map.serialize_entry($name, $field)?
    };
}

/// Makes a value an object of these fields.
macro_rules! object {
    ($value:ident { $($field:ident $(: $how:tt)?),* $(,)? }) => {
        impl Object for $value {
            fn fields<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
                let Self { $($field),* } = self;
                $(field!(map, $field $(, $how)?);)*
                Ok(())
            }
        }

        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut map = serializer.serialize_map(None)?;
                self.fields(&mut map)?;
                map.end()
            }
        }
    };
}

/// Makes values the text of their names.
macro_rules! names {
    ($($value:ident),*) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    )*};
}

/// Makes ids their numbers.
macro_rules! numbers {
    ($($value:ident),*) => {$(
        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.0.serialize(serializer)
            }
        }
    )*};
}

struct Counts<'a>(&'a [(&'static str, u64)]);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().copied())
    }
}

impl Serialize for Budget {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.charged())
    }
}

mod totals;

names!(
    Cause,
    Confidence,
    Flavour,
    HeldBy,
    HintKind,
    ProcessEvent,
    Protocol,
    Role,
    Trouble
);
numbers!(ConnId, TaskId, Tid);

// Of `request` lines. The other parts of a request are written as views of it.
object!(Conn {
    id,
    local: optional,
    peer: optional,
    nth,
});
object!(Rss { start, end });
object!(Faults { minor, major });
object!(Answer {
    conn,
    nth,
    latency_ns,
    mostly: optional,
});
object!(GcOverlap {
    first: "first_cycle",
    last: "last_cycle",
    mark_ns,
    stopped_ns,
});

// `process` and `runtime` lines.
object!(ProcessLine {
    unix_ns,
    event,
    pid,
    comm: optional,
    parent: optional,
    watched: optional,
    exe: optional,
    successors,
});
object!(Successor {
    pid,
    comm,
    port,
    same_socket
});
object!(RuntimeLine {
    unix_ns,
    pid,
    name,
    version: optional,
    task_ids,
    evidence,
    runtimes,
    pool_threads: optional,
    go: optional,
});
object!(GoProcess {
    max_procs: optional,
    cycles: optional,
    evidence: optional,
    goroutines: optional,
    goroutines_evidence: optional,
});
object!(RuntimeAtWork {
    flavour: optional,
    count,
    threads,
    evidence,
});
object!(RuntimeThread { tid, comm: optional });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_a_budget_are_left_out() {
        let mut budget = Budget::default();
        budget.charge(Cause::OnCpu, 7);
        assert_eq!(serde_json::to_string(&budget).unwrap(), r#"{"on_cpu":7}"#);
    }

    #[test]
    fn an_id_is_its_number() {
        assert_eq!(serde_json::to_string(&TaskId(31)).unwrap(), "31");
    }
}
