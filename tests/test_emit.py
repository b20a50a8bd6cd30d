"""From a Spec to text: the same text on every run, and no string of the spec that leaves its literal.

Hostile strings are put into every free text of a Spec at once; closed words (ids, keywords, kinds of media) cannot hold
them, because the loader and the target refuse.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import keyword
import os
import shutil
import subprocess
import sys
import typing
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec.emit import Code, Files, emit, render
from prospec.ir import Choice, Evidence, Number, Size, Spec
from prospec.loader import load, spec_root
from prospec.schema import type_name
from prospec.targets import TARGETS
from prospec.targets.python import identifier, literal

HOSTILE = {
    "single quotes": "' '' '''",
    "double quotes": '" "" """',
    "code after a docstring": '"""\n    import os\n    """',
    "code after a literal": "', 'x': 1} or {'",
    "backslashes": "\\x \\u12 \\N{x} \\8 \\",
    "backslash and quote": "\\'\\\"",
    "line ends": "a\nb\rc\r\nd",
    "odd line ends": "a\u2028b\u2029c\x85d\x0ce\x0bf\x1cg",
    "escape sequence": "\x1b[31m",
    "bidirectional override": "\u202e\u2066x\u2069\u200b\ufeff",
    "template": "{{ 1 / 0 }}{% for x in y %}{# x",
    "comment": "# type: ignore",
    "beyond the basic plane": "😀\U000e0041",
    "blank ends": "  \t \n",
    "formats": "%s {0} {spec} ${HOME} `id`",
}
CLOSED = {
    "Model.id",
    "Model.kind",
    "Mode.id",
    "Param.name",
    "Param.inferred",
    "Param.gaps",
    "Media.media",
    "UploadKind.media",
    "Price.unit",
    "Price.quantity",
    "Rate.when",
    "Requirement.id",
    "Requirement.cost",
    "Gap.id",
    "Service.url_pattern",
    "Uploads.token_pattern",
}
"""Texts of a closed form: names that refer to one another, words of a list, and patterns."""


def changed(value: Any, change: Callable[[str], str], slot: str = "") -> Any:
    """The same value with every free text in it changed. Decimals, evidence and the envelope document stay."""
    if is_dataclass(value) and not isinstance(value, type):
        kind = type(value).__name__
        return replace(
            value,
            **{each.name: changed(getattr(value, each.name), change, f"{kind}.{each.name}") for each in fields(value)},
        )
    if isinstance(value, tuple):
        return tuple(changed(item, change, slot) for item in value)
    if type(value) is str and slot not in CLOSED:
        return change(value)
    return value


def slots(value: Any, slot: str = "") -> Iterator[str]:
    if is_dataclass(value):
        for each in fields(value):
            yield from slots(getattr(value, each.name), f"{type(value).__name__}.{each.name}")
    elif isinstance(value, tuple):
        for item in value:
            yield from slots(item, slot)
    elif type(value) is str:
        yield slot


