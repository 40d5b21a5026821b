"""Imported by the fork server: what the roles need is imported once."""

import gc
import os
from importlib import import_module

from nomadwatch.processes.process import MAIN_PROCESS

if os.environ.get(MAIN_PROCESS) == str(os.getppid()):
    # What is imported stays: there is nothing to collect.
    gc.disable()
    for module in (
        "broker.server",
        "streams.archive.plan",
        "streams.archive.publish",
        "streams.watchlist",
        "agents.count.worker",
        "agents.measure.worker",
    ):
        import_module(module)
    # The roles share these pages as long as no collection touches them.
    gc.freeze()
    gc.enable()
