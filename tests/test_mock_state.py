"""The mock's kept state: killed at any moment and started again, nothing is lost and nothing doubled.

A real process, killed under load, and a real receiver. PROSPEC_KILLS says how often; CI does it a few times.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prospec_conformance.mock import MockConfig, serve

KILLS = int(os.environ.get("PROSPEC_KILLS", "8"))
KEY, SECRET, TOKEN = "prsp-kept", "kept-secret", "kept-token"
KLING: dict[str, Any] = {"model": "kling-o3", "mode": "text", "params": {"prompt": "a quiet harbour"}}
COST = Decimal("0.50")
BALANCE = Decimal(1_000_000)
IMAGE = {"content_type": "image/png", "file_name": "harbour.png"}


@dataclass
class Seen:
    """What the clients and the receiver of all epochs, from one kill to the next, hold for true."""

    epoch: int = 0
    posts: int = 0
    """Generate requests that were sent, answered or not."""
    accepted: list[str] = field(default_factory=list)
    """Ids of the generations that were answered."""
    hooked: list[str] = field(default_factory=list)
    """Those of them with a webhook."""
    uploads: list[str] = field(default_factory=list)
    """Tokens whose PUT was answered."""
    came: dict[str, list[tuple[int, bytes, str]]] = field(default_factory=lambda: defaultdict(list))
    """Generation id -> epoch, body and signature of each delivery."""
    lock: threading.Lock = field(default_factory=threading.Lock)
    arrived: threading.Event = field(default_factory=threading.Event)
    """Set when a delivery has come in, answered or not."""


@contextmanager
def receiving(seen: Seen) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            seen.arrived.set()
            with seen.lock:
                id = json.loads(body)["generation_id"]
                seen.came[id].append((seen.epoch, body, self.headers["X-Prospo-Signature"]))
            with suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """A sender that was killed in the middle."""

    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/hook"
    server.shutdown()
    server.server_close()


@dataclass
class Process:
    process: subprocess.Popen[str]
    api: httpx2.Client
    control: httpx2.Client

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def state(self) -> Any:
        return self.control.get("/state").json()


@contextmanager
def mock(file: Path) -> Iterator[Process]:
    environment = os.environ | {
        "PROSPOLABS_API_KEY": KEY,
        "PROSPOLABS_WEBHOOK_SECRET": SECRET,
        "PROSPEC_MOCK_TOKEN": TOKEN,
    }
    command = [sys.executable, "-m", "prospec", "mock", "--rate-limit", "0", "--processing-s", "0.02"]
    process = subprocess.Popen(
        [*command, "--balance", str(BALANCE), "--state", str(file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        with (
            httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20) as api,
            httpx2.Client(base_url=f"{url}/__mock", headers={"X-Mock-Token": TOKEN}, timeout=60) as control,
        ):
            yield Process(process, api, control)
    finally:
        process.kill()
        process.wait()


def client(url: str, hook: str, seen: Seen, number: int) -> None:
    """One that asks for this and that until nobody answers any more."""
    choice = random.Random(f"{seen.epoch} {number}")
    with (
        suppress(httpx2.HTTPError, json.JSONDecodeError),
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}, timeout=20) as api,
    ):
        while True:
            what = choice.choice(("hooked", "blocking", "failing", "upload"))
            if what == "upload":
                target = api.post("/v1/uploads/initiate", json=IMAGE).json()
                stored = api.put(target["upload_url"], content=b"x", headers={"Content-Type": "image/png"})
                assert stored.status_code == 200
                with seen.lock:
                    seen.uploads.append(target["token"])
                continue
            body = KLING | ({"async": True, "webhook_url": hook} if what == "hooked" else {})
            with seen.lock:
                seen.posts += 1
            headers = {"X-Mock-Outcome": "fail"} if what == "failing" else {}
            answer = api.post("/v1/generate", json=body, headers=headers)
            assert answer.status_code == 200
            with seen.lock:
                seen.accepted.append(answer.json()["generation_id"])
                if what == "hooked":
                    seen.hooked.append(answer.json()["generation_id"])


def check(running: Process, seen: Seen, since: int, uploads_since: int) -> None:
    """Nothing that was answered is lost, no money is lost or taken twice."""
    state = running.state()
    generations = Counter(state["generations"])
    charged = generations.total() - generations["failed"]
    assert Decimal(state["accounts"]["first"]) == BALANCE - charged * COST
    assert len(set(seen.accepted)) == len(seen.accepted)
    assert len(seen.accepted) <= generations.total() <= seen.posts
    for id in seen.accepted[since:]:
        found = running.api.get(f"/v1/generations/{id}")
        assert found.status_code == 200, id
        assert found.json().get("cost_usd", 0.5) == 0.5
    for token in seen.uploads[uploads_since:]:
        again = running.api.put(f"/v1/uploads/proxy/{token}", content=b"x", headers={"Content-Type": "image/png"})
        assert again.status_code == 200, token


def test_killed_under_load_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    seen, file = Seen(), tmp_path / "mock.db"
    moment = random.Random(20261125)
    with receiving(seen) as hook:
        accepted = uploads = 0
        for epoch in range(KILLS):
            seen.epoch = epoch
            with mock(file) as running:
                check(running, seen, accepted, uploads)
                accepted, uploads = len(seen.accepted), len(seen.uploads)
                url = str(running.api.base_url)
                clients = [threading.Thread(target=client, args=(url, hook, seen, number)) for number in range(4)]
                for each in clients:
                    each.start()
                time.sleep(moment.uniform(0.02, 0.4))
                running.kill()
                for each in clients:
                    each.join()
            time.sleep(0.05)  # what the process had sent comes in before the next epoch begins
        seen.epoch = KILLS
        with mock(file) as running:
            running.control.post("/clock", json={"advance_s": 2 * 3600})
            check(running, seen, 0, len(seen.uploads))
            assert "queued" not in running.state()["generations"]
            assert all(each["state"] == "delivered" for each in running.control.get("/deliveries").json()["deliveries"])
    assert len(seen.accepted) > KILLS
    assert len(seen.hooked) > KILLS // 2
    for id in seen.hooked:
        assert seen.came[id], "a pending webhook was lost"
    for deliveries in seen.came.values():
        epochs = [epoch for epoch, _, _ in deliveries]
        assert len(set(epochs)) == len(epochs), "one process sent an event twice that was accepted at once"
        assert len({body for _, body, _ in deliveries}) == 1
        for _, body, signature in deliveries:
            assert hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest() == signature
    twice = sum(len(deliveries) > 1 for deliveries in seen.came.values())
    print(f"{KILLS} kills, {len(seen.accepted)} answered of {seen.posts} sent, {len(seen.came)} events, {twice} again")
    # An event goes out again only if the process ended between the receiver's answer and its being written down.
    assert twice <= 4 * KILLS


def test_a_refund_between_two_requests_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "mock.db"
    with mock(file) as running:
        running.api.post("/v1/generate", json=KLING | {"async": True}, headers={"X-Mock-Outcome": "fail slow=1"})
        running.control.post("/clock", json={"advance_s": 1})
        running.kill()
    with mock(file) as running:
        assert Decimal(running.state()["accounts"]["first"]) == BALANCE


def test_a_delivery_between_two_requests_is_kept(tmp_path: Path) -> None:
    seen, file = Seen(), tmp_path / "mock.db"
    with receiving(seen) as hook:
        with mock(file) as running:
            running.api.post("/v1/generate", json=KLING | {"async": True, "webhook_url": hook})
            assert seen.arrived.wait(10)
            time.sleep(0.5)
            running.kill()
        with mock(file) as running:
            running.control.post("/clock", json={"advance_s": 2 * 3600})
            (delivery,) = running.control.get("/deliveries").json()["deliveries"]
    assert (delivery["state"], len(delivery["attempts"])) == ("delivered", 1)


def test_an_attempt_in_which_the_process_ended_counts_as_one_without_an_answer(tmp_path: Path) -> None:
    seen, file = Seen(), tmp_path / "mock.db"
    with receiving(seen) as hook:
        with mock(file) as running:
            seen.lock.acquire()  # the receiver does not answer
            running.api.post("/v1/generate", json=KLING | {"async": True, "webhook_url": hook})
            assert seen.arrived.wait(10)
            running.kill()
        seen.lock.release()
        with mock(file) as running:
            running.control.post("/clock", json={"advance_s": 29})
            (before,) = running.control.get("/deliveries").json()["deliveries"]
            running.control.post("/clock", json={"advance_s": 2})
            (after,) = running.control.get("/deliveries").json()["deliveries"]
    assert [each["status"] for each in before["attempts"]] == [None]
    assert [each["status"] for each in after["attempts"]] == [None, 200]
    assert after["attempts"][1]["at_s"] - after["attempts"][0]["at_s"] == pytest.approx(30, abs=1)


def test_a_clock_that_was_moved_stays_moved_and_a_ladder_goes_on_where_it_was(tmp_path: Path) -> None:
    seen, file = Seen(), tmp_path / "mock.db"
    config = {"state": file, "api_key": KEY, "webhook_secret": SECRET, "control_token": TOKEN}
    with receiving(seen) as hook:
        unreachable = "http://127.0.0.1:9/"
        with serve(MockConfig(**config)) as first, steered(first.base_url) as (api, control):  # type: ignore[arg-type]
            id = api.post("/v1/generate", json=KLING | {"async": True, "webhook_url": unreachable}).json()[
                "generation_id"
            ]
            control.post("/clock", json={"advance_s": 40})
            (before,) = control.get("/deliveries").json()["deliveries"]
            late = {"X-Mock-Outcome": "slow=50 webhook=late"}
            api.post("/v1/generate", json=KLING | {"async": True, "webhook_url": hook}, headers=late)
            now = control.get("/state").json()["now_s"]
        assert len(before["attempts"]) == 2
        with serve(MockConfig(**config)) as again, steered(again.base_url) as (api, control):  # type: ignore[arg-type]
            assert 0 <= control.get("/state").json()["now_s"] - now < 30
            assert api.get(f"/v1/generations/{id}").json()["status"] == "completed"
            control.post("/clock", json={"advance_s": 2 * 3600})
            first_, second = control.get("/deliveries").json()["deliveries"]
            assert (len(first_["attempts"]), first_["state"]) == (5, "failed")
            assert (len(second["attempts"]), second["state"]) == (1, "delivered")
            assert first_["body_base64"] == before["body_base64"]


@contextmanager
def steered(url: str) -> Iterator[tuple[httpx2.Client, httpx2.Client]]:
    with (
        httpx2.Client(base_url=url, headers={"Authorization": f"Bearer {KEY}"}) as api,
        httpx2.Client(base_url=f"{url}/__mock", headers={"X-Mock-Token": TOKEN}) as control,
    ):
        yield api, control


def test_a_seed_hands_out_no_name_twice_after_a_restart(tmp_path: Path) -> None:
    ids = []
    for _ in range(2):
        config = MockConfig(seed=1, state=tmp_path / "mock.db", control_token=TOKEN, api_key=KEY)
        with serve(config) as running, steered(running.base_url) as (api, _control):
            ids += [api.post("/v1/generate", json=KLING).json()["generation_id"] for _ in range(3)]
    assert len(set(ids)) == 6


def test_a_reset_empties_the_file_too(tmp_path: Path) -> None:
    config = MockConfig(state=tmp_path / "mock.db", control_token=TOKEN, api_key=KEY)
    with serve(config) as running, steered(running.base_url) as (api, control):
        api.post("/v1/generate", json=KLING)
        control.post("/reset")
    with serve(config) as running, steered(running.base_url) as (api, control):
        assert control.get("/state").json()["generations"] == {}
        assert api.get("/v1/balance").json()["balance_usd"] == 1_000_000


def test_a_file_that_cannot_keep_the_state_is_told_at_once(tmp_path: Path) -> None:
    other, text, gone = tmp_path / "other.db", tmp_path / "notes.txt", tmp_path / "no" / "folder.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE notes (text TEXT)")
    text.write_text("not a database, and long enough to be told from one" * 100)
    for path in (other, text, gone, tmp_path):
        before = path.read_bytes() if path.is_file() else None
        with pytest.raises(ValueError, match="cannot"), serve(MockConfig(state=path)):
            pass
        assert (path.read_bytes() if path.is_file() else None) == before


def test_two_mocks_never_share_a_file(tmp_path: Path) -> None:
    config = MockConfig(state=tmp_path / "mock.db")
    with serve(config), pytest.raises(ValueError, match="another mock has it open"), serve(config):
        pass


def test_only_its_owner_reads_the_file(tmp_path: Path) -> None:
    with serve(MockConfig(state=tmp_path / "mock.db")):
        assert {each.stat().st_mode & 0o077 for each in tmp_path.iterdir()} == {0}


@pytest.mark.parametrize("damage", ["model", "json", "missing"])
def test_a_damaged_file_is_told_and_not_a_traceback(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "mock.db"
    config = MockConfig(state=file, api_key=KEY, control_token=TOKEN)
    with serve(config) as running, steered(running.base_url) as (api, _control):
        api.post("/v1/generate", json=KLING)
    with sqlite3.connect(file) as database:
        statement = {
            "model": "UPDATE entity SET fields = replace(fields, 'kling-o3', 'kling-o9') WHERE kind = 'generation'",
            "json": "UPDATE entity SET fields = '{' WHERE kind = 'account'",
            "missing": "UPDATE entity SET fields = '{}' WHERE kind = 'generation'",
        }[damage]
        database.execute(statement)
    database.close()
    with pytest.raises(ValueError, match=r"mock\.db cannot be read as the mock's state"), serve(config):
        pass
