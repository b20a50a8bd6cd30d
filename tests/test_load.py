"""The loader: the real spec against figures copied by hand from the documentation, and broken specs.

The tables below were written from the provider's documentation and the collected facts, not from spec/. Each file of
cases/bad is one broken spec: edits to the real one, and every problem that the loader must name, each with the text of
the line that it must point to (the first line that has `at`, or the first after a line that has `after`).
"""

from __future__ import annotations

import re
import shutil
import tomllib
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from prospec.ir import Choice, Evidence, Flag, ListOf, Media, Mode, Model, Number, Size, Spec, Text
from prospec.loader import SpecError, load, spec_root

CASES = Path(__file__).parent / "cases" / "bad"

MODES: dict[str, dict[str, str]] = {
    "seedance-2": {"text": "assumed", "image": "assumed", "reference": "documented"},
    "seedance-2-fast": {"text": "documented", "image": "documented", "reference": "documented"},
    "kling-v3": {"text": "assumed", "image": "assumed"},
    "kling-o3": {"text": "documented", "image": "documented"},
    "kling-3-motion-control": {"motion": "assumed"},
    "veo-3-1": {"text": "documented", "image": "assumed", "reference": "assumed"},
    "veo-3-1-fast": {"text": "documented", "image": "documented"},
    "veo-3-1-lite": {"text": "documented", "image": "assumed"},
    "gpt-image-2": {"generate": "documented", "edit": "documented"},
    "nano-banana-2": {"generate": "documented", "edit": "documented"},
    "seedream-5-lite": {"generate": "documented", "edit": "documented"},
}
"""Model -> mode -> how well the mode is known. The first mode is the default one."""

WIDE_RATIOS = ("16:9", "9:16", "1:1", "4:3", "3:4", "21:9")
BANANA_RATIOS = ("auto", "1:1", "21:9", "16:9", "3:2", "4:3", "5:4", "4:5", "3:4", "2:3", "9:16")
SEEDREAM_RATIOS = ("auto", "1:1", "4:3", "3:4", "16:9", "9:16", "3:2", "2:3", "21:9")
PRESETS = ("square_hd", "square", "landscape_4_3", "landscape_16_9", "portrait_4_3", "portrait_16_9")
FORMATS = ("png", "jpeg", "webp")

