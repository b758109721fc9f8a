//! ListPolicyAttachments: the attachments of policies to users, groups and roles.

use domain::actions::ListPolicyAttachments;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{AttachmentFilter, ListedAttachment};
use domain::parameter::Word as _;
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::parameter_types::{PageNumber, PageSize};
use openapi::ram::{ListPolicyAttachmentsReply, PolicyAttachmentItem, PolicyAttachmentList};

use crate::actions::ram::about;
use crate::actions::{wire_count, wire_time};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicyAttachments {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        request.resource_group_id.transpose()?;
        let filter = AttachmentFilter {
            kind: request.policy_type.transpose()?,
            policy: request.policy_name.transpose()?,
            bearer: request.principal_type.transpose()?,
            bearer_name: request.principal_name.map(String::from),
        };
        let number = request.page_number.map_or(1, PageNumber::get);
        Ok(Input { filter, number, size: request.page_size.map_or(10, PageSize::get) })
    }

    async fn locate(_: &Call<'_>, _: &Self::Input) -> Result<Located, ActionError> {
        Ok(about(IdentityResource::Policies))
    }

    async fn run(
        call: &Call<'_>,
        granted: Granted<Self>,
        input: Self::Input,
    ) -> Result<Done<Self::Reply>, ActionError> {
        let Input { filter, number, size } = input;
        let skipped = u64::from(number - 1) * u64::from(size);
        let store = call.store;
        let (found, total) = store.list_policy_attachments(&granted, &filter, skipped, size.into()).await?;
        let account = granted.account().as_str();
        Ok(Done::read(ListPolicyAttachmentsReply {
            request_id: call.request_id().to_string(),
            page_number: wire_count(number.into()),
            page_size: wire_count(size.into()),
            total_count: wire_count(total),
            policy_attachments: PolicyAttachmentList {
                policy_attachment: found.into_iter().map(|attachment| item(attachment, account)).collect(),
            },
        }))
    }
}

/// Which attachments, and which page of them.
pub(crate) struct Input {
    filter: AttachmentFilter,
    number: u32,
    size: u32,
}

fn item(attachment: ListedAttachment, account: &str) -> PolicyAttachmentItem {
    let ListedAttachment { policy, description, bearer, bearer_name, attached_at } = attachment;
    PolicyAttachmentItem {
        policy_name: policy.name.to_string(),
        policy_type: policy.kind.as_str().to_owned(),
        description,
        principal_name: bearer_name,
        principal_type: bearer.word().to_owned(),
        resource_group_id: account.to_owned(),
        attach_date: wire_time(attached_at),
    }
}
