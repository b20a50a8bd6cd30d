"""The hand-written vectors of spec/vectors against every decider, and against a second opinion on signatures.

They were written from the documentation and not from the catalog, so they see a number that is mistyped in spec/, which
would fool all that is generated from it. Here live no verdicts: those are in the files.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.mock.changes import Change, Refusal
from prospec_conformance.mock.judge import POINTER_MAX_CHARS, Judge, parse
from prospec_conformance.mock.webhooks import sign
from prospo import is_valid, is_valid_json, validate, validate_json

SPEC = load()
REQUESTS = SPEC.vectors.requests
WEBHOOKS = SPEC.vectors.webhooks
JUDGE = Judge(SPEC, Change())
SAFE = "/~!$&'()*+,;=:@"
"""What the mock leaves as it is in a pointer, which it sends in a header."""


def ids(vectors: tuple[dict[str, Any], ...]) -> list[Any]:
    return [pytest.param(vector, id=vector["id"]) for vector in vectors]


def body(vector: dict[str, Any]) -> bytes:
    """The exact bytes of a vector."""
    if "request" in vector:
        return json.dumps(vector["request"]).encode()
    return vector["body"].encode() if "body" in vector else base64.b64decode(vector["base64"], validate=True)


@pytest.mark.parametrize("vector", ids(REQUESTS))
def test_the_validators_give_the_verdict_that_was_written_down(vector: dict[str, Any]) -> None:
    expected = [(each["path"], each["code"], each["severity"]) for each in vector["problems"]]
    data = body(vector)
    assert [(each.path, each.code, each.severity) for each in validate_json(data)] == expected, vector["why"]
    assert is_valid_json(data) is vector["valid"], vector["why"]
    if "request" in vector:
        assert [(each.path, each.code, each.severity) for each in validate(vector["request"])] == expected
        assert is_valid(vector["request"]) is vector["valid"]


@pytest.mark.parametrize("vector", ids(REQUESTS))
def test_the_mock_decides_by_its_own_route_and_alike(vector: dict[str, Any]) -> None:
    """It tells of one problem, by JSON Schema's order and not by the documentation's."""
    request = parse(body(vector))
    refusal = request if isinstance(request, Refusal) else JUDGE.generate(request)
    errors = {
        (quote(each["path"], SAFE)[:POINTER_MAX_CHARS], each["code"])
        for each in vector["problems"]
        if each["severity"] == "error"
    }
    if vector["valid"]:
        assert refusal is None, vector["why"]
    else:
        assert refusal is not None, vector["why"]
        # To JSON Schema a misspelt param that is required is a missing one as well.
        is_misspelt = refusal.keyword == "required" and "additionalProperties" in {code for _, code in errors}
        assert is_misspelt or (refusal.pointer, refusal.keyword) in errors, vector["why"]


def test_there_is_a_vector_for_every_documented_mode_and_every_kind_of_problem() -> None:
    assert len(REQUESTS) >= 150
    judged = {
        (vector["request"].get("model"), vector["request"].get("mode"), vector["valid"])
        for vector in REQUESTS
        if "request" in vector and isinstance(vector["request"].get("model"), str)
        if isinstance(vector["request"].get("mode", ""), str)
    }
    for model, mode in pairs(SPEC):
        named = mode.id if mode.on_wire else None
        assert (model.id, named, True) in judged
        if mode.evidence == "documented":
            assert {(model.id, named, False), (model.id, None, False)} & judged, (model.id, mode.id)
    found = Counter(each["code"] for vector in REQUESTS for each in vector["problems"])
    assert found.keys() == {code.id for code in SPEC.codes}
    assert min(found.values()) >= 2


def test_both_sides_of_the_size_limit() -> None:
    """The two bodies that are too large for a file: 1 MiB is read, one byte more is not."""
    small = json.dumps(REQUESTS[0]["request"]).encode()
    for size, valid in ((1 << 20, True), ((1 << 20) + 1, False)):
        padded = small + b" " * (size - len(small))
        assert is_valid_json(padded) is valid
        assert [each.code for each in validate_json(padded)] == ([] if valid else ["json"])


@pytest.mark.parametrize("vector", ids(WEBHOOKS))
def test_a_signature_is_what_the_standard_library_makes_of_the_raw_bytes(vector: dict[str, Any]) -> None:
    """64 lower-case hexadecimal digits of HMAC-SHA256 over the bytes as they came, under one of the secrets."""
    data = body(vector)
    made = {hmac.new(secret.encode(), data, hashlib.sha256).hexdigest() for secret in vector["secrets"]}
    assert (vector["signature"] in made) is vector["valid"], vector["why"]


def test_the_mock_signs_as_the_vectors_do() -> None:
    genuine = [vector for vector in WEBHOOKS if vector["valid"]]
    assert len(WEBHOOKS) >= 60
    assert len(genuine) >= 20
    for vector in genuine:
        assert vector["signature"] in {sign(body(vector), secret) for secret in vector["secrets"]}


def test_the_vectors_hold_the_documented_payload_and_what_re_serialising_makes_of_it() -> None:
    """0.40 becomes 0.4: the flaw of the documentation's own receiver."""
    documented = next(vector for vector in WEBHOOKS if vector["id"] == "documented-payload-cost-0-40")
    assert documented["valid"]
    assert "0.40" in documented["body"]
    parsed = json.loads(documented["body"])
    again = json.dumps(parsed, separators=(",", ":"))
    assert sign(again.encode(), documented["secrets"][0]) != documented["signature"]
    assert any(vector["body"] == again and not vector["valid"] for vector in WEBHOOKS if "body" in vector)


def test_the_generated_vectors_are_those_of_the_spec() -> None:
    path = Path(__file__).parents[1] / "generated" / "json" / "vectors.json"
    document = json.loads(path.read_text("utf-8"))
    assert document == {"requests": list(REQUESTS), "webhooks": list(WEBHOOKS)}
