"""The npm package: its verdicts and messages are Python's, its types find mistakes, it holds what is meant.

What a string of the spec may do to its sources is in test_typescript_emit.py.
"""

from __future__ import annotations

import base64
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import prospo
import pytest
from drawn import CRAFTED, crafted, draw
from node import PACKAGE, ROOT, TOOLS, built, environment, installed, node, npm
from prospec.loader import load
from prospo.catalog import MODELS
from test_vectors import body

DRAWN = 3_000
PORTIONS = 4
CASES = Path(__file__).parent / "cases"
MISTAKES = [each["request"] for each in json.loads((CASES / "mistakes.json").read_text("utf-8"))]
VECTORS = [body(vector) for vector in load().vectors.requests]
SPELLINGS = (CASES / "spellings.txt").read_text("ascii").splitlines()
"""JSON values as a text may have them: where JavaScript and Python might see or say another thing."""
TOO_DEEP = "not a JSON value: nested more than 64 deep"


def run(script: str, *arguments: str | Path, stdin: bytes = b"") -> str:
    """What a script of tests/typescript prints."""
    command = [node(), TOOLS / script, *arguments]
    ran = subprocess.run(command, input=stdin, capture_output=True, cwd=TOOLS, timeout=300, check=False)
    assert ran.returncode == 0, ran.stdout.decode() + ran.stderr.decode()
    return ran.stdout.decode()


# One verdict


def judged(bodies: Iterable[bytes]) -> list[dict[str, Any]]:
    built()
    lines = b"".join(base64.b64encode(data) + b"\n" for data in bodies)
    return [json.loads(line) for line in run("judge.mjs", stdin=lines).removesuffix("\n").split("\n")]


def problems(data: bytes) -> list[dict[str, Any]]:
    return [asdict(problem) for problem in prospo.validate_json(data)]


def hangs_on_python(ours: list[dict[str, Any]], theirs: list[dict[str, Any]]) -> bool:
    """Whether two messages on what is no JSON differ by Python's release, or by what its recursion has left."""
    if [each["code"] for each in ours] != ["json"] or [each["code"] for each in theirs] != ["json"]:
        return False
    said = (ours[0]["message"], theirs[0]["message"])
    return TOO_DEEP in said or "Illegal trailing comma" in said[1]


def disagreements(bodies: list[bytes]) -> Iterator[str]:
    """Where the two bindings do not say the same of a body, word for word, or one of them is of two minds."""
    for data, said in zip(bodies, judged(bodies), strict=True):
        expected, valid = problems(data), prospo.is_valid_json(data)
        if said["valid"] is not valid:
            yield f"{data[:300]!r}: valid is {said['valid']}"
        if said["problems"] != expected and not hangs_on_python(said["problems"], expected):
            yield f"{data[:300]!r}: {said['problems'][:3]}, expected {expected[:3]}"
        if is_utf8(data) and said["ofText"] != {"problems": said["problems"], "valid": said["valid"]}:
            yield f"{data[:300]!r}: another verdict of the text"
        if said["ofValue"] and [each["code"] for each in expected] != ["json"]:
            found = said["ofValue"]
            if found["valid"] is not valid or places(found["problems"]) != places(expected):
                yield f"{data[:300]!r}: another verdict of the value"


