"""The suite's self-test: it tells a fault that is found from one that is not, and the page that it writes is current.

Every fault and variant is tried in tests/test_suite.py, one test each; here a handful, through the command.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance import selftest
from prospec_conformance.mock import FAULTS, VARIANTS
from prospec_conformance.mock.changes import Change, combined, in_bodies, seams
from prospec_conformance.mock.faults.fault import Fault, fault
from prospec_conformance.selftest import Proof

ROOT = Path(__file__).parents[1]
SPEC: Spec = load()
Run = Callable[..., CompletedProcess[str]]
NOTHING = fault("AUTH-02-nothing", "Nothing is broken.", Change())
TOO_MUCH = fault(
    "BAL-03-too-much",
    "The currency is EUR, and every status is unknown.",
    in_bodies(
        lambda body: {name: "EUR" if name == "currency" else body[name] for name in body if name != "model"}, bool
    ),
)


def all_found(*ids: str) -> dict[str, Proof]:
    """What comes of a suite that finds everything."""
    return {
        id: Proof(id, {FAULTS[id].requirement: selftest.outcome_meant(SPEC, FAULTS[id])} if id in FAULTS else {}, ())
        for id in ids
    }


def test_the_command_tries_the_faults_of_an_area() -> None:
    command = [sys.executable, "-m", "prospec", "conformance", "self-test", "--only", "AUTH", "--format", "json"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    found = json.loads(ran.stdout)
    tried = [each["id"] for each in found["faults"]]
    assert tried == [id for id, fault in FAULTS.items() if fault.requirement.startswith("AUTH-")]
    assert found["variants"] == []
    assert all(id.startswith("AUTH-") for id in found["unproven"])
    problems = [each["id"] for each in found["faults"] if each["problems"]]
    assert ran.returncode == (1 if problems else 0)
    assert f"{len(tried) - len(problems)} of {len(tried)} faults found" in ran.stderr


@pytest.mark.parametrize(
    ("broken", "said"),
    [(NOTHING, "AUTH-02 has to be failed and is not"), (TOO_MUCH, "GEN-")],
    ids=["a fault that is not found", "a fault that breaks more"],
)
def test_what_is_no_proof_is_told(monkeypatch: pytest.MonkeyPatch, broken: Fault, said: str) -> None:
    for module in ("mock.app", "mock.config", "selftest"):
        monkeypatch.setattr(f"prospec_conformance.{module}.FAULTS", {**FAULTS, broken.id: broken})
    proof = selftest.prove(SPEC, broken.id)
    assert any(said in problem for problem in proof.problems), proof
    assert "WRONG" in selftest.as_text(SPEC, {broken.id: proof})
    assert selftest.conclusion({broken.id: proof}).startswith("0 of 1 faults found")


def test_a_variant_that_fails_is_no_proof() -> None:
    (variant,) = [id for id in VARIANTS if id == "async-202"]
    proof = selftest.prove(SPEC, variant, examples=0)
    assert proof.problems == ()
    told = Proof(variant, {"AUTH-01": "failed"}, ("AUTH-01 failed",))
    assert "WRONG: AUTH-01 failed" in selftest.as_text(SPEC, {variant: told})
    assert selftest.conclusion({variant: told}).startswith("0 of 0 faults found, 0 of 1 variants pass")


def test_a_run_that_breaks_is_no_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise OSError("no sockets today")

    monkeypatch.setattr("prospec_conformance.selftest.run", broken)
    assert selftest.prove(SPEC, "AUTH-02-any-key-let-in").problems == ("the suite broke: OSError: no sockets today",)


def test_a_fault_is_judged_where_it_can_show_or_everywhere() -> None:
    fault = "HOOK-06-cost-usd-null"
    confined, whole = selftest.prove(SPEC, fault), selftest.prove(SPEC, fault, examples=0, thorough=True)
    assert confined.problems == whole.problems == ()
    assert 0 < confined.requests < whole.requests / 4


def test_a_change_of_many_is_one_at_the_seams_of_each() -> None:
    """So that a fault made of several is judged where one of them can show, and no seam of one is lost."""
    of = [FAULTS[id].change for id in FAULTS]
    for first, then in zip(of, reversed(of), strict=True):
        assert seams(combined([first, then])) == seams(first) | seams(then)
    renamed = combined([Change(mint=lambda _type, token: f"{token}a"), Change(mint=lambda _type, token: f"{token}b")])
    assert renamed.mint("", "") == "ab"


def test_what_no_fault_breaks_is_named_with_the_reason() -> None:
    unproven = selftest.unproven(SPEC)
    assert unproven.keys() == {each.id for each in SPEC.requirements} - {each.requirement for each in FAULTS.values()}
    for each in SPEC.requirements:
        if each.unverifiable:
            assert unproven[each.id] == each.unverifiable
    assert selftest.unproven(SPEC, {"RATE"}).keys() == {id for id in unproven if id.startswith("RATE-")}


def test_the_kill_matrix_is_current() -> None:
    """It is a page of the registry, and of a self-test in which all was found."""
    page = selftest.as_markdown(SPEC, all_found(*selftest.chosen(SPEC)))
    assert (ROOT / "docs" / "kill-matrix.md").read_text("utf-8") == page, "make kill-matrix"
    assert page.count("`\n") == 0
    for id in (*FAULTS, *VARIANTS):
        assert page.count(f"| `{id}` |") == 1


def test_the_kill_matrix_is_the_same_in_any_order() -> None:
    proofs = all_found(*selftest.chosen(SPEC))
    backwards = dict(reversed(proofs.items()))
    assert selftest.as_markdown(SPEC, proofs) == selftest.as_markdown(SPEC, backwards)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--only", "NOPE"], "no area 'NOPE'"),
        (["--jobs", "0"], "--jobs takes 1 or more"),
        (["--examples", "-1"], "--examples takes 0 or more"),
        (["--only", "RATE", "--matrix", "x.md"], "--matrix shows all areas"),
    ],
)
def test_a_wrong_argument_is_explained(prospec: Run, arguments: list[str], said: str) -> None:
    ran = prospec("conformance", "self-test", *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr


def _is_there(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_self_test_leaves_no_worker(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "prospec", "conformance", "self-test", "--jobs", "2"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as running:
        time.sleep(4)
        running.send_signal(number)
        out, said = running.communicate(timeout=60)
    assert running.returncode == 3, said
    assert out == ""
    assert "interrupted" in said
    assert "Traceback" not in said
    # Whoever it has started was in its group.
    until = time.monotonic() + 30
    while _is_there(running.pid) and time.monotonic() < until:
        time.sleep(0.1)
    assert not _is_there(running.pid)
