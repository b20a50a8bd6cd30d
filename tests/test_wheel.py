"""The wheel: what is in it and what is not, and that the binding runs from it with nothing else to import."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"prospec", "prospec_conformance", "prospo"}
SHIPPED = {
    "spec": "prospec/_spec",
    "codegen/prospec": "prospec",
    "conformance/prospec_conformance": "prospec_conformance",
    "generated/python/prospo": "prospo",
}
"""Folder of the checkout -> where the wheel has it."""


def python(*arguments: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    command = [sys.executable, *arguments]
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env={**kept, **env}, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    python("-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT), cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> list[str]:
    with zipfile.ZipFile(wheel) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel alone, in a folder of its own."""
    folder = tmp_path_factory.mktemp("installed")
    target = folder / "site"
    quiet = ("--quiet", "--no-deps", "--no-index", "--no-compile", "--disable-pip-version-check")
    python("-m", "pip", "install", *quiet, "--target", str(target), str(wheel), cwd=folder)
    return target


def files(folder: str) -> set[str]:
    """The files of a folder of the checkout that belong to it, by their path below it."""
    return {
        path.relative_to(ROOT / folder).as_posix()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_top_level_is_the_three_packages_and_the_metadata(wheel: Path, names: list[str]) -> None:
    info = "-".join(wheel.name.split("-")[:2]) + ".dist-info"
    assert {name.partition("/")[0] for name in names} == PACKAGES | {info}


@pytest.mark.parametrize("folder", SHIPPED)
def test_every_file_of_the_checkout_s_folder_is_inside_byte_for_byte(folder: str, wheel: Path) -> None:
    expected = files(folder)
    assert expected
    with zipfile.ZipFile(wheel) as archive:
        packed = {name: archive.read(f"{SHIPPED[folder]}/{name}") for name in expected}
    for name in expected:
        assert packed[name] == (ROOT / folder / name).read_bytes(), name


def test_nothing_else_is_inside(names: list[str]) -> None:
    expected = {f"{place}/{name}" for folder, place in SHIPPED.items() for name in files(folder)}
    found = {name for name in names if ".dist-info/" not in name}
    assert found == expected
    assert len(names) == len(set(names))


def test_nothing_of_ours_alone_is_inside(names: list[str]) -> None:
    """No bytecode, none of our own tests, nothing hidden, no target but Python, whose package it is."""
    parts = {part for name in names for part in name.removeprefix("prospec/templates/typescript/").split("/")}
    assert not parts & {"__pycache__", "tests", "typescript", "json", "node_modules", "conftest.py"}
    assert not [name for name in names if name.endswith((".pyc", ".orig", "~"))]
    assert not [part for part in parts if part.startswith(".")]


def test_the_templates_and_the_mark_of_a_typed_package_are_inside(names: list[str]) -> None:
    assert "prospo/py.typed" in names
    assert "prospec/templates/python/prospo/py.typed" in names
    assert "prospec/templates/python/prospo/catalog.py.j2" in names
    assert sum(name.startswith("prospec/_spec/models/") for name in names) == 11


@pytest.mark.parametrize("package", ["prospec", "prospec_conformance"])
def test_each_package_bears_the_mark_of_a_typed_one(names: list[str], package: str) -> None:
    assert f"{package}/py.typed" in names


def test_the_metadata_offers_the_command_and_no_plugin_of_pytest(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        (entries,) = [name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt")]
        fields = Parser().parsestr(archive.read(metadata).decode())
        points = archive.read(entries).decode()
    assert points.split() == ["[console_scripts]", "prospec", "=", "prospec.cli:main"]
    assert {"all", "codegen", "conformance", "mock"} <= set(fields.get_all("Provides-Extra", []))
    base = {line.split(">")[0] for line in fields.get_all("Requires-Dist", []) if "extra ==" not in line}
    assert base == {"cyclopts", "rich"}


def test_the_binding_runs_from_the_wheel_with_nothing_else_to_import(installed: Path) -> None:
    program = """
import json, sys
import prospo
good = {"model": "seedance-2-fast", "params": {"prompt": "x"}}
bad = {"model": "seedance-2-fast", "params": {"prompt": "x", "duration": True}}
third_party = {name.partition(".")[0] for name in sys.modules} - set(sys.stdlib_module_names) - {"__main__"}
print(json.dumps({
    "from": prospo.__file__,
    "path": sys.path,
    "good": len(prospo.validate(good)),
    "bad": [problem.code for problem in prospo.validate(bad)],
    "json": prospo.is_valid_json(json.dumps(good).encode()),
    "third_party": sorted(third_party),
}))
"""
    ran = python("-S", "-P", "-c", program, cwd=installed.parent, PYTHONPATH=str(installed))
    found = json.loads(ran.stdout)
    assert Path(found["from"]).is_relative_to(installed)
    assert not [path for path in found["path"] if "site-packages" in path or Path(path).is_relative_to(ROOT)]
    assert (found["good"], found["bad"], found["json"]) == (0, ["type"], True)
    assert found["third_party"] == ["prospo"]


def test_the_compiler_of_the_wheel_reads_the_spec_of_the_wheel_and_makes_the_same_files(
    installed: Path, tmp_path: Path
) -> None:
    """With the wheel before the checkout on the path: what it ships is all that it needs, but for the extras."""
    program = """
import json, sys
import prospec.loader
from prospec.cli import main
root = str(prospec.loader.spec_root())
code = main(["codegen", "--check", "--out", sys.argv[1]])
print(json.dumps([root, code]))
"""
    ran = python("-P", "-c", program, str(ROOT / "generated"), cwd=tmp_path, PYTHONPATH=str(installed))
    assert json.loads(ran.stdout) == [str(installed / "prospec" / "_spec"), 0]
