"""Windows against the simulator's truth, and against brute force over any rows in any order."""

from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agents.facts import BOT, NO_ROWS, ROW, STATED, WATCHED, Facts, Rows
from agents.measure.store import Place, Store
from agents.measure.sums import Sum
from agents.measure.windows import TOP, Windows
from agents.operators.names import Names
from agents.operators.progress import Progress
from agents.operators.reach import SCOPES
from agents.operators.threads import Threads
from agents.operators.window import distinct
from simulator.stream import five_days
from simulator.truth import StreamTruth
from simulator.wire import deed
from streams import codes
from streams.activity import DAY, FEATURES, HOUR, MINUTE, PLATFORMS, Activity, Batch, Cover, Foreign, hash_name
from streams.codes import CODES, FEATURE_BITS, HASH_MASK
from streams.windows import WINDOWS
from tests.count.making import batches
from tests.measure.making import NOW, PARTITIONS, Measured, activity, by_series, one

PUSHES = {"scope": "all", "platform": "github", "feature": "contribution"}


@pytest.mark.parametrize("way", ["at once", "measuring", "restarting"])
def test_every_measurement_of_five_days_equals_the_truth(way: str, tmp_path: Path) -> None:
    wire = five_days(seed=5, n=12_000)
    truth = StreamTruth()
    log = list(batches(msgspec.convert(wire, list[Activity]), Random(2)))
    for each in wire:
        truth.arrive(deed(each), each["ingested_at"])
    for _, batch in log:
        if batch.complete_to is not None:
            truth.mark(batch.complete_to)
    chain, random = Measured(tmp_path / "s"), Random(3)
    for number, batch in log:
        chain.take(number, batch)
        if random.random() < 0.05:
            chain.checkpoint(number)
        if way != "at once" and random.random() < 0.02:
            chain.measured()
        if way == "restarting" and random.random() < 0.005:
            chain.restart()
    for number in range(PARTITIONS):
        chain.checkpoint(number)
    # What was shown meanwhile has had its hysteresis; the last figures know nothing of it.
    found = by_series(chain.measured(final=True))
    assert chain.windows.front == truth.front
    expected = {("nomadwatch_" + m.name, frozenset(m.labels.items())): m.value for m in truth.measurements()}
    assert found.keys() == expected.keys()
    assert len(found) > 1000
    for series, value in expected.items():
        assert found[series] == pytest.approx(value, rel=1e-9, abs=1e-300), series
    assert chain.windows.below_zero == 0


# Small enough to meet, far enough to enter and leave every window; a row may be withdrawn that was never there.
ROWS = st.tuples(
    st.sampled_from([0, 1, 59, 60, 61, 24 * 60, 7 * 24 * 60, 29 * 24 * 60, 31 * 24 * 60, -5]),
    st.integers(0, 59),
    st.sampled_from([0, 2, 0x12, 0x17]),
    st.sampled_from([0, BOT, WATCHED, STATED, WATCHED | STATED, WATCHED | BOT]),
    st.integers(1, 3),
    st.integers(1, 3),
    st.sampled_from([1, 1, 1, -1]),
)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.lists(ROWS, max_size=5),
        st.sampled_from([0, 1, 30, 60, 7 * 60, 24 * 60, 8 * 24 * 60, 45 * 24 * 60]),
        st.sampled_from(["wait", "measure", "measure", "write", "restart"]),
    ),
    min_size=1,
    max_size=10,
)


def rows_of(own: list[Any], front: int) -> Rows:
    rows = np.zeros(len(own), ROW)
    for row, (minutes, seconds, code, flags, repository, actor, n) in zip(rows, own, strict=True):
        row["time"], row["code"], row["flags"], row["n"] = front - minutes * MINUTE + seconds, code, flags, n
        row["repository"], row["actor"], row["commits"] = repository << 40, actor << 40 | 3, 2 if flags & STATED else 0
        row["project"], row["artefact"] = (1, 1) if flags & WATCHED else (0, 0)
    return rows


def facts(rows: Rows, progress: Progress | None) -> Facts:
    return Facts(rows, ["olmo"], Threads(), Names(), progress)


