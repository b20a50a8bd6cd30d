"""The checks of generations and of money, beyond the kill matrix: foreign choices, garbage, other spenders, few means.

The life cycle as a state machine is here too, with the pure parts that it and the money checks rest on.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance import generations
from prospec_conformance.implementation import Exchange, Target
from prospec_conformance.lifecycle import RANK, went_back
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.money import amount, is_paid, is_rounded
from prospec_conformance.report import Report
from prospec_conformance.run import Options, run
from prospec_conformance.urls import path_below

SPEC: Spec = load()
AREAS = frozenset({"ASYNC", "BAL"})


def judged(
    options: Options, *, is_mock: bool = True, is_steered: bool = True, has_second: bool = True, **config: object
) -> Report:
    mock = MockConfig(**config)  # type: ignore[arg-type]
    with serve(mock, SPEC) as server:
        target = Target(
            server.base_url,
            mock.api_key,
            mock.second_api_key if has_second else None,
            control_token=mock.control_token if is_steered else None,
            is_mock=is_mock,
        )
        return run(SPEC, target, options, say=lambda line: None)


def outcomes(report: Report) -> dict[str, str]:
    return {each.requirement.id: each.outcome for each in report.summed if each.is_checked}


def reason(report: Report, id: str) -> str:
    return next(each.reason or "" for each in report.summed if each.requirement.id == id)


def only(*ids: str, **more: Any) -> Options:
    """The areas of those requirements."""
    return Options(seed=1, **{"examples": 0, "areas": frozenset(id.partition("-")[0] for id in ids), **more})


def test_without_a_second_key_and_control_what_needs_them_is_skipped_and_the_rest_passes() -> None:
    report = judged(only(*AREAS), is_steered=False, has_second=False)
    needing = {each.id for each in SPEC.requirements if {"control", "clock", "second-account"} & set(each.needs)}
    for id, outcome in outcomes(report).items():
        assert outcome == ("skipped" if id in needing else "passed"), (id, reason(report, id))
    assert "PROSPEC_MOCK_TOKEN" in reason(report, "ASYNC-18")
    assert "PROSPOLABS_SECOND_API_KEY" in reason(report, "ASYNC-28")


def test_at_60_requests_a_minute_all_pass() -> None:
    assert set(outcomes(judged(only(*AREAS, examples=3), rate_limit=60)).values()) == {"passed"}


def test_without_money_only_what_is_free_is_judged() -> None:
    report = judged(only(*AREAS), is_mock=False, is_steered=False)
    free = {each.id for each in SPEC.requirements if each.cost == "free" and not each.needs}
    assert {id for id, outcome in outcomes(report).items() if outcome == "passed"} == free & outcomes(report).keys()
    assert report.spend_usd == 0


def test_without_money_a_free_fault_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _short_waits(monkeypatch)
    report = judged(only("BAL-07"), is_mock=False, is_steered=False, faults=frozenset({"BAL-07-no-model-charged"}))
    assert outcomes(report)["BAL-07"] == "failed"


@pytest.mark.parametrize("ceiling", [Decimal("0.03"), Decimal("0.06"), Decimal("1")])
def test_the_ceiling_holds_and_each_observation_is_paid_for_once(ceiling: Decimal) -> None:
    report = judged(only(*AREAS, examples=5, max_spend_usd=ceiling), is_mock=False, is_steered=False)
    assert 0 < report.spend_usd <= ceiling
    assert {"failed", "warned", "error"}.isdisjoint(outcomes(report).values())
    # Four ways to be asynchronous, one to be synchronous, and the few of the state machine: at 0.014 USD each.
    assert report.spend_usd <= 8 * 0.014 + 0.0001


# Another program spends from the same account


@contextmanager
def _spending_between(on: Callable[[int], bool]) -> Iterator[Target]:
    """A mock before which a proxy stands, that spends a cent whenever `on` says so of a request for the balance."""
    mock = MockConfig()
    with serve(mock, SPEC) as server, httpx2.Client(trust_env=False) as client:
        spent, asked = Decimal(0), 0

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            nonlocal spent, asked
            kept = {name: value for name, value in headers.items() if name.lower() not in ("host", "content-length")}
            got = client.request(method, server.base_url + path, headers=kept, content=body)
            content = got.content
            if path == "/v1/balance":
                asked += 1
                spent += Decimal("0.01") if on(asked) else Decimal(0)
                shown = got.json()
                content = json.dumps(
                    shown | {"balance_usd": float(Decimal(str(shown["balance_usd"])) - spent)}
                ).encode()
            return got.status_code, {"Content-Type": "application/json"}, content

        with _serving(answer) as base_url:
            yield Target(base_url, mock.api_key, is_mock=True)


Answering = Callable[[str, str, dict[str, str], bytes], "tuple[int, dict[str, str], bytes] | None"]


@contextmanager
def _serving(answer: Answering) -> Iterator[str]:
    """A server of these answers; None closes the connection."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            given = answer(self.command, self.path, dict(self.headers.items()), body)
            if given is None:
                self.close_connection = True
                return
            status, headers, content = given
            self.send_response_only(status)
            for name, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = handle_one  # noqa: N815 - the names that the library calls

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


