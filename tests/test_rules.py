"""The binding's verdicts: a table written by hand from the documentation, and properties that hold of any input.

A row of the table is a request and every problem that `validate` must find, as (path, code, severity). The profile of
values (numbers, strings, media, bytes) is the contract's.
"""

from __future__ import annotations

import codecs
import collections
import enum
import json
import math
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

import prospo
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from prospo import Problem, is_valid, is_valid_json, rules, validate, validate_json
from prospo.catalog import ENVELOPE, MODELS
from prospo.model import Mode, Param
from prospo.suggestion import LONGEST, remembered
from prospo.tables import TABLES

Verdict = list[tuple[str, str, str]]
URL = "https://cdn.example.com/a.png"
TOKEN = "pl-upload-3d756375a28d44cead027db57565f176"
OK: Verdict = []


def error(path: str, code: str) -> Verdict:
    return [(path, code, "error")]


def warning(path: str, code: str) -> Verdict:
    return [(path, code, "warning")]


def request(model: str, mode: str | None, params: object, **rest: object) -> dict[str, Any]:
    return {"model": model, **({} if mode is None else {"mode": mode}), "params": params, **rest}


def seedance(**params: object) -> dict[str, Any]:
    """Seedance 2.0 Fast text: the one table of the documentation itself."""
    return request("seedance-2-fast", "text", {"prompt": "x", **params})


def reference(**params: object) -> dict[str, Any]:
    return request("seedance-2-fast", "reference", {"prompt": "x", **params})


def veo(**params: object) -> dict[str, Any]:
    return request("veo-3-1-fast", "text", {"prompt": "x", **params})


def gpt(**params: object) -> dict[str, Any]:
    return request("gpt-image-2", "generate", {"prompt": "x", **params})


def sized(width: object, height: object, **rest: object) -> dict[str, Any]:
    return gpt(image_size={"width": width, "height": height, **rest})


def banana(**params: object) -> dict[str, Any]:
    return request("nano-banana-2", "generate", {"prompt": "x", **params})


def motion(**params: object) -> dict[str, Any]:
    """Kling 3 Motion Control declares no mode, so its request has none."""
    return request("kling-3-motion-control", None, {"image_url": URL, "video_urls": [URL], **params})


def without(made: dict[str, Any], *names: str) -> dict[str, Any]:
    return {**made, "params": {name: value for name, value in made["params"].items() if name not in names}}


class Five(enum.IntEnum):
    FIVE = 5


class Resolution(enum.StrEnum):
    HD = "720p"


class Whole(int):
    pass


class Name(str):
    __slots__ = ()


NAN, INFINITY = math.nan, math.inf
SIZE = "/params/image_size"

