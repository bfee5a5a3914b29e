//! Which paths the requests were for, and how long each took.
//!
//! The table is bounded because strangers choose the paths. When it is full, requests for further paths
//! are counted together, and at the end of a window the paths that nobody asked for in it make room:
//! what they had counted for the run goes to the same common count. Query strings never enter.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use super::buckets::BucketCounts;
use super::turns::Over;
use crate::model::report::PathTotals;

/// Most paths of one target that are told apart at once: some 20 KB each.
const MAX_PATHS: usize = 256;

/// The same, of all targets together.
const MAX_PATHS_TOGETHER: usize = 1024;

/// Most paths that a summary lists beside others that it counts together.
const LISTED: usize = 5;

/// How many paths of each may be told apart where there are so many targets.
pub(super) fn max_paths(targets: usize) -> usize {
    (MAX_PATHS_TOGETHER / targets.max(1)).min(MAX_PATHS)
}

#[derive(Clone, Debug)]
struct PathCounts {
    path: Box<str>,
    window: BucketCounts,
    run: BucketCounts,
}

/// What a summary says about paths.
#[derive(Debug, Default)]
pub(super) struct ListedPaths {
    pub(super) paths: Vec<PathTotals>,
    pub(super) other: u64,
    pub(super) overflow: u64,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Paths {
    paths: Vec<PathCounts>,
    // The standard hasher, because it is keyed: strangers cannot make paths collide. Never iterated over.
    slots: HashMap<Box<str>, usize>,
    /// Where the last one is: mostly it is the next one too, and need not be hashed.
    last_slot: usize,
    window_overflow: u64,
    run_overflow: u64,
}

impl Paths {
    /// Counts a request for `path`, which has no query string. So many may be told apart.
    pub(super) fn record(&mut self, path: &str, latency_ns: u64, max_paths: usize) {
        let last = self.paths.get(self.last_slot);
        let slot = if last.is_some_and(|last| *last.path == *path) {
            Some(self.last_slot)
        } else {
            self.slots.get(path).copied()
        };
        if let Some(slot) = slot {
            self.last_slot = slot;
            self.paths[slot].window.record(latency_ns);
        } else if self.paths.len() < max_paths {
            let mut window = BucketCounts::new();
            window.record(latency_ns);
            self.slots.insert(path.into(), self.paths.len());
            self.paths.push(PathCounts {
                path: path.into(),
                window,
                run: BucketCounts::new(),
            });
        } else {
            self.window_overflow += 1;
        }
    }

    /// Adds the window to the run and starts the next one.
    pub(super) fn close_window(&mut self, max_paths: usize) {
        self.run_overflow += self.window_overflow;
        self.window_overflow = 0;
        if self.paths.len() >= max_paths {
            self.forget_idle();
        }
        for path in &mut self.paths {
            if path.window.total() > 0 {
                path.run.add(&path.window);
                path.window.clear();
            }
        }
    }

    /// Adds those of another, as far as there is room.
    pub(super) fn absorb(&mut self, other: Self, max_paths: usize) {
        self.window_overflow += other.window_overflow;
        self.run_overflow += other.run_overflow;
        for path in other.paths {
            if let Some(&slot) = self.slots.get(&path.path) {
                self.paths[slot].window.add(&path.window);
                self.paths[slot].run.add(&path.run);
            } else if self.paths.len() < max_paths {
                self.slots.insert(path.path.clone(), self.paths.len());
                self.paths.push(path);
            } else {
                self.window_overflow += path.window.total();
                self.run_overflow += path.run.total();
            }
        }
    }

