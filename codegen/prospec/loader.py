"""The only reader of spec/: files in, one `Spec` out.

Shape is checked by the JSON Schemas of spec/schema, meaning by the code here. Every problem of every file is
collected, and one `SpecError` raised. Here live no rule that judges a request and nothing that writes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, cast

from .ir import (
    Choice,
    Evidence,
    Example,
    Flag,
    Gap,
    Level,
    ListOf,
    Media,
    Mode,
    Model,
    Number,
    Param,
    Price,
    Rate,
    Requirement,
    Service,
    Size,
    Spec,
    Text,
    Type,
    UploadKind,
    Uploads,
    Value,
    Webhook,
)

KEYS: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "text": (frozenset(), frozenset()),
    "flag": (frozenset(), frozenset()),
    "choice": (frozenset({"of"}), frozenset()),
    "number": (frozenset(), frozenset({"min", "max", "unit"})),
    "media": (frozenset({"media"}), frozenset()),
    "list": (frozenset({"media"}), frozenset({"min_items", "max_items"})),
    "size": (frozenset({"presets", "multiple_of", "min", "max", "max_ratio"}), frozenset()),
}
"""For each type of a row: the keys that it needs and those that it may have, beside the ones every row has."""
EVERY_ROW = frozenset({"type", "required", "default", "evidence", "source", "inferred", "gaps", "note"})


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with the spec."""

    file: str
    where: str
    message: str

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.where, self.message) if part)


class SpecError(Exception):
    """The spec is broken. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: list[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in problems))


def spec_root() -> Path:
    """The spec folder that a wheel ships, else the checkout's."""
    here = Path(__file__).resolve().parent
    shipped = here / "_spec"
    return shipped if shipped.is_dir() else here.parents[1] / "spec"


def load(root: Path | None = None) -> Spec:
    """Read a spec folder, by default the one that came with this package.

    Raises SpecError with every problem found; OSError never reaches the caller.
    """
    root = spec_root() if root is None else root
    found = _Problems()
    reader = _Reader(root, found)
    service = reader.toml("service.toml", "service")
    gaps = reader.toml("gaps.toml", "gaps")
    requirements = reader.toml("requirements.toml", "requirements")
    paths = sorted((root / "models").glob("*.toml"), key=lambda path: path.stem)
    if not paths:
        found.add("models", "", "no model: expected one <id>.toml for each")
    raw_models = {path: reader.toml(f"models/{path.name}", "model") for path in paths}
    openapi = reader.yaml("openapi.yaml")
    examples = tuple(
        Example(path.stem, reader.json(f"examples/{path.name}")) for path in sorted((root / "examples").glob("*.json"))
    )
    if found.problems:
        raise SpecError(found.problems)

    spec = Spec(
        models=tuple(_model(raw, service["documentation"]["url"], found) for raw in raw_models.values()),
        service=_service(service, found),
        requirements=tuple(_requirement(raw) for raw in requirements["requirements"]),
        gaps=tuple(Gap(raw["id"], raw["topic"], tuple(raw["sides"]), raw["reading"]) for raw in gaps["gaps"]),
        examples=examples,
        openapi=openapi,
    )
    for path, model in zip(paths, spec.models, strict=True):
        if path.stem != model.id:
            found.add(f"models/{path.name}", "id", f"is {model.id!r}, expected the file's name, {path.stem!r}")
    for problem in _meaning(spec):
        found.problems.append(problem)
    if found.problems:
        raise SpecError(found.problems)
    return spec


@dataclass(slots=True)
class _Problems:
    problems: list[Problem] = field(default_factory=list)

    def add(self, file: str, where: str, message: str) -> None:
        self.problems.append(Problem(file, where, message))


