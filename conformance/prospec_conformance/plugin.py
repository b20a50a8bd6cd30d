"""The pytest plugin of the suite: which tests run on which rows, what a test may ask for, and what its end means.

Loaded by `run` alone; it is no entry point, so no other pytest run ever sees it. Here live no checks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from prospec.example import request, smallest_params
from prospec.ir import Level, Mode, Model, Param, Spec

from .implementation import Implementation, NoAnswerError
from .outcome import Inconclusive, Outcome, Verdict, Violation
from .probe import Probe, Row, documented_modes, documented_rows
from .spend import SpendingRefusedError, estimate_usd

UNREACHABLE_AFTER = 3
"""Requests without an answer, or never let through by the rate limit, one after the other, that end the run."""
ENDPOINTS = ("generate", "getGeneration", "initiateUpload", "putUpload", "getBalance")
"""operationIds of openapi.yaml."""


@dataclass(slots=True)
class Run:
    """What a run was asked for, and what it has found."""

    implementation: Implementation
    spec: Spec
    areas: frozenset[str] | None
    models: frozenset[str] | None
    examples: int
    seed: int
    on_verdict: Callable[[Verdict], None]
    verdicts: list[Verdict] = field(default_factory=list)
    unreachable: bool = False
    checked: set[str] = field(default_factory=set)
    """The requirements that the suite has a check for, judged in this run or not."""
    probes: dict[tuple[str, str], Probe] = field(default_factory=dict)

    def probe(self, model: Model, mode: Mode) -> Probe:
        """The one probe of a mode."""
        return self.probes.setdefault((model.id, mode.id), Probe(self.implementation, self.spec, model, mode))

    def chosen(self, model: Model) -> bool:
        return self.models is None or model.id in self.models

    def modes(self) -> list[tuple[Model, Mode]]:
        """The documented modes that were asked for, the cheapest models first, so that a small ceiling goes far."""
        return [(model, mode) for model, mode in _by_price(self.spec) if self.chosen(model)]


def _by_price(spec: Spec) -> list[tuple[Model, Mode]]:
    def cost(pair: tuple[Model, Mode]) -> Decimal:
        model, mode = pair
        return estimate_usd(spec, request(model, mode, smallest_params(mode)))

    return sorted(documented_modes(spec), key=cost)


def requirement(id: str) -> pytest.MarkDecorator:
    """The requirement that a test judges."""
    return pytest.mark.requirement(id)


def rows(choose: Callable[[Param], bool]) -> pytest.MarkDecorator:
    """The test runs once for each documented row that `choose` picks."""
    return pytest.mark.rows.with_args(choose)


def modes(choose: Callable[[Model, Mode], bool] = lambda model, mode: True) -> pytest.MarkDecorator:
    """The test runs once for each documented mode that `choose` picks."""
    return pytest.mark.modes.with_args(choose)


def fields(*names: str) -> pytest.MarkDecorator:
    """The test runs once for each name."""
    return pytest.mark.fields(*names)


def last(test: Any) -> Any:
    """The test looks back on the whole run."""
    return pytest.mark.last(test)


class Plugin:
    """The hooks and fixtures, over one `Run`."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._unanswered = 0

    def pytest_configure(self, config: pytest.Config) -> None:
        for name in ("requirement(id)", "rows(choose)", "modes(choose)", "fields(*names)", "last"):
            config.addinivalue_line("markers", name)

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        marks = {mark.name: mark for mark in metafunc.definition.iter_markers()}
        if "rows" in marks:
            (choose,) = marks["rows"].args
            order = {(model.id, mode.id): number for number, (model, mode) in enumerate(self.run.modes())}
            chosen = [row for row in documented_rows(self.run.spec) if (row.model.id, row.mode.id) in order]
            chosen = [row for row in chosen if choose(row.param)]
            chosen.sort(key=lambda row: order[row.model.id, row.mode.id])
            metafunc.parametrize("row", chosen, ids=[f"{r.model.id}/{r.mode.id}/{r.param.name}" for r in chosen])
        if "modes" in marks:
            (choose,) = marks["modes"].args
            pairs = [(model, mode) for model, mode in self.run.modes() if choose(model, mode)]
            metafunc.parametrize("pair", pairs, ids=[f"{model.id}/{mode.id}" for model, mode in pairs])
        if "fields" in marks:
            metafunc.parametrize("field", marks["fields"].args)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self.run.checked |= {_id(item) for item in items}
        wanted = [item for item in items if self.run.areas is None or _id(item).partition("-")[0] in self.run.areas]
        wanted = [item for item in wanted if "NOTSET" not in item.name]
        items[:] = sorted(wanted, key=lambda item: item.get_closest_marker("last") is not None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Generator[None, None, None]:
        """Take what a test raised for its verdict. pytest never sees it: its account of a failure costs 0.1 s each."""
        try:
            yield
        except Exception as error:
            self._judge(item, error)
        else:
            self._judge(item, None)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, call: pytest.CallInfo[None], item: pytest.Item
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """What a fixture raised is the verdict of every test that asked for it."""
        if call.when == "setup" and call.excinfo is not None:
            self._judge(item, call.excinfo.value)
        return (yield)

    def _judge(self, item: pytest.Item, error: BaseException | None) -> None:
        verdict = self._verdict(item, error)
        self.run.verdicts.append(verdict)
        self.run.on_verdict(verdict)
        self._unanswered = self._unanswered + 1 if isinstance(error, NoAnswerError) else 0
        if max(self._unanswered, self.run.implementation.throttled) >= UNREACHABLE_AFTER:
            self.run.unreachable = True
            item.session.shouldstop = "the target does not answer"

    def _verdict(self, item: pytest.Item, error: BaseException | None) -> Verdict:
        id = _id(item)
        model, mode, name = _where(item)
        level = self.run.spec.requirement(id).level
        reason = str(error) if error is not None else None
        exchanges = error.exchanges if isinstance(error, Violation) else ()
        outcome: Outcome
        match error:
            case None:
                outcome = "passed"
            case Violation():
                outcome = "failed" if Level.MUST is level is error.level else "warned"
            case NoAnswerError():
                outcome = "failed" if level is Level.MUST else "warned"
            case Inconclusive() | SpendingRefusedError():
                outcome = "skipped"
            case _:
                outcome, reason = "error", f"the suite broke: {type(error).__name__}: {error}"
        return Verdict(id, model, mode, name, outcome, reason, exchanges)

    @pytest.fixture(scope="session")
    def implementation(self) -> Implementation:
        return self.run.implementation

    @pytest.fixture(scope="session")
    def spec(self) -> Spec:
        return self.run.spec

    @pytest.fixture(scope="session")
    def current(self) -> Run:
        """The run itself, for tests that choose their own models."""
        return self.run

    @pytest.fixture
    def probe(self, request: pytest.FixtureRequest) -> Probe:
        """The probe of the row's or pair's mode."""
        if "row" in request.fixturenames:
            row: Row = request.getfixturevalue("row")
            return self.run.probe(row.model, row.mode)
        model, mode = request.getfixturevalue("pair")
        return self.run.probe(model, mode)


def _id(item: pytest.Item) -> str:
    mark = item.get_closest_marker("requirement")
    if mark is None:
        raise pytest.UsageError(f"{item.nodeid} names no requirement")
    return str(mark.args[0])


def _where(item: pytest.Item) -> tuple[str | None, str | None, str | None]:
    """Model, mode and field of one test, as far as it has them."""
    callspec = getattr(item, "callspec", None)
    values: dict[str, Any] = {} if callspec is None else callspec.params
    if "row" in values:
        row: Row = values["row"]
        return row.model.id, row.mode.id, row.param.name
    if "pair" in values:
        model, mode = values["pair"]
        return model.id, mode.id, values.get("field")
    return None, None, values.get("field")
