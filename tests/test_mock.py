"""The mock from outside: real sockets, a real client and a real webhook receiver, all on loopback.

Whether its faults and variants do anything is in test_mock_faults.py.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import httpx2
import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.mock import MockConfig, Running, serve
from prospec_conformance.mock.webhooks import sign

KLING = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour"}}
"""A valid request; 5 s of standard quality without audio cost 0.50."""
FAILING = {"model": "kling-o3", "params": {"prompt": "please mock:fail now"}}
IMAGE = {"content_type": "image/png", "file_name": "harbour.png"}


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self) -> None:
        self.seconds = 1_800_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@contextmanager
def client(running: Running, *, second: bool = False) -> Iterator[httpx2.Client]:
    key = running.config.second_api_key if second else running.config.api_key
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=running.base_url, headers=headers, trust_env=False, timeout=10) as opened:
        yield opened


@pytest.fixture(scope="module")
def plain(spec: Spec) -> Iterator[Running]:
    """A mock with nothing special about it, for the tests that leave no trace in it that others could see."""
    with serve(MockConfig(), spec) as running:
        yield running


@pytest.fixture(scope="module")
def api(plain: Running) -> Iterator[httpx2.Client]:
    with client(plain) as opened:
        yield opened


@pytest.fixture(scope="module")
def other(plain: Running) -> Iterator[httpx2.Client]:
    with client(plain, second=True) as opened:
        yield opened


def balance(api: httpx2.Client) -> Decimal:
    return Decimal(str(api.get("/v1/balance").json()["balance_usd"]))


def upload(api: httpx2.Client) -> str:
    target = api.post("/v1/uploads/initiate", json=IMAGE).json()
    stored = api.put(target["upload_url"], content=b"png", headers={"Content-Type": "image/png"})
    assert stored.status_code == 200
    return str(target["token"])


def edit_with(token: str) -> dict[str, Any]:
    return {"model": "nano-banana-2", "mode": "edit", "params": {"prompt": "bluer", "image_urls": [token]}}


# Generations


def test_a_blocking_call_is_answered_with_the_completed_generation(api: httpx2.Client, spec: Spec) -> None:
    quick_start = next(example.request for example in spec.examples if example.id == "quick-start")
    answer = api.post("/v1/generate", json=quick_start)
    assert answer.status_code == 200
    body = answer.json()
    assert body.keys() == {"generation_id", "status", "model", "mode", "output_url", "cost_usd", "duration_ms"}
    assert (body["status"], body["model"], body["mode"]) == ("completed", "veo-3-1-lite", "text")
    assert body["generation_id"].startswith("gen_")
    assert body["output_url"].startswith(f"{api.base_url}/results/{body['generation_id']}.mp4?token=")
    assert '"cost_usd":0.4,' in answer.text
    assert api.get(f"/v1/generations/{body['generation_id']}").json() == body


def test_the_first_mode_is_used_without_mode(api: httpx2.Client) -> None:
    body = api.post("/v1/generate", json={"model": "gpt-image-2", "params": {"prompt": "a"}}).json()
    assert body["mode"] == "generate"
    assert body["output_url"].partition("?")[0].endswith(".png")


def test_an_asynchronous_generation_goes_through_its_states(spec: Spec, clock: Clock) -> None:
    four = {"generation_id", "status", "model", "mode"}
    with serve(MockConfig(processing_s=10), spec, clock=clock) as running, client(running) as api:
        accepted = api.post("/v1/generate", params={"async": "true"}, json=KLING)
        assert accepted.status_code == 200
        body = accepted.json()
        assert body.keys() == four | {"created_at", "poll_url"}
        assert body["status"] == "queued"
        assert body["created_at"] == "2027-01-15T08:00:00.000Z"
        assert body["poll_url"] == f"{running.base_url}/v1/generations/{body['generation_id']}"
        for status in ("queued", "processing"):
            polled = api.get(body["poll_url"]).json()
            assert (polled["status"], polled.keys()) == (status, four)
            clock.seconds += 5
        polled = api.get(body["poll_url"]).json()
        assert (polled["status"], polled["duration_ms"]) == ("completed", 10_000)


def test_async_in_the_body_does_the_same_and_ends_at_once_without_processing_time(api: httpx2.Client) -> None:
    body = api.post("/v1/generate", json={**KLING, "async": True}).json()
    assert body["status"] == "queued"
    assert api.get(f"/v1/generations/{body['generation_id']}").json()["status"] == "completed"


def test_a_blocking_call_waits_and_gives_up_at_the_documented_limit(spec: Spec) -> None:
    with serve(MockConfig(processing_s=0.2), spec) as running, client(running) as api:
        started = time.monotonic()
        assert api.post("/v1/generate", json=KLING).json()["status"] == "completed"
        assert time.monotonic() - started >= 0.2
    impatient = replace(spec, service=replace(spec.service, sync_timeout_s=0))
    with serve(MockConfig(processing_s=0.2), impatient) as running, client(running) as api:
        assert api.post("/v1/generate", json=KLING).status_code == 504


def test_money_falls_by_the_cost_and_comes_back_once_on_failure(spec: Spec) -> None:
    with serve(MockConfig(balance_usd=Decimal("1.20")), spec) as running, client(running) as api:
        assert api.post("/v1/generate", json=KLING).json()["cost_usd"] == 0.5
        assert api.get("/v1/balance").json() == {"balance_usd": 0.7, "currency": "USD"}
        failed = api.post("/v1/generate", json=FAILING).json()
        assert failed.keys() == {"generation_id", "status", "model", "mode"}
        assert failed["status"] == "failed"
        for _ in range(2):
            assert api.get(f"/v1/generations/{failed['generation_id']}").json() == failed
            assert balance(api) == Decimal("0.7")
        unpriced = api.post("/v1/generate", json={"model": "kling-v3", "params": {"prompt": "a"}}).json()
        assert unpriced["cost_usd"] == 0.1
        assert api.post("/v1/generate", json={"model": "kling-o3", "params": {}}).status_code == 400
        assert api.post("/v1/generate", json=KLING).status_code == 200
        refused = api.post("/v1/generate", json=KLING)
        assert (refused.status_code, refused.json()["code"]) == (403, "insufficient_balance")
        assert balance(api) == Decimal("0.1")
        last = api.post("/v1/generate", json={"model": "kling-v3", "params": {"prompt": "a"}})
        assert last.status_code == 200
        assert balance(api) == 0
        with client(running, second=True) as other:
            assert balance(other) == Decimal("1.2")


def test_a_failing_generation_is_charged_until_it_fails(spec: Spec, clock: Clock) -> None:
    with serve(MockConfig(processing_s=10), spec, clock=clock) as running, client(running) as api:
        api.post("/v1/generate", json={**FAILING, "async": True})
        assert balance(api) == Decimal("999999.5")
        clock.seconds += 10
        assert balance(api) == Decimal(1_000_000)


@pytest.mark.parametrize("duration", [-5, 1e300, "9" * 1_048_000], ids=["negative", "huge", "a million digits"])
def test_values_of_rows_that_do_not_bind_neither_earn_money_nor_break_anything(
    api: httpx2.Client, duration: object
) -> None:
    model = "veo-3-1-fast" if isinstance(duration, str) else "kling-o3"
    before = balance(api)
    request = {"model": model, "mode": "image", "params": {"prompt": "a", "duration": duration}}
    assert api.post("/v1/generate", json=request).status_code in (200, 403)
    assert balance(api) <= before


def test_unknown_and_foreign_generations_are_told_from_nothing(api: httpx2.Client, other: httpx2.Client) -> None:
    foreign = other.post("/v1/generate", json=KLING).json()["generation_id"]
    answers = [api.get(f"/v1/generations/{id}") for id in ("gen_000000000000", foreign)]
    assert [answer.status_code for answer in answers] == [404, 404]
    assert answers[0].content == answers[1].content


# Admission


ENDPOINTS = [
    ("POST", "/v1/generate"),
    ("GET", "/v1/generations/gen_000000000000"),
    ("POST", "/v1/uploads/initiate"),
    ("PUT", "/v1/uploads/proxy/pl-upload-00000000000000000000000000000000"),
    ("GET", "/v1/balance"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
@pytest.mark.parametrize("form", [None, "", "Bearer", "Bearer prsp-never-issued", "{key}", "Basic {key}"])
def test_every_endpoint_asks_for_a_key_before_all_else(
    plain: Running, api: httpx2.Client, method: str, path: str, form: str | None
) -> None:
    headers = {} if form is None else {"Authorization": form.format(key=plain.config.api_key)}
    answer = httpx2.request(method, f"{plain.base_url}{path}", headers=headers, content=b"{", trust_env=False)
    assert answer.status_code == 401
    assert answer.json().keys() == {"code", "message", "detail"}
    assert plain.config.api_key not in answer.text
    assert api.request(method, path, content=b"{").status_code != 401


def test_no_route_and_no_method_are_told_in_json(api: httpx2.Client) -> None:
    for method, path, status in (
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/balance/", 404),
        ("GET", "/v1/generate", 405),
        ("DELETE", "/v1/balance", 405),
    ):
        answer = api.request(method, path)
        assert answer.status_code == status
        assert answer.json()["code"] == {404: "not_found", 405: "method_not_allowed"}[status]


def test_requests_beyond_the_rate_limit_wait_for_the_next_window(spec: Spec, clock: Clock) -> None:
    with serve(MockConfig(rate_limit=3), spec, clock=clock) as running, client(running) as api:
        seen = []
        for _ in range(4):
            answer = api.get("/v1/balance")
            names = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
            seen.append((answer.status_code, *(answer.headers[name] for name in names)))
            clock.seconds += 10
        assert seen == [(200, "3", "2", "60"), (200, "3", "1", "50"), (200, "3", "0", "40"), (429, "3", "0", "30")]
        assert api.get("/v1/balance").json()["code"] == "rate_limit_exceeded"
        with client(running, second=True) as other:
            assert other.get("/v1/balance").status_code == 200
        clock.seconds += 20
        assert api.get("/v1/balance").headers["X-RateLimit-Remaining"] == "2"


# Uploads


def test_a_file_is_announced_sent_and_used(api: httpx2.Client) -> None:
    target = api.post("/v1/uploads/initiate", json=IMAGE).json()
    assert target.keys() == {"token", "upload_url", "content_type"}
    assert target["upload_url"] == f"/v1/uploads/proxy/{target['token']}"
    assert target["content_type"] == "image/png"
    early = api.post("/v1/generate", json=edit_with(target["token"]))
    assert (early.status_code, early.headers["X-Mock-Violation"]) == (400, "media /params/image_urls/0")
    sent = api.put(target["upload_url"], content=b"png", headers={"Content-Type": "image/png"})
    assert sent.json() == {"status": "uploaded", "bytes": 3}
    assert api.post("/v1/generate", json=edit_with(target["token"])).status_code == 200


def test_a_token_serves_its_own_account_alone(api: httpx2.Client, other: httpx2.Client) -> None:
    token = upload(api)
    assert other.post("/v1/generate", json=edit_with(token)).status_code == 400
    headers = {"Content-Type": "image/png"}
    foreign = other.put(f"/v1/uploads/proxy/{token}", content=b"png", headers=headers)
    unknown = other.put(f"/v1/uploads/proxy/pl-upload-{'0' * 32}", content=b"png", headers=headers)
    assert (foreign.status_code, unknown.status_code) == (404, 404)
    assert foreign.content == unknown.content


def test_tokens_live_as_long_as_documented(spec: Spec, clock: Clock) -> None:
    with serve(MockConfig(), spec, clock=clock) as running, client(running) as api:
        unused = api.post("/v1/uploads/initiate", json=IMAGE).json()
        used = upload(api)
        clock.seconds += 3600
        late = api.put(unused["upload_url"], content=b"png", headers={"Content-Type": "image/png"})
        assert late.status_code == 404
        clock.seconds += 86_400 - 3601
        assert api.post("/v1/generate", json=edit_with(used)).status_code == 200
        clock.seconds += 1
        assert api.post("/v1/generate", json=edit_with(used)).status_code == 400


def test_an_upload_must_be_of_its_type_and_size(api: httpx2.Client) -> None:
    wrong: list[Any] = [{**IMAGE, "content_type": "image/gif"}, {"file_name": "a"}, {**IMAGE, "file_name": 1}, []]
    for body in wrong:
        assert api.post("/v1/uploads/initiate", json=body).status_code == 400
    path = api.post("/v1/uploads/initiate", json=IMAGE).json()["upload_url"]
    assert api.put(path, content=b"png", headers={"Content-Type": "image/jpeg"}).status_code == 400
    assert api.put(path, content=b"png").status_code == 400

    def chunks(count: int) -> Iterator[bytes]:
        return (b"x" * 1_000_000 for _ in range(count))

    headers = {"Content-Type": "image/png"}
    assert api.put(path, content=chunks(31), headers=headers).status_code == 400
    assert api.put(path, content=chunks(30), headers=headers).json() == {"status": "uploaded", "bytes": 30_000_000}


# Judging


def request(model: str, mode: str, **params: object) -> dict[str, Any]:
    return {"model": model, "mode": mode, "params": params}


def sized(**size: object) -> dict[str, Any]:
    return request("gpt-image-2", "generate", prompt="a", image_size=size)


def lasting(duration: object) -> dict[str, Any]:
    return request("seedance-2-fast", "text", prompt="a", duration=duration)


REFUSED: list[tuple[Any, str]] = [
    ([], "type"),
    (None, "type"),
    ({"params": {}}, "required /model"),
    ({"model": "kling-o3"}, "required /params"),
    ({"model": 5, "params": {}}, "type /model"),
    ({"model": "kling-o3", "mode": None, "params": {}}, "type /mode"),
    ({"model": "kling-o3", "params": []}, "type /params"),
    ({"model": "kling", "params": {}}, "model /model"),
    (request("kling-o3", "edit", prompt="a"), "mode /mode"),
    ({**KLING, "webhook_url": 1}, "type /webhook_url"),
    ({**KLING, "async": "true"}, "type /async"),
    (request("kling-o3", "text"), "required /params/prompt"),
    (request("kling-o3", "text", prompt=1), "type /params/prompt"),
    (request("kling-o3", "text", prompt="a", style="b"), "additionalProperties /params/style"),
    (request("kling-o3", "text", prompt="a", aspect_ratio="4:3"), "enum /params/aspect_ratio"),
    (request("kling-o3", "text", prompt="a", aspect_ratio="16:9\n"), "enum /params/aspect_ratio"),
    (lasting(3), "minimum /params/duration"),
    (lasting(15.5), "maximum /params/duration"),
    (lasting("5"), "type /params/duration"),
    (lasting(True), "type /params/duration"),
    (request("nano-banana-2", "edit", prompt="a", image_urls=["https://a.b/c"] * 15), "maxItems /params/image_urls"),
    (request("nano-banana-2", "edit", prompt="a", image_urls=["http://a.b/c"]), "media /params/image_urls/0"),
    (request("nano-banana-2", "edit", prompt="a", image_urls=["https://a.b/c\n"]), "media /params/image_urls/0"),
    (sized(width=1024, height=1000), "multipleOf /params/image_size/height"),
    (sized(width=3856, height=2048), "maximum /params/image_size/width"),
    (sized(width=0, height=16), "minimum /params/image_size/width"),
    (sized(width=16, height=64), "size /params/image_size"),
    (sized(width=1024), "required /params/image_size/height"),
    (sized(width=16, height=16, depth=16), "additionalProperties /params/image_size/depth"),
    (request("gpt-image-2", "generate", prompt="a", image_size="huge"), "enum /params/image_size"),
    (request("gpt-image-2", "generate", prompt="a", image_size=512), "type /params/image_size"),
    (
        request("kling-o3", "text", **{"prompt": "a", "ü/~\r\n": 1}),
        "additionalProperties /params/%C3%BC~1~0%0D%0A",
    ),
]


@pytest.mark.parametrize(("body", "violation"), REFUSED)
def test_a_refusal_names_the_rule_and_the_place(api: httpx2.Client, body: Any, violation: str) -> None:
    answer = api.post("/v1/generate", content=json.dumps(body).encode())
    assert answer.status_code == 400
    assert answer.headers["X-Mock-Violation"] == violation
    assert answer.json()["message"] == answer.json()["detail"] != ""


SEEDED = b'{"model": "gpt-image-2", "params": {"prompt": "a", "seed": %b}}'


@pytest.mark.parametrize(
    "body",
    [
        *(SEEDED % number for number in (b"NaN", b"-Infinity", b"1e999", b"01", b"9" * 5000)),
        *((SEEDED % b"1").decode().encode(encoding) for encoding in ("utf-16", "utf-32", "utf-8-sig")),
        *(b"", SEEDED % b"1" + b"x", SEEDED % b'"\xff"', SEEDED % (b"[" * 63 + b"]" * 63)),
    ],
)
def test_what_is_no_finite_shallow_json_is_refused_as_such(api: httpx2.Client, body: bytes) -> None:
    assert api.post("/v1/generate", content=SEEDED % b"1").status_code == 200
    answer = api.post("/v1/generate", content=body)
    assert (answer.status_code, answer.headers["X-Mock-Violation"]) == (400, "json")


def test_the_place_of_a_violation_is_cut_to_what_fits_a_header(api: httpx2.Client) -> None:
    answer = api.post("/v1/generate", json=request("kling-o3", "text", **{"prompt": "a", "x" * 100_000: 1}))
    assert answer.status_code == 400
    assert len(answer.headers["X-Mock-Violation"]) < 300


@pytest.mark.parametrize(
    "body",
    [
        lasting(4),
        lasting(15.0),
        sized(width=16, height=48),
        sized(width=1024.0, height=1024),
        request("nano-banana-2", "edit", prompt="a", image_urls=["https://a.b/c"] * 14),
        request("kling-o3", "image", prompt=1, duration="x"),  # rows that are inferred alone do not bind
        {"model": "kling-3-motion-control", "params": {"video_urls": ["https://a.b/c"], "image_url": "HTTPS://a.b"}},
    ],
)
def test_what_breaks_no_documented_rule_is_accepted(api: httpx2.Client, body: Any) -> None:
    answer = api.post("/v1/generate", json=body)
    assert answer.status_code == 200, answer.text


def malformed() -> Iterator[bytes]:
    """Bodies that no client should send: no JSON, odd JSON, and a valid request with each member replaced in turn."""
    yield from (b"", b" ", b"{", b'{"model":', b"nul", b"\xff\xfe{}", b"\xef\xbb\xbf{}", b"{}x", b"'a'", b'"\\ud800"')
    yield from (b"NaN", b"[Infinity]", b"-1e999", b"1" * 5000, b'{"a":1,"a":2}', "{}".encode("utf-16"))
    for depth in (64, 65, 1000, 100_000):
        yield b"[" * depth
        yield b"[" * depth + b"]" * depth
        yield b'{"params":' * depth + b"1" + b"}" * depth
    size = {**sized(width=16, height=16), "webhook_url": "", "async": False}
    wholes: list[dict[str, Any]] = [KLING, size, edit_with("https://a.b/c")]
    odd: list[Any] = [None, True, False, 0, -1, 1.5, 10**400, "", "\0", "\ud800", "x" * 100_000, [], [[]], [None], {}]
    odd += [
        {"": {}},
        {"width": None},
        {"width": True, "height": 16},
        {"width": 10**400, "height": 10**400},
        ["pl-upload-"],
    ]
    for value in odd:
        yield json.dumps(value).encode()
        for whole in wholes:
            for member in whole:
                yield json.dumps({**whole, member: value}).encode()
            for param in whole["params"]:
                yield json.dumps({**whole, "params": {**whole["params"], param: value}}).encode()


def test_no_malformed_body_gets_a_server_error(api: httpx2.Client) -> None:
    bodies = list(malformed())
    assert len(bodies) > 300
    for path in ("/v1/generate", "/v1/uploads/initiate"):
        for body in bodies:
            answer = api.post(path, content=body)
            assert answer.status_code < 500, body[:200]
            assert isinstance(answer.json(), dict)
            assert answer.status_code in (400, 413) or path == "/v1/generate", body[:200]


def test_a_body_of_more_than_a_mebibyte_is_refused(api: httpx2.Client) -> None:
    fitting = json.dumps(KLING).encode().ljust(1 << 20)
    assert api.post("/v1/generate", content=fitting).status_code == 200
    answer = api.post("/v1/generate", content=fitting + b" ")
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_client_that_leaves_in_the_middle_breaks_nothing(
    plain: Running, api: httpx2.Client, caplog: pytest.LogCaptureFixture
) -> None:
    host, _, port = plain.base_url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST /v1/generate HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {plain.config.api_key}\r\n"
        connection.sendall(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        time.sleep(0.05)
    time.sleep(0.05)
    assert api.get("/v1/balance").status_code == 200
    assert caplog.text == ""


# Webhooks


@dataclass
class Receiver:
    """Takes deliveries; answers with the statuses of `script` in turn, then with 200."""

    url: str
    script: list[int] = field(default_factory=list)
    deliveries: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def wait_for(self, count: int) -> list[tuple[dict[str, str], bytes]]:
        deadline = time.monotonic() + 5
        while len(self.deliveries) < count and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(self.deliveries) >= count
        return self.deliveries


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            taken.deliveries.append(({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(taken.script.pop(0) if taken.script else 200)
            self.send_header("Location", taken.url)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_GET(self) -> None:
            """What a redirect that is followed would turn into."""
            self.do_POST()

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        taken = Receiver(f"http://127.0.0.1:{server.server_port}/hook?a=1")
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield taken
        server.shutdown()


def retrying(spec: Spec, *waits: int) -> Spec:
    return replace(spec, service=replace(spec.service, webhook=replace(spec.service.webhook, retry_after_s=waits)))


def test_a_completed_generation_is_delivered_and_signed_over_its_raw_bytes(
    plain: Running, api: httpx2.Client, receiver: Receiver
) -> None:
    accepted = api.post("/v1/generate", json={**KLING, "async": True, "webhook_url": receiver.url}).json()
    headers, body = receiver.wait_for(1)[0]
    event = json.loads(body)
    assert body == json.dumps(event, separators=(",", ":")).encode()
    assert event.keys() == {"event", "generation_id", "data", "timestamp"}
    assert (event["event"], event["generation_id"]) == ("generation.completed", accepted["generation_id"])
    polled = api.get(accepted["poll_url"]).json()
    assert event["data"] == {name: polled[name] for name in polled if name not in ("generation_id", "status")}

    def signature(secret: str) -> str:
        return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()

    assert headers["content-type"] == "application/json"
    assert headers["x-prospo-signature"] == signature(plain.config.webhook_secret)
    assert headers["x-prospo-signature"] != signature("another")
    assert sign(body + b" ", plain.config.webhook_secret) != headers["x-prospo-signature"]


def test_a_failed_generation_is_delivered_too_also_after_a_blocking_call(
    api: httpx2.Client, receiver: Receiver
) -> None:
    api.post("/v1/generate", json={**FAILING, "webhook_url": receiver.url})
    event = json.loads(receiver.wait_for(1)[0][1])
    assert event["event"] == "generation.failed"
    assert event["data"] == {"model": "kling-o3", "mode": "text"}


@pytest.mark.parametrize(
    ("script", "deliveries"),
    [([], 1), ([500, 404], 3), ([302], 2), ([204, 500], 1), ([500] * 9, 4)],
    ids=["accepted", "refused twice", "redirected", "any 2xx ends it", "given up"],
)
def test_the_same_bytes_are_sent_until_they_are_accepted(
    spec: Spec, receiver: Receiver, script: list[int], deliveries: int
) -> None:
    receiver.script = script
    with serve(MockConfig(), retrying(spec, 0, 0, 0)) as running, client(running) as api:
        api.post("/v1/generate", json={**KLING, "webhook_url": receiver.url})
        seen = receiver.wait_for(deliveries)
        time.sleep(0.05)
    assert len(seen) == deliveries
    assert len({(headers.get("x-prospo-signature"), body) for headers, body in seen}) == 1


def test_a_retry_waits_as_long_as_documented(spec: Spec, receiver: Receiver) -> None:
    assert spec.service.webhook.retry_after_s == (30, 120, 600, 3600)
    receiver.script = [500]
    with serve(MockConfig(), retrying(spec, 1)) as running, client(running) as api:
        api.post("/v1/generate", json={**KLING, "webhook_url": receiver.url})
        receiver.wait_for(1)
        first = time.monotonic()
        receiver.wait_for(2)
        assert time.monotonic() - first > 0.8


def test_a_receiver_that_is_not_there_is_tried_again(spec: Spec, caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with serve(MockConfig(), retrying(spec, 0)) as running, client(running) as api:
        url = f"http://127.0.0.1:{port}/secret-path"
        assert api.post("/v1/generate", json={**KLING, "webhook_url": url}).status_code == 200
        wait_until(lambda: "given up after 1 retries" in caplog.text)
    assert "secret-path" not in caplog.text


def test_nothing_is_sent_beyond_loopback(api: httpx2.Client, caplog: pytest.LogCaptureFixture) -> None:
    assert api.post("/v1/generate", json={**KLING, "webhook_url": "http://192.0.2.1/secret-path"}).status_code == 200
    wait_until(lambda: "not delivered" in caplog.text)
    assert "secret-path" not in caplog.text


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# Configuration and serving


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"faults": frozenset({"ERR-01-emty"})}, "unknown fault 'ERR-01-emty'; did you mean 'ERR-01-empty'?"),
        ({"variants": frozenset({"strickt"})}, "unknown variant 'strickt'; did you mean 'strict'?"),
        ({"faults": frozenset({"qqq"})}, "unknown fault 'qqq'$"),
        ({"api_key": "prsp-a", "second_api_key": "prsp-a"}, "same key"),
        ({"port": 70_000}, "port"),
        ({"rate_limit": 0}, "rate limit"),
        ({"processing_s": -1}, "processing"),
        ({"processing_s": float("nan")}, "processing"),
        ({"balance_usd": Decimal("NaN")}, "balance"),
    ],
)
def test_what_cannot_be_served_is_said_at_once(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MockConfig(**wrong)


def test_keys_are_fresh_and_show_in_no_repr() -> None:
    config, again = MockConfig(), MockConfig()
    secrets = [config.api_key, config.second_api_key, config.webhook_secret]
    assert len({*secrets, again.api_key, again.second_api_key, again.webhook_secret}) == 6
    assert config.api_key.startswith("prsp-")
    assert not any(secret in repr(config) for secret in secrets)


def test_leaving_is_quick_and_frees_the_port_even_while_a_call_waits(
    spec: Spec, caplog: pytest.LogCaptureFixture
) -> None:
    answers: list[httpx2.Response] = []

    def wait() -> None:
        with client(running) as api:
            answers.append(api.post("/v1/generate", json=KLING))

    with serve(MockConfig(processing_s=60), spec) as running:
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.1)
        host, _, port = running.base_url.removeprefix("http://").partition(":")
        with pytest.raises(OSError, match="in use"), serve(replace(running.config, port=int(port)), spec):
            pass
        left = time.monotonic()
    assert time.monotonic() - left < 0.5
    waiting.join(5)
    assert answers[0].json()["code"] == "internal_error"
    assert caplog.text == ""
    with pytest.raises(OSError, match="refused"):
        socket.create_connection((host, int(port)), timeout=1)


def test_two_mocks_share_nothing(spec: Spec) -> None:
    config = MockConfig()
    with serve(config, spec) as one, serve(config, spec) as two, client(one) as first, client(two) as second:
        id = first.post("/v1/generate", json=KLING).json()["generation_id"]
        assert second.get(f"/v1/generations/{id}").status_code == 404
        assert balance(second) == Decimal(1_000_000)


RUN = "from prospec_conformance.mock import MockConfig, run; run(MockConfig({}))"


@contextmanager
def running_process(config: str = "", **environment: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", RUN.format(config)]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**os.environ, **environment}) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_prints_its_url_and_the_keys_nobody_knows_and_ends_cleanly(number: signal.Signals) -> None:
    known = "prsp-from-the-environment"
    with running_process(f"api_key={known!r}", PROSPOLABS_API_KEY=known) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        url = process.stdout.readline().strip()
        headers = {"Authorization": f"Bearer {known}"}
        assert httpx2.get(f"{url}/v1/balance", headers=headers, trust_env=False).status_code == 200
        process.send_signal(number)
        assert process.wait(5) == 0
        assert process.stdout.read() == ""
        said = process.stderr.read()
    assert "PROSPOLABS_SECOND_API_KEY=prsp-" in said
    assert "PROSPOLABS_WEBHOOK_SECRET=" in said
    assert known not in said
    assert "Traceback" not in said


def test_importing_the_mock_loads_no_server() -> None:
    heavy = "{'starlette', 'uvicorn', 'jsonschema', 'httpx2', 'ruamel'}"
    code = f"import prospec_conformance.mock, sys; print(sorted({heavy} & set(sys.modules)))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"
