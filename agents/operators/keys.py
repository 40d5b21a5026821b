"""Sorted arrays of unsigned 64-bit keys, which all keyed operators are packed into."""

import struct
from collections.abc import Collection
from typing import Final

import numpy as np
from numpy.typing import NDArray

Keys = NDArray[np.uint64]
Places = NDArray[np.intp]

NO_KEYS: Final[Keys] = np.empty(0, np.uint64)

# A snapshot begins with kind, version, width of a value in bytes, and number of keys: 16 bytes, so that the arrays
# after it are aligned.
_HEADER: Final = struct.Struct("<4sHHQ")
HEADER_BYTES: Final = _HEADER.size
VERSION: Final = 1


def header(kind: bytes, count: int, width: int = 0) -> bytes:
    """The first 16 bytes of a snapshot of `count` keys with values of `width` bytes; `kind` is four letters."""
    return _HEADER.pack(kind, VERSION, width, count)


def read_header(kind: bytes, data: bytes) -> tuple[int, int]:
    """(number of keys, width of a value in bytes) of a snapshot; ValueError if it is of another kind or version.

    >>> read_header(b"tall", header(b"tall", 3, 4))
    (3, 4)
    >>> read_header(b"idid", header(b"tall", 3, 4))
    Traceback (most recent call last):
    ...
    ValueError: not a snapshot of kind 'idid' and version 1
    """
    if len(data) >= HEADER_BYTES:
        found, version, width, count = _HEADER.unpack_from(data)
        if (found, version) == (kind, VERSION):
            return count, width
    raise ValueError(f"not a snapshot of kind {kind.decode()!r} and version {VERSION}")


def as_keys(keys: Collection[int]) -> Keys:
    """The integers as an array, in their order."""
    return np.fromiter(keys, np.uint64, len(keys))


def find(sorted_keys: Keys, wanted: Keys) -> tuple[Places, NDArray[np.bool_]]:
    """For each wanted key its place in the sorted ones (where it would be inserted) and whether it is there.

    >>> places, found = find(as_keys([2, 4, 6]), as_keys([4, 5, 7]))
    >>> places.tolist(), found.tolist()
    ([1, 2, 3], [True, False, False])
    """
    places = np.searchsorted(sorted_keys, wanted)
    found = np.zeros(len(wanted), np.bool_)
    inside = places < len(sorted_keys)
    found[inside] = sorted_keys[places[inside]] == wanted[inside]
    return places, found


def starts_of_runs(sorted_keys: NDArray[np.uint64]) -> Places:
    """The places where a new value starts in a sorted array.

    >>> starts_of_runs(as_keys([2, 2, 5, 7, 7])).tolist()
    [0, 2, 3]
    """
    if not len(sorted_keys):
        return np.empty(0, np.intp)
    return np.flatnonzero(np.concatenate(([True], sorted_keys[1:] != sorted_keys[:-1])))


def places_by_chunk(keys: Keys, chunks: int) -> list[Places]:
    """The places of the keys of each chunk, in their order. A key belongs to chunk `(key >> 8) % chunks` (its low bits
    are not part of the hash).

    >>> [places.tolist() for places in places_by_chunk(as_keys([0x100, 0x200, 0x2FF, 0x300]), 2)]
    [[1, 2], [0, 3]]
    """
    chunk = ((keys >> np.uint64(8)) % np.uint64(chunks)).astype(np.uint16)
    order = np.argsort(chunk, kind="stable")
    return np.split(order, np.searchsorted(chunk[order], np.arange(1, chunks)))


def take_texts(ends: NDArray[np.uint32], text: bytes, places: Places) -> tuple[NDArray[np.uint32], bytes]:
    """A selection of joined texts. `ends` says where each text ends; the result has the ends and the joined text of
    those at the places, in their order.

    >>> ends, text = take_texts(np.array([1, 3, 6], np.uint32), b"abbccc", np.array([2, 0]))
    >>> ends.tolist(), text
    ([3, 4], b'ccca')
    """
    all_ends = ends.astype(np.int64)
    lengths = all_ends[places]
    lengths[places > 0] -= all_ends[places[places > 0] - 1]
    new_ends = np.cumsum(lengths)
    # For each byte of the new text its place in the old one.
    source = np.arange(new_ends[-1] if len(places) else 0) + np.repeat(all_ends[places] - new_ends, lengths)
    return new_ends.astype(np.uint32), np.frombuffer(text, np.uint8)[source].tobytes()
