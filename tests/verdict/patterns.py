"""Every regular expression of the bindings and the schemas, and texts made to be hard for one.

What a module compiles is seen by compiling it again, and held against its syntax tree; node does the same for the npm
package, in typescript/patterns.mjs. Here live no tests.
"""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from node import ROOT, TOOLS, built, node
from test_bodies import cpu_s

BINDING = ROOT / "generated" / "python" / "prospo"
SCANNING = frozenset({"search", "sub", "subn", "split", "findall", "finditer"})
"""Ways of using a pattern that try it at each place of a text."""
Text = tuple[str, str, str]
"""Head, what is repeated, and tail."""


@dataclass(frozen=True, slots=True)
class Pattern:
    """One regular expression, as a module has it."""

    name: str
    """Module, and the name that its module knows it by."""
    source: str
    flags: str | int
    ways: frozenset[str] = frozenset()
    """Python's methods that it is used by."""
    is_bytes: bool = False


# Python's

RECORD = """
import importlib, json, re, sys
compiled, compile_as_ever = [], re.compile
def compile(pattern, flags=0):
    caller = sys._getframe(1)
    if caller.f_code.co_filename.startswith(sys.argv[1]):
        is_bytes = isinstance(pattern, bytes)
        source = pattern.decode("latin-1") if is_bytes else pattern
        compiled.append([caller.f_code.co_filename, caller.f_lineno, source, int(flags), is_bytes])
    return compile_as_ever(pattern, flags)
re.compile = compile
for name in sys.argv[2:]:
    importlib.import_module(name)
print(json.dumps(compiled))
"""


@cache
def of_python() -> tuple[Pattern, ...]:
    """All that the binding compiles when its modules are loaded. Raises AssertionError for one made in another way."""
    files = sorted(BINDING.glob("*.py"))
    names = ["prospo" if path.stem == "__init__" else f"prospo.{path.stem}" for path in files]
    ran = subprocess.run(
        [sys.executable, "-c", RECORD, str(BINDING), *names], capture_output=True, text=True, check=True
    )
    recorded: dict[tuple[str, int], list[Any]] = {
        (Path(each[0]).stem, each[1]): each for each in json.loads(ran.stdout)
    }
    found = []
    for path in files:
        tree = ast.parse(path.read_text("utf-8"))
        for name, call in _calls(tree, path.stem):
            each = recorded.get((path.stem, call.lineno))
            if each is None:
                literal = call.args[0]  # one that is compiled in no case that occurs here
                assert isinstance(literal, ast.Constant), f"{path.stem}:{call.lineno} is never compiled"
                continue
            found.append(Pattern(f"{path.stem}.{name}", each[2], each[3], _ways(tree, name, call), each[4]))
    return tuple(found)


def _calls(tree: ast.Module, module: str) -> Iterator[tuple[str, ast.Call]]:
    """Each call of re.compile, and the name that its result has, or that of its method."""
    for each in ast.walk(tree):
        assert not (isinstance(each, ast.ImportFrom) and each.module == "re"), f"{module} hides what is of re"
        if isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name) and each.value.id == "re":
            known = ("compile", "escape", "Pattern", "Match", "IGNORECASE", "ASCII", "DOTALL")
            assert each.attr in known, f"{module}:{each.lineno} calls re.{each.attr}"
    unnamed = {call.lineno for call in _compiling(tree)}
    for statement in ast.walk(tree):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
            target = statement.target if isinstance(statement, ast.AnnAssign) else statement.targets[0]
            for call in _compiling(statement.value):
                unnamed.discard(call.lineno)
                yield ast.unparse(target), call
    assert not unnamed, f"{module} compiles a pattern that has no name, in line {min(unnamed)}"


def _compiling(tree: ast.AST) -> Iterator[ast.Call]:
    return (each for each in ast.walk(tree) if isinstance(each, ast.Call) and ast.unparse(each.func) == "re.compile")


