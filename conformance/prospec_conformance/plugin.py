"""The pytest plugin of the suite: which tests run on which rows, what a test may ask for, and what its end means.

Loaded by `run` alone; it is no entry point, so no other pytest run ever sees it. Here live no checks.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import pytest
from prospec.example import request, smallest_params
from prospec.ir import Level, Mode, Model, Param, Spec
from prospec.schema import pairs

from .control import Control
from .generations import Generations
from .hooks import Hooks
from .implementation import Implementation, NoAnswerError
from .outcome import Inconclusive, Outcome, Verdict, Violation, finding_id
from .probe import Probe, Row, documented_modes, documented_rows, guessed_rows
from .receiver import Receiver
from .spend import SpendingRefusedError, estimate_usd
from .uploads import Uploads

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
    receiver: Receiver | None = None
    """None where the implementation could not reach one."""
    is_slow: bool = False
    """Whether the user lets checks wait for real time."""
    sends_large: bool = True
    """Whether files as large as allowed, and larger, are sent: 200 MB in all."""
    findings: frozenset[str] | None = None
    """The judgements that are to be made again, by their ids; None for all there are."""
    looking_back: set[str] = field(default_factory=set)
    """The requirements that are judged by looking back on the whole run."""

    def probe(self, model: Model, mode: Mode) -> Probe:
        """The one probe of a mode."""
        return self.probes.setdefault((model.id, mode.id), Probe(self.implementation, self.spec, model, mode))

    @property
    def control(self) -> Control | None:
        return self.implementation.control

    def wants(self, need: str) -> str | None:
        """What is missing of a capability that a requirement needs; None where it is there."""
        target = self.implementation.target
        match need:
            case "second-account":
                return None if target.second_api_key else "the key of another account, PROSPOLABS_SECOND_API_KEY"
            case "webhook-secret":
                return None if target.webhook_secret else "the webhook secret, PROSPOLABS_WEBHOOK_SECRET"
            case "webhook-receiver":
                return None if self.receiver else "a public URL of this machine, --webhook-url"
            case "clock" | "control":
                return None if self.control else "a mock of ours that is steered, PROSPEC_MOCK_TOKEN"
            case "slow":
                return None if self.control or self.is_slow else "real time, --slow"
            case _:
                raise ValueError(f"no capability {need!r}")

    def chosen(self, model: Model) -> bool:
        return self.models is None or model.id in self.models

    def modes(self) -> list[tuple[Model, Mode]]:
        """The documented modes that were asked for, the cheapest models first, so that a small ceiling goes far."""
        return [
            (model, mode) for model, mode in _by_price(self.spec, documented_modes(self.spec)) if self.chosen(model)
        ]

    def pairs(self) -> list[tuple[Model, Mode]]:
        """Likewise, and after them the modes that the provider does not name."""
        documented = self.modes()
        others = [pair for pair in pairs(self.spec) if pair not in documented and self.chosen(pair[0])]
        return documented + _by_price(self.spec, others)


def _by_price(spec: Spec, modes: Iterable[tuple[Model, Mode]]) -> list[tuple[Model, Mode]]:
    def cost(pair: tuple[Model, Mode]) -> Decimal:
        model, mode = pair
        return estimate_usd(spec, request(model, mode, smallest_params(mode)))

    return sorted(modes, key=cost)


def requirement(id: str) -> pytest.MarkDecorator:
    """The requirement that a test judges."""
    return pytest.mark.requirement(id)


def rows(choose: Callable[[Param], bool]) -> pytest.MarkDecorator:
    """The test runs once for each row that `choose` picks: the documented ones, and late in the run those that are
    inferred or assumed, unless no examples are asked for."""
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
        if not self._is_wanted(metafunc.definition):
            return  # once is enough to know that there is a check
        if "rows" in marks:
            (choose,) = marks["rows"].args
            order = {(model.id, mode.id): number for number, (model, mode) in enumerate(self.run.pairs())}
            known = [*documented_rows(self.run.spec), *(guessed_rows(self.run.spec) if self.run.examples else ())]
            chosen = [row for row in known if (row.model.id, row.mode.id) in order]
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
        wanted = [item for item in items if self._is_wanted(item) and "NOTSET" not in item.name]
        self.run.looking_back |= {_id(item) for item in wanted if _looks_back(item)}
        if self.run.findings is not None:
            wanted = [item for item in wanted if finding_id(_id(item), *_where(item)) in self.run.findings]
        items[:] = sorted(wanted, key=lambda item: (_looks_back(item), _is_guess(item)))

    def _is_wanted(self, item: pytest.Item) -> bool:
        return self.run.areas is None or _id(item).partition("-")[0] in self.run.areas

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        """Run a test, and take what it or a fixture raised for its verdict.

        pytest's own way makes three reports of each test, which nobody reads: a tenth of a run on a mock.
        """
        fixtures = item.session._setupstate
        try:
            for need in self.run.spec.requirement(_id(item)).needs:
                if missing := self.run.wants(need):
                    raise Inconclusive(f"needs {need}: {missing}")
            fixtures.setup(item)
            item.runtest()
        except Exception as error:
            self._judge(item, error)
        else:
            self._judge(item, None)
        try:
            fixtures.teardown_exact(nextitem)
        except Exception as error:
            self._judge(item, error)
        return True

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

    @pytest.fixture(scope="session")
    def generations(self) -> Generations:
        model, mode = self.run.modes()[0]
        return Generations(self.run.implementation, model, mode)

    @pytest.fixture(scope="session")
    def uploads(self) -> Uploads:
        run = self.run
        return Uploads(run.implementation, run.spec, run.modes(), sends_large=run.sends_large)

    @pytest.fixture(scope="session")
    def receiver(self) -> Receiver:
        """For tests of requirements that need one: there it is never None."""
        assert self.run.receiver is not None
        return self.run.receiver

    @pytest.fixture(scope="session")
    def hooks(self, generations: Generations, receiver: Receiver, spec: Spec) -> Generator[Hooks, None, None]:
        hooks = Hooks(self.run.implementation, generations, receiver, spec.service.webhook.retry_after_s)
        yield hooks
        hooks.close()

    @pytest.fixture(scope="session")
    def control(self) -> Control:
        """For tests of requirements that need it: there it is never None."""
        assert self.run.control is not None
        return self.run.control

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


def _looks_back(item: pytest.Item) -> bool:
    return item.get_closest_marker("last") is not None


def _is_guess(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    row = None if callspec is None else callspec.params.get("row")
    return row is not None and row.is_guess


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
