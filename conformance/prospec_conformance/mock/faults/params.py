"""Faults of params: values wrongly accepted and values wrongly refused. The envelope around them is not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prospec.ir import Mode, Model
from prospec.schema import Schema

from ..changes import (
    Change,
    Refusal,
    answered,
    breaks,
    has_params,
    in_params,
    in_rows,
    is_for,
    is_missing_param,
    is_value,
    refused,
    row,
)
from .fault import Fault, fault

if TYPE_CHECKING:
    from ..media import Drawing


def _optional(name: str, model: str = "") -> Change:
    def schema(of: Model, _mode: Mode, fresh: Schema) -> None:
        params = fresh["properties"]["params"]
        if model in ("", of.id) and name in params.get("required", ()):
            params["required"] = [other for other in params["required"] if other != name]

    return Change(schema=schema)


def _text_of_number(name: str, value: Any) -> Any:
    return str(value) if name == "prompt" and isinstance(value, int | float) else value


def _number_of_text(name: str, value: Any) -> Any:
    numeric = name in ("duration", "num_images", "seed") and isinstance(value, str) and value.isascii()
    return int(value) if numeric and value.isdigit() and len(value) < 10 else value


def _number_of_flag(name: str, value: Any) -> Any:
    return int(value) if name in ("duration", "num_images", "seed") and isinstance(value, bool) else value


def _flag_of_text(name: str, value: Any) -> Any:
    return {"true": True, "false": False}.get(str(value), value) if name == "generate_audio" else value


def _list_of_text(name: str, value: Any) -> Any:
    return [value] if name.endswith("_urls") and isinstance(value, str) else value


def _whole(name: str, value: Any) -> Any:
    return int(value) if name in ("duration", "num_images", "seed") and isinstance(value, float) else value


def _trimmed(name: str, value: Any) -> Any:
    return value.strip() if name in ("resolution", "aspect_ratio", "quality") and isinstance(value, str) else value


def _any_case(found: Schema) -> None:
    if "enum" in found:
        found["enum"] = [*found["enum"], *(case(value) for value in found["enum"] for case in (str.upper, str.lower))]


def _any_value(found: Schema) -> None:
    found.pop("enum", None)


def _media_as(pattern: Callable[[str], str]) -> Change:
    """Takes for media what `pattern` makes of the pattern of media."""

    def edit(found: Schema) -> None:
        for part in (found, found.get("items", {})):
            if "pattern" in part:
                part["pattern"] = pattern(part["pattern"])

    return in_rows(edit)


def _first_item_only(found: Schema) -> None:
    if "items" in found:
        found["prefixItems"] = [found.pop("items")]


def _custom_size(edit: Callable[[Schema], object]) -> Change:
    """Edits what is asked of a width and a height."""
    return in_rows(lambda found: edit(found["anyOf"][1]), "gpt-image-2", "generate", "image_size")


def _side(**keywords: object) -> Callable[[Schema], None]:
    def edit(found: Schema) -> None:
        for side in found["properties"].values():
            side.update(keywords)

    return edit


def _unchecked_beside_others(request: Any, refusal: Refusal | None) -> Refusal | None:
    many = refusal and refusal.pointer.startswith("/params/") and len(request["params"]) >= 6
    return None if many else refusal


def _wrongly_accepted() -> Iterator[Fault]:
    yield fault("PARAM-01-prompt-optional", "kling-o3 does without a prompt.", _optional("prompt", "kling-o3"))
    yield fault(
        "PARAM-01-images-optional", "nano-banana-2 edits without image_urls.", _optional("image_urls", "nano-banana-2")
    )
    yield fault(
        "PARAM-01-missing-param-422",
        "A missing param is answered 422.",
        answered(422, is_missing_param),
        "ERR-07",
    )

    yield fault("PARAM-02-prompt-number-accepted", "A number is accepted for a prompt.", in_params(_text_of_number))
    yield fault(
        "PARAM-02-prompt-type-500",
        "A prompt that is no string is answered 500.",
        answered(500, breaks("type", "/params/prompt")),
        "PARAM-13",
        "PARAM-14",
        "ERR-06",
    )
    yield fault(
        "PARAM-02-numeric-string-accepted", "A string of digits passes for a number.", in_params(_number_of_text)
    )
    yield fault("PARAM-02-boolean-as-number", "A boolean passes for a number.", in_params(_number_of_flag))
    yield fault("PARAM-02-boolean-string-accepted", '"true" passes for true.', in_params(_flag_of_text))
    yield fault("PARAM-02-bare-string-as-list", "A string passes for a list of one.", in_params(_list_of_text))

    yield fault(
        "PARAM-03-kling-o3-ratio-4-3",
        "kling-o3 accepts one more aspect ratio, 4:3.",
        row("kling-o3", "text", "aspect_ratio", enum=["16:9", "9:16", "1:1", "4:3"]),
    )
    yield fault(
        "PARAM-03-seedance-2-fast-1080p",
        "seedance-2-fast accepts one more resolution, 1080p.",
        row("seedance-2-fast", "text", "resolution", enum=["480p", "720p", "1080p"]),
    )
    yield fault("PARAM-03-any-case", "Values are accepted in upper and lower case.", in_rows(_any_case))
    yield fault(
        "PARAM-03-unchecked",
        "nano-banana-2 takes any value of any list.",
        in_rows(_any_value, "nano-banana-2", "generate"),
    )
    yield fault("PARAM-03-trimmed", "White space around a value is taken off.", in_params(_trimmed))

    yield fault(
        "PARAM-04-duration-3", "seedance-2-fast accepts 3 s.", row("seedance-2-fast", "text", "duration", minimum=3)
    )
    yield fault(
        "PARAM-04-seed-unbounded",
        "seedance-2-fast accepts a negative seed.",
        row("seedance-2-fast", "text", "seed", minimum=None),
    )

    yield fault(
        "PARAM-05-duration-16", "seedance-2-fast accepts 16 s.", row("seedance-2-fast", "text", "duration", maximum=16)
    )
    yield fault(
        "PARAM-05-seed-unbounded",
        "seedance-2-fast accepts a seed of any size.",
        row("seedance-2-fast", "text", "seed", maximum=None),
    )
    yield fault("PARAM-05-fraction-cut-off", "15.5 is read as 15.", in_params(_whole), "PARAM-04")

    yield fault(
        "PARAM-06-nano-banana-2-image-urls-15",
        "nano-banana-2 accepts 15 image_urls.",
        row("nano-banana-2", "edit", "image_urls", maxItems=15),
    )
    yield fault(
        "PARAM-06-unlimited",
        "seedream-5-lite accepts image_urls of any length.",
        row("seedream-5-lite", "edit", "image_urls", maxItems=None),
    )

    yield fault("PARAM-07-http-accepted", "An http URL is accepted.", _media_as(lambda media: f"(?:{media})|http://.+"))
    yield fault("PARAM-07-any-string-accepted", "Any string is taken for media.", _media_as(lambda _media: r"[\s\S]*"))
    yield fault("PARAM-07-first-item-only", "Of a list, only the first item is checked.", in_rows(_first_item_only))

    yield fault("PARAM-08-any-multiple", "A side need not be a multiple of 16.", _custom_size(_side(multipleOf=1)))
    yield fault("PARAM-08-side-3856", "A side may be 3856.", _custom_size(_side(maximum=3856)))
    yield fault("PARAM-08-side-0", "A side may be 0.", _custom_size(_side(minimum=0)))
    yield fault(
        "PARAM-08-any-ratio", "A side may be any times the other.", _custom_size(lambda size: size.pop("x-max-ratio"))
    )
    yield fault(
        "PARAM-08-height-optional",
        "A width does without a height.",
        _custom_size(lambda size: size.update(required=["width"])),
    )

    yield fault("PARAM-13-value-422", "A refused value is answered 422.", answered(422, is_value), "ERR-07")
    yield fault(
        "PARAM-14-unchecked-beside-others",
        "A request with six params or more is not checked for their values.",
        Change(refusal=_unchecked_beside_others),
    )


def _presets_only(found: Schema) -> None:
    del found["anyOf"][1]


def _wrongly_refused() -> Iterator[Fault]:
    combines = "PARAM-15"
    yield fault(
        "PARAM-09-seedance-2-fast-21-9-refused",
        "seedance-2-fast refuses 21:9.",
        row("seedance-2-fast", "text", "aspect_ratio", enum=["16:9", "9:16", "1:1", "4:3", "3:4"]),
        combines,
    )
    yield fault(
        "PARAM-09-veo-3-1-fast-4s-refused",
        "veo-3-1-fast refuses 4s.",
        row("veo-3-1-fast", "text", "duration", enum=["6s", "8s"]),
        combines,
    )
    yield fault(
        "PARAM-09-default-refused",
        "nano-banana-2 refuses its own default of output_format.",
        row("nano-banana-2", "generate", "output_format", enum=["jpeg", "webp"]),
        combines,
    )
    yield fault(
        "PARAM-10-seed-0-refused",
        "seedance-2-fast refuses seed 0.",
        row("seedance-2-fast", "text", "seed", minimum=1),
        combines,
    )
    yield fault(
        "PARAM-12-audio-false-refused",
        "seedance-2-fast refuses generate_audio false.",
        row("seedance-2-fast", "text", "generate_audio", enum=[True]),
        combines,
    )
    yield fault(
        "PARAM-12-seed-refused",
        "veo-3-1-fast refuses any seed.",
        row("veo-3-1-fast", "text", "seed", enum=[]),
        combines,
    )
    yield fault(
        "PARAM-12-custom-size-refused",
        "gpt-image-2 refuses a width and a height.",
        in_rows(_presets_only, "gpt-image-2", "generate", "image_size"),
        combines,
    )
    yield fault(
        "PARAM-15-ratio-beside-resolution-refused",
        "seedance-2-fast takes aspect_ratio or resolution, not both.",
        refused(
            lambda request: (
                is_for(request, "seedance-2-fast", "text") and has_params(request, "aspect_ratio", "resolution")
            ),
            "enum",
            "/params/aspect_ratio",
        ),
    )
    yield fault(
        "PARAM-15-seed-beside-images-refused",
        "An image model takes seed or num_images, not both.",
        refused(lambda request: has_params(request, "seed", "num_images"), "enum", "/params/seed"),
    )


_NUMBERS = (
    ("kling-o3", "text", "duration", 3, 15),
    ("seedance-2-fast", "text", "duration", 4, 15),
    ("seedance-2-fast", "text", "seed", 0, 2_147_483_647),
    ("nano-banana-2", "generate", "num_images", 1, 4),
    ("gpt-image-2", "generate", "num_images", 1, 8),
    ("seedream-5-lite", "generate", "num_images", 1, 6),
)
"""Model, mode, param, and both ends of its range."""
_LISTS = (
    ("seedance-2-fast", "reference", "image_urls", 9),
    ("seedance-2-fast", "reference", "video_urls", 3),
    ("seedance-2-fast", "reference", "audio_urls", 3),
    ("nano-banana-2", "edit", "image_urls", 14),
    ("seedream-5-lite", "edit", "image_urls", 10),
    ("kling-3-motion-control", "motion", "video_urls", 1),
)
"""Model, mode, param, and its longest list."""
_VALUES = (
    ("veo-3-1-fast", "text", "resolution", ("720p", "1080p"), "480p"),
    ("veo-3-1-fast", "text", "aspect_ratio", ("16:9", "9:16"), "1:1"),
    ("kling-o3", "text", "shot_type", ("customize", "intelligent"), "no-such-value"),
    ("kling-3-motion-control", "motion", "character_orientation", ("image", "video"), "no-such-value"),
    ("gpt-image-2", "generate", "quality", ("auto", "low", "medium", "high"), ""),
    ("gpt-image-2", "generate", "output_format", ("png", "jpeg", "webp"), "gif"),
    ("nano-banana-2", "generate", "output_format", ("png", "jpeg", "webp"), "gif"),
    ("nano-banana-2", "generate", "safety_tolerance", ("1", "2", "3", "4", "5", "6"), ""),
    ("seedance-2-fast", "text", "aspect_ratio", ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9"), "auto"),
)
"""Model, mode, param, its values, and one that it does not have."""


def _named(model: str, mode: str, param: str, what: str) -> str:
    return f"{model}-{mode}-{param.replace('_', '-')}-{what}"


def _one_too_many() -> Iterator[Fault]:
    """A single edge of a single row, one step too wide or too narrow."""
    for model, mode, param, low, high in _NUMBERS:
        for requirement, keyword, bound in (("PARAM-04", "minimum", low - 1), ("PARAM-05", "maximum", high + 1)):
            yield fault(
                f"{requirement}-{_named(model, mode, param, f'takes-{bound}')}",
                f"{model} takes {param} {bound}.",
                row(model, mode, param, **{keyword: bound}),
            )
        for keyword, bound, refused_one in (("minimum", low + 1, low), ("maximum", high - 1, high)):
            yield fault(
                f"PARAM-10-{_named(model, mode, param, f'refuses-{refused_one}')}",
                f"{model} refuses {param} {refused_one}, an end of its range.",
                row(model, mode, param, **{keyword: bound}),
                "PARAM-15",
            )
    for model, mode, param, longest in _LISTS:
        yield fault(
            f"PARAM-06-{_named(model, mode, param, f'takes-{longest + 1}')}",
            f"{model} takes {longest + 1} {param}.",
            row(model, mode, param, maxItems=longest + 1),
        )
        if longest > 1:
            yield fault(
                f"PARAM-11-{_named(model, mode, param, f'refuses-{longest}')}",
                f"{model} refuses {longest} {param}.",
                row(model, mode, param, maxItems=longest - 1),
                "PARAM-15",
            )
    for model, mode, param, values, stranger in _VALUES:
        yield fault(
            f"PARAM-03-{_named(model, mode, param, f'takes-{stranger}')}".replace(":", "-").rstrip("-"),
            f"{model} takes {param} {stranger!r}.",
            row(model, mode, param, enum=[*values, stranger]),
        )
        last = values[-1]
        if (model, param) != ("kling-3-motion-control", "character_orientation"):
            yield fault(
                f"PARAM-09-{_named(model, mode, param, f'refuses-{last}')}".replace(":", "-"),
                f"{model} refuses {param} {last!r}.",
                row(model, mode, param, enum=list(values[:-1])),
                "PARAM-15",
            )


def _costs(edit: Callable[[Mapping[str, Any]], bool]) -> Change:
    """Costs twice as much where `edit` says so."""
    return Change(costs=lambda request, cost: 2 * cost if edit(request) else cost)


def _unlisted(name: str) -> Callable[[Any, Refusal | None], Refusal | None]:
    """A server error for a param of that name."""

    def refusal(request: Any, found: Refusal | None) -> Refusal | None:
        params = request.get("params") if isinstance(request, dict) else None
        return Refusal(500, "Unexpected param.") if isinstance(params, dict) and name in params else found

    return refusal


def _beside_the_lists() -> Iterator[Fault]:
    """What params cost, and those that no table lists."""
    for model, param, default in (
        ("seedance-2-fast", "resolution", "720p"),
        ("seedance-2-fast", "duration", 5),
        ("nano-banana-2", "resolution", "1K"),
        ("gpt-image-2", "num_images", 1),
    ):
        slug = f"{model}-{param.replace('_', '-')}"
        yield fault(
            f"PARAM-19-{slug}-left-out",
            f"{model} costs twice as much without {param}.",
            _costs(_without_param(model, param)),
            "GEN-26",
            *(("GEN-27",) if param == "num_images" else ()),
        )
        yield fault(
            f"PARAM-19-{slug}-given",
            f"{model} costs twice as much with {param} {default}.",
            _costs(_with_param(model, param, default)),
        )
    for name in ("no_such_param", "promt", "__proto__"):
        yield fault(
            f"PARAM-20-{name.strip('_').replace('_', '-')}-500",
            f"A param {name} is answered 500.",
            Change(refusal=_unlisted(name)),
        )
    clips: Mapping[str, tuple[str, Callable[[Drawing], Drawing]]] = {
        "a-second-more": ("is a second longer", lambda it: replace(it, seconds=it.seconds + 1)),
        "half-as-long": ("is half as long", lambda it: replace(it, seconds=it.seconds / 2)),
        "larger": (
            "is half as large again",
            lambda it: replace(it, width=it.width * 3 // 4 * 2, height=it.height * 3 // 4 * 2),
        ),
        "wide": ("is wide", lambda it: replace(it, width=it.height * 16 // 18 * 2)),
    }
    for slug, (what, edit) in clips.items():
        yield fault(f"PARAM-22-{slug}", f"A clip {what}.", _clips(edit))


def _without_param(model: str, param: str) -> Callable[[Mapping[str, Any]], bool]:
    return lambda request: request["model"] == model and param not in request["params"]


def _with_param(model: str, param: str, value: object) -> Callable[[Mapping[str, Any]], bool]:
    return lambda request: request["model"] == model and request["params"].get(param) == value


def _clips(edit: Callable[[Drawing], Drawing]) -> Change:
    return Change(draws=lambda drawing: edit(drawing) if drawing.seconds else drawing)


def faults() -> Iterator[Fault]:
    yield from _wrongly_accepted()
    yield from _wrongly_refused()
    yield from _one_too_many()
    yield from _beside_the_lists()
