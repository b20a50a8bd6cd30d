"""Bodies as bytes: three deciders and what was drawn must agree, none may crash, and none may take long.

The deciders are the binding's rules, the mock's judge and a JSON Schema validator of another make; orjson is the
outside opinion on what is JSON at all. PROSPEC_BODIES=100000 draws that many, and PROSPEC_LIMIT_S=0.05 holds each to
50 ms. What is drawn is in drawn.py.
"""

from __future__ import annotations

import gc
import json
import os
import re
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import orjson
import prospo
import pytest
from drawn import CRAFTED, ENVELOPE, MAX_BYTES, MAX_DEPTH, NO_JSON, SPEC, Drawn, crafted, draw
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prospec_conformance.mock.app import JSON_MAX_BYTES
from prospec_conformance.mock.changes import Change, Refusal
from prospec_conformance.mock.judge import POINTER_MAX_CHARS, Judge, parse
from prospo import jsontext
from schema_decider import by_schema

BODIES = int(os.environ.get("PROSPEC_BODIES", "20000"))
SEED = int(os.environ.get("PROSPEC_SEED", "0"))
PORTIONS = 8
LIMIT_S = float(os.environ.get("PROSPEC_LIMIT_S", "0.5"))
"""CPU time that the rules, or the mock, may take for one body. `make nightly` asks for 50 ms; a machine with other work
to do is no finding, so by default only what hangs is one."""
OURS = 4
"""How many times as long as the standard library alone a body may take that is slow there already."""
LAX, STRICT = Judge(SPEC, Change()), Judge(SPEC, Change(strict=True))
Found = set[tuple[str, str]]

SLOW_TO_PARSE = {
    "numbers with an exponent": "210,000 doubles",
    "numbers with a long exponent": "175,000 doubles",
    "integers beside a long number": "520,000 integers, of which any may be too long",
    "lists": "350,000 lists",
    "objects": "350,000 objects",
    "nests of 60": "520,000 lists",
    "lists that are overwritten": "350,000 lists",
    "many names": "80,000 names, each different",
    "many members": "80,000 names, each different",
    "many names in a size": "80,000 names, each different",
}
"""Bodies of 1 MiB that json.loads alone takes a good part of the limit for, and what they are made of."""
SLOW_TO_MATCH = {"a long host and a space", "a long host and a bracket"}
"""Hosts of a million characters that the pattern of a URL takes back one by one, in linear time."""


def by_mock(judge: Judge, data: bytes) -> Refusal | None:
    """The mock's way from bytes to a verdict, without its server."""
    return judge.generate(Refusal(413, "", "json") if len(data) > JSON_MAX_BYTES else parse(data))


def _in_header(fault: tuple[str, str]) -> tuple[str, str]:
    """A fault as the mock names it: ASCII, and no longer than a header may be."""
    code, path = fault
    return code, quote(path, safe="/~!$&'()*+,;=:@", errors="replace")[:POINTER_MAX_CHARS]


