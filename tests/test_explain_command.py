"""`prospec explain`: every code, requirement and gap, offline and with the base install alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from subprocess import CompletedProcess

import prospo
import pytest
from prospec.ir import Spec
from prospec.loader import load

Prospec = Callable[..., CompletedProcess[str]]
SPEC: Spec = load()
EVERY = [
    *((code.id, code.means) for code in SPEC.codes),
    *((requirement.id, requirement.statement) for requirement in SPEC.requirements),
    *((gap.id, gap.reading) for gap in SPEC.gaps),
]


@pytest.mark.parametrize(("id", "says"), EVERY, ids=[id for id, _ in EVERY])
def test_everything_can_be_explained(prospec: Prospec, id: str, says: str) -> None:
    ran = prospec("explain", id)
    assert ran.returncode == 0
    assert says in ran.stdout
    assert ran.stdout.startswith(id)
    assert ran.stderr == ""


def test_a_gap_shows_both_sides_with_their_sources_and_who_rests_on_it(prospec: Prospec) -> None:
    shown = prospec("explain", "GAP-13").stdout
    gap = next(gap for gap in SPEC.gaps if gap.id == "GAP-13")
    for side in gap.sides:
        assert f"{side.says} ({side.source})" in shown
    assert gap.affects in shown
    assert "kling-o3 text quality" in shown


def test_a_requirement_shows_where_it_stands_what_it_costs_and_what_it_rests_on(prospec: Prospec) -> None:
    shown = prospec("explain", "PARAM-13").stdout
    assert "PARAM-13, SHOULD: " in shown
    assert "Error Handling" in shown
    assert "free" in shown
    assert "GAP-31: " in shown
    unverifiable = next(each for each in SPEC.requirements if each.unverifiable)
    assert f"by no program  {unverifiable.unverifiable}" in prospec("explain", unverifiable.id).stdout


def test_the_example_of_a_code_is_refused_for_that_code_at_that_place() -> None:
    for code in SPEC.codes:
        text, _, path = code.example.partition("}: ")
        if "four URLs" in text:
            text = text.replace("[four URLs]", json.dumps(["https://example.com/a.mp4"] * 4))
        problems = prospo.validate_json(f"{text}}}".encode() if path else text.encode())
        assert (code.id, path) in [(each.code, each.path) for each in problems], code.id
        assert len({each.severity for each in problems}) == len(problems), code.id


def test_several_ids_in_any_case_and_all_of_them_as_json(prospec: Prospec) -> None:
    ran = prospec("explain", "enum", "param-05", "Gap-01")
    assert [page.split(",")[0].split(":")[0] for page in ran.stdout.split("\n\n")] == ["enum", "PARAM-05", "GAP-01"]
    everything = json.loads(prospec("explain", "--format", "json").stdout)
    assert [each["id"] for each in everything] == [id for id, _ in EVERY]
    listed = prospec("explain").stdout
    assert all(f"  {id}: " in listed for id, _ in EVERY)


def test_an_unknown_id_is_a_usage_error_that_says_what_was_meant(prospec: Prospec) -> None:
    ran = prospec("explain", "enum", "PARAM-5")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "'PARAM-5'" in ran.stderr
    assert "did you mean PARAM-" in ran.stderr


def test_it_loads_no_package_beyond_the_base_install() -> None:
    program = (
        "import sys; from prospec.cli import main; code = main(['explain', 'GAP-01'])\n"
        "extras = {'jinja2', 'jsonschema', 'ruamel', 'datamodel_code_generator', 'pytest', 'hypothesis', 'starlette'}\n"
        "print(sorted(extras & sys.modules.keys()), file=sys.stderr); sys.exit(code)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert ran.stderr.strip() == "[]"
