"""One file for each command or group of commands: its declaration, help and work.

A file is imported when its command is run. `SECTIONS` lists the commands for `nomadwatch --help`, which imports none.
"""

from typing import Final

# The command `x` is `command` in the module `x`; its line here is the first sentence of its help.
SECTIONS: Final = {
    "Watch": {
        "up": "Watch GitHub and the Hugging Face Hub live, until Ctrl-C.",
        "demo": "Show a station on a simulated GitHub and Hub: it needs no token and no network.",
        "watch": "Show or check the watchlist: the projects that are watched.",
        "bots": "Show which accounts count as bots, and why.",
    },
    "Replay": {
        "replay": "Measure archives: files, folders or globs of GH Archive hours and of activities.",
        "activities": "Write the activities of a station or a replay to a file that `replay` can read.",
    },
    "Look": {
        "report": "Show what a station or a replay has measured.",
        "feeds": "Show how each feed is doing.",
        "doctor": "Check the installation and its settings, and show where each setting comes from.",
    },
    "Ask": {
        "query": "Answer a question in SQL from everything that a station or a replay has counted.",
        "export": "Write a table of the lake for a range of dates, as CSV, JSON or Parquet.",
        "verify": "Count the figures of the board again, by SQL from the rows of the lake.",
        "backup": "Copy the rows and the lake to a new folder, also while the station runs, and check the copy.",
    },
    "Run one role": {
        "streams": "Run the pollers of GitHub and the Hub, until SIGTERM or Ctrl-C.",
        "count": "Run a worker that counts each activity once, until SIGTERM or Ctrl-C.",
        "measure": "Run the worker that makes measurements of what is counted, until SIGTERM or Ctrl-C.",
        "sinks": "Serve the measurements over HTTP, until SIGTERM or Ctrl-C: the page, /metrics, /healthz.",
        "broker": "Run the embedded broker by itself, for one machine, until SIGTERM or Ctrl-C.",
        "topics": "Create, check or delete the topics on a broker, or show how far behind the workers are.",
        "health": "Check whether the roles are healthy: one line for each role.",
    },
}
