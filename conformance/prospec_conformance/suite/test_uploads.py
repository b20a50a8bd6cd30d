"""UPLOAD: both steps of an upload, what may be uploaded, by whom and for how long. PARAM: what media params take."""

from __future__ import annotations

import re
from collections.abc import Callable

from prospec.ir import Level, ListOf, Media, Param, Spec

from ..implementation import INITIATE, Exchange, Implementation
from ..members import worded
from ..outcome import Inconclusive, Violation
from ..plugin import Run, fields, last, requirement, rows
from ..probe import Probe, Row, settle_inconclusive
from ..samples import SAMPLES, UNLISTED
from ..uploads import Aged, Misfit, Span, Uploaded, Uploads, made_up_token, near
from ..urls import host

KINDS = ("image", "video", "audio")
AT_ONCE, LATE = "a PUT at once", "a late PUT"
CERTAIN_IMAGES = ("image/jpeg", "image/png", "image/webp")
INFERRED_TYPES = ("video/quicktime", "audio/mpeg", "audio/wav")
OTHER_TYPES = ("image/jpeg", "video/mp4", "application/octet-stream")
"""What a PNG is PUT as."""
NO_OBJECT: dict[str, object] = {
    "no JSON": b"{",
    "nothing": b"",
    "a list": [],
    "a list of pairs": [["content_type", "image/png"], ["file_name", "image.png"]],
    "a string": "image/png",
    "a number": 5,
    "null": b"null",
}


def _initiated(uploads: Uploads) -> list[Exchange]:
    """The answers to initiate that were accepted, by type. Raises Violation where there are none."""
    answers = [upload.first for upload in uploads.samples()]
    accepted = [answer for answer in answers if answer.accepted]
    if not accepted:
        for answer in answers:
            settle_inconclusive(answer)
            raise Violation(f"initiate was answered {answer.status}, whatever the type", answer)
        raise Inconclusive("initiate was not answered")
    return accepted


def _sent(uploads: Uploads) -> list[Uploaded]:
    """The uploads whose bytes were taken. Raises Violation where there are none."""
    tried = [upload for upload in (*uploads.samples(), uploads.long()) if upload.second is not None]
    taken = [upload for upload in tried if upload.is_whole]
    if not taken:
        for upload in tried:
            assert upload.second is not None
            settle_inconclusive(upload.second)
            raise Violation(f"a PUT was answered {upload.second.status}, whatever the type", upload.second)
        raise Inconclusive("nothing was PUT: no answer of initiate says where to")
    return taken


@requirement("UPLOAD-01")
def test_initiate_answers_a_token(uploads: Uploads) -> None:
    """Initiate the upload: get back an opaque token."""
    for answer in _initiated(uploads):
        token = answer.member("token")
        if not isinstance(token, str) or not token:
            raise Violation(f"token is {worded(answer, 'token')}, expected a string", answer)


@requirement("UPLOAD-02")
def test_a_token_has_the_form_of_the_samples(uploads: Uploads, spec: Spec) -> None:
    """pl-upload-3d756375a28d44cead027db57565f176."""
    tokens = [(answer, answer.member("token")) for answer in _initiated(uploads)]
    tokens = [(answer, token) for answer, token in tokens if isinstance(token, str) and token]
    if not tokens:
        raise Inconclusive("no answer of initiate has a token")
    for answer, token in tokens:
        if not re.fullmatch(spec.service.uploads.token_pattern, token):
            reason = f"a token for {answer.sent['content_type']} is not pl-upload- and 32 lower-case hexadecimal digits"
            raise Violation(reason, answer)


@requirement("UPLOAD-03")
def test_initiate_answers_an_upload_url(uploads: Uploads) -> None:
    """Get back an opaque token and a PUT target."""
    for answer in _initiated(uploads):
        url = answer.member("upload_url")
        if not isinstance(url, str) or not url:
            raise Violation(f"upload_url is {worded(answer, 'upload_url')}, expected a string", answer)


def _with_urls(uploads: Uploads) -> list[tuple[Exchange, str]]:
    found = [(answer, answer.member("upload_url")) for answer in _initiated(uploads)]
    strings = [(answer, url) for answer, url in found if isinstance(url, str) and url]
    if not strings:
        raise Inconclusive("no answer of initiate has an upload_url")
    return strings


