"""ASYNC: both ways of asking, and the life of a generation from its request to the end of its output."""

from __future__ import annotations

from contextlib import suppress
from itertools import pairwise

import pytest

from ..generations import ENDS, Generations, Observed, Switch, date_s, output_url
from ..implementation import Exchange, Implementation
from ..lifecycle import Findings, Lifecycle, went_back
from ..members import utc_moment, worded
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, requirement
from ..probe import settle_inconclusive
from ..urls import path_below, split

IDENTITY = ("generation_id", "status", "model", "mode")
SKEW_S = 60.0
"""How far two clocks of one server may be apart, and how long a request may wait before it is noted."""


def _asked(generations: Generations, switch: Switch) -> Exchange:
    """The answer to an asynchronous request. Raises Inconclusive where no way of asking is accepted."""
    batch = generations.batch()
    answer = batch.of(switch).started
    settle_inconclusive(answer)
    if not answer.accepted and not any(other.started.accepted for other in batch.made.values()):
        raise Inconclusive(f"the request was answered {answer.status}, whichever way it asked")
    return answer


def _accepted(generations: Generations, switch: Switch) -> Exchange:
    """The same, where it was accepted and has not waited."""
    answer = _asked(generations, switch)
    if not answer.accepted or answer.member("status") in ENDS:
        raise Inconclusive(f"the request was answered {answer.status}, and not as an asynchronous one")
    return answer


def _must_not_have_waited(answer: Exchange, what: str) -> None:
    if not answer.accepted:
        raise Violation(f"{what} was answered {answer.status}", answer)
    if answer.member("status") in ENDS:
        raise Violation(f"{what} was answered with the status {worded(answer, 'status')}: it has waited", answer)


@requirement("ASYNC-01")
def test_async_in_the_body_does_not_wait(generations: Generations) -> None:
    """Send true to skip the synchronous wait."""
    _must_not_have_waited(_asked(generations, "body"), "async true in the body")


@requirement("ASYNC-02")
def test_async_in_the_query_does_not_wait(generations: Generations) -> None:
    """POST /v1/generate?async=true returns a generation_id immediately."""
    _must_not_have_waited(_asked(generations, "query"), "async=true in the query")


@requirement("ASYNC-03")
@fields("query", "body")
def test_the_first_status_is_queued(generations: Generations, field: Switch) -> None:
    """Returns a generation_id immediately with status queued."""
    answer = _accepted(generations, field)
    if answer.member("status") != "queued":
        raise Violation(f"status is {worded(answer, 'status')}, expected 'queued'", answer)


@requirement("ASYNC-04")
def test_a_generation_can_be_polled_at_once(generations: Generations) -> None:
    """Returns a generation_id immediately. Poll GET /v1/generations/{generation_id}."""
    observed = _identified(generations)
    if not observed.polls:
        raise Inconclusive("it was not polled: the first answer showed its end")
    first = observed.polls[0]
    settle_inconclusive(first)
    if not first.accepted:
        raise Violation(f"polling at once was answered {first.status}", observed.started, first)


@requirement("ASYNC-05")
@fields("query", "body")
def test_created_at_is_a_time(generations: Generations, field: Switch) -> None:
    """The sample has created_at: an ISO date and time, with Z."""
    answer = _accepted(generations, field)
    if utc_moment(answer.member("created_at")) is None:
        raise Violation(f"created_at is {worded(answer, 'created_at')}, expected a date and time in UTC", answer)


@requirement("ASYNC-06")
def test_created_at_is_the_time_of_the_request(generations: Generations) -> None:
    """created_at. Measured by the server's own clock, the header Date; where there is none, by that of this machine."""
    observed = generations.batch().of("query")
    created = utc_moment(_accepted(generations, "query").member("created_at"))
    if created is None:
        raise Inconclusive("created_at is no date and time in UTC")
    took_s = observed.answered_at - observed.asked_at
    answered = date_s(observed.started) or observed.answered_at
    late_s = created.timestamp() - answered
    if not -took_s - SKEW_S <= late_s <= SKEW_S:
        raise Violation(f"created_at is {late_s:+.0f} s from the Date of the answer", observed.started)


