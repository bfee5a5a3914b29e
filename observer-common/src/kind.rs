//! What a record is: its kind, as a number, and how long it is.

use crate::{
    Connection, Held, Left, Occupied, OnCpuSince, PollEnd, PollStart, Process, Readied, Receive, ReceiveHead,
    Seen, Send, SendHead, Stolen, SwitchIn, SwitchOut, Waking,
};

/// What a record is. The value stands in [`crate::Header::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Kind {
    /// [`SwitchOut`].
    SwitchOut = 1,
    /// [`SwitchIn`].
    SwitchIn = 2,
    /// [`Waking`].
    Waking = 3,
    /// [`Receive`].
    Receive = 4,
    /// [`ReceiveHead`].
    ReceiveHead = 5,
    /// [`Send`].
    Send = 6,
    /// [`SendHead`].
    SendHead = 7,
    /// [`Connection`].
    Connection = 8,
    /// [`Process`].
    Process = 9,
    /// [`Occupied`].
    Occupied = 10,
    /// [`Seen`].
    Seen = 11,
    /// [`PollStart`].
    PollStart = 12,
    /// [`PollEnd`].
    PollEnd = 13,
    /// [`Stolen`].
    Stolen = 14,
    /// [`Held`].
    Held = 15,
    /// [`Left`].
    Left = 16,
    /// [`Readied`].
    Readied = 17,
    /// [`OnCpuSince`].
    OnCpuSince = 18,
}

impl Kind {
    /// The kind with this number.
    #[must_use]
    #[inline]
    pub const fn from_u16(value: u16) -> Option<Self> {
        Some(match value {
            1 => Self::SwitchOut,
            2 => Self::SwitchIn,
            3 => Self::Waking,
            4 => Self::Receive,
            5 => Self::ReceiveHead,
            6 => Self::Send,
            7 => Self::SendHead,
            8 => Self::Connection,
            9 => Self::Process,
            10 => Self::Occupied,
            11 => Self::Seen,
            12 => Self::PollStart,
            13 => Self::PollEnd,
            14 => Self::Stolen,
            15 => Self::Held,
            16 => Self::Left,
            17 => Self::Readied,
            18 => Self::OnCpuSince,
            _ => return None,
        })
    }

    /// Size of a record of this kind, header included, bytes.
    #[must_use]
    #[inline]
    pub const fn size(self) -> usize {
        match self {
            Self::SwitchOut => size_of::<SwitchOut>(),
            Self::SwitchIn => size_of::<SwitchIn>(),
            Self::Waking => size_of::<Waking>(),
            Self::Receive => size_of::<Receive>(),
            Self::ReceiveHead => size_of::<ReceiveHead>(),
            Self::Send => size_of::<Send>(),
            Self::SendHead => size_of::<SendHead>(),
            Self::Connection => size_of::<Connection>(),
            Self::Process => size_of::<Process>(),
            Self::Occupied => size_of::<Occupied>(),
            Self::Seen => size_of::<Seen>(),
            Self::PollStart => size_of::<PollStart>(),
            Self::PollEnd => size_of::<PollEnd>(),
            Self::Stolen => size_of::<Stolen>(),
            Self::Held => size_of::<Held>(),
            Self::Left => size_of::<Left>(),
            Self::Readied => size_of::<Readied>(),
            Self::OnCpuSince => size_of::<OnCpuSince>(),
        }
    }
}
