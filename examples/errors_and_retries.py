# SPDX-License-Identifier: MIT
"""What can go wrong, by its class; and what is tried again before you hear of it.

    python3 examples/errors_and_retries.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, which fails
when headers ask for it, and prints:

    all is well: completed after 0 retries
    down for a moment: completed after 2 retries
    down: InternalServerError, status 503, code None
    too many requests: come back in 0.1 seconds
    a wrong parameter: NotFoundError, status 404, code model_not_found
    cut off once: completed after 1 retries
    always cut off: APIConnectionError: the connection was closed without an answer
    a web page: APIResponseValidationError, for instance of HTML
"""
import os
from typing import Any

from local_server import stand_in
import openai_lite as openai


def ask(title: str, model: str = "gpt-4o-mini", **faults: Any) -> None:
    headers = {"x-fault-" + key.replace("_", "-"): str(faults[key]) for key in faults}
    try:
        raw = client.responses.with_raw_response.create(
            model=model, input="Say hello.", extra_headers=headers if local else {}
        )
        print(f"{title}: {raw.parse().status} after {raw.retries_taken} retries")
    except openai.RateLimitError as err:  # from the special to the general
        print(f"{title}: come back in {err.response.headers.get('retry-after')} seconds")
    except openai.APIStatusError as err:  # the server said no; err.request_id is for its support
        print(f"{title}: {type(err).__name__}, status {err.status_code}, code {err.code}")
    except openai.APIConnectionError as err:  # none, or half of one, or too late
        print(f"{title}: {type(err).__name__}: {err.__cause__}")
    except openai.APIError as err:  # an answer that is none, such as the web page of a proxy
        print(f"{title}: {type(err).__name__}, for instance of HTML")


local = not os.environ.get("OPENAI_API_KEY")
stand_in()
# Two retries, after 0.5 and 1 seconds, are the default; the server may ask for other pauses.
client = openai.OpenAI(max_retries=2, initial_retry_delay=0.05, timeout=20)

ask("all is well")
ask("down for a moment", status=503, times=2, id="moment")
ask("down", status=503)
ask("too many requests", status=429, retry_after=0.1)
ask("a wrong parameter", model="no-such-model")
ask("cut off once", cut=20, times=1, id="once")
ask("always cut off", hangup=1)
ask("a web page", garbage="html")
