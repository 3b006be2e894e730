# SPDX-License-Identifier: MIT
r"""What goes over the wire, byte for byte, each line with what it means.

    python3 examples/wire_tour.py

The client talks to a server in this file, which shows what comes (>) and what it answers (<): a
request, a stream of server-sent events, an upload.  The API is not called.  It prints:

    > POST /v1/chat/completions HTTP/1.1\r\n    method, path below base_url, version of HTTP
    > Host: 127.0.0.1:... which server is meant: an address may have several
    > Accept-Encoding: gzip, deflate\r\n        the answer may be compressed, in one of these ways
    > Connection: keep-alive\r\n                another request may follow on this connection
    > Accept: application/json\r\n              what is wanted; the API streams by the parameters
    ...
"""
import pathlib
import re
import socket
import sys
import threading
from typing import BinaryIO

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # run from a checkout, with nothing installed

from openai_lite import OpenAI  # noqa: E402

# What a line begins with, and what it means: the first that fits.  >> and << are for bodies.
NOTES = r"""
> POST | method, path below base_url, version of HTTP
> Host: | which server is meant: an address may have several
> Accept-Encoding: | the answer may be compressed, in one of these ways
> Connection: | another request may follow on this connection
> Accept: | what is wanted; the API streams by the parameters
> Content-Type: application/json | the body is JSON
> Content-Type: multipart | the body is a form; the boundary parts its fields
> User-Agent: | which program is asking
> X-Stainless- | what the client runs on, for the statistics
> Authorization: | who is asking, and pays: your key
> x-stainless-retry-count: | the number of the retry; 0 is the first attempt
> x-stainless-read-timeout: | the client waits so long (s) for each piece
> Content-Length: | the body ends after so many bytes
> \r\n | the head ends, the body begins
>> {"model" | the parameters that were given
>> Content-Disposition: form-data; name="file" | the file, and what it is called
>> Content-Disposition: | a field, and what it is called
>> Content-Type: | what the file is, guessed from its name
>> \r\n | the head of this part ends
>> user_data | the value of the field
>> The sky | the file as it is; its \r\n is of the next line
>> -- | the boundary, random, so that no file has it
< HTTP/1.1 200 | version of HTTP; all went well
< Content-Type: application/json | the body is JSON
< Content-Type: text/event-stream | the body is a stream of events
< Content-Length: | the body ends after so many bytes
< Transfer-Encoding: | it comes in chunks, of a length not known yet
< \r\n | the head ends, the body begins
<< { | the result
<< : | a comment, against proxies that hang up; skipped
<< data: [DONE] | the end; a stream without it was cut
<< data: | an event: what was written since the last one
<< \n | an empty line: the event ends
<< \r\n | the chunk ends
<< 0\r\n | a chunk of no bytes: the body ends
<< 8\r\n | a chunk begins: its length, as hexadecimal
<< e\r\n | a chunk begins: its length, as hexadecimal
<< 3 | a chunk begins: its length, as hexadecimal
"""
ROWS = [row.split(" | ") for row in NOTES.strip().split("\n")]

HELLO = b'{"object":"chat.completion","choices":[{"message":{"content":"Hello"}}]}'
FILE = b'{"object":"file","id":"file-1","filename":"sky.txt"}'
EVENTS = [
    b": wait\n\n",
    b'data: {"choices":[{"delta":{"content":"Hel"}}]}\n\n',
    b'data: {"choices":[{"delta":{"content":"lo"}}]}\n\n',
    b"data: [DONE]\n\n",
]
CHUNKS = b"".join(b"%x\r\n%s\r\n" % (len(event), event) for event in EVENTS) + b"0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = [HEAD % len(HELLO) + HELLO, STREAM + CHUNKS, HEAD % len(FILE) + FILE]


def show(arrow: str, data: bytes) -> None:
    part = arrow
    for line in data.splitlines(keepends=True):
        text = line.decode("ascii").replace("\r", "\\r").replace("\n", "\\n")
        note = next(note for start, note in ROWS if f"{part} {text}".startswith(start))
        if len(text) <= 41:
            print(arrow, text.ljust(41), note)
        else:
            print(f"{arrow} {text}\n{'':43} {note}")
        if line == b"\r\n":
            part = arrow * 2
    print()


def read_request(file: BinaryIO) -> bytes:
    head = b"".join(iter(file.readline, b"\r\n")) + b"\r\n"
    length = re.search(rb"Content-Length: (\d+)", head)
    return head + file.read(int(length.group(1)) if length else 0)


def serve(listener: socket.socket) -> None:
    conn = listener.accept()[0]  # the client keeps it for all three requests
    with conn, conn.makefile("rb") as file:
        for answer in ANSWERS:
            show(">", read_request(file))
            show("<", answer)
            conn.sendall(answer)


listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
server = threading.Thread(target=serve, args=(listener,))
server.start()

url = "http://127.0.0.1:%d/v1" % listener.getsockname()[1]
with OpenAI(api_key="sk-secret", base_url=url) as client:
    say_hi = [{"role": "user", "content": "Hi"}]
    client.chat.completions.create(model="gpt-4o-mini", messages=say_hi)
    list(client.chat.completions.create(model="gpt-4o-mini", messages=say_hi, stream=True))
    client.files.create(file=("sky.txt", b"The sky is blue."), purpose="user_data")
server.join()
listener.close()
