//! A full-screen program whose terminal changes its size while it is recorded: the replay shows the screens that the
//! person saw, in their sizes.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use serde_json::{Value, json};
use whole_system::{Deployment, Instance, Screen, in_browser, screens, until};

/// Starts the editor only once its terminal has 80 columns, so that the first resize comes before the first output.
const EDIT: &str = r#": >"$0.began"; until [ "$(stty size)" = "24 80" ]; do sleep 0.02; done
exec vim.tiny -u NONE -c "set laststatus=2" "$0""#;

/// The sizes of the terminal, in their order.
const SIZES: [(usize, usize); 4] = [(100, 30), (80, 24), (140, 40), (60, 20)];

fn lines(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value}"))
}

/// Moments at which the screen has been unchanged for a while and remains so for a while, and shows what was printed
/// last.
fn moments(screens: &[Screen]) -> Vec<f64> {
    let stands = |pair: &&[Screen]| pair[1].from - pair[0].from > 0.2 && !pair[0].just_resized;
    let pairs = screens.windows(2).filter(stands);
    pairs.map(|pair| f64::midpoint(pair[0].from, pair[1].from)).collect()
}

fn at(screens: &[Screen], moment: f64) -> &Screen {
    screens.iter().rfind(|screen| screen.from <= moment).unwrap()
}

#[test]
fn a_full_screen_program_is_replayed_in_every_size_that_it_had() {
    let deployment = Deployment::start();
    deployment.record_everything();
    let instance = Instance::enrol(&deployment, "i-resizes");
    instance.wait_until_recording_is(true);
    // Lines longer than any of the widths: their line breaks show the width.
    let note = deployment.scratch().join("note.txt");
    let line = |number| format!("line {number} {}\n", "0123456789 ".repeat(16));
    std::fs::write(&note, (1..=300).map(line).collect::<String>()).unwrap();

    let mut person = instance.record_sized(&["sh", "-c", EDIT, note.to_str().unwrap()], 100, 30);
    until("the command runs", || deployment.scratch().join("note.txt.began").exists().then_some(()));
    for (columns, rows) in &SIZES[1..] {
        person.resizes(u16::try_from(*columns).unwrap(), u16::try_from(*rows).unwrap());
        // The status line is on the last row but one.
        until("the editor draws itself anew", || {
            person.screen()[rows - 2].contains("note.txt").then_some(())
        });
        for number in [100, 200, 7] {
            person.types(&format!("{number}G"));
            let wanted = format!("line {number} ");
            until("the editor goes there", || {
                person.screen().iter().any(|line| line.starts_with(&wanted)).then_some(())
            });
        }
    }
    person.types(":q\r");
    assert!(person.leaves().success());

    let record = deployment.root.one_recording("finished");
    let token = record["TerminalSessionToken"].as_str().unwrap();
    let cast = deployment.root.stdout(&["recordings", "export", token, "--format", "cast"]);
    let screens = screens(&cast);
    let mut sizes: Vec<_> = screens.iter().map(|screen| screen.size).collect();
    sizes.dedup();
    assert_eq!(sizes, SIZES, "what was recorded");

    // Forwards, backwards across the resizes, and back and forth.
    let forwards = moments(&screens);
    assert!(forwards.len() >= 12, "{forwards:?}");
    let backwards = forwards.iter().rev().copied();
    let to_and_fro = forwards.iter().zip(backwards.clone()).flat_map(|(one, other)| [*one, other]);
    let wanted: Vec<f64> = forwards.iter().copied().chain(backwards).chain(to_and_fro).collect();
    let view = deployment.root.json(&["recordings", "open", token, "--instance-id", "i-resizes"]);
    let page = in_browser("screens.mjs", &[view["ReplayUrl"].as_str().unwrap(), &json!(wanted).to_string()]);
    assert_eq!(page["problems"], json!([]), "the browser complains of nothing");

    let output = cast.lines().find(|line| line.contains(r#","o","#)).unwrap();
    let output: Value = serde_json::from_str(output).unwrap();
    let first = at(&screens, output[0].as_f64().unwrap() * 1000.0 + 1.0);
    assert_eq!(lines(&page["first"]), first.lines, "before anything is pressed, in {:?}", first.size);
    for (moment, seeked) in wanted.iter().zip(page["seeked"].as_array().unwrap()) {
        let expected = at(&screens, *moment);
        assert_eq!(lines(seeked), expected.lines, "at {moment} ms, in {:?}", expected.size);
    }
    let last = at(&screens, *wanted.last().unwrap());
    for recreated in page["recreated"].as_array().unwrap() {
        assert_eq!(lines(recreated), last.lines, "the player, made anew in {:?}", last.size);
    }

    // Each screen shown while playing is one that existed, and they come in their original order. Once for each
    // resize, the player may show its own way of resizing before the program redraws the screen.
    let mut reached = 0;
    let mut seen = Vec::new();
    let mut resizes: Vec<&Screen> = screens.iter().filter(|screen| screen.just_resized).collect();
    for played in page["played"].as_array().unwrap() {
        let played = lines(played);
        if let Some(found) = screens[reached..].iter().position(|screen| screen.lines == played) {
            reached += found;
            seen.push(screens[reached].size);
            continue;
        }
        let (from, rows) = (screens[reached].from, played.len());
        let resize = resizes.iter().position(|resize| resize.from >= from && resize.size.1 == rows);
        resizes.remove(resize.unwrap_or_else(|| panic!("after {:?} comes {played:#?}", screens[reached])));
    }
    assert_eq!(screens[reached].lines, screens.last().unwrap().lines, "played to the end");
    seen.dedup();
    assert!(SIZES[1..].iter().all(|size| seen.contains(size)), "sizes that playing showed: {seen:?}");
}
