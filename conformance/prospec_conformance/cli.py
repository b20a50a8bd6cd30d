"""The commands `prospec mock` and `prospec conformance`: arguments in, exit code out. Here live no check, no server."""

from __future__ import annotations

import json
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
from prospec.terminal import Ticker, plain, say

if TYPE_CHECKING:
    from prospec.ir import Spec

    from .implementation import Target
    from .report import Report
    from .run import Options

Format = Literal["text", "json"]
Repeated = Annotated[tuple[str, ...], Parameter(negative=())]

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
    fault: Repeated = (),
    variant: Repeated = (),
    format: Format = "text",
) -> int:
    """Run the suite, on the embedded mock unless a URL is given.

    ```
    prospec conformance run
    prospec conformance run --only AUTH,ERR --report-dir reports
    prospec conformance run --base-url http://127.0.0.1:8000 --max-spend 25
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
        Where report.json goes.
    fault
        A fault of the embedded mock, to see the suite find it. May be given several times.
    variant
        A variant of the embedded mock. May be given several times.
    format
        text for people, json for programs.
    """
    from prospec.loader import SpecError, load

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
        )
        if examples < 0:
            raise ValueError("--examples takes 0 or more")
        url = base_url or os.environ.get("PROSPOLABS_BASE_URL")
        if url and (fault or variant):
            raise ValueError("--fault and --variant belong to the embedded mock: leave --base-url out")
        if url:
            _check_url(url)
        with _target(url or None, spec, fault, variant) as target:
            return _judge(spec, target, options, report_dir, format)
    except ValueError as error:
        say(str(error), "red")
        return USAGE


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
    host: str = "127.0.0.1",
    port: int = 0,
    balance: str | None = None,
    rate_limit: int | None = None,
    processing_s: float = 1.0,
    fault: Repeated = (),
    variant: Repeated = (),
    list_faults: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Serve the reference implementation.

    Parameters
    ----------
    host
        The address to listen on.
    port
        The port; 0 takes a free one.
    balance
        USD that each account starts with.
    rate_limit
        Requests a minute; the documented 60 unless given, 0 for no limit.
    processing_s
        How long a generation takes, in seconds.
    fault
        Break one promise. May be given several times.
    variant
        Keep one promise differently, within the documentation. May be given several times.
    list_faults
        Print every fault with the requirement that it breaks, and every variant.
    """
    from dataclasses import replace

    from prospec.loader import SpecError, load

    from .mock import FAULTS, VARIANTS, MockConfig
    from .mock import run as serve_until_stopped

    if list_faults:
        for id, each in FAULTS.items():
            print(f"{id}: {each.requirement}: {each.statement}")
        for id, alternative in VARIANTS.items():
            print(f"{id}: variant: {alternative.statement}")
        return OK
    try:
        spec = load(trusted=True)
        limit = spec.service.requests_per_minute if rate_limit is None else rate_limit or None
        config = MockConfig(
            host=host,
            port=port,
            rate_limit=limit,
            processing_s=processing_s,
            faults=frozenset(fault),
            variants=frozenset(variant),
        )
        if balance is not None:
            config = replace(config, balance_usd=_usd(balance))
        config = replace(config, **_local_keys())
        serve_until_stopped(config, spec)
    except (ValueError, SpecError) as error:
        say(str(error), "red")
        return USAGE
    except OSError as error:
        say(f"cannot listen on {host} port {port}: {error.strerror or error}", "red")
        return USAGE
    return OK


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
        found.pop("control_token", None)
        if "api_key" not in found:
            raise ValueError(
                f"{ENVIRONMENT['api_key']} is not set: the suite needs a key of the implementation at {url}"
            )
        yield Target(url.rstrip("/"), **found)
        return
    config = MockConfig(faults=frozenset(faults), variants=frozenset(variants))
    with serve(config, spec) as server:
        keys = (config.api_key, config.second_api_key, config.webhook_secret)
        yield Target(server.base_url, *keys, is_mock=True)


def _judge(spec: Spec, target: Target, options: Options, report_dir: Path | None, format: Format) -> int:
    from . import report as reports
    from .run import UnreachableError, run, write

    ticker = Ticker()
    count = iter(range(1, sys.maxsize))
    say(f"judging {'the embedded mock' if target.is_mock else target.base_url}")
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
    print(reports.as_json(report) if format == "json" else reports.as_text(report))
    if report_dir is not None:
        try:
            say(f"report: {write(report, report_dir)}")
        except OSError as error:
            say(f"{report_dir}: cannot be written: {error.strerror}", "red")
            return USAGE
    code = _exit_code(report)
    say(reports.conclusion(report), "green" if code == OK else "red")
    return code


def _check_url(url: str) -> None:
    """Raises ValueError for what is no plain http URL. A password in it is refused: it would be in every report."""
    wrong = ValueError(f"--base-url {plain(url.rpartition('@')[2])!r} is no http URL")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise wrong
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("--base-url takes a scheme, a host, a port and a path: no user, no query, no fragment")


def _exit_code(report: Report) -> int:
    if report.counts["error"]:
        return INTERNAL
    if not report.complete:
        return NOTHING_RAN
    if report.counts["failed"]:
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
