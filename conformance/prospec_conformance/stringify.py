"""JSON as JavaScript writes it anew: JSON.stringify(JSON.parse(text)), which the documentation's sample signs.

A receiver that follows the sample never sees the bytes that came. Here live no signature and no I/O.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any, NoReturn

INDEX_MAX = 2**32 - 2
"""The largest key that JavaScript takes for an index of an array: those come first, in their numbers' order."""
# What is escaped beside the quotation mark and the backslash: control characters, and halves of a surrogate pair.
_escaped = re.compile(r'["\\\x00-\x1f\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def rewritten(body: bytes) -> bytes | None:
    """The body of a request as an Express handler writes it anew, in UTF-8; None where it is no JSON.

    >>> rewritten(b'{"cost": 0.40, "10": 1e21, "9": -0}')
    b'{"9":0,"10":1e+21,"cost":0.4}'
    """
    try:
        value = json.loads(body.decode(errors="replace"), parse_int=float, parse_constant=_refuse)
        return _written(value).encode()
    except (ValueError, RecursionError):
        return None


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON")


def _written(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            return number(value)
        case str():
            return _quoted(value)
        case list():
            return f"[{','.join(map(_written, value))}]"
        case _:
            members = (f"{_quoted(name)}:{_written(value[name])}" for name in sorted(value, key=_place))
            return f"{{{','.join(members)}}}"


def _place(name: str) -> tuple[bool, int]:
    """Sorts indexes before all other names, which keep their order."""
    is_index = name.isascii() and name.isdigit() and str(int(name[:10])) == name and int(name) <= INDEX_MAX
    return (not is_index, int(name) if is_index else 0)


def _quoted(text: str) -> str:
    return '"' + _escaped.sub(lambda found: _SHORT.get(found[0], f"\\u{ord(found[0]):04x}"), text) + '"'


def number(value: float) -> str:
    """A number as ECMAScript writes it (Number::toString), and null for one that JSON cannot write.

    >>> [number(value) for value in (3.0, -0.0, 0.1, 1e21, 1.5e-7, 123456789012345680000.0)]
    ['3', '0', '0.1', '1e+21', '1.5e-7', '123456789012345680000']
    """
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    # Both languages take the shortest digits that read as the same number; they differ in where they put the point.
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    sign = "-" if value < 0 else ""
    if len(digits) <= point <= 21:
        return sign + digits.ljust(point, "0")
    if 0 < point <= 21:
        return f"{sign}{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"{sign}0.{'0' * -point}{digits}"
    rest = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{rest}e{point - 1:+d}"
