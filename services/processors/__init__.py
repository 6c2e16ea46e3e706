"""The running system's parts as folds: each takes records of topics in order and says what is to be written."""
