"""Who may know whom: the three packages by the syntax of their imports, and by what importing them loads.

The binding knows nobody. The compiler knows the binding only where it runs it. The suite and the mock know the spec,
never the compiler's targets; the mock decides params by a route of its own, so it does not know the binding's rules.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HOMES = {
    "prospec": ROOT / "codegen",
    "prospec_conformance": ROOT / "conformance",
    "prospo": ROOT / "generated" / "python",
}
"""Import package -> its src root."""
RUNS_THE_BINDING = {
    *("prospec.batch", "prospec.cli", "prospec.cluster", "prospec.columns", "prospec.explaining", "prospec.judging"),
    *("prospec.listing", "prospec.quick", "prospec.quoting", "prospec.validating", "prospec.webhook_command"),
}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "core", "manager", "misc"}


@dataclass(frozen=True)
class Import:
    """One name that a module imports, resolved: `module` is the longest part of it that is a module of ours."""

    importer: str
    module: str
    line: int

    def __str__(self) -> str:
        return f"{self.importer}:{self.line} imports {self.module}"


def modules(package: str) -> dict[str, Path]:
    """Every module of a package, by its dotted name. Templates are data, not modules."""
    home = HOMES[package]
    found = {}
    for path in sorted((home / package).rglob("*.py")):
        parts = path.relative_to(home).with_suffix("").parts
        if "templates" not in parts:
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


OURS = {name: path for package in HOMES for name, path in modules(package).items()}


def owner(name: str) -> str:
    """The module that a dotted name leads to: `prospec.ir.Spec` to prospec.ir, `json.loads` to itself."""
    while name not in OURS and name.partition(".")[0] in HOMES and "." in name:
        name = name.rpartition(".")[0]
    return name


def imports_in(tree: ast.AST, importer: str, is_package: bool) -> Iterator[Import]:
    """Every import, wherever it stands: in functions and under TYPE_CHECKING too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(importer, owner(alias.name), node.lineno)
        elif isinstance(node, ast.ImportFrom):
            parts = importer.split(".")
            kept = len(parts) - node.level + is_package
            stem = ".".join([*parts[:kept], *([node.module] if node.module else [])]) if node.level else node.module
            for alias in node.names:
                yield Import(importer, owner(f"{stem}.{alias.name}"), node.lineno)


def imports(package: str) -> list[Import]:
    return [
        each
        for name, path in modules(package).items()
        for each in imports_in(ast.parse(path.read_text("utf-8")), name, path.name == "__init__.py")
    ]


def is_within(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(f"{package}.") for package in packages)


def told(found: list[Import]) -> str:
    return "\n".join(map(str, found))


def test_the_walk_resolves_every_form_of_import() -> None:
    source = """
import json
import prospec.ir
from prospec import loader, load
from . import strategies
from .. import probe as other
from ..suite.test_auth import something
from .config import MockConfig
def lazily():
    from prospo.price import cost_usd
"""
    found = [each.module for each in imports_in(ast.parse(source), "prospec_conformance.mock.app", False)]
    assert found == [
        "json",
        "prospec.ir",
        "prospec.loader",
        "prospec",
        "prospec_conformance.mock",
        "prospec_conformance.probe",
        "prospec_conformance.suite.test_auth",
        "prospec_conformance.mock.config",
        "prospo.price",
    ]
    of_package = [each.module for each in imports_in(ast.parse("from . import app"), "prospec_conformance.mock", True)]
    assert of_package == ["prospec_conformance.mock.app"]


def test_each_package_has_modules_to_walk() -> None:
    assert all(len(modules(package)) > 5 for package in HOMES)
    assert all(imports(package) for package in HOMES)


OF_EXTRAS = {("prospo.client", "httpx2"), ("prospo.transport", "httpx2"), ("prospo.progress", "rich")}
OF_EXTRAS |= {("prospo.decoders", "msgspec")}
"""What the extras `client` and `fast` bring. Nothing imports these modules before they are needed."""


def test_the_binding_imports_the_standard_library_and_itself() -> None:
    foreign = [
        each
        for each in imports("prospo")
        if not is_within(each.module, "prospo")
        and each.module.partition(".")[0] not in sys.stdlib_module_names
        and (each.importer, each.module.partition(".")[0]) not in OF_EXTRAS
    ]
    assert not foreign, told(foreign)


def test_the_compiler_imports_the_binding_only_where_it_runs_it() -> None:
    found = [each for each in imports("prospec") if is_within(each.module, "prospo")]
    assert {each.importer for each in found} == RUNS_THE_BINDING
    assert not [each for each in imports("prospec") if is_within(each.module, "prospec_conformance")]


def test_the_compiler_names_the_suite_in_one_place() -> None:
    """By name only, in the lazy commands of the CLI: the base install has to work without the suite's extras."""
    naming = {
        path.relative_to(HOMES["prospec"]).as_posix()
        for path in (HOMES["prospec"] / "prospec").rglob("*")
        if path.is_file() and path.suffix != ".pyc" and "prospec_conformance" in path.read_text("utf-8")
    }
    assert naming == {"prospec/cli.py"}


