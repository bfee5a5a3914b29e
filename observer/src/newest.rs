//! A history of bounded size, which remembers the newest of what happened.

use std::collections::VecDeque;
use std::ops::Deref;

/// The newest of what happened, the oldest first: `MOST` at most.
#[derive(Clone, Debug)]
pub(crate) struct Newest<T, const MOST: usize>(VecDeque<T>);

impl<T, const MOST: usize> Default for Newest<T, MOST> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T, const MOST: usize> Newest<T, MOST> {
    /// One more happened. Gives the oldest, if it is forgotten for that.
    pub(crate) fn push(&mut self, newest: T) -> Option<T> {
        let forgotten = self.is_full().then(|| self.0.pop_front()).flatten();
        if self.0.len() == self.0.capacity() {
            // Not room for four at once: ten thousand connections have such histories, most of them one thing long.
            self.0.reserve_exact(self.0.len() / 2 + 1);
        }
        self.0.push_back(newest);
        forgotten
    }

    /// Whether the oldest may have been forgotten.
    pub(crate) fn is_full(&self) -> bool {
        self.0.len() == MOST
    }

    pub(crate) fn back_mut(&mut self) -> Option<&mut T> {
        self.0.back_mut()
    }

    pub(crate) fn pop_back(&mut self) -> Option<T> {
        self.0.pop_back()
    }

    pub(crate) fn remove(&mut self, place: usize) -> Option<T> {
        self.0.remove(place)
    }

    pub(crate) fn retain(&mut self, is_kept: impl FnMut(&mut T) -> bool) {
        self.0.retain_mut(is_kept);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}

impl<T, const MOST: usize> Deref for Newest<T, MOST> {
    type Target = VecDeque<T>;

    fn deref(&self) -> &VecDeque<T> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_than_there_is_room_for_takes_the_place_of_the_oldest() {
        let mut newest = Newest::<u32, 2>::default();
        assert_eq!([1, 2].map(|number| newest.push(number)), [None; 2]);
        assert!(newest.is_full());
        assert_eq!(newest.push(3), Some(1));
        assert_eq!(newest.iter().copied().collect::<Vec<_>>(), [2, 3]);
    }
}
