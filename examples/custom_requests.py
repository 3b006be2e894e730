# SPDX-License-Identifier: MIT
"""Beyond what this version knows: other parameters, other endpoints, and the response itself.

    python3 examples/custom_requests.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    metadata: {'purpose': 'demo'}
    a dict: response completed
    the response: 200 application/json list
    raw: 200 req_ chat.completion
    streamed: 29 lines, the last of them data: [DONE]
"""
from typing import Any, Dict

from local_server import stand_in
from openai_lite import HTTPResponse, OpenAI

MESSAGES = [{"role": "user", "content": "Say this is a test"}]

stand_in()
client = OpenAI()

# Parameters that the method does not name: into the body, the query, the headers.
response = client.responses.create(
    model="gpt-4o-mini",
    input="Hello",
    extra_body={"metadata": {"purpose": "demo"}},
    extra_query={"trace": "1"},
    extra_headers={"x-project": "demo"},
)
print("metadata:", response.metadata)  # fields unknown to this version are attributes too

# Endpoints that have no method: `cast_to` says what the answer becomes.
body: Dict[str, Any] = {"model": "gpt-4o-mini", "input": "Hello"}
answer = client.post("/responses", cast_to=Dict[str, Any], body=body)
print("a dict:", answer["object"], answer["status"])
plain = client.get("/models", cast_to=HTTPResponse, options={"params": {"limit": 1}})
print("the response:", plain.status_code, plain.headers["content-type"], plain.json()["object"])

# Any method can give its response with headers, and the result by parse().
raw = client.chat.completions.with_raw_response.create(model="gpt-4o-mini", messages=MESSAGES)
print("raw:", raw.status_code, raw.headers["x-request-id"][:4], raw.parse().object)

# Or without reading its body: what comes is yours to read, line by line.
with client.chat.completions.with_streaming_response.create(
    model="gpt-4o-mini", messages=MESSAGES, stream=True
) as streamed:
    lines = [line for line in streamed.iter_lines() if line]
print("streamed:", len(lines), "lines, the last of them", lines[-1])