def _same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal: 5 and 5.0 are, 1 and true are not."""
    if isinstance(one, dict):
        return (
            isinstance(other, dict) and one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
        )
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, int | float) and isinstance(other, int | float):
        return float(one) == float(other)
    return type(one) is type(other) and bool(one == other)


def _disagreements(body: Drawn, taken: dict[str, float]) -> Iterator[str]:
    """Whatever a decider says otherwise than the body itself. `taken` gets the CPU time of each."""
    started = time.process_time()
    valid = prospo.is_valid_json(body.data)
    taken["is_valid_json"] = time.process_time() - started
    problems = prospo.validate_json(body.data)
    taken["validate_json"] = time.process_time() - started - taken["is_valid_json"]
    if valid is body.is_error:
        yield f"is_valid_json: {valid}"
    told = [(problem.code, problem.path) for problem in problems]
    if not body.faults.issuperset(told) or bool(told) is not bool(body.faults):
        yield f"validate_json: {told[:3]}"
    if any(problem.severity == "error" for problem in problems) is not body.is_error:
        yield f"validate_json: {[problem.severity for problem in problems][:3]}"
    if len(body.faults) == 1 and len(told) != 1:
        yield f"validate_json tells one mistake {len(told)} times"

    allowed = {*map(_in_header, body.faults)}
    for name, judge, refused in (("lax", LAX, body.is_error), ("strict", STRICT, bool(body.faults))):
        started = time.process_time()
        refusal = by_mock(judge, body.data)
        taken["mock"] = time.process_time() - started
        if (refusal is not None) is not refused:
            yield f"mock, {name}: {refusal}"
        elif refusal and (refusal.keyword, refusal.pointer) not in allowed:
            yield f"mock, {name}: {refusal.keyword} {refusal.pointer}"

    opinion = _outside(body.data)
    if isinstance(opinion, ValueError) is body.is_json and not _is_beyond_the_common_ground(body):
        yield f"orjson: {opinion!r:.80}"
    if not body.is_json:
        return
    for name, found, refused in (
        ("lax", by_schema(body.value, strict=False), body.is_error),
        ("strict", by_schema(body.value, strict=True), bool(body.faults)),
    ):
        if bool(found) is not refused or not found <= body.faults:
            yield f"schema, {name}: {sorted(found)[:3]}"
    if NO_JSON.isdisjoint(told):
        values = {"prospo": jsontext.parse(body.data), "mock": parse(body.data), "orjson": opinion}
        yield from (f"{name} reads another value" for name, value in values.items() if not _same(body.value, value))


def _outside(data: bytes) -> Any:
    """The value, or the error, of another JSON reader."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError as error:
        return error


def _is_beyond_the_common_ground(body: Drawn) -> bool:
    """orjson reads on where the profile ends, at two limits: 1 MiB (it has none) and 64 levels (it has 1,024)."""
    return not body.is_json and body.made.startswith(("size:", "depth:"))


def cpu_s(work: Callable[[], object], turns: int = 1) -> float:
    """The CPU time of a call; the least of several."""
    least = float("inf")
    gc.disable()  # what it takes hangs on all that is alive, not on the work
    try:
        for _ in range(turns):
            started = time.process_time()
            work()
            least = min(least, time.process_time() - started)
    finally:
        gc.enable()
    return least


def _slow(body: Drawn, limit_s: float = LIMIT_S) -> Iterator[tuple[str, float]]:
    """Who takes longer for that body than the limit, also when measured again on a machine that has more time."""
    works: dict[str, Callable[[], object]] = {
        "is_valid_json": lambda: prospo.is_valid_json(body.data),
        "validate_json": lambda: prospo.validate_json(body.data),
        "mock": lambda: by_mock(STRICT, body.data),
    }
    for name, work in works.items():
        if cpu_s(work) > limit_s and (least := cpu_s(work, turns=5)) > limit_s:
            yield name, least


