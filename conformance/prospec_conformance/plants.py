"""The lattice: for each row of the catalog, the values to try. Valid ones at every edge, and faults just beyond.

A plant is one thing broken in an otherwise valid request, and it knows which rule it breaks. Here live no I/O and no
randomness: the same catalog gives the same plants in the same order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, assert_never

from prospec.example import PROMPT, URLS, plain_value
from prospec.ir import Choice, Flag, ListOf, Media, Number, Param, Size, Spec, Text

TEXT = "soft light"
"""A second harmless text, for params that are not the prompt."""


class _Absent:
    def __repr__(self) -> str:
        return "absent"


ABSENT: Final = _Absent()
"""The value of a plant that leaves the param out."""


@dataclass(frozen=True, slots=True)
class Plant:
    """One rule of one row, broken."""

    param: Param
    code: str
    """What a validator calls the rule; see the contract."""
    value: Any
    path: str = ""
    """Where below the param the fault lies, as a JSON Pointer."""

    def into(self, params: dict[str, Any]) -> dict[str, Any]:
        """A copy of valid params with the fault in it."""
        planted = {**params, self.param.name: self.value}
        if self.value is ABSENT:
            del planted[self.param.name]
        return planted


def plants(spec: Spec, param: Param) -> Iterator[Plant]:
    """Every fault of one row."""
    if param.mandatory:
        yield Plant(param, "required", ABSENT)
        yield Plant(param, "type", None)
    match param.type:
        case Text():
            yield from _types(param, 5, True, [PROMPT], {"text": PROMPT})
        case Flag():
            yield from _types(param, "true", 1, [True])
        case Choice(of):
            yield from _types(param, _unquoted(of), True, [of[0]])
            for value in _strangers(spec, param, of):
                yield Plant(param, "enum", value)
        case Number(low, high, _):
            inside = plain_value(param)
            yield from _types(param, str(inside), True, [inside], {})
            if low is not None:
                yield from (Plant(param, "minimum", value) for value in (low - 1, low - 0.5))
            if high is not None:
                yield from (Plant(param, "maximum", value) for value in (high + 1, high + 0.5))
        case Media(media):
            yield from _types(param, 5, [URLS[media]])
            for value in _no_media(media):
                yield Plant(param, "media", value)
        case ListOf(item, low_items, high_items):
            url = URLS[item.media]
            yield from _types(param, url, 5, {"url": url})
            yield Plant(param, "type", [5], "/0")
            for value in _no_media(item.media):
                yield Plant(param, "media", [value], "/0")
            if high_items is None or high_items > 1:
                yield Plant(param, "media", [url, "not-a-url"], "/1")
            if low_items:
                yield Plant(param, "minItems", [])
            if high_items is not None:
                yield Plant(param, "maxItems", urls(item, high_items + 1))
        case Size():
            yield from _sizes(param, param.type)
        case _:
            assert_never(param.type)


def one_of_each(spec: Spec, param: Param) -> list[Plant]:
    """A fault of each rule of a row, that of the type first: whoever knows the row refuses it."""
    first = {plant.code: plant for plant in reversed(list(plants(spec, param))) if plant.value is not None}
    return sorted(first.values(), key=lambda plant: plant.code != "type")


def _types(param: Param, *values: Any) -> Iterator[Plant]:
    for value in values:
        yield Plant(param, "type", value)


def _unquoted(of: tuple[str, ...]) -> int:
    """The number that a list of strings tempts one to send: 8 for "8s"."""
    digits = [value.removesuffix("s") for value in of if value.removesuffix("s").isdigit()]
    return int(digits[-1]) if digits else 5


def _strangers(spec: Spec, param: Param, of: tuple[str, ...]) -> list[str]:
    """Strings that the list does not hold: nonsense, another case, and what sibling rows take.

    Siblings are rows of that name, and rows of another name that have a value in common. Those that share
    values come first: theirs are the likeliest to slip through. The empty string is one that reads like nothing at
    all, and GIF the format of pictures that no list has.
    """
    lists = {
        other.type.of
        for model in spec.models
        for mode in model.modes
        for other in mode.params
        if isinstance(other.type, Choice) and (other.name == param.name or set(other.type.of) & set(of))
    }
    siblings = [value for each in sorted(lists, key=lambda each: (not set(each) & set(of), each)) for value in each]
    cased = [value.swapcase() for value in of if value.swapcase() not in of]
    strangers = [value for value in dict.fromkeys(siblings) if value not in of]
    cut = [of[0][:-1]] if len(of[0]) > 1 and of[0][:-1] not in of else []
    seconds = [int(value[:-1]) for value in of if value[:-1].isdigit() and value.endswith("s")]
    skipped = range(min(seconds, default=0), max(seconds, default=0))
    between = [value for value in (f"{second}s" for second in skipped) if value not in of][:1]
    pictures = ["gif"] if "png" in of and "gif" not in of else []
    return ["no-such-value", "", f"{of[0]}\n", *pictures, *cut, *between, *cased[:1], *strangers[:3]]


def _no_media(media: str) -> list[str]:
    """Strings that are no media. A malformed token is not among them: a token is opaque, and may be resolved later."""
    elsewhere = [URLS[media].replace("https:", scheme) for scheme in ("http:", "ftp:")]
    return ["not-a-url", *elsewhere, "data:text/plain,x", "https://"]


def _sizes(param: Param, size: Size) -> Iterator[Plant]:
    step, low, high, ratio = size.multiple_of, size.min, size.max, size.max_ratio
    side = max(step, (low + high) // 2 // step * step)
    yield from _types(param, 5, True, [side, side])
    yield Plant(param, "enum", "no_such_size")
    yield Plant(param, "enum", "")
    yield Plant(param, "enum", f"{side}x{side}")
    yield Plant(param, "required", {"width": side}, "/height")
    yield Plant(param, "required", {"height": side}, "/width")
    yield Plant(param, "type", {"width": str(side), "height": side}, "/width")
    yield Plant(param, "type", {"width": side, "height": side + 0.5}, "/height")
    yield Plant(param, "multipleOf", {"width": side + 1, "height": side}, "/width")
    yield Plant(param, "multipleOf", {"width": side + step // 2, "height": side}, "/width")
    yield Plant(param, "multipleOf", {"width": side, "height": side - 1}, "/height")
    yield Plant(param, "maximum", {"width": (high // step + 1) * step, "height": high // step * step}, "/width")
    yield Plant(param, "maximum", {"width": high // step * step, "height": (high // step + 1) * step}, "/height")
    yield Plant(param, "minimum", {"width": 0, "height": low}, "/width")
    yield Plant(param, "minimum", {"width": low, "height": -step}, "/height")
    long = (high // step) * step
    short = (long // ratio // step) * step
    short -= step if short * ratio >= long else 0
    yield Plant(param, "size", {"width": long, "height": short})
    yield Plant(param, "size", {"width": short, "height": long})


def edges(param: Param) -> tuple[Any, ...]:
    """The valid values of a row that are worth a request: each member, both ends, the longest list.

    Empty where the documentation leaves open what a valid value is.
    """
    if param.gap_of("type") and isinstance(param.type, Text):
        return ()
    match param.type:
        case Text():
            return (TEXT,)
        case Flag():
            return (True, False)
        case Choice(of):
            return of
        case Number(low, high, _):
            bounds = tuple(bound for bound in (low, high) if bound is not None)
            return bounds or (7,)
        case Media(media):
            return (URLS[media],)
        case ListOf(item, _, high_items):
            return (urls(item, high_items or 1),)
        case Size():
            return (*param.type.presets, *_proportions(param.type))
        case _:
            assert_never(param.type)


def _proportions(size: Size) -> tuple[dict[str, int], ...]:
    """Both extremes of the ratio and of the longer side. The smallest side is left out: upstream adds a total of
    pixels that the provider's page does not show, and a value must stand on the page to be judged."""
    step = size.multiple_of
    long = size.max // step * step
    wide = {"width": long // 2 // step * step, "height": long // 2 // step * step // size.max_ratio}
    wide["height"] = -(-wide["height"] // step) * step
    large = {"width": long, "height": long * 9 // 16 // step * step}
    return (wide, {"width": wide["height"], "height": wide["width"]}, large, {"width": large["height"], "height": long})


def urls(item: Media, count: int) -> list[str]:
    """That many different URLs."""
    stem, dot, suffix = URLS[item.media].rpartition(".")
    return [f"{stem}-{number}{dot}{suffix}" for number in range(1, count + 1)]


def covering(rows: list[Param]) -> list[dict[str, Any]]:
    """Few requests that together hold every edge of every row: the k-th takes the k-th edge of each."""
    longest = max((len(edges(param)) for param in rows), default=0)
    return [
        {param.name: values[turn % len(values)] for param in rows if (values := edges(param))}
        for turn in range(longest)
    ]
