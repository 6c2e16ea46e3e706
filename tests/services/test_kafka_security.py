"""Brokers that are reached over TLS, and as a user: all clients get in, and nobody without what it takes."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from broker import running
from kafka import KafkaAdminClient
from kafka.admin import ScramMechanism, UserScramCredentialUpsertion
from typer.testing import CliRunner
from workers import System, reference

from ledger.journal import JournalUnreachable
from ledger.journal.kafka import KafkaPublisher
from ledger.journal.security import CA, MECHANISM, PASSWORD_FILE, SECURITY, USER, SecurityWrong, connection
from services.broker import free_port
from services.cli_system import app

PASSWORD = "correct horse"


class Secured(NamedTuple):
    """A broker's addresses, and the environment by which clients get in at each."""

    tls: str
    user: str
    certificate: Path
    password: Path

    def over_tls(self) -> dict[str, str]:
        return {SECURITY: "ssl", CA: str(self.certificate)}

    def as_user(self) -> dict[str, str]:
        return {SECURITY: "sasl_ssl", CA: str(self.certificate), USER: "novate", PASSWORD_FILE: str(self.password)}


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    """A broker with a certificate of its own and a user."""
    folder = tmp_path_factory.mktemp("secured")
    key, certificate, both = folder / "key.pem", folder / "certificate.pem", folder / "both.pem"
    subprocess.run(
        ("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=broker",
         "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)),
        check=True, capture_output=True,
    )  # fmt: skip
    both.write_text(key.read_text() + certificate.read_text())
    (folder / "password").write_text(PASSWORD + "\n")
    plain, tls, user, controller = (free_port() for _ in range(4))
    listeners = ",".join(
        f"{name}://127.0.0.1:{port}" for name, port in (("PLAINTEXT", plain), ("SSL", tls), ("SASL_SSL", user))
    )
    settings = {
        "controller.quorum.voters": f"1@127.0.0.1:{controller}",
        "listeners": f"{listeners},CONTROLLER://127.0.0.1:{controller}",
        "advertised.listeners": listeners,
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(both),
        "sasl.enabled.mechanisms": "SCRAM-SHA-512",
        "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config": (
            "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        ),
    }
    with running(folder / "broker", port=plain, settings=settings) as broker:
        with closing(KafkaAdminClient(bootstrap_servers=broker.address)) as admin:
            made = UserScramCredentialUpsertion("novate", ScramMechanism.SCRAM_SHA_512, PASSWORD)
            admin.alter_user_scram_credentials([made])
        yield Secured(f"127.0.0.1:{tls}", f"127.0.0.1:{user}", certificate, folder / "password")


@pytest.mark.parametrize("way", ["tls", "user"])
def test_a_system_clears_over_tls_and_as_a_user(
    secured: Secured, way: str, tmp_path: Path, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Topics, settings, the journal's appenders and readers, Faust's groups, and what listens and writes beside."""
    address, environment = (secured.tls, secured.over_tls()) if way == "tls" else (secured.user, secured.as_user())
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    told = reference(tmp_path / "embedded", shards=1, steps=2, accounts=24)
    with System(address, prefix, told.settings, tmp_path / "system") as system:
        system.start_all()
        system.drive(told)
        system.check(told)


def test_nobody_gets_in_without_what_it_takes(
    secured: Secured, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("another\n")
    strangers = {name: value for name, value in secured.over_tls().items() if name != CA}
    for address, environment in (
        (secured.tls, {}),
        (secured.tls, strangers),
        (secured.user, secured.over_tls()),
        (secured.user, secured.as_user() | {PASSWORD_FILE: str(wrong)}),
    ):
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            with pytest.raises(JournalUnreachable) as refused:
                closing(KafkaPublisher(address, timeout=3.0)).__enter__()
            assert PASSWORD not in str(refused.value) and "another" not in str(refused.value)


@pytest.mark.parametrize(
    ("environment", "what"),
    [
        ({SECURITY: "tls"}, "plaintext, ssl, sasl_ssl"),
        ({CA: "ca.pem"}, f"{CA} is set"),
        ({SECURITY: "ssl", USER: "novate"}, f"{USER} is set"),
        ({SECURITY: "sasl_ssl", USER: "novate"}, f"needs {PASSWORD_FILE}"),
        ({SECURITY: "sasl_ssl", PASSWORD_FILE: "p"}, f"needs {USER}"),
        ({SECURITY: "sasl_ssl", USER: "novate", PASSWORD_FILE: "/nowhere"}, f"{PASSWORD_FILE}=/nowhere"),
        ({SECURITY: "ssl", CA: "/nowhere"}, f"{CA}=/nowhere"),
        ({SECURITY: "ssl", CA: __file__}, f"{CA}="),
        ({SECURITY: "sasl_ssl", MECHANISM: "GSSAPI"}, "SCRAM-SHA-512"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environment: dict[str, str], what: str) -> None:
    with pytest.raises(SecurityWrong, match=what):
        connection("127.0.0.1:9092", environment)


def test_nothing_set_is_in_the_clear() -> None:
    empty = dict.fromkeys((SECURITY, CA, USER, PASSWORD_FILE, MECHANISM), "")
    assert connection("a:1,b:2", empty) == {"bootstrap_servers": "a:1,b:2"}


def test_a_broker_of_ones_own_is_not_looked_for_over_tls(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["up", "--kafka", "embedded", "--out", str(tmp_path)], env={SECURITY: "ssl"})
    assert told.exit_code == 2 and SECURITY in told.output, told.output
