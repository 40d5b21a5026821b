"""What a history is made of: all records up to an end. Where one is missing or damaged that is said, and nobody waits
for it for ever.
"""

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from agents.past import PaneStore, RecordsLost, gather

from agents.config import Config
from streams.activity import Batch, encode_batch
from streams.errors import BrokerAway
from streams.kafka.topics import Topics
from tests.broker.raw import Raw, batch
from tests.streams.brokers import broker

ONE = Topics(prefix="past-", partitions=1)


def gathered(bootstrap: str, folder: Path, end: int) -> int:
    """The offset up to which the records were taken."""
    config = Config(bootstrap=bootstrap, prefix=ONE.prefix, partitions=1, data_dir=str(folder))
    with PaneStore(folder / f"panes-{end}.db") as store:
        (progress,) = asyncio.run(gather(config, {0: end}, store, lambda share: None))
    return progress.offset


def test_a_record_that_is_missing_or_damaged_is_told_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.kafka.consume.STUCK", 1.0)
    with broker(tmp_path, topics=ONE) as process:
        with Raw(process.bootstrap) as raw:
            for number in range(3):
                assert raw.produce(ONE.activity, batch(encode_batch(Batch(feed="github", complete_to=0)))) == (
                    0,
                    number,
                )
        assert gathered(process.bootstrap, tmp_path, 3) == 2
        with pytest.raises(RecordsLost, match="past-activity ends with record 2 of partition 0, not 3"):
            gathered(process.bootstrap, tmp_path, 4)
        process.kill()
        with closing(sqlite3.connect(tmp_path / "broker.log")) as file, file:
            (row, data) = file.execute("SELECT id, data FROM batches ORDER BY id LIMIT 1 OFFSET 1").fetchone()
            file.execute("UPDATE batches SET data = ? WHERE id = ?", ((7).to_bytes(8, "big") + data[8:], row))
        process.start()
        with pytest.raises(
            BrokerAway, match="nothing of past-activity, partition 0, from offset 1 on: its log may be damaged"
        ):
            gathered(process.bootstrap, tmp_path, 3)