DOCUMENTED: dict[tuple[str, str], dict[str, tuple[object, bool, object]]] = {
    ("seedance-2-fast", "text"): {
        "prompt": (Text(), True, None),
        "resolution": (Choice(("480p", "720p")), False, "720p"),
        "duration": (Number(4, 15, "s"), False, 5),
        "aspect_ratio": (Choice(WIDE_RATIOS), False, "16:9"),
        "generate_audio": (Flag(), False, True),
        "seed": (Number(0, 2147483647, None), False, None),
    },
    ("seedance-2-fast", "reference"): {
        "image_urls": (ListOf(Media("image"), None, 9), False, None),
        "video_urls": (ListOf(Media("video"), None, 3), False, None),
        "audio_urls": (ListOf(Media("audio"), None, 3), False, None),
    },
    ("kling-o3", "text"): {
        "prompt": (Text(), True, None),
        "quality": (Choice(("standard", "pro")), True, "standard"),
        "generate_audio": (Flag(), False, False),
        "duration": (Number(3, 15, "s"), False, 5),
        "aspect_ratio": (Choice(("16:9", "9:16", "1:1")), False, "16:9"),
        "shot_type": (Choice(("customize", "intelligent")), False, "customize"),
        "multi_prompt": (Text(), False, None),
    },
    ("kling-3-motion-control", "motion"): {
        "prompt": (Text(), False, None),
        "quality": (Choice(("pro", "standard")), True, "pro"),
        "video_urls": (ListOf(Media("video"), 1, 1), True, None),
        "image_url": (Media("image"), True, None),
        "character_orientation": (Choice(("image", "video")), True, "image"),
    },
    ("veo-3-1-fast", "text"): {
        "prompt": (Text(), True, None),
        "duration": (Choice(("4s", "6s", "8s")), False, "8s"),
        "resolution": (Choice(("720p", "1080p")), False, "1080p"),
        "aspect_ratio": (Choice(("16:9", "9:16")), False, "16:9"),
        "generate_audio": (Flag(), False, True),
        "negative_prompt": (Text(), False, None),
        "seed": (Number(None, None, None), False, None),
    },
    ("gpt-image-2", "generate"): {
        "prompt": (Text(), True, None),
        "quality": (Choice(("auto", "low", "medium", "high")), False, "high"),
        "image_size": (Size(PRESETS, 16, 16, 3840, 3), False, "landscape_4_3"),
        "output_format": (Choice(FORMATS), False, "png"),
        "num_images": (Number(1, 8, None), False, 1),
        "seed": (Number(None, None, None), False, None),
    },
    ("nano-banana-2", "generate"): {
        "prompt": (Text(), True, None),
        "aspect_ratio": (Choice(BANANA_RATIOS), False, "1:1"),
        "resolution": (Choice(("1K", "2K", "4K")), False, "1K"),
        "num_images": (Number(1, 4, None), False, 1),
        "output_format": (Choice(FORMATS), False, "png"),
        "safety_tolerance": (Choice(("1", "2", "3", "4", "5", "6")), False, "4"),
        "enable_web_search": (Choice(("false", "true")), False, "false"),
        "seed": (Number(None, None, None), False, None),
    },
    ("nano-banana-2", "edit"): {"image_urls": (ListOf(Media("image"), 1, 14), True, None)},
    ("seedream-5-lite", "generate"): {
        "prompt": (Text(), True, None),
        "aspect_ratio": (Choice(SEEDREAM_RATIOS), False, "16:9"),
        "size": (Choice(("2K", "3K")), False, "2K"),
        "num_images": (Number(1, 6, None), False, 1),
        "seed": (Number(None, None, None), False, None),
    },
    ("seedream-5-lite", "edit"): {"image_urls": (ListOf(Media("image"), 1, 10), True, None)},
}
"""Every row that the provider shows, in the order of its tables: type, required, default."""

EDIT_SIZES = {("gpt-image-2", "edit"): 8, ("nano-banana-2", "edit"): 9, ("seedream-5-lite", "edit"): 6}

PRICES: dict[str, tuple[str, str | None, str, list[tuple[dict[str, object], str]]]] = {
    "seedance-2-fast": (
        "second",
        "duration",
        "documented",
        [({"resolution": "480p"}, "0.07"), ({"resolution": "720p"}, "0.15")],
    ),
    "kling-o3": (
        "second",
        "duration",
        "documented",
        [
            ({"quality": "standard", "generate_audio": False}, "0.1"),
            ({"quality": "standard", "generate_audio": True}, "0.126"),
            ({"quality": "pro", "generate_audio": False}, "0.134"),
            ({"quality": "pro", "generate_audio": True}, "0.168"),
        ],
    ),
    "kling-3-motion-control": (
        "second",
        None,
        "documented",
        [({"quality": "standard"}, "0.076"), ({"quality": "pro"}, "0.1")],
    ),
    "veo-3-1-fast": (
        "second",
        "duration",
        "documented",
        [({"generate_audio": False}, "0.06"), ({"generate_audio": True}, "0.09")],
    ),
    "veo-3-1-lite": ("second", "duration", "inferred", [({"resolution": "720p", "generate_audio": True}, "0.05")]),
    "gpt-image-2": (
        "image",
        "num_images",
        "documented",
        [({"quality": "low"}, "0.0072"), ({"quality": "medium"}, "0.028"), ({"quality": "high"}, "0.077")],
    ),
    "nano-banana-2": (
        "image",
        "num_images",
        "documented",
        [({"resolution": "1K"}, "0.048"), ({"resolution": "4K"}, "0.096")],
    ),
    "seedream-5-lite": ("image", "num_images", "documented", [({}, "0.014")]),
}
"""Unit, what counts the units, evidence, rates. The models that are not here have no published price."""