VERDICTS: dict[str, tuple[object, Verdict]] = {
    # the envelope
    "the smallest request": (seedance(), OK),
    "mode left out is the first mode": (request("seedance-2-fast", None, {"prompt": "x"}), OK),
    "mode left out is not any other mode": (
        request("seedance-2-fast", None, {"prompt": "x", "image_urls": [URL]}),
        error("/params/image_urls", "additionalProperties"),
    ),
    "webhook_url and async are members of a request": (
        {**seedance(), "webhook_url": "https://example.com/hook", "async": True},
        OK,
    ),
    "webhook_url is a string": ({**seedance(), "webhook_url": 1}, error("/webhook_url", "type")),
    "webhook_url is not null": ({**seedance(), "webhook_url": None}, error("/webhook_url", "type")),
    "async is no string": ({**seedance(), "async": "true"}, error("/async", "type")),
    "async is no number": ({**seedance(), "async": 1}, error("/async", "type")),
    "an empty object": ({}, error("/model", "required") + error("/params", "required")),
    "model is required": ({"params": {}}, error("/model", "required")),
    "model is a string": (request(5, None, {}), error("/model", "type")),  # type: ignore[arg-type]
    "model is no list": (request([], None, {}), error("/model", "type")),  # type: ignore[arg-type]
    "an unknown model": (request("seedance", None, {}), error("/model", "model")),
    "a model's id is compared whole": (request("seedance-2-fast\n", None, {}), error("/model", "model")),
    "a model's id is compared by case": (request("Seedance-2-Fast", None, {}), error("/model", "model")),
    "a model's name is no id": (request("Seedance 2.0 Fast", None, {}), error("/model", "model")),
    "an unknown mode": ({**seedance(), "mode": "video"}, error("/mode", "mode")),
    "a mode of another model": ({**seedance(), "mode": "generate"}, error("/mode", "mode")),
    "an empty mode is no mode": ({**seedance(), "mode": ""}, error("/mode", "mode")),
    "a mode is compared whole": ({**seedance(), "mode": "text\n"}, error("/mode", "mode")),
    "null is no mode": ({**seedance(), "mode": None}, error("/mode", "type")),
    "a mode is no number": ({**seedance(), "mode": 1}, error("/mode", "type")),
    "a mode of an unknown model is not judged": (request("seedance", "nope", {}), error("/model", "model")),
    "a mode of the wrong type is judged for an unknown model too": (
        request("seedance", 1, {}),  # type: ignore[arg-type]
        error("/model", "model") + error("/mode", "type"),
    ),
    "params is required": ({"model": "seedance-2-fast"}, error("/params", "required")),
    "params is an object": (request("seedance-2-fast", None, []), error("/params", "type")),
    "params is no string": (request("seedance-2-fast", None, "{}"), error("/params", "type")),
    "params is not null": (request("seedance-2-fast", None, None), error("/params", "type")),
    "params beside model are one mistake": (
        {"model": "seedance-2-fast", "prompt": "x", "duration": 5},
        error("/params", "required"),
    ),
    "a param beside params": ({**seedance(), "duration": 5}, error("/duration", "additionalProperties")),
    "an unknown member": ({**seedance(), "parms": {}}, error("/parms", "additionalProperties")),
    "a member's name is escaped in its pointer": (
        {**seedance(), "a/b~c": 1},
        error("/a~1b~0c", "additionalProperties"),
    ),
    "every mistake of the envelope is told": (
        {"mode": 1, "params": 2, "webhook_url": 3, "async": 4, "x": 5},
        error("/model", "required")
        + error("/mode", "type")
        + error("/params", "type")
        + error("/webhook_url", "type")
        + error("/async", "type")
        + error("/x", "additionalProperties"),
    ),
    "null is no request": (None, error("", "type")),
    "a list is no request": ([seedance()], error("", "type")),
    "a string is no request": (json.dumps(seedance()), error("", "type")),
    "a number is no request": (1, error("", "type")),
    # the documentation's own table: Seedance 2.0 Fast, text
    "prompt is required": (without(seedance(), "prompt"), error("/params/prompt", "required")),
    "prompt is a string": (seedance(prompt=5), error("/params/prompt", "type")),
    "prompt is not null": (seedance(prompt=None), error("/params/prompt", "type")),
    "prompt may be empty, as no length is documented": (seedance(prompt=""), OK),
    "every row of the table at once": (
        seedance(resolution="480p", duration=15, aspect_ratio="21:9", generate_audio=False, seed=2147483647),
        OK,
    ),
    "resolution 1080p is no value of Fast": (seedance(resolution="1080p"), error("/params/resolution", "enum")),
    "resolution is no number": (seedance(resolution=720), error("/params/resolution", "type")),
    "resolution is no list": (seedance(resolution=["720p"]), error("/params/resolution", "type")),
    "a listed value is compared whole": (seedance(resolution="720p\n"), error("/params/resolution", "enum")),
    "a listed value is compared by case": (seedance(resolution="720P"), error("/params/resolution", "enum")),
    "a listed value is not trimmed": (seedance(aspect_ratio=" 16:9"), error("/params/aspect_ratio", "enum")),
    "null is no listed value": (seedance(resolution=None), error("/params/resolution", "type")),
    "aspect_ratio auto is not documented": (seedance(aspect_ratio="auto"), error("/params/aspect_ratio", "enum")),
    "aspect_ratio as a fraction": (seedance(aspect_ratio=16 / 9), error("/params/aspect_ratio", "type")),
    "duration at its minimum": (seedance(duration=4), OK),
    "duration below its minimum": (seedance(duration=3), error("/params/duration", "minimum")),
    "duration just below its minimum": (seedance(duration=3.999), error("/params/duration", "minimum")),
    "duration at its maximum": (seedance(duration=15), OK),
    "duration above its maximum": (seedance(duration=15.001), error("/params/duration", "maximum")),
    "duration may have a fraction, as only a range is documented": (seedance(duration=5.5), OK),
    "5.0 is 5": (seedance(duration=5.0), OK),
    "15.0 is 15": (seedance(duration=15.0), OK),
    "true is no number": (seedance(duration=True), error("/params/duration", "type")),
    "a string is no number": (seedance(duration="5"), error("/params/duration", "type")),
    "seconds of the Veo form are no number": (seedance(duration="5s"), error("/params/duration", "type")),
    "null is no number": (seedance(duration=None), error("/params/duration", "type")),
    "NaN is no number": (seedance(duration=NAN), error("/params/duration", "type")),
    "infinity is no number": (seedance(duration=INFINITY), error("/params/duration", "type")),
    "minus infinity is no number": (seedance(seed=-INFINITY), error("/params/seed", "type")),
    "generate_audio is no string": (seedance(generate_audio="true"), error("/params/generate_audio", "type")),
    "generate_audio is no number": (seedance(generate_audio=1), error("/params/generate_audio", "type")),
    "generate_audio is not null": (seedance(generate_audio=None), error("/params/generate_audio", "type")),
    "seed 0": (seedance(seed=0), OK),
    "seed -0.0 is 0": (seedance(seed=-0.0), OK),
    "seed -1": (seedance(seed=-1), error("/params/seed", "minimum")),
    "seed of 32 bits": (seedance(seed=2147483648), error("/params/seed", "maximum")),
    "a misspelt param is one problem": (seedance(durations=5), error("/params/durations", "additionalProperties")),
    "a param's name is compared by case": (seedance(Duration=5), error("/params/Duration", "additionalProperties")),
    "a param of another mode": (seedance(image_url=URL), error("/params/image_url", "additionalProperties")),
    "problems come in the order of the table, then what it does not list": (
        request("seedance-2-fast", "text", {"zz": 1, "seed": -1, "aa": 2, "duration": 3}),
        error("/params/prompt", "required")
        + error("/params/duration", "minimum")
        + error("/params/seed", "minimum")
        + error("/params/zz", "additionalProperties")
        + error("/params/aa", "additionalProperties"),
    ),
    # lists of media: Seedance 2.0 Fast, reference
    "nine images": (reference(image_urls=[URL] * 9), OK),
    "ten images": (reference(image_urls=[URL] * 10), error("/params/image_urls", "maxItems")),
    "four clips": (reference(video_urls=[URL] * 4), error("/params/video_urls", "maxItems")),
    "four voices": (reference(audio_urls=[TOKEN] * 4), error("/params/audio_urls", "maxItems")),
    "no images, as no minimum is documented": (reference(image_urls=[]), OK),
    "a URL is no list": (reference(image_urls=URL), error("/params/image_urls", "type")),
    "an object is no list": (reference(image_urls={"0": URL}), error("/params/image_urls", "type")),
    "null is no list": (reference(image_urls=None), error("/params/image_urls", "type")),
    "each bad item bears its own pointer": (
        reference(image_urls=[URL, "x", None, TOKEN]),
        error("/params/image_urls/1", "media") + error("/params/image_urls/2", "type"),
    ),
    "a tuple is a list": (reference(image_urls=(URL, TOKEN)), OK),
    "a set is no list": (reference(image_urls={URL}), error("/params/image_urls", "type")),
    # what is inferred warns
    "an inferred row that is required": (
        request("seedance-2-fast", "reference", {}),
        warning("/params/prompt", "required"),
    ),
    "an inferred range": (reference(duration=99), warning("/params/duration", "maximum")),
    "an inferred list of values": (reference(resolution="4k"), warning("/params/resolution", "enum")),
    "an inferred type": (reference(generate_audio="yes"), warning("/params/generate_audio", "type")),
    "an inferred URL": (
        request("kling-o3", "image", {"prompt": "x", "image_url": "ftp://x/y"}),
        warning("/params/image_url", "media"),
    ),
    "a documented mode is closed though its rows are inferred": (
        reference(images=[URL]),
        error("/params/images", "additionalProperties"),
    ),
    "an unknown param of an assumed mode": (
        request("seedance-2", "text", {"prompt": "x", "zz": 1}),
        warning("/params/zz", "additionalProperties"),
    ),
    "an assumed mode refuses nothing": (
        request("veo-3-1", "image", {"duration": 8, "image_url": 5}),
        warning("/params/prompt", "required")
        + warning("/params/image_url", "type")
        + warning("/params/duration", "type"),
    ),
    "a documented maximum with an inferred minimum, too many": (
        request("nano-banana-2", "edit", {"prompt": "x", "image_urls": [URL] * 15}),
        error("/params/image_urls", "maxItems"),
    ),
    "a documented maximum with an inferred minimum, too few": (
        request("nano-banana-2", "edit", {"prompt": "x", "image_urls": []}),
        warning("/params/image_urls", "minItems"),
    ),
    "the images of an edit are documented": (
        request("seedream-5-lite", "edit", {"prompt": "x"}),
        error("/params/image_urls", "required"),
    ),
    "an eleventh image of Seedream": (
        request("seedream-5-lite", "edit", {"prompt": "x", "image_urls": [URL] * 11}),
        error("/params/image_urls", "maxItems"),
    ),
    "the upstream maximum of GPT Image 2 is inferred": (
        request("gpt-image-2", "edit", {"prompt": "x", "image_urls": [URL] * 17}),
        warning("/params/image_urls", "maxItems"),
    ),
    # other documented tables
    "Veo takes its duration as a string": (veo(duration="8s"), OK),
    "Veo takes no number for a duration": (veo(duration=8), error("/params/duration", "type")),
    "Veo has no 5 s": (veo(duration="5s"), error("/params/duration", "enum")),
    "Veo Fast has no 4k": (veo(resolution="4k"), error("/params/resolution", "enum")),
    "Veo takes a negative prompt": (veo(negative_prompt="rain"), OK),
    "a seed without a documented range is any number": (veo(seed=-1.5e300), OK),
    "a seed without a documented range is a number still": (veo(seed="1"), error("/params/seed", "type")),
    "Kling O3's quality may be left out, for it has a default": (
        request("kling-o3", "text", {"prompt": "x"}),
        OK,
    ),
    "Kling O3's quality is a closed list": (
        request("kling-o3", "text", {"prompt": "x", "quality": "high"}),
        error("/params/quality", "enum"),
    ),
    "Kling O3 starts at 3 s": (request("kling-o3", "text", {"prompt": "x", "duration": 3}), OK),
    "Kling O3 ends at 15 s": (
        request("kling-o3", "text", {"prompt": "x", "duration": 16}),
        error("/params/duration", "maximum"),
    ),
    "Kling O3's multi_prompt is a string": (
        request("kling-o3", "text", {"prompt": "x", "multi_prompt": [{"prompt": "y", "duration": "5"}]}),
        error("/params/multi_prompt", "type"),
    ),
    "Nano Banana's web search is a string": (banana(enable_web_search="true"), OK),
    "Nano Banana's web search is no boolean": (
        banana(enable_web_search=True),
        error("/params/enable_web_search", "type"),
    ),
    "Nano Banana's tolerance is a string": (banana(safety_tolerance=4), error("/params/safety_tolerance", "type")),
    "Nano Banana makes four images": (banana(num_images=4), OK),
    "Nano Banana makes no fifth": (banana(num_images=5), error("/params/num_images", "maximum")),
    "Nano Banana's resolution is upper case": (banana(resolution="1k"), error("/params/resolution", "enum")),
    "Seedream's size is a resolution": (request("seedream-5-lite", None, {"prompt": "x", "size": "3K"}), OK),
    "Seedream has no 4K": (
        request("seedream-5-lite", None, {"prompt": "x", "size": "4K"}),
        error("/params/size", "enum"),
    ),
    "GPT Image 2 makes eight images": (gpt(num_images=8), OK),
    "GPT Image 2 makes at least one": (gpt(num_images=0), error("/params/num_images", "minimum")),
    # sizes
    "a preset": (gpt(image_size="portrait_16_9"), OK),
    "a preset that is not listed": (gpt(image_size="auto"), error(SIZE, "enum")),
    "a size as text": (gpt(image_size="1024x1024"), error(SIZE, "enum")),
    "a size": (sized(1024, 768), OK),
    "sides may be spelt with a fraction of zero": (sized(1024.0, 1.024e3), OK),
    "the smallest size": (sized(16, 16), OK),
    "the largest size": (sized(3840, 3840), OK),
    "a side below the minimum": (sized(0, 16), error(f"{SIZE}/width", "minimum")),
    "a side above the maximum": (sized(3840, 3856), error(f"{SIZE}/height", "maximum")),
    "a side that is no multiple of 16": (sized(1000, 1024), error(f"{SIZE}/width", "multipleOf")),
    "both sides wrong": (sized(17, "16"), error(f"{SIZE}/width", "multipleOf") + error(f"{SIZE}/height", "type")),
    "a side with a fraction": (sized(16.5, 16), error(f"{SIZE}/width", "type")),
    "a side that is true": (sized(True, 16), error(f"{SIZE}/width", "type")),
    "a side that is null": (sized(None, 16), error(f"{SIZE}/width", "type")),
    "a side that is NaN": (sized(NAN, 16), error(f"{SIZE}/width", "type")),
    "a side that is infinite": (sized(16, INFINITY), error(f"{SIZE}/height", "type")),
    "a side that is missing": (gpt(image_size={"width": 16}), error(f"{SIZE}/height", "required")),
    "both sides missing": (
        gpt(image_size={}),
        error(f"{SIZE}/width", "required") + error(f"{SIZE}/height", "required"),
    ),
    "a size with a third member": (sized(16, 16, depth=16), error(f"{SIZE}/depth", "additionalProperties")),
    "three to one": (sized(48, 16), OK),
    "one to three": (sized(16, 48), OK),
    "wider than three to one": (sized(64, 16), error(SIZE, "size")),
    "narrower than one to three": (sized(1264, 3840), error(SIZE, "size")),
    "a size as a list": (gpt(image_size=[16, 16]), error(SIZE, "type")),
    "a size as a number": (gpt(image_size=1024), error(SIZE, "type")),
    "a size that is null": (gpt(image_size=None), error(SIZE, "type")),
    # the mode that is off the wire
    "motion control without a mode": (motion(), OK),
    "motion control with our own id of its mode": ({**motion(), "mode": "motion"}, warning("/mode", "mode")),
    "motion control with a mode that nobody has": ({**motion(), "mode": "video"}, error("/mode", "mode")),
    "motion control needs an image and a clip, and has defaults for the rest": (
        request("kling-3-motion-control", None, {}),
        error("/params/video_urls", "required") + error("/params/image_url", "required"),
    ),
    "motion control takes one clip": (motion(video_urls=[URL, URL]), error("/params/video_urls", "maxItems")),
    "that motion control takes no empty list is inferred": (
        motion(video_urls=[]),
        warning("/params/video_urls", "minItems"),
    ),
    "motion control's orientation is a closed list": (
        motion(character_orientation="left"),
        error("/params/character_orientation", "enum"),
    ),
    "keep_original_sound is inferred": (
        motion(keep_original_sound="no"),
        warning("/params/keep_original_sound", "type"),
    ),
    "an unknown param of motion control, whose mode is assumed": (
        motion(video_url=URL),
        warning("/params/video_url", "additionalProperties"),
    ),
    # values of Python beyond JSON
    "a subclass of int is a number": (seedance(duration=Whole(5)), OK),
    "a member of an IntEnum is a number": (seedance(duration=Five.FIVE), OK),
    "a member of a StrEnum is a string": (seedance(resolution=Resolution.HD), OK),
    "a subclass of str is a string": (seedance(prompt=Name("x"), resolution=Name("720p")), OK),
    "a Decimal is no number": (seedance(duration=Decimal(5)), error("/params/duration", "type")),
    "a Fraction is no number": (seedance(duration=Fraction(5)), error("/params/duration", "type")),
    "a complex number is no number": (seedance(duration=5 + 0j), error("/params/duration", "type")),
    "bytes are no string": (seedance(prompt=b"x"), error("/params/prompt", "type")),
    "bytes are no request": (b"{}", error("", "type")),
    "a read-only mapping is an object": (
        types.MappingProxyType({**seedance(), "params": types.MappingProxyType({"prompt": "x"})}),
        OK,
    ),
    "a chain of mappings is an object": (collections.ChainMap[str, Any]({"params": {"prompt": "x"}}, seedance()), OK),
    "a size may be any mapping": (gpt(image_size=collections.UserDict({"width": 16, "height": 16})), OK),
    "a key that is no string": (
        dict[Any, Any](seedance()) | {5: 1, "params": {"prompt": "x", None: 1}},
        error("/params/None", "additionalProperties") + error("/5", "additionalProperties"),
    ),
}


