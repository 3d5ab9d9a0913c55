"""Several upstreams and routes in the file: what they make, and one line for whatever is wrong."""

from datetime import timedelta
from pathlib import Path

import pytest

from batchyard.config import read
from batchyard.declared import ConfigError
from batchyard.settings import Settings
from batchyard.upstream_tables import DECLARED_UPSTREAM, RouteTable

URL = "http://127.0.0.1:8000"
ONE = f'[upstreams.one]\nurl = "{URL}"\n'
THREE = f'{ONE}[upstreams.three]\nurl = "{URL}"\napi = "batches"\n[[routes]]\nmodels = ["*"]\n'
TWO = f'{ONE}[upstreams.two]\napi = "simulator"\n'
ROUTE = '[[routes]]\nmodels = ["*"]\nto = ["one"]\n'


def read_file(
    folder: Path, text: str, environ: dict[str, str] | None = None, options: dict[str, str] | None = None
) -> Settings:
    (folder / "batchyard.toml").write_text(text)
    return read(options or {}, environ or {}, folder)


def test_tables_name_upstreams_and_routes(tmp_path: Path) -> None:
    settings = read_file(
        tmp_path,
        f"""
concurrency = 8
[upstreams.local]
url = "{URL}"
concurrency = 256
params = "strict"
models = {{ "claude-*" = "qwen3" }}
timeout = "90s"
silence = "20s"
forward_version = false
[upstreams.hosted]
url = "https://api.example.com"
key_env = "HOSTED_KEY"
[[routes]]
models = ["qwen*", "claude-*"]
to = [{{ upstream = "local", weight = 3 }}, "hosted"]
[[routes]]
models = ["*"]
to = "hosted"
fallback = ["local"]
""",
        {"HOSTED_KEY": "sk-secret-12345"},
    )
    local, hosted = settings.upstreams

    assert (local.name, local.url, local.concurrency, local.params) == ("local", URL, 256, "strict")
    assert (local.timeout, local.silence, local.first_byte) == (timedelta(seconds=90), timedelta(seconds=20), None)
    assert dict(local.models) == {"claude-*": "qwen3"}
    assert (hosted.key, hosted.concurrency, hosted.forward_version) == ("sk-secret-12345", None, None)
    assert "sk-secret" not in repr(settings)
    assert settings.routes == (
        RouteTable(("qwen*", "claude-*"), (("local", 3.0), ("hosted", 1.0))),
        RouteTable(("*",), (("hosted", 1.0),), (("local", 1.0),)),
    )


def test_one_upstream_needs_no_route(tmp_path: Path) -> None:
    assert read_file(tmp_path, ONE).routes == (RouteTable(("*",), (("one", 1.0),)),)


def test_an_upstream_named_elsewhere_takes_the_place_of_the_tables(tmp_path: Path) -> None:
    assert read_file(tmp_path, TWO + ROUTE, options={"upstream": "http://127.0.0.1:1"}).upstreams == ()


