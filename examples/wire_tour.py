# SPDX-License-Identifier: MIT
r"""What goes over the wire, byte for byte and explained: a request, a stream, an upload.

    python3 examples/wire_tour.py

The client talks to a server in this file, which shows what comes (>) and goes (<).  It prints:

    > POST /v1/chat/completions HTTP/1.1\r\n      method, path below base_url, ...
"""
import socketserver
import threading

import local_server  # noqa: F401  # finds openai_lite in this checkout
from openai_lite import OpenAI

NOTES = {  # what a line begins with, and what it says; the first that fits
    "POST": "method, path below base_url, version of HTTP", "User-Agent": "who is asking",
    "Host": "which server is meant: an address may have several", "X-Stainless": "for statistics",
    "Accept-Encoding": "how the answer may be compressed", "Accept": "the type that is wanted",
    "Connection": "more requests may follow on it", "Authorization": "who is asking, and pays",
    "x-stainless-retry": "0 is the first attempt", "x-stainless-read": "how long we wait (s)",
    "Content-Length": "where the body ends", "Content-Disposition": "a field or file, its name",
    "Content-Type": "what the body is, or this part of it", "HTTP/1.1": "all went well",
    "Transfer-Encoding": "the body comes in chunks, and ends with one of no bytes",
    r"\r\n": "the end of a head, or of a chunk", r"\n": "the end of an event", "{": "JSON",
    "data: [DONE]": "the last; a stream without it was cut", "data": "what was written since",
    "--": "the boundary, random, so that no file has it", "user_data": "the value of the field",
    ":": "a comment, to keep proxies awake; skipped", "The sky": "the file, as it is",
    "": "a chunk of so many bytes, as hexadecimal"}
DELTA = 'data: {"choices":[{"delta":{"content":"%s"}}]}\n\n'
ANSWERS = [
    ("application/json", ['{"choices":[{"message":{"content":"Hello"}}]}']),
    ("text/event-stream", [": wait\n\n", DELTA % "Hel", DELTA % "lo", "data: [DONE]\n\n"]),
    ("application/json", ['{"id":"file-1"}'])]


class Shown(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        for kind, pieces in ANSWERS:  # the client keeps its connection for all of them
            head = b"".join(iter(self.rfile.readline, b"\r\n")) + b"\r\n"
            length = int(head.partition(b"Content-Length: ")[2].split()[0])
            self.show(">", head + self.rfile.read(length))
            text = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nTransfer-Encoding: chunked\r\n\r\n"
            text += "".join(f"{len(piece):x}\r\n{piece}\r\n" for piece in [*pieces, ""])
            self.wfile.write(self.show("<", text.encode("ascii")))

    def show(self, arrow: str, data: bytes) -> bytes:
        for line in data.splitlines(keepends=True):
            text = repr(line)[2:-1]
            print(f"{arrow} {text:43}", next(NOTES[s] for s in NOTES if text.startswith(s)))
        return data


with socketserver.TCPServer(("127.0.0.1", 0), Shown) as server:
    threading.Thread(target=server.handle_request).start()
    with OpenAI(api_key="sk-x", base_url=f"http://127.0.0.1:{server.server_address[1]}/v1") as api:
        hi = [{"role": "user", "content": "Hi"}]
        api.chat.completions.create(model="gpt-4o", messages=hi)
        list(api.chat.completions.create(model="gpt-4o", messages=hi, stream=True))
        api.files.create(file=("sky.txt", b"The sky is blue."), purpose="user_data")