def brute(rows: Rows, begin: int, end: int, scope: str) -> dict[str, Counter[Any]]:
    found: dict[str, Counter[Any]] = {
        name: Counter() for name in ("codes", "repositories", "people", "commits", "stated", "projects")
    }
    for row in rows:
        if not begin <= row["time"] < end or (scope == "watched" and not row["flags"] & WATCHED):
            continue
        code, n = int(row["code"]), int(row["n"])
        bot = bool(row["flags"] & BOT)
        found["codes"][code << 1 | bot] += n
        if bot:
            continue
        found["repositories"][int(row["repository"]) & HASH_MASK | code] += n
        found["people"][int(row["actor"]) & HASH_MASK | code] += n
        if row["flags"] & STATED:
            found["commits"][code >> FEATURE_BITS] += n * int(row["commits"])
            found["stated"][code >> FEATURE_BITS] += n
        if row["project"]:
            found["projects"][int(row["project"]), int(row["artefact"]), code] += n
    return found


def held(windows: Windows, scope: str, window: str) -> dict[str, Counter[Any]]:
    total = windows._sums[scope, window]
    return {
        "codes": Counter(dict(enumerate(total.codes.tolist()))),
        "repositories": raw(total.repositories),
        "people": raw(total.people),
        "commits": Counter(dict(enumerate(total.commits[0].tolist()))),
        "stated": Counter(dict(enumerate(total.commits[1].tolist()))),
        "projects": Counter({(k >> 16, k >> 8 & 255, k & 255): n for k, n in raw(total.projects).items()}),
    }


def raw(tally: Any) -> Counter[int]:
    """What a tally holds, sums below 0 included."""
    tally.get()
    return Counter(dict(zip(tally._keys.tolist(), tally._values.tolist(), strict=True)))


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(STEPS)
def test_a_window_is_the_sum_of_the_rows_within_it_in_any_order_after_every_move_and_restart(
    tmp_path_factory: Any, steps: list[Any]
) -> None:
    path = tmp_path_factory.mktemp("store") / "s"
    windows, front, offsets, every = Windows(Store(path), 3), NOW, [0, 0, 0], [NO_ROWS]
    for number, own, minutes, then in steps:
        front += minutes * MINUTE
        offsets[number] += 1
        made = rows_of(own, front)
        every.append(made.copy())
        progress = Progress(offset=offsets[number], front=front)
        windows.incoming.put(number, facts(made, progress), Place(offsets[number], 0, b""))
        if then == "wait":
            continue
        windows.take_up()
        if then in ("write", "restart"):
            windows.store.write()
        if then == "restart":
            windows.store.close()
            windows = Windows(Store(path), 3)
            list(windows.fill())
        rows = np.concatenate(every)
        for scope in SCOPES:
            for window, span in WINDOWS.items():
                expected, found = brute(rows, *span.bounds(front), scope), held(windows, scope, window)
                for name, counts in expected.items():
                    assert {k: n for k, n in found[name].items() if n} == {k: n for k, n in counts.items() if n}, (
                        scope, window, name,
                    )  # fmt: skip
        windows.evaluate()
    windows.store.close()


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(ROWS, max_size=12), st.lists(ROWS, max_size=12))
def test_what_is_added_and_removed_leaves_nothing(first: list[Any], second: list[Any]) -> None:
    from agents.measure.sums import RunningSum

    whole, once = RunningSum(), RunningSum()
    once.add(Sum.of(rows_of(first, NOW)))
    for rows, sign in ((first, 1), (second, 1), (second, -1)):
        total = Sum.of(rows_of(rows, NOW))
        (whole.add if sign > 0 else whole.remove)(total)
    for tally, other in ((whole.people, once.people), (whole.repositories, once.repositories)):
        assert {k: n for k, n in raw(tally).items() if n} == {k: n for k, n in raw(other).items() if n}
    assert (whole.codes == once.codes).all()
    assert (whole.commits == once.commits).all()


