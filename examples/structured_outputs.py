# SPDX-License-Identifier: MIT
"""Answers that are objects of your own classes: a dataclass makes the schema and reads the answer.

    python3 examples/structured_outputs.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it.
"""
import dataclasses
import pathlib
import sys
from typing import List
HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # run from a checkout

from local_server import stand_in  # noqa: E402
from openai_lite import OpenAI  # noqa: E402


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
response = client.responses.parse(
    model="gpt-4o-mini", input="Solve 8x + 31 = 2, step by step.", text_format=Solution
)
solution = response.output_parsed
assert solution is not None, f"the model did not answer: {response.output_text}"
for step in solution.steps:
    print(f"{step.result:20} because {step.explanation}")
print("x =", solution.answer)
