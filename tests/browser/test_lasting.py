"""What must hold for long: pages that are open all day, and hostile words on each of them."""

import asyncio
import threading
from typing import Any

import pytest
from playwright.sync_api import expect

from batchyard.domain.result import Errored, RequestError
from tests.browser.conftest import Looks, Staged
from tests.web.hostile import HOSTILE
from tests.web.test_hostile import world_of
from tests.wire.world import World

ROUNDS = 60
BROKEN = Errored(RequestError("api_error", "broken"))
MADE = "[window.hit, document.querySelectorAll('main script, main iframe, base').length]"
"""What hostile words would have made."""


def held(session: Any) -> dict[str, int]:
    """Return what the page holds once nothing is left to collect."""
    session.send("HeapProfiler.collectGarbage")
    counts = session.send("Memory.getDOMCounters")
    heap = session.send("Runtime.getHeapUsage")["usedSize"]
    return {"nodes": counts["nodes"], "listeners": counts["jsEventListeners"], "heap": int(heap)}


@pytest.mark.parametrize("path", ["/", "/batches/{running}"])
def test_a_page_that_is_open_all_day_does_not_grow(looks: Looks, staged: Staged, path: str) -> None:
    look = looks.also(staged.world, staged.url, staged.run)
    page = look.go(path.format(**staged.ids))
    session = page.context.new_cdp_session(page)
    look.again(10)
    before = held(session)

    look.again(ROUNDS)

    after = held(session)
    assert after["nodes"] <= before["nodes"] + 20
    assert after["listeners"] <= before["listeners"] + 5
    assert after["heap"] <= before["heap"] + 4_000 * ROUNDS, "it keeps something of every round"


def test_hostile_words_do_nothing_in_a_browser(looks: Looks) -> None:
    words = "".join(each for each in HOSTILE if len(each) < 200)
    made: list[tuple[World, str]] = []
    thread = threading.Thread(target=lambda: made.append(asyncio.run(world_of(words))))  # the browser has a loop here
    thread.start()
    thread.join()
    [(world, batch)] = made
    look = looks.at(world)
    for path in ("/", f"/batches/{batch}", f"/batches/{batch}/requests", "/usage?all=1"):
        page = look.go(path)
        if "usage" not in path and "requests" not in path:
            page.evaluate("document.querySelector('[data-over]')?.remove()")
            look.again(2)
        assert page.evaluate(MADE) == [None, 0]
        assert page.url == look.url + path
    for link in range(2):
        page = look.go(f"/batches/{batch}/requests")
        page.locator("tbody th a").nth(link).click()
        expect(page.get_by_role("heading", level=2).first).to_have_text("Request")
        assert page.evaluate(MADE) == [None, 0]
        if link == 0:
            assert page.get_by_text("<script>window.hit=1</script>").count() > 0
    look.wrong = [wrong for wrong in look.wrong if "404" not in wrong]  # pictures that are none
