#!/usr/bin/env python3
"""A small agent for Hansard, written against openapi/agent-v1.json alone.

    agent.py --state DIR enrol --server URL --token TOKEN --instance-id i-...
    agent.py --state DIR record -- COMMAND [ARGUMENT...]
    agent.py --state DIR record --stdin < FILE

`record` runs the command on a pseudo-terminal (or takes the bytes of standard input as a terminal's output), shows what it
prints, and delivers the recording. The last line on standard error is a JSON object with TerminalSessionToken and Status;
the exit code is the command's. It needs the packages cryptography and zstandard from PyPI.
"""

import argparse
import base64
import codecs
import collections
import datetime
import email.utils
import fcntl
import getpass
import hashlib
import json
import os
import pathlib
import pty
import queue
import secrets
import select
import signal
import socket
import struct
import sys
import termios
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

VERSION = "python-0.1.0"
FORMAT = "hansard-recording/1"
STREAM = b"terminal"
CAPTURED_BYTES = 1024 * 1024
MOST_LINES = 100_000
FIRST_SECONDS, LATER_SECONDS = 5, 15
SYNC_SECONDS = 1


class NotAcknowledged(Exception):
    """Under DeliveryMode sync the control plane did not acknowledge what was shown for too long."""


class Refused(Exception):
    """The control plane's refusal, with its code."""

    def __init__(self, status, reply):
        super().__init__(f"{reply.get('Code')}: {reply.get('Message')} (RequestId {reply.get('RequestId')})")
        self.code, self.retryable = reply.get("Code"), reply.get("Retryable", False) or status >= 500


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def standard_base64(data):
    return base64.b64encode(data).decode()


def web_base64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def time_of_day(seconds):
    moment = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"


