"""Generations whose events the suite receives: asked for once, and judged by every check that they bear on.

Here live no expectations but the tolerances by which a time is judged, and no signature.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, repeat

from .generations import ENDS, FIRST_WAIT_S, LONGEST_S, LONGEST_WAIT_S, Generations, Observed
from .implementation import Exchange, Implementation, NoAnswerError
from .once import Once
from .outcome import Inconclusive
from .receiver import Answer, Arrival, Mailbox, Receiver
from .spend import SpendingRefusedError, amount

GRACE_S = 120.0
"""How long an event may take once its generation has ended. Nothing is promised; a queue that is slow is no breach."""
ALONE_S = 180.0
"""How long an event is waited for, before GRACE_S, where no other generation shows how long one takes."""
AFTER_POLL_S = 60.0
"""How long an event is waited for once the end was polled; by a mock's clock, where it costs nothing, an hour."""
EARLY_S, LATE_S = 5.0, 15.0
"""What is allowed an interval in real time: it may run from the end of an attempt, and senders work in rounds."""
CLOCK_EARLY_S, CLOCK_LATE_S = 0.1, 1.0
"""The same by a mock's clock, which stands still beside what it is told; what passes by itself meanwhile is known."""
AFTER_LAST_S = 12 * 3600.0
"""How long nothing may come after the last retry: another step of this ladder would take 6 hours or 12."""
STEPS_S = (1.0, 1.0, 1.0, 2.0, 15.0, 60.0)
"""Of a mock's clock while an end is waited for; the last for all that follow. Our generations take two seconds."""
OUTCOME = "slow=2"

LADDER = "500"
"""The receiver that accepts nothing, and whose every retry is timed."""
ANSWERS: Mapping[str, tuple[Answer, ...]] = {
    "201": (201,),
    "202": (202,),
    "204": (204,),
    "299": (299,),
    "400": (400, 200),
    "401": (401, 200),
    "404": (404, 200),
    "410": (410, 200),
    "503": (503, 200),
    "302": ("redirect", 200),
    "no answer": ("reset", 200),
    "nobody there": (200,),
    "accepted at last": (500, 500, 204),
    LADDER: (500,),
}
"""What each receiver of the climb answers, by a name of it."""
IN_REAL_TIME: Mapping[str, tuple[Answer, ...]] = {
    "204": (204,),
    "404": (404, 200),
    "302": ("redirect", 200),
    "no answer": ("reset", 200),
    LADDER: (500, 200),
}
"""The same where each generation may cost money, and nobody waits for more than the first retry."""


@dataclass(slots=True, eq=False)
class Told:
    """One generation, and where its event goes."""

    observed: Observed
    mailbox: Mailbox
    ids: set[str]
    """The ids of all generations that were asked for with a receiver."""
    on_arrival: Exchange | None = None
    """Its state when its first event had just come."""
    asked_before: bool = False
    """Whether it was polled before its first event came."""
    marks: list[tuple[float, int]] = field(default_factory=list)
    """Moments of the target's clock, and how many deliveries had come by then; empty where time passes by itself."""

    @property
    def events(self) -> tuple[Arrival, ...]:
        """The POSTs that came, without those that name another of our generations."""
        return tuple(each for each in self.mailbox.arrivals if each.method == "POST" and not self._is_stray(each))

    @property
    def strays(self) -> tuple[Arrival, ...]:
        """Those that name another of our generations."""
        return tuple(each for each in self.mailbox.arrivals if self._is_stray(each))

    def _is_stray(self, arrival: Arrival) -> bool:
        named = arrival.member("generation_id")
        return isinstance(named, str) and named != self.observed.id and named in self.ids

    def interval_s(self, retry: int) -> tuple[float, float]:
        """At least and at most how long after the attempt before it a retry came, 1 for the first. Raises IndexError
        where it did not."""
        before, after = (self.mailbox.arrivals.index(self.events[number]) for number in (retry - 1, retry))
        (low, high), (then_low, then_high) = self.came_between(before), self.came_between(after)
        return then_low - high, then_high - low

    def came_between(self, index: int) -> tuple[float, float]:
        """Between which moments a delivery came."""
        if not self.marks:
            at = self.mailbox.arrivals[index].at
            return at, at
        low = max((at for at, count in self.marks if count <= index), default=self.marks[0][0])
        high = min((at for at, count in self.marks if count > index), default=self.marks[-1][0])
        return low, high


@dataclass(frozen=True, slots=True)
class Refunded:
    """A generation that fails, with the balance around it."""

    told: Told
    before_usd: Decimal | None
    """Before the request; None where the answer had none."""
    on_arrival_usd: Decimal | None
    """When the event had just come."""


