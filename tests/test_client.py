"""The clients on the mock, over a socket and in process: requests, answers, jobs, batches, files, errors."""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import pty
import resource
import statistics
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import prospo
import pytest
from failing_server import GENERATION, FailingServer, answer, failing, read_whole
from prospec.ir import Spec
from prospec_conformance.mock import MockConfig, Running, create_app, serve
from prospo.catalog import MODELS
from prospo.exchange import Deadline, Pause, Reply
from prospo.operations import Operations

KEY = "prsp-local"
BALL: dict[str, Any] = {"model": "kling-o3", "params": {"prompt": "a ball"}}
PNG = b"\x89PNG\r\n\x1a\n" + bytes(100)
PAIRS = [(model, mode) for model in MODELS.values() for mode in model.modes]


@pytest.fixture(scope="module")
def mock() -> Iterator[Running]:
    with serve(MockConfig(api_key=KEY)) as running:
        yield running


@pytest.fixture(scope="module")
def client(mock: Running) -> Iterator[prospo.Client]:
    with prospo.Client(KEY, mock.base_url, poll_s=0.02) as client:
        yield client


def in_process(do: Callable[[prospo.AsyncClient], Awaitable[Any]], spec: Spec, **config: Any) -> Any:
    """Run something with an asynchronous client on a mock of its own, without a socket."""

    async def run() -> Any:
        transport = httpx2.ASGITransport(create_app(MockConfig(api_key=KEY, **config), spec))
        async with prospo.AsyncClient(KEY, "http://127.0.0.1", transport=transport, poll_s=0.02) as client:
            return await do(client)

    return asyncio.run(run())


def recorded(do: Callable[[prospo.Client], object], **options: Any) -> list[bytes]:
    """The requests that leave a client, each answered as a generation that is done."""
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            came.append(read_whole(connection))
            body = b'{"generation_id": "gen_a", "status": "completed", "cost_usd": 0.5}'
            connection.sendall(answer("200 OK", body))

    with failing(fail) as server, prospo.Client(KEY, server.base_url, **options) as client:
        do(client)
    return came


def body_of(request: bytes) -> Any:
    return json.loads(request.partition(b"\r\n\r\n")[2])


def method_of(client: Any, model: str, mode: str) -> Any:
    """client.seedance_2_fast.text"""
    return getattr(getattr(client, model.replace("-", "_")), mode.replace("-", "_"))


@pytest.mark.parametrize(("model", "mode"), PAIRS, ids=lambda each: each.id)
def test_every_mode_is_a_method_that_sends_what_is_set_and_nothing_else(model: Any, mode: Any) -> None:
    example = json.loads(mode.example)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        came = recorded(
            lambda client: method_of(client.with_options(blocking=True), model.id, mode.id)(**example["params"])
        )
    assert [body_of(request) for request in came] == [
        {"model": model.id, **({"mode": mode.id} if mode.on_wire else {}), "params": example["params"]}
    ]
    assert came[0].startswith(b"POST /v1/generate HTTP/1.1\r\n")
    assert f"authorization: bearer {KEY}".encode() in came[0].lower()


@pytest.mark.parametrize(("model", "mode"), PAIRS, ids=lambda each: each.id)
def test_every_method_says_what_each_param_takes(model: Any, mode: Any) -> None:
    for of in (prospo.Client, prospo.AsyncClient):
        doc = inspect.getdoc(method_of(of(KEY), model.id, mode.id))
        assert doc
        for param in mode.params:
            row = next(line for line in doc.splitlines() if line.startswith(f"{param.name}: "))
            assert str(param.evidence).capitalize() in row
            assert param.default is None or f"Default: {json.dumps(param.default)}" in row
            assert param.unit in (None, "px") or f" {param.unit}." in row
            assert all(value in row for value in param.enum or ())
            assert param.mandatory == ("required." in row)
            assert param.source.replace("mode:", "mode ") in row
            if param.min is not None and param.max is not None:
                assert f"{param.min:.12g} to {param.max:.12g}" in row


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
    request_: dict[str, Any], is_async: bool
) -> None:
    """For videos of more than 5 seconds; the defaults here are 5 and "8s"."""
    assert body_of(recorded(lambda client: client.generate(**request_))[0]).get("async", False) is is_async
    for asked in (True, False):
        sent = body_of(recorded(lambda client, asked=asked: client.generate(**request_, blocking=asked))[0])
        assert sent.get("async", False) is not asked
    assert body_of(recorded(lambda client: client.submit(**request_))[0])["async"] is True