class State:
    """The agent's folder: its keys, who it is, its configuration, and the sessions that are not delivered yet."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def write(self, name, data):
        """A file appears whole or not at all, and nobody else reads it."""
        path, new = self.folder / name, self.folder / f"{name}.new"
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)

    def read_json(self, name, default=None):
        path = self.folder / name
        return json.loads(path.read_bytes()) if path.exists() else default

    def key(self, name):
        path = self.folder / name
        if not path.exists():
            key = Ed25519PrivateKey.generate()
            self.write(name, key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())


def public_bytes(key):
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class ControlPlane:
    """The calls of the agent API."""

    def __init__(self, server, agent_id=None, key=None, patience=60):
        self.server, self.agent_id, self.key, self.patience = server.rstrip("/"), agent_id, key, patience
        self.skew = 0.0

    def token(self, method, path, body):
        now = int(time.time() + self.skew)
        header = {"typ": "JWT", "alg": "EdDSA", "kid": self.agent_id}
        claims = {
            "aud": "hansard-agent-api", "iat": now, "exp": now + 60, "jti": secrets.token_hex(16),
            "method": method, "path": path, "body_sha256": sha256(body),
        }
        signed = ".".join(web_base64(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{web_base64(self.key.sign(signed.encode()))}"

    def call(self, method, path, body=None):
        """One call, repeated while that can help."""
        return self.patiently(lambda: self.call_once(method, path, body))

    def call_once(self, method, path, body=None):
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        if self.key:
            headers["Authorization"] = f"Bearer {self.token(method, path, data)}"
        return self.send(method, self.server + path, headers, data or None)

    def upload(self, grant, data):
        url = urllib.parse.urljoin(self.server + "/", grant["Url"])
        self.send(grant["Method"], url, {"Content-Type": "application/octet-stream", **grant["Headers"]}, data)

    def patiently(self, attempt):
        give_up, pause = time.monotonic() + self.patience, 0.1
        while True:
            try:
                return attempt()
            except Refused as refused:
                if not refused.retryable or time.monotonic() > give_up:
                    raise
            except OSError:
                if time.monotonic() > give_up:
                    raise
            time.sleep(pause * (0.5 + secrets.randbelow(1000) / 1000))
            pause = min(pause * 2, 30)

    def send(self, method, url, headers, data):
        request = urllib.request.Request(url, data=data, method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as response:
                self.learn_time(response.headers)
                return json.loads(response.read() or b"{}")
        except urllib.error.HTTPError as error:
            self.learn_time(error.headers)
            text = error.read()
            try:
                reply = json.loads(text)
            except ValueError:
                reply = {"Code": f"HTTP {error.code}", "Message": "no JSON"}
            raise Refused(error.code, reply) from None

    def learn_time(self, headers):
        date = headers.get("Date")
        if date:
            self.skew = email.utils.parsedate_to_datetime(date).timestamp() - time.time()


def verifies(key, signature, payload):
    try:
        signed = b"hansard-configuration-v1\0" + payload
        Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(signature), signed)
        return True
    except InvalidSignature:
        return False


def configuration_of(signed, agent):
    """Looks for a signature by a pinned key and reads the payload."""
    keys = {key["KeyId"]: base64.b64decode(key["PublicKey"]) for key in agent["ServerKeys"]}
    payload = base64.b64decode(signed["Payload"])
    if not any(verifies(keys[by["KeyId"]], by["Signature"], payload) for by in signed["Signatures"] if by["KeyId"] in keys):
        raise SystemExit("agent: the configuration is not signed by a pinned key")
    configuration = json.loads(payload)
    if not configuration["ServerKeys"]:
        raise SystemExit("agent: the configuration names no keys that sign the next one")
    if (configuration["AgentId"], configuration["InstanceId"]) != (agent["AgentId"], agent["InstanceId"]):
        raise SystemExit("agent: the configuration is meant for another agent")
    return configuration


def enrol(state, options):
    authentication, sealing = state.key("authentication.key"), state.key("sealing.key")
    reply = ControlPlane(options.server).call("POST", "/agent/v1/enrol", {
        "JoinToken": options.token, "InstanceId": options.instance_id,
        "AuthenticationPublicKey": standard_base64(public_bytes(authentication)),
        "SealingPublicKey": standard_base64(public_bytes(sealing)),
        "Hostname": socket.gethostname(), "AgentVersion": VERSION,
        "Capabilities": [{"Kind": "terminal", "Version": "1"}], "Replace": options.replace,
    })
    configuration_of(reply["Configuration"], reply)
    state.write("configuration.json", json.dumps(reply["Configuration"]).encode())
    state.write("agent.json", json.dumps({"Server": options.server, **reply}).encode())
    print(reply["AgentId"])
    return 0


def current_configuration(state, agent, control_plane):
    """What the control plane says now; when it is away, what it said last."""
    kept = state.read_json("configuration.json")
    try:
        control_plane.patience = 5
        asked = control_plane.call("GET", "/agent/v1/configuration")["Configuration"]
    except OSError:
        return configuration_of(kept, agent)
    finally:
        control_plane.patience = 60
    newest, before = configuration_of(asked, agent), configuration_of(kept, agent)
    if newest["Revision"] < before["Revision"] and newest["IssuedTime"] <= before["IssuedTime"]:
        return before
    state.write("configuration.json", json.dumps(asked).encode())
    agent["ServerKeys"] = newest["ServerKeys"]
    state.write("agent.json", json.dumps(agent).encode())
    return newest


class Segments:
    """Cuts what a terminal shows into segments, and keeps the chain."""

    def __init__(self, token, start_document, columns, rows, header, spans):
        self.token, self.columns, self.rows, self.spans = token, columns, rows, spans
        self.chain = hashlib.sha256(b"hansard-chain-v1" + start_document + STREAM).digest()
        self.number, self.waiting = 0, b""
        self.lines = [json.dumps(header, ensure_ascii=False) + "\n"]
        self.first_at = self.last_at = None
        self.captured = 0
        self.totals = {"events": 0, "output_bytes": 0, "gaps": 0, "lost_bytes": 0}
        self.ledger = []

    def line(self, at, code, text):
        stamp = f"{at // 1_000_000}.{at % 1_000_000:06}"
        self.lines.append(f'[{stamp},"{code}",{json.dumps(text, ensure_ascii=False)}]\n')
        self.first_at = at if self.first_at is None else self.first_at
        self.last_at = at

    def output(self, at, data):
        data = self.waiting + data
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        decoder.decode(data)
        # What could be the beginning of a character waits for the rest of it.
        self.waiting = decoder.getstate()[0]
        self.emit(at, data[:len(data) - len(self.waiting)])

    def emit(self, at, data):
        if not data:
            return
        try:
            self.line(at, "o", data.decode())
        except UnicodeDecodeError:
            self.line(at, "o", data.decode(errors="replace"))
            self.line(at, "b", standard_base64(data))
        self.captured += len(data)
        self.totals["events"] += 1
        self.totals["output_bytes"] += len(data)

    def flush(self, at):
        waiting, self.waiting = self.waiting, b""
        self.emit(at, waiting)

    def exit(self, at, text):
        self.flush(at)
        self.line(at, "x", text)
        self.totals["events"] += 1

    def degraded(self, at, cause, reason):
        """Notes in the ledger that less is done than the configuration asks for."""
        self.flush(at)
        entry = {"reason": reason, "lost_bytes": 0, "kind": "degraded_mode", "cause": cause}
        self.line(at, "l", json.dumps(entry, ensure_ascii=False))
        self.ledger.append({
            "kind": "degraded_mode", "cause": cause, "first_at": at, "last_at": at, "count": 1, "reason": reason,
        })

    def due(self, at):
        longest = self.spans[min(self.number, 1)] * 1_000_000
        full = self.captured >= CAPTURED_BYTES or len(self.lines) >= MOST_LINES
        return self.first_at is not None and (full or at - self.first_at >= longest)

    def cut(self):
        """The next segment as its object's bytes and its entry in the manifest; None when nothing happened."""
        if self.first_at is None:
            return None
        content = b"hansard\x01" + bytes.fromhex(self.token)
        content += struct.pack(">IQHH", self.number, self.first_at, self.columns, self.rows)
        content += self.chain + bytes([len(STREAM)]) + STREAM
        frame = zstandard.ZstdCompressor(level=3, write_checksum=True).compress("".join(self.lines).encode())
        data = bytes.fromhex("502a4d18") + struct.pack("<I", len(content)) + content + frame
        before = self.chain
        self.chain = hashlib.sha256(
            b"hansard-chain-v1" + before + struct.pack(">QQ", self.number, len(data)) + hashlib.sha256(data).digest()
        ).digest()
        entry = {
            "number": self.number, "length": len(data), "sha256": sha256(data), "chain": self.chain.hex(),
            "first_at": self.first_at, "last_at": self.last_at,
        }
        self.number += 1
        self.lines, self.first_at, self.captured = [], None, 0
        return data, entry, before.hex()


