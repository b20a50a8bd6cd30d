"""generated/ is what the spec makes today, and what it holds is well-formed; `codegen` and its `--check`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import prospo
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
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


def test_there_are_two_schemas_for_each_mode_and_two_documents(spec: Spec) -> None:
    schemas = {f"schemas/{model}.{mode}{strict}.json" for model, mode in PAIRS for strict in ("", ".strict")}
    assert len(schemas) == 48
    assert emit(spec, "json").keys() == schemas | {"openapi.json", "openapi.strict.json"}


@pytest.mark.parametrize("strict", ["", ".strict"])
def test_every_schema_is_a_json_schema_of_2020_12(strict: str) -> None:
    for model, mode in PAIRS:
        schema = document(f"schemas/{model}.{mode}{strict}.json")
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("strict", ["", ".strict"])
def test_the_bundled_document_is_openapi_3_1(strict: str) -> None:
    bundled = document(f"openapi{strict}.json")
    assert [error.message for error in OpenAPIV31SpecValidator(bundled).iter_errors()] == []
    union = bundled["components"]["schemas"]["GenerateRequest"]
    assert list(union["discriminator"]["mapping"]) == list(MODELS)
    assert [branch["$ref"] for branch in union["oneOf"]] == list(union["discriminator"]["mapping"].values())


@pytest.mark.parametrize("strict", ["", ".strict"])
def test_every_reference_of_the_bundled_document_leads_somewhere(strict: str) -> None:
    bundled = document(f"openapi{strict}.json")

    def references(value: Any) -> list[str]:
        match value:
            case {"$ref": str(reference)}:
                return [reference]
            case dict():
                return [each for item in value.values() for each in references(item)]
            case list():
                return [each for item in value for each in references(item)]
            case _:
                return []

    found = references(bundled)
    assert len(found) > len(PAIRS)
    for reference in found:
        value = bundled
        for part in reference.removeprefix("#/").split("/"):
            value = value[part.replace("~1", "/").replace("~0", "~")]


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
