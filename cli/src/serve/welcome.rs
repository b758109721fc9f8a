//! The text for somebody who has just started Hansard: a block to paste, and what to try next. It goes to standard output
//! and never through the log. It has the root's secret only if standard output is a terminal, or on request.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};

use domain::InstanceId;
use serde_json::json;
use url::Url;

use crate::client::DEFAULT_ENDPOINT;
use crate::deployment::DataDirectory;
use crate::root_key::RootKey;
use crate::serve::start::Start;
use crate::settings::LogFormat;
use crate::terminal;

/// Everything that is shown.
pub(super) struct Welcome {
    pub(super) root: RootKey,
    pub(super) root_file: PathBuf,
    /// The address, without a slash at its end.
    pub(super) address: String,
    pub(super) data: PathBuf,
    pub(super) objects: PathBuf,
    /// This program.
    pub(super) hansard: PathBuf,
    pub(super) agent: Option<AgentHere>,
    pub(super) start: Start,
}

/// The agent of this machine.
pub(super) struct AgentHere {
    pub(super) instance: InstanceId,
    pub(super) program: PathBuf,
    pub(super) state_dir: PathBuf,
    /// What keeps other users from it, in one line.
    pub(super) closed: Option<String>,
}

impl Welcome {
    pub(super) fn new(
        data: &DataDirectory,
        root: &RootKey,
        address: &Url,
        agent: Option<AgentHere>,
        start: Start,
    ) -> Self {
        Self {
            root: root.clone(),
            root_file: data.root_access_key(),
            address: address.as_str().trim_end_matches('/').to_owned(),
            data: data.path().to_owned(),
            objects: data.objects(),
            hansard: std::env::current_exe().unwrap_or_else(|_| "hansard".into()),
            agent,
            start,
        }
    }

    /// Prints it. A closed standard output does not stop the server. Programs that read a JSON log get no text for
    /// people: only the credentials, and only if they were asked for.
    pub(super) fn show(&self, format: LogFormat, print_credentials: bool) {
        let shown = match format {
            LogFormat::Human => terminal::print(&self.text(print_credentials || stdout().is_terminal())),
            LogFormat::Json if print_credentials => terminal::print(&self.credentials()),
            LogFormat::Json => Ok(()),
        };
        if let Err(failure) = shown {
            tracing::warn!("{failure}");
        }
    }

    /// The credentials as one JSON object on one line.
    fn credentials(&self) -> String {
        let mut members = json!({ "Endpoint": self.address, "AccountId": self.root.account().as_str() });
        if let RootKey::Preset(root) | RootKey::Kept(root) = &self.root {
            members["AccessKeyId"] = root.access_key_id.as_str().into();
            members["AccessKeySecret"] = root.access_key_secret.reveal().into();
        }
        format!("{members}\n")
    }

    fn text(&self, with_secret: bool) -> String {
        let mut text = String::new();
        self.write(&mut text, with_secret).expect("writing to a string cannot fail");
        text
    }

    /// No line of it is longer than 80 columns, but for what holds a path or a key.
    fn write(&self, text: &mut String, with_secret: bool) -> std::fmt::Result {
        let again = if self.start == Start::First { "" } else { " again" };
        writeln!(text, "\nHansard serves{again} at {}\n", self.address)?;
        writeln!(text, "  Account   {}", self.root.account())?;
        if let Some(agent) = &self.agent {
            writeln!(text, "  Instance  {} (this machine)", agent.instance)?;
        }
        writeln!(text, "  Data      {}", self.data.display())?;
        let ends_too = if self.agent.is_some() { "; the agent of this machine stops, too" } else { "" };
        writeln!(text, "  Stop      Ctrl-C{ends_too}")?;
        self.write_about_the_key(text, with_secret)?;
        writeln!(text, "\nPaste this block into another terminal:\n")?;
        self.write_exports(text, with_secret)?;
        self.write_next(text)?;
        if self.start == Start::First {
            writeln!(
                text,
                "\nNothing leaves this machine. Until an object store is configured, recordings are\nkept in {}",
                self.objects.display()
            )?;
        }
        if let Some(closed) = self.agent.as_ref().and_then(|agent| agent.closed.as_ref()) {
            writeln!(text, "\n{closed}")?;
        }
        writeln!(text)
    }

