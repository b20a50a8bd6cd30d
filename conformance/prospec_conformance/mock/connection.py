"""One connection to the mock: uvicorn's protocol, bounded in bytes and in time, and refusing in the API's own words.

Here lives no behaviour of the API. The parser is httptools'; the hand-over to the application is uvicorn's.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from .refusals import envelope

PIECE_BYTES = 32_768
"""How much of an answer waits here for a slow reader, beside the piece that is being written."""
HELD_BYTES = 4_096
"""How much of an answer may wait for the loop's next turn."""
SLICE_BYTES = 2_048
"""How much is parsed at once: it bounds the requests that queue behind one, and the error in counting a head."""
UNREAD_MAX_BYTES = 1 << 20
"""What may follow a request, unparsed, before the request is answered."""
CHUNK_LINE_BYTES = 20
"""What the framing of a chunk may take without counting: 16 digits and two line ends."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may take of the server."""

    head_s: float = 10.0
    """From the connection to the first byte of a request, and from there to the end of its headers."""
    idle_s: float = 30.0
    """In how long a body or an answer has to move on by `step_bytes`, or to end."""
    step_bytes: int = 32_768
    linger_s: float = 2.0
    """How long a client may take to read the last answer and to stop sending."""
    linger_max_bytes: int = 1 << 20
    """How much is read and dropped meanwhile."""
    head_max_bytes: int = 32_768
    """For a request line with its headers, and as much again for chunk extensions with trailers."""
    max_headers: int = 100
    drop_max_bytes: int = 64_000_000
    """How much of a body is read although it was refused, to keep the connection. A larger claim ends it."""
    max_connections: int = 900


class RefusedError(Exception):
    """The request is none that the application gets to see."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message


class _Outlet:
    """The transport as an answer sees it: it counts what is written, and is closed in the connection's way.

    What is written waits, up to `HELD_BYTES`, for the loop's next turn. To send is the dearest step of all: an answer
    takes it once, and not between the requests that have come in the same turn: judged in a row, they take less time.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._later = loop.call_soon
        self._transport = transport
        self._end = end
        self.is_closing = transport.is_closing
        self.abort = transport.abort
        self._held = b""
        self.written_bytes = 0

    def write(self, data: bytes) -> None:
        if not self._held:
            self._later(self.flush)
        self._held += data
        if len(self._held) > HELD_BYTES:
            self.flush()

    def flush(self) -> None:
        """Sends what was written."""
        data, self._held = self._held, b""
        if data and not self.is_closing():
            self.written_bytes += len(data)
            self._transport.write(data)

    def close(self) -> None:
        self._end()