def verdict(problems: list[Problem]) -> Verdict:
    return [(problem.path, problem.code, problem.severity) for problem in problems]


@pytest.mark.parametrize("name", VERDICTS)
def test_the_verdict_is_the_documentation_s(name: str) -> None:
    judged: Any
    judged, expected = VERDICTS[name]
    assert verdict(validate(judged)) == expected
    assert is_valid(judged) == (not any(severity == "error" for _, _, severity in expected))


MEDIA = {
    "https://example.com": True,
    "https://example.com/a/b.png?token=a%20b&c=d#e": True,
    "HTTPS://EXAMPLE.COM/": True,
    "https://localhost": True,
    "https://127.0.0.1:8443/x": True,
    "https://[2001:db8::1]/x": True,
    "https://user:word@example.com/x": True,
    "https://例え.jp/画像.png": True,
    "https://example.com?x": True,
    "https://example.com#x": True,
    TOKEN: True,
    "": False,
    "x": False,
    "example.com/a.png": False,
    "//example.com/a.png": False,
    "http://example.com/a.png": False,
    "ftp://example.com/a.png": False,
    "file:///etc/passwd": False,
    "data:image/png;base64,AAAA": False,
    "https:/example.com": False,
    "https:example.com": False,
    "https://": False,
    "https:///a.png": False,
    "https://?x": False,
    "https://#x": False,
    "https://@/x": False,
    "https://user@": False,
    "https://:443/x": False,
    "https://example.com:port/x": False,
    "https://[::1": False,
    "https://exa mple.com/": False,
    "https://example.com/a b": False,
    "https://example.com/a\tb": False,
    "https://example.com/a\x00b": False,
    "https://example.com/a\u2028b": False,
    "https://example.com/\n": False,
    "https://example.com\n": False,
    "\nhttps://example.com": False,
    " https://example.com": False,
    "https://example.com ": False,
    "https://example.com\\@evil.example": False,
    "javascript:https://example.com": False,
    f"{TOKEN}\n": False,
    f" {TOKEN}": False,
    TOKEN.upper(): False,
    TOKEN[:-1]: False,
    f"{TOKEN}0": False,
    TOKEN.replace("3", "g"): False,
    "pl-upload-": False,
    TOKEN.removeprefix("pl-upload-"): False,
    f"{TOKEN} {TOKEN}": False,
    "pl-upload-" + "٣" * 32: False,
}
"""What is a media value: an absolute https URL with a host, or a token of the documented form, compared whole."""


