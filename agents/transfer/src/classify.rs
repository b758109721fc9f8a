//! Which commands are transfers. The person who is recorded chooses the text, so that it is read as strictly as possible: a
//! command is a transfer only if it is one plain simple command, whose words mean the same to every shell, that names a
//! known program with arguments with which this program does nothing else. Everything else is recorded as bytes.

mod programs;
mod words;

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use recording::events::fact::Protocol;

/// The folders in which a program of this name is the known one. They belong to the system: nobody but root writes there.
const FOLDERS: [&str; 9] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/lib/openssh",
    "/usr/libexec/openssh",
    "/usr/lib/ssh",
    "/usr/libexec",
    "/usr/lib",
    "/usr/lib/git-core",
];

/// The beginnings of the names of variables with which a dynamic linker, a library or git itself runs other code.
const REFUSED_VARIABLES: [&[u8]; 7] =
    [b"LD_", b"GIT_", b"RSYNC_", b"GCONV_PATH", b"OPENSSL_", b"GLIBC_TUNABLES", b"MALLOC_"];

/// The longest command that is looked at.
const LONGEST_COMMAND_BYTES: usize = 64 * 1024;

/// A command that is a transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    kind: Kind,
    /// The folder that the command names; `None` where it names none.
    folder: Option<&'static str>,
    program: &'static str,
    arguments: Vec<Vec<u8>>,
}

/// What is known of the command before it runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    Sftp,
    /// scp that receives files into this target.
    ScpTo {
        target: Vec<u8>,
        is_folder: bool,
    },
    /// scp that sends these files.
    ScpFrom {
        files: Vec<Vec<u8>>,
    },
    Rsync,
    Git,
}

impl Transfer {
    /// What it speaks.
    #[must_use]
    pub fn protocol(&self) -> Protocol {
        match self.kind {
            Kind::Sftp => Protocol::Sftp,
            Kind::ScpTo { .. } | Kind::ScpFrom { .. } => Protocol::Scp,
            Kind::Rsync => Protocol::Rsync,
            Kind::Git => Protocol::Git,
        }
    }

    pub(crate) fn kind(&self) -> &Kind {
        &self.kind
    }

    /// The program's name.
    #[must_use]
    pub fn program(&self) -> &'static str {
        self.program
    }

    /// Where the program may lie: the first of these paths that exists is the one to run, without a search in the person's
    /// `PATH`. Whoever runs it checks that neither the file nor a folder above it can be changed by the person.
    #[must_use]
    pub fn candidates(&self) -> Vec<PathBuf> {
        let folders = FOLDERS.iter().filter(|folder| self.folder.is_none_or(|named| named == **folder));
        folders.map(|folder| Path::new(folder).join(self.program)).collect()
    }

    /// Its arguments: run the program with exactly these, and without a shell.
    #[must_use]
    pub fn arguments(&self) -> Vec<OsString> {
        self.arguments.iter().cloned().map(OsString::from_vec).collect()
    }

    /// Whether a variable of the person's environment may be handed to the program. Those with which a person could put other
    /// code into it, or in its place, may not.
    #[must_use]
    pub fn takes_variable(name: &OsStr) -> bool {
        let name = name.as_bytes();
        name == b"GIT_PROTOCOL" || !REFUSED_VARIABLES.iter().any(|refused| name.starts_with(refused))
    }

    pub(crate) fn argument_bytes(&self) -> &[Vec<u8>] {
        &self.arguments
    }
}

