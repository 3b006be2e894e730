# SPDX-License-Identifier: MIT
"""Measure openai_lite beside the official package and beside the least that Python can do.

    python3 examples/benchmark.py            # 4 to 6 minutes
    python3 examples/benchmark.py --quick    # a minute and a half: two rounds, smaller jobs
    python3 examples/benchmark.py --only chat-stream --only call --rounds 9

Three contenders do the same work against a server on this machine:

- limit: a hand-written script on http.client and json (async: on asyncio's streams), with no
  types, errors or retries
- official: the package `openai`, of the version named below
- openai_lite: the file beside this folder

The official package is installed once, into a virtual environment of its own in the user's cache
(XDG_CACHE_HOME or ~/.cache, LOCALAPPDATA on Windows; folder openai_lite_benchmark), and nowhere
else; delete the folder when you like.  Where it cannot be installed its column says n/a.

Each run is a fresh process, and all contenders run under the Python that runs this script, with -S,
so that what else is installed there (.pth files run at each start) costs none of them.  They take
turns, round after round, and the table shows the median.  The exceptions to a warm cache of
compiled files are the lines that say so; a zip with the source has none either.  CPU is the whole
process's, user and system; "resident" is its peak.  The server answers with bytes made beforehand,
from threads of a process of its own.  Only the ratios carry over to another machine, and they waver
by some per cent when this one is busy with other things: a report, not a test.
"""

from __future__ import annotations

import os
import sys
import time

# A measured process is this module too: whatever it imports here, each contender would pay for.
TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from typing import Any, AsyncIterator, Callable, Dict, Iterator, List, Optional, Tuple

    Figures = Dict[str, float]  # "cpu" and "wall" in seconds, "rss" in MB

OFFICIAL = "3.54.0"
CONTENDERS = ("limit", "official", "openai_lite")
SCALE = int(os.environ.get("BENCHMARK_SCALE", "1"))  # --quick divides the larger jobs by it

CALLS = 2000 // SCALE
EVENTS = 20000 // SCALE
PAGES = 200 // SCALE
MEGABYTES = 512 // SCALE
VECTORS = 2048 // SCALE
TOKENS = 40 // SCALE
MODEL = "gpt-4o-mini"
PROMPT = "Say this is a test"
MESSAGES = [{"role": "user", "content": PROMPT}]
TEXTS = ["text %d" % i for i in range(VECTORS)]

########################################################################
## The contenders
########################################################################


class Package:
    """Either package, through one of its clients; of the async one, calls are awaited."""

    def __init__(self, contender: str, url: str, name: str = "OpenAI") -> None:
        module: Any = __import__("openai" if contender == "official" else "openai_lite")
        self.api = getattr(module, name)(api_key="sk-0", base_url=url + "/v1", max_retries=0)

    def call(self) -> Any:
        return self.api.chat.completions.create(model=MODEL, messages=MESSAGES)

    def chat_stream(self) -> Any:
        return self.api.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)

    def responses_stream(self) -> Any:
        return self.api.responses.create(model=MODEL, input=PROMPT, stream=True)

    def embed(self) -> Any:
        return self.api.embeddings.create(model="text-embedding-3-small", input=TEXTS)

    def embed_as_floats(self) -> Any:
        return self.api.embeddings.create(
            model="text-embedding-3-small", input=TEXTS, encoding_format="float"
        )

    def files(self) -> Any:
        return self.api.files.list(limit=1000)

    def all_files(self) -> Any:
        return self.api.files.list(limit=100)

    def upload(self, path: str) -> Any:
        import pathlib

        return self.api.files.create(file=pathlib.Path(path), purpose="user_data")

    def download(self) -> Any:
        return self.api.files.content("file-1").content

    def download_to(self, path: str) -> None:
        with self.api.files.with_streaming_response.content("file-1") as response:
            response.stream_to_file(path)


