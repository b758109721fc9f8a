//! `hansard audit`: reads and verifies the audit trail.

use std::sync::Arc;

use domain::Timestamp;
use openapi::workbench::AuditEventItem;
use persistence::StoreError;
use serde_json::Value;
use tokio::runtime::Runtime;

use super::audit_verify;
use crate::arguments::{AuditAnchorsArguments, AuditArguments, AuditCommand, AuditListArguments, Output};
use crate::client::Client;
use crate::deployment::{DataDirectory, connect_existing, server_keys};
use crate::environment::Environment;
use crate::failure::{Failure, chain};
use crate::settings::Settings;
use crate::table::Table;
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
    let mut next = wanted.next_token.clone();
    let next = loop {
        let page_size = wanted.page_size.or(wanted.all.then_some(100));
        let given = [
            ("InstanceId", wanted.instance_id.as_ref().map(ToString::to_string)),
            ("Principal", wanted.principal.clone()),
            ("EventAction", wanted.action.clone()),
            ("Resource", wanted.resource.clone()),
            ("Decision", wanted.decision.clone()),
            ("StartTime", wanted.start_time.map(|time| time.to_rfc3339_seconds())),
            ("EndTime", wanted.end_time.map(|time| time.to_rfc3339_seconds())),
            ("PageSize", page_size.map(|size| size.to_string())),
            ("NextToken", next.take()),
        ];
        let parameters: Vec<_> =
            given.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let page = client.call(ACTION, &parameters).await?;
        events.extend(reply::list(ACTION, &page, "AuditEventList")?);
        next = page.get("NextToken").and_then(Value::as_str).map(str::to_owned);
        if !wanted.all || next.is_none() {
            break next;
        }
    };
    show(events, next.as_deref(), output)
}

/// Prints events as the API returns them, and how to get the next page.
///
/// # Errors
/// One has another shape, or nothing can be printed.
pub(crate) fn show(events: Vec<Value>, next_token: Option<&str>, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => terminal::print_json(&Value::Array(events))?,
        Output::Table => terminal::print(&table_of(events)?)?,
    }
    if let Some(token) = next_token {
        terminal::note(&format!("there are more; --all lists all, --next-token {token} shows the next page"));
    }
    Ok(())
}

fn table_of(events: Vec<Value>) -> Result<String, Failure> {
    let mut table = Table::new(&["TIME", "PRINCIPAL", "ACTION", "RESOURCE", "DECISION", "RESULT", "FROM"]);
    for event in events {
        let event: AuditEventItem = reply::read(ACTION, event)?;
        let action = match &event.how {
            Some(how) => format!("{} ({how})", event.action),
            None => event.action.clone(),
        };
        table.row([
            event.event_time.as_str(),
            &event.principal,
            &action,
            event.instance_id.as_deref().unwrap_or(&event.resource),
            &event.decision,
            &event.result,
            event.source_address.as_deref().unwrap_or_default(),
        ]);
    }
    if table.is_empty() {
        terminal::note("no events");
    }
    Ok(table.to_text())
}
