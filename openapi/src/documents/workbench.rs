//! The operations of ecs-workbench.

use super::Builder;
use crate::error_codes::ErrorCode;
use crate::workbench::{
    CreateAgentJoinTokenReply, CreateAgentJoinTokenRequest, GetInstanceRecordConfigReply,
    GetInstanceRecordConfigRequest, ListAgentsReply, ListAgentsRequest, ListAuditEventsReply,
    ListAuditEventsRequest, ListInstanceRecordsReply, ListInstanceRecordsRequest,
    SetInstanceRecordConfigReply, SetInstanceRecordConfigRequest, SimulatePolicyReply, SimulatePolicyRequest,
    ValidatePolicyReply, ValidatePolicyRequest, VerifyAgentRecordingsReply, VerifyAgentRecordingsRequest,
    ViewInstanceRecordsReply, ViewInstanceRecordsRequest,
};

const STORAGE_TARGET: &[ErrorCode] = &[
    ErrorCode::StorageTargetFormat,
    ErrorCode::StorageTargetBucketName,
    ErrorCode::StorageTargetRegion,
    ErrorCode::StorageTargetAccount,
    ErrorCode::Conflict,
];

/// All of them.
pub(super) fn operations(document: &mut Builder) {
    document.operation::<SetInstanceRecordConfigRequest, SetInstanceRecordConfigReply>(
        "SetInstanceRecordConfig",
        "Switches recording on or off.",
        STORAGE_TARGET,
    );
    document.operation::<GetInstanceRecordConfigRequest, GetInstanceRecordConfigReply>(
        "GetInstanceRecordConfig",
        "The configuration that holds for an instance.",
        &[],
    );
    document.operation::<ListInstanceRecordsRequest, ListInstanceRecordsReply>(
        "ListInstanceRecords",
        "Recordings, newest first.",
        &[],
    );
    document.operation::<ViewInstanceRecordsRequest, ViewInstanceRecordsReply>(
        "ViewInstanceRecords",
        "Permits one view of one recording and hands out its replay address.",
        &[ErrorCode::RecordingNotFound, ErrorCode::RecordingExpired],
    );
    document.operation::<CreateAgentJoinTokenRequest, CreateAgentJoinTokenReply>(
        "CreateAgentJoinToken",
        "Creates a token with which one agent joins.",
        &[],
    );
    document.operation::<ListAgentsRequest, ListAgentsReply>("ListAgents", "The agents of the account.", &[]);
    document.operation::<VerifyAgentRecordingsRequest, VerifyAgentRecordingsReply>(
        "VerifyAgentRecordings",
        "Which recordings of agents are missing.",
        &[],
    );
    document.operation::<ListAuditEventsRequest, ListAuditEventsReply>(
        "ListAuditEvents",
        "What was asked of the account, by whom and with what outcome, newest first.",
        &[],
    );
    document.operation::<ValidatePolicyRequest, ValidatePolicyReply>(
        "ValidatePolicy",
        "Looks for mistakes in a policy document, with their places and how to mend them.",
        &[],
    );
    document.operation::<SimulatePolicyRequest, SimulatePolicyReply>(
        "SimulatePolicy",
        "What a stored principal could do, or what draft documents would permit, and why.",
        &[ErrorCode::NoPermission, ErrorCode::EntityNotExist],
    );
}
