"""`hansard-agent record -- cat` of a 40 MB terminal log beside asciinema 3 and script; see README.md."""

import os
import pathlib
import pty
import random
import resource
import shutil
import subprocess
import time

from deployment import BIN, Deployment, cpu_seconds, median, until

ROUNDS, SIZE = 5, 40_000_000


def terminal_log(path):
    """Colours, UTF-8, hexadecimal and progress bars, as terminals see them; the same on every run."""
    choose = random.Random(7)
    with open(path, "wb") as out:
        while out.tell() < SIZE:
            lines = []
            for _ in range(1000):
                kind = choose.random()
                if kind < 0.4:
                    colour = choose.randint(31, 36)
                    lines.append(f"\x1b[{colour}m{choose.choice(['INFO', 'WARN', 'ERROR'])}\x1b[0m request {choose.getrandbits(64):016x} took {choose.randint(1, 999)} ms")
                elif kind < 0.6:
                    lines.append("naïve ✓ 记录 – " + " ".join(choose.choice(["alpha", "β", "gamma", "δέλτα"]) for _ in range(8)))
                elif kind < 0.85:
                    lines.append(" ".join(f"{choose.getrandbits(16):04x}" for _ in range(16)))
                else:
                    done = choose.randint(0, 50)
                    lines.append("\r[" + "#" * done + "." * (50 - done) + f"] {done * 2:3d} %")
            out.write(("\n".join(lines) + "\n").encode())


def on_a_terminal(command, environment):
    """Runs a command on a terminal that is drained; gives wall seconds and the CPU seconds of its tree."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.monotonic()
    pid, terminal = pty.fork()
    if pid == 0:
        os.execvpe(command[0], [str(word) for word in command], environment)
    try:
        while os.read(terminal, 1 << 20):
            pass
    except OSError:
        pass  # Linux answers EIO when the last user of the terminal is gone
    _, status = os.waitpid(pid, 0)
    wall = time.monotonic() - started
    os.close(terminal)
    if status != 0:
        raise SystemExit(f"{command} ended with {status}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    asciinema = os.environ.get("ASCIINEMA3") or shutil.which("asciinema")
    version = asciinema and subprocess.run([asciinema, "--version"], capture_output=True, text=True).stdout.strip()
    results = {"bare cat": [], "script": [], "hansard": []}
    if version and " 3." in version:
        results["asciinema 3"] = []
    else:
        print(f"record: no asciinema 3 (found: {version}); set ASCIINEMA3 to compare with it")
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        agent, environment = deployment.agent("i-bench1")
        log, out = deployment.folder / "terminal.log", deployment.folder / "out"
        terminal_log(log)
        for _ in range(ROUNDS):
            results["bare cat"].append((*on_a_terminal(["cat", log], os.environ), 0))
            results["script"].append((*on_a_terminal(["script", "-q", "-c", f"cat {log}", out], os.environ), out.stat().st_size))
            out.unlink()
            if "asciinema 3" in results:
                command = [asciinema, "rec", "-q", "-c", f"cat {log}", out]
                results["asciinema 3"].append((*on_a_terminal(command, os.environ), out.stat().st_size))
                out.unlink()
            agent_before = cpu_seconds(agent.pid)
            wall, cpu = on_a_terminal([BIN / "hansard-agent", "record", "--", "cat", log], environment)

            def newest():
                listed = deployment.call("ListInstanceRecords", "PageSize=1")["Root"]["RecordList"]
                return listed and listed[0]["Status"] == "finished" and listed[0]["TerminalSessionToken"]

            seen = {row[3] for row in results["hansard"]}
            token = until("the recording is sealed", lambda: (found := newest()) not in seen and found)
            cpu += cpu_seconds(agent.pid) - agent_before
            folder = next(pathlib.Path(deployment.folder / "data").rglob(token))
            stored = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
            results["hansard"].append((wall, cpu, stored, token))
    print(f"record: cat of a {SIZE / 1e6:.0f} MB terminal log, medians of five rounds, interleaved")
    for name, rows in results.items():
        wall, cpu, stored = (median([row[column] for row in rows]) for column in range(3))
        print(f"  {name:<12} wall {wall:6.2f} s   CPU {cpu:6.2f} s   stored {stored / 1e6:6.2f} MB")


main()
