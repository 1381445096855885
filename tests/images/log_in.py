"""Logs a page in as a browser on this machine would: python3 log_in.py GATEWAY_PORT PHONE_PORT OPENID.

The page speaks the gateway's WebSocket, the phone is the simulator's. Prints what the phone is told. Standard library only.
"""

import base64
import json
import os
import socket
import struct
import sys
import urllib.request

PATIENCE = 30  # seconds; nothing here takes as long


class Page:
    """A page's connection: it reads, and answers nothing, which the gateway bears for longer than a login takes."""

    def __init__(self, port):
        self.stream = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE).makefile("rwb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.stream.write(
            f"GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
            "Sec-WebSocket-Protocol: saoma.v1\r\n\r\n".encode()
        )
        self.stream.flush()
        status = self.stream.readline()
        assert b" 101 " in status, status
        while self.stream.readline() != b"\r\n":
            pass

    def frame(self):
        """The next frame: its opcode and what it carries. A server's frames have no mask (RFC 6455, 5.1)."""
        first, length = self.stream.read(2)
        if length == 126:
            (length,) = struct.unpack("!H", self.stream.read(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.stream.read(8))
        return first & 0x0F, self.stream.read(length)

    def hear(self, wanted):
        """The next message, which must be of this type; after an `error` the gateway tries again by itself."""
        while True:
            opcode, data = self.frame()
            assert opcode != 8, f"closed with {data!r} instead of {wanted}"
            message = json.loads(data) if opcode == 1 else {"message_type": "heartbeat"}
            kind = message["message_type"]
            if kind == wanted:
                return message
            assert kind in ("heartbeat", "error"), message

    def closed(self):
        """The close code."""
        opcode, data = self.frame()
        assert opcode == 8, (opcode, data)
        return struct.unpack("!H", data[:2])[0]


def main():
    gateway, phone, openid = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    ours = f"http://localhost:{phone}/"
    page = Page(gateway)
    shown = page.hear("qrcode_url")
    # The code's text and WeChat's own picture must be what a browser on this machine can open.
    for url in (shown["content"], shown["url"]):
        assert url.startswith(ours), url
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
            assert answer.status == 200, url
    people = urllib.request.Request(f"{ours}phone/people", json.dumps({"openid": openid}).encode())
    urllib.request.urlopen(people, timeout=PATIENCE).close()
    scan = urllib.request.Request(
        f"{ours}phone/scan", json.dumps({"openid": openid, "text": shown["content"]}).encode()
    )
    with urllib.request.urlopen(scan, timeout=PATIENCE) as answer:
        delivery = json.load(answer)
    page.hear("scanned")
    page.hear("scan_success")
    assert page.closed() == 4010
    print(delivery["reply"])


main()
