//! One line of an exported file: a row of the audit trail or an anchor, as JSON with the names of the API. Characters
//! that could control the terminal of a person who looks at the file are escaped.

use domain::Timestamp;
use recording::sanitise::sanitised_json;
use serde::{Deserialize, Serialize};

use super::anchor::SignedAnchor;
use super::chain::ChainedEvent;
use super::event::WrittenEvent;

/// What a line holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant, reason = "nearly every one is an event")]
pub(crate) enum ExportedLine {
    Event(ChainedEvent),
    Anchor(SignedAnchor),
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "Kind")]
#[allow(clippy::large_enum_variant, reason = "nearly every one is an event")]
enum Json {
    Event(EventJson),
    Anchor(AnchorJson),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct EventJson {
    writer_id: String,
    sequence: u64,
    chain: String,
    event_time: Timestamp,
    request_id: String,
    account_id: String,
    principal: String,
    access_key_id: Option<String>,
    action: String,
    resource: String,
    instance_id: Option<String>,
    decision: String,
    decided_by: Option<String>,
    result: String,
    source_address: Option<String>,
    user_agent: String,
    recording: Option<String>,
    how: String,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct AnchorJson {
    writer_id: String,
    number: u64,
    time: Timestamp,
    anchor: String,
    key_id: String,
    signature: String,
}

impl ExportedLine {
    /// The line with its line feed.
    pub(crate) fn to_text(&self) -> String {
        let json = match self {
            Self::Event(chained) => Json::Event(event_json(chained)),
            Self::Anchor(anchor) => Json::Anchor(AnchorJson {
                writer_id: anchor.writer_id.clone(),
                number: anchor.number,
                time: Timestamp::from_millis(anchor.at),
                anchor: anchor.text.clone(),
                key_id: anchor.key_id.clone(),
                signature: anchor.signature.clone(),
            }),
        };
        let text = serde_json::to_string(&json).expect("strings, numbers and nulls print");
        let mut text = sanitised_json(&text);
        text.push('\n');
        text
    }

    /// Reads a line, with or without its line feed.
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        Some(match serde_json::from_slice(text).ok()? {
            Json::Event(json) => Self::Event(chained_event(json)),
            Json::Anchor(json) => Self::Anchor(SignedAnchor {
                writer_id: json.writer_id,
                number: json.number,
                at: json.time.as_millis(),
                text: json.anchor,
                key_id: json.key_id,
                signature: json.signature,
            }),
        })
    }
}

fn event_json(chained: &ChainedEvent) -> EventJson {
    let event = chained.event.clone();
    EventJson {
        writer_id: chained.writer_id.clone(),
        sequence: chained.sequence,
        chain: chained.chain.clone(),
        event_time: Timestamp::from_millis(event.at),
        request_id: event.request_id,
        account_id: event.account_id,
        principal: event.principal,
        access_key_id: event.access_key_id,
        action: event.action,
        resource: event.resource,
        instance_id: event.instance_id,
        decision: event.decision,
        decided_by: event.decided_by,
        result: event.result,
        source_address: event.source_address,
        user_agent: event.user_agent,
        recording: event.recording,
        how: event.how,
    }
}

fn chained_event(json: EventJson) -> ChainedEvent {
    ChainedEvent {
        writer_id: json.writer_id,
        sequence: json.sequence,
        chain: json.chain,
        event: WrittenEvent {
            request_id: json.request_id,
            at: json.event_time.as_millis(),
            account_id: json.account_id,
            principal: json.principal,
            access_key_id: json.access_key_id,
            action: json.action,
            resource: json.resource,
            decision: json.decision,
            decided_by: json.decided_by,
            result: json.result,
            source_address: json.source_address,
            user_agent: json.user_agent,
            recording: json.recording,
            how: json.how,
            instance_id: json.instance_id,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_and_drives_no_terminal() {
        let event = WrittenEvent {
            request_id: "R".to_owned(),
            at: 1_700_000_000_123,
            account_id: "1609982529000000".to_owned(),
            principal: "acs:ram::1609982529000000:root".to_owned(),
            access_key_id: None,
            action: "Do\u{7}Evil".to_owned(),
            resource: "*".to_owned(),
            decision: "not-asked".to_owned(),
            decided_by: None,
            result: "OK".to_owned(),
            source_address: Some("2001:db8::1".to_owned()),
            user_agent: "a\u{1b}[2J\u{202e}\"\\\n\u{1f600}".to_owned(),
            recording: None,
            how: String::new(),
            instance_id: Some("i-web1".to_owned()),
        };
        let line = ExportedLine::Event(ChainedEvent {
            writer_id: "w".to_owned(),
            sequence: 7,
            chain: "c".to_owned(),
            event,
        });
        let text = line.to_text();
        assert!(text.starts_with(r#"{"Kind":"Event","WriterId":"w","Sequence":7,"#), "{text}");
        assert!(text.contains(r#""EventTime":"2023-11-14T22:13:20.123Z""#), "{text}");
        let shown = text.strip_suffix('\n').unwrap();
        assert!(!shown.contains(|c: char| c.is_control() || c == '\u{202e}'), "{text}");
        assert_eq!(ExportedLine::parse(text.as_bytes()), Some(line));
        for torn in 0..shown.len() {
            assert_eq!(ExportedLine::parse(&text.as_bytes()[..torn]), None);
        }
    }
}
