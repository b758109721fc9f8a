use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use validator::Validate;

use super::Envelope;
use crate::operations::operations;

operations! {
    ValidatePolicy: ValidatePolicyRequest => ValidatePolicyReply;
    SimulatePolicy: SimulatePolicyRequest => SimulatePolicyReply, [NoPermission, EntityNotExist];
}

/// Looks for mistakes in a policy document. It stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ValidatePolicyRequest {
    /// The document.
    #[schema(
        example = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:List*","Resource":"*"}]}"#
    )]
    pub policy_document: String,
    /// What the document is for: `identity`, `session`, `control` or `trust`. Omitted: `identity`.
    #[schema(nullable = false, default = "identity", pattern = "^(identity|session|control|trust)$")]
    pub policy_kind: Option<String>,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
}

/// The findings about a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ValidatePolicyReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The findings.
    pub root: PolicyFindings,
}

/// Findings, in the order of the document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyFindings {
    /// Whether the document would be accepted: none of the findings is an Error.
    pub valid: bool,
    /// The findings.
    pub findings: Vec<PolicyFinding>,
}

/// Something to correct in a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyFinding {
    /// `Error` (the document is refused), `Security Warning` (it permits more, or stops less, than it seems to),
    /// `General Warning` (it does not do what it seems to do) or `Suggestion`.
    #[schema(example = "Security Warning")]
    pub severity: String,
    /// The rule that it breaks.
    #[schema(example = "AllowNotAction")]
    pub rule: String,
    /// Line, counted from 1.
    pub line: i32,
    /// Column in Unicode characters, counted from 1.
    pub column: i32,
    /// JSON pointer (RFC 6901); empty for the document itself.
    #[schema(example = "/Statement/0/NotAction")]
    pub pointer: String,
    /// What is wrong, in a sentence.
    pub message: String,
    /// How to correct it.
    pub mend: String,
}

/// Asks what a principal could do, or what a document would permit. It changes and stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Validate, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatePolicyRequest {
    /// The actions, a JSON list of strings. One with `*` or `?` stands for the known actions that match it. Actions times
    /// resources times contexts are at most 10000 questions; with Explain, at most 100.
    #[schema(example = r#"["ecs-workbench:List*"]"#)]
    pub actions: String,
    /// The resources, a JSON list of strings: ARNs, or `*`. Omitted: `*` alone.
    #[schema(
        nullable = false,
        example = r#"["acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-bp1example"]"#
    )]
    pub resources: Option<String>,
    /// The condition keys that a request carries: a JSON object of strings or lists of strings. Beside them
    /// `acs:PrincipalARN` is set. Omitted: no others.
    #[schema(nullable = false, example = r#"{"acs:SourceIp":"10.1.2.3"}"#)]
    #[validate(length(max = 16384, message = "it must have at most 16384 characters"))]
    pub context: Option<String>,
    /// Several contexts instead of one: a JSON object of contexts by name.
    #[schema(nullable = false, example = r#"{"office":{"acs:SourceIp":"10.1.2.3"},"elsewhere":{}}"#)]
    #[validate(length(max = 65536, message = "it must have at most 65536 characters"))]
    pub contexts: Option<String>,
    /// A principal of the caller's account, with all policies that are attached to it and to its groups: its ARN, or
    /// `user/<name>`, `group/<name>` or `role/<name>`. Beside the action itself, the caller needs the permission to list
    /// that principal's policies.
    #[schema(nullable = false, example = "user/ana")]
    pub stored_principal: Option<String>,
    /// Draft identity policies, a JSON list of strings, at most 30; with StoredPrincipal they count beside what is
    /// attached.
    #[schema(nullable = false, example = r#"["{\"Version\":\"1\",\"Statement\":[]}"]"#)]
    pub policy_documents: Option<String>,
    /// A draft session policy.
    #[schema(nullable = false)]
    pub session_policy: Option<String>,
    /// Draft control policies of one level, as PolicyDocuments.
    #[schema(nullable = false)]
    pub control_policies: Option<String>,
    /// A draft trust policy, for the question who may assume its role.
    #[schema(nullable = false)]
    pub trust_policy: Option<String>,
    /// The ARN of the principal that drafts are evaluated for. Omitted: the stored principal's, or that of a user whom no policy names.
    #[schema(nullable = false, example = "acs:ram::1609982529000000:user/ana")]
    #[validate(length(min = 1, max = 1024, message = "it must be an ARN of at most 1024 characters"))]
    pub principal: Option<String>,
    /// Whether each answer says, layer by layer, which statement decided or came nearest. Omitted: false.
    #[schema(nullable = false, default = false)]
    pub explain: Option<bool>,
    /// Recorded, and otherwise ignored.
    #[schema(nullable = false)]
    #[validate(length(max = 128, message = "it must have at most 128 characters"))]
    pub region_id: Option<String>,
}

