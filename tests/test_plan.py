"""The plan of a run: made without sending anything, no less than what a run then sends and costs, and close to it."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from decimal import Decimal
from subprocess import CompletedProcess

import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.control import Control
from prospec_conformance.implementation import Target
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.plan import Share, as_json, as_text, plan, plans
from prospec_conformance.report import Report
from prospec_conformance.run import Options, run

SPEC: Spec = load()
START = Decimal(1000)
Run = Callable[..., CompletedProcess[str]]


def judged(options: Options, *, rate_limit: int = 60) -> tuple[Report, Decimal, float]:
    """A run on a mock that is judged as anybody's; what it has charged, and the minutes that have passed there."""
    config = MockConfig(balance_usd=START, processing_s=5, rate_limit=rate_limit, seed=7)
    with serve(config, SPEC) as server:
        control = Control(server.base_url, config.control_token)
        began_s = control.now_s()
        target = Target(server.base_url, config.api_key, config.second_api_key, config.webhook_secret)
        report = run(SPEC, target, options, say=lambda line: None, time_of=control)
        found = report, START - control.balance("first"), (control.now_s() - began_s) / 60
        control.close()
    return found


def target(**secrets: str) -> Target:
    return Target("http://127.0.0.1:1", "prsp-none", **secrets)


FULL = target(second_api_key="prsp-other", webhook_secret="secret")


@pytest.mark.parametrize("ceiling", [Decimal(0), Decimal(3), Decimal(60)], ids=str)
def test_a_run_sends_and_costs_no_more_than_was_planned_and_not_much_less(ceiling: Decimal) -> None:
    options = Options(seed=1, examples=3, max_spend_usd=ceiling, sends_large=False)
    planned = plan(SPEC, options, FULL, 60)
    report, charged, _ = judged(options)
    assert report.complete
    assert planned.total.requests * 0.85 <= report.requests <= planned.total.requests
    assert charged <= planned.total.most_usd <= ceiling
    assert Decimal(str(report.spend_usd)) <= planned.total.most_usd
    assert (planned.total.billable > 0) == (ceiling > 0) == (charged > 0)
    judged_too = [each for each in report.summed if any(verdict.outcome != "skipped" for verdict in each.verdicts)]
    assert planned.judged == len(judged_too)


def test_a_run_keeps_to_the_limit_and_takes_the_time_that_was_planned() -> None:
    """Without money nothing is waited for but the limit."""
    areas = frozenset({"AUTH", "GEN", "PARAM", "ERR"})
    options = Options(seed=1, examples=0, areas=areas)
    planned = plan(SPEC, options, FULL, 60)
    report, _, minutes = judged(options)
    assert not [each for each in report.exchanges if each.status == 429]
    assert minutes == pytest.approx(planned.minutes(planned.total.requests), abs=2)
    assert planned.minutes(planned.total.requests) > 5
    assert not report.counts["failed"]


def test_what_a_target_lacks_is_not_planned() -> None:
    options = Options(seed=1, examples=0, areas=frozenset({"HOOK", "UPLOAD", "ASYNC"}), max_spend_usd=Decimal(60))
    remote = Target("https://implementation.invalid", "prsp-none")
    full, bare = plan(SPEC, options, FULL, 60), plan(SPEC, options, remote, 60)
    assert bare.judged < full.judged
    assert "HOOK" not in {area for area, share in bare.areas.items() if share.requests}
    assert full.areas["HOOK"].billable > 0


def test_the_plans_are_told_alike() -> None:
    options = Options(seed=1, examples=0, areas=frozenset({"AUTH", "ASYNC"}), max_spend_usd=Decimal("2.5"))
    found = plans(SPEC, options, FULL, 30)
    assert [each.max_spend_usd for each in found] == [0, Decimal("2.5")]
    free, paid = json.loads(as_json(found))["plans"]
    assert free["billable"] == 0 < paid["billable"]
    assert free["at_worst_usd"] > 0
    assert paid["enough_usd"] == free["enough_usd"] > 0
    for each, document in zip(found, (free, paid), strict=True):
        assert document["areas"].keys() == each.areas.keys() == {"AUTH", "ASYNC"}
        assert document["requests"] == sum(area["requests"] for area in document["areas"].values())
        assert document["minutes"] == -(-document["requests"] // 30)
        assert sum(each.areas.values(), Share()) == each.total
    text = as_text(found)
    assert "with --max-spend 2.5" in text
    for document in (free, paid):
        assert f"in all  {document['requests']:9}{document['billable']:9}" in text


def test_the_command_sends_nothing_and_needs_no_key(prospec_process: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ran = prospec_process("conformance", "run", "--plan", "--only", "ERR", "--base-url", url, "--format", "json")
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert ran.returncode == 0, ran.stderr
    (found,) = json.loads(ran.stdout)["plans"]
    assert found["requests"] > 10
    assert found["requests_per_minute"] == 60


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--plan", "--fault", "AUTH-01-none"], "--plan judges nothing"),
        (["--plan", "--rate-limit", "0"], "--rate-limit takes 1 or more"),
        (["--rate-limit", "60"], "--rate-limit belongs to --plan"),
        (["--webhook-url", "https://hooks.example"], "--webhook-url needs --webhook-port"),
        (["--webhook-url", "ftp://hooks.example", "--webhook-port", "8000"], "--webhook-url 'ftp://hooks.example' is"),
        (["--webhook-port", "65536"], "--webhook-port takes 0 to 65535"),
    ],
)
def test_what_does_not_fit_together_is_explained(prospec: Run, arguments: list[str], said: str) -> None:
    ran = prospec("conformance", "run", *arguments)
    assert ran.returncode == 2
    assert said in ran.stderr
    assert ran.stdout == ""


def test_a_port_that_is_taken_is_told(prospec: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = prospec("conformance", "run", "--only", "AUTH", "--webhook-port", port)
    assert ran.returncode == 2
    assert f"cannot listen on 127.0.0.1 port {port}" in ran.stderr
