"""Every limit of the system, named once. Past a limit things are refused by name; nothing wraps and nothing is cut."""

from typing import Final

MAX_QUANTITY: Final = 2**31 - 1
"""lots in one trade, one order or one position: keeps `cost * part / quantity` inside 64 bits"""
MAX_PRICE: Final = 2**40
"""ticks"""
MAX_VALUE: Final = 2**60
"""smallest units of the settlement asset: one trade's value"""
MAX_COST: Final = 2**61
"""smallest units: what a position cost"""
MAX_SUSPENSE: Final = 2**40
"""lots in SUSPENSE, which takes what accounts cannot: past it the books stop rather than wrap"""
MAX_BALANCE: Final = 2**61
"""smallest units: one account's balance in one asset"""
MAX_EXPOSURE: Final = 2**62
"""2^-exponent micro-dollars: sum of |quantity| x largest |loss| of one account's positions and orders"""
MAX_AMOUNT: Final = 2**60
"""smallest units in one deposit, withdrawal, contribution or fee"""
MAX_ASSET_PRICE: Final = 2**46
"""micro-dollars for one whole unit: 70 million dollars"""
MAX_DECIMALS: Final = 8
MAX_ASSETS: Final = 16
MAX_UNDERLYINGS: Final = 32
MAX_PROFILES: Final = 32
MAX_INSTRUMENTS: Final = 1 << 16
MAX_ACCOUNTS: Final = 1 << 24
MAX_SCENARIOS: Final = 4096
MAX_EXPIRIES: Final = 64
"""distinct expiries of one underlying that are alive at once, the undated one included"""
MAX_CHAIN: Final = 64
"""events linked into one"""
MAX_ENTRY_BYTES: Final = 1 << 20
MAX_RUN_ROWS: Final = 65535
"""rows of one repeating group: what its uint16 counts"""
MAX_TIME: Final = 2**53
"""microseconds: the year 2255"""
ARRAY_EXPONENT: Final = 10
"""risk arrays are in 2^-10 micro-dollars: the error of a lot worth half a dollar is below 1e-9 of it"""
FUNDING_SCALE: Final = 1_000_000
"""a funding index counts millionths of the settlement asset's smallest unit per lot"""
BASIS_POINTS: Final = 10_000
MICRO: Final = 1_000_000
UNDERLYING_UNITS: Final = 10**8
"""an instrument's lot is declared in 10^-8 of its underlying"""
