"""PARAM: what each documented row of the catalog takes and refuses, one row at a time."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from prospec.ir import Choice, Evidence, Flag, Level, ListOf, Media, Mode, Model, Number, Param, Size, Text

from ..explore import explore
from ..generations import Generations, observed
from ..implementation import DOWNLOAD_MAX_BYTES, Exchange
from ..outcome import Inconclusive, Violation
from ..outputs import Clip, UnreadableError, clip_of, clip_request, kind_of
from ..plants import ABSENT, Plant, edges
from ..plugin import Run, fields, modes, requirement, rows
from ..probe import Probe, Row, inconclusive, judge_refusals, judge_values, settle_inconclusive
from ..strategies import Planted, planted, valid_params


def _takes(*types: type) -> Callable[[Param], bool]:
    return lambda param: isinstance(param.type, types)


def _mandatory(param: Param) -> bool:
    return param.mandatory


def _codes(*codes: str) -> Callable[[Plant], bool]:
    return lambda plant: plant.code in codes


@requirement("PARAM-01")
@rows(_mandatory)
def test_a_missing_required_param_is_refused(probe: Probe, row: Row) -> None:
    """Missing required field: 400."""
    judge_refusals(probe, row, lambda plant: plant.value is ABSENT)
    for plant, exchange in probe.refusals(row.param).given:
        if plant.value is ABSENT and exchange.status != 400:
            raise Violation(f"answered {exchange.status}, expected 400", exchange, level=row.level("required"))


@requirement("PARAM-02")
@rows(lambda param: True)
def test_a_value_of_another_type_is_refused(probe: Probe, row: Row) -> None:
    """Each row of the table has a type."""
    in_size = isinstance(row.param.type, Size)
    judge_refusals(probe, row, lambda plant: plant.code == "type" and not (in_size and plant.path))


@requirement("PARAM-03")
@rows(_takes(Choice, Size))
def test_a_value_outside_the_list_is_refused(probe: Probe, row: Row) -> None:
    """One of: …"""
    judge_refusals(probe, row, _codes("enum"))


@requirement("PARAM-04")
@rows(lambda param: isinstance(param.type, Number) and param.type.min is not None)
def test_a_number_below_the_range_is_refused(probe: Probe, row: Row) -> None:
    """Range: from …"""
    judge_refusals(probe, row, _codes("minimum"))


@requirement("PARAM-05")
@rows(lambda param: isinstance(param.type, Number) and param.type.max is not None)
def test_a_number_above_the_range_is_refused(probe: Probe, row: Row) -> None:
    """Range: … to"""
    judge_refusals(probe, row, _codes("maximum"))


@requirement("PARAM-06")
@rows(lambda param: isinstance(param.type, ListOf) and param.type.max_items is not None)
def test_a_list_that_is_too_long_is_refused(probe: Probe, row: Row) -> None:
    """Up to so many."""
    judge_refusals(probe, row, _codes("maxItems"))


@requirement("PARAM-07")
@rows(_takes(Media, ListOf))
def test_what_is_neither_url_nor_token_is_refused(probe: Probe, row: Row) -> None:
    """Any media param accepts either a public https:// URL or an opaque upload token."""
    judge_refusals(probe, row, _codes("media"))


@requirement("PARAM-08")
@rows(_takes(Size))
def test_a_size_that_breaks_the_rules_is_refused(probe: Probe, row: Row) -> None:
    """Integers, multiples, a range, a ratio."""
    judge_refusals(probe, row, lambda plant: plant.code == "size" or bool(plant.path))
    # With one side 0 the ratio is broken as well; with both, the smallest side alone refuses it.
    certain = row.level("minimum") is Level.MUST
    exchange = probe.refuse({**probe.control_params, row.param.name: {"width": 0, "height": 0}}, certain=certain)
    settle_inconclusive(exchange)
    if not exchange.refused:
        raise Violation(f"0 x 0 was answered {exchange.status}", exchange, level=row.level("minimum"))


@requirement("PARAM-09")
@rows(_takes(Choice))
def test_each_listed_value_is_accepted(probe: Probe, row: Row) -> None:
    """One of: …"""
    judge_values(probe, row, "enum")


@requirement("PARAM-10")
@rows(lambda param: isinstance(param.type, Number) and (param.type.min, param.type.max) != (None, None))
def test_both_ends_of_the_range_are_accepted(probe: Probe, row: Row) -> None:
    """Range: from … to …"""
    judge_values(probe, row, "minimum")


