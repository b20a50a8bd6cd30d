"""Verdicts as they are printed: for people, for programs, and for GitHub's runner. Here lives no judging."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from .tally import cut
from .terminal import plain

if TYPE_CHECKING:
    from .judging import Verdict

ANNOTATIONS = 10
"""What GitHub shows of one step, per severity; it drops the rest without a word."""
Annotation = tuple[str, str]
"""Severity, command."""


def text(verdict: Verdict, *, paint: bool) -> Iterator[str]:
    """A line a problem."""
    for problem in verdict.problems:
        severity: str = problem.severity
        if paint:
            severity = f"\033[{'31' if severity == 'error' else '33'}m{severity}\033[0m"
        hint = f" ({problem.hint})" if problem.hint else ""
        doubt = "" if problem.evidence == "documented" else f" [{problem.evidence}]"
        where = f"{plain(verdict.file)}:{verdict.line}"
        said = plain(f"{problem.code} {cut(problem.path) or '/'}: {problem.message}{hint}{doubt}")
        yield f"{where}: {severity} {said}"


def as_json(verdict: Verdict) -> str:
    """An object a request."""
    problems = [
        {name: getattr(problem, name) for name in ("path", "code", "severity", "evidence", "message", "hint")}
        for problem in verdict.problems
    ]
    known = {"file": verdict.file, "line": verdict.line, "valid": verdict.valid, "model": verdict.model}
    line = json.dumps({**known, "mode": verdict.mode, "cost_usd": verdict.cost_usd, "problems": problems})
    # The same JSON, in which GitHub's runner sees no command.
    return line.replace("##[", r"#\u0023[")


def commands(verdict: Verdict) -> Iterator[Annotation]:
    """A workflow command a problem."""
    file = "" if verdict.file == "-" else f"file={_property(verdict.file)},line={verdict.line},"
    for problem in verdict.problems:
        hint = f" ({problem.hint})" if problem.hint else ""
        said = _data(plain(f"{cut(problem.path)}: {problem.message}{hint}"))
        yield problem.severity, f"::{problem.severity} {file}title={_property(problem.code)}::{said}"


def first(told: Iterable[Annotation]) -> list[Annotation]:
    """No more of each severity than are ever shown."""
    counts: Counter[str] = Counter()
    taken = []
    for severity, annotation in told:
        counts[severity] += 1
        if counts[severity] <= ANNOTATIONS:
            taken.append((severity, annotation))
    return taken


class Limited:
    """The first annotations of each severity. The last that GitHub would show is kept back: it may be a count."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()
        self._kept_back: dict[str, str] = {}

    def take(self, told: Iterable[Annotation]) -> Iterator[str]:
        """Those that may be printed at once."""
        for severity, annotation in told:
            self._taken[severity] += 1
            if self._taken[severity] < ANNOTATIONS:
                yield annotation
            elif self._taken[severity] == ANNOTATIONS:
                self._kept_back[severity] = annotation

    def rest(self, counts: Mapping[str, int]) -> Iterator[str]:
        """The last of each severity, or how many more there are, by how many there are in all."""
        for severity, annotation in self._kept_back.items():
            more = counts[severity] - ANNOTATIONS
            yield f"::{severity}::and {more + 1} more" if more else annotation


def _data(text: str) -> str:
    """Text after the `::` of a workflow command, as GitHub escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
