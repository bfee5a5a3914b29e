//! What a blocked call was on, where numbers of descriptors are used again: short streams, each with the one answer
//! that its events support.

use bytemuck::Zeroable as _;
use observer::model::cause::Cause;
use observer_common::{Connection, Kind, Send, SwitchOut, conn, flags, tcp};
use proptest::prelude::*;
use syscalls::Sysno;

use super::check::Law;
use super::script::{A, PEER, PID, Script, TASK_A, charged_us, header};

/// The descriptor of the connection to the peer.
const FD: i32 = PEER as i32;

/// What a request waits for in its call, from 200 to 5000 µs.
const WAITED_US: u64 = 4_800;

impl Script {
    /// It waits for bytes in a call until it is woken, for this connection.
    fn waits_for_bytes(mut self, woken_for: u64) -> Self {
        self.record(&SwitchOut {
            header: header(Kind::SwitchOut, 200),
            tgid: PID,
            state: 1,
            syscall: Sysno::recvfrom as i32,
            args: [FD as u64, 0, 0, 0],
            task: TASK_A,
            ..SwitchOut::zeroed()
        });
        self.woken(5_000, woken_for)
    }

    fn closes_peer(mut self, at_us: u64) -> Self {
        self.record(&Connection {
            header: header(Kind::Connection, at_us),
            conn: PEER,
            tgid: PID,
            old_state: tcp::ESTABLISHED,
            new_state: tcp::FIN_WAIT1,
            ..Connection::zeroed()
        });
        self
    }

    /// It opens a connection that gets the peer's descriptor, and asks on it.
    fn asks_another(mut self, at_us: u64) -> Self {
        self.record(&Connection {
            header: header(Kind::Connection, at_us),
            conn: PEER + 1,
            tgid: PID,
            old_state: tcp::CLOSE,
            new_state: tcp::SYN_SENT,
            ..Connection::zeroed()
        });
        self.record(&Send {
            header: header(Kind::Send, at_us + 1),
            tgid: PID,
            fd: FD,
            conn: PEER + 1,
            task: TASK_A,
            result: 5,
            flags: flags::OUTBOUND,
            ..Send::zeroed()
        });
        self
    }

    /// How long the request waited for a peer, and in a call that says no more.
    fn waited_us(self) -> Result<(u64, u64), TestCaseError> {
        let request = self.sends(9_000, A, TASK_A).request(A)?;
        Ok([Cause::Downstream, Cause::Syscall]
            .map(|cause| charged_us(&request, cause))
            .into())
    }
}

fn begin() -> Script {
    Script::begin().reads(50, A, TASK_A, 40)
}

#[test]
fn who_waits_on_the_descriptor_of_an_open_connection_waits_for_the_peer() -> Law {
    let script = begin().asks(60, TASK_A).waits_for_bytes(conn::NONE);
    prop_assert_eq!(script.waited_us()?, (WAITED_US, 0));
    Ok(())
}

/// A datagram, for example, came to what the number is now.
#[test]
fn the_descriptor_of_a_connection_that_was_closed_is_not_that_connection() -> Law {
    let script = begin()
        .asks(60, TASK_A)
        .closes_peer(100)
        .waits_for_bytes(conn::NONE);
    prop_assert_eq!(script.waited_us()?, (0, WAITED_US));
    Ok(())
}

#[test]
fn the_descriptor_of_a_connection_that_is_opened_later_was_not_that_connection() -> Law {
    let script = begin().waits_for_bytes(conn::NONE).asks(6_000, TASK_A);
    prop_assert_eq!(script.waited_us()?, (0, WAITED_US));
    Ok(())
}

#[test]
fn whose_bytes_ended_the_wait_was_waited_for_also_where_the_number_is_anothers_by_now() -> Law {
    let script = begin().asks(60, TASK_A).waits_for_bytes(PEER);
    let script = script.closes_peer(6_000).asks_another(6_100);
    prop_assert_eq!(script.waited_us()?, (WAITED_US, 0));
    Ok(())
}

/// Something came just before on a connection for which nobody waited.
#[test]
fn bytes_on_a_connection_with_another_descriptor_did_not_end_the_wait() -> Law {
    let script = begin().waits_for_bytes(A);
    prop_assert_eq!(script.waited_us()?, (0, WAITED_US));
    Ok(())
}
