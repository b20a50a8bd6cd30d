"""Every command and code block of the documentation is run, and does what the text beside it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from node import TOOLS, built, installed, node
from prospec.ir import Spec
from prospec_conformance.mock import FAULTS, MockConfig, serve

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAKE = ["make demo", "make test"]


@dataclass(frozen=True)
class Block:
    document: str
    number: int
    language: str
    text: str
    shows: str | None
    """The block of output that follows it, if there is one."""


def blocks() -> Iterator[Block]:
    for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        found = BLOCK.findall((ROOT / name).read_text("utf-8"))
        for number, (language, text) in enumerate(found):
            after = found[number + 1] if number + 1 < len(found) else ("", "")
            yield Block(name, number, language, text, after[1] if after[0] == "text" else None)


BLOCKS = list(blocks())
RUN = [block for block in BLOCKS if block.language != "text" and block.text.split("\n")[0] not in MAKE]


def test_every_block_is_of_a_kind_that_is_run() -> None:
    assert {block.language for block in BLOCKS} <= {"sh", "python", "ts", "text"}
    assert len(RUN) >= 3


@pytest.mark.parametrize("block", RUN, ids=lambda block: f"{block.document}-{block.number}")
def test_the_block_runs_and_shows_what_it_says(block: Block, tmp_path: Path) -> None:
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    if block.language == "ts":
        assert told_by_node(block.text, tmp_path) == block.shows
        return
    if block.language == "python":
        command = [sys.executable, "-c", block.text]
    else:
        # The README's mock runs until it is stopped, and its next line needs it to answer.
        script = block.text.replace(" &\n", " > mock.url &\nuntil test -s mock.url; do sleep 0.1; done\n")
        # Commands are given for a clone's own folder; what they write goes elsewhere here.
        (tmp_path / "docs").symlink_to(ROOT / "docs")
        command = ["bash", "-c", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{script}"]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    found_on_purpose = "--fault" in block.text
    assert done.returncode == (1 if found_on_purpose else 0), done.stderr
    assert "Traceback" not in done.stderr
    if block.shows:
        assert block.shows in done.stdout


def told_by_node(text: str, folder: Path) -> str:
    """What a program prints that a strict compiler takes: beside the package, and before a mock."""
    (folder / "node_modules").mkdir()
    (folder / "node_modules" / "prospo").symlink_to(built())
    source = folder / "shown.mts"
    source.write_text(text, "utf-8")
    tsc = [node(), installed(TOOLS) / "typescript" / "bin" / "tsc", "--strict", "--module", "nodenext"]
    done = subprocess.run([*tsc, "--target", "es2022", source], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    with serve(MockConfig()) as mock:
        keys = {"PROSPOLABS_API_KEY": mock.config.api_key, "PROSPOLABS_BASE_URL": mock.base_url}
        command = [node(), source.with_suffix(".mjs")]
        done = subprocess.run(command, env={**os.environ, **keys}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_demo_does_the_main_job() -> None:
    """With the environment that `make` itself set up: the README's first command."""
    done = subprocess.run(["make", "demo"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"valid": true') == 2
    assert "passed  PARAM-05" in done.stdout
    assert "report: reports/report.html" in done.stderr
    assert "\nfailed" not in done.stdout


def test_ci_runs_the_test_command_of_the_readme() -> None:
    setup = next(block for block in BLOCKS if block.text.split("\n")[0] == MAKE[0])
    assert setup.text.split() == " ".join(MAKE).split()
    assert MAKE[1] in (ROOT / ".ci" / "run").read_text("utf-8").splitlines()


def test_the_figures_of_the_readme_are_those_of_the_spec(spec: Spec) -> None:
    readme = " ".join((ROOT / "README.md").read_text("utf-8").split())
    checked = len({fault.requirement for fault in FAULTS.values()})
    assert f"every requirement of the API ({len(spec.requirements)}) and every gap of its documentation" in readme
    assert f"({len(spec.gaps)}), with both sides" in readme
    assert f"All {checked} requirements that a program can check are checked, of {len(spec.requirements)}" in readme
    assert f"break {len(FAULTS)} promises one at a time" in readme
    requests, webhooks = len(spec.vectors.requests), len(spec.vectors.webhooks)
    assert f"{requests:,} requests with their verdict and {webhooks} webhook bodies" in readme
    assert f"a catalog of {['ten', 'eleven', 'twelve'][len(spec.models) - 10]} models" in readme


def test_make_lists_every_verb_that_the_documents_name() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for verb in ("demo", "test", "nightly", "codegen", "check", "lint", "types", "mock", "conformance", "dist"):
        assert re.search(rf"^{verb} ", listed, re.MULTILINE)
