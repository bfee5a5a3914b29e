//! Which function of a stack says what the thread does.

use super::layers::{Layer, origin};

/// A function of a stack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct NamedFunction<Name> {
    /// Its readable name.
    pub(super) name: Name,
    /// Whose code it is.
    pub(super) layer: Layer,
    /// The library that it is from, where its name does not tell; empty for the program's own.
    pub(super) library: Option<Name>,
}

impl<Name: AsRef<str>> NamedFunction<Name> {
    fn origin(&self) -> &str {
        match &self.library {
            Some(library) => library.as_ref(),
            None => origin(self.name.as_ref()),
        }
    }
}

/// The function that says what a thread does, of a stack from the innermost function out; `None` stands for a function
/// without a name.
///
/// The innermost one of the program. Where that is in a library, as far as the outermost function's crate tells, the
/// library's function that the program called: `to_vec` says more than the function that escapes a string. Without any
/// of the program's, the innermost of the framework, or the innermost at all.
///
/// Nothing, where a function without a name comes first: it may be the one that was looked for.
pub(super) fn telling<'a, Name: AsRef<str>>(stack: &[Option<&'a NamedFunction<Name>>]) -> Option<&'a Name> {
    let named = stack.iter().copied().map_while(|function| function);
    let Some(inner) = named.clone().find(|function| function.layer == Layer::Program) else {
        if named.clone().count() < stack.len() {
            return None;
        }
        let framework = named.clone().find(|function| function.layer == Layer::Framework);
        return framework.or(named.clone().next()).map(|function| &function.name);
    };
    let of_program = || {
        stack
            .iter()
            .rev()
            .copied()
            .flatten()
            .filter(|function| function.layer == Layer::Program)
    };
    let from = inner.origin();
    let is_own = of_program()
        .next()
        .is_some_and(|outermost| outermost.origin() == from);
    let entry = of_program().find(|function| function.origin() == from);
    Some(entry.filter(|_| !is_own).map_or(&inner.name, |entry| &entry.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::live::stacks::layers::layer;

    fn tells(stack: &[&'static str]) -> Option<&'static str> {
        let functions: Vec<_> = stack
            .iter()
            .map(|&name| {
                (name != "?").then(|| NamedFunction {
                    name,
                    layer: layer(name),
                    library: None,
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
        assert_eq!(tells(&stack), Some("app::hash"));
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
        assert_eq!(tells(&stack), Some("serde_json::ser::to_vec"));
    }

    #[test]
    fn without_any_of_the_program_what_called_it_tells() {
        assert_eq!(
            tells(&["memcpy", "hyper::proto::h1::write", "tokio::poll"]),
            Some("hyper::proto::h1::write")
        );
        assert_eq!(tells(&["memcpy", "std::sys::thread::start"]), Some("memcpy"));
        assert_eq!(tells(&[]), None);
    }

    #[test]
    fn a_function_without_a_name_is_not_passed_by() {
        assert_eq!(tells(&["?", "app::report"]), None);
        assert_eq!(tells(&["memcpy", "?", "app::report"]), None);
        assert_eq!(tells(&["memcpy", "?"]), None, "it may be the program's");
        assert_eq!(tells(&["app::hash", "?", "app::report"]), Some("app::hash"));
    }
}
