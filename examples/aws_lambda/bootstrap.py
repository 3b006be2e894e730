# SPDX-License-Identifier: MIT
"""A runtime for AWS Lambda that can stream, for custom runtimes, such as container images.

    python3 examples/aws_lambda/build.py function.zip

puts it in.  The protocol: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""
import base64
import http.client
import importlib
import itertools
import json
import os
import time
import types

API, ERROR = "/2018-06-01/runtime/", "Lambda-Runtime-Function-Error"
STREAMING = {
    "Lambda-Runtime-Function-Response-Mode": "streaming", "Transfer-Encoding": "chunked",
    "Content-Type": "application/vnd.awslambda.http-integration-response",
    "Trailer": f"{ERROR}-Type, {ERROR}-Body"}


def tell(api: http.client.HTTPConnection, path: str, err: Exception, began: bool = False) -> None:
    said = json.dumps({"errorType": type(err).__name__, "errorMessage": str(err)}).encode()
    if began:  # too late for another answer: the error follows it in trailers
        kind, coded = type(err).__name__, base64.b64encode(said).decode()
        api.send(f"0\r\n{ERROR}-Type: {kind}\r\n{ERROR}-Body: {coded}\r\n\r\n".encode())
    else:
        api.request("POST", path + "error", said)


def serve_one(api: http.client.HTTPConnection, handler: types.FunctionType) -> None:
    api.request("GET", API + "invocation/next")
    answer = api.getresponse()  # here Lambda freezes us until there is an event
    event, deadline = json.loads(answer.read()), int(answer.headers["Lambda-Runtime-Deadline-Ms"])
    context = types.SimpleNamespace(aws_request_id=answer.headers["Lambda-Runtime-Aws-Request-Id"])
    context.get_remaining_time_in_millis = lambda: deadline - int(time.time() * 1000)
    path, began = f"{API}invocation/{context.aws_request_id}/", False
    try:
        result = handler(event, context)
        if isinstance(result, dict):
            api.request("POST", path + "response", json.dumps(result))
        else:
            pieces, began = itertools.chain([next(result)], result), True
            api.request("POST", path + "response", pieces, STREAMING, encode_chunked=True)
    except Exception as err:
        tell(api, path, err, began)
    api.getresponse().read()


connection = http.client.HTTPConnection(os.environ["AWS_LAMBDA_RUNTIME_API"])
try:
    module, _, function = os.environ["_HANDLER"].partition(".")
    chosen = getattr(importlib.import_module(module), function)
except Exception as err:  # such as that OPENAI_API_KEY is not set
    tell(connection, API + "init/", err)
    raise
while True:
    serve_one(connection, chosen)
