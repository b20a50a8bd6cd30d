"""The TypeScript client under Node: on the mock, on a server that fails at every point, once in a real Chromium.

What is run stands in each test as the body of a function of `client`, `prospo` and `args`; one Node process runs all of
a module. The points of failure are those of the Python clients, test_client_money.py.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import prospo
import pytest
import uvicorn
from failing_server import GENERATION, FailingServer, answer, closed_port, failing, read_whole, then
from node import TOOLS, built, node
from playwright.sync_api import Browser
from prospec.loader import load
from prospec_conformance.mock import FAULTS, VARIANTS, MockConfig, Running, create_app, serve
from prospo.catalog import MODELS
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, RedirectResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from steering import until
from test_client_money import (
    LARGEST_USD,
    OK,
    POINTS,
    RECOVERED,
    Point,
    limited,
    no_tls,
    reset_at_once,
    silent,
)

KEY = "prsp-canary-key"
TOKEN = "pl-upload-canarytoken"
CANARIES = ("canary-key", "canarytoken", "canaryurl")
PATIENCE_S = 60
"""How long one call may take on a busy machine; none takes that long but to fail."""
BALL = '{ model: "kling-o3", params: { prompt: "a ball" } }'
"""It costs 0.50 to 0.63 USD."""
GENERATE = f"return await client.generate({BALL}, args)"
BLOCKING = f"return await client.generate({{ ...{BALL}, async: false }}, args)"


class Driver:
    """A Node process that runs what it is told, one after the other."""

    def __init__(self) -> None:
        command = [node(), str(TOOLS / "drive.mjs"), str(built() / "dist" / "index.js")]
        self._node = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __call__(self, body: str, base_url: str, args: Any = None, **options: Any) -> Any:
        """What became of it: `value` or `error`, `budget`, `warnings`."""
        assert self._node.stdin
        assert self._node.stdout
        told = {"apiKey": KEY, "baseUrl": base_url, "pollMs": 20, **options}
        watch = threading.Timer(PATIENCE_S, self._node.kill)
        watch.start()
        try:
            self._node.stdin.write(json.dumps({"body": body, "options": told, "args": args}) + "\n")
            self._node.stdin.flush()
            line = self._node.stdout.readline()
        finally:
            watch.cancel()
        assert line, "Node has ended"
        return json.loads(line)

    def close(self) -> None:
        assert self._node.stdin
        self._node.stdin.close()
        # All is done, so that nothing is left that keeps the process alive.
        assert self._node.wait(PATIENCE_S) == 0


@pytest.fixture(scope="module")
def drive() -> Iterator[Driver]:
    driver = Driver()
    yield driver
    driver.close()


@pytest.fixture(scope="module")
def mock() -> Iterator[Running]:
    with serve(MockConfig(api_key=KEY)) as running:
        yield running


def recorded(drive: Driver, body: str, args: Any = None, **options: Any) -> tuple[list[bytes], Any]:
    """The requests that leave a client, each answered as a generation that is done; and what became of it."""
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            came.append(read_whole(connection))
            connection.sendall(OK)

    with failing(fail) as server:
        return came, drive(body, server.base_url, args, **options)


def body_of(request: bytes) -> Any:
    return json.loads(request.partition(b"\r\n\r\n")[2])


def hidden(told: Any) -> None:
    """No canary is in any form in which an error may be shown or kept."""
    found = [canary for canary in CANARIES if canary in json.dumps(told)]
    assert not found, json.dumps(told, indent=1)


def self_signed(openssl: str, folder: Path) -> ssl.SSLContext:
    """The side of a server whose certificate nobody trusts."""
    names = ["-keyout", "key.pem", "-out", "certificate.pem", "-subj", "/CN=127.0.0.1"]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2", *names]
    subprocess.run(command, cwd=folder, capture_output=True, check=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context


# Money


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_what_may_have_been_accepted_is_sent_once(drive: Driver, point: Point) -> None:
    """Node opens a connection in the place of one that broke, and sends nothing over it: what is sent counts."""
    again: list[bytes] = []
    first = itertools.count()

    def fail(server: FailingServer, connection: socket.socket) -> None:
        if next(first):
            again.append(connection.recv(1, socket.MSG_PEEK))
        point.fail(server, connection)

    with failing(fail) as server:
        before = datetime.now(UTC)
        told = drive(BLOCKING, server.base_url, {"timeoutMs": 1000})
        until(lambda: len(server.accepted) >= point.accepted)
        if point.error is None:
            assert told["value"]["status"] == "completed"
            assert told["budget"] == {"spent": 0.5, "held": 0}
        elif told["error"]["name"] == "NotSent":
            assert point.fail is reset_at_once
            assert told["budget"] == {"spent": 0, "held": 0}
        elif point.error is prospo.OutcomeUnknown:
            error = told["error"]
            assert error["name"] == "OutcomeUnknown"
            assert told["budget"] == {"spent": 0, "held": float(LARGEST_USD)}
            members = error["members"]
            assert members["largestCostUsd"] == float(LARGEST_USD)
            at = datetime.fromisoformat(members["at"])
            assert before.replace(microsecond=0) <= at <= datetime.now(UTC)
            bodies = [request.partition(b"\r\n\r\n")[2] for request in server.accepted]
            assert {hashlib.sha256(body).hexdigest() for body in bodies} <= {members["requestSha256"]}
            assert "unknown" in error["message"]
        else:
            assert point.error.__name__ in told["error"]["kinds"]
            assert told["budget"] == {"spent": 0, "held": 0}
        assert len(server.accepted) == point.accepted
        # A reset may come before the connection counts as made: then nothing was sent, and it is tried again.
        assert told["sent"] == 1 or point.fail is reset_at_once
        assert not any(again) or point.fail is reset_at_once


@pytest.mark.parametrize("where", ["no such name", "refused", "closed within TLS", "a certificate of nobody"])
def test_what_reached_nobody_is_sent_again_and_told_apart(
    drive: Driver, tool: Callable[..., str], where: str, tmp_path: Path
) -> None:
    """The time is up before the attempts are: the last failure is the one that is told."""

    def closed_within_tls(server: FailingServer, connection: Any) -> None:
        connection.recv(65536)
        connection.close()

    certified = self_signed(tool("openssl"), tmp_path)

    def certified_by_itself(server: FailingServer, connection: Any) -> None:
        with suppress(ssl.SSLError):
            certified.wrap_socket(connection, server_side=True).close()

    with failing(closed_within_tls if where == "closed within TLS" else certified_by_itself) as server:
        url = {"no such name": "http://nowhere.invalid", "refused": f"http://127.0.0.1:{closed_port()}"}
        told = drive(GENERATE, url.get(where, server.base_url.replace("http:", "https:")), {"timeoutMs": 2000})
        assert told["error"]["name"] == "NotSent", told
        assert server.accepted == []
        assert told["sent"] > 1, "it was tried again"
    assert told["budget"] == {"spent": 0, "held": 0}
    assert "base URL" in told["error"]["message"]


def test_what_proves_nothing_is_sent_once(drive: Driver) -> None:
    """Node has the same error for what is no TLS at first and for what is none later: too little to bet money on."""
    with failing(no_tls) as server:
        told = drive(GENERATE, server.base_url.replace("http:", "https:"), {"timeoutMs": 2000})
        assert (told["error"]["name"], told["sent"]) == ("OutcomeUnknown", 1)


def test_an_error_of_another_runtime_proves_nothing(drive: Driver) -> None:
    """In a browser a refused connection and a broken answer are the same TypeError."""
    body = f"""
        let sent = 0;
        const fetch = async () => {{ sent++; throw new TypeError("Failed to fetch"); }};
        const other = new prospo.Client({{ apiKey: "k", fetch }});
        try {{ await other.generate({BALL}); }} catch (error) {{ return [error.name, sent, other.budget.heldUsd]; }}
    """
    assert drive(body, "http://127.0.0.1")["value"] == ["OutcomeUnknown", 1, float(LARGEST_USD)]


def test_a_refused_connection_is_tried_again_until_somebody_listens(drive: Driver) -> None:
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
        assert drive(BLOCKING, f"http://127.0.0.1:{port}")["value"]["status"] == "completed"
    finally:
        done.set()
        thread.join()
    assert len(accepted) == 1


@pytest.mark.parametrize(
    ("headers", "least_s"),
    [
        (("Retry-After: 1",), 1),
        (("X-RateLimit-Reset: 1",), 1),
        (("X-RateLimit-Reset: {epoch}",), 1),
        (("X-RateLimit-Reset: {epoch}000",), 1),
        (("Retry-After: {date}",), 0.5),
        (("X-RateLimit-Reset: soon",), 0.2),
        (("Retry-After: -5",), 0.2),
        ((), 0.2),
    ],
)
def test_after_429_it_waits_as_told(drive: Driver, headers: tuple[str, ...], least_s: float) -> None:
    epoch = int(time.time()) + 2
    date = f"{datetime.fromtimestamp(epoch, UTC):%a, %d %b %Y %H:%M:%S} GMT"
    said = [header.format(epoch=epoch, date=date) for header in headers]
    with failing(limited(*said)) as server:
        began = time.monotonic()
        assert drive(BLOCKING, server.base_url)["value"]["status"] == "completed"
        assert least_s <= time.monotonic() - began
        assert len(server.accepted) == 1


@pytest.mark.parametrize("header", ["Retry-After: 61", "X-RateLimit-Reset: 9999999999", "Retry-After: 1"])
def test_a_wait_that_is_too_long_is_an_error(drive: Driver, header: str) -> None:
    """Longer than the client waits, or than the time that is left."""
    with failing(limited(header, "X-RateLimit-Remaining: 0", "X-RateLimit-Limit: 60", times=9)) as server:
        told = drive(BLOCKING, server.base_url, {"timeoutMs": 500})
        assert told["error"]["name"] == "RateLimited"
        assert told["error"]["members"]["rateLimit"]["limit"] == 60
        assert told["sent"] == 1
    assert told["budget"] == {"spent": 0, "held": 0}


@pytest.mark.parametrize("point", RECOVERED, ids=lambda point: point.name)
def test_what_is_free_is_asked_again(drive: Driver, point: Point) -> None:
    balance = answer("200 OK", b'{"balance_usd": 12.345, "currency": "USD"}')
    first = threading.Event()

    def fail(server: FailingServer, connection: Any) -> None:
        if first.is_set():
            read_whole(connection)
            connection.sendall(balance)
        else:
            first.set()
            point.fail(server, connection)

    with failing(fail) as server:
        assert drive("return (await client.balance()).balanceUsd", server.base_url)["value"] == 12.345


def test_two_requests_in_a_row_are_each_accepted_once(drive: Driver) -> None:
    """The server closes a connection that the client may want to use again."""
    with failing(then(OK)) as server:
        body = f"""
            for (let count = 0; count < 2; count++) {{
              await client.generate({{ ...{BALL}, async: false }});
              await new Promise((resolve) => setTimeout(resolve, 300));
            }}
        """
        assert "error" not in drive(body, server.base_url)
        assert len(server.accepted) == 2


ABORTED = """
    const controller = new AbortController();
    const reason = new Error("the page was left");
    setTimeout(() => controller.abort(reason), args.afterMs);
    try {
      await client.generate(args.request, { signal: controller.signal });
    } catch (error) {
      return [error.name, (error.cause ?? error) === reason, error.generationId ?? null];
    }
