"""Every named value that appears in an event or an outcome: kinds, statuses, rungs of the health ladder, reasons."""

from enum import IntEnum


class Kind(IntEnum):
    """What an instrument is."""

    SPOT = 0
    PERP = 1
    FUTURE = 2
    OPTION = 3


class Payoff(IntEnum):
    """How an instrument's value follows its price.

    LINEAR pays in the settlement asset per tick; INVERSE is quoted in dollars and pays in the coin; QUANTO is quoted in
    one asset and pays a fixed amount per tick in another.
    """

    LINEAR = 0
    INVERSE = 1
    QUANTO = 2


class Settling(IntEnum):
    """When a gain becomes cash: at a close (COLLATERALISED), or at every settlement price (SETTLED_TO_MARKET)."""

    COLLATERALISED = 0
    SETTLED_TO_MARKET = 1


class Style(IntEnum):
    """Whether an option's price is paid at once (PREMIUM) or settled like a future's (FUTURES)."""

    FUTURES = 0
    PREMIUM = 1


class Right(IntEnum):
    """The right an option gives."""

    NONE = 0
    CALL = 1
    PUT = 2


class Segregation(IntEnum):
    """Whose assets an account holds, as clearing rules divide them."""

    HOUSE = 0
    OMNIBUS = 1
    INDIVIDUAL = 2


class LinkKind(IntEnum):
    """Why two accounts are looked at together."""

    CLIENT = 0
    AFFILIATE = 1
    OWNER = 2


class InstrumentStatus(IntEnum):
    """An instrument's life."""

    OPEN = 0
    HALTED = 1
    REDUCE_ONLY = 2
    DELISTED = 3


class AccountStatus(IntEnum):
    """An account's life; a CLOSED one takes no leg, no deposit and no withdrawal."""

    OPEN = 0
    FROZEN = 1
    CLOSED = 2


class Rung(IntEnum):
    """The health ladder of an account, best first."""

    HEALTHY = 0
    REDUCE_ONLY = 1
    CALLED = 2
    LIQUIDATING = 3
    DEFICIT = 4
    CLOSED = 5
    """its deficit was paid by others and nothing is left of it (CLOSE_DEFAULTED); it stays until it is reopened"""


class LegKind(IntEnum):
    """What brought a leg."""

    TRADE = 0
    REVERSAL = 1
    LIQUIDATION = 2
    DELEVERAGING = 3
    BACKSTOP = 4
    TEAR_UP = 5


class PostingKind(IntEnum):
    """What a posting is for."""

    DEPOSIT = 0
    WITHDRAWAL = 1
    WITHDRAWAL_PAID = 2
    WITHDRAWAL_RETURNED = 3
    TRADE = 4
    BASE = 5
    FEE = 6
    FUND_SHARE = 7
    FUNDING = 8
    VARIATION = 9
    EXERCISE = 10
    FINAL_SETTLEMENT = 11
    FUND_CONTRIBUTION = 12
    FUND_PAYMENT = 13
    FEE_DUE = 14
    MEMBER_RESOURCES = 29
    OMNIBUS_SHARE = 30
    RESOURCES_RETURNED = 31
    LAYER_DRAWN = 19
    LAYER_PAYMENT = 20
    ASSESSMENT = 21
    GAINS_HAIRCUT = 22
    DEFAULT_FUND_CONTRIBUTION = 23
    BACKER_WITHDRAWAL = 24


class WaterfallLayer(IntEnum):
    """Who bears a loss. A policy puts some of these in an order (insurance/policy.py)."""

    LAID_OUT = 0
    """what layers laid out at an earlier mark and was not needed any more; always before all others, in no policy"""
    OWN_COLLATERAL = 1
    """the failing account's own positions and collateral"""
    MEMBER_CONTRIBUTION = 2
    """the failing member's own contribution to the default fund"""
    OWN_CAPITAL = 3
    """the clearinghouse's own capital"""
    FUND = 4
    """the insurance fund"""
    DEFAULT_FUND = 5
    """the members' contributions to the default fund, pro rata"""
    ASSESSMENT = 6
    """what members are called for beyond their contributions"""
    GAINS_HAIRCUT = 7
    """part of what others gained since the last mark"""
    DELEVERAGING = 8
    """positions closed against ranked counterparties at the bankruptcy price"""
    TEAR_UP = 9
    """positions nobody took, closed against the other side pro rata at the mark"""


class WithdrawalDecision(IntEnum):
    """What the custodian did with an approved withdrawal."""

    PAID = 0
    RETURNED = 1


