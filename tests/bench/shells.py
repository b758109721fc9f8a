"""Many recorded shells on one instance: what they cost idle and busy, and how fast they begin; see README.md."""

import os
import signal
import time

from deployment import BIN, Deployment, median, until
from terminals import children, cpu_with_children, drain, proportional_set_kib, read_until, spawn, voluntary_switches

SHELLS, FIFTY, WATCHED_SECONDS = 200, 50, 10


def switches(group):
    return {key: count for pid in group for key, count in voluntary_switches(pid).items()}


class Sessions:
    """Recorded shells that wait for what is typed."""

    def __init__(self, agent, environment):
        self.agent, self.environment, self.open = agent, environment, []

    def begin(self, count):
        """Begins so many, each when the one before has shown its first output; gives sessions per second."""
        started = time.monotonic()
        for _ in range(count):
            script = "stty -echo; echo up; while read -r line; do echo \"<$line>\"; done"
            command = [BIN / "hansard-agent", "record", "--quiet", "--", "sh", "-c", script]
            pid, terminal = spawn(command, self.environment)
            read_until(terminal, b"up\r\n")
            self.open.append((pid, terminal))
        return count / (time.monotonic() - started)

    def recorders(self):
        return children(self.agent.pid)

    def memory_mib(self):
        agent = proportional_set_kib(self.agent.pid) / 1024
        recorders = sum(map(proportional_set_kib, self.recorders())) / 1024
        return agent, recorders

    def watched(self):
        """Wake-ups per second of recorders, clients and agent, and the CPU of agent and recorders, in percent of one core."""
        groups = [self.recorders(), [pid for pid, _ in self.open], [self.agent.pid]]
        before = [switches(group) for group in groups]
        cpu = cpu_with_children(self.agent.pid)
        time.sleep(WATCHED_SECONDS)
        after = [switches(group) for group in groups]
        # A thread that has ended meanwhile counts for nothing, one that has begun for all that it did.
        rates = [sum(late[key] - early.get(key, 0) for key in late) / WATCHED_SECONDS for early, late in zip(before, after)]
        return rates, (cpu_with_children(self.agent.pid) - cpu) / WATCHED_SECONDS * 100

    def typed(self, rounds):
        """Types a line into each in turn; gives the milliseconds from it to the shell's answer, and the CPU per line."""
        lags, cpu = [], cpu_with_children(self.agent.pid)
        for number in range(rounds):
            for _, terminal in self.open:
                line = f"line {number}".encode()
                started = time.monotonic()
                os.write(terminal, line + b"\n")
                read_until(terminal, b"<" + line + b">")
                lags.append((time.monotonic() - started) * 1000)
        return lags, (cpu_with_children(self.agent.pid) - cpu) / len(lags)

    def end(self):
        for pid, _ in self.open:
            os.kill(pid, signal.SIGTERM)
        for pid, terminal in self.open:
            drain(pid, terminal)
        until("the recorders have ended", lambda: not self.recorders())


def main():
    with Deployment() as deployment:
        deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
        # One user begins them all, and faster than a user may by default.
        agent, environment = deployment.agent("i-bench1")
        sessions = Sessions(agent, environment)
        rates = [sessions.begin(FIFTY)]
        until("they are idle", lambda: sessions.watched()[1] < 5)
        (recorders, clients, of_agent), cpu = sessions.watched()
        agent_mib, recorders_mib = sessions.memory_mib()
        print(f"shells: {FIFTY} recorded shells, idle")
        print(f"  proportional set size: agent {agent_mib:.1f} MiB, recorders {recorders_mib:.1f} MiB, together {agent_mib + recorders_mib:.1f} MiB (at most 64)")
        print(f"  wake-ups per second: all recorders {recorders:.1f}, all clients {clients:.1f}, agent {of_agent:.1f}; CPU {cpu:.2f} % of a core")
        rates += [sessions.begin(FIFTY) for _ in range(SHELLS // FIFTY - 1)]
        lags, cpu = sessions.typed(5)
        agent_mib, recorders_mib = sessions.memory_mib()
        print(f"shells: {SHELLS} recorded shells")
        print(f"  begun per second, one after the other: {median(rates):.0f}")
        print(f"  agent {agent_mib:.1f} MiB, recorders {recorders_mib:.1f} MiB proportional set size")
        print(f"  a line to its answer: p50 {median(lags):.1f} ms, p99 {sorted(lags)[len(lags) * 99 // 100]:.1f} ms; {cpu * 1000:.2f} ms of CPU per line in agent and recorders")
        ended = time.monotonic()
        sessions.end()

        def all_finished():
            listed = deployment.call("ListInstanceRecords", "PageSize=50")["Root"]["RecordList"]
            return all(record["Status"] != "running" for record in listed)

        until("all are sealed", all_finished)
        print(f"  ended all at once: sealed after {time.monotonic() - ended:.1f} s")


if __name__ == "__main__":
    main()
