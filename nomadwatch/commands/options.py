"""Options that several commands share. Each is named after the setting that it sets."""

from collections.abc import Callable
from typing import Any, Final, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])

STDOUT: Final = "-"
TABLE_OR_JSON: Final = click.Choice(["table", "json"])
TABLE_OR_FILE: Final = click.Choice(["table", "json", "csv", "parquet"])


def option(name: str, *more: Any, **settings: Any) -> Callable[[Command], Command]:
    """`click.option`, typed so that it keeps the function's type."""
    return click.option(name, *more, **settings)


broker = option(
    "--broker",
    metavar="HOST:PORT",
    help="Address of a Kafka broker.  [default: the embedded broker; NOMADWATCH_BROKER]",
)
data_dir = option("--data-dir", metavar="DIR", help="The folder that keeps the state.  [NOMADWATCH_DATA_DIR]")
lake = option("--lake", metavar="DIR", help="A lake's folder, read as it is.  [default: that of the data folder]")
prefix = option("--prefix", metavar="TEXT", help="Prefix of the topics' names.  [NOMADWATCH_PREFIX]")
partitions = option(
    "--partitions",
    metavar="N",
    help="Partitions of the topics activity and facts.  [default: 8; NOMADWATCH_PARTITIONS]",
)
watchlist = option(
    "--watchlist", metavar="FILE", help="The watched projects.  [default: the built-in list; NOMADWATCH_WATCHLIST]"
)
port = option(
    "--port",
    metavar="N",
    help="The port of the page and /metrics; 0 takes a free one.  [default: 9108; NOMADWATCH_PORT]",
)
host = option(
    "--host",
    metavar="ADDRESS",
    help="The address that the page is served on; 0.0.0.0 is every interface.  [default: 127.0.0.1; NOMADWATCH_HOST]",
)
allow_host = option(
    "--allow-host",
    metavar="NAME",
    multiple=True,
    callback=lambda context, parameter, names: ",".join(names) or None,
    help="Also answer requests for this host name, for use behind a proxy; may be repeated.",
)
verbose = option(
    "-v", "--verbose", is_flag=True, help="Show the log of each process, and the traceback of one that crashed."
)
table_or_json = option(
    "--format",
    "form",
    type=TABLE_OR_JSON,
    default="table",
    show_default=True,
    help="A table for people, or JSON for programs.",
)
