//! One line of the table: pieces of text with a look, cut to a width when it is written, or wrapped before that.
//!
//! Every text enters through [`escape`], so that nothing from outside can steer the terminal, whatever a
//! part of the table prints. It does not know what the lines say, nor where they end up.

use anstyle::{AnsiColor, Color, Style};

use unicode_width::UnicodeWidthChar as _;

use crate::output::escape::{columns, cut, escape};

/// Ordinary text.
pub(super) const PLAIN: Style = Style::new();

/// What opens a section, and sums.
pub(super) const STRONG: Style = Style::new().bold();

/// What is there for those who look for it.
pub(super) const FAINT: Style = Style::new().dimmed();

/// What must not be overlooked.
pub(super) const ALARM: Style = colour(AnsiColor::Red).bold();

/// Text in one of the terminal's own sixteen colours: these fit the reader's background.
pub(super) const fn colour(colour: AnsiColor) -> Style {
    Style::new().fg_color(Some(Color::Ansi(colour)))
}

/// Most columns for what a line is about, in lines with so much room: what follows it matters more.
pub(super) fn most_of_label(in_short_lines: usize, room: usize) -> usize {
    in_short_lines.max(room / 4)
}

/// Sentences in fewer columns than these cannot be read: they are cut.
const LEAST_WRAPPED: usize = 20;

#[derive(Clone, Debug)]
struct StyledText {
    safe: String,
    style: Style,
}

/// A character with its look.
type Cell = (char, Style);

#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<StyledText>,
    wraps: bool,
}

impl Line {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// Adds text as it is.
    pub(super) fn text(mut self, style: Style, text: &str) -> Self {
        self.pieces.push(StyledText {
            safe: escape(text).into_owned(),
            style,
        });
        self
    }

    /// Adds text cut or filled up to `width` columns, at the left of them.
    pub(super) fn left(mut self, style: Style, width: usize, text: &str) -> Self {
        let mut safe = cut(&escape(text), width).into_owned();
        safe.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(&safe))));
        self.pieces.push(StyledText { safe, style });
        self
    }

    /// Adds text cut or filled up to `width` columns, at the right of them.
    pub(super) fn right(mut self, style: Style, width: usize, text: &str) -> Self {
        let text = escape(text);
        let text = cut(&text, width);
        let mut safe = " ".repeat(width.saturating_sub(columns(&text)));
        safe.push_str(&text);
        self.pieces.push(StyledText { safe, style });
        self
    }

    /// Makes what follows the first piece go on in further lines, below its own beginning, where a line has no room for
    /// it.
    pub(super) const fn wrapping(mut self) -> Self {
        self.wraps = true;
        self
    }

    /// The lines that show this one in `width` columns: itself, unless it was made to wrap and must.
    pub(super) fn wrapped(self, width: usize) -> Vec<Self> {
        let [label, text @ ..] = self.pieces.as_slice() else {
            return vec![self];
        };
        let indent = columns(&label.safe);
        let room = width.saturating_sub(indent);
        if !self.wraps || self.columns() <= width || room < LEAST_WRAPPED {
            return vec![self];
        }
        let cells: Vec<Cell> = text
            .iter()
            .flat_map(|piece| piece.safe.chars().map(|c| (c, piece.style)))
            .collect();
        let mut lines = Vec::new();
        let mut rest = cells.as_slice();
        while !rest.is_empty() {
            let (row, after) = first_row(rest, room);
            rest = after;
            let label = if lines.is_empty() {
                label.clone()
            } else {
                StyledText {
                    safe: " ".repeat(indent),
                    style: PLAIN,
                }
            };
            let pieces = row.chunk_by(|a, b| a.1 == b.1).map(|run| StyledText {
                safe: run.iter().map(|(c, _)| c).collect(),
                style: run[0].1,
            });
            lines.push(Self {
                pieces: std::iter::once(label).chain(pieces).collect(),
                wraps: false,
            });
        }
        lines
    }

    fn columns(&self) -> usize {
        self.pieces.iter().map(|piece| columns(&piece.safe)).sum()
    }

    /// Appends the line to `out`, in at most `width` columns and without its end.
    pub(super) fn write(&self, width: usize, in_colour: bool, out: &mut String) {
        let mut left = width;
        let fits = self.columns() <= width;
        for StyledText { safe, style } in &self.pieces {
            let taken = columns(safe);
            if fits || taken < left {
                write_piece(safe, *style, in_colour, out);
                left = left.saturating_sub(taken);
            } else {
                // More is to come also where this piece would just fit: the reader sees that it was cut.
                write_piece(&cut(&format!("{safe}…"), left), *style, in_colour, out);
                return;
            }
        }
    }
}

