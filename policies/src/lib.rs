//! The RAM policy language: parse strictly, compile at load, decide with the statement that decided.
//!
//! A [`PolicyDocument`] is read by [`PolicyDocument::parse`], which refuses whatever it does not understand and says
//! where and how to mend it. The documents of one layer are pooled in a [`PolicySet`]; the sets of all layers that
//! bear on a principal are its [`Layers`]; [`evaluate`](evaluate()) decides a [`Request`]. Deciding reads nothing but its
//! arguments, allocates nothing, and takes time linear in what is compared.
//!
//! ```
//! use std::sync::Arc;
//! use policies::{Context, Decision, DocumentKind, Layers, PolicyDocument, PolicySet, Request, evaluate};
//!
//! let text = br#"{"Version": "1", "Statement": [{
//!     "Effect": "Allow",
//!     "Action": "ecs-workbench:List*",
//!     "Resource": "*",
//!     "Condition": {"IpAddress": {"acs:SourceIp": "10.0.0.0/8"}}
//! }]}"#;
//! let document = PolicyDocument::parse(text, DocumentKind::Identity)?;
//! let identity = PolicySet::new(vec![(Arc::from("office-only"), Arc::new(document))]);
//! let layers = Layers { identity, ..Layers::default() };
//!
//! let mut context = Context::new();
//! context.insert(policies::keys::SOURCE_IP, "10.1.2.3");
//! let request = Request {
//!     principal: "acs:ram::1234567890123456:user/alice",
//!     action: "ecs-workbench:ListInstanceRecords",
//!     resource: "*",
//!     context: &context,
//! };
//! assert!(evaluate(&layers, &request).is_allow());
//! # Ok::<(), policies::InvalidPolicy>(())
//! ```
//!
//! Where each rule lives: `json` text, `grammar` elements, `action`, `resource` and `principal` what each compares,
//! `operators`, `values` and `conditions` the Condition block, `policy_set` one layer, `evaluate` all of them.
//!
//! For those who write policies: [`check`](check()) finds mistakes, [`explain`](explain()) says why, [`simulate`](simulate()) asks a matrix of
//! questions, [`diff`](diff()) compares what two sets allow, [`format`](format()) spells canonically, [`testing`] runs cases. They
//! ask the compiled statements that [`evaluate`](evaluate()) asks, so they cannot disagree with it; what a deployment's actions
//! and keys are, they are told in a [`Vocabulary`]. `schema/ram-policy.schema.json` is for editors.

mod action;
mod check;
mod conditions;
mod context;
mod decision;
mod diff;
mod document;
mod drafts;
mod evaluate;
mod explain;
mod format;
#[cfg(fuzzing)]
pub mod fuzzing;
mod glob;
mod grammar;
mod invalid;
mod json;
mod key_facts;
pub mod keys;
mod memory;
mod operators;
mod policy_set;
mod principal;
mod reach;
mod resource;
mod simulate;
mod statement;
pub mod testing;
mod values;
mod vocabulary;
mod work;
mod written;

pub use check::{Finding, Lint, Rule, Severity, check};
pub use conditions::ConditionError;
pub use context::{Context, ContextValue};
pub use decision::{AllowedBy, Decision, DenyReason, Layer, Outcome, PolicyType, StatementId};
pub use diff::{Difference, Direction, Gap, MAX_DIFFERENCE_STEPS, MAX_LISTED_GAPS, Verdict, Witness, diff};
pub use document::PolicyDocument;
pub use drafts::{Draft, Drafts, InvalidDraft};
pub use evaluate::{Layers, Request, could_deny, evaluate};
pub use explain::{
    ElementExplanation, Explanation, KeyExplanation, KeyResult, LayerAnswer, LayerExplanation,
    NEAREST_STATEMENTS, StatementExplanation, explain,
};
pub use format::format;
pub use invalid::{InvalidPolicy, Reason};
pub use key_facts::Presence;
pub use policy_set::PolicySet;
pub use reach::{Comparison, KeyComparison, Reach, allows_for_every_resource, reach};
pub use resource::{InvalidResource, ResourcePattern};
pub use simulate::{
    Answer, MAX_SIMULATED_REQUESTS, NamedContext, Questions, Simulation, TooManyQuestions, simulate,
};
pub use statement::DocumentKind;
pub use values::{AddressBlock, ValueType};
pub use vocabulary::Vocabulary;
