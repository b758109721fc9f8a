//! `hansard recordings verify TOKEN|FOLDER`: checks that it is the recording that was asked for, complete and
//! unchanged, and who sealed it (DECISIONS F8). [`report`] prints the result.

pub(crate) mod report;

use std::path::Path;

use domain::clock::{Clock as _, SystemClock};
use recording::{
    EvidenceName, Expected, FolderSource, ObjectSource, Trust, TrustedKeys, Verification, verify,
};
use tokio::runtime::Runtime;

use crate::arguments::{Output, RecordingArguments, RecordingReference, VerifyArguments};
use crate::client::Client;
use crate::commands::replay_session::{RemoteEvidence, ReplaySession};
use crate::environment::Environment;
use crate::failure::Failure;
use crate::terminal;
use report::{TrustSource, exit_code_of};

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
    let given = given_trust(arguments)?;
    let (verification, source) = match subject(&arguments.subject)? {
        Subject::Folder(folder) => of_folder(folder, arguments, &given)?,
        Subject::Recording(recording) => {
            if arguments.token.is_some() {
                let message = "--token says which recording a folder holds; a token says so itself";
                return Err(Failure::usage(message));
            }
            let client = Client::from_environment(environment)?;
            of_recording(&client, runtime, recording, arguments, &given)?
        }
    };
    match output {
        Output::Json => terminal::print_json(&report::as_json(&verification, source))?,
        Output::Table => terminal::print(&report::as_text(&verification, source))?,
    }
    Ok(exit_code_of(verification.verdict()))
}

/// Which trust the command line gives.
pub(crate) enum GivenTrust {
    /// `--trust`.
    Keys(TrustedKeys),
    /// `--any-signer`.
    AnySigner,
    /// Neither: the control plane says which key it enrolled, if one is asked.
    Nothing,
}

/// The trust that the command line gives.
///
/// # Errors
/// The list of trusted keys cannot be read or is malformed.
pub(crate) fn given_trust(arguments: &VerifyArguments) -> Result<GivenTrust, Failure> {
    Ok(match &arguments.trust {
        Some(file) => GivenTrust::Keys(trusted_keys(file)?),
        None if arguments.any_signer => GivenTrust::AnySigner,
        None => GivenTrust::Nothing,
    })
}

enum Subject<'a> {
    Folder(&'a Path),
    Recording(RecordingReference),
}

/// A text that is a whole token is read as one, whatever is in the current folder. Of a shorter name a folder is meant, where
/// there is one.
fn subject(text: &str) -> Result<Subject<'_>, Failure> {
    let reference = RecordingReference::parse(text);
    let folder = Path::new(text);
    match reference {
        Ok(RecordingReference::Token(token)) => Ok(Subject::Recording(RecordingReference::Token(token))),
        _ if folder.is_dir() => Ok(Subject::Folder(folder)),
        Ok(reference) => Ok(Subject::Recording(reference)),
        Err(rule) => Err(Failure::usage(format!(
            "\"{text}\" names no recording: {rule}; and there is no folder of that name"
        ))),
    }
}

/// What is trusted, by the command line first, and where the trust comes from.
fn trust<'a>(given: &'a GivenTrust, enrolled: Option<&'a TrustedKeys>) -> (Trust<'a>, TrustSource) {
    match (given, enrolled) {
        (GivenTrust::Keys(keys), _) => (Trust::Given(keys), TrustSource::Given),
        (GivenTrust::AnySigner, _) => (Trust::AnySigner, TrustSource::None),
        (GivenTrust::Nothing, Some(keys)) => (Trust::Enrolled(keys), TrustSource::Enrolled),
        (GivenTrust::Nothing, None) => (Trust::Nothing, TrustSource::None),
    }
}

fn of_folder(
    folder: &Path,
    arguments: &VerifyArguments,
    given: &GivenTrust,
) -> Result<(Verification, TrustSource), Failure> {
    let expected = Expected {
        recording: arguments.token.clone(),
        instance: arguments.instance_id.clone(),
        account: arguments.account.clone(),
        read_at: Some(SystemClock.now()),
        ..Expected::default()
    };
    let (trust, source) = trust(given, None);
    Ok((check(&objects_in(folder)?, &expected, trust)?, source))
}

