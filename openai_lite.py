# SPDX-License-Identifier: MIT
# mypy: disable-error-code="empty-body"
# pyright: reportReturnType=false
"""openai_lite: the OpenAI REST API in one file, with nothing but the standard library.

    from openai_lite import OpenAI

    client = OpenAI()                          # reads OPENAI_API_KEY
    answer = client.responses.create(model="gpt-4o", input="Say this is a test")
    print(answer.output_text)

It is a drop-in for the official package (`import openai_lite as openai`): the same clients,
methods, parameters, errors and bytes on the wire, for Python 3.7 to 3.14.  Copy this file and
you have it.

THE JOURNEY OF ONE CALL

    client.chat.completions.create(model=..., messages=...)
       |  8. Resources     a stub: its decorator is the request line, its signature the schema
       v
    Endpoint.prepare()     the arguments become a Call: path, query, body       6. Endpoints
       v
    Client._send()         credentials, headers, retries                        7. Clients
       v
    HTTPTransport.steps()  one HTTPRequest out, one HTTPResponse in             4. Transport
       |                   its bytes cut and decoded by                         2. Wire formats
       v
    decode(), Stream       ChatCompletion | SyncCursorPage | Stream             5. Results
       v
    the caller             or an OpenAIError                                    3. Errors

CONTENTS (grep '^## ' for the line numbers, '^# ---- ' for those of the subsections)

    1. Compatibility: what differs between Pythons, and between you and a type checker
    2. Wire formats: bytes in, bytes out, no I/O
    3. Errors: what can go wrong, as a tree
    4. Transport: one request, one response, and when to try again
    5. Results: JSON to typed objects, pages, streams
    6. Endpoints: from a method signature to a request
    7. Clients: options, credentials, and the loop that tries again
    8. Resources: the API, one subsection per reference page
    9. Helpers: what takes more than one call, or more than JSON
    10. Providers: the same API at Microsoft Azure
    11. Module-level client: openai.api_key = "..."
    12. Doctor and vendor: is all well here, and a smaller file to take along
    13. Command line: every endpoint in a shell

TO FIND a method, search for the class of its path: client.chat.completions.create is `create` in
`class ChatCompletions`, client.beta.threads.runs is BetaThreadsRuns.  Its parameters and results
follow it.  An error is in the tree that opens section 3, a default at the end of 4.1.  The README
has a tour of the source in ten stops.

TO ADD AN ENDPOINT write a stub in its resource class (section 8); there is nothing to register:

    @GET("/models/{model}")
    def retrieve(self, model: str, **options: Unpack[Options]) -> Model:
        \"\"\"Fetch one model: who owns it, and when it was made.\"\"\"

The API is that of the official package 3.54.0, read from it in November 2026.
"""

from __future__ import annotations

import io
import os
import sys
import time

__version__ = VERSION = "0.1.0"
__title__ = "openai_lite"
__all__ = [
    "APIConnectionError", "APIError", "APIResponse", "APIResponseValidationError", "APIStatusError",
    "APITimeoutError", "AgentFilePreparationError", "AgentFileStagingError",
    "AgentOutputParseError", "AgentToolError", "AgentTurnResult", "AgentTurnResultError",
    "AssistantEventHandler", "AsyncAPIResponse", "AsyncAssistantEventHandler", "AsyncAzureOpenAI",
    "AsyncClient", "AsyncOpenAI", "AsyncStream", "AuthenticationError", "AzureOpenAI",
    "BadRequestError", "BaseModel", "BulkUploadError", "Client", "ConflictError",
    "ContentFilterFinishReasonError", "DEFAULT_CONNECTION_LIMITS", "DEFAULT_MAX_RETRIES",
    "DEFAULT_TIMEOUT", "DataResidency", "DefaultAioHttpClient", "DefaultAsyncHttpx2Client",
    "DefaultAsyncHttpxClient", "DefaultHttpx2Client", "DefaultHttpxClient", "HTTPRequest",
    "HTTPResponse", "HTTPTransport", "HttpxBinaryResponseContent", "IncompleteStreamError",
    "InternalServerError", "InvalidWebhookSignatureError", "LengthFinishReasonError", "Limits",
    "NOT_GIVEN", "NoneType", "NotFoundError", "NotGiven", "OAuthError", "Omit", "OpenAI",
    "OpenAIError", "OutputParseError", "PermissionDeniedError", "RateLimitError", "RequestOptions",
    "Stream", "Timeout", "UnprocessableEntityError", "__title__", "__version__", "file_from_path",
    "function_tool", "httpx", "not_given", "omit", "pydantic_function_tool",
    "pydantic_responses_function_tool",
]


########################################################################
## 1. Compatibility: what differs between Pythons, and between you and a type checker
########################################################################
# Type checkers read the first branch, Python the second.  Nothing outside of functions may import
# more than io, os, sys and time: not asyncio, dataclasses, http.client or ssl, and not even json,
# re or typing, which together take longer to load than everything here.  So annotations stay text
# (5.2 reads them), patterns are compiled on first use, and a function imports what it needs.

TYPE_CHECKING = False  # as checkers know it by its name

if TYPE_CHECKING:
    import ssl
    from datetime import timedelta
    from re import compile as Pattern
    from threading import RLock
    from types import MethodType
    from typing import (
        IO, Any, AsyncGenerator, AsyncIterator, Callable, ClassVar, Coroutine, Dict, FrozenSet,
        Generator, Generic, Iterable, Iterator, List, Mapping, Optional, Protocol, Sequence, Set,
        Tuple, Type, TypeVar, Union, overload,
    )

    from typing_extensions import (
        Concatenate, Literal, ParamSpec, Required, Self, TypedDict, Unpack, dataclass_transform,
    )

    P = ParamSpec("P")
    Q = ParamSpec("Q")
    S = ParamSpec("S")
    T = TypeVar("T")
    R = TypeVar("R")
    E = TypeVar("E")
    A = TypeVar("A")
    C = TypeVar("C")
    Steps = Generator[Any, Any, R]  # see 4.3
    Head = Tuple[str, int, str, "Headers", int]  # version, status, reason, headers, size in bytes
    Result = TypeVar("Result", covariant=True)
    PageT = TypeVar("PageT")
    Converter = Callable[[Any], Any]
    StringMapping = Mapping[str, str]
    StringDict = Dict[str, Any]
else:
    from _collections_abc import Iterable, Iterator, Mapping  # which `os` has loaded
    from _thread import RLock  # which is built in

    StringMapping = Mapping
    StringDict = dict
    P = T = R = E = C = PageT = None

    class Pattern:
        """A regular expression, compiled when it is first used."""

        def __init__(self, pattern, flags=0):
            self.pattern, self.flags = pattern, flags

        def __getattr__(self, name):
            import re

            compiled = re.compile(self.pattern, self.flags)
            for method in ("match", "search", "split", "sub", "findall"):
                setattr(self, method, getattr(compiled, method))  # from now on without detour
            return getattr(compiled, name)

    class Form:
        """Stands in for `typing.Optional` and its like: `Optional[int]` makes a Kind."""

        def __init__(self, name):
            self.name = name

        def __getitem__(self, args):
            return Kind(self, args if args.__class__ is tuple else (args,))

        def __repr__(self):
            return self.name

    class Kind:
        """A type with arguments, as light as can be; typing_of() makes the real one of it."""

        __slots__ = ("__origin__", "__args__")

        def __init__(self, origin, args):
            self.__origin__, self.__args__ = origin, args

        def __getitem__(self, _):  # of a generic alias; which types they are is for checkers
            return self

        def __repr__(self):
            return f"{self.__origin__}{list(self.__args__)}"

    Any, Dict, List, Literal, Optional, Union = map(
        Form, ("Any", "Dict", "List", "Literal", "Optional", "Union")
    )
    MethodType = type(Any.__getitem__)

    def typing_of(kind):
        """The object of `typing` that a Form or Kind stands for."""
        import typing

        if isinstance(kind, Form):
            return getattr(typing, kind.name, typing.Any)  # Python 3.7 has no Literal
        if not isinstance(kind, Kind):
            return kind
        form = typing_of(kind.__origin__)
        return form if form is typing.Any else form[tuple(map(typing_of, kind.__args__))]

    class TypedDict(dict):
        """Far cheaper to subclass than typing's; the names stay in `__annotations__`."""

        def __init_subclass__(cls, total=True):
            pass

    class Generic:
        """Subscripts cost nothing when nobody reads them."""

        def __class_getitem__(cls, _):
            return cls

    class Subscripted:
        """`Stream[X]`, where somebody does: `stream_cls=Stream[X]`."""

        def __init__(self, origin, item):
            self.__origin__, self.__args__ = origin, (item,)

        def __call__(self, *args, **kwargs):
            return self.__origin__(*args, **kwargs)

        def __mro_entries__(self, bases):
            return (self.__origin__,)

        def __repr__(self):
            return f"{self.__origin__.__name__}[{self.__args__[0]!r}]"

    def overload(stub):
        return stub

    def dataclass_transform(**_):
        return lambda cls: cls


NoneType = type(None)

# What the tests replace, and nothing else: clock, sleep and randomness.
clock = time.monotonic
sleep = time.sleep


def random_fraction() -> float:
    """A number in [0, 1)."""
    return int.from_bytes(os.urandom(4), "big") / 4294967296  # `random` costs 4 ms to import


class Omit:
    """The type of `omit`: "do not send this", also where a default would be sent otherwise."""

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "omit"

    def __reduce__(self) -> str:
        return "omit"


class NotGiven(Omit):
    """The type of `NOT_GIVEN`, the older name for the same."""

    def __repr__(self) -> str:
        return "NOT_GIVEN"

    def __reduce__(self) -> str:
        return "NOT_GIVEN"


omit: Any = Omit()  # Any, because it is the default of parameters of every type
NOT_GIVEN: Any = NotGiven()
not_given = NOT_GIVEN


########################################################################
## 2. Wire formats: bytes in, bytes out, no I/O
########################################################################

# ---- 2.1 Server-sent events ---- https://html.spec.whatwg.org/multipage/server-sent-events.html


class SSEDecoder:
    """Cut bytes into server-sent events, as the standard says, however the network chunks them.

    `feed(b"event: ping\\ndata: 1\\n\\n")` returns `[("ping", "1")]`.
    """

    # "Lines must be separated by either a CRLF pair, a single LF, or a single CR."  On bytes: str
    # would also split at U+2028 and U+0085, which are ordinary characters inside JSON.
    line_end = Pattern(b"\r\n|\r|\n")

    def __init__(self, at_start: bool = True) -> None:
        self.at_start = at_start
        self.partial: List[bytes] = []  # pieces of a line whose end has not come yet
        self.after_cr = False
        self.event = ""
        self.data: List[str] = []

    def feed(self, chunk: bytes) -> List[Tuple[str, str]]:
        """Return each (event, data) that `chunk` completes; what is left over waits."""
        events: List[Tuple[str, str]] = []
        if not chunk:
            return events
        if self.after_cr and chunk[:1] == b"\n":  # the other half of a CRLF
            chunk = chunk[1:]
        self.after_cr = chunk[-1:] == b"\r"
        *lines, rest = self.line_end.split(chunk)
        for line in lines:
            if self.partial:
                line = b"".join(self.partial) + line
                self.partial = []
            if self.at_start:
                self.at_start = False
                if line[:3] == b"\xef\xbb\xbf":  # "One leading U+FEFF [...] must be ignored"
                    line = line[3:]
            if line:
                self.field(line.decode("utf-8", "replace"))
            else:  # a blank line: dispatch, unless there was no data
                if self.data:
                    events.append((self.event, "\n".join(self.data)))
                self.event, self.data = "", []
        if rest:
            self.partial.append(rest)
        return events

    def field(self, line: str) -> None:
        name, _, value = line.partition(":")  # a comment, ":...", has the empty name
        value = value[1:] if value[:1] == " " else value
        if name == "data":
            self.data.append(value)
        elif name == "event":
            self.event = value
        # id and retry are for reconnecting, which this API does not offer.


class JSONEventDecoder:
    """The same events with their data parsed, quickly: a whole network read at a time.

    `feed(b'data: {"a":1}\\n\\ndata: [DONE]\\n\\n')` returns `[("", {"a": 1}), ("", DONE)]`.  Data
    that is no JSON comes back as the ValueError it caused, in its place.  Whatever is not written
    the way this API writes it goes through SSEDecoder, event by event.
    """

    DONE = object()

    def __init__(self) -> None:
        import json

        self.scan: Any = json.JSONDecoder().scan_once  # type: ignore[attr-defined, unused-ignore]
        self.tail: List[bytes] = []  # pieces of an event whose blank line has not come yet
        self.at_start = True
        self.odd: Optional[SSEDecoder] = None  # takes over for good where lines end in CR

    def feed(self, chunk: bytes) -> List[Tuple[str, Any]]:
        if self.odd is None and b"\r" in chunk:
            self.odd = SSEDecoder(self.at_start)
            chunk, self.tail = b"".join(self.tail) + chunk, []
        if self.odd is not None:
            return [
                (event, self.parse(data)) for event, data in self.odd.feed(chunk) if data.strip()
            ]
        # Only the new bytes are searched, so a long event costs no more than a short one per byte.
        cut = chunk.rfind(b"\n\n") + 2
        if cut == 1:
            if not (self.tail and chunk[:1] == b"\n" and self.tail[-1][-1:] == b"\n"):
                if chunk:
                    self.tail.append(chunk)
                return []
        self.tail.append(chunk[:cut])
        text = b"".join(self.tail).decode("utf-8", "replace")
        self.tail = [chunk[cut:]] if cut < len(chunk) else []
        return self.block(text)

    def block(self, text: str) -> List[Tuple[str, Any]]:
        """The events of a text that ends with a blank line."""
        events: List[Tuple[str, Any]] = []
        at, end, scan = 0, len(text), self.scan
        if self.at_start:
            self.at_start = False
            at = 1 if text[:1] == "\ufeff" else 0
        while at < end:
            name, start = "", at
            if text.startswith("event: ", at):
                start = text.index("\n", at) + 1
                name = text[at + 7 : start - 1]
            if text.startswith("data: {", start):
                try:
                    value, stop = scan(text, start + 6)
                except (StopIteration, ValueError, RecursionError):
                    value, stop = None, start
                if text.startswith("\n\n", stop) and text.find("\n", start, stop) < 0:
                    events.append((name, value))
                    at = stop + 2
                    continue
            if text[at] == "\n":
                at += 1
                continue
            stop = text.index("\n\n", at) + 2
            for name, data in SSEDecoder(False).feed(text[at:stop].encode("utf-8")):
                if data.strip():
                    events.append((name, self.parse(data)))
            at = stop
        return events

    def parse(self, data: str) -> Any:
        if data.startswith("[DONE]"):
            return self.DONE
        import json

        try:
            return json.loads(data)
        except RecursionError:
            return ValueError("nested too deeply")
        except ValueError as err:
            return err.with_traceback(None)  # which holds all frames up to who holds this event

    def ends_with_done(self) -> bool:
        """Whether the stream broke off right after `data: [DONE]`, without the blank line."""
        rest = b"".join(self.tail if self.odd is None else self.odd.partial)
        done = self.odd is not None and self.odd.data[:1] == ["[DONE]"]
        return done or rest.strip() in (b"data: [DONE]", b"data:[DONE]")


# ---- 2.2 JSON ---- https://www.rfc-editor.org/rfc/rfc8259


class OmitInside(Exception):
    """A body holds `omit` below its top level, or an iterator, which can be read only once."""


def is_iterator(value: Any) -> bool:
    return isinstance(value, Iterator) and not hasattr(value, "read")


def jsonable(value: Any) -> Any:
    """What `json` asks about a value that it does not know."""
    if isinstance(value, BaseModel):
        if value._not_sent:
            return {k: v for k, v in value.__dict__.items() if k not in value._not_sent}
        return value.__dict__
    if isinstance(value, Omit) or is_iterator(value):
        raise OmitInside()
    if hasattr(value, "model_dump"):  # a pydantic object
        return value.model_dump(mode="json", by_alias=True, exclude_unset=True)
    if hasattr(value, "isoformat"):  # date, time, datetime
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__dataclass_fields__") and not isinstance(value, type):
        return {name: getattr(value, name) for name in value.__dataclass_fields__}
    if isinstance(value, (bytes, bytearray, memoryview)):
        raise TypeError("bytes have no place in JSON: send them as base64 text")
    if isinstance(value, Iterable) and not hasattr(value, "read"):  # a set, a view of a dict
        return list(value)
    raise TypeError(f"a {type(value).__name__} cannot be sent as JSON")


json_encoder: Any = None


def encode_json(value: Any) -> bytes:
    """Compact and unescaped, as the official client sends it."""
    global json_encoder
    if json_encoder is None:
        import json

        json_encoder = json.JSONEncoder(
            separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=jsonable
        )
    try:
        text = json_encoder.encode(value)
    except OmitInside:
        text = json_encoder.encode(without_omit(value))
    encoded: bytes = text.encode("utf-8")
    return encoded


def without_omit(value: Any) -> Any:
    """`value` in plain dicts and lists, without what is not to be sent."""
    if value is None or isinstance(value, (str, int, float)):
        return value
    if isinstance(value, Mapping):
        return {k: without_omit(v) for k, v in value.items() if not isinstance(v, Omit)}
    if isinstance(value, (list, tuple)) or is_iterator(value):
        return [without_omit(item) for item in value if not isinstance(item, Omit)]
    try:
        return without_omit(jsonable(value))
    except TypeError:
        return value  # whoever writes it will say what is wrong with it


# ---- 2.3 Query strings and paths ---- https://www.rfc-editor.org/rfc/rfc3986#section-3.3


def flatten(name: str, value: Any) -> List[Tuple[str, str]]:
    """`("a", [1, True])` is `[("a[]", "1"), ("a[]", "true")]`; nested keys get brackets as well."""
    if value is None or isinstance(value, Omit):
        return []
    if isinstance(value, BaseModel):
        value = value.__dict__
    if isinstance(value, Mapping):
        return [pair for key in value for pair in flatten(f"{name}[{key}]", value[key])]
    if isinstance(value, (list, tuple)):
        return [pair for item in value for pair in flatten(name + "[]", item)]
    if isinstance(value, bool):
        return [(name, "true" if value else "false")]
    return [(name, str(value))]


def encode_query(params: Mapping[str, Any]) -> str:
    """`{"limit": 2, "metadata": {"a": "b"}}` is `"limit=2&metadata%5Ba%5D=b"`."""
    import urllib.parse

    return urllib.parse.urlencode([pair for name in params for pair in flatten(name, params[name])])


plain_segment = Pattern(r"[A-Za-z0-9_~:-][A-Za-z0-9._~:-]*\Z")


def encode_segment(name: str, value: Any) -> str:
    """One path segment, percent-encoded; ValueError where it would change the path's meaning."""
    text = value if isinstance(value, str) else str(value)
    if value is None or text == "":
        raise ValueError(f"Expected a non-empty value for `{name}` but received {value!r}")
    if plain_segment.match(text):
        return text
    import urllib.parse

    # Servers and proxies resolve dot segments, encoded or not, before they route.
    if urllib.parse.unquote(text) in (".", ".."):
        raise ValueError(f"`{name}` must not be a dot segment, but received {value!r}")
    return urllib.parse.quote(text, safe="!$&'()*+,;=:@")  # "pchar" of RFC 3986, as official


# ---- 2.4 Multipart forms ---- https://www.rfc-editor.org/rfc/rfc7578

BLOCK = 262144  # bytes read from a file at a time; larger blocks are no faster


class FilePart:
    """A file on its way into a form: opened when it is sent, and again when it is sent again."""

    def __init__(self, source: Any, size: int, label: str, spooled: bool = False) -> None:
        self.source, self.size, self.label, self.spooled = source, size, label, spooled

    def __del__(self) -> None:
        if self.spooled:
            self.source.close()

    def blocks(self) -> Iterator[memoryview]:
        file: Any = self.source
        try:
            if isinstance(self.source, str):
                file = open(self.source, "rb")
            else:
                file.seek(0)  # the whole file, also for a retry
            buffer = memoryview(bytearray(min(BLOCK, self.size) or 1))
            left = self.size
            while left > 0:
                got = read_into(file, buffer[: min(left, BLOCK)])
                if not got:
                    raise OpenAIError(
                        f"{self.label} became shorter while it was being sent: {left} bytes of "
                        f"{self.size} are missing"
                    )
                yield buffer[:got]
                left -= got
        except OSError as err:  # which the transport would take for a failure of the network
            raise OpenAIError(f"cannot read {self.label}: {err}") from err
        finally:
            if file is not self.source:
                file.close()


def blocks_of(data: bytes) -> Iterator[memoryview]:
    for start in range(0, len(data), BLOCK):
        yield memoryview(data)[start : start + BLOCK]


def read_into(file: Any, view: memoryview) -> int:
    if hasattr(file, "readinto"):
        return file.readinto(view) or 0
    data = file.read(len(view))
    view[: len(data)] = data
    return len(data)


class SharedFile:
    """A file that several threads read at a time, each in a window of its own."""

    def __init__(self, part: FilePart) -> None:
        import threading

        self.part, self.lock, self.closed = part, threading.Lock(), False
        self.file: Any = part.source
        if isinstance(self.file, str):
            self.file = open(self.file, "rb", buffering=0)

    def read_at(self, position: int, view: memoryview) -> int:
        with self.lock:
            if self.closed:
                raise OpenAIError("the upload was given up")
            self.file.seek(position)
            return read_into(self.file, view)

    def close(self) -> None:
        """Let every read from now on fail, and thereby end the requests that send the file."""
        with self.lock:
            self.closed = True
            if self.file is not self.part.source:
                self.file.close()


class FileWindow(io.RawIOBase):
    """The `size` bytes from `start` on of a SharedFile, as a file that can be sent, and again."""

    def __init__(self, shared: SharedFile, start: int, size: int) -> None:
        self.shared, self.start, self.size, self.position = shared, start, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = (0, self.position, self.size)[whence] + offset
        return self.position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)[: max(0, self.size - self.position)]
        got = self.shared.read_at(self.start + self.position, view)
        self.position += got
        return got


class MultipartBody:
    """A multipart/form-data body of known length, whose files stay on disk until they are sent."""

    def __init__(self, fields: Mapping[str, Any], files: Sequence[Tuple[str, Any]]) -> None:
        boundary = os.urandom(16).hex()
        self.content_type = "multipart/form-data; boundary=" + boundary
        self.parts: List[Any] = []
        for name in fields:
            for key, text in flatten(name, fields[name]):
                self.add(boundary, f'name="{escape(key)}"', "", text.encode("utf-8"))
        for name, file in files:
            filename, part, headers = file_part(name, file)
            head = "".join(f"{k}: {header_value(k, v)}\r\n" for k, v in headers.items())
            disposition = f'name="{escape(name)}"'
            if filename is not None:
                disposition += f'; filename="{escape(filename)}"'
            self.add(boundary, disposition, head, part)
        self.parts.append(b"--" + boundary.encode() + b"--\r\n")
        self.length = sum(p.size if isinstance(p, FilePart) else len(p) for p in self.parts)

    def add(self, boundary: str, disposition: str, headers: str, part: Any) -> None:
        head = f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n{headers}\r\n"
        self.parts += [head.encode("utf-8"), part, b"\r\n"]

    def blocks(self) -> Iterator[Any]:
        """The body in order; a block is valid until the next one is asked for."""
        for part in self.parts:
            if isinstance(part, FilePart):
                yield from part.blocks()
            else:
                yield part


class ReportedBody:
    """A body that calls `progress(bytes sent, bytes in all)`, from 0 on each time it is sent."""

    def __init__(self, body: Any, progress: Callable[[int, Optional[int]], object]) -> None:
        self.body, self.progress = body, progress
        self.length: int = len(body) if isinstance(body, bytes) else body.length

    def blocks(self) -> Iterator[Any]:
        sent = 0
        self.report(sent)
        body = self.body
        for block in blocks_of(body) if isinstance(body, bytes) else body.blocks():
            size = len(block)
            yield block
            sent += size
            self.report(sent)

    def report(self, sent: int) -> None:
        try:
            self.progress(sent, self.length)
        except OSError as err:  # which the transport would take for a failure of the network
            raise OpenAIError(f"the progress callback failed: {err}") from err


def escape(name: str) -> str:
    # "replace [...] 0x0A (LF) with `%0A`, 0x0D (CR) with `%0D`, and 0x22 (") with `%22`"
    # https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data
    return name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


def file_part(name: str, file: Any) -> Tuple[Optional[str], Any, Dict[str, str]]:
    """(filename, bytes or FilePart, headers) of what a caller passed as a file."""
    filename: Optional[str] = None
    mime: Optional[str] = None
    headers: Dict[str, str] = {}
    content = file
    if isinstance(file, tuple):
        if not 2 <= len(file) <= 4:
            raise TypeError(f"`{name}` must be (filename, content[, content_type[, headers]])")
        filename, content = file[0], file[1]
        mime = file[2] if len(file) > 2 else None
        headers = dict((file[3] if len(file) > 3 else None) or {})
    part: Any
    if isinstance(content, (bytes, bytearray, memoryview)):
        part, default = bytes(content), "upload"
    elif isinstance(content, os.PathLike):
        path = os.fspath(content)
        path = path if isinstance(path, str) else os.fsdecode(path)
        default = os.path.basename(path)
        with open(path, "rb") as opened:  # a wrong path is an error before anything is sent
            if os.path.isfile(path):
                part = FilePart(path, opened.seek(0, os.SEEK_END), default)
            else:
                part = open_part(name, opened, default)
    elif hasattr(content, "read"):
        named = getattr(content, "name", None)
        default = os.path.basename(named) if isinstance(named, str) else "upload"
        part = open_part(name, content, default)
    elif isinstance(content, str) and isinstance(file, tuple):
        part, default = content.encode("utf-8"), "upload"
    else:
        raise TypeError(
            f"`{name}` must be bytes, a file opened with 'rb', a pathlib.Path or a (filename, "
            f"content) tuple, not {type(content).__name__}; for a path in a str write Path(...)"
        )
    if filename is None and not isinstance(file, tuple):  # (None, content) asks for no name
        filename = default
    if mime is None and filename is not None:
        import mimetypes

        mime = mimetypes.guess_type(filename)[0] or "application/octet-stream"
    if mime is not None and not any(k.lower() == "content-type" for k in headers):
        headers["Content-Type"] = mime
    return filename, part, headers


def open_part(name: str, file: Any, label: str) -> Any:
    if isinstance(file, io.TextIOBase) or isinstance(file.read(0), str):
        raise TypeError(f"`{name}` is a file opened in text mode; open it with 'rb'")
    try:
        file.seek(0, os.SEEK_END)
        return FilePart(file, file.tell(), label)  # not all that can seek return the position
    except (OSError, AttributeError, io.UnsupportedOperation):
        # A pipe can be read once, and its length is unknown: keep it on disk, so that the length
        # can be sent ahead and the body again.
        import shutil
        import tempfile

        part = FilePart(tempfile.TemporaryFile(), 0, label, spooled=True)
        shutil.copyfileobj(file, part.source, BLOCK)
        part.size = part.source.tell()
        return part


def file_from_path(path: str) -> Tuple[str, bytes]:
    """(name, contents) of a file, as the official package offers it; a Path uses less memory."""
    with open(path, "rb") as file:
        return os.path.basename(path), file.read()


# ---- 2.5 Headers ---- https://www.rfc-editor.org/rfc/rfc9110#section-5

SECRET_HEADERS = (
    "authorization", "api-key", "x-api-key", "proxy-authorization", "cookie", "set-cookie",
)


header_field = Pattern("([^:\r\n]+):[ \t]*([^\r\n]*)")
of_every_call = {
    name: f"\n{name}:"
    for name in (
        "connection", "content-encoding", "content-length", "content-type", "transfer-encoding",
        "x-request-id",
    )
}


class Headers(StringMapping):
    """The headers of a response: names compare without case, repeated ones are joined with ', '."""

    def __init__(
        self, source: Union[str, Mapping[str, str], Iterable[Tuple[str, str]], None] = None
    ) -> None:
        self._fields: Optional[Dict[str, str]] = None
        if isinstance(source, str):
            # A call looks at six of two dozen, which are found in the text.
            self._text = f"\n{source}\n"
            self._folded = self._text.lower()
            if not source.isascii():  # of which the small letters may be longer
                self._fill(header_field.findall(source))
        else:
            pairs: Any = source.items() if isinstance(source, Mapping) else source or ()
            self._fill(pairs)

    def _fill(self, pairs: Iterable[Tuple[str, str]]) -> Dict[str, str]:
        fields: Dict[str, str] = {}
        for name, value in pairs:
            name = name.lower()
            fields[name] = fields[name] + ", " + value if name in fields else value
        self._fields = fields
        return fields

    @property
    def fields(self) -> Dict[str, str]:
        known = self._fields
        return self._fill(header_field.findall(self._text)) if known is None else known

    def __getitem__(self, name: str) -> str:
        return self.fields[name.lower()].rstrip(" \t")

    def __iter__(self) -> Iterator[str]:
        return iter(self.fields)

    def __len__(self) -> int:
        return len(self.fields)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self.fields

    if not TYPE_CHECKING:

        def get(self, name, default=None):  # Mapping's raises and catches a KeyError for each miss
            key = of_every_call.get(name) if self._fields is None else None
            if key is not None:
                start = self._folded.find(key) + len(key)
                if start < len(key):
                    return default
                if self._folded.find(key, start) < 0:
                    return self._text[start : self._text.find("\n", start)].strip(" \t\r")
            value = self.fields.get(name.lower())
            return default if value is None else value.rstrip(" \t")

    def __repr__(self) -> str:
        shown = {k: "<redacted>" if k in SECRET_HEADERS else v for k, v in self.fields.items()}
        return f"Headers({shown!r})"


# https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2
token_characters = frozenset(map(chr, range(33, 127))).difference('"(),/:;<=>?@[\\]{}')


def header_value(name: str, value: Any) -> str:
    """`value`, if it can stand in a header; the message of the error never shows it."""
    if not name or not token_characters.issuperset(name):
        raise OpenAIError(f"{name!r} is no header name")
    text = value if isinstance(value, str) else str(value)
    try:
        text.encode("latin-1" if name.lower() not in SECRET_HEADERS else "ascii")
    except UnicodeEncodeError:
        raise OpenAIError(
            f"the header {name!r} holds characters that HTTP cannot carry; curly quotes and other "
            f"leftovers of copying are the usual cause (its value is not shown)"
        ) from None
    if "\n" in text or "\r" in text or "\0" in text:
        raise OpenAIError(
            f"the header {name!r} holds a line break; strip() what was read from a file "
            f"(its value is not shown)"
        )
    return text


def set_header(headers: Dict[str, str], name: str, value: Any) -> None:
    """Put one header in place of a namesake of any case; `omit` removes it."""
    if name not in headers:
        folded = name.lower()
        for old in headers:
            if old.lower() == folded:
                del headers[old]
                break
    if isinstance(value, Omit):
        headers.pop(name, None)
    elif value is not None:
        headers[name] = header_value(name, value)


# ---- 2.6 Pieces of a body ----


class ByteCutter:
    """Pieces of `size` bytes, or just as they come."""

    def __init__(self, size: Optional[int] = None) -> None:
        self.size = size
        self.rest: List[bytes] = []  # of a piece that is not complete yet
        self.missing = size or 0  # bytes that it lacks

    def feed(self, data: bytes) -> List[bytes]:
        if self.size is None:
            return [data] if data else []
        if len(data) < self.missing:  # joined once it is complete, not each time
            self.rest.append(data)
            self.missing -= len(data)
            return []
        data = b"".join([*self.rest, data])
        full = len(data) - len(data) % self.size
        self.rest, self.missing = [data[full:]], self.size - len(data) + full
        return [data[start : start + self.size] for start in range(0, full, self.size)]

    def finish(self) -> List[bytes]:
        last = b"".join(self.rest)
        return [last] if last else []


class ReportedCutter(ByteCutter):
    """The same; calls `progress(bytes so far, bytes in all or None)`, and hangs up if it fails."""

    def __init__(self, response: HTTPResponse, progress: Any, size: Optional[int] = None) -> None:
        super().__init__(size)
        self.response, self.progress, self.received = response, progress, 0
        # The length of a compressed body says nothing about what it will be unpacked.
        length = "" if response._unpack else response.headers.get("content-length", "")
        self.total = int(length) if length.isdecimal() else None

    def feed(self, data: bytes) -> List[bytes]:
        self.received += len(data)
        try:
            self.progress(self.received, self.total)
        except BaseException:
            self.response.close()
            raise
        return super().feed(data)


class TextCutter:
    """Pieces of `size` characters, or as they come, however the network cuts a character."""

    def __init__(self, encoding: Optional[str], size: Optional[int] = None) -> None:
        import codecs

        self.decoder = codecs.getincrementaldecoder(encoding or "utf-8")("replace")
        self.size = size
        self.rest: List[str] = []  # of a piece that is not complete yet
        self.missing = size or 0  # characters that it lacks

    def feed(self, data: bytes, final: bool = False) -> List[str]:
        text = self.decoder.decode(data, final)
        if self.size is None:
            return [text] if text else []
        if len(text) < self.missing and not final:
            self.rest.append(text)
            self.missing -= len(text)
            return []
        text = "".join([*self.rest, text])
        full = len(text) if final else len(text) - len(text) % self.size
        self.rest, self.missing = [text[full:]], self.size - len(text) + full
        return [text[start : start + self.size] for start in range(0, full, self.size)]

    def finish(self) -> List[str]:
        return self.feed(b"", True)


class LineCutter:
    """Lines of text without their ends, "\\n" or "\\r\\n"."""

    def __init__(self, encoding: Optional[str]) -> None:
        self.text = TextCutter(encoding)
        self.partial: List[str] = []  # pieces of a line whose end has not come yet

    def feed(self, data: bytes, final: bool = False) -> List[str]:
        *lines, rest = "".join(self.text.feed(data, final)).split("\n")
        if lines:
            lines[0] = "".join(self.partial) + lines[0]
            self.partial = []
        if rest:
            self.partial.append(rest)
        return [line[:-1] if line[-1:] == "\r" else line for line in lines]

    def finish(self) -> List[str]:
        lines = self.feed(b"", True)
        return lines + (["".join(self.partial)] if self.partial else [])


########################################################################
## 3. Errors: what can go wrong, as a tree
########################################################################
#   OpenAIError                    also raised for a wrong configuration
#     APIError                     message, request, body, code, param, type
#       APIConnectionError         no complete answer: DNS, TCP, TLS, proxy, or the peer hung up
#         APITimeoutError          IncompleteStreamError
#       APIResponseValidationError an answer that is not what it says it is
#       APIStatusError             status 4xx or 5xx: status_code, response, request_id
#         BadRequestError 400      AuthenticationError 401 (OAuthError)  PermissionDeniedError 403
#         NotFoundError 404        ConflictError 409          UnprocessableEntityError 422
#         RateLimitError 429       InternalServerError >= 500
#     LengthFinishReasonError, ContentFilterFinishReasonError, OutputParseError
#                                  the answer came, but cannot be parsed
#     BulkUploadError              some of many files: uploaded, errors
#     AgentTurnResultError         no whole answer of an agent: reason, turn, messages
#     AgentOutputParseError        the answer came, and does not fit its class: result
#     AgentFilePreparationError, AgentFileStagingError
#                                  what was uploaded until then: prepared, uploaded_file_id


class OpenAIError(Exception):
    """The base of every error that this module raises on purpose."""

    def __reduce__(self) -> Any:  # constructors differ, so pickle takes the parts instead
        return restore_error, (type(self), self.args, self.__dict__)


def restore_error(cls: Any, args: Any, state: Dict[str, Any]) -> Any:
    error = cls.__new__(cls, *args)
    error.args = args
    error.__dict__.update(state)
    return error


class APIError(OpenAIError):
    """The API, or the way to it, failed.  `body` is the parsed error object, text, or None."""

    def __init__(self, message: str, request: Optional[HTTPRequest], *, body: Any) -> None:
        super().__init__(message)
        self.message = message
        self.request = request
        self.body = body
        details = body if isinstance(body, dict) else {}
        code = details.get("code")
        self.code: Optional[str] = code if code is None else str(code)
        self.param: Optional[str] = details.get("param")
        self.type: Optional[str] = details.get("type")


class APIConnectionError(APIError):
    """There was no complete answer.  The message says host, phase and cause."""

    def __init__(
        self, *, message: str = "Connection error.", request: Optional[HTTPRequest] = None
    ) -> None:
        super().__init__(message, request, body=None)


class APITimeoutError(APIConnectionError):
    """A time limit passed: see Timeout."""

    def __init__(
        self, request: Optional[HTTPRequest] = None, message: str = "Request timed out."
    ) -> None:
        super().__init__(message=message, request=request)


class APIResponseValidationError(APIError):
    """The answer came, but it is not what it should be, such as HTML where JSON was due."""

    def __init__(self, response: HTTPResponse, body: Any, *, message: Optional[str] = None) -> None:
        message = message or "Data returned by API invalid for expected schema."
        super().__init__(message, response.request, body=body)
        redact_head(response)
        self.response = response
        self.status_code = response.status_code


class APIStatusError(APIError):
    """The API answered with an error status."""

    def __init__(self, message: str, *, response: HTTPResponse, body: Any) -> None:
        super().__init__(message, response.request, body=body)
        self.response = response
        self.status_code = response.status_code
        self.request_id: Optional[str] = response.headers.get("x-request-id")


class BadRequestError(APIStatusError): status_code = 400
class AuthenticationError(APIStatusError): status_code = 401
class PermissionDeniedError(APIStatusError): status_code = 403
class NotFoundError(APIStatusError): status_code = 404
class ConflictError(APIStatusError): status_code = 409
class UnprocessableEntityError(APIStatusError): status_code = 422
class RateLimitError(APIStatusError): status_code = 429
class InternalServerError(APIStatusError): ...


class OAuthError(AuthenticationError):
    """A token exchange was refused; `error` is the code of RFC 6749 section 5.2."""

    def __init__(self, *, response: HTTPResponse, body: Any) -> None:
        details = body if isinstance(body, dict) else {}
        message = details.get("error_description") or "OAuth authentication error."
        super().__init__(message, response=response, body=body)
        self.error: Optional[str] = details.get("error")


class IncompleteStreamError(APIConnectionError, RuntimeError):
    """A stream ended before the server marked its end; `snapshot` is what had come until then."""

    snapshot: Any = None


class LengthFinishReasonError(OpenAIError):
    """An answer that should be parsed was cut at the limit of tokens."""

    def __init__(self, *, completion: ChatCompletion) -> None:
        usage = f" - {completion.usage}" if completion.usage else ""
        super().__init__("Could not parse response content as the length limit was reached" + usage)
        self.completion = completion


class ContentFilterFinishReasonError(OpenAIError):
    """An answer that should be parsed was withheld by the content filter."""

    def __init__(self, *, completion: Optional[ChatCompletion] = None) -> None:
        super().__init__(
            "Could not parse response content as the request was rejected by the content filter"
        )
        self.completion = completion


class OutputParseError(OpenAIError, ValueError):
    """An answer, or the arguments of a tool call, do not fit their type.  `text` is all of it."""

    def __init__(self, message: str, *, text: Union[str, bytes]) -> None:
        super().__init__(message)
        self.text = text


class BulkUploadError(OpenAIError):
    """Some of many files could not be uploaded.

    `errors` has what befell each of them, by its name; `uploaded` has the FileObject of each file,
    in their order, or None where that failed: upload only the rest again.
    """

    def __init__(
        self, uploaded: List[Optional[FileObject]], errors: Dict[str, BaseException]
    ) -> None:
        shown = "; ".join(f"{name}: {shorten(repr(err), 300)}" for name, err in errors.items())
        super().__init__(
            f"{len(errors)} of {len(uploaded)} files could not be uploaded: {shorten(shown, 2000)}"
        )
        self.uploaded, self.errors = uploaded, errors


class AgentTurnResultError(OpenAIError):
    """What came does not make up the whole answer of a turn; `messages` are those that came.

    With the reason "incomplete" or "observation_failed" the turn may still go on, or have ended
    well: retrieve() it.  The latter has the error that came in between as its cause.
    """

    def __init__(
        self,
        reason: Literal[
            "failed", "cancelled", "requires_action", "incomplete", "observation_failed"
        ],
        *, turn: Optional[Turn], session_id: Optional[str], messages: List[AgentSessionItem],
        required_actions: List[Any],
    ) -> None:
        super().__init__(f"Could not collect the agent turn result: {reason}")
        self.reason, self.turn, self.session_id = reason, turn, session_id
        self.turn_id = None if turn is None else turn.id
        self.messages, self.required_actions = messages, required_actions


class AgentOutputParseError(OpenAIError):
    """The answer of a completed turn does not fit the class; `result` has it as text."""

    def __init__(self, result: AgentTurnResult[Any]) -> None:
        super().__init__("Could not parse the completed agent output")
        self.result = result


class AgentFilePreparationError(OpenAIError):
    """Not all files could be uploaded; `prepared` has those that were: they are yours to delete."""

    def __init__(self, prepared: PreparedAgentFiles) -> None:
        super().__init__("Could not prepare all agent files; what was uploaded is in `prepared`")
        self.prepared = prepared


class AgentFileStagingError(OpenAIError):
    """A file was uploaded, but could not be put into the environment: it is yours to delete."""

    def __init__(self, uploaded_file_id: str) -> None:
        super().__init__(f"Could not stage the agent file, uploaded as {uploaded_file_id}")
        self.uploaded_file_id = uploaded_file_id


class InvalidWebhookSignatureError(ValueError):
    """A webhook was not signed with the secret."""


STATUS_ERRORS: Dict[int, Any] = {
    400: BadRequestError, 401: AuthenticationError, 403: PermissionDeniedError, 404: NotFoundError,
    409: ConflictError, 422: UnprocessableEntityError, 429: RateLimitError,
}


def status_error(response: HTTPResponse, secrets: Sequence[str]) -> APIStatusError:
    """The error for a response with an error status, its body read."""
    import json

    text = redacted_content(response, secrets).decode("utf-8", "replace").strip()
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = text
    body = parsed["error"] if isinstance(parsed, dict) and "error" in parsed else parsed
    said = body.get("message") if isinstance(body, dict) else body
    said = said if isinstance(said, str) and said else parsed
    message = f"Error code: {response.status_code}"
    if said:
        message += " - " + shorten(str(said), 2000)
    if response.status_code == 403 and "1010" in text:
        message += (
            " (a Cloudflare rule refused this client's User-Agent; set your own in default_headers)"
        )
    request_id = response.headers.get("x-request-id")
    if request_id:
        message += f" (request id: {request_id})"
    kind = STATUS_ERRORS.get(response.status_code)
    if kind is None:
        kind = InternalServerError if response.status_code >= 500 else APIStatusError
    error: APIStatusError = kind(message, response=response, body=body)
    return error


def redacted(text: str, request: Optional[HTTPRequest], secrets: Sequence[str] = ()) -> str:
    """`text` without the credentials that went out with a request: a relay may echo them."""
    sent = list(secrets)
    if request is not None:
        sent += [*request.secrets, *secrets_in(request.url)]
        values = [v for k, v in request.headers.items() if k.lower() in SECRET_HEADERS]
        for value in values + [request.proxy_auth]:
            kind, _, secret = value.rpartition(" ")  # "Bearer" or "Basic" stands in front
            sent += [secret, password_in(secret)] if kind == "Basic" else [secret]
    for secret in sent:
        if len(secret) > 7:  # to blot out "test" would hide more than it protects
            text = text.replace(secret, "<redacted>")
    return text


def redact_head(response: HTTPResponse, secrets: Sequence[str] = ()) -> None:
    """Have reason and headers of a response hold no credentials from now on."""

    def hide(text: str) -> str:
        return redacted(text, response.request, secrets)

    response.reason_phrase = hide(response.reason_phrase)
    response.headers = Headers({name: hide(value) for name, value in response.headers.items()})


def redacted_content(response: HTTPResponse, secrets: Sequence[str] = ()) -> bytes:
    """The body of a response, which holds no credentials from now on."""
    redact_head(response, secrets)
    text = response.content.decode("latin-1")  # bytes as they are; credentials are ASCII
    response._content = redacted(text, response.request, secrets).encode("latin-1")
    return response._content


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


def connection_error(err: BaseException, request: HTTPRequest, phase: str) -> APIConnectionError:
    """`OSError` as what a user can act on: where, in which phase, why, and what to do."""
    import socket

    where = request.host + getattr(err, "via", "")
    if isinstance(err, (socket.timeout, DeadlineExceeded)):
        return APITimeoutError(request, f"Request timed out. ({phase} {where}: {err})")
    reason = str(err) or type(err).__name__
    if isinstance(err, MalformedResponse):  # which quotes the server
        reason = shorten(redacted(reason, request), 100)
        err.args = (reason,)  # a traceback shows it too
    hint = ""
    if "CERTIFICATE_VERIFY_FAILED" in reason:
        hint = "; set SSL_CERT_FILE, or http_client=DefaultHttpxClient(verify='ca.pem')"
    elif isinstance(err, socket.gaierror):
        phase, hint = "dns", "; check the host name and the network"
    elif isinstance(err, ConnectionRefusedError):
        hint = "; nothing listens there"
    return APIConnectionError(
        message=f"Connection error. ({phase} {where}: {reason}{hint})", request=request
    )


def ended_without_goodbye(err: OSError) -> bool:
    """How Pythons before 3.10 speak of a TLS connection that was just closed."""
    return err.errno == 0 or "unexpected eof" in str(err)


def hung_up(err: OSError) -> bool:
    """Whether the other side closed the connection; the TLS layer has its own words for it."""
    tls_words = ("SSLEOFError", "SSLZeroReturnError")
    return isinstance(err, ConnectionError) or type(err).__name__ in tls_words


class DeadlineExceeded(OSError):
    """A limit of ours passed, as opposed to the socket's."""


########################################################################
## 4. Transport: one request, one response, and when to try again
########################################################################

# ---- 4.1 Limits ----


class Timeout:
    """How long to wait, in seconds, None meaning for ever.

    `connect`, `read`, `write` and `pool` each bound one operation, as in httpx: a read may be
    repeated many times within one call.  `total`, which httpx lacks, bounds the whole call:
    connect, body, retries and the waits between them.  `Timeout(30)` sets the four to 30 s,
    `Timeout(60, connect=2)` one of them apart, `Timeout(total=30)` keeps their defaults.
    """

    __slots__ = ("connect", "read", "write", "pool", "total")

    def __init__(
        self, timeout: Union[float, Timeout, None] = omit, *, connect: Optional[float] = omit,
        read: Optional[float] = omit, write: Optional[float] = omit, pool: Optional[float] = omit,
        total: Optional[float] = None,
    ) -> None:
        given = [connect, read, write, pool]
        if isinstance(timeout, Omit):
            if any(isinstance(v, Omit) for v in given):
                if total is None:
                    raise ValueError("give a default, Timeout(60, read=5), or all four limits")
                timeout = DEFAULT_TIMEOUT
        if hasattr(timeout, "connect"):  # a Timeout, ours or httpx's
            defaults = [getattr(timeout, name) for name in ("connect", "read", "write", "pool")]
            total = total if total is not None else getattr(timeout, "total", None)
        else:
            defaults = [timeout] * 4
        self.connect, self.read, self.write, self.pool = [
            seconds(d if isinstance(v, Omit) else v) for v, d in zip(given, defaults)
        ]
        self.total = seconds(total)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Timeout) and self._limits() == other._limits()

    def __hash__(self) -> int:
        return hash(self._limits())

    def _limits(self) -> Tuple[Optional[float], ...]:
        return self.connect, self.read, self.write, self.pool, self.total

    def __repr__(self) -> str:
        return "Timeout(%s)" % ", ".join(f"{n}={getattr(self, n)!r}" for n in self.__slots__)


def seconds(value: Any) -> Optional[float]:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"a timeout is a number of seconds or None, not {type(value).__name__}")
    if not value >= 0:  # also false for nan
        raise ValueError(f"a timeout cannot be {value!r} seconds")
    return value if value < 2147483 else None  # sockets count milliseconds in 31 bits: 24 days


class Limits:
    """How many connections at once, how many of them kept open while idle, and for how long (s)."""

    def __init__(
        self, max_connections: Optional[int] = 1000, max_keepalive_connections: Optional[int] = 100,
        # Shorter than the idle limits of common load balancers (60 s at AWS, 75 s at nginx).
        keepalive_expiry: Optional[float] = 30.0,
    ) -> None:
        self.max_connections = max_connections
        self.max_keepalive_connections = max_keepalive_connections
        self.keepalive_expiry = keepalive_expiry

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Limits) and vars(self) == vars(other)

    def __repr__(self) -> str:
        return "Limits(%s)" % ", ".join(f"{n}={value!r}" for n, value in vars(self).items())


DEFAULT_TIMEOUT = Timeout(600, connect=5.0)
DEFAULT_CONNECTION_LIMITS = Limits()
DEFAULT_MAX_RETRIES = 2

# ---- 4.2 Requests ----


class Origin(str):
    """Where a URL leads, as "https://host:443": credentials may go to this server and no other."""

    scheme: str
    host: str
    port: int

    def __new__(cls, scheme: str, host: str, port: int) -> Origin:
        shown = f"[{host}]" if ":" in host else host
        made = super().__new__(cls, f"{scheme}://{shown}:{port}")
        made.scheme, made.host, made.port = scheme, host, port
        return made

    def __getnewargs__(self) -> Any:
        return self.scheme, self.host, self.port


printable = frozenset(map(chr, range(33, 127)))
known_urls: Dict[str, Tuple[Origin, str, str]] = {}  # a program asks few URLs, many times


def split_url(url: str) -> Tuple[Origin, str, str]:
    """`"https://me:pw@a.com/v1?x=1"` is `(Origin("https", "a.com", 443), "/v1?x=1", "me:pw")`."""
    known = known_urls.get(url)
    if known is None:
        known = parse_url(url)
        if len(known_urls) > 256:
            known_urls.clear()
        known_urls[url] = known  # another thread may clear it at any time
    return known


def parse_url(url: str) -> Tuple[Origin, str, str]:
    scheme, separator, rest = url.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in ("http", "https"):
        raise OpenAIError(
            f"{without_secrets(url)!r} is no URL: it must start with http:// or https://"
        )
    end = min((i for i in map(rest.find, "/?#") if i >= 0), default=len(rest))
    authority, target = rest[:end], rest[end:].partition("#")[0]
    userinfo, _, hostport = authority.rpartition("@")
    host, given_port = split_host(hostport)
    port = (443 if scheme == "https" else 80) if given_port is None else given_port
    if not host or port > 65535:
        raise OpenAIError(f"{without_secrets(url)!r} has no usable host and port")
    if any(c > "\x7f" for c in host):
        try:
            host = host.encode("idna").decode("ascii")
        except UnicodeError:
            raise OpenAIError(f"{host!r} is no host name") from None
    if not target.startswith("/"):
        target = "/" + target
    if not printable.issuperset(target):  # spaces and non-ASCII: encode what a browser would
        import urllib.parse

        target = urllib.parse.quote(target, safe="/?&=%:@!$'()*+,;~[]-._")
    return Origin(scheme, host.lower(), port), target, userinfo


def split_host(text: str) -> Tuple[str, Optional[int]]:
    """`"[::1]:80"` is `("::1", 80)`; the host is "" where the text is none."""
    if text[:1] == "[":
        host, bracket, port = text[1:].partition("]")
        fitting = bracket and port[:1] in ("", ":") and printable.issuperset(host)
        port = port[1:]
    else:
        host, _, port = text.partition(":")
        fitting = min(host, default="") > " " and not set(host).intersection("[]\x7f\x85\xa0\u3000")
    digits = port == "" or (len(port) < 10 and port.isdigit() and printable.issuperset(port))
    return (host, int(port) if port else None) if fitting and digits else ("", None)


secret_parameter = Pattern(
    r"(?i)([?&](?:[^=&#]*(?:key|token|secret|signature|credential|password)[^=&#]*|sig)=)[^&#]*"
)


url_userinfo = Pattern(r"(//|^)[^/?#]*@")


def without_userinfo(url: str) -> str:
    return url_userinfo.sub(r"\1", url, 1)


def without_secrets(url: str) -> str:
    """A URL fit to be shown: no user, no password, no value of `?api_key=` and its like."""
    return secret_parameter.sub(r"\1<redacted>", without_userinfo(url))


def secrets_in(url: str) -> List[str]:
    """The values of `?api_key=` and its like, as they stand there and as they are meant."""
    import urllib.parse

    found = [match.group()[len(match.group(1)) :] for match in secret_parameter.finditer(url)]
    return found + [urllib.parse.unquote_plus(value) for value in found]


def password_in(basic: str) -> str:
    """What basic_auth() made, undone; the user is no secret."""
    import base64

    try:
        return base64.b64decode(basic).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""  # somebody wrote this header on their own


def basic_auth(userinfo: str) -> str:
    import base64
    import urllib.parse

    user, _, password = userinfo.partition(":")
    raw = f"{urllib.parse.unquote(user)}:{urllib.parse.unquote(password)}"
    return "Basic " + base64.b64encode(raw.encode("utf-8")).decode("ascii")


class HTTPRequest:
    """One request as it goes to a transport.  Its `repr` and its pickle hold no credentials.

    `body` is bytes, a MultipartBody or None; `timeout` a Timeout; `deadline` a time of `clock()`.
    """

    def __init__(
        self, method: str, url: str, headers: Optional[Dict[str, str]] = None, body: Any = None,
        timeout: Timeout = DEFAULT_TIMEOUT, deadline: Optional[float] = None,
        stop: Optional[StopSignal] = None,
    ) -> None:
        self.method, self.body = method, body
        self.headers: Dict[str, str] = {} if headers is None else headers
        self.timeout, self.deadline, self.stop = timeout, deadline, stop
        self.origin, self.target, self.userinfo = split_url(url)
        self.url = without_userinfo(url) if self.userinfo else url
        # What must not be shown: of the client, and of the proxy that the request went through.
        self.secrets: Sequence[str] = ()
        self.proxy_auth = ""

    @property
    def host(self) -> str:
        return f"{self.origin.host}:{self.origin.port}"

    @property
    def authority(self) -> str:
        """The server as a URL names it."""
        host = self.origin.host if ":" not in self.origin.host else f"[{self.origin.host}]"
        default = 443 if self.origin.scheme == "https" else 80
        return host if self.origin.port == default else f"{host}:{self.origin.port}"

    @property
    def content(self) -> bytes:
        """The body, as httpx calls it; read into memory if it lies on disk."""
        return (
            b"".join(bytes(b) for b in self.body.blocks())
            if hasattr(self.body, "blocks")
            else self.body or b""
        )

    def time_left(self, limit: Optional[float]) -> Optional[float]:
        """`limit`, or what the deadline leaves of it."""
        if limit == 0:  # which to a socket means something else
            raise DeadlineExceeded("the limit is 0 s")
        if self.deadline is None:
            return limit
        left = self.deadline - clock()
        if left <= 0:
            raise DeadlineExceeded("the total time limit has passed")
        return left if limit is None else min(left, limit)

    def head(self, target: str) -> bytes:
        """Request line and headers as bytes."""
        fields = "\r\n".join(("", *map(": ".join, self.headers.items())))
        host = "" if "\nhost:" in fields.lower() else f"\r\nHost: {self.authority}"
        body, length = self.body, ""
        if body is not None:
            size = body.length if hasattr(body, "length") else len(body)
            length = f"\r\nContent-Length: {size}"
        elif self.method in ("POST", "PUT", "PATCH"):
            length = "\r\nContent-Length: 0"
        head = f"{self.method} {target} HTTP/1.1{host}{fields}{length}\r\n\r\n"
        return head.encode("latin-1")

    def __repr__(self) -> str:
        return f"<HTTPRequest {self.method} {self.shown(self.url)}>"

    def shown(self, url: str) -> str:
        """This URL, of the request or a part of it, fit to be shown."""
        return redacted(without_secrets(url), self)

    def __getstate__(self) -> Dict[str, Any]:
        shown = {k: v for k, v in self.headers.items() if k.lower() not in SECRET_HEADERS}
        body = self.body if isinstance(self.body, bytes) else None
        return dict(
            self.__dict__, headers=shown, body=body, stop=None, deadline=None, userinfo="",
            url=self.shown(self.url), target=self.shown(self.target), secrets=(), proxy_auth="",
        )


class StopSignal:
    """Lets another thread end a call: it shuts the socket that the call waits on."""

    def __init__(self) -> None:
        self.stopped = False
        self.holder: Any = None  # what has the socket in `.sock`: a connection, or one being made
        self.waiting: Any = None  # the lock that a wait for an address sleeps on

    def stop(self) -> None:
        self.stopped = True
        waiting = self.waiting
        if waiting is not None:
            wake(waiting)
        sock = getattr(self.holder, "sock", None)
        if sock is not None:
            shut(sock)

    def check(self) -> None:
        if self.stopped:
            raise DeadlineExceeded("the call was cancelled")


def wake(waiting: Any) -> None:
    """Release a lock, whoever else does so at the same time."""
    try:
        waiting.release()
    except RuntimeError:
        pass  # it was awake already


def shut(sock: Any) -> None:
    import socket

    try:
        # Past the TLS layer, which another thread is using: only the kernel may be told.
        socket.socket.shutdown(sock, socket.SHUT_RDWR)
    except OSError:
        pass  # it was closed already, which is all that was wanted


# ---- 4.3 Steps ----
#
# What both clients do is written once: as a generator that yields a Step where it has to wait, and
# is sent what came of it.  The sync client waits on the spot, with wait().  The async client waits
# in its EventLoop (7.3), with async_wait(), and has a thread go on where what follows may block.


class Step:
    """Something to wait for.  Both methods return what the generator is sent."""

    def wait(self) -> Any: ...

    def async_wait(self, loop: EventLoop) -> Coroutine[Any, Any, Any]: ...


def drive(steps: Steps[R]) -> R:
    """Take the steps of a generator in this thread, and return what it returns."""
    answer: Any = None
    try:
        while True:
            answer = steps.send(answer).wait()
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]


BLOCKING = Step()  # what follows may wait for the network or for a disk


class Pause(Step):
    """Wait for so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def wait(self) -> None:
        sleep(self.seconds)

    async def async_wait(self, loop: EventLoop) -> None:
        import asyncio

        await asyncio.sleep(self.seconds)


class Queued(Step):
    """Wait in a queue until called, at most `limit` seconds."""

    limit: Optional[float] = None

    def __init__(self) -> None:
        self.called = False
        self.tell: Callable[[], Any] = lambda: None

    def call(self) -> None:
        self.called = True
        self.tell()

    def wait(self) -> None:
        import _thread

        lock = _thread.allocate_lock()
        lock.acquire()
        self.tell = lambda: wake(lock)
        if not self.called:
            lock.acquire(timeout=-1 if self.limit is None else self.limit)
        self.called = False

    async def async_wait(self, loop: EventLoop) -> None:
        future = loop.future()
        self.tell = lambda: loop.loop.call_soon_threadsafe(settle, future, True, None)
        if not self.called:
            await loop.in_time(future, self.limit)
        self.called = False


# ---- 4.4 Responses ---- https://www.rfc-editor.org/rfc/rfc9112


BUFFER = 65536  # bytes received at a time


class SocketReader:
    """Reads a socket within the limits of one request, and keeps what nobody has asked for yet."""

    def __init__(self, sock: Any, request: HTTPRequest) -> None:
        self.sock, self.request = sock, request
        self.limit = request.timeout.read  # for one read
        self.received = 0
        self.data, self.at = b"", 0  # what was received last, and where that is still to be read
        self.in_loop = False  # whether the event loop does the waiting
        self.idle_deadline: Optional[float] = None
        self.waits = self.limit  # the socket's time limit

    def at_hand(self) -> bytes:
        """What has arrived; never waits."""
        return self.data[self.at :] if self.at else self.data

    def fetch(self) -> Optional[int]:
        """Receive what is there, without waiting: so many bytes, or None if there is nothing."""
        sock = self.sock
        waits = sock.gettimeout()
        sock.setblocking(False)
        try:
            more: bytes = sock.recv(BUFFER)
        except OSError as err:
            if type(err).__name__ in ("BlockingIOError", "SSLWantReadError"):
                return None  # for instance a TLS record that is not for us
            if not ended_without_goodbye(err):
                raise
            more = b""
        finally:
            sock.settimeout(waits)
        self.data, self.at = self.at_hand() + more, 0
        self.received += len(more)
        self.in_loop = True
        return len(more)

    def read(self, size: int) -> bytes:
        """So many bytes, or less at the end, in one piece of memory without joining copies."""
        end = self.at + size
        if end > len(self.data):
            return io.BufferedReader(Window(self, size), BUFFER).read(size)
        piece, self.at = self.data[self.at : end], end
        return piece

    def read1(self, limit: int) -> bytes:
        """What there is, at most `limit` bytes, waiting for the first; b"" at the end."""
        if self.at >= len(self.data):
            if limit >= BUFFER:
                more: bytes = self.receive(self.sock.recv, limit) or b""
                return more
            self.fill()
        piece = self.data[self.at : self.at + limit]
        self.at += len(piece)
        return piece

    def readinto(self, view: memoryview) -> int:
        if self.at >= len(self.data):
            got: int = self.receive(self.sock.recv_into, view) or 0
            return got
        piece = self.read1(len(view))
        view[: len(piece)] = piece
        return len(piece)

    def readline(self, limit: int) -> bytes:
        """Up to the end of a line, of the stream, or of the limit."""
        pieces: List[bytes] = []
        room, end = limit, 0
        while room and not end and (self.at < len(self.data) or self.fill()):
            start = self.at
            end = self.data.find(b"\n", start, start + room) + 1
            self.at = end or min(start + room, len(self.data))
            pieces.append(self.data[start : self.at])
            room -= self.at - start
        return b"".join(pieces)

    def fill(self) -> bool:
        """Wait for more; False at the end."""
        self.data, self.at = self.receive(self.sock.recv, BUFFER) or b"", 0
        return bool(self.data)

    def receive(self, read: Callable[[Any], Any], amount: Any) -> Any:
        """read(amount), within the limits."""
        request = self.request
        if request.deadline is not None or self.idle_deadline is not None:
            limit = self.check_deadlines()
            # A system call, not worth it for less than a hundredth of the limit.
            if request.deadline is not None or limit is None or self.waits is None or not (
                limit <= self.waits <= 1.01 * limit
            ):
                self.sock.settimeout(limit)
                self.waits = limit
        if request.stop is not None:
            request.stop.check()
        try:
            got = read(amount)
        except OSError as err:
            if ended_without_goodbye(err):
                return None
            self.check_deadlines()  # say which limit it was, if it was not the socket's own
            raise
        self.received += got if got.__class__ is int else len(got)
        return got

    def check_deadlines(self) -> Optional[float]:
        """How long the next read may wait; raises DeadlineExceeded if a limit has passed."""
        limit = self.limit
        if self.idle_deadline is not None:
            left = self.idle_deadline - clock()
            if left <= 0:
                raise DeadlineExceeded(f"no event for {limit} s")
            limit = left
        return self.request.time_left(limit)


class Window(io.RawIOBase):
    """The next `size` bytes of a reader, for io.BufferedReader: it shall not take what follows."""

    def __init__(self, reader: SocketReader, size: int) -> None:
        self.reader, self.left = reader, size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        got = self.reader.readinto(memoryview(buffer)[: self.left]) if self.left else 0
        self.left -= got
        return got


class TruncatedBody(OSError):
    """The connection ended before the body did."""


class MalformedResponse(OSError):
    """The bytes are not HTTP."""


class MessageBody:
    """The body of one response on a connection, told apart from what follows it.

    https://www.rfc-editor.org/rfc/rfc9112#section-6
    """

    plain_size = Pattern(b"([0-9A-Fa-f]{1,16})\r\n")
    any_size = Pattern(b"[0-9A-Fa-f]{1,16}\\Z")

    def __init__(
        self, reader: SocketReader, length: Optional[int], chunked: bool, until_eof: bool
    ) -> None:
        self.reader = reader
        self.left = 0 if chunked or until_eof else length or 0  # bytes of the body or of the chunk
        self.chunked, self.until_eof = chunked, until_eof
        self.got = 0
        self.ended = not chunked and not until_eof and self.left == 0

    def read1(self, limit: int) -> bytes:
        """What is there, at most `limit` bytes, waiting for the first; b"" at the end."""
        if self.ended:
            return b""
        if self.chunked and not self.left and not self.next_chunk():
            return b""
        data = self.reader.read1(limit if self.until_eof else min(limit, self.left))
        self.took(len(data))
        return data

    def readinto(self, view: memoryview) -> int:
        if self.ended:
            return 0
        if self.chunked and not self.left and not self.next_chunk():
            return 0
        got = self.reader.readinto(view if self.until_eof else view[: self.left])
        self.took(got)
        return got

    def read(self) -> bytes:
        """All of it.  A body of known length is read in one piece, without joining copies."""
        if not self.chunked and not self.until_eof and self.left:
            try:
                data = self.reader.read(self.left)
            except MemoryError:
                pass  # nobody has that much, so perhaps it is not true: take what comes
            else:
                self.took(len(data))
                if not self.ended:
                    self.took(0)
                return data
        pieces: List[bytes] = []
        while True:
            piece = self.read1(BLOCK)
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    def took(self, count: int) -> None:
        self.got += count
        if self.until_eof:
            self.ended = count == 0
            return
        if count == 0:
            missing = "" if self.chunked else f" of {self.got + self.left}"
            raise TruncatedBody(
                f"the connection was closed after {self.got}{missing} bytes of the body"
            )
        self.left -= count
        if self.left == 0:
            if not self.chunked:
                self.ended = True
                return
            end = self.reader.read(2)
            if len(end) == 2 and end != b"\r\n":
                raise MalformedResponse("a chunk does not end where it says")
            if len(end) < 2:
                self.cut()

    def whole_chunks(self) -> List[bytes]:
        """The chunks that have arrived whole, after one that was read to its end; never waits."""
        chunks: List[bytes] = []
        at_hand, at = self.reader.at_hand(), 0
        while True:
            found = self.plain_size.match(at_hand, at)
            if not found:
                break
            start = found.end()
            end = start + int(found.group(1), 16)
            if end == start or at_hand[end : end + 2] != b"\r\n":
                break  # the last chunk, one still on its way, or a malformed one
            chunks.append(at_hand[start:end])
            at = end + 2
            self.got += end - start
        if at:
            self.reader.at += at
        return chunks

    def next_chunk(self) -> bool:
        size = self.line(4096).partition(b";")[0].strip()  # after ';' come extensions
        if not self.any_size.match(size):
            raise MalformedResponse(f"{size!r} is no chunk size")
        self.left = int(size, 16)
        if self.left:
            return True
        while self.line(65536) not in (b"\r\n", b"\n"):
            pass  # trailers
        self.ended = True
        return False

    def line(self, limit: int) -> bytes:
        line = self.reader.readline(limit)
        if line[-1:] != b"\n":
            if len(line) == limit:
                raise MalformedResponse("a line of the chunked body is too long")
            self.cut()
        return line

    def cut(self) -> None:
        raise TruncatedBody(f"the connection was closed after {self.got} bytes of the chunked body")

    def can_read(self, at_hand: bytes) -> bool:
        """Whether what is at hand is enough for read1() to return some, or to find the end."""
        if self.ended or not self.chunked:
            return self.ended or bool(at_hand)
        start, left = 0, self.left
        if not left:
            size_line = self.plain_size.match(at_hand)
            if not size_line:
                return False
            start, left = size_line.end(), int(size_line.group(1), 16)
            if not left:
                return at_hand[start : start + 2] == b"\r\n"
        return 0 < len(at_hand) - start < left or len(at_hand) - start >= left + 2

    def is_whole(self) -> bool:
        """Whether what is at hand is enough for read(), no part having been read before."""
        at_hand = self.reader.at_hand()
        if not self.chunked:
            return not self.until_eof and len(at_hand) >= self.left
        at, size = 0, 1
        while size:
            size_line = self.plain_size.match(at_hand, at)
            if not size_line:
                return False
            size = int(size_line.group(1), 16)
            at = size_line.end() + size + 2
        return at_hand[at - 2 : at] == b"\r\n"


charset = Pattern(r"(?i)charset=\"?([\w-]+)")


class HTTPResponse:
    """One answer: `status_code`, `headers`, and a body that is read when it is asked for.

    A transport of your own builds it from bytes: `HTTPResponse(200, {"x": "y"}, b"{}", request=r)`.
    """

    def __init__(
        self, status_code: int, headers: Union[Headers, Mapping[str, str], None] = None,
        content: Optional[bytes] = b"", *, request: Optional[HTTPRequest] = None, reason: str = "",
        body: Optional[MessageBody] = None, connection: Optional[Connection] = None,
    ) -> None:
        self.status_code, self.reason_phrase = status_code, reason
        self.headers = headers if isinstance(headers, Headers) else Headers(headers)
        self.request = request
        self.http_version = "HTTP/1.1"
        self.is_closed = body is None
        self.retries_taken = 0
        self.started = self.ended = clock()
        self._content = None if body is not None else content
        self._body, self._connection = body, connection
        self._reading = False
        encoding = self.headers.get("content-encoding", "").lower()
        self._unpack: Optional[Unpacker] = None
        if encoding in ("gzip", "x-gzip", "deflate"):
            self._unpack = Unpacker(encoding)
            if self._content:
                self._content = self._unpack.feed(self._content) + self._unpack.finish()

    # Reading: everything below ends in `_read_some` or `_read_all`, which keep errors typed.

    def _read_some(self, limit: int = BLOCK) -> bytes:
        """The next bytes of the body, unpacked; b"" at its end."""
        body = self._body
        if body is None:
            return b""
        self._reading = True
        try:
            while True:
                data = body.read1(limit)
                if data and body.chunked and body.left == 0 and self._connection is not None:
                    # A server sends an event per chunk; take all that have arrived.
                    more = body.whole_chunks()
                    data = b"".join([data] + more) if more else data
                if not data:
                    data = self._unpack.finish() if self._unpack else b""
                    self._finished()
                    return data
                if body.ended and not body.chunked and self._unpack is None:
                    self._finished()
                if self._unpack:
                    data = self._unpack.feed(data)
                if data:
                    return data
        except (OSError, ValueError) as err:
            raise self._failed(err) from err
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._reading = False

    def _read_all(self) -> bytes:
        if self._body is None:
            return b""
        self._reading = True
        try:
            data = self._body.read()
            if self._unpack:
                data = self._unpack.feed(data) + self._unpack.finish()
            self._finished()
            return data
        except (OSError, ValueError) as err:
            raise self._failed(err) from err
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._reading = False

    # In the event loop (4.3) that is done as follows.

    def _read_steps(self) -> Steps[None]:
        """read(), in a thread if the body has not come with the head."""
        body = self._body
        if body is not None and body.reader.in_loop and not body.is_whole():
            yield BLOCKING
        self.read()

    def _some_steps(self, limit: int = BLOCK) -> Steps[bytes]:
        """_read_some(), in a thread if no more than a part of what it needs is there."""
        body, connection = self._body, self._connection
        if connection is None or body is None:
            return self._read_some(limit)
        reader = body.reader
        self._reading = True
        try:
            while True:
                if not reader.in_loop or self._unpack:
                    yield BLOCKING
                    break
                at_hand = reader.at_hand()
                if body.can_read(at_hand):
                    break
                if at_hand:
                    yield BLOCKING
                    break
                reader.waits = reader.check_deadlines()
                reader.sock.settimeout(reader.waits)
                came = yield connection
                if came and reader.fetch() == 0:
                    break  # it has ended
        except OSError as err:
            raise self._failed(err) from err
        except BaseException:
            self._hang_up()
            raise
        finally:
            self._reading = False
        return self._read_some(limit)

    def _finished(self) -> None:
        """The body is complete: give the connection back."""
        self.ended = clock()
        connection, self._connection, body, self._body = self._connection, None, self._body, None
        self.is_closed = True
        if connection is not None:
            connection.finished(body)

    def _failed(self, err: BaseException) -> APIError:
        request = self.request or HTTPRequest("GET", "http://unknown")
        self._hang_up()
        if isinstance(err, ValueError) and not isinstance(err, UnicodeError):
            return APIResponseValidationError(
                self, None, message=f"unreadable body from {request.host}: {err}"
            )
        return connection_error(err, request, "read")

    def read(self) -> bytes:
        """The whole body; kept, so that it can be read again.  Raises APIConnectionError if cut."""
        if self._content is None:
            if self._body is None:
                raise OpenAIError(
                    "the body of this response was already read as a stream, or closed"
                )
            self._content = self._read_all()
        return self._content

    @property
    def content(self) -> bytes:
        return self.read()

    @property
    def text(self) -> str:
        return self.read().decode(self.encoding or "utf-8", "replace")

    @property
    def encoding(self) -> Optional[str]:
        """The charset of the content type, if it names one that can read any bytes."""
        match = charset.search(self.headers.get("content-type", ""))
        if match:
            import codecs

            try:
                name = codecs.lookup(match.group(1)).name
                "x".encode(name)  # refuses base64 and other codecs that make no text
                codecs.getincrementaldecoder(name)("replace").decode(b"x\xff\xff\xff", True)
                return name
            except (LookupError, UnicodeError):
                return None
        return None

    def json(self) -> Any:
        """The body as parsed JSON; raises ValueError if it is none."""
        import json

        return json.loads(self.read().decode("utf-8"))

    def batches(self, cutter: Any) -> Iterator[List[Any]]:
        """What each network read completes, as a cutter of section 2.6 cuts it."""
        if self._content is not None:
            yield cutter.feed(self._content)
        else:
            while True:
                data = self._read_some()
                if not data:
                    break
                yield cutter.feed(data)
        yield cutter.finish()

    def iter_bytes(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        """The body in pieces, of `chunk_size` bytes if given, in constant memory."""
        return (data for batch in self.batches(ByteCutter(chunk_size)) for data in batch)

    iter_raw = iter_bytes

    def iter_text(self, chunk_size: Optional[int] = None) -> Iterator[str]:
        """The text in pieces, of `chunk_size` characters if given."""
        cutter = TextCutter(self.encoding, chunk_size)
        return (text for batch in self.batches(cutter) for text in batch)

    def iter_lines(self) -> Iterator[str]:
        """The lines of the text, without their ends."""
        return (line for batch in self.batches(LineCutter(self.encoding)) for line in batch)

    def write_to(self, file: Any, cutter: Any = None) -> int:
        """Copy the body to a file open for writing in binary; return the number of bytes."""
        body, written = self._body, 0
        if self._content is None and body is not None and self._unpack is None and cutter is None:
            buffer = memoryview(bytearray(BLOCK))
            self._reading = True
            try:
                while True:
                    try:
                        got = body.readinto(buffer)
                    except OSError as err:  # of the network; one of the disk is raised as it is
                        raise self._failed(err) from err
                    if not got:
                        break
                    file.write(buffer[:got])
                    written += got
            except BaseException:
                self._hang_up()
                raise
            finally:
                self._reading = False
            self._finished()
            return written
        try:
            for batch in self.batches(cutter or ByteCutter()):
                for data in batch:
                    file.write(data)
                    written += len(data)
        except BaseException:
            self.close()
            raise
        return written

    def close(self) -> None:
        """Hang up, if the body was not read to its end."""
        if self._reading:  # another thread waits for the network: it will wake up and hang up
            self.is_closed = True
            sock = getattr(self._connection, "sock", None)
            if sock is not None and getattr(self._connection, "process", 0) == os.getpid():
                shut(sock)
        else:
            self._hang_up()

    def _hang_up(self) -> None:
        connection, self._connection, self._body = self._connection, None, None
        self.is_closed = True
        if connection is not None:
            connection.close()

    def __del__(self) -> None:
        if getattr(self, "_connection", None) is not None:
            self._hang_up()

    @property
    def url(self) -> str:
        return self.request.url if self.request else ""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status_code < 300

    @property
    def elapsed(self) -> timedelta:
        """The time from sending the request to the end of the body."""
        from datetime import timedelta

        return timedelta(seconds=self.ended - self.started)

    def __repr__(self) -> str:
        return f"<HTTPResponse [{self.status_code} {redacted(self.reason_phrase, self.request)}]>"

    def __getstate__(self) -> Dict[str, Any]:
        kept = {
            k: redacted(v, self.request) for k, v in self.headers.items() if k not in SECRET_HEADERS
        }
        return dict(
            self.__dict__, headers=Headers(kept), _body=None, _connection=None, _unpack=None,
            is_closed=True,
        )


class Unpacker:
    """Undo Content-Encoding gzip or deflate, a piece at a time."""

    def __init__(self, encoding: str) -> None:
        import zlib

        self.encoding, self.zlib = encoding, zlib
        self.stream = zlib.decompressobj(47)  # 32 + 15: a gzip or a zlib header, whichever comes
        self.started = False
        self.head = b""

    def feed(self, data: bytes) -> bytes:
        if not self.started:
            self.head += data
            if len(self.head) < 2:
                return b""
            data, self.head, self.started = self.head, b"", True
            zlib_header = data[0] & 15 == 8 and int.from_bytes(data[:2], "big") % 31 == 0
            if self.encoding == "deflate" and not zlib_header and data[:2] != b"\x1f\x8b":
                # "Some non-conformant implementations send the 'deflate' compressed data without
                # the zlib wrapper."  https://www.rfc-editor.org/rfc/rfc9110#section-8.4.1.2
                self.stream = self.zlib.decompressobj(-15)
        pieces: List[bytes] = []
        room = max(1 << 28, 100 * len(data))
        # In slices, because zlib copies all that follows a gzip member, and there may be many.
        for start in range(0, len(data), 16384):
            rest = data[start : start + 16384]
            while rest:
                if self.stream.eof:  # several gzip members in a row
                    self.stream = self.zlib.decompressobj(47)
                try:
                    pieces.append(self.stream.decompress(rest, room))
                except self.zlib.error as err:
                    raise ValueError(f"broken {self.encoding} data ({err})") from None
                room -= len(pieces[-1])
                if self.stream.unconsumed_tail or room <= 0:
                    raise ValueError(
                        f"the {self.encoding} data is a bomb: 256 MB of next to nothing"
                    )
                rest = self.stream.unused_data
        return b"".join(pieces)

    def finish(self) -> bytes:
        if self.head or (self.started and not self.stream.eof):
            raise ValueError(f"the {self.encoding} data ends too early")
        return b""


# ---- 4.5 Connections ----


def is_address(host: str) -> bool:
    return ":" in host or host.replace(".", "").isdigit()


class Dialer(Step):
    """Connects as `http.client` does, which takes 20 ms to load.

    Here the socket can be reached while it connects, so that a stop ends the wait.
    """

    def __init__(self, origin: Origin, request: HTTPRequest, source: Any) -> None:
        self.origin, self.request, self.source = origin, request, source
        self.sock: Any = None
        self.address: Any = None

    def connect(self) -> Steps[None]:
        import errno
        import socket

        request = self.request
        failure: Optional[OSError] = None
        host, port = self.origin.host, self.origin.port
        for family, kind, number, _, self.address in self.addresses(host, port):
            self.close()
            self.sock = socket.socket(family, kind, number)
            self.sock.settimeout(request.time_left(request.timeout.connect))
            if request.stop is not None:
                request.stop.check()
            try:
                if self.source is not None:
                    self.sock.bind(self.source)
                code = yield self
                if not code:
                    self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    return
                if code == errno.EWOULDBLOCK:
                    raise socket.timeout("timed out")
                windows: Dict[int, str] = getattr(socket, "errorTab", {})
                raise OSError(code, windows.get(code) or os.strerror(code))
            except OSError as err:
                failure = err  # the next address may do
        try:
            raise failure or OSError("the name has no address")
        finally:
            del failure  # an error and the frame that it passes through would keep each other alive

    def wait(self) -> int:
        """As a step, this is to wait until the socket is connected.

        Gives the number of the error if there was one, EWOULDBLOCK for the time limit.
        """
        code: int = self.sock.connect_ex(self.address)
        return code

    async def async_wait(self, loop: EventLoop) -> int:
        import errno
        import socket

        limit = self.sock.gettimeout()
        self.sock.setblocking(False)
        code = self.wait()
        self.sock.settimeout(limit)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            if not await loop.ready(self.sock, "writer"):
                return errno.EWOULDBLOCK
            code = self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        return code

    def addresses(self, host: str, port: int) -> List[Any]:
        """What getaddrinfo() finds, within the time limit.

        Nothing can interrupt it while it waits for a name server, so that it does so in a thread of
        its own, which is left alone when the limit is over, or the call, or the program.
        """
        import _thread
        import socket

        def look_up() -> None:
            try:
                found.append(socket.getaddrinfo(host, port, 0, 1))  # 1: a stream
            except Exception as err:
                found.append(err)
            wake(done)

        found: List[Any] = []
        done = _thread.allocate_lock()
        done.acquire()
        request, stop = self.request, self.request.stop
        limit = request.time_left(request.timeout.connect)
        try:
            if is_address(host):
                look_up()  # an address already: there is nothing to wait for
            else:
                _thread.start_new_thread(look_up, ())
        except RuntimeError:  # no more threads, for instance because the interpreter is ending
            look_up()
        if stop is not None:
            stop.waiting = done
            stop.check()
        done.acquire(timeout=-1 if limit is None else min(limit, _thread.TIMEOUT_MAX))
        if stop is not None:
            stop.waiting = None
            stop.check()
        if not found:
            request.time_left(None)  # say so if it was the total limit
            raise DeadlineExceeded(f"no address was found for the name within {limit:g} s")
        result = found.pop()
        try:
            if isinstance(result, Exception):
                raise result
            addresses: List[Any] = result
            return addresses
        finally:
            del result  # as above

    def tunnel(self, target: str, auth: str) -> None:
        """Have the proxy that was connected to pass everything on to `target`, "host:port"."""
        head = f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n"
        head += f"Proxy-Authorization: {auth}\r\n" if auth else ""
        request = self.request
        self.sock.sendall(f"{head}\r\n".encode("latin-1"))
        reader = SocketReader(self.sock, request)
        reader.limit = request.timeout.connect
        _, status, reason, _, _ = read_head(reader)
        if not 200 <= status < 300:
            raise OSError(f"Tunnel connection failed: {status} {redacted(reason, request)}")

    def close(self) -> None:
        if self.sock is not None:
            self.sock.close()


class Connection(Step):
    """A connected socket, written to and read from directly."""

    def __init__(
        self, transport: HTTPTransport, key: Any, sock: Any, absolute: bool, proxy_auth: str
    ) -> None:
        # While the connection is idle the transport knows it, and it does not know the transport:
        # two objects that hold each other live until the garbage collector comes by.
        self.transport: Optional[HTTPTransport] = transport
        self.slots, self.expiry = transport.slots, transport.limits.keepalive_expiry
        self.process = transport.process
        self.key = key
        self.sock: Any = sock
        self.poll: Any = None  # see alive()
        self.absolute, self.proxy_auth = absolute, proxy_auth
        self.reader: Any = None
        self.used = 0
        self.idle_since = 0.0
        self.keep = True
        self.phase = "send"
        self.timeout: Any = omit

    def wait(self) -> None:
        """As a step, this is to wait for an answer, for as long as the socket may.

        The event loop sends back whether it came; else, to read will do the waiting.
        """

    def async_wait(self, loop: EventLoop) -> Coroutine[Any, Any, bool]:
        return loop.ready(self.sock, "reader")

    def exchange(self, request: HTTPRequest, head: bytes) -> Steps[HTTPResponse]:
        """Write the request, read the head of the response."""
        body = request.body
        if body is not None and not (isinstance(body, bytes) and len(body) <= 16384):
            yield BLOCKING  # it may not fit into the socket's buffer
        started = clock()
        self.phase = "send"
        self.reader = SocketReader(self.sock, request)
        limit = request.time_left(request.timeout.write)
        if limit != self.timeout:
            self.sock.settimeout(limit)
            self.timeout = limit
        try:
            self.write(head, request)
        except OSError as err:
            if not hung_up(err):
                raise
            # The server may have answered without waiting for the rest, with a 413 for instance.
            self.keep = False
            yield BLOCKING
            try:
                return self.response(request, started)
            except OSError:
                pass
            raise
        self.phase = "read"
        found: Optional[Head] = None
        came: Optional[bool] = True
        while came:
            limit = request.time_left(request.timeout.read)
            if limit != self.timeout:
                self.sock.settimeout(limit)
                self.timeout = limit
            came = yield self
            if came and self.reader.fetch() is not None:
                found = plain_head(self.reader.data)
                break
        if came is False:
            import socket

            self.reader.check_deadlines()  # say which limit it was
            raise socket.timeout("timed out")
        if came and found is None:
            yield BLOCKING
        return self.response(request, started, found)

    def write(self, head: bytes, request: HTTPRequest) -> None:
        body = request.body
        if body is None or isinstance(body, bytes) and len(body) < 65536:
            # One packet, where two would wait for an acknowledgement.
            self.sock.sendall(head + (body or b""))
            return
        self.sock.sendall(head)
        # In blocks, because Python bounds a whole `sendall`, not one write, by the time limit.
        for block in blocks_of(body) if isinstance(body, bytes) else body.blocks():
            if request.deadline is not None:
                self.sock.settimeout(request.time_left(request.timeout.write))
                self.timeout = omit
            self.sock.sendall(block)

    def response(
        self, request: HTTPRequest, started: float, head: Optional[Head] = None
    ) -> HTTPResponse:
        """The response that follows, of which a plain head may have been seen already."""
        reader = self.reader
        if head is not None:
            reader.at += head[4]
        for _ in range(100):
            version, status, reason, headers, _ = head or read_head(reader)
            if status >= 200 or status == 101:
                break  # 100 Continue and 103 Early Hints come before the response that counts
        else:
            raise MalformedResponse("a hundred responses of status 1xx, and none that counts")
        length: Optional[int] = None
        # "If a Transfer-Encoding header field is present in a response and the chunked transfer
        # coding is not the final encoding, the message body length is determined by reading the
        # connection until it is closed by the server."  The length, if given, does not count.
        coding = headers.get("transfer-encoding", "").lower().rpartition(",")[2].strip()
        chunked = coding == "chunked"
        text = headers.get("content-length")
        if text is not None and coding in ("", "identity"):
            if not plain_length.match(text):  # "5, 5" means 5
                lengths = {part.strip() for part in text.split(",")}
                one = lengths.pop()
                if lengths or not plain_length.match(one):
                    raise MalformedResponse(f"bad Content-Length {text!r}")
                text = one
            length = int(text)
        if status in (204, 304) or status == 101 or request.method == "HEAD":
            length, chunked = 0, False
        until_eof = length is None and not chunked
        connection = headers.get("connection", "").lower()
        if (
            until_eof
            or status == 101  # what follows is another protocol
            or "close" in connection
            or (version == "HTTP/1.0" and "keep-alive" not in connection)
        ):
            self.keep = False
        body = MessageBody(reader, length, chunked, until_eof)
        response = HTTPResponse(
            status, headers, None, request=request, reason=reason, body=body, connection=self
        )
        response.http_version, response.started = version, started
        return response

    def finished(self, body: Optional[MessageBody]) -> None:
        """A response was read to its end: keep the connection for the next one, if it is clean."""
        self.used += 1
        stop, reader = self.reader.request.stop, self.reader
        clean = self.keep and body is not None and body.ended and not reader.at_hand()
        if not clean or (stop and stop.stopped):
            self.close()
            return
        self.detach()
        if reader.idle_deadline is not None or reader.request.deadline is not None:
            self.timeout = omit  # the reader has changed the socket's timeout
        self.reader = None
        self.idle_since = clock()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.release(self)

    def alive(self) -> bool:
        """Whether an idle connection looks usable: open, and with nothing unasked-for to read."""
        import select

        if self.expiry is not None and clock() - self.idle_since > self.expiry:
            return False
        try:
            if self.poll is None and hasattr(select, "poll"):
                self.poll = select.poll()  # select() fails on descriptors above 1023
                self.poll.register(self.sock, select.POLLIN)
            if self.poll is not None:
                return not self.poll.poll(0)
            return not select.select([self.sock], [], [], 0)[0]
        except (OSError, ValueError):
            return False

    def detach(self) -> None:
        """Nobody waits on this socket any more, so nobody shall shut it."""
        if self.reader is not None and self.reader.request.stop is not None:
            self.reader.request.stop.holder = None

    def close(self) -> None:
        sock, self.sock = self.sock, None
        if sock is not None:
            self.detach()
            sock.close()
            self.slots.give_back()


plain_length = Pattern(r"[0-9]{1,18}\Z")
folded_line = Pattern("\n[ \t]+")
plain_response = Pattern(
    b"(HTTP/1\\.[01]) ([2-5][0-9][0-9])(?: ([ -~]*))?\r\n((?:[!-~][ -~]*\r\n)*)\r\n"
)
plain_status = Pattern(r"(HTTP/1\.[01]) ([1-9][0-9][0-9])(?: (.*))?\Z")


def plain_head(data: bytes) -> Optional[Head]:
    """The head that these bytes begin with, if it is all there, plain to read, and no 1xx."""
    match = plain_response.match(data)
    if not match:
        return None
    version, status, reason, fields = match.groups()
    reason = (reason or b"").decode("ascii")
    headers = Headers(fields.decode("ascii"))
    return version.decode("ascii"), int(status), reason, headers, match.end()


def read_head(reader: SocketReader) -> Head:
    """The head of the response that follows."""
    if reader.at >= len(reader.data):
        reader.fill()
    head = plain_head(reader.at_hand())
    if head is not None:
        reader.at += head[4]
        return head
    lines: List[bytes] = []  # it comes in pieces, or some of its lines end in LF
    size = 0
    while not lines or lines[-1] not in (b"\r\n", b"\n"):
        line = reader.readline(65537)
        size += len(line)
        if not line:
            what = "without an answer" if not lines else "in the middle of the headers"
            raise ConnectionResetError(f"the connection was closed {what}")
        if size > 262144:
            raise MalformedResponse("the headers of the response exceed 256 KB")
        lines.append(line)
    text = b"".join(lines).decode("latin-1").replace("\r\n", "\n")
    status_line, _, fields = text.partition("\n")
    match = plain_status.match(status_line)
    if not match:
        raise MalformedResponse(f"the answer is not HTTP/1.1: it starts with {status_line!r}")
    if "\n " in fields or "\n\t" in fields:  # obsolete line folding
        fields = folded_line.sub(" ", fields)
    headers = Headers(header_field.findall(fields))
    return match.group(1), int(match.group(2)), match.group(3) or "", headers, size


# ---- 4.6 The transport ----


class Slots:
    """How many connections may still be made, and the queue of who waits for one."""

    def __init__(self, count: int) -> None:
        # Lists, because append and pop are atomic: no lock where every request passes.
        self.free = [None] * count
        self.queue: List[Queued] = []

    def __len__(self) -> int:
        return len(self.free)

    def take(self) -> bool:
        try:
            self.free.pop()
            return True
        except IndexError:
            return False

    def give_back(self) -> None:
        self.free.append(None)
        self.call_next()

    def call_next(self) -> None:
        """Have the first in the queue try again; it leaves when it has a connection."""
        for turn in list(self.queue):
            try:
                turn.call()
                return
            except RuntimeError:
                self.leave(turn)  # the event loop in which it waited is closed

    def leave(self, turn: Queued) -> None:
        try:
            self.queue.remove(turn)
        except ValueError:
            pass  # call_next() in another thread has done it


class HTTPTransport:
    """Sends requests over kept-alive connections.  One per client; safe to share between threads.

    - verify: True, False, the path of a CA bundle, or an `ssl.SSLContext`
    - cert: a client certificate: path, (cert, key) or (cert, key, password)
    - local_address: the address to connect from
    - proxy: "http://user:password@host:port", for every host; without it the environment's
      HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY count (trust_env=False: not even those)
    - limits: see Limits
    """

    def __init__(
        self, *, verify: Union[bool, str, ssl.SSLContext] = True,
        cert: Union[str, Tuple[str, ...], None] = None, local_address: Optional[str] = None,
        proxy: Optional[str] = None, limits: Limits = DEFAULT_CONNECTION_LIMITS,
        trust_env: bool = True,
    ) -> None:
        self.verify, self.cert, self.local_address = verify, cert, local_address
        self.proxy, self.limits, self.trust_env = proxy, limits, trust_env
        if proxy is not None:
            split_url(proxy)
        self.context: Any = None
        self.closed = False
        self.start()

    def start(self) -> None:
        self.process = os.getpid()
        self.idle: Dict[Any, List[Connection]] = {}
        self.slots = Slots(self.limits.max_connections or 1 << 20)

    def send(self, request: HTTPRequest) -> HTTPResponse:
        """One request, one response, its body still to be read.  Raises APIConnectionError."""
        return drive(self.steps(request))

    def steps(self, request: HTTPRequest) -> Steps[HTTPResponse]:
        """What send() does, for who waits otherwise (4.3)."""
        if self.closed:
            raise APIConnectionError(
                message="Connection error. (the client is closed)", request=request
            )
        if self.process != os.getpid():  # a fork: the sockets belong to the parent
            for inherited in [c for idle in self.idle.values() for c in idle]:
                inherited.close()
            self.start()
        fresh = False
        while True:
            connection: Any = None
            try:
                if not fresh and not self.slots.queue:
                    connection = self.take_idle(request.origin)
                if connection is None:
                    connection = yield from self.acquire(request, fresh)
                if request.stop is not None:
                    request.stop.holder = connection
                    request.stop.check()
                target = request.target
                if connection.absolute:
                    target = "http://" + request.authority + target
                head = request.head(target)
                request.proxy_auth = connection.proxy_auth
                if connection.absolute and connection.proxy_auth:
                    line = f"\r\nProxy-Authorization: {connection.proxy_auth}\r\n\r\n"
                    head = head[:-4] + line.encode("latin-1")
                response: HTTPResponse = (yield from connection.exchange(request, head))
                return response
            except OSError as err:
                if connection is not None:
                    connection.close()
                    received = connection.reader.received if connection.reader else 0
                    # The server may close a connection it deems idle just as we write to it.  Not
                    # one byte of an answer came, so nothing is lost by asking again, once.
                    if (
                        connection.used
                        and not received
                        and hung_up(err)
                        and not fresh
                    ):
                        fresh = True
                        continue
                    phase = "read" if received else connection.phase
                else:
                    phase = getattr(err, "phase", "connect")
                raise connection_error(err, request, phase) from err
            except BaseException:
                if connection is not None:
                    connection.close()
                raise

    def acquire(self, request: HTTPRequest, fresh: bool) -> Steps[Connection]:
        """A connection for this: one that is idle, unless it shall be fresh, or else a new one."""
        turn: Optional[Queued] = None
        queue = self.slots.queue
        give_up = None if request.timeout.pool is None else clock() + request.timeout.pool
        try:
            while True:
                if queue[:1] == [turn] or not queue:  # first come, first served
                    connection = None if fresh else self.take_idle(request.origin)
                    if connection is not None:
                        return connection
                    if self.slots.take() or (self.close_one() and self.slots.take()):
                        break
                # All connections are in use.
                if turn is None:
                    turn = Queued()
                    queue.append(turn)
                    continue  # one may have come free before we stood there
                turn.limit = None if give_up is None else give_up - clock()
                if turn.limit is not None and turn.limit <= 0:
                    raise DeadlineExceeded(f"no free connection within {request.timeout.pool} s")
                turn.limit = request.time_left(turn.limit)
                yield turn
        finally:
            if turn is not None:
                self.slots.leave(turn)
                self.slots.call_next()  # there may be more than one
        try:
            return (yield from self.connect(request.origin, request))
        except BaseException:
            self.slots.give_back()
            raise

    def take_idle(self, origin: Origin) -> Optional[Connection]:
        idle = self.idle.get(origin)
        while idle:
            try:
                connection = idle.pop()
            except IndexError:
                break
            if connection.alive():
                connection.transport = self
                return connection
            connection.close()
        return None

    def close_one(self) -> bool:
        """Close an idle connection, to whatever server, for another to take its place."""
        for idle in list(self.idle.values()):
            try:
                idle.pop().close()
                return True
            except IndexError:
                pass
        return False

    def release(self, connection: Connection) -> None:
        idle = self.idle.setdefault(connection.key, [])
        limit = self.limits.max_keepalive_connections
        if self.closed or (limit is not None and len(idle) >= limit):
            connection.close()
        else:
            idle.append(connection)
            self.slots.call_next()

    def connect(self, origin: Origin, request: HTTPRequest) -> Steps[Connection]:
        """A new connection to `origin`, through a proxy if one is due."""
        import socket

        proxy = self.proxy_for(origin)
        source = (self.local_address, 0) if self.local_address else None
        first, auth, phase = origin, "", "connect"
        if proxy:
            first, _, userinfo = split_url(proxy)
            if first.scheme != "http":
                raise phased(
                    "proxy", f"{first.scheme}:// proxies are not supported, use an http:// one"
                )
            auth, phase = basic_auth(userinfo) if userinfo else "", "proxy"
            request.proxy_auth = auth
        if origin.scheme == "https" or not is_address(first.host):
            yield BLOCKING
        context = self.tls() if origin.scheme == "https" else None
        maker = Dialer(first, request, source)
        if request.stop is not None:
            request.stop.holder = maker
        try:
            yield from maker.connect()
            if context is not None:
                if proxy:
                    maker.tunnel(origin.partition("://")[2], auth)
                phase = "tls"
                maker.sock.settimeout(request.time_left(request.timeout.connect))
                maker.sock = context.wrap_socket(
                    maker.sock, server_hostname=origin.host, do_handshake_on_connect=False
                )
                if request.stop is not None:
                    request.stop.check()
                maker.sock.do_handshake()  # apart, so that a stop can reach the socket meanwhile
        except BaseException as err:
            maker.close()
            if request.stop is not None:
                request.stop.holder = None
            if not isinstance(err, Exception):  # Ctrl-C
                raise
            if self.trust_fully(err, context):
                return (yield from self.connect(origin, request))
            via = f" via {first.host}:{first.port}" if proxy else ""
            if not isinstance(err, OSError):
                raise phased(phase, f"{type(err).__name__}: {err}", via) from err
            err.phase, err.via = phase, via  # type: ignore[attr-defined]
            raise
        sock, maker.sock = maker.sock, None
        # Long silent calls die behind NAT without probes; most routers forget after some minutes.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPALIVE", 60), ("TCP_KEEPINTVL", 30)):
            if hasattr(socket, option):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)
        return Connection(self, origin, sock, bool(proxy) and origin.scheme == "http", auth)

    def proxy_for(self, origin: Origin) -> Optional[str]:
        if self.proxy is not None:
            return self.proxy
        if not self.trust_env:
            return None
        if sys.platform not in ("win32", "darwin") and not any(
            n.lower().endswith("_proxy") for n in os.environ
        ):
            return None
        import urllib.request

        proxies = urllib.request.getproxies()
        proxy = proxies.get(origin.scheme) or proxies.get("all")
        if (
            not proxy
            or urllib.request.proxy_bypass(origin.host)
            or bypassed(origin, proxies.get("no", ""))
        ):
            return None
        if "://" not in proxy:
            proxy = "http://" + proxy
        if proxy.lower().startswith("socks"):
            name = (origin.scheme if proxies.get(origin.scheme) else "all").upper() + "_PROXY"
            raise phased(
                "proxy", f"{name} asks for a SOCKS proxy, which is not supported; unset it"
            )
        return proxy

    def tls(self) -> Any:
        if self.context is None:
            self.context = make_tls_context(self.verify, self.cert)
        return self.context

    def trust_fully(self, err: BaseException, context: Any) -> bool:
        """After a verification failure: load every default CA, if only a directory was used."""
        import ssl

        if context is None or context is not tls_defaults.get("fast"):
            return False
        if not isinstance(err, ssl.SSLCertVerificationError):
            return False
        if "full" not in tls_defaults:
            tls_defaults["full"] = ssl.create_default_context()
        self.context = tls_defaults["full"]
        return True

    def close(self) -> None:
        """Close the idle connections; those in use close when their response ends."""
        self.closed = True
        for idle in self.idle.values():
            while idle:
                idle.pop().close()

    def __del__(self, getpid: Any = os.getpid) -> None:  # `os` is gone when the interpreter ends
        if hasattr(self, "idle") and self.process == getpid():
            self.close()

    def __getstate__(self) -> Dict[str, Any]:
        return {
            n: getattr(self, n)
            for n in ("verify", "cert", "local_address", "proxy", "limits", "trust_env")
        }

    def __setstate__(self, state: Dict[str, Any]) -> None:
        self.__dict__.update(state, context=None, closed=False)
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def phased(phase: str, message: str, via: str = "") -> OSError:
    err = OSError(message)
    err.phase, err.via = phase, via  # type: ignore[attr-defined]
    return err


def bypassed(origin: Origin, no_proxy: str) -> bool:
    """What urllib's rules for NO_PROXY lack: networks, `*.` patterns, brackets and ports."""
    for entry in no_proxy.lower().replace(",", " ").split():
        host, port = split_host(entry)
        if port is not None and port != origin.port:
            continue
        entry = host or entry
        if entry == origin.host or (entry.startswith("*.") and origin.host.endswith(entry[1:])):
            return True
        if "/" in entry:
            import ipaddress

            try:
                if ipaddress.ip_address(origin.host) in ipaddress.ip_network(entry, strict=False):
                    return True
            except ValueError:
                continue  # a host name, or no network
    return False


tls_defaults: Dict[str, Any] = {}  # the context of every transport without settings of its own


def make_tls_context(verify: Any, cert: Any) -> Any:
    import ssl

    if isinstance(verify, ssl.SSLContext):
        context = verify
    elif verify is True and cert is None:
        if "full" in tls_defaults:
            return tls_defaults["full"]
        if "fast" not in tls_defaults:
            tls_defaults["fast"] = fast_tls_context()
        return tls_defaults["fast"]
    elif verify is True:
        context = ssl.create_default_context()
    elif verify is False:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    else:
        path = os.fspath(verify)
        context = ssl.create_default_context(
            **{"capath" if os.path.isdir(path) else "cafile": path}
        )
    if cert is not None:
        chain = (cert,) if isinstance(cert, str) else tuple(cert)
        context.load_cert_chain(*chain)
    return context


def fast_tls_context() -> Any:
    """A context that reads CA certificates one by one as they are needed, where that is possible.

    Loading the whole bundle takes 25 ms; a directory of hashed names is looked up in microseconds.
    """
    import ssl

    paths = ssl.get_default_verify_paths()
    if os.environ.get("SSL_CERT_FILE") or not paths.capath or sys.platform in ("win32", "darwin"):
        return ssl.create_default_context()
    try:
        if not any(name.endswith(".0") for name in os.listdir(paths.capath)):
            return ssl.create_default_context()
    except OSError:
        return ssl.create_default_context()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # checks host names and certificates
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(capath=paths.capath)
    return context


class DefaultHttpxClient(HTTPTransport):
    """HTTPTransport under the name and with the arguments of the official package."""

    def __init__(
        self, *, proxy: Optional[str] = None,
        proxies: Union[str, Mapping[str, Optional[str]], None] = None,
        transport: Optional[HTTPTransport] = None, verify: Union[bool, str, ssl.SSLContext] = True,
        cert: Union[str, Tuple[str, ...], None] = None, timeout: Union[float, Timeout, None] = omit,
        limits: Limits = DEFAULT_CONNECTION_LIMITS, headers: Optional[Mapping[str, str]] = None,
        local_address: Optional[str] = None, trust_env: bool = True, follow_redirects: bool = True,
    ) -> None:
        if isinstance(proxies, Mapping):
            different = {url for url in proxies.values() if url}
            if len(different) > 1:
                raise ValueError(
                    "one proxy serves all hosts; for more set HTTP_PROXY, HTTPS_PROXY and NO_PROXY"
                )
            proxies = different.pop() if different else None
        if transport is not None and not isinstance(transport, HTTPTransport):
            raise TypeError(
                "transport must be an HTTPTransport; pass a transport of your own as http_client"
            )
        if transport is not None:
            verify = transport.verify if verify is True else verify
            cert, limits = cert or transport.cert, transport.limits
            local_address, proxy = (
                local_address or transport.local_address, proxy or transport.proxy,
            )
        super().__init__(
            verify=verify, cert=cert, local_address=local_address, proxy=proxy or proxies,
            limits=limits, trust_env=trust_env,
        )
        self.timeout = timeout
        self.headers = dict(headers or {})
        self.follow_redirects = follow_redirects


class DefaultAsyncHttpxClient(DefaultHttpxClient):
    """The same for AsyncOpenAI, which runs the same transport."""


DefaultAioHttpClient = DefaultAsyncHttpx2Client = DefaultAsyncHttpxClient
DefaultHttpx2Client = DefaultHttpxClient


# ---- 4.7 When to try again ----

FIRST_DELAY, MAX_DELAY = 0.5, 8.0  # seconds, doubling
MAX_RETRY_AFTER = 120.0  # a server that wants a longer pause is not asked again


def retry_after(headers: Mapping[str, str]) -> Optional[float]:
    """The seconds that the server asks to wait, in any of the three forms, or None."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        text = headers.get(name)
        if text is None:
            continue
        try:
            wait = float(text)
        except ValueError:
            continue
        if wait == float("inf") and "inf" not in text.lower():
            return MAX_RETRY_AFTER + 1  # 1e400: too large for a float is still a number
        return wait / unit
    if headers.get("retry-after") is None:
        return None
    from email.utils import mktime_tz, parsedate_tz

    try:
        date = parsedate_tz(headers["retry-after"])
        return None if date is None else mktime_tz(date) - time.time()
    except (TypeError, ValueError, OverflowError, OSError, IndexError):
        return None


def should_retry(status: int, headers: Mapping[str, str]) -> bool:
    wait = retry_after(headers)
    if wait is not None and MAX_RETRY_AFTER < wait < float("inf"):
        return False
    told = headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    return status in (408, 409, 429) or status >= 500


def retry_delay(
    attempt: int, headers: Mapping[str, str], first: float, longest: float, chance: float
) -> float:
    """Seconds to wait after the attempt number `attempt`, counted from 0."""
    wait = retry_after(headers)
    if wait is not None and 0 < wait <= MAX_RETRY_AFTER:
        return wait
    return min(first * 2.0 ** min(attempt, 1000), longest) * (1 - 0.25 * chance)


# ---- 4.8 Logging ----

_logger: Any = None


def logs(level: int) -> bool:
    """Whether anybody listens: if not, a message need not even be put together."""
    global _logger
    if _logger is None:
        logging = sys.modules.get("logging")
        if logging is None:
            return False  # this program does not use it, so there is no need to load it
        _logger = logging.getLogger("openai")
    return bool(_logger.isEnabledFor(level))


def log(level: int, message: str, *args: Any) -> None:
    """Log to the logger `openai`, if this program uses `logging` at all."""
    if logs(level):
        _logger.log(level, message, *args)


DEBUG, INFO = 10, 20  # logging.DEBUG, logging.INFO


def configure_logging() -> None:
    """Obey OPENAI_LOG=debug|info|warning|error|critical; called when a client is made."""
    level = os.environ.get("OPENAI_LOG", "").lower()
    if level in ("debug", "info", "warning", "error", "critical"):
        import logging

        logging.basicConfig(
            format="[%(asctime)s - %(name)s:%(lineno)d - %(levelname)s] %(message)s",
            datefmt="%Y-%m-%d %H:%M:%S",
        )
        logging.getLogger("openai").setLevel(level.upper())


########################################################################
## 5. Results: JSON to typed objects, pages, streams
########################################################################

# ---- 5.1 Objects ----


class LazyClassAttribute:
    """A class attribute computed when asked for, for `dataclasses` and `match`."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute = compute

    def __get__(self, instance: Any, owner: Any) -> Any:
        return self.compute(owner)


def dataclass_fields(cls: Any) -> Dict[str, Any]:
    if cls not in dataclass_cache:
        import dataclasses

        rows = [(name, object, dataclasses.field(default=None)) for name in fields_of(cls)]
        made: Any = dataclasses.make_dataclass("Fields", rows)
        for name, field in made.__dataclass_fields__.items():
            field.type = fields_of(cls)[name]
        dataclass_cache[cls] = made.__dataclass_fields__
    return dataclass_cache[cls]


dataclass_cache: Dict[Any, Dict[str, Any]] = {}


class StoredAs:
    """The default of an optional field whose key cannot be its name, as `async_`: reads the key."""

    def __init__(self, key: str) -> None:
        self.key = key

    def __get__(self, instance: Any, owner: Any) -> Any:
        return None if instance is None else instance.__dict__.get(self.key)


def stored_as(key: str) -> Any:  # Any, as the default of a field of any type
    return StoredAs(key)


@dataclass_transform(kw_only_default=True)
class BaseModel:
    """A typed view of a JSON object.

    The object is the parsed dictionary itself (`vars(obj)`), so a field that its class does not
    declare is kept and readable, and a declared one that the server left out reads as None.
    Nothing is validated.  Every subclass is a dataclass to whoever asks.
    """

    __slots__ = ("__dict__", "__weakref__", "_id_of_request")
    _api_names: ClassVar[Mapping[str, str]] = {}  # {field: key}, where they differ by more than "_"
    _not_sent: ClassVar[Sequence[str]] = ()  # what is ours, and not for the API

    def __init__(self, **fields: Any) -> None:
        keys = keys_of(type(self))
        self.__dict__.update((keys.get(name, name), value) for name, value in fields.items())

    if not TYPE_CHECKING:  # shown to a checker, it would legalise every typo
        __dataclass_fields__ = LazyClassAttribute(dataclass_fields)
        __match_args__ = LazyClassAttribute(lambda cls: tuple(fields_of(cls)))
        model_fields = __dataclass_fields__

        def __getattr__(self, name):
            key = keys_of(type(self)).get(name)
            if key is not None:  # declared: absent, or under a name that Python does not allow
                return self.__dict__.get(key)
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    @property
    def _request_id(self) -> Optional[str]:
        """The x-request-id of the answer that this object came with, for support requests."""
        found: Optional[str] = getattr(self, "_id_of_request", None)
        return found

    @property
    def model_extra(self) -> Dict[str, Any]:
        """The fields that the class does not declare."""
        declared = set(keys_of(type(self)).values())
        return {key: value for key, value in self.__dict__.items() if key not in declared}

    @property
    def model_fields_set(self) -> Any:
        """The names of the declared fields that the server (or the constructor) gave, as a set."""
        return {name for name, key in keys_of(type(self)).items() if key in self.__dict__}

    def model_dump(
        self, *, mode: str = "python", include: Any = None, exclude: Any = None,
        by_alias: bool = False, exclude_unset: bool = False, exclude_defaults: bool = False,
        exclude_none: bool = False, warnings: Any = True,
    ) -> Dict[str, Any]:
        """A plain dictionary, all the way down.

        `include` and `exclude` are sets of names, or dictionaries of such for what a field holds:
        `{"choices": {0: {"message"}}}`, with "__all__" for each item of a list.
        """
        options = dict(
            mode=mode, include=include, exclude=exclude, by_alias=by_alias,
            exclude_unset=exclude_unset, exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )
        declared = keys_of(type(self))
        names = dict(declared, **self.model_extra)
        dumped = {}
        for name in names:  # declared fields first, as the official package has them
            key = declared.get(name, name)
            value = self.__dict__.get(key)
            if exclude_unset and key not in self.__dict__:
                continue
            if value is None and (exclude_none or (exclude_defaults and name in declared)):
                continue
            inside = narrowed(options, name)
            if inside is not None:
                dumped[key if by_alias else name] = dump(value, inside)
        return dumped

    def model_dump_json(
        self, *, indent: Optional[int] = None, ensure_ascii: bool = False, include: Any = None,
        exclude: Any = None, by_alias: bool = False, exclude_unset: bool = False,
        exclude_defaults: bool = False, exclude_none: bool = False, warnings: Any = True,
    ) -> str:
        """The same as JSON text."""
        import json

        dumped = self.model_dump(
            mode="json", include=include, exclude=exclude, by_alias=by_alias,
            exclude_unset=exclude_unset, exclude_defaults=exclude_defaults,
            exclude_none=exclude_none,
        )
        return json.dumps(
            dumped, indent=indent, separators=(",", ":") if indent is None else None,
            ensure_ascii=ensure_ascii, default=jsonable,
        )

    def to_dict(
        self, *, mode: str = "python", use_api_names: bool = True, exclude_unset: bool = True,
        exclude_defaults: bool = False, exclude_none: bool = False, warnings: bool = True,
    ) -> Dict[str, Any]:
        """A plain dictionary of what the server sent, under the API's names."""
        return self.model_dump(
            mode=mode, by_alias=use_api_names, exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults, exclude_none=exclude_none,
        )

    def to_json(
        self, *, indent: Optional[int] = 2, use_api_names: bool = True, exclude_unset: bool = True,
        exclude_defaults: bool = False, exclude_none: bool = False, warnings: bool = True,
    ) -> str:
        """What the server sent as JSON text."""
        return self.model_dump_json(
            indent=indent, by_alias=use_api_names, exclude_unset=exclude_unset,
            exclude_defaults=exclude_defaults, exclude_none=exclude_none,
        )

    def model_copy(self, *, update: Optional[Mapping[str, Any]] = None, deep: bool = False) -> Self:
        """A copy, with some fields changed; `deep` copies what it holds as well."""
        import copy

        twin = copy.deepcopy(self) if deep else copy.copy(self)
        keys = keys_of(type(self))
        twin.__dict__.update((keys.get(name, name), v) for name, v in (update or {}).items())
        return twin

    @classmethod
    def model_construct(cls, _fields_set: Any = None, **values: Any) -> Self:
        """An object of these fields, dictionaries among them converted as in an answer."""
        import copy

        built: Self = decode(cls, copy.deepcopy(cls(**values).__dict__))
        return built

    @classmethod
    def model_validate(cls, obj: Any) -> Self:
        """An object of this class from parsed JSON, converted as an answer is."""
        import copy

        fields = obj.__dict__ if isinstance(obj, BaseModel) else obj
        built: Self = decode(cls, copy.deepcopy(fields))
        return built

    @classmethod
    def model_validate_json(cls, json_data: Union[str, bytes]) -> Self:
        import json

        built: Self = decode(cls, json.loads(json_data))
        return built

    construct = model_construct

    if not TYPE_CHECKING:  # what programs still use, though pydantic deprecates or hides it
        dict, json, copy = model_dump, model_dump_json, model_copy

        def __iter__(self):
            """The pairs of name and value, for `dict(message)`."""
            declared = keys_of(type(self))
            return iter([(n, getattr(self, n)) for n in declared] + list(self.model_extra.items()))

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}={v!r}" for k, v in self.__dict__.items())
        return f"{type(self).__name__}({inside})"

    def __eq__(self, other: Any) -> bool:
        return type(self) is type(other) and bool(self.__dict__ == other.__dict__)

    __hash__ = None  # type: ignore[assignment]

    def __copy__(self) -> Self:
        twin: Self = restore_model(type(self), self.__dict__, self._request_id)
        return twin

    def __reduce__(self) -> Any:
        return restore_model, (type(self), self.__dict__, self._request_id)


if TYPE_CHECKING:
    TYPES: Dict[str, Any]

    def draft_classes(draft: bool) -> None: ...
else:

    class Draft:
        """What a class statement of section 8 or 9 leaves: a class as soon as somebody needs it.

        Of the 700 classes there a program needs a few dozen, and to make one takes Python 7 us and
        2 KB, to run its statement alone a quarter of that.  Whoever looks a type up by its name
        (`type_named`, or from outside as `openai_lite.Model`) gets the class made.  Functions here
        must do so too: the name itself is not defined before.
        """

        __slots__ = ("name", "bases", "body", "made")
        lock = RLock()

        def __getitem__(self, _):  # of which types, is for checkers
            return self

        def __mro_entries__(self, bases):
            return (SOME_DRAFT if Drafting.on else self.finished(),)

        def finished(self):
            """The class, one and the same for all threads."""
            with self.lock:
                if self.made is None:
                    bases = self.body.pop("__orig_bases__", self.bases)
                    made = type(self.name, tuple(map(finished, bases)), self.body)
                    self.made = globals()[self.name] = made
            return self.made

    class Drafting(type):
        """The metaclass of what stands in for BaseModel and its like: subclasses become drafts."""

        on = False
        collects = False  # whether garbage is to be collected afterwards

        def __new__(meta, name, bases, body, total=True):
            draft = Draft()
            draft.name, draft.bases, draft.body, draft.made = name, bases, body, None
            return draft

        def __getitem__(cls, _):
            return cls

    def stand_in(cls):
        return type.__new__(Drafting, cls.__name__, (), {"made": cls})

    SOME_DRAFT = stand_in(object)

    def draft_classes(draft):
        """Have class statements make drafts from here on, or classes again."""
        import gc

        # Thousands of objects are made in between, none is garbage: let nobody look for some.
        if draft and gc.isenabled():
            gc.disable()
            Drafting.collects = True
        elif Drafting.collects:
            gc.enable()
        space = globals()
        for name in ("BaseModel", "Resource", "Options"):
            space[name] = stand_in(space[name]) if draft else space[name].made
        Drafting.on = draft

    def finished(kind):
        """A type without drafts in it."""
        if kind.__class__ is Draft:
            return kind.finished()
        if kind.__class__ is Drafting:
            return kind.made
        if kind.__class__ is Kind:
            kind.__args__ = tuple(map(finished, kind.__args__))
        return kind

    class Types(dict):
        """{name: type} for those of sections 8 and 9; a Kind for what is no class."""

        def __init__(self):
            self.waiting = {}

        def __missing__(self, name):
            found = self[name] = finished(self.waiting[name])
            return found

        def get(self, name, default=None):
            return self[name] if name in self.waiting else default

        def collect(self):
            """Take them from the top level of the module, where no one is to meet them unmade."""
            space, kinds = globals(), (Draft, Kind)
            found = {name: kind for name, kind in space.items() if kind.__class__ in kinds}
            for name in found:
                del space[name]
            self.waiting.update(found)

    TYPES = Types()


def restore_model(cls: Any, fields: Dict[str, Any], request_id: Optional[str]) -> Any:
    restored = object.__new__(cls)
    restored.__dict__.update(fields)
    restored._id_of_request = request_id
    return restored


def dump(value: Any, options: Mapping[str, Any]) -> Any:
    """`value` with every BaseModel in it turned into a dictionary."""
    if isinstance(value, BaseModel):
        return value.model_dump(**options)
    if isinstance(value, list):
        rows = [(item, narrowed(options, i)) for i, item in enumerate(value)]
        return [dump(item, inside) for item, inside in rows if inside is not None]
    if isinstance(value, dict):
        pairs = [(key, narrowed(options, key)) for key in value]
        return {key: dump(value[key], inside) for key, inside in pairs if inside is not None}
    return value


def narrowed(options: Mapping[str, Any], key: Any) -> Optional[Mapping[str, Any]]:
    """The options for what is under `key`, None where `include` and `exclude` leave it out."""
    include, exclude = options["include"], options["exclude"]
    if include is None and exclude is None:
        return options
    kept, left_out = rule_for(include, key), rule_for(exclude, key)
    if (include is not None and kept is None) or left_out is True:
        return None
    return dict(options, include=None if kept is True else kept, exclude=left_out)


def rule_for(rules: Any, key: Any) -> Any:
    """True for all that is under `key`, a set or dictionary for some of it, None for nothing."""
    names = (key, "__all__") if isinstance(key, int) else (key,)
    for name in names:
        if rules is not None and name in rules:
            rule = rules[name] if isinstance(rules, Mapping) else True
            return None if rule is False else True if rule is Ellipsis else rule
    return None


# ---- 5.2 Decoding: from parsed JSON to objects ----
#
# Decoding adopts the dictionaries that `json` made and replaces, in place, the values whose
# declared type holds a class.  Which keys those are is computed once per class, on first use:
# resolving the annotations of all classes at import would cost more than the import itself.

fields_cache: Dict[Any, Dict[str, str]] = {}
keys_cache: Dict[Any, Dict[str, str]] = {}
model_converters: Dict[Any, Converter] = {}


def fields_of(cls: Any) -> Dict[str, str]:
    """Declared field names with their annotations as written, base classes first."""
    if cls not in fields_cache:
        found: Dict[str, str] = {}
        for base in reversed(cls.__mro__):
            if base is not BaseModel and issubclass(base, BaseModel):
                found.update(own_annotations(base))
        fields_cache[cls] = {k: v for k, v in found.items() if k[0] != "_"}
    return fields_cache[cls]


def keys_of(cls: Any) -> Dict[str, str]:
    """{field: its key in the JSON object}, which differ where Python does not allow the key."""
    if cls not in keys_cache:
        given = cls._api_names
        keys_cache[cls] = {
            name: given.get(name) or (name[:-1] if name[-1] == "_" else name)
            for name in fields_of(cls)
        }
    return keys_cache[cls]


def own_annotations(cls: Any) -> Dict[str, str]:
    if sys.version_info >= (3, 14):  # computed on demand there
        return dict(cls.__annotations__)
    return dict(cls.__dict__.get("__annotations__", {}))


def resolve(annotation: Any, cls: Any) -> Any:
    """The type that an annotation of `cls` means; Any if it cannot be told."""
    if not isinstance(annotation, str):
        return annotation
    space = globals()
    if cls.__module__ != __name__:
        space = getattr(sys.modules.get(cls.__module__), "__dict__", space)
    try:
        return eval(annotation, space, TYPES)
    except Exception:
        return Any  # a user's class may be annotated with what exists for checkers only


def type_named(kind: Any) -> Any:
    """The type that a text such as "ChatCompletion" or "List[Model]" means."""
    if not isinstance(kind, str):
        return kind
    if kind not in types_named:
        types_named[kind] = eval(kind, globals(), TYPES)
    return types_named[kind]


types_named: Dict[str, Any] = {}


def parts_of(kind: Any) -> Tuple[str, Any]:
    """`("Union", (A, B))` of `Union[A, B]`, be it a Kind, of `typing`, or written `A | B`."""
    origin = getattr(kind, "__origin__", None)
    if origin is None:
        return ("Union", kind.__args__) if type(kind).__name__ == "UnionType" else ("", ())
    name = getattr(origin, "name", None) or getattr(origin, "_name", None) or origin.__name__
    if name == "Optional":
        return "Union", (*kind.__args__, None)
    return name.title(), kind.__args__


def members_of(kind: Any) -> List[Any]:
    """What a union is made of, also where that is a union itself; a list of one for other types."""
    name, args = parts_of(kind)
    return [m for arg in args for m in members_of(arg)] if name == "Union" else [kind]


# Types that need no conversion; an annotation made of these alone is never evaluated.
scalars = Pattern(
    r"(?:\b(?:str|int|float|bool|Any|Optional|List|Dict|Union|None|object)\b|[\[\], ])+\Z"
)


def plan_of(cls: Any) -> List[Tuple[str, Converter]]:
    """The fields of `cls` that need converting."""
    plan = []
    for name, annotation in fields_of(cls).items():
        if isinstance(annotation, str) and (
            scalars.match(annotation) or annotation.startswith("Literal[")
        ):
            continue
        convert = converter(resolve(annotation, cls))
        if convert is not None:
            plan.append((keys_of(cls)[name], convert))
    return plan


def model_converter(cls: Any) -> Converter:
    """The function that makes an object of `cls` of a dictionary, and leaves other values alone."""
    if cls not in model_converters:
        plan: Any = None
        new = object.__new__

        def convert(value: Any) -> Any:
            nonlocal plan
            if value.__class__ is not dict:
                return value
            if plan is None:  # only now, for a class may hold objects of its own class
                plan = plan_of(cls)
            for key, convert_field in plan:
                field = value.get(key)
                if field is not None:
                    value[key] = convert_field(field)
            made = new(cls)
            made.__dict__ = value
            return made

        model_converters[cls] = convert
    return model_converters[cls]


def converter(kind: Any) -> Optional[Converter]:
    """The function that turns parsed JSON into `kind`, or None if it is that already."""
    if kind is OpenObject:
        return opened
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return model_converter(kind)
    name, args = parts_of(kind)
    if name == "Union":
        return union_converter(members_of(kind))
    if name == "List":
        convert_item = converter(args[0])
        return None if convert_item is None else lambda value: convert_list(convert_item, value)
    if name == "Dict":
        convert_value = converter(args[1])
        return None if convert_value is None else lambda value: convert_dict(convert_value, value)
    return None


def opened(value: Any) -> Any:
    """`value` with every dictionary in it turned into an OpenObject."""
    if value.__class__ is list:
        return convert_list(opened, value)
    return model_converter(OpenObject)(convert_dict(opened, value))


def convert_list(convert: Converter, value: Any) -> Any:
    if value.__class__ is list:
        for i, item in enumerate(value):
            value[i] = convert(item)
    return value


def convert_dict(convert: Converter, value: Any) -> Any:
    if value.__class__ is dict:
        for key in value:
            value[key] = convert(value[key])
    return value


def union_converter(members: Sequence[Any]) -> Optional[Converter]:
    models = [m for m in members if isinstance(m, type) and issubclass(m, BaseModel)]
    others = [
        convert for convert in map(converter, (m for m in members if m not in models)) if convert
    ]
    if not models and not others:
        return None
    if len(models) == 1 and not others:  # Optional[Model]
        return converter(models[0])
    by_type = types_of(models)

    def convert(value: Any) -> Any:
        if value.__class__ is dict and models:
            name = value.get("type")
            cls = by_type.get(name) if name.__class__ is str else None
            return model_converter(cls or best_variant(models, value))(value)
        for other in others:
            value = other(value)
        return value

    return convert


def types_of(models: Sequence[Any]) -> Dict[str, Any]:
    """{value of `type`: class} for those values that belong to one class only."""
    found: Dict[str, Any] = {}
    for model in models:
        for value in literals_of(model).get("type", ()):
            found[value] = None if value in found else model
    return {value: model for value, model in found.items() if model is not None}


def literals_of(cls: Any) -> Dict[str, Any]:
    """{field: the values it may have} for the fields that are a Literal."""
    if cls not in literals_cache:
        found = {}
        for name, annotation in fields_of(cls).items():
            if "Literal[" in str(annotation):
                parts = [parts_of(member) for member in members_of(resolve(annotation, cls))]
                found[name] = [value for kind, args in parts if kind == "Literal" for value in args]
        literals_cache[cls] = found  # only now, for other threads look into it
    return literals_cache[cls]


literals_cache: Dict[Any, Dict[str, Any]] = {}


discriminators = ("type", "object", "role", "event")


def best_variant(models: Sequence[Any], value: Dict[str, Any]) -> Any:
    """The member of a union that `value` is; BaseModel if the API has grown one we do not know."""
    fitting = []
    for model in models:
        literals = literals_of(model)
        if all(value.get(d) in literals[d] for d in discriminators if d in literals and d in value):
            fitting.append(model)
    if not fitting:
        return BaseModel
    return max(fitting, key=lambda model: sum(name in value for name in fields_of(model)))


def decode(kind: Any, value: Any) -> Any:
    """Parsed JSON as `kind`, a type or its name; what the type does not foresee stays as it is."""
    convert = converter(type_named(kind))
    return value if convert is None else convert(value)


# ---- 5.3 Pages ----


class PageInfo:
    """What the next page differs in: query parameters, or a whole URL."""

    def __init__(
        self, *, params: Optional[Dict[str, Any]] = None, url: Optional[str] = None
    ) -> None:
        self.params, self.url = params, url

    def __repr__(self) -> str:
        return (
            f"PageInfo(params={self.params!r})"
            if self.url is None
            else f"PageInfo(url={self.url!r})"
        )


class BasePage(BaseModel, Generic[T]):
    """One page of a list: `data` holds its items, in the order of the server."""

    __slots__ = ("_client", "_call")
    if TYPE_CHECKING:
        _client: ClassVar[Any]  # ClassVar, because a dataclass field it is not
        _call: ClassVar[Call]
    data: List[T]
    object: Optional[str] = None

    def next_page_info(self) -> Optional[PageInfo]:
        """What to ask for to get the next page, or None if that cannot be told."""
        return None

    def has_next_page(self) -> bool:
        """Whether to ask for more; where the server has said "no", get_next_page() still may."""
        return self.__dict__.get("has_more") is not False and self.next_page_info() is not None

    def _next_call(self) -> Call:
        info = self.next_page_info()
        if info is None:
            raise RuntimeError("there is no next page: ask has_next_page() first")
        return self._call.for_page(info)


class SyncPages(BasePage[T], Generic[T, PageT]):
    """What a page of the sync client can do; iterating it goes on over the pages that follow.

    PageT is the page that the async client returns instead.
    """

    def get_next_page(self) -> Self:
        """Fetch the page after this one; raises RuntimeError if there is none."""
        page: Self = self._client._perform(self._next_call())
        return page

    def iter_pages(self) -> Iterator[Self]:
        page = self
        while True:
            yield page
            if not page.has_next_page():
                return
            page = page.get_next_page()

    def __iter__(self) -> Iterator[T]:
        for page in self.iter_pages():
            yield from page.data or ()


class AsyncPages(BasePage[T]):
    """The same for the async client."""

    async def get_next_page(self) -> Self:
        """Fetch the page after this one; raises RuntimeError if there is none."""
        page: Self = await self._client._perform(self._next_call())
        return page

    async def iter_pages(self) -> AsyncIterator[Self]:
        page = self
        while True:
            yield page
            if not page.has_next_page():
                return
            page = await page.get_next_page()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for page in self.iter_pages():
            for item in page.data or ():
                yield item


def after_last_item(page: Any) -> Optional[PageInfo]:
    """`after` is the id of the last item."""
    last = page.data[-1] if page.data else None
    last_id = last.get("id") if isinstance(last, dict) else getattr(last, "id", None)
    return PageInfo(params={"after": last_id}) if last_id else None


class SyncPage(SyncPages[T, "AsyncPage[T]"]):
    """A list that the API always sends whole."""


class AsyncPage(AsyncPages[T]):
    """A list that the API always sends whole."""


class ByLastItem(BaseModel):
    """A page whose successor starts after its last item."""

    has_more: Optional[bool] = None
    first_id: Optional[str] = None
    last_id: Optional[str] = None

    def next_page_info(self) -> Optional[PageInfo]:
        return after_last_item(self)


class ByLastID(BaseModel):
    """A page that names the item after which its successor starts."""

    has_more: Optional[bool] = None
    first_id: Optional[str] = None
    last_id: Optional[str] = None

    def next_page_info(self) -> Optional[PageInfo]:
        return PageInfo(params={"after": self.last_id}) if self.last_id else None


class ByNext(BaseModel):
    """A page that names what its successor starts after."""

    has_more: Optional[bool] = None
    next: Optional[str] = None

    def next_page_info(self) -> Optional[PageInfo]:
        return PageInfo(params={"after": self.next}) if self.next else None


class ByToken(BaseModel):
    """A page with a token for its successor."""

    has_more: Optional[bool] = None
    next: Optional[str] = None

    def next_page_info(self) -> Optional[PageInfo]:
        return PageInfo(params={"page": self.next}) if self.next else None


class SyncCursorPage(ByLastItem, SyncPages[T, "AsyncCursorPage[T]"]):
    __doc__ = ByLastItem.__doc__


class AsyncCursorPage(ByLastItem, AsyncPages[T]):
    __doc__ = ByLastItem.__doc__


class SyncConversationCursorPage(ByLastID, SyncPages[T, "AsyncConversationCursorPage[T]"]):
    __doc__ = ByLastID.__doc__


class AsyncConversationCursorPage(ByLastID, AsyncPages[T]):
    __doc__ = ByLastID.__doc__


class SyncNextCursorPage(ByNext, SyncPages[T, "AsyncNextCursorPage[T]"]):
    __doc__ = ByNext.__doc__


class AsyncNextCursorPage(ByNext, AsyncPages[T]):
    __doc__ = ByNext.__doc__


class SyncTokenPage(ByToken, SyncPages[T, "AsyncTokenPage[T]"]):
    __doc__ = ByToken.__doc__


class AsyncTokenPage(ByToken, AsyncPages[T]):
    __doc__ = ByToken.__doc__


ASYNC_PAGES: Dict[Any, Any] = {
    SyncPage: AsyncPage, SyncCursorPage: AsyncCursorPage,
    SyncConversationCursorPage: AsyncConversationCursorPage,
    SyncNextCursorPage: AsyncNextCursorPage, SyncTokenPage: AsyncTokenPage,
}


class AsyncPaginator(Generic[T, PageT]):
    """What an async list method returns: `await` it for a page, or iterate over the items."""

    def __init__(self, fetch: Callable[[], Any]) -> None:
        self._fetch = fetch

    def __await__(self) -> Generator[Any, None, PageT]:
        coroutine: Coroutine[Any, Any, PageT] = self._fetch()
        return coroutine.__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        page: Any = await self
        async for item in page:
            yield item


# ---- 5.4 Streams ----

# Event types after which a stream has nothing more to say.
RUN_ENDS = (
    "thread.run.completed", "thread.run.requires_action", "thread.run.incomplete",
    "thread.run.failed", "thread.run.cancelled", "thread.run.expired",
)
TERMINAL_EVENTS = (
    "response.completed", "response.failed", "response.incomplete", "error", "speech.audio.done",
    "transcript.text.done", "image_generation.completed", "image_edit.completed", *RUN_ENDS,
)


class StreamReader:
    """Reads events a batch at a time: one network read, and all the events it completes."""

    def __init__(self, response: HTTPResponse, cast_to: Any, secrets: Sequence[str] = ()) -> None:
        self.response, self.convert, self.secrets = response, converter(cast_to), secrets
        # Where an error is an event like others; a vendored copy may lack it.
        self.raises = cast_to is not TYPES.get("AgentSessionEvent", omit)
        self.decoder = JSONEventDecoder()
        self.count = 0
        self.bytes = 0
        self.recent: List[Any] = []
        self.completed = False

    def batch(self) -> Steps[Tuple[List[Any], Any]]:
        """(events, None); (events, True) at the end; (events, the error to raise after them)."""
        response = self.response
        connection = response._connection
        reader = connection.reader if connection is not None else None
        if reader is not None:
            # The limit on reading holds from event to event: comments that a proxy sends to keep
            # the connection alive do not count.
            limit = reader.request.timeout.read
            reader.idle_deadline = None if limit is None else clock() + limit
        while True:
            try:
                chunk = yield from response._some_steps(BUFFER)
            except APIError as err:
                err.message += f" (in a stream, after {self.count} events and {self.bytes} bytes)"
                err.args = (err.message,)
                return [], err
            except OpenAIError as err:
                return [], err
            if not chunk:
                self.completed = (
                    self.completed or self.decoder.ends_with_done() or self.seems_complete()
                )
                return [], True
            self.bytes += len(chunk)
            events = self.decoder.feed(chunk)
            if events:
                items, end = self.build(events)
                self.count += len(items)
                self.recent = (self.recent + items)[-8:] if len(items) < 8 else items[-8:]
                if end is not None:
                    yield from self.finish(end)
                return items, end

    def build(self, events: List[Tuple[str, Any]]) -> Tuple[List[Any], Any]:
        items: List[Any] = []
        convert = self.convert
        for name, value in events:
            if value.__class__ is dict:
                if value.get("error") and self.raises:
                    return items, self.error_in(value["error"])
                if name[:7] == "thread.":
                    value = {"event": name, "data": value}
            elif value is JSONEventDecoder.DONE:
                self.completed = True
                return items, True
            elif isinstance(value, ValueError):
                position = f"event {self.count + len(items) + 1} of the stream is no JSON: {value}"
                return items, APIResponseValidationError(self.response, None, message=position)
            try:
                items.append(value if convert is None else convert(value))
            except RecursionError:
                return items, nested_too_deeply(self.response)
        return items, None

    def error_in(self, error: Any) -> APIError:
        import json

        text = redacted(json.dumps(error), self.response.request, self.secrets)
        error = json.loads(text)
        message = error.get("message") if isinstance(error, dict) else error
        message = (
            message
            if isinstance(message, str) and message
            else "An error occurred during streaming"
        )
        return APIError(message, self.response.request, body=error)

    def finish(self, end: Any) -> Steps[None]:
        """Let the connection be reused if the body ends here, as it should; else hang up."""
        connection = self.response._connection
        if end is True and connection is not None and connection.reader is not None:
            connection.reader.idle_deadline = clock() + 0.02
            try:
                yield from self.response._some_steps()
            except APIError:
                pass  # nothing was lost: `[DONE]` had come, and the connection is closed now
        self.response.close()

    def seems_complete(self) -> bool:
        for item in self.recent:
            if any(getattr(item, name, None) in TERMINAL_EVENTS for name in ("type", "event")):
                return True
            if any(getattr(c, "finish_reason", None) for c in getattr(item, "choices", None) or ()):
                return True
        return False


class Stream(Generic[T]):
    """The events of a streaming response, as they come.  `with` or close() hangs up early.

    `completed` is True once the server has marked the end: by `[DONE]`, a terminal event or a
    finish reason.  A stream that ends without any of these may have been cut by a proxy.
    """

    response: HTTPResponse
    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(Subscripted)

    def __init__(
        self, *, cast_to: Any, response: HTTPResponse, client: Any = None, options: Any = None
    ) -> None:
        self.response = response
        self._reader = StreamReader(response, cast_to, client._secrets() if client else ())
        self._items: Generator[T, None, None] = self._iterate(self._reader)

    @staticmethod  # a generator that held `self` would keep a dropped stream, and its socket, alive
    def _iterate(reader: StreamReader) -> Generator[Any, None, None]:
        end = None
        try:
            while end is None:
                items, end = drive(reader.batch())
                yield from items
            if end is not True:
                raise end
        finally:
            del end  # an error and the frame that it passed through would keep each other alive
            reader.response.close()

    @property
    def completed(self) -> bool:
        return self._reader.completed

    def __iter__(self) -> Iterator[T]:
        return self._items

    def __next__(self) -> T:
        return next(self._items)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; iteration is over."""
        self.response.close()
        try:
            self._items.close()
        except ValueError:
            pass  # another thread waits in it, and will find the connection closed


class AsyncStream(Generic[T]):
    """The same for the async client: `async for`, `async with`, `await stream.close()`."""

    response: HTTPResponse
    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(Subscripted)

    def __init__(
        self, *, cast_to: Any, response: HTTPResponse, client: Any = None, options: Any = None
    ) -> None:
        self.response = response
        self._reader = StreamReader(response, cast_to, client._secrets() if client else ())
        self._client = client
        self._items: List[Any] = []  # last first
        self._end: Any = None
        self._waiting = False

    def _go_on_with(self, batch: Tuple[List[Any], Any]) -> None:
        if self._end is None:  # otherwise it was closed meanwhile
            items, self._end = batch
            self._items = items[::-1]

    @property
    def completed(self) -> bool:
        return self._reader.completed

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while not self._items:
            if self._end is not None:
                end, self._end = self._end, True
                self.response.close()
                try:
                    raise StopAsyncIteration if end is True else end
                finally:
                    del end  # see Stream
            await self._read()
        item: T = self._items.pop()
        return item

    async def _read(self) -> None:
        """Wait for the next events, or the end."""
        if self._waiting:
            raise RuntimeError("another task is waiting for the next event of this stream")
        self._waiting = True
        try:
            # Not kept in a variable: an error in it may hold this frame.
            self._go_on_with(
                await self._client._drive(self._reader.batch(), stop_of(self.response))
            )
        except BaseException:
            self._end = True
            raise
        finally:
            self._waiting = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def __del__(self, ending: Any = sys.is_finalizing) -> None:  # at the end, `sys` is gone
        if hasattr(self, "_waiting") and not ending():
            self.response.close()

    async def close(self) -> None:
        """Release the connection; iteration is over."""
        self._items, self._end = [], True
        self.response.close()

    aclose = close


# ---- 5.5 Binary results ----


class HttpxBinaryResponseContent:
    """A file as the API sends it.  A large one stays on the wire until it is read.

    `write_to_file` and `iter_bytes` need constant memory; `read`, `content` and `text` hold it all.
    The `a...` methods are for the async client.  The first two and their twins report `progress`.
    """

    def __init__(self, response: HTTPResponse, client: Any = None, progress: Any = None) -> None:
        self.response, self._client, self._progress = response, client, progress

    @property
    def content(self) -> bytes:
        return self.response.content

    @property
    def text(self) -> str:
        return self.response.text

    @property
    def encoding(self) -> Optional[str]:
        return self.response.encoding

    def json(self) -> Any:
        return self.response.json()

    def read(self) -> bytes:
        return self.response.read()

    def iter_bytes(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        pieces = self.response.batches(self._cutter(chunk_size))
        return (data for batch in pieces for data in batch)

    iter_raw = iter_bytes

    def _cutter(self, chunk_size: Optional[int] = None) -> ByteCutter:
        if self._progress is None:
            return ByteCutter(chunk_size)
        return ReportedCutter(self.response, self._progress, chunk_size)

    def iter_text(self, chunk_size: Optional[int] = None) -> Iterator[str]:
        return self.response.iter_text(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        return self.response.iter_lines()

    def write_to_file(self, file: Union[str, os.PathLike[str]]) -> None:
        """Write to a path.  Raises APIConnectionError if the download is cut."""
        with open(file, "wb") as target:
            self.response.write_to(target, None if self._progress is None else self._cutter())

    def stream_to_file(
        self, file: Union[str, os.PathLike[str]], *, chunk_size: Optional[int] = None
    ) -> None:
        """The same; the official package keeps both names."""
        self.write_to_file(file)

    def close(self) -> None:
        self.response.close()

    async def aread(self) -> bytes:
        return await self._apart(self.response.read)

    def aiter_bytes(self, chunk_size: Optional[int] = None) -> AsyncPieces[bytes]:
        return AsyncPieces(self._client, self.response, self._cutter(chunk_size))

    aiter_raw = aiter_bytes

    def aiter_text(self, chunk_size: Optional[int] = None) -> AsyncPieces[str]:
        return AsyncPieces(
            self._client, self.response, TextCutter(self.response.encoding, chunk_size)
        )

    def aiter_lines(self) -> AsyncPieces[str]:
        return AsyncPieces(self._client, self.response, LineCutter(self.response.encoding))

    async def astream_to_file(
        self, file: Union[str, os.PathLike[str]], *, chunk_size: Optional[int] = None
    ) -> None:
        await self._apart(lambda: self.write_to_file(file))

    async def aclose(self) -> None:
        self.response.close()

    async def _apart(self, work: Callable[[], T]) -> T:
        done: T = await self._client._in_worker(work, self.response)
        return done

    def __repr__(self) -> str:
        return f"<HttpxBinaryResponseContent {self.response!r}>"


class AsyncPieces(Generic[T]):
    """A body cut in pieces, read in worker threads, with one hop per network read.

    For `async for line in r.aiter_lines()` and, as official, `in await r.aiter_lines()`.
    """

    def __init__(self, client: Any, response: HTTPResponse, cutter: Any) -> None:
        self._client, self._response = client, response
        self._batches: Iterator[List[T]] = response.batches(cutter)

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            batch: Optional[List[T]] = await self._client._in_worker(
                lambda: next(self._batches, None), self._response
            )
            if batch is None:
                return
            for item in batch:
                yield item

    def __await__(self) -> Generator[Any, None, Self]:
        yield from ()
        return self


# ---- 5.6 Raw and streaming views of a response ----


class BaseAPIResponse(Generic[R]):
    """An answer with its headers: what `.with_raw_response` and `.with_streaming_response` give."""

    def __init__(self, http_response: HTTPResponse, call: Call, client: Any) -> None:
        self.http_response, self._call, self._client = http_response, call, client
        self._parsed: Dict[Any, Any] = {}

    @property
    def headers(self) -> Headers:
        return self.http_response.headers

    @property
    def status_code(self) -> int:
        return self.http_response.status_code

    @property
    def request_id(self) -> Optional[str]:
        return self.headers.get("x-request-id")

    @property
    def retries_taken(self) -> int:
        return self.http_response.retries_taken

    @property
    def http_request(self) -> HTTPRequest:
        assert self.http_response.request is not None
        return self.http_response.request

    @property
    def http_version(self) -> str:
        return self.http_response.http_version

    @property
    def url(self) -> str:
        return self.http_response.url

    @property
    def method(self) -> str:
        return self.http_request.method

    @property
    def elapsed(self) -> timedelta:
        return self.http_response.elapsed

    @property
    def is_closed(self) -> bool:
        return self.http_response.is_closed

    def _parse(self, to: Any) -> Any:
        if to not in self._parsed:
            call = self._call if to is None else self._call.casting(to)
            self._parsed[to] = self._client._parse(self.http_response, call)
        return self._parsed[to]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} [{self.status_code}] {self.http_request!r}>"


class LegacyAPIResponse(BaseAPIResponse[R]):
    """What `.with_raw_response` returns: the body is there, `parse()` decodes it."""

    @property
    def content(self) -> bytes:
        return self.http_response.content

    @property
    def text(self) -> str:
        return self.http_response.text

    def json(self) -> Any:
        return self.http_response.json()

    @overload
    def parse(self) -> R: ...

    @overload
    def parse(self, *, to: Type[T]) -> T: ...

    def parse(self, *, to: Any = None) -> Any:
        """The typed result; `to` is another class to decode into."""
        return self._parse(to)


class APIResponse(BaseAPIResponse[R]):
    """What `.with_streaming_response` gives inside its `with`: nothing is read before you ask."""

    def read(self) -> bytes:
        return self.http_response.read()

    def text(self) -> str:
        return self.http_response.text

    def json(self) -> Any:
        return self.http_response.json()

    def iter_bytes(self, chunk_size: Optional[int] = None) -> Iterator[bytes]:
        return self.http_response.iter_bytes(chunk_size)

    def iter_text(self, chunk_size: Optional[int] = None) -> Iterator[str]:
        return self.http_response.iter_text(chunk_size)

    def iter_lines(self) -> Iterator[str]:
        return self.http_response.iter_lines()

    @overload
    def parse(self) -> R: ...
    @overload
    def parse(self, *, to: Type[T]) -> T: ...
    def parse(self, *, to: Any = None) -> Any:
        """The typed result; `to` is another class to decode into."""
        return self._parse(to)

    def stream_to_file(
        self, file: Union[str, os.PathLike[str]], *, chunk_size: Optional[int] = None
    ) -> None:
        """Write the body to a path in constant memory."""
        self._parse(HttpxBinaryResponseContent).write_to_file(file)

    def close(self) -> None:
        self.http_response.close()


class AsyncAPIResponse(BaseAPIResponse[R]):
    """The same for the async client: what may wait for the network is a coroutine."""

    async def read(self) -> bytes:
        return await self._apart(self.http_response.read)

    async def text(self) -> str:
        await self.read()
        return self.http_response.text

    async def json(self) -> Any:
        await self.read()
        return self.http_response.json()

    def iter_bytes(self, chunk_size: Optional[int] = None) -> AsyncPieces[bytes]:
        return AsyncPieces(self._client, self.http_response, ByteCutter(chunk_size))

    def iter_text(self, chunk_size: Optional[int] = None) -> AsyncPieces[str]:
        cutter = TextCutter(self.http_response.encoding, chunk_size)
        return AsyncPieces(self._client, self.http_response, cutter)

    def iter_lines(self) -> AsyncPieces[str]:
        cutter = LineCutter(self.http_response.encoding)
        return AsyncPieces(self._client, self.http_response, cutter)

    @overload
    async def parse(self) -> R: ...

    @overload
    async def parse(self, *, to: Type[T]) -> T: ...

    async def parse(self, *, to: Any = None) -> Any:
        """The typed result; `to` is another class to decode into."""
        if not self._call.event_wanted():
            await self.read()
        return self._parse(to)

    async def stream_to_file(
        self, file: Union[str, os.PathLike[str]], *, chunk_size: Optional[int] = None
    ) -> None:
        """Write the body to a path in constant memory."""
        await self._apart(lambda: self._parse(HttpxBinaryResponseContent).write_to_file(file))

    async def close(self) -> None:
        self.http_response.close()

    async def _apart(self, work: Callable[[], T]) -> T:
        done: T = await self._client._in_worker(work, self.http_response)
        return done


class ResponseContextManager(Generic[T]):
    """`with` sends the request and gives the response; leaving it closes the response."""

    def __init__(self, send: Callable[[], Any]) -> None:
        self._send = send
        self._response: Any = None

    def __enter__(self) -> T:
        self._response = self._send()
        response: T = self._response
        return response

    def __exit__(self, *exc: object) -> None:
        self._response.close()


class AsyncResponseContextManager(Generic[T]):
    """`async with` sends the request and gives the response; leaving it closes the response."""

    def __init__(self, send: Callable[[], Any]) -> None:
        self._send = send
        self._response: Any = None

    async def __aenter__(self) -> T:
        self._response = await self._send()
        response: T = self._response
        return response

    async def __aexit__(self, *exc: object) -> None:
        await self._response.close()


########################################################################
## 6. Endpoints: from a method signature to a request
########################################################################

# ---- 6.1 One call ----


class Call:
    """Everything one call needs, gathered before anything is sent.

    `form` is None for a JSON body, otherwise the files of a multipart body as (name, file) pairs.
    `cast` names or is the type of the result, `event` that of a stream's events.
    """

    body: Any = omit
    form: Optional[List[Tuple[str, Any]]] = None
    content: Any = None
    headers: Mapping[str, Any] = {}
    timeout: Any = omit
    max_retries: Any = omit
    cast: Any = None
    event: Any = None
    stream = False
    stream_cls: Any = None
    view = ""  # "", "raw" or "streamed"
    finish: Any = None  # what changes the parsed JSON before it is decoded
    wrap: Any = None  # what makes the result of (client, stream, call)
    item: Any = None  # the type of a page's items, where `cast` does not tell
    progress: Any = None  # see Options

    def __init__(self, method: str, path: str) -> None:
        self.method, self.path = method, path
        self.query: Dict[str, Any] = {}

    def copy(self) -> Call:
        twin = Call(self.method, self.path)
        twin.__dict__.update(self.__dict__)
        return twin

    def for_page(self, info: PageInfo) -> Call:
        twin = self.copy()
        if info.url is not None:
            twin.path, twin.query = info.url, {}
        else:
            twin.query = dict(self.query, **(info.params or {}))
        twin.view = ""
        return twin

    def casting(self, to: Any) -> Call:
        twin = self.copy()
        twin.cast, twin.event, twin.stream, twin.finish, twin.wrap = to, None, False, None, None
        if getattr(to, "__origin__", None) in (Stream, AsyncStream) or to in (Stream, AsyncStream):
            twin.stream, twin.stream_cls = True, to
        return twin

    def event_wanted(self) -> bool:
        return self.stream


# ---- 6.2 Resources and their views ----


class Raw(Generic[C]):
    """Marks a resource seen through `.with_raw_response`: `Models[Raw[OpenAI]]`."""


class Streamed(Generic[C]):
    """Marks a resource seen through `.with_streaming_response`."""


class Resource(Generic[C]):
    """A group of endpoints, bound to a client: `client.models`."""

    _quiet = False  # whether a helper has warned already that all this is deprecated

    def __init__(self, client: Any, view: str = "") -> None:
        self._client, self._view = client, view

    if not TYPE_CHECKING:  # shown to a checker, it would legalise every typo

        def __getattr__(self, name):
            return make_group(self, name)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._client!r}>"


def make_group(owner: Any, name: str) -> Any:
    """The resource, or the view, that `owner` declares as `name: SomeResource[...]`."""
    kind: Any = type(owner)
    group, view = find_group(kind, name)
    made = group(owner._client, owner._view if view is None else view)
    if owner._quiet:
        made._quiet = True
    return made


def find_group(kind: Any, name: str) -> Tuple[Any, Optional[str]]:
    """(its class, the view it gives, if any)"""
    if (kind, name) not in found_groups:
        for cls in kind.__mro__:
            declared = own_annotations(cls).get(name) if name[0] != "_" else None
            if declared:
                views = {"with_raw_response": "raw", "with_streaming_response": "streamed"}
                group = type_named(declared.partition("[")[0])
                found_groups[kind, name] = group, views.get(name)
                break
        else:
            raise AttributeError(f"{kind.__name__!r} object has no attribute {name!r}")
    return found_groups[kind, name]


found_groups: Dict[Tuple[Any, str], Tuple[Any, Optional[str]]] = {}


# ---- 6.3 Endpoints ----

path_parameter = Pattern(r"\{(\w+)\}")
LEADING_KEYS = ("model", "stream", "service_tier")  # of a JSON body: what a server routes by

if TYPE_CHECKING:

    class Options(TypedDict, total=False):
        """What every endpoint takes besides its own parameters.

        `progress(bytes done, bytes in all or None)` is called as files are sent, with the whole
        body of the request counting, and as a download is written to a file or iterated over.  An
        attempt that is made again starts from 0.  What it raises ends the call.  The async client
        calls it in another thread.
        """

        extra_headers: Optional[Mapping[str, Any]]
        extra_query: Optional[Mapping[str, Any]]
        extra_body: Optional[Mapping[str, Any]]
        timeout: Union[float, Timeout, None]
        progress: Optional[Progress]

    class RequestOptions(TypedDict, total=False):
        """The `options` of client.get, post and their like."""

        headers: Mapping[str, Any]
        params: Mapping[str, Any]
        extra_json: Mapping[str, Any]
        timeout: Union[float, Timeout, None]
        max_retries: int
        idempotency_key: str
        progress: Optional[Progress]

    Progress = Callable[[int, Optional[int]], object]
    FileContent = Union[IO[bytes], bytes, "os.PathLike[str]"]
    FileTypes = Union[
        FileContent, Tuple[Optional[str], FileContent],
        Tuple[Optional[str], FileContent, Optional[str]],
        Tuple[Optional[str], FileContent, Optional[str], Mapping[str, str]],
    ]

    class Endpoint(Generic[P, Result]):
        """A plain method, a coroutine method or a view of one, by the type of the client."""

        @overload
        def __get__(self, api: Resource[OpenAI], owner: Any = ...) -> Callable[P, Result]: ...

        @overload
        def __get__(
            self: Endpoint[P, SyncPages[T, PageT]], api: Resource[AsyncOpenAI], owner: Any = ...
        ) -> Callable[P, AsyncPaginator[T, PageT]]: ...

        @overload
        def __get__(
            self: Endpoint[P, Stream[T]], api: Resource[AsyncOpenAI], owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, AsyncStream[T]]]: ...

        @overload
        def __get__(
            self, api: Resource[AsyncOpenAI], owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, Result]]: ...

        @overload
        def __get__(
            self, api: Resource[Raw[OpenAI]], owner: Any = ...
        ) -> Callable[P, LegacyAPIResponse[Result]]: ...

        @overload
        def __get__(
            self: Endpoint[P, SyncPages[T, PageT]], api: Resource[Raw[AsyncOpenAI]],
            owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, LegacyAPIResponse[PageT]]]: ...

        @overload
        def __get__(
            self: Endpoint[P, Stream[T]], api: Resource[Raw[AsyncOpenAI]], owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, LegacyAPIResponse[AsyncStream[T]]]]: ...

        @overload
        def __get__(
            self, api: Resource[Raw[AsyncOpenAI]], owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, LegacyAPIResponse[Result]]]: ...

        @overload
        def __get__(
            self, api: Resource[Streamed[OpenAI]], owner: Any = ...
        ) -> Callable[P, ResponseContextManager[APIResponse[Result]]]: ...

        @overload
        def __get__(
            self: Endpoint[P, SyncPages[T, PageT]], api: Resource[Streamed[AsyncOpenAI]],
            owner: Any = ...
        ) -> Callable[P, AsyncResponseContextManager[AsyncAPIResponse[PageT]]]: ...

        @overload
        def __get__(
            self: Endpoint[P, Stream[T]], api: Resource[Streamed[AsyncOpenAI]], owner: Any = ...
        ) -> Callable[P, AsyncResponseContextManager[AsyncAPIResponse[AsyncStream[T]]]]: ...

        @overload
        def __get__(
            self, api: Resource[Streamed[AsyncOpenAI]], owner: Any = ...
        ) -> Callable[P, AsyncResponseContextManager[AsyncAPIResponse[Result]]]: ...

        def __get__(self, api: Any, owner: Any = ...) -> Any: ...

    class StreamingMethod(Generic[P, A, Q, E, S, R]):
        """A method whose argument `stream` decides whether it returns A or E; else R or E."""

        @overload
        def __call__(self, *args: P.args, **kwargs: P.kwargs) -> A: ...
        @overload
        def __call__(self, *args: Q.args, **kwargs: Q.kwargs) -> E: ...
        @overload
        def __call__(self, *args: S.args, **kwargs: S.kwargs) -> Union[R, E]: ...
        def __call__(self, *args: Any, **kwargs: Any) -> Any: ...

    class StreamingEndpoint(Generic[P, A, Q, E, S, R]):
        """An endpoint that can stream, by the type of the client: P without, Q with a stream."""

        @overload
        def __get__(
            self, api: Resource[OpenAI], owner: Any = ...
        ) -> StreamingMethod[P, A, Q, Stream[E], S, R]: ...

        @overload
        def __get__(self, api: Resource[AsyncOpenAI], owner: Any = ...) -> StreamingMethod[
            P, Coroutine[Any, Any, A], Q, Coroutine[Any, Any, AsyncStream[E]],
            S, Coroutine[Any, Any, R]
        ]: ...

        @overload
        def __get__(self, api: Resource[Raw[OpenAI]], owner: Any = ...) -> StreamingMethod[
            P, LegacyAPIResponse[A], Q, LegacyAPIResponse[Stream[E]], S, LegacyAPIResponse[R]
        ]: ...

        @overload
        def __get__(self, api: Resource[Raw[AsyncOpenAI]], owner: Any = ...) -> StreamingMethod[
            P, Coroutine[Any, Any, LegacyAPIResponse[A]],
            Q, Coroutine[Any, Any, LegacyAPIResponse[AsyncStream[E]]],
            S, Coroutine[Any, Any, LegacyAPIResponse[R]]
        ]: ...

        @overload
        def __get__(self, api: Resource[Streamed[OpenAI]], owner: Any = ...) -> StreamingMethod[
            P, ResponseContextManager[APIResponse[A]],
            Q, ResponseContextManager[APIResponse[Stream[E]]],
            S, ResponseContextManager[APIResponse[R]]
        ]: ...

        @overload
        def __get__(
            self, api: Resource[Streamed[AsyncOpenAI]], owner: Any = ...
        ) -> StreamingMethod[
            P, AsyncResponseContextManager[AsyncAPIResponse[A]],
            Q, AsyncResponseContextManager[AsyncAPIResponse[AsyncStream[E]]],
            S, AsyncResponseContextManager[AsyncAPIResponse[R]]
        ]: ...

        def __get__(self, api: Any, owner: Any = ...) -> Any: ...

    class Verb:
        """The decorators GET, POST and DELETE.

        An endpoint that can stream passes two more stubs, which only type checkers look into:
        `plain` has the signature without a stream and what most such calls return, `events` the
        one with a stream of what it returns.
        """

        @overload
        def __call__(
            self, path: str, *, plain: Callable[Concatenate[Any, P], A],
            events: Callable[Concatenate[Any, Q], E], form: Sequence[str] = ...,
            query: Sequence[str] = ..., headers: Mapping[str, str] = ..., deprecated: str = ...,
            returns: Any = ..., as_headers: Mapping[str, str] = ..., adjust: Any = ...,
        ) -> Callable[[Callable[Concatenate[Any, S], R]], StreamingEndpoint[P, A, Q, E, S, R]]: ...

        @overload
        def __call__(
            self, path: str, *, form: Sequence[str] = ..., query: Sequence[str] = ...,
            headers: Mapping[str, str] = ..., deprecated: str = ..., returns: Any = ...,
            json_without_file: bool = ..., as_headers: Mapping[str, str] = ...,
            leading: Sequence[str] = ..., adjust: Any = ...,
        ) -> Callable[[Callable[Concatenate[Any, P], R]], Endpoint[P, R]]: ...

        def __call__(self, path: str, **details: Any) -> Any: ...

    GET = POST = DELETE = Verb()

else:
    class Options(TypedDict, total=False):
        extra_headers: Any
        extra_query: Any
        extra_body: Any
        timeout: Any
        progress: Any

    class Endpoint:
        """A verb, a path, and a stub whose signature is the schema.

        The decorator's other arguments become attributes; these are what they are without it.
        """

        form = None  # names of the parameters that are files, which makes the body multipart
        json_without_file = False  # the body is JSON where none of these is given
        query = ()  # names of the parameters that go into the URL although there is a body
        headers = {}  # sent with every request of this endpoint
        as_headers = {}  # {parameter: the header that it is sent as}
        leading = LEADING_KEYS  # what a JSON body begins with
        plain = events = None  # the stubs of a call without and with a stream
        deprecated = None  # what to use instead
        returns = None  # given the arguments, the name of the result's type, where they decide it
        adjust = None  # changes the Call that came of all this
        method = None  # what make_method() made

        def __init__(self, path, **details):
            self.path = path
            if details:
                self.__dict__.update(details)

        def __call__(self, stub):  # as the decorator that it is
            self.stub = stub
            return self

        def __get__(self, api, owner=None):
            if api is None:
                return self
            return MethodType(self.method or self.make_method(), api)

        def make_method(self):
            """Read the signature, on first use, and make a function that looks like the stub."""
            code = self.stub.__code__
            count = code.co_argcount + code.co_kwonlyargcount
            self.positional = code.co_varnames[1 : code.co_argcount]
            names = code.co_varnames[1:count]
            defaults = dict(self.stub.__kwdefaults__ or {})
            optional = self.stub.__defaults__ or ()
            defaults.update(zip(self.positional[len(self.positional) - len(optional) :], optional))
            required = [name for name in names if name not in defaults]
            names = list(names)
            options = self.stub.__annotations__[code.co_varnames[count]]  # "Unpack[SomeParams]"
            for cls in reversed(type_named(options[7:-1]).__mro__):
                for name, kind in (
                    own_annotations(cls).items() if cls.__module__ == __name__ else ()
                ):
                    if name not in OPTION_NAMES and name not in names:
                        names.append(name)
                        required += [name] if kind.startswith("Required[") else []
            # In the order in which the official client sends them.
            if len(names) > count - 1 or self.events is not None:
                names.sort(key=lambda name: (name not in required, name))
            if self.verb == "POST" and self.form is None:
                names.sort(key=lambda name: (*self.leading, name).index(name))
            self.order = {name: place for place, name in enumerate(names)}
            self.required = tuple(required)
            self.accepted = frozenset(names).union(OPTION_NAMES)
            self.pieces = path_parameter.split(self.path)  # literal, name, literal, name, ...
            result = self.stub.__annotations__["return"]
            self.page, _, item = result.partition("[") if "Page[" in result else (result, "", "")
            self.item = item[:-1] or None
            self.always_streams = result.startswith("Stream[")
            self.event = (
                result[7:-1] if self.always_streams
                else self.events and self.events.__annotations__["return"]
            )

            def method(api, *args, **kwargs):
                return api._client._call(self.prepare(api, args, kwargs))

            self.method = looking_like(self.stub, method)
            return method

        def bind(self, args, kwargs):
            """The arguments by name, or the TypeError that Python would raise."""
            if args:
                if len(args) > len(self.positional):
                    limit = len(self.positional) + 1
                    raise TypeError(
                        f"{self.stub.__qualname__}() takes {limit} positional arguments but "
                        f"{len(args) + 1} were given; name them"
                    )
                kwargs = dict(kwargs)
                for name, value in zip(self.positional, args):
                    if name in kwargs:
                        raise TypeError(
                            f"{self.stub.__qualname__}() got multiple values for argument {name!r}"
                        )
                    kwargs[name] = value
            if not self.accepted.issuperset(kwargs):
                unknown = next(name for name in kwargs if name not in self.accepted)
                import difflib

                close = difflib.get_close_matches(unknown, self.accepted, 1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise TypeError(
                    f"{self.stub.__qualname__}() got an unexpected keyword argument {unknown!r}"
                    f"{hint} (undocumented parameters go into extra_body or extra_query)"
                )
            missing = [
                repr(name)
                for name in self.required
                if name not in kwargs or isinstance(kwargs[name], Omit)
            ]
            if missing:
                raise TypeError(
                    f"{self.stub.__qualname__}() missing {len(missing)} required argument"
                    f"{'s' * (len(missing) > 1)}: {', '.join(missing)}"
                )
            return kwargs

        def prepare(self, api, args, kwargs):
            if self.method is None:
                self.make_method()
            kwargs = self.bind(args, kwargs)
            if self.deprecated and not api._quiet:
                import warnings

                name = self.stub.__qualname__
                warnings.warn(
                    f"{name} is deprecated: use {self.deprecated}", DeprecationWarning, stacklevel=3
                )
            # In the order of the signature, so that equal calls make equal bytes.
            names = [n for n in kwargs if n in self.order and not isinstance(kwargs[n], Omit)]
            names.sort(key=self.order.__getitem__)
            given = {name: kwargs[name] for name in names}
            call = Call(self.verb, self.path)
            pieces = self.pieces
            if len(pieces) > 1:
                path = [pieces[0]]
                for i in range(1, len(pieces), 2):
                    path += [encode_segment(pieces[i], given.pop(pieces[i])), pieces[i + 1]]
                call.path = "".join(path)
            if self.event is not None:
                call.event = self.event
                call.stream = self.always_streams or bool(given.get("stream"))
            call.headers = self.headers
            for name, header in self.as_headers.items():
                value = given.pop(name, None)
                if value is not None:
                    value = value if isinstance(value, str) else ",".join(value)
                    call.headers = dict(call.headers, **{header: value})
            call.query = {name: given.pop(name) for name in self.query if name in given}
            if self.verb == "GET" or (self.verb == "DELETE" and given):
                call.query = given
            elif self.form is not None:
                call.form = []
                for name in self.form:
                    file = given.pop(name, None)
                    required = name in self.required  # else None would go unnoticed
                    call.form += [(name, None)] if file is None and required else (
                        named_files(name, file)
                    )
                if self.json_without_file and not call.form:
                    call.form = None
                call.body = given
            elif len(self.order) > len(pieces) // 2 + len(self.as_headers):  # else no body at all
                call.body = given
            if self.adjust is not None:
                self.adjust(call)
            if "extra_headers" in kwargs and kwargs["extra_headers"]:
                call.headers = dict(call.headers, **kwargs["extra_headers"])
            if "extra_query" in kwargs and kwargs["extra_query"]:
                call.query = dict(call.query, **kwargs["extra_query"])
            if "extra_body" in kwargs and kwargs["extra_body"]:
                call.body = dict(call.body or {}, **kwargs["extra_body"])
            if "timeout" in kwargs:
                call.timeout = kwargs["timeout"]
            if "progress" in kwargs:
                call.progress = kwargs["progress"] or None  # also of `omit`
            call.cast, call.item, call.view = self.page, self.item, api._view
            if self.returns is not None:
                call.cast = self.returns(kwargs)
            return call

        def __repr__(self):
            return f"<Endpoint {self.verb} {self.path}>"

    class GET(Endpoint):
        verb = "GET"

    class POST(Endpoint):
        verb = "POST"

    class DELETE(Endpoint):
        verb = "DELETE"


OPTION_NAMES = ("extra_headers", "extra_query", "extra_body", "timeout", "progress")


def looking_like(stub: Any, method: Any) -> Any:
    """`method`, in the eyes of help(), inspect.signature and editors, is `stub`."""
    method.__name__, method.__doc__ = stub.__name__, stub.__doc__
    method.__qualname__, method.__wrapped__ = stub.__qualname__, stub
    return method


def named_files(name: str, value: Any) -> List[Tuple[str, Any]]:
    """`("image", [a, b])` is `[("image[]", a), ("image[]", b)]`; a single file keeps its name."""
    if value is None or isinstance(value, Omit):
        return []
    if isinstance(value, list):
        return [(name + "[]", file) for file in value]
    return [(name, value)]


# ---- 6.4 Undocumented endpoints ----

if TYPE_CHECKING:

    class CustomMethod:
        """client.get, client.post and their like: `cast_to` is the type of what comes back."""

        @overload
        def __call__(
            self, path: str, *, cast_to: Type[T], body: Any = ..., content: Any = ...,
            options: RequestOptions = ..., files: Any = ..., stream: Literal[False] = ...,
        ) -> T: ...
        @overload
        def __call__(
            self, path: str, *, cast_to: Any, body: Any = ..., content: Any = ...,
            options: RequestOptions = ..., files: Any = ..., stream: Literal[True],
            stream_cls: Type[R],
        ) -> R: ...
        def __call__(self, path: str, **_: Any) -> Any: ...

    class AsyncCustomMethod:
        """The same, to be awaited."""

        @overload
        def __call__(
            self, path: str, *, cast_to: Type[T], body: Any = ..., content: Any = ...,
            options: RequestOptions = ..., files: Any = ..., stream: Literal[False] = ...,
        ) -> Coroutine[Any, Any, T]: ...
        @overload
        def __call__(
            self, path: str, *, cast_to: Any, body: Any = ..., content: Any = ...,
            options: RequestOptions = ..., files: Any = ..., stream: Literal[True],
            stream_cls: Type[R],
        ) -> Coroutine[Any, Any, R]: ...
        def __call__(self, path: str, **_: Any) -> Any: ...

    class CustomEndpoint:
        def __init__(self, verb: str) -> None: ...
        @overload
        def __get__(self, client: OpenAI, owner: Any = ...) -> CustomMethod: ...
        @overload
        def __get__(self, client: AsyncOpenAI, owner: Any = ...) -> AsyncCustomMethod: ...
        def __get__(self, client: Any, owner: Any = ...) -> Any: ...

else:

    class CustomEndpoint:
        """A verb, for any path: `client.post("/foo", cast_to=dict, body={"a": 1})`."""

        def __init__(self, verb):
            self.verb = verb

        def __get__(self, client, owner=None):
            return self if client is None else MethodType(self.send, client)

        def send(
            self, client, path, *, cast_to, body=None, content=None, options={}, files=None,
            stream=False, stream_cls=None,
        ):
            """Send `body` as JSON, with `files` as a form, or `content` (bytes, a file) as it is.

            Returns `cast_to`, which may be a model, a page, dict, str, bytes, HTTPResponse or None;
            with stream=True a `stream_cls`, such as Stream[MyEvent].  `options` are RequestOptions.
            """
            call = custom_call(self.verb, path, cast_to, body, content, options, files)
            call.event, call.stream, call.stream_cls = cast_to, stream, stream_cls
            return client._perform(call)


def custom_call(
    verb: str, path: str, cast_to: Any, body: Any, content: Any, options: Mapping[str, Any],
    files: Any,
) -> Call:
    known = (
        "headers", "params", "extra_json", "timeout", "max_retries", "idempotency_key", "progress",
    )
    for name in options:
        if name not in known:
            raise TypeError(f"unknown option {name!r}; there are {', '.join(known)}")
    call = Call(verb, path)
    call.cast, call.body = cast_to, omit if body is None else body
    call.content = body if isinstance(body, bytes) else content
    if files:
        call.form = list(files.items() if isinstance(files, Mapping) else files)
    call.headers = dict(options.get("headers") or {})
    if options.get("idempotency_key"):
        call.headers["Idempotency-Key"] = options["idempotency_key"]
    call.query = dict(options.get("params") or {})
    if options.get("extra_json"):
        call.body = {**(body if isinstance(body, Mapping) else {}), **options["extra_json"]}
    call.timeout = options.get("timeout", omit)
    call.max_retries = options.get("max_retries", omit)
    call.progress = options.get("progress")
    return call


# ---- 6.5 Methods that take several calls ----
#
# Polling, bulk uploads and their like are generators of steps (4.3) too: they yield the result of a
# call (which in the async client is to be awaited first), a Pause, an Apart or a Together.

if TYPE_CHECKING:

    class Helper(Generic[P, Result]):
        """A plain method or a coroutine method, by the type of the client."""

        @overload
        def __get__(self, api: Resource[OpenAI], owner: Any = ...) -> Callable[P, Result]: ...

        @overload
        def __get__(
            self, api: Resource[AsyncOpenAI], owner: Any = ...
        ) -> Callable[P, Coroutine[Any, Any, Result]]: ...

        def __get__(self, api: Any, owner: Any = ...) -> Any: ...

    @overload
    def helper(steps: Callable[Concatenate[Any, P], Steps[R]]) -> Helper[P, R]: ...

    @overload
    def helper(
        *, deprecated: str
    ) -> Callable[[Callable[Concatenate[Any, P], Steps[R]]], Helper[P, R]]: ...

    def helper(steps: Any = None, *, deprecated: Optional[str] = None) -> Any: ...

else:

    def helper(steps=None, *, deprecated=None):
        """Make a method of a generator function; it has no raw and no streaming view.

        `deprecated` says what to use instead.  The warning points to the caller's line, so the
        endpoints that the helper calls give none of their own.
        """
        if steps is None:
            return lambda steps: helper(steps, deprecated=deprecated)

        def method(api, *args, **kwargs):
            without_views(api, steps.__name__)
            if deprecated and not api._quiet:
                import warnings

                name = steps.__qualname__
                warnings.warn(
                    f"{name} is deprecated: use {deprecated}", DeprecationWarning, stacklevel=2
                )
                api = type(api)(api._client)
                api._quiet = True
            return api._client._take(steps(api, *args, **kwargs))

        return looking_like(steps, method)


def handled(endpoint: Any) -> Any:
    """Make a method of an endpoint that streams a run: it returns a manager of a handler (9.4)."""

    def method(api: Any, *, event_handler: Any = None, **params: Any) -> Any:
        without_views(api, method.__name__)
        mine = {"X-Stainless-Custom-Event-Handler": "true" if event_handler else "false"}
        call = endpoint.prepare(
            api, (), dict(params, extra_headers={**mine, **(params.get("extra_headers") or {})})
        )
        call.body = dict(call.body, stream=True)
        return manage_run(api._client, call, event_handler)

    return looking_like(endpoint.stub, method)


def helped_by(name: str) -> Dict[str, str]:
    """The headers of an Assistants request, one that tells which helper sends it."""
    return dict(ASSISTANTS_V2, **{"X-Stainless-Stream-Helper": name})


def without_views(api: Any, name: str) -> None:
    """Refuse a helper in the views: there is no single response to look at."""
    if api._view:
        raise AttributeError(f"{type(api).__name__}.{name} has no view of a single response")


class Apart:
    """Do `work`, which takes its time, without a call; in the async client in another thread."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.work = work

    def wait(self) -> Any:
        return self.work()


class Together:
    """Take the steps of several generators, up to `limit` of them at a time.

    Gives a list of what each returned, or the exception that it raised, in their order.
    """

    def __init__(self, jobs: Iterable[Steps[Any]], limit: int) -> None:
        self.jobs, self.limit = jobs, limit


########################################################################
## 7. Clients: options, credentials, and the loop that tries again
########################################################################

# ---- 7.1 What both clients share ----

DataResidency = Literal["global", "us", "eu", "ae", "au", "in", "jp"]
ADMIN_PATHS = ("/organization/", "/projects/")  # which take the admin key
PRELOADED = 1 << 20  # bytes; a larger download stays on the wire until it is asked for


class API(Resource[C]):
    """The map of the API: each name leads to a class of section 8."""

    responses: Responses[C]
    chat: Chat[C]
    completions: Completions[C]
    embeddings: Embeddings[C]
    moderations: Moderations[C]
    models: Models[C]
    files: Files[C]
    batches: Batches[C]
    fine_tuning: FineTuning[C]
    images: Images[C]
    audio: Audio[C]
    uploads: Uploads[C]
    vector_stores: VectorStores[C]
    conversations: Conversations[C]
    containers: Containers[C]
    videos: Videos[C]
    evals: Evals[C]
    webhooks: Webhooks[C]
    beta: Beta[C]
    realtime: Realtime[C]
    live: Live[C]
    skills: Skills[C]
    safety: Safety[C]
    decisions: Decisions[C]
    content_provenance_checks: ContentProvenanceChecks[C]
    admin: Admin[C]
    with_raw_response: API[Raw[C]]
    with_streaming_response: API[Streamed[C]]


if TYPE_CHECKING:

    class SharedOptions(TypedDict, total=False):
        admin_api_key: Optional[str]
        organization: Optional[str]
        project: Optional[str]
        webhook_secret: Optional[str]
        websocket_base_url: Optional[str]
        initial_retry_delay: float
        max_retry_delay: float
        http_client: Any

    class CopyOptions(SharedOptions, total=False):
        """What copy() takes besides its own parameters."""

        base_url: Optional[str]
        data_residency: Optional[DataResidency]
        api_version: Optional[str]  # this and the following: the clients for Azure only
        azure_endpoint: Optional[str]
        azure_deployment: Optional[str]
        azure_ad_token: Optional[str]
        azure_ad_token_provider: Any


class BaseClient(API[C]):
    """Options, credentials, retries: what OpenAI and AsyncOpenAI have in common.

    - api_key: or OPENAI_API_KEY; a function is called before each request (async: may be awaitable)
    - admin_api_key: or OPENAI_ADMIN_KEY, for the endpoints under admin.organization
    - organization, project, webhook_secret: or OPENAI_ORG_ID, OPENAI_PROJECT_ID,
      OPENAI_WEBHOOK_SECRET
    - base_url: or OPENAI_BASE_URL; data_residency="eu" picks a regional one
    - timeout: seconds, None, or a Timeout; default 600 s, 5 s to connect
    - max_retries: how often a failed request is sent again; default 2
    - initial_retry_delay, max_retry_delay: seconds to wait before the first, and at most
    - default_headers, default_query: sent with each request; OPENAI_CUSTOM_HEADERS adds lines
      of "name: value"
    - http_client: a DefaultHttpxClient, or any object with `send(HTTPRequest) -> HTTPResponse`

    Raises OpenAIError without a key, ValueError or TypeError for options that make no sense.
    """

    is_async = False
    _view = ""

    def __init__(
        self, *, api_key: Any = None, admin_api_key: Optional[str] = None,
        organization: Optional[str] = None, project: Optional[str] = None,
        webhook_secret: Optional[str] = None, base_url: Optional[str] = None,
        data_residency: Optional[DataResidency] = None, websocket_base_url: Optional[str] = None,
        timeout: Union[float, Timeout, None] = omit, max_retries: int = DEFAULT_MAX_RETRIES,
        initial_retry_delay: float = FIRST_DELAY, max_retry_delay: float = MAX_DELAY,
        default_headers: Optional[Mapping[str, str]] = None,
        default_query: Optional[Mapping[str, object]] = None, http_client: Any = None,
    ) -> None:
        environ = os.environ.get
        configure_logging()
        self.api_key: Any = self._key_from_environment() if api_key is None else api_key
        self.admin_api_key = environ("OPENAI_ADMIN_KEY") if admin_api_key is None else admin_api_key
        if not self.api_key and not self.admin_api_key and not self._has_other_credentials():
            raise OpenAIError(self._missing_credentials())
        self.organization = environ("OPENAI_ORG_ID") if organization is None else organization
        self.project = environ("OPENAI_PROJECT_ID") if project is None else project
        self.webhook_secret = (
            environ("OPENAI_WEBHOOK_SECRET") if webhook_secret is None else webhook_secret
        )
        for name in ("api_key", "admin_api_key", "organization", "project"):
            check_secret(name, getattr(self, name))
        if data_residency is not None:
            if base_url is not None or websocket_base_url is not None:
                raise ValueError("give data_residency or a base URL, not both")
            known = type_named("DataResidency")
            if data_residency not in known.__args__:
                raise ValueError(f"data_residency must be one of {', '.join(known.__args__)}")
            region = "" if data_residency == "global" else data_residency + "."
            base_url = f"https://{region}api.openai.com/v1"
        self.base_url = base_url or environ("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        self.websocket_base_url = websocket_base_url
        self._transport: Any = make_transport(http_client, self.is_async)
        if isinstance(timeout, Omit):
            timeout = getattr(self._transport, "timeout", omit)
        self.timeout: Union[float, Timeout, None] = (
            DEFAULT_TIMEOUT if isinstance(timeout, Omit) else timeout
        )
        self.max_retries = check_retries(max_retries)
        self.initial_retry_delay, self.max_retry_delay = initial_retry_delay, max_retry_delay
        self._custom_headers = dict(
            custom_headers_from_environment(), **dict(default_headers or {})
        )
        self._custom_query = dict(default_query or {})
        self._prepare()

    def _prepare(self) -> None:
        """Compute what would otherwise be computed for each request."""
        given = self.timeout
        self._timeout = given if isinstance(given, Timeout) else Timeout(given)
        self._custom_names = frozenset(name.lower() for name in self._custom_headers)
        self._headers = self._default_headers()

    if not TYPE_CHECKING:

        def __setattr__(self, name, value):  # these may be changed at any time
            object.__setattr__(self, name, value)
            if name in ("organization", "project", "timeout") and "_headers" in self.__dict__:
                self._prepare()

        @property
        def _client(self):  # a property, because an attribute would be a cycle that keeps it alive
            return self

    # What a provider other than OpenAI changes: see section 10.

    def _key_from_environment(self) -> Optional[str]:
        return os.environ.get("OPENAI_API_KEY")

    def _has_other_credentials(self) -> bool:
        return False

    def _key_is_made(self) -> bool:
        """Whether a function makes the key, anew for each request."""
        return callable(self.api_key)

    def _missing_credentials(self) -> str:
        return (
            "Missing credentials: pass api_key=... or set the environment variable OPENAI_API_KEY "
            "(OPENAI_ADMIN_KEY for the administration endpoints)"
        )

    def _auth_headers(self, key: str, call: Optional[Call]) -> Dict[str, str]:
        """The headers that prove who is asking."""
        administers = call is not None and call.path.startswith(ADMIN_PATHS)
        if (administers and self.admin_api_key) or not key:
            key = self.admin_api_key or key
        return {"Authorization": "Bearer " + key}

    def _url(self, call: Call) -> str:
        if call.path.startswith(("http://", "https://")):
            return call.path
        return self._base + (call.path if call.path[:1] == "/" else "/" + call.path)

    def _secrets(self) -> List[str]:
        """What must not show up in a message."""
        return [key for key in (self.api_key, self.admin_api_key) if isinstance(key, str)]

    # Options.

    @property
    def base_url(self) -> str:
        return self._base + "/"

    @base_url.setter
    def base_url(self, url: str) -> None:
        url = str(url)
        self._base_origin = split_url(url)[0]
        self._base, _, self._base_query = url.partition("?")
        self._base = self._base.rstrip("/")

    @property
    def user_agent(self) -> str:
        return f"openai_lite/{__version__}"

    @property
    def default_headers(self) -> Dict[str, str]:
        """The headers of every request but for those of `auth_headers`."""
        return dict(self._headers)

    @property
    def auth_headers(self) -> Dict[str, str]:
        return self._auth_headers(self._resolved_key(), None)

    @property
    def default_query(self) -> Dict[str, object]:
        return dict(self._custom_query)

    def _resolved_key(self) -> str:
        return self.api_key if isinstance(self.api_key, str) else ""

    def _default_headers(self) -> Dict[str, str]:
        headers = {
            "Accept-Encoding": "gzip, deflate",
            "Connection": "keep-alive",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": self.user_agent,
            "X-Stainless-Lang": "python",
            "X-Stainless-Package-Version": __version__,
            "X-Stainless-OS": operating_system(),
            "X-Stainless-Arch": architecture(),
            "X-Stainless-Runtime": (
                "CPython" if sys.implementation.name == "cpython" else sys.implementation.name
            ),
            "X-Stainless-Runtime-Version": "%d.%d.%d" % sys.version_info[:3],
            "X-Stainless-Async": "async:asyncio" if self.is_async else "false",
        }
        if self.organization:
            headers["OpenAI-Organization"] = self.organization
        if self.project:
            headers["OpenAI-Project"] = self.project
        for name, value in getattr(self._transport, "headers", {}).items():
            set_header(headers, name, value)
        for name, value in self._custom_headers.items():
            set_header(headers, name, value)
        return headers

    def copy(
        self, *, api_key: Any = None, timeout: Union[float, Timeout, None] = omit,
        max_retries: int = omit, default_headers: Optional[Mapping[str, str]] = None,
        set_default_headers: Optional[Mapping[str, str]] = None,
        default_query: Optional[Mapping[str, object]] = None,
        set_default_query: Optional[Mapping[str, object]] = None, **options: Unpack[CopyOptions],
    ) -> Self:
        """A client with some options changed, on the same connections.

        `default_headers` and `default_query` are added to the ones there are, their `set_...` twins
        replace them.  The other names are those of the constructor.
        """
        if default_headers is not None and set_default_headers is not None:
            raise ValueError("default_headers and set_default_headers exclude each other")
        if default_query is not None and set_default_query is not None:
            raise ValueError("default_query and set_default_query exclude each other")
        headers = dict(self._custom_headers, **dict(default_headers or {}))
        query = dict(self._custom_query, **dict(default_query or {}))
        changed = {n: v for n, v in dict(options, api_key=api_key).items() if v is not None}
        kept = dict(self._kept_options(changed), http_client=self._transport)
        if isinstance(changed.get("http_client"), Omit):
            del changed["http_client"]
        kept.update(changed)
        kept.update(
            timeout=self.timeout if isinstance(timeout, Omit) else timeout,
            max_retries=self.max_retries if isinstance(max_retries, Omit) else max_retries,
            default_headers=headers if set_default_headers is None else set_default_headers,
            default_query=query if set_default_query is None else set_default_query,
        )
        twin: Self = type(self)(**kept)
        return twin

    with_options = copy

    def _kept_options(self, changed: Mapping[str, Any]) -> Dict[str, Any]:
        """The constructor's arguments for a copy in which `changed` will replace some."""
        names = [
            "api_key", "admin_api_key", "organization", "project", "webhook_secret",
            "initial_retry_delay", "max_retry_delay",
        ]
        if "data_residency" not in changed:
            names += ["base_url", "websocket_base_url"]
        return {name: getattr(self, name) for name in names}

    def is_closed(self) -> bool:
        return bool(getattr(self._transport, "closed", False))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} at {without_secrets(self.base_url)}>"

    # Sending.

    def _build(self, call: Call, key: str, stop: Optional[StopSignal]) -> HTTPRequest:
        """The HTTPRequest for a call: URL, headers and the bytes of the body."""
        timeout = self._timeout
        if not isinstance(call.timeout, Omit):
            timeout = call.timeout if isinstance(call.timeout, Timeout) else Timeout(call.timeout)
        url = self._url(call)
        query = dict(self._custom_query, **call.query) if self._custom_query else call.query
        extra = [self._base_query] if self._base_query and url.startswith(self._base) else []
        extra += [encode_query(query)] if query else []
        if any(extra):
            url += ("&" if "?" in url else "?") + "&".join(part for part in extra if part)
        deadline = None if timeout.total is None else clock() + timeout.total
        headers = dict(self._headers)
        request = HTTPRequest(call.method, url, headers, None, timeout, deadline, stop)
        request.secrets = self._secrets()
        self._authorize(request, key, call)
        body: Any = None
        if call.form is not None:
            fields = without_omit(call.body) if isinstance(call.body, Mapping) else {}
            body = MultipartBody(fields, call.form)
            headers["Content-Type"] = body.content_type
        elif call.content is not None:
            body = call.content if isinstance(call.content, bytes) else FileBody(call.content)
        elif not isinstance(call.body, Omit) and call.method != "GET":
            body = encode_json(call.body)
        if call.method == "GET":
            headers.pop("Content-Type", None)
        request.body = body
        if call.progress is not None and (call.form is not None or call.content is not None):
            request.body = ReportedBody(body, call.progress)
        if call.view:
            headers["X-Stainless-Raw-Response"] = "stream" if call.view == "streamed" else "true"
        headers["x-stainless-retry-count"] = "0"
        if timeout.read is not None:
            headers["x-stainless-read-timeout"] = str(timeout.read)
        for name in call.headers:
            value = call.headers[name]
            if call.form is not None and name.lower() == "content-type":
                continue  # without the boundary nobody could read the body
            set_header(headers, name, value)
        return request

    def _authorize(self, request: HTTPRequest, key: str, call: Call) -> None:
        auth = self._auth_headers(key, call) if request.origin == self._base_origin else {}
        if request.userinfo:  # as httpx does
            auth = dict(auth, Authorization=basic_auth(request.userinfo))
        if auth:
            given = self._custom_names.union(map(str.lower, call.headers))
            for name, value in auth.items():
                if name.lower() not in given:
                    request.headers[name] = value

    def _send(self, call: Call, stop: Optional[StopSignal] = None) -> Steps[HTTPResponse]:
        """Send until there is an answer for the caller, or an error of section 3 to raise."""
        key: str = (yield KeyWanted(self)) if self._key_is_made() else self.api_key or ""
        if call.form is not None or call.content is not None:
            yield BLOCKING  # files are looked at
        retries = (
            self.max_retries
            if isinstance(call.max_retries, Omit)
            else check_retries(call.max_retries)
        )
        request = self._build(call, key, stop)
        attempt = 0
        while True:
            if attempt and "x-stainless-retry-count" not in map(str.lower, call.headers):
                request.headers["x-stainless-retry-count"] = str(attempt)
            headers: Mapping[str, str] = {}
            error: APIError
            if logs(DEBUG):
                shown = request.shown(request.url)
                log(DEBUG, "Request: %s %s (attempt %d)", request.method, shown, attempt + 1)
            try:
                response = yield from self._follow(request)
                response.retries_taken = attempt
                if 200 <= response.status_code < 300:
                    if self._reads_now(call, response):
                        yield from response._read_steps()
                    self._log_response(response)
                    return response
                yield from response._read_steps()
                self._log_response(response)
                error, headers = status_error(response, self._secrets()), response.headers
                again = should_retry(response.status_code, headers)
            except APIConnectionError as err:
                log(DEBUG, "Failed: %s", err)
                error = err
                again = not (self.is_closed() or (stop is not None and stop.stopped))
            wait = retry_delay(
                attempt, headers, self.initial_retry_delay, self.max_retry_delay, random_fraction()
            )
            too_late = request.deadline is not None and clock() + wait >= request.deadline
            try:
                if not again or attempt >= retries or too_late:
                    raise error
            finally:
                del error  # it and this frame would keep each other, and the client, alive
            log(INFO, "Retrying request to %s in %f seconds", call.path.partition("?")[0], wait)
            yield Pause(wait)
            if self._key_is_made():
                key = yield KeyWanted(self)  # the one before may have expired
            self._authorize(request, key, call)
            attempt += 1

    def _reads_now(self, call: Call, response: HTTPResponse) -> bool:
        """Whether the body is read within the attempt, so that a cut connection can be retried."""
        if call.stream or call.view == "streamed":
            return False
        if call.cast == "HttpxBinaryResponseContent" or call.cast is HttpxBinaryResponseContent:
            length = response.headers.get("content-length", "")
            if not length.isdecimal():  # unknown, or said twice
                return self.is_async and not call.progress
            return int(length) <= PRELOADED
        return True

    def _log_response(self, response: HTTPResponse) -> None:
        if not logs(INFO):
            return
        request, request_id = response.request, str(response.headers.get("x-request-id"))
        log(
            INFO, 'HTTP Response: %s %s "%s %s %s" %.3f s, request id %s',
            request.method if request else "", request.shown(request.url) if request else "",
            response.http_version, response.status_code, redacted(response.reason_phrase, request),
            clock() - response.started, redacted(request_id, request),
        )

    def _follow(self, request: HTTPRequest) -> Steps[HTTPResponse]:
        """Send, and go where redirects lead: urllib would take the credentials along."""
        for _ in range(21):  # as many as httpx allows
            response = yield from self._exchange(request)
            if response.status_code not in (301, 302, 303, 307, 308):
                return response
            location = response.headers.get("location")
            if location is None:
                return response
            if getattr(self._transport, "follow_redirects", True) is False:
                return response
            yield from response._read_steps()
            request = redirected(request, response.status_code, location)
        raise APIConnectionError(
            message="Connection error. (more than 20 redirects)", request=request
        )

    def _exchange(self, request: HTTPRequest) -> Steps[HTTPResponse]:
        transport = self._transport
        if getattr(type(transport), "send", None) is HTTPTransport.send:
            steps: Steps[HTTPResponse] = transport.steps(request)
            return steps
        return self._send_with(transport, request)

    def _send_with(self, transport: Any, request: HTTPRequest) -> Steps[HTTPResponse]:
        """With somebody else's transport, or one that adds something to ours."""
        yield BLOCKING
        response: HTTPResponse = transport.send(request)
        return response

    # Reading.

    def _parse(self, response: HTTPResponse, call: Call) -> Any:
        """The result of a call from its response."""
        if call.stream:
            event = call.event
            stream_class: Any = AsyncStream if self.is_async else Stream
            if call.stream_cls is not None:
                event = (getattr(call.stream_cls, "__args__", None) or (call.cast,))[0]
            stream = stream_class(cast_to=type_named(event), response=response, client=self)
            return stream if call.wrap is None else call.wrap(self, stream, call)
        cast = type_named(call.cast)
        if cast is None or cast is NoneType:
            return None
        if cast is HttpxBinaryResponseContent:
            return HttpxBinaryResponseContent(response, self, call.progress)
        if cast is HTTPResponse:
            return response
        if cast is str:
            return response.text
        if cast is bytes:
            return response.content
        parsed = parsed_json(response)
        if call.finish is not None:
            parsed = call.finish(parsed)
        if isinstance(cast, type) and issubclass(cast, BasePage):
            return self._page(cast, parsed, response, call)
        if isinstance(cast, type) and issubclass(cast, BaseModel) and not isinstance(parsed, dict):
            raise unexpected(response, f"a {cast.__name__} object")
        if hasattr(cast, "model_validate") and not issubclass(cast, BaseModel):  # pydantic
            return cast.model_validate(parsed)
        try:
            result = decode(cast, parsed)
        except RecursionError:
            raise nested_too_deeply(response) from None
        if isinstance(result, BaseModel):
            remember_request(result, response)
        return result

    def _page(self, cast: Any, parsed: Any, response: HTTPResponse, call: Call) -> Any:
        if not isinstance(parsed, dict) or not isinstance(parsed.get("data") or [], list):
            raise unexpected(response, "a list with a `data` field")
        parsed.setdefault("data", [])
        convert = converter(type_named(call.item)) if call.item is not None else None
        if convert is not None:
            try:
                convert_list(convert, parsed["data"])
            except RecursionError:
                raise nested_too_deeply(response) from None
        page: Any = object.__new__(ASYNC_PAGES.get(cast, cast) if self.is_async else cast)
        page.__dict__ = parsed
        page._client, page._call = self, call
        remember_request(page, response)
        return page

    def _viewed(self, response: HTTPResponse, call: Call) -> Any:
        """The result in the view through which the endpoint was called."""
        if call.view == "raw":
            return LegacyAPIResponse(response, call, self)
        if call.view == "streamed":
            return (AsyncAPIResponse if self.is_async else APIResponse)(response, call, self)
        return self._parse(response, call)

    # Undocumented endpoints.

    get = CustomEndpoint("GET")
    post = CustomEndpoint("POST")
    patch = CustomEndpoint("PATCH")
    put = CustomEndpoint("PUT")
    delete = CustomEndpoint("DELETE")

    def __getstate__(self) -> Dict[str, Any]:
        left_out = ("_workers", "_loop")  # of the process, not of the client
        return {name: value for name, value in self.__dict__.items() if name not in left_out}


class KeyWanted(Step):
    """Have the function that the user has given make a key."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def wait(self) -> Any:
        return self.client._key()

    async def async_wait(self, loop: EventLoop) -> Any:
        return await self.client._key()


def remember_request(result: Any, response: HTTPResponse) -> None:
    result._id_of_request = response.headers.get("x-request-id")


def check_secret(name: str, value: Any) -> None:
    if isinstance(value, str):
        try:
            header_value("authorization" if "key" in name else name, value)
        except OpenAIError as err:
            raise OpenAIError(str(err).partition("the header ")[2].replace(
                repr("authorization" if "key" in name else name), f"{name}", 1
            )) from None


def made_key(name: str, key: Any) -> str:
    """The key or token that the function `name` returned, if it is one."""
    if not isinstance(key, str) or not key:
        kind = "an empty string" if key == "" else type(key).__name__
        raise OpenAIError(f"the function passed as {name} must return a key, but returned {kind}")
    check_secret("api_key" if name == "api_key" else "azure_ad_token_key", key)
    return key


def check_retries(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"max_retries must be a whole number, 0 for none, not {value!r}")
    if value < 0:
        raise ValueError("max_retries must not be negative")
    return value


def make_transport(http_client: Any, is_async: bool) -> Any:
    if http_client is None:
        return HTTPTransport()
    if type(http_client).__module__.partition(".")[0] in ("httpx", "httpx2") or not hasattr(
        http_client, "send"
    ):
        raise TypeError(
            f"http_client must be a DefaultHttpxClient of this module or an object with "
            f"send(HTTPRequest) -> HTTPResponse, not {type(http_client)!r}"
        )
    return http_client


def custom_headers_from_environment() -> Dict[str, str]:
    lines = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    return {
        name.strip(): value.strip()
        for name, colon, value in (x.partition(":") for x in lines)
        if colon
    }


def operating_system() -> str:
    names = {"linux": "Linux", "darwin": "MacOS", "win32": "Windows", "cygwin": "Windows"}
    if sys.platform.startswith(("freebsd", "openbsd")):
        return "FreeBSD" if sys.platform[0] == "f" else "OpenBSD"
    return names.get(sys.platform, "Other:" + sys.platform)


def architecture() -> str:
    machine = (
        os.uname().machine if hasattr(os, "uname") else os.environ.get("PROCESSOR_ARCHITECTURE", "")
    )
    machine = machine.lower()
    names = {
        "x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64", "arm": "arm",
        "i686": "x32",
    }
    return names.get(machine, "other:" + machine if machine else "unknown")


def redirected(request: HTTPRequest, status: int, location: str) -> HTTPRequest:
    """The request that a redirect asks for.  Credentials stay with their origin."""
    import urllib.parse

    method, body = request.method, request.body
    if (
        status == 303
        or (status == 302 and method != "HEAD")
        or (status == 301 and method == "POST")
    ):
        method, body = "HEAD" if method == "HEAD" else "GET", None
    try:
        # A raw byte means itself, as in browsers.
        raw = location.encode("latin-1", "replace")
        location = urllib.parse.quote(raw, safe="".join(printable))
        following = HTTPRequest(
            method, urllib.parse.urljoin(request.url, location), dict(request.headers), body,
            request.timeout, request.deadline, request.stop,
        )
    except (OpenAIError, ValueError) as err:
        raise APIConnectionError(
            message=f"Connection error. (redirect: {redacted(str(err), request)})", request=request
        ) from None
    following.secrets = request.secrets
    if following.origin != request.origin:
        for name in list(following.headers):
            if name.lower() in SECRET_HEADERS + ("host",) or name.lower().startswith("openai-"):
                del following.headers[name]
    if body is None:
        following.headers.pop("Content-Type", None)
    return following


class FileBody:
    """A file as a whole request body, sent in blocks."""

    def __init__(self, file: Any) -> None:
        self.part = file_part("content", file)[1]
        self.length = self.part.size if isinstance(self.part, FilePart) else len(self.part)

    def blocks(self) -> Iterator[Any]:
        return self.part.blocks() if isinstance(self.part, FilePart) else iter([self.part])


def parsed_json(response: HTTPResponse) -> Any:
    """The body as JSON, or the error that says what came instead."""
    import json

    raw = response.content
    try:
        if raw.lstrip()[:1] in (b"{", b"["):  # whatever its label says
            return json.loads(raw.decode("utf-8"))
        content_type = response.headers.get("content-type", "")
        if raw and "json" in content_type:
            return json.loads(raw.decode("utf-8"))
        problem = f"expected JSON, got {content_type or 'no content type'}"
        if not raw:
            problem = "expected JSON, got an empty body"
        elif "html" in content_type:
            problem += "; is /v1 missing in base_url?"
    except (ValueError, RecursionError) as err:
        problem = f"the body is broken JSON ({err})"
    body = redacted_content(response).decode("utf-8", "replace")
    problem, where = redacted(problem, response.request), without_secrets(response.url)
    where = redacted(where, response.request)
    raise APIResponseValidationError(
        response, body,
        message=f"{problem} (status {response.status_code} from {where}, "
        f"request id {response.headers.get('x-request-id')}): {shorten(body, 200)!r}",
    )


def unexpected(response: HTTPResponse, wanted: str) -> APIResponseValidationError:
    """The error for a body that is JSON, but of another shape."""
    import json

    got = json.loads(redacted_content(response).decode("utf-8"))
    message = f"expected {wanted}, got {shorten(repr(got), 200)}"
    return APIResponseValidationError(response, got, message=message)


def nested_too_deeply(response: HTTPResponse) -> APIResponseValidationError:
    """The error for JSON that can be parsed, but not followed to its end by Python functions."""
    message = "the answer is nested too deeply"
    return APIResponseValidationError(response, None, message=message)


# ---- 7.2 OpenAI ----


class OpenAI(BaseClient["OpenAI"]):
    __doc__ = "The client.  " + (BaseClient.__doc__ or "").partition("\n\n")[2]

    def _call(self, call: Call) -> Any:
        if call.view == "streamed":
            return ResponseContextManager(lambda: self._perform(call))
        return self._perform(call)

    def _perform(self, call: Call) -> Any:
        return self._viewed(drive(self._send(call)), call)

    def _take(self, steps: Steps[R]) -> R:
        """Do what a helper waits for (see 6.5), step by step, and return what it returns."""
        answer: Any = None
        error: Optional[BaseException] = None
        try:
            while True:
                step = steps.send(answer) if error is None else steps.throw(error)
                answer, error = step, None  # a call is over already
                try:
                    if isinstance(step, (Pause, Apart)):
                        answer = step.wait()
                    elif isinstance(step, Together):
                        answer = self._take_together(step)
                except BaseException as err:  # Ctrl-C: the helper may have something to undo
                    error = err
        except StopIteration as done:
            result: R = done.value
            return result
        finally:
            del error  # which holds this frame

    def _take_together(self, step: Together) -> List[Any]:
        import threading

        jobs = iter(enumerate(step.jobs))
        results: Dict[int, Any] = {}
        lock = threading.Lock()
        stopped = threading.Event()

        def work() -> None:
            while not stopped.is_set():
                with lock:
                    i, steps = next(jobs, (-1, None))
                if steps is None:
                    return
                try:
                    results[i] = self._take(steps)
                except BaseException as err:  # for the caller, who gets it in the list
                    results[i] = err

        threads = [threading.Thread(target=work, daemon=True) for _ in range(step.limit)]
        try:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        finally:
            stopped.set()  # on Ctrl-C: no thread begins another job
        return [results[i] for i in sorted(results)]

    def _key(self) -> str:
        if isinstance(self.api_key, str) or self.api_key is None:
            return self.api_key or ""
        return made_key("api_key", self.api_key())

    def get_api_list(
        self, path: str, *, model: Any, page: Type[T], body: Any = None,
        options: RequestOptions = {}, method: str = "get",
    ) -> T:
        """A page of objects from any path: `page=SyncCursorPage[Model], model=Model`."""
        call = custom_call(method.upper(), path, page, body, None, options, None)
        call.item = model
        result: T = self._perform(call)
        return result

    def close(self) -> None:
        """Close the connections.  Copies made by with_options share them."""
        if hasattr(self._transport, "close"):
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


# ---- 7.3 AsyncOpenAI ----


class Workers:
    """The threads of an async client, started on demand; each waits for work on a lock of its own.

    The event loop's own pool has min(32, cpu + 4) threads: 6 on a small machine, so that most of
    100 downloads, or of 100 connections to be made, would have to wait for the others.
    """

    idle_seconds = 10.0  # a thread without work ends after this long

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.reset()

    def reset(self) -> None:
        import collections

        self.process = os.getpid()
        self.lock = RLock()  # a client may be dropped, and close this, at any allocation
        self.alive: Set[Worker] = set()
        self.idle: List[Worker] = []
        self.waiting: Any = collections.deque()  # jobs for which there is no thread yet
        self.shift = 0  # a thread whose last job is of an earlier one ends after it

    def submit(self, job: Callable[[], Callable[[], None]]) -> None:
        """Run `job` in a thread, then what it returns, which hands over the result."""
        if self.process != os.getpid():  # a fork: the threads stayed behind
            self.reset()
        with self.lock:
            if self.idle:
                worker = self.idle.pop()
                worker.job, worker.shift = job, self.shift
                worker.lock.release()
            elif len(self.alive) < self.limit:
                Worker(self, job)
            else:
                self.waiting.append(job)

    def next_job(self, worker: Worker) -> Any:
        """What a thread that has done its job does next; None if it is to wait()."""
        with self.lock:
            if self.waiting:
                worker.shift = self.shift
                return self.waiting.popleft()
            if worker.shift == self.shift:
                self.idle.append(worker)
            else:
                worker.lock.release()
            return None

    def leave(self, worker: Worker) -> None:
        with self.lock:
            self.alive.discard(worker)
            if self.waiting:  # it came just before
                Worker(self, self.waiting.popleft())

    def close(self) -> List[Worker]:
        """End the idle threads, which are returned, and the others after the job they do."""
        with self.lock:
            self.shift += 1
            ended, self.idle = self.idle, []
            for worker in ended:
                worker.lock.release()
            return ended


class Worker:
    def __init__(self, pool: Workers, job: Any) -> None:
        import threading

        self.pool, self.job, self.shift = pool, job, pool.shift
        self.lock = threading.Lock()  # released when there is a job, or the thread is to end
        self.thread = threading.Thread(target=self.run, name="openai_lite", daemon=True)
        pool.alive.add(self)
        try:
            self.thread.start()
        except BaseException:  # the system has no more threads
            pool.alive.discard(self)
            raise

    def run(self) -> None:
        pool = self.pool
        try:
            job = self.wait()
            while job is not None:
                hand_over = job()
                job = pool.next_job(self)  # first: the result may bring the next one
                hand_over()
                del hand_over
                if job is None:
                    job = self.wait()
        finally:
            pool.leave(self)

    def wait(self) -> Any:
        """The job that this thread was chosen for; None if it is to end."""
        if not self.lock.acquire(timeout=self.pool.idle_seconds):
            with self.pool.lock:
                if self in self.pool.idle:
                    self.pool.idle.remove(self)
                    return None
            self.lock.acquire()  # somebody has just chosen this thread
        job, self.job = self.job, None
        return job


class AsyncOpenAI(BaseClient["AsyncOpenAI"]):
    __doc__ = (
        "The client for asyncio: every method of OpenAI, to be awaited.\n\n"
        + (BaseClient.__doc__ or "").partition("\n\n")[2]
    )

    is_async = True
    _workers: Workers
    _loop: EventLoop

    def _call(self, call: Call) -> Any:
        if call.view == "streamed":
            return AsyncResponseContextManager(lambda: self._perform(call))
        if call.view == "" and isinstance(call.cast, str) and call.cast.endswith("Page"):
            return AsyncPaginator(lambda: self._perform(call))
        return self._perform(call)

    def _perform(self, call: Call) -> Coroutine[Any, Any, Any]:
        stop = StopSignal()
        return self._drive(self._steps(call, stop), stop)

    def _steps(self, call: Call, stop: StopSignal) -> Steps[Any]:
        response = yield from self._send(call, stop)
        result = self._viewed(response, call)
        if result.__class__ is AsyncStream and call.method == "POST":
            # The first events come with the stream; a GET may wait long for them.
            result._go_on_with((yield from result._reader.batch()))
        return result

    async def _drive(self, steps: Steps[R], stop: StopSignal) -> R:
        """Take steps (4.3): in the event loop, or in a thread, which `stop` ends, if they block."""
        loop = self._event_loop()
        step: Any = None
        answer: Any = None
        in_thread = False
        try:
            while True:
                if in_thread:
                    step = await self._run(lambda: past_blocking(steps, step), stop)
                    if step.__class__ is Done:
                        return step.take()  # type: ignore[no-any-return]
                else:
                    step = steps.send(answer)
                in_thread = step is BLOCKING or (
                    not loop.knows_sockets and isinstance(step, (Connection, Dialer))
                )
                answer = None if in_thread else await step.async_wait(loop)
        except StopIteration as done:
            return done.value  # type: ignore[no-any-return]
        except BaseException:
            if not in_thread:  # which was told to stop, and cleans up
                steps.close()
            raise

    async def _take(self, steps: Steps[R]) -> R:
        """Do what a helper waits for (see 6.5), step by step, and return what it returns."""
        answer: Any = None
        error: Optional[BaseException] = None
        try:
            while True:
                step = steps.send(answer) if error is None else steps.throw(error)
                answer = error = None
                try:
                    if isinstance(step, Pause):
                        await step.async_wait(self._event_loop())
                    elif isinstance(step, Apart):
                        answer = await self._run(step.work, StopSignal())
                    elif isinstance(step, Together):
                        answer = await self._take_together(step)
                    else:
                        answer = await step if hasattr(step, "__await__") else step
                except BaseException as err:  # cancelled: the helper may have something to undo
                    error = err
        except StopIteration as done:
            result: R = done.value
            return result
        finally:
            del error  # which holds this frame

    async def _take_together(self, step: Together) -> List[Any]:
        import asyncio

        jobs = iter(enumerate(step.jobs))
        results: Dict[int, Any] = {}

        async def work() -> None:
            for i, steps in jobs:
                try:
                    results[i] = await self._take(steps)
                except asyncio.CancelledError:  # an Exception in Python 3.7
                    raise
                except Exception as err:  # for the caller, who gets it in the list
                    results[i] = err

        tasks = [asyncio.ensure_future(work()) for _ in range(step.limit)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [results[i] for i in sorted(results)]

    async def _key(self) -> str:
        if isinstance(self.api_key, str) or self.api_key is None:
            return self.api_key or ""
        key = self.api_key()
        return made_key("api_key", await key if hasattr(key, "__await__") else key)

    async def _in_worker(self, work: Callable[[], T], response: HTTPResponse) -> T:
        done: T = await self._run(work, stop_of(response))
        return done

    async def _run(self, work: Callable[[], Any], stop: StopSignal) -> Any:
        """asyncio.to_thread in our own threads; cancelling the task ends the wait at once."""
        import asyncio
        import contextvars

        loop, workers = self._event_loop(), self._threads()
        loop.end_with(workers)
        future = loop.future()
        context = contextvars.copy_context()
        job = job_of(work, loop, future)
        workers.submit(lambda: context.run(job))
        try:
            return await future
        except asyncio.CancelledError:
            stop.stop()
            if future.done() and not future.cancelled() and future.exception() is None:
                discard(future.result())  # it had come just now
            raise
        finally:
            del future  # whose error holds this frame

    def _event_loop(self) -> EventLoop:
        import asyncio

        running = asyncio.get_event_loop()
        loop: Optional[EventLoop] = self.__dict__.get("_loop")
        if loop is None or loop.loop is not running:
            loop = self._loop = EventLoop(running)
        return loop

    def _threads(self) -> Workers:
        workers: Optional[Workers] = self.__dict__.get("_workers")
        if workers is None:
            limits = getattr(self._transport, "limits", DEFAULT_CONNECTION_LIMITS)
            workers = self._workers = Workers(limits.max_connections or 1000)
        return workers

    def get_api_list(
        self, path: str, *, model: Any, page: Type[T], body: Any = None,
        options: RequestOptions = {}, method: str = "get",
    ) -> AsyncPaginator[Any, T]:
        """Pages of objects from any path: `page=AsyncCursorPage[Model], model=Model`."""
        call = custom_call(method.upper(), path, page, body, None, options, None)
        call.item = model
        return AsyncPaginator(lambda: self._perform(call))

    async def close(self) -> None:
        """Close the connections, which copies made by with_options share, and end the threads."""
        if hasattr(self._transport, "close"):
            self._transport.close()
        if "_workers" in self.__dict__:
            for worker in self._workers.close():
                worker.thread.join()

    def __del__(self) -> None:
        if "_workers" in self.__dict__:
            self._workers.close()  # the idle threads; others end after the call they are in

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class EventLoop:
    """What an async client has of an event loop.

    Waits for sockets, within time limits, and results from worker threads, many with one wake-up.
    """

    def __init__(self, loop: Any) -> None:
        import asyncio
        import collections

        self.loop, self.alarm = loop, Alarm(loop)
        self.future: Callable[[], Any] = loop.create_future
        # That of Windows cannot tell when a socket can be read.
        self.knows_sockets = type(loop).add_reader is not asyncio.AbstractEventLoop.add_reader
        self.letters: Any = collections.deque()
        self.woken = False
        self.watch: Any = None

    async def in_time(self, future: Any, limit: Optional[float], *undo: Any) -> bool:
        """Wait for a future that something sets to True; False if nothing does within the limit.

        `undo` is a function and its argument, for when the wait is over.
        """
        if limit is not None:
            self.alarm.set(future, limit)
        try:
            came: bool = await future
            return came
        finally:
            self.alarm.due.pop(future, None)
            if undo:
                undo[0](undo[1])

    def ready(self, sock: Any, role: str) -> Coroutine[Any, Any, bool]:
        """Wait until a "reader" or a "writer" of a socket need not; False after its time limit."""
        file, future = sock.fileno(), self.future()
        getattr(self.loop, "add_" + role)(file, settle, future, True, None)
        remove = getattr(self.loop, "remove_" + role)
        return self.in_time(future, sock.gettimeout(), remove, file)

    def end_with(self, workers: Workers) -> None:
        """See that no thread of a client that was not closed outlives asyncio.run().

        All that a loop tells of its end is to close the asynchronous generators it knows of.
        """
        if self.watch is None and not getattr(self.loop, "_asyncgens_shutdown_called", False):
            self.watch = until_closed(workers)
            advance(self.watch)

    def __del__(self) -> None:
        if hasattr(self, "watch"):
            self.alarm.stop()
            if self.watch is not None:
                advance(self.watch)  # to its end, or the loop would start a task to close it

    def post(self, future: Any, result: Any, error: Optional[BaseException]) -> None:
        self.letters.append((future, result, error))
        if self.woken and not self.loop.is_closed():
            return
        self.woken = True
        try:
            self.loop.call_soon_threadsafe(self.deliver)
        except RuntimeError:  # the loop is closed: nobody waits for these any more
            while self.letters:
                discard(self.letters.popleft()[1])

    def deliver(self) -> None:
        self.woken = False  # first: what is posted from here on wakes the loop again
        while self.letters:
            settle(*self.letters.popleft())


async def until_closed(workers: Workers) -> AsyncIterator[None]:
    import asyncio

    try:
        yield
    except GeneratorExit:
        workers.close()
        patience = clock() + 0.1  # all were told to stop when their tasks were cancelled
        for worker in list(workers.alive):
            while worker.thread.is_alive() and clock() < patience:
                worker.thread.join(0.01)
                await asyncio.sleep(0)
        raise


def advance(generator: Any) -> None:
    """Let an asynchronous generator go on to its next `yield`, where it has no `await` before."""
    try:
        generator.__anext__().send(None)
    except (StopIteration, StopAsyncIteration):
        pass
    except (RuntimeError, ValueError):
        pass  # it is being closed just now, by another thread


class Alarm:
    """Ends waits that take too long, with one timer: one for each would cost as much as the wait.

    It knows nothing of who waits, so that a timer that is still to go off keeps nobody alive.
    """

    def __init__(self, loop: Any) -> None:
        self.loop = loop
        self.timer: Any = None
        self.at = 0.0
        self.due: Dict[Any, float] = {}  # futures, and when they are set to False

    def set(self, future: Any, limit: float) -> None:
        due = self.due[future] = self.loop.time() + limit
        if self.timer is None or due < self.at:
            self.start(due)

    def start(self, at: float) -> None:
        self.stop()
        self.timer, self.at = self.loop.call_at(at, self.ring), at

    def stop(self) -> None:
        if self.timer is not None:
            self.timer.cancel()

    def ring(self) -> None:
        self.timer = None
        now = self.loop.time()
        for future in [future for future, due in self.due.items() if due <= now]:
            settle(future, False, None)
        later = [due for due in self.due.values() if due > now]
        if later:
            self.start(min(later))


def job_of(work: Callable[[], Any], loop: EventLoop, future: Any) -> Callable[[], Any]:
    """A job for Workers: do `work` there, then let the event loop know how it went."""
    # An error holds the frames it passed through, and those that called them.  Were the future, who
    # holds the error, among their variables, all would live until the garbage collector comes by.
    futures = [future]
    outcomes: List[Tuple[Any, Optional[BaseException]]] = []

    def job() -> Callable[[], None]:
        try:
            outcomes.append((work(), None))
        except BaseException as err:
            outcomes.append((None, err))
        return hand_over

    def hand_over() -> None:
        loop.post(futures.pop(), *outcomes.pop())

    return job


def stop_of(response: HTTPResponse) -> StopSignal:
    return (response.request.stop if response.request is not None else None) or StopSignal()


class Done:
    """The last of the steps of a generator, with what it returned."""

    def __init__(self, result: Any) -> None:
        self.result = result

    def take(self) -> Any:
        """Hand it over: an error in it may hold the frames of who has this."""
        result, self.result = self.result, None
        return result


def past_blocking(steps: Steps[Any], step: Any) -> Any:
    """In a thread: wait for this step, and return the next one that the event loop can wait for."""
    try:
        step = steps.send(step.wait())
        while step is BLOCKING or isinstance(step, Dialer):
            step = steps.send(step.wait())
        return step
    except StopIteration as done:
        return Done(done.value)


def settle(future: Any, result: Any, error: Optional[BaseException]) -> None:
    """In the event loop: give the caller what the worker thread has found."""
    if future.done():  # cancelled meanwhile
        discard(result)
    elif error is None:
        future.set_result(result)
    else:
        future.set_exception(error)


def discard(result: Any) -> None:
    """Close what nobody is going to read."""
    if isinstance(result, Done):
        result = result.take()
    if isinstance(result, Connection):
        result.close()
    response = getattr(result, "http_response", getattr(result, "response", result))
    if isinstance(response, HTTPResponse):
        response.close()


Client = OpenAI
AsyncClient = AsyncOpenAI


class httpx:
    """The names of httpx that programs use together with the official package."""

    Response = HTTPResponse
    Request = HTTPRequest
    Timeout = Timeout
    Limits = Limits
    HTTPTransport = HTTPTransport
    Client = DefaultHttpxClient
    AsyncClient = DefaultAsyncHttpxClient


########################################################################
## 8. Resources: the API, one subsection per reference page
########################################################################

# ---- 8.1 Shared types ---- https://platform.openai.com/docs/api-reference/introduction


if TYPE_CHECKING:
    # What a parameter takes where the API takes an object: a dictionary, or an object of ours.
    # Like[Tool] tells which: a Tool, or a dictionary with its keys.  What the API both takes and
    # returns is one class; a name in ...Param is what it only takes, and is a TypedDict.
    JSONObjectParam = Union[Mapping[str, Any], BaseModel]
    Like = Union[T, Mapping[str, Any], BaseModel]
    OpenObject = Any
else:

    class OpenObject(BaseModel):
        """An object whose fields are not declared; what came is there, down to its last level."""

        def __getitem__(self, key):
            return self.__dict__[key]


draft_classes(True)  # 5.1: from here on, a class is made when it is needed


SortOrder = Literal["asc", "desc"]


class ListParams(Options, total=False):
    """Which part of a list is wanted: `limit` items in an order, starting after an id."""
    after: Optional[str]
    limit: int
    order: SortOrder


class Deleted(BaseModel):
    """What was deleted."""

    deleted: bool
    object: str
    id: Optional[str] = None


ChatModel = Literal[
    "gpt-6-astra", "gpt-6.2-astra", "gpt-6.1-sol", "gpt-6.2-sol", "gpt-6.1-terra", "gpt-6-sol",
    "gpt-6-luna", "gpt-5.6-sol", "gpt-5.6-terra", "gpt-5.6-luna", "gpt-5.5", "gpt-5.5-2026-04-23",
    "gpt-5.4", "gpt-5.4-mini", "gpt-5.4-nano", "gpt-5.4-mini-2026-03-17", "gpt-5.4-nano-2026-03-17",
    "gpt-5.3-chat-latest", "gpt-5.2", "gpt-5.2-2025-12-11", "gpt-5.2-chat-latest", "gpt-5.2-pro",
    "gpt-5.2-pro-2025-12-11", "gpt-5.1", "gpt-5.1-2025-11-13", "gpt-5.1-codex", "gpt-5.1-mini",
    "gpt-5.1-chat-latest", "gpt-5", "gpt-5-mini", "gpt-5-nano", "gpt-5-2025-08-07",
    "gpt-5-mini-2025-08-07", "gpt-5-nano-2025-08-07", "gpt-5-chat-latest", "gpt-4.1",
    "gpt-4.1-mini", "gpt-4.1-nano", "gpt-4.1-2025-04-14", "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano-2025-04-14", "o4-mini", "o4-mini-2025-04-16", "o3", "o3-2025-04-16", "o3-mini",
    "o3-mini-2025-01-31", "o1", "o1-2024-12-17", "o1-preview", "o1-preview-2024-09-12", "o1-mini",
    "o1-mini-2024-09-12", "gpt-4o", "gpt-4o-2024-11-20", "gpt-4o-2024-08-06", "gpt-4o-2024-05-13",
    "gpt-audio-mini", "gpt-audio-mini-2025-12-15", "gpt-4o-audio-preview",
    "gpt-4o-audio-preview-2024-10-01", "gpt-4o-audio-preview-2024-12-17",
    "gpt-4o-audio-preview-2025-06-03", "gpt-4o-mini-audio-preview",
    "gpt-4o-mini-audio-preview-2024-12-17", "gpt-4o-search-preview", "gpt-4o-mini-search-preview",
    "gpt-4o-search-preview-2025-03-11", "gpt-4o-mini-search-preview-2025-03-11",
    "chatgpt-4o-latest", "codex-mini-latest", "gpt-4o-mini", "gpt-4o-mini-2024-07-18",
    "gpt-4-turbo", "gpt-4-turbo-2024-04-09", "gpt-4-0125-preview", "gpt-4-turbo-preview",
    "gpt-4-1106-preview", "gpt-4-vision-preview", "gpt-4", "gpt-4-0314", "gpt-4-0613", "gpt-4-32k",
    "gpt-4-32k-0314", "gpt-4-32k-0613", "gpt-3.5-turbo", "gpt-3.5-turbo-16k", "gpt-3.5-turbo-0301",
    "gpt-3.5-turbo-0613", "gpt-3.5-turbo-1106", "gpt-3.5-turbo-0125", "gpt-3.5-turbo-16k-0613",
]
ComparisonOperator = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Reasoning(BaseModel):
    """How much a reasoning model should think, and what to show of it."""

    context: Optional[Literal["auto", "current_turn", "all_turns"]] = None
    effort: Optional[ReasoningEffort] = None
    generate_summary: Optional[Literal["auto", "concise", "detailed"]] = None
    mode: Optional[Union[str, Literal["standard", "pro"]]] = None
    summary: Optional[Literal["auto", "concise", "detailed"]] = None


class OutputTokensDetails(BaseModel):
    reasoning_tokens: int


class ModerationError(BaseModel):
    code: str
    message: str
    type: Literal["error"]


class PromptCacheBreakpoint(BaseModel):
    mode: Literal["explicit"]
    ttl: Optional[Literal["30m", "12h"]] = None


class ComparisonFilter(BaseModel):
    """Compare one attribute of a file with a value."""

    key: str
    type: ComparisonOperator
    value: Union[str, float, bool, List[Union[str, float]]]


class CompoundFilter(BaseModel):
    """Combine filters with "and" or "or"."""

    filters: List[Union[ComparisonFilter, CompoundFilter]]
    type: Literal["and", "or"]


class ResponseFormatText(BaseModel):
    type: Literal["text"]


class CustomToolInputFormatGrammar(BaseModel):
    definition: str
    syntax: Literal["lark", "regex"]
    type: Literal["grammar"]


class ModerationResult(BaseModel):
    categories: Dict[str, bool]
    category_applied_input_types: Dict[str, List[Literal["text", "image"]]]
    category_scores: Dict[str, float]
    flagged: bool
    model: str
    type: Literal["moderation_result"]


class ResponseFormatJSONObject(BaseModel):
    type: Literal["json_object"]


if TYPE_CHECKING:

    class BatchCreateOutputExpiresAfterParam(TypedDict, total=False):
        anchor: Required[Literal["created_at"]]
        seconds: Required[int]

    class ChatCompletionModerationParam(TypedDict, total=False):
        model: Required[str]
        policy: Optional[Like[ChatCompletionModerationPolicyParam]]

    class ChatCompletionModerationPolicyParam(TypedDict, total=False):
        input: Optional[Like[ChatCompletionModerationPolicyInputParam]]
        output: Optional[Like[ChatCompletionModerationPolicyInputParam]]

    class ChatCompletionModerationPolicyInputParam(TypedDict, total=False):
        mode: Required[Literal["score", "block"]]

    class PromptCacheOptionsParam(TypedDict, total=False):
        mode: Literal["implicit", "explicit"]
        ttl: Literal["30m"]


# ---- 8.2 Responses ---- https://platform.openai.com/docs/api-reference/responses


ContainerMemoryLimit = Literal["1g", "4g", "16g", "64g"]
ItemStatus = Literal["in_progress", "completed", "incomplete"]
HostedToolType = Literal[
    "file_search", "web_search_preview", "computer", "computer_use_preview", "computer_use",
    "web_search_preview_2025_03_11", "image_generation", "code_interpreter",
]
McpConnectorID = Literal[
    "connector_dropbox", "connector_gmail", "connector_googlecalendar", "connector_googledrive",
    "connector_microsoftteams", "connector_outlookcalendar", "connector_outlookemail",
    "connector_sharepoint",
]
ResponseImageDetail = Literal["low", "high", "auto", "original"]
ResponseIncludable = Literal[
    "file_search_call.results", "web_search_call.results", "web_search_call.action.sources",
    "message.input_image.image_url", "computer_call_output.output.image_url",
    "code_interpreter_call.outputs", "reasoning.encrypted_content", "message.output_text.logprobs",
]
ResponseSearchStatus = Literal["in_progress", "searching", "completed", "incomplete", "failed"]
ResponseServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]
ResponseStatus = Literal["completed", "failed", "in_progress", "cancelled", "queued", "incomplete"]
ResponsesModel = Union[
    ChatModel,
    Literal[
        "o1-pro", "o1-pro-2025-03-19", "o3-pro", "o3-pro-2025-06-10", "o3-deep-research",
        "o3-deep-research-2025-06-26", "o4-mini-deep-research", "o4-mini-deep-research-2025-06-26",
        "computer-use-preview", "computer-use-preview-2025-03-11", "gpt-5.5-pro",
        "gpt-5.5-pro-2026-04-23", "gpt-5-codex", "gpt-5-pro", "gpt-5-pro-2025-10-06",
        "gpt-5.1-codex-max", "gpt-daybreak-blue-latest", "gpt-daybreak-red-latest", "gpt-5.6-cyber",
        "gpt-6-cyber", "gpt-rosalind-research", "gpt-6-rosalind", "gpt-6.2-astra-law",
    ],
]
ToolImageFormat = Literal["png", "webp", "jpeg", "gif", "svg"]
ToolImageModel = Literal[
    "gpt-image-1", "gpt-image-1-mini", "gpt-image-2", "gpt-image-2-2026-04-21",
    "gpt-image-2.5-sunburst", "gpt-image-2.5-sunburst-2026-09-08", "gpt-image-2.5-flare",
    "gpt-image-2.5-flare-2026-09-08", "gpt-image-2.6-sunburst", "gpt-image-2.6-flare",
    "gpt-image-1.5", "chatgpt-image-latest",
]
ToolImageQuality = Literal["low", "medium", "high", "xhigh", "max", "auto"]


def with_flat_tools(call: Call) -> None:
    """Function tools may be given as for chat completions, as function_tool() makes them."""
    if call.body.get("tools"):
        call.body["tools"] = [*map(flat_tool, call.body["tools"])]


def parsing_response(call: Call) -> None:
    """Ask for the schema of a class, and parse the answer as that or another class."""
    kind, parse_as = (call.body.pop(name, omit) for name in ("text_format", "parse_as"))
    text_for_class(call.body, kind)
    kind = parser_of(call.body, kind, parse_as)
    with_flat_tools(call)
    tools = call.body.get("tools") or []
    call.body = {
        name: call.body[name]
        for name in sorted(call.body, key=lambda name: (name not in LEADING_KEYS, name))
    }
    call.finish = lambda parsed: parsed_response(parsed, kind, tools)


def text_for_class(body: Dict[str, Any], kind: Any) -> None:
    """Put the schema of a class into `text`, whose other fields stay."""
    if not isinstance(kind, Omit):
        if "format" in (body.get("text") or {}):
            raise TypeError("give text_format or a format in `text`, not both")
        body["text"] = dict(body.get("text") or {}, format=text_format_of(kind))


def parser_of(body: Mapping[str, Any], kind: Any, parse_as: Any) -> Any:
    """The class of the answer: the input may have updated the format that the request asks for."""
    updates = [
        item["text"]["format"]
        for item in (body["input"] if isinstance(body.get("input"), list) else ())
        if isinstance(item, dict) and item.get("type") == "configuration_update"
        and (item.get("text") or {}).get("format")
    ]
    if updates and updates[-1].get("type") == "text":
        if parse_as is not None and not isinstance(parse_as, Omit):
            raise TypeError("parse_as does not go with an update of the format to plain text")
        return None
    asked = (body.get("text") or {}).get("format")
    if updates and isinstance(parse_as, Omit) and kind and updates[-1] != asked:
        raise TypeError(
            "the input updates the format: pass its class as parse_as, or parse_as=None for text"
        )
    return kind if isinstance(parse_as, Omit) else parse_as


class Responses(Resource[C]):
    """Generate text, images, calls of your functions: the API that succeeds chat completions."""

    input_items: ResponsesInputItems[C]
    input_tokens: ResponsesInputTokens[C]
    with_raw_response: Responses[Raw[C]]
    with_streaming_response: Responses[Streamed[C]]

    def _create_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[ResponseCreateParams]
    ) -> Response: ...
    def _create_events(
        self, *, stream: Literal[True], **params: Unpack[ResponseCreateParams]
    ) -> ResponseStreamEvent: ...

    @POST("/responses", plain=_create_plain, events=_create_events, adjust=with_flat_tools)
    def create(
        self, *, stream: Optional[bool] = omit, **params: Unpack[ResponseCreateParams]
    ) -> Response:
        """Ask a model for a response.

        Returns the Response once it is complete, or with `stream=True` its events as they happen.
        With `background=True` it returns at once: ask retrieve() until `status` is final.
        """

    if TYPE_CHECKING:

        @overload
        def parse(
            self: Responses[OpenAI], *, text_format: Type[T],
            **params: Unpack[ResponseParseParams]
        ) -> ParsedResponse[T]: ...
        @overload
        def parse(
            self: Responses[OpenAI], *, parse_as: Type[T], text_format: Any = ...,
            **params: Unpack[ResponseParseParams]
        ) -> ParsedResponse[T]: ...
        @overload
        def parse(
            self: Responses[OpenAI], *, parse_as: None = ..., **params: Unpack[ResponseParseParams]
        ) -> ParsedResponse[None]: ...
        @overload
        def parse(
            self: Responses[AsyncOpenAI], *, text_format: Type[T],
            **params: Unpack[ResponseParseParams]
        ) -> Coroutine[Any, Any, ParsedResponse[T]]: ...
        @overload
        def parse(
            self: Responses[AsyncOpenAI], *, parse_as: Type[T], text_format: Any = ...,
            **params: Unpack[ResponseParseParams]
        ) -> Coroutine[Any, Any, ParsedResponse[T]]: ...
        @overload
        def parse(
            self: Responses[AsyncOpenAI], *, parse_as: None = ...,
            **params: Unpack[ResponseParseParams]
        ) -> Coroutine[Any, Any, ParsedResponse[None]]: ...
        @overload
        def parse(
            self: Responses[Raw[OpenAI]], *, text_format: Type[T], parse_as: Any = ...,
            **params: Unpack[ResponseParseParams]
        ) -> LegacyAPIResponse[ParsedResponse[T]]: ...
        @overload
        def parse(
            self: Responses[Raw[AsyncOpenAI]], *, text_format: Type[T], parse_as: Any = ...,
            **params: Unpack[ResponseParseParams]
        ) -> Coroutine[Any, Any, LegacyAPIResponse[ParsedResponse[T]]]: ...
        def parse(self, **params: Any) -> Any: ...

        @overload
        def stream(
            self: Responses[OpenAI], *, text_format: Type[T], **params: Unpack[ResponseStreamParams]
        ) -> StreamManager[ResponseStream[T]]: ...
        @overload
        def stream(
            self: Responses[OpenAI], **params: Unpack[ResponseStreamParams]
        ) -> StreamManager[ResponseStream[None]]: ...
        @overload
        def stream(
            self: Responses[AsyncOpenAI], *, text_format: Type[T],
            **params: Unpack[ResponseStreamParams]
        ) -> AsyncStreamManager[AsyncResponseStream[T]]: ...
        @overload
        def stream(
            self: Responses[AsyncOpenAI], **params: Unpack[ResponseStreamParams]
        ) -> AsyncStreamManager[AsyncResponseStream[None]]: ...
        def stream(self, **params: Any) -> Any: ...

    else:

        @POST("/responses", adjust=parsing_response)
        def parse(
            self, *, text_format: Any = omit, parse_as: Any = omit,
            **params: Unpack[ResponseParseParams]
        ) -> ParsedResponse:
            """Ask for an answer that is an object of a class of yours, and get the object.

            `text_format` is a dataclass, a TypedDict or a pydantic model; the object is in
            `output_parsed`.  Arguments of strict function tools are parsed too.  `parse_as` is the
            class where the conversation, not this request, decides the format; None: plain text.
            Raises OutputParseError.
            """

        def stream(self, **params):
            """Stream a response as events, and accumulate it.

            Use it in `with`: that gives a ResponseStream, whose get_final_response() has the whole,
            parsed as by parse().  `response_id` streams a response that exists already, from
            `starting_after` on.
            """
            without_views(self, "stream")
            params = {n: value for n, value in params.items() if not isinstance(value, Omit)}
            kind = params.pop("text_format", omit)
            tools = params["tools"] = [*(params.get("tools") or ())]
            after = params.pop("starting_after", None)
            if "response_id" in params or after is not None:
                known = {"response_id", "include", "tools", *OPTION_NAMES}
                others = [name for name in params if name not in known]
                if others or "response_id" not in params:
                    raise ValueError(
                        "response_id streams what exists: leave out " + ", ".join(others)
                        if others else "starting_after needs a response_id"
                    )
                params.setdefault("include", [])
                endpoint = type(self).retrieve
            else:
                for name in ("input", "model"):
                    if name not in params:
                        raise ValueError(f"a new response needs {name}; an old one, response_id")
                text_for_class(params, kind)
                endpoint = type(self).create
            if not tools or endpoint is type(self).retrieve:
                del params["tools"]
            call = endpoint.prepare(self, (), dict(params, stream=True))
            state = ResponseStreamState(
                text_format=kind, input_tools=tools, starting_after=after
            )
            stream = AsyncResponseStream if self._client.is_async else ResponseStream
            return stream_manager(self._client, call, lambda raw: stream(raw, state))

    def _retrieve_plain(
        self, response_id: str, *, stream: Optional[Literal[False]] = ...,
        **params: Unpack[ResponseRetrieveParams]
    ) -> Response: ...
    def _retrieve_events(
        self, response_id: str, *, stream: Literal[True], **params: Unpack[ResponseRetrieveParams]
    ) -> ResponseStreamEvent: ...

    @GET("/responses/{response_id}", plain=_retrieve_plain, events=_retrieve_events)
    def retrieve(
        self, response_id: str, *, stream: Optional[bool] = omit,
        **params: Unpack[ResponseRetrieveParams]
    ) -> Response:
        """Fetch a stored response; with `stream=True` its events, from `starting_after` on."""

    @DELETE("/responses/{response_id}", headers={"Accept": "*/*"})
    def delete(self, response_id: str, **options: Unpack[Options]) -> None:
        """Delete a stored response.  Raises NotFoundError if there is none of this id."""

    @POST("/responses/{response_id}/cancel")
    def cancel(self, response_id: str, **options: Unpack[Options]) -> Response:
        """Stop a response that runs in the background; returns it as it was when it stopped."""

    @POST("/responses/compact")
    def compact(
        self, *, model: Optional[Union[ResponsesModel, str]],
        image: Like[ResponseImageParam] = omit,
        input: Optional[Union[str, Iterable[Like[ResponseInputItem]]]] = omit,
        instructions: Optional[str] = omit, previous_response_id: Optional[str] = omit,
        prompt_cache_key: Optional[str] = omit,
        prompt_cache_options: Optional[Like[PromptCacheOptionsParam]] = omit,
        prompt_cache_retention: Optional[Literal["in_memory", "24h"]] = omit,
        service_tier: Optional[Literal["auto", "default", "fast", "flex", "priority"]] = omit,
        **options: Unpack[Options]
    ) -> CompactedResponse:
        """Shrink a long conversation to encrypted items that stand for it.

        Returns a CompactedResponse whose `output` is the `input` to go on with.
        """


class ResponseCreateParams(Options, total=False):
    """The parameters of responses.create()."""
    access_programs: Like[ResponseAccessProgramsParam]
    background: Optional[bool]  # return at once, run on the server
    background_options: Like[ResponseBackgroundOptionsParam]
    context_management: Optional[Iterable[Like[ResponseContextManagementParam]]]
    conversation: Optional[Union[str, Like[ResponseConversationParamParam]]]  # or its id
    image: Like[ResponseImageParam]
    include: Optional[List[ResponseIncludable]]  # what else to return
    input: Union[str, Iterable[Like[ResponseInputItem]]]
    instructions: Optional[str]  # the system message
    max_output_tokens: Optional[int]  # reasoning included
    max_tool_calls: Optional[int]
    metadata: Optional[Mapping[str, str]]  # up to 16 pairs, to find the object by
    model: Union[str, ResponsesModel]
    moderation: Optional[Like[ChatCompletionModerationParam]]
    parallel_tool_calls: Optional[bool]
    previous_response_id: Optional[str]  # go on from this response
    prompt: Optional[Like[ResponsePrompt]]
    prompt_cache_key: Optional[str]  # requests that share a beginning
    prompt_cache_options: Like[ResponsePromptCacheOptionsParam]
    prompt_cache_retention: Optional[Literal["in_memory", "24h"]]
    reasoning: Optional[Like[Reasoning]]
    safety_identifier: Optional[str]  # tells your users apart; send a hash
    service_tier: Optional[ResponseServiceTier]
    store: Optional[bool]  # keep it on the server, for retrieve()
    stream_options: Optional[Like[ResponseStreamOptionsParam]]
    temperature: Optional[float]  # 0 (nearly deterministic) to 2
    text: Like[ResponseTextConfig]
    tool_choice: Union[Literal["none", "auto", "required"], Like[ResponseToolChoice]]
    tools: Iterable[Like[Tool]]
    top_logprobs: Optional[int]  # 0 to 20 alternatives per token
    top_p: Optional[float]  # 0 to 1; the alternative to temperature
    # "auto" drops the oldest items if there are too many
    truncation: Optional[Literal["auto", "disabled"]]
    user: str  # older name of safety_identifier


class ResponseParseParams(ResponseCreateParams, total=False):
    """The parameters of responses.parse()."""
    verbosity: Optional[Literal["low", "medium", "high"]]


class ResponseStreamParams(ResponseCreateParams, total=False):
    """The parameters of responses.stream()."""
    response_id: str
    starting_after: int


class ResponseRetrieveParams(Options, total=False):
    """The parameters of responses.retrieve()."""
    include: List[ResponseIncludable]  # what else to return
    include_obfuscation: bool
    starting_after: int


class ResponsesInputItems(Resource[C]):
    """What a stored response was asked."""

    with_raw_response: ResponsesInputItems[Raw[C]]
    with_streaming_response: ResponsesInputItems[Streamed[C]]

    @GET("/responses/{response_id}/input_items")
    def list(
        self, response_id: str, *, after: str = omit, include: List[ResponseIncludable] = omit,
        limit: int = omit, order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[ResponseItem]:
        """List the items that a response was asked, the latest first unless `order="asc"`."""


class ResponsesInputTokens(Resource[C]):
    """How many tokens a request would cost."""

    with_raw_response: ResponsesInputTokens[Raw[C]]
    with_streaming_response: ResponsesInputTokens[Streamed[C]]

    @POST("/responses/input_tokens", adjust=with_flat_tools)
    def count(
        self, *, conversation: Optional[Union[str, Like[ResponseConversationParamParam]]] = omit,
        input: Optional[Union[str, Iterable[Like[ResponseInputItem]]]] = omit,
        instructions: Optional[str] = omit, model: Optional[str] = omit,
        parallel_tool_calls: Optional[bool] = omit,
        personality: Union[str, Literal["friendly", "pragmatic"]] = omit,
        previous_response_id: Optional[str] = omit, reasoning: Optional[Like[Reasoning]] = omit,
        text: Optional[Like[ResponseTextConfig]] = omit,
        tool_choice: Optional[
            Union[Literal["none", "auto", "required"], Like[ResponseToolChoice]]
        ] = omit,
        tools: Optional[Iterable[Like[Tool]]] = omit,
        truncation: Literal["auto", "disabled"] = omit, **options: Unpack[Options]
    ) -> InputTokenCountResponse:
        """Count the tokens of a request, in `input_tokens`, without running it."""


class Response(BaseModel):
    """What a model answered, and with which settings."""

    id: str
    created_at: float  # Unix time, in seconds
    model: Union[str, ResponsesModel]
    object: Literal["response"]
    output: List[ResponseOutputItem]
    parallel_tool_calls: bool
    tool_choice: Union[Literal["none", "auto", "required"], ResponseToolChoice]
    tools: List[Tool]
    access_programs: Optional[ResponseAccessPrograms] = None
    error: Optional[ResponseError] = None
    incomplete_details: Optional[ResponseIncompleteDetails] = None
    instructions: Optional[Union[str, List[ResponseInputItem]]] = None
    metadata: Optional[Dict[str, str]] = None
    temperature: Optional[float] = None
    top_p: Optional[float] = None
    background: Optional[bool] = None
    completed_at: Optional[float] = None  # Unix time, in seconds
    conversation: Optional[ResponseConversation] = None
    image: Optional[ResponseImage] = None
    input_transformations: Optional[List[ResponseInputTransformation]] = None
    max_output_tokens: Optional[int] = None
    max_tool_calls: Optional[int] = None
    moderation: Optional[ResponseModeration] = None
    previous_response_id: Optional[str] = None
    prompt: Optional[ResponsePrompt] = None
    prompt_cache_diagnostics: Optional[ResponsePromptCacheDiagnostics] = None
    prompt_cache_key: Optional[str] = None
    prompt_cache_options: Optional[ResponsePromptCacheOptions] = None
    prompt_cache_retention: Optional[Literal["in_memory", "24h"]] = None
    reasoning: Optional[Reasoning] = None
    safety_identifier: Optional[str] = None
    service_tier: Optional[ResponseServiceTier] = None
    status: Optional[ResponseStatus] = None
    text: Optional[ResponseTextConfig] = None
    tool_usage: Optional[ResponseToolUsage] = None
    top_logprobs: Optional[int] = None
    truncation: Optional[Literal["auto", "disabled"]] = None
    usage: Optional[ResponseUsage] = None
    user: Optional[str] = None

    @property
    def output_text(self) -> str:
        """The text of all messages in the output, joined; "" if there is none."""
        return "".join(
            part.text
            for item in self.output or ()
            if item.type == "message"
            for part in item.content or ()
            if part.type == "output_text"
        )


class ResponseAccessPrograms(BaseModel):
    cyber: Literal["standard", "daybreak_blue", "daybreak_red"]


class ResponseError(BaseModel):
    """Why a response failed."""

    code: Literal[
        "server_error", "rate_limit_exceeded", "invalid_prompt", "data_residency_mismatch",
        "bio_policy", "misalignment_policy_violation", "vector_store_timeout", "invalid_image",
        "invalid_image_format", "invalid_base64_image", "invalid_image_url", "image_too_large",
        "image_too_small", "image_parse_error", "image_content_policy_violation",
        "invalid_image_mode", "image_file_too_large", "unsupported_image_media_type",
        "empty_image_file", "failed_to_download_image", "image_file_not_found",
    ]
    message: str
    misalignment: Optional[ResponseErrorMisalignment] = None
    param: Optional[str] = None
    type: Optional[str] = None


class ResponseErrorMisalignment(BaseModel):
    detailed_explanation: Optional[str] = None
    error_type: Optional[
        Union[
            str,
            Literal[
                "potentially_unintended_data_transfer", "potentially_unintended_data_access",
                "potentially_unintended_destructive_activity", "other",
            ],
        ]
    ] = None
    review_target: Optional[str] = None
    steer: Optional[ResponseErrorMisalignmentSteer] = None


class ResponseErrorMisalignmentSteer(BaseModel):
    message: str


class ResponseIncompleteDetails(BaseModel):
    reason: Optional[
        Literal["max_output_tokens", "max_messages", "content_filter", "steered"]
    ] = None


class EasyInputMessage(BaseModel):
    content: Union[str, List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]]
    role: Literal["user", "assistant", "system", "developer"]
    phase: Optional[Literal["commentary", "final_answer"]] = None
    type: Optional[Literal["message"]] = None


class ResponseInputText(BaseModel):
    text: str
    type: Literal["input_text"]
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None

ResponseInputTextContent = ResponseInputText


class ResponseInputImage(BaseModel):
    detail: ResponseImageDetail
    type: Literal["input_image"]
    file_id: Optional[str] = None
    image_url: Optional[str] = None
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None


class ResponseInputFile(BaseModel):
    type: Literal["input_file"]
    detail: Optional[Literal["auto", "low", "high"]] = None
    file_data: Optional[str] = None
    file_id: Optional[str] = None
    file_url: Optional[str] = None
    filename: Optional[str] = None
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None

ResponseInputFileContent = ResponseInputFile


class ResponseInputMessage(BaseModel):
    content: List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]
    role: Literal["user", "system", "developer"]
    status: Optional[ItemStatus] = None
    type: Optional[Literal["message"]] = None


class ResponseOutputMessage(BaseModel):
    """A message of the model."""

    id: str
    content: List[Union[ResponseOutputText, ResponseOutputRefusal]]
    role: Literal["assistant"]
    status: ItemStatus
    type: Literal["message"]
    phase: Optional[Literal["commentary", "final_answer"]] = None


class ResponseOutputText(BaseModel):
    """A piece of text, with what it cites."""

    annotations: List[ResponseAnnotation]
    text: str
    type: Literal["output_text"]
    logprobs: Optional[List[ResponseOutputTextLogprob]] = None


class ResponseAnnotationFileCitation(BaseModel):
    file_id: str
    filename: str
    index: int
    type: Literal["file_citation"]


class ResponseAnnotationURLCitation(BaseModel):
    end_index: int
    start_index: int
    title: str
    type: Literal["url_citation"]
    url: str


class ResponseAnnotationContainerFileCitation(BaseModel):
    container_id: str
    end_index: int
    file_id: str
    filename: str
    start_index: int
    type: Literal["container_file_citation"]


class ResponseAnnotationFilePath(BaseModel):
    file_id: str
    index: int
    type: Literal["file_path"]


class ResponseOutputTextLogprob(BaseModel):
    token: str
    bytes: List[int]
    logprob: float
    top_logprobs: List[ResponseOutputTextLogprobTopLogprob]


class ResponseOutputTextLogprobTopLogprob(BaseModel):
    token: str
    bytes: List[int]
    logprob: float


class ResponseOutputRefusal(BaseModel):
    """What the model says when it refuses."""

    refusal: str
    type: Literal["refusal"]


class ResponseFileSearchToolCall(BaseModel):
    id: str
    queries: List[str]
    status: ResponseSearchStatus
    type: Literal["file_search_call"]
    results: Optional[List[ResponseFileSearchToolCallResult]] = None


class ResponseFileSearchToolCallResult(BaseModel):
    attributes: Optional[Dict[str, Union[str, float, bool]]] = None
    file_id: Optional[str] = None
    filename: Optional[str] = None
    score: Optional[float] = None
    text: Optional[str] = None


class ResponseComputerToolCall(BaseModel):
    id: str
    call_id: str
    pending_safety_checks: List[ResponseComputerToolCallPendingSafetyCheck]
    status: ItemStatus
    type: Literal["computer_call"]
    action: Optional[ComputerAction] = None
    actions: Optional[List[ComputerAction]] = None


class ResponseComputerToolCallPendingSafetyCheck(BaseModel):
    id: str
    code: Optional[str] = None
    message: Optional[str] = None


class ResponseActionClick(BaseModel):
    button: Literal["left", "right", "wheel", "back", "forward"]
    type: Literal["click"]
    x: int
    y: int
    keys: Optional[List[str]] = None


class ResponseActionDoubleClick(BaseModel):
    type: Literal["double_click"]
    x: int
    y: int
    keys: Optional[List[str]] = None


class ResponseActionDrag(BaseModel):
    path: List[ResponseActionDragPath]
    type: Literal["drag"]
    keys: Optional[List[str]] = None


class ResponseActionDragPath(BaseModel):
    x: int
    y: int


class ResponseActionKeypress(BaseModel):
    keys: List[str]
    type: Literal["keypress"]


class ResponseActionMove(BaseModel):
    type: Literal["move"]
    x: int
    y: int
    keys: Optional[List[str]] = None


class ResponseActionScreenshot(BaseModel):
    type: Literal["screenshot"]


class ResponseActionScroll(BaseModel):
    scroll_x: int
    scroll_y: int
    type: Literal["scroll"]
    x: int
    y: int
    keys: Optional[List[str]] = None


class ResponseActionType(BaseModel):
    text: str
    type: Literal["type"]


class ResponseActionWait(BaseModel):
    type: Literal["wait"]


class ResponseInputComputerCallOutput(BaseModel):
    call_id: str
    output: ResponseComputerToolCallOutputScreenshot
    type: Literal["computer_call_output"]
    id: Optional[str] = None
    acknowledged_safety_checks: Optional[List[ResponseComputerToolCallPendingSafetyCheck]] = None
    status: Optional[ItemStatus] = None


class ResponseComputerToolCallOutputScreenshot(BaseModel):
    type: Literal["computer_screenshot"]
    file_id: Optional[str] = None
    image_url: Optional[str] = None


class ResponseFunctionWebSearch(BaseModel):
    id: str
    action: Union[
        ResponseFunctionWebSearchActionSearch, ResponseFunctionWebSearchActionOpenPage,
        ResponseFunctionWebSearchActionFind,
    ]
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"]
    type: Literal["web_search_call"]


class ResponseFunctionWebSearchActionSearch(BaseModel):
    type: Literal["search"]
    queries: Optional[List[str]] = None
    query: Optional[str] = None
    sources: Optional[List[ResponseFunctionWebSearchActionSearchSource]] = None


class ResponseFunctionWebSearchActionSearchSource(BaseModel):
    type: Literal["url"]
    url: str


class ResponseFunctionWebSearchActionOpenPage(BaseModel):
    type: Literal["open_page"]
    url: Optional[str] = None


class ResponseFunctionWebSearchActionFind(BaseModel):
    pattern: str
    type: Literal["find_in_page"]
    url: str


class ResponseFunctionToolCall(BaseModel):
    """The model wants a function of yours called; `arguments` is JSON text."""

    arguments: str  # JSON text
    call_id: str
    name: str
    type: Literal["function_call"]
    id: Optional[str] = None
    async_: Optional[bool] = stored_as("async")
    caller: Optional[ResponseCaller] = None
    namespace: Optional[str] = None
    status: Optional[ItemStatus] = None


class ResponseCallerDirect(BaseModel):
    type: Literal["direct"]


class ResponseCallerProgram(BaseModel):
    caller_id: str
    type: Literal["program"]


class ResponseInputFunctionCallOutput(BaseModel):
    output: Union[str, List[ResponseFunctionCallOutputItem]]
    type: Literal["function_call_output"]
    id: Optional[str] = None
    call_id: Optional[str] = None
    caller: Optional[ResponseCaller] = None
    name: Optional[str] = None
    namespace: Optional[str] = None
    status: Optional[ItemStatus] = None


class ResponseInputImageContent(BaseModel):
    type: Literal["input_image"]
    detail: Optional[ResponseImageDetail] = None
    file_id: Optional[str] = None
    image_url: Optional[str] = None
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None


class ResponseInputToolSearchCall(BaseModel):
    arguments: object
    type: Literal["tool_search_call"]
    id: Optional[str] = None
    call_id: Optional[str] = None
    execution: Optional[Literal["server", "client"]] = None
    status: Optional[ItemStatus] = None


class ResponseToolSearchOutputItemParam(BaseModel):
    tools: List[Tool]
    type: Literal["tool_search_output"]
    id: Optional[str] = None
    call_id: Optional[str] = None
    execution: Optional[Literal["server", "client"]] = None
    status: Optional[ItemStatus] = None


class FunctionTool(BaseModel):
    name: str
    type: Literal["function"]
    parameters: Optional[Dict[str, object]] = None
    strict: Optional[bool] = None
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None
    async_: Optional[bool] = stored_as("async")
    defer_loading: Optional[bool] = None
    description: Optional[str] = None
    output_schema: Optional[Dict[str, object]] = None


class FileSearchTool(BaseModel):
    type: Literal["file_search"]
    vector_store_ids: List[str]
    filters: Optional[Union[ComparisonFilter, CompoundFilter]] = None
    max_num_results: Optional[int] = None
    ranking_options: Optional[FileSearchToolRankingOptions] = None


class FileSearchToolRankingOptions(BaseModel):
    hybrid_search: Optional[FileSearchToolRankingOptionsHybridSearch] = None
    ranker: Optional[Literal["auto", "default-2024-11-15"]] = None
    score_threshold: Optional[float] = None


class FileSearchToolRankingOptionsHybridSearch(BaseModel):
    embedding_weight: float
    text_weight: float


class ComputerTool(BaseModel):
    type: Literal["computer"]


class ComputerUsePreviewTool(BaseModel):
    display_height: int
    display_width: int
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]
    type: Literal["computer_use_preview"]


class WebSearchTool(BaseModel):
    type: Literal["web_search", "web_search_2025_08_26"]
    external_web_access: Optional[bool] = None
    filters: Optional[WebSearchToolFilters] = None
    search_context_size: Optional[Literal["low", "medium", "high"]] = None
    user_location: Optional[WebSearchToolUserLocation] = None


class WebSearchToolFilters(BaseModel):
    allowed_domains: Optional[List[str]] = None


class WebSearchToolUserLocation(BaseModel):
    city: Optional[str] = None
    country: Optional[str] = None
    region: Optional[str] = None
    timezone: Optional[str] = None
    type: Optional[Literal["approximate"]] = None


class ToolMcp(BaseModel):
    server_label: str
    type: Literal["mcp"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None
    allowed_tools: Optional[Union[List[str], ToolMcpAllowedTools]] = None
    authorization: Optional[str] = None
    connector_id: Optional[McpConnectorID] = None
    defer_loading: Optional[bool] = None
    headers: Optional[Dict[str, str]] = None
    require_approval: Optional[Union[Literal["always", "never"], ToolMcpRequireApproval]] = None
    server_description: Optional[str] = None
    server_url: Optional[str] = None
    tunnel_id: Optional[str] = None


class ToolMcpAllowedTools(BaseModel):
    read_only: Optional[bool] = None
    tool_names: Optional[List[str]] = None


class ToolMcpRequireApproval(BaseModel):
    always: Optional[ToolMcpAllowedTools] = None
    never: Optional[ToolMcpAllowedTools] = None


class ToolCodeInterpreter(BaseModel):
    container: Union[str, ToolCodeInterpreterContainer]
    type: Literal["code_interpreter"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None


class ToolCodeInterpreterContainer(BaseModel):
    type: Literal["auto"]
    file_ids: Optional[List[str]] = None
    memory_limit: Optional[ContainerMemoryLimit] = None
    network_policy: Optional[
        Union[ContainerNetworkPolicyDisabled, ContainerNetworkPolicyAllowlist]
    ] = None


class ContainerNetworkPolicyDisabled(BaseModel):
    type: Literal["disabled"]


class ContainerNetworkPolicyAllowlist(BaseModel):
    allowed_domains: List[str]
    type: Literal["allowlist"]
    domain_secrets: Optional[List[ContainerNetworkPolicyDomainSecret]] = None


class ContainerNetworkPolicyDomainSecret(BaseModel):
    domain: str
    name: str
    value: str


class ProgrammaticToolCalling(BaseModel):
    type: Literal["programmatic_tool_calling"]


class ToolImageGeneration(BaseModel):
    type: Literal["image_generation"]
    action: Optional[Literal["generate", "edit", "auto"]] = None
    background: Optional[Literal["transparent", "opaque", "auto"]] = None
    complexity: Optional[Literal["low", "medium", "high"]] = None
    frame_count: Optional[int] = None
    frame_duration_ms: Optional[int] = None
    input_fidelity: Optional[Literal["high", "low"]] = None
    input_image_mask: Optional[ToolImageGenerationInputImageMask] = None
    model: Optional[Union[str, ToolImageModel]] = None
    moderation: Optional[Literal["auto", "low"]] = None
    output_compression: Optional[int] = None
    output_format: Optional[ToolImageFormat] = None
    partial_images: Optional[int] = None
    quality: Optional[ToolImageQuality] = None
    size: Optional[Union[str, Literal["1024x1024", "1024x1536", "1536x1024", "auto"]]] = None
    svg: Optional[ToolImageGenerationSvg] = None


class ToolImageGenerationInputImageMask(BaseModel):
    file_id: Optional[str] = None
    image_url: Optional[str] = None


class ToolImageGenerationSvg(BaseModel):
    model: Optional[str] = None
    reasoning: Optional[ResponseConfigurationReasoning] = None


class ToolLocalShell(BaseModel):
    type: Literal["local_shell"]


class FunctionShellTool(BaseModel):
    type: Literal["shell"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None
    environment: Optional[Union[ContainerAuto, LocalEnvironment, ContainerReference]] = None


class ContainerAuto(BaseModel):
    type: Literal["container_auto"]
    file_ids: Optional[List[str]] = None
    memory_limit: Optional[ContainerMemoryLimit] = None
    network_policy: Optional[
        Union[ContainerNetworkPolicyDisabled, ContainerNetworkPolicyAllowlist]
    ] = None
    skills: Optional[List[Union[SkillReference, InlineSkill]]] = None


class SkillReference(BaseModel):
    skill_id: str
    type: Literal["skill_reference"]
    version: Optional[str] = None


class InlineSkill(BaseModel):
    description: str
    name: str
    source: InlineSkillSource
    type: Literal["inline"]


class InlineSkillSource(BaseModel):
    data: str
    media_type: Literal["application/zip"]
    type: Literal["base64"]


class LocalEnvironment(BaseModel):
    type: Literal["local"]
    skills: Optional[List[LocalSkill]] = None


class LocalSkill(BaseModel):
    description: str
    name: str
    path: str


class ContainerReference(BaseModel):
    container_id: str
    type: Literal["container_reference"]

ResponseContainerReference = ContainerReference


class CustomTool(BaseModel):
    name: str
    type: Literal["custom"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None
    async_: Optional[bool] = stored_as("async")
    defer_loading: Optional[bool] = None
    description: Optional[str] = None
    format: Optional[Union[ResponseFormatText, CustomToolInputFormatGrammar]] = None


class NamespaceTool(BaseModel):
    description: str
    name: str
    tools: List[Union[NamespaceToolFunction, CustomTool]]
    type: Literal["namespace"]

ToolSearchOutputNamespaceTool = NamespaceTool


class NamespaceToolFunction(BaseModel):
    name: str
    type: Literal["function"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None
    async_: Optional[bool] = stored_as("async")
    defer_loading: Optional[bool] = None
    description: Optional[str] = None
    output_schema: Optional[Dict[str, object]] = None
    parameters: Optional[object] = None
    strict: Optional[bool] = None


class ToolSearchTool(BaseModel):
    type: Literal["tool_search"]
    description: Optional[str] = None
    execution: Optional[Literal["server", "client"]] = None
    parameters: Optional[object] = None


class WebSearchPreviewTool(BaseModel):
    type: Literal["web_search_preview", "web_search_preview_2025_03_11"]
    search_content_types: Optional[List[Literal["text", "image"]]] = None
    search_context_size: Optional[Literal["low", "medium", "high"]] = None
    user_location: Optional[WebSearchPreviewToolUserLocation] = None


class WebSearchPreviewToolUserLocation(BaseModel):
    type: Literal["approximate"]
    city: Optional[str] = None
    country: Optional[str] = None
    region: Optional[str] = None
    timezone: Optional[str] = None


class ApplyPatchTool(BaseModel):
    type: Literal["apply_patch"]
    allowed_callers: Optional[List[Literal["direct", "programmatic"]]] = None


class ResponseInputAdditionalTools(BaseModel):
    role: Literal["developer"]
    tools: List[Tool]
    type: Literal["additional_tools"]
    id: Optional[str] = None


class ResponseConfigurationUpdateItemParam(BaseModel):
    type: Literal["configuration_update"]
    id: Optional[str] = None
    reasoning: Optional[ResponseConfigurationReasoning] = None
    text: Optional[ResponseConfigurationText] = None


class ResponseConfigurationReasoning(BaseModel):
    effort: Optional[ReasoningEffort] = None


class ResponseConfigurationText(BaseModel):
    format: Union[ResponseFormatText, ResponseFormatTextJSONSchemaConfig]


class ResponseFormatTextJSONSchemaConfig(BaseModel):
    name: str
    schema_: Dict[str, object]
    type: Literal["json_schema"]
    description: Optional[str] = None
    strict: Optional[bool] = None


class ResponseReasoningItem(BaseModel):
    """What the model thought: a summary, or encrypted content to send back."""

    id: str
    summary: List[ResponseReasoningSummary]
    type: Literal["reasoning"]
    content: Optional[List[ResponseReasoningText]] = None
    encrypted_content: Optional[str] = None
    status: Optional[ItemStatus] = None


class ResponseReasoningSummary(BaseModel):
    text: str
    type: Literal["summary_text"]


class ResponseReasoningText(BaseModel):
    text: str
    type: Literal["reasoning_text"]


class ResponseCompactionItemParam(BaseModel):
    encrypted_content: str
    type: Literal["compaction"]
    id: Optional[str] = None


class ResponseImageGenerationCall(BaseModel):
    id: str
    status: Literal["in_progress", "completed", "generating", "failed"]
    type: Literal["image_generation_call"]
    result: Optional[str] = None
    action: Optional[Literal["generate", "edit", "auto"]] = None
    background: Optional[Literal["transparent", "opaque", "auto"]] = None
    error: Optional[ResponseImageGenerationCallError] = None
    output_format: Optional[ToolImageFormat] = None
    quality: Optional[ToolImageQuality] = None
    revised_prompt: Optional[str] = None
    size: Optional[Union[str, Literal["1024x1024", "1024x1536", "1536x1024"]]] = None
    svg_usage: Optional[ResponseImageGenerationCallSvgUsage] = None


class ResponseImageGenerationCallError(BaseModel):
    message: str
    type: str
    code: Optional[str] = None
    param: Optional[str] = None
    moderation_details: Optional[ResponseImageGenerationCallErrorModerationDetails] = None


class ResponseImageGenerationCallErrorModerationDetails(BaseModel):
    categories: List[str]
    moderation_stage: Literal["input", "output", "unknown"]


class ResponseImageGenerationCallSvgUsage(BaseModel):
    input_tokens: int
    model: str
    output_tokens: int
    reasoning_tokens: int
    total_tokens: int


class ResponseCodeInterpreterToolCall(BaseModel):
    id: str
    container_id: str
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]
    type: Literal["code_interpreter_call"]
    code: Optional[str] = None
    outputs: Optional[
        List[
            Union[
                ResponseCodeInterpreterToolCallOutputLogs,
                ResponseCodeInterpreterToolCallOutputImage,
            ]
        ]
    ] = None


class ResponseCodeInterpreterToolCallOutputLogs(BaseModel):
    logs: str
    type: Literal["logs"]


class ResponseCodeInterpreterToolCallOutputImage(BaseModel):
    type: Literal["image"]
    url: str


class ResponseLocalShellCall(BaseModel):
    id: str
    action: ResponseLocalShellCallAction
    call_id: str
    status: ItemStatus
    type: Literal["local_shell_call"]


class ResponseLocalShellCallAction(BaseModel):
    command: List[str]
    env: Dict[str, str]
    type: Literal["exec"]
    timeout_ms: Optional[int] = None
    user: Optional[str] = None
    working_directory: Optional[str] = None


class ResponseLocalShellCallOutput(BaseModel):
    id: str
    output: str
    type: Literal["local_shell_call_output"]
    status: Optional[ItemStatus] = None


class ResponseInputShellCall(BaseModel):
    action: ResponseFunctionShellToolCallAction
    call_id: str
    type: Literal["shell_call"]
    id: Optional[str] = None
    caller: Optional[ResponseCaller] = None
    environment: Optional[Union[LocalEnvironment, ContainerReference]] = None
    status: Optional[ItemStatus] = None


class ResponseInputShellCallOutput(BaseModel):
    call_id: str
    output: List[ResponseFunctionShellCallOutputContent]
    type: Literal["shell_call_output"]
    id: Optional[str] = None
    caller: Optional[ResponseCaller] = None
    max_output_length: Optional[int] = None
    status: Optional[ItemStatus] = None


class ResponseFunctionShellCallOutputContent(BaseModel):
    outcome: Union[ResponseShellOutcomeTimeout, ResponseShellOutcomeExit]
    stderr: str
    stdout: str


class ResponseShellOutcomeTimeout(BaseModel):
    type: Literal["timeout"]


class ResponseShellOutcomeExit(BaseModel):
    exit_code: int
    type: Literal["exit"]


class ResponseInputApplyPatchCall(BaseModel):
    call_id: str
    operation: Union[
        ResponseOperationCreateFile, ResponseOperationDeleteFile, ResponseOperationUpdateFile
    ]
    status: Literal["in_progress", "completed"]
    type: Literal["apply_patch_call"]
    id: Optional[str] = None
    caller: Optional[ResponseCaller] = None


class ResponseOperationCreateFile(BaseModel):
    diff: str
    path: str
    type: Literal["create_file"]


class ResponseOperationDeleteFile(BaseModel):
    path: str
    type: Literal["delete_file"]


class ResponseOperationUpdateFile(BaseModel):
    diff: str
    path: str
    type: Literal["update_file"]


class ResponseInputApplyPatchCallOutput(BaseModel):
    call_id: str
    status: Literal["completed", "failed"]
    type: Literal["apply_patch_call_output"]
    id: Optional[str] = None
    caller: Optional[ResponseCaller] = None
    output: Optional[str] = None


class ResponseMcpListTools(BaseModel):
    id: str
    server_label: str
    tools: List[ResponseMcpListToolsTool]
    type: Literal["mcp_list_tools"]
    error: Optional[str] = None


class ResponseMcpListToolsTool(BaseModel):
    input_schema: object
    name: str
    annotations: Optional[object] = None
    description: Optional[str] = None


class ResponseMcpApprovalRequest(BaseModel):
    id: str
    arguments: str
    name: str
    server_label: str
    type: Literal["mcp_approval_request"]


class ResponseInputMcpApprovalResponse(BaseModel):
    approval_request_id: str
    approve: bool
    type: Literal["mcp_approval_response"]
    id: Optional[str] = None
    reason: Optional[str] = None


class ResponseMcpCall(BaseModel):
    id: str
    arguments: str
    name: str
    server_label: str
    type: Literal["mcp_call"]
    approval_request_id: Optional[str] = None
    error: Optional[Union[McpProtocolError, McpToolExecutionError, McpHTTPError]] = None
    output: Optional[str] = None
    status: Optional[Literal["in_progress", "completed", "incomplete", "calling", "failed"]] = None


class McpProtocolError(BaseModel):
    code: int
    message: str
    type: Literal["mcp_protocol_error"]


class McpToolExecutionError(BaseModel):
    content: object
    type: Literal["mcp_tool_execution_error"]


class McpHTTPError(BaseModel):
    code: int
    message: str
    type: Literal["http_error"]


class ResponseCustomToolCallOutput(BaseModel):
    call_id: str
    output: Union[str, List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]]
    type: Literal["custom_tool_call_output"]
    id: Optional[str] = None
    caller: Optional[ResponseCaller] = None


class ResponseCustomToolCall(BaseModel):
    call_id: str
    input: str
    name: str
    type: Literal["custom_tool_call"]
    id: Optional[str] = None
    async_: Optional[bool] = stored_as("async")
    caller: Optional[ResponseCaller] = None
    namespace: Optional[str] = None


class ResponseInputCompactionTrigger(BaseModel):
    type: Literal["compaction_trigger"]
    id: Optional[str] = None


class ResponseItemReference(BaseModel):
    id: str
    type: Optional[Literal["item_reference"]] = None


class ResponseProgram(BaseModel):
    id: str
    call_id: str
    code: str
    fingerprint: str
    type: Literal["program"]


class ResponseProgramOutput(BaseModel):
    id: str
    call_id: str
    result: str
    status: Literal["completed", "incomplete"]
    type: Literal["program_output"]


class ResponseFunctionToolCallOutputItem(BaseModel):
    id: str
    output: Union[str, List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]]
    status: ItemStatus
    type: Literal["function_call_output"]
    call_id: Optional[str] = None
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None
    name: Optional[str] = None
    namespace: Optional[str] = None


class ResponseComputerToolCallOutputItem(BaseModel):
    id: str
    call_id: str
    output: ResponseComputerToolCallOutputScreenshot
    status: Literal["completed", "incomplete", "failed", "in_progress"]
    type: Literal["computer_call_output"]
    acknowledged_safety_checks: Optional[List[ResponseComputerToolCallPendingSafetyCheck]] = None
    created_by: Optional[str] = None


class ResponseToolSearchCall(BaseModel):
    id: str
    arguments: object
    execution: Literal["server", "client"]
    status: ItemStatus
    type: Literal["tool_search_call"]
    call_id: Optional[str] = None
    created_by: Optional[str] = None


class ResponseToolSearchOutputItem(BaseModel):
    id: str
    execution: Literal["server", "client"]
    status: ItemStatus
    tools: List[Tool]
    type: Literal["tool_search_output"]
    call_id: Optional[str] = None
    created_by: Optional[str] = None


class ResponseAdditionalTools(BaseModel):
    id: str
    role: Literal[
        "unknown", "user", "assistant", "system", "critic", "discriminator", "developer", "tool"
    ]
    tools: List[Tool]
    type: Literal["additional_tools"]


class ResponseCompactionItem(BaseModel):
    id: str
    encrypted_content: str
    type: Literal["compaction"]
    created_by: Optional[str] = None


class ResponseFunctionShellToolCall(BaseModel):
    id: str
    action: ResponseFunctionShellToolCallAction
    call_id: str
    status: ItemStatus
    type: Literal["shell_call"]
    environment: Optional[Union[ResponseLocalEnvironment, ContainerReference]] = None
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None


class ResponseFunctionShellToolCallAction(BaseModel):
    commands: List[str]
    max_output_length: Optional[int] = None
    timeout_ms: Optional[int] = None


class ResponseLocalEnvironment(BaseModel):
    type: Literal["local"]


class ResponseFunctionShellToolCallOutput(BaseModel):
    id: str
    call_id: str
    output: List[ResponseShellOutput]
    status: ItemStatus
    type: Literal["shell_call_output"]
    max_output_length: Optional[int] = None
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None


class ResponseShellOutput(BaseModel):
    outcome: Union[ResponseShellOutcomeTimeout, ResponseShellOutcomeExit]
    stderr: str
    stdout: str
    created_by: Optional[str] = None


class ResponseApplyPatchToolCall(BaseModel):
    id: str
    call_id: str
    operation: Union[
        ResponseOperationCreateFile, ResponseOperationDeleteFile, ResponseOperationUpdateFile
    ]
    status: Literal["in_progress", "completed"]
    type: Literal["apply_patch_call"]
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None


class ResponseApplyPatchToolCallOutput(BaseModel):
    id: str
    call_id: str
    status: Literal["completed", "failed"]
    type: Literal["apply_patch_call_output"]
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None
    output: Optional[str] = None


class ResponseMcpApprovalResponse(BaseModel):
    id: str
    approval_request_id: str
    approve: bool
    type: Literal["mcp_approval_response"]
    reason: Optional[str] = None


class ResponseCustomToolCallOutputItem(BaseModel):
    call_id: str
    output: Union[str, List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]]
    type: Literal["custom_tool_call_output"]
    id: str
    status: ItemStatus
    caller: Optional[ResponseCaller] = None
    created_by: Optional[str] = None


class ToolChoiceAllowed(BaseModel):
    mode: Literal["auto", "required"]
    tools: List[Dict[str, object]]
    type: Literal["allowed_tools"]


class ToolChoiceTypes(BaseModel):
    type: HostedToolType


class ToolChoiceFunction(BaseModel):
    name: str
    type: Literal["function"]


class ToolChoiceMcp(BaseModel):
    server_label: str
    type: Literal["mcp"]
    name: Optional[str] = None


class ToolChoiceCustom(BaseModel):
    name: str
    type: Literal["custom"]


class ToolChoiceApplyPatch(BaseModel):
    type: Literal["apply_patch"]


class ToolChoiceShell(BaseModel):
    type: Literal["shell"]


class ResponseConversation(BaseModel):
    id: str


class ResponseImage(BaseModel):
    context_compression: Literal["enabled", "disabled"]


class ResponseInputTransformation(BaseModel):
    id: str
    action: Literal["removed"]
    reason: Literal[
        "organization_mismatch", "end_user_mismatch", "model_mismatch", "prefix_mismatch",
        "turn_boundary",
    ]
    type: Literal["reasoning"]


class ResponseModeration(BaseModel):
    input: Union[ModerationResult, ModerationError]
    output: Union[ModerationResult, ModerationError]


class ResponsePrompt(BaseModel):
    id: str
    variables: Optional[
        Dict[str, Union[str, ResponseInputText, ResponseInputImage, ResponseInputFile]]
    ] = None
    version: Optional[str] = None


class ResponsePromptCacheDiagnosticsCacheMiss(BaseModel):
    cache_missed_tokens: int
    reason: Literal[
        "model_changed", "prompt_cache_key_changed", "tools_changed", "text_format_changed",
        "reasoning_effort_changed", "verbosity_changed", "context_compacted", "input_changed",
        "service_tier_changed",
    ]
    type: Literal["cache_miss"]
    comparison_reusable_tokens: Optional[int] = None


class ResponsePromptCacheDiagnosticsCacheHit(BaseModel):
    type: Literal["cache_hit"]


class ResponsePromptCacheDiagnosticsComparisonResponseNotFound(BaseModel):
    type: Literal["comparison_response_not_found"]


class ResponsePromptCacheDiagnosticsUnavailable(BaseModel):
    type: Literal["unavailable"]


class ResponsePromptCacheOptions(BaseModel):
    mode: Literal["implicit", "explicit"]
    ttl: Literal["30m", "12h"]
    comparison_response_id: Optional[str] = None


class ResponseTextConfig(BaseModel):
    format: Optional[
        Union[ResponseFormatText, ResponseFormatTextJSONSchemaConfig, ResponseFormatJSONObject]
    ] = None
    verbosity: Optional[Literal["low", "medium", "high"]] = None


class ResponseToolUsage(BaseModel):
    image_gen: ResponseToolUsageImageGen
    web_search: ResponseToolUsageWebSearch


class ResponseToolUsageImageGen(BaseModel):
    input_tokens: int
    input_tokens_details: ResponseToolUsageImageGenTokensDetails
    output_tokens: int
    total_tokens: int
    cached_tokens: Optional[int] = None
    cached_tokens_details: Optional[ResponseToolUsageImageGenCachedTokensDetails] = None
    output_tokens_details: Optional[ResponseToolUsageImageGenTokensDetails] = None


class ResponseToolUsageImageGenTokensDetails(BaseModel):
    image_tokens: int
    text_tokens: int


class ResponseToolUsageImageGenCachedTokensDetails(BaseModel):
    cached_image_tokens: int
    cached_text_tokens: int


class ResponseToolUsageWebSearch(BaseModel):
    num_requests: int


class ResponseUsage(BaseModel):
    """What the response cost, in tokens."""

    input_tokens: int
    input_tokens_details: ResponseUsageInputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class ResponseUsageInputTokensDetails(BaseModel):
    cache_write_tokens: int
    cached_tokens: int
    cache_write_tokens_details: Optional[
        ResponseUsageInputTokensDetailsCacheWriteTokensDetails
    ] = None


class ResponseUsageInputTokensDetailsCacheWriteTokensDetails(BaseModel):
    ttl_12h_tokens: int
    ttl_30m_tokens: int


class ParsedResponse(Response, Generic[T]):
    """A response with what was parsed of it."""

    output: List[ParsedResponseOutputItem[T]]  # type: ignore[assignment]

    @property
    def output_parsed(self) -> Optional[T]:
        """The first object that was parsed; None if there is none, as for a refusal."""
        for item in self.output or ():
            for part in (item.content or ()) if item.type == "message" else ():
                if part.type == "output_text" and part.parsed is not None:
                    return part.parsed
        return None


class ParsedResponseOutputMessage(ResponseOutputMessage, Generic[T]):
    content: List[  # type: ignore[assignment]
        Union[ParsedResponseOutputText[T], ResponseOutputRefusal]
    ]


class ParsedResponseOutputText(ResponseOutputText, Generic[T]):
    _not_sent = ("parsed",)
    parsed: Optional[T] = None


class ParsedResponseFunctionToolCall(ResponseFunctionToolCall):
    _not_sent = ("parsed_arguments",)
    # of the model or function that the tool was made of; else as JSON has it
    parsed_arguments: object = None


class CompactedResponse(BaseModel):
    """A conversation made small."""

    id: str
    created_at: int
    object: Literal["response.compaction"]
    output: List[ResponseOutputItem]
    usage: ResponseUsage
    image: Optional[ResponseImage] = None


class ResponseShellOutputDelta(BaseModel):
    stderr: Optional[str] = None
    stdout: Optional[str] = None


class ResponseTextLogprob(BaseModel):
    token: str
    logprob: float
    top_logprobs: Optional[List[ResponseTextLogprobTopLogprob]] = None


class ResponseTextLogprobTopLogprob(BaseModel):
    token: Optional[str] = None
    logprob: Optional[float] = None


class ResponseInputMessageItem(BaseModel):
    id: str
    content: List[Union[ResponseInputText, ResponseInputImage, ResponseInputFile]]
    role: Literal["user", "system", "developer"]
    type: Literal["message"]
    status: Optional[ItemStatus] = None


class ResponseFunctionToolCallItem(BaseModel):
    arguments: str
    call_id: str
    name: str
    type: Literal["function_call"]
    id: str
    status: ItemStatus
    async_: Optional[bool] = stored_as("async")
    caller: Optional[ResponseCaller] = None
    namespace: Optional[str] = None
    created_by: Optional[str] = None


class ResponseConfigurationUpdateItem(BaseModel):
    id: str
    type: Literal["configuration_update"]
    reasoning: Optional[ResponseConfigurationReasoning] = None
    text: Optional[ResponseConfigurationText] = None


class ResponseCustomToolCallItem(BaseModel):
    call_id: str
    input: str
    name: str
    type: Literal["custom_tool_call"]
    id: str
    status: ItemStatus
    async_: Optional[bool] = stored_as("async")
    caller: Optional[ResponseCaller] = None
    namespace: Optional[str] = None
    created_by: Optional[str] = None


class InputTokenCountResponse(BaseModel):
    """The number of tokens that a request has."""

    input_tokens: int
    object: Literal["response.input_tokens"]


class ResponseEvent(BaseModel):
    """What every event of a response stream has."""

    sequence_number: int


class ResponseItemEvent(ResponseEvent):
    """An event about one item of the output."""

    item_id: str
    output_index: int


class ResponseContentEvent(ResponseItemEvent):
    """An event about one part of the content of an item."""

    content_index: int


class ResponseAudioDeltaEvent(ResponseEvent):
    delta: str
    type: Literal["response.audio.delta"]


class ResponseAudioDoneEvent(ResponseEvent):
    type: Literal["response.audio.done"]


class ResponseAudioTranscriptDeltaEvent(ResponseEvent):
    delta: str
    type: Literal["response.audio.transcript.delta"]


class ResponseAudioTranscriptDoneEvent(ResponseEvent):
    type: Literal["response.audio.transcript.done"]


class ResponseCodeInterpreterCallCodeDeltaEvent(ResponseItemEvent):
    delta: str
    type: Literal["response.code_interpreter_call_code.delta"]


class ResponseCodeInterpreterCallCodeDoneEvent(ResponseItemEvent):
    code: str
    type: Literal["response.code_interpreter_call_code.done"]


class ResponseCodeInterpreterCallCompletedEvent(ResponseItemEvent):
    type: Literal["response.code_interpreter_call.completed"]


class ResponseCodeInterpreterCallInProgressEvent(ResponseItemEvent):
    type: Literal["response.code_interpreter_call.in_progress"]


class ResponseCodeInterpreterCallInterpretingEvent(ResponseItemEvent):
    type: Literal["response.code_interpreter_call.interpreting"]


class ResponseCompactionCompactingEvent(ResponseItemEvent):
    type: Literal["response.compaction.compacting"]


class ResponseCompletedEvent(ResponseEvent):
    """The response is complete; `response` holds all of it."""

    response: Response
    type: Literal["response.completed"]


class ResponseContentPartAddedEvent(ResponseContentEvent):
    part: Union[ResponseOutputText, ResponseOutputRefusal, ResponseReasoningText]
    type: Literal["response.content_part.added"]


class ResponseContentPartDoneEvent(ResponseContentEvent):
    part: Union[ResponseOutputText, ResponseOutputRefusal, ResponseReasoningText]
    type: Literal["response.content_part.done"]


class ResponseCreatedEvent(ResponseEvent):
    """The response has begun."""

    response: Response
    type: Literal["response.created"]


class ResponseErrorEvent(ResponseEvent):
    """The response could not go on."""

    message: str
    type: Literal["error"]
    code: Optional[str] = None
    param: Optional[str] = None


class ResponseFileSearchCallCompletedEvent(ResponseItemEvent):
    type: Literal["response.file_search_call.completed"]


class ResponseFileSearchCallInProgressEvent(ResponseItemEvent):
    type: Literal["response.file_search_call.in_progress"]


class ResponseFileSearchCallSearchingEvent(ResponseItemEvent):
    type: Literal["response.file_search_call.searching"]


class ResponseFunctionCallArgumentsDeltaEvent(ResponseItemEvent):
    """The next piece of the JSON text of the arguments."""

    delta: str
    type: Literal["response.function_call_arguments.delta"]


class ResponseFunctionCallArgumentsDoneEvent(ResponseItemEvent):
    arguments: str
    type: Literal["response.function_call_arguments.done"]


class ResponseShellCallCommandAddedEvent(ResponseEvent):
    command: str
    command_index: int
    output_index: int
    type: Literal["response.shell_call_command.added"]


class ResponseShellCallCommandDeltaEvent(ResponseEvent):
    command_index: int
    delta: str
    output_index: int
    type: Literal["response.shell_call_command.delta"]
    obfuscation: Optional[str] = None


class ResponseShellCallCommandDoneEvent(ResponseEvent):
    command: str
    command_index: int
    output_index: int
    type: Literal["response.shell_call_command.done"]


class ResponseShellCallOutputContentDeltaEvent(ResponseItemEvent):
    command_index: int
    delta: ResponseShellOutputDelta
    type: Literal["response.shell_call_output_content.delta"]


class ResponseShellCallOutputContentDoneEvent(ResponseItemEvent):
    command_index: int
    output: List[ResponseShellOutput]
    type: Literal["response.shell_call_output_content.done"]


class ResponseInProgressEvent(ResponseEvent):
    response: Response
    type: Literal["response.in_progress"]


class ResponseFailedEvent(ResponseEvent):
    """The response failed; `response.error` says why."""

    response: Response
    type: Literal["response.failed"]


class ResponseIncompleteEvent(ResponseEvent):
    """The response ended early; `response.incomplete_details` says why."""

    response: Response
    type: Literal["response.incomplete"]


class ResponseOutputItemAddedEvent(ResponseEvent):
    """The model begins an item of its output."""

    item: ResponseOutputItem
    output_index: int
    type: Literal["response.output_item.added"]


class ResponseOutputItemDoneEvent(ResponseEvent):
    """An item of the output is finished."""

    item: ResponseOutputItem
    output_index: int
    type: Literal["response.output_item.done"]


class ResponseReasoningSummaryPartAddedEvent(ResponseItemEvent):
    part: ResponseReasoningSummary
    summary_index: int
    type: Literal["response.reasoning_summary_part.added"]


class ResponseReasoningSummaryPartDoneEvent(ResponseItemEvent):
    part: ResponseReasoningSummary
    summary_index: int
    type: Literal["response.reasoning_summary_part.done"]
    status: Optional[Literal["incomplete"]] = None


class ResponseReasoningSummaryTextDeltaEvent(ResponseItemEvent):
    delta: str
    summary_index: int
    type: Literal["response.reasoning_summary_text.delta"]


class ResponseReasoningSummaryTextDoneEvent(ResponseItemEvent):
    summary_index: int
    text: str
    type: Literal["response.reasoning_summary_text.done"]


class ResponseReasoningTextDeltaEvent(ResponseContentEvent):
    delta: str
    type: Literal["response.reasoning_text.delta"]


class ResponseReasoningTextDoneEvent(ResponseContentEvent):
    text: str
    type: Literal["response.reasoning_text.done"]


class ResponseRefusalDeltaEvent(ResponseContentEvent):
    delta: str
    type: Literal["response.refusal.delta"]


class ResponseRefusalDoneEvent(ResponseContentEvent):
    refusal: str
    type: Literal["response.refusal.done"]


class ResponseTextDeltaEvent(ResponseContentEvent):
    """The next piece of text, in `delta`."""

    delta: str  # the next piece of text
    logprobs: List[ResponseTextLogprob]
    type: Literal["response.output_text.delta"]


class ResponseTextDoneEvent(ResponseContentEvent):
    """A text is finished; here it is whole."""

    logprobs: List[ResponseTextLogprob]
    text: str
    type: Literal["response.output_text.done"]


class ResponseWebSearchCallCompletedEvent(ResponseItemEvent):
    type: Literal["response.web_search_call.completed"]


class ResponseWebSearchCallInProgressEvent(ResponseItemEvent):
    type: Literal["response.web_search_call.in_progress"]


class ResponseWebSearchCallSearchingEvent(ResponseItemEvent):
    type: Literal["response.web_search_call.searching"]


class ResponseImageGenCallCompletedEvent(ResponseItemEvent):
    type: Literal["response.image_generation_call.completed"]


class ResponseImageGenCallGeneratingEvent(ResponseItemEvent):
    type: Literal["response.image_generation_call.generating"]


class ResponseImageGenCallInProgressEvent(ResponseItemEvent):
    type: Literal["response.image_generation_call.in_progress"]


class ResponseImageGenCallPartialImageEvent(ResponseItemEvent):
    partial_image_b64: str
    partial_image_index: int
    type: Literal["response.image_generation_call.partial_image"]
    background: Optional[str] = None
    output_format: Optional[str] = None
    quality: Optional[str] = None
    size: Optional[str] = None


class ResponseMcpCallArgumentsDeltaEvent(ResponseItemEvent):
    delta: str
    type: Literal["response.mcp_call_arguments.delta"]


class ResponseMcpCallArgumentsDoneEvent(ResponseItemEvent):
    arguments: str
    type: Literal["response.mcp_call_arguments.done"]


class ResponseMcpCallCompletedEvent(ResponseItemEvent):
    type: Literal["response.mcp_call.completed"]


class ResponseMcpCallFailedEvent(ResponseItemEvent):
    type: Literal["response.mcp_call.failed"]


class ResponseMcpCallInProgressEvent(ResponseItemEvent):
    type: Literal["response.mcp_call.in_progress"]


class ResponseMcpListToolsCompletedEvent(ResponseItemEvent):
    type: Literal["response.mcp_list_tools.completed"]


class ResponseMcpListToolsFailedEvent(ResponseItemEvent):
    type: Literal["response.mcp_list_tools.failed"]


class ResponseMcpListToolsInProgressEvent(ResponseItemEvent):
    type: Literal["response.mcp_list_tools.in_progress"]


class ResponseOutputTextAnnotationAddedEvent(ResponseContentEvent):
    annotation_index: int
    type: Literal["response.output_text.annotation.added"]
    annotation: Optional[ResponseAnnotation] = None


class ResponseQueuedEvent(ResponseEvent):
    response: Response
    type: Literal["response.queued"]


class ResponseCustomToolCallInputDeltaEvent(ResponseItemEvent):
    delta: str
    type: Literal["response.custom_tool_call_input.delta"]


class ResponseCustomToolCallInputDoneEvent(ResponseItemEvent):
    input: str
    type: Literal["response.custom_tool_call_input.done"]


ResponseCaller = Union[ResponseCallerDirect, ResponseCallerProgram]
ResponseInputItem = Union[
    EasyInputMessage, ResponseInputMessage, ResponseOutputMessage, ResponseFileSearchToolCall,
    ResponseComputerToolCall, ResponseInputComputerCallOutput, ResponseFunctionWebSearch,
    ResponseFunctionToolCall, ResponseInputFunctionCallOutput, ResponseInputToolSearchCall,
    ResponseToolSearchOutputItemParam, ResponseInputAdditionalTools,
    ResponseConfigurationUpdateItemParam, ResponseReasoningItem, ResponseCompactionItemParam,
    ResponseImageGenerationCall, ResponseCodeInterpreterToolCall, ResponseLocalShellCall,
    ResponseLocalShellCallOutput, ResponseInputShellCall, ResponseInputShellCallOutput,
    ResponseInputApplyPatchCall, ResponseInputApplyPatchCallOutput, ResponseMcpListTools,
    ResponseMcpApprovalRequest, ResponseInputMcpApprovalResponse, ResponseMcpCall,
    ResponseCustomToolCallOutput, ResponseCustomToolCall, ResponseInputCompactionTrigger,
    ResponseItemReference, ResponseProgram, ResponseProgramOutput,
]
ResponseOtherOutputItem = Union[
    ResponseFileSearchToolCall, ResponseFunctionToolCallOutputItem, ResponseFunctionWebSearch,
    ResponseComputerToolCall, ResponseComputerToolCallOutputItem, ResponseReasoningItem,
    ResponseProgram, ResponseProgramOutput, ResponseToolSearchCall,
    ResponseToolSearchOutputItem, ResponseAdditionalTools, ResponseCompactionItem,
    ResponseImageGenerationCall, ResponseCodeInterpreterToolCall, ResponseLocalShellCall,
    ResponseLocalShellCallOutput, ResponseFunctionShellToolCall,
    ResponseFunctionShellToolCallOutput, ResponseApplyPatchToolCall,
    ResponseApplyPatchToolCallOutput, ResponseMcpCall, ResponseMcpListTools,
    ResponseMcpApprovalRequest, ResponseMcpApprovalResponse, ResponseCustomToolCall,
    ResponseCustomToolCallOutputItem,
]
ResponseOutputItem = Union[
    ResponseOutputMessage, ResponseFunctionToolCall, ResponseOtherOutputItem
]
ParsedResponseOutputItem = Union[
    ParsedResponseOutputMessage[T], ParsedResponseFunctionToolCall, ResponseOtherOutputItem
]
ResponseToolChoice = Union[
    ToolChoiceAllowed, ToolChoiceTypes, ToolChoiceFunction, ToolChoiceMcp, ToolChoiceCustom,
    ProgrammaticToolCalling, ToolChoiceApplyPatch, ToolChoiceShell,
]
Tool = Union[
    FunctionTool, FileSearchTool, ComputerTool, ComputerUsePreviewTool, WebSearchTool, ToolMcp,
    ToolCodeInterpreter, ProgrammaticToolCalling, ToolImageGeneration, ToolLocalShell,
    FunctionShellTool, CustomTool, NamespaceTool, ToolSearchTool, WebSearchPreviewTool,
    ApplyPatchTool,
]
ResponsePromptCacheDiagnostics = Union[
    ResponsePromptCacheDiagnosticsCacheMiss, ResponsePromptCacheDiagnosticsCacheHit,
    ResponsePromptCacheDiagnosticsComparisonResponseNotFound,
    ResponsePromptCacheDiagnosticsUnavailable,
]
ResponseAnnotation = Union[
    ResponseAnnotationFileCitation, ResponseAnnotationURLCitation,
    ResponseAnnotationContainerFileCitation, ResponseAnnotationFilePath,
]
ComputerAction = Union[
    ResponseActionClick, ResponseActionDoubleClick, ResponseActionDrag, ResponseActionKeypress,
    ResponseActionMove, ResponseActionScreenshot, ResponseActionScroll, ResponseActionType,
    ResponseActionWait,
]
ResponseFunctionCallOutputItem = Union[
    ResponseInputText, ResponseInputImageContent, ResponseInputFile
]
ResponseItem = Union[
    ResponseInputMessageItem, ResponseOutputMessage, ResponseFileSearchToolCall,
    ResponseComputerToolCall, ResponseComputerToolCallOutputItem, ResponseFunctionWebSearch,
    ResponseFunctionToolCallItem, ResponseFunctionToolCallOutputItem, ResponseToolSearchCall,
    ResponseToolSearchOutputItem, ResponseAdditionalTools, ResponseConfigurationUpdateItem,
    ResponseReasoningItem, ResponseProgram, ResponseProgramOutput, ResponseCompactionItem,
    ResponseImageGenerationCall, ResponseCodeInterpreterToolCall, ResponseLocalShellCall,
    ResponseLocalShellCallOutput, ResponseFunctionShellToolCall,
    ResponseFunctionShellToolCallOutput, ResponseApplyPatchToolCall,
    ResponseApplyPatchToolCallOutput, ResponseMcpListTools, ResponseMcpApprovalRequest,
    ResponseMcpApprovalResponse, ResponseMcpCall, ResponseCustomToolCallItem,
    ResponseCustomToolCallOutputItem,
]
ResponseOtherStreamEvent = Union[
    ResponseAudioDeltaEvent, ResponseAudioDoneEvent, ResponseAudioTranscriptDeltaEvent,
    ResponseAudioTranscriptDoneEvent, ResponseCodeInterpreterCallCodeDeltaEvent,
    ResponseCodeInterpreterCallCodeDoneEvent, ResponseCodeInterpreterCallCompletedEvent,
    ResponseCodeInterpreterCallInProgressEvent, ResponseCodeInterpreterCallInterpretingEvent,
    ResponseCompactionCompactingEvent, ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent, ResponseCreatedEvent, ResponseErrorEvent,
    ResponseFileSearchCallCompletedEvent, ResponseFileSearchCallInProgressEvent,
    ResponseFileSearchCallSearchingEvent, ResponseFunctionCallArgumentsDoneEvent,
    ResponseShellCallCommandAddedEvent, ResponseShellCallCommandDeltaEvent,
    ResponseShellCallCommandDoneEvent, ResponseShellCallOutputContentDeltaEvent,
    ResponseShellCallOutputContentDoneEvent, ResponseInProgressEvent, ResponseFailedEvent,
    ResponseIncompleteEvent, ResponseOutputItemAddedEvent, ResponseOutputItemDoneEvent,
    ResponseReasoningSummaryPartAddedEvent, ResponseReasoningSummaryPartDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent, ResponseReasoningSummaryTextDoneEvent,
    ResponseReasoningTextDeltaEvent, ResponseReasoningTextDoneEvent, ResponseRefusalDeltaEvent,
    ResponseRefusalDoneEvent, ResponseWebSearchCallCompletedEvent,
    ResponseWebSearchCallInProgressEvent, ResponseWebSearchCallSearchingEvent,
    ResponseImageGenCallCompletedEvent, ResponseImageGenCallGeneratingEvent,
    ResponseImageGenCallInProgressEvent, ResponseImageGenCallPartialImageEvent,
    ResponseMcpCallArgumentsDeltaEvent, ResponseMcpCallArgumentsDoneEvent,
    ResponseMcpCallCompletedEvent, ResponseMcpCallFailedEvent, ResponseMcpCallInProgressEvent,
    ResponseMcpListToolsCompletedEvent, ResponseMcpListToolsFailedEvent,
    ResponseMcpListToolsInProgressEvent, ResponseOutputTextAnnotationAddedEvent,
    ResponseQueuedEvent, ResponseCustomToolCallInputDeltaEvent,
    ResponseCustomToolCallInputDoneEvent,
]
ResponseStreamEvent = Union[
    ResponseTextDeltaEvent, ResponseTextDoneEvent, ResponseFunctionCallArgumentsDeltaEvent,
    ResponseCompletedEvent, ResponseOtherStreamEvent,
]

if TYPE_CHECKING:

    class ResponseImageParam(TypedDict, total=False):
        context_compression: Literal["auto", "enabled", "disabled"]

    class ResponseAccessProgramsParam(TypedDict, total=False):
        cyber: Literal["standard", "daybreak_blue", "daybreak_red"]

    class ResponseBackgroundOptionsParam(TypedDict, total=False):
        completion_window: Literal["soonest", "2h", "8h"]
        continuation_id: str

    class ResponseContextManagementParam(TypedDict, total=False):
        type: Required[str]
        compact_threshold: Optional[int]

    class ResponseConversationParamParam(TypedDict, total=False):
        id: Required[str]

    class ResponsePromptCacheOptionsParam(TypedDict, total=False):
        comparison_response_id: Optional[str]
        mode: Literal["implicit", "explicit"]
        prewarm: bool
        ttl: Literal["30m", "12h"]

    class ResponseStreamOptionsParam(TypedDict, total=False):
        include_obfuscation: bool


# ---- 8.3 Chat completions ---- https://platform.openai.com/docs/api-reference/chat


ChatCompletionRole = Literal["developer", "system", "user", "assistant", "tool"]
ServiceTier = Literal["auto", "default", "flex", "scale", "priority", "fast"]


def parsing_chat(call: Call) -> None:
    """Ask for the schema of a class, and parse the answer."""
    body, kind = call.body, call.body.get("response_format", omit)
    tools = [*body["tools"]] if "tools" in body else []
    for tool in tools:
        function = fields_in(tool).get("function")
        if function is None:
            raise ValueError(f"only function tools can be parsed, not {fields_in(tool)['type']!r}")
        if not is_strict(tool):
            raise ValueError(f"the tool {fields_in(function)['name']!r} must have `strict: True`")
    if "response_format" in body:
        body["response_format"] = response_format_of(kind)
    if tools:
        body["tools"] = tools
    call.body = dict({"model": body.pop("model"), "stream": False}, **body)
    call.finish = lambda parsed: parsed_chat(parsed, kind, tools)


class Chat(Resource[C]):
    """The group of the chat completions."""

    completions: ChatCompletions[C]
    with_raw_response: Chat[Raw[C]]
    with_streaming_response: Chat[Streamed[C]]


class ChatCompletions(Resource[C]):
    """Answer a conversation."""

    messages: ChatCompletionsMessages[C]
    with_raw_response: ChatCompletions[Raw[C]]
    with_streaming_response: ChatCompletions[Streamed[C]]

    def _create_plain(
        self, *, stream: Optional[Literal[False]] = ...,
        **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletion: ...
    def _create_events(
        self, *, stream: Literal[True], **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletionChunk: ...

    @POST("/chat/completions", plain=_create_plain, events=_create_events)
    def create(
        self, *, stream: Optional[bool] = omit, **params: Unpack[ChatCompletionCreateParams]
    ) -> ChatCompletion:
        """Ask a model to answer a conversation.

        Returns the ChatCompletion once it is complete, or with `stream=True` its chunks as they
        are written: `chunk.choices[0].delta.content` holds the next piece of text.
        """

    if TYPE_CHECKING:

        @overload
        def parse(
            self: ChatCompletions[OpenAI], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> ParsedChatCompletion[T]: ...
        @overload
        def parse(
            self: ChatCompletions[OpenAI], **params: Unpack[ChatCompletionParams]
        ) -> ParsedChatCompletion[None]: ...
        @overload
        def parse(
            self: ChatCompletions[AsyncOpenAI], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> Coroutine[Any, Any, ParsedChatCompletion[T]]: ...
        @overload
        def parse(
            self: ChatCompletions[AsyncOpenAI], **params: Unpack[ChatCompletionParams]
        ) -> Coroutine[Any, Any, ParsedChatCompletion[None]]: ...
        @overload
        def parse(
            self: ChatCompletions[Raw[OpenAI]], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> LegacyAPIResponse[ParsedChatCompletion[T]]: ...
        @overload
        def parse(
            self: ChatCompletions[Raw[AsyncOpenAI]], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> Coroutine[Any, Any, LegacyAPIResponse[ParsedChatCompletion[T]]]: ...
        def parse(self, **params: Any) -> Any: ...

        @overload
        def stream(
            self: ChatCompletions[OpenAI], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> StreamManager[ChatCompletionStream[T]]: ...
        @overload
        def stream(
            self: ChatCompletions[OpenAI], **params: Unpack[ChatCompletionCreateParams]
        ) -> StreamManager[ChatCompletionStream[None]]: ...
        @overload
        def stream(
            self: ChatCompletions[AsyncOpenAI], *, response_format: Type[T],
            **params: Unpack[ChatCompletionParams]
        ) -> AsyncStreamManager[AsyncChatCompletionStream[T]]: ...
        @overload
        def stream(
            self: ChatCompletions[AsyncOpenAI], **params: Unpack[ChatCompletionCreateParams]
        ) -> AsyncStreamManager[AsyncChatCompletionStream[None]]: ...
        def stream(self, **params: Any) -> Any: ...

    else:

        @POST(
            "/chat/completions", headers={"X-Stainless-Helper-Method": "chat.completions.parse"},
            adjust=parsing_chat,
        )
        def parse(
            self, *, response_format: Any = omit, **params: Unpack[ChatCompletionParams]
        ) -> ParsedChatCompletion:
            """Ask for an answer that is an object of a class of yours, and get the object.

            `response_format` is a dataclass, a TypedDict or a pydantic model; the object is in
            `choices[0].message.parsed`.  Arguments of strict function tools are parsed too.
            Raises LengthFinishReasonError, ContentFilterFinishReasonError, OutputParseError, and
            ValueError for tools that are not strict functions.
            """

        def stream(self, **params):
            """Stream an answer as events, and accumulate it.

            Use it in `with`: that gives a ChatCompletionStream, whose events have a `type` such as
            "content.delta" and whose get_final_completion() has the whole, parsed as by parse().
            """
            without_views(self, "stream")
            kind = params.get("response_format", omit)
            if "tools" in params and not isinstance(params["tools"], Omit):
                params["tools"] = [*params["tools"]]
            headers = {"X-Stainless-Helper-Method": "chat.completions.stream"}
            headers.update(params.get("extra_headers") or {})
            params.update(
                response_format=response_format_of(kind), stream=True, extra_headers=headers
            )
            state = ChatCompletionStreamState(
                response_format=kind, input_tools=params.get("tools", omit)
            )
            call = type(self).create.prepare(self, (), params)
            stream = AsyncChatCompletionStream if self._client.is_async else ChatCompletionStream
            return stream_manager(self._client, call, lambda raw: stream(raw, state))

    @GET("/chat/completions/{completion_id}")
    def retrieve(self, completion_id: str, **options: Unpack[Options]) -> ChatCompletion:
        """Fetch a chat completion that was created with `store=True`."""

    @POST("/chat/completions/{completion_id}")
    def update(
        self, completion_id: str, *, metadata: Optional[Mapping[str, str]],
        **options: Unpack[Options]
    ) -> ChatCompletion:
        """Replace the metadata of a stored chat completion; returns it as it is now."""

    @GET("/chat/completions")
    def list(
        self, *, after: str = omit, limit: int = omit, metadata: Optional[Mapping[str, str]] = omit,
        model: str = omit, order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[ChatCompletion]:
        """List the chat completions that were created with `store=True`."""

    @DELETE("/chat/completions/{completion_id}")
    def delete(self, completion_id: str, **options: Unpack[Options]) -> ChatCompletionDeleted:
        """Delete a stored chat completion."""


class ChatCompletionParams(Options, total=False):
    """What chat.completions.create(), parse() and stream() have in common."""
    messages: Required[Iterable[Like[ChatCompletionMessageParam]]]
    model: Required[Union[str, ChatModel]]
    audio: Optional[Like[ChatCompletionAudioParam]]
    frequency_penalty: Optional[float]  # -2 to 2; above 0 repeats less
    # older name of tool_choice
    function_call: Union[Literal["none", "auto"], Like[ChatCompletionNamedToolChoiceFunctionParam]]
    functions: Iterable[Like[ChatCompletionFunctionParam]]  # older name of tools
    logit_bias: Optional[Mapping[str, int]]  # token id: -100 (never) to 100 (always)
    logprobs: Optional[bool]
    max_completion_tokens: Optional[int]  # reasoning included
    max_tokens: Optional[int]  # older name of max_completion_tokens
    metadata: Optional[Mapping[str, str]]  # up to 16 pairs, to find the object by
    modalities: Optional[List[Literal["text", "audio"]]]  # what to answer in
    moderation: Optional[Like[ChatCompletionModerationParam]]
    n: Optional[int]  # how many answers
    parallel_tool_calls: bool
    # text that will mostly stay as it is
    prediction: Optional[Like[ChatCompletionPredictionContentParam]]
    presence_penalty: Optional[float]  # -2 to 2; above 0 looks for new topics
    prompt_cache_key: Optional[str]  # requests that share a beginning
    prompt_cache_options: Like[PromptCacheOptionsParam]
    prompt_cache_retention: Optional[Literal["in_memory", "24h"]]
    reasoning_effort: Optional[ReasoningEffort]
    safety_identifier: Optional[str]  # tells your users apart; send a hash
    seed: Optional[int]  # the same seed, more or less the same answer
    service_tier: Optional[ServiceTier]
    stop: Optional[Union[str, List[str]]]  # up to 4 texts that end the answer
    store: Optional[bool]  # keep it on the server, for retrieve()
    stream_options: Optional[Like[ChatCompletionStreamOptionsParam]]
    temperature: Optional[float]  # 0 (nearly deterministic) to 2
    tool_choice: Union[
        Literal["none", "auto", "required"],
        Like[
            Union[
                ChatCompletionAllowedToolChoiceParam, ChatCompletionNamedToolChoiceParam,
                ChatCompletionNamedToolChoiceCustomParam,
            ]
        ],
    ]
    tools: Iterable[Like[Union[ChatCompletionFunctionTool, ChatCompletionCustomToolParam]]]
    top_logprobs: Optional[int]  # 0 to 20 alternatives per token
    top_p: Optional[float]  # 0 to 1; the alternative to temperature
    user: str  # older name of safety_identifier
    verbosity: Optional[Literal["low", "medium", "high"]]
    # for search models
    web_search_options: Like[ChatCompletionWebSearchOptionsParam]


class ChatCompletionCreateParams(ChatCompletionParams, total=False):
    """The parameters of chat.completions.create()."""
    response_format: Like[
        Union[ResponseFormatText, ResponseFormatJSONSchema, ResponseFormatJSONObject]
    ]


class ChatCompletionsMessages(Resource[C]):
    """The messages of a stored chat completion."""

    with_raw_response: ChatCompletionsMessages[Raw[C]]
    with_streaming_response: ChatCompletionsMessages[Streamed[C]]

    @GET("/chat/completions/{completion_id}/messages")
    def list(
        self, completion_id: str, *, after: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[ChatCompletionStoreMessage]:
        """List the messages that a stored chat completion answered."""


class ChatCompletion(BaseModel):
    """The answer to a conversation."""

    id: str
    choices: List[ChatCompletionChoice]
    created: int  # Unix time, in seconds
    model: str
    object: Literal["chat.completion"]
    metadata: Optional[Dict[str, str]] = None
    moderation: Optional[ChatCompletionModeration] = None
    service_tier: Optional[ServiceTier] = None
    system_fingerprint: Optional[str] = None
    usage: Optional[CompletionUsage] = None


class ChatCompletionChoice(BaseModel):
    """One of the `n` answers that were asked for."""

    finish_reason: Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    index: int
    message: ChatCompletionMessage
    logprobs: Optional[ChatCompletionChoiceLogprobs] = None


class ChatCompletionChoiceLogprobs(BaseModel):
    content: Optional[List[ChatCompletionTokenLogprob]] = None
    refusal: Optional[List[ChatCompletionTokenLogprob]] = None


class ChatCompletionTokenLogprob(BaseModel):
    """How likely a token was, and which others might have come."""

    token: str
    logprob: float
    top_logprobs: List[ChatCompletionTokenLogprobTopLogprob]
    bytes: Optional[List[int]] = None  # the token in UTF-8


class ChatCompletionTokenLogprobTopLogprob(BaseModel):
    token: str
    logprob: float
    bytes: Optional[List[int]] = None


class ChatCompletionMessage(BaseModel):
    """A message of the model."""

    role: Literal["assistant"]
    content: Optional[str] = None
    refusal: Optional[str] = None
    annotations: Optional[List[ChatCompletionMessageAnnotation]] = None
    audio: Optional[ChatCompletionAudio] = None
    function_call: Optional[ChatCompletionMessageFunctionToolCallFunction] = None
    tool_calls: Optional[
        List[Union[ChatCompletionMessageFunctionToolCall, ChatCompletionMessageCustomToolCall]]
    ] = None


class ChatCompletionMessageAnnotation(BaseModel):
    type: Literal["url_citation"]
    url_citation: ChatCompletionMessageAnnotationURLCitation


class ChatCompletionMessageAnnotationURLCitation(BaseModel):
    end_index: int
    start_index: int
    title: str
    url: str


class ChatCompletionAudio(BaseModel):
    id: str
    data: str
    expires_at: int
    transcript: str


class ChatCompletionMessageFunctionToolCall(BaseModel):
    """The model wants a function of yours called."""

    id: str
    function: ChatCompletionMessageFunctionToolCallFunction
    type: Literal["function"]


class ChatCompletionMessageFunctionToolCallFunction(BaseModel):
    arguments: str  # JSON text, not checked
    name: str


class ChatCompletionMessageCustomToolCall(BaseModel):
    id: str
    custom: ChatCompletionMessageCustomToolCallInput
    type: Literal["custom"]


class ChatCompletionMessageCustomToolCallInput(BaseModel):
    input: str
    name: str


class ParsedChatCompletion(ChatCompletion, Generic[T]):
    """An answer with what was parsed of it."""

    choices: List[ParsedChoice[T]]  # type: ignore[assignment]


class ParsedChoice(ChatCompletionChoice, Generic[T]):
    message: ParsedChatCompletionMessage[T]  # pyright: ignore


class ParsedChatCompletionMessage(ChatCompletionMessage, Generic[T]):
    _not_sent = ("parsed",)
    parsed: Optional[T] = None  # None also for a refusal, or where no class was asked for
    tool_calls: Optional[List[ParsedFunctionToolCall]] = None  # type: ignore[assignment]


class ParsedFunctionToolCall(ChatCompletionMessageFunctionToolCall):
    function: ParsedFunction  # pyright: ignore


class ParsedFunction(ChatCompletionMessageFunctionToolCallFunction):
    _not_sent = ("parsed_arguments",)
    # of the model or function that the tool was made of; else as JSON has it
    parsed_arguments: Optional[object] = None


class ChatCompletionModeration(BaseModel):
    input: Union[ChatCompletionModerationResults, ModerationError]
    output: Union[ChatCompletionModerationResults, ModerationError]


class ChatCompletionModerationResults(BaseModel):
    model: str
    results: List[ModerationResult]
    type: Literal["moderation_results"]


class ChatCompletionChunk(BaseModel):
    """A piece of a streamed answer."""

    id: str
    choices: List[ChatCompletionChunkChoice]  # empty in the chunk that brings the usage
    created: int
    model: str
    object: Literal["chat.completion.chunk"]
    moderation: Optional[ChatCompletionModeration] = None
    obfuscation: Optional[str] = None
    service_tier: Optional[ServiceTier] = None
    system_fingerprint: Optional[str] = None
    usage: Optional[CompletionUsage] = None  # in the last chunk only, with include_usage


class ChatCompletionChunkChoice(BaseModel):
    """A piece of one of the `n` answers."""

    delta: ChatCompletionDelta
    index: int
    finish_reason: Optional[
        Literal["stop", "length", "tool_calls", "content_filter", "function_call"]
    ] = None
    logprobs: Optional[ChatCompletionChoiceLogprobs] = None


class ChatCompletionDelta(BaseModel):
    """What this chunk adds to the message."""

    audio: Optional[ChatCompletionDeltaAudio] = None
    content: Optional[str] = None
    function_call: Optional[ChatCompletionDeltaToolCallFunction] = None
    refusal: Optional[str] = None
    role: Optional[ChatCompletionRole] = None
    tool_calls: Optional[List[ChatCompletionDeltaToolCall]] = None


class ChatCompletionDeltaAudio(BaseModel):
    id: Optional[str] = None
    data: Optional[str] = None
    expires_at: Optional[int] = None
    transcript: Optional[str] = None


class ChatCompletionDeltaToolCall(BaseModel):
    """A piece of a tool call; pieces of one call share its `index`."""

    index: int
    id: Optional[str] = None
    function: Optional[ChatCompletionDeltaToolCallFunction] = None
    type: Optional[Literal["function"]] = None


class ChatCompletionDeltaToolCallFunction(BaseModel):
    arguments: Optional[str] = None
    name: Optional[str] = None


class ChatCompletionDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["chat.completion.deleted"]


class ChatCompletionStoreMessage(BaseModel):
    role: Literal["assistant"]
    id: str
    content: Optional[str] = None
    refusal: Optional[str] = None
    annotations: Optional[List[ChatCompletionMessageAnnotation]] = None
    audio: Optional[ChatCompletionAudio] = None
    function_call: Optional[ChatCompletionMessageFunctionToolCallFunction] = None
    tool_calls: Optional[
        List[Union[ChatCompletionMessageFunctionToolCall, ChatCompletionMessageCustomToolCall]]
    ] = None
    content_parts: Optional[List[ChatCompletionStoreMessageContentPart]] = None


class ChatCompletionContentPartText(BaseModel):
    text: str
    type: Literal["text"]
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None


class ChatCompletionContentPartImage(BaseModel):
    image_url: ChatCompletionContentPartImageURL
    type: Literal["image_url"]
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None


class ChatCompletionContentPartImageURL(BaseModel):
    url: str
    detail: Optional[Literal["auto", "low", "high", "original"]] = None


ChatCompletionStoreMessageContentPart = Union[
    ChatCompletionContentPartText, ChatCompletionContentPartImage
]

if TYPE_CHECKING:

    class ChatCompletionDeveloperMessageParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[ChatCompletionContentPartText]]]]
        role: Required[Literal["developer"]]
        name: str

    class ChatCompletionSystemMessageParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[ChatCompletionContentPartText]]]]
        role: Required[Literal["system"]]
        name: str

    class ChatCompletionUserMessageParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[ChatCompletionContentPartParam]]]]
        role: Required[Literal["user"]]
        name: str

    class ChatCompletionContentPartInputAudioParam(TypedDict, total=False):
        input_audio: Required[Like[ChatCompletionContentPartInputAudioDataParam]]
        type: Required[Literal["input_audio"]]
        prompt_cache_breakpoint: Like[PromptCacheBreakpoint]

    class ChatCompletionContentPartInputAudioDataParam(TypedDict, total=False):
        data: Required[str]
        format: Required[Literal["wav", "mp3"]]

    class ChatCompletionContentPartFileParam(TypedDict, total=False):
        file: Required[Like[ChatCompletionContentPartFileDataParam]]
        type: Required[Literal["file"]]
        prompt_cache_breakpoint: Like[PromptCacheBreakpoint]

    class ChatCompletionContentPartFileDataParam(TypedDict, total=False):
        file_data: str
        file_id: str
        filename: str

    class ChatCompletionAssistantMessageParam(TypedDict, total=False):
        role: Required[Literal["assistant"]]
        audio: Optional[Like[ChatCompletionAssistantMessageAudioParam]]
        content: Optional[
            Union[str, Iterable[Like[Union[ChatCompletionContentPartText, ResponseOutputRefusal]]]]
        ]
        function_call: Optional[Like[ChatCompletionMessageFunctionToolCallFunction]]
        name: str
        refusal: Optional[str]
        tool_calls: Iterable[
            Like[Union[ChatCompletionMessageFunctionToolCall, ChatCompletionMessageCustomToolCall]]
        ]

    class ChatCompletionAssistantMessageAudioParam(TypedDict, total=False):
        id: Required[str]

    class ChatCompletionToolMessageParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[ChatCompletionContentPartText]]]]
        role: Required[Literal["tool"]]
        tool_call_id: Required[str]

    class ChatCompletionFunctionMessageParam(TypedDict, total=False):
        content: Required[Optional[str]]
        name: Required[str]
        role: Required[Literal["function"]]

    class ChatCompletionAudioParam(TypedDict, total=False):
        format: Required[Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]]
        voice: Required[
            Union[
                str,
                Literal[
                    "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin",
                    "cedar",
                ],
                Like[ChatCompletionAudioVoiceIDParam],
            ]
        ]

    class ChatCompletionAudioVoiceIDParam(TypedDict, total=False):
        id: Required[str]

    class ChatCompletionFunctionParam(TypedDict, total=False):
        name: Required[str]
        description: str
        parameters: Mapping[str, object]

    class ChatCompletionPredictionContentParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[ChatCompletionContentPartText]]]]
        type: Required[Literal["content"]]

    class ChatCompletionStreamOptionsParam(TypedDict, total=False):
        include_obfuscation: bool
        include_usage: bool

    class ChatCompletionAllowedToolChoiceParam(TypedDict, total=False):
        allowed_tools: Required[Like[ChatCompletionAllowedToolsParam]]
        type: Required[Literal["allowed_tools"]]

    class ChatCompletionAllowedToolsParam(TypedDict, total=False):
        mode: Required[Literal["auto", "required"]]
        tools: Required[Sequence[Mapping[str, object]]]

    class ChatCompletionNamedToolChoiceParam(TypedDict, total=False):
        function: Required[Like[ChatCompletionNamedToolChoiceFunctionParam]]
        type: Required[Literal["function"]]

    class ChatCompletionNamedToolChoiceFunctionParam(TypedDict, total=False):
        name: Required[str]

    class ChatCompletionNamedToolChoiceCustomParam(TypedDict, total=False):
        custom: Required[Like[ChatCompletionNamedToolChoiceFunctionParam]]
        type: Required[Literal["custom"]]

    class ChatCompletionCustomToolParam(TypedDict, total=False):
        custom: Required[Like[ChatCompletionCustomToolDefinitionParam]]
        type: Required[Literal["custom"]]

    class ChatCompletionCustomToolDefinitionParam(TypedDict, total=False):
        name: Required[str]
        description: str
        format: Like[
            Union[ResponseFormatText, ChatCompletionCustomToolDefinitionFormatGrammarParam]
        ]

    class ChatCompletionCustomToolDefinitionFormatGrammarParam(TypedDict, total=False):
        grammar: Required[Like[ChatCompletionCustomToolDefinitionFormatGrammarDefinitionParam]]
        type: Required[Literal["grammar"]]

    class ChatCompletionCustomToolDefinitionFormatGrammarDefinitionParam(TypedDict, total=False):
        definition: Required[str]
        syntax: Required[Literal["lark", "regex"]]

    class ChatCompletionWebSearchOptionsParam(TypedDict, total=False):
        search_context_size: Literal["low", "medium", "high"]
        user_location: Optional[Like[ChatCompletionWebSearchOptionsUserLocationParam]]

    class ChatCompletionWebSearchOptionsUserLocationParam(TypedDict, total=False):
        approximate: Required[Like[ChatCompletionWebSearchOptionsUserLocationApproximateParam]]
        type: Required[Literal["approximate"]]

    class ChatCompletionWebSearchOptionsUserLocationApproximateParam(TypedDict, total=False):
        city: str
        country: str
        region: str
        timezone: str

    ChatCompletionContentPartParam = Union[
        ChatCompletionContentPartText, ChatCompletionContentPartImage,
        ChatCompletionContentPartInputAudioParam, ChatCompletionContentPartFileParam,
    ]
    ChatCompletionMessageParam = Union[
        ChatCompletionDeveloperMessageParam, ChatCompletionSystemMessageParam,
        ChatCompletionUserMessageParam, ChatCompletionAssistantMessageParam,
        ChatCompletionToolMessageParam, ChatCompletionFunctionMessageParam,
    ]


# ---- 8.4 Completions ---- https://platform.openai.com/docs/api-reference/completions


class Completions(Resource[C]):
    """Continue a text; for models that do not chat."""

    with_raw_response: Completions[Raw[C]]
    with_streaming_response: Completions[Streamed[C]]

    def _create_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[CompletionCreateParams]
    ) -> Completion: ...
    def _create_events(
        self, *, stream: Literal[True], **params: Unpack[CompletionCreateParams]
    ) -> Completion: ...

    @POST("/completions", plain=_create_plain, events=_create_events)
    def create(
        self, *, stream: Optional[bool] = omit, **params: Unpack[CompletionCreateParams]
    ) -> Completion:
        """Let a model continue a text, or several.

        Returns the Completion, or with `stream=True` the pieces of it as they are written.
        """


class CompletionCreateParams(Options, total=False):
    """The parameters of completions.create()."""
    model: Required[Union[str, Literal["gpt-3.5-turbo-instruct", "davinci-002", "babbage-002"]]]
    prompt: Required[Optional[Union[str, List[str], Sequence[int], Sequence[Sequence[int]]]]]
    best_of: Optional[int]  # make this many, return the best
    echo: Optional[bool]  # give the prompt back as well
    frequency_penalty: Optional[float]  # -2 to 2; above 0 repeats less
    logit_bias: Optional[Mapping[str, int]]  # token id: -100 (never) to 100 (always)
    logprobs: Optional[int]
    max_tokens: Optional[int]  # older name of max_completion_tokens
    n: Optional[int]  # how many answers
    presence_penalty: Optional[float]  # -2 to 2; above 0 looks for new topics
    seed: Optional[int]  # the same seed, more or less the same answer
    stop: Optional[Union[str, List[str]]]  # up to 4 texts that end the answer
    stream_options: Optional[Like[ChatCompletionStreamOptionsParam]]
    suffix: Optional[str]  # the text that comes after
    temperature: Optional[float]  # 0 (nearly deterministic) to 2
    top_p: Optional[float]  # 0 to 1; the alternative to temperature
    user: str  # older name of safety_identifier


class Completion(BaseModel):
    """A text continued; in a stream, a piece of it."""

    id: str
    choices: List[CompletionChoice]
    created: int
    model: str
    object: Literal["text_completion"]
    system_fingerprint: Optional[str] = None
    usage: Optional[CompletionUsage] = None


class CompletionChoice(BaseModel):
    finish_reason: Literal["stop", "length", "content_filter"]
    index: int
    text: str
    logprobs: Optional[CompletionChoiceLogprobs] = None


class CompletionChoiceLogprobs(BaseModel):
    text_offset: Optional[List[int]] = None
    token_logprobs: Optional[List[float]] = None
    tokens: Optional[List[str]] = None
    top_logprobs: Optional[List[Dict[str, float]]] = None


class CompletionUsage(BaseModel):
    """What a completion cost, in tokens."""

    completion_tokens: int
    prompt_tokens: int
    total_tokens: int
    completion_tokens_details: Optional[CompletionUsageCompletionTokensDetails] = None
    prompt_tokens_details: Optional[CompletionUsagePromptTokensDetails] = None


class CompletionUsageCompletionTokensDetails(BaseModel):
    accepted_prediction_tokens: Optional[int] = None
    audio_tokens: Optional[int] = None
    reasoning_tokens: Optional[int] = None
    rejected_prediction_tokens: Optional[int] = None
    text_tokens: Optional[int] = None


class CompletionUsagePromptTokensDetails(BaseModel):
    audio_tokens: Optional[int] = None
    cache_write_tokens: Optional[int] = None
    cached_tokens: Optional[int] = None
    image_tokens: Optional[int] = None
    text_tokens: Optional[int] = None


# ---- 8.5 Embeddings ---- https://platform.openai.com/docs/api-reference/embeddings


def base64_on_the_wire(call: Call) -> None:
    """Unless the caller has a wish, which is then also the form of the result."""
    if "encoding_format" not in call.body:
        call.body["encoding_format"] = "base64"
        call.finish = decode_base64


def decode_base64(parsed: Any) -> Any:
    """Each embedding as a list of floats."""
    if not isinstance(parsed, dict) or not parsed.get("data"):
        raise ValueError("No embedding data received")
    import array
    import base64

    for item in parsed["data"]:
        if isinstance(item.get("embedding"), str):  # else the server ignored our wish
            floats = array.array("f", base64.b64decode(item["embedding"]))
            if sys.byteorder == "big":
                floats.byteswap()
            item["embedding"] = floats.tolist()
    return parsed


class Embeddings(Resource[C]):
    """Turn texts into vectors whose distance measures how related they are."""

    with_raw_response: Embeddings[Raw[C]]
    with_streaming_response: Embeddings[Streamed[C]]

    @POST("/embeddings", adjust=base64_on_the_wire)
    def create(
        self, *, input: Union[str, List[str], Sequence[int], Sequence[Sequence[int]]],
        model: Union[
            str,
            Literal["text-embedding-ada-002", "text-embedding-3-small", "text-embedding-3-large"],
        ],
        user: str = omit, dimensions: int = omit,
        encoding_format: Literal["float", "base64"] = omit, **options: Unpack[Options]
    ) -> CreateEmbeddingResponse:
        """Turn texts (or lists of tokens) into vectors.

        Returns one Embedding per input, in the order of the input, each a list of floats of length
        1.  They travel as base64, a quarter of the bytes, unless you ask for
        `encoding_format="float"`; if you ask for "base64" you get that text.
        """


class CreateEmbeddingResponse(BaseModel):
    """Vectors, in the order of the input."""

    data: List[Embedding]
    model: str
    object: Literal["list"]
    usage: CreateEmbeddingResponseUsage


class Embedding(BaseModel):
    """One vector."""

    embedding: List[float]  # of length 1
    index: int  # of the input that it belongs to
    object: Literal["embedding"]


class CreateEmbeddingResponseUsage(BaseModel):
    prompt_tokens: int
    total_tokens: int


# ---- 8.6 Moderations ---- https://platform.openai.com/docs/api-reference/moderations


class Moderations(Resource[C]):
    """Tell whether texts and images may be harmful."""

    with_raw_response: Moderations[Raw[C]]
    with_streaming_response: Moderations[Streamed[C]]

    @POST("/moderations")
    def create(
        self, *,
        input: Union[
            str, List[str],
            Iterable[Like[Union[ModerationImageURLInputParam, ModerationTextInputParam]]],
        ],
        model: Union[
            str,
            Literal[
                "omni-moderation-latest", "omni-moderation-2024-09-26", "text-moderation-latest",
                "text-moderation-stable",
            ],
        ] = omit,
        **options: Unpack[Options]
    ) -> ModerationCreateResponse:
        """Judge texts and images by category of harm.

        Returns one Moderation per input: `flagged`, and a score from 0 to 1 per category.
        """


class ModerationCreateResponse(BaseModel):
    """One judgement per input."""

    id: str
    model: str
    results: List[Moderation]


class Moderation(BaseModel):
    """Whether an input is harmful, and in which way."""

    categories: ModerationCategories
    category_applied_input_types: ModerationCategoryAppliedInputTypes
    category_scores: ModerationCategoryScores
    flagged: bool


MODERATION_KEYS = {
    "harassment_threatening": "harassment/threatening", "hate_threatening": "hate/threatening",
    "illicit_violent": "illicit/violent", "self_harm": "self-harm",
    "self_harm_instructions": "self-harm/instructions", "self_harm_intent": "self-harm/intent",
    "sexual_minors": "sexual/minors", "violence_graphic": "violence/graphic",
}


class ModerationCategories(BaseModel):
    """Which categories the input falls into."""

    _api_names = MODERATION_KEYS

    harassment: bool
    harassment_threatening: bool
    hate: bool
    hate_threatening: bool
    self_harm: bool
    self_harm_instructions: bool
    self_harm_intent: bool
    sexual: bool
    sexual_minors: bool
    violence: bool
    violence_graphic: bool
    illicit: Optional[bool] = None
    illicit_violent: Optional[bool]


class ModerationCategoryAppliedInputTypes(BaseModel):
    """Whether text or image led to each score."""

    _api_names = MODERATION_KEYS

    harassment: List[Literal["text"]]
    harassment_threatening: List[Literal["text"]]
    hate: List[Literal["text"]]
    hate_threatening: List[Literal["text"]]
    illicit: List[Literal["text"]]
    illicit_violent: List[Literal["text"]]
    self_harm: List[Literal["text", "image"]]
    self_harm_instructions: List[Literal["text", "image"]]
    self_harm_intent: List[Literal["text", "image"]]
    sexual: List[Literal["text", "image"]]
    sexual_minors: List[Literal["text"]]
    violence: List[Literal["text", "image"]]
    violence_graphic: List[Literal["text", "image"]]


class ModerationCategoryScores(BaseModel):
    """How sure the model is, from 0 to 1."""

    _api_names = MODERATION_KEYS

    harassment: float
    harassment_threatening: float
    hate: float
    hate_threatening: float
    illicit: float
    illicit_violent: float
    self_harm: float
    self_harm_instructions: float
    self_harm_intent: float
    sexual: float
    sexual_minors: float
    violence: float
    violence_graphic: float


if TYPE_CHECKING:

    class ModerationImageURLInputParam(TypedDict, total=False):
        image_url: Required[Like[ModerationImageURLParam]]
        type: Required[Literal["image_url"]]

    class ModerationImageURLParam(TypedDict, total=False):
        url: Required[str]

    class ModerationTextInputParam(TypedDict, total=False):
        text: Required[str]
        type: Required[Literal["text"]]


# ---- 8.7 Models ---- https://platform.openai.com/docs/api-reference/models


class Models(Resource[C]):
    """What models there are."""

    with_raw_response: Models[Raw[C]]
    with_streaming_response: Models[Streamed[C]]

    @GET("/models/{model}")
    def retrieve(self, model: str, **options: Unpack[Options]) -> Model:
        """Fetch one model: who owns it, and when it was made."""

    @GET("/models")
    def list(self, **options: Unpack[Options]) -> SyncPage[Model]:
        """List the models that your key may use."""

    @DELETE("/models/{model}")
    def delete(self, model: str, **options: Unpack[Options]) -> ModelDeleted:
        """Delete a fine-tuned model of your organization."""


class ModelDeleted(BaseModel):
    id: str
    deleted: bool
    object: str


class Model(BaseModel):
    """A model that the API offers."""

    id: str
    created: int  # Unix time, in seconds
    object: Literal["model"]
    owned_by: str
    shutdown_date: Optional[str] = None


# ---- 8.8 Files ---- https://platform.openai.com/docs/api-reference/files


FilePurpose = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]


class Files(Resource[C]):
    """Upload files for batches, fine-tuning, vision and search."""

    with_raw_response: Files[Raw[C]]
    with_streaming_response: Files[Streamed[C]]

    @POST("/files", form=("file",))
    def create(
        self, *, file: FileTypes, purpose: FilePurpose,
        expires_after: Like[BatchCreateOutputExpiresAfterParam] = omit, **options: Unpack[Options]
    ) -> FileObject:
        """Upload a file, of up to 512 MB, in constant memory.

        `file` is a path (`pathlib.Path`), bytes, a file open in binary, or a tuple (name, content,
        content type).  Returns a FileObject, whose `id` other endpoints take.
        """

    @GET("/files/{file_id}")
    def retrieve(self, file_id: str, **options: Unpack[Options]) -> FileObject:
        """Fetch what is known about a file, not its content."""

    @GET("/files")
    def list(
        self, *, after: str = omit, limit: int = omit, order: Literal["asc", "desc"] = omit,
        purpose: str = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[FileObject]:
        """List the files, the latest first unless `order="asc"`."""

    @DELETE("/files/{file_id}")
    def delete(self, file_id: str, **options: Unpack[Options]) -> FileDeleted:
        """Delete a file."""

    @GET("/files/{file_id}/content", headers={"Accept": "application/binary"})
    def content(self, file_id: str, **options: Unpack[Options]) -> HttpxBinaryResponseContent:
        """Download a file.  Read it with `.text`, `.read()` or `.write_to_file(path)`."""

    @GET(
        "/files/{file_id}/content",
        headers={"Accept": "application/json"}, deprecated="files.content()",
    )
    def retrieve_content(self, file_id: str, **options: Unpack[Options]) -> str:
        """Download a file as text."""

    @helper
    def wait_for_processing(
        self: Files[OpenAI], id: str, *, poll_interval: float = 5.0, max_wait_seconds: float = 1800,
    ) -> Steps[FileObject]:
        """Wait until a file is processed, asking every `poll_interval` seconds; returns it.

        Raises RuntimeError if it is not after `max_wait_seconds`.
        """
        deadline = clock() + max_wait_seconds
        while True:
            file: FileObject = (yield self.retrieve(id))  # Python 3.7 wants them
            if file.status in ("processed", "error", "deleted"):
                return file
            if clock() > deadline:
                raise RuntimeError(
                    f"file {id} was not processed within {max_wait_seconds} seconds"
                )
            yield Pause(poll_interval)


class FileObject(BaseModel):
    """A file that was uploaded, or made by a batch or a fine-tuning job."""

    id: str
    bytes: int  # its size
    created_at: int  # Unix time, in seconds
    filename: str
    object: Literal["file"]
    purpose: Literal[
        "assistants", "assistants_output", "batch", "batch_output", "fine-tune",
        "fine-tune-results", "vision", "user_data",
    ]
    status: Literal["uploaded", "processed", "error"]
    expires_at: Optional[int] = None
    status_details: Optional[str] = None


class FileDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["file"]


# ---- 8.9 Batches ---- https://platform.openai.com/docs/api-reference/batch


class Batches(Resource[C]):
    """Run many requests within a day, at a lower price."""

    with_raw_response: Batches[Raw[C]]
    with_streaming_response: Batches[Streamed[C]]

    @POST("/batches")
    def create(
        self, *, completion_window: Literal["24h"],
        endpoint: Literal[
            "/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions",
            "/v1/moderations", "/v1/images/generations", "/v1/images/edits", "/v1/videos",
        ],
        input_file_id: str, metadata: Optional[Mapping[str, str]] = omit,
        output_expires_after: Like[BatchCreateOutputExpiresAfterParam] = omit,
        **options: Unpack[Options]
    ) -> Batch:
        """Start a batch from an uploaded JSON Lines file of requests (`purpose="batch"`).

        Returns a Batch; retrieve() it until `status` is "completed", then read `output_file_id`.
        """

    @GET("/batches/{batch_id}")
    def retrieve(self, batch_id: str, **options: Unpack[Options]) -> Batch:
        """Fetch a batch: its status, counts and the ids of its output files."""

    @GET("/batches")
    def list(
        self, *, after: str = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Batch]:
        """List the batches of your organization, the latest first."""

    @POST("/batches/{batch_id}/cancel")
    def cancel(self, batch_id: str, **options: Unpack[Options]) -> Batch:
        """Stop a batch; it is "cancelling" for up to ten minutes and keeps what is done."""


class Batch(BaseModel):
    """Many requests that run within a day."""

    id: str
    completion_window: str
    created_at: int  # Unix time, in seconds, like all that end in _at
    endpoint: str
    input_file_id: str
    object: Literal["batch"]
    status: Literal[
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling",
        "cancelled",
    ]
    cancelled_at: Optional[int] = None
    cancelling_at: Optional[int] = None
    completed_at: Optional[int] = None
    error_file_id: Optional[str] = None
    errors: Optional[BatchErrors] = None
    expired_at: Optional[int] = None
    expires_at: Optional[int] = None
    failed_at: Optional[int] = None
    finalizing_at: Optional[int] = None
    in_progress_at: Optional[int] = None
    metadata: Optional[Dict[str, str]] = None
    model: Optional[str] = None
    output_file_id: Optional[str] = None
    request_counts: Optional[BatchRequestCounts] = None
    usage: Optional[BatchUsage] = None


class BatchErrors(BaseModel):
    data: Optional[List[BatchError]] = None
    object: Optional[str] = None


class BatchError(BaseModel):
    code: Optional[str] = None
    line: Optional[int] = None
    message: Optional[str] = None
    param: Optional[str] = None


class BatchRequestCounts(BaseModel):
    """How many of the requests are done."""

    completed: int
    failed: int
    total: int


class BatchUsage(BaseModel):
    input_tokens: int
    input_tokens_details: BatchUsageInputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int


class BatchUsageInputTokensDetails(BaseModel):
    cached_tokens: int


# ---- 8.10 Fine-tuning ---- https://platform.openai.com/docs/api-reference/fine-tuning


TextSimilarityMetric = Literal[
    "cosine", "fuzzy_match", "bleu", "gleu", "meteor", "rouge_1", "rouge_2", "rouge_3", "rouge_4",
    "rouge_5", "rouge_l",
]


class FineTuning(Resource[C]):
    """Train models on examples of your own."""

    jobs: FineTuningJobs[C]
    checkpoints: FineTuningCheckpoints[C]
    alpha: FineTuningAlpha[C]
    with_raw_response: FineTuning[Raw[C]]
    with_streaming_response: FineTuning[Streamed[C]]


class FineTuningJobs(Resource[C]):
    """Start and watch the training of models."""

    checkpoints: FineTuningJobsCheckpoints[C]
    with_raw_response: FineTuningJobs[Raw[C]]
    with_streaming_response: FineTuningJobs[Streamed[C]]

    @POST("/fine_tuning/jobs")
    def create(
        self, *,
        model: Union[str, Literal["babbage-002", "davinci-002", "gpt-3.5-turbo", "gpt-4o-mini"]],
        training_file: str, hyperparameters: Like[FineTuningHyperparameters] = omit,
        integrations: Optional[Iterable[Like[FineTuningIntegration]]] = omit,
        metadata: Optional[Mapping[str, str]] = omit, method: Like[FineTuningMethod] = omit,
        seed: Optional[int] = omit, suffix: Optional[str] = omit,
        validation_file: Optional[str] = omit, **options: Unpack[Options]
    ) -> FineTuningJob:
        """Start to train a model on an uploaded file of examples.

        Returns at once: ask retrieve() until `status` is final; `fine_tuned_model` then holds
        the name of the new model.
        """

    @GET("/fine_tuning/jobs/{fine_tuning_job_id}")
    def retrieve(self, fine_tuning_job_id: str, **options: Unpack[Options]) -> FineTuningJob:
        """Fetch a fine-tuning job: its status, and the name of the model once it is trained."""

    @GET("/fine_tuning/jobs")
    def list(
        self, *, after: str = omit, limit: int = omit, metadata: Optional[Mapping[str, str]] = omit,
        **options: Unpack[Options]
    ) -> SyncCursorPage[FineTuningJob]:
        """List the fine-tuning jobs of your organization."""

    @POST("/fine_tuning/jobs/{fine_tuning_job_id}/cancel")
    def cancel(self, fine_tuning_job_id: str, **options: Unpack[Options]) -> FineTuningJob:
        """Stop a fine-tuning job for good."""

    @GET("/fine_tuning/jobs/{fine_tuning_job_id}/events")
    def list_events(
        self, fine_tuning_job_id: str, *, after: str = omit, limit: int = omit,
        **options: Unpack[Options]
    ) -> SyncCursorPage[FineTuningJobEvent]:
        """List what a fine-tuning job reported while it ran."""

    @POST("/fine_tuning/jobs/{fine_tuning_job_id}/pause")
    def pause(self, fine_tuning_job_id: str, **options: Unpack[Options]) -> FineTuningJob:
        """Interrupt a fine-tuning job until resume()."""

    @POST("/fine_tuning/jobs/{fine_tuning_job_id}/resume")
    def resume(self, fine_tuning_job_id: str, **options: Unpack[Options]) -> FineTuningJob:
        """Let a paused fine-tuning job go on."""


class FineTuningJobsCheckpoints(Resource[C]):
    """The models that a job left on its way."""

    with_raw_response: FineTuningJobsCheckpoints[Raw[C]]
    with_streaming_response: FineTuningJobsCheckpoints[Streamed[C]]

    @GET("/fine_tuning/jobs/{fine_tuning_job_id}/checkpoints")
    def list(
        self, fine_tuning_job_id: str, *, after: str = omit, limit: int = omit,
        **options: Unpack[Options]
    ) -> SyncCursorPage[FineTuningJobCheckpoint]:
        """List the checkpoints of a fine-tuning job, each a model that can be used."""


class FineTuningCheckpoints(Resource[C]):
    """What can be done with the checkpoints of a job."""

    permissions: FineTuningCheckpointsPermissions[C]
    with_raw_response: FineTuningCheckpoints[Raw[C]]
    with_streaming_response: FineTuningCheckpoints[Streamed[C]]


class FineTuningCheckpointsPermissions(Resource[C]):
    """Which projects may use a checkpoint."""

    with_raw_response: FineTuningCheckpointsPermissions[Raw[C]]
    with_streaming_response: FineTuningCheckpointsPermissions[Streamed[C]]

    @POST("/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions")
    def create(
        self, fine_tuned_model_checkpoint: str, *, project_ids: List[str],
        **options: Unpack[Options]
    ) -> SyncPage[CheckpointPermission]:
        """Let other projects of the organization use a checkpoint.

        These calls take an admin key, which the client has to have as `api_key`.
        """

    @GET(
        "/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions",
        deprecated="fine_tuning.checkpoints.permissions.list()",
    )
    def retrieve(
        self, fine_tuned_model_checkpoint: str, *, after: str = omit, limit: int = omit,
        order: Literal["ascending", "descending"] = omit, project_id: str = omit,
        **options: Unpack[Options]
    ) -> CheckpointPermissionList:
        """Fetch one page of who may use a checkpoint."""

    @GET("/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions")
    def list(
        self, fine_tuned_model_checkpoint: str, *, after: str = omit, limit: int = omit,
        order: Literal["ascending", "descending"] = omit, project_id: str = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[CheckpointPermission]:
        """List the projects that may use a checkpoint."""

    @DELETE("/fine_tuning/checkpoints/{fine_tuned_model_checkpoint}/permissions/{permission_id}")
    def delete(
        self, permission_id: str, *, fine_tuned_model_checkpoint: str, **options: Unpack[Options]
    ) -> CheckpointPermissionDeleted:
        """Take from a project the use of a checkpoint."""


class FineTuningAlpha(Resource[C]):
    """What may still change."""

    graders: FineTuningAlphaGraders[C]
    with_raw_response: FineTuningAlpha[Raw[C]]
    with_streaming_response: FineTuningAlpha[Streamed[C]]


class FineTuningAlphaGraders(Resource[C]):
    """Try the graders of reinforcement fine-tuning."""

    with_raw_response: FineTuningAlphaGraders[Raw[C]]
    with_streaming_response: FineTuningAlphaGraders[Streamed[C]]

    @POST("/fine_tuning/alpha/graders/run")
    def run(
        self, *, grader: Like[Grader], model_sample: str, item: object = omit,
        **options: Unpack[Options]
    ) -> GraderRunResponse:
        """Try a grader on one answer of a model: `reward` is what it gives for it."""

    @POST("/fine_tuning/alpha/graders/validate")
    def validate(
        self, *, grader: Like[Grader], **options: Unpack[Options]
    ) -> GraderValidateResponse:
        """Check that a grader is well formed, without running it; returns it as understood."""


class FineTuningJob(BaseModel):
    """The training of a model."""

    id: str
    created_at: int  # Unix time, in seconds
    error: Optional[FineTuningJobError] = None
    fine_tuned_model: Optional[str] = None
    finished_at: Optional[int] = None
    hyperparameters: FineTuningHyperparameters
    model: str
    object: Literal["fine_tuning.job"]
    organization_id: str
    result_files: List[str]
    seed: int
    status: Literal["validating_files", "queued", "running", "succeeded", "failed", "cancelled"]
    trained_tokens: Optional[int] = None
    training_file: str
    validation_file: Optional[str] = None
    estimated_finish: Optional[int] = None  # Unix time, in seconds
    integrations: Optional[List[FineTuningIntegration]] = None
    metadata: Optional[Dict[str, str]] = None
    method: Optional[FineTuningMethod] = None


class FineTuningJobEvent(BaseModel):
    """What a job reported."""

    id: str
    created_at: int
    level: Literal["info", "warn", "error"]
    message: str
    object: Literal["fine_tuning.job.event"]
    data: Optional[Any] = None
    type: Optional[Literal["message", "metrics"]] = None


class FineTuningJobCheckpoint(BaseModel):
    """A model that a job left on its way."""

    id: str
    created_at: int
    fine_tuned_model_checkpoint: str
    fine_tuning_job_id: str
    metrics: CheckpointMetrics
    object: Literal["fine_tuning.job.checkpoint"]
    step_number: int


class CheckpointPermission(BaseModel):
    id: str
    created_at: int
    object: Literal["checkpoint.permission"]
    project_id: str


class CheckpointPermissionList(BaseModel):
    data: List[CheckpointPermission]
    has_more: bool
    object: Literal["list"]
    first_id: Optional[str] = None
    last_id: Optional[str] = None


class CheckpointPermissionDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["checkpoint.permission"]


class GraderRunResponse(BaseModel):
    _api_names = {"api_model_grader_token_usage_per_model": "model_grader_token_usage_per_model"}

    metadata: GraderMetadata
    api_model_grader_token_usage_per_model: Dict[str, object]
    reward: float
    sub_rewards: Dict[str, object]


class GraderValidateResponse(BaseModel):
    grader: Optional[Grader] = None


class FineTuningJobError(BaseModel):
    code: str
    message: str
    param: Optional[str] = None


class FineTuningHyperparameters(BaseModel):
    batch_size: Optional[AutoInt] = None
    learning_rate_multiplier: Optional[AutoFloat] = None
    n_epochs: Optional[AutoInt] = None


class FineTuningIntegration(BaseModel):
    type: Literal["wandb"]
    wandb: FineTuningWandb


class FineTuningMethod(BaseModel):
    type: Literal["supervised", "dpo", "reinforcement"]
    dpo: Optional[DpoMethod] = None
    reinforcement: Optional[ReinforcementMethod] = None
    supervised: Optional[SupervisedMethod] = None


class CheckpointMetrics(BaseModel):
    full_valid_loss: Optional[float] = None
    full_valid_mean_token_accuracy: Optional[float] = None
    step: Optional[float] = None
    train_loss: Optional[float] = None
    train_mean_token_accuracy: Optional[float] = None
    valid_loss: Optional[float] = None
    valid_mean_token_accuracy: Optional[float] = None


class GraderMetadata(BaseModel):
    errors: GraderErrors
    execution_time: float
    name: str
    sampled_model_name: Optional[str] = None
    scores: Dict[str, object]
    token_usage: Optional[int] = None
    type: str


class StringCheckGrader(BaseModel):
    input: str
    name: str
    operation: Literal["eq", "ne", "like", "ilike"]
    reference: str
    type: Literal["string_check"]


class TextSimilarityGrader(BaseModel):
    evaluation_metric: TextSimilarityMetric
    input: str
    name: str
    reference: str
    type: Literal["text_similarity"]


class PythonGrader(BaseModel):
    name: str
    source: str
    type: Literal["python"]
    image_tag: Optional[str] = None


class ScoreModelGrader(BaseModel):
    input: List[GraderInput]
    model: str
    name: str
    type: Literal["score_model"]
    range: Optional[List[float]] = None  # the lowest and the highest score; 0 to 1 unless given
    sampling_params: Optional[GraderSampling] = None


class MultiGrader(BaseModel):
    calculate_output: str
    graders: Union[
        StringCheckGrader, TextSimilarityGrader, PythonGrader, ScoreModelGrader, LabelModelGrader
    ]
    name: str
    type: Literal["multi"]


class FineTuningWandb(BaseModel):
    project: str
    entity: Optional[str] = None
    name: Optional[str] = None
    tags: Optional[List[str]] = None


class DpoMethod(BaseModel):
    hyperparameters: Optional[DpoHyperparameters] = None


class ReinforcementMethod(BaseModel):
    grader: Grader
    hyperparameters: Optional[ReinforcementHyperparameters] = None


class SupervisedMethod(BaseModel):
    hyperparameters: Optional[FineTuningHyperparameters] = None


class GraderErrors(BaseModel):
    _api_names = {
        "api_model_grader_parse_error": "model_grader_parse_error",
        "api_model_grader_refusal_error": "model_grader_refusal_error",
        "api_model_grader_server_error": "model_grader_server_error",
        "api_model_grader_server_error_details": "model_grader_server_error_details",
    }

    formula_parse_error: bool
    invalid_variable_error: bool
    api_model_grader_parse_error: bool
    api_model_grader_refusal_error: bool
    api_model_grader_server_error: bool
    api_model_grader_server_error_details: Optional[str] = None
    other_error: bool
    python_grader_runtime_error: bool
    python_grader_runtime_error_details: Optional[str] = None
    python_grader_server_error: bool
    python_grader_server_error_type: Optional[str] = None
    sample_parse_error: bool
    truncated_observation_error: bool
    unresponsive_reward_error: bool


class GraderInput(BaseModel):
    content: Union[
        str, ResponseInputText, GraderText, GraderImage, GraderAudio,
        List[Union[str, ResponseInputText, GraderText, GraderImage, GraderAudio]],
    ]
    role: Literal["user", "assistant", "system", "developer"]
    type: Optional[Literal["message"]] = None


class GraderSampling(BaseModel):
    max_completions_tokens: Optional[int] = None
    reasoning_effort: Optional[ReasoningEffort] = None
    seed: Optional[int] = None
    temperature: Optional[float] = None
    top_p: Optional[float] = None


class LabelModelGrader(BaseModel):
    input: List[GraderInput]
    labels: List[str]
    model: str
    name: str
    passing_labels: List[str]
    type: Literal["label_model"]


class DpoHyperparameters(FineTuningHyperparameters):
    beta: Optional[AutoFloat] = None


class ReinforcementHyperparameters(FineTuningHyperparameters):
    compute_multiplier: Optional[AutoFloat] = None
    eval_interval: Optional[AutoInt] = None
    eval_samples: Optional[AutoInt] = None
    reasoning_effort: Optional[Literal["default", "low", "medium", "high"]] = None


class GraderText(BaseModel):
    text: str
    type: Literal["output_text"]


class GraderImage(BaseModel):
    image_url: str
    type: Literal["input_image"]
    detail: Optional[str] = None


class GraderAudio(BaseModel):
    input_audio: GraderAudioData
    type: Literal["input_audio"]


class GraderAudioData(BaseModel):
    data: str
    format: Literal["mp3", "wav"]


AutoInt = Union[Literal["auto"], int]
AutoFloat = Union[Literal["auto"], float]
Grader = Union[StringCheckGrader, TextSimilarityGrader, PythonGrader, ScoreModelGrader, MultiGrader]

if TYPE_CHECKING:
    GraderInputItemParam = Union[str, ResponseInputText, GraderText, GraderImage, GraderAudio]


# ---- 8.11 Images ---- https://platform.openai.com/docs/api-reference/images


ImageModel = Literal[
    "gpt-image-1.5", "gpt-image-2", "gpt-image-2-2026-04-21", "gpt-image-2.5-sunburst",
    "gpt-image-2.5-sunburst-2026-09-08", "gpt-image-2.5-flare", "gpt-image-2.5-flare-2026-09-08",
    "gpt-image-2.6-sunburst", "gpt-image-2.6-flare", "gpt-image-1", "gpt-image-1-mini",
    "chatgpt-image-latest", "dall-e-2", "dall-e-3",
]


class Images(Resource[C]):
    """Draw and change images."""

    with_raw_response: Images[Raw[C]]
    with_streaming_response: Images[Streamed[C]]

    @POST("/images/variations", form=("image",), deprecated="images.edit()")
    def create_variation(
        self, *, image: FileTypes, model: Optional[Union[str, ImageModel]] = omit,
        n: Optional[int] = omit, response_format: Optional[Literal["url", "b64_json"]] = omit,
        size: Optional[Literal["256x256", "512x512", "1024x1024"]] = omit, user: str = omit,
        **options: Unpack[Options]
    ) -> ImagesResponse:
        """Draw variations of an image, with dall-e-2 only."""

    def _edit_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[ImageEditParams]
    ) -> ImagesResponse: ...
    def _edit_events(
        self, *, stream: Literal[True], **params: Unpack[ImageEditParams]
    ) -> ImageEditStreamEvent: ...

    @POST("/images/edits", form=("image", "markup", "mask"), plain=_edit_plain, events=_edit_events)
    def edit(
        self, *, stream: Optional[bool] = omit, **params: Unpack[ImageEditParams]
    ) -> ImagesResponse:
        """Change or extend images as a prompt says.

        With a `mask`, only where it is transparent.  Returns what generate() returns.
        """

    def _generate_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[ImageGenerateParams]
    ) -> ImagesResponse: ...
    def _generate_events(
        self, *, stream: Literal[True], **params: Unpack[ImageGenerateParams]
    ) -> ImageGenStreamEvent: ...

    @POST("/images/generations", plain=_generate_plain, events=_generate_events)
    def generate(
        self, *, stream: Optional[bool] = omit, **params: Unpack[ImageGenerateParams]
    ) -> ImagesResponse:
        """Draw images from a description.

        Returns them in `data`, as base64 in `b64_json` or, where the model supports it, at a
        `url`.  With `stream=True` the events carry sketches on the way, as many as
        `partial_images`.
        """


class ImageEditParams(Options, total=False):
    """The parameters of images.edit()."""
    image: Required[Union[FileTypes, List[FileTypes]]]
    prompt: Required[str]
    background: Optional[Literal["transparent", "opaque", "auto"]]
    complexity: Optional[Literal["low", "medium", "high"]]  # how much to plan before drawing
    frame_count: Optional[int]  # of a gif, 2 to 16
    frame_duration_ms: Optional[int]  # of a gif
    input_fidelity: Optional[Literal["high", "low"]]  # how closely to keep to the given images
    markup: FileTypes  # a transparent PNG with hints, laid over the first image
    mask: FileTypes  # a PNG that is transparent where to change the image
    model: Optional[Union[str, ImageModel]]
    n: Optional[int]  # how many images
    output_compression: Optional[int]  # 0 to 100, for jpeg and webp
    output_format: Optional[ToolImageFormat]
    partial_images: Optional[int]  # 0 to 3 sketches on the way, with `stream`
    quality: Optional[Literal["low", "medium", "high", "xhigh", "max", "auto", "standard"]]
    response_format: Optional[Literal["url", "b64_json"]]  # for dall-e only; the others send base64
    safety_identifier: Optional[str]  # a stable, hashed id of your end user
    size: Optional[
        Union[str, Literal["1024x1024", "1536x1024", "1024x1536", "auto", "256x256", "512x512"]]
    ]
    svg: Optional[Like[ToolImageGenerationSvg]]  # who writes an svg
    user: str  # older name of safety_identifier


class ImageGenerateParams(Options, total=False):
    """The parameters of images.generate()."""
    prompt: Required[str]
    background: Optional[Literal["transparent", "opaque", "auto"]]
    complexity: Optional[Literal["low", "medium", "high"]]  # how much to plan before drawing
    frame_count: Optional[int]  # of a gif, 2 to 16
    frame_duration_ms: Optional[int]  # of a gif
    model: Optional[Union[str, ImageModel]]
    moderation: Optional[Literal["low", "auto"]]  # how strictly to filter
    n: Optional[int]  # how many images
    output_compression: Optional[int]  # 0 to 100, for jpeg and webp
    output_format: Optional[ToolImageFormat]
    partial_images: Optional[int]  # 0 to 3 sketches on the way, with `stream`
    quality: Optional[Literal["low", "medium", "high", "xhigh", "max", "auto", "standard", "hd"]]
    response_format: Optional[Literal["url", "b64_json"]]  # for dall-e only; the others send base64
    safety_identifier: Optional[str]  # a stable, hashed id of your end user
    size: Optional[
        Union[
            str,
            Literal[
                "auto", "1024x1024", "1536x1024", "1024x1536", "256x256", "512x512", "1792x1024",
                "1024x1792",
            ],
        ]
    ]
    style: Optional[Literal["vivid", "natural"]]  # for dall-e-3 only
    svg: Optional[Like[ImageSvgParam]]  # who writes an svg
    user: str  # older name of safety_identifier


class ImagesResponse(BaseModel):
    """Images, and what they cost."""

    created: int  # Unix time, in seconds
    background: Optional[Literal["transparent", "opaque"]] = None
    data: Optional[List[Image]] = None
    output_format: Optional[ToolImageFormat] = None
    quality: Optional[Literal["low", "medium", "high", "xhigh", "max"]] = None
    safety_identifier: Optional[str] = None
    size: Optional[Union[str, Literal["1024x1024", "1024x1536", "1536x1024"]]] = None
    svg_usage: Optional[ResponseImageGenerationCallSvgUsage] = None
    usage: Optional[ImageUsage] = None


class ImageGenPartialImageEvent(BaseModel):
    b64_json: str
    background: Literal["transparent", "opaque", "auto"]
    created_at: int  # Unix time, in seconds
    output_format: Literal["png", "webp", "jpeg"]
    partial_image_index: int
    quality: ToolImageQuality
    size: Union[str, Literal["1024x1024", "1024x1536", "1536x1024", "auto"]]
    type: Literal["image_generation.partial_image", "image_edit.partial_image"]


class ImageGenCompletedEvent(BaseModel):
    b64_json: str
    background: Literal["transparent", "opaque", "auto"]
    created_at: int
    output_format: Literal["png", "webp", "jpeg"]
    quality: ToolImageQuality
    size: Union[str, Literal["1024x1024", "1024x1536", "1536x1024", "auto"]]
    type: Literal["image_generation.completed", "image_edit.completed"]
    usage: ImageEventUsage
    safety_identifier: Optional[str] = None


class Image(BaseModel):
    """One image: its data or where it is."""

    b64_json: Optional[str] = None
    revised_prompt: Optional[str] = None
    url: Optional[str] = None

    def write_to_file(self, file: Union[str, os.PathLike[str]]) -> None:
        """Write the picture to a path.  ValueError if the API gave no data, but a url."""
        if self.b64_json is None:
            given = f"only a url, {self.url}" if self.url else "neither data nor a url"
            raise ValueError(
                f"the image has {given}: ask for its data with response_format='b64_json'"
            )
        import base64

        data = base64.b64decode(self.b64_json)
        with open(file, "wb") as target:
            target.write(data)


class ImageEventUsage(BaseModel):
    input_tokens: int
    input_tokens_details: ResponseToolUsageImageGenTokensDetails
    output_tokens: int
    total_tokens: int


class ImageUsage(ImageEventUsage):
    output_tokens_details: Optional[ResponseToolUsageImageGenTokensDetails] = None


ImageEditStreamEvent = Union[ImageGenPartialImageEvent, ImageGenCompletedEvent]
ImageGenStreamEvent = Union[ImageGenPartialImageEvent, ImageGenCompletedEvent]

if TYPE_CHECKING:

    class ImageSvgParam(TypedDict, total=False):
        model: Required[str]
        reasoning: Optional[Like[ResponseConfigurationReasoning]]


# ---- 8.12 Audio ---- https://platform.openai.com/docs/api-reference/audio


AudioModel = Literal[
    "whisper-1", "gpt-transcribe", "gpt-4o-transcribe", "gpt-4o-mini-transcribe",
    "gpt-4o-mini-transcribe-2025-12-15", "gpt-4o-transcribe-diarize",
]
TranscriptionFormat = Literal["json", "text", "srt", "verbose_json", "vtt", "diarized_json"]


def transcription_type(given: Mapping[str, Any]) -> str:
    """The result of a transcription, whose class `response_format` decides."""
    wanted = given.get("response_format") or "json"
    if wanted in ("text", "srt", "vtt"):
        return "str"
    classes = {"verbose_json": "TranscriptionVerbose", "diarized_json": "TranscriptionDiarized"}
    return classes.get(wanted, "Transcription")


def translation_type(given: Mapping[str, Any]) -> str:
    return transcription_type(given).replace("Transcription", "Translation")


class Audio(Resource[C]):
    """Turn text into speech and speech into text."""

    speech: AudioSpeech[C]
    transcriptions: AudioTranscriptions[C]
    translations: AudioTranslations[C]
    voices: AudioVoices[C]
    voice_consents: AudioVoiceConsents[C]
    with_raw_response: Audio[Raw[C]]
    with_streaming_response: Audio[Streamed[C]]


class AudioSpeech(Resource[C]):
    """Read texts aloud."""

    with_raw_response: AudioSpeech[Raw[C]]
    with_streaming_response: AudioSpeech[Streamed[C]]

    @POST("/audio/speech", headers={"Accept": "application/octet-stream"})
    def create(
        self, *, input: str,
        model: Union[
            str, Literal["tts-1", "tts-1-hd", "gpt-4o-mini-tts", "gpt-4o-mini-tts-2025-12-15"]
        ],
        voice: Union[
            str,
            Literal[
                "alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin",
                "cedar", "fable", "onyx", "nova",
            ],
            Like[ChatCompletionAudioVoiceIDParam],
        ],
        instructions: str = omit,
        response_format: Literal["mp3", "opus", "aac", "flac", "wav", "pcm"] = omit,
        speed: float = omit, stream_format: Literal["sse", "audio"] = omit,
        **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Read a text of up to 4096 characters aloud.

        Returns the sound as bytes, mp3 unless `response_format` says otherwise: save it with
        `.write_to_file(path)`.
        """


class AudioTranscriptions(Resource[C]):
    """Write down what is said."""

    with_raw_response: AudioTranscriptions[Raw[C]]
    with_streaming_response: AudioTranscriptions[Streamed[C]]

    def _create_plain(
        self, *, response_format: Literal["json"] = ..., stream: Optional[Literal[False]] = ...,
        **params: Unpack[TranscriptionCreateParams]
    ) -> Transcription: ...
    def _create_events(
        self, *, response_format: TranscriptionFormat = ..., stream: Literal[True],
        **params: Unpack[TranscriptionCreateParams]
    ) -> TranscriptionStreamEvent: ...

    @POST(
        "/audio/transcriptions", form=("file",), returns=transcription_type, plain=_create_plain,
        events=_create_events,
    )
    def create(
        self, *, response_format: TranscriptionFormat = omit, stream: Optional[bool] = omit,
        **params: Unpack[TranscriptionCreateParams]
    ) -> Union[Transcription, TranscriptionVerbose, TranscriptionDiarized, str]:
        """Write down what is said in a recording, in the language that is spoken.

        Returns an object with `text`, a plain str if `response_format` is "text", "srt" or
        "vtt", or with `stream=True` the text as it is recognized.
        """


class TranscriptionCreateParams(Options, total=False):
    """The parameters of audio.transcriptions.create()."""
    file: Required[FileTypes]
    model: Required[Union[str, AudioModel]]
    chunking_strategy: Optional[Union[Literal["auto"], Like[TranscriptionVadParam]]]
    include: List[Literal["logprobs"]]
    keywords: List[str]  # to expect
    known_speaker_names: List[str]  # of up to 4 speakers
    known_speaker_references: List[str]  # a data URL of 2 to 10 seconds of each of them
    language: str  # such as "en"
    languages: List[str]  # those that may occur
    prompt: str  # what was said before
    temperature: float
    timestamp_granularities: List[Literal["word", "segment"]]  # with "verbose_json" only


class AudioTranslations(Resource[C]):
    """Write down in English what is said."""

    with_raw_response: AudioTranslations[Raw[C]]
    with_streaming_response: AudioTranslations[Streamed[C]]

    @POST(
        "/audio/translations", form=("file",),
        deprecated="audio.transcriptions.create(), and a model that translates its text",
        returns=translation_type,
    )
    def create(
        self, *, file: FileTypes, model: Union[str, AudioModel], prompt: str = omit,
        response_format: Literal["json", "text", "srt", "verbose_json", "vtt"] = omit,
        temperature: float = omit, **options: Unpack[Options]
    ) -> Union[Translation, TranslationVerbose, str]:
        """Write down in English what is said in a recording, whatever its language.

        Returns an object with `text`, or a plain str if `response_format` is "text", "srt" or
        "vtt".
        """


class AudioVoices(Resource[C]):
    """Make voices of your own."""

    with_raw_response: AudioVoices[Raw[C]]
    with_streaming_response: AudioVoices[Streamed[C]]

    @POST("/audio/voices", form=("audio_sample",))
    def create(
        self, *, audio_sample: FileTypes = omit, consent: str = omit, name: str,
        type: Literal["audio_sample", "prompt"] = omit, prompt: str = omit,
        model: Union[str, Literal["auto", "2026-10-08"]] = omit, script_hint: str = omit,
        **options: Unpack[Options]
    ) -> Voice:
        """Make a voice, from a description or from a recording and its speaker's consent."""

    @DELETE("/audio/voices/{voice_id}")
    def delete(self, voice_id: str, **options: Unpack[Options]) -> VoiceDeleted:
        """Delete a voice that you made."""


class AudioVoiceConsents(Resource[C]):
    """What speakers agreed to before their voice was copied."""

    with_raw_response: AudioVoiceConsents[Raw[C]]
    with_streaming_response: AudioVoiceConsents[Streamed[C]]

    @POST("/audio/voice_consents", form=("recording",))
    def create(
        self, *, language: str, name: str, recording: FileTypes, **options: Unpack[Options]
    ) -> VoiceConsent:
        """Upload the recording in which a speaker agrees that their voice is copied."""

    @GET("/audio/voice_consents/{consent_id}")
    def retrieve(self, consent_id: str, **options: Unpack[Options]) -> VoiceConsent:
        """Fetch what is known about a consent, not the recording."""

    @POST("/audio/voice_consents/{consent_id}")
    def update(self, consent_id: str, *, name: str, **options: Unpack[Options]) -> VoiceConsent:
        """Rename a consent."""

    @GET("/audio/voice_consents")
    def list(
        self, *, after: str = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[VoiceConsent]:
        """List the consents that were uploaded."""

    @DELETE("/audio/voice_consents/{consent_id}")
    def delete(self, consent_id: str, **options: Unpack[Options]) -> VoiceConsentDeleted:
        """Delete a consent and its recording."""


class Transcription(BaseModel):
    """What was said."""

    text: str
    languages: Optional[List[TranscriptionLanguage]] = None
    logprobs: Optional[List[TranscriptionLogprob]] = None
    usage: Optional[Union[TranscriptionUsageTokens, TranscriptionUsageDuration]] = None


class TranslationVerbose(BaseModel):
    duration: float
    language: str
    text: str
    segments: Optional[List[TranscriptionSegment]] = None


class TranscriptionVerbose(TranslationVerbose):
    """What was said, with times."""

    usage: Optional[TranscriptionUsageDuration] = None
    words: Optional[List[TranscriptionWord]] = None


class TranscriptionDiarized(BaseModel):
    """What was said, and by whom."""

    duration: float
    segments: List[TranscriptionTextSegmentEvent]
    task: Literal["transcribe"]
    text: str
    usage: Optional[Union[TranscriptionUsageTokens, TranscriptionUsageDuration]] = None


class TranscriptionTextSegmentEvent(BaseModel):
    id: str
    end: float
    speaker: str
    start: float
    text: str
    type: Literal["transcript.text.segment"]


class TranscriptionTextDeltaEvent(BaseModel):
    delta: str
    type: Literal["transcript.text.delta"]
    logprobs: Optional[List[TranscriptionLogprob]] = None
    segment_id: Optional[str] = None


class TranscriptionTextDoneEvent(BaseModel):
    text: str
    type: Literal["transcript.text.done"]
    languages: Optional[List[TranscriptionLanguage]] = None
    logprobs: Optional[List[TranscriptionLogprob]] = None
    usage: Optional[TranscriptionUsageTokens] = None


class Translation(BaseModel):
    text: str


class Voice(BaseModel):
    id: str
    created_at: int  # Unix time, in seconds
    name: str
    object: Literal["audio.voice"]
    type: Literal["audio_sample", "prompt"]
    prompt: Optional[str] = None


class VoiceDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["audio.voice.deleted"]


class VoiceConsent(BaseModel):
    id: str
    created_at: int
    language: str
    name: str
    object: Literal["audio.voice_consent"]


class VoiceConsentDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["audio.voice_consent"]


class TranscriptionLanguage(BaseModel):
    code: str


class TranscriptionLogprob(BaseModel):
    token: Optional[str] = None
    bytes: Optional[List[float]] = None
    logprob: Optional[float] = None


class TranscriptionUsageTokens(BaseModel):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    type: Literal["tokens"]
    input_token_details: Optional[TranscriptionTokenDetails] = None


class TranscriptionUsageDuration(BaseModel):
    seconds: float
    type: Literal["duration"]


class TranscriptionSegment(BaseModel):
    id: int
    avg_logprob: float
    compression_ratio: float
    end: float
    no_speech_prob: float
    seek: int  # where it begins, in frames
    start: float  # in seconds, like `end`
    temperature: float
    text: str
    tokens: List[int]


class TranscriptionWord(BaseModel):
    end: float
    start: float  # in seconds, like `end`
    word: str


class TranscriptionTokenDetails(BaseModel):
    audio_tokens: Optional[int] = None
    text_tokens: Optional[int] = None


TranscriptionStreamEvent = Union[
    TranscriptionTextSegmentEvent, TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent
]

if TYPE_CHECKING:

    class TranscriptionVadParam(TypedDict, total=False):
        type: Required[Literal["server_vad"]]
        prefix_padding_ms: int
        silence_duration_ms: int
        threshold: float


# ---- 8.13 Uploads ---- https://platform.openai.com/docs/api-reference/uploads


class Uploads(Resource[C]):
    """Upload a large file in parts."""

    parts: UploadsParts[C]
    with_raw_response: Uploads[Raw[C]]
    with_streaming_response: Uploads[Streamed[C]]

    @POST("/uploads")
    def create(
        self, *, bytes: int, filename: str, mime_type: str, purpose: FilePurpose,
        expires_after: Like[BatchCreateOutputExpiresAfterParam] = omit, **options: Unpack[Options]
    ) -> Upload:
        """Announce a file of up to 8 GB, which then follows in parts.

        It lapses after an hour.  `bytes` is the size of the whole file, which complete()
        checks.
        """

    @POST("/uploads/{upload_id}/cancel")
    def cancel(self, upload_id: str, **options: Unpack[Options]) -> Upload:
        """Give up an upload; it takes no more parts."""

    @POST("/uploads/{upload_id}/complete")
    def complete(
        self, upload_id: str, *, part_ids: List[str], md5: str = omit, **options: Unpack[Options]
    ) -> Upload:
        """Join the parts, in the order of `part_ids`, to one file, which is in `file`."""

    @helper
    def upload_file_chunked(
        self: Uploads[OpenAI], *, file: Union[os.PathLike[str], bytes, IO[bytes]], mime_type: str,
        purpose: FilePurpose, filename: Optional[str] = None, bytes: Optional[int] = None,
        part_size: Optional[int] = None, md5: Optional[str] = omit, max_concurrency: int = 4,
        **options: Unpack[Options]
    ) -> Steps[Upload]:
        """Upload a file of up to 8 GB in parts, some at a time, in constant memory.

        `file` is a path, bytes, or a file open in binary; what has no name needs `filename`.
        `part_size` is 64 MB if not given.  The server checks the MD5 of the whole: it is computed
        unless given, None leaves it out.  Returns the completed Upload, whose `file` is what other
        endpoints take.  If anything fails, the upload is cancelled.  ValueError if the file does
        not have as many `bytes` as it should.
        """
        check_concurrency(max_concurrency)
        part_size = DEFAULT_PART_SIZE if part_size is None else part_size
        if not part_size >= 1:
            raise ValueError(f"part_size must be at least 1 byte, not {part_size!r}")
        named = isinstance(file, (str, os.PathLike)) or isinstance(getattr(file, "name", 0), str)
        if filename is None and not named:
            raise TypeError("The `filename` argument must be given for what has no name")
        name, shared = (yield Apart(lambda: share_file(file)))
        try:
            size = shared.part.size
            if bytes is not None and bytes != size:
                raise ValueError(f"{filename or name} has {size} bytes, not {bytes} as was given")
            upload: Upload = (yield self.create(
                bytes=size, filename=filename or name, mime_type=mime_type, purpose=purpose,
                **options
            ))
            try:
                upload = yield from upload_parts(
                    self, upload.id, shared, part_size, md5, max_concurrency, options
                )
                return upload
            except GeneratorExit:
                raise  # there is nobody left to wait for a call
            except BaseException:  # also Ctrl-C and the cancelling of a task
                shared.close()
                limited = dict(for_each(options), timeout=Timeout(total=10))
                try:
                    yield self.cancel(upload.id, **limited)
                except Exception:
                    pass  # it lapses after an hour anyway
                raise
        finally:
            shared.close()


class UploadsParts(Resource[C]):
    """The parts of an upload."""

    with_raw_response: UploadsParts[Raw[C]]
    with_streaming_response: UploadsParts[Streamed[C]]

    @POST("/uploads/{upload_id}/parts", form=("data",))
    def create(self, upload_id: str, *, data: FileTypes, **options: Unpack[Options]) -> UploadPart:
        """Send one part of a file, of up to 64 MB.  Parts may be sent in parallel."""


class Upload(BaseModel):
    """A large file that comes in parts."""

    id: str
    bytes: int  # the size of the whole file
    created_at: int  # Unix time, in seconds
    expires_at: int
    filename: str
    object: Literal["upload"]
    purpose: str
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: Optional[FileObject] = None


class UploadPart(BaseModel):
    id: str
    created_at: int
    object: Literal["upload.part"]
    upload_id: str


# ---- 8.14 Vector stores ---- https://platform.openai.com/docs/api-reference/vector-stores


ASSISTANTS_V2 = {"OpenAI-Beta": "assistants=v2"}


class VectorStores(Resource[C]):
    """Search files by meaning."""

    files: VectorStoresFiles[C]
    file_batches: VectorStoresFileBatches[C]
    with_raw_response: VectorStores[Raw[C]]
    with_streaming_response: VectorStores[Streamed[C]]

    @POST("/vector_stores", headers=ASSISTANTS_V2)
    def create(
        self, *, chunking_strategy: Like[FileChunkingStrategyParam] = omit, description: str = omit,
        expires_after: Like[VectorStoreExpiresAfter] = omit, file_ids: List[str] = omit,
        metadata: Optional[Mapping[str, str]] = omit, name: str = omit, **options: Unpack[Options]
    ) -> VectorStore:
        """Make a store in which files can be searched by meaning.

        Files are taken up in the background: ask retrieve() until `file_counts.in_progress` is
        0.
        """

    @GET("/vector_stores/{vector_store_id}", headers=ASSISTANTS_V2)
    def retrieve(self, vector_store_id: str, **options: Unpack[Options]) -> VectorStore:
        """Fetch a vector store: its status, size and how many files are ready."""

    @POST("/vector_stores/{vector_store_id}", headers=ASSISTANTS_V2)
    def update(
        self, vector_store_id: str, *,
        expires_after: Optional[Like[VectorStoreExpiresAfter]] = omit,
        metadata: Optional[Mapping[str, str]] = omit, name: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> VectorStore:
        """Change the name, the metadata or the expiry of a vector store."""

    @GET("/vector_stores", headers=ASSISTANTS_V2)
    def list(
        self, *, after: str = omit, before: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[VectorStore]:
        """List the vector stores."""

    @DELETE("/vector_stores/{vector_store_id}", headers=ASSISTANTS_V2)
    def delete(self, vector_store_id: str, **options: Unpack[Options]) -> VectorStoreDeleted:
        """Delete a vector store.  The files that it refers to stay."""

    @POST("/vector_stores/{vector_store_id}/search", headers=ASSISTANTS_V2)
    def search(
        self, vector_store_id: str, *, query: Union[str, List[str]],
        filters: Like[Union[ComparisonFilter, CompoundFilter]] = omit, max_num_results: int = omit,
        ranking_options: Like[VectorStoreRankingOptionsParam] = omit, rewrite_query: bool = omit,
        **options: Unpack[Options]
    ) -> SyncPage[VectorStoreSearchResponse]:
        """Find the passages that match a question, the best first."""


class VectorStore(BaseModel):
    """Files that can be searched by meaning."""

    id: str
    created_at: int  # Unix time, in seconds
    file_counts: VectorStoreFileCounts
    last_active_at: Optional[int] = None
    metadata: Optional[Dict[str, str]] = None
    name: str
    object: Literal["vector_store"]
    status: Literal["expired", "in_progress", "completed"]
    usage_bytes: int
    expires_after: Optional[VectorStoreExpiresAfter] = None
    expires_at: Optional[int] = None


class VectorStoreDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["vector_store.deleted"]


class VectorStoreSearchResponse(BaseModel):
    """A file in which something was found."""

    attributes: Optional[Dict[str, Union[str, float, bool]]] = None
    content: List[TextContent]
    file_id: str
    filename: str
    score: float  # 0 to 1


class VectorStoreFileCounts(BaseModel):
    cancelled: int
    completed: int
    failed: int
    in_progress: int
    total: int


class VectorStoreExpiresAfter(BaseModel):
    anchor: Literal["last_active_at"]
    days: int


class TextContent(BaseModel):
    text: str
    type: Literal["text"]


if TYPE_CHECKING:

    class AutoFileChunkingStrategyParam(TypedDict, total=False):
        type: Required[Literal["auto"]]

    class VectorStoreRankingOptionsParam(TypedDict, total=False):
        ranker: Literal["none", "auto", "default-2024-11-15"]
        score_threshold: float

    FileChunkingStrategyParam = Union[
        AutoFileChunkingStrategyParam, "StaticFileChunkingStrategyObject"
    ]


# ---- 8.15 Vector store files ----
# https://platform.openai.com/docs/api-reference/vector-stores-files


VectorStoreFileStatus = Literal["in_progress", "completed", "failed", "cancelled"]


class VectorStoresFiles(Resource[C]):
    """The files of a vector store."""

    with_raw_response: VectorStoresFiles[Raw[C]]
    with_streaming_response: VectorStoresFiles[Streamed[C]]

    @POST("/vector_stores/{vector_store_id}/files", headers=ASSISTANTS_V2)
    def create(
        self, vector_store_id: str, *, file_id: str,
        attributes: Optional[Mapping[str, Union[str, float, bool]]] = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, **options: Unpack[Options]
    ) -> VectorStoreFile:
        """Add an uploaded file to a vector store.

        Returns at once: ask retrieve() until `status` is no longer "in_progress".
        """

    @GET("/vector_stores/{vector_store_id}/files/{file_id}", headers=ASSISTANTS_V2)
    def retrieve(
        self, file_id: str, *, vector_store_id: str, **options: Unpack[Options]
    ) -> VectorStoreFile:
        """Fetch how far a file of a vector store is, and why it failed if it did."""

    @POST("/vector_stores/{vector_store_id}/files/{file_id}", headers=ASSISTANTS_V2)
    def update(
        self, file_id: str, *, vector_store_id: str,
        attributes: Optional[Mapping[str, Union[str, float, bool]]], **options: Unpack[Options]
    ) -> VectorStoreFile:
        """Replace the attributes by which search() can filter."""

    @GET("/vector_stores/{vector_store_id}/files", headers=ASSISTANTS_V2)
    def list(
        self, vector_store_id: str, *, after: str = omit, before: str = omit,
        filter: VectorStoreFileStatus = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[VectorStoreFile]:
        """List the files of a vector store."""

    @DELETE("/vector_stores/{vector_store_id}/files/{file_id}", headers=ASSISTANTS_V2)
    def delete(
        self, file_id: str, *, vector_store_id: str, **options: Unpack[Options]
    ) -> VectorStoreFileDeleted:
        """Take a file out of a vector store.  The file itself stays: files.delete() deletes it."""

    @GET("/vector_stores/{vector_store_id}/files/{file_id}/content", headers=ASSISTANTS_V2)
    def content(
        self, file_id: str, *, vector_store_id: str, **options: Unpack[Options]
    ) -> SyncPage[VectorStoreFileContent]:
        """List the pieces of text that were read from a file."""

    @helper
    def poll(
        self: VectorStoresFiles[OpenAI], file_id: str, *, vector_store_id: str,
        poll_interval_ms: int = omit, max_wait_seconds: float = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFile]:
        """Ask until a file is taken up into a vector store; returns it also if that failed.

        `poll_interval_ms` takes precedence over what the server says, and that over one second.
        Raises TimeoutError after `max_wait_seconds`.
        """
        file = yield from poll_until(
            lambda file: file.status != "in_progress", f"vector store file {file_id}",
            lambda sent: self.with_raw_response.retrieve(
                file_id, vector_store_id=vector_store_id, **sent
            ),
            poll_interval_ms, max_wait_seconds, options,
        )
        return file

    @helper
    def create_and_poll(
        self: VectorStoresFiles[OpenAI], file_id: str, *, vector_store_id: str,
        attributes: Optional[Mapping[str, Union[str, float, bool]]] = omit,
        poll_interval_ms: int = omit, max_wait_seconds: float = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFile]:
        """Add an uploaded file to a vector store, and poll() until it is taken up."""
        check_polling(poll_interval_ms, max_wait_seconds)
        yield self.create(
            vector_store_id, file_id=file_id, attributes=attributes,
            chunking_strategy=chunking_strategy, **options
        )
        file: VectorStoreFile = (yield self.poll(
            file_id, vector_store_id=vector_store_id, poll_interval_ms=poll_interval_ms,
            max_wait_seconds=max_wait_seconds, **for_each(options)
        ))
        return file

    @helper
    def upload(
        self: VectorStoresFiles[OpenAI], *, vector_store_id: str, file: FileTypes,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFile]:
        """Upload a file and add it to a vector store, which takes it up in the background."""
        uploaded: FileObject = (yield self._client.files.create(
            file=file, purpose="assistants", progress=options.get("progress"), **for_each(options)
        ))
        added: VectorStoreFile = (yield self.create(
            vector_store_id, file_id=uploaded.id, chunking_strategy=chunking_strategy, **options
        ))
        return added

    @helper
    def upload_and_poll(
        self: VectorStoresFiles[OpenAI], *, vector_store_id: str, file: FileTypes,
        attributes: Optional[Mapping[str, Union[str, float, bool]]] = omit,
        poll_interval_ms: int = omit, max_wait_seconds: float = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFile]:
        """Upload a file, add it to a vector store, and poll() until it is taken up.

        `max_wait_seconds` counts from when it is uploaded and added.
        """
        check_polling(poll_interval_ms, max_wait_seconds)
        uploaded: FileObject = (yield self._client.files.create(
            file=file, purpose="assistants", progress=options.get("progress"), **for_each(options)
        ))
        added: VectorStoreFile = (yield self.create_and_poll(
            uploaded.id, vector_store_id=vector_store_id, attributes=attributes,
            poll_interval_ms=poll_interval_ms, max_wait_seconds=max_wait_seconds,
            chunking_strategy=chunking_strategy, **options
        ))
        return added


class VectorStoreFile(BaseModel):
    """A file in a vector store."""

    id: str
    created_at: int  # Unix time, in seconds
    last_error: Optional[VectorStoreFileError] = None
    object: Literal["vector_store.file"]
    status: VectorStoreFileStatus
    usage_bytes: int
    vector_store_id: str
    attributes: Optional[Dict[str, Union[str, float, bool]]] = None
    chunking_strategy: Optional[
        Union[StaticFileChunkingStrategyObject, OtherFileChunkingStrategyObject]
    ] = None


class VectorStoreFileDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["vector_store.file.deleted"]


class VectorStoreFileContent(BaseModel):
    text: Optional[str] = None
    type: Optional[str] = None


class VectorStoreFileError(BaseModel):
    code: Literal["server_error", "unsupported_file", "invalid_file"]
    message: str


class StaticFileChunkingStrategyObject(BaseModel):
    static: StaticFileChunkingStrategy
    type: Literal["static"]


class OtherFileChunkingStrategyObject(BaseModel):
    type: Literal["other"]


class StaticFileChunkingStrategy(BaseModel):
    chunk_overlap_tokens: int
    max_chunk_size_tokens: int


# ---- 8.16 Vector store file batches ----
# https://platform.openai.com/docs/api-reference/vector-stores-file-batches


class VectorStoresFileBatches(Resource[C]):
    """Add many files to a vector store at once."""

    with_raw_response: VectorStoresFileBatches[Raw[C]]
    with_streaming_response: VectorStoresFileBatches[Streamed[C]]

    @POST("/vector_stores/{vector_store_id}/file_batches", headers=ASSISTANTS_V2)
    def create(
        self, vector_store_id: str, *,
        attributes: Optional[Mapping[str, Union[str, float, bool]]] = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, file_ids: List[str] = omit,
        files: Iterable[Like[VectorStoreFileParam]] = omit, **options: Unpack[Options]
    ) -> VectorStoreFileBatch:
        """Add many uploaded files to a vector store at once.

        Returns at once: ask retrieve() until `status` is no longer "in_progress".
        """

    @GET("/vector_stores/{vector_store_id}/file_batches/{batch_id}", headers=ASSISTANTS_V2)
    def retrieve(
        self, batch_id: str, *, vector_store_id: str, **options: Unpack[Options]
    ) -> VectorStoreFileBatch:
        """Fetch how many files of a batch are done."""

    @POST("/vector_stores/{vector_store_id}/file_batches/{batch_id}/cancel", headers=ASSISTANTS_V2)
    def cancel(
        self, batch_id: str, *, vector_store_id: str, **options: Unpack[Options]
    ) -> VectorStoreFileBatch:
        """Stop adding the files of a batch; some may be in the store already."""

    @GET("/vector_stores/{vector_store_id}/file_batches/{batch_id}/files", headers=ASSISTANTS_V2)
    def list_files(
        self, batch_id: str, *, vector_store_id: str, after: str = omit, before: str = omit,
        filter: VectorStoreFileStatus = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[VectorStoreFile]:
        """List the files of a batch."""

    @helper
    def poll(
        self: VectorStoresFileBatches[OpenAI], batch_id: str, *, vector_store_id: str,
        poll_interval_ms: int = omit, max_wait_seconds: float = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFileBatch]:
        """Ask until no file of a batch is in progress; `file_counts` says how many failed.

        `poll_interval_ms` takes precedence over what the server says, and that over one second.
        Raises TimeoutError after `max_wait_seconds`.
        """
        batch = yield from poll_until(
            lambda batch: not batch.file_counts.in_progress, f"vector store file batch {batch_id}",
            lambda sent: self.with_raw_response.retrieve(
                batch_id, vector_store_id=vector_store_id, **sent
            ),
            poll_interval_ms, max_wait_seconds, options,
        )
        return batch

    @helper
    def create_and_poll(
        self: VectorStoresFileBatches[OpenAI], vector_store_id: str, *,
        attributes: Optional[Mapping[str, Union[str, float, bool]]] = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, file_ids: List[str] = omit,
        files: Iterable[Like[VectorStoreFileParam]] = omit, poll_interval_ms: int = omit,
        max_wait_seconds: float = omit, **options: Unpack[Options]
    ) -> Steps[VectorStoreFileBatch]:
        """Add many uploaded files to a vector store, and poll() until they are taken up."""
        check_polling(poll_interval_ms, max_wait_seconds)
        batch: VectorStoreFileBatch = (yield self.create(
            vector_store_id, attributes=attributes, chunking_strategy=chunking_strategy,
            file_ids=file_ids, files=files, **options
        ))
        batch = yield self.poll(
            batch.id, vector_store_id=vector_store_id, poll_interval_ms=poll_interval_ms,
            max_wait_seconds=max_wait_seconds, **for_each(options)
        )
        return batch

    @helper
    def upload_and_poll(
        self: VectorStoresFileBatches[OpenAI], vector_store_id: str, *, files: Iterable[FileTypes],
        max_concurrency: int = 5, file_ids: Sequence[str] = (), poll_interval_ms: int = omit,
        chunking_strategy: Like[FileChunkingStrategyParam] = omit, max_wait_seconds: float = omit,
        **options: Unpack[Options]
    ) -> Steps[VectorStoreFileBatch]:
        """Upload many files, some at a time, add them and `file_ids`, and poll() until all is done.

        If some cannot be uploaded, the others are nevertheless, but not added: BulkUploadError has
        their `uploaded` objects, and why each of the rest failed.  `max_wait_seconds` counts from
        when they are uploaded and added.
        """
        check_polling(poll_interval_ms, max_wait_seconds)
        check_concurrency(max_concurrency)
        uploaded = yield from upload_files(self._client, [*files], max_concurrency, options)
        batch: VectorStoreFileBatch = (yield self.create_and_poll(
            vector_store_id, file_ids=[*file_ids, *(file.id for file in uploaded)],
            chunking_strategy=chunking_strategy, poll_interval_ms=poll_interval_ms,
            max_wait_seconds=max_wait_seconds, **options
        ))
        return batch


class VectorStoreFileBatch(BaseModel):
    """Files on their way into a vector store."""

    id: str
    created_at: int  # Unix time, in seconds
    file_counts: VectorStoreFileCounts
    object: Literal["vector_store.files_batch"]
    status: VectorStoreFileStatus
    vector_store_id: str


if TYPE_CHECKING:

    class VectorStoreFileParam(TypedDict, total=False):
        file_id: Required[str]
        attributes: Optional[Mapping[str, Union[str, float, bool]]]
        chunking_strategy: Like[FileChunkingStrategyParam]


# ---- 8.17 Conversations ---- https://platform.openai.com/docs/api-reference/conversations


class Conversations(Resource[C]):
    """Keep what is said across responses."""

    items: ConversationsItems[C]
    with_raw_response: Conversations[Raw[C]]
    with_streaming_response: Conversations[Streamed[C]]

    @POST("/conversations")
    def create(
        self, *, items: Optional[Iterable[Like[ResponseInputItem]]] = omit,
        metadata: Optional[Mapping[str, str]] = omit, **options: Unpack[Options]
    ) -> Conversation:
        """Open a conversation, which keeps what is said across responses."""

    @GET("/conversations/{conversation_id}")
    def retrieve(self, conversation_id: str, **options: Unpack[Options]) -> Conversation:
        """Fetch a conversation: its metadata, not what was said in it."""

    @POST("/conversations/{conversation_id}")
    def update(
        self, conversation_id: str, *, metadata: Optional[Mapping[str, str]],
        **options: Unpack[Options]
    ) -> Conversation:
        """Replace the metadata of a conversation."""

    @DELETE("/conversations/{conversation_id}")
    def delete(self, conversation_id: str, **options: Unpack[Options]) -> ConversationDeleted:
        """Delete a conversation.  Its items are not deleted with it."""


class ConversationsItems(Resource[C]):
    """What was said in a conversation."""

    with_raw_response: ConversationsItems[Raw[C]]
    with_streaming_response: ConversationsItems[Streamed[C]]

    @POST("/conversations/{conversation_id}/items", query=("include",))
    def create(
        self, conversation_id: str, *, items: Iterable[Like[ResponseInputItem]],
        include: List[ResponseIncludable] = omit, **options: Unpack[Options]
    ) -> ConversationItemList:
        """Add up to 20 items to a conversation; returns those that were added."""

    @GET("/conversations/{conversation_id}/items/{item_id}")
    def retrieve(
        self, item_id: str, *, conversation_id: str, include: List[ResponseIncludable] = omit,
        **options: Unpack[Options]
    ) -> ConversationItem:
        """Fetch one item of a conversation."""

    @GET("/conversations/{conversation_id}/items")
    def list(
        self, conversation_id: str, *, after: str = omit, include: List[ResponseIncludable] = omit,
        limit: int = omit, order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncConversationCursorPage[ConversationItem]:
        """List what was said in a conversation, the latest first unless `order="asc"`."""

    @DELETE("/conversations/{conversation_id}/items/{item_id}")
    def delete(
        self, item_id: str, *, conversation_id: str, **options: Unpack[Options]
    ) -> Conversation:
        """Remove one item; returns the conversation."""


class Conversation(BaseModel):
    """Items that responses go on from."""

    id: str
    created_at: int  # Unix time, in seconds
    metadata: Any
    object: Literal["conversation"]


class ConversationDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["conversation.deleted"]


class ConversationItemList(BaseModel):
    data: List[ConversationItem]
    first_id: str
    has_more: bool
    last_id: str
    object: Literal["list"]


class ConversationMessage(BaseModel):
    id: str
    content: List[
        Union[
            ResponseInputText, ResponseOutputText, TextContent, ResponseReasoningSummary,
            ResponseReasoningText, ResponseOutputRefusal, ResponseInputImage,
            ComputerScreenshotContent, ResponseInputFile,
        ]
    ]
    role: Literal[
        "unknown", "user", "assistant", "system", "critic", "discriminator", "developer", "tool"
    ]
    status: Literal["in_progress", "completed", "incomplete"]
    type: Literal["message"]
    phase: Optional[Literal["commentary", "final_answer"]] = None


class ComputerScreenshotContent(BaseModel):
    detail: ResponseImageDetail
    file_id: Optional[str] = None
    image_url: Optional[str] = None
    type: Literal["computer_screenshot"]
    prompt_cache_breakpoint: Optional[PromptCacheBreakpoint] = None


ConversationItem = Union[
    ConversationMessage, ResponseFunctionToolCallItem, ResponseFunctionToolCallOutputItem,
    ResponseFileSearchToolCall, ResponseFunctionWebSearch, ResponseImageGenerationCall,
    ResponseComputerToolCall, ResponseComputerToolCallOutputItem, ResponseToolSearchCall,
    ResponseToolSearchOutputItem, ResponseAdditionalTools, ResponseConfigurationUpdateItem,
    ResponseReasoningItem, ResponseProgram, ResponseProgramOutput, ResponseCompactionItem,
    ResponseCodeInterpreterToolCall, ResponseLocalShellCall, ResponseLocalShellCallOutput,
    ResponseFunctionShellToolCall, ResponseFunctionShellToolCallOutput, ResponseApplyPatchToolCall,
    ResponseApplyPatchToolCallOutput, ResponseMcpListTools, ResponseMcpApprovalRequest,
    ResponseMcpApprovalResponse, ResponseMcpCall, ResponseCustomToolCall,
    ResponseCustomToolCallOutput,
]


# ---- 8.18 Containers ---- https://platform.openai.com/docs/api-reference/containers


class Containers(Resource[C]):
    """Where the models run code."""

    files: ContainersFiles[C]
    with_raw_response: Containers[Raw[C]]
    with_streaming_response: Containers[Streamed[C]]

    @POST("/containers")
    def create(
        self, *, name: str, expires_after: Like[ContainerExpiresAfter] = omit,
        file_ids: List[str] = omit, memory_limit: ContainerMemoryLimit = omit,
        network_policy: Like[
            Union[ContainerNetworkPolicyDisabled, ContainerNetworkPolicyAllowlist]
        ] = omit,
        skills: Iterable[Like[Union[SkillReference, InlineSkill]]] = omit,
        **options: Unpack[Options]
    ) -> Container:
        """Start a container, in which the model can run code and keep files."""

    @GET("/containers/{container_id}")
    def retrieve(self, container_id: str, **options: Unpack[Options]) -> Container:
        """Fetch a container: its status, and when it expires."""

    @GET("/containers")
    def list(
        self, *, after: str = omit, limit: int = omit, name: str = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Container]:
        """List the containers."""

    @DELETE("/containers/{container_id}", headers={"Accept": "*/*"})
    def delete(self, container_id: str, **options: Unpack[Options]) -> None:
        """Delete a container and the files in it."""


class Container(BaseModel):
    """A machine in which tools run."""

    id: str
    created_at: int  # Unix time, in seconds
    name: str
    object: str
    status: str
    expires_after: Optional[ContainerExpiresAfter] = None
    last_active_at: Optional[int] = None
    memory_limit: Optional[ContainerMemoryLimit] = None
    network_policy: Optional[ContainerNetworkPolicy] = None


class ContainerExpiresAfter(BaseModel):
    anchor: Optional[Literal["last_active_at"]] = None
    minutes: Optional[int] = None


class ContainerNetworkPolicy(BaseModel):
    type: Literal["allowlist", "disabled"]
    allowed_domains: Optional[List[str]] = None


# ---- 8.19 Container files ---- https://platform.openai.com/docs/api-reference/container-files


class ContainersFiles(Resource[C]):
    """The files in a container."""

    content: ContainersFilesContent[C]
    with_raw_response: ContainersFiles[Raw[C]]
    with_streaming_response: ContainersFiles[Streamed[C]]

    @POST("/containers/{container_id}/files", form=("file",), json_without_file=True)
    def create(
        self, container_id: str, *, file: FileTypes = omit, file_id: str = omit,
        **options: Unpack[Options]
    ) -> ContainerFile:
        """Put a file into a container: `file` to upload one, or `file_id` to copy one."""

    @GET("/containers/{container_id}/files/{file_id}")
    def retrieve(
        self, file_id: str, *, container_id: str, **options: Unpack[Options]
    ) -> ContainerFile:
        """Fetch what is known about a file in a container, not its content."""

    @GET("/containers/{container_id}/files")
    def list(
        self, container_id: str, *, after: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[ContainerFile]:
        """List the files in a container, those that the model wrote included."""

    @DELETE("/containers/{container_id}/files/{file_id}", headers={"Accept": "*/*"})
    def delete(self, file_id: str, *, container_id: str, **options: Unpack[Options]) -> None:
        """Delete a file from a container."""


class ContainersFilesContent(Resource[C]):
    """Download files from a container."""

    with_raw_response: ContainersFilesContent[Raw[C]]
    with_streaming_response: ContainersFilesContent[Streamed[C]]

    @GET(
        "/containers/{container_id}/files/{file_id}/content",
        headers={"Accept": "application/binary"},
    )
    def retrieve(
        self, file_id: str, *, container_id: str, **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Download a file from a container."""


class ContainerFile(BaseModel):
    id: str
    bytes: int  # its size
    container_id: str
    created_at: int  # Unix time, in seconds
    object: Literal["container.file"]
    path: str
    source: str


# ---- 8.20 Videos ---- https://platform.openai.com/docs/api-reference/videos


VideoModel = Literal[
    "sora-2", "sora-2-pro", "sora-2-2025-10-06", "sora-2-pro-2025-10-06", "sora-2-2025-12-08",
]
VideoSize = Literal["720x1280", "1280x720", "1024x1792", "1792x1024"]
VIDEOS_END = "nothing: OpenAI shut the Videos API down on September 24, 2026"


class Videos(Resource[C]):
    """Make and change videos."""

    with_raw_response: Videos[Raw[C]]
    with_streaming_response: Videos[Streamed[C]]

    @POST("/videos", form=("input_reference",), deprecated=VIDEOS_END)
    def create(
        self, *, prompt: str, input_reference: FileTypes = omit,
        model: Union[str, VideoModel] = omit, seconds: Literal["4", "8", "12"] = omit,
        size: VideoSize = omit, **options: Unpack[Options]
    ) -> Video:
        """Start to make a video from a description.

        Returns at once: ask retrieve() until `status` is "completed" or "failed".
        """

    @GET("/videos/{video_id}", deprecated=VIDEOS_END)
    def retrieve(self, video_id: str, **options: Unpack[Options]) -> Video:
        """Fetch a video: its status and progress, not its content."""

    @GET("/videos", deprecated=VIDEOS_END)
    def list(
        self, *, after: str = omit, limit: int = omit, order: Literal["asc", "desc"] = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[Video]:
        """List the videos of the project."""

    @DELETE("/videos/{video_id}", deprecated=VIDEOS_END)
    def delete(self, video_id: str, **options: Unpack[Options]) -> VideoDeleted:
        """Delete a video that is done or has failed, with its content."""

    @POST("/videos/characters", form=("video",), deprecated=VIDEOS_END)
    def create_character(
        self, *, name: str, video: FileTypes, **options: Unpack[Options]
    ) -> VideoCharacter:
        """Make a character, to be used in other videos, from an uploaded one."""

    @GET(
        "/videos/{video_id}/content", headers={"Accept": "application/binary"},
        deprecated=VIDEOS_END,
    )
    def download_content(
        self, video_id: str, *, variant: Literal["video", "thumbnail", "spritesheet"] = omit,
        **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Download a video, or with `variant` its thumbnail or spritesheet."""

    @POST("/videos/edits", form=("video",), deprecated=VIDEOS_END)
    def edit(self, *, prompt: str, video: FileTypes, **options: Unpack[Options]) -> Video:
        """Change a video as a prompt says; it is done in the background."""

    @POST("/videos/extensions", form=("video",), deprecated=VIDEOS_END)
    def extend(
        self, *, prompt: str, seconds: Literal["4", "8", "12"], video: FileTypes,
        **options: Unpack[Options]
    ) -> Video:
        """Continue a video by 4, 8 or 12 seconds; it is done in the background."""

    @GET("/videos/characters/{character_id}", deprecated=VIDEOS_END)
    def get_character(self, character_id: str, **options: Unpack[Options]) -> VideoCharacter:
        """Fetch a character."""

    @POST("/videos/{video_id}/remix", deprecated=VIDEOS_END)
    def remix(self, video_id: str, *, prompt: str, **options: Unpack[Options]) -> Video:
        """Make a video again from a new description; it is done in the background."""

    @helper(deprecated=VIDEOS_END)
    def poll(
        self: Videos[OpenAI], video_id: str, *, poll_interval_ms: int = omit,
        max_wait_seconds: float = omit, **options: Unpack[Options]
    ) -> Steps[Video]:
        """Ask until a video is made; returns it also if that failed.

        `poll_interval_ms` takes precedence over what the server says, and that over one second.
        Raises TimeoutError after `max_wait_seconds`.
        """
        video = yield from poll_until(
            lambda video: video.status not in ("queued", "in_progress"), f"video {video_id}",
            lambda sent: self.with_raw_response.retrieve(video_id, **sent),
            poll_interval_ms, max_wait_seconds, options,
        )
        return video

    @helper(deprecated=VIDEOS_END)
    def create_and_poll(
        self: Videos[OpenAI], *, prompt: str, input_reference: FileTypes = omit,
        model: Union[str, VideoModel] = omit, seconds: Literal["4", "8", "12"] = omit,
        size: VideoSize = omit, poll_interval_ms: int = omit, max_wait_seconds: float = omit,
        **options: Unpack[Options]
    ) -> Steps[Video]:
        """Make a video from a description, and poll() until it is made."""
        check_polling(poll_interval_ms, max_wait_seconds)
        video: Video = (yield self.create(
            prompt=prompt, input_reference=input_reference, model=model, seconds=seconds,
            size=size, **options
        ))
        video = yield self.poll(
            video.id, poll_interval_ms=poll_interval_ms, max_wait_seconds=max_wait_seconds,
            **for_each(options)
        )
        return video


class Video(BaseModel):
    """A video that is being made."""

    id: str
    completed_at: Optional[int] = None
    created_at: int  # Unix time, in seconds
    error: Optional[VideoCreateError] = None
    expires_at: Optional[int] = None
    model: Union[str, VideoModel]
    object: Literal["video"]
    progress: int  # in percent
    prompt: Optional[str] = None
    remixed_from_video_id: Optional[str] = None
    seconds: Union[str, Literal["4", "8", "12"]]  # its length
    size: VideoSize
    status: Literal["queued", "in_progress", "completed", "failed"]


class VideoDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["video.deleted"]


class VideoCharacter(BaseModel):
    id: Optional[str] = None
    created_at: int
    name: Optional[str] = None


class VideoCreateError(BaseModel):
    code: str
    message: str
    headers: Optional[Dict[str, str]] = None
    misalignment: Optional[ResponseErrorMisalignment] = None
    param: Optional[str] = None
    type: Optional[str] = None


# ---- 8.21 Evals ---- https://platform.openai.com/docs/api-reference/evals


class Evals(Resource[C]):
    """Test how well models do."""

    runs: EvalsRuns[C]
    with_raw_response: Evals[Raw[C]]
    with_streaming_response: Evals[Streamed[C]]

    @POST("/evals")
    def create(
        self, *,
        data_source_config: Like[Union[EvalCustomConfigParam, EvalLogsConfig, EvalStoredConfig]],
        testing_criteria: Iterable[
            Like[
                Union[
                    EvalLabelModelParam, StringCheckGrader, EvalTextSimilarity, EvalPython,
                    EvalScoreModel,
                ]
            ]
        ],
        metadata: Optional[Mapping[str, str]] = omit, name: str = omit, **options: Unpack[Options]
    ) -> Eval:
        """Define a test: what its data looks like, and how answers are graded.

        Nothing runs yet: evals.runs.create() tests a model with it.
        """

    @GET("/evals/{eval_id}")
    def retrieve(self, eval_id: str, **options: Unpack[Options]) -> Eval:
        """Fetch a test, by its id."""

    @POST("/evals/{eval_id}")
    def update(
        self, eval_id: str, *, metadata: Optional[Mapping[str, str]] = omit, name: str = omit,
        **options: Unpack[Options]
    ) -> Eval:
        """Change the name or the metadata of a test."""

    @GET("/evals")
    def list(
        self, *, after: str = omit, limit: int = omit, order: Literal["asc", "desc"] = omit,
        order_by: Literal["created_at", "updated_at"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Eval]:
        """List the tests of the project."""

    @DELETE("/evals/{eval_id}")
    def delete(self, eval_id: str, **options: Unpack[Options]) -> EvalDeleted:
        """Delete a test."""


class EvalsRuns(Resource[C]):
    """Run a test on a model."""

    output_items: EvalsRunsOutputItems[C]
    with_raw_response: EvalsRuns[Raw[C]]
    with_streaming_response: EvalsRuns[Streamed[C]]

    @POST("/evals/{eval_id}/runs")
    def create(
        self, eval_id: str, *,
        data_source: Like[Union[EvalJSONLSource, EvalCompletionsSource, EvalResponsesSource]],
        metadata: Optional[Mapping[str, str]] = omit, name: str = omit, **options: Unpack[Options]
    ) -> EvalRun:
        """Test a model.

        Returns at once: ask retrieve() until `status` is final.
        """

    @GET("/evals/{eval_id}/runs/{run_id}")
    def retrieve(self, run_id: str, *, eval_id: str, **options: Unpack[Options]) -> EvalRun:
        """Fetch a run: its status, and how many answers passed."""

    @GET("/evals/{eval_id}/runs")
    def list(
        self, eval_id: str, *, after: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit,
        status: Literal["queued", "in_progress", "completed", "canceled", "failed"] = omit,
        **options: Unpack[Options]
    ) -> SyncCursorPage[EvalRun]:
        """List the runs of a test."""

    @DELETE("/evals/{eval_id}/runs/{run_id}")
    def delete(self, run_id: str, *, eval_id: str, **options: Unpack[Options]) -> EvalRunDeleted:
        """Delete a run."""

    @POST("/evals/{eval_id}/runs/{run_id}/cancel")
    def cancel(self, run_id: str, *, eval_id: str, **options: Unpack[Options]) -> EvalRun:
        """Stop a run."""


class EvalsRunsOutputItems(Resource[C]):
    """The answers of a run, and their grades."""

    with_raw_response: EvalsRunsOutputItems[Raw[C]]
    with_streaming_response: EvalsRunsOutputItems[Streamed[C]]

    @GET("/evals/{eval_id}/runs/{run_id}/output_items/{output_item_id}")
    def retrieve(
        self, output_item_id: str, *, eval_id: str, run_id: str, **options: Unpack[Options]
    ) -> EvalOutputItem:
        """Fetch one answer of a run, with its grades."""

    @GET("/evals/{eval_id}/runs/{run_id}/output_items")
    def list(
        self, run_id: str, *, eval_id: str, after: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, status: Literal["fail", "pass"] = omit,
        **options: Unpack[Options]
    ) -> SyncCursorPage[EvalOutputItem]:
        """List the answers of a run, with their grades."""


class Eval(BaseModel):
    """A test: its data and how answers are graded."""

    id: str
    created_at: int  # Unix time, in seconds
    data_source_config: Union[EvalCustomConfig, EvalLogsConfig, EvalStoredConfig]
    metadata: Optional[Dict[str, str]] = None
    name: str
    object: Literal["eval"]
    testing_criteria: List[
        Union[LabelModelGrader, StringCheckGrader, EvalTextSimilarity, EvalPython, EvalScoreModel]
    ]


class EvalDeleted(BaseModel):
    deleted: bool
    eval_id: str
    object: str


class EvalRun(BaseModel):
    """A test of one model."""

    id: str
    created_at: int
    data_source: Union[EvalJSONLSource, EvalCompletionsSource, EvalResponsesSource]
    error: EvalAPIError
    eval_id: str
    metadata: Optional[Dict[str, str]] = None
    model: str
    name: str
    object: Literal["eval.run"]
    per_model_usage: List[EvalModelUsage]
    per_testing_criteria_results: List[EvalCriterionResult]
    report_url: str
    result_counts: EvalResultCounts
    status: str


class EvalRunDeleted(BaseModel):
    deleted: Optional[bool] = None
    object: Optional[str] = None
    run_id: Optional[str] = None


class EvalOutputItem(BaseModel):
    """An answer of a model, with its grades."""

    id: str
    created_at: int
    datasource_item: Dict[str, Any]
    datasource_item_id: int
    eval_id: str
    object: Literal["eval.run.output_item"]
    results: List[EvalOutputResult]
    run_id: str
    sample: EvalSample
    status: str


class EvalCustomConfig(BaseModel):
    schema_: Dict[str, object]
    type: Literal["custom"]


class EvalLogsConfig(BaseModel):
    schema_: Dict[str, object]
    type: Literal["logs"]
    metadata: Optional[Dict[str, str]] = None


class EvalStoredConfig(BaseModel):
    schema_: Dict[str, object]
    type: Literal["stored_completions"]
    metadata: Optional[Dict[str, str]] = None


class EvalTextSimilarity(TextSimilarityGrader):
    pass_threshold: float


class EvalPython(PythonGrader):
    pass_threshold: Optional[float] = None


class EvalScoreModel(ScoreModelGrader):
    pass_threshold: Optional[float] = None


class EvalJSONLSource(BaseModel):
    source: Union[EvalFileContent, EvalFileID]
    type: Literal["jsonl"]


class EvalCompletionsSource(BaseModel):
    source: Union[EvalFileContent, EvalFileID, EvalStoredCompletions]
    type: Literal["completions"]
    input_messages: Optional[Union[EvalTemplate, EvalItemReference]] = None
    model: Optional[str] = None
    sampling_params: Optional[EvalCompletionsSampling] = None


class EvalResponsesSource(BaseModel):
    source: Union[EvalFileContent, EvalFileID, EvalStoredResponses]
    type: Literal["responses"]
    input_messages: Optional[Union[EvalResponsesTemplate, EvalItemReference]] = None
    model: Optional[str] = None
    sampling_params: Optional[EvalResponsesSampling] = None


class EvalAPIError(BaseModel):
    code: str
    message: str


class EvalModelUsage(BaseModel):
    _api_names = {"run_model_name": "model_name"}

    cached_tokens: int
    completion_tokens: int
    invocation_count: int
    run_model_name: str
    prompt_tokens: int
    total_tokens: int


class EvalCriterionResult(BaseModel):
    failed: int
    passed: int
    testing_criteria: str


class EvalResultCounts(BaseModel):
    errored: int
    failed: int
    passed: int
    total: int


class EvalOutputResult(BaseModel):
    name: str
    passed: bool
    score: float
    sample: Optional[Dict[str, object]] = None
    type: Optional[str] = None


class EvalSample(BaseModel):
    error: EvalAPIError
    finish_reason: str
    input: List[EvalMessage]
    max_completion_tokens: int
    model: str
    output: List[EvalSampleOutput]
    seed: int
    temperature: float
    top_p: float
    usage: EvalSampleUsage


class EvalFileContent(BaseModel):
    content: List[EvalFileRow]
    type: Literal["file_content"]


class EvalFileID(BaseModel):
    id: str
    type: Literal["file_id"]


class EvalStoredCompletions(BaseModel):
    type: Literal["stored_completions"]
    created_after: Optional[int] = None
    created_before: Optional[int] = None
    limit: Optional[int] = None
    metadata: Optional[Dict[str, str]] = None
    model: Optional[str] = None


class EvalTemplate(BaseModel):
    template: List[Union[GraderInput, EasyInputMessage]]
    type: Literal["template"]


class EvalItemReference(BaseModel):
    item_reference: str
    type: Literal["item_reference"]


class EvalCompletionsSampling(BaseModel):
    max_completion_tokens: Optional[int] = None
    reasoning_effort: Optional[ReasoningEffort] = None
    response_format: Optional[
        Union[ResponseFormatText, ResponseFormatJSONSchema, ResponseFormatJSONObject]
    ] = None
    seed: Optional[int] = None
    temperature: Optional[float] = None
    tools: Optional[List[ChatCompletionFunctionTool]] = None
    top_p: Optional[float] = None


class EvalStoredResponses(BaseModel):
    type: Literal["responses"]
    created_after: Optional[int] = None
    created_before: Optional[int] = None
    instructions_search: Optional[str] = None
    metadata: Optional[object] = None
    model: Optional[str] = None
    reasoning_effort: Optional[ReasoningEffort] = None
    temperature: Optional[float] = None
    tools: Optional[List[str]] = None
    top_p: Optional[float] = None
    users: Optional[List[str]] = None


class EvalResponsesTemplate(BaseModel):
    template: List[Union[EvalMessage, GraderInput]]
    type: Literal["template"]


class EvalResponsesSampling(BaseModel):
    max_completion_tokens: Optional[int] = None
    reasoning_effort: Optional[ReasoningEffort] = None
    seed: Optional[int] = None
    temperature: Optional[float] = None
    text: Optional[EvalResponsesText] = None
    tools: Optional[List[Tool]] = None
    top_p: Optional[float] = None


class EvalMessage(BaseModel):
    content: str
    role: str


class EvalSampleOutput(BaseModel):
    content: Optional[str] = None
    role: Optional[str] = None


class EvalSampleUsage(BaseModel):
    cached_tokens: int
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


class EvalFileRow(BaseModel):
    item: Dict[str, object]
    sample: Optional[Dict[str, object]] = None


class ResponseFormatJSONSchema(BaseModel):
    json_schema: ResponseFormatJSONSchemaSchema
    type: Literal["json_schema"]


class ChatCompletionFunctionTool(BaseModel):
    function: FunctionDefinition
    type: Literal["function"]


class EvalResponsesText(BaseModel):
    format: Optional[
        Union[ResponseFormatText, ResponseFormatTextJSONSchemaConfig, ResponseFormatJSONObject]
    ] = None


class ResponseFormatJSONSchemaSchema(BaseModel):
    name: str
    description: Optional[str] = None
    schema_: Optional[Dict[str, object]] = stored_as("schema")
    strict: Optional[bool] = None


class FunctionDefinition(BaseModel):
    name: str
    description: Optional[str] = None
    parameters: Optional[Dict[str, object]] = None
    strict: Optional[bool] = None


if TYPE_CHECKING:

    class EvalCustomConfigParam(TypedDict, total=False):
        item_schema: Required[Mapping[str, object]]
        type: Required[Literal["custom"]]
        include_sample_schema: bool

    class EvalLabelModelParam(TypedDict, total=False):
        input: Required[Iterable[Like[Union[EvalMessage, GraderInput]]]]
        labels: Required[List[str]]
        model: Required[str]
        name: Required[str]
        passing_labels: Required[List[str]]
        type: Required[Literal["label_model"]]


# ---- 8.22 Webhooks ---- https://platform.openai.com/docs/api-reference/webhook-events


WebhookEventType = Literal[
    "batch.completed", "batch.failed", "batch.expired", "batch.cancelled", "response.completed",
    "response.failed", "response.cancelled", "response.incomplete", "eval.run.succeeded",
    "eval.run.failed", "eval.run.canceled", "fine_tuning.job.succeeded", "fine_tuning.job.failed",
    "fine_tuning.job.cancelled", "realtime.call.incoming", "video.completed", "video.failed",
    "agent.environment.ready", "agent.environment.failed", "agent.environment.suspended",
    "agent.environment.expired", "agent.session.created", "agent.session.action_required",
    "agent.session.in_progress", "agent.session.idle", "agent.session.failed",
    "safety.alert.created",
]


class Webhooks(Resource[C]):
    """Be told of events, and check that they are genuine."""

    event_types: WebhooksEventTypes[C]
    with_raw_response: Webhooks[Raw[C]]
    with_streaming_response: Webhooks[Streamed[C]]

    @POST("/webhook_endpoints")
    def create(
        self, *, event_types: List[WebhookEventType], name: str, url: str,
        **options: Unpack[Options]
    ) -> WebhookEndpointWithSecret:
        """Have events sent to a URL.

        Keep `signing_secret`, which proves that events are genuine: only this call and
        rotate_secret() return it.
        """

    @GET("/webhook_endpoints/{webhook_endpoint_id}")
    def retrieve(self, webhook_endpoint_id: str, **options: Unpack[Options]) -> WebhookEndpoint:
        """Fetch where events are sent, and which."""

    @POST("/webhook_endpoints/{webhook_endpoint_id}")
    def update(
        self, webhook_endpoint_id: str, *, event_types: List[WebhookEventType] = omit,
        name: str = omit, url: str = omit, **options: Unpack[Options]
    ) -> WebhookEndpoint:
        """Change the name, the URL or the types of events of a webhook."""

    @GET("/webhook_endpoints")
    def list(
        self, *, after: Optional[str] = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[WebhookEndpoint]:
        """List the webhooks of the project, the latest first."""

    @DELETE("/webhook_endpoints/{webhook_endpoint_id}")
    def delete(
        self, webhook_endpoint_id: str, **options: Unpack[Options]
    ) -> DeletedWebhookEndpoint:
        """Delete a webhook; it gets no more events."""

    @POST("/webhook_endpoints/{webhook_endpoint_id}/rotate_secret")
    def rotate_secret(
        self, webhook_endpoint_id: str, *, keep_old_secret_active_for_24_hours: bool = omit,
        **options: Unpack[Options]
    ) -> WebhookEndpointWithSecret:
        """Replace the signing secret.

        The old one ends at once unless `keep_old_secret_active_for_24_hours=True`.
        """

    @POST("/webhook_endpoints/{webhook_endpoint_id}/test")
    def test(
        self, webhook_endpoint_id: str, *, event_type: WebhookEventType, **options: Unpack[Options]
    ) -> WebhookEndpointTestResult:
        """Send a made-up event to a webhook; returns with what status it was answered."""

    def unwrap(
        self, payload: Union[str, bytes], headers: HeadersLike, *, secret: Optional[str] = None
    ) -> UnwrapWebhookEvent:
        """The event in the body of a request to a webhook, if verify_signature() finds it genuine.

        `payload` is the body just as it came.  Needs no await in the async client either.
        """
        self.verify_signature(payload, headers, secret=secret)
        import json

        event: UnwrapWebhookEvent = decode("UnwrapWebhookEvent", json.loads(payload))
        return event

    def verify_signature(
        self, payload: Union[str, bytes], headers: HeadersLike, *, secret: Optional[str] = None,
        tolerance: int = 300
    ) -> None:
        """Raise InvalidWebhookSignatureError unless OpenAI sent this, at most `tolerance` s ago.

        `secret` is the signing secret of the webhook, or else the client's `webhook_secret`.
        Raises ValueError if there is none, or if one of the three headers is missing.
        """
        check_signature(
            payload, headers, self._client.webhook_secret if secret is None else secret, tolerance
        )


class WebhooksEventTypes(Resource[C]):
    """What events there are."""

    with_raw_response: WebhooksEventTypes[Raw[C]]
    with_streaming_response: WebhooksEventTypes[Streamed[C]]

    @GET("/webhook_event_types")
    def list(self, **options: Unpack[Options]) -> WebhookEventTypeList:
        """List the types of events that a webhook can get."""


class WebhookEndpoint(BaseModel):
    """Where events are sent."""

    id: str
    created_at: int  # Unix time, in seconds
    event_types: List[str]
    name: str
    object: Literal["webhook_endpoint"]
    signing_secret_hint: Optional[str] = None
    url: str
    updated_at: Optional[int] = None


class WebhookEndpointWithSecret(WebhookEndpoint):
    signing_secret: str  # shown only once


class DeletedWebhookEndpoint(BaseModel):
    id: str
    deleted: bool
    object: Literal["webhook_endpoint.deleted"]


class WebhookEndpointTestResult(BaseModel):
    event_type: str
    object: Literal["webhook_endpoint.test"]
    status_code: int
    success: Literal[True]
    webhook_endpoint_id: str


class WebhookEventTypeList(BaseModel):
    data: List[str]
    object: Literal["list"]


class WebhookEvent(BaseModel):
    """What is sent to a webhook."""

    id: str
    created_at: int  # Unix time, in seconds
    object: Optional[Literal["event"]] = None


class IdWebhook(WebhookEvent):
    data: WebhookData


class BatchCompletedWebhookEvent(IdWebhook): type: Literal["batch.completed"]
class BatchFailedWebhookEvent(IdWebhook): type: Literal["batch.failed"]
class BatchExpiredWebhookEvent(IdWebhook): type: Literal["batch.expired"]
class BatchCancelledWebhookEvent(IdWebhook): type: Literal["batch.cancelled"]
class EvalRunSucceededWebhookEvent(IdWebhook): type: Literal["eval.run.succeeded"]
class EvalRunFailedWebhookEvent(IdWebhook): type: Literal["eval.run.failed"]
class EvalRunCanceledWebhookEvent(IdWebhook): type: Literal["eval.run.canceled"]
class FineTuningJobSucceededWebhookEvent(IdWebhook): type: Literal["fine_tuning.job.succeeded"]
class FineTuningJobFailedWebhookEvent(IdWebhook): type: Literal["fine_tuning.job.failed"]
class FineTuningJobCancelledWebhookEvent(IdWebhook): type: Literal["fine_tuning.job.cancelled"]
class ResponseCompletedWebhookEvent(IdWebhook): type: Literal["response.completed"]
class ResponseFailedWebhookEvent(IdWebhook): type: Literal["response.failed"]
class ResponseCancelledWebhookEvent(IdWebhook): type: Literal["response.cancelled"]
class ResponseIncompleteWebhookEvent(IdWebhook): type: Literal["response.incomplete"]
class AgentEnvironmentReadyWebhookEvent(IdWebhook): type: Literal["agent.environment.ready"]
class AgentEnvironmentFailedWebhookEvent(IdWebhook): type: Literal["agent.environment.failed"]
class AgentEnvironmentSuspendedWebhookEvent(IdWebhook): type: Literal["agent.environment.suspended"]
class AgentEnvironmentExpiredWebhookEvent(IdWebhook): type: Literal["agent.environment.expired"]
class SafetyAlertCreatedWebhookEvent(IdWebhook): type: Literal["safety.alert.created"]
class SafetyOrgAlertCreatedWebhookEvent(IdWebhook): type: Literal["safety.org_alert.created"]
class SafetyWarningIssuedWebhookEvent(IdWebhook): type: Literal["safety.warning_issued"]
class SafetyDeactivationIssuedWebhookEvent(IdWebhook): type: Literal["safety.deactivation_issued"]


class SessionWebhook(WebhookEvent):
    data: SessionWebhookData


class AgentSessionCreatedWebhookEvent(SessionWebhook): type: Literal["agent.session.created"]
class AgentSessionInProgressWebhookEvent(SessionWebhook): type: Literal["agent.session.in_progress"]
class AgentSessionIdleWebhookEvent(SessionWebhook): type: Literal["agent.session.idle"]
class AgentSessionFailedWebhookEvent(SessionWebhook): type: Literal["agent.session.failed"]


class AgentSessionActionRequiredWebhookEvent(WebhookEvent):
    data: ActionRequiredWebhookData
    type: Literal["agent.session.action_required"]


class RealtimeCallIncomingWebhookEvent(WebhookEvent):
    data: RealtimeCallWebhookData
    type: Literal["realtime.call.incoming"]


class LiveCallIncomingWebhookEvent(WebhookEvent):
    data: LiveCallWebhookData
    type: Literal["live.call.incoming"]


class LiveTransportIncomingWebhookEvent(WebhookEvent):
    data: LiveTransportWebhookData
    type: Literal["live.transport.incoming"]


class LiveTransportConnectedWebhookEvent(WebhookEvent):
    data: LiveConnectionWebhookData
    type: Literal["live.transport.connected"]


class SafetyIdentifierBlockedWebhookEvent(WebhookEvent):
    data: SafetyIdentifierWebhookData
    type: Literal["safety_identifier.blocked"]


class WebhookData(BaseModel):
    id: str  # of the batch, response, job... that the event is about: retrieve() it


class SessionWebhookData(BaseModel):
    id: str
    environment_type: str
    connect: Optional[WebhookSessionConnect] = None
    environment_id: Optional[str] = None


class WebhookSessionConnect(BaseModel):
    remote_url: str


class ActionRequiredWebhookData(BaseModel):
    id: str
    required_action: WebhookRequiredAction


class WebhookRequiredAction(BaseModel):
    type: Literal[
        "computer_use_approval_request", "mcp_approval_request", "function_call",
        "environment_connection",
    ]


class RealtimeCallWebhookData(BaseModel):
    """A call that came in: realtime.calls.accept() it."""

    call_id: str
    sip_headers: List[WebhookSipHeader]
    sip_media_security: Union[Literal["rtp", "srtp"], str, None] = None


class LiveCallWebhookData(BaseModel):
    session_id: str
    sip_headers: List[WebhookSipHeader]
    sip_media_security: Union[Literal["rtp", "srtp"], str, None] = None


class LiveTransportWebhookData(LiveCallWebhookData):
    type: Literal["sip"]


class LiveConnectionWebhookData(BaseModel):
    session_id: str
    type: Literal["webrtc"]


class WebhookSipHeader(BaseModel):
    name: str
    value: str


class SafetyIdentifierWebhookData(BaseModel):
    safety_category: str
    safety_identifier: str
    model: Optional[str] = None
    project_id: Optional[str] = None
    request_id: Optional[str] = None


UnwrapWebhookEvent = Union[
    BatchCompletedWebhookEvent, BatchFailedWebhookEvent, BatchExpiredWebhookEvent,
    BatchCancelledWebhookEvent, EvalRunSucceededWebhookEvent, EvalRunFailedWebhookEvent,
    EvalRunCanceledWebhookEvent, FineTuningJobSucceededWebhookEvent,
    FineTuningJobFailedWebhookEvent, FineTuningJobCancelledWebhookEvent,
    ResponseCompletedWebhookEvent, ResponseFailedWebhookEvent, ResponseCancelledWebhookEvent,
    ResponseIncompleteWebhookEvent, AgentEnvironmentReadyWebhookEvent,
    AgentEnvironmentFailedWebhookEvent, AgentEnvironmentSuspendedWebhookEvent,
    AgentEnvironmentExpiredWebhookEvent, SafetyAlertCreatedWebhookEvent,
    SafetyOrgAlertCreatedWebhookEvent, SafetyWarningIssuedWebhookEvent,
    SafetyDeactivationIssuedWebhookEvent, AgentSessionCreatedWebhookEvent,
    AgentSessionInProgressWebhookEvent, AgentSessionIdleWebhookEvent,
    AgentSessionFailedWebhookEvent, AgentSessionActionRequiredWebhookEvent,
    RealtimeCallIncomingWebhookEvent, LiveCallIncomingWebhookEvent,
    LiveTransportIncomingWebhookEvent, LiveTransportConnectedWebhookEvent,
    SafetyIdentifierBlockedWebhookEvent,
]

if TYPE_CHECKING:

    class HeadersLike(Protocol):
        """A mapping, an email.message.Message, or whatever else has get()."""

        def get(self, __name: str) -> Optional[str]: ...


# ---- 8.23 Beta ---- https://platform.openai.com/docs/api-reference/introduction


class Beta(Resource[C]):
    """What may still change, or is on its way out."""

    chat: Chat[C]
    assistants: BetaAssistants[C]
    threads: BetaThreads[C]
    agents: Agents[C]
    chatkit: ChatKit[C]
    realtime: BetaRealtime[C]
    responses: BetaResponses[C]
    with_raw_response: Beta[Raw[C]]
    with_streaming_response: Beta[Streamed[C]]


# ---- 8.24 Assistants ---- https://platform.openai.com/docs/api-reference/assistants


RESPONSES_API = "the Responses API: client.responses"


class BetaAssistants(Resource[C]):
    """Models with instructions and tools."""

    with_raw_response: BetaAssistants[Raw[C]]
    with_streaming_response: BetaAssistants[Streamed[C]]

    @POST("/assistants", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def create(
        self, *, model: Union[str, ChatModel], description: Optional[str] = omit,
        instructions: Optional[str] = omit, metadata: Optional[Mapping[str, str]] = omit,
        name: Optional[str] = omit, reasoning_effort: Optional[ReasoningEffort] = omit,
        response_format: Optional[Like[AssistantResponseFormat]] = omit,
        temperature: Optional[float] = omit,
        tool_resources: Optional[Like[ThreadToolResourcesParam]] = omit,
        tools: Iterable[Like[AssistantTool]] = omit, top_p: Optional[float] = omit,
        **options: Unpack[Options]
    ) -> Assistant:
        """Make an assistant: a model with instructions and tools."""

    @GET("/assistants/{assistant_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def retrieve(self, assistant_id: str, **options: Unpack[Options]) -> Assistant:
        """Fetch an assistant."""

    @POST("/assistants/{assistant_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def update(
        self, assistant_id: str, *, description: Optional[str] = omit,
        instructions: Optional[str] = omit, metadata: Optional[Mapping[str, str]] = omit,
        model: Union[str, ChatModel] = omit, name: Optional[str] = omit,
        reasoning_effort: Optional[ReasoningEffort] = omit,
        response_format: Optional[Like[AssistantResponseFormat]] = omit,
        temperature: Optional[float] = omit, tool_resources: Optional[Like[ToolResources]] = omit,
        tools: Iterable[Like[AssistantTool]] = omit, top_p: Optional[float] = omit,
        **options: Unpack[Options]
    ) -> Assistant:
        """Change an assistant; what is left out stays as it is."""

    @GET("/assistants", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def list(
        self, *, after: str = omit, before: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Assistant]:
        """List the assistants, the latest first unless `order="asc"`."""

    @DELETE("/assistants/{assistant_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def delete(self, assistant_id: str, **options: Unpack[Options]) -> AssistantDeleted:
        """Delete an assistant."""


class Assistant(BaseModel):
    """A model with instructions and tools."""

    id: str
    created_at: int  # Unix time, in seconds
    description: Optional[str] = None
    instructions: Optional[str] = None
    metadata: Optional[Dict[str, str]] = None
    model: str
    name: Optional[str] = None
    object: Literal["assistant"]
    tools: List[AssistantTool]
    response_format: Optional[AssistantResponseFormat] = None
    temperature: Optional[float] = None
    tool_resources: Optional[ToolResources] = None
    top_p: Optional[float] = None


class AssistantDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["assistant.deleted"]


class CodeInterpreterTool(BaseModel):
    type: Literal["code_interpreter"]


class AssistantFileSearchTool(BaseModel):
    type: Literal["file_search"]
    file_search: Optional[AssistantFileSearch] = None


class ToolResources(BaseModel):
    code_interpreter: Optional[ToolResourcesCodeInterpreter] = None
    file_search: Optional[ToolResourcesFileSearch] = None


class AssistantFileSearch(BaseModel):
    max_num_results: Optional[int] = None
    ranking_options: Optional[AssistantRankingOptions] = None


class ToolResourcesCodeInterpreter(BaseModel):
    file_ids: Optional[List[str]] = None


class ToolResourcesFileSearch(BaseModel):
    vector_store_ids: Optional[List[str]] = None


class AssistantRankingOptions(BaseModel):
    score_threshold: float
    ranker: Optional[Literal["auto", "default_2024_08_21"]] = None


AssistantResponseFormat = Union[
    Literal["auto"], ResponseFormatText, ResponseFormatJSONObject, ResponseFormatJSONSchema
]
AssistantTool = Union[CodeInterpreterTool, AssistantFileSearchTool, ChatCompletionFunctionTool]

if TYPE_CHECKING:

    class ThreadToolResourcesParam(TypedDict, total=False):
        code_interpreter: Like[ToolResourcesCodeInterpreter]
        file_search: Like[ThreadFileSearchParam]

    class ThreadFileSearchParam(TypedDict, total=False):
        vector_store_ids: List[str]
        vector_stores: Iterable[Like[ThreadVectorStoreParam]]

    class ThreadVectorStoreParam(TypedDict, total=False):
        chunking_strategy: Like[FileChunkingStrategyParam]
        file_ids: List[str]
        metadata: Optional[Mapping[str, str]]


# ---- 8.25 Threads ---- https://platform.openai.com/docs/api-reference/threads


class BetaThreads(Resource[C]):
    """What users and assistants write to each other."""

    messages: BetaThreadsMessages[C]
    runs: BetaThreadsRuns[C]
    with_raw_response: BetaThreads[Raw[C]]
    with_streaming_response: BetaThreads[Streamed[C]]

    @POST("/threads", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def create(
        self, *, messages: Iterable[Like[ThreadMessageParam]] = omit,
        metadata: Optional[Mapping[str, str]] = omit,
        tool_resources: Optional[Like[ThreadToolResourcesParam]] = omit, **options: Unpack[Options]
    ) -> Thread:
        """Open a thread, which keeps the messages between a user and assistants."""

    @GET("/threads/{thread_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def retrieve(self, thread_id: str, **options: Unpack[Options]) -> Thread:
        """Fetch a thread, without its messages."""

    @POST("/threads/{thread_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def update(
        self, thread_id: str, *, metadata: Optional[Mapping[str, str]] = omit,
        tool_resources: Optional[Like[ToolResources]] = omit, **options: Unpack[Options]
    ) -> Thread:
        """Change the metadata or the tool resources of a thread."""

    @DELETE("/threads/{thread_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def delete(self, thread_id: str, **options: Unpack[Options]) -> ThreadDeleted:
        """Delete a thread."""

    def _create_and_run_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[ThreadCreateAndRunParams]
    ) -> Run: ...
    def _create_and_run_events(
        self, *, stream: Literal[True], **params: Unpack[ThreadCreateAndRunParams]
    ) -> AssistantStreamEvent: ...

    @POST(
        "/threads/runs", headers=ASSISTANTS_V2, deprecated=RESPONSES_API,
        plain=_create_and_run_plain, events=_create_and_run_events,
    )
    def create_and_run(
        self, *, stream: Optional[bool] = omit, **params: Unpack[ThreadCreateAndRunParams]
    ) -> Run:
        """Open a thread and let an assistant answer it.

        Returns the Run at once, to be polled, or with `stream=True` its events as they happen.
        """

    @overload
    def create_and_run_stream(
        self: BetaThreads[OpenAI], *, event_handler: None = ...,
        **params: Unpack[ThreadCreateAndRunParams]
    ) -> StreamManager[AssistantEventHandler]: ...

    @overload
    def create_and_run_stream(
        self: BetaThreads[OpenAI], *, event_handler: HandlerT,
        **params: Unpack[ThreadCreateAndRunParams]
    ) -> StreamManager[HandlerT]: ...

    @overload
    def create_and_run_stream(
        self: BetaThreads[AsyncOpenAI], *, event_handler: None = ...,
        **params: Unpack[ThreadCreateAndRunParams]
    ) -> AsyncStreamManager[AsyncAssistantEventHandler]: ...

    @overload
    def create_and_run_stream(
        self: BetaThreads[AsyncOpenAI], *, event_handler: AsyncHandlerT,
        **params: Unpack[ThreadCreateAndRunParams]
    ) -> AsyncStreamManager[AsyncHandlerT]: ...

    @handled
    @POST(
        "/threads/runs", headers=helped_by("threads.create_and_run_stream"),
        deprecated=RESPONSES_API,
    )
    def create_and_run_stream(
        self, **params: Unpack[ThreadCreateAndRunParams]
    ) -> Stream[AssistantStreamEvent]:
        """Open a thread and let an assistant answer it: `with` gives the handler of the events."""

    @helper(deprecated=RESPONSES_API)
    def create_and_run_poll(
        self: BetaThreads[OpenAI], *, poll_interval_ms: int = omit, max_wait_seconds: float = omit,
        **params: Unpack[ThreadCreateAndRunParams]
    ) -> Steps[Run]:
        """Open a thread, let an assistant answer it, and runs.poll() until it has."""
        check_polling(poll_interval_ms, max_wait_seconds)
        run: Run = (yield self.create_and_run(stream=False, **params))
        run = yield self.runs.poll(
            run.id, run.thread_id, poll_interval_ms=poll_interval_ms,
            max_wait_seconds=max_wait_seconds, **for_each(params)
        )
        return run


class ThreadCreateAndRunParams(Options, total=False):
    """The parameters of beta.threads.create_and_run()."""
    assistant_id: Required[str]
    instructions: Optional[str]  # take the place of those of the assistant
    max_completion_tokens: Optional[int]  # of the whole run
    max_prompt_tokens: Optional[int]  # of the whole run
    metadata: Optional[Mapping[str, str]]
    model: Optional[Union[str, ChatModel]]
    parallel_tool_calls: bool
    response_format: Optional[Like[AssistantResponseFormat]]
    temperature: Optional[float]
    thread: Like[ThreadParam]
    tool_choice: Optional[Union[Literal["none", "auto", "required"], Like[AssistantToolChoice]]]
    tool_resources: Optional[Like[ToolResources]]
    tools: Optional[Iterable[Like[AssistantTool]]]
    top_p: Optional[float]
    truncation_strategy: Optional[Like[TruncationStrategy]]


class Thread(BaseModel):
    """What users and assistants write to each other."""

    id: str
    created_at: int  # Unix time, in seconds
    metadata: Optional[Dict[str, str]] = None
    object: Literal["thread"]
    tool_resources: Optional[ToolResources] = None


class ThreadDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["thread.deleted"]


class AssistantEvent(BaseModel):
    """An event about a thread or a run: `event` says which, `data` is the object."""

    @property
    def type(self) -> str:
        """The same as `event`: the other streams call it so."""
        kind: str = getattr(self, "event")
        return kind


class ThreadCreated(AssistantEvent):
    data: Thread
    event: Literal["thread.created"]
    enabled: Optional[bool] = None


class ThreadRunEvent(AssistantEvent):
    data: Run
    event: Literal[
        "thread.run.created", "thread.run.queued", "thread.run.in_progress",
        "thread.run.requires_action", "thread.run.completed", "thread.run.incomplete",
        "thread.run.failed", "thread.run.cancelling", "thread.run.cancelled", "thread.run.expired",
    ]


class ThreadRunStepEvent(AssistantEvent):
    data: RunStep
    event: Literal[
        "thread.run.step.created", "thread.run.step.in_progress", "thread.run.step.completed",
        "thread.run.step.failed", "thread.run.step.cancelled", "thread.run.step.expired",
    ]


class ThreadRunStepDelta(AssistantEvent):
    data: RunStepDeltaEvent
    event: Literal["thread.run.step.delta"]


class ThreadMessageEvent(AssistantEvent):
    data: Message
    event: Literal[
        "thread.message.created", "thread.message.in_progress", "thread.message.completed",
        "thread.message.incomplete",
    ]


class ThreadMessageDelta(AssistantEvent):
    data: MessageDeltaEvent
    event: Literal["thread.message.delta"]


class ErrorEvent(AssistantEvent):
    data: ErrorObject
    event: Literal["error"]


class ErrorObject(BaseModel):
    code: Optional[str] = None
    message: str
    param: Optional[str] = None
    type: str
    misalignment: Optional[ResponseErrorMisalignment] = None


AssistantStreamEvent = Union[
    ThreadCreated, ThreadRunEvent, ThreadRunStepEvent, ThreadRunStepDelta, ThreadMessageEvent,
    ThreadMessageDelta, ErrorEvent,
]

if TYPE_CHECKING:

    class ThreadMessageParam(TypedDict, total=False):
        content: Required[Union[str, Iterable[Like[MessageContentPartParam]]]]
        role: Required[Literal["user", "assistant"]]
        attachments: Optional[Iterable[Like[MessageAttachment]]]
        metadata: Optional[Mapping[str, str]]

    class ThreadParam(TypedDict, total=False):
        messages: Iterable[Like[ThreadMessageParam]]
        metadata: Optional[Mapping[str, str]]
        tool_resources: Optional[Like[ThreadToolResourcesParam]]


# ---- 8.26 Messages ---- https://platform.openai.com/docs/api-reference/messages


class BetaThreadsMessages(Resource[C]):
    """The messages of a thread."""

    with_raw_response: BetaThreadsMessages[Raw[C]]
    with_streaming_response: BetaThreadsMessages[Streamed[C]]

    @POST("/threads/{thread_id}/messages", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def create(
        self, thread_id: str, *, content: Union[str, Iterable[Like[MessageContentPartParam]]],
        role: Literal["user", "assistant"],
        attachments: Optional[Iterable[Like[MessageAttachment]]] = omit,
        metadata: Optional[Mapping[str, str]] = omit, **options: Unpack[Options]
    ) -> Message:
        """Add a message to a thread; nothing answers it until a run."""

    @GET(
        "/threads/{thread_id}/messages/{message_id}", headers=ASSISTANTS_V2,
        deprecated=RESPONSES_API,
    )
    def retrieve(self, message_id: str, *, thread_id: str, **options: Unpack[Options]) -> Message:
        """Fetch one message of a thread."""

    @POST(
        "/threads/{thread_id}/messages/{message_id}", headers=ASSISTANTS_V2,
        deprecated=RESPONSES_API,
    )
    def update(
        self, message_id: str, *, thread_id: str, metadata: Optional[Mapping[str, str]] = omit,
        **options: Unpack[Options]
    ) -> Message:
        """Replace the metadata of a message."""

    @GET("/threads/{thread_id}/messages", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def list(
        self, thread_id: str, *, after: str = omit, before: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, run_id: str = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Message]:
        """List the messages of a thread, the latest first unless `order="asc"`."""

    @DELETE(
        "/threads/{thread_id}/messages/{message_id}", headers=ASSISTANTS_V2,
        deprecated=RESPONSES_API,
    )
    def delete(
        self, message_id: str, *, thread_id: str, **options: Unpack[Options]
    ) -> MessageDeleted:
        """Delete one message of a thread."""


class Message(BaseModel):
    """A message of a thread."""

    id: str
    assistant_id: Optional[str] = None
    attachments: Optional[List[MessageAttachment]] = None
    completed_at: Optional[int] = None
    content: List[
        Union[ImageFileContentBlock, ImageURLContentBlock, TextContentBlock, ResponseOutputRefusal]
    ]
    created_at: int  # Unix time, in seconds
    incomplete_at: Optional[int] = None
    incomplete_details: Optional[MessageIncompleteDetails] = None
    metadata: Optional[Dict[str, str]] = None
    object: Literal["thread.message"]
    role: Literal["user", "assistant"]
    run_id: Optional[str] = None
    status: Literal["in_progress", "incomplete", "completed"]
    thread_id: str


class MessageDeltaEvent(BaseModel):
    id: str
    delta: MessageDelta
    object: Literal["thread.message.delta"]


class MessageDeleted(BaseModel):
    id: str
    deleted: bool
    object: Literal["thread.message.deleted"]


class MessageAttachment(BaseModel):
    file_id: Optional[str] = None
    tools: Optional[List[Union[CodeInterpreterTool, MessageFileSearchTool]]] = None


class ImageFileContentBlock(BaseModel):
    image_file: ImageFile
    type: Literal["image_file"]


class ImageURLContentBlock(BaseModel):
    image_url: ImageURL
    type: Literal["image_url"]


class TextContentBlock(BaseModel):
    text: MessageText
    type: Literal["text"]


class MessageIncompleteDetails(BaseModel):
    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class MessageDelta(BaseModel):
    content: Optional[
        List[Union[ImageFileDeltaBlock, TextDeltaBlock, RefusalDeltaBlock, ImageURLDeltaBlock]]
    ] = None
    role: Optional[Literal["user", "assistant"]] = None


class MessageFileSearchTool(BaseModel):
    type: Literal["file_search"]


class ImageFile(BaseModel):
    file_id: str
    detail: Optional[Literal["auto", "low", "high"]] = None


class ImageURL(BaseModel):
    url: str
    detail: Optional[Literal["auto", "low", "high"]] = None


class MessageText(BaseModel):
    annotations: List[Union[FileCitationAnnotation, FilePathAnnotation]]
    value: str


class ImageFileDeltaBlock(BaseModel):
    index: int
    type: Literal["image_file"]
    image_file: Optional[ImageFileDelta] = None


class TextDeltaBlock(BaseModel):
    index: int
    type: Literal["text"]
    text: Optional[TextDelta] = None


class RefusalDeltaBlock(BaseModel):
    index: int
    type: Literal["refusal"]
    refusal: Optional[str] = None


class ImageURLDeltaBlock(BaseModel):
    index: int
    type: Literal["image_url"]
    image_url: Optional[ImageURLDelta] = None


class FileCitationAnnotation(BaseModel):
    end_index: int
    file_citation: FileReference
    start_index: int
    text: str
    type: Literal["file_citation"]


class FilePathAnnotation(BaseModel):
    end_index: int
    file_path: FileReference
    start_index: int
    text: str
    type: Literal["file_path"]


class ImageFileDelta(BaseModel):
    detail: Optional[Literal["auto", "low", "high"]] = None
    file_id: Optional[str] = None


class TextDelta(BaseModel):
    annotations: Optional[List[Union[FileCitationDeltaAnnotation, FilePathDeltaAnnotation]]] = None
    value: Optional[str] = None


class ImageURLDelta(BaseModel):
    detail: Optional[Literal["auto", "low", "high"]] = None
    url: Optional[str] = None


class FileReference(BaseModel):
    file_id: str


class FileCitationDeltaAnnotation(BaseModel):
    index: int
    type: Literal["file_citation"]
    end_index: Optional[int] = None
    file_citation: Optional[FileCitationDelta] = None
    start_index: Optional[int] = None
    text: Optional[str] = None


class FilePathDeltaAnnotation(BaseModel):
    index: int
    type: Literal["file_path"]
    end_index: Optional[int] = None
    file_path: Optional[FileReferenceDelta] = None
    start_index: Optional[int] = None
    text: Optional[str] = None


class FileCitationDelta(BaseModel):
    file_id: Optional[str] = None
    quote: Optional[str] = None


class FileReferenceDelta(BaseModel):
    file_id: Optional[str] = None


if TYPE_CHECKING:

    MessageContentPartParam = Union[
        ImageFileContentBlock, ImageURLContentBlock, ModerationTextInputParam
    ]


# ---- 8.27 Runs ---- https://platform.openai.com/docs/api-reference/runs


RunStepInclude = Literal["step_details.tool_calls[*].file_search.results[*].content"]


class BetaThreadsRuns(Resource[C]):
    """Let assistants answer a thread."""

    steps: BetaThreadsRunsSteps[C]
    with_raw_response: BetaThreadsRuns[Raw[C]]
    with_streaming_response: BetaThreadsRuns[Streamed[C]]

    def _create_plain(
        self, thread_id: str, *, stream: Optional[Literal[False]] = ...,
        **params: Unpack[RunCreateParams]
    ) -> Run: ...
    def _create_events(
        self, thread_id: str, *, stream: Literal[True], **params: Unpack[RunCreateParams]
    ) -> AssistantStreamEvent: ...

    @POST(
        "/threads/{thread_id}/runs", headers=ASSISTANTS_V2, query=("include",),
        deprecated=RESPONSES_API, plain=_create_plain, events=_create_events,
    )
    def create(
        self, thread_id: str, *, stream: Optional[bool] = omit, **params: Unpack[RunCreateParams]
    ) -> Run:
        """Let an assistant answer a thread.

        Returns the Run at once: ask retrieve() until `status` is final or "requires_action".
        With `stream=True` it returns its events as they happen.
        """

    @GET("/threads/{thread_id}/runs/{run_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def retrieve(self, run_id: str, *, thread_id: str, **options: Unpack[Options]) -> Run:
        """Fetch a run: its status, and the tool calls that it waits for."""

    @POST("/threads/{thread_id}/runs/{run_id}", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def update(
        self, run_id: str, *, thread_id: str, metadata: Optional[Mapping[str, str]] = omit,
        **options: Unpack[Options]
    ) -> Run:
        """Replace the metadata of a run."""

    @GET("/threads/{thread_id}/runs", headers=ASSISTANTS_V2, deprecated=RESPONSES_API)
    def list(
        self, thread_id: str, *, after: str = omit, before: str = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[Run]:
        """List the runs of a thread, the latest first unless `order="asc"`."""

    @POST(
        "/threads/{thread_id}/runs/{run_id}/cancel", headers=ASSISTANTS_V2, deprecated=RESPONSES_API
    )
    def cancel(self, run_id: str, *, thread_id: str, **options: Unpack[Options]) -> Run:
        """Stop a run; it is "cancelling" before it is "cancelled"."""

    def _submit_tool_outputs_plain(
        self, run_id: str, *, thread_id: str, tool_outputs: Iterable[Like[ToolOutputParam]],
        stream: Optional[Literal[False]] = ..., **options: Unpack[Options]
    ) -> Run: ...
    def _submit_tool_outputs_events(
        self, run_id: str, *, thread_id: str, tool_outputs: Iterable[Like[ToolOutputParam]],
        stream: Literal[True], **options: Unpack[Options]
    ) -> AssistantStreamEvent: ...

    @POST(
        "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", headers=ASSISTANTS_V2,
        deprecated=RESPONSES_API, plain=_submit_tool_outputs_plain,
        events=_submit_tool_outputs_events,
    )
    def submit_tool_outputs(
        self, run_id: str, *, thread_id: str, tool_outputs: Iterable[Like[ToolOutputParam]],
        stream: Optional[bool] = omit, **options: Unpack[Options]
    ) -> Run:
        """Answer the tool calls that a run waits for, all of them at once.

        Returns the Run, to be polled, or with `stream=True` its further events.
        """

    @overload
    def stream(
        self: BetaThreadsRuns[OpenAI], *, thread_id: str,
        event_handler: None = ..., **params: Unpack[RunCreateParams]
    ) -> StreamManager[AssistantEventHandler]: ...

    @overload
    def stream(
        self: BetaThreadsRuns[OpenAI], *, thread_id: str,
        event_handler: HandlerT, **params: Unpack[RunCreateParams]
    ) -> StreamManager[HandlerT]: ...

    @overload
    def stream(
        self: BetaThreadsRuns[AsyncOpenAI], *, thread_id: str,
        event_handler: None = ..., **params: Unpack[RunCreateParams]
    ) -> AsyncStreamManager[AsyncAssistantEventHandler]: ...

    @overload
    def stream(
        self: BetaThreadsRuns[AsyncOpenAI], *, thread_id: str,
        event_handler: AsyncHandlerT, **params: Unpack[RunCreateParams]
    ) -> AsyncStreamManager[AsyncHandlerT]: ...

    @handled
    @POST(
        "/threads/{thread_id}/runs", headers=helped_by("threads.runs.create_and_stream"),
        query=("include",), deprecated=RESPONSES_API,
    )
    def stream(
        self, *, thread_id: str, **params: Unpack[RunCreateParams]
    ) -> Stream[AssistantStreamEvent]:
        """Let an assistant answer a thread: `with` gives the handler of the events.

        That is `event_handler`, or else an AssistantEventHandler: iterate over it, ask it for its
        `text_deltas`, or for what there is in the end: get_final_messages() and its like.
        """

    create_and_stream = stream

    @overload
    def submit_tool_outputs_stream(
        self: BetaThreadsRuns[OpenAI], *, run_id: str, thread_id: str,
        tool_outputs: Iterable[Like[ToolOutputParam]],
        event_handler: None = ..., **options: Unpack[Options]
    ) -> StreamManager[AssistantEventHandler]: ...

    @overload
    def submit_tool_outputs_stream(
        self: BetaThreadsRuns[OpenAI], *, run_id: str, thread_id: str,
        tool_outputs: Iterable[Like[ToolOutputParam]],
        event_handler: HandlerT, **options: Unpack[Options]
    ) -> StreamManager[HandlerT]: ...

    @overload
    def submit_tool_outputs_stream(
        self: BetaThreadsRuns[AsyncOpenAI], *, run_id: str, thread_id: str,
        tool_outputs: Iterable[Like[ToolOutputParam]],
        event_handler: None = ..., **options: Unpack[Options]
    ) -> AsyncStreamManager[AsyncAssistantEventHandler]: ...

    @overload
    def submit_tool_outputs_stream(
        self: BetaThreadsRuns[AsyncOpenAI], *, run_id: str, thread_id: str,
        tool_outputs: Iterable[Like[ToolOutputParam]],
        event_handler: AsyncHandlerT, **options: Unpack[Options]
    ) -> AsyncStreamManager[AsyncHandlerT]: ...

    @handled
    @POST(
        "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs",
        headers=helped_by("threads.runs.submit_tool_outputs_stream"), deprecated=RESPONSES_API,
    )
    def submit_tool_outputs_stream(
        self, *, run_id: str, thread_id: str, tool_outputs: Iterable[Like[ToolOutputParam]],
        **options: Unpack[Options]
    ) -> Stream[AssistantStreamEvent]:
        """Answer the tool calls that a run waits for: `with` gives the handler of what follows."""

    @helper(deprecated=RESPONSES_API)
    def poll(
        self: BetaThreadsRuns[OpenAI], run_id: str, thread_id: str,
        extra_headers: Optional[Mapping[str, Any]] = None,
        extra_query: Optional[Mapping[str, Any]] = None,
        extra_body: Optional[Mapping[str, Any]] = None,
        timeout: Union[float, Timeout, None] = omit, poll_interval_ms: int = omit, *,
        max_wait_seconds: float = omit
    ) -> Steps[Run]:
        """Ask until a run has ended or waits for tool outputs; returns it, however it ended.

        `poll_interval_ms` takes precedence over what the server says, and that over one second.
        Raises TimeoutError after `max_wait_seconds`.
        """
        ended = (
            "requires_action", "cancelled", "completed", "failed", "expired", "incomplete",
        )
        options: Any = {"extra_headers": extra_headers, "extra_query": extra_query}
        run = yield from poll_until(
            lambda run: run.status in ended, f"run {run_id}",
            lambda sent: self.with_raw_response.retrieve(run_id, thread_id=thread_id, **sent),
            poll_interval_ms, max_wait_seconds, dict(options, timeout=timeout),
        )
        return run

    @helper(deprecated=RESPONSES_API)
    def create_and_poll(
        self: BetaThreadsRuns[OpenAI], *, thread_id: str, poll_interval_ms: int = omit,
        max_wait_seconds: float = omit, **params: Unpack[RunCreateParams]
    ) -> Steps[Run]:
        """Let an assistant answer a thread, and poll() until it has or waits for tool outputs."""
        check_polling(poll_interval_ms, max_wait_seconds)
        run: Run = (yield self.create(thread_id, stream=False, **params))
        run = yield self.poll(
            run.id, thread_id, poll_interval_ms=poll_interval_ms, max_wait_seconds=max_wait_seconds,
            **for_each(params)
        )
        return run

    @helper(deprecated=RESPONSES_API)
    def submit_tool_outputs_and_poll(
        self: BetaThreadsRuns[OpenAI], *, tool_outputs: Iterable[Like[ToolOutputParam]],
        run_id: str, thread_id: str, poll_interval_ms: int = omit, max_wait_seconds: float = omit,
        **options: Unpack[Options]
    ) -> Steps[Run]:
        """Answer the tool calls that a run waits for, and poll() until it ends or has more."""
        check_polling(poll_interval_ms, max_wait_seconds)
        run: Run = (yield self.submit_tool_outputs(
            run_id, thread_id=thread_id, tool_outputs=tool_outputs, stream=False, **options
        ))
        run = yield self.poll(
            run.id, thread_id, poll_interval_ms=poll_interval_ms, max_wait_seconds=max_wait_seconds,
            **for_each(options)
        )
        return run


class RunCreateParams(Options, total=False):
    """The parameters of beta.threads.runs.create()."""
    assistant_id: Required[str]
    include: List[RunStepInclude]
    additional_instructions: Optional[str]  # go on from those of the assistant
    additional_messages: Optional[Iterable[Like[ThreadMessageParam]]]
    instructions: Optional[str]  # take the place of those of the assistant
    max_completion_tokens: Optional[int]  # of the whole run
    max_prompt_tokens: Optional[int]  # of the whole run
    metadata: Optional[Mapping[str, str]]
    model: Optional[Union[str, ChatModel]]
    parallel_tool_calls: bool
    reasoning_effort: Optional[ReasoningEffort]
    response_format: Optional[Like[AssistantResponseFormat]]
    temperature: Optional[float]
    tool_choice: Optional[Union[Literal["none", "auto", "required"], Like[AssistantToolChoice]]]
    tools: Optional[Iterable[Like[AssistantTool]]]
    top_p: Optional[float]
    truncation_strategy: Optional[Like[TruncationStrategy]]


class Run(BaseModel):
    """An assistant at work on a thread."""

    id: str
    assistant_id: str
    cancelled_at: Optional[int] = None
    completed_at: Optional[int] = None
    created_at: int  # Unix time, in seconds
    expires_at: Optional[int] = None
    failed_at: Optional[int] = None
    incomplete_details: Optional[RunIncompleteDetails] = None
    instructions: str
    last_error: Optional[RunLastError] = None
    max_completion_tokens: Optional[int] = None
    max_prompt_tokens: Optional[int] = None
    metadata: Optional[Dict[str, str]] = None
    model: str
    object: Literal["thread.run"]
    parallel_tool_calls: bool
    required_action: Optional[RequiredAction] = None  # what it waits for
    response_format: Optional[AssistantResponseFormat] = None
    started_at: Optional[int] = None
    status: Literal[
        "queued", "in_progress", "requires_action", "cancelling", "cancelled", "failed",
        "completed", "incomplete", "expired",
    ]
    thread_id: str
    tool_choice: Optional[Union[Literal["none", "auto", "required"], AssistantToolChoice]] = None
    tools: List[AssistantTool]
    truncation_strategy: Optional[TruncationStrategy] = None
    usage: Optional[RunUsage] = None  # once it is over
    temperature: Optional[float] = None
    top_p: Optional[float] = None


class RunIncompleteDetails(BaseModel):
    reason: Optional[Literal["max_completion_tokens", "max_prompt_tokens"]] = None


class RunLastError(BaseModel):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class RequiredAction(BaseModel):
    submit_tool_outputs: RequiredActionSubmitToolOutputs
    type: Literal["submit_tool_outputs"]


class AssistantToolChoice(BaseModel):
    type: Literal["function", "code_interpreter", "file_search"]
    function: Optional[AssistantToolChoiceFunction] = None


class TruncationStrategy(BaseModel):
    type: Literal["auto", "last_messages"]
    last_messages: Optional[int] = None


class RunUsage(BaseModel):
    completion_tokens: int
    prompt_tokens: int
    total_tokens: int


class RequiredActionSubmitToolOutputs(BaseModel):
    tool_calls: List[ChatCompletionMessageFunctionToolCall]


class AssistantToolChoiceFunction(BaseModel):
    name: str


if TYPE_CHECKING:

    class ToolOutputParam(TypedDict, total=False):
        output: str
        tool_call_id: str


# ---- 8.28 Run steps ---- https://platform.openai.com/docs/api-reference/run-steps


class BetaThreadsRunsSteps(Resource[C]):
    """What an assistant did during a run."""

    with_raw_response: BetaThreadsRunsSteps[Raw[C]]
    with_streaming_response: BetaThreadsRunsSteps[Streamed[C]]

    @GET(
        "/threads/{thread_id}/runs/{run_id}/steps/{step_id}", headers=ASSISTANTS_V2,
        deprecated=RESPONSES_API,
    )
    def retrieve(
        self, step_id: str, *, thread_id: str, run_id: str, include: List[RunStepInclude] = omit,
        **options: Unpack[Options]
    ) -> RunStep:
        """Fetch one step of a run: a message that was written, or tools that were called."""

    @GET(
        "/threads/{thread_id}/runs/{run_id}/steps", headers=ASSISTANTS_V2, deprecated=RESPONSES_API
    )
    def list(
        self, run_id: str, *, thread_id: str, after: str = omit, before: str = omit,
        include: List[RunStepInclude] = omit, limit: int = omit,
        order: Literal["asc", "desc"] = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[RunStep]:
        """List the steps of a run."""


class RunStep(BaseModel):
    """One thing that a run did."""

    id: str
    assistant_id: str
    cancelled_at: Optional[int] = None
    completed_at: Optional[int] = None
    created_at: int  # Unix time, in seconds
    expired_at: Optional[int] = None
    failed_at: Optional[int] = None
    last_error: Optional[RunStepLastError] = None
    metadata: Optional[Dict[str, str]] = None
    object: Literal["thread.run.step"]
    run_id: str
    status: Literal["in_progress", "cancelled", "failed", "completed", "expired"]
    step_details: Union[MessageCreationStepDetails, ToolCallsStepDetails]
    thread_id: str
    type: Literal["message_creation", "tool_calls"]
    usage: Optional[RunUsage] = None


class RunStepDeltaEvent(BaseModel):
    id: str
    delta: RunStepDelta
    object: Literal["thread.run.step.delta"]


class RunStepLastError(BaseModel):
    code: Literal["server_error", "rate_limit_exceeded"]
    message: str


class MessageCreationStepDetails(BaseModel):
    message_creation: MessageCreation
    type: Literal["message_creation"]


class ToolCallsStepDetails(BaseModel):
    tool_calls: List[Union[CodeInterpreterToolCall, RunStepFileSearchToolCall, FunctionToolCall]]
    type: Literal["tool_calls"]


class RunStepDelta(BaseModel):
    step_details: Optional[Union[RunStepDeltaMessageDelta, ToolCallDeltaObject]] = None


class MessageCreation(BaseModel):
    message_id: str


class CodeInterpreterToolCall(BaseModel):
    id: str
    code_interpreter: RunStepCodeInterpreter
    type: Literal["code_interpreter"]


class RunStepFileSearchToolCall(BaseModel):
    id: str
    file_search: RunStepFileSearch
    type: Literal["file_search"]


class FunctionToolCall(BaseModel):
    id: str
    function: RunStepFunction
    type: Literal["function"]


class RunStepDeltaMessageDelta(BaseModel):
    type: Literal["message_creation"]
    message_creation: Optional[MessageCreationDelta] = None


class ToolCallDeltaObject(BaseModel):
    type: Literal["tool_calls"]
    tool_calls: Optional[
        List[Union[CodeInterpreterToolCallDelta, FileSearchToolCallDelta, FunctionToolCallDelta]]
    ] = None


class RunStepCodeInterpreter(BaseModel):
    input: str
    outputs: List[Union[ResponseCodeInterpreterToolCallOutputLogs, CodeInterpreterOutputImage]]


class RunStepFileSearch(BaseModel):
    ranking_options: Optional[RunStepRankingOptions] = None
    results: Optional[List[RunStepFileSearchResult]] = None


class RunStepFunction(BaseModel):
    arguments: str
    name: str
    output: Optional[str] = None


class MessageCreationDelta(BaseModel):
    message_id: Optional[str] = None


class CodeInterpreterToolCallDelta(BaseModel):
    index: int
    type: Literal["code_interpreter"]
    id: Optional[str] = None
    code_interpreter: Optional[RunStepCodeInterpreterDelta] = None


class FileSearchToolCallDelta(BaseModel):
    file_search: object
    index: int
    type: Literal["file_search"]
    id: Optional[str] = None


class FunctionToolCallDelta(BaseModel):
    index: int
    type: Literal["function"]
    id: Optional[str] = None
    function: Optional[RunStepFunctionDelta] = None


class CodeInterpreterOutputImage(BaseModel):
    image: FileReference
    type: Literal["image"]


class RunStepRankingOptions(BaseModel):
    ranker: Literal["auto", "default_2024_08_21"]
    score_threshold: float


class RunStepFileSearchResult(BaseModel):
    file_id: str
    file_name: str
    score: float
    content: Optional[List[RunStepFileSearchContent]] = None


class RunStepCodeInterpreterDelta(BaseModel):
    input: Optional[str] = None
    outputs: Optional[List[Union[CodeInterpreterLogs, CodeInterpreterImage]]] = None


class RunStepFunctionDelta(BaseModel):
    arguments: Optional[str] = None
    name: Optional[str] = None
    output: Optional[str] = None


class RunStepFileSearchContent(BaseModel):
    text: Optional[str] = None
    type: Optional[Literal["text"]] = None


class CodeInterpreterLogs(BaseModel):
    index: int
    type: Literal["logs"]
    logs: Optional[str] = None


class CodeInterpreterImage(BaseModel):
    index: int
    type: Literal["image"]
    image: Optional[FileReferenceDelta] = None


# ---- 8.29 Realtime ---- https://platform.openai.com/docs/api-reference/realtime


RealtimeModality = Literal["text", "audio"]


def offer_or_form(call: Call) -> None:
    """An offer alone is the body as it is; with a session both are parts of a form."""
    parts = dict(call.form or ())
    if len(parts) > 1 or call.body:
        types = {"sdp": "application/sdp", "session": "application/json"}
        call.form = [
            (name, (None, part.encode() if name == "sdp" else encode_json(part), types[name]))
            for name, part in parts.items()
        ]
    else:
        call.form, call.content = None, parts["sdp"].encode()
        call.headers = dict({"Content-Type": "application/sdp"}, **call.headers)


class Realtime(Resource[C]):
    """Talk with a model, over WebSocket, WebRTC or telephone."""

    client_secrets: RealtimeClientSecrets[C]
    calls: RealtimeCalls[C]
    translations: RealtimeTranslations[C]
    with_raw_response: Realtime[Raw[C]]
    with_streaming_response: Realtime[Streamed[C]]


class RealtimeClientSecrets(Resource[C]):
    """Short-lived keys for browsers and apps."""

    with_raw_response: RealtimeClientSecrets[Raw[C]]
    with_streaming_response: RealtimeClientSecrets[Streamed[C]]

    @POST("/realtime/client_secrets")
    def create(
        self, *, expires_after: JSONObjectParam = omit, session: JSONObjectParam = omit,
        **options: Unpack[Options]
    ) -> RealtimeClientSecret:
        """Make a short-lived key with which a browser or an app can connect.

        It holds for ten minutes, or for `expires_after` seconds, of 10 to 7200.
        """


class RealtimeCalls(Resource[C]):
    """Take and end calls."""

    with_raw_response: RealtimeCalls[Raw[C]]
    with_streaming_response: RealtimeCalls[Streamed[C]]

    @POST(
        "/realtime/calls", form=("sdp", "session"), headers={"Accept": "application/sdp"},
        adjust=offer_or_form,
    )
    def create(
        self, *, sdp: str, session: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Open a WebRTC call from an SDP offer.

        Returns the SDP answer as bytes; the id of the call is in the Location header.
        """

    @POST("/realtime/calls/{call_id}/accept", headers={"Accept": "*/*"})
    def accept(self, call_id: str, **params: Unpack[RealtimeCallAcceptParams]) -> None:
        """Take a SIP call that comes in, and say which model answers it, and how."""

    @POST("/realtime/calls/{call_id}/hangup", headers={"Accept": "*/*"})
    def hangup(self, call_id: str, **options: Unpack[Options]) -> None:
        """End a call."""

    @POST("/realtime/calls/{call_id}/refer", headers={"Accept": "*/*"})
    def refer(self, call_id: str, *, target_uri: str, **options: Unpack[Options]) -> None:
        """Hand a SIP call over to `target_uri`."""

    @POST("/realtime/calls/{call_id}/reject", headers={"Accept": "*/*"})
    def reject(self, call_id: str, *, status_code: int = omit, **options: Unpack[Options]) -> None:
        """Decline a SIP call that comes in, with 603 unless `status_code` says otherwise."""


class RealtimeCallAcceptParams(Options, total=False):
    """The parameters of realtime.calls.accept()."""
    type: Required[Literal["realtime"]]
    audio: JSONObjectParam
    include: List[Literal["item.input_audio_transcription.logprobs"]]
    instructions: str
    max_output_tokens: Union[int, Literal["inf"]]
    model: str
    output_modalities: List[RealtimeModality]
    parallel_tool_calls: bool
    prompt: Optional[JSONObjectParam]
    reasoning: JSONObjectParam
    tool_choice: Union[Literal["none", "auto", "required"], JSONObjectParam]
    tools: Iterable[JSONObjectParam]
    tracing: Optional[Union[Literal["auto"], JSONObjectParam]]
    truncation: Union[Literal["auto", "disabled"], JSONObjectParam]


class RealtimeTranslations(Resource[C]):
    """Have speech translated while it is spoken."""

    client_secrets: RealtimeTranslationsClientSecrets[C]
    with_raw_response: RealtimeTranslations[Raw[C]]
    with_streaming_response: RealtimeTranslations[Streamed[C]]


class RealtimeTranslationsClientSecrets(Resource[C]):
    """Short-lived keys for apps that translate."""

    with_raw_response: RealtimeTranslationsClientSecrets[Raw[C]]
    with_streaming_response: RealtimeTranslationsClientSecrets[Streamed[C]]

    @POST("/realtime/translations/client_secrets")
    def create(
        self, *, session: JSONObjectParam, expires_after: JSONObjectParam = omit,
        **options: Unpack[Options]
    ) -> RealtimeClientSecret:
        """Make a short-lived key with which an app can connect to have speech translated."""


class RealtimeClientSecret(BaseModel):
    expires_at: int
    session: OpenObject
    value: str


# ---- 8.30 Realtime, beta ---- https://platform.openai.com/docs/api-reference/realtime-sessions


RealtimeAudioFormat = Literal["pcm16", "g711_ulaw", "g711_alaw"]


class BetaRealtime(Resource[C]):
    """The realtime API as it was in beta."""

    sessions: BetaRealtimeSessions[C]
    transcription_sessions: BetaRealtimeTranscriptionSessions[C]
    with_raw_response: BetaRealtime[Raw[C]]
    with_streaming_response: BetaRealtime[Streamed[C]]


class BetaRealtimeSessions(Resource[C]):
    """Short-lived keys for realtime sessions."""

    with_raw_response: BetaRealtimeSessions[Raw[C]]
    with_streaming_response: BetaRealtimeSessions[Streamed[C]]

    @POST("/realtime/sessions", headers=ASSISTANTS_V2, leading=())
    def create(self, **params: Unpack[BetaRealtimeSessionCreateParams]) -> BetaRealtimeSession:
        """Make a short-lived key, in `client_secret`, for a session with these settings."""


class BetaRealtimeSessionCreateParams(Options, total=False):
    """The parameters of beta.realtime.sessions.create()."""
    client_secret: JSONObjectParam
    input_audio_format: RealtimeAudioFormat
    input_audio_noise_reduction: JSONObjectParam
    input_audio_transcription: JSONObjectParam
    instructions: str
    max_response_output_tokens: Union[int, Literal["inf"]]
    modalities: List[RealtimeModality]
    model: Literal[
        "gpt-realtime", "gpt-realtime-2025-08-28", "gpt-4o-realtime-preview",
        "gpt-4o-realtime-preview-2024-10-01", "gpt-4o-realtime-preview-2024-12-17",
        "gpt-4o-realtime-preview-2025-06-03", "gpt-4o-mini-realtime-preview",
        "gpt-4o-mini-realtime-preview-2024-12-17",
    ]
    output_audio_format: RealtimeAudioFormat
    speed: float
    temperature: float
    tool_choice: str
    tools: Iterable[JSONObjectParam]
    tracing: Union[Literal["auto"], JSONObjectParam]
    turn_detection: JSONObjectParam
    voice: str


class BetaRealtimeTranscriptionSessions(Resource[C]):
    """Short-lived keys for sessions that transcribe."""

    with_raw_response: BetaRealtimeTranscriptionSessions[Raw[C]]
    with_streaming_response: BetaRealtimeTranscriptionSessions[Streamed[C]]

    @POST("/realtime/transcription_sessions", headers=ASSISTANTS_V2)
    def create(
        self, *, client_secret: JSONObjectParam = omit, include: List[str] = omit,
        input_audio_format: RealtimeAudioFormat = omit,
        input_audio_noise_reduction: JSONObjectParam = omit,
        input_audio_transcription: JSONObjectParam = omit,
        modalities: List[RealtimeModality] = omit, turn_detection: JSONObjectParam = omit,
        **options: Unpack[Options]
    ) -> BetaTranscriptionSession:
        """Make a short-lived key, in `client_secret`, for a session that only transcribes."""


class BetaRealtimeSession(BaseModel):
    client_secret: OpenObject
    input_audio_format: Optional[str] = None
    input_audio_transcription: OpenObject = None
    instructions: Optional[str] = None
    max_response_output_tokens: Optional[Union[int, Literal["inf"]]] = None
    modalities: Optional[List[RealtimeModality]] = None
    output_audio_format: Optional[str] = None
    speed: Optional[float] = None
    temperature: Optional[float] = None
    tool_choice: Optional[str] = None
    tools: Optional[List[OpenObject]] = None
    tracing: Optional[Union[Literal["auto"], OpenObject]] = None
    turn_detection: OpenObject = None
    voice: Optional[str] = None


class BetaTranscriptionSession(BaseModel):
    client_secret: OpenObject
    input_audio_format: Optional[str] = None
    input_audio_transcription: OpenObject = None
    modalities: Optional[List[RealtimeModality]] = None
    turn_detection: OpenObject = None


# ---- 8.31 Live ---- https://platform.openai.com/docs/api-reference/live


class Live(Resource[C]):
    """Talk with a live model, over WebSocket, WebRTC or telephone."""

    sessions: LiveSessions[C]
    with_raw_response: Live[Raw[C]]
    with_streaming_response: Live[Streamed[C]]

    @POST("/live/sessions")
    def create(
        self, *, session: JSONObjectParam, transport: JSONObjectParam, **options: Unpack[Options]
    ) -> LiveSession:
        """Open a live session from a WebRTC offer; returns the SDP answer in `transport`."""


class LiveSessions(Resource[C]):
    """Take, continue and end sessions."""

    with_raw_response: LiveSessions[Raw[C]]
    with_streaming_response: LiveSessions[Streamed[C]]

    @POST("/live/sessions/{session_id}/accept", headers={"Accept": "*/*"})
    def accept(
        self, session_id: str, *, session: JSONObjectParam, **options: Unpack[Options]
    ) -> None:
        """Take a SIP call that comes in, and say which model answers it, and how."""

    @GET("/live/sessions/{session_id}/content", headers={"Accept": "application/binary"})
    def download_recording(
        self, session_id: str, **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Download the recording of a session."""

    @POST("/live/sessions/{session_id}/fork")
    def fork(
        self, session_id: str, *, transport: JSONObjectParam, session: JSONObjectParam = omit,
        **options: Unpack[Options]
    ) -> LiveSession:
        """Continue a stored session on a new WebRTC connection."""

    @POST("/live/sessions/{session_id}/hangup", headers={"Accept": "*/*"})
    def hangup(self, session_id: str, **options: Unpack[Options]) -> None:
        """End a SIP call."""

    @POST("/live/sessions/{session_id}/refer", headers={"Accept": "*/*"})
    def refer(self, session_id: str, *, target_uri: str, **options: Unpack[Options]) -> None:
        """Hand a SIP call over to `target_uri`."""

    @POST("/live/sessions/{session_id}/reject", headers={"Accept": "*/*"})
    def reject(self, session_id: str, *, status_code: int, **options: Unpack[Options]) -> None:
        """Decline a SIP call that comes in; `status_code` is from 300 to 699."""


class LiveSession(BaseModel):
    session: OpenObject
    transport: OpenObject


# ---- 8.32 Skills ---- https://platform.openai.com/docs/api-reference/skills


class Skills(Resource[C]):
    """Instructions and files that models can use for a task."""

    content: SkillsContent[C]
    versions: SkillsVersions[C]
    with_raw_response: Skills[Raw[C]]
    with_streaming_response: Skills[Streamed[C]]

    @POST("/skills", form=("files",), json_without_file=True)
    def create(
        self, *, files: Union[FileTypes, List[FileTypes]] = omit, **options: Unpack[Options]
    ) -> Skill:
        """Upload the files of a new skill; they become its first version."""

    @GET("/skills/{skill_id}")
    def retrieve(self, skill_id: str, **options: Unpack[Options]) -> Skill:
        """Fetch a skill: its description, and its default and latest version."""

    @POST("/skills/{skill_id}")
    def update(self, skill_id: str, *, default_version: str, **options: Unpack[Options]) -> Skill:
        """Choose the default version of a skill."""

    @GET("/skills")
    def list(self, **params: Unpack[ListParams]) -> SyncCursorPage[Skill]:
        """List the skills of the project."""

    @DELETE("/skills/{skill_id}")
    def delete(self, skill_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a skill."""


class SkillsContent(Resource[C]):
    """Download skills."""

    with_raw_response: SkillsContent[Raw[C]]
    with_streaming_response: SkillsContent[Streamed[C]]

    @GET("/skills/{skill_id}/content", headers={"Accept": "application/binary"})
    def retrieve(self, skill_id: str, **options: Unpack[Options]) -> HttpxBinaryResponseContent:
        """Download a skill as a zip file."""


class SkillsVersions(Resource[C]):
    """The versions of a skill."""

    content: SkillsVersionsContent[C]
    with_raw_response: SkillsVersions[Raw[C]]
    with_streaming_response: SkillsVersions[Streamed[C]]

    @POST("/skills/{skill_id}/versions", form=("files",), json_without_file=True)
    def create(
        self, skill_id: str, *, default: bool = omit,
        files: Union[FileTypes, List[FileTypes]] = omit, **options: Unpack[Options]
    ) -> SkillVersion:
        """Upload a new version of a skill, the default one if `default=True`."""

    @GET("/skills/{skill_id}/versions/{version}")
    def retrieve(self, version: str, *, skill_id: str, **options: Unpack[Options]) -> SkillVersion:
        """Fetch one version of a skill."""

    @GET("/skills/{skill_id}/versions")
    def list(self, skill_id: str, **params: Unpack[ListParams]) -> SyncCursorPage[SkillVersion]:
        """List the versions of a skill."""

    @DELETE("/skills/{skill_id}/versions/{version}")
    def delete(
        self, version: str, *, skill_id: str, **options: Unpack[Options]
    ) -> DeletedSkillVersion:
        """Delete one version of a skill."""


class SkillsVersionsContent(Resource[C]):
    """Download versions of a skill."""

    with_raw_response: SkillsVersionsContent[Raw[C]]
    with_streaming_response: SkillsVersionsContent[Streamed[C]]

    @GET("/skills/{skill_id}/versions/{version}/content", headers={"Accept": "application/binary"})
    def retrieve(
        self, version: str, *, skill_id: str, **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Download one version of a skill as a zip file."""


class Skill(BaseModel):
    id: str
    created_at: int
    default_version: str
    description: str
    latest_version: str
    name: str
    object: str


class SkillVersion(BaseModel):
    id: str
    created_at: int
    description: str
    name: str
    object: str
    skill_id: str
    version: str


class DeletedSkillVersion(Deleted):
    version: str


# ---- 8.33 Agents ---- https://platform.openai.com/docs/api-reference/agents


AGENTS_V1 = {"OpenAI-Beta": "agents=v1"}
IDEMPOTENCY = {"idempotency_key": "Idempotency-Key"}
AgentServiceTier = Literal["auto", "default", "flex", "priority", "fast", "ultrafast"]


def with_async(call: Call) -> None:
    """The key "async", which Python reserves, may be given as "async_"; tools are made flat."""
    call.body = renamed(call.body)


def renamed(value: Any) -> Any:
    if isinstance(value, CallableTool):
        return value.definition
    if isinstance(value, (list, tuple)):
        return [renamed(item) for item in value]
    if isinstance(value, dict):
        return {
            "async" if key == "async_" else key: item if key == "metadata" else renamed(item)
            for key, item in value.items()
        }
    return value


class Agents(Resource[C]):
    """Agents that OpenAI runs for you."""

    sessions: AgentSessions[C]
    environments: AgentEnvironments[C]
    vaults: AgentVaults[C]
    automations: AgentAutomations[C]
    with_raw_response: Agents[Raw[C]]
    with_streaming_response: Agents[Streamed[C]]

    @POST("/agents", headers=AGENTS_V1, adjust=with_async)
    def create(self, *, model: str, **params: Unpack[AgentParams]) -> Agent:
        """Save an agent: a model with instructions and tools, to be used by many sessions."""

    @GET("/agents/{agent_id}", headers=AGENTS_V1)
    def retrieve(self, agent_id: str, **options: Unpack[Options]) -> Agent:
        """Fetch an agent."""

    @POST("/agents/{agent_id}", headers=AGENTS_V1, adjust=with_async)
    def update(self, agent_id: str, *, model: str = omit, **params: Unpack[AgentParams]) -> Agent:
        """Change an agent; what is left out stays as it is."""

    @GET("/agents", headers=AGENTS_V1)
    def list(self, **params: Unpack[ListParams]) -> SyncCursorPage[Agent]:
        """List the agents of the project."""

    @DELETE("/agents/{agent_id}", headers=AGENTS_V1)
    def delete(self, agent_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete an agent."""


class Agent(BaseModel):
    id: str
    created_at: int
    metadata: Dict[str, str]
    model: str
    multi_agent: OpenObject
    object: str
    reasoning: OpenObject
    service_tier: AgentServiceTier
    text: OpenObject
    tools: List[OpenObject]
    updated_at: int
    instructions: Optional[str] = None
    name: Optional[str] = None
    compaction: OpenObject = None
    experimental: OpenObject = None


class AgentParams(Options, total=False):
    compaction: Optional[JSONObjectParam]
    experimental: JSONObjectParam
    instructions: Optional[str]
    metadata: Optional[Mapping[str, str]]
    multi_agent: Optional[JSONObjectParam]
    name: Optional[str]
    reasoning: Optional[JSONObjectParam]
    service_tier: Optional[AgentServiceTier]
    text: Optional[JSONObjectParam]
    tools: Optional[Iterable[JSONObjectParam]]


# ---- 8.34 Agent sessions ---- https://platform.openai.com/docs/api-reference/agents/sessions


def creating_session(call: Call) -> None:
    """Tell the agent the schema of a class, and make a stream what runs tools and has a result."""
    kind, handlers, report = (
        call.body.pop(name, None) for name in ("output_type", "tool_handlers", "on_tool_error")
    )
    with_async(call)
    if handlers is not None and not call.stream:
        raise ValueError("tool_handlers are run while a stream is read: pass stream=True")
    if kind is not None:
        agent = dict(fields_in(call.body.get("agent")))
        text = dict(fields_in(agent.get("text")))
        if text.get("format") is not None:
            raise ValueError("give output_type or a format in agent.text, not both")
        text["format"] = {"type": "json_schema", "schema": strict_schema(kind)}
        leading = {key: call.body[key] for key in ("stream", "environment") if key in call.body}
        call.body = dict({**leading, "agent": None, **call.body}, agent=dict(agent, text=text))
    call.wrap = lambda client, stream, call: (
        AsyncAgentSessionStream if client.is_async else AgentSessionStream
    )(client, None, kind, handlers, report, turn_options(call.headers, call.timeout), raw=stream)


class AgentSessions(Resource[C]):
    """Let agents work."""

    events: AgentSessionEvents[C]
    items: AgentSessionItems[C]
    turns: AgentSessionTurns[C]
    subagents: Subagents[C]
    traces: AgentSessionTraces[C]
    artifacts: AgentSessionArtifacts[C]
    with_raw_response: AgentSessions[Raw[C]]
    with_streaming_response: AgentSessions[Streamed[C]]

    if TYPE_CHECKING:

        @overload
        def create(
            self: AgentSessions[OpenAI], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> AgentSession: ...
        @overload
        def create(
            self: AgentSessions[OpenAI], *, stream: Literal[True], output_type: Type[T],
            **params: Unpack[AgentSessionCreateParams]
        ) -> AgentSessionStream[T]: ...
        @overload
        def create(
            self: AgentSessions[OpenAI], *, stream: Literal[True], output_type: None = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> AgentSessionStream[Any]: ...
        @overload
        def create(
            self: AgentSessions[OpenAI], *, stream: Optional[bool], output_type: Any = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> Union[AgentSession, AgentSessionStream[Any]]: ...
        @overload
        def create(
            self: AgentSessions[AsyncOpenAI], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, AgentSession]: ...
        @overload
        def create(
            self: AgentSessions[AsyncOpenAI], *, stream: Literal[True], output_type: Type[T],
            **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, AsyncAgentSessionStream[T]]: ...
        @overload
        def create(
            self: AgentSessions[AsyncOpenAI], *, stream: Literal[True], output_type: None = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, AsyncAgentSessionStream[Any]]: ...
        @overload
        def create(
            self: AgentSessions[AsyncOpenAI], *, stream: Optional[bool], output_type: Any = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, Union[AgentSession, AsyncAgentSessionStream[Any]]]: ...
        @overload
        def create(
            self: AgentSessions[Raw[OpenAI]], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> LegacyAPIResponse[AgentSession]: ...
        @overload
        def create(
            self: AgentSessions[Raw[OpenAI]], *, stream: Literal[True], output_type: Any = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> LegacyAPIResponse[AgentSessionStream[Any]]: ...
        @overload
        def create(
            self: AgentSessions[Raw[AsyncOpenAI]], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, LegacyAPIResponse[AgentSession]]: ...
        @overload
        def create(
            self: AgentSessions[Raw[AsyncOpenAI]], *, stream: Literal[True], output_type: Any = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> Coroutine[Any, Any, LegacyAPIResponse[AsyncAgentSessionStream[Any]]]: ...
        @overload
        def create(
            self: AgentSessions[Streamed[OpenAI]], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> ResponseContextManager[APIResponse[AgentSession]]: ...
        @overload
        def create(
            self: AgentSessions[Streamed[OpenAI]], *, stream: Literal[True], output_type: Any = ...,
            **params: Unpack[AgentSessionCreateParams]
        ) -> ResponseContextManager[APIResponse[AgentSessionStream[Any]]]: ...
        @overload
        def create(
            self: AgentSessions[Streamed[AsyncOpenAI]], *, stream: Optional[Literal[False]] = ...,
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> AsyncResponseContextManager[AsyncAPIResponse[AgentSession]]: ...
        @overload
        def create(
            self: AgentSessions[Streamed[AsyncOpenAI]], *, stream: Literal[True],
            output_type: Any = ..., **params: Unpack[AgentSessionCreateParams]
        ) -> AsyncResponseContextManager[AsyncAPIResponse[AsyncAgentSessionStream[Any]]]: ...
        def create(self, **params: Any) -> Any: ...

        @overload
        def stream(
            self: AgentSessions[OpenAI], session_id: str, *,
            input: Union[str, Iterable[JSONObjectParam]], output_type: Type[T],
            **options: Unpack[AgentTurnOptions]
        ) -> AgentSessionStream[T]: ...
        @overload
        def stream(
            self: AgentSessions[OpenAI], session_id: str, *,
            input: Union[str, Iterable[JSONObjectParam]], output_type: None = ...,
            **options: Unpack[AgentTurnOptions]
        ) -> AgentSessionStream[Any]: ...
        @overload
        def stream(
            self: AgentSessions[AsyncOpenAI], session_id: str, *,
            input: Union[str, Iterable[JSONObjectParam]], output_type: Type[T],
            **options: Unpack[AgentTurnOptions]
        ) -> AsyncAgentSessionStream[T]: ...
        @overload
        def stream(
            self: AgentSessions[AsyncOpenAI], session_id: str, *,
            input: Union[str, Iterable[JSONObjectParam]], output_type: None = ...,
            **options: Unpack[AgentTurnOptions]
        ) -> AsyncAgentSessionStream[Any]: ...
        def stream(self, session_id: str, **params: Any) -> Any: ...

    else:

        def _create_events(self) -> AgentSessionEvent: ...

        @POST(
            "/agents/sessions", events=_create_events, headers=AGENTS_V1, adjust=creating_session
        )
        def create(
            self, *, environment: JSONObjectParam, stream: Optional[bool] = omit,
            output_type: Any = omit, **params: Unpack[AgentSessionCreateParams]
        ) -> AgentSession:
            """Start an agent, a saved one (`agent_id`) or one described here (`agent`).

            Returns the session at once, or with `stream=True` an AgentSessionStream of its events,
            which runs `tool_handlers` as stream() does.  `output_type` is a class, such as a
            dataclass: the agent is told its schema, and the result of the turn is parsed as it.
            """

        def stream(
            self, session_id, *, input, output_type=None, tool_handlers=None, on_tool_error=None,
            idempotency_key=omit, extra_headers=None, timeout=omit,
        ):
            """Send `input` to a session that is idle, and stream the turn that it begins.

            Use it in `with`: that opens the stream, then sends the input.  `tool_handlers` are
            functions by the names of their tools, either made by function_tool() or taking a
            dictionary; each is run after the event of its call, and its output is sent.  Where
            that fails, `on_tool_error` is given an AgentToolError, and the model hears only that
            it failed.  get_final_result() has the answer, parsed as `output_type`.

            Nobody else may send input meanwhile.  To leave the stream does not end the turn.
            """
            without_views(self, "stream")
            kind = AsyncAgentSessionStream if self._client.is_async else AgentSessionStream
            given = extra_headers or {}
            for name in given:  # in any case, lest there be two
                if name.lower() == "idempotency-key":
                    idempotency_key = given[name]
            return kind(
                self._client, session_id, output_type, tool_handlers, on_tool_error,
                turn_options(given, timeout), opening=turn_opening(input), key=idempotency_key,
            )

    @GET("/agents/sessions/{session_id}", headers=AGENTS_V1)
    def retrieve(self, session_id: str, **options: Unpack[Options]) -> AgentSession:
        """Fetch a session: its status, and the actions that it waits for."""

    @POST("/agents/sessions/{session_id}", headers=AGENTS_V1)
    def update(
        self, session_id: str, *, agent: JSONObjectParam = omit,
        metadata: Optional[Mapping[str, str]] = omit,
        prompt_cache_options: Optional[JSONObjectParam] = omit,
        review: Literal["none", "auto_review"] = omit,
        spend_control: Optional[JSONObjectParam] = omit, **options: Unpack[Options]
    ) -> AgentSession:
        """Change the settings of a session, from the next turn on."""

    @GET("/agents/sessions", headers=AGENTS_V1)
    def list(
        self, *, agent_id: str = omit, metadata: Mapping[str, str] = omit,
        **params: Unpack[ListParams]
    ) -> SyncCursorPage[AgentSession]:
        """List the sessions of the project."""

    @DELETE("/agents/sessions/{session_id}", headers=AGENTS_V1)
    def delete(self, session_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a session.  What still runs in it has to be cancelled first."""


class AgentSessionEvents(Resource[C]):
    """What happens in a session, and what you reply."""

    with_raw_response: AgentSessionEvents[Raw[C]]
    with_streaming_response: AgentSessionEvents[Streamed[C]]

    @POST(
        "/agents/sessions/{session_id}/events",
        headers={"Accept": "*/*", "OpenAI-Beta": "agents=v1"}, as_headers=IDEMPOTENCY,
    )
    def create(
        self, session_id: str, *, events: Iterable[JSONObjectParam], idempotency_key: str = omit,
        **options: Unpack[Options]
    ) -> None:
        """Send an agent messages, tool results or approvals, or cancel what it does."""

    @GET(
        "/agents/sessions/{session_id}/events",
        headers={"Accept": "text/event-stream", "OpenAI-Beta": "agents=v1"},
    )
    def stream(
        self, session_id: str, *, include_obfuscation: bool = omit, **options: Unpack[Options]
    ) -> Stream[AgentSessionEvent]:
        """Watch what happens in a session, from now on."""


class AgentSessionItems(Resource[C]):
    """What the main agent said and did."""

    with_raw_response: AgentSessionItems[Raw[C]]
    with_streaming_response: AgentSessionItems[Streamed[C]]

    @GET("/agents/sessions/{session_id}/items", headers=AGENTS_V1)
    def list(
        self, session_id: str, **params: Unpack[ListParams]
    ) -> SyncCursorPage[AgentSessionItem]:
        """List what the main agent of a session said and did."""


class AgentSessionTurns(Resource[C]):
    """The turns of the main agent."""

    items: AgentSessionTurnsItems[C]
    with_raw_response: AgentSessionTurns[Raw[C]]
    with_streaming_response: AgentSessionTurns[Streamed[C]]

    @GET("/agents/sessions/{session_id}/turns/{turn_id}", headers=AGENTS_V1)
    def retrieve(self, turn_id: str, *, session_id: str, **options: Unpack[Options]) -> Turn:
        """Fetch a turn: its status, times, usage and error."""

    @GET("/agents/sessions/{session_id}/turns", headers=AGENTS_V1)
    def list(self, session_id: str, **params: Unpack[ListParams]) -> SyncCursorPage[Turn]:
        """List the turns of a session."""


class AgentSessionTurnsItems(Resource[C]):
    """What the main agent said and did in a turn."""

    with_raw_response: AgentSessionTurnsItems[Raw[C]]
    with_streaming_response: AgentSessionTurnsItems[Streamed[C]]

    @GET("/agents/sessions/{session_id}/turns/{turn_id}/items", headers=AGENTS_V1)
    def list(
        self, turn_id: str, *, session_id: str, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[AgentSessionItem]:
        """List what the main agent said and did in one turn."""


class Subagents(Resource[C]):
    """The agents that an agent started."""

    items: SubagentsItems[C]
    turns: SubagentsTurns[C]
    with_raw_response: Subagents[Raw[C]]
    with_streaming_response: Subagents[Streamed[C]]

    @GET("/agents/sessions/{session_id}/subagents/{subagent_id}", headers=AGENTS_V1)
    def retrieve(
        self, subagent_id: str, *, session_id: str, **options: Unpack[Options]
    ) -> Subagent:
        """Fetch a subagent of a session."""

    @GET("/agents/sessions/{session_id}/subagents", headers=AGENTS_V1)
    def list(self, session_id: str, **params: Unpack[ListParams]) -> SyncCursorPage[Subagent]:
        """List the subagents of a session, those of subagents and closed ones included."""


class SubagentsItems(Resource[C]):
    """What a subagent said and did."""

    with_raw_response: SubagentsItems[Raw[C]]
    with_streaming_response: SubagentsItems[Streamed[C]]

    @GET("/agents/sessions/{session_id}/subagents/{subagent_id}/items", headers=AGENTS_V1)
    def list(
        self, subagent_id: str, *, session_id: str, **params: Unpack[ListParams]
    ) -> SyncCursorPage[AgentSessionItem]:
        """List what a subagent said and did, in all of its turns."""


class SubagentsTurns(Resource[C]):
    """The turns of a subagent."""

    items: SubagentsTurnsItems[C]
    with_raw_response: SubagentsTurns[Raw[C]]
    with_streaming_response: SubagentsTurns[Streamed[C]]

    @GET("/agents/sessions/{session_id}/subagents/{subagent_id}/turns/{turn_id}", headers=AGENTS_V1)
    def retrieve(
        self, turn_id: str, *, session_id: str, subagent_id: str, **options: Unpack[Options]
    ) -> Turn:
        """Fetch one turn of a subagent."""

    @GET("/agents/sessions/{session_id}/subagents/{subagent_id}/turns", headers=AGENTS_V1)
    def list(
        self, subagent_id: str, *, session_id: str, **params: Unpack[ListParams]
    ) -> SyncCursorPage[Turn]:
        """List the turns of a subagent."""


class SubagentsTurnsItems(Resource[C]):
    """What a subagent said and did in a turn."""

    with_raw_response: SubagentsTurnsItems[Raw[C]]
    with_streaming_response: SubagentsTurnsItems[Streamed[C]]

    @GET(
        "/agents/sessions/{session_id}/subagents/{subagent_id}/turns/{turn_id}/items",
        headers=AGENTS_V1,
    )
    def list(
        self, turn_id: str, *, session_id: str, subagent_id: str, **params: Unpack[ListParams]
    ) -> SyncCursorPage[AgentSessionItem]:
        """List what a subagent said and did in one turn."""


class AgentSessionTraces(Resource[C]):
    """How a session ran, for tools that read OpenTelemetry."""

    with_raw_response: AgentSessionTraces[Raw[C]]
    with_streaming_response: AgentSessionTraces[Streamed[C]]

    @GET("/agents/sessions/{session_id}/traces", headers=AGENTS_V1)
    def list(self, session_id: str, **params: Unpack[ListParams]) -> SyncCursorPage[SessionTrace]:
        """List the traces of a session, each as OTLP JSON, of up to 16 MiB per page."""


class AgentSessionArtifacts(Resource[C]):
    """The files that agents handed in."""

    with_raw_response: AgentSessionArtifacts[Raw[C]]
    with_streaming_response: AgentSessionArtifacts[Streamed[C]]

    @GET("/agents/sessions/{session_id}/artifacts/{artifact_id}", headers=AGENTS_V1)
    def retrieve(
        self, artifact_id: str, *, session_id: str, **options: Unpack[Options]
    ) -> SessionArtifact:
        """Fetch what is known about a file that an agent handed in, not its content."""

    @GET("/agents/sessions/{session_id}/artifacts", headers=AGENTS_V1)
    def list(
        self, session_id: str, *, environment_id: Optional[str] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[SessionArtifact]:
        """List the files that the turns of a session handed in."""

    @DELETE("/agents/sessions/{session_id}/artifacts/{artifact_id}", headers=AGENTS_V1)
    def delete(self, artifact_id: str, *, session_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a file that was handed in; the original in its environment stays."""

    @GET(
        "/agents/sessions/{session_id}/artifacts/{artifact_id}/content",
        headers={"Accept": "application/octet-stream", "OpenAI-Beta": "agents=v1"},
    )
    def content(
        self, artifact_id: str, *, session_id: str, **options: Unpack[Options]
    ) -> HttpxBinaryResponseContent:
        """Download a file that was handed in, even after its environment has expired."""

    def for_result(self, result: AgentTurnResult[Any]) -> AgentResultArtifacts[C]:
        """The files that one turn handed in, by their paths; nothing is sent yet."""
        without_views(self, "for_result")
        return AgentResultArtifacts(self._client, result)


class AgentSession(BaseModel):
    id: str
    agent: OpenObject
    created_at: int
    environment: OpenObject
    last_active_at: int
    metadata: Dict[str, str]
    object: str
    required_actions: List[OpenObject]
    status: Literal["idle", "in_progress", "requires_action", "failed", "budget_reached"]
    vault_ids: List[str]
    error: Optional[str] = None
    usage: OpenObject = None
    prompt_cache_options: OpenObject = None
    review: Optional[Literal["none", "auto_review"]] = None
    spend_control: OpenObject = None


class AgentEvent(BaseModel):
    """What the events of an agent session have in common."""

    event_id: str
    obfuscation: Optional[str] = None
    session_id: Optional[str] = None
    turn_id: Optional[str] = None


class AgentErrorEvent(AgentEvent):
    error: OpenObject
    type: Literal["error"]


class AgentEnvironmentEvent(AgentEvent):
    environment: OpenObject
    type: Literal[
        "agent.session.environment.ready", "agent.session.environment.suspended",
        "agent.session.environment.expired", "agent.session.environment.pending",
        "agent.session.environment.connected", "agent.session.environment.disconnected",
        "agent.session.environment.failed",
    ]


class AgentEnvironmentResetEvent(AgentEvent):
    environment_id: str
    reset_count: int
    type: Literal["agent.session.environment.reset"]


class AgentStateEvent(AgentEvent):
    session: AgentSession
    type: Literal[
        "agent.session.created", "agent.session.idle", "agent.session.budget_reached",
        "agent.session.in_progress", "agent.session.requires_action", "agent.session.failed",
    ]


class AgentTurnEvent(AgentEvent):
    turn: Turn
    type: Literal[
        "agent.session.turn.created", "agent.session.turn.in_progress",
        "agent.session.turn.completed", "agent.session.turn.failed", "agent.session.turn.cancelled",
    ]
    usage: OpenObject = None


class AgentSubagentEvent(AgentEvent):
    subagent: Subagent
    type: Literal[
        "agent.session.subagent.created", "agent.session.subagent.active",
        "agent.session.subagent.closed",
    ]


class AgentItemEvent(AgentEvent):
    item: AgentSessionItem
    output_index: Optional[int]
    type: Literal["agent.session.turn.item.added", "agent.session.turn.item.done"]


class AgentPartEvent(AgentEvent):
    item_id: str
    output_index: int
    part: OpenObject
    type: Literal[
        "agent.session.turn.content_part.added", "agent.session.turn.content_part.done",
        "agent.session.turn.reasoning_summary_part.added",
        "agent.session.turn.reasoning_summary_part.done",
    ]
    content_index: Optional[int] = None
    status: Optional[Literal["incomplete"]] = None
    summary_index: Optional[int] = None


class AgentDeltaEvent(AgentEvent):
    delta: str
    item_id: str
    output_index: int
    type: Literal[
        "agent.output.command_execution_output.delta", "agent.session.turn.output_text.delta",
        "agent.session.turn.reasoning_summary_text.delta",
    ]
    content_index: Optional[int] = None
    summary_index: Optional[int] = None


class AgentTextEvent(AgentEvent):
    item_id: str
    output_index: int
    text: str
    type: Literal[
        "agent.session.turn.output_text.done", "agent.session.turn.reasoning_summary_text.done"
    ]
    content_index: Optional[int] = None
    summary_index: Optional[int] = None


AgentSessionEvent = Union[
    AgentErrorEvent, AgentEnvironmentEvent, AgentEnvironmentResetEvent, AgentStateEvent,
    AgentTurnEvent, AgentSubagentEvent, AgentItemEvent, AgentPartEvent, AgentDeltaEvent,
    AgentTextEvent,
]


class AgentSessionItem(BaseModel):
    turn_id: Optional[str]
    type: Literal[
        "message", "reasoning", "function_call", "function_call_output", "agent_message",
        "mcp_call", "computer_use_call", "computer_use_approval_request",
        "computer_use_approval_request_result", "web_search_call", "command_execution",
        "create_subagent_call", "send_subagent_input_call", "resume_subagent_call",
        "wait_for_subagents_call", "interrupt_subagent_call", "close_subagent_call",
    ]
    id: Optional[str] = None
    content: Optional[List[OpenObject]] = None
    phase: Optional[Literal["commentary", "final_answer"]] = None
    role: Optional[Literal["user", "assistant"]] = None
    status: Optional[str] = None
    summary: Optional[List[OpenObject]] = None
    arguments: Any = None
    call_id: Optional[str] = None
    name: Optional[str] = None
    error: Any = None
    output: Any = None
    recipient_agent_id: Optional[str] = None
    sender_agent_id: Optional[str] = None
    server_label: Optional[str] = None
    title: Optional[str] = None
    request: OpenObject = None
    request_id: Optional[str] = None
    response: OpenObject = None
    action: OpenObject = None
    command: Optional[str] = None
    cwd: Optional[str] = None
    duration_ms: Optional[int] = None
    exit_code: Optional[int] = None
    agent_id: Optional[str] = None
    model: Optional[str] = None
    reasoning_effort: Optional[str] = None
    recipient_agent_ids: Optional[List[str]] = None

    @property
    def output_text(self) -> str:
        """The text of a message of the agent in one piece."""
        return "".join(part.text for part in self.content or () if part.type == "output_text")


class Turn(BaseModel):
    id: str
    agent_id: str
    created_at: int
    object: str
    session_id: str
    status: Literal["queued", "in_progress", "waiting", "completed", "failed", "cancelled"]
    completed_at: Optional[int] = None
    error: OpenObject = None
    started_at: Optional[int] = None
    subagent_id: Optional[str] = None
    usage: OpenObject = None
    prompt_cache_options: OpenObject = None


class Subagent(BaseModel):
    id: str
    object: str
    opened_at: int
    parent_agent_id: str
    session_id: str
    status: Literal["active", "closed"]
    closed_at: Optional[int] = None
    instructions: Optional[List[OpenObject]] = None
    name: Optional[str] = None


class SessionTrace(BaseModel):
    id: str
    created_at: int
    object: str
    otlp: Dict[str, Any]
    session_id: str


class SessionArtifact(BaseModel):
    id: str
    created_at: int
    environment_id: str
    object: str
    path: str
    session_id: str
    size_bytes: int
    turn_id: str


class AgentSessionCreateParams(Options, total=False):
    """The parameters of beta.agents.sessions.create()."""
    environment: Required[JSONObjectParam]
    agent: JSONObjectParam
    agent_id: str
    input: Optional[Union[str, Iterable[JSONObjectParam]]]
    metadata: Optional[Mapping[str, str]]
    prompt_cache_options: Optional[JSONObjectParam]
    review: Literal["none", "auto_review"]
    spend_control: Optional[JSONObjectParam]
    stream_options: JSONObjectParam
    vault_ids: Optional[List[str]]
    tool_handlers: Optional[Mapping[str, AgentToolHandler]]
    on_tool_error: Optional[Callable[[AgentToolError], Any]]


class AgentTurnOptions(TypedDict, total=False):
    """What beta.agents.sessions.stream() takes besides the input and the type of the answer."""
    tool_handlers: Optional[Mapping[str, AgentToolHandler]]
    on_tool_error: Optional[Callable[[AgentToolError], Any]]
    idempotency_key: str  # of the input
    extra_headers: Optional[Mapping[str, Any]]
    timeout: Union[float, Timeout, None]


# ---- 8.35 Environments ---- https://platform.openai.com/docs/api-reference/agents/environments


class AgentEnvironments(Resource[C]):
    """Where agents run commands."""

    files: AgentEnvironmentsFiles[C]
    templates: AgentEnvironmentsTemplates[C]
    with_raw_response: AgentEnvironments[Raw[C]]
    with_streaming_response: AgentEnvironments[Streamed[C]]

    @POST("/agents/environments", headers=AGENTS_V1, as_headers=IDEMPOTENCY)
    def create(
        self, *, environment: JSONObjectParam, vault_ids: Optional[List[str]] = omit,
        idempotency_key: str = omit, **options: Unpack[Options]
    ) -> EnvironmentInfo:
        """Prepare a hosted environment before there is a session for it."""

    @GET("/agents/environments/{environment_id}", headers=AGENTS_V1)
    def retrieve(self, environment_id: str, **options: Unpack[Options]) -> EnvironmentInfo:
        """Fetch an environment: its status, and what is installed in it."""

    @GET("/agents/environments", headers=AGENTS_V1)
    def list(
        self, *, type: Literal["openai_hosted"] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[EnvironmentInfo]:
        """List the hosted environments."""


class AgentEnvironmentsFiles(Resource[C]):
    """The files in an environment."""

    with_raw_response: AgentEnvironmentsFiles[Raw[C]]
    with_streaming_response: AgentEnvironmentsFiles[Streamed[C]]

    @POST("/agents/environments/{environment_id}/files", headers=AGENTS_V1)
    def create(
        self, environment_id: str, *, file_id: str = omit, path: str,
        type: Literal["file_id", "inline"], data: str = omit, **options: Unpack[Options]
    ) -> EnvironmentFile:
        """Put a file into an environment, in place of one at the same path.

        Do it between turns, and wait for it before the next one.
        """

    @GET("/agents/environments/{environment_id}/files", headers=AGENTS_V1)
    def list(
        self, environment_id: str, *, limit: Optional[int] = omit, order: SortOrder = omit,
        page: str = omit, path: Optional[str] = omit, **options: Unpack[Options]
    ) -> SyncTokenPage[EnvironmentFile]:
        """List the files in an environment, or in the directory `path` of it."""

    @helper
    def prepare(
        self: AgentEnvironmentsFiles[OpenAI], files: Mapping[str, Union[str, os.PathLike[str]]],
        **options: Unpack[Options]
    ) -> Steps[PreparedAgentFiles]:
        """Upload files, {path below /workspace: local path}, for an environment to be made.

        `environment={"type": "openai_hosted", "files": prepared.files}` takes them.  All are looked
        at before the first is sent; symbolic links are refused.  They stay until you delete them:
        `uploaded_file_ids`.  Raises AgentFilePreparationError, whose `prepared` has the same.
        """
        return (yield from prepare_files(self._client, lambda: files, options))

    @helper
    def prepare_directory(
        self: AgentEnvironmentsFiles[OpenAI], root: Union[str, os.PathLike[str]], *,
        destination: str, include: Sequence[str], **options: Unpack[Options]
    ) -> Steps[PreparedAgentFiles]:
        """prepare() the files in a directory that match patterns: `include=["**/*.md"]`."""
        return (yield from prepare_files(
            self._client, lambda: files_below(root, destination, include), options
        ))

    @helper
    def upload(
        self: AgentEnvironmentsFiles[OpenAI], environment_id: str, *, file: FileTypes, path: str,
        **options: Unpack[Options]
    ) -> Steps[StagedAgentFile]:
        """Upload a file and put it into an environment, at `path`; the upload is yours to delete.

        Raises AgentFileStagingError, with its `uploaded_file_id`, if only the second step fails.
        """
        return (yield from stage_file(self._client, environment_id, file, path, options))


class AgentEnvironmentsTemplates(Resource[C]):
    """How to set up environments."""

    with_raw_response: AgentEnvironmentsTemplates[Raw[C]]
    with_streaming_response: AgentEnvironmentsTemplates[Streamed[C]]

    @POST("/agents/environments/templates", headers=AGENTS_V1)
    def create(self, **params: Unpack[EnvironmentTemplateParams]) -> EnvironmentTemplate:
        """Save how to set up an environment, to be used by many sessions.

        Setup commands and environment variables are secret: nothing returns them.
        """

    @GET("/agents/environments/templates/{environment_template_id}", headers=AGENTS_V1)
    def retrieve(
        self, environment_template_id: str, **options: Unpack[Options]
    ) -> EnvironmentTemplate:
        """Fetch a template, without its secrets."""

    @POST("/agents/environments/templates/{environment_template_id}", headers=AGENTS_V1)
    def update(
        self, environment_template_id: str, **params: Unpack[EnvironmentTemplateParams]
    ) -> EnvironmentTemplate:
        """Change a template; what is left out stays as it is."""

    @GET("/agents/environments/templates", headers=AGENTS_V1)
    def list(self, **params: Unpack[ListParams]) -> SyncCursorPage[EnvironmentTemplate]:
        """List the templates, without their secrets."""

    @DELETE("/agents/environments/templates/{environment_template_id}", headers=AGENTS_V1)
    def delete(self, environment_template_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a template, with its secrets."""


class EnvironmentInfo(BaseModel):
    id: str
    files: List[OpenObject]
    object: str
    plugins: List[OpenObject]
    skills: List[OpenObject]
    status: Literal[
        "pending", "ready", "connected", "disconnected", "suspended", "expired", "failed"
    ]
    type: Literal["openai_hosted", "self_hosted"]


class EnvironmentFile(BaseModel):
    environment_id: str
    object: str
    path: str
    size_bytes: int


class EnvironmentTemplate(BaseModel):
    id: str
    capability_directories: List[str]
    created_at: int
    files: List[OpenObject]
    network: OpenObject
    object: str
    packages: OpenObject
    plugins: List[OpenObject]
    skills: List[OpenObject]
    updated_at: int
    name: Optional[str] = None
    desktop: OpenObject = None


class EnvironmentTemplateParams(Options, total=False):
    capability_directories: Optional[List[str]]
    desktop: Optional[JSONObjectParam]
    env: Optional[Mapping[str, str]]
    files: Optional[Iterable[JSONObjectParam]]
    name: Optional[str]
    network: Optional[JSONObjectParam]
    packages: Optional[JSONObjectParam]
    plugins: Optional[Iterable[JSONObjectParam]]
    setup_commands: Optional[Iterable[JSONObjectParam]]
    skills: Optional[Iterable[JSONObjectParam]]


# ---- 8.36 Agent vaults ---- https://platform.openai.com/docs/api-reference/agents/vaults


VaultStatus = Literal["active", "archived"]


class AgentVaults(Resource[C]):
    """Keep the secrets that agents need."""

    credentials: AgentVaultsCredentials[C]
    with_raw_response: AgentVaults[Raw[C]]
    with_streaming_response: AgentVaults[Streamed[C]]

    @POST("/vaults", headers=AGENTS_V1)
    def create(
        self, *, metadata: Optional[Mapping[str, str]] = omit, name: str = omit,
        **options: Unpack[Options]
    ) -> Vault:
        """Make a vault, which keeps the credentials that agents need."""

    @GET("/vaults/{vault_id}", headers=AGENTS_V1)
    def retrieve(self, vault_id: str, **options: Unpack[Options]) -> Vault:
        """Fetch a vault, without what is in it."""

    @POST("/vaults/{vault_id}", headers=AGENTS_V1)
    def update(
        self, vault_id: str, *, metadata: Mapping[str, str] = omit, name: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> Vault:
        """Change the name or the metadata of a vault."""

    @GET("/vaults", headers=AGENTS_V1)
    def list(
        self, *, metadata: Mapping[str, str] = omit,
        status: Union[VaultStatus, List[VaultStatus]] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[Vault]:
        """List the vaults."""

    @DELETE("/vaults/{vault_id}", headers=AGENTS_V1)
    def delete(self, vault_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a vault, with the credentials in it."""


class AgentVaultsCredentials(Resource[C]):
    """The secrets in a vault."""

    with_raw_response: AgentVaultsCredentials[Raw[C]]
    with_streaming_response: AgentVaultsCredentials[Streamed[C]]

    @POST("/vaults/{vault_id}/credentials", headers=AGENTS_V1)
    def create(
        self, vault_id: str, *, auth: JSONObjectParam, name: str,
        metadata: Mapping[str, str] = omit, **options: Unpack[Options]
    ) -> VaultCredential:
        """Put a credential into a vault.  Its secret can be replaced, but not read again."""

    @GET("/vaults/{vault_id}/credentials/{credential_id}", headers=AGENTS_V1)
    def retrieve(
        self, credential_id: str, *, vault_id: str, **options: Unpack[Options]
    ) -> VaultCredential:
        """Fetch what is known about a credential, not its secret."""

    @POST("/vaults/{vault_id}/credentials/{credential_id}", headers=AGENTS_V1)
    def update(
        self, credential_id: str, *, vault_id: str, auth: JSONObjectParam = omit,
        metadata: Mapping[str, str] = omit, **options: Unpack[Options]
    ) -> VaultCredential:
        """Change the metadata of a credential, or replace its secret."""

    @GET("/vaults/{vault_id}/credentials", headers=AGENTS_V1)
    def list(
        self, vault_id: str, *, metadata: Mapping[str, str] = omit,
        status: Union[VaultStatus, List[VaultStatus]] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[VaultCredential]:
        """List the credentials in a vault, without their secrets."""

    @DELETE("/vaults/{vault_id}/credentials/{credential_id}", headers=AGENTS_V1)
    def delete(self, credential_id: str, *, vault_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a credential."""


class Vault(BaseModel):
    id: str
    created_at: int
    metadata: Dict[str, str]
    object: str
    name: Optional[str] = None


class VaultCredential(BaseModel):
    id: str
    auth: OpenObject
    created_at: int
    name: str
    object: str
    updated_at: int
    vault_id: str
    metadata: Optional[Dict[str, str]] = None


# ---- 8.37 Agent automations ---- https://platform.openai.com/docs/api-reference/agents/automations


class AgentAutomations(Resource[C]):
    """Start agents at set times."""

    invocations: AgentAutomationsInvocations[C]
    with_raw_response: AgentAutomations[Raw[C]]
    with_streaming_response: AgentAutomations[Streamed[C]]

    @POST("/agents/automations", headers=AGENTS_V1, adjust=with_async)
    def create(
        self, *, expression: str = omit, name: str, target: JSONObjectParam, timezone: str = omit,
        type: Literal["periodic", "once"], metadata: Mapping[str, str] = omit, run_at: int = omit,
        **options: Unpack[Options]
    ) -> AgentAutomation:
        """Plan to start an agent, once at `run_at` or again and again as `expression` says."""

    @GET("/agents/automations/{automation_id}", headers=AGENTS_V1)
    def retrieve(self, automation_id: str, **options: Unpack[Options]) -> AgentAutomation:
        """Fetch an automation."""

    @POST("/agents/automations/{automation_id}", headers=AGENTS_V1, adjust=with_async)
    def update(
        self, automation_id: str, *, expression: str = omit, metadata: Mapping[str, str] = omit,
        name: str = omit, run_at: int = omit, target: JSONObjectParam = omit, timezone: str = omit,
        **options: Unpack[Options]
    ) -> AgentAutomation:
        """Change an automation; `target` and `metadata` are replaced as a whole."""

    @GET("/agents/automations", headers=AGENTS_V1)
    def list(
        self, *, session_id: str = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[AgentAutomation]:
        """List the automations, or those that wake the session `session_id`."""

    @DELETE("/agents/automations/{automation_id}", headers=AGENTS_V1)
    def delete(self, automation_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete an automation.  The session that it wakes stays."""

    @POST("/agents/automations/{automation_id}/pause", headers=AGENTS_V1)
    def pause(self, automation_id: str, **options: Unpack[Options]) -> AgentAutomation:
        """Suspend an automation until resume(); sessions that run go on."""

    @POST("/agents/automations/{automation_id}/resume", headers=AGENTS_V1)
    def resume(self, automation_id: str, **options: Unpack[Options]) -> AgentAutomation:
        """Let a paused automation go on; one that runs once may need a new `run_at` first."""


class AgentAutomationsInvocations(Resource[C]):
    """The runs of an automation."""

    with_raw_response: AgentAutomationsInvocations[Raw[C]]
    with_streaming_response: AgentAutomationsInvocations[Streamed[C]]

    @POST("/agents/automations/{automation_id}/invocations", headers=AGENTS_V1)
    def create(self, automation_id: str, **options: Unpack[Options]) -> AutomationInvocation:
        """Run an automation now, besides its schedule."""

    @GET("/agents/automations/{automation_id}/invocations/{invocation_id}", headers=AGENTS_V1)
    def retrieve(
        self, invocation_id: str, *, automation_id: str, **options: Unpack[Options]
    ) -> AutomationInvocation:
        """Fetch one run of an automation: its status, its session, and why it failed."""

    @GET("/agents/automations/{automation_id}/invocations", headers=AGENTS_V1)
    def list(
        self, automation_id: str, **params: Unpack[ListParams]
    ) -> SyncCursorPage[AutomationInvocation]:
        """List the runs of an automation."""


class AgentAutomation(BaseModel):
    id: str
    created_at: int
    created_by: OpenObject
    metadata: Dict[str, str]
    name: str
    object: str
    status: Literal["active", "paused", "completed"]
    target: OpenObject
    type: Literal["periodic", "once"]
    expression: Optional[str] = None
    timezone: Optional[str] = None
    pause_reason: Optional[Literal["target_session_failed"]] = None
    run_at: Optional[int] = None


class AutomationInvocation(BaseModel):
    id: str
    automation_id: str
    created_at: int
    object: str
    source: OpenObject
    status: Literal["queued", "completed", "failed", "skipped"]
    error: OpenObject = None
    scheduled_at: Optional[int] = None
    session_id: Optional[str] = None
    skip_reason: Optional[Literal["pending_delivery"]] = None


# ---- 8.38 ChatKit ---- https://platform.openai.com/docs/api-reference/chatkit


CHATKIT_V1 = {"OpenAI-Beta": "chatkit_beta=v1"}


class ChatKit(Resource[C]):
    """Chats for web pages."""

    sessions: ChatKitSessions[C]
    threads: ChatKitThreads[C]
    with_raw_response: ChatKit[Raw[C]]
    with_streaming_response: ChatKit[Streamed[C]]


class ChatKitSessions(Resource[C]):
    """Let a page show a chat."""

    with_raw_response: ChatKitSessions[Raw[C]]
    with_streaming_response: ChatKitSessions[Streamed[C]]

    @POST("/chatkit/sessions", headers=CHATKIT_V1)
    def create(
        self, *, user: str, workflow: JSONObjectParam,
        chatkit_configuration: JSONObjectParam = omit, expires_after: JSONObjectParam = omit,
        rate_limits: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> ChatSession:
        """Make a short-lived key, in `client_secret`, with which a page can show a chat."""

    @POST("/chatkit/sessions/{session_id}/cancel", headers=CHATKIT_V1)
    def cancel(self, session_id: str, **options: Unpack[Options]) -> ChatSession:
        """End a session: its key is refused from now on."""


class ChatKitThreads(Resource[C]):
    """What users wrote in chats."""

    with_raw_response: ChatKitThreads[Raw[C]]
    with_streaming_response: ChatKitThreads[Streamed[C]]

    @GET("/chatkit/threads/{thread_id}", headers=CHATKIT_V1)
    def retrieve(self, thread_id: str, **options: Unpack[Options]) -> ChatKitThread:
        """Fetch a thread, without what was said in it."""

    @GET("/chatkit/threads", headers=CHATKIT_V1)
    def list(
        self, *, before: str = omit, user: str = omit, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[ChatKitThread]:
        """List the threads, or those of one `user`."""

    @DELETE("/chatkit/threads/{thread_id}", headers=CHATKIT_V1)
    def delete(self, thread_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a thread, with its items and attachments."""

    @GET("/chatkit/threads/{thread_id}/items", headers=CHATKIT_V1)
    def list_items(
        self, thread_id: str, *, before: str = omit, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[ChatKitThreadItem]:
        """List what was said in a thread."""


class ChatSession(BaseModel):
    id: str
    chatkit_configuration: OpenObject
    client_secret: str
    expires_at: int
    max_requests_per_1_minute: int
    object: str
    rate_limits: OpenObject
    status: Literal["active", "expired", "cancelled"]
    user: str
    workflow: OpenObject


class ChatKitThread(BaseModel):
    id: str
    created_at: int
    object: str
    status: OpenObject
    user: str
    title: Optional[str] = None


class ChatKitThreadItem(BaseModel):
    id: str
    created_at: int
    object: str
    thread_id: str
    type: str
    attachments: Optional[List[OpenObject]] = None
    content: Optional[List[OpenObject]] = None
    inference_options: OpenObject = None
    widget: Optional[str] = None
    arguments: Optional[str] = None
    call_id: Optional[str] = None
    name: Optional[str] = None
    output: Any = None
    status: Optional[str] = None
    heading: Optional[str] = None
    summary: Optional[str] = None
    task_type: Optional[Literal["custom", "thought"]] = None
    tasks: Optional[List[OpenObject]] = None


# ---- 8.39 Responses, beta ---- https://platform.openai.com/docs/api-reference/responses


BETAS = {"betas": "openai-beta"}
Betas = List[Literal["responses_multi_agent=v1"]]


class BetaResponses(Resource[C]):
    """Responses, with what is in beta."""

    input_items: BetaResponsesInputItems[C]
    input_tokens: BetaResponsesInputTokens[C]
    with_raw_response: BetaResponses[Raw[C]]
    with_streaming_response: BetaResponses[Streamed[C]]

    def _create_plain(
        self, *, stream: Optional[Literal[False]] = ..., **params: Unpack[BetaResponseCreateParams]
    ) -> object: ...
    def _create_events(
        self, *, stream: Literal[True], **params: Unpack[BetaResponseCreateParams]
    ) -> BetaResponseStreamEvent: ...

    @POST("/responses?beta=true", plain=_create_plain, events=_create_events, as_headers=BETAS)
    def create(
        self, *, stream: Optional[bool] = omit, **params: Unpack[BetaResponseCreateParams]
    ) -> BetaResponse:
        """Ask a model for a response, with what is in beta, such as several agents.

        `betas` says what to switch on.  Otherwise as responses.create().
        """

    def _retrieve_plain(
        self, response_id: str, *, stream: Optional[Literal[False]] = ...,
        **params: Unpack[BetaResponseRetrieveParams]
    ) -> object: ...
    def _retrieve_events(
        self, response_id: str, *, stream: Literal[True],
        **params: Unpack[BetaResponseRetrieveParams]
    ) -> BetaResponseStreamEvent: ...

    @GET(
        "/responses/{response_id}?beta=true", plain=_retrieve_plain, events=_retrieve_events,
        as_headers=BETAS,
    )
    def retrieve(
        self, response_id: str, *, stream: Optional[bool] = omit,
        **params: Unpack[BetaResponseRetrieveParams]
    ) -> BetaResponse:
        """Fetch a stored response; with `stream=True` its events, from `starting_after` on."""

    @DELETE("/responses/{response_id}?beta=true", headers={"Accept": "*/*"}, as_headers=BETAS)
    def delete(
        self, response_id: str, *, betas: Betas = omit, **options: Unpack[Options]
    ) -> None:
        """Delete a stored response.  Raises NotFoundError if there is none of this id."""

    @POST("/responses/{response_id}/cancel?beta=true", as_headers=BETAS)
    def cancel(
        self, response_id: str, *, betas: Betas = omit, **options: Unpack[Options]
    ) -> BetaResponse:
        """Stop a response that runs in the background; returns it as it was when it stopped."""

    @POST("/responses/compact?beta=true", as_headers=BETAS)
    def compact(
        self, *, model: Optional[Union[ResponsesModel, str]], image: JSONObjectParam = omit,
        input: Optional[Union[str, Iterable[JSONObjectParam]]] = omit,
        instructions: Optional[str] = omit, previous_response_id: Optional[str] = omit,
        prompt_cache_key: Optional[str] = omit,
        prompt_cache_options: Optional[JSONObjectParam] = omit,
        prompt_cache_retention: Optional[Literal["in_memory", "24h"]] = omit,
        service_tier: Optional[Literal["auto", "default", "fast", "flex", "priority"]] = omit,
        betas: Betas = omit, **options: Unpack[Options]
    ) -> BetaCompactedResponse:
        """Shorten a conversation, to go on with it in fewer tokens."""


class BetaResponsesInputItems(Resource[C]):
    """What a response was asked."""

    with_raw_response: BetaResponsesInputItems[Raw[C]]
    with_streaming_response: BetaResponsesInputItems[Streamed[C]]

    @GET("/responses/{response_id}/input_items?beta=true", as_headers=BETAS)
    def list(
        self, response_id: str, *, after: str = omit, include: List[ResponseIncludable] = omit,
        limit: int = omit, order: SortOrder = omit, betas: Betas = omit, **options: Unpack[Options]
    ) -> SyncCursorPage[BetaResponseItem]:
        """List the items that a response was asked, the latest first unless `order="asc"`."""


class BetaResponsesInputTokens(Resource[C]):
    """How many tokens a request would cost."""

    with_raw_response: BetaResponsesInputTokens[Raw[C]]
    with_streaming_response: BetaResponsesInputTokens[Streamed[C]]

    @POST("/responses/input_tokens?beta=true", as_headers=BETAS)
    def count(
        self, *, conversation: Optional[Union[str, JSONObjectParam]] = omit,
        input: Optional[Union[str, Iterable[JSONObjectParam]]] = omit,
        instructions: Optional[str] = omit, model: Optional[str] = omit,
        parallel_tool_calls: Optional[bool] = omit, personality: str = omit,
        previous_response_id: Optional[str] = omit, reasoning: Optional[JSONObjectParam] = omit,
        text: Optional[JSONObjectParam] = omit,
        tool_choice: Optional[
            Union[Literal["none", "auto", "required"], JSONObjectParam]
        ] = omit,
        tools: Optional[Iterable[JSONObjectParam]] = omit,
        truncation: Literal["auto", "disabled"] = omit, betas: Betas = omit,
        **options: Unpack[Options]
    ) -> InputTokenCountResponse:
        """Count the input tokens of a request, without sending it to a model."""


class BetaResponseCreateParams(ResponseCreateParams, total=False):
    """The parameters of beta.responses.create()."""
    multi_agent: Optional[JSONObjectParam]
    betas: Betas


class BetaResponseRetrieveParams(ResponseRetrieveParams, total=False):
    """The parameters of beta.responses.retrieve()."""
    betas: Betas


class BetaResponseAgentMessage(BaseModel):
    """What one agent told another."""

    id: str
    author: str
    content: List[OpenObject]
    recipient: str
    type: Literal["agent_message"]
    agent: OpenObject = None


class BetaResponseMultiAgentCall(BaseModel):
    """An action upon other agents, or what came of it."""

    id: str
    action: Literal[
        "spawn_agent", "interrupt_agent", "list_agents", "send_message", "followup_task",
        "wait_agent",
    ]
    call_id: str
    type: Literal["multi_agent_call", "multi_agent_call_output"]
    agent: OpenObject = None
    arguments: Optional[str] = None
    output: Optional[List[ResponseOutputText]] = None


BetaResponseOutputItem = Union[
    ResponseOutputItem, BetaResponseAgentMessage, BetaResponseMultiAgentCall
]
BetaResponseItem = Union[ResponseItem, BetaResponseAgentMessage, BetaResponseMultiAgentCall]


class BetaResponse(Response):
    output: List[BetaResponseOutputItem]  # type: ignore[assignment]


class BetaCompactedResponse(CompactedResponse):
    output: List[BetaResponseOutputItem]  # type: ignore[assignment]


class BetaResponseStateEvent(BaseModel):
    response: BetaResponse
    sequence_number: int
    type: Literal[
        "response.created", "response.queued", "response.in_progress", "response.completed",
        "response.incomplete", "response.failed",
    ]
    agent: OpenObject = None


class BetaResponseItemEvent(BaseModel):
    item: BetaResponseOutputItem
    output_index: int
    sequence_number: int
    type: Literal["response.output_item.added", "response.output_item.done"]
    agent: OpenObject = None


# Of two classes with the same `type` the first is taken.
BetaResponseStreamEvent = Union[BetaResponseStateEvent, BetaResponseItemEvent, ResponseStreamEvent]


# ---- 8.40 Safety ---- https://platform.openai.com/docs/api-reference/safety


class Safety(Resource[C]):
    """What OpenAI noticed about misuse and risks."""

    alerts: SafetyAlerts[C]
    cases: SafetyCases[C]
    with_raw_response: Safety[Raw[C]]
    with_streaming_response: Safety[Streamed[C]]


class SafetyAlerts(Resource[C]):
    """Requests that raised an alarm."""

    with_raw_response: SafetyAlerts[Raw[C]]
    with_streaming_response: SafetyAlerts[Streamed[C]]

    @GET("/safety/alerts/{id}")
    def retrieve(self, id: str, **options: Unpack[Options]) -> SafetyAlert:
        """Fetch an alert: which request caused it, why, and whether it was paused."""


class SafetyCases(Resource[C]):
    """Warnings and deactivations."""

    with_raw_response: SafetyCases[Raw[C]]
    with_streaming_response: SafetyCases[Streamed[C]]

    @GET("/safety/cases/{id}")
    def retrieve(self, id: str, **options: Unpack[Options]) -> SafetyCase:
        """Fetch a case: whom it concerns, and whether they are warned or deactivated."""


class SafetyAlert(BaseModel):
    id: str
    created_at: int
    error_type: str
    model: str
    object: str
    request_id: str
    request_paused: bool
    response_id: str
    reason: Optional[str] = None
    detailed_explanation: Optional[str] = None


class SafetyCase(BaseModel):
    id: str
    created_at: int
    entity_identifier: str
    notice: OpenObject
    object: str
    reason: Optional[str] = None


# ---- 8.41 Decisions ---- https://platform.openai.com/docs/api-reference/decisions


class Decisions(Resource[C]):
    """Quick answers to yes-or-no, choice and score questions."""

    with_raw_response: Decisions[Raw[C]]
    with_streaming_response: Decisions[Streamed[C]]

    @POST("/decisions")
    def create(
        self, *, input: Union[str, Iterable[JSONObjectParam]], model: str,
        questions: Iterable[JSONObjectParam], prompt_cache_key: Optional[str] = omit,
        prompt_cache_options: Optional[JSONObjectParam] = omit,
        safety_identifier: Optional[str] = omit, **options: Unpack[Options]
    ) -> Decision:
        """Have a model answer short questions about an input: yes or no, a choice, a score.

        Returns one answer per question, in `answers`.
        """


class Decision(BaseModel):
    answers: List[OpenObject]
    model: str
    usage: OpenObject


# ---- 8.42 Provenance ---- https://platform.openai.com/docs/api-reference/content-provenance-checks


class ContentProvenanceChecks(Resource[C]):
    """Check whether OpenAI made an image or a recording."""

    with_raw_response: ContentProvenanceChecks[Raw[C]]
    with_streaming_response: ContentProvenanceChecks[Streamed[C]]

    @POST("/content_provenance_checks", form=("file",))
    def create(self, *, file: FileTypes, **options: Unpack[Options]) -> ContentProvenanceCheck:
        """Look in an image or a recording for the marks that OpenAI leaves in what it makes.

        "not_detected" proves nothing: marks can be lost.
        """


class ContentProvenanceCheck(BaseModel):
    created_at: int
    object: str
    results: List[OpenObject]


# ---- 8.43 Administration ---- https://platform.openai.com/docs/api-reference/administration


class Admin(Resource[C]):
    """Administration, which takes an admin key."""

    organization: AdminOrganization[C]
    with_raw_response: Admin[Raw[C]]
    with_streaming_response: Admin[Streamed[C]]


class AdminOrganization(Resource[C]):
    """Your organization."""

    admin_api_keys: AdminAdminAPIKeys[C]
    invites: AdminInvites[C]
    users: AdminUsers[C]
    groups: AdminGroups[C]
    roles: AdminRoles[C]
    projects: AdminProjects[C]
    certificates: AdminCertificates[C]
    audit_logs: AdminAuditLogs[C]
    data_retention: AdminDataRetention[C]
    external_keys: AdminExternalKeys[C]
    external_storage: AdminExternalStorage[C]
    workload_identity_providers: AdminWorkloadIdentities[C]
    usage: AdminUsage[C]
    spend_alerts: AdminSpendAlerts[C]
    spend_limit: AdminSpendLimit[C]
    with_raw_response: AdminOrganization[Raw[C]]
    with_streaming_response: AdminOrganization[Streamed[C]]


class AdminAdminAPIKeys(Resource[C]):
    """The admin keys."""

    with_raw_response: AdminAdminAPIKeys[Raw[C]]
    with_streaming_response: AdminAdminAPIKeys[Streamed[C]]

    @POST("/organization/admin_api_keys")
    def create(
        self, *, name: str, expires_in_seconds: int = omit, **options: Unpack[Options]
    ) -> AdminAPIKeyCreated:
        """Make an admin key.  Keep `value`: nothing returns it again."""

    @GET("/organization/admin_api_keys/{key_id}")
    def retrieve(self, key_id: str, **options: Unpack[Options]) -> AdminAPIKey:
        """Fetch what is known about an admin key, not the key itself."""

    @GET("/organization/admin_api_keys")
    def list(self, **params: Unpack[ListParams]) -> SyncCursorPage[AdminAPIKey]:
        """List the admin keys of the organization."""

    @DELETE("/organization/admin_api_keys/{key_id}")
    def delete(self, key_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete an admin key; it is refused from now on."""


class AdminInvites(Resource[C]):
    """Invite people to the organization."""

    with_raw_response: AdminInvites[Raw[C]]
    with_streaming_response: AdminInvites[Streamed[C]]

    @POST("/organization/invites")
    def create(
        self, *, email: str, role: Literal["reader", "owner"],
        projects: Iterable[JSONObjectParam] = omit, **options: Unpack[Options]
    ) -> Invite:
        """Invite someone by mail to join the organization, and projects of it."""

    @GET("/organization/invites/{invite_id}")
    def retrieve(self, invite_id: str, **options: Unpack[Options]) -> Invite:
        """Fetch an invitation: its status, and when it expires."""

    @GET("/organization/invites")
    def list(
        self, *, after: str = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncConversationCursorPage[Invite]:
        """List the invitations."""

    @DELETE("/organization/invites/{invite_id}")
    def delete(self, invite_id: str, **options: Unpack[Options]) -> Deleted:
        """Withdraw an invitation that is not accepted yet."""


class AdminUsers(Resource[C]):
    """The members of the organization."""

    roles: AdminUsersRoles[C]
    with_raw_response: AdminUsers[Raw[C]]
    with_streaming_response: AdminUsers[Streamed[C]]

    @GET("/organization/users/{user_id}")
    def retrieve(self, user_id: str, **options: Unpack[Options]) -> OrganizationUser:
        """Fetch a member of the organization."""

    @POST("/organization/users/{user_id}")
    def update(
        self, user_id: str, *, developer_persona: Optional[str] = omit, role: Optional[str] = omit,
        role_id: Optional[str] = omit, technical_level: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> OrganizationUser:
        """Change the role or the profile of a member."""

    @GET("/organization/users")
    def list(
        self, *, after: str = omit, emails: List[str] = omit, limit: int = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[OrganizationUser]:
        """List the members of the organization."""

    @DELETE("/organization/users/{user_id}")
    def delete(self, user_id: str, **options: Unpack[Options]) -> Deleted:
        """Remove a member from the organization."""


class AdminUsersRoles(Resource[C]):
    """The roles of a member in the organization."""

    with_raw_response: AdminUsersRoles[Raw[C]]
    with_streaming_response: AdminUsersRoles[Streamed[C]]

    @POST("/organization/users/{user_id}/roles")
    def create(self, user_id: str, *, role_id: str, **options: Unpack[Options]) -> RoleAssignment:
        """Give a member a role in the organization."""

    @GET("/organization/users/{user_id}/roles/{role_id}")
    def retrieve(self, role_id: str, *, user_id: str, **options: Unpack[Options]) -> AssignedRole:
        """Fetch one role that a member has in the organization."""

    @GET("/organization/users/{user_id}/roles")
    def list(self, user_id: str, **params: Unpack[ListParams]) -> SyncNextCursorPage[AssignedRole]:
        """List the roles that a member has in the organization."""

    @DELETE("/organization/users/{user_id}/roles/{role_id}")
    def delete(self, role_id: str, *, user_id: str, **options: Unpack[Options]) -> Deleted:
        """Take a role in the organization from a member."""


class AdminGroups(Resource[C]):
    """The groups of members."""

    users: AdminGroupsUsers[C]
    roles: AdminGroupsRoles[C]
    with_raw_response: AdminGroups[Raw[C]]
    with_streaming_response: AdminGroups[Streamed[C]]

    @POST("/organization/groups")
    def create(self, *, name: str, **options: Unpack[Options]) -> Group:
        """Make a group, to give its members roles together."""

    @GET("/organization/groups/{group_id}")
    def retrieve(self, group_id: str, **options: Unpack[Options]) -> Group:
        """Fetch a group."""

    @POST("/organization/groups/{group_id}")
    def update(self, group_id: str, *, name: str, **options: Unpack[Options]) -> Group:
        """Rename a group."""

    @GET("/organization/groups")
    def list(self, **params: Unpack[ListParams]) -> SyncNextCursorPage[Group]:
        """List the groups of the organization."""

    @DELETE("/organization/groups/{group_id}")
    def delete(self, group_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a group.  Its members stay in the organization."""


class AdminGroupsUsers(Resource[C]):
    """The members of a group."""

    with_raw_response: AdminGroupsUsers[Raw[C]]
    with_streaming_response: AdminGroupsUsers[Streamed[C]]

    @POST("/organization/groups/{group_id}/users")
    def create(self, group_id: str, *, user_id: str, **options: Unpack[Options]) -> GroupMembership:
        """Put a member of the organization into a group."""

    @GET("/organization/groups/{group_id}/users/{user_id}")
    def retrieve(self, user_id: str, *, group_id: str, **options: Unpack[Options]) -> GroupMember:
        """Fetch one member of a group."""

    @GET("/organization/groups/{group_id}/users")
    def list(self, group_id: str, **params: Unpack[ListParams]) -> SyncNextCursorPage[GroupMember]:
        """List the members of a group."""

    @DELETE("/organization/groups/{group_id}/users/{user_id}")
    def delete(self, user_id: str, *, group_id: str, **options: Unpack[Options]) -> Deleted:
        """Take a member out of a group."""


class AdminGroupsRoles(Resource[C]):
    """The roles of a group in the organization."""

    with_raw_response: AdminGroupsRoles[Raw[C]]
    with_streaming_response: AdminGroupsRoles[Streamed[C]]

    @POST("/organization/groups/{group_id}/roles")
    def create(self, group_id: str, *, role_id: str, **options: Unpack[Options]) -> RoleAssignment:
        """Give a group a role in the organization."""

    @GET("/organization/groups/{group_id}/roles/{role_id}")
    def retrieve(self, role_id: str, *, group_id: str, **options: Unpack[Options]) -> AssignedRole:
        """Fetch one role that a group has in the organization."""

    @GET("/organization/groups/{group_id}/roles")
    def list(self, group_id: str, **params: Unpack[ListParams]) -> SyncNextCursorPage[AssignedRole]:
        """List the roles that a group has in the organization."""

    @DELETE("/organization/groups/{group_id}/roles/{role_id}")
    def delete(self, role_id: str, *, group_id: str, **options: Unpack[Options]) -> Deleted:
        """Take a role in the organization from a group."""


class AdminRoles(Resource[C]):
    """The roles of the organization."""

    with_raw_response: AdminRoles[Raw[C]]
    with_streaming_response: AdminRoles[Streamed[C]]

    @POST("/organization/roles")
    def create(
        self, *, permissions: List[str], role_name: str, description: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> Role:
        """Define a role of the organization: a name for a list of permissions."""

    @GET("/organization/roles/{role_id}")
    def retrieve(self, role_id: str, **options: Unpack[Options]) -> Role:
        """Fetch a role of the organization."""

    @POST("/organization/roles/{role_id}")
    def update(
        self, role_id: str, *, description: Optional[str] = omit,
        permissions: Optional[List[str]] = omit, role_name: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> Role:
        """Change the name, the description or the permissions of a role."""

    @GET("/organization/roles")
    def list(self, **params: Unpack[ListParams]) -> SyncNextCursorPage[Role]:
        """List the roles of the organization."""

    @DELETE("/organization/roles/{role_id}")
    def delete(self, role_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a role that was defined for the organization."""


class AdminAPIKey(BaseModel):
    id: str
    created_at: int
    object: str
    owner: OpenObject
    redacted_value: str
    expires_at: Optional[int] = None
    last_used_at: Optional[int] = None
    name: Optional[str] = None


class Invite(BaseModel):
    id: str
    created_at: int
    email: str
    object: str
    projects: List[OpenObject]
    role: Literal["owner", "reader"]
    status: Literal["accepted", "expired", "pending"]
    accepted_at: Optional[int] = None
    expires_at: Optional[int] = None


class OrganizationUser(BaseModel):
    id: str
    added_at: int
    object: str
    api_key_last_used_at: Optional[int] = None
    created: Optional[int] = None
    developer_persona: Optional[str] = None
    email: Optional[str] = None
    is_default: Optional[bool] = None
    is_scale_tier_authorized_purchaser: Optional[bool] = None
    is_scim_managed: Optional[bool] = None
    is_service_account: Optional[bool] = None
    name: Optional[str] = None
    projects: OpenObject = None
    role: Optional[str] = None
    technical_level: Optional[str] = None
    user: OpenObject = None


class RoleAssignment(BaseModel):
    object: str
    role: Role
    group: OpenObject = None
    user: OpenObject = None


class AssignedRole(BaseModel):
    id: str
    name: str
    permissions: List[str]
    predefined_role: bool
    resource_type: str
    assignment_sources: Optional[List[OpenObject]] = None
    created_at: Optional[int] = None
    created_by: Optional[str] = None
    created_by_user_obj: Optional[Dict[str, Any]] = None
    description: Optional[str] = None
    metadata: Optional[Dict[str, Any]] = None
    updated_at: Optional[int] = None


class Group(BaseModel):
    id: str
    created_at: int
    is_scim_managed: bool
    name: str
    group_type: Optional[Literal["group", "tenant_group"]] = None


class GroupMembership(BaseModel):
    group_id: str
    object: str
    user_id: str


class GroupMember(BaseModel):
    id: str
    name: str
    email: Optional[str] = None
    is_service_account: Optional[bool] = None
    picture: Optional[str] = None
    user_type: Optional[Literal["user", "tenant_user"]] = None


class Role(BaseModel):
    id: str
    name: str
    object: str
    permissions: List[str]
    predefined_role: bool
    resource_type: str
    description: Optional[str] = None


class AdminAPIKeyCreated(AdminAPIKey):
    value: str


# ---- 8.44 Projects ---- https://platform.openai.com/docs/api-reference/projects


class AdminProjects(Resource[C]):
    """The projects of the organization."""

    model_permissions: AdminProjectsModelPermissions[C]
    hosted_tool_permissions: AdminProjectsHostedToolPermissions[C]
    service_tier_settings: AdminProjectsServiceTierSettings[C]
    users: AdminProjectsUsers[C]
    groups: AdminProjectsGroups[C]
    roles: AdminProjectsRoles[C]
    service_accounts: AdminServiceAccounts[C]
    api_keys: AdminProjectsAPIKeys[C]
    rate_limits: AdminProjectsRateLimits[C]
    certificates: AdminProjectsCertificates[C]
    data_retention: AdminProjectsDataRetention[C]
    spend_alerts: AdminProjectsSpendAlerts[C]
    spend_limit: AdminProjectsSpendLimit[C]
    with_raw_response: AdminProjects[Raw[C]]
    with_streaming_response: AdminProjects[Streamed[C]]

    @POST("/organization/projects")
    def create(
        self, *, name: str, external_key_id: Optional[str] = omit, geography: Optional[str] = omit,
        residency: Optional[
            Literal[
                "GLOBAL", "US_STORAGE_PROCESSING", "EU_STORAGE_PROCESSING", "JP_STORAGE",
                "JP_STORAGE_PROCESSING", "KR_STORAGE", "CA_STORAGE", "SG_STORAGE", "IN_STORAGE",
                "IN_STORAGE_PROCESSING", "AU_STORAGE", "AU_STORAGE_PROCESSING", "GB_STORAGE",
                "AE_STORAGE", "AE_STORAGE_PROCESSING",
            ]
        ] = omit,
        **options: Unpack[Options]
    ) -> Project:
        """Open a project.  It can be archived later, but not deleted."""

    @GET("/organization/projects/{project_id}")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> Project:
        """Fetch a project."""

    @POST("/organization/projects/{project_id}")
    def update(
        self, project_id: str, *, external_key_id: Optional[str] = omit,
        geography: Optional[str] = omit, name: Optional[str] = omit, **options: Unpack[Options]
    ) -> Project:
        """Change the name or another setting of a project."""

    @GET("/organization/projects")
    def list(
        self, *, after: str = omit, include_archived: bool = omit, limit: int = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[Project]:
        """List the projects of the organization; archived ones with `include_archived=True`."""

    @POST("/organization/projects/{project_id}/archive")
    def archive(self, project_id: str, **options: Unpack[Options]) -> Project:
        """Close a project for good: it can be neither used nor changed any more."""


class AdminProjectsModelPermissions(Resource[C]):
    """Which models a project may use."""

    with_raw_response: AdminProjectsModelPermissions[Raw[C]]
    with_streaming_response: AdminProjectsModelPermissions[Streamed[C]]

    @GET("/organization/projects/{project_id}/model_permissions")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> ProjectModelPermissions:
        """Fetch which models a project may use."""

    @POST("/organization/projects/{project_id}/model_permissions")
    def update(
        self, project_id: str, *, mode: Literal["allow_list", "deny_list"], model_ids: List[str],
        **options: Unpack[Options]
    ) -> ProjectModelPermissions:
        """Allow a project only these models (`mode="allow_list"`), or all but these."""

    @DELETE("/organization/projects/{project_id}/model_permissions")
    def delete(self, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Lift the restriction of a project to certain models."""


class AdminProjectsHostedToolPermissions(Resource[C]):
    """Which hosted tools a project may use."""

    with_raw_response: AdminProjectsHostedToolPermissions[Raw[C]]
    with_streaming_response: AdminProjectsHostedToolPermissions[Streamed[C]]

    @GET("/organization/projects/{project_id}/hosted_tool_permissions")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> ProjectHostedToolPermissions:
        """Fetch which hosted tools a project may use."""

    @POST("/organization/projects/{project_id}/hosted_tool_permissions")
    def update(
        self, project_id: str, *, code_interpreter: Optional[JSONObjectParam] = omit,
        file_search: Optional[JSONObjectParam] = omit,
        image_generation: Optional[JSONObjectParam] = omit, mcp: Optional[JSONObjectParam] = omit,
        web_search: Optional[JSONObjectParam] = omit, **options: Unpack[Options]
    ) -> ProjectHostedToolPermissions:
        """Allow or forbid a project hosted tools; what is left out stays as it is."""


class AdminProjectsServiceTierSettings(Resource[C]):
    """Which service tiers a project may use."""

    with_raw_response: AdminProjectsServiceTierSettings[Raw[C]]
    with_streaming_response: AdminProjectsServiceTierSettings[Streamed[C]]

    @GET("/organization/projects/{project_id}/service_tier_settings")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> ProjectServiceTierSettings:
        """Fetch which service tiers a project may use, and its default."""

    @POST("/organization/projects/{project_id}/service_tier_settings")
    def update(
        self, project_id: str, *, default: Literal["standard", "fast", "scale"] = omit,
        enabled_tiers: Union[Literal["all"], List[Literal["flex", "fast", "ultrafast"]]] = omit,
        **options: Unpack[Options]
    ) -> ProjectServiceTierSettings:
        """Change the service tiers of a project; what is left out stays as it is."""


class AdminProjectsUsers(Resource[C]):
    """The members of a project."""

    roles: AdminProjectsUsersRoles[C]
    with_raw_response: AdminProjectsUsers[Raw[C]]
    with_streaming_response: AdminProjectsUsers[Streamed[C]]

    @POST("/organization/projects/{project_id}/users")
    def create(
        self, project_id: str, *, role: str, email: Optional[str] = omit,
        user_id: Optional[str] = omit, **options: Unpack[Options]
    ) -> ProjectUser:
        """Add a member of the organization to a project."""

    @GET("/organization/projects/{project_id}/users/{user_id}")
    def retrieve(self, user_id: str, *, project_id: str, **options: Unpack[Options]) -> ProjectUser:
        """Fetch one member of a project."""

    @POST("/organization/projects/{project_id}/users/{user_id}")
    def update(
        self, user_id: str, *, project_id: str, role: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> ProjectUser:
        """Change the role of a member of a project."""

    @GET("/organization/projects/{project_id}/users")
    def list(
        self, project_id: str, *, after: str = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncConversationCursorPage[ProjectUser]:
        """List the members of a project."""

    @DELETE("/organization/projects/{project_id}/users/{user_id}")
    def delete(self, user_id: str, *, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Remove a member from a project.  They stay in the organization."""


class AdminProjectsUsersRoles(Resource[C]):
    """The roles of a member in a project."""

    with_raw_response: AdminProjectsUsersRoles[Raw[C]]
    with_streaming_response: AdminProjectsUsersRoles[Streamed[C]]

    @POST("/projects/{project_id}/users/{user_id}/roles")
    def create(
        self, user_id: str, *, project_id: str, role_id: str, **options: Unpack[Options]
    ) -> RoleAssignment:
        """Give a member of a project a role in it."""

    @GET("/projects/{project_id}/users/{user_id}/roles/{role_id}")
    def retrieve(
        self, role_id: str, *, project_id: str, user_id: str, **options: Unpack[Options]
    ) -> AssignedRole:
        """Fetch one role that a member has in a project."""

    @GET("/projects/{project_id}/users/{user_id}/roles")
    def list(
        self, user_id: str, *, project_id: str, **params: Unpack[ListParams]
    ) -> SyncNextCursorPage[AssignedRole]:
        """List the roles that a member has in a project."""

    @DELETE("/projects/{project_id}/users/{user_id}/roles/{role_id}")
    def delete(
        self, role_id: str, *, project_id: str, user_id: str, **options: Unpack[Options]
    ) -> Deleted:
        """Take a role in a project from a member."""


class AdminProjectsGroups(Resource[C]):
    """The groups that may work in a project."""

    roles: AdminProjectsGroupsRoles[C]
    with_raw_response: AdminProjectsGroups[Raw[C]]
    with_streaming_response: AdminProjectsGroups[Streamed[C]]

    @POST("/organization/projects/{project_id}/groups")
    def create(
        self, project_id: str, *, group_id: str, role: str, **options: Unpack[Options]
    ) -> ProjectGroup:
        """Let a group work in a project."""

    @GET("/organization/projects/{project_id}/groups/{group_id}")
    def retrieve(
        self, group_id: str, *, project_id: str,
        group_type: Literal["group", "tenant_group"] = omit, **options: Unpack[Options]
    ) -> ProjectGroup:
        """Fetch one group that may work in a project."""

    @GET("/organization/projects/{project_id}/groups")
    def list(
        self, project_id: str, **params: Unpack[ListParams]
    ) -> SyncNextCursorPage[ProjectGroup]:
        """List the groups that may work in a project."""

    @DELETE("/organization/projects/{project_id}/groups/{group_id}")
    def delete(self, group_id: str, *, project_id: str, **options: Unpack[Options]) -> Deleted:
        """No longer let a group work in a project."""


class AdminProjectsGroupsRoles(Resource[C]):
    """The roles of a group in a project."""

    with_raw_response: AdminProjectsGroupsRoles[Raw[C]]
    with_streaming_response: AdminProjectsGroupsRoles[Streamed[C]]

    @POST("/projects/{project_id}/groups/{group_id}/roles")
    def create(
        self, group_id: str, *, project_id: str, role_id: str, **options: Unpack[Options]
    ) -> RoleAssignment:
        """Give a group a role in a project."""

    @GET("/projects/{project_id}/groups/{group_id}/roles/{role_id}")
    def retrieve(
        self, role_id: str, *, project_id: str, group_id: str, **options: Unpack[Options]
    ) -> AssignedRole:
        """Fetch one role that a group has in a project."""

    @GET("/projects/{project_id}/groups/{group_id}/roles")
    def list(
        self, group_id: str, *, project_id: str, **params: Unpack[ListParams]
    ) -> SyncNextCursorPage[AssignedRole]:
        """List the roles that a group has in a project."""

    @DELETE("/projects/{project_id}/groups/{group_id}/roles/{role_id}")
    def delete(
        self, role_id: str, *, project_id: str, group_id: str, **options: Unpack[Options]
    ) -> Deleted:
        """Take a role in a project from a group."""


class AdminProjectsRoles(Resource[C]):
    """The roles of a project."""

    with_raw_response: AdminProjectsRoles[Raw[C]]
    with_streaming_response: AdminProjectsRoles[Streamed[C]]

    @POST("/projects/{project_id}/roles")
    def create(
        self, project_id: str, *, permissions: List[str], role_name: str,
        description: Optional[str] = omit, **options: Unpack[Options]
    ) -> Role:
        """Define a role of a project: a name for a list of permissions."""

    @GET("/projects/{project_id}/roles/{role_id}")
    def retrieve(self, role_id: str, *, project_id: str, **options: Unpack[Options]) -> Role:
        """Fetch a role of a project."""

    @POST("/projects/{project_id}/roles/{role_id}")
    def update(
        self, role_id: str, *, project_id: str, description: Optional[str] = omit,
        permissions: Optional[List[str]] = omit, role_name: Optional[str] = omit,
        **options: Unpack[Options]
    ) -> Role:
        """Change the name, the description or the permissions of a role."""

    @GET("/projects/{project_id}/roles")
    def list(self, project_id: str, **params: Unpack[ListParams]) -> SyncNextCursorPage[Role]:
        """List the roles of a project."""

    @DELETE("/projects/{project_id}/roles/{role_id}")
    def delete(self, role_id: str, *, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a role that was defined for a project."""


class AdminServiceAccounts(Resource[C]):
    """The accounts of programs in a project."""

    api_keys: AdminServiceAccountKeys[C]
    with_raw_response: AdminServiceAccounts[Raw[C]]
    with_streaming_response: AdminServiceAccounts[Streamed[C]]

    @POST("/organization/projects/{project_id}/service_accounts")
    def create(
        self, project_id: str, *, name: str, create_service_account_only: Optional[bool] = omit,
        expires_in_seconds: Optional[int] = omit, **options: Unpack[Options]
    ) -> ServiceAccountCreated:
        """Make an account for a program rather than a person.

        It comes with a key: keep `api_key.value`, which nothing returns again.  There is none
        with `create_service_account_only=True`.
        """

    @GET("/organization/projects/{project_id}/service_accounts/{service_account_id}")
    def retrieve(
        self, service_account_id: str, *, project_id: str, **options: Unpack[Options]
    ) -> ProjectServiceAccount:
        """Fetch a service account."""

    @POST("/organization/projects/{project_id}/service_accounts/{service_account_id}")
    def update(
        self, service_account_id: str, *, project_id: str, name: str = omit,
        role: Literal["member", "owner"] = omit, **options: Unpack[Options]
    ) -> ProjectServiceAccount:
        """Change the name or the role of a service account."""

    @GET("/organization/projects/{project_id}/service_accounts")
    def list(
        self, project_id: str, *, after: str = omit, limit: int = omit, **options: Unpack[Options]
    ) -> SyncConversationCursorPage[ProjectServiceAccount]:
        """List the service accounts of a project."""

    @DELETE("/organization/projects/{project_id}/service_accounts/{service_account_id}")
    def delete(
        self, service_account_id: str, *, project_id: str, **options: Unpack[Options]
    ) -> Deleted:
        """Delete a service account."""


class AdminServiceAccountKeys(Resource[C]):
    """The API keys of a service account."""

    with_raw_response: AdminServiceAccountKeys[Raw[C]]
    with_streaming_response: AdminServiceAccountKeys[Streamed[C]]

    @POST("/organization/projects/{project_id}/service_accounts/{service_account_id}/api_keys")
    def create(
        self, service_account_id: str, *, project_id: str, expires_in_seconds: Optional[int] = omit,
        name: str = omit, scopes: List[str] = omit, **options: Unpack[Options]
    ) -> ServiceAccountKey:
        """Make a key for a service account.  Keep `value`: nothing returns it again."""


class AdminProjectsAPIKeys(Resource[C]):
    """The API keys of a project."""

    with_raw_response: AdminProjectsAPIKeys[Raw[C]]
    with_streaming_response: AdminProjectsAPIKeys[Streamed[C]]

    @GET("/organization/projects/{project_id}/api_keys/{api_key_id}")
    def retrieve(
        self, api_key_id: str, *, project_id: str, **options: Unpack[Options]
    ) -> ProjectAPIKey:
        """Fetch what is known about a key of a project, not the key itself."""

    @POST("/organization/projects/{project_id}/api_keys/{api_key_id}")
    def update(
        self, api_key_id: str, *, project_id: str, expires_in_seconds: int = omit,
        scopes: List[str] = omit, **options: Unpack[Options]
    ) -> ProjectAPIKey:
        """Change the scopes of a key, or when it expires, in seconds from now."""

    @GET("/organization/projects/{project_id}/api_keys")
    def list(
        self, project_id: str, *, after: str = omit, limit: int = omit,
        owner_project_access: Literal["active", "inactive", "any"] = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[ProjectAPIKey]:
        """List the keys of a project."""

    @DELETE("/organization/projects/{project_id}/api_keys/{api_key_id}")
    def delete(self, api_key_id: str, *, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a key of a project; it is refused from now on."""


class AdminProjectsRateLimits(Resource[C]):
    """The rate limits of a project."""

    with_raw_response: AdminProjectsRateLimits[Raw[C]]
    with_streaming_response: AdminProjectsRateLimits[Streamed[C]]

    @GET("/organization/projects/{project_id}/rate_limits")
    def list_rate_limits(
        self, project_id: str, *, after: str = omit, before: str = omit, limit: int = omit,
        **options: Unpack[Options]
    ) -> SyncConversationCursorPage[ProjectRateLimit]:
        """List the limits of a project, one per model."""

    @POST("/organization/projects/{project_id}/rate_limits/{rate_limit_id}")
    def update_rate_limit(
        self, rate_limit_id: str, *, project_id: str, batch_1_day_max_input_tokens: int = omit,
        max_audio_megabytes_per_1_minute: int = omit, max_images_per_1_minute: int = omit,
        max_requests_per_1_day: int = omit, max_requests_per_1_minute: int = omit,
        max_tokens_per_1_minute: int = omit, **options: Unpack[Options]
    ) -> ProjectRateLimit:
        """Change the limits of a project for one model."""


class Project(BaseModel):
    id: str
    created_at: int
    object: str
    archived_at: Optional[int] = None
    external_key_id: Optional[str] = None
    name: Optional[str] = None
    residency: Optional[str] = None
    status: Optional[str] = None


class ProjectModelPermissions(BaseModel):
    mode: Literal["allow_list", "deny_list"]
    api_model_ids: List[str]
    object: str


class ProjectHostedToolPermissions(BaseModel):
    code_interpreter: OpenObject
    file_search: OpenObject
    image_generation: OpenObject
    mcp: OpenObject
    web_search: OpenObject


class ProjectServiceTierSettings(BaseModel):
    default: Literal["standard", "fast", "scale"]
    enabled_tiers: Union[Literal["all"], List[Literal["flex", "fast", "ultrafast"]]]
    object: str


class ProjectUser(BaseModel):
    id: str
    added_at: int
    object: str
    role: str
    email: Optional[str] = None
    name: Optional[str] = None


class ProjectGroup(BaseModel):
    created_at: int
    group_id: str
    group_name: str
    group_type: Literal["group", "tenant_group"]
    object: str
    project_id: str


class ServiceAccountCreated(BaseModel):
    id: str
    created_at: int
    name: str
    object: str
    role: Literal["member", "none"]
    api_key: Optional[ServiceAccountKey] = None


class ProjectServiceAccount(BaseModel):
    id: str
    created_at: int
    name: str
    object: str
    role: Literal["owner", "member", "none"]


class ServiceAccountKey(BaseModel):
    id: str
    created_at: int
    name: str
    object: str
    value: str
    expires_at: Optional[int] = None


class ProjectAPIKey(BaseModel):
    id: str
    created_at: int
    name: str
    object: str
    owner: OpenObject
    owner_project_access: Literal["active", "inactive"]
    redacted_value: str
    last_used_at: Optional[int] = None
    expires_at: Optional[int] = None


class ProjectRateLimit(BaseModel):
    id: str
    max_requests_per_1_minute: int
    max_tokens_per_1_minute: int
    model: str
    object: str
    batch_1_day_max_input_tokens: Optional[int] = None
    max_audio_megabytes_per_1_minute: Optional[int] = None
    max_images_per_1_minute: Optional[int] = None
    max_requests_per_1_day: Optional[int] = None


# ---- 8.45 Administration: security ---- https://platform.openai.com/docs/api-reference/audit-logs


class AdminCertificates(Resource[C]):
    """The certificates with which your clients prove themselves (mutual TLS)."""

    with_raw_response: AdminCertificates[Raw[C]]
    with_streaming_response: AdminCertificates[Streamed[C]]

    @POST("/organization/certificates")
    def create(
        self, *, certificate: str, name: str = omit, **options: Unpack[Options]
    ) -> Certificate:
        """Upload a certificate in PEM format.  It has no effect before activate()."""

    @GET("/organization/certificates/{certificate_id}")
    def retrieve(
        self, certificate_id: str, *, include: List[Literal["content"]] = omit,
        **options: Unpack[Options]
    ) -> Certificate:
        """Fetch a certificate; with `include=["content"]` the PEM text, too."""

    @POST("/organization/certificates/{certificate_id}")
    def update(
        self, certificate_id: str, *, name: str = omit, **options: Unpack[Options]
    ) -> Certificate:
        """Rename a certificate."""

    @GET("/organization/certificates")
    def list(self, **params: Unpack[ListParams]) -> SyncConversationCursorPage[Certificate]:
        """List the certificates of the organization."""

    @DELETE("/organization/certificates/{certificate_id}")
    def delete(self, certificate_id: str, **options: Unpack[Options]) -> CertificateDeleted:
        """Delete a certificate, which must be switched off everywhere."""

    @POST("/organization/certificates/activate")
    def activate(
        self, *, certificate_ids: List[str], **options: Unpack[Options]
    ) -> SyncPage[Certificate]:
        """Switch up to ten certificates on for the organization, all or none of them."""

    @POST("/organization/certificates/deactivate")
    def deactivate(
        self, *, certificate_ids: List[str], **options: Unpack[Options]
    ) -> SyncPage[Certificate]:
        """Switch up to ten certificates off for the organization, all or none of them."""


class AdminProjectsCertificates(Resource[C]):
    """The certificates of a project."""

    with_raw_response: AdminProjectsCertificates[Raw[C]]
    with_streaming_response: AdminProjectsCertificates[Streamed[C]]

    @GET("/organization/projects/{project_id}/certificates")
    def list(
        self, project_id: str, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[Certificate]:
        """List the certificates of a project."""

    @POST("/organization/projects/{project_id}/certificates/activate")
    def activate(
        self, project_id: str, *, certificate_ids: List[str], **options: Unpack[Options]
    ) -> SyncPage[Certificate]:
        """Switch up to ten certificates on for a project, all or none of them."""

    @POST("/organization/projects/{project_id}/certificates/deactivate")
    def deactivate(
        self, project_id: str, *, certificate_ids: List[str], **options: Unpack[Options]
    ) -> SyncPage[Certificate]:
        """Switch up to ten certificates off for a project, all or none of them."""


class AdminAuditLogs(Resource[C]):
    """Who changed what."""

    with_raw_response: AdminAuditLogs[Raw[C]]
    with_streaming_response: AdminAuditLogs[Streamed[C]]

    @GET("/organization/audit_logs")
    def list(
        self, *, actor_emails: List[str] = omit, actor_ids: List[str] = omit, after: str = omit,
        before: str = omit, effective_at: JSONObjectParam = omit, event_types: List[str] = omit,
        limit: int = omit, project_ids: List[str] = omit, resource_ids: List[str] = omit,
        tenant_only: bool = omit, **options: Unpack[Options]
    ) -> SyncConversationCursorPage[AuditLog]:
        """List what members and keys changed in the organization."""


class AdminDataRetention(Resource[C]):
    """What is kept of the requests of the organization."""

    with_raw_response: AdminDataRetention[Raw[C]]
    with_streaming_response: AdminDataRetention[Streamed[C]]

    @GET("/organization/data_retention")
    def retrieve(self, **options: Unpack[Options]) -> DataRetention:
        """Fetch what is kept of the requests of the organization."""

    @POST("/organization/data_retention")
    def update(
        self, *,
        retention_type: Literal[
            "zero_data_retention", "modified_abuse_monitoring", "enhanced_zero_data_retention",
            "enhanced_modified_abuse_monitoring",
        ],
        **options: Unpack[Options]
    ) -> DataRetention:
        """Choose what is kept of the requests of the organization."""


class AdminProjectsDataRetention(Resource[C]):
    """What is kept of the requests of a project."""

    with_raw_response: AdminProjectsDataRetention[Raw[C]]
    with_streaming_response: AdminProjectsDataRetention[Streamed[C]]

    @GET("/organization/projects/{project_id}/data_retention")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> DataRetention:
        """Fetch what is kept of the requests of a project."""

    @POST("/organization/projects/{project_id}/data_retention")
    def update(
        self, project_id: str, *,
        retention_type: Literal[
            "organization_default", "none", "zero_data_retention", "modified_abuse_monitoring",
            "enhanced_zero_data_retention", "enhanced_modified_abuse_monitoring",
        ],
        **options: Unpack[Options]
    ) -> DataRetention:
        """Choose what is kept of the requests of a project."""


class AdminExternalKeys(Resource[C]):
    """Encryption keys in clouds of yours."""

    with_raw_response: AdminExternalKeys[Raw[C]]
    with_streaming_response: AdminExternalKeys[Streamed[C]]

    @POST("/organization/external_keys")
    def create(
        self, *, external_id: str = omit, kms_arn: str = omit, name: str, role_arn: str = omit,
        type: Literal["aws", "gcp", "azure", "oci"],
        purpose: Literal["ekm", "psp_decryption"] = omit, audience: str = omit,
        kms_key_location: str = omit, kms_key_name: str = omit, kms_key_ring_name: str = omit,
        kms_project_id: str = omit, workload_identity_pool_id: str = omit,
        workload_identity_project_number: str = omit, workload_identity_provider_id: str = omit,
        kms_key_version: str = omit, key_name: str = omit, tenant_id: str = omit,
        vault_uri: str = omit, key_version: str = omit, key_ocid: str = omit, region: str = omit,
        vault_ocid: str = omit, key_version_ocid: str = omit, **options: Unpack[Options]
    ) -> ExternalKey:
        """Register a key in a cloud of yours, with which OpenAI encrypts your data."""

    @GET("/organization/external_keys/{external_key_id}")
    def retrieve(self, external_key_id: str, **options: Unpack[Options]) -> ExternalKey:
        """Fetch how a key in your cloud is registered, not the key itself."""

    @GET("/organization/external_keys")
    def list(
        self, *, purpose: Literal["ekm", "psp_decryption"] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[ExternalKey]:
        """List the keys in clouds of yours that are registered."""

    @DELETE("/organization/external_keys/{external_key_id}")
    def delete(self, external_key_id: str, **options: Unpack[Options]) -> ExternalKey:
        """Unregister a key; it stays in your cloud."""

    @POST("/organization/external_keys/{external_key_id}/validate")
    def validate(self, external_key_id: str, **options: Unpack[Options]) -> ExternalKeyStatus:
        """Check that a key in your cloud can be used; returns its `status`."""


class AdminExternalStorage(Resource[C]):
    """Storage in clouds of yours."""

    with_raw_response: AdminExternalStorage[Raw[C]]
    with_streaming_response: AdminExternalStorage[Streamed[C]]

    @POST("/organization/external_storage")
    def create(
        self, *, project_id: str, provider: JSONObjectParam, **options: Unpack[Options]
    ) -> ExternalStorage:
        """Register storage in a cloud of yours, in which a project keeps its data."""

    @GET("/organization/external_storage/{external_storage_id}")
    def retrieve(self, external_storage_id: str, **options: Unpack[Options]) -> ExternalStorage:
        """Fetch how storage in your cloud is registered, and whether it works."""

    @GET("/organization/external_storage")
    def list(
        self, *, project_id: Optional[str] = omit, **params: Unpack[ListParams]
    ) -> SyncCursorPage[ExternalStorage]:
        """List the storage in clouds of yours that is registered."""

    @DELETE("/organization/external_storage/{external_storage_id}")
    def delete(self, external_storage_id: str, **options: Unpack[Options]) -> Deleted:
        """Unregister storage; what is in your cloud stays."""

    @POST("/organization/external_storage/{external_storage_id}/validate")
    def validate(self, external_storage_id: str, **options: Unpack[Options]) -> ExternalStorage:
        """Check that storage in your cloud can be used; returns it with its `status`."""


class AdminWorkloadIdentities(Resource[C]):
    """Whose tokens programs may use in place of keys."""

    federation_rules: AdminFederationRules[C]
    with_raw_response: AdminWorkloadIdentities[Raw[C]]
    with_streaming_response: AdminWorkloadIdentities[Streamed[C]]

    @POST("/organization/workload_identity_providers")
    def create(
        self, *, audience: str, issuer: str, name: str, type: Literal["oidc"],
        attribute_transformations: Iterable[JSONObjectParam] = omit, description: str = omit,
        enabled: bool = omit, verification: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> WorkloadIdentityProvider:
        """Register an OIDC provider, whose tokens programs then use in place of keys."""

    @GET("/organization/workload_identity_providers/{workload_identity_provider_id}")
    def retrieve(
        self, workload_identity_provider_id: str, **options: Unpack[Options]
    ) -> WorkloadIdentityProvider:
        """Fetch an OIDC provider."""

    @POST("/organization/workload_identity_providers/{workload_identity_provider_id}")
    def update(
        self, workload_identity_provider_id: str, *,
        attribute_transformations: Iterable[JSONObjectParam] = omit, audience: str = omit,
        description: Optional[str] = omit, enabled: bool = omit, issuer: str = omit,
        name: str = omit, verification: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> WorkloadIdentityProvider:
        """Change an OIDC provider; what is left out stays as it is."""

    @GET("/organization/workload_identity_providers")
    def list(self, **params: Unpack[ListParams]) -> SyncCursorPage[WorkloadIdentityProvider]:
        """List the OIDC providers of the organization."""

    @DELETE("/organization/workload_identity_providers/{workload_identity_provider_id}")
    def delete(self, workload_identity_provider_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete an OIDC provider.  Its rules have to be deleted first."""


class AdminFederationRules(Resource[C]):
    """Which tokens act as which account."""

    with_raw_response: AdminFederationRules[Raw[C]]
    with_streaming_response: AdminFederationRules[Streamed[C]]

    @POST(
        "/organization/workload_identity_providers/{workload_identity_provider_id}"
        "/federation_rules"
    )
    def create(
        self, workload_identity_provider_id: str, *,
        attribute_matchers: Mapping[str, Union[str, bool, int, float]], project_id: str,
        service_account_id: str, description: str = omit, enabled: bool = omit, name: str = omit,
        permissions: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> FederationRule:
        """Say which tokens of a provider act as a service account."""

    @GET(
        "/organization/workload_identity_providers/{workload_identity_provider_id}"
        "/federation_rules/{workload_identity_federation_rule_id}"
    )
    def retrieve(
        self, workload_identity_federation_rule_id: str, *, workload_identity_provider_id: str,
        **options: Unpack[Options]
    ) -> FederationRule:
        """Fetch a rule."""

    @POST(
        "/organization/workload_identity_providers/{workload_identity_provider_id}"
        "/federation_rules/{workload_identity_federation_rule_id}"
    )
    def update(
        self, workload_identity_federation_rule_id: str, *, workload_identity_provider_id: str,
        attribute_matchers: Mapping[str, Union[str, bool, int, float]] = omit,
        description: Optional[str] = omit, enabled: bool = omit, name: Optional[str] = omit,
        permissions: JSONObjectParam = omit, **options: Unpack[Options]
    ) -> FederationRule:
        """Change a rule; what is left out stays as it is."""

    @GET(
        "/organization/workload_identity_providers/{workload_identity_provider_id}"
        "/federation_rules"
    )
    def list(
        self, workload_identity_provider_id: str, *, service_account_id: str = omit,
        **params: Unpack[ListParams]
    ) -> SyncCursorPage[FederationRule]:
        """List the rules of a provider."""

    @DELETE(
        "/organization/workload_identity_providers/{workload_identity_provider_id}"
        "/federation_rules/{workload_identity_federation_rule_id}"
    )
    def delete(
        self, workload_identity_federation_rule_id: str, *, workload_identity_provider_id: str,
        **options: Unpack[Options]
    ) -> Deleted:
        """Delete a rule."""


class Certificate(BaseModel):
    id: str
    certificate_details: OpenObject
    created_at: int
    object: str
    name: Optional[str] = None
    active: Optional[bool] = None


class CertificateDeleted(BaseModel):
    id: str
    object: str


class AuditLog(BaseModel):
    """What somebody did, when: the details of "project.created" are in `project_created`."""

    id: str
    effective_at: int
    type: str
    actor: OpenObject = None
    project: OpenObject = None

    def __getattr__(self, name: str) -> Any:
        for key, details in self.__dict__.items():
            if key.replace(".", "_") == name:
                return decode(OpenObject, details)
        if name[:1] == "_":
            raise AttributeError(name)
        return None  # the details of another type


class DataRetention(BaseModel):
    object: str
    type: str


class ExternalKey(BaseModel):
    id: str
    api_project_ids: List[str]
    created_at: int
    name: str
    object: str
    type: str
    workspace_id: str
    audience: Optional[str] = None
    external_id: Optional[str] = None
    key_name: Optional[str] = None
    key_ocid: Optional[str] = None
    key_version: Optional[str] = None
    key_version_ocid: Optional[str] = None
    kms_arn: Optional[str] = None
    kms_key_location: Optional[str] = None
    kms_key_name: Optional[str] = None
    kms_key_ring_name: Optional[str] = None
    kms_key_version: Optional[str] = None
    kms_project_id: Optional[str] = None
    purpose: Optional[Literal["ekm", "psp_decryption"]] = None
    region: Optional[str] = None
    role_arn: Optional[str] = None
    tenant_id: Optional[str] = None
    vault_ocid: Optional[str] = None
    vault_uri: Optional[str] = None
    workload_identity_pool_id: Optional[str] = None
    workload_identity_project_number: Optional[str] = None
    workload_identity_provider_id: Optional[str] = None


class ExternalKeyStatus(BaseModel):
    status: str


class ExternalStorage(BaseModel):
    id: str
    created_at: int
    geography: str
    object: str
    project_id: str
    provider: OpenObject
    status: Literal["pending", "validated", "degraded", "unhealthy"]


class WorkloadIdentityProvider(BaseModel):
    id: str
    attribute_transformations: List[OpenObject]
    audience: str
    created_at: int
    enabled: bool
    issuer: str
    name: str
    object: str
    type: Literal["oidc"]
    updated_at: int
    verification: OpenObject
    description: Optional[str] = None


class FederationRule(BaseModel):
    id: str
    attribute_matchers: Dict[str, Any]
    created_at: int
    enabled: bool
    object: str
    permissions: OpenObject
    project_id: str
    service_account_id: str
    updated_at: int
    workload_identity_provider_id: str
    description: Optional[str] = None
    name: Optional[str] = None


# ---- 8.46 Usage and costs ---- https://platform.openai.com/docs/api-reference/usage


UsageGroup = Literal["project_id", "user_id", "api_key_id", "model"]
UsageWidth = Literal["1m", "1h", "1d"]

CompletionUsageGroup = Literal[
    "project_id", "user_id", "api_key_id", "model", "batch", "service_tier", "api_source"
]


class AdminUsage(Resource[C]):
    """What was used, and what it cost."""

    with_raw_response: AdminUsage[Raw[C]]
    with_streaming_response: AdminUsage[Streamed[C]]

    @GET("/organization/usage/audio_speeches")
    def audio_speeches(
        self, *, group_by: List[UsageGroup] = omit, **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report how many characters were read aloud, as completions() does."""

    @GET("/organization/usage/audio_transcriptions")
    def audio_transcriptions(
        self, *, group_by: List[UsageGroup] = omit, **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report how many seconds were transcribed, as completions() does."""

    @GET("/organization/usage/code_interpreter_sessions")
    def code_interpreter_sessions(
        self, *, group_by: List[Literal["project_id"]] = omit, **params: Unpack[UsageParams]
    ) -> UsageResponse:
        """Report how many times code interpreters were started, as completions() does."""

    @GET("/organization/usage/completions")
    def completions(
        self, *, batch: bool = omit, group_by: List[CompletionUsageGroup] = omit,
        **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report the tokens that were spent on text, per span of time.

        `start_time` and `end_time` are Unix times in seconds, spans are days unless
        `bucket_width` says otherwise.  Returns a part: give `next_page` as `page` for the next.
        """

    @GET("/organization/costs")
    def costs(
        self, *, start_time: int, api_key_ids: List[str] = omit, bucket_width: Literal["1d"] = omit,
        end_time: int = omit,
        group_by: List[
            Literal["project_id", "user_id", "line_item", "api_key_id", "api_source"]
        ] = omit,
        limit: int = omit, line_items: List[str] = omit, page: str = omit,
        project_ids: List[str] = omit, **options: Unpack[Options]
    ) -> UsageResponse:
        """Report what was spent, in money and per day, as completions() does."""

    @GET("/organization/usage/decisions")
    def decisions(
        self, *, batch: Optional[bool] = omit,
        group_by: Optional[List[CompletionUsageGroup]] = omit, **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report what was spent on decisions, as completions() does."""

    @GET("/organization/usage/embeddings")
    def embeddings(
        self, *, group_by: List[UsageGroup] = omit, **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report the tokens that were spent on embeddings, as completions() does."""

    @GET("/organization/usage/file_search_calls")
    def file_search_calls(
        self, *, api_key_ids: List[str] = omit,
        group_by: List[Literal["project_id", "user_id", "api_key_id", "vector_store_id"]] = omit,
        user_ids: List[str] = omit, vector_store_ids: List[str] = omit,
        **params: Unpack[UsageParams]
    ) -> UsageResponse:
        """Report how many times files were searched, as completions() does."""

    @GET("/organization/usage/images")
    def images(
        self, *,
        group_by: List[
            Literal["project_id", "user_id", "api_key_id", "model", "size", "source"]
        ] = omit,
        sizes: List[Literal["256x256", "512x512", "1024x1024", "1792x1792", "1024x1792"]] = omit,
        sources: List[Literal["image.generation", "image.edit", "image.variation"]] = omit,
        **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report how many images were made, as completions() does."""

    @GET("/organization/usage/moderations")
    def moderations(
        self, *, group_by: List[UsageGroup] = omit, **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report the tokens that were spent on moderations, as completions() does."""

    @GET("/organization/usage/vector_stores")
    def vector_stores(
        self, *, group_by: List[Literal["project_id"]] = omit, **params: Unpack[UsageParams]
    ) -> UsageResponse:
        """Report how many bytes vector stores held, as completions() does."""

    @GET("/organization/usage/web_search_calls")
    def web_search_calls(
        self, *, context_levels: List[Literal["low", "medium", "high"]] = omit,
        group_by: List[
            Literal["project_id", "user_id", "api_key_id", "model", "context_level", "api_source"]
        ] = omit,
        **params: Unpack[ModelUsageParams]
    ) -> UsageResponse:
        """Report how many times the web was searched, as completions() does."""


class AdminSpendAlerts(Resource[C]):
    """Who is told when the organization spends much."""

    with_raw_response: AdminSpendAlerts[Raw[C]]
    with_streaming_response: AdminSpendAlerts[Streamed[C]]

    @POST("/organization/spend_alerts")
    def create(
        self, *, notification_channel: JSONObjectParam, **params: Unpack[SpendParams]
    ) -> SpendAlert:
        """Have a mail sent when `threshold_amount` cents are spent in a month."""

    @GET("/organization/spend_alerts/{alert_id}")
    def retrieve(self, alert_id: str, **options: Unpack[Options]) -> SpendAlert:
        """Fetch a spend alert of the organization."""

    @POST("/organization/spend_alerts/{alert_id}")
    def update(
        self, alert_id: str, *, notification_channel: JSONObjectParam, **params: Unpack[SpendParams]
    ) -> SpendAlert:
        """Replace a spend alert of the organization."""

    @GET("/organization/spend_alerts")
    def list(
        self, *, before: str = omit, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[SpendAlert]:
        """List the spend alerts of the organization."""

    @DELETE("/organization/spend_alerts/{alert_id}")
    def delete(self, alert_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a spend alert of the organization."""


class AdminSpendLimit(Resource[C]):
    """How much the organization may spend."""

    with_raw_response: AdminSpendLimit[Raw[C]]
    with_streaming_response: AdminSpendLimit[Streamed[C]]

    @GET("/organization/spend_limit")
    def retrieve(self, **options: Unpack[Options]) -> SpendLimit:
        """Fetch how much the organization may spend in a month, in cents."""

    @POST("/organization/spend_limit")
    def update(self, **params: Unpack[SpendParams]) -> SpendLimit:
        """Let the organization spend no more than `threshold_amount` cents in a month."""

    @DELETE("/organization/spend_limit")
    def delete(self, **options: Unpack[Options]) -> Deleted:
        """Lift the spend limit of the organization."""


class AdminProjectsSpendAlerts(Resource[C]):
    """Who is told when a project spends much."""

    with_raw_response: AdminProjectsSpendAlerts[Raw[C]]
    with_streaming_response: AdminProjectsSpendAlerts[Streamed[C]]

    @POST("/organization/projects/{project_id}/spend_alerts")
    def create(
        self, project_id: str, *, notification_channel: JSONObjectParam,
        **params: Unpack[SpendParams]
    ) -> SpendAlert:
        """Have a mail sent when a project has spent `threshold_amount` cents in a month."""

    @GET("/organization/projects/{project_id}/spend_alerts/{alert_id}")
    def retrieve(self, alert_id: str, *, project_id: str, **options: Unpack[Options]) -> SpendAlert:
        """Fetch a spend alert of a project."""

    @POST("/organization/projects/{project_id}/spend_alerts/{alert_id}")
    def update(
        self, alert_id: str, *, project_id: str, notification_channel: JSONObjectParam,
        **params: Unpack[SpendParams]
    ) -> SpendAlert:
        """Replace a spend alert of a project."""

    @GET("/organization/projects/{project_id}/spend_alerts")
    def list(
        self, project_id: str, *, before: str = omit, **params: Unpack[ListParams]
    ) -> SyncConversationCursorPage[SpendAlert]:
        """List the spend alerts of a project."""

    @DELETE("/organization/projects/{project_id}/spend_alerts/{alert_id}")
    def delete(self, alert_id: str, *, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Delete a spend alert of a project."""


class AdminProjectsSpendLimit(Resource[C]):
    """How much a project may spend."""

    with_raw_response: AdminProjectsSpendLimit[Raw[C]]
    with_streaming_response: AdminProjectsSpendLimit[Streamed[C]]

    @GET("/organization/projects/{project_id}/spend_limit")
    def retrieve(self, project_id: str, **options: Unpack[Options]) -> SpendLimit:
        """Fetch how much a project may spend in a month, in cents."""

    @POST("/organization/projects/{project_id}/spend_limit")
    def update(self, project_id: str, **params: Unpack[SpendParams]) -> SpendLimit:
        """Let a project spend no more than `threshold_amount` cents in a month."""

    @DELETE("/organization/projects/{project_id}/spend_limit")
    def delete(self, project_id: str, **options: Unpack[Options]) -> Deleted:
        """Lift the spend limit of a project."""


class UsageResponse(BaseModel):
    """One page of buckets; `next_page`, as `page`, leads to the next."""

    data: List[UsageBucket]
    has_more: bool
    next_page: Optional[str]
    object: str


class UsageBucket(BaseModel):
    """What was used in a span of time."""

    end_time: int
    object: str
    results: List[OpenObject]
    start_time: int


class SpendAlert(BaseModel):
    id: str
    currency: Literal["USD"]
    interval: Literal["month"]
    notification_channel: OpenObject
    object: str
    threshold_amount: int


class SpendLimit(BaseModel):
    currency: str
    enforcement: OpenObject
    interval: str
    object: str
    threshold_amount: int


class UsageParams(Options, total=False):
    start_time: Required[int]
    bucket_width: Optional[UsageWidth]
    end_time: Optional[int]
    limit: Optional[int]
    page: Optional[str]
    project_ids: Optional[List[str]]


class ModelUsageParams(UsageParams, total=False):
    api_key_ids: Optional[List[str]]
    models: Optional[List[str]]
    user_ids: Optional[List[str]]


class SpendParams(Options, total=False):
    currency: Required[Literal["USD"]]
    interval: Required[Literal["month"]]
    threshold_amount: Required[int]


########################################################################
## 9. Helpers: what takes more than one call, or more than JSON
########################################################################

# ---- 9.1 Structured outputs ---- https://platform.openai.com/docs/guides/structured-outputs
#
# One walk over a type gives a Shape: its JSON schema, and the function that makes the type of such
# JSON, so that whatever can be asked for can also be read.  Pydantic is never imported: its classes
# are known by their methods, and do both themselves.

if TYPE_CHECKING:
    Reader = Callable[[Any, str, bool], Any]  # (JSON value, where it is, nothing but exact types?)
    Shape = Tuple[Dict[str, Any], Reader]
    # key, argument name, annotation, whose annotation, must it be there, description
    Member = Tuple[str, str, Any, Any, bool, Optional[str]]


class Misfit(ValueError):
    """JSON that is not of the type; the message says where and why."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}" if where else why)


def expected(what: str, where: str, value: Any) -> Misfit:
    return Misfit(where, f"expected {what}, got {shorten(repr(value), 100)}")


def read_as(what: str, *classes: Any, make: Optional[Converter] = None) -> Reader:
    """The reader of a scalar, which JSON has as the first class, or else as one of the others."""

    def read(value: Any, where: str, exact: bool) -> Any:
        if value.__class__ in (classes[:1] if exact else classes):
            try:
                return value if make is None else make(value)
            except (ValueError, ArithmeticError):  # Decimal has the latter
                pass
        raise expected(what, where, value)

    return read


def whole(number: float) -> int:
    if number != int(number):
        raise ValueError
    return int(number)


def decimal_of(value: Any) -> Any:
    import decimal

    return decimal.Decimal(str(value))


def uuid_of(text: str) -> Any:
    import uuid

    return uuid.UUID(text)


def moment(kind: str) -> Converter:
    def make(text: str) -> Any:
        import datetime

        # Before Python 3.11 it knew neither "Z" nor fractions of other than 3 or 6 digits.
        text = fraction.sub(lambda found: found.group()[:7].ljust(7, "0"), text.upper())
        return getattr(datetime, kind).fromisoformat(text.replace("Z", "+00:00"))

    return make


fraction = Pattern(r"\.[0-9]+")
ANYTHING: Shape = ({}, lambda value, where, exact: value)
TEXT = {"type": "string"}
SCALARS: Dict[str, Shape] = {
    "builtins.object": ANYTHING,
    "typing.Any": ANYTHING,
    "builtins.str": (TEXT, read_as("a string", str)),
    "builtins.bool": ({"type": "boolean"}, read_as("true or false", bool)),
    "builtins.int": ({"type": "integer"}, read_as("an integer", int, float, make=whole)),
    "builtins.float": ({"type": "number"}, read_as("a number", float, int, make=float)),
    "builtins.NoneType": ({"type": "null"}, read_as("null", NoneType)),
    "datetime.datetime": (
        dict(TEXT, format="date-time"),
        read_as("a date and time such as 2026-01-31T12:30:00Z", str, make=moment("datetime")),
    ),
    "datetime.date": (
        dict(TEXT, format="date"), read_as("a date such as 2026-01-31", str, make=moment("date"))
    ),
    "datetime.time": (
        dict(TEXT, format="time"), read_as("a time such as 12:30:00", str, make=moment("time"))
    ),
    "uuid.UUID": (dict(TEXT, format="uuid"), read_as("a UUID", str, make=uuid_of)),
    "decimal.Decimal": (  # text, for a JSON number would be read as a float, inexactly
        dict(TEXT, pattern=r"^-?[0-9]+(\.[0-9]+)?$"),
        read_as("a decimal number such as '12.50'", str, int, float, make=decimal_of),
    ),
}
ARRAYS: Dict[str, Any] = {  # by the names that form_of() gives them
    "List": list, "Sequence": list, "Mutablesequence": list, "Iterable": list, "Collection": list,
    "Set": set, "Mutableset": set, "Frozenset": frozenset, "Tuple": tuple,
}
MAPPINGS = ("Dict", "Mapping", "Mutablemapping")
INSTEAD = {"bytes": "str, say in base64", "timedelta": "float, in seconds", "Path": "str"}
ROOTS = "a dataclass, a TypedDict, a pydantic model or a BaseModel of this module"


def form_of(kind: Any) -> Tuple[str, Any]:
    """`("List", (int,))` of `List[int]` and `list[int]`, `("List", ())` of `List` and `list`."""
    origin, args = getattr(kind, "__origin__", kind), getattr(kind, "__args__", ())
    named = isinstance(origin, type) and origin.__module__ in ("builtins", "collections.abc")
    if named and all(type(arg).__name__ == "TypeVar" for arg in args):  # so before Python 3.9
        return origin.__name__.title(), ()
    return parts_of(kind)


def evaluated(text: str, module: Optional[str], owner: Any, where: str) -> Any:
    """What an annotation means where `owner`, a class or a function, was written.

    Names local to a function are found only while it runs, which is when its classes are used.
    """
    module = str(module or owner.__module__)
    space = getattr(owner, "__globals__", None) or getattr(sys.modules.get(module), "__dict__", {})
    names = {name: it for name, it in vars(owner).items() if isinstance(it, type)}
    if module == __name__:
        space, names = globals(), TYPES
    outer = [part.rpartition(".")[2] for part in owner.__qualname__.split(".<locals>")[:-1]]
    frame: Any = sys._getframe() if outer else None
    while frame is not None:
        if frame.f_code.co_name in outer and frame.f_globals is space:
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    try:
        return eval(text, space, {owner.__name__: owner, **names})
    except Exception as err:
        raise TypeError(
            f"{where}: the annotation {text!r} means nothing here ({type(err).__name__}: {err}); "
            "define what it names at the top level of the module"
        ) from err


def bare(kind: Any, owner: Any, where: str) -> Tuple[Any, Optional[str], Optional[bool]]:
    """A type without what is wrapped around it, and what that said: description, needed."""
    about: Optional[str] = None
    needed: Optional[bool] = None
    while True:
        form: Tuple[str, Any] = ("", ()) if hasattr(kind, "__metadata__") else form_of(kind)
        if isinstance(kind, str) or hasattr(kind, "__forward_arg__"):
            module = getattr(kind, "__forward_module__", None)
            kind = evaluated(getattr(kind, "__forward_arg__", kind), module, owner, where)
        elif hasattr(kind, "__metadata__"):  # Annotated[T, "what it is"]
            texts = [getattr(extra, "description", extra) for extra in kind.__metadata__]
            about = about or next((text for text in texts if isinstance(text, str)), None)
            kind = kind.__origin__
        elif form[0] in ("Required", "Notrequired", "Readonly", "Final"):
            needed = {"Required": True, "Notrequired": False}.get(form[0], needed)
            kind = form[1][0]
        elif hasattr(kind, "__supertype__"):  # a NewType
            kind = kind.__supertype__
        elif type(kind).__name__ == "TypeAliasType":  # type Names = List[str]
            kind = kind.__value__
        else:
            return kind, about, needed


def pydantic_of(kind: Any) -> Any:
    """What pydantic does for its classes: (make the schema, read JSON text, read a value)."""
    if isinstance(kind, type) and hasattr(kind, "__pydantic_config__"):  # a dataclass of its own
        kind = sys.modules["pydantic"].TypeAdapter(kind)
    for names in (
        ("model_json_schema", "model_validate_json", "model_validate"),  # version 2
        ("json_schema", "validate_json", "validate_python"),  # a TypeAdapter
        ("schema", "parse_raw", "parse_obj"),  # version 1
    ):
        if all(hasattr(kind, name) for name in names):
            return [getattr(kind, name) for name in names]
    return None


def is_root(kind: Any) -> bool:
    """Whether JSON objects of this class can be described and read."""
    marks = ("__dataclass_fields__", "__total__")  # BaseModel has the first, a TypedDict the second
    return isinstance(kind, type) and any(hasattr(kind, mark) for mark in marks)


def docs_of(cls: Any) -> str:
    import inspect

    doc = cls.__dict__.get("__doc__") or ""
    written_by_dataclass = doc.startswith(cls.__name__ + "(") and doc.endswith(")")
    return "" if written_by_dataclass else inspect.cleandoc(doc)


def class_members(cls: Any) -> List[Member]:
    import dataclasses

    hints: Dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        try:
            own = own_annotations(base) if base.__module__ != "builtins" else {}
        except NameError as err:  # Python 3.14 evaluates them only now
            raise TypeError(f"{base.__name__}: an annotation means nothing here ({err})") from err
        hints.update((name, (annotation, base)) for name, annotation in own.items())
    if issubclass(cls, BaseModel):
        names = [name for name in fields_of(cls) if "ClassVar" not in str(hints[name][0])]
        return [(keys_of(cls)[n], n, *hints[n], not hasattr(cls, n), None) for n in names]
    if issubclass(cls, dict):
        needed = getattr(cls, "__required_keys__", hints if getattr(cls, "__total__") else ())
        return [(name, name, *hint, name in needed, None) for name, hint in hints.items()]
    nothing = dataclasses.MISSING
    return [
        (f.name, f.name, *hints.get(f.name, (f.type, cls)),
         f.default is nothing and f.default_factory is nothing, f.metadata.get("description"))
        for f in dataclasses.fields(cls) if f.init
    ]


def described(schema: Dict[str, Any], about: Optional[str]) -> Dict[str, Any]:
    return dict(schema, description=about) if about else schema


def nullable(shape: Shape) -> Shape:
    """The shape of what may be null, which is read as `omit`."""
    schema, read = shape
    null = {"type": "null"}
    if schema and null not in schema.get("anyOf", [schema]):
        schema = {"anyOf": [schema, null]}
    return schema, lambda value, at, exact: omit if value is None else read(value, at, exact)


def choice(pairs: Sequence[Tuple[Any, Any]], where: str) -> Shape:
    """One of these JSON values, each read as what is paired with it."""
    words = {str: "string", bool: "boolean", int: "integer", float: "number", NoneType: "null"}
    values = [value for value, _ in pairs]
    if not all(value.__class__ in words for value in values):
        raise TypeError(f"{where}: the values of an enumeration must be strings or numbers")

    def read(value: Any, where: str, exact: bool) -> Any:
        for allowed, meant in pairs:
            if value.__class__ is allowed.__class__ and value == allowed:
                return meant
        raise expected("one of " + ", ".join(map(repr, values)), where, value)

    types = {words[value.__class__] for value in values}
    return dict({"type": types.pop()} if len(types) == 1 else {}, enum=values), read


class Shapes:
    """The shapes of types, with the classes among them in `shared`, as the root has them."""

    def __init__(self) -> None:
        self.shared: Dict[str, Dict[str, Any]] = {"$defs": {}, "definitions": {}}  # v1 has these
        self.known: Dict[Any, Shape] = {}  # classes, as references

    def of(self, kind: Any, owner: Any, where: str) -> Shape:
        kind, about, _ = bare(kind, owner, where)
        schema, read = self.of_bare(kind, owner, where)
        return described(schema, about), read

    def of_bare(self, kind: Any, owner: Any, where: str) -> Shape:
        """`where`, such as "Report.title", is what a TypeError about this type begins with."""
        kind = NoneType if kind is None else kind
        name, args = form_of(kind)
        if name == "Union":
            return self.union([self.of(arg, owner, where) for arg in members_of(kind)])
        if name == "Literal":
            return choice([(getattr(arg, "value", arg), arg) for arg in args], where)
        if name in ARRAYS:
            return self.array(ARRAYS[name], args, owner, where)
        if name in MAPPINGS:
            return self.mapping(args, owner, where)
        if "Any" in (getattr(kind, "_name", ""), getattr(kind, "name", "")):
            return ANYTHING
        if isinstance(kind, type):
            if hasattr(kind, "__members__"):  # an Enum
                return choice([(m.value, m) for m in kind.__members__.values()], where)
            if f"{kind.__module__}.{kind.__qualname__}" in SCALARS:
                return SCALARS[f"{kind.__module__}.{kind.__qualname__}"]
            if pydantic_of(kind):
                return self.foreign(kind, where)
            if is_root(kind):
                return self.of_class(kind)
        name = getattr(kind, "__name__", repr(kind))
        instead = INSTEAD.get(name, "a dataclass, a TypedDict, an Enum or a type of JSON")
        raise TypeError(f"{where}: {name} has no JSON schema; use {instead}")

    def union(self, shapes: List[Shape]) -> Shape:
        def read(value: Any, where: str, exact: bool) -> Any:
            errors: List[str] = []
            for strictly in (True,) if exact else (True, False):
                errors = []
                for schema, read_as_this in shapes:
                    try:
                        return read_as_this(value, where, strictly)
                    except Misfit as err:
                        errors += [str(err)] if schema != {"type": "null"} else []
            raise Misfit("", "; ".join(errors))

        return {"anyOf": [schema for schema, _ in shapes]}, read

    def array(self, make: Any, args: Any, owner: Any, where: str) -> Shape:
        args, length = (args or (Any,)), 0
        if make is tuple and args[-1] is not Ellipsis and args != (Any,):
            length = len(args)
            if any(arg != args[0] for arg in args):
                raise TypeError(f"{where}: a tuple of several types has no JSON schema; "
                                "use a dataclass, or a tuple of one type")
        item, read_item = self.of(args[0], owner, where)
        schema: Dict[str, Any] = {"type": "array", "items": item}
        if length:
            schema.update(minItems=length, maxItems=length)

        def read(value: Any, where: str, exact: bool) -> Any:
            if not isinstance(value, list) or length not in (0, len(value)):
                raise expected(f"a list of {length}" if length else "a list", where, value)
            return make(read_item(v, f"{where}[{i}]", exact) for i, v in enumerate(value))

        return schema, read

    def mapping(self, args: Any, owner: Any, where: str) -> Shape:
        if args and bare(args[0], owner, where)[0] is not str:
            raise TypeError(f"{where}: the keys of a JSON object are strings: use Dict[str, ...]")
        item, read_item = self.of(args[1] if args else Any, owner, where)

        def read(value: Any, where: str, exact: bool) -> Any:
            if not isinstance(value, dict):
                raise expected("an object", where, value)
            return {k: read_item(v, f"{where}[{k!r}]", exact) for k, v in value.items()}

        return {"type": "object", "additionalProperties": item or True}, read

    def foreign(self, kind: Any, where: str) -> Shape:
        """A class of pydantic among ours."""
        make_schema, _, validate = pydantic_of(kind)
        schema = dict(make_schema())
        for key, shared in self.shared.items():
            for name, definition in schema.pop(key, {}).items():
                if shared.setdefault(name, definition) != definition:
                    raise TypeError(f"{where}: there are two classes with the name {name}")

        def read(value: Any, where: str, exact: bool) -> Any:
            try:
                return validate(value)
            except ValueError as err:
                raise Misfit(where, str(err)) from err

        return schema, read

    def of_class(self, cls: Any) -> Shape:
        if cls not in self.known:
            definitions, name = self.shared["$defs"], cls.__name__
            while name in definitions:
                name += "_"
            definitions[name] = {}  # takes the name; the real one comes when its members are known
            definitions[name] = self.whole(cls, "#/$defs/" + name)[0]
        return self.known[cls]

    def whole(self, cls: Any, ref: str) -> Shape:
        """A class not as a reference; `ref` is for where it is mentioned again, as within itself"""
        readers: List[Reader] = []

        def read(value: Any, where: str, exact: bool) -> Any:
            try:
                return (dict if issubclass(cls, dict) else cls)(**readers[0](value, where, exact))
            except Misfit:
                raise
            except ValueError as err:  # __post_init__ refused it
                raise Misfit(where, str(err)) from err

        self.known[cls] = {"$ref": ref}, read
        schema, read_members = self.of_members(class_members(cls), cls.__name__)
        readers.append(read_members)
        return described(schema, docs_of(cls)), read

    def of_members(
        self, members: Sequence[Member], owner_name: str, null_is_default: bool = False
    ) -> Shape:
        """An object with these keys, read as the dictionary of the arguments they stand for."""
        properties, rows = {}, []
        for key, name, annotation, owner, needed, about in members:
            where = f"{owner_name}.{name}"
            kind, about_type, qualified = bare(annotation, owner, where)
            needed = needed if qualified is None else qualified
            shape = self.of_bare(kind, owner, where)
            schema, read = nullable(shape) if null_is_default and not needed else shape
            properties[key] = described(schema, about_type or about)
            rows.append((key, name, read, needed))

        def read_members(value: Any, where: str, exact: bool) -> Any:
            if not isinstance(value, dict):
                raise expected("an object", where, value)
            if exact and not properties.keys() >= value.keys():
                raise Misfit(where, "it has other keys")
            found = {}
            for key, name, read, needed in rows:
                at = f"{where}.{key}" if where else key
                if key in value:
                    found[name] = read(value[key], at, exact)
                elif needed:
                    raise Misfit(at, "it is missing")
            return {name: field for name, field in found.items() if field is not omit}

        return {"type": "object", "properties": properties}, read_members

    def root(self, schema: Dict[str, Any]) -> Dict[str, Any]:
        """The whole schema, in strict mode, which shares nothing with our tables."""
        import copy

        defs = {key: definitions for key, definitions in self.shared.items() if definitions}
        whole_schema = copy.deepcopy({**schema, **defs})
        return strict(whole_schema, whole_schema)


def strict(
    schema: Any, root: Mapping[str, Any], inside: Tuple[str, ...] = ("#",)
) -> Dict[str, Any]:
    """A schema as the API wants it: all properties required, no others allowed, no null default.

    A `$ref` may not have siblings: what it refers to takes its place, except inside of itself.
    """
    if not isinstance(schema, dict):
        raise TypeError(f"a JSON schema must be a dictionary, not {schema!r}")
    made: Dict[str, Any] = {}
    for key, value in schema.items():
        if key in ("$defs", "definitions", "properties") and isinstance(value, dict):
            made[key] = {
                name: strict(part, root, (*inside, f"#/{key}/{name}"))
                for name, part in value.items()
            }
        elif key == "items" and isinstance(value, dict):
            made[key] = strict(value, root, inside)
        elif key in ("anyOf", "allOf") and isinstance(value, list):
            made[key] = [strict(part, root, inside) for part in value]
        elif key != "default" or value is not None:
            made[key] = value
    if made.get("type") == "object":
        made.setdefault("additionalProperties", False)
    if isinstance(made.get("properties"), dict):
        made["required"] = list(made["properties"])
    if isinstance(made.get("allOf"), list) and len(made["allOf"]) == 1:
        made.update(made.pop("allOf")[0])
    ref = made.get("$ref")
    if not ref or len(made) == 1:
        return made
    del made["$ref"]
    if ref in inside:
        return dict(made, anyOf=[{"$ref": ref}])
    target: Any = root
    for step in ref[2:].split("/"):
        target = target[step]
    beside = {k: v for k, v in target.items() if k not in made}
    return strict({**made, **beside}, root, (*inside, ref))


def shape_of(kind: Any) -> Shape:
    """Schema and reader of a class of ours; TypeError says which field cannot be described."""
    if not is_root(kind):
        raise TypeError(f"the output must be {ROOTS}, not {kind!r}: make it a field of such")
    shapes = Shapes()
    try:
        schema, read = shapes.whole(kind, "#")
    except RecursionError:
        raise TypeError(f"{kind.__name__} holds a type that refers to itself without a class")
    return shapes.root(schema), read


def strict_schema(kind: Any) -> Dict[str, Any]:
    """The JSON schema of a class in strict mode.

    Takes a dataclass, a TypedDict, a BaseModel, or a class (or TypeAdapter) of pydantic; raises
    TypeError for anything else, and for a field that JSON schema cannot describe.
    """
    made = pydantic_of(kind)
    if made is None:
        return shape_of(kind)[0]
    schema = made[0]()
    return strict(schema, schema)


def parse_json_as(kind: Any, text: Union[str, bytes]) -> Any:
    """JSON text as an instance of a class that strict_schema() takes; a TypedDict is a dict.

    Unknown keys are ignored.  Raises OutputParseError for what does not fit; pydantic's classes
    raise their own ValidationError.
    """
    made = pydantic_of(kind)
    return made[1](text) if made else read_json(shape_of(kind)[1], text, kind.__name__)


def read_json(read: Reader, text: Union[str, bytes], name: str) -> Any:
    import json

    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as err:
        raise OutputParseError(f"the answer is not JSON: {err}", text=text) from err
    try:
        return read(value, "", False)
    except Misfit as err:
        raise OutputParseError(f"the answer does not fit {name}: {err}", text=text) from err


def response_format_of(kind: Any) -> Any:
    """A class as `response_format` of chat completions; a dictionary stays as it is."""
    if isinstance(kind, (Mapping, Omit)):
        return kind
    schema = strict_schema(kind)
    return {
        "type": "json_schema",
        "json_schema": {"schema": schema, "name": kind.__name__, "strict": True},
    }


def text_format_of(kind: Any) -> Any:
    """The same as `text={"format": ...}` of responses."""
    if isinstance(kind, (Mapping, Omit)):
        return kind
    schema = strict_schema(kind)
    return {"type": "json_schema", "strict": True, "name": kind.__name__, "schema": schema}


JSON_STRING = (
    r'"[^"\\\x00-\x1f]*(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*)*'  # without its end
)
JSON_INT = r"-?(?:0|[1-9][0-9]*)"
json_token = Pattern(
    rf'[ \t\n\r]*({JSON_STRING}"|{JSON_INT}(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?(?![0-9.eE])'
    r"|true|false|null|NaN|-?Infinity|[][{},:])"
)
json_cut_off = Pattern(
    rf"(?:{JSON_STRING}(?:\\(?:u[0-9a-fA-F]{{0,3}})?)?"
    rf"|{JSON_INT}(?:\.|(?:\.[0-9]+)?[eE][+-]?))\Z"
)
JSON_WORDS = ("true", "false", "null", "NaN", "Infinity", "-Infinity")


def partial_json(text: str) -> Any:
    """The value of JSON text that may be cut off anywhere: `[1, {"a": "b` is `[1, {}]`.

    A string, number, word or key that is not complete is left out, and what follows a complete
    value is ignored where it makes no sense.  Raises ValueError if nothing is left, or if the text
    is not the beginning of JSON.
    """
    import json

    ANY = '"v[{'  # v: a number or a word
    wanted, position, safe = ANY, 0, 0
    closers: List[str] = []
    while True:
        token = json_token.match(text, position)
        start = token.group(1)[0] if token else ""
        start = start if start in '"[]{},:' else "v"
        if token is None or start not in wanted:
            break
        position = token.end()
        if start in ",:":
            wanted = ANY if start == ":" or closers[-1] == "]" else '"'
            continue
        if start == '"' and wanted in ('"', '"}'):
            wanted = ":"
            continue
        if start in "[{":
            closers.append("]" if start == "[" else "}")
            wanted = ANY + "]" if start == "[" else '"}'
        else:
            if start in "]}":
                closers.pop()
            wanted = "," + closers[-1] if closers else ""
        safe = position  # from here on `closers` would complete it
    rest = text[position:].lstrip(" \t\n\r")
    cut_off = json_cut_off.match(rest) or any(word.startswith(rest) for word in JSON_WORDS)
    fits = not rest or (cut_off and ('"' if rest[0] == '"' else "v") in wanted)
    if wanted[:1] not in ("", ",") and not fits:  # those two stand behind a complete value
        raise ValueError(f"not JSON: {shorten(rest, 50)!r} at character {len(text) - len(rest)}")
    if not safe:
        raise ValueError("not JSON: it ends before there is a value")
    try:
        return json.loads(text[:safe] + "".join(reversed(closers)))
    except RecursionError:
        raise ValueError("not JSON that can be read: it is nested too deep")


# ---- 9.2 Tools from functions ---- https://platform.openai.com/docs/guides/function-calling


class ModelTool(StringDict):
    """A tool, or the function in it, that remembers the class its arguments are read as."""

    def __init__(self, shown: Mapping[str, Any], **memory: Any) -> None:
        super().__init__(shown)
        self.__dict__.update(memory)

    if TYPE_CHECKING:
        model: Any

    def parse_arguments(self, arguments: Union[str, bytes]) -> Any:
        """An instance of the class; raises as parse_json_as() does."""
        return parse_json_as(self.model, arguments)


class CallableTool(ModelTool, Generic[P, R]):
    """A tool made by function_tool(): call it as the function, or run() it as the model asks."""

    if TYPE_CHECKING:
        name: str
        function: Callable[P, R]
        _read: Reader

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.function(*args, **kwargs)

    @property
    def definition(self) -> Dict[str, Any]:
        """The tool as agents take it; one that is not described has its name for that."""
        shown = dict(flat_tool(self))
        del shown["strict"]  # which they do not know
        return dict(shown, description=shown["description"] or self.name)

    def parse_arguments(self, arguments: Union[str, bytes, Mapping[str, Any]]) -> Dict[str, Any]:
        """What to call the function with, in its types; OutputParseError for what does not fit."""
        if isinstance(arguments, Mapping):
            import json

            arguments = json.dumps(dict(arguments), default=jsonable)
        # Some models send no text at all where there are no parameters.
        found: Dict[str, Any] = read_json(self._read, arguments or "{}", self.name + "()")
        return found

    def run(self, arguments: Union[str, bytes, Mapping[str, Any]]) -> Any:
        """Call the function with JSON text; gives what it returns, which may be a coroutine."""
        function: Any = self.function
        return function(**self.parse_arguments(arguments))


@overload
def function_tool(
    fn: Callable[P, R], *, name: Optional[str] = ..., description: Optional[str] = ...,
    strict: bool = ..., defer_loading: bool = ...,
) -> CallableTool[P, R]: ...
@overload
def function_tool(
    *, name: Optional[str] = ..., description: Optional[str] = ..., strict: bool = ...,
    defer_loading: bool = ...,
) -> Callable[[Callable[P, R]], CallableTool[P, R]]: ...
def function_tool(
    fn: Any = None, *, name: Optional[str] = None, description: Optional[str] = None,
    strict: bool = True, defer_loading: bool = omit,
) -> Any:
    """Make a tool of a function: `@function_tool`, or with options `@function_tool(name="f")`.

    Its annotations make the schema, its docstring (Google, NumPy or Sphinx style) the descriptions.
    A parameter with a default may be null, which stands for the default.  The tool is a dictionary
    for chat completions; flat_tool() makes one for responses of it.  Raises TypeError for a
    parameter that has no JSON schema.
    """
    if fn is None:
        return lambda function: function_tool(
            function, name=name, description=description, strict=strict, defer_loading=defer_loading
        )
    import inspect

    title = name or getattr(fn, "__name__", None)
    if title is None:
        raise TypeError(f"{fn!r} has no name: give one with name=")
    owner = inspect.unwrap(getattr(fn, "func", fn))  # a functools.partial has a func
    owner = owner if hasattr(owner, "__qualname__") else type(owner).__call__
    said, about = read_docstring(inspect.getdoc(fn) or "")
    members: List[Member] = []
    for parameter in inspect.signature(fn).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{title}(): arguments come by name, which {parameter} does not allow")
        if parameter.annotation is parameter.empty:
            raise TypeError(f"{title}(): {parameter.name} needs an annotation to tell its type")
        members.append((
            parameter.name, parameter.name, parameter.annotation, owner,
            parameter.default is parameter.empty, about.get(parameter.name),
        ))
    shapes = Shapes()
    shape, read = shapes.of_members(members, title + "()", null_is_default=True)
    parameters = shapes.root(shape)
    if not strict:
        parameters["required"] = [member[0] for member in members if member[4]]
    shown = {"name": title, "description": description or said, "strict": strict}
    if not shown["description"]:
        del shown["description"]
    tool: Dict[str, Any] = {"type": "function", "function": dict(shown, parameters=parameters)}
    if defer_loading is not omit:
        tool["defer_loading"] = defer_loading
    return CallableTool(tool, name=title, function=fn, __wrapped__=fn, _read=read)


# Google, NumPy and Sphinx style: (where the parameters are, what is said of one of them).
DOC_STYLES = (
    (Pattern(r"^(?:Args|Arguments|Parameters|Params):\n((?:[ \t]+.*\n|\n)*)", 8),  # re.MULTILINE
     Pattern(r"^\*{0,2}(\w+)(?: *\([^\n]*?\))?:(.*(?:\n[ \t]+.*)*)", 8)),
    (Pattern(r"^(?:Other )?Parameters\n-{3,}\n((?:(?!.*\n-{3,}\n).*\n)*)", 8),
     Pattern(r"^\*{0,2}(\w+)(?: *:.*)?\n((?:[ \t]+.*\n)+)", 8)),
    (Pattern(r"^(:param (?:.*\n)*)", 8),
     Pattern(r"^:param (?:[^:\n]*\s)?\*{0,2}(\w+):(.*(?:\n[ \t]+.*)*)", 8)),
)
doc_first = Pattern(r"(?!(?:Args|Arguments|Parameters|Params):\n|Parameters\n---|:\w).+\n")


def read_docstring(doc: str) -> Tuple[str, Dict[str, str]]:
    """The first paragraph, and what is said of parameters: `("Add.", {"a": "A number."})`."""
    import textwrap

    doc, first = doc.strip() + "\n", ""
    about: Dict[str, str] = {}
    line = doc_first.match(doc)
    while line:
        first += line.group()
        line = doc_first.match(doc, line.end())
    for section, parameter in DOC_STYLES:
        found = section.search(doc)
        if found:
            about.update(parameter.findall(textwrap.dedent(found.group(1))))
    return " ".join(first.split()), {name: " ".join(about[name].split()) for name in about}


def pydantic_function_tool(
    model: Any, *, name: Optional[str] = None, description: Optional[str] = None
) -> ModelTool:
    """A tool for chat completions whose arguments are read as a class; strict_schema() takes it.

    It is described by the docstring of the class, unless `description` is given.
    """
    function = ModelTool(
        {"name": name or model.__name__, "strict": True, "parameters": strict_schema(model)},
        model=model,
    )
    if description is None:
        description = model.__doc__ if pydantic_of(model) else docs_of(model) or None
    if description is not None:
        function["description"] = description
    return ModelTool({"type": "function", "function": function}, model=model)


def pydantic_responses_function_tool(
    model: Any, *, name: Optional[str] = None, description: Optional[str] = None,
    defer_loading: bool = omit,
) -> ModelTool:
    """The same for responses; with `defer_loading` the model finds it by a search for tools."""
    function = pydantic_function_tool(model, name=name, description=description)["function"]
    tool = ModelTool({"type": "function", **function}, model=model)
    if not isinstance(defer_loading, Omit):
        tool["defer_loading"] = defer_loading
    return tool


def fields_in(value: Any) -> Mapping[str, Any]:
    """A dictionary, or an object of this module, as a mapping; of other things an empty one."""
    fields = value.__dict__ if isinstance(value, BaseModel) else value
    return fields if isinstance(fields, Mapping) else {}


def flat_tool(tool: Any) -> Any:
    """A function tool of chat completions as responses take it; other tools stay as they are."""
    shown = fields_in(tool)
    function = fields_in(shown.get("function"))
    if shown.get("type") != "function" or not function:
        return tool
    flat: Dict[str, Any] = {
        "type": "function", "name": function["name"], "description": function.get("description"),
        "parameters": function.get("parameters"), "strict": function.get("strict") or False,
    }
    for more in (function, shown):  # in the order in which the official client sends them
        flat.update((k, v) for k, v in more.items() if k not in flat and k != "function")
    for kept in (tool, function):
        if isinstance(kept, ModelTool):
            return type(kept)(flat, **kept.__dict__)
    return flat


def tool_named(tools: Iterable[Any], name: str, namespace: Optional[str]) -> Any:
    """The tool that a call of the model means, in its flat form, or None."""
    tools = list(tools)
    if namespace is not None:
        for tool in map(fields_in, tools):
            if tool.get("type") == "namespace" and tool.get("name") == namespace:
                return tool_named(tool.get("tools") or (), name, None)
        if namespace != name:  # a function that was loaded late may come in one of its own name
            return None
    for tool in map(flat_tool, tools):
        fields = fields_in(tool)
        if fields.get("type") == "function" and fields.get("name") == name:
            return tool
    return None


def tool_arguments(
    tools: Optional[Iterable[Any]], name: str, arguments: str, namespace: Optional[str] = None
) -> Any:
    """The arguments of a tool call, read as the tool that has this name wants them.

    That is an instance for a tool made of a class, a dictionary of arguments for function_tool(),
    parsed JSON for other strict tools, and None for the rest.
    """
    import json

    given = () if tools is None or isinstance(tools, Omit) else tools
    tool = tool_named(given, name, namespace)
    if isinstance(tool, ModelTool):
        return tool.parse_arguments(arguments)
    return json.loads(arguments) if fields_in(tool).get("strict") else None


# ---- 9.3 Streams that accumulate ---- https://platform.openai.com/docs/guides/streaming-responses


def accumulate_delta(acc: Dict[str, Any], delta: Mapping[str, Any]) -> Dict[str, Any]:
    """Merge `delta` into `acc`, which has what came before it, and return that.

    {"a": "Hel", "b": [{"index": 0, "n": 1}]} and {"a": "lo", "b": [{"index": 0, "n": 2}]} make
    {"a": "Hello", "b": [{"index": 0, "n": 3}]}.  `delta` may hold objects: `vars(chunk)`.  `acc`
    holds dictionaries, and never a part of `delta` itself.
    """
    for key, new in delta.items():
        if new is None:
            acc.setdefault(key, None)
        else:  # what something is, and where it belongs, is said again: it does not add up
            acc[key] = continued(None if key in ("type", "index") else acc.get(key), new)
    return acc


def continued(old: Any, new: Any) -> Any:
    """What `old` becomes with `new` after it; for None a copy of `new`."""
    new = new.__dict__ if isinstance(new, BaseModel) else new
    if isinstance(new, dict) and (old is None or isinstance(old, dict)):
        return accumulate_delta({} if old is None else old, new)
    if isinstance(new, list) and (old is None or isinstance(old, list)):
        entries: List[Any] = [] if old is None else old
        for entry in new:  # also of the first list: two entries may be pieces of one
            entry = entry.__dict__ if isinstance(entry, BaseModel) else entry
            index = entry.get("index") if isinstance(entry, dict) else None
            place, found = (
                place_of(index, entries) if isinstance(index, int) else (len(entries), False)
            )
            if found:
                accumulate_delta(entries[place], entry)
            else:
                entries.insert(place, continued(None, entry))
        return entries
    if old is None or isinstance(old, bool) and isinstance(new, bool):
        return new
    if isinstance(old, str) and isinstance(new, str):
        return old + new
    if isinstance(old, (int, float)) and isinstance(new, (int, float)):
        return old + new
    return old  # of another type, which makes no sense


def place_of(index: int, entries: Sequence[Any]) -> Tuple[int, bool]:
    """Where the entry of this index is, and True; or where it belongs, and False.

    An entry that does not tell its index is at the one where it stands.  Indices may leave gaps and
    come in any order, so that place and index need not be the same.
    """
    for place in range(min(index, len(entries) - 1), -1, -1):
        entry = entries[place]
        own = entry.get("index") if isinstance(entry, dict) else -1
        own = own if isinstance(own, int) else place
        if own == index:
            return place, True
        if own < index:
            return place + 1, False
    return 0, False
class GrowingText:
    """Text that comes in pieces, joined when somebody looks: joining each time is quadratic."""

    __slots__ = ("pieces", "length")

    def __init__(self) -> None:
        self.pieces: List[str] = []
        self.length = 0

    def add(self, piece: str) -> None:
        self.pieces.append(piece)
        self.length += len(piece)

    def upto(self, length: Optional[int] = None) -> str:
        """All of it, or its first `length` characters."""
        if len(self.pieces) > 1:
            self.pieces = ["".join(self.pieces)]
        return self.pieces[0][:length] if self.pieces else ""

    def later(self) -> Callable[[], str]:
        """A function that returns the text as it is now."""
        length = self.length
        return lambda: self.upto(length)


class StreamEvent(BaseModel):
    """An event of a stream helper.  What takes time to make is made when somebody looks at it."""

    __slots__ = ("_later",)

    if not TYPE_CHECKING:

        def __getattr__(self, name):
            if name == "_later":  # not set yet
                return {}
            if name in self._later:
                value = self.__dict__[name] = self._later.pop(name)()
                return value
            return BaseModel.__getattr__(self, name)

        def _whole(self):
            for name in [*self._later]:
                getattr(self, name)
            return self

        def __repr__(self):
            return BaseModel.__repr__(self._whole())

        def __eq__(self, other):
            same = type(other) is type(self)
            return same and BaseModel.__eq__(self._whole(), other._whole())

        def __reduce__(self):
            return made_event, (type(self), self._whole().__dict__)

        def model_dump(self, **options):
            return BaseModel.model_dump(self._whole(), **options)


def made_event(kind: Any, fields: Dict[str, Any], **later: Callable[[], Any]) -> Any:
    """An event with these fields, and others that functions will make."""
    event = object.__new__(type_named(kind))
    event.__dict__, event._later = fields, later
    return event


class ChunkEvent(StreamEvent):
    """A chunk as it came, and the answer so far: as it is when you look, not when this came."""

    type: Literal["chunk"]
    chunk: ChatCompletionChunk
    snapshot: ParsedChatCompletion[Any]


class ContentDeltaEvent(StreamEvent):
    """More text in `delta`, all until now in `snapshot`, what its JSON says so far in `parsed`."""

    type: Literal["content.delta"]
    delta: str
    snapshot: str
    parsed: Optional[object]


class ContentDoneEvent(StreamEvent, Generic[T]):
    """The text of a choice is complete."""

    type: Literal["content.done"]
    content: str
    parsed: Optional[T] = None


class RefusalDeltaEvent(StreamEvent):
    type: Literal["refusal.delta"]
    delta: str
    snapshot: str


class RefusalDoneEvent(StreamEvent):
    type: Literal["refusal.done"]
    refusal: str


class FunctionToolCallArgumentsDeltaEvent(StreamEvent):
    """More of the arguments of a call in `arguments_delta`, all until now in `arguments`."""

    type: Literal["tool_calls.function.arguments.delta"]
    name: str
    index: int
    arguments: str
    parsed_arguments: object  # as far as the JSON goes, if the tool is strict
    arguments_delta: str


class FunctionToolCallArgumentsDoneEvent(StreamEvent):
    """The arguments of a call are complete."""

    type: Literal["tool_calls.function.arguments.done"]
    name: str
    index: int
    arguments: str
    parsed_arguments: object


class LogprobsContentDeltaEvent(StreamEvent):
    type: Literal["logprobs.content.delta"]
    content: List[ChatCompletionTokenLogprob]
    snapshot: List[ChatCompletionTokenLogprob]


class LogprobsContentDoneEvent(StreamEvent):
    type: Literal["logprobs.content.done"]
    content: List[ChatCompletionTokenLogprob]


class LogprobsRefusalDeltaEvent(StreamEvent):
    type: Literal["logprobs.refusal.delta"]
    refusal: List[ChatCompletionTokenLogprob]
    snapshot: List[ChatCompletionTokenLogprob]


class LogprobsRefusalDoneEvent(StreamEvent):
    type: Literal["logprobs.refusal.done"]
    refusal: List[ChatCompletionTokenLogprob]


ChatCompletionStreamEvent = Union[
    ChunkEvent, ContentDeltaEvent, ContentDoneEvent[T], RefusalDeltaEvent, RefusalDoneEvent,
    FunctionToolCallArgumentsDeltaEvent, FunctionToolCallArgumentsDoneEvent,
    LogprobsContentDeltaEvent, LogprobsContentDoneEvent, LogprobsRefusalDeltaEvent,
    LogprobsRefusalDoneEvent,
]


class ChatCompletionStreamState(Generic[T]):
    """Accumulates the chunks of a chat completion, and tells what each of them means.

    chat.completions.stream() has one inside; with create(stream=True), give it the chunks.
    """

    def __init__(
        self, *, input_tools: Iterable[Any] = omit,
        response_format: Union[Type[T], Mapping[str, Any]] = omit,
    ) -> None:
        self._tools = [] if isinstance(input_tools, Omit) else [*input_tools]
        self._kind = response_format if isinstance(response_format, type) else None
        self._fields: Dict[str, Any] = {}
        self._choices: Dict[int, ChoiceState] = {}

    def handle_chunk(self, chunk: ChatCompletionChunk) -> List[ChatCompletionStreamEvent[T]]:
        """The events that a chunk makes.

        Raises LengthFinishReasonError or ContentFilterFinishReasonError where the answer that ends
        so was to be parsed.
        """
        if chunk.object != "chat.completion.chunk":
            return []  # at Azure, the content filter reports in between
        for name, value in vars(chunk).items():
            if name not in ("choices", "obfuscation") and (
                value is not None or name not in self._fields
            ):
                self._fields[name] = value
        events: List[Any] = [
            made_event("ChunkEvent", {"type": "chunk", "chunk": chunk}, snapshot=self._snapshot)
        ]
        for piece in chunk.choices or ():
            if piece.index not in self._choices:
                self._choices[piece.index] = ChoiceState(self._kind, self._tools)
            choice = self._choices[piece.index]
            events += choice.add(piece)
            if piece.finish_reason == "length" and choice.parses():
                raise LengthFinishReasonError(completion=self._snapshot())
            if piece.finish_reason == "content_filter" and choice.parses():
                raise ContentFilterFinishReasonError(completion=self._snapshot())
            events += choice.done(piece)
        return events

    handle = handle_chunk

    def _so_far(self, partly: bool = False) -> Dict[str, Any]:
        choices = [choice.so_far(partly) for _, choice in sorted(self._choices.items())]
        return dict(self._fields, object="chat.completion", choices=choices)

    def _snapshot(self) -> ParsedChatCompletion[T]:
        snapshot: ParsedChatCompletion[T] = decode("ParsedChatCompletion", self._so_far(True))
        return snapshot

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[T]:
        """The answer so far; what is not complete is parsed as far as its JSON goes."""
        return self._snapshot()

    def is_complete(self) -> bool:
        """Whether each choice has said why it ends."""
        return bool(self._choices) and all(
            choice.fields.get("finish_reason") for choice in self._choices.values()
        )

    def get_final_completion(self) -> ParsedChatCompletion[T]:
        """The answer, parsed as by chat.completions.parse().  Ask when the stream has ended."""
        parsed = parsed_chat(self._so_far(), self._kind, self._tools)
        completion: ParsedChatCompletion[T] = decode("ParsedChatCompletion", parsed)
        return completion


class ChoiceState:
    """One of the `n` answers of a streamed chat completion."""

    def __init__(self, kind: Any, tools: List[Any]) -> None:
        self.kind, self.tools = kind, tools
        self.fields: Dict[str, Any] = {}
        self.message: Dict[str, Any] = {}
        self.calls: Dict[int, ToolCallState] = {}
        self.current: Optional[int] = None  # the call whose arguments came last
        self.logprobs: Dict[str, Any] = {}
        self.told: List[Any] = []  # what has had its "done" event
        self.parsed: Any = None

    def parses(self) -> bool:
        return self.kind is not None or any(is_strict(tool) for tool in self.tools)

    def add(self, piece: ChatCompletionChunkChoice) -> Iterator[Any]:
        """Take in a piece; gives its "delta" events."""
        for name, value in vars(piece).items():
            if name == "logprobs":
                for part, tokens in vars(value).items() if value is not None else ():
                    known = self.logprobs.setdefault(part, tokens and [])
                    if tokens:
                        self.logprobs[part] = (known or []) + tokens
            elif name != "delta" and (value is not None or name not in self.fields):
                self.fields[name] = value
        delta = vars(piece.delta) if piece.delta is not None else {}
        for name, value in delta.items():
            if name == "tool_calls":
                self.message.setdefault(name, None)
            elif value.__class__ is str and name != "role":
                if not isinstance(self.message.get(name), GrowingText):
                    self.message[name] = GrowingText()
                self.message[name].add(value)
            elif value is None or name == "role":
                self.message.setdefault(name, value)
            else:
                accumulate_delta(self.message, {name: plain(value)})
        if delta.get("content") is not None:
            text = self.message["content"]
            yield made_event(
                "ContentDeltaEvent", {"type": "content.delta", "delta": delta["content"]},
                snapshot=text.later(), parsed=self.parsed_later(text),
            )
        if delta.get("refusal") is not None:
            yield made_event(
                "RefusalDeltaEvent", {"type": "refusal.delta", "delta": delta["refusal"]},
                snapshot=self.message["refusal"].later(),
            )
        for part in delta.get("tool_calls") or ():
            call = self.calls.setdefault(part.index, ToolCallState(part.index, self.tools))
            added = call.add(part)
            if call.is_function():
                yield made_event(
                    "FunctionToolCallArgumentsDeltaEvent",
                    {
                        "type": "tool_calls.function.arguments.delta", "name": call.name(),
                        "index": call.index, "arguments_delta": added,
                    },
                    arguments=call.arguments.later(), parsed_arguments=call.parsed_later(),
                )
        for part, kind in (
            ("content", "LogprobsContentDeltaEvent"), ("refusal", "LogprobsRefusalDeltaEvent")
        ):
            tokens = getattr(piece.logprobs, part, None)
            if tokens:
                yield made_event(kind, {
                    "type": f"logprobs.{part}.delta", part: tokens, "snapshot": self.logprobs[part]
                })

    def parsed_later(self, text: GrowingText) -> Callable[[], Any]:
        if self.kind is None:
            return lambda: None
        now = text.later()
        return lambda: partial_json(now()) if now().strip() else None

    def done(self, piece: ChatCompletionChunkChoice) -> Iterator[Any]:
        """The "done" events of what a piece has shown to be complete."""
        if self.fields.get("finish_reason"):
            yield from self.text_done()
            for index in sorted(self.calls):
                yield from self.call_done(index)
        for part in (piece.delta and piece.delta.tool_calls) or ():
            if part.index != self.current:
                yield from self.text_done()
                if self.current is not None and self.calls[self.current].may_be_complete():
                    yield from self.call_done(self.current)
            self.current = part.index

    def text_done(self) -> Iterator[Any]:
        content, refusal = (
            text.upto() if isinstance(text, GrowingText) else None
            for text in (self.message.get("content"), self.message.get("refusal"))
        )
        if content and self.tell_once("content"):
            if self.kind is not None and not refusal:
                self.parsed = parse_json_as(self.kind, content)
            yield made_event(
                "ContentDoneEvent",
                {"type": "content.done", "content": content, "parsed": self.parsed},
            )
        if refusal is not None and self.tell_once("refusal"):
            yield made_event("RefusalDoneEvent", {"type": "refusal.done", "refusal": refusal})
        for part, kind in (
            ("content", "LogprobsContentDoneEvent"), ("refusal", "LogprobsRefusalDoneEvent")
        ):
            if self.logprobs.get(part) is not None and self.tell_once("logprobs." + part):
                yield made_event(
                    kind, {"type": f"logprobs.{part}.done", part: self.logprobs[part]}
                )

    def call_done(self, index: int) -> Iterator[Any]:
        call = self.calls[index]
        if call.is_function() and self.tell_once(index):
            yield made_event("FunctionToolCallArgumentsDoneEvent", {
                "type": "tool_calls.function.arguments.done", "name": call.name(), "index": index,
                "arguments": call.arguments.upto(), "parsed_arguments": call.parsed(),
            })

    def tell_once(self, what: Any) -> bool:
        new = what not in self.told
        self.told.append(what)
        return new

    def so_far(self, partly: bool) -> Dict[str, Any]:
        """The choice as a ChatCompletion would hold it; `partly`: with what can be parsed of it."""
        message = {
            name: value.upto() if isinstance(value, GrowingText) else plain(value)
            for name, value in self.message.items()
        }
        if self.calls:
            calls = [self.calls[i].so_far(partly) for i in sorted(self.calls)]
            message["tool_calls"] = calls
        if partly and self.kind is not None and message.get("content"):
            message["parsed"] = (
                self.parsed if self.parsed is not None or message.get("refusal")
                else partial_json(message["content"]) if message["content"].strip() else None
            )
        fields = {name: plain(value) for name, value in self.fields.items()}
        if self.logprobs:
            fields["logprobs"] = plain(self.logprobs)
        return dict(fields, message=message)


class ToolCallState:
    """A tool call of a streamed answer; its pieces share an index, which the whole has not."""

    def __init__(self, index: int, tools: List[Any]) -> None:
        self.index, self.tools = index, tools
        self.fields: Dict[str, Any] = {}
        self.arguments = GrowingText()

    def add(self, part: ChatCompletionDeltaToolCall) -> str:
        """Take in a piece; returns what it adds to the arguments."""
        piece = plain(part)
        del piece["index"]
        arguments = ""
        if isinstance(piece.get("function"), dict):
            arguments = piece["function"].pop("arguments", None) or ""
            self.arguments.add(arguments)
            if piece["function"].get("name") == self.name():
                del piece["function"]["name"]  # some servers repeat it in each piece, as the id
        if piece.get("id") == self.fields.get("id"):
            piece.pop("id", None)
        accumulate_delta(self.fields, piece)
        return arguments

    def function(self) -> Dict[str, Any]:
        function: Dict[str, Any] = self.fields.get("function") or {}
        return function

    def is_function(self) -> bool:
        return "function" in self.fields

    def name(self) -> str:
        return self.function().get("name") or ""

    def may_be_complete(self) -> bool:
        """Whether the arguments are JSON already: then no more of them can follow."""
        import json

        try:
            json.loads(self.arguments.upto())
        except ValueError:
            return False
        return True

    def parsed(self) -> Any:
        return tool_arguments(self.tools, self.name(), self.arguments.upto())

    def parsed_later(self) -> Callable[[], Any]:
        now = self.arguments.later()

        def parsed() -> Any:
            strict = any(is_strict(tool, self.name()) for tool in self.tools)
            return partial_json(now()) if strict and now().strip() else None

        return parsed

    def so_far(self, partly: bool) -> Dict[str, Any]:
        call = dict(self.fields)
        if self.is_function():
            call["function"] = dict(self.function(), arguments=self.arguments.upto())
            if partly:
                call["function"]["parsed_arguments"] = self.parsed_later()()
        return call


def plain(value: Any) -> Any:
    """Objects as the dictionaries that they came as; nothing in it is shared with `value`."""
    if isinstance(value, BaseModel):
        value = value.__dict__
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list) else value


def is_strict(tool: Any, name: Optional[str] = None) -> bool:
    """Whether the arguments of a tool, one of this name if that is given, can be parsed."""
    fields = fields_in(flat_tool(tool))
    return fields.get("strict") is True and name in (None, fields.get("name"))


def parsed_chat(parsed: Any, kind: Any, tools: List[Any]) -> Any:
    """The JSON of a chat completion with what `kind` and `tools` make of it."""
    for choice in parsed.get("choices") or () if isinstance(parsed, dict) else ():
        if choice.get("finish_reason") == "length":
            raise LengthFinishReasonError(completion=decode("ChatCompletion", parsed))
        if choice.get("finish_reason") == "content_filter":
            raise ContentFilterFinishReasonError(completion=decode("ChatCompletion", parsed))
        message = choice.get("message") or {}
        content = message.get("content")
        message["parsed"] = None
        if isinstance(kind, type) and content and not message.get("refusal"):
            message["parsed"] = parse_json_as(kind, content)
        for call in message.get("tool_calls") or ():
            if call.get("type") == "function":
                function = call["function"]
                function["parsed_arguments"] = tool_arguments(
                    tools, function["name"], function["arguments"]
                )
    return parsed


class AccumulatedTextDeltaEvent(ResponseTextDeltaEvent, StreamEvent):
    """The next piece of text, with all until now in `snapshot`."""

    snapshot: str


class ParsedTextDoneEvent(ResponseTextDoneEvent, Generic[T]):
    """A text is finished; here it is whole, and parsed."""

    parsed: Optional[T] = None


class AccumulatedArgumentsDeltaEvent(ResponseFunctionCallArgumentsDeltaEvent, StreamEvent):
    """The next piece of the JSON text of the arguments, with all until now in `snapshot`."""

    snapshot: str


class ParsedResponseCompletedEvent(ResponseCompletedEvent, Generic[T]):
    """The response is complete, and parsed."""

    response: ParsedResponse[T]  # pyright: ignore


AccumulatedResponseEvent = Union[
    AccumulatedTextDeltaEvent, ParsedTextDoneEvent[T], AccumulatedArgumentsDeltaEvent,
    ParsedResponseCompletedEvent[T], ResponseOtherStreamEvent,
]

# {delta event: where its text grows: the list in the item, the event's index for it, the field}
GROWING = {
    "response.output_text.delta": ("content", "content_index", "text"),
    "response.refusal.delta": ("content", "content_index", "refusal"),
    "response.reasoning_text.delta": ("content", "content_index", "text"),
    "response.reasoning_summary_text.delta": ("summary", "summary_index", "text"),
    "response.function_call_arguments.delta": ("", "", "arguments"),
    "response.mcp_call_arguments.delta": ("", "", "arguments"),
    "response.custom_tool_call_input.delta": ("", "", "input"),
    "response.code_interpreter_call_code.delta": ("", "", "code"),
}
# {event: where its part goes: the list in the item, the event's index for it}
PARTS = {
    "response.content_part.added": ("content", "content_index"),
    "response.content_part.done": ("content", "content_index"),
    "response.reasoning_summary_part.added": ("summary", "summary_index"),
    "response.reasoning_summary_part.done": ("summary", "summary_index"),
}


class ResponseStreamState(Generic[T]):
    """Accumulates the events of a response, and adds to them what they amount to."""

    def __init__(
        self, *, input_tools: Iterable[Any] = omit, text_format: Type[T] = omit,
        starting_after: Optional[int] = None,
    ) -> None:
        self._tools = [] if isinstance(input_tools, Omit) else [*input_tools]
        self._kind = text_format if isinstance(text_format, type) else None
        self._after = starting_after
        self._response: Dict[str, Any] = {}
        self._items: Dict[int, Dict[str, Any]] = {}
        self._texts: Dict[Tuple[int, str, int, str], GrowingText] = {}
        self.final: Optional[ParsedResponse[T]] = None  # once the server has said how it ended

    def handle(self, event: Any) -> List[AccumulatedResponseEvent[T]]:
        """What to pass on for an event: itself, or one that has more to say."""
        made = self._accumulate(event)
        number = getattr(event, "sequence_number", None)
        if self._after is not None and number is not None and number <= self._after:
            return []
        return [made]

    def _accumulate(self, event: Any) -> Any:
        kind, fields = getattr(event, "type", None), vars(event)
        if kind in GROWING:
            text = self._text_of(event)
            text.add(event.delta)
            if kind == "response.output_text.delta":
                return made_event("AccumulatedTextDeltaEvent", dict(fields), snapshot=text.later())
            if kind == "response.function_call_arguments.delta":
                return made_event(
                    "AccumulatedArgumentsDeltaEvent", dict(fields), snapshot=text.later()
                )
        elif kind in PARTS:
            place, index = PARTS[kind]
            parts = self._items.setdefault(event.output_index, {}).setdefault(place, [])
            put(parts, fields.get(index), plain(event.part))
            if kind.endswith(".done"):
                self._forget((event.output_index, place, fields.get(index)))
        elif kind in ("response.output_item.added", "response.output_item.done"):
            if event.item is not None:
                self._items[event.output_index] = plain(event.item)
                if kind.endswith(".done"):
                    self._forget((event.output_index,))
        elif kind == "response.output_text.annotation.added":
            part = plain(event.annotation)
            texts = self._items.get(event.output_index, {}).get("content") or []
            if event.content_index < len(texts):
                known = texts[event.content_index].setdefault("annotations", [])
                put(known, event.annotation_index, part)
        elif kind == "response.output_text.done":
            item = self._items.get(event.output_index, {})
            parsed = parsed_text(event.text, self._kind, item.get("phase"))
            done = type_named("ParsedTextDoneEvent")
            return restore_model(done, dict(fields, parsed=parsed), None)
        elif isinstance(fields.get("response"), type_named("Response")):
            return self._follow(event)
        return event

    def _follow(self, event: Any) -> Any:
        """An event that brings the whole response, as it is now."""
        self._response = plain(event.response)
        if self._response.get("output"):
            self._items, self._texts = dict(enumerate(self._response["output"])), {}
        if event.type in ("response.completed", "response.incomplete", "response.failed"):
            whole = dict(plain(event.response), output=self._output())
            if event.type == "response.completed":
                parsed_response(whole, self._kind, self._tools)
            self.final = decode("ParsedResponse", whole)
        if event.type == "response.completed":
            fields = dict(vars(event), response=self.final)
            return restore_model(type_named("ParsedResponseCompletedEvent"), fields, None)
        return event

    def _text_of(self, event: Any) -> GrowingText:
        place, index, field = GROWING[event.type]
        key = (event.output_index, place, getattr(event, index) if index else 0, field)
        if key not in self._texts:
            self._texts[key] = GrowingText()
            owner = self._items.get(event.output_index, {})
            parts = owner.get(place) or [] if place else []
            if place:
                owner = parts[key[2]] if key[2] < len(parts) else {}
            if owner.get(field):
                self._texts[key].add(owner[field])
        return self._texts[key]

    def _forget(self, path: Tuple[Any, ...]) -> None:
        """Texts that came whole by now need not be put together."""
        self._texts = {k: text for k, text in self._texts.items() if k[: len(path)] != path}

    def _output(self) -> List[Dict[str, Any]]:
        """The items of the output so far."""
        items = {index: plain(item) for index, item in self._items.items()}
        for (index, place, number, field), text in self._texts.items():
            owner = items.setdefault(index, {})
            if place:
                parts = owner.setdefault(place, [])
                if number >= len(parts):
                    put(parts, number, {})
                owner = parts[number]
            owner[field] = text.upto()
        return [items[index] for index in sorted(items)]

    def snapshot(self) -> ParsedResponse[T]:
        """The response so far."""
        made: ParsedResponse[T] = decode(
            "ParsedResponse", dict(plain(self._response), output=self._output())
        )
        return made


def put(items: List[Any], index: Optional[int], item: Any) -> None:
    """Set `items[index]`, making the list longer if need be."""
    if index is None:
        items.append(item)
        return
    while len(items) <= index:
        items.append({})
    items[index] = item


def parsed_text(text: str, kind: Any, phase: Optional[str]) -> Any:
    """A text of the answer as `kind`; None for comments on the way to it."""
    if not isinstance(kind, type) or phase not in (None, "final_answer"):
        return None
    return parse_json_as(kind, text)


def parsed_response(parsed: Any, kind: Any, tools: List[Any]) -> Any:
    """The JSON of a response with what `kind` and `tools` make of it."""
    try:
        return parsed_output(parsed, kind, tools)
    except OutputParseError as err:
        cut = (parsed.get("incomplete_details") or {}).get("reason")
        if not cut:
            raise
        raise OutputParseError(f"the answer was cut ({cut}): {err}", text=err.text) from None


def parsed_output(parsed: Any, kind: Any, tools: List[Any]) -> Any:
    for item in parsed.get("output") or () if isinstance(parsed, dict) else ():
        if item.get("type") == "message":
            for part in item.get("content") or ():
                if part.get("type") == "output_text":
                    part["parsed"] = parsed_text(part["text"], kind, item.get("phase"))
        elif item.get("type") == "function_call":
            item["parsed_arguments"] = tool_arguments(
                tools, item["name"], item["arguments"], item.get("namespace")
            )
    return parsed


def incomplete(stream: Any, missing: str, snapshot: Any) -> IncompleteStreamError:
    """The error for a stream that ended too early."""
    count = stream._reader.count
    error = IncompleteStreamError(
        message=f"Connection error. (the stream ended after {count} events without {missing})",
        request=stream.response.request,
    )
    error.snapshot = snapshot
    return error


class EventStream(Generic[E]):
    """Events made of those of a Stream, which a state accumulates: `state.handle(item)` has them.

    Iterate over it within `with`; what it has accumulated can be read during and after that.
    """

    def __init__(self, raw: Stream[Any], state: Any) -> None:
        self._raw_stream, self._state = raw, state
        self._events: Generator[E, None, None] = self._iterate(raw, state)

    @staticmethod  # see Stream
    def _iterate(raw: Stream[Any], state: Any) -> Generator[Any, None, None]:
        for item in raw:
            yield from state.handle(item)

    @property
    def response(self) -> HTTPResponse:
        return self._raw_stream.response

    def __iter__(self) -> Iterator[E]:
        return self._events

    def __next__(self) -> E:
        return next(self._events)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Release the connection; iteration is over."""
        self._raw_stream.close()

    def until_done(self) -> Self:
        """Read the stream to its end."""
        for _ in self._events:
            pass
        return self


class AsyncEventStream(Generic[E]):
    """The same for the async client."""

    def __init__(self, raw: AsyncStream[Any], state: Any) -> None:
        self._raw_stream, self._state = raw, state
        self._events: List[E] = []  # last first

    @property
    def response(self) -> HTTPResponse:
        return self._raw_stream.response

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._events:
            self._events = self._state.handle(await self._raw_stream.__anext__())[::-1]
        return self._events.pop()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Release the connection; iteration is over."""
        self._events = []
        await self._raw_stream.close()

    async def until_done(self) -> Self:
        """Read the stream to its end."""
        async for _ in self:
            pass
        return self


class StreamManager(Generic[T]):
    """What a stream() method returns: `with` sends the request, and hangs up at its end."""

    def __init__(self, start: Callable[[], T]) -> None:
        self._start = start
        self._stream: Any = None

    def __enter__(self) -> T:
        stream = self._stream = self._start()
        return stream

    def __exit__(self, *exc: object) -> None:
        if self._stream is not None:
            self._stream.close()


class AsyncStreamManager(Generic[T]):
    """The same for the async client: `async with`."""

    def __init__(self, start: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._start = start
        self._stream: Any = None

    async def __aenter__(self) -> T:
        stream = self._stream = await self._start()
        return stream

    async def __aexit__(self, *exc: object) -> None:
        if self._stream is not None:
            await self._stream.close()


def stream_manager(
    client: Any, call: Call, made: Callable[[Any], Any], before: Callable[[], object] = bool
) -> Any:
    """What a method that streams returns: `with` calls `before`, and then the API.

    It gives what was `made` of the Stream, or AsyncStream, that came.
    """

    def start() -> Any:
        before()
        return made(client._perform(call))

    async def start_async() -> Any:
        before()
        return made(await client._perform(call))

    return AsyncStreamManager(start_async) if client.is_async else StreamManager(start)


class ChatCompletionStream(EventStream["ChatCompletionStreamEvent[T]"], Generic[T]):
    """The events of a chat completion, and what they add up to."""

    _state: ChatCompletionStreamState[T]

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[T]:
        """The answer so far."""
        return self._state.current_completion_snapshot

    def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Read to the end; returns the whole answer, parsed as by chat.completions.parse().

        Raises IncompleteStreamError if the stream ended before the answer did.
        """
        self.until_done()
        return final_completion(self._raw_stream, self._state)


class AsyncChatCompletionStream(AsyncEventStream["ChatCompletionStreamEvent[T]"], Generic[T]):
    """The same for the async client."""

    _state: ChatCompletionStreamState[T]

    @property
    def current_completion_snapshot(self) -> ParsedChatCompletion[T]:
        """The answer so far."""
        return self._state.current_completion_snapshot

    async def get_final_completion(self) -> ParsedChatCompletion[T]:
        """Read to the end; returns the whole answer.  Raises IncompleteStreamError."""
        await self.until_done()
        return final_completion(self._raw_stream, self._state)


def final_completion(
    stream: Any, state: ChatCompletionStreamState[T]
) -> ParsedChatCompletion[T]:
    if not state.is_complete():
        raise incomplete(stream, "a finish reason", state._snapshot() if state._fields else None)
    return state.get_final_completion()


class ResponseStream(EventStream["AccumulatedResponseEvent[T]"], Generic[T]):
    """The events of a response, and what they add up to."""

    _state: ResponseStreamState[T]

    @property
    def current_response_snapshot(self) -> ParsedResponse[T]:
        """The response so far."""
        return self._state.snapshot()

    def get_final_response(self) -> ParsedResponse[T]:
        """Read to the end; returns the response, parsed as by responses.parse().

        Its `status` tells whether it is "completed"; what is "incomplete" or "failed" is not
        parsed.  Raises IncompleteStreamError if the stream ended before the response did.
        """
        self.until_done()
        return final_response(self._raw_stream, self._state)


class AsyncResponseStream(AsyncEventStream["AccumulatedResponseEvent[T]"], Generic[T]):
    """The same for the async client."""

    _state: ResponseStreamState[T]

    @property
    def current_response_snapshot(self) -> ParsedResponse[T]:
        """The response so far."""
        return self._state.snapshot()

    async def get_final_response(self) -> ParsedResponse[T]:
        """Read to the end; returns the response.  Raises IncompleteStreamError."""
        await self.until_done()
        return final_response(self._raw_stream, self._state)


def final_response(stream: Any, state: ResponseStreamState[T]) -> ParsedResponse[T]:
    if state.final is None:
        raise incomplete(stream, "a `response.completed`", state.snapshot())
    return state.final


draft_classes(False)  # from here on, again when their statement runs


# ---- 9.4 Assistants ---- https://platform.openai.com/docs/api-reference/assistants-streaming

if TYPE_CHECKING:
    AssistantToolCall = Union[CodeInterpreterToolCall, RunStepFileSearchToolCall, FunctionToolCall]
    AssistantToolCallDelta = Union[
        CodeInterpreterToolCallDelta, FileSearchToolCallDelta, FunctionToolCallDelta
    ]
    HandlerT = TypeVar("HandlerT", bound="AssistantEventHandler")
    AsyncHandlerT = TypeVar("AsyncHandlerT", bound="AsyncAssistantEventHandler")
    Hook = Tuple[str, Tuple[Any, ...]]  # the name of a method of a handler, and its arguments


class RunState:
    """What the events of a run have told so far, and which hooks of a handler each of them calls.

    When which hook is called is what the official package does, its oddities included: programs
    rely on it.  Tool calls and blocks of content are told apart by their index alone, so the last
    one of a step or message is not done before something else begins.
    """

    def __init__(self) -> None:
        self.event: Optional[AssistantStreamEvent] = None  # while its hooks are called
        self.run: Optional[Run] = None
        self.over = False
        self.steps: Dict[str, RunStep] = {}
        self.step_id: Optional[str] = None
        self.messages: Dict[str, Message] = {}
        self.message: Optional[Message] = None
        self.block_index: Optional[int] = None
        self.block: Any = None
        self.call_index: Optional[int] = None
        self.call: Any = None

    def hooks(self, event: Any) -> Iterator[Hook]:
        """The hooks to call, in order; each finds the state as it is to be at its time."""
        self.event = event
        yield "on_event", (event,)
        name: Any = getattr(event, "event", None)
        data: Any = getattr(event, "data", None)
        if name in RUN_ENDS:
            self.run, self.over = data, True
            yield from self.call_done()
        elif name in (
            "thread.run.created", "thread.run.queued", "thread.run.in_progress",
            "thread.run.cancelling",
        ):
            self.run = data
        elif name == "thread.message.created":
            self.message = self.messages[data.id] = data
            yield "on_message_created", (data,)
        elif name == "thread.message.delta":
            yield from self.message_delta(data)
        elif name in ("thread.message.completed", "thread.message.incomplete"):
            self.message = self.messages[data.id] = data
            yield from block_done(entry_of(data.content, self.block_index))
            yield "on_message_done", (data,)
        elif name == "thread.run.step.created":
            self.steps[data.id], self.step_id = data, data.id
            yield "on_run_step_created", (data,)
        elif name == "thread.run.step.in_progress":
            self.step_id = data.id
        elif name == "thread.run.step.delta":
            yield from self.step_delta(data)
        elif name in (
            "thread.run.step.completed", "thread.run.step.failed", "thread.run.step.cancelled",
            "thread.run.step.expired",
        ):
            yield from self.call_done()
            yield "on_run_step_done", (data,)
            self.steps[data.id], self.step_id = data, None
        self.event = None

    def call_done(self) -> Iterator[Hook]:
        if self.call is not None:
            yield "on_tool_call_done", (self.call,)

    def message_delta(self, data: Any) -> Iterator[Hook]:
        message: Any = self.messages.get(data.id, self.message)
        if message is None:
            raise RuntimeError(f"a piece came of the message {data.id!r}, which has not begun")
        self.message = message
        message.content = message.content or []
        pieces = data.delta.content or []
        # First all of them, so that the hooks see the message as it is after this event.
        new = [piece for piece in pieces if add_piece(message.content, piece)]
        for piece in new:
            block = entry_of(message.content, index_of(piece))
            if getattr(block, "type", None) == "text":
                yield "on_text_created", (block.text,)
        for piece in pieces:
            index = index_of(piece)
            block = entry_of(message.content, index)
            if piece.type == "text" and piece.text:
                yield "on_text_delta", (piece.text, getattr(block, "text", None))
            if index != self.block_index:
                yield from block_done(self.block)
                self.block_index = index
            self.block = block
        yield "on_message_delta", (data.delta, message)

    def step_delta(self, data: Any) -> Iterator[Hook]:
        if data.id not in self.steps:
            raise RuntimeError(f"a piece came of the step {data.id!r}, which has not begun")
        merged = accumulate_delta({}, vars(self.steps[data.id]))
        step: Any = decode("RunStep", accumulate_delta(merged, vars(data.delta)))
        self.steps[data.id] = step
        for piece in getattr(data.delta.step_details, "tool_calls", None) or []:
            index = index_of(piece)
            call = entry_of(step.step_details.tool_calls, index)
            if index == self.call_index:
                yield "on_tool_call_delta", (piece, call)
            else:
                yield from self.call_done()
                self.call_index, self.call = index, call
                yield "on_tool_call_created", (call,)
            self.call = call
        yield "on_run_step_delta", (data.delta, step)


def block_done(block: Any) -> Iterator[Hook]:
    if getattr(block, "type", None) == "text":
        yield "on_text_done", (block.text,)
    elif getattr(block, "type", None) == "image_file":
        yield "on_image_file_done", (block.image_file,)


def index_of(piece: Any) -> Optional[int]:
    index = getattr(piece, "index", None)
    return index if isinstance(index, int) else None


def entry_of(entries: Sequence[Any], index: Optional[int]) -> Any:
    """The object of this index (see place_of), or None."""
    if index is None:
        return None
    place, found = place_of(index, [vars(entry) for entry in entries])
    return entries[place] if found else None


def add_piece(blocks: List[Any], piece: Any) -> bool:
    """Add a piece of a message to its content; True if a block begins with it."""
    index, place, found = index_of(piece), len(blocks), False
    if index is not None:
        place, found = place_of(index, [vars(block) for block in blocks])
    whole = accumulate_delta({}, vars(blocks[place])) if found else {}
    # Made anew, so that blocks which hooks have been given stay as they were.
    made = decode("Message", {"content": [accumulate_delta(whole, vars(piece))]}).content
    blocks[place : place + found] = made
    return not found


class RunHandler:
    """What both event handlers share.

    Its names are long, to leave the short ones to those who subclass the handlers.
    """

    def __init__(self) -> None:
        self._run_state = RunState()
        self._run_stream: Any = None
        self._run_read_all = False  # the stream's `completed` is known a batch of events earlier

    def _init(self, stream: Any) -> Self:
        self._run_unused()
        self._run_stream = stream
        return self

    def _run_unused(self) -> None:
        if self._run_stream is not None:
            raise RuntimeError(
                "this event handler has had its stream: each stream needs a handler of its own"
            )

    def _run_started(self) -> Any:
        if self._run_stream is None:
            raise RuntimeError("there is no stream yet: it starts with the `with` block")
        return self._run_stream

    def _run_final(self, found: Any, what: str) -> Any:
        """`found`, unless the stream ended before all of it can have come."""
        if not self._run_state.over and not (self._run_read_all and self._run_stream.completed):
            raise incomplete(self._run_stream, "the end of the run", found)
        if not found:
            raise RuntimeError(f"there was no {what} in the stream")
        return found

    @property
    def current_event(self) -> Optional[AssistantStreamEvent]:
        """The event whose hooks are being called."""
        return self._run_state.event

    @property
    def current_run(self) -> Optional[Run]:
        """The run as the latest event about it has it."""
        return self._run_state.run

    @property
    def current_run_step_snapshot(self) -> Optional[RunStep]:
        """The step that is going on, with all pieces that have come."""
        return self._run_state.steps.get(self._run_state.step_id or "")

    @property
    def current_message_snapshot(self) -> Optional[Message]:
        """The latest message, with all pieces that have come."""
        return self._run_state.message


class AssistantEventHandler(RunHandler):
    """The events of a run: iterate over them, or subclass this to be called: on_text_delta() etc.

    One handler serves one stream.  `text_deltas` iterates over just the pieces of text.
    """

    text_deltas: Iterator[str]

    def __init__(self) -> None:
        super().__init__()
        self._run_events = self.__iterate()
        self.text_deltas = self.__iterate_text()

    def __iterate(self) -> Generator[AssistantStreamEvent, None, None]:
        stream = self._run_started()
        try:
            for event in stream:
                for name, args in self._run_state.hooks(event):
                    getattr(self, name)(*args)
                yield event
            self._run_read_all = True
        except Exception as err:
            if is_timeout(err):
                self.on_timeout()
            self.on_exception(err)
            raise
        finally:
            self.on_end()

    def __iterate_text(self) -> Iterator[str]:
        for event in self._run_events:
            yield from texts_in(event)

    def __iter__(self) -> Iterator[AssistantStreamEvent]:
        return self._run_events

    def __next__(self) -> AssistantStreamEvent:
        return next(self._run_events)

    def close(self) -> None:
        """Release the connection; iteration is over."""
        if self._run_stream is not None:
            self._run_stream.close()
            events: Any = self._run_events
            if not events.gi_running:  # else a hook has called this
                events.close()

    def until_done(self) -> None:
        """Read the stream to its end; what happens is told to the hooks."""
        for _ in self._run_events:
            pass

    def get_final_run(self) -> Run:
        """Read the stream to its end and return the run, which may wait for tool outputs now."""
        self.until_done()
        run: Run = self._run_final(self._run_state.run, "run")
        return run

    def get_final_run_steps(self) -> List[RunStep]:
        """Read the stream to its end and return the steps."""
        self.until_done()
        return list(self._run_final(self._run_state.steps, "run step").values())

    def get_final_messages(self) -> List[Message]:
        """Read the stream to its end and return the messages that the run has written."""
        self.until_done()
        return list(self._run_final(self._run_state.messages, "message").values())

    def on_end(self) -> None:
        """The stream is over: read to its end, closed, or broken by an exception."""

    def on_event(self, event: AssistantStreamEvent) -> None:
        """An event of any kind has come; the snapshots do not have it yet."""

    def on_run_step_created(self, run_step: RunStep) -> None:
        """A step has begun."""

    def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None:
        """A piece of a step has come; `snapshot` is the step with it."""

    def on_run_step_done(self, run_step: RunStep) -> None:
        """A step is over; its `status` tells how it went."""

    def on_tool_call_created(self, tool_call: AssistantToolCall) -> None:
        """A tool call has begun, with its first piece; on_tool_call_delta has the others."""

    def on_tool_call_delta(
        self, delta: AssistantToolCallDelta, snapshot: AssistantToolCall
    ) -> None:
        """A further piece of a tool call has come; `snapshot` is the call with it."""

    def on_tool_call_done(self, tool_call: AssistantToolCall) -> None:
        """Another tool call begins, or the step or the run is over: it may come more than once."""

    def on_exception(self, exception: Exception) -> None:
        """Reading has failed, or another hook has raised; raised again after this."""

    def on_timeout(self) -> None:
        """A time limit has passed; on_exception comes next."""

    def on_message_created(self, message: Message) -> None:
        """A message has begun; it has no content yet."""

    def on_message_delta(self, delta: MessageDelta, snapshot: Message) -> None:
        """A piece of a message has come; `snapshot` is the message with it."""

    def on_message_done(self, message: Message) -> None:
        """A message is over; its `status` tells whether it is whole."""

    def on_text_created(self, text: MessageText) -> None:
        """A block of text has begun, with its first piece."""

    def on_text_delta(self, delta: TextDelta, snapshot: MessageText) -> None:
        """A piece of text has come, also the first one; `snapshot` is the text with it."""

    def on_text_done(self, text: MessageText) -> None:
        """A block of text is over."""

    def on_image_file_done(self, image_file: ImageFile) -> None:
        """A block that is an image is over."""


class AsyncAssistantEventHandler(RunHandler):
    """The same for the async client; the hooks are coroutines, and named and called the same."""

    text_deltas: AsyncIterator[str]

    def __init__(self) -> None:
        super().__init__()
        self._run_events = self.__iterate()
        self.text_deltas = self.__iterate_text()

    async def __iterate(self) -> AsyncGenerator[AssistantStreamEvent, None]:
        stream = self._run_started()
        try:
            async for event in stream:
                for name, args in self._run_state.hooks(event):
                    await getattr(self, name)(*args)
                yield event
            self._run_read_all = True
        except Exception as err:
            if is_timeout(err):
                await self.on_timeout()
            await self.on_exception(err)
            raise
        finally:
            await self.on_end()

    async def __iterate_text(self) -> AsyncIterator[str]:
        async for event in self._run_events:
            for text in texts_in(event):
                yield text

    def __aiter__(self) -> AsyncIterator[AssistantStreamEvent]:
        return self._run_events

    async def __anext__(self) -> AssistantStreamEvent:
        return await self._run_events.__anext__()

    async def close(self) -> None:
        """Release the connection; iteration is over."""
        if self._run_stream is not None:
            await self._run_stream.close()
            events: Any = self._run_events
            if not events.ag_running:  # else a hook has called this
                await events.aclose()

    async def until_done(self) -> None:
        """Read the stream to its end; what happens is told to the hooks."""
        async for _ in self._run_events:
            pass

    async def get_final_run(self) -> Run:
        """Read the stream to its end and return the run, which may wait for tool outputs now."""
        await self.until_done()
        run: Run = self._run_final(self._run_state.run, "run")
        return run

    async def get_final_run_steps(self) -> List[RunStep]:
        """Read the stream to its end and return the steps."""
        await self.until_done()
        return list(self._run_final(self._run_state.steps, "run step").values())

    async def get_final_messages(self) -> List[Message]:
        """Read the stream to its end and return the messages that the run has written."""
        await self.until_done()
        return list(self._run_final(self._run_state.messages, "message").values())

    async def on_end(self) -> None: ...
    async def on_event(self, event: AssistantStreamEvent) -> None: ...
    async def on_run_step_created(self, run_step: RunStep) -> None: ...
    async def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None: ...
    async def on_run_step_done(self, run_step: RunStep) -> None: ...
    async def on_tool_call_created(self, tool_call: AssistantToolCall) -> None: ...
    async def on_tool_call_delta(
        self, delta: AssistantToolCallDelta, snapshot: AssistantToolCall
    ) -> None: ...
    async def on_tool_call_done(self, tool_call: AssistantToolCall) -> None: ...
    async def on_exception(self, exception: Exception) -> None: ...
    async def on_timeout(self) -> None: ...
    async def on_message_created(self, message: Message) -> None: ...
    async def on_message_delta(self, delta: MessageDelta, snapshot: Message) -> None: ...
    async def on_message_done(self, message: Message) -> None: ...
    async def on_text_created(self, text: MessageText) -> None: ...
    async def on_text_delta(self, delta: TextDelta, snapshot: MessageText) -> None: ...
    async def on_text_done(self, text: MessageText) -> None: ...
    async def on_image_file_done(self, image_file: ImageFile) -> None: ...


def texts_in(event: Any) -> List[str]:
    """The pieces of text that an event brings."""
    if getattr(event, "event", None) != "thread.message.delta":
        return []
    pieces = event.data.delta.content or []
    return [p.text.value for p in pieces if p.type == "text" and p.text and p.text.value]


def is_timeout(err: BaseException) -> bool:
    # asyncio.TimeoutError, of a hook, is another class than TimeoutError before Python 3.11.
    return isinstance(err, APITimeoutError) or type(err).__name__ == "TimeoutError"


def manage_run(client: Any, call: Call, handler: Any) -> Any:
    """What the streaming methods of runs return: `with` sends the call and gives the handler."""
    if handler is None:
        handler = AsyncAssistantEventHandler() if client.is_async else AssistantEventHandler()
    return stream_manager(client, call, handler._init, before=handler._run_unused)


# ---- 9.5 Polling ----

DEFAULT_POLL_INTERVAL = 1000  # milliseconds


def check_polling(poll_interval_ms: int, max_wait_seconds: float) -> None:
    """ValueError for what makes no sense; a helper asks before it sends anything."""
    if not isinstance(poll_interval_ms, Omit) and not poll_interval_ms >= 0:
        raise ValueError(f"poll_interval_ms cannot be {poll_interval_ms!r}")
    if not isinstance(max_wait_seconds, Omit) and not 0 <= max_wait_seconds < float("inf"):
        raise ValueError(
            f"max_wait_seconds must be finite and not negative, not {max_wait_seconds!r}"
        )


def poll_after(headers: Mapping[str, str]) -> int:
    """The milliseconds after which the server wants to be asked again."""
    text = headers.get("openai-poll-after-ms") or ""
    return int(text) if text.isdecimal() and len(text) < 10 else DEFAULT_POLL_INTERVAL


def for_each(options: Mapping[str, Any]) -> Dict[str, Any]:
    """The options of a helper that go with each of its requests; a body belongs to one of them."""
    names = ("extra_headers", "extra_query", "timeout")
    return {name: options[name] for name in names if name in options}


def poll_until(
    finished: Callable[[T], bool], what: str, ask: Callable[[Dict[str, Any]], LegacyAPIResponse[T]],
    poll_interval_ms: int, max_wait_seconds: float, options: Mapping[str, Any],
) -> Steps[T]:
    """Ask until the answer is `finished`, and return it.

    Between two requests it waits `poll_interval_ms`, or as long as the last answer says, or a
    second.  Raises TimeoutError once `max_wait_seconds` have passed: with 0 without a request.
    What is on its way then is not cut off: that is for `timeout`.
    """
    check_polling(poll_interval_ms, max_wait_seconds)
    headers = dict({"X-Stainless-Poll-Helper": "true"}, **(options.get("extra_headers") or {}))
    if not isinstance(poll_interval_ms, Omit):
        headers["X-Stainless-Custom-Poll-Interval"] = str(poll_interval_ms)
    sent = for_each(dict(options, extra_headers=headers))
    deadline = float("inf") if isinstance(max_wait_seconds, Omit) else clock() + max_wait_seconds
    state = "not asked for"
    while True:
        if clock() >= deadline:
            raise TimeoutError(f"{what} is still {state} after {max_wait_seconds} seconds")
        response: LegacyAPIResponse[T] = (yield ask(sent))
        found = response.parse()
        if finished(found):
            return found
        state = repr(getattr(found, "status", None))
        wait = poll_interval_ms
        if isinstance(wait, Omit):
            wait = poll_after(response.headers)
        yield Pause(min(wait / 1000, max(0.0, deadline - clock())))


# ---- 9.6 Uploads in bulk ----

DEFAULT_PART_SIZE = 64 << 20  # bytes, the most that the API takes


class TotalProgress:
    """Adds up the progress of several uploads for one callback, which it calls one at a time.

    `sizes` are those of the files, None where it is not known.  What a request sends besides its
    file is not counted.
    """

    def __init__(self, progress: Progress, sizes: Sequence[Optional[int]]) -> None:
        import threading

        self.progress, self.sizes, self.lock = progress, sizes, threading.Lock()
        self.sent = [0] * len(sizes)
        self.total = None if None in sizes else sum(size or 0 for size in sizes)
        self.failure: Optional[BaseException] = None  # what the callback raised, for all to stop at

    def of(self, i: int) -> Progress:
        size = self.sizes[i]

        def report(sent: int, in_all: Optional[int]) -> None:
            with self.lock:
                if self.failure is not None:
                    raise self.failure
                self.sent[i] = sent if size is None else size * sent // (in_all or 1)
                try:
                    self.progress(sum(self.sent), self.total)
                except BaseException as err:
                    self.failure = err
                    raise

        return report


def size_of_file(file: Any) -> Optional[int]:
    """The bytes of what a caller passed as a file, if that can be told without reading it."""
    content: Any = file[1] if isinstance(file, tuple) and len(file) > 1 else file
    try:
        if isinstance(content, (bytes, bytearray)):
            return len(content)
        if isinstance(content, os.PathLike):
            return os.path.getsize(content)
        size: int = content.seek(0, os.SEEK_END)
        return size
    except (AttributeError, OSError):
        return None


def name_of_file(i: int, file: Any, taken: Mapping[str, Any]) -> str:
    """What to call the file number `i` in an error."""
    if isinstance(file, tuple) and file:
        name: Any = file[0]
    else:
        name = os.fspath(file) if isinstance(file, os.PathLike) else getattr(file, "name", None)
    if not isinstance(name, str):
        return f"files[{i}]"
    return f"{name} (files[{i}])" if name in taken else name


def check_concurrency(limit: int) -> None:
    if not limit >= 1:
        raise ValueError(f"max_concurrency must be at least 1, not {limit!r}")


def upload_files(
    client: Any, files: List[Any], max_concurrency: int, options: Mapping[str, Any]
) -> Steps[List[FileObject]]:
    """Upload all for the use of assistants, and return what came of them, in their order.

    If some fail, the others are uploaded nevertheless, and then BulkUploadError is raised.
    """
    progress = options.get("progress")
    total = TotalProgress(progress, [size_of_file(file) for file in files]) if progress else None

    def upload(i: int) -> Steps[FileObject]:
        sent = for_each(options)
        if total is not None:
            if total.failure is not None:
                raise total.failure
            sent["progress"] = total.of(i)
        uploaded: FileObject = (yield client.files.create(
            file=files[i], purpose="assistants", **sent
        ))
        return uploaded

    limit = min(max_concurrency, len(files))
    results: List[Any] = (yield Together(map(upload, range(len(files))), limit))
    if total is not None and total.failure is not None:
        raise total.failure
    errors: Dict[str, BaseException] = {}
    for i, result in enumerate(results):
        if isinstance(result, BaseException):
            errors[name_of_file(i, files[i], errors)] = result
    if errors:
        uploaded = [None if isinstance(each, BaseException) else each for each in results]
        raise BulkUploadError(uploaded, errors) from next(iter(errors.values()))
    return results


def share_file(file: Any) -> Tuple[str, SharedFile]:
    """(name, content) of what upload_file_chunked() was given."""
    if isinstance(file, str):
        import pathlib

        file = pathlib.Path(file)
    name, part, _ = file_part("file", file)
    if not isinstance(part, FilePart):
        part = FilePart(io.BytesIO(part), len(part), "the data")  # which copies nothing
    return name or "", SharedFile(part)


def md5_of(shared: SharedFile) -> Optional[str]:
    """In hexadecimal; None where Python was built without it, as FIPS 140 demands."""
    import hashlib

    try:
        # Some of these builds allow it if it is not for security, which it is not.
        kwargs: Any = {"usedforsecurity": False} if sys.version_info >= (3, 9) else {}
        found = hashlib.md5(**kwargs)
    except ValueError:
        return None
    window = FileWindow(shared, 0, shared.part.size)
    for block in FilePart(window, window.size, shared.part.label).blocks():
        found.update(block)
    return found.hexdigest()


def upload_parts(
    uploads: Uploads[OpenAI], upload_id: str, shared: SharedFile, part_size: int,
    md5: Optional[str], max_concurrency: int, options: Mapping[str, Any],
) -> Steps[Upload]:
    """Send a file in parts, and complete the upload.  The first error ends it all."""
    size = shared.part.size
    windows: List[Any] = [
        FileWindow(shared, start, min(part_size, size - start))
        for start in range(0, size, part_size)
    ]
    progress = options.get("progress")
    total = TotalProgress(progress, [window.size for window in windows]) if progress else None
    failed: List[int] = []  # which jobs, in the order of time; errors would hold this frame

    def checked(i: int, work: Steps[T]) -> Steps[T]:
        try:
            return (yield from work)
        except BaseException:
            failed.append(i)
            shared.close()
            raise

    def send(i: int) -> Steps[UploadPart]:
        report = None if total is None else total.of(i)
        part: UploadPart = (yield uploads.parts.create(
            upload_id, data=windows[i], progress=report, **for_each(options)
        ))
        return part

    def add_up() -> Steps[Optional[str]]:
        found: Optional[str] = (yield Apart(lambda: md5_of(shared)))
        return found

    jobs: List[Steps[Any]] = [send(i) for i in range(len(windows))]
    limit = min(max_concurrency, len(jobs))
    if isinstance(md5, Omit):  # reads the file once more while it is being sent
        jobs.insert(0, add_up())
        limit += 1
    results: List[Any] = (yield Together(map(checked, range(len(jobs)), jobs), limit))
    if failed:
        error = results[failed[0]]
        try:
            raise error
        finally:
            del results, error
    if isinstance(md5, Omit):
        md5 = results.pop(0)
    done: Upload = (yield uploads.complete(
        upload_id, part_ids=[part.id for part in results], md5=omit if md5 is None else md5,
        **for_each(options)
    ))
    return done


# ---- 9.7 Webhooks ---- https://platform.openai.com/docs/guides/webhooks
# They are signed as https://www.standardwebhooks.com specifies it.


def check_signature(
    payload: Union[str, bytes], headers: HeadersLike, secret: Optional[str], tolerance: int
) -> None:
    """Raise InvalidWebhookSignatureError unless `payload` was signed with `secret` just now."""
    import base64
    import hmac

    if not secret:  # an empty one would let everybody sign
        raise ValueError(
            "no webhook secret: pass secret=..., make the client with webhook_secret=..., or set "
            "the environment variable OPENAI_WEBHOOK_SECRET"
        )
    if not isinstance(payload, (str, bytes, bytearray)):
        raise TypeError(
            f"payload must be the body as it came, str or bytes, not {type(payload).__name__}: "
            f"what was parsed and put together again has another signature"
        )
    signatures = webhook_header(headers, "webhook-signature")
    timestamp = webhook_header(headers, "webhook-timestamp")
    message_id = webhook_header(headers, "webhook-id")
    try:
        age = int(time.time()) - int(timestamp)
    except ValueError:
        raise InvalidWebhookSignatureError("Invalid webhook timestamp format") from None
    if abs(age) > tolerance:  # an old one may be a recording
        raise InvalidWebhookSignatureError(
            f"Webhook timestamp is too {'old' if age > 0 else 'new'}: by {abs(age) - tolerance} s"
        )
    key = secret.encode("utf-8")
    if secret.startswith("whsec_"):
        try:
            key = base64.b64decode(secret[len("whsec_") :])
        except ValueError:
            key = b""
        if not key:  # with which, again, everybody could sign
            raise ValueError("the webhook secret is broken: no base64 after whsec_")
    # Frameworks decode bytes that are no UTF-8 to surrogates; nobody has signed those.
    body = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else payload
    signed = f"{message_id}.{timestamp}.".encode("utf-8", "surrogatepass") + body
    expected = base64.b64encode(hmac.new(key, signed, "sha256").digest())
    # Several, separated by spaces, while a secret is being replaced.
    for signature in signatures.split():
        given = signature[3:] if signature.startswith("v1,") else signature
        if hmac.compare_digest(given.encode("utf-8", "replace"), expected):
            return
    raise InvalidWebhookSignatureError("The webhook was not signed with this secret")


def webhook_header(headers: Any, name: str) -> str:
    """A header from whatever the web framework has them in; names compare without case."""
    value = headers.get(name)
    if value is None and hasattr(headers, "items"):
        # "HTTP_WEBHOOK_ID" is how CGI and WSGI write it.
        names = (name, "http-" + name)
        value = next(
            (v for k, v in headers.items() if str(k).lower().replace("_", "-") in names), None
        )
    for variant in (name.title(), name.upper()):  # where only get() is left
        value = headers.get(variant) if value is None else value
    if not isinstance(value, str):
        raise ValueError(f"Could not find {name} header")
    return value


# ---- 9.8 Agents ---- https://platform.openai.com/docs/api-reference/agents

if TYPE_CHECKING:
    AgentToolHandler = Union[Callable[[Dict[str, Any]], Any], CallableTool[..., Any]]

TURN_ENDS = tuple("agent.session.turn." + end for end in ("completed", "failed", "cancelled"))


class AgentToolError(BaseModel):
    """What went wrong in a tool of yours, for `on_tool_error`; it is sent to nobody."""

    error: Exception
    tool_name: str
    session_id: str
    turn_id: str
    call_id: str
    stage: Literal["arguments", "execution", "output"]


class AgentTurnResult(BaseModel, Generic[T]):
    """The answer of a turn that was completed: its last messages, without commentary."""

    turn: Turn
    messages: List[AgentSessionItem]
    output_parsed: Optional[T] = None

    @property
    def session_id(self) -> str:
        return self.turn.session_id

    @property
    def turn_id(self) -> str:
        return self.turn.id

    @property
    def output_text(self) -> str:
        """The text of the messages in one piece."""
        return "".join(message.output_text for message in self.messages)

    def parse(self, output_type: Type[R]) -> AgentTurnResult[R]:
        """The same, with the first text as a class; each has to fit, or AgentOutputParseError."""
        parts = [part for message in self.messages for part in message.content or ()]
        try:
            texts = [part.text for part in parts if part.type == "output_text"]
            parsed = [parse_json_as(output_type, text) for text in texts][0]
        except Exception:
            raise AgentOutputParseError(self) from None  # the cause may quote the answer
        return AgentTurnResult(turn=self.turn, messages=self.messages, output_parsed=parsed)


class AgentTurnState:
    """What the events of a session tell about one turn of its main agent: the first that begins."""

    def __init__(self, session_id: Optional[str], handlers: Mapping[str, Any]) -> None:
        self.session_id, self.handlers = session_id, handlers
        self.collecting = self.started = False
        self.over = self.ended = self.failed = False  # all of it, the turn, the session
        self.turn: Optional[Turn] = None
        self.required: List[Any] = []
        self.found: Dict[Any, Tuple[int, AgentSessionItem]] = {}
        self.recent: Dict[str, None] = {}
        self.called: Dict[Tuple[Any, Any], None] = {}
        self.cause: Optional[Exception] = None
        self.error: Optional[AgentTurnResultError] = None

    def collect(self) -> None:
        if self.started and not self.collecting:
            raise RuntimeError("call with_result_collection() before the first event is read")
        self.collecting = True

    def is_new(self, event: Any) -> bool:
        """Events may be delivered twice."""
        key = getattr(event, "event_id", None)
        if key in self.recent:
            return False
        if key is not None:
            self.recent[key] = None
        if len(self.recent) > 1024:  # as many as the official client remembers
            del self.recent[next(iter(self.recent))]
        return True

    def accept(self, event: Any) -> None:
        kind = getattr(event, "type", None)
        self.started = True
        if self.over:
            return
        mine = self.turn is not None and getattr(event, "turn_id", None) == self.turn.id
        if kind == "agent.session.turn.created":
            if self.turn is None and event.turn.subagent_id is None:
                self.turn = event.turn.model_copy(deep=True)
                self.session_id = event.session_id or self.session_id
        elif kind in TURN_ENDS and mine:
            self.turn, self.ended, self.required = event.turn.model_copy(deep=True), True, []
        elif kind == "agent.session.turn.item.done" and self.collecting and self.turn is not None:
            item = event.item
            if (item.type, item.turn_id, item.status) == ("message", self.turn.id, "completed"):
                if item.phase != "commentary":
                    self.found[item.id] = (event.output_index or 0, item.model_copy(deep=True))
        elif kind == "agent.session.in_progress":
            self.required = []
        elif kind == "agent.session.requires_action":
            self.required = event.session.model_copy(deep=True).required_actions or []
        elif kind == "agent.session.failed":
            self.failed = self.over = True
        elif kind == "agent.session.idle":  # some are, before the turn begins
            self.over = self.ended
        elif kind == "agent.session.budget_reached":
            same = self.session_id in (None, event.session.id)
            self.over = same and (self.turn is None or self.ended)
        named = ("agent.session.created", "agent.session.requires_action", "agent.session.failed")
        if kind in named or (self.over and kind == "agent.session.budget_reached"):
            self.session_id = event.session.id
        if self.over and not self.failed:
            self.required = []

    def call_in(self, event: Any) -> Optional[Tuple[str, AgentSessionItem, Any]]:
        """(session_id, the call, its handler) where an event brings a call to be answered here."""
        if getattr(event, "type", None) != "agent.session.turn.item.added":
            return None
        call = event.item
        key = (call.turn_id, call.call_id)
        if call.type != "function_call" or call.name not in self.handlers or key in self.called:
            return None
        self.called[key] = None
        # A copy, as the event is the caller's now.
        return event.session_id, call.model_copy(deep=True), self.handlers[call.name]

    def messages(self) -> List[AgentSessionItem]:
        return [item for _, item in sorted(self.found.values(), key=lambda pair: pair[0])]

    def failure(self, reason: Any) -> AgentTurnResultError:
        if self.error is None:
            self.error = AgentTurnResultError(
                reason, turn=self.turn, session_id=self.session_id, messages=self.messages(),
                required_actions=self.required,
            )
        return self.error

    def check(self, handled: Iterable[str] = ()) -> None:
        """Raise what is known already to prevent a result."""
        status = None if self.turn is None else self.turn.status
        if self.error is not None:
            raise self.error
        if self.failed or status == "failed":
            raise self.failure("failed")
        if status == "cancelled":
            raise self.failure("cancelled")
        for action in self.required:
            if action.type != "function_call" or action.name not in handled:
                raise self.failure("requires_action")
        if self.cause is not None:
            raise self.failure("observation_failed") from self.cause

    def result(self) -> AgentTurnResult[Any]:
        self.check()
        if not self.over or self.turn is None or self.turn.status != "completed":
            raise self.failure("incomplete")
        return AgentTurnResult(turn=self.turn, messages=self.messages())


def turn_opening(input: Any) -> Dict[str, Any]:
    """The event that sends text, or messages, to a session."""
    if isinstance(input, str):
        content = [{"type": "input_text", "text": input}]
        input = [{"role": "user", "content": content}] if input else []
    messages = list(input)
    if not messages:
        raise ValueError("input must not be empty")
    return {"type": "agent.session.input.message", "input": messages}


def turn_options(headers: Mapping[str, Any], timeout: Any) -> Dict[str, Any]:
    """Those for each request of a turn; a key is only for one of them."""
    kept = {name: value for name, value in headers.items() if name.lower() != "idempotency-key"}
    return {"extra_headers": kept, "timeout": timeout}


def is_cancelled(err: BaseException) -> bool:  # asyncio.CancelledError, in Python 3.7 an Exception
    return not isinstance(err, Exception) or (
        sys.version_info < (3, 8) and type(err).__name__ == "CancelledError"
    )


class AgentStream(Generic[T]):
    """What the streams of both clients share: a turn in steps (6.5).

    It is one that `opening` will begin, or else `raw` are the events of a session just created.
    """

    _read: Any  # gives the next event of `raw`, or None; in the async client to be awaited

    def __init__(
        self, client: Any, session_id: Optional[str], output_type: Any,
        tool_handlers: Optional[Mapping[str, Any]], on_tool_error: Any, options: Dict[str, Any],
        *, raw: Any = None, opening: Any = None, key: Any = omit,
    ) -> None:
        if output_type is not None:
            strict_schema(output_type)  # TypeError for what is none
        self._client, self._session_id, self._type = client, session_id, output_type
        self._state = AgentTurnState(session_id, dict(tool_handlers or {}))
        self._report, self._options = on_tool_error, options
        self._raw, self._opening, self._key = raw, opening, key
        self._entered = self._closed = False
        self._call: Any = None  # to be answered before the next event
        self._result: Optional[AgentTurnResult[T]] = None

    @property
    def response(self) -> HTTPResponse:
        response: HTTPResponse = self._raw.response
        return response

    def with_result_collection(self) -> Self:
        """Keep the messages for get_final_result(), though you read the events yourself first."""
        self._state.collect()
        return self

    def _hang_up(self) -> None:
        self._closed = True
        if self._raw is not None:
            self._raw.response.close()

    def _open(self) -> Steps[None]:
        if self._opening is None:
            return
        if self._entered or self._closed:
            raise RuntimeError("a turn can be entered only once")
        self._entered = True
        sessions, id = self._client.beta.agents.sessions, self._session_id
        session: AgentSession = (yield sessions.retrieve(id, **self._options))
        if session.status != "idle":
            raise ValueError(
                f"the session is {session.status}, not idle: events.stream() follows what it does"
            )
        self._raw = yield sessions.events.stream(id, **self._options)
        try:
            yield sessions.events.create(
                id, events=[self._opening], idempotency_key=new_key(self._key), **self._options
            )
        except BaseException:
            self._hang_up()
            raise

    def _next(self) -> Steps[Any]:
        """The next event, None at the end; before it, the call that the last one brought."""
        if self._raw is None and not self._closed:
            raise RuntimeError("use the stream in `with`")
        state, call, self._call = self._state, self._call, None
        try:
            if call is not None and not self._closed:
                yield from self._answer(*call)
            while not self._closed:
                event = yield self._read()
                if event is None:
                    if self._opening is not None:
                        raise incomplete(self._raw, "the end of the turn", state.turn)
                    self._hang_up()
                elif self._opening is None or state.is_new(event):
                    state.accept(event)
                    self._call = state.call_in(event)
                    if self._opening is not None and state.over:
                        self._hang_up()
                    return event
        except BaseException as err:
            if not is_cancelled(err) and state.collecting and not state.over:
                state.cause = err  # type: ignore[assignment]
            self._hang_up()
            raise

    def _answer(self, session_id: str, call: Any, handler: Any) -> Steps[None]:
        """Run a tool and send its output."""
        import json

        result: Dict[str, Any] = {
            "type": "agent.session.input.tool_result", "turn_id": call.turn_id,
            "call_id": call.call_id,
        }
        stage: Any = "arguments"
        try:
            given = call.arguments
            given = json.loads(given) if isinstance(given, str) else given
            if not isinstance(given, dict):
                raise ValueError("the arguments of a function are a JSON object")
            made = isinstance(handler, CallableTool)
            given = handler.parse_arguments(given) if made else given
            stage = "execution"
            output = handler.function(**given) if made else handler(given)
            if hasattr(output, "__await__"):
                if not self._client.is_async:
                    getattr(output, "close", bool)()  # a coroutine would warn
                    raise TypeError("an async tool needs AsyncOpenAI")
                output = yield output
            stage = "output"
            result.update(success=True, output=tool_output(output, made))
        except Exception as err:
            if is_cancelled(err):
                raise
            # Not with the text of the error, which may tell secrets.
            result.update(success=False, error="Tool handler failed.")
            if self._report is not None:
                yield from self._tell(AgentToolError(
                    error=err, tool_name=call.name, session_id=session_id,
                    turn_id=call.turn_id, call_id=call.call_id, stage=stage,
                ))
        key, create = new_key(), self._client.beta.agents.sessions.events.create
        for wait in (0.1, 0.3, 0.6, 0.0):
            try:
                yield create(session_id, events=[result], idempotency_key=key, **self._options)
                return
            except BadRequestError as err:  # the event may be here before the API waits for output
                body, early = fields_in(err.body), f"Unknown pending tool call: {call.call_id}"
                known = (body.get("code"), body.get("message")) == ("invalid_request_error", early)
                if not wait or not known:
                    raise
            yield Pause(wait)

    def _tell(self, failure: AgentToolError) -> Steps[None]:
        try:
            told = self._report(failure)
            if self._client.is_async and hasattr(told, "__await__"):
                yield told
            elif hasattr(told, "close"):
                told.close()
        except Exception as err:
            if is_cancelled(err):
                raise

    def _finish(self) -> Steps[AgentTurnResult[T]]:
        state = self._state
        state.collect()
        try:
            while self._result is None:
                state.check(state.handlers)
                if state.over or (yield from self._next()) is None:
                    result: AgentTurnResult[Any] = state.result()
                    if self._type is not None:
                        result = result.parse(self._type)
                    self._result = result
            return self._result
        except (AgentTurnResultError, AgentOutputParseError):
            raise
        except Exception as err:
            if is_cancelled(err):
                raise
            raise state.failure("observation_failed") from err
        finally:
            self._hang_up()


class AgentSessionStream(AgentStream[T], Generic[T]):
    """The events of a turn; tools are run while you read them.  Use it in `with`.

    An error of the agent is an event, not an exception.  What breaks the stream off is one.
    """

    def _read(self) -> Any:
        return next(self._raw, None)

    def __enter__(self) -> Self:
        self._client._take(self._open())
        return self

    def __exit__(self, *exc: object) -> None:
        self._hang_up()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> AgentSessionEvent:
        event: Optional[AgentSessionEvent] = self._client._take(self._next())
        if event is None:
            raise StopIteration
        return event

    def until_done(self) -> None:
        """Read the events to the end of the turn."""
        for _ in self:
            pass

    def get_final_result(self) -> AgentTurnResult[T]:
        """Read to the end of the turn; returns its answer.

        Raises AgentTurnResultError if it did not end well or this was not seen, and
        AgentOutputParseError if it does not fit the `output_type`.
        """
        result: AgentTurnResult[T] = self._client._take(self._finish())
        return result

    def close(self) -> None:
        """Release the connection; iteration is over, the turn goes on."""
        self._hang_up()


class AsyncAgentSessionStream(AgentStream[T], Generic[T]):
    """The same for the async client; tools may be async."""

    async def _read(self) -> Any:
        try:
            return await self._raw.__anext__()
        except StopAsyncIteration:
            return None

    async def __aenter__(self) -> Self:
        await self._client._take(self._open())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._hang_up()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AgentSessionEvent:
        event: Optional[AgentSessionEvent] = await self._client._take(self._next())
        if event is None:
            raise StopAsyncIteration
        return event

    async def until_done(self) -> None:
        """Read the events to the end of the turn."""
        async for _ in self:
            pass

    async def get_final_result(self) -> AgentTurnResult[T]:
        """Read to the end of the turn; returns its answer.  Raises AgentTurnResultError."""
        result: AgentTurnResult[T] = await self._client._take(self._finish())
        return result

    async def close(self) -> None:
        """Release the connection; iteration is over, the turn goes on."""
        self._hang_up()


def new_key(given: Any = omit) -> str:
    import uuid

    return str(uuid.uuid4()) if isinstance(given, Omit) else given


def tool_output(output: Any, made: bool) -> Any:
    """What a handler returned, as it is sent; any JSON if function_tool() `made` the handler."""
    import json

    if output is None or isinstance(output, str):
        return output
    if not made and isinstance(output, Mapping):
        return json.dumps(dict(output), separators=(",", ":"))
    parts = [*output] if not made or is_iterator(output) else output
    if made and not (isinstance(parts, (list, tuple)) and parts and all(map(is_part, parts))):
        return json.dumps(parts, separators=(",", ":"), allow_nan=False, default=jsonable)
    encode_json(parts)  # a TypeError here is one of the tool
    return parts


def is_part(value: Any) -> bool:
    """Whether it is text or an image as the output of a tool may hold it."""
    value = fields_in(value)
    field = {"input_text": "text", "input_image": "image_url"}.get(str(value.get("type")))
    return len(value) == 2 and isinstance(value.get(field), str)


class AgentResultArtifacts(Resource[C]):
    """The files that one turn handed in.  ValueError where there is none, or two, of a path."""

    def __init__(self, client: Any, result: AgentTurnResult[Any]) -> None:
        super().__init__(client)
        self._session_id, self._turn_id = result.session_id, result.turn_id

    def _find(self, path: str, options: Mapping[str, Any]) -> Steps[SessionArtifact]:
        options = {name: value for name, value in options.items() if name != "progress"}
        page = yield self._client.beta.agents.sessions.artifacts.list(self._session_id, **options)
        wanted, found = (self._session_id, self._turn_id, path), []
        while page is not None:
            found += [a for a in page.data if (a.session_id, a.turn_id, a.path) == wanted]
            page = (yield page.get_next_page()) if page.has_next_page() else None
        if len(found) != 1:
            raise ValueError(f"the turn handed in {len(found)} files of the path {path}, not one")
        return found[0]  # type: ignore[no-any-return]

    @helper
    def content(
        self: AgentResultArtifacts[OpenAI], path: str, **options: Unpack[Options]
    ) -> Steps[HttpxBinaryResponseContent]:
        """The content of the file that the agent wrote at `path`."""
        found = yield from self._find(path, options)
        content: HttpxBinaryResponseContent = (
            yield self._client.beta.agents.sessions.artifacts.content(
                found.id, session_id=self._session_id, **options
            )
        )
        return content

    @helper
    def download(
        self: AgentResultArtifacts[OpenAI], path: str, *, to: Union[str, os.PathLike[str]],
        **options: Unpack[Options]
    ) -> Steps[SessionArtifact]:
        """Write that file to the local path `to`, in constant memory."""
        found = yield from self._find(path, options)
        artifacts = self._client.beta.agents.sessions.artifacts.with_streaming_response
        manager = artifacts.content(found.id, session_id=self._session_id, **options)
        response = yield manager.__aenter__() if self._client.is_async else manager.__enter__()
        try:
            yield response.stream_to_file(to)
        finally:
            response.http_response.close()
        return found


class PreparedAgentFiles(BaseModel):
    """`files` for a new environment, and the ids of their uploads, which are yours to delete."""

    files: List[Dict[str, str]]
    uploaded_file_ids: List[str]


class StagedAgentFile(BaseModel):
    """A file in an environment, and the id of its upload."""

    uploaded_file_id: str
    file: EnvironmentFile


def check_destination(path: str) -> None:
    parts = path.split("/")[1:]
    if not path.startswith("/workspace/") or "\x00" in path or "\\" in path:
        raise ValueError(f"{path!r} is no absolute path below /workspace")
    if any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{path!r} has an empty part, or one of dots")
    taken = parts[1] in (".codex", ".managed-agents") or parts[1].startswith(".managed-agents-")
    if taken or path == "/workspace/outputs":
        raise ValueError(f"{path!r} is reserved")


def open_regular(path: Any, known: Optional[Tuple[int, int, int]] = None) -> Any:
    """(its absolute path, the open file, what tells that it is still the same: `known`)"""
    import pathlib

    path = pathlib.Path(path).absolute()
    if path.is_symlink() or not path.is_file():
        raise ValueError(f"{path} is not a regular file, or a link to one")
    file = open(path, "rb")
    found = os.fstat(file.fileno())
    same = (found.st_dev, found.st_ino, found.st_size)
    if known not in (None, same):
        file.close()
        raise ValueError(f"{path} was changed meanwhile")
    return path, file, same


def files_below(root: Any, destination: str, include: Sequence[str]) -> Dict[str, Any]:
    """{path in the environment: local path} of what matches one of the patterns."""
    import pathlib

    top = pathlib.Path(root).absolute()
    if isinstance(include, str) or not include:
        raise ValueError('include is a list of patterns, such as ["**/*.md"]')
    if top.is_symlink() or not top.is_dir():
        raise ValueError(f"{top} is not a directory, or a link to one")
    top = top.resolve()  # links above it are no concern
    check_destination(destination + "/a")
    for pattern in include:
        path = pathlib.PurePosixPath(pattern)
        if not pattern or path.is_absolute() or ".." in path.parts:
            raise ValueError(f"the pattern {pattern!r} leads out of the directory")
    chosen = {}
    for pattern in include:
        for found in sorted(top.glob(pattern)):
            inside = found.relative_to(top)
            if any((top / p).is_symlink() for p in (inside, *inside.parents)):
                raise ValueError(f"{found} is a link, or is behind one")
            if not found.is_dir():
                target = pathlib.PurePosixPath(destination) / inside.as_posix()
                chosen[str(target)] = found
    if not chosen:
        raise ValueError(f"nothing in {top} matches")
    return chosen


def chosen_files(files: Mapping[str, Any]) -> List[Tuple[str, Any, Tuple[int, int, int]]]:
    """(destination, local path, what tells that it is the same) of all, which can be opened."""
    for path in files:
        check_destination(path)
        parts = path.split("/")
        if any("/".join(parts[:i]) in files for i in range(1, len(parts))):
            raise ValueError(f"{path} is below another of the files")
    chosen = []
    for path, source in files.items():
        local, file, same = open_regular(source)  # an error now, rather than after some uploads
        file.close()
        chosen.append((path, local, same))
    return chosen


def prepare_files(
    client: Any, choose: Callable[[], Mapping[str, Any]], options: Mapping[str, Any]
) -> Steps[PreparedAgentFiles]:
    chosen: List[Any] = (yield Apart(lambda: chosen_files(choose())))
    headers = {**client.default_headers, **(options.get("extra_headers") or {})}
    keys = [value for name, value in headers.items() if name.lower() == "idempotency-key"]
    if len(chosen) > 1 and keys and not isinstance(keys[-1], Omit):
        raise ValueError("one Idempotency-Key cannot be that of several uploads")
    progress = options.get("progress")
    total = TotalProgress(progress, [known[2] for _, _, known in chosen]) if progress else None
    prepared = PreparedAgentFiles(files=[], uploaded_file_ids=[])
    try:
        for i, (destination, path, known) in enumerate(chosen):
            sent = dict(options, progress=None if total is None else total.of(i))
            path, file, _ = yield Apart(lambda: open_regular(path, known))
            with file:
                uploaded: FileObject = (yield client.files.create(
                    file=(path.name, file), purpose="user_data", **sent
                ))
            prepared.uploaded_file_ids.append(uploaded.id)
            prepared.files.append({"type": "file_id", "file_id": uploaded.id, "path": destination})
    except BaseException as err:
        if is_cancelled(err):
            err.__dict__["prepared"] = prepared
            raise
        raise AgentFilePreparationError(prepared) from err
    return prepared


def stage_file(
    client: Any, environment_id: str, file: Any, path: str, options: Mapping[str, Any]
) -> Steps[StagedAgentFile]:
    if not environment_id:
        raise ValueError("environment_id must not be empty")
    check_destination(path)
    content, opened = file[1] if isinstance(file, tuple) else file, None
    if isinstance(content, os.PathLike):
        local, opened, _ = yield Apart(lambda: open_regular(content))
        file = (file[0], opened, *file[2:]) if isinstance(file, tuple) else (local.name, opened)
    try:
        uploaded: FileObject = (
            yield client.files.create(file=file, purpose="user_data", **options)
        )
    finally:
        if opened is not None:
            opened.close()
    try:
        staged: EnvironmentFile = (yield client.beta.agents.environments.files.create(
            environment_id, type="file_id", file_id=uploaded.id, path=path,
            **dict(options, progress=None)
        ))
    except BaseException as err:
        if is_cancelled(err):
            err.__dict__["uploaded_file_id"] = uploaded.id
            raise
        raise AgentFileStagingError(uploaded.id) from err
    return StagedAgentFile(uploaded_file_id=uploaded.id, file=staged)


########################################################################
## 10. Providers: the same API at Microsoft Azure
########################################################################

# ---- 10.1 Azure ---- https://learn.microsoft.com/azure/ai-foundry/openai/reference

# At Azure these take the model from the URL: /deployments/{model}/chat/completions.
DEPLOYMENT_PATHS = frozenset(
    (
        "/completions", "/chat/completions", "/embeddings", "/audio/transcriptions",
        "/audio/translations", "/audio/speech", "/images/generations", "/images/edits",
    )
)


if TYPE_CHECKING:

    class AzureSharedOptions(SharedOptions, total=False):
        timeout: Union[float, Timeout, None]
        max_retries: int
        default_headers: Optional[Mapping[str, str]]


class AzureOptions(BaseClient[C]):
    """What the two Azure clients change: where requests go, and what proves who is asking.

    - azure_endpoint: or AZURE_OPENAI_ENDPOINT, such as https://my-resource.openai.azure.com
    - azure_deployment: the deployment for every call; without it the `model` of a call names it
    - api_version: or OPENAI_API_VERSION, such as 2024-10-21
    - api_key: or AZURE_OPENAI_API_KEY; azure_ad_token: or AZURE_OPENAI_AD_TOKEN (Microsoft Entra);
      azure_ad_token_provider: a function that returns a token, called before each request.  One of
      the three, the environment counting only where none is passed.

    The other options are those of OpenAI.
    """

    def __init__(
        self, *, azure_endpoint: Optional[str] = None, azure_deployment: Optional[str] = None,
        api_version: Optional[str] = None, api_key: Any = None,
        azure_ad_token: Optional[str] = None, azure_ad_token_provider: Any = None,
        base_url: Optional[str] = None, default_query: Optional[Mapping[str, object]] = None,
        **options: Unpack[AzureSharedOptions],
    ) -> None:
        if (
            sum(secret is not None for secret in (api_key, azure_ad_token, azure_ad_token_provider))
            > 1
        ):
            raise OpenAIError(
                "api_key, azure_ad_token and azure_ad_token_provider exclude one another"
            )
        if api_key is None and azure_ad_token is None and azure_ad_token_provider is None:
            azure_ad_token = os.environ.get("AZURE_OPENAI_AD_TOKEN")
        self._azure_ad_token, self._azure_ad_token_provider = (
            azure_ad_token, azure_ad_token_provider,
        )
        check_secret("azure_ad_token_key", azure_ad_token)
        api_version = api_version or os.environ.get("OPENAI_API_VERSION")
        if not api_version:
            raise ValueError(
                "pass api_version=... or set the environment variable OPENAI_API_VERSION"
            )
        self._api_version = api_version
        if base_url is None:
            azure_endpoint = azure_endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT")
            if not azure_endpoint:
                raise ValueError(
                    "pass azure_endpoint=... or base_url=..., or set the environment variable "
                    "AZURE_OPENAI_ENDPOINT"
                )
            base_url = azure_endpoint.rstrip("/") + "/openai"
            if azure_deployment:
                base_url += "/deployments/" + encode_segment("azure_deployment", azure_deployment)
        elif azure_endpoint is not None:
            raise ValueError("base_url and azure_endpoint exclude each other")
        self._azure_endpoint, self._azure_deployment = azure_endpoint, azure_deployment
        super().__init__(
            api_key=api_key, base_url=base_url,
            default_query=dict(default_query or {}, **{"api-version": api_version}), **options,
        )

    def _key_from_environment(self) -> Optional[str]:
        return None if self._has_other_credentials() else os.environ.get("AZURE_OPENAI_API_KEY")

    def _has_other_credentials(self) -> bool:
        return self._azure_ad_token is not None or self._azure_ad_token_provider is not None

    def _key_is_made(self) -> bool:
        return self._azure_ad_token_provider is not None or super()._key_is_made()

    def _missing_credentials(self) -> str:
        return (
            "Missing credentials: pass api_key, azure_ad_token or azure_ad_token_provider, or set "
            "the environment variable AZURE_OPENAI_API_KEY or AZURE_OPENAI_AD_TOKEN"
        )

    def _auth_headers(self, key: str, call: Optional[Call]) -> Dict[str, str]:
        if self._azure_ad_token_provider is not None or self._azure_ad_token is not None:
            return {"Authorization": "Bearer " + (key or self._azure_ad_token or "")}
        return {"api-key": key}

    def _url(self, call: Call) -> str:
        if call.path in DEPLOYMENT_PATHS:
            model = call.body.get("model") if isinstance(call.body, Mapping) else None
            if model is not None and "/deployments" not in self._base:
                return f"{self._base}/deployments/{encode_segment('model', model)}{call.path}"
        elif self._azure_deployment and self._azure_endpoint and call.path[:1] == "/":
            return self._azure_endpoint.rstrip("/") + "/openai" + call.path
        return super()._url(call)

    def _secrets(self) -> List[str]:
        return super()._secrets() + ([self._azure_ad_token] if self._azure_ad_token else [])

    def _kept_options(self, changed: Mapping[str, Any]) -> Dict[str, Any]:
        options = dict(super()._kept_options(changed), api_version=self._api_version)
        if self._azure_endpoint and "base_url" not in changed:
            del options["base_url"]
            options.update(
                azure_endpoint=self._azure_endpoint, azure_deployment=self._azure_deployment
            )
        if self._has_other_credentials():
            options.update(
                api_key=None, azure_ad_token=self._azure_ad_token,
                azure_ad_token_provider=self._azure_ad_token_provider,
            )
        credentials = ("api_key", "azure_ad_token", "azure_ad_token_provider")
        if any(name in changed for name in credentials):  # another one takes the place of all
            options.update((name, None) for name in credentials)
        return options


class AzureOpenAI(AzureOptions["OpenAI"], OpenAI):
    __doc__ = "The client for Azure.  " + (AzureOptions.__doc__ or "").partition("\n\n")[2]

    def _key(self) -> str:
        if self._azure_ad_token_provider is None:
            return super()._key()
        return made_key("azure_ad_token_provider", self._azure_ad_token_provider())


class AsyncAzureOpenAI(AzureOptions["AsyncOpenAI"], AsyncOpenAI):
    __doc__ = "The asyncio client for Azure.  " + (AzureOptions.__doc__ or "").partition("\n\n")[2]

    async def _key(self) -> str:
        if self._azure_ad_token_provider is None:
            return await super()._key()
        token = self._azure_ad_token_provider()
        token = await token if hasattr(token, "__await__") else token
        return made_key("azure_ad_token_provider", token)


########################################################################
## 11. Module-level client: openai.api_key = "..."
########################################################################
# `import openai_lite as openai; openai.api_key = ...; openai.chat.completions.create(...)`.
# The options are read at each use; the client is made again when one of them has changed.

api_key: Union[str, Callable[[], str], None] = None
admin_api_key: Optional[str] = None
organization: Optional[str] = None
project: Optional[str] = None
webhook_secret: Optional[str] = None
base_url: Optional[str] = None
timeout: Union[float, Timeout, None] = DEFAULT_TIMEOUT
max_retries: int = DEFAULT_MAX_RETRIES
default_headers: Optional[Mapping[str, str]] = None
default_query: Optional[Mapping[str, object]] = None
http_client: Optional[HTTPTransport] = None
api_type: Optional[str] = None  # "openai" or "azure"; or OPENAI_API_TYPE
api_version: Optional[str] = None
azure_endpoint: Optional[str] = None
azure_ad_token: Optional[str] = None
azure_ad_token_provider: Optional[Callable[[], str]] = None

MODULE_OPTIONS = (
    "api_key", "admin_api_key", "organization", "project", "webhook_secret", "base_url", "timeout",
    "max_retries", "default_headers", "default_query", "http_client",
)
AZURE_OPTIONS = ("api_version", "azure_endpoint", "azure_ad_token", "azure_ad_token_provider")
module_client: Tuple[Any, Any] = (None, None)  # the options it was made from, and the client


def load_client() -> OpenAI:
    """The client for the present values of the module's attributes."""
    global module_client
    space = globals()
    kind = api_type or os.environ.get("OPENAI_API_TYPE")
    if kind not in (None, "openai", "azure"):
        raise OpenAIError(f"api_type must be 'openai' or 'azure', not {kind!r}")
    if kind is None and not (api_key or os.environ.get("OPENAI_API_KEY")):
        azure = azure_endpoint or os.environ.get("AZURE_OPENAI_ENDPOINT")
        kind = "azure" if azure else "openai"
    names = MODULE_OPTIONS + (AZURE_OPTIONS if kind == "azure" else ())
    options = {name: space[name] for name in names}
    environment = {
        k: v for k, v in os.environ.items() if k.startswith(("OPENAI_", "AZURE_OPENAI_"))
    }
    seen = (
        kind, {k: dict(v) if isinstance(v, Mapping) else v for k, v in options.items()},
        environment,
    )
    if module_client[0] != seen:
        if kind == "azure":
            del options["admin_api_key"]
            if options["base_url"] is None:
                del options["base_url"]
        made: OpenAI = AzureOpenAI(**options) if kind == "azure" else OpenAI(**options)
        module_client = (seen, made)
    client: OpenAI = module_client[1]
    return client


if TYPE_CHECKING:
    responses: Responses[OpenAI]
    chat: Chat[OpenAI]
    completions: Completions[OpenAI]
    embeddings: Embeddings[OpenAI]
    moderations: Moderations[OpenAI]
    models: Models[OpenAI]
    files: Files[OpenAI]
    batches: Batches[OpenAI]
    fine_tuning: FineTuning[OpenAI]
    images: Images[OpenAI]
    audio: Audio[OpenAI]
    uploads: Uploads[OpenAI]
    vector_stores: VectorStores[OpenAI]
    conversations: Conversations[OpenAI]
    containers: Containers[OpenAI]
    videos: Videos[OpenAI]
    evals: Evals[OpenAI]
    webhooks: Webhooks[OpenAI]
    beta: Beta[OpenAI]
    realtime: Realtime[OpenAI]
    live: Live[OpenAI]
    skills: Skills[OpenAI]
    safety: Safety[OpenAI]
    decisions: Decisions[OpenAI]
    content_provenance_checks: ContentProvenanceChecks[OpenAI]
    admin: Admin[OpenAI]
else:

    class ModuleClient:
        """The client of the moment, so that `from openai_lite import chat` never grows stale."""

        def __getattr__(self, name):
            return getattr(load_client(), name)

    TYPES.collect()

    def __dir__():
        return sorted({*globals(), *TYPES.waiting})

    def __getattr__(name):
        """Resources of the module-level client; and types as `typing` knows them."""
        if name in API.__annotations__ and not name.startswith("with_"):
            return getattr(API(ModuleClient()), name)
        if name in TYPES.waiting:
            return typing_of(TYPES[name])
        if name.endswith(("Param", "Params")) or name in ("RequestOptions", "FileTypes"):
            return typing_of(Dict[str, Any])  # the TypedDicts exist for type checkers only
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


########################################################################
## 12. Doctor and vendor: is all well here, and a smaller file to take along
########################################################################

# ---- 12.1 Doctor: why do calls fail from here? ----

OTHER_NAMES = "it is for other names: is the host in the base URL right?"
CERTIFICATE_HINTS = {  # by the code of OpenSSL, X509_V_ERR_...
    9: "it is not valid yet: is the clock of this machine right?",
    10: "it has expired: the server must renew it, unless the clock of this machine is wrong",
    62: OTHER_NAMES, 64: OTHER_NAMES,
}
STRICT_ONLY = range(80, 95)  # what OpenSSL minds only when strict, as Python is from 3.13 on
TOO_STRICT = (
    "it breaks a rule of RFC 5280 that Python heeds from 3.13 on: who made it must mend it; until "
    "then pass http_client=DefaultHttpxClient(verify=context), whose context has verify_flags "
    "without ssl.VERIFY_X509_STRICT"
)
UNKNOWN_ISSUER = (
    "nothing here trusts its issuer, as when a proxy inspects TLS: append the CA certificate of "
    "that issuer to a copy of the usual bundle, and set SSL_CERT_FILE to the file"
)
STATUS_HINTS = {
    401: "the key is wrong, revoked, or of another organization or project: make a new one",
    403: "the key may not do this: its permissions, project, country or address do not allow it",
    404: "the base URL leads elsewhere: it usually ends in /v1",
    407: "the proxy wants a user and a password: http://user:password@host:port",
    429: "too many requests, or no credit left: wait, or look at the billing page of the account",
}
MAX_CLOCK_SKEW = 60  # seconds; webhooks are refused from 300 on, and certificates can be young


class Checkup:
    """One way to the API, examined in the order in which a call takes it.

    Each check returns (mark, finding): "ok", "--" for what does not matter here, "!!" for what has
    to be mended.  One that raises leaves nothing to check for those that come after it.
    """

    checks = (
        "python", "openssl", "url", "proxy", "ca", "dns", "tcp", "tls", "key", "answer", "clock",
        "limits", "latency",
    )

    def __init__(self, base_url: Optional[str], timeout: float) -> None:
        base_url = base_url or os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        self.base_url, self.timeout = base_url, Timeout(timeout)
        self.transport = HTTPTransport()
        self.secrets: List[str] = []
        self.response: Any = None
        self.now = 0.0

    def run(self) -> bool:
        """Print a line per check; return whether all is well."""
        well, failed = True, ""
        for name in self.checks:
            mark, found = "--", f"not checked, because of {failed}"
            try:
                if not failed:
                    mark, found = getattr(self, name)()
            except (OpenAIError, OSError, ValueError, ImportError) as err:
                mark, found, failed = "!!", self.explained(err, name), name
            well = well and mark != "!!"
            print(f"{mark} {name:8} {redacted(' '.join(found.split()), None, self.secrets)}")
        self.transport.close()
        return well

    def explained(self, err: BaseException, name: str) -> str:
        if isinstance(err, OSError):
            err = connection_error(err, self.request, getattr(err, "phase", name))
        text = str(err)
        return text.partition("(")[2][:-1] if text.startswith(("Connection", "Request")) else text

    def python(self) -> Tuple[str, str]:
        system = f"{sys.implementation.name} on {sys.platform}"
        return "ok", f"{sys.version.split()[0]}, {system}; openai_lite {__version__}"

    def openssl(self) -> Tuple[str, str]:
        try:
            import ssl
        except ImportError:
            return "!!", "this Python was built without ssl, so that it can speak http:// only"
        return "ok", ssl.OPENSSL_VERSION

    def url(self) -> Tuple[str, str]:
        url = self.base_url.partition("?")[0].rstrip("/") + "/models"
        self.request = HTTPRequest("GET", url, {}, None, self.timeout)
        self.origin = self.first = self.request.origin
        if self.request.userinfo:
            self.secrets += [self.request.userinfo, self.request.userinfo.partition(":")[2]]
        return "ok", without_secrets(self.base_url)

    def proxy(self) -> Tuple[str, str]:
        names = (self.origin.scheme + "_proxy", "all_proxy")
        given = " and ".join(n for n in os.environ if n.lower() in names and os.environ[n])
        proxy = self.transport.proxy_for(self.origin)
        if proxy:
            self.first, _, userinfo = split_url(proxy)
            self.secrets += [userinfo, userinfo.partition(":")[2]]
            user = ", with user and password" if userinfo else ""
            return "ok", f"{self.first}{user}, from {given or 'the settings of the system'}"
        rules = " ".join(f"{n}={os.environ[n]}" for n in os.environ if n.lower() == "no_proxy")
        return "ok", f"none: {rules or 'the system'} overrides {given}" if given else "none"

    def ca(self) -> Tuple[str, str]:
        if self.origin.scheme == "http":
            return "--", "not needed for http://"
        import ssl

        paths = ssl.get_default_verify_paths()
        for name in (paths.openssl_cafile_env, paths.openssl_capath_env):
            path = os.environ.get(name)
            if path and not os.path.exists(path):
                return "!!", f"{name}={path} does not exist: correct it, or unset it"
        count = self.transport.tls().cert_store_stats()["x509_ca"]
        if count:
            return "ok", f"{count} certificates from {paths.cafile or 'the store of the system'}"
        directory = paths.capath if paths.capath and os.path.isdir(paths.capath) else ""
        hashed = [name for name in os.listdir(directory or ".") if name[-2:-1] == "."]
        if directory and hashed:  # read as they are needed
            return "ok", f"{len(hashed)} certificates in the directory {directory}"
        place = paths.cafile or directory or "the store of the system"
        return "!!", f"no CA certificates in {place}: set SSL_CERT_FILE to a bundle that has some"

    def dns(self) -> Tuple[str, str]:
        import socket

        began = clock()
        infos = socket.getaddrinfo(self.first.host, self.first.port, 0, 1)  # as the Dialer does
        addresses = ", ".join(dict.fromkeys(str(info[4][0]) for info in infos))
        return "ok", f"{self.first.host} is {addresses} ({1000 * (clock() - began):.0f} ms)"

    def tcp(self) -> Tuple[str, str]:
        began = clock()
        dialer = Dialer(self.first, self.request, None)
        try:
            drive(dialer.connect())
        finally:
            dialer.close()
        return "ok", f"connected to {self.first} in {1000 * (clock() - began):.0f} ms"

    def tls(self) -> Tuple[str, str]:
        import ssl

        try:
            connection = drive(self.transport.acquire(self.request, True))
        except ssl.SSLCertVerificationError as err:
            other = TOO_STRICT if err.verify_code in STRICT_ONLY else UNKNOWN_ISSUER
            hint = CERTIFICATE_HINTS.get(err.verify_code, other)
            raise OpenAIError(f"{self.shown_certificate()} ({err.verify_message}); {hint}") from err
        sock = connection.sock
        mark, found = "--", "not used: what goes over http:// can be read on its way"
        if self.origin.scheme == "https":
            mark, found = "ok", f"{sock.version()}, {described_certificate(sock.getpeercert())}"
        connection.transport, connection.idle_since = None, clock()
        self.transport.release(connection)  # for the call to come
        return mark, found

    def shown_certificate(self) -> str:
        """What the server shows, where verification fails: by trusting it, for once, blindly."""
        import ssl

        try:
            blind = drive(HTTPTransport(verify=False).connect(self.origin, self.request))
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            shown = ssl.DER_cert_to_PEM_cert(blind.sock.getpeercert(True))
            context.load_verify_locations(cadata=shown)
            blind.close()
            # X509_V_FLAG_PARTIAL_CHAIN and NO_CHECK_TIME: the certificate alone is proof enough.
            context.verify_flags = ssl.VerifyFlags(0x280000)
            seen = drive(HTTPTransport(verify=context).connect(self.origin, self.request))
            found = described_certificate(seen.sock.getpeercert())
            seen.close()
            return found
        except (OSError, ValueError):
            return "the certificate cannot be read"

    def key(self) -> Tuple[str, str]:
        key = os.environ.get("OPENAI_API_KEY") or ""
        self.secrets.append(key)
        self.headers: Dict[str, Any] = {} if key else {"Authorization": omit}
        self.client = OpenAI(
            api_key=key or "none", base_url=self.base_url, timeout=self.timeout, max_retries=0,
            http_client=self.transport,
        )
        if not key:
            return "!!", "OPENAI_API_KEY is not set: export it, or pass api_key in the program"
        if key.strip(" \t\"'") != key:
            return "!!", "OPENAI_API_KEY has quotes or spaces around the key: take them away"
        names = ("OPENAI_API_KEY", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
        return "ok", "set: " + ", ".join(name for name in names if os.environ.get(name))

    def answer(self) -> Tuple[str, str]:
        code = ""
        try:
            self.response = self.client.get(
                "/models", cast_to=HTTPResponse, options={"headers": self.headers}
            )
        except APIStatusError as err:
            self.response, code = err.response, err.code or err.type or ""
        self.now = time.time()
        status = self.response.status_code
        if status == 200:
            listed = parsed_json(self.response)
            if isinstance(listed, dict) and isinstance(listed.get("data"), list):
                return "ok", f"GET /models answers 200 with {len(listed['data'])} models"
            return "!!", "GET /models answers 200, but no list: is /v1 missing in the base URL?"
        if self.headers and status == 401:
            return "--", "GET /models answers 401, as it must without a key"
        hint = STATUS_HINTS.get(status, "the trouble is the server's: try again later")
        return "!!", f"GET /models answers {status} {code and shorten(code, 40)}: {hint}"

    def clock(self) -> Tuple[str, str]:
        from email.utils import mktime_tz, parsedate_tz

        date = parsedate_tz(self.response.headers.get("date", ""))
        if date is None:
            return "--", "the server does not say what time it is"
        ahead = self.now - mktime_tz(date)
        if abs(ahead) <= MAX_CLOCK_SKEW:
            return "ok", f"{abs(ahead):.0f} s off the server's"
        behind = "ahead of" if ahead > 0 else "behind"
        return "!!", f"this machine's is {abs(ahead):.0f} s {behind} the server's: set one of them"

    def limits(self) -> Tuple[str, str]:
        headers = self.response.headers
        found = [(n, v) for n, v in headers.items() if n.startswith(("x-ratelimit-", "retry-"))]
        used_up = any("-remaining-" in name and value.strip() == "0" for name, value in found)
        text = ", ".join(f"{name} {shorten(value, 40)}" for name, value in found)
        return "!!" if used_up else "ok" if found else "--", text or "GET /models tells none"

    def latency(self) -> Tuple[str, str]:
        elapsed = 1000 * self.response.elapsed.total_seconds()
        return "ok", f"{elapsed:.0f} ms for a call on an open connection"


def described_certificate(certificate: Any) -> str:
    """`getpeercert()` in a few words."""
    import ssl

    names = [value for _, value in certificate.get("subjectAltName", ())]
    issuer = {name: value for pairs in certificate.get("issuer", ()) for name, value in pairs}
    by = issuer.get("organizationName") or issuer.get("commonName") or "nobody"
    days = (ssl.cert_time_to_seconds(certificate["notAfter"]) - time.time()) / 86400
    shown = ", ".join(names[:4]) + (f" and {len(names) - 4} more" if len(names) > 4 else "")
    until = f"with {days:.0f} days left" if days > 0 else f"expired {-days:.0f} days ago"
    return f"certificate for {shown or 'nobody'} by {by}, {until}"


def doctor(words: List[str], settings: Dict[str, Any]) -> int:
    """Say why calls fail from here: a line per check, and 0 if all is well, else 1"""
    return 0 if Checkup(settings.get("base_url"), settings.get("timeout", 10.0)).run() else 1


# ---- 12.2 Vendor: a copy of this file with some of the resources ----

heading = Pattern(r"## (\d+)\. |# ---- \d+\.\d+ ")
type_text = Pattern(r"[A-Z]\w*(\[.*\])?\Z")  # what a string that names a type looks like
type_name = Pattern(r"[A-Z]\w*")
odd_characters = Pattern(r"[^A-Za-z0-9._-]")
ORIGIN = "THIS IS A PART OF IT"  # begins what the header of a copy says of where it comes from


def own_source() -> Tuple[str, str, str]:
    """(text, SHA-256 of its bytes, path) of this module, from wherever it was imported."""
    import hashlib

    spec: Any = globals().get("__spec__")
    loader: Any = globals().get("__loader__")
    try:
        name = spec.name if spec is not None else __name__
        if loader.get_source(name) is None:
            raise ImportError("only its compiled code is there")
        path = loader.get_filename(name)
        path = path[:-1] if path.endswith(".pyc") else path
        data: bytes = loader.get_data(path)
    except (AttributeError, ImportError, OSError) as err:
        raise CommandError(f"there is no source of {__name__} to read: {err}") from None
    text = data.decode("utf-8").replace("\r\n", "\n")
    return text, hashlib.sha256(data).hexdigest(), path


class Piece:
    """A statement at the top level, or in an `if TYPE_CHECKING` there: lines[start:end]."""

    def __init__(self, node: Any, start: int, end: int, section: str, block: Any) -> None:
        self.node, self.start, self.end, self.section = node, start, end, section
        self.block = block  # the `if`, and where that begins and ends
        targets = getattr(node, "targets", [getattr(node, "target", None)])
        targets = [each for target in targets for each in getattr(target, "elts", [target])]
        self.names = [t.id for t in targets if hasattr(t, "id")] or [getattr(node, "name", "")]
        self.mentions: Any = None
        self.resource = ""  # which resource of the module-level client it declares


class Anatomy:
    """What this module is made of, and what of it needs what.

    A name needs whatever defines it, in annotations, bases and code, and in sections 8 and 9 in
    strings that name types, too; `self._client.files` needs that resource.  Of sections 8 and 9 is
    kept what the resources need, of the others all that can do without what is gone, and that
    something left has a use for.  A library has no sections 12 and 13.
    """

    def __init__(self, text: str) -> None:
        import ast

        self.ast: Any = ast
        self.lines = text.split("\n")
        self.pieces: List[Piece] = []
        body = self.ast.parse(text).body[1:]  # without the docstring
        for node, (start, end) in zip(body, self.spans(body, len(self.lines))):
            numbers = [m.group(1) for m in map(heading.match, self.lines[:start]) if m]
            section = next(filter(None, reversed(numbers)), "")
            if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
                if section != "1":
                    inner = node.body + node.orelse
                    for each, (first, last) in zip(inner, self.spans(inner, end)):
                        self.pieces.append(Piece(each, first, last, section, (node, start, end)))
                    continue
            self.pieces.append(Piece(node, start, end, section, None))
        self.defined: Dict[str, List[Piece]] = {}
        for piece in self.pieces:
            for name in filter(None, piece.names):
                self.defined.setdefault(name, []).append(piece)
        self.groups: Dict[str, Tuple[str, Any]] = {}  # {path: (class, the annotation of it)}
        self.find_groups("API", "")
        self.grouping = {"API", *(cls for cls, _ in self.groups.values())}
        for name in [path for path in self.groups if "." not in path]:
            for piece in self.defined.pop(name, []):
                if isinstance(piece.node, ast.AnnAssign):
                    piece.resource = name
        self.unused = self.unused_in(set(self.pieces), set())  # but meant for those who import it

    def spans(self, nodes: List[Any], end: int) -> List[Tuple[int, int]]:
        """The lines of statements in a row, with the comments right above them."""
        spans: List[Tuple[int, int]] = []
        indent, stop = nodes[0].col_offset, end
        for node in reversed(nodes):
            first = min(n.lineno for n in [node, *getattr(node, "decorator_list", [])]) - 1
            last = stop
            while self.is_loose(self.lines[last - 1], indent):
                last -= 1
            while self.lines[first - 1].startswith(" " * indent + "#"):
                if heading.match(self.lines[first - 1]) or self.lines[first - 1][:2] == "##":
                    break
                first -= 1
            spans.insert(0, (first, last))
            stop = first
        return spans

    def is_loose(self, line: str, indent: int) -> bool:
        text = line.lstrip()
        return not text or line == "else:" or text[0] == "#" and len(line) - len(text) <= indent

    def find_groups(self, cls: str, prefix: str) -> None:
        for node in self.defined[cls][0].node.body:
            kind = getattr(getattr(getattr(node, "annotation", None), "value", None), "id", "")
            name = getattr(getattr(node, "target", None), "id", "with_")
            if kind in self.defined and not name.startswith("with_"):
                self.groups[prefix + name] = kind, node
                self.find_groups(kind, prefix + name + ".")

    def mentioned(
        self, node: Any, dropped: Set[Any], strings: bool, hidden: FrozenSet[str] = frozenset()
    ) -> Set[str]:
        """The names in some code that are not local to it; "client.files" for a resource."""
        if node in dropped:
            return set()
        found: Set[str] = set()
        parts: List[str] = []
        while isinstance(node, self.ast.Attribute):
            parts.insert(0, node.attr)
            node = node.value
        parts.insert(0, getattr(node, "id", ""))
        if parts[0] not in hidden and not isinstance(getattr(node, "ctx", None), self.ast.Store):
            found.add(parts[0])
        for i in [i for i, part in enumerate(parts) if part in ("client", "_client")]:
            paths = [".".join(parts[i + 1 : n]) for n in range(i + 2, len(parts) + 1)]
            found.update(["client." + path for path in paths if path in self.groups][-1:])
        text = getattr(node, "value" if isinstance(node, self.ast.Constant) else "s", None)
        if strings and isinstance(text, str) and type_text.match(text):
            found.update(type_name.findall(text))
        for field, value in self.ast.iter_fields(node):
            inside = hidden
            if field == "body" or hasattr(node, "generators"):
                inside = hidden | self.bound(node)
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, self.ast.AST):
                    found |= self.mentioned(each, dropped, strings, inside)
        return found

    def bound(self, scope: Any) -> Set[str]:
        """The local names of a function or of a comprehension."""
        ast = self.ast
        names: Set[str] = set()
        if hasattr(scope, "generators"):
            for each in scope.generators:
                names.update(n.id for n in ast.walk(each.target) if isinstance(n, ast.Name))
        elif isinstance(getattr(scope, "args", None), ast.arguments):
            names.update(n.arg for n in ast.walk(scope.args) if isinstance(n, ast.arg))
            nodes = list(scope.body) if isinstance(scope.body, list) else []
            outer: Set[str] = set()
            while nodes:
                node = nodes.pop()
                outer.update(node.names if isinstance(node, ast.Global) else [])
                if isinstance(node, (ast.Import, ast.ImportFrom)):
                    names.update(a.asname or a.name.partition(".")[0] for a in node.names)
                elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    names.add(node.id)
                names.add(getattr(node, "name", None) or "")  # of functions, classes, exceptions
                if not hasattr(node, "generators") and not hasattr(node, "args"):
                    nodes.extend(ast.iter_child_nodes(node))
            names -= outer
        return names

    def needs(self, piece: Piece, dropped: Set[Any]) -> Set[str]:
        if piece.mentions is not None and piece.names[0] not in self.grouping:
            mentions: Set[str] = piece.mentions
            return mentions
        strings = piece.section in ("8", "9")
        piece.mentions = self.mentioned(piece.node, dropped, strings)
        return self.needs(piece, dropped) if piece.names[0] not in self.grouping else piece.mentions

    def dropped_for(self, wanted: Set[str]) -> Set[Any]:
        """The nodes within classes of groups that go: groups, and endpoints of half a resource."""
        paths = [path for path in self.groups if any(
            path == w or path.startswith(w + ".") or w.startswith(path + ".") for w in wanted
        )]
        kept = {self.groups[path][1] for path in paths}
        dropped = {node for _, node in self.groups.values() if node not in kept}
        whole = {self.groups[path][0] for path in paths if covered(path, wanted)}
        for cls in {self.groups[path][0] for path in paths} - whole:
            body = self.defined[cls][0].node.body[1:]  # without the docstring
            dropped.update(node for node in body if not isinstance(node, self.ast.AnnAssign))
        return dropped

    def public(self) -> List[str]:
        names: List[str] = self.ast.literal_eval(self.defined["__all__"][0].node.value)
        return names

    def reach(self, names: Iterable[str], dropped: Set[Any]) -> Set[Piece]:
        reached: Set[Piece] = set()
        found = [piece for name in names for piece in self.defined.get(name, [])]
        while found:
            piece = found.pop()
            if piece not in reached:
                reached.add(piece)
                for name in self.needs(piece, dropped):
                    found += self.defined.get(name, [])
        return reached

    def unused_in(self, kept: Set[Piece], dropped: Set[Any]) -> Set[Piece]:
        """What neither the public names, nor the map of the API, nor the program leads to."""
        public = {"", *self.public()}
        found = [p for p in kept if p.resource or p.section == "1" or p.names[0][:2] == "__"
                 or not public.isdisjoint(p.names)]
        unused = set(kept)
        while found:
            piece = found.pop()
            if piece in unused:
                unused.remove(piece)
                for name in self.needs(piece, dropped):
                    found += self.defined.get(name, [])
        return unused

    def part(
        self, wanted: Set[str], library: bool = False
    ) -> Tuple[Set[Piece], Set[Any], Set[str]]:
        """(the pieces to keep, the nodes that go from them, the resources kept)"""
        while True:
            dropped = self.dropped_for(wanted)
            kept = self.reach(["OpenAI", "AsyncOpenAI"], dropped)
            needed = {name[7:] for piece in kept for name in self.needs(piece, dropped)
                      if name.startswith("client.")}
            needed = {path for path in needed if not covered(path, wanted)}
            if not needed:
                break
            wanted = wanted | needed
        reached = set(kept)
        others_go = ("8", "9", "12", "13") if library else ("8", "9")
        kept.update(
            p for p in self.pieces
            if p.section not in others_go or isinstance(p.node, self.ast.Expr)
        )
        kept -= {p for p in kept if p.resource and self.groups[p.resource][1] in dropped}
        api = {p for p in self.pieces if p.section in ("8", "9")}
        helpers = {p for name in self.public() for p in self.defined.get(name, [])}
        for piece in api - reached:  # other names of what is kept, and helpers for it
            if piece in helpers or piece.section == "8" and hasattr(piece.node, "value"):
                more = self.reach(piece.names, dropped)
                others = (more - {piece}) & api
                machinery = {p for p in others & reached if p.section == piece.section}
                if machinery and {p for p in others if p.section == "8"} <= reached:
                    kept |= more

        def lacks(names: Set[str]) -> bool:
            return any(
                name in self.defined and kept.isdisjoint(self.defined[name])
                or name.startswith("client.") and not covered(name[7:], wanted) for name in names
            )

        before = -1
        shorter = []
        while before != len(kept):
            before = len(kept)
            for piece in [p for p in kept - reached if lacks(self.needs(p, dropped))]:
                table: Any = getattr(piece.node, "value", None)
                if isinstance(table, self.ast.Dict):  # a row of it may go
                    for row in zip(table.keys, table.values):
                        if lacks(self.mentioned(row[1], dropped, False)):
                            dropped.update(row)
                    shorter.append((piece, piece.mentions))
                    piece.mentions = self.mentioned(piece.node, dropped, False)
                if lacks(self.needs(piece, dropped)):
                    kept.discard(piece)
        kept -= self.unused_in(kept, dropped) - self.unused
        for piece, mentions in reversed(shorter):
            piece.mentions = mentions  # for another part of the same file
        return kept, dropped, wanted

    def text(self, kept: Set[Piece], dropped: Set[Any], origin: str) -> str:
        """The source with the kept pieces, and with the headings of those."""
        import textwrap

        gone = [False] * len(self.lines)
        changed: Dict[int, str] = {}

        def drop(start: int, end: int) -> None:
            gone[start:end] = [True] * (end - start)

        for piece in self.pieces:
            table = getattr(getattr(piece.node, "value", None), "keys", None)
            if piece not in kept:
                drop(piece.start, piece.end)
            elif piece.names[0] in self.grouping:
                body = [n for n in piece.node.body if not isinstance(n, self.ast.Expr)]
                for node, span in zip(body, self.spans(body, piece.end)):
                    if node in dropped:
                        drop(*span)
            elif table and not dropped.isdisjoint(table):
                rows = [key.lineno - 1 for key in table] + [piece.end - 1]
                for key, start, end in zip(table, rows, rows[1:]):
                    if key in dropped:
                        drop(start, end)
            elif piece.names == ["__all__"]:
                shown = ", ".join(
                    f'"{name}"' for name in self.public()
                    if name not in self.defined or not kept.isdisjoint(self.defined[name])
                )
                drop(piece.start + 1, piece.end)
                changed[piece.start] = "__all__ = [\n%s,\n]" % textwrap.fill(
                    shown, 100, initial_indent="    ", subsequent_indent="    "
                )
        for block in {p.block for p in self.pieces if p.block}:
            node, start, end = block
            nodes = {p.node for p in kept}
            used = [not nodes.isdisjoint(branch) for branch in (node.body, node.orelse)]
            if used == [False, False]:
                drop(start, end)
            elif node.orelse and False in used:
                line = next(i for i in range(start, end) if self.lines[i] == "else:")
                gone[line] = used[0]
                if not used[0]:
                    changed[node.lineno - 1] = "if TYPE_CHECKING:\n    pass"
        head = self.pieces[0].start
        found = [(i, line[:2]) for i, line in enumerate(self.lines) if heading.match(line)]
        starts = [(i - 1 if level == "##" else i, level) for i, level in found]
        for n, (start, level) in enumerate(starts):
            ends = [i for i, other in starts[n + 1 :] if other in ("##", level)]
            end = ends[0] if ends else len(self.lines)
            inside = [p for p in self.pieces if start < p.start < end]
            if inside and kept.isdisjoint(inside):
                title = self.lines[start + 1][3:]
                drop(start, end)
                for i in range(head):
                    gone[i] = gone[i] or self.lines[i] == "    " + title
        for i in range(head):
            if self.lines[i] == ORIGIN:
                drop(i, self.lines.index("", i) + 1)
            if self.lines[i].startswith('"""') and self.lines[i][3:]:
                changed[i] = f"{self.lines[i]}\n\n{origin}"
        lines = [changed.get(i, line) for i, line in enumerate(self.lines) if not gone[i]]
        text = blank_lines.sub("\n\n\n", "\n".join(lines))
        return inner_blank_lines.sub("\n\n", text).rstrip("\n") + "\n"


blank_lines = Pattern(r"\n{4,}")
inner_blank_lines = Pattern(r"\n{3,}(?= )")


def covered(path: str, wanted: Iterable[str]) -> bool:
    return any(path == each or path.startswith(each + ".") for each in wanted)


VENDOR_OPTIONS = {
    "only": ("Text", "resources, as in chat,responses,beta.threads; or all"),
    "output": ("Text", "the file to write; else to the standard output; also -o"),
    "library": ("bool", "without the command line, doctor, vendor and self-test"),
    "list": ("bool", "print what there is, and its size"),
}


def vendor(words: List[str], settings: Dict[str, Any]) -> int:
    """Write a copy of this file that has only some of the resources, and what they need"""
    import difflib
    import textwrap

    source, digest, path = own_source()
    anatomy, output = Anatomy(source), settings.get("output")
    if settings.get("list"):
        bare = anatomy.part(set())[0]
        for name in [name for name in anatomy.groups if name.count(".") < 2]:
            more = [p for p in anatomy.part({name})[0] - bare if p.section in ("8", "9")]
            size = sum(len(line) + 1 for p in more for line in anatomy.lines[p.start : p.end])
            print(f"{name:36} {sum(p.end - p.start for p in more):6} lines {size / 1000:6.0f} KB")
        return 0
    wanted: Set[str] = set((settings.get("only") or "").replace(",", " ").split())
    top = [name for name in anatomy.groups if "." not in name]
    wanted = set(top) if wanted == {"all"} else wanted
    unknown = sorted(wanted.difference(anatomy.groups))
    if unknown or not wanted:
        close = difflib.get_close_matches("".join(unknown[:1]), anatomy.groups, 3)
        near = f"; near are {', '.join(close)}" if close else "; see vendor --list"
        raise CommandError(
            f"there is no resource {unknown[0]!r}{near}" if unknown else "say --only ..."
        )
    if output and os.path.exists(output) and os.path.samefile(output, path):
        raise CommandError("the output would overwrite the source")
    library = bool(settings.get("library"))
    kept, dropped, wanted = anatomy.part(wanted, library)
    chosen = ["all"] if wanted.issuperset(top) else [n for n in anatomy.groups if n in wanted]
    names, file_name = ", ".join(chosen), os.path.basename(output or "")
    less = " but no command line" if library else ""
    said = f"with the engine and the resources {names}{less}, made from version {VERSION}, SHA-256"
    origin = "\n    ".join([
        ORIGIN, *textwrap.wrap(said, 96), digest, "by the command",
        f"openai-lite vendor --only {names.replace(' ', '')}" + (" --library" if library else "")
        + (f" -o {odd_characters.sub('_', file_name)}" if file_name else ""),
        "What is said below of other resources is true of the whole only.",
    ])
    text = anatomy.text(kept, dropped, origin)
    compile(text, output or path, "exec")
    if output:
        try:
            with open(output, "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as err:
            raise CommandError(str(err)) from None
    else:
        sys.stdout.write(text)
    share = f"{len(text) // 1000} KB, {100 * len(text) // len(source)} % of the whole"
    print(f"{text.count(chr(10))} lines, {share}: {names}", file=sys.stderr)
    return 0


def sha256(words: List[str], settings: Dict[str, Any]) -> int:
    """Print the SHA-256 of this file and its path, as sha256sum does"""
    _, digest, path = own_source()
    print(f"{digest}  {path}")
    return 0


# ---- 12.3 Self-test: does this file work with this Python? ----


def local_api(conn: Any) -> None:
    """Answer the requests of one connection as the self-test expects."""
    import json

    with conn, conn.makefile("rb") as file:
        while True:
            head = b"".join(iter(lambda: file.readline().replace(b"\r\n", b"\n"), b"\n"))
            if not head:
                return
            path = head.split()[1].decode("ascii")
            fields = dict(line.lower().split(b": ", 1) for line in head.splitlines()[1:])
            body, status = file.read(int(fields.get(b"content-length", 0))), "200 OK"
            kind, more = "application/json", ""
            answer: Any = {"object": "echo", "body": body.decode("latin-1")}
            if path == "/v1/busy" and fields[b"x-stainless-retry-count"] == b"0":
                status, more = "429 Too Many Requests", "retry-after-ms: 1\r\n"
                answer = {"error": {"message": "slow down", "code": "rate_limit_exceeded"}}
            elif path.startswith("/v1/items"):
                second = "after=b" in path
                ids = "c" if second else "ab"
                answer = {"data": [{"id": i} for i in ids], "has_more": not second}
            content = json.dumps(answer).encode("ascii")
            if path == "/v1/stream":
                kind = "text/event-stream"
                content = b'data: {"n": 1}\r\n\r\n: a comment\n\ndata: {"n":\ndata: 2}\n\n'
                content += b"data: [DONE]\n\n"
            conn.sendall(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{more}"
                f"Content-Length: {len(content)}\r\n\r\n".encode("ascii") + content
            )


def self_tests(url: str) -> Iterator[Tuple[str, Callable[[], Any], Any]]:
    """(what is tried, how, what has to come of it)"""
    import asyncio

    key = "sk-selftest"
    client = OpenAI(api_key=key, base_url=url, http_client=HTTPTransport(trust_env=False))
    once = client.with_options(max_retries=0)

    def failing() -> str:
        try:
            once.get("/busy", cast_to=dict)
        except RateLimitError as err:
            return f"{err.status_code} {err.code}"
        return "no error"

    def upload() -> List[str]:
        form = client.post(
            "/files", cast_to=dict, body={"purpose": "test"}, files={"file": ("a.txt", b"\x00text")}
        )["body"]
        boundary, _, rest = form.partition("\r\n")
        parts = [part.partition("\r\n\r\n") for part in rest.split(boundary)]
        return [content.strip("\r\n-") for _, _, content in parts]

    def pages() -> List[str]:
        page = client.get_api_list("/items", model=BaseModel, page=SyncCursorPage[Any])
        return [item.id for item in page]

    async def asynchronous() -> List[Any]:
        async with AsyncOpenAI(
            api_key=key, base_url=url, http_client=HTTPTransport(trust_env=False)
        ) as twin:
            calls = [twin.post("/echo", cast_to=dict, body={"n": n}) for n in range(3)]
            return [answer["body"] for answer in await asyncio.gather(*calls)]

    def stream() -> List[Any]:
        with client.post(
            "/stream", cast_to=dict, body={}, stream=True, stream_cls=Stream[Dict[str, int]]
        ) as events:
            return [event["n"] for event in events]

    yield "JSON call", lambda: client.post("/echo", cast_to=dict, body={"a": 1})["body"], '{"a":1}'
    yield "error", failing, "429 rate_limit_exceeded"
    yield "retry", lambda: client.get("/busy", cast_to=dict)["object"], "echo"
    yield "stream", stream, [1, 2]
    yield "upload", upload, ["test", "\x00text", ""]
    yield "pages", pages, ["a", "b", "c"]
    yield "async", lambda: asyncio.run(asynchronous()), ['{"n":0}', '{"n":1}', '{"n":2}']
    client.close()


def selftest(words: List[str], settings: Dict[str, Any]) -> int:
    """Try calls of every kind on a server in this process: a line per check, 0 if all went well"""
    import socket
    import threading

    def accept() -> None:
        try:
            while True:
                conn = listener.accept()[0]
                threading.Thread(target=local_api, args=(conn,), daemon=True).start()
        except OSError:
            pass  # it was closed below

    well = True
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        threading.Thread(target=accept, daemon=True).start()
        for name, check, due in self_tests(f"http://127.0.0.1:{listener.getsockname()[1]}/v1"):
            began = clock()
            try:
                came = check()
            except Exception as err:
                came = err
            fine = came == due
            well = well and fine
            found = f"{1000 * (clock() - began):.0f} ms" if fine else f"{came!r}, not {due!r}"
            print(f"{'ok' if fine else '!!'} {name:9} {found}")
        shut(listener)
    return 0 if well else 1


########################################################################
## 13. Command line: every endpoint in a shell
########################################################################
# `python3 openai_lite.py files.list --limit 3`: the declarations of section 8 are the commands, and
# what they declare says how a shell's text is to be read.  Importing this module runs none of it.

# ---- 13.1 The program ----

PROGRAM = "openai-lite"
DEFAULT_MODEL = "gpt-5.4-mini"  # for `ask`: small, quick and cheap

COMMON_OPTIONS = {  # {name: (its type, what it does)}; Text is taken as it stands, even "@x"
    "base_url": ("Text", "where the API is; or $OPENAI_BASE_URL"),
    "api_key_env": ("Text", "the variable that holds the key, instead of OPENAI_API_KEY"),
    "organization": ("Text", "or $OPENAI_ORG_ID"),
    "timeout": ("float", "seconds to wait for data; 600 unless given"),
    "max_retries": ("int", "how often to send a failed request again; 2 unless given"),
    "curl": ("bool", "print the request as a curl command instead of sending it"),
    "verbose": ("bool", "show requests and responses on stderr, without secrets"),
    "debug": ("bool", "show the traceback of an error"),
    "help": ("bool", "say what a command takes; also -h"),
}
EXTRA_OPTIONS = {
    "extra_body": ("Dict[str, Any]", "more parameters for the body"),
    "extra_query": ("Dict[str, Any]", "more parameters for the URL"),
    "extra_headers": ("Dict[str, Any]", "more headers"),
}
OUTPUT_OPTIONS = {
    "all": ("bool", "all pages of a list, not only the first"),
    "pretty": ("bool", "indented JSON"),
    "output": ("Text", "write to this file, - for standard output; also -o"),
}
SHORT_OPTIONS = {"-h": "--help", "-o": "--output", "-c": "--continue"}


class CommandError(Exception):
    """Ends the program with a line on stderr and this exit code."""

    def __init__(self, message: str, code: int = 2) -> None:
        super().__init__(message)
        self.code = code


class Finished(Exception):
    """There is nothing left to do."""


EXIT_CODES = (  # the first that fits
    (7, "a time limit passed", (APITimeoutError, TimeoutError)),
    (3, "no connection, or one that was cut", (APIConnectionError,)),
    (4, "no key, or it may not do this (401, 403)", (AuthenticationError, PermissionDeniedError)),
    (5, "rate limit or quota (429)", (RateLimitError,)),
    (6, "not found (404)", (NotFoundError,)),
    (8, "the API refused the parameters (400, 422)", (BadRequestError, UnprocessableEntityError)),
    (2, "a mistake in the command line, or a file that cannot be used", (OSError, ValueError)),
    (1, "any other error", (Exception,)),
)


def main(arguments: Optional[Sequence[str]] = None) -> int:
    """Do what the command line says, or `arguments` instead; return the exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if sys.stderr is None:  # it was closed, and print() would take standard output instead
        sys.stderr = open(os.devnull, "w")
    try:
        code = run(given)
        sys.stdout.flush()
        return code
    except Finished:
        return 0
    except BrokenPipeError:  # `| head -1` has seen enough; Python's own last flush must not fail
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        say("")
        return 130
    except Exception as err:
        if "--debug" in given:
            import traceback

            say(traceback.format_exc().rstrip())
        say(f"{PROGRAM}: {' '.join(error_words(err).split())}")
        # wait_for_processing() says with a bare RuntimeError, as official, that time is up.
        late = type(err) is RuntimeError
        found = next(code for code, _, kinds in EXIT_CODES if isinstance(err, kinds))
        return err.code if isinstance(err, CommandError) else 7 if late else found


def say(text: str) -> None:
    """Print on stderr; whoever has closed that wants to know the exit code only."""
    try:
        print(text, file=sys.stderr, flush=True)
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def error_words(err: Exception) -> str:
    if isinstance(err, OSError) and err.filename is not None:
        return f"{err.filename}: {err.strerror}"
    return str(err) if isinstance(err, CommandError) else f"{type(err).__name__}: {err}"


def run(given: List[str]) -> int:
    if sys.stdout is None:
        raise CommandError("there is no standard output: it was closed")
    leading, rest = parse_options(given, COMMON_OPTIONS, PROGRAM, leading=True)
    helps = "help" in leading
    if not rest:
        print(program_help(), file=sys.stdout if helps else sys.stderr)
        return 0 if helps else 2
    name, *rest = rest
    flags = rest[: rest.index("--")] if "--" in rest else rest
    if helps or "--help" in flags or "-h" in flags:
        print(command_help(name))
        return 0
    perform, table = find_command(name)
    own = {**COMMON_OPTIONS, **table}
    texts, words = parse_options(rest, own, name)
    texts = {**leading, **texts}
    code: int = perform(words, {n: argument(n, texts[n], own[n][0]) for n in texts})
    return code


def find_command(name: str) -> Tuple[Any, Dict[str, Tuple[str, str]]]:
    """(the function of (words, settings) that performs it, its options)"""
    if name in COMMANDS:
        return COMMANDS[name]
    target = find_target(name)
    if isinstance(target, type):
        inside = ", ".join(f"{name}.{n}" for n in targets_in(target))
        raise CommandError(f"{name} is a group; say which of {inside}")
    own = {n: (kind, "") for n, (kind, _) in parameters_of(target).items()}
    extra = EXTRA_OPTIONS if takes_options(target) else {}
    return (
        lambda words, settings: call_target(name, target, words, settings),
        {**OUTPUT_OPTIONS, **extra, **own},
    )


def did_you_mean(word: str, known: Iterable[str]) -> str:
    import difflib

    close = difflib.get_close_matches(word, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; see {PROGRAM} --help"


# ---- 13.2 Options and their values ----


def parse_options(
    arguments: Sequence[str], table: Mapping[str, Tuple[str, str]], command: str,
    leading: bool = False,
) -> Tuple[Dict[str, List[str]], List[str]]:
    """({option: its texts}, the other words); `leading` stops at the first of these."""
    found: Dict[str, List[str]] = {}
    words: List[str] = []
    left = list(arguments)
    while left:
        word = left.pop(0)
        if word == "--" or (leading and (word[:1] != "-" or word in COMMANDS)):
            words += left if word == "--" else [word, *left]
            break
        if word[:1] != "-" or word == "-":
            words.append(word)
            continue
        option, equals, text = word.partition("=")
        name = SHORT_OPTIONS.get(option, option).lstrip("-").replace("-", "_")
        if name not in table:
            known = [option_of(n) for n in table]
            raise CommandError(f"{command} has no option {option}{did_you_mean(option, known)}")
        if not equals and bool in shapes_of(table[name][0])[0]:
            text = left.pop(0) if left[:1] in (["true"], ["false"], ["null"]) else "true"
        elif not equals:
            if not left or left[0][:2] == "--" and left[0][2:].replace("-", "_") in table:
                raise CommandError(f"{command}: {option} needs a value")
            text = left.pop(0)
        found.setdefault(name, []).append(text)
    return found, words


def option_of(name: str) -> str:
    return "--" + name.replace("_", "-")


class FileShape:
    """Stands for FileTypes, and for os.PathLike[str] and IO[bytes] in their places."""

    def __getattr__(self, name: str) -> FileShape:
        if name[:2] == "__":
            raise AttributeError(name)
        return self

    def __getitem__(self, item: Any) -> FileShape:
        return self


FILE = FileShape()


class ShellTypes:
    """Looks up the names in an annotation; what exists for type checkers only is an object."""

    same = {
        "Iterable": "List", "Sequence": "List", "Mapping": "Dict", "Like": "Union",
        "Required": "Union", "Callable": "Dict",  # which no shell can give
    }

    def __getitem__(self, name: str) -> Any:
        name = self.same.get(name, name)
        if name in ("Optional", "Union", "List", "Dict", "Literal"):
            return globals()[name]
        if name in ("FileTypes", "os", "IO", "bytes"):
            return FILE
        plain = {"str": str, "int": int, "float": float, "bool": bool, "object": object}
        found = object if name == "Any" else plain.get(name) or TYPES.get(name, dict)
        return dict if isinstance(found, type) and found not in plain.values() else found


def shapes_of(annotation: str) -> Tuple[List[Any], List[Any]]:
    """What a parameter takes, and what a list that it takes has in it."""
    shapes = members_of(eval(annotation, {}, ShellTypes()))  # type: ignore[arg-type, unused-ignore]
    items = [m for s in shapes if parts_of(s)[0] == "List" for m in members_of(parts_of(s)[1][0])]
    return shapes, items


def fits(value: Any, shape: Any) -> bool:
    name, args = parts_of(shape)
    if name == "Literal":
        return value in args
    if name == "List" or shape in (None, NoneType, object, FILE):
        return shape in (object, FILE) or (isinstance(value, list) if name else value is None)
    if shape in (str, int, float, bool):
        numbers = (int, float) if shape is float else shape
        return isinstance(value, numbers) and isinstance(value, bool) == (shape is bool)
    return isinstance(value, dict)


def argument(name: str, texts: List[str], annotation: str) -> Any:
    """The value of a parameter from what the shell gave for it; raises CommandError."""
    if annotation in ("Text", "List[Text]"):
        return texts[-1] if annotation == "Text" else texts
    shapes, items = shapes_of(annotation)
    if texts == ["null"] and str not in shapes and {None, NoneType}.intersection(shapes):
        return None  # and not a list of that word
    values = [value_of(option_of(name), text, shapes + items) for text in texts]
    if len(values) == 1 and (not items or any(fits(values[0], shape) for shape in shapes)):
        return values[0]
    if not items:
        raise CommandError(f"{option_of(name)} was given {len(texts)} times")
    return [item for v in values for item in (v if isinstance(v, list) else [v])]


def value_of(option: str, text: str, shapes: List[Any]) -> Any:
    """One text as the first of `shapes` that it fits."""
    import json

    if FILE in shapes:
        import pathlib

        path = text[1:] if text[:1] == "@" else text
        return ("stdin", piped_in(option)) if path == "-" else pathlib.Path(path)
    text = contents_of(option, text)
    wordy = str in shapes or object in shapes
    if any(parts_of(shape)[0] == "Literal" and fits(text, shape) for shape in shapes):
        return text
    try:
        value = json.loads(text, parse_constant=int)  # which NaN is not: a ValueError
        problem = ""
    except (ValueError, RecursionError) as err:
        value, problem = text, f" ({err})" if text.lstrip()[:1] in ("{", "[") else ""
    if wordy and (object not in shapes or problem) and not isinstance(value, (list, dict)):
        return text
    if any(fits(value, shape) for shape in shapes):
        return value
    # A value that this file does not know may be one that the API has learnt since.
    literal = not problem and any(parts_of(shape)[0] == "Literal" for shape in shapes)
    if wordy or (literal and isinstance(value, str)):
        return text
    raise CommandError(f"{option} takes {values_text(shapes)}{problem}")


def contents_of(option: str, text: str) -> str:
    """What `@file` holds, what is piped in for `@-` and `-`; `@@x` is "@x"."""
    if text[:2] == "@@" or not (text[:1] == "@" or text == "-"):
        return words_of(option, text[1:] if text[:2] == "@@" else text)
    try:
        if text in ("-", "@-"):
            return piped_in(option).read().decode("utf-8")
        with open(text[1:], "rb") as file:
            return file.read().decode("utf-8")
    except UnicodeDecodeError as err:
        raise CommandError(f"{option} {text}: it is not text in UTF-8 ({err.reason})") from None
    except OSError as err:
        hint = "; write @@ for a text that begins with @" if text[1:] else ""
        raise CommandError(f"{option} {text}: {err.strerror}{hint}") from None


def words_of(option: str, text: str) -> str:
    """What was typed, also where Python takes the terminal for one that knows ASCII only."""
    if not any("\udc80" <= character <= "\udcff" for character in text):
        return text
    try:  # these stand for bytes that Python could not read (PEP 383)
        return os.fsencode(text).decode("utf-8")
    except UnicodeError:
        raise CommandError(f"{option}: it is not text in UTF-8") from None


def piped_in(option: str) -> IO[bytes]:
    if sys.stdin is None:
        raise CommandError(f"{option} -: nothing can be piped in, the standard input is closed")
    return sys.stdin.buffer


def values_text(shapes: Sequence[Any]) -> str:
    """`"text | [text, ...]"`, what to write for these."""
    names: Dict[Any, str] = {
        str: "text", int: "integer", float: "number", bool: "true | false", FILE: "FILE",
        object: "JSON",
    }
    found: List[str] = []
    for shape in shapes:
        form, args = parts_of(shape)
        if form == "List":
            found.append(f"[{values_text(members_of(args[0]))}, ...]")
        elif form == "Literal":
            found += [str(value) for value in args[:8]] + ["..."] * (len(args) > 8)
        elif shape not in (None, NoneType):
            found.append(names.get(shape, "{...}"))
    return " | ".join(dict.fromkeys(found)) or "null"


# ---- 13.3 Endpoints as commands ----


def targets_in(group: Any) -> Dict[str, Any]:
    """{name: Endpoint, helper or class of a group} of what a class of section 8 declares."""
    found: Dict[str, Any] = {}
    for cls in reversed(group.__mro__):
        if cls.__module__ == __name__ and issubclass(cls, Resource):
            for name, annotation in own_annotations(cls).items():
                if annotation.endswith("[C]"):
                    found[name] = find_group(group, name)[0]
            for name, value in vars(cls).items():
                wrapped = getattr(value, "__wrapped__", None)
                if isinstance(value, Endpoint) or (wrapped and wrapped.__code__.co_flags & 32):
                    found[name] = value  # 32: a generator, so it is a helper of 6.5
    found.pop("parse", None)  # it takes classes, which a shell does not have
    return found


def targets_under(group: Any, path: str = "") -> Iterator[Tuple[str, Any]]:
    """(dotted name, target) of everything below a group, groups included."""
    for name, target in targets_in(group).items():
        yield path + name, target
        if isinstance(target, type):
            yield from targets_under(target, f"{path}{name}.")


def find_target(name: str) -> Any:
    target: Any = API
    for part in name.replace("-", "_").split("."):
        inside = targets_in(target) if isinstance(target, type) else {}
        methods = {n for cls in target.__mro__ for n in vars(cls)} if inside else {}
        if part not in inside and part in methods and part[0] != "_":
            raise CommandError(f"{name} is a method for programs{FOR_PROGRAMS.get(part, '')}")
        if part not in inside:
            known = [*COMMANDS, *(path for path, _ in targets_under(API))]
            raise CommandError(f"there is no command {name}{did_you_mean(name, known)}")
        target = inside[part]
    return target


FOR_PROGRAMS = {
    "parse": ", since it takes a class; use create, with a JSON schema as its format",
    "stream": ", since it adds up the events; use create --stream",
}


def stub_of(target: Any) -> Any:
    return getattr(target, "stub", None) or target.__wrapped__


def takes_options(target: Any) -> bool:
    return bool(stub_of(target).__code__.co_flags & 8)  # it has **options


def parameters_of(target: Any) -> Dict[str, Tuple[str, bool]]:
    """{name: (annotation, whether it is required)} in the order of the signature."""
    stub = stub_of(target)
    code, annotations = stub.__code__, stub.__annotations__
    count = code.co_argcount + code.co_kwonlyargcount
    optional = len(stub.__defaults__ or ())
    left_out = {*code.co_varnames[code.co_argcount - optional : code.co_argcount]}
    left_out.update(stub.__kwdefaults__ or ())
    names = code.co_varnames[1:count]
    found = {name: (annotations[name], name not in left_out) for name in names}
    if takes_options(target):
        options = type_named(annotations[code.co_varnames[count]][7:-1])
        for cls in reversed(options.__mro__):
            declared = own_annotations(cls) if cls.__module__ == __name__ else {}
            for name, kind in declared.items():
                if name not in OPTION_NAMES and name not in found:
                    found[name] = kind, kind.startswith("Required[")
    return found


def positional_of(target: Any) -> List[str]:
    """What may be given without its name: the parameters in the path, in its order."""
    if isinstance(target, Endpoint):
        return list(path_parameter.findall(getattr(target, "path")))
    code, required = stub_of(target).__code__, parameters_of(target)
    return [name for name in code.co_varnames[1 : code.co_argcount] if required[name][1]]


def call_target(name: str, target: Any, words: List[str], settings: Dict[str, Any]) -> int:
    """Call an endpoint or helper, and print what it returns."""
    parameters, words = parameters_of(target), list(words)
    given = {n: settings[n] for n in (*parameters, *EXTRA_OPTIONS) if n in settings}
    for n in positional_of(target):
        if words and n not in given:
            given[n] = argument(n, [words.pop(0)], parameters[n][0])
    if words:
        raise CommandError(f"{name}: what is {words[0]!r} for? Parameters are named: --name value")
    missing = [option_of(n) for n, (_, needed) in parameters.items() if needed and n not in given]
    if missing:
        raise CommandError(f"{name} needs {' and '.join(missing)}; see {PROGRAM} {name} --help")
    is_endpoint, output = isinstance(target, Endpoint), settings.get("output")
    if settings.get("curl") and not is_endpoint:
        raise CommandError(f"{name} sends several requests: --curl can show only a single one")
    binary = stub_of(target).__annotations__["return"] == "HttpxBinaryResponseContent"
    if binary and output is None and sys.stdout.isatty() and not settings.get("curl"):
        raise CommandError(f"{name} answers with binary data: name a file with --output")
    if is_endpoint and target.deprecated:
        print(f"{PROGRAM}: {name} is deprecated: use {target.deprecated}", file=sys.stderr)
    bar = ProgressBar()
    if takes_options(target) and sys.stderr.isatty() and not settings.get("verbose"):
        given["progress"] = bar
    with open_client(settings) as client:
        client._quiet = True  # the warning of a deprecated method is above
        api: Any = client
        for part in name.replace("-", "_").split("."):
            api = getattr(api, part)
        sink = Sink(None if output == "-" else output)
        try:
            show_result(api(**given), settings, sink)
        finally:
            bar.finish()
            sink.close()
    return 0


def show_result(result: Any, settings: Mapping[str, Any], sink: Sink) -> None:
    """A JSON object per line; text and binary data as they are."""
    pretty = bool(settings.get("pretty"))
    if isinstance(result, HttpxBinaryResponseContent):
        for data in result.iter_bytes():
            sink.write(data)
    elif isinstance(result, str):
        sink.write((result if result[-1:] == "\n" else result + "\n").encode("utf-8"))
    elif isinstance(result, SyncPages):
        for item in result if settings.get("all") else result.data or ():
            sink.line(item, pretty)
    elif isinstance(result, Stream):
        with result:
            for event in result:
                sink.line(event, pretty)
        if "stream" in settings and not result.completed:  # others need not have a last event
            raise CommandError("the stream ended before its last event", 3)
    elif result is not None:
        sink.line(result, pretty)


class Sink:
    """Standard output, or a file that is opened when there is something to write."""

    def __init__(self, path: Optional[str]) -> None:
        self.path = path
        self.file: Any = sys.stdout.buffer if path is None else None

    def write(self, data: bytes) -> None:
        if self.file is None:
            assert self.path is not None
            self.file = open(self.path, "wb")
        self.file.write(data)
        self.file.flush()

    def line(self, value: Any, pretty: bool) -> None:
        import json

        text = json.dumps(
            value, indent=2 if pretty else None, separators=None if pretty else (",", ":"),
            ensure_ascii=False, default=jsonable,
        )
        self.write(text.encode("utf-8", "backslashreplace") + b"\n")  # half a surrogate: \ud83d

    def close(self) -> None:
        if self.path is not None and self.file is not None:
            self.file.close()


def open_client(settings: Mapping[str, Any]) -> OpenAI:
    """The client that the common options and the environment ask for."""
    environ = os.environ.get
    azure = environ("OPENAI_API_TYPE") == "azure" or (
        environ("OPENAI_API_TYPE") is None and "base_url" not in settings
        and bool(environ("AZURE_OPENAI_ENDPOINT")) and not environ("OPENAI_API_KEY")
    )
    variable = "AZURE_OPENAI_API_KEY" if azure else "OPENAI_API_KEY"
    variable = settings.get("api_key_env", variable)
    names = ("base_url", "organization", "timeout", "max_retries")
    options: Dict[str, Any] = {name: settings[name] for name in names if name in settings}
    if settings.get("curl"):  # the key need not be there, and is not looked at
        if not variable.isidentifier():
            raise CommandError("--api-key-env takes the name of a variable, not a key")
        options.update(api_key="$" + variable, admin_api_key="$OPENAI_ADMIN_KEY")
        options["http_client"] = CurlPrinter(settings.get("output"))
    elif "api_key_env" in settings:
        options["api_key"] = environ(variable)
        if not options["api_key"]:
            raise CommandError("the variable that --api-key-env names is not set", 4)
    if settings.get("verbose") and not settings.get("curl"):
        options["http_client"] = WireLog(HTTPTransport())
    try:
        return AzureOpenAI(**options) if azure else OpenAI(**options)
    except (OpenAIError, ValueError, TypeError) as err:
        raise CommandError(str(err), 4 if "api_key" in str(err) else 2) from None


# ---- 13.4 ask ----

ASK_OPTIONS = {
    "model": ("Text", f"or $OPENAI_MODEL; {DEFAULT_MODEL} without"),
    "system": ("str", "instructions"),
    "json": ("bool", "answer with a JSON object"),
    "file": ("List[Text]", "an image, a document or a text to ask about; may be repeated"),
    "continue": ("bool", "go on with the last conversation; also -c"),
}


def ask(words: List[str], settings: Dict[str, Any]) -> int:
    """Ask a model, and print its answer as it is written: ask "Say this is a test"

    What is piped in goes along with the question, or is the question if there is none.  The id of
    the answer, for --continue, is kept in $XDG_STATE_HOME/openai_lite/last_answer.json, by default
    under ~/.local/state, and readable for you only; the key and the texts are not.
    """
    words = [words_of("ask", word) for word in words]
    parts = [{"type": "input_text", "text": " ".join(words)}] if words else []
    if sys.stdin is not None and not sys.stdin.isatty():
        piped = sys.stdin.buffer.read().decode("utf-8", "replace")
        parts += [{"type": "input_text", "text": piped}] if piped.strip() else []
    if not parts:
        raise CommandError("ask what? Write the question behind it, or pipe it in")
    parts += [file_content(path) for path in settings.get("file", ())]
    last: Dict[str, Any] = last_answer() if settings.get("continue") else {}
    model = settings.get("model") or last.get("model") or os.environ.get("OPENAI_MODEL")
    texts = [part["text"] for part in parts if "text" in part]
    asked: Dict[str, Any] = {"model": model or DEFAULT_MODEL, "stream": True}
    asked["input"] = [{"role": "user", "content": parts}]
    if len(texts) == len(parts):
        asked["input"] = "\n\n".join(texts)
    instructions = settings.get("system", "")
    if settings.get("json"):
        asked["text"] = {"format": {"type": "json_object"}}
        if "json" not in " ".join([*texts, instructions]).lower():  # the API wants the word there
            instructions += "\nAnswer with a JSON object."
    if instructions:
        asked["instructions"] = instructions.lstrip("\n")
    if last:
        asked["previous_response_id"] = last["id"]
    client: Any = open_client(settings)
    with client, client.responses.create(**asked) as events:
        answer, shown = print_answer(events)
        if not events.completed:
            raise CommandError("the answer was cut: the stream ended before its last event", 3)
    remember_answer(answer, asked["model"])
    why = getattr(answer, "error", None) or getattr(answer, "incomplete_details", None)
    if why is not None or answer is None:
        words_of_it = getattr(why, "message", None) or getattr(why, "reason", None) or shown
        raise CommandError(f"the answer is not complete: {words_of_it}", 1)
    return 0


def print_answer(events: Any) -> Tuple[Any, str]:
    """Print the text of a stream; (the response that its last event holds, an error's message)."""
    answer, problem, at_start = None, "", True
    write, flush = sys.stdout.buffer.write, sys.stdout.buffer.flush
    try:
        for event in events:
            if event.type in ("response.output_text.delta", "response.refusal.delta"):
                at_start = False
                write(event.delta.encode("utf-8", "replace"))
                flush()
            elif event.type == "error":
                problem = getattr(event, "message", None) or "error"
            elif event.type in TERMINAL_EVENTS:
                answer = getattr(event, "response", None)
    finally:
        if not at_start:
            write(b"\n")
            flush()
    return answer, problem


def file_content(path: str) -> Dict[str, str]:
    """A file as a part of the input: an image, a text, or else a document."""
    import base64
    import mimetypes

    with open(path, "rb") as file:
        data = file.read()
    name, mime = os.path.basename(path), mimetypes.guess_type(path)[0] or ""
    mime = mime or ("image/webp" if path.lower().endswith(".webp") else "application/octet-stream")
    if mime != "application/pdf" and b"\0" not in data:
        try:
            return {"type": "input_text", "text": f"{name}:\n{data.decode('utf-8')}"}
        except UnicodeDecodeError:
            pass
    url = f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"
    if mime.startswith("image/"):
        return {"type": "input_image", "image_url": url, "detail": "auto"}
    return {"type": "input_file", "filename": name, "file_data": url}


def state_file() -> str:
    # https://specifications.freedesktop.org/basedir-spec/latest/
    folder = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA")
    folder = folder or os.path.join(os.path.expanduser("~"), ".local", "state")
    return os.path.join(folder, "openai_lite", "last_answer.json")


def last_answer() -> Dict[str, Any]:
    import json

    try:
        with open(state_file(), "rb") as file:
            kept = json.loads(file.read().decode("utf-8"))
        return {"id": kept["id"], "model": kept["model"]}
    except (OSError, ValueError, TypeError, KeyError):
        raise CommandError(f"there is no conversation to continue in {state_file()}") from None


def remember_answer(answer: Any, model: str) -> None:
    if getattr(answer, "id", None) is None:
        return
    try:
        os.makedirs(os.path.dirname(state_file()), mode=0o700, exist_ok=True)
        descriptor = os.open(state_file(), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "wb") as file:
            file.write(encode_json({"id": answer.id, "model": model}))
    except OSError:
        pass  # a home that cannot be written to: there will be nothing to continue


# ---- 13.5 Requests as curl commands, on the wire, and in progress ----


class CurlPrinter:
    """The transport of --curl: it prints what would be sent, and sends nothing."""

    def __init__(self, output: Optional[str]) -> None:
        self.output = output

    def send(self, request: HTTPRequest) -> HTTPResponse:
        Sink(None).write((curl_command(request, self.output) + "\n").encode("utf-8"))
        raise Finished()


named_secret = Pattern(r"(?:\w+ )?\$\w+\Z")  # "Bearer $OPENAI_API_KEY"
part_head = Pattern(r'form-data; name="([^"]*)"(?:; filename="([^"]*)")?')
INLINE = 100000  # bytes; what Linux allows for one argument is 128 kB


def curl_command(request: HTTPRequest, output: Optional[str] = None) -> str:
    """A shell command that sends the same.  Secrets are variables there, or `<redacted>`."""
    import json
    import shlex

    body, quote = request.body, shlex.quote
    lines = [f"curl {quote(without_secrets(request.url))}"]
    if request.method != "POST" and (body is not None or request.method != "GET"):
        lines[0] += f" -X {request.method}"  # which is not what curl takes from the other options
    without = ["accept-encoding", "connection"]  # where curl has its own
    if request.headers.get("Accept") == "application/json":
        without.append("accept")
    if request.headers.get("User-Agent", "").startswith(__title__ + "/"):
        without.append("user-agent")
    if isinstance(body, MultipartBody) or (body is None and request.method != "POST"):
        without.append("content-type")
    for name, value in request.headers.items():
        folded = name.lower()
        if folded.startswith("x-stainless-") or folded in without:
            continue
        if folded not in SECRET_HEADERS:
            lines.append(f"-H {quote(f'{name}: {value}')}")
        elif named_secret.match(value):
            lines.append(f'-H "{name}: {value}"')
        else:
            lines.append(f"-H {quote(name + ': <redacted>')}")
    streams = request.headers.get("Accept") == "text/event-stream"
    here = ""
    if isinstance(body, MultipartBody):
        fields = [form_option(body.parts[i], body.parts[i + 1])
                  for i in range(0, len(body.parts) - 1, 3)]
        streams = streams or "-F stream=true" in fields
        lines += fields
    elif isinstance(body, FileBody):
        source = body.part.source if isinstance(body.part, FilePart) else None
        lines.append(f"--data-binary {quote('@' + (source if isinstance(source, str) else '-'))}")
    elif body is not None:
        text = body.decode("utf-8", "replace")
        try:
            parsed = json.loads(text)
            streams = streams or isinstance(parsed, dict) and parsed.get("stream") is True
        except ValueError:
            pass
        is_json = request.headers.get("Content-Type", "") == "application/json"
        if len(body) > INLINE:
            lines.append("--data-binary @- <<'END'")
            here = f"\n{text}\nEND"
        else:
            lines.append(f"{'--data' if is_json else '--data-binary'} {quote(text)}")
    elif request.method == "POST":
        lines.append("--data ''")  # an empty body, whose length is sent
    if output not in (None, "-"):
        lines[0] += f" -o {quote(str(output))}"
    lines[0] += " -N" if streams else ""
    return " \\\n  ".join(lines) + here


def form_option(head: bytes, part: Any) -> str:
    """The -F for one part of a form."""
    import shlex

    text = head.decode("utf-8")
    found = part_head.search(text)
    assert found is not None
    name, filename = (
        None if group is None
        else group.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n")
        for group in found.groups()
    )
    if not isinstance(part, FilePart) and filename is None:
        value = part.decode("utf-8")
        plain = not value.startswith(("@", "<")) and not set(value).intersection(';"\\')
        return f"{'-F' if plain else '--form-string'} {shlex.quote(f'{name}={value}')}"
    path = part.source if isinstance(getattr(part, "source", None), str) else "-"
    option = f"{name}=@{form_value(path)}"
    if filename is not None and filename != os.path.basename(path):
        option += f";filename={form_value(filename)}"
    kind = text.lower().partition("\r\ncontent-type: ")[2].partition("\r\n")[0]
    return f"-F {shlex.quote(option + (f';type={kind}' if kind else ''))}"


def form_value(text: str) -> str:
    """A value inside -F, where some characters separate."""
    if not set(text).intersection(',;"\\') and text == text.strip():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


class WireLog:
    """A transport that shows on stderr what goes through another one, as `curl -v` does."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def send(self, request: HTTPRequest) -> HTTPResponse:
        first, *fields = request.head(request.target).decode("latin-1").rstrip().split("\r\n")
        self.show(">", request, [without_secrets(first), *map(shown_field, fields), ""])
        body = request.body
        for part in getattr(body, "parts", [getattr(body, "part", body)]):
            if isinstance(part, FilePart):
                self.show(">", request, [f"[{part.size} bytes of {part.label}]"])
            elif part and part != b"\r\n":  # which ends each part of a form
                self.show(">", request, text_lines(bytes(part)))
        response: HTTPResponse = self.inner.send(request)
        status = f"{response.http_version} {response.status_code} {response.reason_phrase}"
        heads = [shown_field(f"{name}: {value}") for name, value in response.headers.items()]
        self.show("<", request, [status, *heads, ""])
        if response._content is not None:
            self.show("<", request, text_lines(response._content))
        else:
            self.listen(request, response)
        return response

    def listen(self, request: HTTPRequest, response: HTTPResponse) -> None:
        """Show the body as it is read, in whole lines: a secret may not be cut in two."""
        kind = response.headers.get("content-type", "")
        is_text = kind.startswith("text/") or "json" in kind or "sdp" in kind
        cutter, count = LineCutter(response.encoding), [0]

        def shown(data: bytes, at_end: bool) -> bytes:
            count[0] += len(data)
            lines = cutter.feed(data) + (cutter.finish() if at_end else []) if is_text else []
            if at_end and not is_text:
                lines = [f"[{count[0]} bytes of {kind or 'something'}]"]
            self.show("<", request, lines)
            return data

        some, whole = response._read_some, response._read_all

        def read_some(limit: int = BLOCK) -> bytes:
            data = some(limit)
            return shown(data, not data)

        response.__dict__.update(_read_some=read_some, _read_all=lambda: shown(whole(), True))

    def show(self, mark: str, request: HTTPRequest, lines: List[str]) -> None:
        for line in lines:
            print(mark, shorten(redacted(line, request), 10000), file=sys.stderr)

    def close(self) -> None:
        self.inner.close()


def shown_field(line: str) -> str:
    """A header without its value where that is a secret."""
    name, _, value = line.partition(": ")
    if name.lower() in SECRET_HEADERS:
        return f"{name}: <redacted>"
    return f"{name}: {without_secrets(value) if name.lower() == 'location' else value}"


def text_lines(data: bytes) -> List[str]:
    try:
        text = data.decode("utf-8").replace("\r\n", "\n")
        return (text[:-1] if text[-1:] == "\n" else text).split("\n")
    except UnicodeDecodeError:
        return [f"[{len(data)} bytes]"]


class ProgressBar:
    """Draws how far an upload or a download is; to be passed as `progress`."""

    def __init__(self) -> None:
        self.started, self.drawn = clock(), 0.0
        self.before = 0
        self.open = False

    def __call__(self, done: int, total: Optional[int]) -> None:
        now = clock()
        if done == 0 or done < self.before:  # it begins, perhaps once again
            self.started = now
        self.before = done
        if self.open and now - self.drawn < 0.1 and done != total:
            return
        self.drawn, self.open = now, True
        rate = done / max(now - self.started, 0.001)
        line = f"{size_text(done)}, {size_text(rate)}/s"
        if total:
            left = int((total - done) / rate) if rate else 0
            line = (
                f"[{'#' * (20 * done // total):20}] {100 * done // total}% of {size_text(total)}, "
                f"{size_text(rate)}/s, {left // 60}:{left % 60:02} left"
            )
        print(f"\r{line:70}", end="", file=sys.stderr, flush=True)

    def finish(self) -> None:
        if self.open:
            print(file=sys.stderr)
        self.open = False


def size_text(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


# ---- 13.6 Help and completion ----


def program_help() -> str:
    groups = [(f"{name}.", first_line(group)) for name, group in targets_in(API).items()]
    rows = [(name, first_line(perform)) for name, (perform, _) in COMMANDS.items()]
    lines = [
        f"usage: {PROGRAM} [options] COMMAND ...", "", "commands:", *columns(rows), "",
        "every endpoint is a command as well, such as files.list or chat.completions.create:",
        *columns(groups), "",
        f"{PROGRAM} files --help lists a group, {PROGRAM} files.create --help the parameters.",
        "Values: --x @file is what a file holds, @- or - what is piped in, @@x the text @x.",
        "Lists are JSON, or the option repeated; objects are JSON.", "",
        "options:", *option_rows(COMMON_OPTIONS), "", "exit codes:",
        *columns([("0", "done")] + sorted((str(c), what) for c, what, _ in EXIT_CODES)
                 + [("130", "interrupted by Ctrl-C")]),
    ]
    return "\n".join(lines)


def command_help(name: str) -> str:
    import inspect

    if name in COMMANDS:
        perform, table = COMMANDS[name]
        options = option_rows({**table, **COMMON_OPTIONS})
        doc = inspect.cleandoc(perform.__doc__ or "")
        return "\n".join([f"usage: {PROGRAM} {name}", "", doc, "", "options:", *options])
    target = find_target(name)
    if isinstance(target, type):
        rows = [
            (path, f"{getattr(t, 'verb', '')} {getattr(t, 'path', '')}  {first_line(t)}".strip())
            for path, t in targets_under(target, name + ".") if not isinstance(t, type)
        ]
        return "\n".join([first_line(target), "", *columns(rows)])
    parameters, positional = parameters_of(target), positional_of(target)
    rows = []
    for n, (annotation, required) in parameters.items():
        kind = values_text(shapes_of(annotation)[0])
        rows.append((option_of(n), kind + (", required" if required else "")))
    verb, old = getattr(target, "verb", ""), getattr(target, "deprecated", None)
    needed = [f"{option_of(n)} ..." for n in parameters
              if parameters[n][1] and n not in positional]
    lines = [
        " ".join([f"usage: {PROGRAM} {name}", *map(str.upper, positional), *needed]), "",
        *([f"{verb} {getattr(target, 'path')}"] if verb else []),
        inspect.cleandoc(stub_of(target).__doc__ or ""),
        "", *([f"deprecated: use {old}", ""] if old else []),
        *(["parameters:", *columns(rows), ""] if rows else []),
        "options:", *option_rows({**find_command(name)[1], **COMMON_OPTIONS}, parameters),
    ]
    url = documentation_of(stub_of(target).__qualname__.partition(".")[0])
    return "\n".join(lines + (["", url] if url else []))


def first_line(target: Any) -> str:
    doc = getattr(target, "stub", target).__doc__ or ""
    return " ".join(doc.partition("\n\n")[0].split())


def columns(rows: Sequence[Tuple[str, str]]) -> List[str]:
    width = min(28, max((len(name) for name, _ in rows), default=0))
    return [f"  {name:{width}}  {text}".rstrip() for name, text in rows]


def option_rows(table: Mapping[str, Tuple[str, str]], without: Iterable[str] = ()) -> List[str]:
    return columns([(option_of(n), table[n][1]) for n in table if n not in {*without}])


def documentation_of(class_name: str) -> str:
    """The address of the reference page, from the title above a class; "" without the source."""
    import re

    try:
        spec: Any = globals().get("__spec__")  # under `python -m` the loader knows the real name
        loader: Any = globals()["__loader__"]
        source = loader.get_source(spec.name if spec else __name__) or ""
    except Exception:
        return ""  # a .pyc alone, or loaded in a way of its own
    above = source.partition(f"\nclass {class_name}(")[0]
    found = re.findall(r"\n# ---- 8\.\d+ .* ----(?:\n#)? (https://\S+)", above)
    return found[-1] if found else ""


def completion(words: List[str], settings: Dict[str, Any]) -> int:
    """Print a script for the shell: eval "$(openai-lite completion bash)", or zsh"""
    import shlex

    shell = words[0] if words else ""
    if shell == "words":  # what the scripts call
        print("\n".join(completed(words[1:])))
        return 0
    here = os.path.abspath(globals().get("__file__", ""))
    me = [here] if os.path.isfile(here) else ["-m", __title__]
    ask_me = " ".join(map(shlex.quote, [sys.executable, *me])) + " completion words --"
    if shell not in COMPLETIONS:
        raise CommandError(f"completion for which shell? {' or '.join(COMPLETIONS)}")
    print(COMPLETIONS[shell].replace("ASK", ask_me))
    return 0


COMPLETIONS = {
    "bash": """\
_openai_lite() {
    local IFS=$'\\n'
    COMPREPLY=($(ASK "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _openai_lite openai-lite openai_lite.py""",
    "zsh": """\
_openai_lite() {
    local -a found
    found=(${(f)"$(ASK "${(@)words[2,CURRENT]}" 2>/dev/null)"})
    if (( $#found )); then compadd -- $found; else _files; fi
}
compdef _openai_lite openai-lite openai_lite.py""",
}


def completed(words: List[str]) -> List[str]:
    """What the last of the words may become."""
    *before, last = words or [""]
    known: List[str] = []
    if not before:
        groups = [*COMMANDS, *(n for n, t in targets_under(API) if not isinstance(t, type))]
        known = groups + [option_of(n) for n in COMMON_OPTIONS] * (last[:1] == "-")
    else:
        table = {**COMMON_OPTIONS, **find_command(before[0])[1]}
        option = before[-1].lstrip("-").replace("-", "_")
        if last[:1] == "-":
            known = [option_of(n) for n in table]
        elif before[-1][:2] == "--" and option in table:
            forms = [parts_of(s) for half in shapes_of(table[option][0]) for s in half]
            known = [str(value) for form, args in forms if form == "Literal" for value in args]
        elif before == ["completion"]:
            known = list(COMPLETIONS)
    return [word for word in known if word.startswith(last)]


def version(words: List[str], settings: Dict[str, Any]) -> int:
    """Print the version"""
    print(__title__, __version__)
    return 0


COMMANDS: Dict[str, Tuple[Any, Dict[str, Tuple[str, str]]]] = {  # {name: (function, its options)}
    "ask": (ask, ASK_OPTIONS),
    "completion": (completion, {}),
    "doctor": (doctor, {}),
    "vendor": (vendor, VENDOR_OPTIONS),
    "selftest": (selftest, {}),
    "sha256": (sha256, {}),
    "--version": (version, {}),
    "--selftest": (selftest, {}),
    "--sha256": (sha256, {}),
}


if __name__ == "__main__":
    sys.exit(main())
