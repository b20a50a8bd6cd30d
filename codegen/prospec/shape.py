"""The shape of a file of spec/: what its JSON Schema refuses, said in our words.

Every message names what is there and what was expected. Here live no I/O and no knowledge of what a file means.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, cast

if TYPE_CHECKING:
    from .positions import Path

NO_LINE_END = r"(?!\n)"
"""Behind the `$` of a pattern: to Python that is also the place before a last line end. A reader needs none of this."""
LARGEST = 2**53 - 1
"""The largest whole number that every reader of JSON keeps exactly."""
LONGEST = 60
"""Characters of a value that a message repeats."""
LONGEST_LIST = 300
"""Characters of what a message lists, or takes from a parser."""
WORDS: Mapping[str, str] = {
    "string": "text",
    "array": "a list",
    "object": "a table",
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "null": "null",
}
"""What a JSON type is called, to people who write TOML, YAML and JSON."""

Finding: TypeAlias = "tuple[Path, str]"


def findings(value: object, schema: Mapping[str, Any]) -> Iterator[Finding]:
    """Everything that a schema refuses in a value, with the path of each thing."""
    if _is_fine(value, schema):
        return
    from jsonschema import Draft202012Validator

    for error in Draft202012Validator(schema).iter_errors(cast(Any, value)):
        yield from _said(error)


def _is_fine(value: object, schema: Mapping[str, Any]) -> bool:
    """Whether nothing is refused, as the faster validator sees it; where it has doubts, the other one decides."""
    try:
        import jsonschema_rs

        return jsonschema_rs.Draft202012Validator(dict(schema)).is_valid(value)
    except (ImportError, ValueError, TypeError):  # not installed; a value that JSON does not have
        return False


def shown(value: object) -> str:
    """A value as a message repeats it: quoted, on one line, nothing unprintable in it, and not too long."""
    if isinstance(value, str):
        return _cut(repr(value[:LONGEST]) if len(value) > LONGEST else repr(value), LONGEST)
    try:
        return _cut(json.dumps(value, ensure_ascii=True, default=str), LONGEST)
    except (ValueError, TypeError, RecursionError):  # too many digits, a key that is no text, too deep
        return f"a {type(value).__name__}"


def listed(names: Iterable[object]) -> str:
    """What there is to choose from, as a message lists it."""
    return plain(", ".join(str(name) for name in names))


def plain(text: str) -> str:
    """The first line of what somebody else said, without anything unprintable in it, and not too long."""
    line = text.partition("\n")[0]
    return _cut("".join(each if each.isprintable() else repr(each)[1:-1] for each in line), LONGEST_LIST)


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _said(error: Any) -> Iterator[Finding]:
    path, limit, value = tuple(error.absolute_path), error.validator_value, error.instance
    match error.validator:
        case keyword if "propertyNames" in error.schema_path:
            yield (*path, value), f"the key {shown(value)}, expected {_expected({keyword: limit})}"
        case "required":
            missing = [name for name in limit if name not in value]
            # The validator tells of one missing member at a time.
            named = next((name for name in missing if error.message.startswith(repr(name))), missing[0])
            yield (*path, named), f"missing, expected {_expected(error.schema.get('properties', {}).get(named, {}))}"
        case "additionalProperties" | "unevaluatedProperties" if limit is False:
            known = sorted({*error.schema.get("properties", {}), *_branches(error.schema)})
            listed = f", expected one of {', '.join(known)}" if known else ", expected none"
            for name in value:
                if _is_unknown(name, error):
                    yield (*path, name), f"unknown key {shown(name)}{listed}"
        case "oneOf" if isinstance(value, dict) and all(set(branch) == {"required"} for branch in limit):
            names = [name for branch in limit for name in branch["required"]]
            there = [name for name in names if name in value]
            yield path, f"has {' and '.join(there) or 'none of them'}, expected exactly one of {', '.join(names)}"
        case "uniqueItems":
            twice = next(item for index, item in enumerate(value) if item in value[:index])
            yield path, f"holds {shown(twice)} twice, expected each once"
        case "if" | "anyOf" | "oneOf" | "allOf" | "$ref" | "$dynamicRef" if error.context:
            yield from _said(min(error.context, key=lambda child: (-len(child.absolute_path), str(child.validator))))
        case _:
            yield path, f"is {shown(value)}, expected {_expected({error.validator: limit})}"


def _branches(schema: Mapping[str, Any]) -> Iterator[str]:
    """The members that a schema takes from the schemas it is made of."""
    for keyword in ("then", "else"):
        yield from schema.get(keyword, {}).get("properties", {})
    for branch in (*schema.get("oneOf", ()), *schema.get("anyOf", ())):
        yield from branch.get("properties", {})


def _is_unknown(name: str, error: Any) -> bool:
    if error.validator == "unevaluatedProperties":
        return repr(name) in error.message
    return name not in error.schema.get("properties", {})


def _expected(schema: Mapping[str, Any]) -> str:
    """What a schema asks for, as far as a few words can say."""
    match schema:
        case {"enum": list(values)}:
            return f"one of {listed(values)}"
        case {"const": value}:
            return shown(value)
        case {"pattern": str(pattern)}:
            return f"text of the form {pattern.removesuffix(NO_LINE_END)}"
        case {"minimum": low}:
            return f"at least {low}"
        case {"maximum": high}:
            return f"at most {high}"
        case {"minItems": count} | {"minProperties": count} if "type" not in schema:
            return f"at least {count} of them"
        case {"minLength": _} if "type" not in schema:
            return "text that is not empty"
        case {"type": list(types)}:
            return " or ".join(WORDS[each] for each in types)
        case {"type": str(type)}:
            return WORDS[type]
        case {"format": str(name)}:
            return f"a {name}"
        case _:
            return "another value"
