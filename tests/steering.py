"""A mock with a hand on its control, and a webhook receiver, for tests of what the mock does. Here live no tests."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.mock import MockConfig, Running, serve

KLING: dict[str, Any] = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour"}}
"""A valid request; 5 s of standard quality without audio cost 0.50."""
SPEC: Spec = load(trusted=True)


@dataclass
class Receiver:
    """A webhook receiver that answers as it is told, and keeps what came."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Statuses of the next answers; 200 when there are none left."""
    came: list[tuple[bytes, str | None]] = field(default_factory=list)


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback."""
    kept = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept.came.append((body, self.headers.get("X-Prospo-Signature")))
            self.send_response(kept.answers.pop(0) if kept.answers else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    kept.url = f"http://127.0.0.1:{server.server_port}/hook?secret=canary"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield kept
    server.shutdown()
    server.server_close()


@dataclass
class Steered:
    """A running mock, with a hand on its control."""

    running: Running
    api: httpx2.Client
    control: httpx2.Client

    def ask(self, request: dict[str, Any] = KLING, **headers: str) -> httpx2.Response:
        return self.api.post("/v1/generate", json=request, headers=headers)

    def advance(self, seconds: float) -> None:
        assert self.control.post("/clock", json={"advance_s": seconds}).status_code == 200

    def balance(self) -> Decimal:
        return Decimal(str(self.api.get("/v1/balance").json()["balance_usd"]))

    def deliveries(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.control.get("/deliveries").json()["deliveries"]
        return found

    def status(self, id: str) -> httpx2.Response:
        return self.api.get(f"/v1/generations/{id}")


@contextmanager
def steered(**config: Any) -> Iterator[Steered]:
    with serve(MockConfig(**{"balance_usd": Decimal(100), **config}), SPEC) as running:
        key, token = running.config.api_key, running.config.control_token
        with (
            httpx2.Client(base_url=running.base_url, headers={"Authorization": f"Bearer {key}"}, timeout=10) as api,
            httpx2.Client(base_url=f"{running.base_url}/__mock", headers={"X-Mock-Token": token}) as control,
        ):
            yield Steered(running, api, control)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


def wanting(request: dict[str, Any] = KLING, **more: Any) -> dict[str, Any]:
    return {**request, "async": True, **more}
