"""Record batches of format 2: checked, split into records for a compacted topic, and built again for a reader.

A batch: base offset int64, length int32, leader epoch int32, magic int8, CRC-32C uint32 of all that follows, attributes
int16, last offset delta int32, first and newest timestamp int64, producer id int64, producer epoch int16, first
sequence int32, number of records int32, records. A record: length, attributes int8, timestamp delta, offset delta, key
length, key, value length, value, headers; its numbers are zig-zag varints. Source:
https://kafka.apache.org/documentation/#recordbatch
"""

import asyncio
import itertools
import struct
import zlib
from collections.abc import Sequence
from typing import Final, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch  # C, as is the checksum
from aiokafka.record.util import calc_crc32c  # C; kafka-python's own is pure Python and 200 times slower

from broker.bulk import SLACK, Buffer
from broker.compression import CODECS, decompress
from broker.errors import Code, Refused
from broker.varint import read_varint, varint

_HEAD: Final = struct.Struct(">qiibIhiqqqhii")
_BODY_HEAD: Final = struct.Struct(">hiqqqhii")
HEAD_BYTES: Final = _HEAD.size
_CRC_FROM: Final = 21
_LENGTH_FROM: Final = 12
_CODEC_AT: Final = 22
TRANSACTIONAL: Final = 0x10
_CONTROL: Final = 0x20
_APPEND_TIME: Final = 0x08
_NO_STAMP: Final = -1
LAST_STAMP: Final = 253_402_300_799_999  # the end of the year 9999, where calendars end
_SLICE: Final = 2000
# The records of a batch, decompressed, may take this much or twice max.message.bytes, whichever is more.
OPENED_BYTES: Final = 16 << 20
_THREAD_BYTES: Final = 16 << 10


class Record(NamedTuple):
    """A record of a compacted topic. `stamp` in ms; `tail`: the bytes from the key's length on, as on the wire."""

    stamp: int
    key: bytes | None
    tombstone: bool
    tail: Buffer


class StoredRecord(NamedTuple):
    """A record with its offset."""

    offset: int
    stamp: int
    tail: Buffer


class RecordBatch:
    """One batch as a producer sent it. Its records stay compressed. Raises Refused for one that a broker must refuse.

    A memoryview must have SLACK bytes after it: the parser may read beyond the end of hostile bytes.
    """

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
        self.sound_length = magic == 2 and length + _LENGTH_FROM == len(data)
        if not check:
            return
        if magic != 2:
            raise Refused(Code.INVALID_RECORD, "only record batches of format 2 are accepted")
        if not self.sound_length:
            raise Refused(Code.INVALID_RECORD, "a partition's data must be exactly one record batch")
        if calc_crc32c(memoryview(data)[_CRC_FROM:]) != crc:
            raise Refused(Code.CORRUPT_MESSAGE, "a record batch fails its checksum")

    def check_produced(self) -> None:
        """Raises Refused for a header that no producer may send."""
        if self.attributes & _CONTROL:
            raise Refused(Code.INVALID_RECORD, "only the broker writes control batches")
        if self.attributes & _APPEND_TIME:
            raise Refused(Code.INVALID_TIMESTAMP, "only the broker sets the time of appending")
        if self.base != 0:
            raise Refused(Code.INVALID_RECORD, f"a producer's batch starts at offset 0, not {self.base}")
        if self.count < 1 or self.delta != self.count - 1:
            raise Refused(Code.INVALID_RECORD, f"{self.count} records and a last offset delta of {self.delta}")
        if self.attributes & 7 not in CODECS:
            raise Refused(Code.UNSUPPORTED_COMPRESSION_TYPE, "unknown compression")
        known = self.producer_id >= 0
        if (
            self.producer_id < -1
            or (known and (self.epoch < 0 or self.sequence < 0))
            or (self.transactional and not known)
        ):
            raise Refused(
                Code.INVALID_RECORD, f"producer {self.producer_id}, epoch {self.epoch}, sequence {self.sequence}"
            )

    @property
    def transactional(self) -> bool:
        return bool(self.attributes & TRANSACTIONAL)

    @property
    def last_sequence(self) -> int:
        """Sequences wrap around after 2³¹ - 1."""
        return int(self.sequence + self.delta) & 0x7FFFFFFF

    def placed(self, offset: int) -> Buffer:
        """The batch with its base offset set, in place if the buffer is writable.

        The checksum does not cover the offset and the leader epoch.
        """
        data = self.data if isinstance(self.data, memoryview) and not self.data.readonly else bytearray(self.data)
        struct.pack_into(">qii", data, 0, offset, len(data) - _LENGTH_FROM, 0)
        return data

    async def open(self, limit: int) -> None:
        """Decompress the records, to at most `limit` bytes; large ones in a thread. Raises Refused."""
        codec = self.attributes & 7
        packed = memoryview(self.data)[_HEAD.size :]
        if not codec:
            self._body: Buffer = packed
        elif len(packed) > _THREAD_BYTES:
            self._body = await asyncio.to_thread(decompress, codec, packed, limit)
        else:
            self._body = decompress(codec, packed, limit)

    async def check_records(self) -> None:
        """Check the opened records against the header, as Kafka does: number, offsets, lengths and timestamps.

        Sets `newest_stamp` to the newest timestamp, whatever the header says. Other tasks run between slices. Raises
        Refused.
        """
        expected, oldest, newest = 0, LAST_STAMP, _NO_STAMP
        try:
            records = itertools.chain(self._readable())
            while expected < self.count:
                # The parser reuses the record's object: keep nothing of it.
                for record in itertools.islice(records, _SLICE):
                    if record.offset != expected:
                        raise ValueError(f"the offset after {expected - 1} is {record.offset}")
                    expected += 1
                    stamp = record.timestamp
                    if stamp is None:
                        continue
                    if stamp > newest:
                        newest = stamp
                    if stamp < oldest:
                        oldest = stamp
                if expected < self.count:
                    await asyncio.sleep(0)
            next(records, None)  # raises if bytes follow
        except Exception as error:  # noqa: BLE001 - the parser may raise anything for bytes from outside
            raise Refused(Code.INVALID_RECORD, f"the {self.count} records of a batch cannot be read: {error}") from None
        if oldest < 0 or newest > LAST_STAMP:
            raise Refused(Code.INVALID_TIMESTAMP, f"stamps from {oldest} to {newest} ms since 1970")
        self.newest_stamp = newest

    def _readable(self) -> DefaultRecordBatch:
        """The batch for aiokafka's parser: uncompressed, at offset 0, with slack after it: it reads ahead."""
        if isinstance(self.data, memoryview) and not self.attributes & 7 and not self.base:
            return DefaultRecordBatch(self.data)
        head = bytearray(self.data[: _HEAD.size])
        struct.pack_into(">q", head, 0, 0)
        head[_CODEC_AT] &= 0xF8
        whole = b"".join((head, self._body, bytes(SLACK)))
        return DefaultRecordBatch(memoryview(whole)[:-SLACK])

    async def explode(self) -> list[Record]:
        """The opened records one by one, after `check_records`. Other tasks run between slices."""
        records: list[Record] = []
        body = self._body if isinstance(self._body, bytes) else bytes(self._body)
        position = 0
        for number in range(self.count):
            length, position = read_varint(body, position)
            end = position + length
            if body[position] > 0x7F:  # aiokafka's parser reads the attributes as a varint
                raise Refused(Code.INVALID_RECORD, f"the attributes of record {number} are unknown")
            stamp_delta, at = read_varint(body, position + 1)
            _, at = read_varint(body, at)
            key_length, key_at = read_varint(body, at)
            value_at = key_at + max(key_length, 0)
            value_length, _ = read_varint(body, value_at)
            key = body[key_at:value_at] if key_length >= 0 else None
            records.append(Record(self.first_stamp + stamp_delta, key, value_length < 0, body[at:end]))
            position = end
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return records

    async def first_since(self, stamp: int) -> tuple[int, int]:
        """(offset, timestamp) of the first opened record at or after `stamp` (ms). There must be one."""
        for number, record in enumerate(self._readable()):
            if record.timestamp is not None and record.timestamp >= stamp:
                return self.base + number, record.timestamp
            if number % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        return self.base + self.delta, self.newest_stamp


