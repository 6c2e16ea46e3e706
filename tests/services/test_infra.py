"""The files of the production form say what the code says: commands, options, variables, topics' settings, metrics."""

from __future__ import annotations

import json
import re
import shlex
import stat
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from typer.main import get_command
from workers import System, reference

from ledger.journal.topics import LARGEST_BATCH, SHORTEST_SESSION_MS
from services.archiver import Measured
from services.broker import Broker
from services.cli import app
from services.lockstep import Settings
from services.projector import URL
from services.workers.parts import CLEARING, PARTS, SEQUENCER, WHOLE

ROOT = Path(__file__).parents[2]
INFRA = ROOT / "infra"
COMPOSE: dict[str, Any] = yaml.safe_load((INFRA / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if one["image"] == "novate"}
METRIC = re.compile(r"\b(novate_[a-z_]+)\b")


def words(name: str) -> list[str]:
    return [str(word) for word in OURS[name]["command"]]


@cache
def options_of_workers() -> str:
    command = (sys.executable, "-m", "services.workers", "--help")
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.mark.parametrize("name", OURS)
def test_a_command_is_one_that_there_is(name: str) -> None:
    command: Any = get_command(app)
    rest = words(name)
    while rest and hasattr(command, "get_command"):
        command = command.get_command(None, rest.pop(0))
        assert command is not None
    if command.name == "worker":
        assert rest[0] in PARTS
        assert all(option in options_of_workers() for option in rest if option.startswith("--"))
    else:
        assert command.make_context(name, rest, resilient_parsing=False)


def test_every_part_runs_and_the_clearing_workers_can_be_reached() -> None:
    """The part `whole` stands for the two others of a system of one shard; this one has four."""
    assert {words(name)[1] for name in OURS if words(name)[0] == "worker"} == set(PARTS) - {WHOLE}
    clearing = [name for name in OURS if CLEARING in words(name)]
    assert len(clearing) == 2
    for name in clearing:
        assert words(name)[words(name).index("--announce") + 1] == f"http://{name}:9100"


def test_images_are_pinned_and_every_host_is_a_service() -> None:
    for name, one in COMPOSE["services"].items():
        if name not in OURS:
            assert re.search(r":v?\d+\.\d+(\.\d+)?[\w.-]*$", one["image"]), name
        for word in map(str, one.get("command", ())):
            for host in re.findall(r"([a-z]+-?\d?):(?:9092|9100)\b", word):
                assert host in COMPOSE["services"], word
        for other in one.get("depends_on", {}):
            assert other in COMPOSE["services"]
        for volume in one.get("volumes", ()):
            source = volume.partition(":")[0]
            assert (INFRA / source).exists() if source.startswith(".") else source in COMPOSE["volumes"], volume
    version = re.search(r"<kafka.version>(.*)</kafka.version>", (INFRA / "kafka" / "pom.xml").read_text())
    assert version and COMPOSE["services"]["kafka-1"]["image"] == f"apache/kafka:{version[1]}"


def test_brokers_are_set_as_the_check_of_topics_wants_them() -> None:
    for k in (1, 2, 3):
        told = COMPOSE["services"][f"kafka-{k}"]["environment"]
        assert told["KAFKA_NODE_ID"] == str(k)
        assert told["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == told["KAFKA_UNCLEAN_LEADER_ELECTION_ENABLE"] == "false"
        assert int(told["KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS"]) <= SHORTEST_SESSION_MS
        assert int(told["KAFKA_MESSAGE_MAX_BYTES"]) >= LARGEST_BATCH
        assert told["KAFKA_LOG_RETENTION_MS"] == told["KAFKA_LOG_RETENTION_BYTES"] == "-1"
        copies, in_sync = words("topics")[-3], words("topics")[-1]
        assert (told["KAFKA_DEFAULT_REPLICATION_FACTOR"], told["KAFKA_MIN_INSYNC_REPLICAS"]) == (copies, in_sync)
        # what the image takes for a setting must be one of the example for a cluster too, but for where things are
        example = (INFRA / "kafka" / "server.properties").read_text()
        for name in told:
            setting = name.removeprefix("KAFKA_").lower().replace("_", ".")
            assert name == "CLUSTER_ID" or f"{setting}=" in example or setting == "default.replication.factor", name


def test_secrets_are_made_once_and_read_by_nobody_else(tmp_path: Path) -> None:
    script = tmp_path / "secrets.sh"
    script.write_bytes((INFRA / "secrets.sh").read_bytes())
    for _ in range(2):
        subprocess.run(["sh", str(script)], check=True)
    made = {path.name: path.read_text() for path in (tmp_path / "secrets").iterdir()}
    assert made["database.env"] == f"{URL}=postgresql://postgres:{made['postgres_password']}@postgres:5432/novate\n"
    assert len(made["postgres_password"]) == 48 and made["postgres_password"] != made["grafana_password"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "secrets").iterdir()} == {0o600}
    wanted = {one["file"] for one in COMPOSE["secrets"].values()} | {
        file for one in OURS.values() for file in one.get("env_file", ())
    }
    assert {f"secrets/{name}" for name in made} == wanted
    assert "secrets/" in (INFRA / ".gitignore").read_text().split()


def test_the_image_has_every_package_that_is_installed() -> None:
    copied = {
        shlex.split(line)[1] for line in (INFRA / "Dockerfile").read_text().splitlines() if line.startswith("COPY")
    }
    packages = {"schemas", "risk", "insurance", "liquidation", "ledger", "services"}
    assert packages <= copied
    kept = (INFRA / "Dockerfile.dockerignore").read_text().split()
    assert packages <= {line.removeprefix("!") for line in kept}


# --- what is watched --------------------------------------------------------------------------------------------------


def alerts() -> list[dict[str, Any]]:
    told = yaml.safe_load((INFRA / "prometheus" / "alerts.yaml").read_text())
    return [rule for group in told["groups"] for rule in group["rules"]]


def asked() -> dict[str, set[str]]:
    """The metrics that each panel and alert names."""
    dashboard = json.loads((INFRA / "grafana" / "dashboards" / "novate.json").read_text())
    named = {
        f"panel {panel['title']}": set(METRIC.findall(" ".join(one["expr"] for one in panel["targets"])))
        for panel in dashboard["panels"]
    }
    return named | {f"alert {rule['alert']}": set(METRIC.findall(rule["expr"])) for rule in alerts()}


@pytest.fixture(scope="module")
def exported(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[set[str]]:
    """The samples that a sequencer, a clearing worker and a gateway export once they have done something."""
    folder = tmp_path_factory.mktemp("watched")
    ran = reference(folder / "run", shards=1, steps=2, accounts=24, snapshot_every=1)
    settings = Settings(1, ran.settings.accounts, 1)
    with System(broker.address, f"t{folder.name}", settings, folder) as system:
        names: set[str] = set()
        workers = [system.start(SEQUENCER), system.start(CLEARING)]
        for entry in ran.entries[:4]:
            system.append(entry)
        system.outcomes(0, 4, timeout=60.0)
        for worker in workers:
            page = httpx.get(f"{worker.url}/metrics", timeout=10.0).text
            names |= {one.name for family in text_string_to_metric_families(page) for one in family.samples}
        yield names | gateway_exports() | archiver_exports()


def archiver_exports() -> set[str]:
    page = generate_latest(Measured().registry).decode()
    return {one.name for family in text_string_to_metric_families(page) for one in family.samples}


def gateway_exports() -> set[str]:
    from services.gateway.metrics import Figures

    figures = dict.fromkeys(("offset", "n", "waiting", "mark", "answered", "mark_time"), 0)
    watched = Figures(lambda: {"ok": True, **figures})
    watched.refused.labels("x").inc()
    watched.seconds.labels("x").observe(1)
    return {one.name for f in text_string_to_metric_families(watched.text().decode()) for one in f.samples}


def test_every_metric_of_the_dashboard_and_the_alerts_is_exported(exported: set[str]) -> None:
    missing = {where: names - exported for where, names in asked().items() if names - exported}
    assert not missing, sorted(exported)
    assert all(asked()[f"panel {title}"] for title in ("Mark age", "Records to be folded", "Fund, smallest units"))


def test_prometheus_asks_every_process_that_serves_figures() -> None:
    told = yaml.safe_load((INFRA / "prometheus" / "prometheus.yaml").read_text())
    targets = {target for job in told["scrape_configs"] for one in job["static_configs"] for target in one["targets"]}
    serving = {f"{name}:9100" for name in OURS if "9100" in words(name)} | {"gateway:8080"}
    assert targets == serving
    assert told["rule_files"] == ["alerts.yaml"]


def test_every_alert_is_told_what_to_do_about() -> None:
    handbook = (ROOT / "docs" / "operations.md").read_text()
    assert not [rule["alert"] for rule in alerts() if f"**{rule['alert']}**" not in handbook]
    assert all(rule["labels"]["severity"] in ("page", "ticket") for rule in alerts())
    assert all(rule["annotations"]["summary"] for rule in alerts())
