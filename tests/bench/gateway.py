"""Signed, audited GetInstanceRecordConfig of the account owner and of a RAM user beside actix-web's plain JSON hello; see
README.md."""

import re
import subprocess

from deployment import ACCOUNT, BIN, ROOT_KEY, Deployment, cpu_seconds, free_port, median, signed_request

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 32
POLICIES, STATEMENTS = 10, 5
# More than any round can use; running out would replay nonces, and wrk counts those replies as errors.
REQUESTS_PER_ROUND = 60_000

SCRIPT = """
local requests = {}
for request in io.open("%s", "rb"):read("*a"):gmatch("(.-)\\1") do requests[#requests + 1] = request end
local next_one = 0
request = function()
  next_one = next_one + 1
  return requests[next_one]
end
"""


def wrk(port, pid, script=None):
    before = cpu_seconds(pid)
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s", "--latency"]
    command += ["-s", str(script)] if script else []
    output = subprocess.check_output([*command, f"http://127.0.0.1:{port}/"], text=True)
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(f"wrk saw errors:\n{output}")
    done = int(re.search(r"(\d+) requests in", output)[1])
    p99, unit = re.search(r"99%\s+([\d.]+)(us|ms|s)", output).groups()
    p99 = float(p99) * {"us": 0.001, "ms": 1, "s": 1000}[unit]
    return done / SECONDS, (cpu_seconds(pid) - before) / done * 1e6, p99


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


def script(deployment, key):
    """A script for wrk with requests of their own for one round."""
    requests, path = deployment.folder / "requests", deployment.folder / "signed.lua"
    made = (
        signed_request(deployment.port, key, "GetInstanceRecordConfig", "InstanceId=i-bench1")
        for _ in range(REQUESTS_PER_ROUND)
    )
    requests.write_text("".join(request + "\1" for request in made), newline="")
    path.write_text(SCRIPT % requests)
    return path


def main():
    port = free_port()
    hello = subprocess.Popen([BIN / "examples" / "hello", f"127.0.0.1:{port}"])
    try:
        with Deployment() as deployment:
            deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
            user_key = deployment.user("reader", policies())
            rounds = {"hello": [], "root": [], "user": []}
            for _ in range(ROUNDS):
                rounds["hello"].append(wrk(port, hello.pid))
                for name, key in [("root", ROOT_KEY), ("user", user_key)]:
                    made = script(deployment, key)
                    rounds[name].append(wrk(deployment.port, deployment.process.pid, made))
        print(f"gateway: medians of five rounds, alternating; the user has {POLICIES} policies of {STATEMENTS} statements")
        medians = {name: [median(column) for column in zip(*values)] for name, values in rounds.items()}
        for name, (rate, cpu, p99) in medians.items():
            print(f"  {name:<7} {rate:>10.0f} requests/s   {cpu:>8.1f} µs CPU/request   p99 {p99:>8.2f} ms")
        print(f"  root / hello: {medians['root'][0] / medians['hello'][0]:.3f} of the requests")
        print(f"  user / root:  {medians['user'][0] / medians['root'][0]:.3f} of the requests")
    finally:
        hello.terminate()
        hello.wait()


main()
