# SPDX-License-Identifier: MIT
"""A runtime for AWS Lambda that can stream: it fetches events, calls a handler, sends answers.

    python3 examples/aws_lambda/build.py function.zip

puts it into the zip, as the entry point of custom runtimes, such as container images.  It speaks
the protocol of https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""
import base64
import http.client
import importlib
import itertools
import json
import os
import time
import types
from typing import Any

API = "/2018-06-01/runtime/invocation/"
STREAMING = {
    "Lambda-Runtime-Function-Response-Mode": "streaming",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Transfer-Encoding": "chunked",
}
TRAILERS = "0\r\n{0}-Type: {1}\r\n{0}-Body: {2}\r\n\r\n"


def serve_one(api: http.client.HTTPConnection, handler: Any) -> None:
    api.request("GET", API + "next")
    answer = api.getresponse()  # here Lambda freezes us until there is an event
    event, began = json.loads(answer.read()), False
    deadline = int(answer.headers["Lambda-Runtime-Deadline-Ms"])
    context = types.SimpleNamespace(
        aws_request_id=answer.headers["Lambda-Runtime-Aws-Request-Id"],
        get_remaining_time_in_millis=lambda: deadline - int(time.time() * 1000),
    )
    path = API + context.aws_request_id
    try:
        result = handler(event, context)
        if isinstance(result, dict):
            api.request("POST", path + "/response", json.dumps(result))
        else:
            pieces, began = itertools.chain([next(result)], result), True
            api.request("POST", path + "/response", pieces, STREAMING, encode_chunked=True)
    except Exception as err:
        error = json.dumps({"errorType": type(err).__name__, "errorMessage": str(err)}).encode()
        if began:  # too late for another answer: the error follows it in trailers
            coded, name = base64.b64encode(error).decode(), "Lambda-Runtime-Function-Error"
            api.send(TRAILERS.format(name, type(err).__name__, coded).encode("ascii"))
        else:
            api.request("POST", path + "/error", error)
    api.getresponse().read()


if __name__ == "__main__":
    module, _, function = os.environ["_HANDLER"].partition(".")
    chosen = getattr(importlib.import_module(module), function)
    connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
    while True:
        serve_one(connection, chosen)
