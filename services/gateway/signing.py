"""How a request is signed, and how a signature is checked: HMAC-SHA256 over all of the request, a time and a nonce."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Final

from services.gateway.keys import Key, Keys, Secret
from services.gateway.refusals import Refused

KEY: Final = "Novate-Key"
TIME: Final = "Novate-Time"
NONCE: Final = "Novate-Nonce"
SIGNATURE: Final = "Novate-Signature"
WINDOW_MS: Final = 30_000
"""how far a request's time may be from the gateway's clock, either way"""
MOST_NONCES: Final = 1 << 17
"""of one key that are remembered within the window; a key that sends more has to wait"""
_NONCE: Final = re.compile(r"[A-Za-z0-9_-]{16,64}")
_TIME: Final = re.compile(r"[0-9]{1,15}")
_UNKNOWN: Final = Secret(b"\0" * 32)
"""checked against where a key is unknown, so that it takes as long"""


def signature(secret: Secret, method: str, target: str, time_ms: int, nonce: str, body: bytes) -> str:
    """The signature, hex. `target` is the path and, where there is one, `?` and the query, as sent."""
    text = "\n".join((method.upper(), target, str(time_ms), nonce, hashlib.sha256(body).hexdigest()))
    return hmac.new(secret.reveal(), text.encode(), hashlib.sha256).hexdigest()


class Gate:
    """Checks signatures and lets each request through once. For one event loop."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._nonces: defaultdict[str, OrderedDict[str, int]] = defaultdict(OrderedDict)

    def claimed(self, headers: Mapping[str, str], now_ms: int) -> tuple[str, str, int, str]:
        """(key id, signature, time, nonce) as a request's headers tell them; called before its body is read.

        Raises Refused: KeyMissing, KeyUnknown, RequestMalformed, RequestTooOld, RequestTooEarly.
        """
        told = [headers.get(name) for name in (KEY, SIGNATURE, TIME, NONCE)]
        if not told[0]:
            raise Refused(401, "KeyMissing", f"sign the request and name your key in {KEY}")
        name, given, time, nonce = (one or "" for one in told)
        if not _TIME.fullmatch(time) or not _NONCE.fullmatch(nonce) or not given.isascii():
            what = f"{TIME} (milliseconds), {NONCE} (16 to 64 of A-Z a-z 0-9 _ -) and {SIGNATURE} (hex) are needed"
            raise Refused(401, "SignatureMissing", what)
        _timely(int(time), now_ms)
        return name, given, int(time), nonce

    def admitted(self, claim: tuple[str, str, int, str], method: str, target: str, body: bytes, now_ms: int) -> Key:
        """The key a request is signed with; its nonce is used up. Raises Refused: KeyUnknown, SignatureWrong,
        TimeOutsideWindow (its body was too long in coming: its nonce would be forgotten at once), RequestReplayed,
        Overloaded."""
        name, given, time, nonce = claim
        key = self._keys.get(name)
        wanted = signature(key.secret if key else _UNKNOWN, method, target, time, nonce, body)
        right = hmac.compare_digest(wanted, given)
        if key is None:
            raise Refused(401, "KeyUnknown", f"no key has the id told in {KEY}")
        if not right:
            raise Refused(401, "SignatureWrong", "method, path, query, time, nonce or body is not what was signed")
        _timely(time, now_ms)
        self._use(key.id, nonce, time, now_ms)
        return key

    def _use(self, name: str, nonce: str, time: int, now_ms: int) -> None:
        """Remember a nonce until its time is outside the window. They are kept in order of arrival, so one that came
        with a late time can hold back a few that could be forgotten, never the other way round."""
        used = self._nonces[name]
        while used and next(iter(used.values())) < now_ms:
            used.popitem(last=False)
        if nonce in used:
            raise Refused(401, "RequestReplayed", f"its nonce was used before: a new {NONCE} for every request")
        if len(used) >= MOST_NONCES:
            raise Refused(429, "Overloaded", f"{MOST_NONCES} requests of this key within the window", retry_seconds=1.0)
        used[nonce] = time + WINDOW_MS


def _timely(time: int, now_ms: int) -> None:
    age = now_ms - time
    if abs(age) > WINDOW_MS:
        what = f"its time is {abs(age)} ms {'before' if age > 0 else 'after'} the gateway's, {WINDOW_MS} are allowed"
        raise Refused(401, "TimeOutsideWindow", f"{what}: set your clock and sign anew")
