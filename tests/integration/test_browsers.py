"""A browser reads what the test has written and not committed: `asgi_server` by Playwright and by Selenium."""

from __future__ import annotations

import pytest
from support.browser import FLAGS, find_browser, find_driver

pytestmark = pytest.mark.celery_integration


@pytest.fixture
def site(project):
    """One page: the number of orders, and what came back over a WebSocket."""
    project.write(
        "config/urls.py",
        """
        from django.http import HttpResponse
        from django.urls import path
        from shop.models import Order

        def page(request):
            return HttpResponse(f"<title>orders</title><p id=count>{Order.objects.count()}</p><p id=said></p><script>"
                "const socket = new WebSocket(`ws://${location.host}/ws/echo/`);"
                "socket.onopen = () => socket.send(JSON.stringify({a: 1}));"
                "socket.onmessage = event => document.getElementById('said').textContent = event.data;</script>")

        urlpatterns = [path("", page)]
        """,
    )
    return project


def test_playwright(site):
    result = site.test(
        f"""
        import pytest
        from playwright.async_api import async_playwright, expect
        from shop.models import Order

        @pytest.mark.asyncio
        async def test_it(asgi_server, db):
            await Order.objects.acreate(reference="A")
            async with async_playwright() as playwright:
                browser = await playwright.chromium.launch(executable_path={find_browser()!r}, args={FLAGS!r})
                page = await browser.new_page()
                await page.goto(asgi_server.url)
                await expect(page.locator("#count")).to_have_text("1")
                await expect(page.locator("#said")).to_have_text('{{"a": 1}}')
                await browser.close()
        """,
        "-W",
        "ignore::ResourceWarning",
    )
    result.assert_outcomes(passed=1)


SELENIUM = """
    import time
    import pytest
    from selenium import webdriver
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.expected_conditions import text_to_be_present_in_element
    from selenium.webdriver.support.wait import WebDriverWait
    from shop.models import Order
    from websockets.sync.client import connect

    @pytest.fixture(scope="module")
    def browser(tmp_path_factory):
        options = webdriver.ChromeOptions()
        options.binary_location = BROWSER
        for flag in (*FLAGS, "--headless", f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
            options.add_argument(flag)
        browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(executable_path=DRIVER))
        yield browser
        browser.quit()

    def shows(browser, element, text):
        WebDriverWait(browser, 10).until(text_to_be_present_in_element((By.ID, element), text))

    def test_a_page_and_a_websocket_in_the_tests_own_transaction(browser, asgi_server, db):
        Order.objects.create(reference="A")
        browser.get(asgi_server.url)
        assert browser.title == "orders"
        assert browser.find_element(By.ID, "count").text == "1"
        shows(browser, "said", '{"a": 1}')

    def test_the_next_test_is_clean(browser, asgi_server, db):
        browser.get(asgi_server.url)
        assert browser.find_element(By.ID, "count").text == "0"

    def test_its_waits_take_real_time_where_time_is_virtual(browser, asgi_server, db, virtual_clock):
        browser.get(asgi_server.url)
        shows(browser, "said", '{"a": 1}')
        before, start = virtual_clock.time(), time.perf_counter()
        with pytest.raises(TimeoutException):
            WebDriverWait(browser, 0.6, poll_frequency=0.2).until(lambda browser: False)
        assert time.perf_counter() - start >= 0.6
        assert virtual_clock.time() == before and virtual_clock.sleeps == []
"""


def test_selenium(site, monkeypatch):
    pytest.importorskip("selenium", reason="Selenium is not installed: pip install selenium")
    driver, browser = find_driver()
    # Both programs are named, so there is nothing to look for; should it yet, then not on the net.
    monkeypatch.setenv("SE_OFFLINE", "true")
    result = site.test(
        SELENIUM.replace("DRIVER)", f"{driver!r})")
        .replace("= BROWSER", f"= {browser!r}")
        .replace("*FLAGS", f"*{FLAGS!r}")
    )
    result.assert_outcomes(passed=3)


@pytest.mark.parametrize("ci", ["", "true"])
@pytest.mark.parametrize(
    ("there", "remedy"),
    [({"chromium": 156}, "apt-get install chromium-driver"), ({"chromedriver": 156}, "apt-get install chromium")],
    ids=["no driver", "no browser"],
)
def test_what_is_missing_skips_with_the_remedy_and_fails_in_a_ci(programs, monkeypatch, ci, there, remedy):
    programs(there)
    monkeypatch.setenv("CI", ci)
    with pytest.raises(pytest.fail.Exception if ci else pytest.skip.Exception, match=remedy):
        find_driver()


def test_the_browser_is_the_one_that_the_driver_drives(programs, monkeypatch):
    folder = programs({"chromedriver": 156, "chromium": 158, "google-chrome": 156})
    assert find_driver() == (f"{folder}/chromedriver", f"{folder}/google-chrome")
    monkeypatch.setenv("CI", "")
    programs({"chromedriver": 150})
    with pytest.raises(pytest.skip.Exception, match="drives version 150 alone, and .*chromium is 158"):
        find_driver()


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Put programs that only tell their version on an otherwise empty PATH."""
    from support import browser

    monkeypatch.delenv("CHROMEWEBDRIVER", raising=False)
    monkeypatch.setattr(
        browser,
        "find_binary",
        lambda *names, **_: next((str(tmp_path / name) for name in names if (tmp_path / name).exists()), None),
    )

    def put(versions):
        for name, version in versions.items():
            program = tmp_path / name
            program.write_text(f"#!/bin/sh\necho {name} {version}.0.8078.79 built on Debian\n")
            program.chmod(0o755)
        return tmp_path

    return put
