"""JSON Schema (2020-12) of requests, one a (model, mode), and the OpenAPI document that bundles them.

Two strengths, as on the command line. The default one enforces documented facts alone; of a row that is inferred or
assumed it keeps the expectation as an annotation, `x-expected`. The strict one enforces every row. Here live no I/O
and no verdicts: a validator of the reader's choice gives those.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any, assert_never

from .ir import Choice, Evidence, Flag, ListOf, Media, Mode, Model, Number, Param, Service, Size, Spec, Text, Type

DIALECT = "https://json-schema.org/draft/2020-12/schema"
Schema = dict[str, Any]


def type_schema(type: Type, service: Service) -> Schema:
    """The constraints of one type.

    The ratio of a size is beyond JSON Schema; it stands as the annotation `x-max-ratio`, which a validator may be
    taught.
    """
    match type:
        case Text():
            return {"type": "string"}
        case Flag():
            return {"type": "boolean"}
        case Choice(of):
            return {"type": "string", "enum": list(of)}
        case Number(low, high, unit):
            bounds = {"minimum": low, "maximum": high, "x-unit": unit}
            return {"type": "number", **{key: value for key, value in bounds.items() if value is not None}}
        case Media(media):
            return {"type": "string", "pattern": service.media_pattern, "x-media": media}
        case ListOf(item, low_items, high_items):
            lengths = {"minItems": low_items, "maxItems": high_items}
            return {
                "type": "array",
                "items": type_schema(item, service),
                **{key: value for key, value in lengths.items() if value is not None},
            }
        case Size(presets, step, low, high, ratio):
            side = {"type": "integer", "minimum": low, "maximum": high, "multipleOf": step}
            return {
                "anyOf": [
                    {"type": "string", "enum": list(presets)},
                    {
                        "type": "object",
                        "required": ["width", "height"],
                        "properties": {"width": side, "height": dict(side)},
                        "additionalProperties": False,
                        "x-max-ratio": ratio,
                    },
                ]
            }
        case _:
            assert_never(type)


def param_schema(param: Param, service: Service, *, strict: bool) -> Schema:
    """One row: its constraints as far as they bind, and what is known of it as annotations."""
    full = type_schema(param.type, service)
    annotations: Schema = {"description": describe(param), "x-evidence": str(param.evidence)}
    if param.default is not None:
        annotations["default"] = param.default
    if strict:
        return {**full, **annotations}
    if param.evidence is not Evidence.DOCUMENTED:
        return {**annotations, "x-expected": full}
    return {**{key: value for key, value in full.items() if key not in param.inferred}, **annotations}


def describe(param: Param) -> str:
    """What a person wants to know of a row: its range, unit and default, how well it is known, and from where."""
    parts = []
    match param.type:
        case Number(low, high, unit) if low is not None or high is not None:
            bounds = (
                f"{low} to {high}"
                if None not in (low, high)
                else f"at least {low}"
                if high is None
                else f"at most {high}"
            )
            parts.append(f"{bounds} {unit}." if unit else f"{bounds[:1].upper()}{bounds[1:]}.")
        case ListOf(_, _, high_items) if high_items is not None:
            parts.append(f"At most {high_items}.")
        case Size(_, step, low, high, ratio):
            parts.append(
                f"Width and height: multiples of {step}, {low} to {high} pixels, ratio from 1:{ratio} to {ratio}:1."
            )
        case _:
            pass
    if param.default is not None:
        parts.append(f"Default: {json.dumps(param.default)}.")
    source = param.source.removeprefix("mode:")
    parts.append(f"{str(param.evidence).capitalize()}: {'mode ' if source != param.source else ''}{source}.")
    if param.note:
        parts.append(f"{param.note[0].upper()}{param.note[1:]}.")
    parts += [f"See {gap}." for _, gap in param.gaps]
    return " ".join(parts)


def params_schema(mode: Mode, service: Service, *, strict: bool) -> Schema:
    """The `params` object of one mode."""
    required = [
        param.name for param in mode.params if param.mandatory and (strict or param.evidence is Evidence.DOCUMENTED)
    ]
    schema: Schema = {
        "type": "object",
        "description": f"{mode.title}. {str(mode.evidence).capitalize()}: {mode.source}.",
        "x-evidence": str(mode.evidence),
        "properties": {param.name: param_schema(param, service, strict=strict) for param in mode.params},
    }
    if required:
        schema["required"] = required
    if strict or mode.evidence is Evidence.DOCUMENTED:
        schema["additionalProperties"] = False
    return schema


def request_schema(spec: Spec, model: Model, mode: Mode, *, strict: bool) -> Schema:
    """The body of POST /v1/generate for one (model, mode). `mode` may be left out for the model's first mode."""
    envelope = spec.openapi["components"]["schemas"]["GenerateRequest"]["properties"]
    properties: Schema = {"model": {"type": "string", "const": model.id}}
    if mode.on_wire or not strict:
        properties["mode"] = {"type": "string", "const": mode.id}
    properties["params"] = params_schema(mode, spec.service, strict=strict)
    properties |= {
        name: copy.deepcopy(envelope[name]) for name in envelope if name not in properties and name != "mode"
    }
    first = mode is model.modes[0]
    return {
        "type": "object",
        "description": f"{model.name}: {mode.title}.",
        "required": ["model", "params"] if first else ["model", "mode", "params"],
        "properties": properties,
        "additionalProperties": False,
    }


