"""Re-margining every account at a mark, beside the same machine's dense float product and scipy's sparse one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from statistics import median
from time import perf_counter, sleep
from typing import Any, Final

import numpy as np
import scipy.sparse

from risk.profile import Netting
from risk.requirement import Scratch, margin_accounts, scratch
from risk.tables import Holdings, I64Array, Margins, Market, Profiles, margins
from risk.vectors import on_cache_line
from schemas.kinds import Kind, Reason, Style
from schemas.limits import BASIS_POINTS, MICRO

THREADS: Final = 2
POSITIONS: Final = 10
INSTRUMENTS: Final = 500
UNDERLYINGS: Final = 3
DENSE: Final = 4096
ROUNDS: Final = 7
Tables = tuple[Holdings, Market, Profiles]


def tables(accounts: int, width: int, span: bool, seed: int = 1) -> Tables:
    """Accounts with ten positions each in random futures and options of three underlyings; `span` adds coins as
    collateral, basis charges, credits and the short option minimum."""
    random = np.random.default_rng(seed)
    kind = np.where(np.arange(INSTRUMENTS) % 2, Kind.OPTION, Kind.FUTURE).astype(np.uint8)
    kind[[0, INSTRUMENTS - 1]] = Kind.SPOT
    rows = on_cache_line(INSTRUMENTS, width)
    rows[:] = random.integers(-(10**9), 10**9, (INSTRUMENTS, width))

    def whole(low: int, high: int, *shape: int) -> I64Array:
        return random.integers(low, high, shape)

    market = Market(
        kind=kind,
        payoff=np.zeros(INSTRUMENTS, np.uint8),
        style=np.where(kind == Kind.OPTION, Style.PREMIUM, Style.FUTURES).astype(np.uint8),
        settling=np.zeros(INSTRUMENTS, np.uint8),
        underlying=(np.arange(INSTRUMENTS) * UNDERLYINGS // INSTRUMENTS).astype(np.int32),
        settlement=np.zeros(INSTRUMENTS, np.int32),
        base=np.zeros(INSTRUMENTS, np.int32),
        bucket=(np.arange(INSTRUMENTS) % 8).astype(np.int32),
        tick_value=np.full(INSTRUMENTS, 10),
        contract_value=np.zeros(INSTRUMENTS, np.int64),
        lot_size=np.full(INSTRUMENTS, 10**4),
        mark=whole(1_000, 100_000, INSTRUMENTS),
        marked=np.ones(INSTRUMENTS, np.uint8),
        delta=whole(-(10**9), 10**9, INSTRUMENTS),
        notional=whole(10**5, 10**6, INSTRUMENTS),
        funding=np.zeros(INSTRUMENTS, np.int64),
        asset_price=np.array([MICRO, 95_000 * MICRO, 3_000 * MICRO]),
        asset_scale=np.array([MICRO, 10**8, 10**8]),
        haircut=np.array([0, 500, 500]),
        asset_spot=np.array([-1, 0, INSTRUMENTS - 1] if span else [-1, -1, -1], np.int32),
    )
    held = np.stack([random.choice(INSTRUMENTS - 2, POSITIONS, replace=False) for _ in range(4_096)]) + 1
    instrument = np.sort(held[random.integers(0, len(held), accounts)], axis=1)
    numbers = np.arange(accounts)
    holdings = Holdings(
        start=numbers * POSITIONS,
        count=np.full(accounts, POSITIONS),
        instrument=instrument.ravel().astype(np.int32),
        quantity=whole(-1_000, 1_000, accounts * POSITIONS),
        cost=whole(-(10**9), 10**9, accounts * POSITIONS),
        funding=np.zeros(accounts * POSITIONS, np.int64),
        balance=whole(10**6, 10**10, accounts, 3) * (np.array([1, 1, 1]) if span else np.array([1, 0, 0])),
        fees_due=np.zeros(accounts, np.int64),
        profile=np.zeros(accounts, np.int64),
        order_start=np.zeros(accounts, np.int64),
        order_count=np.zeros(accounts, np.int64),
        order_instrument=np.zeros(0, np.int32),
        order_quantity=np.zeros(0, np.int64),
        order_price=np.zeros(0, np.int64),
    )
    pairs = 2 if span else 0
    profiles = Profiles(
        netting=np.array([Netting.UNDERLYING], np.uint8),
        gain=np.array([BASIS_POINTS]),
        initial=np.array([12_000]),
        buffer=np.array([1_000]),
        width=np.array([width]),
        offset=np.array([0]),
        losses=rows.ravel(),
        has_row=np.ones((1, INSTRUMENTS), np.uint8),
        largest=np.abs(rows).max(axis=1)[None],
        scan=np.full((1, UNDERLYINGS), 1_500),
        basis=np.full((1, UNDERLYINGS), 100 if span else 0),
        short_option=np.full((1, UNDERLYINGS), 100 if span else 0),
        credit_start=np.array([0]),
        credit_count=np.array([pairs]),
        credit_a=np.array([0, 1], np.int32),
        credit_b=np.array([1, 2], np.int32),
        credit_rate=np.array([5_000, 3_000]),
    )
    return holdings, market, profiles


def timed(call: Callable[[], Any]) -> float:
    """Seconds of one call, begun when the threads of the one before have gone to sleep: OpenBLAS's spin for a while."""
    sleep(0.2)
    begin = perf_counter()
    call()
    return perf_counter() - begin