OPEN_RATES: dict[str, tuple[dict[str, object], str, Decimal, Decimal]] = {
    "gpt-image-2": ({"quality": "auto"}, "inferred", Decimal("0.0072"), Decimal("0.077")),
    "nano-banana-2": ({"resolution": "2K"}, "inferred", Decimal("0.048"), Decimal("0.096")),
}
"""What no page prices, and we take to lie between what it does."""


def model(spec: Spec, id: str) -> Model:
    found = spec.model(id)
    assert found is not None
    return found


def mode(spec: Spec, id: str, mode_id: str) -> Mode:
    found = model(spec, id).mode(mode_id)
    assert found is not None
    return found


def test_the_catalog_holds_eleven_models_and_twenty_four_modes(spec: Spec) -> None:
    assert (len(spec.models), sum(len(model.modes) for model in spec.models)) == (11, 24)


def test_each_model_has_its_modes_in_order_and_as_well_known_as_the_docs_make_them(spec: Spec) -> None:
    found = {model.id: {mode.id: str(mode.evidence) for mode in model.modes} for model in spec.models}
    assert found == MODES
    assert [list(found[id]) for id in MODES] == [list(modes) for modes in MODES.values()]


@pytest.mark.parametrize("key", DOCUMENTED, ids=" ".join)
def test_the_documented_rows_are_those_of_the_documentation(spec: Spec, key: tuple[str, str]) -> None:
    rows = [row for row in mode(spec, *key).params if row.evidence is Evidence.DOCUMENTED]
    assert {row.name: (row.type, row.required, row.default) for row in rows} == DOCUMENTED[key]
    assert [row.name for row in rows] == list(DOCUMENTED[key])


def test_no_other_row_is_documented(spec: Spec) -> None:
    """Only a documented row can refuse a request, so this list is what the binding may refuse by."""
    found = {
        (model.id, mode.id)
        for model in spec.models
        for mode in model.modes
        for row in mode.params
        if row.evidence is Evidence.DOCUMENTED
    }
    assert found == DOCUMENTED.keys()


def test_a_row_is_never_better_known_than_its_mode_save_where_the_page_names_no_mode(spec: Spec) -> None:
    order = [Evidence.DOCUMENTED, Evidence.INFERRED, Evidence.ASSUMED]
    better = {
        model.id
        for model in spec.models
        for mode in model.modes
        for row in mode.params
        if order.index(row.evidence) < order.index(mode.evidence)
    }
    assert better == {"kling-3-motion-control"}


def test_only_motion_control_leaves_its_mode_off_the_wire(spec: Spec) -> None:
    off = [(model.id, mode.id) for model in spec.models for mode in model.modes if not mode.on_wire]
    assert off == [("kling-3-motion-control", "motion")]


def test_the_default_mode_is_documented_where_a_page_lists_the_modes(spec: Spec) -> None:
    documented = {model.id for model in spec.models if model.modes_order is Evidence.DOCUMENTED}
    pages = {"seedance-2-fast", "kling-o3", "veo-3-1-fast", "gpt-image-2", "nano-banana-2", "seedream-5-lite"}
    assert documented == pages


@pytest.mark.parametrize(("key", "count"), EDIT_SIZES.items(), ids=str)
def test_an_edit_takes_what_a_generation_takes_and_images(spec: Spec, key: tuple[str, str], count: int) -> None:
    edit, generate = mode(spec, *key), mode(spec, key[0], "generate")
    taken = {row.name: (row.type, row.required, row.default) for row in edit.params}
    assert len(taken) == count
    assert {row.name: (row.type, row.required, row.default) for row in generate.params}.items() <= taken.items()
    assert taken["image_urls"][1]


def test_a_seed_has_a_range_only_where_the_docs_give_it_one(spec: Spec) -> None:
    """0 to 2147483647 is documented for Seedance 2.0 Fast text alone; its sibling modes infer it."""
    ranged = {
        model.id
        for model in spec.models
        for mode in model.modes
        for row in mode.params
        if row.name == "seed" and row.type != Number(None, None, None)
    }
    assert ranged == {"seedance-2", "seedance-2-fast"}