@requirement("PARAM-11")
@rows(lambda param: isinstance(param.type, ListOf) and param.type.max_items is not None)
def test_the_longest_list_is_accepted(probe: Probe, row: Row) -> None:
    """Up to so many."""
    judge_values(probe, row, "maxItems")


def _free(param: Param) -> bool:
    """No list and no range: any value of the type will do."""
    match param.type:
        case Text() | Flag() | Media() | Size():
            return True
        case Number(low, high, _):
            return low is None and high is None
        case _:
            return False


@requirement("PARAM-12")
@rows(_free)
def test_a_value_of_the_type_is_accepted(probe: Probe, row: Row) -> None:
    """A row of the table is taken."""
    if row.param.gap_of("type") and isinstance(row.param.type, Text):
        raise Inconclusive(f"what it holds is not documented ({row.param.gap_of('type')})")
    judge_values(probe, row, "type")


@requirement("PARAM-13")
@rows(lambda param: True)
def test_a_refused_value_is_answered_400(probe: Probe, row: Row) -> None:
    """Invalid request body: 400."""
    values = [exchange for plant, exchange in probe.refusals(row.param).given if plant.value is not ABSENT]
    refused = [exchange for exchange in values if exchange.refused]
    other = sorted({exchange.status for exchange in refused} - {400})
    if other:
        exchange = next(exchange for exchange in refused if exchange.status == other[0])
        raise Violation(f"answered {', '.join(map(str, other))}", exchange, level=Level.SHOULD)
    if not refused:
        raise Inconclusive("nothing was refused")


@requirement("PARAM-14")
@modes()
def test_any_request_with_one_fault_is_refused(current: Run, probe: Probe, pair: tuple[Model, Mode]) -> None:
    """The rules hold whatever else the request has."""
    if not current.examples:
        raise Inconclusive("needs --examples")
    probe.accepted_control()
    breakable = [param for param in probe.drawable if not param.gaps]
    if not breakable:
        raise Inconclusive("no row of this mode is documented")

    def judge(drawn: Planted) -> Violation | None:
        row = Row(*pair, drawn.plant.param)
        if row.level(drawn.plant.code) is Level.SHOULD:
            return None
        params = drawn.plant.into({**probe.control_params, **drawn.params})
        exchange = probe.refuse(params)
        if exchange.refused or inconclusive(exchange):
            return None
        return Violation(f"{drawn.plant.param.name} ({drawn.plant.code}) was answered {exchange.status}", exchange)

    faulty = planted(current.spec, probe.drawable, breakable)
    explore(faulty, judge, count=current.examples, seed_=current.seed)


