"""Runs the suite: pytest inside, and nothing of the user's folder or environment in it.

Here lives the only place that starts pytest, and that writes the files of a report.
"""

from __future__ import annotations

import dataclasses
import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

from prospec.ir import Spec

from . import whole
from .confirm import Again, confirm
from .control import Control
from .implementation import Implementation, NoAnswerError, Target
from .known import Entry, compared
from .outcome import Verdict, summed
from .plugin import Plugin, Run
from .receiver import Receiver
from .replay import REPORT
from .report import Report
from .spend import Ledger

SUITE = Path(__file__).parent / "suite"
FOREIGN = ("PYTEST_", "SCHEMATHESIS_", "HYPOTHESIS_")
"""Beginnings of the variables by which an environment would steer what runs inside."""


class UnreachableError(Exception):
    """Nothing answers at the base URL."""


@dataclass(frozen=True, slots=True)
class Options:
    """What a run is asked for."""

    areas: frozenset[str] | None = None
    """Areas of requirements, such as PARAM; all for None."""
    models: frozenset[str] | None = None
    max_spend_usd: Decimal = Decimal(0)
    examples: int = 10
    """Random requests a mode; 0 for none."""
    seed: int | None = None
    is_slow: bool = False
    """Whether checks may wait for real time, such as the 30 s before the first retry of a webhook."""
    sends_large: bool = True
    """Whether files as large as allowed, and larger, are sent: 200 MB in all."""
    webhook_url: str | None = None
    """Where the implementation reaches `webhook_port` of this machine; None for one that reaches loopback."""
    webhook_port: int = 0
    has_receiver: bool = True
    """Whether there is one where the implementation can reach it."""
    confirms: bool = False
    """Whether findings are tried again, and their requests made smaller."""
    known: tuple[Entry, ...] | None = None
    """Findings that are known; None where nobody says so."""
    replay: str | None = None
    """The one judgement that is to be made, by its id; one that looks back on a run makes the whole run again."""


def run(
    spec: Spec,
    target: Target,
    options: Options,
    *,
    say: Callable[[str], None],
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
    on_start: Callable[[Implementation], None] = lambda implementation: None,
    time_of: Control | None = None,
) -> Report:
    """Judge the implementation at a target. Raises UnreachableError if nothing answers there, ValueError if
    the models that were asked for have nothing to judge.

    A mock costs nothing; anything else costs at most `options.max_spend_usd`. `time_of` moves the clock of a mock that
    is judged as anybody else's, where a run would wait. `on_start` gets what everything will be sent by.
    """
    import pytest

    started, started_s = time.monotonic(), time.time()
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    with ExitStack() as open_:
        control = _control(target)
        if control is not None:
            open_.callback(control.close)
        ledger = Ledger(spec, None if target.is_mock else options.max_spend_usd)
        implementation = Implementation(target, ledger, say, control, time_of)
        open_.callback(implementation.close)
        state = Run(implementation, spec, options.areas, options.models, options.examples, seed, on_verdict)
        state.is_slow = options.is_slow
        state.sends_large = options.sends_large
        if not state.modes():
            raise ValueError(
                f"the documentation names no mode of {', '.join(sorted(options.models or ()))}: nothing to judge"
            )
        if options.has_receiver and (target.is_local or options.webhook_url):
            state.receiver = Receiver(options.webhook_url, options.webhook_port)
            open_.callback(state.receiver.close)
        on_start(implementation)
        try:
            implementation.balance()
        except NoAnswerError as error:
            raise UnreachableError(str(error)) from None
        again: dict[str, Again] = {}
        retried = Implementation(target, ledger, say, control, time_of)
        open_.callback(retried.close)
        state.findings = None if options.replay is None else frozenset({options.replay})
        code = _session(state)
        if options.replay is not None:
            if any(verdict.requirement in state.looking_back for verdict in state.verdicts):
                state = dataclasses.replace(state, verdicts=[], findings=None)
                code = _session(state)
            state.verdicts = [verdict for verdict in state.verdicts if verdict.id == options.replay]
            if not state.verdicts:
                raise ValueError(f"no check makes the finding {options.replay}, or it was not come to")
        complete = code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not state.unreachable
        if complete and options.confirms:
            try:
                again = confirm(state, retried, _session_or_interrupt)
            except KeyboardInterrupt:
                complete = False
    asked = [each for each in spec.requirements if options.areas is None or each.area in options.areas]
    if options.replay is not None:
        asked = [each for each in asked if each.id == state.verdicts[0].requirement]
    return Report(
        target=target,
        seed=seed,
        complete=complete,
        spend_usd=float(ledger.spent_usd),
        requests=len(implementation.exchanges) + len(retried.exchanges),
        seconds=time.monotonic() - started,
        summed=tuple(summed(asked, state.verdicts, state.checked)),
        examples=options.examples,
        started_s=started_s,
        spec=spec,
        exchanges=(*implementation.exchanges, *retried.exchanges),
        again=again,
        known=None if options.known is None else compared(options.known, state.verdicts, date.today()),
    )


def _session(state: Run) -> int:
    """Judge what a run asks for: pytest's exit code."""
    import pytest

    with _isolated():
        arguments = [str(SUITE), "-c", str(SUITE / "pytest.ini"), "--rootdir", str(SUITE)]
        code = pytest.main(arguments, plugins=[Plugin(state)])
    if code in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise RuntimeError(f"pytest ended with {pytest.ExitCode(code).name}")
    return code


def _session_or_interrupt(state: Run) -> None:
    """The same. pytest keeps an interruption to itself; here it ends what is around it too."""
    import pytest

    if _session(state) == pytest.ExitCode.INTERRUPTED and not state.unreachable:
        raise KeyboardInterrupt


def _control(target: Target) -> Control | None:
    """The control of the target, where it has one that the token opens."""
    if target.control_token is None:
        return None
    control = Control(target.base_url, target.control_token)
    if control.answers():
        return control
    control.close()
    return None


@contextmanager
def _isolated() -> Iterator[None]:
    """No plugin but ours, no option of the environment, and nothing left in the working folder."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="prospec-") as folder:
        for name in before:
            if name.startswith(FOREIGN):
                del os.environ[name]
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = folder
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def write(report: Report, folder: Path) -> Path:
    """Every report in a folder, each whole or not at all; the path of the one for people. Raises OSError."""
    from .report import as_json
    from .reports import html, junit, summary

    texts = {
        REPORT: as_json(report),
        "junit.xml": junit.render(report.document),
        "summary.md": summary.render(report.document),
        "report.html": html.render(report.document),
    }
    whole.write(folder, texts)
    return folder / "report.html"
