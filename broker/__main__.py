"""python -m broker FILE [--port N]: an embedded broker in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import sys

from broker.errors import BrokerError
from broker.store import SYNCHRONOUS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m broker", description="A Kafka-protocol broker for this machine, kept in one file."
    )
    parser.add_argument("file", help="the log; it is made if it is absent")
    parser.add_argument(
        "--port", type=int, default=9092, help="where to listen on 127.0.0.1; 0 takes a free port (default: 9092)"
    )
    parser.add_argument("--auto-create", action="store_true", help="create a topic when a client asks for it")
    parser.add_argument(
        "--partitions", type=int, default=1, help="of a topic that does not say how many, 1 to 1000 (default: 1)"
    )
    parser.add_argument(
        "--housekeeping",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="between two clean-ups, 0.01 to 86400 (default: 5)",
    )
    parser.add_argument(
        "--synchronous", choices=SYNCHRONOUS, default="NORMAL", help="FULL waits for the disk at each commit"
    )
    options = parser.parse_args()
    from broker.server import serve

    # What is in the topics is for its owner only.
    os.umask(0o077)

    def ready(port: int) -> None:
        print(f"Kafka protocol for this machine only, one broker, no replicas: 127.0.0.1:{port}", flush=True)

    try:
        asyncio.run(
            serve(
                options.file,
                options.port,
                ready=ready,
                auto_create=options.auto_create,
                partitions=options.partitions,
                housekeeping=options.housekeeping,
                synchronous=options.synchronous,
            )
        )
    except BrokerError as error:
        # What a file is called must not act on a terminal.
        print("broker: " + "".join(each if each.isprintable() else "\ufffd" for each in str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
