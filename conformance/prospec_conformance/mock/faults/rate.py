"""Faults of the rate limit: its headers, and who is turned away. Here live no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from ..changes import Answer, Change, combined, in_errors, is_error, without
from .auth import ENDPOINTS
from .fault import Fault, fault

LIMIT, REMAINING, RESET = NAMES = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset")
DOCUMENTED = 60
EARLY = 5
"""Which answer of getBalance is turned away."""


def _headers(edit: Callable[[Answer], Mapping[str, str]], when: Callable[[Answer], bool] = lambda _: True) -> Change:
    """Rewrites the headers of the answers that have those of the limit, and of which `when` holds."""

    def answer(found: Answer) -> Answer:
        meant = REMAINING in found.headers and when(found)
        return replace(found, headers={**found.headers, **edit(found)}) if meant else found

    return Change(answer=answer)


def _lacks(*names: str, when: Callable[[Answer], bool] = lambda _: True) -> Change:
    return Change(answer=lambda found: replace(found, headers=without(found.headers, *names)) if when(found) else found)


def _of(endpoint: str) -> Callable[[Answer], bool]:
    return lambda found: found.endpoint == endpoint


def _left(found: Answer) -> int:
    return int(found.headers[REMAINING])


def _limited(*changes: Change, window_s: float = 60.0, lets_in: int = DOCUMENTED) -> Change:
    """A limit that can be used up, whatever the mock was started with. Its headers tell of the documented one."""

    def told(found: Answer) -> Mapping[str, str]:
        return {LIMIT: str(DOCUMENTED), REMAINING: str(max(_left(found) - (lets_in - DOCUMENTED), 0))}

    limited = Change(terms=lambda terms: replace(terms, limit=lets_in, window_s=window_s))
    return combined((limited, _headers(told), *changes))


def _limit(limit: int) -> Change:
    return Change(terms=lambda terms: replace(terms, limit=limit))


def _turned_away_with(status: int) -> Change:
    return in_errors(lambda found: replace(found, status=status), status=429)


def _turned_away(found: Answer) -> bool:
    return found.status == 429


def _answers(found: Answer) -> int:
    """How many there were."""
    found.memory["answers"] = count = found.memory.get("answers", 0) + 1
    return int(count)


def _counted_for_all(found: Answer) -> Mapping[str, str]:
    limit = int(found.headers[LIMIT])
    return {REMAINING: str(limit - 1 - _answers(found) % limit)}


def _one_early(found: Answer) -> Answer:
    if found.endpoint != "getBalance" or is_error(found) or _answers(found) != EARLY:
        return found
    body = {"code": "rate_limit_exceeded", "message": "Too fast.", "detail": "Too fast."}
    return replace(found, status=429, body=body, headers={**found.headers, RESET: "0"})


def _ten_early(found: Answer) -> Mapping[str, str]:
    reset_s = int(found.headers[RESET])
    return {RESET: str(reset_s - 10 if reset_s > 10 else reset_s)}


def _told() -> Iterator[Fault]:
    """What the headers say."""
    for limit in (59, 30):
        yield fault(f"RATE-01-limit-{limit}", f"The limit is {limit}.", _limit(limit))
    for id, name in (("RATE-02", LIMIT), ("RATE-03", REMAINING), ("RATE-04", RESET)):
        # Without the others it is not seen when the limit is used up.
        also = ("RATE-12",) if name == RESET else ()
        yield fault(f"{id}-missing", f"No answer has {name}.", _lacks(name), "RATE-05", *also)
        for endpoint in ("generate", "getGeneration", "initiateUpload"):
            slug = ENDPOINTS[endpoint]
            yield fault(
                f"{id}-missing-{slug}", f"{endpoint} lacks {name}.", _lacks(name, when=_of(endpoint)), "RATE-05"
            )
    yield fault(
        "RATE-05-missing-400", "A 400 has none of the headers.", _lacks(*NAMES, when=lambda it: it.status == 400)
    )
    yield fault(
        "RATE-05-missing-404", "A 404 has none of the headers.", _lacks(*NAMES, when=lambda it: it.status == 404)
    )
    yield fault(
        "RATE-06-limit-with-window",
        "X-RateLimit-Limit says how long the window is, too.",
        _headers(lambda found: {LIMIT: f"{found.headers[LIMIT]};w=60"}),
    )
    yield fault(
        "RATE-06-remaining-negative",
        "X-RateLimit-Remaining is below 0.",
        _headers(lambda _found: {REMAINING: "-1"}),
    )
    yield fault(
        "RATE-06-remaining-fraction",
        "X-RateLimit-Remaining has a fraction.",
        _headers(lambda found: {REMAINING: f"{_left(found)}.5"}),
    )
    yield fault(
        "RATE-06-more-than-the-limit",
        "More requests remain than there are.",
        _headers(lambda found: {REMAINING: str(_left(found) + int(found.headers[LIMIT]))}),
        "RATE-10",
        "RATE-13",
    )
    yield fault(
        "RATE-07-stands",
        "X-RateLimit-Remaining stays as it is.",
        _headers(lambda found: {REMAINING: str(int(found.headers[LIMIT]) - 1)}),
        "RATE-08",
        "RATE-10",
        "RATE-13",
    )
    yield fault(
        "RATE-07-counts-up",
        "X-RateLimit-Remaining is what was used.",
        _headers(lambda found: {REMAINING: str(int(found.headers[LIMIT]) - _left(found))}),
        "RATE-08",
        "RATE-10",
        "RATE-13",
    )
    yield fault(
        "RATE-08-by-two",
        "A request counts twice.",
        _headers(lambda found: {REMAINING: str(max(2 * _left(found) - int(found.headers[LIMIT]), 0))}),
    )
    for slug, what, edit in (
        ("an-hour", "an hour away", lambda _found: {RESET: "3600"}),
        ("milliseconds", "in milliseconds", lambda found: {RESET: f"{found.headers[RESET]}000"}),
        ("an-hour-by-epoch", "an hour away, as a Unix time", lambda found: {RESET: str(int(found.at) + 3600)}),
        ("no-time", "no time at all", lambda _found: {RESET: "soon"}),
    ):
        yield fault(f"RATE-09-{slug}", f"X-RateLimit-Reset is {what}.", _headers(edit))
    yield fault(
        "RATE-16-counted-for-all",
        "What one account sends counts against all.",
        _headers(_counted_for_all),
        "RATE-13",
    )
    yield fault(
        "RATE-18-by-turns",
        "X-RateLimit-Limit is now one more, now not.",
        _headers(lambda found: {LIMIT: str(int(found.headers[LIMIT]) + _answers(found) % 2)}),
    )
    yield fault(
        "RATE-18-by-endpoint",
        "X-RateLimit-Limit is another for generate.",
        _headers(lambda found: {LIMIT: str(int(found.headers[LIMIT]) + 1)}, _of("generate")),
    )


def _kept() -> Iterator[Fault]:
    """Who is let in."""
    yield fault("RATE-10-one-early", "A request is turned away long before the limit.", Change(answer=_one_early))
    yield fault("RATE-11-no-limit", "The limit is told and not kept.", _limited(lets_in=1_000_000))
    yield fault("RATE-11-ten-more", "Ten more than the limit are let in.", _limited(lets_in=DOCUMENTED + 10))
    for status in (403, 503):
        yield fault(
            f"RATE-11-{status}",
            f"A request beyond the limit is answered {status}.",
            _limited(_turned_away_with(status)),
        )
    for name in NAMES:
        slug = name.removeprefix("X-RateLimit-").lower()
        yield fault(f"RATE-12-no-{slug}", f"A 429 has no {name}.", _limited(_lacks(name, when=_turned_away)), "RATE-05")
    yield fault(
        "RATE-13-one-remains",
        "A 429 says that a request remains.",
        _limited(_headers(lambda _found: {REMAINING: "1"}, _turned_away)),
    )
    yield fault("RATE-14-two-minutes", "The limit renews after two minutes.", _limited(window_s=120.0), "RATE-09")
    yield fault(
        "RATE-14-longer-than-told",
        "The limit renews after 75 s, whatever the header says.",
        _limited(_headers(lambda found: {RESET: str(min(int(found.headers[RESET]), 60))}), window_s=75.0),
        "RATE-15",
    )
    yield fault(
        "RATE-15-ten-seconds-early",
        "X-RateLimit-Reset is 10 s before the limit renews.",
        _limited(_headers(_ten_early)),
    )


def faults() -> Iterator[Fault]:
    yield from _told()
    yield from _kept()
