//! `hansard recordings ls` and `show`: which recordings there are, and what is known of one.

use std::collections::BTreeSet;

use domain::Timestamp;
use domain::clock::{Clock as _, SystemClock};
use openapi::workbench::{LedgerItem, RecordItem, WaitingItem};
use recording::sanitise::sanitised;
use recording::{DeliveryMode, FailurePolicy, Recorder, ShortfallKind};
use serde_json::Value;

use super::named_recording::{NamedRecording, find_item};
use super::recorded_facts;
use super::replay_session::ReplaySession;
use crate::arguments::{ListArguments, Output, ShowArguments};
use crate::client::Client;
use crate::failure::Failure;
use crate::table::{Table, clock_length, facts, readable_millis, short_time};
use crate::{reply, terminal};

const ACTION: &str = "ListInstanceRecords";

/// The fewest digits of a token that a terminal shows.
const FEWEST_DIGITS: usize = 8;

/// Lists recordings.
///
/// # Errors
/// The server refuses, or the result cannot be written.
pub(super) async fn ls(client: &Client, wanted: &ListArguments, output: Output) -> Result<(), Failure> {
    let mut records: Vec<Value> = Vec::new();
    let mut next: Option<String> = None;
    let (root, more) = loop {
        let mut page = client.call(ACTION, &parameters(wanted, next.take())).await?;
        records.extend(reply::list(ACTION, &page, "RecordList")?);
        next = page.get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if !wanted.all || next.is_none() {
            break (page.get_mut("Root").map(Value::take).unwrap_or_default(), next.is_some());
        }
    };
    let shown = records.len();
    // Waiting recordings are not part of the list yet: they are printed below a table, and on standard error with JSON.
    let waiting = waiting_lines(root.get("WaitingList").cloned().unwrap_or_default())?;
    let notes: BTreeSet<String> =
        records.iter().map(|record| recorder_note(record["Recorder"].as_str())).collect();
    match output {
        Output::Json => {
            terminal::print_json(&Value::Array(records))?;
            waiting.iter().for_each(|line| terminal::note(line));
        }
        Output::Table => {
            let records: Vec<RecordItem> =
                records.into_iter().map(|record| reply::read(ACTION, record)).collect::<Result<_, _>>()?;
            let below: String = waiting.iter().map(|line| format!("{line}\n")).collect();
            terminal::print(&format!(
                "{}{below}",
                table_of(&records, terminal::columns(), SystemClock.now())
            ))?;
        }
    }
    notes.iter().for_each(|note| terminal::note(note));
    if let (true, Some(total)) = (more, root["TotalCount"].as_u64()) {
        let more_than = if root["TotalCountIsLowerBound"] == Value::Bool(true) { "more than " } else { "" };
        terminal::note(&format!(
            "{shown} of {more_than}{total} recordings; --all lists all, --page-number another page"
        ));
    }
    Ok(())
}

fn parameters(wanted: &ListArguments, next: Option<String>) -> Vec<(String, String)> {
    let page_size = wanted.page_size.or(wanted.all.then_some(100));
    let given = [
        ("IncludeExpired", Some(wanted.include_expired.to_string())),
        ("InstanceId", wanted.instance_id.as_ref().map(ToString::to_string)),
        ("StartedAfter", wanted.started_after.map(|at| at.to_rfc3339_millis())),
        ("StartedBefore", wanted.started_before.map(|at| at.to_rfc3339_millis())),
        ("Status", wanted.status.clone()),
        ("UserName", wanted.user.clone()),
        ("TokenPrefix", wanted.token_prefix.as_ref().map(|prefix| prefix.as_str().to_owned())),
        ("PageSize", page_size.map(|size| size.to_string())),
        ("PageNumber", wanted.page_number.map(|number| number.to_string())),
        ("NextToken", next),
    ];
    given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
}

/// The lines about recordings that wait in the spools of their agents.
fn waiting_lines(waiting: Value) -> Result<Vec<String>, Failure> {
    let waiting: Vec<WaitingItem> = match waiting {
        Value::Null => Vec::new(),
        waiting => reply::read("ListInstanceRecords", waiting)?,
    };
    let line = |item: &WaitingItem| {
        let (wait, recordings) =
            if item.recordings == 1 { ("waits", "recording") } else { ("wait", "recordings") };
        format!(
            "{} {recordings} of {} {wait} in the spool of its agent since {}: {}",
            item.recordings,
            sanitised(&item.instance_id),
            sanitised(&item.since),
            sanitised(&item.reason)
        )
    };
    Ok(waiting.iter().map(line).collect())
}

