"""What people do with the pages: by hand, by keyboard alone, signed in with a key."""

from playwright.sync_api import Page, expect

from batchyard.domain.batch import Status
from batchyard.domain.result import Errored, RequestError, Result, Succeeded
from tests.browser.conftest import Look, Looks
from tests.browser.stage import Stage, message, open_world
from tests.wire.world import KEY, World

GOOD = Succeeded(message("positive"))
BAD = Errored(RequestError("api_error", "broken"))


def create(look: Look, count: int, name: str = "", labels: str = "", key: str | None = None) -> str:
    return str(look.run(Stage(look.world, key).create(count, name, labels)))


def end(look: Look, batch: str, *fates: Result) -> None:
    on = Stage(look.world)
    look.run(on.run(batch, fates))
    look.run(look.world.seal(batch))


def at(page: Page) -> str:
    """Return what has the focus, as people would name it."""
    return str(page.evaluate("(document.activeElement.innerText || document.activeElement.name || '').trim()"))


def test_a_list_that_is_open_shows_what_comes_and_goes(looks: Looks) -> None:
    look = looks.at(open_world())
    first = create(look, 4, "first")
    page = look.go("/")
    page.locator("[name=q]").fill("half a word")

    second = create(look, 2, "second")
    look.run(Stage(look.world).run(first, [GOOD, BAD]))
    look.again()

    expect(page.locator("tbody tr").first).to_contain_text("second")
    expect(page.locator(f"#row-{first}")).to_contain_text("2 of 4 · 1 errored")
    assert page.locator("[name=q]").input_value() == "half a word"
    end(look, second, GOOD, GOOD)
    look.run(look.world.store.delete("default", second))
    look.again()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_search_and_labels_lead_to_batches(looks: Looks) -> None:
    look = looks.at(open_world())
    for name, labels in (("nightly", "team=search"), ("weekly", "team=ads"), ("monthly", "team=ads")):
        create(look, 1, name, labels)
    page = look.go("/")

    page.keyboard.press("/")
    page.keyboard.type("NIGHT")
    page.keyboard.press("Enter")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_role("link", name="team=ads").first.click()
    expect(page.locator("tbody tr")).to_have_count(2)
    page.get_by_label("Status").select_option("ended")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("No batch fits")).to_be_visible()


def test_a_batchs_life_from_its_page(looks: Looks) -> None:
    look = looks.at(open_world())
    batch = create(look, 3)
    page = look.go(f"/batches/{batch}")

    page.get_by_role("button", name="Pause").click()
    expect(page.get_by_text("it is paused")).to_be_visible()
    page.get_by_role("button", name="Resume").click()
    page.get_by_role("button", name="Name and labels").click()
    page.get_by_label("Name", exact=True).fill('<b>bold</b> & "quoted"')
    page.get_by_label("Labels, one").fill("team=search\nrun=7")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text('<b>bold</b> & "quoted"')
    expect(page.get_by_role("link", name="team=search")).to_be_visible()

    end(look, batch, GOOD, BAD, BAD)
    look.again()
    expect(page.get_by_role("link", name="Download results")).to_be_visible()
    expect(page.locator(".problem")).to_contain_text("broken")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download results").click()
    assert download.value.suggested_filename == f"{batch}-results.jsonl"
    page.locator(".problem a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("review-00002")
    page.get_by_label("custom_id").fill("review-00001")
    page.get_by_role("button", name="Find request").click()
    expect(page.get_by_text("positive")).to_be_visible()

    page.goto(f"{look.url}/batches/{batch}")
    page.get_by_role("button", name="Rerun failures").click()
    page.get_by_role("button", name="Make the batch").click()
    expect(page.get_by_text("This batch runs the failures again")).to_be_visible()
    expect(page.get_by_text("2 processing")).to_be_visible()

    page.goto(f"{look.url}/batches/{batch}")
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete the batch").click()
    expect(page.locator("tbody tr")).to_have_count(1)


def test_all_of_it_by_keyboard_alone(looks: Looks) -> None:
    look = looks.at(open_world())
    batch = create(look, 3, "nightly")
    page = look.go("/")

    page.keyboard.press("Tab")
    assert at(page) == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(12):
        page.keyboard.press("Tab")
        if at(page) == "nightly":
            break
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/batches/{batch}")

    def to(words: str) -> None:
        for _ in range(40):
            if at(page) == words:
                return
            page.keyboard.press("Tab")
        raise AssertionError(f"{words} cannot be reached")

    to("Cancel")
    look.again(3)  # news must not take the focus away
    assert at(page) == "Cancel"
    page.keyboard.press("Enter")
    assert page.locator("dialog[open]").count() == 1
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert at(page) == "Cancel"
    page.keyboard.press("Space")
    to("Cancel the batch")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Canceling: calls in flight")).to_be_visible()
    assert look.run(look.world.store.get("default", batch)).status is Status.CANCELING


def test_signed_in_with_a_key(looks: Looks) -> None:
    look = looks.at(World())
    mine, theirs = create(look, 1, key=KEY), create(look, 1, key="key-two")
    page = look.go(f"/batches/{mine}")

    page.get_by_label("API key").fill("wrong")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("opens nothing")
    look.wrong = [wrong for wrong in look.wrong if "403" not in wrong]
    page.get_by_label("API key").fill(KEY)
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/batches/{mine}")
    [cookie] = [each for each in page.context.cookies() if each["name"].startswith("batchyard_")]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.goto(look.url)
    expect(page.locator(f"#row-{mine}")).to_be_visible()
    assert page.locator(f"#row-{theirs}").count() == 0
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/sign-in")
    page.goto(look.url)
    page.wait_for_url("**/sign-in")
    page.go_back()
    assert mine not in page.content()


def test_a_page_of_another_site_can_send_no_form(looks: Looks) -> None:
    look, other = looks.at(open_world()), looks.at(open_world())
    batch = create(look, 1)
    token = look.go(f"/batches/{batch}").locator("[name=token]").first.input_value()
    page = look.page
    page.goto(f"{other.url.replace('127.0.0.1', 'localhost')}/nothing")  # a page without a policy of ours

    page.evaluate(
        """([action, token]) => {
            const form = document.createElement("form");
            Object.assign(form, {method: "post", action});
            form.innerHTML = `<input name=token value=${token}>`;
            document.documentElement.append(form);
            HTMLFormElement.prototype.submit.call(form);
        }""",
        [f"{look.url}/batches/{batch}/cancel", token],
    )
    page.wait_for_timeout(400)

    assert look.run(look.world.store.get("default", batch)).status is Status.IN_PROGRESS
    look.wrong.clear()
