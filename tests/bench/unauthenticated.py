"""What unauthenticated callers can take of a server: memory for bodies that never end, and connections; see README.md."""

import multiprocessing
import pathlib
import resource
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from deployment import BIN, ROOT_KEY, Deployment, free_port, resident_kib, signed_request, until

ALMOST = 1024 * 1024 - 1
FORM = "application/x-www-form-urlencoded"


class Peak:
    """The largest resident memory of a process while this is entered."""

    def __init__(self, pid):
        self.pid, self.kib, self.ended = pid, 0, threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def watch(self):
        while not self.ended.wait(0.02):
            self.kib = max(self.kib, resident_kib(self.pid))


def connect(port, source):
    stream = socket.socket()
    stream.setblocking(False)
    stream.bind((source, 0))
    stream.connect_ex(("127.0.0.1", port))
    return stream


def sources(count):
    return [f"127.0.2.{number + 1}" for number in range(count)]


def hold(port, number, addresses, head, body_bytes, seconds):
    """Sends `number` requests from these addresses just short of their ends, for so many seconds; gives the open ones."""
    selector, unsent = selectors.DefaultSelector(), {}
    request = memoryview(head + b"a" * body_bytes)
    for index in range(number):
        stream = connect(port, addresses[index % len(addresses)])
        unsent[stream] = request
        selector.register(stream, selectors.EVENT_WRITE | selectors.EVENT_READ)
    deadline = time.monotonic() + seconds
    while selector.get_map() and time.monotonic() < deadline:
        for key, events in selector.select(0.1):
            stream = key.fileobj
            try:
                if events & selectors.EVENT_READ and not stream.recv(65536):
                    raise ConnectionResetError
                if events & selectors.EVENT_WRITE and unsent[stream]:
                    sent = stream.send(unsent[stream][:65536])
                    unsent[stream] = unsent[stream][sent:]
                    if not unsent[stream]:
                        selector.modify(stream, selectors.EVENT_READ)
            except BlockingIOError:
                continue
            except OSError:
                selector.unregister(stream)
                stream.close()
                del unsent[stream]
    return list(unsent)


def answers(port, source, text):
    """How many seconds a whole request takes until its 200; None when there is none."""
    began = time.monotonic()
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=10, source_address=(source, 0)) as stream:
            stream.sendall(text.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n", 1).encode())
            reply = b""
            while piece := stream.recv(65536):
                reply += piece
    except OSError:
        return None
    return time.monotonic() - began if reply.startswith(b"HTTP/1.1 200") else None


def asked(port, source="127.0.0.1"):
    """/healthz and a signed call, as seconds."""
    shown = []
    health = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
    call = signed_request(port, ROOT_KEY, "GetInstanceRecordConfig", "InstanceId=i-1")
    for name, text in (("/healthz", health), ("signed call", call)):
        seconds = answers(port, source, text)
        shown.append(f"{name} {'DOES NOT ANSWER' if seconds is None else f'{seconds * 1000:.0f} ms'}")
    return ", ".join(shown)


def ask_after(seconds, port, says):
    time.sleep(seconds)  # while the bodies are sent; what it says is a measurement, and nothing hangs on it
    says.send(asked(port))


def bodies(number, addresses, kind, head_lines):
    head = f"POST / HTTP/1.1\r\nHost: x\r\n{head_lines}Content-Length: {ALMOST + 1}\r\n\r\n"
    held_requests(number, addresses, kind, lambda _: head, ALMOST)


def whole_heads(number):
    """Heads of many parameters and a long header, each with a form of two bytes of which one comes."""
    query = "&".join(f"{index}=" for index in range(4000))
    head = (
        f"POST /?{query} HTTP/1.1\r\nHost: x\r\nX-More: {'a' * (120 * 1024 - len(query))}\r\n"
        f"Content-Type: {FORM}\r\nContent-Length: 2\r\n\r\n"
    )
    held_requests(number, ["127.0.2.1"], "whole heads of 120 KiB before forms of 2 bytes", lambda _: head, 1)


def bodies_of_one_key(number):
    """One signed head, sent again and again: what it says is not used up before its body is here."""

    def head(deployment):
        key = deployment.user("greedy", [])
        signed = signed_request(deployment.port, key, "GetInstanceRecordConfig", "InstanceId=i-1")
        lines = signed.split("\r\n\r\n")[0].split("\r\n")
        lines = [line for line in lines if not line.startswith("Content-Length")]
        return "\r\n".join([*lines, f"Content-Length: {ALMOST + 1}"]) + "\r\n\r\n"

    held_requests(number, ["127.0.2.1"], "V3 bodies of one user", head, ALMOST)


def held_requests(number, addresses, kind, head_for, body_bytes):
    with Deployment() as deployment:
        port, pid = deployment.port, deployment.process.pid
        before = resident_kib(pid)
        head = head_for(deployment).encode()
        with Peak(pid) as peak:
            # A process of its own: this one is busy with its thousands of connections.
            seen, says = multiprocessing.Pipe(duplex=False)
            asking = multiprocessing.Process(target=ask_after, args=(3, port, says))
            asking.start()
            held = hold(port, number, addresses, head, body_bytes, seconds=8)
            asking.join()
        print(
            f"  {number} {kind} from {len(addresses)} address(es): {before / 1024:.0f} -> {peak.kib / 1024:.0f} MiB; "
            f"{len(held)} still open; meanwhile {seen.recv()}",
            flush=True,
        )
        for stream in held:
            stream.close()


def half_heads(number, descriptors):
    """A server of its own, with few descriptors."""
    with tempfile.TemporaryDirectory(prefix="hansard-bench-") as folder:
        port = free_port()
        log = open(pathlib.Path(folder) / "log", "wb")
        process = subprocess.Popen(
            [BIN / "hansard", "serve", "--data-dir", f"{folder}/data", "--listen", f"127.0.0.1:{port}"],
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors)),
        )

        def serves():
            try:
                return urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=5).status == 200
            except OSError:
                return False

        until("the server serves", serves)
        health = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        for addresses in (["127.0.0.1"], sources(16)):
            held = hold(port, number, addresses, b"POST / HTTP/1.1\r\nHost: x\r\nX-More: ", 0, seconds=2)
            times = [answers(port, "127.0.0.1", health) for _ in range(20)]
            answered = [seconds for seconds in times if seconds is not None]
            slowest = f", the slowest {max(answered) * 1000:.0f} ms" if answered else ""
            print(
                f"  {number} half heads from {len(addresses)} address(es), {descriptors} descriptors: {len(held)} still "
                f"open; /healthz answers {len(answered)} of {len(times)}{slowest}",
                flush=True,
            )
            for stream in held:
                stream.close()
        process.send_signal(signal.SIGTERM)
        process.wait()


files = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (files[1], files[1]))
print("unauthenticated callers: resident memory before and at the peak, and who is answered meanwhile")
unsigned, form = "", f"Content-Type: {FORM}\r\n"
for number in map(int, sys.argv[1:] or ("1000", "5000")):
    bodies(number, ["127.0.2.1"], "unsigned bodies", unsigned)
    bodies(number, ["127.0.2.1"], "unsigned forms", form)
    bodies(number, sources(20), "unsigned forms", form)
    whole_heads(number)
    bodies_of_one_key(number)
half_heads(700, 512)