@pytest.mark.parametrize("value", MEDIA, ids=repr)
def test_a_media_value_is_an_https_url_or_a_token(value: str) -> None:
    expected = OK if MEDIA[value] else error("/params/image_url", "media")
    assert verdict(validate(motion(image_url=value))) == expected
    assert is_valid(motion(image_url=value)) == MEDIA[value]
    in_a_list = reference(image_urls=[URL, value])
    assert verdict(validate(in_a_list)) == (OK if MEDIA[value] else error("/params/image_urls/1", "media"))
    assert is_valid(in_a_list) == MEDIA[value]


@pytest.mark.parametrize("value", [None, True, 5, [URL], {"url": URL}], ids=repr)
def test_a_media_value_of_another_type_is_a_matter_of_type(value: object) -> None:
    assert verdict(validate(motion(image_url=value))) == error("/params/image_url", "type")
    assert not is_valid(motion(image_url=value))


# What the docs say in words, told of the messages

HINTS = {
    "a misspelt model": (request("seedance-2-fats", None, {}), "did you mean seedance-2-fast?"),
    "a misspelt mode": ({**seedance(), "mode": "txt"}, "did you mean text?"),
    "a misspelt param": (seedance(aspect_ration="16:9"), "did you mean aspect_ratio?"),
    "a value of another case": (banana(resolution="4k"), "did you mean 4K?"),
    "a param of another mode": (seedance(image_url=URL), "mode image takes it"),
    "a quoted number": (seedance(duration="5"), "did you mean 5?"),
    "a number with a unit": (seedance(duration="5s"), "did you mean 5?"),
    "a number for a listed string": (veo(duration=8), 'did you mean "8s"?'),
    "a flag for a listed string": (banana(enable_web_search=True), 'did you mean "true"?'),
    "a quoted flag": (seedance(generate_audio="true"), "did you mean true?"),
    "one URL for a list": (reference(image_urls=URL), "a list of one: brackets around it"),
    "http": (motion(image_url="http://example.com/a.png"), "https, not http"),
    "a param beside model": ({**seedance(), "duration": 5}, "params: inside it, not beside model"),
    "our own mode id": ({**motion(), "mode": "motion"}, "leave mode out"),
}


@pytest.mark.parametrize("name", HINTS)
def test_a_hint_says_what_was_likely_meant(name: str) -> None:
    judged, hint = HINTS[name]
    assert [problem.hint for problem in validate(judged)] == [hint]


# Bytes

SMALL = json.dumps(seedance()).encode()


def padded(size: int) -> bytes:
    return SMALL.replace(b'"x"', b'"' + b"x" * (size - len(SMALL) + 1) + b'"')


def nested(depth: int) -> bytes:
    """A request that is nested that deep, in a param that nothing lists."""
    deep = "[" * (depth - 2) + "]" * (depth - 2)
    return b'{"model": "seedance-2", "mode": "text", "params": {"prompt": "x", "zz": ' + deep.encode() + b"}}"


NO_JSON = error("", "json")

