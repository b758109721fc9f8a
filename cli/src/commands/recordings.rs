//! `hansard recordings`: find, watch and export.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use recording::terminal::asciicast::decode_lines;
use reqwest::Response;
use serde_json::json;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;

use crate::arguments::{
    ExportArguments, ExportFormat, Output, PlayArguments, RecordingArguments, RecordingsArguments,
    RecordingsCommand,
};
use crate::browser::Browser;
use crate::client::{Client, broke_off};
use crate::commands::named_recording::NamedRecording;
use crate::commands::recording_list::recorder_note;
use crate::commands::replay_session::{ReplaySession, replay_url};
use crate::commands::{recording_list, verify, verify_agents};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::player::{Playback, play};
use crate::table::readable_millis;
use crate::{reply, terminal};
use recording::sanitise::{sanitised, sanitised_json, sanitised_lines};

/// The header of a reply that plays a recording: who ran the process that captured it.
const RECORDER_HEADER: &str = "x-hansard-recorder";

/// How a failure names a reply that plays a recording.
const PLAYED: &str = "the recording";

/// Runs the command and gives its exit code.
///
/// # Errors
/// The server refuses, or the result cannot be written.
pub(crate) fn run(
    arguments: &RecordingsArguments,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<u8, Failure> {
    if let RecordingsCommand::Verify(wanted) = &arguments.command
        && (wanted.agent.is_some() || wanted.all)
    {
        let client = Client::from_environment(environment)?;
        return runtime.block_on(verify_agents::run(&client, wanted, arguments.output));
    }
    if let RecordingsCommand::Verify(verify) = &arguments.command {
        return verify::run(verify, arguments.output, environment, runtime);
    }
    let client = Client::from_environment(environment)?;
    match &arguments.command {
        RecordingsCommand::Ls(list) => runtime.block_on(recording_list::ls(&client, list, arguments.output)),
        RecordingsCommand::Show(recording) => {
            runtime.block_on(recording_list::show(&client, recording, arguments.output))
        }
        RecordingsCommand::Open(wanted) => {
            let browser = if wanted.print { Browser::none() } else { Browser::of(environment)? };
            runtime.block_on(open(&client, &wanted.recording, arguments.output, &browser))
        }
        RecordingsCommand::Export(export) => runtime.block_on(write_export(&client, export)),
        RecordingsCommand::Play(wanted) => {
            let cast = runtime.block_on(cast_of(&client, &wanted.recording))?;
            watch(&cast, wanted)
        }
        RecordingsCommand::Verify(_) => Ok(()),
    }?;
    Ok(0)
}

async fn open(
    client: &Client,
    recording: &RecordingArguments,
    output: Output,
    browser: &Browser,
) -> Result<(), Failure> {
    let recording = NamedRecording::find(client, recording).await?;
    let view = replay_url(client, &recording).await?;
    let address = reply::text("ViewInstanceRecords", &view, "ReplayUrl")?;
    let expires = reply::text("ViewInstanceRecords", &view, "ReplayUrlExpireTime")?;
    if output == Output::Json {
        return terminal::print_json(&json!({ "ReplayUrl": address, "ReplayUrlExpireTime": expires }));
    }
    // What is given to a program is an address and nothing else.
    let is_address = url::Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_address && browser.open(address) {
        terminal::note(&format!("{} is opened in the browser; --print prints the address", recording.token));
        return Ok(());
    }
    terminal::print(&format!("{}\n", sanitised(address)))?;
    terminal::note(&format!("opens once, until {expires}"));
    Ok(())
}

async fn cast_of(client: &Client, recording: &RecordingArguments) -> Result<Vec<u8>, Failure> {
    let session = ReplaySession::open(client, recording).await?;
    let reply = playing(&session, "cast").await?;
    note_recorder(&reply);
    Ok(reply.bytes().await.map_err(|error| ended_early(&session, &error))?.to_vec())
}

/// Asks for a reply that plays the recording.
async fn playing(session: &ReplaySession<'_>, below: &str) -> Result<Response, Failure> {
    session.get(PLAYED, below).await.map_err(|failure| explained(session, failure))
}

fn ended_early(session: &ReplaySession<'_>, error: &reqwest::Error) -> Failure {
    explained(session, broke_off(PLAYED, error))
}

/// A change in the middle of a recording is found after the reply has begun. The control plane can then only break it
/// off, without a reason.
fn explained(session: &ReplaySession<'_>, failure: Failure) -> Failure {
    if !failure.is_broken_off() {
        return failure;
    }
    Failure::failed(format!(
        "the control plane broke the reply off: what follows could not be shown; `hansard recordings verify {}` \
         says why",
        session.token()
    ))
}

/// Says what is known about the process that captured what a reply plays.
fn note_recorder(reply: &Response) {
    let recorder = reply.headers().get(RECORDER_HEADER).and_then(|value| value.to_str().ok());
    terminal::note(&recorder_note(recorder));
}

fn watch(cast: &[u8], wanted: &PlayArguments) -> Result<(), Failure> {
    let recorded = decode_lines(cast)
        .map_err(|error| Failure::failed(format!("the recording cannot be read: {error}")))?;
    if wanted.raw {
        terminal::note("--raw: the recorded bytes drive this terminal as they are");
    }
    let playback = Playback { speed: wanted.speed, idle_limit: wanted.idle_limit, raw: wanted.raw };
    let played = play(&recorded, playback).map_err(|error| terminal::cannot_write(&error))?;
    for (at, reason) in played.gaps {
        terminal::note(&format!("gap at {at} s: {reason}"));
    }
    if !played.left {
        let length = recorded.events.last().map_or(Duration::ZERO, |last| last.at.as_duration());
        let length = readable_millis(u64::try_from(length.as_millis()).unwrap_or(u64::MAX));
        terminal::note(&match played.exit {
            Some(recording::ExitStatus::Code(code)) => format!("end after {length}: exit code {code}"),
            Some(recording::ExitStatus::Signal(signal)) => {
                format!("end after {length}: ended by signal {signal}")
            }
            None => format!("end after {length}: nothing further has arrived"),
        });
    }
    Ok(())
}

async fn write_export(client: &Client, wanted: &ExportArguments) -> Result<(), Failure> {
    if let Some(file) = wanted.out.as_ref().filter(|file| !wanted.force && file.exists()) {
        return Err(exists_already(file));
    }
    let session = ReplaySession::open(client, &wanted.recording).await?;
    let below = match wanted.format {
        ExportFormat::Cast => "cast",
        ExportFormat::Txt => "text",
    };
    match &wanted.out {
        Some(file) => download(&session, below, file, wanted.force).await,
        None => {
            let reply = playing(&session, below).await?;
            note_recorder(&reply);
            let bytes = reply.bytes().await.map_err(|error| ended_early(&session, &error))?;
            if !std::io::stdout().is_terminal() {
                return terminal::print_bytes(&bytes);
            }
            let text = String::from_utf8_lossy(&bytes);
            match wanted.format {
                ExportFormat::Cast => terminal::print(&sanitised_json(&text)),
                ExportFormat::Txt => terminal::print(&sanitised_lines(&text.replace("\r\n", "\n"))),
            }
        }
    }
}

/// Writes a temporary file and renames it at the end, so that an incomplete download replaces nothing.
async fn download(
    session: &ReplaySession<'_>,
    below: &str,
    file: &Path,
    replace: bool,
) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::failed(format!("{} cannot be written: {error}", file.display()));
    let name = file.file_name().ok_or_else(|| Failure::usage(format!("{} names no file", file.display())))?;
    let mut partial = name.to_owned();
    partial.push(format!(".{}.partial", std::process::id()));
    let partial = file.with_file_name(partial);
    let mut reply = playing(session, below).await?;
    note_recorder(&reply);
    let mut out = File::create_new(&partial).await.map_err(failed)?;
    let written = async {
        while let Some(piece) = reply.chunk().await.map_err(|error| ended_early(session, &error))? {
            out.write_all(&piece).await.map_err(failed)?;
        }
        out.sync_all().await.map_err(failed)?;
        match name_it(&partial, file, replace) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists_already(file)),
            named => named.map_err(failed),
        }
    }
    .await;
    if written.is_err() {
        remove(&partial).await;
    }
    written
}

