# SPDX-License-Identifier: MIT
"""An event handler that prints the answer of an assistant as it comes; then a run that is polled.

    python3 examples/assistants.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    Some people put blue before blue. When blue stands, blue takes time too.
    [completed, 1 message]
    When sunset pays off, sunset takes time too. Some people find that sunset waits.
"""
import warnings
from local_server import stand_in
import openai_lite as openai


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
    thread_id, question = run.thread_id, "And the sunset?"
    client.beta.threads.messages.create(thread_id, role="user", content=question)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread_id, assistant_id=assistant.id)
    (message,) = client.beta.threads.messages.list(thread_id, run_id=run.id)
    print("".join(block.text.value for block in message.content if block.type == "text"))
    client.beta.assistants.delete(assistant.id)


warnings.simplefilter("ignore", DeprecationWarning)  # the API is deprecated, and says so
stand_in()
ask(openai.OpenAI())
