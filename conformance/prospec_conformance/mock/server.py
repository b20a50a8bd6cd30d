"""The mock on a socket: in a thread for a program, or until a signal for a person.

Here lives no behaviour of the API.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .config import MockConfig

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from prospec.ir import Spec
    from starlette.applications import Starlette
    from starlette.types import Receive, Scope, Send

    from .clock import Clock

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


@dataclass(frozen=True, slots=True)
class Running:
    """A mock that answers."""

    base_url: str
    config: MockConfig


@contextmanager
def serve(config: MockConfig, spec: Spec | None = None, *, clock: Clock = time.time) -> Iterator[Running]:
    """A mock that answers from the moment the context is entered until it is left.

    `clock` moves whatever the API promises for later (lifetimes, the rate window, the end of a generation), but not the
    waits of a blocking call and between webhook attempts. Raises OSError when the port is taken.
    """
    import uvicorn
    from prospec.loader import load

    from .app import create_app

    with _listening(config) as listener:
        base_url = _base_url(config.host, listener.getsockname()[1])
        app = create_app(config, load(trusted=True) if spec is None else spec, clock)
        server = uvicorn.Server(
            uvicorn.Config(
                _connected(app, config.host),
                http="h11",
                loop="asyncio",
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=1,
            )
        )
        thread = threading.Thread(target=server.run, args=([listener],), name="prospec-mock", daemon=True)
        thread.start()
        try:
            while not server.started and thread.is_alive():
                time.sleep(0.001)
            if not server.started:
                raise RuntimeError("the mock did not start")
            yield Running(base_url, config)
        finally:
            # Requests that are still waiting are cut off, so that leaving never takes long.
            server.should_exit = server.force_exit = True
            thread.join()


def _connected(app: Starlette, host: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
    """The application behind a connection: closed to names that are not ours, and told of the connection itself.

    A page whose name was made to resolve to this machine would otherwise speak to the mock with the user's browser. An
    answer that is none has to close the connection, which nothing in ASGI reaches.
    """
    from starlette.responses import JSONResponse

    from .app import TRANSPORT

    async def serve_one(scope: Scope, receive: Receive, send: Send) -> None:
        if host not in EVERYWHERE and _name_of(scope) not in {host, *LOOPBACK}:
            names = ", ".join(LOOPBACK)
            refusal = JSONResponse({"code": "invalid_host", "detail": f"The mock is called {names}."}, 400)
            await refusal(scope, receive, send)
            return
        # uvicorn's `send` is a method of what holds the connection.
        scope[TRANSPORT] = getattr(getattr(send, "__self__", None), "transport", None)
        await app(scope, receive, send)

    return serve_one


def _name_of(scope: Scope) -> str:
    """The host that a request names, without its port; empty if it names none or several."""
    found = [value.decode("latin-1") for name, value in scope.get("headers", ()) if name == b"host"]
    name, _, port = found[0].rpartition(":") if len(found) == 1 else ("", "", "")
    if not port.isascii() or not port.isdigit():
        name = found[0] if len(found) == 1 else ""
    return name.strip("[]").lower()


def run(config: MockConfig, spec: Spec | None = None) -> None:
    """Serve until SIGINT or SIGTERM. Stdout gets the base URL alone; stderr those keys that the environment lacks."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with serve(config, spec) as running:
            print(running.base_url, flush=True)
            for field, variable in ENVIRONMENT.items():
                value = getattr(config, field)
                if os.environ.get(variable) != value:
                    print(f"{variable}={value}", file=sys.stderr)
            print("Ctrl-C ends it.", file=sys.stderr, flush=True)
            stop.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _listening(config: MockConfig) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.create_server((config.host, config.port), family=family)
    # asyncio switches Nagle's algorithm off only on a socket that says it is TCP; without that, 40 ms a request.
    return socket.socket(listener.family, listener.type, socket.IPPROTO_TCP, fileno=listener.detach())


def _base_url(host: str, port: int) -> str:
    """Where to reach a server that listens there; an address that means all of them is no place to go to."""
    reachable = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"
