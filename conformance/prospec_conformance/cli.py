"""The commands `prospec mock` and `prospec conformance`: arguments in, exit code out. Here live no check, no server."""

from __future__ import annotations

import dataclasses
import json
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal
from urllib.parse import urlsplit

from cyclopts import App, Parameter
from prospec.exits import FINDINGS, INTERNAL, NOTHING_RAN, OK, USAGE
from prospec.terminal import Interrupts, Ticker, plain, say

if TYPE_CHECKING:
    from prospec.ir import Spec

    from .implementation import Target
    from .report import Report
    from .run import Options

Format = Literal["text", "json"]
Repeated = Annotated[tuple[str, ...], Parameter(negative=())]
Switch = Annotated[bool, Parameter(negative=())]

ELSEWHERE = "https://implementation.invalid"
"""Stands for an implementation that no URL was given of."""

conformance = App(name="conformance", help="Test an implementation of the API over HTTP.", help_format="markdown")


@conformance.command
def run(
    *,
    base_url: str | None = None,
    max_spend: str | None = None,
    only: str | None = None,
    models: str | None = None,
    examples: int = 10,
    seed: int | None = None,
    report_dir: Path | None = None,
    known_failing: Path | None = None,
    replay: str | None = None,
    slow: Switch = False,
    webhook_url: str | None = None,
    webhook_port: int = 0,
    plan: Switch = False,
    rate_limit: int | None = None,
    fault: Repeated = (),
    variant: Repeated = (),
    format: Format = "text",
) -> int:
    """Run the suite, on the embedded mock unless a URL is given.

    ```
    prospec conformance run
    prospec conformance run --only AUTH,ERR --report-dir reports
    prospec conformance run --base-url http://127.0.0.1:8000 --max-spend 25
    prospec conformance run --plan --max-spend 25
    prospec conformance run --replay AUTH-01-e9c022cf
    ```

    Exit codes: 0 clean, 1 a MUST is broken, 2 usage, 3 unreachable or nothing was judged, 4 the suite broke.

    Parameters
    ----------
    base_url
        The implementation, also PROSPOLABS_BASE_URL. Its key is read from PROSPOLABS_API_KEY.
    max_spend
        USD that accepted requests may cost. Without it nothing is sent that should be accepted.
    only
        Areas of requirements, separated by commas, such as AUTH,ERR.
    models
        Model ids, separated by commas.
    examples
        Random requests a mode, 0 for none.
    seed
        Makes the random requests the same again.
    report_dir
        Where report.html, report.json, junit.xml and summary.md go.
    known_failing
        A TOML file of failures that are known: tables [[known]] of requirement, reason, expires (the last day on which
        it counts) and, where it is about one alone, model, mode, field. They do not make the exit code 1. One that
        passes by now or has expired does.
    replay
        Judge one finding of a report again, by its id, and nothing else. With --report-dir the seed is that report's,
        and nothing is written.
    slow
        Wait for real time where a check needs it, such as the 30 s before a webhook is sent again.
    webhook_url
        A public URL that leads to --webhook-port of this machine, for webhooks. Loopback needs none.
    webhook_port
        The port of 127.0.0.1 that webhooks are taken at; a free one unless given.
    plan
        Send nothing, and need no key: print how many requests such a run of another implementation would send, how many
        of them cost money, how much at most, and how long they take.
    rate_limit
        Requests a minute that --plan reckons with; the documented 60 unless given.
    fault
        A fault of the embedded mock, to see the suite find it. May be given several times.
    variant
        A variant of the embedded mock. May be given several times.
    format
        text for people, json for programs.
    """
    from prospec.loader import SpecError, load

    from . import known
    from .replay import replayed
    from .run import Options

    try:
        spec = load(trusted=True)
    except SpecError as error:
        say(str(error), "red")
        return USAGE
    areas = {requirement.area for requirement in spec.requirements}
    try:
        options = Options(
            areas=_chosen(only, areas, "area"),
            models=_chosen(models, {model.id for model in spec.models}, "model"),
            max_spend_usd=_usd(max_spend),
            examples=examples,
            seed=seed,
            is_slow=slow,
            webhook_url=webhook_url,
            webhook_port=webhook_port,
            confirms=True,
        )
        if examples < 0:
            raise ValueError("--examples takes 0 or more")
        url = base_url or os.environ.get("PROSPOLABS_BASE_URL")
        if url and (fault or variant):
            raise ValueError("--fault and --variant belong to the embedded mock: leave --base-url out")
        if url:
            _check_url("--base-url", url)
        if webhook_url is not None:
            _check_url("--webhook-url", webhook_url)
            if not webhook_port:
                raise ValueError("--webhook-url needs --webhook-port: the port of this machine that it leads to")
        if not 0 <= webhook_port <= 65535:
            raise ValueError("--webhook-port takes 0 to 65535")
        if plan:
            if fault or variant or replay or known_failing or report_dir:
                raise ValueError(
                    "--plan judges nothing: leave out --fault, --variant, --replay and what is for reports"
                )
            return _plan(spec, options, url or None, rate_limit, format)
        if rate_limit is not None:
            raise ValueError("--rate-limit belongs to --plan: a run follows the limit that it meets")
        if known_failing is not None:
            options = dataclasses.replace(options, known=known.read(known_failing, spec))
        if replay is not None:
            options = replayed(options, replay, report_dir, spec)
            report_dir = None
        with _target(url or None, spec, fault, variant) as target, Interrupts():
            return _judge(spec, target, options, report_dir, format)
    except ValueError as error:
        say(str(error), "red")
        return USAGE
    except OSError as error:
        say(f"cannot listen on 127.0.0.1 port {webhook_port}: {error.strerror or error}", "red")
        return USAGE


