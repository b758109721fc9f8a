"""What an hour of ordinary work at a shell takes in the bucket, and when it can be played; see README.md."""

import os
import select
import subprocess
import time

from deployment import BIN, Deployment, median, until
from terminals import drain, finished, read_until, spawn, stored_bytes

ROUNDS, MINUTES = int(os.environ.get("BENCHMARK_ROUNDS", 5)), 2
COMMANDS = ["cd /usr/share", "ls -l --color=always | head -40", "du -s doc 2>/dev/null", "cat /etc/services | head -60", "ps aux | head -30",
            "grep -rn License doc 2>/dev/null | head -20", "history | tail", "df -h", "uname -a"]
KEYS_PER_SECOND = 4


def work(terminal, seconds):
    """Types commands as a person does, a key at a time, and pauses after each."""
    until_then, number = time.monotonic() + seconds, 0
    while time.monotonic() < until_then:
        for key in COMMANDS[number % len(COMMANDS)] + "\n":
            os.write(terminal, key.encode())
            time.sleep(1 / KEYS_PER_SECOND)
        time.sleep(4)
        while select.select([terminal], [], [], 0)[0]:
            os.read(terminal, 1 << 16)
        number += 1


def main():
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        _, environment = deployment.agent("i-bench1")
        record = [BIN / "hansard-agent", "record", "--quiet", "--", "bash", "--norc", "-i"]
        pid, terminal = spawn(record, environment)
        read_until(terminal, b"$ " if os.geteuid() else b"# ")
        work(terminal, MINUTES * 60)
        os.write(terminal, b"exit\n")
        drain(pid, terminal)
        token = finished(deployment)
        per_hour = stored_bytes(deployment, token) * 60 / MINUTES
        seen, ends, lives = {token}, [], []
        for number in range(ROUNDS):
            pid, terminal = spawn(record, environment)
            read_until(terminal, b"$ " if os.geteuid() else b"# ")
            mark = f"mark-{number}"
            os.write(terminal, f"echo {mark}\n".encode())
            typed = time.monotonic()
            read_until(terminal, mark.encode())
            token = until("it is listed", lambda: running(deployment))
            until("it can be seen", lambda: mark.encode() in exported_so_far(deployment, token))
            lives.append(time.monotonic() - typed)
            os.write(terminal, b"exit\n")
            typed = time.monotonic()
            drain(pid, terminal)
            seen.add(finished(deployment, seen))
            ends.append(time.monotonic() - typed)
    print(f"ordinary work: {per_hour / 1000:.0f} kB an hour in the bucket, from {MINUTES} minutes at {KEYS_PER_SECOND} keys a second")
    print(f"  from a key to playable in a session that goes on: {median(lives):.1f} s; from the last key to a finished recording: {median(ends):.2f} s; medians of {ROUNDS}")


def running(deployment):
    listed = deployment.call("ListInstanceRecords", "PageSize=1")["Root"]["RecordList"]
    return next((record["TerminalSessionToken"] for record in listed if record["Status"] == "running"), None)


def exported_so_far(deployment, token):
    command = [BIN / "hansard", "recordings", "export", token, "--format", "txt"]
    return subprocess.run(command, env=deployment.client_environment, capture_output=True).stdout


main()
