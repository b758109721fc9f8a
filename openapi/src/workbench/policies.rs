use domain::parameter::TextShape;
use policies::DocumentKind;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Envelope;
use super::simulation_texts::{DraftTexts, Names, OneContext, SeveralContexts, StoredPrincipal};
use crate::operations::operations;
use crate::parameter_types::{AnyText, IgnoredRegion, Written, texts_of_a_length};
use crate::parameters::{Deferred, Parameters};
use crate::ram::{SessionDocument, TrustDocument};

operations! {
    ValidatePolicy: ValidatePolicyRequest => ValidatePolicyReply;
    SimulatePolicy: SimulatePolicyRequest => SimulatePolicyReply, [NoPermission, EntityNotExist];
}

texts_of_a_length! {
    /// The ARN that drafts are asked as.
    SimulatedPrincipal, TextShape::of_length(1..=1_024), Value, "it must be an ARN of at most 1024 characters";
}

/// Looks for mistakes in a policy document. It stores nothing.
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct ValidatePolicyRequest {
    /// The document.
    #[parameter(
        example = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"ecs-workbench:List*","Resource":"*"}]}"#
    )]
    pub policy_document: AnyText,
    /// What the document is for: `identity`, `session`, `control` or `trust`. Omitted: `identity`.
    #[parameter(default = "identity")]
    pub policy_kind: Option<Deferred<DocumentKind>>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
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
#[derive(Debug, Clone, PartialEq, Eq, Parameters)]
pub struct SimulatePolicyRequest {
    /// The actions, a JSON list of strings. One with `*` or `?` stands for the known actions that match it. Actions times
    /// resources times contexts are at most 10000 questions; with Explain, at most 100.
    #[parameter(example = r#"["ecs-workbench:List*"]"#)]
    pub actions: Written<Names>,
    /// The resources, a JSON list of strings: ARNs, or `*`. Omitted: `*` alone.
    #[parameter(example = r#"["acs:ecs-workbench:cn-hangzhou:1609982529000000:workbench/i-bp1example"]"#)]
    pub resources: Option<Written<Names>>,
    /// The condition keys that a request carries: a JSON object of strings or lists of strings. Beside them
    /// `acs:PrincipalARN` is set. Omitted: no others.
    #[parameter(example = r#"{"acs:SourceIp":"10.1.2.3"}"#)]
    pub context: Option<Written<OneContext>>,
    /// Several contexts instead of one: a JSON object of contexts by name.
    #[parameter(example = r#"{"office":{"acs:SourceIp":"10.1.2.3"},"elsewhere":{}}"#)]
    pub contexts: Option<Written<SeveralContexts>>,
    /// A principal of the caller's account, with all policies that are attached to it and to its groups: its ARN, or
    /// `user/<name>`, `group/<name>` or `role/<name>`. Beside the action itself, the caller needs the permission to list
    /// that principal's policies.
    #[parameter(example = "user/ana")]
    pub stored_principal: Option<Deferred<StoredPrincipal>>,
    /// Draft identity policies, a JSON list of strings, at most 30; with StoredPrincipal they count beside what is
    /// attached.
    #[parameter(
        example = r#"["{\"Version\":\"1\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"*\",\"Resource\":\"*\"}]}"]"#
    )]
    pub policy_documents: Option<Written<DraftTexts>>,
    /// A draft session policy.
    pub session_policy: Option<Written<SessionDocument>>,
    /// Draft control policies of one level, as PolicyDocuments.
    pub control_policies: Option<Written<DraftTexts>>,
    /// A draft trust policy, for the question who may assume its role.
    pub trust_policy: Option<Written<TrustDocument>>,
    /// The ARN of the principal that drafts are evaluated for. Omitted: the stored principal's, or that of a user whom no policy names.
    #[parameter(example = "acs:ram::1609982529000000:user/ana")]
    pub principal: Option<SimulatedPrincipal>,
    /// Whether each answer says, layer by layer, which statement decided or came nearest. Omitted: false.
    #[parameter(default = false)]
    pub explain: Option<bool>,
    /// Recorded, and otherwise ignored.
    pub region_id: Option<IgnoredRegion>,
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
