//! What the kernel half keeps of watched threads on a CPU.

records! {
    /// Watched threads on one CPU.
    Presence: 16 {
        /// How often one came, counted since the start.
        visits: u64,
        /// 1 while one is here.
        is_here: u64,
    }
}
