"""Login pages and their people, against a deployment whose ports are published on this machine's loopback.

    crowd.py GATEWAY_PORT PHONE_PORT [--rate 5] ...      keeps coming until SIGTERM, SIGINT or --seconds, then judges
    crowd.py GATEWAY_PORT PHONE_PORT --once OPENID       one login, of this person; prints what the phone is told
    crowd.py --self-test                                 shows the judge histories that must not pass

Every page behaves as crates/login_page/page/widget.v1.js does and belongs to somebody new with a phone, the simulator's. Prints
"running" after the first login, and one line of JSON last. The exit code is 0 only if no login failed: each page heard
of exactly one login, after its person's scan, and no phone was told otherwise. Standard library only.
"""

import argparse
import asyncio
import base64
import collections
import json
import os
import random
import secrets
import signal
import struct
import sys
import time

SILENCE = 40  # seconds; these four as in widget.v1.js
FIRST_RETRY, LONGEST_RETRY = 3, 30
UNATTENDED_RENEWALS = 3
PATIENCE = 60  # seconds for one scan, of which WeChat's tries take 15, and for what is under way at the end
GOODBYE = 2  # seconds for what follows a login: the close, and nothing else

# What callback-service's default texts mean (callback-service/src/texts.rs), and of those what says that nothing was
# recorded. "nothing" is WeChat's own line, or a phone without an answer.
WORDS = {
    "登录成功": "yes", "欢迎回来": "yes", "再试一次": "try again", "看一下网页": "look",
    "已过期": "expired", "已经被使用过": "taken", "已取消": "denied",
}
NO = {"try again", "expired", "taken", "denied"}
# How connections fail, or answer nothing in time.
LOST = (OSError, EOFError, asyncio.TimeoutError)
# Seconds until the person scans the same code again; after "look", if the page has not done anything.
AGAIN = {"try again": 1, "nothing": 1, "look": 10}


def judge(history, nickname, first_code=False, no_refused=False):
    """What was wrong with a login, given its events: (time, what, about)."""
    found, codes, scans, grants = [], [], [], []
    for _, what, about in history:
        if what == "shows" and about not in codes[-1:]:
            codes.append(about)
        elif what == "scans":
            scans.append([about, "nothing"])
        elif what == "told":
            scans[-1][1] = about
        elif what == "granted":
            grants.append((codes[-1] if codes else None, list(scans)))
            if about not in ("", nickname):
                found.append(f"the page was granted to {about!r}")
        elif what == "broke" or (what == "refused" and no_refused):
            found.append(f"{what}: {about}")
    if len(grants) != 1:
        found.append(f"the page heard of {len(grants)} logins")
    for code, before in grants[:1]:
        answers = [words for scanned, words in before if scanned == code]
        if not answers:
            found.append("the page was granted a code that nobody had scanned")
        elif NO.issuperset(answers):
            found.append(f"the page was granted what the phone was told is not recorded: {answers}")
    for code, words in scans:
        if words == "yes" and code not in [granted for granted, _ in grants]:
            found.append("the phone was told of a login that the page never heard of")
        if words == "taken" or words not in {"nothing", *WORDS.values()}:
            found.append(f"the phone was told: {words}")
    if first_code and len(codes) != 1:
        found.append(f"the page had {len(codes)} codes")
    return found


