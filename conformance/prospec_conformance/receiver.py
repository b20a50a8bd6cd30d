"""A webhook receiver of the suite's: it answers as it was told to, and keeps what came, byte by byte.

It is open to whoever reaches it, so what one sender may take of it is bounded. Here live no checks and no signature.
"""

from __future__ import annotations

import json
import secrets
import socket
import struct
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

BODY_MAX_BYTES = 1 << 20
DRAIN_MAX_BYTES = 16 << 20
"""How much of a longer body is read, and forgotten: a sender that is cut off sees no answer."""
ARRIVALS_MAX = 100
"""Of one mailbox; what comes beyond is answered and forgotten."""
CONNECTIONS_MAX = 64
"""At once; one more is hung up on."""
SILENT_S = 10.0
"""How long a sender may be silent."""
REQUEST_MAX_S = 30.0
"""How long one may take for a body."""
SLOW_S = 15.0
"""Longer than a sender can be expected to wait."""
CHUNK_LINE_MAX_BYTES = 1024

Answer = int | Literal["redirect", "slow", "reset", "close-after-headers"]
"""A status, or: 302 to the mailbox `elsewhere`; no answer for `SLOW_S`; the connection reset; no end of the answer."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery."""

    at: float
    """Seconds since the epoch, by this machine's clock."""
    method: str
    headers: Mapping[str, str] = field(repr=False)
    """By lower-case name; what is sent twice is joined by a comma."""
    body: bytes = field(repr=False)
    is_whole: bool
    """Whether the body is all that was announced."""

    @property
    def json(self) -> Any:
        """The JSON value of the body; None where it is not JSON."""
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            return None

    def member(self, name: str) -> Any:
        """A member of the event; None where there is none."""
        value = self.json
        return value.get(name) if isinstance(value, dict) else None


class Mailbox:
    """One URL that nobody can guess, what it answers, and what came."""

    def __init__(self, url: str, answers: tuple[Answer, ...], elsewhere: Mailbox | None = None) -> None:
        self.url = url
        self.elsewhere = elsewhere
        """Where a redirect leads."""
        self._answers = answers
        """In this order; the last for all that follow."""
        self._arrivals: list[Arrival] = []
        self._came = threading.Condition()

    @property
    def arrivals(self) -> tuple[Arrival, ...]:
        with self._came:
            return tuple(self._arrivals)

    def wait(self, count: int = 1, timeout_s: float = 10.0) -> tuple[Arrival, ...]:
        """What has come, as soon as it is so many, or when the time is over."""
        with self._came:
            self._came.wait_for(lambda: len(self._arrivals) >= count, timeout_s)
            return tuple(self._arrivals)

    def take(self, arrival: Arrival) -> Answer:
        """Keeps a delivery; the answer to it."""
        with self._came:
            answer = self._answers[min(len(self._arrivals), len(self._answers) - 1)]
            if len(self._arrivals) < ARRIVALS_MAX:
                self._arrivals.append(arrival)
            self._came.notify_all()
        return answer


