"""How long a verdict on a request takes, on one core, beside validators of other makes, each with its own verdicts.

`make bench` runs it. The requests are drawn over every documented (model, mode), about 400 bytes each, one in ten of
them invalid. Peers get the schema of the very model and mode, chosen by hand as a careful user would; and the union of
all, as a casual one. Where a peer's verdict is another than ours, that is told beside its time. Here live no
assertions on speed; tests/test_bench_validate.py sees that this runs.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import ModuleType
from typing import Any

import prospo
from prospec.example import request
from prospec.ir import Choice, Evidence, Flag, ListOf, Media, Mode, Number, Param, Size, Spec, Text
from prospec.loader import load
from prospec.schema import bundle, pairs, request_schema, type_name
from prospec_conformance.plants import plants
from prospo import jsontext, rules
from prospo.problem import NotJSONError
from rich.console import Console
from rounds import WIDTH, BenchError, Work, installed, keep, machine, main, measured, over, summed, table

FASTJSONSCHEMA = "fastjsonschema==2.22.3"
INVALID_EVERY = 10
SLOW = 20
"""A peer that takes more than so many times as long as the others is asked for so many times fewer requests."""
WORDS = [
    *(
        "a",
        "red",
        "ball",
        "on",
        "the",
        "white",
        "table",
        "under",
        "soft",
        "morning",
        "light",
        "slow",
        "camera",
        "moves",
    ),
    *("along", "an", "old", "harbour", "wall", "where", "fishermen", "mend", "nets", "children", "run", "after"),
    *("wide", "shots", "film", "grain,", "l\u2019eau", "bleue", "\u9759\u304b\u306a\u6e56"),
]
SUFFIXES = {"image": "png", "mask": "png", "video": "mp4", "audio": "mp3"}
HOOK = "https://hooks.example.com/prospolabs/done"
Judge = Callable[[Any], object]


@dataclass(frozen=True, slots=True)
class Sent:
    """One request."""

    value: dict[str, Any]
    is_valid: bool
    """By how it was made."""

    @property
    def data(self) -> bytes:
        return json.dumps(self.value, ensure_ascii=False).encode()


# What is judged


def drawn(spec: Spec, count: int, seed: int = 0) -> list[Sent]:
    """Requests over all documented modes. The same seed gives the same ones."""
    random = Random(seed)
    modes = [(model, mode) for model, mode in pairs(spec) if mode.evidence is Evidence.DOCUMENTED]
    made = []
    for number in range(count):
        model, mode = random.choice(modes)
        params = {
            param.name: _value(random, param)
            for param in mode.params
            if param.mandatory or param.name == "prompt" or random.random() < 0.6
        }
        whole = request(model, mode, params)
        whole |= {"webhook_url": HOOK} if random.random() < 0.3 else {}
        whole |= {"async": True} if random.random() < 0.3 else {}
        is_valid = number % INVALID_EVERY != 0
        made.append(Sent(whole if is_valid else random.choice([*_wrong(spec, mode, whole, random)]), is_valid))
    random.shuffle(made)
    return made


def _wrong(spec: Spec, mode: Mode, whole: dict[str, Any], random: Random) -> Iterator[dict[str, Any]]:
    """That request with one mistake: each documented rule broken, and now and then a misspelt or misplaced name."""
    for param in mode.params:
        for plant in plants(spec, param):
            if param.evidence_of(plant.code) is Evidence.DOCUMENTED:
                yield {**whole, "params": plant.into(whole["params"])}
    name = random.choice([*whole["params"]])
    misspelt = {key[:-1] if key == name else key: value for key, value in whole["params"].items()}
    yield {**whole, "params": misspelt}
    yield {**whole, "params": {**whole["params"], "guidance_rescale": 0.7}}
    yield {**whole, "model": f"{whole['model']}-pro"}
    yield {**whole, "mode": "text-to-video"}
    yield {**{key: value for key, value in whole.items() if key != "params"}, "input": whole["params"]}


def _value(random: Random, param: Param) -> Any:
    match param.type:
        case Text():
            return " ".join(random.choices(WORDS, k=random.randint(10, 40)))
        case Flag():
            return random.random() < 0.5
        case Choice(of):
            return random.choice(of)
        case Number(low, high, _):
            return random.randint(int(low or 0), int(high if high is not None else 2**31 - 1))
        case Media(kind):
            return _media(random, kind)
        case ListOf(item, low, high):
            return [_media(random, item.media) for _ in range(random.randint(low or 1, min(high or 3, 3)))]
        case Size(presets, step, _, _, _):
            sides = {"width": step * random.randint(64, 120), "height": step * random.randint(64, 120)}
            return random.choice(presets) if random.random() < 0.5 else sides
    raise AssertionError(param.type)


def _media(random: Random, kind: str) -> str:
    if random.random() < 0.3:
        return f"pl-upload-{random.getrandbits(128):032x}"
    return f"https://cdn.example.com/{kind}s/{random.getrandbits(64):016x}/{random.choice(WORDS[:26])}.{SUFFIXES[kind]}"


# Who judges


@dataclass(frozen=True, slots=True)
class Peer:
    """A judge of requests: of objects, or of their bytes."""

    name: str
    judge: Judge
    of_bytes: bool = False
    is_slow: bool = False


def ours() -> list[Peer]:
    """From an object; from bytes, with the standard library alone and as it is with the extra `fast`."""
    if importlib.util.find_spec("msgspec") is None:
        raise BenchError("msgspec is missing, which the extra `fast` brings: pip install 'prospec[fast]'")
    return [
        Peer("prospo.is_valid", prospo.is_valid),
        Peer("prospo.is_valid_json", prospo.is_valid_json, of_bytes=True),
        Peer("prospo.is_valid_json, standard library alone", _plainly, of_bytes=True),
    ]


def _plainly(data: bytes) -> bool:
    """As `is_valid_json` is without the extra."""
    try:
        return rules.is_valid(jsontext.parse(data))
    except NotJSONError:
        return False


def decoders() -> list[Peer]:
    """What only reads: the floor under every judge of bytes."""
    import msgspec
    import orjson

    return [
        Peer("msgspec, decoding alone", msgspec.json.Decoder().decode, of_bytes=True),
        Peer("orjson, decoding alone", orjson.loads, of_bytes=True),
        Peer("json, decoding alone", json.loads, of_bytes=True),
    ]


def peers(spec: Spec) -> list[Peer]:
    """Validators of other makes, each with the schema that the request names, and with the union of all."""
    import fastjsonschema
    import jsonschema
    import jsonschema_rs
    import msgspec
    import orjson
    import pydantic

    schemas = {(model.id, mode.id): request_schema(spec, model, mode, strict=False) for model, mode in pairs(spec)}
    firsts = {model.id: model.modes[0].id for model in spec.models}

    def chosen(judges: Mapping[tuple[str, str], Judge]) -> Judge:
        """By the model and mode that a request names, or leaves out."""
        by_name = {**judges, **{(model, None): judges[model, mode] for model, mode in firsts.items()}}

        def judge(value: Any) -> bool:
            found = by_name.get((value.get("model"), value.get("mode")))
            return found is not None and bool(found(value))

        return judge

    def read(judge: Judge) -> Judge:
        return lambda data: judge(orjson.loads(data))

    def taken(judge: Judge, refusal: type[Exception]) -> Judge:
        def judged(value: Any) -> bool:
            try:
                judge(value)
            except refusal:
                return False
            return True

        return judged

    rust = chosen({key: jsonschema_rs.Draft202012Validator(schema).is_valid for key, schema in schemas.items()})
    python = chosen({key: jsonschema.Draft202012Validator(schema).is_valid for key, schema in schemas.items()})
    refusal = fastjsonschema.JsonSchemaValueException
    # It would write the defaults into the requests, and everybody after it judge larger ones.
    compiled = {key: fastjsonschema.compile(schema, use_default=False) for key, schema in schemas.items()}
    fast = chosen({key: taken(judge, refusal) for key, judge in compiled.items()})
    models, structs = _module(_pydantic(spec)), _module(_msgspec(spec))
    types = {(model.id, mode.id): f"{type_name(model.id, mode.id)}Request" for model, mode in pairs(spec)}
    adapters = {key: getattr(models, name) for key, name in types.items()}
    no_model = pydantic.ValidationError
    of_dict = chosen({key: taken(model.model_validate, no_model) for key, model in adapters.items()})
    of_bytes = {key: taken(model.model_validate_json, no_model) for key, model in adapters.items()}
    decoding = {
        key: taken(msgspec.json.Decoder(getattr(structs, name)).decode, msgspec.ValidationError)
        for key, name in types.items()
    }
    union = _union(spec)
    whole = pydantic.TypeAdapter(models.GenerateRequest)
    return [
        Peer("jsonschema-rs", rust),
        Peer("fastjsonschema", fast),
        Peer("pydantic", of_dict),
        Peer("jsonschema", python, is_slow=True),
        Peer("jsonschema-rs on the union", jsonschema_rs.Draft202012Validator(union).is_valid, is_slow=True),
        Peer("pydantic on the union", taken(whole.validate_python, no_model)),
        Peer("jsonschema on the union", jsonschema.Draft202012Validator(union).is_valid, is_slow=True),
        Peer("jsonschema-rs after orjson", read(rust), of_bytes=True),
        Peer("fastjsonschema after orjson", read(fast), of_bytes=True),
        Peer("pydantic from bytes", _named(msgspec, of_bytes, firsts), of_bytes=True),
        Peer("msgspec, two stages", _named(msgspec, decoding, firsts), of_bytes=True),
    ]


def _named(msgspec: ModuleType, judges: Mapping[tuple[str, str], Judge], firsts: Mapping[str, str]) -> Judge:
    """The judge of the model and mode that bytes name, which are read first."""
    named = msgspec.defstruct("Named", [("model", str), ("mode", str | None, None)])
    decode = msgspec.json.Decoder(named).decode
    by_name = {**judges, **{(model, None): judges[model, mode] for model, mode in firsts.items()}}

    def judge(data: bytes) -> bool:
        try:
            name = decode(data)
        except msgspec.ValidationError:
            return False
        found = by_name.get((name.model, name.mode))
        return found is not None and bool(found(data))

    return judge


def _union(spec: Spec) -> dict[str, Any]:
    """The schema of any request."""
    document = bundle(spec, strict=False)
    return {"$ref": "#/components/schemas/GenerateRequest", "components": document["components"]}


def _pydantic(spec: Spec) -> str:
    from prospec.targets import pydantic

    return pydantic.emit(spec)["prospo_models.py"]


def _msgspec(spec: Spec) -> str:
    """Types of every request, by datamodel-code-generator."""
    import warnings

    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType
    from datamodel_code_generator.format import Formatter
    from datamodel_code_generator.parser import LiteralType

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it cannot decode the union, which nobody asks of it here
        made = generate(
            json.dumps(bundle(spec, strict=False)),
            input_file_type=InputFileType.OpenAPI,
            output_model_type=DataModelType.MsgspecStruct,
            enum_field_as_literal=LiteralType.All,
            use_annotated=True,
            field_constraints=True,
            formatters=[Formatter.BUILTIN],
        )
    if not isinstance(made, str):
        raise BenchError("datamodel-code-generator was expected to make one module")
    return made


def _module(text: str) -> ModuleType:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"made_{len(text)}.py"
        path.write_text(text, "utf-8")
        spec = importlib.util.spec_from_file_location(path.stem, path)
        if spec is None or spec.loader is None:
            raise BenchError("what was generated cannot be imported")
        made = importlib.util.module_from_spec(spec)
        sys.modules[path.stem] = made
        spec.loader.exec_module(made)
        return made


# What is measured


def differences(peer: Peer, sent: Sequence[Sent]) -> dict[str, int]:
    """Where a peer's verdict is not the right one: what it takes for valid or invalid, and how often."""
    found: Counter[str] = Counter()
    for each in sent:
        verdict = bool(peer.judge(each.data if peer.of_bytes else each.value))
        if verdict is not each.is_valid:
            codes = {problem.code for problem in prospo.validate(each.value) if problem.severity == "error"}
            found[f"takes what breaks {', '.join(sorted(codes))}" if verdict else "refuses what is valid"] += 1
    return dict(found)


