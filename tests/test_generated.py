"""generated/ is what the spec makes today, and what it holds is well-formed; `codegen` and its `--check`."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import prospo
import pytest
from jsonschema import Draft202012Validator
from prospec.emit import emit
from prospec.ir import Spec
from prospec.output import Difference, compare, write
from prospec.targets import TARGETS
from prospo.catalog import MODELS

Prospec = Callable[..., CompletedProcess[str]]
GENERATED = Path(__file__).parents[1] / "generated"
PAIRS = [(model.id, mode.id) for model in MODELS.values() for mode in model.modes]


def document(path: str) -> Any:
    return json.loads((GENERATED / "json" / path).read_text("utf-8"))


@pytest.mark.parametrize("target", TARGETS)
def test_the_generated_files_are_current(spec: Spec, target: str) -> None:
    assert compare(emit(spec, target), GENERATED / target) == []


def test_each_folder_of_generated_belongs_to_a_target() -> None:
    assert {path.name for path in GENERATED.iterdir()} == TARGETS.keys()


def test_there_are_two_schemas_for_each_mode_two_documents_and_the_vectors(spec: Spec) -> None:
    schemas = {f"schemas/{model}.{mode}{strict}.json" for model, mode in PAIRS for strict in ("", ".strict")}
    assert len(schemas) == 48
    assert emit(spec, "json").keys() == schemas | {"openapi.json", "openapi.strict.json", "vectors.json"}


@pytest.mark.parametrize("strict", ["", ".strict"])
def test_every_schema_is_a_json_schema_of_2020_12(strict: str) -> None:
    for model, mode in PAIRS:
        schema = document(f"schemas/{model}.{mode}{strict}.json")
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_the_example_of_each_mode_is_valid_under_every_decider(model: str, mode: str) -> None:
    found = MODELS[model].mode(mode)
    assert found is not None
    example = json.loads(found.example)
    assert example["model"] == model
    assert example.get("mode") == (mode if found.on_wire else None)
    assert prospo.validate(example) == []
    assert prospo.is_valid(example)
    for strict in ("", ".strict"):
        validator = Draft202012Validator(document(f"schemas/{model}.{mode}{strict}.json"))
        assert [error.message for error in validator.iter_errors(example)] == []


def test_codegen_writes_what_check_then_finds_current(prospec: Prospec, spec: Spec, tmp_path: Path) -> None:
    stale = prospec("codegen", "--check", "--out", str(tmp_path))
    assert stale.returncode == 1
    assert not any(tmp_path.iterdir()), "--check writes nothing"
    missing = [f"missing: {tmp_path / target / path}" for target in TARGETS for path in emit(spec, target)]
    assert stale.stdout.splitlines() == missing

    written = prospec("codegen", "--out", str(tmp_path))
    assert (written.returncode, written.stdout.splitlines()) == (0, missing)
    assert prospec("codegen", "--check", "--out", str(tmp_path)).returncode == 0
    assert prospec("codegen", "--out", str(tmp_path)).stdout == ""


def changed(path: Path) -> None:
    path.write_text(path.read_text("utf-8") + " ", "utf-8")


def with_other_line_ends(path: Path) -> None:
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("change", "state"),
    [(changed, "differs"), (with_other_line_ends, "differs"), (Path.unlink, "missing"), (a_folder, "missing")],
)
def test_check_names_the_one_file_that_is_not_current(
    prospec: Prospec, tmp_path: Path, change: Callable[[Path], None], state: str
) -> None:
    assert prospec("codegen", "json", "--out", str(tmp_path)).returncode == 0
    victim = tmp_path / "json" / "schemas" / "kling-o3.text.json"
    change(victim)
    ran = prospec("codegen", "json", "--check", "--out", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (1, f"{state}: {victim}\n")


def test_a_file_that_is_not_ours_is_named_and_left_alone(prospec: Prospec, tmp_path: Path) -> None:
    assert prospec("codegen", "json", "--out", str(tmp_path)).returncode == 0
    foreign = tmp_path / "json" / "schemas" / "notes.txt"
    foreign.write_text("mine")
    for arguments in (("--check",), ()):
        ran = prospec("codegen", "json", *arguments, "--out", str(tmp_path))
        assert (ran.returncode, ran.stdout) == (1, f"not ours: {foreign}\n")
    assert foreign.read_text() == "mine"


def test_what_tools_leave_behind_is_nobody_s_file(tmp_path: Path) -> None:
    for path in ("__pycache__/x.pyc", "prospo/__pycache__/x.pyc", "node_modules/x/index.js", "dist/index.js"):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text("")
    assert compare({}, tmp_path) == []
    (tmp_path / "distant.js").write_text("")
    assert compare({}, tmp_path) == [Difference("distant.js", "not ours")]


def test_what_lies_beside_the_targets_is_not_ours(prospec: Prospec, tmp_path: Path) -> None:
    assert prospec("codegen", *TARGETS, "pydantic", "--out", str(tmp_path)).returncode == 0
    for path in ("stray.txt", "cobol/src/main.cob", "cobol/package.json", "__pycache__/x.pyc"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text("")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "linked").symlink_to("json")
    strays = ("cobol/package.json", "cobol/src/main.cob", "dangling", "linked", "stray.txt")
    ran = prospec("codegen", "--check", "--out", str(tmp_path))
    assert ran.stdout.splitlines() == [f"not ours: {tmp_path / path}" for path in strays]
    assert ran.returncode == 1
    # Who names a target asks for no more, and who writes may write into a folder of his own.
    for arguments in (("json", "--check"), ()):
        ran = prospec("codegen", *arguments, "--out", str(tmp_path))
        assert (ran.returncode, ran.stdout) == (0, "")


def test_a_file_in_the_place_of_a_target_s_folder_is_not_ours(prospec: Prospec, tmp_path: Path) -> None:
    (tmp_path / "json").write_text("")
    ran = prospec("codegen", "--check", "--out", str(tmp_path))
    assert ran.stdout.splitlines()[-1] == f"not ours: {tmp_path / 'json'}"
    assert f"missing: {tmp_path / 'json' / 'openapi.json'}" in ran.stdout.splitlines()


def test_an_empty_folder_is_no_file(prospec: Prospec, tmp_path: Path) -> None:
    """Neither git nor a wheel carries one."""
    assert prospec("codegen", "--out", str(tmp_path)).returncode == 0
    (tmp_path / "empty" / "folder").mkdir(parents=True)
    (tmp_path / "json" / "empty").mkdir()
    ran = prospec("codegen", "--check", "--out", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (0, "")


def test_a_link_in_the_place_of_a_file_differs_and_is_replaced(prospec: Prospec, tmp_path: Path) -> None:
    """It would take what is written to another place, and a wheel would not have it."""
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere.json"
    assert prospec("codegen", "json", "--out", str(out)).returncode == 0
    ours = out / "json" / "openapi.json"
    text = ours.read_text("utf-8")
    for there in (text, "mine", None):
        ours.unlink()
        ours.symlink_to(elsewhere)
        elsewhere.unlink(missing_ok=True)
        if there is not None:
            elsewhere.write_text(there, "utf-8")
        for arguments in (("--check",), ()):
            ran = prospec("codegen", "json", *arguments, "--out", str(out))
            assert ran.stdout == f"differs: {ours}\n"
        assert ran.returncode == 0
        assert not ours.is_symlink()
        assert ours.read_text("utf-8") == text
        assert (elsewhere.read_text("utf-8") if elsewhere.exists() else None) == there


def test_a_link_in_the_place_of_a_folder_is_not_written_through(prospec: Prospec, tmp_path: Path) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    assert prospec("codegen", "json", "--out", str(out)).returncode == 0
    schemas = out / "json" / "schemas"
    schemas.rename(elsewhere)
    schemas.symlink_to(elsewhere)
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    ran = prospec("codegen", "json", "--check", "--out", str(out))
    named = [f"missing: {schemas / name}" for name in before] + [f"not ours: {schemas}"]
    assert (ran.returncode, sorted(ran.stdout.splitlines())) == (1, sorted(named))
    next(elsewhere.iterdir()).write_text("mine")
    before = {path.name: path.read_bytes() for path in elsewhere.iterdir()}
    ran = prospec("codegen", "json", "--out", str(out))
    assert ran.returncode == 2
    assert f"{schemas}: a link, expected a folder" in ran.stderr
    assert {path.name: path.read_bytes() for path in elsewhere.iterdir()} == before


def test_a_link_that_is_not_ours_is_named_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("")
    (tmp_path / "out" / "round").symlink_to(tmp_path / "out")
    (tmp_path / "out" / "folder").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "out" / "dangling").symlink_to("nowhere")
    named = [Difference(path, "not ours") for path in ("dangling", "folder", "round")]
    assert compare({}, tmp_path / "out") == named


def test_a_pipe_is_no_file_of_ours(tmp_path: Path) -> None:
    """To write into one would wait for ever."""
    os.mkfifo(tmp_path / "ours")
    os.mkfifo(tmp_path / "theirs")
    assert compare({"ours": "text"}, tmp_path) == [Difference("ours", "missing"), Difference("theirs", "not ours")]
    write({"ours": "text"}, tmp_path)
    assert (tmp_path / "ours").read_text() == "text"


def test_an_unreadable_file_is_named_with_the_others(
    prospec: Prospec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prospec("codegen", "json", "--out", str(tmp_path)).returncode == 0
    unreadable, missing = tmp_path / "json" / "openapi.json", tmp_path / "json" / "vectors.json"
    missing.unlink()
    read = Path.read_bytes

    def refusing(path: Path) -> bytes:
        if path == unreadable:
            raise PermissionError(13, "Permission denied", str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refusing)
    ran = prospec("codegen", "json", "--check", "--out", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (1, f"unreadable: {unreadable}\nmissing: {missing}\n")


def test_a_folder_that_cannot_be_listed_is_a_usage_error(
    prospec: Prospec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prospec("codegen", "--out", str(tmp_path)).returncode == 0
    closed = tmp_path / "notes"
    closed.mkdir()
    listed = Path.iterdir

    def refusing(path: Path) -> Iterator[Path]:
        if path == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(Path, "iterdir", refusing)
    ran = prospec("codegen", "--check", "--out", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{closed}: Permission denied" in ran.stderr


def test_a_name_that_no_terminal_should_obey_is_escaped(prospec: Prospec, tmp_path: Path) -> None:
    assert prospec("codegen", "--out", str(tmp_path)).returncode == 0
    for folder in (tmp_path, tmp_path / "json"):
        (folder / "a\nmissing: b\x1b[31m").write_text("")
    ran = prospec("codegen", "--check", "--out", str(tmp_path))
    name = r"a\nmissing: b\x1b[31m"
    assert ran.stdout.splitlines() == [f"not ours: {tmp_path / 'json' / name}", f"not ours: {tmp_path / name}"]


def test_codegen_makes_only_the_targets_it_is_given(prospec: Prospec, tmp_path: Path) -> None:
    assert prospec("codegen", "json", "--out", str(tmp_path)).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["json"]


def test_an_unknown_target_is_a_usage_error_that_names_the_known_ones(prospec: Prospec, tmp_path: Path) -> None:
    ran = prospec("codegen", "json", "cobol", "--out", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "cobol" in ran.stderr
    assert all(target in ran.stderr for target in TARGETS)
    assert not any(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written_is_a_usage_error(prospec: Prospec, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = prospec("codegen", "json", "--out", str(tmp_path / "file"))
    assert ran.returncode == 2
    assert str(tmp_path / "file") in ran.stderr


def test_writing_touches_only_what_differs(tmp_path: Path) -> None:
    files = {"a.txt": "a\n", "b/c.txt": "c\r\nd\u2028"}
    assert {difference.path for difference in write(files, tmp_path)} == files.keys()
    before = (tmp_path / "a.txt").stat().st_mtime_ns
    (tmp_path / "b" / "c.txt").write_text("other")
    assert write(files, tmp_path) == [Difference("b/c.txt", "differs")]
    assert (tmp_path / "a.txt").stat().st_mtime_ns == before
    assert (tmp_path / "b" / "c.txt").read_bytes() == files["b/c.txt"].encode()
