"""From a Spec to text: the same text on every run, and no string of the spec that leaves its literal.

Every free text of a Spec bears a hostile string of cases/hostile.json, and the output is compared with that of the same
Spec whose texts bear plain marks instead: the same syntax tree, and every constant equal to the one with the mark, the
hostile text in the mark's place. What is closed by a form (ids, words of a list) the loader's schemas refuse.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import importlib.util
import io
import json
import keyword
import os
import re
import shutil
import subprocess
import sys
import tokenize
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import lacking
from prospec import openapi
from prospec.emit import Code, Files, emit, render
from prospec.ir import Evidence, Spec
from prospec.loader import load, spec_root
from prospec.meaning import rows
from prospec.schema import pairs, type_name
from prospec.shape import findings
from prospec.targets import OPTIONAL, TARGETS
from prospec.targets.python import identifier, literal
from pydantic_core import SchemaError

EVERY_TARGET = (*TARGETS, *OPTIONAL)
CASES: list[dict[str, Any]] = json.loads((Path(__file__).parent / "cases" / "hostile.json").read_text("utf-8"))
HOSTILE = {case["name"]: case["text"] * case.get("times", 1) for case in CASES}
LANGUAGES = ("python", "jinja", "shell", "javascript")
"""A case that names one is a canary: bare in the place of @@ of what stands there, it writes the file `canary`."""
CANARIES = [(case["name"], language) for case in CASES for language in LANGUAGES if language in case]

CLOSED: Mapping[str, str] = {
    "Model.id": "model.json /properties/id",
    "Model.kind": "model.json /properties/kind",
    "Mode.id": "model.json /properties/modes/items/properties/id",
    "Param.name": "model.json /properties/modes/items/properties/params/propertyNames",
    "Param.inferred": "meaning.rows",
    "Param.gaps": "model.json /$defs/param/properties/gaps/additionalProperties",
    "Media.media": "model.json /$defs/param/properties/media",
    "Price.unit": "model.json /properties/price/properties/unit",
    "Price.gaps": "model.json /properties/price/properties/gaps/items",
    "UploadKind.media": "service.json /properties/uploads/properties/kinds/items/properties/media",
    "UploadKind.content_types": "service.json /properties/uploads/properties/kinds/items/properties/content_types",
    "Service.documentation_date": "service.json /properties/documentation/properties/date",
    "Requirement.id": "requirements.json /properties/requirements/items/properties/id",
    "Requirement.cost": "requirements.json /properties/requirements/items/properties/cost",
    "Requirement.needs": "requirements.json /properties/requirements/items/properties/needs/items",
    "Requirement.gap": "requirements.json /properties/requirements/items/properties/gap",
    "Gap.id": "gaps.json /properties/gaps/items/properties/id",
    "Code.id": "codes.json /properties/codes/items/properties/id",
    "Alias.name": "aliases.json /$defs/aliases/propertyNames",
    "openapi.in": "openapi.json /$defs/parameter/properties/in",
    "openapi.type": "openapi.meaning",
    "openapi.$ref": "openapi.meaning",
}
"""Texts of a closed form (names, ids, words of a list), and what refuses any other."""
ALSO_CLOSED: Mapping[str, str] = {
    "Rate.low": "model.json /properties/price/properties/rates/items/properties/low",
    "Rate.high": "model.json /properties/price/properties/rates/items/properties/high",
    "Rate.low and high": "model.json /properties/price/properties/rates/items/properties/usd",
    "Evidence": "model.json /$defs/param/properties/evidence",
    "Requirement.level": "requirements.json /properties/requirements/items/properties/level",
    "source of a mode": "model.json /properties/modes/items/properties/source",
    "source of a param": "model.json /$defs/param/properties/source",
    "id of a request": "request-vectors.json /$defs/vector/properties/id",
    "bytes of a request": "request-vectors.json /$defs/vector/properties/base64",
    "code of a problem": "request-vectors.json /$defs/problem/properties/code",
    "severity of a problem": "request-vectors.json /$defs/problem/properties/severity",
    "id of a webhook": "webhook-vectors.json /$defs/vector/properties/id",
    "bytes of a webhook": "webhook-vectors.json /$defs/vector/properties/base64",
    "genuine signature": "webhook-vectors.json /$defs/vector/then/properties/signature",
}
"""Texts of a closed form that are no text in a Spec, or that are hostile there all the same."""
PATTERNS = frozenset({"Service.url_pattern", "Uploads.token_pattern", "openapi.pattern"})
"""Regular expressions: they bear the hostile string escaped, so that they match it and nothing else."""
ROW = {"Choice.of", "Size.presets", "Number.unit", "Param.default", "Param.note", "Param.source"}
MEDIA = {"Service.url_pattern", "Uploads.token_pattern"}
PRICE = {"inferred", "longest", "longest_by", "note", "quantity", "source"}
ENVELOPE = {"const", "enum", "example", "generation_id", "identifier", "name", "openapi", "operationId", "pattern"}
ENVELOPE |= {"required", "scheme", "summary", "tags", "title", "token", "url", "version", "description", "format"}
PRINTED: Mapping[str, set[str]] = {
    "openapi.json": {*ROW, *MEDIA, "Model.name", "Mode.title", "Mode.source", *(f"openapi.{key}" for key in ENVELOPE)},
    "schemas": {*ROW, *MEDIA, "Model.name", "Mode.title", "Mode.source", "openapi.description", "openapi.format"},
    "vectors.json": {"Vectors.requests", "Vectors.webhooks", "vector"},
    "prospo/catalog.py": {*ROW, *MEDIA, "Model.name", "Model.family", "Mode.title", "Mode.upstream", "example"}
    | {"Alias.means", "Rate.when", *(f"Price.{field}" for field in PRICE)},
    "prospo/checks.py": {"Choice.of", "Size.presets"},
    "prospo/reference.py": {"Code.means", "Code.example", "Code.mend", "Side.says", "Side.source"}
    | {"Gap.topic", "Gap.reading", "Gap.affects"}
    | {"Requirement.section", "Requirement.statement", "Requirement.unverifiable"},
    "prospo/service.py": {"Service.base_url", "Service.key_prefix", "Uploads.token_pattern"},
    "prospo/typed.py": {*ROW, "Model.name", "Mode.title", "Mode.source"},
    "prospo/types.py": {*ROW, "Mode.title", "Mode.source"},
    "prospo/webhooks.py": {"Webhook.header"},
    "src/aliases.ts": {"Alias.means"},
    "src/catalog.ts": MEDIA,
    "src/models": {*ROW, "Model.name", "Model.family", "Mode.title", "Mode.source", "Mode.upstream", "example"}
    | {"Rate.when", *(f"Price.{field}" for field in PRICE)},
    "src/service.ts": {"Service.base_url", "Service.key_prefix", "Uploads.token_pattern", "Webhook.header"},
    "prospo_models.py": {*ROW, *MEDIA, "Model.name", "Mode.title", "Mode.source", "openapi.description"},
}
"""Output -> the free slots whose texts it has."""
UNPRINTED = {"Example.id", "Model.source", "Model.vendor", "Service.documentation_url"}
UNPRINTED |= {"Service.generation_prefix", "Spec.sections"}
"""Free texts that no target prints: the suite and the mock read them."""
FREE_WITHIN = frozenset({"example", "examples", "value"})
"""Members of OpenAPI that hold data of any form."""

Change = Callable[[str, str], str]
"""(slot, text) -> another text."""


def borne(value: Any, change: Change, slot: str = "") -> Any:
    """The same value with every free text in it changed, in an order that does not vary."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        return replace(
            value,
            **{each.name: borne(getattr(value, each.name), change, f"{kind}.{each.name}") for each in fields(value)},
        )
    if isinstance(value, tuple | list):
        return type(value)(borne(item, change, slot) for item in value)
    if isinstance(value, dict):
        return _object(value, change, slot)
    if type(value) is not str or slot in CLOSED:
        return value
    return change(slot, value)