/// What it means that a recording has this recorder, as a line beside a result. One that has none counts as the
/// recorded user's own process or one within their reach.
pub(super) fn recorder_note(recorder: Option<&str>) -> String {
    match recorder.map_or_else(|| Ok(Recorder::default()), str::parse) {
        Ok(known) => format!("{known}: {}", known.meaning()),
        Err(unknown) => unknown.to_string(),
    }
}

/// A line for each recording. A terminal of so many columns is shown what fits there.
fn table_of(records: &[RecordItem], columns: Option<usize>, now: Timestamp) -> String {
    let digits = match columns {
        Some(_) => distinguishing_digits(records),
        None => usize::MAX,
    };
    let heading = &["TOKEN", "STARTED UTC", "LENGTH", "STATUS", "LEDGER", "WHO", "INSTANCE", "COMMAND"];
    let mut table = Table::new(heading);
    for record in records {
        let status = match &record.status_reason {
            Some(reason) => format!("{}: {reason}", record.status),
            None => record.status.clone(),
        };
        let token: String = record.terminal_session_token.chars().take(digits).collect();
        let started = match columns {
            Some(_) => short_time(&record.gmt_create, now),
            None => record.gmt_create.clone(),
        };
        table.row([
            token,
            started,
            clock_length(record.record_duration_millis),
            status,
            kinds_of(record.ledger_list.as_deref().unwrap_or_default()),
            who(record),
            record.instance_id.clone(),
            record.command.clone().unwrap_or_default(),
        ]);
    }
    // Few recordings lack anything.
    let table = table.without_silent(&["LEDGER"]);
    match columns {
        // A status stands whole, with a mark where its reason is cut off, and so does whether a name is proven or claimed.
        Some(columns) => table.to_text_within(
            columns,
            &[("STATUS", 12), ("LEDGER", 7), ("WHO", 13), ("INSTANCE", 8), ("COMMAND", 7)],
        ),
        None => table.to_text(),
    }
}

/// What a recording lacks or did less, in a few words; losses first. Nothing when nothing is known.
fn kinds_of(ledger: &[LedgerItem]) -> String {
    let kind = |item: &LedgerItem| {
        let words = kind_words(&item.kind);
        if item.count == 1 { format!("1 {words}") } else { format!("{} {words}s", item.count) }
    };
    ledger.iter().map(kind).collect::<Vec<_>>().join(", ")
}

/// The words for a kind of shortfalls; a later server's own word for one that this version does not know.
fn kind_words(kind: &str) -> &str {
    match ShortfallKind::parse(kind) {
        Some(known) => known.words(),
        None => kind,
    }
}

/// One kind of shortfalls as a line.
fn ledger_line(item: &LedgerItem) -> String {
    let (first, last) = (clock_length(item.first_at_millis), clock_length(item.last_at_millis));
    let often = if item.count == 1 { String::new() } else { format!(" {} times", item.count) };
    let when = if first == last { format!("at {first}") } else { format!("from {first} to {last}") };
    let of = |lost: Option<i64>, what: &str| lost.map(|lost| format!("{lost} {what} lost"));
    let lost: Vec<_> =
        [of(item.lost_bytes, "bytes"), of(item.lost_events, "events")].into_iter().flatten().collect();
    let lost = if lost.is_empty() { String::new() } else { format!(" ({})", lost.join(", ")) };
    format!("{}{often} {when}: {}{lost}", kind_words(&item.kind), item.reason)
}

/// How many digits tell the tokens apart, and perhaps some more.
fn distinguishing_digits(records: &[RecordItem]) -> usize {
    let tokens: BTreeSet<&str> =
        records.iter().map(|record| record.terminal_session_token.as_str()).collect();
    let differ = |digits: &usize| {
        let beginnings: BTreeSet<&str> =
            tokens.iter().map(|token| token.get(..*digits).unwrap_or(token)).collect();
        beginnings.len() == tokens.len()
    };
    (FEWEST_DIGITS..32).find(differ).unwrap_or(32)
}

