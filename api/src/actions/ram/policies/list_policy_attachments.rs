//! ListPolicyAttachments: the attachments of policies to users, groups and roles.

use domain::actions::ListPolicyAttachments;
use domain::gate::{Granted, IdentityResource};
use domain::identity::{AttachmentFilter, BearerKind, ListedAttachment};
use domain::principal::Principal;
use openapi::error_codes::WireError;
use openapi::ram::{ListPolicyAttachmentsReply, PolicyAttachmentItem, PolicyAttachmentList};

use crate::actions::ram::{about, name};
use crate::actions::{wire_count, wire_time};
use crate::dispatch::{Call, Done, Located, RpcAction};
use crate::errors::ActionError;

impl RpcAction for ListPolicyAttachments {
    type Input = Input;

    fn read(_: &Principal, request: Self::Request) -> Result<Self::Input, WireError> {
        if request.resource_group_id.is_some() {
            return Err(WireError::invalid(
                "ResourceGroupId",
                "there are no resource groups here; leave it out",
            ));
        }
        let kind = request.policy_type.as_deref().map(|text| name("PolicyType", text));
        let policy = request.policy_name.as_deref().map(|text| name("PolicyName", text));
        let filter = AttachmentFilter {
            kind: kind.transpose()?,
            policy: policy.transpose()?,
            bearer: request.principal_type.as_deref().map(bearer_kind).transpose()?,
            bearer_name: request.principal_name,
        };
        // The shape's rules hold both above 0.
        let page = |number: Option<i32>, default| {
            number.and_then(|number| u32::try_from(number).ok()).unwrap_or(default)
        };
        Ok(Input { filter, number: page(request.page_number, 1), size: page(request.page_size, 10) })
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
        let store = &call.hansard.store;
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

fn bearer_kind(text: &str) -> Result<BearerKind, WireError> {
    match text {
        "IMSUser" => Ok(BearerKind::User),
        "IMSGroup" => Ok(BearerKind::Group),
        "ServiceRole" => Ok(BearerKind::Role),
        _ => Err(WireError::invalid("PrincipalType", "it must be IMSUser, IMSGroup or ServiceRole")),
    }
}

fn item(attachment: ListedAttachment, account: &str) -> PolicyAttachmentItem {
    let ListedAttachment { policy, description, bearer, bearer_name, attached_at } = attachment;
    PolicyAttachmentItem {
        policy_name: policy.name.to_string(),
        policy_type: policy.kind.as_str().to_owned(),
        description,
        principal_name: bearer_name,
        principal_type: match bearer {
            BearerKind::User => "IMSUser",
            BearerKind::Group => "IMSGroup",
            BearerKind::Role => "ServiceRole",
        }
        .to_owned(),
        resource_group_id: account.to_owned(),
        attach_date: wire_time(attached_at),
    }
}
