# SPDX-License-Identifier: MIT
"""A batch: upload a file of requests, have them answered within a day at half the price.

    python3 examples/files_and_batch.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    uploaded requests.jsonl, 401 bytes
    completed
    Paris: Let us begin with about. Most people put about before Paris. The rest is Paris.
    Oslo: In short: word takes time. Most beginners find that Oslo stands. Most engineers put wo...
    Rome: Let us begin with about. A few beginners put about before word. So word pays off.
"""
import json
import os
import pathlib
import time

from local_server import stand_in
from openai_lite import OpenAI

CITIES = ["Paris", "Oslo", "Rome"]
PAUSE = 30 if os.environ.get("OPENAI_API_KEY") else 0.1  # seconds

stand_in()
client = OpenAI()
requests = [
    {
        "custom_id": city,  # how an answer is found again: they come in any order
        "method": "POST",
        "url": "/v1/responses",
        "body": {"model": "gpt-4o-mini", "input": f"Say a word about {city}."},
    }
    for city in CITIES
]
lines = "".join(json.dumps(request) + "\n" for request in requests)
# A file is bytes with a name, or a pathlib.Path, which is sent from disk however large it is.
file = client.files.create(file=("requests.jsonl", lines.encode("utf-8")), purpose="batch")
print(f"uploaded {file.filename}, {file.bytes} bytes")

batch = client.batches.create(
    input_file_id=file.id, endpoint="/v1/responses", completion_window="24h"
)
while batch.status in ("validating", "in_progress", "finalizing"):
    time.sleep(PAUSE)
    batch = client.batches.retrieve(batch.id)
print(batch.status)

if batch.output_file_id:  # what succeeded
    for line in client.files.content(batch.output_file_id).iter_lines():
        result = json.loads(line)
        content = result["response"]["body"]["output"][-1]["content"]
        print(f"{result['custom_id']}: {content[0]['text']}")
if batch.error_file_id:  # what did not
    print(client.files.content(batch.error_file_id).text)
client.files.delete(file.id)
