"""Settings: which value wins, where it came from, and what is said of a wrong one."""

import time
from pathlib import Path

import pytest

from nomadwatch.errors import Misuse
from nomadwatch.processes.polling import polling_of
from nomadwatch.settings import load, names, unknown_variables, variable
from nomadwatch.state import Kept
from streams.live.common.clock import Clock


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "nomadwatch.toml"
    file.write_text('partitions = 2\nbroker = "file:1"\ndata_dir = "from-file"\n[count]\nsession_timeout = 9\n')
    environment = {"NOMADWATCH_PARTITIONS": "3", "NOMADWATCH_BROKER": "environment:1"}
    known = load({"partitions": "4", "broker": None}, environment, tmp_path)
    assert (known.settings.partitions, known.settings.broker, known.settings.data_dir) == (
        4,
        "environment:1",
        "from-file",
    )
    assert known.settings.count.session_timeout == 9.0
    assert known.settings.measure.refresh_interval == 0.5
    assert known.origins["partitions"] == "--partitions"
    assert known.origins["broker"] == "NOMADWATCH_BROKER"
    assert known.origins["count.session_timeout"] == str(file)
    assert known.origins["measure.refresh_interval"] == "default"


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("partitions = 2")
    environment = {"NOMADWATCH_CONFIG": str(tmp_path / "other.toml")}
    assert load({}, environment, tmp_path).settings.partitions == 2
    with pytest.raises(Misuse, match=r"absent\.toml, which is not a file"):
        load({}, {"NOMADWATCH_CONFIG": "absent.toml"}, tmp_path)


def test_every_setting_can_be_set_from_the_environment(tmp_path: Path) -> None:
    text = {
        "broker": "b:1",
        "data_dir": "d",
        "prefix": "p",
        "watchlist": "w",
        "actor_key": "k" * 16,
        "dead_letters": "digest",
    }
    text |= {"github_api": "http://localhost:7", "hf_endpoint": "http://localhost:7", "time_scale": "1"}
    environment = {variable(name): text.get(name, "7") for name in names()}
    known = load({}, environment, tmp_path)
    assert set(known.origins.values()) == set(environment)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("partitions = 0", "0 is not valid for partitions; give a whole number, at least 1"),
        ('partitions = "many"', "'many' is not valid for partitions; give a whole number"),
        ("partition = 4", "there is no setting partition; did you mean partitions?"),
        ("[measure]\nspeed = 4", "there is no setting measure.speed"),
        ("partitions = ", "cannot be read"),
        ("partitions = [1]", "takes one value"),
        ("measure = 1", "there is no setting measure"),
    ],
)
def test_a_wrong_file_is_told_with_its_name(tmp_path: Path, content: str, said: str) -> None:
    file = tmp_path / "nomadwatch.toml"
    file.write_text(content)
    with pytest.raises(Misuse) as raised:
        load({}, {}, tmp_path)
    assert said in str(raised.value)
    assert str(file) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_wrong_variable_is_told_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=r"^NOMADWATCH_COUNT_SESSION_TIMEOUT: '-1' is not valid"):
        load({}, {"NOMADWATCH_COUNT_SESSION_TIMEOUT": "-1"}, tmp_path)


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("TIME_SCALE", "inf", "give a number, at most 100000"),
        ("TIME_SCALE", "nan", "give a number, greater than 0"),
        ("BROKER_WAIT", "1e300", "give a number, at most 31536000"),
        ("TIME_ORIGIN", "inf", "the clock would show an impossible time"),
        ("DEAD_LETTERS", "rawr", "give raw or digest"),
        ("PARTITIONS", "1025", "give a whole number, at most 1024"),
    ],
)
def test_a_value_that_cannot_be_is_refused_in_words(tmp_path: Path, name: str, value: str, wanted: str) -> None:
    with pytest.raises(Misuse) as raised:
        load({}, {f"NOMADWATCH_{name}": value}, tmp_path)
    assert str(raised.value).startswith(f"NOMADWATCH_{name}: ")
    assert wanted in str(raised.value)


def test_a_secret_is_shown_as_set_and_never_itself(tmp_path: Path) -> None:
    known = load({}, {"NOMADWATCH_ACTOR_KEY": "hush"}, tmp_path)
    shown = {name: (value, origin) for name, value, origin in known.table()}
    assert shown["actor_key"] == ("set", "NOMADWATCH_ACTOR_KEY")
    assert {name: row[0] for name, row in shown.items()}["broker"] == "–"
    assert "hush" not in str(shown)
    assert {name: value for name, value, _ in load({}, {}, tmp_path).table()}["actor_key"] == "not set"


