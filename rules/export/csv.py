"""CSV (RFC 4180): every indicator, one a line, all that is known of it. For spreadsheets and for scripts."""

import collections
import csv
import io

from rules.export.export import Export, Written
from rules.indicator import Pack

COLUMNS = (
    "id", "kind", "value", "hosts", "except", "entity", "company", "role", "step", "confidence", "programmes",
    "citations", "reference", "sources", "note",
)  # fmt: skip


def write(pack: Pack) -> Written:
    """A heading and a line for each indicator. Lists within a field are parted by blanks, exceptions begin with a dot
    where all below them is meant."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for each in pack.indicators:
        holes = " ".join(f"{'.' if hole.below else ''}{hole.name}" for hole in each.excluded)
        row = [
            each.id, each.kind, each.value, " ".join(each.hosts), holes, each.entity, each.company, each.role,
            each.step or "", each.confidence, " ".join(each.programmes), each.citations, each.reference,
            " ".join(each.sources), each.note or "",
        ]  # fmt: skip
        writer.writerow([_harmless(field) for field in row])
    return Written(out.getvalue(), len(pack.indicators), collections.Counter())


def _harmless(field: str) -> str:
    """A spreadsheet takes a field that begins so for a formula."""
    return f"'{field}" if field[:1] in ("=", "+", "-", "@", "\t", "\r") else field


EXPORT = Export("csv", "spreadsheets and scripts (RFC 4180)", write)
