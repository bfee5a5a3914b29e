//! What a thread did for nobody since it was idle can be claimed for somebody, from the newest slice on: how far back,
//! each slice tells.

use super::packed::{Packed, PackedBegan, What};
use crate::model::id::Task;

/// What a claim makes of one slice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// It was nobody's.
    Takes,
    /// It was, and began when a goroutine was made ready: what was done before was for that one.
    TakesLast,
    /// It was somebody's wait, or nobody ran; what came before can be claimed.
    Passes,
    /// It was of another task, or of somebody, or what the thread did is not known, or it was idle.
    Ends,
}

impl Claim {
    pub(super) fn takes(self) -> bool {
        matches!(self, Self::Takes | Self::TakesLast)
    }
}

impl Packed {
    /// What a claim for `task` makes of it.
    pub(super) fn claim(&self, task: Task) -> Claim {
        match self.what {
            _ if self.task.differs_from(task) => Claim::Ends,
            What::Running {
                owner,
                began: PackedBegan::Readied,
                ..
            } if owner.is_open() => Claim::TakesLast,
            What::Running { owner, .. } if owner.is_open() => Claim::Takes,
            What::Running { .. } | What::Unknown { .. } => Claim::Ends,
            What::Blocked { wait, .. } if wait.is_idle() => Claim::Ends,
            What::Blocked { owner, .. } if owner.is_open() => Claim::Takes,
            What::Blocked { .. } | What::Runnable { .. } => Claim::Passes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::state::{Began, Block, Owner, Slice, State};
    use super::*;
    use crate::model::id::{ConnId, RequestId};
    use crate::syscall::Wait;

    const OWN: Task = Task::new(11);
    const OTHER: Task = Task::new(12);
    const SOMEBODY: Owner = Owner::Request(RequestId {
        conn: ConnId(1),
        nth: 1,
    });

    #[test]
    fn a_claim_takes_what_was_nobodys_until_the_thread_was_idle_or_worked_for_another() {
        let ran = |owner, began| State::Running { cpu: 0, owner, began };
        let blocked = |wait, owner| {
            State::Blocked(Block {
                wait,
                syscall: -1,
                arg0: 0,
                wake: None,
                owner,
            })
        };
        let nobody = Owner::Nobody;
        let rows = [
            (
                "what ran for nobody",
                OWN,
                ran(nobody, Began::Plain),
                Claim::Takes,
            ),
            ("in no task", Task::NONE, ran(nobody, Began::Plain), Claim::Takes),
            (
                "before, it worked for whom it made ready",
                OWN,
                ran(nobody, Began::Readied(OWN)),
                Claim::TakesLast,
            ),
            ("another task's", OTHER, ran(nobody, Began::Plain), Claim::Ends),
            ("somebody's", OWN, ran(SOMEBODY, Began::Plain), Claim::Ends),
            ("not known", OWN, State::Unknown { owner: nobody }, Claim::Ends),
            ("idle", OWN, blocked(Wait::Accept, nobody), Claim::Ends),
            (
                "a wait of nobody",
                OWN,
                blocked(Wait::Mutex, nobody),
                Claim::Takes,
            ),
            (
                "a wait of somebody",
                OWN,
                blocked(Wait::Mutex, SOMEBODY),
                Claim::Passes,
            ),
            ("a wait for a CPU", OWN, State::runnable(0, false), Claim::Passes),
        ];
        for (what, task, state, claim) in rows {
            let slice = Slice {
                from_ns: 1,
                to_ns: 2,
                state,
                faults: (0, 0),
                task,
            };
            assert_eq!(Packed::new(&slice).claim(OWN), claim, "{what}");
        }
    }
}
