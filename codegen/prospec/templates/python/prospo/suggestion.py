"""What was likely meant: by a misspelt name, by a value of another list, by a name of another API.

Every function is a ladder: the first rung that holds decides, so that a suggestion can be told in a word and written in
any language. Here live no rule and no message, and no alias: those are in the catalog, from spec/aliases.toml.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache, lru_cache
from typing import TypeVar, TypeVarTuple

from .catalog import ALIASES, MODELS
from .model import Mode, Model

LONGEST = 80
"""Characters of a name that are looked at: nothing in the catalog is half as long."""
_ALIASES: Mapping[str, Mapping[str, Sequence[str]]] = {**ALIASES, "sides": {"w": ("width",), "h": ("height",)}}
_times = re.compile(r"(?<=[0-9])[x×](?=[0-9])")
_other = re.compile(r"[^a-z0-9]+")
_measure = re.compile(r"\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:([a-z]+)\s*)?")
_ratio = re.compile(r"\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*[:x×/*_,：\-]\s*([0-9]{1,6}(?:\.[0-9]{1,3})?)\s*(?:px)?")
_decimal = re.compile(r"[0-9]\.[0-9]{1,4}")
_point_zero = re.compile(r"[.-]0(?![0-9])")
"""kling-3.0 is kling-3."""
_braces = re.compile(r"\{([^{}]*)\}")
UNITS: Mapping[str, str] = {"sec": "s", "secs": "s", "second": "s", "seconds": "s", "px": "p", "pixels": "p"}
ALIKE = 0.02
"""How far apart, as the logarithm of their quotient, two ratios may be that mean the same."""
NEAR = 0.6
"""The same for two that may be taken for one another: from 1:1 to 16:9 it is 0.575."""


_Rest = TypeVarTuple("_Rest")
_Found = TypeVar("_Found")


def remembered(function: Callable[[str, *_Rest], _Found]) -> Callable[[str, *_Rest], _Found]:
    """The same function of a text and more, which keeps what it found last: whoever makes a mistake makes it again.

    For what is longer than any name it keeps nothing, so that it takes little memory.
    """
    known = lru_cache(1024, typed=True)(function)

    def found(text: str, *rest: *_Rest) -> _Found:
        return known(text, *rest) if len(text) <= LONGEST else function(text, *rest)

    return found


def fold(text: str) -> str:
    """Lower-case letters and digits alone: 16x9, 16:9 and 16 / 9 are one, and so are aspectRatio and aspect_ratio."""
    return _other.sub("", _times.sub("", text[:LONGEST].lower()))


_listed = cache(fold)
"""The same, of a text of the catalog: there are few of them, and each is asked for again and again."""
_letters = cache(frozenset[str])


@remembered
def name(text: str, candidates: tuple[str, ...], kind: str) -> str | None:
    """The candidate that a name means: the same letters, an alias of that kind, a slip of the hand, a part of it."""
    folded = fold(text)
    if not folded:
        return None
    for candidate in candidates:
        if _listed(candidate) == folded:
            return candidate
    for meant in _ALIASES[kind].get(folded, ()):
        if meant in candidates:
            return meant
    return _slip(folded, candidates) or _part(folded, candidates)


def _slip(folded: str, candidates: tuple[str, ...]) -> str | None:
    """The candidate within a few slips: one for every four letters, and at least one of three."""
    found, fewest, letters = None, 0, frozenset(folded)
    for candidate in candidates:
        other = _listed(candidate)
        most = max(1, max(len(folded), len(other)) // 4)
        # Each letter that the other one lacks is a slip.
        lacking = max(len(letters - _letters(other)), len(_letters(other) - letters))
        if min(len(folded), len(other)) < 3 or lacking > most:
            continue
        slips = distance(folded, other, most)
        if slips <= most and (found is None or slips < fewest):
            found, fewest = candidate, slips
    return found


def _part(folded: str, candidates: Iterable[str]) -> str | None:
    """The candidate that shares the longest beginning or end with a name, one of them being all of it."""
    found, longest = None, 3
    for candidate in candidates:
        other = _listed(candidate)
        short, long = (folded, other) if len(folded) <= len(other) else (other, folded)
        if len(short) > longest and (long.startswith(short) or long.endswith(short)):
            found, longest = candidate, len(short)
    return found


def distance(one: str, other: str, most: int) -> int:
    """Slips between two words: a letter more, less or another, or two neighbours swapped; `most` + 1 for beyond."""
    if abs(len(one) - len(other)) > most:
        return most + 1
    beyond = most + 1
    before: list[int] = []
    above = list(range(len(other) + 1))
    for row, letter in enumerate(one, start=1):
        line = [beyond] * len(above)
        line[0] = row
        # Further from the diagonal there are more slips than are allowed.
        for column in range(max(1, row - most), min(len(other), row + most) + 1):
            against = other[column - 1]
            least = min(above[column] + 1, line[column - 1] + 1, above[column - 1] + (letter != against))
            if row > 1 and column > 1 and letter == other[column - 2] and one[row - 2] == against:
                least = min(least, before[column - 2] + 1)
            line[column] = least
        if min(line) > most:
            return beyond
        before, above = above, line
    return min(above[-1], beyond)


def value(text: str, listed: Sequence[str]) -> str | None:
    """The listed value that a string means: the same letters, an alias, the nearest ratio or measure, a slip."""
    folded = fold(text)
    for candidate in listed:
        if _listed(candidate) == folded:
            return candidate
    for meant in ALIASES["values"].get(folded, ()):
        if meant in listed:
            return meant
    found = _nearest_ratio(text, listed) or _nearest_measure(text, listed)
    if found or _decimal.fullmatch(text) or _ratio.fullmatch(text[:LONGEST].lower()):
        return found
    return (_slip(folded, tuple(listed)) or _part(folded, listed)) if folded and not folded.isdigit() else None


def _nearest_ratio(text: str, listed: Sequence[str]) -> str | None:
    """16:9 for 1920x1080, for 1.78 and for 16:10; nothing where two are equally near, or none is."""
    match = _ratio.fullmatch(text[:LONGEST].lower())
    if match:
        wanted = _quotient(float(match[1]), float(match[2]))
    else:
        wanted = float(text) if _decimal.fullmatch(text) else ratio_of(text[:LONGEST]) or 0.0
    if not wanted:
        return None
    apart = sorted(
        (round(abs(math.log(ratio / wanted)), 6), index)
        for index, ratio in enumerate(map(ratio_of, listed))
        if ratio is not None
    )
    if apart and apart[0][0] <= NEAR and (apart[0][0] <= ALIKE or len(apart) == 1 or apart[0][0] < apart[1][0]):
        return listed[apart[0][1]]
    if match and not apart:
        # 1920x1080 where the list has 1080p, 2048x2048 where it has 2K
        short, long = sorted((match[1], match[2]), key=float)
        return _nearest_measure(f"{short}p", listed) or _nearest_measure(long, listed)
    return None


def ratio_of(listed: str) -> float | None:
    """Width by height of a listed value such as 16:9, portrait_16_9 or square_hd."""
    if listed.startswith("square"):
        return 1.0
    match = _ratio.fullmatch(listed.removeprefix("landscape_").removeprefix("portrait_"))
    if not match:
        return None
    sides = [float(match[1]), float(match[2])]
    if listed.startswith(("landscape_", "portrait_")):
        sides.sort(reverse=listed.startswith("landscape_"))
    return _quotient(*sides) or None


def _quotient(width: float, height: float) -> float:
    return width / height if width and height else 0.0


def _nearest_measure(text: str, listed: Sequence[str]) -> str | None:
    """8s for 8, for 8 seconds and for 10s; 1080p for 1080; the first of two equally near."""
    wanted = measure(text)
    if wanted is None:
        return None
    found, least = None, math.inf
    for candidate in listed:
        known = measure(candidate)
        if known is None or wanted[1] not in ("", known[1]):
            continue
        number = wanted[0] / 1024 if known[1] == "k" and wanted[1] == "" and wanted[0] >= 512 else wanted[0]
        apart = abs(known[0] - number)
        if apart < least:
            found, least = candidate, apart
    return found


def measure(text: str) -> tuple[float, str] | None:
    """(8, s) for 8s and for "8 seconds"; (5, "") for 5."""
    match = _measure.fullmatch(text[:LONGEST].lower())
    unit = (match and match[2]) or ""
    return (float(match[1]), UNITS.get(unit, unit)) if match else None


@remembered
def model(text: str) -> str | None:
    """The model that an id means: its id or name, the id of an upstream endpoint, an alias, a slip, a part."""
    return _model(text[:LONGEST]) or _model(_point_zero.sub("", text[:LONGEST]))


def _model(text: str) -> str | None:
    known = _known()
    # google/veo-3.1-fast: what stands behind a vendor, and what behind that
    parts = text.split("/")
    for start in range(len(parts)):
        folded = fold("/".join(parts[start:]))
        if folded in known:
            return known[folded]
        for meant in ALIASES["models"].get(folded, ()):
            return meant
    folded = fold(text)
    slip = _slip(folded, tuple(known))
    if slip:
        return known[slip]
    within = max((each for each in known if each in folded), key=len, default=None)
    if within:
        return known[within]
    around = min((each for each in known if len(folded) >= 3 and each.startswith(folded)), key=len, default=None)
    return known[around] if around else None


@cache
def _known() -> Mapping[str, str]:
    """What a model is called, folded -> its id."""
    known = {fold(id): id for id in MODELS}
    for id, each in MODELS.items():
        known.setdefault(fold(each.name), id)
        for mode in each.modes:
            for endpoint in _endpoints(mode.upstream or ""):
                known.setdefault(fold(endpoint), id)
    return known


def _endpoints(upstream: str) -> list[str]:
    """An endpoint's id; several where braces list alternatives."""
    match = _braces.search(upstream)
    if not match:
        return [upstream] if upstream else []
    return [upstream[: match.start()] + each + upstream[match.end() :] for each in match[1].split(",")]


_TAKERS: dict[str, list[tuple[Model, Mode]]] = {}
"""By the name of a param."""
for _model_of in MODELS.values():
    for _mode_of in _model_of.modes:
        for _row in _mode_of.params:
            _TAKERS.setdefault(_row.name, []).append((_model_of, _mode_of))


def elsewhere(key: str, model: Model, mode: Mode) -> list[str]:
    """The other modes of a model that take a param of that name."""
    return [other.id for of, other in _TAKERS.get(key, ()) if of is model and other is not mode]


def other_models(key: str, model: Model) -> list[str]:
    """The other models that take a param of that name; those of its family alone, where there are any."""
    takers = {of.id: of for of, _ in _TAKERS.get(key, ()) if of is not model}.values()
    return [each.id for each in takers if each.family == model.family] or [each.id for each in takers]


def value_of(text: str, mode: Mode) -> str | None:
    """The param of a mode whose list holds a value: quality for pro, and for std."""
    values = {text, *ALIASES["values"].get(fold(text), ())[:1]}
    return next((row.name for row in mode.params if row.enum and values & {*row.enum}), None)
