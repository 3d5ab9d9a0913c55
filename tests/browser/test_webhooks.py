"""Webhooks in a browser: from the list to a test and what became of it, by keyboard alone too."""

from dataclasses import replace
from datetime import timedelta

from playwright.sync_api import Page, expect

from batchyard.domain.hooks import State
from tests.browser.conftest import Looks
from tests.browser.stage import open_world
from tests.web.hooks import busy_hooks
from tests.wire.world import NOW


def to(page: Page, words: str) -> None:
    """Go there with Tab."""
    for _ in range(40):
        if page.evaluate("(document.activeElement.innerText || '').trim()") == words:
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"{words} cannot be reached")


def test_a_test_is_sent_by_keyboard_and_its_log_tells_how_it_went(looks: Looks) -> None:
    world, hooks = open_world(), busy_hooks()
    world.webhooks = hooks
    look = looks.at(world)
    page = look.go("/webhooks")
    to(page, "ops")
    page.keyboard.press("Enter")
    page.wait_for_url("**/webhooks/log?webhook=ops")

    to(page, "Send test")
    look.again(2)  # news must not take the focus away
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_contain_text("https://hooks.example.com")
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert hooks.tests == []
    page.keyboard.press("Enter")
    to(page, "Send the test")
    page.keyboard.press("Enter")

    expect(page.get_by_role("status").first).to_contain_text("A test is on its way")
    row = page.locator("tbody tr").first
    expect(row).to_contain_text("waiting")
    assert hooks.tests == ["ops"]
    told = hooks.told[0]
    hostile = "<img src=x onerror=window.hit=1>"
    again = NOW + timedelta(seconds=6)
    hooks.told[0] = replace(told, tries=1, tried_at=NOW, again_at=again, status=500, reason=hostile)
    look.again()
    expect(row).to_contain_text(f"500 {hostile}")
    expect(row).to_contain_text("in 6 s")
    assert page.evaluate("window.hit") is None
    hooks.told[0] = replace(told, state=State.DELIVERED, tries=2, tried_at=NOW, again_at=None, status=204, reason="OK")
    look.again()
    expect(row).to_contain_text("delivered")