@requirement("ASYNC-07")
def test_poll_url_leads_to_the_generation(generations: Generations) -> None:
    """The sample has poll_url: an absolute URL whose path ends in the generation_id."""
    observed = _identified(generations)
    url = observed.started.member("poll_url")
    parts = split(url)
    if parts is None or parts.scheme not in ("https", "http") or not parts.hostname:
        raise Violation(f"poll_url is {worded(observed.started, 'poll_url')}, expected a URL", observed.started)
    if not parts.path.endswith(f"/{observed.id}"):
        raise Violation("poll_url does not end in the generation_id", observed.started)


@requirement("ASYNC-08")
def test_poll_url_shows_the_generation(generations: Generations, implementation: Implementation) -> None:
    """The sample's poll_url is the URL to poll. Where it is another host's, the key is not sent there."""
    observed = _identified(generations)
    path = path_below(implementation.target.base_url, observed.started.path, observed.started.member("poll_url"))
    if path is None:
        raise Inconclusive("poll_url is no URL of the API: the key is not sent there")
    exchange = implementation.send("GET", path)
    settle_inconclusive(exchange)
    if not exchange.accepted:
        raise Violation(f"a GET of poll_url was answered {exchange.status}", observed.started, exchange)
    if exchange.member("generation_id") != observed.id:
        raise Violation("a GET of poll_url shows another generation, or none", observed.started, exchange)


@requirement("ASYNC-09")
@fields("query", "body")
def test_the_answer_is_200_or_202(generations: Generations, field: Switch) -> None:
    """Success; which of the two is not said."""
    answer = _accepted(generations, field)
    if answer.status not in (200, 202):
        raise Violation(f"answered {answer.status}, expected 200 or 202", answer)


@requirement("ASYNC-10")
@fields("query over body", "body over query")
def test_either_switch_suffices(generations: Generations, field: Switch) -> None:
    """Send true, or pass ?async=true."""
    true, _, false = field.partition(" over ")
    _must_not_have_waited(_asked(generations, field), f"true in the {true} and false in the {false}")


def _identified(generations: Generations) -> Observed:
    """The generation that was asked for in the query. Raises Inconclusive where it has no id to speak of."""
    observed = generations.batch().of("query")
    _accepted(generations, "query")
    _ = observed.id
    return observed


def _polled(generations: Generations) -> Observed:
    """The same, where polling has shown it at least once."""
    observed = _identified(generations)
    if not observed.shown:
        raise Inconclusive("no polling has shown it")
    return observed


@requirement("ASYNC-11")
@fields(*IDENTITY)
def test_a_polled_generation_says_what_it_is(generations: Generations, field: str) -> None:
    """Every sample of polling has generation_id, status, model and mode."""
    for exchange in _polled(generations).shown:
        if not isinstance(exchange.member(field), str):
            raise Violation(f"{field} is {worded(exchange, field)} in a polled generation", exchange)


@requirement("ASYNC-12")
@fields("generation_id", "model", "mode")
def test_polling_shows_the_generation_that_was_begun(generations: Generations, field: str) -> None:
    """Poll GET /v1/generations/{generation_id}."""
    observed = _polled(generations)
    _must_be_the_same(observed, field, observed.shown)


def _must_be_the_same(observed: Observed, name: str, exchanges: list[Exchange]) -> None:
    first = observed.started.member(name)
    if first is None:
        raise Inconclusive(f"the first answer has no {name}")
    for exchange in exchanges:
        if exchange.member(name) != first:
            reason = f"{name} is {worded(exchange, name)}, at first it was {worded(observed.started, name)}"
            raise Violation(reason, observed.started, exchange)


@requirement("ASYNC-13")
def test_a_generation_comes_to_an_end(generations: Generations, current: Run) -> None:
    """Blocks, or is polled, until processing completes. How long that may take is not said, so only a mock, which was
    told how long, can fail.
    """
    observed = _polled(generations)
    if observed.end is not None:
        return
    if current.control is None or not observed.polls[-1].accepted:
        raise Inconclusive("its end was not seen")
    reason = f"the status is {worded(observed.polls[-1], 'status')}, long after the generation must have ended"
    raise Violation(reason, observed.started, observed.polls[-1])


