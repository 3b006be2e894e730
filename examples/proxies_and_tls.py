# SPDX-License-Identifier: MIT
"""Through a proxy, and with TLS settings of your own.

    python3 examples/proxies_and_tls.py

With OPENAI_API_KEY set it calls the API, else the local server that lies beside it; both through a
small proxy of its own.  It prints:

    the proxy got POST http://127.0.0.1:.../v1/responses HTTP/1.1
    the proxy got Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=
    completed
"""
import socket
import ssl
import threading
from urllib.parse import urlsplit

from local_server import stand_in
from openai_lite import DefaultHttpxClient, OpenAI


def pump(source: socket.socket, target: socket.socket) -> None:
    for data in iter(lambda: source.recv(65536), b""):
        target.sendall(data)


def be_a_proxy(listener: socket.socket) -> None:
    """Serve one connection: of http pass on what comes, of https what follows a CONNECT."""
    conn = listener.accept()[0]
    head = conn.recv(65536)
    for line in head.decode("latin-1").split("\r\n"):
        if line.startswith(("POST", "CONNECT", "Proxy-Authorization")):
            print("the proxy got", line)
    url = urlsplit(OpenAI().base_url)
    server = socket.create_connection((url.hostname or "", url.port or 443))
    if head.startswith(b"CONNECT"):
        conn.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")  # encrypted is what comes now
    else:
        server.sendall(head)
    threading.Thread(target=pump, args=(server, conn), daemon=True).start()
    pump(conn, server)


stand_in()
listener = socket.socket()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
threading.Thread(target=be_a_proxy, args=(listener,), daemon=True).start()

tls = ssl.create_default_context()  # or (cafile="company-ca.pem"), or verify="company-ca.pem"
tls.minimum_version = ssl.TLSVersion.TLSv1_2
proxy = f"http://user:secret@127.0.0.1:{listener.getsockname()[1]}"  # or HTTPS_PROXY, NO_PROXY
transport = DefaultHttpxClient(proxy=proxy, verify=tls)  # and cert=("client.pem", "client.key")
with OpenAI(http_client=transport) as client:
    print(client.responses.create(model="gpt-4o-mini", input="Say hello.").status)
