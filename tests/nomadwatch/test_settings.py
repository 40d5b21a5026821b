"""Settings: which value wins, where it came from, and what is said of a wrong one."""

from pathlib import Path

import pytest

from nomadwatch.errors import Misuse
from nomadwatch.settings import load, names, unknown_variables, variable


def test_a_flag_beats_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "nomadwatch.toml"
    file.write_text('partitions = 2\nbroker = "file:1"\ndata_dir = "from-file"\n[aggregate]\nsession_timeout = 9\n')
    environment = {"NOMADWATCH_PARTITIONS": "3", "NOMADWATCH_BROKER": "environment:1"}
    known = load({"partitions": "4", "broker": None}, environment, tmp_path)
    assert (known.settings.partitions, known.settings.broker, known.settings.data_dir) == (4, "environment:1", "from-file")
    assert known.settings.aggregate.session_timeout == 9.0
    assert known.settings.measure.refresh_interval == 0.5
    assert known.origins["partitions"] == "--partitions"
    assert known.origins["broker"] == "NOMADWATCH_BROKER"
    assert known.origins["aggregate.session_timeout"] == str(file)
    assert known.origins["measure.refresh_interval"] == "default"


def test_the_environment_can_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "other.toml").write_text("partitions = 2")
    environment = {"NOMADWATCH_CONFIG": str(tmp_path / "other.toml")}
    assert load({}, environment, tmp_path).settings.partitions == 2
    with pytest.raises(Misuse, match=r"absent\.toml, which is no file"):
        load({}, {"NOMADWATCH_CONFIG": "absent.toml"}, tmp_path)


def test_every_setting_can_be_set_from_the_environment(tmp_path: Path) -> None:
    text = {"broker": "b:1", "data_dir": "d", "prefix": "p", "watchlist": "w", "actor_key": "k", "dead_letters": "digest"}
    environment = {variable(name): text.get(name, "7") for name in names()}
    known = load({}, environment, tmp_path)
    assert set(known.origins.values()) == set(environment)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("partitions = 0", "0 will not do for partitions"),
        ('partitions = "many"', "'many' will not do for partitions"),
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
    with pytest.raises(Misuse, match=r"^NOMADWATCH_AGGREGATE_SESSION_TIMEOUT: '-1' will not do"):
        load({}, {"NOMADWATCH_AGGREGATE_SESSION_TIMEOUT": "-1"}, tmp_path)


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