@requirement("UPLOAD-04")
def test_the_bytes_go_to_the_host_of_the_api(uploads: Uploads, implementation: Implementation) -> None:
    """A PUT target on this domain."""
    base_url = implementation.target.base_url
    own = host(base_url, INITIATE, INITIATE)
    for answer, url in _with_urls(uploads):
        found = host(base_url, INITIATE, url)
        if found is None:
            raise Violation("upload_url is no URL", answer)
        if found != own:
            raise Violation(f"upload_url leads to {found!r:.80}, expected the API's host", answer)


@requirement("UPLOAD-05")
def test_upload_url_is_a_path_that_ends_in_the_token(uploads: Uploads) -> None:
    """/v1/uploads/proxy/pl-upload-3d756375a28d44cead027db57565f176."""
    for answer, url in _with_urls(uploads):
        if not url.startswith("/") or url.startswith("//"):
            raise Violation("upload_url is not relative to the host", answer)
        token = answer.member("token")
        if isinstance(token, str) and token and not url.endswith(f"/{token}"):
            raise Violation("upload_url does not end in the token", answer)


@requirement("UPLOAD-06")
def test_initiate_repeats_the_content_type(uploads: Uploads) -> None:
    """The sample answers "content_type": "video/mp4", which was sent."""
    for answer in _initiated(uploads):
        sent = answer.sent["content_type"]
        if answer.member("content_type") != sent:
            raise Violation(f"content_type is {worded(answer, 'content_type')}, sent was {sent}", answer)


@requirement("UPLOAD-07")
@last
def test_no_two_uploads_share_a_token(implementation: Implementation, uploads: Uploads) -> None:
    """An opaque token, minted by initiate."""
    uploads.twice()
    seen: dict[str, Exchange] = {}
    for exchange in implementation.exchanges:
        token = exchange.member("token")
        if exchange.path != INITIATE or not exchange.accepted or not isinstance(token, str) or not token:
            continue
        if token in seen:
            raise Violation("a token was given twice", seen[token], exchange)
        seen[token] = exchange
    if len(seen) < 2:
        raise Inconclusive("needs two tokens to compare")


@requirement("UPLOAD-08")
def test_a_put_is_answered_with_the_status(uploads: Uploads) -> None:
    """PUT the raw file bytes to upload_url. Response: { "status": "uploaded", … }."""
    for upload in _sent(uploads):
        answer = upload.second
        assert answer is not None
        if not isinstance(answer.json, dict):
            raise Violation("a PUT was answered with no JSON object", answer)
        if answer.member("status") != "uploaded":
            raise Violation(f"status is {worded(answer, 'status')}, expected 'uploaded'", answer)


@requirement("UPLOAD-09")
def test_a_put_is_answered_with_the_size(uploads: Uploads) -> None:
    """Response: { …, "bytes": 12345678 }."""
    for upload in _sent(uploads):
        answer = upload.second
        assert answer is not None
        size = answer.member("bytes")
        if isinstance(size, bool) or not isinstance(size, int | float) or size != upload.sent_bytes:
            raise Violation(f"bytes is {worded(answer, 'bytes')}, {upload.sent_bytes} were sent", answer)


def _must_be_taken(upload: Uploaded, what: str) -> None:
    for step, answer in (("initiate", upload.first), ("the PUT", upload.second)):
        if answer is None:
            raise Inconclusive("upload_url is no URL of the API: nothing is sent there")
        settle_inconclusive(answer)
        if not answer.accepted:
            raise Violation(f"{step} of {what} was answered {answer.status}", answer)


@requirement("UPLOAD-10")
@fields(*CERTAIN_IMAGES)
def test_images_can_be_uploaded(uploads: Uploads, field: str) -> None:
    """Images: JPEG / PNG / WebP."""
    _must_be_taken(uploads.sample(field), f"a file of the type {field}")


@requirement("UPLOAD-11")
def test_videos_can_be_uploaded(uploads: Uploads) -> None:
    """Videos: MP4."""
    _must_be_taken(uploads.sample("video/mp4"), "a file of the type video/mp4")