    /// What to try next, in the words that work once the block has been pasted.
    fn write_next(&self, text: &mut String) -> std::fmt::Result {
        let hansard = command_word(&self.hansard);
        let switch_on = format!("{hansard} call SetInstanceRecordConfig Enabled=true 'InstanceId=*'");
        match self.start {
            Start::Later { recording: Some(true) } => {
                return writeln!(text, "\nThis machine is recorded. What was:\n    {hansard} recordings ls");
            }
            Start::Later { recording: None } => {
                return writeln!(text, "\nWhat was recorded:\n    {hansard} recordings ls");
            }
            Start::Later { recording: Some(false) } => {
                return writeln!(
                    text,
                    "\nThis machine is not recorded before recording is switched on:\n    {switch_on}"
                );
            }
            Start::First => {}
        }
        writeln!(text, "\nThen there, line by line:\n")?;
        writeln!(text, "  Switch recording on; until then, nothing is recorded:\n    {switch_on}")?;
        if let Some(agent) = &self.agent {
            let agent = command_word(&agent.program);
            writeln!(text, "  Record a shell; leave it with exit:\n    {agent} record -- bash")?;
        } else {
            writeln!(text, "  Create a token with which another machine joins (hansard-agent enrol):")?;
            writeln!(text, "    {hansard} agents token create --instance-id i-web1 --ttl 5m")?;
        }
        writeln!(
            text,
            "  Find the recording; watch it in the browser, or here:\n    {hansard} recordings ls"
        )?;
        writeln!(text, "    {hansard} recordings open latest")?;
        writeln!(text, "    {hansard} recordings play latest")
    }

    /// What the block cannot give. It holds nothing but exports: not every shell takes a comment that is pasted.
    fn write_about_the_key(&self, text: &mut String, with_secret: bool) -> std::fmt::Result {
        match &self.root {
            RootKey::Preset(_) if !with_secret => {
                writeln!(
                    text,
                    "\nThe secret is the preset one: set HANSARD_ROOT_ACCESS_KEY_SECRET there, too."
                )
            }
            RootKey::Preset(_) | RootKey::Kept(_) => Ok(()),
            RootKey::Elsewhere(_) => {
                writeln!(
                    text,
                    "\nThe root's access key is not kept here. Make one, and export its id and secret:"
                )?;
                let (hansard, data) = (quoted(&self.hansard), quoted(&self.data));
                writeln!(text, "    {hansard} admin access-key create --root --data-dir {data}")
            }
        }
    }

    fn write_exports(&self, text: &mut String, with_secret: bool) -> std::fmt::Result {
        const SECRET: &str = "export ALIBABA_CLOUD_ACCESS_KEY_SECRET";
        match &self.root {
            RootKey::Preset(root) | RootKey::Kept(root) => {
                writeln!(text, "export ALIBABA_CLOUD_ACCESS_KEY_ID={}", root.access_key_id)?;
                if with_secret {
                    let secret = quoted(Path::new(root.access_key_secret.reveal()));
                    writeln!(text, "{SECRET}={secret}")?;
                } else if matches!(self.root, RootKey::Kept(_)) {
                    // The same, without the secret itself: standard output may be kept somewhere.
                    let file = quoted(&self.root_file);
                    let read = format!("sed -n 's/^access-key-secret = \"\\(.*\\)\"$/\\1/p' {file}");
                    writeln!(text, "{SECRET}=\"$({read})\"")?;
                } else {
                    writeln!(text, "{SECRET}=\"$HANSARD_ROOT_ACCESS_KEY_SECRET\"")?;
                }
            }
            RootKey::Elsewhere(_) => {}
        }
        if self.address != DEFAULT_ENDPOINT {
            writeln!(text, "export HANSARD_ENDPOINT={}", self.address)?;
        }
        // The default is below the folder that a command is run in, and the other terminal may be anywhere.
        writeln!(text, "export HANSARD_DATA_DIR={}", quoted(&self.data))?;
        if let Some(agent) = &self.agent {
            writeln!(text, "export HANSARD_AGENT_STATE_DIR={}", quoted(&agent.state_dir))?;
        }
        let programs = std::iter::once(&self.hansard).chain(self.agent.as_ref().map(|agent| &agent.program));
        let mut folders: Vec<String> = programs.filter_map(|program| program.parent()).map(quoted).collect();
        folders.dedup();
        writeln!(text, "export PATH={}:\"$PATH\"", folders.join(":"))
    }
}

/// A program's name as a word for a shell that finds it on its `PATH`.
fn command_word(program: &Path) -> String {
    quoted(Path::new(program.file_name().unwrap_or(program.as_os_str())))
}