class Delivery(threading.Thread):
    """Delivers segments in their order, beside the session. A segment's file goes only when it was acknowledged."""

    def __init__(self, state, control_plane, token, start_document):
        super().__init__()
        self.state, self.control_plane, self.token, self.start_document = state, control_plane, token, start_document
        self.pending, self.failure = queue.Queue(), None
        self.acknowledged, self.changed = 0, threading.Condition()

    def keep(self, data, entry, chain_before):
        self.state.write(f"sessions/{self.token}/{entry['number']:06}", data)
        self.pending.put((data, entry, chain_before))

    def run(self):
        try:
            self.control_plane.call("POST", "/agent/v1/recordings", {
                "TerminalSessionToken": self.token, "Kind": "terminal", "Start": standard_base64(self.start_document),
            })
            while (item := self.pending.get()) is not None:
                self.control_plane.patiently(lambda: self.deliver(*item))
                with self.changed:
                    self.acknowledged += 1
                    self.changed.notify()
                (self.state.folder / f"sessions/{self.token}/{item[1]['number']:06}").unlink()
        except Exception as failure:  # Told to the person by the thread that waits for this one.
            self.failure = failure

    def deliver(self, data, entry, chain_before):
        """Grant, upload, acknowledge: when one of them fails, all of them are repeated, with the same bytes."""
        path = f"/agent/v1/recordings/{self.token}"
        name = f"terminal/{entry['number']:06}.cast.zst"
        granted = self.control_plane.call_once("POST", f"{path}/grants", {
            "ObjectName": name, "Length": entry["length"], "Sha256": entry["sha256"],
        })
        self.control_plane.upload(granted["Grant"], data)
        self.control_plane.call_once("POST", f"{path}/segments", {
            "Stream": "terminal", "Number": entry["number"], "Length": entry["length"], "Sha256": entry["sha256"],
            "ChainBefore": chain_before, "ChainAfter": entry["chain"],
            "FirstAtMicros": entry["first_at"], "LastAtMicros": entry["last_at"],
        })


