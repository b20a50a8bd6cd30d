"""A paid request that may have been accepted is never sent again, and what became of it is told by a type.

A real server fails at each point from before there is a connection to after the last byte of the answer; it counts what
it read whole. Both clients meet all of them. The rest is about budgets.
"""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import inspect
import logging
import pickle
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx2
import prospo
import pytest
from failing_server import (
    GENERATION,
    Fail,
    FailingServer,
    answer,
    closed_port,
    failing,
    read_head,
    read_whole,
    reset,
    then,
)
from prospec_conformance.mock import MockConfig, Running, serve
from prospo.errors import NotSent, OutcomeUnknown, OverBudget, RateLimited, Refused
from steering import until

REQUEST: dict[str, Any] = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour"}}
"""It costs 0.50 to 0.63 USD."""
LARGEST_USD = Decimal("0.63")
KEY = "prsp-canary"
OK = answer("200 OK", GENERATION)

Do = Callable[[Any], Any]


@dataclass(frozen=True)
class Point:
    name: str
    fail: Fail
    error: type[prospo.ProspoError] | None
    """None where the call succeeds."""
    accepted: int
    """How many paid requests the server has read whole in the end."""


def no_tls(server: FailingServer, connection: socket.socket) -> None:
    connection.recv(65536)
    connection.sendall(answer("400 Bad Request"))


def nothing_read(server: FailingServer, connection: socket.socket) -> None:
    connection.close()


def reset_at_once(server: FailingServer, connection: socket.socket) -> None:
    reset(connection)


def half_the_head(server: FailingServer, connection: socket.socket) -> None:
    connection.recv(20)
    reset(connection)


def the_head(server: FailingServer, connection: socket.socket) -> None:
    read_head(connection)
    reset(connection)


def answered_before_it_was_read(server: FailingServer, connection: socket.socket) -> None:
    connection.sendall(answer("503 Service Unavailable"))
    connection.close()


def silent(server: FailingServer, connection: socket.socket) -> None:
    server.take(connection)
    time.sleep(3)


def a_head_that_trickles(server: FailingServer, connection: socket.socket) -> None:
    server.take(connection)
    for byte in b"HTTP/1.1 200 OK\r\n" + b"X-More: 1\r\n" * 20:
        connection.sendall(bytes([byte]))
        time.sleep(0.1)


