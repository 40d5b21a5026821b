"""Lists and objects are split without decoding their content, whatever that is."""

import json
import tracemalloc
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.elements import elements, members
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE

DEEP = b"[" * 100_000 + b"]" * 100_000
LONE = b'{"a":"\\ud83d"}'
ODD = [DEEP, LONE, b'{"a":"\\ud83dx"}', b'{"a":"\xff"}', b'"\\\\"', b'"\\"],[{"', b"1e400", b"NaN"]
JSON = st.recursive(
    st.none() | st.integers() | st.text('ab"\\[]{}, \n😀'),
    lambda each: st.lists(each) | st.dictionaries(st.text('a"\\,:'), each),
)


def split(content: bytes, most: int = 1_000) -> list[bytes]:
    return [bytes(element) for element in elements(content, most)]


@pytest.mark.parametrize("odd", ODD)
def test_one_odd_element_leaves_its_neighbours_whole(odd: bytes) -> None:
    assert split(b'[{"id": 1},' + odd + b' , {"id": 2}]') == [b'{"id": 1}', odd, b'{"id": 2}']
    assert members(b'{"count": 2, "odd":' + odd + b"}") == {"count": b"2", "odd": odd}


@pytest.mark.parametrize(
    "broken", [b"", b"1", b'"x"', b"[", b"[1", b"[1]]", b"[1}", b"[1,", b"[1,]", b'["a]', b"[[1]", b"<p>[]", b"{}"]
)
def test_what_is_no_list_is_undecodable(broken: bytes) -> None:
    with pytest.raises(UNDECODABLE):
        elements(broken, 10)


@pytest.mark.parametrize("element", [b"0", b'{"id":1}', b"[0,0]", LONE, DEEP])
def test_no_more_elements_are_made_than_wanted(element: bytes) -> None:
    assert len(split(b"[" + b",".join([element] * 10) + b"]", 10)) == 10
    with pytest.raises(DeadLetter, match="too-long"):
        elements(b"[" + b",".join([element] * 11) + b"]", 10)


def test_millions_of_elements_take_no_memory() -> None:
    body = b"[" + b"0," * (8 << 20) + b"0]"
    tracemalloc.start()
    with pytest.raises(DeadLetter, match="too-long"):
        elements(body, 300)
    assert tracemalloc.get_traced_memory()[1] < 3 * len(body)
    tracemalloc.stop()


def test_what_has_too_many_brackets_to_walk_through_is_too_long() -> None:
    with pytest.raises(DeadLetter, match="too-long"):
        elements(b"[[" + b"{}," * 1_000_000 + b"0]]", 300)


@given(st.lists(JSON), st.booleans())
def test_every_list_is_split_as_json_has_it(value: list[Any], ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii).encode()
    assert [json.loads(element) for element in split(text)] == value
    # The lone surrogate makes all of it take the slow way.
    assert [json.loads(element) for element in split(b"[" + LONE + b"," + text + b"]")[1:]] == [value]


@given(st.dictionaries(st.text('ab"\\,:{}😀'), JSON), st.booleans())
def test_every_object_is_split_as_json_has_it(value: dict[str, Any], ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=ascii).encode()
    assert {name: json.loads(member) for name, member in members(text).items()} == value


def test_an_object_without_a_name_that_can_be_read_keeps_the_others() -> None:
    assert members(b'{"\\ud83d": 1, 5: 6, "b": 2}') == {"b": b"2"}
    with pytest.raises(msgspec.MsgspecError):
        members(b"[]")
