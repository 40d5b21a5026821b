"""How long `nomadwatch demo` takes to show both platforms, and to end: from the command to the first answer of /metrics
that counts activity on each, and from Ctrl-C until no process is left.

python -m benchmarks.demo [--runs N]

One run before them fills the caches of the disk; each has a fresh folder that it must leave in order, as a station's.
Prints the median.
"""

import argparse
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

PLATFORMS = ("github", "huggingface")
_ASK_EVERY = 0.1
_PATIENCE = 120.0
_ACTIVITY = r'^nomadwatch_activity{{[^}}]*platform="{platform}"[^}}]*}} (?!0(\.0)?$)'


def once() -> dict[str, float]:
    """Seconds of one run until the page is served, until each platform is shown, and from Ctrl-C to the end."""
    with tempfile.TemporaryDirectory() as folder:
        return _timed([sys.executable, "-m", "nomadwatch", "demo", "--port", "0", "--data-dir", f"{folder}/state"])


def _timed(command: list[str]) -> dict[str, float]:
    begun = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = re.search(r"http://\S+/metrics", process.stdout.readline())
            assert address, "the demonstration does not say where it is served"
            reached = {"served": time.perf_counter() - begun}
            while len(reached) <= len(PLATFORMS):
                assert time.perf_counter() - begun < _PATIENCE, f"only {', '.join(reached)} within {_PATIENCE:g} s"
                text = _ask(address[0])
                for platform in PLATFORMS:
                    if re.search(_ACTIVITY.format(platform=platform), text, re.MULTILINE):
                        reached.setdefault(platform, time.perf_counter() - begun)
                time.sleep(_ASK_EVERY)
        finally:
            interrupted = time.perf_counter()
            process.send_signal(signal.SIGINT)
            # All processes have its standard output: it is closed when the last one has ended.
            process.communicate()
        return {**reached, "ended": time.perf_counter() - interrupted}


def _ask(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=30) as answer:
            text: str = answer.read().decode()
            return text
    except urllib.error.URLError:
        return ""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--runs", type=int, default=5)
    runs = parser.parse_args().runs
    once()  # fills the caches of the disk
    found = [once() for _ in range(runs)]
    for stage in ("served", *PLATFORMS):
        print(f"{stage:<12} median {statistics.median(run[stage] for run in found):5.2f} s")
    both = [max(run[platform] for platform in PLATFORMS) for run in found]
    print(
        f"{'both':<12} median {statistics.median(both):5.2f} s, {min(both):.2f} to {max(both):.2f} s, {runs} warm runs"
    )
    ended = [run["ended"] for run in found]
    print(
        f"{'ended':<12} median {statistics.median(ended):5.2f} s, {min(ended):.2f} to {max(ended):.2f} s after Ctrl-C"
    )


if __name__ == "__main__":
    main()