@conformance.command
def receiver(*, url: str, report_dir: Path | None = None, timeout_s: float = 10.0, format: Format = "text") -> int:
    """Judge a receiver of webhooks, yours for one, by genuine, forged, odd and repeated deliveries.

    ```
    prospec conformance receiver --url http://127.0.0.1:8000/webhook
    prospec conformance receiver --url https://hooks.example/prospo --report-dir reports
    ```

    The secret that it shares with the provider is read from PROSPOLABS_WEBHOOK_SECRET. The genuine deliveries tell of
    generations that do not exist: run it on a receiver that books them nowhere. Not judged, since no answer shows it:
    whether signatures are compared in constant time, and whether a repeat is handled once.

    Exit codes: 0 clean, 1 the receiver has a flaw, 2 usage, 3 unreachable or not everything was judged.

    Parameters
    ----------
    url
        Where the provider would send its webhooks.
    report_dir
        Where report.json goes.
    timeout_s
        How long the receiver may take to connect, and to answer, in seconds.
    format
        text for people, json for programs.
    """
    from prospec.loader import SpecError, load

    from . import receiver_report as reports
    from .mock import ENVIRONMENT
    from .receiving import ReceiverTarget, receive, write
    from .run import UnreachableError

    try:
        header = load(trusted=True).service.webhook.header
        secret = os.environ.get(ENVIRONMENT["webhook_secret"])
        if not secret:
            raise ValueError(f"{ENVIRONMENT['webhook_secret']} is not set: give the secret that the receiver has")
        target = ReceiverTarget(url, secret, header, timeout_s)
    except (SpecError, ValueError) as error:
        say(str(error), "red")
        return USAGE
    ticker = Ticker()
    count = iter(range(1, sys.maxsize))
    say(f"judging the receiver at {target.origin}")
    try:
        reception = receive(
            target, on_verdict=lambda judged: ticker.tick(f"{next(count)} verdicts, at {judged.delivery.name}")
        )
    except UnreachableError as error:
        say(str(error), "red")
        return NOTHING_RAN
    finally:
        ticker.done()
    text = reports.as_json(reception)
    shown = text if format == "json" else reports.as_text(reception)
    if shown:
        print(shown.rstrip("\n"))
    if report_dir is not None:
        try:
            say(f"report: {write(text, report_dir)}")
        except OSError as error:
            say(f"{report_dir}: cannot be written: {error.strerror}", "red")
            return USAGE
    code = FINDINGS if reports.counts(reception)["failed"] else OK if reports.is_complete(reception) else NOTHING_RAN
    say(reports.conclusion(reception), "green" if code == OK else "red")
    return code


