"""The mock's page in a real Chromium: what it shows, what it steers, and that nothing which strangers sent gets to run.

Mock, receiver and browser are real, on loopback.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from playwright.sync_api import Browser, Page, expect
from prospec_conformance.mock import serve
from steering import KLING, SPEC, Receiver, Steered, receiving, steered, until, wanting


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as opened:
        yield opened


PATIENCE_MS = 20_000
"""Long enough for a busy machine. Nothing here waits that long but to fail."""
PERIODS_MS = 2_500
"""Long enough for the page to ask again, if it still asks."""
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def browser(launch: Callable[[str], Browser]) -> Iterator[Browser]:
    """A browser with no way off this machine: its proxy is a port where nobody listens."""
    launched = launch("http://127.0.0.1:9")
    yield launched
    launched.close()


@contextmanager
def opened(
    browser: Browser, mock: Steered, token: str | None = None, forgiven: str = "^$", **options: Any
) -> Iterator[Page]:
    """The page, opened with its token or another one.

    An error, a dialog, and a request for anything but the page and its endpoints fail the test. `forgiven` is the
    pattern of what may be on the console.
    """
    wrong: list[str] = []
    endpoints = r"/__mock/(state|clock|balance|reset|\w+\?since=\d+|\w+/\d+/replay)?$"
    ours = re.compile(re.escape(mock.running.base_url) + endpoints)

    def judge(is_wrong: bool, what: str) -> None:
        if is_wrong:
            wrong.append(what)

    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    context.on("request", lambda request: judge(not ours.match(request.url.partition("#")[0]), f"asked: {request.url}"))
    context.on("page", lambda other: judge(other != page, f"opened: {other.url}"))
    page.on("websocket", lambda socket: judge(True, f"asked: {socket.url}"))
    page.on("pageerror", lambda error: judge(True, f"error: {error}"))
    page.on("dialog", lambda dialog: judge(True, f"dialog: {dialog.message}"))
    page.on(
        "console",
        lambda said: judge(said.type in ("error", "warning") and not re.search(forgiven, said.text), said.text),
    )
    page.goto(f"{mock.running.base_url}/__mock/#token={mock.running.config.control_token if token is None else token}")
    yield page
    context.close()
    assert wrong == []


def rows(page: Page, table: str) -> list[list[str]]:
    """The texts of a table's rows, without the details between them."""
    lines = page.locator(f"#{table} tbody tr:not(.more)")
    return [line.locator("td").all_inner_texts() for line in lines.all() if line.is_visible()]


def number_of(page: Page, table: str, count: int) -> None:
    expect(page.locator(f"#{table} tbody tr:not(.more):visible")).to_have_count(count)


def toggle(page: Page, table: str, number: int) -> None:
    page.locator(f"#{table}").get_by_role("button", name=str(number), exact=True).click()


def numbers(mock: Steered, table: str = "requests") -> list[int]:
    return [each["number"] for each in mock.control.get(f"/{table}").json()[table]]


# What it shows