def _object(value: dict[str, Any], change: Change, slot: str) -> dict[str, Any]:
    """An object of a document. The keys of what a vector sends are as free as its values."""
    made = {}
    for key, item in value.items():
        if slot == "Vectors.requests" and key == "request":
            made[key] = borne(item, change, "vector")
        elif slot == "vector":
            made[change(slot, key)] = borne(item, change, slot)
        elif slot == "Example.request":
            made[key] = item if key in ("model", "mode") else borne(item, change, "example")
        elif slot.startswith(("Spec.openapi", "openapi.")) and slot != "openapi.example":
            # A schema's property may be called `type`: what it holds is an object, so its slot counts for nothing.
            made[key] = borne(item, change, "openapi.example" if key in FREE_WITHIN else f"openapi.{key}")
        else:
            made[key] = borne(item, change, slot)
    return made


def slots(value: Any) -> list[str]:
    """The free slots of a value, each as often as it has a text."""
    found = []

    def note(slot: str, text: str) -> str:
        found.append(slot)
        return text

    borne(value, note)
    return found


def closed_slots(value: Any, slot: str = "") -> Iterator[str]:
    if is_dataclass(value):
        for each in fields(value):
            yield from closed_slots(getattr(value, each.name), f"{type(value).__name__}.{each.name}")
    elif isinstance(value, tuple | list):
        for item in value:
            yield from closed_slots(item, slot)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from closed_slots(item, f"openapi.{key}")
    elif type(value) is str and slot in CLOSED:
        yield slot


ROWS = (
    ("kling-o3", "text", "prompt"),
    ("kling-o3", "text", "quality"),
    ("kling-o3", "text", "duration"),
    ("kling-o3", "text", "generate_audio"),
    ("kling-o3", "image", "end_image_url"),
    ("kling-3-motion-control", "motion", "video_urls"),
    ("gpt-image-2", "generate", "image_size"),
    ("nano-banana-2", "generate", "enable_web_search"),
    ("seedance-2-fast", "image", "aspect_ratio"),
)
"""(model, mode, param): a row of each type, with and without a note, and well known or not."""