def test_prices_are_those_of_the_pages(spec: Spec) -> None:
    found = {
        model.id: (
            model.price.unit,
            model.price.quantity,
            str(model.price.evidence),
            [(dict(rate.when), str(rate.evidence), rate.low, rate.high) for rate in model.price.rates],
        )
        for model in spec.models
        if model.price
    }
    exact = {
        id: (unit, quantity, evidence, [(when, evidence, Decimal(usd), Decimal(usd)) for when, usd in rates])
        for id, (unit, quantity, evidence, rates) in PRICES.items()
    }
    for id, rate in OPEN_RATES.items():
        exact[id][3].append(rate)
    assert found == exact


def test_what_the_pages_leave_open_of_a_price_is_said(spec: Spec) -> None:
    """A range over sound, a length that only the provider measures, and several images for the price of one each."""
    prices = {model.id: model.price for model in spec.models if model.price}
    assert {id: price.inferred for id, price in prices.items() if price.inferred} == {"kling-o3": ("generate_audio",)}
    assert {id: (price.longest_by, price.longest) for id, price in prices.items() if price.longest} == {
        "kling-3-motion-control": ("character_orientation", (("image", 10), ("video", 30)))
    }
    several = {id for id, price in prices.items() if price.quantity_evidence is not price.evidence}
    assert several == {"gpt-image-2", "nano-banana-2", "seedream-5-lite"}


def test_a_required_row_with_a_default_is_not_mandatory(spec: Spec) -> None:
    rows = {row.name: row for row in mode(spec, "kling-3-motion-control", "motion").params}
    assert [name for name, row in rows.items() if row.required] == [
        "quality",
        "video_urls",
        "image_url",
        "character_orientation",
    ]
    assert [name for name, row in rows.items() if row.mandatory] == ["video_urls", "image_url"]


def test_the_service_is_as_documented(spec: Spec) -> None:
    service = spec.service
    assert service.base_url == "https://api.prospolabs.com"
    assert (service.key_prefix, service.generation_prefix) == ("prsp-", "gen_")
    assert (service.requests_per_minute, service.sync_timeout_s, service.async_above_s) == (60, 180, 5)
    assert service.output_lifetime_s == 7 * 24 * 3600
    assert (service.uploads.before_put_s, service.uploads.after_put_s) == (3600, 24 * 3600)
    assert {kind.media: kind.max_bytes for kind in service.uploads.kinds} == {
        "image": 30_000_000,
        "video": 50_000_000,
        "audio": 15_000_000,
    }
    assert (service.webhook.header, service.webhook.retry_after_s) == ("X-Prospo-Signature", (30, 120, 600, 3600))
    assert re.fullmatch(service.uploads.token_pattern, "pl-upload-3d756375a28d44cead027db57565f176")


def test_the_documentation_s_own_requests_are_the_examples(spec: Spec) -> None:
    quick_start = {
        "model": "veo-3-1-lite",
        "mode": "text",
        "params": {
            "prompt": "A close-up of a hummingbird hovering near a sunlit flower, slow motion",
            "duration": "8s",
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "generate_audio": True,
        },
    }
    upload_token = {
        "model": "seedance-2",
        "mode": "reference",
        "params": {
            "prompt": "animate the product on a beach at golden hour",
            "image_urls": ["pl-upload-3d756375a28d44cead027db57565f176"],
            "duration": 6,
            "resolution": "720p",
        },
    }
    assert {example.id: example.request for example in spec.examples} == {
        "quick-start": quick_start,
        "upload-token": upload_token,
    }


def test_yaml_is_read_by_version_1_2(tmp_path: Path) -> None:
    """YAML 1.1 reads 16:9 as 969 and on as true."""
    root = copy_of_the_spec(tmp_path)
    with (root / "openapi.yaml").open("a", encoding="utf-8") as file:
        file.write("\nx-plain: {ratio: 16:9, portrait: 9:16, word: on, norway: no, octal: 010}\n")
    plain = {"ratio": "16:9", "portrait": "9:16", "word": "on", "norway": "no", "octal": 10}
    assert load(root).openapi["x-plain"] == plain