    fn forget_idle(&mut self) {
        let run_overflow = &mut self.run_overflow;
        self.paths.retain(|path| {
            let idle = path.window.total() == 0;
            if idle {
                *run_overflow += path.run.total();
            }
            !idle
        });
        self.slots = self
            .paths
            .iter()
            .enumerate()
            .map(|(slot, path)| (path.path.clone(), slot))
            .collect();
    }
}

/// The part of a request target before its query string.
pub(crate) fn without_query(target: &str) -> &str {
    target.split_once('?').map_or(target, |(path, _)| path)
}

/// What happened in the current window, or in those that were closed, with all these tables together.
pub(super) fn listed<'a>(tables: impl Iterator<Item = &'a Paths>, over: Over) -> ListedPaths {
    let (mut sums, mut overflow) = (BTreeMap::<&str, Cow<'_, BucketCounts>>::new(), 0);
    for table in tables {
        overflow += match over {
            Over::Window => table.window_overflow,
            Over::Run => table.run_overflow,
        };
        for path in &table.paths {
            let counts = match over {
                Over::Window => &path.window,
                Over::Run => &path.run,
            };
            sums.entry(&path.path)
                .and_modify(|sum| sum.to_mut().add(counts))
                .or_insert(Cow::Borrowed(counts));
        }
    }
    let mut asked: Vec<_> = sums
        .into_iter()
        .filter(|(_, counts)| counts.total() > 0)
        .collect();
    // Equal counts are put in the order of the path, so that the order is always the same.
    asked.sort_by(|(a, a_counts), (b, b_counts)| (b_counts.total(), a).cmp(&(a_counts.total(), b)));
    // In the place of a count of one path stands that path.
    let listed = if asked.len() == LISTED + 1 && overflow == 0 {
        LISTED + 1
    } else {
        LISTED
    };
    let other = asked
        .iter()
        .skip(listed)
        .map(|(_, counts)| counts.total())
        .sum::<u64>()
        + overflow;
    let paths = asked
        .into_iter()
        .take(listed)
        .map(|(path, counts)| PathTotals {
            path: path.to_owned(),
            requests: counts.total(),
            p50_ns: counts.quantile(500),
            p99_ns: counts.quantile(990),
        })
        .collect();
    ListedPaths {
        paths,
        other,
        overflow,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_window(paths: &Paths) -> ListedPaths {
        listed([paths].into_iter(), Over::Window)
    }

    fn of_run(paths: &Paths) -> ListedPaths {
        listed([paths].into_iter(), Over::Run)
    }

    #[test]
    fn the_most_asked_come_first_and_the_rest_is_counted() {
        let mut paths = Paths::default();
        let asked = [
            ("/a", 3),
            ("/b", 9),
            ("/c", 1),
            ("/d", 1),
            ("/e", 1),
            ("/f", 1),
            ("/g", 1),
        ];
        for (path, times) in asked {
            for _ in 0..times {
                paths.record(path, 1_000, MAX_PATHS);
            }
        }
        let listed = of_window(&paths);
        let names: Vec<_> = listed
            .paths
            .iter()
            .map(|path| (path.path.as_str(), path.requests))
            .collect();
        assert_eq!(names, [("/b", 9), ("/a", 3), ("/c", 1), ("/d", 1), ("/e", 1)]);
        assert_eq!((listed.other, listed.overflow), (2, 0));
        paths.close_window(MAX_PATHS);
        assert_eq!(of_run(&paths).paths, listed.paths);
        assert!(of_window(&paths).paths.is_empty());
    }

    #[test]
    fn one_path_alone_is_not_counted_as_others() {
        let mut paths = Paths::default();
        let told = |paths: &Paths| {
            let listed = of_window(paths);
            (listed.paths.len(), listed.other)
        };
        for n in 0..=LISTED {
            paths.record(&format!("/{n}"), 1_000, LISTED + 1);
        }
        assert_eq!(told(&paths), (LISTED + 1, 0));
        paths.record("/no-room", 1_000, LISTED + 1);
        assert_eq!(told(&paths), (LISTED, 2));
    }

    #[test]
    fn strangers_cannot_make_it_grow_and_no_request_goes_uncounted() {
        let mut paths = Paths::default();
        let total =
            |listed: ListedPaths| listed.paths.iter().map(|path| path.requests).sum::<u64>() + listed.other;
        for window in 0..3 {
            for n in 0..1_000 {
                paths.record(&format!("/{window}/{n}"), 1_000, MAX_PATHS);
            }
            assert_eq!(total(of_window(&paths)), 1_000);
            assert!(paths.paths.len() <= MAX_PATHS && paths.slots.len() <= MAX_PATHS);
            paths.close_window(MAX_PATHS);
        }
        assert_eq!(total(of_run(&paths)), 3_000);
    }

    #[test]
    fn paths_that_nobody_asks_for_make_room_when_it_is_full() {
        let mut paths = Paths::default();
        for n in 0..MAX_PATHS {
            paths.record(&format!("/{n}"), 1_000, MAX_PATHS);
        }
        paths.close_window(MAX_PATHS);
        paths.record("/7", 1_000, MAX_PATHS);
        paths.close_window(MAX_PATHS);
        paths.record("/new", 1_000, MAX_PATHS);
        assert_eq!(of_window(&paths).paths[0].path, "/new");
        paths.close_window(MAX_PATHS);
        let run = of_run(&paths);
        assert_eq!((run.paths[0].path.as_str(), run.paths[0].requests), ("/7", 2));
        assert_eq!(run.overflow, MAX_PATHS as u64 - 1);
    }

    #[test]
    fn a_path_of_several_targets_is_one_where_they_stand_together() {
        let mut targets = [Paths::default(), Paths::default()];
        for (times, paths) in [3, 4].into_iter().zip(&mut targets) {
            (0..times).for_each(|_| paths.record("/slow", times * 1_000, MAX_PATHS));
            paths.record(&format!("/{times}"), 1, 1);
        }
        let together = listed(targets.iter(), Over::Window);
        let [slow] = &together.paths[..] else {
            panic!("{:?}", together.paths)
        };
        assert_eq!((slow.path.as_str(), slow.requests), ("/slow", 7));
        assert_eq!((slow.p50_ns, slow.p99_ns), (4_000, 4_000));
        assert_eq!(
            (together.other, together.overflow),
            (2, 2),
            "each had room for one path"
        );
    }

    #[test]
    fn many_targets_tell_fewer_paths_apart() {
        assert_eq!([0, 1, 4, 8, 64].map(max_paths), [256, 256, 256, 128, 16]);
    }
}
