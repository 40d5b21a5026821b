"""What one client can make the broker hold, or others wait for."""

import asyncio
import resource
import socket
import struct
import sys
from pathlib import Path
from typing import Any

import pytest

import broker.connection
import broker.groups
import broker.server
from broker.appending import append
from broker.bounds import Pool
from broker.errors import Code, Refused
from broker.log import Log
from broker.server import Broker
from tests.broker.clients import eventually, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw, batch, message

linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="limits and memory of another process are read and set as Linux does"
)


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


def _fetch(raw: Raw, topic: str, *, least: int = 1, wait_ms: int = 10, partitions: tuple[int, ...] = (0,)) -> None:
    pieces = [
        message(
            "FetchRequest.FetchTopic.FetchPartition",
            partition=number,
            current_leader_epoch=-1,
            fetch_offset=0,
            log_start_offset=-1,
            partition_max_bytes=64 << 20,
        )
        for number in partitions
    ]
    raw.send(
        "Fetch",
        10,
        replica_id=-1,
        max_wait_ms=wait_ms,
        min_bytes=least,
        max_bytes=64 << 20,
        isolation_level=0,
        session_id=0,
        session_epoch=-1,
        topics=[message("FetchRequest.FetchTopic", topic=topic, partitions=pieces)],
        forgotten_topics_data=[],
    )


