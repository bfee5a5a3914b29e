//! What is told of tables that were full.

use super::*;

#[test]
fn of_full_tables_about_which_there_is_nothing_to_do_no_hint_is_given() {
    let serving = looked(&[own(7, 8080)], 0, false);
    let told = |full: &[(&'static str, u64)]| serving.full_tables(full).map(|hint| hint.text);
    assert_eq!(told(&[("culprits", 9), ("process_names", 2)]), None);
    let text = told(&[("culprits", 9), ("polls", 2)]).unwrap();
    assert!(text.ends_with("less exact: polls (polls, 2)"), "{text}");
}
