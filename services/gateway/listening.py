"""Notices as server-sent events: what a key may hear of each entry, in JSON, resumable at any entry's number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import suppress
from typing import Any, Final, NamedTuple

from schemas.jsonform import to_json
from schemas.outcomes import (
    OUTCOMES,
    AuctionClosed,
    AuctionOpened,
    BidReserved,
    MarkDone,
    PortfolioClosed,
    PortfolioOpened,
)
from schemas.wire import message_of
from services.gateway.core import Notice
from services.gateway.keys import Key, Right

ACCOUNT_FIELDS: Final = ("account", "intended", "debit", "credit", "bidder")
"""fields of an outcome that name an account"""
PUBLIC: Final = frozenset({MarkDone})
"""what a member hears though no account of its own is named"""
PUBLIC_FIELDS: Final = ("type", "mark", "time")
"""and what it hears of them"""
OF_AUCTIONS: Final = frozenset({AuctionOpened, AuctionClosed, BidReserved, PortfolioOpened, PortfolioClosed, MarkDone})
"""what a liquidator hears; a sealed bid (PortfolioBidReserved) is not among it"""
KEEP_ALIVE_SECONDS: Final = 15.0

MemberOf = Callable[[int], int | None]


class Wanted(NamedTuple):
    """What a listener asked for; nothing named: all it may hear."""

    kinds: Collection[str]
    account: int | None


def heard(notice: Notice, key: Key, wanted: Wanted, member_of: MemberOf) -> list[dict[str, Any]]:
    """What of a notice a key may hear and wants to."""
    out = []
    for run in notice.said:
        cls = run.message.cls
        if not (key.may(Right.NOTICES) or (key.may(Right.AUCTIONS) and cls in OF_AUCTIONS)):
            continue
        if wanted.kinds and run.message.name not in wanted.kinds:
            continue
        fields = [field.name for field in run.message.fields if field.name in ACCOUNT_FIELDS]
        for row in run.rows:
            named = {int(row[name]) for name in fields}
            if wanted.account is not None and wanted.account not in named:
                continue
            if key.member is not None and cls not in PUBLIC and key.member not in map(member_of, named):
                continue
            told = to_json(OUTCOMES, message_of(run.message, row))
            # sums over a shard's accounts are nobody's: a member could take its own off them
            out.append(
                told if key.member is None or cls not in PUBLIC else {name: told[name] for name in PUBLIC_FIELDS}
            )
    return out


async def events(
    notices: AsyncIterator[Notice], key: Key, wanted: Wanted, member_of: MemberOf, seconds: float | None
) -> AsyncIterator[bytes]:
    """The stream's bytes. It ends after so many seconds (None: never); where nothing is to be told for a while it says
    so, with the number to resume at."""
    loop = asyncio.get_running_loop()
    ends = None if seconds is None else loop.time() + seconds
    coming: asyncio.Task[Notice] | None = None
    passed = 0
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(notices))
            wait = KEEP_ALIVE_SECONDS if ends is None else max(0.0, min(KEEP_ALIVE_SECONDS, ends - loop.time()))
            # a notice that is there already takes a few turns of the loop to come
            await asyncio.wait({coming}, timeout=max(wait, 0.05))
            if coming.done():
                try:
                    notice = coming.result()
                except StopAsyncIteration:
                    return
                coming = None
                if told := heard(notice, key, wanted, member_of):
                    data = json.dumps({"n": notice.n, "notices": told}, separators=(",", ":"))
                    yield f"id: {notice.n}\nevent: notice\ndata: {data}\n\n".encode()
                    passed = 0
                else:
                    passed = notice.n
            elif ends is not None and loop.time() >= ends:
                return
            else:
                yield f"id: {passed}\n: nothing new\n\n".encode() if passed else b": nothing new\n\n"
    finally:
        if coming is not None:
            coming.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await coming
