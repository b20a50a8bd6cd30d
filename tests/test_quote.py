"""What requests cost: figures worked out by hand from the provider's pages, `prospo.quote` and `prospec quote`."""

from __future__ import annotations

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import prospo
import pytest
from hypothesis import given
from prospec.example import request
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.strategies import valid_params
from prospo.reference import GAPS

Prospec = Callable[..., CompletedProcess[str]]
SPEC = load()
URL = "https://example.com/a.png"


def asked(model: str, mode: str | None = None, **params: object) -> dict[str, Any]:
    return {"model": model, **({"mode": mode} if mode else {}), "params": {"prompt": "x", **params}}


def motion(**params: object) -> dict[str, Any]:
    return {"model": "kling-3-motion-control", "params": {"image_url": URL, "video_urls": [URL], **params}}


Figures = tuple[str | None, str | None, str | None, str | None, str | None]
"""low, high, how well they are known; the likeliest, how well it is known."""

QUOTES: dict[str, tuple[dict[str, Any], Figures]] = {
    "5 s at 720p, both by default": (asked("seedance-2-fast"), ("0.75", "0.75", "documented", "0.75", "documented")),
    "15 s at 480p": (
        asked("seedance-2-fast", duration=15, resolution="480p"),
        ("1.05", "1.05", "documented", "1.05", "documented"),
    ),
    "half a second more": (
        asked("seedance-2-fast", duration=5.5),
        ("0.825",) * 2 + ("documented", "0.825", "documented"),
    ),
    "defaults that are inferred make the cost so": (
        asked("seedance-2-fast", "reference"),
        ("0.75", "0.75", "inferred", "0.75", "inferred"),
    ),
    "a mode whose rows are inferred, all given": (
        asked("seedance-2-fast", "reference", duration=4, resolution="480p"),
        ("0.28", "0.28", "documented", "0.28", "documented"),
    ),
    "Kling's sound makes a difference that is inferred": (
        asked("kling-o3", duration=10, generate_audio=False),
        ("1.00", "1.26", "documented", "1.00", "inferred"),
    ),
    "Kling's sound, at the other end": (
        asked("kling-o3", duration=10, generate_audio=True, quality="pro"),
        ("1.34", "1.68", "documented", "1.68", "inferred"),
    ),
    "the length of a clip that only the provider measures": (motion(), ("0", "1.0", "documented", None, None)),
    "the longer of the two": (
        motion(character_orientation="video", quality="standard"),
        ("0", "2.28", "documented", None, None),
    ),
    "Veo counts its seconds in a string": (
        asked("veo-3-1-fast", duration="6s", generate_audio=False),
        ("0.36", "0.36", "documented", "0.36", "documented"),
    ),
    "the documentation's one sample": (
        asked("veo-3-1-lite", duration="8s", resolution="720p", generate_audio=True),
        ("0.40", "0.40", "inferred", "0.40", "inferred"),
    ),
    "beside the sample nothing is known": (asked("veo-3-1-lite", resolution="1080p"), (None,) * 5),
    "a model without a price": (asked("veo-3-1", duration="8s"), (None,) * 5),
    "one image": (asked("gpt-image-2"), ("0.077", "0.077", "documented", "0.077", "documented")),
    "several images for the price of one each is inferred": (
        asked("gpt-image-2", quality="low", num_images=8),
        ("0.0576", "0.0576", "inferred", "0.0576", "inferred"),
    ),
    "a quality without a price": (asked("gpt-image-2", quality="auto"), ("0.0072", "0.077", "inferred", None, None)),
    "a resolution between two prices": (
        asked("nano-banana-2", resolution="2K", num_images=2),
        ("0.096", "0.192", "inferred", None, None),
    ),
    "a price for everything": (
        asked("seedream-5-lite", size="3K"),
        ("0.014",) * 2 + ("documented", "0.014", "documented"),
    ),
}


@pytest.mark.parametrize("name", QUOTES)
def test_the_quote_is_what_the_pages_say(name: str) -> None:
    judged, (low, high, evidence, usd, usd_evidence) = QUOTES[name]
    quote = prospo.quote(judged)

    def exact(amount: str | None) -> Decimal | None:
        return None if amount is None else Decimal(amount)

    assert (quote.low_usd, quote.high_usd, quote.usd) == (exact(low), exact(high), exact(usd))
    assert (quote.evidence, quote.usd_evidence) == (evidence, usd_evidence)
    for note in quote.notes:
        assert not note.startswith("see ") or note.removeprefix("see ") in GAPS