@requirement("ASYNC-14")
def test_what_has_completed_stays_completed(generations: Generations) -> None:
    """status: the current state of the generation."""
    observed = generations.completed()
    _, *later = _completed_on(observed)
    if not later:
        raise Inconclusive("it was not polled again")
    for exchange in later:
        if exchange.member("status") != "completed":
            raise Violation(f"status is {worded(exchange, 'status')} after 'completed'", exchange)


def _completed_on(observed: Observed) -> list[Exchange]:
    """The answer that showed it completed, and every later one that showed it at all."""
    shown = [each for each in (observed.started, *observed.polls) if each.accepted]
    first = next(n for n, each in enumerate(shown) if each.member("status") == "completed")
    return shown[first:]


@requirement("ASYNC-15")
def test_a_state_never_goes_back(generations: Generations) -> None:
    """queued, processing, completed, failed: in the order of the samples."""
    _must_not_go_back(_polled(generations))


@requirement("ASYNC-15")
@fields("failed")
def test_a_failure_is_final(generations: Generations, current: Run, field: str) -> None:
    """failed (auto-refunded)."""
    if current.control is None:
        raise Inconclusive("needs control: nothing else is made to fail")
    _must_not_go_back(generations.failed().observed)


def _must_not_go_back(observed: Observed) -> None:
    shown = [each for each in (observed.started, *observed.polls) if each.accepted]
    for before, after in pairwise(shown):
        if moved := went_back(before.member("status"), after.member("status")):
            raise Violation(moved, before, after)


@requirement("ASYNC-16")
@fields("output_url", "cost_usd", "duration_ms")
def test_a_generation_that_is_polled_completed_is_whole(generations: Generations, field: str) -> None:
    """The sample of a completed generation has output_url, cost_usd and duration_ms."""
    completed = [each for each in generations.completed().shown if each.member("status") == "completed"]
    if not completed:
        raise Inconclusive("no polling has shown it completed")
    for exchange in completed:
        if field not in exchange.json:
            raise Violation(f"{field} is missing from a completed generation", exchange)


@requirement("ASYNC-17")
def test_there_is_no_output_before_the_end(generations: Generations) -> None:
    """The samples of queued and processing generations have no output_url."""
    observed = _polled(generations)
    answers = [
        each for each in (observed.started, *observed.shown) if each.member("status") in ("queued", "processing")
    ]
    if not answers:
        raise Inconclusive("it was not seen queued or processing")
    for exchange in answers:
        if exchange.member("output_url") is not None:
            raise Violation(f"output_url is there while the status is {worded(exchange, 'status')}", exchange)


@requirement("ASYNC-18")
@fields(*IDENTITY)
def test_a_failure_is_polled_as_such(generations: Generations, field: str) -> None:
    """failed: { generation_id, status, model, mode }."""
    observed = generations.failed().observed
    _ = observed.id
    if observed.end is None:
        if not observed.shown:
            raise Inconclusive("no polling has shown it")
        last = observed.shown[-1]
        raise Violation(f"the status of what has failed is {worded(last, 'status')}", observed.started, last)
    if field == "status":
        if observed.end.member("status") != "failed":
            raise Violation(f"the status of what has failed is {worded(observed.end, 'status')}", observed.end)
    else:
        _must_be_the_same(observed, field, [observed.end])


@requirement("ASYNC-19")
def test_the_cost_stays_the_same(generations: Generations) -> None:
    """cost_usd: the exact USD amount deducted for this generation."""
    shown = [each for each in _completed_on(generations.completed()) if each.member("status") == "completed"]
    costs = [each.member("cost_usd") for each in shown]
    if len(shown) < 2:
        raise Inconclusive("it was not seen completed twice")
    if any(cost != costs[0] for cost in costs):
        raise Violation(f"cost_usd was {', '.join(worded(each, 'cost_usd') for each in shown)}, in that order", *shown)


def _must_take_synchronous_requests(generations: Generations) -> None:
    """Raises Inconclusive where they are refused, or not waited for, however short."""
    answer = generations.synchronous().of("neither").started
    if not answer.accepted or answer.member("status") not in ENDS:
        shown = f"answered {answer.status} with the status {worded(answer, 'status')}"
        raise Inconclusive(f"a synchronous request was {shown}, however short it is")


