//! What a function is called for people, and which function of a stack says what the thread does.
//!
//! Pure: symbols and names in, names out.

use std::borrow::Cow;

use crate::runtime::tokio::names as tokio;

/// Whose code a function is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// The language's own libraries and what they stand on: says how something is done, not what.
    Standard,
    /// The runtime or framework that calls the program's code.
    Framework,
    /// The program, or a library that it uses.
    Program,
}

/// Crates of Rust's standard library, what it is made of, and small ones that stand in for it.
const STANDARD_CRATES: &[&str] = &[
    "std",
    "core",
    "alloc",
    "__rustc",
    "compiler_builtins",
    "hashbrown",
    "memchr",
    "panic_unwind",
    "itoa",
    "ryu",
    "zmij",
    "bytes",
    "smallvec",
    "indexmap",
    "serde",
    "serde_core",
    "libc",
    "rustix",
];

/// Types of the language. Only its own libraries can give them methods that belong to no trait.
const PRIMITIVE_TYPES: &[&str] = &[
    "bool", "char", "str", "i8", "i16", "i32", "i64", "i128", "isize", "u8", "u16", "u32", "u64", "u128",
    "usize", "f16", "f32", "f64", "f128",
];

/// Servers and middleware, beside the runtime's own crates. A name that ends with `_` stands for all crates that begin with it.
const FRAMEWORK_CRATES: &[&str] = &[
    "hyper",
    "hyper_",
    "h2",
    "http",
    "http_body",
    "http_body_",
    "httparse",
    "httpdate",
    "axum",
    "axum_",
    "matchit",
    "tower",
    "tower_",
    "actix_",
    "futures",
    "futures_",
    "pin_project",
    "pin_project_lite",
    "async_",
    "smol",
    "polling",
    "warp",
    "rocket",
    "poem",
    "tonic",
    "tracing",
    "tracing_",
    "log",
    "rayon_core",
    "crossbeam_",
    "parking_lot",
    "parking_lot_core",
    "lock_api",
];

/// Packages of Go's standard library that say how something is done, and below which all others are.
const STANDARD_PACKAGES: &[&str] = &[
    "runtime", "internal", "syscall", "sync", "bufio", "io", "os", "bytes", "strings", "strconv", "reflect",
    "sort", "slices", "maps", "time", "context", "errors", "unicode", "math", "hash",
];

/// Packages of Go that call the program's code.
const FRAMEWORK_PACKAGES: &[&str] = &[
    "net",
    "crypto/tls",
    "github.com/gin-gonic/gin",
    "github.com/labstack/echo",
    "github.com/go-chi/chi",
    "github.com/gofiber/fiber",
    "github.com/valyala/fasthttp",
];

/// Beginnings of C symbols of allocators, of the language's start-up, and of what compilers put in.
const STANDARD_SYMBOLS: &[&str] = &[
    "__", "_start", "_Unwind", "_rjem_", "je_", "_mi_", "mi_", "rust_", "memcpy", "memmove", "memset",
    "memcmp", "memchr", "malloc", "calloc", "realloc", "free", "bcmp", "strlen",
];

