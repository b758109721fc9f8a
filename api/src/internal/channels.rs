//! `GET /internal/v1/agents/{agent}/channels/{channel}`: a WebSocket with the frames of one channel, for the replica that opened it.

use actix_web::web::Payload;
use actix_web::{HttpRequest, HttpResponse};
use actix_ws::{AggregatedMessage, AggregatedMessageStream, Session};
use agent_protocol::bus::frame::MOST_FRAME_BYTES;
use futures_util::StreamExt as _;
use tokio::time::timeout;

use super::wire::SILENT_AFTER;
use crate::links::relay::Attachment;

/// Carries the channel's frames for as long as both connections last.
pub(super) fn carry(request: &HttpRequest, payload: Payload, attachment: Attachment) -> HttpResponse {
    let (response, session, messages) = match actix_ws::handle(request, payload) {
        Ok(opened) => opened,
        Err(error) => return error.error_response(),
    };
    let messages = messages
        .max_frame_size(MOST_FRAME_BYTES)
        .aggregate_continuations()
        .max_continuation_size(MOST_FRAME_BYTES);
    actix_web::rt::spawn(async move {
        let ended = session.clone();
        // Either side may be stuck without keeping the other one.
        tokio::select! {
            () = take(&attachment, messages, session.clone()) => {}
            () = give(&attachment, session) => {}
        }
        drop(attachment);
        // A side that reads nothing does not keep the connection.
        let _ = timeout(SILENT_AFTER, ended.close(None)).await;
    });
    response
}

/// What the opener sends goes to the agent.
async fn take(attachment: &Attachment, mut messages: AggregatedMessageStream, mut session: Session) {
    loop {
        match timeout(SILENT_AFTER, messages.next()).await {
            Ok(Some(Ok(AggregatedMessage::Binary(frame)))) => {
                if attachment.send(&frame).is_err() {
                    return;
                }
            }
            Ok(Some(Ok(AggregatedMessage::Ping(bytes)))) => {
                if session.pong(&bytes).await.is_err() {
                    return;
                }
            }
            Ok(Some(Ok(AggregatedMessage::Pong(_)))) => {}
            Ok(Some(Ok(AggregatedMessage::Text(_) | AggregatedMessage::Close(_)) | Err(_)) | None)
            | Err(_) => return,
        }
    }
}

/// What the agent sends goes to the opener.
async fn give(attachment: &Attachment, mut session: Session) {
    while let Some(frame) = attachment.next().await {
        if session.binary(frame).await.is_err() {
            return;
        }
    }
}
