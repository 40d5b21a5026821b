"""What is remembered of a repository fits into one record of Kafka, whatever happens to it."""

from streams.live.hub.state import RepositoryState, ThreadState, bounded, decode_state, encode_state
from streams.live.hub.walk import WalkCursor, decode_walk, encode_walk

NOW = 1_800_000_000_000_000
MOST = 1 << 20


def test_a_state_of_the_largest_size_is_below_a_megabyte_and_comes_back_whole() -> None:
    threads = {
        number: ThreadState(10_000, "closed", (1 << 32) - 1, NOW, list(range(1 << 31, (1 << 31) + 500)))
        for number in range(10_000, 17_000)
    }
    likers = list(range(1 << 63, (1 << 63) + 20_000))
    state = RepositoryState(
        NOW, "f" * 40, list(range(1 << 63, (1 << 63) + 64)), NOW, bounded(threads, NOW), 20_000, likers, 77
    )
    record = encode_state(state)
    assert 100_000 < len(record) < MOST
    assert decode_state("a", record) == state


def test_threads_whose_events_do_not_fit_count_them_as_known() -> None:
    threads = {number: ThreadState(1, "open", 0, 5, list(range(500))) for number in range(200)}
    kept = bounded(threads, NOW)
    assert len(kept) == 200
    assert (kept[199].floor, len(kept[199].known)) == (5, 500)
    assert (kept[0].floor, kept[0].known) == (NOW, [])


def test_the_cursor_of_a_walk_of_the_largest_size_is_below_a_megabyte() -> None:
    most = dict.fromkeys(range(1 << 63, (1 << 63) + 25_000), NOW)
    cursor = WalkCursor(NOW, NOW, most, most)
    assert len(encode_walk(cursor)) < MOST
    assert decode_walk("a", encode_walk(cursor)) == cursor
