# SPDX-License-Identifier: MIT
"""Streams that accumulate: print text as it comes, and have the whole answer at the end.

    python3 examples/stream_events.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    What| Count| stand|s| for| is| Count|.| ...
    completed: What Count stands for is Count. ...
    |In| short|:| Name| works|.| ...
    stop: In short: Name works. ...
"""
from local_server import stand_in
from openai_lite import OpenAI

stand_in()
client = OpenAI()

with client.responses.stream(model="gpt-4o-mini", input="Count to three, in words.") as events:
    for event in events:
        if event.type == "response.output_text.delta":
            print(event.delta, end="|", flush=True)
    response = events.get_final_response()
print(f"\n{response.status}: {response.output_text}")

with client.chat.completions.stream(
    model="gpt-4o-mini", messages=[{"role": "user", "content": "Name a colour."}]
) as chunks:
    for piece in chunks:
        if piece.type == "content.delta":
            print(piece.delta, end="|", flush=True)
    completion = chunks.get_final_completion()
print(f"\n{completion.choices[0].finish_reason}: {completion.choices[0].message.content}")