def _ways(tree: ast.Module, name: str, call: ast.Call) -> frozenset[str]:
    attributes = [each for each in ast.walk(tree) if isinstance(each, ast.Attribute)]
    by_name = {each.attr for each in attributes if isinstance(each.value, ast.Name) and each.value.id == name}
    return frozenset({each.attr for each in attributes if each.value is call} | by_name)


# The schemas'


def of_schemas() -> tuple[Pattern, ...]:
    found = {
        value: f"{path.name}"
        for path in sorted((ROOT / "generated" / "json").rglob("*.json"), reverse=True)
        if path.name != "vectors.json"
        for value in _patterns(json.loads(path.read_text("utf-8")))
    }
    return tuple(
        Pattern(name, source, "u", frozenset({"fullmatch", "search"})) for source, name in sorted(found.items())
    )


def _patterns(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if isinstance(document.get("pattern"), str):
            yield document["pattern"]
        for value in document.values():
            yield from _patterns(value)
    elif isinstance(document, list):
        for value in document:
            yield from _patterns(value)


# TypeScript's


class Engine:
    """node, with the patterns of the npm package."""

    def __init__(self, folder: Path | None = None) -> None:
        command = [node(), str(TOOLS / "patterns.mjs"), str(folder or built() / "dist")]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        told = self._answer()
        self.patterns = tuple(Pattern(each["name"], each["source"], each["flags"]) for each in told["found"])
        self.unreached: list[str] = told["unreached"]
        """Places in the sources that make a pattern when they are called, and were not when they were loaded."""

    def cpu_times_s(self, pattern: Pattern, texts: list[Text], size: int, turns: int = 1) -> list[float]:
        """What it takes to search each text of that size, the least of some turns."""
        times: list[float] = self._ask(pattern, texts=texts, size=size, turns=turns)
        return times

    def matches(self, pattern: Pattern, texts: list[str]) -> list[list[list[str | None]]]:
        """Of each text its matches, of each match itself and its groups."""
        found: list[list[list[str | None]]] = self._ask(pattern, among=texts)
        return found

    def _ask(self, pattern: Pattern, **question: Any) -> Any:
        assert self._process.stdin
        line = json.dumps({"source": pattern.source, "flags": pattern.flags, **question})
        self._process.stdin.write(line.encode() + b"\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"node ended with {self._process.wait()}"
        return json.loads(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _type: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)


# Texts


def compiled(pattern: Pattern) -> re.Pattern[Any]:
    flags = pattern.flags if isinstance(pattern.flags, int) else 0
    return re.compile(pattern.source.encode("latin-1") if pattern.is_bytes else pattern.source, flags)


def text_of(text: Text, size: int) -> str:
    head, unit, tail = text
    return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail


def cpu_times_s(pattern: Pattern, texts: Iterable[Text], size: int, turns: int = 1) -> list[float]:
    """What Python takes for each text of that size, in the slowest of the ways that a pattern is used in."""
    searcher = compiled(pattern)
    scans = not pattern.ways <= {"match", "fullmatch"}

    def of(text: Text) -> float:
        whole: Any = text_of(text, size)
        if pattern.is_bytes:
            whole = whole.encode("utf-8", "replace")
        once: Callable[[], object] = lambda: searcher.fullmatch(whole) or searcher.match(whole)  # noqa: E731
        often: Callable[[], object] = lambda: sum(1 for _ in searcher.finditer(whole))  # noqa: E731
        return cpu_s(often if scans else once, turns)

    return [of(text) for text in texts]


TAILS = ("", "!", "\n", " @", "\u2028")
REPRESENTATIVES = "aZ0 \n:/@\u00e9\U0001f3ac"
MANY = 16
"""Repeated so often or oftener, a part of a pattern can be given a long text."""


def hard_texts(source: str) -> list[Text]:
    """Texts in which each part that a pattern repeats is repeated, by each kind of character that it takes."""
    pumped = set(_pumped(_parsed(source), "", source))
    return [(head, unit, tail) for (head, unit), tail in product(sorted(pumped), TAILS)]


def drawn_match(source: str, random: Random) -> str:
    """A text that the pattern, but for what it looks ahead or behind for, matches."""
    return _drawn(_parsed(source), random, source)


def _parsed(source: str) -> Any:
    # What JavaScript has beyond Python: a class by its name. A control character is in those that occur.
    return re._parser.parse(re.sub(r"\\p\{[^}]*\}", r"\\x01", source))  # type: ignore[attr-defined]


def _pumped(nodes: Any, before: str, source: str) -> Iterator[tuple[str, str]]:
    """(head, unit) for each repetition of a syntax tree that may be long."""
    for name, argument in ((str(each[0]), each[1]) for each in nodes):
        match name:
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = argument
                if int(high) >= MANY:
                    yield from ((before, unit) for unit in _units(body, source))
                    if before:
                        yield "", before
                yield from _pumped(body, before, source)
                before += _drawn(body, None, source) * low
            case "SUBPATTERN":
                yield from _pumped(argument[3], before, source)
                before += _drawn(argument[3], None, source)
            case "BRANCH":
                for branch in argument[1]:
                    yield from _pumped(branch, before, source)
                before += _drawn(argument[1][0], None, source)
            case _:
                before += _drawn([(name, argument)], None, source)


def _units(body: Any, source: str) -> Iterator[str]:
    """What a repeated part may be, short: each character of interest that it takes, or one text of many parts."""
    if len(body) == 1 and str(body[0][0]) in ("IN", "ANY", "LITERAL", "NOT_LITERAL"):
        yield from _members(body[0], source)
    else:
        yield from {_drawn(body, None, source), *(_drawn(body, Random(seed), source) for seed in range(6))} - {""}


def _members(part: Any, source: str) -> list[str]:
    """Characters of interest that one part of a pattern takes: those that the pattern names, and some of each kind."""
    name, argument = str(part[0]), part[1]
    of_interest = dict.fromkeys([*REPRESENTATIVES, *source])
    match name:
        case "LITERAL":
            return [chr(argument)]
        case "NOT_LITERAL":
            return [each for each in of_interest if each != chr(argument)]
        case "ANY":
            return [each for each in of_interest if each != "\n"]
    is_negated = str(argument[0][0]) == "NEGATE"
    named = [
        chr(each[1] if str(each[0]) == "LITERAL" else each[1][0])
        for each in argument
        if str(each[0]) in ("LITERAL", "RANGE")
    ]
    return [each for each in dict.fromkeys([*named, *of_interest]) if _is_in(each, argument) is not is_negated]


def _is_in(character: str, items: Any) -> bool:
    for name, argument in ((str(item[0]), item[1]) for item in items):
        match name:
            case "LITERAL" if chr(argument) == character:
                return True
            case "RANGE" if argument[0] <= ord(character) <= argument[1]:
                return True
            case "CATEGORY":
                kind = {"SPACE": r"\s", "DIGIT": r"\d", "WORD": r"\w"}[str(argument).rpartition("_")[2]]
                if (re.match(kind, character) is None) is ("NOT" in str(argument)):
                    return True
    return False


def _drawn(nodes: Any, random: Random | None, source: str) -> str:
    """A text that the nodes match; without `random` the shortest, and always the same."""
    parts = []
    for each in nodes:
        name, argument = str(each[0]), each[1]
        match name:
            case "LITERAL" | "NOT_LITERAL" | "ANY" | "IN":
                members = _members(each, source)
                parts.append(random.choice(members) if random else members[0])
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                low, high, body = argument
                count = min(low + random.randrange(4), int(high)) if random else low
                parts += [_drawn(body, random, source) for _ in range(count)]
            case "SUBPATTERN":
                parts.append(_drawn(argument[3], random, source))
            case "BRANCH":
                branches = argument[1]
                parts.append(_drawn(random.choice(branches) if random else branches[0], random, source))
            case "ATOMIC_GROUP":
                parts.append(_drawn(argument, random, source))
            case "AT" | "ASSERT" | "ASSERT_NOT":
                pass
            case _:
                raise ValueError(f"{name} is no part of a pattern that is known here")
    return "".join(parts)
