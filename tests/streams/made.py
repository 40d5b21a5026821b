"""Small made-up inputs: events of both eras, archive files, and readings of them."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from streams.activity import Activity, Batch, decode_batch
from streams.archive.plan import plan
from streams.archive.sections import Letter, Options, Sections, Send, Step
from streams.kafka.cursors import Cursor, begin
from streams.watchlist import Project, Watchlist

KEY = b"a key of the tests"
NOW = 1_800_000_000_000_000
WATCHLIST = Watchlist([Project("olmo", github=("allenai",), huggingface=("allenai",))])
OPTIONS = Options(WATCHLIST)
PARTITIONS = 4
SECOND = 1_000_000


def event(kind: str = "PushEvent", number: int | str = 1, payload: Any = None, **changes: Any) -> dict[str, Any]:
    """An event as GitHub gives it, with changes; a payload that is not given is an empty one."""
    return {
        "id": str(number),
        "type": kind,
        "actor": {"id": 7, "login": "ada"},
        "repo": {"id": 42, "name": "allenai/OLMo"},
        "payload": {} if payload is None else payload,
        "public": True,
        "created_at": "2024-05-01T10:00:00Z",
        **changes,
    }


def pushes(count: int, *, repositories: int = 50, first: int = 0, hour: str = "2024-05-01T10") -> list[dict[str, Any]]:
    """Pushes, spread over repositories and over the seconds of an hour."""
    return [
        event(
            number=first + i,
            payload={"size": 1},
            repo={"id": i % repositories, "name": f"org/repo{i % repositories}"},
            created_at=f"{hour}:{i * 3600 // count // 60:02}:{i * 3600 // count % 60:02}Z",
        )
        for i in range(count)
    ]


def write(path: Path, rows: Iterable[Any]) -> Path:
    """Write rows (bytes as they are, everything else as JSON) as the lines of an archive file."""
    content = b"".join((row if isinstance(row, bytes) else json.dumps(row).encode()) + b"\n" for row in rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def start(paths: Iterable[Path], options: Options = OPTIONS, now: int = NOW) -> Sections:
    """A reading from its beginning."""
    planned = plan(map(str, paths))
    return Sections(planned, begin("archive", options.reading(planned, PARTITIONS, KEY), now, PARTITIONS), KEY, options)


def read_all(paths: Iterable[Path], options: Options = OPTIONS, now: int = NOW) -> list[Step]:
    """All steps of a reading."""
    return list(start(paths, options, now))


def batches(steps: Iterable[Step]) -> list[tuple[int, Batch]]:
    """The batches among the steps, each with its partition."""
    return [(step.partition, decode_batch(step.value)) for step in steps if isinstance(step, Send)]


def activities(steps: Iterable[Step]) -> list[Activity]:
    """The activities of all batches."""
    return [activity for _, batch in batches(steps) for activity in batch.activities]


def letters(steps: Iterable[Step]) -> list[dict[str, Any]]:
    """The dead letters among the steps."""
    return [json.loads(step.value) for step in steps if isinstance(step, Letter)]


def last_cursor(steps: Iterable[Step]) -> Cursor:
    """The cursor at the end of a reading."""
    return [step for step in steps if isinstance(step, Cursor)][-1]
