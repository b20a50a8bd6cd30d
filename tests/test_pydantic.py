"""The optional target `pydantic`: one module that imports, closed for requests that go out, open for answers."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess
from types import ModuleType
from typing import Any

import pytest
from prospec.emit import emit
from prospec.example import example_request
from prospec.ir import Spec
from prospec.loader import load
from prospec.schema import pairs
from pydantic import ValidationError

Prospec = Callable[..., CompletedProcess[str]]
SPEC: Spec = load()
PAIRS = [pytest.param(model, mode, id=f"{model.id}/{mode.id}") for model, mode in pairs(SPEC)]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The emitted module, imported."""
    ((name, text),) = emit(SPEC, "pydantic").items()
    path = tmp_path_factory.mktemp("pydantic") / name
    path.write_text(text, "utf-8")
    place = importlib.util.spec_from_file_location("prospo_models", path)
    assert place is not None
    assert place.loader is not None
    module = importlib.util.module_from_spec(place)
    sys.modules["prospo_models"] = module
    place.loader.exec_module(module)
    yield module
    del sys.modules["prospo_models"]


def sent(models: ModuleType, request: dict[str, Any]) -> Any:
    """What a request becomes on its way through the models."""
    return models.GenerateRequest.model_validate(request).model_dump(by_alias=True, warnings=False)


def refused(models: ModuleType, request: dict[str, Any]) -> list[dict[str, Any]]:
    with pytest.raises(ValidationError) as caught:
        models.GenerateRequest.model_validate(request)
    return [dict(error) for error in caught.value.errors()]


@pytest.mark.parametrize(("model", "mode"), PAIRS)
def test_the_example_of_each_mode_comes_through_as_it_went_in(models: ModuleType, model: Any, mode: Any) -> None:
    """Only what was set is sent: no default is filled in."""
    example = example_request(SPEC, model, mode)
    assert sent(models, example) == example


def test_the_envelope_keeps_its_wire_names(models: ModuleType) -> None:
    request = {
        "model": "seedance-2-fast",
        "params": {"prompt": "x"},
        "async": True,
        "webhook_url": "https://a.example/",
    }
    assert sent(models, request) == request


VECTORS = [
    pytest.param(vector, id=vector["id"])
    for vector in SPEC.vectors.requests
    if "request" in vector and not vector["id"].startswith(("key-", "media-"))
]
LOOSER = ("size",)
"""Codes beyond what a JSON Schema of OpenAPI can say: the ratio of an image's sides."""


@pytest.mark.parametrize("vector", VECTORS)
def test_the_models_refuse_just_what_the_documentation_refuses(models: ModuleType, vector: dict[str, Any]) -> None:
    """A row that is inferred or assumed refuses nothing, as everywhere else."""
    request = vector["request"]
    if vector["valid"]:
        models.GenerateRequest.model_validate(request)
    elif {each["code"] for each in vector["problems"] if each["severity"] == "error"} - {*LOOSER}:
        assert refused(models, request)


def test_an_error_speaks_of_one_model_and_not_of_all(models: ModuleType) -> None:
    errors = refused(models, {"model": "seedance-2-fast", "params": {"prompt": "x", "duration": 16}})
    assert len(errors) <= len(SPEC.model("seedance-2-fast").modes)  # type: ignore[union-attr]
    assert errors[0]["loc"] == ("seedance-2-fast", "Seedance2FastTextRequest", "params", "duration")
    assert errors[0]["type"] == "less_than_equal"


@pytest.mark.parametrize("value", ["5", True, None, [5]])
def test_nothing_is_turned_into_another_type(models: ModuleType, value: object) -> None:
    assert refused(models, {"model": "seedance-2-fast", "params": {"prompt": "x", "duration": value}})


ANSWERS: dict[str, dict[str, Any]] = {
    "an unknown status": {"generation_id": "gen_1", "status": "archived", "model": "x", "mode": "y"},
    "an unknown member": {"generation_id": "gen_1", "status": "queued", "progress": 0.5},
    "next to nothing": {"generation_id": "gen_1", "status": "failed"},
    "null where the table has it": {
        "generation_id": "gen_1",
        "status": "queued",
        "output_url": None,
        "duration_ms": None,
    },
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_is_never_refused_for_what_is_new_in_it(models: ModuleType, name: str) -> None:
    answer = models.Generation.model_validate(ANSWERS[name])
    assert answer.status == ANSWERS[name]["status"]
    assert answer.model_dump() == ANSWERS[name]


def test_an_unknown_event_is_data(models: ModuleType) -> None:
    event = {"event": "generation.paused", "generation_id": "gen_1", "data": {"why": "x"}, "attempt": 2}
    assert models.WebhookEvent.model_validate(event).model_dump() == event
    assert models.Balance.model_validate({"balance_usd": 1.5, "currency": "EUR"}).currency == "EUR"
    assert models.Error.model_validate({"code": "new", "more": [1]}).model_dump() == {"code": "new", "more": [1]}


def test_the_command_makes_it_only_when_it_is_named(prospec: Prospec, tmp_path: Path) -> None:
    assert prospec("codegen", "pydantic", "--out", str(tmp_path)).returncode == 0
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.py")] == ["pydantic/prospo_models.py"]
    assert prospec("codegen", "pydantic", "--check", "--out", str(tmp_path)).returncode == 0
    elsewhere = tmp_path / "all"
    assert prospec("codegen", "--out", str(elsewhere)).returncode == 0
    assert sorted(path.name for path in elsewhere.iterdir()) == ["json", "python", "typescript"]
