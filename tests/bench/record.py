"""`hansard-agent record` of bulk output beside asciinema 3, script and tlog; see README.md."""

import hashlib
import os
import random
import shutil
import subprocess

from deployment import BIN, Deployment, median
from terminals import asciinema_3, children_cpu, cpu_with_children, exported, finished, on_a_terminal, stored_bytes

ROUNDS, SIZE, NUMBERS = int(os.environ.get("BENCHMARK_ROUNDS", 5)), 40_000_000, 5_000_000


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


def compressed(path, into):
    """CPU seconds of `zstd -3` of a file, and the size of what it writes."""
    before = children_cpu()
    subprocess.run(["zstd", "-3", "--single-thread", "-q", "-f", path, "-o", into], check=True)
    return children_cpu() - before, into.stat().st_size


class Recorders:
    """The programs that record a command; each gives wall seconds, CPU seconds and the bytes that it keeps."""

    def __init__(self, deployment):
        self.deployment = deployment
        self.agent, self.environment = deployment.agent("i-bench1")
        self.out, self.small = deployment.folder / "out", deployment.folder / "out.zst"
        self.seen = set()
        self.asciinema = asciinema_3()

    def bare(self, command):
        wall, cpu, self.shown = on_a_terminal(command)
        return wall, cpu, 0

    def script(self, command):
        return self.to_a_file(["script", "-q", "-c", " ".join(map(str, command)), self.out])

    def tlog(self, command):
        # It writes a login record, for which there is no file on many machines.
        login_records = 'mount -t tmpfs run /run && : >/run/utmp && exec "$@"'
        private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", login_records, "sh"]
        return self.to_a_file([*private, "tlog-rec", "--writer=file", f"--file-path={self.out}", *command])

    def asciinema_alone(self, command):
        return self.to_a_file([self.asciinema, "rec", "-q", "-c", " ".join(map(str, command)), self.out])

    def to_a_file(self, command):
        self.out.unlink(missing_ok=True)
        wall, cpu, _ = on_a_terminal(command)
        return wall, cpu, self.out.stat().st_size

    def asciinema_and_zstd(self, command):
        wall, cpu, _ = self.asciinema_alone(command)
        zstd, size = compressed(self.out, self.small)
        return wall, cpu + zstd, size

    def hansard(self, command):
        before = cpu_with_children(self.agent.pid)
        wall, cpu, shown = on_a_terminal([BIN / "hansard-agent", "record", "--quiet", "--", *command], self.environment)
        token = finished(self.deployment, self.seen)
        self.seen.add(token)
        cpu += cpu_with_children(self.agent.pid) - before
        self.token = token
        return wall, cpu, stored_bytes(self.deployment, token)


def measure(recorders, title, command, raw, allowed):
    """Prints one table, with the ratios to what is allowed: stored size as a multiple of `zstd -3` of the raw bytes."""
    forms = {"bare": recorders.bare, "script": recorders.script}
    if shutil.which("tlog-rec"):
        forms["tlog"] = recorders.tlog
    if recorders.asciinema:
        forms |= {"asciinema 3": recorders.asciinema_alone, "asciinema 3, zstd -3": recorders.asciinema_and_zstd}
    forms["hansard"] = recorders.hansard
    rows = {name: [] for name in forms}
    for _ in range(ROUNDS):
        for name, form in forms.items():
            rows[name].append(form(command))
    # The notice and what it says stand before the output.
    recorded = exported(recorders.deployment, recorders.token)
    expected = raw.read_bytes().replace(b"\n", b"\r\n")
    complete = recorded.endswith(expected) and len(recorded) - len(expected) < 2_000
    print(f"record: {title}, medians of {ROUNDS} rounds, interleaved")
    middle = {name: [median([row[column] for row in each]) for column in range(3)] for name, each in rows.items()}
    for name, (wall, cpu, stored) in middle.items():
        print(f"  {name:<22} wall {wall:6.2f} s   CPU {cpu:6.2f} s   stored {stored / 1e6:7.2f} MB")
    _, size = compressed(raw, recorders.small)
    print(f"  stored: {middle['hansard'][2] / size:.2f} x zstd -3 of the raw bytes (at most {allowed})")
    if recorders.asciinema:
        print(f"  CPU: {middle['hansard'][1] / middle['asciinema 3, zstd -3'][1]:.2f} x asciinema 3 with zstd -3 (at most 1), "
              f"{middle['hansard'][1] / middle['asciinema 3'][1]:.2f} x asciinema 3 alone")
    print(f"  every byte in the recording: {'yes' if complete else 'NO'} (SHA-256 {hashlib.sha256(recorded).hexdigest()[:16]})")


def main():
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        recorders = Recorders(deployment)
        log, numbers = deployment.folder / "terminal.log", deployment.folder / "numbers"
        terminal_log(log)
        with open(numbers, "wb") as out:
            subprocess.run(["seq", "1", str(NUMBERS)], stdout=out, check=True)
        measure(recorders, f"cat of a {SIZE / 1e6:.0f} MB terminal log", ["cat", log], log, 1.06)
        measure(recorders, f"seq 1 {NUMBERS}", ["seq", "1", str(NUMBERS)], numbers, 2.0)


main()