@requirement("PARAM-15")
@modes()
def test_any_request_within_the_rules_is_accepted(current: Run, probe: Probe, pair: tuple[Model, Mode]) -> None:
    """Documented values may be combined."""
    if not current.examples:
        raise Inconclusive("needs --examples")
    probe.accepted_control()
    rows_drawn = [param for param in probe.drawable if edges(param) and not param.gap_of("param")]
    if not rows_drawn:
        raise Inconclusive("no row of this mode is documented")
    probe.takes(rows_drawn[0], edges(rows_drawn[0])[0])
    if probe.refused_together:
        exchange = probe.refused_together[0]
        raise Violation(f"values that are fine by themselves were answered {exchange.status} together", exchange)

    def judge(params: dict[str, Any]) -> Violation | None:
        exchange = probe.accept({**probe.control_params, **params})
        if exchange.accepted or inconclusive(exchange):
            return None
        return Violation(f"{', '.join(params)} together were answered {exchange.status}", exchange)

    explore(valid_params(rows_drawn), judge, count=max(1, current.examples // 3), seed_=current.seed)


def _priced_by_default(model: Model, mode: Mode) -> dict[str, Any]:
    """The documented defaults that a documented price depends on, and that a request may leave out."""
    if model.price is None:
        return {}
    names = {model.price.quantity, *(name for rate in model.price.rates for name, _ in rate.when)}
    return {
        param.name: param.default
        for param in mode.params
        if param.name in names
        and param.default is not None
        and not param.required
        and param.evidence is Evidence.DOCUMENTED
        and not param.gap_of("default")
    }


@requirement("PARAM-19")
@modes(lambda model, mode: bool(_priced_by_default(model, mode)))
def test_a_default_costs_what_it_costs_when_it_is_given(
    probe: Probe, generations: Generations, pair: tuple[Model, Mode]
) -> None:
    """Default: …"""
    left_out = observed(probe.accepted_control())
    defaults = _priced_by_default(*pair)
    given = generations.start(probe.request({**probe.control_params, **defaults}))
    exchange = generations.finish(given)
    generations.finish(left_out)
    if left_out.cost_usd is None or given.cost_usd is None:
        raise Inconclusive("the answers do not say what the generations cost")
    if left_out.cost_usd != given.cost_usd:
        names = ", ".join(defaults)
        raise Violation(f"without {names} it costs {left_out.cost_usd}, with the defaults {given.cost_usd}", exchange)


UNLISTED = {"no_such_param": 1, "promt": "soft light", "__proto__": {}, "": "x"}
"""Params that no table lists."""


@requirement("PARAM-20")
@modes(lambda model, mode: mode is model.modes[0] and any(map(_mandatory, mode.params)))
def test_no_unknown_param_breaks_the_server(probe: Probe, pair: tuple[Model, Mode]) -> None:
    """The schema depends on model and mode. What it does not list may be ignored: so a required param is missing."""
    missing = next(param.name for param in pair[1].params if _mandatory(param))
    base = {name: value for name, value in probe.control_params.items() if name != missing}
    for name, value in UNLISTED.items():
        _must_not_break(name, probe.refuse({**base, name: value}, certain=probe.level is Level.MUST))
    if probe.implementation.ledger.may_spend:
        _must_not_break("no_such_param", probe.accept({**probe.control_params, "no_such_param": 1}))


def _must_not_break(name: str, exchange: Exchange) -> None:
    if exchange.server_error and exchange.status != 504:
        raise Violation(f"with a param {name!r}: answered {exchange.status}", exchange)


TOLERANCE = 0.05
"""Of a side and of a ratio: codecs take multiples of 8 or 16."""
TOLERANCE_S = 0.5
"""Of a length: some frames."""


@requirement("PARAM-22")
@fields("length", "resolution", "aspect ratio", "sound")
def test_the_clip_is_as_its_params_ask(current: Run, generations: Generations, field: str) -> None:
    """duration, resolution, aspect_ratio, generate_audio."""
    wanted = clip_request(current.modes())
    if wanted is None:
        raise Inconclusive("no video model was asked for")
    file = generations.downloaded("video", lambda: wanted)
    if not file.accepted or kind_of(file.body) != "video" or len(file.body) >= DOWNLOAD_MAX_BYTES:
        raise Inconclusive("no whole clip could be downloaded")
    try:
        clip = clip_of(file.body)
    except ModuleNotFoundError:
        raise Inconclusive("needs an extra to read a clip: pip install 'prospec[media]'") from None
    except UnreadableError as error:
        raise Violation(f"the file is no clip that can be read: {error}", file) from None
    params = wanted["params"]
    name, fits, found = {
        "length": ("duration", _has_length, f"{clip.seconds:.2f} s"),
        "resolution": ("resolution", _has_resolution, f"{clip.width} x {clip.height}"),
        "aspect ratio": ("aspect_ratio", _has_ratio, f"{clip.width} x {clip.height}"),
        "sound": ("generate_audio", _has_sound, "a clip with sound" if clip.has_sound else "a silent clip"),
    }[field]
    if name not in params:
        raise Inconclusive(f"{wanted['model']} has no documented {name}")
    try:
        is_fine = fits(clip, params[name])
    except ValueError:
        raise Inconclusive(f"{name} {json.dumps(params[name])} names no measure") from None
    if not is_fine:
        raise Violation(f"asked for {name} {json.dumps(params[name])}, got {found}", file)


def _has_length(clip: Clip, asked: Any) -> bool:
    return abs(clip.seconds - float(str(asked).removesuffix("s"))) <= TOLERANCE_S


def _has_resolution(clip: Clip, asked: Any) -> bool:
    """480p names the shorter side."""
    return _is_near(min(clip.width, clip.height), float(str(asked).removesuffix("p")))


def _has_ratio(clip: Clip, asked: Any) -> bool:
    width, _, height = str(asked).partition(":")
    return _is_near(clip.width / clip.height, int(width) / int(height))


def _has_sound(clip: Clip, asked: Any) -> bool:
    return clip.has_sound is asked


def _is_near(found: float, asked: float) -> bool:
    return abs(found - asked) <= TOLERANCE * asked