class Connection(HttpToolsProtocol):
    """Reads requests, one after the other, and answers by itself those that are no proper HTTP.

    A request is in its head, in its body, or in neither (`_stage`); `_watch` ends the connection of a client that stays
    in one for too long. After the last answer the connection lingers: a client that is still sending would otherwise
    see a reset, and not the answer.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits or Limits()
        self._stage = "idle"
        self._since_s = 0.0
        """When the stage began, or when its client last moved on."""
        self._framing_bytes = 0
        """Of the present head, or of the chunks and trailers of the present body."""
        self._headers_seen = 0
        self._body_bytes = 0
        self._stepped_bytes = 0
        """Of the body, when its client last moved on."""
        self._credit_bytes = 0
        """What the parser has told of the present slice that is no framing."""
        self._passed_end = False
        """Whether a head or a message ended within the present slice."""
        self._unread = memoryview(b"")
        self._running: RequestResponseCycle | None = None
        self._refusal: RefusedError | None = None
        """To be answered once the requests before it are. Nothing is parsed any more."""
        self._is_ending = False
        self._was_shut = False
        """Whether the client will send no more."""
        self._taken_since_s = 0.0
        self._taken_bytes = 0
        """Of the answers, when the client last took a step of them, and how much it had taken."""
        self._timer: asyncio.TimerHandle | None = None
        self._outlet: _Outlet

    # The transport's side

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=PIECE_BYTES)
        self._outlet = _Outlet(self.loop, transport, self._end)
        self._since_s = self._taken_since_s = self.loop.time()
        self._watch_later()
        if len(self.connections) > self._limits.max_connections:
            self._answer(RefusedError(503, f"More than {self._limits.max_connections} connections are open."))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.pipeline.clear()
        self._unread = memoryview(b"")
        self._forsake()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._is_ending or self._refusal is not None:
            self._body_bytes += len(data)
            if self._body_bytes > self._limits.linger_max_bytes:
                self.flow.pause_reading()
            return
        self._unread = memoryview(bytes(self._unread) + data if self._unread else data)
        self._read()
        if len(self._unread) > UNREAD_MAX_BYTES:
            self._refuse(RefusedError(400, "Too much follows a request that is not answered yet."))
        if self._unread:
            self.flow.pause_reading()

    def eof_received(self) -> bool:  # type: ignore[override]
        """A client that asks, and then closes its side, is answered all the same."""
        self._was_shut = True
        if not self._is_ending:
            self._read()
        return not (self._is_ending or self.transport.is_closing())

    def shutdown(self) -> None:
        self._outlet.flush()
        if self._is_ending:
            self.transport.abort()
        else:
            super().shutdown()

    # The parser's side

    def _read(self) -> None:
        """Parses what has arrived, but no further than a request that has to wait for another's answer."""
        self._parse()
        if self._was_shut and not self._unread and not self._is_ending:
            if self._stage != "idle":
                self._refuse(RefusedError(400, "The request ended early."))
            elif self._is_answered():
                self._end()
            else:
                self.cycle.keep_alive = False

    def _parse(self) -> None:
        while self._unread and not self.pipeline and not self._is_ending and self._refusal is None:
            left = min(SLICE_BYTES, self._limits.head_max_bytes - self._framing_bytes)
            piece = self._unread[:left]
            self._credit_bytes, self._passed_end = 0, False
            try:
                self.parser.feed_data(piece)
            except httptools.HttpParserUpgrade as upgrade:
                self._unread = self._unread[upgrade.args[0] :]
                self._decline_upgrade()
                continue
            except httptools.HttpParserError as error:
                self._refuse(_refusal_of(error))
                return
            self._unread = self._unread[len(piece) :]
            if self._passed_end:
                self._framing_bytes = 0
                continue
            self._framing_bytes = max(0, self._framing_bytes + len(piece) - self._credit_bytes)
            if self._framing_bytes >= self._limits.head_max_bytes:
                most = self._limits.head_max_bytes
                self._refuse(RefusedError(431, f"Headers, like chunk extensions and trailers, are below {most} bytes."))

    def _decline_upgrade(self) -> None:
        """Reads the head again without its wish for another protocol: it keeps the parser from reading the body."""
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._unread = memoryview(b"".join([*head, b"\r\n", self._unread]))
        self._framing_bytes = 0

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._headers_seen = self._body_bytes = self._stepped_bytes = 0
        self._stage = "head"
        self._since_s = self.loop.time()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers_seen += 1
        if self._headers_seen > self._limits.max_headers:
            raise RefusedError(431, f"A request has at most {self._limits.max_headers} headers.")
        # A trailer is no header: what was read before the body is decided.
        if self._stage == "head":
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self.parser.get_method() == b"CONNECT":
            raise RefusedError(400, "This is no proxy.")
        if self.parser.should_upgrade():
            return
        length = self._checked_head()
        super().on_headers_complete()
        self.cycle.transport = cast(asyncio.Transport, self._outlet)
        # Whoever was not told to continue sends no body, and the next request would be read as one.
        if self.expect_100_continue or length > self._limits.drop_max_bytes:
            self.cycle.keep_alive = False
        self._passed_end = True
        self._stage = "body"
        self._since_s = self.loop.time()

    def _checked_head(self) -> int:
        """The length that the body claims, 0 if none. Raises RefusedError for what the parser alone lets pass."""
        version = self.parser.get_http_version()
        if version not in ("1.0", "1.1"):
            raise RefusedError(400, "Only HTTP/1.0 and HTTP/1.1 are spoken here.")
        hosts, codings, length = 0, [], 0
        if not self.url.startswith(b"/"):
            self._take_absolute_form()
        for name, value in self.headers:
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                codings.append(value.lower())
            elif name == b"content-length":
                length = int(value)
        if hosts != 1:
            raise RefusedError(400, "A request has exactly one Host header.")
        if codings and (codings != [b"chunked"] or version == "1.0"):
            raise RefusedError(400, "The only transfer coding is chunked, in HTTP/1.1.")
        return length

    def _take_absolute_form(self) -> None:
        """Reads `GET http://host/path` as `GET /path` of that host, whatever the Host header says."""
        scheme, separator, rest = self.url.partition(b"://")
        if scheme.lower() != b"http" or not separator:
            raise RefusedError(400, "The target of a request is a path.")
        end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
        self.url = rest[end:] if rest[end : end + 1] == b"/" else b"/" + rest[end:]
        self.headers[:] = [(name, rest[:end] if name == b"host" else value) for name, value in self.headers]

    def on_body(self, body: bytes) -> None:
        self._credit_bytes += len(body)
        self._body_bytes += len(body)
        if self.cycle.response_complete and self._body_bytes > self._limits.drop_max_bytes:
            self._end()
        super().on_body(body)

    def on_chunk_header(self) -> None:
        self._credit_bytes += CHUNK_LINE_BYTES

    def on_message_complete(self) -> None:
        if self.parser.should_upgrade():
            return
        super().on_message_complete()
        self._passed_end = True
        self._stage = "idle"

    # The answers' side

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self._is_ending or self.transport.is_closing():
            return
        self._since_s = self.loop.time()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
        elif self._refusal is not None:
            self._answer(self._refusal)
            return
        if not self.pipeline:
            self.flow.resume_reading()
            self._read()

    def _is_answered(self) -> bool:
        """Whether every request so far is."""
        return (self._running is None or self._running.response_complete) and not self.pipeline

    def _forsake(self) -> None:
        """Tells the application that nobody listens any more."""
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answers the request that is being read, in its turn, and ends the connection."""
        if self._is_ending or self._refusal is not None:
            return
        if self._stage == "body" and self.cycle is self._running:
            if self.cycle.response_complete:
                self._end()
                return
            if not self.cycle.response_started:
                self._forsake()
                self._answer(refusal)
                return
            self.cycle.keep_alive = False
        elif self._is_answered():
            self._answer(refusal)
            return
        elif self._stage == "body":
            self.pipeline.popleft()
        self._refusal = refusal
        self.flow.pause_reading()

    def _answer(self, refusal: RefusedError) -> None:
        body = json.dumps(envelope(refusal.status, refusal.message), separators=(",", ":")).encode()
        head = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        if self.parser.get_method() == b"HEAD":
            body = b""
        self._outlet.write(STATUS_LINE[refusal.status] + head + body)
        self._outlet.close()

    def _end(self) -> None:
        """Sends no more, and closes once the client has read that and stopped sending, within reason."""
        if self._is_ending:
            return
        self._outlet.flush()
        self._is_ending = True
        self._since_s, self._body_bytes = self.loop.time(), 0
        self._unread = memoryview(b"")
        self.pipeline.clear()
        if self._was_shut or self.transport.is_closing():
            self.transport.close()
            return
        try:
            self.transport.write_eof()
        except OSError:  # the client is gone already
            self.transport.abort()
        self.flow.resume_reading()

    # The clock's side

    def _watch_later(self) -> None:
        often_s = min(self._limits.head_s, self._limits.idle_s, self._limits.linger_s) / 4
        self._timer = self.loop.call_later(often_s, self._watch)

    def _watch(self) -> None:
        self._watch_later()
        now_s = self.loop.time()
        waiting_bytes = self.transport.get_write_buffer_size()
        taken_bytes = self._outlet.written_bytes - waiting_bytes
        if not waiting_bytes or taken_bytes - self._taken_bytes >= self._limits.step_bytes:
            self._taken_since_s, self._taken_bytes = now_s, taken_bytes
        elif now_s - self._taken_since_s > self._limits.idle_s:
            self.transport.abort()
            return
        if self._is_ending:
            if waiting_bytes:
                self._since_s = now_s
            elif now_s - self._since_s > self._limits.linger_s:
                self.transport.abort()
        elif self._stage == "head":
            if now_s - self._since_s > self._limits.head_s:
                self._refuse(RefusedError(408, f"The headers took longer than {self._limits.head_s:g} s."))
        elif self._stage == "body":
            self._watch_body(now_s)
        elif not self._is_answered():
            self._since_s = now_s
        elif now_s - self._since_s > (self._limits.head_s if self._running is None else self.timeout_keep_alive):
            self._end()

    def _watch_body(self, now_s: float) -> None:
        is_moving = self._body_bytes - self._stepped_bytes >= self._limits.step_bytes
        # Nobody is slow whose bytes are left unread.
        if is_moving or self.flow.read_paused:
            self._since_s, self._stepped_bytes = now_s, self._body_bytes
        elif now_s - self._since_s > self._limits.idle_s:
            self._refuse(RefusedError(408, f"The body came to a halt for {self._limits.idle_s:g} s."))


def _refusal_of(error: httptools.HttpParserError) -> RefusedError:
    """What the client is told. The parser's reasons are its own words, and quote nothing of the request."""
    if isinstance(error.__context__, RefusedError):
        return error.__context__
    is_ours = isinstance(error, httptools.HttpParserCallbackError)
    return RefusedError(400, f"This is no valid HTTP: {'the target is no path' if is_ours else error}.")
