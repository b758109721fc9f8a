//! `hansard recordings verify TOKEN|FOLDER`: whether a recording is complete and unchanged (DECISIONS F8).

use std::path::Path;

use recording::{
    FolderSource, ObjectSource, SealingPublicKey, Signer, TerminalSessionToken, Verdict, Verification,
};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::arguments::{Output, RecordingArguments, VerifyArguments};
use crate::client::Client;
use crate::commands::replay_session::{RemoteEvidence, ReplaySession};
use crate::environment::Environment;
use crate::failure::{Failure, exit_code};
use crate::table::facts;
use crate::terminal;

/// Runs the command and gives its exit code.
///
/// # Errors
/// The recording cannot be read, or the list of trusted keys is malformed.
pub(crate) fn run(
    arguments: &VerifyArguments,
    output: Output,
    environment: &Environment,
    runtime: &Runtime,
) -> Result<u8, Failure> {
    let trust = arguments.trust.as_deref().map(trusted_keys).transpose()?;
    let verification = match subject(&arguments.subject)? {
        Subject::Folder(folder) => check(&FolderSource::new(folder), trust.as_deref())?,
        Subject::Recording(token) => {
            let client = Client::from_environment(environment)?;
            let recording = RecordingArguments { token, instance_id: arguments.instance_id.clone() };
            let session = runtime.block_on(ReplaySession::open(&client, &recording))?;
            check(&RemoteEvidence::new(session, runtime), trust.as_deref())?
        }
    };
    match output {
        Output::Json => terminal::print_json(&as_json(&verification, trust.is_some()))?,
        Output::Table => terminal::print(&as_text(&verification, trust.is_some()))?,
    }
    Ok(exit_code_of(&verification, trust.is_some()))
}

enum Subject<'a> {
    Folder(&'a Path),
    Recording(TerminalSessionToken),
}

fn subject(text: &str) -> Result<Subject<'_>, Failure> {
    let folder = Path::new(text);
    if folder.is_dir() {
        return Ok(Subject::Folder(folder));
    }
    match TerminalSessionToken::parse(text) {
        Ok(token) => Ok(Subject::Recording(token)),
        Err(error) => Err(Failure::usage(format!("{error}; and there is no folder of that name"))),
    }
}

fn check(source: &dyn ObjectSource, trust: Option<&[SealingPublicKey]>) -> Result<Verification, Failure> {
    recording::verify(source, trust)
        .map_err(|error| Failure::failed(format!("the recording cannot be read: {error}")))
}

/// One key a line, in base64.
fn trusted_keys(file: &Path) -> Result<Vec<SealingPublicKey>, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("the trusted keys {} cannot be read: {error}", file.display()))
    })?;
    let lines = text.lines().enumerate().map(|(number, line)| (number + 1, line.trim()));
    let keys: Vec<_> = lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(number, line)| {
            SealingPublicKey::parse(line)
                .map_err(|error| Failure::usage(format!("{} line {number}: {error}", file.display())))
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() {
        return Err(Failure::usage(format!("{} holds no key", file.display())));
    }
    Ok(keys)
}

fn exit_code_of(verification: &Verification, trust_asked: bool) -> u8 {
    let trusted = matches!(verification.signer, Signer::Agent { trusted: true, .. });
    match verification.verdict {
        Verdict::Inconsistent { .. } => exit_code::INCONSISTENT,
        Verdict::Complete { .. } | Verdict::ProvenPrefix { .. } if trust_asked && !trusted => {
            exit_code::UNTRUSTED
        }
        Verdict::ProvenPrefix { .. } => exit_code::PROVEN_PREFIX,
        Verdict::Complete { .. } => 0,
    }
}

fn verdict_word(verdict: &Verdict) -> &'static str {
    match verdict {
        Verdict::Complete { .. } => "complete",
        Verdict::ProvenPrefix { .. } => "proven prefix",
        Verdict::Inconsistent { .. } => "inconsistent",
    }
}

