"""Where answers from the lake go: a table on the terminal, or CSV, JSON and Parquet to a file or stdout.

DuckDB works in a thread, so that Ctrl-C ends it whatever it is doing.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from nomadwatch.errors import Failure, Interrupted, Misuse
from nomadwatch.terminal import output
from nomadwatch.terminal.console import cell, console, table, tell
from sinks.lake.folder import LakeError

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

Answer = TypeVar("Answer")

STDOUT: Final = "-"
# Rows of a table for people.
MOST: Final = 1_000
_CHUNK: Final = 1 << 16
# Seconds between two looks at whether somebody asks for the end.
_LOOK: Final = 0.1
# Seconds that DuckDB has to end a question that is interrupted; a single step of one can take minutes.
_GRACE: Final = 1.0


def form_of(target: str) -> str:
    """By the end of a file's name.

    >>> form_of("out/OLMo.CSV"), form_of("all.parquet")
    ('csv', 'parquet')
    """
    form = Path(target).suffix.removeprefix(".").lower()
    if form not in ("csv", "json", "parquet"):
        raise Misuse(f"{target}: let the name end in .csv, .json or .parquet, or say the form with --format")
    return form


def check_target(form: str, target: str) -> None:
    """Raises Misuse now for what cannot be written so, Failure for a file that could not be written later."""
    if target == STDOUT:
        if form == "parquet":
            raise Misuse("Parquet is no text for standard output: name a file (-o FILE.parquet)")
        return
    if form == "table":
        raise Misuse("a table is for a terminal: write csv, json or parquet to a file")
    path = Path(target)
    problem = "it is a folder" if path.is_dir() else ""
    if not problem and not path.absolute().parent.is_dir():
        problem = f"there is no folder {path.absolute().parent}"
    if problem:
        raise Misuse(f"{target} cannot be written ({problem}); name another file")
    output.check(path, f"{target} cannot be written")


def answer(lake: Path, sql: str, form: str, target: str, memory: str) -> None:
    """Answer a question of a lake as `table`, `csv`, `json` or `parquet`, to a file or stdout (-). Raises Misuse for
    one that cannot be answered, Failure.
    """
    from sinks.lake.read import QueryError

    try:
        if form == "table":
            _print(lake, sql, memory)
        elif target == STDOUT:
            _to_stdout(lake, sql, form, memory)
        else:
            with output.whole(Path(target), f"{target} cannot be written") as file:
                _write(lake, sql, form, f"/dev/fd/{file.fileno()}", memory)
    except QueryError as error:
        raise Misuse(str(error)) from None
    except LakeError as error:
        raise Failure(str(error)) from None
    except Interrupted as asked_to_end:
        # DuckDB may still be at it, and its threads would abort the interpreter's orderly end. Nothing was changed.
        tell(str(asked_to_end))
        sys.stdout.flush()
        os._exit(Interrupted.exit_code)


def _print(lake: Path, sql: str, memory: str) -> None:
    from sinks.lake.read import asked, first_rows

    names, numbers, rows = _interruptibly(
        lake, memory, None, lambda connection: first_rows(connection, asked(connection, sql), MOST + 1)
    )
    shown = table()
    for name, is_number in zip(names, numbers, strict=True):
        shown.add_column(cell(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows[:MOST]:
        shown.add_row(*(cell("–", "dim") if value is None else cell(value) for value in row))
    console().print(shown)
    if len(rows) > MOST:
        tell(f"these are the first {MOST:,} rows; -o FILE.csv writes all of them")


def _write(lake: Path, sql: str, form: str, place: str, memory: str) -> None:
    from sinks.lake.read import asked, write

    _interruptibly(lake, memory, place, lambda connection: write(connection, asked(connection, sql), form, place))


def _to_stdout(lake: Path, sql: str, form: str, memory: str) -> None:
    """By way of a pipe: DuckDB would open standard output anew, and empty the file behind it."""
    source, sink = os.pipe()
    lost: list[BaseException] = []

    def copy() -> None:
        with os.fdopen(source, "rb") as pipe:
            try:
                while data := pipe.read(_CHUNK):
                    sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
            except (OSError, Failure) as error:
                lost.append(error)

    copying = threading.Thread(target=copy, daemon=True)
    copying.start()
    try:
        _write(lake, sql, form, f"/dev/fd/{sink}", memory)
    except OSError as error:
        if not lost:
            raise Failure(f"standard output cannot be written ({error})") from None
    finally:
        os.close(sink)
        copying.join(None if sys.exc_info()[1] is None else _GRACE)
    if lost:
        raise lost[0]


def _interruptibly(
    lake: Path, memory: str, target: str | None, work: "Callable[[DuckDBPyConnection], Answer]"
) -> Answer:
    """Do the work with a connection in a thread of its own, so that Ctrl-C ends it. Raises Interrupted."""
    from sinks.lake.read import opened

    connections: list[DuckDBPyConnection] = []
    answers: list[Answer] = []
    errors: list[BaseException] = []

    def do() -> None:
        try:
            with opened(lake, memory=memory, target=target) as connection:
                connections.append(connection)
                answers.append(work(connection))
        except BaseException as error:  # noqa: BLE001 - raised again by who waits for it
            errors.append(error)

    doing = threading.Thread(target=do, daemon=True)
    doing.start()
    try:
        while doing.is_alive():
            doing.join(_LOOK)
    except KeyboardInterrupt:
        # One request may reach a process twice: by its id and by its group.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for connection in connections:
            connection.interrupt()
        doing.join(_GRACE)
        raise Interrupted("interrupted") from None
    if errors:
        raise errors[0]
    return answers[0]
