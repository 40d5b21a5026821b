"""What is read of the Hub's answers: only what tells activities apart. The decoders are typed and skip the rest.

Lists are decoded in two steps, the list first and then each element: an invalid element is one dead letter, not a lost
page.
"""

import re
from collections.abc import Callable
from typing import Annotated, Any, Final, TypeAlias, TypeVar

import msgspec

from streams.elements import LARGEST_ELEMENT, elements, is_small, members
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE
from streams.values import clean

T = TypeVar("T")
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
# A text that is saved, or becomes part of an id: a record must not be larger than Kafka accepts.
Short: TypeAlias = Annotated[str, msgspec.Meta(max_length=200)]
Raws: TypeAlias = list[msgspec.Raw]

# The three kinds of repositories, as activities and as addresses name them.
FOLDERS: Final = {"model": "models", "dataset": "datasets", "space": "spaces"}
RELATIONS: Final = ("finetune", "adapter", "merge", "quantized")
# What a listing states where the Hub had not recorded the creation.
UNKNOWN_CREATION: Final = "2022-03-02T23:29:04"
_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
_LONGEST_NAME: Final = 200
# Elements of one answer, and of one repository; real ones have hundreds at most.
_MOST_ELEMENTS: Final = 10_000
_MOST_TAGS: Final = 2_000


class HubBase(msgspec.Struct, gc=False):
    """A model that another one was made from."""

    id: Short
    native: Short | None = msgspec.field(name="_id", default=None)


class Bases(msgspec.Struct, gc=False):
    relation: Short | None = None
    models: list[HubBase] = []


class Listed(msgspec.Struct, gc=False, rename="camel"):
    """A repository in a listing; what the listing does not state is None.

    `gated` is False if no terms must be accepted.
    """

    id: Short
    native: Short | None = msgspec.field(name="_id", default=None)
    author: Short | None = None
    sha: Short | None = None
    last_modified: Short | None = None
    created_at: Short | None = None
    likes: Count | None = None
    downloads: Count | None = None
    downloads_all_time: Count | None = None
    tags: list[str] | None = None
    base_models: Bases | None = None
    gated: Any = None


class _Author(msgspec.Struct, gc=False):
    user: Short | None = None


class Commit(msgspec.Struct, gc=False):
    """`authors` are user names; the first one committed."""

    id: Short
    date: Short
    authors: list[_Author] = []


class HubPerson(msgspec.Struct, gc=False, rename="camel"):
    """The author of a thread or event, with flags where the Hub states them. A deleted account is absent or named
    `deleted`.
    """

    name: Short | None = None
    is_hf: bool | None = None
    is_owner: bool | None = None
    is_org_member: bool | None = None


class HubThread(msgspec.Struct, gc=False, rename="camel"):
    """A discussion or pull request in the list of its repository."""

    num: Count
    created_at: Short
    status: Short
    is_pull_request: bool = False
    num_comments: Count | None = None
    title: str | None = None
    author: HubPerson | None = None


class HubThreads(msgspec.Struct):
    """A page of threads; `count` is the number of all of them."""

    discussions: Raws
    count: Count = 0


class HubEvent(msgspec.Struct, gc=False, rename="camel"):
    """Something that happened in a thread."""

    id: Short
    type: Short
    created_at: Short
    author: HubPerson | None = None
    data: msgspec.Raw = msgspec.Raw(b"{}")


class HubDetails(HubThread, rename="camel"):
    """A thread with its events."""

    events: Raws = []


class _Latest(msgspec.Struct):
    raw: str | None = None


class CommentData(msgspec.Struct):
    """The data of an event of the type `comment`."""

    latest: _Latest | None = None


class StatusChangeData(msgspec.Struct):
    """The data of an event of the type `status-change`."""

    status: Short


class Liker(msgspec.Struct, gc=False):
    user: Short


