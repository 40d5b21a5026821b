"""Opening compressed batches, bounded: a small request must not become a large one."""

import zlib
from typing import Final

from broker.bulk import Buffer
from broker.errors import Code, Refused

CODECS: Final = {0: "none", 1: "gzip", 2: "snappy", 3: "lz4", 4: "zstd"}

# lz4 and snappy cannot be stopped half-way; they expand 255 times at most, in practice below 16.
_UNSTOPPABLE: Final = 16


def decompress(codec: int, data: Buffer, limit: int) -> bytes:
    """At most `limit` bytes; raises Refused for what is longer or cannot be read."""
    name = CODECS[codec]
    try:
        if name == "gzip":
            return _gunzip(data, limit)
        if name == "zstd":
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(data) as reader:
                return reader.read(limit)
        if len(data) <= limit // _UNSTOPPABLE:
            from aiokafka.codec import lz4_decode, snappy_decode

            return bytes((snappy_decode if name == "snappy" else lz4_decode)(bytes(data)))
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - each codec has its own errors; all mean that the bytes are not in this format
        raise Refused(Code.INVALID_RECORD, f"cannot decompress: {error}") from None
    raise Refused(Code.MESSAGE_TOO_LARGE, f"a batch in {name} is too large for a compacted topic")


def _gunzip(data: Buffer, limit: int) -> bytes:
    decompressor = zlib.decompressobj(31)
    opened = decompressor.decompress(data, limit)
    if decompressor.unconsumed_tail:
        raise Refused(Code.MESSAGE_TOO_LARGE, f"decompresses to more than {limit} bytes")
    return opened