/// A word for a shell.
pub(super) fn quoted(path: &Path) -> String {
    let text = path.to_string_lossy();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@%=".contains(&byte);
    if !text.is_empty() && text.bytes().all(plain) {
        text.into_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use domain::access_key::AccessKeySecret;

    use super::*;
    use crate::settings::RootPreset;

    fn welcome(root: fn(RootPreset) -> RootKey, address: &str) -> Welcome {
        let root = root(RootPreset {
            account: "1000000000000001".parse().unwrap(),
            access_key_id: "LTAIroot".parse().unwrap(),
            access_key_secret: AccessKeySecret::new("s3cret+/'x".into()),
        });
        Welcome {
            root,
            root_file: "/data dir/root-access-key.toml".into(),
            address: address.into(),
            data: "/data dir".into(),
            objects: "/data dir/objects".into(),
            hansard: "/bin/hansard".into(),
            agent: Some(AgentHere {
                instance: "i-local".parse().unwrap(),
                program: "/opt/h/bin/hansard-agent".into(),
                state_dir: "/data dir/agent".into(),
                closed: None,
            }),
            start: Start::First,
        }
    }

    /// The lines between "Paste this block" and the next empty line.
    fn block(text: &str) -> Vec<&str> {
        let after = text.split_once("Paste this block into another terminal:\n\n").unwrap().1;
        after.split("\n\n").next().unwrap().lines().collect()
    }

    #[test]
    fn a_terminal_gets_one_block_to_paste_and_then_what_to_try() {
        let text = welcome(RootKey::Kept, "http://127.0.0.1:9000").text(true);
        assert_eq!(
            block(&text),
            [
                "export ALIBABA_CLOUD_ACCESS_KEY_ID=LTAIroot",
                r"export ALIBABA_CLOUD_ACCESS_KEY_SECRET='s3cret+/'\''x'",
                "export HANSARD_ENDPOINT=http://127.0.0.1:9000",
                "export HANSARD_DATA_DIR='/data dir'",
                "export HANSARD_AGENT_STATE_DIR='/data dir/agent'",
                "export PATH=/bin:/opt/h/bin:\"$PATH\"",
            ]
        );
        for line in [
            "    hansard call SetInstanceRecordConfig Enabled=true 'InstanceId=*'",
            "    hansard-agent record -- bash",
            "    hansard recordings ls",
            "    hansard recordings open latest",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(
            text.contains("1000000000000001") && text.contains("i-local") && text.contains("Nothing leaves")
        );
        assert!(text.contains("Ctrl-C"), "{text}");
        for line in text.lines().filter(|line| !line.contains("export ")) {
            assert!(line.len() <= 80, "{line}");
        }
    }

    #[test]
    fn a_later_start_does_not_tell_the_story_of_the_first() {
        for (recording, expected, other) in [
            (Some(true), "This machine is recorded.", "SetInstanceRecordConfig"),
            (Some(false), "hansard call SetInstanceRecordConfig Enabled=true", "recordings ls"),
            // Whether other instances are recorded is not known here.
            (None, "What was recorded:\n    hansard recordings ls", "SetInstanceRecordConfig"),
        ] {
            let welcome = Welcome {
                start: Start::Later { recording },
                ..welcome(RootKey::Kept, "http://127.0.0.1:9000")
            };
            let text = welcome.text(true);
            assert!(text.contains("serves again at http://127.0.0.1:9000"), "{text}");
            assert!(text.contains(expected) && !text.contains(other), "{text}");
            assert!(!text.contains("Nothing leaves") && !text.contains("record -- bash"), "{text}");
            assert_eq!(block(&text).len(), 6, "{text}");
        }
    }

    #[test]
    fn programs_get_credentials_as_json() {
        let text = welcome(RootKey::Kept, "http://127.0.0.1:9000").credentials();
        assert_eq!(text.lines().count(), 1, "{text}");
        let members: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(members["AccessKeySecret"], "s3cret+/'x");
        assert_eq!(members["Endpoint"], "http://127.0.0.1:9000");
    }

    #[test]
    fn what_keeps_others_from_recording_is_said() {
        let mut welcome = welcome(RootKey::Kept, DEFAULT_ENDPOINT);
        welcome.agent.as_mut().unwrap().closed = Some("Only root can record here.".into());
        assert!(welcome.text(true).contains("\n\nOnly root can record here.\n"));
    }

    #[test]
    fn the_default_address_needs_no_variable() {
        assert!(!welcome(RootKey::Kept, DEFAULT_ENDPOINT).text(true).contains("HANSARD_ENDPOINT"));
    }

    #[test]
    fn anything_else_gets_no_secret() {
        for root in [RootKey::Kept, RootKey::Preset] {
            let text = welcome(root, DEFAULT_ENDPOINT).text(false);
            assert!(!text.contains("s3cret") && text.contains("ALIBABA_CLOUD_ACCESS_KEY_SECRET"), "{text}");
        }
        let elsewhere = welcome(|root| RootKey::Elsewhere(root.account), DEFAULT_ENDPOINT).text(true);
        assert!(elsewhere.contains("admin access-key create --root --data-dir '/data dir'"), "{elsewhere}");
    }

    #[test]
    fn the_line_that_reads_the_secret_works() {
        let folder = tempfile::tempdir().unwrap();
        let mut welcome = welcome(RootKey::Kept, DEFAULT_ENDPOINT);
        welcome.root_file = folder.path().join("it's a key.toml");
        std::fs::write(&welcome.root_file, "account-id = \"1\"\naccess-key-secret = \"abc123\"\n").unwrap();
        let text = welcome.text(false);
        let line = text.lines().find(|line| line.contains("ACCESS_KEY_SECRET")).unwrap();
        let script = format!("{line}; printf %s \"$ALIBABA_CLOUD_ACCESS_KEY_SECRET\"");
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "abc123");
    }
}
