"""The receivers of docs/examples/webhooks, which use `prospo.webhooks`, run as their users run them: without a flaw."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest
from conftest import Run
from machine import lacking
from prospec_conformance.deliveries import deliveries
from prospo.webhooks import sign
from test_receiver_examples import (
    LONGEST_LINES,
    OLD_SECRET,
    RIGHTS,
    ROOT,
    SECRET,
    Example,
    _free_port,
    _listens,
    _status,
    send,
    until,
)

EXAMPLES = ROOT / "docs" / "examples" / "webhooks"
PYTHON = sys.executable
COMMANDS: dict[str, Callable[[str], list[str]]] = {
    "django": lambda port: [PYTHON, "receiver.py", "runserver", "--noreload", f"127.0.0.1:{port}"],
    "fastapi": lambda port: [PYTHON, "-m", "uvicorn", "receiver:app", "--port", port],
    "flask": lambda port: [PYTHON, "-m", "flask", "--app", "receiver", "run", "--port", port],
    "stdlib": lambda port: [PYTHON, "receiver.py", port],
}
"""As the first line of each example says."""


def environment(**secrets: str) -> dict[str, str]:
    return {each: os.environ[each] for each in RIGHTS if each in os.environ} | secrets


def command(name: str, port: int, folder: Path) -> list[str]:
    if name != "stdlib" and not find_spec(name):
        lacking(f"{name} is not installed")
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    return COMMANDS[name](str(port))


@contextmanager
def running(name: str, folder: Path) -> Iterator[Example]:
    port, printed = _free_port(), folder / "printed.txt"
    secrets = {"PROSPOLABS_WEBHOOK_SECRET": SECRET, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET}
    with (
        printed.open("wb") as out,
        subprocess.Popen(
            command(name, port, folder), cwd=folder, env=environment(**secrets), stdout=out, stderr=out
        ) as ran,
    ):
        try:
            until(lambda: _listens(port) or ran.poll() is not None, printed)
            assert ran.poll() is None, printed.read_text("utf-8")
            yield Example(f"http://127.0.0.1:{port}/webhook", printed)
        finally:
            ran.kill()


@pytest.fixture(scope="module", params=COMMANDS)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as listening:
        yield listening


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_command_finds_no_flaw_by_the_new_secret_or_the_old(example: Example, prospec: Run, secret: str) -> None:
    env = {"PROSPOLABS_WEBHOOK_SECRET": secret}
    ran = prospec("conformance", "receiver", "--url", example.url, "--format", "json", env=env)
    report = json.loads(ran.stdout)
    wrong = [each for each in report["deliveries"] if each["outcome"] in ("failed", "skipped")]
    assert (ran.returncode, wrong, report["flaws"]) == (0, [], []), ran.stderr
    assert report["summary"]["passed"] > 80


def test_a_repeat_is_handled_once_and_the_other_event_of_a_generation_as_well(example: Example) -> None:
    before = len(example.handled())
    for event in ("generation.completed", "generation.failed", "generation.paused"):
        for spaces in ("", " "):
            body = f'{{"event":{spaces}"{event}","generation_id":"gen_once","data":{{"cost_usd":0.40}}}}'.encode()
            assert send(example, body, sign(body, SECRET)) == 200
    until(lambda: len(example.handled()) >= before + 2, example._printed)
    assert sorted(example.handled()[before:]) == [
        "generation.completed gen_once 0.4 USD",
        "generation.failed gen_once refunded",
    ]


def test_a_body_beyond_the_limit_is_not_handled(example: Example) -> None:
    body = b'{"event":"generation.completed","generation_id":"gen_huge","x":"' + b"x" * 2_000_000 + b'"}'
    # The end of the connection, with bytes unread, may cost the sender the answer.
    with suppress(httpx2.NetworkError):
        assert send(example, body, sign(body, SECRET)) in (400, 413)
    assert "gen_huge" not in "".join(example.handled())


def test_nothing_forged_is_handled(example: Example) -> None:
    before = len(example.handled())
    forged = [each for each in deliveries("forged", "2026-05-02T14:33:27.000Z") if each.expected == "refused"]
    assert len(forged) > 40
    for each in forged:
        assert 400 <= _status(example, each) < 500 or each.method != "POST", each.name
    assert len(example.handled()) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_it_does_not_start_without_a_secret(name: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        command(name, _free_port(), tmp_path),
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode != 0
    assert "PROSPOLABS_WEBHOOK_SECRET is not set" in ran.stderr


def test_each_is_short_and_says_how_it_is_run() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == COMMANDS.keys()
    for name, path in ((path.parent.name, path) for path in EXAMPLES.rglob("receiver.py")):
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) < LONGEST_LINES, path
        said = COMMANDS[name]("8000")
        assert ("python" if said[1] == "receiver.py" else said[2]) in lines[0]
