"""What an account in liquidation reduces by itself is taken off its auctions at once, where OWN_TRADES_CLIP is set."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

from ledger.outbox import Outbox
from ledger.state import Auction, State
from schemas.kinds import ClosingReason
from schemas.outcomes import AuctionClosed, AuctionOpened
from schemas.wire import Rows


def clip_auctions(state: State, out: Outbox, legs: Rows) -> None:
    """Cut auctions to what their plans leave to sell, leg by leg of those (LegPosted) that trades have just posted.

    An auction goes on with less, at the price it has come to; one with nothing left is closed as CLIPPED. What its
    account buys back is not put on again: the plan was made at a mark, and a mark plans anew. Leg by leg, so that how
    trades are cut into entries does not show. Auctions of coins have no legs of their own: a mark looks at those.
    """
    running: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
    for number, one in sorted(state.auctions.items()):
        if one.keeps is not None:
            running[one.account, one.instrument].append(number)
    if not running:
        return
    of = np.isin(legs["account"], np.array([account for account, _ in running], np.int64))
    for leg in legs[of]:
        for number in running.get((int(leg["account"]), int(leg["instrument"])), ()):
            if number in state.auctions:
                out.index = int(leg["index"])
                _clip(state, out, number, int(leg["position"]))


def _clip(state: State, out: Outbox, number: int, position: int) -> None:
    auction = state.auctions[number]
    assert auction.keeps is not None
    wanted = auction.keeps - position
    if wanted * auction.remaining <= 0:
        del state.auctions[number]
        out.emit(
            AuctionClosed(
                index=out.index,
                reason=ClosingReason.CLIPPED,
                account=auction.account,
                auction=number,
                remaining=auction.remaining,
            )
        )
    elif abs(wanted) < abs(auction.remaining):
        auction.remaining = wanted
        tell_auction(out, number, auction)


def tell_auction(out: Outbox, number: int, auction: Auction) -> None:
    """Say what an auction has for sale now."""
    out.emit(
        AuctionOpened(
            index=out.index,
            instrument=auction.instrument,
            account=auction.account,
            auction=number,
            mark=auction.mark,
            quantity=auction.remaining,
            start=auction.start,
            step=auction.step,
            floor=auction.floor,
        )
    )
