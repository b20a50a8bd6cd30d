"""`prospec explain`: what is known of a code, a requirement or a gap, for people. Here lives no fact."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Literal

from prospo.reference import CODES, GAPS, REQUIREMENTS, Code, Gap, Requirement

from .exits import OK, USAGE
from .terminal import plain, say


def run(ids: tuple[str, ...], *, format: Literal["text", "json"]) -> int:
    """Print what each id stands for, in their order; without one, all ids. Returns the exit code."""
    everything: Mapping[str, Code | Requirement | Gap] = {**CODES, **REQUIREMENTS, **GAPS}
    known = {id.lower(): id for id in everything}
    unknown = [id for id in ids if id.lower() not in known]
    if unknown:
        near = difflib.get_close_matches(unknown[0].lower(), known, n=1)
        meant = f"; did you mean {known[near[0]]}?" if near else ""
        say(f"nothing is called {plain(unknown[0])!r}{meant} `prospec explain` lists what is", "red")
        return USAGE
    chosen = [known[id.lower()] for id in ids]
    if format == "json":
        print(json.dumps([{"id": id, **asdict(everything[id])} for id in chosen or everything], indent=2))
    elif not chosen:
        print("\n".join(_index()))
    else:
        print("\n\n".join("\n".join(_page(id)) for id in chosen))
    return OK


def _index() -> Iterator[str]:
    yield "Codes of problems:"
    yield from (f"  {id}: {code.means}" for id, code in CODES.items())
    yield "Requirements of the API:"
    yield from (f"  {id}: {each.statement}" for id, each in REQUIREMENTS.items())
    yield "Gaps of its documentation:"
    yield from (f"  {id}: {gap.topic}" for id, gap in GAPS.items())


def _page(id: str) -> Iterator[str]:
    if id in CODES:
        code = CODES[id]
        yield f"{id}: {code.means}"
        yield f"  for example  {code.example}"
        yield f"  to mend it   {code.mend}"
    elif id in REQUIREMENTS:
        each = REQUIREMENTS[id]
        yield f"{id}, {each.level}: {each.statement}"
        yield f"  documentation  {each.section}"
        costs = "free: nothing is accepted" if each.cost == "free" else "billable: a generation has to be accepted"
        yield f"  to check it    {costs}{''.join(f', {need}' for need in each.needs)}"
        if each.unverifiable:
            yield f"  by no program  {each.unverifiable}"
        if each.gap:
            yield f"  rests on       {each.gap}: {GAPS[each.gap].topic}"
    else:
        gap = GAPS[id]
        yield f"{id}: {gap.topic}"
        yield from (f"  says      {says} ({source})" for says, source in gap.sides)
        yield f"  we read   {gap.reading}"
        yield f"  affects   {gap.affects}"
        if gap.cited_by:
            yield f"  cited by  {', '.join(gap.cited_by)}"
