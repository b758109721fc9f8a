//! `POST /agent/v1/unrecorded-sessions`: sessions that had to be recorded and went on unrecorded (`best_effort`). Nothing is
//! left of them but the row in the audit trail that this call writes.

use actix_web::HttpResponse;
use agent_protocol::unrecorded::{UnrecordedSessionsReply, UnrecordedSessionsRequest};
use domain::Timestamp;
use domain::actions::ReportUnrecordedSessions;
use recording::CaptureKind;
use recording::sanitise::sanitised;

use super::call::AgentCall;
use super::refusal::AgentRefusal;
use crate::road::Done;

/// How much of what an agent says is kept.
const USER_LIMIT: usize = 200;
const REASON_LIMIT: usize = 500;
const ID_DIGITS: usize = 32;

pub(crate) async fn post(call: AgentCall) -> HttpResponse {
    call.run::<ReportUnrecordedSessions, _>(None, async |call, granted| {
        let audit = call.audit(granted, None, &said(&call.parse()?)?);
        call.hansard.store.record_audit(audit).await?;
        Ok(Done::changed(UnrecordedSessionsReply { request_id: call.request_id() }))
    })
    .await
}

/// The report as the audit row has it.
fn said(report: &UnrecordedSessionsRequest) -> Result<String, AgentRefusal> {
    let refuse = |why: &str| Err(AgentRefusal::invalid_request(why));
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if report.report_id.len() != ID_DIGITS || !report.report_id.bytes().all(is_digit) {
        return refuse("ReportId must be 32 lower-case hexadecimal digits");
    }
    let Ok(kind) = report.kind.parse::<CaptureKind>() else {
        return refuse("Kind must be terminal, command or desktop");
    };
    if report.sessions == 0 {
        return refuse("Sessions must be at least 1");
    }
    let time = |text: &str| Timestamp::parse_rfc3339(text).map(Timestamp::to_rfc3339_millis);
    let (Ok(first), Ok(last)) = (time(&report.first_time), time(&report.last_time)) else {
        return refuse("FirstTime and LastTime must be times in UTC, such as 2023-11-16T02:59:39.000Z");
    };
    let cut = |text: &str, most: usize| sanitised(&text.chars().take(most).collect::<String>()).into_owned();
    let (user, reason) = (cut(&report.claimed_user, USER_LIMIT), cut(&report.reason, REASON_LIMIT));
    let UnrecordedSessionsRequest { report_id, sessions, configuration_revision, .. } = report;
    let what = if *sessions == 1 {
        format!("a {kind} session of {user} went on unrecorded at {first}")
    } else {
        format!("{sessions} {kind} sessions of {user} went on unrecorded from {first} to {last}")
    };
    Ok(format!(
        "best_effort: {what}, by configuration revision {configuration_revision}: {reason} (report {report_id})"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent_api::examples;

    #[test]
    fn a_report_is_told_in_one_line() {
        let report = examples::unrecorded();
        assert_eq!(
            said(&report).unwrap(),
            "best_effort: a terminal session of ana (uid 1000) went on unrecorded at 2023-11-16T02:59:39.123Z, by configuration \
             revision 3: only 1048576 bytes are free for the spool (report 0f5a3f5d0c8e7b6a525f0c6de1c8b04a)"
        );
        let several = UnrecordedSessionsRequest {
            sessions: 3,
            last_time: "2023-11-16T03:00:00Z".to_owned(),
            claimed_user: "a\u{1b}[2J".to_owned(),
            reason: "ä".repeat(REASON_LIMIT + 1),
            ..report
        };
        let told = said(&several).unwrap();
        let beginning = "best_effort: 3 terminal sessions of a\\u{1b}[2J went on unrecorded from \
                         2023-11-16T02:59:39.123Z to 2023-11-16T03:00:00.000Z, by";
        assert!(told.starts_with(beginning), "{told}");
        assert_eq!(told.chars().filter(|character| *character == 'ä').count(), REASON_LIMIT);
    }

    #[test]
    fn what_is_no_report_is_refused() {
        let report = examples::unrecorded;
        for bad in [
            UnrecordedSessionsRequest { report_id: "x".repeat(32), ..report() },
            UnrecordedSessionsRequest { report_id: "a".repeat(31), ..report() },
            UnrecordedSessionsRequest { kind: "radio".to_owned(), ..report() },
            UnrecordedSessionsRequest { sessions: 0, ..report() },
            UnrecordedSessionsRequest { first_time: "yesterday".to_owned(), ..report() },
            UnrecordedSessionsRequest { last_time: String::new(), ..report() },
        ] {
            assert!(said(&bad).is_err(), "{bad:?}");
        }
    }
}
