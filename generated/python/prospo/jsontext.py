"""From bytes to a JSON value, by the validation profile: UTF-8, bounded size and depth, finite numbers.

Here lives no rule about requests.
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
_structure = re.compile(rb'"(?:[^"\\]|\\.)*+\\?(?:"|\Z)|[\[{]|[\]}]', re.DOTALL)
"""Strings and brackets. An unclosed string runs to the end, or scanning would start anew at each of its quotes."""


def parse(data: bytes, *, max_bytes: float = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of `data`; of two equal keys the last one wins. Raises NotJSONError alone, saying why."""
    if len(data) > max_bytes:
        raise NotJSONError(f"{len(data):,} bytes; at most {max_bytes:,} are read")
    if data.count(b"[") + data.count(b"{") > max_depth and _depth(data) > max_depth:
        raise NotJSONError(f"nested more than {max_depth} deep")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSONError(f"not UTF-8, at byte {error.start}") from None
    try:
        return json.loads(text, parse_constant=_constant, parse_int=_integer, parse_float=_float)
    except json.JSONDecodeError as error:
        raise NotJSONError(f"{error.msg}, at line {error.lineno} column {error.colno}") from None


def _depth(data: bytes) -> int:
    depth = deepest = 0
    for match in _structure.finditer(data):
        token = match[0]
        if token in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif token in b"]}":
            depth -= 1
    return deepest


def _constant(literal: str) -> NoReturn:
    raise NotJSONError(f"{literal} is not a JSON number")


def _integer(literal: str) -> int | float:
    return int(literal) if len(literal) <= _LONGEST_INT else _float(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value - value != 0:
        raise NotJSONError("a number beyond the range of a double")
    return value
