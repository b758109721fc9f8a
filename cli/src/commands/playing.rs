//! Playing a recording in this terminal, and what is known of replies that play one.

use std::sync::mpsc;

use recording::terminal::asciicast::{DecodedLines, decode_lines};
use recording::{ExitStatus, KindSummary, LedgerEntry, LedgerSummary, Micros, Shortfall, StreamLedger};
use reqwest::Response;
use tokio::runtime::Runtime;

use super::follow::Follower;
use super::recording_list::recorder_note;
use super::replay_session::ReplaySession;
use crate::arguments::{PlayArguments, RecordingArguments};
use crate::client::{Client, broke_off};
use crate::failure::Failure;
use crate::player::{Playback, Played, Recorded, play};
use crate::signal_name::named_signal;
use crate::table::readable_millis;
use crate::terminal;

/// The header of a reply that plays a recording: who ran the process that captured it.
const RECORDER_HEADER: &str = "x-hansard-recorder";

/// The header that says whether the recorded session goes on.
const STATUS_HEADER: &str = "x-hansard-status";

/// The header that names the first segment that has not arrived.
const NEXT_SEGMENT_HEADER: &str = "x-hansard-next-segment";

/// The header that says what the recording lacks, or did less, as far as it has arrived.
const LEDGER_HEADER: &str = "x-hansard-ledger";

/// How a failure names a reply that plays a recording.
const PLAYED: &str = "the recording";

/// How many digits of a token a status line shows.
const SHORT_TOKEN: usize = 9;

/// Asks for a reply that plays the recording.
///
/// # Errors
/// The server refuses.
pub(super) async fn playing(session: &ReplaySession<'_>, below: &str) -> Result<Response, Failure> {
    session.get(PLAYED, below).await.map_err(|failure| explained(session, failure))
}

/// The failure of a reply that ended early.
pub(super) fn ended_early(session: &ReplaySession<'_>, error: &reqwest::Error) -> Failure {
    explained(session, broke_off(PLAYED, error))
}

/// A change in the middle of a recording is found after the reply has begun. The control plane can then only break it
/// off, without a reason.
fn explained(session: &ReplaySession<'_>, failure: Failure) -> Failure {
    if !failure.is_broken_off() {
        return failure;
    }
    Failure::broke_off(format!(
        "the control plane broke the reply off: what follows could not be shown; `hansard recordings verify {}` \
         says why",
        session.token()
    ))
}

fn header<'a>(reply: &'a Response, name: &str) -> Option<&'a str> {
    reply.headers().get(name).and_then(|value| value.to_str().ok())
}

/// Says what is known about the process that captured what a reply plays.
pub(super) fn note_recorder(reply: &Response) {
    terminal::note(&recorder_note(header(reply, RECORDER_HEADER)));
}

/// Says what the recording that a reply plays lacks, or did less.
pub(super) fn note_ledger(reply: &Response) {
    ledger_lines(header(reply, LEDGER_HEADER)).iter().for_each(|line| terminal::note(line));
}

/// A line for each kind that the header names. One that this version cannot read is said to be so: it may name a loss.
fn ledger_lines(header: Option<&str>) -> Vec<String> {
    let Some(header) = header else { return Vec::new() };
    match serde_json::from_str::<LedgerSummary>(header) {
        Ok(ledger) => ledger.kinds().iter().map(KindSummary::sentence).collect(),
        Err(_) => vec![format!(
            "the recording lacks something, or did less, which this version cannot read: {header}"
        )],
    }
}

/// Whether the recorded session goes on behind what a reply plays.
pub(super) fn goes_on(reply: &Response) -> bool {
    header(reply, STATUS_HEADER) == Some("running")
}

/// What has arrived of a recording.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) lines: DecodedLines,
    /// Whether the recorded session goes on.
    pub(super) goes_on: bool,
    /// The first segment that has not arrived, where the server says so.
    pub(super) next_segment: Option<u32>,
}

