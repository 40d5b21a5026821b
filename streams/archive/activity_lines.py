"""A line of an activities file (`*.activities.ndjson`) becomes the activity that it states, if that is valid."""

from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal, TypeAlias, cast

import msgspec

from streams.activity import AFFILIATIONS, ARTEFACTS, DAY, LATEST, PLATFORMS, Activity, activity_of, hash_name, row_of
from streams.assignment import Assignment
from streams.columns import Row
from streams.errors import DeadLetter
from streams.github_payloads import UNDECODABLE, Line
from streams.identities import DELETED, Identities, Repository
from streams.values import clean
from streams.watchlist import Watchlist

_LONGEST: Final = 300
_LONGEST_TEXT: Final = 5_000
_LONGEST_LABELS: Final = 100
_HASHES: Final = 1 << 64

# Fields that only describe an activity; the others say what was done, to what and when.
_DESCRIPTIONS: Final = ("thread", "affiliation", "project", "commits", "family", "relation", "labels", "text")
_DESCRIBING: Final = [
    (field.name, field.type) for field in msgspec.structs.fields(Activity) if field.name in _DESCRIPTIONS
]
_decode: Final = msgspec.json.Decoder(Activity).decode

# What `_is_sound` asks, for the decoder to check: most lines are valid. It cannot check hashes, which take 64 bits.
_NAME: TypeAlias = Annotated[str, msgspec.Meta(min_length=1, max_length=_LONGEST)]
_TEXT: TypeAlias = Annotated[str, msgspec.Meta(max_length=_LONGEST)]
_TIME: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=LATEST)]
_NUMBER: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=1 << 53)]
_Sound: Final = msgspec.defstruct(
    "_Sound",
    [
        *((name, _NAME) for name in ("id", "repo", "kind")),
        *((name, _TIME) for name in ("occurred_at", "ingested_at")),
        *((name, Annotated[int, msgspec.Meta(ge=0)]) for name in ("repo_id", "actor")),
        ("platform", Literal[PLATFORMS]),
        ("owner", _TEXT),
        ("artefact", Literal[ARTEFACTS], "software"),
        ("affiliation", Literal[AFFILIATIONS], None),
        *((name, _TEXT | None, None) for name in ("action", "project", "family", "relation")),
        *((name, _NUMBER | None, None) for name in ("thread", "commits")),
        ("labels", Annotated[list[_TEXT], msgspec.Meta(max_length=_LONGEST_LABELS)] | None, None),
        ("text", Annotated[str, msgspec.Meta(max_length=_LONGEST_TEXT)] | None, None),
    ],
    bases=(Activity,),
    kw_only=True,
    gc=False,
)
_decode_sound: Final = cast(Callable[[Line], Activity], msgspec.json.Decoder(_Sound).decode)


