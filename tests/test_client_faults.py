"""The clients against whatever an implementation may do: every fault and variant of the mock, and answers at random.

A call ends in an answer or in an error of the tree, in time, and after one POST at most.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import prospo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prospec.ir import Spec
from prospec_conformance.mock import FAULTS, VARIANTS, MockConfig, Running, create_app, serve
from steering import receiving

KEY = "prsp-local"
BALL: dict[str, Any] = {"model": "kling-o3", "params": {"prompt": "a ball"}}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
    max_leaves=4,
)
URLS = st.sampled_from(
    [
        "http://127.0.0.1/a",
        "https://[::1",
        "//",
        "http:///x",
        "http://h:99999/",
        "/a?b",
        "http://h/..",
        "http://h/a\x00",
    ]
)
WELL = {
    "generation_id": st.just("gen_a"),
    "status": st.sampled_from(["queued", "completed", "failed", "new"]),
    "output_url": URLS,
    "cost_usd": st.just(0.5),
    "balance_usd": st.just(5),
    "token": st.just("pl-upload-a"),
    "upload_url": URLS,
    "content_type": st.just("image/png"),
}
"""An answer that does for every call."""
NAMES = (*WELL, "model", "mode", "duration_ms", "currency", "code", "detail", "message", "more")
ODD = st.fixed_dictionaries({}, optional=dict.fromkeys(NAMES, JSON))
BODIES = st.binary(max_size=9) | (
    JSON | st.fixed_dictionaries(WELL) | st.builds(lambda well, odd: {**well, **odd}, st.fixed_dictionaries(WELL), ODD)
).map(lambda value: json.dumps(value).encode())
HEADERS = st.dictionaries(
    st.sampled_from(["Retry-After", "X-RateLimit-Reset", "X-RateLimit-Limit", "X-Request-Id", "Location"]),
    st.sampled_from(
        ["", "0", "1e9", "-1", "9" * 19, "\xb2", "Wed, 21 Oct 2015 07:28:00 GMT", "nan", "http://[", "a\x1bb"]
    ),
)
ANSWERS = st.tuples(
    st.sampled_from([*[200] * 9, 201, 202, 204, 302, 400, 404, 410, 418, 429, 500, 504]), HEADERS, BODIES
)


class Drawn(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Answers whatever was drawn, the last of it for ever."""

    def __init__(self, answers: list[Any]) -> None:
        self.answers = answers

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        status, headers, body = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        named = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        return httpx2.Response(status, headers=named, content=body)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return self.handle_request(request)


