"""`prospec validate`: requests out of files, each judged by the binding, and the verdicts printed as they come.

Line-delimited input streams: memory does not grow with the file. Here lives no rule about requests.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from multiprocessing import Pool
from pathlib import Path
from typing import Any, BinaryIO, Literal

from prospo import Problem, validate
from prospo.catalog import MODELS
from prospo.jsontext import MAX_DEPTH, parse
from prospo.price import Quote, estimate
from prospo.problem import NotJSONError

from .exits import FINDINGS, NOTHING_RAN, OK, USAGE
from .terminal import coloured, plain, say

BATCH = 4096
"""Lines given to the processes at a time: enough to keep them busy, few enough to keep memory flat."""
ANNOTATIONS = 10
"""What GitHub shows of one step, per severity; it drops the rest without a word."""


LONGEST_PATH = 200


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found on one request."""

    file: str
    line: int
    model: str | None
    mode: str | None
    """The one that it was judged by: the first of its model where the request names none."""
    problems: tuple[Problem, ...]
    quote: Quote | None
    """What the request costs; None for one that would be refused."""

    @property
    def cost_usd(self) -> float | None:
        """The one figure that is most likely, where there is one."""
        return None if self.quote is None or self.quote.usd is None else float(self.quote.usd)

    @property
    def valid(self) -> bool:
        return not any(problem.severity == "error" for problem in self.problems)


def run(files: Sequence[str], *, strict: bool, format: Literal["text", "json", "github"], jobs: int) -> int:
    """Judge every request of every file, print, and return the exit code."""
    seen: Counter[str] = Counter()
    annotations = _Annotations()
    show = {"text": _text, "json": _json, "github": annotations.show}[format]
    for found in verdicts(files, seen, jobs):
        verdict = _strictly(found) if strict else found
        seen["invalid"] += not verdict.valid
        show(verdict, seen)
    annotations.finish(seen)
    warnings = f", {seen['warning']} warnings" if seen["warning"] else ""
    invalid = seen["invalid"]
    say(f"{seen['requests']:,} requests, {invalid:,} invalid{warnings}", "red" if invalid else "green")
    return exit_code(seen)


def verdicts(files: Sequence[str], seen: Counter[str], jobs: int = 1) -> Iterator[Verdict]:
    """Every request of every file, judged, in order. A file that cannot be read is told, and ends nothing."""
    for file in files:
        try:
            for verdict in _judge_file(file, jobs):
                seen["requests"] += 1
                yield verdict
        except BrokenPipeError:
            raise
        except OSError as error:
            say(f"{plain(file)}: cannot be read: {error.strerror}", "red")
            seen["unreadable"] += 1


def exit_code(seen: Counter[str]) -> int:
    if seen["unreadable"]:
        return USAGE
    if not seen["requests"]:
        return NOTHING_RAN
    return FINDINGS if seen["invalid"] else OK


def _judge_file(file: str, jobs: int) -> Iterator[Verdict]:
    if file == "-":
        yield from _judge_stdin(sys.stdin.buffer)
        return
    path = Path(file)
    if path.suffix in (".jsonl", ".ndjson"):
        with path.open("rb") as lines:
            yield from _judge_lines(file, lines, jobs)
    else:
        yield from _judge_document(file, path.read_bytes())


def _judge_stdin(stream: BinaryIO) -> Iterator[Verdict]:
    """A document, or a request a line: whatever the whole of it parses as."""
    data = stream.read()
    try:
        parse(data, max_bytes=float("inf"), max_depth=MAX_DEPTH + 1)
    except NotJSONError:
        lines = data.splitlines()
        if len(lines) > 1:
            yield from _judge_lines("-", lines, 1)
            return
    if data.strip():
        yield from _judge_document("-", data)


def _judge_document(file: str, data: bytes) -> Iterator[Verdict]:
    """One request, or a list of them. The limits of the validation profile are those of one request, not of a list."""
    try:
        document = parse(data, max_bytes=float("inf"), max_depth=MAX_DEPTH + 1)
    except NotJSONError:
        document = None
    if isinstance(document, list):
        for number, item in enumerate(document, start=1):
            yield _verdict(file, number, item, validate(item))
    else:
        yield _judge_bytes((file, 1, data))


