"""What a worker needs to know; plain values, so that it can be handed to another process."""

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the roles `aggregate` and `measure`. Intervals in seconds.

    `silence` is for how long `measure` says nothing where nothing is new: less than after what its figures are taken
    for stale. `keep_everything`: `measure` forgets no rows, however old they are.
    """

    bootstrap: str
    prefix: str = ""
    partitions: int = 8
    data_dir: str
    checkpoint_interval: float = 0.5
    refresh_interval: float = 0.5
    silence: float = 20.0
    keep_everything: bool = False
    session_timeout: float = 6.0
    dead_letters: str = "raw"