/// The answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatePolicyReply {
    /// RequestId, Code, Message, Success.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// The simulation.
    pub root: PolicySimulation,
}

/// The answers, in the order of actions, then resources, then contexts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicySimulation {
    /// The ARN of the principal that was asked about.
    pub principal: String,
    /// One for each question.
    pub answers: Vec<SimulatedAnswer>,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct SimulatedAnswer {
    /// The action.
    #[schema(example = "ecs-workbench:ListInstanceRecords")]
    pub action: String,
    /// The resource.
    pub resource: String,
    /// The name of the context; empty for the only one.
    pub context: String,
    /// `Allow`, `ImplicitDeny` (nothing allows it) or `ExplicitDeny` (a statement denies it).
    #[schema(example = "Allow")]
    pub decision: String,
    /// The reason, in words.
    pub reason: String,
    /// The statement that decided; absent when it was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub statement: Option<PolicyStatement>,
    /// Condition keys that bear on the question and that the context does not have. With them the answer may differ.
    pub absent_keys: Vec<String>,
    /// Why, layer by layer; only when asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub explanation: Option<PolicyExplanation>,
}

/// A statement of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyStatement {
    /// The kind of policy, as a denial names it.
    #[schema(example = "AccountLevelIdentityBasedPolicy")]
    pub policy_type: String,
    /// The policy's name; for a draft its place, as `PolicyDocuments[0]`.
    pub policy: String,
    /// The statement's index, from 0.
    pub index: i32,
}

/// Why a question is answered as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct PolicyExplanation {
    /// The layers in the order in which they are asked; none if the account's owner was allowed without a policy.
    pub layers: Vec<ExplainedLayer>,
    /// The whole explanation as plain text.
    pub text: String,
}

/// What one layer says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainedLayer {
    /// The kind of policy.
    #[schema(example = "SessionPolicy")]
    pub policy_type: String,
    /// For control policies, the level over the account, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub level: Option<i32>,
    /// `Allow`, `ExplicitDeny`, `NothingAllows` or `CannotEvaluate` (a Deny that may fit, which counts as one).
    #[schema(example = "NothingAllows")]
    pub says: String,
    /// Whether it was asked; false when an earlier layer ended the evaluation.
    pub asked: bool,
    /// Whether this layer decided.
    pub decides: bool,
    /// How many statements it has.
    pub statement_count: i32,
    /// The statement that decided, and for a denial the Allow statements that come nearest, the nearest first.
    pub nearest: Vec<ExplainedStatement>,
}

/// A statement compared with the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainedStatement {
    /// Which statement.
    pub statement: PolicyStatement,
    /// `Allow` or `Deny`.
    #[schema(example = "Allow")]
    pub effect: String,
    /// Whether every part of it matches.
    pub fits: bool,
    /// Its principals, actions and resources, compared with those of the question.
    pub elements: Vec<ExplainedElement>,
    /// Its condition keys, compared with those of the context.
    pub conditions: Vec<ExplainedCondition>,
}

/// An element of a statement, compared with the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainedElement {
    /// `Action`, `NotAction`, `Resource`, `NotResource` or `Principal`.
    #[schema(example = "Action")]
    pub element: String,
    /// Whether it matches.
    pub fits: bool,
    /// What the statement has.
    pub wanted: Vec<String>,
    /// What the question has.
    pub found: String,
}

/// A condition key of a statement, compared with the context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "PascalCase")]
pub struct ExplainedCondition {
    /// The operator.
    #[schema(example = "IpAddress")]
    pub operator: String,
    /// The key.
    #[schema(example = "acs:SourceIp")]
    pub key: String,
    /// What the statement has.
    pub wanted: Vec<String>,
    /// What the context has; none if the key is absent.
    pub found: Vec<String>,
    /// `Holds`, `Absent`, `Unequal`, `Excluded` or `Unreadable`.
    #[schema(example = "Absent")]
    pub result: String,
}
