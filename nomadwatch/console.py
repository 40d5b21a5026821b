"""Where a command prints tables: the terminal as wide as it is, or a pipe or file, wide enough for the tables."""

import sys
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

WIDTH: Final = 120


def console() -> "Console":
    """On stdout, without colours where nobody watches."""
    from rich.console import Console

    return Console(highlight=False) if sys.stdout.isatty() else Console(width=WIDTH, highlight=False)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> "Table":
    """An empty table in the house's style; the columns named in `numbers` stand to the right. Nothing is cut: long cells are folded."""
    from rich.table import Table

    made = Table(header_style="dim", box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for column in columns:
        made.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    return made


def print_json(value: Any) -> None:
    """Indented JSON on stdout."""
    import msgspec

    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value), indent=2).decode() + "\n")
    sys.stdout.flush()
