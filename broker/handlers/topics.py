"""Requests about topics and their settings."""

import asyncio
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from kafka.protocol.admin import (
    AlterConfigsResponse,
    CreatePartitionsResponse,
    CreateTopicsResponse,
    DeleteTopicsResponse,
    DescribeConfigsResponse,
    IncrementalAlterConfigsResponse,
)

from broker.configs import MOST_PARTITIONS, SETTINGS, check_settings
from broker.errors import Code, Refused
from broker.wire import Request

if TYPE_CHECKING:
    from broker.server import Broker

_LONGEST_NAME: Final = 249
_TOPIC: Final = 2
_BROKER: Final = 4
_SET_HERE: Final = 1
_DEFAULT: Final = 5
_SET: Final = 0
_DELETE: Final = 1


def check_name(name: str | None) -> None:
    """Raises Refused for an invalid topic name."""
    if not name or len(name) > _LONGEST_NAME or name in (".", "..") or not re.fullmatch(r"[A-Za-z0-9._-]+", name):
        raise Refused(Code.INVALID_TOPIC, f"{name!r} is not a valid topic name")


async def create(broker: "Broker", request: Request) -> Any:
    names = [topic.name for topic in request.body.topics]
    results = []
    for topic in request.body.topics:
        result = CreateTopicsResponse.CreatableTopicResult(
            name=topic.name,
            error_code=0,
            error_message=None,
            num_partitions=-1,
            replication_factor=-1,
            configs=[],
            topic_config_error_code=0,
        )
        try:
            if names.count(topic.name) > 1:
                raise Refused(Code.INVALID_REQUEST, "the request names this topic twice")
            partitions, settings = _checked(broker, topic)
            if not request.body.validate_only:
                await broker.log.create(topic.name, partitions, settings)
            result.num_partitions, result.replication_factor = partitions, 1
        except Refused as refusal:
            result.error_code, result.error_message = int(refusal.code), str(refusal)
        results.append(result)
    return CreateTopicsResponse(throttle_time_ms=0, topics=results)


def _checked(broker: "Broker", topic: Any) -> tuple[int, dict[str, str]]:
    check_name(topic.name)
    if topic.name in broker.log.topics:
        raise Refused(Code.TOPIC_ALREADY_EXISTS, f"Topic '{topic.name}' already exists.")
    if topic.assignments:
        raise Refused(Code.INVALID_REQUEST, "there is one broker: replicas cannot be assigned")
    partitions = broker.partitions if topic.num_partitions == -1 else topic.num_partitions
    if not 1 <= partitions <= MOST_PARTITIONS:
        raise Refused(Code.INVALID_PARTITIONS, f"partitions must be 1 to {MOST_PARTITIONS}")
    if topic.replication_factor not in (-1, 1):
        raise Refused(Code.INVALID_REPLICATION_FACTOR, "there is one broker: the replication factor is 1")
    settings = {each.name: each.value for each in topic.configs}
    check_settings(settings)
    return partitions, settings


async def delete(broker: "Broker", request: Request) -> Any:
    results = []
    for name in request.body.topic_names:
        result = DeleteTopicsResponse.DeletableTopicResult(name=name, error_code=0, error_message=None)
        try:
            await broker.log.delete(name)
        except Refused as refusal:
            result.error_code, result.error_message = int(refusal.code), str(refusal)
        results.append(result)
    return DeleteTopicsResponse(throttle_time_ms=0, responses=results)


async def create_partitions(broker: "Broker", request: Request) -> Any:
    """Always refused: keys would move to other partitions."""
    results = []
    for topic in request.body.topics:
        known = topic.name in broker.log.topics
        results.append(
            CreatePartitionsResponse.CreatePartitionsTopicResult(
                name=topic.name,
                error_code=int(Code.POLICY_VIOLATION if known else Code.UNKNOWN_TOPIC_OR_PARTITION),
                error_message="this broker does not change the number of partitions: keys would move to others",
            )
        )
    return CreatePartitionsResponse(throttle_time_ms=0, results=results)


async def describe_settings(broker: "Broker", request: Request) -> Any:
    results = []
    for resource in {(each.resource_type, each.resource_name): each for each in request.body.resources}.values():
        await asyncio.sleep(0)  # each answer has dozens of objects: let other tasks run
        result = DescribeConfigsResponse.DescribeConfigsResult(
            error_code=0,
            error_message=None,
            resource_type=resource.resource_type,
            resource_name=resource.resource_name,
            configs=[],
        )
        try:
            result.configs = _settings(broker, resource)
        except Refused as refusal:
            result.error_code, result.error_message = int(refusal.code), str(refusal)
        results.append(result)
    return DescribeConfigsResponse(throttle_time_ms=0, results=results)


def _settings(broker: "Broker", resource: Any) -> list[Any]:
    """The settings of a topic. The broker itself has none."""
    if resource.resource_type == _BROKER:
        return []
    if resource.resource_type != _TOPIC:
        raise Refused(Code.INVALID_REQUEST, "only topics have settings on this broker")
    topic = broker.log.topics.get(resource.resource_name)
    if topic is None:
        raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic")
    return [
        DescribeConfigsResponse.DescribeConfigsResult.DescribeConfigsResourceResult(
            name=name,
            value=topic.setting(name),
            read_only=False,
            config_source=_SET_HERE if name in topic.settings else _DEFAULT,
            is_sensitive=False,
            synonyms=[],
            config_type=0,
            documentation=None,
        )
        for name in SETTINGS
        if resource.configuration_keys is None or name in resource.configuration_keys
    ]


async def alter_settings(broker: "Broker", request: Request) -> Any:
    """Settings that the request does not name return to their defaults."""
    return await _alter(broker, request, AlterConfigsResponse, lambda old, new: {each.name: each.value for each in new})


async def alter_settings_by_steps(broker: "Broker", request: Request) -> Any:
    return await _alter(broker, request, IncrementalAlterConfigsResponse, _steps)


def _steps(settings: dict[str, str], steps: Any) -> dict[str, str]:
    for step in steps:
        if step.config_operation == _SET:
            settings[step.name] = step.value
        elif step.config_operation == _DELETE:
            settings.pop(step.name, None)
        else:
            raise Refused(Code.INVALID_CONFIG, "only SET and DELETE are supported")
    return settings


async def _alter(
    broker: "Broker", request: Request, response: Any, change: Callable[[dict[str, str], Any], dict[str, str]]
) -> Any:
    results = []
    for resource in request.body.resources:
        result = response.AlterConfigsResourceResponse(
            error_code=0, error_message=None, resource_type=resource.resource_type, resource_name=resource.resource_name
        )
        try:
            if resource.resource_type != _TOPIC:
                raise Refused(Code.INVALID_REQUEST, "only topics have settings on this broker")
            if resource.resource_name not in broker.log.topics:
                raise Refused(Code.UNKNOWN_TOPIC_OR_PARTITION, "no such topic")
            settings = change(dict(broker.log.topics[resource.resource_name].settings), resource.configs)
            check_settings(settings)
            if not request.body.validate_only:
                await broker.log.configure(resource.resource_name, settings)
        except Refused as refusal:
            result.error_code, result.error_message = int(refusal.code), str(refusal)
        results.append(result)
    return response(throttle_time_ms=0, responses=results)
