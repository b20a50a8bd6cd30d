"""Three deciders on one request: the generated rules, the JSON Schema of the same params, and a planted fault.

They share the catalog and no code. Here live no hand-written verdicts: those are in test_rules.
"""

from __future__ import annotations

from typing import Any

import prospo
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prospec.example import request
from prospec.ir import Evidence, Mode, Model
from prospec.schema import pairs
from prospec_conformance.strategies import Planted, planted, valid_params
from schema_decider import SPEC, by_schema

DRAWN = 20_000
"""Requests in all: half of them valid, half with one fault."""
PAIRS = [pytest.param(model, mode, id=f"{model.id}/{mode.id}") for model, mode in pairs(SPEC)]
MANY = settings(
    max_examples=-(-DRAWN // (2 * len(PAIRS))),
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


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
        assert by_schema(body, strict=True) == set()
        assert by_schema(body, strict=False) == set()

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
        assert by_schema(body, strict=True) == {(plant.code, pointer)}
        assert prospo.is_valid(body) is not documented
        assert by_schema(body, strict=False) == ({(plant.code, pointer)} if documented else set())

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
        assert {code for code, _ in by_schema(body, strict=True)} == {"additionalProperties"}
        assert bool(by_schema(body, strict=False)) is closed

    judge()