def shape(source: str) -> str:
    """The syntax tree without the values of its constants."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = type(node.value).__name__
    return ast.dump(tree)


@dataclass(frozen=True)
class Hostile:
    """A Spec whose every free text bears one hostile string, and what is made of it."""

    spec: Spec
    python: Files
    json: Files
    prospo: ModuleType
    """The emitted package, imported."""


def imported(files: Files, folder: Path) -> ModuleType:
    """The emitted package prospo under another name, read afresh."""
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
    importlib.import_module(f"{name}.types")
    return package


@pytest.fixture(scope="module")
def emitted(spec: Spec) -> Files:
    return emit(spec, "python")


@pytest.fixture(scope="module", params=HOSTILE)
def hostile(request: pytest.FixtureRequest, spec: Spec, tmp_path_factory: pytest.TempPathFactory) -> Hostile:
    made: Spec = changed(spec, lambda text: f"{text}{HOSTILE[request.param]}")
    python = emit(made, "python")
    return Hostile(made, python, emit(made, "json"), imported(python, tmp_path_factory.mktemp("hostile")))


def test_the_hostile_strings_reach_every_text_that_is_free(spec: Spec) -> None:
    """A new field of the intermediate representation is either hostile below or listed as closed."""
    touched: list[str] = []

    def touch(text: str) -> str:
        touched.append(text)
        return text

    changed(spec, touch)
    assert len(touched) == sum(slot not in CLOSED for slot in slots(spec))
    assert set(slots(spec)) >= CLOSED
    assert {"Model.name", "Mode.title", "Param.note", "Param.source", "Choice.of", "Param.default"} <= set(slots(spec))


def test_hostile_text_changes_no_syntax(emitted: Files, hostile: Hostile) -> None:
    python = hostile.python
    assert python.keys() == emitted.keys()
    for path in emitted:
        if path.endswith(".py"):
            assert shape(python[path]) == shape(emitted[path]), path


def test_hostile_text_reads_back_from_the_catalog(hostile: Hostile) -> None:
    models = hostile.prospo.catalog.MODELS
    for model in hostile.spec.models:
        of_model = models[model.id]
        assert (of_model.name, of_model.family) == (model.name, model.family)
        assert (of_model.price and of_model.price.note) == (model.price and model.price.note)
        for mode, of_mode in zip(model.modes, of_model.modes, strict=True):
            assert (of_mode.id, of_mode.title, of_mode.evidence) == (mode.id, mode.title, mode.evidence)
            for row, of_row in zip(mode.params, of_mode.params, strict=True):
                found = (of_row.name, of_row.source, of_row.default, of_row.note, of_row.required)
                assert found == (row.name, row.source, row.default, row.note, row.required)
                match row.type:
                    case Choice(listed) | Size(presets=listed):
                        assert of_row.enum == listed
                    case Number(low, high, unit):
                        assert (of_row.min, of_row.max, of_row.unit) == (low, high, unit)
                    case _:
                        pass


def test_hostile_values_are_taken_by_the_checks_and_stand_in_the_types(hostile: Hostile) -> None:
    prospo = hostile.prospo
    model = hostile.spec.model("seedance-2-fast")
    assert model is not None
    row = model.modes[0].param("resolution")
    assert row is not None
    assert isinstance(row.type, Choice)
    hints = typing.get_type_hints(prospo.types.Seedance2FastTextParams)
    assert typing.get_args(hints["resolution"]) == row.type.of
    for value in row.type.of:
        request = {"model": model.id, "params": {"prompt": "x", "resolution": value}}
        assert prospo.validate(request) == []
        assert prospo.is_valid(request)
        request["params"] = {"prompt": "x", "resolution": value + "x"}
        assert [problem.code for problem in prospo.validate(request)] == ["enum"]
        assert not prospo.is_valid(request)


def test_hostile_text_reads_back_from_the_json(hostile: Hostile) -> None:
    for path, text in hostile.json.items():
        document = json.loads(text)
        if not path.startswith("schemas/"):
            continue
        model_id, mode_id = path.removeprefix("schemas/").split(".")[:2]
        model = hostile.spec.model(model_id)
        assert model is not None
        mode = model.mode(mode_id)
        assert mode is not None
        rows = document["properties"]["params"]["properties"]
        for row in mode.params:
            assert rows[row.name].get("default") == row.default
            if row.note and row.note[0].isalpha():
                assert row.note[1:] in rows[row.name]["description"]
            if isinstance(row.type, Choice):
                assert rows[row.name].get("x-expected", rows[row.name])["enum"] == list(row.type.of)


def unprintable(text: str) -> set[str]:
    return {character for character in text if character != "\n" and not character.isprintable()}


def test_hostile_text_leaves_no_unprintable_character_in_the_code(hostile: Hostile) -> None:
    """An editor or a terminal that obeys a bidirectional override or an escape sequence shows other code than runs."""
    for path in ("prospo/catalog.py", "prospo/checks.py"):
        assert unprintable(hostile.python[path]) == set(), path


@pytest.mark.parametrize("name", ["bidirectional override", "escape sequence", "odd line ends"])
def test_hostile_text_leaves_no_unprintable_character_in_the_types(spec: Spec, name: str) -> None:
    made: Spec = changed(spec, lambda text: f"{text}{HOSTILE[name]}")
    assert unprintable(emit(made, "python")["prospo/types.py"]) == set()


def test_a_lone_surrogate_can_be_written(spec: Spec) -> None:
    """Both the examples (JSON) and openapi.yaml can spell one."""
    made: Spec = changed(spec, lambda text: f"{text}\ud800")
    for target in TARGETS:
        for text in emit(made, target).values():
            text.encode()


def test_the_same_spec_makes_the_same_text_twice(spec: Spec, tmp_path: Path) -> None:
    elsewhere = load(Path(shutil.copytree(spec_root(), tmp_path / "another folder")))
    for target in TARGETS:
        first = emit(spec, target)
        assert list(emit(spec, target).items()) == list(first.items())
        assert emit(elsewhere, target) == first


def test_the_text_does_not_hang_on_the_hash_seed_the_clock_or_the_folder(spec: Spec, tmp_path: Path) -> None:
    program = (
        "import hashlib, json; from prospec.emit import emit; from prospec.loader import load\n"
        "from prospec.targets import TARGETS\n"
        "text = json.dumps([list(emit(load(), target).items()) for target in TARGETS])\n"
        "print(hashlib.sha256(text.encode()).hexdigest())"
    )
    text = json.dumps([list(emit(spec, target).items()) for target in TARGETS])
    running = [
        subprocess.Popen(
            [sys.executable, "-c", program],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONHASHSEED": seed, "TZ": f"UTC+{seed}", "LC_ALL": "C", "PYTHONUTF8": seed},
            cwd=tmp_path,
        )
        for seed in ("0", "1")
    ]
    digests = [process.communicate(timeout=60)[0].decode().strip() for process in running]
    assert digests == [hashlib.sha256(text.encode()).hexdigest()] * 2


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


@pytest.mark.parametrize(
    "value", [Decimal("0.1"), b"x", ["x"], {"x": 1}, {"x"}, object()], ids=lambda value: type(value).__name__
)
def test_what_has_no_python_literal_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        literal(value)


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_is_not_finite_has_no_python_literal(value: float) -> None:
    with pytest.raises((TypeError, ValueError)):
        literal(value)


def test_evidence_is_written_as_its_word() -> None:
    assert [literal(each) for each in Evidence] == ["'documented'", "'inferred'", "'assumed'"]


@pytest.mark.parametrize("id", [*HOSTILE.values(), "", "1", "a b", *keyword.kwlist])
def test_an_id_that_is_no_python_name_is_refused(id: str) -> None:
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