fn as_text(verification: &Verification, trust_asked: bool) -> String {
    let mut lines = vec![("Verdict", verdict_word(&verification.verdict).to_owned())];
    match &verification.verdict {
        Verdict::Complete { manifest } => {
            lines.push((
                "Manifest",
                format!("manifest-{manifest:04}.json, and everything that it lists is unchanged"),
            ));
        }
        Verdict::ProvenPrefix { up_to, why } => {
            let up_to = up_to.map_or_else(|| "nothing".to_owned(), |at| format!("{at} s"));
            lines.push(("Proven up to", up_to));
            lines.push(("Missing", why.clone()));
        }
        Verdict::Inconsistent { object, why } => {
            lines.push(("Object", object.clone()));
            lines.push(("Contradiction", why.clone()));
        }
    }
    lines.push(("Segments", format!("{} agree", verification.segments)));
    match &verification.signer {
        Signer::Nobody => lines.push(("Signer", "nobody".to_owned())),
        Signer::Agent { agent, key, trusted } => {
            let standing = match (trusted, trust_asked) {
                (true, _) => "signer trusted",
                (false, true) => "signer not trusted: its key is not among the trusted ones",
                (false, false) => "signer not trusted: no trusted keys were given (--trust)",
            };
            lines.push(("Signer", format!("{agent}, by its own claim; {standing}")));
            lines.push(("Sealing key", key.to_string()));
        }
    }
    lines.extend(verification.unexpected.iter().map(|name| ("Not evidence", name.clone())));
    facts(lines)
}

fn as_json(verification: &Verification, trust_asked: bool) -> Value {
    let mut result = json!({
        "Verdict": verdict_word(&verification.verdict),
        "ExitCode": exit_code_of(verification, trust_asked),
        "Segments": verification.segments,
        "NotEvidence": verification.unexpected,
    });
    match &verification.verdict {
        Verdict::Complete { manifest } => result["Manifest"] = json!(manifest),
        Verdict::ProvenPrefix { up_to, why } => {
            result["ProvenUpToMicros"] = json!(up_to.map(recording::Micros::get));
            result["Why"] = json!(why);
        }
        Verdict::Inconsistent { object, why } => {
            result["Object"] = json!(object);
            result["Why"] = json!(why);
        }
    }
    if let Signer::Agent { agent, key, trusted } = &verification.signer {
        result["Signer"] = json!({ "AgentId": agent, "SealingPublicKey": key, "Trusted": trusted });
    }
    result
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use recording::{AgentId, SealingKey};

    use super::*;

    fn verification(verdict: Verdict, signer: Signer) -> Verification {
        Verification {
            verdict,
            signer,
            segments: 3,
            totals: Default::default(),
            end: None,
            unexpected: vec![],
        }
    }

    fn signed(trusted: bool) -> Signer {
        let key = SealingKey::from_seed(&[7; 32]).public_key();
        Signer::Agent { agent: AgentId::generate(), key, trusted }
    }

    #[test]
    fn each_verdict_has_its_exit_code() {
        let complete = || Verdict::Complete { manifest: 0 };
        let prefix = || Verdict::ProvenPrefix { up_to: None, why: "x".into() };
        let broken = || Verdict::Inconsistent { object: "start.json".into(), why: "x".into() };
        for (verdict, signer, trust_asked, code) in [
            (complete(), signed(false), false, 0),
            (complete(), signed(true), true, 0),
            (complete(), signed(false), true, 5),
            (prefix(), signed(false), false, 3),
            (prefix(), Signer::Nobody, false, 3),
            (prefix(), Signer::Nobody, true, 5),
            (broken(), signed(true), true, 4),
            (broken(), Signer::Nobody, false, 4),
        ] {
            let checked = verification(verdict, signer);
            assert_eq!(exit_code_of(&checked, trust_asked), code, "{checked:?}");
            assert_eq!(as_json(&checked, trust_asked)["ExitCode"], code);
        }
    }

    #[test]
    fn what_the_objects_say_is_shown_escaped() {
        let verdict = Verdict::Inconsistent { object: "start.json".into(), why: "\u{1b}[2J".into() };
        let text = as_text(&verification(verdict, signed(false)), false);
        assert!(text.contains("inconsistent") && text.contains("\\u{1b}[2J"), "{text}");
        assert!(text.contains("signer not trusted: no trusted keys"), "{text}");
    }

    #[test]
    fn trusted_keys_stand_one_a_line() {
        let key = SealingKey::from_seed(&[1; 32]).public_key();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# the agents\n\n{key}\n").unwrap();
        assert_eq!(trusted_keys(file.path()).unwrap(), [key]);
        writeln!(file, "nonsense").unwrap();
        let failure = trusted_keys(file.path()).unwrap_err();
        assert!(failure.message().contains("line 4: \"nonsense\" is not a sealing public key"), "{failure}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(trusted_keys(empty.path()).unwrap_err().message().contains("holds no key"));
    }

    #[test]
    fn a_subject_is_a_folder_or_a_token() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(subject(folder.path().to_str().unwrap()), Ok(Subject::Folder(_))));
        assert!(matches!(subject(&"ab".repeat(16)), Ok(Subject::Recording(_))));
        let failure = subject("nothing").err().unwrap();
        assert!(failure.message().ends_with("and there is no folder of that name"), "{failure}");
    }
}
