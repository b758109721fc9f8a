//! `GET /replay/v1/recordings/{token}`: what is known about a recording. What an agent or a session supplied is
//! passed on as it is, in JSON only; the page escapes it before it shows it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use openapi::workbench::LedgerItem;
use recording::{CaptureKind, EvidenceName, Recorder, Start};
use serde::Serialize;

use super::viewing::Viewing;
use crate::Hansard;
use crate::actions::ledger_list;
use crate::errors::ActionError;
use crate::evidence;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Facts {
    request_id: String,
    terminal_session_token: String,
    account_id: String,
    instance_id: String,
    agent_id: String,
    kind: CaptureKind,
    status: &'static str,
    start_time: String,
    record_duration_millis: i64,
    /// Provisional while the session runs.
    expire_time: String,
    stored_bytes: u64,
    segments: u32,
    /// The size of the terminal at the start; absent where there was no terminal.
    #[serde(skip_serializing_if = "Option::is_none")]
    columns: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows: Option<u16>,
    command: Vec<String>,
    /// The agent's claim; nobody has proved it.
    claimed_user: Option<String>,
    /// Who ran the process that captured it.
    recorder: Recorder,
    terminal_type: Option<String>,
    /// What it lacks or did less, of each kind; absent where that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger: Option<Vec<LedgerItem>>,
}

pub(crate) async fn get(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    viewing
        .look("facts", async |viewing, seen| {
            let recording = &seen.recording;
            let document =
                evidence::read(&viewing.hansard, recording, EvidenceName::Start, recording.start_sha256)
                    .await?;
            let start =
                Start::parse(&document).map_err(|error| ActionError::unexpected("read start.json", error))?;
            Ok(HttpResponse::Ok().json(Facts {
                request_id: viewing.request_id(),
                terminal_session_token: recording.token.to_string(),
                account_id: recording.account.to_string(),
                instance_id: recording.instance.to_string(),
                agent_id: recording.agent.to_string(),
                kind: recording.kind,
                status: recording.status().as_str(),
                start_time: recording.listed_at().to_rfc3339_seconds(),
                record_duration_millis: recording.duration_millis(),
                expire_time: recording.expires_at(viewing.now()).to_rfc3339_seconds(),
                stored_bytes: recording.arrived.stored_bytes,
                segments: recording.arrived.segments,
                columns: start.terminal.map(|size| size.columns),
                rows: start.terminal.map(|size| size.rows),
                command: start.command.unwrap_or_default(),
                claimed_user: start.claimed_user,
                recorder: start.recorder,
                terminal_type: start.term,
                ledger: ledger_list(recording),
            }))
        })
        .await
}