/// Whose session it was. What is only claimed says so before the name, so that it cannot be cut off.
fn who(record: &RecordItem) -> String {
    match (&record.session_owner, &record.claimed_user) {
        (Some(arn), _) => format!("proven: {}", name_of(arn)),
        (None, Some(claimed)) => {
            format!("claimed: {}", claimed.split_once(" (uid ").map_or(claimed.as_str(), |(name, _)| name))
        }
        (None, None) => String::new(),
    }
}

/// The name in a caller's ARN, as `--user` takes it: `ana`, `role/session`, `root`.
fn name_of(arn: &str) -> &str {
    let rest = arn.splitn(5, ':').last().unwrap_or(arn);
    rest.strip_prefix("user/").or_else(|| rest.strip_prefix("role/")).unwrap_or(rest)
}

/// Shows everything that is known of one recording.
///
/// # Errors
/// There is no such recording, or several.
pub(super) async fn show(client: &Client, wanted: &ShowArguments, output: Output) -> Result<(), Failure> {
    let record = find_item(client, &wanted.recording).await?;
    let events = if wanted.transfers {
        let session = ReplaySession::of(client, NamedRecording::of(&record)?).await?;
        Some(recorded_facts::fetch(&session).await?)
    } else {
        None
    };
    match output {
        Output::Json => {
            let mut shown = serde_json::to_value(&record)
                .map_err(|error| Failure::failed(crate::failure::chain(&error)))?;
            if let Some(events) = &events {
                shown["Events"] = recorded_facts::json_of(events);
            }
            terminal::print_json(&shown)
        }
        Output::Table => {
            let events = events.map(|events| format!("\n{}", recorded_facts::text_of(&events)));
            terminal::print(&format!("{}{}", facts_of(record), events.unwrap_or_default()))
        }
    }
}

/// What happens to the session when its recording fails.
fn failure_policy_note(policy: &str) -> String {
    match policy.parse() {
        Ok(FailurePolicy::Strict) => "strict: the session ends when its recording fails".to_owned(),
        Ok(FailurePolicy::BestEffort) => {
            "best_effort: the session may go on unrecorded when its recording fails".to_owned()
        }
        Err(unknown) => unknown.to_string(),
    }
}

/// How far delivery may be behind what the person is shown.
fn delivery_mode_note(mode: &str) -> String {
    match mode.parse() {
        Ok(DeliveryMode::Async) => "async: the instance keeps what is not delivered yet".to_owned(),
        Ok(DeliveryMode::Sync) => "sync: output is held while what was shown is not delivered".to_owned(),
        Err(unknown) => unknown.to_string(),
    }
}

