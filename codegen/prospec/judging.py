"""Judges requests by the binding: what is in a chunk of input, or in whole files. Here lives no rule about requests."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

from prospo import Problem, validate
from prospo.catalog import MODELS
from prospo.jsontext import MAX_BYTES, MAX_DEPTH, parse
from prospo.price import Quote, estimate
from prospo.problem import NotJSONError

from .chunks import Chunk, Document, Lines, LongLine, Rows, Unreadable
from .columns import requests
from .exits import FINDINGS, NOTHING_RAN, OK, USAGE
from .inputs import Meter, chunks
from .quick import Quick
from .terminal import plain, say

_quick = Quick()
"""What this process has learnt."""


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


def verdicts(files: Sequence[str], seen: Counter[str]) -> Iterator[Verdict]:
    """Every request of every file, judged, in order. A file that cannot be read is told, and ends nothing."""
    for chunk in chunks(files, Meter(), max_bytes=MAX_BYTES):
        if isinstance(chunk, Unreadable):
            say(unread(chunk), "red")
            seen["unreadable"] += 1
            continue
        for verdict in judge(chunk)[1]:
            seen["requests"] += 1
            yield verdict


def unread(chunk: Unreadable) -> str:
    """The remark on a file that cannot be read, or no further."""
    beyond = "" if chunk.line is None or chunk.line == 1 else f" from line {chunk.line:,} on"
    return f"{plain(chunk.file)}: cannot be read{beyond}: {plain(chunk.reason)}"


def exit_code(seen: Mapping[str, int]) -> int:
    """By the counts of requests, of those that are invalid, and of files that cannot be read."""
    if seen["unreadable"]:
        return USAGE
    if not seen["requests"]:
        return NOTHING_RAN
    return FINDINGS if seen["invalid"] else OK


def judge(chunk: Chunk, *, blemished_only: bool = False) -> tuple[int, Iterator[Verdict]]:
    """How many requests of a chunk are passed over, and the verdict on every other, in order.

    Passed over are, if only the blemished are asked for, most of those of which there is nothing to say.
    """
    match chunk:
        case Lines(file, first, data):
            lines = data.split(b"\n")
            numbered = enumerate(lines, first)
            left = [(number, line) for number, line in numbered if not (blemished_only and _quick.takes(line))]
            # Whatever is no request is among those that are left.
            passed = len(lines) - len(left)
            return passed, (_of_line(file, number, line) for number, line in left if line.strip())
        case LongLine(file, line, size):
            return 0, iter([_no_json(file, line, f"{size:,} bytes; at most {MAX_BYTES:,} are read")])
        case Document(file, data):
            return 0, _of_document(file, data)
        case Rows():
            return 0, _of_rows(chunk)
        case Unreadable():
            return 0, iter(())
        case _:
            assert_never(chunk)


def verdict(file: str, line: int, request: Any) -> Verdict:
    """On a request as bytes of JSON or as its value."""
    if isinstance(request, bytes):
        return _of_text(file, line, request)
    return _of_value(file, line, request, validate(request))


def _of_document(file: str, data: bytes) -> Iterator[Verdict]:
    """One request, or a list of them. The limits of the validation profile are those of one request, not of a list."""
    try:
        document = parse(data, max_bytes=float("inf"), max_depth=MAX_DEPTH + 1)
    except NotJSONError:
        document = None
    if isinstance(document, list):
        yield from (_of_value(file, number, item, validate(item)) for number, item in enumerate(document, start=1))
    else:
        yield _of_text(file, 1, data)


def _of_rows(rows: Rows) -> Iterator[Verdict]:
    from pyarrow import ipc

    batch = ipc.open_stream(rows.data).read_next_batch()
    for number, request in enumerate(requests(batch, rows.columns), rows.first):
        yield verdict(rows.file, number, request)


def _of_line(file: str, number: int, line: bytes) -> Verdict:
    if _quick.takes(line):
        return _of_value(file, number, _quick.parse(line), [])
    return _of_text(file, number, line.removesuffix(b"\r"))


def _of_text(file: str, line: int, data: bytes) -> Verdict:
    try:
        request = _quick.parse(data)
    except NotJSONError as error:
        return _no_json(file, line, str(error))
    found = _of_value(file, line, request, validate(request))
    if not found.problems and found.model and found.mode:
        _quick.learn(data, found.model, found.mode)
    return found


def _no_json(file: str, line: int, reason: str) -> Verdict:
    problem = Problem("", "json", "error", "documented", f"not a JSON value: {reason}")
    return Verdict(file, line, None, None, (problem,), None)


def _of_value(file: str, line: int, request: Any, problems: list[Problem]) -> Verdict:
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
