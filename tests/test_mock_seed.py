"""The mock with a seed: the same requests get the same answers and webhooks, byte for byte, whatever the real time is.

Also the mock in process, without a socket.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from prospec_conformance.mock import MockConfig, create_app, serve

KLING: dict[str, Any] = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour"}}
IMAGE: dict[str, Any] = {"model": "nano-banana-2", "params": {"prompt": "a lantern"}}
SEED = 7

Event = tuple[bytes, str]
"""The body and its signature."""
Transcript = list[tuple[int, list[tuple[bytes, bytes]], bytes]]
"""Status, headers and body of each answer."""


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[Event]]]:
    """The URL of a receiver that refuses every other event, and what came to it."""
    came: list[Event] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            came.append((body, self.headers["X-Prospo-Signature"]))
            self.send_response(500 if len(came) % 2 else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", came
    server.shutdown()
    server.server_close()


@pytest.fixture
def port() -> int:
    """One that is free; answers have the mock's address in them, so that each mock here gets the same."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def transcript(seed: int, port: int, hook: str, *, pause_s: float = 0) -> Transcript:
    """What one script sees of a mock."""
    config = MockConfig(seed=seed, port=port, processing_s=3, rate_limit=60)
    found: Transcript = []
    with (
        serve(config) as mock,
        httpx2.Client(base_url=mock.base_url, headers={"Authorization": f"Bearer {config.api_key}"}) as api,
        httpx2.Client(base_url=f"{mock.base_url}/__mock", headers={"X-Mock-Token": config.control_token}) as control,
    ):

        def ask(client: httpx2.Client, method: str, path: str, **what: Any) -> Any:
            time.sleep(pause_s)
            answer = client.request(method, path, **what)
            found.append((answer.status_code, answer.headers.raw, answer.content))
            return answer.json() if "json" in answer.headers["content-type"] else None

        ask(api, "POST", "/v1/generate", json=KLING)
        queued = ask(api, "POST", "/v1/generate", json={**IMAGE, "async": True, "webhook_url": hook})
        for _ in range(3):
            ask(api, "GET", f"/v1/generations/{queued['generation_id']}")
        announced = ask(api, "POST", "/v1/uploads/initiate", json={"content_type": "image/png", "file_name": "a"})
        ask(api, "PUT", announced["upload_url"], content=b"x", headers={"Content-Type": "image/png"})
        ask(api, "POST", "/v1/generate", json={**KLING, "params": {}})
        ask(control, "POST", "/clock", json={"advance_s": 3600})
        done = ask(api, "GET", f"/v1/generations/{queued['generation_id']}")
        ask(api, "GET", done["output_url"])
        ask(api, "GET", "/v1/balance")
        for path in ("/state", "/requests", "/deliveries"):
            ask(control, "GET", path)
    return found


def test_the_same_script_gives_the_same_transcript(receiver: tuple[str, list[Event]], port: int) -> None:
    hook, came = receiver
    first = transcript(SEED, port, hook)
    assert first == transcript(SEED, port, hook, pause_s=0.05)
    assert [status for status, _, _ in first] == [200] * 7 + [400] + [200] * 7
    assert len(came) == 4
    assert came[0] == came[1] == came[2] == came[3]
    assert first != transcript(SEED + 1, port, hook)


def test_time_moves_by_the_script_alone() -> None:
    """A request takes a tenth of a second, a blocking call as long as its generation, and nothing else anything."""
    config = MockConfig(seed=SEED, processing_s=30)
    with (
        serve(config) as mock,
        httpx2.Client(base_url=mock.base_url, headers={"Authorization": f"Bearer {config.api_key}"}) as api,
    ):
        began = time.monotonic()
        assert api.post("/v1/generate", json=KLING).json()["duration_ms"] == 30_000
        assert time.monotonic() - began < 5
        queued = api.post("/v1/generate", json={**KLING, "async": True}).json()
        assert queued["created_at"] == "2026-01-01T00:00:30.200Z"
        statuses = [api.get(f"/v1/generations/{queued['generation_id']}").json()["status"] for _ in range(301)]
        assert statuses == ["queued"] * 149 + ["processing"] * 150 + ["completed"] * 2


def test_the_keys_of_a_seed_are_its_own_and_those_of_none_are_fresh() -> None:
    assert MockConfig(seed=1) == MockConfig(seed=1)
    assert MockConfig(seed=1).api_key != MockConfig(seed=2).api_key
    assert MockConfig().api_key != MockConfig().api_key
    assert MockConfig(seed=1, api_key="prsp-mine").api_key == "prsp-mine"


def test_the_mock_answers_in_process_too() -> None:
    config = MockConfig()
    transport = httpx2.ASGITransport(create_app(config))

    async def ask() -> httpx2.Response:
        headers = {"Authorization": f"Bearer {config.api_key}"}
        async with httpx2.AsyncClient(transport=transport, base_url="http://mock", headers=headers) as api:
            return await api.post("/v1/generate", json=KLING)

    answer = asyncio.run(ask())
    assert answer.status_code == 200
    assert answer.json()["output_url"].startswith("http://mock/results/")