class Limit:
    """What a script without any package would do."""

    def __init__(self, url: str) -> None:
        import http.client

        scheme, _, rest = url.partition("://")
        host, _, path = rest.partition("/")
        self.path = "/" + path + "/v1/"
        self.headers = {"Authorization": "Bearer sk-0", "Content-Type": "application/json"}
        if scheme == "https":
            self.connection: http.client.HTTPConnection = http.client.HTTPSConnection(host)
        else:
            self.connection = http.client.HTTPConnection(host)

    def send(self, method: str, path: str, body: Any = None) -> Any:
        import json

        text = None if body is None else json.dumps(body)
        self.connection.request(method, self.path + path, text, self.headers)
        return self.connection.getresponse()

    def json(self, method: str, path: str, body: Any = None) -> Any:
        import json

        return json.loads(self.send(method, path, body).read())

    def call(self) -> Any:
        return self.json("POST", "chat/completions", {"model": MODEL, "messages": MESSAGES})

    def events(self, path: str, body: Any) -> Iterator[Any]:
        import json

        response = self.send("POST", path, body)
        rest = b""
        while True:
            block = response.read1(65536)
            if not block:
                return
            *events, rest = (rest + block).split(b"\n\n")
            for event in events:
                data = event[event.index(b"data: ") + 6 :]
                if data != b"[DONE]":
                    yield json.loads(data)

    def chat_stream(self) -> Iterator[Any]:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        return self.events("chat/completions", body)

    def responses_stream(self) -> Iterator[Any]:
        return self.events("responses", {"model": MODEL, "input": PROMPT, "stream": True})

    def embed(self) -> Any:
        import array
        import base64

        body = {"model": "text-embedding-3-small", "input": TEXTS, "encoding_format": "base64"}
        answer = self.json("POST", "embeddings", body)
        for item in answer["data"]:
            item["embedding"] = array.array("f", base64.b64decode(item["embedding"])).tolist()
        return answer

    def embed_as_floats(self) -> Any:
        body = {"model": "text-embedding-3-small", "input": TEXTS, "encoding_format": "float"}
        return self.json("POST", "embeddings", body)

    def files(self) -> Any:
        return self.json("GET", "files?limit=1000")["data"]

    def all_files(self) -> Iterator[Any]:
        after = ""
        while True:
            page = self.json("GET", "files?limit=100" + after)
            yield from page["data"]
            if not page["has_more"]:
                return
            after = "&after=" + page["data"][-1]["id"]

    def upload(self, path: str) -> Any:
        import json

        start = (
            b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n--b\r\n'
            b'Content-Disposition: form-data; name="file"; filename="upload"\r\n'
            b"Content-Type: application/octet-stream\r\n\r\n"
        )
        end = b"\r\n--b--\r\n"
        connection = self.connection
        connection.putrequest("POST", self.path + "files")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", str(len(start) + os.path.getsize(path) + len(end)))
        connection.endheaders(start)
        with open(path, "rb") as file:
            for block in iter(lambda: file.read(262144), b""):
                connection.send(block)
        connection.send(end)
        return json.loads(connection.getresponse().read())

    def download(self) -> Any:
        return self.send("GET", "files/file-1/content").read()

    def download_to(self, path: str) -> None:
        import shutil

        with open(path, "wb") as target:
            shutil.copyfileobj(self.send("GET", "files/file-1/content"), target, 262144)


class AsyncLimit:
    """The same on asyncio's streams, as far as it is measured."""

    def __init__(self, url: str) -> None:
        host, _, path = url.partition("://")[2].partition("/")
        self.host, _, self.port = host.partition(":")
        self.start = "/" + path + "/v1/%s HTTP/1.1\r\nHost: " + host
        self.idle: List[Any] = []

    async def send(self, path: str, body: Any) -> Any:
        import asyncio
        import json

        text = json.dumps(body).encode()
        if self.idle:
            reader, writer = self.idle.pop()
        else:
            reader, writer = await asyncio.open_connection(self.host, int(self.port), limit=1 << 20)
        writer.write(
            b"POST %s\r\nAuthorization: Bearer sk-0\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%s" % ((self.start % path).encode(), len(text), text)
        )
        head = await reader.readuntil(b"\r\n\r\n")
        return reader, writer, head.lower()

    async def call(self) -> Any:
        import json

        body = {"model": MODEL, "messages": MESSAGES}
        reader, writer, head = await self.send("chat/completions", body)
        length = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        text = await reader.readexactly(length)
        self.idle.append((reader, writer))
        return json.loads(text)

    async def events(self, path: str, body: Any) -> AsyncIterator[Any]:
        import json

        reader, writer, _ = await self.send(path, body)
        rest = b""
        while True:
            size = int(await reader.readline(), 16)
            block = await reader.readexactly(size + 2)
            if not size:
                break
            *events, rest = (rest + block[:-2]).split(b"\n\n")
            for event in events:
                data = event[event.index(b"data: ") + 6 :]
                if data != b"[DONE]":
                    yield json.loads(data)
        self.idle.append((reader, writer))

    async def chat_stream(self) -> Any:
        body = {"model": MODEL, "messages": MESSAGES, "stream": True}
        return self.events("chat/completions", body)

    async def responses_stream(self) -> Any:
        return self.events("responses", {"model": MODEL, "input": PROMPT, "stream": True})


def sync_client(contender: str, url: str) -> Any:
    return Limit(url) if contender == "limit" else Package(contender, url)


def async_client(contender: str, url: str) -> Any:
    return AsyncLimit(url) if contender == "limit" else Package(contender, url, "AsyncOpenAI")


########################################################################
## The measured process: what is done, and what of it is measured
########################################################################


