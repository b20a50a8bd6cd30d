"""What no schema can say of spec/: names that refer to one another, and values that contradict.

Each function takes the parts that it needs and yields (path, message) within the file it is about. Here live no I/O.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .ir import (
    Alias,
    Aliases,
    Choice,
    Code,
    Flag,
    Gap,
    Level,
    ListOf,
    Media,
    Model,
    Number,
    Param,
    Requirement,
    Service,
    Size,
    Text,
    Type,
)
from .positions import Path
from .schema import size_name, type_name
from .shape import Finding, listed, plain, shown

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
_ANY = frozenset({"param", "required", "type"})
KEYWORDS: Mapping[str, frozenset[str]] = {
    "text": _ANY,
    "flag": _ANY,
    "choice": _ANY | {"enum"},
    "number": _ANY | {"minimum", "maximum"},
    "media": _ANY | {"media"},
    "list": _ANY | {"media", "minItems", "maxItems"},
    "size": _ANY | {"enum", "minimum", "maximum", "multipleOf", "size"},
}
"""For each type of a row: what its `gaps` may speak of; `param` is the row itself."""
INFERABLE: Mapping[str, frozenset[str]] = {type: frozenset() for type in KEYWORDS} | {
    "list": frozenset({"minItems", "maxItems"})
}
"""What its `inferred` may speak of: the keywords that a documented row can do without in every output."""
EVERY_ROW = frozenset({"type", "required", "default", "evidence", "source", "inferred", "gaps", "note"})
ENVELOPE = "GenerateRequest"
"""The schema of openapi.yaml that the compiler bundles the params into."""


def rows(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """The keys of each row of a model's file, which hang on the row's type."""
    yield from _page(raw)
    for index, mode in enumerate(raw["modes"]):
        for name, row in mode["params"].items():
            path: Path = ("modes", index, "params", name)
            needed, allowed = KEYS[row["type"]]
            for key in sorted(needed - row.keys()):
                yield (*path, key), f"missing, expected in a {row['type']}"
            for key in sorted(row.keys() - needed - allowed - EVERY_ROW):
                known = ", ".join(sorted(needed | allowed | EVERY_ROW))
                yield (*path, key), f"unknown key of a {row['type']}, expected one of {known}"
            if row["type"] == "size":
                for key in ("min", "max"):
                    if not isinstance(row.get(key, 1), int):
                        yield (*path, key), f"is {shown(row[key])}, expected a whole number"
            for key, keywords in (("inferred", INFERABLE), ("gaps", KEYWORDS)):
                for keyword in sorted(set(row.get(key, ())) - keywords[row["type"]]):
                    choice = listed(sorted(keywords[row["type"]])) or "none"
                    yield (*path, key), f"names {shown(keyword)}, expected of a {row['type']} one of {choice}"
    for index, rate in enumerate(raw.get("price", {}).get("rates", ())):
        if ("usd" in rate) == ("low" in rate) or ("low" in rate) != ("high" in rate):
            there = " and ".join(key for key in ("usd", "low", "high") if key in rate) or "no amount"
            yield ("price", "rates", index), f"has {there}, expected either usd, or low and high"


def _page(raw: Mapping[str, Any]) -> Iterator[Finding]:
    """A page that nothing names would be left out; a name without a page would be taken for the documentation's."""
    sources: dict[Path, str] = {("source",): raw["source"]}
    if "price" in raw:
        sources[("price", "source")] = raw["price"]["source"]
    for index, mode in enumerate(raw["modes"]):
        sources[("modes", index, "source")] = mode["source"]
        for name, row in mode["params"].items():
            sources[("modes", index, "params", name, "source")] = row["source"]
    named = [path for path, source in sources.items() if source == "page"]
    if named and "page" not in raw:
        at = ".".join(map(str, named[0]))
        yield ("page",), f"missing, expected the URL of the page that `{at}` names"
    if not named and "page" in raw:
        yield ("page",), "named by no `source`, expected one that is 'page'"


def mentions(raw: object, gaps: Collection[str], requirements: Collection[str]) -> Iterator[Finding]:
    """The entries that a text names in passing. Where the whole value is an id, its own check tells."""
    areas = {id.partition("-")[0] for id in requirements}
    for path, text in _texts(raw, ()):
        for id in dict.fromkeys(_ID.findall(text)) if not _ID.fullmatch(text) else ():
            if id.startswith("GAP-") and id not in gaps:
                yield path, f"names {id}, expected an entry of gaps.toml"
            if id.partition("-")[0] in areas and id not in requirements:
                yield path, f"names {id}, expected an entry of requirements.toml"


