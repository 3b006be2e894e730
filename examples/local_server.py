# SPDX-License-Identifier: MIT
"""A stand-in for the OpenAI API, offline, on loopback, with the standard library: not a model.

    python3 examples/local_server.py --port 8080
    OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=anything python3 your_program.py

    with LocalServer() as server:
        client = OpenAI(base_url=server.url, api_key="anything")

It is for learning, demonstrations and tests.  It speaks the API's HTTP: paths, parameters,
objects, streams, pages, errors.  What it says is made by a small grammar from the words you sent,
with dice seeded by them: the same request gets the same answer, plain or streamed.  Functions are
called when they are forced, required, or named by the user, with arguments that fit their JSON
schema (its `pattern` and `not` excepted); structured outputs are made in the same way.  Vectors
of texts that share words are close, moderation is a list of words; batches, fine-tuning jobs,
evals, videos and runs of assistants take their time in the background.  Pictures are striped PNGs,
speech is a buzz that a transcription still understands, a video has no picture.
Everything is in memory, uploads in a temporary directory, and gone when the server stops.

Any key will do, except "wrong-key" and what starts with "sk-wrong"; any model, except names that
start with "no-such".  Paths start at any base that ends in /v1, or as at Azure, with /openai.

TO GET A CERTAIN ANSWER ask for it in the last message, or by parameters:

    get_weather, the weather    call the tool get_weather; several of them if several are named
    city: Oslo, city is Oslo    the value of the property "city" where a schema is to be fitted
    please refuse               a refusal
    the result of a tool        a text that quotes it, whatever `tool_choice` says
    please fail                 a response, a run or a video that begins, and fails
    draw                        a run whose message has an image
    code                        a run that first calls the code_interpreter, if it may
    an empty file               a file of a vector store that fails
    reasoning.effort            a response with a summary of reasoning
    max_tokens and the like     an answer cut short, tool calls too

TO MAKE A REQUEST FAIL send one of these headers with it:

    x-fault-status: 429         answer with this status and an error object; and, if wanted,
      x-fault-retry-after: 0.1, x-fault-retry-after-ms: 100, x-fault-should-retry: false
    x-fault-delay: 0.5          wait so many seconds before the answer
    x-fault-cut: 100            send 100 bytes of the body, then drop the connection
    x-fault-cut-events: 3       hang up after 3 events of a stream
    x-fault-error-event: 1      after 2 events of a stream send an error object, and end it
    x-fault-garbage: html       answer 200 with an HTML page; json: with half an object;
                                binary: with bytes that are not HTTP
    x-fault-hangup: 1           close the connection without an answer
    x-fault-times: 2            the fault strikes only the first 2 requests that carry the same
      x-fault-id: anything      x-fault-id: this is how a retry is seen to succeed

The number of the attempt (x-stainless-retry-count) comes back as x-echo-retry-count.

TO ADD AN ENDPOINT write a function, and a Store in LocalServer if it makes a new kind of object:

    @route("POST", "/things/{thing_id}", "name! string, size integer 1..9")
    def update_thing(request: Request, thing_id: str) -> Result: ...

A Result is a dict (sent as JSON), a Media (bytes) or a Download (a file), an iterator over what
sse() made (a stream), or a str (plain text).  Parameters it does not name are refused.  For a new
kind of object with the usual routes (create, retrieve, list, update, delete), a Kind is enough:

    THINGS = Kind("/things", "thing", "thing_", {"name": None}, create="name! string")

CONTENTS (grep '^## ' for the line numbers)

    1. The pretender: text, tool calls, JSON, vectors and verdicts from a prompt
    2. Requests, errors, routes and stores
    3. Chat completions and completions
    4. Responses
    5. Embeddings, moderations, models
    6. Files and batches
    7. Kinds: objects with the usual routes
    8. Images, sound and video
    9. Uploads, vector stores and containers
    10. Conversations and webhooks
    11. Fine-tuning, graders and evals
    12. Assistants
    13. HTTP: reading requests, sending answers, faults
    14. The server, and the command line
"""

from __future__ import annotations

import argparse
import atexit
import base64
import contextlib
import difflib
import functools
import hashlib
import hmac
import http.client
import http.server
import io
import itertools
import json
import logging
import math
import operator
import os
import pathlib
import random
import re
import secrets
import shutil
import signal
import socket
import socketserver
import struct
import sys
import tempfile
import threading
import time
import zlib
from typing import (
    Any, BinaryIO, Callable, Dict, Generic, Iterable, Iterator, List, Mapping, NamedTuple,
    Optional, Set, Tuple, TypeVar, Union, cast,
)
from urllib.parse import parse_qsl, unquote, urlsplit

# So that the other examples, which import this first, find openai_lite in the checkout.
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

JSON = Dict[str, Any]

logger = logging.getLogger("local_server")
logger.addHandler(logging.NullHandler())  # without one, warnings would go to stderr


########################################################################
## 1. The pretender: text, tool calls, JSON, vectors and verdicts from a prompt
########################################################################

# {name} stands for one line of that name; {topic} for a word of the prompt.
GRAMMAR = {
    "reply": ["{opening} {point} {closing}", "{opening} {point} {point}", "{point} {point}"],
    "opening": [
        "You asked about {topic}.", "Let us begin with {topic}.", "In short: {topic} {does}.",
        "There are {few} ways to look at {topic}.",
    ],
    "point": [
        "{Most} {people} find that {topic} {does}.", "{Most} {people} put {topic} before {topic}.",
        "When {topic} {does}, {topic} {does} too.", "What {topic} {does} for is {topic}.",
    ],
    "closing": ["That is all there is to {topic}.", "The rest is {topic}.", "So {topic} {does}."],
    "few": ["two", "three", "several", "surprisingly many"],
    "Most": ["Most", "Some", "A few", "Nearly all"],
    "people": ["people", "authors", "careful readers", "engineers", "beginners"],
    "thought": ["The question is about {topic}. {point}"],
    "quote": ["The tool says: {output}. {point}"],
    "refusal": ["I'm sorry, but I can't help with {topic}."],
    "does": ["works", "matters", "comes first", "takes time", "pays off", "stands", "waits"],
}


def tokens(text: str) -> List[str]:
    """Cut a text into pieces that stand in for tokens: a word, or part of one, with the space
    before it.  Joined, they are the text again."""
    return re.findall(r"\s*(?:\w{1,5}|[^\w\s])|\s+", text)


def digest(*seeds: object) -> bytes:
    """The hash of anything, the same in every process and Python (which `hash` is not)."""
    return hashlib.sha256(ascii(seeds).encode()).digest()


def dice(*seeds: object) -> random.Random:
    """A source of choices that falls the same way for the same seeds."""
    return random.Random(int.from_bytes(digest(*seeds), "big"))


def topics(text: str) -> List[str]:
    """The words of a text that are worth talking about."""
    words = re.findall(r"[^\W\d_]\w*", text)
    return [word for word in words if len(word) > 3] or words or ["this"]


def write(rule: str, words: List[str], rng: random.Random) -> str:
    """Expand a rule of the grammar; what has none stays as it is."""
    if rule == "topic":
        return rng.choice(words)
    if rule not in GRAMMAR:
        return f"{{{rule}}}"
    return re.sub(r"\{(\w+)\}", lambda m: write(m.group(1), words, rng), rng.choice(GRAMMAR[rule]))


FORMATS = {
    "date-time": "{y}-{m:02}-{d:02}T{h:02}:{m:02}:{d:02}Z", "date": "{y}-{m:02}-{d:02}",
    "time": "{h:02}:{m:02}:{d:02}Z", "duration": "P{d}DT{h}H", "email": "{word}{d}@example.com",
    "hostname": "{word}.example.com", "ipv4": "10.{h}.{m}.{d}", "ipv6": "2001:db8::{h}:{d}",
    "uuid": "{id:08x}-0000-4000-8000-{id:012x}", "uri": "https://example.com/{word}/{d}",
}


LIMITS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")