def timed(work: Callable[[], Any], count: int = 1) -> Figures:
    """CPU and wall seconds of each of the `count` things that `work` does."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return {"cpu": cpu / count, "wall": wall / count}


def loaded(contender: str, url: str) -> Figures:
    def work() -> None:
        sync_client(contender, url)
        if contender == "limit":
            __import__("json")  # which it needs later; a package loads it when it wants to

    return timed(work)


def first_answer(contender: str, url: str) -> Figures:
    sync_client(contender, url + "/answer").call()
    return {}  # the parent has the time


def first_async_answer(contender: str, url: str) -> Figures:
    import asyncio

    asyncio.run(async_client(contender, url + "/answer").call())
    return {}


def calls(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/answer")
    client.call()
    return timed(lambda: [client.call() for _ in range(CALLS)], CALLS)


def async_calls(contender: str, url: str) -> Figures:
    import asyncio

    async def work() -> Figures:
        client = async_client(contender, url + "/answer")
        await client.call()
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(CALLS):
            await client.call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"cpu": cpu / CALLS, "wall": wall / CALLS}

    return asyncio.run(work())


def stream(name: str) -> Callable[[str, str], Figures]:
    def work(contender: str, url: str) -> Figures:
        url += "/" + name.replace("_", "-")
        assert sum(1 for _ in getattr(sync_client(contender, url + "-short"), name)()) == 3
        start = getattr(sync_client(contender, url), name)
        events: List[int] = []
        figures = timed(lambda: events.append(sum(1 for _ in start())), EVENTS)
        assert events == [EVENTS], events
        return figures

    return work


def async_stream(name: str) -> Callable[[str, str], Figures]:
    def work(contender: str, url: str) -> Figures:
        import asyncio

        url += "/" + name.replace("_", "-")

        async def read(client: Any) -> int:
            count = 0
            async for _ in await getattr(client, name)():
                count += 1
            return count

        assert asyncio.run(read(async_client(contender, url + "-short"))) == 3
        client = async_client(contender, url)
        events: List[int] = []
        figures = timed(lambda: events.append(asyncio.run(read(client))), EVENTS)
        assert events == [EVENTS], events
        return figures

    return work


def first_token(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/chat-stream-short")
    times = []
    for _ in range(200):
        start = time.perf_counter()
        events = iter(client.chat_stream())
        next(events)
        times.append(time.perf_counter() - start)
        assert sum(1 for _ in events) == 2
    return {"wall": sorted(times)[100]}


def first_async_token(contender: str, url: str) -> Figures:
    import asyncio

    async def work() -> Figures:
        client = async_client(contender, url + "/chat-stream-short")
        times = []
        for _ in range(200):
            start = time.perf_counter()
            events = (await client.chat_stream()).__aiter__()
            await events.__anext__()
            times.append(time.perf_counter() - start)
            async for _ in events:
                pass
        return {"wall": sorted(times)[100]}

    return asyncio.run(work())


def at_once(count: int) -> Callable[[str, str], Figures]:
    def work(contender: str, url: str) -> Figures:
        import asyncio

        allow_many_files()

        async def gather() -> None:
            client = async_client(contender, url + "/slow")
            await asyncio.gather(*[client.call() for _ in range(count)])

        figures = timed(lambda: asyncio.run(gather()))
        figures["wall"] -= 0.5
        return figures

    return work


def paced_streams(contender: str, url: str) -> Figures:
    """How long after it was sent the 99th of 100 tokens is there, once all streams are open."""
    import asyncio

    allow_many_files()
    delays: List[float] = []

    async def read(client: Any) -> None:
        count = 0
        async for event in await client.chat_stream():
            sent = event["id"] if contender == "limit" else event.id
            count += 1
            if count > TOKENS // 4:  # opening them is measured by the lines above
                delays.append(time.time() - float(sent))

    async def gather() -> None:
        client = async_client(contender, url + "/paced")
        await asyncio.gather(*[read(client) for _ in range(200)])

    figures = timed(lambda: asyncio.run(gather()))
    assert len(delays) == 200 * (TOKENS - TOKENS // 4), len(delays)
    figures["wall"] = sorted(delays)[len(delays) * 99 // 100]
    return figures


def upload(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/answer")
    return timed(lambda: client.upload("upload"))


def download(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/large")
    size = []
    figures = timed(lambda: size.append(len(client.download())))
    assert size == [MEGABYTES << 20], size
    return figures


def download_to_file(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/large")
    return timed(lambda: client.download_to(os.devnull))  # a disk would be most of it


def embeddings(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/embeddings")
    return timed(lambda: [client.embed() for _ in range(2)], 2)


def embeddings_as_floats(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/embeddings-floats")
    return timed(client.embed_as_floats)


def file_list(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/files")
    client.files()
    return timed(lambda: [client.files() for _ in range(20)], 20)


def pages(contender: str, url: str) -> Figures:
    client = sync_client(contender, url + "/pages")
    client.files()
    items: List[int] = []
    figures = timed(lambda: items.append(sum(1 for _ in client.all_files())), PAGES * 100)
    assert items == [PAGES * 100], items
    return figures


def threads(contender: str, url: str) -> Figures:
    import threading

    shared = sync_client(contender, url + "/answer")
    shared.call()
    done: List[int] = []
    end = time.perf_counter() + 2

    def work() -> None:
        client = sync_client(contender, url + "/answer") if contender == "limit" else shared
        count = 0
        while time.perf_counter() < end:
            client.call()
            count += 1
        done.append(count)

    started = time.perf_counter()
    workers = [threading.Thread(target=work) for _ in range(64)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return {"wall": (time.perf_counter() - started) / sum(done)}


MEASURES: Dict[str, Callable[[str, str], Figures]] = {
    "import": loaded,
    "import-uncompiled": loaded,
    "first-answer": first_answer,
    "first-answer-https": first_answer,
    "first-answer-async": first_async_answer,
    "first-answer-zip": first_answer,
    "first-answer-zip-source": first_answer,
    "call": calls,
    "call-https": calls,
    "call-async": async_calls,
    "chat-stream": stream("chat_stream"),
    "chat-stream-async": async_stream("chat_stream"),
    "responses-stream": stream("responses_stream"),
    "responses-stream-async": async_stream("responses_stream"),
    "first-token": first_token,
    "first-token-async": first_async_token,
    "at-once-200": at_once(200),
    "at-once-1000": at_once(1000),
    "streams-200": paced_streams,
    "upload": upload,
    "download": download,
    "download-to-file": download_to_file,
    "embeddings": embeddings,
    "embeddings-floats": embeddings_as_floats,
    "file-list": file_list,
    "pages": pages,
    "threads": threads,
}


def peak_memory() -> float:
    """The process's peak resident size in MB."""
    try:
        # Linux: getrusage would count the parent's pages too, which a new process starts from.
        with open("/proc/self/status") as file:
            return next(int(line.split()[1]) for line in file if line[:6] == "VmHWM:") / 1024
    except (OSError, StopIteration):
        pass
    try:
        import resource
    except ImportError:  # Windows
        return float("nan")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)  # bytes there, else KB


