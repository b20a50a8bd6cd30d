"""The registries of the mock's faults and variants, and what the telling ones do.

That the suite notices each fault is shown by the kill matrix (test_suite.py). That no variant is dead is shown here, by
a battery of requests that are sent to the application without a socket.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec.schema import request_schema
from prospec_conformance.mock import FAULTS, VARIANTS, MockConfig
from prospec_conformance.mock.app import create_app
from prospec_conformance.mock.changes import row

KEY = "prsp-first"
BEARER = f"Bearer {KEY}"
URL = "https://example.com/a.png"


@dataclass(frozen=True)
class Probe:
    """A request that makes some fault or variant show."""

    method: str
    path: str
    body: bytes = b""
    authorization: str | None = BEARER


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: str
    """With whatever is random taken out."""


def post(body: Any, path: str = "/v1/generate") -> Probe:
    return Probe("POST", path, body if isinstance(body, bytes) else json.dumps(body).encode())


def params(model: str, mode: str, **params: object) -> Probe:
    return post({"model": model, "mode": mode, "params": {"prompt": "a", **params}})


def probes(spec: Spec) -> Iterator[Probe]:
    basic = f"Basic {base64.b64encode(f'{KEY}:'.encode()).decode()}"
    for method, path in (
        ("POST", "/v1/generate"),
        ("GET", "/v1/generations/gen_0"),
        ("POST", "/v1/uploads/initiate"),
        ("PUT", "/v1/uploads/proxy/pl-upload-0"),
        ("GET", "/v1/balance"),
    ):
        for authorization in (None, BEARER, "Bearer prsp-never-issued", KEY, basic, f"Token {KEY}"):
            yield Probe(method, path, b"", authorization)
    short = {"model": "kling-o3", "params": {"prompt": "a"}}
    yield from (post(short), post({**short, "async": True}), post({**short, "model": "kling"}))
    yield from (post({**short, "mode": mode}) for mode in ("text", "edit", 5, None))
    odd_params: list[Any] = [[], "a", None, {}]
    yield from (post({**short, "params": odd}) for odd in odd_params)
    yield from (post(body) for body in (b"{", b"[1]", b"null", b'"a"', b"[" * 100 + b"]" * 100))
    yield from (post({**short, "model": 5}), post({"params": {"prompt": "a"}}), post({"model": "kling-o3"}))
    yield from (post({**short, "webhook_url": 5}), post({**short, "async": "true"}), post({**short, "extra": 1}))
    yield from (post(example.request) for example in spec.examples)
    for param, values in {
        "aspect_ratio": ("4:3", "21:9", " 16:9"),
        "resolution": ("1080p", "720P"),
        "duration": (3, 4, 4.5, 15, 15.5, 16, "5", True, None),
        "seed": (-1, 0, 2147483648, True),
        "generate_audio": (False, "true"),
        "prompt": (5, None),
        "quality": ("high",),
    }.items():
        yield from (params("seedance-2-fast", "text", **{param: value}) for value in values)
    yield params("seedance-2-fast", "text", aspect_ratio="1:1", resolution="480p")
    yield params(
        "seedance-2-fast", "text", aspect_ratio="1:1", resolution="480p", duration=5, generate_audio=True, seed=-1
    )
    yield from (params("kling-o3", "text", **{"aspect_ratio": "4:3"}), params("kling-o3", "text", duration=3))
    yield from (params("veo-3-1-fast", "text", seed=1), params("veo-3-1-fast", "text", duration="4s"))
    yield from (params("veo-3-1", "text"), params("veo-3-1", "text", duration=8), params("kling-v3", "text", other=1))
    yield params("nano-banana-2", "generate", resolution="8K")
    yield params("nano-banana-2", "generate", output_format="png")
    yield params("nano-banana-2", "generate", enable_web_search=True)
    yield params("seedream-5-lite", "generate", num_images=0)
    yield params("seedream-5-lite", "generate", num_images=1, seed=1)
    yield params("gpt-image-2", "generate", num_images=9)
    for size in ((1024, 1000), (3856, 1920), (0, 0), (16, 64), (16, 48)):
        yield params("gpt-image-2", "generate", image_size={"width": size[0], "height": size[1]})
    yield params("gpt-image-2", "generate", image_size={"width": 16})
    for count in (0, 1, 11, 14, 15):
        yield params("nano-banana-2", "edit", image_urls=[URL] * count)
        yield params("seedream-5-lite", "edit", image_urls=[URL] * count)
    for url in ("http://example.com/", "a", "pl-upload-a"):
        yield params("nano-banana-2", "edit", image_urls=[url])
    yield from (params("nano-banana-2", "edit"), params("nano-banana-2", "edit", image_urls=URL))
    yield params("nano-banana-2", "edit", image_urls=[URL, "a"])
    yield params("seedance-2-fast", "reference")
    yield params("seedance-2-fast", "reference", video_urls=[URL] * 4)
    yield params("seedance-2-fast", "reference", image_urls=[URL] * 9)


RANDOM = re.compile(r"gen_[0-9a-f]{16}|pl-upload-[0-9a-f]{32}|(?<=token=)[\w-]+")


class Application:
    """One mock, called without a socket. An exception inside it is raised here."""

    def __init__(
        self, spec: Spec, faults: frozenset[str] = frozenset(), variants: frozenset[str] = frozenset()
    ) -> None:
        config = MockConfig(api_key=KEY, faults=faults, variants=variants)
        self._app = create_app(config, spec, lambda: 1_800_000_000.0)

    async def ask(self, probe: Probe) -> Answer:
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": probe.body}

        async def send(message: Any) -> None:
            sent.append(message)

        given = {"host": "mock", "authorization": probe.authorization}
        headers = [(name.encode(), value.encode()) for name, value in given.items() if value is not None]
        scope = {"type": "http", "method": probe.method, "path": probe.path, "query_string": b"", "headers": headers}
        await self._app({"scheme": "http", "http_version": "1.1", **scope}, receive, send)
        body = b"".join(message.get("body", b"") for message in sent[1:]).decode()
        found = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        for name in ("content-length", "x-ratelimit-remaining"):  # these follow from other answers, or from the body
            found.pop(name, None)
        return Answer(sent[0]["status"], found, RANDOM.sub("*", body))


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load()


@pytest.fixture(scope="module")
def battery(spec: Spec) -> list[tuple[Probe, Answer]]:
    """Each probe, and what a mock without fault or variant answers."""
    application = Application(spec)

    async def ask_all() -> list[tuple[Probe, Answer]]:
        return [(probe, await application.ask(probe)) for probe in probes(spec)]

    return asyncio.run(ask_all())


def differences(battery: list[tuple[Probe, Answer]], application: Application) -> list[tuple[Probe, Answer, Answer]]:
    """(probe, plain answer, answer) wherever the two differ."""

    async def ask_all() -> list[tuple[Probe, Answer, Answer]]:
        answers = [(probe, plain, await application.ask(probe)) for probe, plain in battery]
        return [(probe, plain, answer) for probe, plain, answer in answers if answer != plain]

    return asyncio.run(ask_all())


def test_the_battery_is_answered_as_the_same_each_time(spec: Spec, battery: list[tuple[Probe, Answer]]) -> None:
    assert differences(battery, Application(spec)) == []
    assert {answer.status for _, answer in battery} == {200, 400, 401, 404}


BEYOND = re.compile("webhook-|upload-|never-polled-|synchronous-failure-|failure-costs-nothing|shown-after-its-output")
"""Variants of what no single request shows: webhooks, uploads, failures, the time between two polls."""


@pytest.mark.parametrize("id", [id for id in VARIANTS if not BEYOND.match(id)])
def test_a_variant_changes_answers_but_breaks_no_documented_status(
    id: str, spec: Spec, battery: list[tuple[Probe, Answer]]
) -> None:
    changed = differences(battery, Application(spec, variants=frozenset({id})))
    assert changed
    for probe, plain, answer in changed:
        if plain.status in (401, 404):
            assert answer.status == plain.status, probe
        assert answer.status < 500, probe
        assert isinstance(json.loads(answer.body), dict), probe


def test_an_edit_leaves_alone_a_row_that_does_not_bind(spec: Spec) -> None:
    model = spec.model("kling-o3")
    assert model is not None
    for mode, binds in zip(model.modes, (True, False), strict=True):
        schema = request_schema(spec, model, mode, strict=False)
        row(model.id, mode.id, "duration", maximum=1).schema(model, mode, schema)
        assert ("maximum" in schema["properties"]["params"]["properties"]["duration"]) == binds


def test_every_fault_is_of_requirements_that_there_are(spec: Spec) -> None:
    known = {requirement.id for requirement in spec.requirements}
    assert {fault.requirement for fault in FAULTS.values()} <= known
    for id, fault in FAULTS.items():
        assert id == fault.id
        assert re.fullmatch(rf"{fault.requirement}-[a-z0-9-]+", id)
        assert known.issuperset(fault.also)
        assert fault.requirement not in fault.also


def test_ids_are_unique_and_statements_are_sentences() -> None:
    assert not FAULTS.keys() & VARIANTS.keys()
    for registry in (FAULTS, VARIANTS):
        statements = [entry.statement for entry in registry.values()]
        assert len(set(statements)) == len(statements)
        assert all(statement.endswith(".") for statement in statements)


STATUSES = [
    ("AUTH-01-missing-key-let-in-balance", Probe("GET", "/v1/balance", authorization=None), 401, 200),
    ("AUTH-02-any-key-let-in", Probe("GET", "/v1/balance", authorization="Bearer x"), 401, 200),
    ("AUTH-03-raw-key-let-in", Probe("GET", "/v1/balance", authorization=KEY), 401, 200),
    ("AUTH-04-genuine-key-refused-balance", Probe("GET", "/v1/balance"), 200, 401),
    ("GEN-11-missing-model-accepted", post({"params": {"prompt": "a"}}), 400, 200),
    ("GEN-12-missing-params-422", post({"model": "kling-o3"}), 400, 422),
    ("GEN-13-model-number-500", post({"model": 5, "params": {}}), 400, 500),
    ("GEN-15-unknown-model-404", post({"model": "kling", "params": {}}), 400, 404),
    ("GEN-16-unknown-mode-ignored", params("kling-o3", "edit"), 400, 200),
    ("PARAM-01-prompt-optional", post({"model": "kling-o3", "params": {}}), 400, 200),
    ("PARAM-01-missing-param-422", post({"model": "kling-o3", "params": {}}), 400, 422),
    ("PARAM-01-missing-param-422", params("gpt-image-2", "generate", image_size={"width": 16}), 400, 400),
    ("PARAM-02-boolean-as-number", params("seedance-2-fast", "text", seed=True), 400, 200),
    ("PARAM-03-kling-o3-ratio-4-3", params("kling-o3", "text", aspect_ratio="4:3"), 400, 200),
    ("PARAM-04-duration-3", params("seedance-2-fast", "text", duration=3), 400, 200),
    ("PARAM-05-fraction-cut-off", params("seedance-2-fast", "text", duration=15.5), 400, 200),
    ("PARAM-05-fraction-cut-off", params("seedance-2-fast", "text", duration=16), 400, 400),
    ("PARAM-06-nano-banana-2-image-urls-15", params("nano-banana-2", "edit", image_urls=[URL] * 15), 400, 200),
    ("PARAM-07-http-accepted", params("nano-banana-2", "edit", image_urls=["http://a.b/"]), 400, 200),
    ("PARAM-08-any-ratio", params("gpt-image-2", "generate", image_size={"width": 16, "height": 64}), 400, 200),
    ("PARAM-10-seed-0-refused", params("seedance-2-fast", "text", seed=0), 200, 400),
    ("PARAM-13-value-422", params("kling-o3", "text", duration=2), 400, 422),
    ("PARAM-13-value-422", params("kling-o3", "text", prompt=None), 400, 422),
    ("PARAM-13-value-422", post({"model": "kling-o3", "params": {}}), 400, 400),
    ("ERR-04-not-json-200", post(b"{"), 400, 200),
    ("ERR-05-unknown-200", Probe("GET", "/v1/generations/gen_0"), 404, 200),
]


@pytest.mark.parametrize(("id", "probe", "plain", "faulty"), STATUSES)
def test_a_fault_does_what_it_says(id: str, probe: Probe, plain: int, faulty: int, spec: Spec) -> None:
    assert asyncio.run(Application(spec).ask(probe)).status == plain
    assert asyncio.run(Application(spec, faults=frozenset({id})).ask(probe)).status == faulty