MONEY = ("BAL-06", "BAL-07", "BAL-10", "BAL-11", "BAL-12", "BAL-14")


@pytest.mark.parametrize("at", [3, 5, 8])
def test_one_payment_of_another_program_fails_nothing(at: int, monkeypatch: pytest.MonkeyPatch) -> None:
    _short_waits(monkeypatch)
    with _spending_between(lambda asked: asked == at) as target:
        found = outcomes(run(SPEC, target, only("BAL"), say=lambda line: None))
    assert {found[id] for id in MONEY} == {"passed"}


def test_what_is_lost_with_every_look_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    _short_waits(monkeypatch)
    with _spending_between(lambda asked: True) as target:
        found = outcomes(run(SPEC, target, only("BAL"), say=lambda line: None))
    assert found["BAL-12"] == found["BAL-06"] == found["BAL-07"] == "failed"


def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real time is not waited for: the lag of an account, and between polls."""
    monkeypatch.setattr(generations, "LAG_S", 0.01)
    monkeypatch.setattr(generations, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(generations, "LONGEST_WAIT_S", 0.01)
    monkeypatch.setattr(generations, "LONGEST_S", 0.05)


# Garbage

ID = "gen_0123456789abcdef"
GARBAGE: dict[str, tuple[int, dict[str, str], bytes] | None] = {
    "nothing": (200, {}, b""),
    "text": (200, {"Content-Type": "text/plain"}, b"fine"),
    "a list": (200, {}, b"[]"),
    "null": (200, {}, b"null"),
    "an empty object": (200, {}, b"{}"),
    "an id that is a number": (200, {}, b'{"generation_id": 5, "status": "queued"}'),
    "an id that is half a character": (200, {}, b'{"generation_id": "gen_\\ud800", "status": "queued"}'),
    "an id without end": (200, {}, b'{"generation_id": "gen_' + b"0" * 100_000 + b'", "status": "queued"}'),
    "an id with a line feed": (200, {}, b'{"generation_id": "gen_\\r\\nX: y", "status": "completed"}'),
    "a status that is a list": (200, {}, b'{"generation_id": "%s", "status": ["queued"]}' % ID.encode()),
    "deep": (200, {}, b'{"generation_id": "%s", "status": %s}' % (ID.encode(), b"[" * 400 + b"]" * 400)),
    "numbers beyond a double": (
        200,
        {},
        b'{"generation_id": "%s", "status": "completed", "cost_usd": 1e999, "balance_usd": -1e999, "currency": 1e999}'
        % ID.encode(),
    ),
    "not a number": (
        200,
        {},
        b'{"generation_id": "%s", "status": "completed", "cost_usd": NaN, "balance_usd": NaN}' % ID.encode(),
    ),
    "long integers": (
        200,
        {},
        b'{"generation_id": "%s", "status": "completed", "cost_usd": %s, "balance_usd": %s}'
        % (ID.encode(), b"9" * 4000, b"9" * 4000),
    ),
    "strings for all": (
        200,
        {"Date": "yesterday"},
        json.dumps(
            dict.fromkeys(("generation_id", "model", "mode", "cost_usd", "balance_usd", "created_at", "poll_url"), "x")
            | {"status": "completed", "output_url": "http://[::1"}
        ).encode(),
    ),
    "a wrong date": (
        200,
        {"Date": "Thu, 99 Nov 99999 00:00:00 GMT"},
        json.dumps({"generation_id": ID, "status": "queued", "created_at": "9999-99-99T00:00:00Z"}).encode(),
    ),
    "a poll_url of nowhere": (
        200,
        {},
        json.dumps({"generation_id": ID, "status": "queued", "poll_url": "http://\x00[/" + ID}).encode(),
    ),
    "a refusal": (400, {}, b"no"),
    "an unknown status": (299, {}, b"{}"),
    "a redirect": (302, {"Location": "/elsewhere"}, b""),
    "an error": (500, {}, b"<html>"),
    "a closed connection": None,
}


@pytest.mark.parametrize("kind", GARBAGE)
def test_no_garbage_breaks_a_check(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first balance is a good one, so that the run begins."""
    _short_waits(monkeypatch)
    asked = 0

    def answer(
        method: str, path: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, dict[str, str], bytes] | None:
        nonlocal asked
        asked += 1
        return GARBAGE[kind] if asked > 1 else (200, {}, b'{"balance_usd": 5, "currency": "USD"}')

    with _serving(answer) as base_url:
        target = Target(base_url, "prsp-x", "prsp-y", is_mock=True)
        report = run(SPEC, target, only(*AREAS, examples=2), say=lambda line: None)
    assert "error" not in outcomes(report).values(), [each.reason for each in report.summed if each.outcome == "error"]


