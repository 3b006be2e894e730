# SPDX-License-Identifier: MIT
"""Tests of openai_lite, from the outside: real sockets on loopback, real files, real processes.

They stand under the banners of the module.  Replaced are only clock, sleep and randomness.
"""

from __future__ import annotations

import ast
import asyncio
import base64
import contextlib
import copy
import dataclasses
import datetime
import email
import gc
import gzip
import http.client
import io
import json
import logging
import os
import pathlib
import pickle
import re
import socket
import ssl
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple, Union

import pytest

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE / "examples"))

import openai_lite as openai  # noqa: E402
from openai_lite import AsyncOpenAI, OpenAI  # noqa: E402

KEY = "sk-test-0123456789abcdef"

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

    def __init__(self, *answers: Answer, tls: Optional[ssl.SSLContext] = None) -> None:
        self.answers = list(answers)
        self.requests: List[Tuple[str, bytes]] = []
        self.connections = 0
        self.tls = tls
        self.lock = threading.Lock()
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(128)
        self.port = self.listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}/v1"
        self.thread = threading.Thread(target=self.accept, daemon=True)

    def __enter__(self) -> RawServer:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def accept(self) -> None:
        while True:
            try:
                conn, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.serve, args=(conn,), daemon=True).start()

    def serve(self, conn: socket.socket) -> None:
        with contextlib.suppress(OSError), conn:
            if self.tls:
                conn = self.tls.wrap_socket(conn, server_side=True)
            file = conn.makefile("rb")
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
    lines = []
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
    return OpenAI(**dict({"base_url": server.url, "api_key": KEY, "max_retries": 0}, **options))


def async_client_of(server: Any, **options: Any) -> AsyncOpenAI:
    return AsyncOpenAI(
        **dict({"base_url": server.url, "api_key": KEY, "max_retries": 0}, **options)
    )


def python(*args: str, cwd: Any = HERE, **environ: str) -> "subprocess.CompletedProcess[str]":
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
        stdin=subprocess.DEVNULL,
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


########################################################################
## 1. Compatibility
########################################################################


########################################################################
## 2. Wire formats
########################################################################

# ---- 2.1 Server-sent events ----

# ---- 2.2 JSON ----

# ---- 2.3 Query strings and paths ----

# ---- 2.4 Multipart forms ----

# ---- 2.5 Headers ----

########################################################################
## 3. Errors
########################################################################


########################################################################
## 4. Transport
########################################################################

# ---- 4.1 Limits ----

# ---- 4.2 Requests ----

# ---- 4.3 Responses ----

# ---- 4.4 Connections ----

# ---- 4.5 The transport ----

# ---- 4.6 When to try again ----

# ---- 4.7 Logging ----

########################################################################
## 5. Results
########################################################################

# ---- 5.1 Objects ----

# ---- 5.2 Decoding ----

# ---- 5.3 Pages ----

# ---- 5.4 Streams ----

# ---- 5.5 Binary results ----

# ---- 5.6 Raw and streaming views of a response ----

########################################################################
## 6. Endpoints
########################################################################


########################################################################
## 7. Clients
########################################################################

# ---- 7.1 What both clients share ----

# ---- 7.2 OpenAI ----

# ---- 7.3 AsyncOpenAI ----

########################################################################
## 8. Resources
########################################################################


########################################################################
## 9. Providers
########################################################################


########################################################################
## 10. Module-level client
########################################################################


########################################################################
## The project: types, examples, documentation, structure of the file
########################################################################
