"""The suite on servers that are no mock of ours: other kinds of rate limit, and answers that make no sense.

What the kill matrix does not prove: that a limit of another make is no fault, that nothing is used up where nobody
asked for it, and that no answer whatever makes a check break.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.implementation import Implementation, Target, until_s
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.pace import LARGEST_LIMIT, Trip, used_up
from prospec_conformance.report import Report
from prospec_conformance.run import Options, run
from prospec_conformance.spend import Ledger

SPEC: Spec = load()
AREAS = frozenset({"AUTH", "GEN", "PARAM", "ERR", "RATE"})
KEY = "prsp-0123456789abcdef"
NOW_S = 1_700_000_000.0
Answer = tuple[int, Mapping[str, str], bytes]


@contextmanager
def answering(answer: Callable[[str], Answer]) -> Iterator[str]:
    """A server that answers every request by its path; its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body in one piece: the second of two would wait for the first to be acknowledged.
        wbufsize = 1 << 16

        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, headers, body = answer(self.path)
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = respond  # noqa: N815 - the names that http.server looks for

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def _outcomes(report: Report) -> dict[str, str]:
    return {each.requirement.id: each.outcome for each in report.summed if each.is_checked}


def _of_mock(options: Options, *, controlled: bool, **config: Any) -> Report:
    mock = MockConfig(**config)
    with serve(mock, SPEC) as server:
        token = mock.control_token if controlled else None
        target = Target(server.base_url, mock.api_key, mock.second_api_key, None, token, is_mock=True)
        return run(SPEC, target, options, say=lambda line: None)


def test_a_limited_mock_under_control_keeps_every_promise() -> None:
    report = _of_mock(Options(seed=1, areas=frozenset({"RATE"})), controlled=True, rate_limit=60)
    assert set(_outcomes(report).values()) == {"passed"}


def test_nothing_is_used_up_unless_it_is_asked_for() -> None:
    """Neither a clock nor --slow: whoever shares the key is not shut out."""
    report = _of_mock(Options(seed=1, areas=frozenset({"RATE"})), controlled=False, rate_limit=60)
    found = _outcomes(report)
    trips = {id for id in found if "slow" in SPEC.requirement(id).needs}
    assert trips == {"RATE-11", "RATE-12", "RATE-13", "RATE-14", "RATE-15"}
    assert {found[id] for id in trips} == {"skipped"}
    assert {found[id] for id in found.keys() - trips} == {"passed"}
    assert report.requests < 60


def test_a_large_limit_is_left_alone() -> None:
    report = _of_mock(Options(seed=1, areas=frozenset({"RATE"})), controlled=True, rate_limit=LARGEST_LIMIT + 1)
    assert _outcomes(report)["RATE-11"] == _outcomes(report)["RATE-01"] == "skipped"
    assert report.requests < 60


def _limited(allows: Callable[[], tuple[bool, int]], limit: int) -> Callable[[str], Answer]:
    """Answers a balance, or 429, with the headers; `allows` says whether, and what remains."""

    def answer(_path: str) -> Answer:
        let_in, remaining = allows()
        headers = {
            "X-RateLimit-Limit": str(limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": "60",
            "Content-Type": "application/json",
        }
        body = {"balance_usd": 1.0, "currency": "USD"} if let_in else {"code": "rate_limit_exceeded", "message": "No."}
        return (200 if let_in else 429), headers, json.dumps(body).encode()

    return answer


def _bucket(limit: int, window_s: float) -> Callable[[], tuple[bool, int]]:
    """Refills bit by bit."""
    level, filled_s = float(limit), time.monotonic()

    def allows() -> tuple[bool, int]:
        nonlocal level, filled_s
        now_s = time.monotonic()
        level, filled_s = min(limit, level + (now_s - filled_s) * limit / window_s), now_s
        let_in = level >= 1
        level -= let_in
        return let_in, int(level)

    return allows


def _sliding(limit: int, window_s: float) -> Callable[[], tuple[bool, int]]:
    """Looks back on the last window."""
    sent: deque[float] = deque()

    def allows() -> tuple[bool, int]:
        now_s = time.monotonic()
        while sent and sent[0] <= now_s - window_s:
            sent.popleft()
        let_in = len(sent) < limit
        if let_in:
            sent.append(now_s)
        return let_in, limit - len(sent)

    return allows


def _fixed(limit: int, window_s: float) -> Callable[[], tuple[bool, int]]:
    """Starts anew at every full minute."""
    window, used = -1, 0

    def allows() -> tuple[bool, int]:
        nonlocal window, used
        current = int(time.monotonic() / window_s)
        window, used = current, used if current == window else 0
        let_in = used < limit
        used += let_in
        return let_in, limit - used

    return allows


def _boasting(limit: int, _window_s: float) -> Callable[[], tuple[bool, int]]:
    """Tells of a limit, and keeps none."""
    sent = 0

    def allows() -> tuple[bool, int]:
        nonlocal sent
        sent += 1
        return True, max(limit - sent, 0)

    return allows


@contextmanager
def _implementation(base_url: str) -> Iterator[Implementation]:
    implementation = Implementation(Target(base_url, KEY), Ledger(SPEC, None), say=lambda line: None)
    yield implementation
    implementation.close()


@pytest.mark.parametrize("make", [_bucket, _sliding, _fixed])
@pytest.mark.parametrize("limit", [5, 60])
def test_any_kind_of_limit_is_one(make: Callable[[int, float], Callable[[], tuple[bool, int]]], limit: int) -> None:
    with answering(_limited(make(limit, 60.0), limit)) as base_url, _implementation(base_url) as implementation:
        trip: Trip = used_up(implementation)
    assert trip.refused is not None
    assert len(implementation.exchanges) <= 2 * limit + 10


def test_a_limit_that_is_told_and_not_kept_is_none() -> None:
    with answering(_limited(_boasting(60, 60.0), 60)) as base_url, _implementation(base_url) as implementation:
        trip = used_up(implementation)
    assert trip.refused is None
    assert len(trip.let_in) > 60


@pytest.mark.parametrize("make", [_bucket, _sliding, _fixed])
def test_no_check_of_the_headers_fails_on_another_kind_of_limit(
    make: Callable[[int, float], Callable[[], tuple[bool, int]]],
) -> None:
    with answering(_limited(make(60, 60.0), 60)) as base_url:
        target = Target(base_url, KEY, is_mock=True)
        report = run(SPEC, target, Options(seed=1, areas=frozenset({"RATE"})), say=lambda line: None)
    assert set(_outcomes(report).values()) <= {"passed", "warned", "skipped"}
    assert {_outcomes(report)[id] for id in ("RATE-02", "RATE-06", "RATE-07", "RATE-09", "RATE-18")} == {"passed"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0", 0),
        ("59.5", 59.5),
        ("1700000030", 30),
        ("1700000030000", 30),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30),
        ("2023-11-14T22:13:50Z", 30),
        ("2023-11-14T23:13:50+01:00", 30),
        ("2023-11-14T22:13:50", 30),
        ("soon", None),
        ("", None),
        ("60;w=60", None),
        ("\x00", None),
    ],
)
def test_a_moment_is_read_in_any_unit(text: str, seconds: float | None) -> None:
    assert until_s(text, NOW_S) == (None if seconds is None else pytest.approx(seconds))


