"""A server that fails at a chosen point, between its accepting a connection and the last byte of its answer.

It counts the paid requests that it has read whole: each may have been accepted. Here live no tests.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

GENERATION = b'{"generation_id": "gen_a", "status": "completed", "model": "kling-o3", "mode": "text", "cost_usd": 0.5}'


def answer(status: str, body: bytes = b"", *headers: str) -> bytes:
    """The bytes of a whole answer."""
    head = [f"HTTP/1.1 {status}", "Content-Type: application/json", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode() + body


def read_head(connection: socket.socket) -> tuple[bytes, bytes]:
    """A request's head, and what came with it of the body."""
    came = b""
    while b"\r\n\r\n" not in came:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError
        came += piece
    head, _, rest = came.partition(b"\r\n\r\n")
    return head, rest


def read_whole(connection: socket.socket) -> bytes:
    """A request as it came, with its body."""
    head, body = read_head(connection)
    lengths = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    length = int(lengths[0].split(b":")[1]) if lengths else 0
    while len(body) < length:
        piece = connection.recv(65536)
        if not piece:
            raise ConnectionError
        body += piece
    return head + b"\r\n\r\n" + body


def reset(connection: socket.socket) -> None:
    """End a connection by RST, as a process that dies does."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


Fail = Callable[["FailingServer", socket.socket], None]


@dataclass
class FailingServer:
    """What came, and how each connection is treated."""

    fail: Fail
    port: int = 0
    accepted: list[bytes] = field(default_factory=list)
    """Every paid request that was read whole."""
    connections: int = 0

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def take(self, connection: socket.socket) -> bytes:
        """Read a request whole, and count it."""
        request = read_whole(connection)
        if request.startswith(b"POST /v1/generate"):
            self.accepted.append(request)
        return request


@contextlib.contextmanager
def failing(fail: Fail, port: int = 0) -> Iterator[FailingServer]:
    """A server on loopback, a thread a connection."""
    listener = socket.create_server(("127.0.0.1", port))
    server = FailingServer(fail, listener.getsockname()[1])

    def serve_one(connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            connection.settimeout(5)
            server.fail(server, connection)

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                server.connections += 1
                threading.Thread(target=serve_one, args=(connection,), daemon=True).start()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


def closed_port() -> int:
    """A port of loopback at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def then(*pieces: bytes, pause_s: float = 0, end: Callable[[socket.socket], None] = socket.socket.close) -> Fail:
    """Read the request whole, send these pieces, and end the connection."""

    def fail(server: FailingServer, connection: socket.socket) -> None:
        server.take(connection)
        for piece in pieces:
            connection.sendall(piece)
            time.sleep(pause_s)
        end(connection)

    return fail
