"""What a message is worth: typical mistakes, kept as data, and whether it names the field and what was meant.

cases/mistakes.json holds one mistake a request, written without a look at the code: the place, the code, and the one
suggestion that a good message offers first (null where there is none). Here live no verdicts.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prospo import Problem, is_valid, validate

MISTAKES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "mistakes.json").read_text("utf-8"))
MEANT = 0.9
"""The share of mistakes whose suggestion must be right, in all and within each code that has a dozen of them."""
NEVER_REPEATED = ("https://", "pl-upload-")
"""Beginnings of what a message does not repeat, since it may be a secret: there the hint says how to change it."""


OFFERS = (
    r"did you mean (?:the model )?(.+?)(?: by '.+')?\?",
    r"^modes? ([\w-]+)(?:, [\w-]+)* takes? it",
    r"^([\w.-]+)(?:, [\w.-]+)* (?:takes?|has|have) it",
    r"is a value of the param (\w+)",
    r"^(params): ",
    r"^(\w+) stands beside params",
)
"""The forms of a hint that offers something, and the first thing that it offers."""


def offered(hint: str | None) -> str | None:
    """What a hint offers first, as it would stand in JSON without quotes."""
    found = next((match for form in OFFERS if (match := re.search(form, hint or ""))), None)
    return found[1].strip('"') if found else None


def offers(problem: Problem, suggestion: Any) -> bool:
    """Whether the hint offers just that, and first."""
    text = suggestion if isinstance(suggestion, str | None) else json.dumps(suggestion)
    return offered(problem.hint) == text


def is_repeatable(suggestion: Any) -> bool:
    return not any(beginning in json.dumps(suggestion) for beginning in NEVER_REPEATED)


@pytest.mark.parametrize("mistake", [pytest.param(each, id=each["id"]) for each in MISTAKES])
def test_one_mistake_is_one_problem_in_the_right_place(mistake: dict[str, Any]) -> None:
    problems = validate(mistake["request"])
    assert [(each.path, each.code) for each in problems] == [(mistake["field"], mistake["code"])]
    assert is_valid(mistake["request"]) is (problems[0].severity == "warning")


def test_there_are_many_mistakes_of_every_kind() -> None:
    assert len(MISTAKES) >= 150
    assert len({each["id"] for each in MISTAKES}) == len(MISTAKES)
    codes = {"required", "type", "enum", "minimum", "maximum", "minItems", "maxItems", "additionalProperties"}
    assert {each["code"] for each in MISTAKES} == codes | {"multipleOf", "model", "mode", "media", "size"}


def test_the_right_suggestion_comes_first() -> None:
    """Counted strictly: a hint that may not repeat the URL that was meant counts as a miss."""
    missed = [each["id"] for each in MISTAKES if not offers(validate(each["request"])[0], each["suggestion"])]
    assert 1 - len(missed) / len(MISTAKES) >= MEANT, missed


@pytest.mark.parametrize("code", ["additionalProperties", "enum", "type", "model", "mode", "required"])
def test_the_right_suggestion_comes_first_for_every_code(code: str) -> None:
    of_code = [each for each in MISTAKES if each["code"] == code and is_repeatable(each["suggestion"])]
    missed = [each["id"] for each in of_code if not offers(validate(each["request"])[0], each["suggestion"])]
    assert len(of_code) >= 12
    assert 1 - len(missed) / len(of_code) >= MEANT, missed


@pytest.mark.parametrize("group", sorted({each["id"].partition("-")[0] for each in MISTAKES}))
def test_no_habit_is_left_without_a_suggestion(group: str) -> None:
    """Many mistakes are variants of one habit; of each habit, most must be understood."""
    of_group = [each for each in MISTAKES if each["id"].startswith(f"{group}-") and is_repeatable(each["suggestion"])]
    right = [each for each in of_group if offers(validate(each["request"])[0], each["suggestion"])]
    assert len(right) >= 0.7 * len(of_group)


def test_where_the_thing_meant_may_not_be_repeated_the_hint_says_how_to_get_there() -> None:
    secret = [each for each in MISTAKES if not is_repeatable(each["suggestion"])]
    assert len(secret) >= 10
    for each in secret:
        hint = validate(each["request"])[0].hint
        assert hint, each["id"]
        assert not any(f"{beginning}{letter}" in hint for beginning in NEVER_REPEATED for letter in "e3"), each["id"]


def test_a_message_says_where_what_came_and_what_is_allowed() -> None:
    request = {"model": "seedance-2-fast", "params": {"prompt": "x", "duration": 16, "aspect_ratio": "16x9"}}
    duration, ratio = validate(request)
    assert duration.message == "duration is 16, above the range 4 to 15 s"
    assert ratio.message == "aspect_ratio is '16x9', none of 16:9, 9:16, 1:1, 4:3, 3:4, 21:9"