def test_an_invalid_request_has_no_quote() -> None:
    with pytest.raises(prospo.InvalidRequest, match="/params/duration: duration is 16") as caught:
        prospo.quote(asked("seedance-2-fast", duration=16, aspect_ratio="2:1"))
    assert [problem.code for problem in caught.value.problems] == ["maximum", "enum"]


@pytest.mark.parametrize(
    ("model", "mode"), [pytest.param(*pair, id=f"{pair[0].id}/{pair[1].id}") for pair in pairs(SPEC)]
)
def test_every_valid_request_has_a_sane_quote(model: Any, mode: Any) -> None:
    @given(valid_params(mode.params))
    def judge(params: dict[str, Any]) -> None:
        quote = prospo.quote(request(model, mode, params))
        known = (quote.low_usd, quote.high_usd, quote.evidence)
        assert all(each is None for each in known) or all(each is not None for each in known)
        assert (quote.usd is None) is (quote.usd_evidence is None)
        if quote.low_usd is not None and quote.high_usd is not None:
            assert 0 <= quote.low_usd <= quote.high_usd < 100
            assert quote.usd is None or quote.low_usd <= quote.usd <= quote.high_usd
        else:
            assert quote.usd is None
            assert quote.notes

    judge()


def test_the_command_quotes_each_request_and_the_sum(prospec: Prospec, tmp_path: Path) -> None:
    requests = [asked("seedance-2-fast"), asked("kling-o3"), asked("veo-3-1"), asked("kling-o3", duration=99)]
    file = tmp_path / "requests.ndjson"
    file.write_text("".join(json.dumps(each) + "\n" for each in requests))
    ran = prospec("quote", str(file))
    lines = ran.stdout.splitlines()
    assert ran.returncode == 1
    assert lines[0].startswith(f"{file}:1: seedance-2-fast text: 0.75 USD documented; ")
    assert (
        lines[1] == f"{file}:2: kling-o3 text: 0.50 to 0.63 USD documented; most likely 0.50 USD, inferred; see GAP-25"
    )
    assert lines[2] == f"{file}:3: veo-3-1 text: no price is published"
    assert lines[3] == f"{file}:4: kling-o3 text: invalid, 1 problem"
    assert ran.stderr == (
        "4 requests, 1.25 to 1.38 USD; documented: 1.25 to 1.38 USD; 1 without a published price, not counted; "
        "1 invalid, not counted: see `prospec validate`\n"
    )


def test_the_command_gives_json_an_object_a_request(prospec: Prospec) -> None:
    data = "".join(json.dumps(judged) + "\n" for judged, _ in QUOTES.values()).encode()
    ran = prospec("quote", "-", "--format", "json", stdin=data)
    quoted = [json.loads(line) for line in ran.stdout.splitlines()]
    assert ran.returncode == 0
    assert [each["line"] for each in quoted] == list(range(1, len(QUOTES) + 1))
    for each, (_, (low, high, evidence, usd, usd_evidence)) in zip(quoted, QUOTES.values(), strict=True):
        assert each["valid"] is True
        assert [each["low_usd"], each["high_usd"], each["usd"]] == [
            None if amount is None else float(amount) for amount in (low, high, usd)
        ]
        assert [each["evidence"], each["usd_evidence"]] == [evidence, usd_evidence]


@pytest.mark.parametrize(("data", "code"), [(b"", 3), (b"{", 1), (b"[]", 3)])
def test_nothing_to_quote_is_no_success(prospec: Prospec, data: bytes, code: int) -> None:
    assert prospec("quote", "-", stdin=data).returncode == code


def test_a_file_that_is_not_there_is_a_usage_error(prospec: Prospec, tmp_path: Path) -> None:
    ran = prospec("quote", str(tmp_path / "none.json"))
    assert ran.returncode == 2
    assert "cannot be read" in ran.stderr
    assert prospec("quote", "--no-such-flag").returncode == 2
