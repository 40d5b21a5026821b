"""Named counters, by platform, feature, actor and project."""

from typing import Final, Self

import msgspec

VERSION: Final = 1
_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(tuple[int, list[tuple[str, int]]]).decode


class Counts:
    """Counters by name, such as `github/contribution/human`; one that is 0 does not exist.

    >>> counts = Counts()
    >>> counts.add("github/review/human")
    >>> counts.add("github/commits", 3)
    >>> other = Counts.restore(counts.snapshot())
    >>> other.merge(counts)
    >>> other.get()
    {'github/commits': 6, 'github/review/human': 2}
    """

    __slots__ = ("_counts",)

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def add(self, key: str, n: int = 1) -> None:
        """Add n. Raises ValueError if n is negative."""
        if n < 0:
            raise ValueError(f"{key} cannot grow by {n}")
        if n:
            self._counts[key] = self._counts.get(key, 0) + n

    def merge(self, other: Self) -> None:
        """Add another's counters."""
        counts = self._counts
        for key, n in other._counts.items():
            counts[key] = counts.get(key, 0) + n

    def subtract(self, other: Self) -> None:
        """Subtract another's counters. Raises ValueError, and changes nothing, if one would be below 0."""
        counts = self._counts
        for key, n in other._counts.items():
            if counts.get(key, 0) < n:
                raise ValueError(f"{key} holds {counts.get(key, 0)}, cannot lose {n}")
        for key, n in list(other._counts.items()):
            if counts[key] == n:
                del counts[key]
            else:
                counts[key] -= n

    def get(self) -> dict[str, int]:
        """{name: count}, without zeros; a copy."""
        return dict(self._counts)

    def __len__(self) -> int:
        """The number of counters that are not 0."""
        return len(self._counts)

    def snapshot(self) -> bytes:
        """MessagePack of the version and the sorted counters: the same counts always give the same bytes."""
        return _encode((VERSION, sorted(self._counts.items())))

    @classmethod
    def restore(cls, data: bytes) -> Self:
        """The counters of a snapshot. Raises ValueError for another version or other bytes."""
        try:
            version, items = _decode(data)
        except msgspec.MsgspecError as error:
            raise ValueError(f"not a snapshot of counts: {error}") from error
        if version != VERSION:
            raise ValueError(f"counts of version {version}, not {VERSION}")
        counts = cls()
        counts._counts = dict(items)
        return counts
