"""Uses the page of a running jackfield as a person does, in headless Chromium, and checks what is
seen. Ends with an error at the first thing that is not as it should be; prints a line a step.

The process runs the pipeline `trades` of the system tests, with a source, two topics and a sink, and
one connector more that has failed.
"""

import argparse
import os
import pathlib
import re
import urllib.parse

from playwright.sync_api import expect, sync_playwright

import page_checks

# Longer than any single step takes on a busy machine.
PATIENCE_MS = 120_000
DESKTOP = {"width": 1280, "height": 800}
PHONE = {"width": 375, "height": 812}


class Browser:
    """A browser, and all that its pages say and ask for."""

    def __init__(self, chromium, args):
        self.args = args
        self.chromium = chromium
        self.errors = []
        self.asked = []

    def page(self, size=DESKTOP, token=True, **options):
        """A new page, signed in by the link that `jackfield run` prints."""
        context = self.chromium.new_context(viewport=size, **options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(page_checks.COLLECT_VIOLATIONS)
        page = context.new_page()
        page.on("console", lambda said: said.type == "error" and self.errors.append(said.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        fragment = f"#token={self.args.token}" if token else ""
        page.goto(f"{self.args.url}/{fragment}")
        return page

    def done(self, page):
        """The page is left; nothing went wrong in it that nobody saw."""
        violations = page.evaluate("window.violations")
        assert violations == [], f"the policy was violated: {violations}"
        page.context.close()
        assert self.errors == [], f"the console has errors: {self.errors}"

    def shot(self, page, name):
        page.screenshot(path=f"{self.args.screenshots}/{name}.png", full_page=True)


def state(page):
    return page.locator(".connector .head .chip")


def open_connector(page, name):
    page.locator(f"a.name:text-is('{name}')").click()
    expect(page.locator("h1")).to_have_text(name)


def sign_in(browser):
    """Whoever comes without a token is asked for it; a wrong one is refused."""
    page = browser.page(token=False)
    field = page.get_by_label("Admin token")
    expect(field).to_be_focused()
    browser.shot(page, "sign-in")
    field.fill("a wrong one")
    field.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not the token")
    page.get_by_label("Admin token").fill(browser.args.token)
    page.get_by_role("button", name="Sign in").click()
    expect(page.locator(".panel.source").first).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Admin token")).to_be_visible()
    assert page.evaluate("sessionStorage.length") == 0
    # The browser says of each 401 that it was one; nothing else went wrong.
    assert browser.errors and all("401" in error for error in browser.errors), browser.errors
    browser.errors.clear()
    browser.done(page)


def overview(browser):
    """Connectors, topics, cords and live rates; the token is gone from the address."""
    page = browser.page(color_scheme="light")
    for name in ["trades-source", "trades-lake", browser.args.failed]:
        expect(page.locator(f"a.name:text-is('{name}')")).to_be_visible()
    expect(page.locator(".panel.topic .name", has_text="binance.spot.trade")).to_be_visible()
    assert browser.args.token not in page.url, page.url
    for wire in ["trades-source binance.spot.trade", "trades-lake binance.spot.trade"]:
        expect(page.locator(f"[data-wire='{wire}'] text")).to_have_text(re.compile(r"^[1-9][\d,.]*/s$"))
    expect(page.locator("[data-wire='trades-source binance.spot.gap']")).to_be_visible()
    failed = page.locator(f".panel[data-name='{browser.args.failed}']")
    expect(failed.locator(".chip")).to_have_text("Failed")
    page_checks.accessible(page)
    browser.shot(page, "overview-light")
    # The filter leaves what it names.
    page.get_by_label("Find").fill("trades-lake")
    expect(page.locator(".panel.source")).to_have_count(0)
    expect(page.locator(".panel.sink")).to_have_count(1)
    page.get_by_label("Find").fill("")
    return page


def by_keyboard(browser, page):
    """A connector's page is reached, and left, without a mouse."""
    page.get_by_label("Find").focus()
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "trades-lake":
            break
    outline = page.evaluate("getComputedStyle(document.activeElement, '::after').outlineStyle")
    assert outline == "solid", f"the focus is not seen: {outline}"
    browser.shot(page, "overview-focus")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("trades-lake")
    expect(page.locator("h1")).to_be_focused()
    # The way back is right before the title.
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Connectors")
    expect(page.locator("a.name:text-is('trades-lake')")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("trades-lake")


def sink(browser, page):
    """Figures, positions and settings of a sink."""
    figure = lambda name: page.locator(f"[data-figure='{name}'] dd")
    expect(state(page)).to_have_text("Running")
    expect(figure("committed")).to_have_text(re.compile("[1-9]"))
    expect(figure("commit")).to_have_text(re.compile("ago|just now"))
    expect(figure("lag")).to_have_text(re.compile(r"^[\d,]+$"))
    expect(figure("memory")).to_have_text(re.compile(r"^[1-9].* MiB$"))
    expect(figure("cpu")).to_have_text(re.compile(r"\d s$"))
    positions = page.locator("[data-section='positions'] tbody tr")
    expect(positions.first).to_contain_text("binance.spot.trade")
    expect(page.locator("[data-section='errors']")).to_contain_text("None since")
    settings = page.locator("[data-section='settings']")
    expect(settings).to_contain_text("market.trades")
    expect(settings).to_contain_text("lake local")
    page_checks.accessible(page)
    browser.shot(page, "sink-light")


def pause(browser, page):
    """Asked first; then PAUSED shows, and resuming undoes it."""
    button = page.get_by_role("button", name="Pause", exact=True)
    button.press("Enter")
    dialog = page.get_by_role("dialog", name="Pause trades-lake?")
    expect(dialog).to_be_visible()
    expect(dialog.get_by_role("button", name="Cancel")).to_be_focused()
    page.keyboard.press("Escape")
    expect(dialog).to_have_count(0)
    expect(button).to_be_focused()
    expect(state(page)).to_have_text("Running")
    button.click()
    dialog.get_by_role("button", name="Pause").click()
    expect(state(page)).to_have_text("Paused")
    browser.shot(page, "paused")
    page.get_by_role("button", name="Resume").click()
    expect(state(page)).to_have_text("Running")


def restart(page):
    """Asked first."""
    page.get_by_role("button", name="Restart").click()
    dialog = page.get_by_role("dialog", name="Restart trades-lake?")
    dialog.get_by_role("button", name="Cancel").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("button", name="Restart").click()
    with page.expect_response(lambda answer: "/restart" in answer.url) as answer:
        dialog.get_by_role("button", name="Restart").click()
    assert answer.value.ok, answer.value.status
    expect(state(page)).to_have_text("Running")


def swap(browser, page):
    """A component is uploaded, takes over, and stands in the history."""
    page.get_by_role("button", name="Swap…").click()
    dialog = page.get_by_role("dialog", name="Swap trades-lake")
    go = dialog.get_by_role("button", name="Swap")
    expect(go).to_be_disabled()
    dialog.get_by_label("New component").set_input_files(browser.args.component)
    expect(dialog).to_contain_text(pathlib.Path(browser.args.component).name)
    page_checks.accessible(page)
    browser.shot(page, "swap")
    go.click()
    row = page.locator("[data-section='swaps'] tbody tr")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(re.compile("on probation|kept"))
    browser.shot(page, "swapped")
    # What is no component is refused, with the reason.
    page.get_by_role("button", name="Swap…").click()
    dialog.get_by_label("New component").set_input_files(__file__)
    go.click()
    expect(page.locator("#said.wrong")).to_be_visible()
    expect(row).to_have_count(1)
    # The browser says of a refused request that it was one.
    assert all("422" in error for error in browser.errors), browser.errors
    browser.errors.clear()


def source(browser):
    """A source's page, by night; what its grant adds is not told."""
    page = browser.page(color_scheme="dark")
    expect(page.locator("[data-wire='trades-source binance.spot.trade'] text")).to_have_text(re.compile("[1-9]"))
    page_checks.accessible(page)
    browser.shot(page, "overview-dark")
    open_connector(page, "trades-source")
    settings = page.locator("[data-section='settings']")
    expect(settings).to_contain_text("BTCUSDT, ETHUSDT")
    expect(settings).to_contain_text("x-a-key: ***")
    assert browser.args.secret not in page.content()
    expect(page.locator("[data-section='positions'] tbody tr").first).to_be_visible()
    browser.shot(page, "source-dark")
    page_checks.accessible(page)
    browser.done(page)


def failed(browser):
    """What has failed says why."""
    page = browser.page(color_scheme="dark")
    open_connector(page, browser.args.failed)
    expect(state(page)).to_have_text("Failed")
    trace = page.get_by_role("region", name="What went wrong")
    expect(trace).to_contain_text(browser.args.reason)
    errors = page.locator("[data-section='errors'] details")
    expect(errors.first).to_contain_text(browser.args.reason)
    page_checks.accessible(page)
    browser.shot(page, "failed-dark")
    browser.done(page)


def phone(browser, scheme):
    """Nothing is wider than a phone, and nothing moves for those who want it so."""
    page = browser.page(PHONE, color_scheme=scheme, reduced_motion="reduce", has_touch=True)
    expect(page.locator(".wire").first).to_be_attached()
    expect(page.locator("[data-name='trades-source'] .rate")).to_have_text(re.compile("[1-9]"))
    page_checks.fits(page)
    page_checks.still(page)
    page_checks.accessible(page)
    browser.shot(page, f"phone-{scheme}")
    for name in ["trades-lake", browser.args.failed]:
        open_connector(page, name)
        expect(page.locator("[data-section='settings'] dd").first).to_be_visible()
        page_checks.fits(page)
        browser.shot(page, f"phone-{name}-{scheme}")
        page.get_by_role("link", name="All connectors").click()
    browser.done(page)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ["url", "token", "component", "failed", "reason", "secret", "screenshots"]:
        parser.add_argument(f"--{name}", required=True)
    args = parser.parse_args()
    pathlib.Path(args.screenshots).mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        # Chromium's sandbox is not to be had by root; the page is our own.
        flags = ["--no-sandbox"] if os.geteuid() == 0 else []
        chromium = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=flags)
        expect.set_options(timeout=PATIENCE_MS)
        browser = Browser(chromium, args)
        sign_in(browser)
        page = overview(browser)
        by_keyboard(browser, page)
        sink(browser, page)
        pause(browser, page)
        restart(page)
        swap(browser, page)
        browser.done(page)
        source(browser)
        failed(browser)
        for scheme in ["light", "dark"]:
            phone(browser, scheme)
        chromium.close()
    hosts = {urllib.parse.urlsplit(url).netloc for url in browser.asked}
    assert hosts == {urllib.parse.urlsplit(args.url).netloc}, f"other hosts were asked: {hosts}"
    told = [url for url in browser.asked if args.token in url]
    assert told == [], "the token was in a request's address"
    print(f"{len(browser.asked)} requests, all to {hosts.pop()}")


if __name__ == "__main__":
    main()
