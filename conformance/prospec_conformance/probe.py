"""Probes one mode of one model: a control that is accepted, and the same request with one thing changed.

Nothing counts before the control: a refusal says something only about a request that differs in one thing from one
that was accepted. Each request is sent once and its answer kept, whoever asks for it. Here live no requirements.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field
from typing import Any

from prospec.example import plain_value, request, smallest_params
from prospec.ir import Evidence, Level, ListOf, Media, Mode, Model, Param, Spec
from prospec.schema import pairs

from .implementation import Exchange, Implementation, NoAnswerError
from .outcome import Inconclusive, Violation
from .plants import ABSENT, Plant, covering, edges, one_of_each, plants
from .samples import SAMPLES
from .spend import WRONGLY_ACCEPTED, SpendingRefusedError


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the catalog, with where it stands."""

    model: Model
    mode: Mode
    param: Param

    @property
    def is_guess(self) -> bool:
        """Whether the row is inferred or assumed."""
        return self.param.evidence is not Evidence.DOCUMENTED

    def level(self, keyword: str) -> Level:
        """How much a broken rule of this row weighs: a MUST is documented, and no gap leaves it open."""
        open_question = self.param.evidence_of(keyword) is not Evidence.DOCUMENTED or self.param.gap_of(keyword)
        return Level.SHOULD if open_question else Level.MUST


def documented_rows(spec: Spec) -> Iterator[Row]:
    """Every row that the provider shows."""
    for model, mode in pairs(spec):
        for param in mode.params:
            if param.evidence is Evidence.DOCUMENTED:
                yield Row(model, mode, param)


def guessed_rows(spec: Spec) -> Iterator[Row]:
    """Every row that the provider does not show, of documented modes and of others."""
    for model, mode in pairs(spec):
        for param in mode.params:
            row = Row(model, mode, param)
            if row.is_guess:
                yield row


def documented_modes(spec: Spec) -> Iterator[tuple[Model, Mode]]:
    """Every mode that the provider names, or of which it shows a row."""
    for model, mode in pairs(spec):
        if Evidence.DOCUMENTED in (mode.evidence, *(param.evidence for param in mode.params)):
            yield model, mode


@dataclass(slots=True)
class Answers:
    """What the faults of one row were answered, as far as they were sent."""

    given: list[tuple[Plant, Exchange]] = field(default_factory=list)
    ended_by: Exception | None = None

    @property
    def was_refused(self) -> bool:
        """Whether any of them was."""
        return any(exchange.refused for _, exchange in self.given)


