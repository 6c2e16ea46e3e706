"""Who bears a loss: the insurance fund, its backers, the members' default fund, the published policy."""

from schemas.events.catalogue import EVENTS
from schemas.kinds import WaterfallLayer
from schemas.message import I64, U8, U16, U32, U64, Bytes32, Time, define


@define(EVENTS, 56)
class FundContributed:
    """Money for the insurance fund: from a backer, or from the clearinghouse's own capital (`own` 1)."""

    flags: U16 = 0
    own: U8
    asset: U16
    backer: U32
    time: Time
    amount: I64


@define(EVENTS, 57)
class FundPaid:
    """The fund covers this much of an account's deficit."""

    flags: U16 = 0
    asset: U16
    account: U32
    mark: U64
    amount: I64


@define(EVENTS, 58)
class CapitalContributed:
    """The clearinghouse puts own capital in."""

    flags: U16 = 0
    asset: U16
    time: Time
    amount: I64


@define(EVENTS, 71)
class PolicyLayer:
    """A row of a waterfall policy: its `part`-th layer, and how much of it may be used while the policy is in force.

    `share` is basis points: of what the layer held, of a member's contribution (ASSESSMENT), of the gains
    (GAINS_HAIRCUT); `amount` micro-dollars in each asset, 0 for no such limit. Rows come in order, from part 0.
    """

    flags: U16 = 0
    layer: WaterfallLayer
    policy: U16
    part: U16
    time: Time
    share: I64
    amount: I64


@define(EVENTS, 72)
class PolicyPublished:
    """A waterfall policy is whole: its number of layers and the SHA-256 of the text that tells it."""

    flags: U16 = 0
    policy: U16
    layers: U16
    time: Time
    effective: Time
    digest: Bytes32


@define(EVENTS, 73)
class LayerDrawn:
    """A layer lays out money for the deficits of a mark; of the members' contributions, `member` says whose."""

    flags: U16 = 0
    layer: WaterfallLayer
    asset: U16
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 74)
class LayerPaid:
    """What a layer laid out covers this much of an account's deficit; `member` is the one behind the account."""

    flags: U16 = 0
    layer: WaterfallLayer
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 75)
class Assessed:
    """A member is called for up to this much, taken from its house account as far as its initial margin stays."""

    flags: U16 = 0
    asset: U16
    account: U32
    member: U32
    mark: U64
    amount: I64


@define(EVENTS, 76)
class GainsHaircut:
    """Every shard takes this part (10^-9, rounded up) of each gain in an asset that it reported at the mark."""

    flags: U16 = 0
    asset: U16
    mark: U64
    rate: I64


@define(EVENTS, 77)
class DefaultFundContributed:
    """A member's contribution to the default fund arrived at the custodian."""

    flags: U16 = 0
    asset: U16
    member: U32
    time: Time
    amount: I64


@define(EVENTS, 78)
class BackerMinted:
    """A contribution to the insurance fund becomes units of it. `fresh` 1: the fund was empty, earlier units are void.

    Backer 0 is the clearinghouse itself, whose units are what the fund held before anybody had any.
    """

    flags: U16 = 0
    fresh: U8
    asset: U16
    backer: U32
    mark: U64
    units: I64


@define(EVENTS, 79)
class BackerWithdrawalRequested:
    """A backer wants its money back for so many units; the first mark past the notice may pay it."""

    flags: U16 = 0
    asset: U16
    backer: U32
    request: U64
    time: Time
    units: I64


@define(EVENTS, 80)
class BackerPaid:
    """A backer's units are redeemed for this much of the fund."""

    flags: U16 = 0
    asset: U16
    backer: U32
    request: U64
    mark: U64
    units: I64
    amount: I64