/// What a row has room for, and what follows it: parted at a blank, or within a word that is longer than a row.
fn first_row(cells: &[Cell], room: usize) -> (&[Cell], &[Cell]) {
    let mut taken = 0;
    let fitting = cells.iter().position(|(c, _)| {
        taken += c.width().unwrap_or(0);
        taken > room
    });
    let Some(fitting) = fitting else {
        return (cells, &[]);
    };
    match cells[..=fitting].iter().rposition(|&(c, _)| c == ' ') {
        Some(blank) if blank > 0 => (&cells[..blank], &cells[blank + 1..]),
        _ => cells.split_at(fitting),
    }
}

fn write_piece(safe: &str, style: Style, in_colour: bool, out: &mut String) {
    if in_colour && style != PLAIN {
        out.push_str(&format!("{style}{safe}{style:#}"));
    } else {
        out.push_str(safe);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(line: &Line, width: usize, in_colour: bool) -> String {
        let mut out = String::new();
        line.write(width, in_colour, &mut out);
        out
    }

    #[test]
    fn a_line_is_cut_where_the_width_ends() {
        let line = Line::new()
            .text(PLAIN, "abc")
            .text(STRONG, "def")
            .text(PLAIN, "日本");
        let cuts = [20, 10, 9, 8, 6, 3, 1, 0].map(|width| written(&line, width, false));
        assert_eq!(
            cuts,
            [
                "abcdef日本",
                "abcdef日本",
                "abcdef日…",
                "abcdef…",
                "abcde…",
                "ab…",
                "…",
                ""
            ]
        );
    }

    fn rows(line: &Line, width: usize) -> Vec<String> {
        let lines = line.clone().wrapped(width);
        lines.iter().map(|line| written(line, width, false)).collect()
    }

    #[test]
    fn a_line_that_wraps_goes_on_below_its_text() {
        let line = Line::new()
            .text(STRONG, "hint  ")
            .text(PLAIN, "nobody listened")
            .text(FAINT, "; send it requests, or see")
            .text(PLAIN, " who else listens");
        assert_eq!(rows(&line, 30), ["hint  nobody listened; send i…"]);
        let line = line.wrapping();
        assert_eq!(
            rows(&line, 30),
            [
                "hint  nobody listened; send it",
                "      requests, or see who",
                "      else listens"
            ]
        );
        assert_eq!(
            rows(&line, 500),
            ["hint  nobody listened; send it requests, or see who else listens"]
        );
        assert_eq!(rows(&line, 20), ["hint  nobody listen…"], "too narrow to be read");
    }

    #[test]
    fn a_word_that_is_longer_than_a_row_goes_on_in_the_next() {
        let path = "/日本".repeat(9);
        let line = Line::new().text(PLAIN, "hint ").text(PLAIN, &path).wrapping();
        let rows = rows(&line, 26);
        assert!(rows.iter().all(|row| columns(row) <= 26), "{rows:?}");
        let whole: String = rows.iter().map(|row| &row[5..]).collect();
        assert_eq!(whole, path);
    }

    #[test]
    fn colour_is_there_only_when_it_is_asked_for() {
        let line = Line::new().text(ALARM, "lost").text(PLAIN, " 3");
        assert_eq!(written(&line, 80, false), "lost 3");
        assert_eq!(written(&line, 80, true), "\u{1b}[1m\u{1b}[31mlost\u{1b}[0m 3");
    }

    #[test]
    fn columns_are_filled_up_by_what_is_seen() {
        let line = Line::new()
            .left(PLAIN, 5, "日")
            .right(PLAIN, 8, "1.24 µs")
            .left(PLAIN, 3, "long");
        assert_eq!(written(&line, 80, false), "日    1.24 µslo…");
    }

    #[test]
    fn no_piece_can_steer_the_terminal() {
        let hostile = "\u{1b}[2J\n\u{9b}31m\u{202e}";
        let line = Line::new()
            .text(PLAIN, hostile)
            .left(PLAIN, 40, hostile)
            .right(PLAIN, 40, hostile);
        assert!(
            !written(&line, 500, false)
                .chars()
                .any(crate::output::escape::is_unsafe)
        );
    }
}
