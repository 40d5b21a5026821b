"""What the embedded broker does when something is wrong: the disk, the port, the file, the bytes that come in."""

import asyncio
import os
import random
import resource
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from broker.errors import LogInUse, LogUnusable, PortTaken
from broker.file import unusable
from broker.server import Broker, serve
from tests.broker.clients import eventually, read, soon, unique
from tests.broker.embedded import EmbeddedBroker
from tests.broker.raw import Raw, batch, message

_UNLIMITED = resource.RLIM_INFINITY


def _limit_file_size(broker: EmbeddedBroker, limit: int) -> None:
    resource.prlimit(broker.pid, resource.RLIMIT_FSIZE, (limit, _UNLIMITED))


def _resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


linux_only = pytest.mark.skipif(
    sys.platform != "linux", reason="limits and memory of another process are read and set as Linux does"
)


@linux_only
@pytest.mark.parametrize("policy", ["delete", "compact"])
def test_a_full_disk_is_a_retriable_error_and_the_broker_goes_on_when_there_is_room(
    log_file: Path, policy: str
) -> None:
    broker = EmbeddedBroker(log_file).start()
    topic = unique()
    taken: list[int] = []
    with Raw(broker.address) as raw:
        raw.create(topic, cleanup_policy=policy)

        def put(number: int) -> int:
            code, _ = raw.produce(topic, batch(b"%d " % number + bytes(50_000), key=b"%d" % number))
            if code == 0:
                taken.append(number)
            return code

        assert put(0) == 0
        _limit_file_size(broker, 1 << 20)
        codes = [put(number) for number in range(1, 120)]
        assert set(codes) == {0, 56}
        assert codes[-1] == 56
        # Reading needs no room.
        assert _numbers(broker, topic) == taken
        _limit_file_size(broker, _UNLIMITED)
        assert put(200) == 0
        assert raw.offset(topic, -1)[1] == len(taken)
    assert _numbers(broker, topic) == taken
    broker.kill()
    broker.start()
    assert _numbers(broker, topic) == taken
    assert broker.stop() == 0
    assert "Traceback" not in broker.complaints


def _numbers(broker: EmbeddedBroker, topic: str) -> list[int]:
    return [int(record.value.split()[0]) for record in asyncio.run(read(broker.address, topic))]


def _fails(*arguments: str, **options: Any) -> str:
    """What a broker that cannot start says."""
    command = [sys.executable, "-W", "ignore", "-m", "broker", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30, **options)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    return str(line)


def test_a_taken_port_is_one_line_that_says_what_to_do(log_file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert _fails(str(log_file), "--port", str(port)) == (
            f"broker: port {port} of 127.0.0.1 is in use: choose another with --port, or --port 0 for a free one"
        )


def test_a_file_in_use_is_one_line_that_says_what_to_do(embedded: EmbeddedBroker) -> None:
    line = _fails(str(embedded.file), "--port", "0")
    assert line == f"broker: {embedded.file} is in use by another broker: stop that broker, or choose another file"


def test_a_missing_folder_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    assert "choose a file in a folder that exists" in _fails(str(tmp_path / "none" / "log.db"), "--port", "0")


def test_a_file_that_is_no_log_is_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("Dear diary, " * 200)
    assert "is not a log of this broker" in _fails(str(text), "--port", "0")
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("CREATE TABLE diary(entry)")
    database.close()
    before = other.read_bytes()
    assert "a database of another program" in _fails(str(other), "--port", "0")
    assert other.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--port", "99999"], "port 99999 is out of range: choose 1 to 65535, or 0 for a free one"),
        (["--port", "-1"], "port -1 is out of range: choose 1 to 65535, or 0 for a free one"),
        (["--port", "0", "--housekeeping", "-1"], "a clean-up every -1 seconds is out of range: choose 0.01 to 86400"),
        (
            ["--port", "0", "--housekeeping", "nan"],
            "a clean-up every nan seconds is out of range: choose 0.01 to 86400",
        ),
        (
            ["--port", "0", "--housekeeping", "inf"],
            "a clean-up every inf seconds is out of range: choose 0.01 to 86400",
        ),
        (["--port", "0", "--partitions", "0"], "0 partitions are out of range: choose 1 to 1000"),
        (["--port", "0", "--partitions", "1000000000"], "1000000000 partitions are out of range: choose 1 to 1000"),
    ],
)
def test_an_option_that_cannot_be_is_one_line_that_says_what_can(
    log_file: Path, options: list[str], words: str
) -> None:
    assert _fails(str(log_file), *options) == f"broker: {words}"
    assert not log_file.exists()


