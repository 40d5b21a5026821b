"""One role in this process: for several machines, containers, or more workers."""

import asyncio
from pathlib import Path

from nomadwatch.connect import await_broker
from nomadwatch.errors import Misuse
from nomadwatch.logs import to_stderr
from nomadwatch.private import FOLDER_MODE, keep_private
from nomadwatch.processes.forkserver import one_thread
from nomadwatch.processes.workers import worker_config
from nomadwatch.settings import Settings
from nomadwatch.state import Kept, State, log_of
from nomadwatch.terminal.console import tell
from nomadwatch.topics import check_topics


def run_worker(name: str, settings: Settings, verbose: bool) -> None:
    """The role `count` or `measure` until SIGTERM or SIGINT, on a broker whose topics exist."""
    if not settings.broker:
        raise Misuse(f"{name} needs a broker; name it with --broker HOST:PORT")
    to_stderr(verbose)
    one_thread()
    asyncio.run(await_broker(settings.broker, settings.broker_wait, tell))
    from streams.kafka.topics import Topics

    check_topics(settings.broker, Topics(prefix=settings.prefix, partitions=settings.partitions))
    # Workers of one machine may share the folder: it holds caches only.
    folder = Path(settings.data_dir or f".nomadwatch-{name}").absolute()
    keep_private()
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
    except OSError as error:
        raise Misuse(
            f"the data folder {folder} cannot be used ({error.strerror}); name another with --data-dir"
        ) from None
    config = worker_config(
        settings, Kept(prefix=settings.prefix, partitions=settings.partitions), settings.broker, folder
    )
    if name == "count":
        from agents.count.worker import run
    else:
        from agents.measure.worker import run
        from nomadwatch.processes.lake_writer import keep_lake

        keep_lake(config, settings.time_scale)
    run(config)


def run_streams(settings: Settings, verbose: bool) -> None:
    """Run the pollers until SIGTERM or SIGINT, on a broker whose topics exist. Only one process may run them."""
    if not settings.broker:
        raise Misuse("streams needs a broker; name it with --broker HOST:PORT")
    to_stderr(verbose)
    asyncio.run(await_broker(settings.broker, settings.broker_wait, tell))
    from nomadwatch.processes.polling import poll, polling_of
    from streams.kafka.topics import Topics

    check_topics(settings.broker, Topics(prefix=settings.prefix, partitions=settings.partitions))
    # The key of the actors' hashes must never change: it is kept in the folder unless it is set.
    with State(settings.data_dir or ".nomadwatch-streams") as state:
        kept = Kept(prefix=settings.prefix, partitions=settings.partitions)
        poll(polling_of(settings, kept, settings.broker, state.actor_key(settings.actor_key)))


def run_broker(port: int, settings: Settings, verbose: bool) -> None:
    """Run the embedded broker until SIGTERM or SIGINT; prints its address. Raises PortTaken."""
    if not settings.data_dir:
        raise Misuse("the broker needs a folder for its log; name one with --data-dir")
    to_stderr(verbose)
    from broker.server import serve

    keep_private()
    with State(settings.data_dir) as state:
        state.check_room()
        asyncio.run(serve(log_of(state.path), port, ready=lambda taken: print(f"127.0.0.1:{taken}", flush=True)))
