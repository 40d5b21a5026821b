"""python -m broker FILE [--port N]: run the embedded broker in the foreground, until Ctrl-C or SIGTERM."""

import argparse
import asyncio
import os
import sys

from broker.errors import BrokerError
from broker.store import SYNCHRONOUS


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m broker", description="A Kafka-protocol broker for this machine, with its log in one file."
    )
    parser.add_argument("file", help="the log; created if it does not exist")
    parser.add_argument("--port", type=int, default=9092, help="port on 127.0.0.1; 0 takes a free one (default: 9092)")
    parser.add_argument(
        "--auto-create", action="store_true", help="create a topic when a client asks for one that does not exist"
    )
    parser.add_argument(
        "--partitions",
        type=int,
        default=1,
        help="partitions of a topic that is created without a number, 1 to 1000 (default: 1)",
    )
    parser.add_argument(
        "--housekeeping",
        type=float,
        default=5.0,
        metavar="SECONDS",
        help="time between two clean-ups, 0.01 to 86400 (default: 5)",
    )
    parser.add_argument(
        "--synchronous",
        choices=SYNCHRONOUS,
        default="NORMAL",
        help="FULL waits for the disk at every commit (default: NORMAL)",
    )
    options = parser.parse_args()
    from broker.server import serve

    # Only the owner may read what is in the topics.
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
        # A file name must not control the terminal.
        print("broker: " + "".join(each if each.isprintable() else "\ufffd" for each in str(error)), file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
