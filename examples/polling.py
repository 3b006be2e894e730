# SPDX-License-Identifier: MIT
"""Put a file into a vector store, wait until it can be searched, and search it.

    python3 examples/polling.py

With OPENAI_API_KEY set it talks to the API, otherwise to a local server, where it prints:

    no OPENAI_API_KEY: calling a local server, which makes up its answers
    file-... is completed
    animals.txt: Whales sing, and are heard far away.
"""

import sys

from local_server import client_or_local

TEXT = b"Cats purr.\n\nWhales sing, and are heard far away.\n\nDogs bark."

with client_or_local() as client:
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
