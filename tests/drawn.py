"""Request bodies drawn at random: the bytes, what is wrong with them and where, and how they were made.

Valid requests in every spelling that JSON has, valid ones with one fault, and bytes that are no JSON or are so only
just. What is drawn knows its verdict by construction: here lives no call of any code that judges. The same seed and
number give the same body; `python tests/drawn.py --count 1000` prints one a line, for judges in other languages.
"""

from __future__ import annotations

import argparse
import base64
import json
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any, Final, assert_never

from prospec.example import URLS, request, smallest_params
from prospec.ir import Choice, Evidence, Flag, ListOf, Media, Mode, Model, Number, Param, Size, Text, Type
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.plants import ABSENT, plants

MAX_BYTES = 1 << 20
MAX_DEPTH = 64
NO_JSON = frozenset({("json", "")})
SPEC = load()
PAIRS = tuple(pairs(SPEC))
ENVELOPE = ("model", "mode", "params", "webhook_url", "async")


class _Nothing:
    def __repr__(self) -> str:
        return "nothing"


NOTHING: Final = _Nothing()
"""The value of bytes that are no JSON."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """One body."""

    data: bytes
    made: str
    """How it was made: a kind, then what is particular to it."""
    value: Any = field(repr=False)
    """The JSON value of the bytes, or NOTHING."""
    faults: frozenset[tuple[str, str]] = frozenset()
    """(code, path) of all that is wrong. More than one where one mistake has several names, as a misspelt required
    param has; a judge may tell any of them first and need not tell all."""
    is_error: bool = False
    """Whether the fault breaks a documented fact, and so makes the request invalid."""

    @property
    def is_json(self) -> bool:
        return self.value is not NOTHING


@dataclass(frozen=True, slots=True)
class _Made:
    """A body that is not yet spelt."""

    value: Any
    made: str
    faults: frozenset[tuple[str, str]] = frozenset()
    is_error: bool = False


def draw(number: int, seed: int = 0) -> Drawn:
    """The body of that number. Of ten, three are valid, four have a fault and three are hostile bytes."""
    random = Random(f"{seed}:{number}")
    kind = number % 10
    if kind >= 7:
        return random.choice(HOSTILE)(random)
    return _spelt(random, _valid(random) if kind < 3 else random.choice(FAULTS)(random))


# Valid values

TEXTS = (
    "",
    "A red ball on a white table",
    "soft light",
    "\u5b89\u9759\u306a\u6e56\u3001\u591c\u660e\u3051",
    "\U0001f3ac \U0001f469\u200d\U0001f680 \U0001f1ea\U0001f1fa \U0010ffff",
    "\u0635\u0628\u0627\u062d \u202e\u05d0\u05d1\u202c e\u0301",
    'he said "no\\yes" / \\/ \\\\',
    "\x00\x01\b\t\n\f\r\x1f\x7f\x80\x9f\u2028\u2029\ufeff\ufffd\uffff",
    "\ud7ff\ue000 \\ud800 \\\\udc00 \\u0041",
    '{"model": [[[[ NaN, 1e400 ]]]], // }',
    "]]]]}}}}[[[[{{{{",
    "9" * 199 + " " + "9" * 400 + "e999",
    "'`\x00${x}`'; DROP TABLE --",
    "__proto__",
    "true",
    "5",
)
MEDIA = (
    "https://a",
    "HTTPS://Example.COM/A.PNG",
    "https://user:pass@example.com:8443/a/b.png?x=1&y=[2]#z",
    "https://[2001:db8::1]:443/clip.mp4",
    "https://example.com:/",
    "https://example.com?x",
    "https://\u4f8b\u3048.jp/\u753b\u50cf.png",
    "https://example.com/\U0001f3ac.mp4",
    "https://example.com/" + "a" * 3000,
    "pl-upload-3d756375a28d44cead027db57565f176",
)
NO_MEDIA = (
    "",
    " https://example.com/a.png",
    "https://example.com/a.png\n",
    "https://example.com/a b.png",
    "https://exa\x00mple.com/",
    "https://example.com/\u2028",
    "https:///a.png",
    "https://?a",
    "https://user@/a",
    "https://a\\b/",
    "https://[::1/",
    "https://a:123456/",
    "http://example.com/a.png",
    "//example.com/a.png",
    "example.com/a.png",
    "file:///etc/passwd",
    "data:image/png;base64,iVBORw0KGgo=",
    "https://",
)
OTHER_TYPES = (None, True, False, 0, 5, -1.5, "", "x", "5", [], ["x"], [[]], {}, {"url": "https://a"}, {"": None})


def _text(random: Random) -> str:
    drawn = random.random()
    if drawn < 0.6:
        return random.choice(TEXTS)
    if drawn < 0.95:
        return "".join(map(_character, random.choices(_PLANES, k=random.randrange(24)), [random] * 24))
    return random.choice(TEXTS[1:]) * random.randrange(2, 200)


_PLANES = (
    (0x20, 0x7F),
    (0x20, 0x7F),
    (0, 0x20),
    (0x7F, 0x800),
    (0x800, 0xD800),
    (0xE000, 0x10000),
    (0x10000, 0x110000),
)


def _character(plane: tuple[int, int], random: Random) -> str:
    return chr(random.randrange(*plane))


def _value(random: Random, type: Type) -> Any:
    match type:
        case Text():
            return _text(random)
        case Flag():
            return random.random() < 0.5
        case Choice(of):
            return random.choice(of)
        case Number(low, high, _):
            return _number(random, low, high)
        case Media(media):
            return random.choice(MEDIA) if random.random() < 0.7 else URLS[media]
        case ListOf(item, low, high):
            most = (high or 6) if random.random() < 0.1 else min(high or 3, 3)
            return [_value(random, item) for _ in range(random.randint(min(low or 0, most), most))]
        case Size():
            return _size(random, type)
        case _:
            assert_never(type)


def _number(random: Random, low: float | None, high: float | None) -> float:
    least = low if low is not None else -(2.0**70) if high is None else high - 1000
    most = high if high is not None else 2.0**70 if low is None else low + 1000
    drawn = random.random()
    if drawn < 0.2:
        return random.choice((least, most))
    if drawn < 0.7:
        return random.randint(math.ceil(least), math.floor(most))
    return min(max(random.uniform(least, most), least), most)


def _size(random: Random, size: Size) -> Any:
    if random.random() < 0.4:
        return random.choice(size.presets)
    step, ratio = size.multiple_of, size.max_ratio
    least, most = -(-size.min // step), size.max // step
    first = random.randint(least, most)
    if random.random() < 0.3:
        first -= first % ratio if first - first % ratio >= max(least, ratio) else 0
    ends = max(least, -(-first // ratio)), min(most, first * ratio)
    second = random.choice(ends) if random.random() < 0.5 else random.randint(*ends)
    sides = [("width", first * step), ("height", second * step)]
    random.shuffle(sides)
    return dict(sides)


def _params(random: Random, mode: Mode) -> dict[str, Any]:
    return {param.name: _value(random, param.type) for param in mode.params if param.mandatory or random.random() < 0.4}


def _request(random: Random, model: Model, mode: Mode, params: Any) -> dict[str, Any]:
    whole = request(model, mode, params)
    if mode is model.modes[0] and random.random() < 0.3:
        whole.pop("mode", None)
    if random.random() < 0.2:
        whole["webhook_url"] = _text(random)
    if random.random() < 0.2:
        whole["async"] = random.random() < 0.5
    return whole


def _valid(random: Random) -> _Made:
    model, mode = random.choice(PAIRS)
    return _Made(_request(random, model, mode, _params(random, mode)), f"valid: {model.id}/{mode.id}")


# Faults: each a valid request with one mistake


def _pointer(*parts: object) -> str:
    return "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in parts)


@cache
def _plants(model: str, mode: str) -> tuple[tuple[Param, str, Any, str], ...]:
    rows = next(each for of, each in PAIRS if (of.id, each.id) == (model, mode)).params
    return tuple((param, plant.code, plant.value, plant.path) for param in rows for plant in plants(SPEC, param))


def _planted(random: Random) -> _Made:
    """A plant of the lattice."""
    model, mode = random.choice(PAIRS)
    return _with_fault(random, model, mode, *random.choice(_plants(model.id, mode.id)))


def _with_fault(random: Random, model: Model, mode: Mode, param: Param, code: str, value: Any, path: str) -> _Made:
    params = {**_params(random, mode), param.name: value}
    if value is ABSENT:
        del params[param.name]
    return _Made(
        _request(random, model, mode, params),
        f"fault: {code} at {param.name}{path} of {model.id}/{mode.id}",
        frozenset({(code, _pointer("params", param.name) + path)}),
        param.evidence_of(code) is Evidence.DOCUMENTED,
    )


def _off_the_lattice(random: Random) -> _Made:
    """A value of another type, a number anywhere off its range, a listed value changed, a bad item anywhere."""
    model, mode = random.choice(PAIRS)
    param = random.choice(mode.params)
    if random.random() < 0.4:
        other = [value for value in OTHER_TYPES if not _is_of(param.type, value)]
        return _with_fault(random, model, mode, param, "type", random.choice(other), "")
    match param.type:
        case Choice(of):
            value = random.choice(of)
            wrong = random.choice(
                (f" {value}", f"{value}\n", value.upper(), value[:-1], value * 2, _text(random), "\0")
            )
            fault: tuple[str, Any, str] = ("type", None, "") if wrong in of else ("enum", wrong, "")
        case Number(low, high, _) if low is not None and (high is None or random.random() < 0.5):
            far = (
                math.nextafter(low, -math.inf),
                low - 10.0 ** random.randint(-9, 300),
                -(10 ** random.randrange(12, 300)),
            )
            fault = ("minimum", min(random.choice(far), math.nextafter(low, -math.inf)), "")
        case Number(_, high, _) if high is not None:
            far = (
                math.nextafter(high, math.inf),
                high + 10.0 ** random.randint(-9, 300),
                10 ** random.randrange(12, 300),
            )
            fault = ("maximum", max(random.choice(far), math.nextafter(high, math.inf)), "")
        case Media():
            fault = ("media", random.choice(NO_MEDIA), "")
        case ListOf(item, _, high):
            items = [_value(random, item) for _ in range(random.randint(1, high or 4))]
            at = random.randrange(len(items))
            code = random.choice(("media", "type"))
            items[at] = random.choice(NO_MEDIA) if code == "media" else random.choice((None, 5, True, [], {}))
            fault = (code, items, f"/{at}")
        case Size():
            size = {**_object(random, param.type)}
            other = random.choice(("depth", "", "w/h~", "Width", "\u5bbd"))
            fault = ("additionalProperties", {**size, other: size["width"]}, _pointer(other))
        case _:
            fault = ("type", [], "")
    return _with_fault(random, model, mode, param, *fault)


def _object(random: Random, size: Size) -> dict[str, Any]:
    while not isinstance(drawn := _size(random, size), dict):
        pass
    return drawn


def _is_of(type: Type, value: object) -> bool:
    match type:
        case Text() | Choice() | Media():
            return isinstance(value, str)
        case Flag():
            return isinstance(value, bool)
        case Number():
            return isinstance(value, int | float) and not isinstance(value, bool)
        case ListOf():
            return isinstance(value, list)
        case Size():
            return isinstance(value, str | dict)
        case _:
            assert_never(type)


STRANGE_NAMES = (
    "",
    "a/b~c",
    "__proto__",
    "constructor",
    "toString",
    "\U0001f3ac",
    "\x00",
    "0",
    "length",
    "k" * 300,
    " ",
)


def _misspelt(random: Random, name: str, taken: tuple[str, ...]) -> str:
    """A name that is none of those taken, but looks like one of them."""
    at = random.randrange(len(name))
    head, *words = name.split("_")
    wrong = random.choice(
        (
            head + "".join(word.capitalize() for word in words),
            name.upper(),
            name.capitalize(),
            name + "s",
            name[:at] + name[at + 1 :],
            name[:at] + name[at : at + 2][::-1] + name[at + 2 :],
            name[:at] + name[at] * 2 + name[at + 1 :],
            name + random.choice(" \n\0\ufeff"),
            name.replace("_", "-"),
            name.replace("o", "\u043e").replace("e", "\u0435"),
        )
    )
    return wrong if wrong not in taken else f"{name}_"


def _misspelt_param(random: Random) -> _Made:
    model, mode = random.choice(PAIRS)
    params = _params(random, mode) or {mode.params[0].name: _value(random, mode.params[0].type)}
    name = random.choice([*params])
    param = mode.param(name)
    assert param
    wrong = _misspelt(random, name, tuple(param.name for param in mode.params))
    params = {wrong if key == name else key: value for key, value in params.items()}
    faults = {("additionalProperties", _pointer("params", wrong))}
    is_error = mode.evidence is Evidence.DOCUMENTED
    if param.mandatory:
        faults.add(("required", _pointer("params", name)))
        is_error = is_error or param.evidence is Evidence.DOCUMENTED
    made = f"misspelt: {wrong!r} for {name} in {model.id}/{mode.id}"
    return _Made(_request(random, model, mode, params), made, frozenset(faults), is_error)


def _unlisted_param(random: Random) -> _Made:
    model, mode = random.choice(PAIRS)
    names = {param.name for param in mode.params}
    others = sorted({param.name for _, other in PAIRS for param in other.params} - names)
    drawn = random.random()
    name = random.choice(others) if drawn < 0.4 else random.choice(STRANGE_NAMES) if drawn < 0.8 else _text(random)
    if name in names:
        name += "_"
    value = _junk(random) if random.random() < 0.8 else smallest_params(mode)
    params = [*_params(random, mode).items(), (name, value)]
    random.shuffle(params)
    made = f"unlisted: {name[:20]!r} in {model.id}/{mode.id}"
    fault = frozenset({("additionalProperties", _pointer("params", name))})
    return _Made(_request(random, model, mode, dict(params)), made, fault, mode.evidence is Evidence.DOCUMENTED)


def _wrapped(random: Random) -> _Made:
    """Params one level too deep, under a name that means params."""
    model, mode = random.choice(PAIRS)
    params, name = _params(random, mode), random.choice(("params", "input", "parameters", "arguments"))
    missing = [param for param in mode.params if param.mandatory]
    faults = {("additionalProperties", _pointer("params", name))}
    faults |= {("required", _pointer("params", param.name)) for param in missing}
    is_error = any(each.evidence is Evidence.DOCUMENTED for each in [mode, *missing])
    whole = _request(random, model, mode, {name: params})
    return _Made(whole, f"wrapped: {name} in params of {model.id}/{mode.id}", frozenset(faults), is_error)


def _envelope(random: Random) -> _Made:
    model, mode = random.choice(PAIRS)
    whole = _request(random, model, mode, _params(random, mode))
    kind = random.choice([*_ENVELOPE_FAULTS])
    value, faults = _ENVELOPE_FAULTS[kind](random, whole)
    return _Made(value, f"envelope: {kind} in {model.id}/{mode.id}", frozenset(faults), is_error=True)


_Faulty = tuple[Any, tuple[tuple[str, str], ...]]


def _but(code: str, name: str, *values: Any) -> Callable[[Random, dict[str, Any]], _Faulty]:
    return lambda random, whole: ({**whole, name: random.choice(values)}, ((code, f"/{name}"),))


def _lacks(name: str) -> Callable[[Random, dict[str, Any]], _Faulty]:
    return lambda _, whole: ({key: whole[key] for key in whole if key != name}, (("required", f"/{name}"),))


def _beside(random: Random, whole: dict[str, Any]) -> _Faulty:
    names = [name for name in whole["params"] if name not in ENVELOPE]
    faults = [("additionalProperties", _pointer(name)) for name in names]
    rest = {key: value for key, value in whole.items() if key != "params"}
    return {**rest, **whole["params"]}, (("required", "/params"), *faults)


def _unlisted_member(random: Random, whole: dict[str, Any]) -> _Faulty:
    name = random.choice((*STRANGE_NAMES, "model_id", "prompt", "Model", "webhookUrl", "stream"))
    members = [*whole.items(), (name, _junk(random))]
    random.shuffle(members)
    return dict(members), (("additionalProperties", _pointer(name)),)


def _misspelt_member(random: Random, whole: dict[str, Any]) -> _Faulty:
    name = random.choice([*whole])
    wrong = _misspelt(random, name, ENVELOPE)
    faults = [("additionalProperties", _pointer(wrong))]
    if name in ("model", "params"):
        faults.append(("required", f"/{name}"))
    if name == "mode":  # without it the first mode is meant, of which the params may be wrong
        return _but("mode", "mode", "nope")(random, whole)
    return {wrong if key == name else key: value for key, value in whole.items()}, tuple(faults)


_ENVELOPE_FAULTS: dict[str, Callable[[Random, dict[str, Any]], _Faulty]] = {
    "no object": lambda random, whole: (random.choice((None, True, 5, "", [], [whole], "{}")), (("type", ""),)),
    "empty": lambda *_: ({}, (("required", "/model"), ("required", "/params"))),
    "no model": _lacks("model"),
    "model of another type": _but("type", "model", None, 5, True, ["kling-o3"], {}),
    "unknown model": _but("model", "model", "", "veo", "seedance-2-fast\n", "Kling-O3", "KLING-O3", "__proto__", "\0"),
    "mode of another type": _but("type", "mode", None, 1, False, ["text"], {}),
    "unknown mode": _but("mode", "mode", "", "Text", "text\n", "i2v", "constructor", "\U0001f3ac"),
    "no params": _lacks("params"),
    "params of another type": _but("type", "params", None, [], "{}", 5, [{"prompt": "x"}]),
    "webhook_url of another type": _but("type", "webhook_url", None, 5, True, [], ["https://a"], {}),
    "async of another type": _but("type", "async", None, 0, 1, "true", [], {}),
    "params beside model": _beside,
    "unlisted member": _unlisted_member,
    "misspelt member": _misspelt_member,
}


def _mode_of_ours(random: Random) -> _Made:
    """A mode given where the API declares none: a warning."""
    model, mode = random.choice([pair for pair in PAIRS if not pair[1].on_wire])
    whole = {**_request(random, model, mode, _params(random, mode)), "mode": mode.id}
    faults = frozenset({("mode", "/mode"), ("additionalProperties", "/mode")})
    return _Made(whole, f"mode of ours: {model.id}", faults)


FAULTS = (
    *[_planted] * 5,
    *[_off_the_lattice] * 5,
    *[_envelope] * 4,
    *[_misspelt_param] * 2,
    *[_unlisted_param] * 2,
    _wrapped,
    _mode_of_ours,
)


# Spellings of a JSON value


def _spelt(random: Random, made: _Made) -> Drawn:
    drawn = random.random()
    if drawn < 0.1:
        text = json.dumps(made.value)
    elif drawn < 0.2:
        text = json.dumps(made.value, ensure_ascii=False, separators=(",", ":"))
    elif drawn < 0.25:
        text = json.dumps(made.value, indent=random.choice((2, "\t")))
    else:
        space = _tight if random.random() < 0.3 else _loose
        text = space(random) + _spell(random, made.value, space) + space(random)
    return Drawn(text.encode(), made.made, made.value, made.faults, made.is_error)


def _tight(_: Random) -> str:
    return ""


def _loose(random: Random) -> str:
    return random.choice(("", "", "", " ", "\n", "\t", "\r\n", "  \n\t "))


def _spell(random: Random, value: Any, space: Callable[[Random], str]) -> str:
    match value:
        case bool() | None:
            return json.dumps(value)
        case int() | float():
            return _spell_number(random, value)
        case str():
            return _spell_text(random, value)
        case list():
            items = [space(random) + _spell(random, item, space) + space(random) for item in value]
            return "[" + ",".join(items or [space(random)]) + "]"
    members = [*value.items()]
    if random.random() < 0.5:
        random.shuffle(members)
    if members and random.random() < 0.1:  # of equal keys the last one wins, so the others stand before it
        at = random.randrange(len(members))
        members[:at] = [*members[:at], *((members[at][0], _junk(random)) for _ in range(random.randint(1, 3)))]
    spelt = [
        f"{space(random)}{_spell_text(random, name)}{space(random)}:{space(random)}{_spell(random, inner, space)}"
        for name, inner in members
    ]
    return "{" + ",".join(spelt or [space(random)]) + space(random) + "}"


def _spell_number(random: Random, value: float) -> str:
    if not value:
        return random.choice(("0", "-0", "0.0", "-0.0", "0e5", "0E+00", "0.000e-9", "0e99999"))
    exact = Decimal(repr(value))
    drawn = random.random()
    if drawn < 0.4:
        return json.dumps(value)
    if drawn < 0.6 and abs(value) < 1e15:
        plain = f"{exact:f}"
        return plain + ("0" if "." in plain else random.choice((".0", ".000")))
    shift = random.randint(-3, 6)
    moved = f"{exact.scaleb(shift):f}" if abs(value) < 1e15 and abs(value) > 1e-9 else repr(float(value))
    if "e" in moved or "E" in moved:
        return moved
    sign = random.choice(("", "+")) if shift <= 0 else "-"
    return f"{moved}{random.choice('eE')}{sign}{'0' * random.randrange(3)}{abs(shift)}"


_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "/": "\\/"}


def _spell_text(random: Random, text: str) -> str:
    drawn = random.random()
    if drawn < 0.5 or len(text) > 400:
        return json.dumps(text, ensure_ascii=drawn < 0.25)
    often = 1.0 if drawn < 0.6 else 0.2
    spelt = []
    for character in text:
        short = _SHORT.get(character)
        if short and (character != "/" or random.random() < 0.5) and random.random() < 0.7:
            spelt.append(short)
        elif character < " " or character in '"\\' or random.random() < often:
            spelt.append(_escape(random, character))
        else:
            spelt.append(character)
    return f'"{"".join(spelt)}"'


def _escape(random: Random, character: str) -> str:
    r"""\u and four digits, twice beyond the first plane, in either case."""
    units = character.encode("utf-16-be")
    digits = "".join(f"\\u{units[at]:02x}{units[at + 1]:02x}" for at in range(0, len(units), 2))
    return digits if random.random() < 0.7 else digits.upper().replace("U", "u")


_JUNK = (None, True, 0, -1, 5.5, 1e300, "", "x", "\U0001f3ac", [], {}, [[]], {"a": [1, {"b": None}]}, [1, "2", None])


def _junk(random: Random) -> Any:
    return random.choice(_JUNK)


# Hostile bytes

_Hostile = Callable[[Random], Drawn]
LARGEST = 2**1024 - 2**970
"""The smallest integer that rounds to infinity as a double."""


def _overwritten(random: Random, text: str) -> tuple[bytes, Any]:
    """A valid request of which that text is a value, overwritten; and the value without it."""
    model, mode = random.choice(PAIRS)
    whole = request(model, mode, _params(random, mode))
    spelt = json.dumps(whole, ensure_ascii=random.random() < 0.5)
    if random.random() < 0.5 or not whole["params"]:
        return f'{{"params": {text}, {spelt[1:]}'.encode(), whole
    head, brace, tail = spelt.partition('"params": {')
    name = next(iter(whole["params"]))
    return f'{head}{brace}"{name}": {text}, {tail}'.encode(), whole


def _at_seat(random: Random, text: str) -> bytes:
    """A request of which that text is a value that counts, overwritten or alone."""
    drawn = random.random()
    if drawn < 0.4:
        return f'{{"model": "kling-o3", "params": {{"prompt": "x", "duration": {text}}}}}'.encode()
    return _overwritten(random, text)[0] if drawn < 0.8 else text.encode()


def _no_json(made: str, data: bytes) -> Drawn:
    return Drawn(data, made, NOTHING, NO_JSON, is_error=True)


def _valid_bytes(random: Random) -> tuple[bytes, Any]:
    drawn = _spelt(random, _valid(random))
    return drawn.data, drawn.value


def _depth(random: Random) -> Drawn:
    """Nests just as deep as allowed, or deeper: alone, or where a later key overwrites it."""
    levels = random.choice((2, 32, 62, 63, 64, 65, 66, 67, 128, 1000, 100_000))
    opening, closing, core = random.choice(
        (("[", "]", ""), ('{"a":', "}", "1"), ('[{"a":', "}]", "1"), ("[[],", "]", "0"))
    )
    each = 2 if opening == '[{"a":' else 1
    levels -= levels % each
    text = opening * (levels // each) + core + closing * (levels // each)
    depth = levels + (opening == "[[],")
    where = random.choice(("alone", "alone", "in the envelope", "in params", "unclosed", "in a text"))
    made = f"depth: {levels} of {opening} {where}"
    model, mode = random.choice(PAIRS)
    whole = request(model, mode, _params(random, mode))
    spelt = json.dumps(whole)
    if where == "unclosed":
        return _no_json(made, text[: -random.randint(1, levels // each)].encode())
    if where == "in a text":
        whole["webhook_url"] = text
        return Drawn(json.dumps(whole, ensure_ascii=False).encode(), made, whole)
    if where == "alone":
        if depth > MAX_DEPTH:
            return _no_json(made, text.encode())
        faults = {("type", "")}
        if opening == '{"a":':
            faults = {("required", "/model"), ("required", "/params"), ("additionalProperties", "/a")}
        return Drawn(text.encode(), made, json.loads(text), frozenset(faults), is_error=True)
    if where == "in params" and whole["params"]:
        name = next(iter(whole["params"]))
        spelt = spelt.replace('"params": {', f'"params": {{"{name}": {text}, ', 1)
        depth += 2
    else:
        spelt = f'{{"params": {text}, {spelt[1:]}'
        depth += 1
    return _no_json(made, spelt.encode()) if depth > MAX_DEPTH else Drawn(spelt.encode(), made, whole)


NO_NUMBERS = (
    "NaN", "Infinity", "-Infinity", "nan", "inf", "-NaN", "+Infinity", "1e400", "-1e400", "1E+309", "0.1e310",
    "1.7976931348623159e308", "01", "-01", "00", "+1", ".5", "-.5", "1.", "-1.", "1.e5", "0x1", "0b1", "0o7", "1e",
    "1e+", "1e5.5", "--1", "-", "- 1", "1_000", "1 000", "1e 5", "5f", "5n", "5L", "\uff11", "\u0663", "\u00bd",
    "\u221e", "1\u0660", "True", "None", "undefined", "TRUE", "nul", "truefalse", "nulll", "tru\\u0065",
)  # fmt: skip


def _no_number(random: Random) -> Drawn:
    """A word or number that JSON does not have, or that no double holds."""
    text = random.choice(NO_NUMBERS)
    return _no_json(f"number: {text}", _at_seat(random, text))


def _long_number(random: Random) -> Drawn:
    """A literal of up to 5,000 digits, with or without a point and an exponent, that a double may or may not hold."""
    digits = random.choice((random.randint(1, 40), random.randint(290, 320), random.randint(1, 5000)))
    text = str(random.randint(1, 9)) + "".join(random.choices("0123456789", k=digits - 1))
    if random.random() < 0.1:
        edge = LARGEST - random.randint(0, 1)
        text, digits = str(edge), 309
    exponent = 0
    if random.random() < 0.3:
        point = random.randint(1, digits)
        text, exponent = (text, 0) if point == digits else (f"{text[:point]}.{text[point:]}", 0)
    if random.random() < 0.4:
        exponent = random.choice(
            (0, 5, -5, 300 - digits, 305 - digits, 308 - digits, 309 - digits, 310 - digits, -digits)
        )
    literal = random.choice(("", "", "-")) + text
    size = Fraction(Decimal(literal)) * Fraction(10) ** exponent
    if exponent or random.random() < 0.1:
        sign = "-" if exponent < 0 else random.choice(("", "+"))
        literal += f"{random.choice('eE')}{sign}{'0' * random.choice((0, 0, 1, 5))}{abs(exponent)}"
    made = f"number: {digits} digits, exponent {exponent}"
    if abs(size) >= LARGEST:
        return _no_json(made, _at_seat(random, literal))
    value = float(size)
    if random.random() < 0.3:
        data, whole = _overwritten(random, literal)
        return Drawn(data, made, whole)
    prompt = _text(random)
    name, low, high = random.choice((("duration", 4, 15), ("seed", 0, 2147483647)))
    whole = {"model": "seedance-2-fast", "params": {"prompt": prompt, name: value}}
    data = f'{{"model": "seedance-2-fast", "params": {{"prompt": {json.dumps(prompt)}, "{name}": {literal}}}}}'.encode()
    code = "minimum" if value < low else "maximum" if value > high else ""
    faults = frozenset({(code, f"/params/{name}")} if code else ())
    return Drawn(data, made, whole, faults, bool(code))


HALVES = (
    r"\ud83d", r"\ude00", r"\uD83D", r"\uDE00", r"\ude00\ud83d", r"\ud83d\ud83d\ude00", r"\ud83d\ude00\ude00",
    r"\ud83d\u0041", r"\ud83dx\ude00", r"\ud83d\\ude00", r"\ud83d\n\ude00", r"\\\ud83d", r"\\\\\ude00", r"\udbff",
    r"\udfff", r"\ud800", r"\udc00", r"\ud83d\ude00\ud83d", r"\ud83d\\\ude00", r"\"\ud83d", "\\ud83d\U0001f600",
    "\U0001f600\\ude00",
)  # fmt: skip
NO_ESCAPES = (
    r"\u12", r"\u", r"\u12G4", r"\u+123", r"\u 123", r"\u-123", r"\u0_41", r"\U0041", r"\x41", r"\'", r"\0", r"\v",
    r"\a", "\\\n", r"\u{41}", r"\N{DASH}", "\\u\uff10\uff10\uff14\uff11", r"\ud83d\ude0", r"\ud83d\u", "\\\u00e9",
)  # fmt: skip
WHOLE = (
    r"\\ud83d", r"\\\\ude00", r"\ud83d\ude00", r"\uD83D\uDE00", r"\\\ud83d\ude00", r"\udbff\udfff", r"\ud7ff\ue000",
    r"\uFFFF\ufeff", r"\u0000", r"\\u12", r"\"\\\"\\\\", "\x7f\x80\u2028\u2029\ufeff\uffff",
)  # fmt: skip


def _in_a_text(random: Random, piece: str) -> tuple[bytes, str]:
    """A request with that piece in a string: a value, a name, or one that is overwritten. And where it is."""
    around = random.choice(("", "a", "\u00e9", r"\\", r"\n", '\\"'))
    after = random.choice(("", "z", r"\\", " "))
    text = f'"{around}{piece}{after}"'
    where = random.choice(("value", "name", "overwritten", "nested"))
    match where:
        case "value":
            body = f'{{"model": "kling-o3", "params": {{"prompt": {text}}}}}'
        case "name":
            body = f'{{"model": "kling-v3", "params": {{"prompt": "x", {text}: 1}}}}'
        case "overwritten":
            return _overwritten(random, text)[0], where
        case _:
            body = f'{{"model": "kling-v3", "params": {{"prompt": "x", "x": [[{{"y": {text}}}]]}}}}'
    return body.encode(), where


def _half_a_pair(random: Random) -> Drawn:
    piece = random.choice(HALVES)
    data, where = _in_a_text(random, piece)
    return _no_json(f"surrogate: {piece} in a {where}", data)


def _no_escape(random: Random) -> Drawn:
    piece = random.choice(NO_ESCAPES)
    data, where = _in_a_text(random, piece)
    return _no_json(f"escape: {piece!r} in a {where}", data)


def _control(random: Random) -> Drawn:
    character = chr(random.randrange(0x20))
    data, where = _in_a_text(random, character)
    return _no_json(f"control character: {ord(character)} in a {where}", data)


def _whole_escape(random: Random) -> Drawn:
    """What only looks like half a pair or a control character."""
    piece = random.choice(WHOLE)
    text = json.loads(f'"{piece}"')
    data = f'{{"model": "kling-o3", "params": {{"prompt": "{piece}"}}, "webhook_url": "{piece}{piece}"}}'.encode()
    value = {"model": "kling-o3", "params": {"prompt": text}, "webhook_url": text + text}
    return Drawn(data, f"escape: {piece!r}", value)


NO_UTF8 = (
    b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    b"\xed\xa0\xbd", b"\xed\xb8\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\x80", b"\xbf", b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xfc\x84\x80\x80\x80\x80", b"\xfe", b"\xff", b"\xc3", b"\xe2\x82",
    b"\xf0\x9f\x98", b"\xc3(", b"\xe2(\xa1", b"\xe9",
)  # fmt: skip


def _no_utf8(random: Random) -> Drawn:
    """Bytes that no UTF-8 has, at any place of a request: in a string or between the tokens."""
    data, _ = _valid_bytes(random)
    wrong, at = random.choice(NO_UTF8), random.randrange(len(data) + 1)
    while at < len(data) and data[at] & 0xC0 == 0x80:  # not amid a character, whose bytes might complete these
        at += 1
    return _no_json(f"encoding: {wrong!r} at byte {at}", data[:at] + wrong + data[at:])


def _encoding(random: Random) -> Drawn:
    data, _ = _valid_bytes(random)
    name = random.choice(("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be", "twice"))
    text = data.decode()
    coded = b"\xef\xbb\xbf\xef\xbb\xbf" + data if name == "twice" else text.encode(name)
    return _no_json(f"encoding: {name}", coded)


def _truncated(random: Random) -> Drawn:
    """The beginning of a request: no beginning of an object is JSON."""
    data, _ = _valid_bytes(random)
    at = random.randrange(len(data.rstrip(b" \t\r\n")))
    return _no_json(f"truncated: at byte {at} of {len(data)}", data[:at])


TRAILING = (
    "x", "{}", "[]", ",", "]", "}", "\0", "1", '""', "null", "//", "/* */", "#", "\ufeff", "\u00a0", "\x0c", "\x0b",
    "\u2028", ";", "\n\n{}", "\x1a",
)  # fmt: skip


def _trailing(random: Random) -> Drawn:
    data, _ = _valid_bytes(random)
    more = random.choice((*TRAILING, data.decode()))
    return _no_json(f"trailing: {more[:12]!r}", data + random.choice((b"", b" ", b"\n")) + more.encode())


def _padded(random: Random) -> Drawn:
    """White space around a request, of which JSON has four characters and other standards many more."""
    data, value = _valid_bytes(random)
    space = random.choice(
        (" ", "\n", "\t", "\r", "\x0b", "\x0c", "\x85", "\u00a0", "\u2003", "\u3000", "\ufeff", "\x1c", "\0")
    )
    wide = space.encode() * random.randint(1, 3)
    made, padded = f"space: {space!r}", random.choice((wide + data, data + wide, wide + data + wide))
    return Drawn(padded, made, value) if space in " \n\t\r" else _no_json(made, padded)


SYNTAX: tuple[str, ...] = (
    "", " ", "\n\t\r ", "\0", "'", '"', "{", "}", "[", "]", ":", ",", "{]", "[}", "{}}", "[[]", "[1,]", "[,1]",
    "[1,,2]", "[1 2]", "[1:2]", "{,}", '{"a"}', '{"a":}', '{"a":1,}', '{"a":1,,"b":2}', '{"a":1 "b":2}', '{"a" 1}',
    '{"a"=1}', "{a:1}", "{'a':1}", "{1:1}", "{null:1}", "{[]:1}", '{"a":1;"b":2}', "['a']", "[`a`]", "// c\n{}",
    "/* c */{}", "{}// c", '{"a":/* c */1}', "# c\n{}", '{"a":1 // c\n}', "<!-- -->", "--- \na: 1", "a=1", "(1)", "[1",
    '"abc', '"abc\\"', '{"a":"b}', "{\\u0022a\\u0022:1}", "\\u007b}", "new Date()", "function(){}", "\x1e{}",
    ")]}',\n{}", "while(1);{}", "{}\x00{}", "tru", "fals", "n", "-", "1e", '{"a":tru}', "@", "%7B%7D",
)  # fmt: skip


def _syntax(random: Random) -> Drawn:
    """What resembles JSON: alone, or where a request has a value."""
    text = random.choice(SYNTAX)
    is_alone = random.random() < 0.5 or text.strip(" \n\t\r") in (",", "}", "]")
    return _no_json(f"syntax: {text!r}", text.encode() if is_alone else _at_seat(random, text))


def _edited(random: Random) -> Drawn:
    """A request without one of its structural characters, or with one doubled."""
    whole = _valid(random).value
    compact = json.dumps(whole, separators=(",", ":"))
    places = [at for at, character in enumerate(_blanked(compact)) if character in "{}[]:,"]
    at = random.choice(places)
    # Without its comma or with a bracket too many, nothing that was JSON is JSON still.
    edit = random.choice(("lost", "doubled"))
    left = compact[:at] + (compact[at + 1 :] if edit == "lost" else compact[at] + compact[at:])
    return _no_json(f"edited: {compact[at]} {edit} at {at}", left.encode())


def _blanked(compact: str) -> str:
    """The text with every string of it blanked out."""
    spelt, inside, escaped = [], False, False
    for character in compact:
        if inside:
            spelt.append(" ")
            inside = escaped or character != '"'
            escaped = not escaped and character == "\\"
        else:
            inside = character == '"'
            spelt.append(" " if inside else character)
    return "".join(spelt)


def _at_size(random: Random) -> Drawn:
    """As large as a body may be, or one byte larger: by white space, by a text, by a name."""
    over = random.random() < 0.5
    kind = random.choice(("space", "text", "name", "digits"))
    size = MAX_BYTES + over
    made = f"size: {size} bytes of {kind}"
    value: dict[str, Any] = {"model": "kling-v3", "params": {"prompt": "x"}}
    faults: frozenset[tuple[str, str]] = frozenset()
    spelt = json.dumps(value)
    missing = size - len(spelt)
    match kind:
        case "space":
            spelt += random.choice(" \n\t\r") * missing
        case "text":
            value["params"]["prompt"] += "a" * missing
            spelt = json.dumps(value)
        case "name":
            name = "a" * (missing - len(', "": 1'))
            value["params"][name] = 1
            spelt, faults = json.dumps(value), frozenset({("additionalProperties", f"/params/{name}")})
        case _:
            digits = "1" * (missing - len(', "x": 0.'))
            spelt = spelt.replace("}}", f', "x": 0.{digits}}}}}')
            value["params"]["x"] = 1 / 9
            faults = frozenset({("additionalProperties", "/params/x")})
    assert len(spelt) == size
    return _no_json(made, spelt.encode()) if over else Drawn(spelt.encode(), made, value, faults)


def _rarely(rare: _Hostile, often: _Hostile, share: float) -> _Hostile:
    return lambda random: (rare if random.random() < share else often)(random)


HOSTILE: tuple[_Hostile, ...] = (
    *[_depth] * 2,
    _no_number,
    *[_long_number] * 3,
    *[_half_a_pair] * 2,
    _no_escape,
    _rarely(_at_size, _control, 0.1),
    _whole_escape,
    _no_utf8,
    _encoding,
    *[_truncated] * 2,
    _trailing,
    _padded,
    _syntax,
    _edited,
)


# Bodies of any size, each made to be slow for some way of reading it


@dataclass(frozen=True, slots=True)
class _Crafted:
    head: str
    unit: str
    """What is repeated; %06d in it is a number that counts up."""
    tail: str = ""
    fault: str = ""
    """(code, path), with a space between them; * in it stands for all that is repeated, %06d for each number."""
    warns: bool = False

    def body(self, name: str, size: int) -> Drawn:
        is_counting = "%" in self.unit
        width = len((self.unit % 0 if is_counting else self.unit).encode())
        count = (size - len((self.head + self.tail).encode())) // width
        middle = "".join(self.unit % number for number in range(count)) if is_counting else self.unit * count
        data = (self.head + middle + self.tail).encode()
        if self.fault == "json":
            return _no_json(f"crafted: {name}", data)
        code, _, path = self.fault.partition(" ")
        paths = [path % number for number in range(count)] if "%" in path else [path.replace("*", middle)]
        faults = frozenset((code, each) for each in paths if code)
        return Drawn(data, f"crafted: {name}", json.loads(data), faults, bool(faults) and not self.warns)


def _in_prompt(unit: str, before: str = "") -> _Crafted:
    return _Crafted(f'{{"model": "kling-v3", "params": {{"prompt": "{before}', unit, '"}}')


def _in_url(
    unit: str, before: str = "https://", after: str = " ", fault: str = "media /params/image_urls/0"
) -> _Crafted:
    head = '{"model": "nano-banana-2", "mode": "edit", "params": {"prompt": "x", "image_urls": ["'
    return _Crafted(head + before, unit, after + '"]}}', fault)


def _in_list(unit: str, before: str = "1") -> _Crafted:
    """In a list that no table lists, in a mode that is assumed."""
    head = f'{{"model": "kling-v3", "params": {{"prompt": "x", "x": [{before}'
    return _Crafted(head, unit, "]}}", "additionalProperties /params/x", warns=True)


def _in_kling(name: str, unit: str, fault: str, before: str = '"', after: str = '"') -> _Crafted:
    head = f'{{"model": "kling-o3", "params": {{"prompt": "x", "{name}": {before}'
    return _Crafted(head, unit, after + "}}", f"{fault} /params/{name}")


_PAIR = r"\ud83d\ude00"
CRAFTED: Mapping[str, _Crafted] = {
    "plain text": _in_prompt("a"),
    "text beyond the first plane": _in_prompt("\U0001f3ac"),
    "runs of 199 digits": _in_prompt("1" * 199 + ","),
    "a run of digits": _in_prompt("1"),
    "exponents in a text": _in_prompt("e0000"),
    "escapes beside a pair": _in_prompt(r"\n", _PAIR),
    "escaped backslashes beside a pair": _in_prompt(r"\\", _PAIR),
    "backslashes before u": _in_prompt(r"\\ud83d", _PAIR),
    "pairs": _in_prompt(_PAIR),
    "brackets in a text": _in_prompt("[{"),
    "quotes in a text": _in_prompt(r"[\""),
    "a long host": _in_url("a", after="", fault=""),
    "a long host and a space": _in_url("a"),
    "a long host and a bracket": _in_url("a", after="["),
    "a long path": _in_url("a", "https://a/", "", ""),
    "a long path and a space": _in_url("a", "https://a/"),
    "at signs": _in_url("a@"),
    "labels": _in_url("a.", "", "bc/"),
    "colons": _in_url(":"),
    "a long address": _in_url("f:", "https://["),
    "a long token": _in_url("0", "pl-upload-"),
    "URLs": _in_url('https://a","', "", "https://a", "maxItems /params/image_urls"),
    "no URLs": _in_url('x","', "", "https://a", "maxItems /params/image_urls"),
    "a long listed value": _in_kling("quality", "pro", "enum"),
    "a long number in quotes": _in_kling("duration", "5", "type"),
    "spaces before a unit": _in_kling("duration", " ", "type", '"5', 's"'),
    "a long number": _in_kling("duration", "0", "maximum", "16.", "1"),
    "a long model": _Crafted('{"model": "', "kling-v3", '", "params": {}}', "model /model"),
    "a long mode": _Crafted('{"model": "kling-v3", "params": {}, "mode": "', "text", '"}', "mode /mode"),
    "a long name": _Crafted(
        '{"model": "kling-o3", "params": {"prompt": "x", "', "promp", '": 1}}', "additionalProperties /params/*"
    ),
    "a long member": _Crafted(
        '{"model": "kling-o3", "params": {"prompt": "x"}, "', "model", '": 1}', "additionalProperties /*"
    ),
    "many names": _Crafted(
        '{"model": "kling-o3", "params": {"prompt": "x"', ', "%06d": 1', "}}", "additionalProperties /params/%06d"
    ),
    "many members": _Crafted(
        '{"model": "kling-o3", "params": {"prompt": "x"}', ', "%06d": 1', "}", "additionalProperties /%06d"
    ),
    "many names in a size": _Crafted(
        '{"model": "gpt-image-2", "params": {"prompt": "x", "image_size": {"width": 1024, "height": 1024',
        ', "%06d": 1',
        "}}}",
        "additionalProperties /params/image_size/%06d",
    ),
    "equal names": _Crafted('{"model": "kling-o3", "params": {', '"prompt": "x", ', '"prompt": "x"}}'),
    "white space": _Crafted('{"model": "kling-o3", "params": {"prompt": "x"}', " ", "}"),
    "integers": _in_list(",1"),
    "integers beside a long number": _in_list(",1", "0." + "1" * 400),
    "numbers with an exponent": _in_list(",1e9"),
    "numbers with a long exponent": _in_list(",1e100"),
    "literals": _in_list(",true"),
    "texts": _in_list(',""'),
    "lists": _in_list(",[]"),
    "objects": _in_list(",{}"),
    "nests of 60": _in_list("," + "[" * 60 + "]" * 60),
    "lists that are overwritten": _Crafted(
        '{"params": [1', ",[]", '], "model": "kling-o3", "params": {"prompt": "x"}}'
    ),
    "opening brackets": _Crafted("", "[", "", "json"),
    "opening objects": _Crafted("", '{"":', "", "json"),
    "closing brackets": _Crafted("[", "]", "", "json"),
    "quotes": _Crafted("[", '""', "]", "json"),
    "an open text": _Crafted('"', r"\\", "", "json"),
    "half a pair": _Crafted('{"model": "', r"\\", r'\ud83d"}', "json"),
    "a long integer": _Crafted("[", "1", "]", "json"),
    "long integers": _Crafted("[", "1" * 4000 + ",", "1]", "json"),
    "newlines": _Crafted("", "\n", "?", "json"),
    "minus signs": _Crafted("[", "-", "]", "json"),
    "dots": _Crafted("[1", ".", "]", "json"),
}


def crafted(name: str, size: int = MAX_BYTES) -> Drawn:
    """The body of that name, of that size or a little less."""
    return CRAFTED[name].body(name, size)


def main() -> None:
    """Print bodies, one a line: what a judge in another language needs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0)
    options = parser.parse_args()
    for number in range(options.first, options.first + options.count):
        drawn = draw(number, options.seed)
        line = {
            "number": number,
            "made": drawn.made,
            "data": base64.b64encode(drawn.data).decode(),
            "valid": not drawn.is_error,
            "faults": sorted(drawn.faults),
        }
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