def cut(spec: Spec) -> Spec:
    """A spec of a few parts, with every slot that the whole one has: three hundred of these can be compiled."""
    modes = {(model.id, mode.id): mode for model, mode in pairs(spec)}
    params = [next(param for param in modes[model, mode].params if param.name == name) for model, mode, name in ROWS]
    model, longest = (
        next(each for each in spec.models if each.id == id) for id in ("kling-o3", "kling-3-motion-control")
    )
    assert model.price
    assert longest.price
    price = replace(model.price, longest_by=longest.price.longest_by, longest=longest.price.longest, note="x")
    models = [replace(model, modes=(replace(model.modes[0], upstream="x", params=tuple(params)),), price=price)]
    components = spec.openapi["components"]
    schemas = ("GenerateRequest", "Generation", "UploadToken", "UploadReceipt")
    parts = {kind: dict(list(items.items())[:2]) for kind, items in components.items() if kind != "schemas"}
    openapi = {
        **spec.openapi,
        "paths": dict(list(spec.openapi["paths"].items())[:2]),
        "webhooks": dict(list(spec.openapi["webhooks"].items())[:1]),
        "components": {**parts, "schemas": {name: components["schemas"][name] for name in schemas}},
    }
    example = replace(spec.examples[0], request={"model": "kling-o3", "mode": "text", "params": {"prompt": "x"}})
    few = {each.name: getattr(spec.aliases, each.name)[:2] for each in fields(spec.aliases)}
    gaps = tuple(requirement for requirement in spec.requirements if requirement.gap)[:2]
    unverifiable = tuple(requirement for requirement in spec.requirements if requirement.unverifiable)[:2]
    needing = tuple(requirement for requirement in spec.requirements if requirement.needs)[:1]
    return replace(
        spec,
        models=tuple(models),
        sections=spec.sections[:2],
        requirements=gaps + unverifiable + needing,
        gaps=spec.gaps[:3],
        codes=spec.codes[:2],
        aliases=type(spec.aliases)(**few),
        examples=(example,),
        vectors=replace(spec.vectors, requests=spec.vectors.requests[:2], webhooks=spec.vectors.webhooks[:2]),
        openapi=openapi,
    )


MARK = re.compile(r"Zq(\d{5})z")
COMPOSED = re.compile(r'Default: "[^"]*$')
"""What stands before a default within a description, which has it as JSON."""
DOCSTRING = re.compile(r"\n *(\S.*)(\n *)", re.DOTALL)
"""A docstring as the generator lays it out: the description stands on lines of its own."""


@dataclass(frozen=True)
class Way:
    """A way of putting strings into slots: of the n-th free text, in the order of `borne`."""

    name: str
    key: Callable[[str, int], object]
    """What the string hangs on: texts of one key bear one string."""
    alone: bool
    """Whether the string replaces the text, or follows it."""


SAME = Way("same", lambda slot, number: slot, alone=False)
"""Every slot bears the same string, behind its text: what was equal stays equal."""
ROTATED = Way("rotated", lambda slot, number: number, alone=True)
"""Slot i bears string i + k in the place of its text, so that neighbours differ."""


class Marked:
    """A Spec with marks in the place of strings, what each target makes of it, and what it would be with strings."""

    def __init__(self, spec: Spec, way: Way) -> None:
        self.spec = spec
        self.way = way
        self.slots: list[str] = []
        """Mark -> its slot."""
        self._marks: dict[object, int] = {}
        marked = self._bearing(lambda mark: f"Zq{mark:05}z")
        self.files = {target: emit(marked, target) for target in EVERY_TARGET}
        self.modules = {
            (target, path): Module(text)
            for target, files in self.files.items()
            for path, text in files.items()
            if path.endswith(".py")
        }
        self.documents = {path: json.loads(text) for path, text in self.files["json"].items()}

    def _bearing(self, string: Callable[[int], str]) -> Spec:
        count = iter(range(10**6))

        def change(slot: str, text: str) -> str:
            key = self.way.key(slot, next(count))
            if key not in self._marks:
                self._marks[key] = len(self.slots)
                self.slots.append(slot)
            hostile = string(self._marks[key])
            hostile = re.escape(hostile) if slot in PATTERNS else hostile
            return hostile if self.way.alone else text + hostile

        return borne(self.spec, change)

    def bearing(self, strings: list[str]) -> Spec:
        """The Spec whose n-th mark is the n-th string, over and over."""
        return self._bearing(lambda mark: strings[mark % len(strings)])

    def expected(self, text: str, strings: list[str], path: str = "", *, in_docstring: bool = False) -> str:
        """A text with marks as it is with the strings, in the output of that path."""
        if "Zq" not in text:
            return text

        def string(match: re.Match[str]) -> str:
            mark = int(match[1])
            slot, put = self.slots[mark], strings[mark % len(strings)]
            if slot in PATTERNS:
                put = re.escape(put)
            if slot == "Uploads.token_pattern" and Path(path).stem == "service":
                put = put.partition("[")[0]  # the beginning that every token has
            if slot == "Param.default" and COMPOSED.search(text, 0, match.start()):
                put = json.dumps(put)[1:-1]
            if slot == "Param.note" and self.way.alone and match.start():
                put = put[0].upper() + put[1:]
            return escaped(put) if in_docstring else put

        made = MARK.sub(string, text)
        frame = DOCSTRING.fullmatch(text)
        if in_docstring and frame:
            content = made[frame.start(1) : len(made) - len(frame[2])]
            kept = content.rstrip(" ")
            made = made[: frame.start(1)] + kept + "\\x20" * (len(content) - len(kept)) + frame[2]
        return made


