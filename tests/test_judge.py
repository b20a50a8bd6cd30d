"""The mock's judge against python-jsonschema alone: the compiled validator lets nothing pass that the other refuses.

The reference is the stock validator; the two rules that it is taught are written anew here. Where a verdict comes from
by construction is in drawn.py, and the agreement with other deciders in test_bodies.py and test_deciders.py.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from drawn import PAIRS, SPEC, draw
from jsonschema import Draft202012Validator, ValidationError, validators
from prospec.example import request, smallest_params
from prospec.ir import Mode, Model
from prospec.schema import request_schema
from prospec_conformance.mock.changes import Change, Refusal, seams
from prospec_conformance.mock.faults import FAULTS
from prospec_conformance.mock.judge import Judge, parse
from prospec_conformance.mock.variants import VARIANTS
from prospec_conformance.plants import ABSENT, plants

DRAWN = 6_000
DRAWN_A_CHANGE = 150
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "hostile.json").read_text("utf-8"))
CHANGES = {
    id: entry.change for id, entry in [*FAULTS.items(), *VARIANTS.items()] if seams(entry.change) & {"schema", "strict"}
}
"""Those by which a request is judged by something else."""
BY_ID = [pytest.param(model, mode, id=f"{model.id}/{mode.id}") for model, mode in PAIRS]

NUMBERS: tuple[float | bool | str, ...] = (
    *(0, -0.0, 1, -1, 3, 5, 5.0, 5.5, 15, 16, 16.0, 17, True, False, "5"),
    *(0.1 + 0.2, 0.7, math.nextafter(1, 2), math.nextafter(1, 0), math.nextafter(0, -1), 5e-324, 1e-9),
    *(1008, 1024, 1024.0, 1024.5, math.nextafter(1024, 2000), 3072, 3073, 3840, 3840.0, 3856, 1e3),
    *(2**31 - 1, 2.0**31 - 1, 2**31, 2**53, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**64 + 16),
    *(
        -(2**63),
        -(2**63) - 1,
        16 * 10**40,
        10**300,
        -(10**300),
        10**308,
        1e22,
        1e300,
        1e308,
        -1e308,
        sys.float_info.max,
    ),
)
TEXTS = (
    *("", " ", "\n", "\0", "5", "true", "16:9\n", "16:9 ", "\uff11\uff16:\uff19", "auto\n", "AUTO", "1024x1024"),
    *(
        "https://a",
        "https://a\n",
        "https://a\r",
        "https://a\u2028",
        "https://a b",
        "xhttps://a",
        "https://a\nhttps://a",
    ),
    *(
        "https://\u0661:5",
        "https://a:\u0661",
        "https://a:99999",
        "https://a:123456",
        "HTTP\u017f://a",
        "http\u017f://a",
    ),
    *("pl-upload-" + "0" * 32, "pl-upload-" + "0" * 32 + "\n", "pl-upload-" + "\u0660" * 32, "pl-upload-" + "A" * 32),
)
OTHERS: tuple[Any, ...] = (None, [], {}, [None], [[]], {"": None}, [5], [True], ["x", 5], {"width": 1024})


# The reference


def _pattern(validator: Any, pattern: str, instance: object, _schema: object) -> Iterator[ValidationError]:
    if isinstance(instance, str) and re.search(rf"\A(?:{pattern})\Z", instance) is None:
        yield ValidationError("pattern")


def _max_ratio(validator: Any, ratio: int, instance: object, _schema: object) -> Iterator[ValidationError]:
    sides = [instance.get("width"), instance.get("height")] if isinstance(instance, dict) else []
    if sides and all(validator.is_type(side, "integer") for side in sides):
        low, high = sorted(cast(list[float], sides))
        if high > ratio * low:
            yield ValidationError("ratio")


Reference: Any = cast(Any, validators).extend(Draft202012Validator, {"pattern": _pattern, "x-max-ratio": _max_ratio})
ENVELOPE = Reference(SPEC.openapi["components"]["schemas"]["GenerateRequest"])


class Both:
    """The judge and the reference under one change, of which only the schema and the strength count."""

    def __init__(self, change: Change) -> None:
        self._change = replace(change, refusal=Change().refusal)
        self._judge = Judge(SPEC, self._change)
        self._references: dict[tuple[str, str], Any] = {}

    def accept(self, value: Any) -> bool:
        """What they say both; fails where they differ."""
        refusal, expected = self._judge.generate(value), self._is_valid(value)
        assert (refusal is None) is expected, f"{refusal}: {value!r:.300}"
        return expected

    def _is_valid(self, value: Any) -> bool:
        if not ENVELOPE.is_valid(value):
            return False
        model = SPEC.model(value["model"])
        mode = model and model.mode(value.get("mode"))
        return bool(model and mode and self._reference(model, mode).is_valid(value))

    def _reference(self, model: Model, mode: Mode) -> Any:
        pair = (model.id, mode.id)
        if pair not in self._references:
            schema = request_schema(SPEC, model, mode, strict=self._change.strict)
            self._change.schema(model, mode, schema)
            self._references[pair] = Reference(schema)
        return self._references[pair]


@cache
def _both(*, strict: bool) -> Both:
    return Both(Change(strict=strict))


def _accept(value: Any, *, strict: bool) -> bool:
    """What both say of a value that has been JSON; False of one that cannot be."""
    parsed = parse(json.dumps(value).encode())
    return not isinstance(parsed, Refusal) and _both(strict=strict).accept(parsed)


def _agree(value: Any) -> tuple[bool, bool]:
    """Whether the documented facts allow a value, and whether every row does."""
    return _accept(value, strict=False), _accept(value, strict=True)


# The same verdict


def test_on_drawn_bodies() -> None:
    seen: set[tuple[str, str, bool]] = set()
    for number in range(DRAWN):
        body = draw(number, seed=2)
        if isinstance(parse(body.data), Refusal):
            continue
        verdicts = _agree(parse(body.data))
        if number % 10 < 7 and isinstance(body.value, dict) and body.made.startswith(("valid:", "fault:")):
            seen.add((body.made.rpartition(" ")[2].partition("/")[0], body.made.rpartition("/")[2], verdicts[1]))
    assert seen == {(model.id, mode.id, valid) for model, mode in PAIRS for valid in (True, False)}


@pytest.mark.parametrize(("model", "mode"), BY_ID)
def test_on_each_plant_of_each_row(model: Model, mode: Mode) -> None:
    assert _agree(request(model, mode, smallest_params(mode))) == (True, True)
    for param in mode.params:
        for plant in plants(SPEC, param):
            params = {**smallest_params(mode), param.name: plant.value}
            if plant.value is ABSENT:
                del params[param.name]
            assert not _agree(request(model, mode, params))[1]


@pytest.mark.parametrize(("model", "mode"), BY_ID)
def test_on_odd_values_in_each_row(model: Model, mode: Mode) -> None:
    for param in mode.params:
        for value in (*NUMBERS, *TEXTS, *OTHERS):
            for nested in (value, [value], {"width": value, "height": 1024}, {"height": 16, "width": value}):
                _accept(request(model, mode, {**smallest_params(mode), param.name: nested}), strict=True)


def test_on_hostile_texts() -> None:
    for number, case in enumerate(CASES):
        model, mode = PAIRS[number % len(PAIRS)]
        text = case["text"] * case.get("times", 1)
        for name in (*(param.name for param in mode.params), text):
            _agree(request(model, mode, {**smallest_params(mode), name: text}))


@pytest.mark.parametrize(
    "vector", [pytest.param(each, id=each["id"]) for each in SPEC.vectors.requests if "request" in each]
)
def test_on_the_vectors(vector: dict[str, Any]) -> None:
    assert _agree(vector["request"]) == (vector["valid"], not vector["problems"])


@pytest.mark.parametrize("id", CHANGES)
def test_under_each_change(id: str) -> None:
    both = Both(CHANGES[id])
    for number in range(DRAWN_A_CHANGE):
        value = parse(draw(number, seed=3).data)
        if not isinstance(value, Refusal):
            both.accept(value)
    for model, mode in PAIRS:
        both.accept(request(model, mode, smallest_params(mode)))
        for param in mode.params:
            plant = next(iter(plants(SPEC, param)))
            if plant.value is not ABSENT:
                both.accept(request(model, mode, {**smallest_params(mode), param.name: plant.value}))


# How it comes about


def test_what_is_valid_does_not_wait_for_the_validator_that_explains() -> None:
    code = """
import sys
from prospec.example import request, smallest_params
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.mock.changes import Change
from prospec_conformance.mock.judge import Judge
spec = load(trusted=True)
judge = Judge(spec, Change(strict=True))
assert not any(judge.generate(request(model, mode, smallest_params(mode))) for model, mode in pairs(spec))
assert "jsonschema" not in sys.modules
assert judge.generate({}).keyword == "required"
assert "jsonschema" in sys.modules
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("before", [0, 1, 307, 308, 309, 310, 617, 618, 619])
@pytest.mark.parametrize("around", ["%s", "[0.5,%s]", '{"a":%s}', "[1,-%s]"])
def test_an_integer_beyond_a_double_is_no_json_wherever_it_stands(before: int, around: str) -> None:
    for pad in range(before, before + 40):
        assert isinstance(parse((" " * pad + around % ("9" * 309)).encode()), Refusal)
        assert not isinstance(parse((" " * pad + around % ("9" * 308)).encode()), Refusal)
        assert not isinstance(parse((" " * pad + around % ("1" * 309)).encode()), Refusal)
