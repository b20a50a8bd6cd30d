"""How long it takes to compile the spec, each target by itself and cold, beside generators of other makes; and growth.

`make bench` runs it. Each is a process of its own, measured by its CPU time. The peers make what they make out of the
same bundle, generated/json/openapi.json. Growth is measured on specs of up to 500 models, copies of the real ones in a
temporary folder. Here live no assertions; tests/test_bench_start.py sees that this runs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prospec.loader import spec_root
from prospec.targets import OPTIONAL, TARGETS
from rich.console import Console
from rounds import (
    FOLDER,
    ROOT,
    WIDTH,
    Work,
    command,
    installed,
    installed_by_npm,
    keep,
    machine,
    main,
    measured,
    summed,
    table,
)

BUNDLE = ROOT / "generated/json/openapi.json"
CLIENT = "openapi-python-client==0.29.1"
NODE = {"openapi-typescript": "7.13.0", "@hey-api/openapi-ts": "0.99.0", "typescript": "5.9.3"}
ALL = "prospec codegen, every target that is committed"


def targets(out: Path) -> Iterator[Work]:
    """Compiling, each target alone and those that are committed together."""
    prospec = (sys.executable, "-m", "prospec", "codegen")
    yield Work(ALL, command(*prospec, "--out", out / "all"))
    for name in (*TARGETS, *OPTIONAL):
        yield Work(f"prospec codegen {name}", command(*prospec, name, "--out", out / name))


def peers(out: Path) -> Iterator[Work]:
    """Generators of other makes: of models alone, of a client, of types, of types and a client."""
    installed(CLIENT)
    bin_ = installed_by_npm(NODE, without="--without-peers")
    module = ("--input", BUNDLE, "--output", out / "models.py", "--output-model-type", "pydantic_v2.BaseModel")
    yield Work("datamodel-code-generator, pydantic", command(sys.executable, "-m", "datamodel_code_generator", *module))
    client = FOLDER / "python/bin/openapi-python-client"
    words = ("generate", "--path", BUNDLE, "--meta", "none", "--overwrite", "--output-path", out / "client")
    path = f"import sys; sys.path.append({str(FOLDER / 'python')!r}); "
    started = f"{path}sys.argv[0] = {str(client)!r}; from openapi_python_client.cli import app; app()"
    yield Work(CLIENT.replace("==", " "), command(sys.executable, "-c", started, *words))
    types = command("node", bin_ / "openapi-typescript", BUNDLE, "-o", out / "types.ts")
    yield Work(f"openapi-typescript {NODE['openapi-typescript']}", types)
    made = command("node", bin_ / "openapi-ts", "--input", BUNDLE, "--output", out / "heyapi", "--silent", folder=out)
    yield Work(f"hey-api {NODE['@hey-api/openapi-ts']}", made)


def grown(folder: Path, count: int) -> Path:
    """A spec of so many models: the real one, and copies of its models under other names."""
    shutil.copytree(spec_root(), folder)
    models = sorted((folder / "models").glob("*.toml"))
    for number in range(len(models), count):
        model = models[number % len(models)]
        turn = f"c{number // len(models)}"
        text = model.read_text("utf-8")
        for key, head, tail in (("id", model.stem, f"-{turn}"), ("name", "", f" {turn}")):
            line = next(each for each in text.splitlines() if each.startswith(f'{key} = "{head}'))
            text = text.replace(line, f'{line[:-1]}{tail}"', 1)
        (folder / "models" / f"{model.stem}-{turn}.toml").write_text(text, "utf-8")
    return folder


def growth(counts: list[int], rounds: int, folder: Path) -> dict[str, Any]:
    """Every committed target, by the number of models."""
    works = []
    for count in counts:
        spec = grown(folder / f"spec-{count}", count)
        words = ("codegen", "--spec", spec, "--out", folder / f"out-{count}")
        works.append(Work(f"{count} models", command(sys.executable, "-m", "prospec", *words)))
    return summed(measured(works, rounds), works[0].name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--models", type=int, nargs="*", default=[11, 50, 100, 250, 500], help="for growth, how many")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        works = [*targets(folder), *([] if options.without_peers else peers(folder))]
        told = {"cold": summed(measured(works, options.rounds), ALL)}
        if options.models:
            told["growth"] = growth(options.models, max(1, options.rounds // 3), folder)
    console = Console(width=WIDTH)
    for title, found in told.items():
        console.print(table(f"Compiling, {title}: CPU time of the process", found, unit="s", per_s=1))
    packages = ("jinja2", "jsonschema-rs", "ruamel.yaml", "datamodel-code-generator")
    keep(options.json, "codegen", {"machine": machine(*packages), **told})


if __name__ == "__main__":
    main(run)