class Parameter(IntEnum):
    """What a parameter change may change. Values are integers in the unit named."""

    FUND_FEE_SHARE = 0
    """share of a fee that goes to the fund, basis points"""
    HAIRCUT = 1
    """scope asset: part of its value that does not count as collateral, basis points"""
    ORACLE_MAX_AGE = 2
    """an underlying whose price is older than this opens no risk, microseconds"""
    ORACLE_MAX_DEVIATION = 3
    """a price further than this from the last good one is refused, basis points"""
    NOTICE = 4
    """least time between a parameter change and its taking effect, microseconds"""
    GRACE = 5
    """marks between a margin call and liquidation"""
    MAX_FEE = 6
    """largest fee a trade may carry, basis points of its value"""
    AUCTION_STEP = 7
    """fall of an auction's price with each mark, basis points of its mark"""
    AUCTION_START = 8
    """discount an auction starts at, basis points of its mark"""
    AUCTION_FLOOR = 9
    """largest discount of an auction, basis points of its mark"""
    FOLD_VERSION = 10
    """which version of the fold applies"""
    ORACLE_MIN_FEEDS = 11
    """scope underlying: feeds that must agree on its price; 0: any one source's tick is the price"""
    ORACLE_FEED_DEVIATION = 12
    """scope underlying: a feed further than this from the median of the others does not count, basis points"""
    ORACLE_MAX_UNCERTAINTY = 13
    """scope underlying: a feed's tick with half of `ask - bid` above this is refused, basis points; 0: off"""
    ORACLE_FORWARD_AGE = 14
    """what needs a forward older than this opens no risk, microseconds; 0: off"""
    ORACLE_FORWARD_DEVIATION = 15
    """a forward further than this from its underlying's price is refused, basis points; 0: off"""
    ORACLE_VOLATILITY_AGE = 16
    """options whose expiry's surface is older than this open no risk, microseconds; 0: off"""
    ORACLE_VOLATILITY_DEVIATION = 17
    """a volatility further than this from its point's last one is refused, basis points; 0: off"""
    ORACLE_ASSET_AGE = 18
    """what needs an asset's price older than this opens no risk, and no withdrawal rests on it, microseconds; 0: off"""
    ORACLE_ASSET_DEVIATION = 19
    """an asset's price further than this from its underlying's, else its last one, is refused, basis points; 0: off"""
    ORACLE_WIDENING = 20
    """by how much scan ranges and haircuts have grown when what they rest on reaches its age limit, basis points"""
    PEG_BOUND = 21
    """scope asset: worth a dollar, and depegged where below that by more than this, basis points; 0: no peg"""
    DEPEG_HAIRCUT = 22
    """scope asset: least haircut while depegged, basis points"""
    LADDER_HYSTERESIS = 23
    """an account that left HEALTHY is healthy again only so far above its initial margin, basis points of it; 0: off"""
    LIQUIDATION_FEE = 24
    """what a failing account pays the fund on what is sold for it, basis points of the value got"""
    WHOLE_LIQUIDATION_FEE = 25
    """the same where a whole portfolio is sold in one call, basis points of the value got"""
    WITHDRAWAL_RATE = 26
    """scope asset, the dollar too: what may leave in a day, basis points of all customers' balances; 0: off"""
    WITHDRAWAL_HOLD = 27
    """1: nothing leaves while an account or the clearinghouse is in deficit"""
    COLLATERAL_NOTICE = 28
    """an asset listed from now on counts nothing as collateral for so long, microseconds; 0: off"""
    PLAN_METHOD = 29
    """how plans are made. 0: greedy; 1: the better of a greedy that keeps hedges and a linear program"""
    PLAN_RISK_WEIGHT = 30
    """by how much more a sale counts of what has most margin of its own for its worth, basis points"""
    PLAN_LIQUIDITY_WEIGHT = 31
    """the same of what costs least to sell for its worth"""
    PLAN_CAPITAL_WEIGHT = 32
    """the same of what gives most margin back if it were gone"""
    PLAN_DEPTH = 33
    """scope underlying: dollars whose sale is expected to move its price by PLAN_IMPACT; 0: no matter how many"""
    PLAN_IMPACT = 34
    """price move expected of selling PLAN_DEPTH dollars, other sizes by the square root, basis points"""
    AUCTION_FRACTION = 35
    """largest part of what an auction planned to sell that is sold at one mark, basis points"""
    PORTFOLIO_AUCTION_MARKS = 36
    """marks that a whole portfolio is on offer to sealed bids; 0: never offered"""
    PORTFOLIO_RESERVE = 37
    """largest discount of a sealed bid, basis points of each leg's mark"""
    BACKSTOP_DISCOUNT = 38
    """discount at which committed backstops take over what nobody bought, basis points of each leg's mark"""
    BUFFER_GAP = 39
    """added to every profile's buffer, a share of maintenance, for the liquidation gap, basis points"""
    GAP_TOLD = 40
    """1: every liquidated leg's price against its mark is told"""
    AUCTION_IMPACT = 41
    """1: an auction opens lower by the price move that its own sale is expected to make (PLAN_DEPTH, PLAN_IMPACT)"""
    BACKER_NOTICE = 42
    """time between a backer's asking for its money and the first mark that may pay it, microseconds"""
    BACKERS = 43
    """1: who contributes to the fund gets units of it, a share in what it gains and loses; 0: it is a gift"""
    PORTING_WINDOW = 46
    """how long the clients of a member in default may be taken over by another member, microseconds"""
    HOUSE_COVERS_CLIENTS = 47
    """1: what a member in default has left in its house accounts pays for its clients' deficits; 0: it does not"""
    BREAKER_FUND_SHARE = 48
    """scope underlying: the part of the fund that its open interest may put at risk, basis points"""
    BREAKER_STRESS = 49
    """scope underlying: the part of its open interest that a stress leaves to the fund, basis points; 0: no limit"""
    BREAKER_RESET = 50
    """what tripped at its limit is reset below this part of it, basis points"""
    OWNER_SHARE = 51
    """the part of an underlying's limit that one owner may hold, basis points; 0: no limit"""
    PRICE_BREAKER = 52
    """scope underlying: it moved further than this between two marks: no new risk for a while, basis points; 0: off"""
    PRICE_BREAKER_MARKS = 53
    """marks for which a moved price lets no new risk in; 0: off"""
    PACING = 57
    """scope underlying: most that forced sales may have on offer at a mark, micro-dollars at the mark; 0: no limit"""
    CLOSE_DEFAULTED = 58
    """1: an account whose deficit others paid and that has nothing left is closed at the next mark"""
    REVERSAL_KEEPS_FUND = 59
    """1: the fund keeps its part of a fee that a reversal gives back, FEES bears all of it"""
    PORTING_MARGIN = 60
    """1: a member with a house account below its initial margin takes no client over"""
    OWN_TRADES_CLIP = 61
    """1: what an account in liquidation reduces by itself is taken off its auction at once, and the auction goes on"""
    UNMET_CALLS_SOLD = 62
    """1: what was called for deleveraging and found nobody is sold by auction from the next mark on"""
    AUCTION_CLEARING = 64
    """discount down to which an auction takes bids at once, as far as equity bears it; those answered together are
    filled at the worst price of those served. Basis points of the mark; 0: all are filled at the auction's own price"""
    PLAN_TARGET = 65
    """part of its initial margin that a plan leaves an account with in equity, basis points"""


