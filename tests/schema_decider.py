"""A JSON Schema validator of another make as a decider: the compiler's schemas, jsonschema-rs, and no rule of ours.

Used by the tests that hold the deciders against one another. Here live no tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs
from prospec.loader import load
from prospec.schema import request_schema

SPEC = load()
Found = set[tuple[str, str]]
"""(code, pointer) of each problem."""


class _Ratio:
    """The one rule beyond JSON Schema, taught to the validator from the annotation that the schema carries."""

    def __init__(self, parent: dict[str, Any], value: int, path: list[str]) -> None:
        self.value = value

    def validate(self, instance: Any) -> None:
        sides = [instance.get(side) for side in ("width", "height")] if isinstance(instance, dict) else []
        whole = len(sides) == 2 and all(isinstance(side, int | float) and side == side // 1 > 0 for side in sides)
        if whole and max(sides) > self.value * min(sides):
            raise ValueError("ratio")


CODES = {"pattern": "media", "x-max-ratio": "size"}
"""What JSON Schema calls a rule -> what the contract calls it, where they differ."""


@cache
def _envelope() -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(SPEC.openapi["components"]["schemas"]["GenerateRequest"])


@cache
def _validator(model: str, mode: str, strict: bool) -> jsonschema_rs.Draft202012Validator:
    of = SPEC.model(model)
    chosen = of and of.mode(mode)
    assert of
    assert chosen
    return jsonschema_rs.Draft202012Validator(
        request_schema(SPEC, of, chosen, strict=strict), keywords={"x-max-ratio": _Ratio}
    )


def by_schema(value: Any, *, strict: bool) -> Found:
    """What JSON Schema finds: in the envelope, or with the schema of the model and mode that the envelope names."""
    if found := _told(_envelope(), value):
        return found
    model = SPEC.model(value["model"])
    if model is None:
        return {("model", "/model")}
    mode = model.mode(value.get("mode"))
    return {("mode", "/mode")} if mode is None else _told(_validator(model.id, mode.id, strict), value)


def _told(validator: jsonschema_rs.Draft202012Validator, value: Any) -> Found:
    if validator.is_valid(value):
        return set()
    found = {each for error in validator.iter_errors(value) for each in _of(error)}
    # A value of another type is in no list either: JSON Schema says both, the contract says the first.
    other_type = {path for code, path in found if code == "type"}
    return {(code, path) for code, path in found if code == "type" or path not in other_type}


def _of(error: Any) -> Iterator[tuple[str, str]]:
    kind = error.kind.as_dict()
    path = "".join(f"/{escaped(part)}" for part in error.instance_path)
    match error.kind.name:
        case "required":
            yield "required", f"{path}/{escaped(kind['property'])}"
        case "additionalProperties":
            yield from (("additionalProperties", f"{path}/{escaped(name)}") for name in kind["unexpected"])
        case "anyOf":
            branches = [[*branch] for branch in error.kind.context]
            here = error.instance_path
            others = [any(each.kind.name == "type" and each.instance_path == here for each in one) for one in branches]
            for deeper in next((one for one, other in zip(branches, others, strict=True) if not other), branches[0]):
                yield from _of(deeper)
        case name:
            yield CODES.get(name, name), path


def escaped(part: object) -> str:
    return str(part).replace("~", "~0").replace("/", "~1")
