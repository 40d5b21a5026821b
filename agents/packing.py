"""Columns of numbers in few bytes: each packed by itself, so that whole columns are read as arrays.

A packed column is (how, bytes). Its length is not part of it. All numbers are little-endian.
"""

import struct
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

Column: TypeAlias = NDArray[Any]
Packed: TypeAlias = tuple[int, bytes]

# One value for all; the values as they are; integers by bytes of equal weight; a bitmap of those that are not 0, and
# these; runs of equal values; a table of the values that differ, and places in it.
CONSTANT, RAW, INTEGERS, SPARSE, RUNS, TABLE = range(6)

# Of integers: what is added to each, what each is multiplied with, and how many bytes each has.
_INTEGERS: Final = struct.Struct("<qIB")
_SECOND: Final = 1_000_000
_MILLISECOND: Final = 1_000
_PART: Final = struct.Struct("<I")


class Unreadable(ValueError):
    """Bytes are no packed column of this length and type."""


def pack_raw(column: Column) -> Packed:
    """The values as they are, or one where all are the same.

    >>> pack_raw(np.full(9, 7, np.uint8)), pack_raw(np.array([1, 2], "<u2"))
    ((0, b'\\x07'), (1, b'\\x01\\x00\\x02\\x00'))
    """
    if len(column) and (column == column[0]).all():
        return CONSTANT, column[:1].tobytes()
    return RAW, column.tobytes()


def pack_integers(column: Column) -> Packed:
    """Integers of 63 bits at most, in as few bytes each as the largest difference needs. Times that are whole seconds
    or milliseconds are kept as such.

    >>> how, data = pack_integers(np.array([10_000_000, 12_000_000, 75_000_000]))
    >>> how == INTEGERS, len(data) - _INTEGERS.size, unpack(how, data, 3, np.dtype("<i8")).tolist()
    (True, 3, [10000000, 12000000, 75000000])
    """
    if len(column) and (column == column[0]).all():
        return CONSTANT, column[:1].tobytes()
    least = int(column.min()) if len(column) else 0
    rest = (column.astype(np.int64) - least).astype("<u8")
    scale = 1
    if column.dtype.itemsize == 8:
        scale = next((unit for unit in (_SECOND, _MILLISECOND) if not (rest % np.uint64(unit)).any()), 1)
        if scale > 1:
            rest //= np.uint64(scale)
    width = max(1, (int(rest.max()).bit_length() + 7) // 8) if len(rest) else 1
    planes = rest.view(np.uint8).reshape(-1, 8)[:, :width].T
    return INTEGERS, _INTEGERS.pack(least, scale, width) + planes.tobytes()


def pack_sparse(column: Column) -> Packed:
    """Unsigned numbers that are mostly 0."""
    used = column != 0
    values = column[used]
    if not len(values) or len(values) == len(column):
        return pack_raw(column) if column.dtype.itemsize == 8 else pack_integers(column)
    how, data = pack_raw(values) if column.dtype.itemsize == 8 else pack_integers(values)
    return SPARSE, np.packbits(used).tobytes() + bytes((how,)) + data


def pack_runs(column: Column) -> Packed:
    """Numbers of which equal ones often stand side by side."""
    starts = np.flatnonzero(np.concatenate(([True], column[1:] != column[:-1]))) if len(column) else np.empty(0, int)
    if len(starts) < 2 or len(starts) * (column.dtype.itemsize + 1) >= column.nbytes:
        return pack_raw(column)
    lengths = np.diff(starts, append=len(column))
    return RUNS, _parts(len(starts), column[starts], lengths)


def pack_table(column: Column) -> Packed:
    """Numbers of which many are equal."""
    values, places = np.unique(column, return_inverse=True)
    width = max(1, (len(values).bit_length() + 7) // 8)
    if len(values) < 2 or len(values) * column.dtype.itemsize + width * len(column) >= column.nbytes:
        return pack_raw(column)
    return TABLE, _parts(len(values), values, places)


def _parts(count: int, values: Column, integers: Column) -> bytes:
    how, data = pack_integers(integers)
    return _PART.pack(count) + values.tobytes() + bytes((how,)) + data


def unpack(how: int, data: bytes, count: int, kind: np.dtype[Any]) -> Column:
    """The column of `count` values of a type. Raises `Unreadable`."""
    try:
        return _unpack(how, data, count, kind)
    except (ValueError, IndexError, struct.error, OverflowError) as error:
        raise Unreadable(str(error)) from None


def _unpack(how: int, data: bytes, count: int, kind: np.dtype[Any]) -> Column:
    column: Column
    if how == RAW:
        return _values(data, count, kind)
    if how == CONSTANT:
        return np.repeat(_values(data, 1, kind), count)
    if how == INTEGERS:
        return _integers(data, count, kind)
    if how == SPARSE:
        bitmap = (count + 7) // 8
        used = np.unpackbits(np.frombuffer(data, np.uint8, bitmap), count=count).view(np.bool_)
        column = np.zeros(count, kind)
        column[used] = _inner(data, bitmap, int(used.sum()), kind)
        return column
    if how in (RUNS, TABLE):
        (size,) = _PART.unpack_from(data)
        end = _PART.size + size * kind.itemsize
        values = _values(data[_PART.size : end], size, kind)
        if how == TABLE:
            column = values[_inner(data, end, count, np.dtype("<i8"))]
            return column
        lengths = _inner(data, end, size, np.dtype("<i8"))
        if int(lengths.sum()) != count or (lengths < 0).any():
            raise ValueError("runs of another length")
        column = np.repeat(values, lengths)
        return column
    raise ValueError(f"packed in an unknown way: {how}")


def _values(data: bytes, count: int, kind: np.dtype[Any]) -> Column:
    if len(data) != count * kind.itemsize:
        raise ValueError("of another length")
    return np.frombuffer(data, kind)


def _inner(data: bytes, at: int, count: int, kind: np.dtype[Any]) -> Column:
    """A column within a column: never one that holds another."""
    how = data[at]
    if how not in (CONSTANT, RAW, INTEGERS):
        raise ValueError("packed twice")
    column = _unpack(how, data[at + 1 :], count, kind)
    if kind == np.dtype("<i8") and len(column) and int(column.min()) < 0:
        raise ValueError("a place or a length below 0")
    return column


def _integers(data: bytes, count: int, kind: np.dtype[Any]) -> Column:
    least, scale, width = _INTEGERS.unpack_from(data)
    if not 1 <= width <= 8:
        raise ValueError(f"integers of {width} bytes")
    planes = np.zeros((count, 8), np.uint8)
    planes[:, :width] = _values(data[_INTEGERS.size :], count * width, np.dtype(np.uint8)).reshape(width, count).T
    column: Column = (planes.view("<u8").ravel().astype(np.int64) * scale + least).astype(kind)
    return column