@conformance.command
def self_test(
    *,
    jobs: int | None = None,
    only: str | None = None,
    examples: int | None = None,
    thorough: Switch = False,
    matrix: Path | None = None,
    format: Format = "text",
) -> int:
    """Test the suite: run it under every fault and every variant of the embedded mock.

    ```
    prospec conformance self-test
    prospec conformance self-test --only AUTH,ERR --jobs 4
    ```

    Each fault has to turn the requirement that it breaks, and no unrelated one; under a variant nothing may fail.
    Requirements that no fault breaks are named as unproven.

    Exit codes: 0 all is found, 1 something is not, 2 usage, 3 interrupted.

    Parameters
    ----------
    jobs
        Runs at a time; as many as there are processors unless given.
    only
        Areas, separated by commas: the faults that break a requirement of theirs, and no variant.
    examples
        Random requests a mode in every run; unless given, no more than it takes to find the fault, mostly none.
    thorough
        The whole suite under every fault. Unless given, what the fault cannot show in is left out: of one that changes
        webhooks alone, everything but webhooks.
    matrix
        A Markdown file that shows every fault with what came of it.
    format
        text for people, json for programs.
    """
    from prospec.loader import SpecError, load

    from . import selftest

    try:
        spec = load(trusted=True)
        areas = _chosen(only, {requirement.area for requirement in spec.requirements}, "area")
        if matrix is not None and areas is not None:
            raise ValueError("--matrix shows all areas: leave --only out")
        if jobs is not None and jobs < 1:
            raise ValueError("--jobs takes 1 or more")
        if examples is not None and examples < 0:
            raise ValueError("--examples takes 0 or more")
    except (SpecError, ValueError) as error:
        say(str(error), "red")
        return USAGE
    ids = selftest.chosen(spec, areas)
    ticker = Ticker()
    count = iter(range(1, sys.maxsize))
    say(f"{len(ids)} runs of the suite")
    try:
        with Interrupts():
            proofs = selftest.prove_all(
                ids,
                jobs=jobs or os.cpu_count() or 1,
                examples=examples,
                thorough=thorough,
                on_proof=lambda proof: ticker.tick(f"{next(count)} of {len(ids)} runs, after {proof.id}"),
            )
    except KeyboardInterrupt:
        say("interrupted", "red")
        return NOTHING_RAN
    finally:
        ticker.done()
    if matrix is not None:
        try:
            selftest.write(selftest.as_markdown(spec, proofs), matrix)
        except OSError as error:
            say(f"{matrix}: cannot be written: {error.strerror}", "red")
            return USAGE
    print(selftest.as_json(spec, proofs, areas) if format == "json" else selftest.as_text(spec, proofs, areas))
    code = FINDINGS if any(proof.problems for proof in proofs.values()) else OK
    say(selftest.conclusion(proofs), "green" if code == OK else "red")
    return code


@conformance.command(name="list")
def list_(*, only: str | None = None, format: Format = "text") -> int:
    """Show every requirement: id, level, statement, source, cost, what it needs, what proves it.

    ```
    prospec conformance list
    prospec conformance list --only PARAM --format json
    ```

    Parameters
    ----------
    only
        Areas, separated by commas.
    format
        text for people, json for programs.
    """
    from prospec.loader import SpecError, load

    from .mock import FAULTS

    try:
        spec = load(trusted=True)
        areas = _chosen(only, {requirement.area for requirement in spec.requirements}, "area")
    except (SpecError, ValueError) as error:
        say(str(error), "red")
        return USAGE
    shown = [each for each in spec.requirements if areas is None or each.area in areas]
    proofs = {each.id: [id for id, fault in FAULTS.items() if fault.requirement == each.id] for each in shown}
    if format == "json":
        names = ("id", "level", "area", "statement", "section", "cost", "needs", "gap", "unverifiable")
        listed = [{name: getattr(each, name) for name in names} | {"proven_by": proofs[each.id]} for each in shown]
        print(json.dumps(listed, indent=2))
        return OK
    for each in shown:
        needs = f", needs {', '.join(each.needs)}" if each.needs else ""
        gap = f", {each.gap}" if each.gap else ""
        print(f"{each.id:8} {each.level:6} {each.statement}")
        proof = f"by no program: {each.unverifiable}" if each.unverifiable else f"faults: {len(proofs[each.id])}"
        print(f"{'':15} {each.section}{gap}; {each.cost}{needs}; {proof}")
    return OK


