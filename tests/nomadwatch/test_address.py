"""Where the page is served: an address that cannot be used is told with the setting that it came from."""

from pathlib import Path

import pytest

from nomadwatch.errors import Misuse
from nomadwatch.processes.sinks_role import Address
from nomadwatch.settings import load

TAKEN = "port 80 of 127.0.0.1 is in use"


def test_a_taken_port_is_told_with_the_flag_the_variable_or_the_file_that_names_it(tmp_path: Path) -> None:
    flag = "choose another with --port, or --port 0 for a free one"
    (tmp_path / "nomadwatch.toml").write_text("port = 80\n")
    for known, advice in (
        (load({}, {}, tmp_path / "absent"), flag),
        (load({"port": "80"}, {"NOMADWATCH_PORT": "81"}, tmp_path), flag),
        (load({}, {"NOMADWATCH_PORT": "80"}, tmp_path), "change NOMADWATCH_PORT (0 takes a free port)"),
        (load({}, {}, tmp_path), f"change port in {tmp_path / 'nomadwatch.toml'} (0 takes a free port)"),
    ):
        assert str(Address.of(known).failure("port", TAKEN)) == f"{TAKEN}: {advice}"


@pytest.mark.parametrize("variable", ["NOMADWATCH_HOST", "NOMADWATCH_ALLOW_HOST"])
def test_a_host_that_is_none_is_told_with_the_variable_that_names_it(variable: str, tmp_path: Path) -> None:
    with pytest.raises(Misuse, match=rf"^{variable}: 'http://x' is "):
        Address.of(load({}, {variable: "http://x"}, tmp_path))
