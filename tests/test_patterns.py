"""Regular expressions: none slows down on a text made for it, and those of two languages match the same.

Each that a generated module or schema holds is found by looking into it, and given texts in which the parts that it
repeats are repeated, up to 1 MiB. In CPU time, of which a busy machine takes none. Here live no bodies: those are in
test_bodies.py and test_verdict.py.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random

import jsonschema_rs
import pytest
from drawn import MAX_BYTES
from test_bodies import is_linear
from verdict.patterns import (
    SCANNING,
    Engine,
    Pattern,
    Text,
    compiled,
    cpu_times_s,
    drawn_match,
    hard_texts,
    of_python,
    of_schemas,
)

Clock = Callable[[Pattern, list[Text], int, int], list[float]]
SCREEN = (*(round(8 * 1.25**step) for step in range(10)), *(1 << power for power in range(6, 15)))
"""Characters of the texts that are all tried, at first in steps that are small to what takes 2^n. The two hardest are
tried at 1 MiB."""
SLOW_S = 0.005
"""CPU time from which on a text is looked at more closely: most take a tenth of it, at 1 MiB as well."""
DRAWN = 1000
"""Texts that each pattern of two languages is given."""

BOUNDED_S = 0.05
BOUNDED: Mapping[str, tuple[int, str]] = {
    "TypeScript text.parts": (61, "the digits of a double, as toExponential has them"),
    "TypeScript text.rounded": (12, "the digits of a double that a message tells"),
}
"""Patterns that are slow on a long text, and get none: the most characters that they get, and why."""

ALIKE: Mapping[str, str] = {
    "jsontext._alone": "jsontext.hasHalfEscape",
    "suggestion._braces": "suggestion.endpoints",
    "suggestion._decimal": "suggestion.isDecimal",
    "suggestion._measure": "suggestion.isMeasure",
    "suggestion._point_zero": "suggestion.model",
    "suggestion._ratio": "suggestion.isRatio",
    "values.any_media": "values.media",
    "webhooks._form": "webhooks.genuine",
    "wording._pixels": "wording.isPixels",
    "wording._repeatable": "wording.isRepeatable",
}
"""A pattern of Python's -> that of TypeScript's that has to match the same."""
ALONE = frozenset(
    {
        "Python jsontext._string",  # brackets outside of strings: TypeScript counts levels as it reads
        "Python suggestion._times",  # TypeScript folds a text letter by letter
        "Python suggestion._other",
        "Python values.plain_media",  # what most media are, told sooner
        "Python wording._host",  # TypeScript takes a host apart, in the two below
        "TypeScript wording.hasHost",
        "TypeScript suggestion.value",  # str.isdigit, of what is ASCII by then
        "TypeScript jsontext.hasLongExponent",  # whether to read a text with care
        "TypeScript text.outside",  # str.strip, and how Python writes numbers
        "TypeScript text.grouped",
        "TypeScript text.floatText",
        "TypeScript text.parts",
        "TypeScript text.rounded",
        "TypeScript wording.asText",
    }
)
"""Patterns of what judges requests that one language has alone."""
OF_JSON = "jsontext._alone"
"""It is asked of JSON alone, without escaped backslashes."""
JUDGING = frozenset({"jsontext", "rules", "suggestion", "text", "values", "wording"})
"""The modules that judge requests."""


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with Engine() as engine:
        yield engine


# In time that grows as the text does


def slow_text(pattern: Pattern, clock: Clock, longest: int = MAX_BYTES) -> tuple[Text, int] | None:
    """A text for which the time grows faster than the text does, and a length of it that shows."""
    texts, hardest = hard_texts(pattern.source), list[Text]()
    if not texts:
        return None

    def is_slow(text: Text, size: int) -> bool:
        return not is_linear(lambda size, turns: clock(pattern, [text], size, turns)[0], size, SLOW_S)

    for size in (size for size in SCREEN if size <= longest):
        timed = sorted(zip(clock(pattern, texts, size, 1), texts, strict=True), reverse=True)
        for taken_s, text in timed:
            if taken_s > SLOW_S and is_slow(text, size):
                return text, size
        hardest = [text for _, text in timed[:2]]
    return next(((text, longest) for text in hardest if is_slow(text, longest)), None)


def slow_patterns(language: str, patterns: tuple[Pattern, ...], clock: Clock) -> list[str]:
    """What is wrong with them: one that is slow and not known to get short texts alone, or known so for nothing."""
    found = []
    for pattern in patterns:
        name = f"{language} {pattern.name}"
        slow = slow_text(pattern, clock)
        longest, reason = BOUNDED.get(name, (0, ""))
        if slow and not longest:
            (head, unit, tail), size = slow
            found.append(f"{name} {pattern.source!r} is slow on {head!r}, {unit!r} again and again, {tail!r}: {size:,}")
        elif longest and not slow:
            found.append(f"{name} needs no exception: {reason}")
        elif longest and max(clock(pattern, hard_texts(pattern.source), longest, 5)) > BOUNDED_S:
            found.append(f"{name} is slow on {longest} characters")
    return found


def test_no_pattern_of_python_slows_down() -> None:
    patterns = of_python()
    assert len(patterns) > 15
    assert slow_patterns("Python", patterns, cpu_times_s) == []


def test_no_pattern_of_typescript_slows_down(engine: Engine) -> None:
    assert engine.unreached == []
    assert len(engine.patterns) > 30
    assert slow_patterns("TypeScript", engine.patterns, engine.cpu_times_s) == []


def test_no_pattern_of_a_schema_slows_down_in_either(engine: Engine) -> None:
    patterns = of_schemas()
    assert any("pl-upload-[0-9a-f]{32}" in pattern.source for pattern in patterns)
    assert slow_patterns("Python", patterns, cpu_times_s) == []
    assert slow_patterns("TypeScript", patterns, engine.cpu_times_s) == []


SLOW = ["(a+)+b", "^(a|a)*b", r"\s*x?\s*y", "a[^b]*b", "^(?:[a-z]+[0-9]?)*$", "0+$"]


@pytest.mark.parametrize("source", SLOW)
def test_a_slow_pattern_is_seen(engine: Engine, source: str) -> None:
    pattern = Pattern("x.y", source, "", frozenset({"search"}))
    for clock in (cpu_times_s, engine.cpu_times_s):
        assert slow_text(pattern, clock), source


def test_exceptions_and_pairs_are_of_patterns_that_there_are(engine: Engine) -> None:
    python, typescript = ({each.name for each in patterns} for patterns in (of_python(), engine.patterns))
    every = {f"Python {name}" for name in python} | {f"TypeScript {name}" for name in typescript}
    judging = {name for name in every if name.split()[1].partition(".")[0] in JUDGING}
    paired = {f"Python {name}" for name in ALIKE} | {f"TypeScript {name}" for name in ALIKE.values()}
    assert paired | ALONE | BOUNDED.keys() <= every
    assert not paired & ALONE
    assert judging <= paired | ALONE


# The same in two languages

TRICKY = (
    "\n\r\t\v\f\0\x1c\x1f\x7f\x85\xa0\u017f\u0130\u0131\u0660\u0663\u07c0\u0966\u180e\u200b\u2028\u2029\u212a\u3000"
)
TRICKY += "\u00b2\u00bd\u00d7\u00df\u00e9\u03a3\u03c2\u0301\ufeff\uff11\uff1a\uff21\uff41\U0001d7d9\U0001f3ac"
TRICKY += "\U00010400\\^$.|?*+()[]{}/,:;_-%#@!~ \"'aAzZ09xX"
"""White space, digits, letters and their other cases, line ends and halves of nothing, that languages see otherwise."""


def tricky_texts(source: str) -> list[str]:
    """What a pattern matches, and what that is with a character or two more, less or other."""
    random = Random(source)
    texts = ["", *TRICKY]
    for match in (drawn_match(source, random) for _ in range(10)):
        texts += [around for each in TRICKY for around in (match + each, each + match)]
    for _ in range(DRAWN):
        text = drawn_match(source, random)
        for _ in range(random.randrange(3)):
            at = random.randrange(len(text) + 1)
            text = text[:at] + random.choice(("", *TRICKY)) + text[at + random.randrange(2) :]
        texts.append(text)
    return texts


def in_python(pattern: Pattern, texts: list[str]) -> list[list[list[str | None]]]:
    """Of each text its matches, of each match itself and its groups."""
    if pattern.ways <= SCANNING:
        found = [[*compiled(pattern).finditer(text)] for text in texts]
    else:
        found = [[match] if (match := compiled(pattern).fullmatch(text)) else [] for text in texts]
    return [[[match[0], *match.groups()] for match in matches] for matches in found]


def named(patterns: tuple[Pattern, ...], name: str) -> Pattern:
    [found] = [each for each in patterns if each.name == name]
    return found


def is_plain_json(inner: str) -> bool:
    """Whether it is the inside of a string of JSON, with no escaped backslash."""
    try:
        json.loads(f'"{inner}"')
    except ValueError:
        return False
    return r"\\" not in inner


@pytest.mark.parametrize("name", ALIKE)
def test_a_pattern_of_two_languages_matches_the_same(engine: Engine, name: str) -> None:
    ours, theirs = named(of_python(), name), named(engine.patterns, ALIKE[name])
    texts = [text for text in tricky_texts(ours.source) if name != OF_JSON or is_plain_json(text)]
    expected = in_python(ours, texts)
    for text, here, there in zip(texts, expected, engine.matches(theirs, texts), strict=True):
        assert there == here, f"{text!a}"
    assert 20 < sum(map(bool, expected)) < len(texts) - 20


def test_what_is_told_to_be_media_sooner_is_media() -> None:
    sooner, whole = (compiled(named(of_python(), f"values.{name}")).fullmatch for name in ("plain_media", "any_media"))
    texts = tricky_texts(named(of_python(), "values.plain_media").source)
    assert sum(sooner(text) is not None for text in texts) > 50
    assert [text for text in texts if sooner(text) and not whole(text)] == []


@pytest.mark.parametrize("pattern", of_schemas(), ids=lambda pattern: pattern.source[:12])
def test_a_pattern_of_a_schema_matches_the_same_in_every_validator(engine: Engine, pattern: Pattern) -> None:
    """Python's own `search` is none of them: its $ also matches before a line end."""
    texts = tricky_texts(pattern.source)
    by_rust = jsonschema_rs.Draft202012Validator({"pattern": pattern.source}).is_valid
    by_python = re.compile(pattern.source.removesuffix("$") + r"\Z" * pattern.source.endswith("$")).search
    for text, matches in zip(texts, engine.matches(pattern, texts), strict=True):
        assert by_rust(text) is bool(matches), f"{text!a}"
        assert (by_python(text) is not None) is bool(matches), f"{text!a}"


def test_the_places_of_patterns_are_found(tmp_path: Path) -> None:
    """A module that makes them in every way."""
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "x.js").write_text(
        "const whole = (text) => new RegExp(`^${text}$`);\n"
        "export const made = whole('a'), literal = /[/]b\\//gi;\n"
        "export function later() { return new RegExp('c'); }\n"
    )
    with Engine(tmp_path) as engine:
        assert {(each.name, each.source, each.flags) for each in engine.patterns} == {
            ("x.made", "^a$", ""),
            ("x.literal", "[/]b\\/", "gi"),
        }
        assert len(engine.unreached) == 1
