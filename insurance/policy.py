"""The waterfall as a published policy: its TOML file read strictly, the rules its layers must keep, and the events that
publish it. `policies/` holds those that are shipped."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib.resources import files
from typing import Any, Final, NamedTuple

from schemas.events import PolicyLayer, PolicyPublished
from schemas.kinds import WaterfallLayer
from schemas.limits import BASIS_POINTS, MAX_AMOUNT, MICRO
from schemas.strict import Fault, Table, TomlError, at, day_of, only, text_of, value_of

SHIPPED: Final = ("exchange", "ccp")
"""policies that come with the package, by name"""
MAX_TEXT: Final = 1 << 14
MAX_ASSESSMENT: Final = 10 * BASIS_POINTS
"""a member is assessed for no more than ten times its contribution"""

POOLS: Final = frozenset({WaterfallLayer.OWN_CAPITAL, WaterfallLayer.FUND, WaterfallLayer.DEFAULT_FUND})
"""layers that are money in a house account; only these take a limit in dollars"""
LAST: Final = frozenset({WaterfallLayer.DELEVERAGING, WaterfallLayer.TEAR_UP})
"""one of these ends every policy: what is left must fall somewhere"""
_MEMBERS: Final = (WaterfallLayer.MEMBER_CONTRIBUTION, WaterfallLayer.DEFAULT_FUND, WaterfallLayer.ASSESSMENT)
_DECIMAL: Final = re.compile(r"\d{1,12}(\.\d{1,6})?")


class Rank(NamedTuple):
    """A layer in its place, and how much of it may be used while the policy is in force.

    `share` basis points: of all the layer held, of a member's contribution (ASSESSMENT), of the gains of one mark
    (GAINS_HAIRCUT). `amount` micro-dollars in each asset at the mark's price; 0: no such limit.
    """

    layer: WaterfallLayer
    share: int = BASIS_POINTS
    amount: int = 0


class InForce(NamedTuple):
    """The policy in force, as every shard knows it."""

    number: int
    since: int
    """the mark at which it took effect"""
    digest: bytes
    ranks: tuple[Rank, ...]

    def has(self, layer: WaterfallLayer) -> bool:
        """Whether the layer is one of the policy's."""
        return any(rank.layer == layer for rank in self.ranks)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as the published text has it."""

    rank: Rank
    meaning: str


@dataclass(frozen=True, slots=True)
class Policy:
    """A waterfall policy as published. `digest` is the SHA-256 of its text."""

    name: str
    published: str
    description: str
    layers: tuple[Layer, ...]
    digest: bytes

    @property
    def ranks(self) -> tuple[Rank, ...]:
        """The layers in order, without their meaning."""
        return tuple(layer.rank for layer in self.layers)


def fault_of(ranks: Sequence[Rank]) -> str | None:
    """Why these layers are no policy; None where they are one. The fold asks too, of the rows in the journal."""
    layers = [rank.layer for rank in ranks]
    members = [layer for layer in layers if layer in _MEMBERS]
    funded = [layer for layer in layers[1:] if layer in POOLS or layer in _MEMBERS]
    if not ranks or layers[0] != WaterfallLayer.OWN_COLLATERAL:
        return "own_collateral is not the first"
    if len(set(layers)) < len(layers):
        return "a layer stands twice"
    if WaterfallLayer.LAID_OUT in layers:
        return "laid_out belongs to every policy and is named in none"
    if layers[-1] not in LAST or any(layer in LAST for layer in layers[:-1]):
        return "one of deleveraging and tear_up must end it"
    if members != sorted(members, key=_MEMBERS.index):
        return "a member's own contribution comes before the others', and assessments after both"
    if WaterfallLayer.GAINS_HAIRCUT in layers and layers.index(WaterfallLayer.GAINS_HAIRCUT) <= len(funded):
        return "gains_haircut comes after all layers that were paid in"
    for rank in ranks:
        if why := _cap_fault(rank):
            return f"{rank.layer.name.lower()}: {why}"
    return None


def _cap_fault(rank: Rank) -> str | None:
    most = MAX_ASSESSMENT if rank.layer == WaterfallLayer.ASSESSMENT else BASIS_POINTS
    if not 0 < rank.share <= most:
        return f"a share of {rank.share} basis points is not in 1 ... {most}"
    if not 0 <= rank.amount <= MAX_AMOUNT:
        return f"an amount of {rank.amount} micro-dollars is not in 0 ... {MAX_AMOUNT}"
    if rank.amount and rank.layer not in POOLS:
        return "it takes no amount"
    shared = (*POOLS, WaterfallLayer.ASSESSMENT, WaterfallLayer.GAINS_HAIRCUT)
    if rank.share != BASIS_POINTS and rank.layer not in shared:
        return "it takes no share"
    return None


def parse_policy(text: str) -> Policy:
    """The policy a text tells. Raises TomlError at the first thing that is wrong."""
    if not text.isascii():
        raise TomlError(Fault.NOT_ASCII, "", "a policy is written in ASCII", "policy")
    if len(text) > MAX_TEXT:
        raise TomlError(Fault.TOO_LONG, "", f"{len(text)} characters, {MAX_TEXT} are allowed", "policy")
    try:
        whole = tomllib.loads(text, parse_float=Decimal)
    except tomllib.TOMLDecodeError as error:
        raise TomlError(Fault.NOT_TOML, "", str(error), "policy") from error
    only(whole, "", ("name", "published", "description", "layers"))
    published = day_of(whole, "", "published")
    rows = value_of(whole, "", "layers")
    if not isinstance(rows, list) or not rows:
        raise TomlError(Fault.WRONG_TYPE, "layers", "not an array of tables")
    layers = tuple(_layer(row, f"layers[{place}]") for place, row in enumerate(rows))
    if why := fault_of([layer.rank for layer in layers]):
        raise TomlError(Fault.BAD_ORDER, "layers", why)
    return Policy(
        name=_text(whole, "", "name", 24),
        published=published,
        description=_text(whole, "", "description", 1000),
        layers=layers,
        digest=hashlib.sha256(text.encode()).digest(),
    )


def shipped(name: str) -> Policy:
    """A policy of SHIPPED. Raises KeyError where there is none of that name."""
    if name not in SHIPPED:
        raise KeyError(name)
    return parse_policy((files("insurance") / "policies" / f"{name}.toml").read_text("ascii"))


def published(policy: Policy, number: int, time: int, effective: int) -> list[PolicyLayer | PolicyPublished]:
    """The events that publish a policy under this number, in order; times in microseconds."""
    rows: list[PolicyLayer | PolicyPublished] = [
        PolicyLayer(policy=number, part=part, layer=rank.layer, time=time, share=rank.share, amount=rank.amount)
        for part, rank in enumerate(policy.ranks)
    ]
    closing = PolicyPublished(policy=number, layers=len(rows), time=time, effective=effective, digest=policy.digest)
    return [*rows, closing]


def _layer(row: Any, path: str) -> Layer:
    if not isinstance(row, dict):
        raise TomlError(Fault.WRONG_TYPE, path, "not a table")
    only(row, path, ("layer", "share", "amount", "meaning"))
    name = _text(row, path, "layer", 24)
    if name != name.lower() or name.upper() not in WaterfallLayer.__members__:
        known = ", ".join(layer.name.lower() for layer in WaterfallLayer if layer)
        raise TomlError(Fault.UNKNOWN_LAYER, f"{path}.layer", f"{name!r}; known are {known}")
    share = _scaled(row, path, "share", BASIS_POINTS) if "share" in row else BASIS_POINTS
    amount = _scaled(row, path, "amount", MICRO) if "amount" in row else 0
    if "amount" in row and amount == 0:
        raise TomlError(Fault.OUT_OF_RANGE, f"{path}.amount", "a layer limited to nothing is none")
    return Layer(Rank(WaterfallLayer[name.upper()], share, amount), _text(row, path, "meaning", 500))


def _text(table: Table, path: str, key: str, most: int) -> str:
    value = text_of(table, path, key, most).strip()
    if not value:
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), "nothing but blanks")
    return value


def _scaled(table: Table, path: str, key: str, unit: int) -> int:
    """A decimal (a number, or digits in a string) as a whole number of 1 / unit."""
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise TomlError(Fault.WRONG_TYPE, at(path, key), f"{type(value).__name__} is not a decimal number")
    if not _DECIMAL.fullmatch(str(value)):
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value!s} is no decimal of a usual size")
    scaled = Decimal(str(value)) * unit
    if scaled != scaled.to_integral_value():
        raise TomlError(Fault.OUT_OF_RANGE, at(path, key), f"{value} is finer than 1/{unit}")
    return int(scaled)