class Recording:
    """One session, from its start document to its seal."""

    def __init__(self, state, agent, control_plane, configuration, options):
        command, columns, rows = options.command, options.columns, options.rows
        self.hold_after, self.end_after = options.hold_after, options.end_after
        wanted = configuration["Recording"]
        self.mode = wanted.get("DeliveryMode", "async")
        if self.mode not in ("async", "sync"):
            raise SystemExit(f"agent: refused: this agent knows no delivery mode {self.mode}")
        self.policy = wanted.get("FailurePolicy", "strict")
        # When the oldest byte was shown of each segment that is not acknowledged, and of the one that is being filled.
        self.shown, self.filling_since = collections.deque(), None
        self.state, self.control_plane, self.agent = state, control_plane, agent
        self.sealing = state.key("sealing.key")
        self.numbers = state.read_json("numbers.json", {"last": 0, "previous_manifest": None})
        self.numbers["last"] += 1
        state.write("numbers.json", json.dumps(self.numbers).encode())
        self.began = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
        self.started = time.time() + control_plane.skew
        self.token = secrets.token_hex(16)
        start = {
            "format": FORMAT, "recording": self.token, "kind": "terminal", "account": agent["AccountId"],
            "instance": agent["InstanceId"], "agent": agent["AgentId"],
            "agent_sealing_key": standard_base64(public_bytes(self.sealing)), "agent_recording_number": self.numbers["last"],
            "configuration_revision": configuration["Revision"], "started_at": time_of_day(self.started),
            "terminal": {"columns": columns, "rows": rows}, "claimed_user": getpass.getuser(), "agent_version": VERSION,
            "failure_policy": self.policy, "delivery_mode": self.mode,
        }
        if command:
            start["command"] = command
        if self.numbers["previous_manifest"]:
            start["previous_manifest"] = self.numbers["previous_manifest"]
        self.start, self.document = start, json.dumps(start, indent=2).encode() + b"\n"
        state.write(f"sessions/{self.token}/start.json", self.document)
        header = {"version": 2, "width": columns, "height": rows, "timestamp": int(self.started)}
        spans = (SYNC_SECONDS, SYNC_SECONDS) if self.mode == "sync" else (FIRST_SECONDS, LATER_SECONDS)
        self.segments = Segments(self.token, self.document, columns, rows, header, spans)
        self.entries = []
        self.delivery = Delivery(state, control_plane, self.token, self.document)
        self.delivery.start()

    def now(self):
        return (time.clock_gettime_ns(time.CLOCK_BOOTTIME) - self.began) // 1000

    def output(self, data):
        self.last_in = self.segments.number
        self.segments.output(self.now(), data)
        if self.segments.due(self.now()):
            self.cut()

    def may_show(self):
        """Under sync, waits until what was shown is acknowledged in time; only then is what was recorded last shown."""
        while self.mode == "sync":
            if self.segments.due(self.now()):
                self.cut()
            with self.delivery.changed:
                while self.shown and self.shown[0][0] < self.delivery.acknowledged:
                    self.shown.popleft()
                oldest = self.shown[0][1] if self.shown else self.filling_since
                age = 0 if oldest is None else time.monotonic() - oldest
                if age < self.hold_after:
                    break
                # A delivery that has failed acknowledges nothing any more.
                if age < self.hold_after + self.end_after and self.delivery.failure is None:
                    self.delivery.changed.wait(0.1)
                    continue
            self.give_up(f"the control plane did not acknowledge what was shown within {self.hold_after + self.end_after:g} s")
        now = time.monotonic()
        if self.last_in == self.segments.number:
            self.filling_since = self.filling_since or now
        elif not self.shown or self.shown[-1][0] < self.last_in:
            self.shown.append((self.last_in, now))

    def give_up(self, reason):
        if self.policy != "best_effort":
            raise NotAcknowledged(reason)
        print(f"agent: output goes on: {reason} (FailurePolicy best_effort)", file=sys.stderr)
        self.mode, self.segments.spans = "async", (FIRST_SECONDS, LATER_SECONDS)
        self.segments.degraded(self.now(), "delivery_not_acknowledged", reason)

    def cut(self):
        if (segment := self.segments.cut()) is not None:
            self.entries.append(segment[1])
            if self.filling_since is not None:
                self.shown.append((segment[1]["number"], self.filling_since))
                self.filling_since = None
            self.delivery.keep(*segment)

    def end(self, exit_text=None, end=None):
        at = self.now()
        if exit_text is None:
            self.segments.flush(at)
        else:
            self.segments.exit(at, exit_text)
        self.cut()
        self.delivery.pending.put(None)
        self.delivery.join()
        if self.delivery.failure:
            raise self.delivery.failure
        return self.seal(at, end)

    def seal(self, duration, end):
        start = self.start
        manifest = {
            "format": FORMAT, "number": 0, "recording": self.token,
            "start": {"name": "start.json", "length": len(self.document), "sha256": sha256(self.document)},
            "agent": start["agent"], "agent_recording_number": start["agent_recording_number"],
            "started_at": start["started_at"], "ended_at": time_of_day(self.started + duration / 1_000_000),
            "duration": duration, "end": end, "delivery_mode": self.mode,
            "streams": [{
                "stream": "terminal", "segments": self.entries, "final_chain": self.segments.chain.hex(), **self.segments.totals,
                **({"ledger": self.segments.ledger} if self.segments.ledger else {}),
            }],
        }
        if self.numbers["previous_manifest"]:
            manifest["previous_manifest"] = self.numbers["previous_manifest"]
        document = json.dumps(manifest, indent=2).encode() + b"\n"
        signature = self.sealing.sign(document)
        self.state.write(f"sessions/{self.token}/manifest-0000.json", document)
        reply = self.control_plane.call("POST", f"/agent/v1/recordings/{self.token}/seal", {
            "Manifest": standard_base64(document), "Signature": standard_base64(signature),
        })
        self.numbers["previous_manifest"] = sha256(document)
        self.state.write("numbers.json", json.dumps(self.numbers).encode())
        folder = self.state.folder / "sessions" / self.token
        for file in folder.iterdir():
            file.unlink()
        folder.rmdir()
        return reply["Status"]


