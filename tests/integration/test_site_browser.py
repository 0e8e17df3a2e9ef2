"""The example's site in a real browser: headless Chromium, a real worker, a real Redis.

Screenshots and the site's logs of a failed test are kept in artifacts/.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from site_process import Site
from support.browser import FLAGS, find_browser

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]

ARTIFACTS = Path(__file__).parents[2] / "artifacts"
TIMEOUT = 10_000  # milliseconds, as Playwright counts

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
expect = playwright.expect


@pytest.fixture(scope="module")
def chromium():
    return find_browser()


@pytest.fixture(scope="module")
def site(chromium, tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    try:
        yield site.wait_ready()
    finally:
        site.close()


@pytest.fixture
def browse(chromium, site, tmp_path, request):
    """Open a browser of its own, with an empty profile; on failure, what it shows is kept."""
    failed_before = request.session.testsfailed
    with playwright.sync_playwright() as driver:
        pages = {}

        def start(name, **options):
            context = driver.chromium.launch_persistent_context(
                tmp_path / f"profile-{name}",
                executable_path=chromium,
                headless=True,
                args=FLAGS,
                base_url=site.url,
                viewport={"width": 1000, "height": 760},
                **options,
            )
            context.set_default_timeout(TIMEOUT)
            page = pages[name] = context.pages[0]
            page.errors = []
            page.on("pageerror", lambda error: page.errors.append(str(error)))
            return page

        try:
            yield start
        finally:
            if request.session.testsfailed > failed_before:
                keep(request.node.name, pages, site)
            for page in pages.values():
                page.context.close()


def keep(name, pages, site):
    folder = ARTIFACTS / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for owner, page in pages.items():
        page.screenshot(path=folder / f"{owner}.png", full_page=True)
        (folder / f"{owner}.html").write_text(page.content())
    shutil.copytree(site.data / "log", folder / "log")


def sign_in(page, name):
    page.goto("/sign-in/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill("demo")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Invoices")).to_be_visible()


def test_an_invoice_is_sent_and_its_status_changes_on_the_page(browse, site):
    page, other = browse("ada"), browse("grace")
    sign_in(page, "ada")
    sign_in(other, "grace")
    row = page.get_by_role("row").filter(has_text="Northern Bikes")
    elsewhere = other.get_by_role("row").filter(has_text="Northern Bikes")
    expect(row).to_contain_text("Draft")
    other.evaluate("window.sameDocument = true")

    row.get_by_role("link").click()
    page.get_by_role("button", name="Send by e-mail").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Sent", timeout=TIMEOUT)
    expect(page.get_by_role("button", name="Send by e-mail")).to_be_hidden()
    # The other browser had the list open all the time, and has not loaded it again.
    expect(elsewhere).to_contain_text("Sent", timeout=TIMEOUT)
    assert other.evaluate("window.sameDocument") is True

    [mail] = (site.data / "mail").iterdir()
    text = mail.read_text()
    assert "To: office@bikes.example.com" in text
    assert 'filename="invoice-' in text
    page.reload()
    expect(page.get_by_text("office@bikes.example.com,")).to_be_visible()
    assert page.errors == other.errors == []


def test_what_cannot_be_sent_says_so_on_the_page(browse):
    page = browse("ada")
    sign_in(page, "ada")
    page.get_by_role("link", name="0005").click()
    page.get_by_role("button", name="Send by e-mail").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Failed", timeout=TIMEOUT)
    page.reload()
    expect(page.get_by_role("button", name="Try again")).to_be_visible()


def test_two_browsers_chat_and_a_third_reads_along(browse):
    ada, grace, reader = browse("ada"), browse("grace"), browse("reader")
    for page, name in ((ada, "ada"), (grace, "grace")):
        sign_in(page, name)
    for page in (ada, grace, reader):
        page.goto("/chat/tea-break/")
        expect(page.locator("#connection")).to_have_text("Connected")
    expect(ada.get_by_text("Nothing has been said here yet.")).to_be_visible()

    ada.get_by_label("Message", exact=True).fill("Tea? <b>Now</b>?")
    ada.get_by_role("button", name="Send").click()
    for page in (grace, reader):
        message = page.get_by_role("log").get_by_role("listitem")
        expect(message).to_have_text("adaTea? <b>Now</b>?")
    grace.get_by_label("Message", exact=True).fill("Five minutes.")
    grace.get_by_label("Message", exact=True).press("Enter")
    own, reply = ada.get_by_role("log").get_by_role("listitem").all()[0], ada.get_by_text("Five minutes.")
    expect(reply).to_be_visible()
    expect(own).to_have_class("own")

    expect(reader.get_by_label("Message", exact=True)).to_have_count(0)
    reader.reload()  # the history
    expect(reader.get_by_role("log").get_by_role("listitem")).to_have_count(2)
    assert ada.errors == grace.errors == reader.errors == []


def test_an_idle_page_stays_connected(browse):
    """Longer than the five seconds after which redis-py 8 ends a blocking read by default."""
    page = browse("reader")
    page.add_init_script(
        "window.closed_sockets = 0; const Real = WebSocket; window.WebSocket = class extends Real {"
        " constructor(...a) { super(...a); this.addEventListener('close', () => window.closed_sockets++); } }"
    )
    page.goto("/chat/lobby/")
    expect(page.locator("#connection")).to_have_text("Connected")
    page.wait_for_timeout(7000)
    assert page.evaluate("window.closed_sockets") == 0
