//! What observer may not see, by the capabilities that are missing for it: a value for facts and for people.

use std::fmt;

/// Capabilities that are missing to see the descriptors of other users' processes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// `CAP_DAC_READ_SEARCH`, to list them.
    pub dac_read_search: bool,
    /// `CAP_SYS_PTRACE`, to see what they are.
    pub sys_ptrace: bool,
}

impl Missing {
    /// Whether there is one.
    #[must_use]
    pub const fn any(self) -> bool {
        self.dac_read_search || self.sys_ptrace
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.dac_read_search, self.sys_ptrace) {
            (true, true) => "CAP_DAC_READ_SEARCH and CAP_SYS_PTRACE",
            (true, false) => "CAP_DAC_READ_SEARCH",
            (false, true) => "CAP_SYS_PTRACE",
            (false, false) => "",
        })
    }
}