/// The transfer that a command is; `None` where it is anything else, or may be. The text is what a login shell is given with
/// `-c`, or sshd's original command. `home`: what `~` stands for in it, an absolute path; where it is not known, a command with
/// one is no transfer.
#[must_use]
pub fn classify(command: &[u8], home: Option<&[u8]>) -> Option<Transfer> {
    if command.len() > LONGEST_COMMAND_BYTES {
        return None;
    }
    let home = home.filter(|home| home.starts_with(b"/"));
    let mut words = words::plain_words(command, home)?;
    if words.is_empty() {
        return None;
    }
    let first = words.remove(0);
    if first.is_quoted {
        return None;
    }
    let name = std::str::from_utf8(&first.bytes).ok()?;
    let (folder, name) = match name.rsplit_once('/') {
        Some((folder, name)) => (Some(*FOLDERS.iter().find(|known| **known == folder)?), name),
        None => (None, name),
    };
    let arguments: Vec<Vec<u8>> = words.into_iter().map(|word| word.bytes).collect();
    let (program, kind) = programs::known(name, &arguments)?;
    // sshd's name for its own server is no program, and has no folder.
    if program != name && folder.is_some() {
        return None;
    }
    Some(Transfer { kind, folder, program, arguments })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOME: &str = "/home/a na;sh";

    fn kind(command: &str) -> Option<Kind> {
        classify(command.as_bytes(), None).map(|transfer| transfer.kind)
    }

    fn arguments(command: &str) -> Vec<String> {
        let transfer = classify(command.as_bytes(), None).unwrap();
        transfer.arguments().into_iter().map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn what_clients_send_is_known() {
        let to = |target: &str, is_folder| Kind::ScpTo { target: target.as_bytes().to_vec(), is_folder };
        let from = |files: &[&str]| Kind::ScpFrom {
            files: files.iter().map(|file| file.as_bytes().to_vec()).collect(),
        };
        for (command, expected) in [
            ("/usr/lib/openssh/sftp-server", Kind::Sftp),
            ("internal-sftp", Kind::Sftp),
            ("internal-sftp -f AUTH -l INFO -u 0022", Kind::Sftp),
            ("sftp-server -e -d /srv/%u", Kind::Sftp),
            ("scp -t /tmp/x", to("/tmp/x", false)),
            ("scp -v -r -p -d -t -- /tmp", to("/tmp", true)),
            ("scp -rdt .", to(".", true)),
            ("scp -f a.txt /b", from(&["a.txt", "/b"])),
            ("scp -f 'with space' It\\'s", from(&["with space", "It's"])),
            ("/usr/bin/scp -f -- -x", from(&["-x"])),
            ("rsync --server -logDtpre.iLsfxCIvu . /srv/data/", Kind::Rsync),
            ("rsync --server --sender -vlogDtpre.iLsfxCIvu --bwlimit=100 . a\\ b", Kind::Rsync),
            ("git-upload-pack '/srv/a.git'", Kind::Git),
            ("git-receive-pack 'a b.git'", Kind::Git),
            ("git upload-archive 'x'", Kind::Git),
        ] {
            assert_eq!(kind(command), Some(expected), "{command}");
        }
        assert_eq!(arguments("git-upload-pack 'it'\\''s.git'"), ["it's.git"]);
        assert_eq!(arguments("scp -f \"a b\"c"), ["-f", "a bc"]);
        let scp = classify(b"scp -t x", None).unwrap();
        assert!(scp.candidates().contains(&"/usr/bin/scp".into()) && scp.candidates().len() > 1);
        assert_eq!(
            classify(b"/usr/bin/scp -t x", None).unwrap().candidates(),
            [PathBuf::from("/usr/bin/scp")]
        );
        assert!(
            classify(b"internal-sftp", None)
                .unwrap()
                .candidates()
                .contains(&"/usr/lib/openssh/sftp-server".into())
        );
    }

    #[test]
    fn whatever_may_be_something_else_is_not() {
        for command in [
            "",
            " ",
            "sh",
            "scp",
            "scp -t",
            "scp -t a b",
            "scp -t -f x",
            "scp x y",
            "scp -t x; sh",
            "scp -t x && sh",
            "scp -t x & sh",
            "scp -t x | sh",
            "scp -t x\nsh",
            "scp -t x > y",
            "scp -t $(sh)",
            "scp -t `sh`",
            "scp -t $HOME",
            "scp -t \"$HOME\"",
            "scp -t \"a`sh`\"",
            "scp -t ~/x",
            "scp -t x*",
            "scp -t {a,b}",
            "scp -t x # y",
            "scp -t 'x",
            "scp -t x\\",
            "scp -t !x",
            "scp -t =ls",
            "'scp' -t x",
            "s\\cp -t x",
            "PATH=/tmp scp -t x",
            "exec scp -t x",
            "env scp -t x",
            "(scp -t x)",
            "./scp -t x",
            "/tmp/scp -t x",
            "/home/ana/sftp-server",
            "/usr/bin/../../tmp/scp -t x",
            "/usr/bin//scp -t x",
            "/usr/bin/internal-sftp",
            "scp -S sh -t x",
            "scp -o ProxyCommand=sh -t x",
            "scp -St x",
            "scp -t x -S",
            "sftp-server -h",
            "sftp-server -Q requests",
            "sftp-server -f",
            "sftp-server x",
            "sftp-server -X",
            "rsync a b",
            "rsync --server",
            "rsync -v --server . x",
            "rsync --daemon --server",
            "rsync --server --daemon .",
            "rsync --server -s . x",
            "rsync --server -vse.iLs . x",
            "rsync --server --secluded-args . x",
            "rsync --server --protect-args . x",
            "rsync --server --config=x . y",
            "rsync --server -M--daemon . y",
            "git",
            "git upload-pack",
            "git -c core.x=y upload-pack z",
            "git --exec-path=/tmp upload-pack z",
            "git-upload-pack a b",
            "git-upload-pack --upload-pack=sh a",
            "git-shell -c x",
            "git-lfs-authenticate x download",
        ] {
            assert_eq!(kind(command), None, "{command}");
        }
        assert_eq!(kind(&format!("scp -t {}", "x".repeat(LONGEST_COMMAND_BYTES))), None);
    }

    #[test]
    fn variables_that_put_other_code_into_a_program_are_kept_away() {
        for (name, is_taken) in [
            ("HOME", true),
            ("LANG", true),
            ("GIT_PROTOCOL", true),
            ("LD_PRELOAD", false),
            ("GIT_EXEC_PATH", false),
            ("GIT_CONFIG_COUNT", false),
            ("GCONV_PATH", false),
        ] {
            assert_eq!(Transfer::takes_variable(OsStr::new(name)), is_taken, "{name}");
        }
    }

    #[test]
    fn a_tilde_is_the_home_where_a_shell_puts_it_there() {
        let target = |command: &str| match classify(command.as_bytes(), Some(HOME.as_bytes()))?.kind {
            Kind::ScpTo { target, .. } => Some(String::from_utf8(target).unwrap()),
            _ => None,
        };
        for (command, expected) in [
            ("scp -t ~", Some(HOME.to_owned())),
            ("scp -t ~/x", Some(format!("{HOME}/x"))),
            ("scp -t ~/'a b'", Some(format!("{HOME}/a b"))),
            ("scp -t ~ ", Some(HOME.to_owned())),
            ("scp -t '~/x'", Some("~/x".to_owned())),
            ("scp -t \\~/x", Some("~/x".to_owned())),
            // Other people's, other folders', and what shells read in different ways.
            ("scp -t ~ben/x", None),
            ("scp -t ~+", None),
            ("scp -t ~-/x", None),
            ("scp -t ~'/x'", None),
            ("scp -t x~", None),
            ("scp -t a=~/x", None),
            ("scp -t ~/x*", None),
            ("~/scp -t x", None),
            ("~ -t x", None),
        ] {
            assert_eq!(target(command), expected, "{command}");
        }
        for home in [None, Some(&b""[..]), Some(b"-r"), Some(b"ana")] {
            assert_eq!(classify(b"scp -t ~/x", home), None, "{home:?}");
        }
    }

    /// What `sh` makes of the text when it is made to print its words, each ended by a zero byte.
    fn words_of_sh(text: &str) -> Option<Vec<Vec<u8>>> {
        let folder = tempfile::tempdir().unwrap();
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf '%s\\0' {text}")])
            .current_dir(&folder)
            .env("HOME", HOME)
            .output()
            .unwrap();
        let mut words: Vec<Vec<u8>> = output.stdout.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        words.pop();
        output.status.success().then_some(words)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        #[test]
        fn plain_words_are_those_of_a_shell(text in "x[a-b '\"\\\\\t\u{e9}./=%@~*$;&|<>()#!\\[{}-]{0,14}") {
            if let Some(words) = words::plain_words(text.as_bytes(), Some(HOME.as_bytes())) {
                let read: Vec<Vec<u8>> = words.into_iter().map(|word| word.bytes).collect();
                prop_assert_eq!(Some(read), words_of_sh(&text), "{}", text);
            }
        }

        #[test]
        fn any_text_is_classified_without_a_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = classify(&[b"scp -t ", &text[..]].concat(), Some(b"/home/ana"));
            let _ = classify(&text, None);
        }
    }
}
