"""One browser for all tests; each looks with pages of its own, where nothing may have gone wrong at its end."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from batchyard.store.memory import MemoryStore
from tests.browser.stage import open_world, stage
from tests.browser.tools import chromium
from tests.web.hooks import busy_hooks
from tests.web.lanes import busy_desk, keep_history
from tests.wire.world import World, serving_apart

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start Chromium once for a module: playwright's loop runs in this thread, where other modules have their own.

    In containers it has no sandbox of its own: all that it gets to see is ours.
    """
    program = chromium()
    with sync_playwright() as playwright:
        yield playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])


@dataclass
class Look:
    """One page of a browser at one server."""

    page: Page
    url: str
    run: Callable[[Any], Any]
    world: World
    wrong: list[str] = field(default_factory=list)

    def watch(self) -> None:
        """Note what goes wrong from now on: errors, warnings of the policy, calls to other hosts."""
        host = urlsplit(self.url).netloc

        def asked(url: str) -> None:
            if urlsplit(url).netloc != host and not url.startswith(("data:", "blob:")):
                self.wrong.append(f"asked {url}")

        self.page.on("request", lambda request: asked(request.url))
        self.page.on("pageerror", lambda error: self.wrong.append(f"threw {error}"))
        self.page.on(
            "console",
            lambda told: self.wrong.append(f"said {told.text}") if told.type in ("error", "warning") else None,
        )
        self.page.on("dialog", lambda dialog: self.wrong.append(f"asked {dialog.message}"))

    def go(self, path: str) -> Page:
        """Open a path and wait until all of it is there."""
        self.page.goto(self.url + path)
        expect(self.page.locator(".htmx-request")).to_have_count(0)
        return self.page

    def again(self, times: int = 1) -> None:
        """Let the page ask for its news so often, each time until it has them."""
        for _ in range(times):
            with self.page.expect_response(lambda answer: "part=" in answer.url):
                self.page.evaluate("document.body.dispatchEvent(new CustomEvent('poll'))")


@dataclass
class Looks:
    """Opens pages at worlds."""

    browser: Browser
    stack: ExitStack
    made: list[Look] = field(default_factory=list)

    def at(self, world: World, **options: Any) -> Look:
        """Serve the world and open a page at it."""
        url, run = self.stack.enter_context(serving_apart(world))
        return self.also(world, url, run, **options)

    def also(self, world: World, url: str, run: Callable[[Any], Any], **options: Any) -> Look:
        """Open a page at a world that is served already."""
        context = self.browser.new_context(**{"viewport": WIDE, "timezone_id": "UTC", "locale": "en-GB", **options})
        self.stack.callback(context.close)
        look = Look(context.new_page(), url, run, world)
        look.watch()
        self.made.append(look)
        return look


@pytest.fixture
def looks(browser: Browser) -> Iterator[Looks]:
    with ExitStack() as stack:
        looks = Looks(browser, stack)
        yield looks
        assert [wrong for look in looks.made for wrong in look.wrong] == []


@dataclass(frozen=True)
class Staged:
    """A served world in which much goes on; nobody may change it."""

    world: World
    url: str
    run: Callable[[Any], Any]
    ids: dict[str, str]


@pytest.fixture(scope="session")
def staged() -> Iterator[Staged]:
    numbers = iter(range(10**9))
    world = open_world()
    world.lanes, world.webhooks = busy_desk(), busy_hooks()
    world.store = MemoryStore(entropy=lambda: next(numbers) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**80)
    with serving_apart(world) as (url, run):
        run(keep_history(world))
        yield Staged(world, url, run, run(stage(world)))
