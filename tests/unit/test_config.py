"""Settings: three sources in their order, one line for whatever is wrong, and no secret in it."""

from datetime import timedelta
from pathlib import Path

import pytest

from batchyard.config import read
from batchyard.declared import ConfigError
from batchyard.settings import DECLARED, Settings

NOWHERE = Path("/nonexistent")


def wrong(options: dict[str, str] | None = None, environ: dict[str, str] | None = None, folder: Path = NOWHERE) -> str:
    with pytest.raises(ConfigError) as error:
        read(options or {}, environ or {}, folder)
    assert "\n" not in str(error.value)
    return str(error.value)


def a_file(folder: Path, text: str) -> Path:
    (folder / "batchyard.toml").write_text(text)
    return folder


def test_the_defaults_are_those_of_the_public_surface() -> None:
    settings = read({}, {}, NOWHERE)

    assert (settings.host, settings.port, settings.data) == ("127.0.0.1", 8787, Path("batchyard-data"))
    assert (settings.upstream, settings.upstream_api, settings.concurrency) == (None, "messages", 64)
    assert (settings.expires_after, settings.retain_results_for) == (timedelta(hours=24), timedelta(days=29))
    assert (settings.max_requests, settings.max_body_bytes) == (100_000, 268_435_456)
    assert (settings.drain_timeout, settings.lease) == (timedelta(seconds=600), timedelta(seconds=30))
    assert (settings.retry_defence, settings.compat_fixtures) == (True, False)
    assert settings.is_local


def test_settings_stay_few() -> None:
    assert len(DECLARED) <= 30


def test_the_command_line_beats_the_environment_and_that_the_file(tmp_path: Path) -> None:
    folder = a_file(tmp_path, 'port = 1\nconcurrency = 2\nhost = "file"\n')

    settings = read({"port": "3"}, {"BATCHYARD_PORT": "4", "BATCHYARD_CONCURRENCY": "5"}, folder)

    assert (settings.port, settings.concurrency, settings.host) == (3, 5, "file")
    assert settings.config == folder / "batchyard.toml"


@pytest.mark.parametrize("source", ["option", "environment"])
def test_a_file_can_be_named(tmp_path: Path, source: str) -> None:
    file = tmp_path / "other.toml"
    file.write_text(
        'lease = "5s"\nretry_defence = false\nallowed_hosts = ["batch.example", "b"]\nsimulator_jitter = 1\n'
    )
    options, environ = ({"config": str(file)}, {}) if source == "option" else ({}, {"BATCHYARD_CONFIG": str(file)})

    settings = read(options, environ, a_file(tmp_path, "port = 1"))

    assert (settings.lease, settings.retry_defence, settings.port) == (timedelta(seconds=5), False, 8787)
    assert {"batch.example", "b", "localhost", "127.0.0.1", "::1"} <= settings.hosts
    assert settings.simulator_jitter == 1.0


@pytest.mark.parametrize("name", DECLARED)
def test_every_setting_has_its_variable_and_refuses_nonsense_in_it_by_name(name: str) -> None:
    variable = "BATCHYARD_" + name.upper()

    assert variable in wrong({}, {variable: "\0nonsense ?"})


