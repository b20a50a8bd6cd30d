"""The intermediate representation: what the API is, as frozen values.

Here live the dataclasses that `loader.load` builds and that every reader (emitters, mock, suite) takes. Wire names
stand verbatim. Here live no I/O, no word of any target language and no rule that judges a request.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any, Literal

MediaKind = Literal["image", "video", "audio", "mask"]


class Evidence(StrEnum):
    """How well a fact is known. Only a documented fact may make a request invalid; the others warn."""

    DOCUMENTED = "documented"
    """The provider shows it."""
    INFERRED = "inferred"
    """The provider names the model and mode; the fact comes from a sibling mode or the upstream endpoint."""
    ASSUMED = "assumed"
    """The provider names the model alone; the fact is the upstream endpoint's."""


class Level(StrEnum):
    """How binding a requirement is, in the words of RFC 2119."""

    MUST = "MUST"
    SHOULD = "SHOULD"


@dataclass(frozen=True, slots=True)
class Text:
    """A string; its content is free."""


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""


@dataclass(frozen=True, slots=True)
class Choice:
    """One string of a closed list."""

    of: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Number:
    """A finite JSON number; `5.0` is 5. Both ends of the range belong to it."""

    min: int | float | None
    max: int | float | None
    unit: str | None


@dataclass(frozen=True, slots=True)
class Media:
    """A string: a public https URL or an upload token."""

    media: MediaKind


@dataclass(frozen=True, slots=True)
class ListOf:
    """An array whose items are all of one type."""

    item: Media
    min_items: int | None
    max_items: int | None


@dataclass(frozen=True, slots=True)
class Size:
    """A preset's name, or an object of integer `width` and `height`, in pixels.

    Each side is a multiple of `multiple_of` from `min` to `max`; width : height lies between 1 : max_ratio and
    max_ratio : 1, both included.
    """

    presets: tuple[str, ...]
    multiple_of: int
    min: int
    max: int
    max_ratio: int


Type = Text | Flag | Choice | Number | Media | ListOf | Size
Value = str | bool | int | float
"""What a default may be."""


@dataclass(frozen=True, slots=True)
class Param:
    """One row of a mode's table."""

    name: str
    type: Type
    required: bool
    """As the provider writes it. See `mandatory` for what a request needs."""
    default: Value | None
    evidence: Evidence
    source: str
    """Where the row was read: a URL, or the name of the sibling mode or upstream endpoint."""
    inferred: tuple[str, ...]
    """JSON Schema keywords of this row that are only inferred, whatever the row's own evidence is."""
    gaps: tuple[tuple[str, str], ...]
    """(keyword, entry of gaps.toml) for each keyword that a gap leaves open; the keyword `param` stands for the row."""
    note: str | None

    @property
    def mandatory(self) -> bool:
        """A request without it is refused. A row marked required that also has a default may be left out (GAP-13)."""
        return self.required and self.default is None

    def evidence_of(self, keyword: str) -> Evidence:
        """How well one constraint of this row is known."""
        if keyword in self.inferred and self.evidence is Evidence.DOCUMENTED:
            return Evidence.INFERRED
        return self.evidence

    def gap_of(self, keyword: str) -> str | None:
        """The gap that a constraint of this row rests on. Nothing that rests on a gap fails an implementation."""
        gaps = dict(self.gaps)
        return gaps.get(keyword) or gaps.get("param")


@dataclass(frozen=True, slots=True)
class Mode:
    """One input shape of a model."""

    id: str
    title: str
    evidence: Evidence
    source: str
    upstream: str | None
    """The upstream endpoint that this mode most likely calls."""
    on_wire: bool
    """False where the provider declares no mode: the id is ours, and a request leaves `mode` out."""
    params: tuple[Param, ...]

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)


@dataclass(frozen=True, slots=True)
class Rate:
    """USD a unit, for requests whose effective params equal every pair of `when`."""

    when: tuple[tuple[str, str | bool], ...]
    low: Decimal
    high: Decimal
    """Above `low` where the documentation leaves a range."""
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Price:
    """What a model costs."""

    unit: Literal["second", "image"]
    quantity: str | None
    """The param that counts the units; None where only the provider can know (the length of an uploaded clip)."""
    quantity_evidence: Evidence
    """How well it is known that several units cost several times one."""
    evidence: Evidence
    source: str
    rates: tuple[Rate, ...]
    inferred: tuple[str, ...]
    """Params of `when` whose effect on the price is inferred: what is documented is the range over their values."""
    longest_by: str | None
    longest: tuple[tuple[str, int], ...]
    """Where no param counts the units: the most there can be, by the value of the param `longest_by`."""
    gaps: tuple[str, ...]
    """Entries of gaps.toml that leave the price open."""
    note: str | None


