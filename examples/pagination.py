# SPDX-License-Identifier: MIT
"""Lists that come in pages: iterate over all items, or go page by page.

    python3 examples/pagination.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    all: ['note-0.txt', 'note-1.txt', 'note-2.txt', 'note-3.txt', 'note-4.txt']
    newest three: ['note-4.txt', 'note-3.txt', 'note-2.txt']
    page one: ['note-4.txt', 'note-3.txt']
    page two: ['note-2.txt', 'note-1.txt']
    after the third: ['note-3.txt', 'note-4.txt']
    with asyncio: 5 files
"""
import asyncio
import itertools

from local_server import stand_in
from openai_lite import AsyncOpenAI, OpenAI

async def count_files() -> int:
    async with AsyncOpenAI() as client:
        return len([file async for file in client.files.list(limit=2, purpose="user_data")])


stand_in()
client = OpenAI()
ids = [
    client.files.create(file=(f"note-{number}.txt", b"a note"), purpose="user_data").id
    for number in range(5)
]

# `limit` is the size of a page, not of the list: the pages that follow are fetched as needed.
files = client.files.list(limit=2, purpose="user_data", order="asc")
print("all:", [file.filename for file in files if file.id in ids])

# Who stops early does not cause requests for what comes after.
newest = client.files.list(limit=2, purpose="user_data")
print("newest three:", [file.filename for file in itertools.islice(newest, 3)])

page = client.files.list(limit=2, purpose="user_data")
print("page one:", [file.filename for file in page.data])
if page.has_next_page():
    print("page two:", [file.filename for file in page.get_next_page().data])

# A page can also be asked for by the item before it: this is how to go on after a restart.
after = client.files.list(limit=2, purpose="user_data", order="asc", after=ids[2])
print("after the third:", [file.filename for file in after])

print("with asyncio:", asyncio.run(count_files()), "files")
for file_id in ids:
    client.files.delete(file_id)
