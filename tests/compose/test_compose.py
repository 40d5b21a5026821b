"""docker-compose.yml without an engine: its schema, and that everything it names is there."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from grafana.variables import RUNBOOKS
from nomadwatch.cli import nomadwatch
from nomadwatch.settings import SECRETS, load, names, variable
from tests.compose.services import COMPOSE, ROLES, ROOT, SERVICES, mounts, secrets

DOCUMENT = (ROOT / "docs" / "compose.md").read_text()
each_service = pytest.mark.parametrize("service", SERVICES)
each_role = pytest.mark.parametrize("service", ROLES)


def test_it_is_a_compose_file() -> None:
    check = [
        str(Path(sys.executable).parent / "check-jsonschema"),
        "--builtin-schema",
        "vendor.compose-spec",
        "docker-compose.yml",
    ]
    done = subprocess.run(check, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_it_has_the_services_of_the_whole_chain() -> None:
    assert SERVICES.keys() == {*ROLES, "kafka", "prometheus", "alertmanager", "grafana"}


def test_one_service_builds_the_image_and_the_others_take_it() -> None:
    assert [name for name, service in SERVICES.items() if "build" in service] == ["topics"]
    for name in ROLES:
        assert SERVICES[name]["image"] == SERVICES["topics"]["image"]
        assert SERVICES[name]["pull_policy"] == ("build" if name == "topics" else "never")


@each_service
def test_what_is_mounted_exists(service: str) -> None:
    for source, target in mounts(service):
        assert target.startswith("/")
        if source.startswith("."):
            assert (ROOT / source).exists(), source
        else:
            assert source in COMPOSE["volumes"]


@each_service
def test_what_is_mounted_from_the_repository_is_read_only(service: str) -> None:
    assert all(volume.endswith(":ro") for volume in SERVICES[service].get("volumes", []) if volume.startswith("."))


def test_no_volume_and_no_secret_is_there_for_nobody() -> None:
    assert COMPOSE["volumes"].keys() == {
        source for service in SERVICES for source, _ in mounts(service) if not source.startswith(".")
    }
    assert COMPOSE["secrets"].keys() == {name for service in SERVICES for name in secrets(service)}


@each_service
def test_what_it_waits_for_exists_and_can_come_about(service: str) -> None:
    for other, how in SERVICES[service].get("depends_on", {}).items():
        match how["condition"]:
            case "service_healthy":
                assert "healthcheck" in SERVICES[other]
            case "service_completed_successfully":
                # Started again without end it would neither succeed nor fail, and everybody would wait for it.
                assert re.fullmatch(r"on-failure:[1-9]", SERVICES[other]["restart"]), f"{other} does not end"
            case condition:
                assert condition == "service_started"
                assert other in SERVICES


def test_nobody_waits_for_himself() -> None:
    waiting = {service: set(settings.get("depends_on", {})) for service, settings in SERVICES.items()}
    while ready := {service for service, others in waiting.items() if not others}:
        waiting = {service: others - ready for service, others in waiting.items() if service not in ready}
    assert waiting == {}


@pytest.mark.parametrize("name", COMPOSE["secrets"])
def test_a_secret_is_a_file_that_stays_here_and_is_described(name: str) -> None:
    path = COMPOSE["secrets"][name]["file"]
    assert path == f"./secrets/{name}"
    ignored = (ROOT / "secrets" / ".gitignore").read_text().splitlines()
    assert [line for line in ignored if line and not line.startswith("#")] == ["*", "!.gitignore"]
    assert f"| `{name}` |" in DOCUMENT


@each_service
def test_no_secret_stands_in_the_file_itself(service: str) -> None:
    environment = SERVICES[service].get("environment", {})
    named = {name: value for name, value in environment.items() if re.search("TOKEN|PASSWORD|KEY|SECRET", name)}
    assert all(name.endswith("_FILE") and value in secrets(service).values() for name, value in named.items()), named


@each_role
def test_an_environment_name_is_a_setting_that_the_program_takes(service: str) -> None:
    known = {variable(name) for name in names()} | {f"{variable(name)}_FILE" for name in SECRETS}
    environment = SERVICES[service]["environment"]
    assert environment.keys() <= known
    load({}, {name: value for name, value in environment.items() if not name.endswith("_FILE")}, ROOT / "docs")


def test_all_roles_mean_the_same_topics() -> None:
    shared = {variable("broker"), variable("partitions"), variable("prefix")}
    seen = [{name: value for name, value in SERVICES[role]["environment"].items() if name in shared} for role in ROLES]
    assert seen == seen[:1] * len(ROLES)


def parses(arguments: list[str]) -> None:
    """The program's own parser takes the arguments, down to the last command."""
    command: click.Command = nomadwatch
    context = click.Context(command, info_name="nomadwatch")
    while isinstance(command, click.Group):
        name, command_found, arguments = command.resolve_command(context, arguments)
        assert command_found is not None, name
        command = command_found
    command.make_context(command.name, list(arguments), parent=context)


