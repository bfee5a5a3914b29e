//! C++ symbols as people write them: without parameters, template arguments and lambdas.
//!
//! `cpp_demangle` takes them apart: of the same makers as `gimli` and `object`, in `addr2line` and Sentry's `symbolic`
//! too, plain Rust, and it tells what of its output are template arguments.

use std::fmt;

use cpp_demangle::{BorrowedSymbol, DemangleNodeType, DemangleOptions, DemangleWrite, ParseOptions};

/// A symbol of a few bytes can stand for gigabytes: what refers to itself often enough. Longer than this is none,
/// bytes.
const MAX_DEMANGLED_BYTES: usize = 16 << 10;

/// How deep what a symbol says may be nested. Of the 76,312 functions of Node 20 it is more in 27, and with each level
/// a symbol made for it takes four times as long to read: 7 ms at 64, and 2 s at 96, which is the parser's own limit.
const MAX_DEPTH: u32 = 48;

/// Namespaces that a library's versions are in, of which its users do not know.
const VERSIONS: &[&str] = &["__1", "__cxx11"];

/// What a C++ symbol stands for; `None` where it is none.
pub(super) fn readable(symbol: &str) -> Option<String> {
    if !symbol.starts_with("_Z") {
        return None;
    }
    let options = ParseOptions::default().recursion_limit(MAX_DEPTH);
    let (parsed, suffix) = BorrowedSymbol::with_tail_and_options(symbol.as_bytes(), &options).ok()?;
    // What compilers append.
    if !suffix.is_empty() && !suffix.starts_with(b".") && !suffix.starts_with(b"@") {
        return None;
    }
    let mut name = WithoutArguments::default();
    let options = DemangleOptions::new().no_params().no_return_type();
    parsed.structured_demangle(&mut name, &options).ok()?;
    let name = path(&name.text);
    (!name.is_empty()).then_some(name)
}

/// Writes a name without the arguments of its templates.
#[derive(Default)]
struct WithoutArguments {
    text: String,
    /// What is being written, from the outermost in.
    within: Vec<DemangleNodeType>,
    is_behind_arguments: bool,
    written_bytes: usize,
}

impl DemangleWrite for WithoutArguments {
    fn push_demangle_node(&mut self, kind: DemangleNodeType) {
        if kind == DemangleNodeType::TemplateArgs && !self.is_in_arguments() {
            // The bracket comes before, and its like after.
            let before = self.text.strip_suffix('<').map_or(self.text.len(), str::len);
            self.text.truncate(before);
            self.text.truncate(self.text.trim_end().len());
        }
        self.within.push(kind);
    }

    fn pop_demangle_node(&mut self) {
        let ended = self.within.pop();
        self.is_behind_arguments = ended == Some(DemangleNodeType::TemplateArgs) && !self.is_in_arguments();
    }

    fn write_string(&mut self, part: &str) -> fmt::Result {
        self.written_bytes += part.len();
        if self.written_bytes > MAX_DEMANGLED_BYTES {
            return Err(fmt::Error);
        }
        if !self.is_in_arguments() {
            let is_behind = std::mem::take(&mut self.is_behind_arguments);
            let part = part.strip_prefix('>').filter(|_| is_behind).unwrap_or(part);
            self.text.push_str(part);
        }
        Ok(())
    }
}

impl WithoutArguments {
    fn is_in_arguments(&self) -> bool {
        self.within.contains(&DemangleNodeType::TemplateArgs)
    }
}

/// A path without parameters, tags, lambdas and namespaces without a name.
fn path(name: &str) -> String {
    // What only adjusts the object, and calls a method of a class that it inherits from.
    let thunk = name.strip_prefix("{virtual override thunk({");
    let name = thunk
        .and_then(|thunk| Some(thunk.strip_suffix(")}")?.split_once("}, ")?.1))
        .unwrap_or(name);
    let mut segments: Vec<&str> = Vec::new();
    let mut is_in_lambda = false;
    let mut rest = name;
    while !rest.is_empty() {
        let (segment, after) = segment(rest);
        rest = after;
        let is_call = segment == "operator()" && is_in_lambda;
        is_in_lambda = segment.starts_with("{lambda");
        let is_told = !segment.is_empty() && !segment.starts_with(['{', '(']) && !VERSIONS.contains(&segment);
        if is_told && !is_call {
            segments.push(segment);
        }
    }
    segments.join("::")
}

