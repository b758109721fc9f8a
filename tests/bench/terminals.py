"""Programs on pseudo-terminals, and what they cost; for the measurements of recording."""

import hashlib
import os
import pathlib
import pty
import resource
import shutil
import subprocess
import time

from deployment import BIN, until

TICKS = os.sysconf("SC_CLK_TCK")


def children_cpu():
    """CPU seconds of the children that this process has waited for, with theirs."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def cpu_with_children(pid):
    """CPU seconds of a process, of the children that it has waited for, and of those that live."""
    total = 0
    for each in [pid, *children(pid)]:
        fields = pathlib.Path(f"/proc/{each}/stat").read_text().rsplit(")", 1)[1].split()
        total += sum(int(field) for field in fields[11:15])
    return total / TICKS


def children(pid):
    return [int(child) for task in pathlib.Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def voluntary_switches(pid):
    """How often each thread of a process went to sleep so far, which is how often it was woken."""
    found = {}
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        lines = (task / "status").read_text().splitlines()
        found[pid, task.name] = next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt_switches"))
    return found


def proportional_set_kib(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
    return int(next(line for line in rollup.splitlines() if line.startswith("Pss:")).split()[1])


def spawn(command, environment=os.environ):
    """Starts a command on a terminal of its own; gives its process id and the terminal."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(str(command[0]), [str(word) for word in command], environment)
    return pid, terminal


def drain(pid, terminal):
    """Reads a terminal to its end; gives the SHA-256 of what it showed and the exit status."""
    shown = hashlib.sha256()
    try:
        while output := os.read(terminal, 1 << 20):
            shown.update(output)
    except OSError:
        pass  # Linux answers EIO when the last user of the terminal is gone
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return shown.hexdigest(), os.waitstatus_to_exitcode(status)


def on_a_terminal(command, environment=os.environ):
    """Runs a command on a terminal that is drained; gives wall seconds, the CPU seconds of its tree, and what was shown."""
    before, started = children_cpu(), time.monotonic()
    shown, code = drain(*spawn(command, environment))
    if code != 0:
        raise SystemExit(f"{command} ended with {code}")
    return time.monotonic() - started, children_cpu() - before, shown


def read_until(terminal, mark, seconds=60):
    """Reads a terminal until it has shown these bytes."""
    shown, deadline = b"", time.monotonic() + seconds
    while mark not in shown:
        if time.monotonic() > deadline:
            raise SystemExit(f"waited {seconds} s in vain for {mark!r} after {shown[-500:]!r}")
        shown += os.read(terminal, 1 << 16)
    return shown


def asciinema_3():
    """asciinema 3, which `cargo install asciinema --locked` builds; ASCIINEMA3 names it where it is not in the path."""
    program = os.environ.get("ASCIINEMA3") or shutil.which("asciinema")
    version = program and subprocess.run([program, "--version"], capture_output=True, text=True).stdout.strip()
    if version and " 3." in version:
        return program
    print(f"no asciinema 3 (found: {version}); set ASCIINEMA3 to compare with it")
    return None


def finished(deployment, seen=()):
    """Waits for the newest recording to be finished; gives its token."""

    def newest():
        listed = deployment.call("ListInstanceRecords", "PageSize=1")["Root"]["RecordList"]
        return listed and listed[0]["Status"] == "finished" and listed[0]["TerminalSessionToken"]

    return until("the recording is sealed", lambda: (found := newest()) not in seen and found)


def stored_bytes(deployment, token):
    """The size of everything that is kept of a recording."""
    folder = next((deployment.folder / "data").rglob(token))
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def exported(deployment, token, form="txt"):
    """The bytes that the terminal was given, as the recording has them."""
    command = [BIN / "hansard", "recordings", "export", token, "--format", form]
    # What it says of the recording besides is for people.
    return subprocess.check_output(command, env=deployment.client_environment, stderr=subprocess.DEVNULL)


def recording_of_everything(deployment):
    deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
