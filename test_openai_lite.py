# SPDX-License-Identifier: MIT
"""Tests of openai_lite, from the outside: real sockets on loopback, real files, real processes.

They stand under the banners of the module.  Replaced are only clock, sleep and randomness.

    python3 test_openai_lite.py [arguments of pytest]

makes a virtual environment in .venv with pytest and mypy, if it is not there, and runs them in it.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import builtins
import codecs
import concurrent.futures
import contextlib
import copy
import dataclasses
import datetime
import dis
import doctest
import email
import enum
import errno
import functools
import gc
import gzip
import hashlib
import hmac
import http.client
import http.server
import importlib
import importlib.util
import inspect
import io
import itertools
import json
import logging
import multiprocessing
import os
import pathlib
import pickle
import py_compile
import random
import re
import shlex
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import traceback
import tracemalloc
import types
import typing
import weakref
import zipfile
import zlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple, Union

HERE = pathlib.Path(__file__).resolve().parent


def main(arguments: List[str]) -> Union[int, str]:
    """Run pytest in a virtual environment of this folder; returns what sys.exit takes."""
    folder = HERE / ".venv"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        make = [sys.executable, "-m", "venv", str(folder)]
        if subprocess.run(make).returncode:
            # Debian leaves venv out of its python3; where we may, we install it.
            if not shutil.which("apt-get") or os.geteuid():
                return "no virtual environment: on Debian, `apt install python3-venv` as root"
            subprocess.run(["apt-get", "update", "-qq"], check=True)
            subprocess.run(["apt-get", "install", "-qq", "-y", "python3-venv"], check=True)
            subprocess.run(make + ["--clear"], check=True)
    tools = ["pytest"] + ["mypy"] * (sys.version_info >= (3, 10))
    ask = [str(python), "-c", "import " + ", ".join(tools)]
    if subprocess.run(ask, stderr=subprocess.DEVNULL).returncode:
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", *tools], check=True)
    return subprocess.run([str(python), "-m", "pytest", *arguments], cwd=str(HERE)).returncode


if __name__ == "__main__":  # before pytest is imported, which may not be there yet
    sys.exit(main(sys.argv[1:]))

import pytest  # noqa: E402

sys.path.insert(0, str(HERE / "examples"))

import openai_lite as openai  # noqa: E402
from openai_lite import AsyncOpenAI, OpenAI  # noqa: E402

KEY = "sk-test-0123456789abcdef"

# A shell starts what runs in the background with SIGINT ignored, and children inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

########################################################################
## Helpers
########################################################################

Answer = Union[bytes, Callable[[socket.socket], None]]


class RawServer:
    """Answers request after request with the next of `answers`, byte for byte, then hangs up.

    An answer may be a function that is given the socket; the connection ends with it, as it does
    after `Connection: close`.  What was asked is in `requests`, as (head, body); `connections`
    counts the sockets accepted.
    """

    def __init__(
        self, *answers: Answer, tls: Optional[ssl.SSLContext] = None, port: int = 0
    ) -> None:
        self.answers = list(answers)
        self.requests: List[Tuple[str, bytes]] = []
        self.connections = 0
        self.closing = False
        self.tls = tls
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", port))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v1"
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self) -> RawServer:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        # The thread must be gone before the descriptor is: the next server may get the same number,
        # and this thread would then answer in its place.
        self.closing = True
        try:
            self.listener.shutdown(socket.SHUT_RDWR)  # ends accept() on Linux
        except OSError:
            socket.create_connection(("127.0.0.1", self.port), 10).close()  # and this elsewhere
        self.thread.join(10)
        self.listener.close()

    def accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            if self.closing:
                conn.close()
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(contextlib.suppress(OSError))
            stack.enter_context(conn)
            if self.tls:
                conn = stack.enter_context(self.tls.wrap_socket(conn, server_side=True))
            file = stack.enter_context(conn.makefile("rb"))
            while True:
                head = read_request_head(file)
                if not head:
                    return
                length = re.search(r"(?i)^content-length: (\d+)", head, re.M)
                body = file.read(int(length.group(1))) if length else b""
                with self.lock:
                    self.requests.append((head, body))
                    if not self.answers:
                        return
                    answer = self.answers.pop(0)
                if callable(answer):
                    answer(conn)
                    return
                conn.sendall(answer)
                if b"\r\nConnection: close" in answer:
                    return


def hang_up(sent: bytes = b"") -> Callable[[socket.socket], None]:
    """The answer that breaks off after these bytes."""
    return lambda conn: conn.sendall(sent)


def read_request_head(file: Any) -> str:
    lines: List[str] = []
    while True:
        line = file.readline()
        if line in (b"\r\n", b""):
            return "".join(lines)
        lines.append(line.decode("latin-1"))


def answer(
    body: Union[bytes, str, Dict[str, Any]] = b"{}", status: str = "200 OK", **headers: str
) -> bytes:
    """The bytes of a response."""
    if isinstance(body, dict):
        body = json.dumps(body)
    if isinstance(body, str):
        body = body.encode("utf-8")
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body))}
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{name}: {value}" for name, value in fields.items() if value]
    return "\r\n".join([f"HTTP/1.1 {status}"] + lines).encode("latin-1") + b"\r\n\r\n" + body


def sse(*events: Any) -> bytes:
    """A body of server-sent events."""
    return b"".join(
        b"data: " + (e if isinstance(e, bytes) else json.dumps(e).encode("utf-8")) + b"\n\n"
        for e in events
    )


def headers_of(head: str) -> Dict[str, str]:
    pairs = [line.partition(": ") for line in head.rstrip().split("\r\n")[1:]]
    return {name.lower(): value for name, _, value in pairs}


def client_of(server: Any, **options: Any) -> OpenAI:
    given: Dict[str, Any] = {"base_url": server.url, "api_key": KEY, "max_retries": 0}
    return OpenAI(**dict(given, **options))


def async_client_of(server: Any, **options: Any) -> AsyncOpenAI:
    given: Dict[str, Any] = {"base_url": server.url, "api_key": KEY, "max_retries": 0}
    return AsyncOpenAI(**dict(given, **options))


def python(
    *args: str, cwd: Any = HERE, given: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run this Python on something, in an environment without keys or proxies."""
    env = {k: v for k, v in os.environ.items() if not k.startswith(("OPENAI_", "AZURE_"))}
    env = {k: v for k, v in env.items() if not k.lower().endswith("_proxy")}
    env.update(environ)
    return subprocess.run(
        [sys.executable, *args],
        cwd=str(cwd),
        env=env,
        universal_newlines=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        input=given,
        timeout=300,
    )


@pytest.fixture(scope="session")
def server() -> Iterator[Any]:
    """The local server of the examples, which speaks the API."""
    import local_server

    with local_server.LocalServer() as running:
        yield running


@pytest.fixture
def client(server: Any) -> Iterator[OpenAI]:
    with client_of(server) as made:
        yield made


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("OPENAI_", "AZURE_OPENAI_")) or name.lower().endswith("_proxy"):
            monkeypatch.delenv(name)


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> List[float]:
    """Do not sleep between retries; returns the list of how long it would have been."""
    waits: List[float] = []
    monkeypatch.setattr(openai, "sleep", waits.append)
    monkeypatch.setattr(openai, "random_fraction", lambda: 0.0)
    return waits


def whole_traceback(error: BaseException) -> str:
    """All that Python would print about an error and its causes, its repr, and a pickle of it."""
    lines = traceback.format_exception(type(error), error, error.__traceback__)
    shown = "".join(lines) + repr(error) + repr(getattr(error, "request", ""))
    return shown + repr(getattr(error, "response", "")) + repr(pickle.dumps(error))


def wait_until(condition: Callable[[], Any], limit: float = 30.0) -> None:
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not come true in time"
        time.sleep(0.005)


def open_descriptors() -> int:
    """How many files and sockets this process has open."""
    gc.collect()
    for directory in ("/proc/self/fd", "/dev/fd"):
        if os.path.isdir(directory):
            return len(os.listdir(directory))
    pytest.skip("this system does not say which files are open")


@contextlib.contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port where each connection is given to `handle`, before anything is read."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)

    def serve(conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            handle(conn)

    def accept() -> None:
        while True:
            try:
                conn, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(conn,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


CHECKED = sys.version_info >= (3, 10)
mypy_runs = pytest.mark.skipif(not CHECKED, reason="mypy needs Python 3.10")


@pytest.fixture
def unused_port() -> int:
    """A port where nothing listens."""
    with contextlib.closing(socket.socket()) as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
    return port


########################################################################
## 1. Compatibility
########################################################################

SOURCE = (HERE / "openai_lite.py").read_text(encoding="utf-8")


def test_only_the_standard_library_is_imported() -> None:
    """Third-party names may stand under TYPE_CHECKING only, which never runs."""
    tree = ast.parse(SOURCE)
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            node.body = []
    imported: Set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "a relative import would tie the file to a package"
            imported.add((node.module or "").partition(".")[0])
    known = getattr(sys, "stdlib_module_names", None)
    if known is None:  # before Python 3.10
        known = {name for name in imported if not python("-S", "-c", f"import {name}").returncode}
    assert imported - set(known) == set()


HEAVY = (
    "asyncio", "dataclasses", "inspect", "logging", "uuid", "email", "http", "ssl", "urllib",
    "json", "re", "typing", "enum", "functools", "collections", "threading", "socket",
)


def test_import_and_client_load_nothing_heavy_and_start_no_thread() -> None:
    """Also with the variables set that configure the client: reading them is for the client."""
    program = """
import sys; before = set(sys.modules)
import openai_lite
client = openai_lite.OpenAI(api_key="k", default_headers={"x-a": "b"}, base_url="http://[::1]:1/v1")
openai_lite.AsyncOpenAI(api_key="k")
client.chat.completions, client.files
print(sorted({name.partition(".")[0] for name in set(sys.modules) - before}))
import threading
assert threading.active_count() == 1
"""
    done = python("-S", "-c", program)
    assert done.returncode == 0, done.stderr
    assert set(ast.literal_eval(done.stdout)).intersection(HEAVY) == set()
    done = python("-c", "import openai_lite", OPENAI_LOG="debug", OPENAI_API_KEY="bad\nkey")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("way", ["renamed", "in a package", "from a zip", "by path", "twice"])
def test_the_file_works_wherever_it_is_put(way: str, tmp_path: pathlib.Path, server: Any) -> None:
    load = {
        "renamed": "import my_client as ai",
        "in a package": "from vendored.deep import openai_lite as ai",
        "from a zip": "import sys; sys.path.insert(0, 'lib.zip'); import openai_lite as ai",
        "by path": """
import importlib.util
spec = importlib.util.spec_from_file_location("not_registered", "my_client.py")
ai = importlib.util.module_from_spec(spec); spec.loader.exec_module(ai)""",
        "twice": "import my_client; import vendored.deep.openai_lite as ai",
    }[way]
    (tmp_path / "my_client.py").write_text(SOURCE, encoding="utf-8")
    package = tmp_path / "vendored" / "deep"
    package.mkdir(parents=True)
    for folder in (package, package.parent):
        (folder / "__init__.py").write_text("")
    (package / "openai_lite.py").write_text(SOURCE, encoding="utf-8")
    with zipfile.ZipFile(str(tmp_path / "lib.zip"), "w") as archive:
        archive.writestr("openai_lite.py", SOURCE)
    program = load + """
import asyncio, dataclasses, pickle
client = ai.OpenAI()
done = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
assert type(done.choices[0].message).__name__ == "ChatCompletionMessage", type(done.choices[0])
assert dataclasses.asdict(done)["id"] == done.id
assert [type(event).__name__ for event in client.responses.create(model="m", input="x", stream=True)
        ][-1] == "ResponseCompletedEvent"
async def main():
    async with ai.AsyncOpenAI() as client:
        return [model.id async for model in client.models.list()]
assert asyncio.run(main())
"""
    done = python("-c", program, cwd=tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url)
    assert done.returncode == 0, done.stderr


def test_omit_and_not_given_are_false_say_their_name_and_survive_pickling() -> None:
    for value, name in ((openai.omit, "omit"), (openai.NOT_GIVEN, "NOT_GIVEN")):
        assert not value and repr(value) == name
        assert pickle.loads(pickle.dumps(value)) is value and copy.deepcopy(value) is value
    assert isinstance(openai.NOT_GIVEN, openai.NotGiven) and openai.not_given is openai.NOT_GIVEN


def test_every_public_name_exists_once() -> None:
    assert len(openai.__all__) == len(set(openai.__all__))
    for name in openai.__all__:
        assert getattr(openai, name, None) is not None, name
    namespace: Dict[str, Any] = {}
    exec("from openai_lite import *", namespace)
    assert set(openai.__all__) <= set(namespace)


########################################################################
## 2. Wire formats
########################################################################

# ---- 2.1 Server-sent events ----

BOM = b"\xef\xbb\xbf"
OK = b'data: {"a":1}\n\n'
LONG = '{"a":"\u00e4\u20ac\U0001f600\u2028\u0085"}'

# What to feed, and the (event, data) that the standard wants; after web-platform-tests,
# eventsource/format-*.
SSE_CASES: List[Tuple[str, bytes, List[Tuple[str, str]]]] = [
    ("nothing", b"", []),
    ("one event", OK, [("", '{"a":1}')]),
    ("CR", b'data: {"a":1}\r\r', [("", '{"a":1}')]),
    ("CRLF", b'data: {"a":1}\r\n\r\n', [("", '{"a":1}')]),
    ("mixed line ends", b"data: 1\r\ndata: 2\rdata: 3\n\rdata: 4\r\n\n",
     [("", "1\n2\n3"), ("", "4")]),
    ("LF, then CRLF", OK + b'data: {"b":2}\r\n\r\n' + OK,
     [("", '{"a":1}'), ("", '{"b":2}')] + [("", '{"a":1}')]),
    ("CRLF, then LF", b"data: 1\r\n\r\n" + OK, [("", "1"), ("", '{"a":1}')]),
    ("BOM", BOM + OK, [("", '{"a":1}')]),
    ("BOM and CR", BOM + b"data: 1\r\r", [("", "1")]),
    ("double BOM", BOM + BOM + OK + OK, [("", '{"a":1}')]),
    ("double BOM and CRLF", BOM + BOM + b"data: 1\r\n\r\ndata: 2\r\n\r\n", [("", "2")]),
    ("BOM after the start", OK + BOM + OK + OK, [("", '{"a":1}')] * 2),
    ("BOM after a blank line", b"\n" + BOM + OK + OK, [("", '{"a":1}')]),
    ("BOM after two blank lines", b"\n\n" + BOM + OK + OK, [("", '{"a":1}')]),
    ("comments", b": hi\n\n:\n\n" + OK + b": bye\n\n", [("", '{"a":1}')]),
    ("comment inside", b": hi\ndata: {\n: there\ndata: }\n\n", [("", "{\n}")]),
    ("no space", b'data:{"a":1}\n\n', [("", '{"a":1}')]),
    ("two spaces", b"data:  1\n\n", [("", " 1")]),
    ("space inside the name", b"data : 1\n\ndata: 2\n\n", [("", "2")]),
    ("leading space", b" data: 1\n\ndata: 2\n\n", [("", "2")]),
    ("tab is no space", b"data:\t1\n\n", [("", "\t1")]),
    ("upper case name", b"DATA: 1\n\ndata: 2\n\n", [("", "2")]),
    ("field without colon", b"data\n\ndata: 1\n\n", [("", ""), ("", "1")]),
    ("two fields without colon", b"data\ndata\n\n", [("", "\n")]),
    ("empty data", b"data:\n\ndata: \n\n" + OK, [("", ""), ("", ""), ("", '{"a":1}')]),
    ("JSON over lines", b'data: {"a":\ndata: 1}\n\n', [("", '{"a":\n1}')]),
    ("JSON broken by a bare line", b'data: {"a":\n1}\n\n' + OK, [("", '{"a":'), ("", '{"a":1}')]),
    ("JSON, then more of it", b'data: {"a":1}\ndata: 2\n\n', [("", '{"a":1}\n2')]),
    ("JSON, then spaces", b'data: {"a":1}  \n\n', [("", '{"a":1}  ')]),
    ("JSON, then junk", b'data: {"a":1}}\n\n' + OK, [("", '{"a":1}}'), ("", '{"a":1}')]),
    ("other JSON", b'data: [1]\n\ndata: "x"\n\ndata: null\n\n',
     [("", "[1]"), ("", '"x"'), ("", "null")]),
    ("no JSON", b"data: oops\n\n" + OK, [("", "oops"), ("", '{"a":1}')]),
    ("event", b'event: e\ndata: {"a":1}\n\n' + OK, [("e", '{"a":1}'), ("", '{"a":1}')]),
    ("event after data", b'data: {"a":1}\nevent: e\n\n', [("e", '{"a":1}')]),
    ("event twice", b"event: a\nevent: b\ndata: 1\n\n", [("b", "1")]),
    ("event without space", b'event:e\ndata:{"a":1}\n\n', [("e", '{"a":1}')]),
    ("event without data", b"event: e\n\n" + OK, [("", '{"a":1}')]),
    ("empty event", b"event: \n" + OK, [("", '{"a":1}')]),
    ("id and retry", b'id: 1\nretry: 10\n' + OK, [("", '{"a":1}')]),
    ("event and id", b'event: e\nid: 1\n' + OK, [("e", '{"a":1}')]),
    ("bogus retry", b"retry: soon\n\nretry\n\n" + OK, [("", '{"a":1}')]),
    ("NUL in id", b"id: a\x00b\n" + OK, [("", '{"a":1}')]),
    ("NUL in data", b"data: a\x00b\n\n", [("", "a\x00b")]),
    # format-field-parsing, format-field-unknown, format-field-id-3 and format-newlines, as they are
    ("many ways to write fields",
     b"data:\0\ndata:  2\rData:1\ndata\0:2\ndata:1\r\0data:4\nda-ta:3\rdata_5\ndata:3\rdata:\r\n "
     b"data:32\ndata:4\n\n", [("", "\0\n 2\n1\n3\n\n4")]),
    ("unknown fields", b"data:test\n data\ndata\nfoobar:xxx\njustsometext\n:thisisacommentyay\n"
     b"data:test\n\n", [("", "test\n\ntest")]),
    ("ids over events", b"id: 1\n\nid\ndata:1\n\nid:x\ndata:2\n\ndata:3\n\n",
     [("", "1"), ("", "2"), ("", "3")]),
    ("ends of all kinds", b"data:test\r\ndata\ndata:test\r\n\r\n\r\n", [("", "test\n\ntest")]),
    ("NUL alone, then data", b"data:\0\n\n\n\n", [("", "\0")]),
    ("retry of several kinds", b"retry:03000\nretry:3000\ndata:x\n\nretry:\nretry:-1\nretry:1.5\n"
     b"retry:99999999999999999999\ndata:y\n\n", [("", "x"), ("", "y")]),
    ("event that is a space", b"event:  \ndata:1\n\n", [(" ", "1")]),
    ("event that is taken back", b"event:a\nevent:\ndata:1\n\n", [("", "1")]),
    ("unknown field", b"justsometext\nfoo: bar\n" + OK, [("", '{"a":1}')]),
    ("blank lines", b"\n\n\n" + OK + b"\n\n\n\n" + OK + b"\n", [("", '{"a":1}')] * 2),
    ("UTF-8", ("data: " + LONG + "\n\n").encode(), [("", LONG)]),
    ("UTF-8 and CRLF", ("data: " + LONG + "\r\n\r\n").encode(), [("", LONG)]),
    ("U+2028 is no line end", b"data: a\xe2\x80\xa8data: b\xc2\x85c\x0bd\x0ce\x1cf\n\n",
     [("", "a\u2028data: b\x85c\x0bd\x0ce\x1cf")]),
    ("invalid UTF-8", b'data: {"a":"\xff\xc3"}\n\n', [("", '{"a":"\ufffd\ufffd"}')]),
    ("invalid UTF-8 at a line end", b"data: \xe2\x82\r\n\r\n", [("", "\ufffd")]),
    ("dropped at the end", OK + b"data: 2", [("", '{"a":1}')]),
    ("line but no blank line", OK + b"data: 2\n", [("", '{"a":1}')]),
    ("CRLF but no blank line", b"data: 1\r\n\r\ndata: 2\r\n", [("", "1")]),
    ("DONE", OK + b"data: [DONE]\n\n", [("", '{"a":1}'), ("", "[DONE]")]),
    ("DONE without space", b"data:[DONE]\r\n\r\n", [("", "[DONE]")]),
    ("DONE as a prefix", b"data: [DONE] really\n\n", [("", "[DONE] really")]),
]


def mutated(chance: random.Random, data: bytes) -> bytes:
    """`data` with some bytes put in, taken out, repeated, or cut off."""
    changed = bytearray(data)
    special = b"\n", b"\r\n", b"\r", b"\0", b"{", b"}", b'"', b"data: ", b":", b"\xff", b" ", b"f"
    for _ in range(chance.randrange(1, 6)):
        at, how = chance.randrange(len(changed) + 1), chance.randrange(6)
        if how == 0:
            changed[at:at] = bytes([chance.randrange(256)])
        elif how == 1:
            del changed[at : at + chance.randrange(1, 9)]
        elif how in (2, 3):
            changed[at : at + how - 2] = chance.choice(special)
        elif how == 4:
            start = chance.randrange(len(changed) + 1)
            changed[at:at] = changed[start : start + chance.randrange(1, 40)]
        elif chance.random() < 0.5:
            del changed[at:]
    return bytes(changed)


def steps_of(work: Callable[[], Any]) -> int:
    """How many lines of Python a function takes, which no busy machine can change."""
    count = 0

    def trace(frame: Any, event: str, arg: Any) -> Any:
        nonlocal count
        count += 1
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def check_linear(work: Callable[[int], Callable[[], Any]], size: int) -> None:
    """Twice as much of something may take at most 2.3 times the steps."""
    work(size)()  # what is imported and cached once does not count
    once, twice = steps_of(work(size)), steps_of(work(2 * size))
    assert twice <= 2.3 * once + 100, (once, twice)


def cuts(data: bytes) -> Iterator[List[bytes]]:
    """The ways in which a network may deliver it."""
    yield [data]
    yield [data[i : i + 1] for i in range(len(data))]
    yield [data[i : i + 3] for i in range(0, len(data), 3)]
    for i in range(len(data) + 1):
        yield [data[:i], b"", data[i:]]


def in_json(events: List[Tuple[str, str]]) -> List[Tuple[str, Any]]:
    """What JSONEventDecoder is to make of them."""
    found: List[Tuple[str, Any]] = []
    for event, data in events:
        if data.startswith("[DONE]"):
            found.append((event, openai.JSONEventDecoder.DONE))
        elif data.strip():
            try:
                found.append((event, json.loads(data)))
            except ValueError as err:
                found.append((event, repr(err)))
    return found


@pytest.mark.parametrize("data, events", [row[1:] for row in SSE_CASES],
                         ids=[r[0] for r in SSE_CASES])
def test_events_are_the_same_however_the_network_cuts_them(
    data: bytes, events: List[Tuple[str, str]]
) -> None:
    for pieces in cuts(data):
        plain, parsed = openai.SSEDecoder(), openai.JSONEventDecoder()
        assert [e for piece in pieces for e in plain.feed(piece)] == events, pieces
        got = [e for piece in pieces for e in parsed.feed(piece)]
        shown = [(n, repr(v) if isinstance(v, ValueError) else v) for n, v in got]
        assert shown == in_json(events), pieces


@pytest.mark.parametrize("end", [b"\n\n", b"\r\n\r\n"], ids=["LF", "CRLF"])
def test_a_huge_event_in_small_pieces_costs_no_more_per_byte(end: bytes) -> None:
    text = b"data: " + json.dumps({"a": "x" * (32 << 20)}).encode() + end
    started = time.monotonic()
    for decoder in (openai.SSEDecoder(), openai.JSONEventDecoder()):
        events: List[Tuple[str, Any]] = []
        for i in range(0, len(text), 1024):
            events += decoder.feed(text[i : i + 1024])
        (found,) = events
        assert len(found[1]) == (1 if isinstance(found[1], dict) else 9 + (32 << 20))
    # If each piece were searched or copied with all that came before: half a terabyte, minutes.
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("seed", range(4))
def test_mutated_events_are_decoded_alike_by_both_decoders_however_they_are_cut(seed: int) -> None:
    chance = random.Random(seed)
    corpus = [row[1] for row in SSE_CASES] + [sse({"a": [1, {"b": "c"}]}, b"[DONE]")]
    for i in range(10_000):
        data = mutated(chance, chance.choice(corpus))
        expected = openai.SSEDecoder().feed(data)
        at, end = sorted(chance.randrange(len(data) + 1) for _ in range(2))
        plain, parsed = openai.SSEDecoder(), openai.JSONEventDecoder()
        pieces = data[:at], data[at:end], data[end:]
        assert [e for piece in pieces for e in plain.feed(piece)] == expected, (seed, i, data)
        got = [e for piece in pieces for e in parsed.feed(piece)]
        shown = [(n, repr(v) if isinstance(v, ValueError) else v) for n, v in got]
        assert repr(shown) == repr(in_json(expected)), (seed, i, pieces)  # NaN equals nothing


@pytest.mark.parametrize(
    "piece",
    [OK, b"data: x\n", b"\n", b"\r", b"\r\n", b": ping\n\n", b"data: {\n\n", b"data: [\n\n", BOM,
     b'data: {"a":\n', b"data: 1\r\n\r\n", b"event: e\n", b"data: {}{\n\n"],
)
def test_twice_the_events_take_twice_the_steps(piece: bytes) -> None:
    def work(size: int) -> Callable[[], Any]:
        data = piece * size + b"\n\n"

        def feed() -> None:
            for decoder in (openai.SSEDecoder(), openai.JSONEventDecoder()):
                for i in range(0, len(data), 100):
                    decoder.feed(data[i : i + 100])

        return feed

    check_linear(work, 500)


def chunks_of(body: bytes, **options: Any) -> Any:
    """An iterator over the stream that a server answers with."""
    with RawServer(answer(body, Content_Type="text/event-stream")) as server:
        with client_of(server, **options) as client:
            stream = client.chat.completions.create(model="m", messages=[], stream=True)
            return list(stream), stream


@pytest.mark.parametrize(
    "end, completed",
    [
        (b"data: [DONE]\n\n", True),
        (b"data: [DONE]\n", True),
        (b"data: [DONE]", True),
        (b"data:[DONE]\r\n\r\n", True),
        (b"data: [DONE]\r\n", True),
        (b"data: [DONE]\n\ndata: oops\n\n", True),
        (b"", False),
        (b": bye\n\n", False),
        (b'data: {"id": "lost"}\n', False),
    ],
)
def test_done_ends_a_stream_and_marks_it_completed(end: bytes, completed: bool) -> None:
    items, stream = chunks_of(sse({"id": "1"}, {"id": "2"}) + end)
    assert [item.id for item in items] == ["1", "2"]
    assert stream.completed is completed
    assert stream.response.is_closed


@pytest.mark.parametrize(
    "data, why",
    [
        (b'{"id": ', "Expecting value"),
        (b"oops", "Expecting value"),
        (b'{"id": "1"} {}', "Extra data"),
        (b"[" * 100000, "nested too deeply"),
    ],
)
def test_an_event_that_is_no_json_is_named_in_the_error(data: bytes, why: str) -> None:
    with RawServer(answer(sse({"id": "1"}, data, {"id": "3"}))) as server:
        with client_of(server) as client:
            stream = client.chat.completions.create(model="m", messages=[], stream=True)
            assert next(stream).id == "1"
            with pytest.raises(openai.APIResponseValidationError,
                               match="event 2 .*" + why) as caught:
                next(stream)
    assert caught.value.status_code == 200 and stream.response.is_closed


def test_invalid_utf8_in_an_event_becomes_replacement_characters() -> None:
    items, _ = chunks_of(b'data: {"id": "a\xff"}\n\n')
    assert items[0].id == "a\ufffd"

# ---- 2.2 JSON ----


@dataclasses.dataclass
class Point:
    x: int
    y: Any = None


class Colour(str, enum.Enum):
    RED = "red"


@pytest.mark.parametrize(
    "value, encoded",
    [
        ({"a": [1, 2.5], "b": {"c": None, "d": True}}, '{"a":[1,2.5],"b":{"c":null,"d":true}}'),
        ({"a": "\u00e9\u2028\U0001f600 \"\\\n"}, '{"a":"\u00e9\u2028\U0001f600 \\"\\\\\\n"}'),
        ({"a": (1, (2,))}, '{"a":[1,[2]]}'),
        ({"a": datetime.datetime(2026, 1, 2, 3, 4, 5)}, '{"a":"2026-01-02T03:04:05"}'),
        ({"a": datetime.date(2026, 1, 2), "b": datetime.time(3)},
         '{"a":"2026-01-02","b":"03:00:00"}'),
        ({"a": Point(1, [Point(2)])}, '{"a":{"x":1,"y":[{"x":2,"y":null}]}}'),
        ({"a": Colour.RED}, '{"a":"red"}'),
        ({"a": types.MappingProxyType({"b": 1})}, '{"a":{"b":1}}'),
        ({"a": {1}, "b": {2: 3}.values(), "c": (n for n in [4])}, '{"a":[1],"b":[3],"c":[4]}'),
        ({"a": openai.BaseModel(b=openai.BaseModel(c=1))}, '{"a":{"b":{"c":1}}}'),
        ({"a": openai.omit, "b": openai.NOT_GIVEN, "c": 1}, '{"c":1}'),
        ({"a": {"b": openai.omit, "c": [1, openai.omit, {"d": openai.omit}]}},
         '{"a":{"c":[1,{}]}}'),
        ({"a": openai.BaseModel(b=openai.omit, c=1)}, '{"a":{"c":1}}'),
        ({"a": types.MappingProxyType({"b": openai.omit})}, '{"a":{}}'),
        ({"a": Point(1, openai.omit)}, '{"a":{"x":1}}'),
        ({"a": {openai.omit}, "b": ({"c": openai.omit} for _ in range(2))}, '{"a":[],"b":[{},{}]}'),
        ({"a": (n for n in [1, 2]), "b": {"c": openai.omit}}, '{"a":[1,2],"b":{}}'),
        ({"a": datetime.date(2026, 1, 2), "b": {"c": openai.omit}}, '{"a":"2026-01-02","b":{}}'),
    ],
)
def test_json_is_compact_unescaped_and_without_omit(value: Any, encoded: str) -> None:
    assert openai.encode_json(value) == encoded.encode("utf-8")


@pytest.mark.parametrize(
    "value, kind, message",
    [
        (float("nan"), ValueError, "not JSON compliant"),
        (float("-inf"), ValueError, "not JSON compliant"),
        (b"x", TypeError, "base64"),
        (object(), TypeError, "a object cannot be sent as JSON"),
        (pathlib.PurePosixPath("a"), TypeError, "a PurePosixPath cannot be sent as JSON"),
        (Point, TypeError, "a type cannot be sent as JSON"),
        ("\ud800", ValueError, "surrogates not allowed"),
    ],
)
def test_what_json_cannot_hold_is_refused_before_anything_is_sent(
    value: Any, kind: Any, message: str
) -> None:
    with RawServer(answer()) as server, client_of(server) as client:
        with pytest.raises(kind, match=message):
            client.responses.create(model="m", input="x", metadata={"a": value})
        assert server.connections == 0

# ---- 2.3 Query strings and paths ----


@pytest.mark.parametrize(
    "query, encoded",
    [
        ({"a": [1, True, None]}, "a[]=1&a[]=true"),
        ({"a": (1, 2)}, "a[]=1&a[]=2"),
        ({"a": [], "b": {}, "c": None, "d": openai.omit}, ""),
        ({"a": {"b": {"c": True, "d": openai.omit}}}, "a[b][c]=true"),
        ({"a": {"b": [1, 2]}}, "a[b][]=1&a[b][]=2"),
        ({"a": [{"b": 1}, {"c": 2}]}, "a[][b]=1&a[][c]=2"),
        ({"a": [[1, 2], [3]]}, "a[][]=1&a[][]=2&a[][]=3"),
        ({"a": False, "b": 0, "c": "", "d": 1.5}, "a=false&b=0&c=&d=1.5"),
        ({"a": openai.BaseModel(b=1)}, "a[b]=1"),
        ({"a b": "x y&z=\u00fc+/?#~"}, "a+b=x+y%26z%3D%C3%BC%2B%2F%3F%23~"),
    ],
)
def test_queries_are_written_as_the_official_client_writes_them(
    query: Dict[str, Any], encoded: str
) -> None:
    expected = encoded.replace("[", "%5B").replace("]", "%5D")
    assert openai.encode_query(query) == expected
    with RawServer(answer()) as server, client_of(server) as client:
        client.get("/x", cast_to=object, options={"params": query})
    assert server.requests[0][0].split(" ")[1] == "/v1/x" + ("?" + expected if expected else "")


SEGMENTS = [
    ("gpt-4o", "gpt-4o"), ("ft:gpt-4o:acme::7p4l", "ft:gpt-4o:acme::7p4l"), ("a b", "a%20b"),
    ("a/b", "a%2Fb"), ("/", "%2F"), ("a?b", "a%3Fb"), ("a#b", "a%23b"), ("%", "%25"),
    ("%41", "%2541"), ("a%2fb", "a%252fb"), ("a\\b", "a%5Cb"), ("\r\n", "%0D%0A"),
    ("\u00e9\U0001f600", "%C3%A9%F0%9F%98%80"), ("~a_b.c-d", "~a_b.c-d"), ("...", "..."),
    ("..a", "..a"), ("a..", "a.."), (" ", "%20"), (5, "5"), ("%252e", "%25252e"), ("a\n", "a%0A"),
    ("!$&'()*+,;=:@", "!$&'()*+,;=:@"), ('"<>[]^`{|}', "%22%3C%3E%5B%5D%5E%60%7B%7C%7D"),
]


@pytest.mark.parametrize("value, encoded", SEGMENTS)
def test_a_path_parameter_stays_one_segment(value: Any, encoded: str) -> None:
    with RawServer(answer({"id": "m"})) as server, client_of(server) as client:
        client.models.retrieve(value)
    assert server.requests[0][0].startswith(f"GET /v1/models/{encoded} HTTP/1.1\r\n")


@pytest.mark.parametrize("value", ["", None, ".", "..", "%2e", "%2E%2e", ".%2e", "%2E."])
def test_a_path_parameter_that_would_change_the_path_is_refused(value: Any) -> None:
    with RawServer(answer()) as server, client_of(server) as client:
        with pytest.raises(ValueError, match="`model`"):
            client.models.retrieve(value)
        assert server.connections == 0

# ---- 2.4 Multipart forms ----


def parse_form(request: Tuple[str, bytes]) -> List[Tuple[Dict[str, str], bytes]]:
    """(headers, content) of each part of a multipart request; strict about every byte."""
    head, body = request
    headers = headers_of(head)
    kind, _, boundary = headers["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data" and int(headers["content-length"]) == len(body)
    first, *parts, last = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    assert first == b"" and last == b"--\r\n"
    found = []
    for part in parts:
        assert part[:2] == b"\r\n"
        head_of_part, _, content = part[2:].partition(b"\r\n\r\n")
        lines = [line.partition(": ") for line in head_of_part.decode("utf-8").split("\r\n")]
        assert len(lines) == len({name.lower() for name, _, _ in lines}), "a header twice"
        found.append(({name: value for name, _, value in lines}, content))
    return found


def upload(file: Any) -> List[Tuple[Dict[str, str], bytes]]:
    """The parts that `client.files.create(file=file)` sends."""
    with RawServer(answer({"id": "f"})) as server, client_of(server) as client:
        client.files.create(file=file, purpose="batch")
    return parse_form(server.requests[0])


def disposition(name: str, filename: str) -> str:
    return f'form-data; name="{name}"; filename="{filename}"'


@pytest.mark.parametrize(
    "file, filename, mime, content",
    [
        (b"x", "upload", "application/octet-stream", b"x"),
        (b"", "upload", "application/octet-stream", b""),
        (bytearray(b"x"), "upload", "application/octet-stream", b"x"),
        (memoryview(b"x"), "upload", "application/octet-stream", b"x"),
        (("a.txt", b"x"), "a.txt", "text/plain", b"x"),
        (("a.txt", "\u00e9"), "a.txt", "text/plain", b"\xc3\xa9"),
        (("a.bin", b"x", "text/csv"), "a.bin", "text/csv", b"x"),
        (("a.png", b"x", None), "a.png", "image/png", b"x"),
        (("a", b"x"), "a", "application/octet-stream", b"x"),
        (('"\r\n\u00e9;\\.txt', b"x"), "%22%0D%0A\u00e9;\\.txt", "text/plain", b"x"),
    ],
)
def test_files_in_memory_become_parts(
    file: Any, filename: str, mime: str, content: bytes
) -> None:
    fields, part = upload(file)
    assert fields == ({"Content-Disposition": 'form-data; name="purpose"'}, b"batch")
    assert part == ({"Content-Disposition": disposition("file", filename), "Content-Type": mime},
                    content)


def test_a_tuple_of_four_adds_headers_and_its_content_type_wins() -> None:
    _, (headers, _) = upload(("a.txt", b"x", "text/x", {"Content-Type": "q/q", "X-A": "1"}))
    assert headers == {
        "Content-Disposition": disposition("file", "a.txt"), "Content-Type": "q/q", "X-A": "1"
    }


def test_a_tuple_without_a_name_is_sent_without_one_as_the_official_client_does() -> None:
    assert upload((None, b"x"))[1] == ({"Content-Disposition": 'form-data; name="file"'}, b"x")


def test_fields_come_first_nested_and_in_arrays_with_names_escaped() -> None:
    with RawServer(answer()) as server, client_of(server) as client:
        client.post(
            "/x", cast_to=object, files={'f"': b"1", "g[]": ("n", b"2")},
            body={"a": {"b": 1, "c": [True, None]}, "d": ["x", "y"], "e\r\n": "\u00e9",
                  "f": openai.omit},
        )
    parts = parse_form(server.requests[0])
    assert [(p[0]["Content-Disposition"], p[1]) for p in parts] == [
        ('form-data; name="a[b]"', b"1"),
        ('form-data; name="a[c][]"', b"true"),
        ('form-data; name="d[]"', b"x"),
        ('form-data; name="d[]"', b"y"),
        ('form-data; name="e%0D%0A"', "\u00e9".encode()),
        (disposition("f%22", "upload"), b"1"),
        (disposition("g[]", "n"), b"2"),
    ]


class Recorded(io.BytesIO):
    """A file that remembers how much was asked of it at once."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.sizes: List[int] = []

    def readinto(self, buffer: Any) -> int:
        self.sizes.append(len(buffer))
        return super().readinto(buffer)

    def read(self, size: Optional[int] = -1) -> bytes:
        self.sizes.append(1 << 60 if size is None or size < 0 else size)
        return super().read(size)


def test_files_on_disk_and_file_objects_are_sent_whole(tmp_path: pathlib.Path) -> None:
    data = os.urandom(600_000)
    path = tmp_path / "\u00e9.jsonl"
    path.write_bytes(data)
    with open(str(path), "rb") as file, tempfile.SpooledTemporaryFile() as spooled:
        file.read(5)  # where it stands does not matter: the official client rewinds as well
        spooled.write(data)
        recorded = Recorded(data)
        for source, name in (
            (path, "\u00e9.jsonl"), (file, "\u00e9.jsonl"), (recorded, "upload"),
            (spooled, "upload"), (("n.txt", path), "n.txt"), (("n.txt", recorded), "n.txt"),
        ):
            headers, content = upload(source)[1]
            assert headers["Content-Disposition"] == disposition("file", name)
            assert content == data
        assert not file.closed and not recorded.closed
    assert max(recorded.sizes) <= openai.BLOCK


def test_an_empty_file_on_disk_is_an_empty_part(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"")
    assert upload(tmp_path / "a")[1][1] == b""


class NotSeekable(io.RawIOBase):
    """As a pipe or an HTTP response is."""

    def __init__(self, data: bytes) -> None:
        self.source = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        return self.source.readinto(buffer)


def test_what_cannot_seek_is_spooled_and_can_be_sent_again(slept: List[float]) -> None:
    data = os.urandom(300_000)
    pipe: Any = NotSeekable(data)
    with RawServer(hang_up(), answer({"id": "f"})) as server:
        with client_of(server, max_retries=1) as client:
            client.files.create(file=pipe, purpose="batch")
    assert [parse_form(r)[1][1] for r in server.requests] == [data, data]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_path_to_a_named_pipe_is_read_to_its_end(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(str(path))
    writer = threading.Thread(target=path.write_bytes, args=(b"x" * 100_000,), daemon=True)
    writer.start()
    headers, content = upload(path)[1]
    assert headers["Content-Disposition"] == disposition("file", "pipe")
    assert content == b"x" * 100_000


@pytest.mark.parametrize("kind", ["path", "file object", "bytes"])
def test_a_retry_sends_a_file_again_from_its_start(
    kind: str, tmp_path: pathlib.Path, slept: List[float]
) -> None:
    data = os.urandom(300_000)
    path = tmp_path / "a.bin"
    path.write_bytes(data)
    source: Any = {"path": path, "file object": io.BytesIO(data), "bytes": data}[kind]
    busy = answer(status="503 Busy")
    with RawServer(busy, hang_up(), answer({"id": "f"})) as server:
        with client_of(server, max_retries=2) as client:
            client.files.create(file=source, purpose="batch")
    assert [parse_form(r)[1][1] for r in server.requests] == [data] * 3


@pytest.mark.parametrize(
    "file, kind, message",
    [
        ("a.txt", TypeError, r"`file` must be .*for a path in a str write Path"),
        (5, TypeError, "`file` must be .*not int"),
        (io.StringIO("x"), TypeError, "`file` is a file opened in text mode; open it with 'rb'"),
        (("a.txt", io.StringIO("x")), TypeError, "text mode"),
        (("a",), TypeError, r"`file` must be \(filename, content"),
        (("a", b"", "b", {}, 1), TypeError, r"`file` must be \(filename, content"),
        (pathlib.Path("/no/such/file"), FileNotFoundError, "/no/such/file"),
        (HERE, OSError, "directory|denied"),
        (("a", b"x", "text/plain\r\nX: y"), openai.OpenAIError, "'Content-Type'"),
        (("a", b"x", None, {"X": "a\nb"}), openai.OpenAIError, "'X'"),
        (("a", b"x", None, {"X\r\nY": "a"}), openai.OpenAIError, "name"),
    ],
)
def test_what_is_no_file_is_refused_before_anything_is_sent(
    file: Any, kind: Any, message: str
) -> None:
    with RawServer(answer()) as server, client_of(server, max_retries=2) as client:
        with pytest.raises(kind, match=message) as caught:
            client.files.create(file=file, purpose="batch")
        assert server.connections == 0
    assert not isinstance(caught.value, openai.APIConnectionError)


def test_a_codec_that_reads_text_is_refused_too(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with codecs.open(str(tmp_path / "a"), "r", "utf-8") as file:
        with pytest.raises(TypeError, match="text mode"):
            upload(file)


class Shrinking(io.BytesIO):
    def readinto(self, buffer: Any) -> int:
        return super().readinto(buffer) if self.tell() < 300_000 else 0


def test_a_file_that_shrinks_while_it_is_sent_is_an_error_that_says_so(slept: List[float]) -> None:
    with RawServer(answer()) as server, client_of(server, max_retries=2) as client:
        with pytest.raises(openai.OpenAIError, match="became shorter while it was being sent") as e:
            client.files.create(file=Shrinking(b"x" * 1_000_000), purpose="batch")
    assert not isinstance(e.value, openai.APIConnectionError) and slept == []


def test_a_file_that_vanishes_before_a_retry_is_no_connection_error(
    tmp_path: pathlib.Path, slept: List[float]
) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"x")

    def remove(conn: socket.socket) -> None:
        path.unlink()

    with RawServer(remove, answer()) as server, client_of(server, max_retries=2) as client:
        with pytest.raises(openai.OpenAIError, match="cannot read a: .*No such file") as caught:
            client.files.create(file=path, purpose="batch")
    assert not isinstance(caught.value, openai.APIConnectionError) and len(slept) == 1


def any_text(chance: random.Random) -> str:
    alphabet = 'ab"\\;=\r\n\0 \t%-:\u00e9\u20ac\u2028\U0001f600'
    return "".join(chance.choice(alphabet) for _ in range(chance.randrange(12)))


def unescaped(name: str) -> str:
    return name.replace("%0D", "\r").replace("%0A", "\n").replace("%22", '"')


def test_any_form_is_read_by_the_parser_of_the_standard_library_as_it_was_meant() -> None:
    """`email` reads MIME messages, and knows nothing of how these were written."""
    chance = random.Random(4)
    for i in range(8_000):
        fields = {any_text(chance) or "n": any_text(chance) for _ in range(chance.randrange(4))}
        contents = [mutated(chance, b"--\r\n--b\r\n\r\nx\n") for _ in range(chance.randrange(3))]
        files = [
            (any_text(chance), (any_text(chance), data, "application/octet-stream"))
            for data in contents
        ]
        body = openai.MultipartBody(fields, files)
        sent = b"".join(bytes(block) for block in body.blocks())
        assert len(sent) == body.length, i
        head = f"Content-Type: {body.content_type}\r\n\r\n".encode()
        parts: Any = email.message_from_bytes(head + sent).get_payload()
        if not fields and not files:
            continue
        expected: List[Tuple[str, Optional[str], bytes]] = [
            (name, None, value.encode()) for name, value in fields.items()
        ]
        expected += [(name, file[0], file[1]) for name, file in files]
        found = []
        for part in parts:
            (_, disposition), *others = part.raw_items()
            assert [name for name, _ in others] == ["Content-Type"] * len(others), i
            text = disposition.encode("utf-8", "surrogateescape").decode("utf-8")
            match = re.match(r'form-data; name="([^"]*)"(?:; filename="([^"]*)")?\Z', text)
            assert match, (i, text)
            name, filename = match.groups()
            assert (filename is None) is not bool(others), i
            found.append((
                unescaped(name), None if filename is None else unescaped(filename),
                part.get_payload(decode=True),
            ))
        meant = [(unescaped(n), None if f is None else unescaped(f), d) for n, f, d in expected]
        assert found == meant, i


def test_twice_the_fields_take_twice_the_steps() -> None:
    def work(size: int) -> Callable[[], Any]:
        fields = {"a": {f"b{i}": ["c"] * 3 for i in range(size)}}
        files = [("f", ("n", b"x", "a/b"))] * size
        return lambda: list(openai.MultipartBody(fields, files).blocks())

    check_linear(work, 200)


def discard(conn: socket.socket) -> None:
    """Read and forget what a client sends, then answer."""
    conn.settimeout(60)
    seen = b""
    while not seen.endswith(b"--\r\n"):
        seen = seen[-8:] + conn.recv(1 << 20)
    conn.sendall(answer({"id": "f"}))


def test_a_large_file_is_sent_in_constant_memory_and_closed(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "large"
    with open(str(path), "wb") as file:
        file.truncate(64 << 20)  # sparse: it needs no disk
    with listening(discard) as port:
        client = OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1")
        client.models  # what is imported and cached once does not count
        tracemalloc.start()
        try:
            client.files.create(file=path, purpose="batch")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 8 << 20
        open_before = open_descriptors()
        client.files.create(file=path, purpose="batch")
        assert open_descriptors() == open_before
        client.close()

# ---- 2.5 Headers ----


def test_headers_compare_without_case_and_join_what_is_repeated() -> None:
    headers = openai.Headers("X-A: 1\nx-b:\t2 \nX-a:3\nEmpty:\n")
    assert headers["x-A"] == "1, 3" and headers["X-B"] == "2" and headers["empty"] == ""
    assert "X-B" in headers and "x-c" not in headers
    assert headers.get("X-C") is None and headers.get("X-C", "d") == "d"
    assert sorted(headers) == ["empty", "x-a", "x-b"] and len(headers) == 3
    assert dict(openai.Headers([("A", "1"), ("a", "2")])) == {"a": "1, 2"}
    assert dict(openai.Headers({"A": "1"})) == {"a": "1"} and dict(openai.Headers()) == {}
    with pytest.raises(KeyError):
        headers["x-c"]


def test_a_header_is_the_same_whether_it_is_looked_up_in_the_text_or_among_all() -> None:
    rng = random.Random(7)
    names = [*openai.of_every_call, "X-Request-ID", "Content-Type", "location", "x", "a b", "\xe9"]
    values = ["", " 1", "a: b", "\tC ", "connection:", " \u0130"]
    for _ in range(2000):
        lines = [f"{rng.choice(names)}{rng.choice([':', ':', ':', ''])}{rng.choice(values)}"
                 for _ in range(rng.randint(0, 6))]
        text = "".join(line + "\r\n" for line in lines)
        among_all = openai.Headers(text)
        assert list(among_all) == list(among_all.fields)
        for name in {*names, "not there"}:
            assert openai.Headers(text).get(name) == among_all.get(name), (text, name)


@pytest.mark.parametrize(
    "name", ["Authorization", "API-Key", "X-Api-Key", "Proxy-Authorization", "Cookie", "Set-Cookie"]
)
def test_headers_hide_secrets_in_their_repr(name: str) -> None:
    shown = repr(openai.Headers({name: KEY, "X-A": "b"}))
    assert KEY not in shown and "'x-a': 'b'" in shown


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("Authorization", f"Bearer {KEY}\n", "line break"),
        ("Authorization", f"Bearer {KEY}\r\nX: y", "line break"),
        ("Authorization", f"Bearer \u201c{KEY}\u201d", "curly quotes"),
        ("Authorization", f"Bearer {KEY}\u00e9", "curly quotes"),
        ("X-A", f"{KEY}\0", "line break"),
        ("X-A", f"{KEY}\u20ac", "curly quotes"),
        ("X-A\r\nX-B: c", KEY, "no header name"),
        ("X A", KEY, "no header name"),
        ("X-A:", KEY, "no header name"),
        ("", KEY, "no header name"),
        ("X-\u00e9", KEY, "no header name"),
    ],
)
def test_headers_that_http_cannot_carry_are_refused_without_showing_them(
    name: str, value: str, message: str
) -> None:
    with RawServer(answer()) as server, client_of(server) as client:
        with pytest.raises(openai.OpenAIError, match=message) as caught:
            client.models.list(extra_headers={name: value})
        assert server.connections == 0
        with pytest.raises(openai.OpenAIError, match=message):
            client_of(server, default_headers={name: value})
    assert KEY not in whole_traceback(caught.value)


@pytest.mark.parametrize("key", [KEY + "\n", "\u201c" + KEY, "\n" + KEY, KEY + "\u00e9"])
def test_a_key_with_leftovers_is_refused_at_once_without_showing_it(key: str) -> None:
    wrong: List[Dict[str, Any]] = [
        {"api_key": key}, {"api_key": KEY[::-1], "organization": key + "\u20ac"}
    ]
    for options in wrong:
        with pytest.raises(openai.OpenAIError) as caught:
            OpenAI(**options)
        assert KEY not in whole_traceback(caught.value)
        assert list(options)[-1] in str(caught.value)
    client = OpenAI(api_key=lambda: key, base_url="http://127.0.0.1:9")
    with pytest.raises(openai.OpenAIError, match="api_key") as caught:
        client.models.list()
    assert KEY not in whole_traceback(caught.value)


def test_headers_of_a_call_replace_those_of_the_client_in_any_case() -> None:
    with RawServer(answer()) as server:
        with client_of(server,
                       default_headers={"X-A": "1", "x-b": "2", "user-agent": "me"}) as client:
            client.models.list(
                extra_headers={"x-a": "3", "X-B": openai.omit, "ACCEPT": "text/plain",
                               "X-C": "\u00e9"}
            )
    head = server.requests[0][0]
    sent = headers_of(head)
    assert sent["x-a"] == "3" and "x-b" not in sent and sent["user-agent"] == "me"
    assert sent["accept"] == "text/plain" and sent["x-c"] == "\u00e9"
    names = [line.partition(":")[0].lower() for line in head.splitlines()[1:]]
    assert len(names) == len(set(names))


def test_a_host_header_of_your_own_replaces_the_usual_one() -> None:
    with RawServer(answer()) as server:
        with client_of(server, default_headers={"host": "api.example.com"}) as client:
            client.models.list()
    lines = [x for x in server.requests[0][0].splitlines() if x.lower().startswith("host:")]
    assert [line.partition(": ")[2] for line in lines] == ["api.example.com"]

########################################################################
## 3. Errors
########################################################################

STATUSES: List[Tuple[str, Any]] = [
    ("400 Bad Request", openai.BadRequestError),
    ("401 Unauthorized", openai.AuthenticationError),
    ("402 Payment Required", openai.APIStatusError),
    ("403 Forbidden", openai.PermissionDeniedError),
    ("404 Not Found", openai.NotFoundError),
    ("408 Request Timeout", openai.APIStatusError),
    ("409 Conflict", openai.ConflictError),
    ("418 I'm a teapot", openai.APIStatusError),
    ("422 Unprocessable Entity", openai.UnprocessableEntityError),
    ("429 Too Many Requests", openai.RateLimitError),
    ("500 Internal Server Error", openai.InternalServerError),
    ("503", openai.InternalServerError),
    ("529 Overloaded", openai.InternalServerError),
    ("304 Not Modified", openai.APIStatusError),
]
WRONG = {"error": {"message": "No.", "type": "t", "param": "p", "code": "c"}}


def failure(*answers: Answer, **options: Any) -> Any:
    """The error of a call that a server answers so."""
    with RawServer(*answers) as server, client_of(server, **options) as client:
        with pytest.raises(openai.OpenAIError) as caught:
            client.models.list()
    assert str(server.port) not in str(caught.value) or "127.0.0.1:" in str(caught.value)
    return caught.value


@pytest.mark.parametrize("status, kind", STATUSES, ids=[row[0] for row in STATUSES])
def test_each_error_status_has_its_class_and_tells_all(status: str, kind: Any) -> None:
    code = int(status[:3])
    body: Any = b"" if code == 304 else WRONG
    error = failure(answer(body, status, X_Request_ID="req_1"))
    assert type(error) is kind and error.status_code == code
    assert error.request_id == "req_1" == error.response.headers["x-request-id"]
    assert error.response.status_code == code and error.request.url.endswith("/v1/models")
    assert str(error).startswith(f"Error code: {code}") and "req_1" in str(error)
    assert error.message == str(error)
    if code != 304:
        assert str(error).startswith(f"Error code: {code} - {WRONG['error']['message']}")
        assert error.body == WRONG["error"]
        assert (error.code, error.param, error.type) == ("c", "p", "t")
        assert error.response.json() == WRONG


@pytest.mark.parametrize(
    "body, message, parsed",
    [
        (b"", "Error code: 418", ""),
        (b"  oops \n", "Error code: 418 - oops", "oops"),
        (b"\xff", "Error code: 418 - \ufffd", "\ufffd"),
        (b"null", "Error code: 418", None),
        (b'{"error":null}', "Error code: 418 - {'error': None}", None),
        (b"[1]", "Error code: 418 - [1]", [1]),
        (b'"text"', "Error code: 418 - text", "text"),
        (b'{"error":"text"}', "Error code: 418 - text", "text"),
        (b'{"detail":"d"}', "Error code: 418 - {'detail': 'd'}", {"detail": "d"}),
        (b'{"message":"m","code":5}', "Error code: 418 - m", {"message": "m", "code": 5}),
        (b'{"error":', 'Error code: 418 - {"error":', '{"error":'),
        (b"[" * 100000, "Error code: 418 - " + "[" * 2000 + "... (100000 characters)",
         "[" * 100000),
    ],
)
def test_error_bodies_of_any_shape_are_shown(body: bytes, message: str, parsed: Any) -> None:
    error = failure(answer(body, "418 Teapot"))
    assert (str(error), error.body, error.request_id) == (message, parsed, None)
    assert error.code == ("5" if b"code" in body else None)


def test_a_huge_error_body_is_shortened_in_the_message_only() -> None:
    text = failure(answer(b"x" * (2 << 20), "500 Oops", Content_Type="text/plain"))
    assert len(str(text)) < 3000 and len(text.body) == 2 << 20
    parsed = failure(answer({"error": {"message": "y" * (2 << 20)}}, "400 Oops"))
    assert len(str(parsed)) < 3000 and len(parsed.body["message"]) == 2 << 20
    page = failure(answer(b"<html>" + b"x" * (2 << 20), Content_Type="text/html"))
    assert len(str(page)) < 3000


def test_a_403_of_cloudflare_says_what_to_change() -> None:
    assert "User-Agent" in str(failure(answer(b"error code: 1010", "403 Forbidden")))
    assert "User-Agent" not in str(failure(answer(b"error code: 1020", "403 Forbidden")))


def request_of_all_secrets() -> openai.HTTPRequest:
    headers = {"Authorization": "Bearer " + KEY, "api-key": KEY, "X-A": "b"}
    return openai.HTTPRequest("POST", f"http://me:{KEY}@h/v1?x=1&api_key={KEY}", headers, b"{}")


def all_errors() -> List[Any]:
    request = request_of_all_secrets()
    headers = {"x-request-id": "r", "set-cookie": KEY}
    response = openai.HTTPResponse(400, headers, b'{"a":1}', request=request)
    body = {"message": "m", "code": "c", "param": "p", "type": "t"}
    whole = openai.ChatCompletion.model_validate({"id": "c", "choices": []})
    kinds = [kind for _, kind in STATUSES]
    errors: List[Any] = [
        openai.OpenAIError("a"), openai.OpenAIError("a", 1),
        openai.APIError("m", request, body=body), openai.APIError("m", None, body=None),
        openai.APIConnectionError(request=request),
        openai.APIConnectionError(message="x", request=request),
        openai.APITimeoutError(request), openai.APITimeoutError(request, "late"),
        openai.APIResponseValidationError(response, body, message="v"),
        openai.OAuthError(response=response, body={"error": "e", "error_description": "d"}),
        openai.OutputParseError("m", text="t"),
        openai.IncompleteStreamError(request=request),
        openai.LengthFinishReasonError(completion=whole),
        openai.ContentFilterFinishReasonError(completion=whole),
        *[kind("m", response=response, body=body) for kind in kinds],
    ]
    if hasattr(openai, "BulkUploadError"):  # a vendored copy may lack it
        cause = openai.APIConnectionError(request=request)
        errors += [openai.BulkUploadError([None], {"a": cause})]
    if hasattr(openai, "AgentTurnResult"):
        turn = openai.Turn.model_validate({"id": "t", "session_id": "s"})
        prepared = openai.PreparedAgentFiles(files=[], uploaded_file_ids=[])
        errors += [
            openai.AgentTurnResultError(
                "failed", turn=turn, session_id="s", messages=[], required_actions=[]
            ),
            openai.AgentOutputParseError(openai.AgentTurnResult(turn=turn, messages=[])),
            openai.AgentFilePreparationError(prepared), openai.AgentFileStagingError("f"),
        ]
    return errors


def test_every_class_of_error_is_among_those_that_are_pickled() -> None:
    def below(kind: Any) -> Set[Any]:
        return {kind}.union(*map(below, kind.__subclasses__()))

    assert below(openai.OpenAIError) == {type(error) for error in all_errors()}


@pytest.mark.parametrize("error", all_errors(), ids=lambda e: type(e).__name__)
def test_errors_pickle_and_copy_with_all_but_the_secrets(error: Any) -> None:
    kept = ("message", "body", "code", "param", "type", "status_code", "request_id", "error")
    for twin in (pickle.loads(pickle.dumps(error)), copy.deepcopy(error), copy.copy(error)):
        assert type(twin) is type(error) and str(twin) == str(error) and twin.args == error.args
        for name in kept:
            assert getattr(twin, name, None) == getattr(error, name, None)
        if getattr(error, "request", None):
            assert twin.request.method == "POST" and twin.request.headers["X-A"] == "b"
        if getattr(error, "response", None):
            assert twin.response.status_code == 400 and twin.response.json() == {"a": 1}
    assert KEY not in whole_traceback(error)


def call_a_closed_port(port: int) -> None:
    OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0).models.list()


def test_errors_cross_a_process_pool(unused_port: int) -> None:
    with concurrent.futures.ProcessPoolExecutor(1) as pool:
        error = pool.submit(call_a_closed_port, unused_port).exception(timeout=60)
    assert isinstance(error, openai.APIConnectionError) and str(unused_port) in str(error)


def reset(conn: socket.socket) -> None:
    """Hang up the rude way: the peer sees a reset."""
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    conn.close()


def lose_interest(conn: socket.socket) -> None:
    conn.recv(1000)
    reset(conn)


def test_connection_errors_say_where_in_which_phase_and_why(unused_port: int) -> None:
    def fail(url: str, **options: Any) -> Any:
        made = OpenAI(api_key=KEY, base_url=url, max_retries=0, **options)
        with made, pytest.raises(openai.APIConnectionError) as caught:
            made.responses.create(model="m", input="x" * (8 << 20))
        assert isinstance(caught.value.__cause__, OSError)
        assert caught.value.request is not None and KEY not in whole_traceback(caught.value)
        return str(caught.value)

    assert "(dns ::zz:80: " in fail("http://[::zz]")  # no name server has to be asked
    refused = fail(f"http://127.0.0.1:{unused_port}/v1")
    assert f"(connect 127.0.0.1:{unused_port}: " in refused and "nothing listens there" in refused
    with listening(lose_interest) as port:
        assert f"(send 127.0.0.1:{port}: " in fail(f"http://127.0.0.1:{port}/v1")
    with RawServer(hang_up()) as server:
        message = fail(server.url)
        assert f"127.0.0.1:{server.port}: the connection was closed without an answer" in message
    with RawServer(hang_up(b"HTTP/1.1 200 OK\r\nX: y\r\n")) as server:
        message = fail(server.url)
        assert f"(read 127.0.0.1:{server.port}: " in message and "middle of the headers" in message
    with listening(lambda conn: conn.close()) as port:
        assert f"(tls 127.0.0.1:{port}: " in fail(f"https://127.0.0.1:{port}/v1")
    proxy = openai.DefaultHttpxClient(proxy=f"http://me:{KEY}@127.0.0.1:{unused_port}")
    message = fail("http://example.invalid/v1", http_client=proxy)
    assert f"(proxy example.invalid:80 via 127.0.0.1:{unused_port}: " in message
    with listening(lambda conn: conn.close()) as port:
        proxy = openai.DefaultHttpxClient(proxy=f"http://me:{KEY}@127.0.0.1:{port}")
        message = fail("https://example.invalid/v1", http_client=proxy)
        assert f"(proxy example.invalid:443 via 127.0.0.1:{port}: " in message


ECHO: Dict[str, Any] = {"error": {"message": f"Bad key: {KEY}", "param": KEY}}


@pytest.mark.parametrize(
    "raw",
    [
        answer(ECHO, "401 Unauthorized"),
        answer(f"You sent Bearer {KEY}", "500 Oops"),
        answer(gzip.compress(f"You sent {KEY}".encode()), "500 Oops", Content_Encoding="gzip"),
        answer(f"<html>{KEY}", Content_Type="text/html"),
        answer(f'{{"a": {KEY}'),
        answer(f'"{KEY}"'),
        hang_up(f"{KEY}\r\n\r\n".encode()),
        hang_up(f"HTTP/1.1 200 OK\r\nContent-Length: {KEY}\r\n\r\n".encode()),
        hang_up(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{KEY}\r\n".encode()),
        answer("", "302 Found", Location=f"ftp://me:{KEY}@h/"),
    ],
)
@pytest.mark.parametrize("how", ["key", "function", "header", "api-key", "query"])
def test_secrets_that_a_server_echoes_stay_secret(raw: Answer, how: str) -> None:
    options: Dict[str, Dict[str, Any]] = {
        "key": {},
        "function": {"api_key": lambda: KEY},
        "header": {"api_key": "sk-other-key", "default_headers": {"Authorization": "Token " + KEY}},
        "api-key": {"api_key": "sk-other-key", "default_headers": {"API-Key": KEY}},
        "query": {"api_key": "sk-other-key", "default_query": {"access_token": KEY}},
    }
    assert KEY[:12] not in whole_traceback(failure(raw, **options[how]))  # nor a part


def test_a_password_in_a_url_and_a_key_in_a_redirect_stay_secret() -> None:
    password, token = "pass/word 1234", "token/5678 abcd"
    said = answer({"error": f"bad {password}, {token} and {KEY}"}, "404 No")
    with RawServer(said) as server:
        url = server.url.replace("://", "://me:pass%2Fword%201234@")
        with client_of(server, base_url=url, default_query={"token": token}) as client:
            with pytest.raises(openai.NotFoundError, match="bad <redacted>, <redacted> and") as one:
                client.models.list()
    with RawServer(answer({"error": KEY}, "404 No")) as other, RawServer() as server:
        server.answers += [answer("", "307 Moved", Location=f"{other.url}/{KEY}")]
        with client_of(server) as client, pytest.raises(openai.NotFoundError) as two:
            client.models.list()
    for error in (one.value, two.value):
        shown = whole_traceback(error) + repr(vars(error))
        assert not [each for each in (password, "pass%2Fword", token, "5678", KEY) if each in shown]


def test_a_short_key_does_not_blot_the_message() -> None:
    assert "a bad key" in str(failure(answer({"error": "a bad key"}, "401 No"), api_key="a"))


########################################################################
## 4. Transport
########################################################################

# ---- 4.1 Limits ----


def limits_of(timeout: openai.Timeout) -> Tuple[Any, ...]:
    return timeout.connect, timeout.read, timeout.write, timeout.pool, timeout.total


@pytest.mark.parametrize(
    "timeout, limits",
    [
        (openai.Timeout(5), (5, 5, 5, 5, None)),
        (openai.Timeout(timeout=5), (5, 5, 5, 5, None)),
        (openai.Timeout(0.5, connect=2), (2, 0.5, 0.5, 0.5, None)),
        (openai.Timeout(5, read=None, total=9), (5, None, 5, 5, 9)),
        (openai.Timeout(None), (None, None, None, None, None)),
        (openai.Timeout(None, connect=3.0), (3.0, None, None, None, None)),
        (openai.Timeout(connect=1, read=2, write=3, pool=4), (1, 2, 3, 4, None)),
        (openai.Timeout(total=30), (5, 600, 600, 600, 30)),
        (openai.Timeout(openai.Timeout(5, total=9)), (5, 5, 5, 5, 9)),
        (openai.Timeout(openai.Timeout(5, total=9), write=1, total=8), (5, 5, 1, 5, 8)),
        (openai.Timeout(0), (0, 0, 0, 0, None)),
        (openai.Timeout(float("inf"), connect=1e12), (None, None, None, None, None)),
        (openai.DEFAULT_TIMEOUT, (5, 600, 600, 600, None)),
    ],
)
def test_a_timeout_is_four_limits_and_a_total(
    timeout: openai.Timeout, limits: Tuple[Any, ...]
) -> None:
    assert limits_of(timeout) == limits
    twin = eval(repr(timeout), {"Timeout": openai.Timeout})
    assert twin == timeout and hash(twin) == hash(timeout)
    assert pickle.loads(pickle.dumps(twin)) == twin
    assert timeout != openai.Timeout(77) and timeout != 5


def test_equal_limits_make_equal_timeouts() -> None:
    whole, fraction = openai.Timeout(5), openai.Timeout(5.0)
    assert whole == fraction and hash(whole) == hash(fraction)


@pytest.mark.parametrize(
    "args, options, error",
    [
        ((), {}, ValueError), ((), {"read": 5}, ValueError), ((-1,), {}, ValueError),
        ((float("nan"),), {}, ValueError), ((5,), {"total": -0.1}, ValueError),
        (("5",), {}, TypeError), ((True,), {}, TypeError), (((5, 1),), {}, TypeError),
        ((5,), {"connect": "1"}, TypeError),
    ],
)
def test_a_timeout_that_makes_no_sense_is_refused(args: Any, options: Any, error: Any) -> None:
    with pytest.raises(error):
        openai.Timeout(*args, **options)


@pytest.mark.parametrize("timeout", [-1, float("nan"), "5", True])
def test_a_client_refuses_the_same_timeouts(timeout: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        OpenAI(api_key=KEY, timeout=timeout)
    with pytest.raises((ValueError, TypeError)):
        OpenAI(api_key=KEY, base_url="http://127.0.0.1:9").models.list(timeout=timeout)


@pytest.mark.parametrize("timeout", [None, float("inf"), 1e12, 30 * 86400.0,
                                     openai.Timeout(None, total=1e12)])
def test_limits_too_long_for_a_socket_mean_no_limit(timeout: Any) -> None:
    with RawServer(answer(), answer()) as server, client_of(server) as client:
        client.models.list(timeout=timeout)
        client.with_options(timeout=timeout).models.list()
    sent = [headers_of(head) for head, _ in server.requests]
    assert "x-stainless-read-timeout" not in sent[0] and "x-stainless-read-timeout" not in sent[1]


def test_limits_have_the_defaults_of_the_official_client() -> None:
    assert openai.DEFAULT_CONNECTION_LIMITS == openai.Limits(1000, 100)
    assert openai.Limits(max_connections=5, keepalive_expiry=None) == openai.Limits(5, 100, None)

# ---- 4.2 Requests ----


@pytest.mark.parametrize(
    "url, origin, target, userinfo",
    [
        ("http://a", ("http", "a", 80), "/", ""),
        ("HTTPS://A.Example/V1/", ("https", "a.example", 443), "/V1/", ""),
        ("http://a:8080/v1?x=1#f", ("http", "a", 8080), "/v1?x=1", ""),
        ("http://a?x=/b@c:d", ("http", "a", 80), "/?x=/b@c:d", ""),
        ("http://a#x/y", ("http", "a", 80), "/", ""),
        ("http://a:/v1", ("http", "a", 80), "/v1", ""),
        ("http://[::1]/v1", ("http", "::1", 80), "/v1", ""),
        ("https://[2001:DB8::1]:8443/v1", ("https", "2001:db8::1", 8443), "/v1", ""),
        ("http://me:pw@a:1/v1", ("http", "a", 1), "/v1", "me:pw"),
        ("http://me:p@w@a/v1", ("http", "a", 80), "/v1", "me:p@w"),
        ("http://me@[::1]:1", ("http", "::1", 1), "/", "me"),
        ("http://a/@b", ("http", "a", 80), "/@b", ""),
        ("http://b\u00fccher.example/\u00fc v", ("http", "xn--bcher-kva.example", 80),
         "/%C3%BC%20v", ""),
        ("http://a/%20%C3", ("http", "a", 80), "/%20%C3", ""),
        ("http://a/x\r\nY: z", ("http", "a", 80), "/x%0D%0AY:%20z", ""),
        ("http://a:65535", ("http", "a", 65535), "/", ""),
    ],
)
def test_urls_are_split_into_origin_target_and_userinfo(
    url: str, origin: Any, target: str, userinfo: str
) -> None:
    assert openai.split_url(url) == (openai.Origin(*origin), target, userinfo)
    found = openai.split_url(url)[0]
    assert (found.scheme, found.host, found.port) == origin


@pytest.mark.parametrize(
    "url",
    [
        "", "a", "api.openai.com/v1", "//a/v1", "ftp://a", "http:/a", "http://", "http:///v1",
        "http://:80", "http://me@", "http://a:b", "http://a:-1", "http://a:65536",
        "http://a:99999999",
        "http://a:\u00b2", "http://a:1:2", "http://::1/", "http://[::1", "http://[::1]x:80",
        "http://[::1]::80", "http://[]", "http://a b/", "http://a\r\nX: y/", "http://\u00fc..x/",
        "http://" + "\u00fc" * 70 + "/", "ws://a", " http://a",
    ],
)
def test_urls_that_lead_nowhere_are_refused_at_once_without_showing_secrets(url: str) -> None:
    with pytest.raises(openai.OpenAIError):
        openai.split_url(url)
    secret = url.replace("://", f"://me:{KEY}@", 1)
    for bad in [url, secret] if url else []:
        with pytest.raises(openai.OpenAIError) as caught:
            OpenAI(api_key="sk", base_url=bad)
        assert KEY not in whole_traceback(caught.value)


def test_neither_repr_nor_pickle_of_a_request_hold_secrets() -> None:
    request = request_of_all_secrets()
    assert KEY not in repr(request) + repr(pickle.dumps(request))
    assert repr(request) == "<HTTPRequest POST http://h/v1?x=1&api_key=<redacted>>"
    assert openai.HTTPRequest("GET", "http://me:pw@h/x//a@b").url == "http://h/x//a@b"
    for url in (f"http://me:p@{KEY}@h/", f"http://{KEY}@h", f"http://h/?sig={KEY}",
                f"http://h/?a=1&X-Amz-Signature={KEY}#x"):
        assert KEY not in repr(openai.HTTPRequest("GET", url))
    assert "limit=2&after=abc" in repr(openai.HTTPRequest("GET", "http://h/?limit=2&after=abc"))


def test_userinfo_in_the_base_url_becomes_basic_authorization_as_in_the_official_client() -> None:
    with RawServer(answer(), answer()) as server:
        url = server.url.replace("://", "://me:p%40w@")
        with OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
            client.models.list()
            client.models.list(extra_headers={"Authorization": "mine"})
    sent = [headers_of(head)["authorization"] for head, _ in server.requests]
    assert sent == ["Basic " + base64.b64encode(b"me:p@w").decode(), "mine"]


@pytest.mark.parametrize(
    "method, body, length",
    [
        ("GET", None, None), ("DELETE", None, None), ("HEAD", None, None), ("POST", None, "0"),
        ("PUT", None, "0"), ("PATCH", None, "0"), ("POST", b"", "0"), ("POST", b"abc", "3"),
        ("DELETE", b"{}", "2"), ("POST", b"x" * 100_000, "100000"),
    ],
)
def test_a_request_says_how_long_its_body_is(method: str, body: Any, length: Optional[str]) -> None:
    with RawServer(answer(b"")) as server, openai.HTTPTransport() as transport:
        transport.send(openai.HTTPRequest(method, server.url + "/x", {"X-A": "b"}, body)).read()
    head, received = server.requests[0]
    assert head.startswith(
        f"{method} /v1/x HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\nX-A: b\r\n"
    )
    assert headers_of(head).get("content-length") == length and received == (body or b"")

# ---- 4.4 Responses ----


def chunked(*pieces: bytes, extension: bytes = b"", trailers: bytes = b"") -> bytes:
    body = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces)
    return body + b"0" + extension + b"\r\n" + trailers + b"\r\n"


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body


TE = "HTTP/1.1 200 OK\nTransfer-Encoding: chunked"
HEAD_OF_CHUNKS = raw(TE)

# What a server may send, the body in it, and whether the connection is good for another request.
ANSWERS: List[Tuple[str, Answer, bytes, bool]] = [
    ("length", raw("HTTP/1.1 200 OK\nContent-Length: 3", b"abc"), b"abc", True),
    ("no reason", raw("HTTP/1.1 200\nContent-Length: 3", b"abc"), b"abc", True),
    ("no space after the colon", raw("HTTP/1.1 200 OK\nContent-Length:3", b"abc"), b"abc", True),
    ("LF only", b"HTTP/1.1 200 OK\nContent-Length: 3\n\nabc", b"abc", True),
    ("LF only, with a blank line in the body",
     b"HTTP/1.1 200 OK\nContent-Length: 8\n\na\r\n\r\nabc", b"a\r\n\r\nabc", True),
    ("same length twice", raw("HTTP/1.1 200 OK\nContent-Length: 3\nContent-Length: 3", b"abc"),
     b"abc", True),
    ("same length in a list", raw("HTTP/1.1 200 OK\nContent-Length: 3, 3", b"abc"), b"abc", True),
    ("folded header", raw("HTTP/1.1 200 OK\nX: a\n b\nContent-Length:\n  3", b"abc"), b"abc", True),
    ("line without colon", raw("HTTP/1.1 200 OK\nnonsense\nContent-Length: 3", b"abc"), b"abc",
     True),
    ("100 first", raw("HTTP/1.1 100 Continue") + raw("HTTP/1.1 200 OK\nContent-Length: 3", b"abc"),
     b"abc", True),
    ("103 with headers first",
     raw("HTTP/1.1 103 Hints\nLink: x\nContent-Length: 9") * 2
     + raw("HTTP/1.1 200 OK\nContent-Length: 3", b"abc"), b"abc", True),
    ("204", raw("HTTP/1.1 204 No Content"), b"", True),
    ("204 with a length", raw("HTTP/1.1 204 No Content\nContent-Length: 5"), b"", True),
    ("204 that says chunked", raw("HTTP/1.1 204 No Content\nTransfer-Encoding: chunked"), b"",
     True),
    ("304 with a length", raw("HTTP/1.1 304 Not Modified\nContent-Length: 5"), b"", True),
    ("empty", raw("HTTP/1.1 200 OK\nContent-Length: 0"), b"", True),
    ("chunked", raw(TE, chunked(b"ab", b"c")), b"abc", True),
    ("chunked, nothing in it", raw(TE, chunked()), b"", True),
    ("chunked, upper case and zeros", raw(TE, b"00A\r\n0123456789\r\n0000\r\n\r\n"), b"0123456789",
     True),
    ("chunk extensions", raw(TE, chunked(b"ab", b"c", extension=b' ; a="b;c"')), b"abc", True),
    ("trailers", raw(TE, chunked(b"abc", trailers=b"X-A: b\r\nX-C: d\r\n")), b"abc", True),
    ("chunked beats length", raw(TE + "\nContent-Length: 1", chunked(b"abc")), b"abc", True),
    ("Chunked in capitals", raw("HTTP/1.1 200 OK\nTRANSFER-ENCODING: Chunked", chunked(b"abc")),
     b"abc", True),
    ("chunked, then close", raw(TE + "\nConnection: close", chunked(b"abc")), b"abc", False),
    ("to the end", hang_up(raw("HTTP/1.1 200 OK", b"abc")), b"abc", False),
    ("to the end, empty", hang_up(raw("HTTP/1.1 200 OK")), b"", False),
    ("close", raw("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 3", b"abc"), b"abc", False),
    ("HTTP/1.0", hang_up(raw("HTTP/1.0 200 OK\nContent-Length: 3", b"abc")), b"abc", False),
    ("HTTP/1.0 kept", raw("HTTP/1.0 200 OK\nConnection: Keep-Alive\nContent-Length: 3", b"abc"),
     b"abc", True),
    ("more than it said", raw("HTTP/1.1 200 OK\nContent-Length: 3", b"abcdef"), b"abc", False),
    ("more than a 204 may have", raw("HTTP/1.1 204 OK", b"abc"), b"", False),
    # After https://github.com/nodejs/llhttp/tree/main/test/response
    ("chunked, but not as the last coding",
     hang_up(raw("HTTP/1.1 200 OK\nTransfer-Encoding: chunked, deflate\nContent-Length: 2",
                 b"World")), b"World", False),
    ("chunked, then identity",
     hang_up(raw(TE + "\nTransfer-Encoding: identity", b"World")), b"World", False),
    ("chunkedchunked", hang_up(raw(TE + "chunked", b"2\r\nOK\r\n0\r\n\r\n")),
     b"2\r\nOK\r\n0\r\n\r\n", False),
    ("another coding, then chunked",
     raw("HTTP/1.1 200 OK\nTransfer-Encoding: x\nTransfer-Encoding: chunked", chunked(b"abc")),
     b"abc", True),
    ("identity with a length",
     raw("HTTP/1.1 200 OK\nTransfer-Encoding: identity\nContent-Length: 3", b"abc"), b"abc", True),
    ("no coding with a length",
     raw("HTTP/1.1 200 OK\nTransfer-Encoding:\nContent-Length: 3", b"abc"), b"abc", True),
    ("space after a chunk size", raw(TE, b"2  \r\nab\r\n0  \r\n\r\n"), b"ab", True),
    ("semicolon without extension", raw(TE, b"2;\r\nab\r\n0;\r\n\r\n"), b"ab", True),
    ("tabs around a length", raw("HTTP/1.1 200 OK\nContent-Length:\t3\t", b"abc"), b"abc", True),
    ("a name that starts alike", raw(TE + "\nContent-Length-X: 0", chunked(b"OK")), b"OK", True),
    ("space, but no reason", raw("HTTP/1.1 200 \nContent-Length: 3", b"abc"), b"abc", True),
    ("header without a value", raw("HTTP/1.1 200 OK\nPragma:\nContent-Length: 3", b"abc"), b"abc",
     True),
    ("Proxy-Connection", raw("HTTP/1.1 200 OK\nProxy-Connection: close\nContent-Length: 3", b"abc"),
     b"abc", True),
    ("an upgrade offered",
     raw("HTTP/1.1 200 OK\nConnection: upgrade\nUpgrade: h2c\nContent-Length: 3", b"abc"), b"abc",
     True),
    ("HTTP/1.0 kept, without a length",
     hang_up(raw("HTTP/1.0 200 OK\nConnection: keep-alive", b"abc")), b"abc", False),
    # After https://github.com/python-hyper/h11/tree/master/h11/tests
    ("a space before the colon, which makes another name",
     hang_up(raw("HTTP/1.1 200 OK\nContent-Length : 2", b"abc")), b"abc", False),
    ("ends of lines mixed, and a blank line in the body",
     b"HTTP/1.1 200 OK\r\nX: a\nContent-Length: 8\n\r\na\r\n\r\nabc", b"a\r\n\r\nabc", True),
    ("folded with tabs and spaces",
     raw("HTTP/1.1 200 OK\nX: a\n b\n\tc\n    \t  \t\td\nContent-Length: 3\nY: in the\n  last  ",
         b"abc"), b"abc", True),
    ("odd bytes in reason and header",
     raw("HTTP/1.1 200 \xe9\x07\nX: a\0b\xff\nContent-Length: 3", b"abc"), b"abc", True),
    ("another protocol from here on",
     raw("HTTP/1.1 101 Go\nConnection: upgrade\nUpgrade: websocket"), b"", False),
    ("large head", raw("HTTP/1.1 200 OK\nContent-Length: 3\nX: " + "y" * 100_000, b"abc"), b"abc",
     True),
]
IDS = [row[0] for row in ANSWERS]


@pytest.mark.parametrize("sent, body, kept", [row[1:] for row in ANSWERS], ids=IDS)
def test_a_body_ends_where_it_should_and_the_next_answer_is_right(
    sent: Answer, body: bytes, kept: bool
) -> None:
    with RawServer(sent, answer(b"next")) as server, openai.HTTPTransport() as transport:
        response = transport.send(openai.HTTPRequest("GET", server.url))
        assert response.read() == body and response.is_closed and response.read() == body
        assert transport.send(openai.HTTPRequest("GET", server.url)).read() == b"next"
        assert server.connections == (1 if kept else 2)


@pytest.mark.parametrize("sent, body", [row[1:3] for row in ANSWERS if row[0] != "large head"],
                         ids=IDS[:-1])
def test_answers_that_come_byte_by_byte_are_the_same(sent: Answer, body: bytes) -> None:
    whole = sent if isinstance(sent, bytes) else sent_by(sent)

    def drip(conn: socket.socket) -> None:
        conn.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for i in range(len(whole)):
            conn.sendall(whole[i : i + 1])

    with RawServer(drip) as server, openai.HTTPTransport() as transport:
        response = transport.send(openai.HTTPRequest("GET", server.url))
        assert b"".join(response.iter_bytes()) == body


def sent_by(sender: Callable[[socket.socket], None]) -> bytes:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        sender(theirs)
        theirs.shutdown(socket.SHUT_WR)
        return ours.makefile("rb").read()


def test_a_head_request_has_no_body_whatever_the_headers_say() -> None:
    with RawServer(raw("HTTP/1.1 200 OK\nContent-Length: 5"), raw(TE), answer(b"x")) as server:
        with openai.HTTPTransport() as transport:
            for _ in range(2):
                assert transport.send(openai.HTTPRequest("HEAD", server.url)).read() == b""
            assert transport.send(openai.HTTPRequest("GET", server.url)).read() == b"x"
        assert server.connections == 1


CONNECTION, VALIDATION = openai.APIConnectionError, openai.APIResponseValidationError
JSON = "HTTP/1.1 200 OK\nContent-Type: application/json"


@pytest.mark.parametrize(
    "sent, kind, message",
    [
        (answer("<html>", Content_Type="text/html"), VALIDATION,
         "expected JSON, got text/html; is /v1 missing"),
        (answer("hello", Content_Type=""), VALIDATION, "expected JSON, got no content type"),
        (answer('{"a": 1', X_Request_ID="r7"), VALIDATION,
         r"broken JSON .*status 200 .*request id r7.*'{\"a\": 1'"),
        (answer(b'{"a": "\xff"}'), VALIDATION, "broken JSON"),
        (answer(b"[" * 100000), VALIDATION, "broken JSON .*recursion"),
        (answer(b""), VALIDATION, "expected JSON, got an empty body"),
        (answer("[]"), VALIDATION, "expected a list with a `data` field"),
        (answer("null"), VALIDATION, "expected a list with a `data` field"),
        (answer(b'{"data": []}', Content_Length="4"), VALIDATION, "broken JSON"),
        (hang_up(answer(b'{"data": []}', Content_Length="99")), CONNECTION,
         "closed after 12 of 99 bytes of the body"),
        (hang_up(answer(b"", Content_Length="99")), CONNECTION, "closed after 0 of 99 bytes"),
        (hang_up(answer(b"{}", Content_Length="999999999999999999")), CONNECTION,
         "closed after 2 of 9{18} bytes"),
        (hang_up(raw(JSON + "\nContent-Length: 1000000000000000000000")), CONNECTION,
         "bad Content-Length"),
        (hang_up(raw(JSON + "\nContent-Length: -1")), CONNECTION, "bad Content-Length '-1'"),
        (hang_up(raw(JSON + "\nContent-Length: 2\nContent-Length: 3", b"{}")), CONNECTION,
         "bad Content-Length '2, 3'"),
        (hang_up(raw(JSON + "\nContent-Length: 2x", b"{}")), CONNECTION, "bad Content-Length '2x'"),
        (hang_up(raw(JSON + "\nContent-Length: +2", b"{}")), CONNECTION, "bad Content-Length"),
        (hang_up(raw(TE)), CONNECTION, "closed after 0 bytes of the chunked body"),
        (hang_up(raw(TE, b"5\r\n{")), CONNECTION, "closed after 1 bytes of the body"),
        (hang_up(raw(TE, b"2\r\n{}")), CONNECTION, "closed after 2 bytes of the chunked body"),
        (hang_up(raw(TE, b"2\r\n{}\r")), CONNECTION, "closed after 2 bytes of the chunked body"),
        (hang_up(raw(TE, b"2\r\n{}\r\n")), CONNECTION, "closed after 2 bytes of the chunked body"),
        (hang_up(raw(TE, b"2\r\n{}\r\n0\r\n")), CONNECTION,
         "closed after 2 bytes of the chunked body"),
        (hang_up(raw(TE, b"2\r\n{}\r\n0\r\nX: ")), CONNECTION,
         "closed after 2 bytes of the chunked body"),
        (raw(TE, b"2\r\n{}abc\r\n0\r\n\r\n"), CONNECTION, "a chunk does not end where it says"),
        (raw(TE, b"2\r\n{}\nX0\r\n\r\n"), CONNECTION, "a chunk does not end where it says"),
        (raw(TE, b"1\r\n{\r\n1\r\n}XY0\r\n\r\n"), CONNECTION, "a chunk does not end where it says"),
        (raw(TE, b"zz\r\n{}\r\n"), CONNECTION, "b'zz' is no chunk size"),
        (raw(TE, b"\r\n{}\r\n"), CONNECTION, "b'' is no chunk size"),
        (raw(TE, b"-2\r\n{}\r\n"), CONNECTION, "b'-2' is no chunk size"),
        (raw(TE, b"0x2\r\n{}\r\n"), CONNECTION, "b'0x2' is no chunk size"),
        (raw(TE, b"1_0\r\n{}\r\n"), CONNECTION, "is no chunk size"),
        (raw(TE, b"f" * 17 + b"\r\n{}\r\n"), CONNECTION, "is no chunk size"),
        (raw(TE, b"2;" + b"x" * 5000 + b"\r\n{}\r\n"), CONNECTION,
         "line of the chunked body is too long"),
        (hang_up(b""), CONNECTION, "closed without an answer"),
        (hang_up(b"HT"), CONNECTION, "closed in the middle of the headers"),
        (hang_up(b"HTTP/1.1 200 OK\r\nContent-Len"), CONNECTION,
         "closed in the middle of the headers"),
        (hang_up(b"SSH-2.0-OpenSSH_9\r\n\r\n"), CONNECTION,
         "the answer is not HTTP/1.1: it starts with 'SSH-2.0-OpenSSH_9'"),
        (hang_up(b"\x15\x03\x01\x00\x02\x02\x50\n\n"), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/2 200 OK")), CONNECTION, "not HTTP/1.1: it starts with 'HTTP/2 200 OK'"),
        (hang_up(raw("HTTP/1.1 2000 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/1.1 099 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("ICY 200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(b"\r\n" + answer()), CONNECTION, "not HTTP/1.1: it starts with ''"),
        (hang_up(raw(" HTTP/1.1 200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/1.1  200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/1.1\t200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/1.10 200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTPER/1.1 200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("RTSP/1.1 200 OK")), CONNECTION, "not HTTP/1.1"),
        (hang_up(raw("HTTP/1.1 103 Hints") * 1000), CONNECTION,
         "a hundred responses of status 1xx"),
        (raw(TE, b"2 x\r\n{}\r\n0\r\n\r\n"), CONNECTION, "b'2 x' is no chunk size"),
        (hang_up(raw("HTTP/1.1 200 OK\nX: " + "y" * 300_000)), CONNECTION,
         "headers of the response exceed 256 KB"),
        (hang_up(raw("HTTP/1.1 200 OK" + "\nX: y" * 60_000)), CONNECTION,
         "headers of the response exceed 256 KB"),
    ],
)
def test_an_answer_that_is_not_what_it_should_be_is_a_typed_error(
    sent: Answer, kind: Any, message: str
) -> None:
    with RawServer(sent) as server, client_of(server) as client:
        with pytest.raises(openai.APIError, match="(?s)" + message) as caught:
            client.models.list()
    assert type(caught.value) is kind and len(server.requests) == 1
    if kind is CONNECTION:
        assert f"(read 127.0.0.1:{server.port}: " in str(caught.value)
        with RawServer(sent) as server, openai.HTTPTransport() as transport:
            with pytest.raises(CONNECTION, match="(?s)" + message):  # also if it is read in pieces
                list(transport.send(openai.HTTPRequest("GET", server.url)).iter_bytes())


def read_from(data: bytes, in_pieces: bool) -> Any:
    """The body that a transport reads from a socket, or the error that it has a type for."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            theirs.sendall(data)
        request = openai.HTTPRequest("GET", "http://h/")
        transport = openai.HTTPTransport()
        connection = openai.Connection(transport, request.origin, ours, False, "")
        connection.reader = openai.SocketReader(ours, request)
        try:
            response = connection.response(request, 0.0)
            body = b"".join(response.iter_bytes(7)) if in_pieces else response.read()
            return response.status_code, body
        except openai.OpenAIError as err:
            return type(err)
        except OSError as err:  # which HTTPTransport.send() makes an APIConnectionError of
            return type(openai.connection_error(err, request, "read"))


@pytest.mark.parametrize("seed", range(2))
def test_mutated_answers_are_read_alike_whole_and_in_pieces_or_are_typed_errors(seed: int) -> None:
    chance = random.Random(seed)
    corpus = [sent_by(sent) if callable(sent) else sent for name, sent, _, _ in ANSWERS[:-1]]
    corpus += [answer(data, Content_Encoding=coding) for _, coding, data, _ in PACKED[:-4]]
    for i in range(11_000):
        data = mutated(chance, chance.choice(corpus))
        whole, in_pieces = read_from(data, False), read_from(data, True)
        if isinstance(whole, tuple) or isinstance(in_pieces, tuple):  # else two flaws, either first
            assert whole == in_pieces, (seed, i, data)


@pytest.mark.parametrize(
    "start, piece, end", [
        (HEAD_OF_CHUNKS, b"1\r\na\r\n", b"0\r\n\r\n"),
        (HEAD_OF_CHUNKS, b"1;x\r\na\r\n", b"0\r\n\r\n"),
        (HEAD_OF_CHUNKS + b"0\r\n", b"X: y\r\n", b"\r\n"),
        (b"HTTP/1.1 204 OK\r\n", b"X: y\r\n", b"\r\n"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"a\n", b""),
    ], ids=["chunks", "chunks with extensions", "trailers", "headers", "body"],
)
def test_twice_the_answer_takes_twice_the_steps(start: bytes, piece: bytes, end: bytes) -> None:
    def work(size: int) -> Callable[[], Any]:
        return lambda: read_from(start + piece * size + end, True)

    check_linear(work, 400)


def members(*pieces: bytes) -> bytes:
    return b"".join(gzip.compress(piece) for piece in pieces)


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(data) + packer.flush()


PACKED: List[Tuple[str, str, bytes, bytes]] = [
    ("gzip", "gzip", members(b"abc" * 99), b"abc" * 99),
    ("GZIP", "GZIP", members(b"abc"), b"abc"),
    ("x-gzip", "x-gzip", members(b"abc"), b"abc"),
    ("empty gzip", "gzip", members(b""), b""),
    ("no body", "gzip", b"", b""),
    ("several members", "gzip", members(b"abc", b"", b"def"), b"abcdef"),
    ("thousands of members", "gzip", members(b"a") * 5000, b"a" * 5000),
    ("deflate", "deflate", zlib.compress(b"abc" * 99), b"abc" * 99),
    ("raw deflate", "deflate", raw_deflate(b"abc" * 99), b"abc" * 99),
    ("identity", "identity", b"abc", b"abc"),
]


@pytest.mark.parametrize("encoding, data, body", [row[1:] for row in PACKED],
                         ids=[r[0] for r in PACKED])
def test_compressed_bodies_are_unpacked_however_they_are_cut(
    encoding: str, data: bytes, body: bytes
) -> None:
    coding = f"\nContent-Encoding: {encoding}"
    whole = answer(data, Content_Encoding=encoding)
    pieces = [data[i : i + 1] for i in range(min(40, len(data)))] + [data[40:]]
    cut = raw(TE + coding, chunked(*[p for p in pieces if p]))
    to_end = hang_up(raw("HTTP/1.1 200 OK" + coding, data))
    with openai.HTTPTransport() as transport:
        with RawServer(whole, whole, cut, cut, to_end) as server:
            for i in range(5):
                response = transport.send(openai.HTTPRequest("GET", server.url))
                assert (b"".join(response.iter_bytes()) if i % 2 else response.read()) == body
            assert server.connections == 1
    assert openai.HTTPResponse(200, {"Content-Encoding": encoding}, data).content == body

    if encoding != "identity":
        unpacker = openai.Unpacker(encoding.lower())
        fed = b"".join(unpacker.feed(data[i : i + 1]) for i in range(len(data)))
        assert fed + unpacker.finish() == body


@pytest.mark.parametrize(
    "encoding, data, message",
    [
        ("gzip", members(b"abc" * 99)[:-9], "gzip data ends too early"),
        ("gzip", members(b"abc")[:-4], "gzip data ends too early"),
        ("gzip", members(b"abc")[:1], "gzip data ends too early"),
        ("gzip", b"{}", "broken gzip data"),
        ("gzip", members(b"abc")[:-8] + b"12345678", "broken gzip data"),
        ("gzip", members(b"abc") + b"junk", "broken gzip data"),
        ("deflate", raw_deflate(b"abc" * 99)[:-2], "deflate data ends too early"),
        ("deflate", b"\xff" * 9, "broken deflate data"),
        ("deflate", b"\x78", "deflate data ends too early"),
    ],
)
def test_broken_compression_is_a_typed_error_and_never_half_a_body(
    encoding: str, data: bytes, message: str
) -> None:
    assert type(failure(answer(data, Content_Encoding=encoding))) is VALIDATION
    with openai.HTTPTransport() as transport:
        with RawServer(answer(data, Content_Encoding=encoding)) as server:
            response = transport.send(openai.HTTPRequest("GET", server.url))
            with pytest.raises(VALIDATION, match=f"127.0.0.1:{server.port}: .*{message}"):
                list(response.iter_bytes())


def test_gzip_is_unpacked_though_identity_was_asked_for() -> None:
    with RawServer(answer(gzip.compress(b'{"id": "m"}'), Content_Encoding="gzip")) as server:
        with client_of(server, default_headers={"Accept-Encoding": "identity"}) as client:
            assert client.models.retrieve("m").id == "m"
    assert headers_of(server.requests[0][0])["accept-encoding"] == "identity"


def test_many_small_members_of_gzip_take_no_more_time_per_byte() -> None:
    started = time.process_time()
    error = failure(answer(members(b"") * 600_000, Content_Encoding="gzip"))  # 12 MB of them
    assert "empty body" in str(error) or type(error) is VALIDATION
    # If each took the rest of the body along: terabytes of copies, minutes.
    assert time.process_time() - started < 20


def test_a_decompression_bomb_does_not_fill_the_memory() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    block = packer.compress(bytes(1 << 24)) + packer.flush(zlib.Z_FULL_FLUSH)  # 16 MB in 16 KB
    error = failure(answer(block * 20 + raw_deflate(b""), Content_Encoding="deflate"))
    assert type(error) is VALIDATION and "bomb" in str(error)


def test_events_in_gzip_arrive_as_they_are_sent() -> None:
    seen = threading.Event()

    def send(conn: socket.socket) -> None:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        conn.sendall(raw(TE + "\nContent-Encoding: gzip\nContent-Type: text/event-stream"))
        for i in range(3):
            data = packer.compress(sse({"id": str(i)})) + packer.flush(zlib.Z_SYNC_FLUSH)
            conn.sendall(b"%x\r\n%s\r\n" % (len(data), data))
            assert seen.wait(30)
            seen.clear()
        conn.sendall(b"%x\r\n%s\r\n0\r\n\r\n" % (len(packer.flush()), b""))

    with RawServer(send) as server, client_of(server) as client:
        stream = client.chat.completions.create(model="m", messages=[], stream=True)
        for i in range(3):
            assert next(stream).id == str(i)
            seen.set()
        stream.close()


@pytest.mark.parametrize("size", [None, 1, 3, 7, 1000])
@pytest.mark.parametrize("packed", [False, True])
def test_bytes_text_and_lines_are_iterated_whole(size: Optional[int], packed: bool) -> None:
    text = "\u00e9\u20ac\r\n\U0001f600\n\nlast\u2028line"
    data = text.encode("utf-8")
    sent = gzip.compress(data) if packed else data
    options = {"Content_Encoding": "gzip"} if packed else {}
    with openai.HTTPTransport() as transport, RawServer(*[answer(sent, **options)] * 4) as server:
        request = openai.HTTPRequest("GET", server.url)
        pieces = list(transport.send(request).iter_bytes(size))
        assert b"".join(pieces) == data
        assert size is None or [len(p) for p in pieces[:-1]] == [size] * (len(pieces) - 1)
        assert "".join(transport.send(request).iter_text(size)) == text
        assert list(transport.send(request).iter_lines()) == ["\u00e9\u20ac", "\U0001f600", "",
                                                              "last\u2028line"]
        response = transport.send(request)
        response.read()
        assert b"".join(response.iter_bytes(size)) == data and response.text == text
        assert response.elapsed.total_seconds() >= 0


def test_large_pieces_cost_no_more_per_byte() -> None:
    started, piece = time.process_time(), b"x" * 4096
    for cutter in (openai.ByteCutter(64 << 20), openai.TextCutter("utf-8", 64 << 20)):
        found: List[Any] = []
        for _ in range((64 << 20) // 4096 + 1):
            found += cutter.feed(piece)
        assert list(map(len, found + cutter.finish())) == [64 << 20, 4096]
    # If what had come before were copied each time: a terabyte, minutes.
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    "content_type, text",
    [
        ("text/plain; charset=latin-1", "\u00e9"), ('text/plain; charset="ISO-8859-1"', "\u00e9"),
        ("text/plain", "\ufffd"), ("text/plain; charset=klingon", "\ufffd"),
        ("text/plain; charset=rot13", "\ufffd"), ("text/plain; charset=base64", "\ufffd"),
        ("text/plain; Charset=latin-1", "\u00e9"), ("text/plain; charset=idna", "\ufffd"),
        ("text/plain; charset=utf-16", "\ufffd"),
        ("text/plain; charset=undefined", "\ufffd"), ("text/plain; charset=uu", "\ufffd"),
    ],
)
def test_text_is_decoded_as_the_content_type_says(content_type: str, text: str) -> None:
    response = openai.HTTPResponse(200, {"Content-Type": content_type}, b"\xe9")
    assert response.text == text and "".join(response.iter_text()) == text


@pytest.mark.parametrize(
    "sent", [
        answer(b"abc", Content_Length="3, 3"), raw(TE + "\nContent-Length: what", chunked(b"abc")),
        hang_up(raw("HTTP/1.1 200 OK", b"abc")), raw(TE, chunked(b"abc")),
    ], ids=["a length twice", "chunked and nonsense", "to the end", "chunked"],
)
def test_a_download_may_say_its_length_in_any_way_that_http_allows(sent: Answer) -> None:
    async def main(server: RawServer) -> bytes:
        async with async_client_of(server) as client:
            return await (await client.files.content("f")).aread()

    with RawServer(sent, sent) as server, client_of(server) as client:
        assert client.files.content("f").read() == b"abc"
        assert asyncio.run(main(server)) == b"abc"


def test_a_response_is_read_once_as_a_stream_and_says_so() -> None:
    with RawServer(answer(b"abc")) as server, openai.HTTPTransport() as transport:
        response = transport.send(openai.HTTPRequest("GET", server.url))
        list(response.iter_bytes())
        with pytest.raises(openai.OpenAIError, match="already read as a stream"):
            response.read()


def stall(conn: socket.socket) -> None:
    conn.sendall(answer(b"abc", Content_Length="5"))
    silent(conn)


def break_off(conn: socket.socket) -> None:
    conn.sendall(answer(b"abc", Content_Length="5"))
    time.sleep(0.1)  # a reset at once would throw these bytes away
    reset(conn)


@pytest.mark.parametrize(
    "sent, kind, message",
    [
        (hang_up(answer(b"abc", Content_Length="5")), CONNECTION, "after 3 of 5 bytes"),
        (stall, openai.APITimeoutError, "read"),
        (break_off, CONNECTION, "read 127"),
        (raw(TE, b"3\r\nabc\r\nzz\r\n"), CONNECTION, "no chunk size"),
    ],
    ids=["cut", "silent", "reset", "malformed"],
)
def test_a_download_that_fails_is_a_typed_error_and_a_full_disk_is_not(
    sent: Any, kind: Any, message: str
) -> None:
    with RawServer(sent, answer(b"abc")) as server, openai.HTTPTransport() as transport:
        request = openai.HTTPRequest("GET", server.url, timeout=openai.Timeout(30, read=2))
        response = transport.send(request)
        with pytest.raises(openai.APIError, match=message) as caught:
            response.write_to(io.BytesIO())
        assert type(caught.value) is kind and response.is_closed

        class FullDisk(io.BytesIO):
            def write(self, data: Any) -> int:
                raise OSError(errno.ENOSPC, "No space left on device")

        response = transport.send(request)
        with pytest.raises(OSError, match="No space left") as disk:
            response.write_to(FullDisk())
        assert response.is_closed and not isinstance(disk.value, openai.OpenAIError)
    assert len(transport.slots) == 1000

# ---- 4.5 Connections ----


def fetch(transport: openai.HTTPTransport, url: str, **options: Any) -> bytes:
    method, body = options.pop("method", "GET"), options.pop("body", None)
    return transport.send(openai.HTTPRequest(method, url, {}, body, **options)).read()


def idle_connections(transport: openai.HTTPTransport) -> List[Any]:
    return [c for idle in transport.idle.values() for c in idle]


def test_one_connection_serves_many_calls() -> None:
    with RawServer(*[answer()] * 50) as server, client_of(server) as client:
        for _ in range(25):
            client.models.list()
            client.with_options(timeout=9).models.list()  # a copy shares the connections
    assert len(server.requests) == 50 and server.connections == 1


@pytest.mark.parametrize("method, body", [("GET", None), ("POST", b"{}"), ("POST", b"x" * 200_000)])
@pytest.mark.parametrize("rudely", [False, True])
@pytest.mark.parametrize("late", [False, True])
def test_a_kept_connection_that_the_server_closed_is_replaced_silently(
    method: str, body: Optional[bytes], rudely: bool, late: bool
) -> None:
    def close(conn: socket.socket) -> None:
        if not late:
            conn.sendall(answer(b"1"))
        if rudely:
            time.sleep(0.05)  # a reset would throw the answer away
            reset(conn)

    # Late means: just as the second request is on its way, which no look at the socket can tell.
    answers: List[Answer] = [answer(b"1"), close] if late else [close]
    with RawServer(*answers, answer(b"2")) as server, openai.HTTPTransport() as transport:
        assert fetch(transport, server.url, method=method, body=body) == b"1"
        if not late:
            wait_until(lambda: not idle_connections(transport)[0].alive())
        assert fetch(transport, server.url, method=method, body=body) == b"2"
        assert server.connections == 2 and len(server.requests) == (3 if late else 2)


@pytest.mark.parametrize(
    "answers, requests",
    [
        ([hang_up()], 1),  # a fresh connection: who knows what the server did with the request
        ([answer(), hang_up(b"H")], 2),  # an answer had begun
        ([answer(), hang_up(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab")], 2),
        ([answer(), hang_up(), hang_up()], 3),  # replaced once, not for ever
    ],
)
def test_nothing_is_sent_twice_where_that_may_do_harm(answers: List[Answer], requests: int) -> None:
    with RawServer(*answers, answer()) as server, openai.HTTPTransport() as transport:
        with pytest.raises(openai.APIConnectionError):
            for _ in range(2):
                fetch(transport, server.url, method="POST", body=b"{}")
        assert len(server.requests) == requests


def test_a_connection_with_bytes_nobody_asked_for_is_not_used_again() -> None:
    def send(conn: socket.socket) -> None:
        conn.sendall(answer(b"1"))
        time.sleep(0.05)
        conn.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        conn.recv(1)

    with RawServer(send, answer(b"2")) as server, openai.HTTPTransport() as transport:
        assert fetch(transport, server.url) == b"1"
        wait_until(lambda: not idle_connections(transport)[0].alive())
        assert fetch(transport, server.url) == b"2"


def test_connections_are_kept_alive_and_not_delayed() -> None:
    with RawServer(answer()) as server, openai.HTTPTransport() as transport:
        fetch(transport, server.url)
        sock = idle_connections(transport)[0].sock
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60


def test_an_early_answer_to_a_long_upload_is_heard() -> None:
    def refuse(conn: socket.socket) -> None:
        conn.recv(1000)
        conn.sendall(answer(WRONG, "413 Payload Too Large"))
        conn.shutdown(socket.SHUT_WR)
        while conn.recv(1 << 20):  # or the answer may be lost
            pass

    with listening(refuse) as port:
        with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            with pytest.raises(openai.APIStatusError, match="413"):
                client.files.create(file=b"x" * (8 << 20), purpose="batch")


def silent(conn: socket.socket) -> None:
    """Say nothing, until the other side hangs up."""
    while conn.recv(1 << 16):
        pass


def begin_and_stall(conn: socket.socket) -> None:
    conn.sendall(b"HTTP/1.1 200 OK\r\n")
    silent(conn)


def deaf(conn: socket.socket) -> None:
    """Read nothing, for as long as a test may take."""
    time.sleep(60)


def drip(*start: bytes) -> Callable[[socket.socket], None]:
    def send(conn: socket.socket) -> None:
        for piece in start + (b"1\r\na\r\n",) * 3000:
            conn.sendall(piece)
            time.sleep(0.02)

    return send


def slow_reader(conn: socket.socket) -> None:
    while conn.recv(20_000):
        time.sleep(0.02)


def late(
    timeout: Any, handle: Any, phase: str, size: int = 5, scheme: str = "http", retries: int = 0
) -> None:
    """A call that is to fail by a time limit: soon, where it could take a minute."""
    started = time.monotonic()
    with listening(handle) as port:
        made = OpenAI(api_key=KEY, base_url=f"{scheme}://127.0.0.1:{port}", max_retries=retries)
        expected = f"Request timed out. .{phase} 127.0.0.1:{port}: "
        with made, pytest.raises(openai.APITimeoutError, match=expected):
            made.responses.create(model="m", input="x" * size, timeout=timeout)
    assert time.monotonic() - started < 15


HEAD = raw(TE)


@pytest.mark.parametrize(
    "timeout, handle, phase, options",
    [
        (0.2, silent, "read", {}),
        (openai.Timeout(60, read=0.2), silent, "read", {}),
        (openai.Timeout(60, read=0.2), begin_and_stall, "read", {}),
        (openai.Timeout(60, write=0.2), deaf, "send", {"size": 16 << 20}),
        (openai.Timeout(60, connect=0.2), silent, "tls", {"scheme": "https"}),
        (0, silent, "connect", {}),
        (openai.Timeout(60, connect=0), silent, "connect", {}),
        (openai.Timeout(60, read=0), silent, "read", {}),
        (openai.Timeout(60, write=0), silent, "send", {}),
        (openai.Timeout(total=0), silent, "connect", {}),
        (openai.Timeout(total=0.5), silent, r"\w+", {}),
        (openai.Timeout(total=0.5), deaf, r"\w+", {"size": 16 << 20}),
        (openai.Timeout(total=0.5), slow_reader, r"\w+", {"size": 16 << 20}),
        (openai.Timeout(total=0.5), silent, r"\w+", {"scheme": "https"}),
        (openai.Timeout(total=0.5), drip(HEAD), r"\w+", {}),
        (openai.Timeout(total=0.5), drip(b"H", b"T", b"T"), r"\w+", {}),
        (openai.Timeout(total=0.5), drip(raw("HTTP/1.1 200 OK\nContent-Length: 9000")), r"\w+", {}),
        (openai.Timeout(total=0.5), drip(raw("HTTP/1.1 200 OK")), r"\w+", {}),
        (openai.Timeout(total=0.5), drip(raw("HTTP/1.1 500 Oops\nContent-Length: 9000")), r"\w+",
         {}),
        (openai.Timeout(total=0.8, read=0.2), silent, r"\w+", {"retries": 50}),
        (openai.Timeout(total=0.5), drip(HEAD), r"\w+", {"retries": 50}),
    ],
)
def test_every_time_limit_holds(
    timeout: Any, handle: Any, phase: str, options: Dict[str, Any]
) -> None:
    late(timeout, handle, phase, **options)


def test_a_host_that_does_not_answer_the_connection_is_a_timeout() -> None:
    with full_backlog() as url:
        for transport in (openai.HTTPTransport(), openai.HTTPTransport(proxy=url)):
            request = openai.HTTPRequest("GET", url, timeout=openai.Timeout(30, connect=0.2))
            with pytest.raises(openai.APITimeoutError, match="connect|proxy .* via 127"):
                transport.send(request)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_call_ends_when_another_thread_says_stop(scheme: str) -> None:
    stop, started = openai.StopSignal(), time.monotonic()
    with listening(silent) as port, openai.HTTPTransport() as transport:
        threading.Timer(0.2, stop.stop).start()
        request = openai.HTTPRequest(
            "GET", f"{scheme}://127.0.0.1:{port}", timeout=openai.Timeout(30), stop=stop
        )
        with pytest.raises(openai.APIConnectionError):
            transport.send(request)
        assert time.monotonic() - started < 10
        with pytest.raises(openai.APIConnectionError, match="cancelled"):
            transport.send(request)


def test_a_server_that_asks_to_wait_beyond_the_total_limit_is_not_waited_for() -> None:
    started = time.monotonic()
    with RawServer(answer(WRONG, "429 Slow", Retry_After="60"), answer()) as server:
        with client_of(server, max_retries=5, timeout=openai.Timeout(total=20)) as client:
            with pytest.raises(openai.RateLimitError):
                client.models.list()
    assert time.monotonic() - started < 15 and len(server.requests) == 1


def test_a_slow_but_steady_upload_is_no_timeout() -> None:
    def steady(conn: socket.socket) -> None:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        file = conn.makefile("rb")
        head = read_request_head(file)
        left = int(headers_of(head)["content-length"])
        while left:
            left -= len(file.read(min(left, 1 << 20)))
            time.sleep(0.1)
        conn.sendall(answer())

    with listening(steady) as port:
        with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            # All of it takes three seconds; no single write may take two.
            client.responses.create(
                model="m", input="x" * (30 << 20), timeout=openai.Timeout(30, write=2)
            )

# ---- 4.6 The transport ----


def test_the_pool_is_bounded_and_waiting_for_it_as_well() -> None:
    limits = openai.Limits(max_connections=1)
    with openai.HTTPTransport(limits=limits) as transport:
        with RawServer(answer(b"1"), answer(b"2"), answer(b"3")) as server:
            held = transport.send(openai.HTTPRequest("GET", server.url))
            impatient = openai.HTTPRequest("GET", server.url, timeout=openai.Timeout(30, pool=0.1))
            with pytest.raises(openai.APITimeoutError, match="no free connection within 0.1 s"):
                transport.send(impatient)
            soon = openai.HTTPRequest("GET", server.url, deadline=openai.clock() + 0.1)
            with pytest.raises(openai.APITimeoutError, match="total time limit"):
                transport.send(soon)
            threading.Timer(0.2, held.read).start()
            assert fetch(transport, server.url) == b"2" and held.read() == b"1"
            dropped = transport.send(openai.HTTPRequest("GET", server.url))
            del dropped  # forgotten, not read: its place is free again
            gc.collect()
        with RawServer(answer(b"4")) as other:  # an idle connection to one host makes room
            assert fetch(transport, other.url) == b"4"
    assert server.connections == 1


def test_who_waits_for_a_connection_is_served_in_turn() -> None:
    """Also where those that have one come back for it at once; threads and tasks in one queue."""
    order: List[str] = []

    def in_no_hurry(conn: socket.socket) -> None:
        file = conn.makefile("rb")
        while True:
            head = read_request_head(file)
            if not head:
                return
            time.sleep(0.01)
            conn.sendall(answer({"id": head.split(" ")[1].rpartition("/")[2]}))

    def greedy(client: OpenAI) -> None:
        for i in range(30):
            order.append(client.models.retrieve("greedy").id)

    async def main(client: AsyncOpenAI, name: str) -> None:
        order.append((await client.models.retrieve(name)).id)

    transport = openai.DefaultHttpxClient(limits=openai.Limits(max_connections=1))
    with listening(in_no_hurry) as port:
        url = f"http://127.0.0.1:{port}"
        options: Any = {"api_key": KEY, "base_url": url, "http_client": transport}
        with OpenAI(**options) as client:
            threads = [threading.Thread(target=greedy, args=(client,)) for _ in range(2)]
            for thread in threads:
                thread.start()
            wait_until(lambda: order)
            for i in range(10):
                asyncio.run(main(AsyncOpenAI(**options), f"task {i}"))
            for thread in threads:
                thread.join(60)
    places = [i for i, name in enumerate(order) if name.startswith("task")]
    assert len(places) == 10 and len(order) == 70
    assert max(places) < 60, "the tasks had to wait until the greedy ones were done"
    assert transport.slots.queue == [] and len(transport.slots) == 1


def test_a_task_that_waits_for_a_connection_can_be_cancelled_and_may_not_wait_for_ever() -> None:
    async def main(server: RawServer) -> List[Any]:
        transport = openai.DefaultAsyncHttpxClient(limits=openai.Limits(max_connections=1))
        async with async_client_of(server, http_client=transport) as client:
            def ask(name: str, **limits: Any) -> Any:
                return asyncio.ensure_future(
                    client.models.retrieve(name, timeout=openai.Timeout(30, **limits))
                )

            first = ask("1")
            await asyncio.sleep(0.1)
            waiting = [ask("2", pool=0.1), ask("3", total=0.1), ask("4"), ask("5"), ask("6")]
            await asyncio.sleep(0.3)
            waiting[2].cancel()
            answered.set()
            found = await asyncio.gather(first, *waiting, return_exceptions=True)
            assert transport.slots.queue == []
            return found

    answered = threading.Event()

    def wait_first(conn: socket.socket) -> None:
        answered.wait(20)
        conn.sendall(answer({"id": "1"}))
        echo(conn)

    with RawServer(wait_first) as server:
        first, no_place, late, cancelled, *others = asyncio.run(main(server))
    assert [model.id for model in [first, *others]] == ["1", "5", "6"]
    assert isinstance(no_place, openai.APITimeoutError)
    assert "no free connection within 0.1 s" in str(no_place)
    assert isinstance(late, openai.APITimeoutError) and "total time limit" in str(late)
    assert isinstance(cancelled, asyncio.CancelledError) and server.connections == 1


def test_a_place_in_the_queue_ends_with_its_event_loop() -> None:
    with listening(echo) as port:
        transport = openai.DefaultHttpxClient(limits=openai.Limits(max_connections=1))
        options: Any = {"api_key": KEY, "base_url": f"http://127.0.0.1:{port}"}
        with OpenAI(http_client=transport, **options) as client:
            held = client.with_streaming_response.models.retrieve("held").__enter__()
            loop = asyncio.new_event_loop()
            task = loop.create_task(client_call(AsyncOpenAI(http_client=transport, **options)))
            loop.run_until_complete(asyncio.sleep(0.1))
            loop.close()  # without a word to its task
            assert len(transport.slots.queue) == 1
            held.close()
            assert client.models.retrieve("next").id == "next"
            assert transport.slots.queue == []
            with contextlib.suppress(AttributeError):
                task._log_destroy_pending = False  # type: ignore[attr-defined]


def test_idle_connections_are_bounded_in_number_and_time(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(*[answer()] * 9) as server:
        none = openai.HTTPTransport(limits=openai.Limits(max_keepalive_connections=0))
        for _ in range(2):
            fetch(none, server.url)
        assert server.connections == 2
        two = openai.HTTPTransport(limits=openai.Limits(max_keepalive_connections=2))
        held = [two.send(openai.HTTPRequest("GET", server.url)) for _ in range(3)]
        assert [r.read() for r in held] == [b"{}"] * 3
        assert server.connections == 5 and len(idle_connections(two)) == 2
        now = [openai.clock()]
        monkeypatch.setattr(openai, "clock", lambda: now[0])
        brief = openai.HTTPTransport(limits=openai.Limits(keepalive_expiry=5))
        fetch(brief, server.url)
        now[0] += 4.9
        fetch(brief, server.url)
        assert server.connections == 6
        now[0] += 5.1
        fetch(brief, server.url)
        assert server.connections == 7
        for transport in (none, two, brief):
            transport.close()
            assert idle_connections(transport) == [] and len(transport.slots) == 1000


def test_sixteen_threads_share_a_client() -> None:
    failures: List[Any] = []

    def work(client: OpenAI, number: int) -> None:
        try:
            for i in range(20):
                name = f"{number}-{i}"
                assert client.models.retrieve(name).id == name
        except BaseException as err:
            failures.append(err)

    for limits in (openai.Limits(), openai.Limits(max_connections=4)):
        with listening(echo) as port:
            transport = openai.DefaultHttpxClient(limits=limits)
            with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}",
                        http_client=transport) as client:
                threads = [threading.Thread(target=work, args=(client, n)) for n in range(16)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
        assert failures == [] and len(transport.slots) == limits.max_connections


def echo(conn: socket.socket) -> None:
    """Answer requests for as long as they come, with the last part of their path."""
    file = conn.makefile("rb")
    while True:
        head = read_request_head(file)
        if not head:
            return
        file.read(int(headers_of(head).get("content-length", "0")))
        conn.sendall(answer({"id": head.split(" ")[1].rpartition("/")[2]}))


def test_64_threads_ask_for_more_urls_than_are_remembered() -> None:
    failures: List[BaseException] = []
    ready = threading.Barrier(64)

    def work(client: OpenAI, number: int) -> None:
        try:
            ready.wait(60)
            for i in range(20):
                name = f"{number}-{i}"
                assert client.models.retrieve(name).id == name
                for k in range(30):
                    openai.split_url(f"http://{name}.example:{k}/")
        except BaseException as err:
            failures.append(err)

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # so that threads interrupt one another wherever they can
    try:
        with listening(echo) as port:
            url = f"http://127.0.0.1:{port}/v1"
            with OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
                threads = [threading.Thread(target=work, args=(client, n)) for n in range(64)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
                transport: Any = client._transport
                assert len(transport.slots) + len(idle_connections(transport)) == 1000
    finally:
        sys.setswitchinterval(interval)
    assert failures == []


def test_first_calls_made_at_once_by_many_threads_succeed() -> None:
    """In a fresh process, where they import and cache what they need at the same time."""
    program = """
import asyncio, base64, dataclasses, hmac, sys, threading, time
from typing import List, Optional
sys.setswitchinterval(1e-6)
import openai_lite as o
client = o.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
stamp = str(int(time.time()))
mac = hmac.new(b"secret", f"1.{stamp}.{{}}".encode(), "sha256").digest()
signed = {"webhook-id": "1", "webhook-timestamp": stamp,
          "webhook-signature": "v1," + base64.b64encode(mac).decode()}
@dataclasses.dataclass
class Plan:
    steps: List[str]
def tool(where: str, day: Optional[int] = None):
    pass
async def in_asyncio():
    async with o.AsyncOpenAI(api_key="k", base_url=sys.argv[1]) as other:
        return (await other.models.retrieve("m")).id
ready, failed = threading.Barrier(24), []
def work(i):
    calls = [
        lambda: client.models.retrieve("m").id == "m",
        lambda: client.chat.completions.create(model="m", messages=[]).id == "completions",
        lambda: client.files.create(file=b"x", purpose="batch").id == "files",
        lambda: client.with_options(timeout=9).responses.retrieve("r").id == "r",
        lambda: client.beta.threads.runs.with_raw_response.retrieve("a", thread_id="t").parse().id,
        lambda: o.AsyncOpenAI(api_key="k").copy().base_url,
        lambda: client.models.list().data == [],
        lambda: asyncio.run(in_asyncio()) == "m",
        lambda: o.function_tool(tool)["function"]["parameters"]["required"] == ["where", "day"],
        lambda: o.strict_schema(Plan)["required"] == ["steps"],
        lambda: not client.webhooks.verify_signature("{}", signed, secret="secret"),
        lambda: client.responses.parse(model="m", input="x", text_format=Plan).id == "responses",
        lambda: o.Response.model_validate({"output": [{"type": "message"}]}).output[0].type,
    ]
    try:
        ready.wait(30)
        for call in calls[i % len(calls):] + calls:
            assert call()
    except BaseException as err:
        failed.append(repr(err))
threads = [threading.Thread(target=work, args=(i,)) for i in range(24)]
[t.start() for t in threads], [t.join() for t in threads]
assert not failed, failed
"""
    with listening(echo) as port:
        for _ in range(4):
            done = python("-c", program, f"http://127.0.0.1:{port}/v1")
            assert done.returncode == 0, done.stderr


def in_a_child(client: Any) -> Any:
    """What a process does with a client that its parent has used, or is using."""
    names = [client.models.retrieve(f"child-{i}").id for i in range(3)]
    try:
        client.get("/refuse", cast_to=object)
    except openai.OpenAIError as err:
        return names, err


def echo_or_refuse(conn: socket.socket) -> None:
    file = conn.makefile("rb")
    while True:
        head = read_request_head(file)
        if not head:
            return
        name = head.split(" ")[1].rpartition("/")[2]
        conn.sendall(answer(WRONG, "404 No") if name == "refuse" else answer({"id": name}))


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_processes_share_a_client_but_none_of_its_sockets(method: str) -> None:
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system cannot {method}")
    context = multiprocessing.get_context(method)
    events = stream_answer(STREAM[:-20], Content_Length=str(len(STREAM)))

    def rest(conn: socket.socket) -> None:
        conn.sendall(events)
        proceed.wait(60)
        conn.sendall(STREAM[-20:])

    proceed = threading.Event()
    with listening(echo_or_refuse) as port, RawServer(rest) as streaming:
        url = f"http://127.0.0.1:{port}/v1"
        with OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
            assert client.models.retrieve("before").id == "before"  # a kept connection
            stream = chat_stream(client.with_options(base_url=streaming.url))  # and one in use
            next(stream)
            with context.Pool(2) as pool:
                results = [pool.apply_async(in_a_child, (client,)) for _ in range(4)]
                for result in results:
                    names, error = result.get(60)
                    assert names == ["child-0", "child-1", "child-2"]
                    assert isinstance(error, openai.NotFoundError) and error.body == WRONG["error"]
            proceed.set()
            assert text_of(stream) == "lo\u2028\U0001f600" and stream.completed
            assert client.models.retrieve("after").id == "after"


CTRL_C = """
import os, signal, socket, sys, threading, time
import openai_lite as o
phase, url, marker = sys.argv[1:]
limits = o.Limits(max_connections=1 if phase == "pool" else 1000)
client = o.OpenAI(api_key="k", base_url=url, max_retries=3, timeout=40,
                  http_client=o.DefaultHttpxClient(limits=limits))
call = {
    "send": lambda: client.files.create(file=b"x" * (32 << 20), purpose="batch"),
    "stream": lambda: list(client.responses.create(model="m", input="x", stream=True)),
    "download": lambda: client.files.content("f").write_to_file(os.devnull),
    "pool": lambda: [client.responses.create(model="m", input="x", stream=True) for _ in "ab"],
}.get(phase, lambda: client.models.list())
def interrupt():
    while not os.path.exists(marker):  # the server says that the client is where we want it
        time.sleep(0.01)
    time.sleep(0.2)
    os.kill(os.getpid(), signal.SIGINT)
if phase == "connect":
    open(marker, "w").close()
threading.Thread(target=interrupt, daemon=True).start()
try:
    call()
except KeyboardInterrupt:
    print("interrupted")
transport = client._transport
idle = sum(map(len, transport.idle.values()))
assert len(transport.slots) + idle == limits.max_connections, (len(transport.slots), idle)
if phase != "connect":
    print(client.models.retrieve("again").id)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for children")
@pytest.mark.parametrize(
    "phase", ["connect", "tls", "proxy", "send", "headers", "body", "stream", "download", "retry",
              "pool"]
)
def test_ctrl_c_ends_a_call_at_once_wherever_it_is_and_the_client_can_be_used_again(
    phase: str, tmp_path: pathlib.Path
) -> None:
    marker = tmp_path / "marker"
    first = {
        "body": answer(b"{", Content_Length="99"), "stream": stream_answer(sse({"type": "a"})),
        "download": answer(b"x" * 99, Content_Length="999999999"),
        "retry": answer(WRONG, "429 Slow", Retry_After="100"),
        "pool": stream_answer(sse({"type": "a"}), Content_Length="99"),
    }.get(phase, b"").replace(b"Content-Length: 2", b"Content-Length: 22")

    def serve(conn: socket.socket) -> None:
        if marker.exists():
            if phase == "proxy":
                conn.recv(1 << 16)
                conn.sendall(answer({"id": "again"}))
                return
            echo(conn)
        if phase in ("tls", "proxy"):
            conn.recv(10)
        elif phase == "send":
            conn.recv(10)
            marker.write_text("")
            deaf(conn)
        else:
            read_request_head(conn.makefile("rb"))
            conn.sendall(first)
        marker.write_text("")
        if phase == "retry":
            echo(conn)  # this connection is kept
        silent(conn)

    environ: Dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(listening(serve))
        url = f"http://127.0.0.1:{port}/v1"
        if phase == "tls":
            url = url.replace("http", "https")
        elif phase == "proxy":
            environ = {"HTTPS_PROXY": url}
            url = "https://api.example.com/v1"
        elif phase == "connect":
            url = stack.enter_context(full_backlog())
        started = time.monotonic()
        program = CTRL_C
        if phase in ("tls", "proxy"):  # what comes next needs no TLS
            program = program.replace(
                'print(client.models', f'client.base_url = "http://127.0.0.1:{port}/v1"; '
                'print(client.models'
            )
        done = python("-X", "dev", "-c", program, phase, url, str(marker), **environ)
    assert done.returncode == 0 and done.stderr == "", done.stderr
    assert done.stdout.split() == ["interrupted"] + ["again"] * (phase != "connect")
    assert time.monotonic() - started < 15


@contextlib.contextmanager
def full_backlog() -> Iterator[str]:
    """The URL of a listener whose queue is full, which on Linux lets nobody connect."""
    if sys.platform != "linux":
        pytest.skip("elsewhere a full backlog refuses")
    with contextlib.closing(socket.socket()) as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            sock = stack.enter_context(contextlib.closing(socket.socket()))
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("way", ["stream", "read", "download"])
def test_a_response_closed_by_another_thread_ends_at_once(
    way: str, scheme: str, certificates: Any
) -> None:
    def stalls(conn: socket.socket) -> None:
        conn.sendall(stream_answer(sse(CHUNKS[0]), Content_Length="99999999"))
        silent(conn)

    tls = certificates.server("right") if scheme == "https" else None
    transport = openai.DefaultHttpxClient(verify=certificates.path("right"))
    with RawServer(*[stalls] * 5, tls=tls) as server:
        with client_of(server, http_client=transport) as client:
            before = open_descriptors()
            for _ in range(5):
                result: Any
                if way == "stream":
                    result = chat_stream(client)
                    next(result)
                    wait: Callable[[], Any] = lambda: list(result)
                else:
                    result = client.files.content("f")
                    wait = result.read if way == "read" else lambda: result.response.write_to(
                        io.BytesIO())
                started = time.monotonic()
                threading.Timer(0.1, result.close).start()
                with pytest.raises(openai.APIConnectionError):
                    wait()
                assert time.monotonic() - started < 10  # and not after ten minutes
            assert len(transport.slots) == 1000
        wait_until(lambda: open_descriptors() <= before + 1)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_its_own_connections() -> None:
    with RawServer(*[answer({"data": [{"id": str(i)}]}) for i in range(3)]) as server:
        with client_of(server) as client:
            assert client.models.list().data[0].id == "0"
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                try:
                    os.write(writing, client.models.list().data[0].id.encode())
                finally:
                    os._exit(0)
            os.waitpid(child, 0)
            assert os.read(reading, 9) == b"1"
            assert client.models.list().data[0].id == "2"  # the parent's connection still works
            os.close(reading)
            os.close(writing)
    assert server.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows cannot fork")
@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_forked_child_uses_its_own_threads_in_asyncio() -> None:
    """The threads of its parent stayed behind, those in a call as well as the idle ones."""
    async def ask(client: AsyncOpenAI, *names: str) -> List[str]:
        found = await asyncio.gather(*[client.models.retrieve(name) for name in names])
        return [model.id for model in found]

    async def parent(client: AsyncOpenAI) -> bytes:
        assert await ask(client, "a", "b") == ["a", "b"]
        slow_call = asyncio.ensure_future(ask(client.with_options(base_url=waiting), "c"))
        await asyncio.sleep(0.1)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                said: List[str] = []
                thread = threading.Thread(  # because this one has the loop of the parent
                    target=lambda: said.extend(asyncio.run(ask(client, "child-1", "child-2")))
                )
                thread.start()
                thread.join(30)
                os.write(writing, " ".join(said).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as file:
            from_child = file.read()
        os.waitpid(child, 0)
        proceed.set()
        assert await slow_call == ["c"] and await ask(client, "d") == ["d"]
        await client.close()
        return from_child

    def wait(conn: socket.socket) -> None:
        read_request_head(conn.makefile("rb"))
        proceed.wait(60)
        conn.sendall(answer({"id": "c"}))

    proceed = threading.Event()
    with listening(echo) as port, listening(wait) as other:
        waiting = f"http://127.0.0.1:{other}/v1"
        client = AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0)
        assert asyncio.run(parent(client)) == b"child-1 child-2"


EVENTS = answer(sse({"id": "1"}, {"id": "2"}, b"[DONE]"), Content_Type="text/event-stream")
CUT = hang_up(answer(sse({"id": "1"}), Content_Type="text/event-stream", Content_Length="9999"))


def finish(client: OpenAI) -> None:
    assert len(list(client.chat.completions.create(model="m", messages=[], stream=True))) == 2


def leave(client: OpenAI) -> None:
    for _ in client.chat.completions.create(model="m", messages=[], stream=True):
        break


def fail_inside(client: OpenAI) -> None:
    with pytest.raises(ZeroDivisionError):
        for _ in client.chat.completions.create(model="m", messages=[], stream=True):
            raise ZeroDivisionError


def be_cut(client: OpenAI) -> None:
    with pytest.raises(openai.APIConnectionError, match="after 1 events and"):
        list(client.chat.completions.create(model="m", messages=[], stream=True))


def list_models(client: OpenAI) -> None:
    client.models.list()


def be_refused(client: OpenAI) -> None:
    with pytest.raises(openai.BadRequestError):
        client.models.list()


@pytest.mark.parametrize(
    "action, sent",
    [
        (list_models, answer()), (be_refused, answer(WRONG, "400 No")), (finish, EVENTS),
        (leave, EVENTS), (fail_inside, EVENTS), (be_cut, CUT),
    ],
)
def test_file_descriptors_stay_flat(action: Callable[[OpenAI], None], sent: Answer) -> None:
    with RawServer(*[sent] * 350) as server:
        with client_of(server) as client:
            for _ in range(10):
                action(client)
            before = open_descriptors()
            for _ in range(300):
                action(client)
            wait_until(lambda: open_descriptors() <= before + 4)  # the server's own, about to close
            transport: Any = client._transport
            assert len(transport.slots) + len(idle_connections(transport)) == 1000
    if action in (list_models, be_refused, finish):
        assert server.connections == 1


def test_clients_that_are_dropped_leave_nothing_behind() -> None:
    before, threads = 0, 0
    with RawServer(*[answer()] * 210) as server:
        for i in range(210):
            client_of(server).models.list()
            if i < 10:
                before, threads = open_descriptors(), threading.active_count()
        wait_until(lambda: open_descriptors() <= before + 4)
        wait_until(lambda: threading.active_count() <= threads + 4)


def test_ten_thousand_calls_leave_memory_descriptors_and_threads_as_they_were() -> None:
    def some(client: OpenAI, count: int) -> None:
        for i in range(count):
            if i % 100:
                client.models.retrieve("m")
            else:
                with pytest.raises(openai.NotFoundError):
                    client.get(f"/{i}/refuse", cast_to=object)

    with listening(echo_or_refuse) as port:
        with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            some(client, 1000)
            before = open_descriptors(), threading.active_count()
            gc.collect()
            blocks = sys.getallocatedblocks()
            some(client, 10_000)
            assert (open_descriptors(), threading.active_count()) == before
            gc.collect()
            assert sys.getallocatedblocks() - blocks < 2000  # a fifth of a block per call


def break_without_with(client: OpenAI) -> None:
    for chunk in chat_stream(client):
        break


def break_and_close(client: OpenAI) -> None:
    stream = chat_stream(client)
    for chunk in stream:
        break
    stream.close()


def test_a_thousand_streams_ended_in_four_ways_leave_nothing_behind() -> None:
    ways = [finish, break_and_close, break_without_with, fail_inside]

    def events(conn: socket.socket) -> None:
        file = conn.makefile("rb")
        while True:
            head = read_request_head(file)
            if not head:
                return
            file.read(int(headers_of(head)["content-length"]))
            conn.sendall(EVENTS)

    with listening(events) as port:
        with OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0) as client:
            for i in range(40):
                ways[i % 4](client)
            before = open_descriptors(), threading.active_count()
            blocks = sys.getallocatedblocks()
            for i in range(1000):
                ways[i % 4](client)
            wait_until(lambda: open_descriptors() <= before[0] + 1)
            wait_until(lambda: threading.active_count() <= before[1] + 1)
            gc.collect()
            assert sys.getallocatedblocks() - blocks < 1000
            transport: Any = client._transport
            assert len(transport.slots) + len(idle_connections(transport)) == 1000


@pytest.mark.parametrize("make", [OpenAI, AsyncOpenAI], ids=["OpenAI", "AsyncOpenAI"])
def test_a_thousand_clients_made_and_dropped_leave_nothing_behind(make: Any) -> None:
    async def use(client: Any) -> str:
        found: str = (await client.models.retrieve("m")).id
        return found

    def some(count: int) -> None:
        for _ in range(count):
            client = make(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0)
            if make is OpenAI:
                assert client.models.retrieve("m").id == "m"
            else:
                assert loop.run_until_complete(use(client)) == "m"
            del client

    loop = asyncio.new_event_loop()
    with listening(echo) as port, contextlib.closing(loop):
        some(20)
        wait_until(lambda: threading.active_count() < 20)
        before, threads = open_descriptors(), threading.active_count()
        blocks = sys.getallocatedblocks()
        some(1000)
        wait_until(lambda: open_descriptors() <= before + 4)
        wait_until(lambda: threading.active_count() <= threads + 4)
        gc.collect()
        assert sys.getallocatedblocks() - blocks < 1000


def test_a_closed_client_says_so() -> None:
    with RawServer(answer()) as server:
        client = client_of(server, max_retries=2)
        client.close()
        with pytest.raises(openai.APIConnectionError, match="the client is closed"):
            client.models.list()
        assert client.is_closed() and server.connections == 0


def test_a_transport_pickles_without_its_sockets() -> None:
    with RawServer(answer(), answer()) as server:
        transport = openai.HTTPTransport(limits=openai.Limits(5), trust_env=False)
        fetch(transport, server.url)
        twin = pickle.loads(pickle.dumps(transport))
        assert twin.limits == transport.limits and twin.trust_env is False
        assert fetch(twin, server.url) == b"{}" and server.connections == 2


def test_a_local_address_is_where_a_connection_comes_from() -> None:
    address = "127.0.0.2" if sys.platform == "linux" else "127.0.0.1"
    seen: List[str] = []

    def look(conn: socket.socket) -> None:
        seen.append(conn.getpeername()[0])
        conn.sendall(answer())

    with RawServer(look) as server, openai.HTTPTransport(local_address=address) as transport:
        fetch(transport, server.url)
    assert seen == [address]


class Proxy:
    """A forward proxy: CONNECT, and absolute-form requests to anything, all to `target`."""

    def __init__(self, target: int, password: str = "") -> None:
        self.target = target
        self.lines: List[str] = []
        self.expected = "Basic " + base64.b64encode(password.encode()).decode() if password else ""

    def __call__(self, conn: socket.socket) -> None:
        file = conn.makefile("rb", 0)
        while True:
            head = read_request_head(file)
            if not head:
                return
            self.lines.append(head.split("\r\n")[0].rpartition(" ")[0])
            if headers_of(head).get("proxy-authorization", "") != self.expected:
                conn.sendall(answer("no", "407 Proxy Authentication Required", Connection="close"))
                return
            with contextlib.closing(socket.create_connection(("127.0.0.1", self.target))) as ahead:
                if head.startswith("CONNECT "):
                    conn.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                else:
                    ahead.sendall(head.encode("latin-1") + b"\r\n")
                back = threading.Thread(target=self.copy, args=(ahead, conn), daemon=True)
                back.start()
                self.copy(conn, ahead)
                return

    def copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                data = source.recv(1 << 16)
                if not data:
                    break
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def test_http_goes_through_a_proxy_in_absolute_form_with_its_password() -> None:
    with RawServer(answer(b"1"), answer(b"2")) as server:
        proxy = Proxy(server.port, "me:p@ss word")
        with listening(proxy) as port:
            url = f"http://me:p%40ss%20word@127.0.0.1:{port}"
            with openai.HTTPTransport(proxy=url) as transport:
                assert fetch(transport, "http://u:v@api.example.com:81/\u00fc v?x=1#f") == b"1"
    assert proxy.lines == ["GET http://api.example.com:81/%C3%BC%20v?x=1"]
    assert headers_of(server.requests[0][0])["host"] == "api.example.com:81"


def test_https_goes_through_a_tunnel_and_the_server_never_sees_the_proxy_password(
    certificates: Any
) -> None:
    with RawServer(answer(b"1"), answer(b"2"), tls=certificates.server("right")) as server:
        proxy = Proxy(server.port, "me:pw")
        with listening(proxy) as port:
            with openai.HTTPTransport(
                proxy=f"me:pw@127.0.0.1:{port}".join(["http://",
                                                      ""]), verify=certificates.path("right")
            ) as transport:
                assert fetch(transport, "https://localhost:1234/x") == b"1"
                assert fetch(transport, "https://localhost:1234/x") == b"2"
                sock = idle_connections(transport)[0].sock
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    assert proxy.lines == ["CONNECT localhost:1234"] and server.connections == 1
    assert "proxy-authorization" not in headers_of(server.requests[0][0])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("late", [False, True])
def test_a_kept_connection_that_drops_behind_a_proxy_is_made_anew(
    scheme: str, late: bool, certificates: Any
) -> None:
    """After urllib3's tests of a proxy that is reconnected to, whoever of the two hung up."""
    tls = certificates.server("right") if scheme == "https" else None
    answers: List[Answer] = [answer(b"1"), hang_up()] if late else [hang_up(answer(b"1"))]
    with RawServer(*answers, answer(b"2"), tls=tls) as server:
        proxy = Proxy(server.port, "me:pw")
        with listening(proxy) as port, openai.HTTPTransport(
            proxy=f"http://me:pw@127.0.0.1:{port}", verify=certificates.path("right")
        ) as transport:
            for body in (b"1", b"2"):
                assert fetch(transport, scheme + "://localhost:1234/x") == body
                if not late and body == b"1":
                    wait_until(lambda: not idle_connections(transport)[0].alive())
            assert len(transport.slots) + len(idle_connections(transport)) == 1000
    line = "CONNECT localhost:1234" if tls else "GET http://localhost:1234/x"
    assert proxy.lines == [line] * 2 and server.connections == 2
    assert len(server.requests) == (3 if late else 2)


def test_a_tunnel_to_an_address_of_ip_6_is_asked_for_in_brackets() -> None:
    proxy = Proxy(1)
    with listening(proxy) as port:
        with openai.HTTPTransport(proxy=f"http://127.0.0.1:{port}") as transport:
            for url in ("https://[::1]/x", "https://[fd00::5]:8443/x", "http://[::1]:81/x"):
                with pytest.raises(openai.APIConnectionError):
                    fetch(transport, url)
    assert proxy.lines == ["CONNECT [::1]:443", "CONNECT [fd00::5]:8443", "GET http://[::1]:81/x"]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_its_password(scheme: str) -> None:
    with listening(Proxy(1, "me:right")) as port:
        transport = openai.DefaultHttpxClient(proxy=f"http://me:{KEY}@127.0.0.1:{port}")
        made = OpenAI(api_key="k", base_url=f"{scheme}://api.example.com", http_client=transport,
                      max_retries=0)
        with made, pytest.raises(openai.APIError,
                                 match="407" if scheme == "https" else "no") as caught:
            made.models.list()
    assert KEY not in whole_traceback(caught.value)
    if scheme == "https":
        assert f"(proxy api.example.com:443 via 127.0.0.1:{port}: " in str(caught.value)
    else:
        assert isinstance(caught.value, openai.APIStatusError) and caught.value.status_code == 407


PROXY = "http://proxy.example:3128"


@pytest.mark.parametrize(
    "url, environ, proxy",
    [
        ("http://a.example", {}, None),
        ("http://a.example", {"http_proxy": PROXY}, PROXY),
        ("https://a.example", {"http_proxy": PROXY}, None),
        ("https://a.example", {"HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": "proxy.example:3128"}, PROXY),
        ("https://a.example", {"ALL_PROXY": PROXY}, PROXY),
        ("https://a.example", {"ALL_PROXY": "socks5://b", "HTTPS_PROXY": PROXY}, PROXY),
        ("https://a.example", {"HTTPS_PROXY": ""}, None),
    ] + [
        (url, {"ALL_PROXY": PROXY, "NO_PROXY": no}, PROXY if used else None)
        for url, no, used in [
            ("https://a.example", "*", False), ("https://a.example", "", True),
            ("https://a.example", "a.example", False), ("https://a.example", "A.Example", False),
            ("https://x.a.example", "a.example", False), ("https://x.a.example", ".a.example",
                                                          False),
            ("https://x.a.example", "*.a.example", False), ("https://a.example", "b.example", True),
            ("https://ba.example", "a.example", True), ("https://a.example.com", "a.example", True),
            ("https://a.example", "b, a.example ,c", False), ("https://a.example", "b a.example",
                                                              False),
            ("https://a.example:8443", "a.example:8443", False), ("https://a.example",
                                                                  "a.example:443", False),
            ("https://a.example:8443", "a.example:443", True),
            ("http://10.1.2.3", "10.0.0.0/8", False), ("http://11.1.2.3", "10.0.0.0/8", True),
            ("http://10.1.2.3", "10.1.2.3", False), ("http://a.example", "10.0.0.0/8", True),
            ("http://10.1.2.3:81", "10.1.2.3:80", True), ("http://10.1.2.3:81", "10.1.2.3:81",
                                                          False),
            ("http://[::1]:80", "::1", False), ("http://[::1]", "[::1]", False),
            ("http://[::1]:81", "[::1]:81", False), ("http://[::1]:81", "[::1]:82", True),
            ("http://[fd00::5]", "fd00::/8", False), ("http://localhost", "localhost,127.0.0.1",
                                                      False),
            ("http://127.0.0.1", "localhost,127.0.0.1", False),
        ]
    ],
)
def test_the_environment_says_which_hosts_need_a_proxy(
    url: str, environ: Dict[str, str], proxy: Optional[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    origin = openai.HTTPRequest("GET", url).origin
    assert openai.HTTPTransport().proxy_for(origin) == proxy
    assert openai.HTTPTransport(trust_env=False).proxy_for(origin) is None
    assert openai.HTTPTransport(proxy="http://mine").proxy_for(origin) == "http://mine"


def test_a_proxy_of_the_environment_is_used_and_kept_connections_too(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    with RawServer(answer(), answer()) as server:
        proxy = Proxy(server.port)
        with listening(proxy) as port:
            monkeypatch.setenv("http_proxy", f"127.0.0.1:{port}")
            with OpenAI(api_key=KEY, base_url="http://api.example.com/v1") as client:
                client.models.list()
            monkeypatch.setenv("no_proxy", "127.0.0.1")
            client_of(server).models.list()
    assert proxy.lines == ["GET http://api.example.com/v1/models"] and len(server.requests) == 2


@pytest.mark.parametrize(
    "variable, value, message",
    [
        ("ALL_PROXY", f"socks5://me:{KEY}@127.0.0.1:1", "ALL_PROXY asks for a SOCKS proxy"),
        ("http_proxy", f"SOCKS5h://me:{KEY}@127.0.0.1:1", "HTTP_PROXY asks for a SOCKS proxy"),
        ("http_proxy", f"https://me:{KEY}@127.0.0.1:1", "https:// proxies are not supported"),
        ("http_proxy", f"http://me:{KEY}@127.0.0.1:x", "no usable host and port"),
    ],
)
def test_a_proxy_that_cannot_work_is_reported_by_the_first_request_not_before(
    variable: str, value: str, message: str, monkeypatch: pytest.MonkeyPatch, slept: List[float]
) -> None:
    monkeypatch.setenv(variable, value)
    with OpenAI(api_key="k", base_url="http://api.example.com") as client:
        with pytest.raises(openai.OpenAIError, match=message) as caught:
            client.models.list()
    assert KEY not in whole_traceback(caught.value)


class Certificates:
    """Self-signed certificates, made with the command `openssl`."""

    names = {"right": "IP:127.0.0.1,DNS:localhost", "other": "DNS:other.example",
             "client": "DNS:me"}

    def __init__(self, directory: pathlib.Path) -> None:
        self.directory = directory
        for name, alternatives in self.names.items():
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
            command += ["-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}"]
            command += ["-addext", f"subjectAltName={alternatives}"]
            done = subprocess.run(
                command, cwd=str(directory), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
            )
            if done.returncode:
                pytest.skip(f"openssl cannot make certificates: {done.stdout.decode()[-200:]}")

    def expired(self) -> str:
        """The name of a certificate that was valid in the year 2001."""
        if not (self.directory / "expired.pem").exists():
            (self.directory / "index").write_text("")
            (self.directory / "serial").write_text("01")
            (self.directory / "ca.cnf").write_text(
                "[ca]\ndefault_ca=c\n[c]\ndatabase=index\nserial=serial\nnew_certs_dir=.\n"
                "policy=p\ndefault_md=sha256\nx509_extensions=x\n[p]\ncommonName=supplied\n"
                f"[x]\nsubjectAltName={self.names['right']}\n"
            )
            shutil.copy(self.pair("right")[1], str(self.directory / "expired.key"))
            for command in (
                "openssl req -new -key expired.key -out expired.csr -subj /CN=expired",
                "openssl ca -batch -config ca.cnf -in expired.csr -out expired.pem -notext "
                "-cert right.pem -keyfile right.key "
                "-startdate 20010101000000Z -enddate 20011231000000Z",
            ):
                done = subprocess.run(
                    command.split(), cwd=str(self.directory), stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                assert done.returncode == 0, done.stdout.decode()
        return "expired"

    def path(self, name: str) -> str:
        return str(self.directory / f"{name}.pem")

    def pair(self, name: str) -> Tuple[str, str]:
        return self.path(name), str(self.directory / f"{name}.key")

    def server(self, name: str, client: str = "") -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*self.pair(name))
        if client:
            context.load_verify_locations(self.path(client))
            context.verify_mode = ssl.CERT_REQUIRED
        return context


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: Any) -> Certificates:
    if shutil.which("openssl") is None:
        pytest.skip("TLS is NOT tested: there is no command `openssl` to make certificates with")
    return Certificates(pathlib.Path(str(tmp_path_factory.mktemp("certificates"))))


def test_tls_trusts_what_it_is_told_and_nothing_else(certificates: Certificates) -> None:
    own = ssl.create_default_context(cafile=certificates.path("right"))
    empty = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    right, other = certificates.path("right"), certificates.path("other")
    hint = "(?s)tls 127.*CERTIFICATE_VERIFY_FAILED.*set SSL_CERT_FILE, or http_client=.*verify="
    cases: List[Tuple[str, Dict[str, Any], str]] = [
        ("right", {}, hint), ("right", {"verify": other}, hint), ("right", {"verify": empty}, hint),
         ("other", {"verify": other},
                                                                  "127.0.0.1"),
        ("right", {"verify": right}, ""), ("right", {"verify": pathlib.Path(right)}, ""),
        ("right", {"verify": own}, ""), ("right", {"verify": False}, ""), ("other",
                                                                           {"verify": False}, ""),
    ]
    for name, options, error in cases:
        with RawServer(answer(b"1"), answer(b"2"), tls=certificates.server(name)) as server:
            with openai.HTTPTransport(**options) as transport:
                if error:
                    with pytest.raises(openai.APIConnectionError, match=error):
                        fetch(transport, server.url)
                    assert len(transport.slots) == 1000
                else:
                    assert fetch(transport, server.url) + fetch(transport, server.url) == b"12"
                    assert server.connections == 1


def test_an_expired_certificate_is_refused_and_named(certificates: Certificates) -> None:
    expired = certificates.server(certificates.expired())
    own = ssl.create_default_context(cafile=certificates.path("right"))
    own.verify_flags &= ~ssl.VERIFY_X509_STRICT  # which Python 3.13 sets, and minds more than dates
    with RawServer(answer(), answer(b"1"), tls=expired) as server:
        with openai.HTTPTransport(verify=own) as transport:
            with pytest.raises(openai.APIConnectionError, match="tls 127.*expired"):
                fetch(transport, server.url)
            assert len(transport.slots) == 1000
        assert server.requests == []  # not one byte of a request was shown to it
        with openai.HTTPTransport(verify=False) as transport:
            assert fetch(transport, server.url) == b"{}"


def test_a_stop_or_the_total_limit_ends_the_wait_for_a_proxy() -> None:
    def dripping(conn: socket.socket) -> None:
        conn.recv(1000)
        for _ in range(3000):
            conn.sendall(b"H" if _ == 0 else b"X")
            time.sleep(0.02)

    for handle in (silent, dripping):
        with listening(handle) as port:
            proxy = f"http://127.0.0.1:{port}"
            with openai.HTTPTransport(proxy=proxy) as transport:
                for stops in (False, True):
                    started, stop = time.monotonic(), openai.StopSignal()
                    request = openai.HTTPRequest(
                        "GET", "https://api.example.com", timeout=openai.Timeout(60), stop=stop,
                        deadline=None if stops else openai.clock() + 0.3,
                    )
                    if stops:
                        threading.Timer(0.2, stop.stop).start()
                    with pytest.raises(openai.APIConnectionError, match="proxy .* via 127"):
                        transport.send(request)
                    assert time.monotonic() - started < 10
                assert len(transport.slots) == 1000


@pytest.mark.parametrize(
    "said, message", [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
         "407 Proxy Authentication Required"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "502 Bad Gateway"),
        (b"HTTP/1.0 403 \r\n\r\n", "403"),
        (b"", "closed without an answer"),
        (b"HTTP/1.1 200 OK\r\n", "closed in the middle of the headers"),
        (b"SSH-2.0-x\r\n\r\n", "not HTTP/1.1"),
    ],
)
def test_a_tunnel_that_is_refused_is_a_typed_error(said: bytes, message: str) -> None:
    def say(conn: socket.socket) -> None:
        read_request_head(conn.makefile("rb"))
        conn.sendall(said)

    with listening(say) as port:
        with openai.HTTPTransport(proxy=f"http://me:{KEY}@127.0.0.1:{port}") as transport:
            with pytest.raises(openai.APIConnectionError, match=message) as caught:
                fetch(transport, "https://api.example.com/x")
            assert len(transport.slots) == 1000
    assert f"(proxy api.example.com:443 via 127.0.0.1:{port}: " in str(caught.value)
    assert KEY not in whole_traceback(caught.value)


def test_tls_trusts_ssl_cert_file(certificates: Certificates) -> None:
    with RawServer(answer(), tls=certificates.server("right")) as server:
        code = f"import openai_lite as o; o.OpenAI(api_key='k', base_url={server.url!r})"
        code += ".models.list()"
        done = python("-c", code, SSL_CERT_FILE=certificates.path("right"))
    assert done.returncode == 0, done.stderr


def test_every_client_falls_back_to_all_certificates_when_a_directory_does_not_suffice(
    certificates: Certificates, tmp_path: pathlib.Path
) -> None:
    # The directory alone is tried first; then the default bundle, which a real system has as well.
    shutil.copy(certificates.path("other"), str(tmp_path / "12345678.0"))
    code = textwrap.dedent(
        """
        import os, sys, threading
        import openai_lite as o
        url, bundle = sys.argv[1:]
        clients = [o.OpenAI(api_key="k", base_url=url, max_retries=0) for _ in range(4)]
        for client in clients:
            client._transport.tls()
        os.environ["SSL_CERT_FILE"] = bundle  # from now on the default bundle
        failed = []
        def work(client):
            try:
                client.models.list()
            except Exception as err:
                failed.append(err)
        threads = [threading.Thread(target=work, args=(c,)) for c in clients * 4]
        [t.start() for t in threads], [t.join() for t in threads]
        assert not failed, failed
        """
    )
    with RawServer(*[answer()] * 16, tls=certificates.server("right")) as server:
        args = code, server.url, certificates.path("right")
        done = python("-c", *args, SSL_CERT_DIR=str(tmp_path), SSL_CERT_FILE="")
    assert done.returncode == 0, done.stderr


def test_mutual_tls_shows_the_certificate_of_the_client(certificates: Certificates) -> None:
    right = certificates.path("right")
    with RawServer(answer(), answer(), tls=certificates.server("right", client="client")) as server:
        with openai.HTTPTransport(verify=right, cert=certificates.pair("client")) as transport:
            assert fetch(transport, server.url) == b"{}"
        with openai.HTTPTransport(verify=right) as transport:
            with pytest.raises(openai.APIConnectionError):
                fetch(transport, server.url)
    with RawServer(answer(), tls=certificates.server("right")) as server:
        with openai.HTTPTransport(verify=right, cert="/no/such.pem") as transport:
            with pytest.raises((OSError, openai.OpenAIError)):
                fetch(transport, server.url)


@pytest.mark.parametrize("late", [False, True])
def test_a_kept_tls_connection_that_the_server_closed_is_replaced_too(
    certificates: Certificates, late: bool
) -> None:
    answers: List[Answer] = [answer(b"1"), hang_up()] if late else [hang_up(answer(b"1"))]
    with RawServer(*answers, answer(b"2"), tls=certificates.server("right")) as server:
        with openai.HTTPTransport(verify=certificates.path("right")) as transport:
            assert fetch(transport, server.url, method="POST", body=b"x" * 100_000) == b"1"
            if not late:
                wait_until(lambda: not idle_connections(transport)[0].alive())
            assert fetch(transport, server.url, method="POST", body=b"x" * 100_000) == b"2"


REDIRECTS = [
    (status, method, expected)
    for status, row in {
        301: ("GET", "GET", "PUT", "DELETE"), 302: ("GET", "GET", "GET", "GET"),
        303: ("GET", "GET", "GET", "GET"), 307: ("GET", "POST", "PUT", "DELETE"),
        308: ("GET", "POST", "PUT", "DELETE"),
    }.items()
    for method, expected in zip(("GET", "POST", "PUT", "DELETE"), row)
]


@pytest.mark.parametrize("status, method, expected", REDIRECTS)
@pytest.mark.parametrize("elsewhere", [False, True])
def test_redirects_are_followed_as_the_rfc_says_and_credentials_stay_at_home(
    status: int, method: str, expected: str, elsewhere: bool
) -> None:
    secrets = {
        "Authorization": f"Bearer {KEY}", "api-key": KEY, "Cookie": f"a={KEY}",
        "OpenAI-Organization": "o",
    }
    with RawServer(answer(b"[7]")) as other, RawServer() as home:
        location = other.url + "/there?x=1" if elsewhere else "/v2/there?x=1"
        home.answers += [answer("", f"{status} Moved", Location=location), answer(b"[7]")]
        client = client_of(home, default_headers=dict(secrets, Host="api.example.com", X_A="b"))
        with client:
            body = None if method == "GET" else {"a": 1}
            call = getattr(client, method.lower())
            options: Dict[str, Any] = {} if body is None else {"body": body}
            assert call("/here", cast_to=object, **options) == [7]
    head, received = (other if elsewhere else home).requests[-1]
    sent = headers_of(head)
    assert head.startswith(f"{expected} {'/v1' if elsewhere else '/v2'}/there?x=1 HTTP/1.1\r\n")
    assert received == (b'{"a":1}' if expected == method and body else b"")
    assert ("content-type" in sent) is bool(received) and sent["x_a"] == "b"
    for name in secrets:
        assert (name.lower() in sent) is not elsewhere
    assert (KEY in head) is not elsewhere
    assert sent["host"] == (f"127.0.0.1:{other.port}" if elsewhere else "api.example.com")


def test_a_file_is_sent_again_where_a_redirect_leads(tmp_path: pathlib.Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 300_000)
    with RawServer() as server, client_of(server) as client:
        server.answers += [answer("", "307 Moved", Location=server.url + "/files/"),
                           answer({"id": "f"})]
        client.files.create(file=tmp_path / "a", purpose="batch")
    assert [parse_form(r)[1][1] for r in server.requests] == [b"x" * 300_000] * 2


@pytest.mark.parametrize(
    "location, target",
    [
        ("there", "/v1/there"), ("../x", "/x"), ("?y=2", "/v1/models?y=2"), ("", "/v1/models"),
        ("/caf\u00e9 x", "/caf%C3%A9%20x"), ("//127.0.0.1:{port}/z#f", "/z"),
    ],
)
def test_relative_redirects_are_resolved(location: str, target: str) -> None:
    with RawServer() as server, client_of(server) as client:
        there = location.format(port=server.port).encode("utf-8").decode("latin-1")
        moved = answer("", "302 Found").replace(b"\r\n\r\n",
                                                f"\r\nLocation: {there}\r\n\r\n".encode("latin-1"))
        server.answers += [moved, answer()]
        client.models.list()
    assert server.requests[1][0].startswith(f"GET {target} HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "location", ["ftp://h/", "file:///etc/passwd", "http://[", "http://[::1]x/", "http://h:99999/",
                 "https://"]
)
def test_a_redirect_to_nowhere_is_a_typed_error(location: str) -> None:
    error = failure(answer("", "302 Found", Location=location))
    assert type(error) is openai.APIConnectionError and "redirect" in str(error)


def test_redirects_have_an_end_and_can_be_switched_off() -> None:
    error = failure(*[answer("", "302 Found", Location="/v1/models")] * 30)
    assert type(error) is openai.APIConnectionError and "more than 20 redirects" in str(error)
    still = openai.DefaultHttpxClient(follow_redirects=False)
    error = failure(answer("", "302 Found", Location="/v1/models"), http_client=still)
    assert isinstance(error, openai.APIStatusError) and error.status_code == 302
    error = failure(answer("", "302 Found"))
    assert isinstance(error, openai.APIStatusError) and error.status_code == 302

# ---- 4.7 When to try again ----


def http_date(seconds: float, form: str) -> str:
    moment = time.gmtime(time.time() + seconds)
    day = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()[moment.tm_wday]
    month = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()[moment.tm_mon - 1]
    year, of_month, clock = moment.tm_year, moment.tm_mday, time.strftime("%H:%M:%S", moment)
    return {  # not with strftime, which speaks the language of the user
        "imf": f"{day[:3]}, {of_month:02} {month} {year} {clock} GMT",
        "850": f"{day}, {of_month:02}-{month}-{year % 100:02} {clock} GMT",
        "asctime": f"{day[:3]} {month} {of_month:2} {clock} {year}",
    }[form]


# What the server says, and how long to wait then; None: do not ask again.
WAITS: List[Tuple[Dict[str, str], Optional[float]]] = [
    ({}, 0.5),
    ({"Retry-After": "1"}, 1), ({"Retry-After": "1.5"}, 1.5), ({"Retry-After": " 7 "}, 7),
    ({"Retry-After": "120"}, 120), ({"Retry-After": "121"}, None), ({"Retry-After": "120.1"}, None),
    ({"Retry-After": "1e400"}, None), ({"Retry-After": "9" * 400}, None),
    ({"Retry-After": "0"}, 0.5), ({"Retry-After": "-1"}, 0.5), ({"Retry-After": "-1e400"}, 0.5),
    ({"Retry-After": "nan"}, 0.5), ({"Retry-After": "inf"}, 0.5), ({"Retry-After": "Infinity"},
                                                                   0.5),
    ({"Retry-After": "-inf"}, 0.5), ({"Retry-After": "soon"}, 0.5), ({"Retry-After": ""}, 0.5),
    ({"Retry-After": "Mon, 99 Foo 2026 99:99:99 GMT"}, 0.5),
    ({"Retry-After": "Mon, 01 Jan 99999999999999 00:00:00 GMT"}, 0.5),
    ({"retry-after-ms": "1500"}, 1.5), ({"retry-after-ms": "12.5"}, 0.0125),
    ({"retry-after-ms": "1500", "Retry-After": "9"},
     1.5), ({"retry-after-ms": "x", "Retry-After": "9"}, 9),
    ({"retry-after-ms": "0", "Retry-After": "9"}, 0.5), ({"retry-after-ms": "120001"}, None),
    ({"retry-after-ms": "1e400"}, None), ({"retry-after-ms": "nan"}, 0.5),
    ({"x-should-retry": "true", "Retry-After": "121"},
     None), ({"x-should-retry": "true", "Retry-After": "2"}, 2),
    ({"x-should-retry": "false"}, None), ({"x-should-retry": "maybe"}, 0.5),
]


@pytest.mark.parametrize("headers, wait", WAITS)
def test_a_429_waits_what_the_server_asks_then_succeeds(
    headers: Dict[str, str], wait: Optional[float], slept: List[float]
) -> None:
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode()
    busy = answer(WRONG, "429 Slow").replace(b"\r\n", b"\r\n" + fields, 1)
    with RawServer(busy, answer()) as server, client_of(server, max_retries=1) as client:
        if wait is None:
            with pytest.raises(openai.RateLimitError):
                client.models.list()
        else:
            client.models.list()
    assert slept == ([] if wait is None else [wait])


@pytest.mark.parametrize("zone", ["UTC", "America/Los_Angeles", "Asia/Kolkata"])
@pytest.mark.parametrize("form", ["imf", "850", "asctime"])
@pytest.mark.parametrize("seconds", [60, -60, 3600])
def test_retry_after_may_be_a_date_in_three_forms(
    seconds: int, form: str, zone: str, slept: List[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", zone)
    if hasattr(time, "tzset"):
        time.tzset()
    try:
        busy = answer(WRONG, "503 Busy", Retry_After=http_date(seconds, form))
        with RawServer(busy, answer()) as server, client_of(server, max_retries=1) as client:
            if seconds > 120:
                with pytest.raises(openai.InternalServerError):
                    client.models.list()
                assert slept == []
            else:
                client.models.list()
                assert slept == [0.5] if seconds < 0 else 30 < slept[0] <= 60
    finally:
        monkeypatch.undo()
        if hasattr(time, "tzset"):
            time.tzset()


@pytest.mark.parametrize(
    "status, told, again",
    [
        (status, told, {"true": True, "false": False}.get(told, again))
        for status, again in [
            (300, False), (400, False), (401, False), (403, False), (404, False), (408, True),
            (409, True), (418, False), (422, False), (425, False), (429, True), (500, True),
            (502, True), (503, True), (529, True), (600, True),
        ]
        for told in ("", "true", "false", "TRUE")
    ],
)
def test_each_status_is_retried_or_not(
    status: int, told: str, again: bool, slept: List[float]
) -> None:
    refusal = answer(WRONG, f"{status} X", X_Should_Retry=told)
    with RawServer(refusal, answer()) as server, client_of(server, max_retries=2) as client:
        if again:
            client.models.list()
        else:
            with pytest.raises(openai.APIStatusError):
                client.models.list()
    assert len(slept) == again and len(server.requests) == 1 + again


def test_the_wait_doubles_up_to_eight_seconds_less_a_random_quarter(
    slept: List[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = answer(WRONG, "500 Oops")
    with RawServer(*[busy] * 21) as server, client_of(server) as client:
        with pytest.raises(openai.InternalServerError):
            client.with_options(max_retries=7).models.list()
        assert slept == [0.5, 1, 2, 4, 8, 8, 8]
        sent = [headers_of(head)["x-stainless-retry-count"] for head, _ in server.requests]
        assert sent == [str(i) for i in range(8)]
        slept.clear()
        monkeypatch.setattr(openai, "random_fraction", lambda: 1.0)
        with pytest.raises(openai.InternalServerError):
            client.with_options(max_retries=5).models.list()
        assert slept == [0.375, 0.75, 1.5, 3, 6]
        slept.clear()
        with pytest.raises(openai.InternalServerError):
            client.with_options(
                max_retries=2, initial_retry_delay=0.1, max_retry_delay=0.15
            ).models.list()
        assert slept == pytest.approx([0.075, 0.1125])


def test_the_wait_has_a_limit_and_randomness_is_a_fraction() -> None:
    assert openai.retry_delay(10 ** 9, {}, 0.5, 8.0, 0.0) == 8.0
    drawn = [openai.random_fraction() for _ in range(1000)]
    assert all(0 <= number < 1 for number in drawn) and len(set(drawn)) > 900


@pytest.mark.parametrize(
    "broken",
    [
        hang_up(), hang_up(b"HTTP/1.1 200 OK\r\n"), reset, hang_up(answer(b"{}",
                                                                          Content_Length="9")),
        hang_up(b"nonsense\r\n\r\n"), hang_up(raw(TE, b"9\r\n{}")), hang_up(raw(TE, b"zz\r\n")),
    ],
)
def test_connection_errors_are_retried_until_they_pass_or_retries_end(
    broken: Answer, slept: List[float]
) -> None:
    with RawServer(broken, broken, answer({"data": [{"id": "m"}]})) as server:
        with client_of(server, max_retries=2) as client:
            page = client.models.with_raw_response.list()
    assert page.retries_taken == 2 and page.parse().data[0].id == "m" and slept == [0.5, 1]
    with RawServer(broken, broken) as server, client_of(server, max_retries=1) as client:
        with pytest.raises(openai.APIConnectionError):
            client.models.list()
    assert len(server.requests) == 2 and slept == [0.5, 1, 0.5]


@pytest.mark.parametrize("broken", [hang_up(), answer(WRONG, "500 Oops")])
def test_without_retries_there_is_one_request(broken: Answer, slept: List[float]) -> None:
    with RawServer(broken, answer()) as server, client_of(server, max_retries=0) as client:
        with pytest.raises(openai.APIError):
            client.models.list()
        assert len(server.requests) == 1 and slept == []
        client.get("/x", cast_to=object, options={"max_retries": 3})


def busy_answer(status: str, **headers: str) -> bytes:
    return answer(WRONG, status, **headers)


# What goes wrong on the way, and how long the client then waits; None: as it sees fit.
FAULTS: List[Tuple[str, Answer, Optional[float]]] = [
    ("hangs up", hang_up(), None),
    ("resets", reset, None),
    ("stalls", silent, None),
    ("stalls in the headers", begin_and_stall, None),
    ("stalls in the body", stall, None),
    ("is cut in the headers", hang_up(b"HTTP/1.1 200 OK\r\nContent-"), None),
    ("is cut in the body", hang_up(answer(b"{}", Content_Length="9")), None),
    ("is cut in a chunk", hang_up(raw(TE, b"9\r\n{}")), None),
    ("is no HTTP", hang_up(b"nonsense\r\n\r\n"), None),
    ("408", busy_answer("408 Timeout"), None),
    ("409", busy_answer("409 Conflict"), None),
    ("429 in seconds", busy_answer("429 Slow", Retry_After="3"), 3),
    ("429 in milliseconds", busy_answer("429 Slow", retry_after_ms="40"), 0.04),
    ("429 then close", busy_answer("429 Slow", Connection="close", Retry_After="0.25"), 0.25),
    ("500", busy_answer("500 Oops"), None),
    ("503 with a past date",
     busy_answer("503 Busy", Retry_After="Wed, 21 Oct 2015 07:28:00 GMT"), None),
    ("503 after 1xx", raw("HTTP/1.1 100 Continue") + raw("HTTP/1.1 103 Hints") * 3
     + busy_answer("503 Busy"), None),
    ("529 in chunks", raw("HTTP/1.1 529 Overloaded\nTransfer-Encoding: chunked", chunked(b"{}")),
     None),
    ("400 that may be retried", busy_answer("400 No", X_Should_Retry="true"), None),
    ("redirects, then hangs up", answer("", "307 Moved", Location="/elsewhere"), None),
]


@pytest.mark.parametrize("seed", range(30))
def test_whatever_goes_wrong_in_whatever_order_a_file_arrives_whole_in_the_end(
    seed: int, tmp_path: pathlib.Path, slept: List[float]
) -> None:
    chance = random.Random(seed)
    data = chance.getrandbits(8 * 150_000).to_bytes(150_000, "big")
    (tmp_path / "data").write_bytes(data)
    faults = [chance.choice(FAULTS) for _ in range(chance.randrange(1, 6))]
    script: List[Answer] = []
    waits: List[float] = []
    counts: List[str] = []
    for i, (name, fault, wait) in enumerate(faults):
        script += [fault, hang_up()] if "redirects" in name else [fault]
        counts += [str(i)] * (2 if "redirects" in name else 1)
        waits.append(min(0.5 * 2 ** i, 8) if wait is None else wait)
    counts.append(str(len(faults)))
    source: Any = chance.choice([tmp_path / "data", io.BytesIO(data), data, NotSeekable(data)])
    # Fresh connections only: one that was kept and then closed is replaced without a retry.
    transport = openai.DefaultHttpxClient(limits=openai.Limits(max_keepalive_connections=0))
    limit = openai.Timeout(60, read=0.15)
    with RawServer(*script, answer({"id": "f"})) as server:
        with client_of(
            server, max_retries=len(faults), timeout=limit, http_client=transport
        ) as client:
            made = client.files.with_raw_response.create(file=source, purpose="batch")
    assert slept == waits, [name for name, _, _ in faults]
    assert [headers_of(head)["x-stainless-retry-count"] for head, _ in server.requests] == counts
    assert [parse_form(request)[1][1] for request in server.requests] == [data] * len(counts)
    assert made.parse().id == "f" and made.retries_taken == len(faults) and server.answers == []


def test_a_server_that_refuses_connections_for_a_while_is_reached_in_the_end(
    unused_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: List[float] = []
    with contextlib.ExitStack() as stack:
        server = RawServer.__new__(RawServer)

        def start_at_the_second(wait: float) -> None:
            waits.append(wait)
            if len(waits) == 2:
                server.__init__(answer({"id": "m"}), port=unused_port)  # type: ignore[misc]
                stack.enter_context(server)

        monkeypatch.setattr(openai, "sleep", start_at_the_second)
        url = f"http://127.0.0.1:{unused_port}/v1"
        with OpenAI(api_key=KEY, base_url=url, max_retries=5) as client:
            assert client.models.retrieve("m").id == "m"
    assert len(waits) == 2 and len(server.requests) == 1


def test_a_loop_of_redirects_and_faults_has_an_end(slept: List[float]) -> None:
    loop = answer("", "307 Moved", Location="/v1/models")
    with RawServer(*[loop, busy_answer("503 Busy")] * 99) as server:
        with client_of(server, max_retries=3) as client:
            with pytest.raises(openai.InternalServerError):
                client.models.list()
    assert len(server.requests) == 8 and len(slept) == 3


def test_a_stream_that_has_begun_is_not_retried(slept: List[float]) -> None:
    with RawServer(CUT, EVENTS) as server, client_of(server, max_retries=2) as client:
        be_cut(client)
        assert len(server.requests) == 1 and slept == []


@pytest.mark.parametrize("value, error", [(-1, ValueError), (None, TypeError), (1.5, TypeError),
                                          (True, TypeError)])
def test_max_retries_is_a_whole_number(value: Any, error: Any) -> None:
    with pytest.raises(error, match="max_retries"):
        OpenAI(api_key=KEY, max_retries=value)
    with RawServer() as server, client_of(server) as client, pytest.raises(error,
                                                                           match="max_retries"):
        client.get("/x", cast_to=object, options={"max_retries": value})

# ---- 4.8 Logging ----


@pytest.mark.parametrize("how", ["handler", "OPENAI_LOG"])
def test_debug_records_tell_the_story_without_secrets(
    how: str, caplog: pytest.LogCaptureFixture, slept: List[float]
) -> None:
    moved = answer("", "302 Found", Location=f"/v1/there?sig={KEY}")
    story: List[Answer] = [answer({"e": KEY}, "429 Slow", Retry_After="2", Connection="close"),
                           hang_up(), moved,
             answer(X_Request_ID="req_9")]
    with RawServer(*story) as server:
        url = server.url.replace("://", f"://me:{KEY}@") + f"?api_key={KEY}"
        options: Dict[str, Any] = {
            "base_url": url, "api_key": KEY, "default_query": {"access_token": KEY},
            "default_headers": {"X-Api-Key": KEY, "Cookie": KEY},
        }
        if how == "handler":
            with caplog.at_level(logging.DEBUG, "openai"), OpenAI(**options) as client:
                client.post("/x", cast_to=object, body={"secret": KEY})
            text = "\n".join(f"{r.name}:{r.levelname}: {r.getMessage()}" for r in caplog.records)
        else:
            code = f"import openai_lite as o; o.sleep = print; o.OpenAI(**{options!r})"
            done = python("-c", code + ".post('/x', cast_to=object, body={'a': 1})",
                          OPENAI_LOG="debug")
            assert done.returncode == 0, done.stderr
            text = done.stderr
    assert KEY not in text
    for part in (
        "Request: POST http://127.0.0.1:", "(attempt 1)", "(attempt 3)", "/v1/x?api_key=<redacted>",
        '"HTTP/1.1 429 Slow"', "Retrying request to /x in 2.000000 seconds",
        "closed without an answer",
        '"HTTP/1.1 200 OK"', "req_9", "/v1/there?sig=<redacted>",
    ):
        assert part in text, part


@pytest.mark.parametrize(
    "level, seen, unseen",
    [
        ("debug", ["Request: GET", "HTTP Response: GET"], []),
        ("INFO", ["HTTP Response: GET"], ["Request: GET"]),
        ("warning", [], ["HTTP"]), ("error", [], ["HTTP"]), ("nonsense", [], ["HTTP"]), ("", [],
                                                                                         ["HTTP"]),
    ],
)
def test_openai_log_sets_the_level(level: str, seen: List[str], unseen: List[str]) -> None:
    with RawServer(answer()) as server:
        code = f"import openai_lite as o; o.OpenAI(api_key='k', base_url={server.url!r})"
        code += ".models.list()"
        done = python("-c", code, OPENAI_LOG=level)
    assert done.returncode == 0, done.stderr
    assert all(part in done.stderr for part in seen) and not any(p in done.stderr for p in unseen)


def test_a_program_that_does_not_log_does_not_load_logging() -> None:
    with RawServer(answer()) as server:
        code = (
            "import sys, openai_lite as o; "
            f"o.OpenAI(api_key='k', base_url={server.url!r}).models.list(); "
            "assert 'logging' not in sys.modules"
        )
        done = python("-c", code)
    assert done.returncode == 0, done.stderr

########################################################################
## 5. Results
########################################################################

# ---- 5.1 Objects ----

CHAT: Dict[str, Any] = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m", "surprise": [1],
    "choices": [{
        "index": 0, "finish_reason": "tool_calls", "logprobs": None,
        "message": {
            "role": "assistant", "content": None, "refusal": None, "new_field": {"a": 1},
            "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "2", "type": "custom", "custom": {"name": "g", "input": "text"}},
                {"id": "3", "type": "unheard_of", "unheard_of": {"x": 1}},
            ],
        },
    }],
    "usage": {"completion_tokens": 1, "prompt_tokens": 2, "total_tokens": 3},
}


def chat_completion() -> openai.ChatCompletion:
    with RawServer(answer(CHAT, x_request_id="req_7")) as server, client_of(server) as client:
        return client.chat.completions.create(model="m", messages=[])


def test_results_are_typed_to_the_leaf_and_keep_what_is_unknown() -> None:
    done = chat_completion()
    message = done.choices[0].message
    assert type(done) is openai.ChatCompletion and message.content is None
    calls = message.tool_calls or []
    assert [type(call).__name__ for call in calls] == [
        "ChatCompletionMessageFunctionToolCall", "ChatCompletionMessageCustomToolCall", "BaseModel",
    ]
    assert calls[0].type == "function" and calls[0].function.arguments == "{}"
    unknown: Any = calls[2]
    assert unknown.unheard_of == {"x": 1}
    loose: Any = done
    assert loose.surprise == [1] and done.model_extra == {"surprise": [1]}
    assert loose.choices[0].message.new_field == {"a": 1}
    assert done._request_id == "req_7"


def test_a_declared_field_that_is_missing_reads_as_none_and_any_other_is_an_error() -> None:
    done = chat_completion()
    assert done.service_tier is None and done.system_fingerprint is None
    bare: Any = openai.ChatCompletion.model_construct(id="x")
    assert bare.choices is None and bare.model_fields_set == {"id"}
    with pytest.raises(AttributeError, match="'ChatCompletion' object has no attribute 'chioces'"):
        done.chioces  # type: ignore[attr-defined]


def test_dumping_gives_back_what_the_server_sent() -> None:
    done = chat_completion()
    assert done.to_dict() == CHAT
    assert json.loads(done.to_json()) == CHAT and "\n" in done.to_json()
    assert json.loads(done.to_json(indent=None)) == CHAT and " " not in done.to_json(indent=None)
    assert list(done.to_dict())[-1] == "surprise"  # declared fields first
    assert done.model_dump(exclude_unset=True) == CHAT
    everything = done.model_dump()
    assert everything["service_tier"] is None
    assert everything["choices"][0]["message"]["audio"] is None
    without_none = done.model_dump(exclude_none=True)
    assert "service_tier" not in without_none
    assert "content" not in without_none["choices"][0]["message"]
    assert set(done.model_dump(include={"id", "usage"})) == {"id", "usage"}
    assert "usage" not in done.model_dump(exclude={"usage"}, exclude_unset=True)
    assert json.loads(done.model_dump_json(exclude_unset=True)) == CHAT
    assert json.dumps(done.to_dict())  # plain all the way down


def test_objects_compare_copy_pickle_and_print() -> None:
    done = chat_completion()
    assert done == chat_completion() and done != done.model_copy(update={"id": "other"})
    deep = done.model_copy(deep=True)
    deep.choices[0].message.content = "changed"
    assert done.choices[0].message.content is None
    shallow = copy.copy(done)
    assert shallow == done and shallow.choices is done.choices
    for twin in (pickle.loads(pickle.dumps(done)), copy.deepcopy(done)):
        assert twin == done and type(twin) is openai.ChatCompletion and twin._request_id == "req_7"
    assert repr(done).startswith("ChatCompletion(id='chatcmpl-1', ")
    with pytest.raises(TypeError):
        hash(done)


def test_every_result_is_a_dataclass_to_whoever_asks() -> None:
    done = chat_completion()
    assert dataclasses.is_dataclass(done)
    assert "choices" in [field.name for field in dataclasses.fields(done)]
    assert dataclasses.asdict(done)["choices"][0]["message"]["role"] == "assistant"
    assert dataclasses.replace(done, id="other").id == "other"


@pytest.mark.skipif(sys.version_info < (3, 10), reason="match is syntax of Python 3.10")
def test_results_can_be_matched() -> None:
    namespace: Dict[str, Any] = {"done": chat_completion(), "openai": openai}
    exec(textwrap.dedent("""
        match done:
            case openai.ChatCompletion(id=found, choices=[openai.ChatCompletionChoice(index=0)]):
                pass
    """), namespace)
    assert namespace["found"] == "chatcmpl-1"


def test_names_that_python_reserves_have_an_underscore_and_go_out_without_it() -> None:
    tool = openai.FunctionTool(name="f", type="function", parameters={}, strict=True, async_=True)
    assert tool.async_ is True and tool.to_dict()["async"] is True
    schema = openai.ResponseFormatTextJSONSchemaConfig(
        name="n", schema_={"type": "object"}, type="json_schema"
    )
    assert schema.to_dict()["schema"] == {"type": "object"} == schema.schema_


def test_constructors_take_fields_by_name_and_results_can_be_sent_back() -> None:
    message = openai.ChatCompletionMessage(role="assistant", content="Hi")
    with RawServer(answer(CHAT)) as server, client_of(server) as client:
        client.chat.completions.create(model="m", messages=[message])
    assert json.loads(server.requests[0][1])["messages"] == [{"role": "assistant", "content": "Hi"}]


def test_model_validate_converts_like_an_answer_and_leaves_its_argument_alone() -> None:
    before = copy.deepcopy(CHAT)
    done = openai.ChatCompletion.model_validate(CHAT)
    assert done == chat_completion() and CHAT == before
    assert openai.ChatCompletion.model_validate_json(json.dumps(CHAT)) == done


def test_moderation_categories_keep_the_names_of_the_api() -> None:
    body = {"id": "1", "model": "m", "results": [{
        "flagged": True, "categories": {"hate/threatening": True, "self-harm": False},
        "category_scores": {"hate/threatening": 0.5}, "category_applied_input_types": {},
    }]}
    with RawServer(answer(body)) as server, client_of(server) as client:
        result = client.moderations.create(input="x").results[0]
    assert result.categories.hate_threatening is True and result.categories.self_harm is False
    assert result.category_scores.hate_threatening == 0.5
    assert result.to_dict()["categories"] == {"hate/threatening": True, "self-harm": False}


# ---- 5.2 Decoding ----

ODD_ANSWERS = [
    {"id": 7, "choices": "none", "usage": [1, 2]},
    {"choices": [None, 3, {"message": "text"}], "usage": None},
    {"choices": {"message": {}}, "created": "yesterday"},
    {"choices": [{"message": {"tool_calls": [{"type": 5}, {"type": None}, [], "x", {}]}}]},
    {},
]


@pytest.mark.parametrize("depth, decoded", [(20, True), (400, False), (100_000, False)])
@pytest.mark.parametrize("shape", ["object", "page", "stream"])
def test_an_answer_that_is_nested_too_deeply_is_a_typed_error(
    shape: str, depth: int, decoded: bool
) -> None:
    # As text, because json.dumps() cannot follow it either.
    filters = '{"type": "and", "filters": [' * depth + "{}" + "]}" * depth
    tools = '[{"type": "file_search", "vector_store_ids": [], "filters": ' + filters + "}]"
    response = '{"id": "r", "output": [], "tools": ' + tools + "}"
    cases: Dict[str, Tuple[str, Callable[[Any], Any]]] = {
        "object": (response, lambda c: c.responses.create(model="m", input="x").tools),
        "page": ('{"data": [{"type": "additional_tools", "tools": ' + tools + "}]}",
                 lambda c: c.responses.input_items.list("r").data),
        "stream": (sse(f'{{"type": "response.created", "response": {response}}}'.encode()).decode(),
                   lambda c: list(c.responses.create(model="m", input="x", stream=True))),
    }
    body, ask = cases[shape]
    with RawServer(answer(body)) as server, client_of(server) as client:
        if decoded:
            assert ask(client)
        else:
            with pytest.raises(VALIDATION, match="nested too deeply|recursion"):
                ask(client)


@pytest.mark.parametrize("body", ODD_ANSWERS, ids=str)
def test_nothing_that_the_schema_did_not_foresee_raises(body: Dict[str, Any]) -> None:
    with RawServer(answer(body)) as server, client_of(server) as client:
        done = client.chat.completions.create(model="m", messages=[])
    assert done.to_dict() == body
    assert pickle.loads(pickle.dumps(done)) == done


OUTPUT_ITEMS = [
    ({"type": "message", "role": "assistant", "content": [
        {"type": "output_text", "text": "a", "annotations": [
            {"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1},
        ]},
        {"type": "refusal", "refusal": "no"},
    ]}, "ResponseOutputMessage"),
    ({"type": "function_call", "call_id": "1", "name": "f", "arguments": "{}"},
     "ResponseFunctionToolCall"),
    ({"type": "reasoning", "summary": [{"type": "summary_text", "text": "s"}]},
     "ResponseReasoningItem"),
    ({"type": "web_search_call", "status": "completed", "action": {"type": "search", "query": "q"}},
     "ResponseFunctionWebSearch"),
    ({"type": "mcp_call", "name": "m", "arguments": "", "error": {"type": "http_error", "code": 1}},
     "ResponseMcpCall"),
    ({"type": "of_2027", "payload": 1}, "BaseModel"),
]


@pytest.mark.parametrize("item, name", OUTPUT_ITEMS, ids=[name for _, name in OUTPUT_ITEMS])
def test_a_union_is_chosen_by_its_type(item: Dict[str, Any], name: str) -> None:
    response = openai.Response.model_validate({"id": "r", "object": "response", "output": [item]})
    assert type(response.output[0]).__name__ == name
    assert response.to_dict()["output"] == [item]


def test_output_text_joins_the_text_of_all_messages() -> None:
    response = openai.Response.model_validate(
        {"id": "r", "output": [item for item, _ in OUTPUT_ITEMS] + [OUTPUT_ITEMS[0][0]]}
    )
    assert response.output_text == "aa"
    assert openai.Response.model_validate({"id": "r", "output": []}).output_text == ""
    assert openai.Response.model_validate({"id": "r"}).output_text == ""


def test_every_annotation_of_every_result_resolves() -> None:
    """A typo in an annotation would make its field silently untyped."""
    models = [
        value for _, value in inspect.getmembers(openai, inspect.isclass)
        if issubclass(value, openai.BaseModel) and not issubclass(value, openai.BasePage)
    ]
    assert len(models) > 200
    for model in models:
        for name, annotation in openai.fields_of(model).items():
            assert eval(annotation, dict(vars(openai)), openai.TYPES) is not None, (model, name)


def test_aliases_are_what_typing_makes_of_them() -> None:
    import typing

    item: Any = openai.ResponseOutputItem
    assert item.__origin__ is typing.Union and openai.ResponseOutputMessage in item.__args__
    model: Any = openai.ChatModel
    if sys.version_info >= (3, 8):
        assert typing.get_origin(model) is typing.Literal and "gpt-4o" in typing.get_args(model)


DRAFTS = """
import gc, pickle, sys, threading
import openai_lite as o

def made():
    return {cls.__name__ for cls in gc.get_objects()
            if isinstance(cls, type) and issubclass(cls, (o.BaseModel, o.Resource))}

at_first = made()
client = o.OpenAI(api_key="sk-0")
client.chat.completions.create
more = made() - at_first
assert {"Chat", "ChatCompletions"} <= more <= {"Chat", "ChatCompletions", "Completions"}, more
assert "ChatCompletionChunk" not in vars(o) and "ChatCompletionChunk" in dir(o)

found, together = [], threading.Barrier(16)

def look():
    together.wait()
    found.append((o.ResponseReasoningTextDoneEvent, o.Upload, o.BetaThreadsRuns))

threads = [threading.Thread(target=look) for _ in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
assert len(found) == 16 and len(set(found)) == 1 and gc.isenabled()
assert o.ResponseReasoningTextDoneEvent.__mro__[2:4] == (o.ResponseItemEvent, o.ResponseEvent)

from openai_lite import ChatCompletionChunk
assert ChatCompletionChunk is o.ChatCompletionChunk is vars(o)["ChatCompletionChunk"]
assert type(ChatCompletionChunk) is type and ChatCompletionChunk.__mro__[1] is o.BaseModel
parsed = o.decode("ChatCompletionChunk", {"choices": [{"delta": {"content": "x"}}]})
assert type(parsed) is ChatCompletionChunk
assert type(parsed.choices[0]) is o.ChatCompletionChunkChoice

import abc
class Mine(o.Model, abc.ABC):
    note: str = ""
assert Mine(id="m", note="n").note == "n" and isinstance(Mine(id="m"), o.Model)
sys.stdout.write("%d %d" % (len(at_first), len(o.TYPES.waiting)))
"""


def test_importing_makes_few_classes_and_needing_one_makes_the_same_for_all() -> None:
    done = python("-c", DRAFTS)
    assert done.returncode == 0, done.stderr
    at_first, waiting = map(int, done.stdout.split())
    assert at_first < 100 and waiting > 600


def test_an_answer_is_unpickled_where_its_class_was_not_needed_yet() -> None:
    answer = openai.decode("ChatCompletion", {"choices": [{"message": {"content": "x"}}]})
    program = "import pickle, sys; print(pickle.load(sys.stdin.buffer).choices[0].message)"
    done = subprocess.run(
        [sys.executable, "-c", program], input=pickle.dumps(answer), cwd=str(HERE),
        stdout=subprocess.PIPE, check=True,
    )  # fmt: skip
    assert done.stdout.decode().strip() == repr(answer.choices[0].message)


def test_every_global_name_in_a_function_exists() -> None:
    """One of a class that is not made until it is needed does not: there, its name has to do."""
    def names_in(code: Any) -> Iterator[str]:
        for instruction in dis.get_instructions(code):
            if instruction.opname == "LOAD_GLOBAL":
                yield instruction.argval
        for const in code.co_consts:
            if isinstance(const, types.CodeType):
                yield from names_in(const)

    done = python("-c", "import openai_lite, sys; sys.stdout.write(' '.join(vars(openai_lite)))")
    found = set(names_in(compile(SOURCE, "openai_lite.py", "exec")))
    assert found - {*done.stdout.split(), *dir(builtins)} == set() and len(found) > 300


def test_floats_of_embeddings_are_not_visited_one_by_one() -> None:
    """Types that need no conversion have no step in the plan of their class."""
    assert [name for name, _ in openai.plan_of(openai.CreateEmbeddingResponse)] == ["data", "usage"]
    assert openai.plan_of(openai.Embedding) == []


def result_classes() -> List[Any]:
    classes = inspect.getmembers(openai, inspect.isclass)
    return [cls for _, cls in classes if issubclass(cls, openai.BaseModel)]


def any_json(chance: random.Random, names: List[str], depth: int) -> Any:
    """Some JSON; its objects have the keys and types of the API, but not where they belong."""
    how = chance.randrange(9 if depth else 5)
    if how < 5:
        return [None, True, chance.choice(names), chance.randrange(-9, 9), 1.5][how]
    if how == 5:
        return [any_json(chance, names, depth - 1) for _ in range(chance.randrange(4))]
    return {
        chance.choice(names): any_json(chance, names, depth - 1)
        for _ in range(chance.randrange(5))
    }


@pytest.mark.parametrize("seed", range(2))
def test_any_json_makes_an_object_of_any_class_and_comes_out_as_it_went_in(seed: int) -> None:
    chance, classes = random.Random(seed), result_classes()
    assert len(classes) > 500
    types = sorted(set(re.findall(r'Literal\["([a-z_.]+)"\]', SOURCE)))
    for i in range(15_000):
        cls = chance.choice(classes)
        names = [*openai.keys_of(cls).values(), "type", "object", "zz"] + chance.sample(types, 3)
        value = {chance.choice(names): any_json(chance, names, 3) for _ in range(6)}
        if chance.random() < 0.5:
            value["type"] = chance.choice(types)
        text = json.dumps(value)
        made = openai.decode(cls, json.loads(text))
        assert type(made) is cls and made.to_dict() == value, (seed, i, cls, text)
        if i % 10 == 0:
            twin = pickle.loads(pickle.dumps(made))
            assert twin == made and repr(twin) == repr(made), (seed, i, cls, text)
            assert json.loads(made.to_json()) == value, (seed, i, cls, text)


def test_twice_the_objects_take_twice_the_steps() -> None:
    def work(size: int) -> Callable[[], Any]:
        parts = [{"type": "output_text", "text": "a", "annotations": []}] * size
        message = {"type": "message", "content": parts}
        text = json.dumps({"output": [message] + [{"type": "x"}] * size})
        return lambda: openai.decode(openai.Response, json.loads(text)).to_dict()

    check_linear(work, 200)


# ---- 5.3 Pages ----


def files_page(*ids: str, has_more: Optional[bool] = None) -> bytes:
    body: Dict[str, Any] = {"object": "list", "data": [{"id": i, "object": "file"} for i in ids]}
    if has_more is not None:
        body["has_more"] = has_more
    return answer(body)


def targets(server: RawServer) -> List[str]:
    return [head.split(" ", 2)[1] for head, _ in server.requests]


def test_iteration_follows_the_pages_with_the_same_parameters() -> None:
    pages = (files_page("a", "b", has_more=True), files_page("c", has_more=False))
    with RawServer(*pages) as server, client_of(server) as client:
        files = client.files.list(
            limit=2, purpose="batch", extra_query={"x": "1"}, extra_headers={"X-Y": "z"}
        )
        assert type(files.data[0]) is openai.FileObject
        assert [file.id for file in files] == ["a", "b", "c"]
    assert targets(server) == [
        "/v1/files?limit=2&purpose=batch&x=1", "/v1/files?limit=2&purpose=batch&x=1&after=b",
    ]
    assert [headers_of(head)["x-y"] for head, _ in server.requests] == ["z", "z"]


@pytest.mark.parametrize("page, more", [
    (files_page("a", has_more=True), True),
    (files_page("a"), True),  # not told: ask, as the official client does
    (files_page("a", has_more=False), False),
    (files_page(has_more=True), False),
    (files_page(), False),
    (answer({"object": "list", "data": None}), False),
    (answer({"data": [{"object": "file"}], "has_more": True}), False),  # no id to go on from
])
def test_whether_there_is_a_next_page(page: bytes, more: bool) -> None:
    with RawServer(page) as server, client_of(server) as client:
        found = client.files.list()
        assert found.has_next_page() is more
        if more:
            info = found.next_page_info()
            assert info is not None and info.params == {"after": "a"}
        elif not found.data:
            assert found.next_page_info() is None
            with pytest.raises(RuntimeError, match="has_next_page"):
                found.get_next_page()


def test_pages_one_by_one() -> None:
    pages = (files_page("a", has_more=True), files_page("b", has_more=True), files_page())
    with RawServer(*pages) as server, client_of(server) as client:
        found = [[file.id for file in page.data] for page in client.files.list().iter_pages()]
    assert found == [["a"], ["b"], []]


def test_models_come_on_one_page() -> None:
    body = {"object": "list", "data": [{"id": "m", "object": "model"}], "has_more": True}
    with RawServer(answer(body)) as server, client_of(server) as client:
        page = client.models.list()
        assert [model.id for model in page] == ["m"] and not page.has_next_page()
        assert type(page.data[0]) is openai.Model


@pytest.mark.parametrize("page, cursor, name", [
    ("ConversationCursor", {"last_id": "n"}, "after"), ("NextCursor", {"next": "n"}, "after"),
    ("Token", {"next": "n"}, "page"),
])
def test_pages_that_name_their_successor(page: str, cursor: Dict[str, Any], name: str) -> None:
    sync, twin = getattr(openai, f"Sync{page}Page"), getattr(openai, f"Async{page}Page")
    pages = [{"data": [{"id": "a"}], "has_more": True, **cursor}, {"data": [{"id": "b"}]}]
    with RawServer(*map(answer, pages * 2)) as server:
        found: Any = client_of(server).get_api_list("/x?y=1", page=sync, model=openai.Model)
        assert type(found) is sync and found.next_page_info().params == {name: "n"}
        assert [item.id for item in found] == ["a", "b"] and type(found.data[0]) is openai.Model

        async def main() -> None:
            async with async_client_of(server) as client:
                pages: Any = client.get_api_list("/x?y=1", page=twin, model=openai.Model)
                assert type(await pages) is twin

        asyncio.run(main())
    assert targets(server) == ["/v1/x?y=1", f"/v1/x?y=1&{name}=n", "/v1/x?y=1"]
    for over in ({"has_more": False, **cursor}, {"has_more": True}, {}):
        with RawServer(answer({"data": [{"id": "a"}], **over})) as server:
            found = client_of(server).get_api_list("/x", page=sync, model=openai.Model)
            assert not found.has_next_page()


def test_async_pages_are_awaited_or_iterated() -> None:
    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            page = await client.files.list(limit=1)
            assert [file.id for file in page.data] == ["a"] and page.has_next_page()
            page = await page.get_next_page()
            assert [file.id for file in page.data] == ["b"] and not page.has_next_page()
            assert [file.id async for file in client.files.list(limit=1)] == ["a", "b"]
            pages = await client.files.list(limit=1)
            assert [len(page.data) async for page in pages.iter_pages()] == [1, 1]

    answers = (files_page("a", has_more=True), files_page("b", has_more=False)) * 3
    with RawServer(*answers) as server:
        asyncio.run(main(server))
    assert not server.answers


def test_a_page_that_is_no_list_is_refused() -> None:
    for body in ('{"data": {"a": 1}}', "[1]", '"text"'):
        with RawServer(answer(body)) as server, client_of(server) as client:
            with pytest.raises(openai.APIResponseValidationError, match="list with a `data` field"):
                client.files.list()


# ---- 5.4 Streams ----

CHUNKS = [
    {"id": "1", "object": "chat.completion.chunk", "choices": [
        {"index": 0, "delta": {"content": text}, "finish_reason": None}]}
    for text in ("Hel", "lo", "\u2028\U0001f600")
]
LAST_CHUNK: Dict[str, Any] = {
    "id": "1", "object": "chat.completion.chunk",
    "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
}
STREAM = sse(*CHUNKS, LAST_CHUNK, b"[DONE]")


def stream_answer(body: bytes, **headers: str) -> bytes:
    return answer(body, Content_Type="text/event-stream", **headers)


def chunked_stream(*pieces: bytes) -> bytes:
    """A streamed answer, a chunk per piece."""
    return stream_answer(b"", Content_Length="", Transfer_Encoding="chunked") + chunked(*pieces)


def chat_stream(client: OpenAI) -> openai.Stream[openai.ChatCompletionChunk]:
    return client.chat.completions.create(model="m", messages=[], stream=True)


def text_of(stream: Any) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in stream)


@pytest.mark.parametrize("way", ["whole", "chunked", "a chunk a byte", "until the end"])
def test_a_stream_gives_its_events_and_the_connection_back(way: str) -> None:
    sent = {
        "whole": stream_answer(STREAM),
        "chunked": chunked_stream(*[piece + b"\n\n" for piece in STREAM.split(b"\n\n") if piece]),
        "a chunk a byte": chunked_stream(*[STREAM[i : i + 1] for i in range(len(STREAM))]),
        "until the end": stream_answer(STREAM, Content_Length="", Connection="close"),
    }[way]
    with RawServer(sent, answer(CHAT)) as server, client_of(server) as client:
        stream = chat_stream(client)
        assert not stream.completed
        assert text_of(stream) == "Hello\u2028\U0001f600"
        assert stream.completed and list(stream) == []
        chat = client.chat.completions.create(model="m", messages=[])
        assert chat.id == "chatcmpl-1"
    assert server.connections == (2 if way == "until the end" else 1)
    assert json.loads(server.requests[0][1])["stream"] is True


@pytest.mark.parametrize("ending, completed", [
    (sse(*CHUNKS, b"[DONE]"), True),
    (sse(*CHUNKS) + b"data: [DONE]\n", True),  # some servers forget the blank line
    (sse(*CHUNKS) + b"data: [DONE]", True),
    (sse(*CHUNKS, LAST_CHUNK), True),  # some never send [DONE]
    (sse(*CHUNKS), False),
    (sse(*CHUNKS) + b'data: {"id": "cut in the mid', False),
    (b"", False),
    (b": ping\n\n: ping\n\n", False),
])
def test_a_stream_is_complete_only_after_a_mark_of_its_end(ending: bytes, completed: bool) -> None:
    with RawServer(stream_answer(ending)) as server, client_of(server) as client:
        stream = chat_stream(client)
        list(stream)
        assert stream.completed is completed


@pytest.mark.parametrize("event, completed", [
    ({"type": "response.completed", "response": {"id": "r"}}, True),
    ({"type": "response.failed", "response": {"id": "r"}}, True),
    ({"type": "response.incomplete", "response": {"id": "r"}}, True),
    ({"type": "response.output_text.delta", "delta": "x"}, False),
])
def test_a_response_stream_is_complete_after_its_terminal_event(
    event: Dict[str, Any], completed: bool
) -> None:
    body = b"event: " + event["type"].encode() + b"\n" + sse(event)
    with RawServer(stream_answer(body)) as server, client_of(server) as client:
        stream = client.responses.create(model="m", input="x", stream=True)
        assert [item.type for item in stream] == [event["type"]]
        assert stream.completed is completed


ERRORS_IN_STREAMS = [
    (b'data: {"error": {"message": "overloaded", "code": "busy", "type": "t"}}\n\n', "overloaded"),
    (b'event: error\ndata: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
    (b'data: {"error": "just text"}\n\n', "just text"),
    (b'data: {"error": {"code": 500}}\n\n', "An error occurred during streaming"),
]


@pytest.mark.parametrize("event, message", ERRORS_IN_STREAMS)
def test_an_error_in_a_stream_raises_after_the_events_before_it(event: bytes, message: str) -> None:
    with RawServer(stream_answer(sse(*CHUNKS) + event)) as server, client_of(server) as client:
        stream, seen = chat_stream(client), []
        with pytest.raises(openai.APIError) as caught:
            for chunk in stream:
                seen.append(chunk)
    assert len(seen) == 3 and str(caught.value) == message
    assert caught.value.body is not None and not isinstance(caught.value, openai.APIStatusError)
    if b"busy" in event:
        assert (caught.value.code, caught.value.type) == ("busy", "t")


@pytest.mark.parametrize("cut", ["a chunk", "the length", "a reset"])
def test_a_cut_stream_says_after_how_many_events_and_bytes(cut: str) -> None:
    whole = sse(*CHUNKS)

    def reset(conn: socket.socket) -> None:
        conn.sendall(chunked_stream(whole)[:-5])
        time.sleep(0.2)  # else the reset overtakes the data
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    sent: Answer = {
        "a chunk": hang_up(chunked_stream(whole)[:-5] + b"ff\r\ndata"),
        "the length": hang_up(stream_answer(whole, Content_Length="9999")),
        "a reset": reset,
    }[cut]
    with RawServer(sent) as server, client_of(server) as client:
        stream, seen = chat_stream(client), []
        with pytest.raises(openai.APIConnectionError, match="after 3 events and") as caught:
            for chunk in stream:
                seen.append(chunk)
    assert len(seen) == 3 and not stream.completed
    assert f"127.0.0.1:{server.port}" in str(caught.value)


def test_an_event_that_is_no_json_says_which_one_it_was() -> None:
    with RawServer(stream_answer(sse(*CHUNKS, b"{broken"))) as server, client_of(server) as client:
        with pytest.raises(openai.APIResponseValidationError, match="event 4 of the stream"):
            list(chat_stream(client))


def test_streams_that_are_left_early_leave_no_descriptor_behind() -> None:
    endless = hang_up(stream_answer(STREAM * 50, Content_Length="999999"))
    with RawServer(*[endless] * 40) as server, client_of(server) as client:
        chat_stream(client).close()
        before = open_descriptors()
        for way in range(30):
            stream = chat_stream(client)
            if way % 3 == 0:
                with stream:
                    next(stream)
            elif way % 3 == 1:
                for _ in stream:
                    break
                stream.close()
            else:
                with contextlib.suppress(ZeroDivisionError):
                    for _ in stream:
                        raise ZeroDivisionError
            del stream
        assert open_descriptors() <= before + 1


def test_a_closed_stream_is_over() -> None:
    with RawServer(stream_answer(STREAM)) as server, client_of(server) as client:
        stream = chat_stream(client)
        assert next(stream).id == "1"
        stream.close()
        assert list(stream) == []


def test_comments_do_not_reset_the_limit_on_waiting_for_an_event() -> None:
    def ping(conn: socket.socket) -> None:
        conn.sendall(stream_answer(sse(CHUNKS[0]), Content_Length="", Connection="close"))
        for _ in range(100):
            conn.sendall(b": ping\n\n")
            time.sleep(0.1)

    with RawServer(ping) as server, client_of(server, timeout=1) as client:
        stream = chat_stream(client)
        next(stream)
        with pytest.raises(openai.APITimeoutError, match="no event for 1 s"):
            next(stream)


def test_async_streams_do_the_same() -> None:
    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            texts = [chunk.choices[0].delta.content async for chunk in stream]
            assert "".join(t or "" for t in texts) == "Hello\u2028\U0001f600" and stream.completed
            async with await client.chat.completions.create(
                model="m", messages=[], stream=True
            ) as stream:
                assert (await stream.__anext__()).id == "1"
            with pytest.raises(openai.APIConnectionError, match="after 3 events"):
                async for _ in await client.chat.completions.create(
                    model="m", messages=[], stream=True
                ):
                    pass
            with pytest.raises(openai.APIError, match="overloaded"):
                async for _ in await client.chat.completions.create(
                    model="m", messages=[], stream=True
                ):
                    pass

    with RawServer(
        stream_answer(STREAM), stream_answer(STREAM),
        hang_up(stream_answer(sse(*CHUNKS), Content_Length="999")),
        stream_answer(ERRORS_IN_STREAMS[0][0]),
    ) as server:
        asyncio.run(main(server))
    assert not server.answers


# ---- Every cut ----

SHORT_CHUNK: Dict[str, Any] = {"id": "1", "choices": [{"delta": {"content": "ab"}}]}
SHORT_EVENTS = [
    {"type": "response.output_text.delta", "delta": "\u20ac"},
    {"type": "response.completed", "response": {"id": "r"}},
]


def without_type(body: bytes, **headers: str) -> bytes:
    """A short answer: the fewer bytes, the fewer cuts."""
    return answer(body, Content_Type="", **headers)


# kind: (what a server answers, what is asked).  Whatever is cut, an answer is whole or an error.
TO_CUT: Dict[str, Tuple[bytes, Callable[[Any], Any]]] = {
    "JSON": (without_type(b'{"id": "m"}'), lambda c: c.models.retrieve("m")),
    "JSON in gzip": (
        without_type(gzip.compress(b'{"id": "m"}'), Content_Encoding="gzip"),
        lambda c: c.models.retrieve("m")),
    "JSON in chunks": (raw(TE, chunked(b'{"id":', b' "m"}')), lambda c: c.models.retrieve("m")),
    "JSON to the end": (raw("HTTP/1.1 200 OK", b'{"id": "m"}'), lambda c: c.models.retrieve("m")),
    "error": (answer(WRONG, "400 No"), lambda c: c.models.retrieve("m")),
    "stream of a chat": (
        raw(TE, chunked(sse(SHORT_CHUNK), sse(SHORT_CHUNK, b"[DONE]"))),
        lambda c: c.chat.completions.create(model="m", messages=[], stream=True)),
    "stream of a response": (
        without_type(sse(*SHORT_EVENTS)),
        lambda c: c.responses.create(model="m", input="x", stream=True)),
    "stream to the end": (
        raw("HTTP/1.1 200 OK", sse(SHORT_CHUNK, b"[DONE]")),
        lambda c: c.chat.completions.create(model="m", messages=[], stream=True)),
    "stream in gzip": (
        without_type(gzip.compress(sse(SHORT_CHUNK, b"[DONE]")), Content_Encoding="gzip"),
        lambda c: c.chat.completions.create(model="m", messages=[], stream=True)),
    "upload": (
        without_type(b'{"id": "f"}'), lambda c: c.files.create(file=b"x" * 99, purpose="batch")),
    "download": (without_type(b"0123456789" * 9), lambda c: c.files.content("f")),
    "download in chunks": (raw(TE, chunked(b"01234", b"56789")), lambda c: c.files.content("f")),
}
INCOMPLETE = (openai.APIConnectionError, openai.APITimeoutError, openai.APIResponseValidationError)


class Cutter:
    """Answers each request with `sent`, cut after the bytes that its path, `/{cut}/v1`, names."""

    def __init__(self, sent: bytes, stalls: bool = False) -> None:
        self.sent, self.stalls = sent, stalls

    def __call__(self, conn: socket.socket) -> None:
        file = conn.makefile("rb")
        head = read_request_head(file)
        file.read(int(headers_of(head).get("content-length", "0")))
        conn.sendall(self.sent[: int(head.split("/")[1])])
        if self.stalls:
            silent(conn)


def outcome(ask: Callable[[Any], Any], client: Any) -> Tuple[Any, Any]:
    """(all that came of a call, the error or None); a stream says in the end if it is complete."""
    found: Any = None
    try:
        result = ask(client)
        if isinstance(result, openai.Stream):
            found = []
            for item in result:
                found.append(item.to_dict())
            found.append(result.completed)
        elif isinstance(result, openai.HttpxBinaryResponseContent):
            found = result.read()
        else:
            found = result.to_dict()
    except openai.OpenAIError as err:
        return found, err
    return found, None


async def async_outcome(ask: Callable[[Any], Any], client: Any) -> Tuple[Any, Any]:
    found: Any = None
    try:
        result = await ask(client)
        if isinstance(result, openai.AsyncStream):
            found = []
            async for item in result:
                found.append(item.to_dict())
            found.append(result.completed)
        elif isinstance(result, openai.HttpxBinaryResponseContent):
            found = await result.aread()
        else:
            found = result.to_dict()
    except openai.OpenAIError as err:
        return found, err
    return found, None


def check_cut(kind: str, at: str, whole: Tuple[Any, Any], found: Tuple[Any, Any]) -> None:
    """What came of a cut answer is the whole one, or says that it is not."""
    (all_of_it, failed), (part, error) = whole, found
    if failed:  # the whole answer is an error as well
        assert type(error) is type(failed) or isinstance(error, INCOMPLETE), (kind, at, error)
    elif error is not None:
        assert isinstance(error, INCOMPLETE), (kind, at, error)
        assert part is None or part == all_of_it[: len(part)], (kind, at, part)
    elif part != all_of_it:  # the end of the connection is the end of the stream
        assert kind == "stream to the end" and part[-1] is False, (kind, at, part)
        assert part[:-1] == all_of_it[: len(part) - 1], (kind, at, part)


@pytest.mark.parametrize("kind", list(TO_CUT))
def test_an_answer_cut_after_any_byte_is_whole_or_a_typed_error(kind: str) -> None:
    sent, ask = TO_CUT[kind]

    async def in_asyncio(port: int) -> None:
        async with AsyncOpenAI(api_key=KEY, max_retries=0) as client:
            for cut in range(0, len(sent), 5):
                client.base_url = f"http://127.0.0.1:{port}/{cut}/v1"
                check_cut(kind, f"async {cut}", whole, await async_outcome(ask, client))

    with listening(Cutter(sent)) as port, OpenAI(api_key=KEY, max_retries=0) as client:
        client.base_url = f"http://127.0.0.1:{port}/{len(sent)}/v1"
        whole = outcome(ask, client)
        assert kind == "error" or whole[1] is None and whole[0]
        for cut in range(len(sent)):
            client.base_url = f"http://127.0.0.1:{port}/{cut}/v1"
            check_cut(kind, str(cut), whole, outcome(ask, client))
        transport: Any = client._transport
        assert len(transport.slots) + len(idle_connections(transport)) == 1000
        asyncio.run(in_asyncio(port))


@pytest.mark.parametrize("kind", list(TO_CUT))
@pytest.mark.parametrize("limit", [openai.Timeout(60, read=0.1), openai.Timeout(total=0.1)],
                         ids=["read", "total"])
def test_an_answer_that_stalls_after_any_byte_is_whole_or_a_timeout(kind: str, limit: Any) -> None:
    sent, ask = TO_CUT[kind]
    started = time.monotonic()

    def work(cut: int) -> Tuple[Any, Any]:
        url = f"http://127.0.0.1:{port}/{cut}/v1"
        with OpenAI(api_key=KEY, base_url=url, max_retries=0, timeout=limit) as client:
            return outcome(ask, client)

    with listening(Cutter(sent)) as port:
        whole = outcome(ask, OpenAI(
            api_key=KEY, base_url=f"http://127.0.0.1:{port}/{len(sent)}/v1", max_retries=0
        ))
    cuts = range(0, len(sent), 8)
    with listening(Cutter(sent, stalls=True)) as port:
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            for cut, found in zip(cuts, pool.map(work, cuts)):
                check_cut(kind, str(cut), whole, found)
                assert found == whole or isinstance(found[1], openai.APITimeoutError), (cut, found)
    assert time.monotonic() - started < 20  # where a stall would last a minute


@pytest.mark.parametrize("kind", ["JSON", "JSON in chunks", "stream of a chat"])
def test_an_answer_over_tls_cut_without_a_goodbye_is_whole_or_a_typed_error(
    kind: str, certificates: Any
) -> None:
    sent, ask = TO_CUT[kind]
    answers = [hang_up(sent[:cut]) for cut in range(0, len(sent), 3)]
    with RawServer(hang_up(sent), *answers, tls=certificates.server("right")) as server:
        transport = openai.DefaultHttpxClient(verify=certificates.path("right"))
        with client_of(server, http_client=transport) as client:
            whole = outcome(ask, client)
            assert whole[1] is None and whole[0]
            for cut in range(0, len(sent), 3):
                check_cut(kind, str(cut), whole, outcome(ask, client))

    async def in_asyncio(server: RawServer) -> None:
        transport = openai.DefaultAsyncHttpxClient(verify=certificates.path("right"))
        async with async_client_of(server, http_client=transport) as client:
            for cut in range(0, len(sent), 3):
                check_cut(kind, f"async {cut}", whole, await async_outcome(ask, client))

    with RawServer(*answers, tls=certificates.server("right")) as server:
        asyncio.run(in_asyncio(server))


def test_an_answer_that_stalls_holds_up_no_other_task() -> None:
    """The event loop reads what has come, and must not wait for the rest: a thread does."""
    def asks(client: AsyncOpenAI) -> Iterator[Tuple[str, int, Any]]:
        for (kind, (sent, ask)), port in zip(TO_CUT.items(), ports):
            for cut in range(0, len(sent), 7):
                twin = client.with_options(base_url=f"http://127.0.0.1:{port}/{cut}/v1")
                yield kind, cut, async_outcome(ask, twin)

    async def main() -> None:
        async with AsyncOpenAI(
            api_key=KEY, max_retries=0, timeout=openai.Timeout(60, read=2, connect=30)
        ) as client:
            kinds, cuts, waits = zip(*asks(client))
            task = asyncio.ensure_future(asyncio.gather(*waits))
            longest, last = 0.0, time.monotonic()
            while not task.done():
                await asyncio.sleep(0.01)
                longest, last = max(longest, time.monotonic() - last), time.monotonic()
            assert longest < 1.5, "something waited in the event loop"
            for kind, cut, found in zip(kinds, cuts, await task):
                check_cut(kind, f"async {cut}", whole[kind], found)
                assert found == whole[kind] or isinstance(found[1], openai.APITimeoutError)

    whole = {}
    for kind, (sent, ask) in TO_CUT.items():
        with listening(Cutter(sent)) as port:
            url = f"http://127.0.0.1:{port}/{len(sent)}/v1"
            with OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
                whole[kind] = outcome(ask, client)
    with contextlib.ExitStack() as stack:
        ports = [stack.enter_context(listening(Cutter(sent, True))) for sent, _ in TO_CUT.values()]
        asyncio.run(main())


def check_extent(data: bytes, stream: bool = False) -> str:
    """Read as much as can be, they say, from a socket that has no more to give."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        request = openai.HTTPRequest("POST", "http://example.com")
        with openai.HTTPTransport() as transport:
            connection: Any = openai.Connection(transport, request.origin, ours, False, "")
            connection.reader = openai.SocketReader(ours, request)
            assert connection.reader.fetch() == len(data)
            head = openai.plain_head(data)
            extent = "head" if head is not None else "none"
            ours.setblocking(False)
            try:
                if head is not None:
                    response = connection.response(request, 0.0, head)
                    if response._body is None or response._body.is_whole():
                        extent = "whole"
                        response.read()
                    if stream:  # until it would wait
                        for step in response._some_steps():
                            break
            except (OSError, openai.OpenAIError) as err:  # which is all right, unless it would wait
                assert not isinstance(err, BlockingIOError), data
                assert not isinstance(err.__cause__, BlockingIOError), data
            connection.close()
    return extent


def test_how_much_of_an_answer_has_come_is_never_overrated() -> None:
    rng = random.Random(5)
    answers = [sent for sent, _ in TO_CUT.values()]
    answers += [b"HTTP/1.1 100 Continue\r\n\r\n" + answers[0], answer(b"", "204 No"), raw(TE)]
    answers += [raw(TE, chunked(sse(*SHORT_EVENTS), b"0\r\n\r\n")[:-2] + b"X: y\r\n\r\n")]
    for sent in answers:
        for cut in range(1, len(sent) + 1):
            check_extent(sent[:cut])
            check_extent(sent[:cut], stream=True)
    pieces = [b"\r\n", b"\n", b"\r\n\r\n", b"\n\n", b"0", b"f", b" ", b": ", b"1", b"data: ",
              b"[DONE]", b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b""]
    for _ in range(4000):
        data = rng.choice(answers)
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(len(data))
            data = data[:at] + rng.choice(pieces) + data[at + rng.randint(0, 3) :]
        data = data[: rng.choice([1000, rng.randint(1, 200)])] or b"H"
        check_extent(data)
        check_extent(data, stream=True)


class Pieces:
    """A socket that receives these, one at a time."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def recv(self, limit: int) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""


def test_a_head_that_comes_whole_reads_like_one_that_comes_in_pieces() -> None:
    def read(*pieces: bytes) -> Any:
        reader = openai.SocketReader(Pieces(*pieces), openai.HTTPRequest("GET", "http://a.com"))
        try:
            version, status, reason, headers, size = openai.read_head(reader)
        except OSError as err:
            return type(err)
        return version, status, reason, dict(headers), size

    rng = random.Random(8)
    start = [b"HTTP/1.1 200 OK", b"HTTP/1.0 404", b"HTTP/1.1 200X", b"HTTP/1.1 599 \xe9", b"", b"X"]
    lines = [b"A: 1", b"a:2 ", b"B:\tx\ty", b" folded", b"no colon", b":", b"C : 3", b"\xe9: \xff"]
    ends = [b"\r\n"] * 12 + [b"\n", b"\r", b"\r\r\n"]
    for _ in range(3000):
        head = rng.choice(start) + rng.choice(ends)
        for _ in range(rng.randint(0, 4)):
            head += rng.choice(lines) + rng.choice(ends)
        head += b"\r\n" * (rng.random() < 0.9) + b"body"
        assert read(head) == read(*[head[at : at + 5] for at in range(0, len(head), 5)]), head


@pytest.mark.parametrize(
    "kind, cut, extent", [
        ("JSON", None, "whole"), ("JSON in gzip", None, "whole"), ("JSON in chunks", None, "whole"),
        ("JSON", -1, "head"), ("JSON in chunks", -1, "head"), ("JSON to the end", None, "head"),
        ("error", None, "whole"), ("stream of a chat", None, "whole"), ("JSON", 20, "none"),
        ("download in chunks", None, "whole"),
    ],
)
def test_how_much_of_a_plain_answer_has_come_is_known(
    kind: str, cut: Optional[int], extent: str
) -> None:
    assert check_extent(TO_CUT[kind][0][:cut]) == extent


def test_an_async_stream_to_watch_is_there_before_its_first_event() -> None:
    watching = threading.Event()

    def events(conn: socket.socket) -> None:
        conn.sendall(stream_answer(b"", Content_Length="", Connection="close"))
        assert watching.wait(20)
        conn.sendall(sse({"type": "agent.session.idle"}))

    async def watch(server: RawServer) -> List[Any]:
        async with async_client_of(server) as client:
            stream = await client.beta.agents.sessions.events.stream("s")
            watching.set()
            return [event.type async for event in stream]

    with RawServer(events) as server:
        assert asyncio.run(watch(server)) == ["agent.session.idle"]


# ---- 5.5 Binary results ----


def test_a_download_is_read_in_every_way_the_official_package_offers(
    tmp_path: pathlib.Path,
) -> None:
    body = "first line\nsecond l\u00efne".encode("utf-8")
    reads: List[Tuple[Callable[[Any], Any], Any]] = [
        (lambda c: c.content, body), (lambda c: c.read(), body),
        (lambda c: c.text, body.decode("utf-8")),
        (lambda c: b"".join(c.iter_bytes()), body), (lambda c: list(c.iter_bytes(4))[0], body[:4]),
        (lambda c: "".join(c.iter_text()), body.decode("utf-8")),
        (lambda c: list(c.iter_lines()), body.decode("utf-8").split("\n")),
        (lambda c: c.response.status_code, 200), (lambda c: c.write_to_file(tmp_path / "f"), None),
        (lambda c: c.stream_to_file(str(tmp_path / "f")), None),
    ]
    answers = [answer(body, Content_Type="application/octet-stream")] * len(reads)
    with RawServer(*answers) as server, client_of(server) as client:
        for read, expected in reads:
            assert read(client.files.content("f")) == expected
    assert (tmp_path / "f").read_bytes() == body


def test_a_large_download_to_a_file_needs_little_memory(tmp_path: pathlib.Path) -> None:
    size = 64 << 20

    def send(conn: socket.socket) -> None:
        conn.sendall(answer(b"", Content_Length=str(size), Content_Type="application/octet-stream"))
        block = b"x" * (1 << 20)
        for _ in range(size >> 20):
            conn.sendall(block)

    import tracemalloc

    with RawServer(send, send) as server, client_of(server) as client:
        tracemalloc.start()
        try:
            client.files.content("f").write_to_file(tmp_path / "f")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert (tmp_path / "f").stat().st_size == size
        assert peak < 8 << 20
        assert sum(map(len, client.files.content("f").iter_bytes())) == size


def test_a_cut_download_raises_and_says_so(tmp_path: pathlib.Path) -> None:
    big = 4 << 20
    cut = hang_up(answer(b"x" * 5000, Content_Length=str(big), Content_Type="application/x"))
    with RawServer(cut, cut, cut) as server, client_of(server) as client:
        with pytest.raises(openai.APIConnectionError, match="after 5000 of 4194304 bytes"):
            client.files.content("f").write_to_file(tmp_path / "f")
        with pytest.raises(openai.APIConnectionError, match="after 5000 of"):
            client.files.content("f").read()
        with pytest.raises(openai.APIConnectionError, match="after 5000 of"):
            list(client.files.content("f").iter_bytes())


def test_async_downloads(tmp_path: pathlib.Path) -> None:
    body = b"line\nline\n" * 200000

    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            assert await (await client.files.content("f")).aread() == body
            content = await client.files.content("f")
            assert b"".join([data async for data in content.aiter_bytes()]) == body
            content = await client.files.content("f")
            assert sum([1 async for _ in content.aiter_lines()]) == 400000
            await (await client.files.content("f")).astream_to_file(tmp_path / "f")
            assert (tmp_path / "f").read_bytes() == body

    answers = [answer(body, Content_Type="application/octet-stream")] * 4
    with RawServer(*answers) as server:
        asyncio.run(main(server))


# ---- 5.6 Raw and streaming views of a response ----


def test_a_raw_response_has_headers_body_and_the_parsed_result() -> None:
    sent = answer(CHAT, x_request_id="req_1", X_Extra="yes")
    with RawServer(sent) as server, client_of(server) as client:
        raw = client.chat.completions.with_raw_response.create(model="m", messages=[])
        assert (raw.status_code, raw.request_id, raw.headers["x-extra"]) == (200, "req_1", "yes")
        assert (raw.method, raw.retries_taken, raw.http_version) == ("POST", 0, "HTTP/1.1")
        assert raw.url == server.url + "/chat/completions" and raw.is_closed
        assert raw.elapsed >= datetime.timedelta(0)
        assert json.loads(raw.text) == CHAT == json.loads(raw.content)
        assert type(raw.parse()) is openai.ChatCompletion and raw.parse() is raw.parse()
        assert raw.parse(to=openai.Model).id == "chatcmpl-1"
        assert raw.http_request.headers["Authorization"] == "Bearer " + KEY
        assert KEY not in repr(raw) + repr(raw.http_request) + repr(raw.http_response)


def test_every_resource_and_the_client_have_both_views() -> None:
    with RawServer(*[answer(CHAT)] * 4) as server, client_of(server) as client:
        for view in (
            client.with_raw_response.chat.completions, client.chat.with_raw_response.completions,
            client.chat.completions.with_raw_response,
        ):
            assert view.create(model="m", messages=[]).parse().id == "chatcmpl-1"
        with client.with_streaming_response.chat.completions.create(
            model="m", messages=[]
        ) as response:
            assert response.parse().id == "chatcmpl-1"


def test_a_streaming_response_is_read_when_asked_and_closed_at_the_end() -> None:
    body = json.dumps(CHAT, indent=1)
    ways: List[Tuple[Callable[[Any], Any], Any]] = [
        (lambda r: r.read(), body.encode()), (lambda r: r.text(), body), (lambda r: r.json(), CHAT),
        (lambda r: list(r.iter_lines()), body.split("\n")),
        (lambda r: b"".join(r.iter_bytes(5)), body.encode()),
        (lambda r: "".join(r.iter_text()), body), (lambda r: r.parse().id, "chatcmpl-1"),
    ]
    with RawServer(*[answer(body)] * (len(ways) + 1)) as server, client_of(server) as client:
        for read, expected in ways:
            with client.chat.completions.with_streaming_response.create(
                model="m", messages=[]
            ) as response:
                assert not response.is_closed
                assert read(response) == expected
            assert response.is_closed
        with client.chat.completions.with_streaming_response.create(model="m", messages=[]):
            pass  # nothing read: the connection is of no further use
        assert server.connections == 1


def test_streams_seen_through_the_views() -> None:
    with RawServer(stream_answer(STREAM), stream_answer(STREAM)) as server:
        with client_of(server) as client:
            raw = client.chat.completions.with_raw_response.create(
                model="m", messages=[], stream=True
            )
            assert raw.headers["content-type"] == "text/event-stream"
            assert text_of(raw.parse()) == "Hello\u2028\U0001f600"
            with client.chat.completions.with_streaming_response.create(
                model="m", messages=[], stream=True
            ) as response:
                assert text_of(response.parse()) == "Hello\u2028\U0001f600"


def test_the_views_of_the_async_client() -> None:
    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            raw = await client.models.with_raw_response.retrieve("m")
            assert raw.parse().id == "m" and raw.headers["x-a"] == "b"
            async with client.models.with_streaming_response.retrieve("m") as response:
                assert (await response.parse()).id == "m"
            async with client.models.with_streaming_response.retrieve("m") as response:
                assert await response.json() == {"id": "m"}
                assert await response.text() == '{"id": "m"}'
            async with client.models.with_streaming_response.retrieve("m") as response:
                assert [line async for line in response.iter_lines()] == ['{"id": "m"}']
            pages = await client.files.with_raw_response.list()
            assert [file.id async for file in pages.parse()] == ["a"]
            async with client.chat.completions.with_streaming_response.create(
                model="m", messages=[], stream=True
            ) as streamed:
                stream = await streamed.parse()
                assert len([chunk async for chunk in stream]) == 4

    with RawServer(
        *[answer({"id": "m"}, X_A="b")] * 4, files_page("a", has_more=False), stream_answer(STREAM)
    ) as server:
        asyncio.run(main(server))
    assert not server.answers


########################################################################
## 6. Endpoints
########################################################################


def test_missing_unknown_and_surplus_arguments_are_reported_as_python_does() -> None:
    client: Any = OpenAI(api_key=KEY)
    cases: List[Tuple[Callable[[], Any], str]] = [
        (lambda: client.chat.completions.create(model="m"),
         r"ChatCompletions\.create\(\) missing 1 required argument: 'messages'"),
        (lambda: client.chat.completions.create(),
         r"ChatCompletions\.create\(\) missing 2 required arguments: 'messages', 'model'"),
        (lambda: client.models.retrieve(), r"Models\.retrieve\(\) missing 1 required"),
        (lambda: client.models.retrieve(openai.omit), r"missing 1 required argument: 'model'"),
        (lambda: client.responses.create(modle="m"),
         r"Responses\.create\(\) got an unexpected keyword argument 'modle'; did you mean 'model'"),
        (lambda: client.models.retrieve("m", x=1), r"Models\.retrieve\(\) got an unexpected.* 'x'"),
        (lambda: client.models.retrieve("m", "n"), r"Models\.retrieve\(\) takes 2 positional"),
        (lambda: client.models.retrieve("m", model="n"), r"multiple values for argument 'model'"),
    ]
    for call, message in cases:
        with pytest.raises(TypeError, match=message):
            call()


@pytest.mark.parametrize("value", ["", ".", "..", "%2e%2E", None])
def test_empty_and_dot_segments_in_a_path_are_refused_before_anything_is_sent(value: Any) -> None:
    client = OpenAI(api_key=KEY)
    with pytest.raises(ValueError, match="`file_id`"):
        client.files.retrieve(value)
    with pytest.raises(ValueError, match="`file_id`"):
        asyncio.run(AsyncOpenAI(api_key=KEY).files.retrieve(value))


def test_only_what_was_passed_is_sent_and_none_is_null() -> None:
    with RawServer(answer(CHAT)) as server, client_of(server) as client:
        client.chat.completions.create(
            model="m", messages=[], temperature=openai.NOT_GIVEN, stop=None, seed=openai.omit,
        )
    assert server.requests[0][1] == b'{"model":"m","messages":[],"stop":null}'


def test_extra_headers_query_and_body() -> None:
    with RawServer(answer(CHAT)) as server, client_of(server) as client:
        client.chat.completions.create(
            model="m", messages=[], extra_query={"a": [1, 2], "b": {"c": True}},
            extra_headers={"X-One": "1", "user-agent": "mine", "X-Stainless-Lang": openai.omit},
            extra_body={"model": "n", "novel": {"x": None}},
        )
    (head, body), = server.requests
    assert head.split(" ")[1] == "/v1/chat/completions?a%5B%5D=1&a%5B%5D=2&b%5Bc%5D=true"
    headers = headers_of(head)
    assert headers["x-one"] == "1" and headers["user-agent"] == "mine"
    assert "x-stainless-lang" not in headers and head.lower().count("user-agent") == 1
    assert json.loads(body) == {"messages": [], "model": "n", "novel": {"x": None}}


def test_a_method_documents_itself() -> None:
    method = OpenAI(api_key=KEY).models.retrieve
    assert (method.__name__, method.__qualname__) == ("retrieve", "Models.retrieve")
    assert (method.__doc__ or "").startswith("Fetch one model")
    assert list(inspect.signature(method).parameters) == ["model", "options"]


def test_deprecated_methods_warn_at_the_caller() -> None:
    with RawServer(answer("text")) as server, client_of(server) as client:
        with pytest.warns(DeprecationWarning, match="use files.content") as caught:
            assert client.files.retrieve_content("f") == "text"
    assert caught[0].filename == __file__


def test_typos_in_resource_names_are_attribute_errors() -> None:
    client: Any = OpenAI(api_key=KEY)
    with pytest.raises(AttributeError, match="'OpenAI' object has no attribute 'chta'"):
        client.chta
    with pytest.raises(AttributeError, match="'Chat' object has no attribute 'completion'"):
        client.chat.completion
    assert not hasattr(client, "_missing") and not hasattr(client.chat, "__len__")


########################################################################
## 7. Clients
########################################################################

# ---- 7.1 What both clients share ----

BOTH = pytest.mark.parametrize("make", [OpenAI, AsyncOpenAI], ids=["OpenAI", "AsyncOpenAI"])


def call(client: Any, dotted: str, **params: Any) -> Any:
    """Call a method of either client by its dotted name, and wait for the result."""
    method = client
    for name in dotted.split("."):
        method = getattr(method, name)
    result = method(**params)
    if inspect.isawaitable(result):

        async def wait() -> Any:
            return await result

        return asyncio.run(wait())
    return result


@BOTH
def test_a_missing_key_is_refused_at_construction_naming_the_variable(make: Any) -> None:
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        make()
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        make(api_key="")


@BOTH
@pytest.mark.parametrize("option", ["api_key", "organization", "project", "admin_api_key"])
@pytest.mark.parametrize("value", [
    "sk-secret-1\n", "sk-secret-1\r\nX-Evil: 1", "\u201csk-secret-1\u201d", "sk-secret-1\u20ac",
    "sk-secret-1\0",
])
def test_a_credential_that_no_header_can_carry_is_refused_without_showing_it(
    make: Any, option: str, value: str
) -> None:
    options = {"api_key": KEY, option: value}
    with pytest.raises(openai.OpenAIError) as caught:
        make(**options)
    shown = "".join(traceback.format_exception(type(caught.value), caught.value, None))
    assert option in shown and "secret" not in shown


@BOTH
def test_a_header_that_cannot_be_carried_is_refused_at_the_call(make: Any) -> None:
    client = make(api_key=KEY)
    for name, value in (("Authorization", "Bearer s3cret\n"), ("X-Mine", "s3cret\r\nX: y")):
        with pytest.raises(openai.OpenAIError) as caught:
            call(client, "models.list", extra_headers={name: value})
        assert name in str(caught.value) and "s3cret" not in str(caught.value)


@BOTH
@pytest.mark.parametrize("option, value, error", [
    ("max_retries", -1, ValueError), ("max_retries", None, TypeError),
    ("max_retries", 1.5, TypeError), ("timeout", -1, ValueError), ("timeout", "soon", TypeError),
    ("timeout", float("nan"), ValueError),
    ("base_url", "api.openai.com", openai.OpenAIError), ("base_url", "ftp://x", openai.OpenAIError),
    ("data_residency", "mars", ValueError), ("http_client", object(), TypeError),
    ("colour", "red", TypeError),
])
def test_options_that_make_no_sense_are_refused_at_construction(
    make: Any, option: str, value: Any, error: Any
) -> None:
    with pytest.raises(error):
        make(api_key=KEY, **{option: value})


@BOTH
def test_options_come_from_the_environment_and_arguments_win(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {
        "OPENAI_API_KEY": "sk-env", "OPENAI_ORG_ID": "org-env", "OPENAI_PROJECT_ID": "proj-env",
        "OPENAI_WEBHOOK_SECRET": "whsec_env", "OPENAI_BASE_URL": "http://env.example/v1",
        "OPENAI_ADMIN_KEY": "sk-admin-env",
    }
    for name, text in environment.items():
        monkeypatch.setenv(name, text)
    client = make()
    found = (client.api_key, client.organization, client.project, client.webhook_secret,
             str(client.base_url), client.admin_api_key)
    assert found == ("sk-env", "org-env", "proj-env", "whsec_env", "http://env.example/v1/",
                     "sk-admin-env")
    client = make(api_key="a", organization="b", project="c", webhook_secret="d",
                  base_url="http://e", admin_api_key="f")
    found = (client.api_key, client.organization, client.project, client.webhook_secret,
             str(client.base_url), client.admin_api_key)
    assert found == ("a", "b", "c", "d", "http://e/", "f")


@BOTH
def test_what_a_request_says(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", "X-Env: 1\nX-Both: environment\n")
    with RawServer(answer(CHAT)) as server:
        client = make(
            api_key=KEY, base_url=server.url, organization="org", project="proj",
            default_headers={"X-Both": "argument", "x-stainless-lang": "other"},
            default_query={"v": "1"},
        )
        call(client, "chat.completions.create", model="m",
             messages=[{"role": "user", "content": "\u00e4\u2028"}])
    (head, body), = server.requests
    assert head.startswith("POST /v1/chat/completions?v=1 HTTP/1.1\r\n")
    headers = headers_of(head)
    expected = {
        "host": f"127.0.0.1:{server.port}", "accept-encoding": "gzip, deflate",
        "connection": "keep-alive", "authorization": "Bearer " + KEY, "accept": "application/json",
        "content-type": "application/json", "user-agent": "openai_lite/" + openai.__version__,
        "x-stainless-lang": "other", "x-stainless-package-version": openai.__version__,
        "x-stainless-async": "false" if make is OpenAI else "async:asyncio",
        "openai-organization": "org", "openai-project": "proj", "x-stainless-retry-count": "0",
        "x-stainless-read-timeout": "600", "x-env": "1", "x-both": "argument",
        "content-length": str(len(body)),
    }
    assert {name: headers.get(name) for name in expected} == expected
    assert {"x-stainless-os", "x-stainless-arch", "x-stainless-runtime"} < set(headers)
    assert body == '{"model":"m","messages":[{"role":"user","content":"\u00e4\u2028"}]}'.encode()


@BOTH
def test_with_options_changes_a_copy_and_shares_the_connections(make: Any) -> None:
    with RawServer(*[answer({"id": "m"})] * 3) as server:
        client = make(api_key=KEY, base_url=server.url, max_retries=1, default_headers={"X-A": "1"},
                      default_query={"q": "1"}, organization="org")
        twin = client.with_options(
            max_retries=5, timeout=3, default_headers={"X-B": "2"}, default_query={"r": "2"}
        )
        assert (client.max_retries, twin.max_retries, twin.timeout) == (1, 5, 3)
        assert twin.organization == "org" and type(twin) is make
        bare = client.copy(api_key="sk-other", set_default_headers={"X-C": "3"},
                           set_default_query={})
        for each in (client, twin, bare):
            call(each, "models.retrieve", model="m")
    assert targets(server) == ["/v1/models/m?q=1", "/v1/models/m?q=1&r=2", "/v1/models/m"]
    sent = [headers_of(head) for head, _ in server.requests]
    assert [(s.get("x-a"), s.get("x-b"), s.get("x-c")) for s in sent] == [
        ("1", None, None), ("1", "2", None), (None, None, "3")
    ]
    assert sent[1]["x-stainless-read-timeout"] == "3"
    assert sent[2]["authorization"] == "Bearer sk-other"
    assert server.connections == 1
    for option in ("default_headers", "default_query"):
        with pytest.raises(ValueError, match="exclude"):
            client.copy(**{option: {}, "set_" + option: {}})


@BOTH
def test_the_timeout_of_a_call_is_said_to_the_server(make: Any) -> None:
    waits: List[Any] = [7, 2.5, None, openai.Timeout(9, read=4.0), openai.omit]
    with RawServer(*[answer({"id": "m"})] * len(waits)) as server:
        client = make(api_key=KEY, base_url=server.url)
        for timeout in waits:
            call(client, "models.retrieve", model="m", timeout=timeout)
    said = [headers_of(head).get("x-stainless-read-timeout") for head, _ in server.requests]
    assert said == ["7", "2.5", None, "4.0", "600"]


@BOTH
def test_undocumented_endpoints(make: Any) -> None:
    answers = [answer({"my": [1]}, X_Foo="bar")] * 8
    with RawServer(*answers) as server:
        client = make(api_key=KEY, base_url=server.url)
        assert call(client, "get", path="/foo", cast_to=dict) == {"my": [1]}
        response = call(client, "post", path="/foo", cast_to=openai.HTTPResponse,
                        body={"my_param": True})
        assert response.headers.get("x-foo") == "bar" and response.json() == {"my": [1]}
        same = call(client, "post", path="/foo", cast_to=openai.httpx.Response, body=None)
        assert type(same) is openai.HTTPResponse
        assert call(client, "put", path="foo", cast_to=str, body=[1]) == '{"my": [1]}'
        assert call(client, "patch", path="/foo", cast_to=bytes, body={}) == b'{"my": [1]}'
        call(client, "delete", path="/foo", cast_to=object, options={
            "headers": {"X-A": "b"}, "params": {"q": ["x"]}, "max_retries": 0, "timeout": 9,
            "idempotency_key": "once", "extra_json": {"more": 1},
        })
        form = call(client, "post", path="/foo", cast_to=openai.BaseModel, body={"purpose": "x"},
                    files={"file": ("a.txt", b"data")})
        assert form.my == [1]
        call(client, "post", path=server.url + "/absolute", cast_to=dict, content=b"as it is",
             options={"headers": {"Content-Type": "text/plain"}})
    heads = [head.split(" HTTP/")[0] for head, _ in server.requests]
    assert heads == ["GET /v1/foo", "POST /v1/foo", "POST /v1/foo", "PUT /v1/foo", "PATCH /v1/foo",
                     "DELETE /v1/foo?q%5B%5D=x", "POST /v1/foo", "POST /v1/absolute"]
    bodies = [body for _, body in server.requests]
    assert bodies[:6] == [b"", b'{"my_param":true}', b"", b"[1]", b"{}", b'{"more":1}']
    assert b'name="purpose"' in bodies[6] and b'filename="a.txt"' in bodies[6]
    assert bodies[7] == b"as it is"
    deleted = headers_of(server.requests[5][0])
    assert (deleted["x-a"], deleted["idempotency-key"]) == ("b", "once")
    with pytest.raises(TypeError, match="unknown option 'retries'"):
        call(client, "get", path="/foo", cast_to=dict, options={"retries": 1})


def test_undocumented_lists_and_streams() -> None:
    with RawServer(files_page("a", has_more=False), stream_answer(STREAM)) as server:
        client = client_of(server)
        page = client.get_api_list(
            "/things", page=openai.SyncCursorPage[openai.FileObject], model=openai.FileObject
        )
        assert [type(item) for item in page] == [openai.FileObject]
        stream = client.post(
            "/things", cast_to=openai.ChatCompletionChunk, body={}, stream=True,
            stream_cls=openai.Stream[openai.ChatCompletionChunk],
        )
        assert text_of(stream) == "Hello\u2028\U0001f600"


@BOTH
def test_a_key_may_be_a_function_that_is_asked_before_each_request(make: Any) -> None:
    keys = iter(["key-1", "key-2", "bad\nkey"])
    with RawServer(answer({"id": "m"}), answer({"id": "m"})) as server:
        client = make(api_key=lambda: next(keys), base_url=server.url)
        for _ in range(2):
            call(client, "models.retrieve", model="m")
        with pytest.raises(openai.OpenAIError) as caught:
            call(client, "models.retrieve", model="m")
        assert "bad" not in str(caught.value)
    assert [headers_of(h)["authorization"] for h, _ in server.requests] == [
        "Bearer key-1", "Bearer key-2"
    ]


@BOTH
def test_the_administration_of_an_organization_takes_the_admin_key(make: Any) -> None:
    with RawServer(*[answer({"id": "m"})] * 3) as server:
        client = make(api_key="key", admin_api_key="admin", base_url=server.url)
        for path in ("/organization/projects", "/projects/p/roles", "/models/m"):
            call(client, "get", path=path, cast_to=dict)
    sent = [headers_of(head)["authorization"] for head, _ in server.requests]
    assert sent == ["Bearer admin", "Bearer admin", "Bearer key"]


def test_the_key_of_the_async_client_may_be_awaitable() -> None:
    async def key() -> str:
        await asyncio.sleep(0)
        return "key-from-afar"

    with RawServer(answer({"id": "m"})) as server:
        call(AsyncOpenAI(api_key=key, base_url=server.url), "models.retrieve", model="m")
    assert headers_of(server.requests[0][0])["authorization"] == "Bearer key-from-afar"


@BOTH
def test_credentials_do_not_go_to_another_origin(make: Any) -> None:
    with RawServer(answer({"id": "m"})) as other, RawServer() as server:
        client = make(api_key=KEY, base_url=server.url, organization="org-1")
        call(client, "get", path=other.url + "/models/m", cast_to=dict)
    assert KEY not in other.requests[0][0]


SECRETS = {
    "api_key": "sk-sweep-0123456789", "admin_api_key": "sk-admin-sweep-0123456789",
    "webhook_secret": "whsec_c3dlZXBzd2VlcHN3ZWVw", "azure_ad_token": "azure-sweep-0123456789",
    "azure_key": "azure-key-sweep-0123456789", "proxy": "proxy-sweep-0123456789",
}
ALL_SECRETS = " ".join(v for name, v in SECRETS.items() if name != "webhook_secret")
# What a hostile or careless server may do with what it was sent: say it again.
ECHOES: List[Answer] = [
    answer({"error": {"message": ALL_SECRETS, "code": ALL_SECRETS}}, "401 No"),
    answer(ALL_SECRETS, "418 Teapot", Content_Type="text/plain"),
    answer(ALL_SECRETS, Content_Type="text/html"),
    answer(json.dumps(ALL_SECRETS)),
    answer('{"a": "' + ALL_SECRETS),
    hang_up(f"HTTP/1.1 {ALL_SECRETS}\r\n\r\n".encode()),
    hang_up(raw(TE, ALL_SECRETS.encode() + b"\r\n")),
    hang_up(),
    answer("", "302 Found", Location="http://" + SECRETS["api_key"] + "@[/"),
    stream_answer(sse({"error": {"message": ALL_SECRETS, "param": ALL_SECRETS}})),
    stream_answer(sse({"error": ALL_SECRETS})),
    stream_answer(sse(ALL_SECRETS.encode())),
    answer(WRONG, "403 " + ALL_SECRETS, X_Request_ID=ALL_SECRETS, X_Echo="Bearer " + ALL_SECRETS),
    answer("no", Content_Type=ALL_SECRETS, X_Request_ID=ALL_SECRETS),
    answer("[", "200 " + ALL_SECRETS, X_Echo=ALL_SECRETS),
    answer(b"no gzip", Content_Encoding="gzip", X_Echo=ALL_SECRETS),
    answer("", "307 Moved", Location="/v1/" + ALL_SECRETS.replace(" ", "/")),
    answer("", "307 Moved", Location="ftp://127.0.0.1/" + ALL_SECRETS),
    hang_up(raw("HTTP/1.1 200 OK\nContent-Length: " + ALL_SECRETS)),
]
# Enough for those calls that take long: an error of each kind.
FEW_ECHOES = [ECHOES[0], ECHOES[3], ECHOES[6], ECHOES[7], ECHOES[9], ECHOES[11], ECHOES[12]]


def clients_with_secrets(url: str) -> List[Tuple[Any, List[str]]]:
    """Every kind of client with its secrets, as values and as functions; and which must not show.

    What a client never had, it cannot hide when a server says it.
    """
    plain = {name: SECRETS[name] for name in ("api_key", "webhook_secret")}
    admin = SECRETS["admin_api_key"]
    found: List[Tuple[Any, List[str]]] = []
    for kind, azure in ((OpenAI, openai.AzureOpenAI), (AsyncOpenAI, openai.AsyncAzureOpenAI)):
        make: Any = kind
        retrying = make(base_url=url, max_retries=1, initial_retry_delay=0.001, **plain)
        asking = make(base_url=url, max_retries=0, **dict(plain, api_key=lambda: plain["api_key"]))
        found += [(retrying, list(plain.values())), (asking, list(plain.values()))]
        found.append((make(base_url=url, max_retries=0, admin_api_key=admin), [admin]))
        for name, value in (
            ("api_key", SECRETS["azure_key"]), ("azure_ad_token", SECRETS["azure_ad_token"]),
            ("azure_ad_token_provider", SECRETS["azure_ad_token"]),
        ):
            given: Any = (lambda: value) if name.endswith("provider") else value
            make = azure
            client = make(base_url=url, api_version="1", max_retries=0, **{name: given})
            found.append((client, [value]))
    return found


def using(client: Any, work: Callable[[Any], Any], shown: Optional[List[str]] = None) -> Any:
    """The error of a call, or of reading the stream that it gives; and how all it gives shows."""
    def look(found: Any) -> Any:
        if shown is not None:
            shown.extend((repr(found), str(found), repr(getattr(found, "response", ""))))
        return found

    async def read() -> None:
        found = look(work(client))
        if hasattr(found, "__await__"):
            found = look(await found)
        if isinstance(found, openai.HttpxBinaryResponseContent):
            await found.aread()
        elif hasattr(found, "__aenter__"):
            async with found as stream:
                async for _ in look(stream):
                    pass

    try:
        if client.is_async:
            asyncio.run(read())
            return
        found = look(work(client))
        if isinstance(found, openai.HttpxBinaryResponseContent):
            found.read()
        elif hasattr(found, "__enter__"):
            with found as stream:
                for _ in look(stream):
                    pass
    except (openai.OpenAIError, ValueError, RuntimeError) as err:
        return err


SECRET_CALLS: List[Callable[[Any], Any]] = [
    lambda c: c.models.list(),
    lambda c: c.chat.completions.create(model="m", messages=[], stream=True),
    lambda c: c.files.create(file=b"x", purpose="batch"),
    lambda c: c.files.content("f"),
    lambda c: c.models.with_raw_response.list(),
]
RUN = {"id": "run_1", "object": "thread.run", "thread_id": "t", "status": "in_progress"}
FAST: Dict[str, Any] = {"poll_interval_ms": 1}

def secret_helpers() -> List[Tuple[Callable[[Any], Any], List[Any]]]:
    """The helpers, and what they are told before the server says what it should not."""
    return [
        (lambda c: c.chat.completions.stream(model="m", messages=[], response_format=Point), []),
        (lambda c: c.chat.completions.parse(model="m", messages=[], response_format=Point), []),
        (lambda c: c.responses.stream(model="m", input="x", text_format=Point), []),
        (lambda c: c.responses.parse(
            model="m", input="x", tools=[openai.function_tool(call_a_closed_port)]), []),
        (lambda c: c.beta.threads.runs.stream(thread_id="t", assistant_id="a"), []),
        (lambda c: c.beta.threads.create_and_run_poll(assistant_id="a", **FAST), [RUN, RUN]),
        (lambda c: c.files.wait_for_processing("f", poll_interval=0.001), [{"status": "uploaded"}]),
        (lambda c: c.vector_stores.files.upload_and_poll(vector_store_id="v", file=b"x", **FAST),
         [{"id": "f"}, {"id": "f", "status": "in_progress"}, {"id": "f", "status": "in_progress"}]),
        (lambda c: c.vector_stores.file_batches.upload_and_poll(
            "v", files=[("a", b"1"), ("b", b"2")], max_concurrency=1, **FAST), [{"id": "f"}]),
        (lambda c: c.uploads.upload_file_chunked(
            file=b"1234", filename="a", mime_type="text/plain", purpose="batch", part_size=2,
            max_concurrency=1, md5=None), [{"id": "upload"}, {"id": "part"}]),
        (lambda c: c.beta.agents.sessions.stream("s", input="x", tool_handlers=TOOL_OF),
         [agent_session("idle")]),
        (lambda c: c.beta.agents.sessions.stream("s", input="x", output_type=Point),
         [agent_session("idle"), stream_answer(agent_events(TURNS["an answer"])[:-9])]),
        (lambda c: c.beta.agents.environments.files.prepare(
            {"/workspace/a": __file__, "/workspace/b": __file__}), [{"id": "f"}]),
        (lambda c: c.beta.agents.environments.files.upload("e", file=b"x", path="/workspace/a"),
         [{"id": "f"}]),
        (lambda c: c.webhooks.unwrap(EVENT, delivery(secret="another")), []),
        (lambda c: c.webhooks.unwrap(b"{", delivery(b"{", SECRETS["webhook_secret"])), []),
    ]


def all_that_is_in(api: Any) -> Iterator[str]:
    """The repr of each resource of a client, and of each method and view of each."""
    for name in dir(type(api)):
        if name[:1] != "_" and callable(getattr(type(api), name)):
            yield repr(getattr(api, name))
    groups = {name for cls in type(api).__mro__ for name in openai.own_annotations(cls)}
    for name in groups:
        group = getattr(api, name) if name[:1] != "_" else None
        if isinstance(group, openai.Resource):
            yield repr(group)
            if not name.startswith("with_"):
                yield from all_that_is_in(group)


@pytest.mark.parametrize("number", range(12))
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_no_secret_shows_in_a_log_a_repr_an_error_its_traceback_or_its_pickle(
    number: int, caplog: pytest.LogCaptureFixture
) -> None:
    calls: List[Any] = [(work, [], sent) for work in SECRET_CALLS for sent in ECHOES]
    calls += [(*helper, sent) for helper in secret_helpers() for sent in FEW_ECHOES]
    with RawServer() as server, caplog.at_level(logging.DEBUG):
        client, known = clients_with_secrets(server.url)[number]
        shown: List[str] = [repr(client), str(client), repr(client._transport)]
        shown += all_that_is_in(client)
        assert len(shown) > 400
        errors = 0
        for work, before, sent in calls:
            told = [answer(each) if isinstance(each, dict) else each for each in before]
            server.answers[:] = told + [sent] * 6
            err = using(client, work, shown)
            if err is None:  # the secrets were taken for a file, for instance
                continue
            errors += 1
            shown.append(whole_traceback(err) + repr(vars(err)) + repr(err.args))
            shown.append(repr(vars(pickle.loads(pickle.dumps(err)))))
            headers = getattr(getattr(err, "response", None), "headers", {})
            shown += [repr(headers), repr(list(headers.values()))]
        shown += [f"{r.getMessage()} {r.args!r} {r.exc_text}" for r in caplog.records]
        assert errors > 0.8 * len(calls) > 150
        assert any("HTTP Response" in text for text in shown)
    for secret in known:
        assert not [text for text in shown if secret in text], secret


@pytest.mark.parametrize("number", range(12))
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_no_redirect_takes_a_secret_to_another_origin(number: int, status: int) -> None:
    found = answer({"data": [], "status": "processed"})
    with RawServer(*[found] * 20) as other, RawServer() as server:
        client, _ = clients_with_secrets(server.url)[number]
        for work in SECRET_CALLS + [work for work, before in secret_helpers() if not before]:
            server.answers[:] = [answer("", f"{status} Moved", Location=other.url + "/x")]
            using(client, work)
        using(client, lambda c: c.get(path=other.url + "/models", cast_to=object))
        assert len(other.requests) >= 10
        for head, body in other.requests:
            assert not [s for s in SECRETS.values() if s in head or s.encode() in body]
            assert "authorization" not in head.lower() and "api-key" not in head.lower()


PROXY_BASIC = base64.b64encode(("me:" + SECRETS["proxy"]).encode()).decode()
PROXY_SAYS = f"{SECRETS['proxy']} {PROXY_BASIC}"


def test_a_proxy_password_shows_nowhere_and_is_sent_to_the_proxy_only(
    caplog: pytest.LogCaptureFixture
) -> None:
    secret = SECRETS["proxy"]
    with RawServer(answer({"data": []}), answer(secret, "400 No")) as server:
        with listening(Proxy(server.port, "me:" + secret)) as port, caplog.at_level(logging.DEBUG):
            transport = openai.DefaultHttpxClient(proxy=f"http://me:{secret}@127.0.0.1:{port}")
            with OpenAI(api_key=KEY, base_url="http://api.example.com", http_client=transport,
                        max_retries=0) as client:
                page = client.models.list()
                shown = [repr(transport), repr(client), repr(page), repr(page._client)]
                with pytest.raises(openai.BadRequestError) as caught:
                    client.models.list()
        shown.append(whole_traceback(caught.value) + repr(vars(caught.value)))
        for head, _ in server.requests:  # this proxy passes the header on, as no real one does
            assert f"Proxy-Authorization: Basic {PROXY_BASIC}" in head
            assert secret not in head and KEY in head
        for text in shown + [r.getMessage() for r in caplog.records]:
            assert secret not in text and PROXY_BASIC not in text


@pytest.mark.parametrize("given", ["as an argument", "by the environment"])
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("said", [
    answer(PROXY_SAYS, "407 Proxy Authentication Required", Content_Type="text/plain"),
    answer(WRONG, "407 " + PROXY_SAYS, X_Echo=PROXY_SAYS, X_Request_ID=PROXY_SAYS),
    answer(PROXY_SAYS, Content_Type=PROXY_SAYS),
    hang_up(f"HTTP/1.1 {PROXY_SAYS}\r\n\r\n".encode()),
    hang_up(raw("HTTP/1.1 502 No\nContent-Length: " + PROXY_SAYS)),
], ids=range(5))
def test_a_proxy_that_says_its_password_is_not_quoted(
    said: Any, scheme: str, given: str, monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def say(conn: socket.socket) -> None:
        read_request_head(conn.makefile("rb"))
        if callable(said):
            said(conn)
        else:
            conn.sendall(said)

    with listening(say) as port, caplog.at_level(logging.DEBUG):
        url = f"http://me:{SECRETS['proxy']}@127.0.0.1:{port}"
        options: Dict[str, Any] = {}
        if given == "as an argument":
            options["http_client"] = openai.DefaultHttpxClient(proxy=url)
        else:
            monkeypatch.setenv(scheme + "_proxy", url)
        base = scheme + "://api.example.com/v1"
        with OpenAI(api_key=KEY, base_url=base, max_retries=0, **options) as client:
            with pytest.raises(openai.APIError) as caught:
                client.models.list()
    error = caught.value
    shown = [whole_traceback(error), repr(vars(error))]
    shown += [repr(vars(pickle.loads(pickle.dumps(error)))),
              repr(dict(getattr(getattr(error, "response", None), "headers", {})))]
    shown += [r.getMessage() for r in caplog.records]
    for text in shown:
        assert SECRETS["proxy"] not in text and PROXY_BASIC not in text and KEY not in text


@BOTH
def test_clients_pickle_print_and_close(make: Any) -> None:
    client = make(api_key=KEY, base_url="http://user:pass@127.0.0.1:1/v1")
    assert KEY not in repr(client) and "pass" not in repr(client)
    twin = pickle.loads(pickle.dumps(client))
    assert twin.api_key == KEY and twin.base_url == client.base_url
    assert not client.is_closed()
    if make is OpenAI:
        client.close()
    else:
        asyncio.run(client.close())
    assert client.is_closed()
    with pytest.raises(openai.APIConnectionError, match="client is closed"):
        call(client, "models.list")


def test_a_base_url_may_be_changed_and_may_have_a_query() -> None:
    with RawServer(*[answer({"id": "m"})] * 2) as server:
        client = OpenAI(api_key=KEY, base_url=server.url + "/deep/?a=1")
        client.models.retrieve("m", extra_query={"b": "2"})
        client.base_url = server.url
        client.models.retrieve("m")
    assert targets(server) == ["/v1/deep/models/m?a=1&b=2", "/v1/models/m"]


def test_data_residency_picks_a_regional_host() -> None:
    assert str(OpenAI(api_key=KEY, data_residency="eu").base_url) == "https://eu.api.openai.com/v1/"
    with pytest.raises(ValueError, match="not both"):
        OpenAI(api_key=KEY, data_residency="eu", base_url="http://x")


def test_a_transport_of_ones_own_is_an_object_with_one_method() -> None:
    class Canned:
        def send(self, request: openai.HTTPRequest) -> openai.HTTPResponse:
            assert request.method == "GET" and request.url.endswith("/models/m")
            return openai.HTTPResponse(200, {"content-type": "application/json"}, b'{"id": "mine"}',
                                       request=request)

    for make in (OpenAI, AsyncOpenAI):
        client: Any = make(api_key=KEY, http_client=Canned())
        assert call(client, "models.retrieve", model="m").id == "mine"


def test_the_http_client_of_the_official_package_is_refused_by_name() -> None:
    class Client:
        def send(self) -> None: ...

    Client.__module__ = "httpx"
    with pytest.raises(TypeError, match="DefaultHttpxClient"):
        OpenAI(api_key=KEY, http_client=Client())


# ---- 7.2 OpenAI ----


def wrong_model(client: Any) -> Any:
    return client.models.retrieve("no-such-model")


def half_a_stream(client: Any) -> Any:
    return client.chat.completions.create(model="m", messages=HI, stream=True)


@BOTH
@pytest.mark.parametrize("use", [lambda client: client.models.list(), wrong_model, half_a_stream])
def test_what_is_dropped_is_gone_without_the_garbage_collector(
    use: Callable[[Any], Any], make: Any, server: Any
) -> None:
    """Reference cycles, such as of an error and its frames, would keep sockets open for a while."""
    async def use_and_wait(client: Any) -> None:
        with contextlib.suppress(openai.NotFoundError):
            await use(client)

    gc.collect()
    gc.disable()
    try:
        client = make(api_key=KEY, base_url=server.url, max_retries=0)
        dropped = weakref.ref(client._transport)
        with contextlib.suppress(openai.NotFoundError):
            asyncio.run(use_and_wait(client)) if make is AsyncOpenAI else use(client)
        del client
        wait_until(lambda: dropped() is None, 5)
    finally:
        gc.enable()


FAILING_SERVERS: Dict[str, Any] = {  # what a server sends, or where no server is
    "refused": None, "no name": "http://no-such-host.invalid", "no tls": "https",
    "404": answer(WRONG, "404 No"), "429": answer(WRONG, "429 Slow", Retry_After_Ms="1"),
    "no http": b"SSH-2.0\r\n\r\n", "cut head": b"HTTP/1.1 200 OK\r\nContent-",
    "cut body": answer(b"{", Content_Length="99"), "lie": answer(b"x", Content_Length="5, 6"),
    "cut stream": stream_answer(sse({"id": "1"}), Content_Length="999"),
    "bad stream": stream_answer(b"data: {\n\n"), "no gzip": answer(Content_Encoding="gzip"),
    "no json": answer(b"nope", Content_Type="application/json"), "deep": answer(b"[" * 100000),
    "redirects": answer(b"", "302 Found", Location="/"), "silence": b"",
}
WAYS_TO_CALL: Dict[str, Callable[[Any], Any]] = {
    "call": lambda client: client.models.retrieve("m"),
    "stream": half_a_stream,
    "upload": lambda client: client.files.create(file=("a", b"x" * 99999), purpose="batch"),
}


@pytest.mark.parametrize("make, how", [
    (make, how) for how in (*WAYS_TO_CALL, "cancelled") for make in (OpenAI, AsyncOpenAI)
    if (make, how) != (OpenAI, "cancelled")
])
def test_calls_that_failed_leave_nothing_to_the_garbage_collector(
    how: str, make: Any, unused_port: int
) -> None:
    def serve(conn: socket.socket) -> None:
        file = conn.makefile("rb")
        if sent == "https":
            conn.sendall(b"what?")
            return
        while read_request_head(file):
            conn.sendall(sent)
            if name not in ("redirects", "429"):
                break
        if not sent:
            silent(conn)

    async def use_and_wait(client: Any) -> None:
        task = asyncio.ensure_future(use(client))
        if how == "cancelled":
            await asyncio.sleep(0.005)
            task.cancel()
        try:
            async for _ in await task:
                pass
        except (openai.OpenAIError, asyncio.CancelledError):
            pass
        finally:
            del task

    use = WAYS_TO_CALL["call" if how == "cancelled" else how]
    gc.collect()
    gc.disable()
    left: List[str] = []
    try:
        for name, sent in FAILING_SERVERS.items():
            with listening(serve) as port:
                url = f"http://127.0.0.1:{unused_port if sent is None else port}"
                if isinstance(sent, str):
                    url = f"https://127.0.0.1:{port}" if sent == "https" else sent
                client = make(
                    api_key=KEY, base_url=url, timeout=0.1, max_retries=1, initial_retry_delay=0.01
                )
                dropped = weakref.ref(client), weakref.ref(client._transport)
                if make is AsyncOpenAI:
                    asyncio.run(use_and_wait(client))
                else:
                    with contextlib.suppress(openai.OpenAIError):
                        list(use(client))
                del client
                patience = time.monotonic() + 1  # a thread may still be at it
                while [ref() for ref in dropped] != [None, None] and time.monotonic() < patience:
                    time.sleep(0.001)
                left += [name] if dropped[0]() or dropped[1]() else []
    finally:
        gc.enable()
    assert left == []


def test_a_client_in_a_with_block_and_a_dropped_one_leave_nothing_open() -> None:
    with RawServer(*[answer({"id": "m"})] * 60) as server:
        with client_of(server) as client:
            client.models.retrieve("m")
        before = open_descriptors()
        for i in range(50):
            client = client_of(server)
            client.models.retrieve("m")
            if i % 2:
                client.close()
            del client
        assert open_descriptors() <= before + 1


# ---- 7.3 AsyncOpenAI ----


def slow(seconds: float) -> Callable[[socket.socket], None]:
    def send(conn: socket.socket) -> None:
        time.sleep(seconds)
        conn.sendall(answer({"id": "m"}, Connection="close"))

    return send


def test_many_calls_wait_at_once() -> None:
    """More than the event loop's own pool has threads."""
    async def main(server: RawServer) -> float:
        async with async_client_of(server) as client:
            start = time.monotonic()
            found = await asyncio.gather(*[client.models.retrieve("m") for _ in range(60)])
            assert [model.id for model in found] == ["m"] * 60
            return time.monotonic() - start

    with RawServer(*[slow(0.5)] * 60) as server:
        assert asyncio.run(main(server)) < 60 * 0.5 / 4


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_that_wait_for_an_answer_take_no_thread(scheme: str, certificates: Any) -> None:
    async def main(server: RawServer) -> None:
        transport = openai.DefaultAsyncHttpxClient(verify=certificates.path("right"))
        async with async_client_of(server, http_client=transport, max_retries=1) as client:
            tasks = [asyncio.ensure_future(client.models.retrieve("m")) for _ in range(40)]
            while len(server.requests) < 40:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # the last thread has gone back
            assert [t for t in threading.enumerate() if busy(t)] == []
            if scheme == "http":  # to connect to an address takes none either
                assert [t for t in threading.enumerate() if t.name == "openai_lite"] == []
            sent.set()
            assert [model.id for model in await asyncio.gather(*tasks)] == ["m"] * 40

    def late(conn: socket.socket) -> None:
        sent.wait(30)
        conn.sendall(answer({"id": "m"}, Connection="close"))

    sent = threading.Event()
    tls = certificates.server("right") if scheme == "https" else None
    with RawServer(*[late] * 40, tls=tls) as server:
        asyncio.run(main(server))


class BlindLoop(asyncio.SelectorEventLoop):
    """As the event loop of Windows, it cannot tell when a socket can be read or written."""

    add_reader = asyncio.AbstractEventLoop.add_reader
    add_writer = asyncio.AbstractEventLoop.add_writer


def test_an_event_loop_that_knows_no_sockets_has_threads_wait() -> None:
    async def main(server: RawServer) -> None:
        async with async_client_of(server, max_retries=1) as client:
            assert (await client.models.retrieve("m")).id == "m"
            assert [t for t in threading.enumerate() if t.name == "openai_lite"]
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            assert len([event async for event in stream]) == 1
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.models.retrieve("m"), 0.2)
            with pytest.raises(openai.APITimeoutError, match="read 127.0.0.1:.*timed out"):
                await client.models.retrieve("m", timeout=0.1)

    answers: List[Answer] = [
        answer(WRONG, "503 Busy", retry_after="0"), answer({"id": "m"}),
        stream_answer(sse(CHUNKS[0], b"[DONE]")), silent, silent, silent,
    ]
    with RawServer(*answers) as server:
        loop = BlindLoop()
        try:
            loop.run_until_complete(main(server))
        finally:
            loop.close()


@pytest.mark.parametrize("limit", [{"connect": 0.2}, {"total": 0.2}, None], ids=str)
def test_connecting_in_the_event_loop_fails_as_in_a_thread(limit: Any) -> None:
    """Where there is no answer to it, and where nothing listens."""
    async def main(url: str) -> str:
        timeout = openai.Timeout(60, **(limit or {}))
        async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0, timeout=timeout) as client:
            with pytest.raises(openai.APIConnectionError) as caught:
                await client.models.list()
            assert isinstance(caught.value, openai.APITimeoutError) is (limit is not None)
            with pytest.raises(openai.APIConnectionError) as apart:
                OpenAI(api_key=KEY, base_url=url, max_retries=0, timeout=timeout).models.list()
            assert str(apart.value) == str(caught.value)
            return str(caught.value)

    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.socket())
        full.bind(("127.0.0.1", 0))
        if limit is not None:
            full.listen(0)
            for _ in range(4):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(full.getsockname())
        started = time.monotonic()
        said = asyncio.run(main(f"http://127.0.0.1:{full.getsockname()[1]}"))
        assert "(connect 127.0.0.1:" in said and time.monotonic() - started < 10
        assert limit is not None or "nothing listens there" in said


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_cancelled_at_any_moment_leave_nothing_behind(
    scheme: str, certificates: Any
) -> None:
    rng = random.Random(7)

    def serve(conn: socket.socket) -> None:
        if scheme == "http":
            return echo(conn)
        with certificates.server("right").wrap_socket(conn, server_side=True) as tls:
            echo(tls)

    async def main(port: int) -> None:
        transport = openai.DefaultAsyncHttpxClient(
            verify=certificates.path("right"), limits=openai.Limits(max_connections=5)
        )
        url = f"{scheme}://127.0.0.1:{port}/v1"
        async with AsyncOpenAI(api_key=KEY, base_url=url, http_client=transport) as client:
            for _ in range(20):
                tasks = [asyncio.ensure_future(client.models.retrieve(str(i))) for i in range(15)]
                for task in rng.sample(tasks, 10):
                    await asyncio.sleep(rng.random() * rng.choice([0, 0.0002, 0.002]))
                    task.cancel()
                found = await asyncio.gather(*tasks, return_exceptions=True)
                for i, model in enumerate(found):
                    assert isinstance(model, asyncio.CancelledError) or (
                        isinstance(model, openai.Model) and model.id == str(i)
                    )
            wait_until(lambda: len(transport.slots) + len(idle_connections(transport)) == 5)
            assert transport.slots.queue == []
            assert (await client.models.retrieve("last")).id == "last"

    before = open_descriptors()
    with listening(serve) as port:
        asyncio.run(main(port))
    wait_until(lambda: open_descriptors() <= before)


@pytest.mark.parametrize("where", ["headers", "body", "stream", "retry wait", "connect"])
def test_cancelling_a_task_ends_its_wait_at_once_and_closes_the_socket(where: str) -> None:
    closed = threading.Event()

    def hang(conn: socket.socket) -> None:
        if where == "body":
            conn.sendall(answer(b"x", Content_Length="100"))
        elif where == "stream":
            conn.sendall(stream_answer(sse(CHUNKS[0]), Content_Length="", Connection="close"))
        conn.settimeout(20)
        with contextlib.suppress(OSError):
            if conn.recv(1) == b"":
                closed.set()

    sent: Answer = hang
    if where == "retry wait":
        sent = answer({}, "503 Busy", retry_after="60")

    async def main(server: RawServer) -> None:
        client = async_client_of(server, max_retries=2)
        if where == "connect":
            client = AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{full.getsockname()[1]}")
        if where == "stream":
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            await stream.__anext__()
            work: Any = stream.__anext__()
        else:
            work = client.models.retrieve("m")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(work, 0.5)

    full = socket.socket()  # a listener whose queue is full lets nobody connect
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    fillers = [socket.socket() for _ in range(4)]
    for filler in fillers:
        filler.setblocking(False)
        filler.connect_ex(full.getsockname())
    try:
        with RawServer(sent) as server:
            start = time.monotonic()
            asyncio.run(main(server))
            assert time.monotonic() - start < 5
            if where in ("headers", "body", "stream"):
                assert closed.wait(5)
            wait_until(lambda: not [t for t in threading.enumerate() if busy(t)])
    finally:
        for each in fillers + [full]:
            each.close()


ASYNC_CANCEL = """
import asyncio, sys, threading, time
import openai_lite as o
phase, url = sys.argv[1:]

def workers():
    return [t for t in threading.enumerate() if t.name == "openai_lite"]

async def work(client):
    if phase == "stream":
        async for _ in await client.responses.create(model="m", input="x", stream=True):
            pass
    elif phase == "pool":
        await asyncio.gather(client.models.list(), client.models.list())
    elif phase == "send":
        await client.files.create(file=large, purpose="batch")
    elif phase == "download":
        await (await client.files.content("f")).aread()
    else:
        await client.models.list()

async def key():
    asked.append(1)
    if phase == "key" and len(asked) > 1:
        await asyncio.sleep(60)
    return "k"

asked = []
large = b"x" * (32 << 20)  # made here, for it takes a while

async def main(how):
    del asked[:]
    limits = o.Limits(max_connections=1) if phase == "pool" else o.Limits()
    transport = o.DefaultAsyncHttpxClient(limits=limits, proxy=url if phase == "proxy" else None)
    base = "https://api.example.com" if phase == "proxy" else url
    async with o.AsyncOpenAI(api_key=key, base_url=base, http_client=transport, timeout=60) as c:
        task = asyncio.ensure_future(work(c))
        await asyncio.sleep(0.15)
        in_event_loop = phase in ("connect", "headers", "stream", "retry", "key", "pool")
        assert bool(workers()) is not in_event_loop
        if how == "wait_for":
            try:
                await asyncio.wait_for(task, 0.05)
            except asyncio.TimeoutError:
                pass
        elif how == "TaskGroup":
            async def fail():
                raise ZeroDivisionError
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(work(c))
                    group.create_task(fail())
            except BaseException:
                pass
            task.cancel()
            await asyncio.wait([task])
        else:
            task.cancel()
            await asyncio.wait([task])
        cancelled = time.monotonic()
    while workers() and time.monotonic() - cancelled < 20:
        await asyncio.sleep(0.001)
    return time.monotonic() - cancelled

for how in ["cancel", "wait_for"] + ["TaskGroup"] * hasattr(asyncio, "TaskGroup"):
    took = [asyncio.run(main(how))]
    while took[-1] > 0.1 and len(took) < 3:  # a busy machine may be late, but not every time
        took.append(asyncio.run(main(how)))
    assert took[-1] < 0.1, (how, took)
    assert not workers()
"""


@pytest.mark.parametrize(
    "phase", ["connect", "tls", "proxy", "send", "headers", "body", "stream", "download", "retry",
              "key", "pool"]
)
def test_a_cancelled_task_and_its_thread_end_within_a_tenth_of_a_second(phase: str) -> None:
    def serve(conn: socket.socket) -> None:
        if phase == "send":
            conn.recv(10)
            deaf(conn)
        if phase not in ("tls", "proxy"):
            read_request_head(conn.makefile("rb"))
        conn.sendall({
            "body": answer(b"{", Content_Length="99"),
            "stream": stream_answer(sse({"type": "a"}), Content_Length="99999"),
            "download": answer(b"x" * 99, Content_Length="4000000"),
            "retry": answer(WRONG, "429 Slow", Retry_After="100"),
            "key": answer(WRONG, "429 Slow", Retry_After_Ms="1"),
        }.get(phase, b""))
        silent(conn)

    with contextlib.ExitStack() as stack:
        url = f"http://127.0.0.1:{stack.enter_context(listening(serve))}"
        if phase == "connect":
            url = stack.enter_context(full_backlog())
        url = url.replace("http", "https") if phase == "tls" else url
        done = python("-X", "dev", "-c", ASYNC_CANCEL, phase, url)
    assert (done.returncode, done.stderr) == (0, "")


NAME_SERVER = """
import asyncio, os, signal, socket, sys, threading, time
import openai_lite as o
how, port = sys.argv[1:]
asked, answered, resolve = threading.Event(), threading.Event(), socket.getaddrinfo
over = []

def slow(*args):
    asked.set()
    answered.wait()  # as a name server that does not answer: nothing can end this
    over.append(1)
    return resolve("127.0.0.1", *args[1:])

socket.getaddrinfo = slow

def workers():
    return [t for t in threading.enumerate() if t.name == "openai_lite"]

async def main(client):
    async with client:
        task = asyncio.ensure_future(client.models.list())
        while not asked.is_set():
            await asyncio.sleep(0.001)
        if how == "async Ctrl-C":
            threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
            await task
        if how == "wait_for":
            try:
                await asyncio.wait_for(task, 0.05)
            except asyncio.TimeoutError:
                pass
        else:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()

def in_sync(client):
    if how == "Ctrl-C":
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        client.models.list()
        assert how == "resolved"
    except o.APITimeoutError as err:
        limit = "no address was found for the name within 0.2 s" if how == "connect" else "total"
        assert "(connect name.example:" in str(err) and limit in str(err), err

limits = {"connect": o.Timeout(60, connect=0.2), "total": o.Timeout(60, total=0.2)}
is_async = how in ("cancel", "wait_for", "async Ctrl-C", "never")
client = (o.AsyncOpenAI if is_async else o.OpenAI)(
    api_key="k", base_url=f"http://name.example:{port}", timeout=limits.get(how, o.Timeout(60)),
    max_retries=0,
)
if how == "resolved":
    threading.Timer(0.2, answered.set).start()
try:
    asyncio.run(main(client)) if is_async else in_sync(client)
except KeyboardInterrupt:
    assert how in ("Ctrl-C", "async Ctrl-C")
assert answered.is_set() is (how == "resolved")
end = time.monotonic() + 20
while workers():
    assert time.monotonic() < end, "the worker waits for the name server"
    time.sleep(0.001)
transport = client._transport
assert len(transport.slots) + sum(map(len, transport.idle.values())) == 1000
print("over")
if how != "never":
    answered.set()
    while not over:
        assert time.monotonic() < end, "the thread does not end"
        time.sleep(0.001)
"""


@pytest.mark.parametrize(
    "how", ["cancel", "wait_for", "async Ctrl-C", "never", "connect", "total", "Ctrl-C", "resolved"]
)
def test_no_call_waits_for_a_name_server_longer_than_it_should(how: str) -> None:
    """Nothing can interrupt getaddrinfo(), so here, for once, it is replaced: in a child."""
    if "Ctrl-C" in how and os.name == "nt":
        pytest.skip("Windows has no SIGINT for children")
    connections: List[int] = []

    def serve(conn: socket.socket) -> None:
        connections.append(1)
        echo(conn)

    started = time.monotonic()
    with listening(serve) as port:
        done = python("-X", "dev", "-c", NAME_SERVER, how, str(port))
    assert (done.returncode, done.stdout, done.stderr) == (0, "over\n", "")
    assert time.monotonic() - started < 15
    assert len(connections) == (how == "resolved")  # nobody connects when it is too late


def test_a_call_while_the_interpreter_ends_looks_up_names_without_a_thread() -> None:
    program = """
import atexit, sys
import openai_lite as o
client = o.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
atexit.register(lambda: print(client.models.retrieve("late").id))
"""
    with listening(echo) as port:
        done = python("-X", "dev", "-c", program, f"http://localhost:{port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "late\n", "")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for children")
@pytest.mark.parametrize("phase", ["headers", "stream", "retry"])
def test_ctrl_c_ends_an_asyncio_program_at_once_without_a_complaint(phase: str) -> None:
    program = """
import asyncio, os, signal, sys, threading
import openai_lite as o
async def main():
    async with o.AsyncOpenAI(api_key="k", base_url=sys.argv[1]) as client:
        threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT)).start()
        async for _ in await client.responses.create(model="m", input="x", stream=True):
            pass
try:
    asyncio.run(main())
except KeyboardInterrupt:
    print("interrupted")
"""

    def serve(conn: socket.socket) -> None:
        read_request_head(conn.makefile("rb"))
        conn.sendall({
            "headers": b"", "retry": answer(WRONG, "429 Slow", Retry_After="100"),
            "stream": stream_answer(sse({"type": "a"}), Content_Length="99999"),
        }[phase])
        silent(conn)

    started = time.monotonic()
    with listening(serve) as port:
        done = python("-X", "dev", "-c", program, f"http://127.0.0.1:{port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
    assert time.monotonic() - started < 15


def test_async_streams_ended_in_five_ways_leave_nothing_behind() -> None:
    async def one(client: AsyncOpenAI, way: int) -> None:
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        if way == 0:
            async for _ in stream:
                pass
            assert stream.completed
        elif way == 1:
            async with stream:
                await stream.__anext__()
        elif way == 2:
            await stream.__anext__()
            await stream.aclose()
            assert [item async for item in stream] == []
        elif way == 3:
            async for _ in stream:
                break
        else:
            with contextlib.suppress(ZeroDivisionError):
                async for _ in stream:
                    raise ZeroDivisionError

    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            for i in range(10):
                await one(client, i % 5)
            before = open_descriptors()
            for i in range(100):
                await one(client, i % 5)
            assert open_descriptors() <= before + 4
            transport: Any = client._transport
            assert len(transport.slots) + len(idle_connections(transport)) == 1000

    endless = stream_answer(STREAM + b": more\n\n" * 2000)
    with RawServer(*[endless] * 110) as server:
        asyncio.run(main(server))


@pytest.mark.parametrize("way", ["break", "aclose", "cancel", "response.close"])
def test_an_async_stream_takes_no_thread_and_hangs_up_when_it_is_left(way: str) -> None:
    hung_up = threading.Event()

    def pace(conn: socket.socket) -> None:
        conn.sendall(stream_answer(b"", Content_Length="", Connection="close"))
        for _ in range(4):
            conn.sendall(sse(CHUNKS[0]))
            time.sleep(0.05)
        conn.settimeout(20)
        with contextlib.suppress(OSError):
            if conn.recv(1) == b"":
                hung_up.set()

    async def read(client: AsyncOpenAI) -> None:
        stream = await client.chat.completions.create(model="m", messages=[], stream=True)
        for _ in range(4):
            await stream.__anext__()
        assert not [t for t in threading.enumerate() if t.name == "openai_lite"]
        if way == "aclose":
            await stream.aclose()
            assert [item async for item in stream] == []
        elif way == "response.close":
            stream.response.close()
        elif way == "cancel":
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(stream.__anext__(), 0.1)
        assert way == "break" or stream.response.is_closed
        assert not stream.completed

    async def main(server: RawServer) -> None:
        client = async_client_of(server)
        await read(client)
        assert await asyncio.get_event_loop().run_in_executor(None, hung_up.wait, 10)
        await client.close()
        wait_until(lambda: not [t for t in threading.enumerate() if t.name == "openai_lite"])

    with RawServer(pace) as server:
        asyncio.run(main(server))


STREAM_AT_EXIT = """
import asyncio, sys
import openai_lite as o

async def main():
    global client
    client = o.AsyncOpenAI(api_key="sk-0", base_url=sys.argv[1])
    stream = await client.chat.completions.create(model="m", messages=[], stream=True)
    for _ in range(4):
        await stream.__anext__()
    return stream

stream = asyncio.run(main())
sys.stdout.write("done")
"""


def test_a_program_may_end_in_the_middle_of_a_stream() -> None:
    def pace(conn: socket.socket) -> None:
        conn.sendall(stream_answer(b"", Content_Length="", Connection="close"))
        for _ in range(4):
            conn.sendall(sse(CHUNKS[0]))
            time.sleep(0.05)
        conn.settimeout(20)
        conn.recv(1)

    with RawServer(pace) as server:
        done = python("-X", "dev", "-W", "error", "-c", STREAM_AT_EXIT, server.url)
    assert (done.returncode, done.stdout, done.stderr) == (0, "done", "")


@pytest.mark.parametrize("way", ["aclose", "response.close"])
@pytest.mark.parametrize("sent", [b"", b"ffff\r\ndata: ", b"5"], ids=["idle", "event", "size"])
def test_an_async_stream_that_is_closed_ends_for_the_task_that_waits(way: str, sent: bytes) -> None:
    """Also where a thread waits, for the rest of what has come in part."""
    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            assert (await stream.__anext__()).id
            waiting = asyncio.ensure_future(collect(stream))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            if way == "aclose":
                await stream.aclose()
            else:
                stream.response.close()
            try:
                assert await asyncio.wait_for(waiting, 5) == []
            except openai.APIConnectionError:
                assert way == "response.close"
            assert await collect(stream) == []
            transport: Any = client._transport
            wait_until(lambda: len(transport.slots) == 1000)

    async def collect(stream: Any) -> List[Any]:
        return [event async for event in stream]

    def begin(conn: socket.socket) -> None:
        conn.sendall(raw(TE, chunked(sse(CHUNKS[0])))[:-5] + sent)
        silent(conn)

    with RawServer(begin) as server:
        asyncio.run(main(server))


def test_two_tasks_cannot_wait_for_the_same_event_of_a_stream() -> None:
    go_on = threading.Event()

    def pause(conn: socket.socket) -> None:
        conn.sendall(stream_answer(sse(CHUNKS[0]), Content_Length="", Connection="close"))
        go_on.wait(20)
        conn.sendall(sse(CHUNKS[1], b"[DONE]"))

    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            await stream.__anext__()
            first = asyncio.ensure_future(stream.__anext__())
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="another task"):
                await stream.__anext__()
            go_on.set()
            assert (await first).choices
            assert [item async for item in stream] == [] and stream.completed

    with RawServer(pause) as server:
        asyncio.run(main(server))


def test_a_slow_reader_of_a_stream_holds_the_server_back() -> None:
    sent = 0
    piece = sse(CHUNKS[0]) * 500

    def flood(conn: socket.socket) -> None:
        nonlocal sent
        conn.settimeout(30)
        conn.sendall(stream_answer(b"", Content_Length="", Connection="close"))
        while sent < 200 << 20:
            conn.sendall(piece)
            sent += len(piece)

    async def main(server: RawServer) -> None:
        async with async_client_of(server) as client:
            stream = await client.chat.completions.create(model="m", messages=[], stream=True)
            await stream.__anext__()
            await asyncio.sleep(0.5)
            assert sent < 40 << 20  # what the buffers of the system hold
            await stream.close()

    with RawServer(flood) as server:
        asyncio.run(main(server))


def test_a_thousand_calls_wait_at_once_and_the_others_for_their_turn() -> None:
    """The server lives in the same event loop, and answers when enough have come."""
    waiting, most = 0, 0

    async def main() -> None:
        enough = asyncio.Event()

        async def serve(reader: Any, writer: Any) -> None:
            nonlocal waiting, most
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                while True:
                    await reader.readuntil(b"\r\n\r\n")
                    waiting += 1
                    most = max(most, waiting)
                    if waiting == 1000:
                        enough.set()
                    await asyncio.wait_for(enough.wait(), 60)
                    waiting -= 1
                    writer.write(answer({"id": "m"}))
            writer.close()

        listener = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
        port = listener.sockets[0].getsockname()[1]
        client = AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}", max_retries=0)
        limit = openai.Timeout(60, connect=60)
        calls = [client.models.retrieve("m", timeout=limit) for _ in range(1050)]
        assert len(await asyncio.gather(*calls)) == 1050
        await client.close()
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0.01)  # until the server has seen it
        listener.close()

    soft, hard = resource_limit()
    if soft < 2200:
        pytest.skip("this system does not allow so many sockets")
    asyncio.run(main())
    assert most == 1000


def resource_limit() -> Tuple[int, int]:
    """How many files may be open, after asking for more."""
    try:
        import resource
    except ImportError:
        return 0, 0
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < 4096:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)


def busy(thread: threading.Thread) -> bool:
    """Whether a worker of an async client is in the middle of a call."""
    frame = sys._current_frames().get(thread.ident or 0)
    names = []
    while frame is not None:
        names.append(frame.f_code.co_name)
        frame = frame.f_back
    return thread.name == "openai_lite" and "job" in names


def test_one_client_serves_several_event_loops() -> None:
    with RawServer(*[answer({"id": "m"})] * 3) as server:
        client = async_client_of(server)
        for _ in range(3):
            assert asyncio.run(client_call(client)).id == "m"
        asyncio.run(client.close())
    assert server.connections == 1


async def client_call(client: AsyncOpenAI) -> openai.Model:
    return await client.models.retrieve("m")


def test_waits_that_began_together_end_each_in_its_time() -> None:
    """One timer serves all: the next one to be due, whichever came first and whoever has left."""
    async def main(url: str) -> None:
        async with AsyncOpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
            ended: List[float] = []

            async def wait(seconds: float) -> None:
                with pytest.raises(openai.APITimeoutError):
                    await client.models.retrieve("m", timeout=seconds)
                ended.append(seconds)

            left = asyncio.ensure_future(wait(0.05))
            start = time.monotonic()
            tasks = [asyncio.ensure_future(wait(s)) for s in (0.6, 0.2, 30, 0.4)]
            await asyncio.sleep(0.02)
            left.cancel()
            await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_COMPLETED)
            assert ended == [0.2] and 0.15 < time.monotonic() - start
            tasks.pop(2).cancel()
            await asyncio.gather(*tasks)
            assert ended == [0.2, 0.4, 0.6] and 0.55 < time.monotonic() - start < 5

    with listening(silent) as port:
        asyncio.run(main(f"http://127.0.0.1:{port}"))


def test_threads_end_with_the_client_and_when_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    def workers() -> int:
        return sum(thread.name == "openai_lite" for thread in threading.enumerate())

    class Mine(openai.HTTPTransport):
        """May do anything in here, and so it does it in a thread."""

        def send(self, request: openai.HTTPRequest) -> openai.HTTPResponse:
            return super().send(request)

    wait_until(lambda: not workers(), 15)

    async def main(server: RawServer) -> None:
        async with async_client_of(server, http_client=Mine()) as client:
            await asyncio.gather(*[client.models.retrieve("m") for _ in range(8)])
            assert 1 <= workers() <= 8

    with RawServer(*[answer({"id": "m"})] * 9) as server:
        asyncio.run(main(server))
        assert not workers()  # not one is left when the client is closed
        monkeypatch.setattr(openai.Workers, "idle_seconds", 0.05)
        asyncio.run(client_call(async_client_of(server, http_client=Mine())))
        wait_until(lambda: not workers())


LOOP_ENDS = """
import asyncio, io, sys, threading, time, openai_lite as o
how, url = sys.argv[1:]
client = o.AsyncOpenAI(api_key="k", base_url=url, max_retries=0)

async def call():
    assert (await client.models.retrieve("m")).id == "m"

async def main():
    await asyncio.gather(*[call() for _ in range(8)])
    assert workers()
    if how == "cancelled":
        tasks = [asyncio.ensure_future(client.files.create(file=Slow(), purpose="x"))]
        tasks += [asyncio.ensure_future(call()) for _ in range(4)]
        await asyncio.sleep(0.02)  # and leave them to their fate

class Slow(io.RawIOBase):
    name = "slow.txt"

    def read(self, size=-1):
        time.sleep(0.05 if size else 0)
        return b""

def workers():
    return [thread for thread in threading.enumerate() if thread.name == "openai_lite"]

async def late():
    try:
        yield
    finally:
        await call()  # the loop closes this generator, perhaps after it has closed ours

async def with_late():
    global kept
    kept = late()
    await kept.__anext__()
    await main()

if how == "by hand":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
elif how == "late":
    asyncio.run(with_late())
elif how == "two loops":
    other = asyncio.new_event_loop()
    other.run_until_complete(main())
    asyncio.run(main())
    assert not workers()
    other.run_until_complete(main())  # the end of the one is not the end of the other
    other.run_until_complete(other.shutdown_asyncgens())
    other.close()
elif how == "dropped":
    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    del client
    loop.close()
    for thread in workers():
        thread.join()
else:
    for _ in range(3):
        asyncio.run(main())
        assert how == "late" or not workers(), workers()
assert how == "late" or not workers(), workers()
"""


@pytest.mark.parametrize(
    "how", ["plain", "cancelled", "by hand", "late", "two loops", "dropped"]
)
def test_no_thread_outlives_the_event_loop(how: str) -> None:
    """Not even one of a client that was never closed."""
    def serve(conn: socket.socket) -> None:
        read_request_head(conn.makefile("rb"))
        conn.sendall(answer({"id": "m"}, Connection="close"))  # so that each call needs a thread

    with listening(serve) as port:
        done = python("-X", "dev", "-W", "error", "-c", LOOP_ENDS, how, f"http://localhost:{port}")
    assert (done.returncode, done.stderr) == (0, "")


def test_no_job_is_lost_while_threads_come_and_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai.Workers, "idle_seconds", 0.0)
    pool = openai.Workers(3)
    done: List[int] = []
    most: List[int] = []

    def job_of(number: int) -> Callable[[], Callable[[], None]]:
        def job() -> Callable[[], None]:
            most.append(len(pool.alive))
            return lambda: done.append(number)

        return job

    def hand_out(start: int) -> None:
        for number in range(start, start + 500):
            pool.submit(job_of(number))
            if number % 7 == 0:
                time.sleep(0.0005)  # for threads to end
            if number % 50 == 0:
                pool.close()

    givers = [threading.Thread(target=hand_out, args=(start,)) for start in range(0, 2000, 500)]
    for giver in givers:
        giver.start()
    for giver in givers:
        giver.join()
    wait_until(lambda: len(done) == 2000)
    assert sorted(done) == list(range(2000)) and max(most) <= 3
    wait_until(lambda: not pool.alive)


def test_context_variables_reach_the_work() -> None:
    import contextvars

    name: "contextvars.ContextVar[str]" = contextvars.ContextVar("name", default="none")

    class Spy(openai.HTTPTransport):
        def send(self, request: openai.HTTPRequest) -> openai.HTTPResponse:
            seen.append(name.get())
            return super().send(request)

    async def main(client: AsyncOpenAI) -> None:
        name.set("of the task")
        await client.models.retrieve("m")

    seen: List[str] = []
    with RawServer(answer({"id": "m"})) as server:
        asyncio.run(main(async_client_of(server, http_client=Spy())))
    assert seen == ["of the task"]


def test_nothing_is_said_about_tasks_that_were_dropped() -> None:
    """No 'exception was never retrieved', no 'loop is closed' from a thread."""
    program = """
import asyncio, sys, openai_lite
async def main():
    client = openai_lite.AsyncOpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
    tasks = [asyncio.ensure_future(client.models.retrieve("m")) for _ in range(4)]
    await asyncio.sleep(0.3)
asyncio.run(main())
"""
    with RawServer(*[slow(1)] * 4) as server:
        done = python("-X", "dev", "-c", program, server.url)
    assert (done.returncode, done.stderr) == (0, "")


########################################################################
## 8. Resources
########################################################################

# One row per endpoint: dotted name, arguments, verb and target, body (or None), fixed headers.
Row = Tuple[str, Dict[str, Any], str, Optional[str], Dict[str, str]]
JSON_TYPE = {"content-type": "application/json", "accept": "application/json"}
NO_BODY = {"accept": "application/json"}
V2 = {"openai-beta": "assistants=v2"}
V2_JSON = dict(JSON_TYPE, **V2)
HI = [{"role": "user", "content": "hi"}]

ROWS: List[Row] = [
    ("responses.create", {"model": "m", "input": "hi", "stream": False}, "POST /responses",
     '{"model":"m","stream":false,"input":"hi"}', JSON_TYPE),
    ("responses.retrieve", {"response_id": "r/1", "include": ["message.input_image.image_url"]},
     "GET /responses/r%2F1?include%5B%5D=message.input_image.image_url", None, NO_BODY),
    ("responses.delete", {"response_id": "r"}, "DELETE /responses/r", None, {"accept": "*/*"}),
    ("responses.cancel", {"response_id": "r"}, "POST /responses/r/cancel", "", NO_BODY),
    ("responses.compact", {"model": "m", "input": "hi"}, "POST /responses/compact",
     '{"model":"m","input":"hi"}', JSON_TYPE),
    ("responses.input_items.list", {"response_id": "r", "limit": 2, "order": "asc"},
     "GET /responses/r/input_items?limit=2&order=asc", None, NO_BODY),
    ("responses.input_tokens.count", {"model": "m", "input": "hi"}, "POST /responses/input_tokens",
     '{"model":"m","input":"hi"}', JSON_TYPE),
    ("chat.completions.create", {"model": "m", "messages": HI, "stream": False, "n": 2},
     "POST /chat/completions",
     '{"model":"m","stream":false,"messages":[{"role":"user","content":"hi"}],"n":2}', JSON_TYPE),
    ("chat.completions.retrieve", {"completion_id": "c"}, "GET /chat/completions/c", None, NO_BODY),
    ("chat.completions.update", {"completion_id": "c", "metadata": {"a": "b"}},
     "POST /chat/completions/c", '{"metadata":{"a":"b"}}', JSON_TYPE),
    ("chat.completions.list", {"model": "m", "metadata": {"a": "b"}, "after": "c"},
     "GET /chat/completions?after=c&metadata%5Ba%5D=b&model=m", None, NO_BODY),
    ("chat.completions.delete", {"completion_id": "c"}, "DELETE /chat/completions/c", None,
     NO_BODY),
    ("chat.completions.messages.list", {"completion_id": "c", "limit": 1},
     "GET /chat/completions/c/messages?limit=1", None, NO_BODY),
    ("completions.create", {"model": "m", "prompt": ["a", "b"], "echo": True}, "POST /completions",
     '{"model":"m","prompt":["a","b"],"echo":true}', JSON_TYPE),
    ("embeddings.create", {"model": "m", "input": "hi", "encoding_format": "float"},
     "POST /embeddings", '{"model":"m","input":"hi","encoding_format":"float"}', JSON_TYPE),
    ("moderations.create", {"input": ["hi"], "model": "m"}, "POST /moderations",
     '{"model":"m","input":["hi"]}', JSON_TYPE),
    ("models.retrieve", {"model": "ft:gpt:org::1"}, "GET /models/ft:gpt:org::1", None, NO_BODY),
    ("models.list", {}, "GET /models", None, NO_BODY),
    ("models.delete", {"model": "m"}, "DELETE /models/m", None, NO_BODY),
    ("files.create",
     {"file": ("a.txt", b"data"), "purpose": "batch",
      "expires_after": {"anchor": "created_at", "seconds": 3600}},
     "POST /files",
     "form purpose=batch expires_after[anchor]=created_at expires_after[seconds]=3600 file=data",
     {"accept": "application/json"}),
    ("files.retrieve", {"file_id": "f"}, "GET /files/f", None, NO_BODY),
    ("files.list", {"purpose": "batch", "limit": 3, "order": "desc", "after": "f"},
     "GET /files?after=f&limit=3&order=desc&purpose=batch", None, NO_BODY),
    ("files.delete", {"file_id": "f"}, "DELETE /files/f", None, NO_BODY),
    ("files.content", {"file_id": "f"}, "GET /files/f/content", None,
     {"accept": "application/binary"}),
    ("files.retrieve_content", {"file_id": "f"}, "GET /files/f/content", None, NO_BODY),
    ("batches.create",
     {"completion_window": "24h", "endpoint": "/v1/responses", "input_file_id": "f",
      "metadata": {"a": "b"}},
     "POST /batches",
     '{"completion_window":"24h","endpoint":"/v1/responses","input_file_id":"f",'
     '"metadata":{"a":"b"}}', JSON_TYPE),
    ("batches.retrieve", {"batch_id": "b"}, "GET /batches/b", None, NO_BODY),
    ("batches.list", {"after": "b", "limit": 1}, "GET /batches?after=b&limit=1", None, NO_BODY),
    ("batches.cancel", {"batch_id": "b"}, "POST /batches/b/cancel", "", NO_BODY),
    ("fine_tuning.jobs.create", {"model": "m", "training_file": "f", "metadata": {"a": "b"}},
     "POST /fine_tuning/jobs", '{"model":"m","training_file":"f","metadata":{"a":"b"}}', JSON_TYPE),
    ("fine_tuning.jobs.retrieve", {"fine_tuning_job_id": "f"}, "GET /fine_tuning/jobs/f", None,
     NO_BODY),
    ("fine_tuning.jobs.list", {"limit": 3, "metadata": {"a": "b"}},
     "GET /fine_tuning/jobs?limit=3&metadata%5Ba%5D=b", None, NO_BODY),
    ("fine_tuning.jobs.cancel", {"fine_tuning_job_id": "f"}, "POST /fine_tuning/jobs/f/cancel", "",
     NO_BODY),
    ("fine_tuning.jobs.list_events", {"fine_tuning_job_id": "f", "limit": 3},
     "GET /fine_tuning/jobs/f/events?limit=3", None, NO_BODY),
    ("fine_tuning.jobs.pause", {"fine_tuning_job_id": "f"}, "POST /fine_tuning/jobs/f/pause", "",
     NO_BODY),
    ("fine_tuning.jobs.resume", {"fine_tuning_job_id": "f"}, "POST /fine_tuning/jobs/f/resume", "",
     NO_BODY),
    ("fine_tuning.jobs.checkpoints.list", {"fine_tuning_job_id": "f", "limit": 3},
     "GET /fine_tuning/jobs/f/checkpoints?limit=3", None, NO_BODY),
    ("fine_tuning.checkpoints.permissions.create",
     {"fine_tuned_model_checkpoint": "f", "project_ids": ["p"]},
     "POST /fine_tuning/checkpoints/f/permissions", '{"project_ids":["p"]}', JSON_TYPE),
    ("fine_tuning.checkpoints.permissions.retrieve",
     {"fine_tuned_model_checkpoint": "f", "limit": 3, "order": "ascending"},
     "GET /fine_tuning/checkpoints/f/permissions?limit=3&order=ascending", None, NO_BODY),
    ("fine_tuning.checkpoints.permissions.list",
     {"fine_tuned_model_checkpoint": "f", "limit": 3, "order": "ascending"},
     "GET /fine_tuning/checkpoints/f/permissions?limit=3&order=ascending", None, NO_BODY),
    ("fine_tuning.checkpoints.permissions.delete",
     {"permission_id": "p", "fine_tuned_model_checkpoint": "f"},
     "DELETE /fine_tuning/checkpoints/f/permissions/p", None, NO_BODY),
    ("fine_tuning.alpha.graders.run",
     {"grader": {"type": "x"}, "model_sample": "s", "item": {"a": 1}},
     "POST /fine_tuning/alpha/graders/run",
     '{"grader":{"type":"x"},"model_sample":"s","item":{"a":1}}', JSON_TYPE),
    ("fine_tuning.alpha.graders.validate", {"grader": {"type": "x"}},
     "POST /fine_tuning/alpha/graders/validate", '{"grader":{"type":"x"}}', JSON_TYPE),
    ("images.create_variation", {"image": ("a.txt", b"data"), "n": 3}, "POST /images/variations",
     "form n=3 image=data", NO_BODY),
    ("images.edit",
     {"image": ("a.txt", b"data"), "prompt": "hi", "mask": ("a.txt", b"data"), "n": 3,
      "stream": False}, "POST /images/edits",
     "form prompt=hi n=3 stream=false image=data mask=data", NO_BODY),
    ("images.generate", {"prompt": "hi", "model": "m", "n": 3, "stream": False},
     "POST /images/generations", '{"model":"m","stream":false,"prompt":"hi","n":3}', JSON_TYPE),
    ("audio.speech.create", {"input": "hi", "model": "m", "voice": "alloy", "speed": 0.5},
     "POST /audio/speech", '{"model":"m","input":"hi","voice":"alloy","speed":0.5}',
     {"content-type": "application/json", "accept": "application/octet-stream"}),
    ("audio.transcriptions.create",
     {"file": ("a.txt", b"data"), "model": "m", "language": "en", "response_format": "json",
      "timestamp_granularities": ["word"], "stream": False}, "POST /audio/transcriptions",
     "form model=m language=en response_format=json stream=false timestamp_granularities[]=word "
     "file=data", NO_BODY),
    ("audio.translations.create", {"file": ("a.txt", b"data"), "model": "m", "prompt": "hi"},
     "POST /audio/translations", "form model=m prompt=hi file=data", NO_BODY),
    ("audio.voices.create", {"name": "n", "type": "prompt", "prompt": "hi"}, "POST /audio/voices",
     "form name=n type=prompt prompt=hi", NO_BODY),
    ("audio.voices.delete", {"voice_id": "v"}, "DELETE /audio/voices/v", None, NO_BODY),
    ("audio.voice_consents.create",
     {"language": "en", "name": "n", "recording": ("a.txt", b"data")}, "POST /audio/voice_consents",
     "form language=en name=n recording=data", NO_BODY),
    ("audio.voice_consents.retrieve", {"consent_id": "c"}, "GET /audio/voice_consents/c", None,
     NO_BODY),
    ("audio.voice_consents.update", {"consent_id": "c", "name": "n"},
     "POST /audio/voice_consents/c", '{"name":"n"}', JSON_TYPE),
    ("audio.voice_consents.list", {"limit": 3}, "GET /audio/voice_consents?limit=3", None, NO_BODY),
    ("audio.voice_consents.delete", {"consent_id": "c"}, "DELETE /audio/voice_consents/c", None,
     NO_BODY),
    ("uploads.create",
     {"bytes": 3, "filename": "a.txt", "mime_type": "text/plain", "purpose": "assistants",
      "expires_after": {"type": "x"}}, "POST /uploads",
     '{"bytes":3,"filename":"a.txt","mime_type":"text/plain","purpose":"assistants",'
     '"expires_after":{"type":"x"}}', JSON_TYPE),
    ("uploads.cancel", {"upload_id": "u"}, "POST /uploads/u/cancel", "", NO_BODY),
    ("uploads.complete", {"upload_id": "u", "part_ids": ["p"], "md5": "m"},
     "POST /uploads/u/complete", '{"part_ids":["p"],"md5":"m"}', JSON_TYPE),
    ("uploads.parts.create", {"upload_id": "u", "data": ("a.txt", b"data")},
     "POST /uploads/u/parts", "form data=data", NO_BODY),
    ("vector_stores.create", {"file_ids": ["f"], "name": "n"}, "POST /vector_stores",
     '{"file_ids":["f"],"name":"n"}', V2_JSON),
    ("vector_stores.retrieve", {"vector_store_id": "v"}, "GET /vector_stores/v", None, V2),
    ("vector_stores.update", {"vector_store_id": "v", "metadata": {"a": "b"}},
     "POST /vector_stores/v", '{"metadata":{"a":"b"}}', V2_JSON),
    ("vector_stores.list", {"limit": 3, "order": "asc"}, "GET /vector_stores?limit=3&order=asc",
     None, V2),
    ("vector_stores.delete", {"vector_store_id": "v"}, "DELETE /vector_stores/v", None, V2),
    ("vector_stores.search", {"vector_store_id": "v", "query": "hi", "max_num_results": 3},
     "POST /vector_stores/v/search", '{"query":"hi","max_num_results":3}', V2_JSON),
    ("vector_stores.files.create",
     {"vector_store_id": "v", "file_id": "f", "attributes": {"a": "b"}},
     "POST /vector_stores/v/files", '{"file_id":"f","attributes":{"a":"b"}}', V2_JSON),
    ("vector_stores.files.retrieve", {"file_id": "f", "vector_store_id": "v"},
     "GET /vector_stores/v/files/f", None, V2),
    ("vector_stores.files.update",
     {"file_id": "f", "vector_store_id": "v", "attributes": {"a": "b"}},
     "POST /vector_stores/v/files/f", '{"attributes":{"a":"b"}}', V2_JSON),
    ("vector_stores.files.list", {"vector_store_id": "v", "limit": 3, "order": "asc"},
     "GET /vector_stores/v/files?limit=3&order=asc", None, V2),
    ("vector_stores.files.delete", {"file_id": "f", "vector_store_id": "v"},
     "DELETE /vector_stores/v/files/f", None, V2),
    ("vector_stores.files.content", {"file_id": "f", "vector_store_id": "v"},
     "GET /vector_stores/v/files/f/content", None, V2),
    ("vector_stores.file_batches.create", {"vector_store_id": "v", "attributes": {"a": "b"}},
     "POST /vector_stores/v/file_batches", '{"attributes":{"a":"b"}}', V2_JSON),
    ("vector_stores.file_batches.retrieve", {"batch_id": "b", "vector_store_id": "v"},
     "GET /vector_stores/v/file_batches/b", None, V2),
    ("vector_stores.file_batches.cancel", {"batch_id": "b", "vector_store_id": "v"},
     "POST /vector_stores/v/file_batches/b/cancel", "", V2),
    ("vector_stores.file_batches.list_files",
     {"batch_id": "b", "vector_store_id": "v", "limit": 3, "order": "asc"},
     "GET /vector_stores/v/file_batches/b/files?limit=3&order=asc", None, V2),
    ("conversations.create", {"metadata": {"a": "b"}}, "POST /conversations",
     '{"metadata":{"a":"b"}}', JSON_TYPE),
    ("conversations.retrieve", {"conversation_id": "c"}, "GET /conversations/c", None, NO_BODY),
    ("conversations.update", {"conversation_id": "c", "metadata": {"a": "b"}},
     "POST /conversations/c", '{"metadata":{"a":"b"}}', JSON_TYPE),
    ("conversations.delete", {"conversation_id": "c"}, "DELETE /conversations/c", None, NO_BODY),
    ("conversations.items.create",
     {"conversation_id": "c", "items": [{"type": "x"}], "include": ["file_search_call.results"]},
     "POST /conversations/c/items?include%5B%5D=file_search_call.results",
     '{"items":[{"type":"x"}]}', JSON_TYPE),
    ("conversations.items.retrieve",
     {"item_id": "i", "conversation_id": "c", "include": ["file_search_call.results"]},
     "GET /conversations/c/items/i?include%5B%5D=file_search_call.results", None, NO_BODY),
    ("conversations.items.list", {"conversation_id": "c", "limit": 3, "order": "asc"},
     "GET /conversations/c/items?limit=3&order=asc", None, NO_BODY),
    ("conversations.items.delete", {"item_id": "i", "conversation_id": "c"},
     "DELETE /conversations/c/items/i", None, NO_BODY),
    ("containers.create", {"name": "n", "expires_after": {"type": "x"}}, "POST /containers",
     '{"name":"n","expires_after":{"type":"x"}}', JSON_TYPE),
    ("containers.retrieve", {"container_id": "c"}, "GET /containers/c", None, NO_BODY),
    ("containers.list", {"limit": 3, "order": "asc"}, "GET /containers?limit=3&order=asc", None,
     NO_BODY),
    ("containers.delete", {"container_id": "c"}, "DELETE /containers/c", None, {"accept": "*/*"}),
    ("containers.files.create", {"container_id": "c", "file": ("a.txt", b"data")},
     "POST /containers/c/files", "form file=data", NO_BODY),
    ("containers.files.retrieve", {"file_id": "f", "container_id": "c"},
     "GET /containers/c/files/f", None, NO_BODY),
    ("containers.files.list", {"container_id": "c", "limit": 3, "order": "asc"},
     "GET /containers/c/files?limit=3&order=asc", None, NO_BODY),
    ("containers.files.delete", {"file_id": "f", "container_id": "c"},
     "DELETE /containers/c/files/f", None, {"accept": "*/*"}),
    ("containers.files.content.retrieve", {"file_id": "f", "container_id": "c"},
     "GET /containers/c/files/f/content", None, {"accept": "application/binary"}),
    ("videos.create", {"prompt": "hi", "input_reference": ("a.txt", b"data"), "seconds": "4"},
     "POST /videos", "form prompt=hi seconds=4 input_reference=data", NO_BODY),
    ("videos.retrieve", {"video_id": "v"}, "GET /videos/v", None, NO_BODY),
    ("videos.list", {"limit": 3, "order": "asc"}, "GET /videos?limit=3&order=asc", None, NO_BODY),
    ("videos.delete", {"video_id": "v"}, "DELETE /videos/v", None, NO_BODY),
    ("videos.create_character", {"name": "n", "video": ("a.txt", b"data")},
     "POST /videos/characters", "form name=n video=data", NO_BODY),
    ("videos.download_content", {"video_id": "v", "variant": "video"},
     "GET /videos/v/content?variant=video", None, {"accept": "application/binary"}),
    ("videos.edit", {"prompt": "hi", "video": ("a.txt", b"data")}, "POST /videos/edits",
     "form prompt=hi video=data", NO_BODY),
    ("videos.extend", {"prompt": "hi", "seconds": "4", "video": ("a.txt", b"data")},
     "POST /videos/extensions", "form prompt=hi seconds=4 video=data", NO_BODY),
    ("videos.get_character", {"character_id": "c"}, "GET /videos/characters/c", None, NO_BODY),
    ("videos.remix", {"video_id": "v", "prompt": "hi"}, "POST /videos/v/remix", '{"prompt":"hi"}',
     JSON_TYPE),
    ("evals.create",
     {"data_source_config": {"type": "x"}, "testing_criteria": [{"type": "x"}],
      "metadata": {"a": "b"}}, "POST /evals",
     '{"data_source_config":{"type":"x"},"testing_criteria":[{"type":"x"}],"metadata":{"a":"b"}}',
     JSON_TYPE),
    ("evals.retrieve", {"eval_id": "e"}, "GET /evals/e", None, NO_BODY),
    ("evals.update", {"eval_id": "e", "metadata": {"a": "b"}}, "POST /evals/e",
     '{"metadata":{"a":"b"}}', JSON_TYPE),
    ("evals.list", {"limit": 3, "order": "asc"}, "GET /evals?limit=3&order=asc", None, NO_BODY),
    ("evals.delete", {"eval_id": "e"}, "DELETE /evals/e", None, NO_BODY),
    ("evals.runs.create", {"eval_id": "e", "data_source": {"type": "x"}, "metadata": {"a": "b"}},
     "POST /evals/e/runs", '{"data_source":{"type":"x"},"metadata":{"a":"b"}}', JSON_TYPE),
    ("evals.runs.retrieve", {"run_id": "r", "eval_id": "e"}, "GET /evals/e/runs/r", None, NO_BODY),
    ("evals.runs.list", {"eval_id": "e", "limit": 3, "order": "asc"},
     "GET /evals/e/runs?limit=3&order=asc", None, NO_BODY),
    ("evals.runs.delete", {"run_id": "r", "eval_id": "e"}, "DELETE /evals/e/runs/r", None, NO_BODY),
    ("evals.runs.cancel", {"run_id": "r", "eval_id": "e"}, "POST /evals/e/runs/r/cancel", "",
     NO_BODY),
    ("evals.runs.output_items.retrieve", {"output_item_id": "o", "eval_id": "e", "run_id": "r"},
     "GET /evals/e/runs/r/output_items/o", None, NO_BODY),
    ("evals.runs.output_items.list", {"run_id": "r", "eval_id": "e", "limit": 3, "order": "asc"},
     "GET /evals/e/runs/r/output_items?limit=3&order=asc", None, NO_BODY),
    ("webhooks.create", {"event_types": ["batch.completed"], "name": "n", "url": "https://x.test"},
     "POST /webhook_endpoints",
     '{"event_types":["batch.completed"],"name":"n","url":"https://x.test"}', JSON_TYPE),
    ("webhooks.retrieve", {"webhook_endpoint_id": "w"}, "GET /webhook_endpoints/w", None, NO_BODY),
    ("webhooks.update", {"webhook_endpoint_id": "w", "event_types": ["batch.completed"]},
     "POST /webhook_endpoints/w", '{"event_types":["batch.completed"]}', JSON_TYPE),
    ("webhooks.list", {"limit": 3}, "GET /webhook_endpoints?limit=3", None, NO_BODY),
    ("webhooks.delete", {"webhook_endpoint_id": "w"}, "DELETE /webhook_endpoints/w", None, NO_BODY),
    ("webhooks.rotate_secret",
     {"webhook_endpoint_id": "w", "keep_old_secret_active_for_24_hours": True},
     "POST /webhook_endpoints/w/rotate_secret", '{"keep_old_secret_active_for_24_hours":true}',
     JSON_TYPE),
    ("webhooks.test", {"webhook_endpoint_id": "w", "event_type": "batch.completed"},
     "POST /webhook_endpoints/w/test", '{"event_type":"batch.completed"}', JSON_TYPE),
    ("webhooks.event_types.list", {}, "GET /webhook_event_types", None, NO_BODY),
    ("beta.assistants.create", {"model": "m", "description": "d", "metadata": {"a": "b"}},
     "POST /assistants", '{"model":"m","description":"d","metadata":{"a":"b"}}', V2_JSON),
    ("beta.assistants.retrieve", {"assistant_id": "a"}, "GET /assistants/a", None, V2),
    ("beta.assistants.update", {"assistant_id": "a", "description": "d", "metadata": {"a": "b"}},
     "POST /assistants/a", '{"description":"d","metadata":{"a":"b"}}', V2_JSON),
    ("beta.assistants.list", {"limit": 3, "order": "asc"}, "GET /assistants?limit=3&order=asc",
     None, V2),
    ("beta.assistants.delete", {"assistant_id": "a"}, "DELETE /assistants/a", None, V2),
    ("beta.threads.create", {"metadata": {"a": "b"}}, "POST /threads", '{"metadata":{"a":"b"}}',
     V2_JSON),
    ("beta.threads.retrieve", {"thread_id": "t"}, "GET /threads/t", None, V2),
    ("beta.threads.update", {"thread_id": "t", "metadata": {"a": "b"}}, "POST /threads/t",
     '{"metadata":{"a":"b"}}', V2_JSON),
    ("beta.threads.delete", {"thread_id": "t"}, "DELETE /threads/t", None, V2),
    ("beta.threads.create_and_run", {"assistant_id": "a", "metadata": {"a": "b"}, "stream": False},
     "POST /threads/runs", '{"stream":false,"assistant_id":"a","metadata":{"a":"b"}}', V2_JSON),
    ("beta.threads.messages.create",
     {"thread_id": "t", "content": "c", "role": "user", "metadata": {"a": "b"}},
     "POST /threads/t/messages", '{"content":"c","role":"user","metadata":{"a":"b"}}', V2_JSON),
    ("beta.threads.messages.retrieve", {"message_id": "m", "thread_id": "t"},
     "GET /threads/t/messages/m", None, V2),
    ("beta.threads.messages.update", {"message_id": "m", "thread_id": "t", "metadata": {"a": "b"}},
     "POST /threads/t/messages/m", '{"metadata":{"a":"b"}}', V2_JSON),
    ("beta.threads.messages.list", {"thread_id": "t", "limit": 3, "order": "asc"},
     "GET /threads/t/messages?limit=3&order=asc", None, V2),
    ("beta.threads.messages.delete", {"message_id": "m", "thread_id": "t"},
     "DELETE /threads/t/messages/m", None, V2),
    ("beta.threads.runs.create",
     {"thread_id": "t", "assistant_id": "a",
      "include": ["step_details.tool_calls[*].file_search.results[*].content"], "model": "m",
      "stream": False},
     "POST /threads/t/runs?"
     "include%5B%5D=step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content",
     '{"model":"m","stream":false,"assistant_id":"a"}', V2_JSON),
    ("beta.threads.runs.retrieve", {"run_id": "r", "thread_id": "t"}, "GET /threads/t/runs/r", None,
     V2),
    ("beta.threads.runs.update", {"run_id": "r", "thread_id": "t", "metadata": {"a": "b"}},
     "POST /threads/t/runs/r", '{"metadata":{"a":"b"}}', V2_JSON),
    ("beta.threads.runs.list", {"thread_id": "t", "limit": 3, "order": "asc"},
     "GET /threads/t/runs?limit=3&order=asc", None, V2),
    ("beta.threads.runs.cancel", {"run_id": "r", "thread_id": "t"}, "POST /threads/t/runs/r/cancel",
     "", V2),
    ("beta.threads.runs.submit_tool_outputs",
     {"run_id": "r", "thread_id": "t", "tool_outputs": [{"type": "x"}], "stream": False},
     "POST /threads/t/runs/r/submit_tool_outputs", '{"stream":false,"tool_outputs":[{"type":"x"}]}',
     V2_JSON),
    ("beta.threads.runs.steps.retrieve",
     {"step_id": "s", "thread_id": "t", "run_id": "r",
      "include": ["step_details.tool_calls[*].file_search.results[*].content"]},
     "GET /threads/t/runs/r/steps/s?"
     "include%5B%5D=step_details.tool_calls%5B%2A%5D.file_search.results%5B%2A%5D.content", None,
     V2),
    ("beta.threads.runs.steps.list", {"run_id": "r", "thread_id": "t", "limit": 3, "order": "asc"},
     "GET /threads/t/runs/r/steps?limit=3&order=asc", None, V2),
]
ROWS += [
    ("chat.completions.parse", {"model": "m", "messages": []}, "POST /chat/completions",
     '{"model":"m","stream":false,"messages":[]}',
     {"x-stainless-helper-method": "chat.completions.parse"}),
    ("responses.parse", {"model": "m", "input": "x"}, "POST /responses",
     '{"model":"m","input":"x"}', JSON_TYPE),
]
ROWS += [("beta." + row[0], *row[1:]) for row in ROWS if row[0][:5] == "chat."]

ANY, BINARY = {"accept": "*/*"}, {"accept": "application/binary"}
AGENTS, CHATKIT = {"openai-beta": "agents=v1"}, {"openai-beta": "chatkit_beta=v1"}
ROWS += [
    ("admin.organization.admin_api_keys.create", {"name": "x"}, "POST /organization/admin_api_keys",
     '{"name":"x"}', JSON_TYPE),
    ("admin.organization.admin_api_keys.delete", {"key_id": "k"},
     "DELETE /organization/admin_api_keys/k", None, NO_BODY),
    ("admin.organization.admin_api_keys.list", {"limit": 3},
     "GET /organization/admin_api_keys?limit=3", None, NO_BODY),
    ("admin.organization.admin_api_keys.retrieve", {"key_id": "k"},
     "GET /organization/admin_api_keys/k", None, NO_BODY),
    ("admin.organization.audit_logs.list", {"limit": 3}, "GET /organization/audit_logs?limit=3",
     None, NO_BODY),
    ("admin.organization.certificates.activate", {"certificate_ids": ["a"]},
     "POST /organization/certificates/activate", '{"certificate_ids":["a"]}', JSON_TYPE),
    ("admin.organization.certificates.create", {"certificate": "x"},
     "POST /organization/certificates", '{"certificate":"x"}', JSON_TYPE),
    ("admin.organization.certificates.deactivate", {"certificate_ids": ["a"]},
     "POST /organization/certificates/deactivate", '{"certificate_ids":["a"]}', JSON_TYPE),
    ("admin.organization.certificates.delete", {"certificate_id": "c"},
     "DELETE /organization/certificates/c", None, NO_BODY),
    ("admin.organization.certificates.list", {"limit": 3}, "GET /organization/certificates?limit=3",
     None, NO_BODY),
    ("admin.organization.certificates.retrieve", {"certificate_id": "c", "include": ["content"]},
     "GET /organization/certificates/c?include%5B%5D=content", None, NO_BODY),
    ("admin.organization.certificates.update", {"certificate_id": "c", "name": "x"},
     "POST /organization/certificates/c", '{"name":"x"}', JSON_TYPE),
    ("admin.organization.data_retention.retrieve", {}, "GET /organization/data_retention", None,
     NO_BODY),
    ("admin.organization.data_retention.update", {"retention_type": "zero_data_retention"},
     "POST /organization/data_retention", '{"retention_type":"zero_data_retention"}', JSON_TYPE),
    ("admin.organization.external_keys.create", {"name": "x", "type": "aws"},
     "POST /organization/external_keys", '{"name":"x","type":"aws"}', JSON_TYPE),
    ("admin.organization.external_keys.delete", {"external_key_id": "e"},
     "DELETE /organization/external_keys/e", None, NO_BODY),
    ("admin.organization.external_keys.list", {"limit": 3},
     "GET /organization/external_keys?limit=3", None, NO_BODY),
    ("admin.organization.external_keys.retrieve", {"external_key_id": "e"},
     "GET /organization/external_keys/e", None, NO_BODY),
    ("admin.organization.external_keys.validate", {"external_key_id": "e"},
     "POST /organization/external_keys/e/validate", "", NO_BODY),
    ("admin.organization.external_storage.create", {"project_id": "x", "provider": {"a": 1}},
     "POST /organization/external_storage", '{"project_id":"x","provider":{"a":1}}', JSON_TYPE),
    ("admin.organization.external_storage.delete", {"external_storage_id": "e"},
     "DELETE /organization/external_storage/e", None, NO_BODY),
    ("admin.organization.external_storage.list", {"limit": 3},
     "GET /organization/external_storage?limit=3", None, NO_BODY),
    ("admin.organization.external_storage.retrieve", {"external_storage_id": "e"},
     "GET /organization/external_storage/e", None, NO_BODY),
    ("admin.organization.external_storage.validate", {"external_storage_id": "e"},
     "POST /organization/external_storage/e/validate", "", NO_BODY),
    ("admin.organization.groups.create", {"name": "x"}, "POST /organization/groups", '{"name":"x"}',
     JSON_TYPE),
    ("admin.organization.groups.delete", {"group_id": "g"}, "DELETE /organization/groups/g", None,
     NO_BODY),
    ("admin.organization.groups.list", {"limit": 3}, "GET /organization/groups?limit=3", None,
     NO_BODY),
    ("admin.organization.groups.retrieve", {"group_id": "g"}, "GET /organization/groups/g", None,
     NO_BODY),
    ("admin.organization.groups.roles.create", {"group_id": "g", "role_id": "x"},
     "POST /organization/groups/g/roles", '{"role_id":"x"}', JSON_TYPE),
    ("admin.organization.groups.roles.delete", {"role_id": "r", "group_id": "g"},
     "DELETE /organization/groups/g/roles/r", None, NO_BODY),
    ("admin.organization.groups.roles.list", {"group_id": "g", "limit": 3},
     "GET /organization/groups/g/roles?limit=3", None, NO_BODY),
    ("admin.organization.groups.roles.retrieve", {"role_id": "r", "group_id": "g"},
     "GET /organization/groups/g/roles/r", None, NO_BODY),
    ("admin.organization.groups.update", {"group_id": "g", "name": "x"},
     "POST /organization/groups/g", '{"name":"x"}', JSON_TYPE),
    ("admin.organization.groups.users.create", {"group_id": "g", "user_id": "x"},
     "POST /organization/groups/g/users", '{"user_id":"x"}', JSON_TYPE),
    ("admin.organization.groups.users.delete", {"user_id": "u", "group_id": "g"},
     "DELETE /organization/groups/g/users/u", None, NO_BODY),
    ("admin.organization.groups.users.list", {"group_id": "g", "limit": 3},
     "GET /organization/groups/g/users?limit=3", None, NO_BODY),
    ("admin.organization.groups.users.retrieve", {"user_id": "u", "group_id": "g"},
     "GET /organization/groups/g/users/u", None, NO_BODY),
    ("admin.organization.invites.create", {"email": "x", "role": "reader"},
     "POST /organization/invites", '{"email":"x","role":"reader"}', JSON_TYPE),
    ("admin.organization.invites.delete", {"invite_id": "i"}, "DELETE /organization/invites/i",
     None, NO_BODY),
    ("admin.organization.invites.list", {"limit": 3}, "GET /organization/invites?limit=3", None,
     NO_BODY),
    ("admin.organization.invites.retrieve", {"invite_id": "i"}, "GET /organization/invites/i", None,
     NO_BODY),
    ("admin.organization.projects.api_keys.delete", {"api_key_id": "a", "project_id": "p"},
     "DELETE /organization/projects/p/api_keys/a", None, NO_BODY),
    ("admin.organization.projects.api_keys.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/api_keys?limit=3", None, NO_BODY),
    ("admin.organization.projects.api_keys.retrieve", {"api_key_id": "a", "project_id": "p"},
     "GET /organization/projects/p/api_keys/a", None, NO_BODY),
    ("admin.organization.projects.api_keys.update",
     {"api_key_id": "a", "project_id": "p", "expires_in_seconds": 3},
     "POST /organization/projects/p/api_keys/a", '{"expires_in_seconds":3}', JSON_TYPE),
    ("admin.organization.projects.archive", {"project_id": "p"},
     "POST /organization/projects/p/archive", "", NO_BODY),
    ("admin.organization.projects.certificates.activate",
     {"project_id": "p", "certificate_ids": ["a"]},
     "POST /organization/projects/p/certificates/activate", '{"certificate_ids":["a"]}', JSON_TYPE),
    ("admin.organization.projects.certificates.deactivate",
     {"project_id": "p", "certificate_ids": ["a"]},
     "POST /organization/projects/p/certificates/deactivate", '{"certificate_ids":["a"]}',
     JSON_TYPE),
    ("admin.organization.projects.certificates.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/certificates?limit=3", None, NO_BODY),
    ("admin.organization.projects.create", {"name": "x"}, "POST /organization/projects",
     '{"name":"x"}', JSON_TYPE),
    ("admin.organization.projects.data_retention.retrieve", {"project_id": "p"},
     "GET /organization/projects/p/data_retention", None, NO_BODY),
    ("admin.organization.projects.data_retention.update",
     {"project_id": "p", "retention_type": "organization_default"},
     "POST /organization/projects/p/data_retention", '{"retention_type":"organization_default"}',
     JSON_TYPE),
    ("admin.organization.projects.groups.create", {"project_id": "p", "group_id": "x", "role": "x"},
     "POST /organization/projects/p/groups", '{"group_id":"x","role":"x"}', JSON_TYPE),
    ("admin.organization.projects.groups.delete", {"group_id": "g", "project_id": "p"},
     "DELETE /organization/projects/p/groups/g", None, NO_BODY),
    ("admin.organization.projects.groups.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/groups?limit=3", None, NO_BODY),
    ("admin.organization.projects.groups.retrieve", {"group_id": "g", "project_id": "p"},
     "GET /organization/projects/p/groups/g", None, NO_BODY),
    ("admin.organization.projects.groups.roles.create",
     {"group_id": "g", "project_id": "p", "role_id": "x"}, "POST /projects/p/groups/g/roles",
     '{"role_id":"x"}', JSON_TYPE),
    ("admin.organization.projects.groups.roles.delete",
     {"role_id": "r", "project_id": "p", "group_id": "g"}, "DELETE /projects/p/groups/g/roles/r",
     None, NO_BODY),
    ("admin.organization.projects.groups.roles.list",
     {"group_id": "g", "project_id": "p", "limit": 3}, "GET /projects/p/groups/g/roles?limit=3",
     None, NO_BODY),
    ("admin.organization.projects.groups.roles.retrieve",
     {"role_id": "r", "project_id": "p", "group_id": "g"}, "GET /projects/p/groups/g/roles/r", None,
     NO_BODY),
    ("admin.organization.projects.hosted_tool_permissions.retrieve", {"project_id": "p"},
     "GET /organization/projects/p/hosted_tool_permissions", None, NO_BODY),
    ("admin.organization.projects.hosted_tool_permissions.update",
     {"project_id": "p", "code_interpreter": {"a": 1}},
     "POST /organization/projects/p/hosted_tool_permissions", '{"code_interpreter":{"a":1}}',
     JSON_TYPE),
    ("admin.organization.projects.list", {"limit": 3}, "GET /organization/projects?limit=3", None,
     NO_BODY),
    ("admin.organization.projects.model_permissions.delete", {"project_id": "p"},
     "DELETE /organization/projects/p/model_permissions", None, NO_BODY),
    ("admin.organization.projects.model_permissions.retrieve", {"project_id": "p"},
     "GET /organization/projects/p/model_permissions", None, NO_BODY),
    ("admin.organization.projects.model_permissions.update",
     {"project_id": "p", "mode": "allow_list", "model_ids": ["a"]},
     "POST /organization/projects/p/model_permissions", '{"mode":"allow_list","model_ids":["a"]}',
     JSON_TYPE),
    ("admin.organization.projects.rate_limits.list_rate_limits", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/rate_limits?limit=3", None, NO_BODY),
    ("admin.organization.projects.rate_limits.update_rate_limit",
     {"rate_limit_id": "r", "project_id": "p", "batch_1_day_max_input_tokens": 3},
     "POST /organization/projects/p/rate_limits/r", '{"batch_1_day_max_input_tokens":3}',
     JSON_TYPE),
    ("admin.organization.projects.retrieve", {"project_id": "p"}, "GET /organization/projects/p",
     None, NO_BODY),
    ("admin.organization.projects.roles.create",
     {"project_id": "p", "permissions": ["a"], "role_name": "x"}, "POST /projects/p/roles",
     '{"permissions":["a"],"role_name":"x"}', JSON_TYPE),
    ("admin.organization.projects.roles.delete", {"role_id": "r", "project_id": "p"},
     "DELETE /projects/p/roles/r", None, NO_BODY),
    ("admin.organization.projects.roles.list", {"project_id": "p", "limit": 3},
     "GET /projects/p/roles?limit=3", None, NO_BODY),
    ("admin.organization.projects.roles.retrieve", {"role_id": "r", "project_id": "p"},
     "GET /projects/p/roles/r", None, NO_BODY),
    ("admin.organization.projects.roles.update",
     {"role_id": "r", "project_id": "p", "description": "x"}, "POST /projects/p/roles/r",
     '{"description":"x"}', JSON_TYPE),
    ("admin.organization.projects.service_accounts.api_keys.create",
     {"service_account_id": "s", "project_id": "p", "expires_in_seconds": 3},
     "POST /organization/projects/p/service_accounts/s/api_keys", '{"expires_in_seconds":3}',
     JSON_TYPE),
    ("admin.organization.projects.service_accounts.create", {"project_id": "p", "name": "x"},
     "POST /organization/projects/p/service_accounts", '{"name":"x"}', JSON_TYPE),
    ("admin.organization.projects.service_accounts.delete",
     {"service_account_id": "s", "project_id": "p"},
     "DELETE /organization/projects/p/service_accounts/s", None, NO_BODY),
    ("admin.organization.projects.service_accounts.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/service_accounts?limit=3", None, NO_BODY),
    ("admin.organization.projects.service_accounts.retrieve",
     {"service_account_id": "s", "project_id": "p"},
     "GET /organization/projects/p/service_accounts/s", None, NO_BODY),
    ("admin.organization.projects.service_accounts.update",
     {"service_account_id": "s", "project_id": "p", "name": "x"},
     "POST /organization/projects/p/service_accounts/s", '{"name":"x"}', JSON_TYPE),
    ("admin.organization.projects.service_tier_settings.retrieve", {"project_id": "p"},
     "GET /organization/projects/p/service_tier_settings", None, NO_BODY),
    ("admin.organization.projects.service_tier_settings.update",
     {"project_id": "p", "default": "standard"},
     "POST /organization/projects/p/service_tier_settings", '{"default":"standard"}', JSON_TYPE),
    ("admin.organization.projects.spend_alerts.create",
     {"project_id": "p", "currency": "USD", "interval": "month",
      "notification_channel": {"a": 1}, "threshold_amount": 3},
     "POST /organization/projects/p/spend_alerts",
     '{"currency":"USD","interval":"month","notification_channel":{"a":1},"threshold_amount":3}',
     JSON_TYPE),
    ("admin.organization.projects.spend_alerts.delete", {"alert_id": "a", "project_id": "p"},
     "DELETE /organization/projects/p/spend_alerts/a", None, NO_BODY),
    ("admin.organization.projects.spend_alerts.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/spend_alerts?limit=3", None, NO_BODY),
    ("admin.organization.projects.spend_alerts.retrieve", {"alert_id": "a", "project_id": "p"},
     "GET /organization/projects/p/spend_alerts/a", None, NO_BODY),
    ("admin.organization.projects.spend_alerts.update",
     {"alert_id": "a", "project_id": "p", "currency": "USD", "interval": "month",
      "notification_channel": {"a": 1}, "threshold_amount": 3},
     "POST /organization/projects/p/spend_alerts/a",
     '{"currency":"USD","interval":"month","notification_channel":{"a":1},"threshold_amount":3}',
     JSON_TYPE),
    ("admin.organization.projects.spend_limit.delete", {"project_id": "p"},
     "DELETE /organization/projects/p/spend_limit", None, NO_BODY),
    ("admin.organization.projects.spend_limit.retrieve", {"project_id": "p"},
     "GET /organization/projects/p/spend_limit", None, NO_BODY),
    ("admin.organization.projects.spend_limit.update",
     {"project_id": "p", "currency": "USD", "interval": "month", "threshold_amount": 3},
     "POST /organization/projects/p/spend_limit",
     '{"currency":"USD","interval":"month","threshold_amount":3}', JSON_TYPE),
    ("admin.organization.projects.update", {"project_id": "p", "external_key_id": "x"},
     "POST /organization/projects/p", '{"external_key_id":"x"}', JSON_TYPE),
    ("admin.organization.projects.users.create", {"project_id": "p", "role": "x"},
     "POST /organization/projects/p/users", '{"role":"x"}', JSON_TYPE),
    ("admin.organization.projects.users.delete", {"user_id": "u", "project_id": "p"},
     "DELETE /organization/projects/p/users/u", None, NO_BODY),
    ("admin.organization.projects.users.list", {"project_id": "p", "limit": 3},
     "GET /organization/projects/p/users?limit=3", None, NO_BODY),
    ("admin.organization.projects.users.retrieve", {"user_id": "u", "project_id": "p"},
     "GET /organization/projects/p/users/u", None, NO_BODY),
    ("admin.organization.projects.users.roles.create",
     {"user_id": "u", "project_id": "p", "role_id": "x"}, "POST /projects/p/users/u/roles",
     '{"role_id":"x"}', JSON_TYPE),
    ("admin.organization.projects.users.roles.delete",
     {"role_id": "r", "project_id": "p", "user_id": "u"}, "DELETE /projects/p/users/u/roles/r",
     None, NO_BODY),
    ("admin.organization.projects.users.roles.list",
     {"user_id": "u", "project_id": "p", "limit": 3}, "GET /projects/p/users/u/roles?limit=3", None,
     NO_BODY),
    ("admin.organization.projects.users.roles.retrieve",
     {"role_id": "r", "project_id": "p", "user_id": "u"}, "GET /projects/p/users/u/roles/r", None,
     NO_BODY),
    ("admin.organization.projects.users.update", {"user_id": "u", "project_id": "p", "role": "x"},
     "POST /organization/projects/p/users/u", '{"role":"x"}', JSON_TYPE),
    ("admin.organization.roles.create", {"permissions": ["a"], "role_name": "x"},
     "POST /organization/roles", '{"permissions":["a"],"role_name":"x"}', JSON_TYPE),
    ("admin.organization.roles.delete", {"role_id": "r"}, "DELETE /organization/roles/r", None,
     NO_BODY),
    ("admin.organization.roles.list", {"limit": 3}, "GET /organization/roles?limit=3", None,
     NO_BODY),
    ("admin.organization.roles.retrieve", {"role_id": "r"}, "GET /organization/roles/r", None,
     NO_BODY),
    ("admin.organization.roles.update", {"role_id": "r", "description": "x"},
     "POST /organization/roles/r", '{"description":"x"}', JSON_TYPE),
    ("admin.organization.spend_alerts.create",
     {"currency": "USD", "interval": "month", "notification_channel": {"a": 1},
      "threshold_amount": 3},
     "POST /organization/spend_alerts",
     '{"currency":"USD","interval":"month","notification_channel":{"a":1},"threshold_amount":3}',
     JSON_TYPE),
    ("admin.organization.spend_alerts.delete", {"alert_id": "a"},
     "DELETE /organization/spend_alerts/a", None, NO_BODY),
    ("admin.organization.spend_alerts.list", {"limit": 3}, "GET /organization/spend_alerts?limit=3",
     None, NO_BODY),
    ("admin.organization.spend_alerts.retrieve", {"alert_id": "a"},
     "GET /organization/spend_alerts/a", None, NO_BODY),
    ("admin.organization.spend_alerts.update",
     {"alert_id": "a", "currency": "USD", "interval": "month",
      "notification_channel": {"a": 1}, "threshold_amount": 3},
     "POST /organization/spend_alerts/a",
     '{"currency":"USD","interval":"month","notification_channel":{"a":1},"threshold_amount":3}',
     JSON_TYPE),
    ("admin.organization.spend_limit.delete", {}, "DELETE /organization/spend_limit", None,
     NO_BODY),
    ("admin.organization.spend_limit.retrieve", {}, "GET /organization/spend_limit", None, NO_BODY),
    ("admin.organization.spend_limit.update",
     {"currency": "USD", "interval": "month", "threshold_amount": 3},
     "POST /organization/spend_limit", '{"currency":"USD","interval":"month","threshold_amount":3}',
     JSON_TYPE),
    ("admin.organization.usage.audio_speeches",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/audio_speeches?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.audio_transcriptions",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/audio_transcriptions?start_time=3&group_by%5B%5D=project_id&limit=3",
     None, NO_BODY),
    ("admin.organization.usage.code_interpreter_sessions",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage"
     "/code_interpreter_sessions?start_time=3&group_by%5B%5D=project_id&limit=3",
     None, NO_BODY),
    ("admin.organization.usage.completions",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/completions?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.costs", {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/costs?start_time=3&group_by%5B%5D=project_id&limit=3", None, NO_BODY),
    ("admin.organization.usage.decisions",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/decisions?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.embeddings",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/embeddings?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.file_search_calls",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/file_search_calls?start_time=3&group_by%5B%5D=project_id&limit=3",
     None, NO_BODY),
    ("admin.organization.usage.images", {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/images?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.moderations",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/moderations?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.vector_stores",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/vector_stores?start_time=3&group_by%5B%5D=project_id&limit=3", None,
     NO_BODY),
    ("admin.organization.usage.web_search_calls",
     {"start_time": 3, "group_by": ["project_id"], "limit": 3},
     "GET /organization/usage/web_search_calls?start_time=3&group_by%5B%5D=project_id&limit=3",
     None, NO_BODY),
    ("admin.organization.users.delete", {"user_id": "u"}, "DELETE /organization/users/u", None,
     NO_BODY),
    ("admin.organization.users.list", {"limit": 3}, "GET /organization/users?limit=3", None,
     NO_BODY),
    ("admin.organization.users.retrieve", {"user_id": "u"}, "GET /organization/users/u", None,
     NO_BODY),
    ("admin.organization.users.roles.create", {"user_id": "u", "role_id": "x"},
     "POST /organization/users/u/roles", '{"role_id":"x"}', JSON_TYPE),
    ("admin.organization.users.roles.delete", {"role_id": "r", "user_id": "u"},
     "DELETE /organization/users/u/roles/r", None, NO_BODY),
    ("admin.organization.users.roles.list", {"user_id": "u", "limit": 3},
     "GET /organization/users/u/roles?limit=3", None, NO_BODY),
    ("admin.organization.users.roles.retrieve", {"role_id": "r", "user_id": "u"},
     "GET /organization/users/u/roles/r", None, NO_BODY),
    ("admin.organization.users.update", {"user_id": "u", "developer_persona": "x"},
     "POST /organization/users/u", '{"developer_persona":"x"}', JSON_TYPE),
    ("admin.organization.workload_identity_providers.create",
     {"audience": "x", "issuer": "x", "name": "x", "type": "oidc"},
     "POST /organization/workload_identity_providers",
     '{"audience":"x","issuer":"x","name":"x","type":"oidc"}', JSON_TYPE),
    ("admin.organization.workload_identity_providers.delete",
     {"workload_identity_provider_id": "w"}, "DELETE /organization/workload_identity_providers/w",
     None, NO_BODY),
    ("admin.organization.workload_identity_providers.federation_rules.create",
     {"workload_identity_provider_id": "w", "attribute_matchers": {"a": 1}, "project_id": "x",
      "service_account_id": "x"},
     "POST /organization/workload_identity_providers/w/federation_rules",
     '{"attribute_matchers":{"a":1},"project_id":"x","service_account_id":"x"}', JSON_TYPE),
    ("admin.organization.workload_identity_providers.federation_rules.delete",
     {"workload_identity_federation_rule_id": "w", "workload_identity_provider_id": "x"},
     "DELETE /organization/workload_identity_providers/x/federation_rules/w", None, NO_BODY),
    ("admin.organization.workload_identity_providers.federation_rules.list",
     {"workload_identity_provider_id": "w", "limit": 3},
     "GET /organization/workload_identity_providers/w/federation_rules?limit=3", None, NO_BODY),
    ("admin.organization.workload_identity_providers.federation_rules.retrieve",
     {"workload_identity_federation_rule_id": "w", "workload_identity_provider_id": "x"},
     "GET /organization/workload_identity_providers/x/federation_rules/w", None, NO_BODY),
    ("admin.organization.workload_identity_providers.federation_rules.update",
     {"workload_identity_federation_rule_id": "w", "workload_identity_provider_id": "x",
      "attribute_matchers": {"a": 1}},
     "POST /organization/workload_identity_providers/x/federation_rules/w",
     '{"attribute_matchers":{"a":1}}', JSON_TYPE),
    ("admin.organization.workload_identity_providers.list", {"limit": 3},
     "GET /organization/workload_identity_providers?limit=3", None, NO_BODY),
    ("admin.organization.workload_identity_providers.retrieve",
     {"workload_identity_provider_id": "w"}, "GET /organization/workload_identity_providers/w",
     None, NO_BODY),
    ("admin.organization.workload_identity_providers.update",
     {"workload_identity_provider_id": "w", "attribute_transformations": [{"a": 1}]},
     "POST /organization/workload_identity_providers/w", '{"attribute_transformations":[{"a":1}]}',
     JSON_TYPE),
    ("beta.agents.automations.create",
     {"expression": "x", "name": "x", "target": {"a": 1}, "timezone": "x", "type": "periodic"},
     "POST /agents/automations",
     '{"expression":"x","name":"x","target":{"a":1},"timezone":"x","type":"periodic"}', AGENTS),
    ("beta.agents.automations.delete", {"automation_id": "a"}, "DELETE /agents/automations/a", None,
     AGENTS),
    ("beta.agents.automations.invocations.create", {"automation_id": "a"},
     "POST /agents/automations/a/invocations", "", AGENTS),
    ("beta.agents.automations.invocations.list", {"automation_id": "a", "limit": 3},
     "GET /agents/automations/a/invocations?limit=3", None, AGENTS),
    ("beta.agents.automations.invocations.retrieve", {"invocation_id": "i", "automation_id": "a"},
     "GET /agents/automations/a/invocations/i", None, AGENTS),
    ("beta.agents.automations.list", {"limit": 3}, "GET /agents/automations?limit=3", None, AGENTS),
    ("beta.agents.automations.pause", {"automation_id": "a"}, "POST /agents/automations/a/pause",
     "", AGENTS),
    ("beta.agents.automations.resume", {"automation_id": "a"}, "POST /agents/automations/a/resume",
     "", AGENTS),
    ("beta.agents.automations.retrieve", {"automation_id": "a"}, "GET /agents/automations/a", None,
     AGENTS),
    ("beta.agents.automations.update", {"automation_id": "a", "expression": "x"},
     "POST /agents/automations/a", '{"expression":"x"}', AGENTS),
    ("beta.agents.create", {"model": "x"}, "POST /agents", '{"model":"x"}', AGENTS),
    ("beta.agents.delete", {"agent_id": "a"}, "DELETE /agents/a", None, AGENTS),
    ("beta.agents.environments.create", {"environment": {"a": 1}}, "POST /agents/environments",
     '{"environment":{"a":1}}', AGENTS),
    ("beta.agents.environments.files.create",
     {"environment_id": "e", "file_id": "f", "path": "x", "type": "file_id"},
     "POST /agents/environments/e/files", '{"file_id":"f","path":"x","type":"file_id"}', AGENTS),
    ("beta.agents.environments.files.list", {"environment_id": "e", "limit": 3},
     "GET /agents/environments/e/files?limit=3", None, AGENTS),
    ("beta.agents.environments.list", {"limit": 3}, "GET /agents/environments?limit=3", None,
     AGENTS),
    ("beta.agents.environments.retrieve", {"environment_id": "e"}, "GET /agents/environments/e",
     None, AGENTS),
    ("beta.agents.environments.templates.create", {"capability_directories": ["a"]},
     "POST /agents/environments/templates", '{"capability_directories":["a"]}', AGENTS),
    ("beta.agents.environments.templates.delete", {"environment_template_id": "e"},
     "DELETE /agents/environments/templates/e", None, AGENTS),
    ("beta.agents.environments.templates.list", {"limit": 3},
     "GET /agents/environments/templates?limit=3", None, AGENTS),
    ("beta.agents.environments.templates.retrieve", {"environment_template_id": "e"},
     "GET /agents/environments/templates/e", None, AGENTS),
    ("beta.agents.environments.templates.update",
     {"environment_template_id": "e", "capability_directories": ["a"]},
     "POST /agents/environments/templates/e", '{"capability_directories":["a"]}', AGENTS),
    ("beta.agents.list", {"limit": 3}, "GET /agents?limit=3", None, AGENTS),
    ("beta.agents.retrieve", {"agent_id": "a"}, "GET /agents/a", None, AGENTS),
    ("beta.agents.sessions.artifacts.content", {"artifact_id": "a", "session_id": "s"},
     "GET /agents/sessions/s/artifacts/a/content", None,
     {"accept": "application/octet-stream", "openai-beta": "agents=v1"}),
    ("beta.agents.sessions.artifacts.delete", {"artifact_id": "a", "session_id": "s"},
     "DELETE /agents/sessions/s/artifacts/a", None, AGENTS),
    ("beta.agents.sessions.artifacts.list", {"session_id": "s", "limit": 3},
     "GET /agents/sessions/s/artifacts?limit=3", None, AGENTS),
    ("beta.agents.sessions.artifacts.retrieve", {"artifact_id": "a", "session_id": "s"},
     "GET /agents/sessions/s/artifacts/a", None, AGENTS),
    ("beta.agents.sessions.create", {"environment": {"a": 1}, "agent_id": "x"},
     "POST /agents/sessions", '{"environment":{"a":1},"agent_id":"x"}', AGENTS),
    ("beta.agents.sessions.delete", {"session_id": "s"}, "DELETE /agents/sessions/s", None, AGENTS),
    ("beta.agents.sessions.events.create", {"session_id": "s", "events": [{"a": 1}]},
     "POST /agents/sessions/s/events", '{"events":[{"a":1}]}',
     {"accept": "*/*", "openai-beta": "agents=v1"}),
    ("beta.agents.sessions.events.stream", {"session_id": "s"}, "GET /agents/sessions/s/events",
     None, {"accept": "text/event-stream", "openai-beta": "agents=v1"}),
    ("beta.agents.sessions.items.list", {"session_id": "s", "limit": 3},
     "GET /agents/sessions/s/items?limit=3", None, AGENTS),
    ("beta.agents.sessions.list", {"limit": 3}, "GET /agents/sessions?limit=3", None, AGENTS),
    ("beta.agents.sessions.retrieve", {"session_id": "s"}, "GET /agents/sessions/s", None, AGENTS),
    ("beta.agents.sessions.subagents.items.list",
     {"subagent_id": "s", "session_id": "t", "limit": 3},
     "GET /agents/sessions/t/subagents/s/items?limit=3", None, AGENTS),
    ("beta.agents.sessions.subagents.list", {"session_id": "s", "limit": 3},
     "GET /agents/sessions/s/subagents?limit=3", None, AGENTS),
    ("beta.agents.sessions.subagents.retrieve", {"subagent_id": "s", "session_id": "t"},
     "GET /agents/sessions/t/subagents/s", None, AGENTS),
    ("beta.agents.sessions.subagents.turns.items.list",
     {"turn_id": "t", "session_id": "s", "subagent_id": "u", "limit": 3},
     "GET /agents/sessions/s/subagents/u/turns/t/items?limit=3", None, AGENTS),
    ("beta.agents.sessions.subagents.turns.list",
     {"subagent_id": "s", "session_id": "t", "limit": 3},
     "GET /agents/sessions/t/subagents/s/turns?limit=3", None, AGENTS),
    ("beta.agents.sessions.subagents.turns.retrieve",
     {"turn_id": "t", "session_id": "s", "subagent_id": "u"},
     "GET /agents/sessions/s/subagents/u/turns/t", None, AGENTS),
    ("beta.agents.sessions.traces.list", {"session_id": "s", "limit": 3},
     "GET /agents/sessions/s/traces?limit=3", None, AGENTS),
    ("beta.agents.sessions.turns.items.list", {"turn_id": "t", "session_id": "s", "limit": 3},
     "GET /agents/sessions/s/turns/t/items?limit=3", None, AGENTS),
    ("beta.agents.sessions.turns.list", {"session_id": "s", "limit": 3},
     "GET /agents/sessions/s/turns?limit=3", None, AGENTS),
    ("beta.agents.sessions.turns.retrieve", {"turn_id": "t", "session_id": "s"},
     "GET /agents/sessions/s/turns/t", None, AGENTS),
    ("beta.agents.sessions.update", {"session_id": "s", "agent": {"a": 1}},
     "POST /agents/sessions/s", '{"agent":{"a":1}}', AGENTS),
    ("beta.agents.update", {"agent_id": "a", "compaction": {"a": 1}}, "POST /agents/a",
     '{"compaction":{"a":1}}', AGENTS),
    ("beta.agents.vaults.create", {"metadata": {"a": "b"}}, "POST /vaults",
     '{"metadata":{"a":"b"}}', AGENTS),
    ("beta.agents.vaults.credentials.create", {"vault_id": "v", "auth": {"a": 1}, "name": "x"},
     "POST /vaults/v/credentials", '{"auth":{"a":1},"name":"x"}', AGENTS),
    ("beta.agents.vaults.credentials.delete", {"credential_id": "c", "vault_id": "v"},
     "DELETE /vaults/v/credentials/c", None, AGENTS),
    ("beta.agents.vaults.credentials.list", {"vault_id": "v", "limit": 3},
     "GET /vaults/v/credentials?limit=3", None, AGENTS),
    ("beta.agents.vaults.credentials.retrieve", {"credential_id": "c", "vault_id": "v"},
     "GET /vaults/v/credentials/c", None, AGENTS),
    ("beta.agents.vaults.credentials.update",
     {"credential_id": "c", "vault_id": "v", "auth": {"a": 1}}, "POST /vaults/v/credentials/c",
     '{"auth":{"a":1}}', AGENTS),
    ("beta.agents.vaults.delete", {"vault_id": "v"}, "DELETE /vaults/v", None, AGENTS),
    ("beta.agents.vaults.list", {"limit": 3}, "GET /vaults?limit=3", None, AGENTS),
    ("beta.agents.vaults.retrieve", {"vault_id": "v"}, "GET /vaults/v", None, AGENTS),
    ("beta.agents.vaults.update", {"vault_id": "v", "metadata": {"a": "b"}}, "POST /vaults/v",
     '{"metadata":{"a":"b"}}', AGENTS),
    ("beta.chatkit.sessions.cancel", {"session_id": "s"}, "POST /chatkit/sessions/s/cancel", "",
     CHATKIT),
    ("beta.chatkit.sessions.create", {"user": "x", "workflow": {"a": 1}}, "POST /chatkit/sessions",
     '{"user":"x","workflow":{"a":1}}', CHATKIT),
    ("beta.chatkit.threads.delete", {"thread_id": "t"}, "DELETE /chatkit/threads/t", None, CHATKIT),
    ("beta.chatkit.threads.list", {"limit": 3}, "GET /chatkit/threads?limit=3", None, CHATKIT),
    ("beta.chatkit.threads.list_items", {"thread_id": "t", "limit": 3},
     "GET /chatkit/threads/t/items?limit=3", None, CHATKIT),
    ("beta.chatkit.threads.retrieve", {"thread_id": "t"}, "GET /chatkit/threads/t", None, CHATKIT),
    ("beta.realtime.sessions.create", {"client_secret": {"a": 1}}, "POST /realtime/sessions",
     '{"client_secret":{"a":1}}', {"openai-beta": "assistants=v2"}),
    ("beta.realtime.transcription_sessions.create", {"client_secret": {"a": 1}, "include": ["a"]},
     "POST /realtime/transcription_sessions", '{"client_secret":{"a":1},"include":["a"]}',
     {"openai-beta": "assistants=v2"}),
    ("beta.responses.cancel", {"response_id": "r"}, "POST /responses/r/cancel?beta=true", "",
     NO_BODY),
    ("beta.responses.compact", {"model": "gpt-6-astra", "input": "x"},
     "POST /responses/compact?beta=true", '{"model":"gpt-6-astra","input":"x"}', JSON_TYPE),
    ("beta.responses.create", {"input": "x", "model": "gpt-6-astra"}, "POST /responses?beta=true",
     '{"model":"gpt-6-astra","input":"x"}', JSON_TYPE),
    ("beta.responses.delete", {"response_id": "r"}, "DELETE /responses/r?beta=true", None, ANY),
    ("beta.responses.input_items.list",
     {"response_id": "r", "include": ["file_search_call.results"], "limit": 3},
     "GET /responses/r/input_items?beta=true&include%5B%5D=file_search_call.results&limit=3", None,
     NO_BODY),
    ("beta.responses.input_tokens.count", {"input": "x", "model": "x"},
     "POST /responses/input_tokens?beta=true", '{"model":"x","input":"x"}', JSON_TYPE),
    ("beta.responses.retrieve", {"response_id": "r", "include": ["file_search_call.results"]},
     "GET /responses/r?beta=true&include%5B%5D=file_search_call.results", None, NO_BODY),
    ("content_provenance_checks.create", {"file": ("a.zip", b"data")},
     "POST /content_provenance_checks", "form file=data", NO_BODY),
    ("decisions.create", {"input": "x", "model": "x", "questions": [{"a": 1}]}, "POST /decisions",
     '{"model":"x","input":"x","questions":[{"a":1}]}', JSON_TYPE),
    ("live.create", {"session": {"a": 1}, "transport": {"a": 1}}, "POST /live/sessions",
     '{"session":{"a":1},"transport":{"a":1}}', JSON_TYPE),
    ("live.sessions.accept", {"session_id": "s", "session": {"a": 1}},
     "POST /live/sessions/s/accept", '{"session":{"a":1}}', ANY),
    ("live.sessions.download_recording", {"session_id": "s"}, "GET /live/sessions/s/content", None,
     BINARY),
    ("live.sessions.fork", {"session_id": "s", "transport": {"a": 1}}, "POST /live/sessions/s/fork",
     '{"transport":{"a":1}}', JSON_TYPE),
    ("live.sessions.hangup", {"session_id": "s"}, "POST /live/sessions/s/hangup", "", ANY),
    ("live.sessions.refer", {"session_id": "s", "target_uri": "x"}, "POST /live/sessions/s/refer",
     '{"target_uri":"x"}', ANY),
    ("live.sessions.reject", {"session_id": "s", "status_code": 3}, "POST /live/sessions/s/reject",
     '{"status_code":3}', ANY),
    ("realtime.calls.accept",
     {"call_id": "c", "type": "realtime", "include": ["item.input_audio_transcription.logprobs"]},
     "POST /realtime/calls/c/accept",
     '{"type":"realtime","include":["item.input_audio_transcription.logprobs"]}', ANY),
    ("realtime.calls.create", {"sdp": "x"}, "POST /realtime/calls", "x",
     {"accept": "application/sdp", "content-type": "application/sdp"}),
    ("realtime.calls.hangup", {"call_id": "c"}, "POST /realtime/calls/c/hangup", "", ANY),
    ("realtime.calls.refer", {"call_id": "c", "target_uri": "x"}, "POST /realtime/calls/c/refer",
     '{"target_uri":"x"}', ANY),
    ("realtime.calls.reject", {"call_id": "c", "status_code": 3}, "POST /realtime/calls/c/reject",
     '{"status_code":3}', ANY),
    ("realtime.client_secrets.create", {"expires_after": {"a": 1}}, "POST /realtime/client_secrets",
     '{"expires_after":{"a":1}}', JSON_TYPE),
    ("realtime.translations.client_secrets.create", {"session": {"a": 1}},
     "POST /realtime/translations/client_secrets", '{"session":{"a":1}}', JSON_TYPE),
    ("safety.alerts.retrieve", {"id": "i"}, "GET /safety/alerts/i", None, NO_BODY),
    ("safety.cases.retrieve", {"id": "i"}, "GET /safety/cases/i", None, NO_BODY),
    ("skills.content.retrieve", {"skill_id": "s"}, "GET /skills/s/content", None, BINARY),
    ("skills.create", {"files": ("a.zip", b"data")}, "POST /skills", "form files=data", NO_BODY),
    ("skills.delete", {"skill_id": "s"}, "DELETE /skills/s", None, NO_BODY),
    ("skills.list", {"limit": 3}, "GET /skills?limit=3", None, NO_BODY),
    ("skills.retrieve", {"skill_id": "s"}, "GET /skills/s", None, NO_BODY),
    ("skills.update", {"skill_id": "s", "default_version": "x"}, "POST /skills/s",
     '{"default_version":"x"}', JSON_TYPE),
    ("skills.versions.content.retrieve", {"version": "v", "skill_id": "s"},
     "GET /skills/s/versions/v/content", None, BINARY),
    ("skills.versions.create", {"skill_id": "s", "default": True, "files": ("a.zip", b"data")},
     "POST /skills/s/versions", "form default=true files=data", NO_BODY),
    ("skills.versions.delete", {"version": "v", "skill_id": "s"}, "DELETE /skills/s/versions/v",
     None, NO_BODY),
    ("skills.versions.list", {"skill_id": "s", "limit": 3}, "GET /skills/s/versions?limit=3", None,
     NO_BODY),
    ("skills.versions.retrieve", {"version": "v", "skill_id": "s"}, "GET /skills/s/versions/v",
     None, NO_BODY),
]


def form_of(head: str, body: bytes) -> List[Tuple[str, bytes]]:
    """The (name, contents) of each part of a multipart form, in order."""
    kind = headers_of(head)["content-type"]
    whole = email.message_from_bytes(b"Content-Type: " + kind.encode() + b"\r\n\r\n" + body)
    found = []
    parts: Any = whole.get_payload()
    for part in parts:
        name = part.get_param("name", header="content-disposition")
        contents = part.get_payload(decode=True)
        assert isinstance(name, str) and isinstance(contents, bytes)
        found.append((name, contents))
    return found


@BOTH
@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_every_endpoint_sends_its_row(row: Row, make: Any) -> None:
    dotted, arguments, request_line, body, fixed = row
    with RawServer(answer({"data": [{"embedding": []}]})) as server:
        call(make(api_key=KEY, base_url=server.url), dotted, **arguments)
    (head, sent), = server.requests
    verb, target = request_line.split(" ")
    assert head.startswith(f"{verb} /v1{target} HTTP/1.1\r\n")
    headers = headers_of(head)
    assert {name: headers.get(name) for name in fixed} == fixed
    if body is None:
        assert sent == b"" and "content-length" not in headers and verb in ("GET", "DELETE")
    elif body.startswith("form "):
        parts = ["%s=%s" % (name, contents.decode()) for name, contents in form_of(head, sent)]
        assert "form " + " ".join(parts) == body
    else:
        assert sent.decode("utf-8") == body and headers["content-length"] == str(len(sent))


def declared_endpoints() -> Iterator[Tuple[str, Any]]:
    """(dotted name, endpoint) of everything that the map of the API leads to."""
    client = OpenAI(api_key=KEY)
    waiting: List[Tuple[str, Any]] = [("", client)]
    while waiting:
        prefix, group = waiting.pop()
        for cls in type(group).__mro__:
            for name in openai.own_annotations(cls):
                if not name.startswith(("_", "with_")) and isinstance(
                    getattr(group, name, None), openai.Resource
                ):
                    waiting.append((prefix + name + ".", getattr(group, name)))
            for name, value in vars(cls).items():
                if isinstance(value, openai.Endpoint):
                    yield prefix + name, value


def test_there_is_a_row_for_every_declared_endpoint() -> None:
    assert sorted(name for name, _ in declared_endpoints()) == sorted(row[0] for row in ROWS)


def test_every_endpoint_has_a_sentence_of_documentation() -> None:
    for name, endpoint in declared_endpoints():
        doc = endpoint.stub.__doc__ or ""
        assert re.match(r"[A-Z].*[.;:]", doc, re.S), name


# What the official package offers, sends and returns; only where it is installed.

OFFICIAL_VERSION = "3.54.0"
ENDPOINTS = sorted(  # parse() takes classes: a test of its own compares it
    (pair for pair in declared_endpoints() if not pair[0].endswith(".parse")),
    key=lambda pair: pair[0],
)
EACH_ENDPOINT = pytest.mark.parametrize(
    "dotted, endpoint", ENDPOINTS, ids=[dotted for dotted, _ in ENDPOINTS]
)
IGNORE_WARNINGS = pytest.mark.filterwarnings("ignore")  # those of the official package

# Parameters that are for the client and are not sent: those of beta.agents.sessions.create, the
# last of which only openai_lite has there.
NOT_SENT = ("output_type", "tool_handlers", "on_tool_error")

# How many fields of the official results a resource may lack; none where it is not named.
UNDECLARED: Dict[str, int] = {  # what is inside of an OpenObject
    "admin": 1438, "beta": 1214, "content_provenance_checks": 10, "decisions": 28, "live": 6,
    "realtime": 139, "safety": 1,
}


def official() -> Any:
    """The official package; skips the test where there is none, or another version."""
    package: Any = pytest.importorskip("openai", reason="the official package is not installed")
    if package.__version__ != OFFICIAL_VERSION or sys.version_info < (3, 10):
        pytest.skip(f"this needs version {OFFICIAL_VERSION} of the official package, Python 3.10")
    return package


def typing_tools() -> Any:
    """typing_extensions, which the official package brings along."""
    return importlib.import_module("typing_extensions")


def official_client(**options: Any) -> Any:
    return official().OpenAI(api_key=KEY, admin_api_key=KEY + "-admin", max_retries=0, **options)


def method_of(client: Any, dotted: str) -> Any:
    return functools.reduce(getattr, dotted.split("."), client)


def variants_of(method: Any) -> List[Any]:
    """The overloads of an official method, or the one function that it is."""
    function = inspect.unwrap(getattr(method, "__func__", method))
    return typing_tools().get_overloads(function) or [function]


def parameters_of(function: Any) -> Dict[str, inspect.Parameter]:
    """Those of an official method, but for the options that every method takes."""
    parameters, others = inspect.signature(function).parameters, ("self", *openai.OPTION_NAMES)
    return {k: v for k, v in parameters.items() if k not in others + NOT_SENT}


@functools.lru_cache(maxsize=None)
def hints_of(thing: Any) -> Dict[str, Any]:
    """{name: type} of a function, a TypedDict or a model, all names resolved."""
    hints: Dict[str, Any] = typing_tools().get_type_hints(thing)
    return hints


def union_members(kind: Any) -> List[Any]:
    """What an official union is made of, but for "not given"; a list of one for other types."""
    while hasattr(kind, "__metadata__") or hasattr(kind, "__value__"):  # Annotated, named aliases
        kind = kind.__origin__ if hasattr(kind, "__metadata__") else kind.__value__
    if "Union" not in str(typing_tools().get_origin(kind)):
        return [kind]
    args = [m for arg in typing_tools().get_args(kind) for m in union_members(arg)]
    return [m for m in args if getattr(m, "__name__", "") not in ("Omit", "NotGiven")]


def made_up(kind: Any, last: bool, above: Tuple[Any, ...] = ()) -> Any:
    """A value of an official parameter's type: the first that comes to mind, or the last.

    A list has one item of each type that it may hold, an object all its keys.
    """
    tools, choices = typing_tools(), [m for m in union_members(kind) if m is not type(None)]
    if bytearray in choices:
        return b"data"
    if bytes in choices:  # FileTypes, or also several
        whole = ("name.txt", b"data", "text/csv", {"X-Part": "1"})
        several = last and re.search("Sequence|List", str(choices))
        return [whole, b"more"] if several else whole if last else whole[:2]
    kind = choices[-1 if last else 0] if choices else None
    origin, args = tools.get_origin(kind), tools.get_args(kind)
    if str(origin).endswith("Literal"):
        return args[-1 if last else 0]
    if tools.is_typeddict(kind):
        if kind in above:  # an object that may hold itself
            return {}
        return {k: made_up(v, last, (*above, kind)) for k, v in hints_of(kind).items()}
    if origin and len(args) == 1:
        return [made_up(item, last, above) for item in union_members(args[0])]
    if origin and len(args) == 2:
        return {'k"\u00e9': made_up(args[1], last, above)}
    plain = {
        str: 'a b/"c":%?', int: 3, float: 0.5, bool: not last, object: {"any": ["thing", None]},
        datetime.datetime: datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.timezone.utc),
    }
    assert kind in plain, f"do not know how to make up {kind!r}"
    return plain[kind]


def calls_of(method: Any) -> Iterator[Tuple[List[Any], Dict[str, Any]]]:
    """Arguments for each variant of an official method, by position and by name.

    First the required ones, then all in two ways, then None for each that may be None.
    """
    for function in variants_of(method):
        given, hints = parameters_of(function), hints_of(function)
        first = {name: made_up(hints[name], False) for name in given}
        needed = {name: first[name] for name, p in given.items() if p.default is p.empty}
        nulls = {name: None for name in given if type(None) in union_members(hints[name])}
        last = {name: made_up(hints[name], True) for name in given}
        for named in needed, first, last, {**needed, **nulls}:
            yield [named.pop(name) for name in positional(method)], named


def positional(method: Any) -> List[str]:
    return [k for k, p in parameters_of(method).items() if p.kind is p.POSITIONAL_OR_KEYWORD]


def what_is_sent(server: RawServer, method: Any, args: List[Any], named: Dict[str, Any]) -> Any:
    """Request line, headers that matter, and body or parts of the form."""
    streaming = named.get("stream") is True
    with server.lock:
        server.answers.append(
            stream_answer(sse(b"[DONE]")) if streaming else answer({"data": [{"embedding": []}]})
        )
    result = method(*args, **named)
    if streaming:
        result.close()
    return comparable(server.requests.pop())


def comparable(request: Tuple[str, bytes]) -> Any:
    """Request line, headers that matter, and body or parts of the form."""
    head, body = request
    # The last one depends on which compression this Python knows.
    ignored = r"host|user-agent|x-stainless-(package-version|os|arch|runtime.*)|accept-encoding"
    headers = {k: v for k, v in headers_of(head).items() if not re.fullmatch(ignored, k)}
    line = head.partition("\r\n")[0]
    if not headers.get("content-type", "").startswith("multipart/"):
        return line, headers, body
    del headers["content-length"]  # it depends on the boundary
    headers["content-type"] = headers["content-type"].partition("boundary=")[0]
    return line, headers, parse_form(request)


@EACH_ENDPOINT
@IGNORE_WARNINGS
def test_every_method_sends_what_the_official_package_sends(dotted: str, endpoint: Any) -> None:
    with RawServer() as server, official_client(base_url=server.url) as theirs, client_of(
        server, admin_api_key=KEY + "-admin"
    ) as ours:
        method = method_of(theirs, dotted)
        for args, named in calls_of(method):
            wanted = what_is_sent(server, method, args, named)
            sent = what_is_sent(server, method_of(ours, dotted), args, named)
            assert sent == wanted, (args, named)


@EACH_ENDPOINT
@IGNORE_WARNINGS
def test_every_method_has_the_parameters_of_the_official_one(dotted: str, endpoint: Any) -> None:
    method = method_of(official_client(), dotted)
    endpoint.make_method()
    assert set(endpoint.order) - set(NOT_SENT) == set(parameters_of(method))
    assert list(endpoint.positional) == positional(method)
    required = [{k for k, p in parameters_of(variant).items() if p.default is p.empty}
                for variant in variants_of(method)]
    assert set(endpoint.required) == set.intersection(*required)


def models_in(kind: Any, shape: str = "") -> Iterator[Tuple[str, Any]]:
    """(in lists or dictionaries of what, model) of each model that an official type may hold."""
    tools = typing_tools()
    for member in union_members(kind):
        assert not isinstance(member, (str, typing.ForwardRef)), member
        if inspect.isclass(member) and hasattr(member, "model_fields"):
            yield shape, member
        elif tools.get_args(member) and "Literal" not in str(tools.get_origin(member)):
            origin = tools.get_origin(member).__name__.title()
            yield from models_in(tools.get_args(member)[-1], shape + origin + " ")


def our_models_in(kind: Any, shape: str = "") -> Iterator[Tuple[str, Any]]:
    """The same of a type of openai_lite."""
    for member in openai.members_of(kind):
        name, args = openai.parts_of(member)
        if isinstance(member, type) and issubclass(member, openai.BaseModel):
            yield shape, member
        elif name in ("List", "Dict"):
            yield from our_models_in(args[-1], shape + name + " ")


def literals_in(kind: Any) -> List[Any]:
    """The values of an official Literal."""
    tools = typing_tools()
    literals = [m for m in union_members(kind) if "Literal" in str(tools.get_origin(m))]
    return [value for literal in literals for value in tools.get_args(literal)]


Fields = Dict[str, Dict[str, bool]]  # {official class: {field: whether openai_lite declares it}}


def compare_types(theirs: Any, ours: Any, found: Fields, seen: Set[Any]) -> None:
    """Walk a type of the official package and ours in parallel, and note each field met."""
    for shape, model in models_in(theirs):
        # The one of our classes that the decoder would choose.
        variants = [our for our_shape, our in our_models_in(ours) if our_shape == shape]
        hints = {f.alias or name: f.annotation for name, f in model.model_fields.items()}
        sample = {key: (literals_in(hint) or [None])[0] for key, hint in hints.items()}
        our = openai.best_variant(variants, sample) if variants else openai.BaseModel
        if (model, our) in seen:
            continue
        seen.add((model, our))
        fields = found.setdefault(f"{model.__module__}.{model.__qualname__}", {})
        for name, field in model.model_fields.items():
            key = field.alias or name
            declared = openai.keys_of(our).get(name) == key
            fields[name] = declared and fields.get(name, True)
            kind = openai.resolve(openai.fields_of(our)[name], our) if declared else None
            compare_types(hints[key], kind, found, seen)


@functools.lru_cache(maxsize=None)
def declared_fields() -> Dict[str, Fields]:
    """Of each resource: which fields of the official results openai_lite declares, too."""
    client, tools = official_client(), typing_tools()
    found: Dict[str, Fields] = {}
    seen: Dict[str, Set[Any]] = {}
    for dotted, endpoint in ENDPOINTS:
        resource = dotted.partition(".")[0]
        endpoint.make_method()
        variants = variants_of(method_of(client, dotted))
        for result in {m for v in variants for m in union_members(hints_of(v)["return"])}:
            pairs = [(result, endpoint.page)]
            page = getattr(result, "__pydantic_generic_metadata__", None)
            if page and page["origin"]:
                pairs = [(page["origin"], endpoint.page), (page["args"][0], endpoint.item)]
            elif "Stream" in str(tools.get_origin(result)):
                pairs = [(tools.get_args(result)[0], endpoint.event)]
            for theirs, ours in pairs:
                ours = openai.type_named(ours)
                compare_types(
                    theirs, ours, found.setdefault(resource, {}), seen.setdefault(resource, set())
                )
    return found


def declared_share() -> Dict[str, Tuple[int, int]]:
    """{resource: (fields declared, fields of the official results)}"""
    every = {name: [yes for fields in found.values() for yes in fields.values()]
             for name, found in declared_fields().items()}
    return {name: (sum(flags), len(flags)) for name, flags in every.items()}


@IGNORE_WARNINGS
def test_how_much_of_the_official_responses_is_declared() -> None:
    """With -s, or when it fails, it prints the share of each resource and what is missing."""
    for resource, found in declared_fields().items():
        for model, fields in found.items():
            missing = [name for name, declared in fields.items() if not declared]
            if missing:
                print(f"{resource}: {model} lacks {', '.join(missing)}")
    shares = declared_share()
    for resource, (declared, total) in shares.items():
        print(f"{resource}: {declared} of {total} fields, {100 * declared / max(total, 1):.1f} %")
    lacking = {name: total - declared for name, (declared, total) in shares.items()}
    assert not {k: n for k, n in lacking.items() if n > UNDECLARED.get(k, 0)}
    readme = " ".join((HERE / "README.md").read_text(encoding="utf-8").split())
    listed = ", ".join(
        f"{name} {100 * declared / total:.0f} %"
        for name, (declared, total) in sorted(shares.items()) if declared < total
    )
    assert f"official fields: {listed}." in readme


def official_methods() -> Iterator[str]:
    """The dotted names of the methods that send a request themselves, not through another one."""
    verbs = {"_get", "_post", "_put", "_patch", "_delete", "_get_api_list"}
    waiting: List[Tuple[str, Any]] = [("", official_client())]
    resource = importlib.import_module("openai._resource").SyncAPIResource
    while waiting:
        prefix, group = waiting.pop()
        for name in dir(type(group)):
            value = None if name.startswith(("_", "with_")) else getattr(group, name)
            if isinstance(value, resource):
                waiting.append((f"{prefix}{name}.", value))
            elif prefix and inspect.ismethod(value):
                if verbs.intersection(inspect.unwrap(value.__func__).__code__.co_names):
                    yield prefix + name


@IGNORE_WARNINGS
def test_official_methods_that_are_missing() -> None:
    theirs, ours = set(official_methods()), {dotted for dotted, _ in ENDPOINTS}
    missing = sorted(theirs - ours)
    print(f"{len(missing)} of {len(theirs)} are missing:", *missing, sep="\n")
    assert not missing and ours == theirs


@pytest.mark.parametrize("dotted", ["responses.create", "chat.completions.create",
                                    "completions.create", "images.generate",
                                    "beta.threads.runs.create"])
@BOTH
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_stream_goes_into_the_body_like_any_other_parameter(dotted: str, make: Any) -> None:
    arguments = next(dict(row[1], stream=True) for row in ROWS if row[0] == dotted)
    with RawServer(stream_answer(sse(b"[DONE]"))) as server:
        call(make(api_key=KEY, base_url=server.url), dotted, **arguments)
    assert json.loads(server.requests[0][1])["stream"] is True


def test_a_stored_response_is_streamed_from_where_one_left_it() -> None:
    with RawServer(stream_answer(STREAM)) as server, client_of(server) as client:
        list(client.responses.retrieve("r", stream=True, starting_after=7))
    assert targets(server) == ["/v1/responses/r?starting_after=7&stream=true"]


def vectors(*rows: Any) -> bytes:
    data = [{"index": i, "embedding": row} for i, row in enumerate(rows)]
    return answer({"object": "list", "data": data})


def test_embeddings_travel_as_base64_and_arrive_as_floats() -> None:
    packed = base64.b64encode(struct.pack("<3f", 0.25, -1.0, 3.5)).decode()
    with RawServer(vectors(packed, [1.5]), vectors(packed), vectors([0.1])) as server:
        client = client_of(server)
        data = client.embeddings.create(model="m", input=["a", "b"]).data
        assert [item.embedding for item in data] == [[0.25, -1.0, 3.5], [1.5]]
        text: Any = client.embeddings.create(model="m", input="a", encoding_format="base64")
        assert text.data[0].embedding == packed
        plain = client.embeddings.create(model="m", input="a", encoding_format="float")
        assert plain.data[0].embedding == [0.1]
    asked = [json.loads(body)["encoding_format"] for _, body in server.requests]
    assert asked == ["base64", "base64", "float"]


@pytest.mark.parametrize("body", ['{"data": []}', "{}"])
def test_an_answer_without_embeddings_is_an_error(body: str) -> None:
    with RawServer(answer(body)) as server, client_of(server) as client:
        with pytest.raises(ValueError, match="No embedding data received"):
            client.embeddings.create(model="m", input="a")


def test_images_are_streamed_as_events() -> None:
    events = sse({"type": "image_generation.partial_image", "partial_image_index": 0},
                 {"type": "image_generation.completed", "usage": {"total_tokens": 3}})
    with RawServer(stream_answer(events)) as server, client_of(server) as client:
        stream = client.images.generate(prompt="a cat", partial_images=1, stream=True)
        sketch, image = stream
        assert stream.completed
    assert isinstance(sketch, openai.ImageGenPartialImageEvent) and sketch.partial_image_index == 0
    assert isinstance(image, openai.ImageGenCompletedEvent) and image.usage.total_tokens == 3


FORMATS: List[Tuple[str, Any, str]] = [
    ("transcriptions", openai.omit, "Transcription"), ("transcriptions", "json", "Transcription"),
    ("transcriptions", "text", "str"), ("transcriptions", "srt", "str"),
    ("transcriptions", "vtt", "str"), ("transcriptions", "verbose_json", "TranscriptionVerbose"),
    ("transcriptions", "diarized_json", "TranscriptionDiarized"),
    ("translations", None, "Translation"), ("translations", "text", "str"),
    ("translations", "verbose_json", "TranslationVerbose"),
]


@BOTH
@pytest.mark.parametrize("group, wanted, kind", FORMATS)
@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
def test_response_format_decides_what_a_transcription_is(
    group: str, wanted: Any, kind: str, make: Any
) -> None:
    with RawServer(answer("hi\n" if kind == "str" else {"text": "hi", "segments": []})) as server:
        client = make(api_key=KEY, base_url=server.url)
        asked = dict(file=("a.mp3", b"1"), model="m", response_format=wanted)
        done = call(client, f"audio.{group}.create", **asked)
    assert type(done).__name__ == kind
    assert done == "hi\n" if kind == "str" else done.text == "hi"


def test_a_container_takes_a_file_that_was_uploaded_before() -> None:
    with RawServer(answer({"id": "f"})) as server, client_of(server) as client:
        assert client.containers.files.create("c", file_id="f").id == "f"
    (head, body), = server.requests
    assert headers_of(head)["content-type"] == "application/json" and body == b'{"file_id":"f"}'


THREAD_EVENTS = (
    b'event: thread.created\ndata: {"id": "t", "object": "thread"}\n\n'
    b'event: thread.run.completed\ndata: {"id": "r", "object": "thread.run"}\n\n'
    b'event: thread.message.delta\ndata: {"id": "m", "delta": {"content": [{"index": 0, '
    b'"type": "text", "text": {"value": "hi"}}]}}\n\n'
    b"event: done\ndata: [DONE]\n\n"
)


def test_the_events_of_a_run_are_told_apart_by_their_name() -> None:
    with RawServer(stream_answer(THREAD_EVENTS)) as server, client_of(server) as client:
        with pytest.warns(DeprecationWarning, match="use the Responses API"):
            stream = client.beta.threads.runs.create("t", assistant_id="a", stream=True)
        thread, run, message = stream
    assert isinstance(thread, openai.ThreadCreated) and type(thread.data) is openai.Thread
    assert isinstance(run, openai.ThreadRunEvent) and type(run.data) is openai.Run
    assert run.event == "thread.run.completed" and run.data.id == "r"
    assert isinstance(message, openai.ThreadMessageDelta)
    block = (message.data.delta.content or [])[0]
    assert isinstance(block, openai.TextDeltaBlock) and block.text and block.text.value == "hi"

def test_administration_takes_the_admin_key_and_everything_else_the_other_one() -> None:
    with RawServer(*[answer({"id": "x", "data": []})] * 8) as server:
        with client_of(server, admin_api_key="sk-admin") as client:
            client.admin.organization.projects.retrieve("p")
            client.admin.organization.projects.roles.list("p")
            client.skills.retrieve("s")
        with client_of(server) as client:
            client.admin.organization.invites.retrieve("i")
        with OpenAI(admin_api_key="sk-admin", base_url=server.url) as client:
            client.skills.retrieve("s")
    sent = [headers_of(head)["authorization"].split(" ")[1] for head, _ in server.requests]
    assert sent == ["sk-admin", "sk-admin", KEY, KEY, "sk-admin"]


def test_some_parameters_are_sent_as_headers() -> None:
    """And leave no body behind where nothing else is sent."""
    with RawServer(*[answer({"id": "x"})] * 4) as server, client_of(server) as client:
        client.beta.responses.cancel("r", betas=["responses_multi_agent=v1"])
        client.beta.responses.create(input="hi", betas=["responses_multi_agent=v1"])
        client.beta.agents.environments.create(environment={"type": "none"}, idempotency_key="k")
        client.beta.responses.cancel("r")
    heads = [headers_of(head) for head, _ in server.requests]
    assert heads[0]["openai-beta"] == heads[1]["openai-beta"] == "responses_multi_agent=v1"
    assert heads[2]["idempotency-key"] == "k" and "openai-beta" not in heads[3]
    bodies = [body for _, body in server.requests]
    assert bodies == [b"", b'{"input":"hi"}', b'{"environment":{"type":"none"}}', b""]


def test_a_call_with_a_session_is_a_form_of_two_typed_parts() -> None:
    with RawServer(answer("v=0"), answer("v=0")) as server, client_of(server) as client:
        client.realtime.calls.create(sdp="v=0", session={"type": "realtime"})
        assert client.realtime.calls.create(sdp="v=0").read() == b"v=0"
    (head, body), (_, plain) = server.requests
    assert form_of(head, body) == [("sdp", b"v=0"), ("session", b'{"type":"realtime"}')]
    assert b"application/sdp" in body and b"application/json" in body and plain == b"v=0"


def agent_event(kind: str, **fields: Any) -> Dict[str, Any]:
    return dict(fields, type=kind, event_id="e", session_id="s")


def test_agent_events_are_told_apart_and_an_error_is_one_of_them() -> None:
    events = stream_answer(sse(
        agent_event("agent.session.idle", session={"id": "s", "error": "e"}),
        agent_event("agent.session.turn.output_text.delta", delta="hi", item_id="i"),
        agent_event("error", error={"code": "c", "details": [{"a": 1}]}),
    ))

    async def main(client: AsyncOpenAI) -> List[Any]:
        return [event async for event in await client.beta.agents.sessions.events.stream("s")]

    with RawServer(events, events, events) as server, client_of(server) as client:
        sessions = client.beta.agents.sessions
        found = [
            list(sessions.create(environment={"type": "none"}, agent_id="a", stream=True)),
            list(sessions.events.stream("s")), asyncio.run(main(async_client_of(server))),
        ]
    for idle, delta, error in found:
        assert isinstance(idle, openai.AgentStateEvent)
        assert type(idle.session) is openai.AgentSession and idle.session.error == "e"
        assert isinstance(delta, openai.AgentDeltaEvent) and delta.delta == "hi"
        assert isinstance(error, openai.AgentErrorEvent) and error.error.details[0].a == 1
    assert server.requests[0][1] == (
        b'{"stream":true,"environment":{"type":"none"},"agent_id":"a"}'
    )
    assert headers_of(server.requests[1][0])["accept"] == "text/event-stream"


def test_undeclared_objects_can_be_read_to_their_last_level() -> None:
    alert = {"id": "a", "notification_channel": {"type": "email", "recipients": [{"name": "n"}]}}
    with RawServer(answer(alert)) as server, client_of(server) as client:
        found = client.admin.organization.spend_alerts.retrieve("a")
    channel = found.notification_channel
    assert channel.recipients[0].name == channel["recipients"][0]["name"] == "n"
    assert found.to_dict() == alert


def test_an_audit_log_has_its_details_under_a_name_that_python_allows() -> None:
    log = {"id": "l", "type": "role.bound_to_resource", "effective_at": 1,
           "role.bound_to_resource": {"id": "r", "data": {"a": 1}}}
    with RawServer(answer({"data": [log]})) as server, client_of(server) as client:
        found = client.admin.organization.audit_logs.list().data[0]
    assert found.role_bound_to_resource.data.a == 1 and found.project_created is None
    assert pickle.loads(pickle.dumps(found)) == found and not hasattr(found, "_x")


def test_responses_of_the_beta_hold_what_agents_said() -> None:
    item = {"type": "agent_message", "id": "m", "author": "a", "content": []}
    events = sse({"type": "response.output_item.done", "item": item},
                 {"type": "response.completed", "response": {"id": "r", "output": [item]}})
    with RawServer(stream_answer(events)) as server, client_of(server) as client:
        done, completed = client.beta.responses.create(model="m", stream=True)
    assert isinstance(done, openai.BetaResponseItemEvent)
    assert isinstance(completed, openai.BetaResponseStateEvent)
    assert type(done.item) is type(completed.response.output[0]) is openai.BetaResponseAgentMessage


########################################################################
## 9. Helpers
########################################################################


def file_with(status: str) -> bytes:
    return answer({"id": "file-1", "object": "file", "status": status})


@BOTH
def test_wait_for_processing_asks_until_the_file_is_processed(make: Any) -> None:
    with RawServer(*map(file_with, ("uploaded", "uploaded", "processed"))) as server:
        client = make(api_key=KEY, base_url=server.url)
        file = call(client, "files.wait_for_processing", id="file-1", poll_interval=0.01)
    assert file.status == "processed" and len(server.requests) == 3


@BOTH
def test_wait_for_processing_gives_up_after_max_wait_seconds(make: Any) -> None:
    with RawServer(*[file_with("uploaded")] * 9) as server:
        client = make(api_key=KEY, base_url=server.url)
        with pytest.raises(RuntimeError, match="file-1 was not processed within 0.05 seconds"):
            call(client, "files.wait_for_processing", id="file-1", poll_interval=0.03,
                 max_wait_seconds=0.05)
        with pytest.raises(TypeError, match="unexpected keyword argument 'poll'"):
            call(client, "files.wait_for_processing", id="file-1", poll=1)
        with pytest.raises(AttributeError, match="no view of a single response"):
            client.files.with_raw_response.wait_for_processing("file-1")


# ---- 9.1 Structured outputs ----


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Finding:
    """One finding."""

    score: float
    color: Color = Color.RED
    note: Optional[str] = dataclasses.field(default=None, metadata={"description": "Why."})


@dataclasses.dataclass
class Report:
    findings: List[Finding]
    best: Finding = dataclasses.field(metadata={"description": "The best."})
    parent: Optional[Report] = None


class Remark(openai.BaseModel):
    """A remark."""

    text: str
    replies: Optional[List[Remark]] = None


FINDING: Dict[str, Any] = {
    "type": "object",
    "properties": {
        "score": {"type": "number"},
        "color": {"type": "string", "enum": ["red", "blue"]},
        "note": {"anyOf": [{"type": "string"}, {"type": "null"}], "description": "Why."},
    },
    "description": "One finding.",
    "additionalProperties": False,
    "required": ["score", "color", "note"],
}


def test_nested_classes_are_shared_and_recursion_refers_to_the_root() -> None:
    assert openai.strict_schema(Report) == {
        "type": "object",
        "properties": {
            "findings": {"type": "array", "items": {"$ref": "#/$defs/Finding"}},
            "best": dict(FINDING, description="The best."),
            "parent": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
        },
        "$defs": {"Finding": FINDING},
        "additionalProperties": False,
        "required": ["findings", "best", "parent"],
    }
    assert openai.strict_schema(Remark) == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "replies": {"anyOf": [
                {"type": "array", "items": {"$ref": "#"}}, {"type": "null"},
            ]},
        },
        "description": "A remark.",
        "additionalProperties": False,
        "required": ["text", "replies"],
    }


# Classes made of source text, with annotations as text and as objects.
MADE: Any = types.ModuleType("made_for_tests")
sys.modules[MADE.__name__] = MADE
PREAMBLE = """
import collections.abc, dataclasses, datetime, decimal, enum, pathlib, typing, uuid
from dataclasses import dataclass
from typing import *
class Color(enum.Enum): RED = "red"; BLUE = "blue"
class Level(enum.IntEnum): LOW = 1; HIGH = 2
Name = NewType("Name", str)
@dataclass
class Small: a: int
@dataclass
class Large:
    a: int
    b: int = 0
"""


def made(source: str, name: str, future: bool = False) -> Any:
    """What `name` is in a module of this source."""
    source = "from __future__ import annotations\n" * future + PREAMBLE + source
    exec(compile(source, "made", "exec", dont_inherit=True), MADE.__dict__)
    return getattr(MADE, name)


NULL = {"type": "null"}
STRING = {"type": "string"}
INTEGER = {"type": "integer"}
NUMBER = {"type": "number"}
UTC = datetime.timezone.utc
NOON = datetime.datetime(2026, 1, 31, 12, 0, 0, 500000, UTC)
FIELDS: List[Tuple[str, Dict[str, Any], str, str, str]] = [
    # annotation, its schema, JSON, what that is read as, the Python that has it
    ("str", STRING, '"a"', "'a'", "3.7"),
    ("int", INTEGER, "3.0", "3", "3.7"),
    ("float", NUMBER, "3", "3.0", "3.7"),
    ("bool", {"type": "boolean"}, "true", "True", "3.7"),
    ("None", NULL, "null", "None", "3.7"),
    ("Any", {}, "[1]", "[1]", "3.7"),
    ("object", {}, '{"a": 1}', "{'a': 1}", "3.7"),
    ("Name", STRING, '"a"', "'a'", "3.7"),
    ("Color", dict(STRING, enum=["red", "blue"]), '"red"', "Color.RED", "3.7"),
    ("Level", dict(INTEGER, enum=[1, 2]), "2", "Level.HIGH", "3.7"),
    ("Literal['a', 'b']", dict(STRING, enum=["a", "b"]), '"b"', "'b'", "3.8"),
    ("Literal['a', 1, None]", {"enum": ["a", 1, None]}, "1", "1", "3.8"),
    ("Literal[Color.RED]", dict(STRING, enum=["red"]), '"red"', "Color.RED", "3.8"),
    ("List[int]", {"type": "array", "items": INTEGER}, "[1]", "[1]", "3.7"),
    ("List", {"type": "array", "items": {}}, "[1]", "[1]", "3.7"),
    ("list", {"type": "array", "items": {}}, "[1]", "[1]", "3.7"),
    ("list[int]", {"type": "array", "items": INTEGER}, "[1]", "[1]", "3.9"),
    ("Sequence[int]", {"type": "array", "items": INTEGER}, "[1]", "[1]", "3.7"),
    ("collections.abc.Sequence[int]", {"type": "array", "items": INTEGER}, "[1]", "[1]", "3.9"),
    ("Set[int]", {"type": "array", "items": INTEGER}, "[1, 1]", "{1}", "3.7"),
    ("FrozenSet[int]", {"type": "array", "items": INTEGER}, "[1]", "frozenset({1})", "3.7"),
    ("Tuple[int, ...]", {"type": "array", "items": INTEGER}, "[1]", "(1,)", "3.7"),
    ("Tuple[int, int]", {"type": "array", "items": INTEGER, "minItems": 2, "maxItems": 2},
     "[1, 2]", "(1, 2)", "3.7"),
    ("Dict[str, int]", {"type": "object", "additionalProperties": INTEGER},
     '{"x": 1}', "{'x': 1}", "3.7"),
    ("Dict[str, Small]", {"type": "object", "additionalProperties": {"$ref": "#/$defs/Small"}},
     '{"x": {"a": 1}}', "{'x': Small(a=1)}", "3.7"),
    ("Mapping", {"type": "object", "additionalProperties": True}, '{"x": 1}', "{'x': 1}", "3.7"),
    ("Optional[int]", {"anyOf": [INTEGER, NULL]}, "null", "None", "3.7"),
    ("Optional['Small']", {"anyOf": [{"$ref": "#/$defs/Small"}, NULL]},
     '{"a": 1}', "Small(a=1)", "3.7"),
    ("int | None", {"anyOf": [INTEGER, NULL]}, "1", "1", "3.10"),
    ("Union[float, int]", {"anyOf": [NUMBER, INTEGER]}, "1", "1", "3.7"),
    ("Union[int, float]", {"anyOf": [INTEGER, NUMBER]}, "1.5", "1.5", "3.7"),
    ("Union[Small, Large]", {"anyOf": [{"$ref": "#/$defs/Small"}, {"$ref": "#/$defs/Large"}]},
     '{"a": 1, "b": 2}', "Large(a=1, b=2)", "3.7"),
    ("Union[datetime.date, str]", {"anyOf": [dict(STRING, format="date"), STRING]},
     '"2026-01-31"', "datetime.date(2026, 1, 31)", "3.7"),
    ("Union[datetime.date, str]", {"anyOf": [dict(STRING, format="date"), STRING]},
     '"soon"', "'soon'", "3.7"),
    ("datetime.datetime", dict(STRING, format="date-time"),
     '"2026-01-31T12:00:00.5Z"', repr(NOON), "3.7"),
    ("datetime.time", dict(STRING, format="time"), '"12:30"', "datetime.time(12, 30)", "3.7"),
    ("uuid.UUID", dict(STRING, format="uuid"), '"12345678123456781234567812345678"',
     "UUID('12345678-1234-5678-1234-567812345678')", "3.7"),
    ("decimal.Decimal", dict(STRING, pattern=r"^-?[0-9]+(\.[0-9]+)?$"), '"0.10"',
     "Decimal('0.10')", "3.7"),
    ("Annotated[int, 5, 'How many.']", dict(INTEGER, description="How many."), "1", "1", "3.9"),
    ("List[Annotated[Optional[int], 'One.']]",
     {"type": "array", "items": {"anyOf": [INTEGER, NULL], "description": "One."}},
     "[1, null]", "[1, None]", "3.9"),
]


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("row", FIELDS, ids=[row[0] for row in FIELDS])
def test_a_type_that_has_a_schema_is_read_from_json(row: Any, future: bool) -> None:
    annotation, schema, text, meant, since = row
    if sys.version_info < tuple(map(int, since.split("."))):
        pytest.skip(f"this needs Python {since}")
    cls = made(f"@dataclass\nclass Box:\n    field: {annotation}\n", "Box", future)
    whole = openai.strict_schema(cls)
    assert whole["properties"] == {"field": schema} and "description" not in whole
    found = openai.parse_json_as(cls, f'{{"field": {text}, "unknown": 1}}')
    assert type(found) is cls
    assert re.sub(r"<(\w+\.\w+): [^>]*>", r"\1", repr(found.field)) == meant


@pytest.mark.parametrize("annotation, message", [
    ("bytes", "Box.field: bytes has no JSON schema; use str"),
    ("datetime.timedelta", "Box.field: timedelta has no JSON schema; use float, in seconds"),
    ("List[pathlib.Path]", "Box.field: Path has no JSON schema; use str"),
    ("Tuple[int, str]", "Box.field: a tuple of several types"),
    ("Dict[int, str]", "Box.field: the keys of a JSON object are strings"),
    ("Callable[[], int]", "Box.field: .* has no JSON schema"),
    ("'Nowhere'", "Box.field: the annotation 'Nowhere' means nothing here .NameError"),
])
def test_a_type_without_a_schema_is_refused_by_the_name_of_its_field(
    annotation: str, message: str
) -> None:
    cls = made(f"@dataclass\nclass Box:\n    field: {annotation}\n", "Box")
    with pytest.raises(TypeError, match=message):
        openai.strict_schema(cls)


@pytest.mark.parametrize("kind", [int, List[int], Optional[Report], "Report", None, Color])
def test_a_root_that_is_no_object_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="must be a dataclass, a TypedDict, a pydantic model"):
        openai.response_format_of(kind)
    with pytest.raises(TypeError, match="must be a dataclass"):
        openai.parse_json_as(kind, "{}")


@pytest.mark.skipif(sys.version_info < (3, 8), reason="TypedDict came with Python 3.8")
@pytest.mark.parametrize("future", [False, True])
def test_a_typed_dict_is_read_as_a_dictionary_that_may_lack_keys(future: bool) -> None:
    source = "class Trip(TypedDict, total=False):\n  'A trip.'\n  to: List[Small]\n  by: str\n"
    if sys.version_info >= (3, 11):
        source = source.replace("List[Small]", "Required[List[Small]]")
    kind = made(source, "Trip", future)
    schema = openai.strict_schema(kind)
    assert schema["required"] == ["to", "by"] and schema["description"] == "A trip."
    found = openai.parse_json_as(kind, '{"to": [{"a": 1}]}')
    assert type(found) is dict and repr(found) == "{'to': [Small(a=1)]}"
    if sys.version_info >= (3, 11):
        with pytest.raises(openai.OutputParseError, match="to: it is missing"):
            openai.parse_json_as(kind, "{}")
        kind = made("class T(TypedDict):\n    a: NotRequired[int]\n", "T", future)
        assert openai.parse_json_as(kind, "{}") == {}
        assert openai.strict_schema(kind)["required"] == ["a"]


def test_classes_local_to_a_function_are_found_while_it_runs() -> None:
    @dataclasses.dataclass
    class Outer:
        inner: List[Inner]

    @dataclasses.dataclass
    class Inner:
        value: int

    found = openai.parse_json_as(Outer, '{"inner": [{"value": 1}]}')
    assert found == Outer([Inner(1)])
    assert openai.strict_schema(Outer)["$defs"].keys() == {"Inner"}


def test_two_classes_of_one_name_are_kept_apart() -> None:
    first = made("class A:\n    @dataclass\n    class It: x: int\n", "A")
    second = made("class B:\n    @dataclass\n    class It: y: int\n", "B")
    both = dataclasses.make_dataclass("Both", [("a", first.It), ("b", second.It)])
    assert openai.strict_schema(both)["$defs"].keys() == {"It", "It_"}
    found = openai.parse_json_as(both, '{"a": {"x": 1}, "b": {"y": 2}}')
    assert (found.a.x, found.b.y) == (1, 2)


ONE = {"score": 1, "color": "blue"}


@pytest.mark.parametrize("change, message", [
    ({"findings": [ONE, ONE, {"score": "high"}]},
     "findings[2].score: expected a number, got 'high'"),
    ({"findings": [{"score": True}]}, "findings[0].score: expected a number, got True"),
    ({"findings": [{}]}, "findings[0].score: it is missing"),
    ({"findings": None}, "findings: expected a list, got None"),
    ({"best": dict(ONE, color="green")}, "best.color: expected one of 'red', 'blue', got 'green'"),
    ({"parent": []}, "parent: expected an object, got []"),
    ({"best": dict(ONE, note=5)}, "best.note: expected a string, got 5"),
])
def test_json_that_does_not_fit_says_where(change: Dict[str, Any], message: str) -> None:
    fitting: Dict[str, Any] = {"findings": [ONE], "best": ONE}
    finding = Finding(1.0, Color.BLUE)
    assert openai.parse_json_as(Report, json.dumps(fitting)) == Report([finding], finding)
    text = json.dumps(dict(fitting, **change))
    with pytest.raises(openai.OutputParseError) as caught:
        openai.parse_json_as(Report, text)
    assert str(caught.value) == f"the answer does not fit Report: {message}"
    twin = pickle.loads(pickle.dumps(caught.value))
    assert (str(twin), twin.text) == (str(caught.value), text)
    assert isinstance(twin, ValueError) and isinstance(twin, openai.OpenAIError)


@pytest.mark.parametrize("text", ["", "Sorry", '{"findings": [', "[" * 100000])
def test_text_that_is_not_json_is_an_output_parse_error(text: str) -> None:
    with pytest.raises(openai.OutputParseError, match="the answer is not JSON"):
        openai.parse_json_as(Report, text)


def test_what_post_init_refuses_does_not_fit() -> None:
    cls = made("@dataclass\nclass Even:\n    n: int\n    def __post_init__(self):\n"
               "        if self.n % 2: raise ValueError('odd')\n", "Even")
    assert openai.parse_json_as(cls, '{"n": 2}').n == 2
    with pytest.raises(openai.OutputParseError, match="fit Even: odd"):
        openai.parse_json_as(cls, '{"n": 1}')


def test_an_object_of_base_model_is_read_with_its_kind_inside() -> None:
    found = openai.parse_json_as(Remark, '{"text": "a", "replies": [{"text": "b"}]}')
    assert found == Remark(text="a", replies=[Remark(text="b")])
    source = "import openai_lite\nclass A(openai_lite.BaseModel):\n  class_: str\n  n: int = 5\n"
    kind = made(source + "  limit: ClassVar[int] = 3\n", "A")
    assert openai.strict_schema(kind)["required"] == ["class", "n"]
    found = openai.parse_json_as(kind, '{"class": "a"}')
    assert (found.class_, found.n, found.to_dict()) == ("a", 5, {"class": "a"})


def test_a_schema_may_be_changed_without_changing_the_next() -> None:
    kind = made("@dataclass\nclass Box:\n    a: Dict[str, Optional[str]]\n    b: str\n", "Box")
    first = openai.strict_schema(kind)
    before = json.dumps(first)
    first["properties"]["a"]["additionalProperties"]["anyOf"][0]["type"] = "changed"
    first["properties"]["b"]["type"] = "changed"
    assert json.dumps(openai.strict_schema(kind)) == before


def test_formats_of_a_class_and_of_a_dictionary() -> None:
    schema = openai.strict_schema(Finding)
    assert json.dumps(openai.response_format_of(Finding)) == json.dumps({
        "type": "json_schema",
        "json_schema": {"schema": schema, "name": "Finding", "strict": True},
    })
    assert json.dumps(openai.text_format_of(Finding)) == json.dumps(
        {"type": "json_schema", "strict": True, "name": "Finding", "schema": schema}
    )
    for same in ({"type": "json_object"}, openai.omit):
        assert openai.response_format_of(same) is same and openai.text_format_of(same) is same


PYDANTIC = """
import pydantic
from pydantic import Field
class Pet(pydantic.BaseModel):
    '''A pet.'''
    name: str = Field(description="Its name.")
    age: Optional[int] = None
    color: Color = Field(description="Its color.")
    tags: Dict[str, str] = {}
class Node(pydantic.BaseModel):
    value: int = 5
    next: Optional["Node"] = None
class Zoo(pydantic.BaseModel):
    pets: List[Pet]
    best: Pet = Field(description="The best.")
    node: Node = Field(description="Described.")
    either: Union[int, Pet, None]
    literal: Literal["a", "b"]
    anything: Any
    when: datetime.datetime
    price: decimal.Decimal
    numbers: Tuple[int, ...]
    one: Optional[Pet] = Field(None, description="One.")
@pydantic.dataclasses.dataclass
class Cage:
    pet: Pet
    label: Optional[str] = None
@dataclass
class Mixed:
    pet: Pet
    cage: Optional[Cage]
"""


@pytest.mark.parametrize("name", ["Pet", "Node", "Zoo", "Cage"])
def test_pydantic_classes_give_what_the_official_package_sends(name: str) -> None:
    package = official()
    kind = made(PYDANTIC, name)
    completions = importlib.import_module("openai.lib._parsing._completions")
    responses = importlib.import_module("openai.lib._parsing._responses")
    pairs = [
        (openai.response_format_of(kind), completions.type_to_response_format_param(kind)),
        (openai.text_format_of(kind), responses.type_to_text_format_param(kind)),
    ]
    options: Any
    for options in ({}, {"name": "n", "description": "d"}) if name != "Cage" else ():
        pairs.append((openai.pydantic_function_tool(kind, **options),
                      package.pydantic_function_tool(kind, **options)))
        pairs.append((
            openai.pydantic_responses_function_tool(kind, defer_loading=True, **options),
            package.pydantic_responses_function_tool(kind, defer_loading=True, **options),
        ))
    for ours, theirs in pairs:
        assert json.dumps(ours) == json.dumps(theirs)


def test_pydantic_classes_validate_themselves() -> None:
    official()
    pydantic = importlib.import_module("pydantic")
    pet = {"name": "Rex", "color": "red"}
    cage, mixed = made(PYDANTIC, "Cage"), MADE.Mixed
    assert openai.parse_json_as(cage, json.dumps({"pet": pet})).pet == MADE.Pet(**pet)
    with pytest.raises(pydantic.ValidationError):
        openai.parse_json_as(cage, "{}")
    schema = openai.strict_schema(mixed)
    assert schema["$defs"].keys() == {"Pet", "Color"}
    assert schema["properties"]["pet"]["required"] == ["name", "age", "color", "tags"]
    found = openai.parse_json_as(mixed, json.dumps({"pet": pet, "cage": {"pet": pet}}))
    assert found.pet == found.cage.pet == MADE.Pet(**pet)
    with pytest.raises(openai.OutputParseError, match="fit Mixed: pet: 2 validation errors"):
        openai.parse_json_as(mixed, '{"pet": {}, "cage": null}')


PARTIAL: List[Tuple[str, Any]] = [  # the values are those of jiter's partial_mode=True
    ("", ValueError), ("  ", ValueError), ("{", {}), ('{"a"', {}), ('{"a":', {}),
    ('{"a":1', {"a": 1}),
    ('{"a":1,', {"a": 1}), ('{"a":1,"b', {"a": 1}), ('{"a":1,"b":', {"a": 1}),
    ('{"a":1,"b":"x', {"a": 1}), ("[", []), ("[1", [1]), ("[1,", [1]), ("[12", [12]), ("[1.", []),
    ("[1.5", [1.5]), ("[1.5e", []), ("[1e+", []), ("[1e5", [1e5]), ("[-", []), ("[t", []),
    ("[true", [True]), ("nul", ValueError), ("null", None), ('"', ValueError), ('"abc', ValueError),
    ('["a', []), ('["a\\', []), ('["a\\u12', []), ('["a"', ["a"]), ('[["a"]', [["a"]]),
    ('{"a":{"b":[1,2', {"a": {"b": [1, 2]}}), ('{"a":[1,{"b":"c', {"a": [1, {}]}),
    ("-", ValueError), ("1.", ValueError), ("12", 12), ("01", ValueError), ("[01", ValueError),
    ("x", ValueError), ('{"a" 1', ValueError), ("{1:2}", ValueError), ("{a", ValueError),
    ("[,", ValueError), ("[1,]", ValueError), ('{"a":1,}', ValueError), ('{"a":}', ValueError),
    ("]", ValueError), ("[}", ValueError), ('["a\x01', ValueError), ('["a\\x', ValueError),
    ('{"a""', ValueError), ("[1..", ValueError), ("[--", ValueError), ("[-x", ValueError),
    ("\ufeff{}", ValueError), ("[\x0b", ValueError), ("[truth", ValueError),
    ('{"a":1}x', {"a": 1}), ("[1 2", [1]), ("[truex", [True]), ("[1}", [1]), ("1 2", 1),
    ('{"a":1,"a":2', {"a": 2}), (' {\n"a"\t:\r1 ', {"a": 1}), ('["\\ud83d\\ude00"', ["\U0001f600"]),
    ("[Infinity", [float("inf")]), ("[-Infi", []), ("[1e400", [float("inf")]),
]


@pytest.mark.parametrize("text, value", PARTIAL, ids=[repr(row[0]) for row in PARTIAL])
def test_partial_json_is_what_is_complete_of_it(text: str, value: Any) -> None:
    if value is ValueError:
        with pytest.raises(ValueError, match="not JSON"):
            openai.partial_json(text)
    else:
        assert openai.partial_json(text) == value


def test_partial_json_takes_any_beginning_of_json_and_in_the_end_all_of_it() -> None:
    value = {"a": [1, -2.5e-7, "\u00e9\\\"\n", None, {"b": {}, "c": [[], True]}], "": {"d": ""}}
    for text in (json.dumps(value), json.dumps(value, indent=1, ensure_ascii=False)):
        for end in range(1, len(text)):
            assert isinstance(openai.partial_json(text[:end]), dict)
        assert openai.partial_json(text) == value


def test_partial_json_takes_time_in_proportion_to_its_length() -> None:
    for piece in ('["' + "a\\n" * 300000, "[" + "1," * 300000, "[1." + "5" * 600000 + "e"):
        began = time.process_time()
        openai.partial_json(piece)
        assert time.process_time() - began < 5
    with pytest.raises(ValueError, match="too deep"):
        openai.partial_json("[" * 1000000)


# ---- 9.2 Tools from functions ----

GOOGLE = '''
def f(city: str, days: Optional[int] = 3, color: Color = Color.RED, *, small: Small = None) -> str:
    """Tell the weather
    of a city.

    And more.

    Args:
        city (str): The city,
            such as Rome.
        days: How many.

    Returns:
        color: no parameter
    """
    return f"{city} {days} {color} {small}"
'''
NUMPY = GOOGLE[: GOOGLE.index("    Args:")] + '''    Parameters
    ----------
    city : str
        The city,
        such as Rome.
    days
        How many.

    Returns
    -------
    color : str
        No parameter.
    """
    return f"{city} {days} {color} {small}"
'''
SPHINX = GOOGLE[: GOOGLE.index("    Args:")] + '''    :param str city: The city,
        such as Rome.
    :param days: How many.
    :returns: color
    """
    return f"{city} {days} {color} {small}"
'''


@pytest.mark.parametrize("future", [False, True])
@pytest.mark.parametrize("source", [GOOGLE, NUMPY, SPHINX])
def test_signature_and_docstring_of_a_function_make_a_tool(source: str, future: bool) -> None:
    function = made(source, "f", future)
    tool = openai.function_tool(function)
    assert tool == {
        "type": "function",
        "function": {
            "name": "f",
            "description": "Tell the weather of a city.",
            "strict": True,
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string", "description": "The city, such as Rome."},
                    "days": {"anyOf": [INTEGER, NULL], "description": "How many."},
                    "color": {"anyOf": [dict(STRING, enum=["red", "blue"]), NULL]},
                    "small": {"anyOf": [{"$ref": "#/$defs/Small"}, NULL]},
                },
                "$defs": {"Small": {
                    "type": "object", "properties": {"a": INTEGER}, "required": ["a"],
                    "additionalProperties": False,
                }},
                "additionalProperties": False,
                "required": ["city", "days", "color", "small"],
            },
        },
    }
    assert tool.name == "f" and tool.function is function and json.loads(json.dumps(tool)) == tool
    assert tool("Rome", 1) == "Rome 1 Color.RED None"
    text = '{"city": "Rome", "days": null, "color": "blue", "small": {"a": 1}}'
    assert tool.run(text) == "Rome 3 Color.BLUE Small(a=1)"
    assert tool.run({"city": "Rome", "days": None}) == "Rome 3 Color.RED None"
    assert tool.parse_arguments(text).keys() == {"city", "color", "small"}


@pytest.mark.parametrize("arguments, message", [
    ("{}", "fit f.*: city: it is missing"),
    ('{"city": 1}', "fit f.*: city: expected a string, got 1"),
    ({"city": "a", "small": {"a": "b"}}, "fit f.*: small.a: expected an integer, got 'b'"),
    ("[]", "fit f.*: expected an object"),
    ("{", "not JSON"),
])
def test_arguments_that_do_not_fit_the_function_are_refused(arguments: Any, message: str) -> None:
    with pytest.raises(openai.OutputParseError, match=message):
        openai.function_tool(made(GOOGLE, "f")).run(arguments)


def test_function_tool_with_options_is_a_decorator_as_well() -> None:
    @openai.function_tool(name="say", description="Say.", strict=False, defer_loading=True)
    def speak(word: str, times: int = 2) -> str:
        return word * times

    assert speak("a", 3) == "aaa" and speak.run('{"word": "a"}') == "aa"
    assert speak["defer_loading"] is True and speak["function"]["strict"] is False
    assert list(speak["function"]) == ["name", "description", "strict", "parameters"]
    assert speak["function"]["parameters"]["required"] == ["word"]
    flat = openai.flat_tool(speak)
    assert flat == dict(speak["function"], type="function", defer_loading=True)
    assert list(flat)[:2] == ["type", "name"] and flat.run({"word": "b"}) == "bb"
    assert openai.flat_tool(flat) is flat


def test_function_tool_takes_methods_coroutines_and_partials() -> None:
    class Shop:
        name = "ours"

        def price(self, of: str) -> str:
            return self.name + of

        async def order(self, of: Finding) -> Any:
            return of.score

    tool = openai.function_tool(Shop().price)
    assert list(tool["function"]["parameters"]["properties"]) == ["of"]
    assert "description" not in tool["function"] and tool.run('{"of": "x"}') == "oursx"
    ordered = openai.function_tool(Shop().order).run('{"of": {"score": 1}}')
    assert asyncio.run(ordered) == 1.0
    part = functools.partial(made(GOOGLE, "f"), days=5)
    assert openai.function_tool(part, name="g").run('{"city": "a"}') == "a 5 Color.RED None"
    assert openai.function_tool(lambda: 1, name="one").run("") == 1
    assert copy.deepcopy(tool).run('{"of": "x"}') == "oursx"


@pytest.mark.parametrize("source, message", [
    ("def f(*a: int): ...", r"f\(\): arguments come by name, which \*a: ?int does not allow"),
    ("def f(**a: int): ...", r"f\(\): arguments come by name"),
    ("def f(a): ...", r"f\(\): a needs an annotation"),
    ("def f(a: bytes): ...", r"f\(\).a: bytes has no JSON schema; use str"),
    ("import functools\nf = functools.partial(len)", "has no name"),
])
def test_a_function_that_cannot_be_a_tool_is_refused(source: str, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        openai.function_tool(made(source, "f"))


@pytest.mark.skipif(sys.version_info < (3, 9), reason="Annotated came with Python 3.9")
def test_annotated_says_more_than_the_docstring() -> None:
    source = 'def f(a: Annotated[int, "From it."], b: int):\n  """:param a: no\n  :param b: B."""'
    function = openai.function_tool(made(source, "f"))["function"]
    assert function["parameters"]["properties"] == {
        "a": dict(INTEGER, description="From it."), "b": dict(INTEGER, description="B."),
    }
    assert "description" not in function


def test_a_class_is_a_tool_that_remembers_it() -> None:
    tool = openai.pydantic_function_tool(Finding)
    function = {"name": "Finding", "strict": True, "parameters": openai.strict_schema(Finding),
                "description": "One finding."}
    assert tool == {"type": "function", "function": function}
    assert tool.model is tool["function"].model is Finding
    flat = openai.pydantic_responses_function_tool(Finding, name="n", defer_loading=True)
    assert flat == dict(function, name="n", type="function", defer_loading=True)
    assert flat.model is Finding and "description" not in openai.pydantic_function_tool(Report)


def tools_of_all_kinds() -> Dict[str, Any]:
    parameters: Dict[str, object] = {"type": "object", "properties": {}}
    strict = {"name": "strict", "strict": True, "parameters": parameters}
    return {
        "model": openai.pydantic_function_tool(Finding),
        "inside": {"type": "function",
                   "function": openai.pydantic_function_tool(Finding, name="inside")["function"]},
        "function": openai.function_tool(made(GOOGLE, "f"), name="function"),
        "strict": {"type": "function", "function": strict},
        "object": openai.ChatCompletionFunctionTool.model_validate(
            {"type": "function", "function": dict(strict, name="object")}
        ),
        "flat object": openai.FunctionTool(
            type="function", name="flat object", strict=True, parameters=parameters
        ),
        "loose": {"type": "function", "function": {"name": "loose", "parameters": parameters}},
        "search": {"type": "web_search"},
    }


@pytest.mark.parametrize("flat", [False, True])
def test_the_arguments_of_a_tool_call_are_read_as_its_tool_wants_them(flat: bool) -> None:
    tools = list(tools_of_all_kinds().values())
    if flat:
        tools = [openai.flat_tool(tool) for tool in tools]
    expected = [
        ("Finding", '{"score": 1}', Finding(1.0)), ("inside", '{"score": 1}', Finding(1.0)),
        ("function", '{"city": "a", "color": "red"}', {"city": "a", "color": MADE.Color.RED}),
        ("strict", '{"a": 1}', {"a": 1}), ("object", '{"a": 1}', {"a": 1}),
        ("flat object", '{"a": 1}', {"a": 1}), ("loose", "{", None), ("unknown", "{", None),
    ]
    for name, text, value in expected:
        assert openai.tool_arguments(iter(tools), name, text) == value, name
    with pytest.raises(openai.OutputParseError):
        openai.tool_arguments(tools, "Finding", "{}")
    with pytest.raises(json.JSONDecodeError):
        openai.tool_arguments(tools, "strict", "{")
    nothing: Any
    for nothing in (None, openai.omit, []):
        assert openai.tool_arguments(nothing, "strict", "{") is None


def test_a_namespace_says_which_tool_of_a_name_is_meant() -> None:
    inner = openai.pydantic_responses_function_tool(Finding, name="get")
    outer = {"type": "function", "name": "get", "strict": True, "parameters": {}}
    spaces = {"type": "namespace", "name": "shop", "tools": [inner]}
    tools = [outer, spaces, {"type": "namespace", "name": "empty", "tools": []}]
    text = '{"score": 1}'
    for namespace, value in (
        (None, {"score": 1}), ("get", {"score": 1}), ("shop", Finding(1.0)), ("empty", None),
        ("other", None),
    ):
        assert openai.tool_arguments(tools, "get", text, namespace=namespace) == value, namespace


# ---- 9.3 Streams that accumulate ----

# Deltas, and what they make together.
DELTAS: List[Tuple[str, List[Dict[str, Any]], Dict[str, Any]]] = [
    ("strings are joined", [{"a": "Hel"}, {"a": "lo"}], {"a": "Hello"}),
    ("null gives way", [{"a": None}, {"a": "x"}, {"a": None}], {"a": "x"}),
    ("numbers add up", [{"a": 1, "b": 0.5}, {"a": 2, "b": 1}], {"a": 3, "b": 1.5}),
    ("truth does not add up", [{"a": True}, {"a": True}], {"a": True}),
    ("objects are merged", [{"a": {"b": "x", "c": 1}}, {"a": {"b": "y", "d": 2}}],
     {"a": {"b": "xy", "c": 1, "d": 2}}),
    ("type and index are replaced", [{"type": "a", "index": 1}, {"type": "b", "index": 1}],
     {"type": "b", "index": 1}),
    ("null is no type", [{"type": "a", "index": 1}, {"type": None, "index": None}],
     {"type": "a", "index": 1}),
    ("what is unknown is kept", [{"new": [1, {"x": "y"}]}, {"newer": {"a": "b"}}],
     {"new": [1, {"x": "y"}], "newer": {"a": "b"}}),
    ("a value of another type changes nothing", [{"a": "x"}, {"a": {"b": 1}}], {"a": "x"}),
    ("lists of strings go on", [{"a": ["x"]}, {"a": ["y", "z"]}], {"a": ["x", "y", "z"]}),
    ("entries of one index are merged",
     [{"a": [{"index": 0, "s": "x", "type": "t"}]}, {"a": [{"index": 0, "s": "y", "type": "t"}]}],
     {"a": [{"index": 0, "s": "xy", "type": "t"}]}),
    ("two pieces of one entry in the first delta",
     [{"a": [{"index": 0, "s": "x"}, {"index": 0, "s": "y"}, {"index": 1, "s": "z"}]}],
     {"a": [{"index": 0, "s": "xy"}, {"index": 1, "s": "z"}]}),
    ("two pieces of one entry in a nested list of a new entry",
     [{"a": [{"index": 0, "b": [{"index": 0, "s": "x"}, {"index": 0, "s": "y"}]}]}],
     {"a": [{"index": 0, "b": [{"index": 0, "s": "xy"}]}]}),
    ("an empty list is filled", [{"a": []}, {"a": [{"index": 0, "s": "x"}]},
     {"a": [{"index": 0, "s": "y"}]}], {"a": [{"index": 0, "s": "xy"}]}),
    ("a gap", [{"a": [{"index": 2, "s": "x"}]}, {"a": [{"index": 2, "s": "y"}]}],
     {"a": [{"index": 2, "s": "xy"}]}),
    ("out of order", [{"a": [{"index": i, "s": s}]} for i, s in enumerate("abc")][::-1]
     + [{"a": [{"index": 3, "s": "d"}, {"index": 1, "s": "!"}]}],
     {"a": [{"index": i, "s": s} for i, s in enumerate(["a", "b!", "c", "d"])]}),
    ("a gap in the middle", [{"a": [{"index": i, "s": str(i)}]} for i in (5, 1, 3, 5, 1)],
     {"a": [{"index": 1, "s": "11"}, {"index": 3, "s": "3"}, {"index": 5, "s": "55"}]}),
    ("entries that do not tell their index", [{"a": [{"s": "x"}, {"s": "y"}]},
     {"a": [{"index": 1, "s": "z"}, {"index": 2, "s": "!"}]}],
     {"a": [{"s": "x"}, {"s": "yz", "index": 1}, {"index": 2, "s": "!"}]}),
    ("entries without an index are appended", [{"a": [{"index": 0, "s": "x"}]}, {"a": [{"s": "y"}]},
     {"a": [{"index": None, "s": "z"}, ["w"]]}, {"a": [{"index": 2, "s": "!"}]}],
     {"a": [{"index": 0, "s": "x"}, {"s": "y"}, {"index": 2, "s": "z!"}, ["w"]]}),
    ("an index that cannot be", [{"a": [{"index": 0, "s": "x"}, {"index": -1, "s": "y"}]}],
     {"a": [{"index": -1, "s": "y"}, {"index": 0, "s": "x"}]}),
]


@pytest.mark.parametrize("deltas, whole", [row[1:] for row in DELTAS], ids=[r[0] for r in DELTAS])
def test_deltas_add_up_to_the_whole_and_stay_as_they_were(
    deltas: List[Dict[str, Any]], whole: Dict[str, Any]
) -> None:
    before = copy.deepcopy(deltas)
    acc: Dict[str, Any] = {}
    for delta in deltas:
        assert openai.accumulate_delta(acc, delta) is acc
    assert acc == whole
    assert deltas == before


def test_many_entries_cost_no_more_each() -> None:
    acc: Dict[str, Any] = {}
    for i in range(20_000):
        openai.accumulate_delta(acc, {"a": [{"index": i, "s": "x"}]})
    openai.accumulate_delta(acc, {"a": [{"index": i, "s": "y"} for i in range(20_000)]})
    assert len(acc["a"]) == 20_000 and {entry["s"] for entry in acc["a"]} == {"xy"}


# ---- 9.4 Assistants ----


def named_sse(*events: Tuple[str, Any]) -> List[bytes]:
    """Server-sent events with names, as those of runs are, each by itself."""
    return [f"event: {name}\n".encode() + sse(data) for name, data in events]


def run_event(status: str, **fields: Any) -> Tuple[str, Any]:
    run = {"id": "run_1", "object": "thread.run", "status": status, "thread_id": "thread_1",
           "assistant_id": "asst_1", "tools": [{"type": "code_interpreter"}], "usage": None}
    return f"thread.run.{status}", dict(run, **fields)


def step_event(name: str, number: int, details: Any, **fields: Any) -> Tuple[str, Any]:
    step = {"id": f"step_{number}", "object": "thread.run.step", "run_id": "run_1", "usage": None,
            "status": "in_progress", "type": details["type"], "step_details": details}
    return f"thread.run.step.{name}", dict(step, **fields)


def step_delta(number: int, *calls: Any, **fields: Any) -> Tuple[str, Any]:
    details = {"type": "tool_calls", "tool_calls": list(calls)}
    return "thread.run.step.delta", {"id": f"step_{number}", "object": "thread.run.step.delta",
                                     "delta": dict({"step_details": details}, **fields)}


def message_event(name: str, number: int, *content: Any, **fields: Any) -> Tuple[str, Any]:
    message = {"id": f"msg_{number}", "object": "thread.message", "role": "assistant",
               "run_id": "run_1", "status": "in_progress", "content": list(content),
               "attachments": [], "metadata": {}}
    return f"thread.message.{name}", dict(message, **fields)


def message_delta(number: int, *content: Any, **fields: Any) -> Tuple[str, Any]:
    return "thread.message.delta", {"id": f"msg_{number}", "object": "thread.message.delta",
                                    "delta": dict({"content": list(content)}, **fields)}


def text_piece(index: int, value: str, **fields: Any) -> Any:
    return {"index": index, "type": "text", "text": dict({"value": value}, **fields)}


def code_piece(**fields: Any) -> Any:
    return {"index": 0, "type": "code_interpreter", "code_interpreter": fields}


def function_piece(index: int, arguments: str, **fields: Any) -> Any:
    function = dict({"arguments": arguments}, **fields)
    start = {"id": f"call_{index}"} if "name" in fields else {}
    return {"index": index, "type": "function", "function": function, **start}


def text_block(value: str, *annotations: Any) -> Any:
    return {"type": "text", "text": {"value": value, "annotations": list(annotations)}}


CITATION = {"type": "file_citation", "text": "[1]", "start_index": 5, "end_index": 8,
            "file_citation": {"file_id": "file-1"}}
FILE_PATH = {"type": "file_path", "text": "sandbox:/a.csv", "start_index": 9, "end_index": 23,
             "file_path": {"file_id": "file-2"}}
CODE = {"id": "call_c", "type": "code_interpreter", "code_interpreter": {
    "input": "plot(1)\nplot(2)", "outputs": [
        {"type": "logs", "logs": "1\n2"}, {"type": "image", "image": {"file_id": "file-3"}}]}}
IMAGE = {"type": "image_file", "image_file": {"file_id": "file-4"}}
CALLS = [{"id": f"call_{i}", "type": "function",
          "function": {"name": f"f{i}", "arguments": '{"a":%d}' % i, "output": None}}
         for i in range(2)]
TOOL_CALLS: Any = {"type": "tool_calls", "tool_calls": []}
WRITING: Any = {"type": "message_creation", "message_creation": {"message_id": "msg_1"}}
DONE_EVENT = ("done", b"[DONE]")

# A run that computes, writes a message of three blocks and another, and calls two functions.
RUN_UP_TO_TOOLS = [
    ("thread.created", {"id": "thread_1", "object": "thread", "metadata": {}}),
    run_event("created"),
    run_event("queued"),
    run_event("in_progress", novel={"field": [1]}),
    step_event("created", 1, TOOL_CALLS),
    step_event("in_progress", 1, TOOL_CALLS),
    step_delta(1, dict(code_piece(input="", outputs=[]), id="call_c")),
    step_delta(1, code_piece(input="plot(1)\n")),
    step_delta(1, code_piece(input="plot"), code_piece(input="(2)")),
    step_delta(1, code_piece(outputs=[{"index": 0, "type": "logs", "logs": "1\n"}])),
    step_delta(1, code_piece(outputs=[{"index": 0, "type": "logs", "logs": "2"}, {
        "index": 1, "type": "image", "image": {"file_id": "file-3"}}]), novel="x"),
    step_event("completed", 1, dict(TOOL_CALLS, tool_calls=[CODE]), status="completed",
               usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}),
    ("thread.novel", {"id": "x", "object": "thread.novel"}),
    step_event("created", 2, WRITING),
    step_event("in_progress", 2, WRITING),
    message_event("created", 1),
    message_event("in_progress", 1),
    message_delta(1, text_piece(0, "A c", annotations=[]), role="assistant"),
    message_delta(1, text_piece(0, "at"), text_piece(0, " [1]")),
    message_delta(1, text_piece(0, "", annotations=[dict(CITATION, index=0)])),
    message_delta(1, text_piece(0, " sandbox:/a.csv", annotations=[dict(FILE_PATH, index=1)])),
    message_delta(1, dict(IMAGE, index=1), novel=[]),
    message_delta(1, text_piece(2, "The", annotations=[])),
    message_delta(1, {"index": 2, "type": "text"}),
    message_delta(1, text_piece(2, " end", novel={"a": 1})),
    message_event("completed", 1, text_block("A cat [1] sandbox:/a.csv", CITATION, FILE_PATH),
                  IMAGE, text_block("The end"), status="completed", novel=None),
    message_event("created", 2),
    message_delta(2, text_piece(0, "More")),
    message_delta(2, {"index": 1, "type": "hologram", "hologram": "h"}),
    message_delta(2, {"index": 2, "type": "refusal", "refusal": "no"}),
    message_event("completed", 2, text_block("More"), {"type": "hologram", "hologram": "h"},
                  {"type": "refusal", "refusal": "no"}, status="completed"),
    step_event("completed", 2, WRITING, status="completed"),
    step_event("created", 3, TOOL_CALLS),
    step_delta(3, function_piece(0, "", name="f0", output=None)),
    step_delta(3, function_piece(0, '{"a"')),
    step_delta(3, function_piece(1, "", name="f1", output=None)),
    step_delta(3, function_piece(0, ":"), function_piece(1, '{"a":')),
    step_delta(3, function_piece(1, "1}")),
    step_delta(3, function_piece(0, "0}")),
    run_event("requires_action", required_action={
        "type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": CALLS}}),
    DONE_EVENT,
]
RUN_AFTER_TOOLS = [
    step_event("completed", 3, dict(TOOL_CALLS, tool_calls=CALLS), status="completed"),
    run_event("queued"),
    run_event("in_progress"),
    message_event("created", 3),
    message_delta(3, text_piece(0, "Done")),
    message_event("completed", 3, text_block("Done"), status="completed"),
    run_event("completed", usage={"total_tokens": 9}),
    DONE_EVENT,
]
STOPPED_RUN = [
    run_event("in_progress"),
    step_event("created", 1, TOOL_CALLS),
    step_delta(1, function_piece(0, "{", name="f0")),
    message_event("created", 1),
    message_delta(1, text_piece(0, "Half a")),
    message_event("incomplete", 1, text_block("Half a"), status="incomplete"),
    step_event("cancelled", 1, TOOL_CALLS, status="cancelled"),
    run_event("cancelling"),
    run_event("cancelled"),
    DONE_EVENT,
]
RECORDINGS = {
    "up to tools": RUN_UP_TO_TOOLS, "after tools": RUN_AFTER_TOOLS, "stopped": STOPPED_RUN,
    "empty": [DONE_EVENT], "failed": [run_event("failed", last_error={"code": "server_error"})],
    "expired": [*STOPPED_RUN[:3], step_event("expired", 1, TOOL_CALLS), run_event("expired")],
    "incomplete": [*STOPPED_RUN[:6], step_event("failed", 1, TOOL_CALLS), run_event("incomplete")],
    "an error": [*STOPPED_RUN[:5], ("error", {"error": {"message": "Sorry", "code": "x"}})],
    "not JSON": [*STOPPED_RUN[:5], ("thread.message.delta", b"{")],
    "a piece of a message that has not begun": [message_delta(1, text_piece(0, "x")), DONE_EVENT],
    "a piece of a step that has not begun": [step_delta(1, function_piece(0, "")), DONE_EVENT],
}
HOOKS = (
    "on_end", "on_event", "on_run_step_created", "on_run_step_delta", "on_run_step_done",
    "on_tool_call_created", "on_tool_call_delta", "on_tool_call_done", "on_exception", "on_timeout",
    "on_message_created", "on_message_delta", "on_message_done", "on_text_created",
    "on_text_delta", "on_text_done", "on_image_file_done",
)
IGNORE_DEPRECATED = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")
RUN_METHODS: Dict[str, Dict[str, Any]] = {
    "beta.threads.runs.stream": {"thread_id": "t", "assistant_id": "a"},
    "beta.threads.runs.create_and_stream": {"thread_id": "t", "assistant_id": "a"},
    "beta.threads.create_and_run_stream": {"assistant_id": "a"},
    "beta.threads.runs.submit_tool_outputs_stream": {
        "thread_id": "t", "run_id": "r", "tool_outputs": [{"tool_call_id": "c", "output": "o"}]},
}


def as_plain(value: Any) -> Any:
    if isinstance(value, Exception):  # the packages have classes of their own
        return "an exception"
    return value.to_dict() if hasattr(value, "to_dict") else value


def watcher(base: Any, log: List[Any], failing: str = "") -> Any:
    """An event handler that writes down each call of a hook, and what can be seen during it."""

    def note(self: Any, name: str, args: Any) -> None:
        seen = [self.current_event, self.current_run, self.current_run_step_snapshot,
                self.current_message_snapshot]
        log.append((name, [as_plain(arg) for arg in args], [as_plain(value) for value in seen]))
        if name == failing:
            raise KeyError(failing)

    def hook(name: str) -> Any:
        async def wait(self: Any, *args: Any) -> None:
            await asyncio.sleep(0)
            note(self, name, args)

        return wait if "Async" in base.__name__ else lambda self, *args: note(self, name, args)

    return type("Watcher", (base,), {name: hook(name) for name in HOOKS})()


def in_run(
    package: Any, make: str, server: Any, use: Callable[[Any], Any], handler: Any = None,
    method: str = "beta.threads.runs.stream", **options: Any
) -> Any:
    """`use(handler)` within the manager that a method returns, in either client of a package."""
    client = getattr(package, make)(base_url=server.url, api_key=KEY, max_retries=0, **options)
    manager = method_of(client, method)(**RUN_METHODS[method], event_handler=handler)
    if make == "OpenAI":
        with client, manager as stream:
            return use(stream)

    async def wait() -> Any:
        async with client, manager as stream:
            result = use(stream)
            return await result if inspect.isawaitable(result) else result

    return asyncio.run(wait())


def watched(package: Any, make: str, answers: Answer, failing: str = "", **options: Any) -> Any:
    """The log of all hooks of a run that is read to its end, and the error that this raised."""
    log: List[Any] = []
    base = getattr(package, make.replace("OpenAI", "AssistantEventHandler"))
    error = None
    with RawServer(answers) as server:
        try:
            in_run(package, make, server, lambda stream: stream.until_done(),
                   watcher(base, log, failing), **options)
        except Exception as err:
            error = err
    return log, error


BOTH_NAMES = pytest.mark.parametrize("make", ["OpenAI", "AsyncOpenAI"])


@BOTH_NAMES
@pytest.mark.parametrize("recording", RECORDINGS)
@IGNORE_WARNINGS
def test_hooks_are_called_with_what_the_official_handler_calls_them(
    recording: str, make: str
) -> None:
    sent = stream_answer(b"".join(named_sse(*RECORDINGS[recording])))
    ours, error = watched(openai, make, sent)
    theirs, their_error = watched(official(), make, sent)
    for our, their in zip(ours, theirs):
        assert our == their
    assert len(ours) == len(theirs) and (error is None) == (their_error is None)


def gist(value: Any) -> str:
    """What an argument of a hook says, in short."""
    for key in ("text", "function", "code_interpreter"):
        value = value[key] if isinstance(value.get(key), dict) else value
    keys = [key for key in ("value", "input", "arguments", "file_id", "id") if key in value]
    return repr(value[keys[0]]) if keys else "..."


# The hooks that the recording up to the tools calls, but for on_event, with their arguments.
HOOK_CALLS = r"""
on_run_step_created 'step_1'
on_tool_call_created ''
on_run_step_delta ... 'step_1'
on_tool_call_delta 'plot(1)\n' 'plot(1)\n'
on_run_step_delta ... 'step_1'
on_tool_call_delta 'plot' 'plot(1)\nplot(2)'
on_tool_call_delta '(2)' 'plot(1)\nplot(2)'
on_run_step_delta ... 'step_1'
on_tool_call_delta ... 'plot(1)\nplot(2)'
on_run_step_delta ... 'step_1'
on_tool_call_delta ... 'plot(1)\nplot(2)'
on_run_step_delta ... 'step_1'
on_tool_call_done 'plot(1)\nplot(2)'
on_run_step_done 'step_1'
on_run_step_created 'step_2'
on_message_created 'msg_1'
on_text_created 'A c'
on_text_delta 'A c' 'A c'
on_message_delta ... 'msg_1'
on_text_delta 'at' 'A cat [1]'
on_text_delta ' [1]' 'A cat [1]'
on_message_delta ... 'msg_1'
on_text_delta '' 'A cat [1]'
on_message_delta ... 'msg_1'
on_text_delta ' sandbox:/a.csv' 'A cat [1] sandbox:/a.csv'
on_message_delta ... 'msg_1'
on_text_done 'A cat [1] sandbox:/a.csv'
on_message_delta ... 'msg_1'
on_text_created 'The'
on_text_delta 'The' 'The'
on_image_file_done 'file-4'
on_message_delta ... 'msg_1'
on_message_delta ... 'msg_1'
on_text_delta ' end' 'The end'
on_message_delta ... 'msg_1'
on_text_done 'The end'
on_message_done 'msg_1'
on_message_created 'msg_2'
on_text_created 'More'
on_text_delta 'More' 'More'
on_text_done 'The end'
on_message_delta ... 'msg_2'
on_text_done 'More'
on_message_delta ... 'msg_2'
on_message_delta ... 'msg_2'
on_message_done 'msg_2'
on_tool_call_done 'plot(1)\nplot(2)'
on_run_step_done 'step_2'
on_run_step_created 'step_3'
on_tool_call_delta '' ''
on_run_step_delta ... 'step_3'
on_tool_call_delta '{"a"' '{"a"'
on_run_step_delta ... 'step_3'
on_tool_call_done '{"a"'
on_tool_call_created ''
on_run_step_delta ... 'step_3'
on_tool_call_done ''
on_tool_call_created '{"a":'
on_tool_call_done '{"a":'
on_tool_call_created '{"a":'
on_run_step_delta ... 'step_3'
on_tool_call_delta '1}' '{"a":1}'
on_run_step_delta ... 'step_3'
on_tool_call_done '{"a":1}'
on_tool_call_created '{"a":0}'
on_run_step_delta ... 'step_3'
on_tool_call_done '{"a":0}'
on_end
"""


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_hooks_are_called_in_this_order(make: str) -> None:
    sent = stream_answer(b"".join(named_sse(*RUN_UP_TO_TOOLS)))
    log, error = watched(openai, make, sent)
    called = [" ".join([name, *map(gist, args)]) for name, args, _ in log if name != "on_event"]
    assert called == HOOK_CALLS.strip().split("\n") and error is None
    events = [args[0]["event"] for name, args, _ in log if name == "on_event"]
    assert events == [name for name, _ in RUN_UP_TO_TOOLS[:-1]]


def final(kind: str) -> Callable[[Any], Any]:
    return lambda handler: getattr(handler, "get_final_" + kind)()


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_in_the_end_a_handler_has_the_run_its_steps_and_its_messages(make: str) -> None:
    ended = [data for name, data in RUN_UP_TO_TOOLS if name.endswith("completed")]
    with RawServer(*[stream_answer(b"".join(named_sse(*RUN_UP_TO_TOOLS)))] * 3) as server:
        run = in_run(openai, make, server, final("run"))
        steps = in_run(openai, make, server, final("run_steps"))
        messages = in_run(openai, make, server, final("messages"))
    assert type(run) is openai.Run and run.to_dict() == RUN_UP_TO_TOOLS[-2][1]
    assert {type(step) for step in steps} == {openai.RunStep}
    assert [step.to_dict() for step in steps[:2]] == [ended[0], ended[3]]
    assert steps[2].status == "in_progress"  # its functions are to be called
    arguments = [tool.function.arguments for tool in steps[2].step_details.tool_calls]
    assert arguments == ['{"a":0}', '{"a":1}']
    assert [message.to_dict() for message in messages] == ended[1:3]


@BOTH_NAMES
@pytest.mark.parametrize("kind, what", [
    ("run", "run"), ("run_steps", "run step"), ("messages", "message")])
@IGNORE_DEPRECATED
def test_what_there_was_not_is_an_error(kind: str, what: str, make: str) -> None:
    with RawServer(stream_answer(b"".join(named_sse(DONE_EVENT)))) as server:
        with pytest.raises(RuntimeError, match=f"there was no {what} in the stream"):
            in_run(openai, make, server, final(kind))


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_a_run_that_was_cut_is_never_taken_for_complete(make: str) -> None:
    """Be it cut by a proxy that ends the body as if it were whole, or by a lost connection."""
    events = named_sse(*RUN_UP_TO_TOOLS[13:26], *RUN_AFTER_TOOLS[-2:])
    whole, done = b"".join(events), len(events[-1])
    ends = [sum(map(len, events[:i])) for i in range(len(events) - 1)]
    for end in ends + [end + 40 for end in ends] + [len(whole) - done - 1]:
        for kind in "run", "run_steps", "messages":
            with RawServer(stream_answer(whole[:end])) as server:
                with pytest.raises(openai.APIConnectionError, match="without the end of the run"):
                    in_run(openai, make, server, final(kind))
        with RawServer(hang_up(stream_answer(whole)[: end - len(whole)])) as server:
            with pytest.raises(openai.APIConnectionError):
                in_run(openai, make, server, final("run"))
    with RawServer(stream_answer(whole[:-done])) as server:  # only `[DONE]` is missing
        assert in_run(openai, make, server, final("run")).status == "completed"


@IGNORE_DEPRECATED
def test_an_error_does_not_turn_what_came_before_it_into_a_whole() -> None:
    def use(handler: openai.AssistantEventHandler) -> None:
        with pytest.raises(openai.APIError, match="Sorry"):
            handler.until_done()
        for kind in "run", "run_steps", "messages":
            with pytest.raises(openai.APIConnectionError, match="without the end of the run"):
                final(kind)(handler)
        assert handler.current_run is not None and handler.current_run.status == "in_progress"

    with RawServer(stream_answer(b"".join(named_sse(*RECORDINGS["an error"])))) as server:
        in_run(openai, "OpenAI", server, use)


@pytest.mark.parametrize("end", openai.RUN_ENDS)
def test_a_stream_of_a_run_is_completed_by_its_last_event(end: str) -> None:
    body = b"".join(named_sse(run_event("queued"), (end, {"id": "run_1"})))
    with RawServer(stream_answer(body)) as server, client_of(server) as client:
        with pytest.warns(DeprecationWarning):
            stream = client.beta.threads.runs.create("t", assistant_id="a", stream=True)
        assert len(list(stream)) == 2 and stream.completed


@BOTH_NAMES
@IGNORE_WARNINGS
def test_an_exception_of_a_hook_is_told_to_the_hooks_and_raised(make: str) -> None:
    sent = stream_answer(b"".join(named_sse(*RUN_UP_TO_TOOLS)))
    for failing in "on_text_created", "on_event", "on_tool_call_done", "on_end", "on_message_done":
        log, error = watched(openai, make, sent, failing)
        assert error.args == (failing,)
        assert [name for name, _, _ in log[-3:]] == (
            ["on_event", "on_tool_call_done", "on_end"] if failing == "on_end"
            else [failing, "on_exception", "on_end"] if len(log) > 2
            else ["on_event", "on_exception", "on_end"]
        )


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_a_timeout_has_a_hook_of_its_own(make: str) -> None:
    begun = stream_answer(b"", Content_Length="9999") + named_sse(*STOPPED_RUN)[0]

    def answer_and_wait(conn: socket.socket) -> None:
        conn.sendall(begun)
        conn.recv(1)

    log, error = watched(openai, make, answer_and_wait, timeout=0.2)
    assert [name for name, _, _ in log] == ["on_event", "on_timeout", "on_exception", "on_end"]
    assert type(error) is openai.APITimeoutError


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_a_handler_serves_one_stream(make: str) -> None:
    handler = getattr(openai, make.replace("OpenAI", "AssistantEventHandler"))()
    with RawServer(*[stream_answer(b"".join(named_sse(*STOPPED_RUN)))] * 2) as server:
        assert in_run(openai, make, server, lambda stream: stream, handler) is handler
        with pytest.raises(RuntimeError, match="a handler of its own"):
            in_run(openai, make, server, lambda stream: stream, handler)
        assert len(server.requests) == 1
    unused = getattr(openai, make.replace("OpenAI", "AssistantEventHandler"))()
    with pytest.raises(RuntimeError, match="there is no stream yet"):
        next(unused) if make == "OpenAI" else asyncio.run(unused.__anext__())


@IGNORE_DEPRECATED
def test_a_handler_that_was_not_given_a_stream_can_be_used_again() -> None:
    handler = openai.AssistantEventHandler()
    sent = stream_answer(b"".join(named_sse(*STOPPED_RUN)))
    with RawServer(answer("{}", "400 Bad Request"), sent) as server:
        with pytest.raises(openai.BadRequestError):
            in_run(openai, "OpenAI", server, lambda stream: None, handler)
        assert in_run(openai, "OpenAI", server, final("run"), handler).status == "cancelled"


@IGNORE_DEPRECATED
def test_leaving_early_ends_the_stream_and_tells_the_handler() -> None:
    class Counting(openai.AssistantEventHandler):
        def __init__(self, start: int) -> None:
            super().__init__()
            self.ends = start

        def on_end(self) -> None:
            self.ends += 1

    class AsyncCounting(openai.AsyncAssistantEventHandler):
        ends = 0

        async def on_end(self) -> None:
            self.ends += 1

        async def on_message_created(self, message: openai.Message) -> None:
            await self.close()

    with RawServer(*[stream_answer(b"".join(named_sse(*RUN_UP_TO_TOOLS)))] * 2) as server:
        with client_of(server) as client:
            runs = client.beta.threads.runs
            with runs.stream(
                thread_id="t", assistant_id="a", event_handler=Counting(0)
            ) as handler:
                for text in handler.text_deltas:
                    assert text == "A c" and handler.ends == 0
                    break
            assert handler.ends == 1 and list(handler) == []
            with pytest.raises(openai.APIConnectionError, match="without the end of the run"):
                handler.get_final_run()

        async def leave() -> Tuple[int, int]:
            async with async_client_of(server) as client:
                async with client.beta.threads.runs.stream(
                    thread_id="t", assistant_id="a", event_handler=AsyncCounting()
                ) as handler:
                    return len([event async for event in handler]), handler.ends

        count, ends = asyncio.run(leave())  # closed by a hook, after which it is over
        assert RUN_UP_TO_TOOLS[count - 1][0] == "thread.message.created" and ends == 1


@BOTH_NAMES
@IGNORE_DEPRECATED
def test_events_and_text_can_be_iterated_over(make: str) -> None:
    def events(handler: Any) -> Any:
        async def wait() -> Any:
            return [event.event async for event in handler]

        return wait() if "Async" in make else [event.event for event in handler]

    def texts(handler: Any) -> Any:
        async def wait() -> Any:
            return [text async for text in handler.text_deltas]

        return wait() if "Async" in make else list(handler.text_deltas)

    with RawServer(*[stream_answer(b"".join(named_sse(*RUN_UP_TO_TOOLS)))] * 2) as server:
        assert in_run(openai, make, server, events) == [name for name, _ in RUN_UP_TO_TOOLS[:-1]]
        assert in_run(openai, make, server, texts) == [
            "A c", "at", " [1]", " sandbox:/a.csv", "The", " end", "More"]


# What the streaming methods of runs take besides what they must.
RUN_OPTIONS: List[Dict[str, Any]] = [
    {}, {"extra_headers": {"OpenAI-Beta": "mine", "X-Stainless-Stream-Helper": "mine", "X-A": "b"}},
    {"extra_query": {"a": ["b"]}, "extra_body": {"novel": None}},
]
RUN_PARAMS: Dict[str, Any] = {
    "additional_instructions": None, "instructions": "i", "max_completion_tokens": 1,
    "max_prompt_tokens": 2, "metadata": {"a": "b"}, "model": "m", "parallel_tool_calls": False,
    "reasoning_effort": "low", "response_format": "auto", "temperature": 0.5,
    "tool_choice": {"type": "function", "function": {"name": "f"}}, "tools": [], "top_p": None,
    "additional_messages": [{"role": "user", "content": "c"}],
    "truncation_strategy": {"type": "auto"},
}
ONLY_FOR_RUNS = ("additional_instructions", "additional_messages", "reasoning_effort")
MORE_PARAMS: Dict[str, List[Dict[str, Any]]] = {
    "beta.threads.runs.stream": [RUN_PARAMS, {"include": ["a", "b"]}],
    "beta.threads.runs.create_and_stream": [  # the official AsyncOpenAI lacks a parameter there
        {k: v for k, v in RUN_PARAMS.items() if k != "reasoning_effort"}],
    "beta.threads.create_and_run_stream": [
        dict({k: v for k, v in RUN_PARAMS.items() if k not in ONLY_FOR_RUNS}, thread={"messages": [
            {"role": "user", "content": "c"}]}, tool_resources={"code_interpreter": {}})],
    "beta.threads.runs.submit_tool_outputs_stream": [],
}


@pytest.mark.parametrize("method", RUN_METHODS)
@pytest.mark.parametrize("own", [True, False])
@BOTH_NAMES
@IGNORE_WARNINGS
def test_streamed_runs_send_what_the_official_package_sends(
    method: str, own: bool, make: str
) -> None:
    for options in RUN_OPTIONS + MORE_PARAMS[method]:
        sent = []
        for package in official(), openai:
            handler = getattr(package, make.replace("OpenAI", "AssistantEventHandler"))()
            with RawServer(stream_answer(b"".join(named_sse(DONE_EVENT)))) as server:
                client = getattr(package, make)(base_url=server.url, api_key=KEY)
                given = dict(RUN_METHODS[method], **options)
                manager = method_of(client, method)(event_handler=handler if own else None, **given)
                assert not server.requests  # it waits for the `with`

                async def enter() -> None:
                    async with client, manager:
                        pass

                if make == "OpenAI":
                    with client, manager:
                        pass
                else:
                    asyncio.run(enter())
            (head, body), = server.requests
            shown = r"openai-beta|content-.*|x-a|accept|x-stainless-(stream|custom|poll|read).*"
            headers = {k: v for k, v in headers_of(head).items() if re.fullmatch(shown, k)}
            sent.append((head.partition("\r\n")[0], headers, json.loads(body)))
        assert sent[0] == sent[1], options
        assert sent[1][1]["x-stainless-custom-event-handler"] == str(own).lower()
        assert sent[1][2]["stream"] is True


@pytest.mark.parametrize("method", RUN_METHODS)
@BOTH
def test_streamed_runs_warn_and_refuse_at_the_call(method: str, make: Any) -> None:
    client = make(api_key=KEY)
    with pytest.warns(DeprecationWarning, match="use the Responses API") as caught:
        method_of(client, method)(**RUN_METHODS[method])
    assert [warning.filename for warning in caught] == [__file__]
    name = method.rpartition(".")[2].replace("create_and_stream", "stream")
    with pytest.raises(TypeError, match=rf"{name}\(\) missing 1 required argument"):
        method_of(client, method)(**dict(list(RUN_METHODS[method].items())[:-1]))
    with pytest.raises(TypeError, match=rf"{name}\(\) got an unexpected keyword argument 'x'"):
        method_of(client, method)(x=1, **RUN_METHODS[method])
    with pytest.raises(TypeError, match="positional"):
        method_of(client, method)("t")
    assert method_of(client, method).__doc__
    view = method.rpartition(".")[0] + ".with_raw_response." + method.rpartition(".")[2]
    with pytest.raises(AttributeError, match="no view of a single response"):
        method_of(client, view)(**RUN_METHODS[method])


def test_indices_of_a_message_may_leave_gaps_and_come_in_any_order() -> None:
    state = openai.RunState()
    order = [2, 0, 2, 1, 0]
    rows = [message_event("created", 1), *[message_delta(1, text_piece(i, str(i))) for i in order]]
    texts = []
    for name, data in rows:
        event = openai.decode(openai.AssistantStreamEvent, {"event": name, "data": data})
        texts += [args[1].value for hook, args in state.hooks(event) if hook == "on_text_delta"]
    assert texts == ["2", "0", "22", "1", "00"]
    assert state.message is not None
    assert [block.text.value for block in state.message.content if block.type == "text"] == [
        "00", "1", "22"]


# ---- 9.5 Polling ----

RUNNING = {"id": "run-1", "object": "thread.run", "thread_id": "t", "status": "in_progress"}
FILING = {"id": "file-1", "object": "vector_store.file", "status": "in_progress"}
MAKING = {"id": "video-1", "object": "video", "status": "queued"}
BATCHING = {"id": "vsfb-1", "object": "vector_store.files_batch", "status": "in_progress",
            "file_counts": {"in_progress": 1}}
UPLOADED = {"id": "file-1", "object": "file", "status": "uploaded"}
ONE_RUN, ONE_FILE = "/threads/t/runs/run-1", "/vector_stores/vs/files/file-1"
BATCH_PATH = "/vector_stores/vs/file_batches/vsfb-1"

# Method, arguments, what its first requests are answered with, what is polled and where, and what
# is the object when it is done.
POLLS: List[Tuple[str, Dict[str, Any], List[Any], Dict[str, Any], str, Dict[str, Any]]] = [
    ("beta.threads.runs.poll", {"run_id": "run-1", "thread_id": "t"}, [], RUNNING, ONE_RUN,
     {"status": "requires_action"}),
    ("beta.threads.runs.create_and_poll",
     {"thread_id": "t", "assistant_id": "a", "instructions": "Go.", "include": [
         "step_details.tool_calls[*].file_search.results[*].content"]},
     [RUNNING], RUNNING, ONE_RUN, {"status": "completed"}),
    ("beta.threads.runs.submit_tool_outputs_and_poll",
     {"run_id": "run-1", "thread_id": "t",
      "tool_outputs": [{"tool_call_id": "c", "output": "1"}]},
     [RUNNING], RUNNING, ONE_RUN, {"status": "incomplete"}),
    ("beta.threads.create_and_run_poll", {"assistant_id": "a", "model": "m"}, [RUNNING], RUNNING,
     ONE_RUN, {"status": "failed"}),
    ("vector_stores.files.poll", {"file_id": "file-1", "vector_store_id": "vs"}, [], FILING,
     ONE_FILE, {"status": "failed"}),
    ("vector_stores.files.create_and_poll",
     {"file_id": "file-1", "vector_store_id": "vs", "attributes": {"a": 1}}, [FILING], FILING,
     ONE_FILE, {"status": "completed"}),
    ("vector_stores.files.upload_and_poll",
     {"vector_store_id": "vs", "file": ("a.txt", b"text"), "attributes": {"a": 1}},
     [UPLOADED, FILING], FILING, ONE_FILE, {"status": "completed"}),
    ("vector_stores.file_batches.poll", {"batch_id": "vsfb-1", "vector_store_id": "vs"}, [],
     BATCHING, BATCH_PATH, {"file_counts": {"in_progress": 0}}),
    ("vector_stores.file_batches.create_and_poll",
     {"vector_store_id": "vs", "file_ids": ["file-1"], "chunking_strategy": {"type": "auto"}},
     [BATCHING], BATCHING, BATCH_PATH, {"file_counts": {"in_progress": 0}}),
    ("videos.poll", {"video_id": "video-1"}, [], MAKING, "/videos/video-1", {"status": "failed"}),
    ("videos.create_and_poll", {"prompt": "a cat", "seconds": "4"}, [MAKING], MAKING,
     "/videos/video-1", {"status": "completed"}),
]
EACH_POLL = pytest.mark.parametrize(
    "dotted, params, before, waiting, path, done", POLLS, ids=[row[0] for row in POLLS]
)
Reports = List[Tuple[int, Optional[int]]]
QUIET = pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")


@BOTH
@EACH_POLL
@QUIET
def test_polling_asks_until_the_object_is_done(
    dotted: str, params: Dict[str, Any], before: Any, waiting: Any, path: str, done: Any, make: Any
) -> None:
    ended = answer(dict(waiting, **done))
    answers = [*map(answer, before), answer(waiting), answer(waiting), ended]
    with RawServer(*answers) as server:
        client = make(api_key=KEY, base_url=server.url)
        found = call(client, dotted, **params, poll_interval_ms=1, timeout=7.0,
                     extra_headers={"X-Mine": "1"}, extra_query={"q": "1"})
        assert {name: found.to_dict()[name] for name in done} == done
        client.close() if make is OpenAI else asyncio.run(client.close())
    assert [head.split(" ")[0] for head, _ in server.requests] == (
        ["POST"] * len(before) + ["GET"] * 3
    )
    asked = targets(server)[len(before) :]
    assert asked == [f"/v1{path}?q=1"] * 3
    for i, (head, _) in enumerate(server.requests):
        headers, polls = headers_of(head), i >= len(before)
        assert headers["x-mine"] == "1" and headers["x-stainless-read-timeout"] == "7.0"
        assert headers.get("x-stainless-poll-helper") == ("true" if polls else None)
        assert headers.get("x-stainless-custom-poll-interval") == ("1" if polls else None)


@EACH_POLL
@IGNORE_WARNINGS
@pytest.mark.parametrize("interval", [{}, {"poll_interval_ms": 2}], ids=["server's", "own"])
def test_polling_sends_what_the_official_package_sends(
    dotted: str, params: Dict[str, Any], before: Any, waiting: Any, path: str, done: Any,
    interval: Dict[str, Any]
) -> None:
    def sent(client: Any, server: RawServer) -> Any:
        with client:
            method_of(client, dotted)(**params, **interval)
        found, server.requests = server.requests, []
        return [comparable(request) for request in found]

    answers = [*map(answer, before), answer(waiting, openai_poll_after_ms="1"),
               answer(dict(waiting, **done))]
    with RawServer(*answers * 2) as server:
        wanted = sent(official_client(base_url=server.url), server)
        assert sent(client_of(server), server) == wanted and len(wanted) == len(before) + 2


@pytest.mark.parametrize("hints, waits", [
    ([None, "250", "0"], [1.0, 0.25, 0.0]), (["", "-5", "1.5"], [1.0] * 3),
    (["soon", "9" * 30, "\u00b2"], [1.0] * 3),
])
def test_polling_waits_as_long_as_each_answer_says(
    hints: List[Optional[str]], waits: List[float], slept: List[float]
) -> None:
    answers = [answer(FILING, **({} if hint is None else {"openai_poll_after_ms": hint}))
               for hint in hints]
    with RawServer(*answers, answer(dict(FILING, status="completed"))) as server:
        client_of(server).vector_stores.files.poll("file-1", vector_store_id="vs")
    assert slept == waits
    assert "x-stainless-custom-poll-interval" not in headers_of(server.requests[0][0])


@BOTH
@EACH_POLL
@QUIET
def test_polling_ends_with_a_timeout_error_that_says_of_what(
    dotted: str, params: Dict[str, Any], before: Any, waiting: Any, path: str, done: Any, make: Any
) -> None:
    with RawServer(*map(answer, before), *[answer(waiting)] * 9) as server:
        client = make(api_key=KEY, base_url=server.url)
        shown = f"{waiting['id']} is still '{waiting['status']}' after 0.1 seconds"
        with pytest.raises(TimeoutError, match=shown):
            call(client, dotted, **params, poll_interval_ms=60, max_wait_seconds=0.1)
        assert len(server.requests) == len(before) + 2


@BOTH
def test_polling_for_no_time_at_all_asks_nothing(make: Any) -> None:
    with RawServer(answer(FILING)) as server:
        client = make(api_key=KEY, base_url=server.url)
        with pytest.raises(TimeoutError, match="file-1 is still not asked for after 0 seconds"):
            call(client, "vector_stores.files.create_and_poll", file_id="file-1",
                 vector_store_id="vs", max_wait_seconds=0)
    assert [head.split(" ")[0] for head, _ in server.requests] == ["POST"]


@BOTH
@pytest.mark.parametrize("options", [
    {"poll_interval_ms": -1}, {"max_wait_seconds": -1}, {"max_wait_seconds": float("inf")},
    {"max_wait_seconds": float("nan")},
])
@EACH_POLL
@QUIET
def test_polling_refuses_what_makes_no_sense_before_it_sends_anything(
    dotted: str, params: Dict[str, Any], before: Any, waiting: Any, path: str, done: Any,
    options: Any, make: Any
) -> None:
    client = make(api_key=KEY, base_url="http://127.0.0.1:9")
    with pytest.raises(ValueError, match="poll_interval_ms|max_wait_seconds"):
        call(client, dotted, **params, **options)


@BOTH
@pytest.mark.parametrize("dotted", [row[0] for row in POLLS if row[0].startswith(("b", "vi"))])
def test_a_deprecated_helper_warns_once_and_names_the_line_of_the_caller(
    dotted: str, make: Any
) -> None:
    _, params, before, waiting, _, done = next(row for row in POLLS if row[0] == dotted)
    with RawServer(*map(answer, before), answer(dict(waiting, **done))) as server:
        client = make(api_key=KEY, base_url=server.url)
        with pytest.warns(DeprecationWarning) as caught:
            call(client, dotted, **params)
    (warning,) = caught
    assert f"{dotted.rpartition('.')[2]} is deprecated: use" in str(warning.message)
    assert warning.filename == __file__


def test_a_poll_that_is_cancelled_ends_at_once() -> None:
    async def main(server: RawServer) -> None:
        client = async_client_of(server)
        polling = client.vector_stores.files.poll("file-1", vector_store_id="vs")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(polling, 0.3)

    with RawServer(answer(FILING, openai_poll_after_ms="60000")) as server:
        start = time.monotonic()
        asyncio.run(main(server))
    assert time.monotonic() - start < 5 and len(server.requests) == 1


def test_ctrl_c_ends_a_poll_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(openai, "sleep", interrupt)
    with RawServer(answer(FILING)) as server, pytest.raises(KeyboardInterrupt):
        client_of(server).vector_stores.files.poll("file-1", vector_store_id="vs")
    assert len(server.requests) == 1


@BOTH
def test_an_error_on_the_way_ends_a_poll(make: Any) -> None:
    with RawServer(answer(FILING), answer({}, "404 Not Found")) as server:
        client = make(api_key=KEY, base_url=server.url)
        with pytest.raises(openai.NotFoundError):
            call(client, "vector_stores.files.poll", file_id="file-1", vector_store_id="vs",
                 poll_interval_ms=0)


@BOTH
def test_a_file_is_uploaded_into_a_vector_store_without_waiting(make: Any) -> None:
    with RawServer(answer(UPLOADED), answer(FILING)) as server:
        client = make(api_key=KEY, base_url=server.url)
        file = call(client, "vector_stores.files.upload", vector_store_id="vs", file=b"text",
                    extra_body={"attributes": {"a": 1}})
    assert type(file) is openai.VectorStoreFile and file.status == "in_progress"
    assert targets(server) == ["/v1/files", "/v1/vector_stores/vs/files"]
    assert dict(form_of(*server.requests[0])) == {"purpose": b"assistants", "file": b"text"}
    assert json.loads(server.requests[1][1]) == {"file_id": "file-1", "attributes": {"a": 1}}


@BOTH
def test_files_and_runs_of_the_local_server_can_be_waited_for(make: Any, server: Any) -> None:
    client = make(api_key=KEY, base_url=server.url)
    store = call(client, "vector_stores.create", name="s")
    file = call(client, "vector_stores.files.upload_and_poll", vector_store_id=store.id,
                file=("a.txt", b"Whales sing."), poll_interval_ms=20, max_wait_seconds=20)
    assert file.status == "completed" and file.vector_store_id == store.id
    batch = call(client, "vector_stores.file_batches.create_and_poll", vector_store_id=store.id,
                 file_ids=[file.id], poll_interval_ms=20, max_wait_seconds=20)
    assert batch.file_counts.completed == 1


# ---- 9.6 Uploads in bulk ----


class Storage:
    """Takes what bulk uploads send, over real sockets; `fail` says with what status to refuse it.

    `fail(verb and path, parts of the form)` is asked of every request, and `seen` has them all.
    """

    def __init__(self, fail: Callable[[str, Dict[str, bytes]], Optional[str]] = lambda *_: None,
                 wait: float = 0.0) -> None:
        self.fail, self.wait = fail, wait
        self.seen: List[Tuple[str, Any]] = []
        self.now, self.most, self.lock = 0, 0, threading.Lock()

    def __enter__(self) -> "Storage":
        self.exits = contextlib.ExitStack()
        port = self.exits.enter_context(listening(self.serve))
        self.url = f"http://127.0.0.1:{port}/v1"
        return self

    def __exit__(self, *exc: object) -> None:
        self.exits.close()

    def serve(self, conn: socket.socket) -> None:
        file = conn.makefile("rb")
        while True:
            head = read_request_head(file)
            if not head:
                return
            length = int(headers_of(head).get("content-length", 0))
            with self.lock:
                self.now += 1
                self.most = max(self.most, self.now)
            body = file.read(length)
            time.sleep(self.wait)
            line = head.split(" HTTP")[0]
            form = "multipart" in headers_of(head).get("content-type", "")
            content: Any = dict(form_of(head, body)) if form and len(body) == length else body
            with self.lock:
                self.now -= 1
                self.seen.append((line, content))
                number = len(self.seen)
            status = self.fail(line, content if form else {})
            made: Dict[str, Any] = {"id": f"id-{number}", "status": "completed", "file_counts": {}}
            if form and len(body) == length:
                made["id"] = "id-" + (content.get("data") or content["file"])[:4].decode()
            conn.sendall(answer({} if status else made, status or "200 OK"))

    def lines(self, start: str) -> List[Tuple[str, Any]]:
        return [row for row in self.seen if row[0].startswith(start)]


def drop_of(size: int) -> bytes:
    """Bytes in which every four are different."""
    return b"".join(b"%04x" % i for i in range(size // 4 + 1))[:size]


def chunked_sources(tmp_path: pathlib.Path, data: bytes) -> Dict[str, Callable[[], Any]]:
    (tmp_path / "data.bin").write_bytes(data)

    def pipe() -> Any:
        read, write = os.pipe()  # which holds so little
        with open(write, "wb") as target:
            target.write(data)
        return open(read, "rb")

    return {
        "path": lambda: tmp_path / "data.bin", "str": lambda: str(tmp_path / "data.bin"),
        "bytes": lambda: data, "file": lambda: open(str(tmp_path / "data.bin"), "rb"),
        "BytesIO": lambda: io.BytesIO(data), "pipe": pipe,
    }


@BOTH
@pytest.mark.parametrize("source", ["path", "str", "bytes", "file", "BytesIO", "pipe"])
@pytest.mark.parametrize("size, part_size", [(1000, 300), (900, 300), (7, 100), (0, 5)])
def test_a_file_is_uploaded_in_parts(
    source: str, size: int, part_size: int, make: Any, tmp_path: pathlib.Path
) -> None:
    data, seen = drop_of(size), []
    file = chunked_sources(tmp_path, data)[source]()
    with Storage(wait=0.01) as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        done = call(client, "uploads.upload_file_chunked", file=file, mime_type="text/plain",
                    purpose="batch", filename="d.txt", part_size=part_size,
                    progress=lambda *report: seen.append(report))
    assert done.status == "completed" and storage.most <= 4
    assert json.loads(storage.seen[0][1]) == {
        "bytes": size, "filename": "d.txt", "mime_type": "text/plain", "purpose": "batch"
    }
    sent = {part["data"] for _, part in storage.lines("POST /v1/uploads/id-1/parts")}
    wanted = [data[at : at + part_size] for at in range(0, size, part_size)]
    assert sent == set(wanted)
    (_, completed), = storage.lines("POST /v1/uploads/id-1/complete")
    assert json.loads(completed) == {
        "part_ids": ["id-" + part[:4].decode() for part in wanted],
        "md5": hashlib.md5(data).hexdigest(),
    }
    assert len(storage.seen) == len(wanted) + 2
    if size:
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert seen[-1] == (size, size) and {total for _, total in seen} == {size}
    if source in ("file", "BytesIO", "pipe"):
        assert not file.closed  # whoever opened it closes it
        file.close()


@pytest.mark.parametrize("md5, sent", [("abc", {"md5": "abc"}), (None, {})])
def test_the_md5_of_an_upload_can_be_given_or_left_out(md5: Any, sent: Any) -> None:
    with Storage() as storage:
        client_of(storage).uploads.upload_file_chunked(
            file=b"data", filename="f", mime_type="a/b", purpose="batch", md5=md5)
    assert json.loads(storage.seen[-1][1]) == dict({"part_ids": ["id-data"]}, **sent)


def test_a_python_without_md5_uploads_nevertheless() -> None:
    program = """
import hashlib, sys
def md5(*args, **kwargs): raise ValueError("disabled for FIPS")
hashlib.md5 = md5
import openai_lite
client = openai_lite.OpenAI(api_key="k", base_url=sys.argv[1])
client.uploads.upload_file_chunked(file=b"data", filename="f", mime_type="a/b", purpose="batch")
"""
    with Storage() as storage:
        done = python("-c", program, storage.url)
    assert done.returncode == 0, done.stderr
    assert json.loads(storage.seen[-1][1]) == {"part_ids": ["id-data"]}


def test_parts_are_64_mb_and_take_little_memory(tmp_path: pathlib.Path) -> None:
    size = (64 << 20) * 2 + 5
    with open(str(tmp_path / "big"), "wb") as file:
        file.truncate(size)
    sizes: List[int] = []

    def serve(conn: socket.socket) -> None:
        file = conn.makefile("rb")
        while True:
            head = read_request_head(file)
            if not head:
                return
            left = int(headers_of(head).get("content-length", 0))
            sizes.append(left)
            while left > 0:
                left -= len(file.read(min(left, 1 << 18)))
            conn.sendall(answer({"id": "x"}))

    assert openai.DEFAULT_PART_SIZE == 64 << 20
    with listening(serve) as port, OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{port}") as c:
        tracemalloc.start()
        try:
            c.uploads.upload_file_chunked(file=tmp_path / "big", mime_type="a/b", purpose="batch")
            assert tracemalloc.get_traced_memory()[1] < 8 << 20
        finally:
            tracemalloc.stop()
    parts = sorted(size for size in sizes if size > 300 or size == 5)
    assert [part >> 20 for part in parts[-2:]] == [64, 64]


@BOTH
def test_a_part_is_sent_again_from_its_start(make: Any, slept: List[float]) -> None:
    failed: List[str] = []

    def fail(line: str, form: Dict[str, bytes]) -> Optional[str]:
        if form.get("data", b"").startswith(b"0001") and not failed:
            failed.append(line)
            return "503 Busy"
        return None

    with Storage(fail) as storage:
        client = make(api_key=KEY, base_url=storage.url, initial_retry_delay=0.01)
        call(client, "uploads.upload_file_chunked", file=drop_of(12), filename="f",
             mime_type="a/b", purpose="batch", part_size=4)
    parts = [form["data"] for _, form in storage.lines("POST /v1/uploads/id-1/parts")]
    assert sorted(parts) == [b"0000", b"0001", b"0001", b"0002"] and failed


@BOTH
@pytest.mark.parametrize("where", ["/parts", "/complete"])
def test_an_upload_that_fails_is_cancelled_and_says_why(where: str, make: Any) -> None:
    def fail(line: str, form: Dict[str, bytes]) -> Optional[str]:
        if line.endswith("/cancel"):
            return "500 Even this"
        return "400 Bad Request" if line.endswith(where) else None

    with Storage(fail) as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        with pytest.raises(openai.BadRequestError):
            call(client, "uploads.upload_file_chunked", file=drop_of(400), filename="f",
                 mime_type="a/b", purpose="batch", part_size=4, max_concurrency=2)
    # A part that was cut short may be seen to end after it.
    assert len(storage.lines("POST /v1/uploads/id-1/cancel")) == 1
    if where == "/parts":  # nobody waits for the 98 others
        assert len(storage.lines("POST /v1/uploads/id-1/parts")) <= 3


@BOTH
def test_what_progress_raises_ends_a_chunked_upload(make: Any) -> None:
    def report(done: int, total: Optional[int]) -> None:
        if done > 40:
            raise ZeroDivisionError("enough")

    with Storage() as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        with pytest.raises(ZeroDivisionError, match="enough"):
            call(client, "uploads.upload_file_chunked", file=drop_of(400), filename="f",
                 mime_type="a/b", purpose="batch", part_size=4, progress=report)
    assert len(storage.lines("POST /v1/uploads/id-1/parts")) < 20
    assert len(storage.lines("POST /v1/uploads/id-1/cancel")) == 1


def test_a_chunked_upload_whose_task_is_cancelled_is_cancelled_at_the_api() -> None:
    async def main(storage: Storage) -> None:
        client = async_client_of(storage)
        upload = client.uploads.upload_file_chunked(
            file=drop_of(400), filename="f", mime_type="a/b", purpose="batch", part_size=4)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(upload, 0.5)
        assert storage.seen[-1][0] == "POST /v1/uploads/id-1/cancel"
        sent = len(storage.seen)
        await asyncio.sleep(0.5)
        assert len(storage.seen) <= sent + 4  # those that were on their way

    with Storage(wait=0.2) as storage:
        start = time.monotonic()
        asyncio.run(main(storage))
        assert time.monotonic() - start < 5


@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_ctrl_c_cancels_a_chunked_upload_at_the_api() -> None:
    program = """
import sys, openai_lite
client = openai_lite.OpenAI(api_key="k", base_url=sys.argv[1], max_retries=0)
client.uploads.upload_file_chunked(
    file=b"x" * 400, filename="f", mime_type="a/b", purpose="batch", part_size=4)
"""
    with Storage(wait=0.3) as storage:
        command = [sys.executable, "-c", program, storage.url]
        with subprocess.Popen(command, cwd=str(HERE), stderr=subprocess.PIPE) as process:
            wait_until(lambda: storage.lines("POST /v1/uploads/id-1/parts"))
            process.send_signal(signal.SIGINT)
            assert b"KeyboardInterrupt" in process.communicate(timeout=20)[1]
        assert len(storage.lines("POST /v1/uploads/id-1/cancel")) == 1
        assert len(storage.lines("POST /v1/uploads/id-1/parts")) < 20


@BOTH
def test_a_chunked_upload_refuses_what_cannot_be(make: Any, tmp_path: pathlib.Path) -> None:
    client = make(api_key=KEY, base_url="http://127.0.0.1:9")
    (tmp_path / "f.txt").write_text("abc")
    cases: List[Tuple[Any, Any, str]] = [
        (dict(file=b"abc"), TypeError, "The `filename` argument must be given"),
        (dict(file=io.BytesIO(b"abc")), TypeError, "The `filename` argument must be given"),
        (dict(file=b"abc", filename="f", bytes=4), ValueError, "f has 3 bytes, not 4"),
        (dict(file=tmp_path / "f.txt", bytes=9), ValueError, r"f\.txt has 3 bytes, not 9"),
        (dict(file=tmp_path / "none"), FileNotFoundError, "none"),
        (dict(file=io.StringIO("abc"), filename="f"), TypeError, "text mode"),
        (dict(file=b"abc", filename="f", part_size=0), ValueError, "part_size"),
        (dict(file=b"abc", filename="f", max_concurrency=0), ValueError, "max_concurrency"),
    ]
    for params, kind, message in cases:
        with pytest.raises(kind, match=message):
            call(client, "uploads.upload_file_chunked", mime_type="a/b", purpose="batch", **params)


def test_a_file_that_shrinks_while_it_is_uploaded_is_an_error(tmp_path: pathlib.Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 1000)

    def fail(line: str, form: Dict[str, bytes]) -> Optional[str]:
        if line.endswith("/uploads"):
            (tmp_path / "f").write_bytes(b"x" * 100)
        return None

    with Storage(fail) as storage:
        with pytest.raises(openai.OpenAIError, match="became shorter while it was being sent"):
            client_of(storage).uploads.upload_file_chunked(
                file=tmp_path / "f", mime_type="a/b", purpose="batch", md5=None)
    # The request that was cut short may be seen to end after the one that came next.
    assert [line for line, *_ in storage.seen if line.endswith("/cancel")]


@IGNORE_WARNINGS
def test_chunked_uploads_send_what_the_official_package_sends(tmp_path: pathlib.Path) -> None:
    (tmp_path / "f.txt").write_bytes(drop_of(1000))
    seen = []
    for make in (lambda url: official_client(base_url=url), lambda url: OpenAI(
            api_key=KEY, base_url=url)):
        with Storage() as storage:
            done = make(storage.url).uploads.upload_file_chunked(
                file=tmp_path / "f.txt", mime_type="text/plain", purpose="batch", part_size=300,
                md5="abc")
            assert done.status == "completed"
        seen.append(sorted(storage.seen, key=str))
    assert seen[0] == seen[1] and len(seen[0]) == 6


@BOTH
def test_chunked_uploads_to_the_local_server(make: Any, server: Any) -> None:
    client = make(api_key=KEY, base_url=server.url)
    upload: Any = dict(file=drop_of(5000), filename="f.txt", mime_type="text/plain",
                       purpose="user_data", part_size=1000)
    done = call(client, "uploads.upload_file_chunked", **upload)
    assert done.status == "completed" and done.file.bytes == 5000
    assert call(client, "files.content", file_id=done.file.id).content == drop_of(5000)
    with pytest.raises(openai.BadRequestError, match="md5 does not match"):
        call(client, "uploads.upload_file_chunked", md5="0" * 32, **upload)


@BOTH
def test_many_files_are_uploaded_some_at_a_time_and_added_in_their_order(
    make: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "c.txt").write_bytes(b"cccc on disk")
    seen: Reports = []
    files: Any = [(f"{c}.txt", c.encode() * 4) for c in "fedba"]
    files += [tmp_path / "c.txt", io.BytesIO(b"gggg"), b"hhhh"]
    with Storage(wait=0.05) as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        batch = call(client, "vector_stores.file_batches.upload_and_poll", vector_store_id="vs",
                     files=iter(files), file_ids=["id-0"], max_concurrency=3, poll_interval_ms=1,
                     chunking_strategy={"type": "auto"}, extra_headers={"X-Mine": "1"},
                     progress=lambda done, total: seen.append((done, total)))
    assert type(batch) is openai.VectorStoreFileBatch and storage.most == 3
    uploads = storage.lines("POST /v1/files")
    assert {form["purpose"] for _, form in uploads} == {b"assistants"} and len(uploads) == 8
    (line, body), _ = storage.seen[-2:]
    assert line == "POST /v1/vector_stores/vs/file_batches" and json.loads(body) == {
        "file_ids": ["id-0"] + [f"id-{c * 4}" for c in "fedbacgh"],
        "chunking_strategy": {"type": "auto"},
    }
    assert seen[-1] == (40, 40) and {total for _, total in seen} == {40}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)


@BOTH
def test_one_bad_file_of_many_does_not_lose_the_others(make: Any, tmp_path: pathlib.Path) -> None:
    def fail(line: str, form: Dict[str, bytes]) -> Optional[str]:
        return "400 Bad Request" if form.get("file") == b"b" * 4 else None

    files: Any = [("a.txt", b"a" * 4), ("b.txt", b"b" * 4), tmp_path / "none.txt", b"d" * 4, 5,
                  ("b.txt", b"b" * 4)]
    with Storage(fail) as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        with pytest.raises(openai.BulkUploadError) as caught:
            call(client, "vector_stores.file_batches.upload_and_poll", vector_store_id="vs",
                 files=files)
    error = caught.value
    assert [file and file.id for file in error.uploaded] == [
        "id-aaaa", None, None, "id-dddd", None, None
    ]
    missing = str(tmp_path / "none.txt")
    assert list(error.errors) == ["b.txt", missing, "files[4]", "b.txt (files[5])"]
    kinds = [type(err) for err in error.errors.values()]
    assert kinds == [openai.BadRequestError, FileNotFoundError, TypeError, openai.BadRequestError]
    assert str(error).startswith("4 of 6 files could not be uploaded: b.txt: BadRequestError(")
    assert error.__cause__ is error.errors["b.txt"] and KEY not in whole_traceback(error)
    assert not storage.lines("POST /v1/vector_stores")
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == str(error) and list(again.errors) == list(error.errors)
    assert again.uploaded[0].id == "id-aaaa"


@BOTH
def test_bulk_uploads_without_files_and_with_wrong_limits(make: Any) -> None:
    """Without files they do what the official package does: leave it to the server."""
    with Storage() as storage:
        client = make(api_key=KEY, base_url=storage.url)
        with pytest.raises(ValueError, match="max_concurrency must be at least 1, not 0"):
            call(client, "vector_stores.file_batches.upload_and_poll", vector_store_id="vs",
                 files=[b"x"], max_concurrency=0)
        assert not storage.seen
        call(client, "vector_stores.file_batches.upload_and_poll", vector_store_id="vs", files=[],
             file_ids=[], max_concurrency=1000000)
    assert [json.loads(body) for line, body in storage.lines("POST")] == [{"file_ids": []}]


@BOTH
def test_what_progress_raises_ends_a_bulk_upload(make: Any) -> None:
    def report(done: int, total: Optional[int]) -> None:
        if done > 8:
            raise OSError("enough")

    with Storage() as storage:
        client = make(api_key=KEY, base_url=storage.url, max_retries=0)
        with pytest.raises(OSError, match="enough"):
            call(client, "vector_stores.file_batches.upload_and_poll", vector_store_id="vs",
                 files=[b"abcd"] * 50, progress=report, max_concurrency=2)
    assert len(storage.seen) < 10


def test_a_bulk_upload_that_is_cancelled_ends_at_once() -> None:
    """On Python 3.7 as well, where being cancelled is an Exception like any other."""
    async def main(storage: Storage) -> None:
        upload = async_client_of(storage).vector_stores.file_batches.upload_and_poll(
            "vs", files=[b"abcd"] * 100, max_concurrency=2)
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(upload, 0.5)
        sent = len(storage.seen)
        await asyncio.sleep(0.7)
        assert len(storage.seen) <= sent + 2  # those that were on their way

    with Storage(wait=0.3) as storage:
        start = time.monotonic()
        asyncio.run(main(storage))
        assert time.monotonic() - start < 5


@IGNORE_WARNINGS
def test_bulk_uploads_send_what_the_official_package_sends() -> None:
    seen = []
    for make in (lambda url: official_client(base_url=url), lambda url: OpenAI(
            api_key=KEY, base_url=url)):
        with RawServer(*[answer({"id": "a"})] * 2, answer(BATCHING),
                       answer(dict(BATCHING, file_counts={"in_progress": 0}))) as server:
            make(server.url).vector_stores.file_batches.upload_and_poll(
                "vs", files=[("f", b"abcd"), ("f", b"abcd")], file_ids=["x"], poll_interval_ms=5)
        seen.append([comparable(request) for request in server.requests])
    assert seen[0] == seen[1] and len(seen[0]) == 4


# ---- 9.7 Webhooks ----

SECRET = "whsec_" + base64.b64encode(b"a secret of 24 bytes ...").decode()
EVENT = b'{"id": "evt_1", "object": "event", "created_at": 1, "type": "response.completed", ' \
        b'"data": {"id": "resp_\xc3\xa9", "new": 1}}'


def delivery(
    payload: bytes = EVENT, secret: str = SECRET, age: float = 0, **changed: str
) -> Dict[str, str]:
    """The headers of a request to a webhook, signed as the API does it."""
    stamp = str(int(time.time() - age))
    key = base64.b64decode(secret[6:]) if secret.startswith("whsec_") else secret.encode()
    signed = hmac.new(key, b"evt_1." + stamp.encode() + b"." + payload, "sha256").digest()
    headers = {"webhook-id": "evt_1", "webhook-timestamp": stamp,
               "webhook-signature": "v1," + base64.b64encode(signed).decode()}
    headers.update((name.replace("_", "-"), value) for name, value in changed.items())
    return headers


class OnlyGet:
    """Headers of which one knows nothing but get(), and only in one spelling."""

    def __init__(self, headers: Dict[str, str]) -> None:
        self.get = headers.get


def http_message(headers: Dict[str, str]) -> Any:
    lines = "".join(f"{k.title()}: {v}\r\n" for k, v in headers.items())
    return http.client.parse_headers(io.BytesIO(lines.encode() + b"\r\n"))


HEADER_KINDS: Dict[str, Callable[[Dict[str, str]], Any]] = {
    "dict": dict, "title case": lambda h: {k.title(): v for k, v in h.items()},
    "upper case": lambda h: {k.upper(): v for k, v in h.items()},
    "odd case": lambda h: {k[0].upper() + k[1:]: v for k, v in h.items()},
    "http.client": http_message, "Headers": openai.Headers,
    "WSGI": lambda h: {"HTTP_" + k.upper().replace("-", "_"): v for k, v in h.items()},
    "get": OnlyGet, "get Title": lambda h: OnlyGet({k.title(): v for k, v in h.items()}),
    "pairs": lambda h: types.MappingProxyType({"Accept": "*/*", **h}),
}


@BOTH
@pytest.mark.parametrize("kind", HEADER_KINDS)
def test_a_webhook_is_unwrapped_whatever_holds_its_headers(kind: str, make: Any) -> None:
    client = make(api_key=KEY, webhook_secret=SECRET)
    for payload in (EVENT, EVENT.decode("utf-8"), bytearray(EVENT)):
        event = client.webhooks.unwrap(payload, HEADER_KINDS[kind](delivery()))
        assert type(event) is openai.ResponseCompletedWebhookEvent
        assert event.data.id == "resp_\u00e9" and event.to_dict() == json.loads(EVENT.decode())


def test_a_genuine_webhook_is_told_from_others() -> None:
    client = OpenAI(api_key=KEY, webhook_secret=SECRET)
    check = client.webhooks.verify_signature
    one = delivery()
    old = one["webhook-signature"]
    mine = delivery(secret="plain text")
    fine: List[Tuple[Dict[str, str], Dict[str, Any]]] = [
        (delivery(), {}), (delivery(age=290), {}), (delivery(age=-290), {}),
        (delivery(age=900), {"tolerance": 1000}), (mine, {"secret": "plain text"}),
        (dict(one, **{"webhook-signature": "v1,AAAA v1a,BBBB " + old}), {}),
        (dict(one, **{"webhook-signature": old[3:]}), {}),
    ]
    for headers, options in fine:
        check(EVENT, headers, **options)
    forged: List[Tuple[bytes, Dict[str, str], Dict[str, Any], str]] = [
        (EVENT + b" ", delivery(), {}, "not signed with this secret"),
        (EVENT, delivery(), {"secret": "whsec_AAAA"}, "not signed"),
        (EVENT, delivery(webhook_id="evt_2"), {}, "not signed"),
        (EVENT, dict(delivery(age=100), **{"webhook-timestamp": str(int(time.time()))}), {},
         "not signed"),
        (EVENT, delivery(webhook_signature=""), {}, "not signed"),
        (EVENT, delivery(webhook_signature="v1,\u00e9\u20ac v1 v1,"), {}, "not signed"),
        (EVENT, delivery(webhook_signature="v2," + old[3:]), {}, "not signed"),
        (EVENT, delivery(age=320), {}, "too old: by 2"), (EVENT, delivery(age=-320), {}, "too new"),
        (EVENT, delivery(age=20), {"tolerance": 10}, "too old"),
        (EVENT, delivery(webhook_timestamp="soon"), {}, "Invalid webhook timestamp format"),
    ]
    for payload, headers, options, message in forged:
        with pytest.raises(openai.InvalidWebhookSignatureError, match=message):
            check(payload, headers, **options)
    for name in delivery():
        with pytest.raises(ValueError, match=f"Could not find {name} header"):
            check(EVENT, {k: v for k, v in delivery().items() if k != name})
    given: Any = json.loads(EVENT.decode())
    with pytest.raises(TypeError, match="the body as it came, str or bytes, not dict"):
        check(given, delivery())
    with pytest.raises(ValueError, match="no base64 after whsec_") as caught:
        check(EVENT, delivery(), secret="whsec_0penSesame")
    assert "0penSesame" not in str(caught.value)


NOW = 1_750_000_000
RAW_SECRET = "synthetic-webhook-secret"
WHSEC = "whsec_" + base64.b64encode(RAW_SECRET.encode()).decode()
NOT_SIGNED, TOO_OLD, TOO_NEW, NO_TIME, NO_BASE64 = (
    "not signed with this secret", "too old", "too new", "Invalid webhook timestamp format",
    "no base64 after whsec_",
)


def signed_now(payload: Any = EVENT, key: bytes = RAW_SECRET.encode(), **changed: str) -> Any:
    """The headers of a delivery at the moment NOW, the signature over what they say."""
    headers = {"webhook-id": "evt_1", "webhook-timestamp": str(NOW)}
    headers.update((name.replace("_", "-"), value) for name, value in changed.items())
    body = payload if isinstance(payload, bytes) else payload.encode("utf-8")
    said = "{webhook-id}.{webhook-timestamp}.".format_map(headers).encode("utf-8") + body
    mac = base64.b64encode(hmac.new(key, said, "sha256").digest()).decode()
    signature = headers.get("webhook-signature", "v1,{}")
    return dict(headers, **{"webhook-signature": signature.replace("{}", mac)})


def window(seconds: int, tolerance: int, message: str) -> Any:
    stamp = str(NOW + seconds)
    return EVENT, signed_now(webhook_timestamp=stamp), {"tolerance": tolerance}, message


# payload, headers, options, and the error; "" where the webhook is genuine.  After tests/lib/
# test_webhook_signature.py of https://github.com/openai/openai-python, which see for the facts.
WEBHOOKS: List[Tuple[Any, Dict[str, str], Dict[str, Any], str]] = [
    # Secrets with and without prefix, payloads as text and bytes, several signatures in a header.
    (payload, signed_now(payload, webhook_signature=form), {"secret": secret}, "")
    for payload in ('{"a": "caf\u00e9"}', '{"a": "caf\u00e9"}'.encode("utf-8"))
    for secret in (RAW_SECRET, WHSEC, WHSEC.rstrip("=") + "\n==")
    for form in ("v1,{}", "{}", "v1,invalid\t{} v1,also-invalid", "v1a,x  v1,{}", "v2,{} v1,{}")
] + [
    # The replay window, on both sides and to the second.
    window(0, 0, ""), window(-300, 300, ""), window(300, 300, ""), window(-301, 300, TOO_OLD),
    window(301, 300, TOO_NEW), window(-1, 0, TOO_OLD), window(1, 0, TOO_NEW),
    window(0, -1, "too (old|new)"),
] + [
    # What was signed is the text of the timestamp, however it is written.
    (EVENT, signed_now(webhook_timestamp=stamp), {}, message) for stamp, message in [
        (f"0{NOW}", ""), (f"+{NOW}", ""), (f" {NOW} ", ""), ("", NO_TIME), ("soon", NO_TIME),
        ("1.5", NO_TIME), ("1e9", NO_TIME), (str(NOW) + "\0", NO_TIME), ("9" * 400, TOO_NEW),
        ("-" + "9" * 400, TOO_OLD), (f"0{NOW}"[1:], ""),
    ]
] + [
    (EVENT, dict(signed_now(), **{"webhook-timestamp": f"0{NOW}"}), {}, NOT_SIGNED),
    (EVENT, dict(signed_now(), **{"webhook-id": "evt_2"}), {}, NOT_SIGNED),
    (EVENT, dict(signed_now(), **{"webhook-id": "evt_1\udcff"}), {}, NOT_SIGNED),
    (EVENT + b" ", signed_now(), {}, NOT_SIGNED), (b"", signed_now(), {}, NOT_SIGNED),
    (b"", signed_now(b""), {}, ""), (b"\xff\0", signed_now(b"\xff\0"), {}, ""),
    ("\udcff", signed_now(b"\xff"), {}, NOT_SIGNED),
    (EVENT, signed_now(key=b"another"), {}, NOT_SIGNED),
    (EVENT, signed_now(key=b""), {}, NOT_SIGNED),
    (EVENT, signed_now(), {"secret": RAW_SECRET + " "}, NOT_SIGNED),
] + [
    (EVENT, signed_now(webhook_signature=form), {}, NOT_SIGNED) for form in (
        "", " ", "v1,", "v1,invalid", "v2,{}", "V1,{}", "v1, {}x", "v1,{}=", "v1;{}", "v1,v1,{}",
        "v1,\u00e9", "v1,\udcff", "{}.{}", "v1,{}\0", "v1=" * 20_000,
    )
] + [
    # A secret with which everybody could sign is none.
    (EVENT, signed_now(key=b""), {"secret": secret}, NO_BASE64)
    for secret in ("whsec_", "whsec_a", "whsec_!!!!", "whsec_====", "whsec_\u00e9")
] + [
    # Headers are missed in this order.
    (EVENT, {}, {}, "Could not find webhook-signature header"),
    (EVENT, {"webhook-signature": "x"}, {}, "Could not find webhook-timestamp header"),
    (EVENT, {"webhook-signature": "x", "webhook-timestamp": str(NOW)}, {},
     "Could not find webhook-id header"),
]


@BOTH
def test_webhooks_are_genuine_or_refused_as_the_public_vectors_say(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: NOW + 0.9)
    client = make(api_key=KEY, webhook_secret=RAW_SECRET)
    assert len(WEBHOOKS) > 75
    for row in WEBHOOKS:
        payload, headers, options, message = row
        for spelled in (str, str.upper, str.title):
            given = {spelled(name): value for name, value in headers.items()}
            if not message:
                assert client.webhooks.verify_signature(payload, given, **options) is None, row
                continue
            with pytest.raises(ValueError, match=message) as caught:
                client.webhooks.verify_signature(payload, given, **options)
            refused = isinstance(caught.value, openai.InvalidWebhookSignatureError)
            assert refused is (message in (NOT_SIGNED, NO_TIME) or "too" in message), row
            assert caught.value.__cause__ is None and caught.value.__suppress_context__ is (
                caught.value.__context__ is not None
            ), row
            shown = whole_traceback(caught.value)
            for secret in (RAW_SECRET, options.get("secret"), "invalid,", "evt_1"):
                assert not secret or secret == "whsec_" or secret not in shown, (row, shown)


def test_signatures_of_webhooks_are_compared_in_constant_time_until_one_fits() -> None:
    compared = 0

    def watch(frame: Any, event: str, arg: Any) -> None:
        nonlocal compared
        compared += event == "c_call" and arg is hmac.compare_digest

    client = OpenAI(api_key=KEY, webhook_secret=SECRET)
    genuine = delivery()["webhook-signature"]
    for form, times in (("{}", 1), ("v1,AAAA {} v1,BBBB", 2), ("v1,AAAA v1,BBBB v1,CCCC", 3)):
        headers = delivery(webhook_signature=form.replace("{}", genuine))
        compared, before = 0, sys.getprofile()
        sys.setprofile(watch)
        try:
            with contextlib.suppress(openai.InvalidWebhookSignatureError):
                client.webhooks.verify_signature(EVENT, headers)
        finally:
            sys.setprofile(before)
        assert compared == times, form


@BOTH
def test_a_webhook_needs_a_secret_which_may_stand_in_the_environment(
    make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ValueError, match="OPENAI_WEBHOOK_SECRET"):
        make(api_key=KEY).webhooks.unwrap(EVENT, delivery())
    with pytest.raises(ValueError, match="OPENAI_WEBHOOK_SECRET"):  # it would let all through
        make(api_key=KEY, webhook_secret="").webhooks.unwrap(EVENT, delivery(secret=""))
    monkeypatch.setenv("OPENAI_WEBHOOK_SECRET", SECRET)
    assert make(api_key=KEY).webhooks.unwrap(EVENT, delivery()).id == "evt_1"
    with pytest.raises(openai.InvalidWebhookSignatureError):
        make(api_key=KEY).webhooks.unwrap(EVENT, delivery(), secret="another")
    client = make(api_key=KEY)
    client.webhook_secret = "another"
    assert client.webhooks.unwrap(EVENT, delivery(secret="another")).id == "evt_1"


@pytest.mark.parametrize("event, kind, detail", [
    ({"type": "video.completed", "data": {"id": "v"}}, "BaseModel", lambda e: e.data["id"] == "v"),
    ({"type": "live.transport.connected", "data": {"session_id": "s", "type": "webrtc"}},
     "LiveTransportConnectedWebhookEvent", lambda e: e.data.type == "webrtc"),
    ({"type": "realtime.call.incoming",
      "data": {"call_id": "c", "sip_headers": [{"name": "From", "value": "x"}]}},
     "RealtimeCallIncomingWebhookEvent", lambda e: e.data.sip_headers[0].name == "From"),
    ({"type": "agent.session.action_required",
      "data": {"id": "s", "required_action": {"type": "function_call"}}},
     "AgentSessionActionRequiredWebhookEvent",
     lambda e: e.data.required_action.type == "function_call"),
])
def test_webhook_events_are_told_apart_and_unknown_ones_kept(
    event: Any, kind: str, detail: Any
) -> None:
    payload = json.dumps(event).encode()
    client = OpenAI(api_key=KEY, webhook_secret=SECRET)
    found = client.webhooks.unwrap(payload, delivery(payload))
    assert type(found).__name__ == kind and detail(found)
    broken = b'{"type": '
    with pytest.raises(ValueError):
        client.webhooks.unwrap(broken, delivery(broken))


@IGNORE_WARNINGS
def test_every_official_webhook_event_is_declared_and_verified_alike() -> None:
    theirs = importlib.import_module("openai.types.webhooks") if official() else None
    union = getattr(theirs, "UnwrapWebhookEvent")
    ours: Any = openai.type_named("UnwrapWebhookEvent")
    found: Fields = {}
    compare_types(union, ours, found, set())
    assert not [f"{model}.{name}" for model, fields in found.items()
                for name, declared in fields.items() if not declared]
    names = {model.__name__ for model in union_members(union)}
    assert names <= {model.__name__ for model in openai.members_of(ours)}
    named = {name for name in dir(theirs) if name.endswith("WebhookEvent")}
    assert not [name for name in named if not hasattr(openai, name)]
    client = official_client(webhook_secret=SECRET)
    lite = OpenAI(api_key=KEY, webhook_secret=SECRET)
    for model in union_members(union):
        kind = literals_in(model.model_fields["type"].annotation)[0]
        payload = json.dumps({"id": "e", "type": kind, "data": {}}).encode()
        headers = delivery(payload)
        event = lite.webhooks.unwrap(payload, headers)
        assert type(client.webhooks.unwrap(payload, headers)).__name__ == type(event).__name__
    for headers in (delivery(webhook_signature="v1,AAAA"), delivery(age=301), {}, delivery(age=-9)):
        outcomes = []
        for one in (client, lite):
            try:
                outcomes.append(one.webhooks.verify_signature(EVENT, headers))
            except ValueError as err:
                outcomes.append(type(err).__name__)
        assert outcomes[0] == outcomes[1]


def test_the_local_server_signs_the_events_that_it_sends(client: OpenAI) -> None:
    got: List[Tuple[str, bytes]] = []

    def receive(conn: socket.socket) -> None:
        file = conn.makefile("rb")
        head = read_request_head(file)
        got.append((head, file.read(int(headers_of(head)["content-length"]))))
        conn.sendall(answer({}))

    with listening(receive) as port:
        made = client.webhooks.create(
            event_types=["batch.completed"], name="w", url=f"http://127.0.0.1:{port}/hook")
        client.webhooks.test(made.id, event_type="batch.completed")
    (head, body), = got
    event = client.webhooks.unwrap(body, headers_of(head), secret=made.signing_secret)
    assert isinstance(event, openai.BatchCompletedWebhookEvent) and event.data.id


# ---- 9.8 Agents ----

Events = List[Tuple[str, Dict[str, Any]]]


def agent_session(status: str, **more: Any) -> Dict[str, Any]:
    return dict({
        "id": "s", "object": "agent.session", "agent": {"model": "m"}, "created_at": 1,
        "environment": {"type": "none"}, "last_active_at": 2, "metadata": {}, "vault_ids": [],
        "required_actions": [], "status": status,
    }, **more)


def state_event(status: str, **more: Any) -> Tuple[str, Dict[str, Any]]:
    return status, {"session": agent_session(status, **more)}


def turn_event(status: str, id: str = "t", **more: Any) -> Tuple[str, Dict[str, Any]]:
    turn = {"id": id, "agent_id": "a", "created_at": 1, "object": "agent.session.turn",
            "session_id": "s", "status": {"created": "queued"}.get(status, status), **more}
    return "turn." + status, {"turn": turn, "turn_id": id}


def agent_item(done: bool, index: int, **fields: Any) -> Tuple[str, Dict[str, Any]]:
    item = dict({"turn_id": "t", "status": "completed" if done else "in_progress"}, **fields)
    return "turn.item." + ("done" if done else "added"), {
        "item": item, "output_index": index, "turn_id": "t"}


def said(text: str, index: int = 1, **fields: Any) -> Tuple[str, Dict[str, Any]]:
    content = [{"type": "output_text", "text": text}]
    return agent_item(True, index, **dict({
        "type": "message", "id": f"m{index}", "role": "assistant", "content": content,
        "phase": "final_answer"}, **fields))


def called(name: str, arguments: Any, number: int = 1) -> Tuple[str, Dict[str, Any]]:
    return agent_item(False, number, type="function_call", id=f"i{number}", name=name,
                      call_id=f"call_{number}", arguments=arguments)


def required(name: str, type: str = "function_call") -> Tuple[str, Dict[str, Any]]:
    action = {"type": type, "name": name, "call_id": "call_1", "turn_id": "t", "arguments": "{}"}
    return state_event("requires_action", required_actions=[action])


def agent_events(events: Events) -> bytes:
    rows = [{"event_id": f"e{i}", "session_id": "s", "type": "agent.session." + name, **fields}
            for i, (name, fields) in enumerate(events)]
    return sse(*rows)


BEGUN = [state_event("idle"), turn_event("created"), state_event("in_progress")]
ENDED = [turn_event("completed", completed_at=3), state_event("idle")]
ADD = called("add", '{"a": 1, "b": 2}')
TURNS: Dict[str, Events] = {
    "an answer": [*BEGUN, said("Hello"), *ENDED],
    "messages in another order": [*BEGUN, said(" you", 2), said("Hello", 1), *ENDED],
    "commentary and an incomplete message": [
        *BEGUN, said("Hm", 1, phase="commentary"), said("Not", 2, status="incomplete"),
        said("Yes", 3), said("", 4, role="user", phase=None, content=[]), *ENDED],
    "a subagent": [
        *BEGUN, turn_event("created", "t2", subagent_id="b"), said("No", 1, turn_id="t2"),
        turn_event("completed", "t2", subagent_id="b"), state_event("idle"), said("Yes", 2),
        *ENDED],
    "a tool": [*BEGUN, ADD, required("add"), state_event("in_progress"), said("3"), *ENDED],
    "the same call twice": [*BEGUN, ADD, ADD, said("3"), *ENDED],
    "an object of arguments": [*BEGUN, called("add", {"a": 1, "b": 2}), said("3"), *ENDED],
    "no object of arguments": [*BEGUN, called("add", "[1]"), said("3"), *ENDED],
    "no JSON": [*BEGUN, called("add", "{"), said("3"), *ENDED],
    "a failing tool": [*BEGUN, called("fail", "{}"), said("?"), *ENDED],
    "parts": [*BEGUN, called("parts", "{}"), called("nothing", "{}", 2), said("!"), *ENDED],
    "no output": [*BEGUN, called("number", "{}"), said("?"), *ENDED],
    "no serializable output": [*BEGUN, called("odd", "{}"), said("?"), *ENDED],
    "a tool of nobody": [*BEGUN, called("other", "{}"), required("other"), *ENDED],
    "an approval": [*BEGUN, required("add", "mcp_approval"), *ENDED],
    "a failed turn": [*BEGUN, said("Oh"), turn_event("failed"), state_event("idle")],
    "a cancelled turn": [*BEGUN, turn_event("cancelled"), state_event("idle")],
    "a failed session": [*BEGUN, said("Oh"), state_event("failed")],
    "no budget": [state_event("budget_reached")],
    "a budget reached in the turn": [
        *BEGUN, state_event("budget_reached"), said("Yes"), turn_event("completed"),
        state_event("budget_reached")],
    "an error event": [*BEGUN, ("error", {"error": {"message": "m", "code": "c"}}), said("Yes"),
                       *ENDED],
    "an unknown event": [*BEGUN, ("novel", {"thing": 1}), said("Yes"), *ENDED],
    "cut before the end": [*BEGUN, said("Hello"), turn_event("completed")],
    "cut in a call": [*BEGUN, ADD, required("add")],
    "nothing": [],
    "JSON": [*BEGUN, said('{"word": "a", "count": 1}'), said('{"word": "b", "count": 2}', 2),
             *ENDED],
}


def failing_tool(_: Any) -> Any:
    raise KeyError("a secret")


TOOL_OF: Dict[str, Callable[[Any], Any]] = {
    "add": lambda given: {"sum": given["a"] + given["b"]}, "fail": failing_tool,
    "parts": lambda _: iter([{"type": "input_text", "text": "t"}]), "nothing": lambda _: None,
    "number": lambda _: 5, "odd": lambda _: {"odd": object()},
}


def in_turn(
    package: Any, make: str, server: Any, use: Callable[[Any], Any], method: str = "stream",
    **options: Any
) -> Any:
    """`use(stream)` within a turn, which either client of a package begins by either method."""
    client = getattr(package, make)(base_url=server.url, api_key=KEY, max_retries=0)
    sessions = client.beta.agents.sessions
    if method == "stream":
        opened = sessions.stream("s", input="Hi", **options)
    else:
        opened = sessions.create(environment={"type": "none"}, agent={"model": "m"}, stream=True,
                                 input="Hi", **options)
    if make == "OpenAI":
        with client, opened as stream:
            return use(stream)

    async def wait() -> Any:
        async with client, (await opened if method == "create" else opened) as stream:
            result = use(stream)
            return await result if inspect.isawaitable(result) else result

    return asyncio.run(wait())


def turn_answers(method: str, body: bytes, count: int = 5) -> List[Answer]:
    """What the server says to the requests of a turn, with up to so many calls."""
    stream = stream_answer(body, Connection="close")
    before = [answer(agent_session("idle")), stream, answer({})] if method == "stream" else [stream]
    return [*before, *[answer({})] * count]


def plain_requests(server: RawServer) -> List[Any]:
    """The requests of a turn, without the keys, of which no two are the same."""
    keys, shown = [], []
    for line, headers, body in map(comparable, server.requests):
        if "idempotency-key" in headers:
            keys.append(headers["idempotency-key"])
            headers["idempotency-key"] = re.sub("[0-9a-f]", "x", keys[-1])
        headers.pop("content-length", None)
        shown.append((line, headers, json.loads(body) if body else None))
    assert len(set(keys)) == len(keys)
    return shown


def message_fields(message: Any) -> Any:
    return {k: v for k, v in message.to_dict().items() if v is not None}


def outcome_of(
    package: Any, make: str, body: bytes, first: bool, method: str, **options: Any
) -> Any:
    """What a turn gives: (event types, result or error, requests, failures of tools)."""
    types: List[str] = []
    told: List[Any] = []
    lib = importlib.import_module("openai.lib.beta.agents") if package is not openai else openai

    def report(failure: Any) -> None:
        told.append((failure.stage, type(failure.error).__name__, failure.tool_name,
                     failure.session_id, failure.turn_id, failure.call_id))

    def use(stream: Any) -> Any:
        async def wait() -> Any:
            if first:
                async for event in stream.with_result_collection():
                    types.append(event.type)
            return await stream.get_final_result()

        if make == "AsyncOpenAI":
            return wait()
        if first:
            types.extend(event.type for event in stream.with_result_collection())
        return stream.get_final_result()

    if method == "stream":
        options["on_tool_error"] = report
    with RawServer(*turn_answers(method, body)) as server:
        try:
            result = in_turn(package, make, server, use, method, tool_handlers=TOOL_OF, **options)
        except (lib.AgentTurnResultError, lib.AgentOutputParseError) as err:
            turn = getattr(err, "turn", None)
            found: Any = (type(err).__name__, getattr(err, "reason", None), turn and turn.to_dict(),
                          [message_fields(m) for m in getattr(err, "messages", [])],
                          [action.to_dict() for action in getattr(err, "required_actions", [])],
                          getattr(err, "turn_id", None), getattr(err, "session_id", None))
        except RuntimeError as err:
            found = RuntimeError
        else:
            found = (result.output_text, result.turn.to_dict(), result.session_id, result.turn_id,
                     [message_fields(m) for m in result.messages], result.output_parsed)
    return types, found, plain_requests(server), told


@pytest.mark.parametrize("method", ["stream", "create"])
@pytest.mark.parametrize("name", TURNS)
@IGNORE_WARNINGS
def test_official_turns_of_agents_are_the_same(name: str, method: str) -> None:
    official()
    body = agent_events(TURNS[name])
    for make, first in itertools.product(("OpenAI", "AsyncOpenAI"), (True, False)):
        theirs = outcome_of(official(), make, body, first, method)
        ours = outcome_of(openai, make, body, first, method)
        for our, their in zip(ours, theirs):
            assert our == their, (make, first)


@dataclasses.dataclass
class Counted:
    word: str
    count: int


@dataclasses.dataclass
class TwoWords:
    word: str
    more: str


JSON_TURN = agent_events(TURNS["JSON"])


@IGNORE_WARNINGS
def test_an_official_output_type_is_sent_and_parsed_alike() -> None:
    pydantic = official() and importlib.import_module("pydantic")
    model = pydantic.create_model("Counted", word=(str, ...), count=(int, ...))
    bodies = [*map(agent_events, (TURNS["JSON"], TURNS["an answer"], [*BEGUN, *ENDED]))]
    for i, body in enumerate(bodies):
        for make, method in itertools.product(("OpenAI", "AsyncOpenAI"), ("stream", "create")):
            theirs = outcome_of(official(), make, body, True, method, output_type=model)
            assert outcome_of(openai, make, body, True, method, output_type=model) == theirs
            assert (theirs[1][0] == "AgentOutputParseError") is (i > 0)


@pytest.mark.parametrize("method", ["stream", "create"])
@BOTH_NAMES
def test_the_answer_of_an_agent_is_parsed_as_a_class(make: str, method: str) -> None:
    with RawServer(*turn_answers(method, JSON_TURN)) as server:
        result = in_turn(openai, make, server, lambda stream: stream.get_final_result(), method,
                         output_type=Counted)
    assert result.output_parsed == Counted("a", 1) == result.parse(Counted).output_parsed
    assert result.turn_id == "t" and result.session_id == "s" and len(result.messages) == 2
    if method == "create":
        text = json.loads(server.requests[0][1])["agent"]["text"]
        assert text == {"format": {"type": "json_schema", "schema": openai.strict_schema(Counted)}}
    with pytest.raises(openai.AgentOutputParseError) as caught:
        result.parse(TwoWords)
    assert caught.value.result is result and caught.value.__cause__ is None
    assert pickle.loads(pickle.dumps(caught.value)).result.output_text == result.output_text


def test_what_makes_no_sense_for_a_turn_is_refused_before_anything_is_sent() -> None:
    sessions: Any = OpenAI(api_key=KEY, base_url="http://127.0.0.1:9/v1").beta.agents.sessions
    new: Dict[str, Any] = {"environment": {"type": "none"}}
    nothing: List[Any] = ["", [], iter(())]
    for empty in nothing:
        with pytest.raises(ValueError, match="input must not be empty"):
            sessions.stream("s", input=empty)
    with pytest.raises(TypeError, match="output must be a dataclass"):
        sessions.stream("s", input="x", output_type=Callable)
    with pytest.raises(ValueError, match="stream=True"):
        sessions.create(tool_handlers=TOOL_OF, **new)
    with pytest.raises(ValueError, match="not both"):
        sessions.create(output_type=Counted, agent={"text": {"format": {"type": "text"}}}, **new)
    with pytest.raises(RuntimeError, match="in `with`"):
        next(sessions.stream("s", input="x"))
    raw = sessions.with_raw_response
    with pytest.raises(AttributeError, match="no view of a single response"):
        raw.stream("s", input="x")
    with pytest.raises(AttributeError, match="no view of a single response"):
        raw.artifacts.for_result(None)


@BOTH_NAMES
def test_a_turn_begins_only_in_an_idle_session_and_once(make: str) -> None:
    with RawServer(answer(agent_session("in_progress"))) as server:
        with pytest.raises(ValueError, match="is in_progress, not idle"):
            in_turn(openai, make, server, lambda stream: None)
    assert targets(server) == ["/v1/agents/sessions/s"]
    with RawServer(*turn_answers("stream", JSON_TURN)[:2], answer({}, "400 Bad")) as server:
        with pytest.raises(openai.BadRequestError):
            in_turn(openai, make, server, lambda stream: None)

    def enter_again(stream: Any) -> Any:
        return stream.__enter__() if make == "OpenAI" else stream.__aenter__()

    with RawServer(*turn_answers("stream", JSON_TURN)) as server:
        with pytest.raises(RuntimeError, match="only once"):
            in_turn(openai, make, server, enter_again)


@BOTH_NAMES
def test_a_turn_that_was_read_without_collecting_has_no_result(make: str) -> None:
    def use(stream: Any) -> Any:
        async def wait() -> Any:
            await stream.until_done()
            assert [event async for event in stream] == []
            return await stream.get_final_result()

        if make == "AsyncOpenAI":
            return wait()
        stream.until_done()
        assert list(stream) == []
        return stream.get_final_result()

    with RawServer(*turn_answers("stream", JSON_TURN)) as server:
        with pytest.raises(RuntimeError, match="before the first event"):
            in_turn(openai, make, server, use)


def test_the_result_of_a_turn_is_found_once_and_kept() -> None:
    def use(stream: Any) -> Any:
        return stream.get_final_result(), stream.get_final_result(), list(stream)

    with RawServer(*turn_answers("stream", JSON_TURN)) as server:
        first, second, rest = in_turn(openai, "OpenAI", server, use)
    assert first is second and rest == []


@pytest.mark.parametrize("method", ["stream", "create"])
def test_a_turn_that_is_cut_anywhere_never_gives_a_result(method: str) -> None:
    body = agent_events(TURNS["a tool"])
    end = body.rindex(b"data:")
    for cut in [*range(0, len(body), 61), end, len(body) - 2, len(body)]:
        for length in (len(body), cut):  # once with fewer bytes than were promised
            stream = stream_answer(body[:cut], Content_Length=str(length), Connection="close")
            answers = turn_answers(method, body)
            answers[0 if method == "create" else 1] = stream
            with RawServer(*answers) as server:
                try:
                    result = in_turn(openai, "OpenAI", server, lambda s: s.get_final_result(),
                                     method, tool_handlers=TOOL_OF)
                except openai.AgentTurnResultError as err:
                    assert cut < len(body) and err.session_id in (None, "s")
                    assert err.reason in ("incomplete", "observation_failed", "requires_action")
                else:
                    assert cut >= len(body) - 2 and result.output_text == "3"


@BOTH_NAMES
def test_a_turn_that_is_cut_is_an_error_while_it_is_read(make: str) -> None:
    with RawServer(*turn_answers("stream", agent_events(TURNS["cut in a call"]))) as server:
        with pytest.raises(openai.IncompleteStreamError, match="5 events without the end of the"):
            in_turn(openai, make, server, lambda stream: stream.until_done())


def test_events_that_come_twice_are_given_once() -> None:
    body = agent_events(TURNS["an answer"])
    twice = b"".join(event + b"\n\n" + event + b"\n\n" for event in body.split(b"\n\n")[:-1])
    with RawServer(*turn_answers("stream", twice)) as server:
        events = in_turn(openai, "OpenAI", server, list)
    assert [event.event_id for event in events] == [f"e{i}" for i in range(6)]


@openai.function_tool
def add_numbers(a: int, b: int = 2) -> Counted:
    """Add."""
    return Counted("sum", a + b)


@pytest.mark.parametrize("method", ["stream", "create"])
@BOTH_NAMES
def test_tools_made_of_functions_answer_the_calls_of_agents(make: str, method: str) -> None:
    failures: List[Any] = []

    @openai.function_tool
    async def wait_and_add(a: int) -> List[int]:
        await asyncio.sleep(0)
        return [a, a + 1]

    async def tell(failure: Any) -> None:
        await asyncio.sleep(0)
        failures.append(failure)

    body = agent_events([
        *BEGUN, called("add_numbers", '{"a": 1, "b": null}'), called("wait_and_add", {"a": 5}, 2),
        called("add_numbers", '{"a": "x"}', 3), said("done"), *ENDED])
    tools = {tool.name: tool for tool in (add_numbers, wait_and_add)}
    report = tell if make == "AsyncOpenAI" else failures.append
    with RawServer(*turn_answers(method, body)) as server:
        result = in_turn(openai, make, server, lambda stream: stream.get_final_result(), method,
                         tool_handlers=tools, on_tool_error=report)
    assert result.output_text == "done"
    outputs = [json.loads(body)["events"][0] for _, body in server.requests[-3:]]
    assert outputs[0] == {"type": "agent.session.input.tool_result", "turn_id": "t",
                          "call_id": "call_1", "success": True,
                          "output": '{"word":"sum","count":3}'}
    stages = [(failure.tool_name, failure.stage) for failure in failures]
    if make == "AsyncOpenAI":
        assert outputs[1]["output"] == "[5,6]"
    else:
        assert outputs[1]["success"] is False and stages.pop(0) == ("wait_and_add", "execution")
    assert stages == [("add_numbers", "arguments")]
    assert outputs[2]["error"] == "Tool handler failed." and "output" not in outputs[2]
    assert isinstance(failures[-1].error, openai.OutputParseError)


@BOTH
def test_a_tool_made_of_a_function_is_sent_as_agents_take_it(make: Any) -> None:
    wanted = {"type": "function", "name": "add_numbers", "description": "Add.",
              "parameters": add_numbers["function"]["parameters"]}
    assert add_numbers.definition == wanted
    with RawServer(answer(agent_session("idle"))) as server:
        call(make(api_key=KEY, base_url=server.url), "beta.agents.sessions.create",
             environment={"type": "none"}, agent={"model": "m", "tools": [add_numbers]})
    assert json.loads(server.requests[0][1])["agent"]["tools"] == [wanted]


def test_an_output_that_comes_before_the_api_waits_for_it_is_sent_again(slept: List[float]) -> None:
    early = {"code": "invalid_request_error", "message": "Unknown pending tool call: call_1"}
    refused = answer({"error": early}, "400 Bad Request")
    start = turn_answers("stream", agent_events(TURNS["a tool"]), 0)
    with RawServer(*start, refused, refused, answer({})) as server:
        in_turn(openai, "OpenAI", server, lambda stream: stream.until_done(), tool_handlers=TOOL_OF)
    assert slept == [0.1, 0.3]
    keys = [headers_of(head)["idempotency-key"] for head, _ in server.requests[2:]]
    assert len(keys) == 4 and len(set(keys)) == 2 and len(set(keys[1:])) == 1
    with RawServer(*start, *[refused] * 9) as server:
        with pytest.raises(openai.BadRequestError):
            in_turn(openai, "OpenAI", server, lambda s: s.until_done(), tool_handlers=TOOL_OF)
    assert len(server.requests) == 7
    other = answer({"error": dict(early, message="m")}, "400 Bad Request")
    with RawServer(*start, other) as server:
        with pytest.raises(openai.AgentTurnResultError, match="observation_failed") as caught:
            in_turn(openai, "OpenAI", server, lambda s: s.get_final_result(), tool_handlers=TOOL_OF)
    assert isinstance(caught.value.__cause__, openai.BadRequestError)


@BOTH_NAMES
@IGNORE_WARNINGS
def test_official_headers_of_a_turn_are_the_same(make: str) -> None:
    body, sent = agent_events(TURNS["a tool"]), []
    for package in (official(), openai):
        variants: List[Dict[str, Any]] = [
            {"extra_headers": {"IDEMPOTENCY-Key": "mine", "X-A": "b"}},
            {"idempotency_key": "own", "timeout": 7.5}]
        for options in variants:
            with RawServer(*turn_answers("stream", body)) as server:
                in_turn(package, make, server, lambda stream: stream.until_done(),
                        tool_handlers=TOOL_OF, **options)
            sent.append(plain_requests(server))
    assert sent[:2] == sent[2:]


def test_an_async_turn_sends_its_input_although_no_event_has_come() -> None:
    asked = threading.Event()

    def events(conn: socket.socket) -> None:
        conn.sendall(chunked_stream().replace(b"0\r\n\r\n", b""))
        assert asked.wait(20)
        conn.sendall(chunked(agent_events(TURNS["an answer"])))

    def take_input(conn: socket.socket) -> None:
        conn.sendall(answer({}))
        asked.set()

    with RawServer(answer(agent_session("idle")), events, take_input) as server:
        result = in_turn(openai, "AsyncOpenAI", server, lambda stream: stream.get_final_result())
    assert result.output_text == "Hello"


def test_cancelling_an_async_tool_ends_the_turn_without_an_output() -> None:
    async def hang(_: Any) -> None:
        await asyncio.sleep(60)

    async def use(stream: Any) -> None:
        task = asyncio.ensure_future(stream.get_final_result())
        await asyncio.sleep(0.2)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert stream.response.is_closed

    with RawServer(*turn_answers("stream", agent_events(TURNS["a tool"]))) as server:
        in_turn(openai, "AsyncOpenAI", server, use, tool_handlers={"add": hang})
    assert len(server.requests) == 3


def artifact(id: str, path: str, turn: str = "t") -> Dict[str, Any]:
    return {"id": id, "object": "agent.session.artifact", "created_at": 1, "environment_id": "e",
            "path": path, "session_id": "s", "size_bytes": 3, "turn_id": turn}


def artifact_answers(*rows: Dict[str, Any]) -> List[Answer]:
    pages = [{"object": "list", "data": [row], "has_more": i < len(rows)}
             for i, row in enumerate(rows, 1)]
    return [*map(answer, pages), answer(b"abc", Content_Type="application/octet-stream")]


def call_and_close(client: Any, dotted: str, **params: Any) -> Any:
    """Call a method of either client of either package, which is closed after that."""
    if not hasattr(client, "__aenter__"):
        with client:
            return method_of(client, dotted)(**params)

    async def wait() -> Any:
        async with client:
            result = method_of(client, dotted)(**params)
            return await result

    return asyncio.run(wait())


def with_artifacts(package: Any, make: str, server: Any, method: str, **named: Any) -> Any:
    """What a method of the artifacts of a result gives."""
    with RawServer(*turn_answers("stream", agent_events(TURNS["an answer"]))) as turn_server:
        result = in_turn(package, make, turn_server, lambda stream: stream.get_final_result())
    client = getattr(package, make)(base_url=server.url, api_key=KEY, max_retries=0)
    artifacts = client.beta.agents.sessions.artifacts.for_result(result)
    client.wanted = artifacts
    return call_and_close(client, "wanted." + method, **named)


@BOTH_NAMES
def test_artifacts_of_a_turn_are_found_by_their_paths(make: str, tmp_path: pathlib.Path) -> None:
    rows = artifact("a1", "/workspace/a", "t0"), artifact("a2", "/workspace/a")
    with RawServer(*artifact_answers(*rows)) as server:
        content = with_artifacts(openai, make, server, "content", path="/workspace/a")
    assert content.content == b"abc"
    with RawServer(*artifact_answers(*rows)) as server:
        found = with_artifacts(openai, make, server, "download", path="/workspace/a",
                               to=tmp_path / "a")
    assert found.id == "a2" and (tmp_path / "a").read_bytes() == b"abc"
    for wrong in (rows[:1], (rows[1], rows[1])):
        with RawServer(*artifact_answers(*wrong)) as server:
            with pytest.raises(ValueError, match="not one"):
                with_artifacts(openai, make, server, "content", path="/workspace/a")


@BOTH_NAMES
@IGNORE_WARNINGS
def test_official_artifacts_are_asked_for_alike(make: str, tmp_path: pathlib.Path) -> None:
    rows = artifact("a1", "/workspace/a", "t0"), artifact("a2", "/workspace/a")
    sent = []
    for package in (official(), openai):
        with RawServer(*artifact_answers(*rows), *artifact_answers(*rows)) as server:
            named: Dict[str, Any] = {"path": "/workspace/a", "extra_headers": {"X-A": "b"}}
            with_artifacts(package, make, server, "content", **named)
            with_artifacts(package, make, server, "download", to=tmp_path / "a", **named)
        sent.append(plain_requests(server))
    assert sent[0] == sent[1]


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    root = tmp_path / "docs"
    (root / "more").mkdir(parents=True)
    for name in ("a.md", "b.txt", "more/c.md"):
        (root / name).write_bytes(name.encode())
    (tmp_path / "link").symlink_to(root / "a.md")
    (tmp_path / "linked").symlink_to(root)
    return root


ENVIRONMENT_FILE = {"environment_id": "e", "object": "agent.environment.file",
                    "path": "/workspace/a", "size_bytes": 4}


def with_files(package: Any, make: str, server: Any, method: str, **named: Any) -> Any:
    """What a helper for the files of environments gives, or the name of the error it raises."""
    client = getattr(package, make)(base_url=server.url, api_key=KEY, max_retries=0)
    try:
        return call_and_close(client, "beta.agents.environments.files." + method, **named)
    except Exception as err:
        return [type(err).__name__, getattr(err, "prepared", None),
                getattr(err, "uploaded_file_id", None), type(err.__cause__).__name__]


def files_cases(root: pathlib.Path) -> Iterator[Tuple[str, Dict[str, Any]]]:
    a, b = root / "a.md", str(root / "b.txt")
    for files in (
        {"/workspace/x/a": a, "/workspace/b": b}, {}, {"/workspace/a": a, "/workspace/a/b": b},
        {"/workspace/a": root}, {"/workspace/a": root / "none"}, {"/workspace/a": root / "../link"},
        *({path: a} for path in (
            "/workspace", "/workspace/", "/work/a", "workspace/a", "/workspace//a",
            "/workspace/./a", "/workspace/../a", "/workspace/a\\b", "/workspace/.codex/a",
            "/workspace/outputs",
            "/workspace/outputs/a", "/workspace/.managed-agents-x", "/workspace/x/.codex")),
    ):
        yield "prepare", {"files": files}
    yield "prepare", {"files": {"/workspace/a": a}, "extra_headers": {"Idempotency-Key": "k"}}
    yield "prepare", {"files": {"/workspace/a": a, "/workspace/b": b},
                      "extra_headers": {"idempotency-KEY": "k"}}
    for include in (["**/*.md"], ["*"], ["more/*", "*.txt", "*"], [], "*", ["../*"], ["/*"], [""],
                    ["*.none"]):
        yield "prepare_directory", {"root": root, "destination": "/workspace/d", "include": include}
    for top in (root.parent / "linked", a, root.parent / "none", root.parent):
        yield "prepare_directory", {"root": top, "destination": "/workspace/d", "include": ["**/*"]}
    yield "prepare_directory", {"root": str(root), "destination": "/etc", "include": ["*"]}
    for file in (a, b"data", ("n.md", b"data"), ("n.md", a, "text/x"), root, root.parent / "link"):
        yield "upload", {"environment_id": "e", "file": file, "path": "/workspace/a"}
    yield "upload", {"environment_id": "", "file": a, "path": "/workspace/a"}
    yield "upload", {"environment_id": "e", "file": a, "path": "/a"}


def shown_files(outcome: Any) -> Any:
    if isinstance(outcome, list):
        return [shown_files(each) for each in outcome]
    file = getattr(outcome, "file", None)
    return [file.to_dict() if file else None] + [
        getattr(outcome, name, outcome if isinstance(outcome, str) else None)
        for name in ("files", "uploaded_file_ids", "uploaded_file_id")]


@BOTH_NAMES
@pytest.mark.parametrize("failing", [False, True])
@IGNORE_WARNINGS
def test_official_files_of_environments_are_sent_alike(
    make: str, failing: bool, folder: pathlib.Path
) -> None:
    official()
    uploads = [answer({"id": f"file-{i}", "object": "file"}) for i in range(4)]
    if failing:
        uploads[1] = answer({}, "400 Bad Request")
    for method, named in files_cases(folder):
        seen = []
        for package in (official(), openai):
            answers = uploads if method != "upload" or failing else [
                uploads[0], answer(ENVIRONMENT_FILE)]
            with RawServer(*answers) as server:
                outcome = shown_files(with_files(package, make, server, method, **named))
            seen.append((outcome, list(map(comparable, server.requests))))
        assert seen[0] == seen[1], (method, named)


@BOTH_NAMES
def test_files_are_prepared_for_an_environment(make: str, folder: pathlib.Path) -> None:
    uploads = [answer({"id": f"file-{i}", "object": "file"}) for i in range(2)]
    reports: List[Tuple[int, Optional[int]]] = []
    with RawServer(*uploads) as server:
        prepared = with_files(openai, make, server, "prepare_directory", root=folder,
                              destination="/workspace/d", include=["**/*.md"],
                              progress=lambda done, total: reports.append((done, total)))
    assert prepared.uploaded_file_ids == ["file-0", "file-1"]
    assert prepared.files[1] == {"type": "file_id", "file_id": "file-1",
                                 "path": "/workspace/d/more/c.md"}
    assert [total for _, total in reports] == [13] * len(reports) and reports[-1][0] == 13
    with RawServer(uploads[0], answer({}, "500 Oh")) as server:
        client: Any = getattr(openai, make)(base_url=server.url, api_key=KEY, max_retries=0)
        with pytest.raises(openai.AgentFilePreparationError) as caught:
            call(client, "beta.agents.environments.files.prepare",
                 files={"/workspace/a": folder / "a.md", "/workspace/b": folder / "b.txt"})
    assert caught.value.prepared.uploaded_file_ids == ["file-0"]
    assert isinstance(caught.value.__cause__, openai.InternalServerError)
    with RawServer(uploads[0], answer({}, "500 Oh")) as server:
        client = getattr(openai, make)(base_url=server.url, api_key=KEY, max_retries=0)
        with pytest.raises(openai.AgentFileStagingError, match="file-0") as staging:
            call(client, "beta.agents.environments.files.upload", environment_id="e",
                 file=folder / "a.md", path="/workspace/a")
    assert staging.value.uploaded_file_id == "file-0"


def test_a_file_that_changes_after_it_was_chosen_is_not_sent(folder: pathlib.Path) -> None:
    path, file, known = openai.open_regular(folder / "a.md")
    file.close()
    openai.open_regular(path, known)[1].close()
    (folder / "a.md").write_bytes(b"other")
    with pytest.raises(ValueError, match="was changed"):
        openai.open_regular(path, known)


# ---- Progress ----

def test_progress_counts_the_bytes_of_an_upload_and_starts_again_with_a_retry(
    slept: List[float], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "f").write_bytes(b"x" * 600000)
    seen: Reports = []
    with RawServer(answer({}, "503 Busy"), answer(UPLOADED)) as server:
        client = client_of(server, max_retries=1)
        client.files.create(file=tmp_path / "f", purpose="batch",
                            progress=lambda done, total: seen.append((done, total)))
    size = len(server.requests[1][1])
    assert server.requests[0][1] == server.requests[1][1] and {total for _, total in seen} == {size}
    half = len(seen) // 2
    assert seen[:half] == seen[half:] and seen[0] == (0, size) and seen[-1] == (size, size)
    steps = [b[0] - a[0] for a, b in zip(seen[:half], seen[1:half])]
    assert min(steps) > 0 and max(steps) == openai.BLOCK


@BOTH
def test_progress_of_a_form_without_files_on_disk_and_of_a_custom_request(make: Any) -> None:
    seen: Reports = []
    with RawServer(answer(UPLOADED), answer(), answer()) as server:
        client = make(api_key=KEY, base_url=server.url)
        report = lambda done, total: seen.append((done, total))  # noqa: E731
        call(client, "files.create", file=b"data", purpose="batch", progress=report)
        sizes = [len(server.requests[0][1])]
        assert seen[0] == (0, sizes[0]) and seen[-1] == (sizes[0], sizes[0])
        seen.clear()
        call(client, "put", path="/x", cast_to=object, content=b"z" * 300000,
             options={"progress": report})
        assert seen == [(0, 300000), (openai.BLOCK, 300000), (300000, 300000)]
        seen.clear()
        call(client, "models.retrieve", model="m", progress=report)
        assert seen == [] and server.requests[1][1] == b"z" * 300000


def test_progress_of_a_download_to_a_file_and_in_pieces(tmp_path: pathlib.Path) -> None:
    big, small = b"y" * 3000000, b"z" * 1000
    kinds: Any = {"Content_Type": "application/octet-stream"}
    packed = answer(gzip.compress(big), Content_Encoding="gzip", **kinds)
    for data, sent, total in ((big, answer(big, **kinds), len(big)),
                              (small, answer(small, **kinds), 1000), (big, packed, None)):
        seen: Reports = []
        with RawServer(*[sent] * 4) as server, client_of(server) as client:
            for read in range(4):
                seen.clear()
                view: Any = client.files
                if read == 3:
                    view = client.files.with_streaming_response
                found = view.content("f", progress=lambda *report: seen.append(report))
                if read == 0:
                    found.write_to_file(tmp_path / "f")
                elif read == 1:
                    found.stream_to_file(tmp_path / "f")
                elif read == 2:
                    (tmp_path / "f").write_bytes(b"".join(found.iter_bytes(700)))
                else:
                    with found as response:
                        response.stream_to_file(tmp_path / "f")
                assert (tmp_path / "f").read_bytes() == data
                counts = [done for done, _ in seen]
                assert counts == sorted(counts) and counts[-1] == len(data)
                assert {of for _, of in seen} == {total}
                assert len(counts) > 3 or data == small or total is None


def test_progress_of_async_downloads_comes_as_the_blocks_arrive(tmp_path: pathlib.Path) -> None:
    seen: Reports = []
    go_on = threading.Event()

    def send(conn: socket.socket) -> None:  # like speech, of unknown length
        head = answer(b"", Content_Length="", Transfer_Encoding="chunked")
        conn.sendall(head + b"3\r\nabc\r\n")
        assert go_on.wait(20)
        conn.sendall(b"2\r\nde\r\n0\r\n\r\n")

    def report(done: int, total: Optional[int]) -> None:
        seen.append((done, total))
        go_on.set()

    async def main(server: RawServer) -> None:
        client = async_client_of(server)
        asked: Any = dict(model="m", voice="v", input="x", progress=report)
        speech = await client.audio.speech.create(**asked)
        await speech.astream_to_file(tmp_path / "f")
        speech = await client.audio.speech.create(**asked)
        assert b"".join([data async for data in speech.aiter_bytes()]) == b"abcde"
        async with client.audio.speech.with_streaming_response.create(**asked) as streamed:
            await streamed.stream_to_file(tmp_path / "g")

    with RawServer(send, send, send) as server:
        asyncio.run(main(server))
    assert (tmp_path / "f").read_bytes() == (tmp_path / "g").read_bytes() == b"abcde"
    assert seen[:2] == [(3, None), (5, None)] and seen[-1] == (5, None)


@BOTH
@pytest.mark.parametrize("error", [ZeroDivisionError("no"), KeyboardInterrupt(), OSError("no")])
def test_what_progress_raises_ends_the_call_and_closes_the_connection(
    error: BaseException, make: Any, tmp_path: pathlib.Path
) -> None:
    def report(done: int, total: Optional[int]) -> None:
        if done:
            raise error

    data = b"x" * 3000000
    expected = openai.OpenAIError if isinstance(error, OSError) else type(error)
    with RawServer(answer({}), answer(data, Content_Type="application/x")) as server:
        client = make(api_key=KEY, base_url=server.url)
        with pytest.raises(expected) as caught:
            call(client, "files.create", file=data, purpose="batch", progress=report)
        assert caught.value is error or caught.value.__cause__ is error
        wait_until(lambda: server.requests)  # it was cut off, and not sent again
        assert len(server.requests[0][1]) < len(data)
        content = call(client, "files.content", file_id="f", progress=report)
        with pytest.raises(type(error)) as caught:
            content.write_to_file(tmp_path / "f")
        assert caught.value is error and content.response.is_closed
        assert len(server.requests) == server.connections == 2


def test_an_image_is_written_to_a_file(client: OpenAI, tmp_path: pathlib.Path) -> None:
    made = client.images.generate(model="gpt-image-1", prompt="a cat").data
    assert made is not None
    made[0].write_to_file(tmp_path / "cat.png")
    assert (tmp_path / "cat.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "cat.png").read_bytes() == base64.b64decode(made[0].b64_json or "")
    with pytest.raises(ValueError, match="only a url, https://x/y: .*b64_json"):
        openai.Image(url="https://x/y").write_to_file(tmp_path / "none")
    with pytest.raises(ValueError, match="neither"):
        openai.Image().write_to_file(tmp_path / "none")
    assert not (tmp_path / "none").exists()


# Streams that accumulate.


def piece(index: int = 0, finish: Optional[str] = None, logprobs: Any = None, **delta: Any) -> Any:
    """The choice of a chunk."""
    return {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}


def chunk(*choices: Any, **fields: Any) -> Dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
            "service_tier": "default", "system_fingerprint": "fp", "choices": list(choices),
            **fields}


def tool_piece(index: int, arguments: str, **first: Any) -> Dict[str, Any]:
    """A piece of a tool call: with `id` and `name` the first one."""
    function = {"name": first["name"], "arguments": arguments} if first else {
        "arguments": arguments}
    named = {"id": first["id"], "type": "function"} if first else {}
    return {"index": index, **named, "function": function}


def token(text: str) -> Dict[str, Any]:
    return {"token": text, "logprob": -0.5, "bytes": list(text.encode()), "top_logprobs": []}


ROLE: Dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
CHAT_STREAMS: Dict[str, List[Dict[str, Any]]] = {
    "text": [
        chunk(piece(**ROLE)), chunk(piece(content="Hel")), chunk(piece(content="lo \U0001f600")),
        chunk(piece(finish="stop")),
    ],
    "text with usage, logprobs and fields unknown to us": [
        chunk(piece(**ROLE), obfuscation="x"),
        chunk(piece(content="a", logprobs={"content": [token("a")], "refusal": None})),
        chunk(piece(content="b", logprobs={"content": [token("b")], "refusal": None}, mood="ok")),
        chunk(piece(finish="stop"), new={"a": 1}), chunk(usage=USAGE),
    ],
    "a refusal in mid-stream": [
        chunk(piece(**ROLE)), chunk(piece(content="Well, ")), chunk(piece(refusal="I can")),
        chunk(piece(refusal="not.", logprobs={"content": None, "refusal": [token("not")]})),
        chunk(piece(finish="stop")),
    ],
    "several choices, interleaved": [
        chunk(piece(0, **ROLE)), chunk(piece(1, **ROLE)), chunk(piece(0, content="one")),
        chunk(piece(1, content="two"), piece(0, content=" more")), chunk(piece(1, finish="stop")),
        chunk(piece(0, finish="stop")),
    ],
    "two tool calls, one after the other": [
        chunk(piece(role="assistant", content=None)),
        chunk(piece(tool_calls=[tool_piece(0, "", id="c0", name="f")])),
        chunk(piece(tool_calls=[tool_piece(0, '{"a"')])), chunk(piece(tool_calls=[
            tool_piece(0, ": 1}")])),
        chunk(piece(tool_calls=[tool_piece(1, "", id="c1", name="g")])),
        chunk(piece(tool_calls=[tool_piece(1, '{"b": [2')])),
        chunk(piece(tool_calls=[tool_piece(1, "]}")])), chunk(piece(finish="tool_calls")),
    ],
    "a tool call after text": [
        chunk(piece(**ROLE)), chunk(piece(content="Let me see.")),
        chunk(piece(tool_calls=[tool_piece(0, "{}", id="c0", name="f")])),
        chunk(piece(finish="tool_calls")),
    ],
    "chunks of Azure's content filter": [
        {"id": "", "object": "", "created": 0, "model": "", "choices": [],
         "prompt_filter_results": []},
        chunk(piece(**ROLE)), chunk(piece(content="Hi")), chunk(piece(finish="stop")),
    ],
}
STRICT_TOOLS: List[Dict[str, Any]] = [
    {"type": "function", "function": {"name": name, "strict": True, "parameters": {
        "type": "object", "properties": {}, "required": [], "additionalProperties": False}}}
    for name in "fg"
]


def stream_of_chat(make: Any, body: bytes, **params: Any) -> Tuple[List[Any], Any, Any]:
    """The events of a stream with this body, the final completion, and what was asked."""
    params = {"model": "m", "messages": HI, **params}
    with RawServer(answer(body, Content_Type="text/event-stream")) as server:
        client = make(api_key=KEY, base_url=server.url, max_retries=0)
        if not getattr(client, "is_async", False):
            with client.chat.completions.stream(**params) as stream:
                events = list(stream)
                return events, stream.get_final_completion(), server.requests

        async def consume() -> Any:
            async with client, client.chat.completions.stream(**params) as stream:
                events = [event async for event in stream]
                return events, await stream.get_final_completion(), server.requests

        return asyncio.run(consume())  # type: ignore[no-any-return]


@BOTH
@pytest.mark.parametrize("name", CHAT_STREAMS)
def test_a_streamed_chat_completion_adds_up_to_what_a_plain_answer_holds(
    make: Any, name: str
) -> None:
    chunks = CHAT_STREAMS[name]
    events, final, _ = stream_of_chat(make, sse(*chunks, b"[DONE]"), tools=STRICT_TOOLS)
    relevant = [c for c in chunks if c["object"]]
    texts: Dict[Tuple[int, str], str] = {}
    arguments: Dict[int, str] = {}
    for part in (choice for c in relevant for choice in c["choices"]):
        for field in ("content", "refusal"):
            if part["delta"].get(field) is not None:
                key = part["index"], field
                texts[key] = texts.get(key, "") + part["delta"][field]
        for tool in part["delta"].get("tool_calls", ()):
            arguments.setdefault(tool["index"], "")
            arguments[tool["index"]] += tool["function"]["arguments"]
    whole = final.to_dict()
    assert whole["object"] == "chat.completion" and whole["id"] == "chatcmpl-1"
    assert whole.get("usage") == relevant[-1].get("usage") and "obfuscation" not in whole
    assert [c["index"] for c in whole["choices"]] == sorted({i for i, _ in texts} or {0})
    for choice in whole["choices"]:
        for field in ("content", "refusal"):
            expected = texts.get((choice["index"], field))
            assert choice["message"].get(field) == expected
        assert choice["finish_reason"] in ("stop", "tool_calls")
        calls = choice["message"].get("tool_calls") or []
        assert [c["function"]["arguments"] for c in calls] == list(arguments.values())
        assert all("index" not in c and c["id"][0] == "c" for c in calls)
        assert [c["function"]["parsed_arguments"] for c in calls] == list(
            map(json.loads, arguments.values()))
    if "unknown" in name:
        assert whole["new"] == {"a": 1} and whole["choices"][0]["message"]["mood"] == "ok"
        assert [t["token"] for t in whole["choices"][0]["logprobs"]["content"]] == ["a", "b"]
    deltas = [e for e in events if e.type == "content.delta"]
    if len(whole["choices"]) == 1:
        assert [e.snapshot for e in deltas] == list(
            itertools.accumulate(e.delta for e in deltas))


@BOTH
def test_interleaved_tool_calls_are_done_only_when_they_are(make: Any) -> None:
    first, second = tool_piece(0, '{"a": ', id="c0", name="f"), tool_piece(
        1, '{"b": ', id="c1", name="g")
    events, final, _ = stream_of_chat(make, sse(
        chunk(piece(role="assistant", content=None, tool_calls=[first, second])),
        chunk(piece(tool_calls=[tool_piece(0, "1}")])),
        chunk(piece(tool_calls=[tool_piece(1, "2}")])),
        chunk(piece(finish="tool_calls")), b"[DONE]",
    ), tools=STRICT_TOOLS)
    done = [e for e in events if e.type == "tool_calls.function.arguments.done"]
    assert [(e.index, e.name, e.arguments, e.parsed_arguments) for e in done] == [
        (0, "f", '{"a": 1}', {"a": 1}), (1, "g", '{"b": 2}', {"b": 2})]
    partly = [e for e in events if e.type == "tool_calls.function.arguments.delta"]
    assert [(e.index, e.arguments_delta, e.arguments, e.parsed_arguments) for e in partly] == [
        (0, '{"a": ', '{"a": ', {}), (1, '{"b": ', '{"b": ', {}),
        (0, "1}", '{"a": 1}', {"a": 1}), (1, "2}", '{"b": 2}', {"b": 2})]
    calls = final.choices[0].message.tool_calls
    assert [c.function.parsed_arguments for c in calls] == [{"a": 1}, {"b": 2}]
    assert json.loads(openai.encode_json(final.choices[0].message))["tool_calls"][0] == {
        "id": "c0", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


def shown(events: List[Any]) -> List[Any]:
    """Events as data, without what the official package adds: the index of a tool call."""
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            drop = "index" if "function" in value and "id" in value else ""
            return {k: clean(v) for k, v in value.items() if k != drop and v is not None}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return [clean(e.to_dict()) for e in events if getattr(e, "type", "") != "chunk"]


@IGNORE_WARNINGS
@pytest.mark.parametrize("name", CHAT_STREAMS)
def test_official_chat_stream_events_are_the_same(name: str) -> None:
    body = sse(*CHAT_STREAMS[name], b"[DONE]")
    tools = STRICT_TOOLS
    theirs, their_final, their_requests = stream_of_chat(official().OpenAI, body, tools=tools)
    ours, our_final, our_requests = stream_of_chat(OpenAI, body, tools=tools)
    assert shown(ours) == shown(theirs)
    assert our_requests[0][1] == their_requests[0][1]
    head, their_head = headers_of(our_requests[0][0]), headers_of(their_requests[0][0])
    assert head["x-stainless-helper-method"] == their_head["x-stainless-helper-method"]
    (mine,), (other,) = shown([our_final]), shown([their_final])
    for choice, theirs_choice in zip(mine["choices"], other["choices"]):
        # Those of the official package are in the order of arrival.
        assert choice["message"] == theirs_choice["message"]


def test_a_chat_stream_that_is_cut_never_gives_a_final_completion() -> None:
    body = sse(*CHAT_STREAMS["two tool calls, one after the other"], b"[DONE]")
    end = body.index(b'"finish_reason": "tool_calls"') + len(b'"finish_reason": "tool_calls"')
    for cut in range(0, len(body), 7):
        try:
            _, final, _ = stream_of_chat(OpenAI, body[:cut], tools=STRICT_TOOLS)
        except openai.IncompleteStreamError as err:
            assert cut < len(body) and "without a finish reason" in str(err)
            assert err.snapshot is None or err.snapshot.object == "chat.completion"
        else:
            assert cut > end and final.choices[0].finish_reason == "tool_calls"


@BOTH
def test_length_and_content_filter_are_errors_where_the_answer_is_parsed(make: Any) -> None:
    errors: List[Tuple[str, Any]] = [
        ("length", openai.LengthFinishReasonError),
        ("content_filter", openai.ContentFilterFinishReasonError),
    ]
    for reason, kind in errors:
        chunks = chunk(piece(**ROLE)), chunk(piece(content='{"a')), chunk(piece(finish=reason))
        with pytest.raises(kind) as caught:
            stream_of_chat(make, sse(*chunks, b"[DONE]"), tools=STRICT_TOOLS)
        assert caught.value.completion.choices[0].message.content == '{"a'
        with pytest.raises(kind):  # in get_final_completion(), as parse() would
            stream_of_chat(make, sse(*chunks, b"[DONE]"))


def test_what_a_stream_event_has_to_make_is_made_when_somebody_looks() -> None:
    chunks = [chunk(piece(content="x" * 10)) for _ in range(3)]
    state = openai.ChatCompletionStreamState[Any]()
    events: List[Any] = [e for c in chunks for e in state.handle_chunk(
        openai.ChatCompletionChunk.model_validate(c))]
    text = state._choices[0].message["content"]
    assert "snapshot" not in vars(events[1]) and len(text.pieces) == 3
    assert len(events[1].snapshot) == 10 and len(events[-1].snapshot) == 30
    assert pickle.loads(pickle.dumps(events[3])) == events[3]
    assert events[3].to_dict() == {"type": "content.delta", "delta": "x" * 10, "parsed": None,
                                   "snapshot": "x" * 20}


def item_events(index: int, item: Dict[str, Any], *inside: Dict[str, Any]) -> List[Dict[str, Any]]:
    """An output item that comes with these events about it; the last is the item as it ends."""
    *events, done = inside
    about = {"output_index": index, "item_id": item["id"]}
    return [{"type": "response.output_item.added", "output_index": index, "item": item},
            *({**about, **event} for event in events),
            {"type": "response.output_item.done", "output_index": index, "item": {**item, **done}}]


def response_stream(*items: List[Dict[str, Any]], end: str = "completed",
                    **response: Any) -> List[Dict[str, Any]]:
    """The events of a response with these items, numbered."""
    base = {"id": "resp_1", "object": "response", "created_at": 1.0, "model": "m", "tools": [],
            "parallel_tool_calls": True, "tool_choice": "auto"}
    output = [events[-1]["item"] for events in items]
    events = [
        {"type": "response.created", "response": {**base, "status": "in_progress", "output": []}},
        {"type": "response.in_progress", "response": {
            **base, "status": "in_progress", "output": []}},
        *itertools.chain(*items),
        {"type": f"response.{end}", "response": {
            **base, "status": end, "output": output, **response}},
    ]
    return [{**event, "sequence_number": n} for n, event in enumerate(events)]


def text_item(index: int, *pieces: str, **fields: Any) -> List[Dict[str, Any]]:
    part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
    whole = {**part, "text": "".join(pieces)}
    at = {"content_index": 0}
    return item_events(
        index, {"type": "message", "id": f"msg_{index}", "role": "assistant",
                "status": "in_progress", "content": [], **fields},
        {"type": "response.content_part.added", "part": part, **at},
        *({"type": "response.output_text.delta", "delta": p, "logprobs": [], **at} for p in pieces),
        {"type": "response.output_text.done", "text": whole["text"], "logprobs": [], **at},
        {"type": "response.content_part.done", "part": whole, **at},
        {"status": "completed", "content": [whole]},
    )


def call_item(index: int, *pieces: str) -> List[Dict[str, Any]]:
    kind = "response.function_call_arguments"
    return item_events(
        index, {"type": "function_call", "id": f"fc_{index}", "call_id": f"call_{index}",
                "name": "f", "arguments": "", "status": "in_progress"},
        *({"type": f"{kind}.delta", "delta": p} for p in pieces),
        {"type": f"{kind}.done", "arguments": "".join(pieces), "name": "f"},
        {"status": "completed", "arguments": "".join(pieces)},
    )


def refusal_item(index: int) -> List[Dict[str, Any]]:
    at = {"content_index": 0}
    return item_events(
        index, {"type": "message", "id": f"msg_{index}", "role": "assistant",
                "status": "in_progress", "content": []},
        {"type": "response.content_part.added", "part": {"type": "refusal", "refusal": ""}, **at},
        {"type": "response.refusal.delta", "delta": "No", **at},
        {"type": "response.refusal.delta", "delta": ".", **at},
        {"type": "response.refusal.done", "refusal": "No.", **at},
        {"type": "response.content_part.done", "part": {"type": "refusal", "refusal": "No."}, **at},
        {"status": "completed", "content": [{"type": "refusal", "refusal": "No."}]},
    )


def reasoning_item(index: int) -> List[Dict[str, Any]]:
    at = {"summary_index": 0}
    part = {"type": "summary_text", "text": "Hm, so."}
    return item_events(
        index, {"type": "reasoning", "id": f"rs_{index}", "summary": []},
        {"type": "response.reasoning_summary_part.added", "part": {**part, "text": ""}, **at},
        {"type": "response.reasoning_summary_text.delta", "delta": "Hm, ", **at},
        {"type": "response.reasoning_summary_text.delta", "delta": "so.", **at},
        {"type": "response.reasoning_summary_text.done", "text": "Hm, so.", **at},
        {"type": "response.reasoning_summary_part.done", "part": part, **at},
        {"summary": [part]},
    )


RESPONSE_STREAMS: Dict[str, List[Dict[str, Any]]] = {
    "text": response_stream(text_item(0, '{"n": ', "1}")),
    "reasoning, comments, a call and an answer": response_stream(
        reasoning_item(0), text_item(1, "Just a ", "moment.", phase="commentary"),
        call_item(2, '{"a"', ": 1}"), text_item(3, '{"n": 2}', phase="final_answer")),
    "a refusal": response_stream(refusal_item(0)),
    "two items": response_stream(text_item(0, '{"n": ', "3}"), call_item(1, "{", "}")),
    "an item and events unknown to us": response_stream(
        item_events(0, {"type": "dream", "id": "dr_0", "images": []},
                    {"type": "response.dream.image", "image": "x"}, {"images": ["x"]}),
        text_item(1, "Woke ", "up.", mood="fresh")),
    "nothing": response_stream(),
}


def stream_of_response(make: Any, body: bytes, **params: Any) -> Tuple[List[Any], Any, Any]:
    params = params if "response_id" in params else {"model": "m", "input": "hi", **params}
    with RawServer(answer(body, Content_Type="text/event-stream")) as server:
        client = make(api_key=KEY, base_url=server.url, max_retries=0)
        if not getattr(client, "is_async", False):
            with client.responses.stream(**params) as stream:
                events = list(stream)
                return events, stream.get_final_response(), server.requests

        async def consume() -> Any:
            async with client, client.responses.stream(**params) as stream:
                events = [event async for event in stream]
                return events, await stream.get_final_response(), server.requests

        return asyncio.run(consume())  # type: ignore[no-any-return]


STRICT_FLAT_TOOLS = [{"type": "function", **tool["function"]} for tool in STRICT_TOOLS]


@BOTH
@pytest.mark.parametrize("name", RESPONSE_STREAMS)
def test_a_streamed_response_adds_up_to_the_plain_one(make: Any, name: str) -> None:
    sent = RESPONSE_STREAMS[name]
    events, final, _ = stream_of_response(make, sse(*sent), tools=STRICT_FLAT_TOOLS)
    assert [e.type for e in events] == [e["type"] for e in sent]
    whole = json.loads(openai.encode_json(final))  # without what was parsed
    assert whole == sent[-1]["response"]
    for event in events:
        if event.type == "response.output_text.delta":
            assert event.snapshot.endswith(event.delta) and len(event.snapshot) >= len(event.delta)
    texts = [e for e in events if e.type == "response.output_text.done"]
    assert all(e.parsed is None for e in texts)  # no class was asked for
    calls = [item for item in final.output if item.type == "function_call"]
    assert all(c.parsed_arguments == json.loads(c.arguments) for c in calls)
    # What the deltas alone amount to is the same.
    state = openai.ResponseStreamState[Any]()
    quiet = ("response.output_item.done", "response.completed", "response.content_part.done",
             "response.reasoning_summary_part.done")
    for data in sent:
        if data["type"] not in quiet:
            state.handle(openai.decode(openai.type_named("ResponseStreamEvent"),
                                       copy.deepcopy(data)))
    grown = state.snapshot().to_dict()["output"]
    for item, expected in zip(grown, whole["output"]):
        item.pop("status", None)
        expected.pop("status", None)
        assert item == expected or item["type"] == "dream"  # what its pieces mean is not known


@IGNORE_WARNINGS
@pytest.mark.parametrize("name", RESPONSE_STREAMS)
def test_official_response_stream_events_are_the_same(name: str) -> None:
    body = sse(*RESPONSE_STREAMS[name])
    tools = STRICT_FLAT_TOOLS
    theirs, their_final, asked = stream_of_response(official().OpenAI, body, tools=tools)
    ours, our_final, our_asked = stream_of_response(OpenAI, body, tools=tools)
    assert shown(ours) == shown(theirs) and shown([our_final]) == shown([their_final])
    assert our_asked[0][1] == asked[0][1]


def test_a_response_stream_that_is_cut_never_gives_a_final_response() -> None:
    body = sse(*RESPONSE_STREAMS["reasoning, comments, a call and an answer"])
    last = body.index(b'{"type": "response.completed"')
    for cut in range(0, len(body), 41):
        try:
            _, final, _ = stream_of_response(OpenAI, body[:cut], tools=STRICT_FLAT_TOOLS)
        except openai.IncompleteStreamError as err:
            assert "without a `response.completed`" in str(err) and isinstance(err, RuntimeError)
        else:
            assert cut > last and final.status == "completed"


@BOTH
def test_a_response_that_ends_incomplete_says_so_and_is_not_parsed(make: Any) -> None:
    sent = response_stream(text_item(0, '{"n": '), end="incomplete",
                           incomplete_details={"reason": "max_output_tokens"})
    _, final, _ = stream_of_response(make, sse(*sent), tools=STRICT_FLAT_TOOLS)
    assert final.status == "incomplete" and final.output_text == '{"n": '
    assert final.output_parsed is None


@BOTH
def test_an_existing_response_is_streamed_from_starting_after_on(make: Any) -> None:
    sent = RESPONSE_STREAMS["text"]
    events, final, asked = stream_of_response(
        make, sse(*sent), response_id="resp_1", starting_after=4)
    assert [e.sequence_number for e in events] == list(range(5, len(sent)))
    assert events[0].snapshot == '{"n": 1}' and final.output_text == '{"n": 1}'
    assert asked[0][0].startswith("GET /v1/responses/resp_1?stream=true ")
    client = make(api_key=KEY)
    for wrong in ({"response_id": "r", "model": "m"}, {"starting_after": 1}, {"model": "m"},
                  {"input": "x"}):
        with pytest.raises(ValueError):
            client.responses.stream(**wrong)
    with pytest.raises(TypeError, match="unexpected keyword argument 'modle'"):
        client.responses.stream(modle="m", model="m", input="x")
    with pytest.raises(AttributeError, match="no view"):
        client.with_raw_response.responses.stream(model="m", input="x")


# Structured outputs and parsed tool calls, in one call.


@dataclasses.dataclass
class Step:
    explanation: str
    output: str


@dataclasses.dataclass
class Solution:
    """How an equation is solved."""

    steps: List[Step]
    answer: float


def chat_answer(content: Optional[str], finish: str = "stop", **message: Any) -> Dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m",
            "choices": [{"index": 0, "finish_reason": finish, "logprobs": None, "message": {
                "role": "assistant", "content": content, "refusal": None, **message}}]}


SOLVED = '{"steps": [{"explanation": "halve", "output": "x = 2"}], "answer": 2}'
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}


@BOTH
def test_parse_gives_objects_of_the_class_that_was_asked_for(make: Any) -> None:
    with RawServer(answer(chat_answer(SOLVED)), answer(chat_answer(None, refusal="No."))) as server:
        client = make(api_key=KEY, base_url=server.url)
        found = call(client, "chat.completions.parse", model="m", messages=HI,
                     response_format=Solution)
        refused = call(client, "chat.completions.parse", model="m", messages=HI,
                       response_format=Solution)
    assert found.choices[0].message.parsed == Solution([Step("halve", "x = 2")], 2.0)
    message = refused.choices[0].message
    assert message.parsed is None and message.refusal == "No."
    head, body = server.requests[0]
    assert headers_of(head)["x-stainless-helper-method"] == "chat.completions.parse"
    sent = json.loads(body)
    assert list(sent) == ["model", "stream", "messages", "response_format"]
    schema = sent["response_format"]["json_schema"]
    assert schema["name"] == "Solution" and schema["strict"] is True
    assert schema["schema"]["required"] == ["steps", "answer"]
    assert schema["schema"]["additionalProperties"] is False
    assert "parsed" not in json.loads(openai.encode_json(found))["choices"][0]["message"]


@BOTH
def test_responses_parse_gives_objects_of_the_class_that_was_asked_for(make: Any) -> None:
    whole = response_stream(
        text_item(0, "Let me think", phase="commentary"), call_item(1, '{"a": 1}'),
        text_item(2, SOLVED, phase="final_answer"))[-1]["response"]
    with RawServer(answer(whole), answer(whole)) as server:
        client = make(api_key=KEY, base_url=server.url)
        params = {"model": "m", "input": "2x = 4", "tools": STRICT_TOOLS}
        found = call(client, "responses.parse", text_format=Solution, **params)
        later = call(client, "responses.parse", parse_as=Solution, text={"verbosity": "low"},
                     **params)
    solution = Solution([Step("halve", "x = 2")], 2.0)
    assert found.output_parsed == later.output_parsed == solution
    assert found.output[0].content[0].parsed is None  # a comment on the way
    assert found.output[1].parsed_arguments == {"a": 1}
    sent = json.loads(server.requests[0][1])
    assert sent["text"]["format"]["name"] == "Solution" and "text_format" not in sent
    assert sent["tools"] == [  # given as for chat completions
        dict(tool, description=None) for tool in STRICT_FLAT_TOOLS]
    assert json.loads(server.requests[1][1])["text"] == {"verbosity": "low"}
    assert json.loads(openai.encode_json(found)) == whole


@BOTH
def test_parse_refuses_what_it_could_not_parse(make: Any) -> None:
    client = make(api_key=KEY, base_url="http://127.0.0.1:9", max_retries=0)
    loose = {"type": "function", "function": {"name": "f", "parameters": {}}}
    for tools, words in (([loose], "'f' must have `strict: True`"),
                         ([{"type": "custom", "custom": {"name": "c"}}], "not 'custom'")):
        with pytest.raises(ValueError, match=re.escape(words)):
            call(client, "chat.completions.parse", model="m", messages=HI, tools=tools)
    with pytest.raises(TypeError, match="missing 1 required argument: 'messages'"):
        call(client, "chat.completions.parse", model="m", response_format=Solution)
    with pytest.raises(TypeError, match="text_format or a format in `text`"):
        call(client, "responses.parse", model="m", input="x", text_format=Solution,
             text={"format": {"type": "text"}})
    update: Any = {"type": "configuration_update", "text": {"format": {
        "type": "json_schema", "name": "Other", "schema": {}}}}
    with pytest.raises(TypeError, match="parse_as"):
        call(client, "responses.parse", model="m", input=[update], text_format=Solution)
    update["text"]["format"] = {"type": "text"}
    with pytest.raises(TypeError, match="plain text"):
        call(client, "responses.parse", model="m", input=[update], parse_as=Solution)


@pytest.mark.parametrize("finish, kind", [
    ("length", openai.LengthFinishReasonError),
    ("content_filter", openai.ContentFilterFinishReasonError),
])
def test_parse_raises_if_the_answer_was_cut(finish: str, kind: Any) -> None:
    with RawServer(answer(chat_answer('{"steps', finish))) as server, client_of(server) as client:
        with pytest.raises(kind) as caught:
            client.chat.completions.parse(model="m", messages=[], response_format=Solution)
    assert caught.value.completion.choices[0].message.content == '{"steps'


def test_parse_raises_if_the_answer_does_not_fit() -> None:
    for content in ("Sorry", '{"steps": [], "answer": "two"}'):
        with RawServer(answer(chat_answer(content))) as server, client_of(server) as client:
            with pytest.raises(openai.OutputParseError, match="Solution|not JSON"):
                client.chat.completions.parse(model="m", messages=[], response_format=Solution)


@BOTH
def test_parse_has_a_raw_view(make: Any) -> None:
    with RawServer(answer(chat_answer(SOLVED, tool_calls=[TOOL_CALL]))) as server:
        client = make(api_key=KEY, base_url=server.url)
        raw = call(client.with_raw_response, "chat.completions.parse", model="m", messages=HI,
                   response_format=Solution, tools=STRICT_TOOLS)
    assert raw.status_code == 200 and raw.parse().choices[0].message.parsed.answer == 2.0
    call_of_tool = raw.parse().choices[0].message.tool_calls[0]
    assert call_of_tool.function.parsed_arguments == {"a": 1}


@BOTH
def test_a_stream_parses_as_it_goes(make: Any) -> None:
    chunks = [chunk(piece(**ROLE)), *(chunk(piece(content=c)) for c in (SOLVED[:40], SOLVED[40:])),
              chunk(piece(finish="stop"))]
    events, final, _ = stream_of_chat(make, sse(*chunks, b"[DONE]"), response_format=Solution)
    solution = Solution([Step("halve", "x = 2")], 2.0)
    first, second = [e for e in events if e.type == "content.delta" and e.delta]
    assert first.parsed == {"steps": [{"explanation": "halve"}]}
    assert second.parsed == json.loads(SOLVED)
    (done,) = [e for e in events if e.type == "content.done"]
    assert done.parsed == final.choices[0].message.parsed == solution
    sent = response_stream(text_item(0, SOLVED[:40], SOLVED[40:]))
    events, final, asked = stream_of_response(make, sse(*sent), text_format=Solution)
    (done,) = [e for e in events if e.type == "response.output_text.done"]
    assert done.parsed == final.output_parsed == events[-1].response.output_parsed == solution
    assert json.loads(asked[0][1])["text"]["format"]["name"] == "Solution"


@IGNORE_WARNINGS
@pytest.mark.parametrize("dotted", ["chat.completions.parse", "responses.parse"])
def test_official_parse_sends_and_finds_the_same(dotted: str) -> None:
    theirs = official().OpenAI
    pydantic = importlib.import_module("pydantic")
    kind = pydantic.create_model("Point", x=(int, ...), y=(Optional[float], None))
    chat = dotted.startswith("chat")
    tools = [openai.pydantic_function_tool(kind)], [official().pydantic_function_tool(kind)]
    point = '{"x": 1, "y": 2}'
    named = {**TOOL_CALL, "function": {"name": "Point", "arguments": point}}
    item = call_item(1, point)
    item[-1]["item"]["name"] = "Point"
    body = chat_answer(point, tool_calls=[named]) if chat else response_stream(
        text_item(0, point), item)[-1]["response"]
    found, sent = [], []
    for make, own in zip((OpenAI, theirs), tools):
        with RawServer(answer(body)) as server:
            client: Any = make(api_key=KEY, base_url=server.url)
            asked = {"messages": HI, "response_format": kind} if chat else {
                "input": "x", "text_format": kind}
            found.append(call(client, dotted, model="m", tools=own, user="u", **asked))
        sent.append(server.requests[0][1])
    assert sent[0] == sent[1]
    if chat:
        message, other = (f.choices[0].message for f in found)
        assert message.parsed == other.parsed == kind(x=1, y=2)
        assert message.tool_calls[0].function.parsed_arguments == kind(x=1, y=2)
    else:
        assert found[0].output_parsed == found[1].output_parsed == kind(x=1, y=2)
        assert found[0].output[1].parsed_arguments == kind(x=1, y=2)
def as_sent(completion: Any) -> Any:
    """What two answers to one request have in common: not the ids and times, nor what is ours."""
    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            left_out = ("id", "created", "created_at", "completed_at", "usage", "call_id")
            kept = {k: clean(v) for k, v in value.items() if k not in left_out and v != []}
            return {k: v for k, v in kept.items() if v is not None}
        return [clean(item) for item in value] if isinstance(value, list) else value

    return clean(json.loads(openai.encode_json(completion)))


def asking(text: str) -> List[Any]:
    return [{"role": "user", "content": text}]


WEATHER = {"type": "function", "function": {"name": "get_weather", "strict": True, "parameters": {
    "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"],
    "additionalProperties": False}}}
TIME = json.loads(json.dumps(WEATHER).replace("get_weather", "get_time"))


def final_of(client: Any, path: str, method: str, asked: Dict[str, Any]) -> Any:
    """What a stream adds up to, of either client."""
    start = functools.reduce(getattr, path.split("."), client).stream

    async def streamed() -> Any:
        async with client, start(model="m", **asked) as stream:
            return await getattr(stream, method)()

    if isinstance(client, AsyncOpenAI):
        return asyncio.run(streamed())
    with start(model="m", **asked) as stream:
        return getattr(stream, method)()


@BOTH
@pytest.mark.parametrize("asked", [
    {"messages": asking("hello")},
    {"messages": asking("hello"), "n": 3},
    {"messages": asking("hello"), "logprobs": True, "top_logprobs": 2},
    {"messages": asking("please refuse")},
    {"messages": asking("get_weather and get_time, city: Oslo"), "tools": [WEATHER, TIME]},
    {"messages": asking("hello"), "response_format": Solution},
], ids=["text", "three", "logprobs", "refusal", "tools", "parsed"])
def test_a_chat_stream_of_the_local_server_adds_up_to_its_plain_answer(
    make: Any, asked: Dict[str, Any], server: Any
) -> None:
    client = make(api_key=KEY, base_url=server.url)
    plain = call(client, "chat.completions.parse", model="m", **asked)
    final = final_of(client, "chat.completions", "get_final_completion", asked)
    assert as_sent(final) == as_sent(plain)
    assert [c.message.parsed for c in final.choices] == [c.message.parsed for c in plain.choices]


@BOTH
@pytest.mark.parametrize("asked", [
    {"input": "hello"},
    {"input": "hello", "reasoning": {"effort": "low"}},
    {"input": "hello", "include": ["message.output_text.logprobs"]},
    {"input": "please refuse"},
    {"input": "get_weather and get_time, city: Oslo", "tools": [WEATHER, TIME]},
    {"input": "hello", "max_output_tokens": 3},
    {"input": "please fail"},
    {"input": "hello", "text_format": Solution},
], ids=["text", "reasoning", "logprobs", "refusal", "tools", "cut", "failed", "parsed"])
def test_a_response_stream_of_the_local_server_adds_up_to_its_plain_answer(
    make: Any, asked: Dict[str, Any], server: Any
) -> None:
    client = make(api_key=KEY, base_url=server.url)
    plain = call(client, "responses.parse", model="m", **asked)
    final = final_of(client, "responses", "get_final_response", asked)
    assert as_sent(final) == as_sent(plain) and final.output_parsed == plain.output_parsed


def test_an_answer_that_was_cut_before_it_could_be_parsed_says_so(client: OpenAI) -> None:
    with pytest.raises(openai.OutputParseError, match=r"was cut \(max_output_tokens\): .*not JSON"):
        client.responses.parse(
            model="m", input="hello", text_format=Solution, max_output_tokens=2)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("text", ["hello", "draw", "code and draw"])
def test_what_a_handler_has_in_the_end_is_what_the_local_server_stored(
    text: str, client: OpenAI
) -> None:
    made = client.beta.assistants.create(model="m", tools=[{"type": "code_interpreter"}])
    thread: Any = {"messages": asking(text)}
    with client.beta.threads.create_and_run_stream(
        assistant_id=made.id, thread=thread
    ) as handler:
        messages, steps = handler.get_final_messages(), handler.get_final_run_steps()
        run = handler.get_final_run()
    threads = client.beta.threads
    assert run == threads.runs.retrieve(run.id, thread_id=run.thread_id)
    for message in messages:
        assert message == threads.messages.retrieve(message.id, thread_id=run.thread_id)
    stored = threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc")
    assert steps == list(stored) and len(steps) >= 1


########################################################################
## 10. Providers
########################################################################

# ---- 9.1 Azure ----

AZURE = [
    # options, method, arguments, the path that is asked for, below the endpoint
    ({}, "chat.completions.create", {"model": "a b", "messages": []},
     "/openai/deployments/a%20b/chat/completions?api-version=v1"),
    ({}, "embeddings.create", {"model": "dep", "input": "x", "encoding_format": "float"},
     "/openai/deployments/dep/embeddings?api-version=v1"),
    ({}, "models.list", {}, "/openai/models?api-version=v1"),
    ({}, "responses.create", {"model": "dep", "input": "x"}, "/openai/responses?api-version=v1"),
    ({"azure_deployment": "mine"}, "chat.completions.create", {"model": "m", "messages": []},
     "/openai/deployments/mine/chat/completions?api-version=v1"),
    ({"azure_deployment": "mine"}, "models.list", {}, "/openai/models?api-version=v1"),
    ({"azure_deployment": "mine"}, "files.retrieve", {"file_id": "f"},
     "/openai/files/f?api-version=v1"),
]
AZURE_BOTH = pytest.mark.parametrize(
    "make", [openai.AzureOpenAI, openai.AsyncAzureOpenAI], ids=["AzureOpenAI", "AsyncAzureOpenAI"]
)


@AZURE_BOTH
@pytest.mark.parametrize("options, dotted, arguments, target", AZURE)
def test_azure_paths(
    options: Dict[str, Any], dotted: str, arguments: Dict[str, Any], target: str, make: Any
) -> None:
    with RawServer(answer(CHAT), answer(CHAT)) as server:
        client = make(azure_endpoint=f"http://127.0.0.1:{server.port}/", api_version="v1",
                      api_key=KEY, **options)
        call(client, dotted, **arguments)
        call(client.with_options(max_retries=1), dotted, **arguments)
    assert targets(server) == [target] * 2
    headers = headers_of(server.requests[0][0])
    assert headers["api-key"] == KEY and "authorization" not in headers


@AZURE_BOTH
def test_azure_credentials(make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = iter(["token-1", "token-2"])
    with RawServer(*[answer({"id": "m"})] * 6) as server:
        where = {"azure_endpoint": f"http://127.0.0.1:{server.port}", "api_version": "v1"}
        for client in (
            make(azure_ad_token="entra", **where),
            make(azure_ad_token="entra", **where).with_options(timeout=3),
        ):
            call(client, "models.retrieve", model="m")
        client = make(azure_ad_token_provider=lambda: next(tokens), **where)
        call(client, "models.retrieve", model="m")
        call(client.copy(), "models.retrieve", model="m")
        monkeypatch.setenv("AZURE_OPENAI_API_KEY", "key-env")
        monkeypatch.setenv("AZURE_OPENAI_ENDPOINT", where["azure_endpoint"])
        monkeypatch.setenv("OPENAI_API_VERSION", "v2")
        call(make(), "models.retrieve", model="m")
        monkeypatch.delenv("AZURE_OPENAI_API_KEY")
        monkeypatch.setenv("AZURE_OPENAI_AD_TOKEN", "token-env")
        call(make(), "models.retrieve", model="m")
    sent = [headers_of(head) for head, _ in server.requests]
    assert [(h.get("authorization"), h.get("api-key")) for h in sent] == [
        ("Bearer entra", None), ("Bearer entra", None), ("Bearer token-1", None),
        ("Bearer token-2", None), (None, "key-env"), ("Bearer token-env", None),
    ]
    assert targets(server)[4] == "/openai/models/m?api-version=v2"


def test_an_async_token_provider_is_awaited() -> None:
    async def provide() -> str:
        return "token"

    with RawServer(answer({"id": "m"})) as server:
        client = openai.AsyncAzureOpenAI(
            azure_endpoint=f"http://127.0.0.1:{server.port}", api_version="v1",
            azure_ad_token_provider=provide,
        )
        call(client, "models.retrieve", model="m")
    assert headers_of(server.requests[0][0])["authorization"] == "Bearer token"


@AZURE_BOTH
@pytest.mark.parametrize("options, message", [
    ({}, "api_version"),
    ({"api_version": "v1"}, "AZURE_OPENAI_ENDPOINT"),
    ({"api_version": "v1", "azure_endpoint": "http://x"}, "AZURE_OPENAI_API_KEY"),
    ({"api_version": "v1", "azure_endpoint": "http://x", "base_url": "http://y", "api_key": "k"},
     "exclude"),
    ({"api_version": "v1", "azure_endpoint": "http://x", "azure_ad_token": "s3cret\n"},
     "azure_ad_token"),
])
def test_azure_options_that_do_not_suffice(options: Any, message: str, make: Any) -> None:
    with pytest.raises((openai.OpenAIError, ValueError), match=message) as caught:
        make(**options)
    assert "s3cret" not in str(caught.value)


########################################################################
## 11. Module-level client
########################################################################


@pytest.fixture
def module_options() -> Iterator[None]:
    before = {name: getattr(openai, name) for name in MODULE_ATTRIBUTES}
    yield
    for name, value in before.items():
        setattr(openai, name, value)


MODULE_ATTRIBUTES = (
    "api_key", "admin_api_key", "organization", "project", "webhook_secret", "base_url", "timeout",
    "max_retries", "default_headers", "default_query", "http_client", "api_type", "api_version",
    "azure_endpoint", "azure_ad_token", "azure_ad_token_provider",
)


@pytest.mark.usefixtures("module_options")
def test_the_module_is_a_client_whose_options_are_attributes() -> None:
    with RawServer(*[answer(CHAT)] * 3) as server:
        openai.api_key, openai.base_url = KEY, server.url
        openai.organization, openai.default_query = "org", {"v": "1"}
        assert openai.chat.completions.create(model="m", messages=[]).id == "chatcmpl-1"
        openai.api_key, openai.default_headers = "sk-changed", {"X-A": "b"}
        openai.chat.completions.create(model="m", messages=[])
        assert openai.models.with_raw_response.retrieve("m").status_code == 200
    first, second = [headers_of(head) for head, _ in server.requests[:2]]
    assert (first["authorization"], first["openai-organization"]) == ("Bearer " + KEY, "org")
    assert (second["authorization"], second["x-a"]) == ("Bearer sk-changed", "b")
    assert targets(server)[0] == "/v1/chat/completions?v=1"


@pytest.mark.usefixtures("module_options")
def test_the_module_client_for_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    with RawServer(answer(CHAT), answer(CHAT)) as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        openai.api_type, openai.api_version = "azure", "v1"
        openai.azure_endpoint, openai.api_key = endpoint, KEY
        openai.chat.completions.create(model="dep", messages=[])
        openai.api_type = openai.api_key = openai.azure_endpoint = None
        for name, value in (("OPENAI_API_TYPE", "azure"), ("AZURE_OPENAI_ENDPOINT", endpoint),
                            ("AZURE_OPENAI_API_KEY", "key-env")):
            monkeypatch.setenv(name, value)
        openai.chat.completions.create(model="dep", messages=[])
    assert targets(server) == ["/openai/deployments/dep/chat/completions?api-version=v1"] * 2
    assert [headers_of(head)["api-key"] for head, _ in server.requests] == [KEY, "key-env"]


@pytest.mark.usefixtures("module_options")
def test_the_module_without_a_key_says_so_and_has_no_other_attributes() -> None:
    with pytest.raises(openai.OpenAIError, match="OPENAI_API_KEY"):
        openai.models.list()
    with pytest.raises(AttributeError, match="no attribute 'chatt'"):
        openai.chatt  # type: ignore[attr-defined]
    openai.api_type = "other"
    with pytest.raises(openai.OpenAIError, match="api_type"):
        openai.models.list()


def test_every_resource_of_the_client_is_a_resource_of_the_module(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    for name in openai.API.__annotations__:
        if not name.startswith("with_"):
            assert isinstance(getattr(openai, name), openai.Resource)
    tree = ast.parse(SOURCE)
    shown = [node for node in tree.body if isinstance(node, ast.If) and node.orelse][-1]
    for_checkers = [n.target.id for n in shown.body
                    if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)]
    assert for_checkers == [n for n in openai.API.__annotations__ if not n.startswith("with_")]


########################################################################
## 12. Doctor and vendor
########################################################################


def run_command(name: str, *args: str, cwd: Any = HERE, **environ: str) -> Any:
    """A command of the command line."""
    code = "import sys, openai_lite; sys.exit(openai_lite.main(sys.argv[1:]))"
    return python("-c", code, name, *args, cwd=cwd, **environ)


def doctor(*args: str, **environ: str) -> Tuple[int, Dict[str, str]]:
    """(exit code, {check: its mark and finding}); nothing that is secret may be printed."""
    done = run_command("doctor", *args, **environ)
    assert not done.stderr, done.stderr
    for secret in (KEY, "wrong-key", "pass-word"):
        assert secret not in done.stdout
    lines = [line.split(None, 2) for line in done.stdout.splitlines()]
    assert [name for _, name, _ in lines] == list(openai.Checkup.checks)
    assert done.returncode == any(mark == "!!" for mark, _, _ in lines)
    return done.returncode, {name: f"{mark} {found}" for mark, name, found in lines}


def test_the_doctor_finds_all_well_at_a_server_that_works(server: Any) -> None:
    code, found = doctor("--base-url", server.url, OPENAI_API_KEY=KEY)
    assert code == 0, found
    assert found["python"].startswith(f"ok {sys.version.split()[0]}, cpython on {sys.platform}")
    assert found["openssl"] == f"ok {ssl.OPENSSL_VERSION}"
    assert found["url"] == f"ok {server.url}" and found["proxy"] == "ok none"
    assert found["ca"].startswith("--") and "http://" in found["tls"]
    assert found["dns"].startswith("ok 127.0.0.1 is 127.0.0.1 (")
    assert re.match(r"ok connected to http://127.0.0.1:\d+ in \d+ ms", found["tcp"])
    assert found["key"] == "ok set: OPENAI_API_KEY"
    assert re.match(r"ok GET /models answers 200 with [1-9]\d* models", found["answer"])
    assert found["clock"].startswith(("ok", "--"))
    assert re.match(r"ok \d+ ms for a call on an open connection", found["latency"])


def test_the_doctor_stops_where_nothing_further_can_be_found_out(unused_port: int) -> None:
    code, found = doctor("--timeout", "2", OPENAI_BASE_URL=f"http://127.0.0.1:{unused_port}/v1")
    assert code == 1 and "nothing listens there" in found["tcp"]
    assert found["tls"] == found["latency"] == "-- not checked, because of tcp"
    code, found = doctor("--base-url", "https://nosuch.invalid/v1", OPENAI_API_KEY=KEY)
    assert found["dns"].startswith("!! dns nosuch.invalid:443")
    assert found["dns"].endswith("check the host name and the network")
    assert found["tcp"] == found["answer"] == "-- not checked, because of dns"
    code, found = doctor("--base-url", "api.example.com/v1")
    assert "must start with http:// or https://" in found["url"]
    assert found["proxy"] == "-- not checked, because of url"


def test_the_doctor_says_what_is_wrong_with_the_key(server: Any) -> None:
    code, found = doctor("--base-url", server.url, OPENAI_API_KEY="wrong-key")
    assert found["answer"].startswith("!! GET /models answers 401 invalid_api_key: the key is")
    assert found["latency"].startswith("ok")
    code, found = doctor("--base-url", server.url)
    assert code == 1 and found["key"].startswith("!! OPENAI_API_KEY is not set")
    assert found["answer"] == "-- GET /models answers 401, as it must without a key"
    code, found = doctor("--base-url", server.url, OPENAI_API_KEY=f'"{KEY}"')
    assert "quotes or spaces" in found["key"]
    code, found = doctor("--base-url", server.url, OPENAI_API_KEY=f"{KEY}\nx")
    assert found["key"].startswith("!!") and found["answer"].endswith("because of key")


MODELS = {"object": "list", "data": [{"id": "m", "object": "model"}]}


@pytest.mark.parametrize("status, body, headers, check, finding", [
    ("200 OK", MODELS, {"Date": "Mon, 01 Jan 2001 00:00:00 GMT"}, "clock",
     r"!! this machine's is \d{9} s ahead of the server's: set one of them"),
    ("200 OK", MODELS, {"x_ratelimit_remaining_requests": "0", "retry_after": "7"}, "limits",
     "!! x-ratelimit-remaining-requests 0, retry-after 7"),
    ("200 OK", MODELS, {"x_ratelimit_limit_requests": "60"}, "limits",
     "ok x-ratelimit-limit-requests 60"),
    ("200 OK", {}, {}, "answer", "!! .*is /v1 missing"),
    ("200 OK", "<html>", {"Content-Type": "text/html"}, "answer", "!! .*is /v1 missing"),
    ("403 Forbidden", {}, {}, "answer", "!! .* 403 : the key may not do this"),
    ("404 Not Found", {}, {}, "answer", "!! .* 404 : the base URL leads elsewhere"),
    ("429 Too Many", {"error": {"code": "insufficient_quota"}}, {}, "answer",
     "!! .* 429 insufficient_quota: too many requests"),
    ("503 Busy", {}, {}, "answer", "!! .* 503 : the trouble is the server's"),
    ("200 OK", MODELS, {"Content-Length": "99", "Connection": "close"}, "answer",
     "!! read 127.0.0.1:.* closed after"),
])
def test_the_doctor_reads_the_answer(
    status: str, body: Any, headers: Dict[str, str], check: str, finding: str
) -> None:
    with RawServer(answer(body, status, **headers)) as raw:
        code, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY)
    assert re.match(finding, found[check]), found
    assert code == finding.startswith("!!")
    assert raw.requests[0][0].startswith("GET /v1/models ") and KEY in raw.requests[0][0]


def test_the_doctor_tells_a_clock_that_is_an_hour_slow() -> None:
    date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + 3600))
    with RawServer(answer(MODELS, Date=date)) as raw:
        _, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY)
    assert re.match(r"!! this machine's is 3(600|599|601) s behind the server's", found["clock"])


def test_the_doctor_goes_through_the_proxy_and_says_what_goes_around_it(unused_port: int) -> None:
    with RawServer(answer(MODELS)) as raw:
        proxy = f"http://me:pass-word@127.0.0.1:{raw.port}"
        _, found = doctor(
            "--base-url", "http://api.example.com/v1", HTTP_PROXY=proxy, OPENAI_API_KEY=KEY
        )
        shown = f"http://127.0.0.1:{raw.port}, with user and password, from HTTP_PROXY"
        assert found["proxy"] == f"ok {shown}" and found["answer"].startswith("ok")
        assert raw.requests[0][0].startswith("GET http://api.example.com/v1/models ")
    with RawServer(answer(MODELS)) as raw:
        _, found = doctor(
            "--base-url", raw.url, ALL_PROXY=f"http://127.0.0.1:{unused_port}",
            NO_PROXY="127.0.0.0/8", OPENAI_API_KEY=KEY,
        )
        assert found["proxy"] == "ok none: NO_PROXY=127.0.0.0/8 overrides ALL_PROXY"
        assert found["answer"].startswith("ok")
    with RawServer(answer("No: me:pass-word", "407 me:pass-word")) as raw:
        proxy = f"http://me:pass-word@127.0.0.1:{raw.port}"
        _, found = doctor(
            "--base-url", "https://api.example.com/v1", HTTPS_PROXY=proxy, OPENAI_API_KEY=KEY
        )
        assert found["tcp"].startswith("ok") and found["tls"].startswith("!! proxy ")
        assert f"api.example.com:443 via 127.0.0.1:{raw.port}" in found["tls"]
        assert "407" in found["tls"]
    _, found = doctor("--base-url", "https://api.example.com", HTTPS_PROXY="socks5://127.0.0.1:1")
    assert "asks for a SOCKS proxy" in found["proxy"]


def test_the_doctor_looks_at_certificates(certificates: Certificates) -> None:
    right, other = certificates.path("right"), certificates.path("other")
    with RawServer(answer(MODELS), tls=certificates.server("right")) as raw:
        code, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY, SSL_CERT_FILE=right)
    assert code == 0, found
    assert found["ca"] == f"ok 1 certificates from {right}"
    shown = r"certificate for 127.0.0.1, localhost by right, with [12] days left"
    assert re.match(fr"ok TLSv1\.[23], {shown}$", found["tls"])
    with RawServer(tls=certificates.server("right")) as raw:
        _, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY, SSL_CERT_FILE=other)
    assert re.match(fr"!! {shown} \(self.signed certificate\); nothing here trusts", found["tls"])
    assert found["answer"] == "-- not checked, because of tls"
    with RawServer(tls=certificates.server("other")) as raw:
        _, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY, SSL_CERT_FILE=other)
    assert re.match(r"!! certificate for other.example by other.*it is for other", found["tls"])


def test_the_doctor_says_that_a_certificate_has_expired(certificates: Certificates) -> None:
    """It lacks an identifier, too, which is what Python minds first from 3.13 on."""
    right, expired = certificates.path("right"), certificates.expired()
    why = r"certificate has expired\); it has expired: the server must renew it"
    if ssl.create_default_context().verify_flags & 0x20:  # VERIFY_X509_STRICT
        why = r"Missing Authority Key Identifier\); it breaks a rule of RFC 5280"
    with RawServer(tls=certificates.server(expired)) as raw:
        _, found = doctor("--base-url", raw.url, OPENAI_API_KEY=KEY, SSL_CERT_FILE=right)
    shown = r"!! certificate for 127.0.0.1, localhost by right, expired \d+ days ago \("
    assert re.match(shown + why, found["tls"]), found["tls"]


def test_the_doctor_says_where_certificates_are_looked_for_in_vain(tmp_path: pathlib.Path) -> None:
    url = "https://nosuch.invalid/v1"
    _, found = doctor("--base-url", url, SSL_CERT_FILE="/no/such.pem")
    assert found["ca"] == "!! SSL_CERT_FILE=/no/such.pem does not exist: correct it, or unset it"
    (tmp_path / "empty.pem").write_text("")
    _, found = doctor(
        "--base-url", url, SSL_CERT_FILE=str(tmp_path / "empty.pem"), SSL_CERT_DIR=str(tmp_path)
    )
    assert found["ca"].startswith("!! no CA certificates in ")
    _, found = doctor("--base-url", url, SSL_CERT_FILE="")
    assert re.match("ok [1-9][0-9]* certificates (in|from) ", found["ca"])


def vendored(
    folder: pathlib.Path, only: str, source: str = "openai_lite", *options: str, **environ: str
) -> str:
    """The text that `vendor --only` writes, from this file or another in the folder."""
    code = f"import sys, {source} as o; sys.exit(o.main(['vendor', *sys.argv[1:]]))"
    path = os.pathsep.join([str(folder), str(HERE)])
    environ = dict({"PYTHONPATH": path}, **environ)
    output = ["--only", only, "-o", "my_openai.py", *options]
    done = python("-c", code, *output, cwd=folder, **environ)
    assert done.returncode == 0, done.stderr
    return (folder / "my_openai.py").read_text(encoding="utf-8")


def without_origin(text: str) -> str:
    return re.sub(r"^THIS IS A PART OF IT\n(?:.+\n)+\n", "", text, flags=re.M)


def fresh(path: pathlib.Path) -> Any:
    spec = importlib.util.spec_from_file_location("my_openai", str(path))
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def use_models(client: Any) -> None:
    assert client.models.retrieve(client.models.list().data[0].id).object == "model"


@dataclasses.dataclass
class Place:
    name: str


def use_chat(client: Any) -> None:
    asked: Any = {"model": "gpt-4o", "messages": [{"role": "user", "content": "Say hello"}]}
    whole = client.chat.completions.create(**asked).choices[0].message.content
    with client.chat.completions.create(stream=True, **asked) as stream:
        assert "".join(c.choices[0].delta.content or "" for c in stream if c.choices) == whole
    with client.chat.completions.stream(**asked) as events:
        assert events.get_final_completion().choices[0].message.content == whole
    answer = client.chat.completions.parse(response_format=Place, **asked)
    assert isinstance(answer.choices[0].message.parsed, Place)


def use_responses_and_files(client: Any) -> None:
    assert client.responses.create(model="gpt-4o", input="Say hello").output_text
    with client.responses.stream(model="gpt-4o", input="Say hello") as events:
        assert events.get_final_response().status == "completed"
    file = client.files.create(file=("a.txt", b"text"), purpose="user_data")
    assert client.files.content(file.id).read() == b"text"


def use_threads(client: Any) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Say hello"}])
    assert client.beta.threads.messages.list(thread.id).data[0].content[0].text.value
    assistant = client.post(
        "/assistants", cast_to=dict, body={"model": "gpt-4o"},
        options={"headers": {"OpenAI-Beta": "assistants=v2"}},
    )
    asked = {"thread_id": thread.id, "assistant_id": assistant["id"]}
    assert client.beta.threads.runs.create_and_poll(poll_interval_ms=1, **asked).status
    with client.beta.threads.runs.stream(**asked) as handler:
        assert handler.get_final_messages()


def use_vector_stores(client: Any) -> None:
    store = client.vector_stores.create(name="s")
    done = client.vector_stores.files.upload_and_poll(
        vector_store_id=store.id, file=("a.txt", b"text"), poll_interval_ms=1
    )
    assert done.status == "completed"
    assert client.files.retrieve(done.id).filename == "a.txt"  # which it needs, so it came along


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("only, share, use, gone", [
    ("models", 40, use_models, "Assistant|ChatCompl|FileObject|Shapes|Webhook|Helper|SharedFile"),
    ("chat", 55, use_chat, "Assistant|Beta|FileObject|ResponseOutputMessage|Upload|Webhook"),
    ("responses,files", 60, use_responses_and_files, "Assistant|ChatCompletions|Upload|Beta"),
    ("beta.threads", 50, use_threads, "BetaAss|BetaResponses|AgentSession|FileObject|Embedding"),
    ("vector_stores", 45, use_vector_stores, "Assistant|ChatCompletion|ResponseOutput|Upload"),
])
def test_a_vendored_copy_has_what_its_resources_need_and_little_else(
    only: str, share: int, use: Any, gone: str, server: Any, tmp_path: pathlib.Path
) -> None:
    text = vendored(tmp_path, only)
    assert 100 * len(text) < share * len(SOURCE)
    classes = re.findall(r"^ *class (\w+)", text, re.M)
    assert [name for name in classes if re.match(gone, name)] == []
    module = fresh(tmp_path / "my_openai.py")
    assert [name for name in module.__all__ if not hasattr(module, name)] == []
    with module.OpenAI(base_url=server.url, api_key=KEY) as client:
        use(client)
        for other in {"models", "images", "audio"} - set(only.split(",")):
            with pytest.raises(AttributeError):
                getattr(client, other)
            with pytest.raises(AttributeError):
                getattr(module, other)

    async def main() -> None:
        async with module.AsyncOpenAI(base_url=server.url, api_key=KEY) as client:
            assert (await client.get("/models", cast_to=dict))["object"] == "list"

    asyncio.run(main())
    head = text[: text.index('\n"""\n')]
    assert hashlib.sha256((HERE / "openai_lite.py").read_bytes()).hexdigest() in head
    assert f"version {openai.VERSION}," in head and f"vendor --only {only} " in (
        head.replace("files,vector_stores", "vector_stores")
    )
    contents = re.findall(r"^    (\d+\. .*)$", head.partition("CONTENTS")[2], re.M)
    assert contents == BANNER.findall(text)
    assert "\n\n\n\n" not in text and max(map(len, text.split("\n"))) <= 100


def test_any_resource_can_be_vendored_alone(tmp_path: pathlib.Path) -> None:
    anatomy = openai.Anatomy(SOURCE)
    assert len(anatomy.groups) > 100
    deep = ["beta.threads.runs.steps", "admin.organization.projects.api_keys"]
    for name in deep + [name for name in sorted(anatomy.groups) if name.count(".") < 2][::6]:
        kept, dropped, _ = anatomy.part({name})
        path = tmp_path / f"{name}.py"
        path.write_text(anatomy.text(kept, dropped, openai.ORIGIN), encoding="utf-8")
        module = fresh(path)
        resource = functools.reduce(getattr, name.split("."), module.OpenAI(api_key=KEY))
        for endpoint in vars(type(resource)).values():
            if isinstance(endpoint, module.Endpoint):
                endpoint.make_method()
                module.type_named(endpoint.page)
                module.type_named(endpoint.item or endpoint.event)
        for cls in [cls for cls in vars(module).values() if isinstance(cls, type)]:
            if issubclass(cls, module.BaseModel) and cls is not module.BaseModel:
                module.plan_of(cls)
        assert [public for public in module.__all__ if not hasattr(module, public)] == []


def test_a_copy_with_all_resources_is_the_file_itself(tmp_path: pathlib.Path) -> None:
    assert without_origin(vendored(tmp_path, "all")) == SOURCE


def test_a_library_is_the_file_without_its_command_line(tmp_path: pathlib.Path) -> None:
    text = vendored(tmp_path, "all", "openai_lite", "--library")
    head = text[: text.index('\n"""\n')]
    assert "but no command line" in head and "vendor --only all --library -o my_openai.py" in head
    whole = SOURCE.partition(f"\n\n\n{'#' * 72}\n## 12. ")[0] + "\n"
    titles = [title for title in BANNER.findall(SOURCE) if title[:3] in ("12.", "13.")]
    for title in titles:
        whole = whole.replace(f"    {title}\n", "", 1)
    assert len(titles) == 2 and without_origin(text) == whole


def test_the_readme_tells_the_sizes_of_copies() -> None:
    row = r"^\| `?(the whole file|vendor .*?)`? \| ([\d,]+) \| (\d+) kB \|$"
    rows = re.findall(row, README, re.M)
    assert len(rows) == 4 and rows[0][0] == "the whole file"
    for command, lines, size in rows:
        text = run_command(*command.split()).stdout if command[:6] == "vendor" else SOURCE
        told = int(lines.replace(",", "")), 1000 * int(size)
        for number, true in zip(told, (text.count("\n"), len(text))):
            assert abs(number - true) < 0.05 * true, command


def test_a_library_of_one_resource_is_a_module_and_no_program(
    server: Any, tmp_path: pathlib.Path
) -> None:
    text = vendored(tmp_path, "chat", "openai_lite", "--library")
    assert 100 * len(text) < 42 * len(SOURCE)
    assert re.findall(r"^## (?:9|12|13)\..*", text, re.M) == [
        "## 9. Helpers: what takes more than one call, or more than JSON"
    ]
    module = fresh(tmp_path / "my_openai.py")
    assert not hasattr(module, "main") and "argparse" not in text
    with module.OpenAI(base_url=server.url, api_key=KEY) as client:
        use_chat(client)
    done = python("my_openai.py", "--help", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


LOOKUPS = ("__getattr__", "make_group", "find_group")  # where the module says what it has not got
SHARED = re.compile(r"(2|3|5|6|8|11)\b|4\.7|7\.[12]|9\.[123]")  # sections; others take their time
# They count what the whole file has, or start programs that use what is gone.
OF_THE_WHOLE = " and ".join(
    "not " + name for name in (
        "there_is_a_row_for_every", "any_json_makes_an_object", "official",
        "importing_makes_few_classes", "every_class_of_error", "no_secret_shows",
    )
)


class ShareOfTests:
    """A plugin of pytest, for a run of this file on a copy that has some resources only.

    Endpoints that are gone are deselected by their rows.  A test that asks itself for a resource, a
    class or a function of the whole file that is gone is skipped, and says so; one that fails
    in any other way, such as that the code of the copy misses something, fails.
    """

    def __init__(self, source: str) -> None:
        whole = openai.Anatomy(source)
        self.names = {part for path in whole.groups for part in path.split(".")}
        self.names.update(whole.defined)

    def pytest_collection_modifyitems(self, config: Any, items: List[Any]) -> None:
        lines = pathlib.Path(__file__).read_text("utf-8").split("\n")
        found = [re.match(r"(?:##|# ----) (\d[.\d]*) ", line) for line in lines]
        numbers = [(n, m.group(1)) for n, m in enumerate(found) if m]
        endpoints, gone = {name for name, _ in declared_endpoints()}, []
        for item in items:
            line = item.function.__code__.co_firstlineno
            section = [number for n, number in numbers if n < line][-1]
            row = item.callspec.params.get("row") if hasattr(item, "callspec") else None
            if not SHARED.match(section) or row and row[0] not in endpoints:
                gone.append(item)
        config.hook.pytest_deselected(items=gone)
        items[:] = [item for item in items if item not in gone]

    @pytest.hookimpl(tryfirst=True)
    def pytest_pyfunc_call(self, pyfuncitem: Any) -> bool:
        try:
            names = pyfuncitem._fixtureinfo.argnames
            pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names})
        except BaseException as err:
            error: Optional[BaseException] = err
            while error is not None:  # also one in whose place `pytest.raises` has put its own
                found = re.search(r"has no attribute '(\w+)'", str(error))
                if isinstance(error, AttributeError) and found and found.group(1) in self.names:
                    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
                    codes = [f.f_code for f in frames if f.f_code.co_name not in LOOKUPS]
                    if codes[-1].co_filename == __file__:
                        pytest.skip("gone is " + found.group(1))
                error = error.__context__
            raise
        return True


def test_a_copy_passes_its_share_of_these_tests(tmp_path: pathlib.Path) -> None:
    only = "chat,responses,files,models"
    (tmp_path / "openai_lite.py").write_text(vendored(tmp_path, only), encoding="utf-8")
    shutil.copytree(str(HERE / "examples"), str(tmp_path / "examples"))
    for name in ("test_openai_lite.py", "README.md"):
        shutil.copy(str(HERE / name), str(tmp_path / name))
    program = """
import pathlib, sys, pytest
from test_openai_lite import ShareOfTests, openai
assert openai.ORIGIN in openai.__doc__
plugin = ShareOfTests(pathlib.Path(sys.argv[1]).read_text("utf-8"))
sys.exit(pytest.main(sys.argv[2:], [plugin]))
"""
    done = python(
        "-c", program, str(HERE / "openai_lite.py"), "-rA", "-p", "no:cacheprovider",
        "-W", "error", "--tb=short", "-k", OF_THE_WHOLE, cwd=tmp_path,
    )
    assert done.returncode == 0, done.stdout
    passed = re.findall(r"^PASSED test_openai_lite.py::(\w+)", done.stdout, re.M)
    kept = [row for row in ROWS if row[0].partition(".")[0] in only.split(",")]
    assert passed.count("test_every_endpoint_sends_its_row") == 2 * len(kept) > 40
    reasons = re.findall(r"^SKIPPED \[(\d+)\] \S+ (.*)", done.stdout, re.M)
    gone = {why[8:]: int(count) for count, why in reasons if why[:8] == "gone is "}
    assert len(passed) > 900 and sum(gone.values()) < 150
    assert gone.keys().isdisjoint(only.split(",")) and {"embeddings", "audio"} <= gone.keys()


def test_a_copy_of_a_copy_is_that_of_the_whole(tmp_path: pathlib.Path) -> None:
    direct = vendored(tmp_path, "files")
    (tmp_path / "larger.py").write_text(vendored(tmp_path, "chat,files"), encoding="utf-8")
    (tmp_path / "same.py").write_text(direct, encoding="utf-8")
    for source in ("larger", "same"):
        text = vendored(tmp_path, "files", source)
        assert without_origin(text) == without_origin(direct)
        digest = hashlib.sha256((tmp_path / f"{source}.py").read_bytes()).hexdigest()
        assert digest in text and text.count(openai.ORIGIN) == direct.count(openai.ORIGIN)


@mypy_runs
def test_vendored_copies_pass_mypy_strict(tmp_path: pathlib.Path) -> None:
    copies = [("beta.threads",), ("responses,files",), ("audio", "openai_lite", "--library")]
    for number, arguments in enumerate(copies):
        text = vendored(tmp_path, *arguments)
        (tmp_path / f"copy{number}.py").write_text(text, encoding="utf-8")
    done = mypy(*(str(tmp_path / f"copy{number}.py") for number in range(len(copies))))
    assert done.returncode == 0, done.stdout


def test_vendor_names_the_nearest_of_an_unknown_resource_and_lists_them() -> None:
    done = run_command("vendor", "--only", "chat,fils")
    assert done.returncode == 2 and not done.stdout
    assert "there is no resource 'fils'; near are files" in done.stderr
    assert "see vendor --list" in run_command("vendor", "--only", "zzz").stderr
    assert "say --only" in run_command("vendor").stderr
    own = run_command("vendor", "--only", "models", "-o", "openai_lite.py")
    assert own.returncode == 2 and "would overwrite the source" in own.stderr
    lost = run_command("vendor", "--only", "models", "-o", "/no/such/x.py")
    assert lost.returncode == 2 and "No such file" in lost.stderr
    rows = [line.split() for line in run_command("vendor", "--list").stdout.splitlines()]
    sizes = {name: int(lines) for name, lines, *_ in rows}
    assert set(sizes) >= {*OpenAI.__mro__[2].__annotations__} - {
        "with_raw_response", "with_streaming_response"
    }
    assert sizes["models"] < 50 < sizes["beta.threads"] < sizes["beta"]


def test_the_source_is_read_from_wherever_the_module_is(tmp_path: pathlib.Path) -> None:
    digest = hashlib.sha256((HERE / "openai_lite.py").read_bytes()).hexdigest()
    assert run_command("sha256").stdout == f"{digest}  {HERE / 'openai_lite.py'}\n"
    archive = str(tmp_path / "a.zip")
    with zipfile.ZipFile(archive, "w") as file:
        file.write(str(HERE / "openai_lite.py"), "openai_lite.py")
    done = run_command("sha256", cwd=tmp_path, PYTHONPATH=archive)
    assert done.stdout == f"{digest}  {os.path.join(archive, 'openai_lite.py')}\n"
    text = vendored(tmp_path, "models", PYTHONPATH=archive)
    assert digest in text
    (tmp_path / "bare").mkdir()
    compiled = str(tmp_path / "bare" / "openai_lite.pyc")
    py_compile.compile(str(HERE / "openai_lite.py"), compiled)
    for command in (["vendor", "--only", "models"], ["sha256"]):
        done = run_command(*command, cwd=tmp_path / "bare")
        assert done.returncode == 2 and not done.stdout
        assert "there is no source of openai_lite to read" in done.stderr


def test_the_self_test_tries_every_kind_of_call_and_fails_where_one_does(
    tmp_path: pathlib.Path
) -> None:
    done = run_command("selftest", HTTP_PROXY="http://127.0.0.1:1", OPENAI_ORG_ID="org")
    assert done.returncode == 0 and not done.stderr, done.stdout
    checks = ["JSON call", "error", "retry", "stream", "upload", "pages", "async"]
    assert re.findall(r"^ok (\w+(?: call)?) +\d+ ms$", done.stdout, re.M) == checks
    code = "import sys, openai_lite as o; {}; sys.exit(o.main(['selftest']))"
    for breakage, broken in (
        ("o.encode_json = lambda body: b'{}'", ["JSON call", "async"]),
        ("o.should_retry = lambda *_: False", ["retry"]),
        ("o.MultipartBody.blocks = lambda self: [b'-' * self.length]", ["upload"]),
        ("o.ByLastItem.next_page_info = lambda self: None", ["pages"]),
    ):
        done = python("-c", code.format(breakage))
        assert done.returncode == 1
        assert re.findall(r"^!! (\w+(?: call)?) ", done.stdout, re.M) == broken, done.stdout
    vendored(tmp_path, "models")
    code = "import sys, my_openai; sys.exit(my_openai.main(['selftest']))"
    done = python("-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_console_script_leads_to_the_sub_commands() -> None:
    found = re.search(
        r'^openai-lite = "openai_lite:(\w+)"$', (HERE / "pyproject.toml").read_text(), re.M
    )
    assert found and callable(getattr(openai, found.group(1)))
    done = python("openai_lite.py", "sha256")
    assert done.returncode == 0 and done.stdout.endswith("openai_lite.py\n"), done.stderr
    assert python("-m", "openai_lite", "sha256").stdout.split()[0] == done.stdout.split()[0]
    assert python("openai_lite.py").returncode == 2


########################################################################
## 13. Command line
########################################################################

SCRIPT = [str(HERE / "openai_lite.py")]
MODULE = ["-m", "openai_lite"]
needs_sh = pytest.mark.skipif(not shutil.which("sh"), reason="there is no shell here")


def lite(
    line: Union[str, List[str]], folder: pathlib.Path, url: str = "", way: List[str] = SCRIPT,
    given: str = "", **environ: str
) -> "subprocess.CompletedProcess[str]":
    """Run a command line from `folder`, with `given` piped in."""
    words = shlex.split(line) if isinstance(line, str) else line
    environ = {
        "OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": url, "XDG_STATE_HOME": str(folder / "state"),
        "PYTHONPATH": str(HERE) if way == MODULE else "", **environ,
    }
    done = python(*way, *words, cwd=folder, given=given, **environ)
    assert KEY not in done.stdout + done.stderr and "Traceback" not in done.stderr
    return done


SPOKEN = "--messages '[{\"role\": \"user\", \"content\": \"hi\"}]'"
# What is typed, what is piped in, the exit code, and patterns of stdout and stderr
LINES: List[Tuple[str, str, int, str, str]] = [
    ("--version", "", 0, f"openai_lite {openai.__version__}\n", ""),
    ("", "", 2, "", "usage: openai-lite(?s:.*)Ctrl-C\n"),
    ("--help", "", 0, "usage: openai-lite(?s:.*)  ask (?s:.*)  files\\. (?s:.*)  8 .*400(?s:.*)",
     ""),
    ("files --help", "", 0, "Upload files(?s:.*)  files.content  +GET /files/{file_id}(?s:.*)", ""),
    ("files.create -h", "", 0, "usage: openai-lite files.create --file ... --purpose ...\n\n"
     "POST /files\nUpload a file(?s:.*)  --file +FILE, required\n  --purpose +assistants \\| "
     "(?s:.*)\n\nhttps://platform.openai.com/docs/api-reference/files\n", ""),
    ("conversations.items.retrieve --help", "", 0,
     "usage: openai-lite conversations.items.retrieve CONVERSATION_ID ITEM_ID\n(?s:.*)", ""),
    ("vector_stores.file_batches.poll --help", "", 0,
     "usage: .* BATCH_ID --vector-store-id (?s:.*)--poll-interval-ms +integer\n(?s:.*)", ""),
    ("--help ask", "", 0, "usage: openai-lite ask(?s:.*)XDG_STATE_HOME(?s:.*)--file(?s:.*)", ""),
    ("models.list", "", 0, '({"id":"[^\n]*}\n){10}', ""),
    ("models.list --pretty", "", 0, '{\n  "id": "gpt-4o",(?s:.*)}\n', ""),
    ("models.retrieve gpt-4o", "", 0, '{"id":"gpt-4o","object":"model",.*}\n', ""),
    ("models.retrieve --model=gpt-4o", "", 0, '{"id":"gpt-4o",.*}\n', ""),
    (f"chat.completions.create --model m {SPOKEN}", "", 0, '{"id":"chatcmpl-.*}\n', ""),
    ("chat.completions.create --model m --messages @-", '[{"role": "user", "content": "hi"}]', 0,
     '{"id":"chatcmpl-.*}\n', ""),
    (f"chat.completions.create --model m --stream {SPOKEN}", "", 0,
     '({"id":"chatcmpl-.*chunk".*}\n){5,}', ""),
    (f"chat.completions.create --model m --stream false {SPOKEN}", "", 0,
     '{"id":"chatcmpl-.*"object":"chat.completion",.*}\n', ""),
    ("embeddings.create --model m --input a --input b --dimensions 2", "", 0,
     '{.*"embedding":\\[[^\\]]*\\].*"embedding":\\[.*}\n', ""),
    ("vector_stores.files.update f --vector-store-id vs --attributes '{\"a\": true}'", "", 6, "",
     ".*404.*\n"),
    ("moderations.create --input -", "hello", 0, '{.*"flagged":false.*}\n', ""),
    ("ask 'Say this is a test'", "", 0, ".*test.*\n", ""),
    ("ask Sum up", "the weather of today", 0, "(?s:.+)\n", ""),
    ("ask", "Say this is a test", 0, ".*test.*\n", ""),
    ("ask --json --model m 'city is Oslo'", "", 0, "{.*}\n", ""),
    ("files.content --file-id=file-none", "", 6, "",
     "openai-lite: NotFoundError: .*404 - No such File object: file-none.*\n"),
    (f"chat.completions.create --model m --temperature 9 {SPOKEN}", "", 8, "", ".*temperature.*\n"),
    (f"chat.completions.create --model m {SPOKEN} --extra-headers "
     "'{\"x-fault-cut-events\": \"3\"}' --stream", "", 3, "({.*}\n){3}", ".*after 3 events.*\n"),
    ("ask", "", 2, "", "openai-lite: ask what\\?.*\n"),
    ("ask -c more", "", 2, "", "openai-lite: there is no conversation to continue in .*\n"),
    ("ask x --file none.png", "", 2, "", "openai-lite: none.png: No such file or directory\n"),
    ("file.list", "", 2, "", ".*no command file.list; did you mean files.list\\?\n"),
    ("fils", "", 2, "", ".*no command fils; did you mean files\\?\n"),
    ("aks hello", "", 2, "", ".*no command aks; did you mean ask\\?\n"),
    ("chat.completions.parse --model m", "", 2, "",
     "openai-lite: .*parse is a method for programs, since it takes a class; use create, .*\n"),
    ("responses.stream", "", 2, "", ".* for programs, .*adds up the events; use create --stream\n"),
    ("webhooks.unwrap", "", 2, "", "openai-lite: webhooks.unwrap is a method for programs\n"),
    ("files.mro", "", 2, "", ".*there is no command files.mro.*\n"),
    ("files", "", 2, "", "openai-lite: files is a group; say which of files.create, .*\n"),
    ("files.list --limmit 3", "", 2, "", "openai-lite: files.list has no option --limmit; "
     "did you mean --limit\\?\n"),
    ("files.list --limit three", "", 2, "", ".*: --limit takes integer\n"),
    ("files.list --limit", "", 2, "", ".*: --limit needs a value\n"),
    ("files.list --limit 1 --limit 2", "", 2, "", ".*--limit was given 2 times\n"),
    ("files.list extra", "", 2, "", ".*what is 'extra' for\\? .*\n"),
    ("files.create", "", 2, "", ".*files.create needs --file and --purpose; see .*--help\n"),
    ("files.create --purpose batch --file none", "", 2, "",
     "openai-lite: none: No such file or directory\n"),
    ("files.retrieve ''", "", 2, "", ".*non-empty value for `file_id`.*\n"),
    ("chat.completions.create --model m --messages '[{]'", "", 2, "",
     ".*--messages takes .*\\(Expecting.*char 2\\)\\)\n"),
    ("chat.completions.create --model m --messages @none", "", 2, "",
     ".*--messages @none: No such file or directory; write @@ .*\n"),
    ("chat.completions.create --model m --messages 5", "", 2, "", ".*--messages takes .*\n"),
    ("models.list --base-url nonsense", "", 2, "", ".*'nonsense' is no URL.*\n"),
    ("--api-key-env NO_SUCH models.list", "", 4, "", ".*--api-key-env names is not set\n"),
    ("completion fish", "", 2, "", ".*for which shell\\? bash or zsh\n"),
    ("files.wait_for_processing x --curl", "", 2, "", ".*several requests.*\n"),
    ("files.retrieve_content file-none", "", 6, "",
     ".*is deprecated: use files.content.*\n.*404.*\n"),
]


@pytest.mark.parametrize(
    "line, given, code, out, err", LINES, ids=[row[0][:60] for row in LINES]
)
def test_a_command_line(
    line: str, given: str, code: int, out: str, err: str, server: Any, tmp_path: pathlib.Path
) -> None:
    way = MODULE if len(line) % 2 else SCRIPT  # half of them so, the others so
    done = lite(line, tmp_path, server.url, way, given)
    assert done.returncode == code, done.stderr
    assert re.fullmatch(out, done.stdout), done.stdout
    assert re.fullmatch(err, done.stderr), done.stderr


VALUES: List[Tuple[str, List[str], Any]] = [  # an annotation, what is typed, the value or an error
    ("str", ["5"], "5"), ("str", ["null"], "null"), ("str", ["@@x"], "@x"), ("str", ["[1]"], "[1]"),
    ("Optional[str]", ["true"], "true"), ("str", ["@text"], "in a file\n"),
    ("int", ["5"], 5), ("int", ["5.5"], ValueError), ("int", ["true"], ValueError),
    ("Required[int]", ["x"], ValueError), ("Optional[int]", ["null"], None),
    ("Optional[float]", ["1"], 1), ("float", ["0.5"], 0.5), ("float", ["NaN"], ValueError),
    ("bool", ["true"], True), ("Optional[bool]", ["null"], None), ("bool", ["1"], ValueError),
    ("List[str]", ["a"], ["a"]), ("List[str]", ["a", "b"], ["a", "b"]),
    ("Optional[List[str]]", ['["a", "b"]'], ["a", "b"]),
    ("Optional[List[str]]", ["null"], None), ("List[str]", ["null"], ["null"]),
    ("Union[str, List[str], Sequence[int], Sequence[Sequence[int]]]", ["a"], "a"),
    ("Union[str, List[str], Sequence[int], Sequence[Sequence[int]]]", ["[[1]]"], [[1]]),
    ("Union[str, List[str], Sequence[int], Sequence[Sequence[int]]]", ["a", "b"], ["a", "b"]),
    ("Optional[Mapping[str, str]]", ['{"a": "b"}'], {"a": "b"}),
    ("Mapping[str, str]", ["a=b"], ValueError), ("Dict[str, Any]", ["[]"], ValueError),
    ("Like[SomeParam]", ['{"a": 1}'], {"a": 1}), ("JSONObjectParam", ["@json"], {"a": [1]}),
    ("Iterable[Like[Tool]]", ['{"a": 1}'], [{"a": 1}]),
    ("Iterable[Like[Tool]]", ["@json", '[{"b": 1}]'], [{"a": [1]}, {"b": 1}]),
    ("Union[str, Like[ThingParam]]", ["a"], "a"), ("Union[str, Like[Thing]]", ["{}"], {}),
    ("Union[str, Like[Thing]]", ["{x"], "{x"), ("Union[str, Like[Thing]]", ["5"], "5"),
    ('Union[Literal["none", "auto"], Like[ThingParam]]', ["auto"], "auto"),
    ('Union[Literal["none", "auto"], Like[ThingParam]]', ["new"], "new"),
    ('Union[Literal["none", "auto"], Like[ThingParam]]', ['{"a'], ValueError),
    ('Literal["4", "8"]', ["4"], "4"), ("FilePurpose", ["batch"], "batch"),
    ('Union[Literal["all"], List[Literal["flex"]]]', ["all"], "all"),
    ('Union[Literal["all"], List[Literal["flex"]]]', ["flex"], ["flex"]),
    ('Union[int, Literal["inf"]]', ["inf"], "inf"), ('Union[int, Literal["inf"]]', ["7"], 7),
    ("object", ["[1]"], [1]), ("object", ["word"], "word"),
    ("FileTypes", ["@f"], pathlib.Path("f")), ("FileTypes", ["f"], pathlib.Path("f")),
    ("Union[FileTypes, List[FileTypes]]", ["f", "g"], [pathlib.Path("f"), pathlib.Path("g")]),
    ("Union[FileTypes, List[FileTypes]]", ["f"], pathlib.Path("f")),
    ("Union[os.PathLike[str], bytes, IO[bytes]]", ["f"], pathlib.Path("f")),
    ("Iterable[FileTypes]", ["f"], [pathlib.Path("f")]),
    ("Text", ["@x"], "@x"), ("List[Text]", ["-"], ["-"]), ("int", ["1", "2"], ValueError),
]


@pytest.mark.parametrize("annotation, typed, value", VALUES)
def test_the_declared_type_says_how_a_value_is_read(
    annotation: str, typed: List[str], value: Any, tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "text").write_bytes(b"in a file\n")
    (tmp_path / "json").write_text('{"a": [1]}')
    if value is ValueError:
        with pytest.raises(openai.CommandError, match="--some-name (takes|was given)"):
            openai.argument("some_name", typed, annotation)
    else:
        found = openai.argument("some_name", typed, annotation)
        assert found == value and type(found) is type(value)


def test_every_endpoint_is_a_command_with_the_parameters_that_it_declares() -> None:
    found = set()
    for name, target in openai.targets_under(openai.API):
        shown = openai.command_help(name)
        if isinstance(target, type):
            assert name + "." in shown
            continue
        parameters = openai.parameters_of(target)
        for parameter, (annotation, _) in parameters.items():
            shapes, items = openai.shapes_of(annotation)
            assert shapes and openai.values_text(shapes + items), annotation
            assert openai.option_of(parameter) in shown
        # An option of our own may not stand in the way of one that the API knows.
        own = {**openai.COMMON_OPTIONS, **openai.OUTPUT_OPTIONS}
        assert set(parameters).intersection(own) <= {"timeout"}, name
        if isinstance(target, openai.Endpoint):
            endpoint: Any = target
            found.add(endpoint)
            endpoint.make_method()
            assert sorted(parameters) == sorted(endpoint.order)
            assert {n for n, (_, needed) in parameters.items() if needed} == set(endpoint.required)
            assert "https://platform.openai.com/docs/api-reference" in shown, name
    resources = inspect.getmembers(openai, inspect.isclass)
    values: List[Any] = [value for _, cls in resources for value in vars(cls).values()]
    declared = {v for v in values if isinstance(getattr(v, "path", None), str)}
    assert found == {v for v in declared if v.stub.__name__ != "parse"}
    assert [n for n, t in openai.targets_under(openai.API) if hasattr(t, "__wrapped__")]


STATUSES_AND_CODES = [
    ("401 No", 4), ("403 No", 4), ("404 No", 6), ("429 No", 5), ("400 No", 8), ("422 No", 8),
    ("500 No", 1), ("409 No", 1),
]


@pytest.mark.parametrize("status, code", STATUSES_AND_CODES)
def test_the_exit_code_tells_what_went_wrong(
    status: str, code: int, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    body = {"error": {"message": f"the key\n{KEY} is\nwrong"}}
    with RawServer(answer(body, status)) as server:
        line = ["--max-retries", "0", "models.list", "--base-url", server.url]
        assert openai.main(line) == code
    out, err = capfd.readouterr()
    assert out == "" and KEY not in err
    assert err.count("\n") == 1 and err.startswith("openai-lite: ") and status[:3] in err


def test_no_key_no_network_and_no_patience(tmp_path: pathlib.Path, unused_port: int) -> None:
    nowhere = f"http://127.0.0.1:{unused_port}/v1"
    done = lite("models.list --max-retries 0", tmp_path, nowhere)
    assert done.returncode == 3 and re.fullmatch(".*APIConnectionError: .*refused.*\n", done.stderr)
    for line in ("models.list", "ask hi"):
        done = lite(line, tmp_path, nowhere, OPENAI_API_KEY="")
        assert done.returncode == 4 and re.fullmatch(".*OPENAI_API_KEY.*\n", done.stderr)
    with RawServer(lambda conn: time.sleep(3)) as server:
        done = lite("models.list --timeout 0.2 --max-retries 0", tmp_path, server.url)
    assert done.returncode == 7 and re.fullmatch(".*timed out.*\n", done.stderr)
    with RawServer(answer()) as server:
        done = lite("--api-key-env OTHER models.list", tmp_path, server.url, OTHER="sk-other-key")
    assert headers_of(server.requests[0][0])["authorization"] == "Bearer sk-other-key"
    done = python(*SCRIPT, "--debug", "files.list", "--limit", "x")
    assert done.returncode == 2 and done.stderr.startswith("Traceback")


def test_as_a_script_the_module_is_whole(tmp_path: pathlib.Path, server: Any) -> None:
    """Its classes belong to `__main__` then; -i goes on in it, with what is piped in."""
    program = """
import pickle, dataclasses
assert __name__ == "__main__"
client = OpenAI()
made = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
copied = pickle.loads(pickle.dumps(made))
print(type(copied.choices[0].message) is ChatCompletionMessage, copied == made)
print(dataclasses.asdict(made)["id"] == made.id, len(client.models.list().data))
"""
    done = python("-i", *SCRIPT, "--version", cwd=tmp_path, given=program, OPENAI_API_KEY=KEY,
                  OPENAI_BASE_URL=server.url)
    assert done.stdout == f"openai_lite {openai.__version__}\nTrue True\nTrue 10\n", done.stderr


def test_a_file_goes_up_waits_and_comes_down_again(tmp_path: pathlib.Path, server: Any) -> None:
    (tmp_path / "data.bin").write_bytes(bytes(range(256)) * 1000)
    done = lite("files.create --file data.bin --purpose user_data", tmp_path, server.url)
    made = json.loads(done.stdout)
    assert (made["filename"], made["bytes"]) == ("data.bin", 256000) and done.stderr == ""
    name = made["id"]
    done = lite(f"files.wait-for-processing {name}", tmp_path, server.url)
    assert json.loads(done.stdout)["status"] == "processed"
    done = lite(f"files.content {name} -o back.bin", tmp_path, server.url)
    assert (tmp_path / "back.bin").read_bytes() == (tmp_path / "data.bin").read_bytes()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    done = lite("files.content file-none --output back.bin", tmp_path, server.url)
    assert done.returncode == 6 and (tmp_path / "back.bin").stat().st_size == 256000
    for way in ("-", "@-"):
        line = f"files.create --file {way} --purpose batch"
        done = lite(line, tmp_path, server.url, given="{}\n")
        assert json.loads(done.stdout)["bytes"] == 3
    done = lite(f"files.content {json.loads(done.stdout)['id']}", tmp_path, server.url)
    assert done.stdout == "{}\n"
    store = json.loads(lite("vector_stores.create --name s", tmp_path, server.url).stdout)["id"]
    done = lite(f"vector_stores.files.upload_and_poll --vector-store-id {store} --file data.bin "
                f"--poll-interval-ms 1", tmp_path, server.url)
    assert json.loads(done.stdout)["status"] == "completed", done.stderr
    done = lite(f"vector_stores.file_batches.upload_and_poll {store} --files data.bin "
                "--files data.bin", tmp_path, server.url)
    assert json.loads(done.stdout)["file_counts"]["completed"] == 2, done.stderr
    done = lite("uploads.upload_file_chunked --file data.bin --mime-type x/y --purpose user_data "
                "--part-size 100000", tmp_path, server.url)
    assert json.loads(done.stdout)["status"] == "completed", done.stderr
    done = lite(f"vector_stores.files.poll {name} --vector-store-id {store} --max-wait-seconds 0",
                tmp_path, server.url)
    assert done.returncode == 7 and "TimeoutError" in done.stderr


def test_pages_are_followed_if_asked_to(capfd: pytest.CaptureFixture[str]) -> None:
    pages = [answer({"data": [{"id": f"{n}{i}"} for i in range(2)], "has_more": n == "a"})
             for n in ("a", "b")]
    for extra, ids in (([], ["a0", "a1"]), (["--all"], ["a0", "a1", "b0", "b1"])):
        with RawServer(*pages) as server:
            line = ["files.list", "--limit", "2", "--base-url", server.url, *extra]
            environ = dict(os.environ, OPENAI_API_KEY=KEY)
            done = subprocess.run([sys.executable, *SCRIPT, *line], stdout=subprocess.PIPE,
                                  env=environ, check=True)
        assert [json.loads(row)["id"] for row in done.stdout.split(b"\n")[:-1]] == ids
    assert targets(server)[1] == "/v1/files?limit=2&after=a1"


ANSWERED = sse(
    {"type": "response.output_text.delta", "delta": "Hello, "},
    {"type": "response.output_text.delta", "delta": "w\u00f6rld"},
    {"type": "response.completed", "response": {"id": "resp_7", "output": []}})


def asked_of(line: str, folder: pathlib.Path, given: str = "", **environ: Any) -> Any:
    """The body that `ask` sends."""
    with RawServer(answer(ANSWERED, Content_Type="text/event-stream")) as server:
        done = lite(line, folder, server.url, given=given, PYTHONUTF8="1", **environ)
        assert (done.returncode, done.stdout) == (0, "Hello, w\u00f6rld\n"), done.stderr
    return json.loads(server.requests[0][1])


def test_ask_sends_question_material_and_files(tmp_path: pathlib.Path) -> None:
    body = asked_of("ask say hi", tmp_path)
    assert body == {"model": openai.DEFAULT_MODEL, "stream": True, "input": "say hi"}
    assert asked_of("ask -- -v", tmp_path, OPENAI_MODEL="other")["model"] == "other"
    (tmp_path / "s").write_text("be brief")
    body = asked_of("ask 'sum up' --system @s --model m", tmp_path, "material\n")
    assert body["input"] == "sum up\n\nmaterial\n" and body["instructions"] == "be brief"
    body = asked_of("ask hi --json", tmp_path)
    assert body["text"] == {"format": {"type": "json_object"}} and "JSON" in body["instructions"]
    assert "instructions" not in asked_of("ask 'hi in JSON' --json", tmp_path)
    (tmp_path / "a.png").write_bytes(b"\x89PNG\0")
    (tmp_path / "b.pdf").write_bytes(b"%PDF-1.4")
    (tmp_path / "c.py").write_text("print()")
    (tmp_path / "d").write_bytes(b"\0\1")
    body = asked_of("ask what --file a.png --file b.pdf --file c.py --file d", tmp_path)
    question, image, document, text, other = body["input"][0]["content"]
    assert question == {"type": "input_text", "text": "what"}
    assert image["image_url"] == "data:image/png;base64,iVBORwA=" and image["detail"] == "auto"
    assert document == {"type": "input_file", "filename": "b.pdf",
                        "file_data": "data:application/pdf;base64,JVBERi0xLjQ="}
    assert text["text"] == "c.py:\nprint()"
    assert other["file_data"] == "data:application/octet-stream;base64,AAE="


def test_ask_continues_the_last_conversation(tmp_path: pathlib.Path) -> None:
    asked_of("ask hi --model m", tmp_path)
    kept = tmp_path / "state" / "openai_lite" / "last_answer.json"
    assert json.loads(kept.read_text()) == {"id": "resp_7", "model": "m"}
    if os.name == "posix":
        assert kept.stat().st_mode & 0o777 == 0o600 and kept.parent.stat().st_mode & 0o77 == 0
    body = asked_of("ask more -c", tmp_path)
    assert (body["previous_response_id"], body["model"]) == ("resp_7", "m")
    home = tmp_path / "home"
    asked_of("ask hi", tmp_path, XDG_STATE_HOME="", HOME=str(home), LOCALAPPDATA="")
    if os.name == "posix":
        assert (home / ".local/state/openai_lite/last_answer.json").exists()
    (tmp_path / "file").write_text("")
    asked_of("ask hi", tmp_path, XDG_STATE_HOME=str(tmp_path / "file"))  # no place to keep it


@pytest.mark.parametrize("events, code, out, err", [
    ([{"type": "response.output_text.delta", "delta": "Hel"}], 3, "Hel\n", "was cut"),
    ([{"type": "response.output_text.delta", "delta": "Hel"}, {"type": "response.incomplete",
      "response": {"id": "r", "incomplete_details": {"reason": "max_output_tokens"}}}],
     1, "Hel\n", "not complete: max_output_tokens"),
    ([{"type": "response.failed", "response": {"id": "r", "error": {"message": "no luck"}}}],
     1, "", "not complete: no luck"),
    ([{"type": "error", "message": "overloaded"}], 1, "", "not complete: overloaded"),
    ([{"error": {"message": "broken " + KEY}}], 1, "", "APIError: broken <redacted>"),
    ([{"type": "response.refusal.delta", "delta": "No."},
      {"type": "response.completed", "response": {"id": "r"}}], 0, "No.\n", ""),
])
def test_ask_says_how_an_answer_ended(
    events: Any, code: int, out: str, err: str, tmp_path: pathlib.Path
) -> None:
    with RawServer(answer(sse(*events), Content_Type="text/event-stream")) as server:
        done = lite("ask hi", tmp_path, server.url)
    assert (done.returncode, done.stdout) == (code, out)
    assert err in done.stderr and done.stderr.count("\n") == (1 if err else 0)


def start(line: str, url: str, **streams: Any) -> Any:
    environ = dict(os.environ, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=url)
    environ.pop("XDG_STATE_HOME", None)
    given: Dict[str, Any] = dict(
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    given.update(streams)
    words = [sys.executable, *SCRIPT, *shlex.split(line)]
    process: Any = subprocess.Popen(words, env=environ, **given)
    return process


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGINT for one process")
def test_an_answer_is_shown_as_it_is_written_and_ctrl_c_ends_it() -> None:
    interrupted = threading.Event()

    def slowly(conn: socket.socket) -> None:
        head = answer(b"", Content_Type="text/event-stream", Content_Length="")
        conn.sendall(head + sse({"type": "response.output_text.delta", "delta": "Hel"}))
        interrupted.wait(30)

    with RawServer(slowly) as server:
        with start("ask hi", server.url) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.read(3) == b"Hel"
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
            assert (process.stdout.read(), process.stderr.read()) == (b"\n", b"\n")
            interrupted.set()


@needs_sh
@pytest.mark.parametrize("line, code, told", [
    ("ask hello <&-", 0, ""),
    ("ask <&-", 2, "ask what?"),
    ("files.create --purpose batch --file - <&-", 2, "--file -: nothing can be piped in"),
    ("chat.completions.create --model m --messages - <&-", 2, "--messages -: nothing can be piped"),
    ("models.list >&-", 2, "there is no standard output"),
    ("ask hello >&-", 2, "there is no standard output"),
    ("no_such_command 2>&-", 2, ""),
    ("models.list 2>&-", 0, ""),
])
def test_a_standard_stream_that_is_closed_is_no_traceback(
    line: str, code: int, told: str, server: Any, tmp_path: pathlib.Path
) -> None:
    script = f"{shlex.quote(sys.executable)} {shlex.quote(SCRIPT[0])} {line}"
    environ = {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url, "HOME": str(tmp_path)}
    done = subprocess.run(
        ["sh", "-c", script], env=environ, cwd=str(tmp_path), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == code, done.stderr
    assert done.stderr.count("\n") == bool(told) and told in done.stderr
    assert bool(done.stdout) == (code == 0)


@needs_sh
def test_the_exit_code_is_told_to_one_who_reads_no_message() -> None:
    command = " ".join(map(shlex.quote, [sys.executable, *SCRIPT, "no_such_command"]))
    script = f"{{ sleep 1; {command} 2>&3; echo $?; }} 3>&1 >&4 | true"
    done = subprocess.run(
        ["sh", "-c", f"exec 4>&1; {script}"], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, universal_newlines=True, timeout=120,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("2\n", "")


@pytest.mark.skipif(os.name == "nt", reason="arguments are not bytes here")
def test_a_terminal_that_knows_ascii_only_can_be_asked_in_any_language(
    tmp_path: pathlib.Path
) -> None:
    ascii_only = {
        "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii",
    }
    vectors = {"data": [{"embedding": []}], "model": "Gr\u00fc\u00dfe"}
    answers = [answer(vectors), answer("{}", "404 No")]
    with RawServer(*answers) as raw:
        environ = dict(ascii_only, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=raw.url)

        def run(*words: bytes) -> Any:
            return subprocess.run(
                [os.fsencode(sys.executable), os.fsencode(SCRIPT[0]), *words], env=environ,
                cwd=str(tmp_path), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, timeout=120,
            )  # fmt: skip

        text = "Gr\u00fc\u00dfe\n\U0001f600".encode("utf-8")
        done = run(b"embeddings.create", b"--model", b"m", b"--input", text)
        assert done.returncode == 0 and b"Gr\xc3\xbc\xc3\x9fe" in done.stdout, done.stderr
        assert json.loads(raw.requests[0][1].decode("utf-8"))["input"] == text.decode("utf-8")
        run(b"ask", text)
        assert json.loads(raw.requests[1][1].decode("utf-8"))["input"] == text.decode("utf-8")
        shown = run(b"embeddings.create", b"--model", b"m", b"--input", text, b"--curl")
        assert text[:7] in shown.stdout and not shown.stderr
        for words in ([b"ask"], [b"embeddings.create", b"--model", b"m", b"--input"]):
            done = run(*words, b"\xff")
            assert done.returncode == 2 and b": it is not text in UTF-8\n" in done.stderr
    assert len(raw.requests) == 2


def test_a_pipe_that_closes_early_ends_the_program_quietly() -> None:
    page = {"data": [{"id": "x" * 1000} for _ in range(2000)], "has_more": False}
    with RawServer(answer(page)) as server:
        with start("models.list", server.url) as process:
            assert process.stdout is not None and process.stderr is not None
            assert process.stdout.readline().startswith(b'{"id"')
            process.stdout.close()
            assert (process.wait(20), process.stderr.read()) == (0, b"")


CURLS = [  # command lines, and what is in the curl command
    ("models.list", "/v1/models \\\n  -H \"Authorization: Bearer $OPENAI_API_KEY\"\n"),
    ("files.list --limit 2 --extra-headers '{\"X-A\": \"it'\"'\"'s $HOME\"}'", "limit=2"),
    ("files.delete file-1", " -X DELETE"),
    ("responses.cancel resp_1", "--data ''"),
    ("chat.completions.create --model m --stream --messages "
     "'[{\"role\": \"user\", \"content\": \"it is $5, \\\"isn'\"'\"'t\\\"?\\n\\u00fc\"}]'", " -N"),
    ("files.create --purpose batch --file 'a b,c;d.txt'", "-F purpose=batch"),
    ("files.create --purpose @@x --file f.png", "--form-string purpose=@x"),
    ("files.create --purpose 'a;type=b' --file f.png", "--form-string"),
    ("images.edit --prompt 'a cat; a dog' --image f.png --image g.bin", "image[]=@f.png"),
    ("vector_stores.list", "OpenAI-Beta: assistants=v2"),
    ("files.content file-1 -o 'o u t'", " -o 'o u t'"),
    ("admin.organization.users.list", "Bearer $OPENAI_ADMIN_KEY"),
    ("ask hi --organization org --file big.txt", "--data-binary @- <<'END'"),
    ("responses.retrieve 'a/b' --include x", "/v1/responses/a%2Fb?include%5B%5D=x"),
]


@needs_sh
@pytest.mark.skipif(not shutil.which("curl"), reason="there is no curl here")
@pytest.mark.parametrize("line, part", CURLS, ids=[row[0][:40] for row in CURLS])
def test_the_curl_command_sends_what_the_client_sends(
    line: str, part: str, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "a b,c;d.txt").write_text("text")
    (tmp_path / "f.png").write_bytes(b"\x89PNG")
    (tmp_path / "g.bin").write_bytes(b"\0\1\r\n")
    (tmp_path / "big.txt").write_text("it's $big\n" * 20000)
    body = ANSWERED if "ask" in line else b"{}"
    with RawServer(*[answer(body, Connection="close")] * 2) as server:
        shown = lite(line + " --curl", tmp_path, server.url)
        assert shown.returncode == 0 and shown.stderr == "" and part in shown.stdout
        assert server.requests == []
        environ = dict(os.environ, OPENAI_API_KEY=KEY, OPENAI_ADMIN_KEY="sk-admin-key")
        quiet = "curl() { command curl -sS --fail --noproxy '*' \"$@\"; }\n"
        (tmp_path / "script").write_text(quiet + shown.stdout, encoding="utf-8")
        curl = subprocess.run(["sh", "script"], cwd=str(tmp_path), env=environ,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        assert curl.returncode == 0, curl.stderr
        lite(line, tmp_path, server.url, OPENAI_ADMIN_KEY="sk-admin-key")
    (head, sent), (own_head, own) = server.requests
    assert head.split("\r\n")[0] == own_head.split("\r\n")[0]
    theirs, ours = headers_of(head), headers_of(own_head)
    form = "multipart" in ours.get("content-type", "")
    for name in ("authorization", "openai-beta", "openai-organization", "x-a", "content-type"):
        if name == "content-type" and (form or not own):
            continue
        assert theirs.get(name) == ours.get(name), name
    if form:
        assert parts_of_form(theirs, sent) == parts_of_form(ours, own)
    else:
        assert sent.rstrip(b"\n") == own


def parts_of_form(headers: Dict[str, str], body: bytes) -> List[Any]:
    head = f"Content-Type: {headers['content-type']}\r\n\r\n".encode()
    found: Any = email.message_from_bytes(head + body)
    return sorted(
        (part.get_param("name", header="content-disposition"), part.get_filename() or "",
         part.get_content_type() if part.get_filename() else "", part.get_payload(decode=True))
        for part in found.get_payload())


def test_a_curl_command_holds_no_secret() -> None:
    request = openai.HTTPRequest(
        "POST", "https://me:pass-word@h/v1/x?api_key=sk-in-the-url",
        {"Authorization": "Basic bWU6cGFzcw==", "api-key": "$(rm -rf /)", "X-Y": "$(z)"}, b"{}")
    assert openai.curl_command(request) == (
        "curl 'https://h/v1/x?api_key=<redacted>' \\\n  -H 'Authorization: <redacted>' \\\n"
        "  -H 'api-key: <redacted>' \\\n  -H 'X-Y: $(z)' \\\n  --data-binary '{}'")


def test_verbose_shows_what_went_over_the_wire_but_no_secret(
    tmp_path: pathlib.Path, server: Any
) -> None:
    line = f"chat.completions.create --verbose --model m {SPOKEN}"
    done = lite(line, tmp_path, server.url)
    shown = done.stderr.split("\n")
    assert shown[0] == "> POST /v1/chat/completions HTTP/1.1"
    assert "> Authorization: <redacted>" in shown and "< HTTP/1.1 200 OK" in shown
    assert '> {"model":"m","messages":[{"role":"user","content":"hi"}]}' in shown
    assert "< " + done.stdout.rstrip("\n") in shown
    done = lite(line + " --stream", tmp_path, server.url)
    assert "< data: [DONE]\n" in done.stderr
    (tmp_path / "f.bin").write_bytes(b"\0" * 5000)
    done = lite("files.create --verbose --purpose user_data --file f.bin", tmp_path, server.url)
    assert "> [5000 bytes of f.bin]\n" in done.stderr
    name = json.loads(done.stdout)["id"]
    done = lite(f"files.content -o g.bin --verbose {name}", tmp_path, server.url)
    assert "< [5000 bytes of application/octet-stream]\n" in done.stderr
    assert (tmp_path / "g.bin").read_bytes() == b"\0" * 5000
    echo = {"error": {"message": f"who is {KEY}?"}}
    with RawServer(answer(echo, "401 No", Set_Cookie="session=secret-cookie")) as raw:
        done = lite("models.list --verbose", tmp_path, raw.url)
    assert done.returncode == 4 and "secret-cookie" not in done.stderr
    assert '< {"error": {"message": "who is <redacted>?"}}' in done.stderr


def on_terminal(line: str, url: str, folder: pathlib.Path, which: str) -> Tuple[int, str]:
    """(exit code, what a terminal in place of stdout or stderr got)"""
    pty = pytest.importorskip("pty", reason="this system has no pseudo-terminals")
    ours, theirs = pty.openpty()
    streams: Dict[str, Any] = {which: theirs, "cwd": str(folder)}
    with start(line, url, **streams) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that nobody holds the other end
            while True:
                data = os.read(ours, 65536)
                if not data:
                    break
                shown += data
        os.close(ours)
        code = process.wait(30)
    return code, shown.decode("utf-8")


def test_a_terminal_sees_the_progress_of_uploads_and_downloads(
    tmp_path: pathlib.Path, server: Any
) -> None:
    (tmp_path / "big.bin").write_bytes(b"\0" * 3000000)
    line = "files.create --file big.bin --purpose user_data"
    code, shown = on_terminal(line, server.url, tmp_path, "stderr")
    assert code == 0 and re.search(r"\[#{20}\] 100% of 3.0 MB, .* [kMG]B/s, 0:00 left", shown)
    name = json.loads(lite(line, tmp_path, server.url).stdout)["id"]
    line = f"files.content {name} -o back.bin"
    code, shown = on_terminal(line, server.url, tmp_path, "stderr")
    assert code == 0 and "100% of 3.0 MB" in shown and shown.endswith("\r\n")
    assert (tmp_path / "back.bin").read_bytes() == b"\0" * 3000000
    code, shown = on_terminal("models.list", server.url, tmp_path, "stderr")
    assert (code, shown) == (0, "")
    code, shown = on_terminal(f"files.content {name}", server.url, tmp_path, "stdout")
    assert (code, shown) == (2, "")


def test_the_progress_bar_starts_again_with_a_retry(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr(openai, "clock", lambda: now[0])
    bar = openai.ProgressBar()
    for second, done in ((0, 0), (1, 2000000), (10, 0), (11, 1000000), (11.01, 1100000)):
        now[0] = 100 + second
        bar(done, 4000000)
    now[0] = 113
    bar(0, None)
    now[0] = 115
    bar(12345, None)
    bar.finish()
    bar.finish()
    lines = [line.rstrip(" ") for line in capsys.readouterr().err.split("\r")]
    assert lines[2] == "[##########          ] 50% of 4.0 MB, 2.0 MB/s, 0:01 left"
    assert lines[4] == "[#####               ] 25% of 4.0 MB, 1.0 MB/s, 0:03 left"
    assert lines[5:] == ["0 B, 0 B/s", f"{'12.3 kB, 6.2 kB/s':70}\n"]


def test_help_says_nothing_of_the_page_if_there_is_no_source(tmp_path: pathlib.Path) -> None:
    py_compile.compile(SCRIPT[0], str(tmp_path / "lite.pyc"), doraise=True)
    done = python("lite.pyc", "files.list", "--help", cwd=tmp_path)
    assert done.returncode == 0 and "GET /files\n" in done.stdout and "https:" not in done.stdout
    with zipfile.ZipFile(str(tmp_path / "lib.zip"), "w") as archive:
        archive.writestr("openai_lite.py", SOURCE)
    done = python(*MODULE, "files.list", "--help", cwd=tmp_path, PYTHONPATH="lib.zip")
    assert done.stdout.endswith("/docs/api-reference/files\n")


COMPLETED = [
    ("files.l", ["files.list"]), ("as", ["ask"]), ("--ver", ["--verbose", "--version"]),
    ("files.create --pur", ["--purpose"]), ("files.create --purpose ba", ["batch"]),
    ("ask --sys", ["--system"]), ("completion ", ["bash", "zsh"]), ("nothing.here --x", []),
    ("files.create --he", ["--help"]),
]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_shell_completes(shell: str, tmp_path: pathlib.Path) -> None:
    done = lite(f"completion {shell}", tmp_path)
    assert done.returncode == 0
    if not shutil.which(shell) or os.name == "nt":
        pytest.skip(f"there is no {shell} here")
    (tmp_path / "script").write_text(done.stdout)
    subprocess.run([shell, "-n", "script"], cwd=str(tmp_path), check=True)
    for typed, found in COMPLETED:
        words = typed.split(" ")
        if shell == "bash":
            quoted = " ".join(map(shlex.quote, ["openai-lite", *words]))
            program = (f"source ./script; complete -p openai-lite; COMP_WORDS=({quoted}); "
                       f"COMP_CWORD={len(words)}; _openai_lite; echo; echo \"${{COMPREPLY[@]}}\"")
        else:
            quoted = " ".join(map(shlex.quote, ["openai-lite", *words]))
            program = ("compdef() { :; }; _files() { :; }; compadd() { shift; print -l -- $@; }; "
                       f"source ./script; words=({quoted}); CURRENT={len(words) + 1}; _openai_lite")
        ran = subprocess.run([shell, "-c", program], cwd=str(tmp_path), stdout=subprocess.PIPE,
                             stderr=subprocess.PIPE, universal_newlines=True)
        first, _, rest = ran.stdout.partition("\n\n") if shell == "bash" else ("", "", ran.stdout)
        assert sorted(rest.split()) == found, ran.stderr
        assert shell != "bash" or "-F _openai_lite openai-lite" in first


def test_the_console_script_is_the_same_program() -> None:
    project = (HERE / "pyproject.toml").read_text(encoding="utf-8")
    assert '[project.scripts]\nopenai-lite = "openai_lite:main"\n' in project
    for name, (perform, options) in openai.COMMANDS.items():
        assert perform.__doc__ and openai.command_help(name), name
        assert all(kind and words for kind, words in options.values())


def test_the_readme_tells_the_exit_codes_and_commands_that_there_are() -> None:
    section = README.partition("## Command line\n")[2].partition("\n## ")[0]
    rows = dict(re.findall(r"^\| (\d+) \| (.*) \|$", section, re.M))
    assert rows == {"0": "done", "130": "interrupted by Ctrl-C",
                    **{str(code): words for code, words, _ in openai.EXIT_CODES}}
    lines = re.findall(r"^(?:.*\| )?openai-lite (.*)$", section, re.M)
    assert len(lines) > 10
    for line in lines:
        line = re.sub(r" (\||<|>|2>) .*|'?\$\(.*", "", line)
        words = shlex.split(line)
        name = next(word for word in words if word[:1] != "-" or word == "--version")
        table = {**openai.COMMON_OPTIONS, **openai.find_command(name)[1]}
        openai.parse_options(words[words.index(name) + 1:], table, name)


########################################################################
## The project: types, examples, documentation, structure of the file
########################################################################

BANNER = re.compile(r"^#{72}\n## (.*)\n#{72}$", re.M)


def test_the_contents_in_the_header_are_true() -> None:
    below = (openai.__doc__ or "").partition("CONTENTS")[2]
    contents = re.findall(r"^    (\d+\. .*)$", below, re.M)
    banners = BANNER.findall(SOURCE)
    assert contents == banners
    tests = BANNER.findall(pathlib.Path(__file__).read_text(encoding="utf-8"))
    numbered = [title for title in tests if title[0].isdigit()]
    assert numbered == [title.partition(":")[0] for title in banners]


@pytest.mark.parametrize("name", ["openai_lite.py", "test_openai_lite.py"])
def test_no_name_is_defined_twice(name: str) -> None:
    names = []
    for node in ast.parse((HERE / name).read_text(encoding="utf-8")).body:
        decorators = [getattr(d, "id", "") for d in getattr(node, "decorator_list", [])]
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and "overload" not in decorators:
            names.append(node.name)
        elif isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            nodes = [n for target in targets for n in ast.walk(target)]
            names += [
                n.id for n in nodes if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            ]
    assert [name for name in sorted(set(names)) if names.count(name) > 1] == []


def test_the_journey_of_one_call_names_things_that_exist() -> None:
    journey = (openai.__doc__ or "").partition("THE JOURNEY")[2].partition("CONTENTS")[0]
    numbers = dict(title.split(". ", 1) for title in BANNER.findall(SOURCE))
    for number, title in re.findall(r"(\d+)\. ([A-Z]\w+(?: \w+)?)$", journey, re.M):
        assert numbers[number].startswith(title)
    for owner, method in re.findall(r"(\w+)\.(\w+)\(\)", journey):
        assert hasattr(getattr(openai, owner), method), f"{owner}.{method}"


def section(number: str, title: str) -> str:
    """A subsection of the file, by its banner."""
    found = re.search(rf"^# ---- {re.escape(f'{number} {title}')} ----", SOURCE, re.M)
    assert found, f"{number} {title}"
    return re.split(r"^(?:## |# ---- )", SOURCE[found.end() :], flags=re.M)[0]


def test_the_ways_to_find_something_in_the_header_are_true() -> None:
    below = (openai.__doc__ or "").partition("TO FIND")[2]
    assert hasattr(openai.ChatCompletions, "create") and "class ChatCompletions" in below
    assert "client.beta.threads.runs is BetaThreadsRuns" in below
    assert isinstance(OpenAI(api_key=KEY).beta.threads.runs, openai.BetaThreadsRuns)
    tree = SOURCE.partition("\n## 3. Errors")[2]
    assert tree.index("#   OpenAIError") < tree.index("class OpenAIError")
    assert "\nDEFAULT_TIMEOUT = " in section("4.1", "Limits")


def test_the_tour_of_the_source_stops_at_what_is_there() -> None:
    tour = README.partition("\n## Read the source\n")[2]
    stops = re.findall(r"^(\d+)\. \*\*([\d.]+) (.+?)\*\* \((.+?)\): ", tour, re.M | re.S)
    assert [number for number, *_ in stops] == [str(i) for i in range(1, 11)]
    for _, number, title, names in stops:
        text = section(number, title)
        for name in re.findall(r"`([\w.]+)`", names):
            first, _, rest = name.partition(".")
            assert re.search(rf"^ *(?:class|def) {first}\b", text, re.M), name
            assert not rest or re.search(rf"^ +(?:async )?def {rest}\b", text, re.M), name
    assert "class StopSignal" in section("4.2", "Requests")
    named = set(re.findall(r"\bin (\d\.\d)\b", tour))
    assert named == {"4.2"}


def test_every_line_is_ascii_and_at_most_100_columns() -> None:
    examples = (HERE / "examples").glob("**/*.py")
    files = [HERE / "openai_lite.py", pathlib.Path(__file__), *examples]
    for path in files:
        for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
            assert line.isascii() if hasattr(line, "isascii") else True, f"{path.name}:{number}"
            assert len(line) <= 100 and line == line.rstrip(), f"{path.name}:{number}"
        assert path.read_text(encoding="utf-8").startswith("# SPDX-License-Identifier: MIT\n")


def mypy(*paths: str) -> "subprocess.CompletedProcess[str]":
    pytest.importorskip("mypy", reason="mypy is not installed here")
    return python("-m", "mypy", "--strict", *paths)


@mypy_runs
def test_module_tests_and_examples_pass_mypy_strict() -> None:
    examples = [str(path) for path in sorted((HERE / "examples").glob("**/*.py"))]
    done = mypy("openai_lite.py", "test_openai_lite.py", *examples)
    assert done.returncode == 0, done.stdout


TYPED = '''
from typing import List
import openai_lite as openai
from openai_lite import AsyncOpenAI, OpenAI

def sync(client: OpenAI, flag: bool) -> None:
    messages = [{"role": "user", "content": "hi"}]
    chat = client.chat.completions
    reveal_type(chat.create(model="m", messages=messages))
    # ChatCompletion
    reveal_type(chat.create(model="m", messages=messages, stream=False))
    # ChatCompletion
    reveal_type(chat.create(model="m", messages=messages, stream=True))
    # Stream[ChatCompletionChunk]
    reveal_type(chat.create(model="m", messages=messages, stream=flag))
    # ChatCompletion | Stream[ChatCompletionChunk]
    reveal_type(chat.with_raw_response.create(model="m", messages=messages))
    # LegacyAPIResponse[ChatCompletion]
    raw = client.with_raw_response
    reveal_type(raw.completions.create(model="m", prompt="", stream=True))
    # LegacyAPIResponse[Stream[Completion]]
    reveal_type(chat.with_streaming_response.create(model="m", messages=messages))
    # ResponseContextManager[APIResponse[ChatCompletion]]
    reveal_type(client.files.list())
    # SyncCursorPage[FileObject]
    reveal_type(client.models.with_raw_response.list().parse())
    # SyncPage[Model]
    reveal_type(client.models.retrieve("m").id)
    # str
    reveal_type(client.audio.transcriptions.create(file=b"", model="m"))
    # Transcription
    reveal_type(client.files.content("f"))
    # HttpxBinaryResponseContent
    reveal_type(client.embeddings.create(model="m", input="x").data[0].embedding)
    # list[float]
    reveal_type(client.get("/x", cast_to=openai.HTTPResponse))
    # HTTPResponse
    reveal_type(client.vector_stores.files.poll("f", vector_store_id="v", max_wait_seconds=9.5))
    # VectorStoreFile
    reveal_type(client.beta.threads.runs.create_and_poll(thread_id="t", assistant_id="a"))
    # Run
    reveal_type(client.uploads.upload_file_chunked(file=b"", mime_type="", purpose="batch"))
    # Upload
    sessions = client.beta.agents.sessions
    reveal_type(sessions.create(environment={}, agent_id="a"))
    # AgentSession
    reveal_type(sessions.create(environment={}, stream=True))
    # AgentSessionStream[Any]
    reveal_type(sessions.create(environment={}, stream=flag))
    # AgentSession | AgentSessionStream[Any]
    reveal_type(sessions.with_raw_response.create(environment={}, stream=True).parse())
    # AgentSessionStream[Any]
    with sessions.create(environment={}, stream=True, output_type=int) as turn:
        reveal_type(turn.with_result_collection().get_final_result())
        # AgentTurnResult[int]
    found = sessions.artifacts.for_result(turn.get_final_result().parse(str))
    reveal_type(found.download("/workspace/a", to="a"))
    # SessionArtifact
    reveal_type(client.beta.agents.environments.files.prepare({"/workspace/a": "a"}))
    # PreparedAgentFiles
    hook = client.webhooks.unwrap(b"", {"webhook-id": "x"})
    if hook.type == "realtime.call.incoming":
        reveal_type(hook.data.call_id)
        # str
    tool = openai.FunctionTool(type="function", name="f", parameters={}, strict=True)
    mixed = client.responses.create(model="m", input=[], tools=[tool, {"type": "web_search"}])
    for item in mixed.output:
        if item.type == "function_call":
            reveal_type(item.arguments)
            # str
    for event in client.responses.create(model="m", input="x", stream=True):
        if event.type == "response.completed":
            reveal_type(event.response.output_text)
            # str
    with chat.with_streaming_response.create(model="m", messages=messages, stream=True) as response:
        reveal_type(response.parse())
        # Stream[ChatCompletionChunk]

async def asynchronous(client: AsyncOpenAI) -> None:
    reveal_type(await client.responses.create(model="m", input="x"))
    # Response
    reveal_type(await client.completions.create(model="m", prompt="", stream=True))
    # AsyncStream[Completion]
    reveal_type(client.files.list())
    # AsyncPaginator[FileObject, AsyncCursorPage[FileObject]]
    reveal_type(await client.files.list())
    # AsyncCursorPage[FileObject]
    async for file in client.files.list():
        reveal_type(file.bytes)
        # int
    reveal_type((await client.models.with_raw_response.list()).parse())
    # AsyncPage[Model]
    reveal_type(await client.batches.with_raw_response.retrieve("b"))
    # LegacyAPIResponse[Batch]
    async with client.files.with_streaming_response.list() as response:
        reveal_type(await response.parse())
        # AsyncCursorPage[FileObject]
    async for event in await client.beta.agents.sessions.events.stream("s"):
        if event.type == "error":
            reveal_type(event)
            # AgentErrorEvent
    reveal_type(client.admin.organization.users.list())
    # AsyncPaginator[OrganizationUser, AsyncConversationCursorPage[OrganizationUser]]
    async for item in client.conversations.items.list("c"):
        if item.type == "message":
            reveal_type(item)
            # ConversationMessage
    reveal_type(await client.post("/x", cast_to=str, body={}))
    # str
    reveal_type(await client.vector_stores.file_batches.poll("b", vector_store_id="v"))
    # VectorStoreFileBatch
    reveal_type(client.webhooks.verify_signature("", {}))
    # None
    add = openai.function_tool(lambda: 1, name="add")
    async with client.beta.agents.sessions.stream(
        "s", input="x", output_type=int, tool_handlers={"add": add, "b": lambda given: given["b"]},
    ) as turn:
        async for happened in turn:
            if happened.type == "agent.session.turn.item.done":
                reveal_type(happened.item)
                # AgentSessionItem
        reveal_type((await turn.get_final_result()).output_parsed)
        # int | None
        handed_in = client.beta.agents.sessions.artifacts.for_result(await turn.get_final_result())
        reveal_type(await handed_in.content("/workspace/a"))
        # HttpxBinaryResponseContent

reveal_type(openai.chat.completions.create(model="m", messages=[]))
# ChatCompletion
'''

MISTYPED = '''
import openai_lite as openai; from openai_lite import OpenAI, AsyncOpenAI
client = OpenAI(api_kye="k")
client.chat.completions.create(model="m", mesages=[])
client.chat.completions.create(model="m", messages=[], temperature="hot")
client.models.retrieve(1)
openai.FunctionTool(type="function", name="f", parameters={}, strict="yes")
openai.FunctionTool(type="function", parameters={}, strict=True)
client.responses.create(model="m", input=[], tools=[1])
client.models.retrieve("m", timeout="soon")
client.chat.completion
client.models.retrieve("m").idd
client.files.create(file="path", purpose="batch")
client.batches.create(completion_window="25h", endpoint="/v1/responses", input_file_id="f")
for file in AsyncOpenAI().files.list(): pass
client.vector_stores.files.poll("f", vector_store_id="v", max_wait="long")
client.responses.create(model="m", input="x", stream=True).output_text
client.beta.agents.sessions.stream("s", input="x", tool_handlers={"f": 1})
client.beta.agents.sessions.create(agent_id="a")
'''


@mypy_runs
def test_both_clients_reveal_exact_types_and_typos_are_errors(tmp_path: pathlib.Path) -> None:
    (tmp_path / "typed.py").write_text(TYPED, encoding="utf-8")
    (tmp_path / "mistyped.py").write_text(MISTYPED, encoding="utf-8")
    done = mypy(str(tmp_path / "typed.py"), "openai_lite.py")
    found = re.findall(r':(\d+): note: Revealed type is "(.*)"', done.stdout)
    shown = {int(n): re.sub(r"\b(?:openai_lite|builtins|typing)\.", "", kind) for n, kind in found}
    lines = TYPED.split("\n")  # below each reveal_type stands what it should say
    expected = {
        number: lines[number].partition("# ")[2]
        for number, line in enumerate(lines, 1) if "reveal_type" in line
    }
    assert shown == expected and done.returncode == 0, done.stdout
    wrong = mypy(str(tmp_path / "mistyped.py"), "openai_lite.py")
    found_wrong = {int(number) for number in re.findall(r"mistyped\.py:(\d+): error", wrong.stdout)}
    assert found_wrong == set(range(3, 3 + len(MISTYPED.strip().split("\n")) - 1)), wrong.stdout


def test_the_quickstart_runs_with_nothing_but_python(tmp_path: pathlib.Path) -> None:
    done = python("-S", str(HERE / "examples" / "quickstart.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stderr == "" and "OPENAI_API_KEY is not set" in done.stdout
    for expected in (
        "== Ask a question", "read back, and it is the same", "all pages together have 5 of the 5",
        "NotFoundError, status 404, request req_",
    ):
        assert expected in done.stdout


def test_the_quickstart_calls_the_api_when_there_is_a_key(server: Any) -> None:
    done = python("examples/quickstart.py", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url)
    assert done.returncode == 0, done.stderr
    assert f"OPENAI_API_KEY is set: calling {server.url}/" in done.stdout and KEY not in done.stdout
    nowhere = "http://127.0.0.1:9"
    done = python("examples/quickstart.py", OPENAI_API_KEY=KEY, OPENAI_BASE_URL=nowhere)
    assert done.returncode == 1 and done.stderr.startswith("APIConnectionError: Connection error.")


PROGRAMS = ["benchmark.py", "local_server.py", "quickstart.py"]  # no lessons
LESSONS = [
    path.relative_to(HERE / "examples").as_posix()
    for path in sorted((HERE / "examples").glob("**/*.py")) if path.name not in PROGRAMS
]
COMMAND = re.compile(r"^    python3 (.*?)examples/(\S+\.py)(.*)$", re.M)


def docstring_of(name: str) -> str:
    return ast.get_docstring(ast.parse((HERE / "examples" / name).read_text("utf-8"))) or ""


@pytest.mark.parametrize("name", LESSONS + PROGRAMS)
def test_an_example_says_how_to_run_it_and_is_short(name: str) -> None:
    command = COMMAND.search(docstring_of(name))
    assert command  # of a Lambda function it is the one that builds it
    assert command.group(2) in (name, re.sub("[^/]+$", "build.py", name))
    if name in LESSONS:
        assert (HERE / "examples" / name).read_text(encoding="utf-8").count("\n") <= 60


def test_the_readme_lists_every_example_and_nothing_else() -> None:
    section = README.partition("\n## Examples\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| \[`(\S+)`\]\(examples/(\S+)\) \| \S", section, re.M)
    assert all(shown == linked for shown, linked in rows)
    assert sorted(shown for shown, _ in rows) == sorted(LESSONS + PROGRAMS)


def test_the_wire_tour_shows_every_byte_of_three_exchanges(tmp_path: pathlib.Path) -> None:
    wire = {">": "", "<": ""}
    for line in run_as_shown("wire_tour.py", tmp_path).stdout.splitlines():
        found = re.match(r"([<>]) (.*?(?:\\n|\}(?= JSON$))) +\S", line)  # the note is not empty
        assert found, line
        wire[found.group(1)] += found.group(2).replace("\\r", "\r").replace("\\n", "\n")
    requests = [part.split("\r\n\r\n", 1) for part in re.split("(?!^)(?=POST /)", wire[">"])]
    answers = [part.split("\r\n\r\n", 1) for part in re.split("(?!^)(?=HTTP/)", wire["<"])]
    assert len(requests) == len(answers) == 3
    for head, body in requests:
        assert int(headers_of(head)["content-length"]) == len(body)
    assert json.loads(requests[0][1])["messages"][0]["content"] == "Hi"
    assert '"sky.txt"\r\nContent-Type: text/plain\r\n\r\nThe sky is blue.\r\n--' in requests[2][1]
    bodies = []
    for _, chunks in answers:
        bodies.append("")
        while chunks != "0\r\n\r\n":
            size, _, chunks = chunks.partition("\r\n")
            bodies[-1], chunks = bodies[-1] + chunks[: int(size, 16)], chunks[int(size, 16) + 2 :]
    assert json.loads(bodies[0])["choices"] and json.loads(bodies[2]) == {"id": "file-1"}
    assert [event[:6] for event in bodies[1].split("\n\n")] == [": wait", *["data: "] * 3, ""]


def run_as_shown(name: str, directory: pathlib.Path) -> "subprocess.CompletedProcess[str]":
    """Run the command of an example's docstring, in an empty environment."""
    found = COMMAND.search(docstring_of(name))
    assert found
    command = [sys.executable, *found.group(1).split(), str(HERE / "examples" / name)]
    return subprocess.run(
        command + found.group(3).split(), cwd=str(directory), env={}, stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True, timeout=120,
    )  # fmt: skip


@pytest.mark.parametrize(
    "name", [name for name in LESSONS + PROGRAMS if "rints:\n" in docstring_of(name)]
)
def test_an_example_prints_what_its_docstring_says(name: str, tmp_path: pathlib.Path) -> None:
    """Ports, and what is too long for a line, are "..." there; times and the like may differ."""
    done = run_as_shown(name, tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    shown = textwrap.dedent(docstring_of(name).partition("rints:\n\n")[2]) + "\n"
    shown, printed = [re.sub(r"\d+\.\d+\b", "0.0", text) for text in (shown, done.stdout)]
    printed = "".join(line.rstrip() + "\n" for line in printed.splitlines())
    assert doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS), done.stdout


def test_the_runner_that_is_killed_and_run_again_has_each_result_once(
    server: Any, tmp_path: pathlib.Path
) -> None:
    source, target = tmp_path / "requests.jsonl", tmp_path / "results.jsonl"
    body = {"model": "gpt-4o-mini", "input": "Hi"}
    tasks: List[Dict[str, Any]] = [
        {"custom_id": f"id-{i}", "url": "/v1/responses", "body": body} for i in range(40)
    ]
    tasks[3]["body"] = {"model": "no-such-model", "input": "Hi"}
    source.write_text("".join(json.dumps(task) + "\n" for task in tasks), encoding="utf-8")

    def command(per_minute: int) -> List[str]:
        script = str(HERE / "examples" / "rate_limited_runner.py")
        return [sys.executable, script, str(source), str(target), str(per_minute)]

    with subprocess.Popen(
        command(1200), env={"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": server.url},
        stdout=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        wait_until(lambda: target.exists() and target.read_bytes().count(b"\n") >= 8)
        process.kill()
    before = target.read_bytes()
    done_before = before.count(b"\n")
    assert 8 <= done_before < 40
    target.write_bytes(before + b'{"custom_id": "id-39", "respon')  # the power went, too
    again = python(*command(60000)[1:], OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url)
    assert again.stdout == f"{done_before} requests are done, {40 - done_before} are left\n"
    assert (again.returncode, again.stderr) == (0, "") and target.read_bytes().startswith(before)
    results = [json.loads(line) for line in target.read_text("utf-8").splitlines()]
    assert sorted(r["custom_id"] for r in results) == sorted(t["custom_id"] for t in tasks)
    failed = {r["custom_id"]: r["error"] for r in results if r["response"] is None}
    assert list(failed) == ["id-3"] and "no-such-model" in failed["id-3"]


def test_the_runner_keeps_the_rate_and_leaves_what_failed_for_another_run(
    server: Any, tmp_path: pathlib.Path
) -> None:
    body = {"model": "gpt-4o-mini", "input": "Hi"}
    line = json.dumps({"custom_id": "1", "url": "/v1/responses", "body": body})
    (tmp_path / "a.jsonl").write_text(line, encoding="utf-8")
    script = str(HERE / "examples" / "rate_limited_runner.py")
    run = [script, str(tmp_path / "a.jsonl"), str(tmp_path / "b.jsonl"), "6000"]
    environment = {"OPENAI_API_KEY": "wrong-key", "OPENAI_BASE_URL": server.url}
    done = python(*run, **environment)
    assert done.stderr.startswith("1 is left for another run: ") and done.returncode == 0
    assert (tmp_path / "b.jsonl").read_bytes() == b""
    started = time.monotonic()
    done = python(script, "none.jsonl", "b.jsonl", "3000", cwd=tmp_path, OPENAI_API_KEY=KEY,
                  OPENAI_BASE_URL=server.url)
    assert time.monotonic() - started > 20 * 60 / 3000
    assert (tmp_path / "b.jsonl").read_bytes().count(b"\n") == 20 and done.returncode == 0


class LambdaService(http.server.BaseHTTPRequestHandler):
    """What AWS does in Lambda's runtime API: it gives out events, and takes what comes of them."""

    protocol_version = "HTTP/1.1"
    events: List[Tuple[Any, float]]  # each with the seconds until its deadline
    results: List[Tuple[str, Dict[str, str], bytes, str]]  # path, headers, body, trailers

    def do_GET(self) -> None:
        assert self.path == "/2018-06-01/runtime/invocation/next"
        if not self.events:  # Lambda would let the process wait; here it ends
            self.close_connection = True
            return
        event, seconds = self.events.pop(0)
        body = json.dumps(event).encode("ascii")
        self.send_response(200)
        self.send_header("Lambda-Runtime-Aws-Request-Id", f"request-{len(self.results)}")
        self.send_header("Lambda-Runtime-Deadline-Ms", str(int((time.time() + seconds) * 1000)))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        expected = ("init/", f"invocation/request-{len(self.results)}/")
        assert self.path.startswith(tuple("/2018-06-01/runtime/" + path for path in expected))
        body, trailers = b"", b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            for size in iter(lambda: int(self.rfile.readline(), 16), 0):
                body += self.rfile.read(size + 2)[:-2]
            trailers = b"".join(iter(self.rfile.readline, b"\r\n"))
            names = [line.split(": ")[0] for line in trailers.decode("ascii").splitlines()]
            assert set(names) <= set(self.headers["Trailer"].split(", "))  # else Lambda drops them
        else:
            body = self.rfile.read(int(self.headers["Content-Length"]))
        fields, kind = dict(self.headers.items()), self.path.rpartition("/")[2]
        self.results.append((kind, fields, body, trailers.decode("ascii")))
        self.send_response(202)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def lambda_zip(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    folder = tmp_path_factory.mktemp("lambda")
    done = python(str(HERE / "examples/aws_lambda/build.py"), "function.zip", cwd=folder)
    size = (folder / "function.zip").stat().st_size
    version = "%d.%d" % sys.version_info[:2]
    assert done.stdout == f"function.zip: {size / 1000:.0f} kB for Python {version}\n"
    return folder / "function.zip"


def run_lambda(
    archive: pathlib.Path, handler: str, url: str, *events: Tuple[Any, float], key: str = KEY
) -> Tuple[List[Tuple[str, Dict[str, str], bytes, str]], Set[str]]:
    """What the bootstrap in a zip makes of events, and the names of the modules it imports."""
    fields: Dict[str, Any] = {"events": list(events), "results": []}
    service = type("Service", (LambdaService,), fields)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), service) as listener:
        thread = threading.Thread(target=listener.serve_forever, daemon=True)
        thread.start()
        environment = {
            "PYTHONPATH": str(archive), "_HANDLER": handler, "OPENAI_API_KEY": key,
            "OPENAI_BASE_URL": url, "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{listener.server_port}",
        }
        done = subprocess.run(
            [sys.executable, "-S", "-X", "importtime", "-m", "bootstrap"], env=environment,
            cwd=str(archive.parent), stderr=subprocess.PIPE, universal_newlines=True, timeout=120,
        )  # fmt: skip
        listener.shutdown()
        thread.join()
    assert ("RemoteDisconnected" if key else "Missing credentials") in done.stderr
    assert KEY not in done.stderr
    modules = set(re.findall(r"^import time: .*\| +([\w.]+)$", done.stderr, re.M))
    return fields["results"], modules


def asked(question: str, seconds: float = 30.0) -> Tuple[Any, float]:
    return {"body": json.dumps({"question": question})}, seconds


def test_the_zip_for_lambda_answers_events_and_reports_errors(
    server: Any, client: OpenAI, lambda_zip: pathlib.Path
) -> None:
    results, _ = run_lambda(
        lambda_zip, "handler.handler", server.url, asked("Say a word."), ({}, 30.0), asked("And?")
    )
    assert [kind for kind, *_ in results] == ["response", "error", "response"]
    said = client.responses.create(model="gpt-4o-mini", input="Say a word.").output_text
    first = json.loads(results[0][2])
    assert (first["statusCode"], json.loads(first["body"])) == (200, {"answer": said})
    assert json.loads(results[1][2]) == {"errorType": "KeyError", "errorMessage": "'body'"}


@pytest.mark.parametrize("status, error", [(502, "Error code: 500"), (504, "took too long")])
def test_a_function_on_lambda_answers_before_its_time_is_over(
    lambda_zip: pathlib.Path, status: int, error: str
) -> None:
    def wait(conn: socket.socket) -> None:
        if status == 504:
            conn.recv(1)  # until the client hangs up

    failure = answer(b"{}", "500 Internal Server Error", x_should_retry="false")
    with RawServer(failure if status == 502 else wait) as raw:
        started = time.monotonic()
        results, _ = run_lambda(lambda_zip, "handler.handler", raw.url, asked("Hi", 2.0))
        assert time.monotonic() - started < 20
    result = json.loads(results[0][2])
    assert result["statusCode"] == status and error in json.loads(result["body"])["error"]


def test_a_function_on_lambda_streams(
    server: Any, client: OpenAI, lambda_zip: pathlib.Path
) -> None:
    results, _ = run_lambda(lambda_zip, "handler.stream", server.url, asked("Say a word."), ({}, 9))
    kind, fields, body, trailers = results[0]
    assert (kind, trailers) == ("response", "")
    assert fields["Lambda-Runtime-Function-Response-Mode"] == "streaming"
    assert fields["Content-Type"] == "application/vnd.awslambda.http-integration-response"
    head, text = body.split(bytes(8))
    assert json.loads(head)["statusCode"] == 200
    said = client.responses.create(model="gpt-4o-mini", input="Say a word.").output_text
    assert text.decode("utf-8") == said
    assert results[1][0] == "error" and b"KeyError" in results[1][2]  # nothing had been sent


def test_a_stream_of_lambda_that_breaks_ends_with_the_error(lambda_zip: pathlib.Path) -> None:
    delta = {"type": "response.output_text.delta", "delta": "Good mor"}
    head = answer(b"", Content_Type="text/event-stream", Content_Length="999")
    with RawServer(hang_up(head + sse(delta))) as raw:
        results, _ = run_lambda(lambda_zip, "handler.stream", raw.url, asked("Hi"))
    kind, _, body, trailers = results[0]
    assert kind == "response" and body.endswith(bytes(8) + b"Good mor")
    lines = dict(line.split(": ") for line in trailers.split("\r\n")[:-1])
    assert lines["Lambda-Runtime-Function-Error-Type"] == "APIConnectionError"
    error = json.loads(base64.b64decode(lines["Lambda-Runtime-Function-Error-Body"]))
    assert error["errorType"] == "APIConnectionError"


def test_a_function_that_cannot_start_tells_lambda_why(lambda_zip: pathlib.Path) -> None:
    url = "http://127.0.0.1:9/v1"
    results, _ = run_lambda(lambda_zip, "handler.handler", url, asked("Hi"), key="")
    assert [(kind, json.loads(body)["errorType"]) for kind, _, body, _ in results] == [
        ("error", "OpenAIError")
    ]
    results, _ = run_lambda(lambda_zip, "handler.handler", url)
    assert results == []


def test_a_function_on_lambda_imports_little(server: Any, lambda_zip: pathlib.Path) -> None:
    with zipfile.ZipFile(str(lambda_zip)) as archive:
        assert archive.namelist() == ["handler.py", "bootstrap.py", "openai_lite.pyc"]
        assert str(HERE).encode() not in archive.read("openai_lite.pyc")
    results, modules = run_lambda(lambda_zip, "handler.handler", server.url, asked("Hi"))
    assert results[0][0] == "response" and "openai_lite" in modules
    costly = {"asyncio", "concurrent", "dataclasses", "inspect", "logging", "urllib.request"}
    assert not modules & costly
    if sys.version_info >= (3, 10):
        foreign = {name.partition(".")[0] for name in modules} - sys.stdlib_module_names
        assert foreign == {"openai_lite"}


def test_the_zip_for_lambda_is_reproducible_and_may_hold_the_source(
    server: Any, lambda_zip: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    build = str(HERE / "examples/aws_lambda/build.py")
    python(build, "again.zip", cwd=tmp_path)
    assert (tmp_path / "again.zip").read_bytes() == lambda_zip.read_bytes()
    done = python(build, "--source", "source.zip", cwd=tmp_path)
    assert done.stdout.endswith("kB for any Python\n")
    results, _ = run_lambda(tmp_path / "source.zip", "handler.handler", server.url, asked("Hi"))
    assert results[0][0] == "response"


def test_the_zip_for_lambda_may_hold_only_what_the_function_needs(
    server: Any, lambda_zip: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    python(str(HERE / "examples/aws_lambda/build.py"), "--only", "responses", "a.zip", cwd=tmp_path)
    assert (tmp_path / "a.zip").stat().st_size < 0.6 * lambda_zip.stat().st_size
    for handler in ("handler.handler", "handler.stream"):
        results, _ = run_lambda(tmp_path / "a.zip", handler, server.url, asked("Hi"))
        assert [kind for kind, *_ in results] == ["response"]
    sizes = re.findall(r"of (\d+) kB", README.partition("On AWS Lambda")[2].partition("## ")[0])
    if sys.version_info[:2] == (3, 11):
        for size, made in zip(sizes, (lambda_zip, tmp_path / "a.zip")):
            assert abs(1000 * int(size) - made.stat().st_size) < 50 * int(size)


def fault(client: Any, **faults: Any) -> Any:
    """One chat completion with faults asked for: `status=429` is the header x-fault-status."""
    headers = {"x-fault-" + name.replace("_", "-"): str(value) for name, value in faults.items()}
    return client.chat.completions.create(model="m", messages=HI, extra_headers=headers)


@pytest.mark.parametrize("faults, kind, message", [
    ({"status": 429}, openai.RateLimitError, "429"),
    ({"status": 500}, openai.InternalServerError, "500"),
    ({"cut": 10}, openai.APIConnectionError, "after 10 of"),
    ({"hangup": 1}, openai.APIConnectionError, "without an answer"),
    ({"garbage": "html"}, openai.APIResponseValidationError, "is /v1 missing"),
    ({"garbage": "json"}, openai.APIResponseValidationError, "broken JSON"),
    ({"garbage": "binary"}, openai.APIConnectionError, "in the middle of the headers"),
])
def test_the_local_server_fails_as_it_is_asked(
    faults: Dict[str, Any], kind: Any, message: str, client: OpenAI
) -> None:
    with pytest.raises(kind, match=message):
        fault(client, **faults)


def test_a_fault_that_strikes_twice_is_survived_by_two_retries(server: Any) -> None:
    with client_of(server, max_retries=2, initial_retry_delay=0.01) as client:
        raw = client.with_raw_response
        done: Any = fault(raw, status=503, times=2, id="twice", retry_after_ms=5)
        assert done.retries_taken == 2 and done.headers["x-echo-retry-count"] == "2"
        with pytest.raises(openai.InternalServerError):
            fault(client, status=503, times=3, id="thrice")


def test_the_local_server_speaks_of_errors_as_the_api_does(server: Any) -> None:
    client: Any = client_of(server)
    cases: List[Tuple[Callable[[], Any], Any, Optional[str]]] = [
        (lambda: client_of(server, api_key="wrong-key").models.list(),
         openai.AuthenticationError, None),
        (lambda: client.models.retrieve("no-such-model"), openai.NotFoundError, "model"),
        (lambda: client.files.retrieve("file-none"), openai.NotFoundError, "id"),
        (lambda: client.get("/nowhere", cast_to=object), openai.NotFoundError, None),
        (lambda: client.chat.completions.create(model="m", messages=[]),
         openai.BadRequestError, "messages"),
        (lambda: client.chat.completions.create(model="m", messages=HI, temperature=9),
         openai.BadRequestError, "temperature"),
        (lambda: client.chat.completions.create(model="m", messages=HI, extra_body={"x": 1}),
         openai.BadRequestError, "x"),
        (lambda: client.files.list(limit=0), openai.BadRequestError, "limit"),
    ]
    for attempt, kind, param in cases:
        with pytest.raises(kind) as caught:
            attempt()
        assert caught.value.param == param and caught.value.request_id.startswith("req_")
        assert KEY not in str(caught.value) and "wrong-key" not in str(caught.value)
    assert requests_without_key(server.url) == 401


def requests_without_key(url: str) -> int:
    connection = http.client.HTTPConnection(url.split("/")[2])
    with contextlib.closing(connection):
        connection.request("GET", "/v1/models")
        return connection.getresponse().status


def post(url: str, path: str, body: Any) -> str:
    """What a POST answers, as text: without the client, for these tests are about the server."""
    connection = http.client.HTTPConnection(url.split("/")[2], timeout=30)
    with contextlib.closing(connection):
        headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
        connection.request("POST", "/v1" + path, json.dumps(body), headers)
        return connection.getresponse().read().decode("utf-8")


def events_of(text: str) -> List[Any]:
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]


def grow(old: Any, new: Any) -> Any:
    """Add the delta of a stream to what came before: the texts are appended to one another."""
    if isinstance(new, dict):
        old = {} if old is None else old
        for name, value in new.items():
            old[name] = value if name in ("index", "type") else grow(old.get(name), value)
    elif isinstance(new, list):
        old = [] if old is None else old
        for item in new:
            if isinstance(item, dict) and "index" in item:
                old.extend({} for _ in range(item["index"] + 1 - len(old)))
                old[item["index"]] = grow(old[item["index"]], item)
            else:
                old.append(item)
    elif isinstance(old, str) and isinstance(new, str):
        old += new
    elif new is not None:
        old = new
    return old


def timeless(value: Any) -> Any:
    """An object without what differs from one making to the next."""
    if isinstance(value, list):
        return [timeless(item) for item in value]
    if isinstance(value, dict):
        return {
            name: timeless(item) for name, item in value.items()
            if name not in ("id", "index", "created") and not name.endswith(("_id", "_at"))
        }
    return value


PERSON: Dict[str, Any] = {
    "type": "object", "additionalProperties": False, "required": ["name", "age", "parent"],
    "properties": {
        "name": {"type": "string"}, "age": {"type": "integer"},
        "parent": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    },
}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTIONS: List[Dict[str, Any]] = [
    {"name": name, "parameters": CITY} for name in ("get_weather", "find_hotel")
]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
FLAT_TOOLS = [dict(function, type="function") for function in FUNCTIONS]
STORY = "Gr\u00fc\u00dfe, \u9be8! e\u0301clairs, \U0001f469\u200d\U0001f680: \"quote\" \\ \n."
BOTH_TOOLS = "I need the weather and a hotel: city is Paris. find_hotel"
TOOL_RESULT: List[Dict[str, Any]] = [
    {"role": "user", "content": BOTH_TOOLS},
    {"role": "assistant", "tool_calls": [
        {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "call_1", "content": "21 \u00b0C, {clear}"},
]
CHATS: List[Tuple[str, Dict[str, Any]]] = [  # finish_reason, what is asked
    ("stop", {}),
    ("stop", {"n": 3, "logprobs": True, "top_logprobs": 2}),
    ("stop", {"stream_options": {"include_usage": True}}),
    ("stop", {"said": "No, please refuse.", "logprobs": True}),
    ("stop", {"response_format": {"type": "json_object"}, "logprobs": True}),
    ("stop", {"n": 2, "response_format": {"type": "json_schema", "json_schema": {
        "name": "person", "schema": PERSON, "strict": True}}}),
    ("length", {"max_tokens": 5, "n": 2, "logprobs": True}),
    ("length", {"said": "please refuse", "max_completion_tokens": 3}),
    ("tool_calls", {"tools": TOOLS, "tool_choice": "required", "logprobs": True}),
    ("tool_calls", {"tools": TOOLS, "n": 2, "said": BOTH_TOOLS}),
    ("tool_calls", {"tools": TOOLS, "said": BOTH_TOOLS, "parallel_tool_calls": False}),
    ("length", {"tools": TOOLS, "said": BOTH_TOOLS, "max_completion_tokens": 10}),
    ("stop", {"tools": TOOLS, "said": BOTH_TOOLS, "tool_choice": "none"}),
    ("stop", {"tools": TOOLS, "tool_choice": "required", "messages": TOOL_RESULT}),
]


@pytest.mark.parametrize("reason, asked", CHATS)
def test_a_streamed_chat_completion_of_the_local_server_adds_up_to_the_plain_one(
    reason: str, asked: Dict[str, Any], server: Any
) -> None:
    body: Dict[str, Any] = dict({"model": "m"}, **asked)
    body.setdefault("messages", [{"role": "user", "content": body.pop("said", STORY)}])
    usage = "stream_options" in body
    plain = json.loads(post(server.url, "/chat/completions", body))
    text = post(server.url, "/chat/completions", dict(body, stream=True))
    assert text.endswith("\n\ndata: [DONE]\n\n")
    choices: List[Any] = [{} for _ in plain["choices"]]
    order: List[int] = []
    chunk: Any = None
    for chunk in events_of(text):
        assert set(chunk) == set(plain) - {"usage"} | ({"usage"} if usage else set())
        for choice in chunk["choices"]:
            order.append(choice["index"])
            assert not choice["delta"].get("content") or len(choice["delta"]["content"]) < 9
            grow(choices[choice["index"]], choice)
    for choice in choices:
        choice["message"] = dict(choice.pop("delta"), annotations=[])  # empty ones are not sent
        assert choice["finish_reason"] == reason
        if choice["logprobs"]:
            logprobs = choice["logprobs"]["content"] or choice["logprobs"]["refusal"]
            said = choice["message"]["content"] or choice["message"]["refusal"]
            assert "".join(entry["token"] for entry in logprobs) == said
    if usage:
        assert chunk["usage"] == plain["usage"]
    assert timeless(dict(chunk, object=plain["object"], choices=choices, usage=plain["usage"])) == \
        timeless(plain)
    if len(choices) > 1:
        assert order[: len(choices)] == list(range(len(choices)))  # they come interleaved
        different = {json.dumps(choice["message"]) for choice in choices}
        assert len(different) == len(choices) or reason == "length"


RESPONSES: List[Tuple[str, str, Dict[str, Any]]] = [  # status, types in it, what is asked
    ("completed", "output_text", {}),
    ("completed", "output_text", {"include": ["message.output_text.logprobs"], "top_logprobs": 2}),
    ("completed", "reasoning output_text", {"reasoning": {"effort": "low"}}),
    ("completed", "refusal", {"input": "please refuse this"}),
    ("completed", "output_text", {"text": {"format": {
        "type": "json_schema", "name": "person", "schema": PERSON, "strict": True}}}),
    ("incomplete", "output_text", {"max_output_tokens": 4}),
    ("incomplete", "refusal", {"input": "please refuse this", "max_output_tokens": 2}),
    ("completed", "reasoning function_call function_call",
     {"tools": FLAT_TOOLS, "input": BOTH_TOOLS, "reasoning": {"effort": "high"}}),
    ("completed", "function_call",
     {"tools": FLAT_TOOLS, "tool_choice": {"type": "function", "name": "find_hotel"}}),
    ("incomplete", "function_call",
     {"tools": FLAT_TOOLS, "input": BOTH_TOOLS, "max_output_tokens": 3}),
    ("completed", "output_text", {"tools": FLAT_TOOLS, "input": [
        {"role": "user", "content": BOTH_TOOLS},
        {"type": "function_call", "call_id": "c", "name": "get_weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "21 \u00b0C"}]}),
]
TEXT_OF = {  # the field that the deltas of these events fill
    "output_text": "text", "refusal": "refusal", "reasoning_summary_text": "text",
    "function_call_arguments": "arguments",
}


@pytest.mark.parametrize("status, types, asked", RESPONSES)
def test_a_streamed_response_of_the_local_server_adds_up_to_the_plain_one(
    status: str, types: str, asked: Dict[str, Any], server: Any
) -> None:
    body = dict({"model": "m", "input": STORY}, **asked)
    plain = json.loads(post(server.url, "/responses", body))
    events = events_of(post(server.url, "/responses", dict(body, stream=True)))
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    output: List[Any] = []
    for event in events:
        stem, _, what = event["type"][len("response."):].rpartition(".")
        item: Any = output[event["output_index"]] if "item_id" in event else {}
        assert item.get("id") == event.get("item_id")
        parts: Any = item.get("content", item.get("summary"))
        number = event.get("content_index", event.get("summary_index"))
        part = item if number is None or what == "added" else parts[number]
        if stem == "output_item" and what == "added":
            assert len(output) == event["output_index"]
            output.append(event["item"])
        elif stem == "output_item":
            assert dict(output[-1], **status_of(event["item"])) == event["item"]
            output[-1] = event["item"]
        elif stem.endswith("_part"):
            assert what == "added" or part == event["part"]
            parts.extend([event["part"]] if what == "added" else [])
        elif what == "delta":
            grow(part, {TEXT_OF[stem]: event["delta"]})
            grow(part, {name: event[name] for name in event if name == "logprobs"})
        elif what == "done":
            assert part[TEXT_OF[stem]] == event[TEXT_OF[stem]]
    last = events[-1]["response"]
    assert events[-1]["type"] == "response." + status == "response." + last["status"]
    assert last["output"] == output and timeless(last) == timeless(plain)
    found = [part for item in output for part in item.get("content", [item])]
    assert [part["type"] for part in found] == types.split()
    reason = {"reason": "max_output_tokens"} if status == "incomplete" else None
    assert last["incomplete_details"] == reason


def status_of(item: Any) -> Any:
    return {"status": item["status"]} if "status" in item else {}


RUNS: List[Tuple[str, str, Dict[str, Any]]] = [  # status, what its steps and message hold
    ("completed", "text", {}),
    ("completed", "text", {"response_format": {"type": "json_schema", "json_schema": {
        "name": "person", "schema": PERSON, "strict": True}}}),
    ("completed", "refusal", {"said": "please refuse"}),
    ("completed", "image_file text", {"said": "draw a whale"}),
    ("completed", "code_interpreter image_file text",
     {"said": "draw it with code: \u9be8", "tools": [{"type": "code_interpreter"}]}),
    ("incomplete", "text", {"max_completion_tokens": 3}),
    ("incomplete", "function", {"said": BOTH_TOOLS, "tools": TOOLS, "max_completion_tokens": 3}),
    ("failed", "", {"said": "please fail"}),
    ("requires_action", "function function", {"said": BOTH_TOOLS, "tools": TOOLS}),
]


def follow(events: List[Any]) -> Dict[str, Any]:
    """The objects that the events of a run come to, by their ids."""
    objects: Dict[str, Any] = {}
    for event in events:
        if event["object"].endswith(".delta"):
            grow(objects[event["id"]], event["delta"])
            continue
        grown = objects.get(event["id"], event)
        for part in ("content", "step_details"):
            assert timeless(grown.get(part)) == timeless(event.get(part))
        objects[event["id"]] = event
    return objects


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("status, holds, asked", RUNS)
def test_a_streamed_run_of_the_local_server_adds_up_to_the_plain_one(
    status: str, holds: str, asked: Dict[str, Any], server: Any, client: OpenAI
) -> None:
    threads = client.beta.threads

    def finish(text: str, stream: bool) -> List[Any]:
        """The run that began so, at its end, then its steps and the messages of its thread."""
        events = events_of(text) if stream else [json.loads(text)]
        run_id, at = events[-1]["id"], {"thread_id": events[-1]["thread_id"]}
        wait_until(lambda: threads.runs.retrieve(run_id, **at).status not in (
            "queued", "in_progress"))
        steps = list(threads.runs.steps.list(run_id, order="asc", **at))
        found = [
            item.to_dict() for item in (
                threads.runs.retrieve(run_id, **at), *steps,
                *threads.messages.list(order="asc", **at))]
        for step in steps:
            assert threads.runs.steps.retrieve(step.id, run_id=run_id, **at) == step
        if stream:
            assert text.endswith("event: done\ndata: [DONE]\n\n")
            streamed = follow(events)
            last = events[-1]["status"]
            assert re.findall("event: (.*)", text)[-2] == f"thread.run.{last}"
            for item in found:  # what was streamed is what is there
                if item["id"] in streamed:
                    kept = timeless(streamed[item["id"]])
                    assert {name: kept[name] for name in timeless(item)} == timeless(item)
        return found

    made: List[List[Any]] = []
    assistant = client.beta.assistants.create(model="m")
    for stream in (False, True):
        body = dict({"assistant_id": assistant.id, "stream": stream}, **asked)
        said = [{"role": "user", "content": body.pop("said", STORY)}]
        made.append(finish(
            post(server.url, "/threads/runs", dict(body, thread={"messages": said})), stream))
        if status == "requires_action":
            run = made[-1][0]
            calls = run["required_action"]["submit_tool_outputs"]["tool_calls"]
            outputs = [{"tool_call_id": call["id"], "output": f"21 {i}"}
                       for i, call in enumerate(calls)]
            path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
            made.append(finish(
                post(server.url, path, {"tool_outputs": outputs, "stream": stream}), stream))
            assert made[-1][0]["status"] == "completed"
            assert "21 0; 21 1" in made[-1][-1]["content"][0]["text"]["value"]
    half = len(made) // 2
    assert timeless(made[:half]) == timeless(made[half:])
    assert made[0][0]["status"] == status
    found = [part["type"] for item in made[0] if item["object"] == "thread.run.step"
             for part in item["step_details"].get("tool_calls", [])]
    found += [part["type"] for item in made[0] if item.get("role") == "assistant"
              for part in item["content"]]
    assert found == holds.split()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_things_of_the_local_server_move_through_their_states(client: OpenAI) -> None:
    def pass_through(fetch: Callable[[], Any], *expected: str) -> Any:
        """Fetch an object until it has the last of these statuses; it had no others before."""
        statuses: List[str] = []

        def ended() -> bool:
            raw = fetch()
            status = str(raw.parse().status)
            assert ("openai-poll-after-ms" in raw.headers) == (status != expected[-1])
            statuses.extend([] if status in statuses else [status])
            return status == expected[-1]

        wait_until(ended)
        assert set(statuses) <= set(expected)
        return fetch().parse()

    raw: Any = client.with_raw_response
    made = client.files.create(file=("a.txt", b"a whale"), purpose="assistants")
    empty = client.files.create(file=("b.txt", b""), purpose="assistants")
    assert made.status == "uploaded"
    pass_through(lambda: raw.files.retrieve(made.id), "uploaded", "processed")
    store = client.vector_stores.create()
    batch = client.vector_stores.file_batches.create(store.id, file_ids=[made.id, empty.id])
    batches, files = raw.vector_stores.file_batches, raw.vector_stores.files
    done = pass_through(
        lambda: batches.retrieve(batch.id, vector_store_id=store.id), "in_progress", "completed")
    counts = done.file_counts
    assert (counts.completed, counts.failed, counts.total) == (1, 1, 2)
    failed = pass_through(
        lambda: files.retrieve(empty.id, vector_store_id=store.id), "in_progress", "failed")
    assert failed.last_error.code == "invalid_file"
    for prompt, end in (("a whale", "completed"), ("please fail", "failed")):
        video = client.videos.create(prompt=prompt)
        assert video.status == "queued"
        pass_through(lambda: raw.videos.retrieve(video.id), "queued", "in_progress", end)
    answer = client.responses.create(model="m", input="please fail", background=True)
    answer = pass_through(
        lambda: raw.responses.retrieve(answer.id), "queued", "in_progress", "failed")
    assert answer.error is not None and answer.error.code == "server_error"


def record(**properties: Any) -> Dict[str, Any]:
    """The schema of an object in strict mode."""
    return {"type": "object", "properties": properties, "required": list(properties),
            "additionalProperties": False}


def defined(root: Dict[str, Any], **definitions: Any) -> Dict[str, Any]:
    return dict(root, **{"$defs": definitions})


def ref(name: str) -> Dict[str, Any]:
    return {"$ref": f"#/$defs/{name}"}


def listed(items: Any, **limits: int) -> Dict[str, Any]:
    return dict(limits, type="array", items=items)


TEXT = {"type": "string"}
KINDS_OF_JSON: Dict[str, Any] = {
    "object": dict, "array": list, "string": str, "integer": int, "number": (int, float),
    "boolean": bool, "null": type(None),
}


def fits(value: Any, schema: Any, root: Any) -> bool:
    """Whether a value obeys a schema, as far as the schemas of these tests go."""
    if "$ref" in schema:
        path = schema["$ref"].split("/")[1:]
        return fits(value, functools.reduce(lambda inner, name: inner[name], path, root), root)
    if "anyOf" in schema:
        return any(fits(value, option, root) for option in schema["anyOf"])
    if "const" in schema or "enum" in schema:
        return value in schema.get("enum", [schema.get("const")])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    if not any(isinstance(value, KINDS_OF_JSON[kind]) for kind in kinds):
        return False
    if isinstance(value, dict):
        known = schema["properties"]
        return set(schema["required"]) <= set(value) <= set(known) and all(
            fits(inner, known[name], root) for name, inner in value.items())
    if isinstance(value, list):
        return schema.get("minItems", 0) <= len(value) <= 2 and all(
            fits(inner, schema["items"], root) for inner in value)
    return re.fullmatch(schema.get("pattern", "(?s).*"), str(value)) is not None


def formatted(format: str, pattern: str) -> Dict[str, Any]:
    return {"type": "string", "format": format, "pattern": pattern}


@pytest.mark.parametrize("schema, expected", [
    (record(city=TEXT, days={"type": "integer"}, sure={"type": "boolean"}, km=NUMBER),
     {"city": "Oslo", "days": 3}),
    (record(unit={"enum": ["C", "F"]}, kind={"const": 7}, why=NULL),
     {"unit": "C", "kind": 7, "why": None}),
    (record(unit={"enum": ["C", "whale"]}), {"unit": "whale"}),  # the text mentions it
    (record(a={"anyOf": [NULL, NUMBER, TEXT]}, b={"type": ["null", "integer"]}), {}),
    (record(steps=listed(record(text=TEXT, tags=listed(TEXT))), two=listed(NUMBER, minItems=2)),
     {}),
    (PERSON, {}),
    (defined(record(head=ref("node")), node=record(next={"anyOf": [ref("node"), NULL]})),
     {"head": {"next": {"next": None}}}),
    (defined(record(root=ref("tree")), tree=record(children=listed(ref("tree")))), {}),
    (defined(record(e=ref("expr")), expr={"anyOf": [ref("sum"), ref("leaf")]},
             leaf=record(n=NUMBER), sum=record(left=ref("expr"), right=ref("expr"))), {}),
    (record(at=formatted("date-time", r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
            day=formatted("date", r"\d{4}-\d\d-\d\d"), time=formatted("time", r"[\d:]{8}Z"),
            id=formatted("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")), {}),
])
def test_the_local_server_answers_and_calls_with_values_that_fit_the_schema(
    schema: Dict[str, Any], expected: Dict[str, Any], client: OpenAI
) -> None:
    said: Any = "A whale, please. The city is Oslo, days: 3"
    named = {"name": "x", "schema": schema, "strict": True}
    tool: Any = {"type": "function", "name": "f", "parameters": schema, "strict": True}
    format: Any = {"type": "json_schema", "json_schema": named}
    flat: Any = {"format": dict(named, type="json_schema")}
    chat = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": said}], response_format=format)
    response = client.responses.create(model="m", input=said, text=flat)
    called: Any = client.responses.create(
        model="m", input=said, tools=[tool], tool_choice="required").output[0]
    for text in (chat.choices[0].message.content, response.output_text, called.arguments):
        value = json.loads(text or "")
        assert fits(value, schema, schema), value
        assert dict(value, **expected) == value


@pytest.mark.parametrize("schema, message", [
    ({"type": "object", "properties": {}},
     "In context=(), 'additionalProperties' is required to be supplied and to be false."),
    (record(a={"type": "object"}),
     "In context=('properties', 'a'), 'additionalProperties' is required to be supplied and to be"),
    (dict(record(a=TEXT, b=TEXT), required=["a"]),
     "In context=(), 'required' is required to be supplied and to be an array including every key "
     "in properties. Missing 'b'."),
    (defined(record(), node=record(x={"oneOf": [TEXT]})),
     "In context=('$defs', 'node', 'properties', 'x'), 'oneOf' is not permitted."),
    (record(a={"anyOf": [NULL, listed({"type": "object"})]}),
     "In context=('properties', 'a', 'anyOf', '1', 'items'), 'additionalProperties' is required"),
    (defined(record(a=dict(ref("b"), title="B", description="")), b=record()),
     "In context=('properties', 'a'), $ref cannot have keywords {'description', 'title'}."),
    ({"type": "array"},
     "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'."),
])
def test_the_local_server_refuses_schemas_that_strict_mode_does_not_take(
    schema: Dict[str, Any], message: str, client: OpenAI
) -> None:
    create: Any = client.chat.completions.create
    respond: Any = client.responses.create
    for strict in (True, False):
        named = {"name": "x", "schema": schema, "strict": strict}
        function = {"name": "f", "parameters": schema, "strict": strict}
        format = {"type": "json_schema", "json_schema": named}
        cases: List[Tuple[Callable[[], Any], str, str, Optional[str]]] = [
            (lambda: create(model="m", messages=HI, response_format=format),
             "response_format 'x'", "response_format", None),
            (lambda: respond(model="m", input="Hi", text={"format": dict(
                named, type="json_schema")}),
             "response_format 'x'", "text.format.schema", "invalid_json_schema"),
            (lambda: respond(model="m", input="Hi", tools=[dict(function, type="function")]),
             "function 'f'", "tools[0].parameters", "invalid_function_parameters"),
            (lambda: create(model="m", messages=HI, tools=[
                {"type": "function", "function": function}]),
             "function 'f'", "tools[0].function.parameters", "invalid_function_parameters"),
        ]
        for attempt, what, param, code in cases:
            if not strict:
                attempt()
                continue
            with pytest.raises(openai.BadRequestError) as caught:
                attempt()
            assert f"Invalid schema for {what}: {message}" in str(caught.value)
            assert (caught.value.param, caught.value.code) == (param, code)


def test_the_local_server_refuses_calls_and_quotes_when_the_text_says_so(client: OpenAI) -> None:
    def ask(said: str, **options: Any) -> Any:
        given: Any = dict({"messages": [{"role": "user", "content": said}]}, **options)
        return client.chat.completions.create(model="m", **given).choices[0].message

    refused = ask("Please refuse", tools=TOOLS, tool_choice="required")
    assert refused.content is None and not refused.tool_calls and "can't help" in refused.refusal
    calls = ask("How is the weather? city is Oslo", tools=TOOLS).tool_calls
    assert [call.function.name for call in calls] == ["get_weather"]
    assert json.loads(calls[0].function.arguments) == {"city": "Oslo"}
    assert [call.function.name for call in ask(BOTH_TOOLS, tools=TOOLS).tool_calls] == [
        "get_weather", "find_hotel"]
    assert ask("Hello", tools=TOOLS).tool_calls is None
    assert "21 \u00b0C, {clear}" in ask("", messages=TOOL_RESULT, tools=TOOLS).content


def test_batches_of_the_local_server_really_run(client: OpenAI) -> None:
    lines = [
        {"custom_id": str(i), "method": "POST", "url": "/v1/chat/completions",
         "body": {"model": model, "messages": HI}}
        for i, model in enumerate(["m", "no-such-model"])
    ]
    data = "\n".join(map(json.dumps, lines)).encode()
    file = client.files.create(file=("requests.jsonl", data), purpose="batch")
    batch = client.batches.create(
        completion_window="24h", endpoint="/v1/chat/completions", input_file_id=file.id
    )
    found: List[openai.Batch] = [batch]

    def finished() -> bool:
        found.append(client.batches.retrieve(batch.id))
        return found[-1].status == "completed"

    wait_until(finished)
    done = found[-1]
    assert done.request_counts is not None and done.output_file_id and done.error_file_id
    assert (done.request_counts.completed, done.request_counts.failed) == (1, 1)
    answers = [json.loads(line) for line in client.files.content(done.output_file_id).iter_lines()]
    direct = client.chat.completions.create(model="m", messages=HI)
    text = answers[0]["response"]["body"]["choices"][0]["message"]["content"]
    assert text == direct.choices[0].message.content
    assert batch.id in [each.id for each in client.batches.list(limit=1)]


def test_embeddings_of_related_texts_are_close(client: OpenAI) -> None:
    texts = ["the cat sat on the mat", "a cat on a mat", "quarterly tax returns"]
    rows = [item.embedding for item in client.embeddings.create(model="m", input=texts).data]
    close, far = [sum(a * b for a, b in zip(rows[0], row)) for row in rows[1:]]
    assert close > far and abs(sum(x * x for x in rows[0]) - 1) < 1e-5


def test_the_local_server_as_a_program(tmp_path: pathlib.Path) -> None:
    command = [sys.executable, "-u", str(HERE / "examples" / "local_server.py"), "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, universal_newlines=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            url = re.search(r"http://\S+/v1", process.stdout.readline() + process.stdout.readline())
            assert url
            with OpenAI(api_key=KEY, base_url=url.group()) as client:
                client.models.list()
        finally:
            process.terminate()
        output = process.communicate(timeout=30)
    assert process.returncode == 0
    assert "/v1/models" in output[1] and KEY not in output[0] + output[1]


def test_the_benchmark_measures_this_client() -> None:
    done = python(
        "examples/benchmark.py", "run", "import", "openai_lite", "http://127.0.0.1:9",
        PYTHONPATH=str(HERE),
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["cpu"] > 0


README = (HERE / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.M | re.S)


def test_every_python_block_of_the_readme_runs(server: Any, tmp_path: pathlib.Path) -> None:
    """In the order of the page, in one program, against the local server."""
    program = "".join(code + "\n" for language, code in BLOCKS if language == "python")
    assert program.count("\n") > 150
    (tmp_path / "openai_lite.py").write_text(SOURCE, encoding="utf-8")
    (tmp_path / "readme.py").write_text(program, encoding="utf-8")
    azure = server.url[: -len("/v1")]
    done = python(
        "-W", "error", "readme.py", cwd=tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url,
        AZURE_OPENAI_ENDPOINT=azure, AZURE_OPENAI_API_KEY=KEY,
    )
    assert done.returncode == 0, done.stderr


OFFICIAL_PROGRAM = '''
import asyncio, os
from pathlib import Path
import openai
from openai import AsyncOpenAI, AzureOpenAI, DefaultHttpxClient, OpenAI, httpx

client = OpenAI(api_key=os.environ.get("OPENAI_API_KEY"))
completion = client.chat.completions.create(
    messages=[{"role": "user", "content": "Say this is a test"}], model="gpt-3.5-turbo",
)
print(completion.choices[0].message.content)
stream = client.chat.completions.create(
    model="gpt-4", messages=[{"role": "user", "content": "Say this is a test"}], stream=True,
)
for chunk in stream:
    print(chunk.choices[0].delta.content or "", end="")

async def main():
    client = AsyncOpenAI()
    await client.chat.completions.create(
        messages=[{"role": "user", "content": "Say this is a test"}], model="gpt-3.5-turbo",
    )
    stream = await client.chat.completions.create(
        model="gpt-4", messages=[{"role": "user", "content": "Say this is a test"}], stream=True,
    )
    async for chunk in stream:
        print(chunk.choices[0].delta.content or "", end="")

asyncio.run(main())
openai.api_key = "sk-module"
openai.chat.completions.create(model="gpt-4", messages=[{"role": "user", "content": "How?"}])
client.chat.completions.create(
    messages=[{"role": "user", "content": "Can you generate an example json object?"}],
    model="gpt-3.5-turbo-1106", response_format={"type": "json_object"},
)
Path("input.jsonl").write_text("{}")
client.files.create(file=Path("input.jsonl"), purpose="fine-tune")
try:
    client.files.retrieve("file-abc123")
except openai.APIConnectionError as e:
    print("The server could not be reached", e.__cause__)
except openai.RateLimitError as e:
    print("A 429 status code was received; we should back off a bit.")
except openai.APIStatusError as e:
    print(e.status_code, e.response)
client = OpenAI(max_retries=0, timeout=20.0)
client.with_options(max_retries=5, timeout=5.0).models.list()
response = client.post("/moderations", cast_to=httpx.Response, body={"input": "x"})
print(response.headers.get("x-request-id"))
OpenAI(
    base_url="http://my.test.server.example.com:8083",
    http_client=DefaultHttpxClient(
        proxies="http://my.test.proxy.example.com",
        transport=httpx.HTTPTransport(local_address="0.0.0.0"),
    ),
)
client.close()
azure = AzureOpenAI(api_version="2023-07-01-preview", azure_endpoint=os.environ["MY_ENDPOINT"])
completion = azure.chat.completions.create(
    model="deployment-name", messages=[{"role": "user", "content": "How?"}],
)
print(completion.to_json())
'''


def test_a_program_for_the_official_package_runs_when_its_imports_find_this_file(
    server: Any, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "openai.py").write_text(SOURCE, encoding="utf-8")
    done = python(
        "-c", OFFICIAL_PROGRAM, cwd=tmp_path, OPENAI_API_KEY=KEY, OPENAI_BASE_URL=server.url,
        MY_ENDPOINT=server.url[: -len("/v1")], AZURE_OPENAI_API_KEY=KEY,
    )
    assert done.returncode == 0, done.stderr
    assert "404 <HTTPResponse [404 Not Found]>" in done.stdout and "req_" in done.stdout


def test_every_promise_of_the_readme_names_its_test() -> None:
    text = (HERE / "README.md").read_text(encoding="utf-8")
    section = text.partition("## What happens when")[2].partition("\n## ")[0]
    rows = [line.split("|")[1:-1] for line in section.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 15
    for situation, promise, test in rows:
        name = re.match(r" \[`(test_\w+)`\]\(test_openai_lite\.py\) \Z", test)
        assert situation.strip() and promise.strip() and name, test
        assert callable(globals().get(name.group(1))), name.group(1)


def test_every_shell_block_of_the_readme_is_run() -> None:
    commands = [code.strip() for language, code in BLOCKS if language == "sh"]
    assert commands == [
        "python3 examples/quickstart.py",  # run by the tests above
        "python3 test_openai_lite.py",  # runs this
        "OPENAI_LOG=info python3 examples/quickstart.py",
    ]
    assert commands[1] in (HERE / ".ci" / "run").read_text(encoding="utf-8")
    logged = python("examples/quickstart.py", OPENAI_LOG="info")
    assert "HTTP Response: POST" in logged.stderr and logged.returncode == 0
    assert {language for language, _ in BLOCKS} == {"python", "sh", "bash", "text"}
    shown = [code for language, code in BLOCKS if language == "text"]
    assert all(textwrap.indent(code, "    ") in (openai.__doc__ or "") for code in shown)


def test_every_link_within_the_readme_leads_somewhere() -> None:
    titles = re.findall(r"^#+ (.*)$", re.sub(r"^```.*?^```$", "", README, flags=re.M | re.S), re.M)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for target in re.findall(r"\]\(([^)]+)\)", README):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("https://"):
            assert (HERE / target).exists(), target