fn facts_of(record: RecordItem) -> String {
    let recorder = recorder_note(Some(&record.recorder));
    let length = readable_millis(u64::try_from(record.record_duration_millis).unwrap_or(0));
    let length = if record.status == "running" { format!("{length} so far") } else { length };
    let unknown = |known: Option<String>| known.unwrap_or_else(|| "not known".to_owned());
    let ledger = match &record.ledger_list {
        None => vec![
            "not known: the recording is older than ledgers; `hansard recordings verify` reads it".to_owned(),
        ],
        Some(items) if items.is_empty() => vec!["empty: nothing is known to be missing".to_owned()],
        Some(items) => items.iter().map(ledger_line).collect(),
    };
    let known = [
        ("Token", Some(record.terminal_session_token)),
        ("Instance", Some(record.instance_id)),
        ("Account", Some(record.account_id.to_string())),
        ("Status", Some(record.status)),
        ("Reason", record.status_reason),
        ("Started", Some(record.gmt_create)),
        ("Length", Some(length)),
        ("Expires", Some(record.expire_time)),
        (
            "Opened by",
            Some(
                record.session_owner.map_or_else(|| "not proven".to_owned(), |arn| format!("{arn} (proven)")),
            ),
        ),
        (
            "User",
            Some(
                record
                    .claimed_user
                    .map_or_else(|| "not known".to_owned(), |user| format!("{user} (claimed by the agent)")),
            ),
        ),
        ("Command", Some(unknown(record.command))),
        ("Kind", Some(record.capture_kind)),
        ("Agent", Some(record.agent_id)),
        ("Taken over", record.successor_agent_id.map(|agent| format!("by {agent}, which delivers it"))),
        ("Recorder", Some(recorder)),
        ("Failures", record.failure_policy.as_deref().map(failure_policy_note)),
        ("Delivery", record.delivery_mode.as_deref().map(delivery_mode_note)),
        ("Page", Some(record.instance_record_url)),
    ];
    let known = known.into_iter().filter_map(|(name, value)| Some((name, value?)));
    facts(known.chain(ledger.into_iter().map(|line| ("Ledger", line))))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn waiting_recordings_are_listed_with_the_reason() {
        assert!(waiting_lines(Value::Null).unwrap().is_empty());
        let item = |recordings| {
            json!({"InstanceId": "i-web1", "AgentId": "agent-1", "Recordings": recordings,
            "Reason": "\u{1b}[31mno room", "Since": "2026-11-20T10:00:00Z"})
        };
        assert_eq!(
            waiting_lines(json!([item(1), item(3)])).unwrap(),
            [
                "1 recording of i-web1 waits in the spool of its agent since 2026-11-20T10:00:00Z: \\u{1b}[31mno room",
                "3 recordings of i-web1 wait in the spool of its agent since 2026-11-20T10:00:00Z: \\u{1b}[31mno room",
            ]
        );
    }

    #[test]
    fn a_recorder_is_explained_and_an_unknown_one_is_no_better() {
        for recorder in [Some("same-user"), None] {
            assert_eq!(
                recorder_note(recorder),
                "same-user: recorded by a process of the recorded user or within their reach, who could have ended, altered \
                 or invented it"
            );
        }
        let separate = "separate: recorded by a process beyond the recorded user's reach";
        assert_eq!(recorder_note(Some("separate")), separate);
        assert!(
            recorder_note(Some("kernel\u{1b}[2J")).contains("is a recorder that this version does not know")
        );
    }

    fn record(token: &str, members: Value) -> RecordItem {
        let mut record = json!({
            "AccountId": 1_609_982_529_000_000_i64, "AgentId": "agent-1", "CaptureKind": "terminal",
            "ExpireTime": "2023-11-16T02:59:39Z", "GmtCreate": "2023-04-10T12:41:28Z", "InstanceId": "i-web1",
            "InstanceRecordUrl": "http://h/x", "RecordDurationMillis": 185_000, "Recorder": "same-user",
            "Status": "finished", "TerminalSessionToken": token,
        });
        record.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(record).unwrap()
    }

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2023-04-11T00:00:00Z").unwrap()
    }

    fn records() -> Vec<RecordItem> {
        let arn = "acs:ram::1609982529000000:user/ana";
        vec![
            record(
                "5f0c6de1c8b04a1c9a3f5d0c8e7b6a52",
                json!({"SessionOwner": arn, "ClaimedUser": "root (uid 0)", "Command": "bash"}),
            ),
            record(
                "5f0c6de1d8b04a1c9a3f5d0c8e7b6a52",
                json!({
                    "ClaimedUser": "somebody.with.a.long.name (uid 1000)",
                    "Command": "psql -h db.example.org -c 'select * from a_table_with_a_long_name'",
                    "Status": "interrupted", "StatusReason": "nothing has been heard of the agent since",
                    "InstanceId": "i-bp1exampleexample", "RecordDurationMillis": 44_000_000,
                }),
            ),
        ]
    }

    #[test]
    fn a_terminal_is_shown_what_fits_in_80_columns() {
        let text = table_of(&records(), Some(80), now());
        let expected = [
            "TOKEN      STARTED UTC  LENGTH    STATUS        WHO            INSTANCE  COMMAND",
            "5f0c6de1c  04-10 12:41  3:05      finished      proven: ana    i-web1    bash",
            "5f0c6de1d  04-10 12:41  12:13:20  interrupted…  claimed: som…  i-bp1ex…  psql -…",
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn what_others_supplied_is_escaped() {
        let record = record(
            &"ab".repeat(16),
            json!({
                "Status": "failed", "StatusReason": "\u{1b}[31mgone", "ClaimedUser": "\u{1b}[2J", "Command": "\u{202e}x",
            }),
        );
        for columns in [None, Some(80)] {
            let text = table_of(std::slice::from_ref(&record), columns, now());
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
            assert!(text.contains("failed: \\u{"), "{text}");
        }
        assert!(!facts_of(record).contains(['\u{1b}', '\u{202e}']));
    }

    #[test]
    fn what_is_no_terminal_is_given_everything() {
        let text = table_of(&records(), None, now());
        for whole in [
            "5f0c6de1d8b04a1c9a3f5d0c8e7b6a52",
            "interrupted: nothing has been heard of the agent since",
            "claimed: somebody.with.a.long.name ",
            "psql -h db.example.org -c 'select * from a_table_with_a_long_name'\n",
            "2023-04-10T12:41:28Z",
        ] {
            assert!(text.contains(whole), "{text}");
        }
    }

    #[test]
    fn what_is_missing_stands_in_the_list_and_with_its_times_beside_the_rest() {
        let item = |kind: &str, count, last| {
            json!({"Kind": kind, "Count": count, "FirstAtMillis": 61_000, "LastAtMillis": last,
                "LostBytes": 42, "Reason": "\u{1b}[2Jwhy"})
        };
        let ledger =
            json!([item("gap", 3, 65_000), item("stated_limit", 1, 61_000), item("new_kind", 1, 61_000)]);
        let with = |ledger: Value| record(&"ab".repeat(16), json!({ "LedgerList": ledger }));
        let text = table_of(&[with(ledger.clone())], None, now());
        assert!(text.contains("finished  3 gaps, 1 stated limit, 1 new_kind  "), "{text}");
        let narrow = table_of(&[with(ledger.clone())], Some(80), now());
        assert!(narrow.contains("finished  3 gaps"), "{narrow}");
        let text = facts_of(with(ledger));
        let lines: Vec<_> = text.lines().filter(|line| line.starts_with("Ledger ")).collect();
        assert!(lines[0].ends_with("gap 3 times from 1:01 to 1:05: \\u{1b}[2Jwhy (42 bytes lost)"), "{text}");
        assert!(lines[1].ends_with("stated limit at 1:01: \\u{1b}[2Jwhy (42 bytes lost)"), "{text}");
        assert!(lines[2].contains("new_kind at 1:01"), "{text}");
        assert!(facts_of(with(json!([]))).contains("Ledger     empty"));
        assert!(facts_of(record(&"ab".repeat(16), json!({}))).contains("Ledger     not known"));
        let text = table_of(&[with(json!([]))], None, now());
        assert!(!text.contains("LEDGER"), "{text}");
    }

    #[test]
    fn a_name_is_proven_or_claimed() {
        let role = json!({"SessionOwner": "acs:ram::1:role/ops/ana", "ClaimedUser": "root (uid 0)"});
        assert_eq!(who(&record("a", role)), "proven: ops/ana");
        assert_eq!(who(&record("a", json!({"SessionOwner": "acs:ram::1:root"}))), "proven: root");
        assert_eq!(who(&record("a", json!({"ClaimedUser": "uid 1000"}))), "claimed: uid 1000");
        assert_eq!(who(&record("a", json!({}))), "");
    }

    #[test]
    fn everything_known_of_one_is_a_line_each() {
        let text = facts_of(records().remove(1));
        for line in [
            "Token      5f0c6de1d8b04a1c9a3f5d0c8e7b6a52",
            "Status     interrupted",
            "Reason     nothing has been heard of the agent since",
            "Opened by  not proven",
            "User       somebody.with.a.long.name (uid 1000) (claimed by the agent)",
            "Length     12 h 13 min",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}: {text}");
        }
        assert!(!text.contains("Failures") && !text.contains("Taken over"), "{text}");
        let taken = facts_of(record("a", json!({ "SuccessorAgentId": "agent-2" })));
        assert!(
            taken.contains("Agent       agent-1\nTaken over  by agent-2, which delivers it\n"),
            "{taken}"
        );
        let shown = |policy: &str| facts_of(record("a", json!({ "FailurePolicy": policy })));
        assert!(shown("strict").contains("Failures   strict: the session ends when"));
        assert!(shown("best_effort").contains("Failures   best_effort: the session may go on unrecorded"));
        let shown_mode = |mode: &str| facts_of(record("a", json!({ "DeliveryMode": mode })));
        assert!(shown_mode("async").contains("Delivery   async: the instance keeps"));
        assert!(shown_mode("sync").contains("Delivery   sync: output is held while"));
        assert!(!shown_mode("\u{1b}[2J").contains('\u{1b}'));
        assert!(!shown("\u{1b}[2J").contains('\u{1b}'));
    }
}
