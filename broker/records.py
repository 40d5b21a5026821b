"""Record batches of format 2: checked, opened for a compacted topic, built again for a reader.

A batch: base offset int64, length int32, leader epoch int32, magic int8, CRC-32C uint32 of all that follows, attributes int16, last
offset delta int32, first and newest timestamp int64, producer id int64, producer epoch int16, first sequence int32, number of records
int32, records. A record: length, attributes int8, timestamp delta, offset delta, key length, key, value length, value, headers; its
numbers are zig-zag varints.
Source: https://kafka.apache.org/documentation/#recordbatch
"""

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

from aiokafka.record.util import calc_crc32c  # C; kafka-python's own is pure Python and 200 times slower

from broker.bulk import Buffer
from broker.compression import CODECS, decompress
from broker.errors import Code, Refused

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_BODY_HEAD: Final = struct.Struct(">hiqqqhii")
_CRC_FROM: Final = 21
_LENGTH_FROM: Final = 12
TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_NO_STAMP: Final = -1


class Record(NamedTuple):
    """A record of a compacted topic; `stamp` in ms; `tail` is everything from the key's length on, as on the wire."""

    stamp: int
    key: bytes | None
    tombstone: bool
    tail: Buffer


class StoredRecord(NamedTuple):
    """A record with its place in the log."""

    offset: int
    stamp: int
    tail: Buffer


class Batch:
    """One batch as a producer sent it; raises Refused where a broker has to refuse it. The records stay packed."""

    def __init__(self, data: Buffer, *, check: bool = True) -> None:
        if len(data) < _HEAD.size:
            raise Refused(Code.CORRUPT_MESSAGE, "a record batch is too short")
        self.data = data
        (
            self.base,
            length,
            _,
            magic,
            crc,
            self.attributes,
            self.delta,
            self.first_stamp,
            self.newest_stamp,
            self.producer_id,
            self.epoch,
            self.sequence,
            self.count,
        ) = _HEAD.unpack_from(data)
        if not check:
            return
        if magic != 2:
            raise Refused(Code.INVALID_RECORD, "only record batches of format 2 are taken")
        if length + _LENGTH_FROM != len(data):
            raise Refused(Code.INVALID_RECORD, "a partition's data must be exactly one record batch")
        if calc_crc32c(memoryview(data)[_CRC_FROM:]) != crc:
            raise Refused(Code.CORRUPT_MESSAGE, "a record batch fails its checksum")
        if self.attributes & _CONTROL:
            raise Refused(Code.INVALID_RECORD, "control batches are the broker's")
        if self.count < 1 or self.delta != self.count - 1:
            raise Refused(Code.INVALID_RECORD, "offset deltas do not match the number of records")
        if self.attributes & 7 not in CODECS:
            raise Refused(Code.UNSUPPORTED_COMPRESSION_TYPE, "unknown compression")

    @property
    def transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def last_sequence(self) -> int:
        """Sequences wrap around after 2³¹ - 1."""
        return int(self.sequence + self.delta) & 0x7FFFFFFF

    def placed(self, offset: int) -> Buffer:
        """The batch with its base offset set, in place where the buffer allows it (offset and leader epoch are outside the checksum)."""
        data = self.data if isinstance(self.data, memoryview) and not self.data.readonly else bytearray(self.data)
        struct.pack_into(">qii", data, 0, offset, len(data) - _LENGTH_FROM, 0)
        return data

    def explode(self, limit: int) -> list[Record]:
        """The single records, opened to at most `limit` bytes."""
        packed = memoryview(self.data)[_HEAD.size :]
        body = decompress(self.attributes & 7, packed, limit) if self.attributes & 7 else packed
        records: list[Record] = []
        position = 0
        try:
            for expected in range(self.count):
                length, position = read_varint(body, position)
                end = position + length
                stamp_delta, at = read_varint(body, position + 1)
                delta, at = read_varint(body, at)
                key_length, key_at = read_varint(body, at)
                value_at = key_at + max(key_length, 0)
                value_length, _ = read_varint(body, value_at)
                stamp = self.first_stamp + stamp_delta
                sound = length >= 6 and end <= len(body) and value_at + max(value_length, 0) <= end
                if not sound or delta != expected or not _NO_STAMP <= stamp < 1 << 62:
                    raise ValueError
                key = bytes(body[key_at:value_at]) if key_length >= 0 else None
                records.append(Record(stamp, key, value_length < 0, body[at:end]))
                position = end
        except (IndexError, ValueError):
            raise Refused(Code.INVALID_RECORD, "the records of a batch cannot be read") from None
        if position != len(body):
            raise Refused(Code.INVALID_RECORD, "bytes after the last record")
        return records


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """A zig-zag varint and the position after it.

    >>> read_varint(bytes([0b10010110, 0b1]), 0)
    (75, 2)
    """
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), position
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def varint(number: int) -> bytes:
    """A number as a zig-zag varint.

    >>> [varint(n).hex() for n in (0, -1, 1, 75)]
    ['00', '01', '02', '9601']
    """
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number > 0x7F:
        out.append(0x80 | number & 0x7F)
        number >>= 7
    out.append(number)
    return bytes(out)


def build(records: Sequence[StoredRecord]) -> bytearray:
    """One uncompressed batch of records whose offsets may have gaps.

    >>> batch = Batch(build([StoredRecord(7, 1000, b"\\x02k\\x02v\\x00"), StoredRecord(9, 1001, b"\\x02k\\x01\\x00")]), check=False)
    >>> batch.base, batch.delta, batch.count, batch.newest_stamp
    (7, 2, 2, 1001)
    """
    base, first_stamp, _ = records[0]
    pieces: list[Buffer] = []
    newest = first_stamp
    for offset, stamp, tail in records:
        start = b"\0" + varint(stamp - first_stamp) + varint(offset - base)
        pieces.append(varint(len(start) + len(tail)) + start)
        pieces.append(tail)
        newest = max(newest, stamp)
    return _sealed(base, _BODY_HEAD.pack(0, records[-1].offset - base, first_stamp, newest, -1, -1, -1, len(records)), pieces)


def empty_control_batch(offset: int) -> bytearray:
    """A control batch that says nothing: it takes readers over a gap at the end of what they may read."""
    key = struct.pack(">hh", 0, 1)
    value = struct.pack(">hi", 0, 0)
    record = b"\0\0\0" + varint(len(key)) + key + varint(len(value)) + value + b"\0"
    return _sealed(offset, _BODY_HEAD.pack(TRANSACTIONAL | _CONTROL, 0, 0, 0, -1, -1, -1, 1), [varint(len(record)), record])


def _sealed(base: int, body_head: bytes, pieces: list[Buffer]) -> bytearray:
    head_size = _HEAD.size - _BODY_HEAD.size
    data = bytearray().join([bytes(head_size), body_head, *pieces])
    crc = calc_crc32c(memoryview(data)[_CRC_FROM:])
    struct.pack_into(">qiibI", data, 0, base, len(data) - _LENGTH_FROM, 0, 2, crc)
    return data


def first_since(data: bytes, stamp: int, limit: int) -> tuple[int, int]:
    """(offset, stamp in ms) of a batch's first record at or after `stamp`; one such record exists.

    Batches in lz4 or snappy are not opened: their first record is a safe, earlier answer.
    """
    batch = Batch(data, check=False)
    if CODECS[batch.attributes & 7] in ("lz4", "snappy"):
        return batch.base, batch.first_stamp
    for number, record in enumerate(batch.explode(limit)):
        if record.stamp >= stamp:
            return batch.base + number, record.stamp
    return batch.base + batch.delta, batch.newest_stamp