/// The objects in a folder. Where none of them is a recording's, there is nothing to be said of one: it is another folder
/// that was meant.
fn objects_in(folder: &Path) -> Result<FolderSource, Failure> {
    let source = FolderSource::new(folder);
    let names = source.list().map_err(cannot_read)?.objects;
    if names.iter().any(|name| EvidenceName::parse(name.as_str()).is_some()) {
        return Ok(source);
    }
    Err(Failure::failed(format!(
        "there is no recording in {}: it has neither start.json nor another object of one",
        folder.display()
    )))
}

/// Verifies a recording of a control plane: against what that says of it, too.
///
/// # Errors
/// The recording cannot be read.
pub(crate) fn of_recording(
    client: &Client,
    runtime: &Runtime,
    recording: RecordingReference,
    arguments: &VerifyArguments,
    given: &GivenTrust,
) -> Result<(Verification, TrustSource), Failure> {
    let recording = RecordingArguments { recording, instance_id: arguments.instance_id.clone() };
    let session = runtime.block_on(ReplaySession::open(client, &recording))?;
    let evidence = RemoteEvidence::open(session, runtime)?;
    let mut expected = evidence.expected().clone();
    // What the caller expects takes precedence over what the server says.
    expected.instance = arguments.instance_id.clone().or(expected.instance);
    expected.account = arguments.account.clone().or(expected.account);
    expected.read_at = Some(SystemClock.now());
    let (trust, source) = trust(given, evidence.enrolled());
    Ok((check(&evidence, &expected, trust)?, source))
}

fn check(source: &dyn ObjectSource, expected: &Expected, trust: Trust<'_>) -> Result<Verification, Failure> {
    verify(source, expected, trust).map_err(cannot_read)
}

fn cannot_read(error: std::io::Error) -> Failure {
    Failure::failed(format!("the recording cannot be read: {error}"))
}

fn trusted_keys(file: &Path) -> Result<TrustedKeys, Failure> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Failure::usage(format!("the trusted keys {} cannot be read: {error}", file.display()))
    })?;
    TrustedKeys::parse(&text)
        .map_err(|error| Failure::usage(format!("the trusted keys {}: {error}", file.display())))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use recording::SealingKey;

    use super::*;

    #[test]
    fn a_file_of_trusted_keys_is_read_or_the_line_is_named() {
        let key = SealingKey::from_seed(&[1; 32]).public_key();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        write!(file, "# the agents\n\n{key}\n").unwrap();
        assert!(trusted_keys(file.path()).is_ok());
        writeln!(file, "nonsense").unwrap();
        let failure = trusted_keys(file.path()).unwrap_err();
        assert!(failure.message().contains("line 4: \"nonsense\" is not a sealing public key"), "{failure}");
        let empty = tempfile::NamedTempFile::new().unwrap();
        assert!(trusted_keys(empty.path()).unwrap_err().message().contains("holds no key"));
    }

    #[test]
    fn a_folder_without_a_recording_is_not_checked() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |of: &Path| {
            let failure = objects_in(of).unwrap_err();
            let expected = format!("there is no recording in {}: ", of.display());
            assert!(failure.message().starts_with(&expected), "{failure}");
            assert_eq!(failure.exit_code(), 1);
        };
        refused(folder.path());
        // Its parent folder and objects derived from a recording do not count either.
        let recording = folder.path().join("ab");
        std::fs::create_dir_all(recording.join("terminal")).unwrap();
        std::fs::create_dir(recording.join("derived")).unwrap();
        std::fs::write(recording.join("derived/text.txt"), "").unwrap();
        refused(&recording);
        // What is left of one is checked.
        std::fs::write(recording.join("terminal/000000.cast.zst"), "").unwrap();
        objects_in(&recording).unwrap();
        refused(folder.path());
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
