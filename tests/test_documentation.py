"""The documentation's own samples, run as they are written, on the mock: what they get is what the documentation shows.

The samples are in cases/documentation, without the line numbers that the page prints beside them. What this changes in
a sample before it is run: the host, and the key. Whether the mock keeps its promises beyond them is in test_mock.py.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import pytest
from machine import lacking
from prospec.ir import Spec
from prospec_conformance.mock import MockConfig, Running, serve

SAMPLES = Path(__file__).parent / "cases" / "documentation"
HOST = "https://api.prospolabs.com"
KEY = "prsp-your-api-key"
ID = "gen_a1b2c3d4e5f6"
TOKEN = "pl-upload-3d756375a28d44cead027db57565f176"
CLIP = b"\0\0\0\x18ftypmp42" + bytes(100_000)
"""The mock does not look into a file."""
BALANCE_USD = Decimal("20.00")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
COMMANDS = ("quick-start", "initiate-upload", "put-upload", "use-upload", "check-balance")
"""In the order of the page."""


def sample(name: str) -> str:
    return (SAMPLES / name).read_text("utf-8")


def answer_in(command: str) -> Any:
    """The answer that a sample of a command shows in its comments."""
    comments = [line.removeprefix("#") for line in sample(f"{command}.sh").splitlines() if line.startswith("#")]
    return json.loads("\n".join(comments).strip().removeprefix("Response:"))


def shape(value: object) -> object:
    """The members of an answer and the JSON type of each."""
    match value:
        case dict():
            return {name: shape(item) for name, item in value.items()}
        case int() | float():
            return "number"
        case _:
            return type(value).__name__


@contextmanager
def connected(running: Running, path: str = "", **headers: str) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=running.base_url + path, headers=headers, trust_env=False, timeout=30) as opened:
        yield opened


def api(running: Running) -> Any:
    return connected(running, Authorization=f"Bearer {running.config.api_key}")


def control(running: Running) -> Any:
    return connected(running, "/__mock", **{"X-Mock-Token": running.config.control_token})


def until(is_so: Callable[[], object]) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends, "it did not happen in 30 s"
        time.sleep(0.01)


# The commands


@dataclass(frozen=True)
class Answered:
    path: str
    status: int
    text: str

    @property
    def body(self) -> Any:
        return json.loads(self.text)


@pytest.fixture(scope="module")
def answers(spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answered]:
    """Every command of the page in its order, by a shell, in a folder with the clip, and what each got."""
    shell, curl = shutil.which("sh"), shutil.which("curl")
    if not shell or not curl:
        lacking("sh or curl is not installed")
    folder = tmp_path_factory.mktemp("desk")
    (folder / "my-clip.mp4").write_bytes(CLIP)
    config = MockConfig(balance_usd=BALANCE_USD, generation_ids=(ID,), upload_tokens=(TOKEN,))
    printed = []
    with serve(config, spec) as running, control(running) as steer:
        # Without a home there is no .curlrc, and without the rest of the environment no proxy.
        environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "PROSPOLABS_API_KEY": config.api_key}
        for name in COMMANDS:
            text = sample(f"{name}.sh").replace(HOST, running.base_url).replace(KEY, config.api_key)
            assert urlsplit(HOST).netloc not in text
            ran = subprocess.run(
                [shell],
                input=text,
                cwd=folder,
                env=environment,
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
            assert ran.returncode == 0, ran.stderr
            printed.append(ran.stdout)
        seen = steer.get("/requests").json()["requests"]
    return {
        name: Answered(each["path"], each["status"], text)
        for name, each, text in zip(COMMANDS, seen, printed, strict=True)
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_goes_where_it_says_and_is_answered_200(answers: dict[str, Answered], command: str) -> None:
    (url,) = re.findall(rf"{HOST}(/[^\s\"]*)", sample(f"{command}.sh"))
    assert (answers[command].path, answers[command].status) == (url, 200), answers[command].text


def test_the_quick_start_gets_the_response_example(answers: dict[str, Answered]) -> None:
    body, example = answers["quick-start"].body, json.loads(sample("response-example.json"))
    assert shape(body) == shape(example)
    varies = ("output_url", "duration_ms")
    assert [body[name] for name in example if name not in varies] == [
        example[name] for name in example if name not in varies
    ]
    output, documented = urlsplit(body["output_url"]), urlsplit(example["output_url"])
    assert output.path == documented.path
    assert re.fullmatch(re.escape(documented.query).replace(r"\.\.\.", "[^&]+"), output.query)


def test_an_upload_gets_the_answers_that_its_commands_show(answers: dict[str, Answered]) -> None:
    assert answers["initiate-upload"].body == answer_in("initiate-upload")
    assert answers["put-upload"].body == answer_in("put-upload") | {"bytes": len(CLIP)}


def test_a_generation_takes_the_token_of_the_upload(answers: dict[str, Answered]) -> None:
    body = answers["use-upload"].body
    assert shape(body) == shape(json.loads(sample("response-example.json")))
    assert (body["status"], body["model"], body["mode"]) == ("completed", "seedance-2", "reference")
    assert body["generation_id"].startswith("gen_")
    assert body["generation_id"] != ID


def test_the_balance_is_what_the_generations_have_left(answers: dict[str, Answered]) -> None:
    body, example = answers["check-balance"].body, answer_in("check-balance")
    assert shape(body) == shape(example)
    assert body["currency"] == example["currency"]
    spent = sum(Decimal(str(answers[name].body["cost_usd"])) for name in ("quick-start", "use-upload"))
    assert Decimal(str(body["balance_usd"])) == BALANCE_USD - spent


# The answers that are shown without a command


def polled_samples() -> dict[str, Any]:
    """The four bodies of a polled generation, by status."""
    _, *parts = sample("polling-for-status.txt").split("\n\n")
    bodies = [json.loads(part.partition("\n")[2]) for part in parts]
    return {body["status"]: body for body in bodies}


def test_an_asynchronous_generation_gets_the_initial_response_and_then_those_of_polling(spec: Spec) -> None:
    initial, polled = json.loads(sample("initial-response.json")), polled_samples()
    assert list(polled) == ["queued", "processing", "completed", "failed"]
    lasts_s = polled["completed"]["duration_ms"] / 1000
    seconds = [datetime.fromisoformat(initial["created_at"]).timestamp()]
    config = MockConfig(processing_s=lasts_s, generation_ids=(ID,))
    with serve(config, spec, clock=lambda: seconds[0]) as running, api(running) as asked:
        request = {"model": initial["model"], "mode": initial["mode"], "params": {"prompt": "a quiet harbour"}}
        accepted = asked.post("/v1/generate?async=true", json=request)
        assert (accepted.status_code, accepted.json()) == (
            200,
            initial | {"poll_url": initial["poll_url"].replace(HOST, running.base_url)},
        )
        for status in ("queued", "processing"):
            assert asked.get(accepted.json()["poll_url"]).json() == polled[status] | {"generation_id": ID}
            seconds[0] += lasts_s * 0.75
        completed = asked.get(accepted.json()["poll_url"]).json()
        assert shape(completed) == shape(polled["completed"])
        same = ("status", "model", "mode", "duration_ms")
        assert [completed[name] for name in same] == [polled["completed"][name] for name in same]
        failing = asked.post("/v1/generate?async=true", json=request | {"params": {"prompt": "mock:fail"}}).json()
        seconds[0] += lasts_s
        failed = asked.get(failing["poll_url"]).json()
        assert failed == polled["failed"] | {"generation_id": failing["generation_id"]}


@pytest.mark.parametrize("variant", [None, "error-detail-only"])
def test_an_empty_balance_gets_the_error_response_example(spec: Spec, variant: str | None) -> None:
    example = json.loads(sample("error-response-example.json"))
    config = MockConfig(balance_usd=Decimal(0), variants=frozenset([variant] if variant else []))
    with serve(config, spec) as running, api(running) as asked:
        request = {"model": "veo-3-1", "mode": "text", "params": {"prompt": "a quiet harbour"}}
        refused = asked.post("/v1/generate", json=request)
        assert refused.status_code == 403
        assert refused.json() | example == refused.json()
        assert variant is None or refused.json() == example


# The webhook handler


EXPRESS = """
import http from 'node:http';

