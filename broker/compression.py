"""Decompression with a limit: a small request must not become a large one."""

import struct
import zlib
from typing import Final

from broker.bulk import Buffer
from broker.errors import Code, Refused

CODECS: Final = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}
_XERIAL: Final = b"\x82SNAPPY\0"
# Version, and oldest version that can read it, int32 each. No other version exists.
_XERIAL_VERSION: Final = struct.pack(">ii", 1, 1)
_XERIAL_HEAD: Final = 16
_SMALLEST_LIMIT: Final = 1 << 16


def decompress(codec: int, data: Buffer, limit: int) -> Buffer:
    """The decompressed bytes, at most `limit` of them. Raises Refused for more, and for invalid data."""
    name = CODECS[codec]
    try:
        return {"gzip": _gunzip, "zstd": _unzstd, "lz4": _unlz4, "snappy": _unsnappy}[name](data, limit)
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - each codec raises errors of its own, and all mean invalid data
        raise Refused(Code.CORRUPT_MESSAGE, f"the records of a batch are not valid {name}: {error}") from None


def _too_long(limit: int) -> Refused:
    return Refused(Code.MESSAGE_TOO_LARGE, f"a batch decompresses to more than {limit} bytes")


def _gunzip(data: Buffer, limit: int) -> Buffer:
    decompressor = zlib.decompressobj(31)
    opened = decompressor.decompress(data, limit)
    if decompressor.unconsumed_tail:
        raise _too_long(limit)
    if not decompressor.eof or decompressor.unused_data:
        raise ValueError("the compressed data do not end where the batch ends")
    return opened


def _unzstd(data: Buffer, limit: int) -> Buffer:
    import zstandard

    # Read to the end of the data: clients refuse bytes after the last frame.
    with zstandard.ZstdDecompressor(max_window_size=max(limit, _SMALLEST_LIMIT)).stream_reader(
        data, read_across_frames=True
    ) as reader:
        opened = reader.read(limit + 1)
    if len(opened) > limit:
        raise _too_long(limit)
    return opened


def _unlz4(data: Buffer, limit: int) -> Buffer:
    import cramjam

    opened = bytearray(limit)
    try:
        size = cramjam.lz4.decompress_into(data, opened)
    except cramjam.DecompressionError as error:
        if "whole buffer" in str(error):
            raise _too_long(limit) from None
        raise
    return memoryview(opened)[:size]


def _unsnappy(data: Buffer, limit: int) -> Buffer:
    """Raw snappy, or xerial's blocks: a header of 16 bytes, then for each block its length (int32) and raw snappy."""
    import cramjam

    if bytes(data[: len(_XERIAL)]) != _XERIAL:
        blocks = [data]
    else:
        if bytes(data[len(_XERIAL) : _XERIAL_HEAD]) != _XERIAL_VERSION:
            raise ValueError("unknown version of xerial's blocks")
        blocks, position = [], _XERIAL_HEAD
        while position < len(data):
            (length,) = struct.unpack_from(">i", data, position)
            position += 4
            if not 0 < length <= len(data) - position:
                raise ValueError("a block is truncated")
            blocks.append(data[position : position + length])
            position += length
    # Snappy states the decompressed length at its start.
    if sum(cramjam.snappy.decompress_raw_len(block) for block in blocks) > limit:
        raise _too_long(limit)
    return b"".join([bytes(cramjam.snappy.decompress_raw(block)) for block in blocks])
