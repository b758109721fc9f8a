//! The command line of the tools for people who write policies.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use policies::{DocumentKind, Severity};

use super::Output;

#[derive(Debug, Args)]
pub(crate) struct PolicyArguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: PolicyToolCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum PolicyToolCommand {
    /// Find mistakes in policy documents: file:line:column, severity, what is wrong and how to correct it.
    ///
    /// Exit codes: 0 no finding is as severe as --fail-on; 1 some finding is; 2 a file cannot be read.
    Check(CheckArguments),
    /// Ask a matrix of questions: each action on each resource in each context.
    ///
    /// With documents alone no server is needed. With --user, --role or --group the server answers from what is stored,
    /// together with the documents.
    Simulate(SimulateArguments),
    /// Explain the decision on one request: for each layer, the statement that decided or the closest ones.
    ///
    /// It takes the options of `simulate`, for one action on one resource.
    Explain(ExplainArguments),
    /// Show what B allows and A does not, and the reverse, each with an example request.
    ///
    /// The answer is exact over actions and resources; where conditions make it a bound, it says so. Exit codes: 0 no
    /// difference; 1 they differ; 2 a file cannot be read or is refused; 3 unknown, since the comparison grew past
    /// 10,000,000 steps.
    Diff(DiffArguments),
    /// Run cases from files; the last line is `N passed, N failed`.
    ///
    /// A file is a list of cases: either `policies`, `request` and `expect`, with `session_policy`, `control_policies`
    /// and `trust_policy` where wanted, or a `document` that has to be refused. A case with `ambiguous` set to true is
    /// shown and never fails. Exit codes: 0 all passed; 1 a case failed; 2 a file cannot be read.
    Test(TestArguments),
    /// Write policy documents in their canonical form, to standard output by default.
    ///
    /// Exit codes: 0 done; 1 with --check, a file has another form; 2 a file cannot be read or is refused.
    Fmt(FmtArguments),
}

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum PolicyKind {
    /// Attached to users, groups and roles.
    Identity,
    /// Given to AssumeRole.
    Session,
    /// Set over an account.
    Control,
    /// Says who may assume a role.
    Trust,
}

impl From<PolicyKind> for DocumentKind {
    fn from(kind: PolicyKind) -> Self {
        match kind {
            PolicyKind::Identity => Self::Identity,
            PolicyKind::Session => Self::Session,
            PolicyKind::Control => Self::Control,
            PolicyKind::Trust => Self::Trust,
        }
    }
}

/// The severity from which findings make `check` fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum FailOn {
    /// The document is refused.
    Error,
    /// The document permits more, or denies less, than it seems to.
    SecurityWarning,
    /// The document does not do what it seems to do.
    GeneralWarning,
    /// The document can be written better.
    Suggestion,
}

impl From<FailOn> for Severity {
    fn from(level: FailOn) -> Self {
        match level {
            FailOn::Error => Self::Error,
            FailOn::SecurityWarning => Self::SecurityWarning,
            FailOn::GeneralWarning => Self::GeneralWarning,
            FailOn::Suggestion => Self::Suggestion,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct CheckArguments {
    /// The documents; - is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What the documents are for.
    #[arg(long, value_enum, default_value_t = PolicyKind::Identity)]
    pub(crate) kind: PolicyKind,
    /// The lowest severity with which the command fails.
    #[arg(long, value_enum, value_name = "SEVERITY", default_value_t = FailOn::Error)]
    pub(crate) fail_on: FailOn,
}

/// The policies that are evaluated.
#[derive(Debug, Args)]
pub(crate) struct SubjectArguments {
    /// An identity policy; may be repeated. - is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) policy: Vec<PathBuf>,
    /// The policy of a role session.
    #[arg(long, value_name = "FILE")]
    pub(crate) session_policy: Option<PathBuf>,
    /// A control policy over the account; may be repeated.
    #[arg(long, value_name = "FILE")]
    pub(crate) control_policy: Vec<PathBuf>,
    /// The trust policy of a role, to ask who may assume it.
    #[arg(long, value_name = "FILE")]
    pub(crate) trust_policy: Option<PathBuf>,
    /// The ARN of the caller; acs:ram::ACCOUNT:root is the owner of that account.
    #[arg(long, value_name = "ARN")]
    pub(crate) principal: Option<String>,
    /// A RAM user of the server, with its stored policies.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["role", "group"])]
    pub(crate) user: Option<String>,
    /// A role of the server, with its stored policies.
    #[arg(long, value_name = "NAME", conflicts_with = "group")]
    pub(crate) role: Option<String>,
    /// A group of the server, with its stored policies.
    #[arg(long, value_name = "NAME")]
    pub(crate) group: Option<String>,
    /// A condition key of the request, such as acs:SourceIp=10.1.2.3; may be repeated, even for one key.
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) context: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct SimulateArguments {
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// An action, such as ecs-workbench:ListAgents; may be repeated. With * or ? it stands for the known actions that
    /// match.
    #[arg(long, value_name = "ACTION", required = true)]
    pub(crate) action: Vec<String>,
    /// A resource name, or *; may be repeated.
    #[arg(long, value_name = "RESOURCE", default_value = "*")]
    pub(crate) resource: Vec<String>,
    /// A JSON file of contexts by name, {"office": {"acs:SourceIp": "10.1.2.3"}, ...}; each is evaluated, together with
    /// --context.
    #[arg(long, value_name = "FILE")]
    pub(crate) contexts: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    #[command(flatten)]
    pub(crate) subject: SubjectArguments,
    /// The action, such as ecs-workbench:ListAgents.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: String,
    /// The resource name, or *.
    #[arg(long, value_name = "RESOURCE", default_value = "*")]
    pub(crate) resource: String,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArguments {
    /// The first document; - is standard input.
    #[arg(value_name = "A")]
    pub(crate) a: PathBuf,
    /// The second document.
    #[arg(value_name = "B")]
    pub(crate) b: PathBuf,
    /// What the documents are for.
    #[arg(long, value_enum, default_value_t = PolicyKind::Identity)]
    pub(crate) kind: PolicyKind,
}

#[derive(Debug, Args)]
pub(crate) struct TestArguments {
    /// Files of cases; - is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct FmtArguments {
    /// The documents; - is standard input.
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// What the documents are for.
    #[arg(long, value_enum, default_value_t = PolicyKind::Identity)]
    pub(crate) kind: PolicyKind,
    /// Change nothing, and name the files that have another form.
    #[arg(long, conflicts_with = "write")]
    pub(crate) check: bool,
    /// Rewrite each file, completely or not at all.
    #[arg(long)]
    pub(crate) write: bool,
}