def allow_many_files() -> None:
    try:
        import resource
    except ImportError:
        return
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limits[1], 8192), limits[1]))


def run(measure: str, contender: str, url: str) -> None:
    """Do one measure once and print its figures as a line of JSON."""
    figures = MEASURES[measure](contender, url)
    figures["rss"] = peak_memory()
    import json

    print(json.dumps(figures), flush=True)
    os._exit(0)  # what a client does at exit is not measured, so let nobody wait for it


########################################################################
## The server: each first segment of a path has its answer, ready as bytes
########################################################################

HEADERS = (
    "date: Thu, 01 Jan 2026 00:00:00 GMT|connection: keep-alive|openai-version: 2020-10-01|"
    "openai-organization: user-0|openai-project: proj_0|openai-processing-ms: 321|server: none|"
    "x-envoy-upstream-service-time: 322|x-ratelimit-limit-requests: 10000|cf-ray: 9a0b-FRA|"
    "x-ratelimit-limit-tokens: 2000000|x-ratelimit-remaining-requests: 9999|"
    "x-ratelimit-remaining-tokens: 1999993|x-ratelimit-reset-requests: 6ms|alt-svc: h3=\":443\"|"
    "x-ratelimit-reset-tokens: 0s|x-request-id: req_0123456789abcdef|cf-cache-status: DYNAMIC|"
    "strict-transport-security: max-age=31536000; includeSubDomains|x-content-type-options: nosniff"
).replace("|", "\r\n")


def answer_bytes(body: bytes, length: int = 0, kind: str = "application/json") -> bytes:
    head = "HTTP/1.1 200 OK\r\n%s\r\ncontent-type: %s\r\ncontent-length: %d\r\n\r\n"
    return (head % (HEADERS, kind, length or len(body))).encode() + body


def stream_bytes(events: List[str]) -> bytes:
    """An event per chunk, as the API sends them; the socket gets them all in one write."""
    head = "HTTP/1.1 200 OK\r\n%s\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    chunks = ["%x\r\n%s\n\n\r\n" % (len(event) + 2, event) for event in events]
    head = head % HEADERS + "transfer-encoding: chunked\r\n\r\n"
    return (head + "".join(chunks) + "0\r\n\r\n").encode()


def chat_events(count: int) -> List[str]:
    event = (
        'data: {"id":"chatcmpl-CsXa0123456789abcdefghijklmnop","object":"chat.completion.chunk",'
        '"created":1767225600,"model":"gpt-4o-mini-2024-07-18","system_fingerprint":"fp_0123456789"'
        ',"choices":[{"index":0,"delta":{"content":" word%d"},"logprobs":null,"finish_reason":null}'
        "]}"
    )
    return [event % i for i in range(count)] + ["data: [DONE]"]