@pytest.mark.parametrize(
    ("params", "codes"),
    [
        ({"prompt": "x", "duration": 16, "aspect_ratio": "16x9", "n": 1}, {"maximum", "enum", "additionalProperties"}),
        ({"prompt": 5}, {"type"}),
        ({"prompt": float("nan")}, {"json"}),
        ({"prompt": {1, 2}}, {"json"}),
        ({"prompt": "\ud800"}, {"json"}),
        ({}, {"required"}),
        ([], {"type"}),
    ],
)
def test_an_invalid_request_is_told_whole_and_no_byte_leaves(params: Any, codes: set[str]) -> None:
    def do(client: prospo.Client) -> None:
        with pytest.raises(prospo.InvalidRequest) as told:
            client.generate(model="seedance-2-fast", params=params)
        assert {problem.code for problem in told.value.problems} == codes

    assert recorded(do) == []


def test_what_is_judged_is_what_is_sent() -> None:
    """A mapping that says another thing each time it is read is read once; keys become what JSON makes of them."""

    class Changing(dict[str, Any]):
        def items(self) -> Any:
            reads.append(1)
            return [("prompt", "x"), ("duration", 5 if len(reads) == 1 else 500)]

    reads: list[int] = []
    sent = recorded(lambda client: client.generate(model="kling-o3", params=Changing(prompt="x"), blocking=True))
    assert [body_of(request)["params"] for request in sent] == [{"prompt": "x", "duration": 5}]
    assert reads == [1]
    with pytest.raises(prospo.InvalidRequest, match="'1'"):
        prospo.Client(KEY).generate(model="kling-o3", params={"prompt": "x", 1: "y"})  # type: ignore[dict-item]


def test_a_catalog_that_lags_behind_can_be_passed_by() -> None:
    sent = recorded(lambda client: client.generate(model="new-model", params={"x": 1}, validate=False, blocking=True))
    assert body_of(sent[0]) == {"model": "new-model", "params": {"x": 1}}


def test_a_warning_is_shown_once_at_the_caller_s_line(mock: Running) -> None:
    params: dict[str, Any] = {"prompt": "x", "image_url": "https://example.com/a.png", "duration": 99}
    with prospo.Client(KEY, mock.base_url) as fresh, warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always", prospo.RequestWarning)
        for _ in range(3):
            fresh.seedance_2_fast.image(**params)
    assert [each.category for each in shown] == [prospo.RequestWarning]
    assert "duration is 99" in str(shown[0].message)
    assert shown[0].filename == __file__


def test_options_are_checked_and_inherited(client: prospo.Client) -> None:
    with pytest.raises(TypeError, match="timeout_s"):
        client.with_options(timout_s=3)  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="no amount"):
        client.with_options(max_cost_usd="a lot")
    cheap = client.with_options(max_cost_usd="0.01")
    with pytest.raises(prospo.OverBudget):
        cheap.kling_o3.text(prompt="x")
    assert cheap.with_options(max_cost_usd=None).kling_o3.text(prompt="x").status == "completed"