def _limit_s(current: Run) -> int:
    return current.spec.service.sync_timeout_s


@requirement("ASYNC-20")
def test_a_synchronous_request_waits_for_its_result(generations: Generations, current: Run) -> None:
    """Blocks until processing completes. Timeout: 180 seconds."""
    lasts_s = _limit_s(current) - 1
    _must_take_synchronous_requests(generations)
    answer = generations.blocked(lasts_s).observed.started
    if answer.status == 504 or (answer.accepted and answer.member("status") in ("queued", "processing")):
        shown = 504 if answer.status == 504 else f"with the status {worded(answer, 'status')}"
        raise Violation(f"a request for what takes {lasts_s} s was answered {shown}", answer)
    if not answer.accepted:
        raise Inconclusive(f"the request was answered {answer.status}")


@requirement("ASYNC-21")
def test_a_synchronous_request_is_answered_in_time(generations: Generations, current: Run) -> None:
    """Timeout: 180 seconds."""
    limit_s = _limit_s(current)
    blocked = generations.blocked(3 * limit_s)
    took_s = blocked.answered_s - blocked.asked_s
    if took_s > limit_s + 1:
        raise Violation(f"answered after {took_s:.0f} s, expected {limit_s} at the most", blocked.observed.started)


@requirement("ASYNC-22")
def test_what_takes_longer_is_answered_504(generations: Generations, current: Run) -> None:
    """504: generation exceeded model timeout. Timeout: 180 seconds."""
    lasts_s = _limit_s(current) + 1
    _must_take_synchronous_requests(generations)
    answer = generations.blocked(lasts_s).observed.started
    if answer.status != 504:
        raise Violation(f"a request for what takes {lasts_s} s was answered {answer.status}, expected 504", answer)


@requirement("ASYNC-23")
def test_an_asynchronous_generation_may_take_longer(generations: Generations, current: Run) -> None:
    """For longer generations, use async mode."""
    lasts_s = 2 * _limit_s(current)
    _accepted(generations, "query")  # or it would be waited for
    observed = generations.start(outcome=f"slow={lasts_s}")
    _ = observed.id
    generations.pass_time(lasts_s + 1)
    end = generations.finish(observed)
    if end.member("status") != "completed":
        raise Violation(f"what takes {lasts_s} s ended with the status {worded(end, 'status')}", observed.started, end)


@requirement("ASYNC-30")
def test_a_synchronous_answer_is_whole(generations: Generations, implementation: Implementation) -> None:
    """The response of a synchronous request has the output_url of a completed generation."""
    observed = generations.synchronous().of("neither")
    answer = observed.started
    if not answer.accepted or answer.member("status") != "completed":
        raise Inconclusive("no synchronous request was answered with a completed generation")
    status = _downloaded(implementation, answer)
    if status == 200:
        return
    polled = generations.poll(observed)
    if _downloaded(implementation, polled) != 200:
        raise Inconclusive(f"a GET of output_url was answered {status}, and so it is once it was polled")
    raise Violation(f"a GET of output_url was answered {status}, and is not once it was polled", answer, polled)


def _downloaded(implementation: Implementation, exchange: Exchange) -> int | None:
    """What a GET of the output was answered; None where there is none to get."""
    with suppress(Inconclusive):
        return implementation.download(output_url(exchange)).status
    return None


@requirement("ASYNC-31")
def test_a_synchronous_request_tells_of_a_failure(generations: Generations) -> None:
    """failed, or 500 or 504."""
    _must_take_synchronous_requests(generations)
    answer = generations.failed("neither").observed.started
    if answer.accepted and answer.member("status") != "failed":
        raise Violation(f"what has failed was answered with the status {worded(answer, 'status')}", answer)
    if not answer.accepted and answer.status not in (500, 504):
        raise Violation(f"what has failed was answered {answer.status}, expected 500 or 504", answer)