def responses_events(count: int) -> List[str]:
    event = (
        'event: response.output_text.delta\ndata: {"type":"response.output_text.delta",'
        '"sequence_number":%d,"item_id":"msg_0123456789abcdef0123456789abcdef0123456789abcdef01",'
        '"output_index":0,"content_index":0,"delta":" word%d","logprobs":[],"obfuscation":"x0y1z"}'
    )
    return [event % (i, i) for i in range(count)]


def file_page(first: int, count: int, more: bool) -> bytes:
    import json

    data = [
        {"id": "file-%d" % i, "object": "file", "bytes": 120000 + i, "created_at": 1767225600 + i,
         "expires_at": None, "filename": "notes-%d.jsonl" % i, "purpose": "user_data",
         "status": "processed", "status_details": None}
        for i in range(first, first + count)
    ]  # fmt: skip
    ids = {"first_id": data[0]["id"], "last_id": data[-1]["id"]}
    page = dict(ids, object="list", data=data, has_more=more)
    return answer_bytes(json.dumps(page).encode())


def embeddings_page(as_floats: bool) -> bytes:
    import array
    import base64
    import json
    import random

    vectors = [array.array("f", [random.uniform(-1, 1) for _ in range(1536)]) for _ in range(16)]
    if as_floats:
        texts = [json.dumps([round(x, 8) for x in vector]) for vector in vectors]
    else:
        texts = ['"%s"' % base64.b64encode(vector.tobytes()).decode() for vector in vectors]
    item = '{"object":"embedding","index":%d,"embedding":%s}'
    page = '{"object":"list","model":"text-embedding-3-small","usage":%s,"data":[%s]}' % (
        '{"prompt_tokens":8,"total_tokens":8}',
        ",".join(item % (i, texts[i % 16]) for i in range(VECTORS)),
    )
    return answer_bytes(page.encode())


