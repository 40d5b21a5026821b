"""Hand-made records of the topic `measurements`."""

from agents.measurements import EVALUATION, Evaluation, Measurement, encode, series

NOON = 1_420_113_600_000_000


def measurement(name: str, value: float, **labels: str) -> Measurement:
    return Measurement(f"nomadwatch_{name}", labels, value)


def record(made: Measurement) -> tuple[bytes, bytes]:
    return series(made.name, made.labels), encode(made)


def evaluation(**changes: object) -> Evaluation:
    fields: dict[str, object] = {
        "evaluated_at": NOON,
        "front": NOON - 1,
        "watermark": NOON,
        "offsets": {0: 10, 1: 7},
        "activities": 100,
        "duplicates": 2,
        "late": 1,
        "dead_letters": {"late-stamp": 3},
        "closed": True,
    }
    return Evaluation(**{**fields, **changes})  # type: ignore[arg-type]


def evaluation_record(**changes: object) -> tuple[bytes, bytes]:
    return EVALUATION, encode(evaluation(**changes))