class Probe:
    """What one mode answers."""

    def __init__(self, implementation: Implementation, spec: Spec, model: Model, mode: Mode) -> None:
        self.implementation = implementation
        self.spec = spec
        self.model = model
        self.mode = mode
        self.rows = [param for param in mode.params if param.evidence is Evidence.DOCUMENTED]
        self.guessed = [param for param in mode.params if param.evidence is not Evidence.DOCUMENTED]
        self.control_params = smallest_params(mode)
        self._control: Exchange | Exception | None = None
        self.smallest: Exchange | None = None
        self._uploaded = False
        self.refused_together: list[Exchange] = []
        """Requests that combined edges, and were refused."""
        self._let_pass = 0
        """Faults of guessed rows that were accepted."""
        self._refusals: dict[str, Answers] = {}
        self._taken: dict[tuple[str, str], Exchange] = {}
        self._covered: set[bool] = set()
        """Whether the shown rows, and the guessed ones, were tried together."""

    @property
    def level(self) -> Level:
        """MUST where the provider shows every row that the control is made of."""
        shown = all(param.evidence is Evidence.DOCUMENTED for param in self.mode.params if param.mandatory)
        return Level.MUST if shown else Level.SHOULD

    def request(self, params: dict[str, Any]) -> dict[str, Any]:
        return request(self.model, self.mode, params)

    @property
    def drawable(self) -> list[Param]:
        """The documented rows, without media where only an upload of ours is accepted."""
        media = (Media, ListOf) if self._uploaded else ()
        return [param for param in self.rows if not isinstance(param.type, media)]

    def control_request(self) -> dict[str, Any]:
        return self.request(self.control_params)

    def control(self) -> Exchange:
        """The answer to the smallest valid request, whatever it is. Sent once."""
        if self._control is None:
            try:
                self._control = self._send_control()
            except NoAnswerError as error:
                # Silence is one finding, of the test that met it; to the others it is a want.
                self._control = Inconclusive(f"the control request: {error}")
                raise
            except (Inconclusive, SpendingRefusedError) as error:
                self._control = error
        if isinstance(self._control, Exception):
            raise self._control
        return self._control

    def _send_control(self) -> Exchange:
        """The smallest request; where it is refused, one with documented media, then one with uploads of ours.

        A mode may need media that its table does not mark required, and a URL may be refused because nothing can be
        fetched from there. Whether the smallest request was accepted stays with `smallest`.
        """
        exchange = self.smallest = self.accept(self.control_params)
        for richer in (self._with_media, self._with_uploads):
            if not exchange.refused:
                break
            params = richer()
            if params is None or params == self.control_params:
                continue
            second = self.accept(params)
            if second.accepted:
                self.control_params, exchange = params, second
                self._uploaded = richer == self._with_uploads
        return exchange

    def _with_media(self) -> dict[str, Any]:
        """The control's params with one item of each documented list of media."""
        lists = [param for param in self.rows if isinstance(param.type, ListOf)]
        return {**{param.name: plain_value(param) for param in lists[:1]}, **self.control_params}

    def _with_uploads(self) -> dict[str, Any] | None:
        """The same with upload tokens in the place of URLs; None where no upload works."""
        params = self._with_media()
        for param in self.mode.params:
            if param.name not in params or not isinstance(param.type, Media | ListOf):
                continue
            media = param.type if isinstance(param.type, Media) else param.type.item
            token = self.implementation.upload(*SAMPLES[media.media])
            if token is None:
                return None
            params[param.name] = token if isinstance(param.type, Media) else [token]
        return params

    def accepted_control(self) -> Exchange:
        """The control's answer, if it was accepted. Raises Inconclusive if not."""
        exchange = self.control()
        if not exchange.accepted:
            raise Inconclusive(f"the control request was answered {exchange.status}")
        return exchange

    def refusals(self, param: Param) -> Answers:
        """Every fault of a row, and the answer to it. Each request differs from the control in that fault alone.

        Of a row that is a guess one fault of each rule, and no more once the first is accepted.
        """
        if param.name not in self._refusals:
            row = Row(self.model, self.mode, param)
            if row.is_guess or self.implementation.ledger.may_spend:
                self.accepted_control()
            answers = self._refusals[param.name] = Answers()
            try:
                for plant in one_of_each(self.spec, param) if row.is_guess else plants(self.spec, param):
                    certain = row.level(plant.code) is Level.MUST
                    if certain or self.implementation.ledger.may_spend:
                        self._plant(row, plant, answers, certain=certain)
                    if row.is_guess and not answers.was_refused:
                        break
            except (SpendingRefusedError, NoAnswerError, Inconclusive) as error:
                # What was answered before the money or the connection ended still counts.
                answers.ended_by = error
        return self._refusals[param.name]

    def _plant(self, row: Row, plant: Plant, answers: Answers, *, certain: bool) -> None:
        if row.is_guess and self._let_pass >= WRONGLY_ACCEPTED:
            raise Inconclusive(f"{WRONGLY_ACCEPTED} faults of guessed rows were accepted; no more are sent")
        exchange = self.refuse(plant.into(self.control_params), certain=certain)
        answers.given.append((plant, exchange))
        self._let_pass += row.is_guess and exchange.accepted

    def refuse(self, params: dict[str, Any], *, certain: bool = True) -> Exchange:
        """The answer to params that should be refused; where that is not certain, they may rightly cost money."""
        return self._twice_if_500(self.request(params), expects_refusal=certain)

    def takes(self, param: Param, value: Any) -> Exchange:
        """The answer to the control with one more value.

        Values of several rows share a request. Where such a request is refused, each of its values is sent by itself.
        """
        self.accepted_control()
        is_guess = Row(self.model, self.mode, param).is_guess
        if is_guess not in self._covered:
            self._covered.add(is_guess)
            self._cover(self.guessed if is_guess else self.drawable)
        key = (param.name, json.dumps(value))
        if key not in self._taken:
            self._taken[key] = self.accept({**self.control_params, param.name: value})
        return self._taken[key]

    def refuses_anything(self) -> bool:
        """Whether something that is wrong was refused in this mode. It is asked for where nothing was sent yet."""
        if not self._refusals:
            rows = self.rows or list(self.mode.params)
            self.refusals(rows[0])
        return any(answers.was_refused for answers in self._refusals.values())

    def _cover(self, rows: list[Param]) -> None:
        settled = [param for param in rows if not param.gap_of("param")]
        for values in covering(settled):
            exchange = self.accept({**self.control_params, **values})
            if exchange.accepted:
                self._taken |= {(name, json.dumps(value)): exchange for name, value in values.items()}
            elif exchange.refused and rows is not self.guessed:
                self.refused_together.append(exchange)

    def accept(self, params: dict[str, Any]) -> Exchange:
        """The answer to params that should be accepted."""
        return self._twice_if_500(self.request(params), expects_refusal=False)

    def _twice_if_500(self, body: dict[str, Any], *, expects_refusal: bool) -> Exchange:
        """A 500 may be a mishap, so it is asked for once more. That is safe: the documentation refunds a 500."""
        exchange = self.implementation.generate(body, expects_refusal=expects_refusal)
        if exchange.status == 500:
            exchange = self.implementation.generate(body, expects_refusal=expects_refusal)
        return exchange