def record(state, options):
    agent = state.read_json("agent.json")
    if agent is None:
        raise SystemExit("agent: not enrolled; run enrol first")
    control_plane = ControlPlane(agent["Server"], agent["AgentId"], state.key("authentication.key"))
    configuration = current_configuration(state, agent, control_plane)
    wanted = configuration["Recording"] is not None and any(c["Kind"] == "terminal" for c in configuration["Captures"])
    recording = None
    if wanted:
        recording = Recording(state, agent, control_plane, configuration, options)
    else:
        print("agent: not recorded: recording is off for this instance", file=sys.stderr)
    try:
        if options.stdin:
            code = show(iter(lambda: os.read(0, 65536), b""), recording)
            status = recording and recording.end(end={"interrupted": {"reason": "standard input ended"}})
        else:
            code = run_command(options, recording)
            ended = {"exited": {"code": code}} if code >= 0 else {"exited": {"signal": -code}}
            status = recording and recording.end(exit_text=str(code), end=ended)
    except NotAcknowledged as why:
        print(f"agent: the session was ended: {why} (DeliveryMode sync)", file=sys.stderr, flush=True)
        # Nothing more is shown, however long it takes to deliver what is recorded.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code, status = 1, recording.end(end={"interrupted": {"reason": str(why)}})
    if recording:
        print(json.dumps({"TerminalSessionToken": recording.token, "Status": status}), file=sys.stderr)
    return code if code >= 0 else 128 - code


