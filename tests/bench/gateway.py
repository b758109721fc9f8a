"""Signed, audited GetInstanceRecordConfig of the account owner and of a RAM user beside actix-web's plain JSON hello; see
README.md."""

import os
import subprocess

from deployment import ACCOUNT, BIN, ROOT_KEY, Deployment, cpu_seconds, free_port, median

ROUNDS, SECONDS = int(os.environ.get("BENCHMARK_ROUNDS", "5")), 4
CONNECTIONS = [1, 32, 256]
POLICIES, STATEMENTS = 10, 5


def load(port, pid, connections, key=()):
    """Requests per second, the server's CPU per request, p50 and p99."""
    before = cpu_seconds(pid)
    command = [BIN / "examples" / "load", f"127.0.0.1:{port}", str(connections), str(SECONDS), *key]
    rate, p50, p99, refused, done = map(float, subprocess.check_output(command, text=True).split())
    if refused:
        raise SystemExit(f"{refused:.0f} of {done:.0f} calls were not answered with 200")
    return rate, (cpu_seconds(pid) - before) / done * 1e6, p50, p99


def statement(number):
    """As in policies/benches/workload: half are about the same service and other instances, half about other services;
    one in five is a Deny that does not fit; only the last one allows, under one condition."""
    if number == POLICIES * STATEMENTS - 1:
        resource, condition = "workbench/i-bench*", {"IpAddress": {"acs:SourceIp": "127.0.0.0/8"}}
        actions = "ecs-workbench:Get*"
        return {"Effect": "Allow", "Action": actions, "Resource": arn("ecs-workbench", resource), "Condition": condition}
    effect = "Deny" if number % 5 == 0 else "Allow"
    if number % 2 == 0:
        actions = ["ecs-workbench:List*", "ecs-workbench:Get*"]
        return {"Effect": effect, "Action": actions, "Resource": arn("ecs-workbench", f"workbench/i-team{number}*")}
    service = ["ecs", "oss", "rds", "slb", "vpc", "ram", "kms", "log"][number // 2 % 8]
    return {"Effect": effect, "Action": f"{service}:Describe*", "Resource": arn(service, "*")}


def arn(service, resource):
    return f"acs:{service}:*:{ACCOUNT}:{resource}"


def policies():
    starts = range(0, POLICIES * STATEMENTS, STATEMENTS)
    return [{"Version": "1", "Statement": [statement(start + n) for n in range(STATEMENTS)]} for start in starts]


def measure(connections, servers):
    """Rounds alternate between the servers; gives the medians of each."""
    rounds = {name: [] for name in servers}
    for _ in range(ROUNDS):
        for name, (port, pid, key) in servers.items():
            rounds[name].append(load(port, pid, connections, key))
    medians = {name: [median(column) for column in zip(*values)] for name, values in rounds.items()}
    print(f" {connections} connections")
    for name, (rate, cpu, p50, p99) in medians.items():
        print(f"  {name:<7} {rate:>10.0f} requests/s   {cpu:>8.1f} µs CPU/request   p50 {p50:>8.2f} ms   p99 {p99:>8.2f} ms")
    for name, other in [("root", "hello"), ("user", "root")]:
        print(f"  {name} / {other}: {medians[name][0] / medians[other][0]:.3f} of the requests")


def main():
    port = free_port()
    hello = subprocess.Popen([BIN / "examples" / "hello", f"127.0.0.1:{port}"])
    try:
        with Deployment("--connections", "0", "--connections-per-address", "0") as deployment:
            deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
            user_key = deployment.user("reader", policies())
            of_deployment = (deployment.port, deployment.process.pid)
            servers = {"hello": (port, hello.pid, ()), "root": (*of_deployment, ROOT_KEY), "user": (*of_deployment, user_key)}
            print(f"gateway: medians of {ROUNDS} rounds, alternating; the user has {POLICIES} policies of {STATEMENTS} statements")
            for connections in CONNECTIONS:
                measure(connections, servers)
    finally:
        hello.terminate()
        hello.wait()


main()