class Filler:
    """Makes a value that fits a JSON schema, with words and values from a text: of a property
    "city" it is "Paris" if the text has "city: Paris", "city=Paris" or "city is Paris"."""

    def __init__(self, root: Any, text: str, rng: random.Random) -> None:
        self.root, self.text, self.words, self.rng = root, text, topics(text), rng

    def fill(
        self, schema: Any, name: str = "", depth: int = 0, open: Tuple[str, ...] = ("#",)
    ) -> Any:
        """`open` are the references followed on the way here, for a recursive schema has to end:
        once a reference is met again, what may be absent, empty or null is."""
        if depth > 40:
            raise APIError(400, "Invalid schema: no finite value fits it.", "schema")
        if not isinstance(schema, dict):  # `true` and `{}` allow anything
            schema = {"type": "string"}
        fill = functools.partial(self.fill, depth=depth + 1, open=open)
        again = len(set(open)) < len(open)
        if "$ref" in schema:
            ref = str(schema["$ref"])
            return fill(self.resolve(ref), name, open=open + (ref,))
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return next((x for x in schema["enum"] if self.mentions(x)), schema["enum"][0])
        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            def rank(option: Any) -> Tuple[bool, int]:
                is_null = isinstance(option, dict) and option.get("type") == "null"
                return is_null != again, len(self.refs(option) & set(open)) if again else 0

            return fill(min(options, key=rank), name)
        if "allOf" in schema:
            merged: JSON = {"properties": {}}
            for part in schema["allOf"]:
                part = self.resolve(part["$ref"]) if "$ref" in part else part
                merged["properties"].update(part.get("properties", {}))
                merged.update({k: v for k, v in part.items() if k != "properties"})
            return fill(merged, name)
        kind = schema.get("type") or ("object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = min(kind, key=lambda k: (k == "null") != again)
        if kind in ("integer", "number"):
            return self.number(schema, name, kind == "integer")
        if kind == "string":
            return self.string(schema, name)
        if kind == "array":
            low = int(schema.get("minItems", 0))
            most = low if again else min(int(schema.get("maxItems", 2)), max(low, 2))
            count = self.rng.randint(min(max(low, 1), most), most)
            return [fill(schema.get("items")) for _ in range(count)]
        if kind == "object":
            properties = schema.get("properties") or {}
            if not properties and schema.get("additionalProperties") is not False:
                names = sorted(set(self.words))[:2]
                properties = {name: schema.get("additionalProperties") for name in names}
            needed = schema.get("required", ()) if again else properties
            return {n: fill(inner, n) for n, inner in properties.items() if n in needed}
        return self.rng.random() < 0.5 if kind == "boolean" else None

    def mentions(self, value: Any) -> bool:
        return isinstance(value, str) and bool(
            re.search(rf"(?<!\w){re.escape(value)}(?!\w)", self.text, re.I))

    def said(self, name: str, pattern: str) -> Optional[str]:
        """The value that the text gives for a property."""
        words = re.escape(name).replace("_", "[_ ]")
        given = rf"(?i)\b{words}['\"]?(?: is|:|=)\s*['\"]?({pattern})"
        found = re.search(given, self.text) if name else None
        return found.group(1) if found else None

    def refs(self, schema: Any) -> Set[str]:
        """All references that may be met in what fits a schema."""
        found: Set[str] = set()
        left = [schema]
        while left:
            value = left.pop()
            left += value.values() if isinstance(value, dict) else []
            left += value if isinstance(value, list) else []
            ref = value.get("$ref") if isinstance(value, dict) else None
            if isinstance(ref, str) and ref not in found:
                found.add(ref)
                left.append(self.resolve(ref))
        return found

    def resolve(self, ref: Any) -> Any:
        found = self.root
        for name in str(ref).split("/")[1:]:
            name = unquote(name).replace("~1", "/").replace("~0", "~")
            if not isinstance(found, dict) or name not in found:
                raise APIError(400, f"Invalid schema: '{ref}' cannot be resolved.", "schema")
            found = found[name]
        return found

    def number(self, schema: JSON, name: str, whole: bool) -> Union[int, float]:
        said = self.said(name, r"-?\d{1,15}(?:\.\d{1,9})?")
        if said and not any(key in schema for key in LIMITS):
            return round(float(said)) if whole or "." not in said else float(said)
        low = schema.get("minimum", schema.get("exclusiveMinimum"))
        high = schema.get("maximum", schema.get("exclusiveMaximum"))
        low = low if low is not None else (0 if high is None else high - 100)
        high = high if high is not None else low + 100
        step = schema.get("multipleOf") or (1 if whole else 0)
        if step:
            first, last = math.ceil(low / step), math.floor(high / step)
            first += first * step == schema.get("exclusiveMinimum")
            last -= last * step == schema.get("exclusiveMaximum")
            return cast(float, self.rng.randint(first, max(first, last)) * step)
        return cast(float, low + (high - low) * self.rng.randint(1, 99) / 100)

    def string(self, schema: JSON, name: str) -> str:
        pattern = FORMATS.get(str(schema.get("format")))
        if pattern:
            d, h, m = self.rng.randint(1, 28), self.rng.randint(0, 23), self.rng.randint(1, 12)
            word = re.sub("[^a-z0-9]", "", self.rng.choice(self.words).lower()) or "word"
            id = self.rng.getrandbits(32)
            return pattern.format(y=2000 + d, m=m, d=d, h=h, word=word, id=id)
        text = self.said(name, r"[\w.+-]*\w") or " ".join(
            self.rng.choice(self.words) for _ in range(self.rng.randint(1, 3)))
        while len(text) < schema.get("minLength", 0):
            text += " " + self.rng.choice(self.words)
        return text[: schema.get("maxLength")]


def loose_ends(schema: Any, place: Tuple[str, ...] = ()) -> Iterator[str]:
    """What strict mode forbids in a schema, and where, in the API's words."""
    if not isinstance(schema, dict):
        return
    at = f"In context={place}, "
    properties = member(schema, "properties")
    if schema.get("type") == "object" or properties:
        if schema.get("additionalProperties") is not False:
            yield at + "'additionalProperties' is required to be supplied and to be false."
        for name in properties:
            if name not in schema.get("required", ()):
                yield at + "'required' is required to be supplied and to be an array including " \
                    f"every key in properties. Missing '{name}'."
    for name in ("oneOf", "allOf", "not", "if", "patternProperties"):
        if name in schema:
            yield at + f"'{name}' is not permitted."
    if "$ref" in schema and len(schema) > 1 and place:
        others = ", ".join(repr(name) for name in sorted(schema) if name != "$ref")
        yield at + f"$ref cannot have keywords {{{others}}}."
    for key in ("properties", "$defs", "definitions"):
        for name, inner in member(schema, key).items():
            yield from loose_ends(inner, place + (key, name))
    yield from loose_ends(schema.get("items"), place + ("items",))
    for number, inner in enumerate(schema.get("anyOf") or []):
        yield from loose_ends(inner, place + ("anyOf", str(number)))


def check_strict(schema: JSON, what: str, param: str, code: Optional[str]) -> None:
    """Refuse a schema that strict mode does not take."""
    kind = schema.get("type")
    wrong = next(loose_ends(schema), None)
    if kind != "object":
        wrong = f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{kind}\"'."
    if wrong:
        raise APIError(400, f"Invalid schema for {what}: {wrong}", param, code)


def schema_of(format: JSON, param: str) -> Optional[Any]:
    """The JSON schema that `response_format` or `text.format` asks for, if it does."""
    if format.get("type") == "json_object":
        words = {"type": "array", "items": {"type": "string"}}
        return {"properties": {"answer": {"type": "string"}, "words": words}}
    if format.get("type") == "json_schema":
        inner = format.get("json_schema", format)  # nested in chat and assistants only
        for name, kind in (("name", str), ("schema", dict)):
            if not isinstance(inner.get(name), kind):
                where = f"{param}.json_schema.{name}" if inner is not format else f"{param}.{name}"
                raise APIError(400, f"Missing required parameter: '{where}'.", where,
                               "missing_required_parameter")
        if inner.get("strict"):
            # The two APIs name the place and the code differently, and the message alike.
            where, code = (param, None) if inner is not format else (
                f"{param}.schema", "invalid_json_schema")
            check_strict(inner["schema"], f"response_format '{inner['name']}'", where, code)
        return inner["schema"]
    return None


FAILURE = {"code": "server_error", "message": "This failure was asked for: please fail."}


def fails(text: Any) -> bool:
    """Whether a prompt asks for work that begins, and fails."""
    return "please fail" in str(text).lower()


class Tool(NamedTuple):
    """A function that may be called."""

    name: str
    parameters: JSON  # their schema


class ToolCall(NamedTuple):
    id: str
    name: str
    arguments: str


class Reply(NamedTuple):
    """What the pretender says: a text, a refusal or tool calls."""

    text: str  # or the words of the refusal
    calls: List[ToolCall]
    finish_reason: str  # as in a chat completion: stop, length, tool_calls
    is_refusal: bool
    thought: str  # the summary of the reasoning, if there is any

    def token_count(self) -> int:
        return sum(len(tokens(t)) for t in [self.text] + [call.arguments for call in self.calls])


def shorten(texts: List[str], limit: int) -> List[str]:
    """So many of the texts as have that many tokens together, the last one cut."""
    kept = []
    for text in texts:
        pieces = tokens(text)[:limit]
        kept.append("".join(pieces))
        limit -= len(pieces)
        if limit <= 0:
            break
    return kept


class Prompt:
    """What a chat completion and a response come down to."""

    def __init__(self, model: str, turns: List[Tuple[str, str]]) -> None:
        self.model, self.turns = model, turns  # the turns are (role, text)
        self.tools: List[Tool] = []
        self.tool_choice = "auto"  # or none, required
        self.reasons = False  # whether it shows its reasoning
        self.parallel = True
        self.schema: Optional[Any] = None  # that the text is to fit, as JSON
        self.stop: List[str] = []
        self.limit: Optional[int] = None  # of tokens

    @property
    def transcript(self) -> str:
        return "\n".join(f"{role}: {text}" for role, text in self.turns)

    @property
    def last(self) -> str:
        """What the user said last, if nothing came after it; in lower case."""
        return self.turns[-1][1].lower() if self.turns and self.turns[-1][0] == "user" else ""

    def token_count(self) -> int:
        return len(tokens(self.transcript))

    def allow_tools(self, tools: Iterable[Any], tool_choice: Any) -> None:
        """Take `tools` and `tool_choice` as chat completions and responses have them."""
        for i, tool in enumerate(tools):
            if not isinstance(tool, dict) or "type" not in tool:
                raise APIError(400, f"Invalid type for 'tools[{i}]': expected an object with a "
                               "type.", f"tools[{i}]", "invalid_type")
            if tool["type"] == "function":
                function = tool.get("function", tool)  # nested in chat completions only
                if not isinstance(function, dict) or not isinstance(function.get("name"), str):
                    raise APIError(400, f"Missing required parameter: 'tools[{i}].name'.",
                                   f"tools[{i}].name", "missing_required_parameter")
                schema = member(function, "parameters")
                if function.get("strict") and schema:
                    inner = ".function" if function is not tool else ""
                    check_strict(schema, f"function '{function['name']}'",
                                 f"tools[{i}]{inner}.parameters", "invalid_function_parameters")
                self.tools.append(Tool(function["name"], schema or {"type": "object"}))
        if isinstance(tool_choice, str):
            self.tool_choice = tool_choice
        elif tool_choice and tool_choice.get("type") in ("function", "allowed_tools"):
            named, self.tool_choice = [tool_choice], "required"
            if tool_choice["type"] == "allowed_tools":
                allowed = tool_choice.get("allowed_tools", tool_choice)
                named, self.tool_choice = allowed.get("tools", []), allowed.get("mode", "auto")
            names = [choice.get("function", choice).get("name") for choice in named]
            self.tools = [tool for tool in self.tools if tool.name in names]
            if not self.tools:
                raise APIError(400, f"Tool choice {names} not found in 'tools'.", "tool_choice")

    def called(self, last: str) -> List[Tool]:
        """The functions to call: those that the text names, in words or as they are written."""
        if self.tool_choice == "none":
            return []
        said = set(re.findall(r"\w+", last.lower()))
        named = []
        for tool in self.tools:
            words = topics(re.sub(r"([a-z])([A-Z])|_", r"\1 \2", tool.name).lower())
            if tool.name.lower() in said or said.issuperset(words):
                named.append(tool)
        if not named and self.tool_choice == "required":
            named = self.tools[:1]
        return named if self.parallel else named[:1]

    def reply(self, choice: int = 0) -> Reply:
        """The answer to this prompt; `choice` counts the answers asked for at once."""
        last = self.turns[-1][1] if self.turns else ""
        rng = dice(self.model, self.transcript, choice)
        outputs = [text for _, text in itertools.takewhile(
            lambda turn: turn[0] == "tool", reversed(self.turns))]
        refuses = "please refuse" in self.last
        calls = []
        for tool in [] if outputs or refuses else self.called(last):
            filler = Filler(tool.parameters, last.replace(tool.name, ""), rng)
            value = json.dumps(filler.fill(tool.parameters), ensure_ascii=False)
            calls.append(ToolCall(f"call_{rng.getrandbits(96):024x}", tool.name, value))
        if refuses:
            text = write("refusal", topics(last), rng)
        elif calls:
            text = ""
        elif self.schema is not None:
            value = Filler(self.schema, last, rng).fill(self.schema)
            text = json.dumps(value, ensure_ascii=False)
        else:
            text = write("quote" if outputs else "reply", topics(last), rng)
            text = text.replace("{output}", "; ".join(reversed(outputs)))
        for stop in filter(None, self.stop):
            text = text.partition(stop)[0]
        finish_reason = "tool_calls" if calls else "stop"
        texts = [call.arguments for call in calls] or [text]
        if self.limit is not None and sum(len(tokens(t)) for t in texts) > self.limit:
            finish_reason, texts = "length", shorten(texts, self.limit)
        calls = [call._replace(arguments=arguments) for call, arguments in zip(calls, texts)]
        thought = write("thought", topics(last), rng) if self.reasons else ""
        return Reply("" if calls else texts[0], calls, finish_reason, refuses, thought)


def text_of(content: Any) -> str:
    """The text of a message; other parts leave a mark, as another image is another prompt."""
    if not isinstance(content, list):
        return "" if content is None else str(content)
    texts = []
    for part in content:
        text = part.get("text") if isinstance(part, dict) else part
        texts.append(text if isinstance(text, str) else f"[part {digest(part).hex()[:8]}]")
    return " ".join(texts)


def logprobs_of(text: str, top: int) -> List[JSON]:
    """Made-up log probabilities, one per token, the chosen one the likeliest."""
    found = []
    for token in tokens(text):
        rng = dice("logprob", token)
        chosen = round(-rng.random() / 2, 4)
        rivals = [(token, chosen)] + [
            (" " + rng.choice(GRAMMAR["does"]).split()[0], round(chosen - i - rng.random(), 4))
            for i in range(1, top)
        ]
        options = [
            {"token": t, "logprob": p, "bytes": list(t.encode("utf-8", "replace"))}
            for t, p in rivals
        ]
        found.append(dict(options[0], top_logprobs=options[:top]))
    return found


def embed(words: Iterable[str], dimensions: int) -> List[float]:
    """A bag of words, hashed into a vector of length one."""
    vector = [0.0] * dimensions
    for word in words:
        hashed = int.from_bytes(digest(word)[:8], "big")
        vector[(hashed >> 1) % dimensions] += 1.0 if hashed & 1 else -1.0
    length = math.sqrt(sum(x * x for x in vector))
    return [x / length for x in vector] if length else [1.0] + vector[1:]


MODERATED = {
    "harassment": "idiot|moron|loser", "harassment/threatening": "i will (kill|hurt) you",
    "hate": "subhuman", "hate/threatening": "exterminate them",
    "illicit": "shoplift|counterfeit", "illicit/violent": "build a bomb",
    "self-harm": "suicide|kill myself", "self-harm/instructions": "how to kill myself",
    "self-harm/intent": "want to (die|kill myself)", "sexual": "porn", "sexual/minors": "underage",
    "violence": "kill|murder|stab", "violence/graphic": "dismember|gore",
}
MODERATED_IN_IMAGES = ("self-harm", "self-harm/instructions", "self-harm/intent", "sexual",
                       "violence", "violence/graphic")


def moderate(text: str, has_image: bool) -> JSON:
    categories, scores, inputs = {}, {}, {}
    for category, words in MODERATED.items():
        flagged = re.search(rf"\b({words})", text, re.IGNORECASE) is not None
        categories[category] = flagged
        scores[category] = round((0.9 if flagged else 0) + dice(category, text).random() / 20, 6)
        inputs[category] = ["text"] if text else []
        if has_image and category in MODERATED_IN_IMAGES:
            inputs[category].append("image")
    return {
        "flagged": any(categories.values()), "categories": categories, "category_scores": scores,
        "category_applied_input_types": inputs,
    }


########################################################################
## 2. Requests, errors, routes and stores
########################################################################


class APIError(Exception):
    """An answer in the API's form of errors."""

    def __init__(
        self, status: int, message: str, param: Optional[str] = None, code: Optional[str] = None,
        type: str = "invalid_request_error", headers: Optional[Dict[str, str]] = None,
    ) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers or {}
        self.json = {"error": {"message": message, "type": type, "param": param, "code": code}}


class Upload(NamedTuple):
    """A file that came in a multipart form, now on disk."""

    filename: str
    path: str
    size: int


class Download(NamedTuple):
    """A file to send."""

    path: str
    content_type: str = "application/octet-stream"


class Media(NamedTuple):
    """Bytes to send: a picture, a sound."""

    data: bytes
    content_type: str


Result = Union[JSON, Media, str, Download, Iterator[bytes]]


class Request(NamedTuple):
    """One call of an endpoint, from HTTP or from a batch."""

    server: LocalServer
    query: JSON
    body: JSON  # from JSON or a form; its values None if they were null


class Parameter(NamedTuple):
    name: str
    required: bool
    kinds: Tuple[str, ...]  # of KINDS
    low: Optional[float]
    high: Optional[float]

    def from_form(self, value: Any) -> Any:
        """What the text of a form means, for a parameter that is no text."""
        if not isinstance(value, str) or "string" in self.kinds:
            return value
        try:
            meant = json.loads(value, parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            return value
        return meant if isinstance(meant, (bool, int, float)) else value

    def check(self, value: Any) -> None:
        """Refuse a value of another type or out of range, in the API's words."""
        types = tuple(t for kind in self.kinds for t in KINDS[kind])
        if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
            got = [kind for kind, types in KINDS.items() if type(value) in types][0]
            message = f"expected {' or '.join(self.kinds)}, but got {got} instead"
            raise APIError(400, f"Invalid type for '{self.name}': {message}.", self.name,
                           "invalid_type")
        inner = {"strings": str, "objects": dict}.get(self.kinds[-1])
        if inner and isinstance(value, list) and not all(isinstance(x, inner) for x in value):
            raise APIError(400, f"Invalid type for '{self.name}': expected an array of "
                           f"{self.kinds[-1]}.", self.name, "invalid_type")
        if value in ([], {}) and self.required:
            raise APIError(400, f"Invalid '{self.name}': it must not be empty.", self.name,
                           "empty_array")
        kind = "integer" if self.kinds == ("integer",) else "decimal"
        size: Any = value
        if self.low is not None and size < self.low:
            raise APIError(400, f"Invalid '{self.name}': {kind} below minimum value. Expected a "
                           f"value >= {self.low:g}, but got {value} instead.", self.name,
                           f"{kind}_below_min_value")
        if self.high is not None and size > self.high:
            raise APIError(400, f"Invalid '{self.name}': {kind} above maximum value. Expected a "
                           f"value <= {self.high:g}, but got {value} instead.", self.name,
                           f"{kind}_above_max_value")


KINDS: Dict[str, Tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,),
    "array": (list,), "object": (dict,), "file": (Upload,),
    "strings": (list,), "objects": (list,),  # arrays of these
}


def parameters(table: str) -> Dict[str, Parameter]:
    """Read "model! string, n integer 1..128": names, required (!), types (/ is or), ranges."""
    found = {}
    for entry in filter(None, (entry.strip() for entry in table.split(","))):
        match = re.fullmatch(r"(\w+)(!?) ([\w/]+)(?: (\S+)\.\.(\S+))?", entry)
        assert match, entry
        name, required, kinds, low, high = match.groups()
        bounds = [None if bound is None else float(bound) for bound in (low, high)]
        found[name] = Parameter(name, bool(required), tuple(kinds.split("/")), *bounds)
    return found


class Route(NamedTuple):
    method: str
    pattern: str
    accepts: Optional[Dict[str, Parameter]]  # None: the body does not matter
    form: bool  # whether it takes multipart forms; and JSON, if no file must be sent
    function: Callable[..., Result]

    def run(self, request: Request, arguments: List[str]) -> Result:
        """Check the parameters, then answer."""
        body = request.body
        if self.accepts is not None:
            for name in body:
                if name not in self.accepts:
                    message = f"Unrecognized request argument supplied: {name}"
                    raise APIError(400, message, name, "unknown_parameter")
            for name, parameter in self.accepts.items():
                if self.form and name in body:
                    body[name] = parameter.from_form(body[name])
                if body.get(name) is not None:
                    parameter.check(body[name])
                elif parameter.required:
                    message = f"Missing required parameter: '{name}'."
                    raise APIError(400, message, name, "missing_required_parameter")
        model = body.get("model")
        if isinstance(model, str) and model.startswith("no-such"):
            message = f"The model `{model}` does not exist or you do not have access to it."
            raise APIError(404, message, None, "model_not_found")
        return self.function(request, *arguments)


ROUTES: List[Route] = []
Endpoint = TypeVar("Endpoint", bound=Callable[..., Result])


def route(
    method: str, path: str, accepts: Optional[str] = None, *, form: bool = False
) -> Callable[[Endpoint], Endpoint]:
    """Make a function answer to a method and a path; its {parts} are passed by position."""

    def register(function: Endpoint) -> Endpoint:
        table = None if accepts is None else parameters(accepts)
        pattern = re.sub(r"\{\w+\}", "([^/]+)", path)
        ROUTES.append(Route(method, pattern, table, form, function))
        return function

    return register


def find_route(method: str, path: str, shown: str) -> Tuple[Route, List[str]]:
    """The route and its path parameters; `shown` is the path to name in an error."""
    allowed = set()
    for candidate in ROUTES:
        match = re.fullmatch(candidate.pattern, path)
        if match and candidate.method == method:
            return candidate, [unquote(part) for part in match.groups()]
        if match:
            allowed.add(candidate.method)
    if allowed:
        message = f"Not allowed to {method} on {shown}. (HINT: Perhaps you meant to use a " \
            "different HTTP method?)"
        raise APIError(405, message, None, "method_not_supported",
                       headers={"Allow": ", ".join(sorted(allowed))})
    raise APIError(404, f"Invalid URL ({method} {shown})")


ENDED = ("cancelled", "canceled", "completed", "expired", "failed", "incomplete", "succeeded")


# What has one of these is worth asking for again, after so many milliseconds.
UNDER_WAY = ("queued", "in_progress", "uploaded", "validating", "finalizing", "cancelling",
             "validating_files", "running")
POLL_AFTER_MS = 10


class Record:
    """A stored object: what the API shows of it, and what it does not."""

    def __init__(self, json: JSON, **hidden: Any) -> None:
        self.json, self.hidden = json, hidden
        self.lock = threading.Lock()  # held while the json is replaced

    def change(self, unless: Tuple[str, ...] = (), **fields: Any) -> bool:
        """Replace fields of what the API shows, if its status is none of those."""
        with self.lock:
            if self.json.get("status") in unless:
                return False
            self.json = dict(self.json, **fields)
            return True

    def stop(self, status: str = "cancelled", **fields: Any) -> JSON:
        """Cancel what is going on."""
        if not self.change(ENDED, status=status, **fields):
            message = f"Cannot cancel what is {self.json['status']}: {self.json['id']}."
            raise APIError(400, message)
        return self.json


R = TypeVar("R", bound=Record)


class Store(Generic[R]):
    """The objects of one type, oldest first."""

    def __init__(self, missing: str) -> None:
        self.missing = missing  # the message for an unknown id
        self.records: Dict[str, R] = {}

    def add(self, record: R) -> R:
        self.records[record.json["id"]] = record
        return record

    def get(self, id: str, param: Optional[str] = "id", code: Optional[str] = None) -> R:
        record = self.records.get(id)
        if record is None:
            raise APIError(404, self.missing.format(id), param, code)
        return record

    def delete(self, id: str, object: str) -> JSON:
        self.get(id)
        del self.records[id]
        return {"id": id, "object": object, "deleted": True}

    def all(self) -> List[JSON]:
        return [record.json for record in list(self.records.values())]


def page(
    query: JSON, items: List[JSON], order: str = "desc", limit: int = 20, most: int = 100
) -> JSON:
    """The page of a list that the query asks for; `items` come oldest first."""
    order = str(query.get("order", order)).replace("ending", "")
    if order not in ("asc", "desc"):
        raise APIError(400, f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.",
                       "order", "invalid_value")
    limit = whole_number(query, "limit", limit)
    Parameter("limit", False, ("integer",), 1, most).check(limit)
    items = items if order == "asc" else items[::-1]
    if "after" in query:
        positions = [i for i, item in enumerate(items) if item["id"] == query["after"]]
        if not positions:
            raise APIError(404, f"No object found with id '{query['after']}'.", "after")
        items = items[positions[0] + 1 :]
    if "before" in query:
        items = list(itertools.takewhile(lambda item: item["id"] != query["before"], items))
        items = items[-limit:]
    data = items[:limit]
    return {
        "object": "list", "data": data, "first_id": data[0]["id"] if data else None,
        "last_id": data[-1]["id"] if data else None, "has_more": len(items) > limit,
    }


def whole_number(query: JSON, name: str, default: int) -> int:
    value = query.get(name, str(default))
    if not re.fullmatch(r"-?\d{1,18}", str(value)):
        raise APIError(400, f"Invalid type for '{name}': expected an integer, but got '{value}'.",
                       name, "invalid_type")
    return int(value)


def nest(pairs: Iterable[Tuple[str, Any]]) -> JSON:
    """Gather the pairs of a query or a form: a[]=1&a[]=2&b[c]=3 is {"a": [1, 2], "b": {"c": 3}}."""
    nested: JSON = {}
    for key, value in pairs:
        name, bracket, inner = key.partition("[")
        inner = inner.rstrip("]")
        try:
            if not bracket:
                nested[name] = value
            elif inner:
                nested.setdefault(name, {})[inner] = value
            else:
                nested.setdefault(name, []).append(value)
        except (AttributeError, TypeError):
            raise APIError(400, f"Conflicting values for '{name}'.", name) from None
    return nested


def new_id(prefix: str) -> str:
    return prefix + secrets.token_hex(12)


def now() -> int:
    return int(time.time())


def compact(value: Any) -> bytes:
    """JSON as UTF-8.  A lone surrogate, which UTF-8 lacks, becomes its escape in JSON."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "backslashreplace")


def sse(data: Any, event: str = "") -> bytes:
    """One server-sent event."""
    name = b"event: " + event.encode() + b"\n" if event else b""
    return name + b"data: " + (data if isinstance(data, bytes) else compact(data)) + b"\n\n"


DONE = sse(b"[DONE]")  # the end of a stream of chunks


########################################################################
## 3. Chat completions and completions
########################################################################

SAMPLING = """
    temperature number 0..2, top_p number 0..1, frequency_penalty number -2..2, seed integer,
    presence_penalty number -2..2, n integer 1..128, logit_bias object, user string,
    stop string/array, stream boolean, stream_options object, max_tokens integer 1..1000000,
"""
ROLES = ("developer", "system", "user", "assistant", "tool", "function")


class StoredChatCompletion(Record):
    def __init__(self, json: JSON, messages: List[JSON]) -> None:
        super().__init__(json)
        self.messages = [dict(m, id=f"{json['id']}-{i}") for i, m in enumerate(messages)]


@route("POST", "/chat/completions", SAMPLING + """
    messages! array, model! string, audio object, function_call string/object, functions array,
    logprobs boolean, max_completion_tokens integer 1..1000000, metadata object, modalities array,
    moderation object, parallel_tool_calls boolean, prediction object, prompt_cache_key string,
    prompt_cache_options object, prompt_cache_retention string, reasoning_effort string,
    response_format object, safety_identifier string, service_tier string, store boolean,
    tool_choice string/object, tools array, top_logprobs integer 0..20, verbosity string,
    web_search_options object
""")
def create_chat_completion(request: Request) -> Result:
    body = request.body
    prompt = Prompt(body["model"], [])
    for i, turn in enumerate(body["messages"]):
        role = turn.get("role") if isinstance(turn, dict) else None
        if role not in ROLES:
            raise APIError(400, f"Invalid value: {role!r}. Supported values are: {ROLES}.",
                           f"messages[{i}].role", "invalid_value")
        said = text_of(turn.get("content")) or json.dumps(turn.get("tool_calls", ""))
        prompt.turns.append((role, said))
    prompt.allow_tools(body.get("tools") or [], body.get("tool_choice"))
    prompt.parallel = body.get("parallel_tool_calls") is not False
    prompt.schema = schema_of(body.get("response_format") or {}, "response_format")
    prompt.stop = stops_of(body)
    prompt.limit = body.get("max_completion_tokens") or body.get("max_tokens")

    replies = [prompt.reply(i) for i in range(body.get("n") or 1)]
    completion: JSON = {
        "id": new_id("chatcmpl-"), "object": "chat.completion", "created": now(),
        "model": body["model"], "choices": [], "service_tier": "default",
        "system_fingerprint": "fp_local",
        "usage": chat_usage(prompt.token_count(), sum(reply.token_count() for reply in replies)),
    }
    for i, reply in enumerate(replies):
        message: JSON = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
        said = "refusal" if reply.is_refusal else "content"
        logprobs = None
        if reply.calls:
            message["tool_calls"] = [
                {"id": call.id, "type": "function",
                 "function": {"name": call.name, "arguments": call.arguments}}
                for call in reply.calls
            ]
        else:
            message[said] = reply.text
            if body.get("logprobs"):
                entries = logprobs_of(reply.text, body.get("top_logprobs") or 0)
                logprobs = dict({"content": None, "refusal": None}, **{said: entries})
        completion["choices"].append({
            "index": i, "message": message, "logprobs": logprobs,
            "finish_reason": reply.finish_reason,
        })
    if body.get("store"):
        stored = dict(completion, metadata=body.get("metadata") or {})
        request.server.chat_completions.add(StoredChatCompletion(stored, body["messages"]))
    if body.get("stream"):
        return chunks(completion, "chat.completion.chunk", chat_deltas, includes_usage(body))
    return completion


def stops_of(body: JSON) -> List[str]:
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else [str(s) for s in stop]


def includes_usage(body: JSON) -> bool:
    return bool((body.get("stream_options") or {}).get("include_usage"))


def chat_usage(asked: int, answered: int) -> JSON:
    return {
        "prompt_tokens": asked, "completion_tokens": answered, "total_tokens": asked + answered,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0, "audio_tokens": 0, "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def chunks(
    completion: JSON, object: str, deltas: Callable[[JSON], Iterator[JSON]], include_usage: bool
) -> Iterator[bytes]:
    """A completion as a stream: the deltas of its choices, in turn."""
    chunk = dict(completion, object=object, usage=None)
    if not include_usage:
        del chunk["usage"]
    for round in itertools.zip_longest(*map(deltas, completion["choices"])):
        for choice in filter(None, round):
            yield sse(dict(chunk, choices=[choice]))
    if include_usage:
        yield sse(dict(chunk, choices=[], usage=completion["usage"]))
    yield DONE


def chat_deltas(choice: JSON) -> Iterator[JSON]:
    """The choices of the chunks that make up one choice of a completion."""

    def delta(finish_reason: Optional[str] = None, logprobs: Any = None, **fields: Any) -> JSON:
        return {"index": choice["index"], "delta": fields, "logprobs": logprobs,
                "finish_reason": finish_reason}

    message, logprobs = choice["message"], choice["logprobs"]
    said = "content" if message["refusal"] is None else "refusal"
    text = message[said]
    none = logprobs and {name: values and [] for name, values in logprobs.items()}
    yield delta(None, none, **{
        "role": "assistant", "content": None, "refusal": None, said: None if text is None else ""})
    for i, token in enumerate(tokens(text or "")):
        yield delta(None, none and dict(none, **{said: logprobs[said][i : i + 1]}), **{said: token})
    for i, call in enumerate(message.get("tool_calls", [])):
        start = dict(call["function"], arguments="")
        yield delta(tool_calls=[dict(call, index=i, function=start)])
        for token in tokens(call["function"]["arguments"]):
            yield delta(tool_calls=[{"index": i, "function": {"arguments": token}}])
    yield delta(choice["finish_reason"])


@route("GET", "/chat/completions")
def list_chat_completions(request: Request) -> Result:
    model, wanted = request.query.get("model"), request.query.get("metadata") or {}
    found = [
        item for item in request.server.chat_completions.all()
        if model in (None, item["model"]) and wanted.items() <= item["metadata"].items()
    ]
    return page(request.query, found, "asc")


@route("GET", "/chat/completions/{completion_id}")
def retrieve_chat_completion(request: Request, completion_id: str) -> Result:
    return request.server.chat_completions.get(completion_id).json


@route("POST", "/chat/completions/{completion_id}", "metadata object")
def update_chat_completion(request: Request, completion_id: str) -> Result:
    record = request.server.chat_completions.get(completion_id)
    record.json = dict(record.json, metadata=request.body.get("metadata") or {})
    return record.json


@route("DELETE", "/chat/completions/{completion_id}")
def delete_chat_completion(request: Request, completion_id: str) -> Result:
    return request.server.chat_completions.delete(completion_id, "chat.completion.deleted")


@route("GET", "/chat/completions/{completion_id}/messages")
def list_chat_messages(request: Request, completion_id: str) -> Result:
    return page(request.query, request.server.chat_completions.get(completion_id).messages, "asc")


@route("POST", "/completions", SAMPLING + """
    model! string, prompt! string/array, best_of integer 1..20, echo boolean,
    logprobs integer 0..5, suffix string
""")
def create_completion(request: Request) -> Result:
    body = request.body
    choices: List[JSON] = []
    asked = answered = 0
    for said in texts_of(body["prompt"], "prompt"):
        prompt = Prompt(body["model"], [("prompt", said)])
        prompt.stop, prompt.limit = stops_of(body), body.get("max_tokens") or 16
        asked += prompt.token_count()
        for i in range(body.get("n") or 1):
            reply = prompt.reply(i)
            answered += reply.token_count()
            text = (said if body.get("echo") else "") + reply.text
            choices.append({
                "index": len(choices), "text": text, "finish_reason": reply.finish_reason,
                "logprobs": old_logprobs(text, body.get("logprobs")),
            })
    completion: JSON = {
        "id": new_id("cmpl-"), "object": "text_completion", "created": now(),
        "model": body["model"], "choices": choices, "system_fingerprint": "fp_local",
        "usage": chat_usage(asked, answered),
    }
    if body.get("stream"):
        return chunks(completion, completion["object"], text_deltas, includes_usage(body))
    return completion


def texts_of(input: Any, param: str) -> List[str]:
    """The texts of a `prompt` or an `input`: strings, or lists of token numbers."""
    if isinstance(input, str):
        return [input]
    if all(isinstance(token, int) for token in input):
        return [" ".join(f"t{token}" for token in input)]
    texts = []
    for text in input:
        if not isinstance(text, (str, list)):
            raise APIError(400, f"Invalid type for '{param}': expected strings or arrays of "
                           "tokens.", param, "invalid_type")
        texts.append(text if isinstance(text, str) else " ".join(f"t{token}" for token in text))
    return texts


def old_logprobs(text: str, top: Optional[int]) -> Optional[JSON]:
    """Log probabilities in the form of completions."""
    if top is None:
        return None
    entries = logprobs_of(text, top)
    names = [entry["token"] for entry in entries]
    return {
        "tokens": names, "token_logprobs": [entry["logprob"] for entry in entries],
        "top_logprobs": [{t["token"]: t["logprob"] for t in e["top_logprobs"]} for e in entries],
        "text_offset": [len("".join(names[:i])) for i in range(len(names))],
    }


def text_deltas(choice: JSON) -> Iterator[JSON]:
    """The choices of the chunks that make up one choice of a completion."""
    logprobs = choice["logprobs"]
    for i, token in enumerate(tokens(choice["text"])):
        one = logprobs and {name: values[i : i + 1] for name, values in logprobs.items()}
        yield dict(choice, text=token, logprobs=one, finish_reason=None)
    yield dict(choice, text="", logprobs=None)


########################################################################
## 4. Responses
########################################################################

BACKGROUND_STEP = 0.1  # seconds that background work rests in each status, to be seen in it

# What a response says of the request, and what it says if the request did not.
RESPONSE_FIELDS: JSON = {
    "background": False, "instructions": None, "max_output_tokens": None, "max_tool_calls": None,
    "metadata": {}, "model": None, "parallel_tool_calls": True, "previous_response_id": None,
    "prompt_cache_key": None, "prompt_cache_retention": None,
    "reasoning": {"effort": None, "summary": None}, "safety_identifier": None, "store": True,
    "temperature": 1.0, "text": {"format": {"type": "text"}}, "tool_choice": "auto", "tools": [],
    "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": None,
}
INPUT = """
    input string/array, instructions string, model string, previous_response_id string,
    reasoning object, text object, tools array, tool_choice string/object, truncation string,
    parallel_tool_calls boolean, conversation string/object,
"""


class StoredResponse(Record):
    """A response, and the events of its making, which may be going on."""

    def __init__(self, json: JSON, input_items: List[JSON], context: List[JSON]) -> None:
        super().__init__(json)
        self.input_items = input_items
        self.context = context  # all it was made from, with what came before it
        self.events: List[JSON] = []  # at the index of their sequence_number
        self.ended = False
        self.changed = threading.Condition()

    def play(self, events: Iterator[JSON]) -> Iterator[JSON]:
        """Let the events happen, one at each step of the caller."""
        try:
            for event in events:
                with self.changed:
                    if self.json["status"] == "cancelled":
                        return
                    self.events.append(event)
                    self.json = event.get("response", self.json)
                    self.changed.notify_all()
                yield event
        finally:
            self.cancel()  # if the caller gave up, as when a client left its stream

    def cancel(self) -> None:
        with self.changed:
            if self.json["status"] in ("queued", "in_progress"):
                self.json = dict(self.json, status="cancelled")
            self.ended = True
            self.changed.notify_all()

    def follow(self, after: int) -> Iterator[bytes]:
        """Stream the events later than a sequence number: those that were, then those to come."""
        position = after + 1
        while True:
            with self.changed:
                while not self.ended and len(self.events) <= position:
                    self.changed.wait()
                news = self.events[position:]
            if not news:
                return
            yield from (sse(event, event["type"]) for event in news)
            position += len(news)


def input_items_of(body: JSON) -> List[JSON]:
    """The `input` of a request as items with ids."""
    given: Any = body.get("input") or []
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = []
    for i, item in enumerate(cast(List[Any], given)):
        if not isinstance(item, dict) or not ("type" in item or "role" in item):
            raise APIError(400, f"Invalid type for 'input[{i}]': expected an object with a type.",
                           f"input[{i}]", "invalid_type")
        item = dict(item, type=item.get("type", "message"))
        if item["type"] == "message" and isinstance(item.get("content"), str):
            part: JSON = {"type": "input_text", "text": item["content"]}
            if item.get("role") == "assistant":
                part = dict(part, type="output_text", annotations=[])
            item["content"] = [part]
        item.setdefault("id", new_id("msg_" if item["type"] == "message" else "item_"))
        item.setdefault("status", "completed")
        items.append(item)
    return items


def conversation_of(body: JSON) -> str:
    """The id of the conversation that a response belongs to, if it does."""
    conversation = body.get("conversation") or ""
    return str(conversation.get("id") if isinstance(conversation, dict) else conversation)


def response_prompt(server: LocalServer, body: JSON) -> Tuple[Prompt, List[JSON], List[JSON]]:
    """The prompt of a response, its own input items, and all the items it continues."""
    items, context = input_items_of(body), []
    previous_id = body.get("previous_response_id")
    if previous_id:
        previous = server.responses.get(
            previous_id, "previous_response_id", "previous_response_not_found")
        context = previous.context + previous.json["output"]
    conversation_id = conversation_of(body)
    if conversation_id:
        context = context + CONVERSATION_ITEMS.store(server, (conversation_id,)).all()
    context = context + items
    turns = [("system", str(body["instructions"]))] if body.get("instructions") else []
    for item in context:
        if item["type"] == "message":
            turns.append((str(item.get("role")), text_of(item.get("content"))))
        elif item["type"] == "compaction":
            turns.append(("compaction", decompact(item)))
        elif item["type"].endswith("_output"):
            turns.append(("tool", text_of(item.get("output"))))
        else:
            rest = {k: v for k, v in item.items() if k not in ("id", "status")}
            turns.append((item["type"], json.dumps(rest)))
    return Prompt(body.get("model") or "gpt-5", turns), items, context


@route("POST", "/responses", INPUT + """
    access_programs object, background boolean, background_options object,
    context_management array, image object, include array, max_output_tokens integer 1..1000000,
    max_tool_calls integer 1..1000, metadata object, moderation object, prompt object,
    prompt_cache_key string, prompt_cache_options object, prompt_cache_retention string,
    safety_identifier string, service_tier string, store boolean, stream boolean,
    stream_options object, temperature number 0..2, top_logprobs integer 0..20,
    top_p number 0..1, user string
""")
def create_response(request: Request) -> Result:
    body, server = request.body, request.server
    for name, elsewhere in (("model", "prompt"), ("input", "previous_response_id")):
        if not body.get(name) and not body.get(elsewhere) and not body.get("prompt"):
            raise APIError(400, f"Missing required parameter: '{name}'.", name,
                           "missing_required_parameter")
    prompt, items, context = response_prompt(server, body)
    prompt.allow_tools(body.get("tools") or [], body.get("tool_choice"))
    prompt.parallel = body.get("parallel_tool_calls") is not False
    prompt.schema = schema_of((body.get("text") or {}).get("format") or {}, "text.format")
    prompt.limit = body.get("max_output_tokens")
    prompt.reasons = (body.get("reasoning") or {}).get("effort") not in (None, "none")
    reply = prompt.reply()

    given = {name: value for name, value in body.items() if value is not None}
    response: JSON = {
        name: given.get(name, default) for name, default in RESPONSE_FIELDS.items()
    }
    response["tools"] = [
        dict({"parameters": None, "strict": True}, **tool) if tool.get("type") == "function"
        else tool for tool in response["tools"]
    ]
    cut = reply.finish_reason == "length"
    asked, answered = prompt.token_count(), reply.token_count()
    response.update(
        id=new_id("resp_"), object="response", created_at=now(), completed_at=now(), error=None,
        model=prompt.model, service_tier="default", status="incomplete" if cut else "completed",
        incomplete_details={"reason": "max_output_tokens"} if cut else None,
        usage=response_usage(asked, answered, len(tokens(reply.thought))),
        output=response_output(reply, body),
    )
    if fails(prompt.last):
        response.update(status="failed", error=FAILURE, output=[], usage=None, completed_at=None,
                        incomplete_details=None)
    if conversation_of(body):
        response["conversation"] = {"id": conversation_of(body)}
        add_items(server, conversation_of(body), items + response["output"])
    record = StoredResponse(response, items, context)
    background = bool(body.get("background"))
    events = response_events(response, background)
    if response["store"]:
        server.responses.add(record)
    if background:
        work = record.play(events)
        next(work)  # created: its status, queued, is what the caller is to see
        server.in_background(functools.partial(run_in_background, server, work))
        return record.follow(-1) if body.get("stream") else record.json
    if body.get("stream"):
        return (sse(event, event["type"]) for event in record.play(events))
    for _ in record.play(events):
        pass  # nobody watches now, but a later GET with stream=true may
    return record.json


def response_usage(asked: int, answered: int, reasoned: int = 0) -> JSON:
    return {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens": answered + reasoned,
        "output_tokens_details": {"reasoning_tokens": reasoned},
        "total_tokens": asked + answered + reasoned,
    }


def response_output(reply: Reply, body: JSON) -> List[JSON]:
    """The output items of a response: reasoning, and a message or function calls."""
    include, output = body.get("include") or [], []
    if reply.thought:
        output.append({"type": "reasoning", "id": new_id("rs_"), "summary": [
            {"type": "summary_text", "text": reply.thought}]})
        if "reasoning.encrypted_content" in include:
            output[0]["encrypted_content"] = base64.b64encode(reply.thought.encode()).decode()
    output += [
        {"type": "function_call", "id": new_id("fc_"), "call_id": call.id, "name": call.name,
         "arguments": call.arguments, "status": "completed"} for call in reply.calls
    ]
    if not reply.calls:
        part: JSON = {"type": "output_text", "text": reply.text, "annotations": [], "logprobs": []}
        if reply.is_refusal:
            part = {"type": "refusal", "refusal": reply.text}
        elif "message.output_text.logprobs" in include:
            part["logprobs"] = logprobs_of(reply.text, body.get("top_logprobs") or 0)
        output.append({"type": "message", "id": new_id("msg_"), "role": "assistant",
                       "status": "completed", "content": [part]})
    if reply.finish_reason == "length":
        output[-1]["status"] = "incomplete"
    return output


class Streamed(NamedTuple):
    """How a part of an output item, or an item without parts, is streamed."""

    text: str  # the field that comes in pieces
    events: str  # the name of the events of the pieces
    holder: str = ""  # that of the events around them
    counter: str = ""  # the field that counts the parts


STREAMED = {
    "output_text": Streamed("text", "output_text", "content_part", "content_index"),
    "refusal": Streamed("refusal", "refusal", "content_part", "content_index"),
    "summary_text": Streamed(
        "text", "reasoning_summary_text", "reasoning_summary_part", "summary_index"),
    "function_call": Streamed("arguments", "function_call_arguments"),
}
STREAMED_ITEMS: Dict[str, JSON] = {  # how an item begins
    "message": {"content": [], "status": "in_progress"}, "reasoning": {"summary": []},
    "function_call": {"arguments": "", "status": "in_progress"},
}


def response_events(response: JSON, queued: bool) -> Iterator[JSON]:
    """The events of the making of a response, in the official order, from its final state."""
    numbers = itertools.count()

    def event(type: str, **fields: Any) -> JSON:
        return dict(fields, type="response." + type, sequence_number=next(numbers))

    begun = dict(response, output=[], usage=None, completed_at=None, incomplete_details=None,
                 error=None)
    first = dict(begun, status="queued" if queued else "in_progress")
    yield event("created", response=first)
    if queued:
        yield event("queued", response=first)
    yield event("in_progress", response=dict(begun, status="in_progress"))
    for index, item in enumerate(response["output"]):
        empty = dict(item, **STREAMED_ITEMS[item["type"]])
        yield event("output_item.added", output_index=index, item=empty)
        for number, part in enumerate(item.get("content") or item.get("summary") or [item]):
            how = STREAMED[part["type"]]
            at: JSON = {"output_index": index, "item_id": item["id"]}
            logprobs: JSON = {name: [] for name in part if name == "logprobs"}
            if how.holder:
                at[how.counter] = number
                empty = dict(part, **{how.text: ""}, **logprobs)
                yield event(how.holder + ".added", part=empty, **at)
            for i, token in enumerate(tokens(part[how.text])):
                one = {name: part[name][i : i + 1] for name in logprobs}
                yield event(how.events + ".delta", delta=token, **one, **at)
            done = {name: part[name] for name in (how.text, "logprobs", "name") if name in part}
            yield event(how.events + ".done", **done, **at)
            if how.holder:
                yield event(how.holder + ".done", part=part, **at)
        yield event("output_item.done", output_index=index, item=item)
    yield event(response["status"], response=response)


def run_in_background(server: LocalServer, events: Iterator[JSON]) -> None:
    server.pause(BACKGROUND_STEP)
    for event in events:
        rests = event["type"] in ("response.queued", "response.in_progress")
        server.pause(BACKGROUND_STEP if rests else server.pace)
        if server.closing.is_set():
            return


@route("GET", "/responses/{response_id}")
def retrieve_response(request: Request, response_id: str) -> Result:
    record = request.server.responses.get(response_id)
    if request.query.get("stream") == "true":
        return record.follow(whole_number(request.query, "starting_after", -1))
    return record.json


@route("DELETE", "/responses/{response_id}")
def delete_response(request: Request, response_id: str) -> Result:
    return request.server.responses.delete(response_id, "response")


@route("POST", "/responses/{response_id}/cancel")
def cancel_response(request: Request, response_id: str) -> Result:
    record = request.server.responses.get(response_id)
    if not record.json["background"]:
        raise APIError(400, "Cannot cancel a synchronous response.", "response_id")
    record.cancel()
    if record.json["status"] != "cancelled":
        raise APIError(400, f"Cannot cancel a {record.json['status']} response.", "response_id")
    return record.json


@route("GET", "/responses/{response_id}/input_items")
def list_input_items(request: Request, response_id: str) -> Result:
    return page(request.query, request.server.responses.get(response_id).input_items)


@route("POST", "/responses/input_tokens", INPUT + "personality string")
def count_input_tokens(request: Request) -> Result:
    prompt, _, _ = response_prompt(request.server, request.body)
    return {"object": "response.input_tokens", "input_tokens": prompt.token_count()}


@route("POST", "/responses/compact", """
    model! string, input string/array, instructions string, previous_response_id string,
    image object, prompt_cache_key string, prompt_cache_options object,
    prompt_cache_retention string, service_tier string
""")
def compact_response(request: Request) -> Result:
    prompt, _, _ = response_prompt(request.server, request.body)
    sealed = base64.b64encode(prompt.transcript.encode("utf-8", "replace")).decode()
    item = {"type": "compaction", "id": new_id("cmp_"), "encrypted_content": sealed}
    return {
        "id": new_id("resp_"), "object": "response.compaction", "created_at": now(),
        "output": [item], "usage": response_usage(prompt.token_count(), len(tokens(sealed))),
    }


def decompact(item: JSON) -> str:
    """What compact_response() sealed.  (Here the seal is base64 and keeps nothing secret.)"""
    try:
        return base64.b64decode(str(item.get("encrypted_content")), validate=True).decode("utf-8")
    except ValueError:
        raise APIError(400, "The encrypted content could not be verified.", "input",
                       "invalid_encrypted_content") from None


########################################################################
## 5. Embeddings, moderations, models
########################################################################


@route("POST", "/embeddings", """
    input! string/array, model! string, dimensions integer 1..3072, encoding_format string,
    user string
""")
def create_embedding(request: Request) -> Result:
    body = request.body
    encoding = body.get("encoding_format") or "float"
    if encoding not in ("float", "base64"):
        raise APIError(400, f"Invalid value: '{encoding}'. Supported values are: 'float' and "
                       "'base64'.", "encoding_format", "invalid_value")
    texts = texts_of(body["input"], "input")
    if not all(texts):
        raise APIError(400, "Invalid 'input': input cannot be an empty string.", "input")
    size = body.get("dimensions") or (3072 if "3-large" in body["model"] else 1536)
    data = []
    for index, text in enumerate(texts):
        vector: Any = embed(re.findall(r"\w+", text.lower()), size)
        if encoding == "base64":
            vector = base64.b64encode(struct.pack(f"<{size}f", *vector)).decode()
        data.append({"object": "embedding", "index": index, "embedding": vector})
    count = sum(len(tokens(text)) for text in texts)
    return {"object": "list", "data": data, "model": body["model"],
            "usage": {"prompt_tokens": count, "total_tokens": count}}


@route("POST", "/moderations", "input! string/array, model string")
def create_moderation(request: Request) -> Result:
    given = request.body["input"]
    if isinstance(given, list) and all(isinstance(part, dict) for part in given):
        text = " ".join(str(part["text"]) for part in given if part.get("type") == "text")
        images = any(part.get("type") == "image_url" for part in given)
        results = [moderate(text, images)]  # parts are of one whole; texts are judged singly
    else:
        results = [moderate(text, False) for text in texts_of(given, "input")]
    model = request.body.get("model") or "omni-moderation-latest"
    return {"id": new_id("modr-"), "model": model, "results": results}


# Any name is taken as a model; these are listed.  The last may be deleted.
MODELS = (
    "gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-5", "gpt-5-mini", "gpt-3.5-turbo-instruct",
    "text-embedding-3-small", "text-embedding-3-large", "omni-moderation-latest",
    "ft:gpt-4o-mini:local::demo",
)


@route("GET", "/models")
def list_models(request: Request) -> Result:
    return {"object": "list", "data": request.server.models.all()}


@route("GET", "/models/{model}")
def retrieve_model(request: Request, model: str) -> Result:
    return request.server.models.get(model, "model", "model_not_found").json


@route("DELETE", "/models/{model}")
def delete_model(request: Request, model: str) -> Result:
    found = request.server.models.get(model, "model", "model_not_found")
    if found.json["owned_by"] != "local":
        raise APIError(403, f"You have insufficient permissions to delete the model '{model}'.")
    return request.server.models.delete(model, "model")


########################################################################
## 6. Files and batches
########################################################################

PURPOSES = ("assistants", "batch", "fine-tune", "vision", "user_data", "evals")


class StoredFile(Record):
    def __init__(self, json: JSON, path: str) -> None:
        super().__init__(json)
        self.path = path


def add_file(
    server: LocalServer, filename: str, path: str, purpose: str,
    expires_after: Optional[JSON] = None,
) -> StoredFile:
    expires_at = None
    if expires_after:
        seconds = whole_number(expires_after, "seconds", 0)
        Parameter("expires_after.seconds", True, ("integer",), 3600, 2592000).check(seconds)
        expires_at = now() + seconds
    record = server.files.add(StoredFile({
        "id": new_id("file-"), "object": "file", "bytes": os.path.getsize(path),
        "created_at": now(), "expires_at": expires_at, "filename": filename, "purpose": purpose,
        "status": "uploaded", "status_details": None,
    }, path))
    advance(server, record, [{"status": "processed"}])
    return record


@route("POST", "/files", "file! file, purpose! string, expires_after object", form=True)
def create_file(request: Request) -> Result:
    upload, purpose = request.body["file"], request.body["purpose"]
    if purpose not in PURPOSES:
        raise APIError(400, f"'{purpose}' is not one of {list(PURPOSES)} - 'purpose'", "purpose")
    return add_file(request.server, upload.filename, upload.path, purpose,
                    request.body.get("expires_after")).json


@route("GET", "/files")
def list_files(request: Request) -> Result:
    purpose = request.query.get("purpose")
    found = [f for f in request.server.files.all() if purpose in (None, f["purpose"])]
    return page(request.query, found, limit=10000, most=10000)


@route("GET", "/files/{file_id}")
def retrieve_file(request: Request, file_id: str) -> Result:
    return request.server.files.get(file_id).json


@route("DELETE", "/files/{file_id}")
def delete_file(request: Request, file_id: str) -> Result:
    path = request.server.files.get(file_id).path
    answer = request.server.files.delete(file_id, "file")
    os.unlink(path)
    return answer


@route("GET", "/files/{file_id}/content")
def retrieve_file_content(request: Request, file_id: str) -> Result:
    return Download(request.server.files.get(file_id).path)


BATCHED = ("/v1/responses", "/v1/chat/completions", "/v1/embeddings", "/v1/completions",
           "/v1/moderations")
# A batch counts tokens under the names of responses.
USAGE_NAMES = {"prompt_tokens": "input_tokens", "completion_tokens": "output_tokens"}


class BatchCancelled(Exception):
    """The batch was cancelled, or the server closed."""


class StoredBatch(Record):
    """A batch, which runs in a thread of its own."""

    def __init__(self, json: JSON, server: LocalServer, path: str) -> None:
        super().__init__(json)
        self.server, self.path = server, path

    def update(self, **fields: Any) -> None:
        """Change what the API shows, unless there is a cancellation to be heeded."""
        with self.lock:
            if self.server.closing.is_set() or self.json["status"] == "cancelling":
                raise BatchCancelled
            self.json = dict(self.json, **fields)

    def cancel(self) -> None:
        with self.lock:
            if self.json["status"] not in ("validating", "in_progress", "finalizing"):
                message = f"Cannot cancel a batch with status '{self.json['status']}'."
                raise APIError(400, message, "batch_id")
            self.json = dict(self.json, status="cancelling", cancelling_at=now())

    def run(self) -> None:
        try:
            self.work()
        except BatchCancelled:
            with self.lock:
                self.json = dict(self.json, status="cancelled", cancelled_at=now())

    def work(self) -> None:
        self.server.pause(BACKGROUND_STEP)
        with open(self.path, "rb") as file:
            errors = list(itertools.islice(self.errors(file), 100))
        if errors:
            self.update(status="failed", failed_at=now(),
                        errors={"object": "list", "data": errors})
            return
        self.update(status="in_progress", in_progress_at=now())
        self.server.pause(BACKGROUND_STEP)
        output, failures = self.server.new_path(), self.server.new_path()
        try:
            with open(self.path, "rb") as lines, open(output, "wb") as done, \
                    open(failures, "wb") as failed:
                for line in filter(bytes.strip, lines):
                    self.perform(json.loads(line), done, failed)
        finally:  # a cancelled batch keeps what is done
            for field, path in (("output_file_id", output), ("error_file_id", failures)):
                if os.path.getsize(path):
                    name = f"{self.json['id']}_{field[:-8]}.jsonl"
                    stored = add_file(self.server, name, path, "batch_output")
                    with self.lock:
                        self.json = dict(self.json, **{field: stored.json["id"]})
        self.update(status="finalizing", finalizing_at=now())
        self.server.pause(BACKGROUND_STEP)
        self.update(status="completed", completed_at=now())

    def errors(self, file: Iterable[bytes]) -> Iterator[JSON]:
        """What is wrong with the lines of the input; it counts the good ones on the way."""

        def error(code: str, message: str, param: Optional[str] = None) -> JSON:
            return {"code": code, "message": message, "param": param, "line": number}

        seen: Set[str] = set()
        number = 0
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            try:
                call = json.loads(line)
            except (ValueError, RecursionError):
                yield error("invalid_json_line", "This line is not parseable as valid JSON.")
                continue
            if not isinstance(call, dict) or not isinstance(call.get("body"), dict):
                yield error("invalid_request", "This line is not an object with a body.", "body")
                continue
            custom_id = call.get("custom_id")
            if not isinstance(custom_id, str):
                yield error("missing_required_parameter", "custom_id is missing.", "custom_id")
            elif custom_id in seen:
                yield error("duplicate_custom_id", "The custom_id is not unique.", "custom_id")
            if call.get("method") != "POST":
                yield error("invalid_method", "The method is not POST.", "method")
            if call.get("url") != self.json["endpoint"]:
                yield error("mismatched_url", "The URL is not the batch's endpoint.", "url")
            seen.add(str(custom_id))
        if not seen:
            yield error("empty_file", "The input file has no requests.")
        self.json["request_counts"]["total"] = len(seen)

    def perform(self, call: JSON, done: BinaryIO, failed: BinaryIO) -> None:
        """Run one line and write what came of it."""
        status, answer = self.server.call(call["url"], call["body"])
        ok = status == 200
        (done if ok else failed).write(compact({
            "id": new_id("batch_req_"), "custom_id": call["custom_id"], "error": None,
            "response": {"status_code": status, "request_id": new_id("req_"), "body": answer},
        }) + b"\n")
        counts, usage = dict(self.json["request_counts"]), dict(self.json["usage"])
        counts["completed" if ok else "failed"] += 1
        for name, count in answer.get("usage", {}).items():
            if isinstance(count, int):
                usage[USAGE_NAMES.get(name, name)] += count
        self.update(request_counts=counts, usage=usage)


@route("POST", "/batches", """
    completion_window! string, endpoint! string, input_file_id! string, metadata object,
    output_expires_after object
""")
def create_batch(request: Request) -> Result:
    body, server = request.body, request.server
    for name, choices in (("endpoint", BATCHED), ("completion_window", ("24h",))):
        if body[name] not in choices:
            raise APIError(400, f"Invalid value: '{body[name]}'. Supported values are: {choices}.",
                           name, "invalid_value")
    file = server.files.get(body["input_file_id"], "input_file_id")
    if file.json["purpose"] != "batch":
        raise APIError(400, "The purpose of the input file must be 'batch'.", "input_file_id")
    stamps = ("in_progress", "finalizing", "completed", "failed", "expired", "cancelling",
              "cancelled")
    batch: JSON = {
        "id": new_id("batch_"), "object": "batch", "endpoint": body["endpoint"], "errors": None,
        "input_file_id": body["input_file_id"], "completion_window": body["completion_window"],
        "status": "validating", "output_file_id": None, "error_file_id": None,
        "created_at": now(), "expires_at": now() + 86400,
        "request_counts": {"total": 0, "completed": 0, "failed": 0},
        "usage": response_usage(0, 0), "metadata": body.get("metadata"),
    }
    batch.update({stamp + "_at": None for stamp in stamps})
    record = server.batches.add(StoredBatch(batch, server, file.path))
    server.in_background(record.run)
    return batch


@route("GET", "/batches")
def list_batches(request: Request) -> Result:
    return page(request.query, request.server.batches.all())


@route("GET", "/batches/{batch_id}")
def retrieve_batch(request: Request, batch_id: str) -> Result:
    return request.server.batches.get(batch_id).json


@route("POST", "/batches/{batch_id}/cancel")
def cancel_batch(request: Request, batch_id: str) -> Result:
    record = request.server.batches.get(batch_id)
    record.cancel()
    return record.json


########################################################################
## 7. Kinds: objects with the usual routes
########################################################################


class Kind:
    """A kind of object that the API keeps at a path, and the usual routes to it.

    `fields` are what it shows of the parameters it is made with, and their defaults.  There is no
    route without its parameters in `create` or `update`, or its name in `verbs`.  The objects of a
    `parent` hold a store each.
    """

    def __init__(
        self, path: str, object: str, prefix: str, fields: JSON, *, create: Optional[str] = None,
        update: Optional[str] = None, verbs: str = "retrieve list delete", deleted: str = "",
        deleted_id: str = "id", order: str = "desc", parent: Optional[Kind] = None,
        form: bool = False,
    ) -> None:
        self.path: str = parent.path + "/{id}" + path if parent else path
        self.object, self.prefix, self.fields, self.parent = object, prefix, fields, parent
        self.deleted, self.deleted_id = deleted or object + ".deleted", deleted_id
        self.order = order
        one = self.path + "/{id}"
        if create is not None:
            route("POST", self.path, create, form=form)(self.create)
        if update is not None:
            route("POST", one, update)(self.update)
        if "list" in verbs:
            route("GET", self.path)(self.list)
        if "retrieve" in verbs:
            route("GET", one)(self.retrieve)
        if "delete" in verbs:
            route("DELETE", one)(self.delete)
        if "cancel" in verbs:
            route("POST", one + "/cancel")(self.cancel)

    def store(self, server: LocalServer, parents: Tuple[str, ...] = ()) -> Store[Record]:
        if self.parent:
            self.parent.get(server, *parents)
        missing = f"No {re.sub('[._]', ' ', self.object)} found with id '{{}}'."
        return server.stores.setdefault((self.path,) + parents, Store[Record](missing))

    def get(self, server: LocalServer, *ids: str) -> Record:
        return self.store(server, ids[:-1]).get(ids[-1])

    def add(
        self, server: LocalServer, given: JSON, *parents: str, **more: Any
    ) -> Record:
        """Make an object of the parameters of a request, and more."""
        json = {"id": new_id(self.prefix), "object": self.object, "created_at": now()}
        for name, default in self.fields.items():
            json[name] = default if given.get(name) is None else given[name]
        json.update(more)
        return self.store(server, parents).add(Record(json))

    def create(self, request: Request, *parents: str) -> Result:
        return self.add(request.server, request.body, *parents).json

    def retrieve(self, request: Request, *ids: str) -> Result:
        return self.get(request.server, *ids).json

    def update(self, request: Request, *ids: str) -> Result:
        record = self.get(request.server, *ids)
        record.change(**request.body)
        return record.json

    def list(self, request: Request, *parents: str) -> Result:
        """A page of those that have the fields that the query names."""
        found = self.store(request.server, parents).all()
        for name, wanted in request.query.items():
            name = "status" if name == "filter" else name
            if name == "metadata" and isinstance(wanted, dict):
                found = [x for x in found if wanted.items() <= (x["metadata"] or {}).items()]
            elif name in self.fields or name in ("status", "run_id"):
                found = [x for x in found if x.get(name) == wanted]
        return page(request.query, found, self.order)

    def cancel(self, request: Request, *ids: str) -> Result:
        record = self.get(request.server, *ids)
        stamps = {name: now() for name in ("cancelled_at", "finished_at") if name in record.json}
        return record.stop("canceled" if self.object == "eval.run" else "cancelled", **stamps)

    def delete(self, request: Request, *ids: str) -> Result:
        answer = self.store(request.server, ids[:-1]).delete(ids[-1], self.deleted)
        return dict(answer, **{self.deleted_id: ids[-1]})


def advance(server: LocalServer, record: Record, steps: Iterable[JSON]) -> JSON:
    """Change a record step by step in the background, until its status is a last one.

    This returns what it shows before the first step.
    """
    first = record.json

    def work() -> None:
        for step in steps:
            server.pause(BACKGROUND_STEP)
            if server.closing.is_set() or not record.change(ENDED, **step):
                return

    server.in_background(work)
    return first


def choice_of(body: JSON, name: str, choices: Iterable[str]) -> str:
    """A parameter that has to be one of these; the first by default."""
    value, choices = body.get(name), list(choices)
    if value is None:
        return choices[0]
    if value not in choices:
        raise APIError(400, f"Invalid value: '{value}'. Supported values are: {choices}.", name,
                       "invalid_value")
    return cast(str, value)


def member(value: JSON, name: str, kind: str = "object") -> Any:
    """The objects or the object in a part of a request; empty if it is missing."""
    found = value.get(name)
    if found is None:
        return [] if kind == "objects" else {}
    Parameter(name, False, (kind,), None, None).check(found)
    return found


def take(upload: Upload) -> bytes:
    """The bytes of a file that is not to be kept."""
    with open(upload.path, "rb") as file:
        data = file.read()
    os.unlink(upload.path)
    return data


########################################################################
## 8. Images, sound and video
########################################################################

IMAGE = """
    model string, n integer 1..10, response_format string, size string, user string,
"""
PROMPTED_IMAGE = IMAGE + """
    prompt! string, background string, complexity string, frame_count integer, stream boolean,
    frame_duration_ms integer, output_compression integer 0..100, output_format string,
    partial_images integer 0..3, quality string, safety_identifier string, svg object,
"""


def draw(seed: str, size: str) -> Media:
    """A picture: stripes in two colours, as PNG."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(
            ">I", zlib.crc32(kind + data))

    width, height = map(int, size.split("x"))
    rng = dice("picture", seed)
    row = b"\0" + bytes([rng.randint(1, 254)]) * ((width + 7) // 8)
    return Media(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 3, 0, 0, 0))
        + chunk(b"PLTE", bytes(rng.getrandbits(8) for _ in range(6)))
        + chunk(b"IDAT", zlib.compress(row * height)) + chunk(b"IEND", b""), "image/png")


