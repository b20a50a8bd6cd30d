"""What a run does with its findings: tries them again, makes them smaller, knows some of them, and replays one.

Also how it ends when it is told to, and which readings it tells. All on the mock, by its own count of money where that
is spent.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prospec.loader import load
from prospec_conformance import known
from prospec_conformance.breaches import Breaches
from prospec_conformance.confirm import smaller
from prospec_conformance.implementation import Exchange, Implementation, Target
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.outcome import Verdict, finding_id
from prospec_conformance.readings import Reading, readings
from prospec_conformance.replay import replayed
from prospec_conformance.report import Report
from prospec_conformance.run import Options, run
from prospec_conformance.spend import Ledger

SPEC = load(trusted=True)
FAULT = "PARAM-05-duration-16"
FINDING = finding_id("PARAM-05", "seedance-2-fast", "text", "duration")
TODAY = datetime.date(2030, 6, 15)


def judged(*faults: str, is_mock: bool = True, areas: str = "PARAM", **options: Any) -> Report:
    with serve(MockConfig(faults=frozenset(faults)), SPEC) as server:
        keys = (server.config.api_key, server.config.second_api_key, server.config.webhook_secret)
        target = Target(server.base_url, *keys, is_mock=is_mock)
        asked: dict[str, Any] = {"seed": 1, "examples": 0, "areas": frozenset(areas.split(","))}
        return run(SPEC, target, Options(**asked | options), say=lambda line: None)


def entry(**fields: Any) -> known.Entry:
    made: dict[str, Any] = {"requirement": "PARAM-05", "reason": "#7", "expires": TODAY}
    return known.Entry(**made | fields)


# Tried again


def test_a_finding_that_stays_is_confirmed_and_one_that_goes_is_not_seen_again(monkeypatch: pytest.MonkeyPatch) -> None:
    report = judged(FAULT, "ERR-03-no-code", areas="PARAM,ERR", confirms=True)
    assert report.again[FINDING].seen == "confirmed"
    smallest = report.again[FINDING].smallest
    assert smallest is not None
    assert smallest.sent["params"].keys() == {"prompt", "duration"}
    assert {report.again[id].seen for id in report.again if id.startswith("ERR-03")} == {"confirmed"}

    healthy = Implementation._send_once
    seen: list[Implementation] = []

    def first_alone(self: Implementation, method: str, path: str, sent: Any, *rest: Any) -> Exchange:
        """The server is repaired once the first judgement is over."""
        if self not in seen:
            seen.append(self)
        exchange = healthy(self, method, path, sent, *rest)
        wrong = isinstance(sent, dict) and sent.get("params", {}).get("duration") == 16 and len(seen) == 1
        return exchange if not wrong else Exchange(method, path, {}, sent, 200, exchange.headers, b"{}")

    monkeypatch.setattr(Implementation, "_send_once", first_alone)
    again = judged(confirms=True).again
    assert [each.seen for each in again.values()] == ["not seen again"]


def test_nothing_is_tried_again_that_the_ceiling_does_not_allow() -> None:
    """By the mock's own count: what had to be refused and was accepted is charged."""
    start = Decimal(1000)
    for ceiling in (Decimal(0), Decimal("0.5"), Decimal(3)):
        with serve(MockConfig(faults=frozenset({"PARAM-03-unchecked", FAULT}), balance_usd=start), SPEC) as server:
            target = Target(server.base_url, server.config.api_key)
            options = Options(seed=1, areas=frozenset({"PARAM"}), examples=0, max_spend_usd=ceiling, confirms=True)
            report = run(SPEC, target, options, say=lambda line: None)
            headers = {"Authorization": f"Bearer {server.config.api_key}"}
            left = httpx2.get(f"{server.base_url}/v1/balance", headers=headers).json()["balance_usd"]
        findings = [each for each in report.summed if each.outcome == "failed"]
        assert report.again.keys() <= {verdict.id for each in findings for verdict in each.verdicts}
        if ceiling:
            assert start - Decimal(str(left)) <= ceiling
        assert all(each.reason for each in report.again.values() if each.seen == "not tried again")


