//! Holds `docs/schema.md` and the lines that are written together.
//!
//! Each kind of line is written twice through the public interface: with everything that may be absent, and
//! without. What is then in the lines has to be what the page says of them, and the page's examples likewise.

#![expect(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in every function of it"
)]

mod page;
mod types;
mod values;

use std::collections::{BTreeMap, BTreeSet};

use observer::losses::reason;
use observer::model::cause::Cause;
use observer::model::full::Table;
use observer::model::header::Requests;
use observer::model::hint::HintKind;
use observer::model::process::ProcessEvent;
use observer::model::protocol::Protocol;
use observer::model::report::Role;
use observer::model::request::Confidence;
use observer::output::{SCHEMA_VERSION, Why};
use serde_json::Value;

use page::{always, examples, fields_of, rows};
use types::{Types, is_open, types};
use values::{bare, full, written};

#[test]
fn what_is_written_and_what_the_page_explains_are_the_same() {
    for (kind, line) in &written(&full()) {
        let explained: Types = fields_of(kind)
            .into_iter()
            .map(|(path, field)| (path, field.r#type))
            .collect();
        assert_eq!(
            types(line),
            explained,
            "left: `{kind}` as it is written, right: its tables"
        );
    }
}

#[test]
fn a_field_is_always_there_where_the_page_says_so() {
    for (kind, line) in &written(&bare()) {
        let there: BTreeSet<String> = types(line).into_keys().filter(|path| !is_open(path)).collect();
        assert_eq!(
            there,
            always(kind),
            "left: `{kind}` with as little as possible, right: its tables"
        );
    }
}

#[test]
fn there_is_an_example_of_every_line_and_each_is_explained() {
    let examples = examples();
    for kind in written(&full()).keys() {
        assert!(
            examples.iter().any(|example| example["type"] == *kind),
            "no example of `{kind}`"
        );
    }
    for example in &examples {
        let kind = example["type"].as_str().unwrap();
        assert_eq!(example["v"], SCHEMA_VERSION);
        let fields = fields_of(kind);
        let types = types(example);
        for (path, r#type) in &types {
            assert_eq!(
                fields.get(path).map(|field| field.r#type),
                Some(*r#type),
                "`{path}` of `{kind}`"
            );
        }
        let missing: Vec<_> = always(kind)
            .into_iter()
            .filter(|path| !types.contains_key(path))
            .collect();
        assert!(
            missing.is_empty(),
            "the example of `{kind}` is without {missing:?}"
        );
    }
}

#[test]
fn the_examples_add_up() {
    for example in examples() {
        match example["type"].as_str().unwrap() {
            "request" => request_adds_up(&example),
            "window" | "end" => totals_add_up(&example),
            _ => {}
        }
    }
}

#[test]
fn the_page_lists_every_cause_and_no_other() {
    let listed: Vec<String> = rows("### Causes").map(|row| row[0].clone()).collect();
    let causes: Vec<&str> = Cause::ALL.into_iter().map(Cause::name).collect();
    assert_eq!(listed, causes);
}

#[test]
fn the_page_lists_every_reason_of_loss_and_no_other() {
    let listed: Vec<String> = rows("### Losses").map(|row| row[0].clone()).collect();
    assert_eq!(listed, reason::ALL);
}

#[test]
fn the_page_lists_every_table_that_can_be_full_and_no_other() {
    let listed: Vec<String> = rows("### Bounds").map(|row| row[0].clone()).collect();
    assert_eq!(listed, Table::ALL.map(Table::name));
}

#[test]
fn every_word_that_a_field_may_hold_is_in_its_row() {
    let json = |words: &[Value]| {
        words
            .iter()
            .map(|word| word.as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let why =
        json(&[Why::First, Why::Tail, Why::Sample, Why::All].map(|why| serde_json::to_value(why).unwrap()));
    let requests = [Requests::Tail, Requests::All, Requests::None];
    let requests = json(&requests.map(|requests| serde_json::to_value(requests).unwrap()));
    let events = [
        ProcessEvent::Start,
        ProcessEvent::Fork,
        ProcessEvent::Exec,
        ProcessEvent::Exit,
    ];
    let events = json(&events.map(|event| serde_json::to_value(event).unwrap()));
    let confidence = [Confidence::Exact, Confidence::Inferred, Confidence::Partial].map(Confidence::name);
    let confidence = confidence.map(str::to_owned).to_vec();
    let protocols = Protocol::ALL.map(|protocol| protocol.name().to_owned()).to_vec();
    let roles = Role::ALL.map(|role| role.name().to_owned()).to_vec();
    let hints = json(&HintKind::ALL.map(|kind| serde_json::to_value(kind).unwrap()));
    for (kind, path, words) in [
        (
            "header",
            "type",
            written(&full()).into_keys().map(str::to_owned).collect(),
        ),
        ("header", "options.requests", requests),
        ("request", "why", why.clone()),
        ("request", "confidence", confidence),
        ("process", "event", events),
        ("end", "protocol", protocols),
        ("end", "hints[].kind", hints),
        ("end", "workers[].by_role.roles[].role", roles),
    ] {
        let meaning = &fields_of(kind)[path].meaning;
        for word in words {
            assert!(
                meaning.contains(&format!("`{word}`")),
                "`{path}` may be `{word}`: {meaning}"
            );
        }
    }
    let weights: BTreeSet<String> = rows("### Weights").map(|row| row[0].clone()).collect();
    assert_eq!(weights, why.into_iter().collect());
}

fn request_adds_up(line: &Value) {
    let latency_ns = line["latency_ns"].as_u64().unwrap();
    assert_eq!(sum(&line["budget_ns"]), latency_ns);
    assert!(line["receive_queue_ns"].as_u64().unwrap() <= latency_ns);
    let mut budget = BTreeMap::new();
    let mut at_ns = 0;
    for span in line["timeline"].as_array().unwrap() {
        assert_eq!(span["at_ns"], at_ns, "the timeline has a gap or an overlap");
        let dur_ns = span["dur_ns"].as_u64().unwrap();
        assert!(dur_ns > 0);
        at_ns += dur_ns;
        *budget.entry(span["cause"].as_str().unwrap()).or_default() += dur_ns;
    }
    assert_eq!(at_ns, latency_ns);
    let charged = line["budget_ns"].as_object().unwrap();
    let charged: BTreeMap<&str, u64> = charged
        .iter()
        .map(|(cause, ns)| (cause.as_str(), ns.as_u64().unwrap()))
        .collect();
    assert_eq!(budget, charged);
    assert!(
        charged
            .keys()
            .all(|charged| Cause::ALL.iter().any(|cause| cause.name() == *charged))
    );
}

fn totals_add_up(line: &Value) {
    figures_add_up(line);
    let targets = line["targets"].as_array().unwrap();
    targets.iter().for_each(figures_add_up);
    let requests = |figures: &Value| figures["requests"].as_u64().unwrap();
    let of_targets: u64 = targets.iter().map(requests).sum();
    assert_eq!(
        of_targets + line["targets_other"].as_u64().unwrap(),
        requests(line)
    );
}

fn figures_add_up(line: &Value) {
    for band in line["at"].as_object().unwrap().values() {
        assert_eq!(sum(&band["budget_ns"]), band["latency_ns"].as_u64().unwrap());
    }
    let requests = line["requests"].as_u64().unwrap();
    assert_eq!(sum(&line["confidence"]), requests);
    assert_eq!(sum(&line["status"]), requests);
    let listed = line["paths"]
        .as_array()
        .unwrap()
        .iter()
        .map(|path| path["requests"].as_u64().unwrap());
    assert!(listed.sum::<u64>() + line["paths_other"].as_u64().unwrap() <= requests);
}

fn sum(object: &Value) -> u64 {
    object
        .as_object()
        .unwrap()
        .values()
        .map(|ns| ns.as_u64().unwrap())
        .sum()
}
