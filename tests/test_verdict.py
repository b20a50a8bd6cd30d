"""One verdict: bodies of every kind before every judge, in every language, of ours and from outside.

Python with and without msgspec, TypeScript, the mock, and two validators of JSON Schema: all say valid of the same
bodies, Python and TypeScript tell the same problems word for word, and none of ours crashes or takes long.
PROSPEC_VERDICT=1000000 judges that many, and PROSPEC_LIMIT_S=0.05 holds each to 50 ms. What is drawn is in drawn.py;
who judges in verdict/opinions.py, and there too what may differ.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from drawn import CRAFTED, MAX_BYTES, crafted
from node import built
from prospo import decoders
from test_bodies import LIMIT_S, OURS, alone_s, is_linear
from verdict.opinions import EXEMPTIONS, MSGSPEC, Judged, Node, judged
from verdict.shrinking import smallest
from verdict.stream import Tally, describe, judge_all, portion

COUNT = int(os.environ.get("PROSPEC_VERDICT", "20000"))
TOLD = 25_000
"""After so many bodies it is told how far it is."""
SHORTEST_S = 0.005
"""Of less than that, much is what node does beside: it collects garbage and compiles."""
SEED = int(os.environ.get("PROSPEC_SEED", "0"))


@pytest.fixture(scope="module")
def by() -> Iterator[Node]:
    with Node() as node:
        yield node


def test_every_judge_says_the_same_of_every_body(capsys: pytest.CaptureFixture[str]) -> None:
    started, told = time.monotonic(), 0

    def progress(tally: Tally) -> None:
        nonlocal told
        if tally.count < told + TOLD:
            return
        told = tally.count
        left_s = (time.monotonic() - started) / told * (COUNT - told)
        with capsys.disabled():
            print(f"{told:,} of {COUNT:,} bodies, {len(tally.found)} findings, {left_s / 60:.0f} min left", flush=True)

    whole = judge_all(COUNT, seed=SEED, jobs=os.cpu_count() or 1, progress=progress)
    print(*whole.lines(), sep="\n")
    assert not whole.found, "\n".join([f"{len(whole.found)} findings, of which", *whole.found[:20]])
    assert whole.count == COUNT
    assert len(whole.kinds) > 15, "every kind is drawn"


def deeper(frames: int, call: Callable[[], Judged]) -> Judged:
    """What a call gives that is made from further down."""
    return call() if frames == 0 else deeper(frames - 1, call)


@pytest.mark.parametrize("name", EXEMPTIONS)
def test_what_may_differ_does(by: Node, name: str) -> None:
    """Else it is no exemption any more, and has to go."""
    found = deeper(100, lambda: judged([EXEMPTIONS[name].example], by)[0])
    assert found.found == []
    assert name in found.exempted


@pytest.mark.parametrize("name", CRAFTED)
def test_a_body_made_to_be_slow_is_judged_alike_and_in_time(by: Node, name: str) -> None:
    """What takes its time in the standard library alone takes ours, and that of node, some times that."""
    body = crafted(name)
    limit_s = max(LIMIT_S, OURS * alone_s(name, body))
    [found] = judged([body.data], by, limit_s)
    assert found.found == [], describe(name, body.data, found, by, limit_s, is_shrunk=False)


@pytest.fixture(scope="module")
def clock() -> Iterator[Node]:
    """One that times each body six times over."""
    with Node(limit_s=0) as node:
        yield node


@pytest.mark.parametrize("function", ["validateJson", "isValidJson"])
@pytest.mark.parametrize("name", CRAFTED)
def test_typescript_reads_bytes_in_linear_time(clock: Node, name: str, function: str) -> None:
    def cpu_time_s(size: int, turns: int) -> float:
        said = clock.ask([crafted(name, size).data] * turns)
        return float(min(each["tookMs"][function] for each in said)) / 1000

    assert is_linear(cpu_time_s, MAX_BYTES, SHORTEST_S)


# What the judges would see

BREAKS = {
    "a bound of one mode": ("models/kling-o3.js", "value > 15", "value > 14", "TypeScript"),
    "a message": ("rules.js", "is neither an https URL nor an upload token", "is no media", "TypeScript"),
    "a reader that takes what is no JSON": ("jsontext.js", "MAX_DEPTH = 64", "MAX_DEPTH = 65", "TypeScript"),
    "the order of problems": ("rules.js", "problems.push(error(", "problems.unshift(error(", "TypeScript"),
    "a crash": (
        "rules.js",
        "switch (param.type) {",
        "if (value === null) throw new Error('x'); switch (param.type) {",
        "crashes",
    ),
}
"""What is wrong -> the file of the package, a text in it, another, and who is found to differ."""


@pytest.mark.parametrize("name", BREAKS)
def test_a_package_with_a_fault_is_found_out(tmp_path: Path, name: str) -> None:
    file, right, wrong, who = BREAKS[name]
    shutil.copytree(built() / "dist", tmp_path / "dist")
    shutil.copy(built() / "package.json", tmp_path)
    broken = tmp_path / "dist" / file
    text = broken.read_text("utf-8")
    assert right in text
    broken.write_text(text.replace(right, wrong), "utf-8")
    with Node(tmp_path / "dist" / "index.js") as by:
        found = portion(range(1500), SEED, by).found
    assert any(who in each for each in found)
    smallest_bodies = [each.splitlines()[0] for each in found]
    assert min(map(len, smallest_bodies)) < 250, "it was made small"


def test_both_readers_of_python_are_asked(by: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "is_valid_json", lambda *_: True)
    assert judged([b"{}"], by)[0].culprits == {MSGSPEC}


def test_the_smallest_is_found() -> None:
    data = b'{"a": [1, 2, {"b": "wanted"}], "c": {"d": null}, "e": "some other text that is longer"}'
    assert smallest(data, lambda less: b"wanted" in less) == b"wanted"
    assert smallest(data, lambda less: less.count(b"{") == 3) == b"{{{"
    assert smallest(b"\xff\x00" * 500, lambda less: b"\x00" in less) == b"\x00"
    assert smallest(data, lambda less: False) == data
