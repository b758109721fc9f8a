"""How long a key takes to its echo: bare, recorded, with asciinema 3, and through sshd; see README.md."""

import os
import time

from deployment import BIN, Deployment
from login_host import LoginHost
from terminals import asciinema_3, drain, read_until, spawn

KEYS, ROUNDS = 400, int(os.environ.get("BENCHMARK_ROUNDS", 5))
# It ends by itself after the last key, since not every recorder ends when its terminal does.
ECHO = f"stty raw -echo; echo ready; exec dd bs=1 count={KEYS} status=none"


def latencies(command, environment=os.environ):
    """Microseconds from each key to its echo, by a program that echoes it, when the key before is long over."""
    pid, terminal = spawn(command, environment)
    read_until(terminal, b"ready")
    time.sleep(0.2)  # people type when the program waits; nothing is waited for
    found = []
    for number in range(KEYS):
        key = bytes([ord("a") + number % 26])
        start = time.perf_counter_ns()
        os.write(terminal, key)
        echoed = os.read(terminal, 64)
        found.append((time.perf_counter_ns() - start) / 1000)
        while key not in echoed:
            echoed = os.read(terminal, 64)
        time.sleep(0.003)
    drain(pid, terminal)
    return found


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main():
    # Everything that is started from here inherits it: what other programs do at the same time is not measured.
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        _, environment = deployment.agent("i-bench1")
        shell = ["sh", "-c", ECHO]
        forms = {"bare": (shell, os.environ)}
        if asciinema := asciinema_3():
            forms["asciinema 3"] = ([asciinema, "rec", "-q", "--overwrite", "-c", ECHO, deployment.folder / "out"], os.environ)
        forms["hansard"] = ([BIN / "hansard-agent", "record", "--quiet", "--", *shell], environment)
        with LoginHost(deployment, environment["HANSARD_AGENT_STATE_DIR"]) as host:
            forms["sshd"] = (host.ssh("plain", "-tt", ECHO), os.environ)
            forms["sshd, hansard-shell"] = (host.ssh("recorded", "-tt", ECHO), os.environ)
            rows = {name: [] for name in forms}
            for _ in range(ROUNDS):
                for name, (command, variables) in forms.items():
                    rows[name].append(latencies(command, variables))
    print(f"keystrokes: from a key to its echo, scheduled first in, first out; medians of {ROUNDS} rounds of {KEYS} keys")
    middle = {}
    for name, rounds in rows.items():
        p50, p99 = (percentile([percentile(each, part) for each in rounds], 0.5) for part in (0.5, 0.99))
        middle[name] = p50
        print(f"  {name:<20} p50 {p50:7.0f} us   p99 {p99:7.0f} us")
    added = {name: middle[name] - middle["bare"] for name in middle if name in ("hansard", "asciinema 3")}
    added["hansard-shell over sshd"] = middle["sshd, hansard-shell"] - middle["sshd"]
    print("  added at p50: " + ", ".join(f"{name} {value:.0f} us" for name, value in added.items()))


main()
