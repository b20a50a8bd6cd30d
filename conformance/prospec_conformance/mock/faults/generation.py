"""Faults of the generate request's envelope and of the generation in its answer. Params are not here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_UP, Decimal
from typing import Any

from prospec.ir import Mode, Model, Spec
from prospec.schema import Schema

from ..changes import (
    OUTPUT,
    Answer,
    Change,
    answered,
    breaks,
    has_params,
    in_bodies,
    in_generations,
    in_request,
    is_error,
    is_for,
    refused,
    without,
)
from .fault import Fault, fault

FREE_MODEL = "kling-v3"
"""A model of which nothing is documented, so that any params pass once a request is read as one for it."""


def _has_token(request: Mapping[str, Any]) -> bool:
    urls = request["params"].get("image_urls")
    return isinstance(urls, list) and any(str(url).startswith("pl-upload-") for url in urls)


def _need_mode(_model: Model, mode: Mode, schema: Schema) -> None:
    if mode.on_wire:
        schema["required"] = ["model", "mode", "params"]


def _last_mode(spec: Spec, request: Any) -> Any:
    model = spec.model(str(request.get("model"))) if isinstance(request, dict) and "mode" not in request else None
    return request | {"mode": model.modes[-1].id} if model else request


def _no_unknown_mode(spec: Spec, request: Any) -> Any:
    model = spec.model(str(request.get("model"))) if isinstance(request, dict) else None
    unknown = model and isinstance(request.get("mode"), str) and model.mode(request["mode"]) is None
    return without(request, "mode") if unknown else request


def _no_unknown_model(spec: Spec, request: Any) -> Any:
    unknown = isinstance(request, dict) and isinstance(request.get("model"), str) and not spec.model(request["model"])
    return without(request, "mode") | {"model": FREE_MODEL} if unknown else request


def _some_model(request: dict[str, Any]) -> dict[str, Any]:
    return request if "model" in request else without(request, "mode") | {"model": FREE_MODEL}


def _some_params(request: dict[str, Any]) -> dict[str, Any]:
    return {"params": {"prompt": ""}} | request


def _params_of_list(request: dict[str, Any]) -> dict[str, Any]:
    return _some_params(without(request, "params")) if isinstance(request.get("params"), list) else request


def _mode_of_number(request: dict[str, Any]) -> dict[str, Any]:
    return without(request, "mode") if isinstance(request.get("mode"), int | float) else request


def _loose_webhook_url(request: dict[str, Any]) -> dict[str, Any]:
    return request if isinstance(request.get("webhook_url"), str) else without(request, "webhook_url")


def _loose_async(request: dict[str, Any]) -> dict[str, Any]:
    return request | {"async": bool(request["async"])} if isinstance(request.get("async"), str) else request


def _with(**fields: object) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: body | fields


def _lacking(*names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda body: without(body, *names)


def _processing(body: dict[str, Any]) -> dict[str, Any]:
    return without(body, "output_url", "cost_usd", "duration_ms") | {"status": "processing"}


def _still_processing(answer: Answer) -> Answer:
    if answer.endpoint == "generate" and isinstance(answer.body, dict) and answer.body.get("status") == "completed":
        return replace(answer, body=_processing(answer.body))
    return answer


def _priced(model: str, edit: Callable[[Mapping[str, Any], Decimal], Decimal]) -> Change:
    """What the generations of a model, or of any, cost."""
    return Change(costs=lambda request, cost: edit(request, cost) if model in ("", request["model"]) else cost)


def _fixed(model: str, usd: str) -> Change:
    return _priced(model, lambda _request, _cost: Decimal(usd))


def _images(request: Mapping[str, Any]) -> int:
    count = request["params"].get("num_images", 1)
    return int(count) if isinstance(count, int | float) and count >= 1 else 1


def _turned_down(when: Callable[[Mapping[str, Any]], bool]) -> Change:
    return refused(when, "model", "/model")


def _kind(kind: str) -> Change:
    """Knows no model of a kind."""

    def read(spec: Spec, request: Any) -> Any:
        model = spec.model(str(request.get("model"))) if isinstance(request, dict) else None
        return request | {"model": f"no-{model.id}"} if model and model.kind == kind else request

    return Change(request=read)


def _downloads(edit: Callable[[Answer], Answer], kind: str = "") -> Change:
    def answer(found: Answer) -> Answer:
        meant = found.endpoint == OUTPUT and found.headers["Content-Type"].startswith(kind)
        return edit(found) if meant else found

    return Change(answer=answer)


def _refuses(status: int) -> Callable[[Answer], Answer]:
    body = {"code": "refused", "message": "Not here.", "detail": "Not here."}
    return lambda found: replace(found, status=status, body=body, headers={"Content-Type": "application/json"})


def _holds(content: bytes) -> Callable[[Answer], Answer]:
    return lambda found: replace(found, body=content)


def _drawn(kind: str, **fields: Any) -> Change:
    return Change(
        draws=lambda drawing: replace(drawing, **fields) if bool(drawing.seconds) is (kind == "video") else drawing
    )


def _longer(body: dict[str, Any]) -> dict[str, Any]:
    return body | {"duration_ms": body["duration_ms"] + 60_000}


def _listed_for(model: str) -> Change:
    return in_bodies(
        lambda body: [body] if body.get("model") == model else body,
        lambda found: found.endpoint == "generate" and not is_error(found),
    )


def _run_and_answered() -> Iterator[Fault]:
    for model in ("kling-v3", "seedance-2"):
        change = _unknown(model)
        yield fault(f"GEN-17-{model}-unknown", f"{model} is unknown.", change, *_UNKNOWN[model])
    for kind in ("image", "video"):
        # The cheapest model, by which the rest is judged, makes images.
        rest = ("ERR-10", "UPLOAD-23", "UPLOAD-30") if kind == "image" else ("GEN-02",)
        yield fault(f"GEN-18-no-{kind}", f"No {kind} model is known.", _kind(kind), "GEN-01", "GEN-17", *rest)
    yield fault(
        "GEN-19-https-webhook-refused",
        "A webhook_url is refused if it begins with https.",
        refused(lambda request: str(request.get("webhook_url", "")).startswith("https:"), "pattern", "/webhook_url"),
    )
    yield fault(
        "GEN-20-false-is-true",
        "async makes a request asynchronous, whatever it is.",
        Change(is_async=lambda request, is_async: is_async or "async" in request),
    )
    yield fault(
        "GEN-20-false-refused",
        "async false is refused.",
        refused(lambda request: request.get("async") is False, "enum", "/async"),
        "ASYNC-10",
    )
    also = ("GEN-03", "GEN-05", "GEN-06", "GEN-07", "GEN-08")
    yield fault("GEN-21-list", "kling-o3 answers a list of one generation.", _listed_for("kling-o3"), *also)


def _priced_otherwise() -> Iterator[Fault]:
    for usd in ("0.41", "0.24"):
        yield fault(
            f"GEN-22-costs-{usd.replace('.', '-')}",
            f"veo-3-1-lite costs {usd} USD.",
            _fixed("veo-3-1-lite", usd),
            "GEN-26",
        )
    yield fault(
        "GEN-26-a-cent-more",
        "seedance-2-fast costs a cent more.",
        _priced("seedance-2-fast", lambda _request, cost: cost + Decimal("0.01")),
    )
    yield fault(
        "GEN-26-in-cents",
        "Costs are rounded up to cents.",
        _priced("", lambda _request, cost: cost.quantize(Decimal("0.01"), ROUND_UP)),
        "GEN-27",
        "BAL-16",
    )
    yield fault(
        "GEN-26-without-discount",
        "kling-o3 costs what it costs elsewhere.",
        _priced("kling-o3", lambda _request, cost: cost / Decimal("0.6")),
    )
    yield fault(
        "GEN-27-any-number-for-one",
        "Any number of images costs as much as one.",
        _priced("", lambda request, cost: cost / _images(request)),
    )
    yield fault(
        "GEN-27-gpt-image-2-tenth-off",
        "Several images of gpt-image-2 are a tenth cheaper.",
        _priced("gpt-image-2", lambda request, cost: cost * Decimal("0.9") if _images(request) > 1 else cost),
    )
    yield fault(
        "GEN-28-a-minute-more", "duration_ms is a minute too long.", in_generations(_longer, "completed"), "HOOK-07"
    )


def _yielded() -> Iterator[Fault]:
    yield fault("GEN-23-not-found", "No output is found.", _downloads(_refuses(404)))
    for kind in ("image", "video"):
        yield fault(f"GEN-23-{kind}-not-found", f"No {kind} is found.", _downloads(_refuses(404), kind))
        yield fault(f"GEN-23-{kind}-empty", f"The file of a {kind} is empty.", _downloads(_holds(b""), kind))
    yield fault("GEN-24-a-page", "output_url leads to a page for people.", _downloads(_holds(b"<!doctype html>")))
    yield fault("GEN-24-picture-of-a-clip", "A video is a picture.", _drawn("video", format="png"))
    yield fault("GEN-24-clip-of-a-picture", "An image is a clip.", _drawn("image", format="mp4", seconds=1.0))
    for status in (401, 403):
        yield fault(f"GEN-25-{status}", f"An output without a key is answered {status}.", _downloads(_refuses(status)))


_UNKNOWN: Mapping[str, tuple[str, ...]] = {"kling-v3": (), "seedance-2": ("GEN-01", "GEN-02", "PARAM-12")}


def _unknown(model: str) -> Change:
    return _turned_down(lambda request: bool(request["model"] == model))


def faults() -> Iterator[Fault]:
    yield from _run_and_answered()
    yield from _priced_otherwise()
    yield from _yielded()
    yield fault(
        "GEN-01-kling-o3-text-refused",
        "kling-o3 refuses its mode text.",
        refused(lambda request: is_for(request, "kling-o3", "text"), "mode", "/mode"),
        "GEN-08",
        "GEN-17",
        "PARAM-09",
        "PARAM-10",
        "PARAM-12",
        "PARAM-15",
    )
    yield fault(
        "GEN-02-quick-start-refused",
        "veo-3-1-lite takes resolution or generate_audio, not both.",
        refused(
            lambda request: request["model"] == "veo-3-1-lite" and has_params(request, "resolution", "generate_audio"),
            "enum",
            "/params/resolution",
        ),
        "PARAM-15",
    )
    yield fault(
        "GEN-02-upload-token-refused",
        "seedance-2 takes no upload token.",
        refused(
            lambda request: is_for(request, "seedance-2", "reference") and _has_token(request),
            "media",
            "/params/image_urls",
        ),
        "PARAM-12",
    )
    yield fault("GEN-03-id-without-prefix", "Ids lack gen_.", Change(identify=lambda id: id.removeprefix("gen_")))
    yield fault(
        "GEN-03-id-missing",
        "generation_id is missing from every answer.",
        in_generations(_lacking("generation_id")),
        "GEN-04",
    )
    yield fault(
        "GEN-04-same-id-twice",
        "All generations have one id.",
        Change(identify=lambda _id: "gen_000000000000"),
        "GEN-22",
        "GEN-26",
        "GEN-27",
        "ASYNC-30",
        "HOOK-08",
    )
    yield fault(
        "GEN-05-status-success",
        "A completed generation has the status success.",
        in_generations(_with(status="success"), "completed"),
        "ASYNC-13",
        "GEN-09",
        "HOOK-11",
    )
    yield fault(
        "GEN-05-status-pending",
        "A queued generation has the status pending.",
        in_generations(_with(status="pending"), "queued"),
        "ASYNC-03",
    )
    yield fault(
        "GEN-06-display-name-echoed",
        "model is a name for people.",
        in_generations(lambda body: body | {"model": str(body.get("model")).title()}),
        "HOOK-07",
    )
    yield fault(
        "GEN-06-model-missing",
        "model is missing from every answer.",
        in_generations(_lacking("model")),
        "ASYNC-11",
    )
    yield fault(
        "GEN-07-wrong-mode-echoed",
        "mode is always default.",
        in_generations(_with(mode="default")),
        "GEN-08",
        "HOOK-07",
    )
    yield fault(
        "GEN-07-mode-missing",
        "mode is missing from every answer.",
        in_generations(_lacking("mode")),
        "ASYNC-11",
        "GEN-08",
    )
    yield fault("GEN-08-last-mode-taken", "Without mode, the last one is used.", Change(request=_last_mode))
    yield fault("GEN-08-omitted-mode-refused", "A request without mode is refused.", Change(schema=_need_mode))
    yield fault(
        "GEN-09-answers-queued",
        "A synchronous request is answered at once, queued.",
        in_request(lambda request: request | {"async": True}),
        "GEN-14",
    )
    yield fault(
        "GEN-09-answers-processing",
        "A synchronous request is answered as still processing.",
        Change(answer=_still_processing),
    )
    completed: Mapping[str, tuple[str, Callable[[dict[str, Any]], dict[str, Any]]]] = {
        "output-url-missing": ("lacks output_url", _lacking("output_url")),
        "output-url-relative": ("has an output_url without a host", _with(output_url="/results/gen_0.mp4")),
        "cost-missing": ("lacks cost_usd", _lacking("cost_usd")),
        "cost-string": ("has a string for cost_usd", _with(cost_usd="0.40")),
        "cost-negative": ("has a cost_usd below 0", _with(cost_usd=-0.4)),
        "duration-string": ("has a string for duration_ms", _with(duration_ms="28430")),
        "duration-missing": ("lacks duration_ms", _lacking("duration_ms")),
    }
    for slug, (what, edit) in completed.items():
        event = "HOOK-08" if slug.startswith("output-url") else "HOOK-07"
        also = ("ASYNC-16",) if slug.endswith("missing") else (event,)
        yield fault(f"GEN-10-{slug}", f"A completed generation {what}.", in_generations(edit, "completed"), *also)
    for requirement, member in (("GEN-11", "model"), ("GEN-12", "params")):
        yield fault(
            f"{requirement}-missing-{member}-422",
            f"A request without {member} is answered 422.",
            answered(422, breaks("required", f"/{member}")),
            "ERR-07",
        )
    yield fault("GEN-11-missing-model-accepted", "Without model, some model is taken.", in_request(_some_model))
    yield fault("GEN-12-missing-params-accepted", "Without params, some are taken.", in_request(_some_params))
    yield fault(
        "GEN-13-model-number-500",
        "A model that is a number is answered 500.",
        answered(500, breaks("type", "/model")),
        "ERR-06",
        "ERR-08",
    )
    yield fault("GEN-13-mode-number-ignored", "A mode that is a number is ignored.", in_request(_mode_of_number))
    yield fault("GEN-13-params-list-accepted", "A list of params is taken for none.", in_request(_params_of_list))
    yield fault(
        "GEN-14-webhook-url-number-accepted", "A webhook_url of any type is accepted.", in_request(_loose_webhook_url)
    )
    yield fault("GEN-14-async-string-accepted", "A string is accepted for async.", in_request(_loose_async))
    yield fault(
        "GEN-15-unknown-model-404",
        "An unknown model id is answered 404.",
        answered(404, breaks("model")),
    )
    yield fault("GEN-15-unknown-model-accepted", "An unknown model id is accepted.", Change(request=_no_unknown_model))
    yield fault(
        "GEN-16-unknown-mode-422",
        "An unknown mode is answered 422.",
        answered(422, breaks("mode")),
        "ERR-07",
    )
    yield fault(
        "GEN-16-unknown-mode-ignored", "An unknown mode is read as the first one.", Change(request=_no_unknown_mode)
    )
