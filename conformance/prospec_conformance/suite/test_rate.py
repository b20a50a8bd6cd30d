"""RATE: what the headers say of the limit, and what becomes of requests beyond it.

Most is judged over every answer of the run. Using the limit up comes last of all: whoever asks next has to wait.
"""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from prospec.ir import Spec

from ..generations import Generations, date_s
from ..implementation import Exchange, Implementation, until_s
from ..mock.outcomes import HEADER as OUTCOME_HEADER
from ..outcome import Inconclusive, Violation
from ..pace import LIMIT, NAMES, REMAINING, RESET, WINDOW_S, Trip, used_up, whole
from ..plugin import Run, last, requirement
from ..readings import endpoint

BURST = 5
"""Requests, one straight after the other, in which the count has to fall."""
BURSTS = 3
"""How often that is tried: the limit may renew in the middle of one."""
SLACK_S = 5.0
"""For rounding, and for two clocks of one server."""
OF_A_GATEWAY = frozenset({401, 408, 413, 414, 431})
"""Refusals that come before anybody has looked at the key."""


def _mine(implementation: Implementation) -> list[Exchange]:
    """What the API said to the first account, without what a mock was told to answer."""
    key = implementation.bearer()["Authorization"]
    return [
        exchange
        for exchange in implementation.exchanges
        if exchange.sent_headers.get("Authorization") == key and OUTCOME_HEADER not in exchange.sent_headers
    ]


def _let_in(implementation: Implementation) -> list[Exchange]:
    found = [each for each in _mine(implementation) if each.accepted and endpoint(each) != "other"]
    if not found:
        raise Inconclusive("no request was let in")
    return found


def _must_have(exchanges: list[Exchange], *names: str) -> None:
    for name in names:
        lacking = [each for each in exchanges if name not in each.headers]
        if lacking:
            raise Violation(f"{len(lacking)} of {len(exchanges)} answers have no {name}", lacking[0])


@requirement("RATE-02")
@last
def test_the_limit_is_told(implementation: Implementation) -> None:
    """X-RateLimit-Limit."""
    _must_have(_let_in(implementation), LIMIT)


@requirement("RATE-03")
@last
def test_what_remains_is_told(implementation: Implementation) -> None:
    """X-RateLimit-Remaining."""
    _must_have(_let_in(implementation), REMAINING)


@requirement("RATE-04")
@last
def test_the_reset_is_told(implementation: Implementation) -> None:
    """X-RateLimit-Reset."""
    _must_have(_let_in(implementation), RESET)


@requirement("RATE-05")
@last
def test_a_refusal_has_the_headers_too(implementation: Implementation) -> None:
    """Rate limit usage is returned in the response headers."""
    known = [
        each
        for each in _mine(implementation)
        if each.status < 500 and each.status not in OF_A_GATEWAY and endpoint(each) != "other"
    ]
    if not known:
        raise Inconclusive("no answer to the key was seen")
    _must_have(known, *NAMES)


@requirement("RATE-06")
@last
def test_the_headers_are_whole_numbers(implementation: Implementation) -> None:
    """X-RateLimit-Limit and X-RateLimit-Remaining count requests."""
    seen = 0
    for exchange in _mine(implementation):
        limit, remaining = whole(exchange, LIMIT), whole(exchange, REMAINING)
        seen += LIMIT in exchange.headers or REMAINING in exchange.headers
        if LIMIT in exchange.headers and not limit:
            raise Violation(f"{LIMIT} is {_shown(exchange, LIMIT)}, expected a whole number above 0", exchange)
        if REMAINING in exchange.headers and remaining is None:
            raise Violation(f"{REMAINING} is {_shown(exchange, REMAINING)}, expected a whole number", exchange)
        if limit is not None and remaining is not None and remaining > limit:
            raise Violation(f"{remaining} requests remain of {limit}", exchange)
    if not seen:
        raise Inconclusive("no answer has the headers")


