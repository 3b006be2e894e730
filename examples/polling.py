# SPDX-License-Identifier: MIT
"""Put a file into a vector store, wait until it can be searched, and search it.

    python3 examples/polling.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    file-... is completed
    animals.txt: Whales sing, and are heard far away.
"""
import sys

from local_server import stand_in
from openai_lite import OpenAI

TEXT = b"Cats purr.\n\nWhales sing, and are heard far away.\n\nDogs bark."

stand_in()
with OpenAI() as client:
    store = client.vector_stores.create(name="animals")
    try:
        # Asks as often as the server suggests, or every `poll_interval_ms`.
        file = client.vector_stores.files.upload_and_poll(
            vector_store_id=store.id, file=("animals.txt", TEXT), max_wait_seconds=300
        )
        print(file.id, "is", file.status)
        found = client.vector_stores.search(store.id, query="Which ones sing?", max_num_results=1)
        for passage in found:
            print(f"{passage.filename}: {passage.content[0].text.strip()}")
        client.files.delete(file.id)
    except TimeoutError as err:
        sys.exit(f"gave up: {err}")
    finally:
        client.vector_stores.delete(store.id)
