"""GEN: the envelope of POST /v1/generate, what goes in and what comes out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pytest
from prospec.example import example_request
from prospec.ir import Evidence, Level, Mode, Model, Spec
from prospo.price import estimate

from ..generations import ENDS, Generations, Observed, observed
from ..implementation import Exchange, Implementation
from ..members import brief
from ..outcome import Inconclusive, Violation
from ..outputs import clip_request, image_request, kind_of
from ..plugin import Run, fields, last, modes, requirement
from ..probe import Probe, inconclusive, settle_inconclusive
from ..readings import endpoint
from ..samples import SAMPLES
from ..spend import SpendingRefusedError, amount

WEBHOOK_URL = "https://example.com/hook"
LOCAL_WEBHOOK_URL = "https://localhost:9/hook"
"""For an implementation on this machine, which has no business elsewhere. Nobody listens there."""


@requirement("GEN-01")
@modes()
def test_the_smallest_valid_request_is_accepted(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """Pass the model id and the params of its table."""
    exchange = probe.control()
    _must_be_accepted(probe.smallest or exchange, probe.level)


@requirement("GEN-02")
@fields("quick-start", "upload-token")
def test_the_requests_of_the_documentation_are_accepted(current: Run, generations: Generations, field: str) -> None:
    """The samples, as printed; an upload token is minted anew."""
    _must_be_accepted(generations.named(field, lambda: _documented(current, field)).started, Level.MUST)


def _documented(current: Run, id: str) -> dict[str, Any]:
    """A request that the documentation shows, with a fresh upload token where it has one."""
    example = next(example for example in current.spec.examples if example.id == id)
    body = deepcopy(example.request)
    model = current.spec.model(body["model"])
    if model is not None and not current.chosen(model):
        raise Inconclusive(f"{model.id} was not asked for")
    for name, value in body["params"].items():
        if isinstance(value, list) and value and str(value[0]).startswith("pl-upload-"):
            token = current.implementation.upload(*SAMPLES["image"])
            if token is None:
                raise Inconclusive("no file could be uploaded")
            body["params"][name] = [token]
    return body


def _must_be_accepted(exchange: Exchange, level: Level) -> None:
    settle_inconclusive(exchange)
    if not exchange.accepted:
        raise Violation(f"answered {exchange.status}", exchange, level=level)


@requirement("GEN-03")
@modes()
def test_an_accepted_request_gets_a_generation_id(probe: Probe, spec: Spec, pair: tuple[Model, Mode]) -> None:
    """generation_id, string, required: gen_*."""
    exchange = probe.accepted_control()
    prefix = spec.service.generation_prefix
    id = exchange.member("generation_id")
    if not isinstance(id, str) or not id.startswith(prefix) or id == prefix:
        raise Violation(f"generation_id is {brief(id)}, expected {prefix}*", exchange)


@requirement("GEN-05")
@modes()
def test_status_is_one_of_four(probe: Probe, generations: Generations, spec: Spec, pair: tuple[Model, Mode]) -> None:
    """status, required: queued, processing, completed, failed. In the first answer, and when it is asked for."""
    documented = spec.openapi["components"]["schemas"]["Generation"]["properties"]["status"]["enum"]
    first = probe.accepted_control()
    for exchange in _at_first_and_later(generations, first):
        status = exchange.member("status")
        if exchange.accepted and status not in documented:
            raise Violation(f"status is {brief(status)}", exchange)


def _at_first_and_later(generations: Generations, first: Exchange) -> Iterator[Exchange]:
    """An answer, and then what polling shows. Raises Inconclusive in between, where that is impossible."""
    yield first
    yield generations.look(observed(first))


@requirement("GEN-06")
@modes()
def test_model_is_that_of_the_request(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """model, required: the model id used."""
    exchange = probe.accepted_control()
    if exchange.member("model") != pair[0].id:
        raise Violation(f"model is {brief(exchange.member('model'))}, asked for was {pair[0].id}", exchange)


@requirement("GEN-07")
@modes(lambda model, mode: mode.on_wire)
def test_mode_is_that_of_the_request(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """mode, required: the mode used for this generation."""
    exchange = probe.accepted_control()
    if exchange.member("mode") != pair[1].id:
        raise Violation(f"mode is {brief(exchange.member('mode'))}, asked for was {pair[1].id}", exchange)


@requirement("GEN-08")
@modes(lambda model, mode: mode is model.modes[0] and mode.on_wire)
def test_an_omitted_mode_is_the_first_one(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """mode, not required: defaults to the model's first declared mode."""
    model, mode = pair
    probe.accepted_control()
    body = {name: value for name, value in probe.control_request().items() if name != "mode"}
    exchange = probe.implementation.generate(body, expects_refusal=False)
    level = Level.MUST if Evidence.DOCUMENTED is model.modes_order and probe.level is Level.MUST else Level.SHOULD
    _must_be_accepted(exchange, level)
    if exchange.member("mode") != mode.id:
        raise Violation(f"mode is {brief(exchange.member('mode'))}, expected {mode.id}", exchange, level=level)