def test_a_copy_in_another_folder_is_the_same_spec(spec: Spec, tmp_path: Path) -> None:
    assert load(copy_of_the_spec(tmp_path)) == spec


def copy_of_the_spec(folder: Path) -> Path:
    return Path(shutil.copytree(spec_root(), folder / "spec"))


def broken(name: str, folder: Path) -> tuple[Path, list[str]]:
    """The broken spec of one case, and the problems expected of it."""
    case = tomllib.loads((CASES / f"{name}.toml").read_text("utf-8"))
    root = copy_of_the_spec(folder)
    for edit in case["edits"]:
        path = root / edit["file"]
        match edit:
            case {"delete": True}:
                path.unlink()
            case {"text": text}:
                path.write_text(text, "utf-8")
            case {"latin1": text}:
                path.write_text(text, "latin-1")
            case {"old": old, "new": new}:
                text = path.read_text("utf-8")
                assert old in text, f"the spec has changed: {edit['file']} no longer holds {old!r}"
                path.write_text(text.replace(old, new, 1), "utf-8")
            case _:
                raise ValueError(f"{name}: no such edit: {edit}")
    return root, [said(problem, root) for problem in case["problems"]]


def said(problem: dict[str, str], root: Path) -> str:
    """A problem as it must be told: what the case says, with the number of the line that it names."""
    file, _, rest = problem["says"].partition(": ")
    if "at" not in problem:
        return problem["says"]
    lines = (root / file).read_text("utf-8").split("\n")
    start = next(number for number, line in enumerate(lines) if problem.get("after", "") in line)
    start += "after" in problem
    number = next(number for number, line in enumerate(lines[start:], start=start + 1) if problem["at"] in line)
    return f"{file}:{number}: {rest}"


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.toml")))
def test_a_broken_spec_is_refused_with_every_problem_named(name: str, tmp_path: Path) -> None:
    root, expected = broken(name, tmp_path)
    with pytest.raises(SpecError) as caught:
        load(root)
    assert [str(problem) for problem in caught.value.problems] == expected


@pytest.mark.parametrize("name", ["file-missing", "yaml-key-twice", "value-of-wrong-type", "two-rows-at-once"])
def test_codegen_prints_the_problems_of_a_broken_spec_and_exits_2(
    name: str, tmp_path: Path, prospec: Callable[..., CompletedProcess[str]]
) -> None:
    root, expected = broken(name, tmp_path)
    ran = prospec("codegen", "--spec", str(root), "--out", str(tmp_path / "out"))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.splitlines()[: len(expected)] == expected
    assert f"\n{len(expected)} problem" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert not (tmp_path / "out").exists()


def test_a_folder_that_is_no_spec_names_each_file_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        load(tmp_path / "nowhere")
    files = [problem.file for problem in caught.value.problems]
    assert set(files) == {
        "service.toml",
        "gaps.toml",
        "codes.toml",
        "requirements.toml",
        "aliases.toml",
        "models",
        "openapi.yaml",
        "vectors/requests.json",
        "vectors/webhooks.json",
    }


def test_a_problem_names_the_file_it_is_in_and_not_the_file_its_id_would_have(tmp_path: Path) -> None:
    root = copy_of_the_spec(tmp_path)
    path = root / "models" / "kling-o3.toml"
    text = path.read_text("utf-8").replace('id = "kling-o3"', 'id = "kling-o4"', 1)
    path.write_text(text.replace('default = "standard"', 'default = "best"', 1), "utf-8")
    with pytest.raises(SpecError) as caught:
        load(root)
    assert {problem.file for problem in caught.value.problems} - {"aliases.toml"} == {"models/kling-o3.toml"}


def test_a_problem_is_one_line(tmp_path: Path) -> None:
    root, _ = broken("yaml-key-twice", tmp_path)
    with pytest.raises(SpecError) as caught:
        load(root)
    assert [problem for problem in caught.value.problems if "\n" in str(problem)] == []