/// The first segment of a path, as far as it names something, and what comes after it.
fn segment(text: &str) -> (&str, &str) {
    // What an operator is called may have brackets.
    let (own, behind) = match text.strip_prefix("operator") {
        Some(behind) if !behind.starts_with(|c: char| c.is_alphanumeric() || c == '_') => {
            let sign = if behind.starts_with("()") {
                2
            } else {
                behind
                    .find("::")
                    .or_else(|| behind.find('('))
                    .unwrap_or(behind.len())
            };
            text.split_at("operator".len() + sign)
        }
        _ => ("", text),
    };
    let mut depth = 0_usize;
    let mut end = None;
    for (at, c) in behind.char_indices() {
        match c {
            '(' | '[' | '{' => {
                if end.is_none() && at > 0 {
                    end = Some(at);
                }
                depth += 1;
            }
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 && behind[at..].starts_with("::") => {
                return (named(text, own, end.unwrap_or(at)), &behind[at + 2..]);
            }
            _ => {}
        }
    }
    (named(text, own, end.unwrap_or(behind.len())), "")
}

fn named<'a>(text: &'a str, own: &str, more: usize) -> &'a str {
    // Behind the name of an operator only parameters can come.
    let end = if own.is_empty() { more } else { own.len() };
    text[..end].trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_without_parameters_arguments_and_lambdas() {
        for (symbol, name) in [
            (
                "_ZN4node2fs4ReadERKN2v820FunctionCallbackInfoINS1_5ValueEEE",
                "node::fs::Read",
            ),
            ("_ZN3app4sortIiSt6vectorIiSaIiEEEEvRT0_", "app::sort"),
            ("_ZNSt6vectorIiSaIiEE9push_backEOi", "std::vector::push_back"),
            ("_ZN12_GLOBAL__N_17computeEi", "compute"),
            ("_ZZN3app5serveEiENKUliE_clEi", "app::serve"),
            ("_ZNK3app5IndexclEi", "app::Index::operator()"),
            ("_ZN3applsERSoRKNS_4ItemE", "app::operator<<"),
            ("_ZN3app4ItemcvbEv", "app::Item::operator bool"),
            ("_ZN3appltIiEEbT_S1_", "app::operator<"),
            ("_Znam", "operator new[]"),
            (
                "_ZNSt7__cxx1112basic_stringIcSt11char_traitsIcESaIcEE6appendEPKc",
                "std::basic_string::append",
            ),
            ("_ZN3app4nameB5cxx11Ev", "app::name"),
            ("_ZThn8_N3app4Item3runEv", "app::Item::run"),
            ("_ZN3app4ItemD1Ev", "app::Item::~Item"),
            ("_ZN3app4hashEPKc.cold", "app::hash"),
            ("_Z7computei", "compute"),
        ] {
            assert_eq!(readable(symbol).as_deref(), Some(name), "{symbol}");
        }
    }

    #[test]
    fn what_is_no_symbol_of_cplusplus_is_none() {
        for symbol in ["", "_Z", "main", "_ZN", "_ZN3app", "_ZN3app4hashEv!", "_ZTS3app"] {
            let _ = readable(symbol);
        }
        assert_eq!(readable("main"), None);
        assert_eq!(readable("_ZN3app"), None);
        assert_eq!(readable("_ZN3app4hashEv!"), None);
    }

    #[test]
    fn a_symbol_that_stands_for_endlessly_much_or_is_nested_is_none_and_soon() {
        let began = std::time::Instant::now();
        // Each list of arguments has the one before it twice.
        let mut doubled = String::from("_Z1f1aIiE");
        for at in 0..30 {
            doubled.push_str(&format!("1aIS{at:X}_S{at:X}_E"));
        }
        assert_eq!(readable(&doubled), None);
        for depth in 1..60 {
            let _ = readable(&format!("_ZN3fooI{}EEvT0_", "LSsI".repeat(depth)));
        }
        assert!(began.elapsed().as_secs() < 2, "{:?}", began.elapsed());
    }
}
