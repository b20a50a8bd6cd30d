"""The mock under control: its time, its money, the outcome of each request, and what it saw and sent.

All over HTTP, with real sockets and a real webhook receiver on loopback.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise

import httpx2
import pytest
from prospec_conformance.mock.outcomes import HEADER, STATUSES, UnknownWishError, Wish, wished
from steering import KLING, Receiver, receiving, steered, until, wanting

WEEK_S = 7 * 24 * 3600


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


# Time


def test_a_week_passes_in_a_moment_and_takes_the_output_with_it() -> None:
    with steered(processing_s=30) as mock:
        id = mock.ask(wanting()).json()["generation_id"]
        assert mock.status(id).json()["status"] == "queued"
        mock.advance(20)
        assert mock.status(id).json()["status"] == "processing"
        mock.advance(10)
        assert mock.status(id).json()["status"] == "completed"
        started = time.monotonic()
        mock.advance(WEEK_S)
        assert time.monotonic() - started < 2
        gone = mock.status(id)
        assert (gone.status_code, gone.json()["code"]) == (410, "output_expired")


def test_a_failed_generation_has_no_output_that_could_expire() -> None:
    with steered() as mock:
        id = mock.ask(wanting(), **{HEADER: "fail"}).json()["generation_id"]
        mock.advance(2 * WEEK_S)
        assert mock.status(id).json()["status"] == "failed"


def test_a_blocking_call_ends_when_its_time_has_come() -> None:
    with steered(processing_s=100) as mock:
        found: list[httpx2.Response] = []
        asking = threading.Thread(target=lambda: found.append(mock.ask()))
        asking.start()
        until(lambda: mock.control.get("/state").json()["generations"] == {"queued": 1})
        mock.advance(100)
        asking.join(timeout=5)
        assert found[0].json()["status"] == "completed"
        assert 100_000 <= found[0].json()["duration_ms"] < 101_000


def test_every_retry_of_the_ladder_comes_at_its_time_and_none_after_the_last(receiver: Receiver) -> None:
    receiver.answers = [500] * 9
    with steered(processing_s=1) as mock:
        mock.ask(wanting(webhook_url=receiver.url))
        mock.advance(1)
        for wait_s, count in ((29, 1), (1, 2), (119, 2), (1, 3), (599, 3), (1, 4), (3599, 4), (1, 5), (WEEK_S, 5)):
            mock.advance(wait_s)
            assert len(receiver.came) == count, (wait_s, count)
        (delivery,) = mock.deliveries()
        assert delivery["state"] == "failed"
        moments = [attempt["at_s"] for attempt in delivery["attempts"]]
        waits = [round(then - before) for before, then in pairwise(moments)]
        assert waits == [30, 120, 600, 3600]
        assert [attempt["status"] for attempt in delivery["attempts"]] == [500] * 5
        assert len({body for body, _ in receiver.came}) == 1
        assert len({signature for _, signature in receiver.came}) == 1


def test_the_ladder_ends_at_the_first_2xx_and_is_climbed_in_one_step_too(receiver: Receiver) -> None:
    receiver.answers = [500, 302, 204]
    with steered() as mock:
        mock.ask(wanting(webhook_url=receiver.url))
        mock.advance(WEEK_S)
        assert [attempt["status"] for attempt in mock.deliveries()[0]["attempts"]] == [500, 302, 204]
        assert mock.deliveries()[0]["state"] == "delivered"


def test_upload_tokens_expire_by_the_same_clock() -> None:
    with steered() as mock:
        announced = {"content_type": "image/png", "file_name": "a.png"}
        early = mock.api.post("/v1/uploads/initiate", json=announced).json()["token"]
        mock.advance(3601)
        put = {"content": b"x", "headers": {"Content-Type": "image/png"}}
        assert mock.api.put(f"/v1/uploads/proxy/{early}", **put).status_code == 404
        kept = mock.api.post("/v1/uploads/initiate", json=announced).json()["token"]
        assert mock.api.put(f"/v1/uploads/proxy/{kept}", **put).status_code == 200
        edit = {"model": "nano-banana-2", "mode": "edit", "params": {"prompt": "x", "image_urls": [kept]}}
        mock.advance(23 * 3600)
        assert mock.ask(edit).status_code == 200
        mock.advance(3601)
        assert mock.ask(edit).status_code == 400


# Outcomes


@pytest.mark.parametrize("status", STATUSES)
def test_a_request_may_ask_for_each_error_and_is_not_charged(status: int) -> None:
    with steered() as mock:
        for refused in (
            mock.ask(**{HEADER: f"status={status}"}),
            mock.ask({**KLING, "params": {"prompt": f"a harbour mock:status={status} at dawn"}}),
        ):
            assert refused.status_code == status
            assert refused.json()["detail"]
        assert mock.balance() == 100


def test_a_failure_is_refunded() -> None:
    with steered() as mock:
        failed = mock.ask({**KLING, "params": {"prompt": "mock:fail"}}).json()
        assert failed["status"] == "failed"
        assert mock.balance() == 100


def test_a_slow_generation_takes_as_long_as_it_was_asked_to() -> None:
    with steered() as mock:
        id = mock.ask(wanting(), **{HEADER: "slow=3600"}).json()["generation_id"]
        mock.advance(3599)
        assert mock.status(id).json()["status"] == "processing"
        mock.advance(1)
        assert mock.status(id).json()["duration_ms"] == 3_600_000


def test_an_accepted_request_may_get_no_answer_and_is_charged(capfd: pytest.CaptureFixture[str]) -> None:
    """The case that a client must not answer with another POST."""
    with steered() as mock:
        with pytest.raises(httpx2.RemoteProtocolError):
            mock.ask(**{HEADER: "accept-then-drop"})
        assert mock.balance() == Decimal("99.5")
        assert mock.ask().status_code == 200
        assert [seen["status"] for seen in mock.control.get("/requests").json()["requests"]] == [0, 200, 200]
    assert capfd.readouterr().err == ""


def test_an_accepted_request_may_be_answered_504_and_is_charged() -> None:
    with steered() as mock:
        assert mock.ask(**{HEADER: "accept-then-504"}).status_code == 504
        assert mock.balance() == Decimal("99.5")
        assert mock.control.get("/state").json()["generations"] == {"completed": 1}


def test_a_webhook_may_come_twice_late_out_of_order_or_never(receiver: Receiver) -> None:
    def told() -> list[str]:
        return [json.loads(body)["generation_id"] for body, _ in receiver.came]

    with steered() as mock:
        twice = mock.ask(wanting(webhook_url=receiver.url), **{HEADER: "webhook=duplicate"}).json()["generation_id"]
        until(lambda: told() == [twice, twice])
        mock.ask(wanting(webhook_url=receiver.url), **{HEADER: "webhook=none"})
        late = mock.ask(wanting(webhook_url=receiver.url), **{HEADER: "webhook=late"}).json()["generation_id"]
        time.sleep(0.1)
        assert told() == [twice, twice]
        mock.advance(60)
        assert told() == [twice, twice, late]
        first = mock.ask(wanting(webhook_url=receiver.url), **{HEADER: "webhook=reordered"}).json()["generation_id"]
        until(lambda: len(mock.deliveries()) == 3)
        second = mock.ask(wanting(webhook_url=receiver.url)).json()["generation_id"]
        until(lambda: told() == [twice, twice, late, second, first])


def test_a_wish_that_cannot_be_read_is_refused_with_those_there_are_and_is_text_in_a_prompt() -> None:
    with steered() as mock:
        refused = mock.ask(**{HEADER: "explode"})
        assert refused.status_code == 400
        assert "accept-then-drop" in refused.json()["detail"]
        assert mock.ask({**KLING, "params": {"prompt": "mock:explode"}}).status_code == 200


@pytest.mark.parametrize(
    ("header", "prompt", "wish"),
    [
        (None, "a harbour", Wish()),
        ("fail", None, Wish(fails=True)),
        ("slow=2.5, webhook=late", None, Wish(lasts_s=2.5, webhook="late")),
        ("slow=1", "mock:slow=9 mock:fail", Wish(fails=True, lasts_s=1)),
        (None, "mock:accept-then-504.", Wish(after="504")),
        (None, "mock:slow=-1 mock:slow=x mock:slow=1e9 mock:status=418 mock:webhook=often", Wish()),
        (None, ["mock:fail"], Wish()),
        (None, "hammock:fail", Wish()),
    ],
)
def test_what_a_request_wishes(header: str | None, prompt: object, wish: Wish) -> None:
    assert wished(header, prompt) == wish


@pytest.mark.parametrize(
    "header", ["", " ", "slow", "slow=", "slow=nan", "slow=-1", "status=200", "fail=1", "x", "fail x"]
)
def test_a_header_says_a_wish_or_is_refused(header: str) -> None:
    if not header:
        assert wished(header, "x") == Wish()
    else:
        with pytest.raises(UnknownWishError):
            wished(header, "x")


# Money, memory and sight


def test_the_balance_can_be_set_and_ends_what_it_cannot_pay() -> None:
    with steered() as mock:
        assert mock.control.put("/balance", json={"balance_usd": "0.75"}).status_code == 200
        assert mock.ask().status_code == 200
        assert mock.ask().status_code == 403
        assert mock.balance() == Decimal("0.25")
        second = mock.control.put("/balance", json={"account": "second", "balance_usd": 7})
        assert second.json() == {"account": "second", "balance_usd": "7"}
        assert mock.balance() == Decimal("0.25")


def test_a_reset_forgets_everything_but_the_keys(receiver: Receiver) -> None:
    with steered(processing_s=60) as mock:
        id = mock.ask(wanting(webhook_url=receiver.url)).json()["generation_id"]
        mock.control.post("/reset")
        assert mock.status(id).status_code == 404
        assert mock.balance() == 100
        mock.advance(60)
        assert [seen["path"] for seen in mock.control.get("/requests").json()["requests"]] == [
            f"/v1/generations/{id}",
            "/v1/balance",
        ]
        assert (receiver.came, mock.deliveries()) == ([], [])


def test_requests_are_listed_with_their_verdict_and_without_a_key() -> None:
    with steered() as mock:
        mock.ask({**KLING, "params": {"prompt": "x", "duration": 99}})
        mock.ask()
        mock.api.get("/v1/balance", headers={"Authorization": "Bearer prsp-canary"})
        listed = mock.control.get("/requests")
        first, second, third = listed.json()["requests"]
        assert (first["status"], first["violation"]) == (400, "maximum /params/duration")
        assert json.loads(second["body"]) == KLING
        assert (second["account"], third["account"], third["status"]) == ("first", None, 401)
        for secret in (mock.running.config.api_key, "prsp-canary", mock.running.config.control_token):
            assert secret not in listed.text
        since = mock.control.get("/requests", params={"since": first["number"]}).json()["requests"]
        assert [each["number"] for each in since] == [second["number"], third["number"]]


def test_a_delivery_is_listed_with_the_exact_bytes_that_were_signed_and_can_be_replayed(receiver: Receiver) -> None:
    with steered() as mock:
        mock.ask(wanting(webhook_url=receiver.url))
        until(lambda: len(receiver.came) == 1)
        until(lambda: mock.deliveries()[0]["state"] == "delivered")
        listed = mock.control.get("/deliveries")
        (delivery,) = listed.json()["deliveries"]
        body = base64.b64decode(delivery["body_base64"])
        assert (body, delivery["signature"]) == receiver.came[0]
        secret = mock.running.config.webhook_secret
        assert hmac.new(secret.encode(), body, hashlib.sha256).hexdigest() == delivery["signature"]
        assert "canary" not in listed.text
        assert secret not in listed.text
        again = mock.control.post(f"/deliveries/{delivery['number']}/replay").json()
        assert len(again["attempts"]) == 2
        assert receiver.came[1] == receiver.came[0]


def test_a_receiver_elsewhere_is_never_called_and_not_by_a_replay() -> None:
    with steered() as mock:
        mock.ask(wanting(webhook_url="https://192.0.2.1/hook"))
        until(lambda: len(mock.deliveries()) == 1)
        (delivery,) = mock.deliveries()
        assert (delivery["state"], delivery["attempts"]) == ("refused", [])
        refused = mock.control.post(f"/deliveries/{delivery['number']}/replay")
        assert (refused.status_code, mock.deliveries()[0]["attempts"]) == (400, [])


ENDPOINTS = [
    ("POST", "/clock"),
    ("POST", "/reset"),
    ("PUT", "/balance"),
    ("GET", "/state"),
    ("GET", "/requests"),
    ("GET", "/deliveries"),
    ("POST", "/deliveries/1/replay"),
]


@pytest.mark.parametrize(("method", "path"), ENDPOINTS)
def test_nobody_steers_without_the_token(method: str, path: str) -> None:
    with steered() as mock:
        for token in ("", "x", mock.running.config.api_key, mock.running.config.control_token[:-1], "ü"):
            headers = {"X-Mock-Token": token.encode()} if token else {}
            answer = httpx2.request(method, f"{mock.running.base_url}/__mock{path}", headers=headers)
            assert answer.status_code == 403
        assert mock.balance() == 100


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/clock", b"{}"),
        ("POST", "/clock", b'{"advance_s": -1}'),
        ("POST", "/clock", b'{"advance_s": true}'),
        ("POST", "/clock", b'{"advance_s": 1e400}'),
        ("POST", "/clock", b"[" * 100_000),
        ("POST", "/clock", b"no json"),
        ("POST", "/reset", b"[]"),
        ("PUT", "/balance", b'{"balance_usd": "lots"}'),
        ("PUT", "/balance", b'{"balance_usd": "NaN"}'),
        ("PUT", "/balance", b'{"account": "third", "balance_usd": 1}'),
        ("GET", "/requests?since=x", b""),
        ("POST", "/deliveries/99/replay", b""),
    ],
)
def test_a_wrong_use_is_explained(method: str, path: str, body: bytes) -> None:
    with steered() as mock:
        answer = mock.control.request(method, path, content=body)
        assert answer.status_code == 400
        assert answer.json()["detail"]


# Who may speak to it


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("127.0.0.1:{port}", True),
        ("127.0.0.1", True),
        ("localhost:{port}", True),
        ("LOCALHOST", True),
        ("[::1]:{port}", True),
        ("evil.example", False),
        ("evil.example:{port}", False),
        ("127.0.0.1.evil.example:{port}", False),
        ("localhost.:{port}", False),
        ("127.0.0.1@evil.example", False),
        ("evil.example:{port}:127.0.0.1", False),
        ("", False),
    ],
)
def test_a_name_that_is_not_ours_is_refused_on_every_path(host: str, is_ours: bool) -> None:
    """A page whose name was made to resolve to this machine is a stranger, whatever it knows."""
    with steered() as mock:
        named = host.format(port=httpx2.URL(mock.running.base_url).port)
        for client, path in ((mock.api, "/v1/balance"), (mock.control, "/state")):
            answer = client.get(path, headers={"Host": named})
            assert (answer.status_code == 200) is is_ours
            assert is_ours or answer.json()["code"] == "invalid_host"


def test_no_page_of_another_origin_can_read_an_answer() -> None:
    with steered() as mock:
        asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "GET"}
        for answer in (mock.api.get("/v1/balance", headers=asked), mock.api.options("/v1/balance", headers=asked)):
            assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
