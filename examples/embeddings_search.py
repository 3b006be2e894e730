# SPDX-License-Identifier: MIT
"""Search by meaning: embed the sections of the README, and find those nearest to a question.

    python3 examples/embeddings_search.py

Other questions may follow the command.  With OPENAI_API_KEY set it calls the API, else the local
server that lies beside it (to which texts are near that share words), and prints:

    each section is 512 numbers now
    Are connection errors tried again, and after which pauses?
        0.30 Retries
        ...
    Verify the signature of a webhook event
        0...
        0...
"""
import math
import pathlib
import re
import sys
from typing import List, Sequence

from local_server import stand_in
from openai_lite import OpenAI

QUESTIONS = sys.argv[1:] or [
    "Are connection errors tried again, and after which pauses?",
    "Verify the signature of a webhook event",
]


def cosine(a: Sequence[float], b: Sequence[float]) -> float:
    """1 if both point in the same direction, 0 if they have nothing in common."""
    product = sum(x * y for x, y in zip(a, b))
    return product / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


def embed(texts: List[str]) -> List[List[float]]:
    answer = client.embeddings.create(model="text-embedding-3-small", input=texts, dimensions=512)
    return [item.embedding for item in answer.data]


stand_in()
client = OpenAI()
here = pathlib.Path(__file__).resolve().parent
readme = (here.parent / "README.md").read_text(encoding="utf-8")
sections = re.split(r"(?m)^## ", readme)[1:]
vectors = embed(sections)  # a program that searches often would store them
print("each section is", len(vectors[0]), "numbers now")
for question, vector in zip(QUESTIONS, embed(QUESTIONS)):
    print(question)
    scores = [cosine(vector, other) for other in vectors]
    best = sorted(range(len(sections)), key=lambda i: -scores[i])
    for i in best[:2]:
        print(f"    {scores[i]:.2f}", sections[i].partition("\n")[0])
