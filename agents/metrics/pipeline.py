"""How the programs are doing; the sinks show it from evaluations and from what the roles say."""

from typing import Final

from agents.family import Family, row

_ROWS: Final = (
    row(
        "duplicates_total",
        "",
        "activities",
        "exact",
        type="counter",
        group="H",
        help=(
            "Activities that arrived again and were not counted again. Overlapping feeds and repeated files make "
            "them: a steady rate is healthy."
        ),
        formula="activities whose id was met before",
    ),
    row(
        "late_total",
        "",
        "activities",
        "exact",
        type="counter",
        group="H",
        help=(
            "Activities that arrived more than 31 days late and were not counted: so late, duplicates are no longer "
            "recognised. If it grows, old input is being read into a newer state: replay it into a data folder of "
            "its own."
        ),
        formula="activities more than 31 days behind the watermark",
    ),
    row(
        "dead_letters_total",
        "reason",
        "records",
        "exact",
        type="counter",
        group="H",
        help=(
            "Input that could not be read, kept on the topic `dead-letters` with its place. A jump means that a "
            "platform changed its format."
        ),
        formula="records set aside, by reason",
    ),
    row(
        "watermark_timestamp_seconds",
        "role",
        "seconds",
        "exact",
        group="H",
        help=(
            "Up to which event time the figures are complete, as a Unix time. If it stands still while the clock goes "
            "on, a feed is silent."
        ),
        formula="least mark of all feeds and partitions",
    ),
    row(
        "series_left_out",
        "",
        "series",
        "exact",
        group="H",
        help=(
            "How many measurements a scrape left out to stay within 50,000 series. Above 0 figures are missing from "
            "`/metrics`, not from the topic: watch fewer projects."
        ),
        formula="series on the board - room for them",
    ),
    row(
        "pipeline_latency_seconds",
        "stage",
        "seconds",
        "exact",
        type="histogram",
        group="H",
        help=(
            "How long what has arrived takes from one stage to the next. Together they are the delay between a poll "
            "and a dashboard; feeds add their own (`feed_lag_seconds`)."
        ),
        formula=(
            "folded: checkpoint - timestamp of the oldest record of `activity` that it adds, one observation a "
            "checkpoint and partition; measured: evaluation - checkpoint, one each; shown: time of a scrape - "
            "evaluation that it showed, one a scrape; since the role began"
        ),
    ),
)

FAMILY: Final = Family(130, _ROWS)
