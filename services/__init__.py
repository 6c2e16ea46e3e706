"""Everything that does I/O: the command, the lockstep run, the auditor, the report."""