@contextmanager
def implementation(*faults: str) -> Any:
    with serve(MockConfig(faults=frozenset(faults)), SPEC) as server:
        made = Implementation(
            Target(server.base_url, server.config.api_key, is_mock=True), Ledger(SPEC, None), lambda line: None
        )
        yield made
        made.close()


def test_a_request_is_made_as_small_as_what_it_shows_allows() -> None:
    params = {"prompt": "a quiet harbour", "duration": 16, "resolution": "480p", "seed": 3, "generate_audio": False}
    request = {"model": "seedance-2-fast", "mode": "text", "params": params, "webhook_url": "https://example.com/h"}
    breaches = Breaches(SPEC)
    with implementation(FAULT) as suite:
        least = smaller(suite.generate(request, expects_refusal=True), suite, breaches)
        params_left = {"prompt": "a quiet harbour", "duration": 16}
        assert least.sent == {"model": "seedance-2-fast", "mode": "text", "params": params_left}
        fine = {**request, "params": {**params, "duration": 15}}
        assert smaller(suite.generate(fine, expects_refusal=False), suite, breaches) is None
    with implementation("PARAM-15-ratio-beside-resolution-refused") as suite:
        both = {"prompt": "x", "resolution": "480p", "aspect_ratio": "16:9", "seed": 3, "generate_audio": True}
        refused = suite.generate({**request, "params": both}, expects_refusal=False)
        least = smaller(refused, suite, breaches)
        assert least.sent["params"] == {"prompt": "x", "resolution": "480p", "aspect_ratio": "16:9"}


def test_the_schemas_say_what_a_request_breaks() -> None:
    breaches = Breaches(SPEC)
    params = {"prompt": "x", "duration": 16, "sed": 1, "resolution": "4k"}
    wrong = {"model": "seedance-2-fast", "mode": "text", "params": params}
    assert breaches.of(wrong) == {
        ("/params/duration", "maximum"),
        ("/params/sed", "additionalProperties"),
        ("/params/resolution", "enum"),
    }
    assert breaches.of({**wrong, "params": {}}) == {("/params/prompt", "required")}
    assert breaches.of({"model": "none"}) == {("/model", "model")}
    for mode in ("none", 5, []):
        assert breaches.of({**wrong, "mode": mode}) == {("/mode", "mode")}


# Known failures


def test_a_known_failure_is_no_news_and_any_other_is() -> None:
    fine = judged(FAULT, known=(entry(expires=datetime.date.max),))
    assert not fine.is_news
    assert fine.counts["failed"] == 1
    assert fine.document["known_failing"][0]["state"] == "known"
    verdicts = [each for requirement in fine.document["requirements"] for each in requirement["verdicts"]]
    assert [each["id"] for each in verdicts if each["known"]] == [FINDING]
    assert judged(FAULT, known=(entry(model="kling-o3", expires=datetime.date.max),)).is_news
    assert judged(FAULT, known=()).is_news
    assert not judged(known=()).is_news


def verdict(outcome: Any, requirement: str = "PARAM-05", model: str = "kling-o3") -> Verdict:
    return Verdict(requirement, model, "text", "duration", outcome, "why")