@requirement("UPLOAD-12")
@fields(*INFERRED_TYPES)
def test_other_formats_can_be_uploaded(uploads: Uploads, field: str) -> None:
    """Videos: MOV. Audio: MP3 / WAV."""
    _must_be_taken(uploads.sample(field), f"a file of the type {field}")


def _must_take_the_largest(uploads: Uploads, kind: str) -> None:
    upload = uploads.largest(kind)
    _must_be_taken(upload, f"a file of {upload.sent_bytes} bytes")


@requirement("UPLOAD-13")
def test_an_image_of_30_mb_can_be_uploaded(uploads: Uploads) -> None:
    """Up to 30 MB per file."""
    _must_take_the_largest(uploads, "image")


@requirement("UPLOAD-14")
def test_a_video_of_50_mb_can_be_uploaded(uploads: Uploads) -> None:
    """Up to 50 MB per file."""
    _must_take_the_largest(uploads, "video")


@requirement("UPLOAD-15")
def test_audio_of_15_mb_can_be_uploaded(uploads: Uploads) -> None:
    """Up to 15 MB per file."""
    _must_take_the_largest(uploads, "audio")


def _is_refused(answer: Exchange) -> bool:
    """Whether an upload was turned down. It costs nothing, so a 403 is about the file or the token too."""
    return answer.refused or answer.status == 403


def _steps(misfit: Misfit) -> list[Exchange]:
    return [each for each in (misfit.upload.first, misfit.upload.second) if each is not None]


def _was_refused_early(misfit: Misfit) -> bool:
    """Whether it was refused when it was announced or PUT. Raises Inconclusive for another answer that is no consent.

    False where it went on to be used.
    """
    *_, ended = _steps(misfit)
    if ended.accepted:
        return False
    if not _is_refused(ended):
        raise Inconclusive(f"answered {ended.status}, which says nothing about the file")
    return True


def _must_be_refused_somewhere(uploads: Uploads, misfit: Misfit, kind: str, what: str) -> None:
    if _was_refused_early(misfit):
        return
    used = misfit.used
    if used is None:
        raise Inconclusive(misfit.silence or "nothing was PUT: initiate does not say where to")
    if isinstance(used, Exception):
        raise used
    settle_inconclusive(used)
    if not used.refused:
        reason = f"{what} was taken, and a request with it was answered {used.status}"
        raise Violation(reason, *_steps(misfit), used)
    uploads.must_be_useful(kind)


@requirement("UPLOAD-16")
def test_an_image_of_more_than_30_mb_is_refused(uploads: Uploads) -> None:
    """Up to 30 MB per file."""
    _must_be_refused_somewhere(uploads, uploads.too_large("image"), "image", "an image of more than 30 MB")


@requirement("UPLOAD-17")
def test_a_video_of_more_than_50_mb_is_refused(uploads: Uploads) -> None:
    """Up to 50 MB per file."""
    _must_be_refused_somewhere(uploads, uploads.too_large("video"), "video", "a video of more than 50 MB")


@requirement("UPLOAD-18")
def test_audio_of_more_than_15_mb_is_refused(uploads: Uploads) -> None:
    """Up to 15 MB per file."""
    _must_be_refused_somewhere(uploads, uploads.too_large("audio"), "audio", "an audio file of more than 15 MB")


@requirement("UPLOAD-19")
@fields(*UNLISTED)
def test_a_type_that_is_not_listed_is_refused(uploads: Uploads, field: str) -> None:
    """Images: JPEG / PNG / WebP. Videos: MP4 / MOV. Audio: MP3 / WAV."""
    kind, _, _ = UNLISTED[field]
    _must_be_refused_somewhere(uploads, uploads.unlisted(field), kind, f"a file of the type {field}")


@requirement("UPLOAD-40")
@fields(*KINDS, *UNLISTED)
def test_a_misfit_is_refused_when_it_is_put_at_the_latest(uploads: Uploads, field: str) -> None:
    """The limits stand beside the two steps."""
    misfit = uploads.too_large(field) if field in KINDS else uploads.unlisted(field)
    if not _was_refused_early(misfit):
        if misfit.upload.second is None or not misfit.upload.second.accepted:
            raise Inconclusive(misfit.silence or "nothing was PUT: initiate does not say where to")
        what = f"of the kind {field} that is too large" if field in KINDS else f"of the type {field}"
        raise Violation(f"a file {what} was taken", *_steps(misfit))


