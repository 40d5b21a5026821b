"""Turns exceptions that the user can do something about into one line, with advice."""

import errno
import sqlite3
from typing import Final

from broker.errors import BrokerError, PortTaken
from nomadwatch.errors import Failure, Misuse
from streams.errors import BrokerAway, StreamsError, UsageError

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
# Errors that do not go away by themselves, so that a retry is of no use, with advice.
_LASTING: Final = {
    errno.EROFS: "its file system is mounted read-only: mount it for writing, or choose another place",
    errno.EACCES: "change its permissions, or choose another place",
    errno.EPERM: "change its permissions, or choose another place",
}
_ADVICE: Final = {
    **_LASTING,
    errno.ENOSPC: "free some space, or choose another place",
    errno.EDQUOT: "free some space, or choose another place",
    errno.EMFILE: "allow this program more open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files",
    errno.EIO: "check the disk for errors",
    errno.ENOENT: "choose a place that exists",
}


def explain(exception: BaseException, *, retry: bool = True) -> Failure | None:
    """The failure for an exception that the user can do something about; None for a bug.

    With `retry`, also None for errors that may pass: a broker that does not answer, a port in use, some errors of
    files.

    >>> explain(UsageError("x is absent")), explain(KeyError("x"))
    (Misuse('x is absent'), None)
    >>> explain(BrokerAway("no answer")), explain(PortTaken("in use"))
    (None, None)
    >>> explain(PortTaken("port 1 is in use"), retry=False)
    Failure('port 1 is in use')
    """
    match exception:
        case Failure():
            return exception
        case BrokerAway() | PortTaken() if retry:
            return None
        case UsageError():
            return Misuse(str(exception))
        case StreamsError() | BrokerError():
            return Failure(str(exception))
        case OSError(errno=number) if number in NO_ROOM:
            return no_room(exception.filename)
        case OSError(errno=number) if number in _LASTING or not retry:
            return cannot(
                exception, f"{exception.filename} cannot be used" if exception.filename else "the system refuses"
            )
        case Exception() if not retry and type(exception).__module__.partition(".")[0] in ("aiokafka", "kafka"):
            return Failure(
                f"an unexpected answer from the broker ({type(exception).__name__}: {exception}); look at its log"
            )
        case sqlite3.OperationalError() if exception.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            return no_room(None)
    return None


def cannot(error: OSError, what: str) -> Failure:
    """The failure for something that the system refuses: what cannot be done, the reason, and what to do.

    >>> str(cannot(OSError(errno.EACCES, "Permission denied"), "x.csv cannot be written"))[:43]
    'x.csv cannot be written (Permission denied)'
    """
    reason = error.strerror or type(error).__name__
    return Failure(f"{what} ({reason}); {_ADVICE.get(error.errno or 0, 'choose another place')}")


def no_room(place: str | None) -> Failure:
    """The failure for a full disk. `place`: the file or folder that could not grow."""
    where = f" under {place}" if place else ""
    return Failure(
        f"the disk is full{where}; free some space, or choose a --data-dir with more, and run the same command again"
    )
