//! UntagResources: removes tags of roles or of policies.

use domain::actions::UntagResources;
use domain::gate::Granted;
use domain::identity::{RemovedTags, Taggable};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{DoneReply, TagKeys};

use super::read;
use crate::dispatch::{Call, Deferred, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for UntagResources {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        let things = read::things(request.resource_type, request.resource_names)?;
        Ok(Input { things, removed: removed(request.all.unwrap_or(false), request.tag_keys) })
    }

    async fn locate(_: &Call<'_>, input: &Self::Input) -> Result<Located, ActionError> {
        Ok(read::located(&input.things))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { things, removed } = input;
        let removed = removed?;
        let what = match &removed {
            RemovedTags::All => "all".to_owned(),
            RemovedTags::Keys(keys) => keys.join(", "),
        };
        let audit = call.audit_of_change(&granted, &format!("remove {what}"));
        call.store.remove_tags(&granted, things, removed, audit).await?;
        Ok(Done::changed(DoneReply { request_id: call.request_id().to_string() }))
    }
}

/// What loses which tags.
pub(crate) struct Input {
    things: Vec<Taggable>,
    removed: Deferred<RemovedTags>,
}

/// All tags, or those with the keys that are named: to guess which of the two is meant could remove too much.
fn removed(all: bool, keys: Option<TagKeys>) -> Result<RemovedTags, WireError> {
    match (all, read::keys(keys)) {
        (true, None) => Ok(RemovedTags::All),
        (true, Some(_)) => Err(WireError::invalid("All", "with TagKeys it must be false, or left out")),
        (false, Some(keys)) => RemovedTags::keys(keys).map_err(|why| WireError::invalid("TagKeys", why)),
        (false, None) => Err(WireError::missing("TagKeys")),
    }
}
