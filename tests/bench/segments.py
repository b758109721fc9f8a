"""Segments that one replica acknowledges a second, and commits for each of them; see README.md."""

import json
import pathlib
import struct
import subprocess
import sys
import threading

from deployment import BIN, ROOT_KEY, Deployment, cpu_seconds

SECONDS = sys.argv[1] if len(sys.argv) > 1 else "10"
AGENTS = ["1", "8", "64"]
LOOK_EVERY = 0.01


class Commits:
    """Counts the commits in SQLite's write-ahead log: a frame that ends one says how large the database is then."""

    def __init__(self, database):
        self.log = pathlib.Path(f"{database}-wal")
        self.before, self.salt, self.here = 0, None, 0
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.look_on, daemon=True)
        self.thread.start()

    def look_on(self):
        while not self.ended.wait(LOOK_EVERY):
            self.look()

    def look(self):
        with open(self.log, "rb") as log:
            header = log.read(32)
            if len(header) < 32:
                return
            page, salt = struct.unpack(">I", header[8:12])[0], header[16:24]
            if salt != self.salt:
                # The log begins again from its start.
                self.before, self.salt, self.here, self.at = self.before + self.here, salt, 0, 32
            while True:
                log.seek(self.at)
                frame = log.read(24)
                if len(frame) < 24 or frame[8:16] != salt:
                    return
                self.here += struct.unpack(">I", frame[4:8])[0] != 0
                self.at += 24 + page

    def number(self):
        return self.before + self.here

    def end(self):
        self.ended.set()
        self.thread.join()


def main():
    with Deployment("--connections", "0", "--connections-per-address", "0") as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        pid = deployment.process.pid
        command = [BIN / "examples" / "segments", f"127.0.0.1:{deployment.port}", SECONDS, *ROOT_KEY, *AGENTS]
        agents = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        database = next((deployment.folder / "data").rglob("*.db"))
        commits = Commits(database)
        print("segments: small ones, each uploaded and acknowledged with the grant of the next; one replica, SQLite")
        for line in agents.stdout:
            step = json.loads(line)
            if step["Step"] == "ready":
                before, used = commits.number(), cpu_seconds(pid)
                agents.stdin.write("go\n")
                agents.stdin.flush()
                continue
            segments = step["Segments"]
            each = (commits.number() - before) / segments
            cpu = (cpu_seconds(pid) - used) / segments * 1_000
            print(
                f"  {step['Agents']:>3} agents: {segments / step['Seconds']:>7.0f} a second, {each:>5.2f} commits each, "
                f"p50 {step['MedianMillis']:>6.1f} ms, p99 {step['MostMillisOf99']:>6.1f} ms, server: {cpu:.2f} ms CPU each",
                flush=True,
            )
        commits.end()
        if agents.wait() != 0:
            raise SystemExit("the agents failed")


main()
