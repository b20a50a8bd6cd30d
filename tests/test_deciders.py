"""Three deciders on one request: the generated rules, the JSON Schema of the same params, and a planted fault.

They share the catalog and no code. Here live no hand-written verdicts: those are in test_rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
import prospo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prospec.example import request
from prospec.ir import Evidence, Mode, Model
from prospec.loader import load
from prospec.schema import pairs, request_schema
from prospec_conformance.strategies import Planted, planted, valid_params

DRAWN = 20_000
"""Requests in all: half of them valid, half with one fault."""
SPEC = load()
PAIRS = [pytest.param(model, mode, id=f"{model.id}/{mode.id}") for model, mode in pairs(SPEC)]
CODES = {"pattern": "media", "x-max-ratio": "size"}
"""What JSON Schema calls a rule -> what the contract calls it, where they differ."""
MANY = settings(
    max_examples=-(-DRAWN // (2 * len(PAIRS))),
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class _Ratio:
    """The one rule beyond JSON Schema, taught to the validator from the annotation that the schema carries."""

    def __init__(self, parent: dict[str, Any], value: int, path: list[str]) -> None:
        self.value = value

    def validate(self, instance: Any) -> None:
        width, height = (instance.get(side) for side in ("width", "height")) if isinstance(instance, dict) else (0, 0)
        whole = isinstance(width, int) and isinstance(height, int) and min(width, height) > 0
        if whole and max(width, height) > self.value * min(width, height):
            raise ValueError("ratio")


@cache
def _validator(model: str, mode: str, strict: bool) -> jsonschema_rs.Draft202012Validator:
    of = SPEC.model(model)
    assert of is not None
    chosen = of.mode(mode)
    assert chosen is not None
    return jsonschema_rs.Draft202012Validator(
        request_schema(SPEC, of, chosen, strict=strict), keywords={"x-max-ratio": _Ratio}
    )


def _found(error: Any) -> Iterator[tuple[str, str]]:
    """(code, pointer) of one error of JSON Schema; of a union, those of the branch that the value's type picks."""
    kind = error.kind.as_dict()
    pointer = "".join(f"/{part}" for part in error.instance_path)
    match error.kind.name:
        case "required":
            yield "required", f"{pointer}/{kind['property']}"
        case "additionalProperties":
            yield from (("additionalProperties", f"{pointer}/{name}") for name in kind["unexpected"])
        case "anyOf":
            branches = [[*branch] for branch in error.kind.context]
            meant = [branch for branch in branches if not _is_other_type(branch, error)]
            for deeper in meant[0] if meant else branches[0]:
                yield from _found(deeper)
        case name:
            yield CODES.get(name, name), pointer


def _is_other_type(branch: list[Any], union: Any) -> bool:
    return any(error.kind.name == "type" and error.instance_path == union.instance_path for error in branch)


def _by_schema(model: Model, mode: Mode, body: dict[str, Any], *, strict: bool) -> set[tuple[str, str]]:
    found = {each for error in _validator(model.id, mode.id, strict).iter_errors(body) for each in _found(error)}
    # A value of another type is in no list either: JSON Schema says both, the contract says the first.
    other_type = {pointer for code, pointer in found if code == "type"}
    return {(code, pointer) for code, pointer in found if code == "type" or pointer not in other_type}


def _by_rules(body: dict[str, Any]) -> list[tuple[str, str, str]]:
    return [(problem.code, problem.path, problem.severity) for problem in prospo.validate(body)]


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_all_accept_what_is_valid(model: Model, mode: Mode) -> None:
    @MANY
    @given(valid_params(mode.params, st.text()))
    def judge(params: dict[str, Any]) -> None:
        body = request(model, mode, params)
        assert _by_rules(body) == []
        assert prospo.is_valid(body)
        assert _by_schema(model, mode, body, strict=True) == set()
        assert _by_schema(model, mode, body, strict=False) == set()

    judge()


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_all_name_the_planted_fault_and_nothing_else(model: Model, mode: Mode) -> None:
    @MANY
    @given(planted(SPEC, mode.params, mode.params, st.text()))
    def judge(drawn: Planted) -> None:
        body = request(model, mode, drawn.params)
        plant = drawn.plant
        pointer = f"/params/{plant.param.name}{plant.path}"
        documented = plant.param.evidence_of(plant.code) is Evidence.DOCUMENTED
        assert _by_rules(body) == [(plant.code, pointer, "error" if documented else "warning")]
        assert _by_schema(model, mode, body, strict=True) == {(plant.code, pointer)}
        assert prospo.is_valid(body) is not documented
        assert _by_schema(model, mode, body, strict=False) == ({(plant.code, pointer)} if documented else set())

    judge()


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_all_agree_on_a_param_that_no_table_lists(model: Model, mode: Mode) -> None:
    @settings(MANY, max_examples=20)
    @given(valid_params(mode.params), st.text().filter(lambda name: all(name != param.name for param in mode.params)))
    def judge(params: dict[str, Any], name: str) -> None:
        body = request(model, mode, {**params, name: 1})
        closed = mode.evidence is Evidence.DOCUMENTED
        assert [(code, severity) for code, _, severity in _by_rules(body)] == [
            ("additionalProperties", "error" if closed else "warning")
        ]
        assert prospo.is_valid(body) is not closed
        assert {code for code, _ in _by_schema(model, mode, body, strict=True)} == {"additionalProperties"}
        assert bool(_by_schema(model, mode, body, strict=False)) is closed

    judge()
