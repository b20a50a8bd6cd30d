"""What every judge says of one body, and where two of them disagree.

Ours are the Python binding with and without msgspec, the npm package, and the mock. Outside opinions are validators of
JSON Schema, by the generated schemas and taught nothing: they judge values, so of bytes that are no JSON by the
profile they have none. Here live no drawing of bodies, no processes but node's, and no tests.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cache, partial
from pathlib import Path
from threading import Thread
from types import ModuleType, TracebackType
from typing import Any, Self, TypeVar

import jsonschema_rs
import prospo
from node import ROOT, TOOLS, built, node
from prospo import decoders, jsontext, rules
from prospo.catalog import MODELS
from test_bodies import LAX, LIMIT_S, STRICT, by_mock, cpu_s

SCHEMAS = ROOT / "generated" / "json" / "schemas"
PYTHON, MSGSPEC, MOCK, JSONSCHEMA_RS = "Python", "Python with msgspec", "mock", "jsonschema-rs"
TYPESCRIPT, OF_TEXT, OF_VALUE, AJV = "TypeScript", "TypeScript, of the text", "TypeScript, of the value", "Ajv"
OUTSIDE = frozenset({JSONSCHEMA_RS, AJV})
Problems = list[dict[str, Any]]
Said = TypeVar("Said")


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one judge says."""

    is_valid: bool
    """Whether every documented fact holds."""
    is_clean: bool
    """Whether every row holds, so that there is no warning either."""
    problems: Problems | None = None
    """All of them, from a judge that tells them in the contract's words."""

    @property
    def first(self) -> tuple[str, str] | None:
        """Path and code of the first problem."""
        return (self.problems[0]["path"], self.problems[0]["code"]) if self.problems else None


@dataclass(frozen=True, slots=True)
class Exemption:
    """A disagreement that is none: whose, from Python, why, and how it is told from others."""

    who: frozenset[str]
    reason: str
    holds: Callable[[Opinion, Opinion], bool]
    """Of Python's opinion and that of the other."""
    example: bytes
    """A body that needs it."""


def _is_of_ratio_alone(ours: Opinion, theirs: Opinion) -> bool:
    """Whether they let pass what we refuse for the ratio of its sides, and only that."""
    problems = ours.problems or []
    by_ratio = [each for each in problems if each["code"] == "size"]
    others = [each for each in problems if each["code"] != "size"]
    is_valid = not any(each["severity"] == "error" for each in others)
    return bool(by_ratio) and theirs == Opinion(is_valid, not others)


def _is_of_depth_alone(ours: Opinion, theirs: Opinion) -> bool:
    return "not a JSON value: nested more than 64 deep" in _why_no_json(ours, theirs)


def _is_of_a_comma_alone(ours: Opinion, theirs: Opinion) -> bool:
    return any("Illegal trailing comma" in message for message in _why_no_json(ours, theirs)[:1])


def _why_no_json(*opinions: Opinion) -> list[str]:
    """The message of each, if all say that it is no JSON."""
    problems = [each for opinion in opinions for each in opinion.problems or []]
    is_json = len(problems) != len(opinions) or any(each["code"] != "json" for each in problems)
    return [] if is_json else [each["message"] for each in problems]


def _is_of_order_alone(ours: Opinion, theirs: Opinion) -> bool:
    has_numeric_name = any(each["path"].rpartition("/")[2].isdigit() for each in ours.problems or [])
    return has_numeric_name and sorted(_places(ours)) == sorted(_places(theirs))


def _places(opinion: Opinion) -> list[tuple[str, str, str]]:
    return [(each["path"], each["code"], each["severity"]) for each in opinion.problems or []]


