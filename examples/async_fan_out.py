# SPDX-License-Identifier: MIT
"""Many requests at once with asyncio, but never more than some of them.

    python3 examples/async_fan_out.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    cat: In short: French pays off. When Translate comes first, French stands too. So French tak...
    house: A few careful readers put Translate before Translate. When Translate matters, house s...
    tree: Nearly all beginners find that Translate stands. When French takes time, French waits ...
    bread: A few people put into before Translate. A few careful readers find that French works.
    water: When into takes time, into comes first too. A few authors put into before water.
    friend: Let us begin with into. Nearly all careful readers find that into stands. That is al...
    book: There are two ways to look at Translate. What book pays off for is book. So book matters.
    sun: What French stands for is Translate. A few beginners put French before Translate.
"""
import asyncio
from typing import List

from local_server import stand_in
from openai_lite import AsyncOpenAI, OpenAIError

AT_ONCE = 4
WORDS = ["cat", "house", "tree", "bread", "water", "friend", "book", "sun"]


async def translate(client: AsyncOpenAI, turns: asyncio.Semaphore, word: str) -> str:
    async with turns:
        response = await client.responses.create(
            model="gpt-4o-mini", input=f"Translate into French: {word}"
        )
    return response.output_text


async def main() -> None:
    # Made here and not at the top: until Python 3.9 it belongs to the loop that runs by then.
    turns = asyncio.Semaphore(AT_ONCE)
    async with AsyncOpenAI(max_retries=5) as client:
        # With return_exceptions=True one failure does not throw away the other answers.
        answers = await asyncio.gather(
            *[translate(client, turns, word) for word in WORDS], return_exceptions=True
        )
    for word, answer in zip(WORDS, answers):
        if isinstance(answer, BaseException):
            print(f"{word} failed: {answer}")
        else:
            print(f"{word}: {answer}")


stand_in()
asyncio.run(main())