def make_images(request: Request, event: str, model: str, *seeds: object) -> Result:
    """Answer with pictures.  They are PNG, whatever `output_format` asks for, and say so."""
    body = request.body
    model = body.get("model") or model
    size = body.get("size") or "auto"
    size = size if re.fullmatch(r"\d{2,4}x\d{2,4}", size) else "1024x1024"
    form = choice_of(body, "response_format", ("b64_json", "url"))
    if body.get("response_format") is None and model.startswith("dall-e"):
        form = "url"
    count = body.get("n") or 1
    asked = len(tokens(body.get("prompt") or ""))
    usage = {
        "input_tokens": asked, "input_tokens_details": {"image_tokens": 0, "text_tokens": asked},
        "output_tokens": 272 * count, "total_tokens": asked + 272 * count,
        "output_tokens_details": {"image_tokens": 272 * count, "text_tokens": 0},
    }
    qualities = ("low", "medium", "high", "xhigh", "max")
    shown: JSON = {
        "background": "transparent" if body.get("background") == "transparent" else "opaque",
        "output_format": "png", "size": size,
        "quality": body["quality"] if body.get("quality") in qualities else "medium",
    }
    names = [digest(model, i, *seeds).hex()[:32] for i in range(count)]

    def encoded(name: str) -> str:
        return base64.b64encode(draw(name, size).data).decode()

    def events() -> Iterator[bytes]:
        found = [dict(shown, type=event + ".partial_image", partial_image_index=i, created_at=now(),
                      b64_json=encoded(f"{names[0]}{i}"))
                 for i in range(body.get("partial_images") or 0)]
        found.append(dict(shown, type=event + ".completed", created_at=now(), usage=usage,
                          b64_json=encoded(names[0])))
        yield from (sse(each, each["type"]) for each in found)

    if body.get("stream"):
        return events()
    base = request.server.url[: -len("/v1")]
    data = [{form: encoded(name) if form == "b64_json" else f"{base}/pictures/{name}/{size}.png"}
            for name in names]
    return dict(shown, created=now(), data=data, usage=usage)


