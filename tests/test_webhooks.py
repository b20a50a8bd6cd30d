"""`prospo.webhooks`: what it takes for genuine, what it makes of it, and that no input gets anything else out of it.

The truth on signatures is in the vectors and in the standard library's HMAC. How receivers use it is in
test_webhook_examples.py.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import pickle
import random
import subprocess
import sys
import threading
import time
import traceback
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import prospo
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prospec.ir import Spec
from prospo import BadSignature
from prospo.webhooks import (
    MAX_AGE_S,
    RETRY_AFTER_S,
    SIGNATURE_HEADER,
    CompletedEvent,
    Event,
    FailedEvent,
    Reason,
    Seen,
    SeenStore,
    sign,
    unwrap,
    verify,
)

SECRET = "whsec-canary-5f2a"
WHEN = "2026-05-02T14:33:27.000Z"
DOCUMENTED = b"""{
  "event": "generation.completed",
  "generation_id": "gen_a1b2c3d4e5f6",
  "data": {
    "model": "veo-3-1",
    "mode": "text",
    "output_url": "https://cdn.prospolabs.com/results/gen_a1b2c3d4e5f6.mp4?token=canary-9c1d",
    "cost_usd": 0.40,
    "duration_ms": 42180
  },
  "timestamp": "2026-05-02T14:33:27.000Z"
}"""
DRAWN = 100_000


def verdict(body: Any, signature: Any, secret: Any) -> Reason | None:
    """Why it is refused; None where it is taken. Any other exception leaves the test."""
    try:
        verify(body, signature, secret)
    except BadSignature as bad:
        return bad.reason
    return None


def outcome(body: Any, signature: Any, secret: Any, **options: Any) -> Event | Reason:
    """The event, or why there is none."""
    try:
        return unwrap(body, signature, secret, **options)
    except BadSignature as bad:
        return bad.reason


def told(value: object, **options: Any) -> Event:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return unwrap(body, sign(body, SECRET), SECRET, **{"max_age_s": None, **options})


def completed(**members: Any) -> dict[str, Any]:
    return {"event": "generation.completed", "generation_id": "gen_1", "data": {}, "timestamp": WHEN} | members


# What is genuine


def test_every_vector_gets_the_verdict_that_was_written_down(spec: Spec) -> None:
    assert len(spec.vectors.webhooks) > 190
    for vector in spec.vectors.webhooks:
        body = vector["body"].encode() if "body" in vector else base64.b64decode(vector["base64"], validate=True)
        taken = verdict(body, vector["signature"], vector["secrets"]) is None
        assert taken is vector["valid"], (vector["id"], vector["why"])
        if len(vector["secrets"]) == 1:
            assert (verdict(body, vector["signature"], vector["secrets"][0]) is None) is vector["valid"], vector["id"]
        event = outcome(body, vector["signature"], vector["secrets"], max_age_s=None)
        assert isinstance(event, Event) or (event == "payload") is vector["valid"], vector["id"]
        if isinstance(event, Event):
            assert vector["valid"], vector["id"]
            assert event.raw == json.loads(body)


@given(st.binary(), st.text(st.characters(codec="utf-8"), min_size=1), st.text(st.characters(codec="utf-8")))
def test_a_signature_is_the_standard_library_s_and_each_listed_secret_fits(
    body: bytes, secret: str, other: str
) -> None:
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    assert sign(body, secret) == signature
    for secrets in (secret, [secret], (other, secret), [secret, other], [other, "", secret]):
        assert verdict(body, signature, secrets) is None
    assert verdict(bytearray(body), signature, secret) is None
    if other and other != secret:
        assert verdict(body, signature, [other, other + "x"]) == "mismatch"


def test_every_flip_of_a_bit_is_refused() -> None:
    signature = sign(DOCUMENTED, SECRET)
    for place in range(8 * len(DOCUMENTED)):
        changed = bytearray(DOCUMENTED)
        changed[place // 8] ^= 1 << place % 8
        assert verdict(bytes(changed), signature, SECRET) == "mismatch"
    for place in range(4 * len(signature)):
        digits = f"{int(signature, 16) ^ 1 << place:064x}"
        assert verdict(DOCUMENTED, digits, SECRET) == "mismatch"
    for place in range(8 * len(signature)):
        flipped = bytearray(signature.encode())
        flipped[place // 8] ^= 1 << place % 8
        assert verdict(DOCUMENTED, flipped.decode("latin-1"), SECRET) in ("mismatch", "malformed")


@pytest.mark.parametrize(
    "secrets", ["", [], (), [""], ["", ""], None, 0, b"whsec", [b"whsec"], {"a": 1}, "\ud800", [None]]
)
def test_what_is_no_secret_verifies_nothing(secrets: Any) -> None:
    for key in (b"", b"whsec", b"None", b"0"):
        signature = hmac.new(key, DOCUMENTED, hashlib.sha256).hexdigest()
        assert verdict(DOCUMENTED, signature, secrets) == "secret"
    with pytest.raises(ValueError, match="no secret"):
        sign(DOCUMENTED, secrets)


def test_a_secret_of_the_environment_keeps_its_bytes() -> None:
    """`os.environ` spells bytes that are no UTF-8 as surrogates."""
    assert (
        sign(b"x", b"\xff\xfe".decode("utf-8", "surrogateescape")) == hmac.new(b"\xff\xfe", b"x", "sha256").hexdigest()
    )


@pytest.mark.parametrize(
    ("body", "signature", "reason"),
    [
        (DOCUMENTED.decode(), sign(DOCUMENTED, SECRET), "body"),
        (json.loads(DOCUMENTED), sign(DOCUMENTED, SECRET), "body"),
        (None, sign(DOCUMENTED, SECRET), "body"),
        (memoryview(DOCUMENTED), sign(DOCUMENTED, SECRET), "body"),
        (DOCUMENTED, None, "missing"),
        (DOCUMENTED, "", "missing"),
        (DOCUMENTED, sign(DOCUMENTED, SECRET).encode(), "missing"),
        (DOCUMENTED, [sign(DOCUMENTED, SECRET)], "missing"),
        (DOCUMENTED, sign(DOCUMENTED, SECRET).upper(), "malformed"),
        (DOCUMENTED, "\ud800" * 64, "malformed"),
        (DOCUMENTED, "a" * 10_000_000, "malformed"),
        (DOCUMENTED, "a" * 64, "mismatch"),
    ],
)
def test_the_reason_says_what_is_wrong(body: Any, signature: Any, reason: str) -> None:
    assert verdict(body, signature, SECRET) == reason


def test_all_secrets_are_tried_in_constant_time_whichever_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    compared = Counter[bool]()
    constant = hmac.compare_digest

    def counting(*pair: Any) -> bool:
        compared["any"] += 1
        return constant(*pair)

    monkeypatch.setattr(hmac, "compare_digest", counting)
    for place in range(5):
        secrets = [f"other-{number}" for number in range(4)]
        secrets.insert(place, SECRET)
        verify(DOCUMENTED, sign(DOCUMENTED, SECRET), secrets)
        assert compared["any"] == 5 * (place + 1)


# No input gets anything else out of it


def _drawn(draw: random.Random) -> tuple[Any, Any, Any]:
    """A body, a signature and secrets: odd ones of every kind, and genuine ones with something changed or nothing."""
    body: Any = draw.choice(
        [
            draw.randbytes(draw.randrange(40)),
            DOCUMENTED,
            bytearray(DOCUMENTED),
            b"[" * 1000,
            b"\xef\xbb\xbf{}",
            "{}",
            None,
            7,
        ]
    )
    secret: Any = draw.choice([SECRET, "k", "\x00", "clé-🔑", "", "\ud800", None, b"k", 3])
    text = "".join(chr(draw.randrange(0x110000)) for _ in range(draw.randrange(70)))
    secrets: Any = draw.choice([secret, [secret], [secret, SECRET], ("", secret), [[secret]], {secret}, text])
    digits = "".join(draw.choices("0123456789abcdef", k=draw.choice([63, 64, 64, 65])))
    signature: Any = draw.choice([text, digits, digits.upper(), None, b"a" * 64, 64, "a" * 64 + "\n"])
    if isinstance(body, bytes | bytearray) and isinstance(secret, str) and draw.random() < 0.5:
        genuine = hmac.new(secret.encode("utf-8", "surrogatepass"), body, "sha256").hexdigest()
        place = draw.randrange(64)
        signature = draw.choice(
            [genuine, genuine, genuine.upper(), f"{genuine[:place]}{draw.choice(text or 'x')}{genuine[place + 1 :]}"]
        )
    return body, signature, secrets


def _is_genuine(body: Any, signature: Any, secrets: Any) -> bool:
    """A second opinion."""
    if not isinstance(body, bytes | bytearray) or not isinstance(signature, str):
        return False
    listed = [secrets] if isinstance(secrets, str) else secrets if isinstance(secrets, list | tuple) else []
    keys = [each for each in listed if isinstance(each, str) and each not in ("", "\ud800")]
    made = {hmac.new(each.encode("utf-8", "replace"), body, "sha256").hexdigest() for each in keys}
    return signature in made


def test_100_000_drawn_deliveries_get_the_right_verdict_and_no_other_exception() -> None:
    draw = random.Random(20260502)
    seen: Counter[str] = Counter()
    for _ in range(DRAWN):
        body, signature, secrets = _drawn(draw)
        reason = verdict(body, signature, secrets)
        assert (reason is None) is _is_genuine(body, signature, secrets), (body, signature, secrets)
        seen[reason or "taken"] += 1
        # An event of May is too old, and nothing else that is drawn is one.
        assert outcome(body, signature, secrets) in ((reason,) if reason else ("payload", "age"))
    assert min(seen[reason] for reason in ("taken", "body", "secret", "missing", "malformed", "mismatch")) > 1000, seen


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(WHEN) | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
TIMES = JSON | st.datetimes(timezones=st.none() | st.timezones()).map(datetime.isoformat) | st.text("0123456789-:TZ+W.")
EVENTS = st.fixed_dictionaries(
    {},
    optional={
        "event": st.sampled_from(["generation.completed", "generation.failed", "generation.paused"]) | JSON,
        "generation_id": st.just("gen_1") | JSON,
        "timestamp": TIMES,
        "data": JSON
        | st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("model", "mode", "output_url", "cost_usd", "duration_ms", "more"), JSON)
        ),
        "more": JSON,
    },
)


@settings(max_examples=1500)
@given(EVENTS | JSON | st.binary(max_size=20), st.sampled_from([None, MAX_AGE_S, 0.0]))
def test_a_genuine_body_is_an_event_or_a_bad_one_whatever_it_holds(value: object, max_age_s: float | None) -> None:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    event = outcome(body, sign(body, SECRET), SECRET, max_age_s=max_age_s)
    if not isinstance(event, Event):
        assert event == "payload" or (event == "age" and max_age_s is not None)
        return
    assert isinstance(value, dict)
    assert event.event == value["event"]
    is_named = isinstance(value.get("generation_id"), str) and value["generation_id"] != ""
    kinds = {"generation.completed": CompletedEvent, "generation.failed": FailedEvent}
    assert type(event) is (kinds.get(event.event, Event) if is_named else Event)
    assert event.timestamp is None or event.timestamp.tzinfo is not None
    again = pickle.loads(pickle.dumps(event))
    # Not the whole of it: what is no number does not equal itself.
    assert (type(again), again.key, hash(again)) == (type(event), event.key, hash(event))


# The exception keeps nothing to itself


def test_a_refusal_shows_no_secret_no_signature_and_nothing_of_the_body() -> None:
    refused = []
    genuine = sign(DOCUMENTED, SECRET)
    for call, signature in ((verify, "a1" * 32), (unwrap, "a1" * 32), (unwrap, genuine), (verify, genuine.upper())):
        try:
            call(DOCUMENTED, signature, [SECRET])
        except BadSignature as bad:
            refused.append(bad)
    assert [bad.reason for bad in refused] == ["mismatch", "mismatch", "age", "malformed"]
    for bad in refused:
        # The first frame is the test's own, and that has all of it.
        shown = traceback.TracebackException.from_exception(bad, capture_locals=True)
        frames = "".join(
            shown.stack[index].__repr__() + str(shown.stack[index].locals) for index in range(1, len(shown.stack))
        )
        assert len(shown.stack) > 1
        assert bad.__context__ is None
        for text in (str(bad), repr(bad), frames, pickle.dumps(bad).decode("latin-1"), str(vars(bad))):
            for canary in (SECRET, "canary", genuine, genuine.upper(), "a1a1", "gen_a1b2"):
                assert canary not in text
        assert isinstance(bad, prospo.ProspoError)
        again = pickle.loads(pickle.dumps(bad))
        assert (type(again), again.reason, str(again)) == (BadSignature, bad.reason, str(bad))


def test_each_reason_has_a_message_that_says_what_was_expected() -> None:
    messages = {str(BadSignature(reason)) for reason in Reason.__args__}  # type: ignore[attr-defined]
    assert len(messages) == 7
    assert SIGNATURE_HEADER in str(BadSignature("missing"))


# What is told


def test_the_documented_event() -> None:
    event = told(DOCUMENTED)
    assert isinstance(event, CompletedEvent)
    assert event == CompletedEvent(
        event="generation.completed",
        generation_id="gen_a1b2c3d4e5f6",
        model="veo-3-1",
        mode="text",
        timestamp=datetime(2026, 5, 2, 14, 33, 27, tzinfo=UTC),
        raw=json.loads(DOCUMENTED),
        key="gen_a1b2c3d4e5f6 generation.completed",
        output_url=prospo.SignedUrl("https://cdn.prospolabs.com/results/gen_a1b2c3d4e5f6.mp4?token=canary-9c1d"),
        cost_usd=Decimal("0.40"),
        duration_ms=42180,
    )
    assert "canary" not in f"{event!r} {event} {event.raw!r}"
    assert event.raw["data"]["output_url"].endswith("canary-9c1d"), "a program has the whole of it"
    with pytest.raises(AttributeError):
        event.generation_id = "gen_2"  # type: ignore[misc]


def test_a_failure_counts_on_nothing_in_data() -> None:
    for data in ({}, {"data": None}, {"data": {"error": "nsfw", "cost_usd": None}}, {"data": []}):
        event = told({"event": "generation.failed", "generation_id": "gen_1", **data})
        assert isinstance(event, FailedEvent)
        assert (event.generation_id, event.model, event.timestamp) == ("gen_1", None, None)
        assert event.raw == {"event": "generation.failed", "generation_id": "gen_1", **data}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        ({}, (None, None, None)),
        ({"output_url": 7, "cost_usd": "0.40", "duration_ms": True}, (None, None, None)),
        ({"output_url": "https://x/y", "cost_usd": 3, "duration_ms": 1.5}, ("https://x/y", Decimal(3), 1.5)),
        ({"cost_usd": 0.1, "duration_ms": None, "later": 1}, (None, Decimal("0.1"), None)),
    ],
)
def test_what_is_missing_or_of_another_form_is_none(data: dict[str, Any], found: tuple[Any, ...]) -> None:
    event = told(completed(data=data, added="later"))
    assert isinstance(event, CompletedEvent)
    assert (event.output_url, event.cost_usd, event.duration_ms) == found
    assert event.raw["data"] == data
    assert event.raw["added"] == "later"


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"7", b'{"event": 7}', b'{"event":', b"\xff", b"NaN", b'"x"', b"[" * 10**6]
)
def test_what_is_genuine_and_no_event_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(BadSignature) as bad:
        told(body)
    assert bad.value.reason == "payload"


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-05-02T14:33:27Z", datetime(2026, 5, 2, 14, 33, 27, tzinfo=UTC)),
        ("2026-05-02T16:33:27.250+02:00", datetime(2026, 5, 2, 14, 33, 27, 250_000, tzinfo=UTC)),
        ("2026-05-02T14:33:27", None),
        ("2026-05-02", None),
        ("soon", None),
        (1777732407, None),
        (None, None),
    ],
)
def test_a_timestamp_has_an_offset_or_is_none(text: object, utc: datetime | None) -> None:
    assert told(completed(timestamp=text)).timestamp == utc


@pytest.mark.parametrize(
    "body",
    [
        b'{"event": "generation.completed", "generation_id": "gen_1", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
        b'{"event": "generation.completed", "generation_id": "gen_1", "x": "\\ud800"}',
        b'{"event": "generation.completed", "generation_id": "gen_1", "x": NaN}',
        b'{"event": "generation.completed", "generation_id": "gen_1", "x": "' + b"x" * 2_000_000 + b'"}',
        b'\xef\xbb\xbf{"event": "generation.completed", "generation_id": "gen_1"}',
        b'{"event": "generation.failed", "event": "generation.completed", "generation_id": "gen_1"}',
    ],
    ids=["deep", "half a surrogate", "NaN", "2 MB", "byte order mark", "equal keys"],
)
def test_what_a_request_may_not_hold_costs_no_event(body: bytes) -> None:
    """The provider would count a refusal as failed, and after four more the event is lost."""
    assert isinstance(told(body), CompletedEvent)


# Its age


def test_the_default_limit_lets_the_last_retry_of_an_event_through(spec: Spec) -> None:
    assert spec.service.webhook.retry_after_s == RETRY_AFTER_S
    assert spec.service.webhook.header == SIGNATURE_HEADER
    assert sum(RETRY_AFTER_S) * 2 < MAX_AGE_S
    for age_s, is_taken in (
        (-3600, True),
        (sum(RETRY_AFTER_S), True),
        (MAX_AGE_S - 600, True),
        (MAX_AGE_S + 600, False),
    ):
        body = json.dumps(completed(timestamp=(datetime.now(UTC) - timedelta(seconds=age_s)).isoformat())).encode()
        if is_taken:
            assert unwrap(body, sign(body, SECRET), SECRET).generation_id == "gen_1"
        else:
            with pytest.raises(BadSignature, match="older than max_age_s"):
                unwrap(body, sign(body, SECRET), SECRET)


def test_the_limit_is_yours_to_set() -> None:
    ago = (datetime.now(UTC) - timedelta(seconds=900)).isoformat()
    assert told(completed(timestamp=ago), max_age_s=1800)
    with pytest.raises(BadSignature):
        told(completed(timestamp=ago), max_age_s=300)
    assert told(completed(timestamp=WHEN), max_age_s=None)
    assert told(completed(timestamp=None), max_age_s=0), "without a timestamp there is no age"


# Repeats


def test_a_repeat_is_known_by_its_generation_and_event_however_it_is_written() -> None:
    seen: SeenStore = Seen()
    assert seen.is_new(told(completed()))
    assert not seen.is_new(told(completed(timestamp="2026-05-02T14:40:00Z")))
    assert seen.is_new(told(completed(event="generation.failed")))
    assert seen.is_new(told(completed(generation_id="gen_2")))


def test_events_that_name_no_generation_are_told_apart_by_all_they_hold() -> None:
    seen = Seen()
    assert seen.is_new(told({"event": "balance.low", "left": 1}))
    assert seen.is_new(told({"event": "balance.low", "left": 2}))
    assert not seen.is_new(told({"event": "balance.low", "left": 2}))
    assert seen.is_new(told({"event": "balance.low", "generation_id": "", "left": 1}))


def test_what_was_forgotten_is_new_again() -> None:
    seen = Seen()
    event = told(completed())
    seen.forget(event)
    assert seen.is_new(event)
    seen.forget(event)
    assert seen.is_new(event)
    assert not seen.is_new(event)


def test_memory_is_bounded_and_the_oldest_goes_first() -> None:
    seen = Seen(max_events=100)
    events = [told(completed(generation_id=f"gen_{number}")) for number in range(1000)]
    assert all(seen.is_new(event) for event in events)
    assert len(seen._since) == 100
    assert not any(seen.is_new(event) for event in events[-100:])
    assert seen.is_new(events[0])


def test_a_ttl_ends_what_is_known() -> None:
    event = told(completed())
    brief, long = Seen(ttl_s=1e-9), Seen(ttl_s=3600)
    assert brief.is_new(event)
    assert brief.is_new(event)
    assert long.is_new(event)
    assert not long.is_new(event)
    for wrong in ({"max_events": 0}, {"ttl_s": 0}, {"ttl_s": float("nan")}):
        with pytest.raises(ValueError, match="max_events takes"):
            Seen(**wrong)


def test_a_ttl_ends_the_oldest_alone() -> None:
    seen = Seen(ttl_s=3600)
    old, fresh = (told(completed(generation_id=id)) for id in ("gen_old", "gen_fresh"))
    seen._since[old.key] = time.monotonic() - 7200
    assert seen.is_new(fresh)
    assert list(seen._since) == [fresh.key]
    seen._since.update({old.key: time.monotonic() - 7200})
    seen._since.move_to_end(old.key, last=False)
    assert not seen.is_new(fresh)
    assert seen.is_new(old)


class Slow(str):
    """A key that lets other threads run whenever it is looked up."""

    __slots__ = ()

    def __hash__(self) -> int:
        time.sleep(0.001)
        return super().__hash__()


def test_of_many_threads_one_finds_an_event_new() -> None:
    seen = Seen()
    keys = [f"gen_{number} generation.completed" for number in range(20)]
    events = [replace(told(completed()), key=Slow(key)) for key in keys]
    found: list[str] = []
    threads = [
        threading.Thread(target=lambda: found.extend(event.key for event in events if seen.is_new(event)))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(keys)


# How it is got


def test_it_is_loaded_when_it_is_first_asked_for() -> None:
    program = (
        "import sys, prospo; assert 'prospo.webhooks' not in sys.modules, 'too early'\n"
        "assert prospo.webhooks.BadSignature is prospo.BadSignature\n"
        "from prospo import *\nassert webhooks.verify and BadSignature\n"
        "assert not hasattr(prospo, 'webhook')"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    assert set(prospo.__all__) >= {"BadSignature", "webhooks"}


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_a_body_that_is_no_utf_8_json_tells_nothing(encoding: str) -> None:
    """`json.loads` would guess; the other languages do not."""
    body = json.dumps(completed()).encode(encoding)
    assert verdict(body, sign(body, SECRET), SECRET) is None
    assert outcome(body, sign(body, SECRET), SECRET, max_age_s=None) == "payload"