def test_a_key_may_be_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-from-a-file\n")
    settings = read_file(tmp_path, f'{ONE}key_file = "{tmp_path / "key"}"\n')

    assert settings.upstreams[0].key == "sk-from-a-file"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("upstreams = 1\n", "upstreams must be tables: [upstreams.NAME]"),
        ('[upstreams."a b"]\nurl = "http://x"\n', "upstreams.a b: a name is up to 64 letters"),
        ("[upstreams.one]\n", 'upstreams.one needs a url (or api = "simulator")'),
        (f'[upstreams.one]\nurl = "{URL}"\napi = "simulator"\n', "upstreams.one takes no url"),
        (f"{ONE}concurency = 3\n", "upstreams.one: unknown key 'concurency'; did you mean concurrency?"),
        (f"{ONE}concurrency = 0\n", "upstreams.one: concurrency = '0': must be a whole number from 1 to 100000"),
        (f'{ONE}concurrency = "3"\n', "upstreams.one: concurrency has the wrong type (str)"),
        ('[upstreams.one]\nurl = "ftp://x"\n', "upstreams.one: url = 'ftp://x': must be http(s)://host"),
        (f'{ONE}key_env = "NOT_SET"\n', "upstreams.one: key_env = 'NOT_SET': the environment variable must hold a key"),
        (f'{ONE}key_env = "A"\nkey_file = "b"\n', "upstreams.one has both key_env and key_file: keep one"),
        (f'{ONE}key_file = "/nonexistent/key"\n', "key_file = '/nonexistent/key': cannot be read: No such file"),
        (f'{ONE}model = "a"\nmodels = {{ b = "c" }}\n', "upstreams.one has both model and models"),
        (f"{ONE}models = {{ b = 1 }}\n", "upstreams.one: models must be a table of patterns and names"),
        (f'{ONE}poll = "1s"\n', 'upstreams.one: poll is for a server that takes batches: api = "batches"'),
        ('[upstreams.one]\napi = "simulator"\nline = 2\n', "upstreams.one: line is for a server that tells"),
        (f'{THREE}to = ["one", "three"]\n', "route 1: three takes batches: it must be the only one of its route"),
        (f'{THREE}to = "three"\nfallback = "one"\n', "route 1: three takes batches: it must be the only one"),
        (f'{THREE}to = "one"\nfallback = "three"\n', "route 1: three takes batches: it must be the only one"),
        (TWO, 'several upstreams need [[routes]], such as models = ["*"], to = ["one"]'),
        (ROUTE, "routes need [upstreams.NAME] to lead to"),
        (f"{TWO}[routes]\n", "routes must be tables: [[routes]]"),
        (
            f'{TWO}[[routes]]\nmodels = "*"\nto = "one"\n',
            "route 1: models must be a list of patterns",
        ),
        (
            f'{TWO}{ROUTE}[[routes]]\nmodels = ["*"]\nto = "tow"\n',
            "route 2: to: there is no upstream 'tow'; did you mean two?",
        ),
        (f'{TWO}[[routes]]\nmodels = ["*"]\nto = []\n', "route 1: to must name at least one upstream, and none twice"),
        (f'{TWO}[[routes]]\nmodels = ["*"]\nto = ["one", "one"]\n', "and none twice"),
        (f'{TWO}[[routes]]\nmodels = ["*"]\n', "route 1: to must name upstreams"),
        (f"{TWO}{ROUTE}fallback = 'one'\n", "route 1: one is in both to and fallback"),
        (f"{TWO}{ROUTE}falback = 'one'\n", "route 1: unknown key 'falback'; did you mean fallback?"),
        (
            f'{TWO}[[routes]]\nmodels = ["*"]\nto = {{ upstream = "one", weight = 0 }}\n',
            "the weight of one must be",
        ),
        (f'upstream = "{URL}"\n{TWO}{ROUTE}', "upstream stands beside [upstreams.NAME]: name it there"),
    ],
)
def test_what_is_wrong_is_one_line_that_names_it(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_file(tmp_path, text)

    assert told in str(error.value)
    assert str(error.value).startswith(str(tmp_path / "batchyard.toml"))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", DECLARED_UPSTREAM)
def test_every_key_refuses_nonsense_by_its_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=rf"upstreams\.one: {name} "):
        read_file(tmp_path, f"[upstreams.one]\n{name} = [1]\n")


@pytest.mark.parametrize("query", ["key=hunter2", "api-version=1&key=hunter2", "api-version=", "api-version=a b"])
def test_a_query_is_the_version_of_an_api_or_refused_unseen(tmp_path: Path, query: str) -> None:
    [azure] = read_file(tmp_path, f'[upstreams.azure]\nurl = "{URL}/x?api-version=2024-10-21"\n').upstreams
    assert azure.url == f"{URL}/x?api-version=2024-10-21"

    with pytest.raises(ConfigError, match="no query but api-version") as told:
        read_file(tmp_path, f'[upstreams.azure]\nurl = "{URL}/x?{query}"\n')
    assert "hunter2" not in str(told.value)
