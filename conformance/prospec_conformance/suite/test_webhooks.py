"""HOOK: the event that tells of a generation's end, its signature, and the retries of one that is not accepted."""

from __future__ import annotations

import hmac
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from prospec.ir import Level

from ..generations import ENDS, Generations, date_s
from ..hooks import CLOCK_EARLY_S, CLOCK_LATE_S, EARLY_S, LADDER, LATE_S, Hooks, Told
from ..implementation import Target
from ..members import brief, utc_moment, worded
from ..mock.webhooks import sign
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, requirement
from ..receiver import Arrival
from ..spend import amount
from ..stringify import rewritten

EVENTS = ("generation.completed", "generation.failed")
SIGNATURE_CHARS = 64
SKEW_S = 60.0
"""How far two clocks of one server may be apart, and how long an event may wait on its way."""
MEDIA_TYPE = "application/json"


def _not(what: str, told: Told, level: Level = Level.MUST) -> Violation:
    """What is wrong with an event, shown by the request that brought it about."""
    return Violation(what, *filter(None, (told.observed.started, told.on_arrival)), level=level)


def _whole(arrival: Arrival) -> Arrival:
    """Raises Inconclusive for an event of which only a part came."""
    if not arrival.is_whole:
        raise Inconclusive("the body of the event was too long to be kept, or broke off")
    return arrival


# The event


@requirement("HOOK-01")
@fields("the first of two", "the second of two")
def test_the_end_of_a_generation_is_told(hooks: Hooks, field: str) -> None:
    """Provide a webhook_url in the request body to receive a callback."""
    told = hooks.first() if field == "the first of two" else hooks.second()
    if told.events:
        return
    came = [arrival.method for arrival in told.mailbox.arrivals if arrival not in told.strays]
    if came:
        raise _not(f"the event came with {came[0]:.20}, expected POST", told)
    raise _not("no event came, though the generation had ended", told)


@requirement("HOOK-35")
def test_the_event_needs_no_polling(hooks: Hooks) -> None:
    """Alternatively, provide a webhook_url: instead of polling."""
    told = hooks.delivered()
    if not told.asked_before:
        return
    if told.observed.polls[0].member("status") not in ENDS:
        raise Inconclusive("it took so long that it was polled before its end")
    raise _not("the event came only when the generation was polled", told)


@requirement("HOOK-36")
def test_each_of_two_is_told_to_its_own_receiver(hooks: Hooks) -> None:
    """webhook_url is passed per request."""
    pair = (hooks.first(), hooks.second())
    for told in pair:
        if told.strays:
            raise _not("the event of another generation came to its webhook_url", told)
    missing = [told for told in pair if not told.events]
    if len(missing) == len(pair):
        raise Inconclusive("no event came (HOOK-01)")
    for told in missing:
        raise _not("no event came, while that of another generation came to its own webhook_url", told)


@requirement("HOOK-02")
def test_the_event_of_a_completed_generation_says_so(hooks: Hooks) -> None:
    """generation.completed: generation completed successfully."""
    told, event, _ = hooks.completed()
    if event.member("event") != "generation.completed":
        raise _not(f"event is {worded(event, 'event')}, expected 'generation.completed'", told)


def _event_of_failure(hooks: Hooks) -> tuple[Told, Arrival]:
    told = hooks.failed().told
    if not told.events:
        raise Inconclusive("no event of a failure came (HOOK-03)")
    return told, told.events[0]


@requirement("HOOK-03")
def test_the_event_of_a_failed_generation_says_so(hooks: Hooks) -> None:
    """generation.failed: generation failed."""
    told = hooks.failed().told
    end = told.observed.end
    if end is None or end.member("status") != "failed":
        raise Inconclusive("the generation did not fail")
    if not told.events:
        raise _not("no event came, though the generation had failed", told)
    if told.events[0].member("event") != "generation.failed":
        raise _not(f"event is {worded(told.events[0], 'event')}, expected 'generation.failed'", told)


@requirement("HOOK-05")
@fields("event", "generation_id", "data", "timestamp")
def test_the_event_of_a_completed_generation_is_whole(hooks: Hooks, field: str) -> None:
    """The payload has event, generation_id, data and timestamp."""
    told, event, _ = hooks.completed()
    _must_have(told, event, field, dict if field == "data" else str)


