"""report.html in a real Chromium, from the disk: what it shows, that a keyboard is enough, that it stays silent.

Nothing that a server said gets to run or to call anybody.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect
from prospec_conformance.implementation import Target
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.run import Options, run, write
from test_report import HOSTILE, SPEC, report_of

PATIENCE_MS = 20_000
"""Long enough for a busy machine. Nothing here waits that long but to fail."""
MAX_BYTES = 1_000_000
FAULTS = frozenset({"PARAM-05-duration-16", "ERR-03-no-code", "AUTH-03-basic-let-in"})
expect.set_options(timeout=PATIENCE_MS)
LURES = (
    *HOSTILE[:-1],
    '"><img src="http://127.0.0.1:9/x" onerror="alert(2)">',
    "<iframe src='javascript:alert(3)'></iframe><style>body{display:none}</style>",
    "<link rel=prefetch href=http://127.0.0.1:9/y><meta http-equiv=refresh content='0;http://127.0.0.1:9/z'>",
    "__DOCUMENT__ __POLICY__ </title></details></table>",
)


@pytest.fixture(scope="module")
def browser(launch: Callable[[str], Browser]) -> Iterator[Browser]:
    """With no way off this machine: its proxy is a port where nobody listens."""
    launched = launch("http://127.0.0.1:9")
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a run with findings."""
    with serve(MockConfig(faults=FAULTS), SPEC) as server:
        target = Target(server.base_url, server.config.api_key, is_mock=True)
        options = Options(seed=1, areas=frozenset({"AUTH", "PARAM", "ERR"}), examples=0, confirms=True)
        report = run(SPEC, target, options, say=lambda line: None)
    return write(report, tmp_path_factory.mktemp("report"))


@contextmanager
def opened(browser: Browser, path: Path, **options: Any) -> Iterator[Page]:
    """The page. Anything on its console, an error, a dialog, and a request for anything but the file fail the test."""
    wrong: list[str] = []
    context = browser.new_context(**options)
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    context.on("request", lambda request: request.url == path.as_uri() or wrong.append(f"asked: {request.url}"))
    context.on("page", lambda other: other == page or wrong.append(f"opened: {other.url}"))
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    page.on("dialog", lambda dialog: wrong.append(f"dialog: {dialog.message}"))
    page.on("console", lambda said: wrong.append(said.text))
    page.goto(path.as_uri())
    yield page
    context.close()
    assert wrong == []


def test_it_shows_the_matrix_the_requirements_and_the_evidence(browser: Browser, judged: Path) -> None:
    assert judged.stat().st_size < MAX_BYTES
    with opened(browser, judged) as page:
        expect(page.locator("#matrix tbody tr")).to_have_count(
            len({(model.id, mode.id) for model, mode in shown_modes(page)})
        )
        page.get_by_role("button", name="seedance-2-fast · text PARAM-05: failed").click()
        expect(page.locator("#model")).to_have_value("seedance-2-fast")
        opened_ = page.locator("details.each[open]")
        expect(opened_).to_have_count(1)
        expect(opened_.locator("summary").first).to_be_focused()
        opened_.get_by_text("Evidence").first.click()
        expect(opened_).to_contain_text("curl -sS -i -X POST")
        expect(opened_).to_contain_text("$PROSPOLABS_API_KEY")
        expect(opened_).to_contain_text("Tried again: confirmed")
        expect(opened_).to_contain_text("--replay PARAM-05-")
        expect(page.locator("#readings")).to_contain_text("GAP-03")
        expect(page.locator("#notice")).to_be_hidden()


def shown_modes(page: Page) -> list[tuple[Any, Any]]:
    """The modes that the document has verdicts of."""
    pairs = page.evaluate(
        """JSON.parse(document.getElementById("report").textContent).requirements
        .flatMap((each) => each.verdicts).filter((each) => each.model).map((each) => [each.model, each.mode])"""
    )
    return [(model, model.mode(mode)) for id, mode in pairs if (model := SPEC.model(id))]


def test_filters_leave_what_was_asked_for(browser: Browser, judged: Path) -> None:
    with opened(browser, judged) as page:
        boxes = page.locator("details.each:visible")
        whole = boxes.count()
        page.select_option("#outcome", "failed")
        for outcome in boxes.evaluate_all("all => all.map((each) => each.dataset.outcome)"):
            assert outcome == "failed"
        assert 0 < boxes.count() < whole
        page.select_option("#area", "AUTH")
        expect(boxes).to_have_count(1)
        expect(page.locator("#requirements h3:visible")).to_have_text(["AUTH"])
        page.locator("#clear").click()
        expect(boxes).to_have_count(whole)
        page.fill("#text", "duration")
        expect(page.locator("#shown")).to_contain_text(f"of {whole}")
        assert 0 < boxes.count() < whole
        page.fill("#text", "nothing has this in it")
        expect(boxes).to_have_count(0)
        page.locator("#clear").click()
        page.locator("#counts button.failed").click()
        expect(page.locator("#outcome")).to_have_value("failed")
        page.locator("#clear").click()
        page.select_option("#model", "kling-o3")
        page.locator("details.each:visible summary", has_text="PARAM-03").click()
        expect(page.locator("details.each[open] .place").first).to_be_visible()
        places = page.locator("details.each[open] .place").all_text_contents()
        assert all(place.startswith("kling-o3 ") for place in places)


