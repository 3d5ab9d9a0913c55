"""How the pages look: nothing goes wrong, nobody is kept out, nothing runs over the edge; both themes, and a phone.

With ``BATCHYARD_SCREENSHOTS`` set the pictures of the docs are made anew.
"""

import os
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PHONE, WIDE, Looks, Staged
from tests.browser.stage import open_world
from tests.browser.tools import axe

SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
PATHS = {
    "batches": "/",
    "search": "/?q=nothing+like+it",
    "running": "/batches/{running}",
    "paused": "/batches/{paused}",
    "batch": "/batches/{failing}",
    "requests": "/batches/{failing}/requests?fate=errored",
    "request": "/batches/{rich}/request?custom_id=review-00001",
    "error": "/batches/{failing}/request?custom_id=nothing",
    "throughput": "/throughput?hours=24",
    "engine": "/engine",
    "lane": "/engine/history?lane=local/Qwen/Qwen3-8B",
    "webhooks": "/webhooks",
    "webhook": "/webhooks/log?webhook=ops",
    "usage": "/usage?days=7&all=1",
    "sign-in": "/sign-in",
}
FORMS: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": WIDE},
    "dark": {"color_scheme": "dark", "viewport": WIDE},
    "phone": {"color_scheme": "dark", "viewport": PHONE, "device_scale_factor": 2, "has_touch": True},
}
RULES = {"light": "", "dark": "", "phone": "runOnly: ['wcag2a']"}
"""All rules in both themes; on a phone those that it may break."""
SHOWN = {
    ("batches", "light"), ("batches", "dark"), ("batches", "phone"), ("batch", "light"), ("request", "light"),
    ("throughput", "dark"), ("usage", "light"), ("engine", "light"), ("webhook", "light"),
    ("lane", "light"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_the_pages_are_whole_for_everybody(looks: Looks, staged: Staged, form: str) -> None:
    look = looks.also(staged.world, staged.url, staged.run, **FORMS[form], reduced_motion="reduce")
    found = []
    for name, path in PATHS.items():
        page = look.go(path.format(**staged.ids))
        page.evaluate(axe())
        violations = page.evaluate(f"axe.run({{resultTypes: ['violations'], {RULES[form]}}})")["violations"]
        found += [
            (name, each["id"], each["nodes"][0]["html"])
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]
        if not page.evaluate("document.documentElement.scrollWidth <= innerWidth"):
            found.append((name, "it runs over the edge", ""))
        if page.locator("h1").count() != 1:
            found.append((name, "it has no one title", ""))
        if os.environ.get("BATCHYARD_SCREENSHOTS") and (name, form) in SHOWN:
            SCREENSHOTS.mkdir(exist_ok=True)
            page.screenshot(path=SCREENSHOTS / f"{name}-{form}.png", full_page=form != "phone")

    assert found == []
    look.wrong.remove("said Failed to load resource: the server responded with a status of 404 (Not Found)")


def test_the_policy_is_kept_by_the_browser_itself(looks: Looks, staged: Staged) -> None:
    look = looks.also(staged.world, staged.url, staged.run)
    page = look.go("/")

    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.hit = 1";
            document.body.append(script);
            const picture = new Image();
            picture.setAttribute("onerror", "window.hit = 1");
            picture.src = "http://127.0.0.2:9/pixel.png";
            document.body.append(picture);
            const style = document.createElement("style");
            style.textContent = "h1 { color: rgb(1, 2, 3) !important }";
            document.body.append(style);
        }"""
    )
    page.wait_for_timeout(200)

    assert page.evaluate("window.hit") is None
    assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(1, 2, 3)"
    assert len([wrong for wrong in look.wrong if "Content Security Policy" in wrong]) >= 3
    look.wrong = [wrong for wrong in look.wrong if "Content Security Policy" not in wrong and "127.0.0.2" not in wrong]


def test_the_theme_that_was_chosen_stays(looks: Looks, staged: Staged) -> None:
    look = looks.also(staged.world, staged.url, staged.run, color_scheme="light")
    page = look.go("/")
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)

    page.get_by_role("button", name="Light or dark").click()

    dark = page.evaluate(ground)
    assert dark != light
    assert look.go("/usage").evaluate(ground) == dark


def test_charts_are_drawn_and_follow_the_theme(looks: Looks, staged: Staged) -> None:
    page = looks.also(staged.world, staged.url, staged.run).go("/throughput?hours=24")
    page.wait_for_selector(".uplot canvas")
    assert page.locator(".uplot canvas").count() == 2
    lane = looks.also(staged.world, staged.url, staged.run).go("/engine/history?lane=provider/claude-haiku-4-5")
    expect(lane.locator(".uplot canvas")).to_have_count(3)
    drawn = "[...document.querySelectorAll('canvas')].map((each) => each.toDataURL()).join()"
    before = page.evaluate(drawn)

    page.get_by_role("button", name="Light or dark").click()
    for _ in range(100):
        if page.locator(".uplot canvas").count() == 2 and page.evaluate(drawn) != before:
            return
        page.wait_for_timeout(50)
    raise AssertionError("the charts keep their colours")


def test_an_empty_server_shows_the_first_command_and_then_the_first_batch(looks: Looks) -> None:
    look = looks.at(open_world(), permissions=["clipboard-read", "clipboard-write"])
    page = look.go("/")

    page.get_by_role("button", name="Copy").first.click()

    assert page.evaluate("navigator.clipboard.readText()").startswith(f"curl {look.url}/v1/messages/batches")
    batch = look.run(look.world.create("a"))
    look.again()
    page.wait_for_selector(f"#row-{batch}")
