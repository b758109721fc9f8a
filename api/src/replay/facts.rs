//! `GET /replay/v1/recordings/{token}`: what is known about a recording. What an agent or a session supplied is
//! passed on as it is, in JSON only; the page escapes it before it shows it.

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use recording::{EvidenceName, Start};
use serde::Serialize;

use super::objects;
use super::viewing::Viewing;
use crate::Hansard;
use crate::errors::ActionError;

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Facts {
    request_id: String,
    terminal_session_token: String,
    account_id: String,
    instance_id: String,
    agent_id: String,
    kind: String,
    status: &'static str,
    start_time: String,
    record_duration_millis: i64,
    /// Provisional while the session runs.
    expire_time: String,
    stored_bytes: u64,
    segments: u32,
    columns: u16,
    rows: u16,
    command: Vec<String>,
    /// The agent's claim; nobody has proved it.
    claimed_user: Option<String>,
    terminal_type: Option<String>,
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
            let document = objects::read(&viewing.hansard, recording, EvidenceName::Start).await?;
            let start =
                Start::parse(&document).map_err(|error| ActionError::unexpected("read start.json", error))?;
            Ok(HttpResponse::Ok().json(Facts {
                request_id: viewing.request_id.as_str().to_owned(),
                terminal_session_token: recording.token.to_string(),
                account_id: recording.account.to_string(),
                instance_id: recording.instance.to_string(),
                agent_id: recording.agent.to_string(),
                kind: recording.kind.clone(),
                status: recording.status().as_str(),
                start_time: recording.started_at.to_rfc3339_seconds(),
                record_duration_millis: recording.duration_millis(),
                expire_time: recording.expires_at(viewing.now).to_rfc3339_seconds(),
                stored_bytes: recording.arrived.stored_bytes,
                segments: recording.arrived.segments,
                columns: start.terminal.columns,
                rows: start.terminal.rows,
                command: start.command.unwrap_or_default(),
                claimed_user: start.claimed_user,
                terminal_type: start.term,
            }))
        })
        .await
}