@settings(max_examples=150, deadline=None)
@given(st.lists(ANSWERS, min_size=1, max_size=3))
def test_whatever_a_server_answers_is_an_answer_or_an_error_of_ours(answers: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr("prospo.exchange.ATTEMPTS", 1)
        (Path(folder) / "a.png").write_bytes(PNG)

        def do(client: prospo.Client) -> None:
            for call in calls(Path(folder), 0.05):
                with suppress(prospo.ProspoError):
                    done = call(client)
                    if isinstance(done, prospo.Result) and done.output_url:
                        done.download(folder)

        async def do_async() -> None:
            async with prospo.AsyncClient(
                KEY, "http://127.0.0.1", transport=Drawn([*answers]), poll_s=0.02, timeout_s=0.05
            ) as client:
                for call in calls(Path(folder), 0.05):
                    with suppress(prospo.ProspoError):
                        done = await call(client)
                        if isinstance(done, prospo.AsyncResult) and done.output_url:
                            await done.download(folder)

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with prospo.Client(
                KEY, "http://127.0.0.1", transport=Drawn([*answers]), poll_s=0.02, timeout_s=0.05
            ) as client:
                do(client)
            asyncio.run(do_async())
        assert {path.suffix for path in Path(folder).iterdir()} <= {".png", ""}


AREAS = sorted({fault.partition("-")[0] for fault in FAULTS})
WRONG: list[dict[str, Any]] = [
    {"model": "kling-o3", "params": {"prompt": "x", "duration": 16, "aspect_ratio": "16x9"}},
    {"model": "nope", "params": {}},
    {"model": "kling-o3"},
]


CONTEXT = ssl.create_default_context()
"""One for all: reading the certificates of the world takes longer than a fault."""


class Counting(httpx2.HTTPTransport):
    """Counts the paid requests that leave, but for those that are answered 429."""

    posts = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        is_paid = (request.method, request.url.path) == ("POST", "/v1/generate")
        self.posts += is_paid
        response = super().handle_request(request)
        self.posts -= is_paid and response.status_code == 429
        return response


class CountingInProcess(httpx2.ASGITransport):
    """The same, without a socket."""

    posts = 0

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        is_paid = (request.method, request.url.path) == ("POST", "/v1/generate")
        self.posts += is_paid
        response = await super().handle_async_request(request)
        self.posts -= is_paid and response.status_code == 429
        return response


def calls(folder: Path, timeout_s: float = 2) -> Iterator[Callable[[Any], Any]]:
    """Each endpoint, well used and wrongly: what a client makes of one is a step, or several one after the other."""
    yield lambda client: client.balance()
    yield lambda client: client.kling_o3.text(prompt="x")
    yield lambda client: client.with_options(blocking=False, timeout_s=timeout_s).kling_o3.text(prompt="x")
    yield lambda client: client.upload(folder / "a.png")
    yield lambda client: client.with_options(upload_files=True).seedream_5_lite.edit(
        prompt="x", image_urls=[str(folder / "a.png")]
    )
    yield lambda client: client.job("gen_unknown").status()
    for wrong in WRONG:
        yield lambda client, wrong=wrong: client.batch([wrong], validate=False, timeout_s=timeout_s)


async def everything(client: prospo.AsyncClient, counting: CountingInProcess, folder: Path) -> list[str]:
    """The name of each outcome. Whatever is no error of ours leaves this function."""
    told = []
    for call in [*calls(folder), lambda client: client.generate(model="seedream-5-lite", params={"prompt": "x"})]:
        before = counting.posts
        try:
            done = await call(client)
            if isinstance(done, prospo.AsyncResult) and done.output_url is not None:
                await done.download(folder / "out")
            told.append("done")
        except prospo.ProspoError as error:
            told.append(type(error).__name__)
        assert counting.posts <= before + 1
    return told


def everything_blocking(mock: Running, hook: str, folder: Path) -> list[str]:
    """The same over a socket, with a webhook, and with a key that is none."""
    told = []
    counting = Counting(CONTEXT)
    with prospo.Client(KEY, mock.base_url, transport=counting, poll_s=0.02, webhook_url=hook) as client:
        for call in [*calls(folder), lambda client: client.generate(model="seedream-5-lite", params={"prompt": "x"})]:
            before = counting.posts
            try:
                done = call(client)
                if isinstance(done, prospo.Result) and done.output_url is not None:
                    done.download(folder / f"out{mock.base_url[-5:]}")
                told.append("done")
            except prospo.ProspoError as error:
                told.append(type(error).__name__)
            assert counting.posts <= before + 1
    with prospo.Client("prsp-wrong", mock.base_url, transport=Counting(CONTEXT)) as stranger:
        for call in (stranger.balance, lambda: stranger.generate(**BALL)):
            try:
                call()
                told.append("let in")
            except prospo.ProspoError as error:
                told.append(type(error).__name__)
    return told


def in_process_counted(spec: Spec, folder: Path, **config: Any) -> list[str]:
    counting = CountingInProcess(create_app(MockConfig(api_key=KEY, **config), spec))

    async def run() -> list[str]:
        async with prospo.AsyncClient(KEY, "http://127.0.0.1", transport=counting, poll_s=0.02) as client:
            return await everything(client, counting, folder)

    return asyncio.run(run())


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_of_conforming_is_understood(variant: str, spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = in_process_counted(spec, tmp_path, variants=frozenset({variant}))
    # Whoever leaves out what this one asks for is refused, as the documentation's "required" lets it.
    assert set(told) - {"BadRequest" if variant == "defaulted-required" else ""} == {"done", "NotFound"}


@pytest.mark.parametrize("area", AREAS)
def test_no_fault_of_an_implementation_is_more_than_an_error_of_ours(
    area: str, spec: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every fault of the mock, met by both clients: an answer or an error of the tree, one POST a call, and no hang.

    What was delivered to a webhook is an event, or a bad signature.
    """
    monkeypatch.setattr("prospo.exchange.ATTEMPTS", 1)
    (tmp_path / "a.png").write_bytes(PNG)

    def meet(fault: str) -> set[str]:
        began = time.monotonic()
        config = MockConfig(api_key=KEY, webhook_secret="whsec", faults=frozenset({fault}))
        with serve(config, spec) as mock, receiving() as hook:
            met = everything_blocking(mock, hook.url, tmp_path)
            if area == "HOOK":
                time.sleep(0.3)
        for body, signature in hook.came:
            with suppress(prospo.BadSignature):
                prospo.webhooks.unwrap(body, signature, "whsec")
        met += in_process_counted(spec, tmp_path, faults=frozenset({fault}))
        assert time.monotonic() - began < 120, fault
        return set(met)

    with warnings.catch_warnings(), ThreadPoolExecutor(16) as threads:
        warnings.simplefilter("ignore")
        faults = [fault for fault in FAULTS if fault.partition("-")[0] == area]
        assert {"done", "Unauthorized"} <= set().union(*threads.map(meet, faults))
