"""Publishing to the topic `measurements` on a running broker, as the roles do."""

from collections.abc import Iterable

from aiokafka import AIOKafkaProducer

from agents.measurements import HealthReport, Measurement, encode, health_key
from streams.kafka.topics import Topics
from streams.live.common.health import Feeds


async def publish(bootstrap: str, topics: Topics, records: Iterable[tuple[bytes, bytes | None]]) -> None:
    """Write the records in their order."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, enable_idempotence=True)
    await producer.start()
    try:
        for key, value in records:
            await producer.send_and_wait(topics.measurements, value, key, partition=0)
    finally:
        await producer.stop()


def health_record(at: int, role: str = "streams", **more: object) -> tuple[bytes, bytes]:
    """A role's health; `rows` and `states` are empty unless given."""
    fields: dict[str, object] = {"role": role, "evaluated_at": at, "rows": []}
    return health_key(role), encode(HealthReport(**{**fields, **more}))  # type: ignore[arg-type]


def polled(at: int) -> tuple[bytes, bytes]:
    """The health of three feeds as pollers make it: a healthy one, one in trouble, one that has only begun."""
    feeds = Feeds()
    events = feeds.open("github:/events", "github", scope="all", sampled=True)
    events.state, events.coverage, events.newest, events.remaining = "ok", 0.0412, at - 95_000_000, 4871
    events.polls["new"], events.polls["unchanged"] = 1200, 3
    models = feeds.open("huggingface:models", "huggingface", scope="all")
    models.state, models.coverage, models.newest, models.remaining = "failing: 502", 0.97, at - 7_300_000_000, 0
    models.polls.update(new=40, limited=2, failed=5)
    models.gaps, models.gap_seconds = {"away": 1, "overflow": 3}, {"away": 930.0, "overflow": 45.5}
    feeds.open("github:/repos/huggingface/transformers/events", "github")
    rows = [Measurement(name, labels, value) for name, labels, value in feeds.rows(at)]
    return health_record(at, rows=rows, states={health.feed: health.state for health in feeds.by_name.values()})
