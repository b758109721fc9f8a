"""One gigabyte by scp and by cat through a recorded login, beside plain sshd; see README.md."""

import os
import subprocess
import time

from deployment import Deployment, median
from login_host import LoginHost

ROUNDS, SIZE = int(os.environ.get("BENCHMARK_ROUNDS", 5)), 1_000_000_000


def rate(command, **options):
    """Megabytes per second of a command that passes the whole file."""
    started = time.monotonic()
    subprocess.run(command, check=True, **options)
    return SIZE / 1e6 / (time.monotonic() - started)


def main():
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        _, environment = deployment.agent("i-bench1")
        with LoginHost(deployment, environment["HANSARD_AGENT_STATE_DIR"]) as host:
            file = deployment.folder / "gigabyte"
            with open(file, "wb") as out:
                block = os.urandom(1_000_000)
                for _ in range(SIZE // len(block)):
                    out.write(block)
            file.chmod(0o644)
            forms = {
                "scp": lambda name: rate(host_command(host, name, file)),
                "scp -O": lambda name: rate(["scp", "-O", *host_command(host, name, file)[1:]]),
                "ssh host cat": lambda name: rate(host.ssh(name, f"cat {file}"), stdout=subprocess.DEVNULL),
            }
            rows = {(form, name): [] for form in forms for name in ("plain", "recorded")}
            for _ in range(ROUNDS):
                for (form, name), found in rows.items():
                    found.append(forms[form](name))
    print(f"transfers: {SIZE / 1e9:.0f} GB over sshd on this machine, MB/s, medians of {ROUNDS} rounds, interleaved")
    for form in forms:
        plain, recorded = (median(rows[form, name]) for name in ("plain", "recorded"))
        print(f"  {form:<14} plain {plain:6.0f}   recorded {recorded:6.0f}   {recorded / plain:.2f} x")


def host_command(host, name, file):
    return host.scp(name, file, host.home(name) / "copy")


main()
