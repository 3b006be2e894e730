# SPDX-License-Identifier: MIT
"""Two AWS Lambda functions: one answers when all is there, the other while it is being written.

    python3 examples/aws_lambda/build.py function.zip

makes what is to be deployed.  Set OPENAI_API_KEY in the configuration of the function.  `handler`
runs in Lambda's own Python runtimes.  `stream` is for a function URL in the mode RESPONSE_STREAM;
Lambda's Python runtimes cannot stream, so it takes bootstrap.py as the runtime.
"""
import json
import os
from typing import Any, Dict, Iterator

from openai_lite import APITimeoutError, OpenAI, OpenAIError, Timeout

MODEL = os.environ.get("MODEL", "gpt-4o-mini")
# Made once per environment, not once per request: its connections are kept.  One that has died
# while the environment was frozen is noticed and replaced.
client = OpenAI()


def time_left(context: Any) -> Timeout:
    """A second less than Lambda leaves us: time to say what went wrong, before it kills us."""
    return Timeout(total=max(0.1, context.get_remaining_time_in_millis() / 1000 - 1))


def question_of(event: Dict[str, Any]) -> str:
    return str(json.loads(event["body"])["question"])


def handler(event: Dict[str, Any], context: Any) -> Dict[str, Any]:
    try:
        response = client.responses.create(
            model=MODEL, input=question_of(event), timeout=time_left(context)
        )
        status, body = 200, {"answer": response.output_text}
    except APITimeoutError:
        status, body = 504, {"error": "the model took too long"}
    except OpenAIError as err:  # its message holds no key
        status, body = 502, {"error": str(err)}
    headers = {"content-type": "application/json"}
    return {"statusCode": status, "headers": headers, "body": json.dumps(body)}


def stream(event: Dict[str, Any], context: Any) -> Iterator[bytes]:
    """Lambda's form of a streamed answer: status and headers as JSON, eight zeros, the body."""
    with client.responses.create(
        model=MODEL, input=question_of(event), stream=True, timeout=time_left(context)
    ) as events:
        head = {"statusCode": 200, "headers": {"content-type": "text/plain; charset=utf-8"}}
        yield json.dumps(head).encode("ascii") + bytes(8)
        for item in events:
            if item.type == "response.output_text.delta":
                yield item.delta.encode("utf-8")