def test_a_variable_that_is_no_setting_is_found_with_the_one_that_was_meant() -> None:
    found = unknown_variables({"NOMADWATCH_PARTITION": "1", "NOMADWATCH_CONFIG": "x", "HOME": "/"})
    assert found == [("NOMADWATCH_PARTITION", "NOMADWATCH_PARTITIONS")]


@pytest.mark.parametrize("variable", ["GITHUB_TOKEN", "HF_TOKEN"])
def test_a_token_is_taken_without_what_surrounds_it_or_refused_with_the_name_of_its_variable(
    variable: str, tmp_path: Path
) -> None:
    def token(text: str) -> str:
        settings = load({}, {variable: text}, tmp_path).settings
        return settings.github_token or settings.hf_token

    for text in ("made-up\r", "made-up\n", "\ufeffmade-up", "  made-up\t\r\n", "made-up\u200b", "made-up\0"):
        assert token(text) == "made-up"
    assert token("") == token(" \r\n") == ""
    for text in (
        "made up",
        "made\r\nup",
        '"made-up"',
        "'made-up",
        "Bearer made-up",
        "made-üp",
        "made\x1bup",
        "“made-up”",
    ):
        with pytest.raises(Misuse) as raised:
            token(text)
        assert str(raised.value).startswith(f"{variable}: the token ")
        assert "made" not in str(raised.value).removeprefix(variable)


def test_a_token_of_a_settings_file_is_checked_with_the_files_name(tmp_path: Path) -> None:
    file = tmp_path / "nomadwatch.toml"
    file.write_text('github_token = "made up"')
    with pytest.raises(Misuse, match=r"nomadwatch\.toml: the token contains a blank"):
        load({}, {}, tmp_path)


def test_an_address_is_taken_without_what_surrounds_it_or_refused_with_the_name_of_its_variable(tmp_path: Path) -> None:
    def addresses(text: str) -> tuple[str, str]:
        settings = load({}, {"NOMADWATCH_GITHUB_API": text, "HF_ENDPOINT": text}, tmp_path).settings
        return settings.github_api, settings.hf_endpoint

    for text in ("http://localhost:7", " http://localhost:7/ ", "http://localhost:7//\r\n"):
        assert addresses(text) == ("http://localhost:7",) * 2
    assert addresses("https://ghe.example/api/v3/")[0] == "https://ghe.example/api/v3"
    assert addresses("") == ("https://api.github.com", "https://huggingface.co"), "empty means not set"
    for text in (
        "localhost:7",
        "ftp://x",
        "http://",
        "http://a b",
        "http://x:99999",
        '"http://x"',
        "https:/x",
        "http://x/?q=1",
        "x",
    ):
        with pytest.raises(Misuse, match=r"^NOMADWATCH_GITHUB_API: "):
            addresses(text)
    with pytest.raises(Misuse) as raised:
        addresses("https://name:secret@host")
    assert "secret" not in str(raised.value)


def test_a_faster_clock_begins_at_the_start_unless_its_origin_is_set(tmp_path: Path) -> None:
    def clock(**environment: str) -> float:
        settings = load({}, environment, tmp_path).settings
        polling = polling_of(settings, Kept(partitions=1), "b:1", b"k" * 16)
        return Clock(polling.time_scale, polling.time_origin).now() / 1e6

    assert abs(clock(NOMADWATCH_TIME_SCALE="60") - time.time()) < 600
    assert abs(clock() - time.time()) < 10
    origin = time.time() - 1_000
    shown = clock(NOMADWATCH_TIME_SCALE="60", NOMADWATCH_TIME_ORIGIN=str(origin))
    assert abs(shown - (origin + 60_000)) < 600
    with pytest.raises(
        Misuse, match=r"^NOMADWATCH_TIME_ORIGIN: with time_scale 60 the clock would show an impossible time"
    ):
        clock(NOMADWATCH_TIME_SCALE="60", NOMADWATCH_TIME_ORIGIN="0")


def test_a_variable_that_is_no_setting_is_told_on_stderr(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    load({}, {"NOMADWATCH_INTERVALL_CAP": "1", "NOMADWATCH_GITHUB_TOKEN": "t", "NOMADWATCH_CONFIG": ""}, tmp_path)
    assert capfd.readouterr().err == (
        "nomadwatch: NOMADWATCH_GITHUB_TOKEN is not a setting and is ignored; did you mean GITHUB_TOKEN?\n"
        "nomadwatch: NOMADWATCH_INTERVALL_CAP is not a setting and is ignored; did you mean NOMADWATCH_INTERVAL_CAP?\n"
    )