@pytest.mark.parametrize("name", [name for name in DECLARED if name != "config"])
def test_every_setting_has_its_key_in_the_file(tmp_path: Path, name: str) -> None:
    assert f"batchyard.toml: {name} has the wrong type" in wrong(folder=a_file(tmp_path, f"{name} = {{}}"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("500ms", timedelta(milliseconds=500)),
        ("30s", timedelta(seconds=30)),
        ("5m", timedelta(minutes=5)),
        ("1h", timedelta(hours=1)),
    ],
)
def test_durations_have_units(text: str, value: timedelta) -> None:
    assert read({}, {"BATCHYARD_LEASE": text}, NOWHERE).lease == value


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"port": "65536"}, "--port '65536': must be a whole number from 0 to 65535"),
        ({"port": "-1"}, "--port '-1'"),
        ({"port": "8787 "}, "--port '8787 '"),
        ({"concurrency": "0"}, "--concurrency '0'"),
        ({"concurrency": "100001"}, "--concurrency '100001'"),
        ({"host": "http://x"}, "--host 'http://x': must be an address or a host name"),
        ({"host": "x:80"}, "--host 'x:80'"),
        ({"host": ""}, "--host is empty"),
        ({"data": ""}, "--data is empty"),
        ({"upstream": "localhost:8000"}, "--upstream 'localhost:8000': must be http(s)://"),
        ({"upstream": "http://"}, "--upstream 'http://'"),
        ({"upstream": "ftp://h"}, "--upstream 'ftp://h'"),
        ({"upstream": "http://h:99999"}, "--upstream 'http://h:99999'"),
        ({"upstream": "http://h/a b"}, "--upstream"),
        ({"upstream": "http://[::1"}, "--upstream"),
        ({"public_url": "https://h/#x"}, "--public-url 'https://h/'"),
        ({"upstream_api": "grpc"}, "--upstream-api 'grpc': must be messages or chat-completions"),
        ({"database": "mysql://h/d"}, "--database 'mysql://h/d': must be postgresql://host/name"),
        ({"role": "worker"}, "--role 'worker': must be all or api or dispatch"),
        ({"role": "api"}, "--role 'api': needs a database; a data folder is one process's"),
        ({"objects": "s3://b/p"}, "--objects 's3://b/p': needs a database; a data folder is one process's"),
        ({"config": "/nonexistent/x.toml"}, "/nonexistent/x.toml: cannot be read: No such file or directory"),
    ],
)
def test_a_wrong_option_is_named_with_its_value_and_what_is_allowed(options: dict[str, str], told: str) -> None:
    assert wrong(options).startswith(told)


@pytest.mark.parametrize("text", ["30", "s", "1.5h", "-1s", "1w", "1 h", "99999999999d", "100ms", "2h"])
def test_a_wrong_duration_is_refused(text: str) -> None:
    assert wrong({}, {"BATCHYARD_LEASE": text}).startswith(f"BATCHYARD_LEASE={text!r}: must be a duration from 500ms")


@pytest.mark.parametrize("text", ["True", "yes", "1", ""])
def test_a_switch_is_true_or_false(text: str) -> None:
    assert "true or false" in wrong({}, {"BATCHYARD_RETRY_DEFENCE": text})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("prot = 1", "unknown key 'prot'; did you mean port?"),
        ("zzz = 1", "unknown key 'zzz'; docs/configuration.md lists"),
        ('config = "x"', "unknown key 'config'"),
        ("port = ", "not a TOML file: "),
        ("[upstream]\nurl = 1", "upstream has the wrong type (dict)"),
        ('port = "8787"', "port has the wrong type (str): must be a whole number"),
        ("port = true", "port has the wrong type (bool)"),
        ("lease = 30", "lease has the wrong type (int): must be a duration"),
        ("allowed_hosts = [1]", "allowed_hosts has the wrong type (list)"),
        ("port = 70000", "port = '70000': must be a whole number from 0 to 65535"),
        ('lease = "30"', "lease = '30': must be a duration"),
    ],
)
def test_a_wrong_file_is_named_with_the_key(tmp_path: Path, text: str, told: str) -> None:
    assert f"batchyard.toml: {told}" in wrong(folder=a_file(tmp_path, text))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "batchyard.toml").write_bytes(b"\xff\xfe")

    assert "not a TOML file" in wrong(folder=tmp_path)


def test_an_unknown_variable_is_refused_with_a_suggestion() -> None:
    assert (
        wrong({}, {"BATCHYARD_PROT": "1"})
        == "unknown environment variable BATCHYARD_PROT; did you mean BATCHYARD_PORT?"
    )


