# SPDX-License-Identifier: MIT
"""Draw a picture and read a text aloud, both into files in the current folder.

    python3 examples/images_and_speech.py

With OPENAI_API_KEY set it talks to the API, otherwise to a local server, where it prints:

    no OPENAI_API_KEY: calling a local server, which makes up its answers
    wrote whale.png
    speech.mp3: 1281 bytes of 1281
    wrote speech.mp3
"""

from typing import Optional

from local_server import client_or_local


def show(done: int, total: Optional[int]) -> None:  # no total: it is made as it is sent
    print(f"\rspeech.mp3: {done} bytes " + (f"of {total}" if total else "so far"), end="")


with client_or_local() as client:
    images = client.images.generate(model="gpt-image-1", prompt="A whale that sings", size="auto")
    for image in images.data or []:
        image.write_to_file("whale.png")
        print("wrote whale.png")
    speech = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Whales sing.", progress=show
    )
    speech.write_to_file("speech.mp3")
    print("\nwrote speech.mp3")
