"""Findings that are known: a file of them, and what a run makes of it.

A known failure is no news. One that is cured, or whose time is over, has to leave the file, so both are.
Here live no printing and no exit codes.
"""

from __future__ import annotations

import datetime
import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from prospec import positions, reading
from prospec.ir import Spec
from prospec.loader import Problem
from prospec.shape import Finding, listed, plain, shown

from .outcome import Outcome, Verdict

TABLES = "known"
_KEYS = ("requirement", "model", "mode", "field", "reason", "expires")
State = Literal["known", "cured", "expired", "unmatched"]
BROKEN: tuple[Outcome, ...] = ("failed", "warned")


@dataclass(frozen=True, slots=True)
class Entry:
    """One finding that is known. What it leaves out may be anything."""

    requirement: str
    reason: str
    expires: datetime.date
    """The last day on which it counts."""
    model: str | None = None
    mode: str | None = None
    field: str | None = None
    place: str = ""
    """File and line, for messages."""

    def covers(self, verdict: Verdict) -> bool:
        named = ((self.model, verdict.model), (self.mode, verdict.mode), (self.field, verdict.field))
        return self.requirement == verdict.requirement and all(want in (None, is_) for want, is_ in named)

    @property
    def where(self) -> str:
        return " ".join(part for part in (self.requirement, self.model, self.mode, self.field) if part)


@dataclass(frozen=True, slots=True)
class Known:
    """What a run made of the entries."""

    states: tuple[tuple[Entry, State], ...]
    reasons: Mapping[str, str]
    """Why a finding is known, by its id."""

    @property
    def is_stale(self) -> bool:
        """Whether the file says what is no longer so."""
        return any(state in ("cured", "expired") for _, state in self.states)


def compared(entries: Iterable[Entry], verdicts: Sequence[Verdict], today: datetime.date) -> Known:
    """The entries beside what was found.

    `cured` is one whose findings were judged, and none is broken; `unmatched` one of whose findings nothing was judged.
    """
    states: list[tuple[Entry, State]] = []
    reasons: dict[str, str] = {}
    for entry in entries:
        judged = [each for each in verdicts if entry.covers(each) and each.outcome in (*BROKEN, "passed")]
        broken = [each for each in judged if each.outcome in BROKEN]
        if entry.expires < today:
            states.append((entry, "expired"))
        elif broken:
            states.append((entry, "known"))
            reasons |= {each.id: entry.reason for each in broken}
        else:
            states.append((entry, "cured" if judged else "unmatched"))
    return Known(tuple(states), reasons)


def read(path: Path, spec: Spec) -> tuple[Entry, ...]:
    """The entries of a file. Raises ValueError with a line for each thing that is wrong: the file, the line, what is
    there, what was expected."""
    file = plain(str(path))
    try:
        # Not `read_text`, which would take every carriage return for an end of line.
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}, expected known failures in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}:{line}: byte {error.start} is no UTF-8, expected TOML in UTF-8") from None
    return understood(text, file, spec)


def understood(text: str, file: str, spec: Spec) -> tuple[Entry, ...]:
    """The entries of a text; `file` is what messages call it. Raises ValueError, as `read` does."""
    try:
        raw = reading.toml(text)
    except reading.NotReadableError as error:
        raise ValueError(str(Problem(file, error.line, "", str(error)))) from None
    lines = positions.lines_of(text, ".toml")
    wrong: list[Finding] = [
        ((key,), f"unknown key, expected tables that begin with [[{TABLES}]]") for key in raw if key != TABLES
    ]
    tables = raw.get(TABLES, [])
    entries = []
    if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
        wrong.append(((TABLES,), f"expected tables that begin with [[{TABLES}]]"))
        tables = []
    for index, table in enumerate(tables):
        found = list(_wrong(table, (TABLES, index), spec))
        wrong += found
        if not found:
            line = positions.line_of((TABLES, index), lines)
            entries.append(Entry(**table, place=f"{file}:{line}"))
    if wrong:
        said = sorted(Problem(file, positions.line_of(path, lines), _where(path), what) for path, what in wrong)
        raise ValueError("\n".join(map(str, said)))
    return tuple(entries)


def _wrong(table: Mapping[str, Any], path: positions.Path, spec: Spec) -> Iterable[Finding]:
    """Everything that is wrong with one table."""
    for key in table.keys() - set(_KEYS):
        yield (*path, key), f"unknown key, expected one of {listed(_KEYS)}"
    for key in ("requirement", "reason", "expires"):
        if key not in table:
            yield (*path, key), f"missing, expected {_EXPECTED[key]}"
    for key in set(_KEYS) & table.keys():
        value = table[key]
        is_right = type(value) is datetime.date if key == "expires" else isinstance(value, str) and value.strip()
        if not is_right or (isinstance(value, str) and not value.isprintable()):
            # Not `shown` for a date, whose JSON would be in quotes.
            yield (
                (*path, key),
                f"is {value if isinstance(value, datetime.date) else shown(value)}, expected {_EXPECTED[key]}",
            )
    models = [model for model in spec.models if table.get("model") in (None, model.id)]
    known = {
        "requirement": [each.id for each in spec.requirements],
        "model": [model.id for model in spec.models],
        "mode": sorted({mode.id for model in models or spec.models for mode in model.modes}),
    }
    for key, names in known.items():
        value = table.get(key)
        if isinstance(value, str) and value.strip() and value not in names:
            close = difflib.get_close_matches(value, names, n=1, cutoff=0.5)
            meant = f"; did you mean {close[0]!r}?" if close else ""
            yield (*path, key), f"is {shown(value)}, expected {_EXPECTED[key]} that there is{meant}"


_EXPECTED = {
    "requirement": 'the id of a requirement, such as "PARAM-05"',
    "model": "the id of a model",
    "mode": "the id of a mode",
    "field": "the name of a field, as a report has it",
    "reason": "why it is known, as text",
    "expires": "the last day on which it counts, such as 2027-01-31, without quotes",
}


def _where(path: positions.Path) -> str:
    """known[1].model"""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{plain(part)}" for part in path).removeprefix(".")