class BreakerCause(IntEnum):
    """What lets no new risk in an underlying."""

    OPEN_INTEREST = 0
    OWNER = 1
    """one owner holds too much of it: that owner's accounts alone"""
    PRICE = 2


class ClosingReason(IntEnum):
    """Why an auction or an order ended."""

    FILLED = 0
    HEALED = 1
    CLIPPED = 2
    RISK_RAISING = 3
    BY_OWNER = 4
    INSTRUMENT_ENDED = 5
    DELEVERAGED = 6
    SUPERSEDED = 7
    NO_BID = 9
    BACKSTOPPED = 10


class Reason(IntEnum):
    """Why something was refused, or why a leg lies in suspense. NONE is no reason; numbers are never used twice."""

    NONE = 0
    MALFORMED = 1
    UNKNOWN_TEMPLATE = 2
    UNKNOWN_VERSION = 3
    UNAUTHORISED_SOURCE = 4
    LINKED_EVENT_FAILED = 5
    LINKED_CHAIN_OPEN = 6
    NOT_LINKABLE = 7
    UNKNOWN_ENUM_VALUE = 8
    UNKNOWN_ACCOUNT = 10
    ACCOUNT_EXISTS = 11
    ACCOUNT_RESERVED = 12
    ACCOUNT_CLOSED = 13
    ACCOUNT_FROZEN = 14
    UNKNOWN_ASSET = 20
    ASSET_EXISTS = 21
    UNKNOWN_UNDERLYING = 22
    UNDERLYING_EXISTS = 23
    UNKNOWN_INSTRUMENT = 24
    INSTRUMENT_EXISTS = 25
    INSTRUMENT_HALTED = 26
    INSTRUMENT_REDUCE_ONLY = 27
    INSTRUMENT_DELISTED = 28
    INSTRUMENT_EXPIRED = 29
    INSTRUMENT_INCONSISTENT = 30
    NOT_A_PERP = 31
    NUMBER_NOT_NEXT = 32
    AMOUNT_NOT_POSITIVE = 40
    QUANTITY_OUT_OF_RANGE = 41
    PRICE_OUT_OF_RANGE = 42
    VALUE_OUT_OF_RANGE = 43
    FEE_OUT_OF_RANGE = 44
    POSITION_LIMIT = 45
    BALANCE_LIMIT = 46
    RISK_BOUND_EXCEEDED = 47
    SAME_ACCOUNT = 48
    TABLE_FULL = 49
    NO_RISK_ARRAY = 50
    STALE_PRICE = 51
    UNKNOWN_PROFILE = 52
    PROFILE_INVALID = 53
    UNKNOWN_ORDER = 60
    ORDER_EXISTS = 61
    ORDER_RAISES_RISK = 63
    UNKNOWN_WITHDRAWAL = 70
    WITHDRAWAL_EXISTS = 71
    WITHDRAWAL_BELOW_MARGIN = 72
    WITHDRAWAL_UNCOVERED = 73
    WITHDRAWAL_PENDING = 74
    WITHDRAWAL_PRICE_STALE = 75
    WITHDRAWAL_DEPEGGED = 76
    ORACLE_LATE = 80
    ORACLE_STALE = 81
    ORACLE_CROSSED = 82
    ORACLE_OUTLYING = 83
    ORACLE_OUT_OF_BOUNDS = 84
    ORACLE_UNKNOWN_FEED = 85
    ORACLE_UNCERTAIN = 86
    ORACLE_FEW_FEEDS = 87
    MARK_NOT_LATER = 90
    MARK_NOT_NEXT = 91
    UNKNOWN_MARKET = 92
    MARKET_INCOMPLETE = 93
    MARKET_CLOSED = 94
    PARAMETER_OUT_OF_RANGE = 100
    PARAMETER_TOO_SOON = 101
    UNKNOWN_PARAMETER = 102
    FUND_INSUFFICIENT = 110
    NOTHING_DUE = 111
    UNKNOWN_AUCTION = 120
    AUCTION_EXISTS = 121
    NOT_LIQUIDATING = 123
    NOTHING_TO_REDUCE = 124
    BID_EXISTS = 126
    BIDDER_BELOW_MARGIN = 128
    BIDDER_NOT_ALLOWED = 129
    TIME_OUT_OF_RANGE = 140
    WITHDRAWAL_HELD = 150
    WITHDRAWAL_RATE = 151
    WITHDRAWAL_NOT_DUE = 152
    PORTFOLIO_ON_OFFER = 159
    PORTFOLIO_INCOMPLETE = 160
    PORTFOLIO_CLOSED = 161
    PORTFOLIO_STILL_OPEN = 162
    BID_ABOVE_RESERVE = 163
    ONE_BID_A_PORTFOLIO = 164
    POLICY_INVALID = 167
    POLICY_PENDING = 168
    LAYER_NOT_IN_POLICY = 169
    LAYER_EMPTY = 170
    MARK_PASSED = 171
    NO_SUCH_MEMBER = 172
    BACKER_UNITS_SHORT = 173
    ASSESSMENT_SHORT = 174
    BACKER_REQUEST_EXISTS = 175
    UNKNOWN_BACKER_REQUEST = 176
    UNKNOWN_MEMBER = 177
    MEMBER_DEFAULTED = 178
    MEMBER_NOT_DEFAULTED = 179
    SAME_MEMBER = 180
    PORTING_WINDOW_OVER = 181
    PORTING_NOT_A_CLIENT = 182
    PORTING_IN_BREACH = 183
    SEGREGATION_FORBIDS = 184
    BREAKER_TRIPPED = 185
    OWNER_LIMITED = 186
    BREAKER_OFF = 187
    BREAKER_UNCHANGED = 188
    BREAKER_UNFOUNDED = 189
    STRESS_OF_NO_MARK = 191
    STRESS_OUT_OF_RANGE = 192
    PORTING_TAKER_BELOW_MARGIN = 203
