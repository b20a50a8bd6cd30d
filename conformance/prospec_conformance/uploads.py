"""Uploads that the suite makes: announced, sent and used once, and judged by every check that they bear on.

Here live no expectations. The files are in samples.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prospec.example import request, smallest_params
from prospec.ir import Evidence, ListOf, Media, Mode, Model, Param, Spec

from .implementation import INITIATE, Exchange, Implementation, NoAnswerError
from .once import Once
from .outcome import Inconclusive
from .plants import edges
from .probe import Probe, settle_inconclusive
from .samples import FILES, PUBLIC, SAMPLES, UNLISTED, Padded
from .spend import SpendingRefusedError

EDGE_S = 30.0
"""How far from the end of a lifetime one looks: from which moment it counts is open by some seconds."""
LARGEST_MB_BYTES = 1 << 20
"""A megabyte by its other meaning; the limits of the spec have the smaller one."""
DOCUMENTED_MB_BYTES = 1_000_000
LONG_BYTES = 100_003
"""A file of more than one packet, of a length that no rounding leaves as it is."""
Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Uploaded:
    """One upload, as far as it came."""

    first: Exchange
    """The answer to initiate."""
    second: Exchange | None = None
    """The answer to the PUT; None where there was none, or no place to send the bytes to."""
    sent_bytes: int = 0

    @property
    def is_whole(self) -> bool:
        return self.first.accepted and self.second is not None and self.second.accepted

    @property
    def token(self) -> str:
        """Raises Inconclusive where the answer has none."""
        settle_inconclusive(self.first)
        token = self.first.member("token")
        if not self.first.accepted or not isinstance(token, str) or not token:
            raise Inconclusive(f"no token to go on with: initiate was answered {self.first.status}")
        return token

    @property
    def stored_token(self) -> str:
        """The same, once the file is there too. Raises Inconclusive where it is not."""
        token = self.token
        if self.second is None:
            raise Inconclusive("upload_url is no URL of the API: nothing is sent there")
        if not self.second.accepted:
            raise Inconclusive(f"the PUT was answered {self.second.status}")
        return token


@dataclass(frozen=True, slots=True)
class Misfit:
    """A file that has to be refused sooner or later, as far as it came."""

    upload: Uploaded
    silence: str | None = None
    """What kept the PUT from being answered."""
    used: Exchange | Exception | None = None
    """The answer to a generate request with it, or why there is none. None where it was refused before."""


@dataclass(frozen=True, slots=True)
class Span:
    """When something happened, by the clock of a mock: no sooner and no later."""

    earliest_s: float
    latest_s: float


@dataclass(frozen=True, slots=True)
class Aged:
    """An upload whose bytes were PUT at a chosen moment, and its token shortly before and after the end of its time."""

    upload: Uploaded
    begun: Span
    put: Span
    early: tuple[Exchange, Span] | Exception
    """The answer to a generate request shortly before the end, or why there is none."""
    late: Exchange | Exception


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """Uploads that were PUT at once, late in their hour and after it."""

    at_once: Aged
    late: Aged
    too_late: Exchange


class Uploads:
    """Makes them."""

    def __init__(
        self, implementation: Implementation, spec: Spec, modes: Sequence[tuple[Model, Mode]], *, sends_large: bool
    ) -> None:
        """`modes` are those that files may be used in, the cheapest first."""
        self._implementation = implementation
        self._spec = spec
        self._modes = modes
        self._sends_large = sends_large
        self._once = Once()

    def sample(self, content_type: str) -> Uploaded:
        """The upload of a genuine small file of a documented type, the same for every check."""
        file_name, content = FILES[content_type]
        return self._once(content_type, lambda: self._upload(content_type, file_name, content))

    def samples(self) -> list[Uploaded]:
        """One of each documented type. A type that is met with silence is left out."""
        found = []
        for content_type in FILES:
            try:
                found.append(self.sample(content_type))
            except (Inconclusive, NoAnswerError):
                continue
        return found

    def must_work(self) -> None:
        """Nothing is learned from a refusal where every upload is refused. Raises Inconclusive there."""
        _ = self.sample("image/png").stored_token

    def long(self) -> Uploaded:
        """A picture of `LONG_BYTES`."""
        content_type, file_name, content = SAMPLES["image"]
        return self._once("long", lambda: self._upload(content_type, file_name, Padded(content, LONG_BYTES)))

    def announced(self, kind: str = "image", headers: Headers | None = None) -> Uploaded:
        """A new upload without its bytes."""
        content_type, file_name, _ = SAMPLES[kind]
        return Uploaded(self._implementation.initiate(content_type, file_name, headers))

    def put(self, upload: Uploaded, *, content_type: str | None = None, headers: Headers | None = None) -> Exchange:
        """Sends the bytes of an upload that was announced as a picture, perhaps under another name or as another.

        Raises Inconclusive where there is no place for them.
        """
        own, _, content = SAMPLES["image"]
        _ = upload.token
        exchange = self._implementation.put(upload.first, content_type or own, content, headers)
        if exchange is None:
            raise Inconclusive("upload_url is no URL of the API: nothing is sent there")
        return exchange

    def stored(self, kind: str = "image", headers: Headers | None = None) -> str:
        """The token of a new file. It is new each time: one that was kept may be past its time."""
        content_type, file_name, content = SAMPLES[kind]
        return self._upload(content_type, file_name, content, headers).stored_token

    def twice(self) -> tuple[Uploaded, Uploaded]:
        """Two announcements that say the same."""
        content_type, (file_name, _) = "image/jpeg", FILES["image/jpeg"]

        def make() -> tuple[Uploaded, Uploaded]:
            first, second = (Uploaded(self._implementation.initiate(content_type, file_name)) for _ in range(2))
            return first, second

        return self._once("twice", make)

    def put_nowhere(self) -> Exchange:
        """A PUT to a token that was never minted."""

        def make() -> Exchange:
            content_type, _, content = SAMPLES["image"]
            headers = {**self._implementation.bearer(), "Content-Type": content_type}
            path = f"/v1/uploads/proxy/{made_up_token()}"
            return self._implementation.send("PUT", path, sent=content, headers=headers)

        return self._once("nowhere", make)

    def put_as(self, content_type: str) -> Exchange:
        """A PUT with another content type than that of initiate."""
        return self._once(f"as {content_type}", lambda: self.put(self.announced(), content_type=content_type))

    def put_by(self, name: str, headers: Headers) -> Exchange:
        """A PUT to a token of ours by somebody else, who has a name here."""
        return self._once(f"by {name}", lambda: self.put(self.announced(), headers=headers))

    def initiated(self, name: str, body: object) -> Exchange:
        """The answer to an announcement that is wrong, under a name."""
        return self._once(f"initiate {name}", lambda: self._implementation.send("POST", INITIATE, sent=body))

    def foreign(self) -> str:
        """The token of a file of the second account, the same for every check that is not about time."""
        key = self._implementation.target.second_api_key
        if key is None:
            raise Inconclusive("needs second-account: the key of another account, PROSPOLABS_SECOND_API_KEY")
        return self._once("foreign", lambda: self.stored(headers=self._implementation.bearer(key)))

    # Use

    def place(self, kind: str) -> tuple[Model, Mode, Param]:
        """The cheapest documented row for a kind of media that needs no other media. Raises Inconclusive."""
        for model, mode in self._modes:
            for param in mode.params:
                others = [each for each in mode.params if each.mandatory and each is not param and _media(each)]
                if param.evidence is Evidence.DOCUMENTED and _media(param) == kind and not others:
                    return model, mode, param
        raise Inconclusive(f"no mode that was asked for takes a file of the kind {kind} alone")

    def use(self, token: str, *, kind: str = "image", expects_refusal: bool) -> Exchange:
        """The answer to a generate request with a token. Raises SpendingRefusedError, NoAnswerError, Inconclusive."""
        model, mode, param = self.place(kind)
        value = [token] if isinstance(param.type, ListOf) else token
        body = request(model, mode, {**smallest_params(mode), param.name: value})
        return self._implementation.generate(body, expects_refusal=expects_refusal)

    def used(self, kind: str = "image") -> tuple[str, Exchange]:
        """A token of ours, and the answer to its first use, the same for every check."""

        def make() -> tuple[str, Exchange]:
            self._must_afford()
            token = self.stored(kind)
            return token, self.use(token, kind=kind, expects_refusal=False)

        return self._once(f"used {kind}", make)

    def used_again(self) -> Exchange:
        """The answer to a second request with the same token."""

        def make() -> Exchange:
            token, first = self.used()
            if not first.accepted:
                raise Inconclusive(f"the first request with the token was answered {first.status}")
            return self.use(token, expects_refusal=False)

        return self._once("used again", make)

    def unused(self, name: str, token: Callable[[], str], *, certain: bool = True) -> Exchange:
        """The answer to a request with a token that has no file of ours behind it.

        Where it is not `certain` that it has to be refused, it may rightly cost money.
        """

        def make() -> Exchange:
            if self._implementation.ledger.may_spend:
                self.must_be_useful()
            return self.use(token(), expects_refusal=certain)

        return self._once(f"unused {name}", make)

    def must_be_useful(self, kind: str = "image") -> None:
        """Nothing is learned from the refusal of a token where every token is refused. Raises Inconclusive there."""
        try:
            _, exchange = self.used(kind)
        except SpendingRefusedError:
            raise Inconclusive(
                "refused, but nothing was accepted to compare with: needs --max-spend for a request with a good token"
            ) from None
        settle_inconclusive(exchange)
        if not exchange.accepted:
            raise Inconclusive(f"a request with a good token was answered {exchange.status}")

    def _must_afford(self) -> None:
        """Raises SpendingRefusedError before a file is sent that nothing could be done with."""
        if not self._implementation.ledger.may_spend:
            raise SpendingRefusedError("needs --max-spend: an accepted request costs money")

    # Media params

    def url_in(self, probe: Probe, param: Param) -> Exchange:
        """The answer to a request with a URL in that row; where a made-up one is refused, with that of a public file.

        Raises Inconclusive where the mode accepts nothing.
        """

        def make() -> Exchange:
            exchange = probe.takes(param, edges(param)[0])
            return exchange if exchange.accepted else self._with(probe, param, PUBLIC[_media(param) or ""])

        return self._once(f"URL {_row(probe, param)}", make)

    def token_in(self, probe: Probe, param: Param) -> Exchange:
        """The answer to a request with a token in that row. Raises Inconclusive where the mode accepts nothing."""

        def make() -> Exchange:
            probe.accepted_control()
            return self._with(probe, param, self.stored(_media(param) or ""))

        return self._once(f"token {_row(probe, param)}", make)

    def both_in(self, probe: Probe, param: Param) -> Exchange:
        """The answer to a request with a URL and a token in that row."""
        kind = _media(param) or ""
        return self._once(
            f"both {_row(probe, param)}", lambda: self._with(probe, param, PUBLIC[kind], self.stored(kind))
        )

    def _with(self, probe: Probe, param: Param, *items: str) -> Exchange:
        """The answer to the mode's control with those items in a row, and new tokens where it has tokens."""
        params = dict(probe.control_params)
        for other in probe.mode.params:
            kind, value = _media(other), params.get(other.name)
            first = value[0] if isinstance(value, list) and value else value
            if kind is not None and isinstance(first, str) and "://" not in first and other is not param:
                token = self.stored(kind)
                params[other.name] = [token] if isinstance(value, list) else token
        value = list(items) if isinstance(param.type, ListOf) else items[0]
        return probe.accept({**params, param.name: value})

    # Misfits

    def unlisted(self, content_type: str) -> Misfit:
        """A file of a type that cannot be uploaded."""
        kind, file_name, content = UNLISTED[content_type]
        return self._once(content_type, lambda: self._misfit(kind, content_type, file_name, content))

    def largest(self, kind: str) -> Uploaded:
        """A file that is as large as one of its kind may be. Raises Inconclusive where large files are not sent."""
        content_type, file_name, content = self._large(kind, of_those=0)
        size = self._limit_bytes(kind)
        return self._once(f"largest {kind}", lambda: self._upload(content_type, file_name, Padded(content, size)))

    def too_large(self, kind: str) -> Misfit:
        """A file that is too large by either meaning of MB. Raises Inconclusive where large files are not sent."""
        content_type, file_name, content = self._large(kind, of_those=-1)
        size = self._limit_bytes(kind) // DOCUMENTED_MB_BYTES * LARGEST_MB_BYTES + 1
        padded = Padded(content, size)
        return self._once(f"too large {kind}", lambda: self._misfit(kind, content_type, file_name, padded))

    def _limit_bytes(self, kind: str) -> int:
        return next(each.max_bytes for each in self._spec.service.uploads.kinds if each.media == kind)

    def _large(self, kind: str, of_those: int) -> tuple[str, str, bytes]:
        """A type of that kind, of those that are taken in small, with a small file."""
        if not self._sends_large:
            raise Inconclusive("large files were not asked for")
        types = next(each.content_types for each in self._spec.service.uploads.kinds if each.media == kind)
        taken = [type for type in types if self.sample(type).is_whole]
        if not taken:
            raise Inconclusive("not even a small file was taken")
        return taken[of_those], *FILES[taken[of_those]]

    def _misfit(self, kind: str, content_type: str, file_name: str, content: bytes | Padded) -> Misfit:
        self.must_work()
        upload = Uploaded(self._implementation.initiate(content_type, file_name))
        if not upload.first.accepted:
            return Misfit(upload)
        silence = None
        try:
            upload = self._sent(upload.first, content_type, content)
        except NoAnswerError as error:
            # Who refuses a large body before it has ended may close the connection on it.
            silence = str(error)
        if silence is None and not upload.is_whole:
            return Misfit(upload)
        try:
            return Misfit(upload, silence, self.use(upload.token, kind=kind, expects_refusal=True))
        except (Inconclusive, SpendingRefusedError, NoAnswerError) as error:
            return Misfit(upload, silence, error)

    def _upload(
        self, content_type: str, file_name: str, content: bytes | Padded, headers: Headers | None = None
    ) -> Uploaded:
        first = self._implementation.initiate(content_type, file_name, headers)
        return self._sent(first, content_type, content, headers)

    def _sent(
        self, first: Exchange, content_type: str, content: bytes | Padded, headers: Headers | None = None
    ) -> Uploaded:
        return Uploaded(first, self._implementation.put(first, content_type, content, headers), len(content))

    # Time

    def lifetimes(self) -> Lifetimes:
        """On a mock: what becomes of uploads and tokens at the end of their time. Its clock moves by 25 hours."""
        return self._once("lifetimes", self._lifetimes)

    def _lifetimes(self) -> Lifetimes:
        self.must_work()
        terms = self._spec.service.uploads
        at_once, late, too_late = (self._timed(self.announced) for _ in range(3))
        at_once_put = self._timed(lambda: self.put(at_once[0]))
        self._until(late[1].earliest_s + terms.before_put_s - EDGE_S)
        late_put = self._timed(lambda: self.put(late[0]))
        self._until(too_late[1].latest_s + terms.before_put_s + EDGE_S)
        refused = self.put(too_late[0])
        return Lifetimes(self._aged(*at_once, *at_once_put), self._aged(*late, *late_put), refused)

    def _aged(self, announced: Uploaded, begun: Span, second: Exchange, put: Span) -> Aged:
        upload = Uploaded(announced.first, second)
        if not second.accepted:
            error = Inconclusive(f"the PUT was answered {second.status}")
            return Aged(upload, begun, put, error, error)
        after_s = self._spec.service.uploads.after_put_s
        self._until(put.earliest_s + after_s - EDGE_S)
        early: tuple[Exchange, Span] | Exception
        late: Exchange | Exception
        try:
            early = self._timed(lambda: self.use(upload.token, expects_refusal=False))
        except (SpendingRefusedError, Inconclusive, NoAnswerError) as error:
            early = error
        self._until(put.latest_s + after_s + EDGE_S)
        try:
            late = self.use(upload.token, expects_refusal=True)
        except (SpendingRefusedError, Inconclusive, NoAnswerError) as error:
            late = error
        return Aged(upload, begun, put, early, late)

    def _timed(self, make: Callable[[], Any]) -> tuple[Any, Span]:
        earliest_s = self._now_s()
        made = make()
        return made, Span(earliest_s, self._now_s())

    def _now_s(self) -> float:
        control = self._implementation.control
        assert control is not None, "the plugin skips what needs a clock"
        return control.now_s()

    def _until(self, moment_s: float) -> None:
        control = self._implementation.control
        assert control is not None, "the plugin skips what needs a clock"
        control.advance(max(0.0, moment_s - control.now_s()))


def made_up_token() -> str:
    """One of the documented form, that nobody has."""
    return f"pl-upload-{secrets.token_hex(16)}"


def near(token: str) -> str:
    """One that differs from it in the last sign alone."""
    return token[:-1] + ("0" if token[-1] != "0" else "1")


def _media(param: Param) -> str | None:
    """The kind of media that a row takes; None for a row of another type."""
    match param.type:
        case Media(media) | ListOf(Media(media), _, _):
            return media
        case _:
            return None


def _row(probe: Probe, param: Param) -> str:
    return f"{probe.model.id} {probe.mode.id} {param.name}"
