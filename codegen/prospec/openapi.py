"""What OpenAPI and this compiler ask of openapi.yaml beyond its shape, which the OpenAPI Initiative's schema judges.

Every function yields (path, message). Here live no I/O.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from .meaning import ENVELOPE
from .positions import Path
from .shape import LARGEST, Finding, listed, plain, shown

_GAP = re.compile(r"\bGAP-[0-9]+\b")


def json_only(value: object, path: Path) -> Iterator[Finding]:
    """YAML knows dates, numbers for keys, infinities; the document that is made of this one is JSON."""
    match value:
        case dict():
            for key, item in value.items():
                if not isinstance(key, str):
                    yield path, f"the key {shown(key)} is no text, expected quotes around it"
                elif not key.isprintable():
                    yield (*path, key), f"the key {shown(key)}, expected text without unprintable characters"
                yield from json_only(item, (*path, str(key)))
        case list():
            for number, item in enumerate(value):
                yield from json_only(item, (*path, number))
        case str() if not all(each.isprintable() or each == "\n" for each in value):
            yield path, f"is {shown(value)}, expected text without unprintable characters"
        case int() if abs(value) > LARGEST:
            yield path, f"is {shown(value)}, expected a whole number from -{LARGEST} to {LARGEST}"
        case None | bool() | int() | str():
            pass
        case float() if math.isfinite(value):
            pass
        case _:
            yield path, f"is {plain(str(value))}, expected a JSON value: quote it"


def meaning(document: Mapping[str, Any], gaps: Collection[str] | None) -> Iterator[Finding]:
    """References, schemas, names: of a document that has the shape of OpenAPI."""
    schemas = document.get("components", {}).get("schemas", {})
    envelope = schemas.get(ENVELOPE)
    if not isinstance(envelope, dict) or not isinstance(envelope.get("properties"), dict):
        yield ("components", "schemas", ENVELOPE), "missing, expected an object schema with properties"
    else:
        for name in MEMBERS:
            if name not in envelope["properties"]:
                yield ("components", "schemas", ENVELOPE, "properties", name), "missing, expected a member of a request"
    operations = dict(_operations(document))
    ids = list(operations.values())
    for index, (path, id) in enumerate(operations.items()):
        if id in ids[:index]:
            yield (*path, "operationId"), f"is {shown(id)}, as another is, expected each once"
    for path, value in _walk(document, ()):
        match value:
            case {"$ref": str(reference)}:
                said = f"is {shown(reference)}, expected "
                if not _resolves(document, reference):
                    yield (*path, "$ref"), f"{said}a place in this document"
                elif reference.startswith(f"#/components/schemas/{ENVELOPE}/"):
                    yield (*path, "$ref"), f"{said}none within {ENVELOPE}, which the compiler writes anew"
                elif _is_circle(document, reference):
                    yield (*path, "$ref"), f"{said}a reference that ends at something"
            case {"operationId": str(id)} if "links" in path and id not in ids:
                yield (*path, "operationId"), f"is {shown(id)}, expected one of {listed(ids)}"
            case {"operationRef": str(reference)} if "links" in path and not _resolves(document, reference):
                yield (*path, "operationRef"), f"is {shown(reference)}, expected a place in this document"
            case {"security": list(needed)} if path == () or path[0] in ("paths", "webhooks"):
                known = document.get("components", {}).get("securitySchemes", {})
                for index, schemes in enumerate(needed):
                    for scheme in sorted(set(schemes if isinstance(schemes, dict) else ()) - set(known)):
                        yield (*path, "security", index, scheme), f"unknown, expected one of {listed(known)}"
            case str():
                for gap in _GAP.findall(value):
                    if gaps is not None and gap not in gaps:
                        yield path, f"names {gap}, expected an entry of gaps.toml"
    for path, schema in _schemas(document, ()):
        yield from ((path + place, message) for place, message in _schema(schema))


MEMBERS = ("model", "mode", "params")
"""Members of the envelope that the compiler writes anew in every branch."""


def _operations(document: Mapping[str, Any]) -> Iterator[tuple[Path, str]]:
    for kind in ("paths", "webhooks"):
        for name, item in document.get(kind, {}).items():
            for method, operation in item.items():
                if isinstance(operation, dict) and "operationId" in operation:
                    yield (kind, name, method), operation["operationId"]


def _walk(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    yield path, value
    match value:
        case dict():
            for key, item in value.items():
                yield from _walk(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _walk(item, (*path, index))


def _resolves(document: object, reference: str) -> bool:
    """Whether a reference leads to a place in the document itself: nothing is ever fetched."""
    return _target(document, reference) is not _NOWHERE


def _is_circle(document: object, reference: str) -> bool:
    """Whether a reference leads to nothing but references, the last of them to one that was there before."""
    seen: list[str] = []
    while reference not in seen:
        seen.append(reference)
        match _target(document, reference):
            case {"$ref": str(reference)}:
                pass
            case _:
                return False
    return True


_NOWHERE = object()


def _target(document: object, reference: str) -> object:
    if not reference.startswith("#/"):
        return _NOWHERE
    value = document
    for part in reference.removeprefix("#/").split("/"):
        key = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and key in value:
            value = value[key]
        elif isinstance(value, list) and key.isascii() and key.isdigit() and int(key) < len(value):
            value = value[int(key)]
        else:
            return _NOWHERE
    return value


def _schemas(value: object, path: Path) -> Iterator[tuple[Path, object]]:
    """The schemas of the document: where OpenAPI has one, not within examples."""
    match value:
        case dict():
            for key, item in value.items():
                place = (*path, key)
                if key in ("example", "examples", "value"):
                    continue
                if key == "schema" or path == ("components", "schemas"):
                    yield place, item
                else:
                    yield from _schemas(item, place)
        case list():
            for index, item in enumerate(value):
                yield from _schemas(item, (*path, index))


def _schema(schema: object) -> Iterator[Finding]:
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)  # type: ignore[arg-type]
    except SchemaError as error:
        yield tuple(error.absolute_path), f"is {shown(error.instance)}, expected a keyword of JSON Schema as it is used"
