"""requirements.toml and gaps.toml against the provider's documentation: no section left out, nothing open that binds.

The headings below were copied by hand from the documentation, in its order. Here live no checks of an implementation.
"""

from __future__ import annotations

import re
from collections import Counter
from urllib.parse import urlsplit

import pytest
from prospec.ir import Level, Spec
from prospec.loader import load

SPEC: Spec = load()
SECTIONS = [
    "Generative AI API Documentation",
    "Authentication",
    "Quick Start",
    "Generate Endpoint",
    "Generate Endpoint / Shared Request Body",
    "Generate Endpoint / Response",
    "Generate Endpoint / Response Example",
    "Per-Model Parameters",
    "Per-Model Parameters / Seedance 2.0 Fast — Text → Video",
    "Uploading Files",
    "Uploading Files / Two-step token flow",
    "Uploading Files / Limits",
    "Sync vs Async API",
    "Sync vs Async API / Response",
    "Sync vs Async API / Initial Response",
    "Sync vs Async API / Polling for Status",
    "Webhooks",
    "Webhooks / Event Types",
    "Webhooks / Payload Format",
    "Webhooks / Verifying Webhook Signatures",
    "Webhooks / Retry Policy",
    "Check Balance",
    "Check Balance / Example",
    "Rate Limits",
    "Error Handling",
    "Error Handling / Error Response Example",
]
AREAS = ["AUTH", "GEN", "PARAM", "ASYNC", "UPLOAD", "HOOK", "ERR", "BAL", "RATE"]
CONTRADICTIONS = 30
"""Of the documentation with itself and with the model pages, as they were collected."""


def test_the_sections_are_the_documentation_s() -> None:
    assert list(SPEC.sections) == SECTIONS


@pytest.mark.parametrize("section", SECTIONS)
def test_no_section_is_without_an_entry(section: str) -> None:
    assert [each.id for each in SPEC.requirements if each.section == section]


def test_every_area_has_its_entries_in_order() -> None:
    found = Counter(each.area for each in SPEC.requirements)
    assert list(found) == AREAS
    assert sum(found.values()) >= 80
    for area, count in found.items():
        ids = [each.id for each in SPEC.requirements if each.area == area]
        assert ids == [f"{area}-{number:02}" for number in range(1, count + 1)]


def test_a_statement_is_one_sentence_or_two_and_said_once() -> None:
    statements = [each.statement for each in SPEC.requirements]
    assert len(set(statements)) == len(statements)
    assert all(re.fullmatch(r"\S.{10,}\.", statement) for statement in statements)


def test_nothing_that_rests_on_a_gap_is_a_must() -> None:
    gaps = {gap.id for gap in SPEC.gaps}
    for each in SPEC.requirements:
        assert each.gap is None or (each.level is Level.SHOULD and each.gap in gaps), each.id


def test_what_no_program_can_check_says_why() -> None:
    beyond = [each for each in SPEC.requirements if each.unverifiable]
    assert beyond
    assert all(len(str(each.unverifiable)) > 20 for each in beyond)


def test_what_takes_an_accepted_generation_is_billable() -> None:
    """A free run sends nothing that should be accepted, so these can never be judged by one."""
    free = {each.id for each in SPEC.requirements if each.cost == "free"}
    assert not free & {"GEN-01", "GEN-02", "GEN-03", "PARAM-09", "PARAM-10", "ASYNC-01", "HOOK-01"}
    assert {"AUTH-01", "GEN-11", "PARAM-01", "ERR-05"} <= free


def test_every_contradiction_and_silence_has_both_sides_with_their_source() -> None:
    assert [gap.id for gap in SPEC.gaps] == [f"GAP-{number:02}" for number in range(1, len(SPEC.gaps) + 1)]
    assert len(SPEC.gaps) > CONTRADICTIONS
    for gap in SPEC.gaps:
        assert len(gap.sides) >= 2
        for side in gap.sides:
            section = side.source.removeprefix("documentation, ")
            assert section in SECTIONS or urlsplit(side.source).scheme == "https", (gap.id, side.source)
        assert gap.reading
        assert gap.affects


def test_a_gap_is_named_once() -> None:
    topics = [gap.topic for gap in SPEC.gaps]
    assert len(set(topics)) == len(topics)


def test_what_a_gap_names_is_there() -> None:
    ids = {each.id for each in SPEC.requirements} | {gap.id for gap in SPEC.gaps}
    pattern = re.compile(rf"\b(?:{'|'.join(AREAS)}|GAP)-[0-9]{{2}}\b")
    for gap in SPEC.gaps:
        assert set(pattern.findall(f"{gap.reading} {gap.affects}")) <= ids, gap.id
