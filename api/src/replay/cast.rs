//! `GET /replay/v1/recordings/{token}/cast`, `.../text` and `.../events`: the decoded recording, segment by segment, so
//! that a long one needs no more memory than a short one. A running recording plays what has arrived: the reply says that it is
//! running, and how many segments there are, so that `.../cast/{first}` gives those that arrive later.

use std::io;

use actix_web::http::header;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use domain::TerminalSessionToken;
use domain::recording_life::Recording;
use futures_util::{Stream as FutureStream, StreamExt as _, stream};
use openapi::error_codes::ErrorCode;
use persistence::SegmentRow;
use recording::sanitise::sanitised;
use recording::{
    DecodedSegment, EvidenceName, LedgerSummary, SegmentError, SegmentHeader, ShortfallKind, Stream,
    TerminalEventKind,
};

use super::viewing::{Seen, Viewing};
use crate::Hansard;
use crate::errors::{ActionError, chain_of};
use crate::evidence;

/// How many segments are read ahead of the one that is being sent.
const READ_AHEAD: usize = 2;

/// What is made of a segment.
#[derive(Debug, Clone, Copy)]
enum Rendering {
    /// Its lines, as they are.
    Cast,
    /// The exact bytes that the terminal was given, with a line of ours where the recording lacks something.
    Text,
    /// The lines of the stream `events`.
    Events,
}

impl Rendering {
    /// The stream whose segments it is made of.
    const fn stream(self) -> Stream {
        match self {
            Rendering::Cast | Rendering::Text => Stream::Terminal,
            Rendering::Events => Stream::Events,
        }
    }
}

pub(crate) async fn get_cast(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    viewing
        .look("replay", async |viewing, seen| {
            play(viewing, seen, 0, Rendering::Cast, "application/x-asciicast").await
        })
        .await
}

/// The segments from a number on: what has arrived since somebody had those before it.
pub(crate) async fn get_cast_from(
    request: HttpRequest,
    path: Path<(String, String)>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let (token, first) = path.into_inner();
    let viewing = Viewing::by_session(&request, &hansard, &token)?;
    viewing
        .look("replay", async |viewing, seen| {
            let first = first.parse().map_err(|_| ErrorCode::ActionNotFound)?;
            play(viewing, seen, first, Rendering::Cast, "application/x-asciicast").await
        })
        .await
}

pub(crate) async fn get_text(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    // Raw output can control a terminal, so it is never offered for display.
    viewing
        .look("download", async |viewing, seen| {
            play(viewing, seen, 0, Rendering::Text, "application/octet-stream").await
        })
        .await
}

/// What happened beside what was shown, such as transfers: one JSON object a line. Empty where nothing did.
pub(crate) async fn get_events(
    request: HttpRequest,
    path: Path<String>,
    hansard: Data<Hansard>,
) -> Result<HttpResponse, ActionError> {
    let viewing = Viewing::by_session(&request, &hansard, &path)?;
    viewing
        .look("replay", async |viewing, seen| {
            play(viewing, seen, 0, Rendering::Events, "application/x-ndjson").await
        })
        .await
}

async fn play(
    viewing: &Viewing,
    seen: &Seen,
    first: u32,
    rendering: Rendering,
    content_type: &str,
) -> Result<HttpResponse, ActionError> {
    let rows = viewing.hansard.store.segments_of_recording(&seen.granted, &seen.recording.token).await?;
    let rows: Vec<_> = rows.into_iter().filter(|row| row.stream == rendering.stream()).collect();
    let next = rows.last().map_or(0, |last| last.number.saturating_add(1));
    let mut rows = rows.into_iter().filter(move |row| row.number >= first);
    // An error in the first segment is an error reply; in a later one it can only break off the reply.
    let first = match rows.next() {
        Some(row) => Some(render(viewing.hansard.clone(), seen.recording.clone(), row, rendering).await?),
        None => None,
    };
    let rest = follow(viewing.hansard.clone(), seen.recording.clone(), rows, rendering);
    let body = stream::iter(first.map(Ok)).chain(rest);
    let mut reply = HttpResponse::Ok();
    if let Some(ledger) = &seen.recording.ledger {
        reply.insert_header((super::LEDGER_HEADER, header_of(ledger)?));
    }
    Ok(reply
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CONTENT_DISPOSITION, "attachment"))
        .insert_header((super::RECORDER_HEADER, seen.recording.recorder.as_str()))
        .insert_header((super::STATUS_HEADER, seen.recording.status().as_str()))
        .insert_header((super::NEXT_SEGMENT_HEADER, next))
        .streaming(body))
}

