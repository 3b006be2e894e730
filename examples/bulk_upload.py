# SPDX-License-Identifier: MIT
"""Upload a folder into a vector store, five files at a time, and a large file in parts.

    python3 examples/bulk_upload.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    12 files: ... of 192 bytes
    12 files are in the store, 0 failed
    one file: ... of 300000 bytes
    upload_... is completed: log.txt
"""
import pathlib
import tempfile

from local_server import stand_in
from openai_lite import OpenAI

stand_in()
with OpenAI() as client, tempfile.TemporaryDirectory() as folder:
    paths = [pathlib.Path(folder, f"note-{i:02}.txt") for i in range(12)]
    for i, path in enumerate(paths):
        path.write_text(f"This is note {i:02}.")
    store = client.vector_stores.create(name="notes")
    batch = client.vector_stores.file_batches.upload_and_poll(  # or a BulkUploadError, see there
        store.id, files=paths, max_wait_seconds=300,
        progress=lambda done, total: print(f"12 files: {done} of {total} bytes", end="\r"),
    )
    counts = batch.file_counts
    print(f"\n{counts.completed} files are in the store, {counts.failed} failed")
    log = pathlib.Path(folder, "log.txt")
    log.write_bytes(b"all is well\n" * 25000)
    upload = client.uploads.upload_file_chunked(
        file=log, mime_type="text/plain", purpose="user_data", part_size=1 << 16,
        progress=lambda done, total: print(f"one file: {done} of {total} bytes", end="\r"),
    )
    print(f"\n{upload.id} is {upload.status}:", upload.file.filename if upload.file else None)