# Where the key goes


def test_the_key_never_goes_to_another_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """poll_url and output_url lead to another server: what comes there has no key, and polling does not come at all."""
    _short_waits(monkeypatch)
    came: list[tuple[str, dict[str, str]]] = []

    def elsewhere(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        came.append((path, headers))
        return 200, {}, b"\x89PNG"

    with _serving(elsewhere) as other:
        shown = {"generation_id": ID, "status": "completed", "output_url": f"{other}/out", "poll_url": f"{other}/{ID}"}

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            is_async = method == "POST" and (b'"async": true' in body or "async=true" in path)
            value = shown | {"status": "queued"} if is_async else shown
            value = {"balance_usd": 5, "currency": "USD"} if path == "/v1/balance" else value
            return 200, {}, json.dumps(value).encode()

        with _serving(answer) as base_url:
            target = Target(base_url, "prsp-canary", is_mock=True)
            report = run(SPEC, target, only("ASYNC"), say=lambda line: None)
    assert outcomes(report)["ASYNC-08"] == "skipped"
    assert outcomes(report)["ASYNC-30"] == "passed"
    assert {path for path, _ in came} == {"/out"}
    assert "canary" not in str(came)


HERE = Target("https://api.example.com/api", "prsp-x")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://api.example.com/api/v1/generations/gen_1", "/v1/generations/gen_1"),
        ("https://API.example.com:443/api/v1/g?a=1", "/v1/g?a=1"),
        ("https://api.example.com/v1/generations/gen_1", None),
        ("http://api.example.com/api/v1/g", None),
        ("https://api.example.com:8443/api/v1/g", None),
        ("https://api.example.com@evil.example/api/v1/g", None),
        ("https://api.example.com.evil.example/api/v1/g", None),
        ("//evil.example/api/v1/g", None),
        ("/api/v1/g", "/v1/g"),
        ("https://api.example.com/api/\n/g", None),
        ("https://[::1/api/v1/g", None),
        ("https://api.example.com:99999/api/v1/g", None),
        ("https://api.example.com/api/" + "g" * 3000, None),
        (5, None),
    ],
)
def test_a_url_is_followed_below_the_base_url_alone(url: object, path: str | None) -> None:
    assert path_below(HERE.base_url, "/v1/generate", url) == path


# The state machine

MACHINE = ("ASYNC-12", "ASYNC-15", "ASYNC-19", "ASYNC-28", "GEN-04", "BAL-06")


def _machine(report: Report) -> dict[str, str]:
    """What the state machine found, by requirement."""
    return {
        each.requirement.id: verdict.outcome
        for each in report.summed
        for verdict in each.verdicts
        if verdict.field == "state machine"
    }


def test_the_state_machine_passes_on_the_mock_and_is_skipped_without_examples() -> None:
    assert _machine(judged(only(*MACHINE, examples=6))) == dict.fromkeys(MACHINE, "passed")
    skipped = judged(only("BAL-06"))
    assert _machine(skipped) == {"BAL-06": "skipped"}


@pytest.mark.parametrize(
    ("fault", "id", "outcome"),
    [
        ("ASYNC-12-mode-default", "ASYNC-12", "failed"),
        ("ASYNC-15-processing-then-queued", "ASYNC-15", "warned"),
        ("ASYNC-15-failure-forgotten", "ASYNC-15", "warned"),
        ("ASYNC-19-cost-grows", "ASYNC-19", "failed"),
        ("ASYNC-28-shown-to-anyone", "ASYNC-28", "warned"),
        ("GEN-04-same-id-twice", "GEN-04", "failed"),
        ("BAL-06-a-fee", "BAL-06", "failed"),
        ("BAL-08-refund-half", "BAL-06", "failed"),
        ("BAL-09-refund-double", "BAL-06", "failed"),
    ],
)
def test_the_state_machine_finds(fault: str, id: str, outcome: str) -> None:
    report = judged(only(*MACHINE, examples=12), faults=frozenset({fault}))
    assert _machine(report)[id] == outcome