def compared(chosen: Sequence[Peer], sent: Sequence[Sent], rounds: int) -> dict[str, Any]:
    """Times and verdicts of judges, of the same requests in turns."""
    inputs = {True: [each.data for each in sent], False: [each.value for each in sent]}
    works = [
        Work(peer.name, over(inputs[peer.of_bytes][: -(-len(sent) // SLOW) if peer.is_slow else None], peer.judge))
        for peer in chosen
    ]
    found = summed(measured(works, rounds), works[0].name)
    for peer in chosen:
        if "decoding" not in peer.name:
            found[peer.name]["differences"] = differences(peer, sent)
    return found


def explained(sent: Sequence[Sent], rounds: int) -> dict[str, Any]:
    """The whole list of problems of an invalid request, beside the verdict on it."""
    invalid = [each for each in sent if not each.is_valid]
    values, lines = [each.value for each in invalid], [each.data for each in invalid]
    works = [
        Work("prospo.is_valid_json", over(lines, prospo.is_valid_json)),
        Work("prospo.validate_json", over(lines, prospo.validate_json)),
        Work("prospo.is_valid", over(values, prospo.is_valid)),
        Work("prospo.validate", over(values, prospo.validate)),
    ]
    return summed(measured(works, rounds), works[0].name)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options, spec = _options(), load(trusted=True)
    sent = drawn(spec, options.requests)
    if not options.without_peers:
        installed(FASTJSONSCHEMA)
    others = [] if options.without_peers else peers(spec)
    for each in sent * (rules.PATIENCE // len(sent) + 1):
        prospo.is_valid_json(each.data)
    known = ours()
    groups = {
        "from an object": [peer for peer in [*known, *others] if not peer.of_bytes],
        "from bytes": [peer for peer in [*decoders(), *known, *others] if peer.of_bytes],
    }
    told: dict[str, Any] = {name: compared(group, sent, options.rounds) for name, group in groups.items()}
    told["the problems of an invalid one"] = explained(sent, options.rounds)
    console = Console(width=WIDTH)
    size = sum(len(each.data) for each in sent) / len(sent)
    for name, found in told.items():
        title = f"{len(sent):,} requests of {size:.0f} bytes, {name}"
        console.print(table(title, found, unit="us", per_s=1e6))
        for peer, figures in found.items():
            for what, count in figures.get("differences", {}).items():
                console.print(f"  {peer} {what}: {count}", highlight=False)
    packages = ("jsonschema-rs", "jsonschema", "pydantic", "msgspec", "orjson")
    keep(
        options.json,
        "validate",
        {
            "machine": machine(*packages) | {"fastjsonschema": FASTJSONSCHEMA.partition("==")[2]},
            "requests": len(sent),
            "bytes": size,
            "found": told,
        },
    )


if __name__ == "__main__":
    main(run)
