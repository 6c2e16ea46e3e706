"""What a mark tells of the whole: parameters, prices, funding, totals, digests."""

from schemas.kinds import Parameter
from schemas.message import I64, U16, U32, U64, Bytes32, define
from schemas.outcomes.catalogue import OUTCOMES


@define(OUTCOMES, 115)
class ParameterApplied:
    """A parameter change took effect at a mark."""

    index: U32
    parameter: Parameter
    scope: U32
    before: I64
    after: I64


@define(OUTCOMES, 116)
class FundingIndexed:
    """A perp's cumulative funding index moved (millionths of a smallest unit per lot)."""

    index: U32
    instrument: U32
    step: I64
    cumulative: I64


@define(OUTCOMES, 117)
class NetPosition:
    """What a shard's clearinghouse account holds of an instrument at a mark; over all shards it sums to zero."""

    index: U32
    instrument: U32
    quantity: I64
    cost: I64
    """sum of the shard's accounts' costs in the settlement asset"""


@define(OUTCOMES, 118)
class HouseBalance:
    """A house account's balance in a shard at a mark."""

    index: U32
    asset: U16
    account: U32
    balance: I64


@define(OUTCOMES, 119)
class MarkDone:
    """A shard has answered a mark: `Done(m)`. Sums over its accounts in micro-dollars."""

    index: U32
    accounts: U32
    liquidating: U32
    deficits: U32
    mark: U64
    time: I64
    equity: I64
    maintenance: I64
    initial: I64


@define(OUTCOMES, 120)
class SnapshotTaken:
    """The SHA-256 of a shard's whole state after this entry."""

    index: U32
    digest: Bytes32


@define(OUTCOMES, 122)
class OracleAccepted:
    """An underlying's last good price, micro-dollars."""

    index: U32
    underlying: U16
    round: U64
    price: I64
