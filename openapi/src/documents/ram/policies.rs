//! Policies, their versions, and who has them.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    AttachedPoliciesReply, CreatePolicyReply, CreatePolicyRequest, CreatePolicyVersionReply,
    CreatePolicyVersionRequest, DeletePolicyRequest, DoneReply, GetPolicyReply, GetPolicyVersionRequest,
    ListEntitiesForPolicyReply, ListPoliciesForGroupRequest, ListPoliciesForRoleRequest,
    ListPoliciesForUserRequest, ListPoliciesReply, ListPoliciesRequest, ListPolicyVersionsReply,
    PolicyOfGroupRequest, PolicyOfRoleRequest, PolicyOfUserRequest, PolicyRequest, PolicyVersionReply,
    PolicyVersionRequest, SetDefaultPolicyVersionReply,
};

const NOT_THERE: &[ErrorCode] = &[ErrorCode::EntityNotExist];
const ATTACH: &[ErrorCode] =
    &[ErrorCode::EntityNotExist, ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded];

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    policies(document);
    versions(document);
    attachments(document);
}

fn policies(document: &mut Builder) {
    document.operation::<CreatePolicyRequest, CreatePolicyReply>(
        "CreatePolicy",
        "Makes a policy of the account.",
        &[ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded, ErrorCode::InvalidRamParameter],
    );
    document.operation::<PolicyRequest, GetPolicyReply>(
        "GetPolicy",
        "A policy with its deciding document.",
        NOT_THERE,
    );
    document.operation::<ListPoliciesRequest, ListPoliciesReply>(
        "ListPolicies",
        "Policies of the account and of the system.",
        &[],
    );
    document.operation::<DeletePolicyRequest, DoneReply>(
        "DeletePolicy",
        "Deletes a policy of the account that nobody has.",
        &[ErrorCode::EntityNotExist, ErrorCode::DeleteConflict],
    );
}

fn versions(document: &mut Builder) {
    document.operation::<CreatePolicyVersionRequest, CreatePolicyVersionReply>(
        "CreatePolicyVersion",
        "Gives a policy another version.",
        &[
            ErrorCode::EntityNotExist,
            ErrorCode::LimitExceeded,
            ErrorCode::InvalidRamParameter,
            ErrorCode::Conflict,
        ],
    );
    document.operation::<PolicyRequest, ListPolicyVersionsReply>(
        "ListPolicyVersions",
        "The versions of a policy.",
        NOT_THERE,
    );
    document.operation::<GetPolicyVersionRequest, PolicyVersionReply>(
        "GetPolicyVersion",
        "One version of a policy.",
        NOT_THERE,
    );
    document.operation::<PolicyVersionRequest, SetDefaultPolicyVersionReply>(
        "SetDefaultPolicyVersion",
        "Makes another version of a policy the one that decides.",
        &[ErrorCode::EntityNotExist, ErrorCode::Conflict],
    );
    document.operation::<PolicyVersionRequest, DoneReply>(
        "DeletePolicyVersion",
        "Deletes a version that does not decide.",
        &[ErrorCode::EntityNotExist, ErrorCode::DeleteConflict],
    );
}

fn attachments(document: &mut Builder) {
    document.operation::<PolicyOfUserRequest, DoneReply>(
        "AttachPolicyToUser",
        "Attaches a policy to a user.",
        ATTACH,
    );
    document.operation::<PolicyOfGroupRequest, DoneReply>(
        "AttachPolicyToGroup",
        "Attaches a policy to a group.",
        ATTACH,
    );
    document.operation::<PolicyOfRoleRequest, DoneReply>(
        "AttachPolicyToRole",
        "Attaches a policy to a role.",
        ATTACH,
    );
    document.operation::<PolicyOfUserRequest, DoneReply>(
        "DetachPolicyFromUser",
        "Detaches a policy from a user.",
        NOT_THERE,
    );
    document.operation::<PolicyOfGroupRequest, DoneReply>(
        "DetachPolicyFromGroup",
        "Detaches a policy from a group.",
        NOT_THERE,
    );
    document.operation::<PolicyOfRoleRequest, DoneReply>(
        "DetachPolicyFromRole",
        "Detaches a policy from a role.",
        NOT_THERE,
    );
    document.operation::<ListPoliciesForUserRequest, AttachedPoliciesReply>(
        "ListPoliciesForUser",
        "The policies that a user itself has.",
        NOT_THERE,
    );
    document.operation::<ListPoliciesForGroupRequest, AttachedPoliciesReply>(
        "ListPoliciesForGroup",
        "The policies that a group has.",
        NOT_THERE,
    );
    document.operation::<ListPoliciesForRoleRequest, AttachedPoliciesReply>(
        "ListPoliciesForRole",
        "The policies that a role has.",
        NOT_THERE,
    );
    document.operation::<PolicyRequest, ListEntitiesForPolicyReply>(
        "ListEntitiesForPolicy",
        "Who has a policy.",
        NOT_THERE,
    );
}
