# SPDX-License-Identifier: MIT
"""Receive a webhook, and verify that it is genuine.

    python3 examples/webhooks_receiver.py

OpenAI cannot reach your computer, so here the local server sends the event.  It prints:

    response.completed: test_...
"""
import http.server
import threading

from local_server import LocalServer
from openai_lite import OpenAI


class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))  # as it came: it is signed
        try:
            event = client.webhooks.unwrap(body, self.headers)
            if event.type == "response.completed":
                print(f"{event.type}: {event.data.id}")
            self.send_response_only(204)
            self.end_headers()
        except ValueError:  # InvalidWebhookSignatureError, or a header is missing
            self.send_error(400)


with LocalServer() as api, http.server.HTTPServer(("127.0.0.1", 0), Receiver) as server:
    threading.Thread(target=server.handle_request).start()
    client = OpenAI(api_key="sk-local", base_url=api.url)
    url = f"http://127.0.0.1:{server.server_port}/"
    hook = client.webhooks.create(name="mine", url=url, event_types=["response.completed"])
    client.webhook_secret = hook.signing_secret  # or OPENAI_WEBHOOK_SECRET: keep it
    client.webhooks.test(hook.id, event_type="response.completed")
