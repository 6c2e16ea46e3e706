"""What stands behind a failing account: the fund and its backers, waterfall policies, deleveraging, breakers."""