@requirement("HOOK-33")
@fields("event", "generation_id", "timestamp")
def test_the_event_of_a_failed_generation_is_whole(hooks: Hooks, field: str) -> None:
    """Only the payload of a completed one is shown; data may be missing from that of a failed one."""
    told, event = _event_of_failure(hooks)
    _must_have(told, event, field, str)
    if field == "generation_id" and event.member(field) != told.observed.id:
        raise _not(f"{field} is {worded(event, field)}, expected that of the generation", told)


def _must_have(told: Told, event: Arrival, name: str, kind: type) -> None:
    if not isinstance(_whole(event).json, dict):
        raise _not("the body is no JSON object", told)
    if not isinstance(event.member(name), kind):
        expected = "an object" if kind is dict else "a string"
        raise _not(f"{name} is {worded(event, name)}, expected {expected}", told)


def _data(event: Arrival) -> dict[str, Any]:
    data = event.member("data")
    if not isinstance(data, dict):
        raise Inconclusive("the event has no data (HOOK-05)")
    return data


@requirement("HOOK-06")
@fields("model", "mode", "output_url", "cost_usd", "duration_ms")
def test_data_is_whole(hooks: Hooks, generations: Generations, field: str) -> None:
    """data: model, mode, output_url, cost_usd, duration_ms. Includes output_url and cost_usd."""
    told, event, _ = hooks.completed()
    data = _data(event)
    if field == "mode" and not generations.mode.on_wire:
        raise Inconclusive("this model has one mode alone, which has no name")
    value = data.get(field)
    number = amount(value)
    fine = {
        "model": isinstance(value, str),
        "mode": isinstance(value, str),
        "output_url": isinstance(value, str) and _is_url(value),
        "cost_usd": number is not None and number >= 0,
        "duration_ms": field in data and (value is None or (number is not None and number >= 0)),
    }[field]
    if not fine:
        raise _not(f"data.{field} is {brief(value) if field in data else 'absent'}", told)


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("https", "http")
    except ValueError:
        return False


@requirement("HOOK-07")
@fields("generation_id", "model", "mode", "cost_usd", "duration_ms")
def test_the_event_says_what_polling_says(hooks: Hooks, field: str) -> None:
    """The sample of the payload has the values of the sample of the generation."""
    told, event, end = hooks.completed()
    holder = event.json if field == "generation_id" else _data(event)
    if not isinstance(holder, dict) or field not in holder:
        raise Inconclusive(f"the event has no {field} (HOOK-05, HOOK-06)")
    if not isinstance(end.json, dict) or field not in end.json:
        raise Inconclusive(f"polling shows no {field}")
    if holder[field] != end.json[field]:
        raise _not(f"{field} is {brief(holder[field])}, polling shows {brief(end.json[field])}", told)


@requirement("HOOK-08")
def test_the_event_has_the_url_that_polling_has(hooks: Hooks) -> None:
    """output_url, in both samples with the same path; a token may be made anew for each answer."""
    told, event, end = hooks.completed()
    url, polled = _data(event).get("output_url"), end.member("output_url")
    if not isinstance(url, str) or not isinstance(polled, str):
        raise Inconclusive("there are no two URLs to compare")
    if url != polled:
        same = url.partition("?")[0] == polled.partition("?")[0]
        raise _not(f"output_url differs from the polled one{' in its query alone' if same else ''}", told)


@requirement("HOOK-09")
def test_timestamp_is_a_time_in_utc(hooks: Hooks) -> None:
    """timestamp: 2026-05-02T14:33:27.000Z."""
    for told, event in hooks.heard():
        if isinstance(event.member("timestamp"), str) and utc_moment(event.member("timestamp")) is None:
            raise _not(f"timestamp is {worded(event, 'timestamp')}, expected a date and time in UTC", told)
    if not isinstance(hooks.delivered().events[0].member("timestamp"), str):
        raise Inconclusive("the event has no timestamp (HOOK-05)")


@requirement("HOOK-10")
def test_timestamp_lies_between_request_and_delivery(hooks: Hooks) -> None:
    """timestamp. Measured by the server's own clock, the header Date; where there is none, by that of this machine."""
    told = hooks.delivered()
    moment = utc_moment(told.events[0].member("timestamp"))
    if moment is None:
        raise Inconclusive("timestamp is no date and time in UTC (HOOK-09)")
    if told.on_arrival is None:
        raise Inconclusive("the generation had to be polled before its event came")
    observed = told.observed
    asked = date_s(observed.started) or observed.asked_at
    arrived = date_s(told.on_arrival) or told.events[0].at
    early_s, late_s = asked - (observed.answered_at - observed.asked_at) - moment.timestamp(), moment.timestamp()
    if early_s > SKEW_S:
        raise _not(f"timestamp is {early_s:.0f} s before the request", told)
    if (late_s := late_s - arrived) > SKEW_S:
        raise _not(f"timestamp is {late_s:.0f} s after the delivery", told)