def test_variables_that_kubernetes_sets_are_not_ours() -> None:
    environ = {
        "BATCHYARD_PORT": "tcp://10.0.0.1:8787",
        "BATCHYARD_SERVICE_HOST": "10.0.0.1",
        "BATCHYARD_SERVICE_PORT_HTTP": "8787",
        "BATCHYARD_PORT_8787_TCP_ADDR": "10.0.0.1",
    }

    assert read({}, environ, NOWHERE) == Settings()


@pytest.mark.parametrize(
    "options",
    [
        {"upstream": "http://someone:hunter2@host/x"},
        {"upstream": "http://host/x?key=hunter2"},
        {"upstream": "someone:hunter2@host"},
        {"public_url": "https://hunter2@host#hunter2"},
        {"database": "postgresql://someone:hunter2@host/d and more"},
        {"database": "mysql://someone:hunter2@host/d"},
        {"objects": "s3://someone:hunter2@bucket/d?secret=hunter2"},
        {"upstream_key_env": "sk-hunter2"},
    ],
)
def test_no_error_shows_a_secret(options: dict[str, str]) -> None:
    told = wrong(options)

    assert "hunter2" not in told
    assert told.startswith("--")


def test_the_upstreams_key_comes_from_the_variable_that_is_named_and_is_never_shown() -> None:
    options = {"upstream": "http://h", "upstream_key_env": "MY_KEY"}

    settings = read(options, {"MY_KEY": " hunter2\n"}, NOWHERE)

    assert settings.upstream_key == "hunter2"
    assert "hunter2" not in repr(settings)


@pytest.mark.parametrize("value", [None, "", "hunter2 and more", "hünter2"])
def test_a_missing_or_odd_upstream_key_is_refused_by_the_name_of_its_variable(value: str | None) -> None:
    told = wrong({"upstream": "http://h", "upstream_key_env": "MY_KEY"}, {} if value is None else {"MY_KEY": value})

    assert "MY_KEY" in told
    assert "nter2" not in told


def test_an_upstream_key_without_an_upstream_is_refused() -> None:
    assert "needs an upstream" in wrong({"upstream_key_env": "MY_KEY"}, {"MY_KEY": "k"})


def test_the_first_key_comes_from_a_variable_or_a_file_of_its_own(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text("hunter2\n")

    assert read({}, {"BATCHYARD_BOOTSTRAP_KEY": "hunter2"}, NOWHERE).bootstrap_key == "hunter2"
    assert read({}, {"BATCHYARD_BOOTSTRAP_KEY_FILE": str(file)}, NOWHERE).bootstrap_key == "hunter2"


@pytest.mark.parametrize(
    "environ",
    [
        {"BATCHYARD_BOOTSTRAP_KEY": ""},
        {"BATCHYARD_BOOTSTRAP_KEY": "hunter2 x"},
        {"BATCHYARD_BOOTSTRAP_KEY_FILE": "/nonexistent/key"},
        {"BATCHYARD_BOOTSTRAP_KEY": "hunter2", "BATCHYARD_BOOTSTRAP_KEY_FILE": "x"},
    ],
)
def test_a_wrong_first_key_is_refused_and_not_shown(environ: dict[str, str]) -> None:
    told = wrong({}, environ)

    assert "BATCHYARD_BOOTSTRAP_KEY" in told
    assert "hunter2" not in told


@pytest.mark.parametrize(
    ("host", "is_local"),
    [
        *((host, True) for host in ("127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST")),
        *((host, False) for host in ("0.0.0.0", "::", "10.0.0.1", "localhost.example")),
    ],
)
def test_only_loopback_is_local(host: str, is_local: bool) -> None:
    assert read({"host": host}, {}, NOWHERE).is_local is is_local


def test_the_hosts_answered_to_are_loopback_the_address_and_the_public_urls() -> None:
    settings = read({"host": "10.0.0.1", "public_url": "https://Batch.Example/base/"}, {}, NOWHERE)

    assert settings.hosts == {"localhost", "127.0.0.1", "::1", "10.0.0.1", "batch.example"}
    assert settings.public_url == "https://Batch.Example/base"
