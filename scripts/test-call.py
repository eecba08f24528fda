#!/usr/bin/env python3
"""Proves that a running phonesocket works, from the outside and with nothing but Python 3.

It checks health and registration, places a call, speaks a WAV into the call
(port 8086), records what the other side says (port 8087) into a WAV, hangs up
and prints a verdict. Exit code 0 means that all of it worked.

    scripts/test-call.py --to +493012345678
    scripts/test-call.py --to 100 --echo            # the callee returns the sound: compare it
    scripts/test-call.py --to 100 --say hello.wav --record heard.wav

The token, if the gateway wants one, comes from --token or from API_TOKEN.
"""

import argparse
import array
import base64
import hashlib
import json
import math
import os
import socket
import struct
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import wave

RATE = 16000
FRAME = RATE // 50 * 2  # bytes in 20 ms of 16 bit samples
STEP = 64  # samples over which loudness is taken


class Failure(Exception):
    """One thing that did not work, told with its cause and its cure."""


# ---------------------------------------------------------------- REST


class Api:
    def __init__(self, base, token):
        self.base = base.rstrip("/")
        self.token = token

    def call(self, method, path, body=None):
        request = urllib.request.Request(self.base + path, method=method)
        request.add_header("Accept", "application/json")
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                raw = response.read()
                return response.status, json.loads(raw) if raw else {}
        except urllib.error.HTTPError as error:
            raw = error.read()
            try:
                return error.code, json.loads(raw)
            except ValueError:
                return error.code, {"detail": raw.decode("utf-8", "replace")[:200]}
        except (urllib.error.URLError, OSError) as error:
            reason = getattr(error, "reason", error)
            raise Failure(
                f"{self.base} does not answer ({reason}): is the gateway running? "
                "docker compose ps, docker compose logs phonesocket"
            ) from None


def explain(status, problem):
    """One line for a problem document (RFC 9457)."""
    text = problem.get("detail") or problem.get("title") or "no explanation"
    code = problem.get("code")
    line = f"HTTP {status}: {text}" + (f" [{code}]" if code else "")
    if status == 401:
        line += " (give the token with --token or in API_TOKEN)"
    return line


# ---------------------------------------------------------------- WebSocket (RFC 6455, client side)


