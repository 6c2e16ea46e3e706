"""The calculator's JSON: portfolio, market and answer as closed forms; every fault has a code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from schemas.units import UnitError, parse_time

CLOSED: Final = ConfigDict(extra="forbid", strict=True, frozen=True)
LARGEST: Final = Decimal(10) ** 15
FINEST: Final = -18
"""decimal exponent of the finest number taken"""
DECIMAL: Final = r"-?[0-9]{1,16}(\.[0-9]{1,18})?"
"""a number written as a string"""
_NAME: Final = r"^[!-~]{1,32}$"


def _number(value: object) -> Decimal:
    """A JSON number or a decimal string, exactly."""
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal | str):
        raise PydanticCustomError("NotANumber", "a number or a decimal string is needed")
    if isinstance(value, str) and not re.fullmatch(DECIMAL, value):
        raise PydanticCustomError("NotANumber", "{text} is no decimal number", {"text": repr(value[:40])})
    if isinstance(value, int) and abs(value) > LARGEST:
        raise PydanticCustomError("OutOfRange", "a number of more than 10^15")
    told = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    if not told.is_finite():
        raise PydanticCustomError("NotANumber", "{text} is no number", {"text": str(told)})
    if told.copy_abs() > LARGEST:
        raise PydanticCustomError("OutOfRange", "a number of more than 10^15")
    exponent = told.as_tuple().exponent
    if isinstance(exponent, int) and exponent < FINEST:
        # a program's float may have more digits than mean anything; exact again from here on
        told = told.quantize(Decimal(1).scaleb(FINEST))
    return told


def _above(low: str, what: str, *, included: bool = False, high: str | None = None) -> Any:
    least, most = Decimal(low), None if high is None else Decimal(high)

    def check(value: object) -> Decimal:
        told = _number(value)
        if told < least or (told == least and not included) or (most is not None and told > most):
            raise PydanticCustomError("OutOfRange", "{value} is not {what}", {"value": str(value)[:40], "what": what})
        return told

    return BeforeValidator(check)


def _nonzero(value: object) -> Decimal:
    told = _number(value)
    if not told:
        raise PydanticCustomError("OutOfRange", "a quantity of nothing")
    return told


def _moment(value: object) -> int:
    """A time in microseconds since 1970, of whole seconds."""
    if not isinstance(value, str):
        raise PydanticCustomError("NotATime", "a UTC time like 2026-01-30T08:00:00Z is needed")
    try:
        told = parse_time(value)
    except UnitError as error:
        raise PydanticCustomError("NotATime", "{why}", {"why": str(error)}) from None
    return told


def _expiry(value: object) -> int:
    told = _moment(value)
    if told % 1_000_000:
        raise PydanticCustomError("NotATime", "an expiry is to the second")
    return told


def _either(**of_number: Any) -> WithJsonSchema:
    """The JSON Schema of a number that may be written as a decimal string."""
    return WithJsonSchema({"anyOf": [{"type": "number", **of_number}, {"type": "string", "pattern": f"^{DECIMAL}$"}]})


Plain = Annotated[Decimal, BeforeValidator(_number), _either()]
Positive = Annotated[Decimal, _above("0", "above 0"), _either(exclusiveMinimum=0)]
NotNegative = Annotated[Decimal, _above("0", "0 or above", included=True), _either(minimum=0)]
Part = Annotated[Decimal, _above("0", "in 0 ... 1", included=True, high="1"), _either(minimum=0, maximum=1)]
Signed = Annotated[Decimal, _above("-1", "in -1 ... 1", included=True, high="1"), _either(minimum=-1, maximum=1)]
Quantity = Annotated[Decimal, BeforeValidator(_nonzero), _either()]
Moment = Annotated[int, BeforeValidator(_moment), WithJsonSchema({"type": "string", "format": "date-time"})]
ExpiryTime = Annotated[int, BeforeValidator(_expiry), WithJsonSchema({"type": "string", "format": "date-time"})]
Name = Annotated[str, Field(pattern=_NAME)]

ZERO: Final = Decimal(0)
ONE: Final = Decimal(1)


class PerpForm(BaseModel):
    """A position in a perp: its profit not paid yet, or the price it was entered at (dollars)."""

    model_config = CLOSED
    type: Literal["perp"]
    underlying: Name
    quantity: Quantity
    entry_price: Positive | None = None
    unrealised_pnl: Plain = ZERO
    funding: Plain = ZERO


class FutureForm(BaseModel):
    """A position in a future."""

    model_config = CLOSED
    type: Literal["future"]
    underlying: Name
    expiry: ExpiryTime
    quantity: Quantity
    entry_price: Positive | None = None
    unrealised_pnl: Plain = ZERO
    funding: Plain = ZERO


class OptionForm(BaseModel):
    """A position in an option: its premium is paid already."""

    model_config = CLOSED
    type: Literal["option"]
    underlying: Name
    expiry: ExpiryTime
    strike: Positive
    right: Literal["C", "P"]
    quantity: Quantity


class PerpOrderForm(BaseModel):
    """A pending order in a perp, price in dollars."""

    model_config = CLOSED
    type: Literal["perp"]
    underlying: Name
    quantity: Quantity
    price: Positive


class FutureOrderForm(BaseModel):
    """A pending order in a future."""

    model_config = CLOSED
    type: Literal["future"]
    underlying: Name
    expiry: ExpiryTime
    quantity: Quantity
    price: Positive


class OptionOrderForm(BaseModel):
    """A pending order in an option."""

    model_config = CLOSED
    type: Literal["option"]
    underlying: Name
    expiry: ExpiryTime
    strike: Positive
    right: Literal["C", "P"]
    quantity: Quantity
    price: NotNegative


AnyPosition = Annotated[PerpForm | FutureForm | OptionForm, Field(discriminator="type")]
AnyOrder = Annotated[PerpOrderForm | FutureOrderForm | OptionOrderForm, Field(discriminator="type")]


class HoldingForm(BaseModel):
    """Collateral besides cash."""

    model_config = CLOSED
    asset: Name
    amount: NotNegative


class PortfolioForm(BaseModel):
    """portfolio.json: one account's book. Money is of the market's settlement asset, prices are dollars."""

    model_config = CLOSED
    account: Annotated[str, Field(min_length=1, max_length=64)] = "A-1"
    cash: Plain = ZERO
    owner: Annotated[str, Field(max_length=64)] = ""
    collateral: list[HoldingForm] = []
    positions: list[AnyPosition] = []
    orders: list[AnyOrder] = []


class SettlementForm(BaseModel):
    """The settlement asset and its price in dollars."""

    model_config = CLOSED
    asset: Name
    price: Positive


class PerpPriceForm(BaseModel):
    """A perp's price and the feed's confidence."""

    model_config = CLOSED
    price: Positive
    confidence: Part = ONE


class SviForm(BaseModel):
    """A raw SVI slice of total variance."""

    model_config = CLOSED
    a: Plain
    b: NotNegative
    rho: Signed
    m: Plain
    sigma: Positive
    forward: Positive
    tau: Positive


class StrikeForm(BaseModel):
    """How liquid the options at one strike are: contracts open, and bid-ask spread as a part of the option's price."""

    model_config = CLOSED
    open_interest: Positive | None = None
    spread: NotNegative = ZERO