@route("POST", "/images/generations", PROMPTED_IMAGE + "moderation string, style string")
def generate_image(request: Request) -> Result:
    return make_images(request, "image_generation", "gpt-image-1", request.body["prompt"])


@route("POST", "/images/edits", PROMPTED_IMAGE + """
    image file/array, images array, mask file/object, markup file/object, input_fidelity string
""", form=True)
def edit_image(request: Request) -> Result:
    given = request.body.get("image") or request.body.get("images")  # the latter in JSON
    if not given:
        raise APIError(400, "Missing required parameter: 'image'.", "image",
                       "missing_required_parameter")
    seeds = [take(image) if isinstance(image, Upload) else image
             for image in (given if isinstance(given, list) else [given])]
    return make_images(request, "image_edit", "gpt-image-1", request.body["prompt"], *seeds)


@route("POST", "/images/variations", IMAGE + "image! file", form=True)
def vary_image(request: Request) -> Result:
    return make_images(request, "image_variation", "dall-e-2", take(request.body["image"]))


def hum(text: str, format: str) -> Media:
    """A sound: a buzz for each token as WAV or PCM, silence as MP3; in place of others, WAV."""
    pieces = tokens(text)
    if format == "mp3":
        title = b"\3" + text.encode("utf-8", "replace")

        def length(size: int) -> bytes:
            return bytes(size >> shift & 127 for shift in (21, 14, 7, 0))

        tag = b"TIT2" + length(len(title)) + b"\0\0" + title
        frame = b"\xff\xfb\x10\xc4" + bytes(100)  # of 26 ms
        return Media(b"ID3\4\0\0" + length(len(tag)) + tag + frame * 4 * len(pieces), "audio/mpeg")

    def buzz(piece: str) -> bytes:
        half = dice("buzz", piece).randint(20, 99)
        wave = struct.pack("<h", 3000) * half + struct.pack("<h", -3000) * half
        return (wave * 60)[:4800]  # a tenth of a second

    sound = b"".join(map(buzz, pieces))
    if format == "pcm":
        return Media(sound, "audio/pcm")
    head = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, 1, 1,
                       24000, 48000, 2, 16, b"data", len(sound))
    return Media(head + sound, "audio/wav")