def test_requests_and_deliveries_are_shown_newest_first_with_their_details(
    browser: Browser, receiver: Receiver
) -> None:
    receiver.answers = [500]
    with steered() as mock, opened(browser, mock) as page:
        expect(page.locator("#generations")).to_have_text("none yet")
        mock.ask(wanting(webhook_url=receiver.url))
        mock.ask({**KLING, "params": {"prompt": "x", "duration": 99}})
        until(lambda: len(receiver.came) == 1)
        number_of(page, "requests", 2)
        refused, accepted = rows(page, "requests")
        assert refused[2:] == ["POST", "/v1/generate", "first", "400", "maximum /params/duration"]
        assert accepted[2:] == ["POST", "/v1/generate", "first", "200", "–"]
        assert [int(row[0]) for row in (accepted, refused)] == numbers(mock)
        expect(page.locator("#generations")).to_have_text("completed 1")
        expect(page.locator("#accounts")).to_have_text("first 99.5 · second 100")

        number_of(page, "deliveries", 1)
        [[number, generation, to, state, attempts, _]] = rows(page, "deliveries")
        assert (to, state, attempts) == (receiver.url.partition("?")[0], "pending", "1")
        toggle(page, "deliveries", int(number))
        details = page.locator("#deliveries .more")
        [(body, signature)] = receiver.came
        assert json.loads(body)["generation_id"] == generation
        expect(details.locator("pre")).to_have_text(body.decode())
        expect(details.locator("code")).to_have_text(str(signature))
        expect(details.locator("li")).to_have_text([re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d 500$")])

        # What is under way goes on under the reader's eyes.
        mock.advance(30)
        expect(details.locator("li")).to_have_text([re.compile(" 500$"), re.compile(" 200$")])
        assert rows(page, "deliveries")[0][3:5] == ["delivered", "2"]
        toggle(page, "deliveries", int(number))
        expect(details).to_have_count(0)


TEXT: dict[str, Any] = {"model": "kling-o3", "mode": "text"}
EDIT: dict[str, Any] = {"model": "nano-banana-2", "mode": "edit"}
POINTED: list[tuple[str, str | None, str]] = [
    (json.dumps({**TEXT, "params": {"prompt": "x", "duration": 99}}), '"duration": 99', "maximum"),
    (json.dumps({**TEXT, "params": {"prompt": "x", "duration": 99.0}}), '"duration": 99.0', "maximum"),
    (json.dumps({**TEXT, "params": {}}), '"params": {}', "required /params/prompt"),
    (json.dumps(TEXT), "{", "required /params"),
    (json.dumps({**KLING, "a/b~c é": 1}), '"a/b~c \\u00e9": 1', "additionalProperties"),
    ('{"model":"kling-o3","params":{"prompt":"x","duration":98,"duration":99}}', '"duration": 99', "maximum"),
    (json.dumps({**TEXT, "params": {"prompt": [["x"], {}]}}), '"prompt": [', "type"),
    (json.dumps({**EDIT, "params": {"prompt": "x", "image_urls": ["https://a.example/b", 5]}}), "5", "type"),
    ('"x"', '"x"', "type"),
    ("{no json", None, ""),
]
"""A refused body, the line that is pointed at if one is, and what is said there."""


def test_the_place_of_a_violation_is_pointed_at(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:
        for body, _, _ in POINTED:
            assert mock.api.post("/v1/generate", content=body).status_code == 400, body
        number_of(page, "requests", len(POINTED))
        for number, (body, line, said) in zip(numbers(mock), POINTED, strict=True):
            toggle(page, "requests", number)
            details = page.locator("#requests .more")
            mark = details.locator("mark")
            if line is None:
                expect(details.locator("pre")).to_have_text(body)
                expect(mark).to_have_count(0)
            else:
                expect(mark).to_have_count(1)
                assert mark.inner_text().strip().rstrip(",") == line
                assert mark.get_attribute("data-verdict") == said
            toggle(page, "requests", number)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def pointers(value: Any, pointer: str = "") -> Iterator[str]:
    """The JSON Pointers of a value and of all within it, in the order of its text."""
    yield pointer
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from pointers(inner, f"{pointer}/{key.replace('~', '~0').replace('/', '~1')}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from pointers(inner, f"{pointer}/{index}")


def test_a_body_is_printed_as_python_would_print_it_and_each_line_knows_its_pointer(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:

        @settings(max_examples=150)
        @given(json_values)
        def holds(value: Any) -> None:
            found = page.evaluate("text => lines(text)", json.dumps(value))
            assert "\n".join(line["text"] for line in found) == json.dumps(value, indent=2)
            assert [line["pointer"] for line in found if line["pointer"] is not None] == list(pointers(value))

        holds()


def test_the_requests_are_filtered_by_text_and_by_refusal(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:
        mock.ask()
        mock.ask({**KLING, "params": {"prompt": "another Harbour", "duration": 99}})
        mock.api.get("/v1/balance")
        number_of(page, "requests", 3)
        expect(page.locator("#requests-count")).to_have_text("3")
        page.get_by_label("refused only").check()
        assert [row[5] for row in rows(page, "requests")] == ["400"]
        expect(page.locator("#requests-count")).to_have_text("1 of 3")
        page.get_by_label("refused only").uncheck()
        for wanted, count in (("harbour", 2), ("BALANCE", 1), ("maximum", 1), ("no such text", 0), ("", 3)):
            page.get_by_label("Filter requests by text").fill(wanted)
            assert len(rows(page, "requests")) == count, wanted
        # What comes later is filtered as well.
        page.get_by_label("Filter requests by text").fill("uploads")
        mock.api.post("/v1/uploads/initiate", json={})
        mock.ask()
        expect(page.locator("#requests-count")).to_have_text("1 of 5")


def test_at_most_a_thousand_rows_are_kept(browser: Browser) -> None:
    with steered() as mock:
        for _ in range(10):
            mock.api.get("/v1/balance")
        with opened(browser, mock) as page:
            number_of(page, "requests", 10)
            for _ in range(995):
                mock.api.get("/v1/balance")
            expect(page.locator("#requests tbody tr").first).to_contain_text(str(numbers(mock)[-1]))
            assert page.locator("#requests tbody tr").count() == 1000
            expect(page.locator("#requests-count")).to_have_text("1000")


# Who may see it


def test_a_wrong_token_shows_nothing_and_is_not_tried_again(browser: Browser) -> None:
    with steered() as mock:
        mock.ask()
        for token in ("wrong", "", "%", "%E2%82%AC", mock.running.config.api_key):
            with opened(browser, mock, token, forgiven="403") as page:
                asked: list[str] = []
                expect(page.get_by_label("Control token")).to_be_visible()
                expect(page.get_by_role("main")).to_be_hidden()
                expect(page.get_by_role("alert")).to_have_count(1 if token else 0)
                page.on("request", lambda request, asked=asked: asked.append(request.url))
                page.wait_for_timeout(PERIODS_MS if token == "wrong" else 0)
                assert asked == []
                assert page.locator("tbody tr").count() == 0
        with opened(browser, mock, "wrong", forgiven="403") as page:
            page.get_by_label("Control token").fill(mock.running.config.control_token)
            page.get_by_role("button", name="Open").click()
            number_of(page, "requests", 1)
            expect(page.get_by_role("alert")).to_have_count(0)
            expect(page.get_by_label("Control token")).to_be_hidden()


def test_the_token_leaves_the_address_and_is_known_to_this_tab_alone(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:
        expect(page.get_by_role("main")).to_be_visible()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        assert page.url == f"{mock.running.base_url}/__mock/"
        page.reload()
        expect(page.get_by_role("main")).to_be_visible()
        assert mock.running.config.control_token not in page.content() + "".join(asked)
        assert page.evaluate("[Object.keys(sessionStorage), localStorage.length]") == [["token"], 0]
        # A link with another token, followed in the same tab, is a change of the fragment alone.
        page.evaluate("location.hash = 'token=%20'")
        expect(page.get_by_label("Control token")).to_be_visible()
        assert page.evaluate("sessionStorage.length") == 0


# What it steers


def test_a_replay_sends_the_same_bytes_again(browser: Browser, receiver: Receiver) -> None:
    with steered() as mock, opened(browser, mock, forgiven="400") as page:
        mock.ask(wanting(webhook_url=receiver.url))
        mock.ask(wanting(webhook_url="https://192.0.2.1/hook"))
        until(lambda: len(mock.deliveries()) == 2)
        sent, refused = sorted(mock.deliveries(), key=lambda each: str(each["state"]))
        number_of(page, "deliveries", 2)
        page.get_by_role("button", name=f"Replay delivery {sent['number']}", exact=True).click()
        expect(page.get_by_role("status")).to_have_text(f"Delivery {sent['number']} was sent again: 200.")
        assert len(receiver.came) == 2
        assert receiver.came[0] == receiver.came[1]
        expect(page.locator("#deliveries tr", has_text=sent["generation_id"]).locator("td").nth(4)).to_have_text("2")
        page.get_by_role("button", name=f"Replay delivery {refused['number']}", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("may not be called")


def test_the_buttons_move_the_clock(browser: Browser) -> None:
    def now_s(mock: Steered) -> float:
        return float(mock.control.get("/state").json()["now_s"])

    with steered() as mock, opened(browser, mock) as page:
        for name, seconds in (("1 min", 60), ("1 h", 3600), ("1 day", 86400), ("8 days", 8 * 86400)):
            before, day = now_s(mock), page.locator("#now").inner_text()
            page.get_by_role("button", name=f"+ {name}", exact=True).click()
            expect(page.get_by_role("status")).to_contain_text("It is 2")
            until(lambda before=before, seconds=seconds: now_s(mock) - before >= seconds)
            assert now_s(mock) - before < seconds + 50
            expect(page.locator("#now")).not_to_have_text(day)


def test_a_balance_is_set_or_it_is_explained_why_not(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:
        amount, put = page.get_by_label("Balance in USD"), page.get_by_role("button", name="Set", exact=True)
        amount.fill("0.25")
        put.click()
        expect(page.locator("#accounts")).to_have_text("first 0.25 · second 100")
        assert mock.balance() == Decimal("0.25")
        page.get_by_label("Set the balance of").select_option("second")
        amount.fill("7")
        amount.press("Enter")
        expect(page.locator("#accounts")).to_have_text("first 0.25 · second 7")
    with steered() as mock, opened(browser, mock, forgiven="400") as page:
        page.get_by_label("Balance in USD").fill("lots")
        page.get_by_role("button", name="Set", exact=True).click()
        expect(page.get_by_role("status")).to_contain_text("an amount")
        assert mock.balance() == 100


def test_a_reset_takes_two_clicks_and_empties_the_page(browser: Browser, receiver: Receiver) -> None:
    with steered() as mock, opened(browser, mock) as page:
        mock.ask(wanting(webhook_url=receiver.url))
        number_of(page, "deliveries", 1)
        toggle(page, "requests", numbers(mock)[0])
        reset = page.locator("#reset")
        reset.click()
        expect(reset).to_have_text("Really reset?")
        page.get_by_label("Balance in USD").focus()
        assert reset.inner_text() == "Reset"
        reset.click()
        expect(reset).to_have_text("Reset")  # by itself, after a while
        assert len(numbers(mock)) == 1
        reset.dblclick()
        number_of(page, "requests", 0)
        number_of(page, "deliveries", 0)
        expect(page.locator("tbody tr")).to_have_count(0)
        expect(page.locator("#generations")).to_have_text("none yet")
        assert numbers(mock) == []


# When it asks


def test_it_does_not_ask_while_nobody_looks(browser: Browser) -> None:
    with steered() as mock, opened(browser, mock) as page:
        expect(page.get_by_role("main")).to_be_visible()
        asked: list[str] = []

        def look(is_hidden: bool) -> None:
            page.evaluate(
                "hidden => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true});"
                "document.dispatchEvent(new Event('visibilitychange')); }",
                is_hidden,
            )

        look(True)
        page.wait_for_load_state("networkidle")
        page.on("request", lambda request: asked.append(request.url))
        mock.ask()
        page.wait_for_timeout(PERIODS_MS)
        assert asked == []
        look(False)
        number_of(page, "requests", 1)


def test_it_says_that_the_mock_has_gone_and_goes_on_with_the_next_one(browser: Browser) -> None:
    with ExitStack() as first:
        mock = first.enter_context(steered())
        with opened(browser, mock, forgiven="ERR_CONNECTION|ERR_EMPTY") as page:
            for _ in range(3):
                mock.ask()
            number_of(page, "requests", 3)
            first.close()
            expect(page.get_by_role("alert")).to_contain_text("does not answer")
            assert len(rows(page, "requests")) == 3
            port = httpx2.URL(mock.running.base_url).port or 0
            with serve(replace(mock.running.config, port=port), SPEC):
                # Its numbers begin anew, and may soon have gone past those that the page knows.
                for _ in range(5):
                    httpx2.get(f"{mock.running.base_url}/v1/balance")
                number_of(page, "requests", 5)
                expect(page.get_by_role("alert")).to_have_count(0)
                assert {row[3] for row in rows(page, "requests")} == {"/v1/balance"}


# What strangers send

SCRIPT = "document.title = 'pwned'"
HOSTILE = [
    f'<img src="x" onerror="{SCRIPT}">',
    f"</script></pre></td></table><script>{SCRIPT}</script>",
    f'<svg onload="{SCRIPT}"><style>*{{display:none}}</style><iframe srcdoc="<script>top.{SCRIPT}</script>">',
    f'"><a href="javascript:{SCRIPT}" autofocus>',
    f"${{{SCRIPT}}} {{{{constructor}}}} &lt;b&gt; &#x3c;",
    "\u202e\u2066gnp.exe\u2069 \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 \u200e\u200f\ufeff",
    "w" * 10_000,
    "l\n" * 2_000,
    "__proto__ constructor hasOwnProperty",
    "\U0001f600\u0301\u0000\x1b[31m\x7f",
]


@pytest.mark.parametrize("escaped", [False, True])
def test_hostile_text_is_text(browser: Browser, receiver: Receiver, escaped: bool) -> None:
    with steered() as mock, opened(browser, mock, viewport={"width": 800, "height": 900}) as page:
        for text in HOSTILE:
            for hostile in (
                {**KLING, "params": {"prompt": text}},
                {**KLING, "params": {"prompt": 1, text: text}},
                {**KLING, "model": text},
                {**KLING, text: text},
                text,
            ):
                body = json.dumps(hostile, ensure_ascii=escaped).encode()
                mock.api.post("/v1/generate", content=body, headers={"Content-Type": "application/json"})
            mock.status(quote(text[:200], safe=""))
            mock.ask(wanting(webhook_url=f"{receiver.url.partition('?')[0]}/{text[:50]}"))
        mock.api.post("/v1/generate", content=b"[" * 8_000 + b"]" * 8_000)
        mock.api.post("/v1/generate", content=b'{"\xff\xfe": <script>')
        number_of(page, "requests", len(numbers(mock)))
        number_of(page, "deliveries", len(numbers(mock, "deliveries")))
        page.evaluate("document.querySelectorAll('.open').forEach(button => button.click())")
        shown = page.locator("#requests .more pre").all_text_contents()
        assert any(json.dumps(HOSTILE[0]) in text for text in shown)
        assert any("\\u202e" in text for text in shown)
        assert not any("\u202e" in text for text in shown)
        assert page.evaluate("document.title") == "prospec mock"
        assert page.locator("body :is(a, b, iframe, img, style, svg)").count() == 0
        assert page.locator("script").count() == 1
        # Nothing is wider than its place or swells beyond reason, and the page still works.
        wide = "[...document.querySelectorAll('html, pre')].filter(each => each.scrollWidth > each.clientWidth).length"
        assert page.evaluate(wide) == 0
        assert max(len(text) for text in shown) < 2_000_000
        page.get_by_role("button", name="+ 1 min").click()
        expect(page.get_by_role("status")).to_contain_text("It is 2")


# The policy


@pytest.mark.parametrize("path", ["/__mock/", "/__mock"])
def test_the_page_is_served_to_anybody_under_a_strict_policy(path: str) -> None:
    with steered() as mock:
        answer = httpx2.get(mock.running.base_url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
        policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
        for name in ("script", "style"):
            [content] = re.findall(f"<{name}>(.*?)</{name}>", answer.text, re.DOTALL)
            digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
            assert policy.pop(f"{name}-src") == f"'sha256-{digest}'"
        assert policy.pop("connect-src") == "'self'"
        assert policy.pop("require-trusted-types-for") == "'script'"
        assert policy == dict.fromkeys(
            ("default-src", "base-uri", "form-action", "frame-ancestors", "trusted-types"), "'none'"
        )
        for name, value in (
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cache-control", "no-store"),
        ):
            assert answer.headers[name] == value
        for secret in (mock.running.config.control_token, mock.running.config.api_key):
            assert secret not in answer.text
        assert not re.search(r"https?://|\b(src|href|style|on\w+)=|innerHTML", answer.text)
        assert httpx2.post(mock.running.base_url + path).status_code == 405
        assert httpx2.get(f"{mock.running.base_url}/__mockery").status_code == 404


ATTEMPTS = {
    "script": (
        "require-trusted-types-for",
        "document.body.append(Object.assign(document.createElement('script'), {textContent: CODE}))",
    ),
    "handler": ("require-trusted-types-for", "document.body.setAttribute('onclick', CODE); document.body.click()"),
    "markup": ("require-trusted-types-for", "document.body.innerHTML = '<b>' + CODE"),
    "eval": ("require-trusted-types-for", "setTimeout(() => { try { eval(CODE) } catch {} })"),
    "style": ("style-src-attr", "document.body.setAttribute('style', 'display: none')"),
    "image": ("img-src", "new Image().src = ELSEWHERE"),
    "fetch": ("connect-src", "fetch(ELSEWHERE).catch(() => {})"),
    "frame": ("frame-src", "document.body.append(Object.assign(document.createElement('iframe'), {src: ELSEWHERE}))"),
    "form": (
        "form-action",
        "document.body.appendChild(Object.assign(document.createElement('form'), {action: ELSEWHERE})).submit()",
    ),
    "base": ("base-uri", "document.head.append(Object.assign(document.createElement('base'), {href: ELSEWHERE}))"),
}
"""The directive that stops it, and the code that tries it."""


@pytest.mark.parametrize(("directive", "code"), ATTEMPTS.values(), ids=ATTEMPTS)
def test_what_is_not_the_page_s_own_is_stopped(browser: Browser, receiver: Receiver, directive: str, code: str) -> None:
    with steered() as mock:
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{mock.running.base_url}/__mock/#token={mock.running.config.control_token}")
        expect(page.get_by_role("main")).to_be_visible()
        stopped = page.evaluate(
            f"""elsewhere => new Promise(resolve => {{
                const ELSEWHERE = elsewhere, CODE = "document.title = 'pwned'";
                document.addEventListener("securitypolicyviolation", event => resolve(event.effectiveDirective));
                setTimeout(resolve, {PATIENCE_MS}, "nothing");
                try {{ {code} }} catch {{ }}
            }})""",
            receiver.url,
        )
        assert stopped == directive
        # No locator: it would wait for the form's navigation, which never comes to an end.
        seen = page.evaluate("[document.title, document.getElementById('main').checkVisibility()]")
        assert seen == ["prospec mock", True]
        context.close()


# Who reads it


def pale(page: Page) -> list[str]:
    """Every text of the page whose contrast with its ground is below 4.5."""
    found: list[str] = page.evaluate(
        """() => {
            const parse = colour => colour.match(/[\\d.]+/g).map(Number);
            const luminance = colour => {
                const [r, g, b] = parse(colour).map(value => value / 255)
                    .map(value => value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
                return 0.2126 * r + 0.7152 * g + 0.0722 * b;
            };
            const ground = each => {
                const colour = getComputedStyle(each).backgroundColor;
                return (parse(colour)[3] ?? 1) === 1 ? colour : ground(each.parentElement);
            };
            const low = [];
            for (const each of document.querySelectorAll("body *")) {
                const isText = [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim());
                const parts = isText ? [null, "::before", "::after"] : each.placeholder ? ["::placeholder"] : [];
                for (const part of each.checkVisibility() ? parts : []) {
                    const [dark, light] = [getComputedStyle(each, part).color, ground(each)].map(luminance).sort();
                    const ratio = (Math.max(dark, light) + 0.05) / (Math.min(dark, light) + 0.05);
                    if (ratio < 4.5) low.push(`${each.localName}${part ?? ""} ${ratio}: ${each.textContent}`);
                }
            }
            return low;
        }"""
    )
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_and_used_without_a_mouse(browser: Browser, receiver: Receiver, scheme: Any) -> None:
    receiver.answers = [500]
    with steered() as mock, opened(browser, mock, color_scheme=scheme, viewport={"width": 800, "height": 900}) as page:
        mock.ask(wanting(webhook_url=receiver.url))
        mock.ask(wanting(webhook_url=receiver.url))
        mock.ask({**KLING, "params": {}})
        number_of(page, "deliveries", 2)
        number_of(page, "requests", 3)
        page.get_by_label("refused only").focus()
        page.keyboard.press("Tab")
        opener = page.locator("#requests .open").first
        expect(opener).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#requests mark")).to_be_visible()
        expect(opener).to_have_attribute("aria-expanded", "true")
        expect(opener).to_be_focused()
        page.locator("#deliveries .open").first.press("Enter")
        page.locator("#reset").press("Enter")
        expect(page.locator("#deliveries .more pre")).to_be_visible()
        assert pale(page) == []
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        roles = {"button", "textbox", "searchbox", "checkbox", "combobox", "table", "region", "list"}
        named = [(each["role"]["value"], each.get("name", {}).get("value")) for each in nodes if "role" in each]
        assert [each for each in named if each[0] in roles and not each[1]] == []
        assert len([each for each in named if each[0] in roles]) > 15
        ground = {"light": "rgb(246, 247, 249)", "dark": "rgb(19, 23, 29)"}
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == ground[scheme]