class ExpiryForm(BaseModel):
    """One expiry: forward, rate and smile, which is SVI, or volatilities by strike in ascending order. Ages are seconds
    since forward and rate were read, and since the smile was fitted."""

    model_config = CLOSED
    expiry: ExpiryTime
    forward: Positive
    confidence: Part = ONE
    rate: Plain = ZERO
    rate_confidence: Part = ONE
    volatility_confidence: Part = ONE
    svi: SviForm | None = None
    volatilities: dict[str, Positive] | None = None
    strikes: dict[str, StrikeForm] | None = None
    curve_age: NotNegative = ZERO
    surface_age: NotNegative = ZERO


class UnderlyingForm(BaseModel):
    """One underlying; without a perp its price is the spot. `age`: seconds since its oldest price was made. `gap`: the
    part of the mark that liquidations were seen to lose."""

    model_config = CLOSED
    spot: Positive
    confidence: Part = ONE
    age: NotNegative = ZERO
    gap: Part = ZERO
    perp: PerpPriceForm | None = None
    expiries: list[ExpiryForm] = []


class HaircutForm(BaseModel):
    """Parts of an asset's value that do not count."""

    model_config = CLOSED
    maintenance: Part
    initial_extra: Part = ZERO


class UnbondingForm(BaseModel):
    """A staked coin: days until it can be sold, part lost by leaving, and what waiting costs a year."""

    model_config = CLOSED
    days: NotNegative
    penalty: Part = ZERO
    rate: NotNegative = ZERO


class PoolForm(BaseModel):
    """A constant-product pool: its coins, its tokens, and the dollar price of the other coin."""

    model_config = CLOSED
    base: Positive
    other: Positive
    tokens: Positive
    other_price: Positive = ONE


class AssetForm(BaseModel):
    """A collateral asset; without a haircut the profile's holds. What is below `haircut` is for profiles that reckon
    haircuts themselves: docs/collateral.md."""

    model_config = CLOSED
    price: Positive
    confidence: Part = ONE
    offsets: Name | None = None
    haircut: HaircutForm | None = None
    volatility: NotNegative | None = None
    depth: Positive | None = None
    held: NotNegative = ZERO
    peg: Positive | None = None
    issuer: Annotated[str, Field(max_length=64)] = ""
    unbonding: UnbondingForm | None = None
    pool: PoolForm | None = None


