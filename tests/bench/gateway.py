"""Signed, audited GetInstanceRecordConfig beside actix-web's plain JSON hello; see README.md."""

import re
import subprocess

from deployment import BIN, Deployment, cpu_seconds, free_port, median, signed_request, until

ROUNDS, SECONDS, CONNECTIONS = 5, 4, 32
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


def main():
    port = free_port()
    hello = subprocess.Popen([BIN / "examples" / "hello", f"127.0.0.1:{port}"])
    try:
        with Deployment() as deployment:
            deployment.call("SetInstanceRecordConfig", "InstanceId=*", "Enabled=true")
            rounds = {"hello": [], "signed": []}
            for _ in range(ROUNDS):
                requests = deployment.folder / "requests"
                body = "InstanceId=i-bench1"
                made = (signed_request(deployment.port, "GetInstanceRecordConfig", body) for _ in range(REQUESTS_PER_ROUND))
                requests.write_text("".join(request + "\1" for request in made), newline="")
                script = deployment.folder / "signed.lua"
                script.write_text(SCRIPT % requests)
                rounds["hello"].append(wrk(port, hello.pid))
                rounds["signed"].append(wrk(deployment.port, deployment.process.pid, script))
        print("gateway: medians of five rounds, alternating")
        medians = {name: [median(column) for column in zip(*values)] for name, values in rounds.items()}
        for name, (rate, cpu, p99) in medians.items():
            print(f"  {name:<7} {rate:>10.0f} requests/s   {cpu:>8.1f} µs CPU/request   p99 {p99:>8.2f} ms")
        print(f"  signed / hello: {medians['signed'][0] / medians['hello'][0]:.3f} of the requests")
    finally:
        hello.terminate()
        hello.wait()


main()