@pytest.mark.parametrize(
    ("fields", "outcomes", "state"),
    [
        ({}, ["failed"], "known"),
        ({}, ["passed", "failed"], "known"),
        ({}, ["warned"], "known"),
        ({}, ["passed", "skipped"], "cured"),
        ({}, ["skipped"], "unmatched"),
        ({}, ["error"], "unmatched"),
        ({}, [], "unmatched"),
        ({"model": "kling-o3", "mode": "text", "field": "duration"}, ["failed"], "known"),
        ({"model": "veo-3-1"}, ["failed"], "unmatched"),
        ({"mode": "image"}, ["failed"], "unmatched"),
        ({"field": "seed"}, ["failed"], "unmatched"),
        ({"requirement": "PARAM-04"}, ["failed"], "unmatched"),
        ({"expires": TODAY - datetime.timedelta(1)}, ["failed"], "expired"),
        ({"expires": TODAY - datetime.timedelta(1)}, ["passed"], "expired"),
        ({"expires": TODAY}, ["failed"], "known"),
    ],
)
def test_each_entry_is_in_one_state(fields: dict[str, Any], outcomes: list[str], state: str) -> None:
    found = known.compared([entry(**fields)], [verdict(each) for each in outcomes], TODAY)
    assert [each for _, each in found.states] == [state]
    assert found.is_stale is (state in ("cured", "expired"))
    assert bool(found.reasons) is (state == "known")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[known]]\nrequirement = 'PARAM-05'\n", ":1: known[0].expires: missing"),
        ("\n[[known]]\nrequirement = 'PARAM-5'\nreason = 'x'\nexpires = 2030-01-01", ":3: known[0].requirement: is"),
        ("[[known]]\nrequirement = 'PARAM-05'\nreason = ''\nexpires = 2030-01-01", ":3: known[0].reason: is ''"),
        ("[[known]]\nrequirement = 'PARAM-05'\nreason = 'x'\nexpires = '2030-01-01'", ":4: known[0].expires: is"),
        ("[[known]]\nrequirement = 'PARAM-05'\nreason = 'x'\nexpires = 2030-01-01T00:00:00", ":4: known[0].expires"),
        ("[[known]]\nrequirement = 'PARAM-05'\nmodel = 'kling'\nreason = 'x'\nexpires = 2030-01-01", "did you mean"),
        (
            "[[known]]\nrequirement = 'PARAM-05'\nmode = 5\nreason = 'x'\nexpires = 2030-01-01",
            ":3: known[0].mode: is 5",
        ),
        ("[[known]]\nmodl = 'x'\n", ":2: known[0].modl: unknown key"),
        ("[known]\nrequirement = 'x'", ":1: known: expected tables that begin with [[known]]"),
        ("known = 5", "expected tables"),
        ("other = 5", ":1: other: unknown key"),
        ("x = [", "expected TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=r"known\.toml") as caught:
        known.understood(text, "known.toml", SPEC)
    assert said in str(caught.value)


def cli(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "prospec", "conformance", "run", "--only", "PARAM", "--examples", "0", *arguments]
    env = {**os.environ, **environment}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=200, check=False)


ENTRY = "[[known]]\nrequirement = 'PARAM-05'\nreason = 'see issue 7'\nexpires = {}\n"


def test_the_exit_code_is_that_of_the_news(tmp_path: Path) -> None:
    file = tmp_path / "known.toml"
    file.write_text(ENTRY.format("2099-01-01"))
    done = cli(tmp_path, "--fault", FAULT, "--known-failing", "known.toml", "--report-dir", "out")
    assert done.returncode == 0, done.stderr
    assert "known.toml:1: PARAM-05: known until 2099-01-01: see issue 7" in done.stdout
    assert "<failure" not in (tmp_path / "out" / "junit.xml").read_text("utf-8")
    assert "Known: see issue 7" in (tmp_path / "out" / "summary.md").read_text("utf-8")
    done = cli(tmp_path, "--known-failing", "known.toml", "--report-dir", "out")
    assert done.returncode == 1
    assert "it passes now, remove the entry" in done.stdout
    assert "it passes now" in (tmp_path / "out" / "junit.xml").read_text("utf-8")
    file.write_text(ENTRY.format("2001-01-01"))
    done = cli(tmp_path, "--fault", FAULT, "--known-failing", "known.toml")
    assert done.returncode == 1
    assert "it counted until 2001-01-01" in done.stdout
    for arguments, told in ((["absent.toml"], "cannot be read"), (["out"], "cannot be read")):
        done = cli(tmp_path, "--known-failing", *arguments)
        assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False)


# Replay


def test_a_finding_is_replayed_by_its_name_alone(tmp_path: Path) -> None:
    done = cli(tmp_path, "--fault", FAULT, "--replay", FINDING, "--format", "json")
    assert done.returncode == 1, done.stderr
    (requirement,) = json.loads(done.stdout)["requirements"]
    assert [(each["id"], each["outcome"]) for each in requirement["verdicts"]] == [(FINDING, "failed")]
    done = cli(tmp_path, "--replay", FINDING)
    assert done.returncode == 0
    assert "1 passed" in done.stderr
    for id, told in (("PARAM-05-00000000", "no check makes"), ("x", "is no finding"), ("NOPE-01-00000000", "is no")):
        done = cli(tmp_path, "--replay", id)
        assert (done.returncode, told in done.stderr, "Traceback" in done.stderr) == (2, True, False)


