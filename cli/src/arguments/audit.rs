//! The command lines of `audit`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use domain::{InstanceId, Timestamp};
use persistence::{ArchivedDays, DecisionKind};

use super::Output;
use super::moments::parse_moment;
use super::server::StoreArguments;

#[derive(Debug, Args)]
pub(crate) struct AuditArguments {
    /// How results are printed.
    #[arg(long, value_enum, default_value_t = Output::Table, global = true)]
    pub(crate) output: Output,
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AuditCommand {
    /// List events, newest first.
    #[command(alias = "list")]
    Ls(AuditListArguments),
    /// Check, directly in the database, that nothing in the audit trail was changed, removed or added.
    ///
    /// Every chain is computed again and compared with the signed anchors, with the exported files, which must contain
    /// everything that the database says was written to them, and with anchors that were kept elsewhere.
    ///
    /// Exit codes: 0 whole; 1 it could not be checked, or there is nothing to verify; 3 the chains agree, but no signed
    /// anchor covers some rows that are old enough for one, or some of what they should be compared with is not
    /// available; 4 something was changed, removed or added.
    Verify(Box<AuditVerifyArguments>),
    /// Print signed anchors directly from the database, one per line. Append them to a file that is out of reach of
    /// anybody who can change the database; `hansard audit verify --anchors FILE` compares it.
    Anchors(AuditAnchorsArguments),
}

/// Which events; every option that is given must match.
#[derive(Debug, Args)]
pub(crate) struct AuditListArguments {
    /// Only events about this instance.
    #[arg(long, value_name = "ID")]
    pub(crate) instance_id: Option<InstanceId>,
    /// Only events of this caller: the name of a user, root, role/ROLE/SESSION, or a whole ARN.
    #[arg(long, value_name = "NAME|ARN", value_parser = PrincipalReference::parse)]
    pub(crate) principal: Option<PrincipalReference>,
    /// Only events of this action.
    #[arg(long, value_name = "NAME")]
    pub(crate) action: Option<String>,
    /// Only events about exactly this resource.
    #[arg(long, value_name = "ARN")]
    pub(crate) resource: Option<String>,
    /// Only events with this decision: Allowed, Denied or NotAsked, in any case.
    #[arg(long, value_name = "DECISION", value_parser = parse_decision)]
    pub(crate) decision: Option<DecisionKind>,
    /// Only calls that arrived at this moment or later: a time such as 2023-11-16T02:59:39Z, or how long ago, such as 2h or
    /// 3d.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) start_time: Option<Timestamp>,
    /// Only calls that arrived before this moment.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) end_time: Option<Timestamp>,
    /// How many events to show, 1 to 100 [default: 10].
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=100))]
    pub(crate) page_size: Option<u32>,
    /// Where an earlier page ended.
    #[arg(long, value_name = "TOKEN")]
    pub(crate) next_token: Option<String>,
    /// All pages.
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct AuditVerifyArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Check these exported files instead of the database. Signatures are checked if the server keys are available.
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with = "audit_log_dir")]
    pub(crate) file: Vec<PathBuf>,
    /// Compare the database with the files of this folder, or with none if off [default: audit in the data directory].
    #[arg(long, value_name = "DIR")]
    audit_log_dir: Option<String>,
    /// A UTC day whose file was archived, such as 2023-11-16, or a range of days, such as 2023-01-01..2023-11-16; may
    /// be given several times. A file that is still there is checked all the same.
    #[arg(long, value_name = "DAY")]
    pub(crate) archived: Vec<ArchivedDays>,
    /// The id of another export folder that is not available here, such as another replica's; may be given several
    /// times.
    #[arg(long, value_name = "ID")]
    pub(crate) elsewhere: Vec<String>,
    /// Compare everything with the anchors of this file, which `serve --audit-anchors-file` or `hansard audit anchors`
    /// wrote.
    #[arg(long, value_name = "FILE")]
    pub(crate) anchors: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct AuditAnchorsArguments {
    #[command(flatten)]
    pub(crate) store: StoreArguments,
    /// Only anchors that were made at this moment or later, such as 2023-11-16T02:59:39Z.
    #[arg(long, value_name = "TIME", value_parser = parse_moment)]
    pub(crate) since: Option<Timestamp>,
}

impl AuditVerifyArguments {
    /// The settings on the command line.
    pub(crate) fn flags(&self) -> Vec<(&'static crate::settings::Key, String)> {
        let mut flags = self.store.flags();
        flags.extend(
            self.audit_log_dir.iter().map(|folder| (&crate::settings::keys::AUDIT_LOG_DIR, folder.clone())),
        );
        flags
    }
}

/// Decisions by the API's names.
const DECISIONS: [(&str, DecisionKind); 3] = [
    ("Allowed", DecisionKind::Allowed),
    ("Denied", DecisionKind::Denied),
    ("NotAsked", DecisionKind::NotAsked),
];

/// The API's name of a decision.
pub(crate) fn decision_name(decision: DecisionKind) -> &'static str {
    match decision {
        DecisionKind::Allowed => "Allowed",
        DecisionKind::Denied => "Denied",
        DecisionKind::NotAsked => "NotAsked",
    }
}

fn parse_decision(text: &str) -> Result<DecisionKind, String> {
    let named = DECISIONS.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    named.map(|(_, decision)| *decision).ok_or_else(|| "it must be Allowed, Denied or NotAsked".to_owned())
}

/// How a command line names a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PrincipalReference {
    /// By the whole ARN.
    Arn(String),
    /// By what follows the account in it: `root`, `user/ana`, `role/ops/ana`.
    OfAccount(String),
}

impl PrincipalReference {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("it must be the name of a user, root, role/ROLE/SESSION, or a whole ARN".to_owned()),
            "root" => Ok(Self::OfAccount("root".to_owned())),
            _ if text.starts_with("acs:") => Ok(Self::Arn(text.to_owned())),
            _ if text.contains('/') => Ok(Self::OfAccount(text.to_owned())),
            name => Ok(Self::OfAccount(format!("user/{name}"))),
        }
    }

    /// The whole ARN, in this account.
    pub(crate) fn arn(&self, account: &str) -> String {
        match self {
            Self::Arn(arn) => arn.clone(),
            Self::OfAccount(name) => format!("acs:ram::{account}:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decision_is_read_in_any_case() {
        for (name, decision) in DECISIONS {
            assert_eq!(decision_name(decision), name);
            for text in [name.to_owned(), name.to_lowercase(), name.to_uppercase()] {
                assert_eq!(parse_decision(&text), Ok(decision), "{text}");
            }
        }
        assert!(parse_decision("perhaps").is_err());
    }

    #[test]
    fn a_caller_is_named_by_name_or_arn() {
        let arn = |text: &str| PrincipalReference::parse(text).unwrap().arn("1");
        for (text, expected) in [
            ("ana", "acs:ram::1:user/ana"),
            ("root", "acs:ram::1:root"),
            ("role/ops/ana", "acs:ram::1:role/ops/ana"),
            ("acs:ram::2:user/ana", "acs:ram::2:user/ana"),
            ("acs:ecs-workbench::1:operator", "acs:ecs-workbench::1:operator"),
        ] {
            assert_eq!(arn(text), expected);
        }
        assert!(PrincipalReference::parse("").is_err());
    }
}