def places(problems: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """In an order that does not hang on that of the members: JavaScript sorts those whose names are numbers."""
    return sorted((each["path"], each["code"], each["severity"]) for each in problems)


def is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def test_the_vectors_are_judged_as_python_judges_them() -> None:
    assert list(disagreements(VECTORS)) == []


def test_every_mistake_is_told_in_the_same_words_of_the_text_and_of_the_value() -> None:
    bodies = [json.dumps(request).encode() for request in MISTAKES]
    assert list(disagreements(bodies)) == []
    for data, said in zip(bodies, judged(bodies), strict=True):
        assert said["ofValue"]["problems"] == problems(data)


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_drawn_bodies_are_judged_as_python_judges_them(portion: int) -> None:
    bodies = [draw(number, seed=2).data for number in range(portion, DRAWN, PORTIONS)]
    assert list(disagreements(bodies)) == []


@pytest.mark.parametrize("model", MODELS)
def test_each_value_of_each_param_is_told_of_alike(model: str) -> None:
    bodies = []
    for mode in MODELS[model].modes:
        names = [*(param.name for param in mode.params), "ratio", "size", "images", "parameters", "7", "__proto__"]
        head = f'{{"model": "{model}", "mode": "{mode.id}"'
        bodies += [f'{head}, "params": {{"{name}": {value}}}}}'.encode() for name in names for value in SPELLINGS]
        bodies += [f'{head}, "params": {value}}}'.encode() for value in SPELLINGS]
    for name in ("model", "mode", "webhook_url", "async", "Model", "prompt", "7"):
        bodies += [f'{{"params": {{}}, "model": "{model}", "{name}": {value}}}'.encode() for value in SPELLINGS]
    assert list(disagreements(bodies)) == []


def test_many_problems_are_counted_alike() -> None:
    names = ", ".join(f'"x{number}": 1' for number in range(150))
    urls = ", ".join(f'"{number}"' for number in range(150))
    requests = [
        f'{{"model": "seedance-2-fast", "params": {{"prompt": "x", {names}}}}}',
        f'{{"model": "seedance-2-fast", "params": {{"prompt": "x"}}, {names}}}',
        f'{{"model": "gpt-image-2", "params": {{"prompt": "x", "image_size": {{{names}}}}}}}',
        f'{{"model": "gpt-image-2", "mode": "edit", "params": {{"prompt": "x", "image_urls": [{urls}]}}}}',
    ]
    assert list(disagreements([request.encode() for request in requests])) == []


def test_bodies_that_are_made_to_be_slow_are_judged_alike() -> None:
    assert list(disagreements([crafted(name, 1 << 16).data for name in CRAFTED])) == []


def test_prices_are_python_s() -> None:
    bodies = [draw(number, seed=3).data for number in range(0, DRAWN, 10)] + [
        json.dumps(json.loads(mode.example)).encode() for model in MODELS.values() for mode in model.modes
    ]
    names = {"low_usd": "lowUsd", "high_usd": "highUsd", "usd_evidence": "usdEvidence"}
    quoted = 0
    for data, said in zip(bodies, judged(bodies), strict=True):
        if prospo.is_valid_json(data):
            quote = asdict(prospo.quote(json.loads(data)))
            expected = {
                names.get(name, name): float(value) if name.endswith("usd") else value
                for name, value in quote.items()
                if value is not None
            }
            assert said["ofValue"]["quote"] == {**expected, "notes": list(quote["notes"])}
            quoted += "usd" in expected
    assert quoted > 50


def test_values_of_javascript() -> None:
    """tests/typescript/values.test.mjs, by node's own runner."""
    built()
    command = [node(), "--test", TOOLS / "values.test.mjs"]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=TOOLS, timeout=120, check=False)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"^# pass [1-9][0-9]*$", ran.stdout, re.MULTILINE), ran.stdout


# Types


def typechecked(*files: Path) -> list[tuple[str, int, int, str]]:
    """(file, line, code, message) of each error in a user's programs, under the strictest settings."""
    said = json.loads(run("typecheck.mjs", built(), *files))
    return [(Path(each["file"]).name, each["line"], each["code"], each["message"]) for each in said]


def test_each_mistake_is_one_error_on_its_line_and_the_rest_is_clean() -> None:
    uses, mistakes = TOOLS / "types" / "uses.ts", TOOLS / "types" / "mistakes.ts"
    expected = [
        ("mistakes.ts", number, int(match[1]))
        for number, line in enumerate(mistakes.read_text("utf-8").splitlines(), start=1)
        if (match := re.search(r"// TS(\d+)$", line))
    ]
    found = typechecked(uses, mistakes)
    assert [each[:3] for each in found] == expected
    assert len(expected) > 20
    said = {line: message for _, line, _, message in found}
    lines = mistakes.read_text("utf-8").splitlines()
    for part, meant in {"durration": "'duration'", "seedance-9": '"seedance-2"', '"texts"': '"text"'}.items():
        number = next(number for number, line in enumerate(lines, start=1) if part in line)
        assert f"Did you mean to write {meant}?" in said[number] or f"Did you mean '{meant}'?" in said[number]


def test_the_readme_s_programs_compile(tmp_path: Path) -> None:
    blocks = re.findall(r"```ts\n(.*?)```", (PACKAGE / "README.md").read_text("utf-8"), re.DOTALL)
    assert len(blocks) >= 5
    for number, block in enumerate(blocks):
        (tmp_path / f"{number}.ts").write_text(f"{block}export {{}};\n")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    assert typechecked(*sorted(tmp_path.glob("*.ts"))) == []