def _judge_lines(file: str, lines: Iterable[bytes], jobs: int) -> Iterator[Verdict]:
    numbered = ((file, number, line) for number, line in enumerate(lines, start=1) if line.strip())
    if jobs == 1:
        yield from map(_judge_bytes, numbered)
        return
    with Pool(jobs) as pool:
        while batch := list(islice(numbered, BATCH)):
            yield from pool.map(_judge_bytes, batch)


def _judge_bytes(task: tuple[str, int, bytes]) -> Verdict:
    file, line, data = task
    try:
        request = parse(data)
    except NotJSONError as error:
        problem = Problem("", "json", "error", "documented", f"not a JSON value: {error}")
        return Verdict(file, line, None, None, (problem,), None)
    return _verdict(file, line, request, validate(request))


def _verdict(file: str, line: int, request: Any, problems: list[Problem]) -> Verdict:
    named = request if isinstance(request, dict) else {}
    model, mode = named.get("model"), named.get("mode")
    if "mode" not in named and isinstance(model, str) and model in MODELS:
        mode = MODELS[model].modes[0].id
    is_refused = any(problem.severity == "error" for problem in problems)
    return Verdict(
        file=file,
        line=line,
        model=model if isinstance(model, str) else None,
        mode=mode if isinstance(mode, str) else None,
        problems=tuple(problems),
        quote=None if is_refused else estimate(request),
    )


def _strictly(verdict: Verdict) -> Verdict:
    return replace(verdict, problems=tuple(replace(problem, severity="error") for problem in verdict.problems))


def _text(verdict: Verdict, seen: Counter[str]) -> None:
    paint = coloured(sys.stdout)
    for problem in verdict.problems:
        seen[problem.severity] += 1
        severity = problem.severity
        if paint:
            severity = f"\033[{'31' if severity == 'error' else '33'}m{severity}\033[0m"  # type: ignore[assignment]
        hint = f" ({problem.hint})" if problem.hint else ""
        doubt = "" if problem.evidence == "documented" else f" [{problem.evidence}]"
        where = f"{plain(verdict.file)}:{verdict.line}"
        said = plain(f"{problem.code} {_cut(problem.path) or '/'}: {problem.message}{hint}{doubt}")
        print(f"{where}: {severity} {said}")


def _json(verdict: Verdict, seen: Counter[str]) -> None:
    problems = [
        {name: getattr(problem, name) for name in ("path", "code", "severity", "evidence", "message", "hint")}
        for problem in verdict.problems
    ]
    seen["warning"] += sum(1 for problem in verdict.problems if problem.severity == "warning")
    known = {"file": verdict.file, "line": verdict.line, "valid": verdict.valid, "model": verdict.model}
    line = json.dumps({**known, "mode": verdict.mode, "cost_usd": verdict.cost_usd, "problems": problems})
    # The same JSON, in which GitHub's runner sees no command.
    print(line.replace("##[", r"#\u0023["))


class _Annotations:
    """Workflow commands, up to the limit. The tenth is kept back: with more to come, it says how many."""

    def __init__(self) -> None:
        self.tenth: dict[str, str] = {}

    def show(self, verdict: Verdict, seen: Counter[str]) -> None:
        for problem in verdict.problems:
            seen[problem.severity] += 1
            if seen[problem.severity] < ANNOTATIONS:
                print(_annotation(verdict, problem))
            elif seen[problem.severity] == ANNOTATIONS:
                self.tenth[problem.severity] = _annotation(verdict, problem)

    def finish(self, seen: Counter[str]) -> None:
        for severity, tenth in self.tenth.items():
            more = seen[severity] - ANNOTATIONS
            print(f"::{severity}::and {more + 1} more" if more else tenth)


def _annotation(verdict: Verdict, problem: Problem) -> str:
    hint = f" ({problem.hint})" if problem.hint else ""
    file = "" if verdict.file == "-" else f"file={_property(verdict.file)},line={verdict.line},"
    said = _data(plain(f"{_cut(problem.path)}: {problem.message}{hint}"))
    return f"::{problem.severity} {file}title={_property(problem.code)}::{said}"


def _cut(path: str) -> str:
    """A pointer as people are shown it: a name may be as long as the request."""
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH - 1]}…"


def _data(text: str) -> str:
    """Text after the `::` of a workflow command, as GitHub escapes it."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
