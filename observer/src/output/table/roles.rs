//! What the threads of a process are to it, in a line.

use super::line::{FAINT, Line, PLAIN, STRONG};
use crate::model::report::{FedBy, ProcessRoles, Role, RoleTotals};
use crate::output::words;

/// Event loops of which it is said how busy each is.
const LOOPS_LISTED: usize = 4;

/// Pools that are told apart.
const POOLS_LISTED: usize = 3;

/// Nothing, where none of the threads is known to be anything.
pub(super) fn line(by_role: &ProcessRoles) -> Option<Line> {
    let ProcessRoles { roles, no_role } = by_role;
    if roles.is_empty() {
        return None;
    }
    let mut parts = Vec::new();
    let mut pools = 0;
    for role in roles {
        pools += usize::from(role.role == Role::Pool);
        if role.role != Role::Pool || pools <= POOLS_LISTED {
            parts.push(part(role));
        }
    }
    if let Some(more) = pools.checked_sub(POOLS_LISTED).filter(|&more| more > 0) {
        parts.push(words::counted(more as u64, "pool more", "pools more"));
    }
    let mut line = Line::new()
        .text(STRONG, "threads  ")
        .text(PLAIN, &parts.join("; "));
    if *no_role > 0 {
        line = line.text(FAINT, &format!("; {no_role} of which that is not known"));
    }
    Some(line.wrapping())
}

fn part(role: &RoleTotals) -> String {
    let counted = |one, many| words::counted(role.count, one, many);
    let at_work = format!("{:.1} at work", role.at_work);
    match role.role {
        Role::Acceptor => counted("acceptor", "acceptors"),
        Role::EventLoop => format!(
            "{} busy {}",
            counted("event loop", "event loops"),
            each_busy(role)
        ),
        Role::Pool => format!("pool of {}, {at_work}{}", role.count, fed_by(&role.fed_by)),
        Role::Connection => {
            let ended = match role.ended {
                0 => String::new(),
                ended => format!(" ({} ended)", words::count(ended)),
            };
            let all = words::counted(role.count.saturating_add(role.ended), "thread", "threads");
            format!("{all} for one connection at a time{ended}, {at_work}")
        }
        Role::Timer => counted("timer", "timers"),
        Role::Runtime => format!("{} of the runtime", role.count),
    }
}

fn each_busy(role: &RoleTotals) -> String {
    let shares = role.threads.iter().take(LOOPS_LISTED);
    let shares: Vec<_> = shares
        .map(|thread| format!("{:.0} %", 100.0 * thread.busy))
        .collect();
    let more = if role.count > shares.len() as u64 {
        ", …"
    } else {
        ""
    };
    let together = match role.epolls {
        Some(1) if role.count > 1 => " at one epoll",
        _ => "",
    };
    format!("{}{more}{together}", shares.join(", "))
}

/// By what feeds it most.
fn fed_by(feeders: &[FedBy]) -> String {
    let Some(most) = feeders.first() else {
        return String::new();
    };
    let who = match (most.role, &most.comm) {
        (Some(Role::EventLoop), _) => "an event loop".to_owned(),
        (Some(Role::Acceptor), _) => "an acceptor".to_owned(),
        (_, Some(comm)) => format!("{comm} ({})", most.tid.0),
        (_, None) => format!("thread {}", most.tid.0),
    };
    match feeders.len() {
        1 => format!(", fed by {who}"),
        others => format!(
            ", fed by {who} and {}",
            words::counted(others as u64 - 1, "other", "others")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn a_line_says_what_a_user_can_act_on() {
        let text = plain(&[line(&made_up::by_role()).unwrap()]);
        assert_eq!(
            text,
            "threads  1 acceptor; 2 event loops busy 96 %, 12 % at one epoll; pool of 4, 3.9 at work, fed by an event \
             loop; 83 threads for one connection at a time (80 ended), 1.2 at work; 1 timer; 7 of which that is not known\n"
        );
    }

    #[test]
    fn pools_beyond_a_few_are_counted() {
        let mut by_role = made_up::by_role();
        let pool = by_role.roles.iter().find(|role| role.role == Role::Pool).unwrap();
        by_role.roles = vec![pool.clone(); POOLS_LISTED + 2];
        let text = plain(&[line(&by_role).unwrap()]);
        assert!(text.contains("; 2 pools more; 7 of which"), "{text}");
        by_role.roles.clear();
        assert!(line(&by_role).is_none());
    }
}