def test_rows_that_are_withdrawn_but_were_never_sent_are_counted_told_and_end_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    windows = Windows(Store(tmp_path / "s"), 1)
    rows = rows_of([(0, 0, 0, 0, 1, 1, -1), (0, 0, 0, 0, 2, 2, 1)], NOW)
    windows.incoming.put(0, facts(rows, Progress(offset=0, front=NOW)), Place(1, 0, b""))
    windows.take_up()
    found = windows.evaluate()
    assert one(found, "active_repositories", **PUSHES, window="1h") == 1
    # A repository and a person, in four windows.
    assert windows.below_zero == 8
    assert caplog.text.count("are below 0 and left out") == 1
    # What comes later makes up for it.
    windows.incoming.put(
        0, facts(rows_of([(0, 0, 0, 0, 1, 1, 1)], NOW), Progress(offset=1, front=NOW)), Place(2, 0, b"")
    )
    windows.take_up()
    assert one(windows.evaluate(), "active_repositories", **PUSHES, window="1h") == 1
    assert windows.below_zero == 0


def test_every_code_of_sixteen_platforms_and_sixteen_features_has_keys_of_its_own() -> None:
    rows = np.zeros(CODES, ROW)
    rows["code"], rows["repository"], rows["actor"], rows["n"] = np.arange(CODES), 7 << 40 | 255, 9 << 40, 1
    rows["project"], rows["artefact"], rows["flags"], rows["commits"] = 65_535, 255, STATED, 3
    total = Sum.of(rows)
    assert total.codes[::2].tolist() == [1] * CODES
    for keys, numbers in (total.repositories, total.people, total.projects):
        assert len(keys) == CODES
        assert numbers.tolist() == [1] * CODES
        assert (keys & np.uint64(CODES - 1)).tolist() == list(range(CODES))
    assert total.commits.tolist() == [[48] * 16, [16] * 16]


def test_a_third_platform_is_measured_beside_the_others_and_not_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    three = (*PLATFORMS, "elsewhere")
    for module in ("streams.codes", "agents.operators.window", "agents.measure.sums"):
        monkeypatch.setattr(f"{module}.PLATFORMS", three)
    windows = Windows(Store(tmp_path / "s"), 1)
    contribution = FEATURES.index("contribution")
    own = [(0, 0, p << FEATURE_BITS | contribution, 0, 1, p + 1, 1) for p in range(3) for _ in range(p + 1)]
    windows.incoming.put(0, facts(rows_of(own, NOW), Progress(offset=0, front=NOW)), Place(1, 0, b""))
    windows.take_up()
    found = [m for m in windows.evaluate() if m.labels.get("window") == "1h"]
    counted = {m.labels["platform"]: m.value for m in found if m.name == "nomadwatch_activity"}
    assert counted == {"github": 1, "huggingface": 2, "elsewhere": 3}
    assert {m.labels["platform"] for m in found if m.name == "nomadwatch_intensity"} == set(three)
    (gap,) = [
        m.value for m in found if m.name == "nomadwatch_intensity_gap_ratio" and m.labels["feature"] == "contribution"
    ]
    assert gap == 0.5


def test_distinct_keys_are_counted_by_their_codes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "PLATFORMS", tuple("abc"))
    keys = np.array([1 << 40 | 0x20, 2 << 40 | 0x20, 2 << 40 | 0x21], np.uint64)
    assert list(distinct(keys)) == [("c", "contribution", 2), ("c", "accepted", 1)]


def test_sums_that_did_not_change_keep_their_measurements(tmp_path: Path) -> None:
    chain = Measured(tmp_path / "s", 1)
    first = chain.feed(0, Batch(feed="f", activities=[activity(1, NOW)], complete_to=NOW + MINUTE))
    assert chain.measured() == first
    assert any(m.name == "nomadwatch_activity" for m in first)