def test_a_read_only_file_system_is_not_told_to_make_room(log_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a mount that was made read-only looks to SQLite and to the broker."""
    read_only = os.statvfs_result((4096, 4096, 100, 50, 50, 100, 50, 50, os.ST_RDONLY, 255))
    monkeypatch.setattr(os, "statvfs", lambda _: read_only)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    assert "mounted read-only" in str(unusable(log_file, error))
    assert "free some space" not in str(unusable(log_file, error))


@pytest.mark.parametrize("code", [sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN])
def test_a_file_that_this_user_may_not_write_is_not_told_to_make_room(
    code: int, log_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log_file.touch()
    monkeypatch.setattr(os, "access", lambda path, mode: path != log_file)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = code
    assert str(unusable(log_file, error)) == (
        f"{log_file} cannot be read and written by this user: change the permissions of the file and its folder"
    )


@linux_only
def test_a_disk_that_is_full_at_the_start_is_one_line_that_says_what_to_do(log_file: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, _UNLIMITED))

    assert "free some space on its disk" in _fails(str(log_file), "--port", "0", preexec_fn=no_room)


def test_the_same_errors_are_exceptions_to_a_program(log_file: Path, embedded: EmbeddedBroker) -> None:
    with pytest.raises(LogInUse):
        Broker(embedded.file)
    with pytest.raises(LogUnusable):
        Broker(log_file.parent / "none" / "log.db")
    with pytest.raises(PortTaken):
        asyncio.run(serve(log_file, embedded.port))


def test_serve_says_its_port_and_ends_when_told(log_file: Path) -> None:
    ports: list[int] = []

    async def scenario() -> None:
        stop = asyncio.Event()
        serving = asyncio.create_task(serve(log_file, ready=ports.append, stop=stop))
        await soon(lambda: bool(ports))
        with Raw(f"127.0.0.1:{ports[0]}") as raw:
            assert (await asyncio.to_thread(raw.metadata, unique())).error_code == 3
            stop.set()
            await asyncio.wait_for(serving, 10)

    asyncio.run(scenario())
    with pytest.raises(ConnectionRefusedError):
        Raw(f"127.0.0.1:{ports[0]}")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(log_file: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "broker", str(log_file), "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as broker:
        assert broker.stdout is not None
        assert broker.stderr is not None
        assert broker.stdout.readline().startswith("Kafka protocol for this machine only")
        broker.send_signal(number)
        assert broker.wait(10) == 0
        assert broker.stderr.read() == ""


def test_nothing_waits_for_a_client_that_is_gone(log_file: Path) -> None:
    async def scenario() -> None:
        broker = Broker(log_file)
        await broker.start()
        await broker.log.create("t", 1, {})
        raw = await asyncio.to_thread(Raw, f"127.0.0.1:{broker.port}")
        raw.begin_fetch("t", 0, wait_ms=60_000)
        await soon(lambda: bool(broker.log._waiting))
        raw.__exit__(None, None, None)
        await soon(lambda: not broker.log._waiting and not broker._connections)
        await broker.stop()

    asyncio.run(scenario())


def _sample_frames() -> list[bytes]:
    """Valid requests to begin with, among them Produce and Fetch."""
    piece = message(
        "ProduceRequest.TopicProduceData.PartitionProduceData", index=0, records=batch(b"v" * 300, key=b"k")
    )
    topic = message("ProduceRequest.TopicProduceData", name="fuzz", partition_data=[piece])
    place = message(
        "FetchRequest.FetchTopic.FetchPartition",
        partition=0,
        current_leader_epoch=-1,
        fetch_offset=0,
        log_start_offset=-1,
        partition_max_bytes=1000,
    )
    requests: list[tuple[str, int, dict[str, Any]]] = [
        ("Produce", 7, {"transactional_id": None, "acks": 1, "timeout_ms": 10, "topic_data": [topic]}),
        (
            "Fetch",
            11,
            {
                "replica_id": -1,
                "max_wait_ms": 1,
                "min_bytes": 1,
                "max_bytes": 1000,
                "isolation_level": 0,
                "session_id": 0,
                "session_epoch": -1,
                "topics": [message("FetchRequest.FetchTopic", topic="fuzz", partitions=[place])],
                "forgotten_topics_data": [],
                "rack_id": "",
            },
        ),
        (
            "Metadata",
            5,
            {
                "topics": [message("MetadataRequest.MetadataRequestTopic", name="fuzz")],
                "allow_auto_topic_creation": True,
            },
        ),
        ("DescribeGroups", 3, {"groups": ["g"], "include_authorized_operations": False}),
        (
            "InitProducerId",
            4,
            {"transactional_id": "x", "transaction_timeout_ms": 1000, "producer_id": -1, "producer_epoch": -1},
        ),
        ("DeleteGroups", 1, {"groups_names": ["g"]}),
        ("ListGroups", 4, {"states_filter": []}),
        ("EndTxn", 3, {"transactional_id": "x", "producer_id": 1, "producer_epoch": 0, "committed": True}),
    ]
    frames = []
    for name, version, fields in requests:
        request = message(name + "Request", **fields)
        request.API_VERSION = version
        request.with_header(correlation_id=1, client_id="fuzz")
        frames.append(bytes(request.encode(version=version, header=True, framed=True)[4:]))
    return frames


def _mutated(chance: random.Random, frame: bytes) -> bytes:
    mutated = bytearray(frame)
    for _ in range(chance.randint(1, 4)):
        kind = chance.randrange(4)
        at = chance.randrange(len(mutated))
        if kind == 0:
            mutated[at] = chance.randrange(256)
        elif kind == 1:
            del mutated[max(at, 9) :]
        elif kind == 2:
            mutated[at:at] = chance.randbytes(chance.randint(1, 8))
        else:
            mutated[at : at + 4] = chance.choice([b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00"])
    return bytes(mutated)


@linux_only
def test_thousands_of_damaged_frames_leave_it_alive_and_lean(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    chance = random.Random(7)
    frames = _sample_frames()
    before = _resident_bytes(broker.pid)
    for _ in range(2500):
        with socket.create_connection(("127.0.0.1", broker.port)) as connection:
            connection.settimeout(10)
            try:
                frame = _mutated(chance, chance.choice(frames))
                connection.sendall(struct.pack(">i", len(frame)) + frame)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(1 << 16):
                    pass
            except ConnectionError:
                pass
    with Raw(broker.address) as raw:
        topic = unique()
        assert raw.create(topic) == 0
        assert raw.produce(topic, batch(b"x")) == (0, 0)
    assert _resident_bytes(broker.pid) - before < 60 << 20
    assert broker.stop() == 0
    assert "Traceback" not in broker.complaints


@linux_only
def test_a_declared_length_takes_no_memory(log_file: Path) -> None:
    broker = EmbeddedBroker(log_file).start()
    before = _resident_bytes(broker.pid)
    connections = [socket.create_connection(("127.0.0.1", broker.port)) for _ in range(100)]
    for connection in connections:
        connection.sendall(struct.pack(">ihhih", 30 << 20, 0, 7, 1, -1))
    with Raw(broker.address) as raw:
        assert raw.create(unique()) == 0
    assert _resident_bytes(broker.pid) - before < 50 << 20
    for connection in connections:
        connection.close()
    assert broker.stop() == 0


def test_a_frame_that_is_too_long_closes_the_connection(embedded: EmbeddedBroker) -> None:
    for head in (
        struct.pack(">i", 1 << 30),
        struct.pack(">ihh", 2 << 20, 3, 5) + bytes(2 << 20),
        struct.pack(">i", -5),
    ):
        with socket.create_connection(("127.0.0.1", embedded.port)) as connection:
            connection.settimeout(10)
            try:
                connection.sendall(head)
                assert connection.recv(1) == b""
            except ConnectionError:
                pass


def test_a_record_that_is_split_over_many_packets_arrives(embedded: EmbeddedBroker) -> None:
    topic = unique()
    with Raw(embedded.address) as raw:
        raw.create(topic)
        whole = raw._socket
        piece = message("ProduceRequest.TopicProduceData.PartitionProduceData", index=0, records=batch(bytes(900_000)))
        wanted = message("ProduceRequest.TopicProduceData", name=topic, partition_data=[piece])
        request = message("ProduceRequest", transactional_id=None, acks=-1, timeout_ms=1000, topic_data=[wanted])
        request.API_VERSION = 7
        request.with_header(correlation_id=1, client_id="slow")
        frame = bytes(request.encode(version=7, header=True, framed=True))
        for at in range(0, len(frame), 70_001):
            whole.sendall(frame[at : at + 70_001])
        assert raw.receive("Produce", 7).responses[0].partition_responses[0].error_code == 0
        assert eventually(lambda: raw.offset(topic, -1)[1] == 1)
