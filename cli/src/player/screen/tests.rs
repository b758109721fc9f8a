use proptest::prelude::*;

use super::*;

const SIZE: TerminalSize = TerminalSize { columns: 20, rows: 5 };

impl Screen {
    /// The lines with the characters that share cells, without blanks at their ends.
    pub(in super::super) fn text(&self) -> Vec<String> {
        let cell = |cell: &Cell| match self.clusters.text(cell.char()) {
            _ if cell.width() == 0 => String::new(),
            Some(cluster) => cluster.to_owned(),
            None => cell.char().to_string(),
        };
        let line = |line: &Line| line.cells().iter().map(cell).collect::<String>().trim_end().to_owned();
        self.lines_from(0).map(line).collect()
    }

    fn cells(&self) -> Vec<Vec<Cell>> {
        self.lines_from(0).map(|line| line.cells().to_vec()).collect()
    }
}

fn shown(output: &str) -> Vec<String> {
    let mut screen = Screen::new(SIZE);
    screen.output(output.as_bytes());
    screen.text()
}

#[test]
fn a_claimed_size_cannot_fill_the_memory() {
    let all = TerminalSize { columns: u16::MAX, rows: u16::MAX };
    let mut screen = Screen::new(all);
    screen.resize(TerminalSize { columns: 0, rows: 0 });
    assert_eq!(screen.size(), (1, 1));
    screen.resize(all);
    assert_eq!(screen.size(), (4096, 244));
    for usual in [(1200, 24), (4000, 200), (80, 3000)] {
        let usual = TerminalSize { columns: usual.0, rows: usual.1 };
        assert_eq!(within_limits(usual), usual);
    }
}

#[test]
fn a_wide_recording_keeps_its_layout() {
    let mut screen = Screen::new(TerminalSize { columns: 1200, rows: 24 });
    let words: String = (0..240).map(|number| format!("{number:04}|")).collect();
    screen.output(format!("{words}\r\nend").as_bytes());
    assert_eq!(screen.text()[..2], [words, "end".to_owned()]);
}

#[test]
fn a_mark_may_come_later_and_keeps_the_pen_of_its_cell() {
    let mut screen = Screen::new(SIZE);
    screen.output(b"\x1b[31;1mae");
    screen.output(b"\x1b[0m");
    screen.output("\u{301}".as_bytes());
    screen.output(b"x");
    assert_eq!(screen.text()[0], "ae\u{301}x");
    let cells = screen.cells();
    let colour = |column: usize| cells[0][column].pen().foreground();
    assert_eq!([0, 1, 2].map(colour), [Some(avt::Color::Indexed(1)), Some(avt::Color::Indexed(1)), None]);
}

#[test]
fn a_mark_moves_nothing() {
    // In front of other text that is moved while something is inserted.
    assert_eq!(shown("abc\r\x1b[4he\u{301}\u{302}x")[0], "e\u{301}\u{302}xabc");
    assert_eq!(shown("\u{301}abc")[0], "abc", "there is no cell before it");
    assert_eq!(shown("ab\x1b[1D\u{301}c")[0], "a\u{301}c", "it joins the cell before the cursor");
    assert_eq!(shown("\x1b[2;4r\x1b[?6h\x1b[2;1He\u{301}x")[2], "e\u{301}x");
    assert_eq!(shown("\x1b7e\u{301}\x1b8x")[0], "x", "what was saved stays saved");
    assert_eq!(shown(&format!("{}e\u{301}\x1b[?7lyz\u{301}", "x".repeat(19)))[1], "");
    assert_eq!(shown("日\u{301}本")[0], "日\u{301}本");
    assert_eq!(shown("e\u{301}\x1b[2b|")[0], "e\u{301}e\u{301}e\u{301}|", "it is repeated with its letter");
}

#[test]
fn in_a_control_sequence_it_is_part_of_it() {
    assert_eq!(shown("a\x1b]0;t\u{301}\u{202e}itle\x07b")[0], "ab");
}

#[test]
fn what_could_be_taken_for_a_cluster_is_shown_as_it_is() {
    assert_eq!(shown("\u{100000}\u{38000}\u{f0001}|")[0], "\u{100000}\u{38000}\u{f0001}|");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(300)))]

    #[test]
    fn playing_goes_on_from_a_snapshot_as_if_nothing_had_happened(
        before in proptest::collection::vec(output(), 0..20),
        meanwhile in proptest::collection::vec(output(), 0..5),
        after in proptest::collection::vec(output(), 0..10),
    ) {
        let (mut screen, mut other) = (Screen::new(SIZE), Screen::new(SIZE));
        let feed = |screen: &mut Screen, outputs: &[Out]| for output in outputs {
            match output {
                Out::Text(text) => screen.output(text.as_bytes()),
                Out::Size(columns, rows) => screen.resize(TerminalSize { columns: *columns, rows: *rows }),
            }
        };
        feed(&mut screen, &before);
        feed(&mut other, &before);
        // A recording that stops in the middle of a sequence gives none.
        if let Some(snapshot) = screen.snapshot() {
            feed(&mut screen, &meanwhile);
            screen.restore(&snapshot);
            prop_assert_eq!(screen.text(), other.text());
            feed(&mut screen, &after);
            feed(&mut other, &after);
            prop_assert_eq!(screen.text(), other.text());
            prop_assert_eq!(screen.cursor(), other.cursor());
        }
    }
}

#[derive(Debug, Clone)]
enum Out {
    Text(String),
    Size(u16, u16),
}

fn output() -> impl Strategy<Value = Out> {
    prop_oneof![
        8 => "[ -~äö日\u{301}\u{fe0f}\u{202e}\u{100000}\r\n\t\u{8}]{0,30}".prop_map(Out::Text),
        8 => "\u{1b}\\[[0-9]{0,2}(;[0-9]{1,2})?[ABCDHJKLMPSTXdfmr@]".prop_map(Out::Text),
        8 => "\u{1b}(7|8|M|D|c|\\[\\?(1049|25|7|6)h|\\[\\?(1049|25|7|6)l|\\[4h|\\[4l|\\(0|\\(B|\\[|\\])".prop_map(Out::Text),
        2 => (1u16..39, 1u16..12).prop_map(|(columns, rows)| Out::Size(columns, rows)),
    ]
}