def decoder(shape: type[T]) -> Callable[[bytes | msgspec.Raw], T]:
    """A decoder of one shape; anything else is a dead letter."""
    decode = msgspec.json.Decoder(shape).decode

    def read(raw: bytes | msgspec.Raw) -> T:
        if memoryview(raw).nbytes > LARGEST_ELEMENT:
            raise DeadLetter("too-long")
        try:
            return decode(raw)
        except UNDECODABLE:
            pass
        # An invalid character, such as half of a surrogate pair in a title, is replaced.
        text = clean(bytes(raw))
        try:
            return decode(text)
        except UNDECODABLE:
            raise DeadLetter("missing-field" if is_json(text) else "json") from None

    return read


def is_json(raw: bytes | msgspec.Raw) -> bool:
    """Whether the bytes are JSON of any shape.

    >>> is_json(b"[1]"), is_json(b"[1")
    (True, False)
    """
    try:
        msgspec.json.decode(raw, type=msgspec.Raw)
    except UNDECODABLE:
        return False
    return True


def decode_list(content: bytes) -> Raws:
    """The elements of an answer that is a list. Raises as `streams.elements` does."""
    return elements(content, _MOST_ELEMENTS)


def _with_list(shape: type[T], name: str) -> Callable[[bytes], T]:
    """A decoder of an object that holds a list. If an element or another member cannot be decoded, they are decoded one
    by one.
    """
    decode = msgspec.json.Decoder(shape).decode

    def read(content: bytes) -> T:
        if is_small(content):
            try:
                found = decode(content)
            except UNDECODABLE:
                pass
            else:
                if len(getattr(found, name)) > _MOST_ELEMENTS:
                    raise DeadLetter("too-long")
                return found
        parts = members(content)
        rows = elements(parts[name], _MOST_ELEMENTS) if name in parts else None
        texts = {key: clean(value) for key, value in parts.items() if key != name}
        kept = {key: msgspec.Raw(text) for key, text in texts.items() if is_json(text)}
        found = decode(msgspec.json.encode(kept if rows is None else {**kept, name: []}))
        if rows is not None:
            setattr(found, name, rows)
        return found

    return read


decode_listed: Final = msgspec.json.Decoder(Listed).decode
decode_threads: Final = _with_list(HubThreads, "discussions")
decode_details: Final = _with_list(HubDetails, "events")
read_listed: Final = decoder(Listed)
read_commit: Final = decoder(Commit)
read_thread: Final = decoder(HubThread)
read_event: Final = decoder(HubEvent)
read_liker: Final = decoder(Liker)
read_said: Final = decoder(CommentData)
read_changed: Final = decoder(StatusChangeData)


def is_name(text: str) -> bool:
    """Whether a text can be the name of a repository, and so part of an address.

    >>> is_name("allenai/OLMo-7B"), is_name("gpt2"), is_name("../whoami"), is_name("a/../b"), is_name("")
    (True, True, False, False, False)
    """
    parts = text.split("/")
    return len(text) <= _LONGEST_NAME and bool(_NAME.fullmatch(text)) and "." not in parts and ".." not in parts


def bases_of(listed: Listed) -> list[tuple[HubBase, str | None]]:
    """The models that one was made from, each with its relation if known: as the listing states them, else by its tags.

    >>> listed = Listed("a/b", tags=["base_model:c/d", "base_model:finetune:c/d"])
    >>> [(base.id, relation) for base, relation in bases_of(listed)]
    [('c/d', 'finetune')]
    """
    relations: dict[str, str | None] = {}
    natives: dict[str, str | None] = {}
    if listed.base_models is not None:
        for base in listed.base_models.models:
            relations[base.id] = listed.base_models.relation
            natives[base.id] = base.native
    for tag in (listed.tags or [])[:_MOST_TAGS]:
        match tag.split(":"):
            case ["base_model", relation, name]:
                relations[name] = relation
            case ["base_model", name]:
                relations.setdefault(name, None)
    return [
        (HubBase(name, natives.get(name)), relation if relation in RELATIONS else None)
        for name, relation in relations.items()
        if is_name(name) and name != listed.id
    ]
