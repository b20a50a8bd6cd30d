"""Runs the suite: pytest inside, and nothing of the user's folder or environment in it.

Here lives the only place that starts pytest, and the files of a report.
"""

from __future__ import annotations

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from prospec.ir import Spec

from .implementation import Implementation, NoAnswerError, Target
from .outcome import Verdict, summed
from .plugin import Plugin, Run
from .report import Report, as_json
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


def run(
    spec: Spec,
    target: Target,
    options: Options,
    *,
    say: Callable[[str], None],
    on_verdict: Callable[[Verdict], None] = lambda verdict: None,
) -> Report:
    """Judge the implementation at a target. Raises UnreachableError if nothing answers there, ValueError if
    the models that were asked for have nothing to judge.

    A mock costs nothing; anything else costs at most `options.max_spend_usd`.
    """
    import pytest

    started = time.monotonic()
    implementation = Implementation(target, Ledger(spec, None if target.is_mock else options.max_spend_usd), say)
    seed = secrets.randbelow(2**32) if options.seed is None else options.seed
    state = Run(implementation, spec, options.areas, options.models, options.examples, seed, on_verdict)
    if not state.modes():
        raise ValueError(
            f"the documentation names no mode of {', '.join(sorted(options.models or ()))}: nothing to judge"
        )
    try:
        try:
            implementation.balance()
        except NoAnswerError as error:
            raise UnreachableError(str(error)) from None
        with _isolated():
            arguments = [str(SUITE), "-c", str(SUITE / "pytest.ini"), "--rootdir", str(SUITE)]
            code = pytest.main(arguments, plugins=[Plugin(state)])
    finally:
        implementation.close()
    if code in (pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR):
        raise RuntimeError(f"pytest ended with {pytest.ExitCode(code).name}")
    asked = [each for each in spec.requirements if options.areas is None or each.area in options.areas]
    return Report(
        target=target,
        seed=seed,
        complete=code in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED) and not state.unreachable,
        spend_usd=float(implementation.ledger.spent_usd),
        requests=len(implementation.exchanges),
        seconds=time.monotonic() - started,
        summed=tuple(summed(asked, state.verdicts, state.checked)),
    )


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
    """report.json in a folder, whole or not at all. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "report.json"
    draft = folder / ".report.json.part"
    draft.write_text(as_json(report), encoding="utf-8")
    draft.replace(path)
    return path