def test_key_and_url_come_from_the_environment(mock: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROSPOLABS_API_KEY", raising=False)
    monkeypatch.delenv("PROSPOLABS_BASE_URL", raising=False)
    with pytest.raises(prospo.NotConfigured, match="PROSPOLABS_API_KEY"):
        prospo.Client()
    monkeypatch.setenv("PROSPOLABS_API_KEY", KEY)
    monkeypatch.setenv("PROSPOLABS_BASE_URL", mock.base_url + "/")
    with prospo.Client() as client:
        assert client.balance().currency == "USD"


def test_a_client_of_one_s_own_is_used_and_stays_open(mock: Running) -> None:
    with httpx2.Client(headers={"X-Mine": "1", "Authorization": "Bearer another"}, follow_redirects=True) as own:
        with prospo.Client(KEY, mock.base_url, http_client=own) as client:
            client.generate(**BALL)
        assert not own.is_closed


def test_a_submission_can_be_followed_here_and_in_another_process(client: prospo.Client, mock: Running) -> None:
    job = client.kling_o3.submit_text(prompt="mock:slow=0.3")
    assert job.status().status in ("queued", "processing")
    with pytest.raises(prospo.StillRunning) as told:
        job.wait(timeout_s=0)
    assert told.value.generation.generation_id == job.id
    program = (
        "import prospo, sys\n"
        f"client = prospo.Client({KEY!r}, {mock.base_url!r}, poll_s=0.02)\n"
        "print(client.job(sys.stdin.read()).result().cost_usd)"
    )
    for text in (job.checkpoint(), job.id):
        command = [sys.executable, "-c", program]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=True)
        assert ran.stdout == "0.5\n"
    seen: list[str] = []
    assert job.wait(on_update=lambda generation: seen.append(generation.status)).status == "completed"
    assert seen == ["completed"]
    for text in ("", "{", "{}", '{"generation_id": 5}', "a\nb"):
        with pytest.raises(ValueError, match="generation"):
            client.job(text)


def test_a_job_that_is_taken_up_twice_is_paid_for_once(mock: Running) -> None:
    with prospo.Client(KEY, mock.base_url, poll_s=0.02) as client:
        job = client.submit(**BALL)
        for text in (job.checkpoint(), job.id, job.id):
            client.job(text).result()
        assert (client.budget.spent_usd, client.budget.held_usd) == (Decimal("0.5"), 0)
    with prospo.Client(KEY, mock.base_url, budget_usd=1) as later:
        again = later.job(job.checkpoint())
        assert later.budget.held_usd == Decimal("0.63")
        again.status()
        assert (later.budget.spent_usd, later.budget.held_usd) == (Decimal("0.5"), 0)


def test_what_is_paid_for_can_be_found_again_when_the_looks_fail() -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        request = read_whole(connection)
        if request.startswith(b"POST"):
            connection.sendall(answer("202 Accepted", b'{"generation_id": "gen_a", "status": "queued"}'))
            connection.close()
        elif is_gone:
            connection.sendall(answer("404 Not Found"))

    is_gone: list[bool] = []
    with failing(fail) as server, prospo.Client(KEY, server.base_url, poll_s=0.02) as client:
        with pytest.raises(prospo.StillRunning, match="gen_a") as told:
            client.generate(**BALL, timeout_s=1)
        assert told.value.generation.generation_id == "gen_a"
        assert "the last look failed" in str(told.value)
        is_gone.append(True)
        with pytest.raises(prospo.NotFound) as gone:
            client.generate(**BALL, timeout_s=1)
        assert "gen_a" in gone.value.__notes__[0]


def test_every_new_status_is_told_once(spec: Spec) -> None:
    async def do(client: prospo.AsyncClient) -> list[str]:
        job = await client.kling_o3.submit_text(prompt="mock:slow=0.5")
        seen: list[str] = []
        await job.wait(on_update=lambda generation: seen.append(generation.status))
        return seen

    seen = in_process(do, spec)
    assert seen[-1] == "completed"
    assert len(seen) == len(set(seen)) >= 2


