"""What the catalog's schemas find wrong with a request. Here live no I/O and no say in what a server may do."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, cast

from prospec.ir import Mode, Model, Spec
from prospec.schema import request_schema

Breach = tuple[str, str]
"""Path of the member, as in /params/duration, and the JSON Schema keyword, or `model` or `mode`."""


class Breaches:
    """Finds them, over one spec."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._validator = cache(self._validator_of)

    def of(self, request: Mapping[str, Any], *, strict: bool = True) -> frozenset[Breach]:
        """All of a request's. `strict`: of every row, whether it is documented or not."""
        model = self._spec.model(str(request.get("model")))
        if model is None:
            return frozenset({("/model", "model")})
        mode = model.mode(request.get("mode")) if isinstance(request.get("mode"), str | None) else None
        if mode is None:
            return frozenset({("/mode", "mode")})
        whole = {"mode": mode.id, **request} if mode.on_wire else request
        errors = self._validator(model, mode, strict).iter_errors(whole)
        return frozenset(breach for error in errors for breach in _of(error))

    def _validator_of(self, model: Model, mode: Mode, strict: bool) -> Any:
        from jsonschema import Draft202012Validator

        return cast(Any, Draft202012Validator)(request_schema(self._spec, model, mode, strict=strict))


def _of(error: Any) -> Iterator[Breach]:
    path = "".join(f"/{part}" for part in error.absolute_path)
    match error.validator:
        case "additionalProperties":
            names = [name for name in error.instance if name not in error.schema.get("properties", {})]
        case "required":
            names = [name for name in error.validator_value if name not in error.instance]
        case keyword:
            yield path, keyword
            return
    yield from ((f"{path}/{name}", error.validator) for name in names)