const handlers = new Map();
globalThis.app = { post: (path, handler) => handlers.set(path, handler) };
await import('./verify-webhook.js');

http.createServer(async (req, res) => {
  const chunks = [];
  for await (const chunk of req) chunks.push(chunk);
  res.status = (code) => { res.statusCode = code; return res; };
  res.send = (text) => res.end(text);
  try {
    req.body = JSON.parse(Buffer.concat(chunks).toString('utf8'));
  } catch {
    return res.status(400).send('Bad Request');
  }
  try {
    handlers.get(req.url)(req, res);
  } catch (error) {
    res.status(500).send(error.name);
  }
}).listen(0, '127.0.0.1', function () { console.log(this.address().port); });
"""
"""Stands in for what the sample takes from Express: `app.post`, `res.status().send()`, the body parsed by
`express.json()` (a body that is no JSON is a 400), and a handler that throws is a 500. The rest is node:http."""
SECRET = "whsec-test"
"""As in the vectors."""
RIGHTS = ("PATH", "HOME", "SystemRoot")
VERDICTS = {
    "documented-payload-on-one-line": 200,
    "cost-0-4-own-signature": 200,
    "failed-event": 200,
    "cost-changed": 401,
    "event-changed": 401,
    # GAP-29: the handler signs what it would have written itself, so that it refuses genuine events, and takes one
    # whose bytes are not those that were signed.
    "documented-payload": 401,
    "cost-0-40-on-one-line": 401,
    "number-3-0": 401,
    "number-1e2": 401,
    "duplicate-keys": 401,
    "text-e-acute-escaped": 401,
    "cost-0-4-signature-on-0-40": 200,
}
"""What the handler says to a vector."""


@dataclass(frozen=True)
class Handler:
    """The sample, listening."""

    url: str
    client: httpx2.Client
    printed: Path
    """What it has printed so far; the port in the first line."""

    def says(self, body: bytes, signature: str | None) -> int:
        headers = {"Content-Type": "application/json"}
        if signature is not None:
            headers["X-Prospo-Signature"] = signature
        return self.client.post(self.url, content=body, headers=headers).status_code


@pytest.fixture(scope="module")
def handler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Handler]:
    node = shutil.which("node") or shutil.which("nodejs")
    if not node:
        lacking("Node.js is not installed")
    folder = tmp_path_factory.mktemp("handler")
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "verify-webhook.js").write_text(sample("verify-webhook.js"), "utf-8")
    (folder / "express.js").write_text(EXPRESS, "utf-8")
    printed = folder / "printed.txt"
    environment = {name: os.environ[name] for name in RIGHTS if name in os.environ} | {"WEBHOOK_SECRET": SECRET}
    with (
        printed.open("wb") as out,
        subprocess.Popen([node, "express.js"], cwd=folder, env=environment, stdout=out) as ran,
    ):
        try:
            until(lambda: printed.read_text("utf-8").endswith("\n") or ran.poll() is not None)
            assert ran.poll() is None
            with httpx2.Client(trust_env=False, timeout=30) as client:
                yield Handler(f"http://127.0.0.1:{int(printed.read_text('utf-8'))}/api/webhook", client, printed)
        finally:
            ran.kill()


@pytest.fixture(scope="module")
def sending(spec: Spec) -> Iterator[Running]:
    with serve(MockConfig(webhook_secret=SECRET), spec) as running:
        yield running


def delivered(running: Running, url: str, **params: object) -> dict[str, Any]:
    """One event of the mock's, once the receiver at the URL has answered to it."""
    request = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour", **params}}
    with api(running) as asked, control(running) as steer:
        id = asked.post("/v1/generate?async=true", json=request | {"webhook_url": url}).json()["generation_id"]

        def told() -> list[Any]:
            deliveries = steer.get("/deliveries").json()["deliveries"]
            return [each for each in deliveries if each["generation_id"] == id and _statuses(each)]

        until(told)
        return dict(told()[0])


