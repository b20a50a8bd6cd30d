"""The suite on the mock: silent where all is well, red where one promise is broken, and only there.

The kill matrix is here: every fault of the mock must turn the requirement meant, and no unrelated one.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import prospec_conformance
import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance import selftest
from prospec_conformance.cli import _exit_code as exit_code
from prospec_conformance.implementation import Target, reset_s
from prospec_conformance.mock import FAULTS, VARIANTS, MockConfig, serve
from prospec_conformance.report import Report, as_json, as_text
from prospec_conformance.run import Options, UnreachableError, run

SPEC: Spec = load()
SUITE = Path(prospec_conformance.__file__).parent / "suite"
CHECKED = {
    id for path in SUITE.glob("test_*.py") for id in re.findall(r'@requirement\("([A-Z]+-[0-9]+)"\)', path.read_text())
}
"""Requirements that the suite has a check for."""


@contextmanager
def judged(options: Options, *, is_mock: bool = True, **config: object) -> Iterator[Report]:
    """A run on a mock as `prospec conformance run` embeds it."""
    mock = MockConfig(**{"rate_limit": SPEC.service.requests_per_minute, **config})  # type: ignore[arg-type]
    with serve(mock, SPEC) as server:
        keys = (mock.api_key, mock.second_api_key, mock.webhook_secret, mock.control_token)
        yield run(SPEC, Target(server.base_url, *keys, is_mock=is_mock), options, say=lambda line: None)


def outcomes(report: Report) -> dict[str, str]:
    """Of the requirements that the suite has a check for."""
    return {each.requirement.id: each.outcome for each in report.summed if each.is_checked}


def test_the_mock_passes_every_requirement() -> None:
    with judged(Options(seed=1)) as report:
        assert outcomes(report) == dict.fromkeys(CHECKED, "passed")
        assert report.complete
        assert exit_code(report) == 0


def test_what_is_skipped_on_the_mock_is_skipped_for_want_of_documentation() -> None:
    """Rows that nobody documents bind nobody: the mock takes what they would refuse, and so tells nothing of them."""
    with judged(Options(seed=1)) as report:
        skipped: dict[str, set[str]] = {}
        for each in report.summed:
            for verdict in each.verdicts:
                if verdict.outcome == "skipped":
                    skipped.setdefault(verdict.reason or "", set()).add(verdict.requirement)
    guessed = {f"PARAM-{number:02}" for number in range(1, 13)}
    unpriced = skipped.pop("no one price is published for the control request")
    undocumented = skipped.pop("no row of this mode is documented")
    unknown = skipped.pop("what it holds is not documented (GAP-15)")
    unrefused = skipped.pop("nothing was refused")
    assert (unpriced, undocumented) == ({"GEN-26"}, {"PARAM-14", "PARAM-15"})
    assert (unknown, unrefused) == ({"PARAM-12"}, {"PARAM-13"})
    assert skipped.keys() == {
        "3 faults of guessed rows were accepted; no more are sent",
        "none of its faults was refused, so the row may not be known here",
        "nothing that is wrong was refused in this mode, so it says nothing that this is accepted",
    }
    assert set().union(*skipped.values()) <= guessed


def test_every_requirement_that_a_program_can_check_has_a_check_and_every_check_a_fault() -> None:
    assert {each.id for each in SPEC.requirements if not each.unverifiable} == CHECKED
    assert {fault.requirement for fault in FAULTS.values()} == CHECKED


def test_what_is_not_judged_is_told_with_the_reason() -> None:
    with judged(Options(seed=1, areas=frozenset({"AUTH", "RATE"}))) as report:
        told = {each.requirement.id: (each.outcome, each.reason) for each in report.summed}
    assert told.keys() == {each.id for each in SPEC.requirements if each.area in ("AUTH", "RATE")}
    for requirement in SPEC.requirements:
        if requirement.id in told and requirement.unverifiable:
            outcome, reason = told[requirement.id]
            assert outcome == "skipped"
            assert reason is not None
            assert requirement.unverifiable in reason
    assert "checked by no program: " in as_text(report)


@pytest.mark.parametrize("id", [*FAULTS, *VARIANTS])
def test_each_fault_turns_its_requirement_and_no_other_and_no_variant_fails(id: str) -> None:
    """The same as `make kill-matrix` does."""
    assert selftest.prove(SPEC, id).problems == ()


def test_without_max_spend_nothing_valid_is_sent_and_a_fault_is_found_all_the_same() -> None:
    start = Decimal(1000)
    with judged(Options(seed=1), is_mock=False, balance_usd=start) as report:
        assert exit_code(report) == 0
        assert report.counts["skipped"] > 0
        assert report.spend_usd == 0
        accepted = [each for each in report.summed if each.requirement.id == "PARAM-09"]
        assert [each.outcome for each in accepted] == ["skipped"]
    with judged(Options(seed=1), is_mock=False, faults=frozenset({"PARAM-05-duration-16"})) as report:
        assert outcomes(report)["PARAM-05"] == "failed"


@pytest.mark.parametrize("ceiling", [Decimal("0.05"), Decimal("1"), Decimal("7.5")])
@pytest.mark.parametrize("fault", [None, "PARAM-03-unchecked", "PARAM-07-any-string-accepted"])
def test_the_ceiling_holds(ceiling: Decimal, fault: str | None) -> None:
    """By the mock's own count of what it charged."""
    config = MockConfig(balance_usd=Decimal(1000), faults=frozenset({fault} if fault else ()))
    with serve(config, SPEC) as server:
        target = Target(server.base_url, config.api_key)
        report = run(SPEC, target, Options(seed=1, max_spend_usd=ceiling), say=lambda line: None)
        import httpx2

        left = httpx2.get(f"{server.base_url}/v1/balance", headers={"Authorization": f"Bearer {config.api_key}"}).json()
    charged = Decimal(1000) - Decimal(str(left["balance_usd"]))
    assert 0 < charged <= ceiling
    assert report.spend_usd == pytest.approx(float(charged), abs=float(ceiling))


