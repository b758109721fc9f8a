"""10,000 agents that hold their links and do nothing else; see README.md."""

import json
import subprocess
import sys

from deployment import BIN, ROOT_KEY, Deployment, cpu_seconds, resident_kib, until

AGENTS = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000


def main():
    with Deployment("--connections", "0", "--connections-per-address", "0") as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        pid = deployment.process.pid
        idle_kib = resident_kib(pid)
        command = [BIN / "examples" / "fleet", f"127.0.0.1:{deployment.port}", str(AGENTS), *ROOT_KEY]
        fleet = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        print(f"fleet: {AGENTS} agents on one replica, SQLite; the server alone has {idle_kib / 1024:.1f} MiB")
        used = cpu_seconds(pid)

        def told(step, seconds):
            nonlocal used
            now = cpu_seconds(pid)
            line = f"  {step:<34} {seconds:>8.2f} s   server: {now - used:>7.2f} s CPU, {resident_kib(pid) / 1024:>7.1f} MiB"
            print(line, flush=True)
            used = now

        last, changes = 0.0, 0
        for line in fleet.stdout:
            step = json.loads(line)
            if step["Step"] == "idle":
                told("idle", step["Seconds"] - last)
            elif step["Step"] == "configured":
                told("all have a changed configuration", step["Seconds"])
                print(f"    of which {step['AnsweredAfter']:.3f} s until the change was answered")
                changes += 1
                if changes == 3:
                    deployment.process.kill()
                    deployment.process.wait()
                    deployment.start()
                    pid = deployment.process.pid
                    used = 0.0
            elif step["Step"] == "relinked":
                told("all are linked again after a kill", step["Seconds"])
                break
            elif step["Step"] != "lost":
                told(step["Step"], step["Seconds"])
            last = step["Seconds"]
        fleet.kill()
        fleet.wait()


main()
