//! The laws of the whole table.

use std::sync::Arc;

use super::super::escape::{columns, is_unsafe};
use super::super::made_up;
use super::*;
use crate::model::cause::Cause;
use crate::model::process::ProcessEvent;

const SIZE: Size = Size {
    width: 80,
    height: 24,
};
const FILE: Style = Style {
    terminal: false,
    colour: false,
    size: SIZE,
};
const TERMINAL: Style = Style {
    terminal: true,
    colour: false,
    size: SIZE,
};

fn written(style: Style, feed: impl FnOnce(&mut TableSink<&mut Vec<u8>>)) -> String {
    let mut bytes = Vec::new();
    feed(&mut TableSink::new(&mut bytes, style));
    String::from_utf8(bytes).unwrap()
}

/// A run with all that a table can show.
fn whole_run(table: &mut TableSink<&mut Vec<u8>>) {
    table.header(&made_up::header()).unwrap();
    for nth in 1..=20 {
        table
            .request(&Arc::new(made_up::blocked(nth)), Why::Tail)
            .unwrap();
        table.process(&made_up::process()).unwrap();
    }
    table.window(&made_up::window()).unwrap();
    table.end(&made_up::end()).unwrap();
}

/// What was drawn in one window, without what steers the terminal.
fn picture(style: Style) -> String {
    picture_of(style, &made_up::window())
}

fn picture_of(style: Style, window: &Window) -> String {
    let drawn = written(style, |table| {
        table.header(&made_up::header()).unwrap();
        for nth in 1..=20 {
            table
                .request(&Arc::new(made_up::blocked(nth)), Why::Tail)
                .unwrap();
        }
        table.window(window).unwrap();
    });
    let (before, picture) = drawn.split_once("\x1b[H").unwrap();
    assert!(
        before.chars().all(|c| c == '\n'),
        "what was there is pushed up and not cleared"
    );
    let (picture, told) = picture.split_once("\x1b[J").unwrap();
    picture.replace("\x1b[K", "") + told
}

#[test]
fn where_lines_have_room_no_path_is_cut() {
    let mut request = made_up::blocked(1);
    let path = format!("/{}", "x".repeat(99));
    request.http.as_mut().unwrap().target = path.as_str().into();
    let width = |width| Style {
        size: Size { width, ..SIZE },
        ..FILE
    };
    let text = |style| {
        written(style, |table| {
            table.header(&made_up::header()).unwrap();
            table.request(&Arc::new(request.clone()), Why::Tail).unwrap();
            table.end(&made_up::end()).unwrap();
        })
    };
    let whole = format!(" GET {path} 200 ");
    assert!(text(width(usize::MAX)).contains(&whole));
    assert!(!text(width(120)).contains(&whole));
}

#[test]
fn causes_appear_with_their_sum() {
    let text = written(FILE, whole_run);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in\n{text}"));
    let (first, last, sum) = (at("  run_queue  "), at("  on_cpu  "), at("  latency  "));
    assert!(first < last && last < sum);
    for cause in [Cause::RunQueue, Cause::WorkerBlocked, Cause::OnCpu] {
        assert!(text.contains(cause.name()));
    }
}

#[test]
fn who_is_to_blame_is_told_by_name() {
    let text = written(
        Style {
            size: Size { width: 160, ..SIZE },
            ..FILE
        },
        whole_run,
    );
    assert!(
        text.contains("worker_blocked 30.8 ms behind task 31 in clock_nanosleep for GET /blocking"),
        "{text}"
    );
}

#[test]
fn on_80_columns_the_thread_to_blame_is_still_there() {
    assert!(written(FILE, whole_run).contains("worker_blocked 30.8 ms behind task 31 "));
}

