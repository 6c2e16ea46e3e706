"""What collateral is worth: haircuts, staking, pools, limits, borrowed balances, and gains not paid yet."""