impl Arrived {
    /// Reads a reply that plays a recording.
    ///
    /// # Errors
    /// It ends early, or is no recording.
    pub(super) async fn read(session: &ReplaySession<'_>, reply: Response) -> Result<Self, Failure> {
        let goes_on = goes_on(&reply);
        let next_segment = header(&reply, NEXT_SEGMENT_HEADER).and_then(|number| number.parse().ok());
        let cast = reply.bytes().await.map_err(|error| ended_early(session, &error))?;
        let lines = decode_lines(&cast)
            .map_err(|error| Failure::failed(format!("the recording cannot be read: {error}")))?;
        Ok(Self { lines, goes_on, next_segment })
    }
}

/// Fetches what has arrived of a recording.
async fn fetch<'a>(
    client: &'a Client,
    recording: &RecordingArguments,
) -> Result<(ReplaySession<'a>, Arrived), Failure> {
    let session = ReplaySession::open(client, recording).await?;
    let reply = playing(&session, "cast").await?;
    note_recorder(&reply);
    let arrived = Arrived::read(&session, reply).await?;
    Ok((session, arrived))
}

/// Plays a recording, and with `--follow` what arrives meanwhile.
///
/// # Errors
/// The server refuses, or standard output cannot be written.
pub(super) fn watch(client: &Client, wanted: &PlayArguments, runtime: &Runtime) -> Result<(), Failure> {
    let (session, arrived) = runtime.block_on(fetch(client, &wanted.recording))?;
    if wanted.raw {
        terminal::note("--raw: the recorded bytes drive this terminal as they are");
    }
    let playback = Playback { speed: wanted.speed, idle_limit: wanted.idle_limit, raw: wanted.raw };
    let name: String = session.token().as_str().chars().take(SHORT_TOKEN).collect();
    let goes_on = arrived.goes_on;
    if !(goes_on && wanted.follow) {
        if goes_on {
            terminal::note(
                "the recorded session is still running: this is what has arrived so far; --follow shows what comes",
            );
        }
        let recorded = Recorded { lines: arrived.lines, name: &name, goes_on, more: None };
        let played = play(recorded, playback).map_err(|error| terminal::cannot_write(&error))?;
        note_end(&played);
        return Ok(());
    }
    let next = arrived.next_segment.ok_or_else(|| {
        Failure::failed("--follow: this server does not say what of a running recording has arrived")
    })?;
    terminal::note("the recorded session is still running: what arrives is shown until it ends");
    let follower = Follower::new(client, session, next);
    let (sender, more) = mpsc::channel();
    // It says no more to whoever has left; its requests are then given up.
    let (left, leaving) = tokio::sync::oneshot::channel::<()>();
    std::thread::scope(|scope| {
        let following = scope.spawn(|| {
            runtime.block_on(async {
                tokio::select! {
                    ended = follower.follow(sender) => ended,
                    _ = leaving => Ok(()),
                }
            })
        });
        let recorded = Recorded { lines: arrived.lines, name: &name, goes_on, more: Some(&more) };
        let played = play(recorded, playback);
        drop(left);
        let followed = following.join().unwrap_or_else(|_| Err(Failure::failed("following failed")));
        let played = played.map_err(|error| terminal::cannot_write(&error))?;
        if followed.is_ok() {
            note_end(&played);
        }
        followed
    })
}

fn note_end(played: &Played) {
    shortfall_lines(&played.shortfalls).iter().for_each(|line| terminal::note(line));
    if let Some(line) = last_line(played) {
        terminal::note(&line);
    }
}

/// The most shortfalls that are told one by one.
const MOST_TOLD: usize = 50;

