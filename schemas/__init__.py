"""What can happen: units, events, outcomes, their wire layout and the schemas published from them."""