def test_a_slow_pace_is_kept_and_not_mistaken_for_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """429 is waited for. The mock's minute passes in two seconds, and no wait is longer than one."""
    monkeypatch.setattr("prospec_conformance.implementation.LONGEST_WAIT_S", 1.0)
    start = time.time()
    mock = MockConfig(rate_limit=8)
    with serve(mock, SPEC, clock=lambda: start + 30 * (time.time() - start)) as server:
        waits: list[str] = []
        report = run(
            SPEC,
            Target(server.base_url, mock.api_key, mock.second_api_key, is_mock=True),
            Options(seed=1, areas=frozenset({"ERR"}), examples=3),
            say=waits.append,
        )
    # What needs a hand on the mock's clock or balance is skipped: here nobody has one.
    unsteered = {each.id for each in SPEC.requirements if each.area == "ERR" and each.needs}
    assert {id for id, outcome in outcomes(report).items() if outcome != "passed"} <= unsteered
    assert len(waits) >= 2


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("1700000030", 30), ("1700000030000", 30), ("-5", 0.1), ("1e9999", 120), ("nan", 120), ("soon", 5)],
)
def test_the_reset_header_is_seconds_or_a_moment(value: str, seconds: float) -> None:
    assert reset_s({"x-ratelimit-reset": value}, 1_700_000_000.0) == pytest.approx(seconds)


def test_nothing_answers() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(UnreachableError):
        run(SPEC, Target(f"http://127.0.0.1:{port}", "prsp-x"), Options(), say=lambda line: None)


def test_no_secret_gets_into_a_report() -> None:
    keys = {"api_key": "prsp-canary-1", "second_api_key": "other-canary-2", "webhook_secret": "hook-canary-3"}
    with judged(Options(seed=1), faults=frozenset({"ERR-01-text", "PARAM-07-any-string-accepted"}), **keys) as report:
        for text in (as_json(report), as_text(report), repr(report)):
            assert "canary" not in text
            assert not re.search(r"pl-upload-[0-9A-Za-z]", text)
        assert "$PROSPOLABS_API_KEY" in as_json(report)


def _cli(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "prospec", "conformance", *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_nothing_in_a_users_folder_touches_the_run(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pytest.ini_options]\naddopts = '--no-such-option'\n")
    (tmp_path / "conftest.py").write_text("raise SystemExit('the conftest of a user was loaded')\n")
    (tmp_path / "test_own.py").write_text("def test_own():\n    raise SystemExit('a test of a user was run')\n")
    (tmp_path / "schemathesis.toml").write_text("nonsense = [")
    before = sorted(path.name for path in tmp_path.iterdir())
    hostile = {
        "PYTEST_ADDOPTS": "--no-such-option",
        "PYTEST_PLUGINS": "no_such_plugin",
        "SCHEMATHESIS_HOOKS": "no_such",
    }
    done = _cli(tmp_path, "run", "--only", "AUTH,ERR", "--seed", "1", "--report-dir", "out", **hostile)
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*before, "out"])
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert set(report) >= {"target", "seed", "summary", "spend_usd", "requests", "requirements"}
    assert set(report["summary"]) == {"passed", "failed", "warned", "skipped", "error"}
    fields = {"id", "level", "area", "statement", "source", "outcome", "reason", "evidence"}
    assert all(set(each) >= fields for each in report["requirements"])


def test_an_interrupted_run_leaves_a_valid_report(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "prospec", "conformance", "run", "--examples", "2000", "--report-dir", "out"],
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        time.sleep(6)
        running.send_signal(signal.SIGINT)
        _, said = running.communicate(timeout=60)
    assert running.returncode == 3, said
    assert "Traceback" not in said
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["complete"] is False
    assert report["requirements"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["run", "--base-url", "http://127.0.0.1:9"], 2, "PROSPOLABS_API_KEY is not set"),
        (["run", "--only", "NOPE"], 2, "no area 'NOPE'"),
        (["run", "--models", "nope"], 2, "no model 'nope'"),
        (["run", "--max-spend", "lots"], 2, "no amount"),
        (["run", "--fault", "AUTH-01-missing-key-let-in"], 2, "did you mean"),
        (["run", "--base-url", "ftp://x"], 2, "no http URL"),
        (["run", "--no-such-flag"], 2, "no-such-flag"),
    ],
)
def test_a_wrong_argument_is_explained(tmp_path: Path, arguments: list[str], code: int, said: str) -> None:
    done = _cli(tmp_path, *arguments, PROSPOLABS_API_KEY="")
    assert done.returncode == code
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_the_list_shows_every_requirement_and_its_proof(tmp_path: Path) -> None:
    done = _cli(tmp_path, "list", "--format", "json")
    listed = json.loads(done.stdout)
    assert [each["id"] for each in listed] == [each.id for each in SPEC.requirements]
    assert {each["id"] for each in listed if each["proven_by"]} == CHECKED
    assert not {each["id"] for each in listed if each["unverifiable"]} & CHECKED
    assert done.returncode == 0