# All that may differ, by name.
EXEMPTIONS: dict[str, Exemption] = {
    "the ratio of a size": Exemption(
        OUTSIDE,
        "JSON Schema has no word for how two members compare: x-max-ratio is an annotation to who is not taught it",
        _is_of_ratio_alone,
        b'{"model": "gpt-image-2", "params": {"prompt": "x", "image_size": {"width": 1600, "height": 160}}}',
    ),
    "a mistake beyond 900 levels": Exemption(
        frozenset({TYPESCRIPT, OF_TEXT}),
        "where Python's recursion ends hangs on its caller, so which of two mistakes is told does: the depth, or one "
        "further in; code and path are the same",
        _is_of_depth_alone,
        b"[" * (970 if sys.version_info < (3, 13) else 2000) + b"x",
    ),
    "the order of members whose names are numbers": Exemption(
        frozenset({OF_VALUE}),
        "JavaScript puts them before the others, so a value no longer tells which came first; the text does",
        _is_of_order_alone,
        b'{"model": "kling-o3", "params": {"prompt": "x"}, "second": 1, "0": 1}',
    ),
}
if sys.version_info >= (3, 13):
    EXEMPTIONS["a comma before the end"] = Exemption(
        frozenset({TYPESCRIPT, OF_TEXT}),
        "from 3.13 on Python's reader has a message for it; code and path are the same",
        _is_of_a_comma_alone,
        b"[1,]",
    )


@dataclass(slots=True)
class Judged:
    """All opinions of a body, and what came of comparing them."""

    opinions: dict[str, Opinion] = field(default_factory=dict)
    found: list[tuple[str, str]] = field(default_factory=list)
    """(who, what it says otherwise than Python, or that it crashes, or takes too long)"""
    exempted: list[str] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=dict)
    """CPU time of each function of ours; of one that took too long the least of several turns."""

    @property
    def culprits(self) -> frozenset[str]:
        return frozenset(who for who, _ in self.found)


class Node:
    """The npm package and Ajv in one process of node, which is asked of many bodies at a time."""

    def __init__(self, package: Path | None = None, limit_s: float = LIMIT_S) -> None:
        built()
        command = [node(), str(TOOLS / "judge.mjs"), f"--schemas={SCHEMAS}", f"--limit={1000 * limit_s}"]
        command += [f"--package={package.as_uri()}"] if package else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, bodies: Sequence[bytes]) -> list[dict[str, Any]]:
        """What it says of each. Raises RuntimeError if it ends before."""
        assert self._process.stdin
        assert self._process.stdout
        writer = Thread(target=self._write, args=(bodies,), daemon=True)  # it may have to wait for us to read
        writer.start()
        said = [self._process.stdout.readline() for _ in bodies]
        writer.join()
        if not all(line.endswith(b"\n") for line in said):
            raise RuntimeError(f"node ended with {self._process.wait()}, at one of {len(bodies)} bodies")
        return [json.loads(line) for line in said]

    def _write(self, bodies: Iterable[bytes]) -> None:
        assert self._process.stdin
        try:
            for data in bodies:
                self._process.stdin.write(base64.b64encode(data) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the reader says so

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)


def judged(bodies: Sequence[bytes], by: Node, limit_s: float = LIMIT_S) -> list[Judged]:
    """What all say of each body."""
    return [_judged(data, said, limit_s) for data, said in zip(bodies, by.ask(bodies), strict=True)]


def _judged(data: bytes, said: dict[str, Any], limit_s: float) -> Judged:
    judged = Judged()
    for who in READERS:
        _add(judged, who, partial(_by_python, who, data, judged, limit_s))
    _add(judged, MOCK, lambda: _by_mock(data, judged, limit_s))
    for name, took_ms in said.get("tookMs", {}).items():
        _note_time(judged, f"{TYPESCRIPT}, {name}", took_ms / 1000, limit_s)
    if "crash" in said:
        judged.found.append((TYPESCRIPT, f"crashes: {said['crash']}"))
    else:
        _add(judged, TYPESCRIPT, lambda: _of_problems(said["problems"], said["valid"]))
        if _is_utf8(data):
            _add(judged, OF_TEXT, lambda: _of_problems(said["ofText"]["problems"], said["ofText"]["valid"]))
    ours = judged.opinions.get(PYTHON)
    if ours and "crash" not in said and [each["code"] for each in ours.problems or []] != ["json"]:
        _add(judged, OF_VALUE, lambda: _of_problems(said["ofValue"]["problems"], said["ofValue"]["valid"]))
        _add(judged, AJV, lambda: Opinion(said["ofValue"]["schema"]["valid"], said["ofValue"]["schema"]["strict"]))
        _add(judged, JSONSCHEMA_RS, lambda: _by_schema(jsontext.parse(data)))
    if ours:
        for who, opinion in judged.opinions.items():
            _compare(judged, who, ours, opinion)
    return judged


