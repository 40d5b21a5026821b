"""Zig-zag varints: the numbers inside a Kafka record."""

from broker.bulk import Buffer


def read_varint(data: Buffer, position: int) -> tuple[int, int]:
    """A zig-zag varint at a position, and the position after it. Raises IndexError or ValueError.

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