COMPLETIONS = {
    'client.generate({ model: "▮" });': {*MODELS},
    'client.generate({ model: "kling-o3", mode: "▮", params: { prompt: "x" } });': {"text", "image"},
    'client.generate({ model: "seedance-2-fast", params: { prompt: "x", aspect_ratio: "▮" } });': {
        *("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
    },
    'client.generate({ model: "kling-o3", params: { ▮ } });': {
        *("prompt", "quality", "generate_audio", "duration", "aspect_ratio", "shot_type", "multi_prompt")
    },
    'client.generate({ model: "kling-o3", mode: "image", params: { ▮ } });': {
        *("prompt", "image_url", "end_image_url", "quality", "generate_audio", "duration", "shot_type", "multi_prompt")
    },
}
"""A program -> what an editor offers at its mark, and nothing else."""


def test_an_editor_offers_what_a_request_may_hold(tmp_path: Path) -> None:
    head = 'import { Client } from "prospo";\nconst client = new Client();\n'
    files = []
    for number, program in enumerate(COMPLETIONS):
        files.append(tmp_path / f"{number}.ts")
        files[-1].write_text(head + program, "utf-8")
    (tmp_path / "package.json").write_text('{"type": "module"}')
    said = json.loads(run("complete.mjs", built(), *files))
    assert [{*names} for names in said] == [*COMPLETIONS.values()]


# The package


@pytest.fixture(scope="module")
def tarball(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """What npm makes of the package, and the names of the files in it."""
    folder = tmp_path_factory.mktemp("packed")
    command = [npm(), "pack", "--ignore-scripts", "--json", "--pack-destination", folder]
    ran = subprocess.run(
        command, cwd=built(), env=environment(), capture_output=True, text=True, timeout=120, check=True
    )
    (packed,) = json.loads(ran.stdout)
    return folder / packed["filename"], [each["path"] for each in packed["files"]]


@pytest.fixture(scope="module")
def project(tarball: tuple[Path, list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project with the package in it, and nothing else."""
    folder = tmp_path_factory.mktemp("project")
    shutil.unpack_archive(tarball[0], folder, "gztar")
    (folder / "node_modules").mkdir()
    (folder / "package").rename(folder / "node_modules" / "prospo")
    (folder / "package.json").write_text('{"type": "module"}')
    return folder


def test_what_is_packed_is_what_is_meant(tarball: tuple[Path, list[str]]) -> None:
    sources = [path.relative_to(PACKAGE / "src") for path in (PACKAGE / "src").rglob("*.ts")]
    made = {f"dist/{path.with_suffix(suffix)}" for path in sources for suffix in (".js", ".d.ts")}
    assert {*tarball[1]} == made | {"LICENSE", "README.md", "package.json"}


def test_the_package_needs_nothing_at_run_time() -> None:
    described = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    assert not described.keys() & {"dependencies", "peerDependencies", "optionalDependencies"}
    assert described["sideEffects"] is False
    for path in (PACKAGE / "src").rglob("*.ts"):
        imported = re.findall(r'^(?:import|export) .*?from "(.*?)";', path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
        assert [name for name in imported if not name.startswith("./") and not name.startswith("../")] == []


def test_the_licence_is_that_of_all() -> None:
    assert (PACKAGE / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_publint_and_are_the_types_wrong_find_nothing(tarball: tuple[Path, list[str]]) -> None:
    tools = installed(TOOLS)
    checks = {
        "publint/src/cli.js": ["run", "--strict", tarball[0]],
        "@arethetypeswrong/cli/dist/index.js": [tarball[0], "--profile", "esm-only", "--format", "ascii"],
    }
    for path, arguments in checks.items():
        ran = subprocess.run(
            [node(), tools / path, *arguments],
            env={**environment(), "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert re.search(r"All good!|prospo v", ran.stdout), ran.stdout


def test_it_is_imported_by_its_name_and_each_model_by_its_own(project: Path) -> None:
    program = """
    import { isValid, isSeedance2FastText as one } from "prospo";
    import { isSeedance2FastText as same } from "prospo/models/seedance-2-fast";
    const request = { model: "seedance-2-fast", params: { prompt: "x" } };
    console.log(isValid(request), same(request.params), one === same);
    """
    command = [node(), "--input-type=module", "--eval", program]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout == "true true true\n", ran.stderr


ONE_CHECK = "import { isSeedance2FastText } from %s; console.log(isSeedance2FastText({}));"
VERDICT = 'import { isValid } from "prospo"; console.log(isValid({}));'


def bundled(project: Path, program: str) -> str:
    """A program with all that it needs of the package, as esbuild bundles it for a browser."""
    (project / "program.js").write_text(program)
    command = [node(), installed(TOOLS) / "esbuild" / "bin" / "esbuild", "program.js", "--bundle", "--format=esm"]
    command += ["--platform=browser", "--minify-whitespace"]
    ran = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", ["prospo", "prospo/models/seedance-2-fast"])
def test_a_bundle_that_needs_one_check_has_no_other(project: Path, name: str) -> None:
    bundle = bundled(project, ONE_CHECK % json.dumps(name))
    assert "isSeedance2FastText" in bundle
    assert [word for word in ("Image", "kling", "veo", "evidence", "fetch", "Levenshtein") if word in bundle] == []
    assert len(bundle) < 2_000


def test_a_bundle_that_needs_verdicts_alone_has_no_message(project: Path) -> None:
    bundle = bundled(project, VERDICT)
    assert "isKlingO3Text" in bundle
    assert [word for word in ("evidence", "did you mean", "fetch", "is missing") if word in bundle] == []
    assert len(bundled(project, VERDICT.replace("isValid", "validate"))) > 3 * len(bundle)


def test_the_lock_file_names_no_host_and_the_versions_are_exact() -> None:
    locked = json.loads((TOOLS / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, package in locked.items() if "resolved" in package] == []
    asked = json.loads((TOOLS / "package.json").read_text("utf-8"))["dependencies"]
    assert asked == {name: locked[f"node_modules/{name}"]["version"] for name in asked}
    described = json.loads((PACKAGE / "package.json").read_text("utf-8"))
    assert described["devDependencies"] == {"typescript": asked["typescript"]}
