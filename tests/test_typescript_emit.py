"""The TypeScript that is emitted: no string of the spec leaves its literal or its comment, and none of them runs.

As in test_emit.py, every free text of a Spec bears hostile strings, and the output is compared with that of the same
Spec whose texts bear plain marks. The parser is TypeScript's own; what it has parsed is compiled, and run under node.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from node import TOOLS, installed, node
from prospec.emit import Files, emit
from prospec.ir import Evidence, Spec
from prospec.targets.typescript import RESERVED, comment, constant, identifier, literal
from test_emit import HARMLESS, HOSTILE, ROTATED, SAME, Marked, Way, cut, not_equal, rotation, unprintable

pytestmark = pytest.mark.filterwarnings("ignore:format of .* not understood:UserWarning")
TARGET = "typescript"
LITERALS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=()))
    | st.sampled_from(sorted(HOSTILE.values())),
    lambda inner: st.lists(inner).map(tuple),
)


class Parser:
    """Node.js with TypeScript, in a folder where a canary would leave its file."""

    def __init__(self, cage: Path) -> None:
        self.cage = cage
        installed(TOOLS)
        command = [node(), TOOLS / "syntax.mjs"]
        self._process = subprocess.Popen(command, cwd=cage, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, **question: Any) -> dict[str, Any]:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        assert list(self.cage.iterdir()) == [], "a canary ran"
        return answer

    def close(self) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(60)


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parser]:
    parser = Parser(tmp_path_factory.mktemp("cage"))
    yield parser
    parser.close()


@pytest.fixture(scope="module")
def same(spec: Spec) -> Marked:
    return Marked(cut(spec), SAME)


@pytest.fixture(scope="module")
def rotated(spec: Spec) -> Marked:
    return Marked(cut(spec), ROTATED)


def in_comment(text: str) -> str:
    """A text as a comment has it: all printable, without what ends a comment or a script, or begins a tag."""
    shown = "".join(each if each.isprintable() else escaped(each) for each in text)
    return shown.replace("*/", "*\\/").replace("@", "\\@").replace("</", "<\\/")


def escaped(character: str) -> str:
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]


def differences(marked: Marked, strings: list[str], files: Files, parser: Parser) -> Iterator[str]:
    """Where an output is not the marked one with the strings in the place of the marks."""
    before = parser.ask(files=marked.files[TARGET])["trees"]
    after = parser.ask(files=files)["trees"]
    if files.keys() != marked.files[TARGET].keys():
        yield "other files"
    for path, tree in after.items():
        yield from (f"{path}: {error}" for error in tree["errors"])
        if unprintable(files[path]):
            yield f"{path}: holds {unprintable(files[path])}"
        if "</" in files[path]:
            yield f"{path}: ends a script"
        if tree["skeleton"] != before[path]["skeleton"] or len(tree["comments"]) != len(before[path]["comments"]):
            yield f"{path}: another syntax tree"
            continue
        for mark, there in zip(before[path]["texts"], tree["texts"], strict=True):
            if mark.startswith('{"model"'):
                yield from not_equal(json.loads(mark), json.loads(there), marked, strings, path)
            elif there != (wanted := marked.expected(mark, strings, path)):
                yield f"{path}: {there!r}, expected {wanted!r}"
        for mark, there in zip(before[path]["comments"], tree["comments"], strict=True):
            inner = marked.expected(mark[4:-3], strings)
            if there != mark and there != f"/** {in_comment(inner)} */":
                yield f"{path}: {there!r}, expected {inner!r}"


@pytest.mark.parametrize("name", HOSTILE)
def test_a_string_in_every_slot_stays_text(same: Marked, parser: Parser, name: str) -> None:
    files = emit(same.bearing([HOSTILE[name]]), TARGET)
    assert next(differences(same, [HOSTILE[name]], files, parser), None) is None


@pytest.mark.parametrize("name", HOSTILE)
def test_a_string_beside_other_strings_stays_text(rotated: Marked, parser: Parser, name: str) -> None:
    strings = rotation(name)
    files = emit(rotated.bearing(strings), TARGET)
    assert next(differences(rotated, strings, files, parser), None) is None


@pytest.mark.parametrize(
    ("way", "name"),
    [(SAME, "JavaScript: template literal, closed"), (ROTATED, "JavaScript: block comment")],
    ids=["same", "rotated"],
)
def test_the_whole_spec_stays_text_and_judges(spec: Spec, parser: Parser, way: Way, name: str) -> None:
    """A hostile value is a value as others: taken, and told from its neighbours."""
    whole = Marked(spec, way)
    strings = [HOSTILE[name]] if way is SAME else rotation(name)
    hostile = whole.bearing(strings)
    files = emit(hostile, TARGET)
    assert next(differences(whole, strings, files, parser), None) is None
    model = hostile.model("seedance-2-fast")
    row = model and model.modes[0].param("resolution")
    assert row
    values: tuple[str, ...] = row.type.of  # type: ignore[union-attr]
    requests = [
        {"model": "seedance-2-fast", "params": {"prompt": "x", "resolution": value + more}}
        for value in values
        for more in ("", "x")
    ]
    said = parser.ask(files=files, requests=requests)["verdicts"]
    codes = [[problem["code"] for problem in each["problems"]] for each in said]
    assert codes == [[], ["enum"]] * len(values)
    assert [each["valid"] for each in said] == [True, False] * len(values)


def test_the_parser_sees_what_is_not_as_it_was(parser: Parser) -> None:
    """Or its silence above would say nothing."""
    benign = {"src/x.ts": '/** A text. */\nexport const x = "a text";\n'}
    changed = {
        "skeleton": '/** A text. */\nexport const x = "a" + "text";\n',
        "errors": '/** A text. */\nexport const x = "a text;\n',
        "comments": '/** A text. *//* x */\nexport const x = "a text";\n',
        "texts": '/** A text. */\nexport const x = "another text";\n',
    }
    before = parser.ask(files=benign)["trees"]["src/x.ts"]
    tagged = parser.ask(files={"src/x.ts": '/** @deprecated */\nexport const x = "a text";\n'})["trees"]["src/x.ts"]
    assert tagged["skeleton"] != before["skeleton"]
    for part, text in changed.items():
        after = parser.ask(files={"src/x.ts": text})["trees"]["src/x.ts"]
        assert after[part] != before[part]


def as_doubles(value: Any) -> Any:
    return json.loads(json.dumps(value), parse_int=float)


@given(st.lists(LITERALS, max_size=20))
def test_a_literal_reads_back_as_its_value(parser: Parser, values: list[Any]) -> None:
    codes = [literal(value) for value in values]
    assert as_doubles(parser.ask(literals=codes)["values"]) == as_doubles(values)
    for code in codes:
        assert unprintable(code) == set()
        assert "\n" not in code
        assert "</" not in code


@given(st.lists(st.text(st.characters(exclude_categories=())) | st.sampled_from(sorted(HOSTILE.values())), max_size=20))
def test_a_comment_is_a_comment_and_nothing_else(parser: Parser, texts: list[str]) -> None:
    files = {f"src/{index}.ts": f"{comment(text)}\nexport const x = 1;\n" for index, text in enumerate(texts)}
    plain = parser.ask(files={"src/x.ts": "/** x */\nexport const x = 1;\n"})["trees"]["src/x.ts"]
    for index, tree in enumerate(parser.ask(files=files)["trees"].values()):
        assert tree["errors"] == []
        assert tree["skeleton"] == plain["skeleton"]
        assert tree["comments"] == [comment(texts[index])]
        assert unprintable(comment(texts[index])) == set()


@pytest.mark.parametrize(
    "value", [b"x", ["x"], {"x": 1}, {"x"}, object, 2**53, -(2**53), float("inf"), float("nan")], ids=repr
)
def test_what_has_no_literal_is_refused(value: object) -> None:
    with pytest.raises(TypeError):
        literal(value)


def test_evidence_is_written_as_its_word() -> None:
    assert [literal(each) for each in Evidence] == ['"documented"', '"inferred"', '"assumed"']


CONSTANTS: Mapping[str, str] = {
    "seedance-2-fast": "seedance2Fast",
    "kling-o3": "klingO3",
    "import": "import_",
    "class": "class_",
    "is-media": "isMedia_",
}


@pytest.mark.parametrize(("id", "name"), CONSTANTS.items())
def test_a_model_has_a_name_that_no_word_of_the_language_is(id: str, name: str, parser: Parser) -> None:
    assert constant(id) == name
    assert parser.ask(files={"src/x.ts": f"export const {name} = 1;"})["trees"]["src/x.ts"]["errors"] == []


def test_an_id_that_is_no_name_is_refused() -> None:
    for name in [*HOSTILE.values(), "", "1", "a b", "a-b", "é", *RESERVED]:
        if HARMLESS.fullmatch(name) and name.isidentifier() and name not in RESERVED:
            continue
        with pytest.raises(ValueError, match="is no TypeScript name"):
            identifier(name)


def test_two_exports_of_one_name_are_refused(spec: Spec) -> None:
    model = spec.models[0]
    with pytest.raises(ValueError, match="would be called"):
        emit(replace(spec, models=(model, replace(model, id="gpt-image2"))), TARGET)
