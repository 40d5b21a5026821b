"""The errors of the broker, by who has to react.

BrokerError             the user: the message is one line that says what to do
├── PortTaken           the port is in use: choose another, or 0
├── LogInUse            another broker has the file open: stop it, or choose another file
└── LogUnusable         the file cannot be opened or written, or is not a log
Refused                 a client: it gets `code` as the answer
└── MemberIdRequired    a member of a group: it joins again with the id in the answer
Malformed               nobody: the bytes are not a request, and the connection is closed
"""

from enum import IntEnum


class Code(IntEnum):
    """The error codes that this broker answers (https://kafka.apache.org/protocol#protocol_error_codes)."""

    UNKNOWN_SERVER_ERROR = -1
    NONE = 0
    OFFSET_OUT_OF_RANGE = 1
    CORRUPT_MESSAGE = 2
    UNKNOWN_TOPIC_OR_PARTITION = 3
    MESSAGE_TOO_LARGE = 10
    OFFSET_METADATA_TOO_LARGE = 12
    INVALID_TOPIC = 17
    INVALID_REQUIRED_ACKS = 21
    ILLEGAL_GENERATION = 22
    INCONSISTENT_GROUP_PROTOCOL = 23
    INVALID_GROUP_ID = 24
    UNKNOWN_MEMBER_ID = 25
    INVALID_SESSION_TIMEOUT = 26
    REBALANCE_IN_PROGRESS = 27
    GROUP_AUTHORIZATION_FAILED = 30
    INVALID_TIMESTAMP = 32
    UNSUPPORTED_VERSION = 35
    TOPIC_ALREADY_EXISTS = 36
    INVALID_PARTITIONS = 37
    INVALID_REPLICATION_FACTOR = 38
    INVALID_CONFIG = 40
    INVALID_REQUEST = 42
    POLICY_VIOLATION = 44
    OUT_OF_ORDER_SEQUENCE_NUMBER = 45
    INVALID_PRODUCER_EPOCH = 47
    INVALID_TXN_STATE = 48
    INVALID_PRODUCER_ID_MAPPING = 49
    INVALID_TRANSACTION_TIMEOUT = 50
    OPERATION_NOT_ATTEMPTED = 55
    KAFKA_STORAGE_ERROR = 56
    NON_EMPTY_GROUP = 68
    GROUP_ID_NOT_FOUND = 69
    UNSUPPORTED_COMPRESSION_TYPE = 76
    MEMBER_ID_REQUIRED = 79
    GROUP_MAX_SIZE_REACHED = 81
    INVALID_RECORD = 87
    PRODUCER_FENCED = 90


class BrokerError(Exception):
    """The broker cannot serve; the message is one line for the user."""


class PortTaken(BrokerError):
    """The port is in use, or this user may not use it."""


class LogInUse(BrokerError):
    """Another broker has the file open."""


class LogUnusable(BrokerError):
    """The file cannot be opened, read or written, or belongs to something else."""


class Refused(Exception):
    """A request, or one item of it, is answered with an error code."""

    def __init__(self, code: Code, text: str = "") -> None:
        super().__init__(text)
        self.code = code


class MemberIdRequired(Refused):
    """The first step of joining a group: the member gets its id and joins again."""

    def __init__(self, member_id: str) -> None:
        super().__init__(Code.MEMBER_ID_REQUIRED)
        self.member_id = member_id


class Malformed(Exception):
    """The bytes are not a request."""