/// What the recording lacks, or did less: each with its time, or merged where there are very many.
fn shortfall_lines(shortfalls: &[(Micros, Shortfall)]) -> Vec<String> {
    if shortfalls.len() <= MOST_TOLD {
        return shortfalls.iter().map(|(at, shortfall)| shortfall.sentence(*at)).collect();
    }
    let mut ledger = StreamLedger::default();
    shortfalls.iter().for_each(|(at, shortfall)| ledger.add(*at, shortfall));
    ledger.entries().iter().map(LedgerEntry::sentence).collect()
}

/// What is said when everything was shown.
fn last_line(played: &Played) -> Option<String> {
    if played.left {
        return None;
    }
    let length = readable_millis(u64::try_from(played.length.as_millis()).unwrap_or(u64::MAX));
    Some(match played.exit {
        Some(ExitStatus::Code(code)) => format!("end after {length}: exit code {code}"),
        Some(ExitStatus::Signal(signal)) => format!("end after {length}: ended by {}", named_signal(signal)),
        None if played.goes_on => {
            format!("this is what has arrived so far, {length}; the recorded session goes on")
        }
        None => format!("end after {length}: nothing further has arrived"),
    })
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use recording::{Cause, InstanceId, ShortfallKind, TerminalSessionToken};

    use super::*;
    use crate::arguments::RecordingReference;
    use crate::commands::named_recording::NamedRecording;
    use crate::environment::Environment;
    use crate::player::More;

    /// Takes a request on each connection, and closes it behind what it answers.
    fn answering(replies: Vec<String>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            for reply in replies {
                let (stream, _) = listener.accept().unwrap();
                let (mut request, mut length) = (BufReader::new(&stream), 0);
                loop {
                    let mut line = String::new();
                    request.read_line(&mut line).unwrap();
                    match line.trim_end().split_once(':') {
                        Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                            length = value.trim().parse().unwrap();
                        }
                        None if line.trim_end().is_empty() => break,
                        _ => {}
                    }
                }
                request.read_exact(&mut vec![0; length]).unwrap();
                (&stream).write_all(reply.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn a_broken_reply_says_how_to_find_the_reason() {
        let whole = |head: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 200 OK\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}")
        };
        let broken = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n";
        let token = "ab".repeat(16);
        // In its body, and before its head.
        for broken in [broken, ""] {
            let address = answering(vec![
                whole("", r#"{"ReplayUrl":"http://h/x#ticket=t"}"#),
                whole("set-cookie: hansard_replay=c; Path=/\r\n", ""),
                broken.to_owned(),
            ]);
            let endpoint = format!("http://{address}");
            let environment = Environment::of(&[
                ("HANSARD_ENDPOINT", endpoint.as_str()),
                ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"),
                ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret"),
            ]);
            let client = Client::from_environment(&environment).unwrap();
            let recording = RecordingArguments {
                recording: RecordingReference::parse(&token).unwrap(),
                instance_id: Some(InstanceId::parse("i-web1").unwrap()),
            };
            let failure = Runtime::new().unwrap().block_on(fetch(&client, &recording)).err().unwrap();
            let expected = format!(
                "the control plane broke the reply off: what follows could not be shown; `hansard recordings verify \
                 {token}` says why"
            );
            assert_eq!((failure.message(), failure.exit_code()), (expected.as_str(), 1));
        }
    }

    #[test]
    fn following_goes_on_after_a_lost_reply_and_an_ended_session() {
        let reply = |status: &str, head: &str, body: &str| {
            let length = body.len();
            format!("HTTP/1.1 {status}\r\nconnection: close\r\n{head}content-length: {length}\r\n\r\n{body}")
        };
        let view = reply("200 OK", "", r#"{"ReplayUrl":"http://h/x#ticket=t"}"#);
        let exchange = reply("200 OK", "set-cookie: hansard_replay=c; Path=/\r\n", "");
        let ended =
            reply("401 Unauthorized", "", r#"{"Code":"ReplaySessionRequired","Message":"It has ended."}"#);
        let more = |status: &str, next: u32, text: &str| {
            let head = format!("x-hansard-status: {status}\r\nx-hansard-next-segment: {next}\r\n");
            reply("200 OK", &head, text)
        };
        let address = answering(vec![
            view.clone(),
            exchange.clone(),
            String::new(),
            ended,
            view,
            exchange,
            more("running", 2, "[1.000000,\"o\",\"one\"]\n"),
            more("finished", 3, "[2.000000,\"x\",\"0\"]\n"),
        ]);
        let endpoint = format!("http://{address}");
        let environment = Environment::of(&[
            ("HANSARD_ENDPOINT", endpoint.as_str()),
            ("ALIBABA_CLOUD_ACCESS_KEY_ID", "id"),
            ("ALIBABA_CLOUD_ACCESS_KEY_SECRET", "secret"),
        ]);
        let client = Client::from_environment(&environment).unwrap();
        let (sender, more) = mpsc::channel();
        Runtime::new().unwrap().block_on(async {
            let recording = NamedRecording {
                token: TerminalSessionToken::generate(),
                instance: InstanceId::parse("i-web1").unwrap(),
            };
            let session = ReplaySession::of(&client, recording).await.unwrap();
            Follower::new(&client, session, 1).follow(sender).await.unwrap();
        });
        let said: Vec<String> = more
            .iter()
            .map(|more| match more {
                More::Trouble(why) => format!("trouble: {why}"),
                More::Events(events) => format!("{} event at {} s", events.len(), events[0].at),
                More::Ended => "ended".to_owned(),
            })
            .collect();
        assert!(said[0].starts_with("trouble: the control plane broke the reply off"), "{said:?}");
        assert_eq!(said[1..], ["1 event at 1.000000 s", "1 event at 2.000000 s", "ended"]);
    }

    #[test]
    fn the_ledger_of_a_reply_is_told_kind_by_kind() {
        let header =
            r#"[{"kind":"gap","count":3,"first_at":1,"last_at":2000000,"lost_bytes":42,"reason":""}]"#;
        let expected = ["gap 3 times from 0.000001 s to 2.000000 s (42 bytes lost)"];
        assert_eq!(ledger_lines(Some(header)), expected);
        assert!(ledger_lines(Some(r#"[{"kind":"new"}]"#))[0].contains("cannot read"));
        assert!(ledger_lines(None).is_empty() && ledger_lines(Some("[]")).is_empty());
    }

    #[test]
    fn very_many_shortfalls_are_told_together() {
        let dropped = Shortfall::new(ShortfallKind::Drop, Cause::new("queue_full"), "the queue was full");
        let many: Vec<_> = (0..MOST_TOLD as u64 + 1).map(|at| (Micros::new(at), dropped.clone())).collect();
        let each = shortfall_lines(&many[..2]);
        assert_eq!(each[1], "drop (queue_full) at 0.000001 s: the queue was full");
        let together = shortfall_lines(&many);
        assert_eq!(
            together,
            ["drop (queue_full) 51 times from 0.000000 s to 0.000050 s: the queue was full"]
        );
    }

    #[test]
    fn the_last_line_says_how_it_ended() {
        let played = |exit, goes_on| Played {
            exit,
            goes_on,
            length: std::time::Duration::from_secs(65),
            ..Played::default()
        };
        for (played, line) in [
            (played(Some(ExitStatus::Code(3)), false), "end after 1 min 05 s: exit code 3"),
            (played(Some(ExitStatus::Signal(9)), false), "end after 1 min 05 s: ended by signal 9 (SIGKILL)"),
            (played(None, false), "end after 1 min 05 s: nothing further has arrived"),
            (played(None, true), "this is what has arrived so far, 1 min 05 s; the recorded session goes on"),
        ] {
            assert_eq!(last_line(&played).as_deref(), Some(line));
            assert_eq!(last_line(&Played { left: true, ..played }), None);
        }
    }
}