def serve(certificate: str) -> None:
    """Print the ports for http and https, then answer until standard input ends."""
    import asyncio
    import itertools
    import re
    import socket
    import threading

    allow_many_files()
    answer = answer_bytes(
        b'{"id":"chatcmpl-CsXa0123456789abcdefghijklmnop","object":"chat.completion","created":'
        b'1767225600,"model":"gpt-4o-mini-2024-07-18","choices":[{"index":0,"message":{"role":'
        b'"assistant","content":"This is a test.","refusal":null,"annotations":[]},"logprobs":null,'
        b'"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":5,"total_tokens"'
        b':17,"prompt_tokens_details":{"cached_tokens":0,"audio_tokens":0},'
        b'"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}},'
        b'"service_tier":"default","system_fingerprint":"fp_0123456789"}'
    )
    block = bytes(1 << 20)
    answers: Dict[bytes, List[bytes]] = {
        b"answer": [answer],
        b"chat-stream": [stream_bytes(chat_events(EVENTS))],
        b"responses-stream": [stream_bytes(responses_events(EVENTS))],
        b"chat-stream-short": [stream_bytes(chat_events(3))],
        b"responses-stream-short": [stream_bytes(responses_events(3))],
        b"large": [answer_bytes(b"", MEGABYTES << 20, "application/octet-stream")]
        + [block] * MEGABYTES,
        b"embeddings": [embeddings_page(False)],
        b"embeddings-floats": [embeddings_page(True)],
        b"files": [file_page(0, 1000, False)],
    }
    listing = [file_page(i * 100, 100, i + 1 < PAGES) for i in range(PAGES)]
    length = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
    after = re.compile(rb"after=file-(\d+)")

    start, _, end = stream_bytes(["data: [DONE]"]).partition(b"e\r\ndata:")
    token = 'data: {"id":"%.6f","choices":[{"index":0,"delta":{"content":" word"}}]}\n\n'
    phases = itertools.count()
    # What is sent later, one thread sends: a thousand would be in each other's way.
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()

    def send_later(sock: socket.socket, delay: float, data: bytes) -> None:
        loop.call_soon_threadsafe(lambda: loop.call_later(delay, sock.sendall, data))

    def pace(sock: socket.socket, due: float, left: int) -> None:
        """Send a token each 50 ms, which says when that was."""
        if not left:
            return sock.sendall(b"e\r\ndata:" + end)
        event = token % time.time()
        sock.sendall(b"%x\r\n%s\r\n" % (len(event), event.encode()))
        loop.call_at(due + 0.05, pace, sock, due + 0.05, left - 1)

    def converse(sock: socket.socket) -> None:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = b""
        while True:
            end = data.find(b"\r\n\r\n")
            if end < 0:
                more = sock.recv(65536)
                if not more:
                    return
                data += more
                continue
            head, found = data[:end], length.search(data, 0, end + 2)
            left = int(found.group(1)) - (len(data) - end - 4) if found else 0
            if left > 0:
                buffer = bytearray(min(left, 1 << 20))
                while left > 0:
                    left -= sock.recv_into(buffer) or left
            data = b""
            name = head.split(b"/", 2)[1]
            if name == b"pages":
                found = after.search(head)
                sock.sendall(listing[int(found.group(1)) // 100 + 1 if found else 0])
                continue
            if name == b"slow":
                send_later(sock, 0.5, answer)
                continue
            if name == b"paced":
                # Evenly spread: how fast a client opens its streams shall not decide whether the
                # tokens of all come at once.
                due = loop.time() + 0.05 * (next(phases) % 200) / 200
                sock.sendall(start)
                loop.call_soon_threadsafe(loop.call_at, due, pace, sock, due, TOKENS)
                continue
            for part in answers[name]:
                sock.sendall(part)

    def accept(listener: socket.socket, context: Any) -> None:
        while True:
            sock = listener.accept()[0]
            try:
                converse(context.wrap_socket(sock, server_side=True) if context else sock)
            except OSError:
                pass  # the client has hung up
            finally:
                sock.close()

    threading.stack_size(256 << 10)
    ports = []
    for secure in [False, True][: 2 if certificate else 1]:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        ports.append(listener.getsockname()[1])
        context = None
        if secure:
            import ssl

            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
        for _ in range(8 if secure else 1100):  # threads that wait beforehand answer at once
            threading.Thread(target=accept, args=(listener, context), daemon=True).start()
    print(*ports, flush=True)
    sys.stdin.read()
    os._exit(0)


########################################################################
## The report
########################################################################

# (measure, what the table calls it, unit, figure, the goal for ours / official or, with a unit, for
# ours alone).  A rate is one over the seconds that one took.
ROWS: List[Tuple[str, str, str, str, str]] = [
    ("import", "import and make a client, CPU", "ms", "cpu", "<= 0.03"),
    ("import", "  resident", "MB", "rss", "<= 0.28"),
    ("import-uncompiled", "  without .pyc files, CPU", "ms", "cpu", "<= 0.16"),
    ("first-answer", "process start to first answer", "ms", "start", "<= 0.10"),
    ("first-answer-https", "  over https", "ms", "start", "<= 0.16"),
    ("first-answer-async", "  async client", "ms", "start", "<= 0.15"),
    ("first-answer-zip", "  from a zip for Lambda", "ms", "start", "<= 0.15"),
    ("first-answer-zip-source", "  from a zip with the source", "ms", "start", ""),
    ("call", "one call, kept alive, CPU", "us", "cpu", "<= 0.10"),
    ("call-https", "  over https", "us", "cpu", "<= 0.10"),
    ("call-async", "  one async call", "us", "cpu", "<= 0.11"),
    ("chat-stream", f"chat stream of {EVENTS:,} events", "/s", "wall", ">= 15"),
    ("chat-stream-async", "  chat stream, async", "/s", "wall", ">= 14"),
    ("responses-stream", f"responses stream of {EVENTS:,} events", "/s", "wall", ">= 15"),
    ("responses-stream-async", "  responses stream, async", "/s", "wall", ">= 14"),
    ("first-token", "time to first token, p50", "us", "wall", "<= 0.12"),
    ("first-token-async", "  time to first token, async", "us", "wall", "<= 0.17"),
    ("at-once-200", "200 half-second calls at once: time over", "ms", "wall", "<= 0.15"),
    ("at-once-200", "  CPU", "ms", "cpu", "<= 0.08"),
    ("at-once-200", "  resident", "MB", "rss", "<= 0.65"),
    ("at-once-1000", "1,000 half-second calls at once: time over", "ms", "wall", "<= 0.12"),
    ("at-once-1000", "  CPU", "ms", "cpu", "<= 0.08"),
    ("at-once-1000", "  resident", "MB", "rss", "<= 0.65"),
    ("streams-200", "200 streams, a token each 50 ms: p99", "ms", "wall", "<= 0.05"),
    ("streams-200", "  CPU", "ms", "cpu", ""),
    ("upload", f"upload {MEGABYTES} MB from a path, CPU", "ms", "cpu", "<= 0.80"),
    ("upload", "  resident", "MB", "rss", "<= 0.05"),
    ("download", f"download {MEGABYTES} MB to memory, CPU", "ms", "cpu", "<= 0.55"),
    ("download", "  resident", "MB", "rss", "<= 0.52"),
    ("download-to-file", f"download {MEGABYTES} MB to a file, CPU", "ms", "cpu", "<= 0.60"),
    ("download-to-file", "  resident", "MB", "rss", "<= 0.45"),
    ("embeddings", f"embeddings, {VECTORS:,} x 1,536, CPU", "ms", "cpu", "<= 0.80"),
    ("embeddings-floats", "  as floats in JSON", "ms", "cpu", "<= 0.08"),
    ("file-list", "list of 1,000 files, CPU", "ms", "cpu", "<= 0.07"),
    ("pages", f"{PAGES * 100:,} items in pages of 100, CPU per item", "us", "cpu", "<= 0.07"),
    ("threads", "64 threads on one client, calls", "/s", "wall", ">= 8"),
]
HERE = os.path.dirname(os.path.abspath(__file__))


def tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def official_packages() -> Optional[str]:
    """The folder that holds the official package, installed on first use; None if that fails."""
    import subprocess
    import venv

    cache = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA")
    cache = cache or os.path.join(os.path.expanduser("~"), ".cache")
    name = "openai-%s-python%d.%d" % ((OFFICIAL,) + sys.version_info[:2])
    folder = os.path.join(cache, "openai_lite_benchmark", name)
    python = os.path.join(folder, "Scripts" if os.name == "nt" else "bin", "python")
    find = "import os, openai; print(os.path.dirname(os.path.dirname(openai.__file__)))"
    for attempt in (1, 2):
        try:
            if attempt == 2:
                tell(f"installing openai {OFFICIAL} into {folder}")
                venv.create(folder, with_pip=True, clear=True)
                pip = [python, "-m", "pip", "install", "--quiet", "openai==" + OFFICIAL]
                subprocess.run(pip, check=True, stdout=sys.stderr)
            found = subprocess.run([python, "-c", find], check=True, stdout=subprocess.PIPE)
            return found.stdout.decode().strip()
        except (OSError, subprocess.SubprocessError) as err:
            if attempt == 2:
                tell(f"the official package is not measured: {err}")
    return None


def make_certificate(folder: str) -> str:
    """A certificate with its key, and a CA directory that trusts it; "" without openssl."""
    import subprocess

    path = os.path.join(folder, "certificate.pem")
    make = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost "
        "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
    )
    try:
        subprocess.run(make.split(), cwd=folder, check=True, stderr=subprocess.DEVNULL)
        show = ["openssl", "x509", "-noout", "-hash", "-in", path]
        name = subprocess.run(show, check=True, stdout=subprocess.PIPE).stdout.decode().strip()
    except (OSError, subprocess.SubprocessError):
        tell("https is not measured: it takes the command `openssl`")
        return ""
    os.mkdir(os.path.join(folder, "ca"))
    with open(path) as source, open(os.path.join(folder, "ca", name + ".0"), "w") as target:
        target.write(source.read())
    with open(path, "a") as target, open(os.path.join(folder, "key.pem")) as source:
        target.write(source.read())
    return path


class Runner:
    """Starts the server and the measured processes."""

    def __init__(self, folder: str, packages: Optional[str], scale: int) -> None:
        import shutil
        import subprocess

        self.folder, self.packages = folder, packages
        self.environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("OPENAI_", "PYTHON", "SSL_"))
            and not name.lower().endswith("_proxy")
        }
        self.environment.update(
            BENCHMARK_SCALE=str(scale), SSL_CERT_DIR=os.path.join(folder, "ca")
        )
        self.paths = {"openai_lite": os.path.dirname(HERE), "official": packages or "", "limit": ""}
        self.bare = dict(self.paths)  # the same packages without compiled files
        ours = self.bare["openai_lite"] = os.path.join(folder, "bare")
        os.mkdir(ours)
        shutil.copy(os.path.join(self.paths["openai_lite"], "openai_lite.py"), ours)
        # What is deployed to AWS Lambda.  Of the official package it is a folder even here, because
        # Python cannot load its extension modules from a zip.
        self.zips = dict(self.paths, openai_lite=os.path.join(folder, "compiled.zip"))
        self.source_zips = dict(self.bare, openai_lite=os.path.join(folder, "source.zip"))
        build = [sys.executable, os.path.join(HERE, "aws_lambda", "build.py")]
        for options in ([self.zips["openai_lite"]], ["--source", self.source_zips["openai_lite"]]):
            subprocess.run(build + options, check=True, stdout=subprocess.DEVNULL)
        if packages:
            unneeded = shutil.ignore_patterns("__pycache__", "pip*", "setuptools*", "pkg_resources")
            self.bare["official"] = os.path.join(folder, "bare-official")
            self.source_zips["official"] = self.bare["official"]
            shutil.copytree(packages, self.bare["official"], ignore=unneeded)
        with open(os.path.join(folder, "upload"), "wb") as file:
            file.truncate((512 << 20) // scale)
        self.server = self.start("serve", make_certificate(folder))
        assert self.server.stdout is not None
        ports = self.server.stdout.readline().split()
        self.urls = ["%s://127.0.0.1:%s" % pair for pair in zip(("http", "https"), ports)]

    def start(self, *command: str, path: str = "", bare: bool = False) -> subprocess.Popen[str]:
        import subprocess

        environment = dict(self.environment, PYTHONPATH=os.pathsep.join(filter(None, [path, HERE])))
        if bare:
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.Popen(
            [sys.executable, "-S", "-c", "import benchmark; benchmark.main()", *command],
            cwd=self.folder, env=environment, universal_newlines=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip

    def measure(self, measure: str, contender: str) -> Optional[Figures]:
        """The figures of one run, or None if it cannot be had."""
        import json

        secure, bare = measure.endswith("-https"), measure.endswith(("-uncompiled", "-source"))
        if contender == "official" and not self.packages or secure and len(self.urls) < 2:
            return None
        paths = self.bare if bare else self.paths
        if "-zip" in measure:
            paths = self.source_zips if bare else self.zips
        path = paths[contender]
        started = time.perf_counter()
        command = ("run", measure, contender, self.urls[secure])
        with self.start(*command, path=path, bare=bare) as process:
            assert process.stdout is not None
            line = process.stdout.readline()
            took = time.perf_counter() - started
        if not line:
            tell(f"{measure} failed with {contender}")
            return None
        figures: Figures = json.loads(line)
        figures["start"] = took
        return figures

    def stop(self) -> None:
        self.server.communicate("")


def show(value: Optional[float]) -> str:
    if value is None or value != value:
        return "n/a"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table_row(row: Tuple[str, str, str, str, str], results: Dict[str, List[Figures]]) -> List[str]:
    import statistics

    measure, label, unit, figure, goal = row
    values: List[Optional[float]] = []
    for contender in CONTENDERS:
        found = [figures[figure] for figures in results[measure + " " + contender]]
        value = statistics.median(found) if found else None
        if value is not None and unit != "MB":
            value = 1 / value if unit == "/s" else value * {"ms": 1e3, "us": 1e6}[unit]
        values.append(value)
    official, ours = values[1:]
    ratio = ours / official if ours is not None and official else None
    judged = ours if goal.endswith("MB") else ratio
    met = ""
    if goal and judged is not None:
        bound = float(goal.split()[1])
        met = "yes" if (judged <= bound if goal[0] == "<" else judged >= bound) else "NO"
    return [label, unit, *map(show, values), "n/a" if ratio is None else f"{ratio:.3g}", goal, met]


def print_table(rows: List[List[str]]) -> None:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    rows.insert(1, ["-" * width for width in widths])
    for row in rows:
        cells = [
            cell.ljust(width) if i in (0, 1, 6, 7) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths))
        ]
        print(" | ".join(cells).rstrip())