@each_role
def test_a_command_is_one_of_the_program(service: str) -> None:
    parses(SERVICES[service]["command"])


@each_role
def test_a_health_check_asks_the_program_about_the_service_itself(service: str) -> None:
    check = SERVICES[service].get("healthcheck")
    if check is None:
        assert service == "topics"  # it ends; how, is its exit code
        return
    assert check["test"][:4] == ["CMD", "nomadwatch", "health", service]
    parses(check["test"][2:])


def megabytes(size: str) -> int:
    """Of a size as Compose writes it."""
    found = re.fullmatch(r"(\d+)([mg])", size)
    assert found is not None, size
    return int(found[1]) * {"m": 1, "g": 1024}[found[2]]


def test_the_limits_add_up_to_what_the_document_says() -> None:
    sizes = [megabytes(settings["deploy"]["resources"]["limits"]["memory"]) for settings in SERVICES.values()]
    assert f"(the limits add up to {sum(sizes) / 1024:g} GB)" in " ".join(DOCUMENT.split())


@each_service
def test_it_is_watched_restarted_and_limited(service: str) -> None:
    settings = SERVICES[service]
    ends = settings["restart"].startswith("on-failure")
    assert ends or settings["restart"] == "unless-stopped"
    assert ends == ("healthcheck" not in settings)
    if not ends:
        assert settings["healthcheck"].keys() == {
            "test",
            "interval",
            "timeout",
            "retries",
            "start_period",
            "start_interval",
        }
    limits = settings["deploy"]["resources"]["limits"]
    assert limits.keys() == {"cpus", "memory", "pids"}
    assert megabytes(limits["memory"]) >= 256
    assert limits["pids"] >= 100
    assert settings["init"] is True
    assert settings["logging"]["options"].keys() == {"max-size", "max-file"}


@each_service
def test_it_can_do_no_more_than_it_must(service: str) -> None:
    settings = SERVICES[service]
    assert settings["cap_drop"] == ["ALL"]
    assert settings["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices", "user"} & settings.keys()
    assert (service in ROLES) == settings.get("read_only", False)


@each_service
def test_only_loopback_is_published(service: str) -> None:
    for port in SERVICES[service].get("ports", []):
        assert re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port)


def test_the_broker_is_published_nowhere() -> None:
    assert "ports" not in SERVICES["kafka"]


def test_count_can_be_scaled() -> None:
    assert not {"ports", "container_name", "volumes", "hostname"} & SERVICES["count"].keys()


@each_service
def test_an_image_is_pinned_by_its_version(service: str) -> None:
    assert re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", SERVICES[service]["image"])


def test_our_image_and_kafka_have_the_versions_that_are_tested() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    version = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert version is not None
    assert {SERVICES[role]["image"] for role in ROLES} == {f"nomadwatch:{version[1]}"}
    kafka = re.search(
        r"<artifactId>kafka_\S+</artifactId>\s*<version>(.+)</version>", (ROOT / "tests/kafka/pom.xml").read_text()
    )
    assert kafka is not None
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka[1]}"


def test_prometheus_does_what_it_does_outside_but_for_its_targets() -> None:
    def read(name: str) -> tuple[Any, list[str]]:
        text = (ROOT / "prometheus" / name).read_text()
        return yaml.safe_load(re.sub(r"targets: \[.*\]", "targets: []", text)), re.findall(r'targets: \["(.*)"\]', text)

    (here, at_home), (there, on_loopback) = read("compose.yml"), read("prometheus.yml")
    assert here == there
    assert on_loopback == ["127.0.0.1:9093", "127.0.0.1:9108"]
    for target in at_home:
        host, _, port = target.partition(":")
        assert f"127.0.0.1:{port}:{port}" in SERVICES[host]["ports"]


# Where each service answers the others.
LISTENING = {"kafka": "9092", "sinks": "9108", "prometheus": "9090", "alertmanager": "9093", "grafana": "3000"}
CONTROLLER = "9094"


def said(service: str) -> list[str]:
    """What a service is told on its command line and in its environment."""
    return [*SERVICES[service].get("command", ()), *SERVICES[service].get("environment", {}).values()]