@linux_only
def test_answers_that_are_never_read_take_a_bounded_part_of_memory(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    with Raw(broker.address) as raw:
        assert raw.create("t") == 0
        for _ in range(40):
            assert raw.produce("t", batch(bytes(1_000_000)))[0] == 0
        before = _resident_bytes(broker.pid)
        deaf = []
        for _ in range(60):
            connection = Raw(broker.address)
            connection._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            _fetch(connection, "t")
            deaf.append(connection)
        # The others are served meanwhile.
        _fetch(raw, "t")
        (found,) = raw.receive("Fetch", 10).responses[0].partitions
        assert found.error_code == 0
        assert raw.produce("t", batch(b"x"))[0] == 0
        assert _resident_bytes(broker.pid) - before < 160 << 20
        for connection in deaf:
            connection._socket.close()
        _fetch(raw, "t")
        (found,) = raw.receive("Fetch", 10).responses[0].partitions
        assert len(found.records) > 1_000_000
    assert broker.stop() == 0
    assert broker.complaints == ""


def _half_request(address: tuple[str, int], size: int) -> socket.socket:
    connection = socket.create_connection(address)
    connection.sendall(struct.pack(">ihhih", size + 1000, 0, 7, 1, -1) + bytes(size))
    return connection


@linux_only
def test_half_requests_take_a_bounded_part_of_memory_and_give_it_back(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    with Raw(broker.address) as raw:
        assert raw.create("t") == 0
        before = _resident_bytes(broker.pid)
        halves = []
        for _ in range(20):
            connection = socket.create_connection(("127.0.0.1", broker.port))
            connection.setblocking(False)
            try:  # noqa: SIM105 - as much as it takes now
                connection.send(struct.pack(">ihhih", 31 << 20, 0, 7, 1, -1) + bytes(30 << 20))
            except BlockingIOError:
                pass
            halves.append(connection)
        assert raw.produce("t", batch(bytes(900_000)))[0] == 0
        assert _resident_bytes(broker.pid) - before < 220 << 20
        for connection in halves:
            connection.close()
        assert raw.produce("t", batch(bytes(900_000)))[0] == 0
    assert broker.stop() == 0


def test_an_old_request_makes_room_and_memory_is_given_back(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker.server, "_YOUNG_SECONDS", 0.0)

    async def scenario() -> None:
        server = Broker(log_file)
        server.incoming = Pool(6 << 20)
        await server.start()
        await server.log.create("t", 1, {})
        address = ("127.0.0.1", server.port)
        halves = [await asyncio.to_thread(_half_request, address, 2 << 20) for _ in range(8)]
        with await asyncio.to_thread(Raw, f"127.0.0.1:{server.port}") as raw:
            assert await asyncio.to_thread(raw.produce, "t", batch(bytes(1_000_000))) == (0, 0)
            assert 0 < server.incoming.held <= server.incoming.size
            assert server.refused >= 5
            for half in halves:
                half.close()
            async with asyncio.timeout(20):
                while server.incoming.held:
                    await asyncio.sleep(0.02)
        assert server.outgoing.held == 0
        await server.stop()

    asyncio.run(scenario())


def test_a_client_that_sends_thousands_of_requests_ahead_holds_up_nobody(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as eager, Raw(embedded.address) as other:
        assert other.create(topic) == 0
        eager._socket.setblocking(False)
        request = message("MetadataRequest", topics=None, allow_auto_topic_creation=False)
        request.API_VERSION = 5
        request.with_header(correlation_id=1, client_id="eager")
        frames = bytes(request.encode(version=5, header=True, framed=True)) * 20_000
        try:  # noqa: SIM105 - as much as the sockets take
            eager._socket.send(frames)
        except BlockingIOError:
            pass
        assert other.produce(topic, batch(b"x")) == (0, 0)


def test_a_thousand_idle_connections_make_room_for_one_that_asks(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker.server, "_MOST_CONNECTIONS", 10)

    async def scenario() -> None:
        server = Broker(log_file)
        await server.start()
        await server.log.create("t", 1, {})
        address = f"127.0.0.1:{server.port}"
        worker = await asyncio.to_thread(Raw, address)
        assert (await asyncio.to_thread(worker.metadata, "t")).error_code == 0
        idle = [await asyncio.to_thread(socket.create_connection, ("127.0.0.1", server.port)) for _ in range(30)]
        # One that has asked something stays; of the others, the oldest went.
        assert (await asyncio.to_thread(worker.metadata, "t")).error_code == 0
        late = await asyncio.to_thread(Raw, address)
        assert (await asyncio.to_thread(late.metadata, "t")).error_code == 0
        assert len(server._connections) <= 10
        for each in (*idle, worker._socket, late._socket):
            each.close()
        await server.stop()

    asyncio.run(scenario())


def test_readers_that_wait_make_room_too(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker.server, "_MOST_CONNECTIONS", 5)

    async def scenario() -> None:
        server = Broker(log_file)
        await server.start()
        await server.log.create("t", 1, {})
        address = f"127.0.0.1:{server.port}"
        waiting = []
        for _ in range(12):
            reader = await asyncio.to_thread(Raw, address)
            _fetch(reader, "t", wait_ms=2**31 - 1)
            waiting.append(reader)
        late = await asyncio.to_thread(Raw, address)
        assert await asyncio.to_thread(late.produce, "t", batch(b"x")) == (0, 0)
        for each in (*waiting, late):
            each._socket.close()
        await server.stop()

    asyncio.run(scenario())


def test_a_connection_that_asks_nothing_is_closed(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(broker.connection, "PATIENCE_SECONDS", 0.1)

    async def scenario() -> None:
        server = Broker(log_file)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(20):
            assert await reader.read() == b""
        writer.close()
        await server.stop()

    asyncio.run(scenario())


@linux_only
def test_a_shortage_of_file_descriptors_is_said_once_and_passes(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    with Raw(broker.address) as raw:
        assert raw.create("t") == 0
        # Fewer than are open already: each attempt to accept fails.
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (8, 4096))
        waiting = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(100)]
        assert eventually(lambda: "cannot be accepted" in broker.complaints)
        resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (1024, 4096))
        with Raw(broker.address) as late:
            assert late.produce("t", batch(b"x"))[0] == 0
        for connection in waiting:
            connection.close()
    assert broker.stop() == 0
    (line,) = broker.complaints.splitlines()
    assert "Too many open files" in line


@linux_only
def test_a_low_limit_of_file_descriptors_is_kept_without_a_word(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    resource.prlimit(broker.pid, resource.RLIMIT_NOFILE, (64, 4096))
    crowd = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(200)]
    with Raw(broker.address) as raw:
        assert raw.create("t") == 0
        assert raw.produce("t", batch(b"x")) == (0, 0)
    for connection in crowd:
        connection.close()
    assert broker.stop() == 0
    assert broker.complaints == ""


def _compact_string(text: str | None) -> bytes:
    return struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()


def test_a_null_group_closes_its_connection_and_fails_nobody_s_commit(embedded: EmbeddedBroker) -> None:
    topic, group = unique(), unique("g")
    body = struct.pack(">i", -1) + _compact_string("") + struct.pack(">i", 1) + _compact_string(topic)
    body += struct.pack(">iiqih", 1, 0, 5, -1, -1)
    frame = struct.pack(">hhih", 8, 6, 1, -1) + _compact_string(None) + body
    with Raw(embedded.address) as raw, Raw(embedded.address) as bad:
        assert raw.create(topic) == 0
        bad._socket.sendall(struct.pack(">i", len(frame)) + frame)
        assert raw.commit(group, topic, 7) == 0
        assert bad._socket.recv(1) == b""
        assert raw.committed(group, topic) == 7


def test_a_write_that_cannot_be_done_fails_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {})
        results = await asyncio.gather(
            log.offsets.commit("good", [("t", 0, 1, None)]),
            log.offsets.commit(None, [("t", 0, 2, None)]),  # type: ignore[arg-type]
            log.offsets.commit("far", [("t", 0, 1 << 70, None)]),
            append(log, "t", 0, batch(b"x")),
            return_exceptions=True,
        )
        assert [type(result) for result in results] == [type(None), Refused, Refused, tuple]
        assert {result.code for result in results if isinstance(result, Refused)} == {Code.UNKNOWN_SERVER_ERROR}
        assert log.offsets.committed("good") == {("t", 0): (1, None)}
        assert log.find("t", 0)[1].end == 1
        log.close()

    asyncio.run(scenario())


def test_large_writes_do_not_hold_up_small_ones(tmp_path: Path) -> None:
    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        done: list[str] = []

        async def write(name: str, cost: int) -> None:
            await log.store.write(lambda: None, cost)
            done.append(name)

        await asyncio.gather(*(write("large", 1500) for _ in range(3)), write("small", 1))
        assert sorted(done[:2]) == ["large", "small"]
        assert done[2:] == ["large", "large"]
        log.close()

    asyncio.run(scenario())


def test_ids_and_notes_have_a_length(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic) == 0
        assert raw.join("g" * 1001).error_code == Code.INVALID_GROUP_ID
        assert raw.commit("g" * 1001, topic, 1) == Code.INVALID_GROUP_ID
        long = "x" * 1001
        answer = raw.call("InitProducerId", 1, transactional_id=long, transaction_timeout_ms=1000)
        assert answer.error_code == Code.INVALID_REQUEST
        piece = message(
            "OffsetCommitRequest.OffsetCommitRequestTopic.OffsetCommitRequestPartition",
            partition_index=0,
            committed_offset=1,
            committed_leader_epoch=-1,
            committed_metadata="n" * 5000,
        )
        wanted = [message("OffsetCommitRequest.OffsetCommitRequestTopic", name=topic, partitions=[piece])]
        group = unique("g")
        found = raw.call(
            "OffsetCommit", 6, group_id=group, generation_id_or_member_epoch=-1, member_id="", topics=wanted
        )
        assert found.topics[0].partitions[0].error_code == Code.OFFSET_METADATA_TOO_LARGE
        assert raw.committed(group, topic) == -1


def test_a_group_has_a_number_of_members_and_all_groups_a_number(
    log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(broker.groups, "_MOST_MEMBERS", 3)
    monkeypatch.setattr(broker.groups, "_MOST_GROUPS", 5)

    async def scenario() -> None:
        server = Broker(log_file)
        await server.start()

        def ask(group: str) -> Any:
            with Raw(f"127.0.0.1:{server.port}") as raw:
                offered = [message("JoinGroupRequest.JoinGroupRequestProtocol", name="range", metadata=b"m")]
                return raw.call(
                    "JoinGroup", 4, group_id=group, session_timeout_ms=6000, rebalance_timeout_ms=6000, member_id="",
                    protocol_type="consumer", protocols=offered,
                ).error_code  # fmt: skip

        codes = [await asyncio.to_thread(ask, "g") for _ in range(4)]
        assert codes == [Code.MEMBER_ID_REQUIRED] * 3 + [Code.GROUP_MAX_SIZE_REACHED]
        # Groups that only gave out ids make room for others.
        assert {await asyncio.to_thread(ask, f"g{number}") for number in range(20)} == {Code.MEMBER_ID_REQUIRED}
        assert len(server.groups.groups) == 5
        await server.stop()

    asyncio.run(scenario())


def test_a_request_with_more_elements_than_can_mean_anything_closes_its_connection(embedded: EmbeddedBroker) -> None:
    with Raw(embedded.address) as raw:
        wanted = [message("MetadataRequest.MetadataRequestTopic", name="t")] * 20_000
        raw.send("Metadata", 5, topics=wanted, allow_auto_topic_creation=False)
        with pytest.raises(ConnectionError):
            raw.receive("Metadata", 5)


def test_a_topic_that_is_named_thousands_of_times_is_described_once(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        assert raw.create(topic, 1000) == 0
        wanted = [message("MetadataRequest.MetadataRequestTopic", name=topic)] * 5000
        (found,) = raw.call("Metadata", 5, topics=wanted, allow_auto_topic_creation=False).topics
        assert len(found.partitions) == 1000
        (described,) = raw.call("DescribeGroups", 3, groups=["g"] * 5000, include_authorized_operations=False).groups
        assert described.group_id == "g"


def test_a_produce_request_has_as_many_elements_as_another(embedded: EmbeddedBroker) -> None:
    empty = struct.pack(">h", 0) + struct.pack(">i", 0)
    frame = struct.pack(">hhih", 0, 7, 1, -1) + struct.pack(">hhii", -1, 1, 1000, 20_000) + empty * 20_000
    with Raw(embedded.address) as raw:
        raw._socket.sendall(struct.pack(">i", len(frame)) + frame)
        assert raw._socket.recv(1) == b""


def test_a_fetch_that_waits_for_much_is_answered_when_it_is_there_or_the_time_is_over(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw, Raw(embedded.address) as reader:
        assert raw.create(topic) == 0
        assert raw.produce(topic, batch(bytes(1000))) == (0, 0)
        reader.begin_fetch(topic, 0, wait_ms=60_000, least_bytes=3000)
        for number in (1, 2):
            assert raw.produce(topic, batch(bytes(1000))) == (0, number)
        code, found = reader.end_fetch()
        assert (code, len(found)) == (0, 3 * len(batch(bytes(1000))))
        reader.begin_fetch(topic, 0, wait_ms=50, least_bytes=2**31 - 1)
        assert reader.end_fetch() == (0, found)


def test_partitions_have_a_number_over_all_topics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("broker.log._MOST_PARTITIONS", 10)

    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("a", 8, {})
        with pytest.raises(Refused) as refusal:
            await log.create("b", 3, {})
        assert refusal.value.code == Code.POLICY_VIOLATION
        await log.create("c", 2, {})
        log.close()

    asyncio.run(scenario())


def test_producers_of_a_partition_are_forgotten_beyond_a_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("broker.appending._MOST_PRODUCERS", 3)

    async def scenario() -> None:
        log = Log(tmp_path / "log.db")
        await log.create("t", 1, {})
        for producer, sequence in ((1, 0), (2, 0), (3, 0), (1, 1), (4, 0)):
            await append(log, "t", 0, batch(b"x", producer=(producer, 0), sequence=sequence))
        assert list(log.find("t", 0)[1].producers) == [3, 1, 4]
        log.load()
        assert set(log.find("t", 0)[1].producers) == {3, 1, 4}
        log.close()

    asyncio.run(scenario())


def test_a_file_that_is_removed_ends_the_broker_with_one_line(log_file: Path) -> None:
    running = EmbeddedBroker(log_file).start()
    with Raw(running.address) as raw:
        assert raw.create("t") == 0
    for path in log_file.parent.glob("log.db*"):
        path.unlink()
    assert eventually(lambda: not running.alive())
    assert running.stop() == 1
    assert running.complaints == (
        f"broker: {log_file} was removed or replaced while the broker ran, so its content is lost: "
        "start again with a new log\n"
    )
