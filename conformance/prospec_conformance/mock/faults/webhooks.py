"""Faults of webhooks: the event, its signature, and when it is sent again. Here live no others."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime
from typing import Any

from ..changes import Answer, Change, Message, combined, in_events, in_messages, is_error, without
from ..terms import Terms
from ..webhooks import sign
from .fault import Fault, fault

COMPLETED, FAILED = "generation.completed", "generation.failed"
ELSEWHERE = "https://cdn.example/results/other.mp4"
LAG_S = 5.0
"""How long an answer lags behind an event, where it does."""

Edit = Callable[[dict[str, Any]], Any]


def _is_completed(message: Message) -> bool:
    return message.event.get("event") == COMPLETED


def _is_failed(message: Message) -> bool:
    return message.event.get("event") == FAILED


def _is_retry(message: Message) -> bool:
    return message.attempt > 1


def _with(**members: object) -> Edit:
    return lambda event: event | members


def _lacking(name: str) -> Edit:
    return lambda event: without(event, name)


def _data(edit: Edit) -> Edit:
    return lambda event: event | {"data": edit(event["data"])}


def _timestamp(edit: Callable[[datetime], object]) -> Edit:
    return lambda event: event | {"timestamp": edit(datetime.fromisoformat(event["timestamp"]))}


def _as_text(name: str) -> Edit:
    return lambda data: data | {name: str(data[name])}


def _ahead(by: timedelta) -> Edit:
    return _timestamp(lambda moment: _iso(moment + by))


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _spelt(spell: Callable[[bytes], str | None], when: Callable[[Message], bool] = lambda _message: True) -> Change:
    return in_messages(lambda message: replace(message, spelt=spell), when)


def _signs(what: Callable[[Message], bytes], when: Callable[[Message], bool] = lambda _message: True) -> Change:
    return in_messages(lambda message: replace(message, signed=what(message)), when)


def _secret(edit: Callable[[str], str], when: Callable[[Message], bool] = lambda _message: True) -> Change:
    return in_messages(lambda message: replace(message, secret=edit(message.secret)), when)


def _headers(edit: Callable[[Mapping[str, str]], Mapping[str, str]]) -> Change:
    return in_messages(lambda message: replace(message, headers=edit(message.headers)))


def _of_type(content_type: str) -> Callable[[Mapping[str, str]], Mapping[str, str]]:
    return lambda headers: {**headers, "Content-Type": content_type}


def _renamed(message: Message) -> Message:
    """The signature under another header than the documented one."""
    headers = {**message.headers, "X-Signature": sign(message.body, message.secret)}
    return replace(message, headers=headers, spelt=lambda _signature: None)


def _renewed(message: Message) -> Message | None:
    """With the time of the attempt."""
    timestamp = _iso(datetime.fromtimestamp(message.at, UTC))
    return in_events(_with(timestamp=timestamp)).message(message)


def _never_retried(*statuses: int | None) -> Change:
    return Change(ends_delivery=lambda _attempt, status, ends: ends or status in statuses)


def _sent_once_more(status: int) -> Change:
    """An answer of that status does not end the delivery where it is the first."""
    return Change(ends_delivery=lambda attempt, found, ends: ends and not (found == status and attempt == 1))


def _ladder(edit: Callable[[tuple[float, ...]], tuple[float, ...]]) -> Change:
    def changed(terms: Terms) -> Terms:
        return replace(terms, retry_after_s=edit(terms.retry_after_s))

    return Change(terms=changed)


def _rung(retry: int, wait_s: float) -> Change:
    """Another wait before one retry."""
    return _ladder(lambda waits: (*waits[: retry - 1], wait_s, *waits[retry:]))


def _cut_off(kept: int) -> Change:
    """So many retries and no more."""
    return _ladder(lambda waits: waits[:kept])


def _one_more(wait_s: float) -> Change:
    return _ladder(lambda waits: (*waits, wait_s))


def _polled(answer: Answer) -> set[str]:
    """The ids of the generations that were polled; this one from now on."""
    polled: set[str] = answer.memory.setdefault("polled", set())
    if answer.endpoint == "getGeneration" and not is_error(answer) and isinstance(answer.body, dict):
        polled.add(str(answer.body.get("generation_id")))
    return polled


def _only_when_polled() -> Change:
    def answer(found: Answer) -> Answer:
        _polled(found)
        return found

    def message(found: Message) -> Message | None:
        return found if found.event["generation_id"] in found.memory.get("polled", ()) else None

    return Change(answer=answer, message=message)


def _noted(message: Message) -> Message:
    """Notes when which generation was told of."""
    message.memory.setdefault("told", {})[message.event["generation_id"]] = message.at
    return message


def _lags(answer: Answer) -> Answer:
    """Shows a generation as it was, for a while after its event."""
    body = answer.body
    if answer.endpoint != "getGeneration" or is_error(answer) or not isinstance(body, dict):
        return answer
    told_at = answer.memory.get("told", {}).get(body["generation_id"])
    if told_at is None or answer.at > told_at + LAG_S:
        return answer
    return replace(answer, body=without(body, "output_url", "cost_usd", "duration_ms") | {"status": "processing"})


def _refund_lags(answer: Answer) -> Answer:
    told_at = max(answer.memory.get("told", {}).values(), default=None)
    if answer.endpoint != "getBalance" or not isinstance(answer.body, dict) or told_at is None:
        return answer
    lags = answer.at <= told_at + LAG_S
    return replace(answer, body=answer.body | {"balance_usd": answer.body["balance_usd"] - 1}) if lags else answer


def _second_to_the_first(message: Message) -> Message:
    urls: list[str] = message.memory.setdefault("receivers", [])
    urls.append(message.url)
    return replace(message, url=urls[0]) if len(urls) == 2 else message


def _to_the_first_receiver(message: Message) -> Message:
    return replace(message, url=message.memory.setdefault("receiver", message.url))


def faults() -> Iterator[Fault]:
    yield from _of_sending()
    yield from _of_the_event()
    yield from _of_the_signature()
    yield from _of_retries()


def _of_sending() -> Iterator[Fault]:
    yield fault("HOOK-01-never-sent", "No event is ever sent.", in_messages(lambda _message: None))
    yield fault("HOOK-01-get", "Events are sent with GET.", in_messages(lambda message: replace(message, method="GET")))
    yield fault("HOOK-01-put", "Events are sent with PUT.", in_messages(lambda message: replace(message, method="PUT")))
    yield fault(
        "HOOK-01-a-day-late",
        "The event is sent a day after the end.",
        Change(terms=lambda terms: replace(terms, event_delay_s=86400)),
    )
    yield fault(
        "HOOK-03-never-sent",
        "No event is sent of a generation that has failed.",
        in_messages(lambda _message: None, _is_failed),
    )
    yield fault(
        "HOOK-11-polling-lags",
        "When the event comes, polling shows the generation as processing for some seconds more.",
        Change(message=_noted, answer=_lags),
    )
    yield fault(
        "HOOK-32-refund-lags",
        "When generation.failed comes, the refund takes some seconds more to show.",
        combined([in_messages(_noted, _is_failed), Change(answer=_refund_lags)]),
    )
    yield fault("HOOK-35-only-when-polled", "No event is sent before the generation is polled.", _only_when_polled())
    yield fault(
        "HOOK-36-second-to-the-first",
        "The second event goes to the receiver of the first.",
        in_messages(_second_to_the_first),
        "HOOK-01",
    )
    yield fault(
        "HOOK-36-first-receiver",
        "Every event goes to the first receiver that was named.",
        in_messages(_to_the_first_receiver),
        "HOOK-01",
        "HOOK-03",
    )


def _of_the_event() -> Iterator[Fault]:
    for slug, name in {"no-prefix": "completed", "other-word": "generation.succeeded", "failed": FAILED}.items():
        yield fault(
            f"HOOK-02-{slug}",
            f"The event of a completed generation is {name}.",
            in_events(_with(event=name), _is_completed),
            *(() if name == FAILED else ("HOOK-04",)),
        )
    for slug, name in {"error": "generation.error", "completed": COMPLETED}.items():
        yield fault(
            f"HOOK-03-{slug}",
            f"The event of a failed generation is {name}.",
            in_events(_with(event=name), _is_failed),
            *(() if name == COMPLETED else ("HOOK-04",)),
        )
    yield fault(
        "HOOK-04-upper-case",
        "The names of events are in upper case.",
        in_events(lambda event: event | {"event": event["event"].upper()}),
        "HOOK-02",
        "HOOK-03",
    )
    yield fault(
        "HOOK-04-last-attempt",
        "The last attempt tells of generation.undelivered.",
        in_events(_with(event="generation.undelivered"), lambda message: message.attempt == 5),
        "HOOK-25",
        "HOOK-26",
    )
    for name, also in {
        "event": ("HOOK-02",),
        "generation_id": (),
        "data": (),
        "timestamp": (),
    }.items():
        yield fault(
            f"HOOK-05-no-{name.replace('_', '-')}",
            f"The event of a completed generation has no {name}.",
            in_events(_lacking(name), _is_completed),
            *also,
        )
    yield fault(
        "HOOK-05-list",
        "The event of a completed generation is in a list.",
        in_events(lambda event: [event], _is_completed),
        "HOOK-02",
    )
    yield fault(
        "HOOK-05-data-as-text",
        "data is JSON in a string.",
        in_events(_data(json.dumps), _is_completed),
    )
    yield fault(
        "HOOK-05-timestamp-as-number",
        "timestamp is a number of milliseconds.",
        in_events(_timestamp(lambda moment: round(1000 * moment.timestamp())), _is_completed),
    )
    for name in ("model", "mode", "output_url", "cost_usd", "duration_ms"):
        yield fault(
            f"HOOK-06-no-{name.replace('_', '-')}",
            f"data has no {name}.",
            in_events(_data(_lacking(name)), _is_completed),
        )
    for name in ("cost_usd", "duration_ms"):
        yield fault(
            f"HOOK-06-{name.replace('_', '-')}-as-text",
            f"{name} of an event is a string.",
            in_events(_data(_as_text(name)), _is_completed),
            "HOOK-07",
        )
    for name, value in {"output_url": "results/a.mp4", "cost_usd": None, "model": 1}.items():
        yield fault(
            f"HOOK-06-{name.replace('_', '-')}-{'null' if value is None else 'other-type'}",
            f"{name} of an event is {json.dumps(value)}.",
            in_events(_data(_with(**{name: value})), _is_completed),
            "HOOK-08" if name == "output_url" else "HOOK-07",
        )
    for slug, what, edit in (
        ("id", "generation_id is another", _with(generation_id="gen_ffffffffffff")),
        ("id-prefix", "generation_id lacks its prefix", lambda e: e | {"generation_id": e["generation_id"][4:]}),
        ("model", "model is its title", _data(_with(model="Veo 3.1 Lite"))),
        ("mode", "mode is in upper case", _data(lambda data: data | {"mode": data["mode"].upper()})),
        ("cost-0", "cost_usd is 0", _data(_with(cost_usd=0))),
        ("cost-in-cents", "cost_usd is in cents", _data(lambda data: data | {"cost_usd": 100 * data["cost_usd"]})),
        ("duration-in-s", "duration_ms is in seconds", _data(lambda d: d | {"duration_ms": d["duration_ms"] / 1000})),
        ("duration-null", "duration_ms is null", _data(_with(duration_ms=None))),
    ):
        yield fault(f"HOOK-07-{slug}", f"In an event, {what}.", in_events(edit, _is_completed))
    yield fault(
        "HOOK-08-other-url",
        "output_url of an event is another.",
        in_events(_data(_with(output_url=ELSEWHERE)), _is_completed),
    )
    yield fault(
        "HOOK-08-other-token",
        "output_url of an event has a token of its own.",
        in_events(_data(lambda data: data | {"output_url": f"{data['output_url']}2"}), _is_completed),
    )
    for slug, what, write in (
        ("local", "has an offset of two hours", lambda m: m.astimezone(timezone(timedelta(hours=2))).isoformat()),
        ("no-offset", "has no offset", lambda m: m.replace(tzinfo=None).isoformat()),
        ("date", "is a date", lambda m: m.date().isoformat()),
        ("http-date", "is written as in HTTP", lambda m: format_datetime(m, usegmt=True)),
        ("digits", "is a number in a string", lambda m: str(int(m.timestamp()))),
        ("slashes", "is written with slashes", lambda m: m.strftime("%m/%d/%YT%H:%M:%SZ")),
    ):
        yield fault(f"HOOK-09-{slug}", f"timestamp {what}.", in_events(_timestamp(write)))
    for slug, what, ahead in (
        ("ahead", "two hours ahead", timedelta(hours=2)),
        ("behind", "a day behind", timedelta(days=-1)),
        ("next-year", "of another year", timedelta(days=366)),
    ):
        yield fault(f"HOOK-10-{slug}", f"timestamp is {what}.", in_events(_ahead(ahead)))
    for name, also in {"event": ("HOOK-03",), "generation_id": (), "timestamp": ()}.items():
        yield fault(
            f"HOOK-33-no-{name.replace('_', '-')}",
            f"The event of a failed generation has no {name}.",
            in_events(_lacking(name), _is_failed),
            *also,
        )
    yield fault(
        "HOOK-33-empty",
        "The event of a failed generation has no body.",
        in_messages(lambda message: replace(message, body=b""), _is_failed),
        "HOOK-03",
    )
    for slug, found in {
        "text": "text/plain; charset=utf-8",
        "form": "application/x-www-form-urlencoded",
        "suffix": "application/webhook+json",
    }.items():
        yield fault(
            f"HOOK-34-{slug}",
            f"Events come as {found.partition(';')[0]}.",
            _headers(_of_type(found)),
        )
    yield fault(
        "HOOK-34-none",
        "Events come without a content type.",
        _headers(lambda headers: without(headers, "Content-Type")),
    )


def _of_the_signature() -> Iterator[Fault]:
    yield fault("HOOK-12-unsigned", "Events have no signature.", _spelt(lambda _signature: None))
    yield fault("HOOK-12-empty", "The signature is empty.", _spelt(lambda _signature: ""))
    yield fault("HOOK-12-other-header", "The signature is in X-Signature.", in_messages(_renamed))
    yield fault(
        "HOOK-12-failure-unsigned", "Events of failures have no signature.", _spelt(lambda _signature: None, _is_failed)
    )
    for slug, what, spell in (
        ("base64", "in base64", lambda s: base64.b64encode(s).decode()),
        ("prefix", "begun with sha256=", lambda s: f"sha256={s.hex()}"),
        ("truncated", "cut to 32 digits", lambda s: s.hex()[:32]),
        ("list", "one of several, with its version", lambda s: f"v1={s.hex()},v0={'0' * 64}"),
        ("quoted", "in quotation marks", lambda s: f'"{s.hex()}"'),
    ):
        yield fault(f"HOOK-13-{slug}", f"The signature is {what}.", _spelt(spell))
    yield fault(
        "HOOK-13-failure-base64",
        "The signature of a failure is in base64.",
        _spelt(lambda signature: base64.b64encode(signature).decode(), _is_failed),
    )
    yield fault("HOOK-14-upper-case", "The signature is in upper case.", _spelt(lambda s: s.hex().upper()))
    for slug, what, change in (
        ("other-secret", "is made with a secret that nobody knows", _secret(lambda _secret: "nobody-knows")),
        ("newline", "is that of the body and a line end", _signs(lambda message: message.body + b"\n")),
        ("spaced", "is that of the event written with spaces", _signs(lambda m: json.dumps(m.event).encode())),
        (
            "sorted",
            "is that of the event with its keys sorted",
            _signs(lambda m: json.dumps(m.event, sort_keys=True, separators=(",", ":")).encode()),
        ),
        ("data", "is that of data alone", _signs(lambda m: json.dumps(m.event.get("data")).encode())),
        ("id", "is that of generation_id", _signs(lambda m: str(m.event["generation_id"]).encode())),
        ("reversed", "is written backwards", _spelt(lambda signature: signature[::-1].hex())),
    ):
        yield fault(f"HOOK-15-{slug}", f"The signature {what}.", change)
    yield fault(
        "HOOK-16-stringified",
        "The body is sent with spaces, and signed without.",
        in_messages(
            lambda message: replace(message, body=json.dumps(message.event, indent=1).encode(), signed=message.body)
        ),
    )
    for slug, what, edit in (
        ("empty", "an empty secret", lambda _secret: ""),
        ("shortened", "the secret but for its last character", lambda secret: secret[:-1]),
        ("placeholder", "the word secret", lambda _secret: "secret"),
    ):
        yield fault(f"HOOK-17-{slug}", f"Events are signed with {what}.", _secret(edit), "HOOK-15")
    yield fault("HOOK-27-unsigned", "A retry has no signature.", _spelt(lambda _signature: None, _is_retry), "HOOK-12")
    yield fault("HOOK-27-other-secret", "A retry is signed with another secret.", _secret(str.swapcase, _is_retry))
    yield fault(
        "HOOK-27-first-signature",
        "A retry has a new timestamp, and the signature of the first attempt.",
        combined(
            [
                _signs(lambda message: message.body, _is_retry),
                in_events(_ahead(timedelta(seconds=30)), _is_retry),
            ]
        ),
        "HOOK-26",
    )


def _of_retries() -> Iterator[Fault]:
    for status in (200, 204, 299):
        yield fault(
            f"HOOK-18-{status}",
            f"What was answered {status} is sent once more.",
            _sent_once_more(status),
        )
    for slug, what, statuses in (
        ("500", "500", (500,)),
        ("503", "503", (503,)),
        ("404", "404", (404,)),
        ("410", "410", (410,)),
        ("302", "a redirect", (302,)),
        ("4xx", "any 4xx", tuple(range(400, 500))),
    ):
        yield fault(f"HOOK-19-{slug}", f"What is answered with {what} is not sent again.", _never_retried(*statuses))
    yield fault("HOOK-19-never", "Nothing is sent again.", _ladder(lambda _waits: ()), "HOOK-29")
    yield fault("HOOK-29-no-answer", "What gets no answer is not sent again.", _never_retried(None))
    for id, wait_s in (
        ("HOOK-20", 0.0),
        ("HOOK-20", 3.0),
        ("HOOK-20", 29.0),
        ("HOOK-20", 33.0),
        ("HOOK-20", 60.0),
        ("HOOK-21", 30.0),
        ("HOOK-21", 115.0),
        ("HOOK-21", 130.0),
        ("HOOK-22", 120.0),
        ("HOOK-22", 590.0),
        ("HOOK-22", 610.0),
        ("HOOK-23", 600.0),
        ("HOOK-23", 3590.0),
        ("HOOK-23", 7200.0),
    ):
        retry = int(id[-2:]) - 19
        which = ("first", "second", "third", "fourth")[retry - 1]
        yield fault(f"{id}-{wait_s:.0f}", f"The {which} retry comes after {wait_s:.0f} s.", _rung(retry, wait_s))
    for id, kept, what in (
        ("HOOK-21", 1, "the first retry"),
        ("HOOK-22", 2, "the second retry"),
        ("HOOK-23", 3, "the third retry"),
    ):
        yield fault(f"{id}-none", f"Nothing comes after {what}.", _cut_off(kept))
    for slug, wait_s in (("1", 1.0), ("3600", 3600.0), ("21600", 21600.0)):
        yield fault(
            f"HOOK-24-{slug}",
            f"A fifth retry comes {slug} s after the fourth.",
            _one_more(wait_s),
        )
    yield fault(
        "HOOK-25-event",
        "A retry tells of generation.failed.",
        in_events(_with(event=FAILED), _is_retry),
        "HOOK-26",
    )
    yield fault(
        "HOOK-25-id",
        "A retry has a generation_id of its own.",
        in_events(_with(generation_id="gen_eeeeeeeeeeee"), _is_retry),
        "HOOK-26",
    )
    yield fault(
        "HOOK-26-timestamp",
        "A retry has a timestamp of its own.",
        in_messages(_renewed, _is_retry),
    )
    yield fault(
        "HOOK-26-order",
        "The members of a retry are in another order.",
        in_events(lambda event: dict(sorted(event.items())), _is_retry),
    )
    yield fault(
        "HOOK-28-any",
        "A retry that is accepted is followed by the others.",
        Change(ends_delivery=lambda attempt, _status, ends: ends and attempt == 1),
    )
    yield fault(
        "HOOK-28-second",
        "The second retry does not end the delivery.",
        Change(ends_delivery=lambda attempt, _status, ends: ends and attempt != 3),
    )
