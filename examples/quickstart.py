# SPDX-License-Identifier: MIT
"""The main things one does with the API, in a minute.

    python3 examples/quickstart.py

With OPENAI_API_KEY set it talks to the API (and costs a fraction of a cent); without one it starts
the local server that lies beside it, and says so.
"""

from __future__ import annotations

import json
import os
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]  # run from a checkout, with nothing installed

import openai_lite as openai  # noqa: E402
from openai_lite import OpenAI  # noqa: E402

CHAT_MODEL = "gpt-4o-mini"
EMBEDDING_MODEL = "text-embedding-3-small"


def ask(client: OpenAI) -> None:
    response = client.responses.create(
        model=CHAT_MODEL,
        instructions="Answer in one sentence.",
        input="Why is the sky blue?",
    )
    print(response.output_text)


def stream(client: OpenAI) -> None:
    chunks = client.chat.completions.create(
        model=CHAT_MODEL,
        messages=[{"role": "user", "content": "Count from one to five, in words."}],
        stream=True,
    )
    for chunk in chunks:
        if chunk.choices:
            print(chunk.choices[0].delta.content or "", end="", flush=True)
    print("" if chunks.completed else " [the stream was cut]")


def embed(client: OpenAI) -> None:
    texts = ["A cat sleeps on the sofa.", "On the sofa a cat is sleeping."]
    first, second = client.embeddings.create(model=EMBEDDING_MODEL, input=texts).data
    # The vectors have length 1, so that their dot product is the cosine of their angle.
    similarity = sum(a * b for a, b in zip(first.embedding, second.embedding))
    print(f"{len(first.embedding)} numbers each; similarity {similarity:.2f} of at most 1")


def upload_and_read_back(client: OpenAI) -> None:
    example = {
        "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
        ]
    }
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "training.jsonl")
        path.write_text((json.dumps(example) + "\n") * 10, encoding="utf-8")
        file = client.files.create(file=path, purpose="fine-tune")
        print(f"uploaded {file.filename} as {file.id}, {file.bytes} bytes")
        copy = pathlib.Path(folder, "copy.jsonl")
        client.files.content(file.id).write_to_file(copy)
        same = copy.read_bytes() == path.read_bytes()
        print("read back, and it is", "the same" if same else "different")
    client.files.delete(file.id)


def iterate_pages(client: OpenAI) -> None:
    uploaded = [
        client.files.create(file=(f"note-{i}.txt", b"a note"), purpose="user_data").id
        for i in range(5)
    ]
    page = client.files.list(limit=2, purpose="user_data")
    print(f"the first page has {len(page.data)} files; more: {page.has_next_page()}")
    found = [file.id for file in client.files.list(limit=2, purpose="user_data")]
    print(f"all pages together have {len(set(found) & set(uploaded))} of the 5 just uploaded")
    for file_id in uploaded:
        client.files.delete(file_id)


def handle_an_error(client: OpenAI) -> None:
    try:
        client.models.retrieve("no-such-model")
    except openai.NotFoundError as err:
        print(f"{type(err).__name__}, status {err.status_code}, request {err.request_id}")
    except openai.APIConnectionError as err:
        print("could not reach the server:", err)


def tour(client: OpenAI) -> None:
    for title, step in (
        ("Ask a question", ask),
        ("Stream an answer", stream),
        ("Embed two sentences", embed),
        ("Upload a file and read it back", upload_and_read_back),
        ("Iterate over pages", iterate_pages),
        ("Handle an error", handle_an_error),
    ):
        print(f"\n== {title}")
        step(client)


def main() -> None:
    if os.environ.get("OPENAI_API_KEY"):
        with OpenAI() as client:
            print(f"OPENAI_API_KEY is set: calling {client.base_url}")
            tour(client)
    else:
        from local_server import LocalServer

        with LocalServer(pace=0.02) as server:
            print("OPENAI_API_KEY is not set: calling a local server instead, which makes up its")
            print(f"answers.  It runs at {server.url} until this program ends.")
            with OpenAI(api_key="sk-local", base_url=server.url) as client:
                tour(client)


if __name__ == "__main__":
    try:
        main()
    except openai.OpenAIError as err:
        sys.exit(f"{type(err).__name__}: {err}")
