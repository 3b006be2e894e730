# SPDX-License-Identifier: MIT
"""Draw a picture and read a text aloud, into files in the current folder; then write it down.

    python3 examples/images_and_speech.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it, and prints:

    wrote whale.png
    speech.mp3: ... bytes of 1697
    wrote speech.mp3
    it says: Whales sing.
"""
import pathlib
from typing import Optional

from local_server import stand_in
from openai_lite import OpenAI


def show(done: int, total: Optional[int]) -> None:  # no total: it is made as it is sent
    print(f"speech.mp3: {done} bytes " + (f"of {total}" if total else "so far"), end="\r")


stand_in()
with OpenAI() as client:
    images = client.images.generate(model="gpt-image-1", prompt="A whale that sings", size="auto")
    for image in images.data or []:
        image.write_to_file("whale.png")
        print("wrote whale.png")
    speech = client.audio.speech.create(
        model="gpt-4o-mini-tts", voice="alloy", input="Whales sing.", progress=show
    )
    speech.write_to_file("speech.mp3")
    print("\nwrote speech.mp3")
    heard = client.audio.transcriptions.create(model="whisper-1", file=pathlib.Path("speech.mp3"))
    print("it says:", heard.text)