def test_a_finding_that_looks_back_on_a_run_brings_the_run(tmp_path: Path) -> None:
    id = finding_id("ERR-03", None, None, None)
    report = judged("ERR-03-no-code", areas="AUTH,ERR", replay=id)
    assert [(each.requirement.id, each.outcome) for each in report.summed] == [("ERR-03", "warned")]
    assert report.requests > 30


def test_a_report_says_with_which_seed(tmp_path: Path) -> None:
    made = {"seed": 77, "examples": 3, "requirements": [{"verdicts": [{"id": FINDING}]}]}
    (tmp_path / "report.json").write_text(json.dumps(made))
    options = replayed(Options(areas=frozenset({"AUTH"})), FINDING, tmp_path, SPEC)
    assert (options.seed, options.examples, options.replay, options.areas) == (77, 3, FINDING, None)
    assert replayed(Options(seed=5), FINDING, tmp_path, SPEC).seed == 5
    with pytest.raises(ValueError, match="has no finding"):
        replayed(Options(), "AUTH-01-00000000", tmp_path, SPEC)
    for text in ("[]", "{}", "{", '{"seed": "x", "examples": 1, "requirements": []}', "[" * 100_000):
        (tmp_path / "report.json").write_text(text)
        with pytest.raises(ValueError, match="no report of a run"):
            replayed(Options(), FINDING, tmp_path, SPEC)


# Its end


BY_ITSELF = """
import gc, os, signal, sys, threading, time
def end(phase, info):
    if time.monotonic() > due and threading.current_thread() is threading.main_thread():
        gc.callbacks.remove(end)
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(10))  # where the handler runs: an exception is dropped here
due = time.monotonic() + 3
gc.callbacks.append(end)
from prospec.cli import main
sys.exit(main())
"""
"""Ends itself where Python drops an exception: amid the garbage collector, which hypothesis listens to as well."""


@pytest.mark.parametrize("how", ["anywhere", "amid the garbage collector"])
def test_sigterm_leaves_every_report_and_says_that_it_is_unfinished(how: str, tmp_path: Path) -> None:
    begin = ["-m", "prospec"] if how == "anywhere" else ["-c", BY_ITSELF]
    command = [sys.executable, *begin, "conformance", "run", "--only", "PARAM", "--examples", "3000"]
    with subprocess.Popen(
        [*command, "--report-dir", "out"], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as running:
        if how == "anywhere":
            time.sleep(6)
            running.send_signal(signal.SIGTERM)
        _, said = running.communicate(timeout=100)
    assert running.returncode == 3, said
    assert "Traceback" not in said
    assert "not finished" in said
    written = {path.name: path.read_text("utf-8") for path in (tmp_path / "out").iterdir()}
    assert json.loads(written["report.json"])["complete"] is False
    assert "The run was not finished" in written["summary.md"]
    assert 'name="complete" value="False"' in written["junit.xml"]
    assert '"complete":false' in written["report.html"]


# Readings


def answered(status: int = 200, body: Any = None, sent: Any = None, path: str = "/v1/generate", **headers: str) -> Any:
    method = "GET" if "balance" in path or "generations" in path else "POST"
    made = httpx2.Headers({name.replace("_", "-"): value for name, value in headers.items()})
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return Exchange(method, path, {}, sent, status, made, raw)


def request(**params: Any) -> dict[str, Any]:
    return {"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", **params}}


