//! `hansard-agent retry`.

use std::path::Path;

use agent_protocol::local::{LocalReply, LocalRequest};

use crate::settings::RetryOptions;
use crate::state_directory::StateDirectory;
use crate::{local_socket, say};

/// Has the running agent try recordings at once.
pub(crate) fn retry(state_dir: &Path, options: &RetryOptions) -> Result<(), String> {
    let directory = StateDirectory::at(state_dir);
    let cannot = |error: std::io::Error| format!("the agent cannot be asked: {error}");
    let Some(stream) = local_socket::connect(&directory).map_err(cannot)? else {
        return Err(format!(
            "no agent is running on {}; `hansard-agent run` starts one, which tries what waits",
            state_dir.display()
        ));
    };
    let request = LocalRequest::Retry { terminal_session_token: options.token.clone() };
    match local_socket::ask(&stream, &request).map_err(cannot)? {
        (LocalReply::Retrying { recordings: 0 }, _) if !options.all => {
            Err("the agent has no such recording; `hansard-agent status` lists what it has".to_owned())
        }
        (LocalReply::Retrying { recordings }, _) => {
            say(&format!(
                "{recordings} recordings are tried now; `hansard-agent status` shows what becomes of them"
            ));
            Ok(())
        }
        (LocalReply::Refused { reason }, _) => Err(format!("refused: {reason}")),
        (LocalReply::Busy { reason }, _) => Err(format!("the agent is busy: {reason}")),
        _ => Err("the agent's answer does not belong to this request".to_owned()),
    }
}
