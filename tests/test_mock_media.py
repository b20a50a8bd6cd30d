"""What the mock's generations yield: a real file of the size, the length and the format that were asked for.

Read back by the libraries that would read a genuine one. Here live no tests of the API's own behaviour.
"""

from __future__ import annotations

import io
import sys
from typing import Any

import av
import httpx2
import pytest
from hypothesis import given, settings
from PIL import Image
from prospec.example import example_request, request
from prospec.ir import Spec
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.mock.media import LARGEST, Drawing, drawing, render
from prospec_conformance.strategies import valid_params

SPEC: Spec = load(trusted=True)
PAIRS = [pytest.param(model, mode, id=f"{model.id}/{mode.id}") for model, mode in pairs(SPEC)]
WEEK_S = 7 * 24 * 3600


def drawn(model: str, mode: str, **params: Any) -> Drawing:
    of = SPEC.model(model)
    assert of is not None
    chosen = of.mode(mode)
    assert chosen is not None
    return drawing(of, chosen, {"prompt": "a quiet harbour", **params})


ASKED = [
    (drawn("seedance-2-fast", "text"), ("mp4", 1280, 720, 5)),
    (drawn("seedance-2-fast", "text", resolution="480p", aspect_ratio="9:16", duration=4), ("mp4", 480, 854, 4)),
    (drawn("seedance-2-fast", "text", aspect_ratio="21:9", duration=4.5), ("mp4", 1680, 720, 4.5)),
    (drawn("veo-3-1-fast", "text", duration="6s"), ("mp4", 1920, 1080, 6)),
    (drawn("kling-o3", "text", aspect_ratio="1:1", duration=3), ("mp4", 720, 720, 3)),
    (drawn("gpt-image-2", "generate"), ("png", 1024, 768, 0)),
    (drawn("gpt-image-2", "generate", image_size={"width": 1600, "height": 1200}), ("png", 1600, 1200, 0)),
    (drawn("gpt-image-2", "generate", image_size="portrait_16_9", output_format="webp"), ("webp", 576, 1024, 0)),
    (drawn("nano-banana-2", "generate", resolution="4K", aspect_ratio="16:9"), ("png", 4096, 2304, 0)),
    (drawn("nano-banana-2", "generate", output_format="jpeg"), ("jpeg", 1024, 1024, 0)),
    (drawn("seedream-5-lite", "generate", size="3K", aspect_ratio="2:3"), ("png", 2048, 3072, 0)),
]


@pytest.mark.parametrize(("wanted", "expected"), ASKED, ids=[str(expected) for _, expected in ASKED])
def test_the_output_has_the_size_the_length_and_the_format_that_were_asked_for(
    wanted: Drawing, expected: tuple[str, int, int, float]
) -> None:
    assert (wanted.format, wanted.width, wanted.height, wanted.seconds) == expected
    read(render(wanted), wanted)


def read(content: bytes, wanted: Drawing) -> None:
    """Holds a file against what was asked for."""
    if wanted.format != "mp4":
        with Image.open(io.BytesIO(content)) as image:
            image.load()
            assert (image.format, image.size) == (wanted.format.upper(), (wanted.width, wanted.height))
        return
    with av.open(io.BytesIO(content)) as clip:
        stream = clip.streams.video[0]
        assert (stream.codec_context.name, stream.width, stream.height) == ("h264", wanted.width, wanted.height)
        assert clip.duration is not None
        assert abs(clip.duration / 1e6 - wanted.seconds) <= 0.07
        assert sum(1 for _ in clip.decode(stream)) == max(1, round(8 * wanted.seconds))


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_whatever_is_valid_can_be_drawn(model: Any, mode: Any) -> None:
    @settings(max_examples=40)
    @given(valid_params(mode.params))
    def judge(params: dict[str, Any]) -> None:
        wanted = drawing(model, mode, params)
        assert 2 <= wanted.width <= LARGEST
        assert 2 <= wanted.height <= LARGEST
        assert (wanted.format == "mp4") is (model.kind == "video")
        assert (wanted.seconds >= 1) is (model.kind == "video")
        assert wanted.format != "mp4" or (wanted.width % 2, wanted.height % 2) == (0, 0)

    judge()


ODD: list[dict[str, Any]] = [
    {"duration": 1e300},
    {"duration": "9" * 5000 + "s"},
    {"duration": True, "resolution": 5, "aspect_ratio": ["16:9"]},
    {"aspect_ratio": "0:0", "prompt": {"a": 1}},
    {"prompt": "\x00\u202e" * 400},
]


@pytest.mark.parametrize("params", ODD, ids=lambda params: str(params)[:40])
def test_what_an_inferred_row_lets_pass_is_drawn_too(params: dict[str, Any]) -> None:
    wanted = drawn("kling-v3", "text", **params)
    assert (wanted.width, wanted.height) == (1280, 720)
    assert 1 <= wanted.seconds <= 60


def test_the_same_request_yields_the_same_bytes_and_another_prompt_others() -> None:
    for model, mode in (("gpt-image-2", "generate"), ("kling-o3", "text")):
        assert render(drawn(model, mode)) == render(drawn(model, mode))
        assert render(drawn(model, mode)) != render(drawn(model, mode, prompt="a loud harbour"))


def test_the_url_of_an_output_opens_it_without_a_key_and_no_other_does() -> None:
    edit = example_request(SPEC, *next(pair for pair in pairs(SPEC) if pair[1].id == "edit"))
    with serve(MockConfig(), SPEC) as running:
        headers = {"Authorization": f"Bearer {running.config.api_key}"}
        body = httpx2.post(f"{running.base_url}/v1/generate", json=edit, headers=headers).json()
        url = body["output_url"]
        assert url.startswith(f"{running.base_url}/results/{body['generation_id']}.png?token=")
        found = httpx2.get(url)
        assert (found.status_code, found.headers["content-type"]) == (200, "image/png")
        assert Image.open(io.BytesIO(found.content)).size == (1024, 768)
        path, _, token = url.partition("?token=")
        for wrong in (
            path,
            f"{path}?token={token[:-1]}",
            f"{path}?token=ü",
            url.replace(".png", ".mp4"),
            url.replace("gen_", "gen_0"),
        ):
            assert httpx2.get(wrong).status_code == 404
        control = {"X-Mock-Token": running.config.control_token}
        httpx2.post(f"{running.base_url}/__mock/clock", json={"advance_s": WEEK_S}, headers=control)
        gone = httpx2.get(url)
        assert (gone.status_code, gone.json()["code"]) == (410, "output_expired")


def test_a_generation_that_is_not_completed_has_no_output() -> None:
    with serve(MockConfig(), SPEC) as running:
        headers = {"Authorization": f"Bearer {running.config.api_key}", "X-Mock-Outcome": "fail"}
        model, mode = next(iter(pairs(SPEC)))
        asked = request(model, mode, {"prompt": "x"})
        id = httpx2.post(f"{running.base_url}/v1/generate", json=asked, headers=headers).json()["generation_id"]
        assert httpx2.get(f"{running.base_url}/results/{id}.png?token=").status_code == 404


def test_without_the_extra_the_mock_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    with serve(MockConfig(), SPEC) as running:
        headers = {"Authorization": f"Bearer {running.config.api_key}"}
        asked = {"model": "gpt-image-2", "params": {"prompt": "x"}}
        url = httpx2.post(f"{running.base_url}/v1/generate", json=asked, headers=headers).json()["output_url"]
        answer = httpx2.get(url)
        assert answer.status_code == 501
        assert "prospec[media]" in answer.json()["detail"]