@pytest.fixture(scope="module")
def synchronous(generations: Generations) -> Exchange:
    """One synchronous generation of the cheapest model that was asked for."""
    exchange = generations.synchronous().of("neither").started
    settle_inconclusive(exchange)
    return exchange


@requirement("GEN-09")
def test_a_synchronous_request_waits_for_the_end(synchronous: Exchange, generations: Generations) -> None:
    """POST /v1/generate blocks until processing completes."""
    if not synchronous.accepted:
        generations.completed()
        raise Violation(f"answered {synchronous.status}", synchronous)
    if synchronous.member("status") not in ("completed", "failed"):
        raise Violation(f"status is {brief(synchronous.member('status'))}", synchronous)


@requirement("GEN-06")
@fields("a synchronous answer")
def test_model_is_named_at_the_end_too(synchronous: Exchange, field: str) -> None:
    """model, required, in every response."""
    _must_echo(synchronous, "model")


@requirement("GEN-07")
@fields("a synchronous answer")
def test_mode_is_named_at_the_end_too(synchronous: Exchange, field: str) -> None:
    """mode, required, in every response."""
    _must_echo(synchronous, "mode")


def _must_echo(exchange: Exchange, name: str) -> None:
    if not exchange.accepted:
        raise Inconclusive("no synchronous request was accepted")
    if name in exchange.sent and exchange.member(name) != exchange.sent[name]:
        raise Violation(f"{name} is {brief(exchange.member(name))}, asked for was {exchange.sent[name]}", exchange)


@requirement("GEN-10")
@fields("output_url", "cost_usd", "duration_ms")
def test_a_completed_generation_is_whole(generations: Generations, synchronous: Exchange, field: str) -> None:
    """output_url, cost_usd and duration_ms are required in the response table: in the answer, and when polled."""
    if synchronous.member("status") != "completed":
        raise Inconclusive("no generation was completed")
    for exchange in _at_first_and_later(generations, synchronous):
        if exchange.member("status") == "completed":
            _must_be_whole(exchange, field)


def _must_be_whole(exchange: Exchange, field: str) -> None:
    value = exchange.member(field)
    present = isinstance(exchange.json, dict) and field in exchange.json
    amount = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    fine = {
        "output_url": isinstance(value, str) and _is_url(value),
        "cost_usd": amount,
        "duration_ms": present and (value is None or amount),
    }[field]
    if not fine:
        shown = brief(value) if present else "absent"
        raise Violation(f"{field} is {'not a URL' if field == 'output_url' and present else shown}", exchange)


def _is_url(text: str) -> bool:
    try:
        return urlsplit(text).scheme in ("https", "http")
    except ValueError:
        return False