#[test]
fn what_strangers_say_never_steers_the_terminal() {
    let hostile = "/\u{1b}[2J\u{9b}31m\r\n\u{7f}\u{202e}x";
    let text = written(FILE, |table| {
        let mut header = made_up::header();
        header.targets[0].comm = hostile.to_owned();
        header.signals[0].note = Some(hostile.to_owned());
        table.header(&header).unwrap();
        let mut request = made_up::blocked(1);
        request.http.as_mut().unwrap().target = hostile.into();
        request.timeline[0].culprit.as_mut().unwrap().request = Some(hostile.into());
        table.request(&Arc::new(request.clone()), Why::Tail).unwrap();
        let process = ProcessLine {
            comm: Some(hostile.to_owned()),
            ..made_up::process()
        };
        table.process(&process).unwrap();
        let mut end = made_up::end();
        end.totals.figures.paths[0].path = hostile.to_owned();
        end.totals.figures.at.as_mut().unwrap().p99.waited_for[0].comm = Some(hostile.to_owned());
        table.end(&end).unwrap();
    });
    let steering = text.chars().filter(|&c| is_unsafe(c) && c != '\n').count();
    assert_eq!(steering, 0, "{text}");
    assert!(text.matches(r"/\u{1b}[2J\u{9b}31m").count() >= 5, "{text}");
}

#[test]
fn nothing_but_lines_is_written_when_it_is_no_terminal() {
    let text = written(FILE, whole_run);
    assert!(!text.contains('\u{1b}'));
    assert_eq!(
        text.matches("observer 0.1.0").count(),
        1,
        "only the last table is written"
    );
}

#[test]
fn without_colour_a_terminal_is_steered_but_not_coloured() {
    let text = written(TERMINAL, whole_run);
    let steering: Vec<_> = text.split('\u{1b}').skip(1).map(|rest| &rest[..2]).collect();
    assert!(
        steering.iter().all(|code| ["[H", "[K", "[J"].contains(code)),
        "{steering:?}"
    );
    assert!(
        written(
            Style {
                colour: true,
                ..TERMINAL
            },
            whole_run
        )
        .contains("\u{1b}[1m")
    );
}

#[test]
fn a_child_is_called_by_its_name_too() {
    let text = written(FILE, |table| {
        table.header(&made_up::header()).unwrap();
        let child = ProcessLine {
            event: ProcessEvent::Fork,
            pid: Pid(4121),
            comm: Some("axum-child".to_owned()),
            ..made_up::process()
        };
        table.process(&child).unwrap();
        let mut end = made_up::end();
        let figures = &mut end.totals.figures;
        (figures.workers[0].pid, figures.memory[0].pid) = (child.pid, child.pid);
        table.end(&end).unwrap();
    });
    for row in ["workers  axum-child (4121)", "memory   axum-child (4121)"] {
        assert!(text.contains(row), "no {row} in\n{text}");
    }
}

#[test]
fn nothing_is_wider_than_the_width() {
    for width in [1, 10, 40, 80, 120, 300] {
        let size = Size { width, height: 60 };
        for text in [
            written(Style { size, ..FILE }, whole_run),
            picture(Style { size, ..TERMINAL }),
        ] {
            let widest = text.lines().map(columns).max().unwrap();
            assert!(widest <= width, "{widest} columns of {width} in\n{text}");
        }
    }
}

#[test]
fn what_to_do_what_was_lost_and_what_was_found_are_there_to_the_last_word() {
    for style in [FILE, TERMINAL] {
        for width in [40, 80, 120] {
            let size = Size { width, height: 60 };
            let text = written(Style { size, ..style }, |table| {
                let mut end = made_up::end();
                end.hints[0].text = "nobody listened there while it was watched ".repeat(4) + "LAST1";
                end.hints[0].remedy = "see who does, and give his pid ".repeat(6) + "LAST2";
                end.totals.figures.diagnosis.as_mut().unwrap().text = "was blocked ".repeat(15) + "LAST3";
                end.totals.figures.confidence.partial = 3;
                end.totals.figures.begun_before = 4;
                end.under_way = 5;
                table.end(&end).unwrap();
            });
            let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
            for last in ["LAST1", "LAST2", "LAST3", "at the end, not counted"] {
                assert!(words.contains(last), "no {last} in\n{text}");
            }
            assert!(
                text.lines()
                    .all(|line| columns(&line.replace("\x1b[K", "")) <= width)
            );
        }
    }
}

