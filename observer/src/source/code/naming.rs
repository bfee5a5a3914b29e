//! What a function is called for people.
//!
//! Pure: symbols in, names out.

use std::borrow::Cow;

use super::cplusplus;

/// What a function is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readable {
    /// As people write it: demangled, without hashes, parameters, generic arguments and closures.
    pub name: String,
    /// Whether it is of C++, where what a name begins with tells no library from the program.
    pub is_cplusplus: bool,
}

/// Reads a symbol.
#[must_use]
pub fn readable(symbol: &str) -> Readable {
    let rust = rustc_demangle::try_demangle(symbol);
    if let (Err(_), Some(name)) = (&rust, cplusplus::readable(symbol)) {
        return Readable {
            name,
            is_cplusplus: true,
        };
    }
    let name = match rust {
        Ok(name) => without_arguments(&format!("{name:#}")),
        Err(_) if symbol.contains("::") => without_arguments(symbol),
        Err(_) => without_suffix(symbol).into_owned(),
    };
    Readable {
        name,
        is_cplusplus: false,
    }
}

/// A C or Go symbol without what compilers append, and without a Go function's type arguments.
fn without_suffix(symbol: &str) -> Cow<'_, str> {
    let ends = [".cold", ".part.", ".isra.", ".constprop.", ".llvm.", "@"];
    let end = ends.iter().filter_map(|end| symbol.find(end)).min();
    let symbol = end.map_or(symbol, |end| &symbol[..end]);
    match symbol.split_once('[') {
        Some((before, after)) => match after.rsplit_once(']') {
            Some((_, rest)) => Cow::Owned(format!("{before}{rest}")),
            None => Cow::Borrowed(symbol),
        },
        None => Cow::Borrowed(symbol),
    }
}

/// A Rust path without generic arguments and closures; a method of a trait by the type that it is for.
fn without_arguments(path: &str) -> String {
    if let Some((inside, rest)) = angle(path)
        && let Some(rest) = rest.strip_prefix("::")
    {
        let owner = owner(inside);
        return if rest.is_empty() {
            owner
        } else {
            joined(&owner, &without_arguments(rest))
        };
    }
    let mut segments: Vec<&str> = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some((_, after)) = angle(rest) {
            rest = after;
        } else {
            let end = rest.find(['<', ':']).unwrap_or(rest.len());
            // A colon that begins no path separator does not come up; it must not stop the walk either.
            let end = end.max(1).min(rest.len());
            let segment = rest[..floor(rest, end)].trim();
            if !segment.is_empty() && !segment.starts_with('{') && segment != ":" {
                segments.push(segment);
            }
            rest = &rest[floor(rest, end).max(1)..];
        }
    }
    segments.join("::")
}

/// The next boundary of a character at or before `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0)
}

/// For `<inside>rest`: both.
fn angle(text: &str) -> Option<(&str, &str)> {
    let mut depth = 0_usize;
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        match c {
            '<' => depth += 1,
            // The arrow of a function's type is no bracket.
            '>' if before != '-' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return (at > 0).then(|| (&text[1..at], &text[at + 1..]));
        }
        before = c;
    }
    None
}

/// What stands for `Type`, `Type as Trait` or `impl Trait for Type` before a method: the type, or the trait where the
/// type is none that has a path.
fn owner(inside: &str) -> String {
    let split = |word: &str| {
        let mut depth = 0_usize;
        let mut found = None;
        for (at, c) in inside.char_indices() {
            match c {
                '<' => depth += 1,
                '>' => depth = depth.saturating_sub(1),
                _ if depth == 0 && inside[at..].starts_with(word) => found = found.or(Some(at)),
                _ => {}
            }
        }
        found.map(|at| (&inside[..at], &inside[at + word.len()..]))
    };
    let (kind, of) = match (split(" as "), inside.strip_prefix("impl "), split(" for ")) {
        (Some((kind, of)), ..) => (kind, Some(of)),
        (None, Some(_), Some((of, kind))) => (kind, of.strip_prefix("impl ")),
        (None, ..) => (inside, None),
    };
    let mut kind = kind.trim();
    while let Some(inner) = ["&", "*const ", "*mut ", "mut ", "dyn "]
        .iter()
        .find_map(|prefix| kind.strip_prefix(prefix))
    {
        kind = inner.trim_start();
    }
    let has_path = kind.contains("::") && !kind.starts_with(['(', '[', '<']) && !kind.starts_with("fn");
    match of {
        Some(of) if !has_path => without_arguments(of),
        _ => without_arguments(kind),
    }
}

fn joined(path: &str, rest: &str) -> String {
    match (path.is_empty(), rest.is_empty()) {
        (true, _) => rest.to_owned(),
        (_, true) => path.to_owned(),
        _ => format!("{path}::{rest}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_without_hashes_arguments_and_closures() {
        for (symbol, name) in [
            (
                "_ZN10serde_json3ser6to_vec17h0123456789abcdefE",
                "serde_json::ser::to_vec",
            ),
            (
                "_ZN13faulty_server6report28_$u7b$$u7b$closure$u7d$$u7d$17h0123456789abcdefE",
                "faulty_server::report",
            ),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_RINvCs1234_7mycrate3barmE", "mycrate::bar"),
            (
                "app::Cache<alloc::string::String, fn(u8) -> bool>::get",
                "app::Cache::get",
            ),
            (
                "<app::Item<T> as serde::ser::Serialize>::serialize",
                "app::Item::serialize",
            ),
            ("<&mut app::Item as core::fmt::Display>::fmt", "app::Item::fmt"),
            ("<str as core::fmt::Display>::fmt", "core::fmt::Display::fmt"),
            (
                "<F as axum::handler::Handler<(M, T1), S>>::call::{{closure}}",
                "axum::handler::Handler::call",
            ),
            (
                "serde::ser::impls::<impl serde::ser::Serialize for alloc::vec::Vec<T>>::serialize",
                "serde::ser::impls::serialize",
            ),
            ("core::ptr::drop_in_place<app::Item>", "core::ptr::drop_in_place"),
            ("<dyn app::Job as app::Run>::run::{closure#0}", "app::Job::run"),
            ("<[T] as app::Sort<<T as app::Key>::Of>>::sort", "app::Sort::sort"),
            ("<i32>::checked_add_unsigned", "i32::checked_add_unsigned"),
            ("<[u8]>::contains", "[u8]::contains"),
            ("<*const u8>::add", "u8::add"),
            ("_ZN4node2fs4ReadEi", "node::fs::Read"),
            ("memcpy@GLIBC_2.14", "memcpy"),
            ("ngx_http_handler.part.0", "ngx_http_handler"),
            ("main.Max[go.shape.int]", "main.Max"),
            ("net/http.(*conn).serve", "net/http.(*conn).serve"),
        ] {
            assert_eq!(readable(symbol).name, name, "{symbol}");
        }
    }

    #[test]
    fn no_symbol_stops_the_walk() {
        for symbol in [
            "",
            "<",
            ">",
            "::",
            "<a",
            "a::<b",
            ":::",
            "<>::",
            "<é as ü>::ö:",
            "a:b::c",
            "< as >::",
        ] {
            let _ = readable(symbol);
            let _ = without_arguments(symbol);
        }
    }
}