@requirement("UPLOAD-20")
@fields(*OTHER_TYPES)
def test_a_put_of_another_type_is_refused(uploads: Uploads, field: str) -> None:
    """Use the same content type you initiated with."""
    uploads.must_work()
    _must_be_refused(uploads.put_as(field), f"a PUT as {field}, announced as image/png,")


def _must_be_refused(answer: Exchange, what: str) -> None:
    if answer.accepted:
        raise Violation(f"{what} was answered {answer.status}", answer)
    if not _is_refused(answer):
        raise Inconclusive(f"answered {answer.status}, which says nothing about the upload")


@requirement("UPLOAD-21")
def test_a_put_without_a_key_is_refused(uploads: Uploads) -> None:
    """The sample of the PUT has the key. Missing API key: 401."""
    answer = uploads.put_by("nobody", {})
    if answer.status != 401:
        if answer.status in (408, 429) or answer.status > 500:
            raise Inconclusive(f"answered {answer.status}, which says nothing about the key")
        raise Violation(f"a PUT without a key was answered {answer.status}, expected 401", answer)


@requirement("UPLOAD-22")
def test_a_put_by_another_account_is_refused(uploads: Uploads, implementation: Implementation) -> None:
    """Tokens are single-account."""
    _ = uploads.foreign()
    second = implementation.bearer(implementation.target.second_api_key)
    _must_be_refused(uploads.put_by("another", second), "a PUT with the key of another account")


@requirement("UPLOAD-23")
def test_a_token_is_accepted_in_a_request(uploads: Uploads) -> None:
    """Use the token in any generate request."""
    _must_be_accepted(uploads.used()[1], "a request with the token of an uploaded picture")


def _must_be_accepted(exchange: Exchange, what: str, level: Level = Level.MUST) -> None:
    settle_inconclusive(exchange)
    if not exchange.accepted:
        raise Violation(f"{what} was answered {exchange.status}", exchange, level=level)


@requirement("UPLOAD-33")
def test_a_token_is_accepted_again(uploads: Uploads) -> None:
    """Use the token in any generate request. 24 hours after upload completes."""
    _must_be_accepted(uploads.used_again(), "a second request with a token")


def _must_not_be_redeemed(uploads: Uploads, exchange: Exchange, what: str) -> None:
    settle_inconclusive(exchange)
    if not exchange.refused:
        raise Violation(f"a request with {what} was answered {exchange.status}", exchange)
    uploads.must_be_useful()


def _made_up(uploads: Uploads) -> Exchange:
    return uploads.unused("made up", made_up_token)


@requirement("UPLOAD-24")
@fields("made up", "another last digit")
def test_a_token_that_was_never_minted_is_refused(uploads: Uploads, field: str) -> None:
    """The server resolves the token before dispatching the model."""
    exchange = _made_up(uploads) if field == "made up" else uploads.unused(field, lambda: near(uploads.stored()))
    _must_not_be_redeemed(uploads, exchange, "a token that was never minted")


def _foreign(uploads: Uploads) -> Exchange:
    return uploads.unused("foreign", uploads.foreign)


@requirement("UPLOAD-26")
def test_a_token_of_another_account_is_refused(uploads: Uploads) -> None:
    """Tokens are single-account: only the API key that minted them can redeem them."""
    _must_not_be_redeemed(uploads, _foreign(uploads), "the token of another account")


def _empty(uploads: Uploads) -> Exchange:
    # It may rightly be accepted: what follows from a token without bytes is not documented.
    return uploads.unused("empty", lambda: uploads.announced().token, certain=False)


@requirement("UPLOAD-32")
def test_a_token_without_a_file_is_refused(uploads: Uploads) -> None:
    """Initiate, PUT, use the token."""
    _must_not_be_redeemed(uploads, _empty(uploads), "a token whose bytes were never PUT")


def _past(uploads: Uploads) -> Exchange:
    late = uploads.lifetimes().at_once.late
    if isinstance(late, Exception):
        raise late
    return late


UNREDEEMED: dict[str, Callable[[Uploads], Exchange]] = {
    "never minted": _made_up,
    "another account's": _foreign,
    "without a file": _empty,
    "past its time": _past,
}


