"""The page of the report in a real browser, opened as a file: filter, sort, keyboard, colours, a phone, no network."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from support.audit_pages import small_audit
from support.browser import FLAGS, find_browser
from support.report_pages import large_report, project_folder, small_report

from pytest_backchannel.questions.report.page.rendering import render, render_audit

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
LOADING = 60_000  # milliseconds; of the large page, on a machine that does much else
SIZES = {"width": 1100, "height": 800}

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = playwright.expect


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=find_browser(), headless=True, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The addresses of the pages."""
    folder = project_folder(tmp_path_factory.mktemp("project"))
    audit = small_audit(folder)
    found = {}
    for name, text in {
        "small": render(small_report(), folder),
        "large": render(large_report(), folder),
        "both": render(replace(small_report(), audit=audit), folder),
        "audit": render_audit(audit, folder),
    }.items():
        file = folder / f"{name}.html"
        file.write_text(text, encoding="utf-8")
        found[name] = file.as_uri()
    return found


@pytest.fixture
def visit(browser, written, request):
    """Open a page; at the end the browser has complained of nothing, and asked for nothing else."""
    failed_before = request.session.testsfailed
    contexts, said, asked = [], [], []

    def start(name="small", hash="", **options):
        context = browser.new_context(**{"viewport": SIZES, "reduced_motion": "reduce", **options})
        contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda one: asked.append(one.url.partition("#")[0]))
        page.goto(written[name] + hash, timeout=LOADING)
        return page

    yield start
    if request.session.testsfailed > failed_before:
        ARTIFACTS.mkdir(exist_ok=True)
        name = re.sub(r"\W+", "-", request.node.name)
        for page in (page for context in contexts for page in context.pages):
            page.screenshot(path=ARTIFACTS / f"{name}.png")
    for context in contexts:
        context.close()
    assert said == []
    assert {url for url in asked if not url.startswith("data:")} <= set(written.values())


def names(page):
    return page.locator("table.items tbody:visible th").all_inner_texts()


def shown(page, section):
    return page.locator(f"{section} [data-row]:visible")


def is_focused(locator):
    return locator.evaluate("element => element === document.activeElement")


# --------------------------------------------------------------------- filter


def test_the_filter_keeps_its_state_in_the_address(visit):
    page = visit()
    assert len(names(page)) == 6
    page.get_by_label("Filter by text").fill("ship")
    assert [name for name in names(page) if "ship" not in name] == []
    assert "q=ship" in page.url
    page.get_by_label("Filter by text").fill("")
    page.get_by_role("combobox", name="Kind").select_option("Tasks")
    page.get_by_role("combobox", name="State").select_option("Open")
    assert len(names(page)) == 3
    expect(shown(page, "#gaps")).to_have_count(4)
    assert page.url.endswith("#kind=task&state=open")
    page.get_by_label("Filter by text").fill("nothing is like this")
    for text in ("No gap", "No item", "No test", "No failed test"):
        expect(page.get_by_text(f"{text} is like this.")).to_be_visible()
    expect(page.locator("#filter-said")).to_have_text(
        re.compile("^0 of 7 gaps, 0 of 2 failed, 0 of 6 items, 0 of 5 tests")
    )


def test_an_address_brings_its_filter_its_order_and_its_place(visit):
    page = visit(hash="#kind=task&sort=-tests")
    assert names(page)[0].endswith("ship")
    assert len(names(page)) == 3
    expect(page.locator("th[data-sort=tests]")).to_have_attribute("aria-sort", "descending")
    item = page.locator("tbody[data-name=bill]")
    other = visit(hash=f"#{item.get_attribute('id')}")
    expect(other.locator("tbody[data-name=bill] .more")).to_be_visible()


def test_a_kind_of_the_figures_is_a_filter(visit):
    page = visit()
    page.locator(".kinds").get_by_role("link", name="Routes").click()
    assert len(names(page)) == 1
    expect(page.get_by_role("combobox", name="Kind")).to_have_value("route")


def test_a_link_to_what_the_filter_hides_shows_it_and_back_hides_it(visit):
    page = visit(hash="#q=twice&kind=task&state=open")
    gap = page.locator("#gaps details.gap:visible").first
    gap.locator("summary").click() if gap.get_attribute("open") is None else None
    gap.get_by_role("link", name="test_retry[3]").click()
    test = page.locator("li.test", has_text="test_retry[3]")
    expect(test).to_be_visible()
    assert is_focused(test)
    assert "at=t" in page.url
    page.go_back()
    expect(page.get_by_label("Filter by text")).to_have_value("twice")


# ----------------------------------------------------------------------- sort


def test_the_columns_sort(visit):
    page = visit()
    head = page.get_by_role("columnheader", name="Name")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    ascending = names(page)
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "descending"
    assert names(page) == ascending[::-1]
    assert page.locator("[aria-sort]").count() == 1
    page.get_by_role("columnheader", name="Reached").get_by_role("button").click()
    shares = page.locator("table.items tbody").evaluate_all("all => all.map(one => Number(one.dataset.reached))")
    assert shares == sorted(shares)
    assert page.url.endswith("#sort=reached")


