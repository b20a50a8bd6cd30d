"""`prospec validate`: files in, verdicts out as they come, and in the end what was found. Memory does not grow.

Here live no rule about requests and no form of a verdict.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal

from prospo.jsontext import MAX_BYTES

from . import showing, tally
from .chunks import Chunk, Unreadable
from .exits import NOTHING_RAN, USAGE, StoppedError
from .inputs import Meter, chunks
from .judging import Verdict, exit_code, judge, unread
from .parallel import ProcessDiedError, in_order
from .tally import Tally
from .terminal import Gauge, Interrupts, coloured, forget_stdout, plain, say

Format = Literal["text", "json", "github"]
Engine = Literal["local", "ray"]


@dataclass(frozen=True, slots=True)
class How:
    """How verdicts are taken and printed."""

    format: Format
    strict: bool
    paint: bool


@dataclass(frozen=True, slots=True)
class Judged:
    """What was found in a chunk."""

    tally: Tally
    output: str
    annotations: list[showing.Annotation]


def run(
    files: Sequence[str],
    *,
    strict: bool,
    format: Format,
    jobs: int | None,
    column: str | None = None,
    summary: Path | None = None,
    engine: Engine = "local",
    address: str | None = None,
) -> int:
    """Judge every request of every file, print, and return the exit code.

    `address` is that of the cluster, which an engine other than that of this machine may have.
    """
    if summary and (summary.is_dir() or not summary.parent.is_dir()):
        say(f"--summary {plain(str(summary))}: expected a file in a folder that is there", "red")
        return USAGE
    found, meter = Tally(), Meter()
    how = How(format, strict, coloured(sys.stdout))
    if engine == "ray":
        from . import cluster

        try:
            cluster.check(files, address)
        except StoppedError as error:
            say(str(error), "red")
            return error.code
        work = _on_ray(files, how, meter, jobs, column, address)
    else:
        work = in_order(partial(judged, how=how), chunks(files, meter, max_bytes=MAX_BYTES, column=column), jobs)
    ended, code = _judge_all(work, meter, found)
    kinds = None if format == "json" else tally.text(found)
    if kinds:
        say(kinds)
    warnings = f", {found.warnings} warnings" if found.warnings else ""
    counts = f"{found.requests:,} requests, {found.invalid:,} invalid{warnings}"
    say(f"{ended}; so far {counts}" if ended else counts, "red" if found.invalid or ended else "green")
    if summary and not _write(summary, tally.as_json(found, complete=ended is None)):
        return USAGE
    return exit_code(found.seen()) if code is None else code


INTERRUPTED = "interrupted"
DIED = "a process was ended by the system, which may lack memory: try fewer --jobs"
UNHEARD = "the reader of the output has gone"


def _judge_all(work: Generator[Judged, None, None], meter: Meter, found: Tally) -> tuple[str | None, int | None]:
    """Judge and print; what is found is added to `found`.

    Returns why that ended before the files did, if so, and the exit code, if what was found does not decide on it.
    """
    gauge, annotations = Gauge(), showing.Limited()
    try:
        with Interrupts() as interrupts, closing(work):
            for each in work:
                with interrupts.whole():
                    found.add(each.tally)
                    if each.output or each.annotations or each.tally.unreadable:
                        gauge.aside()
                    # Line by line: of a larger piece, an unbuffered stream may write a part and say nothing.
                    sys.stdout.writelines(each.output.splitlines(keepends=True))
                    sys.stdout.writelines(f"{line}\n" for line in annotations.take(each.annotations))
                    sys.stdout.flush()
                for unreadable in each.tally.unreadable:
                    say(unread(unreadable), "red")
                gauge.tick(_progress(found, meter, gauge.elapsed_s), meter.done / meter.total if meter.total else None)
            gauge.done()
            for line in annotations.rest({"error": found.errors, "warning": found.warnings}):
                print(line)
            sys.stdout.flush()
    except KeyboardInterrupt:
        return INTERRUPTED, NOTHING_RAN
    except ProcessDiedError:
        return DIED, NOTHING_RAN
    except StoppedError as error:
        return str(error), error.code
    except BrokenPipeError:
        forget_stdout()
        return UNHEARD, None
    finally:
        gauge.done()
    return None, None


def judged(chunk: Chunk, how: How) -> Judged:
    """What is found in a chunk, and what is printed of it."""
    passed, verdicts = judge(chunk, blemished_only=how.format != "json")
    return _found(passed, verdicts, chunk if isinstance(chunk, Unreadable) else None, how)


def _on_ray(
    files: Sequence[str], how: How, meter: Meter, jobs: int | None, column: str | None, address: str | None
) -> Generator[Judged, None, None]:
    from .cluster import reports

    blemished_only = how.format != "json"
    told = reports(files, meter, blemished_only=blemished_only, column=column, address=address, jobs=jobs)
    with closing(told):
        for report in told:
            yield _found(report.passed, report.verdicts, report.unreadable, how)


def _found(passed: int, verdicts: Iterable[Verdict], unreadable: Unreadable | None, how: How) -> Judged:
    counts = Tally(requests=passed)
    lines: list[str] = []
    annotations: list[showing.Annotation] = []
    for each in verdicts:
        verdict = _strictly(each) if how.strict else each
        counts.count(verdict)
        match how.format:
            case "text":
                lines += showing.text(verdict, paint=how.paint)
            case "json":
                lines.append(showing.as_json(verdict))
            case "github":
                annotations += showing.commands(verdict)
    if unreadable:
        counts.unreadable.append(unreadable)
    return Judged(counts, "".join(f"{line}\n" for line in lines), showing.first(annotations))


def _strictly(verdict: Verdict) -> Verdict:
    return replace(verdict, problems=tuple(replace(problem, severity="error") for problem in verdict.problems))


def _progress(found: Tally, meter: Meter, elapsed_s: float) -> str:
    rates = f"{found.requests / elapsed_s:,.0f}/s, {meter.done / elapsed_s / 1e6:,.0f} MB/s"
    return f"{found.requests:,} requests, {found.invalid:,} invalid, {rates}"


def _write(path: Path, value: object) -> bool:
    try:
        path.write_text(json.dumps(value, indent=2) + "\n", "utf-8")
    except OSError as error:
        say(f"{plain(str(path))}: cannot be written: {error.strerror}", "red")
        return False
    return True
