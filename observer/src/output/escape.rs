//! Makes text from outside safe to show: names, paths and addresses come from strangers.
//!
//! Characters that steer a terminal, turn the direction of text or cannot be seen are written as
//! `\u{…}`; all others stay as they are. It does not know what is written, or in which form.

use std::borrow::Cow;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Whether a character must not reach a terminal as it is.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}'                    // soft hyphen
            | '\u{34f}'                 // combining grapheme joiner
            | '\u{61c}'                 // Arabic letter mark
            | '\u{115f}'..='\u{1160}'   // Hangul fillers
            | '\u{180b}'..='\u{180f}'   // Mongolian selectors and separator
            | '\u{200b}'..='\u{200f}'   // zero-width characters, direction marks
            | '\u{2028}'..='\u{202e}'   // line and paragraph separators, direction embeddings and overrides
            | '\u{2060}'..='\u{206f}'   // invisible operators, direction isolates
            | '\u{fe00}'..='\u{fe0f}'   // variation selectors
            | '\u{feff}'                // byte order mark
            | '\u{fff9}'..='\u{fffb}'   // interlinear annotation
            | '\u{e0000}'..='\u{e0fff}' // tags, further selectors
            | '\u{e000}'..='\u{f8ff}'   // private use: whatever the font makes of it
            | '\u{f0000}'..='\u{10ffff}')
}

/// Text that is safe to show on a terminal.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_unsafe) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_unsafe(c) {
            safe.extend(c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// How many columns of a terminal safe text takes.
#[must_use]
pub fn columns(safe: &str) -> usize {
    safe.width()
}

/// Cuts safe text to `columns` columns; what was cut ends in `…`.
#[must_use]
pub fn cut(safe: &str, columns: usize) -> Cow<'_, str> {
    if safe.width() <= columns {
        return Cow::Borrowed(safe);
    }
    let mut left = columns.saturating_sub(1);
    let mut short = String::new();
    for c in safe.chars() {
        let width = c.width().unwrap_or(0);
        if width > left {
            break;
        }
        left -= width;
        short.push(c);
    }
    if columns > 0 {
        short.push('…');
    }
    Cow::Owned(short)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_gets_through() {
        let hostile = "a\x1b[2J\r\n\x07\u{9b}31m\u{7f}\u{202e}gnp.exe\u{2066}\u{200b}\u{feff}\0";
        let safe = escape(hostile);
        assert!(!safe.chars().any(is_unsafe));
        assert!(safe.starts_with(r"a\u{1b}[2J\u{d}\u{a}\u{7}\u{9b}31m\u{7f}\u{202e}gnp.exe"));
    }

    #[test]
    fn every_control_character_is_escaped() {
        for c in ('\0'..='\u{ffff}').filter(|c| c.is_control()) {
            assert_eq!(escape(&c.to_string()), c.escape_unicode().to_string());
        }
    }

    #[test]
    fn ordinary_text_is_not_touched() {
        for text in ["", "GET /work", "/κόσμος/日本", "naïve café", r"C:\dir"] {
            assert!(matches!(escape(text), Cow::Borrowed(same) if same == text));
        }
    }

    #[test]
    fn text_is_cut_by_columns_and_not_by_bytes() {
        assert_eq!(cut("/work", 5), "/work");
        assert_eq!(cut("/working", 5), "/wor…");
        assert_eq!(cut("日本語", 5), "日本…");
        assert_eq!(cut("日本語", 4), "日…");
        assert_eq!((cut("ab", 1), cut("ab", 0)), ("…".into(), "".into()));
        assert_eq!(columns("日本…"), 5);
    }
}