@requirement("HOOK-11")
def test_no_event_comes_before_the_end(hooks: Hooks, current: Run) -> None:
    """Receive a callback when async generation completes."""
    watched = [hooks.delivered()]
    if current.control is not None:
        watched.append(hooks.failed().told)
    polled = [told for told in watched if told.on_arrival is not None and told.on_arrival.accepted]
    for told in polled:
        assert told.on_arrival is not None, "it was chosen for that"
        status = told.on_arrival.member("status")
        if status not in ENDS:
            raise _not(f"polled when its event had come, the generation is {brief(status)}", told)
    if not polled:
        raise Inconclusive("no generation could be polled when its event came")


@requirement("HOOK-32")
def test_a_failure_has_been_refunded_when_it_is_told(hooks: Hooks) -> None:
    """generation.failed: the corresponding cost has been refunded automatically."""
    refunded = hooks.failed()
    _event_of_failure(hooks)
    before, after = refunded.before_usd, refunded.on_arrival_usd
    if before is None or after is None:
        raise Inconclusive("there are no two balances to compare")
    if after < before:
        raise _not(f"the balance is {before - after} USD less than before the request", refunded.told)


# The retries


def _must_be_retried(told: Told) -> None:
    if len(told.events) > 1:
        return
    first = told.mailbox.arrivals[0]
    if told.mailbox.elsewhere is not None and told.mailbox.elsewhere.arrivals:
        raise _not("a redirect was followed, and the event not sent again", told, Level.SHOULD)
    raise _not(f"answered otherwise than with a 2xx, the {first.method} came once and never again", told)


@requirement("HOOK-19")
@fields(LADDER, "503", "400", "401", "404", "410", "302")
def test_what_is_not_accepted_is_sent_again(hooks: Hooks, field: str) -> None:
    """If your endpoint returns a non-2xx status code, we'll retry delivery."""
    _must_be_retried(hooks.climbed(field))


@requirement("HOOK-29")
@fields("no answer", "nobody there")
def test_what_reaches_nobody_is_sent_again(hooks: Hooks, field: str) -> None:
    """Only status codes are named; a connection that is refused, or ends without an answer, is no 2xx either."""
    told = hooks.climb().get(field, Inconclusive("asked of a mock alone"))
    if isinstance(told, Exception):
        raise told
    if field == "nobody there":
        # Where another receiver was reached, this one would have been.
        hooks.climbed(LADDER)
        if not told.events:
            raise _not("the receiver was not there at first, and was never tried again", told)
    else:
        _must_be_retried(hooks.climbed(field))


@requirement("HOOK-18")
@fields("200", "201", "202", "204", "299")
def test_what_is_accepted_is_not_sent_again(hooks: Hooks, field: str) -> None:
    """A non-2xx status code is what brings a retry about."""
    hooks.climb()
    told = hooks.delivered() if field == "200" else hooks.climbed(field)
    if len(told.events) > 1:
        raise _not(f"answered {field}, the event came {len(told.events)} times", told)


@requirement("HOOK-28")
@fields("503", "404", "accepted at last")
def test_a_retry_that_is_accepted_is_the_last(hooks: Hooks, field: str) -> None:
    """A non-2xx status code is what brings a retry about."""
    told = hooks.climbed(field)
    refusals = 2 if field == "accepted at last" else 1
    if len(told.events) <= refusals:
        raise Inconclusive("no retry came that could be accepted (HOOK-19)")
    if len(told.events) > refusals + 1:
        raise _not(f"the {_ordinal(refusals)} retry was accepted, and {_ordinal(refusals + 1)} came", told)


def _ordinal(retry: int) -> str:
    return ("no", "first", "second", "third", "fourth", "fifth")[retry]


