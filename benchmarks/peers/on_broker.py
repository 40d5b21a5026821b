"""Runs with_quix.py on the embedded broker, in a folder that is removed.

python -m benchmarks.peers.on_broker PYTHON HOUR
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.sides import NEW


def main() -> None:
    """Start the broker, run the program, end the broker."""
    python, hour = sys.argv[1:]
    with tempfile.TemporaryDirectory(prefix="nomadwatch-peers-") as folder:
        command = NEW.nomadwatch("broker", "--port", "0", "--data-dir", f"{folder}/broker")
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as broker:
            try:
                assert broker.stdout is not None
                address = broker.stdout.readline().strip()
                program = [python, "-W", "ignore", str(Path(__file__).with_name("with_quix.py"))]
                subprocess.run([*program, hour, address, f"{folder}/state"], check=True)
            finally:
                broker.terminate()


if __name__ == "__main__":
    main()