def test_the_state_machine_asks_the_same_again_for_the_same_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    _short_waits(monkeypatch)

    def asked(seed: int) -> list[tuple[str, bytes]]:
        seen: list[tuple[str, bytes]] = []

        def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
            seen.append((f"{method} {path}", body))
            shown = {
                "generation_id": f"gen_{len(seen)}",
                "status": "completed",
                "cost_usd": 0,
                "model": "a",
                "mode": "b",
            }
            shown |= {"balance_usd": 5, "generation_id": path.rpartition("/")[2]} if method == "GET" else {}
            return 200, {}, json.dumps(shown).encode()

        with _serving(answer) as base_url:
            target = Target(base_url, "prsp-x", "prsp-y", is_mock=True)
            options = Options(seed=seed, examples=3, areas=frozenset({"BAL"}))
            run(SPEC, target, options, say=lambda line: None)
        return [each for each in seen if "model" in each[0] or each[1]]

    first, again, other = asked(1), asked(1), asked(2)
    assert first == again
    assert first != other


STATES = st.sampled_from([*RANK, "success", None, 5])


@given(STATES, STATES, STATES)
def test_no_way_back_is_hidden_by_a_way_on(a: object, b: object, c: object) -> None:
    """If two steps are fine, so is the whole, as far as all are states."""
    if {a, b, c} <= RANK.keys() and not went_back(a, b) and not went_back(b, c):
        assert not went_back(a, c)


@pytest.mark.parametrize(
    ("before", "after", "is_wrong"),
    [
        ("queued", "queued", False),
        ("queued", "failed", False),
        ("processing", "queued", True),
        ("completed", "failed", True),
        ("failed", "completed", True),
        ("completed", "processing", True),
        ("completed", "success", False),
        (None, "queued", False),
        (["queued"], "queued", False),
    ],
)
def test_states(before: object, after: object, is_wrong: bool) -> None:
    assert bool(went_back(before, after)) is is_wrong


# Money


def _balance(usd: object) -> Exchange:
    return Exchange("GET", "/v1/balance", {}, None, 200, httpx2.Headers(), json.dumps({"balance_usd": usd}).encode())


@pytest.mark.parametrize(
    ("before", "after", "costs", "paid", "rounded"),
    [
        (12.345, 12.331, ["0.014"], True, False),
        (12.345, 12.33, ["0.014"], False, False),
        (12.35, 12.33, ["0.014"], True, True),
        (12.35, 12.34, ["0.014"], True, True),
        (12.35, 12.35, ["0.014"], False, False),
        (12.35, 12.32, ["0.014"], False, False),
        (12.35, 12.29, ["0.014"] * 4, True, True),
        (12.35, 12.27, ["0.014"] * 4, False, False),
        (12.35, 11.94, ["0.40"], False, False),
        (12.35, 11.95, ["0.40"], True, False),
        (0.3, 0.2, ["0.1"], True, False),
        (1000000, 999999.986, ["0.014"], True, False),
    ],
)
def test_a_balance_falls_by_what_is_paid(
    before: float, after: float, costs: list[str], paid: bool, rounded: bool
) -> None:
    decimals = [Decimal(cost) for cost in costs]
    assert is_paid(_balance(before), _balance(after), decimals) is paid
    assert is_rounded(_balance(before), _balance(after), sum(decimals, Decimal(0))) is rounded


@given(st.integers(0, 10**11), st.integers(0, 10**7))
def test_money_is_read_as_it_is_written(balance: int, cost: int) -> None:
    """In hundredths of a cent, through JSON and back."""
    scale = Decimal(10_000)
    before, after = (float(Decimal(units) / scale) for units in (balance + cost, balance))
    assert is_paid(_balance(before), _balance(after), [Decimal(cost) / scale])


@pytest.mark.parametrize("value", [True, None, "5", [], {}, float("nan"), float("inf"), 10**400, 1e300])
def test_what_is_no_amount(value: object) -> None:
    assert amount(value) is None


@pytest.mark.parametrize(
    "id", ["ASYNC-12-id-other", "ASYNC-15-processing-then-queued", "ASYNC-19-cost-grows", "ASYNC-28-shown-to-anyone"]
)
def test_the_state_machine_finds_by_itself_what_is_broken(id: str) -> None:
    report = judged(Options(seed=1, examples=10, areas=frozenset({"ASYNC"})), faults=frozenset({id}))
    of = next(each for each in report.summed if each.requirement.id == id[: len("ASYNC-00")])
    assert [verdict.outcome for verdict in of.verdicts if verdict.field == "state machine"] == [of.outcome]
    assert of.outcome in ("failed", "warned")