def size_name(param: Param) -> str:
    """The component that holds the object form of a size: image_size -> ImageSize."""
    return type_name(param.name)


def _name_sizes(mode: Mode, properties: Schema, schemas: Schema) -> None:
    """Move each size's object into a component of its own, so that a code generator makes one type of it."""
    for param in mode.params:
        branches = properties[param.name].get("anyOf")
        if isinstance(param.type, Size) and branches:
            if schemas.setdefault(size_name(param), branches[1]) != branches[1]:
                raise ValueError(f"two params {param.name!r} take sizes of different rules")
            branches[1] = {"$ref": f"#/components/schemas/{size_name(param)}"}


def pairs(spec: Spec) -> Iterator[tuple[Model, Mode]]:
    """Every (model, mode), in the order of the catalog."""
    for model in spec.models:
        for mode in model.modes:
            yield model, mode


def type_name(*ids: str) -> str:
    """seedance-2-fast, text -> Seedance2FastText. The name of a type or a schema component in any language."""
    return "".join(word[:1].upper() + word[1:] for id in ids for word in id.replace("_", "-").split("-"))


def bundle(spec: Spec, *, strict: bool) -> Schema:
    """One OpenAPI 3.1 document: the envelopes as they stand, and a schema a (model, mode) in the place of `params`.

    The request is a union by model, and within a model by mode, each branch told from the others by constants. There
    is no `discriminator`: it could name the model alone, and Redoc then leaves out the modes and all their params.
    """
    document: Schema = copy.deepcopy(spec.openapi)
    schemas: Schema = document["components"]["schemas"]
    unions = []
    for model in spec.models:
        branches = []
        for mode in model.modes:
            name = type_name(model.id, mode.id)
            request = request_schema(spec, model, mode, strict=strict)
            _name_sizes(mode, request["properties"]["params"]["properties"], schemas)
            schemas[f"{name}Params"] = request["properties"]["params"]
            request["properties"]["params"] = {"$ref": f"#/components/schemas/{name}Params"}
            schemas[f"{name}Request"] = request
            branches.append({"$ref": f"#/components/schemas/{name}Request"})
        if len(branches) == 1:
            unions += branches
            continue
        # No `oneOf`: to a linter, a property that one branch may omit, as the first mode may, tells nothing apart.
        name = f"{type_name(model.id)}Request"
        schemas[name] = {"description": f"{model.name}, one branch a mode.", "anyOf": branches}
        unions.append({"$ref": f"#/components/schemas/{name}"})
    schemas["GenerateRequest"] = {
        "description": spec.openapi["components"]["schemas"]["GenerateRequest"].get("description", ""),
        "oneOf": unions,
    }
    return document
