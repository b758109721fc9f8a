"""Starts the release programs for a measurement and ends them again."""

import hashlib
import hmac
import json
import os
import pathlib
import shutil
import signal
import socket
import statistics
import subprocess
import tempfile
import time
import urllib.request
import uuid

BIN = pathlib.Path(os.environ["BENCHMARK_PROGRAMS"])
ACCOUNT = "1609982529000000"
KEY_ID, KEY_SECRET = "LTAIbenchmarkRoot", "benchmark-root-secret-0123456789abcdef"
ROOT_KEY = (KEY_ID, KEY_SECRET)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, condition, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise SystemExit(f"waited {seconds} s in vain: {what}")


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])


class Deployment:
    """`hansard serve` on a folder of its own, with arguments besides."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def __enter__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="hansard-bench-"))
        self.port = free_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.environment = os.environ | {
            "HANSARD_ROOT_ACCOUNT_ID": ACCOUNT,
            "HANSARD_ROOT_ACCESS_KEY_ID": KEY_ID,
            "HANSARD_ROOT_ACCESS_KEY_SECRET": KEY_SECRET,
        }
        self.client_environment = os.environ | {
            "HANSARD_ENDPOINT": self.endpoint,
            "ALIBABA_CLOUD_ACCESS_KEY_ID": KEY_ID,
            "ALIBABA_CLOUD_ACCESS_KEY_SECRET": KEY_SECRET,
        }
        self.log = open(self.folder / "serve.log", "wb")
        self.children = []
        self.start()
        return self

    def start(self):
        """Starts the server, also again on the same folder and address."""
        command = [BIN / "hansard", "serve", "--data-dir", self.folder / "data", "--listen", f"127.0.0.1:{self.port}"]
        # One client on one address: the limits of callers would be all that is measured.
        command += ["--address-rate", "0", "--principal-rate", "0"]
        command += self.arguments
        self.process = subprocess.Popen(command, env=self.environment, stdout=self.log, stderr=self.log)

        def serves():
            if self.process.poll() is not None:
                raise SystemExit((self.folder / "serve.log").read_text())
            return self.http_ok("/healthz")

        until("the server serves", serves)


    def __exit__(self, *_):
        for process in [*self.children, self.process]:
            process.send_signal(signal.SIGTERM)
            process.wait()
        # A spool that was not delivered is append-only where the agent may make it so.
        subprocess.run(["chattr", "-R", "-f", "-a", self.folder], stderr=subprocess.DEVNULL)
        shutil.rmtree(self.folder)

    def http_ok(self, path):
        try:
            return urllib.request.urlopen(self.endpoint + path, timeout=5).status == 200
        except OSError:
            return False

    def hansard(self, *arguments):
        command = [BIN / "hansard", *arguments, "--output", "json"]
        return json.loads(subprocess.check_output(command, env=self.client_environment))

    def admin(self, *arguments):
        command = [BIN / "hansard", "admin", *arguments, "--data-dir", self.folder / "data", "--output", "json"]
        return json.loads(subprocess.check_output(command, env=self.environment))

    def user(self, name, policies):
        """A RAM user with these documents attached; gives the id and the secret of its access key."""
        self.admin("user", "create", name)
        for number, document in enumerate(policies):
            file = self.folder / "policy.json"
            file.write_text(json.dumps(document))
            self.admin("policy", "put", f"{name}-{number}", file)
            self.admin("policy", "attach", f"{name}-{number}", "--user", name)
        key = self.admin("access-key", "create", "--user", name)
        return key["AccessKeyId"], key["AccessKeySecret"]

    def call(self, action, *parameters):
        command = [BIN / "hansard", "call", action, *parameters]
        return json.loads(subprocess.check_output(command, env=self.client_environment))

    def agent(self, instance):
        """An enrolled, running agent; gives its process and the environment that finds it."""
        token = self.hansard("agents", "token", "create", "--instance-id", instance, "--ttl", "5m")["Token"]
        state = self.folder / f"agent-{instance}"
        environment = os.environ | {"HANSARD_AGENT_STATE_DIR": str(state)}
        enrol = ["enrol", "--server", self.endpoint, "--token", token, "--instance-id", instance]
        subprocess.run([BIN / "hansard-agent", *enrol], env=environment, check=True, stdout=subprocess.DEVNULL)
        process = subprocess.Popen([BIN / "hansard-agent", "run"], env=environment, stdout=self.log, stderr=self.log)
        self.children.append(process)

        def recording():
            status = subprocess.run(
                [BIN / "hansard-agent", "status", "--output", "json"], env=environment, capture_output=True
            )
            return status.returncode == 0 and json.loads(status.stdout)["Recording"]

        until("the agent knows that it records", recording)
        return process, environment


def signed_request(port, key, action, body):
    """One V3-signed request as raw HTTP text; key is the id and the secret."""
    key_id, secret = key
    payload = hashlib.sha256(body.encode()).hexdigest()
    headers = {
        "content-type": "application/x-www-form-urlencoded",
        "host": f"127.0.0.1:{port}",
        "x-acs-action": action,
        "x-acs-content-sha256": payload,
        "x-acs-date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "x-acs-signature-nonce": uuid.uuid4().hex,
        "x-acs-version": "2022-02-20",
    }
    names = ";".join(headers)
    canonical = "\n".join(["POST", "/", "", *(f"{n}:{v}" for n, v in headers.items()), "", names, payload])
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    authorization = f"ACS3-HMAC-SHA256 Credential={key_id},SignedHeaders={names},Signature={signature}"
    lines = [f"{n}: {v}" for n, v in headers.items()] + [
        f"Authorization: {authorization}",
        f"Content-Length: {len(body)}",
    ]
    return "POST / HTTP/1.1\r\n" + "\r\n".join(lines) + "\r\n\r\n" + body


def median(values):
    return statistics.median(values)