# ------------------------------------------------------------------- keyboard


def test_a_slash_focuses_the_filter_and_escape_empties_it(visit):
    page = visit()
    page.keyboard.press("/")
    text = page.get_by_label("Filter by text")
    assert is_focused(text)
    page.keyboard.type("a/b")
    expect(text).to_have_value("a/b")
    page.keyboard.press("Escape")
    expect(text).to_have_value("")


@pytest.mark.parametrize("name", ["small", "both"])
def test_every_control_is_reached_by_tab_and_its_focus_is_seen(visit, name):
    page = visit(name)
    reached = []
    for _ in range(200):
        page.keyboard.press("Tab")
        found = page.evaluate(
            "() => { const it = document.activeElement;"
            " const style = getComputedStyle(it.matches('.step') ? it.firstElementChild : it);"
            " it.dataset.visited = ''; return [it.tagName, style.outlineStyle, style.outlineWidth]; }"
        )
        if found[0] == "BODY":
            break
        reached.append(found)
    assert {tag for tag, *_ in reached} >= {"A", "INPUT", "SELECT", "BUTTON", "SUMMARY", "LI"}
    assert [one for one in reached if one[1] == "none" or one[2] == "0px"] == []
    missed = page.locator("a:visible, button:visible, select:visible, input:visible, summary:visible").evaluate_all(
        "all => all.filter(one => !('visited' in one.dataset)).map(one => one.outerHTML)"
    )
    assert missed == []


def test_arrow_keys_move_in_a_story_and_fold_it(visit):
    page = visit()
    story = page.get_by_role("tree", name="What happened behind the request")
    steps = {name: story.locator(f".step[aria-label*='{name}']") for name in ("request", "RETRY", "group", "frame")}
    request, retry, group, frame = steps.values()
    enqueued = story.get_by_role("treeitem", name="enqueued ship")
    request.focus()
    page.keyboard.press("ArrowDown")
    assert is_focused(enqueued)
    page.keyboard.press("ArrowRight")
    assert is_focused(retry)
    page.keyboard.press("ArrowLeft")
    assert is_focused(enqueued)
    page.keyboard.press("ArrowLeft")
    expect(retry).to_be_hidden()
    expect(enqueued).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("ArrowDown")
    assert is_focused(group)
    page.keyboard.press("End")
    assert is_focused(frame)
    page.keyboard.press("Home")
    page.keyboard.press("ArrowLeft")
    expect(enqueued).to_be_hidden()
    page.keyboard.press("ArrowDown")
    assert is_focused(frame)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(enqueued).to_be_visible()
    assert story.locator("[tabindex='0']").count() == 1


def test_a_story_folds_by_click(visit):
    page = visit()
    line = page.locator(".story .line", has_text="enqueued ship(1)")
    retry = page.locator(".story .line", has_text="RETRY ship")
    line.click()
    expect(retry).to_be_hidden()
    page.locator("[data-unfold='#failed']").click()
    expect(retry).to_be_visible()
    page.locator(".story").get_by_role("link", name="shop/tasks.py:6").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    expect(retry).to_be_visible()


def test_an_item_unfolds_by_click_and_by_key(visit):
    page = visit()
    item = page.locator("tbody[data-name=bill]")
    button, more = item.get_by_role("button", name="bill"), item.locator(".more")
    expect(more).to_be_hidden()
    button.press("Enter")
    expect(more).to_be_visible()
    expect(button).to_have_attribute("aria-expanded", "true")
    item.locator("td").first.click()
    expect(more).to_be_hidden()
    button = page.locator("[data-unfold='#items']")
    button.click()
    assert page.locator("tbody .more:visible").count() == 6
    expect(button).to_have_text("Fold all")
    button.click()
    assert page.locator("tbody .more:visible").count() == 0
    expect(page.locator("[data-unfold='#failed']")).to_have_text("Fold all")


# ---------------------------------------------------------------- code, copies


def test_a_gap_shows_its_code_in_place(visit):
    page = visit()
    page.locator("#gaps").get_by_role("link", name="shop/tasks.py:3").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("@shared_task(acks_late=True, autoretry_for=(OSError,))")
    expect(dialog.locator(".here")).to_have_text(re.compile("^3@shared_task"))
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()