def test_the_mock_knows_the_spec_and_the_prices_and_nothing_of_the_suite() -> None:
    mock = [each for each in imports("prospec_conformance") if is_within(each.importer, "prospec_conformance.mock")]
    assert mock
    from_suite = [
        each
        for each in mock
        if is_within(each.module, "prospec_conformance") and not is_within(each.module, "prospec_conformance.mock")
    ]
    assert not from_suite, told(from_suite)
    # A scenario is told what is wrong with it as the spec is: with the line.
    written = ("prospec.positions", "prospec.reading", "prospec.shape")
    readers = ("prospec.ir", "prospec.loader", "prospec.schema", "prospec.example", *written)
    from_compiler = [
        each for each in mock if is_within(each.module, "prospec") and not is_within(each.module, *readers)
    ]
    assert not from_compiler, told(from_compiler)
    from_binding = [each for each in mock if is_within(each.module, "prospo") and each.module != "prospo.price"]
    assert not from_binding, told(from_binding)


def test_the_suite_knows_nothing_of_the_binding_but_its_prices() -> None:
    found = [
        each
        for each in imports("prospec_conformance")
        if is_within(each.module, "prospo") and each.module != "prospo.price"
    ]
    assert not found, told(found)


def test_the_suite_knows_nothing_of_the_compiler_s_targets() -> None:
    targets = ("prospec.targets", "prospec.emit", "prospec.output", "prospec.judging", "prospec.listing")
    found = [each for each in imports("prospec_conformance") if is_within(each.module, *targets)]
    assert not found, told(found)


def test_no_module_has_a_name_that_says_nothing() -> None:
    vague = [name for name in OURS if VAGUE & set(name.split("."))]
    assert not vague


@pytest.mark.parametrize("package", HOMES)
def test_a_src_root_holds_one_import_package(package: str) -> None:
    found = {path.name for path in HOMES[package].iterdir() if path.name != "__pycache__"}
    assert found == {package}
    assert (HOMES[package] / package / "__init__.py").is_file()


def process(program: str, **env: str) -> str:
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **env}
    command = [sys.executable, "-c", program]
    ran = subprocess.run(command, capture_output=True, text=True, env=environment, cwd="/", timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def loaded_by(statement: str) -> set[str]:
    """The top-level modules that one statement adds to a fresh interpreter."""
    program = f"import sys, json; old = set(sys.modules); {statement}; print(json.dumps([*(sys.modules.keys() - old)]))"
    return {name.partition(".")[0] for name in json.loads(process(program))}


def test_nothing_else_of_the_checkout_can_be_imported() -> None:
    program = (
        "from importlib.util import find_spec; import json\n"
        "names = ['prospec', 'prospec_conformance', 'prospo', 'codegen', 'conformance', 'generated', 'tests', 'spec']\n"
        "print(json.dumps([name for name in names if find_spec(name)]))"
    )
    assert set(json.loads(process(program))) == HOMES.keys()


def test_importing_the_binding_loads_the_standard_library_alone() -> None:
    loaded = loaded_by("import prospo; prospo.validate({}); prospo.is_valid_json(b'{}')")
    assert "prospo" in loaded
    assert {name for name in loaded if name not in sys.stdlib_module_names} == {"prospo"}


HEAVY = {
    "jinja2",
    "datamodel_code_generator",
    "jsonschema",
    "ruamel",
    "hypothesis",
    "schemathesis",
    "pytest",
    "_pytest",
    "starlette",
    "uvicorn",
    "httpx2",
    "prospec_conformance",
}
"""What the extras bring: a command that needs none of it must not load it."""


@pytest.mark.parametrize(
    "statement",
    [
        "import prospec",
        "import prospec.cli",
        "from prospec.cli import main; main(['--version'])",
        "from prospec.cli import main; main(['models', 'kling-o3', '--format', 'json'])",
        "from prospec.cli import main; main(['validate', '/dev/null'])",
    ],
)
def test_the_light_commands_load_nothing_heavy(statement: str) -> None:
    quiet = "import os; sys.stdout = open(os.devnull, 'w'); sys.stderr = sys.stdout"
    loud = "sys.stdout = sys.__stdout__"
    assert not loaded_by(f"{quiet}; {statement}; {loud}") & HEAVY


def test_importing_the_compiler_loads_the_standard_library_alone() -> None:
    assert {name for name in loaded_by("import prospec") if name not in sys.stdlib_module_names} == {"prospec"}


WITHOUT_EXTRAS = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {heavy}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
from prospec.cli import main
sys.exit(main({arguments}))
"""


def base_install(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a command as if none of the extras were installed."""
    program = WITHOUT_EXTRAS.format(heavy=sorted(HEAVY - {"prospec_conformance"}), arguments=list(arguments))
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("codegen", "--check", "--out", "/nowhere"), "codegen"),
        (("mock",), "mock"),
        (("conformance", "run"), "conformance"),
    ],
    ids=["codegen", "mock", "conformance run"],
)
def test_a_command_whose_extra_is_missing_says_which_to_install(arguments: tuple[str, ...], extra: str) -> None:
    ran = base_install(*arguments)
    assert (ran.returncode, ran.stdout) == (2, ""), ran.stderr
    assert f"prospec[{extra}]" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--version",), 0),
        (("--help",), 0),
        (("models",), 0),
        (("validate", "--help"), 0),
        (("nope",), 2),
        (("validate", "--nope"), 2),
    ],
    ids=str,
)
def test_the_base_install_does_the_rest(arguments: tuple[str, ...], code: int) -> None:
    ran = base_install(*arguments)
    assert ran.returncode == code, ran.stderr
    assert "Traceback" not in ran.stderr