BYTES: dict[str, tuple[bytes, Verdict]] = {
    "a request": (SMALL, OK),
    "white space around a request": (b" \t\r\n" + SMALL + b"\r\n ", OK),
    "text that is not ASCII": ('{"model":"seedance-2-fast","params":{"prompt":"é 😀"}}'.encode(), OK),
    "escaped names": (SMALL.replace(b"model", b"\\u006dodel"), OK),
    "5.0 is 5": (json.dumps(seedance(duration=5.0)).encode(), OK),
    "5e0 is 5": (SMALL.replace(b'"x"', b'"x", "duration": 5e0'), OK),
    "150e-1 is 15": (SMALL.replace(b'"x"', b'"x", "duration": 150e-1'), OK),
    "151e-1 is above 15": (
        SMALL.replace(b'"x"', b'"x", "duration": 151e-1'),
        error("/params/duration", "maximum"),
    ),
    "nothing": (b"", NO_JSON),
    "white space alone": (b" \n", NO_JSON),
    "half a request": (SMALL[:-1], NO_JSON),
    "something after the value": (SMALL + b"x", NO_JSON),
    "a second value": (SMALL + b"\n" + SMALL, NO_JSON),
    "a zero byte after the value": (SMALL + b"\x00", NO_JSON),
    "a byte order mark": (codecs.BOM_UTF8 + SMALL, NO_JSON),
    "UTF-16": (SMALL.decode().encode("utf-16"), NO_JSON),
    "UTF-16 without a mark": (SMALL.decode().encode("utf-16-le"), NO_JSON),
    "UTF-32": (SMALL.decode().encode("utf-32"), NO_JSON),
    "Latin-1": (SMALL.replace(b'"x"', b'"\xe9"'), NO_JSON),
    "a surrogate in UTF-8": (SMALL.replace(b'"x"', b'"\xed\xa0\x80"'), NO_JSON),
    "an overlong byte sequence": (SMALL.replace(b'"x"', b'"\xc0\xaf"'), NO_JSON),
    "a raw newline in a string": (SMALL.replace(b'"x"', b'"a\nb"'), NO_JSON),
    "single quotes": (SMALL.replace(b'"', b"'"), NO_JSON),
    "a trailing comma": (SMALL[:-1] + b",}", NO_JSON),
    "a comment": (SMALL + b"// x", NO_JSON),
    "NaN": (SMALL.replace(b'"x"', b'"x", "seed": NaN'), NO_JSON),
    "Infinity": (SMALL.replace(b'"x"', b'"x", "seed": Infinity'), NO_JSON),
    "minus Infinity": (SMALL.replace(b'"x"', b'"x", "seed": -Infinity'), NO_JSON),
    "NaN in a place that nobody judges": (SMALL.replace(b'"x"', b'"x", "zz": NaN'), NO_JSON),
    "a double beyond all doubles": (SMALL.replace(b'"x"', b'"x", "seed": 1e400'), NO_JSON),
    "a double beyond all doubles, negative": (SMALL.replace(b'"x"', b'"x", "seed": -1e400'), NO_JSON),
    "a double below all doubles is 0": (SMALL.replace(b'"x"', b'"x", "seed": 1e-400'), OK),
    "an integer of 5,000 digits": (SMALL.replace(b'"x"', b'"x", "seed": ' + b"9" * 5000), NO_JSON),
    "a negative integer of 5,000 digits": (SMALL.replace(b'"x"', b'"x", "seed": -' + b"9" * 5000), NO_JSON),
    "an integer of 309 digits that is no double": (SMALL.replace(b'"x"', b'"x", "seed": ' + b"9" * 309), NO_JSON),
    "an integer of 309 digits that is one": (
        SMALL.replace(b'"x"', b'"x", "seed": 1' + b"0" * 308),
        error("/params/seed", "maximum"),
    ),
    "an integer of 300 digits": (
        SMALL.replace(b'"x"', b'"x", "seed": ' + b"9" * 300),
        error("/params/seed", "maximum"),
    ),
    "5,000 zeros after the point": (SMALL.replace(b'"x"', b'"x", "seed": 1.' + b"0" * 5000), OK),
    "a leading zero": (SMALL.replace(b'"x"', b'"x", "seed": 01'), NO_JSON),
    "a plus sign": (SMALL.replace(b'"x"', b'"x", "seed": +1'), NO_JSON),
    "a hexadecimal number": (SMALL.replace(b'"x"', b'"x", "seed": 0x1'), NO_JSON),
    "nested 64 deep": (nested(64), warning("/params/zz", "additionalProperties")),
    "nested 65 deep": (nested(65), NO_JSON),
    "nested 65 deep and unclosed": (b'{"model":' * 65, NO_JSON),
    "nested very deep": (b"[" * 500_000, NO_JSON),
    "nested very deep, alternating": (b'[{"":' * 200_000, NO_JSON),
    "brackets in a string are no nesting": (SMALL.replace(b'"x"', b'"' + b"[{" * 1000 + b'"'), OK),
    "brackets in a string after an escaped quote": (SMALL.replace(b'"x"', b'"\\"' + b"[" * 1000 + b'"'), OK),
    "brackets after a string that ends in a backslash": (
        SMALL.replace(b'"x"', b'"\\\\", "zz": ' + b"[" * 100 + b"]" * 100),
        NO_JSON,
    ),
    "1 MiB": (padded(1 << 20), OK),
    "1 MiB and a byte": (padded((1 << 20) + 1), NO_JSON),
    "1 MiB with white space": (SMALL + b" " * ((1 << 20) - len(SMALL)), OK),
    "the last of two equal keys wins": (b'{"model": "nope", ' + SMALL[1:], OK),
    "the first of two equal keys loses": (SMALL[:-1] + b', "model": "nope"}', error("/model", "model")),
    "the last of two equal params wins": (SMALL.replace(b'"x"', b'"x", "seed": -1, "seed": 1'), OK),
    "equal keys, one escaped": (SMALL[:-1] + b', "\\u006dodel": "nope"}', error("/model", "model")),
    "a pair of surrogates": (SMALL.replace(b'"x"', b'"\\ud83d\\ude00"'), OK),
    "a lone surrogate in a prompt": (SMALL.replace(b'"x"', b'"\\ud800"'), NO_JSON),
    "a lone surrogate in a listed value": (SMALL.replace(b'"x"', b'"x", "resolution": "\\udfff"'), NO_JSON),
    "a lone surrogate in a name": (SMALL.replace(b'"x"', b'"x", "\\ud800": 1'), NO_JSON),
    "two halves in the wrong order": (SMALL.replace(b'"x"', b'"\\ude00\\ud83d"'), NO_JSON),
    "a backslash before what looks like a surrogate": (SMALL.replace(b'"x"', b'"\\\\ud800"'), OK),
    "null": (b"null", error("", "type")),
    "a list": (b"[]", error("", "type")),
    "a number": (b"5", error("", "type")),
}


@pytest.mark.parametrize("name", BYTES)
def test_the_verdict_on_bytes_is_the_profile_s(name: str) -> None:
    data, expected = BYTES[name]
    assert verdict(validate_json(data)) == expected
    assert is_valid_json(data) == (not any(severity == "error" for _, _, severity in expected))