@requirement("UPLOAD-25")
@fields(*UNREDEEMED)
def test_a_token_that_stands_for_nothing_is_answered_400(uploads: Uploads, current: Run, field: str) -> None:
    """Invalid request body: 400."""
    if field == "past its time" and (missing := current.wants("clock")):
        raise Inconclusive(f"needs clock: {missing}")
    exchange = UNREDEEMED[field](uploads)
    settle_inconclusive(exchange)
    if not exchange.refused:
        raise Inconclusive(f"answered {exchange.status}, no refusal")
    uploads.must_be_useful()
    if exchange.status != 400:
        raise Violation(f"a token ({field}) was answered {exchange.status}, expected 400", exchange)


def _was_in_time(asked: Span, since: Span, lifetime_s: float) -> bool:
    """Whether it was asked before the end of a lifetime for certain. Waiting for the rate limit moves the clock."""
    return asked.latest_s < since.earliest_s + lifetime_s


@requirement("UPLOAD-28")
def test_an_hour_is_left_for_the_put(uploads: Uploads, spec: Spec) -> None:
    """Token lifetime: 1 hour pre-PUT."""
    late = uploads.lifetimes().late
    answer = late.upload.second
    assert answer is not None
    settle_inconclusive(answer)
    if not answer.accepted:
        if not _was_in_time(late.put, late.begun, spec.service.uploads.before_put_s):
            raise Inconclusive("the clock had moved on before the PUT came")
        raise Violation(f"a PUT within the hour was answered {answer.status}", late.upload.first, answer)


@requirement("UPLOAD-29")
def test_a_put_after_the_hour_is_refused(uploads: Uploads) -> None:
    """Token lifetime: 1 hour pre-PUT."""
    _must_be_refused(uploads.lifetimes().too_late, "a PUT more than an hour after initiate")


def _aged(uploads: Uploads, field: str) -> Aged:
    return uploads.lifetimes().at_once if field == AT_ONCE else uploads.lifetimes().late


@requirement("UPLOAD-30")
@fields(AT_ONCE, LATE)
def test_a_file_is_kept_for_a_day(uploads: Uploads, spec: Spec, field: str) -> None:
    """24 hours after upload completes."""
    aged = _aged(uploads, field)
    if isinstance(aged.early, Exception):
        raise aged.early
    exchange, asked = aged.early
    settle_inconclusive(exchange)
    if not exchange.accepted:
        if not _was_in_time(asked, aged.put, spec.service.uploads.after_put_s):
            raise Inconclusive("the clock had moved on before the request came")
        raise Violation(f"a request within 24 hours of {field} was answered {exchange.status}", exchange)


@requirement("UPLOAD-31")
@fields(AT_ONCE, LATE)
def test_a_file_is_not_kept_for_longer(uploads: Uploads, field: str) -> None:
    """24 hours after upload completes."""
    aged = _aged(uploads, field)
    if isinstance(aged.late, Exception):
        raise aged.late
    _must_not_be_redeemed(uploads, aged.late, f"the token more than 24 hours after {field}")


@requirement("UPLOAD-34")
@fields("content_type", "file_name")
def test_an_announcement_that_lacks_a_member_is_refused(uploads: Uploads, field: str) -> None:
    """Missing required field: 400."""
    uploads.must_work()
    _must_be_refused(_lacking(uploads, field), f"initiate without {field}")


def _lacking(uploads: Uploads, name: str) -> Exchange:
    content_type, file_name, _ = SAMPLES["image"]
    whole = {"content_type": content_type, "file_name": file_name}
    return uploads.initiated(f"without {name}", {key: value for key, value in whole.items() if key != name})


@requirement("UPLOAD-35")
@fields(*NO_OBJECT)
def test_an_announcement_that_is_no_object_is_answered_400(uploads: Uploads, field: str) -> None:
    """Invalid request body: 400."""
    uploads.must_work()
    answer = uploads.initiated(field, NO_OBJECT[field])
    if answer.status != 400:
        settle_inconclusive(answer)
        raise Violation(f"initiate with {field} was answered {answer.status}, expected 400", answer)


