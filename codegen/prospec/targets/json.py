"""The target `json`, for any language: the bundled OpenAPI document, a JSON Schema a (model, mode), the vectors."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from ..emit import Files
from ..ir import Spec
from ..schema import DIALECT, bundle, pairs, request_schema


def emit(spec: Spec) -> Files:
    """openapi.json and schemas/<model>.<mode>.json enforce documented facts, `.strict.json` every row."""
    out: Files = {}
    for strict, suffix in ((False, ".json"), (True, ".strict.json")):
        out[f"openapi{suffix}"] = _text(bundle(spec, strict=strict))
        for model, mode in pairs(spec):
            schema = {
                "$schema": DIALECT,
                "title": f"POST /v1/generate: {model.id} {mode.id}",
                **request_schema(spec, model, mode, strict=strict),
            }
            out[f"schemas/{model.id}.{mode.id}{suffix}"] = _text(schema)
    requests, webhooks = _lines(spec.vectors.requests), _lines(spec.vectors.webhooks)
    out["vectors.json"] = f'{{"requests": {requests},\n"webhooks": {webhooks}}}\n'
    return out


def _text(document: dict[str, Any]) -> str:
    return _carried(json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _lines(vectors: Sequence[dict[str, Any]]) -> str:
    """A vector a line, in ASCII: some are hostile to editors."""
    return "[\n" + ",\n".join(json.dumps(vector, ensure_ascii=True, allow_nan=False) for vector in vectors) + "\n]"


def _carried(text: str) -> str:
    """What UTF-8 cannot carry, a lone surrogate, JSON can: as the escape that this error handler writes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
