"""Faults of uploads and of their use in media params. Here live no others."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..changes import VIOLATION_HEADER, Answer, Caller, Change, Refusal, combined, in_bodies, in_errors, is_for, refused
from .fault import Fault, fault

if TYPE_CHECKING:
    from ..state import Account, Upload

HOUR_S = 3600.0
KINDS: Mapping[str, tuple[str, int, int]] = {
    "image": ("UPLOAD-13", 30_000_000, 30 << 20),
    "video": ("UPLOAD-14", 50_000_000, 50 << 20),
    "audio": ("UPLOAD-15", 15_000_000, 15 << 20),
}
"""By kind: the requirement that takes the largest file, its size, and the size by the other meaning of MB."""
TOO_LARGE: Mapping[str, str] = {"image": "UPLOAD-16", "video": "UPLOAD-17", "audio": "UPLOAD-18"}
UNLISTED = {"gif": "image/gif", "webm": "video/webm", "ogg": "audio/ogg", "pdf": "application/pdf"}
PICTURE = {"content_type": "image/png", "file_name": "image.png"}

Edit = Callable[[dict[str, Any]], object]
Answers = Callable[[Answer], bool]


def _answered(endpoint: str, edit: Edit, when: Answers = lambda _answer: True) -> Change:
    """Rewrites the answers of success of one endpoint."""
    return in_bodies(edit, lambda answer: answer.endpoint == endpoint and answer.status == 200 and when(answer))


def _initiate(edit: Edit, content_type: str = "") -> Change:
    return _answered("initiateUpload", edit, _is_of(content_type) if content_type else lambda _answer: True)


def _is_of(content_type: str) -> Answers:
    return lambda answer: isinstance(answer.body, dict) and answer.body.get("content_type") == content_type


def _with(**members: object) -> Edit:
    return lambda body: body | members


def _lacking(name: str) -> Edit:
    return lambda body: {key: value for key, value in body.items() if key != name}


def _bytes(edit: Callable[[int], object]) -> Change:
    return _answered("putUpload", lambda body: body | {"bytes": edit(body["bytes"])})


def _mints(content_type: str, edit: Callable[[str], str]) -> Change:
    return Change(mint=lambda type, token: edit(token) if type == content_type else token)


def _leads(edit: Callable[[str, str], str]) -> Change:
    """Gives another upload_url: the path for the bytes, written in another way."""
    return Change(upload_url=edit)


def _takes_no(content_type: str) -> Change:
    refusal = Refusal(400, "This type is not taken.", "enum", "/content_type")
    return Change(announces=lambda type, found: refusal if type == content_type else found)


def _puts_no(content_type: str) -> Change:
    return Change(takes=lambda upload, _type, takes: takes and upload.content_type != content_type)


def _announces(content_type: str) -> Change:
    return Change(announces=lambda type, found: None if type == content_type else found)


def _up_to(kind: str, max_bytes: int) -> Change:
    return Change(max_bytes=lambda type, most: max_bytes if type.startswith(f"{kind}/") else most)


def _announced_as(edit: Callable[[Any], Any]) -> Change:
    return Change(announcement=edit)


def _filled(name: str) -> Callable[[Any], Any]:
    return lambda value: {name: PICTURE[name]} | value if isinstance(value, dict) else value


def _of_list(value: Any) -> Any:
    return PICTURE if isinstance(value, list) else value


def _of_pairs(value: Any) -> Any:
    """What some languages make of a list of pairs."""
    is_pairs = isinstance(value, list) and value and all(isinstance(each, list) and len(each) == 2 for each in value)
    return dict(value) if is_pairs else value


def _of_null(value: Any) -> Any:
    return PICTURE if value is None else value


def _of_text(value: Any) -> Any:
    return PICTURE if isinstance(value, Refusal) and value.keyword == "json" else value


def _may_put(may: Callable[[Account, Upload | None], bool]) -> Change:
    return Change(may_put=lambda account, upload, it: it or may(account, upload))


def _redeems(may: Callable[[Account, Upload | None], bool]) -> Change:
    return Change(redeems=lambda account, upload, it: it or may(account, upload))


def _redeems_not(unless: Callable[[Upload], bool]) -> Change:
    return Change(redeems=lambda _account, upload, it: it and upload is not None and unless(upload))


def _redeems_no(content_type: str) -> Change:
    return _redeems_not(lambda upload: upload.content_type != content_type)


def _only_once(_account: Account, upload: Upload | None, redeems: bool) -> bool:
    if redeems and upload is not None:
        upload.expires = 0.0
    return redeems


def _prefix(token: str, minted: Collection[str]) -> str:
    return next((each for each in minted if each[:-1] == token[:-1]), token)


def _no_key(caller: Caller, admitted: bool) -> bool:
    return admitted or (caller.endpoint == "putUpload" and caller.authorization is None)


def _lasts(**seconds: float) -> Change:
    return Change(terms=lambda terms: replace(terms, **seconds))  # type: ignore[arg-type]


def _token_refused(status: int) -> Change:
    """Gives another status to the refusals of tokens."""

    def edit(answer: Answer) -> Answer:
        is_token = "is not an upload" in str(answer.body)
        return replace(answer, status=status) if is_token else answer

    return in_errors(edit, "generate", 400)


def _with_status(endpoint: str, before: int, status: int, violation: str = "") -> Change:
    """Gives another status to the error answers of an endpoint, to those of that violation or to all."""

    def edit(answer: Answer) -> Answer:
        is_meant = violation in ("", answer.headers.get(VIOLATION_HEADER))
        return replace(answer, status=status) if is_meant else answer

    return in_errors(edit, endpoint, before)


def _items(request: Mapping[str, Any], param: str) -> list[str]:
    value = request["params"].get(param)
    return [str(each) for each in value] if isinstance(value, list) else [] if value is None else [str(value)]


def _has_url(request: Mapping[str, Any], param: str) -> bool:
    return any("://" in each for each in _items(request, param))


def _has_token(request: Mapping[str, Any], param: str) -> bool:
    return any(each.startswith("pl-upload-") for each in _items(request, param))


def _no(has: Callable[[Mapping[str, Any], str], bool], model: str, mode: str, param: str) -> Change:
    return refused(lambda request: is_for(request, model, mode) and has(request, param), "media", f"/params/{param}")


def _no_both(model: str, mode: str, param: str) -> Change:
    return _no(lambda request, name: _has_url(request, name) and _has_token(request, name), model, mode, param)


def faults() -> Iterator[Fault]:
    yield from _steps()
    yield from _files()
    yield from _tokens()
    yield from _times()
    yield from _refusals()
    yield from _params()


def _steps() -> Iterator[Fault]:
    initiated: Mapping[str, tuple[str, Change]] = {
        "UPLOAD-01-token-missing": ("answers no token", _initiate(_lacking("token"))),
        "UPLOAD-01-token-number": ("answers a number for a token", _initiate(_with(token=5))),
        "UPLOAD-01-token-missing-mov": (
            "answers no token for video/quicktime",
            _initiate(_lacking("token"), "video/quicktime"),
        ),
        "UPLOAD-02-upper-case": (
            "writes tokens for image/webp in upper case",
            _mints("image/webp", lambda token: "pl-upload-" + token.removeprefix("pl-upload-").upper()),
        ),
        "UPLOAD-02-31-digits": ("leaves out a digit for image/jpeg", _mints("image/jpeg", lambda token: token[:-1])),
        "UPLOAD-02-no-prefix": (
            "leaves out pl-upload- for video/quicktime",
            _mints("video/quicktime", lambda token: token.removeprefix("pl-upload-")),
        ),
        "UPLOAD-03-missing": ("answers no upload_url", _initiate(_lacking("upload_url"))),
        "UPLOAD-03-object": ("answers an object for upload_url", _initiate(_with(upload_url={"method": "PUT"}))),
        "UPLOAD-03-null-webp": ("answers no upload_url for WebP", _initiate(_with(upload_url=None), "image/webp")),
        "UPLOAD-06-missing": ("does not answer content_type", _initiate(_lacking("content_type"))),
        "UPLOAD-06-always-mp4": ("answers video/mp4, whatever was sent", _initiate(_with(content_type="video/mp4"))),
        "UPLOAD-06-upper-case": (
            "answers the content type in upper case",
            _initiate(lambda body: body | {"content_type": body["content_type"].upper()}),
        ),
        "UPLOAD-06-mov-as-mp4": (
            "answers video/mp4 for video/quicktime",
            _initiate(_with(content_type="video/mp4"), "video/quicktime"),
        ),
    }
    for id, (what, change) in initiated.items():
        yield fault(id, f"initiate {what}.", change)
    elsewhere: Mapping[str, tuple[str, Callable[[str, str], str]]] = {
        "other-host": ("another host", lambda _base, path: f"https://uploads.example.net{path}"),
        "other-host-without-scheme": (
            "another host, without a scheme",
            lambda _base, path: f"//uploads.example.net{path}",
        ),
        "host-as-user": (
            "a host that has the API's for its user",
            lambda base, path: f"{base.rstrip('/').rpartition(':')[0]}@uploads.example.net{path}",
        ),
        "host-as-prefix": (
            "a host that begins with the API's",
            lambda base, path: f"{base.rstrip('/').rpartition(':')[0]}.example.net{path}",
        ),
    }
    for slug, (what, edit) in elsewhere.items():
        yield fault(f"UPLOAD-04-{slug}", f"upload_url leads to {what}.", _leads(edit), "UPLOAD-05")
    yield fault(
        "UPLOAD-05-absolute",
        "upload_url has the host in it.",
        _leads(lambda base, path: f"{base.rstrip('/')}{path}"),
    )
    yield fault(
        "UPLOAD-05-with-query",
        "upload_url does not end in the token.",
        _leads(lambda _base, path: f"{path}?part=1"),
    )
    yield fault(
        "UPLOAD-07-same-token",
        "Every upload of image/jpeg has the same token.",
        _mints("image/jpeg", lambda _token: "pl-upload-" + "0" * 32),
    )
    for slug, what, status in (("ok", "ok", "ok"), ("upper-case", "UPLOADED", "UPLOADED"), ("true", "true", True)):
        yield fault(
            f"UPLOAD-08-status-{slug}", f"The status of a PUT is {what}.", _answered("putUpload", _with(status=status))
        )
    yield fault("UPLOAD-08-status-missing", "A PUT answers no status.", _answered("putUpload", _lacking("status")))
    yield fault(
        "UPLOAD-08-list",
        "A PUT answers a list.",
        _answered("putUpload", lambda body: [body]),
        "UPLOAD-09",
    )
    yield fault(
        "UPLOAD-08-no-body",
        "A PUT answers nothing.",
        _answered("putUpload", lambda _body: b""),
        "UPLOAD-09",
    )
    sizes: Mapping[str, tuple[str, Callable[[int], object]]] = {
        "string": ("as a string", str),
        "one-more": ("with one more", lambda size: size + 1),
        "in-kilobytes": ("in kilobytes", lambda size: size / 1000),
        "rounded": ("in whole kilobytes", lambda size: size // 1000 * 1000),
        "first-64k": ("up to 65,536", lambda size: min(size, 65_536)),
        "null": ("as null", lambda _size: None),
    }
    for slug, (what, count) in sizes.items():
        yield fault(f"UPLOAD-09-{slug}", f"A PUT answers the bytes {what}.", _bytes(count))
    yield fault("UPLOAD-09-missing", "A PUT does not answer the bytes.", _answered("putUpload", _lacking("bytes")))


def _files() -> Iterator[Fault]:
    listed = {
        "UPLOAD-10": ("image/jpeg", "image/png", "image/webp"),
        "UPLOAD-11": ("video/mp4",),
        "UPLOAD-12": ("video/quicktime", "audio/mpeg", "audio/wav"),
    }
    for requirement, types in listed.items():
        for type in types:
            slug = type.partition("/")[2]
            yield fault(f"{requirement}-{slug}-refused", f"initiate refuses {type}.", _takes_no(type))
            yield fault(f"{requirement}-{slug}-put-refused", f"A PUT of {type} is refused.", _puts_no(type))
    for kind, (requirement, most, other) in KINDS.items():
        yield fault(
            f"{requirement}-one-byte-less",
            f"The largest file of the kind {kind} has {most - 1} bytes.",
            _up_to(kind, most - 1),
        )
        yield fault(
            f"{requirement}-ten-megabytes",
            f"The largest file of the kind {kind} has 10 MB.",
            _up_to(kind, 10_000_000),
        )
        yield fault(
            f"{TOO_LARGE[kind]}-one-byte-more",
            f"The largest file of the kind {kind} has {other + 1} bytes.",
            _up_to(kind, other + 1),
            "UPLOAD-40",
        )
        yield fault(
            f"{TOO_LARGE[kind]}-no-limit",
            f"A file of the kind {kind} has no limit.",
            _up_to(kind, 1 << 40),
            "UPLOAD-40",
        )
    for slug, type in UNLISTED.items():
        yield fault(f"UPLOAD-19-{slug}-taken", f"{type} can be uploaded and used.", _announces(type), "UPLOAD-40")
        yield fault(
            f"UPLOAD-40-{slug}-refused-in-use",
            f"{type} is refused when it is used, not before.",
            combined((_announces(type), _redeems_no(type))),
        )
    yield fault(
        "UPLOAD-20-any-type",
        "The content type of a PUT is not looked at.",
        Change(takes=lambda _upload, _type, _takes: True),
    )
    yield fault(
        "UPLOAD-20-any-image",
        "A PUT may have the type of any image, once an image was announced.",
        Change(takes=lambda upload, type, takes: takes or type[:6] == upload.content_type[:6] == "image/"),
    )
    yield fault(
        "UPLOAD-20-octet-stream",
        "A PUT may have the type application/octet-stream.",
        Change(takes=lambda _upload, type, takes: takes or type == "application/octet-stream"),
    )


def _tokens() -> Iterator[Fault]:
    yield fault("UPLOAD-21-no-key", "A PUT needs no key.", Change(admits=_no_key), "AUTH-01", "AUTH-09")
    for status in (403, 404):
        yield fault(
            f"UPLOAD-21-{status}",
            f"A PUT without a good key is answered {status}.",
            _with_status("putUpload", 401, status),
            "AUTH-01",
            "AUTH-02",
            "AUTH-09",
        )
    yield fault(
        "UPLOAD-22-any-account",
        "A PUT may have the key of any account.",
        _may_put(lambda account, upload: upload is not None and upload.account is not account),
    )
    yield fault(
        "UPLOAD-23-refused",
        "No token is accepted.",
        _redeems_not(lambda _upload: False),
        "GEN-02",
        "UPLOAD-30",
        "PARAM-17",
    )
    yield fault(
        "UPLOAD-23-picture-refused",
        "No token of a PNG is accepted.",
        _redeems_no("image/png"),
        "GEN-02",
        "UPLOAD-30",
        "PARAM-17",
    )
    yield fault(
        "UPLOAD-24-accepted",
        "A token that was never minted is accepted.",
        _redeems(lambda _account, upload: upload is None),
    )
    yield fault("UPLOAD-24-prefix", "The last sign of a token is not looked at.", Change(reads_token=_prefix))
    for status in (404, 410, 422):
        also = () if status in (404, 410) else ("ERR-07",)
        yield fault(
            f"UPLOAD-25-{status}", f"A token without a file is answered {status}.", _token_refused(status), *also
        )
    yield fault(
        "UPLOAD-26-any-account",
        "Whoever has a token may use it.",
        _redeems(lambda account, upload: upload is not None and upload.account is not account and upload.done),
    )
    yield fault(
        "UPLOAD-32-accepted",
        "A token is accepted before its bytes are there.",
        _redeems(lambda account, upload: upload is not None and upload.account is account and not upload.done),
    )
    yield fault("UPLOAD-33-refused", "A token is good for one request.", Change(redeems=_only_once))


def _times() -> Iterator[Fault]:
    before: Mapping[str, tuple[str, float]] = {
        "UPLOAD-28-59-minutes": ("59 minutes", HOUR_S - 60),
        "UPLOAD-28-half-an-hour": ("half an hour", HOUR_S / 2),
        "UPLOAD-29-61-minutes": ("61 minutes", HOUR_S + 60),
        "UPLOAD-29-a-day": ("a day", 24 * HOUR_S),
    }
    for id, (what, lasts_s) in before.items():
        yield fault(
            id,
            f"A token waits {what} for its bytes.",
            _lasts(before_put_s=lasts_s),
        )
    after: Mapping[str, tuple[str, float]] = {
        "UPLOAD-30-a-minute-less": ("a minute less than a day", 24 * HOUR_S - 60),
        "UPLOAD-30-an-hour": ("an hour", HOUR_S),
        "UPLOAD-31-a-minute-more": ("a minute more than a day", 24 * HOUR_S + 60),
        "UPLOAD-31-for-ever": ("for ever", 1e9),
    }
    for id, (what, lasts_s) in after.items():
        yield fault(
            id,
            f"A file is kept {what}.",
            _lasts(after_put_s=lasts_s),
        )
    yield fault(
        "UPLOAD-30-from-initiate",
        "A file is kept for a day from its announcement.",
        Change(token_ends=lambda upload, _ends: upload.expires + 23 * HOUR_S),
    )
    yield fault(
        "UPLOAD-31-25-hours-from-initiate",
        "A file is kept for 25 hours from its announcement.",
        Change(token_ends=lambda upload, _ends: upload.expires + 24 * HOUR_S),
    )


def _refusals() -> Iterator[Fault]:
    for name in PICTURE:
        yield fault(f"UPLOAD-34-{name.replace('_', '-')}", f"initiate needs no {name}.", _announced_as(_filled(name)))
    taken: Mapping[str, tuple[str, Callable[[Any], Any]]] = {
        "list": ("a list", _of_list),
        "pairs": ("a list of pairs", _of_pairs),
        "null": ("null", _of_null),
    }
    for slug, (what, edit) in taken.items():
        yield fault(f"UPLOAD-35-{slug}-taken", f"initiate takes {what}.", _announced_as(edit))
    yield fault("UPLOAD-35-no-json-taken", "initiate takes what is no JSON.", _announced_as(_of_text))
    yield fault(
        "UPLOAD-35-422",
        "initiate answers a body that is no object with 422.",
        _with_status("initiateUpload", 400, 422, "type"),
        "ERR-07",
    )
    broken = (
        ("type-500", "An unlisted type", "initiateUpload", 400, "enum /content_type"),
        ("lacking-500", "A missing file_name", "initiateUpload", 400, "required /file_name"),
        ("put-500", "A PUT of another type", "putUpload", 400, ""),
        ("unknown-500", "A PUT to an unknown token", "putUpload", 404, ""),
    )
    for slug, subject, endpoint, before, violation in broken:
        change = _with_status(endpoint, before, 500, violation)
        yield fault(f"UPLOAD-36-{slug}", f"{subject} is answered 500.", change)
    yield fault(
        "UPLOAD-36-put-302",
        "A PUT to an unknown token is answered 302.",
        _with_status("putUpload", 404, 302),
    )
    yield fault(
        "UPLOAD-39-taken",
        "A PUT to a token that was never minted is taken.",
        _may_put(lambda _account, upload: upload is None),
    )


def _params() -> Iterator[Fault]:
    rows = (
        ("kling-3-motion-control", "motion", "image_url"),
        ("kling-3-motion-control", "motion", "video_urls"),
        ("nano-banana-2", "edit", "image_urls"),
        ("seedance-2-fast", "reference", "audio_urls"),
        ("seedance-2-fast", "reference", "video_urls"),
        ("seedream-5-lite", "edit", "image_urls"),
    )
    for model, mode, param in rows:
        slug = f"{model}-{param.replace('_', '-')}"
        where = f"{param} of {model} {mode}"
        values = "PARAM-12" if param == "image_url" else "PARAM-11"
        smallest = () if model == "seedance-2-fast" else ("GEN-01",)
        no_url = _no(_has_url, model, mode, param)
        yield fault(f"PARAM-16-{slug}", f"{where} takes no URL.", no_url, values, *smallest)
        cheapest = ("UPLOAD-23", "UPLOAD-30") if model == "seedream-5-lite" else ()
        no_token = _no(_has_token, model, mode, param)
        yield fault(f"PARAM-17-{slug}", f"{where} takes no upload token.", no_token, *cheapest)
        if param != "image_url" and model != "kling-3-motion-control":
            yield fault(f"PARAM-18-{slug}", f"{where} takes either URLs or tokens.", _no_both(model, mode, param))
