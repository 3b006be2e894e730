# SPDX-License-Identifier: MIT
"""Answers that are objects of your own classes: a dataclass makes the schema and reads the answer.

    python3 examples/structured_outputs.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    Solve                because step step
    step Solve           because step
    x = 49.0
"""
import dataclasses
from typing import List

from local_server import stand_in
from openai_lite import OpenAI


@dataclasses.dataclass
class Step:
    explanation: str
    result: str


@dataclasses.dataclass
class Solution:
    """How an equation is solved."""
    steps: List[Step]
    answer: float


stand_in()
client = OpenAI()
question = "Solve 8x + 31 = 2, step by step."
response = client.responses.parse(model="gpt-4o-mini", input=question, text_format=Solution)
solution = response.output_parsed
assert solution is not None, response.output_text
for step in solution.steps:
    print(f"{step.result:20} because {step.explanation}")
print("x =", solution.answer)
