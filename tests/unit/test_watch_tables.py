"""What the file says under ``[watch]``."""

from pathlib import Path

import pytest

from batchyard.config import read
from batchyard.declared import ConfigError
from batchyard.watch_tables import WatchTable


def watch(folder: Path, text: str) -> WatchTable:
    (folder / "batchyard.toml").write_text(text)
    return read({}, {}, folder).watch


def test_it_is_read_and_has_defaults(tmp_path: Path) -> None:
    text = '[watch]\nlog_level = "debug"\ntraces = "http://collector:4318"\n'

    assert watch(tmp_path, text) == WatchTable("debug", "http://collector:4318")
    assert watch(tmp_path, "") == WatchTable("info", None)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[watch]\nlog_levle = "debug"', "watch: unknown key 'log_levle'; did you mean log_level?"),
        ('[watch]\nlog_level = "loud"', "log_level = 'loud': must be debug or info or warning or error"),
        ("[watch]\nlog_level = 3", "log_level has the wrong type (int)"),
        ('[watch]\ntraces = "grpc://collector"', "traces = 'grpc://collector': must be http(s)"),
        ("watch = 1", "watch must be a table: [watch]"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as wrong:
        watch(tmp_path, text)

    assert told in str(wrong.value)
    assert "\n" not in str(wrong.value)