class Receiver:
    """A server on loopback. Through a tunnel of the user's it is reached under `public_url`."""

    def __init__(self, public_url: str | None = None, port: int = 0, *, is_open: bool = True) -> None:
        """One that is not open refuses every connection until `open`. Raises OSError when the port is taken."""
        self._mailboxes: dict[str, Mailbox] = {}
        self._server = _Server(("127.0.0.1", port), partial(_Handler, self._mailboxes), bind_and_activate=False)
        try:
            self._server.server_bind()
        except OSError:
            self._server.server_close()
            raise
        self._url = (public_url or f"http://127.0.0.1:{self._server.server_port}").rstrip("/")
        # The interval is how long closing may take.
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), name="prospec-receiver", daemon=True
        )
        if is_open:
            self.open()

    def open(self) -> None:
        """From now on it answers."""
        self._server.server_activate()
        self._thread.start()

    def mailbox(self, *answers: Answer) -> Mailbox:
        """A new URL. It answers in the given order, and from then on as the last; 200 unless anything is given."""
        elsewhere = self._mailbox((200,), None) if "redirect" in answers else None
        return self._mailbox(answers or (200,), elsewhere)

    def _mailbox(self, answers: tuple[Answer, ...], elsewhere: Mailbox | None) -> Mailbox:
        name = f"/{secrets.token_urlsafe(16)}"
        made = self._mailboxes[name] = Mailbox(self._url + name, answers, elsewhere)
        return made

    def close(self) -> None:
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = CONNECTIONS_MAX

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._free = threading.BoundedSemaphore(CONNECTIONS_MAX)
        super().__init__(*arguments, **options)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self._free.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            self.shutdown_request(request)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that hangs up, or says what nobody can read, is no event of ours."""


class _Handler(BaseHTTPRequestHandler):
    timeout = SILENT_S
    # Whoever waits for "100 Continue", or sends in chunks, takes us for a server of this version.
    protocol_version = "HTTP/1.1"

    def __init__(self, mailboxes: Mapping[str, Mailbox], *arguments: Any) -> None:
        self._mailboxes = mailboxes
        super().__init__(*arguments)

    def _serve(self) -> None:
        body, is_whole = self._body()
        # A tunnel may put a path of its own before it.
        mailbox = self._mailboxes.get(self.path[self.path.rfind("/") :])
        if mailbox is None:
            self._answer(404)
            return
        headers: dict[str, str] = {}
        for name, value in self.headers.items():
            before = headers.get(name.lower())
            headers[name.lower()] = value if before is None else f"{before}, {value}"
        answer = mailbox.take(Arrival(time.time(), self.command, headers, body, is_whole))
        match answer:
            case int():
                self._answer(answer)
            case "redirect":
                assert mailbox.elsewhere is not None, "a mailbox that redirects has another"
                self._answer(302, {"Location": mailbox.elsewhere.url})
            case "slow":
                time.sleep(SLOW_S)
                self._answer(200)
            case "reset":
                # With no time to linger, closing tells the sender of a broken connection.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                self.close_connection = True
            case "close-after-headers":
                self._answer(200, {"Content-Length": "100"})

    def _body(self) -> tuple[bytes, bool]:
        """The first bytes of it, and whether they are all."""
        self._deadline = time.monotonic() + REQUEST_MAX_S
        kept = bytearray()
        if "chunked" in self.headers.get("transfer-encoding", "").lower():
            is_ended = self._read_chunks(kept)
        else:
            length = self.headers.get("content-length", "0").strip()
            # No number that counts bytes is longer, and none longer is worth reading.
            size = int(length) if length.isascii() and length.isdigit() and len(length) <= 15 else 0
            is_ended = self._read(size, kept)
        return bytes(kept[:BODY_MAX_BYTES]), is_ended and len(kept) <= BODY_MAX_BYTES

    def _read_chunks(self, kept: bytearray) -> bool:
        read = 0
        while True:
            line = self.rfile.readline(CHUNK_LINE_MAX_BYTES).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                return False
            if size < 0 or read > DRAIN_MAX_BYTES or time.monotonic() > self._deadline:
                return False
            if size == 0:
                while self.rfile.readline(CHUNK_LINE_MAX_BYTES).strip():
                    if time.monotonic() > self._deadline:
                        break
                return True
            if not self._read(size, kept) or self.rfile.readline(CHUNK_LINE_MAX_BYTES).strip():
                return False
            read += size

    def _read(self, size: int, kept: bytearray) -> bool:
        """Reads so many bytes, keeping no more than one beyond what is kept; whether they all came."""
        left = min(size, DRAIN_MAX_BYTES)
        while left:
            if time.monotonic() > self._deadline:
                return False
            piece = self.rfile.read1(min(left, 65_536))
            if not piece:
                return False
            kept += piece[: BODY_MAX_BYTES + 1 - len(kept)]
            left -= len(piece)
        return size <= DRAIN_MAX_BYTES

    def _answer(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        with suppress(OSError):
            self.send_response(status)
            for name, value in {"Content-Length": "0", "Connection": "close", **(headers or {})}.items():
                self.send_header(name, value)
            self.end_headers()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = _serve  # noqa: N815 - http.server's

    def log_message(self, format: str, *args: object) -> None:
        pass
