"""The topics on a broker: made, compared with what is needed, looked at, removed."""

import asyncio
from typing import TYPE_CHECKING

from nomadwatch.connect import await_broker
from nomadwatch.errors import Failure, Misuse
from nomadwatch.settings import Settings

if TYPE_CHECKING:
    from streams.kafka.topics import Topics


def make_topics(bootstrap: str, topics: "Topics") -> list[str]:
    """Make the missing topics; those made. Raises Failure where one that was there is not as it must be."""
    from streams.kafka.admin import create

    made = create(bootstrap, topics)
    if len(made) < len(topics.names):
        check_topics(bootstrap, topics)
    return made


def check_topics(bootstrap: str, topics: "Topics") -> None:
    """Raises Failure with what to do where a topic is missing or not as it must be."""
    from streams.kafka.admin import check

    problems = check(bootstrap, topics)
    if problems:
        more = f" (and {len(problems) - 1} more: nomadwatch topics check)" if len(problems) > 1 else ""
        raise Failure(problems[0] + more)


def create(settings: Settings) -> None:
    """The command `topics create`."""
    made = make_topics(settings.broker, _topics(settings))
    print(f"made {', '.join(made)}" if made else f"all topics are on {settings.broker}, as they must be")


def check(settings: Settings) -> None:
    """The command `topics check`: a line for everything that is not as it must be."""
    from streams.kafka.admin import check as problems_of

    problems = problems_of(settings.broker, _topics(settings))
    for problem in problems:
        print(problem)
    if problems:
        raise Failure(
            f"{len(problems)} things about the topics on {settings.broker} must be changed; do what the lines above say"
        )
    print(f"all topics are on {settings.broker}, as they must be")


def lag(settings: Settings) -> None:
    """The command `topics lag`: records of `activity` that the count workers have not finished, by partition."""
    from streams.kafka.admin import lag as lag_of

    topics = _topics(settings)
    check_topics(settings.broker, topics)
    behind = lag_of(settings.broker, topics, f"{settings.prefix}count")
    for partition, records in sorted(behind.items()):
        print(f"{topics.activity} {partition}: {records:,}")
    print(f"in all: {sum(behind.values()):,} records")


def delete(settings: Settings) -> None:
    """The command `topics delete`."""
    from streams.kafka.admin import delete as delete_them

    gone = delete_them(settings.broker, _topics(settings))
    print(f"deleted {', '.join(gone)}" if gone else f"there are no such topics on {settings.broker}")


def _topics(settings: Settings) -> "Topics":
    """The topics that the settings mean, on a broker that answers."""
    if not settings.broker:
        raise Misuse("which broker? name it with --broker HOST:PORT")
    asyncio.run(await_broker(settings.broker, settings.broker_wait))
    from streams.kafka.topics import Topics

    return Topics(prefix=settings.prefix, partitions=settings.partitions)
