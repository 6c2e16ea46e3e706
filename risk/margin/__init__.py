"""The stand-alone margin calculator: every model of the field over one portfolio, explained; no ledger needed."""