def judge_refusals(probe: Probe, row: Row, judged: Callable[[Plant], bool]) -> None:
    """Every fault that is judged must have been refused. Raises Violation, Inconclusive, or what ended the probing."""
    answers = probe.refusals(row.param)
    if row.is_guess and answers.given and not answers.was_refused:
        settle_inconclusive(answers.given[0][1])
        raise Inconclusive("none of its faults was refused, so the row may not be known here")
    given = [(plant, exchange) for plant, exchange in answers.given if judged(plant)]
    broken = [(plant, exchange) for plant, exchange in given if not exchange.refused and not inconclusive(exchange)]
    if broken:
        shown = "; ".join(f"{_fault(plant)} was answered {exchange.status}" for plant, exchange in broken)
        levels = {row.level(plant.code) for plant, _ in broken}
        level = Level.MUST if Level.MUST in levels else Level.SHOULD
        raise Violation(shown, *(exchange for _, exchange in broken), level=level)
    if answers.ended_by:
        error, answers.ended_by = answers.ended_by, Inconclusive(str(answers.ended_by))
        raise error
    for _, exchange in given:
        settle_inconclusive(exchange)
    if not probe.implementation.ledger.may_spend:
        raise Inconclusive("refused, but nothing was accepted to compare with: needs --max-spend for a control request")


def judge_values(probe: Probe, row: Row, keyword: str) -> None:
    """Every edge of a row must be accepted. Raises Violation or Inconclusive."""
    if not probe.refuses_anything():
        raise Inconclusive("nothing that is wrong was refused in this mode, so it says nothing that this is accepted")
    answers = [(value, probe.takes(row.param, value)) for value in edges(row.param)]
    refused = [(value, exchange) for value, exchange in answers if not exchange.accepted and not inconclusive(exchange)]
    if refused:
        shown = "; ".join(f"{json.dumps(value)} was answered {exchange.status}" for value, exchange in refused)
        raise Violation(shown, *(exchange for _, exchange in refused), level=row.level(keyword))
    for _, exchange in answers:
        settle_inconclusive(exchange)


def inconclusive(exchange: Exchange) -> bool:
    """The answer says nothing about the request: it is about the key, the balance, the pace or the provider."""
    return exchange.status in (401, 403, 408, 429) or exchange.status > 500


def settle_inconclusive(exchange: Exchange, but: Container[int] = ()) -> None:
    """Raises Inconclusive for an answer that says nothing about the request, save those statuses."""
    if inconclusive(exchange) and exchange.status not in but:
        raise Inconclusive(f"answered {exchange.status}, which says nothing about the request")


def _fault(plant: Plant) -> str:
    value = "leaving it out" if plant.value is ABSENT else json.dumps(plant.value)[:120]
    return f"{value} ({plant.code})"
