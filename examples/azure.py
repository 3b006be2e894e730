# SPDX-License-Identifier: MIT
"""The same API at Microsoft Azure: a resource of yours, its deployments, keys or Entra tokens.

    python3 examples/azure.py

With AZURE_OPENAI_ENDPOINT and AZURE_OPENAI_API_KEY set it calls Azure (name a deployment of yours
in AZURE_DEPLOYMENT), else the local server that lies beside it, and prints:

    The URLs begin with http://127.0.0.1:.../openai/
    Let us begin with test. Most careful readers find that test waits. A few beginners find that...
    |In| short|:| Name| works|.| Most| peopl|e| put| colou|r| befor|e| Name|.| When| colou|r| ma...
    With a token: 10 models
"""
import atexit
import os

from local_server import LocalServer
from openai_lite import AzureOpenAI

if not os.environ.get("AZURE_OPENAI_ENDPOINT"):
    server = LocalServer().start()
    atexit.register(server.close)
    os.environ["AZURE_OPENAI_ENDPOINT"] = server.url[: -len("/v1")]
    os.environ["AZURE_OPENAI_API_KEY"] = "anything"
DEPLOYMENT = os.environ.get("AZURE_DEPLOYMENT", "gpt-4o-mini")

# Without azure_endpoint=... and api_key=... they come from the environment.
client = AzureOpenAI(api_version="2024-10-21")
print("The URLs begin with", client.base_url)

# `model` is the name of a deployment.  Chat completions, embeddings, images and audio have it in
# their path, /openai/deployments/NAME/chat/completions; responses and files have it not.
completion = client.chat.completions.create(
    model=DEPLOYMENT, messages=[{"role": "user", "content": "Say this is a test"}]
)
print(completion.choices[0].message.content)

for chunk in client.chat.completions.create(
    model=DEPLOYMENT, messages=[{"role": "user", "content": "Name a colour."}], stream=True
):
    # Azure begins with a chunk without choices, which tells what its content filters found.
    if chunk.choices:
        print(chunk.choices[0].delta.content or "", end="|", flush=True)
print()


def token() -> str:
    """Called before each request; get_bearer_token_provider() of azure-identity makes such one."""
    return "a-token-of-Microsoft-Entra-ID"


if "127.0.0.1" in client.base_url:
    with AzureOpenAI(api_version="2024-10-21", azure_ad_token_provider=token) as entra:
        print("With a token:", len(entra.models.list().data), "models")
