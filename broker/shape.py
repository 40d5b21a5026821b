"""Checks that every decoded request must pass: no null where the protocol forbids it, and a bounded number of elements.

kafka-python's codec accepts null everywhere, and a request of a megabyte can name hundreds of thousands of topics.
"""

from functools import cache
from typing import Any, Final, NamedTuple

from broker.bulk import MOST_ELEMENTS
from broker.errors import Malformed

_LONGEST_TEXT: Final = 32_767


class _Field(NamedTuple):
    """A field that may be null or that has a length."""

    name: str
    nullable: bool
    text: bool
    array: bool
    inner: tuple["_Field", ...]


def check_shape(message: Any, body: Any, version: int) -> None:
    """Raises Malformed for a request that fails. `message`: the class of the request in kafka-python."""
    if _elements(_fields(message, version), body) > MOST_ELEMENTS:
        raise Malformed(f"more than {MOST_ELEMENTS} elements")


@cache
def _fields(message: Any, version: int) -> tuple[_Field, ...]:
    return _plan(message._struct._fields, version)


def _plan(fields: Any, version: int) -> tuple[_Field, ...]:
    plan = []
    for field in fields:
        kind = field._type_str
        if field.for_version_q(version) and (field.is_array() or kind in ("string", "bytes")):
            inner = _plan(field.array_of._fields, version) if field.is_struct_array() else ()
            plan.append(
                _Field(field.name, field.nullable_for_version_q(version), kind == "string", field.is_array(), inner)
            )
    return tuple(plan)


def _elements(fields: tuple[_Field, ...], struct: Any) -> int:
    count = 0
    for field in fields:
        value = getattr(struct, field.name)
        if value is None:
            if not field.nullable:
                raise Malformed(f"{field.name} is null")
        elif field.text:
            if len(value) > _LONGEST_TEXT:
                raise Malformed(f"{field.name} has {len(value)} characters")
        elif field.array:
            count += len(value)
            if field.inner:
                count += sum(_elements(field.inner, each) for each in value)
    return count