"""


def test_an_abort_tells_what_it_may_have_cost(drive: Driver, mock: Running) -> None:
    request = {"model": "kling-o3", "params": {"prompt": "mock:slow=20"}, "async": True}
    told = drive("return await client.generate(args, { signal: AbortSignal.abort() })", mock.base_url, request)
    assert (told["error"]["name"], told["budget"]["held"]) == ("AbortError", 0), "nothing was sent"
    with failing(silent) as server:
        told = drive(ABORTED, server.base_url, {"request": request, "afterMs": 200})
        assert (told["value"], len(server.accepted)) == (["OutcomeUnknown", True, None], 1)
        assert told["budget"] == {"spent": 0, "held": float(LARGEST_USD)}
    told = drive(ABORTED, mock.base_url, {"request": request, "afterMs": 500})
    name, is_reason, generation = told["value"]
    assert (name, is_reason, generation[:4]) == ("StillRunning", True, "gen_")
    with failing(limited("Retry-After: 30", times=9)) as server:
        told = drive(ABORTED, server.base_url, {"request": request, "afterMs": 200})
        assert told["value"] == ["Error", True, None], "what was refused cost nothing"
        assert told["budget"] == {"spent": 0, "held": 0}


def test_an_error_of_fetch_as_the_reason_of_an_abort_is_no_proof(drive: Driver) -> None:
    with failing(silent) as server:
        body = f"""
            const cause = Object.assign(new Error("connect"), {{ code: "ECONNREFUSED", syscall: "connect" }});
            const controller = new AbortController();
            setTimeout(() => controller.abort(new TypeError("fetch failed", {{ cause }})), 200);
            return await client.generate({BALL}, {{ signal: controller.signal }});
        """
        told = drive(body, server.base_url)
        assert (told["error"]["name"], len(server.accepted)) == ("OutcomeUnknown", 1)


def test_a_paid_request_whose_time_is_over_is_not_sent(drive: Driver) -> None:
    with failing(then(OK)) as server:
        told = drive(GENERATE, server.base_url, {"timeoutMs": 0})
        assert (told["error"]["name"], server.connections) == ("NotSent", 0)


def test_a_request_that_may_cost_too_much_is_not_sent(drive: Driver) -> None:
    with failing(then(OK)) as server:
        told = drive(GENERATE, server.base_url, {"maxCostUsd": 0.62})
        assert told["error"]["name"] == "OverBudget"
        assert "0.63" in told["error"]["message"]
        unpriced = "return await client.generate({ model: 'kling-o3', params: {} }, { validate: false, maxCostUsd: 1 })"
        assert "not published" in drive(unpriced, server.base_url)["error"]["message"]
        assert drive(GENERATE, server.base_url, {"maxCostUsd": "a lot"})["error"]["name"] == "NotConfigured"
        assert server.connections == 0
        assert "value" in drive(GENERATE, server.base_url, {"maxCostUsd": 0.63})


SEVERAL = """
    const told = [];
    for (const prompt of ["a ball", "mock:accept-then-504", "mock:fail", "mock:status=403", "a third"]) {
      try {
        told.push((await client.generate({ model: "kling-o3", params: { prompt } })).status);
      } catch (error) {
        told.push(error.name);
      }
    }
    return told;