def option(service: str, name: str) -> str:
    """The value of the one option of this name."""
    value: str
    (value,) = [part.partition("=")[2] for part in SERVICES[service]["command"] if part.startswith(f"{name}=")]
    return value


@each_service
def test_who_is_asked_is_a_service_that_listens_there(service: str) -> None:
    for host, port in re.findall(r"([\w.-]+):(\d{4,5})", "\n".join(said(service))):
        if (host, port) == ("127.0.0.1", LISTENING.get(service)):
            assert option(service, "--web.external-url") == f"http://{host}:{port}/", "this one people ask"
        elif port == CONTROLLER:
            assert (service, host) == ("kafka", "localhost"), "nobody else asks it"
        else:
            assert LISTENING[host] == port


def test_a_service_listens_to_the_others_and_not_to_itself_alone() -> None:
    assert {service for service, settings in SERVICES.items() if "ports" in settings} == LISTENING.keys() - {"kafka"}
    command = SERVICES["sinks"]["command"]
    assert command == ["sinks", "--host", "0.0.0.0", "--allow-host", "sinks", "--port", LISTENING["sinks"]]
    for service in ("prometheus", "alertmanager"):
        assert option(service, "--web.listen-address") == f":{LISTENING[service]}"
    environment = SERVICES["kafka"]["environment"]
    assert environment["KAFKA_LISTENERS"].split(",")[0] == f"PLAINTEXT://:{LISTENING['kafka']}"
    assert environment["KAFKA_ADVERTISED_LISTENERS"] == f"PLAINTEXT://kafka:{LISTENING['kafka']}"


@each_service
def test_a_health_check_asks_where_the_service_listens(service: str) -> None:
    asked = re.findall(r"([\w.-]+):(\d+)", " ".join(SERVICES[service].get("healthcheck", {}).get("test", ())))
    assert asked == ([("localhost", LISTENING[service])] if service in LISTENING.keys() - {"sinks"} else [])


WRITTEN = {
    "kafka": SERVICES["kafka"]["environment"]["KAFKA_LOG_DIRS"],
    "prometheus": option("prometheus", "--storage.tsdb.path"),
    "alertmanager": option("alertmanager", "--storage.path"),
    "streams": SERVICES["streams"]["environment"]["NOMADWATCH_DATA_DIR"],
    "measure": SERVICES["measure"]["environment"]["NOMADWATCH_DATA_DIR"],
    "grafana": "/var/lib/grafana",
}


@pytest.mark.parametrize("service", WRITTEN)
def test_what_must_outlive_a_container_is_in_a_volume(service: str) -> None:
    assert WRITTEN[service] in [target for source, target in mounts(service) if source in COMPOSE["volumes"]]


@each_role
def test_a_role_has_a_place_to_write_to_though_its_root_is_read_only(service: str) -> None:
    assert SERVICES[service]["tmpfs"] == ["/tmp"]
    place = SERVICES[service]["environment"].get("NOMADWATCH_DATA_DIR")
    assert place == WRITTEN.get(service) or Path(place).is_relative_to("/tmp")


def test_grafana_is_told_what_it_knows_and_finds_what_is_mounted() -> None:
    environment = SERVICES["grafana"]["environment"]
    # A name that Grafana does not know it passes by without a word.
    assert {name: value for name, value in environment.items() if name.startswith("GF_")} == {
        "GF_SECURITY_ADMIN_PASSWORD__FILE": "/run/secrets/grafana_password",
        "GF_ANALYTICS_REPORTING_ENABLED": "false",
        "GF_ANALYTICS_CHECK_FOR_UPDATES": "false",
        "GF_ANALYTICS_CHECK_FOR_PLUGIN_UPDATES": "false",
        "GF_PLUGINS_PREINSTALL_DISABLED": "true",
        "GF_PLUGINS_PREINSTALL_AUTO_UPDATE": "false",
    }
    assert [(source, target) for source, target in mounts("grafana") if source.startswith(".")] == [
        ("./grafana/provisioning", "/etc/grafana/provisioning"),
        ("./grafana/dashboards", environment["NOMADWATCH_DASHBOARDS"]),
        ("./docs/runbooks", f"/usr/share/grafana{RUNBOOKS}"),
    ]
    assert SERVICES["grafana"]["healthcheck"]["test"][-1] == f"http://localhost:{LISTENING['grafana']}/api/health"


def test_grafana_asks_the_prometheus_of_the_file() -> None:
    assert SERVICES["grafana"]["environment"]["PROMETHEUS_URL"] == "http://prometheus:9090"
    sources = (ROOT / "grafana" / "provisioning" / "datasources").glob("*.yaml")
    assert any("PROMETHEUS_URL" in source.read_text() for source in sources)
