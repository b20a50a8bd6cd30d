"""The extra `fast`: with msgspec and without it every verdict on bytes is the same, down to hostile bytes.

Judged both ways in one process: `prospo.rules` with its decoders, and the standard library's way by itself. A process
without msgspec is here too. PROSPEC_BODIES=100000 draws that many. What is drawn is in drawn.py.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from drawn import CRAFTED, MAX_BYTES, crafted, draw
from hypothesis import example, given, settings
from hypothesis import strategies as st
from prospec.example import request, smallest_params
from prospec.ir import Model
from prospec.loader import load
from prospec.schema import pairs
from prospo import decoders, jsontext, rules, values
from prospo.catalog import MEDIA_PATTERN, MODELS
from prospo.problem import NotJSONError

BODIES = int(os.environ.get("PROSPEC_BODIES", "20000"))
PORTIONS = 8
SPEC = load()
MANY = settings(max_examples=max(100, BODIES // 40), database=None, deadline=None)


@pytest.fixture(autouse=True)
def _with_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_decoders", decoders)
    monkeypatch.setattr(rules, "_usual", {})


def by_standard(data: bytes) -> bool:
    """The verdict that there is without the extra."""
    try:
        return rules.is_valid(jsontext.parse(data))
    except NotJSONError:
        return False


def parsed(data: bytes, how: Any) -> tuple[str, str]:
    """The value, with the types of its numbers, or what is said of the bytes."""
    try:
        return "value", repr(how(data))
    except NotJSONError as error:
        return "no JSON", str(error)


def takers(data: bytes) -> Iterator[str]:
    """The modes whose typed decoder takes these bytes by itself."""
    for model in MODELS.values():
        for mode in model.modes:
            try:
                taken = decoders._decoder(model.id, mode.id)(data) is not False
            except Exception:
                continue
            if taken and len(data) <= MAX_BYTES:
                yield f"{model.id}/{mode.id}"


def hold(data: bytes) -> None:
    """What must hold of any bytes."""
    verdict = by_standard(data)
    assert rules.is_valid_json(data) is verdict
    assert rules.is_valid_json(data) is verdict, "what was learnt from the first time changes nothing"
    assert verdict or not [*takers(data)], "no decoder takes what is invalid"
    assert parsed(data, decoders.parse) == parsed(data, jsontext.parse)


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_every_drawn_body_is_judged_as_without_it(portion: int) -> None:
    for number in range(portion, BODIES, PORTIONS):
        body = draw(number, seed=7)
        assert rules.is_valid_json(body.data) is by_standard(body.data) is not body.is_error, body.made
        if number % 8 == 0:
            hold(body.data)


@pytest.mark.parametrize("name", CRAFTED)
def test_every_body_made_to_be_slow_is_judged_as_without_it(name: str) -> None:
    hold(crafted(name).data)


def _with(value: str, *, name: str = "duration") -> bytes:
    return f'{{"model": "kling-o3", "mode": "text", "params": {{"prompt": "x", "{name}": {value}}}}}'.encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b'\xef\xbb\xbf{"model": "kling-v3", "params": {}}',
        b'{"model": "kling-o3", "params": {"prompt": "\xff"}}',
        b'{"model": "kling-v3", "params": {"x": "\xff"}}',
        b'{"model": "kling-v3", "params": {"\xff": 1}}',
        b'{"model": "kling-v3", "params": {"x": "\\ud800"}}',
        b'{"model": "kling-o3", "params": {"prompt": "\\ud83d\\ude00"}}',
        b'{"params": {"x": "\xff"}, "model": "kling-o3", "params": {"prompt": "x"}}',
        b'{"params": {"prompt": "x"}, "params": 5, "model": "kling-o3"}',
        b'{"params": 5, "params": {"prompt": "x"}, "model": "kling-o3"}',
        b'{"model": "kling-o3", "mode": 1, "mode": "text", "params": {"prompt": "x"}}',
        b'{"model": "kling-o3", "mode": null, "params": {"prompt": "x"}}',
        b'{"model": "kling-o3", "mode": "", "params": {"prompt": "x"}}',
        b'{"model": "kling-o3", "params": {"prompt": "x"}} x',
        b'{"model": "kling-o3", "params": {"prompt": "x"}}\x00',
        *map(
            _with,
            (
                *("5", "5.0", "5e0", "50e-1", "-0", "true", '"5"', "null", "NaN", "Infinity", "1e400", "-1e400"),
                *("2.9999999999999999", "15.0000000000000001", "15.000000000000002", "3e0", "0" * 9, "1" * 309),
                *("9" * 309, "1" * 5000, "15." + "0" * 400, "15." + "0" * 400 + "1", "1" + "0" * 400 + "e-399"),
            ),
        ),
        *(_with(value, name="x") for value in ("1e400", "9" * 309, "[" * 62 + "]" * 62, "[" * 63 + "]" * 63, '"\xff"')),
        _with(json.dumps("x" * MAX_BYTES), name="multi_prompt"),
        *(
            json.dumps({"model": "gpt-image-2", "params": {"prompt": "x", "image_size": size}}).encode()
            for size in (
                *("square", "none", "", {"width": 1024, "height": 1024}, {"width": 1024.0, "height": 1.024e3}),
                *({"width": 3072, "height": 1024}, {"width": 3088, "height": 1024}, {"width": 1025, "height": 1024}),
                *(
                    {"width": 16, "height": 16},
                    {"width": 0, "height": 0},
                    {"width": 1024},
                    {"width": True, "height": 16},
                ),
                {"width": 1024, "height": 1024, "depth": 1},
            )
        ),
    ],
    ids=lambda data: repr(data[:60]),
)
def test_where_msgspec_reads_otherwise_the_verdict_is_the_same(data: bytes) -> None:
    hold(data)


@MANY
@given(st.integers(0, 10**6), st.lists(st.tuples(st.integers(0), st.integers(0, 6), st.binary(max_size=3)), max_size=3))
def test_any_body_with_a_few_edits_is_judged_as_without_it(number: int, edits: list[tuple[int, int, bytes]]) -> None:
    data = draw(number, seed=8).data[:4000]
    for at, lost, piece in edits:
        start = at % (len(data) + 1)
        data = data[:start] + piece + data[start + lost :]
    hold(data)


@pytest.mark.parametrize(("model", "mode"), [*pairs(SPEC)], ids=lambda each: each.id)
def test_the_usual_form_of_each_mode_is_taken_by_its_decoder(model: Model, mode: Any) -> None:
    """Or else `fast` would only be a longer way to the same verdict."""
    whole = request(model, mode, smallest_params(mode))
    for spelt in (json.dumps(whole), json.dumps(whole, separators=(",", ":")), json.dumps(whole, indent=2)):
        assert f"{model.id}/{mode.id}" in [*takers(spelt.encode())]


def test_what_is_learnt_is_bounded_and_survives_heads_that_tell_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoders, "MANY", 30)
    hook = "https://hooks.example.com/" + "x" * rules.HEAD
    bodies = []
    for model, mode in pairs(SPEC):
        whole = request(model, mode, smallest_params(mode))
        bodies += [whole, {"webhook_url": hook, **whole}, {"params": whole["params"], **whole}]
    for _ in range(3):
        for body in bodies:
            assert rules.is_valid_json(json.dumps(body).encode())
            assert not rules.is_valid_json(json.dumps({**body, "stream": True}).encode())
    assert len(rules._usual) <= 30
    shared = json.dumps({"webhook_url": hook}).encode()[: rules.HEAD]
    assert rules._usual[shared] is decoders._by_name


def test_a_request_of_more_than_a_mebibyte_is_refused_though_its_head_is_known() -> None:
    for size, verdict in ((10, True), (MAX_BYTES - 100, True), (MAX_BYTES, False)):
        whole = {"model": "kling-o3", "mode": "text", "params": {"prompt": "x" * size}}
        assert rules.is_valid_json(json.dumps(whole).encode()) is verdict


def test_other_kinds_of_bytes_are_taken_as_without_it() -> None:
    data = b'{"model": "kling-o3", "mode": "text", "params": {"prompt": "x"}}'
    for _ in range(2):
        assert rules.is_valid_json(bytearray(data))
        assert rules.validate_json(bytearray(data)) == []
        for text in (data.decode(), "{}"):
            with pytest.raises((AttributeError, TypeError)):
                rules.is_valid_json(text)  # type: ignore[arg-type]
        assert rules.is_valid_json(data)


def test_numbers_whose_bounds_a_double_cannot_tell_apart_have_no_decoder(monkeypatch: pytest.MonkeyPatch) -> None:
    param = MODELS["kling-o3"].modes[0].params[-1]
    assert decoders._is_exact(param)
    for bound in (2**53 + 1, -(2**53) - 1, 1e300):
        assert not decoders._is_exact(
            type(param)(name="x", type="number", required=False, evidence="documented", source="", max=bound)
        )


# The plain form of media


@MANY
@given(st.from_regex(re.compile("https://[0-9A-Za-z.-]+/[!-~]*"), fullmatch=True))
@example("https://-/")
def test_all_that_is_plain_is_media(url: str) -> None:
    assert values.plain_media(url)
    assert re.fullmatch(MEDIA_PATTERN, url)


NEARLY = st.tuples(
    st.sampled_from(["https://", "https://", "HTTPS://", "http://", "pl-upload-", ""]),
    st.text("aZ0.-_:@[] \\\u00e9\x7f", max_size=6) | st.text("0123456789abcdef", min_size=31, max_size=33),
    st.sampled_from(["/", "/", "?", ""]),
    st.text(" !~a\u00e9\x00\x7f\u2028\\\n", max_size=4),
)


@MANY
@given(NEARLY.map("".join))
@example("https://a/ ")
def test_media_are_what_the_pattern_says(text: str) -> None:
    assert values.is_media(text) is (re.fullmatch(MEDIA_PATTERN, text) is not None)


# A process without msgspec, and one that has it


PROGRAM = """
import sys, json
{absent}
import prospo
from prospo import rules
data = b'{{"model": "kling-o3", "mode": "text", "params": {{"prompt": "x", "duration": 5}}}}'
bad = data.replace(b"5", b"99")
verdict = lambda: (prospo.is_valid_json(data), prospo.is_valid_json(bad), len(prospo.validate_json(bad)))
verdicts = [verdict() for _ in range({count})]
print(json.dumps([sorted({{*verdicts}}), "msgspec" in sys.modules, rules._decoders is not None]))
"""
ABSENT = "sys.modules['msgspec'] = None"


@pytest.mark.parametrize(
    ("absent", "count", "is_used"),
    [("", 2, False), ("", 1000, True), (ABSENT, 1000, False)],
    ids=["few", "many", "none"],
)
def test_msgspec_is_loaded_when_it_pays_and_nobody_needs_it(absent: str, count: int, is_used: bool) -> None:
    command = [sys.executable, "-c", PROGRAM.format(absent=absent, count=count)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    verdicts, is_loaded, has_decoders = json.loads(ran.stdout)
    assert verdicts == [[True, False, 1]]
    assert has_decoders is is_used
    assert is_loaded is (is_used or bool(absent))