@route("POST", "/audio/speech", """
    input! string, model! string, voice! string/object, instructions string,
    response_format string, speed number 0.25..4, stream_format string
""")
def create_speech(request: Request) -> Result:
    body = request.body
    format = choice_of(body, "response_format", ("mp3", "opus", "aac", "flac", "wav", "pcm"))
    sound = hum(body["input"], format)
    request.server.spoken[hashlib.sha256(sound.data).digest()] = body["input"]
    if choice_of(body, "stream_format", ("audio", "sse")) == "audio":
        return sound
    asked, answered = len(tokens(body["input"])), len(sound.data) // 1000

    def events() -> Iterator[bytes]:
        for at in range(0, len(sound.data), 8192):
            part = base64.b64encode(sound.data[at : at + 8192]).decode()
            yield sse({"type": "speech.audio.delta", "audio": part})
        yield sse({"type": "speech.audio.done", "usage": token_usage(asked, answered)})

    return events()


def token_usage(asked: int, answered: int) -> JSON:
    return {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}


def transcribe(request: Request, task: str) -> Result:
    """Tell what is said in a file: what create_speech() was told to say, or else anything."""
    body, upload = request.body, request.body["file"]
    key = hashlib.sha256(take(upload)).digest()
    text = request.server.spoken.get(key)
    if text is None:
        hint = os.path.splitext(upload.filename)[0].replace("_", " ")
        text = write("reply", topics(f"{hint} {body.get('prompt') or ''}"), dice("heard", key))
    format = choice_of(body, "response_format", (
        "json", "text", "srt", "verbose_json", "vtt", "diarized_json"))
    segments: List[JSON] = []
    end = 0.0
    for i, sentence in enumerate(re.split(r"(?<=[.?!])\s+", text)):
        start, end = end, round(end + len(tokens(sentence)) / 10, 1)
        segments.append({"id": i, "start": start, "end": end, "text": sentence})
    diarized = [dict(segment, id=f"seg_{segment['id']}", speaker="A",
                     type="transcript.text.segment") for segment in segments]
    logprobs = None
    if "logprobs" in (body.get("include") or []):
        logprobs = [{"token": entry["token"], "logprob": entry["logprob"], "bytes": entry["bytes"]}
                    for entry in logprobs_of(text, 0)]
    usage = dict(token_usage(round(end * 10), len(tokens(text))), type="tokens")

    def events() -> Iterator[bytes]:
        if format == "diarized_json":
            yield from map(sse, diarized)
        for i, token in enumerate(tokens(text or "")):
            event: JSON = {"type": "transcript.text.delta", "delta": token}
            yield sse(dict(event, logprobs=logprobs[i : i + 1]) if logprobs else event)
        event = {"type": "transcript.text.done", "text": text, "usage": usage}
        yield sse(dict(event, logprobs=logprobs) if logprobs else event)

    if body.get("stream"):
        return events()
    if format == "text":
        return text + "\n"
    if format in ("srt", "vtt"):
        mark = "," if format == "srt" else "."
        return ("" if format == "srt" else "WEBVTT\n\n") + "".join(
            (f"{segment['id'] + 1}\n" if format == "srt" else "") + " --> ".join(
                f"{t // 3600:02.0f}:{t // 60 % 60:02.0f}:{t % 60:06.3f}".replace(".", mark)
                for t in (segment["start"], segment["end"])) + f"\n{segment['text']}\n\n"
            for segment in segments)
    if format == "diarized_json":
        return {"task": task, "duration": end, "text": text, "segments": diarized, "usage": usage}
    if format == "json":
        plain: JSON = {"text": text, "usage": usage, "logprobs": logprobs}
        return {"text": text} if task == "translate" else plain
    answer: JSON = {
        "task": task, "language": "english", "duration": end, "text": text,
        "usage": {"type": "duration", "seconds": end},
        "segments": [
            dict(segment, seek=0, tokens=list(range(len(tokens(segment["text"])))), temperature=0.0,
                 avg_logprob=-0.2, compression_ratio=1.2, no_speech_prob=0.01)
            for segment in segments
        ],
    }
    if "word" in (body.get("timestamp_granularities") or []):
        step = end / max(1, len(text.split()))
        answer["words"] = [
            {"word": word, "start": round(i * step, 2), "end": round((i + 1) * step, 2)}
            for i, word in enumerate(text.split())
        ]
    return answer


HEARD = "file! file, model! string, prompt string, response_format string, temperature number 0..1,"


@route("POST", "/audio/transcriptions", HEARD + """
    chunking_strategy string/object, include array, keywords array, known_speaker_names array,
    known_speaker_references array, language string, languages array, stream boolean,
    timestamp_granularities array
""", form=True)
def create_transcription(request: Request) -> Result:
    return transcribe(request, "transcribe")


@route("POST", "/audio/translations", HEARD, form=True)
def create_translation(request: Request) -> Result:
    return transcribe(request, "translate")


CONSENTS = Kind(
    "/audio/voice_consents", "audio.voice_consent", "cons_", {"language": "", "name": ""},
    create="language! string, name! string, recording! file", form=True, update="name! string",
    deleted="audio.voice_consent")
VOICES = Kind(
    "/audio/voices", "audio.voice", "voice_", {"name": "", "type": "audio_sample", "prompt": None},
    create="name! string, type string, prompt string, audio_sample file, consent string, "
    "model string, script_hint string", form=True, verbs="delete")
VIDEOS = Kind("/videos", "video", "video_", {
    "model": "sora-2", "prompt": None, "seconds": "4", "size": "720x1280", "error": None,
    "completed_at": None, "expires_at": None, "remixed_from_video_id": None,
})
CHARACTERS = Kind(
    "/videos/characters", "video.character", "char_", {"name": None},
    create="name! string, video! file", form=True, verbs="retrieve")


def make_video(request: Request, like: JSON, **more: Any) -> JSON:
    """Start to make a video, in what is not said like another one."""
    given = dict(like, **{name: v for name, v in request.body.items() if v is not None})

    def steps() -> Iterator[JSON]:
        yield {"status": "in_progress"}
        yield {"progress": 50}
        if fails(given["prompt"]):
            yield {"status": "failed", "error": FAILURE}
            return
        yield {"status": "completed", "progress": 100, "completed_at": now(),
               "expires_at": now() + 3600}

    record = VIDEOS.add(request.server, given, status="queued", progress=0, completed_at=None,
                        expires_at=None, **more)
    return advance(request.server, record, steps())


@route("POST", "/videos", """
    prompt! string, input_reference file/object, model string, seconds string, size string
""", form=True)
def create_video(request: Request) -> Result:
    choice_of(request.body, "seconds", ("4", "8", "12"))
    choice_of(request.body, "size", ("720x1280", "1280x720", "1024x1792", "1792x1024"))
    return make_video(request, {})


@route("POST", "/videos/(?:edits|extensions)", """
    prompt! string, seconds string, video! file/object
""", form=True)
def edit_video(request: Request) -> Result:
    video = request.body["video"]  # a file, or the id of a video
    is_known = isinstance(video, dict)
    return make_video(
        request, VIDEOS.get(request.server, str(video.get("id"))).json if is_known else {})


@route("POST", "/videos/{video_id}/remix", "prompt! string")
def remix_video(request: Request, video_id: str) -> Result:
    like = VIDEOS.get(request.server, video_id).json
    return make_video(request, like, remixed_from_video_id=video_id)


@route("GET", "/videos/{video_id}/content")
def retrieve_video_content(request: Request, video_id: str) -> Result:
    """The head of an MP4 file without a picture in it; or a still picture."""
    video = VIDEOS.get(request.server, video_id).json
    if video["status"] != "completed":
        raise APIError(404, "Video is not ready yet, use GET /v1/videos/{video_id} to check "
                       "status.", "video_id")
    if choice_of(request.query, "variant", ("video", "thumbnail", "spritesheet")) != "video":
        return draw(video_id, video["size"])
    said = str(video["prompt"]).encode("utf-8", "replace")
    return Media(struct.pack(">I4s4sI4s", 20, b"ftyp", b"isom", 512, b"isom")
                 + struct.pack(">I4s", 8 + len(said), b"free") + said, "video/mp4")


########################################################################
## 9. Uploads, vector stores and containers
########################################################################

UPLOADS = Kind("/uploads", "upload", "upload_", {"bytes": 0, "filename": "", "purpose": ""},
               verbs="cancel")


@route("POST", "/uploads", """
    bytes! integer 1..8589934592, filename! string, mime_type! string, purpose! string,
    expires_after object
""")
def create_upload(request: Request) -> Result:
    choice_of(request.body, "purpose", PURPOSES)
    record = UPLOADS.add(request.server, request.body, status="pending", file=None,
                         expires_at=now() + 3600)
    record.hidden.update(parts={}, expires_after=request.body.get("expires_after"))
    return record.json


def pending_upload(request: Request, upload_id: str) -> Record:
    record = UPLOADS.get(request.server, upload_id)
    if record.json["status"] != "pending":
        raise APIError(400, f"The upload is {record.json['status']}.", "upload_id")
    return record


@route("POST", "/uploads/{upload_id}/parts", "data! file", form=True)
def create_upload_part(request: Request, upload_id: str) -> Result:
    id = new_id("part_")
    pending_upload(request, upload_id).hidden["parts"][id] = request.body["data"].path
    return {"id": id, "object": "upload.part", "created_at": now(), "upload_id": upload_id}


@route("POST", "/uploads/{upload_id}/complete", "part_ids! strings, md5 string")
def complete_upload(request: Request, upload_id: str) -> Result:
    record, server = pending_upload(request, upload_id), request.server
    checksum, path = hashlib.md5(), server.new_path()
    with open(path, "wb") as file:
        for id in request.body["part_ids"]:
            if id not in record.hidden["parts"]:
                raise APIError(400, f"No such part: '{id}'.", "part_ids")
            for block in blocks_of(record.hidden["parts"][id]):
                checksum.update(block)
                file.write(block)
    size = os.path.getsize(path)
    if size != record.json["bytes"]:
        raise APIError(400, f"The parts have {size} bytes, not {record.json['bytes']} as the "
                       "upload was said to have.", "bytes")
    if request.body.get("md5") not in (None, checksum.hexdigest()):
        raise APIError(400, "The md5 does not match that of the parts.", "md5")
    stored = add_file(server, record.json["filename"], path, record.json["purpose"],
                      record.hidden["expires_after"])
    record.change(status="completed", file=stored.json)
    return record.json


VECTOR_STORES = Kind("/vector_stores", "vector_store", "vs_", {
    "name": "", "description": None, "metadata": {}, "expires_after": None, "expires_at": None,
}, update="name string, metadata object, expires_after object")
STORE_FILES = Kind("/files", "vector_store.file", "", {
    "attributes": {}, "chunking_strategy": None, "last_error": None, "usage_bytes": 0,
}, parent=VECTOR_STORES, verbs="retrieve list", update="attributes object")
STORE_BATCHES = Kind("/file_batches", "vector_store.files_batch", "vsfb_", {},
                     parent=VECTOR_STORES, verbs="retrieve")
CHUNKED: JSON = {
    "type": "static", "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
}


def count_files(server: LocalServer, holder: Record, files: List[JSON]) -> None:
    """Bring what a vector store or a batch tells of its files up to date."""
    with server.lock:
        counts = {name: sum(file["status"] == name for file in files)
                  for name in ("in_progress", "completed", "failed", "cancelled")}
        fields: JSON = {"file_counts": dict(counts, total=len(files))}
        if holder.json["status"] != "cancelled":
            fields["status"] = "in_progress" if counts["in_progress"] else "completed"
        if holder.json["object"] == "vector_store":
            fields["usage_bytes"] = sum(file["usage_bytes"] for file in files)
            fields["last_active_at"] = now()
        holder.change(**fields)


def recount(server: LocalServer, store_id: str) -> None:
    holder = VECTOR_STORES.get(server, store_id)
    count_files(server, holder, STORE_FILES.store(server, (store_id,)).all())


def index_files(
    server: LocalServer, store_id: str, entries: List[JSON], batch: Optional[Record] = None
) -> List[Record]:
    """Put files into a vector store, in the background."""
    sizes = [server.files.get(str(entry.get("file_id")), "file_id").json["bytes"]
             for entry in entries]
    records = []
    for entry in entries:
        entry = dict(entry, chunking_strategy=entry.get("chunking_strategy") or CHUNKED)
        if entry["chunking_strategy"].get("type") != "static":
            entry["chunking_strategy"] = CHUNKED
        records.append(STORE_FILES.add(server, entry, store_id, id=entry["file_id"],
                                       status="in_progress", vector_store_id=store_id))

    def count() -> None:
        recount(server, store_id)
        if batch:
            count_files(server, batch, [record.json for record in records])

    def work() -> None:
        server.pause(BACKGROUND_STEP)
        for record, size in zip(records, sizes):
            fields: JSON = {"status": "completed", "usage_bytes": size}
            if not size:
                error = {"code": "invalid_file", "message": "The file is empty."}
                fields = {"status": "failed", "last_error": error}
            record.change(ENDED, **fields)
        with contextlib.suppress(APIError):  # the vector store may be gone
            count()

    count()
    server.in_background(work)
    return records


@route("POST", "/vector_stores", """
    name string, description string, metadata object, file_ids strings, expires_after object,
    chunking_strategy object
""")
def create_vector_store(request: Request) -> Result:
    body, server = request.body, request.server
    record = VECTOR_STORES.add(server, body, status="completed")
    strategy = body.get("chunking_strategy")
    index_files(server, record.json["id"], [
        {"file_id": id, "chunking_strategy": strategy} for id in body.get("file_ids") or []])
    return record.json


FILED = "attributes object, chunking_strategy object,"


@route("POST", "/vector_stores/{store_id}/files", FILED + "file_id! string")
def create_store_file(request: Request, store_id: str) -> Result:
    return index_files(request.server, store_id, [request.body])[0].json


@route("DELETE", "/vector_stores/{store_id}/files/{file_id}")
def delete_store_file(request: Request, store_id: str, file_id: str) -> Result:
    answer = STORE_FILES.delete(request, store_id, file_id)
    recount(request.server, store_id)
    return answer


def text_of_file(server: LocalServer, file_id: str) -> str:
    with open(server.files.get(file_id).path, "rb") as file:
        return file.read().decode("utf-8", "replace")


@route("GET", "/vector_stores/{store_id}/files/{file_id}/content")
def retrieve_store_file_content(request: Request, store_id: str, file_id: str) -> Result:
    STORE_FILES.get(request.server, store_id, file_id)
    data = [{"type": "text", "text": text_of_file(request.server, file_id)}]
    return {"object": "vector_store.file_content.page", "data": data, "has_more": False,
            "next_page": None}


@route("POST", "/vector_stores/{store_id}/file_batches", FILED + "file_ids strings, files objects")
def create_store_batch(request: Request, store_id: str) -> Result:
    body, server = request.body, request.server
    entries = [dict(body, file_id=id) for id in body.get("file_ids") or []]
    entries = entries or body.get("files") or []
    if not entries:
        raise APIError(400, "One of 'file_ids' and 'files' is required.", "file_ids")
    batch = STORE_BATCHES.add(server, {}, store_id, status="in_progress", vector_store_id=store_id)
    batch.hidden["files"] = index_files(server, store_id, entries, batch)
    return batch.json


@route("GET", "/vector_stores/{store_id}/file_batches/{batch_id}/files")
def list_store_batch_files(request: Request, store_id: str, batch_id: str) -> Result:
    files = STORE_BATCHES.get(request.server, store_id, batch_id).hidden["files"]
    wanted = request.query.get("filter")
    found = [file.json for file in files if wanted in (None, file.json["status"])]
    return page(request.query, found)


@route("POST", "/vector_stores/{store_id}/file_batches/{batch_id}/cancel")
def cancel_store_batch(request: Request, store_id: str, batch_id: str) -> Result:
    batch = STORE_BATCHES.get(request.server, store_id, batch_id)
    batch.stop()
    for file in batch.hidden["files"]:
        file.change(ENDED, status="cancelled")
    count_files(request.server, batch, [file.json for file in batch.hidden["files"]])
    recount(request.server, store_id)
    return batch.json


COMPARISONS: Dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq, "ne": operator.ne, "gt": operator.gt, "gte": operator.ge,
    "lt": operator.lt, "lte": operator.le, "in": lambda a, b: a in b,
    "nin": lambda a, b: a not in b,
}


