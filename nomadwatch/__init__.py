"""The front door: command line, settings, and the processes of a replay on one machine."""

from typing import Final

__version__: Final = "0.2.0"
