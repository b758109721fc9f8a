//! `hansard recordings`: find, watch and export.

use std::io::{ErrorKind, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use openapi::workbench::RecordItem;
use recording::asciicast::decode_lines;
use serde_json::{Value, json};
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use tokio::runtime::Runtime;

use crate::arguments::{
    ExportArguments, ExportFormat, ListArguments, Output, PlayArguments, RecordingArguments,
    RecordingsArguments, RecordingsCommand,
};
use crate::client::Client;
use crate::commands::replay_session::{ReplaySession, broke_off, replay_url};
use crate::commands::verify;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::player::{Playback, play};
use crate::table::{Table, readable_millis};
use crate::{reply, terminal};
use recording::sanitise::{sanitised, sanitised_json, sanitised_lines};

/// Runs the command and gives its exit code.
///
/// # Errors
/// The server refuses, or the result cannot be written.
pub(crate) fn run(
    arguments: &RecordingsArguments,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<u8, Failure> {
    if let RecordingsCommand::Verify(verify) = &arguments.command {
        return verify::run(verify, arguments.output, environment, runtime);
    }
    let client = Client::from_environment(environment)?;
    match &arguments.command {
        RecordingsCommand::Ls(list) => runtime.block_on(ls(&client, list, arguments.output)),
        RecordingsCommand::Open(recording) => runtime.block_on(open(&client, recording, arguments.output)),
        RecordingsCommand::Export(export) => runtime.block_on(write_export(&client, export)),
        RecordingsCommand::Play(wanted) => {
            let cast = runtime.block_on(cast_of(&client, &wanted.recording))?;
            watch(&cast, wanted)
        }
        RecordingsCommand::Verify(_) => Ok(()),
    }?;
    Ok(0)
}

async fn ls(client: &Client, wanted: &ListArguments, output: Output) -> Result<(), Failure> {
    let mut records: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    let (total, more) = loop {
        let mut parameters = vec![("IncludeExpired".to_owned(), wanted.include_expired.to_string())];
        let page_size = wanted.page_size.or(wanted.all.then_some(100));
        let numbers = [("PageSize", page_size), ("PageNumber", wanted.page_number)];
        parameters.extend(
            numbers.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.to_string()))),
        );
        parameters.extend(wanted.instance_id.iter().map(|id| ("InstanceId".to_owned(), id.to_string())));
        parameters.extend(next.take().map(|token| ("NextToken".to_owned(), token)));
        let page = client.call("ListInstanceRecords", &parameters).await?;
        records.extend(reply::list("ListInstanceRecords", &page, "RecordList")?);
        next = page.get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if !wanted.all || next.is_none() {
            break (page["Root"]["TotalCount"].as_u64(), next.is_some());
        }
    };
    let shown = records.len();
    match output {
        Output::Json => terminal::print_json(&Value::Array(records))?,
        Output::Table => terminal::print(&table_of(records)?)?,
    }
    if let (true, Some(total)) = (more, total) {
        terminal::note(&format!(
            "{shown} of {total} recordings; --all lists all, --page-number another page"
        ));
    }
    Ok(())
}

fn table_of(records: Vec<Value>) -> Result<String, Failure> {
    let mut table = Table::new(&["TOKEN", "INSTANCE", "STATUS", "STARTED", "LENGTH", "EXPIRES"]);
    for record in records {
        let record: RecordItem = reply::read("ListInstanceRecords", record)?;
        let status = match &record.status_reason {
            Some(reason) => format!("{}: {reason}", record.status),
            None => record.status.clone(),
        };
        let length = readable_millis(u64::try_from(record.record_duration_millis).unwrap_or(0));
        table.row([
            record.terminal_session_token.as_str(),
            &record.instance_id,
            &status,
            &record.gmt_create,
            &length,
            &record.expire_time,
        ]);
    }
    Ok(table.to_text())
}

async fn open(client: &Client, recording: &RecordingArguments, output: Output) -> Result<(), Failure> {
    let view = replay_url(client, recording).await?;
    let address = reply::text("ViewInstanceRecords", &view, "ReplayUrl")?;
    let expires = reply::text("ViewInstanceRecords", &view, "ReplayUrlExpireTime")?;
    if output == Output::Json {
        return terminal::print_json(&json!({ "ReplayUrl": address, "ReplayUrlExpireTime": expires }));
    }
    terminal::print(&format!("{}\n", sanitised(address)))?;
    terminal::note(&format!("opens once, until {expires}"));
    Ok(())
}

async fn cast_of(client: &Client, recording: &RecordingArguments) -> Result<Vec<u8>, Failure> {
    ReplaySession::open(client, recording).await?.bytes("the recording", "cast").await
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
            None => format!("end after {length}: what arrived ends here"),
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
            let bytes = session.bytes("the recording", below).await?;
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

/// Writes beside the file and gives it its name at the end, so that a download that breaks off replaces nothing.
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
    let mut reply = session.get("the recording", below).await?;
    let mut out = File::create_new(&partial).await.map_err(failed)?;
    let written = async {
        while let Some(piece) = reply.chunk().await.map_err(|error| broke_off("the recording", &error))? {
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

/// A piece of a file that nobody wants. That it cannot be removed is not worth a second error.
async fn remove(partial: &PathBuf) {
    let _ = tokio::fs::remove_file(partial).await;
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_table_shows_what_others_supplied_escaped() {
        let record = json!({
            "AccountId": 1_609_982_529_000_000_i64,
            "ExpireTime": "2026-11-27T10:00:00Z",
            "GmtCreate": "2026-11-20T10:00:00Z",
            "InstanceId": "i-web1",
            "InstanceRecordUrl": "http://h/x",
            "RecordDurationMillis": 12_000,
            "Status": "failed",
            "StatusReason": "\u{1b}[31mgone",
            "TerminalSessionToken": "ab".repeat(16),
        });
        let text = table_of(vec![record]).unwrap();
        assert!(text.contains("failed: \\u{1b}[31mgone  2026-11-20T10:00:00Z  12 s"), "{text}");
        assert!(table_of(vec![json!({})]).unwrap_err().message().contains("has another shape"));
    }
}
