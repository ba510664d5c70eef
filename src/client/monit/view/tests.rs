use super::super::line::bare;
use super::super::list::sample_process;
use super::super::state::{Action, Message, Verb};
use super::*;
use crate::client::display::output::Look;
use crate::model::life::{STATES, State as Condition};
use crate::protocol::process::Process;

fn style(utf8: bool, colour: bool) -> Style {
    let look = Look {
        terminal: true,
        colour,
        ..Look::default()
    };
    Style { look, utf8 }
}

fn host() -> Host {
    Host {
        name: "box".into(),
        processors: 2,
        load: Some([5, 120, 99]),
        memory: Some((1 << 30, 4 << 30)),
    }
}

const NAMES: [&str; 5] = [
    "api",
    "日本語の名前🚀",
    "evil\x1b[2J\x07\n\u{9b}1m\u{202e}name",
    "a-name-that-is-longer-than-any-column-could-ever-be-on-any-screen",
    "e\u{301}e\u{301}",
];

fn state() -> State {
    let mut state = State::default();
    for (now, cpu) in [(0, 0), (1000, 700)] {
        let processes = (0..40u32).map(|id| Process {
            state: STATES[id as usize % STATES.len()],
            pid: if id % 3 == 0 { 0 } else { 4711 },
            memory: u64::from(id % 3) << 28,
            restarts: id * 100,
            cpu,
            ..sample_process(id, NAMES[id as usize % NAMES.len()])
        });
        state.list.sample(processes.collect(), now);
    }
    state
}

fn logs(count: usize, utf8: bool) -> Vec<LogLine> {
    let line = |at: usize| LogLine {
        text: text::harmless(&format!("line {at} 日本語 {}", "x".repeat(at * 20)), utf8),
        error: at % 2 == 1,
    };
    (0..count).map(line).collect()
}

fn drawn(state: &mut State, columns: usize, rows: usize, style: Style) -> Vec<String> {
    let Some(layout) = Layout::new(columns, rows, state) else {
        return too_small(columns, rows, style);
    };
    state.list.fit(layout.list);
    frame(
        state,
        &host(),
        &logs(layout.logs, style.utf8),
        layout,
        style,
    )
}

fn text(state: &mut State, columns: usize, rows: usize) -> Vec<String> {
    let lines = drawn(state, columns, rows, style(true, true));
    lines.iter().map(|line| bare(line)).collect()
}

