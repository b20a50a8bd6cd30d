"""PARAM: what each documented row of the catalog takes and refuses, one row at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prospec.ir import Choice, Flag, Level, ListOf, Media, Mode, Model, Number, Param, Size, Text

from ..explore import explore
from ..outcome import Inconclusive, Violation
from ..plants import ABSENT, Plant, edges
from ..plugin import Run, modes, requirement, rows
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
    exchange = probe.refuse({**probe.control_params, row.param.name: {"width": 0, "height": 0}})
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
