"""The target `pydantic`: models of every request and answer, by datamodel-code-generator, for those who want them.

Requests enforce what is documented; of a row that is inferred or assumed the type is told, and any value taken.
Answers are open: an unknown status, event or member is data, never an error. Nothing of prospo needs these models.
"""

from __future__ import annotations

from typing import Any

from ..emit import Files
from ..ir import Spec
from ..meaning import ENVELOPE
from ..schema import Schema, bundle
from . import datamodel

KEPT = frozenset({"generation_id", "status", "event"})
"""Members without which an answer says nothing. Every other one may be absent, whatever its table says (GAP-26)."""
CLOSING = frozenset({"enum", "const", "pattern", "format", "minimum", "maximum", "minLength", "additionalProperties"})


def emit(spec: Spec) -> Files:
    """One module."""
    from datamodel_code_generator.enums import StrictTypes, TargetPydanticVersion
    from datamodel_code_generator.parser import LiteralType

    made = datamodel.module(
        _schemas(spec),
        use_annotated=True,
        field_constraints=True,
        enum_field_as_literal=LiteralType.All,
        strict_nullable=True,
        use_missing_sentinel=True,
        target_pydantic_version=TargetPydanticVersion.V2_12,
        strict_refs=True,
        strict_types=[StrictTypes.int, StrictTypes.bool, StrictTypes.str, StrictTypes.float],
        allow_population_by_field_name=True,
        collapse_root_models=False,
    )
    return {"prospo_models.py": made}


def _schemas(spec: Spec) -> Schema:
    """Requests nested by model and mode, so that an error speaks of one model alone; answers opened."""
    schemas = bundle(spec, strict=False)["components"]["schemas"]
    is_request = ("Request", "Params")
    closed = {name for name, schema in schemas.items() if name.endswith(is_request) or "x-max-ratio" in schema}
    made = {name: _sent(schema) if name in closed else _open(schema) for name, schema in schemas.items()}
    models = [model.id for model in spec.models]
    union = [branch["$ref"] for branch in made[ENVELOPE]["oneOf"]]
    made[ENVELOPE]["discriminator"] = {"propertyName": "model", "mapping": dict(zip(models, union, strict=True))}
    return made


def _sent(value: Any) -> Any:
    """A schema of what is sent: no defaults, or each would be; no formats, which turn text into something else."""
    match value:
        case {"x-expected": expected, **rest}:
            return {name: item for name, item in rest.items() if name != "default"} | {"anyOf": [_plain(expected), {}]}
        case {"properties": dict(properties), **rest}:
            return {**rest, "properties": {name: _sent(item) for name, item in properties.items()}}
        case dict():
            return {name: item for name, item in value.items() if name not in ("default", "format")}
        case _:
            return value


def _plain(expected: dict[str, Any]) -> dict[str, Any]:
    """The type of a row that does not bind. Its bounds would make a class of their own."""
    kept = {name: item for name, item in expected.items() if name in ("type", "enum", "anyOf")}
    return kept | ({"items": _plain(expected["items"])} if "items" in expected else {})


def _open(value: Any) -> Any:
    """A schema that takes whatever an implementation may add or leave out later."""
    match value:
        case {"properties": dict(properties), **rest}:
            required = [name for name in value.get("required", ()) if name in KEPT]
            members = {name: _open(item) for name, item in properties.items()}
            kept = {name: item for name, item in rest.items() if name not in CLOSING}
            return {**kept, "properties": members, "required": required, "additionalProperties": True}
        case dict():
            return {name: _open(item) for name, item in value.items() if name not in CLOSING}
        case list():
            return [_open(item) for item in value]
        case _:
            return value
