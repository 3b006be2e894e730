# SPDX-License-Identifier: MIT
"""An event handler that prints the answer of an assistant as it comes; then what the run came to.

    python3 -W ignore examples/assistants.py        (the Assistants API is deprecated, and says so)

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    Some people put blue before blue. When blue stands, blue takes time too.
    [completed, 1 message]
"""
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.dirname(HERE), HERE]  # run from a checkout, with nothing installed
import openai_lite as openai  # noqa: E402
from local_server import LocalServer  # noqa: E402


class Printer(openai.AssistantEventHandler):
    def on_text_delta(self, delta: openai.TextDelta, snapshot: openai.MessageText) -> None:
        print(delta.value, end="", flush=True)


def ask(client: openai.OpenAI) -> None:
    assistant = client.beta.assistants.create(model="gpt-4o-mini", instructions="Be brief.")
    with client.beta.threads.create_and_run_stream(
        assistant_id=assistant.id, event_handler=Printer(),
        thread={"messages": [{"role": "user", "content": "Why is the sky blue?"}]},
    ) as handler:
        messages, run = handler.get_final_messages(), handler.get_final_run()
    print(f"\n[{run.status}, {len(messages)} message]")
    client.beta.assistants.delete(assistant.id)


if os.environ.get("OPENAI_API_KEY"):
    ask(openai.OpenAI())
else:
    with LocalServer(pace=0.02) as server:
        ask(openai.OpenAI(api_key="sk-local", base_url=server.url))