class Hooks:
    """Makes and watches them."""

    def __init__(
        self,
        implementation: Implementation,
        generations: Generations,
        receiver: Receiver,
        retry_after_s: tuple[float, ...],
    ) -> None:
        """`retry_after_s` are the documented waits before each retry."""
        self.retry_after_s = retry_after_s
        self._implementation = implementation
        self._control = implementation.time
        self._generations = generations
        self._receiver = receiver
        self._once = Once()
        self._told: list[Told] = []
        self._ids: set[str] = set()
        self._absent: Receiver | None = None

    def close(self) -> None:
        if self._absent is not None:
            self._absent.close()

    @property
    def by_clock(self) -> bool:
        """Whether the target's time is ours to move."""
        return self._control is not None

    def heard(self) -> list[tuple[Told, Arrival]]:
        """Every event that has come so far, at least that of one generation. Raises Inconclusive if there is none."""
        self.delivered()
        return [(told, arrival) for told in self._told for arrival in told.events]

    # One generation that nobody polls, and one beside it

    def first(self) -> Told:
        """A generation that nobody polled before its event came, or should have come."""
        first: Told = self._once("first", self._tell)
        self._once("first has ended", lambda: self._await_unpolled(first, self._twin()))
        return first

    def second(self) -> Told:
        """Another one, asked for at the same time. Raises Inconclusive or SpendingRefusedError if there is none."""
        first = self.first()
        second: Told = self._once("second", self._tell)
        if first.events:  # where none came to the first, this one has waited as long
            self._once("second has ended", lambda: self._await_polled(second))
        return second

    def delivered(self) -> Told:
        """The first, with its event. Raises Inconclusive where none came."""
        told = self.first()
        if not told.events:
            raise Inconclusive("no event came (HOOK-01)")
        return told

    def completed(self) -> tuple[Told, Arrival, Exchange]:
        """The first, its event, and how polling shows it. Raises Inconclusive if it did not complete."""
        told = self.delivered()
        end = self._generations.finish(told.observed)
        if end.member("status") != "completed":
            raise Inconclusive("the generation failed")
        return told, told.events[0], end

    def _twin(self) -> Told | None:
        try:
            return self._once("second", self._tell)
        except (Inconclusive, SpendingRefusedError, NoAnswerError):
            return None

    def _await_unpolled(self, told: Told, twin: Told | None) -> None:
        """Until its event has come. How long that may take is seen by the twin, which is polled."""
        waited_s, deadline_s, runs = 0.0, ALONE_S if twin is None else LONGEST_S, twin is not None
        for wait_s in self._waits():
            if told.mailbox.arrivals or waited_s >= deadline_s:
                break
            self._pass(told, wait_s)
            waited_s += wait_s
            if twin is not None and runs and not self._still_runs(twin):
                runs, deadline_s = False, 2 * waited_s + GRACE_S
        if told.mailbox.arrivals:
            told.on_arrival = self._generations.poll(told.observed)
            return
        told.asked_before = True
        self._await_polled(told)

    def _still_runs(self, twin: Told) -> bool:
        exchange = self._generations.poll(twin.observed)
        return exchange.accepted and exchange.member("status") not in ENDS

    def _await_polled(self, told: Told) -> None:
        self._generations.finish(told.observed)
        if not told.mailbox.arrivals:
            self._pass(told, 3600.0 if self.by_clock else AFTER_POLL_S)

    def _waits(self) -> Iterator[float]:
        """How long to wait each time, without end."""
        if self.by_clock:
            yield from chain(STEPS_S, repeat(STEPS_S[-1]))
        wait_s = FIRST_WAIT_S
        while True:
            yield wait_s
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    # One that fails

    def failed(self) -> Refunded:
        """A generation of a mock that fails. Raises Inconclusive where no event at all comes from this target."""
        self.delivered()
        return self._once("failed", self._fail)

    def _fail(self) -> Refunded:
        before_usd = amount(self._implementation.balance().member("balance_usd"))
        told = self._tell(outcome=f"{OUTCOME} fail")
        for wait_s in (*STEPS_S, GRACE_S):
            if told.mailbox.arrivals:
                told.on_arrival = self._generations.poll(told.observed)
                after_usd = amount(self._implementation.balance().member("balance_usd"))
                return Refunded(told, before_usd, after_usd)
            self._pass(told, wait_s)
        told.asked_before = True
        self._await_polled(told)
        return Refunded(told, before_usd, None)

    # Receivers that answer otherwise than 200

    def climb(self) -> Mapping[str, Told | Exception]:
        """Deliveries to receivers of every kind, by the names of `ANSWERS`, watched until nothing more is to come.

        In real time they are watched until the first retry has come or is overdue. What stands for one that could not
        be made is why.
        """
        self.delivered()
        return self._once("climb", self._climb)

    def climbed(self, name: str) -> Told:
        """The delivery of that name, which has reached its receiver. Raises what stands for it, or Inconclusive."""
        told = self.climb().get(name, Inconclusive("asked of a mock alone"))
        if isinstance(told, Exception):
            raise told
        if not told.events:
            raise Inconclusive("no event came to be answered")
        return told

    def ladder(self) -> list[Told]:
        """All deliveries that came more than once."""
        found = [told for told in self.climb().values() if isinstance(told, Told) and len(told.events) > 1]
        if not found:
            raise Inconclusive("nothing was sent a second time")
        return found

    def _climb(self) -> Mapping[str, Told | Exception]:
        made: dict[str, Told | Exception] = {}
        for name, answers in (ANSWERS if self.by_clock else IN_REAL_TIME).items():
            try:
                made[name] = self._begin(name, answers)
            except NoAnswerError as error:
                made[name] = Inconclusive(str(error))
            except (Inconclusive, SpendingRefusedError) as error:
                made[name] = error
        under_way = [told for told in made.values() if isinstance(told, Told)]
        if under_way and self.by_clock:
            self._climb_by_clock(under_way[-1])
        elif under_way:
            self._climb_in_real_time(under_way)
        return made

    def _begin(self, name: str, answers: tuple[Answer, ...]) -> Told:
        receiver = self._receiver
        if name == "nobody there":
            receiver = self._absent = Receiver(is_open=False)
        marks = [(self._now(), 0)] if self.by_clock and name == LADDER else []
        told = self._tell(receiver.mailbox(*answers), outcome="slow=0")
        told.marks += marks
        return told

    def _climb_by_clock(self, told: Told) -> None:
        """Moves the clock from each retry of one delivery to the next, and sees what has come before, at, and after."""
        self._advance(told, 0.0)
        if self._absent is not None:
            self._absent.open()
        for wait_s in self.retry_after_s:
            count = len(told.mailbox.arrivals)
            low, high = told.came_between(count - 1) if count else (self._now(), self._now())
            # Short of it; just past it; late; and, to see how late, far beyond.
            moments = (low + wait_s - 0.6, high + wait_s + 0.3, high + wait_s + 2, high + 4 * wait_s)
            for moment in moments:
                self._advance(told, max(0.0, moment - self._now()))
                if len(told.mailbox.arrivals) > count:
                    break
        self._advance(told, AFTER_LAST_S)

    def _advance(self, told: Told, seconds: float) -> None:
        assert self._control is not None
        now = self._control.advance(seconds)
        told.marks.append((now, len(told.mailbox.arrivals)))

    def _climb_in_real_time(self, under_way: list[Told]) -> None:
        first = self.delivered()
        took_s = first.events[0].at - first.observed.answered_at
        deadline = time.monotonic() + 2 * took_s + GRACE_S
        for told in under_way:
            told.mailbox.wait(1, deadline - time.monotonic())
        patience_s = self.retry_after_s[0] + LATE_S
        for told in under_way:
            came = told.mailbox.arrivals
            if came:
                told.mailbox.wait(2, came[0].at + patience_s - time.time())
        # Whoever should hear nothing more is listened to for as long.
        last_at = max((told.mailbox.arrivals[0].at for told in under_way if told.mailbox.arrivals), default=0.0)
        time.sleep(max(0.0, last_at + patience_s - time.time()))

    # Common to all

    def _tell(self, mailbox: Mailbox | None = None, outcome: str = OUTCOME) -> Told:
        """Asks for a generation. Raises Inconclusive where none was started."""
        mailbox = mailbox or self._receiver.mailbox()
        observed = self._generations.start(self._generations.request(webhook_url=mailbox.url), outcome=outcome)
        told = Told(observed, mailbox, self._ids)
        self._ids.add(observed.id)
        self._told.append(told)
        return told

    def _pass(self, told: Told, seconds: float) -> None:
        """Lets that time pass, or less where something comes."""
        if self._control is not None:
            self._control.advance(seconds)
        else:
            told.mailbox.wait(len(told.mailbox.arrivals) + 1, seconds)

    def _now(self) -> float:
        return time.time() if self._control is None else self._control.now_s()