def passes(filter: JSON, attributes: JSON) -> bool:
    """Whether the attributes of a file pass a filter of a search."""
    kind = filter.get("type")
    try:
        if kind in ("and", "or"):
            found = [passes(part, attributes) for part in filter["filters"]]
            return all(found) if kind == "and" else any(found)
        value = attributes.get(filter["key"])
        return (value is not None or kind == "ne") and COMPARISONS[str(kind)](
            value, filter["value"])
    except (AttributeError, KeyError, TypeError):
        raise APIError(400, "Invalid 'filters'.", "filters") from None


@route("POST", "/vector_stores/{store_id}/search", """
    query! string/strings, filters object, max_num_results integer 1..50, ranking_options object,
    rewrite_query boolean
""")
def search_vector_store(request: Request, store_id: str) -> Result:
    """The paragraphs that share words with the query; the score is the share of its words."""
    body, server = request.body, request.server
    queries = texts_of(body["query"], "query")
    wanted = set(re.findall(r"\w+", " ".join(queries).lower()))
    least = (body.get("ranking_options") or {}).get("score_threshold") or 0
    found = []
    for file in STORE_FILES.store(server, (store_id,)).all():
        if file["status"] != "completed" or file["id"] not in server.files.records or not (
                passes(body["filters"], file["attributes"] or {}) if body.get("filters") else True):
            continue
        for text in re.split(r"\n\s*\n", text_of_file(server, file["id"])):
            score = len(wanted & set(re.findall(r"\w+", text.lower()))) / max(1, len(wanted))
            if score and score >= least:
                found.append({
                    "file_id": file["id"], "attributes": file["attributes"], "score": score,
                    "filename": server.files.get(file["id"]).json["filename"],
                    "content": [{"type": "text", "text": text}],
                })
    found.sort(key=lambda result: -result["score"])
    return {"object": "vector_store.search_results.page", "search_query": queries,
            "data": found[: body.get("max_num_results") or 10], "has_more": False,
            "next_page": None}


CONTAINERS = Kind("/containers", "container", "cntr_", {
    "name": "", "expires_after": {"anchor": "last_active_at", "minutes": 20},
    "memory_limit": "1g", "network_policy": {"type": "disabled"},
})
CONTAINER_FILES = Kind("/files", "container.file", "cfile_", {}, parent=CONTAINERS)


def fill_container(
    server: LocalServer, container_id: str, file_id: str, upload: Optional[Upload] = None
) -> JSON:
    """Put a file into a container: a copy of a stored one, or an upload."""
    path = upload.path if upload else server.new_path()
    if not upload:
        shutil.copyfile(server.files.get(file_id, "file_id").path, path)
    name = upload.filename if upload else server.files.get(file_id).json["filename"]
    record = CONTAINER_FILES.add(
        server, {}, container_id, container_id=container_id, bytes=os.path.getsize(path),
        path=f"/mnt/data/{name}", source="user")
    record.hidden["path"] = path
    return record.json


@route("POST", "/containers", """
    name! string, expires_after object, file_ids strings, memory_limit string,
    network_policy object, skills array
""")
def create_container(request: Request) -> Result:
    record = CONTAINERS.add(request.server, request.body, status="running", last_active_at=now())
    for file_id in request.body.get("file_ids") or []:
        fill_container(request.server, record.json["id"], file_id)
    return record.json


@route("POST", "/containers/{container_id}/files", "file file, file_id string", form=True)
def create_container_file(request: Request, container_id: str) -> Result:
    body = request.body
    return fill_container(request.server, container_id, body.get("file_id") or "", body.get("file"))


@route("GET", "/containers/{container_id}/files/{file_id}/content")
def retrieve_container_file_content(request: Request, container_id: str, file_id: str) -> Result:
    return Download(CONTAINER_FILES.get(request.server, container_id, file_id).hidden["path"])


########################################################################
## 10. Conversations and webhooks
########################################################################

CONVERSATIONS = Kind("/conversations", "conversation", "conv_", {"metadata": {}},
                     update="metadata object", verbs="retrieve delete")
CONVERSATION_ITEMS = Kind("/items", "conversation.item", "", {}, parent=CONVERSATIONS,
                          verbs="retrieve list")


def add_items(server: LocalServer, conversation_id: str, given: List[JSON]) -> List[JSON]:
    store = CONVERSATION_ITEMS.store(server, (conversation_id,))
    return [store.add(Record(item)).json for item in input_items_of({"input": given})]


@route("POST", "/conversations", "items objects, metadata object")
def create_conversation(request: Request) -> Result:
    conversation = CONVERSATIONS.add(request.server, request.body).json
    add_items(request.server, conversation["id"], request.body.get("items") or [])
    return conversation


@route("POST", "/conversations/{conversation_id}/items", "items! objects")
def create_conversation_items(request: Request, conversation_id: str) -> Result:
    items = add_items(request.server, conversation_id, request.body["items"])
    return page({"order": "asc", "limit": 100}, items)


@route("DELETE", "/conversations/{conversation_id}/items/{item_id}")
def delete_conversation_item(request: Request, conversation_id: str, item_id: str) -> Result:
    CONVERSATION_ITEMS.delete(request, conversation_id, item_id)
    return CONVERSATIONS.get(request.server, conversation_id).json


WEBHOOKS = Kind(
    "/webhook_endpoints", "webhook_endpoint", "we_", {"name": "", "url": "", "event_types": []},
    update="name string, url string, event_types strings")
EVENT_TYPES = [f"{subject}.{event}" for subject, events in (
    ("batch", "completed failed expired cancelled"),
    ("response", "completed failed cancelled incomplete"),
    ("eval.run", "succeeded failed canceled"), ("fine_tuning.job", "succeeded failed cancelled"),
    ("realtime.call", "incoming"), ("video", "completed failed"),
    ("agent.environment", "ready failed suspended expired"),
    ("agent.session", "created action_required in_progress idle failed"),
    ("safety.alert", "created"),
) for event in events.split()]


def new_secret(record: Record) -> JSON:
    """Give a webhook endpoint a secret, which is shown this once."""
    secret = record.hidden["secret"] = "whsec_" + base64.b64encode(secrets.token_bytes(24)).decode()
    record.change(signing_secret_hint=f"whsec_...{secret[-4:]}", updated_at=now())
    return dict(record.json, signing_secret=secret)


@route("POST", "/webhook_endpoints", "event_types! strings, name! string, url! string")
def create_webhook(request: Request) -> Result:
    for type in request.body["event_types"]:
        choice_of({"event_types": type}, "event_types", EVENT_TYPES)
    return new_secret(WEBHOOKS.add(request.server, request.body))


@route("POST", "/webhook_endpoints/{id}/rotate_secret", """
    keep_old_secret_active_for_24_hours boolean
""")
def rotate_webhook_secret(request: Request, id: str) -> Result:
    return new_secret(WEBHOOKS.get(request.server, id))


@route("GET", "/webhook_event_types")
def list_webhook_event_types(request: Request) -> Result:
    return {"object": "list", "data": EVENT_TYPES}


@route("POST", "/webhook_endpoints/{id}/test", "event_type! string")
def test_webhook(request: Request, id: str) -> Result:
    """Send a signed event to an endpoint on loopback; elsewhere nothing is sent."""
    record = WEBHOOKS.get(request.server, id)
    kind = choice_of(request.body, "event_type", EVENT_TYPES)
    url, status = urlsplit(record.json["url"]), 200
    if url.scheme == "http" and url.hostname in ("127.0.0.1", "localhost", "::1"):
        event, stamp = new_id("evt_"), str(now())
        payload = compact({"id": event, "object": "event", "type": kind, "created_at": now(),
                           "data": {"id": new_id("test_")}})
        key = base64.b64decode(record.hidden["secret"][len("whsec_") :])
        signed = hmac.new(key, f"{event}.{stamp}.".encode() + payload, "sha256").digest()
        try:
            connection = http.client.HTTPConnection(url.hostname, url.port or 80, timeout=5)
            with contextlib.closing(connection):
                connection.request("POST", url.path or "/", payload, {
                    "Content-Type": "application/json", "webhook-id": event,
                    "webhook-timestamp": stamp,
                    "webhook-signature": "v1," + base64.b64encode(signed).decode()})
                status = connection.getresponse().status
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise APIError(400, f"The endpoint cannot be reached: {error}", "url") from None
    if status >= 300:
        raise APIError(400, f"The endpoint answered with status {status}.", "url")
    return {"object": "webhook_endpoint.test", "webhook_endpoint_id": id, "event_type": kind,
            "success": True, "status_code": status}


########################################################################
## 11. Fine-tuning, graders and evals
########################################################################

TUNING: JSON = {"batch_size": "auto", "learning_rate_multiplier": "auto", "n_epochs": "auto"}
JOBS = Kind("/fine_tuning/jobs", "fine_tuning.job", "ftjob-", {
    "model": "", "training_file": "", "validation_file": None, "seed": 42, "integrations": [],
    "metadata": {}, "hyperparameters": TUNING,
    "method": {"type": "supervised", "supervised": {"hyperparameters": TUNING}},
}, verbs="retrieve list cancel")
JOB_EVENTS = Kind("/events", "fine_tuning.job.event", "ftevent-", {}, parent=JOBS, verbs="list")
CHECKPOINTS = Kind("/checkpoints", "fine_tuning.job.checkpoint", "ftckpt_", {}, parent=JOBS,
                   verbs="list")
PERMISSIONS = Kind("/fine_tuning/checkpoints/{id}/permissions", "checkpoint.permission", "cp_",
                   {"project_id": ""}, verbs="list delete", deleted="checkpoint.permission")


def tell(
    server: LocalServer, job: Record, message: str, level: str = "info", data: Optional[JSON] = None
) -> None:
    """Add an event to a fine-tuning job."""
    JOB_EVENTS.add(server, {}, job.json["id"], level=level, message=message, data=data or {},
                   type="metrics" if data else "message")


def train(server: LocalServer, job: Record) -> Iterator[JSON]:
    """The steps of a fine-tuning job: it learns nothing, but reads its file."""
    id, file_id = job.json["id"], job.json["training_file"]
    tell(server, job, f"Created fine-tuning job: {id}")
    tell(server, job, f"Validating training file: {file_id}")
    yield {}  # a step in which it keeps its status
    lines = text_of_file(server, file_id).splitlines()
    for number, line in enumerate(filter(str.strip, lines), 1):
        with contextlib.suppress(ValueError, RecursionError):
            if isinstance(json.loads(line), dict):
                continue
        message = f"The job failed due to an invalid training file: line {number} is no object."
        tell(server, job, message, "error")
        error = {"code": "invalid_training_file", "param": "training_file", "message": message}
        yield {"status": "failed", "finished_at": now(), "error": error}
    yield {"status": "queued"}
    tell(server, job, "Files validated, moving job to queued state")
    yield {"status": "running"}
    tell(server, job, "Fine-tuning job started")
    name = f"ft:{job.json['model']}:local:{job.hidden['suffix']}:{id[-8:]}"
    table = "step,train_loss,train_accuracy\n"
    for step in (1, 2, 3):
        yield {}
        while job.hidden.get("paused"):
            yield {}
        loss = round(2 / step + dice(id, step).random() / 9, 4)
        right = round(1 - loss / 3, 4)
        metrics: JSON = {"step": step, "train_loss": loss, "train_mean_token_accuracy": right}
        table += f"{step},{loss},{right}\n"
        tell(server, job, f"Step {step}/3: training loss={loss}", "info", metrics)
        CHECKPOINTS.add(
            server, {}, id, fine_tuning_job_id=id, step_number=step, metrics=metrics,
            fine_tuned_model_checkpoint=name + (f":ckpt-step-{step}" if step < 3 else ""))
    path = server.new_path()
    with open(path, "w", encoding="utf-8") as file:
        file.write(table)
    results = add_file(server, "step_metrics.csv", path, "fine-tune-results")
    server.models.add(Record(
        {"id": name, "object": "model", "created": now(), "owned_by": "local"}))
    tell(server, job, f"New fine-tuned model created: {name}")
    tell(server, job, "The job has successfully completed")
    yield {"status": "succeeded", "finished_at": now(), "fine_tuned_model": name,
           "result_files": [results.json["id"]], "trained_tokens": len(tokens("\n".join(lines)))}


@route("POST", "/fine_tuning/jobs", """
    model! string, training_file! string, hyperparameters object, integrations array,
    metadata object, method object, seed integer 0..2147483647, suffix string,
    validation_file string
""")
def create_job(request: Request) -> Result:
    body, server = request.body, request.server
    for name in ("training_file", "validation_file"):
        if body.get(name) is None:
            continue
        if server.files.get(body[name], name).json["purpose"] != "fine-tune":
            raise APIError(400, f"The purpose of the {name} must be 'fine-tune'.", name)
    record = JOBS.add(
        server, body, status="validating_files", organization_id="org-local", result_files=[],
        error=None, estimated_finish=None, fine_tuned_model=None, finished_at=None,
        trained_tokens=None)
    record.hidden["suffix"] = body.get("suffix") or ""
    return advance(server, record, train(server, record))


@route("POST", "/fine_tuning/jobs/{job_id}/(pause|resume)")
def pause_job(request: Request, job_id: str, verb: str) -> Result:
    """The schema has no status for a paused job: it keeps its own, and gets an event."""
    job, paused = JOBS.get(request.server, job_id), verb == "pause"
    if job.json["status"] in ENDED or job.hidden.get("paused", False) == paused:
        raise APIError(400, f"Cannot {verb} this job now.", "fine_tuning_job_id")
    job.hidden["paused"] = paused
    tell(request.server, job, f"Fine-tuning job {verb}d")
    return job.json


@route("POST", "/fine_tuning/checkpoints/{checkpoint}/permissions", "project_ids! strings")
def create_permissions(request: Request, checkpoint: str) -> Result:
    made = [PERMISSIONS.add(request.server, {"project_id": id}, checkpoint).json
            for id in request.body["project_ids"]]
    return page({"order": "asc", "limit": 100}, made)


GRADERS = ("string_check", "text_similarity", "python", "score_model", "label_model", "multi")


def fill_in(template: Any, values: JSON) -> str:
    """Replace {{item.name}} and the like in a text or the content of a message."""

    def look_up(match: Any) -> str:
        found: Any = values
        for name in match.group(1).split("."):
            found = found.get(name, "") if isinstance(found, dict) else ""
        return found if isinstance(found, str) else json.dumps(found)

    text = text_of([template] if isinstance(template, dict) else template)
    return re.sub(r"\{\{\s*([\w.]+)\s*\}\}", look_up, text)


def grade(grader: JSON, values: JSON) -> float:
    """What a grader gives to an item and a sample.  No code is run, no model is asked: the
    graders that need these throw dice."""
    kind = choice_of({"type": grader.get("type", "none")}, "type", GRADERS)
    given, right = (fill_in(grader.get(name, ""), values) for name in ("input", "reference"))
    rng = dice("grade", grader, values)
    if kind == "string_check":
        operation = choice_of(grader, "operation", ("eq", "ne", "like", "ilike"))
        found = {"eq": given == right, "ne": given != right, "like": right in given,
                 "ilike": right.lower() in given.lower()}
        return float(found[operation])
    if kind == "text_similarity":
        return difflib.SequenceMatcher(None, given, right).ratio()
    if kind == "label_model":
        return float(rng.choice(grader.get("labels") or [""]) in grader.get("passing_labels", []))
    if kind == "multi":
        scores = [grade(part, values) for part in graders_in(grader)]
        return sum(scores) / max(1, len(scores))
    low, high = grader.get("range") or (0, 1)
    return round(float(low + (high - low) * rng.random()), 4)


def graders_in(grader: JSON) -> List[JSON]:
    """The graders of a multi grader: it has one, or several by their names."""
    parts = member(grader, "graders")
    named = {"graders": [parts] if isinstance(parts.get("type"), str) else list(parts.values())}
    return cast(List[JSON], member(named, "graders", "objects"))


@route("POST", "/fine_tuning/alpha/graders/run", """
    grader! object, model_sample! string, item object
""")
def run_grader(request: Request) -> Result:
    body, grader = request.body, request.body["grader"]
    values = {"item": body.get("item") or {}, "sample": {"output_text": body["model_sample"]}}
    reward = grade(grader, values)
    parts = {part.get("name", "part"): grade(part, values) for part in graders_in(grader)}
    flags = ("formula_parse_error", "invalid_variable_error", "model_grader_parse_error",
             "model_grader_refusal_error", "model_grader_server_error", "other_error",
             "python_grader_runtime_error", "python_grader_server_error", "sample_parse_error",
             "truncated_observation_error", "unresponsive_reward_error")
    name = grader.get("name", "grader")
    errors: JSON = {flag: False for flag in flags}
    errors.update(python_grader_server_error_type=None, model_grader_server_error_details=None,
                  python_grader_runtime_error_details=None)
    return {
        "reward": reward, "sub_rewards": parts, "model_grader_token_usage_per_model": {},
        "metadata": {"errors": errors, "execution_time": 0.0, "name": name, "type": grader["type"],
                     "sampled_model_name": None, "scores": parts or {name: reward},
                     "token_usage": None},
    }


@route("POST", "/fine_tuning/alpha/graders/validate", "grader! object")
def validate_grader(request: Request) -> Result:
    grade(request.body["grader"], {})
    return {"grader": request.body["grader"]}


EVALS = Kind("/evals", "eval", "eval_", {"name": "", "metadata": {}, "testing_criteria": []},
             update="name string, metadata object", order="asc", deleted_id="eval_id")
EVAL_RUNS = Kind("/runs", "eval.run", "evalrun_", {"name": "", "metadata": {}, "data_source": {}},
                 parent=EVALS, verbs="retrieve list cancel delete", order="asc",
                 deleted_id="run_id")
EVAL_ITEMS = Kind("/output_items", "eval.run.output_item", "outputitem_", {}, parent=EVAL_RUNS,
                  verbs="retrieve list", order="asc")


@route("POST", "/evals", """
    data_source_config! object, testing_criteria! objects, name string, metadata object
""")
def create_eval(request: Request) -> Result:
    config = dict(request.body["data_source_config"])
    choice_of(config, "type", ("custom", "logs", "stored_completions"))
    item = config.pop("item_schema", {"type": "object"})
    properties = {"item": item}
    if config.pop("include_sample_schema", False):
        properties["sample"] = {"type": "object"}
    config["schema"] = {"type": "object", "properties": properties}
    for grader in request.body["testing_criteria"]:
        grade(grader, {})
    return EVALS.add(request.server, request.body, data_source_config=config).json


def eval_rows(server: LocalServer, source: JSON) -> List[JSON]:
    """The items and samples that a source of data refers to."""
    kind = source.get("type")
    if kind == "file_content":
        return cast(List[JSON], member(source, "content", "objects"))
    if kind == "file_id":
        try:
            lines = filter(str.strip, text_of_file(server, str(source.get("id"))).splitlines())
            return [dict(json.loads(line)) for line in lines]  # which tells what is no object
        except (ValueError, TypeError, RecursionError):
            raise APIError(400, "The file has lines that are no JSON objects.", "source") from None
    if kind == "responses":
        return [{"item": {"input": text_of([part for item in record.input_items
                                            for part in item.get("content") or []])},
                 "sample": {"output_text": text_of([part for item in record.json["output"]
                                                    for part in item.get("content") or []])}}
                for record in list(server.responses.records.values())]
    return [{"item": {"input": text_of(record.messages[-1].get("content"))},
             "sample": {"output_text": record.json["choices"][0]["message"]["content"] or ""}}
            for record in list(server.chat_completions.records.values())]


