"""Which reading an implementation took where the documentation allows several, and whether it keeps to it.

Nothing here is right or wrong: a client wants to know it, and an implementation wants to be the same everywhere.
Pure: exchanges in, readings out. Here live no I/O and no verdicts.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from prospec.ir import Spec

from .breaches import Breach, Breaches
from .implementation import Exchange

_ENVELOPE = frozenset({"model", "mode", "params", "webhook_url", "async"})
_OF_VALUES = frozenset({"type", "anyOf", "enum", "minimum", "maximum", "multipleOf", "minItems", "maxItems", "pattern"})


@dataclass(frozen=True, slots=True)
class Reading:
    """What was seen of one open question."""

    gap: str
    topic: str
    seen: Mapping[str, Mapping[str, int]]
    """By endpoint, an operationId of openapi.yaml: how many answers took which reading."""

    @property
    def is_consistent(self) -> bool:
        """Whether every answer of every endpoint took the same."""
        return len({value for values in self.seen.values() for value in values}) <= 1


@dataclass(frozen=True, slots=True)
class _Asked:
    """An exchange, and what is wrong with its request by the documented rows; nothing where it is no generate request.

    What is inferred an implementation may know better, so its answers to that are no reading.
    """

    exchange: Exchange
    endpoint: str
    breaches: frozenset[Breach]

    def all_are(self, fits: Callable[[str, str], bool]) -> bool:
        """Whether something is wrong with the request, and all of it is of one kind."""
        return bool(self.breaches) and all(fits(path, keyword) for path, keyword in self.breaches)


def readings(exchanges: Iterable[Exchange], spec: Spec) -> list[Reading]:
    """What was seen of each question; those of which nothing was seen are left out."""
    breaches = Breaches(spec)
    asked = [_asked(exchange, breaches) for exchange in exchanges]
    out = []
    for gap, topic, take in _QUESTIONS:
        seen: dict[str, Counter[str]] = {}
        for each in asked:
            value = take(each)
            if value is not None:
                seen.setdefault(each.endpoint, Counter())[value] += 1
        if seen:
            out.append(Reading(gap, topic, seen))
    return out


def endpoint(exchange: Exchange) -> str:
    """The operationId of a request; `other` for a path that is none of the documented."""
    path = exchange.path.partition("?")[0]
    match exchange.method:
        case "POST" if path == "/v1/generate":
            return "generate"
        case "GET" if path.startswith("/v1/generations/"):
            return "getGeneration"
        case "POST" if path == "/v1/uploads/initiate":
            return "initiateUpload"
        case "PUT" if path.startswith("/v1/uploads/proxy/"):
            return "putUpload"
        case "GET" if path == "/v1/balance":
            return "getBalance"
        case _:
            return "other"


def _asked(exchange: Exchange, breaches: Breaches) -> _Asked:
    name = endpoint(exchange)
    judged = name == "generate" and isinstance(exchange.sent, dict)
    return _Asked(exchange, name, breaches.of(exchange.sent, strict=False) if judged else frozenset())


def _error_body(asked: _Asked) -> str | None:
    if asked.exchange.status < 400 or asked.exchange.method == "HEAD":
        return None
    body = asked.exchange.json
    if not isinstance(body, dict):
        return "no JSON object"
    return _members(body) or "none of code, message, detail, error"


def _members(body: Mapping[Any, Any]) -> str:
    names = []
    for name in ("code", "message", "detail", "error"):
        if name in body:
            value = body[name]
            within = _members(value) if isinstance(value, dict) else ""
            kind = f" ({within})" if within else " (a list)" if isinstance(value, list) else ""
            names.append(f"{name}{kind}")
    return " and ".join(names)


def _asynchronous_status(asked: _Asked) -> str | None:
    sent = asked.exchange.sent
    wanted = "async=true" in asked.exchange.path or (isinstance(sent, dict) and sent.get("async") is True)
    is_one = asked.endpoint == "generate" and asked.exchange.accepted and wanted
    return str(asked.exchange.status) if is_one else None


def _refused_value(asked: _Asked) -> str | None:
    fits = asked.all_are(lambda path, keyword: keyword in _OF_VALUES and path.startswith("/params/"))
    return str(asked.exchange.status) if fits and asked.exchange.refused else None


def _fate(asked: _Asked, accepted: str) -> str | None:
    return accepted if asked.exchange.accepted else "refused" if asked.exchange.refused else None


def _unknown_param(asked: _Asked) -> str | None:
    fits = asked.all_are(lambda path, keyword: keyword == "additionalProperties" and path.startswith("/params/"))
    return _fate(asked, "ignored") if fits else None


def _unknown_member(asked: _Asked) -> str | None:
    sent = asked.exchange.sent
    if asked.endpoint != "generate" or not isinstance(sent, dict) or sent.keys() <= _ENVELOPE:
        return None
    unknown = {f"/{name}" for name in sent.keys() - _ENVELOPE}
    return None if any(path not in unknown for path, _ in asked.breaches) else _fate(asked, "ignored")


def _null_param(asked: _Asked) -> str | None:
    params = asked.exchange.sent.get("params") if isinstance(asked.exchange.sent, dict) else None
    if not isinstance(params, dict):
        return None

    def is_null(path: str, _keyword: str) -> bool:
        name = path.removeprefix("/params/")
        return name in params and params[name] is None

    return _fate(asked, "taken as left out") if asked.all_are(is_null) else None


def _before_the_end(name: str) -> Callable[[_Asked], str | None]:
    def take(asked: _Asked) -> str | None:
        body = asked.exchange.json
        if asked.endpoint not in ("generate", "getGeneration") or not asked.exchange.accepted:
            return None
        if not isinstance(body, dict) or body.get("status") not in ("queued", "processing"):
            return None
        return "there" if body.get(name) is not None else "null" if name in body else "absent"

    return take


def _reset(asked: _Asked) -> str | None:
    text = asked.exchange.headers.get("x-ratelimit-reset")
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return _date(text)
    return "seconds to wait" if value < 1e8 else "Unix time in seconds" if value < 1e11 else "Unix time in milliseconds"


def _date(text: str) -> str:
    try:
        parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return "another text"
    return "a date"


def _rate_headers(asked: _Asked) -> str | None:
    if asked.exchange.status == 401 or asked.endpoint == "other":
        return None
    return "carried" if "x-ratelimit-limit" in asked.exchange.headers else "not carried"


_QUESTIONS: tuple[tuple[str, str, Callable[[_Asked], str | None]], ...] = (
    ("GAP-03", "Error body", _error_body),
    ("GAP-26", "output_url before the end", _before_the_end("output_url")),
    ("GAP-26", "duration_ms before the end", _before_the_end("duration_ms")),
    ("GAP-31", "Status of a refused value", _refused_value),
    ("GAP-32", "Unknown params", _unknown_param),
    ("GAP-42", "Status of the asynchronous answer", _asynchronous_status),
    ("GAP-83", "Rate headers", _rate_headers),
    ("GAP-84", "X-RateLimit-Reset", _reset),
    ("GAP-86", "Unknown members of the body", _unknown_member),
    ("GAP-90", "null for a param", _null_param),
)
"""The gap, what is asked, and how an exchange answers it; None where it says nothing of it."""