def report(rounds: int, only: List[str], scale: int) -> None:
    import platform
    import tempfile

    wanted = [name for name in MEASURES if not only or name in only]
    results: Dict[str, List[Figures]] = {
        name + " " + contender: [] for name in MEASURES for contender in CONTENDERS
    }
    with tempfile.TemporaryDirectory(prefix="openai_lite_benchmark_") as folder:
        runner = Runner(folder, official_packages(), scale)
        try:
            for contender in CONTENDERS:  # not counted: it compiles what is not compiled yet
                runner.measure("first-answer", contender)
                runner.measure("first-answer-async", contender)
            for i in range(rounds):
                for name in wanted:
                    tell(f"round {i + 1} of {rounds}: {name}")
                    for contender in CONTENDERS:
                        figures = runner.measure(name, contender)
                        if figures is not None:
                            results[name + " " + contender].append(figures)
        finally:
            runner.stop()
    print(
        f"{platform.python_implementation()} {platform.python_version()}, {os.cpu_count()} cores, "
        f"{platform.system()} {platform.machine()}; median of {rounds} rounds\n"
    )
    head = ["measure", "unit", *CONTENDERS, "ours / official", "goal", "ok"]
    print_table([head] + [table_row(row, results) for row in ROWS if row[0] in wanted])


def main() -> None:
    if sys.argv[1:2] == ["run"]:
        return run(*sys.argv[2:5])
    if sys.argv[1:2] == ["serve"]:
        return serve(sys.argv[2])
    import argparse
    import subprocess

    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, help="how often each is measured (default 5)")
    parser.add_argument("--only", action="append", choices=list(MEASURES), default=[])
    parser.add_argument("--quick", action="store_true", help="two rounds, smaller jobs")
    options = parser.parse_args()
    if options.quick and SCALE == 1:  # start over: the sizes are constants of this module
        environment = dict(os.environ, BENCHMARK_SCALE="4")
        sys.exit(subprocess.call([sys.executable, *sys.argv], env=environment))
    report(options.rounds or (2 if options.quick else 5), options.only, SCALE)


if __name__ == "__main__":
    main()
