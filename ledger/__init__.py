"""The books: journal, sequence, positions and postings, the fold, snapshots and proofs."""