def _must_keep_time(hooks: Hooks, retry: int) -> None:
    told = hooks.climbed(LADDER)
    wait_s = hooks.retry_after_s[retry - 1]
    if len(told.events) < retry:
        raise Inconclusive(f"no {_ordinal(retry - 1)} retry came")
    if len(told.events) == retry:
        raise _not(f"no {_ordinal(retry)} retry came", told)
    low_s, high_s = told.interval_s(retry)
    early_s, late_s = (CLOCK_EARLY_S, CLOCK_LATE_S) if hooks.by_clock else (EARLY_S, LATE_S)
    expected = f"the {_ordinal(retry)} retry came after {{}}, expected after {wait_s:.0f} s"
    if high_s < wait_s - early_s:
        raise _not(expected.format(f"{high_s:.1f} s or sooner"), told)
    if low_s > wait_s + late_s:
        raise _not(expected.format(f"{low_s:.1f} s or later"), told)


@requirement("HOOK-20")
def test_the_first_retry_comes_at_its_time(hooks: Hooks) -> None:
    """First retry: 30 seconds after initial attempt."""
    if len(hooks.climbed(LADDER).events) == 1:
        raise Inconclusive("no retry came (HOOK-19)")
    _must_keep_time(hooks, 1)


@requirement("HOOK-21")
def test_the_second_retry_comes_at_its_time(hooks: Hooks) -> None:
    """Second retry: 2 minutes after first retry."""
    _must_keep_time(hooks, 2)


@requirement("HOOK-22")
def test_the_third_retry_comes_at_its_time(hooks: Hooks) -> None:
    """Third retry: 10 minutes after second retry."""
    _must_keep_time(hooks, 3)


@requirement("HOOK-23")
def test_the_last_retry_comes_at_its_time(hooks: Hooks) -> None:
    """Final retry: 1 hour after third retry. Elsewhere it is said that four attempts are all."""
    _must_keep_time(hooks, 4)


@requirement("HOOK-24")
def test_nothing_comes_after_the_last_retry(hooks: Hooks) -> None:
    """After 4 failed attempts the webhook is marked as failed."""
    told = hooks.climbed(LADDER)
    most = len(hooks.retry_after_s) + 1
    if len(told.events) > most:
        raise _not(f"the event came {len(told.events)} times, expected {most} at most", told)


@requirement("HOOK-25")
def test_a_retry_tells_the_same(hooks: Hooks) -> None:
    """We'll retry delivery: of that event."""
    for told in hooks.ladder():
        first, *retries = told.events
        for retry in retries:
            for name in ("event", "generation_id"):
                if retry.member(name) != first.member(name):
                    reason = f"{name} of a retry is {worded(retry, name)}, at first it was {worded(first, name)}"
                    raise _not(reason, told)


@requirement("HOOK-26")
def test_a_retry_has_the_same_body(hooks: Hooks) -> None:
    """We'll retry delivery. Whether the timestamp is renewed is not said."""
    for told in hooks.ladder():
        first, *retries = told.events
        if any(retry.body != _whole(first).body for retry in retries):
            raise _not("the body of a retry is another than that of the first attempt", told)


# The signature


@pytest.fixture
def target(current: Run) -> Target:
    return current.implementation.target


@pytest.fixture
def header(current: Run) -> str:
    """The name of the header that has the signature, in lower case."""
    return current.spec.service.webhook.header.lower()


def _signature(event: Arrival, header: str) -> str:
    """In lower case. Raises Inconclusive where it has not its form."""
    signature = event.headers.get(header, "")
    if not re.fullmatch(r"[0-9a-fA-F]{64}", signature):
        raise Inconclusive(f"there is no signature of {SIGNATURE_CHARS} hexadecimal digits (HOOK-12, HOOK-13)")
    return signature.lower()


def _signs(signature: str, body: bytes | None, secret: str) -> bool:
    return body is not None and hmac.compare_digest(sign(body, secret), signature)


def _secret(target: Target) -> str:
    assert target.webhook_secret is not None, "the requirement needs it"
    return target.webhook_secret


def _verifies(event: Arrival, header: str, secret: str) -> bool:
    """By either of the two readings of what is signed."""
    signature = _signature(_whole(event), header)
    return _signs(signature, event.body, secret) or _signs(signature, rewritten(event.body), secret)


@requirement("HOOK-15")
def test_the_signature_is_that_of_the_body(hooks: Hooks, target: Target, header: str) -> None:
    """An HMAC-SHA256 signature. Verify it against your webhook secret."""
    told = hooks.delivered()
    if not _verifies(told.events[0], header, _secret(target)):
        raise _not(
            "the signature is not the HMAC-SHA256 of the body with the secret of PROSPOLABS_WEBHOOK_SECRET", told
        )


