"""The comparison of a report with the truth."""

import json
from pathlib import Path
from typing import Any

import pytest

from sinks.compare import differences, main


def report(**values: float) -> dict[str, Any]:
    return {
        "as_of": "2015-01-01T12:00:00Z",
        "input": {"activities": 3},
        "measurements": [{"name": name, "labels": {"window": "1h"}, "value": value} for name, value in values.items()],
    }


def test_equal_reports_have_no_differences_whatever_their_order() -> None:
    assert list(differences(report(a=1.0, b=0.1 + 0.2), report(b=0.3, a=1))) == []


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (report(a=1.0), "b{window=1h}: absent, must be 2"),
        (report(a=1.0, b=2.0, c=3.0), "c{window=1h}: 3, must be absent"),
        (report(a=1.0, b=2.0001), "b{window=1h}: 2.0001000000000002, must be 2"),
        ({**report(a=1.0, b=2.0), "as_of": None}, "as_of: None, must be 2015-01-01T12:00:00Z"),
        ({**report(a=1.0, b=2.0), "input": {"activities": 4}}, "input activities: 4, must be 3"),
    ],
)
def test_each_difference_is_told(other: dict[str, Any], said: str) -> None:
    assert list(differences(other, report(a=1.0, b=2.0))) == [said]


def test_times_are_compared_as_moments() -> None:
    assert list(differences({**report(a=1.0), "as_of": "2015-01-01T12:00:00.000000Z"}, report(a=1.0))) == []


def test_the_verdict_is_the_exit_code(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "truth").write_text(json.dumps(report(a=1.0)))
    (tmp_path / "report").write_text(json.dumps(report(a=2.0)))
    assert main(str(tmp_path / "truth"), str(tmp_path / "truth")) == 0
    assert "equals the truth: 1 measurements" in capsys.readouterr().out
    assert main(str(tmp_path / "report"), str(tmp_path / "truth")) == 1
    assert "differs from the truth in 1 places:\na{window=1h}" in capsys.readouterr().out
