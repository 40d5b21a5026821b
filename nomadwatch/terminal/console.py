"""Output to the terminal. Text from outside cannot control the terminal or forge a line of a log.

Standard error, and standard output to a terminal, are guarded as a whole. Tables add escape sequences for colours, so
their texts are cleaned before.

"""

import codecs
import io
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from streams.plain import one_line, plain

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

WIDTH: Final = 120


class Guarded:
    """A text stream without control characters; `raw` is the original stream."""

    def __init__(self, raw: Any) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        self.raw.write(plain(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    @property
    def buffer(self) -> "_GuardedBytes":
        return _GuardedBytes(self.raw)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)


class _GuardedBytes(io.RawIOBase):
    """The byte stream of a guarded stream; the bytes are UTF-8."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._raw.write(plain(self._decoder.decode(bytes(data))))
        return len(data)

    def flush(self) -> None:
        self._raw.flush()


def guard() -> None:
    """Guard standard error, and standard output if it is a terminal. Files and pipes get the unchanged text."""
    sys.stderr = Guarded(sys.stderr)
    if sys.stdout.isatty():
        sys.stdout = Guarded(sys.stdout)


def tell(line: str) -> None:
    """A line on stderr."""
    print(f"nomadwatch: {one_line(line)}", file=sys.stderr, flush=True)


def console(*, stderr: bool = False, width: int | None = None, file: Any = None) -> "Console":
    """A console on stdout, stderr or a file. If it is not a terminal: no colours, and WIDTH columns by default."""
    stream = file if file is not None else sys.stderr if stderr else sys.stdout
    raw = stream.raw if isinstance(stream, Guarded) else stream
    wide = width if width is not None else None if raw.isatty() else WIDTH
    made: Console = _kind()(file=raw, width=wide, highlight=False)
    return made


@cache
def _kind() -> Any:
    from rich.console import Console
    from rich.segment import Segment

    class Plain(Console):
        """Removes control characters from texts, before colours are added."""

        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(plain(segment.text), segment.style)

    return Plain


def cell(text: str, style: str = "") -> "Text":
    """A cell with text from outside, as one line without control characters."""
    from rich.text import Text

    return Text(one_line(text), style=style)


def table(*columns: str, numbers: tuple[str, ...] = ()) -> "Table":
    """An empty table in the common style.

    Columns in `numbers` are aligned to the right. Long cells are folded, never cut.
    """
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