def all_accounts(whole: Tables, out: Margins, memory: list[Scratch], pool: ThreadPoolExecutor) -> None:
    """Margin every account, a slice in each thread."""
    slices = np.array_split(np.arange(len(whole[0].start)), len(memory))
    list(pool.map(lambda part: margin_accounts(part[0], *whole, part[1], out), zip(slices, memory, strict=True)))


def sparse(holdings: Holdings, width: int, profiles: Profiles) -> tuple[scipy.sparse.csr_array, I64Array]:
    """The same portfolios as a CSR matrix, and the same risk arrays as a dense one."""
    pointers = np.append(holdings.start, len(holdings.instrument))
    matrix = scipy.sparse.csr_array(
        (holdings.quantity, holdings.instrument, pointers), shape=(len(holdings.start), INSTRUMENTS)
    )
    return matrix, profiles.losses.reshape(INSTRUMENTS, width)


def in_slices(matrix: scipy.sparse.csr_array, dense: I64Array, pool: ThreadPoolExecutor) -> None:
    """The sparse product cut over the threads, as scipy itself does not."""
    cuts = np.linspace(0, matrix.shape[0], THREADS + 1).astype(int)
    list(pool.map(lambda cut: matrix[cut[0] : cut[1]] @ dense, pairwise(cuts)))


def run(accounts: int = 100_000, width: int = 256) -> list[dict[str, Any]]:
    """Medians over interleaved rounds. Rates are billions of multiply-adds a second, of the whole function."""
    whole, out = tables(accounts, width, span=False), margins(accounts)
    touched, touched_out = tables(20_000, 64, span=True), margins(20_000)
    memory = [scratch(INSTRUMENTS, 0) for _ in range(THREADS)]
    matrix, dense = sparse(whole[0], width, whole[2])
    left = np.random.default_rng(2).random((DENSE, DENSE))
    right = left.T.copy()
    work = accounts * POSITIONS * width / 1e9
    with ThreadPoolExecutor(THREADS) as pool:
        calls: dict[str, Callable[[], Any]] = {
            "kernel": lambda: all_accounts(whole, out, memory, pool),
            "dgemm": lambda: left @ right,
            "csr": lambda: matrix @ dense,
            "csr threads": lambda: in_slices(matrix, dense, pool),
            "touched": lambda: margin_accounts(np.arange(20_000), *touched, memory[0], touched_out),
        }
        for call in calls.values():
            call()
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name].append(timed(call))
    if (out.status != Reason.NONE).any() or (touched_out.status != Reason.NONE).any():
        raise RuntimeError("bench/remargin: accounts without figures: the data is not what is meant to be measured")
    seconds = {name: median(values) for name, values in times.items()}
    rate = {name: work / seconds[name] for name in ("kernel", "csr", "csr threads")}
    dgemm = DENSE**3 / seconds["dgemm"] / 1e9
    what = f"{accounts} accounts x {POSITIONS} positions x {width} scenarios, {THREADS} threads"
    peers = {"dgemm GFMA/s": dgemm, "scipy CSR GMAC/s": rate["csr"], "scipy CSR in threads GMAC/s": rate["csr threads"]}
    peers = {name: round(value, 2) for name, value in peers.items()}
    return [
        {"name": f"re-margin, {what}", "value": rate["kernel"], "unit": "GMAC/s", "goal": None, "peers": peers},
        {"name": "re-margin / dgemm", "value": rate["kernel"] / dgemm, "unit": "", "goal": ">= 0.20", "peers": {}},
        {"name": "re-margin / CSR", "value": rate["kernel"] / rate["csr"], "unit": "", "goal": ">= 4", "peers": {}},
        {
            "name": f"SPAN with add-ons, {POSITIONS} positions x 64 scenarios, one thread",
            "value": seconds["touched"] / 20_000 * 1e9,
            "unit": "ns/account",
            "goal": None,
            "peers": {},
        },
    ]


if __name__ == "__main__":
    for line in run(*(int(argument) for argument in sys.argv[1:])):
        beside = "".join(f"   {name} {value}" for name, value in line["peers"].items())
        print(f"{line['name']}: {line['value']:.3g} {line['unit']}   goal {line['goal'] or '-'}{beside}")