class WebSocket:
    def __init__(self, url, token):
        parts = urllib.parse.urlsplit(url)
        if parts.scheme != "ws":
            raise Failure(f"{url}: this script speaks plain ws:// only")
        port = parts.port or 80
        try:
            self.sock = socket.create_connection((parts.hostname, port), timeout=10)
        except OSError as error:
            raise Failure(f"cannot connect to {parts.hostname}:{port} ({error}): is the port published?") from None
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.lock = threading.Lock()
        self._handshake(parts, url, token)
        self.sock.settimeout(None)

    def _handshake(self, parts, url, token):
        key = base64.b64encode(os.urandom(16)).decode()
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        lines = [
            f"GET {target} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {key}",
            "Sec-WebSocket-Version: 13",
        ]
        if token:
            lines.append("Authorization: Bearer " + token)
        self.sock.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        while b"\r\n\r\n" not in self.buffer:
            data = self.sock.recv(4096)
            if not data:
                raise Failure(f"{url}: connection closed during the handshake")
            self.buffer += data
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        status = head.split(b"\r\n", 1)[0].decode("latin-1")
        if " 101" not in status:
            raise Failure(f"{url}: {status} {self.buffer.decode('utf-8', 'replace')[:300]}")
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest())
        if accept not in head:
            raise Failure(f"{url}: the answer is not a WebSocket handshake")

    def send(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        if size < 126:
            head = struct.pack("!BB", 0x80 | opcode, 0x80 | size)
        elif size < 65536:
            head = struct.pack("!BBH", 0x80 | opcode, 0x80 | 126, size)
        else:
            head = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, size)
        repeated = (mask * (size // 4 + 1))[:size]
        masked = (int.from_bytes(payload, "big") ^ int.from_bytes(repeated, "big")).to_bytes(size, "big")
        with self.lock:
            self.sock.sendall(head + mask + masked)

    def _exactly(self, count):
        while len(self.buffer) < count:
            data = self.sock.recv(65536)
            if not data:
                raise ConnectionError("closed")
            self.buffer += data
        data, self.buffer = self.buffer[:count], self.buffer[count:]
        return data

    def receive(self):
        """The next message as (opcode, payload); pings are answered, None is the end."""
        message, kind = b"", 0
        while True:
            try:
                first, second = self._exactly(2)
                size = second & 127
                if size == 126:
                    (size,) = struct.unpack("!H", self._exactly(2))
                elif size == 127:
                    (size,) = struct.unpack("!Q", self._exactly(8))
                payload = self._exactly(size)
            except (ConnectionError, OSError):
                return None
            opcode = first & 15
            if opcode == 8:
                return None
            if opcode == 9:
                self.send(10, payload)
                continue
            if opcode == 10:
                continue
            kind = opcode or kind
            message += payload
            if first & 0x80:
                return kind, message

    def close(self):
        try:
            self.send(8, struct.pack("!H", 1000))
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.sock.close()


# ---------------------------------------------------------------- sound


def read_wav(path):
    try:
        with wave.open(path, "rb") as source:
            if source.getnchannels() != 1 or source.getsampwidth() != 2 or source.getframerate() not in (8000, 16000, 24000, 48000):
                raise Failure(
                    f"{path}: wanted 16 bit mono at 8, 16, 24 or 48 kHz, got {source.getsampwidth() * 8} bit, "
                    f"{source.getnchannels()} channels, {source.getframerate()} Hz (sox {path} -b 16 -c 1 -r 16000 out.wav)"
                )
            return samples(source.readframes(source.getnframes())), source.getframerate()
    except (OSError, wave.Error, EOFError) as error:
        raise Failure(f"cannot read {path}: {error}") from None


def samples(raw):
    out = array.array("h", raw[: len(raw) // 2 * 2])
    if sys.byteorder == "big":
        out.byteswap()
    return out


def raw_bytes(pcm):
    out = array.array("h", pcm)
    if sys.byteorder == "big":
        out.byteswap()
    return out.tobytes()


def test_sound(seconds=3.0):
    """A sound with the shape of speech: syllables of gliding tones, never the same twice."""
    out, phase = array.array("h"), 0.0
    for n in range(int(RATE * seconds)):
        t = n / RATE
        syllable = max(0.0, math.sin(2 * math.pi * 2.7 * t + math.sin(3.1 * t)))
        phase += 2 * math.pi * (420 + 260 * math.sin(1.9 * t) + 350 * t / seconds) / RATE
        out.append(int(9000 * syllable * (math.sin(phase) + 0.5 * math.sin(2.03 * phase))))
    return out


def level_db(pcm):
    if not pcm:
        return -120.0
    power = sum(v * v for v in pcm) / len(pcm)
    return 10 * math.log10(power / 32768**2) if power else -120.0


def envelope(pcm, step):
    return [sum(abs(v) for v in pcm[i : i + step]) / step for i in range(0, len(pcm) - step + 1, step)]


def correlate(a, b, lag):
    """Normalised correlation of a with b shifted by lag."""
    n = min(len(a), len(b) - lag)
    if n <= 0:
        return 0.0
    dot = ea = eb = 0.0
    for x, y in zip(a[:n], b[lag : lag + n]):
        dot += x * y
        ea += x * x
        eb += y * y
    return dot / math.sqrt(ea * eb) if ea and eb else 0.0


def echo_of(sent, heard):
    """How well heard contains sent, as (correlation, delay in ms).

    Half seconds are compared one by one, each where it fits best, and the worst one does
    not count: a machine that stood still for a moment puts a pause in, and a pause is
    not a different sound.
    """
    part = RATE // 2
    loudness = centred(envelope(heard, STEP))
    pieces = []
    for start in range(0, len(sent) - part + 1, part):
        piece = sent[start : start + part]
        weight = sum(v * v for v in piece)
        if weight < part * 100 * 100:
            continue  # silence tells nothing
        correlation, place = best_fit(piece, heard, loudness)
        pieces.append((correlation, weight, place - start))
    pieces = sorted(pieces)[1 if len(pieces) > 2 else 0 :]
    if not pieces:
        return 0.0, 0.0
    energy = sum(weight for _, weight, _ in pieces)
    delays = sorted(delay for _, _, delay in pieces)
    return sum(c * weight for c, weight, _ in pieces) / energy, delays[len(delays) // 2] * 1000.0 / RATE


def best_fit(piece, heard, loudness):
    """Where in heard the piece fits best: first by its loudness, then by its wave."""
    shape = centred(envelope(piece, STEP))
    places = range(0, max(1, len(loudness) - len(shape) + 1))
    likely = sorted(places, key=lambda at: correlate(shape, loudness, at), reverse=True)[:12]
    best = (-1.0, 0)
    for at in likely:
        for place in range(max(0, (at - 1) * STEP), (at + 1) * STEP + 1):
            best = max(best, (correlate(piece[::8], heard[place : place + len(piece) : 8], 0), place))
    place = best[1]
    return correlate(piece, heard[place : place + len(piece)], 0), place


def centred(values):
    mean = sum(values) / max(1, len(values))
    return [v - mean for v in values]


# ---------------------------------------------------------------- the test


class Listener(threading.Thread):
    """Collects what port 8087 says: audio, and texts by type."""

    def __init__(self, socket_):
        super().__init__(daemon=True)
        self.socket, self.audio, self.texts = socket_, bytearray(), []
        self.changed = threading.Condition()

    def run(self):
        while True:
            message = self.socket.receive()
            with self.changed:
                if message is None:
                    self.texts.append({"type": "closed"})
                elif message[0] == 2:
                    self.audio += message[1]
                else:
                    self.texts.append(json.loads(message[1]))
                self.changed.notify_all()
            if message is None:
                return

    def wait(self, wanted, seconds):
        """The first text whose type is wanted, or None when time is up."""
        deadline = time.monotonic() + seconds
        with self.changed:
            while True:
                for text in self.texts:
                    if text.get("type") in wanted:
                        return text
                left = deadline - time.monotonic()
                if left <= 0:
                    return None
                self.changed.wait(left)


class Report:
    def __init__(self):
        self.rows = []

    def ok(self, name, detail=""):
        self.rows.append({"check": name, "ok": True, "detail": detail})
        print(f"  ok    {name:<14} {detail}", flush=True)


def check_gateway(api, report, wait):
    status, body = api.call("GET", "/health")
    if status != 200:
        raise Failure("the gateway is not healthy: " + explain(status, body))
    report.ok("health", api.base)
    deadline = time.monotonic() + wait
    while True:
        status, body = api.call("GET", "/ready")
        if status == 200:
            break
        if status == 401 or time.monotonic() > deadline:
            raise Failure("the account is not registered: " + explain(status, body))
        time.sleep(0.5)
    status, body = api.call("GET", "/v1/registrations")
    if status != 200:
        raise Failure("cannot read the registrations: " + explain(status, body))
    rows = body.get("registrations", body) if isinstance(body, dict) else body
    report.ok("registration", ", ".join(f"{r.get('account', '?')} {r.get('state', '?')}" for r in rows))


def speak(socket_, pcm, rate):
    """Sends the sound faster than it is spoken, as a text-to-speech engine would."""
    raw = raw_bytes(pcm)
    for start in range(0, len(raw), FRAME * 5):
        socket_.send(2, raw[start : start + FRAME * 5])
    socket_.send(1, json.dumps({"type": "mark", "name": "spoken"}).encode())
    return len(raw) / 2 / rate


def save(path, pcm):
    with wave.open(path, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(raw_bytes(pcm))


def at_port(url, port):
    """The address with another port, where the gateway's ports are published under other numbers."""
    parts = urllib.parse.urlsplit(url)
    return url if not port else urllib.parse.urlunsplit(parts._replace(netloc=f"{parts.hostname}:{port}"))


def attach(api, call, url):
    """Connects to the call; where it has ended already, the call's own reason counts."""
    try:
        return WebSocket(url, api.token)
    except Failure:
        _, now = api.call("GET", "/v1/calls/" + call["id"])
        if now.get("status") in ("completed", "busy", "no-answer", "canceled", "failed"):
            raise ended(now) from None
        raise


def ended(what):
    return Failure(f"the call ended: {what.get('status')}, {what.get('reason')}; GET /v1/calls and the gateway's log tell more")


def run_call(api, options, report):
    pcm, rate = read_wav(options.say) if options.say else (test_sound(), RATE)
    status, call = api.call("POST", "/call", {"to": options.to, "ring_timeout_ms": options.ring * 1000})
    if status != 201:
        raise Failure(f"POST /call was refused: {explain(status, call)}")
    report.ok("call", f"{call['id']} to {options.to}")
    sockets = []
    try:
        ear = Listener(attach(api, call, at_port(call["listen_url"], options.listen_port)))
        sockets.append(ear.socket)
        ear.start()
        url = at_port(call["speak_url"], options.speak_port) + ("&" if "?" in call["speak_url"] else "?") + f"format=pcm16&rate={rate}"
        mouth = Listener(attach(api, call, url))
        sockets.append(mouth.socket)
        mouth.start()
        report.ok("sockets", "speak and listen are connected")
        converse(ear, mouth, (pcm, rate), options, report)
    finally:
        status, ended = api.call("DELETE", "/v1/calls/" + call["id"])
        for socket_ in sockets:
            socket_.close()
    if status not in (200, 202, 204):
        raise Failure(f"hanging up failed: {explain(status, ended)}")
    _, final = api.call("GET", "/v1/calls/" + call["id"])
    report.ok("hang-up", f"{final.get('status')}, {final.get('reason')}")
    heard = samples(bytes(ear.audio))
    save(options.record, heard)
    judge(pcm, rate, heard, options, report)


def converse(ear, mouth, sound, options, report):
    answer = ear.wait({"answered", "end", "closed"}, options.ring + 10)
    if answer is None or answer["type"] != "answered":
        raise Failure("nobody answered, and the call goes on ringing: the gateway's log tells more") if answer is None else ended(answer)
    report.ok("answered", "the other side picked up")
    seconds = speak(mouth.socket, *sound)
    spoken = mouth.wait({"mark", "end", "closed"}, seconds + 15)
    if spoken is None or spoken["type"] != "mark":
        raise Failure(f"the {seconds:.1f} s of audio were not spoken to their end: {spoken}")
    report.ok("spoken", f"{seconds:.1f} s")
    ended = ear.wait({"end", "closed"}, options.after)
    if ended and options.echo:
        raise Failure(f"the call ended too early: {ended}")


def judge(pcm, rate, heard, options, report):
    seconds = len(heard) / RATE
    if seconds < 0.5:
        raise Failure("no audio came back on 8087: RTP does not reach the gateway (firewall, or PUBLIC_IP is wrong)")
    loud = level_db(heard)
    report.ok("heard", f"{seconds:.1f} s, {loud:.0f} dBFS, saved to {options.record}")
    if loud < -70 and not options.silent:
        raise Failure("what came back is silence (use --silent if the callee says nothing)")
    if options.echo:
        if rate != RATE:
            raise Failure(f"--echo compares at {RATE} Hz: give a WAV of that rate")
        correlation, delay = echo_of(pcm, heard)
        if correlation < 0.9:
            raise Failure(f"what came back is not what was sent: correlation {correlation:.3f}, wanted 0.9")
        report.ok("echo", f"correlation {correlation:.3f}, {delay:.0f} ms into the recording")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--to", required=True, help="number to call (it will ring)")
    parser.add_argument("--api", default="http://127.0.0.1:8085", help="REST address (default %(default)s)")
    parser.add_argument("--token", default=os.environ.get("API_TOKEN", ""), help="API_TOKEN of the gateway")
    parser.add_argument("--speak-port", type=int, help="port of the speak socket, if it is published under another than the gateway says")
    parser.add_argument("--listen-port", type=int, help="the same for the listen socket")
    parser.add_argument("--say", help="WAV to speak, 16 bit mono (default: three seconds of test sound)")
    parser.add_argument("--record", default="test-call.wav", help="where to save what was heard (default %(default)s)")
    parser.add_argument("--ring", type=int, default=45, help="seconds to let it ring (default %(default)s)")
    parser.add_argument("--after", type=float, default=1.0, help="seconds to listen on after speaking (default %(default)s)")
    parser.add_argument("--wait", type=float, default=15.0, help="seconds to wait for the registration (default %(default)s)")
    parser.add_argument("--echo", action="store_true", help="the callee is an echo: compare what comes back")
    parser.add_argument("--silent", action="store_true", help="the callee says nothing: silence is fine")
    options = parser.parse_args()

    api, report = Api(options.api, options.token), Report()
    print("phonesocket test call")
    try:
        check_gateway(api, report, options.wait)
        run_call(api, options, report)
    except Failure as failure:
        print(f"  FAIL  {failure}")
        print("verdict: FAILED")
        return 1
    except KeyboardInterrupt:
        print("verdict: interrupted")
        return 130
    print("verdict: all of it works")
    return 0


if __name__ == "__main__":
    sys.exit(main())