def test_the_limit_is_one_mebibyte() -> None:
    """The padded requests above are as long as their names say."""
    assert [len(BYTES[name][0]) for name in ("1 MiB", "1 MiB and a byte", "1 MiB with white space")] == [
        1_048_576,
        1_048_577,
        1_048_576,
    ]


# Properties

ANYTHING = st.characters(exclude_categories=())
"""Every code point, surrogates too."""
words = st.text(ANYTHING, max_size=12) | st.sampled_from(["prompt", "duration", "720p", "16:9", "", URL, TOKEN, "5s"])
numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from([0, 1, 4, 5, 15, 16, 1024])
values = st.recursive(
    st.none() | st.booleans() | numbers | words,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4),
    max_leaves=8,
)
MODES = [(model, mode) for model in MODELS.values() for mode in model.modes]


def right(param: Param) -> st.SearchStrategy[Any]:
    """Values that the row takes."""
    if param.type == "string|object":
        sides = st.sampled_from([16, 512, 1024.0])
        return st.sampled_from(param.enum or ()) | st.fixed_dictionaries({"width": sides, "height": st.just(1024)})
    if param.enum:
        return st.sampled_from(param.enum)
    if param.type == "number":
        return st.integers(int(param.min or 0), int(param.max or 99))
    if param.type == "boolean":
        return st.booleans()
    media = st.sampled_from([URL, TOKEN])
    if param.type == "array":
        return st.lists(media, min_size=param.min_items or 0, max_size=param.max_items or 20)
    return media if param.media else st.text(max_size=20)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    """A valid request with up to three changes: free dictionaries would almost all be refused for want of a model."""
    model, mode = draw(st.sampled_from(MODES))
    chosen = [param for param in mode.params if param.mandatory or draw(st.booleans())]
    params = {param.name: draw(right(param)) for param in chosen}
    made: dict[str, Any] = {"model": model.id, "mode": mode.id, "params": params}
    if not mode.on_wire or (mode is model.modes[0] and draw(st.booleans())):
        del made["mode"]
    if draw(st.integers(0, 9)) == 9:
        made["mode"] = draw(words)
    listed = [param.name for param in chosen if param.enum]
    if listed and draw(st.integers(0, 9)) == 9:
        params[draw(st.sampled_from(listed))] = draw(words)
    for _ in range(draw(st.integers(0, 3))):
        holder, listed = draw(
            st.sampled_from([(made, list(ENVELOPE)), (params, [param.name for param in mode.params])])
        )
        names = st.sampled_from(listed)
        name = draw(names | names | names | words)
        if draw(st.booleans()):
            holder[name] = draw(words | numbers | values)
        else:
            holder.pop(name, None)
    return made


anything = requests() | values


@given(anything)
@settings(max_examples=300)
def test_is_valid_says_what_validate_says(judged: Any) -> None:
    problems = validate(judged)
    assert is_valid(judged) == (not any(problem.severity == "error" for problem in problems))


def test_the_requests_of_these_properties_are_neither_all_valid_nor_all_invalid() -> None:
    """Else the properties would prove little."""
    seen: collections.Counter[bool] = collections.Counter()
    codes: set[str] = set()

    @given(requests())
    @settings(max_examples=1000, derandomize=True, database=None)
    def look(judged: dict[str, Any]) -> None:
        seen[is_valid(judged)] += 1
        codes.update(problem.code for problem in validate(judged))

    look()
    assert min(seen[True], seen[False]) > 50, seen
    assert codes >= {"type", "required", "additionalProperties", "enum", "mode"}


@given(anything, st.booleans())
@settings(max_examples=200)
def test_bytes_are_judged_as_the_value_they_spell(judged: Any, ascii_only: bool) -> None:
    try:
        json.dumps(judged, ensure_ascii=False).encode()
    except UnicodeEncodeError:  # half a character, which no bytes may spell: BYTES has what becomes of it
        assume(False)
    data = json.dumps(judged, ensure_ascii=ascii_only).encode()
    parsed = json.loads(data)
    assert is_valid_json(data) == is_valid(parsed)
    assert validate_json(data) == validate(parsed)


@given(st.binary() | requests().map(lambda judged: json.dumps(judged).encode()), st.data())
@settings(max_examples=200)
def test_no_bytes_raise(data: bytes, choice: st.DataObject) -> None:
    for _ in range(choice.draw(st.integers(0, 2))):
        at = choice.draw(st.integers(0, len(data)))
        data = data[:at] + choice.draw(st.binary(max_size=2)) + data[at + choice.draw(st.integers(0, 2)) :]
    problems = validate_json(data)
    assert is_valid_json(data) == (not any(problem.severity == "error" for problem in problems))
    assert not any(problem.code == "json" for problem in problems[1:])


def resolved(value: Any, pointer: str) -> Any:
    """What a JSON Pointer points at. Raises LookupError where there is nothing."""
    for part in pointer.split("/")[1:]:
        key = part.replace("~1", "/").replace("~0", "~")
        value = value[int(key)] if isinstance(value, list) else value[key]
    return value


@given(anything)
@settings(max_examples=200)
def test_every_problem_points_at_what_it_is_about(judged: Any) -> None:
    problems = validate(judged)
    for problem in problems:
        assert problem.path == "" or problem.path.startswith("/")
        if problem.code == "required":
            parent, _, name = problem.path.rpartition("/")
            assert name not in resolved(judged, parent)
        else:
            resolved(judged, problem.path)
    places = [(problem.path, problem.code) for problem in problems]
    assert len(set(places)) == len(places), "a mistake is told once"


@given(anything)
@settings(max_examples=200)
def test_a_problem_is_an_error_just_when_its_fact_is_documented(judged: Any) -> None:
    codes = {"required", "type", "enum", "minimum", "maximum", "minItems", "maxItems", "multipleOf"}
    codes |= {"additionalProperties", "model", "mode", "media", "size"}
    for problem in validate(judged):
        assert (problem.severity == "error") == (problem.evidence == "documented")
        assert problem.code in codes
        assert problem.message


@given(st.sampled_from(MODES).flatmap(lambda pair: st.tuples(st.just(pair), st.data())))
@settings(max_examples=200)
def test_what_every_row_takes_makes_no_problem(drawn: Any) -> None:
    (model, mode), choice = drawn
    params = {param.name: choice.draw(right(param)) for param in mode.params}
    judged = {"model": model.id, **({"mode": mode.id} if mode.on_wire else {}), "params": params}
    if isinstance(params.get("image_size"), dict):
        params["image_size"]["width"] = 1024
    assert validate(judged) == []


# What is told at once, and what is remembered

ROWS = [row for tables in TABLES.values() for table in tables.values() for row in table.rows]