class _Reader:
    """Reads one file at a time and checks its shape; what cannot be read becomes a problem and an empty mapping."""

    def __init__(self, root: Path, found: _Problems) -> None:
        self.root = root
        self.found = found

    def toml(self, name: str, schema: str) -> dict[str, Any]:
        text = self._text(name)
        if text is None:
            return {}
        try:
            value = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            self.found.add(name, "", f"not TOML: {error}")
            return {}
        self._shape(name, value, schema)
        return value

    def json(self, name: str) -> dict[str, Any]:
        text = self._text(name)
        if text is None:
            return {}
        try:
            value = json.loads(text)
        except ValueError as error:
            self.found.add(name, "", f"not JSON: {error}")
            return {}
        if not isinstance(value, dict):
            self.found.add(name, "", "expected a JSON object")
            return {}
        return value

    def yaml(self, name: str) -> dict[str, Any]:
        """YAML 1.2, so that 16:9 stays text; the last of two equal keys is refused, not taken."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError

        text = self._text(name)
        if text is None:
            return {}
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except (YAMLError, ValueError) as error:
            self.found.add(name, "", f"not YAML 1.2: {error}")
            return {}
        if not isinstance(value, dict):
            self.found.add(name, "", "expected a mapping")
            return {}
        return value

    def _text(self, name: str) -> str | None:
        try:
            return (self.root / name).read_text(encoding="utf-8")
        except OSError as error:
            self.found.add(name, "", f"cannot be read: {error.strerror}")
        except UnicodeDecodeError as error:
            self.found.add(name, "", f"not UTF-8: byte {error.start}")
        return None

    def _shape(self, name: str, value: dict[str, Any], schema: str) -> None:
        from jsonschema import Draft202012Validator

        validator = Draft202012Validator(json.loads((spec_root() / "schema" / f"{schema}.json").read_text("utf-8")))
        for error in sorted(validator.iter_errors(value), key=lambda error: [str(part) for part in error.path]):
            self.found.add(name, ".".join(str(part) for part in error.path), error.message)


def _service(raw: dict[str, Any], found: _Problems) -> Service:
    uploads, webhook = raw["uploads"], raw["webhook"]
    for where, pattern in (("url_pattern", raw["url_pattern"]), ("uploads.token_pattern", uploads["token_pattern"])):
        try:
            re.compile(pattern)
        except re.error as error:
            found.add("service.toml", where, f"not a regular expression: {error}")
    return Service(
        base_url=raw["base_url"],
        documentation_url=raw["documentation"]["url"],
        documentation_date=raw["documentation"]["date"],
        key_prefix=raw["key_prefix"],
        generation_prefix=raw["generation_prefix"],
        url_pattern=raw["url_pattern"],
        requests_per_minute=raw["requests_per_minute"],
        sync_timeout_s=raw["sync_timeout_s"],
        output_lifetime_s=raw["output_lifetime_s"],
        uploads=Uploads(
            token_pattern=uploads["token_pattern"],
            before_put_s=uploads["before_put_s"],
            after_put_s=uploads["after_put_s"],
            kinds=tuple(
                UploadKind(kind["media"], tuple(kind["content_types"]), kind["max_bytes"]) for kind in uploads["kinds"]
            ),
        ),
        webhook=Webhook(webhook["header"], tuple(webhook["retry_after_s"])),
    )


def _requirement(raw: dict[str, Any]) -> Requirement:
    return Requirement(
        id=raw["id"],
        level=Level(raw["level"]),
        section=raw["section"],
        statement=raw["statement"],
        cost=raw["cost"],
        needs=tuple(raw.get("needs", ())),
        gap=raw.get("gap"),
    )


def _model(raw: dict[str, Any], docs: str, found: _Problems) -> Model:
    file = f"models/{raw['id']}.toml"
    if raw["source"] == "page" and "page" not in raw:
        found.add(file, "page", "missing, and the source is the page")
    sources = {"docs": docs, "page": raw.get("page", docs)}
    price = raw.get("price")
    return Model(
        id=raw["id"],
        name=raw["name"],
        family=raw["family"],
        vendor=raw["vendor"],
        kind=raw["kind"],
        source=sources[raw["source"]],
        modes_order=Evidence(raw["modes_order"]),
        modes=tuple(_mode(mode, sources, file, found) for mode in raw["modes"]),
        price=price
        and Price(
            unit=price["unit"],
            quantity=price.get("quantity"),
            evidence=Evidence(price["evidence"]),
            source=sources[price["source"]],
            rates=tuple(Rate(tuple(rate["when"].items()), Decimal(rate["usd"])) for rate in price["rates"]),
            note=price.get("note"),
        ),
    )


def _mode(raw: dict[str, Any], sources: dict[str, str], file: str, found: _Problems) -> Mode:
    sources = {**sources, "upstream": f"upstream {raw.get('upstream', 'endpoint')}"}
    return Mode(
        id=raw["id"],
        title=raw["title"],
        evidence=Evidence(raw["evidence"]),
        source=sources[raw["source"]],
        upstream=raw.get("upstream"),
        on_wire=raw.get("on_wire", True),
        params=tuple(
            _param(name, row, sources, partial(found.add, file, f"modes.{raw['id']}.params.{name}"))
            for name, row in raw["params"].items()
        ),
    )


def _param(name: str, row: dict[str, Any], sources: dict[str, str], add: Callable[[str], None]) -> Param:
    needed, allowed = KEYS[row["type"]]
    for key in sorted(needed - row.keys()):
        add(f"a {row['type']} needs {key!r}")
    for key in sorted(row.keys() - needed - allowed - EVERY_ROW):
        add(f"a {row['type']} has no {key!r}")
    return Param(
        name=name,
        type=_type(row),
        required=row.get("required", False),
        default=cast("Value | None", row.get("default")),
        evidence=Evidence(row["evidence"]),
        source=str(sources.get(row["source"], row["source"])),
        inferred=tuple(row.get("inferred", ())),
        gaps=tuple(row.get("gaps", {}).items()),
        note=row.get("note"),
    )


def _type(row: dict[str, Any]) -> Type:
    """The type of a row. A key that is missing has been reported already, so any value serves here."""
    match row["type"]:
        case "text":
            return Text()
        case "flag":
            return Flag()
        case "choice":
            return Choice(tuple(row.get("of", ())))
        case "number":
            return Number(row.get("min"), row.get("max"), row.get("unit"))
        case "media":
            return Media(row.get("media", "image"))
        case "list":
            return ListOf(Media(row.get("media", "image")), row.get("min_items"), row.get("max_items"))
        case "size":
            return Size(
                tuple(row.get("presets", ())),
                row.get("multiple_of", 1),
                row.get("min", 1),
                row.get("max", 1),
                row.get("max_ratio", 1),
            )
        case other:
            raise ValueError(other)


def _meaning(spec: Spec) -> Iterator[Problem]:
    """What no schema can say: names that refer to one another, and values that contradict."""
    gaps = {gap.id for gap in spec.gaps}
    yield from _twice("gaps.toml", [gap.id for gap in spec.gaps])
    yield from _twice("requirements.toml", [requirement.id for requirement in spec.requirements])
    for requirement in spec.requirements:
        if requirement.gap is None:
            continue
        if requirement.gap not in gaps:
            yield Problem("requirements.toml", requirement.id, f"gap {requirement.gap} is not in gaps.toml")
        if requirement.level is Level.MUST:
            yield Problem("requirements.toml", requirement.id, f"is a MUST and rests on {requirement.gap}: use SHOULD")
    for model in spec.models:
        file = f"models/{model.id}.toml"
        yield from _twice(file, [mode.id for mode in model.modes])
        names = {param.name for mode in model.modes for param in mode.params}
        if model.price:
            for name in [name for rate in model.price.rates for name, _ in rate.when] + [model.price.quantity or ""]:
                if name and name not in names:
                    yield Problem(file, "price", f"no mode of this model has a param {name!r}")
        for mode in model.modes:
            for param in mode.params:
                where = f"modes.{mode.id}.params.{param.name}"
                yield from (Problem(file, where, message) for message in _row(param))
                if param.source.startswith("mode:"):
                    sibling = model.mode(param.source.removeprefix("mode:"))
                    if sibling is None or sibling is mode or sibling.param(param.name) is None:
                        yield Problem(file, where, f"source {param.source!r}: no other mode of that id has this param")
                for keyword, gap in param.gaps:
                    if gap not in gaps:
                        yield Problem(file, where, f"gap {gap} of {keyword!r} is not in gaps.toml")


def _row(param: Param) -> Iterator[str]:
    default = param.default
    match param.type:
        case Number(low, high, _):
            if low is not None and high is not None and low > high:
                yield f"min {low} is above max {high}"
            if default is None:
                return
            if isinstance(default, bool | str):
                yield f"default {default!r} is not a number"
            elif (low is not None and default < low) or (high is not None and default > high):
                yield f"default {default} is outside {low} to {high}"
        case Choice(of) | Size(presets=of):
            if default is not None and default not in of:
                yield f"default {default!r} is not one of {', '.join(of)}"
            if isinstance(param.type, Size) and param.type.min > param.type.max:
                yield f"min {param.type.min} is above max {param.type.max}"
        case Flag():
            if default is not None and not isinstance(default, bool):
                yield f"default {default!r} is neither true nor false"
        case Text() | Media():
            if default is not None and not isinstance(default, str):
                yield f"default {default!r} is not a string"
        case ListOf(_, low_items, high_items):
            if default is not None:
                yield "a list takes no default"
            if low_items is not None and high_items is not None and low_items > high_items:
                yield f"min_items {low_items} is above max_items {high_items}"


def _twice(file: str, ids: list[str]) -> Iterator[Problem]:
    for id in sorted({id for id in ids if ids.count(id) > 1}):
        yield Problem(file, id, "stands twice; ids are unique")
