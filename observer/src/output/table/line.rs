//! One line of the table: pieces of text with a look, cut to a width when it is written.
//!
//! Every text enters through [`escape`], so that nothing from outside can steer the terminal, whatever a
//! part of the table prints. It does not know what the lines say, nor where they end up.

use anstyle::{AnsiColor, Color, Style};

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

#[derive(Clone, Debug)]
struct StyledText {
    safe: String,
    style: Style,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Line {
    pieces: Vec<StyledText>,
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

    /// Appends the line to `out`, in at most `width` columns and without its end.
    pub(super) fn write(&self, width: usize, in_colour: bool, out: &mut String) {
        let mut left = width;
        let fits = self
            .pieces
            .iter()
            .map(|piece| columns(&piece.safe))
            .sum::<usize>()
            <= width;
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
