//! Blanks out what is not code in Rust text, so that a rule can look for words without finding them in a string.
//!
//! Lines and columns stay as they are. It knows strings, characters and comments, not the grammar.

use std::iter::Peekable;
use std::str::Chars;

/// The text with the content of its strings, characters and comments replaced by spaces.
pub(super) fn code_only(text: &str) -> String {
    let mut masked = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    let mut previous = ' ';
    while let Some(c) = rest.next() {
        let in_word = previous.is_alphanumeric() || previous == '_';
        previous = c;
        match c {
            '/' if rest.peek() == Some(&'/') => line_comment(&mut rest, &mut masked),
            '/' if rest.peek() == Some(&'*') => block_comment(&mut rest, &mut masked),
            '"' => string(&mut rest, &mut masked),
            'r' if !in_word || matches!(masked.chars().next_back(), Some('b' | 'c')) => {
                masked.push('r');
                raw_string(&mut rest, &mut masked);
            }
            '\'' => character(&mut rest, &mut masked),
            _ => masked.push(c),
        }
    }
    masked
}

/// Blanks one character; a line break stays.
fn blank(c: char, masked: &mut String) {
    masked.push(if c == '\n' { '\n' } else { ' ' });
}

fn line_comment(rest: &mut Peekable<Chars<'_>>, masked: &mut String) {
    masked.push(' ');
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        blank(c, masked);
    }
}

/// Comments of this kind nest.
fn block_comment(rest: &mut Peekable<Chars<'_>>, masked: &mut String) {
    masked.push(' ');
    blank(rest.next().unwrap_or(' '), masked);
    let mut depth = 1_u32;
    while let Some(c) = rest.next() {
        blank(c, masked);
        let (step_in, step_out) = (
            c == '/' && rest.peek() == Some(&'*'),
            c == '*' && rest.peek() == Some(&'/'),
        );
        if step_in || step_out {
            rest.next();
            masked.push(' ');
            depth = if step_in { depth + 1 } else { depth - 1 };
        }
        if depth == 0 {
            return;
        }
    }
}

fn string(rest: &mut Peekable<Chars<'_>>, masked: &mut String) {
    masked.push('"');
    while let Some(c) = rest.next() {
        if c == '"' {
            masked.push('"');
            return;
        }
        blank(c, masked);
        if c == '\\'
            && let Some(escaped) = rest.next()
        {
            blank(escaped, masked);
        }
    }
}

/// After an `r`: a raw string, a raw identifier, or any word.
fn raw_string(rest: &mut Peekable<Chars<'_>>, masked: &mut String) {
    let mut hashes = 0_usize;
    while rest.next_if_eq(&'#').is_some() {
        masked.push('#');
        hashes += 1;
    }
    if rest.next_if_eq(&'"').is_none() {
        return;
    }
    masked.push('"');
    let end: String = std::iter::once('"')
        .chain(std::iter::repeat_n('#', hashes))
        .collect();
    while let Some(c) = rest.next() {
        let ahead: String = std::iter::once(c).chain(rest.clone().take(hashes)).collect();
        if ahead == end {
            masked.push_str(&end);
            rest.by_ref().take(hashes).for_each(drop);
            return;
        }
        blank(c, masked);
    }
}

/// After a `'`: a character, or a lifetime.
fn character(rest: &mut Peekable<Chars<'_>>, masked: &mut String) {
    masked.push('\'');
    let mut ahead = rest.clone();
    let is_character = match ahead.next() {
        Some('\\') => true,
        Some(_) => ahead.next() == Some('\''),
        None => false,
    };
    if !is_character {
        return;
    }
    while let Some(c) = rest.next() {
        if c == '\'' {
            masked.push('\'');
            return;
        }
        blank(c, masked);
        if c == '\\'
            && let Some(escaped) = rest.next()
        {
            blank(escaped, masked);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn hidden(text: &str) {
        let masked = code_only(text);
        assert!(!masked.contains("word"), "{masked}");
        assert_eq!(masked.chars().count(), text.chars().count(), "{masked}");
        assert!(masked.ends_with("end"), "{masked}");
    }

    #[test]
    fn words_in_strings_characters_and_comments_are_hidden() {
        hidden(r#"let a = "word \" word"; end"#);
        hidden("let a = r#\"word \" word\"#; end");
        hidden("let a = br\"word \\\"; end");
        hidden("// word\nend");
        hidden("/* word /* word */ word */ end");
        hidden("let a = ['\\'', '\"', 'x']; /* word */ end");
    }

    #[test]
    fn code_stays() {
        for text in [
            "fn f<'a>(x: &'a str) -> r#type { word }",
            "for word in 0..9 { a / b }",
            "r(word)",
        ] {
            assert_eq!(code_only(text), text);
        }
    }

    #[test]
    fn lines_stay_where_they_are() {
        let masked = code_only("a\n\"x\ny\"\n/*\n*/b\n");
        assert_eq!(masked.lines().count(), 5);
        assert_eq!(masked.lines().last(), Some("  b"));
    }
}
