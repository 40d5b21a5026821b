"""What has been read of the topic `facts` and is not in the store yet: rows, names, places and progress, checkpoint by
checkpoint.
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from agents.facts import NO_ROWS, WATCHED, Facts, Rows, renumbered
from agents.measure.names import NamedRepository
from agents.measure.store import Place, Store
from agents.operators.names import Names
from agents.operators.progress import Progress, decode_progress, encode_progress
from streams.activity import Foreign
from streams.codes import HASH_MASK


class Incoming:
    """Records of all partitions on their way to a store. `progress` is what each partition has reached."""

    def __init__(self, store: Store, partitions: int) -> None:
        self._store = store
        self.progress: list[Progress | None] = [None] * partitions
        for number, place in store.places.items():
            self.progress[number] = decode_progress(place.progress)
        # Records of checkpoints of which the last record is still to come.
        self._pending: list[list[Facts]] = [[] for _ in range(partitions)]
        self._rows: list[Rows] = []
        self._places: dict[int, Place] = {}
        self._names: list[NamedRepository] = []

    def put(self, partition: int, facts: Facts, place: Place) -> bool:
        """A record, and the place behind it; whether it ends a checkpoint. `place.progress` is filled in here.

        Raises Foreign for a progress that goes back or stands still; it is passed over with what came before it.
        """
        self._pending[partition].append(facts)
        if facts.progress is None:
            return False
        records, self._pending[partition] = self._pending[partition], []
        before = self.progress[partition]
        if before is not None and facts.progress.offset <= before.offset:
            raise Foreign("a progress that goes back")
        progress = self.progress[partition] = facts.progress.follow(before)
        self._places[partition] = place._replace(progress=encode_progress(progress))
        for record in records:
            self._take(record)
        return True

    def _take(self, record: Facts) -> None:
        rows = record.rows
        if len(record.names):
            self._names += _named(record.names, rows[rows["flags"] & WATCHED > 0])
        if len(rows):
            self._rows.append(renumbered(record, self._store.project))

    @property
    def pending(self) -> list[int]:
        """The partitions of which a checkpoint was read in part: its progress is still to come."""
        return [number for number, records in enumerate(self._pending) if records]

    def drop_unfinished(self, partition: int) -> None:
        """Forget what was read since the last progress: it is of no checkpoint."""
        self._pending[partition].clear()

    @property
    def waiting(self) -> int:
        """Rows of whole checkpoints."""
        return sum(map(len, self._rows))

    def __bool__(self) -> bool:
        return bool(self._places)

    def store(self) -> Rows:
        """Bring whole checkpoints to the store; their rows."""
        rows = np.concatenate(self._rows) if self._rows else NO_ROWS
        self._store.append(rows, self._places, self._names)
        self._rows, self._places, self._names = [], {}, []
        return rows


def _named(names: Names, watched: Rows) -> Iterable[NamedRepository]:
    """Names as the store takes them."""
    keys, minutes, ends, text = names.pack()
    low = (keys & np.uint64(HASH_MASK)).view(np.int64).tolist()
    own = np.isin(keys, watched["repository"]).tolist()
    texts = [text[begin:end].decode() for begin, end in pairwise([0, *ends.tolist()])]
    return zip(low, minutes.tolist(), texts, own, strict=True)
