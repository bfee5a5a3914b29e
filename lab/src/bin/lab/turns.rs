//! How long a request stood behind others that its worker served, by the truth.

use std::collections::HashMap;

use testbed::truth::{Sent, Served};

/// A worker that begins the next request within this serves one after the other. A longer time may be a wait for a CPU.
const ONE_TURN_NS: u64 = 200_000;

/// When each thread began a request, in order.
pub(super) struct Turns(HashMap<u32, Vec<u64>>);

impl Turns {
    pub(super) fn of(served: &[Served]) -> Self {
        let mut begun: HashMap<u32, Vec<u64>> = HashMap::new();
        for served in served {
            begun.entry(served.tid).or_default().push(served.start_ns);
        }
        for times in begun.values_mut() {
            times.sort_unstable();
        }
        Self(begun)
    }

    /// How long others were served in turn, ns, from when a request was sent until its own handler began.
    pub(super) fn before_ns(&self, served: &Served, sent: &Sent) -> u64 {
        let begun = self.0.get(&served.tid).map_or(&[][..], Vec::as_slice);
        let sent_ns = sent.times.send_ns;
        let first = begun.partition_point(|at_ns| *at_ns <= sent_ns);
        let own = begun.partition_point(|at_ns| *at_ns < served.start_ns);
        let others = begun.get(first..own).unwrap_or_default();
        let mut last_ns = sent_ns;
        let mut before_ns = 0;
        for at_ns in others
            .iter()
            .chain((!others.is_empty()).then_some(&served.start_ns))
        {
            let turn_ns = at_ns.saturating_sub(last_ns);
            before_ns += if turn_ns <= ONE_TURN_NS { turn_ns } else { 0 };
            last_ns = *at_ns;
        }
        before_ns
    }
}

#[cfg(test)]
mod tests {
    use testbed::truth::Times;

    use super::super::truth::made_up;
    use super::*;

    const US: u64 = 1_000;

    fn before_us(began_us: &[u64], own_us: u64) -> u64 {
        let mut served: Vec<_> = (1..)
            .zip(began_us)
            .map(|(id, us)| made_up(id, us * US, Vec::new()))
            .collect();
        let own = made_up(0, own_us * US, Vec::new());
        served.push(own);
        let sent = Sent {
            id: 0,
            status: 200,
            times: Times {
                send_ns: 1_000 * US,
                ..Times::default()
            },
        };
        Turns::of(&served).before_ns(&own, &sent) / US
    }

    #[test]
    fn what_others_take_one_after_the_other_counts_from_the_sending_to_the_own_turn() {
        assert_eq!(before_us(&[950, 1_050, 1_100, 1_200, 2_000], 1_300), 300);
    }

    #[test]
    fn a_time_in_which_no_turn_began_does_not_count() {
        assert_eq!(before_us(&[1_050, 1_900], 1_950), 100);
    }

    #[test]
    fn without_others_nothing_was_waited_for() {
        assert_eq!(before_us(&[900, 2_000], 1_100), 0);
    }
}
