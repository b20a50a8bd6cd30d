"""The receivers of docs/examples, run as their users run them: `prospec conformance receiver` finds no flaw.

How the command judges flawed ones is in test_receiver_command.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path

import httpx2
import pytest
from conftest import Run
from machine import lacking
from prospec_conformance.deliveries import Delivery, deliveries, genuine_signature

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "docs" / "examples" / "receivers"
MODULES = Path(sys.prefix) / "express"
"""Where npm has put Express; kept, since it comes over the network."""
SECRET, OLD_SECRET = "whsec-new", "whsec-old"
HEADER = "X-Prospo-Signature"
RIGHTS = ("PATH", "HOME", "SystemRoot")
LONGEST_LINES = 60


def _express(folder: Path) -> list[str]:
    node, npm = shutil.which("node"), shutil.which("npm")
    if not node or not npm:
        lacking("Node.js or npm is not installed")
    if not MODULES.is_dir():
        # Whole or not at all: several tests may come here at the same time.
        with tempfile.TemporaryDirectory(dir=MODULES.parent, ignore_cleanup_errors=True) as draft:
            shutil.copy(EXAMPLES / "express" / "package.json", draft)
            options = ["--no-audit", "--no-fund", "--ignore-scripts", "--no-package-lock"]
            ran = subprocess.run([npm, "install", *options], cwd=draft, capture_output=True, timeout=300, check=False)
            if ran.returncode:
                lacking("npm could not install express")
            try:
                Path(draft).rename(MODULES)
            except OSError:
                assert MODULES.is_dir()
    shutil.copytree(EXAMPLES / "express", folder, dirs_exist_ok=True)
    (folder / "node_modules").symlink_to(MODULES / "node_modules")
    return [node, "receiver.js"]


def _stdlib(folder: Path) -> list[str]:
    shutil.copytree(EXAMPLES / "stdlib", folder, dirs_exist_ok=True)
    return [sys.executable, "receiver.py"]


def _fastapi(folder: Path) -> list[str]:
    if not find_spec("fastapi"):
        lacking("fastapi is not installed")
    shutil.copytree(EXAMPLES / "fastapi", folder, dirs_exist_ok=True)
    return [sys.executable, "-m", "uvicorn", "receiver:app", "--port", str(_free_port())]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


COMMANDS: dict[str, Callable[[Path], list[str]]] = {"express": _express, "fastapi": _fastapi, "stdlib": _stdlib}


class Example:
    """A receiver that listens, and what it has printed."""

    def __init__(self, url: str, printed: Path) -> None:
        self.url = url
        self._printed = printed

    def handled(self) -> list[str]:
        return [line for line in self._printed.read_text("utf-8").splitlines() if line.startswith("generation.")]


@contextmanager
def running(name: str, folder: Path, **secrets: str) -> Iterator[Example]:
    command = COMMANDS[name](folder)
    printed = folder / "printed.txt"
    environment = {each: os.environ[each] for each in RIGHTS if each in os.environ} | secrets
    with (
        printed.open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as ran,
    ):
        try:
            if name == "fastapi":
                url = f"http://127.0.0.1:{command[-1]}/webhook"
                until(lambda: _listens(int(command[-1])) or ran.poll() is not None, printed)
            else:
                until(lambda: printed.read_text("utf-8").endswith("\n") or ran.poll() is not None, printed)
                url = printed.read_text("utf-8").splitlines()[0]
            assert ran.poll() is None, printed.read_text("utf-8")
            yield Example(url, printed)
        finally:
            ran.kill()


def _listens(port: int) -> bool:
    with socket.socket() as trying:
        return trying.connect_ex(("127.0.0.1", port)) == 0


def until(is_so: Callable[[], object], printed: Path) -> None:
    ends = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < ends, printed.read_text("utf-8")
        time.sleep(0.02)


@pytest.fixture(scope="module", params=COMMANDS)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    secrets = {"PROSPOLABS_WEBHOOK_SECRET": SECRET, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET}
    with running(request.param, tmp_path_factory.mktemp(request.param), **secrets) as listening:
        yield listening


def send(example: Example, body: bytes, signature: str) -> int:
    headers = {"Content-Type": "application/json", HEADER: signature}
    with httpx2.Client(trust_env=False, timeout=30) as client:
        return client.post(example.url, content=body, headers=headers).status_code


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_command_finds_no_flaw_by_the_new_secret_or_the_old(example: Example, prospec: Run, secret: str) -> None:
    env = {"PROSPOLABS_WEBHOOK_SECRET": secret}
    ran = prospec("conformance", "receiver", "--url", example.url, "--format", "json", env=env)
    report = json.loads(ran.stdout)
    wrong = [each for each in report["deliveries"] if each["outcome"] in ("failed", "skipped")]
    assert (ran.returncode, wrong, report["flaws"]) == (0, [], []), ran.stderr
    assert report["summary"]["passed"] > 80


def test_another_secret_is_told_as_such(example: Example, prospec: Run) -> None:
    env = {"PROSPOLABS_WEBHOOK_SECRET": "whsec-mistyped"}
    ran = prospec("conformance", "receiver", "--url", example.url, env=env)
    assert ran.returncode == 1
    assert ran.stdout.startswith("flaw    refuses every genuine delivery: another secret")


def test_a_repeat_is_handled_once_and_the_other_event_of_a_generation_as_well(example: Example) -> None:
    before = len(example.handled())
    for event in ("generation.completed", "generation.failed"):
        for spaces in ("", " "):
            # A repeat may be written anew, GAP-75: what tells it is the generation and the event.
            body = f'{{"event":{spaces}"{event}","generation_id":"gen_once"}}'.encode()
            assert send(example, body, genuine_signature(SECRET, body)) == 200
    until(lambda: len(example.handled()) >= before + 2, example._printed)
    assert sorted(example.handled()[before:]) == ["generation.completed gen_once", "generation.failed gen_once"]


def test_a_body_beyond_the_limit_is_not_read(example: Example) -> None:
    body = b'{"event":"generation.completed","generation_id":"gen_huge","x":"' + b"x" * 2_000_000 + b'"}'
    # The end of the connection, with bytes unread, may cost the sender the answer.
    with suppress(httpx2.NetworkError):
        assert send(example, body, genuine_signature(SECRET, body)) == 413
    assert "gen_huge" not in "".join(example.handled())


def test_nothing_forged_is_handled(example: Example) -> None:
    before = len(example.handled())
    forged = [each for each in deliveries("forged", "2026-05-02T14:33:27.000Z") if each.expected == "refused"]
    assert len(forged) > 40
    for each in forged:
        assert 400 <= _status(example, each) < 500 or each.method != "POST", each.name
    assert len(example.handled()) == before


def _status(example: Example, delivery: Delivery) -> int:
    signature = delivery.signature(SECRET)
    headers = [] if signature is None else [(HEADER.encode(), signature)]
    with httpx2.Client(trust_env=False, timeout=30) as client:
        return client.request(delivery.method, example.url, content=delivery.body, headers=headers).status_code


@pytest.mark.parametrize("name", COMMANDS)
def test_it_does_not_start_without_a_secret(name: str, tmp_path: Path) -> None:
    command = COMMANDS[name](tmp_path)
    environment = {each: os.environ[each] for each in RIGHTS if each in os.environ}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode != 0
    assert "PROSPOLABS_WEBHOOK_SECRET is not set" in ran.stderr


def test_each_is_short() -> None:
    sources = [path for path in EXAMPLES.rglob("receiver.*") if "node_modules" not in path.parts]
    assert {path.parent.name for path in sources} == COMMANDS.keys()
    for path in sources:
        assert len(path.read_text("utf-8").splitlines()) < LONGEST_LINES, path
