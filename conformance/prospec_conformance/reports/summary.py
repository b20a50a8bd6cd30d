"""summary.md: for the page of a CI job or a comment. Counts, then findings, and no more than either takes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from .text import place_of, said_of, seen_of

MAX_BYTES = 60_000
"""A comment takes 65,536 characters, the page of a job 1 MiB."""
FINDING = 3000
"""Characters of one request or answer."""
PLACES = 10
"""Findings that are shown of one requirement."""
_SPECIAL = re.compile(r"([\\`*_{}\[\]()<>#+!|~@&$])")


def render(document: Mapping[str, Any]) -> str:
    """The whole file. What does not fit is counted."""
    parts = [*_head(document), *_findings(document), *_known(document), *_readings(document)]
    left = "\n_{} more parts are in report.html and report.json._\n"
    size = len(left) + 10
    kept: list[str] = []
    for part in parts:
        size += len(part.encode("utf-8", "replace")) + 1
        if size > MAX_BYTES:
            kept.append(left.format(len(parts) - len(kept)))
            break
        kept.append(part)
    return "\n".join(kept) + "\n"


def _head(document: Mapping[str, Any]) -> Iterable[str]:
    unfinished = "" if document["complete"] else " **The run was not finished.**"
    yield f"# Conformance of {_code(document['target'])}\n"
    counts = document["summary"]
    yield f"| {' | '.join(counts)} |\n|{' ---: |' * len(counts)}\n| {' | '.join(map(str, counts.values()))} |\n"
    money = f", {document['spend_usd']:.2f} USD spent" if document["spend_usd"] else ""
    said = f"{document['requests']} requests in {document['seconds']:.1f} s{money}, seed {document['seed']}."
    yield f"Requirements by outcome; {said}{unfinished}\n"


def _findings(document: Mapping[str, Any]) -> Iterable[str]:
    for outcome, title in (("error", "Errors of the suite"), ("failed", "Failed"), ("warned", "Warned")):
        found = [each for each in document["requirements"] if each["outcome"] == outcome]
        if found:
            yield f"## {title}\n"
        for requirement in found:
            yield from _requirement(requirement)


def _requirement(requirement: Mapping[str, Any]) -> Iterable[str]:
    statement, source = _escaped(requirement["statement"]), _escaped(requirement["source"])
    yield f"### {requirement['id']} {statement}\n\n{requirement['level']}, {source}\n"
    verdicts = [each for each in requirement["verdicts"] if each["outcome"] == requirement["outcome"]]
    # The one that was tried again, for of that there is more to tell.
    verdicts.sort(key=lambda verdict: verdict["again"] is None)
    for verdict in verdicts[:PLACES]:
        known = f" Known: {_escaped(verdict['known'])}." if verdict["known"] else ""
        again = f" Again: {verdict['again']['seen']}." if verdict["again"] else ""
        place = f"**{_escaped(place_of(verdict))}**: " if place_of(verdict) else ""
        yield f"- {place}{_escaped(verdict['reason'] or '')}{known}{again} {_code(verdict['id'])}"
    if len(verdicts) > PLACES:
        yield f"- and {len(verdicts) - PLACES} more"
    for verdict in verdicts[:1]:
        smallest = verdict["again"] and verdict["again"]["smallest"]
        for exchange in [smallest] if smallest else verdict["evidence"][:1]:
            answer = f"{exchange['status']} {exchange['answer']}"
            yield f"\n{_block(exchange['curl'], 'sh')}\n\n{_block(answer, '')}"
    yield ""


def _known(document: Mapping[str, Any]) -> Iterable[str]:
    if document["known_failing"]:
        yield "## Known failures\n"
    for each in document["known_failing"]:
        where = _code(place_of(each, each["requirement"]))
        yield f"- {each['state']}: {where}, {_escaped(said_of(each))} ({_escaped(each['place'])})"


def _readings(document: Mapping[str, Any]) -> Iterable[str]:
    if document["readings"]:
        yield "\n## Readings\n\nWhere the documentation allows several, this one was seen.\n"
        yield "| gap | question | seen | the same everywhere |\n| --- | --- | --- | --- |"
    for each in document["readings"]:
        seen = _escaped(seen_of(each))
        yield f"| {each['gap']} | {_escaped(each['topic'])} | {seen} | {'yes' if each['consistent'] else 'no'} |"


def _escaped(text: str) -> str:
    """Text that is text, on one line: no markup, no HTML, no mention of anybody, no link."""
    line = " ".join(_printable(text[:FINDING]).split())
    # What looks like an address would become a link.
    return _SPECIAL.sub(r"\\\1", line).replace("www.", "www&#46;").replace("://", ":&#47;/")


def _code(text: str) -> str:
    """In a line: a fence longer than any within."""
    line = " ".join(_printable(text[:FINDING]).split()) or " "
    fence = _fence(line, 1)
    return f"{fence} {line} {fence}" if "`" in line else f"{fence}{line}{fence}"


def _block(text: str, language: str) -> str:
    fence = _fence(text, 3)
    return f"{fence}{language}\n{_printable(text[:FINDING])}\n{fence}"


def _fence(text: str, shortest: int) -> str:
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    return "`" * max(shortest, longest + 1)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() or character == "\n" else "�" for character in text)
