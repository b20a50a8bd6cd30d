"""Counts of verdicts: requests, problems, and problems by model, field and code. Here live no verdict and no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from .terminal import plain

if TYPE_CHECKING:
    from .chunks import Unreadable
    from .judging import Verdict

KINDS = 10_000
"""Kinds of problems that are kept apart; those beyond are counted together, so that memory does not grow."""
TOLD = 20
"""Kinds of problems that people are shown."""
LONGEST_PATH = 200


def cut(path: str) -> str:
    """A pointer as people are shown it: a name may be as long as the request."""
    return path if len(path) <= LONGEST_PATH else f"{path[: LONGEST_PATH - 1]}…"


class Kind(NamedTuple):
    """Problems that are alike."""

    model: str | None
    """As the requests name it."""
    field: str
    """JSON Pointer of the member of the request, or of the param."""
    code: str
    severity: str


@dataclass(slots=True)
class Share:
    """Those of one kind."""

    count: int
    file: str
    """Where the first is."""
    line: int


@dataclass(slots=True)
class Tally:
    """The counts of some requests; those of the requests that follow them can be added."""

    requests: int = 0
    invalid: int = 0
    errors: int = 0
    warnings: int = 0
    kinds: dict[Kind, Share] = field(default_factory=dict)
    """In the order of the first of each."""
    others: int = 0
    """Problems of kinds beyond those that are kept apart."""
    unreadable: list[Unreadable] = field(default_factory=list)

    def count(self, verdict: Verdict) -> None:
        """One request more."""
        self.requests += 1
        self.invalid += not verdict.valid
        for problem in verdict.problems:
            if problem.severity == "error":
                self.errors += 1
            else:
                self.warnings += 1
            of = "/".join(problem.path.split("/", 3)[:3])
            model = None if verdict.model is None else cut(verdict.model)
            kind = Kind(model, cut(of), problem.code, problem.severity)
            self.kinds.setdefault(kind, Share(0, verdict.file, verdict.line)).count += 1

    def add(self, later: Tally) -> None:
        """Whatever was counted of requests that come later. Only here kinds beyond KINDS are no longer kept apart."""
        self.requests += later.requests
        self.invalid += later.invalid
        self.errors += later.errors
        self.warnings += later.warnings
        self.others += later.others
        self.unreadable += later.unreadable
        for kind, share in later.kinds.items():
            known = self.kinds.get(kind)
            if known:
                known.count += share.count
            elif len(self.kinds) < KINDS:
                self.kinds[kind] = share
            else:
                self.others += share.count

    def seen(self) -> dict[str, int]:
        """The counts that the exit code depends on."""
        return {"requests": self.requests, "invalid": self.invalid, "unreadable": len(self.unreadable)}

    def ranked(self) -> list[tuple[Kind, Share]]:
        """The most frequent first; of two that are as frequent, the one that came first."""
        return sorted(self.kinds.items(), key=lambda each: -each[1].count)


def text(tally: Tally) -> str | None:
    """What people are told of the kinds of problems; None where each problem is of a kind of its own."""
    if tally.errors + tally.warnings <= len(tally.kinds):
        return None
    ranked = tally.ranked()
    shown = [
        (
            f"{share.count:,}",
            *map(plain, (kind.model or "", kind.field or "/", kind.code, kind.severity)),
            _where(share),
        )
        for kind, share in ranked[:TOLD]
    ]
    rest = sum(share.count for _, share in ranked[TOLD:]) + tally.others
    others = f"{'more than ' if tally.others else ''}{len(ranked) - TOLD:,} other kinds"
    widths = [max(len(row[column]) for row in [*shown, [f"{rest:,}", *[""] * 5]]) for column in range(5)]
    told = ["problems by model, field and code:"]
    for count, *cells, first in shown:
        columns = (cell.ljust(width) for cell, width in zip(cells, widths[1:], strict=True))
        told.append(f"  {count.rjust(widths[0])}  {'  '.join(columns)}  first: {first}")
    return "\n".join([*told, f"  {f'{rest:,}'.rjust(widths[0])}  in {others}"] if rest else told)


def _where(share: Share) -> str:
    return f"{plain(share.file)}:{share.line}"


def as_json(tally: Tally, *, complete: bool) -> dict[str, Any]:
    """The same for programs, every kind that was kept apart included."""
    return {
        "complete": complete,
        "requests": tally.requests,
        "invalid": tally.invalid,
        "errors": tally.errors,
        "warnings": tally.warnings,
        "unreadable": [{"file": each.file, "line": each.line, "reason": each.reason} for each in tally.unreadable],
        "problems": [
            {**kind._asdict(), "count": share.count, "first": {"file": share.file, "line": share.line}}
            for kind, share in tally.ranked()
        ],
        "other_problems": tally.others,
    }
