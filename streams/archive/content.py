"""The lines and values of one archive file, however it is packed, as far as they can be read."""

import codecs
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from streams.archive.forms import DAMAGED, HEAD, encoding, is_text, unpacker
from streams.github_payloads import Line
from streams.kafka.dead_letters import KEPT
from streams.values import BETWEEN, Step, clean, gap, step, torn

LONGEST_LINE: Final = 16 << 20
# A text without a line break is cut into its values from this length on, and again at every doubling of the rest.
LONG: Final = 64 << 10
_BLOCK: Final = 32 << 10
_MOST_LAYERS: Final = 3
_OPEN, _CLOSE = b"{}"
# A value over several lines has its line breaks after these.
_BREAKS: Final = (b"{", b"[", b",")


class TooLong(bytes):
    """The beginning of a line that is longer than any event."""


class Content:
    """The lines of a file, in chunks, and what is wrong with it.

    A line ends at a line break. But if a value goes on over line breaks, if values are in lists, and in a long text
    without line breaks, a line is one value. A line that looks like one object may still hold several: `values.values`
    separates them.

    Iterate once. `position` is the number of bytes read so far, of `size`. After the last chunk `damage` says why the
    rest could not be read (`truncated`, `unreadable`) or is None, and `remains` holds the rest that is no whole line.
    `blank` is the number of empty lines.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.size = os.path.getsize(path)
        self.position = 0
        self.damage: str | None = None
        self.remains = b""
        self.blank = 0
        self._rest = b""  # the part of a chunk that its end has cut
        self._goes_on = False  # the rest is a value that goes on over line breaks
        self._skipping = False  # inside a line that is too long, whose beginning was returned
        self._again = LONG  # the length from which the rest is examined again
        self._lists = 0  # how many lists are open
        self._final = False  # nothing follows

    def __iter__(self) -> Iterator[list[Line]]:
        for chunk in self._decoded():
            yield self._cut(chunk)
        yield from self._end()

    def _cut(self, chunk: bytes) -> list[Line]:
        """Cut a chunk into lines without copying them, except the part cut by its end, which is kept for the next
        chunk.
        """
        lines: list[Line] = []
        start = 0
        if self._skipping:
            start = chunk.find(b"\n") + 1
            if not start:
                return lines
            self._skipping = False
        elif self._rest:
            end = -1 if self._goes_on else chunk.find(b"\n")
            first = self._rest + chunk[: max(end, 0)]
            if end > 0 and first[0] == _OPEN and first[-1] == _CLOSE:
                lines.append(first)
                start = end + 1
            else:
                chunk = self._rest + chunk
                if self._goes_on and len(chunk) < self._again:
                    return self._keep(chunk, lines)
        self._goes_on = False
        view, find, text = memoryview(chunk), chunk.find, b""
        end = find(b"\n", start)
        while end >= 0:
            if chunk[start] == _OPEN and chunk[end - 1] == _CLOSE:
                lines.append(view[start:end])
                start = end + 1
            else:
                text = text or clean(chunk)
                found = self._odd(chunk, text, start, end, lines)
                if found is None:
                    self._goes_on = True
                    break
                start = found
            if start > end:
                end = find(b"\n", start)
        looked = self._goes_on
        if end < 0 and len(chunk) - start >= self._again:
            start = self._unbroken(chunk, text or clean(chunk), start, lines)
            looked = True
        rest = chunk[start:]
        if looked:
            self._again = max(LONG, 2 * len(rest))
        elif lines:
            self._again = LONG
        return self._keep(rest, lines)

    def _keep(self, rest: bytes, lines: list[Line]) -> list[Line]:
        if len(rest) > LONGEST_LINE:
            lines.append(TooLong(rest[:KEPT]))
            rest, self._goes_on, self._skipping = b"", False, True
        self._rest = rest
        return lines

    def _odd(self, chunk: bytes, text: bytes, start: int, end: int, lines: list[Line]) -> int | None:
        """Take a line that does not look like an object, of a chunk and its cleaned text. Returns where to go on, or
        None if a value in it goes on.
        """
        line = text[start:end]
        bare = line.strip(BETWEEN)
        if not bare:
            if line.strip(b" "):
                self._between(line)
            else:
                lines.append(chunk[start:end])  # a blank line keeps its number
                self.blank += 1
            return end + 1
        before, _, behind = line.partition(bare)
        if bare[0] == _OPEN and bare[-1] == _CLOSE:
            self._between(before + behind)
            lines.append(bare)
            return end + 1
        if b"{" not in line and not self._lists:
            lines.append(chunk[start:end])
            return end + 1
        at = start + len(before)
        value = step(text, at, end, final=self._final)
        if value.end is None:
            if value.sound:
                return None
            value = Step(end, sound=False)
        self._between(before)
        lines.append((text if value.sound else chunk)[at : value.end])
        assert value.end is not None
        following, lists = gap(text, value.end)
        if b"\n" in text[value.end : following]:
            # Only the text between the value and the end of its line: the next lines are lines again.
            following = text.index(b"\n", value.end) + 1
            lists = self._count(text[value.end : following])
        self._lists = max(0, self._lists + lists)
        return following

    def _unbroken(self, chunk: bytes, text: bytes, start: int, lines: list[Line]) -> int:
        """Take the values of a long text without line breaks. Returns where the first one begins whose end is not there
        yet.
        """
        while True:
            start, lists = gap(text, start)
            self._lists = max(0, self._lists + lists)
            if start == len(text):
                return start
            value = step(text, start, -1, final=self._final)
            if value.end is None or (value.end == len(text) and text[start] != _OPEN):
                return start
            lines.append((text if value.sound else chunk)[start : value.end])
            start = value.end

    def _between(self, between: bytes) -> None:
        self._lists = max(0, self._lists + self._count(between))

    @staticmethod
    def _count(between: bytes) -> int:
        return between.count(b"[") - between.count(b"]")

    def _end(self) -> Iterator[list[Line]]:
        """The text after the last line break, and whether the text ends as a complete one does."""
        last, self._rest, self._final = self._rest, b"", True
        if self._goes_on and last.find(b"\n") == len(last) - 1 and not last.rstrip().endswith(_BREAKS):
            # A line that has ended is invalid, as any line may be; the text was not cut in it.
            yield [last[:-1]]
            last = b""
        self._goes_on = False
        end = torn(last)
        if self.damage is not None and end == len(last) and not _is_object(last):
            end = 0
        if last[:end]:
            self._rest = last[:end]
            yield self._cut(b"" if self._rest.endswith(b"\n") else b"\n")
        if last[end:] or self._lists:
            self.damage, self.remains = self.damage or "truncated", last[end:]

    def _decoded(self) -> Iterator[bytes]:
        """The chunks as UTF-8."""
        chunks = self._chunks()
        first = next(chunks, b"")
        name = encoding(first)
        if name is None:
            yield from _then(first, chunks)
            return
        decode = codecs.getincrementaldecoder(name)("replace").decode
        for chunk in _then(first, chunks):
            yield decode(chunk).encode()

    def _chunks(self) -> Iterator[bytes]:
        """The unpacked bytes; if they cannot be read, it ends early and sets `damage`."""
        with open(self.path, "rb") as file:
            head = file.read(HEAD)
        if unpacker(head.lstrip(b"\0")) is None and self.path.endswith((".gz", ".zst")) and not is_text(head):
            self.position, self.damage = self.size, "unreadable"
            return
        produced = 0
        try:
            for chunk in _unpacked(self._blocks()):
                produced += len(chunk)
                yield chunk
            if self.size == 0:
                self.damage = "unreadable"
            return
        except DAMAGED:
            pass
        for chunk in self._salvage(produced):
            produced += len(chunk)
            yield chunk
        self.damage = "truncated" if produced else "unreadable"

    def _blocks(self, bytewise_from: int | None = None) -> Iterator[bytes]:
        with open(self.path, "rb") as file:
            while block := file.read(_BLOCK if bytewise_from is None or file.tell() < bytewise_from else 1):
                self.position = file.tell()
                yield block

    def _salvage(self, known: int) -> Iterator[bytes]:
        """The readable rest of the block in which unpacking failed. The block fails as a whole, so it is fed again byte
        by byte.
        """
        skip = known
        try:
            for chunk in _unpacked(self._blocks(max(0, self.position - _BLOCK))):
                if len(chunk) > skip:
                    yield chunk[skip:]
                skip = max(0, skip - len(chunk))
        except DAMAGED:
            return


def _unpacked(blocks: Iterator[bytes], layers: int = _MOST_LAYERS) -> Iterator[bytes]:
    """The bytes with all layers of packing removed; bytes that are not packed stay as they are."""
    head = b""
    while len(head) < 4 and (block := next(blocks, None)) is not None:
        head = (head + block).lstrip(b"\0") if not head else head + block
    new = unpacker(head)
    if new is None or not layers:
        return _then(head, blocks)
    return _unpacked(_unpack(_then(head, blocks), new), layers - 1)


def _unpack(blocks: Iterable[bytes], new: Callable[[], Any]) -> Iterator[bytes]:
    """Unpack one or several packed members in a row; zero bytes between or after them are padding."""
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


def _is_object(line: bytes) -> bool:
    bare = clean(line).strip(BETWEEN)
    return bare[:1] == b"{" and bare[-1:] == b"}"