def escaped(text: str) -> str:
    """A description as a docstring has it: what cannot be printed, line ends included, as its escape in Python.

    Blanks at its end are escaped too; everything else stands as it is.
    """
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


class Module:
    """A module as the compiler of Python reads its bytes: its tree without the constants, and these."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = ast.parse(text.encode(), type_comments=True)
        self.skeleton: list[object] = []
        self.constants: list[tuple[Any, bool]] = []
        """(value, whether it is a docstring), from the top."""
        pending: list[tuple[ast.AST, bool]] = [(self.tree, False)]
        while pending:
            node, is_statement = pending.pop()
            self.skeleton.append(type(node))
            if isinstance(node, ast.Constant):
                self.skeleton.append(type(node.value))
                self.constants.append((node.value, is_statement))
                continue
            for name in node._fields:
                value = getattr(node, name, None)
                if isinstance(value, ast.AST):
                    pending.append((value, isinstance(node, ast.Expr)))
                elif isinstance(value, list):
                    self.skeleton.append(len(value))
                    pending += ((item, False) for item in reversed(value) if isinstance(item, ast.AST))
                    self.skeleton += (item for item in value if not isinstance(item, ast.AST))
                else:
                    self.skeleton.append(value)

    def comments(self) -> list[str]:
        read = tokenize.tokenize(io.BytesIO(self.text.encode()).readline)
        return [token.string for token in read if token.type == tokenize.COMMENT]


def unprintable(text: str) -> set[str]:
    return {character for character in text if character != "\n" and not character.isprintable()}


def differences(marked: Marked, strings: list[str], files: Mapping[str, Files]) -> Iterator[str]:
    """Where an output is not the marked one with the strings in the place of the marks."""
    for target in EVERY_TARGET:
        if files[target].keys() != marked.files[target].keys():
            yield f"{target}: other files"
    for (target, path), before in marked.modules.items():
        text = files[target][path]
        if text == before.text:
            continue
        if unprintable(text):
            yield f"{path}: holds {unprintable(text)}"
        try:
            module = Module(text)
        except (SyntaxError, ValueError) as error:
            yield f"{path}: {error}"
            continue
        if module.skeleton != before.skeleton:
            yield f"{path}: another syntax tree"
            continue
        for (there, _), (mark, is_docstring) in zip(module.constants, before.constants, strict=True):
            wanted = there
            if isinstance(mark, str) and mark.startswith('{"model"') and mark.endswith("}"):
                yield from not_equal(json.loads(mark), json.loads(there), marked, strings, path)
            elif isinstance(mark, str):
                wanted = marked.expected(mark, strings, path, in_docstring=is_docstring)
            else:
                wanted = mark
            if there != wanted:
                yield f"{path}: {there!r}, expected {wanted!r}"
    for path, document in marked.documents.items():
        yield from not_equal(document, json.loads(files["json"][path].encode()), marked, strings, path)


def not_equal(mark: Any, there: Any, marked: Marked, strings: list[str], place: str) -> Iterator[str]:
    """Where a JSON value is not the marked one with the strings."""
    if type(mark) is not type(there):
        yield f"{place}: {there!r}"
    elif isinstance(mark, dict):
        if list(there) != [marked.expected(key, strings) for key in mark]:
            yield f"{place}: members {list(there)}"
            return
        for (key, item), other in zip(mark.items(), there.values(), strict=True):
            yield from not_equal(item, other, marked, strings, f"{place}/{key}")
    elif isinstance(mark, list):
        if len(mark) != len(there):
            yield f"{place}: {len(there)} items"
            return
        for index, item in enumerate(mark):
            yield from not_equal(item, there[index], marked, strings, f"{place}/{index}")
    elif there != (marked.expected(mark, strings) if isinstance(mark, str) else mark):
        yield f"{place}: {there!r}"


@pytest.fixture(scope="module", autouse=True)
def compiled_once() -> Iterator[None]:
    """The templates are those of every spec: jinja2 compiles each once here, which saves a sixth of the time."""
    compile = jinja2.Environment.compile
    kept: dict[object, Any] = {}

    def once(self: jinja2.Environment, source: str, *arguments: Any) -> Any:
        key = (source, *self.filters, *arguments)
        if key not in kept:
            kept[key] = compile(self, source, *arguments)
        return kept[key]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jinja2.Environment, "compile", once)
        yield


@pytest.fixture(scope="module")
def same(spec: Spec) -> Marked:
    return Marked(cut(spec), SAME)


@pytest.fixture(scope="module")
def rotated(spec: Spec) -> Marked:
    return Marked(cut(spec), ROTATED)


@pytest.fixture(scope="module")
def cage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cage")


@pytest.fixture
def quiet(cage: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder in which a canary would leave its file."""
    monkeypatch.chdir(cage)
    yield
    assert list(cage.iterdir()) == [], "a canary ran"


