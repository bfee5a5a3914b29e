//! The shape of a line: which paths it has, each with the type of its value.

use std::collections::BTreeMap;

use serde_json::Value;

/// Types by path.
pub(crate) type Types = BTreeMap<String, &'static str>;

/// The paths of a line, each with its type.
pub(crate) fn types(line: &Value) -> Types {
    let mut types = Types::new();
    collect("", line, &mut types);
    types
}

fn collect(path: &str, value: &Value, types: &mut Types) {
    let r#type = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let parent = path.rsplit('.').next().unwrap_or_default();
                let name = match parent {
                    "budget_ns" | "waited_for_others_ns" => "<cause>",
                    "lost" => "<reason>",
                    "full" => "<table>",
                    "evidence" => "<deed>",
                    _ => name,
                };
                let path = if path.is_empty() {
                    name.to_owned()
                } else {
                    format!("{path}.{name}")
                };
                collect(&path, value, types);
            }
            return;
        }
        Value::Array(values) => {
            for value in values {
                collect(&format!("{path}[]"), value, types);
            }
            return;
        }
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Null => "null",
    };
    let before = types.insert(path.to_owned(), r#type);
    assert!(
        before.is_none_or(|before| before == r#type),
        "`{path}` is of two types"
    );
}

/// Whether the last name of a path is data.
pub(crate) fn is_open(path: &str) -> bool {
    path.ends_with('>')
}