@requirement("GEN-04")
@last
def test_no_two_generations_share_an_id(implementation: Implementation) -> None:
    """generation_id: the unique identifier of the generation."""
    seen: dict[str, Exchange] = {}
    for exchange in implementation.exchanges:
        id = exchange.member("generation_id")
        if exchange.method != "POST" or not exchange.accepted or not isinstance(id, str):
            continue
        if id in seen:
            raise Violation(f"{id} was given twice", seen[id], exchange)
        seen[id] = exchange
    if len(seen) < 2:
        raise Inconclusive("needs two generations to compare")


def _request(current: Run) -> dict[str, Any]:
    """A valid request of the first model, to be broken."""
    model, mode = current.modes()[0]
    return deepcopy(example_request(current.spec, model, mode))


def _must_be_400(implementation: Implementation, body: Any, what: str) -> None:
    exchange = implementation.generate(body, expects_refusal=True)
    if exchange.status != 400:
        settle_inconclusive(exchange)
        raise Violation(f"{what} was answered {exchange.status}, expected 400", exchange)


@requirement("GEN-11")
def test_a_request_without_model_is_refused(current: Run) -> None:
    """model, required. Missing required field: 400."""
    body = _request(current)
    del body["model"]
    _must_be_400(current.implementation, body, "a request without model")


@requirement("GEN-12")
@modes(lambda model, mode: mode is model.modes[0])
def test_a_request_without_params_is_refused(implementation: Implementation, pair: tuple[Model, Mode]) -> None:
    """params, required. Missing required field: 400."""
    model, mode = pair
    body = {"model": model.id, **({"mode": mode.id} if mode.on_wire else {})}
    _must_be_400(implementation, body, "a request without params")


@requirement("GEN-13")
@fields("model", "mode", "params")
def test_members_of_another_type_are_refused(current: Run, field: str) -> None:
    """model and mode are strings, params is an object. Invalid request body: 400."""
    genuine = _request(current)
    wrong = {
        "model": [5, ["x"], {}, None],
        "mode": [5, ["text"], {}],
        "params": [5, "x", [], None, json.dumps(genuine["params"])],
    }[field]
    for value in wrong:
        body = {**genuine, field: value}
        _must_be_400(current.implementation, body, f"{field} {value!r}")


@requirement("GEN-14")
@fields("webhook_url", "async")
def test_optional_members_of_another_type_are_refused(current: Run, field: str) -> None:
    """webhook_url is a string, async a boolean."""
    for value in {"webhook_url": [5, {}, ["https://example.com/hook"]], "async": ["yes", 5, {}]}[field]:
        exchange = current.implementation.generate({**_request(current), field: value}, expects_refusal=True)
        if not exchange.refused and not inconclusive(exchange):
            raise Violation(f"{field} {value!r} was answered {exchange.status}", exchange)


@requirement("GEN-15")
def test_an_unknown_model_is_refused(current: Run) -> None:
    """Unknown model id: 400."""
    body = _request(current)
    genuine = body["model"]
    near = (f"{genuine}x", genuine[:-1], f"x/{genuine}", genuine.upper(), f" {genuine} ", genuine.replace("-", "_"), "")
    for id in ("no-such-model", *near):
        _must_be_400(current.implementation, {**body, "model": id}, f"the model {id!r}")


