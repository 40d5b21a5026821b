"""Which exceptions are news for the person rather than faults of the program."""

import errno

from broker.errors import BrokerError, PortTaken
from nomadwatch.errors import Failure, Misuse
from streams.errors import BrokerAway, StreamsError, UsageError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


def explain(exception: BaseException, *, retry: bool = True) -> Failure | None:
    """The one line for an exception that a person can do something about; None for a fault of the program.

    With `retry` also None for what is worth another try: a broker that is away, a port whose taker may be gone soon.

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
        case OSError(errno=number) if number in _NO_ROOM:
            return no_room(exception.filename)
    return None


def no_room(place: str | None) -> Failure:
    """The disk is full; `place` is the file or folder that wanted to grow."""
    where = f" under {place}" if place else ""
    return Failure(f"the disk is full{where}; make room, or give a --data-dir with more, and run the same command again")
