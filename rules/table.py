"""CSV as lists are published in it (RFC 4180, a heading first), read row by row; a cut-off file is refused."""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from rules.errors import RuleError

MAX_FIELD_BYTES = 1 << 20


def read_table(path: Path, needed: Sequence[str]) -> Iterator[tuple[str, dict[str, str]]]:
    """Place and fields of every row. Raises RuleError for a missing column, a row that is too short or too long, and
    a quote without its end."""
    csv.field_size_limit(MAX_FIELD_BYTES)
    line = 1
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.reader(file, strict=True)
            heading = [column.strip().casefold() for column in next(rows, [])]
            missing = [column for column in needed if column not in heading]
            if missing:
                raise RuleError(path, "line 1", f"has no column {', '.join(missing)}; the first line names the columns")
            for row in rows:
                line = rows.line_num
                if not row:
                    continue
                if len(row) != len(heading):
                    reason = f"has {len(row)} fields, not {len(heading)} as the heading; is the file cut off?"
                    raise RuleError(path, f"line {line}", reason)
                yield f"line {line}", dict(zip(heading, row, strict=True))
    except csv.Error as error:
        raise RuleError(path, f"line {line + 1}", f"{error}; is the file cut off?") from error
    except UnicodeDecodeError as error:
        raise RuleError(path, f"after line {line}", "is not UTF-8; save the file as UTF-8") from error
    except OSError as error:
        raise RuleError(path, "", f"cannot be read: {error.strerror or error}") from error