def test_a_failed_generation_is_an_error_of_result_and_an_answer_of_wait(client: prospo.Client) -> None:
    job = client.kling_o3.submit_text(prompt="mock:fail")
    assert job.wait().status == "failed"
    with pytest.raises(prospo.GenerationFailed) as told:
        job.result()
    assert told.value.generation.generation_id == job.id
    assert isinstance(told.value, prospo.ServiceError)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, prospo.BadRequest),
        (401, prospo.Unauthorized),
        (403, prospo.Forbidden),
        (404, prospo.NotFound),
        (410, prospo.OutputExpired),
        (429, prospo.RateLimited),
        (500, prospo.OutcomeUnknown),
        (504, prospo.OutcomeUnknown),
    ],
)
def test_every_documented_status_is_a_type(
    client: prospo.Client, status: int, error: type[prospo.ProspoError], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prospo.exchange.ATTEMPTS", 1)
    with pytest.raises(error) as told:
        client.kling_o3.text(prompt=f"mock:status={status}")
    assert told.value.status == status  # type: ignore[attr-defined]
    if isinstance(told.value, prospo.Refused):
        assert isinstance(told.value, prospo.CallerError)
        assert told.value.code
        assert told.value.detail
        assert str(status) in str(told.value)


def test_a_rate_limit_is_told_where_it_is_not_waited_for(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two requests a minute: after the second, the mock asks for a wait of up to a minute."""
    monkeypatch.setattr("prospo.exchange.LONGEST_PAUSE_S", 0)

    async def do(client: prospo.AsyncClient) -> prospo.RateLimit:
        await client.balance()
        await client.balance()
        with pytest.raises(prospo.RateLimited) as told:
            await client.balance()
        return told.value.rate_limit

    limit = in_process(do, spec, rate_limit=2)
    assert (limit.limit, limit.remaining) == (2, 0)
    assert limit.reset is not None


def paused(poll_s: float, looks: int) -> list[float]:
    """The pauses between looks at a generation that is never done. The steps are carried out by nobody."""
    operations = Operations(prospo.Budget(), poll_s, lambda problem: None)
    steps = operations.follow(operations.resumed("gen_a"), Deadline(None), None)
    queued = Reply(200, {}, b'{"generation_id": "gen_a", "status": "queued"}')
    pauses, step = [], next(steps)
    while len(pauses) < looks:
        if isinstance(step, Pause) and step.seconds > 0:
            pauses.append(step.seconds)
        step = steps.send(None if isinstance(step, Pause) else queued)
    return pauses


def test_looks_become_rarer_and_are_not_in_step() -> None:
    expected = [min(1.5**look, 10) for look in range(12)]
    drawn = [paused(1.0, 12) for _ in range(20)]
    for pauses in drawn:
        assert all(0.8 * most <= pause <= most for pause, most in zip(pauses, expected, strict=True))
    assert len({pauses[0] for pauses in drawn}) > 10
    assert all(24 <= pause <= 30 for pause in paused(30.0, 3)), "a caller's own pause is never shortened"


def test_unknown_fields_and_statuses_are_kept() -> None:
    bodies = [
        {"generation_id": "gen_a", "status": "moderating", "extra": [1], "cost_usd": "0.4", "mode": None},
        {"generation_id": "gen_a", "status": "archived", "output_url": "https://example.com/a", "duration_ms": None},
    ]

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            read_whole(connection)
            connection.sendall(answer("200 OK", json.dumps(bodies[0] if len(bodies) == 1 else bodies.pop(0)).encode()))

    with failing(fail) as server, prospo.Client(KEY, server.base_url) as client:
        seen = client.job("gen_a").status()
        assert (seen.status, seen.raw["extra"], seen.cost_usd, seen.mode) == ("moderating", [1], None, None)
        done = client.generate(**BALL)
        assert (done.status, done.output_url, done.is_done) == ("archived", "https://example.com/a", True)
        with pytest.raises(AttributeError):
            done.status = "completed"  # type: ignore[misc]


def test_a_batch_keeps_its_order_and_its_bounds(spec: Spec) -> None:
    requests: list[Any] = [
        {"model": "kling-o3", "params": {"prompt": f"mock:slow={0.3 - index / 100}"}} for index in range(6)
    ]
    requests[2] = {"model": "kling-o3", "params": {"prompt": "mock:fail"}}
    requests[3] = {"model": "nope"}
    requests[4] = ["no request"]

    async def do(client: prospo.AsyncClient) -> Any:
        return await client.batch(requests, concurrency=2, budget_usd=10), client.budget.spent_usd

    found, spent_usd = in_process(do, spec)
    assert [type(each).__name__ for each in found] == [
        *["AsyncResult"] * 2,
        "GenerationFailed",
        *["InvalidRequest"] * 2,
        "AsyncResult",
    ]
    assert spent_usd == Decimal("1.5")


@pytest.mark.parametrize("is_async", [False, True], ids=["Client", "AsyncClient"])
def test_a_batch_has_no_more_under_way_than_asked_for(is_async: bool) -> None:
    under_way, most, lock = [0], [0], threading.Lock()

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            server.take(connection)
            with lock:
                under_way[0] += 1
                most[0] = max(most[0], under_way[0])
            time.sleep(0.05)
            with lock:
                under_way[0] -= 1
            connection.sendall(answer("200 OK", GENERATION))

    async def run(url: str) -> int:
        async with prospo.AsyncClient(KEY, url) as client:
            return len(await client.batch([BALL] * 12, concurrency=3))

    with failing(fail) as server:
        if is_async:
            assert asyncio.run(run(server.base_url)) == 12
        else:
            with prospo.Client(KEY, server.base_url) as client:
                assert len(client.batch([BALL] * 12, concurrency=3)) == 12
                assert client.batch([]) == []
        assert len(server.accepted) == 12
    assert 2 <= most[0] <= 3


def test_a_batch_shows_a_bar_on_a_terminal(mock: Running) -> None:
    program = (
        "import prospo, sys\n"
        f"client = prospo.Client({KEY!r}, {mock.base_url!r})\n"
        f"client.batch([{BALL!r}] * 3, progress=True)\n"
    )
    ours, theirs = pty.openpty()
    environment = {**os.environ, "TERM": "xterm"}
    ran = subprocess.run(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=60, check=True
    )
    os.close(theirs)
    shown = b""
    with suppress(OSError):  # Linux tells the end of a terminal by an error
        while piece := os.read(ours, 65536):
            shown += piece
    os.close(ours)
    assert ran.stdout == b""
    assert b"100%" in shown
    assert b"\x1b[" in shown


def test_a_batch_keeps_to_its_budget_and_shows_a_bar(client: prospo.Client, capsys: pytest.CaptureFixture[str]) -> None:
    before = client.budget.spent_usd
    found = client.batch([BALL] * 5, concurrency=1, budget_usd="1.13", progress=True)
    assert [type(each).__name__ for each in found] == ["Result", "Result", *["OverBudget"] * 3]
    assert client.budget.spent_usd == before + 1
    assert capsys.readouterr() == ("", "5 of 5 generations\n"), "no bar where there is no terminal"
    client.batch([BALL], budget_usd=1)
    assert capsys.readouterr().err == ""


FILES = {
    "a.png": (PNG, "image/png"),
    "a.jpg": (b"\xff\xd8\xff\xe0" + bytes(50), "image/jpeg"),
    "a.webp": (b"RIFF\0\0\0\0WEBPVP8 ", "image/webp"),
    "misnamed.png": (b"\0\0\0\x18ftypisom\0\0\0\0", "video/mp4"),
    "a.mov": (b"\0\0\0\x14ftypqt  \0\0\0\0", "video/quicktime"),
    "a.mp3": (b"ID3\x04\0\0\0\0\0\0", "audio/mpeg"),
    "b.mp3": (b"\xff\xfb\x90\x00" + bytes(20), "audio/mpeg"),
    "a.wav": (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_sent_under_the_type_of_its_content(name: str, tmp_path: Path) -> None:
    content, content_type = FILES[name]
    (tmp_path / name).write_bytes(content)
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        while True:
            came.append(read_whole(connection))
            place = {"token": "pl-upload-a", "upload_url": "/v1/uploads/proxy/pl-upload-a"}
            connection.sendall(answer("200 OK", json.dumps(place).encode()))

    for source in (tmp_path / name, str(tmp_path / name), io.BytesIO(content)):
        came.clear()
        told: list[tuple[int, int | None]] = []
        with failing(fail) as server, prospo.Client(KEY, server.base_url) as client:
            assert client.upload(source, on_progress=lambda *now: told.append(now)) == "pl-upload-a"  # noqa: B023
        assert body_of(came[0])["content_type"] == content_type
        head, _, sent = came[1].partition(b"\r\n\r\n")
        assert head.startswith(b"PUT /v1/uploads/proxy/pl-upload-a HTTP/1.1")
        assert f"content-type: {content_type}\r\n".encode() in head.lower() + b"\r\n"
        assert b"chunked" not in head.lower()
        assert sent == content
        assert told[-1] == (len(content), len(content))


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "no type"), (b"hello", "no type"), (b"GIF89a", "no type"), (b"\0\0\0\x18ftypavif\0\0\0\0", "no type")],
)
def test_a_file_that_is_not_taken_is_refused_before_a_byte_is_sent(content: bytes, says: str, tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)

    def do(client: prospo.Client) -> None:
        with pytest.raises(prospo.FileRefused, match=says):
            client.upload(path)
        with pytest.raises(prospo.FileRefused, match="No such file"):
            client.upload(tmp_path / "nowhere")
        with pytest.raises(prospo.FileRefused, match="binary"):
            client.upload(io.StringIO("text"))  # type: ignore[arg-type]

    assert recorded(do) == []


@pytest.mark.parametrize(
    ("name", "max_bytes"), [("a.png", 30_000_000), ("misnamed.png", 50_000_000), ("a.wav", 15_000_000)]
)
def test_a_file_may_be_as_large_as_documented(name: str, max_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_bytes(FILES[name][0])
    for size in (max_bytes, max_bytes + 1):
        with path.open("r+b") as file:
            file.truncate(size)

        def do(client: prospo.Client, is_taken: bool = size == max_bytes) -> None:
            # This server has no place for it, but it was asked.
            with pytest.raises(prospo.Unavailable if is_taken else prospo.FileRefused):
                client.upload(path)

        assert len(recorded(do)) == (size == max_bytes)


def test_a_local_path_in_a_media_param_is_sent_when_asked_for(client: prospo.Client, tmp_path: Path) -> None:
    path, film = tmp_path / "a.png", tmp_path / "b.png"
    path.write_bytes(PNG)
    film.write_bytes(FILES["misnamed.png"][0])
    ask = client.with_options(upload_files=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        params: dict[str, Any] = {"prompt": "x", "image_urls": [str(path), path], "duration": 4}
        assert ask.seedance_2_fast.reference(**params).status == "completed"
        assert params["image_urls"] == [str(path), path], "what was passed stays as it is"
        with pytest.raises(prospo.FileRefused, match="image files"):
            ask.seedance_2_fast.reference(prompt="x", image_urls=[str(film)])
        with pytest.raises(prospo.InvalidRequest, match="image_urls"):
            client.seedance_2_fast.reference(prompt="x", image_urls=[str(path)])
        with pytest.raises(prospo.InvalidRequest) as told:
            client.seedance_2_fast.reference(prompt="x", image_urls=[path])  # type: ignore[list-item]
        assert "upload_files" in (told.value.problems[0].hint or "")


def test_an_invalid_request_sends_no_file_either(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(PNG)

    def do(client: prospo.Client) -> None:
        with pytest.raises(prospo.InvalidRequest, match="at most 9"):
            client.seedance_2_fast.reference(prompt="x", image_urls=[str(path)] * 10)

    assert recorded(do, upload_files=True) == []


def test_uploads_and_outputs_go_through_the_mock_in_process(spec: Spec, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)

    async def do(client: prospo.AsyncClient) -> None:
        token = await client.upload(tmp_path / "a.png")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = await client.seedream_5_lite.edit(prompt="x", image_urls=[token])
        told: list[int] = []
        path = await result.download(tmp_path / "out", on_progress=lambda done, _: told.append(done))
        assert path.stat().st_size == told[-1] > 100
        folder = await result.download(tmp_path)
        assert folder.read_bytes() == path.read_bytes()
        assert result.generation_id in folder.name
        assert (path.stat().st_mode & 0o777) == (Path(tmp_path / "a.png").stat().st_mode & 0o777)

    in_process(do, spec)


def test_an_expired_output_says_so_and_leaves_nothing(tmp_path: Path) -> None:
    with serve(MockConfig(api_key=KEY)) as mock, prospo.Client(KEY, mock.base_url) as client:
        result = client.seedream_5_lite.generate(prompt="x")
        url, token = f"{mock.base_url}/__mock/clock", mock.config.control_token
        assert httpx2.post(url, json={"advance_s": 604801}, headers={"X-Mock-Token": token}).status_code == 200
        with pytest.raises(prospo.OutputExpired):
            result.download(tmp_path / "a.png")
        with pytest.raises(prospo.OutputExpired):
            client.job(result.generation_id).status()
    assert list(tmp_path.iterdir()) == []


def test_a_download_is_whole_or_not_there_and_sends_no_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospo.exchange.ATTEMPTS", 1)
    came: list[bytes] = []
    outputs = [
        answer("200 OK", bytes(1000))[:-1],
        answer("200 OK", b"whole"),
        answer("302 Found", b"", "Location: http://localhost:{port}/elsewhere"),
        answer("200 OK", b"moved"),
    ]

    def fail(server: FailingServer, connection: Any) -> None:
        request = read_whole(connection)
        came.append(request)
        if request.startswith(b"POST"):
            url = f"{server.base_url}/out.png?token=a"
            body = {"generation_id": "gen_a", "status": "completed", "output_url": url, "cost_usd": 1}
            connection.sendall(answer("200 OK", json.dumps(body).encode(), "Connection: close"))
        else:
            connection.sendall(outputs.pop(0).replace(b"{port}", str(server.port).encode()))

    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    with (
        failing(fail) as server,
        httpx2.Client(headers={"Authorization": "Bearer mine"}) as own,
        prospo.Client(KEY, server.base_url, http_client=own) as client,
    ):
        result = client.generate(**BALL)
        with pytest.raises(prospo.NoAnswer):
            result.download(path)
        assert path.read_bytes() == b"before"
        result.download(path)
        assert path.read_bytes() == b"whole"
        result.download(path)
        assert path.read_bytes() == b"moved"
        outputs.append(answer("200 OK", b"x"))
        with pytest.raises(prospo.FileRefused, match="nowhere"):
            result.download(tmp_path / "nowhere" / "a.png")
    assert list(tmp_path.iterdir()) == [path]
    for request in came[1:]:
        assert b"authorization" not in request.lower()


@pytest.mark.parametrize(
    ("path", "name"),
    [("/a.png", "a.png"), ("/x/..", "output"), ("/", "output"), ("/x/%2e%2e", "%2e%2e"), ("/C:\\..\\a.png", "output")],
)
def test_a_download_into_a_folder_stays_in_it(path: str, name: str, tmp_path: Path) -> None:
    def fail(server: FailingServer, connection: Any) -> None:
        request, url = read_whole(connection), f"{server.base_url}{path}?t=a"
        made = json.dumps({"generation_id": "gen_a", "status": "completed", "output_url": url})
        body = made.encode() if request.startswith(b"POST") else b"picture"
        connection.sendall(answer("200 OK", body, "Connection: close"))

    with failing(fail) as server, prospo.Client(KEY, server.base_url) as client:
        assert client.generate(**BALL).download(tmp_path) == tmp_path / name
    assert [(each.name, each.read_bytes()) for each in tmp_path.iterdir()] == [(name, b"picture")]


def test_an_upload_address_elsewhere_gets_no_key(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(PNG)
    came: list[bytes] = []

    def elsewhere(server: FailingServer, connection: Any) -> None:
        came.append(read_whole(connection))
        connection.sendall(answer("200 OK", b"{}"))

    with failing(elsewhere) as other:

        def fail(server: FailingServer, connection: Any) -> None:
            read_whole(connection)
            place = {"token": "pl-upload-a", "upload_url": f"{other.base_url}/put"}
            connection.sendall(answer("200 OK", json.dumps(place).encode()))

        with (
            failing(fail) as server,
            httpx2.Client(headers={"Authorization": "Bearer mine"}) as own,
            prospo.Client(KEY, server.base_url, http_client=own) as client,
        ):
            client.upload(tmp_path / "a.png")
    assert came[0].startswith(b"PUT /put")
    assert b"authorization" not in came[0].lower()


class CallersError(Exception):
    """What a callback of a test raises."""


def broken(*_: object) -> None:
    raise CallersError


def test_what_a_callback_raises_is_the_caller_s_to_see(client: prospo.Client, spec: Spec, tmp_path: Path) -> None:
    """It is no failure of the network, so that nothing is sent again for it; and it shows where it was raised."""
    (tmp_path / "a.png").write_bytes(PNG)
    result = client.seedream_5_lite.generate(prompt="x")
    for call in (
        lambda: client.upload(tmp_path / "a.png", on_progress=broken),
        lambda: result.download(tmp_path / "out", on_progress=broken),
        lambda: client.kling_o3.submit_text(prompt="x").wait(on_update=broken),
    ):
        with pytest.raises(CallersError) as told:
            call()
        assert told.traceback[-1].name == "broken"
        assert told.value.__cause__ is told.value.__context__ is None

    async def do(client: prospo.AsyncClient) -> None:
        made = await client.seedream_5_lite.generate(prompt="x")
        job = await client.kling_o3.submit_text(prompt="x")
        for call in (
            client.upload(tmp_path / "a.png", on_progress=broken),
            made.download(tmp_path / "out", on_progress=broken),
            job.wait(on_update=broken),
        ):
            with pytest.raises(CallersError) as told:
                await call
            assert told.traceback[-1].name == "broken"
            assert told.value.__cause__ is told.value.__context__ is None

    in_process(do, spec)
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("form", [prospo.Client, prospo.AsyncClient])
@pytest.mark.parametrize(
    "url",
    ["ftp://h", "h", "https://", "https://canary@h", "https://u:canary@h/", "https://h/?a=canary", "https://h/#x"],
)
def test_a_base_url_that_is_none_is_refused_without_its_secrets(form: Callable[..., Any], url: str) -> None:
    with pytest.raises(prospo.NotConfigured, match="base URL") as told:
        form(KEY, url)
    assert "canary" not in str(told.value)


def test_a_base_url_may_have_a_path(mock: Running) -> None:
    came: list[bytes] = []

    def fail(server: FailingServer, connection: Any) -> None:
        came.append(read_whole(connection))
        connection.sendall(answer("200 OK", b'{"balance_usd": 1}'))

    with failing(fail) as server, prospo.Client(KEY, f"{server.base_url}/gateway/") as client:
        client.balance()
    assert came[0].startswith(b"GET /gateway/v1/balance HTTP/1.1\r\n")


def test_the_time_of_a_client_bounds_whatever_it_does(tmp_path: Path) -> None:
    """A server that never answers, four attempts of 30 s each otherwise."""
    (tmp_path / "a.png").write_bytes(PNG)

    def fail(server: FailingServer, connection: Any) -> None:
        read_whole(connection)
        time.sleep(4)

    with failing(fail) as server, prospo.Client(KEY, server.base_url, timeout_s=0.3) as client:
        for call in (client.balance, lambda: client.upload(tmp_path / "a.png"), lambda: client.generate(**BALL)):
            began = time.monotonic()
            with pytest.raises((prospo.NoAnswer, prospo.OutcomeUnknown)):
                call()
            assert time.monotonic() - began < 15


def test_without_httpx2_the_client_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['httpx2'] = None\n"
        "import prospo; assert prospo.is_valid({}) is False\n"
        "try: prospo.Client\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "the client needs httpx2: pip install 'prospec[client]'\n"


def test_importing_the_package_loads_no_client() -> None:
    program = "import sys, prospo; print(sorted(each for each in sys.modules if 'httpx2' in each or 'client' in each))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stdout == "[]\n"
    assert sorted(prospo.__all__) == prospo.__all__
    assert all(hasattr(prospo, name) for name in prospo.__all__)


def test_importing_the_package_costs_next_to_nothing() -> None:
    """25 ms beyond the bare interpreter at most, by the time of the processor: the median of many runs."""

    def cpu_ms(program: str) -> float:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", program], timeout=60, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return 1000 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)

    programs = ("pass", "import prospo")
    runs = [[cpu_ms(program) for program in programs] for _ in range(20)]
    bare, ours = (statistics.median(run[index] for run in runs) for index in range(2))
    assert ours - bare <= 25