@requirement("UPLOAD-39")
def test_a_put_to_a_token_that_was_never_minted_is_refused(uploads: Uploads) -> None:
    """PUT the raw file bytes to upload_url."""
    uploads.must_work()
    _must_be_refused(uploads.put_nowhere(), "a PUT to a token that was never minted")


WRONG: dict[str, Callable[[Uploads], Exchange]] = {
    "no content_type": lambda uploads: _lacking(uploads, "content_type"),
    "no file_name": lambda uploads: _lacking(uploads, "file_name"),
    "no JSON": lambda uploads: uploads.initiated("no JSON", NO_OBJECT["no JSON"]),
    **{type: lambda uploads, type=type: _steps(uploads.unlisted(type))[-1] for type in UNLISTED},  # type: ignore[misc]
    "another type": lambda uploads: uploads.put_as(OTHER_TYPES[0]),
    "another kind": lambda uploads: uploads.put_as(OTHER_TYPES[1]),
    "never minted": lambda uploads: uploads.put_nowhere(),
    **{kind: lambda uploads, kind=kind: _steps(uploads.too_large(kind))[-1] for kind in KINDS},  # type: ignore[misc]
}


@requirement("UPLOAD-36")
@fields(*WRONG)
def test_a_refused_upload_is_answered_with_a_4xx(uploads: Uploads, field: str) -> None:
    """The statuses of refusals are 4xx; 500 is for unexpected server errors."""
    uploads.must_work()
    answer = WRONG[field](uploads)
    if answer.accepted:
        raise Inconclusive("it was not refused")
    if not _is_refused(answer):
        settle_inconclusive(answer)
        raise Violation(f"an upload that is wrong ({field}) was answered {answer.status}, expected a 4xx", answer)


# Media params


def _takes_media(param: Param) -> bool:
    return isinstance(param.type, Media | ListOf)


def _takes_several(param: Param) -> bool:
    return isinstance(param.type, ListOf) and param.type.max_items != 1


@requirement("PARAM-16")
@rows(_takes_media)
def test_a_media_param_takes_a_url(uploads: Uploads, probe: Probe, row: Row) -> None:
    """Any media param accepts a public https:// URL."""
    _must_be_accepted(uploads.url_in(probe, row.param), "a request with the URL of a public file", row.level("type"))


@requirement("PARAM-17")
@rows(_takes_media)
def test_a_media_param_takes_a_token(uploads: Uploads, probe: Probe, row: Row) -> None:
    """Or an opaque upload token minted by POST /v1/uploads/initiate."""
    _must_be_accepted(uploads.token_in(probe, row.param), "a request with an upload token", row.level("type"))


@requirement("PARAM-16")
@fields("mask_url")
def test_a_mask_may_be_a_url(uploads: Uploads, current: Run, field: str) -> None:
    """mask_url is named among the media params. No table shows it, so where it stands is inferred."""
    probe, param = _hidden(current, field)
    _must_be_accepted(uploads.url_in(probe, param), "a request with the URL of a public mask", Level.SHOULD)


@requirement("PARAM-17")
@fields("mask_url")
def test_a_mask_may_be_a_token(uploads: Uploads, current: Run, field: str) -> None:
    """mask_url is named among the media params. No table shows it, so where it stands is inferred."""
    probe, param = _hidden(current, field)
    _must_be_accepted(uploads.token_in(probe, param), "a request with the upload token of a mask", Level.SHOULD)


def _hidden(current: Run, name: str) -> tuple[Probe, Param]:
    """The cheapest mode with a param of that name. Raises Inconclusive where none was asked for."""
    for model, mode in current.modes():
        param = mode.param(name)
        if param is not None:
            return current.probe(model, mode), param
    raise Inconclusive(f"no mode that was asked for has {name}")


@requirement("PARAM-18")
@rows(_takes_several)
def test_a_list_takes_urls_and_tokens_side_by_side(uploads: Uploads, probe: Probe, row: Row) -> None:
    """Any media param accepts either."""
    for alone in (uploads.url_in(probe, row.param), uploads.token_in(probe, row.param)):
        if not alone.accepted:
            raise Inconclusive(f"one of them alone was answered {alone.status}")
    _must_be_accepted(uploads.both_in(probe, row.param), "a request with a URL and an upload token in one list")