@pytest.mark.parametrize(
    ("exchange", "topic", "value"),
    [
        (answered(400, {"detail": "x"}), "Error body", "detail"),
        (answered(400, {"detail": [{}]}), "Error body", "detail (a list)"),
        (answered(404, {"message": "x", "code": 1}), "Error body", "code and message"),
        (answered(410, {"code": "output_expired"}), "Error body", "code"),
        (answered(500, {"error": {"code": 1, "message": "x"}}), "Error body", "error (code and message)"),
        (answered(500, b"<html>"), "Error body", "no JSON object"),
        (answered(500, {}), "Error body", "none of code, message, detail, error"),
        (answered(202, {}, request(), "/v1/generate?async=true"), "Status of the asynchronous answer", "202"),
        (answered(200, {}, {**request(), "async": True}), "Status of the asynchronous answer", "200"),
        (answered(422, {}, request(duration=99)), "Status of a refused value", "422"),
        (answered(400, {}, request(resolution="8k")), "Status of a refused value", "400"),
        (answered(200, {}, request(sed=1)), "Unknown params", "ignored"),
        (answered(400, {}, request(sed=1)), "Unknown params", "refused"),
        (answered(200, {}, {**request(), "webhok": 1}), "Unknown members of the body", "ignored"),
        (answered(200, {}, request(seed=None)), "null for a param", "taken as left out"),
        (answered(400, {}, request(seed=None)), "null for a param", "refused"),
        (answered(200, {"status": "queued", "output_url": None}), "output_url before the end", "null"),
        (answered(200, {"status": "processing"}, path="/v1/generations/x"), "output_url before the end", "absent"),
        (answered(200, x_ratelimit_reset="59"), "X-RateLimit-Reset", "seconds to wait"),
        (answered(200, x_ratelimit_reset="1900000000"), "X-RateLimit-Reset", "Unix time in seconds"),
        (answered(200, x_ratelimit_reset="1900000000000"), "X-RateLimit-Reset", "Unix time in milliseconds"),
        (answered(200, x_ratelimit_reset="Wed, 21 Oct 2037 07:28:00 GMT"), "X-RateLimit-Reset", "a date"),
        (answered(200, x_ratelimit_reset="soon"), "X-RateLimit-Reset", "another text"),
        (answered(200, x_ratelimit_limit="60"), "Rate headers", "carried"),
        (answered(200), "Rate headers", "not carried"),
    ],
)
def test_each_reading_is_told_from_an_exchange(exchange: Exchange, topic: str, value: str) -> None:
    (found,) = [each for each in readings([exchange], SPEC) if each.topic == topic]
    assert [list(counts) for counts in found.seen.values()] == [[value]]
    assert found.gap in {gap.id for gap in SPEC.gaps}


@pytest.mark.parametrize(
    ("exchange", "topic"),
    [
        (answered(429, {}, request(duration=99)), "Status of a refused value"),
        (answered(400, {}, request(duration=99, sed=1)), "Status of a refused value"),
        (answered(400, {}, request(duration=99, sed=1)), "Unknown params"),
        (answered(400, {}, {**request(duration=99), "webhok": 1}), "Unknown members of the body"),
        (answered(200, {"status": "completed"}), "output_url before the end"),
        (answered(401, {}), "Rate headers"),
    ],
)
def test_an_exchange_that_says_nothing_of_a_question_is_left_out(exchange: Exchange, topic: str) -> None:
    assert topic not in {each.topic for each in readings([exchange], SPEC)}


def test_a_reading_that_differs_from_place_to_place_is_told() -> None:
    one, other = answered(400, {"detail": "x"}), answered(404, {"code": "x"}, path="/v1/generations/x")
    (found,) = [each for each in readings([one, one, other], SPEC) if each.topic == "Error body"]
    assert found == Reading("GAP-03", "Error body", {"generate": {"detail": 2}, "getGeneration": {"code": 1}})
    assert not found.is_consistent
    (same,) = [each for each in readings([one, one], SPEC) if each.topic == "Error body"]
    assert same.is_consistent


@pytest.mark.parametrize("garbage", [b"", b"\xff", b"[" * 5000, b"5", b'"x"', b"null", b"[1]"])
@pytest.mark.parametrize(
    "sent", [None, b"\x00", {"model": []}, {"params": 5}, {"model": "kling-o3", "mode": {}}, 5, []]
)
def test_no_garbage_breaks_the_readings(garbage: bytes, sent: Any) -> None:
    for status in (200, 400, 500):
        readings([answered(status, garbage, sent), answered(status, garbage, sent, "nonsense")], SPEC)