JSON = {"Content-Type": "application/json"}
ODD = {"X-RateLimit-Limit": "many", "X-RateLimit-Remaining": "-3.5", "X-RateLimit-Reset": "\xff", "Date": "yesterday"}
HUGE = {"X-RateLimit-Limit": "9" * 400, "X-RateLimit-Remaining": "9" * 400, "X-RateLimit-Reset": "9" * 400}
ABSURD: Mapping[str, Answer] = {
    "nothing": (200, {}, b""),
    "no JSON": (200, JSON, b"\xff\xfe not JSON"),
    "a page": (200, {"Content-Type": "text/html"}, b"<!doctype html>"),
    "null": (200, JSON, b"null"),
    "a list": (200, JSON, b"[1, 2, 3]"),
    "deep": (200, JSON, b"[" * 100_000),
    "members of another type": (
        200,
        {**JSON, **ODD},
        json.dumps(
            {name: {"x": [1]} for name in ("generation_id", "status", "token", "balance_usd", "code", "detail")}
        ).encode(),
    ),
    "numbers that are none": (
        200,
        {**JSON, **HUGE},
        b'{"generation_id": "gen_1", "status": "completed", "cost_usd": NaN, "duration_ms": 1e999, '
        b'"balance_usd": -Infinity, "output_url": "https://[", "token": ""}',
    ),
    "an id for a path": (
        200,
        {**JSON, **ODD},
        b'{"generation_id": "../../\\u0000\\ud800 ?#", "status": "queued", "output_url": "ftp://x", '
        b'"token": "\\u2028/.."}',
    ),
    "a redirection": (302, {"Location": "/elsewhere"}, b""),
    "a refusal without words": (400, {}, b""),
    "a code that is a list": (400, JSON, b'{"code": [[]], "message": {}, "detail": 5}'),
    "a number for an answer": (404, JSON, b"404"),
    "not here": (403, {**JSON, **HUGE}, b'{"error": {"code": {}, "message": []}}'),
    "an unknown status": (418, {}, b"short and stout"),
    "a failure": (500, {}, b""),
    "far away": (504, JSON, b"{}"),
    "an informal one": (999, ODD, b"{}"),
}


@pytest.mark.parametrize("name", ABSURD)
def test_no_answer_makes_a_check_break(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospec_conformance.generations.LAG_S", 0.0)
    monkeypatch.setattr("prospec_conformance.generations.LONGEST_S", 0.0)
    monkeypatch.setattr("prospec_conformance.implementation.LONGEST_WAIT_S", 0.01)
    with answering(lambda _path: ABSURD[name]) as base_url:
        target = Target(base_url, KEY, f"{KEY}0", is_mock=True)
        report = run(SPEC, target, Options(seed=1, areas=AREAS, examples=1), say=lambda line: None)
    broken = {each.requirement.id: each.reason for each in report.summed if each.outcome == "error"}
    assert broken == {}
