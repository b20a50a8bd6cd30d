"""GEN: the envelope of POST /v1/generate, what goes in and what comes out."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any
from urllib.parse import urlsplit

import pytest
from prospec.example import example_request
from prospec.ir import Evidence, Level, Mode, Model, Spec

from ..implementation import Exchange, Implementation
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, last, modes, requirement
from ..probe import Probe, inconclusive, settle_inconclusive
from ..samples import SAMPLES


@requirement("GEN-01")
@modes()
def test_the_smallest_valid_request_is_accepted(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """Pass the model id and the params of its table."""
    exchange = probe.control()
    _must_be_accepted(probe.smallest or exchange, probe.level)


@requirement("GEN-02")
@fields("quick-start", "upload-token")
def test_the_requests_of_the_documentation_are_accepted(current: Run, field: str) -> None:
    """The samples, as printed; an upload token is minted anew."""
    example = next(example for example in current.spec.examples if example.id == field)
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
    _must_be_accepted(current.implementation.generate(body, expects_refusal=False), Level.MUST)


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
        raise Violation(f"generation_id is {_shown(id)}, expected {prefix}*", exchange)


@requirement("GEN-05")
@modes()
def test_status_is_one_of_four(probe: Probe, spec: Spec, pair: tuple[Model, Mode]) -> None:
    """status, required: queued, processing, completed, failed. In the first answer, and when it is asked for."""
    documented = spec.openapi["components"]["schemas"]["Generation"]["properties"]["status"]["enum"]
    first = probe.accepted_control()
    path = f"/v1/generations/{first.member('generation_id')}"
    for exchange in (first, probe.implementation.send("GET", path)):
        status = exchange.member("status")
        if exchange.accepted and status not in documented:
            raise Violation(f"status is {_shown(status)}", exchange)


@requirement("GEN-06")
@modes()
def test_model_is_that_of_the_request(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """model, required: the model id used."""
    exchange = probe.accepted_control()
    if exchange.member("model") != pair[0].id:
        raise Violation(f"model is {_shown(exchange.member('model'))}, asked for was {pair[0].id}", exchange)


@requirement("GEN-07")
@modes(lambda model, mode: mode.on_wire)
def test_mode_is_that_of_the_request(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """mode, required: the mode used for this generation."""
    exchange = probe.accepted_control()
    if exchange.member("mode") != pair[1].id:
        raise Violation(f"mode is {_shown(exchange.member('mode'))}, asked for was {pair[1].id}", exchange)


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
        raise Violation(f"mode is {_shown(exchange.member('mode'))}, expected {mode.id}", exchange, level=level)


@pytest.fixture(scope="module")
def synchronous(current: Run) -> Exchange:
    """One synchronous generation of the cheapest model that was asked for."""
    model, mode = current.modes()[0]
    probe = current.probe(model, mode)
    probe.accepted_control()
    exchange = current.implementation.generate(probe.control_request(), expects_refusal=False, asynchronous=False)
    settle_inconclusive(exchange)
    return exchange


@requirement("GEN-09")
def test_a_synchronous_request_waits_for_the_end(synchronous: Exchange) -> None:
    """POST /v1/generate blocks until processing completes."""
    if not synchronous.accepted:
        raise Violation(f"answered {synchronous.status}", synchronous)
    if synchronous.member("status") not in ("completed", "failed"):
        raise Violation(f"status is {_shown(synchronous.member('status'))}", synchronous)


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
        raise Violation(f"{name} is {_shown(exchange.member(name))}, asked for was {exchange.sent[name]}", exchange)


@requirement("GEN-10")
@fields("output_url", "cost_usd", "duration_ms")
def test_a_completed_generation_is_whole(implementation: Implementation, synchronous: Exchange, field: str) -> None:
    """output_url, cost_usd and duration_ms are required in the response table: in the answer, and when polled."""
    if synchronous.member("status") != "completed":
        raise Inconclusive("no generation was completed")
    polled = implementation.send("GET", f"/v1/generations/{synchronous.member('generation_id')}")
    for exchange in (synchronous, polled):
        if exchange.member("status") == "completed":
            _must_be_whole(exchange, field)


def _must_be_whole(exchange: Exchange, field: str) -> None:
    value = exchange.member(field)
    present = isinstance(exchange.json, dict) and field in exchange.json
    amount = isinstance(value, int | float) and not isinstance(value, bool) and value >= 0
    fine = {
        "output_url": isinstance(value, str) and urlsplit(value).scheme in ("https", "http"),
        "cost_usd": amount,
        "duration_ms": present and (value is None or amount),
    }[field]
    if not fine:
        shown = _shown(value) if present else "absent"
        raise Violation(f"{field} is {'not a URL' if field == 'output_url' and present else shown}", exchange)


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


def _shown(value: object) -> str:
    """A value of an answer for a message: short, and no signed URL."""
    return repr(value)[:80] if not (isinstance(value, str) and "://" in value) else "a URL"