@requirement("RATE-18")
@last
def test_the_limit_is_the_same_in_every_answer(implementation: Implementation) -> None:
    """Every account has one limit."""
    seen: dict[str, Exchange] = {}
    for exchange in _mine(implementation):
        if LIMIT in exchange.headers:
            seen.setdefault(exchange.headers[LIMIT].strip(), exchange)
    if not seen:
        raise Inconclusive(f"no answer has {LIMIT}")
    if len(seen) > 1:
        first, other = list(seen.values())[:2]
        raise Violation(
            f"{LIMIT} is {_shown(first, LIMIT)}, and in another answer {_shown(other, LIMIT)}", first, other
        )


@requirement("RATE-01")
def test_the_limit_is_the_documented_one(implementation: Implementation, spec: Spec) -> None:
    """60 requests per minute."""
    exchange = implementation.balance()
    limit, documented = whole(exchange, LIMIT), spec.service.requests_per_minute
    if limit is None:
        raise Inconclusive(f"{LIMIT} does not say")
    if limit < documented:
        raise Violation(f"{LIMIT} is {limit}, expected {documented}", exchange)
    if limit > documented:
        raise Inconclusive(f"{LIMIT} is {limit}: the account may have an agreement of its own")


@pytest.fixture(scope="module")
def bursts(implementation: Implementation) -> list[list[Exchange]]:
    """Some requests one straight after the other, until their count has fallen by one each, or a few times."""
    made: list[list[Exchange]] = []
    while len(made) < BURSTS and not (made and all(fall == 1 for fall in _falls(made[-1]))):
        made.append([implementation.balance() for _ in range(BURST)])
    return made


def _falls(burst: list[Exchange]) -> list[int]:
    """By how much the count fell from answer to answer. Raises Inconclusive where the answers do not say."""
    counts = [whole(exchange, REMAINING) for exchange in burst if exchange.accepted]
    if len(counts) < BURST or None in counts:
        raise Inconclusive(f"{REMAINING} does not say")
    return [before - after for before, after in pairwise(counts) if before is not None and after is not None]


@requirement("RATE-07")
def test_what_remains_falls(bursts: list[list[Exchange]]) -> None:
    """X-RateLimit-Remaining: what is left of the limit."""
    # In a burst the limit may renew once, and then it rises once.
    if not any(sum(fall > 0 for fall in falls) > sum(fall < 0 for fall in falls) for falls in map(_falls, bursts)):
        shown = ", ".join(_shown(exchange, REMAINING) for exchange in bursts[-1])
        raise Violation(f"{REMAINING} was {shown} in {BURST} answers, one after the other", *bursts[-1][:2])


@requirement("RATE-08")
def test_what_remains_falls_by_one(bursts: list[list[Exchange]]) -> None:
    """60 requests per minute: each counts."""
    if not any(all(fall == 1 for fall in _falls(burst)) for burst in bursts):
        shown = ", ".join(_shown(exchange, REMAINING) for exchange in bursts[-1])
        raise Violation(f"{REMAINING} was {shown} in {BURST} answers, one after the other", *bursts[-1][:2])


@requirement("RATE-09")
@last
def test_the_reset_is_within_a_minute(implementation: Implementation) -> None:
    """60 requests per minute: the limit renews within one."""
    seen = 0
    for exchange in _mine(implementation):
        text = exchange.headers.get(RESET)
        if text is None:
            continue
        seconds = until_s(text, 0.0)
        if seconds is None:
            raise Violation(f"{RESET} is {_shown(exchange, RESET)}, which is neither a number nor a date", exchange)
        now = date_s(exchange)
        if seconds > WINDOW_S and now is not None:
            seconds = until_s(text, now)
        elif seconds > 1e8:
            continue
        seen += 1
        if seconds is None or not -WINDOW_S - SLACK_S <= seconds <= WINDOW_S + SLACK_S:
            raise Violation(f"{RESET} is {_shown(exchange, RESET)}, which is not within a minute", exchange)
    if not seen:
        raise Inconclusive(f"no answer has a {RESET} that can be compared with its Date")


@requirement("RATE-10")
@last
def test_no_request_is_turned_away_early(implementation: Implementation) -> None:
    """60 requests per minute.

    Two answers have to say that something is left: the one before may be that of a request which waited, and was
    counted long ago.
    """
    answers = _mine(implementation)
    for first, before, exchange in zip(answers, answers[1:], answers[2:], strict=False):
        left = [whole(each, REMAINING) for each in (first, before) if each.status != 429]
        if exchange.status == 429 and len(left) == 2 and all(left):
            raise Violation(f"answered 429 where {left[-1]} requests remained", before, exchange)
    if not any(REMAINING in each.headers for each in answers):
        raise Inconclusive(f"no answer has {REMAINING}")


