# SPDX-License-Identifier: MIT
"""How long to wait: for a connection, for the next byte, for everything together.

    python3 examples/timeouts.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    60 s: answered after 0.3 s
    0.1 s: APITimeoutError (timed out) after 0.1 s
    0.1 s, 2 retries: APITimeoutError (timed out) after 0.4 s
    0.2 s in total: APITimeoutError (the total time limit has passed) after 0.2 s
"""
import os
import time

from local_server import stand_in
from openai_lite import APITimeoutError, OpenAI, Timeout

# The local server answers after 0.3 seconds if it is told so; the API does without being told.
SLOW = {} if os.environ.get("OPENAI_API_KEY") else {"x-fault-delay": "0.3"}


def try_it(title: str, client: OpenAI) -> None:
    started = time.monotonic()
    try:
        client.responses.create(model="gpt-4o-mini", input="Hello", extra_headers=SLOW)
        outcome = "answered"
    except APITimeoutError as err:
        outcome = f"{type(err).__name__} ({err.__cause__})"
    print(f"{title}: {outcome} after {time.monotonic() - started:.1f} s")


stand_in()
# A number bounds each read and write; connecting has a limit of its own.
client = OpenAI(timeout=Timeout(60, connect=2), max_retries=0, initial_retry_delay=0.05)
try_it("60 s", client)

# with_options() is the same client with other settings, and the same connections.
try_it("0.1 s", client.with_options(timeout=0.1))

# A timeout is tried again like any failed connection, so that three attempts take three times.
try_it("0.1 s, 2 retries", client.with_options(timeout=0.1, max_retries=2))

# `total` bounds all of it: the attempts, the pauses between them, and a body that trickles.
try_it("0.2 s in total", client.with_options(timeout=Timeout(total=0.2), max_retries=9))

# Each method takes `timeout` too.
client.models.list(timeout=5)
