//! The text for somebody who has just started Hansard, ready to paste. It goes to standard output and never through the
//! log. It has the root's secret only if standard output is a terminal, or on request.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdout};
use std::path::{Path, PathBuf};

use domain::InstanceId;
use url::Url;

use crate::client::DEFAULT_ENDPOINT;
use crate::deployment::DataDirectory;
use crate::root_key::RootKey;
use crate::terminal;

/// Everything that is shown.
pub(super) struct Welcome {
    root: RootKey,
    root_file: PathBuf,
    address: String,
    data: PathBuf,
    objects: PathBuf,
    hansard: PathBuf,
    /// The instance, the agent program and its state directory.
    agent: Option<(InstanceId, PathBuf, PathBuf)>,
}

impl Welcome {
    pub(super) fn new(
        data: &DataDirectory,
        root: &RootKey,
        address: &Url,
        instance: &InstanceId,
        agent: Option<&Path>,
    ) -> Self {
        Self {
            root: root.clone(),
            root_file: data.root_access_key(),
            address: address.as_str().trim_end_matches('/').to_owned(),
            data: data.path().to_owned(),
            objects: data.objects(),
            hansard: std::env::current_exe().unwrap_or_else(|_| "hansard".into()),
            agent: agent.map(|program| (instance.clone(), program.to_owned(), data.agent())),
        }
    }

    /// Prints it. A closed standard output does not stop the server.
    pub(super) fn show(&self, print_credentials: bool) {
        let text = self.text(print_credentials || stdout().is_terminal());
        if let Err(failure) = terminal::print(&text) {
            tracing::warn!("{failure}");
        }
    }

    fn text(&self, with_secret: bool) -> String {
        let mut text = String::new();
        self.write(&mut text, with_secret).expect("writing to a string cannot fail");
        text
    }

    fn write(&self, text: &mut String, with_secret: bool) -> std::fmt::Result {
        writeln!(text, "\nHansard serves.\n\n  Address   {}", self.address)?;
        writeln!(text, "  Account   {}", self.root.account())?;
        if let Some((instance, _, _)) = &self.agent {
            writeln!(text, "  Instance  {instance}  (this machine)")?;
        }
        writeln!(text, "  Data      {}\n\nPaste into another terminal:\n", self.data.display())?;
        self.write_exports(text, with_secret)?;
        let hansard = quoted(&self.hansard);
        writeln!(text, "\n# Switch recording on; until then nothing is recorded.")?;
        writeln!(text, "{hansard} call SetInstanceRecordConfig Enabled=true 'InstanceId=*'")?;
        if let Some((_, program, _)) = &self.agent {
            writeln!(text, "# Record a shell; leave it with exit.")?;
            writeln!(text, "{} record -- bash", quoted(program))?;
        } else {
            writeln!(text, "# Create a token with which a machine joins, for `hansard-agent enrol` there.")?;
            writeln!(text, "{hansard} agents token create --instance-id i-web1 --ttl 5m")?;
        }
        writeln!(
            text,
            "# Find it, then open it in a browser or play it here, with the TOKEN that is listed."
        )?;
        writeln!(text, "{hansard} recordings ls")?;
        writeln!(text, "{hansard} recordings open TOKEN")?;
        writeln!(text, "{hansard} recordings play TOKEN\n")?;
        writeln!(
            text,
            "Nothing leaves this machine: recordings are kept in {} until an object store is configured.\n",
            self.objects.display()
        )
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
                    writeln!(text, "{SECRET}=\"$HANSARD_ROOT_ACCESS_KEY_SECRET\"  # as it was preset")?;
                }
            }
            RootKey::Elsewhere(_) => {
                writeln!(text, "# The root's access key is not kept here; make one of your own with:")?;
                let (hansard, data) = (quoted(&self.hansard), quoted(&self.data));
                writeln!(text, "# {hansard} admin access-key create --root --data-dir {data}")?;
            }
        }
        if self.address != DEFAULT_ENDPOINT {
            writeln!(text, "export HANSARD_ENDPOINT={}", self.address)?;
        }
        // The default is below the folder that a command is run in, and the other terminal may be anywhere.
        writeln!(text, "export HANSARD_DATA_DIR={}", quoted(&self.data))?;
        if let Some((_, _, state_dir)) = &self.agent {
            writeln!(text, "export HANSARD_AGENT_STATE_DIR={}", quoted(state_dir))?;
        }
        Ok(())
    }
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
            agent: Some(("i-local".parse().unwrap(), "/bin/hansard-agent".into(), "/data dir/agent".into())),
        }
    }

    #[test]
    fn a_terminal_gets_everything_to_paste() {
        let text = welcome(RootKey::Kept, "http://127.0.0.1:9000").text(true);
        for line in [
            "export ALIBABA_CLOUD_ACCESS_KEY_ID=LTAIroot",
            r"export ALIBABA_CLOUD_ACCESS_KEY_SECRET='s3cret+/'\''x'",
            "export HANSARD_ENDPOINT=http://127.0.0.1:9000",
            "export HANSARD_DATA_DIR='/data dir'",
            "export HANSARD_AGENT_STATE_DIR='/data dir/agent'",
            "/bin/hansard call SetInstanceRecordConfig Enabled=true 'InstanceId=*'",
            "/bin/hansard-agent record -- bash",
            "/bin/hansard recordings ls",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
        assert!(
            text.contains("1000000000000001") && text.contains("i-local") && text.contains("Nothing leaves")
        );
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
