"""Commands on whole histories: archive one, make a directory of an archive, split a journal over other shards."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from threading import Event
from typing import Annotated

import typer

from ledger.conservation import ConservationBroken
from ledger.journal import JournalBroken, JournalFull, JournalLocked, JournalUnreachable
from ledger.journal.outcomes import OutcomeDiffers, OutcomeOutOfOrder, OutcomesBroken
from ledger.journal.topics import PREFIX
from ledger.trades import InvariantBroken
from ledger.wholebooks import FactsDiffer, KeptTwice
from services.archiver import ArchiveStopped, SegmentDiffers, archive_cluster, archive_directory
from services.auditor import Verdict, audit
from services.heads import HeadDiffers
from services.resharding import BooksDiffer, checked, import_archive, reshard, reshard_cluster
from services.sources import ClusterSource, Difference
from services.terminal import Refused, print_json, print_verdict, progress_bar

app = typer.Typer(no_args_is_help=True)

Kafka = Annotated[str | None, typer.Option(help="A Kafka cluster instead of a directory", metavar="HOST:PORT")]
Prefix = Annotated[str, typer.Option(help="What the cluster's topics begin with")]


@contextmanager
def _told() -> Iterator[None]:
    """Errors that a user can act on, as one line and exit status 2."""
    try:
        yield
    except FileNotFoundError as error:
        raise Refused(f"{error.filename or error} is not there; is this the directory of a run?") from error
    except (
        OSError,
        ValueError,
        ArchiveStopped,
        BooksDiffer,
        ConservationBroken,
        Difference,
        FactsDiffer,
        HeadDiffers,
        InvariantBroken,
        JournalBroken,
        JournalFull,
        JournalLocked,
        JournalUnreachable,
        KeptTwice,
        OutcomeDiffers,
        OutcomeOutOfOrder,
        OutcomesBroken,
        SegmentDiffers,
    ) as error:
        raise Refused(str(error)) from error


@app.command("audit")
def audit_command(
    directory: Annotated[Path | None, typer.Argument(help="A run's directory, or an archive", metavar="DIR")] = None,
    kafka: Kafka = None,
    prefix: Prefix = PREFIX,
    heads: Annotated[Path | None, typer.Option(help="A copy of the published heads that you hold")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for programs")] = False,
) -> None:
    """Fold the journal again from its first entry and compare every byte. Exit 0: all agrees; 1: a first difference."""
    if (directory is None) == (kafka is None):
        raise Refused("name a directory, an archive or --kafka HOST:PORT")
    source = directory or (lambda: ClusterSource(str(kafka), prefix))
    with _told(), progress_bar("auditing", quiet=as_json) as bar:
        task = bar.add_task("auditing", total=None)
        verdict: Verdict = audit(source, heads, lambda done, of: bar.update(task, completed=done, total=of))
    if as_json:
        print_json({**asdict(verdict), "verdict": verdict.line()})
    else:
        print_verdict(verdict.line(), good=verdict.agrees)
    if not verdict.agrees:
        raise typer.Exit(1)


@app.command("archive")
def archive_command(
    to: Annotated[Path, typer.Option("--to", help="The archive's folder; gone on with where it is there")],
    directory: Annotated[Path | None, typer.Argument(help="A run's directory", metavar="DIR")] = None,
    kafka: Kafka = None,
    prefix: Prefix = PREFIX,
) -> None:
    """Archive a directory's history; or a cluster's, as it grows, until it is told to stop (SIGTERM or Ctrl-C)."""
    with _told():
        if (directory is None) == (kafka is None):
            raise ValueError("name a directory or --kafka")
        if directory is not None:
            sys.stdout.write(f"archived {archive_directory(directory, to):,} entries\n")
        elif kafka is not None:
            stop = Event()
            for one in (signal.SIGTERM, signal.SIGINT):
                signal.signal(one, lambda *_: stop.set())
            entries = archive_cluster(kafka, prefix, to, stop.is_set).entries
            sys.stdout.write(f"read {entries:,} entries; what is not in closed segments yet comes with the next ones\n")


@app.command("import")
def import_command(
    archive: Annotated[Path, typer.Argument(help="The archive's folder", metavar="ARCHIVE")],
    to: Annotated[Path, typer.Option("--to", help="The directory to make")],
) -> None:
    """Make a run's directory of an archive, for replay, balance and explain; its heads must be those of the entries."""
    with _told():
        sys.stdout.write(f"imported {import_archive(archive, to):,} entries\n")


@app.command("reshard")
def reshard_command(
    directory: Annotated[Path | None, typer.Argument(help="A run's directory", metavar="DIR")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The directory to make, or the cluster's new prefix")] = None,
    shards: Annotated[int | None, typer.Option(help="The new number of shards; default: as it is")] = None,
    move: Annotated[
        list[str] | None, typer.Option(help="A member's accounts to a shard", metavar="MEMBER=SHARD")
    ] = None,
    kafka: Kafka = None,
    prefix: Prefix = PREFIX,
    replication: Annotated[int, typer.Option(help="Replicas of the new topics")] = 1,
    in_sync: Annotated[int, typer.Option(help="Replicas that must have an entry")] = 1,
    check: Annotated[bool, typer.Option("--check", help="Make nothing; prove DIR's resharding again")] = False,
) -> None:
    """Split the journal again over other shards, and prove that the books are the same.

    The journal itself, and the directory or topics it is in, stay as they are.
    """
    with _told():
        moves = dict(_move(one) for one in move or ())
        if (directory is None) == (kafka is None) or (to is None) != check:
            raise ValueError("name a directory or --kafka, and --to or --check")
        if directory is not None:
            proof = checked(directory) if to is None else reshard(directory, Path(to), shards, moves)
        elif kafka is not None and to is not None:
            proof = reshard_cluster(kafka, prefix, to, shards, moves, replication=replication, in_sync=in_sync)
        else:
            raise ValueError("--check needs a directory")
        sys.stdout.write(json.dumps(proof.told(), indent=1) + "\n")


def _move(told: str) -> tuple[int, int]:
    member, _, shard = told.partition("=")
    if not (member.isdecimal() and shard.isdecimal()):
        raise ValueError(f"--move {told}: MEMBER=SHARD is needed, such as 12=3")
    return int(member), int(shard)