def nearly(param: Param) -> st.SearchStrategy[Any]:
    """Values at the edges of what the row takes, and just beyond."""
    edges = [edge for edge in (param.min, param.max) if edge is not None]
    near = [edge + step for edge in edges for step in (-1, -0.5, 0, 0.5, 1)]
    counts = [count + step for count in (param.min_items, param.max_items) if count is not None for step in (-1, 0, 1)]
    lists = [[URL] * count for count in counts] + [[URL, bad] for bad in ("x", None, 5)]
    sizes = [{"width": width, "height": 1024} for width in (*near, 1000, 320, 336, "1024")]
    texts = [each for value in param.enum or () for each in (value, value.upper(), f"{value} ", Name(value))]
    return st.sampled_from([*near, *lists, *sizes, *texts, True, 1, None, NAN, INFINITY, 10**400, "", "x", "5", URL])


@given(st.data())
@settings(max_examples=1000)
def test_what_passes_for_usual_is_right(choice: st.DataObject) -> None:
    """Else `validate` would pass over a mistake."""
    row = choice.draw(st.sampled_from(ROWS))
    value = choice.draw(nearly(row.param) | right(row.param) | values)
    if row.is_usual(value):
        assert list(rules._any_value(row, value)) == []


@given(st.data())
@settings(max_examples=300)
def test_what_most_requests_have_is_usual(choice: st.DataObject) -> None:
    """Else the tests would only be a longer way to the same verdict."""
    row = choice.draw(st.sampled_from(ROWS))
    value = choice.draw(right(row.param))
    assert row.is_usual({**value, "width": 1024} if isinstance(value, dict) else value)


@pytest.mark.parametrize("step", [1, -1], ids=["forwards", "backwards"])
def test_what_was_told_of_one_mistake_is_told_of_no_other(step: int) -> None:
    """Of what is equal to another, or has the same name, something else may be wrong."""
    told = [
        (seedance(duration=1), "duration is 1, below the range 4 to 15 s", "did you mean 4?"),
        (seedance(duration=True), "duration takes a number, got true", None),
        (seedance(duration=0.0), "duration is 0, below the range 4 to 15 s", "did you mean 4?"),
        (seedance(duration=-0.0), "duration is -0, below the range 4 to 15 s", "did you mean 4?"),
        (seedance(seed=-1), "seed is -1, below the range 0 to 2147483647", "leave it out"),
        (seedance(resolution="4"), "resolution is '4', none of 480p, 720p", "did you mean 480p?"),
        (seedance(promt="x"), "seedance-2-fast in mode text has no param 'promt'", None),
        (
            without(seedance(promt="x"), "prompt"),
            "seedance-2-fast in mode text has no param 'promt'",
            "did you mean prompt?",
        ),
        (seedance(input=5), "seedance-2-fast in mode text has no param 'input'", None),
        (
            seedance(input={}),
            "seedance-2-fast in mode text has no param 'input'",
            "its members stand in params itself",
        ),
    ]
    for judged, message, hint in told[::step] * 2:
        assert [(problem.message, problem.hint) for problem in validate(judged)] == [(message, hint)]


def test_a_long_value_is_not_remembered() -> None:
    """It may be a mebibyte, and a thousand of them are."""
    known = rules._known_value
    for size, more in ((LONGEST, 1), (LONGEST + 1, 0), (MIB, 0)):
        known.cache_clear()
        assert validate(seedance(resolution="7" * size))
        assert known.cache_info().currsize == more


def test_a_function_that_remembers_does_so_by_text_and_type() -> None:
    asked: list[tuple[str, type, int]] = []

    @remembered
    def longer(text: str, by: int) -> int:
        asked.append((text, type(text), by))
        return len(text) + by

    long = "x" * (LONGEST + 1)
    for _ in range(2):
        assert [longer(text, 1) for text in ("a", long, Name("a"))] == [2, LONGEST + 2, 2]
        assert longer("a", 2) == 3
    assert asked == [("a", str, 1), (long, str, 1), ("a", Name, 1), ("a", str, 2), (long, str, 1)]


# Secrets

SECRET = "hunter2correcthorsebatterystaple"
SECRETS = {
    "url": f"https://user:{SECRET}@cdn.example.com/{SECRET}.png?token={SECRET}",
    "plain url": f"http://cdn.example.com/{SECRET}",
    "short url": "https://x.io/hunter2",
    "token": "pl-upload-" + "5ec2e7" * 5 + "00",
    "data": f"data:text/plain,{SECRET}",
    "prompt": f"a scene nobody may know of yet, with {SECRET} in it",
}
LEAKS = ("hunter2", "5ec2e7")


def told(problems: list[Problem]) -> str:
    return "\n".join(f"{problem.message}\n{problem.hint}\n{problem!r}" for problem in problems)


secrets = st.sampled_from(sorted(SECRETS.values()))
holding = st.recursive(
    secrets,
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(st.sampled_from(["width", "x"]), inner),
    max_leaves=4,
)


@given(st.sampled_from(MODES), st.data())
@settings(max_examples=300)
def test_no_problem_repeats_a_url_a_token_or_a_prompt_of_params(pair: tuple[Any, Mode], choice: st.DataObject) -> None:
    model, mode = pair
    names = [*(param.name for param in mode.params), "promt", "image"]
    params = {name: choice.draw(holding) for name in choice.draw(st.sets(st.sampled_from(names)))}
    rest = {name: choice.draw(holding) for name in choice.draw(st.sets(st.sampled_from(["webhook_url", "async", "x"])))}
    judged = {"model": model.id, "params": {**params, "unknown": SECRETS["url"]}, **rest}
    if mode.on_wire:
        judged["mode"] = mode.id
    problems = validate(judged)
    assert problems
    assert not any(leak in told(problems) for leak in LEAKS)


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_bytes_that_are_no_json_are_not_repeated(cut: int) -> None:
    data = json.dumps(motion(**dict.fromkeys(("prompt", "image_url"), SECRETS["url"]))).encode()
    text = told(validate_json(data[: cut % len(data)] + b"\xff" * (cut % 2) + SECRET.encode()))
    assert not any(leak in text for leak in LEAKS)


MISPLACED: dict[str, Any] = {
    "a URL for a model": request(f"https://x.io/{SECRET}", None, {}),
    "a token for a model": request(SECRETS["token"], None, {}),
    "a URL for a mode": {**seedance(), "mode": f"https://x.io/{SECRET}"},
    "a token for a mode": {**seedance(), "mode": SECRETS["token"]},
    "a short prompt for a listed value": seedance(aspect_ratio=SECRET),
    "half a token for a listed value": seedance(aspect_ratio=SECRETS["token"][:-4]),
    "a short URL for a member of params": seedance(**{f"https://{SECRET}": 1}),
}


@pytest.mark.parametrize("name", MISPLACED)
def test_no_message_repeats_a_secret_that_stands_in_the_wrong_place(name: str) -> None:
    problems = validate(MISPLACED[name])
    text = "\n".join(f"{problem.message} {problem.hint}" for problem in problems)
    assert not any(leak in text for leak in LEAKS)


