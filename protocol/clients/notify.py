#!/usr/bin/env python3
"""Sends one notice to Saoma's gateway and brings its answer back: see ../PROTOCOL.md. Python 3.8 or later, nothing else.

In a program, copy this file and call notify():

    answer = notify("127.0.0.1:9999", "shop", key, {"type": "scan", "id": "1", "scene": scene})

On a command line, with the key in the environment, where others on the machine cannot read it:

    NOTIFY_KEY=... python3 notify.py HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]

With CA.pem it speaks TLS: that authority must have signed the gateway's certificate for HOST. CERT.pem and KEY.pem are
the client's own. It prints the answer. Exit code 0: ok, delivered, stored or a pong; 1: any other status; 2: no answer,
with the reason on one line. The notice may have been recorded all the same: sending the same again is safe.
"""

import hashlib, hmac, json, os, socket, ssl, sys, time

WAIT = 5  # Seconds for everything: connecting, authentication and the answer.
MAX_FRAME = 65_536  # Bytes.


class NoAnswer(Exception):
    """The reason why there is no answer."""


def frame(message):
    body = json.dumps(message).encode()
    return len(body).to_bytes(4, "big") + body


def parse(text):
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        message = None
    if not isinstance(message, dict):
        raise NoAnswer("what should be one JSON object is none")
    return message


def messages(connection, deadline):
    """The gateway's messages, each one whole, however the network has cut them."""
    def read(count):
        data = b""
        while len(data) < count:
            connection.settimeout(max(deadline - time.monotonic(), 0.001))
            part = connection.recv(count - len(data))
            if not part:
                raise NoAnswer("the gateway closed the connection")
            data += part
        return data

    while True:
        length = int.from_bytes(read(4), "big")
        if not 1 <= length <= MAX_FRAME:
            raise NoAnswer(f"a frame of {length} bytes: is this the gateway's internal port?")
        message = parse(read(length))
        if message.get("type") == "error":
            raise NoAnswer(f"the gateway refused: {json.dumps(message)}")
        yield message


def notify(address, client, key, notice, tls=None):
    """Returns the answer, or the pong to a ping. `tls` is an ssl.SSLContext. Raises NoAnswer or OSError."""
    deadline = time.monotonic() + WAIT
    host, _, port = address.rpartition(":")
    host = host.strip("[]")
    connection = socket.create_connection((host, port), WAIT)
    connection.settimeout(max(deadline - time.monotonic(), 0.001))
    with tls.wrap_socket(connection, server_hostname=host) if tls else connection as connection:
        incoming = messages(connection, deadline)
        hello = next(incoming)
        challenge = hello.get("challenge")
        if hello.get("type") != "hello" or hello.get("version") != 1 or not isinstance(challenge, str):
            raise NoAnswer(f"no hello of version 1: {json.dumps(hello)}")
        # The key is the bytes of its text, without the line break of a file.
        proof = hmac.new(key.rstrip("\r\n").encode(), challenge.encode(), hashlib.sha256).hexdigest()
        connection.sendall(frame({"type": "auth", "client": client, "proof": proof}) + frame(notice))
        wanted = "pong" if notice.get("type") == "ping" else "answer"
        # Other messages are news, or of a later version.
        return next(message for message in incoming if message.get("type") == wanted)


# From here on: the command line.


def main(address, client, notice, ca=None, *identity):
    tls = ssl.create_default_context(cafile=ca) if ca else None
    if identity:
        tls.load_cert_chain(*identity)
    answer = notify(address, client, os.environ["NOTIFY_KEY"], parse(notice), tls)
    print(json.dumps(answer))
    return 0 if answer.get("status", "ok") in ("ok", "delivered", "stored") else 1


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5, 7) or not os.environ.get("NOTIFY_KEY"):
        problem = "usage: NOTIFY_KEY=... notify.py HOST:PORT CLIENT 'NOTICE AS JSON' [CA.pem [CERT.pem KEY.pem]]"
    else:
        try:
            sys.exit(main(*sys.argv[1:]))
        except TimeoutError:
            problem = f"no answer within {WAIT} s"
        except (NoAnswer, OSError, ValueError) as error:
            problem = error
    print(f"notify: {problem}", file=sys.stderr)
    sys.exit(2)
