"""Faults of the life of a generation: how it is asked for, watched, waited for and kept. Here live no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..changes import Answer, Change, combined, in_bodies, in_errors, in_generations, is_error, with_status, without
from .fault import Fault, fault

RESULT = ("output_url", "cost_usd", "duration_ms")
HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
SYNC_TIMEOUT_S = 180.0

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def _gives_up(after_s: float) -> Change:
    """Blocks for so long at the most."""
    return Change(terms=lambda terms: replace(terms, sync_timeout_s=after_s))


def _lifetime(seconds: float) -> Change:
    return Change(terms=lambda terms: replace(terms, output_lifetime_s=terms.output_lifetime_s + seconds))


def _says(request: Mapping[str, Any], value: bool) -> bool:
    return request.get("async") is value


def _queued(edit: Edit) -> Change:
    """In the answer to an asynchronous request."""

    def answer(found: Answer) -> Answer:
        is_queued = isinstance(found.body, dict) and found.body.get("status") == "queued"
        if found.endpoint != "generate" or not is_queued or is_error(found):
            return found
        return replace(found, body=edit(found.body))  # type: ignore[arg-type]

    return Change(answer=answer)


def _polled(edit: Edit, *statuses: str) -> Change:
    """In polled generations of those statuses, or of any."""

    def read(body: dict[str, Any]) -> dict[str, Any]:
        return edit(body) if not statuses or body.get("status") in statuses else body

    return in_bodies(read, lambda found: not is_error(found) and found.endpoint == "getGeneration")


def _counted(name: str, edit: Callable[[dict[str, Any], int], dict[str, Any]], *statuses: str) -> Change:
    """In polled generations of those statuses: given how often that one was polled in them before."""

    def answer(found: Answer) -> Answer:
        if found.endpoint != "getGeneration" or is_error(found) or not isinstance(found.body, dict):
            return found
        if found.body.get("status") not in statuses:
            return found
        seen = found.memory.setdefault(name, {})
        id = found.body.get("generation_id")
        seen[id] = seen.get(id, -1) + 1
        return replace(found, body=edit(found.body, seen[id]))

    return Change(answer=answer)


def _begun_as(status: int) -> Change:
    """Gives the answer to an asynchronous request another status."""

    def answer(found: Answer) -> Answer:
        is_meant = isinstance(found.body, dict) and "poll_url" in found.body and not is_error(found)
        return replace(found, status=status) if is_meant else found

    return Change(answer=answer)


def _is_gone(endpoint: str) -> Callable[[Answer], bool]:
    return lambda found: (found.endpoint, found.status) == (endpoint, 410)


def _answers(endpoint: str, status: int, edit: Callable[[Answer], Answer]) -> Change:
    return Change(answer=lambda found: edit(found) if (found.endpoint, found.status) == (endpoint, status) else found)


def _with(**members: object) -> Edit:
    return lambda body: body | members


def _lacking(*names: str) -> Edit:
    return lambda body: without(body, *names)


def _state(status: str) -> Edit:
    """As a generation of that state is shown."""
    return lambda body: without(body, *RESULT) | {"status": status}


def _first_poll_404(found: Answer) -> Answer:
    """Answers the first poll of each generation as if there were none."""
    if found.endpoint != "getGeneration" or not isinstance(found.body, dict) or is_error(found):
        return found
    known = found.memory.setdefault("ASYNC-04", set())
    id = found.body.get("generation_id")
    if id in known:
        return found
    known.add(id)
    return replace(found, status=404, body={"code": "not_found", "message": "Not found.", "detail": "Not found."})


def _late(body: dict[str, Any]) -> dict[str, Any]:
    """Fails what took longer than a synchronous request may."""
    return _state("failed")(body) if (body.get("duration_ms") or 0) > 1000 * SYNC_TIMEOUT_S else body


def _moved(text: object, hours: int) -> str:
    """The same date and time, with another hour."""
    hour = (int(str(text)[11:13]) + hours) % 24
    return f"{str(text)[:11]}{hour:02}{str(text)[13:]}"


def _dearer_later(body: dict[str, Any], seen: int) -> dict[str, Any]:
    """Costs twice as much from the third look on."""
    return body | {"cost_usd": 2 * body["cost_usd"]} if seen > 1 else body


def _switches() -> Iterator[Fault]:
    yield fault(
        "ASYNC-01-body-ignored",
        "async in the body is ignored.",
        Change(is_async=lambda request, is_async: is_async and not _says(request, True)),
        "ASYNC-10",
    )
    yield fault(
        "ASYNC-02-query-ignored",
        "async=true in the query is ignored.",
        Change(is_async=lambda request, is_async: is_async and _says(request, True)),
        "ASYNC-10",
    )
    yield fault(
        "ASYNC-10-body-false-wins",
        "async false in the body outweighs async=true in the query.",
        Change(is_async=lambda request, is_async: is_async and not _says(request, False)),
    )


def _first_answer() -> Iterator[Fault]:
    yield fault(
        "ASYNC-03-answers-processing",
        "The first status is processing.",
        _queued(_with(status="processing")),
        "ASYNC-15",
    )
    yield fault(
        "ASYNC-03-answers-accepted", "The first status is accepted.", _queued(_with(status="accepted")), "GEN-05"
    )
    yield fault("ASYNC-04-not-found-at-first", "The first poll is answered 404.", Change(answer=_first_poll_404))
    created: Mapping[str, tuple[str, Edit]] = {
        "missing": ("is missing", _lacking("created_at")),
        "epoch": ("is a number", _with(created_at=1_777_732_335)),
        "without-zone": ("names no zone", lambda body: body | {"created_at": str(body["created_at"]).rstrip("Z")}),
        "date-only": ("has no time", lambda body: body | {"created_at": str(body["created_at"])[:10]}),
        "other-zone": (
            "is in another zone than UTC",
            lambda body: body | {"created_at": str(body["created_at"]).replace("Z", "+02:00")},
        ),
    }
    for slug, (what, edit) in created.items():
        yield fault(f"ASYNC-05-created-at-{slug}", f"created_at {what}.", _queued(edit))
    yield fault(
        "ASYNC-06-created-at-local",
        "created_at is two hours late, and says that it is UTC.",
        _queued(lambda body: body | {"created_at": _moved(body["created_at"], 2)}),
    )
    yield fault(
        "ASYNC-06-created-at-constant",
        "created_at is always the same.",
        _queued(_with(created_at="2026-05-02T14:32:15.000Z")),
    )
    urls: Mapping[str, tuple[str, Edit, tuple[str, ...]]] = {
        "missing": ("is missing", _lacking("poll_url"), ()),
        "relative": (
            "has no host",
            lambda body: body | {"poll_url": f"/v1/generations/{body.get('generation_id')}"},
            (),
        ),
        "without-id": (
            "ends before the id",
            lambda body: body | {"poll_url": str(body["poll_url"]).rpartition("/")[0]},
            ("ASYNC-08",),
        ),
    }
    for slug, (what, edit, also) in urls.items():
        yield fault(f"ASYNC-07-poll-url-{slug}", f"poll_url {what}.", _queued(edit), *also)
    yield fault(
        "ASYNC-08-poll-url-404",
        "poll_url leads to no endpoint.",
        _queued(lambda body: body | {"poll_url": str(body["poll_url"]).replace("/v1/generations/", "/v1/status/")}),
    )
    for status in (201, 203):
        yield fault(
            f"ASYNC-09-answered-{status}",
            f"An asynchronous request is answered {status}.",
            _begun_as(status),
        )


def _polling() -> Iterator[Fault]:
    for status, name in (("queued", "mode"), ("processing", "model"), ("completed", "generation_id")):
        yield fault(
            f"ASYNC-11-{status}-lacks-{name.replace('_', '-')}",
            f"A generation that is polled {status} lacks {name}.",
            _polled(_lacking(name), status),
            "ASYNC-12",
            *(("ASYNC-08",) if status == "completed" else ()),
        )
    yield fault(
        "ASYNC-11-status-missing",
        "A generation that is polled queued has no status.",
        _polled(_lacking("status"), "queued"),
    )
    yield fault(
        "ASYNC-12-mode-default",
        "A generation that is polled completed has the mode default.",
        _polled(_with(mode="default"), "completed"),
        "HOOK-07",
    )
    yield fault(
        "ASYNC-12-model-upper",
        "A generation that is polled processing names its model in capitals.",
        _polled(lambda body: body | {"model": str(body.get("model")).upper()}, "processing"),
    )
    yield fault(
        "ASYNC-12-id-other",
        "A generation that is polled queued has another id.",
        _polled(lambda body: body | {"generation_id": f"{body.get('generation_id')}0"}, "queued"),
    )
    yield fault(
        "ASYNC-13-never-ends",
        "Polling shows processing for ever.",
        _polled(_state("processing"), "completed"),
        "HOOK-11",
    )
    yield fault(
        "ASYNC-13-stays-queued",
        "Polling shows queued for ever.",
        _polled(_state("queued"), "processing", "completed"),
        "HOOK-11",
    )
    yield fault(
        "ASYNC-14-completed-once",
        "What has been polled completed is processing the next time.",
        _counted("ASYNC-14", lambda body, seen: _state("processing")(body) if seen % 2 else body, "completed"),
        "ASYNC-15",
    )
    yield fault(
        "ASYNC-14-fails-later",
        "What has been polled completed has failed the next time.",
        _counted("ASYNC-14", lambda body, seen: _state("failed")(body) if seen else body, "completed"),
        "ASYNC-15",
        "PARAM-19",
    )
    yield fault(
        "ASYNC-15-processing-then-queued",
        "The first poll of what is queued shows it processing.",
        _counted("ASYNC-15", lambda body, seen: body if seen else body | {"status": "processing"}, "queued"),
    )
    yield fault(
        "ASYNC-15-failure-forgotten",
        "What has been polled failed is queued the next time.",
        _counted("ASYNC-15", lambda body, seen: body | {"status": "queued"} if seen else body, "failed"),
    )
    for name in RESULT:
        slug = name.replace("_", "-")
        yield fault(
            f"ASYNC-16-polled-without-{slug}",
            f"A generation that is polled completed lacks {name}.",
            _polled(_lacking(name), "completed"),
            *(("GEN-10",) if name == "output_url" else ()),
        )
    for status in ("queued", "processing"):
        yield fault(
            f"ASYNC-17-output-while-{status}",
            f"A generation that is {status} has an output_url.",
            in_generations(_with(output_url="https://cdn.example.com/results/0.png"), status),
        )
    failed: Mapping[str, tuple[str, Edit]] = {
        "completed": ("completed", _with(status="completed")),
        "processing": ("processing", _with(status="processing")),
    }
    for slug, (what, edit) in failed.items():
        also = () if slug == "completed" else ("HOOK-11",)
        yield fault(f"ASYNC-18-shown-{slug}", f"What has failed is polled {what}.", _polled(edit, "failed"), *also)
    for name in ("generation_id", "model", "mode"):
        yield fault(
            f"ASYNC-18-failed-without-{name.replace('_', '-')}",
            f"A generation that is polled failed lacks {name}.",
            _polled(_lacking(name), "failed"),
        )
    yield fault(
        "ASYNC-19-cost-grows",
        "cost_usd has doubled at the third poll.",
        _counted("ASYNC-19", _dearer_later, "completed"),
        "GEN-26",
        "GEN-27",
        "PARAM-19",
    )
    yield fault(
        "ASYNC-28-shown-to-anyone",
        "A generation is shown to every account.",
        Change(sees=lambda _account, _generation, _sees: True),
    )


def _waiting() -> Iterator[Fault]:
    yield fault("ASYNC-20-gives-up-at-150", "A synchronous request is given up after 150 s.", _gives_up(150))
    yield fault("ASYNC-20-gives-up-at-178", "A synchronous request is given up after 178 s.", _gives_up(178))
    yield fault(
        "ASYNC-21-answered-after-190",
        "A synchronous request is given up after 190 s.",
        _gives_up(190),
        "ASYNC-22",
    )
    yield fault("ASYNC-21-never-gives-up", "A synchronous request waits for its end.", _gives_up(DAY_S), "ASYNC-22")
    for status in (408, 500, 503):
        yield fault(
            f"ASYNC-22-answered-{status}",
            f"What takes longer than 180 s is answered {status}.",
            in_errors(with_status(status), "generate", 504),
            *(() if status == 500 else ("ERR-07",)),
        )
    yield fault(
        "ASYNC-23-fails-after-180", "An asynchronous generation fails after 180 s.", in_generations(_late, "completed")
    )
    yield fault(
        "ASYNC-30-output-404",
        "The synchronous answer names an output that there is not.",
        _answers("generate", 200, _other_output),
    )
    yield fault(
        "ASYNC-31-answered-completed",
        "A synchronous request that fails is answered as completed.",
        _answers("generate", 200, lambda found: _renamed(found, "failed", "completed")),
    )
    yield fault(
        "ASYNC-31-answered-processing",
        "A synchronous request that fails is answered as processing.",
        _answers("generate", 200, lambda found: _renamed(found, "failed", "processing")),
    )
    yield fault(
        "ASYNC-31-answered-400",
        "A synchronous request that fails is answered 400.",
        _answers("generate", 200, _refused_failure),
    )


def _other_output(found: Answer) -> Answer:
    if not isinstance(found.body, dict) or "output_url" not in found.body:
        return found
    return replace(found, body=found.body | {"output_url": str(found.body["output_url"]).replace("/gen_", "/gen_0")})


def _renamed(found: Answer, status: str, other: str) -> Answer:
    if not isinstance(found.body, dict) or found.body.get("status") != status:
        return found
    return replace(found, body=found.body | {"status": other})


def _refused_failure(found: Answer) -> Answer:
    if not isinstance(found.body, dict) or found.body.get("status") != "failed":
        return found
    return replace(found, status=400, body={"code": "failed", "message": "It failed.", "detail": "It failed."})


def _keeping() -> Iterator[Fault]:
    for slug, what, seconds in (
        ("a-day", "a day", DAY_S),
        ("an-hour", "an hour", HOUR_S),
        ("two-minutes", "two minutes", 120.0),
    ):
        yield fault(f"ASYNC-24-{slug}-early", f"An output is gone {what} before its 7 days.", _lifetime(-seconds))
        yield fault(f"ASYNC-25-{slug}-late", f"An output is kept {what} longer than 7 days.", _lifetime(seconds))
    yield fault("ASYNC-25-kept-for-ever", "An output is never deleted.", _lifetime(3650 * DAY_S))
    for status in (403, 404):
        yield fault(
            f"ASYNC-25-gone-as-{status}",
            f"An output that is gone is answered {status}.",
            _answers("", 410, with_status(status)),
        )
    for status, code in ((404, "not_found"), (500, "internal_error")):
        yield fault(
            f"ASYNC-26-polled-{status}",
            f"Polling is answered {status} once the output is gone.",
            combined(
                [
                    in_bodies(_with(code=code), _is_gone("getGeneration")),
                    _answers("getGeneration", 410, with_status(status)),
                ]
            ),
        )
    codes: Mapping[str, tuple[str, Edit]] = {
        "missing": ("no code", _lacking("code")),
        "gone": ("the code gone", _with(code="gone")),
    }
    for slug, (what, edit) in codes.items():
        for endpoint, name in (("", "output"), ("getGeneration", "polling")):
            yield fault(
                f"ASYNC-27-{name}-code-{slug}",
                f"The 410 of {'an output' if not endpoint else 'polling'} has {what}.",
                in_bodies(edit, _is_gone(endpoint)),
                *(("ERR-03",) if (endpoint, slug) == ("getGeneration", "missing") else ()),
            )


def faults() -> Iterator[Fault]:
    yield from _switches()
    yield from _first_answer()
    yield from _polling()
    yield from _waiting()
    yield from _keeping()
