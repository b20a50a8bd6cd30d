"""From bytes to a JSON value, by the validation profile: UTF-8, bounded size and depth, finite numbers, whole text.

What costs time is done by the standard library's own loops, never by one of ours over bytes, so that no input within
the bounds takes long. Here lives no rule about requests.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any, NoReturn

from .problem import NotJSONError

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
_LONGEST_INT = 300
"""Digits. An integer of more is beyond the largest double (309 digits), so it is read as a double and refused there."""
_SHAPE = bytes(
    0x30 if 0x30 <= byte <= 0x39 else 0x65 if byte in b"eE" else 0x2B if byte == 0x2B else 0x20 for byte in range(256)
)
"""A byte -> 0 for a digit, e for either e, + for itself, a space for the rest."""
_LONG = b"0" * 200
"""Without such a run of digits, a number has fewer than 200 of them before its exponent."""
_DIGITS = frozenset(b"0123456789")
_alone = re.compile(r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|(?<!\\u[dD][89abAB]..\\u[dD])[c-fC-F])").search
"""A surrogate escape that has no other half, in a text without escaped backslashes."""
_string = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?')
_STEP = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""A bracket -> the byte that is 1 or -1 where bytes have a sign."""
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def parse(data: bytes, *, max_bytes: float = MAX_BYTES, max_depth: int = MAX_DEPTH) -> Any:
    """The JSON value of `data`; of two equal keys the last one wins. Raises NotJSONError alone, saying why."""
    if len(data) > max_bytes:
        raise NotJSONError(f"{len(data):,} bytes; at most {max_bytes:,} are read")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise NotJSONError(f"not UTF-8, at byte {error.start}") from None
    try:
        value = _decoder(data)(text)
    except json.JSONDecodeError as error:
        said = "Unexpected UTF-8 BOM (decode using utf-8-sig)" if text.startswith("\ufeff") else error.msg
        raise NotJSONError(f"{said}, at line {error.lineno} column {error.colno}") from None
    except RecursionError:
        raise NotJSONError(f"nested more than {max_depth} deep") from None
    if data.count(b"[") + data.count(b"{") > max_depth and _depth(data) > max_depth:
        raise NotJSONError(f"nested more than {max_depth} deep")
    if b"\\u" in data and _alone(text.replace("\\\\", "..")):
        raise NotJSONError("a surrogate without its other half, which UTF-8 cannot carry")
    return value


def is_tame(data: bytes) -> bool:
    """Whether there are neither the digits of too large an integer, nor the brackets of too deep a nest."""
    return (
        len(data) <= MAX_BYTES
        # So long a run of digits has one of these places.
        and (_DIGITS.isdisjoint(data[_LONGEST_INT - 1 :: _LONGEST_INT]) or _LONG not in data.translate(_SHAPE))
        and data.count(b"[") + data.count(b"{") <= MAX_DEPTH
    )


def _decoder(data: bytes) -> Callable[[str], Any]:
    """The quickest of the decoders that reads every number of `data` as the profile has it."""
    shape = data.translate(_SHAPE)
    # With neither, a number has an exponent of two digits at most: far below the largest double, 1.8e308.
    if not (_LONG in shape or b"e000" in shape or b"e+000" in shape):
        return _usual
    return _of_long_integers if b"0" * _LONGEST_INT in shape else _of_large_numbers


def _depth(data: bytes) -> int:
    """How deep a JSON text nests, with what a later key overwrites."""
    steps = _string.sub(b"", data).translate(_STEP, _NO_BRACKET)
    return max(accumulate(memoryview(steps).cast("b")), default=0)


def _constant(literal: str) -> NoReturn:
    raise NotJSONError(f"{literal} is not a JSON number")


def _integer(literal: str) -> int | float:
    return int(literal) if len(literal) <= _LONGEST_INT else _float(literal)


def _float(literal: str) -> float:
    value = float(literal)
    if value - value != 0:
        raise NotJSONError("a number beyond the range of a double")
    return value


_usual = json.JSONDecoder(parse_constant=_constant).decode
_of_large_numbers = json.JSONDecoder(parse_constant=_constant, parse_float=_float).decode
_of_long_integers = json.JSONDecoder(parse_constant=_constant, parse_float=_float, parse_int=_integer).decode