def _texts(value: object, path: Path) -> Iterator[tuple[Path, str]]:
    match value:
        case dict():
            for key, item in value.items():
                yield from _texts(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _texts(item, (*path, index))
        case str():
            yield path, value
        case _:
            pass


_ID = re.compile(r"\b[A-Z]{3,6}-[0-9]{2}\b")
"""What may be the id of a gap or a requirement."""


def model(model: Model, file: str, gaps: Collection[str] | None) -> Iterator[Finding]:
    """One model by itself, and the name of its file. Its gaps are looked up where the list of gaps is known."""
    if file != model.id:
        yield ("id",), f"is {shown(model.id)}, expected the file's name, {shown(file)}"
    yield from _twice("modes", [mode.id for mode in model.modes])
    for index, mode in enumerate(model.modes):
        if not mode.on_wire and len(model.modes) > 1:
            yield ("modes", index, "on_wire"), "is false, expected true beside other modes: a request has to choose"
    yield from _price(model)
    for index, gap in enumerate(model.price.gaps if model.price else ()):
        if gaps is not None and gap not in gaps:
            yield ("price", "gaps", index), f"is {gap}, expected an entry of gaps.toml"
    for index, mode in enumerate(model.modes):
        for param in mode.params:
            path: Path = ("modes", index, "params", param.name)
            yield from ((path + place, message) for place, message in _row(param))
            if param.source.startswith("mode:"):
                sibling = model.mode(param.source.removeprefix("mode:"))
                if sibling is None or sibling is mode or sibling.param(param.name) is None:
                    said = f"is {shown(param.source)}, expected another mode of this model that has the param"
                    yield (*path, "source"), said
            for keyword, gap in param.gaps:
                if gaps is not None and gap not in gaps:
                    yield (*path, "gaps", keyword), f"is {gap}, expected an entry of gaps.toml"


def service(service: Service) -> Iterator[Finding]:
    patterns: list[tuple[Path, str]] = [
        (("url_pattern",), service.url_pattern),
        (("uploads", "token_pattern"), service.uploads.token_pattern),
    ]
    for path, pattern in patterns:
        wrong = _pattern(pattern)
        if wrong:
            yield path, f"is {shown(pattern)}, expected a regular expression: {wrong}"
    yield from _twice_at(("uploads", "kinds"), [kind.media for kind in service.uploads.kinds], "media")


def _pattern(pattern: str) -> str | None:
    """What is wrong with a regular expression. The binding matches it, and JSON Schema has it for JavaScript."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            re.compile(pattern)
    except (re.error, OverflowError, RecursionError, Warning) as error:
        return plain(str(error))
    odd = _PYTHON_ONLY.search(pattern.replace("\\\\", ""))
    return f"{shown(odd.group())} is not in every language" if odd else None


_PYTHON_ONLY = re.compile(r"\(\?(?![:=!])|\\[AZz0-9]|[*+?}]\+")
"""Groups other than (?:...), (?=...), (?!...); anchors and references by number; possessive quantifiers."""


def requirements(
    sections: Sequence[str], requirements: Sequence[Requirement], gaps: Collection[str] | None
) -> Iterator[Finding]:
    yield from _twice("requirements", [requirement.id for requirement in requirements])
    for index, section in enumerate(sections):
        if all(requirement.section != section for requirement in requirements):
            yield ("sections", index), f"{shown(section)} has no requirement, expected one at least"
    for index, requirement in enumerate(requirements):
        path: Path = ("requirements", index)
        if requirement.section not in sections:
            yield (*path, "section"), f"is {shown(requirement.section)}, expected one of `sections`"
        if requirement.gap is None:
            continue
        if gaps is not None and requirement.gap not in gaps:
            yield (*path, "gap"), f"is {requirement.gap}, expected an entry of gaps.toml"
        if requirement.level is Level.MUST:
            yield (*path, "level"), f"is MUST and rests on {requirement.gap}, expected SHOULD"


def gaps(gaps: Sequence[Gap]) -> Iterator[Finding]:
    yield from _twice("gaps", [gap.id for gap in gaps])


def codes(codes: Sequence[Code]) -> Iterator[Finding]:
    yield from _twice("codes", [code.id for code in codes])


def aliases(aliases: Aliases, models: Sequence[Model], members: Iterable[str]) -> Iterator[Finding]:
    """An alias that means nothing there is would never be suggested."""
    rows = [param for model in models for mode in model.modes for param in mode.params]
    known: Mapping[str, Iterable[str]] = {
        "models": [model.id for model in models],
        "modes": [mode.id for model in models for mode in model.modes],
        "params": [row.name for row in rows],
        "values": [value for row in rows for value in _listed(row.type)],
        "members": members,
    }
    for kind, names in known.items():
        there = set(names)
        of_kind: tuple[Alias, ...] = getattr(aliases, kind)
        for alias in of_kind:
            for index, meant in enumerate(alias.means):
                if meant not in there:
                    yield (kind, alias.name, index), f"is {shown(meant)}, expected one of the {kind} there are"


def _listed(type: Type) -> tuple[str, ...]:
    match type:
        case Choice(of) | Size(presets=of):
            return of
        case _:
            return ()


def example(request: Mapping[str, Any], models: Sequence[Model]) -> Iterator[Finding]:
    """The request of an example or a vector names what there is."""
    id, mode_id = request.get("model"), request.get("mode")
    model = next((model for model in models if model.id == id), None)
    if model is None:
        yield ("model",), f"is {shown(id)}, expected a model of the catalog"
    elif ("mode" in request and mode_id is None) or model.mode(mode_id) is None:
        yield ("mode",), f"is {shown(mode_id)}, expected one of {listed(mode.id for mode in model.modes)}"
    if not isinstance(request.get("params"), dict):
        yield ("params",), f"is {shown(request.get('params'))}, expected an object"


def examples(requests: Mapping[str, Mapping[str, Any]], models: Sequence[Model]) -> Iterator[tuple[str, Finding]]:
    """(file, finding): the second example of a (model, mode) would never be shown."""
    taken: dict[tuple[str, str], str] = {}
    first = {model.id: model.modes[0].id for model in models}
    for file, request in requests.items():
        id = request.get("model")
        if isinstance(id, str) and id in first:
            mode = request.get("mode", first[id])
            other = taken.setdefault((id, str(mode)), file)
            if other != file:
                yield file, (("mode",), f"is {shown(mode)}, of which {other} is, expected one example of a mode")


def vectors(kind: str, raw: Sequence[Mapping[str, Any]], codes: Collection[str] | None) -> Iterator[Finding]:
    yield from _twice(kind, [vector["id"] for vector in raw])
    for index, vector in enumerate(raw):
        problems = vector.get("problems", ())
        for place, problem in enumerate(problems):
            if codes is not None and problem["code"] not in codes:
                path: Path = (kind, index, "problems", place, "code")
                yield path, f"is {shown(problem['code'])}, expected an entry of codes.toml"
        if "problems" in vector and vector["valid"] == any(each["severity"] == "error" for each in problems):
            yield (kind, index, "valid"), f"is {shown(vector['valid'])}, expected true just without an error"


def names(models: Sequence[Model], components: Collection[str]) -> Iterator[tuple[str, Finding]]:
    """(model, finding): two things of one type name would overwrite each other in every output."""
    taken = {name: f"openapi.yaml's {name}" for name in components}
    sizes: dict[str, Size] = {}
    for model in models:
        for what, path, name in _type_names(model):
            if taken.setdefault(name, what) != what:
                yield model.id, (path, f"{what} has the type name {name}, expected another than {taken[name]} has")
        for index, mode in enumerate(model.modes):
            for param in mode.params:
                if isinstance(param.type, Size):
                    place: Path = ("modes", index, "params", param.name)
                    name = size_name(param)
                    if taken.setdefault(name, f"the size {name}") != f"the size {name}":
                        yield model.id, (place, f"has the type name {name}, expected another than {taken[name]} has")
                    if _rules(sizes.setdefault(name, param.type)) != _rules(param.type):
                        yield model.id, (place, f"has other rules than another {param.name}, expected the same")


def _type_names(model: Model) -> Iterator[tuple[str, Path, str]]:
    """What has a type name of its own, where it stands, and the name; `bundle` gives them."""
    if len(model.modes) > 1:
        yield model.id, ("id",), f"{type_name(model.id)}Request"
    for index, mode in enumerate(model.modes):
        for kind in ("Request", "Params"):
            yield f"{model.id} {mode.id}", ("modes", index, "id"), f"{type_name(model.id, mode.id)}{kind}"


def _rules(size: Size) -> tuple[int, ...]:
    """What the object form of a size keeps to; the presets are no part of it."""
    return (size.multiple_of, size.min, size.max, size.max_ratio)


def _price(model: Model) -> Iterator[Finding]:
    """A rate by a param or value that no row has would never apply."""
    price = model.price
    if price is None:
        return
    rows: dict[str, list[Param]] = {}
    for mode in model.modes:
        for param in mode.params:
            rows.setdefault(param.name, []).append(param)
    no_param = "expected a param of this model"
    if price.quantity and price.quantity not in rows:
        yield ("price", "quantity"), f"is {shown(price.quantity)}, {no_param}"
    if price.longest_by and price.longest_by not in rows:
        yield ("price", "longest", "by"), f"is {shown(price.longest_by)}, {no_param}"
    for longest_of, _ in price.longest:
        if price.longest_by in rows and not any(_may_be(row.type, longest_of) for row in rows[price.longest_by]):
            yield ("price", "longest", "of", longest_of), f"expected a value of {price.longest_by}"
    if price.quantity and price.longest_by:
        yield ("price", "longest"), "unused beside `quantity`, expected one of them"
    for index, rate in enumerate(price.rates):
        path: Path = ("price", "rates", index)
        earlier = [other for other in price.rates[:index] if set(other.when) <= set(rate.when)]
        if earlier:
            yield (*path, "when"), "never applies, because an earlier rate does, expected that one after it"
        if rate.low > rate.high:
            yield (*path, "low"), f"is {rate.low}, expected at most high, {rate.high}"
        for name, value in rate.when:
            if name not in rows:
                yield (*path, "when", name), no_param
            elif not any(_may_be(param.type, value) for param in rows[name]):
                yield (*path, "when", name), f"is {shown(value)}, expected a value of {name}"
    for index, name in enumerate(price.inferred):
        if all(name != of for rate in price.rates for of, _ in rate.when):
            yield ("price", "inferred", index), f"is {shown(name)}, expected a param of `when`"


def _may_be(type: Type, value: str | bool) -> bool:
    match type:
        case Choice(of) | Size(presets=of):
            return value in of
        case Flag():
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _row(param: Param) -> Iterator[Finding]:
    default = param.default
    match param.type:
        case Number(low, high, _):
            if low is not None and high is not None and low > high:
                yield ("min",), f"is {low}, expected at most max, {high}"
            if default is None:
                return
            if isinstance(default, bool | str):
                yield ("default",), f"is {shown(default)}, expected a number"
            elif (low is not None and default < low) or (high is not None and default > high):
                yield ("default",), f"is {default}, expected {_range(low, high)}"
        case Choice(of) | Size(presets=of):
            if default is not None and default not in of:
                yield ("default",), f"is {shown(default)}, expected one of {listed(of)}"
            if isinstance(param.type, Size):
                yield from _size(param.type)
        case Flag():
            if default is not None and not isinstance(default, bool):
                yield ("default",), f"is {shown(default)}, expected true or false"
        case Text() | Media():
            if default is not None and not isinstance(default, str):
                yield ("default",), f"is {shown(default)}, expected text"
        case ListOf(_, low_items, high_items):
            if default is not None:
                yield ("default",), f"is {shown(default)}, expected none for a list"
            if low_items is not None and high_items is not None and low_items > high_items:
                yield ("min_items",), f"is {low_items}, expected at most max_items, {high_items}"


def _range(low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return f"at most {high}" if low is None else f"at least {low}"
    return f"{low} to {high}"


def _size(size: Size) -> Iterator[Finding]:
    if size.min > size.max:
        yield ("min",), f"is {size.min}, expected at most max, {size.max}"
    elif size.max // size.multiple_of * size.multiple_of < size.min:
        yield (
            ("multiple_of",),
            f"is {size.multiple_of}, expected a number with a multiple from {size.min} to {size.max}",
        )


def _twice(kind: str, ids: Sequence[str]) -> Iterator[Finding]:
    yield from _twice_at((kind,), ids, "id")


def _twice_at(path: Path, ids: Sequence[str], key: str) -> Iterator[Finding]:
    for index, id in enumerate(ids):
        if id in ids[:index]:
            yield (*path, index, key), f"is {shown(id)}, as another is, expected each once"
