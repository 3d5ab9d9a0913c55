"""Hours of the week: how they are written, and when they are."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from batchyard import assembly
from batchyard.config import read
from batchyard.domain.windows import DAYS, is_open, opens_at, window
from tests.wire.world import SetClock

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def at(day: str, clock: str) -> datetime:
    hours, _, minutes = clock.partition(":")
    return MONDAY + timedelta(days=DAYS.index(day), hours=int(hours), minutes=int(minutes))


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [
        ("09:00-17:00", [("mon", "09:00"), ("sun", "16:59")], [("mon", "08:59"), ("mon", "17:00")]),
        ("22:00-06:00", [("mon", "22:00"), ("tue", "05:59"), ("mon", "00:00")], [("tue", "06:00"), ("mon", "21:59")]),
        ("sat", [("sat", "00:00"), ("sat", "23:59")], [("fri", "23:59"), ("sun", "00:00")]),
        ("fri-mon", [("fri", "00:00"), ("sun", "12:00"), ("mon", "23:59")], [("tue", "00:00"), ("thu", "23:59")]),
        (
            "mon-fri 19:00-07:00",
            [("mon", "19:00"), ("sat", "06:59"), ("tue", "03:00")],
            [("mon", "06:59"), ("sat", "07:00"), ("sat", "19:00"), ("sun", "03:00")],
        ),
        ("sun 20:00-24:00", [("sun", "20:00"), ("sun", "23:59")], [("mon", "00:00"), ("sun", "19:59")]),
    ],
)
def test_hours(text: str, inside: list[tuple[str, str]], outside: list[tuple[str, str]]) -> None:
    assert all(is_open([window(text)], at(*moment)) for moment in inside)
    assert not any(is_open([window(text)], at(*moment)) for moment in outside)


@pytest.mark.parametrize(
    "text", ["", "9:00-17:00", "25:00-26:00", "09:60-10:00", "09:00-09:00", "someday", "sat-", "24:00-06:00"]
)
def test_what_is_no_window(text: str) -> None:
    with pytest.raises(ValueError, match="no hours of a week"):
        window(text)


def test_without_a_window_it_is_always_open() -> None:
    assert is_open([], at("wed", "12:00"))


def test_an_upstreams_hours_are_those_of_its_time_zone(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_text(
        '[upstreams.sim]\napi = "simulator"\nwindows = ["mon-fri 22:00-06:00", "sat"]\ntimezone = "America/New_York"\n'
    )
    settings, clock = read({}, {}, tmp_path), SetClock()
    summer = datetime(2026, 7, 6, 21, 59, tzinfo=ZoneInfo("America/New_York"))  # a Monday

    def is_open_at(moment: datetime) -> bool:
        clock.moment = moment.astimezone(UTC)
        [place] = assembly.places(settings, clock)
        return place.is_open()

    assert not is_open_at(summer)
    assert is_open_at(summer + timedelta(minutes=2))
    assert is_open_at(datetime(2026, 12, 5, 12, 0, tzinfo=ZoneInfo("America/New_York")))  # a Saturday


@pytest.mark.parametrize(
    ("texts", "moment", "opens"),
    [
        (["22:00-06:00"], ("mon", "12:30"), ("mon", "22:00")),
        (["22:00-06:00"], ("mon", "23:00"), None),
        (["sat"], ("sun", "00:00"), ("sat", "00:00")),
        (["mon-fri 19:00-07:00"], ("sat", "07:00"), ("mon", "19:00")),
        (["sat", "wed 01:00-02:00"], ("tue", "00:00"), ("wed", "01:00")),
        (["mon 09:00-10:00"], ("mon", "10:00"), ("mon", "09:00")),
        ([], ("mon", "00:00"), None),
    ],
)
def test_hours_begin_the_next_time_that_they_do(
    texts: list[str], moment: tuple[str, str], opens: tuple[str, str] | None
) -> None:
    windows, then = [window(text) for text in texts], at(*moment)
    found = opens_at(windows, then)

    if opens is None:
        assert found is None
        return
    assert found is not None
    assert timedelta() < found - then <= timedelta(days=7)
    assert (DAYS[found.weekday()], f"{found:%H:%M}") == opens
    assert is_open(windows, found)


def test_hours_begin_by_the_clock_on_the_wall_through_a_change_to_summer_time() -> None:
    berlin = ZoneInfo("Europe/Berlin")
    before = datetime(2026, 3, 28, 12, tzinfo=berlin)

    found = opens_at([window("sun 06:00-07:00")], before)

    assert found == datetime(2026, 3, 29, 4, tzinfo=UTC)