@requirement("ASYNC-28")
def test_another_account_does_not_see_a_generation(generations: Generations, implementation: Implementation) -> None:
    """Generation not found: 404."""
    target = implementation.target
    observed = _identified(generations)
    if target.second_api_key == target.api_key:
        raise Inconclusive("both keys are the same")
    exchange = generations.look(observed, implementation.bearer(target.second_api_key))
    if exchange.status != 403:  # polling costs nothing, so it is not about the balance
        settle_inconclusive(exchange)
    if exchange.status != 404:
        raise Violation(f"another account was answered {exchange.status}, expected 404", observed.started, exchange)


@pytest.fixture(scope="module")
def lifecycle(current: Run, generations: Generations) -> Findings:
    """What the random layer found. Raises Inconclusive where it was not asked for."""
    return Lifecycle(current, generations).findings()


@requirement("ASYNC-12")
@fields("state machine")
def test_in_any_order_polling_shows_what_was_begun(lifecycle: Findings, field: str) -> None:
    """generation_id, model and mode, among several generations."""
    lifecycle.judge("ASYNC-12")


@requirement("ASYNC-15")
@fields("state machine")
def test_in_any_order_no_state_goes_back(lifecycle: Findings, field: str) -> None:
    """The same for several generations at once, while time passes."""
    lifecycle.judge("ASYNC-15")


@requirement("ASYNC-19")
@fields("state machine")
def test_in_any_order_the_cost_stays_the_same(lifecycle: Findings, field: str) -> None:
    """The same for several generations at once."""
    lifecycle.judge("ASYNC-19")


@requirement("ASYNC-28")
@fields("state machine")
def test_in_any_state_another_account_sees_nothing(lifecycle: Findings, field: str) -> None:
    """The same for generations in every state."""
    lifecycle.judge("ASYNC-28")


@requirement("GEN-04")
@fields("state machine")
def test_in_any_order_ids_are_unique(lifecycle: Findings, field: str) -> None:
    """The unique identifier, of synchronous and asynchronous generations together."""
    lifecycle.judge("GEN-04")


@requirement("BAL-06")
@fields("state machine")
def test_in_any_order_money_is_conserved(lifecycle: Findings, field: str) -> None:
    """The balance falls by the sum of all costs, whatever became of which generation."""
    lifecycle.judge("BAL-06")


@requirement("ASYNC-24")
def test_an_output_is_kept_for_its_time(generations: Generations) -> None:
    """Available for 7 days after generation."""
    expired = generations.expired()
    early = expired.early
    if not expired.fresh.accepted or early.server_error:
        answered = ", ".join(str(each.status) for each in (expired.fresh, early))
        raise Inconclusive(f"a GET of output_url was answered {answered}")
    if not early.accepted:
        raise Violation(f"shortly before the 7 days, a GET of output_url was answered {early.status}", early)


@requirement("ASYNC-25")
def test_an_output_is_gone_after_its_time(generations: Generations) -> None:
    """Requests after that return HTTP 410 Gone."""
    late = generations.expired().late
    if late.status != 410:
        raise Violation(f"after the 7 days, a GET of output_url was answered {late.status}, expected 410", late)


@requirement("ASYNC-26")
def test_after_its_time_a_generation_is_gone_or_shown(generations: Generations) -> None:
    """Requests after that return HTTP 410 Gone: of polling it is not said."""
    expired = generations.expired()
    polled, id = expired.polled, expired.observed.id
    settle_inconclusive(polled)
    if polled.status != 410 and not (polled.accepted and polled.member("generation_id") == id):
        shown = f"answered {polled.status}" if not polled.accepted else "answered without the generation"
        raise Violation(f"after the 7 days, polling was {shown}, expected 410 or the generation", polled)


@requirement("ASYNC-27")
@fields("the output", "polling")
def test_the_410_says_why(generations: Generations, field: str) -> None:
    """410 Gone (code: output_expired)."""
    expired = generations.expired()
    exchange = expired.late if field == "the output" else expired.polled
    if exchange.status != 410 or not isinstance(exchange.json, dict):
        raise Inconclusive(f"answered {exchange.status}, and no 410 with a JSON object")
    if exchange.member("code") != "output_expired":
        raise Violation(f"code is {worded(exchange, 'code')}, expected 'output_expired'", exchange)
