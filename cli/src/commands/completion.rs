//! `hansard completion SHELL`: the script with which a shell completes this program's command line.

use clap::{Command, CommandFactory as _};
use clap_complete::{Shell, generate};

use crate::arguments::{Arguments, CompletionArguments, CompletionShell};
use crate::failure::Failure;
use crate::terminal;

/// Runs the command.
///
/// # Errors
/// Standard output cannot be written.
pub(crate) fn run(arguments: &CompletionArguments) -> Result<(), Failure> {
    terminal::print_bytes(&script(arguments.shell))
}

fn script(shell: CompletionShell) -> Vec<u8> {
    let shell = match shell {
        CompletionShell::Bash => Shell::Bash,
        CompletionShell::Zsh => Shell::Zsh,
        CompletionShell::Fish => Shell::Fish,
    };
    let mut script = Vec::new();
    generate(shell, &mut shown(Arguments::command()), "hansard", &mut script);
    script
}

/// The command without those that nobody types, which the generator would offer.
fn shown(command: Command) -> Command {
    Command::new("hansard")
        .version(env!("CARGO_PKG_VERSION"))
        .args(command.get_arguments().cloned())
        .subcommands(command.get_subcommands().filter(|it| !it.is_hide_set()).cloned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shell_gets_its_script_without_hidden_commands() {
        for (shell, begins) in [
            (CompletionShell::Bash, "_hansard()"),
            (CompletionShell::Zsh, "#compdef hansard"),
            (CompletionShell::Fish, "# Print an optspec"),
        ] {
            let script = String::from_utf8(script(shell)).unwrap();
            assert!(script.trim_start().starts_with(begins), "{shell:?}: {}", &script[..200]);
            for word in ["recordings", "verify", "any-signer", "server-keys", "completion"] {
                assert!(script.contains(word), "{shell:?}: {word}");
            }
            assert!(!script.contains("_local__agent") && !script.contains("Run as the local"), "{shell:?}");
        }
    }

    #[test]
    fn bash_completes_a_command_and_its_flags() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("completion");
        std::fs::write(&file, script(CompletionShell::Bash)).unwrap();
        let completed = |words: &str, at: usize| {
            let program = format!(
                "source {}; COMP_WORDS=({words}); COMP_CWORD={at}; _hansard hansard \"${{COMP_WORDS[{at}]}}\" \
                 \"${{COMP_WORDS[{at}-1]}}\"; echo \"${{COMPREPLY[*]}}\"",
                file.display()
            );
            let output =
                std::process::Command::new("bash").args(["--norc", "-c", &program]).output().unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim().to_owned()
        };
        assert_eq!(completed("hansard rec", 1), "recordings");
        assert_eq!(completed("hansard recordings verify --any", 3), "--any-signer");
        assert_eq!(completed("hansard local", 1), "");
    }
}
