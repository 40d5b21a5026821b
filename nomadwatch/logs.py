"""What is logged: our own warnings always, our own information and the libraries' warnings with --verbose only."""

import logging
from typing import Final

from nomadwatch.terminal.console import tell

_OWN_LOGGERS: Final = ("agents", "broker", "nomadwatch", "sinks", "streams")


class _Lines(logging.Handler):
    """Prints each record as a line on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        tell(record.getMessage())


def to_stderr(verbose: bool) -> None:
    """Print what is logged in this process on stderr."""
    log_to(_Lines(), verbose)


def log_to(handler: logging.Handler, verbose: bool) -> None:
    """Let one handler take what is logged in this process."""
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING if verbose else logging.CRITICAL + 1)
    for package in _OWN_LOGGERS:
        logging.getLogger(package).setLevel(logging.INFO if verbose else logging.WARNING)