pytestmark = [
    pytest.mark.filterwarnings("ignore:format of .* not understood:UserWarning"),
    pytest.mark.filterwarnings("ignore:The `MISSING` sentinel is no longer experimental"),
]


def rotation(name: str) -> list[str]:
    """All strings, from the one of that name on."""
    texts = list(HOSTILE.values())
    start = list(HOSTILE).index(name)
    return texts[start:] + texts[:start]


def stays_text(marked: Marked, strings: list[str]) -> None:
    """Emit, compare, and run every module that bears a text of the spec."""
    spec = marked.bearing(strings)
    files = {target: emit(spec, target) for target in EVERY_TARGET}
    assert next(differences(marked, strings, files), None) is None
    for (target, path), before in marked.modules.items():
        text = files[target][path]
        if text != before.text:
            try:
                run(path, text)
            except SchemaError as error:
                # pydantic takes no text for a value that UTF-8 cannot carry. The loader lets none so far.
                if "error extracting str" not in str(error) or not unutterable(strings):
                    raise


def unutterable(strings: list[str]) -> bool:
    return any("\ud800" <= character <= "\udfff" for text in strings for character in text)


def run(path: str, text: str) -> ModuleType:
    """What an import of the module does, its siblings being those of the real package."""
    name = path.removesuffix(".py").replace("/", ".")
    is_part = "." in name
    if is_part:
        importlib.import_module(name)
    module = ModuleType(name if is_part else f"{name}_hostile")
    if is_part:
        module.__package__ = name.rpartition(".")[0]
    else:
        sys.modules[module.__name__] = module
    exec(compile(text.encode(), path, "exec", dont_inherit=True), module.__dict__)
    return module


def test_there_are_300_strings_each_of_its_own() -> None:
    assert len(CASES) == len(HOSTILE) == len(set(HOSTILE.values())) == 300
    everything = "".join(HOSTILE.values())
    controls = {*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0))}
    bidi = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert controls | bidi | set("\u2028\u2029\ufeff\u200b\ud800\udfff\U0010ffff") <= set(everything)
    for part in (
        "'''",
        '"""',
        "*/",
        "${",
        "</script>",
        "{{",
        "{%",
        "{#",
        "\\N{",
        "# type: ignore",
        "# noqa",
        "coding:",
    ):
        assert part in everything, part
    assert any(text.endswith("\\") for text in HOSTILE.values())
    assert max(map(len, HOSTILE.values())) == 20_000


