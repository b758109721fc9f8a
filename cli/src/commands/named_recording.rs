//! The recording that a command line names: by its whole token, by the beginning of it, or as the latest.

use openapi::workbench::RecordItem;
use recording::sanitise::sanitised;
use recording::{InstanceId, TerminalSessionToken};

use crate::arguments::{RecordingArguments, RecordingReference};
use crate::client::Client;
use crate::failure::Failure;
use crate::{reply, terminal};

const ACTION: &str = "ListInstanceRecords";

/// How many recordings an error lists that a prefix fits.
const MOST_LISTED: usize = 10;

/// One recording of one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NamedRecording {
    pub(crate) token: TerminalSessionToken,
    pub(crate) instance: InstanceId,
}

impl NamedRecording {
    /// Finds the recording. A whole token with its instance is not looked for.
    ///
    /// # Errors
    /// None or several of those that the caller may list fit.
    pub(crate) async fn find(client: &Client, named: &RecordingArguments) -> Result<Self, Failure> {
        if let (RecordingReference::Token(token), Some(instance)) = (&named.recording, &named.instance_id) {
            return Ok(Self { token: token.clone(), instance: instance.clone() });
        }
        Self::of(&find_item(client, named).await?)
    }

    /// The recording of an entry in the list.
    ///
    /// # Errors
    /// The server names it as none can be named.
    pub(crate) fn of(found: &RecordItem) -> Result<Self, Failure> {
        let token = TerminalSessionToken::parse(&found.terminal_session_token).map_err(Failure::failed)?;
        let instance = InstanceId::parse(&found.instance_id).map_err(Failure::failed)?;
        Ok(Self { token, instance })
    }
}

/// The entry of the recording in the list. Which one is the latest is said on standard error.
///
/// # Errors
/// As for [`NamedRecording::find`].
pub(crate) async fn find_item(client: &Client, named: &RecordingArguments) -> Result<RecordItem, Failure> {
    let prefix = match &named.recording {
        RecordingReference::Latest => return latest(client, named).await,
        RecordingReference::Token(token) => token.as_str(),
        RecordingReference::Prefix(prefix) => prefix.as_str(),
    };
    let (mut found, more) =
        list(client, named, &[("TokenPrefix", prefix), ("IncludeExpired", "true")]).await?;
    match (found.pop(), found.len()) {
        (None, _) => Err(Failure::failed(match &named.instance_id {
            None if matches!(named.recording, RecordingReference::Token(_)) => format!(
                "there is no recording {prefix} among those that you may list; with --instance-id it is not looked for in \
                 the list"
            ),
            None => format!("there is no recording {prefix} among those that you may list"),
            Some(instance) => {
                format!("there is no recording {prefix} of {instance} among those that you may list")
            }
        })),
        (Some(only), 0) => Ok(only),
        (Some(last), _) => {
            found.push(last);
            Err(Failure::usage(several(prefix, &found, more)))
        }
    }
}

async fn latest(client: &Client, named: &RecordingArguments) -> Result<RecordItem, Failure> {
    let (mut found, _) = list(client, named, &[("PageSize", "1")]).await?;
    let Some(latest) = found.pop() else {
        return Err(Failure::failed("there is no recording among those that you may list"));
    };
    let RecordItem { terminal_session_token, instance_id, .. } = &latest;
    terminal::note(&format!("the latest is {terminal_session_token} of {instance_id}"));
    Ok(latest)
}

/// The first page, newest first, and whether there are more.
async fn list(
    client: &Client,
    named: &RecordingArguments,
    wanted: &[(&str, &str)],
) -> Result<(Vec<RecordItem>, bool), Failure> {
    let mut parameters: Vec<_> =
        wanted.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    parameters.extend(named.instance_id.iter().map(|id| ("InstanceId".to_owned(), id.to_string())));
    let page = client.call(ACTION, &parameters).await?;
    let items = reply::list(ACTION, &page, "RecordList")?;
    let items = items.into_iter().map(|item| reply::read(ACTION, item)).collect::<Result<_, _>>()?;
    Ok((items, page.get("NextToken").is_some()))
}

/// The line that lists what a prefix fits.
fn several(prefix: &str, found: &[RecordItem], more: bool) -> String {
    let shown: Vec<String> = found
        .iter()
        .take(MOST_LISTED)
        .map(|item| {
            format!(
                "{} of {} (started {})",
                sanitised(&item.terminal_session_token),
                sanitised(&item.instance_id),
                sanitised(&item.gmt_create)
            )
        })
        .collect();
    let and_more = if more || found.len() > MOST_LISTED { ", and more" } else { "" };
    format!("{prefix} is the beginning of several recordings: {}{and_more}", shown.join(", "))
}