@pytest.fixture(autouse=True)
def _only_its_own_garbage() -> Iterator[None]:
    """What other tests have left is no reason for a pause within a measurement."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_the_deciders_agree_on_every_body(portion: int) -> None:
    kinds: Counter[str] = Counter()
    found: list[str] = []
    slowest: dict[str, tuple[float, str]] = {}
    for number in range(portion, BODIES, PORTIONS):
        body = draw(number, SEED)
        made, taken = f"{number}: {body.made}", dict[str, float]()
        kinds[body.made.partition(":")[0]] += 1
        found += [f"{made}: {said}: {body.data[:200]!r}" for said in _disagreements(body, taken)]
        if max(taken.values()) > LIMIT_S:
            found += [f"{made}: {who} takes {least:.3f} s" for who, least in _slow(body)]
        slowest |= {who: max(slowest.get(who, (0.0, "")), (passed, made)) for who, passed in taken.items()}
    count = len(found)
    print(f"{sum(kinds.values()):,} bodies, {count} findings")
    for who, (passed, made) in slowest.items():
        print(f"slowest for {who}: {1000 * passed:.1f} ms: {made}")
    assert not found, "\n".join([f"{count} findings, of which", *found[:20]])
    assert len(kinds) > 15, "every kind is drawn"


def alone_s(name: str, body: Drawn) -> float:
    """What the standard library alone takes for what is slow there already; 0 for what is not known to be."""
    if name in SLOW_TO_MATCH:
        pattern = re.compile(SPEC.service.media_pattern)
        return cpu_s(lambda: pattern.fullmatch(body.value["params"]["image_urls"][0]))
    return cpu_s(lambda: json.loads(body.data)) if name in SLOW_TO_PARSE else 0.0


@pytest.mark.parametrize("name", CRAFTED)
def test_a_body_made_to_be_slow_is_not(name: str) -> None:
    body = crafted(name)
    assert MAX_BYTES * 0.99 < len(body.data) <= MAX_BYTES
    first = [(problem.code, problem.path) for problem in prospo.validate_json(body.data)[:1]]
    refusal = by_mock(STRICT, body.data)
    assert body.faults.issuperset(first)
    assert prospo.is_valid_json(body.data) is not body.is_error
    assert ([(refusal.keyword, refusal.pointer)] if refusal else []) == [*map(_in_header, first)]
    alone = alone_s(name, body)
    slow = dict(_slow(body, max(LIMIT_S, OURS * alone)))
    assert not slow, f"{alone:.3f} s of it is not ours"


# In time that grows as the input does

RATIO = 2.5
"""How many times as long twice the input may take."""
DOUBLINGS = 3
"""Over so many the ratio is measured: noise of a single one is no finding, and a square would show as 64 times."""
TURNS = (1, 1, 2, 3, 5, 8)
"""How many measurements each try takes the least of."""
SHORTEST_S = 0.0005
"""Below it a clock tells nothing, and nothing is slow."""


def is_linear(
    cpu_time_s: Callable[[int, int], float], longest: int = MAX_BYTES, shortest_s: float = SHORTEST_S
) -> bool:
    """Whether the longest input takes no more than the ratio for each doubling; measured anew while it seems not to.

    `cpu_time_s` tells what an input of a size takes, the least of a number of turns. Less than `shortest_s` is nothing.
    """
    for turns in TURNS:
        longer = cpu_time_s(longest, turns)
        if longer < shortest_s or longer < RATIO**DOUBLINGS * cpu_time_s(longest >> DOUBLINGS, turns):
            return True
    return False


def grows_linearly(work: Callable[[int], Callable[[], object]], longest: int = MAX_BYTES) -> bool:
    works = {size: work(size) for size in (longest >> DOUBLINGS, longest)}
    return is_linear(lambda size, turns: cpu_s(works[size], turns), longest)


@pytest.mark.parametrize("name", CRAFTED)
def test_bytes_are_read_in_linear_time(name: str) -> None:
    def reading(size: int) -> Callable[[], object]:
        data = crafted(name, size).data
        return lambda: prospo.validate_json(data)

    assert grows_linearly(reading)


PATTERNS = {
    "url_pattern": SPEC.service.url_pattern,
    "token_pattern": SPEC.service.uploads.token_pattern,
    "media_pattern": SPEC.service.media_pattern,
}
HARD = [
    ("", "a", ""),
    ("https://", "a", ""),
    ("https://", "a", " "),
    ("https://", "a", "["),
    ("https://", "a@", ""),
    ("https://", "@", ""),
    ("https://", "a:", ""),
    ("https://a:", "1", ""),
    ("https://", ":", "@a "),
    ("https://", "a.", " "),
    ("https://[", "f:", ""),
    ("https://[", "f:", "]:"),
    ("https://a/", "/", " "),
    ("https://a?", "#?/", "\x7f"),
    ("https://a", "https://a", ""),
    ("https://", "\U0001f3ac", " "),
    ("", "HTTPS://", ""),
    ("pl-upload-", "0", ""),
    ("", "pl-upload-", ""),
    ("pl-upload-" + "0" * 32, "\n", ""),
]


@pytest.mark.parametrize(
    ("head", "unit", "tail"), HARD, ids=[f"{head[:12]!a} {unit!a} {tail!a}" for head, unit, tail in HARD]
)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_matches_in_linear_time(pattern: str, head: str, unit: str, tail: str) -> None:
    match = re.compile(PATTERNS[pattern]).fullmatch

    def matching(size: int) -> Callable[[], object]:
        text = head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail
        return lambda: match(text)

    assert grows_linearly(matching)


def test_the_measure_sees_what_is_not_linear() -> None:
    squared = re.compile("[a-z]*!")
    assert not grows_linearly(lambda size: lambda: squared.search("a" * size), 1 << 13)


# Any bytes


def _depth(data: bytes) -> int:
    """How deep brackets nest in a JSON text, outside of its strings."""
    deepest = depth = 0
    for bracket in re.findall(rb"[\[\]{}]", re.sub(rb'"(?:[^"\\]|\\.)*"', b"", data, flags=re.DOTALL)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _hold(data: bytes) -> None:
    """What must hold of any bytes up to 1 MiB."""
    problems = prospo.validate_json(data)
    is_json = [problem.code for problem in problems] != ["json"]
    assert prospo.is_valid_json(data) is not any(problem.severity == "error" for problem in problems)
    refusal = by_mock(STRICT, data)
    assert (refusal is not None) is bool(problems)
    assert (refusal is not None and refusal.keyword == "json") is not is_json
    opinion = _outside(data)
    outside = not isinstance(opinion, ValueError)
    assert outside is is_json or (outside and _depth(data) > MAX_DEPTH)
    if is_json:
        value = jsontext.parse(data)
        assert _same(value, opinion)
        assert _same(value, parse(data))
        assert bool(by_schema(value, strict=True)) is bool(problems)
        assert bool(by_schema(value, strict=False)) is not prospo.is_valid_json(data)


PIECES = st.sampled_from(
    [
        *rb'" \ \\ / { } [ ] : , 0 1 9 - + . e E u \u \ud83d \ude00 \uD800 true false null NaN Infinity'.split(),
        *(b" ", b"\n", b"\t", b"\0", b"\x1f", b"\x7f", b"\x80", b"\xff"),
        *(b"\xed\xa0\xbd", b"\xf0\x9f\x8e\xac", b"\xef\xbb\xbf"),
        *(b"1e400", b"1" * 310, b"[" * 65, b"]" * 65, b'"a":', b"'a'", b"//", b"/**/", b"\xc2\xa0", b"\xe2\x80\xa8"),
    ]
)
MANY = settings(max_examples=max(100, BODIES // 40), database=None)


@MANY
@given(st.binary(max_size=200))
@example(b"")
@example(b"\xef\xbb\xbf{}")
def test_any_bytes_are_judged_alike(data: bytes) -> None:
    _hold(data)


@MANY
@given(st.lists(PIECES, max_size=24).map(b"".join))
def test_any_pieces_of_json_are_judged_alike(data: bytes) -> None:
    _hold(data)


@MANY
@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0), st.integers(0, 6), PIECES), min_size=1, max_size=4))
def test_any_body_with_a_few_edits_is_judged_alike(number: int, edits: list[tuple[int, int, bytes]]) -> None:
    data = draw(number, seed=1).data[:4000]
    for at, lost, piece in edits:
        start = at % (len(data) + 1)
        data = data[:start] + piece + data[start + lost :]
    _hold(data)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.sampled_from(ENVELOPE), inner),
    max_leaves=12,
)


@MANY
@given(_JSON, st.booleans(), st.sampled_from([None, 0, 1]))
def test_any_json_value_is_judged_alike(value: Any, ascii_only: bool, indent: int | None) -> None:
    _hold(json.dumps(value, ensure_ascii=ascii_only, indent=indent).encode())


def test_the_outside_opinion_differs_at_two_limits_alone() -> None:
    assert not isinstance(_outside(b"[" * 65 + b"]" * 65), ValueError)
    assert not isinstance(_outside(b" " * MAX_BYTES + b"1"), ValueError)
    assert {(problem.code, problem.path) for problem in prospo.validate_json(b"[" * 65 + b"]" * 65)} == NO_JSON
