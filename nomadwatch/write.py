"""Where reports go: a file, written whole or not at all, or stdout."""

import os
import sys
from pathlib import Path
from typing import Final

from nomadwatch.errors import Failure, Misuse
from nomadwatch.failures import explain
from sinks.report import Report, as_csv, as_json

STDOUT: Final = "-"
# Wide enough for the tables where nobody's terminal says how wide it is.
_WIDTH: Final = 120


def check_target(target: str | None) -> None:
    """Raises Misuse now for a file that could not be written later."""
    if target in (None, STDOUT):
        return
    path = Path(str(target))
    problem = None
    if path.is_dir():
        problem = "it is a folder"
    elif not path.absolute().parent.is_dir():
        problem = f"there is no folder {path.absolute().parent}"
    else:
        try:
            partial = _partial(path)
            partial.touch()
            partial.unlink()
        except OSError as error:
            problem = error.strerror
    if problem is not None:
        raise Misuse(f"the report cannot be written to {path} ({problem}); name another file")


def write_report(report: Report, target: str | None, form: str, window: str = "24h") -> None:
    """Write it as `table`, `json` or `csv`."""
    if form == "table":
        text = _table(report, window, to_stdout=target in (None, STDOUT))
        if text is None:
            return
    else:
        text = as_json(report) if form == "json" else as_csv(report)
    if target in (None, STDOUT):
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    path = Path(str(target))
    try:
        _partial(path).write_text(text, encoding="utf-8")
        _partial(path).replace(path)
    except OSError as error:
        _partial(path).unlink(missing_ok=True)
        raise explain(error) or Failure(f"the report cannot be written to {path} ({error.strerror}); name another file") from None


def _partial(path: Path) -> Path:
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def _table(report: Report, window: str, to_stdout: bool) -> str | None:
    """The table as text; None when it went to stdout, with colours if a terminal is there."""
    import io

    from rich.console import Console

    from sinks.table import render

    if to_stdout:
        console = Console() if sys.stdout.isatty() else Console(width=_WIDTH)
        console.print(render(report, window))
        sys.stdout.flush()
        return None
    file = io.StringIO()
    Console(file=file, width=_WIDTH).print(render(report, window))
    return file.getvalue()
