"""The default waterfall past the account itself: the insurance fund and auto-deleveraging."""
