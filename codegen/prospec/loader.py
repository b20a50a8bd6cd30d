"""The only reader of spec/: files in, one `Spec` out.

Shape is checked by the JSON Schemas of spec/schema, meaning by the code here. Every problem of every file is
collected, and one `SpecError` raised. Here live no rule that judges a request and nothing that writes.
"""

from __future__ import annotations

import json
import math
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
from .schema import pairs, type_name

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
KEYWORDS = frozenset(
    {"param", "required", "type", "enum", "minimum", "maximum", "minItems", "maxItems", "multipleOf", "media", "size"}
)
"""What `inferred` and `gaps` of a row may speak of; `param` is the row itself."""
ENVELOPE = "GenerateRequest"
"""The schema of openapi.yaml that the compiler bundles the params into."""
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
        models=tuple(
            _model(raw, service["documentation"]["url"], partial(found.add, f"models/{path.name}"))
            for path, raw in raw_models.items()
        ),
        service=_service(service, found),
        requirements=tuple(_requirement(raw) for raw in requirements["requirements"]),
        gaps=tuple(Gap(raw["id"], raw["topic"], tuple(raw["sides"]), raw["reading"]) for raw in gaps["gaps"]),
        examples=examples,
        openapi=openapi,
    )
    for path, model in zip(paths, spec.models, strict=True):
        if path.stem != model.id:
            found.add(f"models/{path.name}", "id", f"is {model.id!r}, expected the file's name, {path.stem!r}")
    found.problems += _meaning(spec, [f"models/{path.name}" for path in paths])
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
        except RecursionError:
            self.found.add(name, "", "not TOML: nested too deep")
            return {}
        self._shape(name, value, schema)
        self._printable(name, "", value)
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
        except RecursionError:
            self.found.add(name, "", "not JSON: nested too deep")
            return {}
        if not isinstance(value, dict):
            self.found.add(name, "", "expected a JSON object")
            return {}
        return value

    def yaml(self, name: str) -> dict[str, Any]:
        """YAML 1.2, so that 16:9 stays text; the last of two equal keys is refused, not taken."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError

        text = self._text(name)
        if text is None:
            return {}
        try:
            value = YAML(typ="safe", pure=True).load(text)
        except MarkedYAMLError as error:
            line = f", at line {error.problem_mark.line + 1}" if error.problem_mark else ""
            self.found.add(name, "", f"not YAML 1.2: {error.problem}{line}")
            return {}
        except (YAMLError, ValueError, RecursionError) as error:
            self.found.add(name, "", f"not YAML 1.2: {str(error).partition(chr(10))[0] or 'nested too deep'}")
            return {}
        if not isinstance(value, dict):
            self.found.add(name, "", "expected a mapping")
            return {}
        before = len(self.found.problems)
        self._json_only(name, "", value)
        schemas = value.get("components", {}).get("schemas", {}) if len(self.found.problems) == before else {}
        if len(self.found.problems) == before and not isinstance(schemas.get(ENVELOPE, {}).get("properties"), dict):
            self.found.add(name, f"components.schemas.{ENVELOPE}", "missing, or without properties")
        return value

    def _json_only(self, name: str, where: str, value: object) -> None:
        """YAML knows dates, numbers for keys, infinities; the document that is made of this one is JSON."""
        match value:
            case dict():
                for key, item in value.items():
                    if not isinstance(key, str):
                        self.found.add(name, where, f"the key {key!r} is no text: quote it")
                    self._json_only(name, f"{where}.{key}".removeprefix("."), item)
            case list():
                for number, item in enumerate(value):
                    self._json_only(name, f"{where}[{number}]", item)
            case None | bool() | int() | str():
                pass
            case float() if math.isfinite(value):
                pass
            case _:
                self.found.add(name, where, f"{value} is no JSON value: quote it")

    def _printable(self, name: str, where: str, value: object) -> None:
        """Text that no editor shows as it is (controls, bidi marks) has no place in the spec nor in its output."""
        match value:
            case dict():
                for key, item in value.items():
                    self._printable(name, where, key)
                    self._printable(name, f"{where}.{key}".removeprefix("."), item)
            case list():
                for item in value:
                    self._printable(name, where, item)
            case str() if not value.isprintable():
                self.found.add(name, where, f"{value!r} has characters that cannot be printed")
            case float() if not math.isfinite(value):
                self.found.add(name, where, f"{value} is no finite number")
            case _:
                pass

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


def _model(raw: dict[str, Any], docs: str, add: Callable[[str, str], None]) -> Model:
    if raw["source"] == "page" and "page" not in raw:
        add("page", "missing, and the source is the page")
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
        modes=tuple(_mode(mode, sources, add) for mode in raw["modes"]),
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


def _mode(raw: dict[str, Any], sources: dict[str, str], add: Callable[[str, str], None]) -> Mode:
    sources = {**sources, "upstream": f"upstream {raw.get('upstream', 'endpoint')}"}
    return Mode(
        id=raw["id"],
        title=raw["title"],
        evidence=Evidence(raw["evidence"]),
        source=sources[raw["source"]],
        upstream=raw.get("upstream"),
        on_wire=raw.get("on_wire", True),
        params=tuple(
            _param(name, row, sources, partial(add, f"modes.{raw['id']}.params.{name}"))
            for name, row in raw["params"].items()
        ),
    )


def _param(name: str, row: dict[str, Any], sources: dict[str, str], add: Callable[[str], None]) -> Param:
    needed, allowed = KEYS[row["type"]]
    for key in sorted(needed - row.keys()):
        add(f"a {row['type']} needs {key!r}")
    for key in sorted(row.keys() - needed - allowed - EVERY_ROW):
        add(f"a {row['type']} has no {key!r}")
    if row["type"] == "size":
        for key in ("min", "max"):
            if not isinstance(row.get(key, 1), int):
                add(f"{key} of a size is a whole number, not {row[key]}")
    for keyword in sorted({*row.get("inferred", ()), *row.get("gaps", ())} - KEYWORDS):
        add(f"{keyword!r} is no keyword of a row; there are {', '.join(sorted(KEYWORDS))}")
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


def _meaning(spec: Spec, files: list[str]) -> Iterator[Problem]:
    """What no schema can say: names that refer to one another, and values that contradict. A file a model."""
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
    for example in spec.examples:
        model = spec.model(str(example.request.get("model")))
        if model is None or model.mode(example.request.get("mode")) is None:
            named = f"model {example.request.get('model')!r}, mode {example.request.get('mode')!r}"
            yield Problem(f"examples/{example.id}.json", "", f"the catalog has no {named}")
    yield from _type_names(spec, files)
    for file, model in zip(files, spec.models, strict=True):
        yield from _twice(file, [mode.id for mode in model.modes])
        yield from (Problem(file, "price", message) for message in _price(model))
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


def _type_names(spec: Spec, files: list[str]) -> Iterator[Problem]:
    """Two things of one type name would overwrite each other in every output."""
    files_by_model = dict(zip((model.id for model in spec.models), files, strict=True))
    seen: dict[str, str] = {}
    for model, mode in pairs(spec):
        for ids in [(model.id,)] * (mode is model.modes[0]) + [(model.id, mode.id)]:
            name, what = type_name(*ids), " ".join(ids)
            if seen.setdefault(name, what) != what:
                yield Problem(files_by_model[model.id], what, f"has the type name {name}, as {seen[name]} has")


def _price(model: Model) -> Iterator[str]:
    """A rate by a param or value that no row has would never apply."""
    rows = {param.name: [] for mode in model.modes for param in mode.params}  # type: dict[str, list[Param]]
    for mode in model.modes:
        for param in mode.params:
            rows[param.name].append(param)
    if model.price and model.price.quantity and model.price.quantity not in rows:
        yield f"no mode of this model has a param {model.price.quantity!r}"
    for name, value in [pair for rate in model.price.rates for pair in rate.when] if model.price else []:
        if name not in rows:
            yield f"no mode of this model has a param {name!r}"
        elif not any(_may_be(param.type, value) for param in rows[name]):
            yield f"{name} is never {value!r}"


def _may_be(type: Type, value: str | bool) -> bool:
    match type:
        case Choice(of) | Size(presets=of):
            return value in of
        case Flag():
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


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