@requirement("HOOK-16")
def test_the_signature_is_that_of_the_bytes(hooks: Hooks, target: Target, header: str) -> None:
    """The function of the sample takes the payload; its caller passes JSON.stringify of the parsed body."""
    told = hooks.delivered()
    event = _whole(told.events[0])
    if _signs(_signature(event, header), event.body, _secret(target)):
        return
    if not _verifies(event, header, _secret(target)):
        raise Inconclusive("the signature is not that of the body at all (HOOK-15)")
    raise _not("what is signed is the body as JSON.stringify writes it, which is not what was sent", told)


@requirement("HOOK-17")
def test_the_signature_does_not_verify_with_another_secret(hooks: Hooks, target: Target, header: str) -> None:
    """Verify it against your webhook secret: what anybody else may know opens nothing."""
    told = hooks.delivered()
    event = _whole(told.events[0])
    known = {
        "an empty secret": "",
        "the secret but for its last character": _secret(target)[:-1],
        "the secret in the other case": _secret(target).swapcase(),
        "the API key": target.api_key,
        "the generation_id": told.observed.id,
        "the webhook_url": told.mailbox.url,
        "the word secret": "secret",
    }
    for what, other in known.items():
        if other != _secret(target) and _verifies(event, header, other):
            raise _not(f"the signature verifies with {what}", told)


@requirement("HOOK-27")
def test_a_retry_is_signed_too(hooks: Hooks, target: Target, header: str) -> None:
    """Every webhook includes an X-Prospo-Signature header."""
    for told in hooks.ladder():
        first, *retries = told.events
        if not _verifies(first, header, _secret(target)):
            raise Inconclusive("the signature of the first attempt does not verify (HOOK-15)")
        for retry in retries:
            signature = retry.headers.get(header, "").lower()
            bodies = (_whole(retry).body, rewritten(retry.body))
            if not signature.isascii() or not any(_signs(signature, body, _secret(target)) for body in bodies):
                raise _not("the signature of a retry does not verify, that of the first attempt does", told)


# What holds for every event that has come, so these are the last


@requirement("HOOK-04")
def test_every_event_is_one_of_two(hooks: Hooks) -> None:
    """The event types are generation.completed and generation.failed."""
    for told, event in hooks.heard():
        if isinstance(event.member("event"), str) and event.member("event") not in EVENTS:
            raise _not(f"event is {worded(event, 'event')}", told)
    if not isinstance(hooks.delivered().events[0].member("event"), str):
        raise Inconclusive("the event has no name (HOOK-05)")


@requirement("HOOK-12")
def test_every_event_is_signed(hooks: Hooks, header: str) -> None:
    """Every webhook includes an X-Prospo-Signature header."""
    for told, event in hooks.heard():
        if not event.headers.get(header):
            raise _not(f"{'a retry' if event != told.events[0] else 'the event'} came without {header}", told)


@requirement("HOOK-13")
def test_a_signature_is_a_hexadecimal_digest(hooks: Hooks, header: str) -> None:
    """.digest('hex') of an HMAC-SHA256."""
    for told, event in _signed(hooks, header):
        signature = event.headers[header]
        if not re.fullmatch(r"[0-9a-fA-F]{64}", signature):
            shown = f"{len(signature)} characters" if len(signature) != SIGNATURE_CHARS else "no hexadecimal number"
            raise _not(f"the signature is {shown}, expected {SIGNATURE_CHARS} hexadecimal digits", told)


@requirement("HOOK-14")
def test_a_signature_is_lower_case(hooks: Hooks, header: str) -> None:
    """.digest('hex') writes lower case."""
    for told, event in _signed(hooks, header):
        signature = _signature(event, header)
        if event.headers[header] != signature:
            raise _not("the signature has upper-case digits", told)


def _signed(hooks: Hooks, header: str) -> list[tuple[Told, Arrival]]:
    found = [(told, event) for told, event in hooks.heard() if event.headers.get(header)]
    if not found:
        raise Inconclusive("nothing was signed (HOOK-12)")
    return found


@requirement("HOOK-34")
def test_an_event_comes_as_json(hooks: Hooks) -> None:
    """The payload is JSON; its content type is not named."""
    for told, event in hooks.heard():
        found = event.headers.get("content-type", "")
        if found.partition(";")[0].strip().lower() != MEDIA_TYPE:
            raise _not(f"the content type is {found[:80] or 'absent'}, expected {MEDIA_TYPE}", told)
