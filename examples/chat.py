# SPDX-License-Identifier: MIT
"""A conversation: what was said before goes along with each question.

    python3 examples/chat.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    Chat Completions: your program keeps the conversation, and sends all of it each time.
       Why is the sky blue? -> Let us begin with blue. Nearly all careful readers find that blue...
       And why is the sunset red? -> Let us begin with sunset. Some people find that sunset matt...
    Responses: the server keeps it, and is told which answer the next one follows.
       Why is the sky blue? -> What blue comes first for is blue. When blue works, blue works too.
       And why is the sunset red? -> What sunset stands for is sunset. Some beginners find that ...
"""
from typing import Any, List

from local_server import stand_in
from openai_lite import OpenAI

MODEL = "gpt-4o-mini"
QUESTIONS = ["Why is the sky blue?", "And why is the sunset red?"]

stand_in()
client = OpenAI()

print("Chat Completions: your program keeps the conversation, and sends all of it each time.")
messages: List[Any] = [{"role": "developer", "content": "Answer in one sentence."}]
for question in QUESTIONS:
    messages.append({"role": "user", "content": question})
    completion = client.chat.completions.create(model=MODEL, messages=messages)
    answer = completion.choices[0].message
    messages.append(answer)
    print("  ", question, "->", answer.content)

print("Responses: the server keeps it, and is told which answer the next one follows.")
response = client.responses.create(
    model=MODEL, instructions="Answer in one sentence.", input=QUESTIONS[0]
)
print("  ", QUESTIONS[0], "->", response.output_text)
response = client.responses.create(
    # Instructions are not kept: each request brings its own.
    model=MODEL, instructions="Answer in one sentence.", input=QUESTIONS[1],
    previous_response_id=response.id,
)
print("  ", QUESTIONS[1], "->", response.output_text)
