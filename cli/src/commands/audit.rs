//! `hansard audit`: reads and verifies the audit trail.

use std::sync::Arc;

use domain::Timestamp;
use domain::clock::{Clock as _, SystemClock};
use openapi::workbench::AuditEventItem;
use persistence::StoreError;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::audit_verify;
use crate::arguments::{
    AuditAnchorsArguments, AuditArguments, AuditCommand, AuditListArguments, Output, PrincipalReference,
    decision_name,
};
use crate::client::Client;
use crate::deployment::{DataDirectory, connect_existing, server_keys};
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::settings::Settings;
use crate::table::{Table, short_time};
use crate::{reply, terminal};

const ACTION: &str = "ListAuditEvents";

/// Runs the command and gives its exit code.
///
/// # Errors
/// The call is refused, or the trail cannot be checked.
pub(crate) fn run(
    arguments: &AuditArguments,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<u8, Failure> {
    match &arguments.command {
        AuditCommand::Verify(verify) => audit_verify::run(verify, arguments.output, environment, runtime),
        AuditCommand::Anchors(anchors) => {
            runtime.block_on(print_anchors(anchors, environment))?;
            Ok(0)
        }
        AuditCommand::Ls(list) => {
            let client = Client::from_environment(environment)?;
            runtime.block_on(ls(&client, list, arguments.output))?;
            Ok(0)
        }
    }
}

/// Every anchor on a line of its own, whatever the output: it is for a file.
async fn print_anchors(arguments: &AuditAnchorsArguments, environment: &Environment) -> Result<(), Failure> {
    let settings = Settings::resolve(&arguments.store.flags(), arguments.store.config(), environment)?;
    let data = DataDirectory::open(&settings)?;
    let keys = Arc::new(server_keys(&settings, &data, false)?);
    let store = connect_existing(&settings, &data, &keys).await?;
    let since = arguments.since.unwrap_or(Timestamp::from_millis(i64::MIN));
    let print = |text: String| terminal::print(&text).map_err(NotPrinted::Failure);
    store.audit_anchor_lines(since, print).await.map_err(|error| match error {
        NotPrinted::Failure(failure) => failure,
        NotPrinted::Store(error) => Failure::failed(chain(&error)),
    })
}

enum NotPrinted {
    Failure(Failure),
    Store(StoreError),
}

impl From<StoreError> for NotPrinted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn ls(client: &Client, wanted: &AuditListArguments, output: Output) -> Result<(), Failure> {
    let mut events: Vec<Value> = Vec::new();
    let principal = match &wanted.principal {
        None => None,
        Some(PrincipalReference::Arn(arn)) => Some(arn.clone()),
        Some(named) => {
            let caller = client.call("GetCallerIdentity", &[]).await?;
            Some(named.arn(reply::text("GetCallerIdentity", &caller, "AccountId")?))
        }
    };
    let mut next = wanted.next_token.clone();
    let (next, pruned_before) = loop {
        let page_size = wanted.page_size.or(wanted.all.then_some(100));
        let given = [
            ("InstanceId", wanted.instance_id.as_ref().map(ToString::to_string)),
            ("Principal", principal.clone()),
            ("EventAction", wanted.action.clone()),
            ("Resource", wanted.resource.clone()),
            ("Decision", wanted.decision.map(|decision| decision_name(decision).to_owned())),
            ("StartTime", wanted.start_time.map(|time| time.to_rfc3339_millis())),
            ("EndTime", wanted.end_time.map(|time| time.to_rfc3339_millis())),
            ("PageSize", page_size.map(|size| size.to_string())),
            ("NextToken", next.take()),
        ];
        let parameters: Vec<_> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let page = client.call(ACTION, &parameters).await?;
        events.extend(reply::list(ACTION, &page, "AuditEventList")?);
        next = page.get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if !wanted.all || next.is_none() {
            break (next, page.get("PrunedBefore").and_then(Value::as_str).map(str::to_owned));
        }
    };
    show(events, next.as_deref(), pruned_before.as_deref(), output)
}

/// Prints events as the API returns them, and how to get the next page, or what comes after the last one.
///
/// # Errors
/// One has another shape, or nothing can be printed.
pub(crate) fn show(
    events: Vec<Value>,
    next_token: Option<&str>,
    pruned_before: Option<&str>,
    output: Output,
) -> Result<(), Failure> {
    match output {
        Output::Json => terminal::print_json(&Value::Array(events))?,
        Output::Table => terminal::print(&table_of(events, terminal::columns(), SystemClock.now())?)?,
    }
    if let Some(token) = next_token {
        terminal::note(&format!("there are more; --all lists all, --next-token {token} shows the next page"));
    }
    if let Some(time) = pruned_before {
        let time = recording::sanitise::sanitised(time);
        terminal::note(&format!(
            "events before {time} are no longer in the database, and are in the exported files"
        ));
    }
    Ok(())
}

/// A line for each event. A terminal of so many columns is shown what fits there, callers and resources by their names.
fn table_of(events: Vec<Value>, columns: Option<usize>, now: Timestamp) -> Result<String, Failure> {
    let mut table = Table::new(&["TIME", "PRINCIPAL", "ACTION", "RESOURCE", "DECISION", "RESULT", "FROM"]);
    for event in events {
        let event: AuditEventItem = reply::read(ACTION, event)?;
        let action = match &event.how {
            Some(how) => format!("{} ({how})", event.action),
            None => event.action.clone(),
        };
        let resource = event.instance_id.as_deref().unwrap_or(&event.resource);
        let (time, principal, resource) = match columns {
            Some(_) => (
                short_time(&event.event_time, now),
                name_of(&event.principal).to_owned(),
                in_its_account(resource).to_owned(),
            ),
            None => (event.event_time.clone(), event.principal.clone(), resource.to_owned()),
        };
        table.row([
            time,
            principal,
            action,
            resource,
            event.decision,
            event.result,
            event.source_address.unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        terminal::note("no events");
    }
    let yielding = [("PRINCIPAL", 8), ("ACTION", 12), ("RESOURCE", 8), ("RESULT", 8), ("FROM", 9)];
    Ok(match columns {
        Some(columns) => table.to_text_within(columns, &yielding),
        None => table.to_text(),
    })
}

/// What follows the account in an ARN.
fn in_its_account(arn: &str) -> &str {
    arn.strip_prefix("acs:").and_then(|rest| rest.splitn(4, ':').nth(3)).unwrap_or(arn)
}

/// A caller's name, as `--principal` takes it.
fn name_of(arn: &str) -> &str {
    let name = in_its_account(arn);
    name.strip_prefix("user/").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn events() -> Vec<Value> {
        let event = |principal: &str, action: &str, resource: &str, result: &str| {
            json!({
                "RequestId": "R", "EventTime": "2026-11-30T03:05:12.123Z", "Principal": principal,
                "Action": action, "Resource": resource, "Decision": "NotAsked", "Result": result,
                "SourceAddress": "2001:db8:1234:5678::1", "UserAgent": "x",
            })
        };
        vec![
            event(
                "acs:ram::1609982529000000:user/ana",
                "GetUser",
                "acs:ram::1609982529000000:user/ben",
                "OK",
            ),
            event(
                "acs:ram::1609982529000000:role/operators/a-long-session-name",
                "ListInstanceRecords",
                "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/*",
                "InvalidTerminalSessionToken.NotFound",
            ),
        ]
    }

    fn now() -> Timestamp {
        Timestamp::parse_rfc3339("2026-11-30T12:00:00Z").unwrap()
    }

    #[test]
    fn a_terminal_is_shown_what_fits_in_80_columns() {
        let text = table_of(events(), Some(80), now()).unwrap();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let first: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().collect();
        assert_eq!(first[..5], ["11-30", "03:05", "ana", "GetUser", "user/ben"], "{text}");
        assert!(text.contains("NotAsked"), "{text}");
    }

    #[test]
    fn what_is_no_terminal_is_given_everything() {
        let text = table_of(events(), None, now()).unwrap();
        for whole in [
            "2026-11-30T03:05:12.123Z",
            "acs:ram::1609982529000000:role/operators/a-long-session-name",
            "acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/*",
            "InvalidTerminalSessionToken.NotFound",
            "2001:db8:1234:5678::1",
        ] {
            assert!(text.contains(whole), "{text}");
        }
    }
}