def test_a_keyboard_is_enough(browser: Browser, judged: Path) -> None:
    """From the top to a piece of evidence, and over the matrix in one stop."""
    with opened(browser, judged) as page:
        page.keyboard.press("Tab")
        expect(page.locator("#counts button").first).to_be_focused()
        for _ in range(5):
            page.keyboard.press("Tab")
        expect(page.locator("#outcome")).to_be_focused()
        page.keyboard.type("failed")
        expect(page.locator("#outcome")).to_have_value("failed")
        while page.evaluate("!document.activeElement.closest('#matrix')"):
            page.keyboard.press("Tab")
        first = page.evaluate("document.activeElement.ariaLabel ?? document.activeElement.className")
        if first == "wide":  # a box that scrolls is a stop of its own
            page.keyboard.press("Tab")
        names = []
        for key in ("ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
            page.keyboard.press(key)
            names.append(page.evaluate("document.activeElement.ariaLabel"))
        assert all(names)
        assert len(set(names)) >= 3
        assert page.locator("#matrix button[tabindex='0']").count() == 1
        page.keyboard.press("Tab")
        assert page.evaluate("!document.activeElement.closest('#matrix')")
        summary = page.locator("details.each:visible > summary").first
        while page.evaluate("document.activeElement.tagName") != "SUMMARY":
            page.keyboard.press("Tab")
        expect(summary).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("details.each[open] .more summary").first).to_be_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(page.locator("details.each[open] pre").first).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(browser: Browser, judged: Path, scheme: Any) -> None:
    """Every text has the contrast that WCAG AA asks for, every control a name."""
    with opened(browser, judged, color_scheme=scheme) as page:
        page.locator("#counts button.failed").click()
        for box in page.locator("details.each:visible > summary").all():
            box.click()
        for box in page.locator("details.each[open] .more summary").all():
            box.click()
        assert page.evaluate(PALE) == []
        nodes = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
        named = [(each["role"]["value"], each.get("name", {}).get("value")) for each in nodes if "role" in each]
        roles = {"button", "searchbox", "combobox", "region"}
        assert [each for each in named if each[0] in roles and not each[1]] == []
        grounds = {"light": "rgb(246, 247, 249)", "dark": "rgb(19, 23, 29)"}
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == grounds[scheme]


PALE = """() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).map(Number).map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        for (let each = element; each; each = each.parentElement) {
            const colour = getComputedStyle(each).backgroundColor;
            if (!colour.endsWith(", 0)") && colour !== "transparent") return colour;
        }
        return "rgb(255, 255, 255)";
    };
    const low = [];
    for (const each of document.body.querySelectorAll("*")) {
        const hasText = [...each.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!hasText || !each.checkVisibility() || ["SCRIPT", "OPTION"].includes(each.tagName)) continue;
        const pair = [light(getComputedStyle(each).color), light(ground(each))].sort((a, b) => b - a);
        const ratio = (pair[0] + 0.05) / (pair[1] + 0.05);
        if (ratio < 4.5) low.push(`${each.tagName}.${each.className} ${ratio.toFixed(2)} ${each.textContent}`);
    }
    return low;
}"""


def test_it_prints_its_findings_opened(browser: Browser, judged: Path) -> None:
    with opened(browser, judged) as page:
        page.emulate_media(media="print")
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        expect(page.locator("#filters")).to_be_hidden()
        expect(page.locator("details.each[data-outcome=failed] pre").first).to_be_visible()
        assert page.pdf()[:5] == b"%PDF-"


def test_what_a_server_said_does_nothing(browser: Browser, tmp_path: Path) -> None:
    path = write(report_of(*LURES), tmp_path)
    assert path.stat().st_size < MAX_BYTES
    with opened(browser, path) as page:
        expect(page.locator("details.each")).to_have_count(len(SPEC.requirements))
        for box in page.locator("details.each[data-outcome=failed] > summary").all():
            box.click()
        for box in page.locator("details.each[open] .more summary").all():
            box.click()
        expect(page.locator("details.each[open]").first).to_contain_text("<script>alert(1)</script>")
        assert page.locator("iframe, img, link, #requirements script, #requirements style").count() == 0
        assert page.evaluate("document.scripts.length") == 2
        text = page.locator("#requirements").inner_text()
        assert not [sign for sign in "\u202e\u2066\x1b\x00\u2028" if sign in text]
        page.wait_for_timeout(500)


def test_an_unfinished_run_says_so(browser: Browser, tmp_path: Path) -> None:
    with opened(browser, write(report_of("x", complete=False), tmp_path)) as page:
        expect(page.locator("#notice")).to_be_visible()


def test_the_policy_lets_its_own_script_run_and_no_other(browser: Browser, judged: Path, tmp_path: Path) -> None:
    text = judged.read_text("utf-8")
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; ")
    assert f"'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    changed = tmp_path / "changed.html"
    changed.write_text(text.replace("<script>\n", "<script>\nwindow.changed = true;\n", 1), "utf-8")
    page = browser.new_page()
    page.goto(changed.as_uri())
    assert page.evaluate("window.changed") is None
    page.close()