class ActivityLines:
    """Reads lines of activities files; `now` is the moment of reading in µs: nothing was received later.

    The project is worked out again, by the `assignments` of each platform, unless the line names one of the watchlist.
    Under the default watchlist a simulated activity keeps its project, because that list names real projects only.
    """

    def __init__(
        self,
        watchlist: Watchlist,
        now: int,
        *,
        include_bots: bool = False,
        assignments: Mapping[str, Assignment] | None = None,
    ) -> None:
        self._watchlist = watchlist
        self._assignments = assignments or {platform: Assignment(watchlist, platform) for platform in PLATFORMS}
        self._projects = {project.project for project in watchlist.projects}
        self._now = now
        self._include_bots = include_bots
        self._repositories: dict[tuple[str, str, int, str, str, str | None], Repository] = {}

    def read(self, line: Line, received: int | None = None) -> list[Activity]:
        """The activity of a line. Its receipt is the stated one, else `received`, else its event time. Raises
        `DeadLetter`.
        """
        [row] = self.rows(line, received)
        activity = activity_of(row)
        if not row[6].stated:
            assignment = self._assignments[activity.platform]
            activity.project = assignment.project_of(activity.repo_id, activity.repo, activity.artefact)
        return [activity]

    def rows(self, line: Line, received: int | None = None) -> tuple[Row, ...]:
        """The same as a row, whose repository has its project only if that is stated."""
        activity = self._read(line, received)
        return (row_of(activity, self._repository(activity)),)

    def _read(self, line: Line, received: int | None) -> Activity:
        try:
            activity = _decode_sound(line)
        except UNDECODABLE:
            activity = self._read_carefully(line, received)
        if activity.repo_id >= _HASHES or activity.actor >= _HASHES:
            raise DeadLetter("bad-activity")
        activity.ingested_at = min(activity.ingested_at, self._now)
        if activity.occurred_at > activity.ingested_at + DAY:
            raise DeadLetter("future")
        if self._include_bots:
            activity.bot = False
        return activity

    @staticmethod
    def _read_carefully(line: Line, received: int | None) -> Activity:
        try:
            activity = _decode(line)
        except UNDECODABLE:
            activity = _by_hand(clean(line), received)
        if not _is_sound(activity):
            raise DeadLetter("bad-activity")
        return activity

    def _is_stated(self, activity: Activity) -> bool:
        return activity.project in self._projects or (
            activity.simulated and bool(activity.project) and self._watchlist.is_default
        )

    def _repository(self, activity: Activity) -> Repository:
        project = activity.project if self._is_stated(activity) else None
        key = activity.platform, activity.artefact, activity.repo_id, activity.repo, activity.owner, project
        known = self._repositories.get(key)
        if known is None:
            if len(self._repositories) >= Identities.LIMIT:
                self._repositories.clear()
            known = self._repositories[key] = Repository(
                native="",
                name=activity.repo,
                hash=activity.repo_id,
                owner=activity.owner,
                project=project,
                platform=activity.platform,
                artefact=activity.artefact,
                stated=project is not None,
            )
        return known


def _by_hand(text: bytes, received: int | None) -> Activity:
    """The activity of a cleaned text that may lack its receipt and actor, and whose descriptive fields may have any
    type.
    """
    try:
        value = msgspec.json.decode(text)
    except UNDECODABLE:
        raise DeadLetter("json") from None
    if not isinstance(value, dict):
        raise DeadLetter("not-an-event")
    if "ingested_at" not in value:
        value["ingested_at"] = value.get("occurred_at") if received is None else received
    if value.get("actor") is None:
        # An unknown person: one of its own for each activity.
        value["actor"] = hash_name(f"{DELETED}:{value.get('id')}")
    for name, kind in _DESCRIBING:
        try:
            msgspec.convert(value.get(name), kind)
        except msgspec.ValidationError:
            del value[name]
    try:
        return msgspec.convert(value, Activity)
    except msgspec.ValidationError:
        raise DeadLetter("bad-activity") from None


def _is_sound(activity: Activity) -> bool:
    names = (activity.id, activity.repo, activity.kind)
    options = (activity.owner, activity.action, activity.project, activity.family, activity.relation)
    numbers = (activity.thread, activity.commits)
    labels = activity.labels or ()
    return (
        activity.platform in PLATFORMS
        and activity.artefact in ARTEFACTS
        and activity.affiliation in AFFILIATIONS
        and all(0 < len(name) <= _LONGEST for name in names)
        and all(option is None or len(option) <= _LONGEST for option in options)
        and all(0 <= value < _HASHES for value in (activity.repo_id, activity.actor))
        and all(0 <= time < LATEST for time in (activity.occurred_at, activity.ingested_at))
        and all(number is None or 0 <= number < 1 << 53 for number in numbers)
        and len(activity.text or "") <= _LONGEST_TEXT
        and len(labels) <= _LONGEST_LABELS
        and all(len(label) <= _LONGEST for label in labels)
    )
