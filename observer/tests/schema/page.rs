//! Reads `docs/schema.md`: its tables of fields, its lists, its examples. It does not see what prose says.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

const PAGE: &str = include_str!("../../../docs/schema.md");

/// Heading of the fields that `window` and `end` share.
const TOTALS: &str = "## Totals of `window` and `end`";

/// Heading of those of them that stand at the top and in each of [`TARGETS`].
const FIGURES: &str = "### Figures";

const TARGETS: &str = "targets[].";

/// What a table says about a field.
pub(crate) struct Field {
    pub(crate) r#type: &'static str,
    pub(crate) always: bool,
    pub(crate) meaning: String,
}

/// The fields of a kind of line, by path.
pub(crate) fn fields_of(kind: &str) -> BTreeMap<String, Field> {
    let own = format!("## `{kind}`");
    let mut tables = vec![("", "## Every line"), ("", &own)];
    if matches!(kind, "window" | "end") {
        tables.extend([("", TOTALS), ("", FIGURES), (TARGETS, FIGURES)]);
    }
    let mut fields = BTreeMap::new();
    let rows = tables
        .iter()
        .flat_map(|(parent, heading)| rows(heading).map(move |row| (parent, row)));
    for (parent, row) in rows {
        let [path, r#type, _unit, when, meaning] = row.as_slice() else {
            panic!("not a row of fields: {row:?}")
        };
        let types = ["boolean", "integer", "number", "string"];
        let r#type = types.into_iter().find(|known| known == r#type).unwrap();
        for path in expanded(&format!("{parent}{path}")) {
            let field = Field {
                r#type,
                always: when == "always",
                meaning: meaning.clone(),
            };
            assert!(
                fields.insert(path.clone(), field).is_none(),
                "`{path}` of `{kind}` is explained twice"
            );
        }
    }
    fields
}

/// The fields that are in every line of a kind.
pub(crate) fn always(kind: &str) -> BTreeSet<String> {
    fields_of(kind)
        .into_iter()
        .filter(|(_, field)| field.always)
        .map(|(path, _)| path)
        .collect()
}

/// The rows below a heading whose first cell is code, as cells; the first without its backticks.
pub(crate) fn rows(heading: &str) -> impl Iterator<Item = Vec<String>> {
    let mut lines = PAGE.lines().skip_while(move |line| *line != heading);
    assert!(lines.next().is_some(), "the page has no heading `{heading}`");
    let section = lines.take_while(|line| !line.starts_with('#'));
    section.filter_map(|line| {
        let cells = line.strip_prefix('|')?.strip_suffix('|')?.split('|');
        let mut cells: Vec<String> = cells.map(|cell| cell.trim().to_owned()).collect();
        cells[0] = cells[0].strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some(cells)
    })
}

/// `a.{b,c}.d` as `a.b.d` and `a.c.d`.
fn expanded(path: &str) -> Vec<String> {
    let Some((before, rest)) = path.split_once('{') else {
        return vec![path.to_owned()];
    };
    let (names, after) = rest.split_once('}').unwrap();
    names
        .split(',')
        .flat_map(|name| expanded(&format!("{before}{name}{after}")))
        .collect()
}

/// The example lines of the page.
pub(crate) fn examples() -> Vec<Value> {
    let mut lines = PAGE.lines();
    let mut examples = Vec::new();
    while lines.any(|line| line == "```json") {
        examples.push(serde_json::from_str(lines.next().unwrap()).unwrap());
        assert_eq!(lines.next(), Some("```"), "an example is one line");
    }
    examples
}
