"""The waterfall: in what order a failing account's loss is borne, as the data that reports and explanations read."""

from __future__ import annotations

from enum import IntEnum
from typing import Final, NamedTuple


class Layer(IntEnum):
    """Who bears a loss, first to last."""

    ACCOUNT = 1
    FUND = 2
    DELEVERAGING = 3


class Step(NamedTuple):
    """A step of the waterfall: the layer and the rule it follows, as told to customers."""

    layer: Layer
    rule: str


WATERFALL: Final = (
    Step(Layer.ACCOUNT, "The account's own positions and collateral are sold by Dutch auction and pay first."),
    Step(Layer.FUND, "What it still owes the insurance fund pays; where the fund falls short, pro rata."),
    Step(
        Layer.DELEVERAGING,
        "What the fund cannot carry is closed against the other side at the bankruptcy price, the most profitable and"
        " most leveraged first.",
    ),
)


def borne(loss: int, account: int, fund: int) -> dict[Layer, int]:
    """A loss laid on the layers in their order: what the account has, what the fund has, the rest on deleveraging.

    All in one unit. `loss` >= 0; an account or a fund that stands below zero has nothing. The sum is the loss.
    """
    own = min(loss, max(account, 0))
    carried = min(loss - own, max(fund, 0))
    return {Layer.ACCOUNT: own, Layer.FUND: carried, Layer.DELEVERAGING: loss - own - carried}
