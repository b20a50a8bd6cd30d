"""junit.xml: one case a requirement, model, mode and field, in the form that every reader of JUnit files takes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element, SubElement, tostring

from .text import place_of, said_of

LONGEST = 4000
"""Characters of one text: readers have limits of their own."""
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_OUTCOMES = {"failed": "failure", "error": "error", "skipped": "skipped"}
"""A warning has no element of its own: the case passes, and system-out says so."""


def render(document: Mapping[str, Any]) -> str:
    """The whole file. A suite an area."""
    root = Element("testsuites", name="prospec conformance")
    cases: dict[str, list[Element]] = {}
    for requirement in document["requirements"]:
        cases.setdefault(requirement["area"], []).extend(_cases(requirement))
    cases["known failures"] = list(_stale(document))
    for number, (name, found) in enumerate((name, found) for name, found in cases.items() if found):
        root.append(_suite(str(number), name, found, document))
    for total in ("tests", "failures", "errors", "skipped"):
        root.set(total, str(sum(int(suite.get(total, "0")) for suite in root)))
    root.set("time", f"{document['seconds']:.3f}")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{tostring(root, encoding="unicode")}\n'


def _suite(id: str, name: str, cases: list[Element], document: Mapping[str, Any]) -> Element:
    started = datetime.fromtimestamp(document["started_s"], UTC)
    count = Counter(child.tag for case in cases for child in case)
    suite = Element(
        "testsuite",
        {
            "id": id,
            "name": name,
            "package": "prospec",
            "timestamp": started.strftime("%Y-%m-%dT%H:%M:%S"),
            "hostname": _text(urlsplit(document["target"]).hostname or "unknown"),
            "tests": str(len(cases)),
            "failures": str(count["failure"]),
            "errors": str(count["error"]),
            "skipped": str(count["skipped"]),
            "time": "0",
        },
    )
    properties = SubElement(suite, "properties")
    for key in ("target", "seed", "examples", "complete", "requests", "spend_usd"):
        SubElement(properties, "property", name=key, value=_text(str(document[key])))
    suite.extend(cases)
    SubElement(suite, "system-out")
    SubElement(suite, "system-err")
    return suite


def _cases(requirement: Mapping[str, Any]) -> Iterable[Element]:
    """Its verdicts; where there are none, one that says why."""
    names: Counter[str] = Counter()
    for verdict in requirement["verdicts"]:
        name = place_of(verdict) or requirement["statement"]
        names[name] += 1
        case = _case(requirement["id"], name if names[name] == 1 else f"{name} ({names[name]})")
        _outcome(case, verdict, requirement)
        yield case
    if not requirement["verdicts"]:
        case = _case(requirement["id"], requirement["statement"])
        SubElement(case, "skipped", message=_text(requirement["reason"] or ""))
        yield case


def _outcome(case: Element, verdict: Mapping[str, Any], requirement: Mapping[str, Any]) -> None:
    reason = verdict["reason"] or ""
    if verdict["known"]:
        # The run is to stay green for it, wherever the file is read.
        SubElement(case, "skipped", message=_text(f"known: {verdict['known']}; {reason}"))
    elif verdict["outcome"] in _OUTCOMES:
        element = SubElement(case, _OUTCOMES[verdict["outcome"]], message=_text(reason))
        if element.tag != "skipped":
            element.set("type", requirement["level"])
            element.text = _text(_told(verdict, requirement))
    elif verdict["outcome"] == "warned":
        SubElement(case, "system-out").text = _text(f"warned: {reason}\n{_told(verdict, requirement)}")


def _told(verdict: Mapping[str, Any], requirement: Mapping[str, Any]) -> str:
    again = verdict["again"]
    exchange = (again and again["smallest"]) or next(iter(verdict["evidence"]), None)
    lines = [requirement["statement"], f"source: {requirement['source']}"]
    if exchange:
        lines += [f"sent: {exchange['curl']}", f"came: {exchange['status']} {exchange['answer']}"]
    if again:
        lines.append(f"again: {again['seen']}")
    return "\n".join([*lines, f"replay: {verdict['id']}"])


def _stale(document: Mapping[str, Any]) -> Iterable[Element]:
    """What is said to be known and is not so."""
    for entry in document["known_failing"]:
        if entry["state"] in ("cured", "expired"):
            case = _case("known-failing", f"{entry['place']} {place_of(entry, entry['requirement'])}")
            SubElement(case, "failure", message=_text(said_of(entry)), type=entry["state"])
            yield case


def _case(requirement: str, name: str) -> Element:
    return Element("testcase", classname=requirement, name=_text(name), time="0")


def _text(text: str) -> str:
    """Without what XML cannot hold, not even escaped."""
    return _NO_XML.sub("�", text[:LONGEST])