def sum_up(histories):
    """Counts, and the seconds from a person's first scan to the page."""
    counts, delays = collections.Counter(), []
    for history in histories:
        at = {what: at for at, what, _ in reversed(history)}  # the first of each
        of = collections.Counter(what for _, what, _ in history)
        codes = len({about for _, what, about in history if what == "shows"})
        counts["on_first_code"] += codes == 1 and of["granted"] == 1
        counts["renewed_codes"] += max(0, codes - 1)
        counts["reconnects"] += max(0, of["connected"] - 1)
        counts["refused"] += of["refused"]
        counts["phone_retries"] += max(0, of["scans"] - 1)
        if "scans" in at and "granted" in at:
            delays.append(round(at["granted"] - at["scans"], 3))
    delays.sort()
    # The nearest rank: of a hundred, the ninety-ninth.
    spread = {name: delays[-(-len(delays) * part // 100) - 1] if delays else None
              for name, part in (("median", 50), ("p99", 99), ("max", 100))}
    return {"logins": len(histories), **counts, "delay": spread}


class Closed(Exception):
    """A connection was closed, with a code."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Socket:
    """A page's WebSocket."""

    @classmethod
    async def open(cls, port, subprotocols):
        """Connects, or says with ConnectionError how that failed."""
        self = cls()
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            key = base64.b64encode(os.urandom(16)).decode()
            self.writer.write(
                f"GET /ws HTTP/1.1\r\nHost: localhost:{port}\r\nOrigin: http://localhost:{port}\r\n"
                "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                f"Sec-WebSocket-Protocol: {', '.join(subprotocols)}\r\n\r\n".encode()
            )
            head = await self.reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 101 "):
                raise ConnectionError(head.split(b"\r\n")[0].decode())
        except BaseException:
            self.close()
            raise
        return self

    def close(self):
        self.writer.close()

    def send(self, opcode, data):
        """A frame of less than 126 bytes; a client's are masked, and four zeros are a mask (RFC 6455, 5.3)."""
        self.writer.write(bytes([0x80 | opcode, 0x80 | len(data), 0, 0, 0, 0]) + data)

    async def message(self):
        while True:
            first, length = await self.reader.readexactly(2)
            if length == 126:
                (length,) = struct.unpack("!H", await self.reader.readexactly(2))
            elif length == 127:
                (length,) = struct.unpack("!Q", await self.reader.readexactly(8))
            data = await self.reader.readexactly(length)
            if first == 0x81:
                return json.loads(data)
            if first == 0x88:
                self.send(8, data[:2])
                raise Closed(struct.unpack("!H", data[:2])[0] if data else 1005)
            if first == 0x89:
                self.send(10, data)
            elif first != 0x8A:
                raise ValueError(f"a frame that begins with {first:#x}")


async def http(port, path, body=None):
    """The status and body of an answer; HTTP/1.0, whose answers end with the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        head = f"HTTP/1.0\r\nHost: localhost:{port}\r\n"
        if body is None:
            writer.write(f"GET {path} {head}\r\n".encode())
        else:
            data = json.dumps(body).encode()
            writer.write(f"POST {path} {head}Content-Length: {len(data)}\r\n\r\n".encode() + data)
        head, _, data = (await reader.read()).partition(b"\r\n\r\n")
        if not head:
            raise EOFError("no answer")
        return int(head.split()[1]), data
    finally:
        writer.close()


def name(content):
    """What tells a code from others in a history: of a URL, its end."""
    return content.rpartition("/")[2]


class Login:
    """A page, and the person before it."""

    def __init__(self, options, openid, nickname, seed):
        self.options, self.openid, self.nickname = options, openid, nickname
        self.random = random.Random(seed)
        self.history = []
        self.codes = asyncio.Queue()  # what the page shows, for the person; None when it is over
        self.known = False  # whether the simulator knows the person
        self.shown, self.reply = None, None  # the last code's message, and the phone's words
        # As in widget.v1.js:
        self.over, self.key, self.failures, self.renewals, self.tries_at = False, None, 0, 0, 0

    def record(self, what, about=""):
        self.history.append((time.monotonic(), what, about))

    async def run(self):
        try:
            await asyncio.gather(self.page(), self.person())
        except Exception as error:  # a bug, here or there: the judge must hear of it
            self.record("broke", repr(error))

    async def page(self):
        try:
            back_in = 0
            while back_in is not None:
                await asyncio.sleep(back_in)
                back_in = await self.connection()
        finally:
            self.codes.put_nowait(None)

    async def connection(self):
        """One connection; returns after how long the page comes back, or None."""
        self.tries_at = 0
        subprotocols = ["saoma.v1"] + ([f"resume.{self.key}"] if self.key else [])
        try:
            socket = await asyncio.wait_for(Socket.open(self.options.gateway, subprotocols), SILENCE)
        except LOST as error:
            self.record("refused", "no answer" if isinstance(error, (EOFError, asyncio.TimeoutError)) else str(error))
            return self.back_off()
        self.record("connected", "again" if self.key else "anew")
        try:
            while True:
                message = await asyncio.wait_for(socket.message(), GOODBYE if self.over else SILENCE)
                self.receive(socket, message)
        except Closed as closed:
            code = closed.code
        except LOST:
            code = 1006
        finally:
            socket.close()
        back_in = self.comes_back_in(code)
        self.record("closed", str(code) if back_in is None else f"{code}, back in {back_in:.1f} s")
        return back_in

    def comes_back_in(self, code):
        if self.over or code in (1002, 1007, 1008, 1009, 4002, 4010):
            return None
        if code == 4001:
            return self.random.random() * FIRST_RETRY if self.renews() else None
        told = max(0, self.tries_at - time.monotonic()) if code in (1013, 4008) else 0
        return told + self.back_off()

    def back_off(self):
        self.failures += 1
        return self.random.random() * min(FIRST_RETRY * 2 ** (self.failures - 1), LONGEST_RETRY)

    def renews(self):
        self.key = None
        self.renewals += 1
        self.over = self.renewals > UNATTENDED_RENEWALS
        return not self.over

    def receive(self, socket, message):
        kind = message["message_type"]
        if kind == "qrcode_url":
            self.key, self.failures, self.tries_at = message["resume"], 0, 0
            if message["expires_in"] > 0:  # else it has ended, and how comes next
                self.record("shows", name(message["content"]))
                if self.shown is None or self.shown["content"] != message["content"]:
                    self.codes.put_nowait(message["content"])
                self.shown = message
        elif kind == "scanned":
            self.renewals = 0
            self.record("scanned")
        elif kind == "error":
            self.tries_at = time.monotonic() + message.get("retry_in", 0) / 1000
            self.record("error", f"{message['code']}, again in {message.get('retry_in')} ms")
        elif kind == "scan_success":
            self.record("granted", message.get("user") or "")
            self.over = True
        elif kind == "denied":
            self.record("denied")
            self.over = True
        elif kind == "expired":
            self.record("expired")
            if self.renews():
                socket.send(1, b'{"message_type":"refresh"}')

    async def person(self):
        while True:
            code = await self.codes.get()
            if code is None:
                return
            await asyncio.sleep(self.options.scan_after)
            while self.codes.empty():
                words = await self.scan(code)
                if words not in AGAIN:
                    break
                again = time.monotonic() + AGAIN[words]
                while self.codes.empty() and time.monotonic() < again:
                    await asyncio.sleep(0.1)

    async def scan(self, code):
        self.record("scans", name(code))
        words = "nothing"
        try:
            words = await asyncio.wait_for(self.on_the_phone(code), PATIENCE)
        except LOST as error:
            self.record("phone", repr(error))
        self.record("told", words)
        return words

    async def on_the_phone(self, code):
        if not self.known:
            person = {"openid": self.openid, "nickname": self.nickname}
            status, data = await http(self.options.phone, "/phone/people", person)
            if status != 200:
                raise ValueError(f"the phone knows nobody new: {status} {data!r}")
            self.known = True
        status, data = await http(self.options.phone, "/phone/scan", {"openid": self.openid, "text": code})
        answer = json.loads(data)
        if status == 503:
            return "nothing"
        if status != 200:  # WeChat itself told the person
            return "expired" if answer["error"] == "expired_code" else answer["error"]
        self.reply = answer["reply"]
        if self.reply is None:
            return "nothing"
        return next((meaning for words, meaning in WORDS.items() if words in self.reply), self.reply)


async def once(options):
    """One login, of a certain person; the code's text and WeChat's picture of it are what a browser here can open."""
    login = Login(options, options.once, "once", options.seed)
    await asyncio.wait_for(login.run(), PATIENCE)
    found = judge(login.history, login.nickname, first_code=True, no_refused=True)
    for wanted in ("scanned", ""), ("closed", "4010"):
        if wanted not in [event[1:] for event in login.history]:
            found.append(f"the page never heard {' '.join(wanted)}")
    for url in (login.shown["content"], login.shown["url"]) if login.shown else ():
        place, slash, path = url.partition(f":{options.phone}/")
        here = slash and place in ("http://localhost", "http://127.0.0.1")
        if not here or (await http(options.phone, f"/{path}"))[0] != 200:
            found.append(f"a browser on this machine cannot open {url}")
    for words in found or [login.reply]:
        print(words)
    return not found


async def crowd(options):
    """Logins until it is told to stop."""
    stop = asyncio.Event()
    for number in signal.SIGTERM, signal.SIGINT:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    run = secrets.token_hex(8)  # so that the people of every run are new
    began, logins, tasks = time.monotonic(), [], []

    async def log_in(login):
        await login.run()
        if not any(other.done() for other in tasks):
            print("running", flush=True)

    while not stop.is_set() and (options.seconds is None or time.monotonic() - began < options.seconds):
        number = len(logins)
        login = Login(options, f"o{run}{number:011}", f"person {number}", f"{options.seed} {number}")
        logins.append(login)
        tasks.append(asyncio.ensure_future(log_in(login)))
        try:
            await asyncio.wait_for(stop.wait(), max(0, began + len(logins) / options.rate - time.monotonic()))
        except asyncio.TimeoutError:
            pass
    _, late = await asyncio.wait(tasks, timeout=PATIENCE)
    for task in late:
        task.cancel()
    failed = 0
    for number, login in enumerate(logins):
        found = judge(login.history, login.nickname, options.first_code, options.no_refused)
        if found:
            failed += 1
            life = " · ".join(f"{at - began:.2f} {what} {about}".strip() for at, what, about in login.history)
            print(f"login {number}: {'; '.join(found)}. Its life: {life}")
    print(json.dumps({"seed": options.seed, "failed": failed, **sum_up([login.history for login in logins])}))
    return not failed


def self_test():
    """Histories that must not pass, and what the judge must find in them; then some that must."""
    shows, scans, yes, granted = ("shows", "A"), ("scans", "A"), ("told", "yes"), ("granted", "Li")
    bad = [
        ("nobody had scanned", [shows, granted, scans, yes]),
        ("nobody had scanned", [shows, scans, ("shows", "B"), granted]),
        ("nobody had scanned", [granted]),
        ("2 logins", [shows, scans, granted, yes, granted]),
        ("never heard of", [shows, scans, yes]),
        ("never heard of", [shows, scans, yes, ("shows", "B"), ("scans", "B"), granted, yes]),
        ("0 logins", [shows, scans, ("told", "nothing"), ("closed", "1006")]),
        ("0 logins", [shows, scans]),
        ("0 logins", []),
        ("not recorded", [shows, scans, ("told", "try again"), granted]),
        ("not recorded", [shows, scans, granted, ("told", "try again")]),
        ("told: taken", [shows, scans, ("told", "taken"), ("shows", "B"), ("scans", "B"), granted, yes]),
        ("told: 您好", [shows, scans, granted, ("told", "您好")]),
        ("granted to 'Wu'", [shows, scans, ("granted", "Wu"), yes]),
        ("broke", [shows, scans, granted, yes, ("broke", "KeyError")]),
        ("had 2 codes", [shows, ("expired", ""), ("shows", "B"), ("scans", "B"), granted, yes]),
        ("refused", [("refused", "HTTP/1.1 502"), shows, scans, granted, yes]),
    ]
    strictly = {"first_code": True, "no_refused": True}
    for words, events in bad:
        found = judge([(0, *event) for event in events], "Li", **strictly)
        assert any(words in one for one in found), (words, events, found)
    good = [
        [shows, scans, granted, yes],
        [shows, scans, yes, shows, granted],
        [shows, scans, ("told", "nothing"), granted],
        [shows, scans, ("told", "try again"), scans, ("granted", ""), ("told", "look")],
    ]
    for events in good:
        assert not judge([(0, *event) for event in events], "Li", **strictly), events
    unanswered = [("refused", ""), shows, scans, ("expired", ""), ("shows", "B"), scans, ("told", "expired")]
    loosely = [(0, *event) for event in [*unanswered, ("scans", "B"), granted, yes]]
    assert not judge(loosely, "Li")
    slow, quick = ([(0, *shows), (1, *scans), (1.2, *scans), (end, *granted), (9, *yes)] for end in (4, 1.5))
    summary = sum_up([slow] * 2 + [quick] * 98 + [loosely[:-2]])
    assert summary["delay"] == {"median": 0.5, "p99": 3, "max": 3}, summary
    counts = [summary[name] for name in ("logins", "on_first_code", "renewed_codes", "refused", "phone_retries")]
    assert counts == [101, 100, 1, 1, 102], summary
    print(f"the judge finds what is wrong in {len(bad)} histories, and nothing in {len(good) + 1}")


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("gateway", type=int, nargs="?", help="port of the login page")
    parser.add_argument("phone", type=int, nargs="?", help="port of the simulator")
    parser.add_argument("--rate", type=float, default=5, help="new pages a second")
    parser.add_argument("--scan-after", type=float, default=1, help="seconds that a person looks at a code")
    parser.add_argument("--seconds", type=float, help="how long pages come, where no signal ends it")
    parser.add_argument("--seed", type=int, default=secrets.randbits(32), help="decides when pages come back")
    parser.add_argument("--first-code", action="store_true", help="every login must end on its first code")
    parser.add_argument("--no-refused", action="store_true", help="no connection may be refused")
    parser.add_argument("--once", metavar="OPENID", help="one login")
    parser.add_argument("--self-test", action="store_true", help="test the judge")
    options = parser.parse_args()
    if options.self_test:
        return self_test()
    if options.phone is None:
        parser.error("give the ports of the login page and of the phone")
    if options.rate <= 0:
        parser.error("--rate must be more than 0")
    sys.exit(0 if asyncio.run((once if options.once else crowd)(options)) else 1)


main()