#[test]
fn every_frame_has_the_size_of_its_screen() {
    let errand = Action {
        verb: Verb::Restart,
        id: 2,
        name: NAMES[2].into(),
    };
    let details = vec![("key".to_owned(), NAMES.join(" ")); 50];
    for page in [Page::List, Page::Details, Page::Help] {
        for round in 0..4 {
            let mut state = state();
            state.page = page;
            state.details = Some((0, details.clone()));
            state.unconfirmed = (round == 1).then(|| errand.clone());
            state.trouble = (round == 2).then(|| NAMES[3].repeat(3));
            state.logs_only = round == 3;
            for columns in [1, 2, 5, 39, 40, 41, 55, 79, 80, 81, 100, 133, 200, 500] {
                for rows in [1, 2, 9, 10, 11, 24, 60] {
                    for (utf8, colour) in [(true, true), (false, false)] {
                        let frame = drawn(&mut state, columns, rows, style(utf8, colour));
                        assert_eq!(frame.len(), rows, "{columns}x{rows}");
                        for line in &frame {
                            let bare = bare(line);
                            assert!(
                                text::columns(&bare) <= columns,
                                "{columns}x{rows}: {bare:?}"
                            );
                            assert!(utf8 || line.is_ascii(), "{line:?}");
                            assert!(colour || !line.contains("\x1b[3") && !line.contains("\x1b[9"));
                            let sequences = line.matches('\x1b').count();
                            assert_eq!(sequences, line.matches("\x1b[").count(), "{line:?}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn a_name_can_move_nothing() {
    let frame = drawn(&mut state(), 120, 60, style(true, true));
    let evil = frame.iter().find(|line| line.contains("evil")).unwrap();
    assert!(evil.contains("evil?[2J???1m?name"), "{evil:?}");
    assert!(!evil.contains("\x1b[2J") && !evil.contains('\u{202e}'));
}

#[test]
fn eighty_columns_show_everything_that_is_measured() {
    let text = text(&mut state(), 80, 24);
    assert_eq!(
        text[0],
        " box  6 online  6 paused  17 changing  11 down  load 0.05 1.20 0.99  mem 25%"
    );
    let headings: Vec<&str> = text[1].split_whitespace().collect();
    assert_eq!(
        headings,
        [
            "id", "name", "status", "↺", "up", "cpu", "memory", "last", "5", "min"
        ]
    );
    assert!(text[2].starts_with(">  0 api "), "{}", text[2]);
    let online = text.iter().find(|line| line.starts_with("   2 ")).unwrap();
    for part in ["online", " 200 ", " 70.0% ████▎·", " 512.0mb ▊·····", "█"] {
        assert!(online.contains(part), "{part} is not in {online}");
    }
    assert!(text[12].starts_with("── api (id 0): log ──") && text[12].ends_with(" 1/40 ──"));
    assert!(text[14].starts_with("! line 1 "), "{}", text[14]);
    assert!(text[23].starts_with(" q quit  ? help  ↑↓ select  r restart  s stop"));
}

#[test]
fn columns_are_aligned_whatever_the_names() {
    for columns in [40, 60, 80, 140, 220] {
        let text = text(&mut state(), columns, 60);
        // The heading of the status and the words below it begin in the same column.
        let at = |line: &str, word: &str| text::columns(line.split(word).next().unwrap());
        let column = at(&text[1], "status");
        for line in &text[2..22] {
            let words = STATES.map(|state| state.word().split(' ').next().unwrap().to_owned());
            let word = words
                .iter()
                .find(|word| line.contains(word.as_str()))
                .unwrap();
            assert_eq!(at(line, word), column, "{columns}: {line}");
        }
    }
}

#[test]
fn the_smallest_screen_shows_names_states_and_logs() {
    let text = text(&mut state(), 40, 10);
    assert_eq!(text.len(), 10);
    assert_eq!(text[1].trim(), "id name      status       cpu   memory");
    assert!(text[2].starts_with(">  0 api") && text[5].contains("log"));
    assert!(text[6].starts_with("  line 0") && text[9].starts_with(" q quit  ? help"));
}

#[test]
fn what_is_too_small_says_so() {
    for (columns, rows) in [(39, 24), (80, 9)] {
        let text = text(&mut state(), columns, rows);
        assert_eq!(text[..2], ["terminal too small", "40 x 10 needed"]);
    }
}

#[test]
fn an_empty_list_says_what_to_do() {
    let text = text(&mut State::default(), 80, 24);
    assert_eq!(
        text[2],
        "  no program is managed; rpm start SCRIPT starts one"
    );
    let mut filtered = state();
    filtered.list.set_filter("no\x1bsuch".into());
    let lines = drawn(&mut filtered, 80, 24, style(true, false));
    assert!(bare(&lines[2]).contains("nothing matches no?such; Esc shows all"));
    assert!(bare(&lines[23]).starts_with(" only no?such"));
}

#[test]
fn the_selected_line_stands_out_with_and_without_colour() {
    for colour in [true, false] {
        let frame = drawn(&mut state(), 80, 24, style(true, colour));
        assert!(frame[2].starts_with("\x1b[7m> ") && frame[2].ends_with("\x1b[0m"));
        let inverse = frame.iter().filter(|line| line.contains("\x1b[7m")).count();
        assert_eq!((inverse, text::columns(&bare(&frame[2]))), (1, 80));
    }
}

#[test]
fn pages_scroll_and_the_last_line_speaks() {
    let mut state = state();
    state.page = Page::Details;
    let details = (0..50).map(|at| (format!("key {at}"), format!("value {at}")));
    state.details = Some((0, details.collect()));
    state.top = 999;
    let shown = text(&mut state, 80, 24);
    assert!(shown[1].starts_with("── api (id 0): details ──"));
    assert_eq!(
        (shown[2].as_str(), shown[22].as_str()),
        ("  key 29  value 29", "  key 49  value 49")
    );
    assert!(shown[23].starts_with(" q back"));
    state.message = Some(Message {
        text: "restarted api (id 0)".into(),
        bad: false,
    });
    assert_eq!(text(&mut state, 80, 24)[23], " restarted api (id 0)");
    state.trouble = Some("no daemon".into());
    assert_eq!(text(&mut state, 80, 24)[23], " no daemon");
    state.is_filtering = true;
    assert_eq!(text(&mut state, 80, 24)[23], " find: ▏");
}

#[test]
fn logs_are_moved_sideways() {
    let mut state = state();
    state.shift = 8;
    let shown = text(&mut state, 80, 24);
    assert!(shown[12].contains("log, from column 9"));
    assert!(shown[13].starts_with("   本語"), "{}", shown[13]);
    assert_eq!(
        state.list.selected().unwrap().process.state,
        Condition::Stopped
    );
}
