"""Compares a report with another one or with a known truth: `python -m sinks.compare REPORT TRUTH`.

Prints the differences. The exit code is 1 if there are any.
"""

import json
import math
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

TOLERANCE: Final = 1e-9
_SHOWN: Final = 20


def differences(report: dict[str, Any], truth: dict[str, Any]) -> Iterator[str]:
    """A line for each value that differs from the truth, and for each measurement that only one of the two has.

    Values may differ by a relative 1e-9: sums of floating-point numbers depend on their order.

    >>> truth = {"as_of": None, "measurements": [{"name": "x", "labels": {}, "value": 1}]}
    >>> list(differences({"as_of": None, "measurements": []}, truth))
    ['x: absent, must be 1']
    """
    for name in ("as_of", "watermark"):
        if name in truth and _moment(report.get(name)) != _moment(truth[name]):
            yield f"{name}: {report.get(name)}, must be {truth[name]}"
    if report.get("world", "real") != truth.get("world", report.get("world", "real")):
        yield f"world: {report.get('world')}, must be {truth['world']}"
    for name, value in truth.get("input", {}).items():
        if report.get("input", {}).get(name) != value:
            yield f"input {name}: {report.get('input', {}).get(name)}, must be {value}"
    found, wanted = _by_series(report), _by_series(truth)
    for series in sorted(found.keys() | wanted.keys()):
        if series not in found:
            yield f"{series}: absent, must be {wanted[series]:.17g}"
        elif series not in wanted:
            yield f"{series}: {found[series]:.17g}, must be absent"
        elif not math.isclose(found[series], wanted[series], rel_tol=TOLERANCE, abs_tol=TOLERANCE):
            yield f"{series}: {found[series]:.17g}, must be {wanted[series]:.17g}"


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _by_series(report: dict[str, Any]) -> dict[str, float]:
    named = {}
    for each in report["measurements"]:
        labels = ",".join(f"{label}={value}" for label, value in sorted(each["labels"].items()))
        named[f"{each['name']}{{{labels}}}" if labels else each["name"]] = each["value"]
    return named


def main(report_path: str, truth_path: str) -> int:
    """Compare two files and print the result; returns the exit code."""
    report, truth = (json.loads(Path(path).read_text("utf-8")) for path in (report_path, truth_path))
    found = list(differences(report, truth))
    if not found:
        print(f"The report equals the truth: {len(truth['measurements']):,} measurements.")
        return 0
    print(f"The report differs from the truth in {len(found):,} places:")
    print("\n".join(found[:_SHOWN] + (["…"] if len(found) > _SHOWN else [])))
    return 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
