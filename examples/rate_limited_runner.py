# SPDX-License-Identifier: MIT
"""Run a file of requests, so many per minute; after a crash run it again, and it does the rest.

    python3 examples/rate_limited_runner.py requests.jsonl results.jsonl 1200

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    0 requests are done, 20 are left
"""
import json
import multiprocessing.pool
import os
import pathlib
import sys
import threading
import time

import local_server
import openai_lite as openai


class PacedTransport(openai.HTTPTransport):
    def send(self, request: openai.HTTPRequest) -> openai.HTTPResponse:
        with turn:  # one after another they wait here, retries too
            time.sleep(60 / per_minute)
        return super().send(request)


def run(line: bytes) -> bytes:
    task, response, error = json.loads(line), None, None
    try:
        response = client.post(task["url"][len("/v1"):], cast_to=dict, body=task["body"])
    except (openai.BadRequestError, openai.NotFoundError) as err:
        error = err.message  # it would fail the next time too, so this is its result
    except openai.OpenAIError as err:
        print(task["custom_id"], "is left for another run:", err, file=sys.stderr)
        return b""
    result = {"custom_id": task["custom_id"], "response": response, "error": error}
    return json.dumps(result).encode("ascii") + b"\n"


local_server.stand_in()
source, per_minute, turn = pathlib.Path(sys.argv[1]), float(sys.argv[3]), threading.Lock()
client = openai.OpenAI(http_client=PacedTransport())
if not source.exists():  # make one, of lines as the Batch API has them
    demo = {"url": "/v1/responses", "body": {"model": "gpt-4o-mini", "input": "Say a word."}}
    source.write_text("\n".join(json.dumps(dict(demo, custom_id=str(i))) for i in range(20)))
with open(sys.argv[2], "a+b") as results, multiprocessing.pool.ThreadPool(8) as pool:
    results.seek(0)
    done = [line for line in results if line.endswith(b"\n")]
    results.truncate(sum(map(len, done)))  # without the half line that a crash has left
    left = {json.loads(line)["custom_id"]: line for line in source.read_bytes().splitlines()}
    for line in done:
        left.pop(json.loads(line)["custom_id"], None)
    print(f"{len(done)} requests are done, {len(left)} are left")
    for line in filter(None, pool.imap_unordered(run, left.values())):
        results.write(line)
        results.flush()
        os.fsync(results.fileno())  # it is on the disk now, and will not be asked for again
