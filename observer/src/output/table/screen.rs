//! Puts sections on the screen: which of them find room, and how one picture takes the place of another.
//!
//! The table stays on the ordinary screen, so that the last one is still there when the program has ended.
//! It does not know what the sections say.

use super::Size;
use super::line::{FAINT, Line};
use crate::output::words;

/// To the upper left corner.
const HOME: &str = "\x1b[H";

/// Clears from here to the end of the line.
const CLEAR_LINE: &str = "\x1b[K";

/// Clears from here to the end of the screen.
const CLEAR_BELOW: &str = "\x1b[J";

/// Some lines that belong together.
#[derive(Debug)]
pub(super) struct Section {
    /// Where room is short, lower numbers get it first.
    rank: u8,
    /// Fewer lines than these say nothing.
    least: usize,
    lines: Vec<Line>,
}

impl Section {
    /// Lines that are good each by itself.
    pub(super) const fn new(rank: u8, lines: Vec<Line>) -> Self {
        Self {
            rank,
            least: 1,
            lines,
        }
    }

    /// Lines of which the first is the title of the others.
    pub(super) const fn titled(rank: u8, lines: Vec<Line>) -> Self {
        Self {
            rank,
            least: 2,
            lines,
        }
    }
}

/// Leaves as many lines as there is room for, from the end of each section and of the last in rank first. Gives how
/// many it took away.
pub(super) fn fit(sections: &mut [Section], rows: usize) -> usize {
    let (mut left, mut gone) = (rows, 0);
    let mut by_rank: Vec<_> = sections.iter_mut().collect();
    by_rank.sort_by_key(|section| section.rank);
    for section in by_rank {
        let room = if left < section.least { 0 } else { left };
        gone += section.lines.len().saturating_sub(room);
        section.lines.truncate(room);
        left -= section.lines.len();
    }
    gone
}

/// What is on the screen.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// The table's picture is there, from the first row on.
    taken: bool,
}

impl Screen {
    /// Appends to `out` what shows the sections while the run goes on: never more than the screen holds.
    pub(super) fn redraw(
        &mut self,
        mut sections: Vec<Section>,
        size: Size,
        in_colour: bool,
        out: &mut String,
    ) {
        if !self.taken {
            // What was there before is pushed up to where it can be scrolled back to.
            out.extend(std::iter::repeat_n('\n', size.height));
            self.taken = true;
        }
        wrap(&mut sections, drawn_width(size));
        // The last row is the cursor's: a line end there would scroll.
        let more = fit(&mut sections, size.height.saturating_sub(1));
        replace(&sections, size, in_colour, out);
        if more > 0 && size.height > 1 {
            let told = format!(
                "  {} more: at the end, or in a taller window",
                words::counted(more as u64, "line", "lines")
            );
            Line::new()
                .text(FAINT, &told)
                .write(drawn_width(size), in_colour, out);
        }
    }

    /// Appends to `out` what shows the sections once and for all, whole.
    pub(super) fn last(&self, mut sections: Vec<Section>, size: Size, in_colour: bool, out: &mut String) {
        if self.taken {
            wrap(&mut sections, drawn_width(size));
            replace(&sections, size, in_colour, out);
        } else {
            wrap(&mut sections, size.width);
            write(&sections, "", size.width, in_colour, out);
        }
    }
}

/// In the last column terminals disagree on where the cursor is, and on what is cleared from there.
const fn drawn_width(size: Size) -> usize {
    size.width.saturating_sub(1)
}

/// Parts the lines that wrap into as many as they take.
fn wrap(sections: &mut [Section], width: usize) {
    for section in sections {
        let lines = std::mem::take(&mut section.lines);
        section.lines = lines.into_iter().flat_map(|line| line.wrapped(width)).collect();
    }
}

/// Overwrites line by line, and clears only what is left: nothing flickers.
fn replace(sections: &[Section], size: Size, in_colour: bool, out: &mut String) {
    out.push_str(HOME);
    write(sections, CLEAR_LINE, drawn_width(size), in_colour, out);
    out.push_str(CLEAR_BELOW);
}

fn write(sections: &[Section], end: &str, width: usize, in_colour: bool, out: &mut String) {
    for line in sections.iter().flat_map(|section| &section.lines) {
        line.write(width, in_colour, out);
        out.push_str(end);
        out.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::super::line::PLAIN;
    use super::*;

    fn lines(text: &str, count: usize) -> Vec<Line> {
        vec![Line::new().text(PLAIN, text); count]
    }

    fn kept(sections: Vec<Section>, rows: usize) -> Vec<usize> {
        let mut sections = sections;
        fit(&mut sections, rows);
        sections.iter().map(|section| section.lines.len()).collect()
    }

    #[test]
    fn room_goes_to_what_matters_most() {
        let sections = || {
            vec![
                Section::new(0, lines("heading", 1)),
                Section::titled(2, lines("paths", 6)),
                Section::titled(1, lines("budget", 5)),
            ]
        };
        assert_eq!(kept(sections(), 100), [1, 6, 5]);
        assert_eq!(kept(sections(), 9), [1, 3, 5]);
        assert_eq!(kept(sections(), 7), [1, 0, 5], "a title alone says nothing");
        assert_eq!(kept(sections(), 3), [1, 0, 2]);
        assert_eq!(kept(sections(), 0), [0, 0, 0]);
    }

    #[test]
    fn a_picture_is_overwritten_and_not_cleared_first() {
        let size = Size { width: 80, height: 3 };
        let (mut screen, mut out) = (Screen::default(), String::new());
        screen.redraw(vec![Section::new(0, lines("one", 1))], size, false, &mut out);
        assert_eq!(out, "\n\n\n\x1b[Hone\x1b[K\n\x1b[J");
        out.clear();
        screen.redraw(vec![Section::new(0, lines("two", 2))], size, false, &mut out);
        assert_eq!(out, "\x1b[Htwo\x1b[K\ntwo\x1b[K\n\x1b[J");
    }

    #[test]
    fn what_finds_no_room_is_said_to_be_there() {
        let size = Size { width: 80, height: 4 };
        let sections = vec![
            Section::new(0, lines("heading", 1)),
            Section::titled(1, lines("paths", 6)),
        ];
        let mut out = String::new();
        Screen::default().redraw(sections, size, false, &mut out);
        let text = out.replace("\x1b[K", "");
        assert_eq!(
            text,
            "\n\n\n\n\x1b[Hheading\npaths\npaths\n\x1b[J  4 lines more: at the end, or in a taller window"
        );
    }

    #[test]
    fn what_wraps_takes_its_rows_from_the_height() {
        let size = Size { width: 31, height: 3 };
        let line = Line::new()
            .text(PLAIN, "hint  ")
            .text(
                PLAIN,
                "nobody listened; send it requests, or see who else listens",
            )
            .wrapping();
        let mut out = String::new();
        Screen::default().redraw(vec![Section::new(0, vec![line])], size, false, &mut out);
        let picture =
            "\n\n\n\x1b[Hhint  nobody listened; send it\x1b[K\n      requests, or see who\x1b[K\n\x1b[J";
        assert_eq!(out, format!("{picture}  1 line more: at the end, or…"));
    }

    #[test]
    fn without_a_picture_before_it_the_last_one_is_plain_lines() {
        let (screen, mut out) = (Screen::default(), String::new());
        screen.last(
            vec![Section::new(0, lines("one", 2))],
            Size { width: 80, height: 1 },
            false,
            &mut out,
        );
        assert_eq!(out, "one\none\n");
    }
}