def _add(judged: Judged, who: str, ask: Callable[[], Opinion]) -> None:
    try:
        judged.opinions[who] = ask()
    except Exception as error:  # whatever a judge raises is what is looked for
        judged.found.append((who, f"crashes: {type(error).__name__}: {error}"))


def _compare(judged: Judged, who: str, ours: Opinion, theirs: Opinion) -> None:
    difference = next(_differences(who, ours, theirs), None)
    if difference is None:
        return
    reasons = [name for name, each in EXEMPTIONS.items() if who in each.who and each.holds(ours, theirs)]
    if reasons:
        judged.exempted += reasons
    else:
        judged.found.append((who, difference))


def _differences(who: str, ours: Opinion, theirs: Opinion) -> Iterator[str]:
    if theirs.is_valid is not ours.is_valid:
        yield f"valid is {theirs.is_valid}"
    if theirs.is_clean is not ours.is_clean:
        yield f"without a warning is {theirs.is_clean}"
    if theirs.problems is None or ours.problems is None:
        return
    if theirs.first != ours.first:
        yield f"the first is {theirs.first}, not {ours.first}"
    if who == OF_VALUE:  # of 5.0 it keeps 5: the words may differ, not the places
        if _places(theirs) != _places(ours):
            yield f"problems are at {_places(theirs)[:3]}, not {_places(ours)[:3]}"
    elif theirs.problems != ours.problems:
        pairs = zip(theirs.problems, ours.problems, strict=False)
        other = next((f"{one}, not {another}" for one, another in pairs if one != another), "more or fewer")
        yield f"tells {other}"


def _of_problems(problems: Problems, is_valid: bool) -> Opinion:
    """Raises ValueError where a judge is of two minds."""
    if is_valid is any(each["severity"] == "error" for each in problems):
        raise ValueError(f"valid is {is_valid}, with {len(problems)} problems")
    return Opinion(is_valid, not problems, problems)


READERS: dict[str, tuple[ModuleType | None, dict[bytes, rules.Usual]]] = {PYTHON: (None, {}), MSGSPEC: (decoders, {})}
"""How `prospo.rules` is told to read: by which module, and what that has learnt."""


def _by_python(who: str, data: bytes, judged: Judged, limit_s: float) -> Opinion:
    """By the public functions, which read in one of two ways."""
    before = rules._decoders, rules._usual, rules._waited
    rules._decoders, rules._usual = READERS[who]
    rules._waited = rules.PATIENCE + 1
    try:
        is_valid = _timed(judged, f"{who}, is_valid_json", lambda: prospo.is_valid_json(data), limit_s)
        problems = _timed(judged, f"{who}, validate_json", lambda: prospo.validate_json(data), limit_s)
    finally:
        rules._decoders, rules._usual, rules._waited = before
    return _of_problems([asdict(each) for each in problems], is_valid)


def _by_mock(data: bytes, judged: Judged, limit_s: float) -> Opinion:
    is_valid = _timed(judged, MOCK, lambda: by_mock(LAX, data) is None, limit_s)
    return Opinion(is_valid, by_mock(STRICT, data) is None)


def _timed(judged: Judged, who: str, ask: Callable[[], Said], limit_s: float) -> Said:
    """What is said, and a finding if it takes too long each time: a pause of the collector is none."""
    started = time.process_time()
    said = ask()
    taken = time.process_time() - started
    if taken > limit_s:
        taken = cpu_s(ask, turns=5)
    _note_time(judged, who, taken, limit_s)
    return said


def _note_time(judged: Judged, who: str, taken_s: float, limit_s: float) -> None:
    judged.took_s[who] = taken_s
    if taken_s > limit_s:
        judged.found.append((who, f"takes {taken_s:.3f} s"))


@cache
def _schema(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(json.loads((SCHEMAS / f"{name}.json").read_text("utf-8")))


def _by_schema(request: Any) -> Opinion:
    """By the schema of the model and mode that a request names."""
    named = request if isinstance(request, dict) else {}
    id, mode_id = named.get("model"), named.get("mode")
    model = MODELS.get(id) if isinstance(id, str) else None
    mode = model and (isinstance(mode_id, str) or "mode" not in named) and model.mode(mode_id)
    if not model or not mode:
        return Opinion(False, False)
    name = f"{model.id}.{mode.id}"
    return Opinion(_schema(name).is_valid(request), _schema(f"{name}.strict").is_valid(request))


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