def mock(
    *,
    host: str | None = None,
    port: int | None = None,
    balance: str | None = None,
    rate_limit: int | None = None,
    processing_s: float | None = None,
    state: Path | None = None,
    seed: int | None = None,
    scenario: Path | None = None,
    webhook_url: str | None = None,
    webhook_host: Repeated = (),
    fault: Repeated = (),
    variant: Repeated = (),
    list_faults: Switch = False,
) -> int:
    """Serve the reference implementation. What its help says first stands in prospec.cli, which loads nothing else.

    Parameters
    ----------
    host
        The address to listen on; 127.0.0.1 unless given.
    port
        The port; a free one unless given.
    balance
        USD that each account starts with.
    rate_limit
        Requests a minute; the documented 60 unless given, 0 for no limit.
    processing_s
        How long a generation takes, in seconds; 1 unless given.
    state
        A file that keeps generations, money, uploads and webhooks; without one they end with the process.
    seed
        The same requests get the same answers, byte for byte. Time then moves by the requests alone.
    scenario
        A TOML file of settings and outcomes. A flag wins over it.
    webhook_url
        Where the events go of requests that name no receiver, as set in the provider's dashboard.
    webhook_host
        A host name, address or CIDR network that webhooks may be sent to, besides loopback. A name is good for loopback
        and public addresses; a private or link-local one must be listed as well. May be given several times.
    fault
        Break one promise. May be given several times.
    variant
        Keep one promise differently, within the documentation. May be given several times.
    list_faults
        Print every fault with the requirement that it breaks, and every variant.
    """
    from prospec.loader import SpecError, load

    from .mock import FAULTS, VARIANTS, MockConfig
    from .mock import run as serve_until_stopped

    if list_faults:
        for id, each in FAULTS.items():
            print(f"{id}: {each.requirement}: {each.statement}")
        for id, alternative in VARIANTS.items():
            print(f"{id}: variant: {alternative.statement}")
        return OK
    given = {
        "host": host,
        "port": port,
        "processing_s": processing_s,
        "state": state,
        "seed": seed,
        "webhook_url": webhook_url,
        "webhook_hosts": webhook_host or None,
        "faults": frozenset(fault) or None,
        "variants": frozenset(variant) or None,
    }
    try:
        spec = load(trusted=True)
        settings: dict[str, Any] = {"rate_limit": spec.service.requests_per_minute, "processing_s": 1.0}
        settings |= _scenario(scenario, spec) | {name: value for name, value in given.items() if value is not None}
        if balance is not None:
            settings["balance_usd"] = _usd(balance)
        if rate_limit is not None:
            settings["rate_limit"] = rate_limit or None
        config = MockConfig(**settings | _local_keys())
    except (ValueError, SpecError) as error:
        say(str(error), "red")
        return USAGE
    try:
        serve_until_stopped(config, spec)
    except OSError as error:
        say(f"cannot listen on {config.host} port {config.port}: {error.strerror or error}", "red")
        return USAGE
    except ValueError as error:
        say(str(error), "red")
        return USAGE
    except RuntimeError as error:
        say(str(error), "red")
        return INTERNAL
    return OK


def _scenario(path: Path | None, spec: Spec) -> dict[str, Any]:
    """The settings of a scenario file; none without one. Raises ValueError."""
    if path is None:
        return {}
    from .mock.scenario import read

    return dict(read(path, spec))


def _local_keys() -> dict[str, Any]:
    """What the environment sets of the keys and the webhook secret."""
    from .mock import ENVIRONMENT

    found = {name: os.environ[variable] for name, variable in ENVIRONMENT.items() if os.environ.get(variable)}
    for name, value in found.items():
        if not value.isascii() or not value.isprintable() or value != value.strip():
            raise ValueError(f"{ENVIRONMENT[name]} has characters that no header can carry")
    return found