class HistoryForm(BaseModel):
    """Joint daily history, oldest first, for profiles that draw from one: relative moves, a row a day."""

    model_config = CLOSED
    underlyings: Annotated[list[Name], Field(min_length=1)]
    times: list[Moment]
    returns: list[list[Plain]]
    volatility_moves: list[list[Plain]] | None = None
    proxy: Annotated[str, Field(max_length=400)] = ""


class MarketForm(BaseModel):
    """market.json: one moment's market. Prices are dollars, volatilities and rates fractions a year."""

    model_config = CLOSED
    time: Moment
    settlement: SettlementForm
    underlyings: dict[Name, UnderlyingForm]
    assets: dict[Name, AssetForm] = {}
    correlations: dict[str, Signed] = {}
    correlations_age: NotNegative = ZERO
    history: HistoryForm | None = None


Told = Annotated[str, Field(pattern=r"^-?\d+(\.\d+)?$")]
"""a figure as a decimal string"""


class ProfileForm(BaseModel):
    """The profile that answered; the hash is of its text with its overrides."""

    model_config = CLOSED
    name: str
    published: str
    hash: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class SideForm(BaseModel):
    """Initial or maintenance margin; the ratio is null where nothing is required."""

    model_config = CLOSED
    requirement: Told
    excess: Told
    ratio: Told | None


class ScanForm(BaseModel):
    """Requirement less add-ons: the worst scenario's loss, times the part of it that the model takes."""

    model_config = CLOSED
    initial: Told
    maintenance: Told


class ComponentsForm(BaseModel):
    """The named parts."""

    model_config = CLOSED
    delta_risk: Told
    vega_risk: Told
    stress_loss: Told


class ExpansionForm(BaseModel):
    """The worst scenario by its greeks, dollars: every term, their sum, full revaluation, and what is between them."""

    model_config = CLOSED
    delta: float
    gamma: float
    vega: float
    vanna: float
    volga: float
    theta: float
    charm: float
    expanded: float
    revaluation: float
    unexplained: float


class WorstForm(BaseModel):
    """Ids of the deciding scenarios, null where the model has none."""

    model_config = CLOSED
    initial: str | None
    maintenance: str | None


class GroupForm(BaseModel):
    """What one expiry (null: perps and collateral) of an underlying gains."""

    model_config = CLOSED
    underlying: str
    expiry: str | None
    pnl: Told


class ScenarioForm(BaseModel):
    """What the portfolio gains in a scenario."""

    model_config = CLOSED
    id: str
    pnl: Told
    groups: list[GroupForm]


class LegForm(BaseModel):
    """A position: mark and greeks of one contract, gain of the whole in the worst scenario."""

    model_config = CLOSED
    position: int
    mark: Told
    greeks: dict[str, float]
    pnl_in_worst: Told


class AddOnForm(BaseModel):
    """A charge beside the scenarios; negative where it gives back."""

    model_config = CLOSED
    name: str
    initial: Told
    maintenance: Told


class CollateralForm(BaseModel):
    """An asset's value, and what of it does not count for initial and for maintenance margin."""

    model_config = CLOSED
    asset: str
    value: Told
    haircut: Told
    haircut_maintenance: Told


class FloatForm(BaseModel):
    """The float model's figures at full precision."""

    model_config = CLOSED
    equity: float
    mark_to_market: float
    initial: float
    maintenance: float


class ErrorForm(BaseModel):
    """Why there is no answer, and the place in the request."""

    model_config = CLOSED
    code: str
    message: str
    path: str


class MarginForm(BaseModel):
    """answer.json: figures of the settlement asset as decimal strings."""

    model_config = CLOSED
    profile: ProfileForm
    equity: Told
    mark_to_market: Told
    initial: SideForm
    maintenance: SideForm
    buffer: Told
    scan: ScanForm
    isolated_requirement: Told
    capital_saved: Told
    components: ComponentsForm
    expansion: ExpansionForm
    worst_scenario: WorstForm
    scenarios: list[ScenarioForm]
    legs: list[LegForm]
    add_ons: list[AddOnForm]
    collateral: list[CollateralForm]
    notes: list[str]
    new_risk: bool
    float: FloatForm | None = None


class ErrorAnswerForm(BaseModel):
    """A line of a batch that has no answer."""

    model_config = CLOSED
    error: ErrorForm


SCHEMAS: Final[Mapping[str, type[BaseModel]]] = {
    "margin-portfolio": PortfolioForm,
    "margin-market": MarketForm,
    "margin-answer": MarginForm,
}
"""what `novate schema` prints of the calculator"""
