"""How values are named in messages, and what was likely meant. Here lives no rule.

No value that may be a secret (a URL, a token, a prompt) is repeated: only names, numbers and listed values are.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from .model import Mode, Model, Param
from .values import is_number

LONGEST = 40
"""Characters of a string that a message repeats."""
_repeatable = re.compile(rf"(?!prsp-|pl-upload-)[A-Za-z0-9_.:+-]{{1,{LONGEST}}}").fullmatch
"""A word such as a name or a listed value: no URL, no token, no key, no sentence, nothing a terminal would act on."""


def kind(value: object) -> str:
    """The JSON type of a value, with the value itself where it is a number or a flag."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {number(value)}" if is_number(value) else "a number that is not finite"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def number(value: float) -> str:
    """A number as short as it can be told."""
    return str(value) if isinstance(value, int) and abs(value) < 10**15 else f"{value:.12g}"


def name(key: object) -> str:
    """A key or id, quoted; what may be a secret is not repeated."""
    text = str(key)
    return repr(text) if _repeatable(text) else "of the name given"


def pointer(*parts: object) -> str:
    """A JSON Pointer."""
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


def bounds(param: Param) -> str:
    unit = f" {param.unit}" if param.unit else ""
    if param.min is None or param.max is None:
        return f"{param.max if param.min is None else param.min}{unit}"
    return f"the range {param.min} to {param.max}{unit}"


def closest(key: object, candidates: Iterable[str]) -> str | None:
    """The candidate that a misspelt key most likely meant."""
    text = str(key)[: 2 * LONGEST]
    folded = {candidate.lower(): candidate for candidate in candidates}
    found = difflib.get_close_matches(text.lower(), folded, n=1, cutoff=0.6)
    return f"did you mean {folded[found[0]]}?" if found else None


def elsewhere(key: object, model: Model, mode: Mode) -> str | None:
    """Which other mode of this model takes a param of that name."""
    takers = [other.id for other in model.modes if other is not mode and any(p.name == key for p in other.params)]
    if not takers:
        return None
    return f"mode {takers[0]} takes it" if len(takers) == 1 else f"modes {', '.join(takers)} take it"


def not_listed(value: str, allowed: Iterable[str]) -> tuple[str, str | None]:
    """Message and hint for a string that a list does not hold. It is repeated where it resembles a listed one."""
    hint = closest(value, allowed)
    got = f"is {value!r}, none of" if hint and _repeatable(value) else "is none of"
    return f"{got} {', '.join(allowed)}", hint


def as_flag(value: object) -> str | None:
    """true for "true", false for "false"."""
    return f"{value} without quotes" if value in ("true", "false") else None


def as_number(value: object) -> str | None:
    """5 for "5" and for "5s"."""
    digits = value.removesuffix("s") if isinstance(value, str) else ""
    return f"{digits}, a number" if digits.isascii() and digits.isdigit() and len(digits) <= LONGEST else None


def as_text(value: object, allowed: tuple[str, ...] | None) -> str | None:
    """The string "8s" for 8 and "true" for true, where the list has them."""
    if allowed is None:
        return None
    plain = kind(value).removeprefix("the number ")
    meant = next((choice for choice in allowed if choice in (plain, f"{plain}s")), None)
    return f'"{meant}", a string' if meant else None


def as_media(value: str) -> str | None:
    """What keeps a string from being a URL or a token, without repeating it."""
    if value.startswith("http://"):
        return "https, not http"
    if value.startswith("pl-upload-"):
        return "an upload token is pl-upload- and 32 lower-case hexadecimal digits"
    if value.startswith("data:"):
        return "upload the file, and give its token"
    return None
