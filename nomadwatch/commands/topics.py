"""`nomadwatch topics`: the topics on a broker, created, checked and deleted, and the lag of the workers."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from nomadwatch.commands import options
from nomadwatch.commands.listing import Group
from nomadwatch.connect import await_broker
from nomadwatch.errors import Failure, Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.settings import Settings, load
from nomadwatch.terminal.console import tell
from nomadwatch.topics import check_topics, make_topics

if TYPE_CHECKING:
    from streams.kafka.topics import Topics


@click.group("topics", cls=Group)
def command() -> None:
    """Create, check or delete the topics on a broker, or show how far behind the workers are."""


def _command(work: Callable[[Settings], None]) -> Callable[[Settings], None]:
    """A command of the group, named after the function that does its work, with the help of its docstring."""

    @options.broker
    @options.prefix
    @options.partitions
    def run(**flags: Any) -> None:
        to_stderr(verbose=False)
        work(load(flags).settings)

    run.__doc__ = work.__doc__
    command.command(work.__name__)(run)
    return work


@_command
def create(settings: Settings) -> None:
    """Create the topics that are missing, and check the others."""
    made = make_topics(settings.broker, _topics(settings))
    print(
        f"created {', '.join(made)}" if made else f"all topics exist on {settings.broker}, with the right configuration"
    )


@_command
def check(settings: Settings) -> None:
    """Compare the topics with what is needed.

    Prints a line for each difference, with what to do. If there is one, the exit code is 1.
    """
    from streams.kafka.admin import check as problems_of

    problems = problems_of(settings.broker, _topics(settings))
    for problem in problems:
        print(problem)
    if problems:
        raise Failure(f"problems with the topics on {settings.broker}: {len(problems)}; do what the lines above say")
    print(f"all topics exist on {settings.broker}, with the right configuration")


@_command
def lag(settings: Settings) -> None:
    """Show how far the workers are behind the feeds.

    The lag is the number of records of the topic activity, by partition, that the count workers have not finished.
    """
    from streams.kafka.admin import lag as lag_of

    topics = _topics(settings)
    check_topics(settings.broker, topics)
    behind = lag_of(settings.broker, topics, f"{settings.prefix}count")
    for partition, records in sorted(behind.items()):
        print(f"{topics.activity} {partition}: {records:,}")
    print(f"total: {sum(behind.values()):,} records")


@_command
def delete(settings: Settings) -> None:
    """Delete the topics with everything in them, to start again."""
    from streams.kafka.admin import delete as delete_them

    gone = delete_them(settings.broker, _topics(settings))
    print(f"deleted {', '.join(gone)}" if gone else f"no such topics exist on {settings.broker}")


def _topics(settings: Settings) -> "Topics":
    """The topics that the settings name, once the broker answers.

    Raises Misuse without a broker, Failure without answer.
    """
    if not settings.broker:
        raise Misuse("no broker is named; name it with --broker HOST:PORT")
    asyncio.run(await_broker(settings.broker, settings.broker_wait, tell))
    from streams.kafka.topics import Topics

    return Topics(prefix=settings.prefix, partitions=settings.partitions)