@dataclass(frozen=True, slots=True)
class Model:
    """One model; its first mode is the one a request without `mode` gets."""

    id: str
    name: str
    family: str
    vendor: str
    kind: Literal["video", "image"]
    source: str
    modes_order: Evidence
    """How well the order of the modes, and so the default one, is known."""
    modes: tuple[Mode, ...]
    price: Price | None

    def mode(self, id: str | None) -> Mode | None:
        """The mode of that id; the first one for None, as the API does."""
        if id is None:
            return self.modes[0]
        for mode in self.modes:  # a generator takes three times as long, and the mock asks for every request
            if mode.id == id:
                return mode
        return None


@dataclass(frozen=True, slots=True)
class UploadKind:
    """What may be uploaded for one kind of media."""

    media: MediaKind
    content_types: tuple[str, ...]
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Uploads:
    """How files become media: the tokens that stand for them, and what is taken."""

    token_pattern: str
    before_put_s: int
    """Life of a token before its PUT."""
    after_put_s: int
    """Life of a token after its PUT."""
    kinds: tuple[UploadKind, ...]

    @property
    def token_prefix(self) -> str:
        """What every token begins with: the pattern up to its first class."""
        return self.token_pattern.partition("[")[0]


@dataclass(frozen=True, slots=True)
class Webhook:
    """How the end of a generation is told."""

    header: str
    """Of the signature."""
    retry_after_s: tuple[int, ...]
    """Waits before each retry, counted from the attempt before it."""


@dataclass(frozen=True, slots=True)
class Service:
    """Facts that are neither path nor parameter. Sources stand beside each in service.toml."""

    base_url: str
    documentation_url: str
    documentation_date: str
    key_prefix: str
    generation_prefix: str
    url_pattern: str
    """What an absolute https URL with a host is; ASCII classes only, to be matched whole."""
    requests_per_minute: int
    sync_timeout_s: int
    async_above_s: int
    """The length of a video beyond which the asynchronous way is recommended."""
    output_lifetime_s: int
    uploads: Uploads
    webhook: Webhook

    @property
    def media_pattern(self) -> str:
        """What a media value is: a URL or an upload token, anchored at both ends."""
        return f"^(?:{self.url_pattern}|{self.uploads.token_pattern})$"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One promise of the API that an implementation is held to."""

    id: str
    level: Level
    section: str
    """The section of the provider's documentation that promises it."""
    statement: str
    cost: Literal["free", "billable"]
    needs: tuple[str, ...]
    """Capabilities beyond a URL and a key."""
    gap: str | None
    unverifiable: str | None
    """Why no program can check it; None where one can."""

    @property
    def area(self) -> str:
        return self.id.partition("-")[0]


@dataclass(frozen=True, slots=True)
class Side:
    """What one source says, or does not say."""

    says: str
    source: str
    """A section of the documentation, or a URL."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A place where the documentation contradicts itself or is silent."""

    id: str
    topic: str
    sides: tuple[Side, ...]
    reading: str
    affects: str
    """Whom or what it bears on."""


@dataclass(frozen=True, slots=True)
class Code:
    """One code that a validator's problem may bear."""

    id: str
    means: str
    example: str
    mend: str


@dataclass(frozen=True, slots=True)
class Alias:
    """What another API, or a person, calls a thing of this one. No fact of the API: it serves suggestions alone."""

    name: str
    """In lower-case letters and digits alone, as `fold` of the bindings makes it."""
    means: tuple[str, ...]
    """Names or values of this API, the likeliest first."""


@dataclass(frozen=True, slots=True)
class Aliases:
    """Every alias, by what its meanings are names of."""

    models: tuple[Alias, ...]
    modes: tuple[Alias, ...]
    params: tuple[Alias, ...]
    values: tuple[Alias, ...]
    members: tuple[Alias, ...]
    """Members of the envelope."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request that the provider's documentation shows."""

    id: str
    request: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Vectors:
    """Hand-written truth, as the files of vectors/ have it: it is passed on, and judged by tests alone."""

    requests: tuple[dict[str, Any], ...]
    webhooks: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Spec:
    """All of spec/."""

    models: tuple[Model, ...]
    service: Service
    sections: tuple[str, ...]
    """The headings of the provider's documentation, in its order."""
    requirements: tuple[Requirement, ...]
    gaps: tuple[Gap, ...]
    codes: tuple[Code, ...]
    aliases: Aliases
    examples: tuple[Example, ...]
    vectors: Vectors
    openapi: dict[str, Any]
    """The envelope document as read. Readers that change it work on a copy."""

    def model(self, id: str) -> Model | None:
        for model in self.models:
            if model.id == id:
                return model
        return None

    def requirement(self, id: str) -> Requirement:
        """Raises KeyError for an id that requirements.toml does not hold."""
        for requirement in self.requirements:
            if requirement.id == id:
                return requirement
        raise KeyError(id)
