"""A real sshd with two people, one of whom has `hansard-shell` as login shell; it has an /etc and a /run of its own."""

import os
import pathlib
import shutil
import signal
import socket
import subprocess

from deployment import BIN, free_port, until

PEOPLE = {"plain": 54_321, "recorded": 54_322}


class LoginHost:
    """Only root can start one: sshd lets others log in as themselves alone."""

    def __init__(self, deployment, state_dir):
        self.folder = deployment.folder / "host"
        self.folder.mkdir()
        self.port = free_port()
        for folder in (deployment.folder, self.folder):
            folder.chmod(0o755)
        pathlib.Path(state_dir).parent.chmod(0o755)
        self.etc = self.folder / "etc"
        subprocess.run(["cp", "--archive", "/etc/.", self.etc], check=True)
        self.etc.chmod(0o755)
        # Everybody on the way can run these copies, wherever the programs were built.
        shutil.copy(BIN / "hansard-agent", self.folder / "hansard-agent")
        (self.folder / "hansard-shell").symlink_to("hansard-agent")
        shells = {"plain": "/bin/bash", "recorded": self.folder / "hansard-shell"}
        passwd = "root:x:0:0:root:/root:/bin/bash\nsshd:x:103:65534::/run/sshd:/usr/sbin/nologin\n"
        shadow = ""
        for name, number in PEOPLE.items():
            home = self.home(name)
            home.mkdir()
            os.chown(home, number, number)
            passwd += f"{name}:x:{number}:{number}::{home}:{shells[name]}\n"
            shadow += f"{name}:*:20000:0:99999:7:::\n"
        (self.etc / "passwd").write_text(passwd)
        (self.etc / "shadow").write_text(shadow)
        settings = self.etc / "hansard-agent"
        settings.mkdir(exist_ok=True)
        settings.chmod(0o755)
        (settings / "agent.toml").write_text(f"state-dir = '{state_dir}'\n")
        self.key = self.folder / "key"
        for key in (self.key, self.folder / "host-key"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key], check=True)
        (self.folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.folder}/host-key\nStrictModes no\n"
            f"AuthorizedKeysFile {self.key}.pub\nUsePAM yes\nPrintMotd no\nPidFile none\nMaxStartups 500\n"
            f"Subsystem sftp /usr/lib/openssh/sftp-server\n"
        )

    def home(self, name):
        return self.folder / f"home-of-{name}"

    def __enter__(self):
        prepare = 'mount --bind "$0" /etc && mount -t tmpfs run /run && mkdir /run/sshd && exec "$@"'
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", prepare, self.etc]
        sshd = ["/usr/sbin/sshd", "-D", "-E", self.folder / "sshd.log", "-f", self.folder / "sshd_config"]
        self.sshd = subprocess.Popen([*private, *sshd])

        def listens():
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.port)) == 0

        until("sshd listens", listens)
        return self

    def __exit__(self, *_):
        self.sshd.send_signal(signal.SIGTERM)
        self.sshd.wait()

    def options(self):
        return ["-F", "none", "-q", "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i", self.key, "-o", "IdentitiesOnly=yes"]

    def ssh(self, name, *words):
        """`ssh` as one of the people; flags stand before the command."""
        flags = [word for word in words if word.startswith("-")]
        return ["ssh", *self.options(), "-p", str(self.port), *flags, f"{name}@127.0.0.1", *words[len(flags) :]]

    def scp(self, name, source, to):
        return ["scp", *self.options(), "-P", str(self.port), source, f"{name}@127.0.0.1:{to}"]