def controls(text: str) -> set[str]:
    return {character for character in text if ord(character) < 32 or 127 <= ord(character) < 160}


@given(st.text(st.characters(categories=["Cc"], include_characters="ab")), st.sampled_from([seedance, gpt]))
def test_no_message_holds_a_character_that_a_terminal_acts_on(name: str, make: Callable[..., dict[str, Any]]) -> None:
    judged = [
        make(**{name: 1}),
        {**make(), name: 1},
        {**make(), "model": name},
        {**make(), "mode": name},
        seedance(resolution=name, duration=name, generate_audio=name),
        motion(image_url=name, video_urls=[name]),
    ]
    for each in judged:
        for problem in validate(each):
            assert controls(f"{problem.message}{problem.hint}") == set()


@pytest.mark.parametrize(
    "name", ["\x1b[31m", "a\nb", SECRETS["url"], "x" * 10_000], ids=["escape", "line", "url", "long"]
)
def test_a_message_on_a_member_of_a_size_cuts_and_escapes_its_name(name: str) -> None:
    (problem,) = validate(sized(16, 16, **{name: 1}))
    assert controls(problem.message) == set()
    assert SECRET not in problem.message
    assert len(problem.message) < 200


# Numbers that JSON can spell and a double cannot hold: json.loads makes an int of them

LARGE = {
    "for a string": seedance(prompt=10**400),
    "for a listed value": seedance(resolution=10**400),
    "for a flag": seedance(generate_audio=10**400),
    "for a list": reference(image_urls=10**400),
    "for a model": request(10**400, None, {}),  # type: ignore[arg-type]
    "for a request": 10**400,
    "above a range": seedance(duration=10**5000),
    "below a range": seedance(seed=-(10**5000)),
    "for a side": sized(10**5000, 16),
    "for a size": gpt(image_size=10**400),
}


@pytest.mark.parametrize("name", LARGE)
def test_an_integer_beyond_all_doubles_raises_nothing(name: str) -> None:
    judged: Any = LARGE[name]
    assert not is_valid(judged)
    assert [problem.severity for problem in validate(judged)] == ["error"]


def test_an_integer_beyond_all_doubles_is_no_number() -> None:
    assert verdict(validate(gpt(seed=10**400))) == error("/params/seed", "type")


# Time

MIB = 1 << 20


def object_of(count: int, name: str) -> str:
    return json.dumps({name.format(index): 1 for index in range(count)})


@dataclass(frozen=True)
class Flood:
    """An input of nearly 1 MiB, and the seconds of processor time it may take."""

    data: bytes
    seconds: float = 2.0


def in_params(inner: str) -> bytes:
    return f'{{"model": "seedance-2-fast", "mode": "reference", "params": {inner}}}'.encode()


FLOODS: dict[str, Callable[[], Flood]] = {
    "open brackets": lambda: Flood(b"[" * MIB),
    "open objects": lambda: Flood(b'{"":' * (MIB // 4)),
    "empty lists": lambda: Flood(b"[" + b"[]," * (MIB // 3 - 2) + b"[]]"),
    "quotes": lambda: Flood(b'"' * MIB),
    "brackets, then quotes": lambda: Flood(b"[" * 65 + b'"' * (MIB - 65)),
    "a bracket and a quote, again and again": lambda: Flood(b'["' * (MIB // 2)),
    "brackets, then an unclosed string of backslashes": lambda: Flood(b"[" * 65 + b'"' + b"\\" * (MIB - 66)),
    "brackets, then an unclosed string of escaped quotes": lambda: Flood(b"[" * 65 + b'"' + b'\\"' * (MIB // 2 - 33)),
    "digits": lambda: Flood(b"9" * MIB),
    "digits after a point": lambda: Flood(b"0." + b"9" * (MIB - 2)),
    "white space": lambda: Flood(b" " * MIB),
    "a long model": lambda: Flood(json.dumps(request("seedance" * (MIB // 8 - 8), None, {})).encode()),
    "a long listed value": lambda: Flood(in_params(json.dumps({"resolution": "720p" * (MIB // 4 - 40)}))),
    "a long number in quotes": lambda: Flood(in_params(json.dumps({"duration": "5" * (MIB - 200)}))),
    "a URL of user names": lambda: Flood(in_params(json.dumps({"image_urls": ["https://" + "a@" * (MIB // 2 - 90)]}))),
    "a URL of ports": lambda: Flood(in_params(json.dumps({"image_urls": ["https://" + "a:" * (MIB // 2 - 90)]}))),
    "a URL of brackets": lambda: Flood(in_params(json.dumps({"image_urls": ["https://[" + ":" * (MIB - 200)]}))),
    "a token without an end": lambda: Flood(in_params(json.dumps({"image_urls": ["pl-upload-" + "a" * (MIB - 200)]}))),
    # A problem each, tens of thousands of them: linear, but not free.
    "bad items": lambda: Flood(in_params(json.dumps({"image_urls": [1] * 340_000})), seconds=6),
    "unknown params": lambda: Flood(in_params(object_of(75_000, "k{}")), seconds=6),
    "long unknown params": lambda: Flood(in_params(object_of(9_000, "duration" * 12 + "{}")), seconds=6),
    "misspelt members of a size": lambda: Flood(
        json.dumps(gpt(image_size={f"widht{index}": 1 for index in range(60_000)})).encode(), seconds=6
    ),
}


@pytest.mark.parametrize("name", FLOODS)
def test_a_hostile_mebibyte_is_judged_in_linear_time(name: str) -> None:
    flood = FLOODS[name]()
    assert 0.75 * MIB < len(flood.data) <= MIB
    for judge in (is_valid_json, validate_json):
        start = time.process_time()
        judge(flood.data)
        assert time.process_time() - start < flood.seconds


# What the package offers


def test_the_package_offers_what_the_contract_names() -> None:
    assert {"is_valid", "is_valid_json", "validate", "validate_json", "Problem"} <= set(prospo.__all__)
    assert [getattr(prospo, name) for name in prospo.__all__]


def test_validating_changes_nothing_in_the_request() -> None:
    def frozen(value: Any) -> Any:
        match value:
            case dict():
                return types.MappingProxyType({name: frozen(item) for name, item in value.items()})
            case list():
                return tuple(frozen(item) for item in value)
            case _:
                return value

    def members(value: Any) -> Iterator[Any]:
        yield value
        if isinstance(value, Mapping):
            for item in value.values():
                yield from members(item)

    for judged, expected in VERDICTS.values():
        if all(isinstance(each, dict | str | int | bool) for each in members(judged)):
            copy = json.dumps(judged)
            assert verdict(validate(judged)) == verdict(validate(frozen(judged))) == expected  # type: ignore[arg-type]
            assert json.dumps(judged) == copy