@pytest.mark.parametrize(("name", "language"), CANARIES, ids=lambda value: value)
def test_a_canary_runs_where_nothing_guards(
    name: str, language: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or its silence below would say nothing."""
    monkeypatch.chdir(tmp_path)
    home = next(case[language] for case in CASES if case["name"] == name)
    code = home.replace("@@", HOSTILE[name])
    match language:
        case "python":
            with contextlib.suppress(Exception):
                exec(compile(code.encode(), "canary", "exec", dont_inherit=True), {})
        case "jinja":
            with contextlib.suppress(TypeError):
                jinja2.Environment().from_string(code).render()
        case _:
            command = {"shell": ["sh", "-c", code], "javascript": ["node", "-e", code]}[language]
            if shutil.which(command[0]) is None:
                lacking(f"{command[0]} is missing")
            subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert (tmp_path / "canary").exists()


def test_the_hostile_strings_reach_every_text_that_is_free(spec: Spec, rotated: Marked) -> None:
    """A new field of the intermediate representation is hostile below, unless it is listed as closed."""
    assert set(slots(rotated.spec)) == set(slots(spec)), "`cut` has lost a slot"
    assert set(closed_slots(spec)) == CLOSED.keys()
    assert {"Model.name", "Mode.title", "Param.note", "Param.source", "Choice.of", "Side.says"} <= set(slots(spec))


def test_every_free_text_is_printed_where_it_should(rotated: Marked) -> None:
    """Of a text that an output drops, the comparison of the outputs below would know nothing."""
    printed: dict[str, set[str]] = {}
    for files in rotated.files.values():
        for path, text in files.items():
            folder = next((each for each in ("schemas", "src/models") if path.startswith(f"{each}/")), None)
            name = folder or path.replace(".strict", "")
            printed.setdefault(name, set()).update(rotated.slots[int(mark)] for mark in MARK.findall(text))
    assert {name: slots for name, slots in printed.items() if slots} == PRINTED
    assert set(rotated.slots) == UNPRINTED.union(*PRINTED.values())


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_string_in_every_slot_stays_text(same: Marked, name: str) -> None:
    stays_text(same, [HOSTILE[name]])


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_string_beside_other_strings_stays_text(rotated: Marked, name: str) -> None:
    """Three hundred rotations: each slot bears each string."""
    stays_text(rotated, rotation(name))


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize(
    ("way", "name"), [(SAME, "quote: triple double quotes"), (ROTATED, "line end: all")], ids=["same", "rotated"]
)
def test_the_whole_spec_stays_text(spec: Spec, way: Way, name: str, tmp_path: Path) -> None:
    """With its comments, and imported as a package: what the cut spec above leaves out has the same slots."""
    whole = Marked(spec, way)
    strings = [HOSTILE[name]] if way is SAME else rotation(name)
    spec = whole.bearing(strings)
    files = {target: emit(spec, target) for target in EVERY_TARGET}
    assert next(differences(whole, strings, files), None) is None
    for (target, path), before in whole.modules.items():
        assert Module(files[target][path]).comments() == before.comments(), path
    package = imported(files["python"], tmp_path)
    for model in spec.models:
        there = package.catalog.MODELS[model.id]
        assert (there.name, there.family) == (model.name, model.family)
        assert [mode.title for mode in there.modes] == [mode.title for mode in model.modes]
        assert [row.note for mode in there.modes for row in mode.params] == [
            row.note for mode in model.modes for row in mode.params
        ]
    assert [gap.reading for gap in package.reference.GAPS.values()] == [gap.reading for gap in spec.gaps]
    if way is SAME:
        _judges(package, spec)


def _judges(package: ModuleType, spec: Spec) -> None:
    """A hostile value is a value as others: taken, told from its neighbours, and part of the types."""
    model = spec.model("seedance-2-fast")
    row = model and model.modes[0].param("resolution")
    assert model
    assert row
    values = row.type.of  # type: ignore[union-attr]
    hints = typing.get_type_hints(package.types.Seedance2FastTextParams)
    assert typing.get_args(hints["resolution"]) == values
    for value in values:
        request = {"model": model.id, "params": {"prompt": "x", "resolution": value}}
        assert package.validate(request) == []
        assert package.is_valid(request)
        request["params"] = {"prompt": "x", "resolution": value + "x"}
        assert [problem.code for problem in package.validate(request)] == ["enum"]
        assert not package.is_valid(request)


def imported(files: Files, folder: Path) -> ModuleType:
    """The emitted package prospo under another name, read afresh, every module of it."""
    for path, text in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(text.encode())
    name = "prospo_hostile"
    for loaded in [each for each in sys.modules if each.partition(".")[0] == name]:
        del sys.modules[loaded]
    origin = folder / "prospo" / "__init__.py"
    place = importlib.util.spec_from_file_location(name, origin, submodule_search_locations=[str(origin.parent)])
    assert place is not None
    assert place.loader is not None
    package = importlib.util.module_from_spec(place)
    sys.modules[name] = package
    place.loader.exec_module(package)
    for path in files:
        if path.endswith(".py") and not path.endswith("__init__.py"):
            importlib.import_module(f"{name}.{Path(path).stem}")
    return package


def refusing(slot: str) -> Callable[[str], bool]:
    """Whether what closes a slot refuses a text."""
    by = {**CLOSED, **ALSO_CLOSED}[slot]
    if by == "meaning.rows":
        row = {"type": "list", "media": "image", "evidence": "documented", "source": "docs"}
        mode = {"id": "x", "source": "docs", "evidence": "documented"}

        def refused_keyword(text: str) -> bool:
            params = {"x": {**row, "inferred": [text]}}
            return any(rows({"id": "x", "source": "docs", "modes": [{**mode, "params": params}]}))

        return refused_keyword
    if by == "openapi.meaning":
        key = slot.partition(".")[2]
        members: dict[str, Any] = {name: {} for name in ("model", "mode", "params")}
        document = {"components": {"schemas": {"GenerateRequest": {"properties": members}}}}
        assert not list(openapi.meaning(document, None))

        def refused(text: str) -> bool:
            members["x"] = {key: text}
            return any(openapi.meaning(document, None))

        return refused
    if slot == "UploadKind.content_types":
        by += "/items"
    file, _, pointer = by.partition(" /")
    schema = json.loads((spec_root() / "schema" / file).read_text("utf-8"))
    for part in pointer.split("/"):
        schema = schema[part]
    return lambda text: any(findings(text, schema))


HARMLESS = re.compile(r"[A-Za-z0-9_.+/=:-]*")
"""A hostile string may be a word as others (null, constructor): then it is taken, and has nothing to end a literal."""
GOOD: Mapping[str, str] = {
    "Model.id": "a-1",
    "Model.kind": "video",
    "Mode.id": "a-1",
    "Param.name": "a_1",
    "Param.inferred": "minItems",
    "Param.gaps": "GAP-01",
    "Media.media": "image",
    "Price.unit": "second",
    "Price.gaps": "GAP-01",
    "UploadKind.media": "image",
    "UploadKind.content_types": "image/svg+xml",
    "Service.documentation_date": "2026-01-31",
    "Requirement.id": "AUTH-01",
    "Requirement.cost": "free",
    "Requirement.needs": "clock",
    "Requirement.gap": "GAP-01",
    "Gap.id": "GAP-01",
    "Code.id": "maxItems",
    "Alias.name": "a1",
    "openapi.in": "query",
    "openapi.type": "string",
    "openapi.$ref": "#/components/schemas/GenerateRequest",
    "Rate.low": "0.1",
    "Rate.high": "0.1",
    "Rate.low and high": "0.1",
    "Evidence": "assumed",
    "Requirement.level": "MUST",
    "source of a mode": "upstream",
    "source of a param": "mode:a-1",
    "id of a request": "a-1",
    "bytes of a request": "AAAA",
    "code of a problem": "type",
    "severity of a problem": "error",
    "id of a webhook": "a-1",
    "bytes of a webhook": "AAA=",
    "genuine signature": "0" * 64,
}
"""A text that each closed slot takes."""


@pytest.mark.parametrize("slot", [*CLOSED, *ALSO_CLOSED])
def test_a_closed_slot_refuses_every_hostile_string(slot: str) -> None:
    """Alone, and before or behind a text that it takes: `$` of a pattern must not let a line end pass."""
    refused, good = refusing(slot), GOOD[slot]
    assert not refused(good)
    texts = [text for hostile in HOSTILE.values() for text in (hostile, good + hostile, hostile + good)]
    assert [text for text in texts if not HARMLESS.fullmatch(text) and not refused(text)] == []


def test_no_pattern_of_a_schema_of_ours_lets_a_line_end_pass() -> None:
    """To Python `$` is also the place before a last line end, to ECMAScript, whose patterns these are, it is not."""

    def patterns(value: Any) -> Iterator[str]:
        match value:
            case dict():
                for key, item in value.items():
                    if key == "pattern" and isinstance(item, str):
                        yield item
                    yield from patterns(item)
            case list():
                for item in value:
                    yield from patterns(item)

    files = [path for path in (spec_root() / "schema").iterdir() if path.name != "openapi.json"]
    found = {pattern for path in files for pattern in patterns(json.loads(path.read_text("utf-8")))}
    assert len(found) > 10
    assert [pattern for pattern in sorted(found) if re.search(r"\$(?!\(\?!\\n\))", pattern)] == []


def test_the_same_spec_makes_the_same_text_twice(spec: Spec, tmp_path: Path) -> None:
    elsewhere = load(Path(shutil.copytree(spec_root(), tmp_path / "another folder")))
    for target in EVERY_TARGET:
        first = emit(spec, target)
        assert list(emit(spec, target).items()) == list(first.items())
        assert list(emit(elsewhere, target).items()) == list(first.items())


BACKWARDS = """
import os
scandir, listdir = os.scandir, os.listdir
class Backwards:
    def __init__(self, *place):
        with scandir(*place) as entries:
            self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))
    def __iter__(self): return self
    def __next__(self): return next(self.entries)
    def __enter__(self): return self
    def __exit__(self, *error): pass
    def close(self): pass
