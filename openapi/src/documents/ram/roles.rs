//! Roles, and why something was denied.

use crate::documents::Builder;
use crate::error_codes::ErrorCode;
use crate::ram::{
    CreateRoleRequest, DecodeDiagnosticMessageReply, DecodeDiagnosticMessageRequest, DeleteRoleRequest,
    DoneReply, GetRoleRequest, ListRolesReply, ListRolesRequest, RoleReply, UpdateRoleRequest,
    WrittenRoleReply,
};

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<CreateRoleRequest, WrittenRoleReply>(
        "CreateRole",
        "Makes a role, with the policy that says who may assume it.",
        &[ErrorCode::EntityAlreadyExists, ErrorCode::LimitExceeded, ErrorCode::InvalidRamParameter],
    );
    document.operation::<GetRoleRequest, RoleReply>("GetRole", "One role.", &[ErrorCode::EntityNotExist]);
    document.operation::<UpdateRoleRequest, WrittenRoleReply>(
        "UpdateRole",
        "Changes who may assume a role, for how long, or its description.",
        &[ErrorCode::EntityNotExist, ErrorCode::InvalidRamParameter],
    );
    document.operation::<ListRolesRequest, ListRolesReply>(
        "ListRoles",
        "The roles of the account, by name.",
        &[],
    );
    document.operation::<DeleteRoleRequest, DoneReply>(
        "DeleteRole",
        "Deletes a role that has no policies, and ends its sessions.",
        &[ErrorCode::EntityNotExist, ErrorCode::DeleteConflict],
    );
    document.operation::<DecodeDiagnosticMessageRequest, DecodeDiagnosticMessageReply>(
        "DecodeDiagnosticMessage",
        "Opens what a denial sealed: why it was denied.",
        &[],
    );
}
