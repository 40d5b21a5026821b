"""The settings of a worker, as plain values that can be passed to another process."""

import msgspec


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of the roles `count` and `measure`. Intervals in seconds.

    `silence`: after how long `measure` publishes again although nothing is new. It must be shorter than the time after
    which figures count as stale. `keep_everything`: `measure` keeps rows of any age.
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
