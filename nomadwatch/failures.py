"""Which exceptions are news for the person rather than faults of the program."""

import errno
import sqlite3
from typing import Final

from broker.errors import BrokerError, PortTaken
from nomadwatch.errors import Failure, Misuse
from streams.errors import BrokerAway, StreamsError, UsageError

NO_ROOM: Final = (errno.ENOSPC, errno.EDQUOT)
# What does not go away by itself, so that another try is of no use, and what the person can do about it.
_LASTING: Final = {
    errno.EROFS: "its file system is mounted read-only: mount it for writing, or name another place",
    errno.EACCES: "give this user the right to it, or name another place",
    errno.EPERM: "give this user the right to it, or name another place",
}
_ADVICE: Final = {
    **_LASTING,
    errno.ENOSPC: "make room there, or name another place",
    errno.EDQUOT: "make room there, or name another place",
    errno.EMFILE: "allow this program more open files (ulimit -n)",
    errno.ENFILE: "the system has too many open files",
    errno.EIO: "look what is the matter with the disk",
    errno.ENOENT: "name a place that exists",
}


def explain(exception: BaseException, *, retry: bool = True) -> Failure | None:
    """The one line for an exception that a person can do something about; None for a fault of the program.

    With `retry` also None for what is worth another try: a broker that is away, a port whose taker may be gone soon, a
    file that cannot be used for a reason that may pass.

    >>> explain(UsageError("x is absent")), explain(BrokerAway("no answer")), explain(PortTaken("in use")), explain(KeyError("x"))
    (Misuse('x is absent'), None, None, None)
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
                f"the broker does not answer as it should ({type(exception).__name__}: {exception}); look at what it says"
            )
        case sqlite3.OperationalError() if exception.sqlite_errorcode & 0xFF == sqlite3.SQLITE_FULL:
            return no_room(None)
    return None


def cannot(error: OSError, what: str) -> Failure:
    """What to tell of something that the system refuses: what cannot be done, the system's reason, and what to do.

    >>> str(cannot(OSError(errno.EACCES, "Permission denied"), "x.csv cannot be written"))[:43]
    'x.csv cannot be written (Permission denied)'
    """
    reason = error.strerror or type(error).__name__
    return Failure(f"{what} ({reason}); {_ADVICE.get(error.errno or 0, 'name another place')}")


def no_room(place: str | None) -> Failure:
    """The disk is full; `place` is the file or folder that wanted to grow."""
    where = f" under {place}" if place else ""
    return Failure(
        f"the disk is full{where}; make room, or give a --data-dir with more, and run the same command again"
    )
