"""The chart of accounts: the clearinghouse's own accounts, each with a number below the first customer's."""

from enum import IntEnum


class House(IntEnum):
    """The clearinghouse's own accounts. Every asset's balances, these included, sum to zero."""

    CUSTODY = 0
    """what lies at the custodian, seen from the books: minus all that came in"""
    CLEARINGHOUSE = 1
    """the counterparty of every leg; after novation it holds what the accounts' costs sum to"""
    FEES = 2
    """fees earned, the fund's share taken off"""
    FUND = 3
    """the insurance fund"""
    FUNDING = 4
    """where funding is paid in and out; what remains is rounding, always against the account"""
    ROUNDING = 5
    """remainders of settlement prices that no account can be paid"""
    SUSPENSE = 6
    """legs that their own account could not take, each with a reason"""
    TRANSIT = 7
    """withdrawals approved and not yet paid or returned; and what one account of a member in default pays another"""
    OWN_CAPITAL = 8
    """the clearinghouse's own capital"""
    DEFAULT_FUND = 9
    """the members' default fund: the sum of their contributions as they stand"""
    LAID_OUT = 10
    """what the waterfall's layers laid out and no account has been paid yet: what came too late and remainders of
    haircuts stay here and are the first to pay the next deficit"""


FIRST_ACCOUNT = 16
"""The first number a customer's account may have."""
