"""python -m tests.broker.crashing FILE ...: an embedded broker that kills itself just before or after a COMMIT, with
probability CRASH.
"""

import os
import random
import signal
import sys
from typing import Any

from broker import store
from broker.__main__ import main

_PROBABILITY = float(os.environ.get("CRASH", "0"))
_BEFORE = 0.4


def _crash() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


class CrashingStore(store.LogStore):
    """Its death just after a commit is the moment that idempotence is for: done, but not answered."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        execute = self.execute

        def execute_or_die(statement: str, *parameters: Any) -> Any:
            chosen = statement == "COMMIT" and random.random() < _PROBABILITY
            if chosen and random.random() < _BEFORE:
                _crash()
            result = execute(statement, *parameters)
            if chosen:
                _crash()
            return result

        self.execute = execute_or_die


if __name__ == "__main__":
    import broker.log

    vars(broker.log)["LogStore"] = CrashingStore
    sys.exit(main())
