"""Schemathesis as its users run it, on the mock, with the bundle and nothing switched off.

The suite has checks of its own choice; this is the outside opinion. What it finds is listed with the reason.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from prospec_conformance.mock import MockConfig, serve

ROOT = Path(__file__).parents[1]
REJECTED = "ST202 Schema-valid request rejected"
ACCEPTED = "ST201 Schema-violating request accepted"
LISTED = {
    ("POST /v1/generate", REJECTED): "a token of the documented form need not stand for a file that was uploaded",
    ("POST /v1/generate", f"{ACCEPTED}: in body - webhook_url: Value not matching the 'uri' format"): (
        "the documentation asks for a string; the format says what it is for"
    ),
    ("POST /v1/uploads/initiate", REJECTED): "the documentation names formats of files, and no closed list of types",
    ("PUT /v1/uploads/proxy/{token}", REJECTED): "a PUT carries the content type that the upload was announced with",
    ("Stateful tests", REJECTED): "the same three, along links",
}
"""(operation, finding) -> why it is none: what OpenAPI cannot say of a request, what the documentation leaves open."""
HEADING = re.compile(r"^_{3,} (.+?) _{3,}$")
FOUND = re.compile(r"^- (ST[0-9]+ .+)$")
COMPONENT = re.compile(r"^ +Invalid component: (.+)$")


def findings(said: str) -> set[tuple[str, str]]:
    """(operation, finding) for everything in the text that it prints; what is wrong with a request is a part of it."""
    out: list[tuple[str, str]] = []
    where = ""
    for line in said.splitlines():
        if heading := HEADING.match(line):
            where = heading[1]
        elif found := FOUND.match(line):
            out.append((where, found[1]))
        elif component := COMPONENT.match(line):
            out[-1] = (where, f"{out[-1][1]}: {component[1]}")
    return {*out}


@pytest.mark.parametrize("bundle", ["openapi.json", "openapi.strict.json"])
def test_it_finds_nothing_that_is_not_listed(bundle: str, tmp_path: Path) -> None:
    with serve(MockConfig()) as running:
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(ROOT / "generated" / "json" / bundle)]
        command += ["--url", running.base_url, "-H", f"Authorization: Bearer {running.config.api_key}"]
        command += ["--max-examples", "25", "--seed", "1", "--no-color"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    generated = re.search(r"([0-9,]+) generated", done.stdout)
    assert generated, done.stdout
    assert int(generated[1].replace(",", "")) > 100
    assert "Tested: 5" in done.stdout
    assert findings(done.stdout) <= LISTED.keys(), done.stdout