/// A symbol as people write it: demangled, without hashes, generic arguments and closures.
pub(super) fn readable(symbol: &str) -> String {
    match rustc_demangle::try_demangle(symbol) {
        Ok(name) => without_arguments(&format!("{name:#}")),
        Err(_) if symbol.contains("::") => without_arguments(symbol),
        Err(_) => without_suffix(symbol).into_owned(),
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

/// Whose code a function of this readable name is.
pub(super) fn part(name: &str) -> Part {
    if name.contains("::") {
        let own = origin(name);
        return if STANDARD_CRATES.contains(&own) || is_primitive(own) {
            Part::Standard
        } else if tokio::CRATES
            .iter()
            .chain(FRAMEWORK_CRATES)
            .any(|known| is_crate(own, known))
        {
            Part::Framework
        } else {
            Part::Program
        };
    }
    if name.contains('.') {
        let own = origin(name);
        let below = |known: &&&str| {
            own.strip_prefix(**known)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        return if STANDARD_PACKAGES.iter().any(|known| below(&known)) {
            Part::Standard
        } else if FRAMEWORK_PACKAGES.iter().any(|known| below(&known)) {
            Part::Framework
        } else {
            Part::Program
        };
    }
    let standard = name == "main" || STANDARD_SYMBOLS.iter().any(|known| name.starts_with(known));
    if standard { Part::Standard } else { Part::Program }
}

/// Whether a method is one of a type of the language, of which slices and arrays have no name.
fn is_primitive(own: &str) -> bool {
    PRIMITIVE_TYPES.contains(&own) || own.starts_with('[')
}

fn is_crate(own: &str, known: &str) -> bool {
    own == known || known.ends_with('_') && own.starts_with(known)
}

/// The crate or package that a function is from; empty for a C function.
fn origin(name: &str) -> &str {
    if let Some((own, _)) = name.split_once("::") {
        return own;
    }
    let directory = name.rfind('/').map_or(0, |at| at + 1);
    name[directory..]
        .find('.')
        .map_or("", |at| &name[..directory + at])
}

/// A function of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Function<Name> {
    /// Its readable name.
    pub(super) name: Name,
    /// Whose code it is.
    pub(super) part: Part,
}

/// The function that says what a thread does, of a stack from the innermost function out; `None` stands for a function
/// without a name.
///
/// The innermost one of the program. Where that is in a library, as far as the outermost function's crate tells, the
/// library's function that the program called: `to_vec` says more than the function that escapes a string. Without any
/// of the program's, the innermost of the framework, or the innermost at all.
///
/// Nothing, where a function without a name comes first: it may be the one that was looked for.
pub(super) fn telling<'a, Name: AsRef<str>>(stack: &[Option<&'a Function<Name>>]) -> Option<&'a Name> {
    let named = stack.iter().copied().map_while(|function| function);
    let Some(inner) = named.clone().find(|function| function.part == Part::Program) else {
        if named.clone().count() < stack.len() {
            return None;
        }
        let framework = named.clone().find(|function| function.part == Part::Framework);
        return framework.or(named.clone().next()).map(|function| &function.name);
    };
    let of_program = || {
        stack
            .iter()
            .rev()
            .copied()
            .flatten()
            .filter(|function| function.part == Part::Program)
    };
    let from = origin(inner.name.as_ref());
    let is_own = of_program()
        .next()
        .is_some_and(|outermost| origin(outermost.name.as_ref()) == from);
    let entry = of_program().find(|function| origin(function.name.as_ref()) == from);
    Some(entry.filter(|_| !is_own).map_or(&inner.name, |entry| &entry.name))
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
            ("memcpy@GLIBC_2.14", "memcpy"),
            ("ngx_http_handler.part.0", "ngx_http_handler"),
            ("main.Max[go.shape.int]", "main.Max"),
            ("net/http.(*conn).serve", "net/http.(*conn).serve"),
        ] {
            assert_eq!(readable(symbol), name, "{symbol}");
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
            let _ = part(&readable(symbol));
            let _ = without_arguments(symbol);
        }
    }

    #[test]
    fn whose_code_it_is_is_told_by_its_origin() {
        for (name, expected) in [
            ("core::fmt::write", Part::Standard),
            ("hashbrown::raw::RawTable::reserve", Part::Standard),
            ("i32::checked_add_unsigned", Part::Standard),
            ("[u8]::contains", Part::Standard),
            ("__memmove_avx_unaligned", Part::Standard),
            ("runtime.mallocgc", Part::Standard),
            ("runtime/debug.FreeOSMemory", Part::Standard),
            ("tokio::runtime::task::raw::poll", Part::Framework),
            ("actix_http::h1::dispatcher::poll", Part::Framework),
            ("net/http.(*conn).serve", Part::Framework),
            ("github.com/gin-gonic/gin.(*Context).Next", Part::Framework),
            ("networking::send", Part::Program),
            ("serde_json::ser::to_vec", Part::Program),
            ("encoding/json.Marshal", Part::Program),
            ("main.report", Part::Program),
            ("ngx_http_process_request", Part::Program),
        ] {
            assert_eq!(part(name), expected, "{name}");
        }
    }

    fn told(stack: &[&'static str]) -> Option<&'static str> {
        let functions: Vec<_> = stack
            .iter()
            .map(|&name| {
                (name != "?").then(|| Function {
                    name,
                    part: part(name),
                })
            })
            .collect();
        let functions: Vec<_> = functions.iter().map(Option::as_ref).collect();
        telling(&functions).copied()
    }

    #[test]
    fn of_the_program_the_innermost_function_tells() {
        let stack = [
            "core::slice::sort",
            "app::hash",
            "app::report",
            "axum::handler::call",
            "tokio::poll",
        ];
        assert_eq!(told(&stack), Some("app::hash"));
    }

    #[test]
    fn of_a_library_the_function_tells_that_the_program_called() {
        let stack = [
            "core::fmt::write",
            "serde_json::ser::format_escaped_str",
            "serde::ser::impls::serialize",
            "app::Item::serialize",
            "serde_json::ser::to_vec",
            "app::report",
            "axum::handler::call",
        ];
        assert_eq!(told(&stack), Some("serde_json::ser::to_vec"));
    }

    #[test]
    fn without_any_of_the_program_what_called_it_tells() {
        assert_eq!(
            told(&["memcpy", "hyper::proto::h1::write", "tokio::poll"]),
            Some("hyper::proto::h1::write")
        );
        assert_eq!(told(&["memcpy", "std::sys::thread::start"]), Some("memcpy"));
        assert_eq!(told(&[]), None);
    }

    #[test]
    fn a_function_without_a_name_is_not_passed_by() {
        assert_eq!(told(&["?", "app::report"]), None);
        assert_eq!(told(&["memcpy", "?", "app::report"]), None);
        assert_eq!(told(&["memcpy", "?"]), None, "it may be the program's");
        assert_eq!(told(&["app::hash", "?", "app::report"]), Some("app::hash"));
    }
}