@requirement("GEN-16")
@modes(lambda model, mode: mode is model.modes[0] and mode.on_wire)
def test_an_unknown_mode_is_refused(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """Unknown mode: 400. A mode that only the other kind of model has is tried where all modes are known."""
    model, mode = pair
    other = "edit" if model.kind == "video" else "text"
    for id in (
        "no-such-mode",
        mode.id.upper(),
        f"{mode.id} ",
        *([other] if model.modes_order is Evidence.DOCUMENTED else []),
    ):
        _must_be_400(probe.implementation, {**probe.control_request(), "mode": id}, f"the mode {id!r}")


@requirement("GEN-17")
def test_every_model_that_is_named_is_known(current: Run) -> None:
    """One endpoint for every frontier model. Of each, one mode is asked for: a documented one where there is one."""
    refused: list[Exchange] = []
    learned_nothing: Exception | None = None
    documented = {model.id: mode for model, mode in reversed(current.modes())}
    for model in filter(current.chosen, current.spec.models):
        try:
            exchange = current.probe(model, documented.get(model.id, model.modes[0])).control()
            settle_inconclusive(exchange)
        except (Inconclusive, SpendingRefusedError) as error:
            learned_nothing = error
            continue
        if not exchange.accepted:
            refused.append(exchange)
    if refused:
        shown = ", ".join(f"{exchange.sent['model']} was answered {exchange.status}" for exchange in refused)
        raise Violation(shown, *refused)
    if learned_nothing:
        raise learned_nothing


KINDS = ("image", "video")


@requirement("GEN-18")
@fields(*KINDS)
def test_both_kinds_of_model_are_run_by_one_endpoint(current: Run, field: str) -> None:
    """POST /v1/generate runs any image or video model."""
    probes = [current.probe(model, mode) for model, mode in current.modes() if model.kind == field]
    if not probes:
        raise Inconclusive(f"no {field} model was asked for")
    exchanges = []
    for probe in probes:
        exchange = probe.control()
        if exchange.accepted:
            return
        exchanges.append(exchange)
    for exchange in exchanges:
        settle_inconclusive(exchange)
    raise Violation(f"every {field} model was refused, this one with {exchanges[0].status}", exchanges[0])


@requirement("GEN-19")
def test_a_webhook_url_is_accepted(current: Run, generations: Generations) -> None:
    """webhook_url: an HTTPS URL."""
    generations.completed()
    url = LOCAL_WEBHOOK_URL if current.implementation.target.is_local else WEBHOOK_URL
    body = generations.request(webhook_url=url)
    # A mock of ours would complain, for days of its time, that nobody listens.
    _must_be_accepted(generations.start(body, outcome="webhook=none").started, Level.MUST)


@requirement("GEN-20")
def test_async_false_waits(generations: Generations) -> None:
    """async: defaults to false."""
    if generations.synchronous().of("neither").started.member("status") not in ENDS:
        raise Inconclusive("no synchronous request has waited without async either")
    exchange = generations.start(generations.request(**{"async": False}), switch="neither").started
    _must_be_accepted(exchange, Level.MUST)
    if exchange.member("status") not in ENDS:
        raise Violation(f"status is {brief(exchange.member('status'))}, expected completed or failed", exchange)


@requirement("GEN-21")
@last
def test_every_answer_to_an_accepted_request_is_an_object(implementation: Implementation) -> None:
    """The samples of answers are JSON objects."""
    accepted = [each for each in implementation.exchanges if endpoint(each) == "generate" and each.accepted]
    if not accepted:
        raise Inconclusive("no request was accepted")
    other = [each for each in accepted if not isinstance(each.json, dict)]
    if other:
        raise Violation(f"{len(other)} answers to accepted requests are no JSON objects", other[0])


SAMPLE_COST_USD = Decimal("0.40")


@requirement("GEN-22")
def test_the_quick_start_costs_what_its_sample_says(current: Run, generations: Generations) -> None:
    """cost_usd: 0.40"""
    exchange, cost_usd = _end(
        generations, generations.named("quick-start", lambda: _documented(current, "quick-start"))
    )
    if cost_usd != SAMPLE_COST_USD:
        raise Violation(f"cost_usd is {cost_usd}, expected {SAMPLE_COST_USD}", exchange)


def _end(generations: Generations, generation: Observed) -> tuple[Exchange, Decimal]:
    """The answer that showed a generation completed, and its cost. Raises Inconclusive."""
    end = generations.finish(generation)
    cost_usd = generation.cost_usd
    if end.member("status") != "completed" or cost_usd is None:
        raise Inconclusive("no generation was completed, with a cost")
    return end, cost_usd


@requirement("GEN-26")
@modes(lambda model, mode: model.price is not None and mode is model.modes[0])
def test_the_cost_is_the_published_price(probe: Probe, generations: Generations, pair: tuple[Model, Mode]) -> None:
    """A price per second or per image, on the model's page."""
    control = observed(probe.accepted_control())
    quote = estimate(control.request)
    if quote.usd is None or quote.usd_evidence == "assumed":
        raise Inconclusive("no one price is published for the control request")
    exchange, cost_usd = _end(generations, control)
    if cost_usd != quote.usd:
        raise Violation(f"cost_usd is {cost_usd}, expected {quote.usd}", exchange)


def _has_images(mode: Mode) -> bool:
    param = mode.param("num_images")
    return param is not None and param.evidence is Evidence.DOCUMENTED


@requirement("GEN-27")
@modes(lambda model, mode: _has_images(mode))
def test_two_images_cost_twice_as_much(probe: Probe, generations: Generations, pair: tuple[Model, Mode]) -> None:
    """A price per image."""
    _, one_usd = _end(generations, observed(probe.accepted_control()))
    two = generations.start(probe.request({**probe.control_params, "num_images": 2}))
    exchange, two_usd = _end(generations, two)
    if two_usd != 2 * one_usd:
        raise Violation(f"one image costs {one_usd}, and two cost {two_usd}", exchange)


ROUNDING_MS = 1000
"""A duration may be given in whole seconds."""


@requirement("GEN-28")
def test_no_generation_takes_longer_than_its_caller_waited(generations: Generations) -> None:
    """duration_ms: the processing time, from end to end."""
    waited = generations.synchronous().of("neither")
    duration_ms = amount(waited.started.member("duration_ms"))
    if waited.started.member("status") != "completed" or duration_ms is None:
        raise Inconclusive("no synchronous generation was completed, with a duration")
    waited_ms = 1000 * (waited.answered_at - waited.asked_at)
    if duration_ms > waited_ms + ROUNDING_MS:
        raise Violation(f"duration_ms is {duration_ms}, and the caller waited {waited_ms:.0f}", waited.started)


def _output(current: Run, generations: Generations, kind: str) -> Exchange:
    """The download of an output of that kind. Raises Inconclusive where there is none, or it needs a key."""
    file = _download(current, generations, kind)
    settle_inconclusive(file)
    return file


def _download(current: Run, generations: Generations, kind: str) -> Exchange:
    wanted = {"image": image_request, "video": clip_request}[kind](current.modes())
    if wanted is None:
        raise Inconclusive(f"no {kind} model was asked for")
    file = generations.downloaded(kind, lambda: wanted)
    if file.status == 501:
        raise Inconclusive("outputs are not drawn here: the mock lacks its extra, media")
    return file


@requirement("GEN-23")
@fields(*KINDS)
def test_the_output_can_be_downloaded(current: Run, generations: Generations, field: str) -> None:
    """output_url: the URL of the output."""
    file = _output(current, generations, field)
    if not file.accepted:
        raise Violation(f"a GET of output_url was answered {file.status}", file)
    if not file.body:
        raise Violation("the file at output_url is empty", file)


@requirement("GEN-24")
@fields(*KINDS)
def test_the_output_is_of_the_models_kind(current: Run, generations: Generations, field: str) -> None:
    """Image and video models."""
    file = _output(current, generations, field)
    if not file.accepted or not file.body:
        raise Inconclusive("nothing could be downloaded")
    found = kind_of(file.body)
    if found != field:
        raise Violation(f"the file at output_url is {found or 'of an unknown format'}, expected {field}", file)


@requirement("GEN-25")
@fields(*KINDS)
def test_the_output_needs_no_key(current: Run, generations: Generations, field: str) -> None:
    """output_url: on a host of its own, with a token in its query."""
    file = _download(current, generations, field)
    if file.status in (401, 403):
        raise Violation(f"without a key, a GET of output_url was answered {file.status}", file)
    if not file.accepted:
        raise Inconclusive(f"a GET of output_url was answered {file.status}")