def test_who_is_among_the_busiest_stays_until_overtaken_clearly(tmp_path: Path) -> None:
    chain = Measured(tmp_path / "s", 1)
    pushes = {f"o/r{n:02}": 100 - n for n in range(TOP + 1)}

    def push(repo: str, times: int) -> None:
        names = {"repo": repo, "repo_id": hash_name(repo)}
        made = [activity(n, NOW, id=f"github:PushEvent:{repo}:{times}:{n}", **names) for n in range(times)]
        chain.take(0, Batch(feed="f", activities=made, complete_to=NOW))
        chain.checkpoint(0)

    def shown(*, final: bool = False) -> set[str]:
        top = [m for m in chain.measured(final=final) if m.name == "nomadwatch_top_repository_activity"]
        return {m.labels["repository"] for m in top if m.labels["window"] == "1h" and m.labels["scope"] == "all"} - {
            "_other"
        }

    for repo, times in pushes.items():
        push(repo, times)
    last, next_one = f"o/r{TOP - 1:02}", f"o/r{TOP:02}"
    assert shown() == pushes.keys() - {next_one}
    push(next_one, 3)
    assert shown() == pushes.keys() - {next_one}, "the last one has fallen by one rank only"
    assert shown(final=True) == pushes.keys() - {last}


def test_a_repository_that_is_known_by_a_bot_s_merge_has_its_name(tmp_path: Path) -> None:
    chain = Measured(tmp_path / "s", 1)
    pull = {"kind": "pull_request", "thread": 3, "repo": "o/only-merged"}
    merged = activity(2, NOW, action="merged", bot=True, id="github:PullRequestEvent:2", **pull)
    named = activity(3, NOW, action="accepted", id="github:PullRequestEvent:2:accepted", **pull)
    found = chain.feed(0, Batch(feed="f", activities=[merged, named], complete_to=NOW))
    labels = {"scope": "all", "platform": "github", "feature": "accepted", "window": "1h"}
    assert one(found, "top_repository_activity", **labels, repository="o/only-merged") == 1


def test_coverage_is_the_share_of_the_window_that_every_partition_knows_to_be_covered(tmp_path: Path) -> None:
    chain = Measured(tmp_path / "s", 2)
    for number, hours in enumerate((1, 2)):
        found = chain.feed(number, Batch(feed="f", complete_to=NOW, covered=[Cover("github", NOW - hours * HOUR, NOW)]))
    shares = {
        m.labels["window"]: m.value
        for m in found
        if m.name == "nomadwatch_window_coverage_ratio" and m.labels["scope"] == "all"
    }
    assert shares == {
        "1h": 1.0,
        "24h": pytest.approx(1 / 24),
        "7d": pytest.approx(1 / 168),
        "30d": pytest.approx(1 / 720),
    }


def test_a_window_ends_with_the_step_of_the_front() -> None:
    assert {window: span.bounds(NOW + 5 * HOUR + 1) for window, span in WINDOWS.items()} == {
        "1h": (NOW + 4 * HOUR + MINUTE, NOW + 5 * HOUR + MINUTE),
        "24h": (NOW - 18 * HOUR, NOW + 6 * HOUR),
        "7d": (NOW + 6 * HOUR - 7 * DAY, NOW + 6 * HOUR),
        "30d": (NOW - 29 * DAY, NOW + DAY),
    }


def test_a_checkpoint_of_several_records_counts_when_its_progress_comes_and_not_without_it(tmp_path: Path) -> None:
    windows = Windows(Store(tmp_path / "s"), 1)

    def counted() -> float | None:
        windows.take_up()
        return one(windows.evaluate(), "activity", **PUSHES, window="1h")

    row = [(0, 0, 0, 0, 1, 1, 1)]
    assert not windows.incoming.put(0, facts(rows_of(row, NOW), None), Place(1, 0, b""))
    assert windows.incoming.pending == [0]
    assert counted() is None
    assert windows.incoming.put(0, facts(rows_of(row, NOW), Progress(offset=4, front=NOW)), Place(2, 0, b""))
    assert counted() == 2
    windows.incoming.put(0, facts(rows_of(row, NOW), None), Place(3, 0, b""))
    windows.incoming.drop_unfinished(0)
    for offset in (3, 4):
        with pytest.raises(Foreign, match="a progress that goes back"):
            windows.incoming.put(0, facts(rows_of(row, NOW), Progress(offset=offset, front=NOW)), Place(4, 0, b""))
    assert windows.incoming.put(0, facts(NO_ROWS, Progress(offset=5, front=NOW)), Place(5, 0, b""))
    assert counted() == 2
