//! `hansard recordings`: find, watch and export.

use serde_json::json;
use tokio::runtime::Runtime;

use crate::arguments::{Output, RecordingArguments, RecordingsArguments, RecordingsCommand};
use crate::browser::Browser;
use crate::client::Client;
use crate::commands::named_recording::NamedRecording;
use crate::commands::replay_session::replay_url;
use crate::commands::{export, playing, recording_list, verify, verify_agents};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::{reply, terminal};
use recording::sanitise::sanitised;

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
        RecordingsCommand::Show(wanted) => {
            runtime.block_on(recording_list::show(&client, wanted, arguments.output))
        }
        RecordingsCommand::Open(wanted) => {
            let browser = if wanted.print { None } else { Some(Browser::of(environment)?) };
            runtime.block_on(open(&client, &wanted.recording, arguments.output, browser.as_ref()))
        }
        RecordingsCommand::Export(wanted) => runtime.block_on(export::write_export(&client, wanted)),
        RecordingsCommand::Play(wanted) => playing::watch(&client, wanted, runtime),
        RecordingsCommand::Verify(_) => Ok(()),
    }?;
    Ok(0)
}

async fn open(
    client: &Client,
    recording: &RecordingArguments,
    output: Output,
    browser: Option<&Browser>,
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
    if is_address && browser.is_some_and(|browser| browser.open(address)) {
        terminal::note(&format!("{} is opened in the browser; --print prints the address", recording.token));
        return Ok(());
    }
    terminal::print(&format!("{}\n", sanitised(address)))?;
    let none = if browser.is_some() { "no browser opened it here; it " } else { "" };
    terminal::note(&format!("{none}opens once, until {expires}"));
    Ok(())
}
