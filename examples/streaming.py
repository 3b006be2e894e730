# SPDX-License-Identifier: MIT
"""Streams as the server sends them: print text while it is being written.

    python3 examples/streaming.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    There| are| three| ways| to| look| at| three|.| Nearl|y| all| peopl|e| put| Count| befor|e| ...
    |In| short|:| Name| works|.| Most| peopl|e| put| colou|r| befor|e| Name|.| When| colou|r| ma...
    Complete: True
    The first piece: 'Most'
    Complete: False
"""
from local_server import stand_in
from openai_lite import OpenAI

stand_in()
client = OpenAI()

events = client.responses.create(model="gpt-4o-mini", input="Count to three.", stream=True)
for event in events:
    if event.type == "response.output_text.delta":
        print(event.delta, end="|", flush=True)
    elif event.type == "response.completed" and event.response.usage:
        print("", event.response.usage.output_tokens, "tokens")

chunks = client.chat.completions.create(
    model="gpt-4o-mini",
    messages=[{"role": "user", "content": "Name a colour."}],
    stream=True,
    stream_options={"include_usage": True},
)
for chunk in chunks:
    if chunk.choices:  # the last chunk has none, but the usage
        print(chunk.choices[0].delta.content or "", end="|", flush=True)
    elif chunk.usage:
        print("", chunk.usage.completion_tokens, "tokens")
print("Complete:", chunks.completed)  # False if something on the way has cut the stream

# Who leaves a stream early hangs up by `with`, or the server writes on for nobody.
with client.responses.create(model="gpt-4o-mini", input="Tell a tale.", stream=True) as tale:
    for event in tale:
        if event.type == "response.output_text.delta":
            print("The first piece:", repr(event.delta))
            break
print("Complete:", tale.completed)
