"""The topics on a broker: created, and compared with what the program needs."""

from typing import TYPE_CHECKING

from nomadwatch.errors import Failure

if TYPE_CHECKING:
    from streams.kafka.topics import Topics


def make_topics(bootstrap: str, topics: "Topics") -> list[str]:
    """Create the missing topics; returns their names. Raises Failure if an existing one has the wrong configuration."""
    from streams.kafka.admin import create

    made = create(bootstrap, topics)
    if len(made) < len(topics.names):
        check_topics(bootstrap, topics)
    return made


def check_topics(bootstrap: str, topics: "Topics") -> None:
    """Raises Failure, with what to do, if a topic is missing or has the wrong configuration."""
    from streams.kafka.admin import check

    problems = check(bootstrap, topics)
    if problems:
        more = f" (and {len(problems) - 1} more: nomadwatch topics check)" if len(problems) > 1 else ""
        raise Failure(problems[0] + more)