def _statuses(delivery: dict[str, Any]) -> list[int]:
    return [each["status"] for each in delivery["attempts"] if each["status"] is not None]


def test_an_event_has_the_documented_payload(sending: Running) -> None:
    example = json.loads(sample("payload-format.json"))
    # Whoever answers will do; here it is the mock itself, with a 404.
    body = json.loads(delivered(sending, f"{sending.base_url}/nobody")["body"])
    assert shape(body) == shape(example)
    assert list(body) == list(example)
    assert body["event"] == example["event"]
    assert TIME.fullmatch(body["timestamp"])


def test_the_handler_takes_an_event_that_it_would_write_the_same_way(sending: Running, handler: Handler) -> None:
    event = delivered(sending, handler.url, duration=5)
    assert '"cost_usd":0.5,' in event["body"]
    assert (event["state"], _statuses(event)) == ("delivered", [200])
    output = json.loads(event["body"])["data"]["output_url"]
    assert handler.printed.read_text("utf-8").splitlines()[-1] == f"Output ready: {output} cost: 0.5"


def test_the_handler_refuses_a_genuine_event_whose_cost_it_would_write_otherwise(
    sending: Running, handler: Handler
) -> None:
    """GAP-29: the documentation's own flaw. The mock signs the bytes it sends, and 1.0 comes out of JavaScript as 1."""
    event = delivered(sending, handler.url, duration=10)
    assert '"cost_usd":1.0,' in event["body"]
    assert (event["state"], _statuses(event)) == ("pending", [401])


def test_the_handler_s_verdict_on_the_vectors(spec: Spec, handler: Handler) -> None:
    vectors = {each["id"]: each for each in spec.vectors.webhooks if each["id"] in VERDICTS}
    assert {each["secrets"][0] for each in vectors.values()} == {SECRET}
    said = {id: handler.says(each["body"].encode(), each["signature"]) for id, each in vectors.items()}
    assert said == VERDICTS
    wrong = [id for id, each in vectors.items() if (said[id] == 200) is not each["valid"]]
    assert len(wrong) == 7


def test_the_handler_breaks_on_a_signature_of_another_length(spec: Spec, handler: Handler) -> None:
    """GAP-29 again: the comparison throws, so that a 500 stands where a 401 belongs."""
    lengths = set()
    for each in spec.vectors.webhooks:
        signature = each.get("signature") or ""
        is_sendable = signature.isascii() and signature.isprintable() and signature == signature.strip()
        if each["id"].startswith("signature-") and is_sendable and len(signature) < 8000:
            expected = 401 if len(signature) == 64 else 500
            assert handler.says(each["body"].encode(), each.get("signature")) == expected, each["id"]
            lengths.add(len(signature))
    assert lengths >= {0, 63, 64, 65, 128}