HALF_GONE = answer("200 OK", GENERATION)[:-10]
CHUNKED = b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{"gen\r\n'
TRICKLE = [HALF_GONE[:-50], *(HALF_GONE[index : index + 1] for index in range(-50, 0))]
POINTS = [
    Point("closed before a byte is read", nothing_read, OutcomeUnknown, 0),
    Point("reset before a byte is read", reset_at_once, OutcomeUnknown, 0),
    Point("reset within the head", half_the_head, OutcomeUnknown, 0),
    Point("reset after the head", the_head, OutcomeUnknown, 0),
    Point("answered 503 unread", answered_before_it_was_read, OutcomeUnknown, 0),
    Point("read, then closed", then(), OutcomeUnknown, 1),
    Point("read, then reset", then(end=reset), OutcomeUnknown, 1),
    Point("read, then silent", silent, OutcomeUnknown, 1),
    Point("within the status line", then(b"HTTP/1.1 20"), OutcomeUnknown, 1),
    Point("within the headers", then(b"HTTP/1.1 200 OK\r\nContent-Le"), OutcomeUnknown, 1),
    Point("before the body", then(HALF_GONE[: HALF_GONE.index(b"\r\n\r\n") + 4]), OutcomeUnknown, 1),
    Point("within the body", then(HALF_GONE), OutcomeUnknown, 1),
    Point("within a chunk", then(CHUNKED), OutcomeUnknown, 1),
    Point("reset within the body", then(HALF_GONE, pause_s=0.05, end=reset), OutcomeUnknown, 1),
    Point("a head that trickles", a_head_that_trickles, OutcomeUnknown, 1),
    Point("a body that trickles", then(*TRICKLE, pause_s=0.05), OutcomeUnknown, 1),
    Point("no HTTP", then(b"SSH-2.0-OpenSSH_9.2\r\n"), OutcomeUnknown, 1),
    Point("200 without JSON", then(answer("200 OK", b"<html>busy</html>")), OutcomeUnknown, 1),
    Point("200 without an id", then(answer("200 OK", b'{"status": "queued"}')), OutcomeUnknown, 1),
    Point("200 that is no gzip", then(answer("200 OK", b"{}", "Content-Encoding: gzip")), OutcomeUnknown, 1),
    Point("204", then(answer("204 No Content")), OutcomeUnknown, 1),
    Point("500", then(answer("500 Internal Server Error")), OutcomeUnknown, 1),
    Point("502", then(answer("502 Bad Gateway", b"<html>")), OutcomeUnknown, 1),
    Point("503", then(answer("503 Service Unavailable", b"", "Retry-After: 0")), OutcomeUnknown, 1),
    Point("504", then(answer("504 Gateway Timeout", b'{"detail": "late"}')), OutcomeUnknown, 1),
    Point("a redirect", then(answer("307 Temporary Redirect", b"", "Location: /v1/generate")), OutcomeUnknown, 1),
    Point("400", then(answer("400 Bad Request", b'{"detail": "no"}')), Refused, 1),
    Point("after the last byte", then(OK), None, 1),
    Point(
        "a whole answer in gzip", then(answer("200 OK", gzip.compress(GENERATION), "Content-Encoding: gzip")), None, 1
    ),
]


def error_of(do: Callable[[], object]) -> prospo.ProspoError | None:
    try:
        do()
    except prospo.ProspoError as error:
        return error
    return None


class Blocking:
    """How a test meets `Client`."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.client = prospo.Client(*arguments, **options)

    def __call__(self, do: Do) -> Any:
        try:
            return do(self.client)
        finally:
            self.client.close()


class Asynchronous:
    """How a test meets `AsyncClient`: the same lines, awaited."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self.client = prospo.AsyncClient(*arguments, **options)

    def __call__(self, do: Do) -> Any:
        async def run() -> Any:
            async with self.client:
                found = do(self.client)
                return await found if inspect.isawaitable(found) else found

        return asyncio.run(run())


BOTH = pytest.mark.parametrize("form", [Blocking, Asynchronous])


@BOTH
@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_what_may_have_been_accepted_is_sent_once(form: type[Blocking], point: Point) -> None:
    with failing(point.fail) as server:
        met = form(KEY, server.base_url)
        before = datetime.now(UTC)
        error = error_of(lambda: met(lambda client: client.generate(**REQUEST, timeout_s=1, blocking=True)))
        assert datetime.now(UTC) - before < timedelta(seconds=10), "the head would trickle for 23 s"
        budget = met.client.budget
        until(lambda: len(server.accepted) >= point.accepted)
        if isinstance(error, OutcomeUnknown):
            assert point.error is OutcomeUnknown
            assert error.largest_cost_usd == LARGEST_USD == budget.held_usd
            assert before <= error.at <= datetime.now(UTC)
            assert "unknown" in str(error)
            bodies = [request.partition(b"\r\n\r\n")[2] for request in server.accepted]
            assert {hashlib.sha256(body).hexdigest() for body in bodies} <= {error.request_sha256}
            assert pickle.loads(pickle.dumps(error)).__dict__ == error.__dict__
        elif error is not None:
            assert point.error is type(error).__base__ or (point.fail is reset_at_once and isinstance(error, NotSent))
            assert budget.held_usd == budget.spent_usd == 0
        else:
            assert point.error is None
            assert (budget.spent_usd, budget.held_usd) == (Decimal("0.5"), 0)
        assert len(server.accepted) == point.accepted
        # A reset may come before the connection counts as made: then nothing was sent, and it is tried again.
        assert server.connections == 1 or not point.accepted


@BOTH
@pytest.mark.parametrize("where", ["no such name", "refused", "no TLS", "closed within TLS"])
def test_what_reached_nobody_is_sent_again_and_told_apart(form: type[Blocking], where: str) -> None:
    """The time is up before the attempts are: the last failure is the one that is told."""
    fail = nothing_read if where == "closed within TLS" else no_tls
    with failing(fail) as server:
        url = {"no such name": "http://nowhere.invalid", "refused": f"http://127.0.0.1:{closed_port()}"}
        met = form(KEY, url.get(where, server.base_url.replace("http:", "https:")))
        with pytest.raises(NotSent) as told:
            met(lambda client: client.generate(**REQUEST, timeout_s=2))
        assert server.accepted == []
        assert server.connections != 1, "it was tried again"
    assert met.client.budget.held_usd == met.client.budget.spent_usd == 0
    assert "base URL" in str(told.value)


@BOTH
def test_a_refused_connection_is_tried_again_until_somebody_listens(form: type[Blocking]) -> None:
    port = closed_port()
    done = threading.Event()
    accepted: list[bytes] = []

    def listen_later() -> None:
        time.sleep(0.3)
        with failing(then(OK), port) as server:
            done.wait(20)
            accepted.extend(server.accepted)

    thread = threading.Thread(target=listen_later)
    thread.start()
    try:
        met = form(KEY, f"http://127.0.0.1:{port}")
        assert met(lambda client: client.generate(**REQUEST, blocking=True)).status == "completed"
    finally:
        done.set()
        thread.join()
    assert len(accepted) == 1


def limited(*headers: str, times: int = 1) -> Fail:
    """429 for so many requests, then a generation."""
    left = [answer("429 Too Many Requests", b'{"detail": "slow down"}', *headers)] * times

    def fail(server: FailingServer, connection: socket.socket) -> None:
        while True:
            if left:
                read_whole(connection)
                connection.sendall(left.pop())
            else:
                server.take(connection)
                connection.sendall(OK)

    return fail


@BOTH
@pytest.mark.parametrize(
    "headers",
    [("Retry-After: 1",), ("X-RateLimit-Reset: 1",), ("X-RateLimit-Reset: {epoch}",), ("X-RateLimit-Reset: soon",), ()],
)
def test_after_429_it_waits_as_told(form: type[Blocking], headers: tuple[str, ...]) -> None:
    said = [header.format(epoch=int(time.time()) + 2) for header in headers]
    with failing(limited(*said)) as server:
        began = time.monotonic()
        form(KEY, server.base_url)(lambda client: client.generate(**REQUEST, blocking=True))
        assert len(server.accepted) == 1
        assert time.monotonic() - began >= (0.95 if said and "soon" not in said[0] else 0.2)


@BOTH
@pytest.mark.parametrize("header", ["Retry-After: 61", "X-RateLimit-Reset: 90"])
def test_it_does_not_wait_for_longer_than_a_minute(form: type[Blocking], header: str) -> None:
    with failing(limited(header, "X-RateLimit-Limit: 60", "X-RateLimit-Remaining: 0", "X-Request-Id: r1")) as server:
        met = form(KEY, server.base_url)
        with pytest.raises(RateLimited) as told:
            met(lambda client: client.generate(**REQUEST))
        assert (told.value.status, told.value.detail, told.value.request_id) == (429, "slow down", "r1")
        assert told.value.rate_limit.limit == 60
        assert told.value.rate_limit.remaining == 0
        assert server.accepted == []


@BOTH
def test_a_kept_connection_that_has_ended_costs_no_second_request(form: type[Blocking]) -> None:
    with failing(then(OK, end=lambda connection: time.sleep(0.1))) as server:

        async def twice_async(client: Any) -> None:
            for _ in range(2):
                await client.generate(**REQUEST, blocking=True)
                await asyncio.sleep(0.5)

        def twice(client: Any) -> Any:
            if form is Asynchronous:
                return twice_async(client)
            for _ in range(2):
                client.generate(**REQUEST, blocking=True)
                time.sleep(0.5)
            return None

        form(KEY, server.base_url)(twice)
        assert len(server.accepted) == 2


RECOVERED = [each for each in POINTS if each.name in ("read, then reset", "within the body", "no HTTP", "500", "504")]


@BOTH
@pytest.mark.parametrize("point", RECOVERED, ids=lambda point: point.name)
def test_what_is_free_is_asked_again(form: type[Blocking], point: Point) -> None:
    """The first look fails; the next one, on a server that has recovered, is answered."""
    balance = answer("200 OK", b'{"balance_usd": 12.345, "currency": "USD"}')
    first = threading.Event()

    def fail(server: FailingServer, connection: socket.socket) -> None:
        if first.is_set():
            read_whole(connection)
            connection.sendall(balance)
        else:
            first.set()
            point.fail(server, connection)

    with failing(fail) as server:
        found = form(KEY, server.base_url)(lambda client: client.balance())
        assert found.balance_usd == Decimal("12.345")


@pytest.fixture(scope="module")
def mock() -> Iterator[Running]:
    with serve(MockConfig()) as running:
        yield running


@BOTH
def test_a_request_that_may_cost_too_much_is_not_sent(form: type[Blocking]) -> None:
    with failing(then(OK)) as server:
        for limit in ("0.62", 0.62, Decimal("0.62")):
            with pytest.raises(OverBudget, match=r"0\.63"):
                form(KEY, server.base_url)(lambda client, limit=limit: client.generate(**REQUEST, max_cost_usd=limit))
        with pytest.raises(OverBudget, match="not published"):
            form(KEY, server.base_url)(
                lambda client: client.generate(model="kling-o3", params={}, validate=False, max_cost_usd=1)
            )
        assert server.connections == 0
        form(KEY, server.base_url)(lambda client: client.generate(**REQUEST, max_cost_usd="0.63", blocking=True))
        assert len(server.accepted) == 1


@BOTH
def test_the_budget_keeps_what_was_spent_and_what_is_unknown(form: type[Blocking], mock: Running) -> None:
    """1.50 USD: one of 0.50 is spent, one of 0.63 at most is unknown, so that the third is not sent."""

    def three(client: Any) -> Any:
        async def run() -> list[str]:
            told = []
            for prompt in ("a ball", "mock:accept-then-504", "mock:fail", "mock:status=403", "a third"):
                try:
                    made = client.generate(model="kling-o3", params={"prompt": prompt}, blocking=True)
                    told.append((await made if inspect.isawaitable(made) else made).status)
                except prospo.ProspoError as error:
                    told.append(type(error).__name__)
            return told

        return run() if isinstance(client, prospo.AsyncClient) else asyncio.run(run())

    met = form(mock.config.api_key, mock.base_url, budget_usd="1.77")
    assert met(three) == ["completed", "OutcomeUnknown", "GenerationFailed", "Forbidden", "completed"]
    assert (met.client.budget.spent_usd, met.client.budget.held_usd) == (Decimal("1.0"), LARGEST_USD)
    tight = form(mock.config.api_key, mock.base_url, budget_usd="1.50")
    assert tight(three) == ["completed", "OutcomeUnknown", "OverBudget", "OverBudget", "OverBudget"]


async def cancelled(client: prospo.AsyncClient, when: Callable[[], bool]) -> None:
    """Start a paid request, cancel it when something holds, and see that it ends at once and leaves no task."""
    task = asyncio.create_task(client.generate(**REQUEST, blocking=True))
    while not when():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, 10)
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_a_request_that_is_cut_off_stays_set_aside(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it arrived is unknown. Its connection is closed, and one line of the log says what was sent when."""
    closed = threading.Event()

    def read_to_the_end(server: FailingServer, connection: socket.socket) -> None:
        server.take(connection)
        connection.settimeout(20)
        if connection.recv(1) == b"":
            closed.set()

    with failing(read_to_the_end) as server:

        async def do() -> prospo.AsyncClient:
            async with prospo.AsyncClient(KEY, server.base_url) as client:
                await cancelled(client, lambda: bool(server.accepted))
                assert await asyncio.to_thread(closed.wait, 10), "while the client is still open"
                return client

        assert asyncio.run(do()).budget.held_usd == LARGEST_USD
        body = server.accepted[0].partition(b"\r\n\r\n")[2]
    (told,) = [record.getMessage() for record in caplog.records if record.name == "prospo"]
    assert "cut off" in told
    assert hashlib.sha256(body).hexdigest()[:16] in told


def test_a_request_that_is_cut_off_while_nothing_is_under_way_is_free(caplog: pytest.LogCaptureFixture) -> None:
    """It was answered 429, and waits for its next attempt."""
    caplog.set_level(logging.INFO, "prospo")
    with failing(limited("Retry-After: 50")) as server:

        async def do() -> Decimal:
            async with prospo.AsyncClient(KEY, server.base_url) as client:
                await cancelled(client, lambda: "POST /v1/generate: 429" in caplog.messages)
                return client.budget.held_usd

        assert asyncio.run(do()) == 0
        assert server.accepted == []
    assert "cut off" not in caplog.text


INTERRUPTED = """
import os, signal, sys, threading, time, httpx2, prospo
signal.signal(signal.SIGINT, signal.default_int_handler)  # which what a shell starts in the background does not have
client = prospo.Client("prsp-local", sys.argv[1], poll_s=0.02)
slow = {"model": "kling-o3", "params": {"prompt": "mock:slow=50"}}
def interrupt():
    while len(client.unfinished()) < 2 or not client.budget.spent_usd:
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
threading.Thread(target=interrupt, daemon=True).start()
try:
    client.batch([{"model": "kling-o3", "params": {"prompt": "a ball"}}, *[slow] * 9], concurrency=2, blocking=False)
except KeyboardInterrupt:
    jobs = client.unfinished()
    print(*[job.status().is_done for job in jobs], *[client.job(job.checkpoint()).id == job.id for job in jobs])
    print(client.budget.spent_usd, client.budget.held_usd)
    httpx2.post(sys.argv[1] + "/__mock/clock", json={"advance_s": 60}, headers={"X-Mock-Token": sys.argv[2]})
    for job in jobs:
        job.wait()
    time.sleep(2)
    print(client.budget.spent_usd, client.budget.held_usd)
"""


def test_after_ctrl_c_within_a_batch_it_is_known_what_was_sent() -> None:
    """None is waited for, and none is started any more, even when those that were are done."""
    with serve(MockConfig(api_key="prsp-local")) as mock:
        command = [sys.executable, "-c", INTERRUPTED, mock.base_url, mock.config.control_token]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        with httpx2.Client(headers={"X-Mock-Token": mock.config.control_token}) as control:
            seen = control.get(f"{mock.base_url}/__mock/requests").json()["requests"]
    assert ran.stderr == ""
    assert ran.stdout.splitlines() == ["False False True True", "0.5 1.260", "1.5 0"]
    assert len([each for each in seen if each["method"] == "POST"]) == 3


def test_after_a_cancelled_batch_it_is_known_what_was_sent(mock: Running) -> None:
    async def do() -> None:
        async with prospo.AsyncClient(mock.config.api_key, mock.base_url, poll_s=0.02) as client:
            slow = {"model": "kling-o3", "params": {"prompt": "mock:slow=50"}}
            task = asyncio.create_task(client.batch([slow] * 9, concurrency=2, blocking=False))
            while len(client.unfinished()) < 2:
                await asyncio.sleep(0.01)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.wait_for(task, 10)
            assert [(await job.status()).is_done for job in client.unfinished()] == [False, False]
            assert client.budget.held_usd == 2 * LARGEST_USD
            assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(do())


@BOTH
def test_no_answer_gives_money_back(form: type[Blocking]) -> None:
    for cost in (b"-5", b"0.0"):
        with failing(then(answer("200 OK", GENERATION.replace(b"0.5", cost)))) as server:
            met = form(KEY, server.base_url)
            met(lambda client: client.generate(**REQUEST, blocking=True))
            assert (met.client.budget.spent_usd, met.client.budget.held_usd) == (0, 0)


@BOTH
def test_a_generation_that_is_looked_at_again_is_counted_once(form: type[Blocking], mock: Running) -> None:
    async def do(client: Any) -> None:
        made = client.generate(**REQUEST, blocking=True)
        made = await made if inspect.isawaitable(made) else made
        seen = client.job(made.generation_id).status()
        assert (await seen if inspect.isawaitable(seen) else seen) == made
        assert (client.budget.spent_usd, client.budget.held_usd) == (Decimal("0.5"), 0)

    met = form(mock.config.api_key, mock.base_url)
    met(do if form is Asynchronous else lambda client: asyncio.run(do(client)))


class Stuck(httpx2.BaseTransport):
    """Waits longer than anybody, as a name service may."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        time.sleep(30)
        raise AssertionError


def test_a_blocking_call_ends_in_time_whatever_it_waits_for() -> None:
    began = time.monotonic()
    with prospo.Client(KEY, "http://127.0.0.1", transport=Stuck()) as client, pytest.raises(OutcomeUnknown):
        client.generate(**REQUEST, timeout_s=0.5)
    assert time.monotonic() - began < 15


def test_a_request_whose_time_is_over_is_not_sent() -> None:
    with failing(then(OK)) as server, prospo.Client(KEY, server.base_url, budget_usd="5") as client:
        with pytest.raises(NotSent):
            client.generate(**REQUEST, timeout_s=0)
        assert server.accepted == []
        assert client.budget.held_usd == 0


class LateStart(httpx2.HTTPTransport):
    """Reaches the server when nobody waits any more, as after a slow look-up of its name."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        may_start.wait(20)
        try:
            return super().handle_request(request)
        finally:
            started.set()


may_start, started = threading.Event(), threading.Event()


def test_what_is_left_behind_is_not_sent_later() -> None:
    """Whoever was told that the outcome is unknown looks, finds nothing, and sends it again."""
    with (
        failing(then(OK)) as server,
        prospo.Client(KEY, server.base_url, transport=LateStart()) as client,
    ):
        with pytest.raises(OutcomeUnknown):
            client.generate(**REQUEST, timeout_s=0.2)
        may_start.set()
        assert started.wait(20)
        assert server.accepted == []


def test_a_budget_is_kept_by_many_threads(mock: Running) -> None:
    with prospo.Client(mock.config.api_key, mock.base_url, budget_usd="5") as client:
        found = client.batch([REQUEST] * 30, concurrency=8, blocking=True)
        done = [each for each in found if isinstance(each, prospo.Result)]
        refused = [each for each in found if isinstance(each, OverBudget)]
        assert len(done) + len(refused) == 30
        assert 4 <= len(done) <= 10
        assert client.budget.spent_usd == Decimal("0.5") * len(done) <= 5
        assert client.budget.held_usd == 0