"""


def test_the_budget_keeps_what_was_spent_and_what_is_unknown(drive: Driver, mock: Running) -> None:
    """One of 0.50 is spent, one of 0.63 at most is unknown, so that of 1.50 USD the third is not sent."""
    told = drive(SEVERAL, mock.base_url, budgetUsd=1.77)
    assert told["value"] == ["completed", "OutcomeUnknown", "GenerationFailed", "Forbidden", "completed"]
    assert told["budget"] == {"spent": 1, "held": 0.63}
    told = drive(SEVERAL, mock.base_url, budgetUsd=1.5)
    assert told["value"] == ["completed", "OutcomeUnknown", "OverBudget", "OverBudget", "OverBudget"]


def test_sums_of_money_are_exact(drive: Driver) -> None:
    """0.1 + 0.2 USD are 0.3, and leave 0.7 of 1."""
    body = """
        const budget = new prospo.Budget(1);
        for (const cost of [0.1, 0.2]) budget.settle(budget.hold(cost), cost);
        budget.hold(0.7);
        const told = [budget.spentUsd, budget.heldUsd];
        try { budget.hold(1e-9); } catch (error) { told.push(error.name); }
        for (const wrong of [-1, NaN, Infinity, "1", null]) {
          try { new prospo.Budget(wrong); } catch (error) { told.push(error.name); }
        }
        return told;
    """
    assert drive(body, "http://127.0.0.1")["value"] == [0.3, 0.7, "OverBudget", *["NotConfigured"] * 5]


def test_a_cost_below_zero_makes_no_budget_grow(drive: Driver) -> None:
    negative = GENERATION.replace(b"0.5", b"-5")
    with failing(then(answer("200 OK", negative))) as server:
        assert drive(BLOCKING, server.base_url)["budget"] == {"spent": 0.63, "held": 0}


# Requests


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda each: each.id)
def test_what_is_set_is_sent_and_nothing_else(drive: Driver, model: Any) -> None:
    for mode in model.modes:
        request = {**json.loads(mode.example), "async": False}
        came, told = recorded(drive, "return await client.generate(args)", request)
        assert "value" in told, told
        request.pop("async")
        assert [body_of(each) for each in came] == [request]
        assert came[0].startswith(b"POST /v1/generate HTTP/1.1\r\n")
        assert f"authorization: bearer {KEY}".encode() in came[0].lower()


@pytest.mark.parametrize(
    ("request_", "is_async"),
    [
        ({"model": "kling-o3", "params": {"prompt": "x", "duration": 5}}, False),
        ({"model": "kling-o3", "params": {"prompt": "x"}}, False),
        ({"model": "kling-o3", "params": {"prompt": "x", "duration": 10}}, True),
        ({"model": "veo-3-1-lite", "params": {"prompt": "x", "duration": "4s"}}, False),
        ({"model": "veo-3-1-lite", "params": {"prompt": "x", "duration": "6s"}}, True),
        ({"model": "veo-3-1-lite", "params": {"prompt": "x"}}, True),
        ({"model": "seedream-5-lite", "params": {"prompt": "x"}}, False),
    ],
)
def test_the_asynchronous_way_is_taken_where_the_documentation_recommends_it(
    drive: Driver, request_: dict[str, Any], is_async: bool
) -> None:
    """For videos of more than 5 seconds; the defaults here are 5 and "8s"."""
    sent = recorded(drive, "return await client.generate(args)", request_)[0]
    assert body_of(sent[0]) == {**request_, **({"async": True} if is_async else {})}
    sent = recorded(drive, "return await client.generate({ ...args, async: true })", request_)[0]
    assert body_of(sent[0])["async"] is True
    sent = recorded(drive, "return (await client.submit({ ...args, async: false })).id", request_)[0]
    assert body_of(sent[0])["async"] is True


@pytest.mark.parametrize(
    ("params", "codes"),
    [
        ('{ prompt: "x", duration: 16, aspect_ratio: "16x9", n: 1 }', {"maximum", "enum", "additionalProperties"}),
        ("{ prompt: 5 }", {"type"}),
        ('{ prompt: "x", duration: NaN }', {"type"}),
        ("{ prompt: 1n }", {"json"}),
        (r'{ prompt: "\ud800" }', {"json"}),
        ("{ prompt: undefined }", {"required"}),
        ("{}", {"required"}),
        ("[]", {"type"}),
        ('(() => { const loop = { prompt: "x" }; loop.loop = loop; return loop; })()', {"json"}),
    ],
)
def test_an_invalid_request_is_told_whole_and_no_byte_leaves(drive: Driver, params: str, codes: set[str]) -> None:
    came, told = recorded(drive, f'return await client.generate({{ model: "seedance-2-fast", params: {params} }})')
    assert came == []
    assert told["error"]["name"] == "InvalidRequest"
    assert {problem["code"] for problem in told["error"]["members"]["problems"]} == codes


ODD = ["null", "undefined", "[]", '"x"', "{}", "5", "{ model: Object.create(null), mode: Symbol('x'), params: null }"]


@pytest.mark.parametrize("request_", ODD)
def test_what_is_no_request_is_told_as_such(drive: Driver, request_: str) -> None:
    came, told = recorded(drive, f"return await client.generate({request_})")
    assert (came, told["error"]["name"]) == ([], "InvalidRequest")


def test_what_is_judged_is_what_is_sent(drive: Driver) -> None:
    """A getter that says another thing each time it is read is read once; `toJSON` has its say before the check."""
    body = """
        let reads = 0;
        const params = { prompt: "x", get duration() { return reads++ ? 500 : 5; } };
        await client.generate({ model: "kling-o3", params, async: false });
        await client.generate({ model: "kling-o3", params: { toJSON: () => ({ prompt: "y" }) }, async: false });
        for (const made of [undefined, 5, null, {}]) {
          try { await client.generate({ toJSON: () => made }); reads = -1; } catch (error) {
            if (error.name !== "InvalidRequest") throw error;
          }
        }
        return reads;
    """
    came, told = recorded(drive, body)
    assert [body_of(each)["params"] for each in came] == [{"prompt": "x", "duration": 5}, {"prompt": "y"}]
    assert told["value"] == 1


def test_a_catalog_that_lags_behind_can_be_passed_by(drive: Driver) -> None:
    request = {"model": "new-model", "params": {"x": 1}, "async": False}
    came, _ = recorded(drive, "return await client.generate(args, { validate: false })", request)
    assert body_of(came[0]) == {"model": "new-model", "params": {"x": 1}}
    assert len(recorded(drive, "return await client.generate(args)", request, validate=False)[0]) == 1


def test_a_warning_is_told_once(drive: Driver, mock: Running) -> None:
    params = {"prompt": "x", "image_url": "https://example.com/a.png", "duration": 99}
    request = {"model": "seedance-2-fast", "mode": "image", "params": params}
    told = drive("for (let count = 0; count < 3; count++) await client.submit(args)", mock.base_url, request)
    assert [each["severity"] for each in told["warnings"]] == ["warning"]
    assert "duration is 99" in told["warnings"][0]["message"]


def test_key_and_url_come_from_the_environment(drive: Driver, mock: Running) -> None:
    body = """
        process.env.PROSPOLABS_API_KEY = args.key;
        process.env.PROSPOLABS_BASE_URL = args.url;
        try { return (await new prospo.Client().balance()).currency; }
        finally { delete process.env.PROSPOLABS_API_KEY; delete process.env.PROSPOLABS_BASE_URL; }
    """
    assert drive(body, mock.base_url, {"key": KEY, "url": mock.base_url + "/"})["value"] == "USD"
    assert "PROSPOLABS_API_KEY" in drive("new prospo.Client()", mock.base_url)["error"]["message"]


@pytest.mark.parametrize(
    "options",
    [
        {"apiKey": "prsp-canary-key\n"},
        {"apiKey": "prsp canary-key"},
        {"apiKey": "prsp-canary-keyé"},
        {"baseUrl": "ftp://x"},
        {"baseUrl": "x?token=canaryurl"},
        {"baseUrl": "https://user:canary-key@example.com"},
        {"baseUrl": "https://example.com/?token=canaryurl"},
        {"timeoutMs": -1},
        {"timeoutMs": "1"},
        {"budgetUsd": -1},
        {"maxCostUsd": -1},
    ],
)
def test_an_option_that_is_none_is_told_and_not_repeated(drive: Driver, options: dict[str, Any]) -> None:
    told = drive("return 1", "http://127.0.0.1", **options)
    assert told["error"]["name"] == "NotConfigured"
    hidden(told)


def test_a_base_url_may_have_a_path(drive: Driver) -> None:
    body = f'return await new prospo.Client({{ apiKey: "k", baseUrl: args + "/proxy/" }}).generate({BALL})'
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        came.append(read_whole(connection))
        connection.sendall(OK)

    with failing(fail) as server:
        assert "value" in drive(body, server.base_url, server.base_url)
    assert came[0].startswith(b"POST /proxy/v1/generate ")


# Waiting


def test_a_submission_can_be_followed_here_and_in_another_process(drive: Driver, mock: Running) -> None:
    """In another language as well."""
    body = """
        const job = await client.submit({ model: "kling-o3", params: { prompt: "mock:slow=0.3" } });
        const first = await job.status();
        try { await job.wait({ timeoutMs: 0 }); } catch (error) {
          if (error.name !== "StillRunning" || error.generation.generationId !== job.id) throw error;
        }
        return [job.id, job.checkpoint(), first.isDone];
    """
    id, checkpoint, is_done = drive(body, mock.base_url)["value"]
    assert not is_done
    with prospo.Client(KEY, mock.base_url, poll_s=0.02) as client:
        assert str(client.job(checkpoint).result().cost_usd) == "0.5"
        for text in (checkpoint, id, client.job(checkpoint).checkpoint()):
            told = drive("return await client.job(args).result()", mock.base_url, text)
            assert told["value"]["costUsd"] == 0.5
            assert told["budget"] == {"spent": 0.5, "held": 0}


@pytest.mark.parametrize(
    "text", ["", "{", "{}", '{"generation_id": 5}', "a\nb", "a\u2028b", "x" * 501, '{"generation_id": ""}']
)
def test_what_names_no_generation_is_no_job(drive: Driver, text: str) -> None:
    assert drive("return client.job(args)", "http://127.0.0.1", text)["error"]["name"] == "TypeError"


def test_a_generation_that_is_taken_up_twice_is_paid_for_once(drive: Driver, mock: Running) -> None:
    body = f"""
        const job = await client.submit({BALL});
        for (const text of [job.checkpoint(), job.id, job.id]) await client.job(text).result();
        const {{ generationId }} = await client.generate({BALL});
        await client.job(generationId).result();
    """
    assert drive(body, mock.base_url)["budget"] == {"spent": 1, "held": 0}


def test_every_new_status_is_told_once(drive: Driver, mock: Running) -> None:
    body = """
        const slow = { model: "kling-o3", params: { prompt: "mock:slow=0.5" } };
        const seen = [], yielded = [];
        await (await client.submit(slow)).wait({ onUpdate: ({ status }) => seen.push(status) });
        for await (const { status } of (await client.submit(slow)).updates()) yielded.push(status);
        return [seen, yielded];
    """
    for seen in drive(body, mock.base_url)["value"]:
        assert seen[-1] == "completed"
        assert len(seen) == len(set(seen)) >= 2


def test_a_wait_ends_by_its_signal_and_the_generation_goes_on(drive: Driver, mock: Running) -> None:
    body = """
        const job = await client.submit({ model: "kling-o3", params: { prompt: "mock:slow=0.5" } });
        const told = [];
        for (const signal of [AbortSignal.abort(), AbortSignal.timeout(50)]) {
          for (const wait of [() => job.wait({ signal }), () => job.result({ signal })]) {
            try { await wait(); } catch (error) { told.push(error.name); }
          }
        }
        return [told, (await job.result()).status];
    """
    told, status = drive(body, mock.base_url)["value"]
    assert told == ["AbortError", "AbortError", "TimeoutError", "TimeoutError"]
    assert status == "completed"


def test_a_failed_generation_is_an_error_of_result_and_an_answer_of_wait(drive: Driver, mock: Running) -> None:
    body = """
        const job = await client.submit({ model: "kling-o3", params: { prompt: "mock:fail" } });
        const { status } = await job.wait();
        try { await job.result(); } catch (error) { return [status, error.name, error.generation.status]; }
    """
    assert drive(body, mock.base_url)["value"] == ["failed", "GenerationFailed", "failed"]


def test_what_is_paid_for_can_be_found_again_when_the_looks_fail(drive: Driver) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        request = read_whole(connection)
        if request.startswith(b"POST"):
            connection.sendall(answer("202 Accepted", b'{"generation_id": "gen_a", "status": "queued"}'))
            connection.close()
        elif is_gone:
            connection.sendall(answer("404 Not Found"))

    is_gone: list[bool] = []
    with failing(fail) as server:
        error = drive(GENERATE, server.base_url, {"timeoutMs": 1000})["error"]
        assert (error["name"], error["members"]["generationId"]) == ("StillRunning", "gen_a")
        assert "the last look failed" in error["message"]
        is_gone.append(True)
        error = drive(GENERATE, server.base_url, {"timeoutMs": 1000})["error"]
        assert (error["name"], error["members"]["generationId"]) == ("NotFound", "gen_a")


# Answers


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, "BadRequest"),
        (401, "Unauthorized"),
        (403, "Forbidden"),
        (404, "NotFound"),
        (410, "OutputExpired"),
        (500, "OutcomeUnknown"),
        (504, "OutcomeUnknown"),
    ],
)
def test_every_documented_status_is_a_type(drive: Driver, mock: Running, status: int, error: str) -> None:
    request = {"model": "kling-o3", "params": {"prompt": f"mock:status={status}"}}
    told = drive("return await client.generate(args)", mock.base_url, request)["error"]
    assert (told["name"], told["members"]["status"]) == (error, status)
    assert str(status) in told["message"]
    if status < 500:
        assert told["kinds"][1:] == ["Refused", "CallerError", "ProspoError", "Error"]
        assert told["members"]["code"]
        assert told["members"]["detail"]


def test_every_free_call_has_the_errors_that_are_documented_for_it(drive: Driver, mock: Running) -> None:
    png = "new Blob([Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0)])"
    for body, error in {
        "return await client.balance()": "Unauthorized",
        "return await client.job('gen_a').status()": "Unauthorized",
        f"return await client.upload({png})": "Unauthorized",
        f"return await client.generate({BALL})": "Unauthorized",
    }.items():
        assert drive(body, mock.base_url, apiKey="prsp-another")["error"]["name"] == error
    assert drive("return await client.job('gen_nobody').status()", mock.base_url)["error"]["name"] == "NotFound"


def test_unknown_fields_and_statuses_are_kept(drive: Driver) -> None:
    bodies = [
        {"generation_id": "gen_a", "status": "moderating", "extra": [1], "cost_usd": "0.4", "mode": None},
        {"generation_id": "gen_a", "status": "archived", "output_url": "https://example.com/a", "duration_ms": None},
    ]

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            read_whole(connection)
            connection.sendall(answer("200 OK", json.dumps(bodies[0] if len(bodies) == 1 else bodies.pop(0)).encode()))

    body = f"""
        const seen = await client.job("gen_a").status();
        const done = await client.generate({BALL});
        let isFrozen = false;
        try {{ done.status = "completed"; }} catch (error) {{ isFrozen = error instanceof TypeError; }}
        return [seen.status, seen.raw.extra, seen.costUsd ?? null, seen.mode ?? null, seen.isDone,
                done.status, done.outputUrl, done.isDone, isFrozen];
    """
    with failing(fail) as server:
        told = drive(f"'use strict';{body}", server.base_url)["value"]
    assert told == ["moderating", [1], None, None, False, "archived", "https://example.com/a", True, True]


def test_what_nobody_knows_is_done_once_it_has_an_output(drive: Driver) -> None:
    """Its status may be the same as before."""
    outputs = ["", "https://example.com/a"]

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            read_whole(connection)
            seen = {"generation_id": "gen_a", "status": "archived", "output_url": outputs.pop(0)}
            connection.sendall(answer("200 OK", json.dumps(seen).encode()))

    with failing(fail) as server:
        told = drive("return (await client.job('gen_a').result()).outputUrl", server.base_url)
    assert told["value"] == "https://example.com/a"


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"7", b"{}", b"\xff", b'{"balance_usd": "1"}', b"{" * 100_000])
def test_an_answer_that_cannot_be_read_is_an_error_of_the_service(drive: Driver, body: bytes) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            read_whole(connection)
            connection.sendall(answer("200 OK", body))

    with failing(fail) as server:
        for do in ("return await client.balance()", "return await client.job('gen_a').status()"):
            assert drive(do, server.base_url)["error"]["name"] == "Unavailable"


def test_an_answer_without_end_is_not_read_to_it(drive: Driver) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        server.take(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(1000):
            connection.sendall(b" " * 100_000)

    with failing(fail) as server:
        told = drive(BLOCKING, server.base_url)["error"]
        assert told["name"] == "OutcomeUnknown"
        assert "longer" in told["message"]


# Files

FILES = {
    "png": (b"\x89PNG\r\n\x1a\n" + bytes(100), "image/png"),
    "jpg": (b"\xff\xd8\xff\xe0" + bytes(50), "image/jpeg"),
    "webp": (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    "mp4": (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
    "mov": (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
    "old mov": (b"\0\0\0\x08wide" + bytes(20), "video/quicktime"),
    "mp3": (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
    "bare mp3": (b"\xff\xfb\x90\x00" + bytes(20), "audio/mpeg"),
    "wav": (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
}
SOURCES = {
    "blob": "new Blob([bytes])",
    "file": 'new File([bytes], "my clip.bin", { type: "text/html" })',
    "bytes": "bytes",
    "stream": "new Blob([bytes.slice(0, 5), bytes.slice(5)]).stream()",
    "a Blob of the disk": 'await (await import("node:fs")).openAsBlob(args.path)',
}


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_under_the_type_of_its_content(drive: Driver, name: str, source: str, tmp_path: Path) -> None:
    content, content_type = FILES[name]
    (tmp_path / "a").write_bytes(content)
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            came.append(read_whole(connection))
            place = {"token": TOKEN, "upload_url": f"/v1/uploads/proxy/{TOKEN}"}
            connection.sendall(answer("200 OK", json.dumps(place).encode()))

    body = f"const bytes = Uint8Array.from(args.content); return await client.upload({SOURCES[source]})"
    with failing(fail) as server:
        told = drive(body, server.base_url, {"content": list(content), "path": str(tmp_path / "a")})
    assert told.get("value") == TOKEN, told
    assert body_of(came[0]) == {
        "content_type": content_type,
        "file_name": "my clip.bin" if source == "file" else "file",
    }
    head, _, sent = came[1].partition(b"\r\n\r\n")
    assert head.startswith(f"PUT /v1/uploads/proxy/{TOKEN} HTTP/1.1".encode())
    assert f"content-type: {content_type}\r\n".encode() in head.lower() + b"\r\n"
    assert b"chunked" not in head.lower()
    assert sent == content


@pytest.mark.parametrize("content", [b"", b"hello", b"GIF89a", b"\0\0\0\x18ftypavif\0\0\0\0", b"RIFF\0\0\0\0AVI LIST"])
def test_a_file_that_is_not_taken_is_refused_before_a_byte_is_sent(drive: Driver, content: bytes) -> None:
    came, told = recorded(drive, "return await client.upload(Uint8Array.from(args))", list(content))
    assert (came, told["error"]["name"]) == ([], "FileRefused")
    assert "no type" in told["error"]["message"]


@pytest.mark.parametrize(("name", "max_bytes"), [("png", 30_000_000), ("mp4", 50_000_000), ("wav", 15_000_000)])
@pytest.mark.parametrize("source", ["blob", "stream"])
def test_a_file_may_be_as_large_as_documented(drive: Driver, name: str, max_bytes: int, source: str) -> None:
    body = """
        const blob = new Blob([Uint8Array.from(args.head), new Uint8Array(args.size - args.head.length)]);
        return await client.upload(args.source === "stream" ? blob.stream() : blob);
    """
    for size, error in ((max_bytes, "Unavailable"), (max_bytes + 1, "FileRefused")):
        # This server has no place for it, but it was asked.
        args = {"head": list(FILES[name][0]), "size": size, "source": source}
        came, told = recorded(drive, body, args)
        assert (len(came), told["error"]["name"]) == (int(size == max_bytes), error)


def test_a_stream_without_end_is_not_read_to_it(drive: Driver) -> None:
    body = """
        let pulls = 0;
        const pull = (controller) => { pulls++; controller.enqueue(new Uint8Array(1_000_000)); };
        try { await client.upload(new ReadableStream({ pull })); } catch (error) { return [error.name, pulls]; }
    """
    name, pulls = drive(body, "http://127.0.0.1")["value"]
    assert name == "FileRefused"
    assert pulls < 60


def test_a_file_that_the_first_answer_lost_is_sent_again(drive: Driver) -> None:
    sent: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            request = read_whole(connection)
            if request.startswith(b"PUT"):
                sent.append(request.partition(b"\r\n\r\n")[2])
                if len(sent) == 1:
                    return
            place = {"token": TOKEN, "upload_url": "/v1/uploads/proxy/x", "content_type": "image/png"}
            connection.sendall(answer("200 OK", json.dumps(place).encode()))

    content = FILES["png"][0]
    with failing(fail) as server:
        body = "return await client.upload(new Blob([Uint8Array.from(args)]).stream())"
        assert drive(body, server.base_url, list(content))["value"] == TOKEN
    assert sent == [content, content]


def test_uploads_and_outputs_go_through_the_mock(drive: Driver, mock: Running) -> None:
    body = """
        const image_urls = [await client.upload(Uint8Array.from(args))];
        const params = { prompt: "x", image_urls };
        const made = await client.generate({ model: "seedream-5-lite", mode: "edit", params });
        const response = await client.download(made);
        const bytes = new Uint8Array(await response.arrayBuffer());
        let streamed = 0;
        for await (const piece of (await client.download(made.outputUrl)).body) streamed += piece.length;
        return [response.headers.get("content-type"), [...bytes.slice(1, 4)], bytes.length, streamed];
    """
    type, head, length, streamed = drive(body, mock.base_url, list(FILES["png"][0]))["value"]
    assert (type, bytes(head)) == ("image/png", b"PNG")
    assert length == streamed > 100


def test_a_token_of_another_form_than_the_documented_one_is_good(drive: Driver) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            request = read_whole(connection)
            place = b'{"token": "opaque/7", "upload_url": "/v1/uploads/proxy/x"}'
            connection.sendall(OK if request.startswith(b"POST /v1/generate") else answer("200 OK", place))

    body = """
        const token = await client.upload(Uint8Array.from(args));
        const request = { model: "seedream-5-lite", mode: "edit" };
        await client.generate({ ...request, params: { prompt: "x", image_urls: [token] } });
        await client.generate({ ...request, params: { prompt: "x", image_urls: ["opaque/8"] } });
    """
    with failing(fail) as server:
        told = drive(body, server.base_url, list(FILES["png"][0]))
    assert told["budget"]["spent"] == 0.5
    assert [each["path"] for each in told["error"]["members"]["problems"]] == ["/params/image_urls/0"]


def test_an_expired_output_says_so(drive: Driver) -> None:
    body = """
        const made = await client.generate({ model: "seedream-5-lite", params: { prompt: "x" } });
        const headers = { "X-Mock-Token": args, "Content-Type": "application/json" };
        const body = JSON.stringify({ advance_s: 604801 });
        await fetch(new URL("/__mock/clock", made.outputUrl), { method: "POST", body, headers });
        const told = [];
        for (const ask of [() => client.download(made), () => client.job(made.generationId).status()]) {
          try { await ask(); } catch (error) { told.push(error.name); }
        }
        return told;
    """
    with serve(MockConfig(api_key=KEY)) as own:
        assert drive(body, own.base_url, own.config.control_token)["value"] == ["OutputExpired", "OutputExpired"]


def test_a_download_is_whole_or_an_error_and_sends_no_key(drive: Driver) -> None:
    came: list[bytes] = []
    outputs = [
        answer("200 OK", bytes(100_000))[:-1],
        answer("302 Found", b"", "Location: http://localhost:{port}/elsewhere?token=canaryurl"),
        answer("200 OK", b"moved", "Content-Type: image/png"),
    ]

    def fail(server: FailingServer, connection: Any) -> None:
        came.append(read_whole(connection))
        connection.sendall(outputs.pop(0).replace(b"{port}", str(server.port).encode()))

    body = "return [await (await client.download(args)).text()]"
    with failing(fail) as server:
        url = f"{server.base_url}/out.png?token=canaryurl"
        told = drive(body, server.base_url, url)
        assert told["error"]["name"] == "NoAnswer"
        hidden(told)
        assert drive(body, server.base_url, url)["value"] == ["moved"]
    assert len(came) == 3
    assert all(b"authorization" not in request.lower() for request in came)


def test_a_download_can_be_aborted_on_its_way(drive: Driver) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        read_whole(connection)
        connection.sendall(answer("200 OK", bytes(100_000))[:-1])
        time.sleep(3)

    body = """
        const response = await client.download(args, { signal: AbortSignal.timeout(200) });
        return (await response.blob()).size;
    """
    with failing(fail) as server:
        assert drive(body, server.base_url, server.base_url)["error"]["name"] == "TimeoutError"
        late = body.replace("signal: AbortSignal.timeout(200)", "timeoutMs: 200")
        assert drive(late, server.base_url, server.base_url)["error"]["name"] == "NoAnswer"


@pytest.mark.parametrize("url", ["", "/relative", "ftp://x/a", "javascript:1", "data:,x"])
def test_an_output_that_is_nowhere_is_an_error(drive: Driver, url: str) -> None:
    told = drive("return await client.download(args)", "http://127.0.0.1", url)
    assert told["error"]["name"] == "ServiceError"
    body = "return await client.download(new prospo.Generation('gen_a', 'failed'))"
    assert drive(body, "http://127.0.0.1")["error"]["name"] == "TypeError"


def test_an_upload_address_elsewhere_gets_no_key(drive: Driver) -> None:
    came: list[bytes] = []

    def elsewhere(server: FailingServer, connection: Any) -> None:
        came.append(read_whole(connection))
        connection.sendall(answer("200 OK", b"{}"))

    with failing(elsewhere) as other:

        def fail(server: FailingServer, connection: Any) -> None:
            read_whole(connection)
            place = {"token": TOKEN, "upload_url": f"{other.base_url}/put"}
            connection.sendall(answer("200 OK", json.dumps(place).encode()))

        with failing(fail) as server:
            drive("return await client.upload(Uint8Array.from(args))", server.base_url, list(FILES["png"][0]))
    assert came[0].startswith(b"PUT /put")
    assert b"authorization" not in came[0].lower()


# Secrets

ECHO = (
    b'{"code": "bare-key", "message": "the key ' + KEY.encode() + b" or bare-key and " + TOKEN.encode()
    + b' and https://a.example/?token=canaryurl are refused"}'
)  # fmt: skip
SIGNED = b'{"generation_id": "gen_a", "status": "%s", "output_url": "http://127.0.0.1/a.mp4?token=canaryurl"}'
UPLOAD = "return await client.upload(Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0))"
PLACE = b'{"token": "' + TOKEN.encode() + b'", "upload_url": "/v1/uploads/proxy/' + TOKEN.encode() + b'"}'
REFUSED, BROKEN = answer("400 Bad Request", ECHO), answer("500 Internal Server Error", ECHO)
CASES: dict[str, tuple[str, bytes, str]] = {
    "refused": (BLOCKING, REFUSED, "BadRequest"),
    "500": (BLOCKING, BROKEN, "OutcomeUnknown"),
    "closed": (BLOCKING, b"", "OutcomeUnknown"),
    "cut off": (BLOCKING, BROKEN[:-5], "OutcomeUnknown"),
    "no HTTP": (BLOCKING, b"prsp-canary-key", "OutcomeUnknown"),
    "half an output": (BLOCKING, answer("200 OK", SIGNED % b"completed")[:-3], "OutcomeUnknown"),
    "failed, with an output": (BLOCKING, answer("200 OK", SIGNED % b"failed"), "GenerationFailed"),
    "running, with an output": (
        "return await client.job('gen_a').wait({ timeoutMs: 0 })",
        answer("200 OK", SIGNED % b"processing"),
        "StillRunning",
    ),
    "no id": (BLOCKING, answer("200 OK", (SIGNED % b"queued").replace(b"generation_id", b"id")), "OutcomeUnknown"),
    "balance": ("return await client.balance()", REFUSED, "BadRequest"),
    "upload refused": (UPLOAD, answer("404 Not Found", ECHO), "NotFound"),
    "no place": (UPLOAD, answer("200 OK", PLACE.replace(b"upload_url", b"url")), "Unavailable"),
    "output gone": (
        "return await client.download('http://127.0.0.1:%d/a?token=canaryurl')",
        answer("410 Gone", ECHO),
        "OutputExpired",
    ),
    "a bad token": (
        "return await client.generate({ model: 'seedream-5-lite', mode: 'edit', "
        f"params: {{ prompt: 'x', image_urls: ['{TOKEN}', 5] }} }})",
        b"",
        "InvalidRequest",
    ),
}


@pytest.mark.parametrize("key", [KEY, "bare-key"], ids=["a key", "a key of another form"])
@pytest.mark.parametrize("case", CASES)
def test_no_error_shows_a_secret(drive: Driver, case: str, key: str) -> None:
    body, answered, name = CASES[case]

    def fail(server: FailingServer, connection: Any) -> None:
        read_whole(connection)
        connection.sendall(answered)

    with failing(fail) as server:
        told = drive(body.replace("%d", str(server.port)), server.base_url, {"timeoutMs": 3000}, apiKey=key)
    assert told["error"]["name"] == name, told
    hidden(told)
    assert key not in json.dumps(told)


def test_nothing_that_succeeds_shows_a_secret(drive: Driver, mock: Running) -> None:
    body = """
        const { inspect } = await import("node:util");
        const made = await client.generate({ model: "seedream-5-lite", params: { prompt: "a ball" } });
        const job = await client.submit({ model: "seedream-5-lite", params: { prompt: "a ball" } });
        const response = await client.download(made);
        const shown = [client, client.budget, made, job, response, await client.balance()].flatMap((each) => [
          inspect(each, { depth: 10 }), JSON.stringify(each), String(each), JSON.stringify({ ...each }),
        ]);
        await response.body.cancel();
        return [made.outputUrl.split("token=")[1], made.raw.output_url === made.outputUrl, job.checkpoint(), ...shown];
    """
    token, is_kept, *shown = drive(body, mock.base_url)["value"]
    assert is_kept
    for text in shown:
        assert KEY not in (text or "")
        assert token not in (text or "")


# Other implementations


def everything(drive: Driver, base_url: str) -> list[str]:
    """Each endpoint once, and how every call ended."""
    body = """
        const told = [];
        const attempt = async (act) => {
          try { await act(); told.push("done"); } catch (error) {
            if (!(error instanceof prospo.ProspoError)) throw error;
            told.push(error.name);
          }
        };
        const options = { timeoutMs: 2000 };
        await attempt(() => client.balance(options));
        await attempt(() => client.generate({ model: "kling-o3", params: { prompt: "x" }, async: false }, options));
        await attempt(() => client.generate({ model: "kling-o3", params: { prompt: "x" }, async: true }, options));
        await attempt(async () => {
          const image_urls = [await client.upload(Uint8Array.from(args), options)];
          const params = { prompt: "x", image_urls };
          const made = await client.generate({ model: "seedream-5-lite", mode: "edit", params }, options);
          if (made.outputUrl) await (await client.download(made, options)).blob();
        });
        return told;
    """
    told = drive(body, base_url, list(FILES["png"][0]))
    assert "error" not in told, told
    ended: list[str] = told["value"]
    assert told["paid"] <= len(ended) - 1, "each is sent once"
    return ended


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_way_of_conforming_is_understood(drive: Driver, variant: str) -> None:
    with serve(MockConfig(api_key=KEY, variants=frozenset({variant}))) as running:
        told = everything(drive, running.base_url)
    # Whoever leaves out what this one asks for is refused, as the documentation's "required" lets it.
    assert set(told) == ({"done", "BadRequest"} if variant == "defaulted-required" else {"done"})


FREE_OF_CLIENTS = ("PARAM", "HOOK")
"""What these faults break is never met by who sends what is valid, and hears no webhook."""
AREAS = sorted({fault.partition("-")[0] for fault in FAULTS} - {*FREE_OF_CLIENTS})


@pytest.mark.parametrize("area", AREAS)
def test_no_fault_of_an_implementation_is_more_than_an_error_of_ours(drive: Driver, area: str) -> None:
    for fault in (each for each in FAULTS if each.partition("-")[0] == area):
        with serve(MockConfig(api_key=KEY, faults=frozenset({fault}))) as running:
            everything(drive, running.base_url)


# A browser


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    """The URL of the mock with the package beside it, and every paid request that came: a page asks its own origin."""
    paid: list[str] = []
    mock = create_app(MockConfig(api_key=KEY), load(trusted=True))

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and scope["path"].endswith("/v1/generate"):
            paid.append(scope["path"])
        await app(scope, receive, send)

    app = Starlette(
        routes=[
            Route("/page", lambda _: HTMLResponse("<!doctype html><title>page</title>")),
            Route("/moved/v1/generate", lambda _: RedirectResponse("/v1/generate", 307), methods=["POST"]),
            Mount("/dist", StaticFiles(directory=built() / "dist")),
            Mount("/", mock),
        ]
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(counted, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", paid
        server.should_exit = True
        thread.join(PATIENCE_S)


IN_A_PAGE = """
async ({ key, closed }) => {
  const prospo = await import("/dist/index.js");
  const client = new prospo.Client({ apiKey: key, baseUrl: location.origin, pollMs: 20 });
  const ball = { model: "kling-o3", params: { prompt: "a ball" } };
  const name = (promise) => promise.then(() => "done", (error) => error.name);
  const told = { problems: prospo.validate({ model: "kling-o3", params: {} }).map(({ path }) => path) };
  told.made = (await client.generate(ball)).status;
  told.waited = (await (await client.submit(ball)).result()).status;
  const blob = new Blob([Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10, 0)]);
  const image_urls = [await client.upload(blob), await client.upload(blob.stream())];
  const edit = { model: "seedream-5-lite", mode: "edit", params: { prompt: "x", image_urls } };
  const output = await (await client.download(await client.generate(edit))).blob();
  told.output = [output.type, output.size > 100];
  told.unauthorized = await name(new prospo.Client({ apiKey: "k", baseUrl: location.origin }).balance());
  told.spent = client.budget.spentUsd;
  for (const [what, baseUrl] of [["refused", closed], ["moved", `${location.origin}/moved`]]) {
    const other = new prospo.Client({ apiKey: key, baseUrl });
    told[what] = await other.generate(ball).catch((error) => [error.name, error.reason, error.requestSha256.length]);
  }
  const body = new TextEncoder().encode('{"event": "generation.failed", "generation_id": "gen_a"}');
  const signature = await prospo.signWebhook(body, "whsec");
  told.event = (await prospo.unwrapWebhook(body.buffer, signature, ["old", "whsec"])).kind;
  told.forged = await name(prospo.verifyWebhook(body, signature, "old"));
  return told;
}
"""


def test_it_runs_in_a_browser(launch: Callable[[str], Browser]) -> None:
    with site() as (url, paid):
        browser = launch("http://127.0.0.1:9")
        page = browser.new_page()
        errors: list[str] = []
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(f"{url}/page")
        told = page.evaluate(IN_A_PAGE, {"key": KEY, "closed": f"http://127.0.0.1:{closed_port()}"})
        browser.close()
    assert errors == []
    assert told == {
        "problems": ["/params/prompt"],
        "made": "completed",
        "waited": "completed",
        "output": ["image/png", True],
        "unauthorized": "Unauthorized",
        "spent": 1.014,
        "refused": ["OutcomeUnknown", "Failed to fetch", 64],
        "moved": ["OutcomeUnknown", "the answer is a redirect", 64],
        "event": "failed",
        "forged": "BadSignature",
    }
    assert paid == ["/v1/generate"] * 3 + ["/moved/v1/generate"]
