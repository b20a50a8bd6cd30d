"""report.html: one file that shows everything, from a disk and without a network. page.html is its page."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

MAX_EVIDENCE = 500_000
"""Characters of requests and answers that the page has; the rest is in report.json."""


def render(document: Mapping[str, Any]) -> str:
    """The whole file. Its policy lets the page's own script and style run, and nothing else."""
    page = (files("prospec_conformance.reports") / "page.html").read_text("utf-8")
    hashes = {tag: " ".join(map(_hash, re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL))) for tag in _POLICIES}
    policy = "; ".join(
        ["default-src 'none'", "base-uri 'none'", "form-action 'none'"]
        + [f"{directive} {hashes[tag]}" for tag, directive in _POLICIES.items()]
    )
    # Within a script only `<` has a meaning to HTML, and JSON escapes the lone surrogates.
    data = json.dumps(_shortened(document), ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    return page.replace("__POLICY__", policy, 1).replace("__DOCUMENT__", data, 1)


_POLICIES = {"script": "script-src", "style": "style-src"}


def _hash(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _shortened(document: Mapping[str, Any]) -> dict[str, Any]:
    """Without what the page does not show: evidence twice, and more of it than a browser likes."""
    left = MAX_EVIDENCE

    def verdict(whole: Mapping[str, Any]) -> dict[str, Any]:
        nonlocal left
        again = whole["again"]
        size = sum(len(each["curl"]) + len(each["answer"]) for each in _exchanges(whole))
        if size > left:
            again = again and {**again, "smallest": None}
            return {**_told(whole), "again": again, "evidence": [], "left_out": True}
        left -= size
        return _told(whole)

    return {
        **document,
        "requirements": [
            {**each, "evidence": [], "verdicts": [verdict(whole) for whole in each["verdicts"]]}
            for each in document["requirements"]
        ],
    }


def _exchanges(verdict: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from verdict["evidence"]
    if verdict["again"] and verdict["again"]["smallest"]:
        yield verdict["again"]["smallest"]


def _told(verdict: Mapping[str, Any]) -> dict[str, Any]:
    """Only what there is."""
    return {name: value for name, value in verdict.items() if value not in (None, [])}