@contextmanager
def _target(url: str | None, spec: Spec, faults: tuple[str, ...], variants: tuple[str, ...]) -> Iterator[Target]:
    """The implementation at the URL, or the embedded mock. Raises ValueError for what keeps it from being reached."""
    from .implementation import Target
    from .mock import ENVIRONMENT, MockConfig, serve

    if url is not None:
        found = _local_keys()
        if "api_key" not in found:
            raise ValueError(
                f"{ENVIRONMENT['api_key']} is not set: the suite needs a key of the implementation at {url}"
            )
        yield Target(url.rstrip("/"), **found)
        return
    config = MockConfig(
        rate_limit=spec.service.requests_per_minute, faults=frozenset(faults), variants=frozenset(variants)
    )
    with serve(config, spec) as server, _quiet("prospec_conformance.mock"):
        keys = (config.api_key, config.second_api_key, config.webhook_secret, config.control_token)
        yield Target(server.base_url, *keys, is_mock=True)


@contextmanager
def _quiet(logger: str) -> Iterator[None]:
    """What the embedded mock warns of is what the suite has it do."""
    log = logging.getLogger(logger)
    before = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(before)


def _plan(spec: Spec, options: Options, url: str | None, rate_limit: int | None, format: Format) -> int:
    """Print what a run would send. Raises ValueError."""
    from . import plan
    from .implementation import Target

    per_minute = spec.service.requests_per_minute if rate_limit is None else rate_limit
    if per_minute < 1:
        raise ValueError("--rate-limit takes 1 or more")
    # The key is not used, so there need be none; which others there are tells what would be judged.
    target = Target(url or ELSEWHERE, **{"api_key": "", **_local_keys()})
    try:
        with _quiet("prospec_conformance.mock"), Interrupts():
            found = plan.plans(spec, options, target, per_minute)
    except KeyboardInterrupt:
        say("interrupted", "red")
        return NOTHING_RAN
    print(plan.as_json(found) if format == "json" else plan.as_text(found))
    return OK


def _judge(spec: Spec, target: Target, options: Options, report_dir: Path | None, format: Format) -> int:
    from . import report as reports
    from .redaction import Redaction
    from .run import UnreachableError, run, write

    ticker = Ticker()
    count = iter(range(1, sys.maxsize))
    shown = "the embedded mock" if target.is_mock else Redaction(target.secrets)(target.base_url)
    say(f"judging {shown}")
    try:
        report = run(
            spec,
            target,
            options,
            say=say,
            on_verdict=lambda verdict: ticker.tick(f"{next(count)} verdicts, at {verdict.requirement} {verdict.where}"),
        )
    except UnreachableError as error:
        say(str(error), "red")
        return NOTHING_RAN
    finally:
        ticker.done()
    if report_dir is not None:
        # Before anything is printed: the reader of stdout may be gone.
        try:
            say(f"report: {write(report, report_dir)}")
        except OSError as error:
            say(f"{report_dir}: cannot be written: {error.strerror}", "red")
            return USAGE
    print(reports.as_json(report) if format == "json" else reports.as_text(report))
    code = _exit_code(report)
    say(reports.conclusion(report), "green" if code == OK else "red")
    return code


def _check_url(flag: str, url: str) -> None:
    """Raises ValueError for what is no plain http URL. A password in it is refused: it would be in every report."""
    wrong = ValueError(f"{flag} {plain(url.rpartition('@')[2])!r} is no http URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError(f"{flag} takes a scheme, a host, a port and a path: no user, no query, no fragment")


def _exit_code(report: Report) -> int:
    if report.counts["error"]:
        return INTERNAL
    if not report.complete:
        return NOTHING_RAN
    if report.is_news:
        return FINDINGS
    return OK if report.executed else NOTHING_RAN


def _chosen(text: str | None, known: set[str], what: str) -> frozenset[str] | None:
    """A list separated by commas. Raises ValueError for what is not known."""
    if text is None:
        return None
    chosen = frozenset(part.strip() for part in text.split(",") if part.strip())
    unknown = sorted(chosen - known)
    if unknown or not chosen:
        raise ValueError(f"no {what} {(unknown or [''])[0]!r}; there are {', '.join(sorted(known))}")
    return chosen


def _usd(text: str | None) -> Decimal:
    """An amount; none is 0. Raises ValueError."""
    try:
        amount = Decimal(text or "0")
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{text!r} is no amount in USD")
    return amount
