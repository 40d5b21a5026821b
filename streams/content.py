"""The lines of one archive file, whatever it is packed in, as far as they can be read."""

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, cast

import msgspec
import zstandard
from isal import isal_zlib

from streams.letters import KEPT
from streams.payloads import UNDECODABLE, Line

LONGEST_LINE: Final = 16 << 20
LONGEST_PAGE: Final = 64 << 20
_BLOCK: Final = 32 << 10
# isal's stub file takes its error for an instance.
_DAMAGED: Final = (cast(type[Exception], isal_zlib.IsalError), zstandard.ZstdError, EOFError, OSError)
_UNPACKERS: Final[dict[str, Callable[[], Any]]] = {
    ".gz": lambda: isal_zlib.decompressobj(31),
    ".zst": lambda: zstandard.ZstdDecompressor().decompressobj(),
}


class TooLong(bytes):
    """The beginning of a line that is longer than any event."""


class Content:
    """The lines of a file, in chunks, with what is wrong with it.

    Iterate once. `position` is how many bytes of the file have been taken in so far (of `size`). After the last chunk `damage` says why
    the rest could not be read (`truncated`, `unreadable`) or is None, and `remains` holds what stood last and is no whole line.
    A file that holds one JSON list (a recorded page of the API) gives its elements for lines.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = os.path.getsize(path)
        self.position = 0
        self.damage: str | None = None
        self.remains = b""

    def __iter__(self) -> Iterator[list[Line]]:
        chunks = self._chunks()
        first = next(chunks, b"")
        if not first.lstrip().startswith(b"["):
            return self._lines(first, chunks)
        # Perhaps a page: it is known only when all of it is there. If not, the lines are read from what has been gathered, and on.
        gathered = [first]
        length = len(first)
        for chunk in chunks:
            gathered.append(chunk)
            length += len(chunk)
            if length > LONGEST_PAGE:
                break
        start = b"".join(gathered)
        if length <= LONGEST_PAGE and self.damage is None:
            try:
                return iter([[bytes(element) for element in msgspec.json.decode(start, type=list[msgspec.Raw])]])
            except UNDECODABLE:
                pass
        return self._lines(start, chunks)

    def _lines(self, first: bytes, chunks: Iterator[bytes]) -> Iterator[list[Line]]:
        """Cut chunks into lines without copying them, except the ones that a chunk's end cuts in two."""
        rest = b""
        skipping = False  # inside a line that is too long, of which the beginning was given away
        for chunk in _then(first, chunks):
            end = chunk.find(b"\n")
            if end < 0:
                if not skipping:
                    rest += chunk
                if len(rest) > LONGEST_LINE:
                    yield [TooLong(rest[:KEPT])]
                    rest, skipping = b"", True
                continue
            lines: list[Line] = [] if skipping else [rest + chunk[:end]]
            skipping = False
            view = memoryview(chunk)
            find = chunk.find
            start = end + 1
            while (end := find(b"\n", start)) >= 0:
                lines.append(view[start:end])
                start = end + 1
            rest = chunk[start:]
            yield lines
        if self.damage is not None and not _is_whole(rest):
            self.remains = rest
        elif rest:
            yield [rest]

    def _chunks(self) -> Iterator[bytes]:
        """The unpacked bytes; ends early, with `damage` set, where they cannot be read."""
        new = _UNPACKERS.get(os.path.splitext(self.path)[1])
        produced = 0
        try:
            for chunk in self._blocks() if new is None else _unpack(self._blocks(), new):
                produced += len(chunk)
                yield chunk
            if self.size == 0:
                self.damage = "unreadable"
            return
        except _DAMAGED:
            pass
        if new is not None:
            for chunk in self._salvage(new, produced):
                produced += len(chunk)
                yield chunk
        self.damage = "truncated" if produced else "unreadable"

    def _blocks(self, bytewise_from: int | None = None) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            while block := file.read(_BLOCK if bytewise_from is None or file.tell() < bytewise_from else 1):
                self.position = file.tell()
                yield block

    def _salvage(self, new: Callable[[], Any], known: int) -> Iterator[bytes]:
        """What can still be had of the block in which unpacking failed: it fails as a whole, so it is fed again byte by byte."""
        skip = known
        try:
            for chunk in _unpack(self._blocks(max(0, self.position - _BLOCK)), new):
                if len(chunk) > skip:
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))
        except _DAMAGED:
            return


def _unpack(blocks: Iterable[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one or several packed members after each other; zero bytes between or after them are padding."""
    member = None
    for block in blocks:
        while block:
            if member is None or member.eof:
                block = block.lstrip(b"\0")
                if not block:
                    break
                member = new()
            chunk = member.decompress(block)
            block = member.unused_data if member.eof else b""
            if chunk:
                yield chunk
    if member is not None and not member.eof:
        raise EOFError


def _then(first: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from chunks


def _is_whole(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except UNDECODABLE:
        return False
    return True
