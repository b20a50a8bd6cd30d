"""From bytes to a JSON value, by the validation profile: UTF-8, bounded size and depth, finite numbers, whole text.

What costs time is done by the standard library's own loops, never by one of ours over bytes, so that no input within
the bounds takes long. Here lives no rule about requests.
"""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from .problem import NotJSONError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
_LONGEST_INT = 300
"""Digits. An integer of more is beyond the largest double (309 digits), so it is read as a double and refused there."""
_may_overflow = re.compile(rb"[0-9]{200}|[eE]\+?0*+[0-9]{3}").search
"""Without this, a number has fewer than 200 digits and an exponent of two: far below the largest double, 1.8e308."""
_may_be_alone = re.compile(rb"\\u[dD][89a-fA-F]").search
_alone = re.compile(r"\\(?:u[dD][89abAB]..\\u[dD][c-fC-F]|(u[dD][89a-fA-F])|.)", re.DOTALL).findall
"""For each escape of a text: nothing for a pair or for another character, else the beginning of a surrogate."""
_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_bracket = re.compile(rb"[\[{\]}]")


def parse(data: bytes, *, max_bytes: float = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of `data`; of two equal keys the last one wins. Raises NotJSONError alone, saying why."""
    if len(data) > max_bytes:
        raise NotJSONError(f"{len(data):,} bytes; at most {max_bytes:,} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSONError(f"not UTF-8, at byte {error.start}") from None
    try:
        if _may_overflow(data):
            value = json.loads(text, parse_constant=_constant, parse_int=_integer, parse_float=_float)
        else:
            value = json.loads(text, parse_constant=_constant)
    except json.JSONDecodeError as error:
        raise NotJSONError(f"{error.msg}, at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJSONError(f"nested more than {max_depth} deep") from None
    if data.count(b"[") + data.count(b"{") > max_depth and _is_deeper(value, data, max_depth):
        raise NotJSONError(f"nested more than {max_depth} deep")
    if _may_be_alone(data) and any(_alone(text)):
        raise NotJSONError("a surrogate without its other half, which UTF-8 cannot carry")
    return value


def _is_deeper(value: object, data: bytes, max_depth: int) -> bool:
    """Whether a text nests deeper: by its value, or by its brackets where a later key has overwritten a part of it."""
    level, count = [value], 1
    for _ in range(max_depth):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer if type(outer) is list else ())
            if type(inner) in (dict, list)
        ]
        count += len(level)
        if not level:
            break
    if level:
        return True
    bare = _string.sub(b"", data)
    if bare.count(b"[") + bare.count(b"{") == count:
        return False
    depth = 0
    for match in _bracket.finditer(bare):
        depth += 1 if match[0] in b"[{" else -1
        if depth > max_depth:
            return True
    return False


def _constant(literal: str) -> NoReturn:
    raise NotJSONError(f"{literal} is not a JSON number")


def _integer(literal: str) -> int | float:
    return int(literal) if len(literal) <= _LONGEST_INT else _float(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value - value != 0:
        raise NotJSONError("a number beyond the range of a double")
    return value