def checksum(row: int, stamp: int, tail: Buffer) -> int:
    """The CRC-32 of a record's row, timestamp and bytes, which is stored beside a record of a compacted topic."""
    return zlib.crc32(tail, zlib.crc32(struct.pack(">qq", row, stamp)))


def key_of(tail: Buffer) -> tuple[bytes | None, bool]:
    """(key in a record's tail, whether the record is a tombstone). Raises IndexError or ValueError for a damaged tail.

    >>> key_of(b"\\x02k\\x02v\\x00"), key_of(b"\\x02k\\x01\\x00")
    ((b'k', False), (b'k', True))
    """
    length, at = read_varint(tail, 0)
    end = at + max(length, 0)
    value_length, _ = read_varint(tail, end)
    return (bytes(tail[at:end]) if length >= 0 else None), value_length < 0


def build(records: Sequence[StoredRecord]) -> bytearray:
    """One uncompressed batch of records whose offsets may have gaps.

    >>> records = [StoredRecord(7, 1000, b"\\x02k\\x02v\\x00"), StoredRecord(9, 1001, b"\\x02k\\x01\\x00")]
    >>> batch = RecordBatch(build(records), check=False)
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
    return _sealed(
        base, _BODY_HEAD.pack(0, records[-1].offset - base, first_stamp, newest, -1, -1, -1, len(records)), pieces
    )


def empty_control_batch(offset: int) -> bytearray:
    """A control batch without content. It takes a reader past offsets that are missing at the end."""
    key = struct.pack(">hh", 0, 1)
    value = struct.pack(">hi", 0, 0)
    record = b"\0\0\0" + varint(len(key)) + key + varint(len(value)) + value + b"\0"
    return _sealed(
        offset, _BODY_HEAD.pack(TRANSACTIONAL | _CONTROL, 0, 0, 0, -1, -1, -1, 1), [varint(len(record)), record]
    )


def _sealed(base: int, body_head: bytes, pieces: list[Buffer]) -> bytearray:
    head_size = _HEAD.size - _BODY_HEAD.size
    data = bytearray().join([bytes(head_size), body_head, *pieces])
    crc = calc_crc32c(memoryview(data)[_CRC_FROM:])
    struct.pack_into(">qiibI", data, 0, base, len(data) - _LENGTH_FROM, 0, 2, crc)
    return data