@requirement("RATE-16")
def test_another_account_has_a_limit_of_its_own(implementation: Implementation) -> None:
    """Every account starts with the limit."""
    second = implementation.bearer(implementation.target.second_api_key)
    counts = []
    for _ in range(BURSTS):
        before = implementation.send("GET", "/v1/balance", headers=second)
        for _ in range(BURST):
            implementation.balance()
        after = implementation.send("GET", "/v1/balance", headers=second)
        first, then = whole(before, REMAINING), whole(after, REMAINING)
        if first is None or then is None:
            raise Inconclusive(f"{REMAINING} does not say")
        if 0 <= first - then < BURST:
            return
        if then < first:  # otherwise the limit has renewed meanwhile
            counts.append((first, then, before, after))
    if not counts:
        raise Inconclusive("the limit of the other account renewed each time that it was looked at")
    first, then, before, after = counts[-1]
    raise Violation(f"{first} requests remained, and {then} after {BURST} requests of another account", before, after)


@pytest.fixture(scope="module")
def trip(current: Run, implementation: Implementation, generations: Generations) -> Trip:
    """Raises Inconclusive where the limit is not known, is large, or renews as fast as it is used."""
    found = used_up(implementation)
    if found.refused is None:
        return found
    waited_s = 0.0
    now = current.control.now_s() if current.control else time.time()
    seconds = until_s(found.refused.headers.get(RESET, ""), date_s(found.refused) or now)
    if seconds is not None and seconds <= WINDOW_S + SLACK_S:
        waited_s = max(seconds, 0.0) + 1.0
        generations.pass_time(waited_s)
        found.at_reset = implementation.send_once("GET", "/v1/balance")
    generations.pass_time(max(WINDOW_S + 1.0 - waited_s, 0.0))
    found.a_minute_later = implementation.send_once("GET", "/v1/balance")
    return found


@requirement("RATE-11")
@last
def test_a_request_beyond_the_limit_is_turned_away(trip: Trip) -> None:
    """Rate limit exceeded: 429."""
    if trip.otherwise is not None:
        raise Violation(f"answered {trip.otherwise.status}, expected 429", trip.otherwise)
    if trip.refused is None:
        raise Violation(f"{len(trip.let_in)} requests in a row were let in, of {trip.limit} a minute", trip.let_in[-1])


def _refused(trip: Trip) -> Exchange:
    if trip.refused is None:
        raise Inconclusive("no request was answered 429")
    return trip.refused


@requirement("RATE-12")
@last
def test_the_429_has_the_headers(trip: Trip) -> None:
    """Rate limit exceeded: check the X-RateLimit headers."""
    _must_have([_refused(trip)], *NAMES)


@requirement("RATE-13")
@last
def test_nothing_remains_at_a_429(trip: Trip) -> None:
    """X-RateLimit-Remaining."""
    exchange = _refused(trip)
    if REMAINING in exchange.headers and whole(exchange, REMAINING) != 0:
        raise Violation(f"{REMAINING} is {_shown(exchange, REMAINING)}, expected 0", exchange)


@requirement("RATE-15")
@last
def test_a_request_is_let_in_after_the_reset(trip: Trip) -> None:
    """X-RateLimit-Reset."""
    refused = _refused(trip)
    if trip.at_reset is None:
        raise Inconclusive(f"{RESET} of the 429 names no moment within a minute")
    if trip.at_reset.status == 429:
        raise Violation(f"answered 429 after the {_shown(refused, RESET)} of {RESET}", refused, trip.at_reset)


@requirement("RATE-14")
@last
def test_a_request_is_let_in_after_a_minute(trip: Trip) -> None:
    """60 requests per minute."""
    refused, later = _refused(trip), trip.a_minute_later
    if later is not None and later.status == 429:
        raise Violation("answered 429 a minute after the limit was used up", refused, later)


def _shown(exchange: Exchange, name: str) -> str:
    return repr(exchange.headers.get(name, ""))[:40]