os.scandir = Backwards
os.listdir = lambda *place: sorted(listdir(*place), reverse=True)
"""
"""A file system that lists its files from the last to the first."""
SETTINGS = """
[tool.ruff]
line-length = 40
[tool.black]
skip-string-normalization = true
[tool.isort]
line_length = 40
known_first_party = ["typing", "pydantic"]
[tool.datamodel-codegen]
builtin-format-line-length = 40
"""
"""What a project may ask of its own code, and not of ours."""
DIGEST = """
import hashlib, json
from prospec.emit import emit
from prospec.loader import load
from prospec.targets import OPTIONAL, TARGETS
spec = load()
text = json.dumps([list(emit(spec, target).items()) for target in (*TARGETS, *OPTIONAL)])
print(hashlib.sha256(text.encode()).hexdigest())
"""


@pytest.mark.parametrize(
    ("program", "seed", "clock", "locale"),
    [
        (DIGEST, "0", "UTC+11", "C"),
        (BACKWARDS + DIGEST, "4294967295", "UTC-13", "tr_TR.UTF-8"),
    ],
    ids=["files in order", "files in another order"],
)
def test_the_text_does_not_hang_on_where_and_when_it_is_made(
    spec: Spec, tmp_path: Path, program: str, seed: str, clock: str, locale: str
) -> None:
    text = json.dumps([list(emit(spec, target).items()) for target in EVERY_TARGET])
    (tmp_path / "pyproject.toml").write_text(SETTINGS)
    made = {"PYTHONHASHSEED": seed, "TZ": clock, "LC_ALL": locale, "LANG": locale, "PYTHONUTF8": "0"}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        env={**os.environ, **made},
        cwd=tmp_path,
        timeout=120,
        check=False,
    )
    assert ran.stdout.decode().strip() == hashlib.sha256(text.encode()).hexdigest(), ran.stderr.decode()


def test_an_unknown_target_is_a_key_error(spec: Spec) -> None:
    with pytest.raises(KeyError):
        emit(spec, "cobol")


TEMPLATES = {
    "{{ text }}": False,
    "{{ text | upper_code }}": True,
    "{{ text | bare }}": False,
    "{{ 'constant' }}": False,
    "{{ 1 }}": False,
    "{{ none }}": False,
    "{{ text ~ (text | upper_code) }}": False,
    "{{ (text | upper_code) ~ text }}": False,
    "{% for each in texts %}{{ each }}{% endfor %}": False,
    "{% for each in texts %}{{ each | upper_code }}{% endfor %}": True,
    "{% set kept = text %}{{ kept }}": False,
    "{{ missing }}": False,
    "{{ missing | upper_code }}": False,
    "{% for each in missing %}x{% endfor %}": False,
    "{% if missing %}x{% endif %}": False,
    "plain text, { braces } and all": True,
}


@pytest.mark.parametrize(("template", "allowed"), TEMPLATES.items())
def test_a_template_prints_nothing_that_no_filter_made(
    template: str, allowed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "templates" / "toy"
    folder.mkdir(parents=True)
    (folder / "page.txt.j2").write_text(template)
    (folder / "plain.txt").write_text("{{ text }}")
    monkeypatch.setattr("prospec.emit.files", lambda package: tmp_path)

    def upper_code(value: object) -> Code:
        if not isinstance(value, str):
            raise TypeError(value)
        return Code(value.upper())

    def made() -> Files:
        filters = {"upper_code": upper_code, "bare": lambda text: f"'{text}'"}
        return render("toy", filters, {"text": "hello", "texts": ("a", "b")})

    if allowed:
        files = made()
        assert files["plain.txt"] == "{{ text }}"
        assert files["page.txt"].casefold() in ("hello", "ab", template)
    else:
        from jinja2 import UndefinedError

        with pytest.raises((TypeError, UndefinedError)):
            made()


literals = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(sorted(HOSTILE.values())),
    lambda inner: st.lists(inner).map(tuple),
)


@given(literals)
def test_a_python_literal_reads_back_as_its_value(value: object) -> None:
    code = literal(value)
    read = ast.literal_eval(code)
    assert (read, repr(read)) == (value, repr(value))
    assert unprintable(code) == set()
    assert "\n" not in code


@pytest.mark.parametrize("value", [b"x", ["x"], {"x": 1}, {"x"}, object()], ids=lambda value: type(value).__name__)
def test_what_has_no_python_literal_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        literal(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_not_finite_has_no_python_literal(value: float) -> None:
    with pytest.raises((TypeError, ValueError)):
        literal(value)


def test_an_amount_is_written_as_it_stands() -> None:
    assert [literal(Decimal(text)) for text in ("0.40", "3")] == ["Decimal('0.40')", "Decimal('3')"]


def test_evidence_is_written_as_its_word() -> None:
    assert [literal(each) for each in Evidence] == ["'documented'", "'inferred'", "'assumed'"]


def test_an_id_that_is_no_python_name_is_refused() -> None:
    for id in [*HOSTILE.values(), "", "1", "a b", *keyword.kwlist]:
        if HARMLESS.fullmatch(id) and id.replace("-", "_").isidentifier() and not keyword.iskeyword(id):
            continue
        with pytest.raises(ValueError, match="is no Python name"):
            identifier(id)


@given(st.from_regex(r"[a-z][a-z0-9]{0,3}(-[a-z0-9]{1,3}){0,3}", fullmatch=True), st.data())
def test_two_modes_have_two_function_names(id: str, data: st.DataObject) -> None:
    """Ids are lower-case words joined by single hyphens, as spec/schema/model.json has it."""
    words = id.split("-")
    cut = data.draw(st.integers(1, len(words)))
    other = data.draw(st.integers(1, len(words)))
    names = {identifier("-".join(words[:at]), "-".join(words[at:]) or "x") for at in (cut, other)}
    assert len(names) == len({cut, other})


def test_every_schema_component_has_a_name_of_its_own(spec: Spec) -> None:
    names = [type_name(model.id) for model in spec.models]
    names += [type_name(model.id, mode.id) for model in spec.models for mode in model.modes]
    assert len(set(names)) == len(names)
    assert not {f"{name}{kind}" for name in names for kind in ("Request", "Params")} & set(
        spec.openapi["components"]["schemas"]
    )