def show(pieces, recording):
    """Shows what comes, and records it first."""
    for piece in pieces:
        if recording:
            recording.output(piece)
            if piece:
                recording.may_show()
        sys.stdout.buffer.write(piece)
        sys.stdout.buffer.flush()
    return 0


def run_command(options, recording):
    """Runs the command on a pseudo-terminal; its exit code, or minus the signal that ended it."""
    child, terminal = pty.fork()
    if child == 0:
        try:
            os.execvp(options.command[0], options.command)
        except OSError as error:
            os.write(2, f"agent: {options.command[0]}: {error.strerror}\r\n".encode())
            os._exit(127)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", options.rows, options.columns, 0, 0))

    def printed():
        while True:
            if not select.select([terminal], [], [], 0.25)[0]:
                yield b""  # Nothing was printed; what is old enough is cut all the same.
                continue
            try:
                piece = os.read(terminal, 65536)
            except OSError:  # Linux says EIO when the last program has closed the terminal.
                return
            if not piece:
                return
            yield piece

    try:
        show(printed(), recording)
    except NotAcknowledged:
        # The command is hung up, and ended if it does not mind that.
        os.close(terminal)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        raise
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def main():
    parser = argparse.ArgumentParser(description="A small agent for Hansard.")
    parser.add_argument("--state", required=True, help="the folder of this agent's keys and sessions")
    commands = parser.add_subparsers(required=True)
    joining = commands.add_parser("enrol", help="join the control plane")
    joining.add_argument("--server", required=True)
    joining.add_argument("--token", required=True)
    joining.add_argument("--instance-id", required=True)
    joining.add_argument("--replace", action="store_true")
    joining.set_defaults(run=enrol)
    recording = commands.add_parser("record", help="record a command, or standard input")
    recording.add_argument("--stdin", action="store_true", help="take standard input for a terminal's output")
    recording.add_argument("--columns", type=int, default=80)
    recording.add_argument("--rows", type=int, default=24)
    recording.add_argument("--hold-after", type=float, default=10, metavar="SECONDS",
                           help="under DeliveryMode sync, show nothing more while what was shown so long ago is not stored")
    recording.add_argument("--end-after", type=float, default=30, metavar="SECONDS",
                           help="under DeliveryMode sync, end the session when it was held so long")
    recording.add_argument("command", nargs=argparse.REMAINDER)
    recording.set_defaults(run=record)
    options = parser.parse_args()
    if options.run is record:
        options.command = options.command[1:] if options.command[:1] == ["--"] else options.command
        if bool(options.command) == options.stdin:
            parser.error("record takes either a command after -- or --stdin")
    try:
        return options.run(State(options.state), options)
    except (Refused, OSError) as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
