"""How clients connect to the brokers: in the clear, over TLS, or over TLS as a user; as the environment says."""

from __future__ import annotations

import os
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

SECURITY: Final = "NOVATE_KAFKA_SECURITY"
"""plaintext (where it is not set), ssl or sasl_ssl"""
CA: Final = "NOVATE_KAFKA_CA"
"""a file with the certificates that vouch for the brokers'; where it is not set, the system's"""
USER: Final = "NOVATE_KAFKA_USER"
PASSWORD_FILE: Final = "NOVATE_KAFKA_PASSWORD_FILE"
MECHANISM: Final = "NOVATE_KAFKA_MECHANISM"
"""how the user shows who it is; SCRAM-SHA-512 where it is not set"""

MECHANISMS: Final = ("SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN")
_USED: Final = {"plaintext": (), "ssl": (CA,), "sasl_ssl": (CA, USER, PASSWORD_FILE, MECHANISM)}


class SecurityWrong(ValueError):  # noqa: N818 - named for what is found
    """The environment's settings of how to connect contradict each other, lack something, or name a file that cannot be
    used."""


def connection(address: str, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The settings by which a client of kafka-python or of aiokafka finds the brokers at `address` and connects.

    Brokers must show a certificate for the name by which they are reached. A variable that is empty counts as not set.
    Raises SecurityWrong.
    """
    told = {name: value for name, value in (os.environ if environment is None else environment).items() if value}
    how = told.get(SECURITY, "plaintext")
    if how not in _USED:
        raise SecurityWrong(f"{SECURITY}={how}: it is one of {', '.join(_USED)}")
    for name in (CA, USER, PASSWORD_FILE, MECHANISM):
        if name in told and name not in _USED[how]:
            raise SecurityWrong(f"{name} is set, and would not be used with {SECURITY}={how}")
    settings: dict[str, Any] = {"bootstrap_servers": address}
    if how == "plaintext":
        return settings
    try:
        settings |= {"security_protocol": how.upper(), "ssl_context": ssl.create_default_context(cafile=told.get(CA))}
    except OSError as error:
        raise SecurityWrong(f"{CA}={told.get(CA)}: {error}") from error
    if how == "ssl":
        return settings
    mechanism = told.get(MECHANISM, MECHANISMS[0])
    if mechanism not in MECHANISMS:
        raise SecurityWrong(f"{MECHANISM}={mechanism}: it is one of {', '.join(MECHANISMS)}")
    for name in (USER, PASSWORD_FILE):
        if name not in told:
            raise SecurityWrong(f"{SECURITY}={how} needs {name}")
    try:
        password = Path(told[PASSWORD_FILE]).read_text("utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SecurityWrong(f"{PASSWORD_FILE}={told[PASSWORD_FILE]}: {type(error).__name__}") from None
    return settings | {
        "sasl_mechanism": mechanism,
        "sasl_plain_username": told[USER],
        "sasl_plain_password": password,
    }
