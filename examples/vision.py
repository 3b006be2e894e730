# SPDX-License-Identifier: MIT
"""Show the model a picture: its bytes go along in the request, as a data URL.

    python3 examples/vision.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it (which has no
eyes, and makes something up), and prints:

    The picture: data:image/png;base64,iVBORw0KGgoA...
    The answer: Let us begin with colours. What part comes first for is Which. That is all there...
"""
import base64
import pathlib
import struct
import zlib

from local_server import stand_in
from openai_lite import OpenAI


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def red_and_blue(size: int) -> bytes:
    """A PNG, the left half of it red and the right half blue."""
    row = b"\0" + b"\xff\0\0" * (size // 2) + b"\0\0\xff" * (size // 2)
    header = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)  # 8 bits of red, green and blue
    parts = [(b"IHDR", header), (b"IDAT", zlib.compress(row * size)), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(png_chunk(kind, data) for kind, data in parts)


stand_in()
client = OpenAI()
picture = red_and_blue(64)  # or pathlib.Path("photo.png").read_bytes()
url = "data:image/png;base64," + base64.b64encode(picture).decode("ascii")
print("The picture:", url[:34] + "...")

response = client.responses.create(
    model="gpt-4o-mini",
    input=[{
        "role": "user",
        "content": [
            {"type": "input_text", "text": "Which two colours do you see?"},
            {"type": "input_image", "image_url": url, "detail": "low"},
        ],
    }],
)
print("The answer:", response.output_text)