fn header_of(ledger: &LedgerSummary) -> Result<String, ActionError> {
    serde_json::to_string(&ledger.clone().without_reasons())
        .map_err(|error| ActionError::unexpected("print a ledger", error))
}

fn follow(
    hansard: Data<Hansard>,
    recording: Recording,
    rows: impl Iterator<Item = SegmentRow> + 'static,
    rendering: Rendering,
) -> impl FutureStream<Item = Result<Bytes, io::Error>> {
    stream::iter(rows)
        .map(move |row| {
            let (hansard, recording) = (hansard.clone(), recording.clone());
            async move {
                let (token, number) = (recording.token.clone(), row.number);
                render(hansard, recording, row, rendering).await.map_err(|error| {
                    tracing::error!(recording = %token, segment = number, chain = %chain_of(&error), "a replay broke off");
                    io::Error::other("a segment could not be read")
                })
            }
        })
        .buffered(READ_AHEAD)
}

async fn render(
    hansard: Data<Hansard>,
    recording: Recording,
    row: SegmentRow,
    rendering: Rendering,
) -> Result<Bytes, ActionError> {
    let name = EvidenceName::Segment { stream: rendering.stream(), number: row.number };
    let bytes = evidence::read(&hansard, &recording, name, row.sha256).await?;
    let token = recording.token.clone();
    let rendered = move || {
        Ok(Bytes::from(match rendering {
            Rendering::Cast => decode(&bytes, &token, &row)?.text,
            Rendering::Text => output_of(decode(&bytes, &token, &row)?),
            Rendering::Events => decode_events(&bytes, &token, &row)?,
        }))
    };
    let rendered = hansard.work.decoding.run(rendered).await;
    rendered.map_err(|error| ActionError::unexpected("decode a segment", error))?
}

/// Decodes what is exactly what was claimed.
fn decode(
    bytes: &[u8],
    token: &TerminalSessionToken,
    row: &SegmentRow,
) -> Result<DecodedSegment, ActionError> {
    let decoded = recording::decode_segment(bytes).map_err(undecodable)?;
    check_place(&decoded.header, token, row)?;
    Ok(decoded)
}

/// The lines of a segment of events that is exactly what was claimed.
fn decode_events(
    bytes: &[u8],
    token: &TerminalSessionToken,
    row: &SegmentRow,
) -> Result<Vec<u8>, ActionError> {
    let decoded = recording::events::decode_segment(bytes).map_err(undecodable)?;
    check_place(&decoded.header, token, row)?;
    Ok(decoded.text)
}

fn undecodable(error: SegmentError) -> ActionError {
    ActionError::unexpected("decode a segment", error)
}

fn check_place(
    header: &SegmentHeader,
    token: &TerminalSessionToken,
    row: &SegmentRow,
) -> Result<(), ActionError> {
    if header.recording == *token && header.number == row.number {
        return Ok(());
    }
    let why = format!("segment {} of {token}: its header names another place", row.number);
    Err(ActionError::unexpected("play a segment", why))
}

fn output_of(segment: DecodedSegment) -> Vec<u8> {
    // On a terminal a line feed alone does not go back to the first column.
    let end = if segment.terminal.is_some() { "\r\n" } else { "\n" };
    let mut output = Vec::new();
    for event in segment.events {
        match &event.kind {
            // Of this nothing is missing in the text; whoever asked is told of it besides.
            TerminalEventKind::Shortfall(shortfall) if shortfall.kind == ShortfallKind::DegradedMode => {}
            TerminalEventKind::Shortfall(shortfall) => {
                let line = format!("{end}[hansard: {}]{end}", sanitised(&shortfall.sentence(event.at)));
                output.extend_from_slice(line.as_bytes());
            }
            kind => output.extend_from_slice(kind.shown().unwrap_or_default()),
        }
    }
    output
}
