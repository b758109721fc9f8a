//! A host that people log in to: a real sshd, `su` and `sudo` with an /etc and a /run of their own, which nothing sees that
//! does not run here.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use tempfile::TempDir;

use crate::bench::{Instance, Program, eventually, text};

/// A user without privileges, who exists only in the passwd file of this host.
pub(crate) const ANA: u32 = 54_321;
pub(crate) const PASSWORD: &str = "correct horse";
const HOST: &str = "127.0.0.1";

/// What makes people's sessions recorded on this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// passwd names `hansard-shell`.
    LoginShell,
    /// sshd_config names `hansard-agent shell`, and passwd an ordinary shell.
    ForceCommand,
    /// Nothing does.
    Unrecorded,
}

pub(crate) struct Host {
    folder: TempDir,
    port: u16,
    program: Program,
    sshd: Option<Child>,
    pub(crate) instance: Instance,
}

fn folder_for_everybody(path: &Path) {
    fs::create_dir(path).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

fn must(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
    output
}

impl Host {
    /// A host whose sshd runs, with `also` in its configuration.
    pub(crate) fn running(form: Form, also: &str) -> Self {
        let mut host = Host::prepared(form, also);
        host.start_sshd();
        host
    }

    /// The same before its sshd runs.
    pub(crate) fn prepared(form: Form, also: &str) -> Self {
        let instance = Instance::running();
        fs::set_permissions(instance.state_dir().parent().unwrap(), Permissions::from_mode(0o711)).unwrap();
        let everybody = Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new().permissions(everybody).tempdir_in("/tmp").unwrap();
        let port = TcpListener::bind((HOST, 0)).unwrap().local_addr().unwrap().port();
        let host = Host { folder, port, program: Program::for_everybody(), sshd: None, instance };
        // As it is to be installed.
        fs::set_permissions(host.program.path(), Permissions::from_mode(0o711)).unwrap();
        symlink(host.program.path(), host.login_shell()).unwrap();

        must(Command::new("cp").args(["--archive", "/etc/."]).arg(host.etc("")));
        let home = host.home();
        folder_for_everybody(&home);
        chown(&home, Some(ANA), Some(ANA)).unwrap();
        // Root alone has another login shell; what this machine's own accounts have is not of these tests.
        let passwd = "root:x:0:0:root:/root:/bin/bash\nsshd:x:103:65534::/run/sshd:/usr/sbin/nologin\n";
        fs::write(host.etc("passwd"), passwd).unwrap();
        let shell = match form {
            Form::LoginShell => host.login_shell(),
            Form::ForceCommand | Form::Unrecorded => "/bin/bash".into(),
        };
        host.change_shell(&shell);
        host.append("group", &format!("ana:x:{ANA}:\n"));
        let hash = must(Command::new("openssl").args(["passwd", "-6", PASSWORD]));
        host.append("shadow", &format!("ana:{}:20000:0:99999:7:::\n", text(&hash.stdout).trim()));

        for list in ["cron.allow", "at.allow"] {
            fs::write(host.etc(list), "").unwrap();
        }
        fs::create_dir(host.etc("hansard-agent")).unwrap();
        fs::set_permissions(host.etc("hansard-agent"), Permissions::from_mode(0o755)).unwrap();
        host.settings("");
        for (key, to) in [("host-key", host.etc("ssh/host-key")), ("ana's key", host.key())] {
            let _ = fs::remove_file(&to);
            must(
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-C", key, "-f"]).arg(&to),
            );
        }
        fs::copy(host.key().with_extension("pub"), host.etc("ssh/keys-of-ana")).unwrap();
        host.configure(form, also);
        host
    }

    /// Writes the configuration of sshd, which it reads when it starts.
    pub(crate) fn configure(&self, form: Form, also: &str) {
        let _ = fs::remove_dir_all(self.etc("ssh/sshd_config.d"));
        let forced = match form {
            Form::ForceCommand => format!("ForceCommand {} shell\n", self.program.path().display()),
            Form::LoginShell | Form::Unrecorded => String::new(),
        };
        // What is said first is what holds, so that `also` comes before what it may want otherwise; a subsystem may be said once.
        let sftp = match also.contains("Subsystem sftp") {
            true => "",
            false => "Subsystem sftp /usr/lib/openssh/sftp-server\n",
        };
        let configuration = format!(
            "Port {}\nListenAddress {HOST}\nHostKey /etc/ssh/host-key\nAuthorizedKeysFile /etc/ssh/keys-of-%u\n\
             StrictModes no\nUsePAM yes\nPrintMotd no\nPidFile none\n{also}\n{sftp}{forced}",
            self.port
        );
        fs::write(self.etc("ssh/sshd_config"), configuration).unwrap();
    }

    /// The administrator's settings file, with the state directory.
    pub(crate) fn settings(&self, also: &str) {
        let state_dir = self.instance.state_dir();
        let text = format!("state-dir = '{}'\n{also}\n", state_dir.display());
        fs::write(self.etc("hansard-agent/agent.toml"), text).unwrap();
    }

    pub(crate) fn etc(&self, below: &str) -> PathBuf {
        let etc = self.folder.path().join("etc");
        if !etc.exists() {
            folder_for_everybody(&etc);
        }
        etc.join(below)
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home-of-ana")
    }

    /// A file of the person who logs in, at the other end.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn program(&self) -> PathBuf {
        self.program.path()
    }

    pub(crate) fn login_shell(&self) -> PathBuf {
        self.program.path().with_file_name("hansard-shell")
    }

    fn key(&self) -> PathBuf {
        self.folder.path().join("key-of-ana")
    }

    pub(crate) fn append(&self, file: &str, line: &str) {
        let path = self.etc(file);
        let mut whole = fs::read_to_string(&path).unwrap_or_default();
        whole.push_str(line);
        fs::write(path, whole).unwrap();
    }

    /// A command of root on this host.
    pub(crate) fn root(&self, words: &[impl AsRef<OsStr>]) -> Command {
        let prepare =
            r#"mount --bind "$0" /etc && mount -t tmpfs run /run && mkdir /run/sshd && cd / && exec "$@""#;
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", prepare])
            .arg(self.etc(""))
            .args(words);
        command.stdin(Stdio::null());
        for variable in
            ["HANSARD_AGENT_STATE_DIR", "SSH_ORIGINAL_COMMAND", "SSH_AUTH_SOCK", "BASH_ENV", "ENV"]
        {
            command.env_remove(variable);
        }
        command
    }

    pub(crate) fn start_sshd(&mut self) {
        assert!(self.sshd.is_none());
        let mut sshd = self.root(&["/usr/sbin/sshd", "-D", "-E"]);
        sshd.arg(self.file("sshd.log")).args(["-f", "/etc/ssh/sshd_config"]);
        self.sshd = Some(sshd.spawn().unwrap());
        let listens = || std::net::TcpStream::connect((HOST, self.port)).ok();
        eventually("sshd listens", listens);
    }

    pub(crate) fn restart_sshd(&mut self) {
        self.stop_sshd();
        self.start_sshd();
    }

    fn stop_sshd(&mut self) {
        let Some(mut sshd) = self.sshd.take() else { return };
        let _ = sshd.kill();
        let _ = sshd.wait();
    }

    /// One of ssh's clients, with Ana's key and nothing of this machine's own configuration; `port` is its flag for that.
    fn client(&self, program: &str, port: &str, flags: &[&str]) -> Command {
        let mut command = Command::new(program);
        command.args(["-F", "none", "-q", port, &self.port.to_string()]);
        command.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]);
        command.arg("-i").arg(self.key()).args(["-o", "IdentitiesOnly=yes"]).args(flags).stdin(Stdio::null());
        command.env_remove("SSH_AUTH_SOCK");
        command
    }

    /// How many sessions were begun so far.
    pub(crate) fn sessions(&self) -> usize {
        self.instance.agent_log().matches("a session begins").count()
    }

    /// Gives Ana another login shell.
    pub(crate) fn change_shell(&self, shell: &Path) {
        let passwd = fs::read_to_string(self.etc("passwd")).unwrap();
        let line = format!("ana:x:{ANA}:{ANA}::{}:{}\n", self.home().display(), shell.display());
        let others = passwd.lines().filter(|line| !line.starts_with("ana:")).map(|line| format!("{line}\n"));
        fs::write(self.etc("passwd"), others.chain([line]).collect::<String>()).unwrap();
    }

    /// `ssh` as Ana with these flags, and this command if it is not empty.
    pub(crate) fn ssh(&self, flags: &[&str], command: &[&str]) -> Command {
        let mut ssh = self.client("ssh", "-p", flags);
        ssh.arg(format!("ana@{HOST}")).args(command);
        ssh
    }

    /// `ssh` with Ana's password.
    pub(crate) fn ssh_with_password(&self, password: &str, command: &[&str]) -> Command {
        let asked = self.file("askpass");
        fs::write(&asked, format!("#!/bin/sh\necho '{password}'\n")).unwrap();
        fs::set_permissions(&asked, Permissions::from_mode(0o700)).unwrap();
        let flags = ["-o", "PreferredAuthentications=password", "-o", "NumberOfPasswordPrompts=1"];
        let mut ssh = self.ssh(&flags, command);
        ssh.env("SSH_ASKPASS", &asked).env("SSH_ASKPASS_REQUIRE", "force").env("DISPLAY", ":0");
        ssh
    }

    /// `scp` with these words; `remote:` stands for Ana's home.
    pub(crate) fn scp(&self, flags: &[&str], words: &[&str]) -> Command {
        let mut scp = self.client("scp", "-P", flags);
        scp.args(words.iter().map(|word| word.replace("remote:", &format!("ana@{HOST}:"))));
        scp
    }

    /// `sftp` with these commands.
    pub(crate) fn sftp(&self, commands: &str) -> Command {
        let batch = self.file("batch");
        fs::write(&batch, commands).unwrap();
        let mut sftp = self.client("sftp", "-P", &[]);
        sftp.arg("-b").arg(&batch).arg(format!("ana@{HOST}"));
        sftp
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.stop_sshd();
        if std::thread::panicking() {
            let log = fs::read_to_string(self.file("sshd.log")).unwrap_or_default();
            eprintln!("sshd's log:\n{log}");
        }
    }
}