def test_the_test_to_write_is_copied(visit):
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    gap = page.locator("#gaps details.gap[open]").first
    gap.get_by_role("button", name="Copy").click()
    expect(gap.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == gap.locator("code").text_content()
    assert copied.startswith(("def test_", "async def test_"))


def test_it_is_copied_where_there_is_no_clipboard(visit):
    page = visit()
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    button = page.locator("#gaps button.copy:visible").first
    button.click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()


# ------------------------------------------------------------------ the audit


def audited(page, word):
    return page.locator("#audit details.gap", has=page.locator("summary .verdict", has_text=re.compile(f"^{word}$")))


def test_an_audit_is_filtered_and_shows_its_code(visit):
    page = visit("audit")
    expect(shown(page, "#audit")).to_have_count(8)
    page.get_by_label("Filter by text").fill("ship")
    expect(audited(page, "BREAKS")).to_be_visible()
    expect(audited(page, "NOT AUDITED")).to_be_hidden()
    expect(page.locator("#filter-said")).to_have_text("7 of 8 audit, 3 of 3 sends")
    page.get_by_label("Filter by text").fill("nothing is like this")
    expect(page.get_by_text("No audited task is like this.")).to_be_visible()
    page.keyboard.press("Escape")
    audited(page, "BREAKS").get_by_role("link", name="shop/tasks.py:4").click()
    expect(page.get_by_role("dialog").locator(".here")).to_have_text(re.compile("^4def ship"))


def test_the_test_of_a_finding_is_copied(visit):
    page = visit("audit", permissions=["clipboard-read", "clipboard-write"])
    cause = audited(page, "BREAKS").locator(".cause").first
    expect(cause.locator("code")).to_be_hidden()
    cause.get_by_text("The test to write").click()
    cause.get_by_role("button", name="Copy").click()
    expect(cause.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").startswith("def test_ship_redelivered(db, task_queue):")


def test_an_audit_beside_the_report_leads_to_its_parts_and_back(visit):
    page = visit("both")
    audited(page, "NO EFFECT SEEN").locator("summary").first.click()
    audited(page, "BREAKS").get_by_role("link", name="ship", exact=True).click()
    item = page.locator("tbody[data-name=ship]")
    expect(item.locator(".more")).to_be_visible()
    item.get_by_role("link", name="BREAKS").click()
    assert is_focused(audited(page, "BREAKS").locator("summary").first)
    page.get_by_role("combobox", name="Kind").select_option("Routes")
    expect(shown(page, "#audit")).to_have_count(0)
    expect(shown(page, "#sends")).not_to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_verdict_is_green(visit, scheme):
    page = visit("both", color_scheme=scheme)
    colours = page.locator("#audit .verdict").evaluate_all("all => all.map(one => getComputedStyle(one).color)")
    reached = page.locator(".state.reached").first.evaluate("one => getComputedStyle(one).color")
    assert colours
    assert reached not in colours


# --------------------------------------------------- colours, phone, paper, script


def background(page):
    return page.evaluate("getComputedStyle(document.body).backgroundColor")


def test_light_and_dark_follow_the_system_or_the_switch(visit):
    light, dark = background(visit(color_scheme="light")), background(page := visit(color_scheme="dark"))
    assert light != dark
    page.get_by_role("combobox", name="Colours").select_option("Light")
    assert background(page) == light
    page.reload()
    assert background(page) == light
    page.get_by_role("combobox", name="Colours").select_option("◐ Auto")
    assert background(page) == dark


@pytest.mark.parametrize("name", ["small", "large", "both", "audit"])
def test_on_a_phone_nothing_is_wider_than_it(visit, name):
    page = visit(name, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True)
    for button in page.locator("[data-unfold]:visible").all() if name != "large" else ():
        button.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    outside = page.locator("main *:visible, header *:visible").evaluate_all(
        "all => all.filter(one => !one.closest('pre, .story, .unseen') && one.getBoundingClientRect().right > 361)"
        ".map(one => one.outerHTML.slice(0, 100))"
    )
    assert outside == []


def test_on_paper_all_is_unfolded_and_no_control_is_seen(visit):
    page = visit()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    expect(page.locator("button:visible")).to_have_count(0)
    assert page.locator("details:not([open])").count() == 0
    expect(page.locator("#source")).to_be_visible()
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.locator("details:not([open])").count() > 0


def test_without_script_it_is_a_list_that_can_be_read(visit):
    page = visit(java_script_enabled=False)
    expect(page.locator("form.filter")).to_be_hidden()
    assert page.locator("button:visible").count() == 0
    assert page.locator("tbody .more:visible").count() == 6
    expect(page.locator("#source")).to_be_visible()
    expect(page.locator(".story")).to_contain_text("FAILURE ship")
    expect(page.locator(".story .line", has_text="RETRY ship")).to_be_visible()


def test_a_large_page_filters_while_one_types(visit):
    page = visit("large")
    took = page.evaluate(
        "() => { const text = document.getElementById('filter-text'); const start = performance.now();"
        " for (const word of ['t', 'ta', 'task_1', 'task_19']) {"
        " text.value = word; text.dispatchEvent(new Event('input')); document.body.offsetHeight; }"
        " return (performance.now() - start) / 4; }"
    )
    print(f"{took:.0f} ms a letter")
    assert took < 1500, f"{took:.0f} ms a letter"
    assert 0 < shown(page, "#items").count() < 40
