//! The command line.

mod admin_policies;
mod audit;
mod client;
mod moments;
mod policy;
mod server;

use clap::{Parser, Subcommand, ValueEnum};

pub(crate) use admin_policies::{ControlPolicyCommand, PolicyCommand};
pub(crate) use audit::{
    AuditAnchorsArguments, AuditArguments, AuditCommand, AuditListArguments, AuditVerifyArguments,
    PrincipalReference, decision_name,
};
pub(crate) use client::{
    AgentsArguments, AgentsCommand, CallArguments, CompletionArguments, CompletionShell, Document,
    ExportArguments, ExportFormat, ListArguments, OpenapiArguments, PlayArguments, RecordingArguments,
    RecordingReference, RecordingsArguments, RecordingsCommand, ShowArguments, TokenCommand, VerifyArguments,
};
pub(crate) use policy::{
    CheckArguments, DiffArguments, ExplainArguments, FmtArguments, PolicyArguments, PolicyToolCommand,
    SimulateArguments, SubjectArguments, TestArguments,
};
pub(crate) use server::{
    AccessKeyCommand, AccountCommand, AdminArguments, AdminCommand, InstanceCommand, KeyOwnerArguments,
    LocalAgentArguments, ServeArguments, ServerKeysCommand, UserCommand,
};

/// Records what people do on instances, and lets the right people find and replay it.
#[derive(Debug, Parser)]
#[command(
    name = "hansard",
    version,
    max_term_width = 110,
    after_help = "\
As a client, hansard reads ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, for temporary keys \
ALIBABA_CLOUD_SECURITY_TOKEN, and HANSARD_ENDPOINT (default http://127.0.0.1:8080).

Exit codes: 0 done; 1 the server refused, or something failed; 2 the command line or a setting is wrong. \
`recordings verify`, `audit verify` and `policy diff` have more, see their --help."
)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the control plane.
    Serve(Box<ServeArguments>),
    /// Manage users, access keys, policies and server keys, directly in the database.
    Admin(AdminArguments),
    /// List agents, and create the tokens with which they join.
    Agents(AgentsArguments),
    /// Call any action of the API, signed.
    Call(CallArguments),
    /// Find, watch, export and verify recordings.
    Recordings(RecordingsArguments),
    /// Check, try, explain, compare, test and format policies.
    Policy(PolicyArguments),
    /// Read and verify the audit trail of the account.
    Audit(AuditArguments),
    /// Print the OpenAPI document of the API.
    Openapi(OpenapiArguments),
    /// Print a script with which bash, zsh or fish completes the command line: `source <(hansard completion bash)`.
    Completion(CompletionArguments),
    /// Run as the local agent, and end when the server ends.
    #[command(hide = true)]
    LocalAgent(LocalAgentArguments),
}

/// How a result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Table,
    /// For programs, with the names of the API.
    Json,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::settings;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_setting_with_a_flag_is_a_flag_of_serve() {
        let command = Arguments::command();
        let serve = command.find_subcommand("serve").unwrap();
        for key in settings::keys::SETTING_KEYS {
            let is_flag = serve.get_arguments().any(|argument| argument.get_long() == Some(key.name));
            assert_eq!(is_flag, key.has_flag, "--{}", key.name);
        }
        let line = [
            "hansard",
            "serve",
            "--data-dir=d",
            "--listen=l",
            "--database-url=u",
            "--accept-commits-that-can-be-lost",
            "--public-url=p",
            "--internal-listen=i",
            "--internal-address=i",
            "--audit-log-dir=a",
            "--audit-anchors-file=f",
            "--audit-retention=1",
            "--connections=1",
            "--connections-per-address=1",
            "--region=r",
            "--trusted-proxies=10.0.0.0/8",
            "--address-rate=1",
            "--address-burst=1",
            "--principal-rate=1",
            "--principal-burst=1",
            "--recording-lease=1",
            "--shutdown-delay=1",
            "--server-keys=k",
            "--with-local-agent",
            "--local-agent-program=a",
            "--local-instance-id=i",
            "--log-format=f",
            "--log-filter=g",
        ];
        let Command::Serve(arguments) = Arguments::parse_from(line).command else { panic!("it is serve") };
        let mut given: Vec<_> = arguments.flags().iter().map(|(key, _)| key.name).collect();
        let mut expected: Vec<_> =
            settings::keys::SETTING_KEYS.iter().filter(|key| key.has_flag).map(|key| key.name).collect();
        given.sort_unstable();
        expected.sort_unstable();
        assert_eq!(given, expected);
    }
}