def evaluate(
    server: LocalServer, criteria: List[JSON], run: Record, rows: List[JSON], template: List[JSON]
) -> Iterator[JSON]:
    """The steps of a run of an eval."""
    yield {"status": "in_progress"}
    model = run.json["model"]
    passed = [0] * len(criteria)
    counts, usage = {"total": len(rows), "errored": 0, "failed": 0, "passed": 0}, chat_usage(0, 0)
    for index, row in enumerate(rows):
        item, sample = row["item"], row["sample"]
        prompt = Prompt(model, [
            (str(turn.get("role")), fill_in(turn.get("content"), {"item": item}))
            for turn in template or [{"role": "user", "content": "{{item.input}}"}]])
        if template:
            sample = {"output_text": prompt.reply().text}
        output = str(sample.get("output_text") or "")
        scores = [grade(grader, {"item": item, "sample": sample}) for grader in criteria]
        marks = [score >= (grader.get("pass_threshold") or 0.5)
                 for grader, score in zip(criteria, scores)]
        passed = [count + mark for count, mark in zip(passed, marks)]
        counts["passed" if all(marks) else "failed"] += 1
        used = chat_usage(prompt.token_count(), len(tokens(output)))
        used = {name: used[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")}
        usage = {name: usage[name] + count for name, count in used.items()}
        EVAL_ITEMS.add(
            server, {}, run.json["eval_id"], run.json["id"], run_id=run.json["id"],
            eval_id=run.json["eval_id"], status="pass" if all(marks) else "fail",
            datasource_item=item, datasource_item_id=index, results=[
                {"name": grader.get("name", ""), "type": grader["type"], "passed": mark,
                 "score": score} for grader, score, mark in zip(criteria, scores, marks)
            ], sample={
                "input": [{"role": role, "content": text} for role, text in prompt.turns],
                "output": [{"role": "assistant", "content": output}], "finish_reason": "stop",
                "model": model, "error": {"code": "", "message": ""}, "seed": 42, "top_p": 1.0,
                "temperature": 1.0, "max_completion_tokens": 2048,
                "usage": dict(used, cached_tokens=0),
            })
    yield {
        "status": "completed", "result_counts": counts, "per_testing_criteria_results": [
            {"testing_criteria": grader.get("name", ""), "passed": count,
             "failed": len(rows) - count} for grader, count in zip(criteria, passed)
        ], "per_model_usage": [dict(
            {name: usage[name] for name in ("prompt_tokens", "completion_tokens", "total_tokens")},
            model_name=model, run_model_name=model, invocation_count=len(rows), cached_tokens=0)],
    }


@route("POST", "/evals/{eval_id}/runs", "data_source! object, metadata object, name string")
def create_eval_run(request: Request, eval_id: str) -> Result:
    source, server = request.body["data_source"], request.server
    criteria = EVALS.get(server, eval_id).json["testing_criteria"]
    choice_of(source, "type", ("jsonl", "completions", "responses"))
    rows = [{"item": member(row, "item"), "sample": member(row, "sample")}
            for row in eval_rows(server, member(source, "source"))]
    template = member(member(source, "input_messages"), "template", "objects")
    run = EVAL_RUNS.add(
        server, request.body, eval_id, eval_id=eval_id, status="queued",
        model=str(source.get("model") or "gpt-5-mini"), error={"code": "", "message": ""},
        per_model_usage=[], per_testing_criteria_results=[], report_url=f"{server.url}/evals",
        result_counts={"total": 0, "errored": 0, "failed": 0, "passed": 0})
    return advance(server, run, evaluate(server, criteria, run, rows, template))


########################################################################
## 12. Assistants
########################################################################

MAKES_ASSISTANT = """
    description string, instructions string, metadata object, name string, top_p number 0..1,
    reasoning_effort string, response_format string/object, temperature number 0..2,
    tool_resources object, tools objects,
"""
MAKES_RUN = """
    assistant_id! string, instructions string, max_completion_tokens integer, metadata object,
    max_prompt_tokens integer, model string, parallel_tool_calls boolean, stream boolean,
    response_format string/object, temperature number 0..2, tool_choice string/object,
    tools objects, top_p number 0..1, truncation_strategy object,
"""
ASSISTANTS = Kind("/assistants", "assistant", "asst_", {
    "model": "", "name": None, "description": None, "instructions": None, "tools": [],
    "tool_resources": {}, "metadata": {}, "temperature": 1.0, "top_p": 1.0,
    "response_format": "auto", "reasoning_effort": None,
}, create=MAKES_ASSISTANT + "model! string", update=MAKES_ASSISTANT + "model string")


# Before the routes of THREADS: it is no thread that is called "runs".
@route("POST", "/threads/runs", MAKES_RUN + "thread object, tool_resources object")
def create_thread_and_run(request: Request) -> Result:
    body = request.body
    ASSISTANTS.get(request.server, body["assistant_id"])
    given = dict({"tool_resources": body.get("tool_resources")}, **(body.get("thread") or {}))
    thread = make_thread(request.server, given)
    return start_run(request, thread["id"], [("thread.created", thread)])


THREADS = Kind("/threads", "thread", "thread_", {"metadata": {}, "tool_resources": {}},
               update="metadata object, tool_resources object", verbs="retrieve delete")
MESSAGES = Kind("/messages", "thread.message", "msg_", {
    "role": "user", "metadata": {}, "attachments": [],
}, parent=THREADS, update="metadata object")
RUNS = Kind("/runs", "thread.run", "run_", {
    "assistant_id": "", "model": "", "instructions": "", "tools": [], "metadata": {},
    "temperature": 1.0, "top_p": 1.0, "max_completion_tokens": None, "max_prompt_tokens": None,
    "tool_choice": "auto", "parallel_tool_calls": True, "response_format": "auto",
    "truncation_strategy": {"type": "auto", "last_messages": None}, "reasoning_effort": None,
}, parent=THREADS, update="metadata object", verbs="retrieve list cancel")
STEPS = Kind("/steps", "thread.run.step", "step_", {}, parent=RUNS, verbs="retrieve list")
ThreadEvent = Tuple[str, JSON]  # its name and its data


def make_thread(server: LocalServer, given: JSON) -> JSON:
    thread = THREADS.add(server, given).json
    for message in member(given, "messages", "objects"):
        add_message(server, thread["id"], message)
    return thread


def add_message(server: LocalServer, thread_id: str, given: JSON, **more: Any) -> Record:
    choice_of(given, "role", ("user", "assistant"))
    content = given.get("content") or []
    parts = [
        {"type": "text", "text": {"value": part if isinstance(part, str) else part["text"],
                                  "annotations": []}}
        if isinstance(part, str) or isinstance(part.get("text"), str) else part
        for part in ([content] if isinstance(content, str) else content)
    ]
    shown: JSON = {
        "content": parts, "thread_id": thread_id, "status": "completed", "completed_at": now(),
        "assistant_id": None, "run_id": None, "incomplete_at": None, "incomplete_details": None,
    }
    return MESSAGES.add(server, given, thread_id, **dict(shown, **more))


def text_of_message(message: JSON) -> str:
    return text_of([part["text"]["value"] if part["type"] == "text" else part
                    for part in message["content"]])


@route("POST", "/threads", "messages objects, metadata object, tool_resources object")
def create_thread(request: Request) -> Result:
    return make_thread(request.server, request.body)


@route("POST", "/threads/{thread_id}/messages", """
    content! string/objects, role! string, attachments objects, metadata object
""")
def create_message(request: Request, thread_id: str) -> Result:
    return add_message(request.server, thread_id, request.body).json


@route("POST", "/threads/{thread_id}/runs", MAKES_RUN + """
    additional_instructions string, additional_messages objects, reasoning_effort string
""")
def create_run(request: Request, thread_id: str) -> Result:
    return start_run(request, thread_id, [])


def start_run(request: Request, thread_id: str, before: List[ThreadEvent]) -> Result:
    """Make a run, and let it go on in the background or in a stream."""
    body, server = request.body, request.server
    for run in RUNS.store(server, (thread_id,)).all():
        if run["status"] not in ENDED:
            raise APIError(400, f"Thread {thread_id} already has an active run {run['id']}.")
    assistant = ASSISTANTS.get(server, body["assistant_id"]).json
    given = {name: assistant[name] for name in ASSISTANTS.fields if name != "metadata"}
    given.update({name: value for name, value in body.items() if value is not None})
    if body.get("additional_instructions"):
        given["instructions"] = f"{given['instructions'] or ''}\n{body['additional_instructions']}"
    for message in body.get("additional_messages") or []:
        add_message(server, thread_id, message)
    plan = run_plan(server, thread_id, given)
    record = RUNS.add(
        server, given, thread_id, thread_id=thread_id, status="queued", required_action=None,
        expires_at=now() + 600, started_at=None, completed_at=None, cancelled_at=None,
        failed_at=None, incomplete_details=None, last_error=None, usage=None)
    created = ("thread.run.created", record.json)
    return follow_run(request, record, before + [created], run_events(server, record, plan))


class Plan(NamedTuple):
    """What a run comes to: calls of its tools, then, unless they are functions, a message."""

    calls: List[JSON]  # as a step shows them; the functions without their output
    content: List[JSON]  # of the message
    end: str  # the status of the run
    usage: JSON


def run_plan(
    server: LocalServer, thread_id: str, run: JSON, outputs: Iterable[str] = ()
) -> Plan:
    turns = [("system", str(run["instructions"]))] if run.get("instructions") else []
    turns += [(m["role"], text_of_message(m)) for m in MESSAGES.store(server, (thread_id,)).all()]
    turns += [("tool", output) for output in outputs]
    prompt = Prompt(run["model"], turns)
    prompt.allow_tools(run.get("tools") or [], run.get("tool_choice"))
    prompt.parallel = run.get("parallel_tool_calls") is not False
    prompt.limit = run.get("max_completion_tokens")
    format = run.get("response_format")
    prompt.schema = schema_of(format if isinstance(format, dict) else {}, "response_format")
    reply, said = prompt.reply(), prompt.last
    usage = chat_usage(prompt.token_count(), reply.token_count())
    usage = {name: count for name, count in usage.items() if isinstance(count, int)}
    end = "incomplete" if reply.finish_reason == "length" else "completed"
    if fails(said):
        return Plan([], [], "failed", usage)
    if reply.calls:
        calls: List[JSON] = [
            {"id": call.id, "type": "function",
             "function": {"name": call.name, "arguments": call.arguments, "output": None}}
            for call in reply.calls]
        return Plan(calls, [], "requires_action" if end == "completed" else end, usage)
    pictures = []
    if re.search(r"\bdraw\b", said):
        path = server.new_path()
        with open(path, "wb") as file:
            file.write(draw(said, "64x64").data)
        pictures = [add_file(server, "drawing.png", path, "assistants_output").json["id"]]
    calls = []
    if re.search(r"\bcode\b", said) and any(
            tool.get("type") == "code_interpreter" for tool in run.get("tools") or []):
        words = topics(said)
        program = f"words = {words!r}\nprint(len(words))"
        results: List[JSON] = [{"type": "logs", "logs": f"{len(words)}\n"}]
        results += [{"type": "image", "image": {"file_id": id}} for id in pictures]
        calls = [{"id": f"call_{digest(prompt.transcript).hex()[:24]}", "type": "code_interpreter",
                  "code_interpreter": {"input": program, "outputs": results}}]
    content: List[JSON] = [
        {"type": "image_file", "image_file": {"file_id": id, "detail": "auto"}} for id in pictures]
    text: JSON = {"type": "text", "text": {"value": reply.text, "annotations": []}}
    if reply.is_refusal:
        text = {"type": "refusal", "refusal": reply.text}
    return Plan(calls, content + [text], end, usage)


def follow_run(
    request: Request, run: Record, before: List[ThreadEvent], events: Iterator[ThreadEvent]
) -> Result:
    """Answer with the events of a run as a stream; or with the run, while they happen."""
    server, first = request.server, run.json

    def happen() -> Iterator[ThreadEvent]:
        yield from before
        try:
            for event in events:
                if run.json["status"] == "cancelled":
                    yield "thread.run.cancelled", run.json
                    return
                yield event
        finally:  # if the client left its stream
            run.change(ENDED + ("requires_action",), status="cancelled", cancelled_at=now())

    def stream() -> Iterator[bytes]:
        for name, data in happen():
            yield sse(data, name)
        yield sse(b"[DONE]", "done")

    def work() -> None:
        for name, _ in happen():
            rests = name in ("thread.run.queued", "thread.run.in_progress")
            server.pause(BACKGROUND_STEP if rests else server.pace)
            if server.closing.is_set():
                return

    if request.body.get("stream"):
        return stream()
    server.in_background(work)
    return first


def call_deltas(call: JSON) -> Iterator[JSON]:
    """The pieces of a call of a tool: only the first has its id, and its name if it has one."""
    kind = call["type"]
    whole = call[kind]
    text = "arguments" if kind == "function" else "input"
    yield dict(call, **{kind: dict(whole, **{text: ""}, **{
        name: [] for name in whole if name == "outputs"})})
    pieces: List[JSON] = [{text: token} for token in tokens(whole[text])]
    pieces += [{"outputs": [dict(output, index=i)]}
               for i, output in enumerate(whole.get("outputs", []))]
    for piece in pieces:
        yield {"type": kind, kind: piece}


def content_deltas(part: JSON) -> Iterator[JSON]:
    """The pieces of a part of a message."""
    kind = part["type"]
    if kind == "text":
        yield dict(part, text=dict(part["text"], value=""))
        yield from ({"type": kind, kind: {"value": t}} for t in tokens(part["text"]["value"]))
    elif kind == "refusal":
        yield from ({"type": kind, kind: token} for token in tokens(part["refusal"]))
    else:
        yield part


def run_events(server: LocalServer, run: Record, plan: Plan) -> Iterator[ThreadEvent]:
    """What happens in a run, from queued on."""
    thread_id, run_id = run.json["thread_id"], run.json["id"]
    belongs: JSON = {
        "run_id": run_id, "assistant_id": run.json["assistant_id"], "status": "in_progress",
        "completed_at": None,
    }

    def to(record: Record, status: str, **fields: Any) -> ThreadEvent:
        record.change(ENDED, status=status, **fields)
        return f"{record.json['object']}.{status}", record.json

    def delta(record: Record, **fields: Any) -> ThreadEvent:
        name = record.json["object"] + ".delta"
        return name, {"id": record.json["id"], "object": name, "delta": fields}

    def new_step(kind: str, details: Any) -> Record:
        return STEPS.add(
            server, {}, thread_id, run_id, type=kind, step_details={"type": kind, kind: details},
            thread_id=thread_id, usage=None, metadata=None, cancelled_at=None, expired_at=None,
            failed_at=None, last_error=None, **belongs)

    yield to(run, "queued")
    yield to(run, "in_progress", started_at=now())
    if plan.end == "failed":
        yield to(run, "failed", failed_at=now(), last_error=FAILURE, usage=plan.usage)
        return
    if plan.calls:
        step = new_step("tool_calls", [])
        yield "thread.run.step.created", step.json
        yield to(step, "in_progress")
        for index, call in enumerate(plan.calls):
            for piece in call_deltas(call):
                yield delta(step, step_details={
                    "type": "tool_calls", "tool_calls": [dict(piece, index=index)]})
        step.change(step_details={"type": "tool_calls", "tool_calls": plan.calls})
        if plan.end == "requires_action":
            wanted = [dict(call, function={k: v for k, v in call["function"].items()
                                           if k != "output"}) for call in plan.calls]
            yield to(run, "requires_action", required_action={
                "type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": wanted}})
            return
        yield to(step, "completed", completed_at=now(), usage=plan.usage)
    if plan.content:
        message_id = new_id("msg_")
        step = new_step("message_creation", {"message_id": message_id})
        yield "thread.run.step.created", step.json
        yield to(step, "in_progress")
        message = add_message(server, thread_id, {"role": "assistant"}, id=message_id, **belongs)
        yield "thread.message.created", message.json
        yield to(message, "in_progress")
        for index, part in enumerate(plan.content):
            for piece in content_deltas(part):
                yield delta(message, content=[dict(piece, index=index)])
        fields: JSON = {"completed_at": now()}
        if plan.end == "incomplete":
            fields = {"incomplete_at": now(), "incomplete_details": {"reason": "max_tokens"}}
        yield to(message, plan.end, content=plan.content, **fields)
        yield to(step, "completed", completed_at=now(), usage=plan.usage)
    fields = {"completed_at": now()}
    if plan.end == "incomplete":
        fields = {"incomplete_details": {"reason": "max_completion_tokens"}}
    yield to(run, plan.end, usage=plan.usage, **fields)


@route("POST", "/threads/{thread_id}/runs/{run_id}/submit_tool_outputs", """
    tool_outputs! objects, stream boolean
""")
def submit_tool_outputs(request: Request, thread_id: str, run_id: str) -> Result:
    server, run = request.server, RUNS.get(request.server, thread_id, run_id)
    if run.json["status"] != "requires_action":
        raise APIError(400, f"Runs in status \"{run.json['status']}\" do not accept tool outputs.")
    outputs = {str(output.get("tool_call_id")): output.get("output")
               for output in request.body["tool_outputs"]}
    calls = run.json["required_action"]["submit_tool_outputs"]["tool_calls"]
    if {call["id"] for call in calls} != set(outputs):
        raise APIError(400, "Expected tool outputs for all of the call_ids of the run, and for "
                       "no others.", "tool_outputs")
    steps = list(STEPS.store(server, (thread_id, run_id)).records.values())
    steps[-1].change(status="completed", completed_at=now(), step_details={
        "type": "tool_calls", "tool_calls": [
            dict(call, function=dict(call["function"], output=outputs[call["id"]]))
            for call in calls]})
    plan = run_plan(server, thread_id, run.json, [text_of(outputs[call["id"]]) for call in calls])
    run.change(status="queued", required_action=None)
    before = [("thread.run.step.completed", steps[-1].json)]
    return follow_run(request, run, before, run_events(server, run, plan))


########################################################################
## 13. HTTP: reading requests, sending answers, faults
########################################################################

BLOCK = 1 << 16


class Body:
    """The body of one HTTP request, read on demand, by its length or in chunks."""

    def __init__(self, file: BinaryIO, headers: Mapping[str, str], limit: int) -> None:
        self.file, self.limit, self.seen = file, limit, 0
        self.chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = headers.get("content-length", "0")
        if not self.chunked and not re.fullmatch(r"\d{1,18}", length):
            raise APIError(400, f"Invalid Content-Length: {length}")
        self.left = 0 if self.chunked else int(length)  # of the body, or of the chunk
        self.check(self.left)

    def check(self, more: int) -> None:
        if self.seen + more > self.limit:
            raise APIError(413, f"The request is larger than {self.limit} bytes.")

    def read(self, size: int = BLOCK) -> bytes:
        """Some more of the body, at most `size` bytes; empty at its end."""
        if not self.left and self.chunked:
            line = self.file.readline(1000).split(b";")[0].strip()
            if not re.fullmatch(b"[0-9A-Fa-f]{1,15}", line):
                raise ConnectionError("the chunked body is broken")
            self.left = int(line, 16)
            self.check(self.left)
            if not self.left:
                self.chunked = False
                while self.file.readline(1000).strip():
                    pass  # trailers mean nothing here
        if not self.left:
            return b""
        data = self.file.read(min(size, self.left))
        if not data:
            raise ConnectionError("the client hung up in the body of its request")
        self.left -= len(data)
        self.seen += len(data)
        if self.chunked and not self.left:
            self.file.readline(3)  # the line end after a chunk
        return data


class FormReader:
    """Reads a multipart form.  Files go straight to disk, in constant memory."""

    FIELD_LIMIT = 1 << 20

    def __init__(self, body: Body, content_type: str, new_path: Callable[[], str]) -> None:
        match = re.search(r'boundary="?([^";]{1,70})', content_type)
        if not match:
            raise APIError(400, "The multipart form has no boundary.")
        self.body, self.new_path = body, new_path
        self.delimiter = b"\r\n--" + match.group(1).encode("latin-1")
        self.buffer = b"\r\n"  # so that the first delimiter looks like the others
        self.end = b"\r\n"  # which may be missing after the last one

    def copy_until(self, delimiter: bytes, sink: BinaryIO, limit: Optional[int] = None) -> None:
        """Copy what comes before the delimiter, and skip that."""
        size = 0
        while True:
            at = self.buffer.find(delimiter)
            # What might be the beginning of the delimiter waits for the next block.
            ready = at if at >= 0 else max(0, len(self.buffer) - len(delimiter) + 1)
            size += sink.write(self.buffer[:ready])
            if limit is not None and size > limit:
                raise APIError(413, f"A field of the form is larger than {limit} bytes.")
            if at >= 0:
                self.buffer = self.buffer[at + len(delimiter) :]
                return
            more = self.body.read()
            if not more:
                more, self.end = self.end, b""
            if not more:
                raise APIError(400, "The multipart form ends before its end.")
            self.buffer = self.buffer[ready:] + more

    def text_until(self, delimiter: bytes) -> str:
        sink = io.BytesIO()
        self.copy_until(delimiter, sink, self.FIELD_LIMIT)
        return sink.getvalue().decode("utf-8", "replace")

    def read(self) -> JSON:
        pairs: List[Tuple[str, Union[str, Upload]]] = []
        self.copy_until(self.delimiter, io.BytesIO(), self.FIELD_LIMIT)
        while True:
            if self.text_until(b"\r\n").startswith("--"):
                return nest(pairs)
            self.buffer = b"\r\n" + self.buffer  # a part may have no headers at all
            head = self.text_until(b"\r\n\r\n")
            name = re.search(r'[; ]name="((?:[^"\\]|\\.)*)"', head)
            filename = re.search(r'filename="((?:[^"\\]|\\.)*)"', head)
            if not name:
                raise APIError(400, "A part of the multipart form has no name.")
            if filename:
                path = self.new_path()
                with open(path, "wb") as file:
                    self.copy_until(self.delimiter, file)
                shown = re.sub(r"\\(.)", r"\1", filename.group(1)).replace("%22", '"')
                pairs.append((name.group(1), Upload(shown, path, os.path.getsize(path))))
            else:
                pairs.append((name.group(1), self.text_until(self.delimiter)))


class HangUp(Exception):
    """The connection is to be dropped here."""


class Faults:
    """What is to go wrong with one request, by its x-fault-... headers."""

    def __init__(self, headers: Mapping[str, str], strikes: bool) -> None:
        self.headers = headers if strikes else {}
        self.numbers: Dict[str, float] = {}

    def get(self, name: str) -> Optional[str]:
        return self.headers.get("x-fault-" + name)

    def check(self) -> None:
        """Read the numbers among the headers, and refuse what is none."""
        for name in ("delay", "status", "cut", "cut-events"):
            value = self.get(name)
            if value is None:
                continue
            if not re.fullmatch(r"\d{1,9}(\.\d{1,9})?", value):
                raise APIError(400, f"x-fault-{name} is not a number: {value}")
            self.numbers[name] = float(value)

    def instead(self) -> Optional[Tuple[str, bytes]]:
        """The (content type, body) of a garbled answer."""
        if self.get("garbage") == "html":
            return "text/html; charset=utf-8", b"<!DOCTYPE html><title>Bad gateway</title>\n"
        if self.get("garbage") == "json":
            return "application/json", b'{"id": "garbled", "object": '
        return None

    def check_status(self) -> None:
        """Raise the error that was asked for."""
        status = self.numbers.get("status")
        if status is None:
            return
        headers = {name: self.get(name) for name in ("retry-after", "retry-after-ms")}
        headers["x-should-retry"] = self.get("should-retry")
        kind = "server_error" if status >= 500 else "invalid_request_error"
        code = None
        if status == 429:
            kind, code = "requests", "rate_limit_exceeded"
        raise APIError(
            int(status), f"This status, {status:g}, was asked for by x-fault-status.", None, code,
            kind, {name: value for name, value in headers.items() if value is not None})

    def events(self, events: Iterator[bytes]) -> Iterator[bytes]:
        """A stream with what is to go wrong in it."""
        most = self.numbers.get("cut-events")
        for count, event in enumerate(events):
            if count == most:
                raise HangUp
            if count == 2 and self.get("error-event"):
                error = {"message": "This error was asked for by x-fault-error-event.",
                         "type": "server_error", "param": None, "code": "server_error"}
                yield sse({"error": error})
                return
            yield event

    def cut(self, body: Iterable[bytes]) -> Iterator[bytes]:
        """The first bytes of a body, if it is to be cut."""
        left = self.numbers.get("cut")
        for piece in body:
            if left is not None and len(piece) >= left:
                yield piece[: int(left)]
                raise HangUp
            yield piece
            left = None if left is None else left - len(piece)


def locate(url: str) -> Tuple[str, str, JSON]:
    """The (path of the endpoint, Azure deployment, query) that a URL means."""
    parts = urlsplit(url)
    query = nest(parse_qsl(parts.query, keep_blank_values=True))
    at_base = re.match(r"(?:/[^?]*?)?/v1(/.*)", parts.path)
    if at_base:
        return at_base.group(1), "", query
    at_azure = re.match(r"/openai(?:/deployments/([^/]+))?(/.*)", parts.path)
    if at_azure and query.pop("api-version", None):
        return at_azure.group(2), unquote(at_azure.group(1) or ""), query
    if at_azure:
        raise APIError(404, "Resource not found", "api-version", "404")
    return "", "", query


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves one connection, request after request."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    command = path = ""
    fields: Mapping[str, str] = {}  # the headers, their names in lower case

    @property
    def local(self) -> LocalServer:
        return cast(Listener, self.server).local

    def version_string(self) -> str:
        return "local_server"

    def setup(self) -> None:
        super().setup()
        self.local.connections.add(self.connection)

    def finish(self) -> None:
        self.local.connections.discard(self.connection)
        super().finish()

    def handle(self) -> None:
        # A client may leave at any time: that ends its connection, and is no failure.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def serve_request(self) -> None:
        self.started = time.perf_counter()
        self.fields = {name.lower(): value for name, value in self.headers.items()}
        faults = Faults(self.fields, self.local.fault_strikes(self.fields))
        self.body: Optional[Body] = None
        status, headers, result = self.local.answer(lambda: self.call(faults))
        try:
            if faults.get("hangup"):
                raise HangUp
            if faults.get("garbage") == "binary":
                self.wfile.write(bytes(range(256)))
                raise HangUp
            if status == 413 or self.body is None:
                self.close_connection = True  # there may be more of the body than is worth reading
            else:
                while self.body.read():
                    pass
            self.respond(status, headers, result, faults)
        except HangUp:
            self.close_connection = True
        if status == 413:
            self.linger()

    do_GET = do_POST = do_DELETE = do_PUT = do_PATCH = do_HEAD = do_OPTIONS = serve_request

    def call(self, faults: Faults) -> Result:
        """Read the request, and have it answered."""
        faults.check()
        self.local.pause(faults.numbers.get("delay", 0))
        self.body = body = Body(cast(BinaryIO, self.rfile), self.fields, self.local.max_body)
        faults.check_status()
        picture = re.fullmatch(r"/pictures/(\w{1,64})/(\d{2,4}x\d{2,4})\.png", self.path)
        if picture and self.command == "GET":  # like the real ones, such a URL needs no key
            return draw(*picture.groups())
        if self.path == "/" and self.command == "GET":
            return "A local stand-in for the OpenAI API: see its docstring.  Base URL: /v1\n"
        self.check_key()
        path, deployment, query = locate(self.path)
        route, arguments = find_route(self.command, path, urlsplit(self.path).path)
        as_json = self.fields.get("content-type", "").startswith("application/json")
        given = self.read_form(body) if route.form and not as_json else self.read_json(body)
        if deployment:
            given["model"] = deployment
        return route.run(Request(self.local, query, given), arguments)

    def check_key(self) -> None:
        scheme, _, key = self.fields.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        key = key or self.fields.get("api-key", "")
        if not key:
            raise APIError(401, "You didn't provide an API key. You need to provide your API key "
                           "in an Authorization header using Bearer auth (i.e. Authorization: "
                           "Bearer YOUR_KEY).")
        if key == "wrong-key" or key.startswith("sk-wrong"):
            masked = key[:3] + "*" * (len(key) - 5) + key[-2:]
            raise APIError(401, f"Incorrect API key provided: {masked}.", None, "invalid_api_key")

    def read_form(self, body: Body) -> JSON:
        content_type = self.fields.get("content-type", "")
        if not content_type.lower().startswith("multipart/form-data"):
            raise APIError(415, f"Invalid Content-Type header ({content_type}), expected "
                           "multipart/form-data.", None, "unsupported_content_type")
        return FormReader(body, content_type, self.local.new_path).read()

    def read_json(self, body: Body) -> JSON:
        body.limit = min(body.limit, self.local.max_json)
        body.check(body.left)
        data = b"".join(iter(body.read, b""))
        if not data:
            return {}
        content_type = self.fields.get("content-type", "")
        if content_type.partition(";")[0].strip().lower() != "application/json":
            raise APIError(415, f"Invalid Content-Type header ({content_type}), expected "
                           "application/json.", None, "unsupported_content_type")
        try:
            value = json.loads(data.decode("utf-8"), parse_constant=refuse_constant)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise APIError(400, "We could not parse the JSON body of your request: the API "
                           "expects a JSON object.")
        return value

    def respond(
        self, status: int, headers: Mapping[str, str], result: Result, faults: Faults
    ) -> None:
        length: Optional[int] = None
        pieces: Iterable[bytes]
        garbled = faults.instead()
        if garbled:
            status, content_type, pieces = 200, garbled[0], [garbled[1]]
        elif isinstance(result, Download):
            content_type, pieces = result.content_type, blocks_of(result.path)
            length = os.path.getsize(result.path)
        elif isinstance(result, dict):
            content_type, pieces = "application/json", [compact(result)]
        elif isinstance(result, str):
            content_type, pieces = "text/plain; charset=utf-8", [result.encode()]
        elif isinstance(result, Media):
            content_type, pieces = result.content_type, [result.data]
        else:
            content_type = "text/event-stream; charset=utf-8"
            pieces = faults.events(self.paced(result))
        if isinstance(pieces, list):
            length = sum(map(len, pieces))

        self.send_response(status)
        self.send_header("Content-Type", content_type)
        if length is None:
            self.send_header("Transfer-Encoding", "chunked")
        else:
            self.send_header("Content-Length", str(length))
        self.send_header("x-request-id", new_id("req_"))
        elapsed = time.perf_counter() - self.started
        self.send_header("openai-processing-ms", str(round(elapsed * 1000)))
        self.send_header("openai-version", "2020-10-01")
        if isinstance(result, dict) and result.get("status") in UNDER_WAY:
            self.send_header("openai-poll-after-ms", str(POLL_AFTER_MS))
        if "x-stainless-retry-count" in self.fields:
            self.send_header("x-echo-retry-count", self.fields["x-stainless-retry-count"])
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        logger.info("%s %s %d %.0f ms", self.command, self.path, status, elapsed * 1000)
        if self.command == "HEAD":
            return
        for piece in filter(None, faults.cut(pieces)):
            chunk = b"%x\r\n%s\r\n" % (len(piece), piece)
            self.wfile.write(chunk if length is None else piece)
        if length is None:
            self.wfile.write(b"0\r\n\r\n")

    def paced(self, events: Iterator[bytes]) -> Iterator[bytes]:
        for count, event in enumerate(events):
            if count:
                self.local.pause(self.local.pace)
            yield event

    def linger(self) -> None:
        """Let a client that is still sending read the answer: a close now would reset it."""
        self.connection.settimeout(1.0)
        deadline = time.monotonic() + 5
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            while self.connection.recv(BLOCK) and time.monotonic() < deadline:
                pass

    def send_error(
        self, code: int, message: Optional[str] = None, explain: Optional[str] = None
    ) -> None:
        """Answer what http.server itself refuses: what is not HTTP, and unknown methods."""
        self.started = time.perf_counter()
        self.close_connection = True
        error = APIError(405 if code == 501 else code, message or str(code))
        self.respond(error.status, {}, error.json, Faults({}, False))

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: respond() logs."""


def refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def blocks_of(path: str) -> Iterator[bytes]:
    with open(path, "rb") as file:
        yield from iter(functools.partial(file.read, BLOCK), b"")


########################################################################
## 14. The server, and the command line
########################################################################


class Listener(http.server.ThreadingHTTPServer):
    """Accepts connections, one thread each."""

    request_queue_size = 512  # connections that wait to be accepted

    def __init__(self, address: Tuple[str, int], local: LocalServer) -> None:
        self.local = local
        super().__init__(address, Handler)

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)  # HTTPServer's asks the DNS for a name

    def verify_request(self, request: Any, client_address: Any) -> bool:
        return not self.local.closing.is_set()

    def handle_error(self, request: Any, client_address: Any) -> None:
        logger.exception("a bug in the local server")  # the default prints it

    def serve(self) -> None:
        while not self.local.closing.is_set():
            self.handle_request()  # waits for a connection; close() makes one


class LocalServer:
    """The server and all that it remembers.  A context manager; see the module's docstring.

    `pace` is the time between the events of a stream, in seconds.
    """

    max_body = (512 << 20) + (1 << 20)  # a file of 512 MB in its form
    max_json = 64 << 20

    def __init__(self, host: str = "127.0.0.1", port: int = 0, *, pace: float = 0.0) -> None:
        self.host, self.port, self.pace = host, port, pace  # start() finds a port in place of 0
        self.stores: Dict[Tuple[str, ...], Store[Record]] = {}  # of each Kind, and in its parents
        self.spoken: Dict[bytes, str] = {}  # the texts of speeches, by the digests of their bytes
        self.chat_completions = Store[StoredChatCompletion]("No chat completion found with id {}.")
        self.responses = Store[StoredResponse]("Response with id '{}' not found.")
        self.models = Store[Record]("The model '{}' does not exist")
        self.files = Store[StoredFile]("No such File object: {}")
        self.batches = Store[StoredBatch]("No batch found with id '{}'.")
        for name in MODELS:
            owner = "local" if name.startswith("ft:") else "openai"
            self.models.add(Record(
                {"id": name, "object": "model", "created": 1715367049, "owned_by": owner}))
        self.closing = threading.Event()
        self.connections: Set[socket.socket] = set()
        self.threads: List[threading.Thread] = []
        self.fault_counts: Dict[str, int] = {}
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/v1"

    def start(self) -> LocalServer:
        self.listener = Listener((self.host, self.port), self)
        self.directory = tempfile.mkdtemp(prefix="local_server_")
        self.port = self.listener.server_address[1]
        self.acceptor = threading.Thread(target=self.listener.serve, daemon=True)
        self.acceptor.start()
        return self

    def close(self) -> None:
        """Stop listening, hang up on everybody, end what runs in the background."""
        if self.closing.is_set():
            return
        self.closing.set()
        with contextlib.suppress(OSError):  # it may have stopped by itself at this very moment
            socket.create_connection((self.host, self.port), timeout=1).close()
        self.acceptor.join()
        self.listener.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # the client may have left
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        shutil.rmtree(self.directory, ignore_errors=True)

    def __enter__(self) -> LocalServer:
        return self.start()

    def __exit__(self, *exc: object) -> None:
        self.close()

    def pause(self, seconds: float) -> None:
        """Sleep, but not beyond close()."""
        if seconds > 0:
            self.closing.wait(seconds)

    def in_background(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, daemon=True)
        self.threads = [t for t in self.threads if t.is_alive()] + [thread]
        thread.start()

    def new_path(self) -> str:
        return os.path.join(self.directory, secrets.token_hex(12))

    def fault_strikes(self, headers: Mapping[str, str]) -> bool:
        """Whether the faults of a request strike, by its x-fault-times and x-fault-id."""
        times = headers.get("x-fault-times", "")
        if not times.isdigit():
            return True
        with self.lock:
            id = headers.get("x-fault-id", "")
            self.fault_counts[id] = self.fault_counts.get(id, 0) + 1
            return self.fault_counts[id] <= int(times)

    def answer(self, call: Callable[[], Result]) -> Tuple[int, Mapping[str, str], Result]:
        """The (status, headers, body) that come of a call, its errors included."""
        try:
            return 200, {}, call()
        except APIError as error:
            return error.status, error.headers, error.json
        except ConnectionError:
            raise  # there is nobody left to be answered
        except Exception as error:
            logger.exception("a bug in the local server")
            message = f"The local server failed: {error!r}"
            return 500, {}, APIError(500, message, type="server_error").json

    def call(self, url: str, body: JSON) -> Tuple[int, JSON]:
        """Answer one request of a batch."""

        def call() -> Result:
            if body.get("stream"):
                raise APIError(400, "Streaming is not supported in a batch.", "stream")
            path, _, query = locate(url)
            route, arguments = find_route("POST", path, url)
            return route.run(Request(self, query, body), arguments)

        status, _, result = self.answer(call)
        return status, cast(JSON, result)


def stand_in() -> None:
    """Without OPENAI_API_KEY in the environment, start a server and let it lead clients there."""
    if not os.environ.get("OPENAI_API_KEY"):
        server = LocalServer(pace=0.01).start()
        atexit.register(server.close)
        os.environ.update(OPENAI_API_KEY="sk-local", OPENAI_BASE_URL=server.url)


def main(arguments: Optional[List[str]] = None) -> None:
    parser = argparse.ArgumentParser(description="A local stand-in for the OpenAI API.")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080, help="0 finds a free one")
    parser.add_argument("--pace", type=float, default=0.02, help="seconds between events")
    parser.add_argument("--quiet", action="store_true", help="no line per request")
    options = parser.parse_args(arguments)
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    if not options.quiet:
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    with LocalServer(options.host, options.port, pace=options.pace) as server:
        print(f"Serving a local stand-in for the OpenAI API at {server.url}; Ctrl-C stops it.\n"
              f"  OPENAI_BASE_URL={server.url} OPENAI_API_KEY=anything", flush=True)
        stop.wait()


if __name__ == "__main__":
    main()
