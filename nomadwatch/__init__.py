"""The program: its command line, its settings, and the processes of a station or a replay on one machine."""

from typing import Final

__version__: Final = "0.2.0"