#[test]
fn nothing_is_taller_than_the_height_while_it_is_live() {
    for height in [0, 1, 2, 5, 10, 24, 50] {
        let text = picture(Style {
            size: Size { height, ..SIZE },
            ..TERMINAL
        });
        // A line end in the last row would scroll.
        assert!(
            text.matches('\n').count() <= height.saturating_sub(1),
            "{height} rows:\n{text}"
        );
        let is_cut = text.ends_with("in a taller window");
        assert_eq!(is_cut, (2..50).contains(&height), "{height} rows:\n{text}");
    }
}

#[test]
fn of_several_targets_the_worst_is_told_in_full_and_the_others_in_a_line() {
    let window = Window {
        run: made_up::totals_of_two(1_180),
        ..made_up::window()
    };
    for height in [5, 10, 24, 50] {
        let size = Size { height, ..SIZE };
        let text = picture_of(Style { size, ..TERMINAL }, &window);
        assert!(text.matches('\n').count() < height, "{height} rows:\n{text}");
    }
    let size = Size {
        width: 120,
        height: 50,
    };
    let text = picture_of(Style { size, ..TERMINAL }, &window);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no {what} in\n{text}"));
    let lines = [
        "targets  ",
        "  gin-srv (99, 3 processes)",
        "worst    axum-srv (4120)",
        "budget  ",
    ];
    assert!(lines.map(at).is_sorted(), "{text}");
    assert!(
        text.contains("  run           1,480 "),
        "the first lines are of all:\n{text}"
    );
    let picture = picture_of(TERMINAL, &window);
    assert!(
        picture.contains("worker_blocked  ") && picture.contains("gin-srv"),
        "{picture}"
    );
}

#[test]
fn on_a_small_terminal_the_budget_is_there_all_the_same() {
    let text = picture(TERMINAL);
    for what in [
        "observer 0.1.0",
        "latency",
        "lost     nothing",
        "worker_blocked",
        "memory",
        "own cost",
    ] {
        assert!(text.contains(what), "no {what} in\n{text}");
    }
}

#[test]
fn the_last_table_takes_the_place_of_the_one_before_and_is_whole() {
    let text = written(TERMINAL, whole_run);
    let last = text.rsplit("\x1b[H").next().unwrap();
    assert!(last.lines().count() > SIZE.height, "the last one may scroll");
    assert!(last.contains("12,345") && last.ends_with("\x1b[K\n\x1b[J"));
    assert!(!last.contains("  window"));
}

#[test]
fn of_a_recording_only_the_last_table_is_shown() {
    let text = written(TERMINAL, |table| {
        table
            .header(&Header {
                replay: true,
                ..made_up::header()
            })
            .unwrap();
        table.window(&made_up::window()).unwrap();
        table.end(&made_up::end()).unwrap();
    });
    assert!(
        !text.contains('\u{1b}') && text.contains("observer 0.1.0 replay"),
        "{text}"
    );
}

#[test]
fn it_follows_the_size_of_the_terminal() {
    let mut bytes = Vec::new();
    let mut table = TableSink::new(&mut bytes, TERMINAL).with_size(|| Some(Size { width: 30, height: 6 }));
    table.header(&made_up::header()).unwrap();
    table.window(&made_up::window()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.matches("\x1b[K").count(), 5);
}

#[test]
fn a_run_without_requests_has_a_table_too() {
    let text = written(FILE, |table| {
        table.header(&made_up::header()).unwrap();
        table.end(&End::default()).unwrap();
    });
    assert!(
        text.contains("observer 0.1.0") && text.contains("lost     nothing"),
        "{text}"
    );
    assert!(!text.contains("budget") && !text.contains("slowest"), "{text}");
}
