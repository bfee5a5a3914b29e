//! What is missing from the run, and what to do.

use super::line::{ALARM, Line, PLAIN, STRONG};
use crate::model::hint::Hint;

/// Two lines for each hint, which wrap: a command is apart from the sentence before it.
pub(super) fn lines(hints: &[Hint]) -> Vec<Line> {
    let both = |hint: &Hint| {
        [
            Line::new()
                .text(ALARM, "hint     ")
                .text(PLAIN, &hint.text)
                .wrapping(),
            Line::new()
                .text(PLAIN, "         ")
                .text(STRONG, &hint.remedy)
                .wrapping(),
        ]
    };
    hints.iter().flat_map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::super::plain;
    use super::*;
    use crate::output::made_up;

    #[test]
    fn what_to_do_has_a_line_of_its_own() {
        let text = plain(&lines(&made_up::end().hints));
        assert!(text.starts_with("hint     what its child 4121 "), "{text}");
        assert!(
            text.ends_with("\n         sudo observer attach --pid 4120 --pid 4121\n"),
            "{text}"
        );
    }
}
