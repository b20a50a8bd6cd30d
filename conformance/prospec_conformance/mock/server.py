"""The mock on a socket: in a thread for a program, or until a signal for a person.

Here lives no behaviour of the API.
"""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any, cast

from .config import MockConfig
from .refusals import envelope

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import uvicorn
    from prospec.ir import Spec
    from starlette.applications import Starlette
    from starlette.types import Message, Receive, Scope, Send

    from .clock import Clock
    from .connection import Limits

ENVIRONMENT = {
    "api_key": "PROSPOLABS_API_KEY",
    "second_api_key": "PROSPOLABS_SECOND_API_KEY",
    "webhook_secret": "PROSPOLABS_WEBHOOK_SECRET",
    "control_token": "PROSPEC_MOCK_TOKEN",
}
"""Where the secrets come from: never from an argument, which any process may read."""


LOOPBACK = ("127.0.0.1", "localhost", "::1")
EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - whoever listens there is called by any name
"""Addresses that mean all of this machine's."""
KEEP_ALIVE_S = 15
"""How long a connection may idle between requests: for longer than clients keep one, lest both sides race."""


@dataclass(frozen=True, slots=True)
class Running:
    """A mock that answers."""

    base_url: str
    config: MockConfig


@contextmanager
def serve(
    config: MockConfig, spec: Spec | None = None, *, clock: Clock = time.time, limits: Limits | None = None
) -> Iterator[Running]:
    """A mock that answers from the moment the context is entered until it is left.

    `clock` moves whatever the API promises for later (lifetimes, the rate window, the end of a generation), but not the
    waits of a blocking call and between webhook attempts. `limits` are what one client may take of the server. Raises
    OSError when the port is taken, and RuntimeError when the application cannot start or end.
    """
    import uvicorn
    from prospec.loader import load

    from .app import create_app
    from .connection import Connection
    from .ending import Server

    with _listening(config) as listener:
        base_url = _base_url(config.host, listener.getsockname()[1])
        app = create_app(config, load(trusted=True) if spec is None else spec, clock)
        server = Server(
            uvicorn.Config(
                _connected(app, config.host),
                interface="asgi3",
                http=cast(Any, partial(Connection, limits=limits)),
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                date_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=1,
            )
        )
        failures: list[Exception] = []
        thread = threading.Thread(
            target=_run_thread, args=(server, app, listener, failures), name="prospec-mock", daemon=True
        )
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.001)
            if not server.started:
                thread.join()
                cause = failures[0] if failures else None
                raise RuntimeError(f"the mock did not start: {cause}") from cause
            yield Running(base_url, config)
        finally:
            server.end()
            thread.join()
        if failures:
            raise RuntimeError(f"the mock did not end as it should: {failures[0]}") from failures[0]


def _run_thread(server: uvicorn.Server, app: Starlette, listener: socket.socket, failures: list[Exception]) -> None:
    """The server within the application's lifespan. Uvicorn's own way would print what fails, and skip a forced end."""

    async def run() -> None:
        async with app.router.lifespan_context(app):
            await server.serve(sockets=[listener])

    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(run())
    except Exception as error:
        failures.append(error)


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """The event loop that is quicker, where there is one for the platform."""
    try:
        import uvloop
    except ModuleNotFoundError:
        return None
    return uvloop.new_event_loop


def _connected(app: Starlette, host: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application behind a connection: closed to names that are not ours, and told of the connection itself.

    A page whose name was made to resolve to this machine would otherwise speak to the mock with the user's browser. An
    answer that is none has to close the connection, which nothing in ASGI reaches.
    """
    from starlette.responses import JSONResponse

    from .app import TRANSPORT
    from .connection import PIECE_BYTES

    names = {host, *LOOPBACK}

    def serve_one(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if host not in EVERYWHERE and _name_of(scope) not in names:
            message = f"The mock is called {', '.join(LOOPBACK)}."
            return JSONResponse(envelope(400, message, "invalid_host"), 400)(scope, receive, send)
        # uvicorn's `send` is a method of what holds the connection.
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        return app(scope, receive, _in_pieces(send, PIECE_BYTES))

    return serve_one


def _in_pieces(send: Send, max_bytes: int) -> Send:
    """Sends a long body piece by piece, so that a slow reader holds no more of it than one."""

    async def send_pieces(message: Message) -> None:
        rest = memoryview(message["body"])
        for start in range(0, len(rest), max_bytes):
            await send({**message, "body": rest[start : start + max_bytes], "more_body": True})
        await send({**message, "body": b""})

    def send_all(message: Message) -> Awaitable[None]:
        return send_pieces(message) if len(message.get("body", b"")) > max_bytes else send(message)

    return send_all


def _name_of(scope: Scope) -> str:
    """The host that a request names, without its port; empty if it names none or several."""
    found = [value for name, value in scope["headers"] if name == b"host"]
    return _without_port(found[0]) if len(found) == 1 else ""


@lru_cache
def _without_port(host: bytes) -> str:
    name, _, port = host.decode("latin-1").rpartition(":")
    if not port.isascii() or not port.isdigit():
        name = host.decode("latin-1")
    return name.strip("[]").lower()


def run(config: MockConfig, spec: Spec | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Stdout gets the base URL alone; stderr those keys that the environment lacks.

    Raises OSError, ValueError and RuntimeError as `serve` does.
    """
    from .judge import prepare

    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with serve(config, spec) as running:
            print(running.base_url, flush=True)
            for field, variable in ENVIRONMENT.items():
                value = getattr(config, field)
                if os.environ.get(variable) != value:
                    print(f"{variable}={value}", file=sys.stderr)
            print(f"Requests and deliveries: {_page(running)}", file=sys.stderr)
            print("Ctrl-C ends it.", file=sys.stderr, flush=True)
            prepare()
            # What is loaded by now stays, and what comes stays for long: to look for garbage in it takes its time.
            gc.freeze()
            gc.set_threshold(20_000, 20, 50)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _page(running: Running) -> str:
    """The address of the page; with the token, unless that is somebody's secret. A fragment reaches no server."""
    token = running.config.control_token
    is_ours = os.environ.get(ENVIRONMENT["control_token"]) != token
    return f"{running.base_url}/__mock/{f'#token={token}' if is_ours else ''}"


def _listening(config: MockConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.create_server((config.host, config.port), family=family)
    # asyncio switches Nagle's algorithm off only on a socket that says it is TCP; without that, 40 ms a request.
    return socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())


def _base_url(host: str, port: int) -> str:
    """Where to reach a server that listens there; an address that means all of them is no place to go to."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
