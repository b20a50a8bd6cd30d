"""For a terminal: the verdict of each requirement, and under a finding where, why, and how to see it again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from prospec.terminal import plain

from ..outcome import WORST_FIRST

SHOWN = 400
"""Characters of a text of somebody else's."""
PLACES = 4
"""Places that are named with one reason."""
GAP = " " * 10


def render(document: Mapping[str, Any]) -> str:
    """The whole report, in lines."""
    lines: list[str] = []
    for each in document["requirements"]:
        if each["verdicts"]:
            lines += _requirement(each)
    return "\n".join([*lines, *_unjudged(document), *_readings(document), *_known(document)])


def _requirement(each: Mapping[str, Any]) -> Iterable[str]:
    count = Counter(verdict["outcome"] for verdict in each["verdicts"])
    places = ", ".join(f"{count[outcome]} {outcome}" for outcome in WORST_FIRST if count[outcome])
    yield f"{each['outcome']:7} {each['id']:8} {each['statement']} ({places})"
    if each["outcome"] != "passed":
        yield from _findings(each)


def _findings(each: Mapping[str, Any]) -> Iterable[str]:
    """Where and why, equal reasons together. The first is shown with its request."""
    found = [verdict for verdict in each["verdicts"] if verdict["outcome"] == each["outcome"] and verdict["reason"]]
    by_reason: dict[str, list[Mapping[str, Any]]] = {}
    for verdict in found:
        by_reason.setdefault(verdict["reason"], []).append(verdict)
    for reason, verdicts in by_reason.items():
        where = [place for place in map(place_of, verdicts[:PLACES]) if place]
        more = f" and {len(verdicts) - PLACES} more" if len(verdicts) > PLACES else ""
        yield f"{GAP}{', '.join(where) or each['source']}{more}: {cut(reason)}"
    if each["outcome"] == "skipped":
        return
    # The one that was tried again, for of that there is more to tell.
    for verdict in [*(verdict for verdict in found if verdict["again"]), *found][:1]:
        yield from _evidence(verdict, each["source"])


def _evidence(verdict: Mapping[str, Any], source: str) -> Iterable[str]:
    yield f"{GAP}source: {source}"
    for exchange in verdict["evidence"][:1]:
        yield f"{GAP}sent:   {plain(exchange['curl'])}"
        yield f"{GAP}came:   {exchange['status']} {cut(exchange['answer'])}"
    again = verdict["again"]
    if again is not None:
        yield f"{GAP}again:  {again['seen']}{': ' + cut(again['reason']) if again['reason'] else ''}"
        smallest = again["smallest"]
        if smallest is not None and smallest["curl"] != verdict["evidence"][0]["curl"]:
            yield f"{GAP}least:  {plain(smallest['curl'])}"
    if verdict["known"]:
        yield f"{GAP}known:  {cut(verdict['known'])}"
    yield f"{GAP}replay: prospec conformance run --replay {verdict['id']}"


def _unjudged(document: Mapping[str, Any]) -> Iterable[str]:
    """The requirements without a verdict, by area."""
    left: dict[str, Counter[str]] = {}
    for each in document["requirements"]:
        if not each["verdicts"]:
            is_beyond = bool(each["unverifiable"])
            why = "checked by no program" if is_beyond else "not come to" if each["checked"] else "no check yet"
            left.setdefault(why, Counter())[each["area"]] += 1
    for why, areas in left.items():
        yield f"{why}: {', '.join(f'{area} {count}' for area, count in areas.items())}"


def _known(document: Mapping[str, Any]) -> Iterable[str]:
    for each in document["known_failing"]:
        yield f"{each['state']:9} {plain(each['place'])}: {place_of(each, each['requirement'])}: {said_of(each)}"


def said_of(known: Mapping[str, Any]) -> str:
    """What its state means."""
    match known["state"]:
        case "known":
            return f"known until {known['expires']}: {cut(known['reason'])}"
        case "cured":
            return "it passes now, remove the entry"
        case "expired":
            return f"it counted until {known['expires']}, mend it or set another day"
        case _:
            return "nothing that it names was judged"


def _readings(document: Mapping[str, Any]) -> Iterable[str]:
    for each in document["readings"]:
        yield f"{'reading' if each['consistent'] else 'differs'} {each['gap']} {each['topic']}: {seen_of(each)}"


def seen_of(reading: Mapping[str, Any]) -> str:
    """`400 (generate)`, or where each was seen."""
    by_value: dict[str, list[str]] = {}
    for endpoint, counts in reading["seen"].items():
        for value in counts:
            by_value.setdefault(value, []).append(endpoint)
    return "; ".join(f"{value} ({', '.join(endpoints)})" for value, endpoints in by_value.items())


def place_of(verdict: Mapping[str, Any], *before: str) -> str:
    """Model, mode and field, as far as there are any."""
    return " ".join(part for part in (*before, verdict["model"], verdict["mode"], verdict["field"]) if part)


def cut(text: str) -> str:
    """A text of somebody else's on one line, without what a terminal or a workflow's runner would act on."""
    return plain(text)[:SHOWN]