fn exists_already(file: &Path) -> Failure {
    Failure::failed(format!("{} exists already; --force replaces it", file.display()))
}

/// Gives the finished file its name.
fn name_it(partial: &Path, file: &Path, replace: bool) -> std::io::Result<()> {
    if replace {
        return std::fs::rename(partial, file);
    }
    // A link, unlike a rename, does not replace. Some file systems have none.
    match std::fs::hard_link(partial, file) {
        Ok(()) => std::fs::remove_file(partial),
        Err(error) if error.kind() == ErrorKind::AlreadyExists || file.exists() => {
            Err(ErrorKind::AlreadyExists.into())
        }
        Err(_) => std::fs::rename(partial, file),
    }
}

/// Removes an incomplete file. A failure to do so is not worth a second error.
async fn remove(partial: &PathBuf) {
    let _ = tokio::fs::remove_file(partial).await;
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _, Write as _};
    use std::net::{SocketAddr, TcpListener};

    use recording::InstanceId;

    use super::*;
    use crate::arguments::RecordingReference;

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
            let failure = Runtime::new().unwrap().block_on(cast_of(&client, &recording)).unwrap_err();
            let expected = format!(
                "the control plane broke the reply off: what follows could not be shown; `hansard recordings verify \
                 {token}` says why"
            );
            assert_eq!((failure.message(), failure.exit_code()), (expected.as_str(), 1));
        }
    }

    #[test]
    fn an_exported_file_replaces_another_only_when_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let (partial, file) = (folder.path().join("a.partial"), folder.path().join("a"));
        std::fs::write(&partial, "one").unwrap();
        name_it(&partial, &file, false).unwrap();
        std::fs::write(&partial, "two").unwrap();
        assert_eq!(name_it(&partial, &file, false).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "one");
        name_it(&partial, &file, true).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "two");
        assert!(!partial.exists());
    }
}
