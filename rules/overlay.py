"""The folder that imports fill: a folder of rules of its own (`--rules`), which never touches the shipped facts.

DIR/facts/listings/<list>.toml    what the list says of our companies        DIR/facts/sources.toml   the lists
DIR/review/<list>.jsonl           every candidate, taken or refused, and why  DIR/imports.toml         counts, days
"""

import contextlib
import datetime
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec
import tomli

from rules.errors import RuleError
from rules.fact import Source, SourceFile
from rules.intake import Loaded, Taken
from rules.namesake import Candidate

IMPORTS, SOURCES = "imports.toml", "facts/sources.toml"


def read_imports(folder: Path) -> dict[str, Loaded]:
    """What was last imported into this folder, by list. Raises RuleError."""
    try:
        return msgspec.convert(_read(folder / IMPORTS), dict[str, Loaded])
    except msgspec.ValidationError as error:
        raise RuleError(folder / IMPORTS, "", f"{error}; remove the table and import again") from error


def write(folder: Path, source: Source, loaded: Loaded, taken: Taken) -> list[Path]:
    """Writes what came of a list, each file whole or not at all, the listings last. Raises RuleError."""
    list_name = taken.name
    kept = _read(folder / SOURCES).get("sources", {})
    sources = {"sources": {**kept, **dict.fromkeys(taken.listings.sources, _plain(source))}}
    msgspec.convert(sources, SourceFile)
    imports = {**_read(folder / IMPORTS), list_name: _plain(loaded)}
    files = {
        folder / "review" / f"{list_name}.jsonl": _candidates(taken.candidates),
        folder / SOURCES: _toml(sources, "The lists that were imported."),
        folder / IMPORTS: _toml(imports, "What was imported last: the next import is compared with it."),
        folder / "facts" / "listings" / f"{list_name}.toml": _toml(
            _plain(taken.listings), "Imported; to be reviewed. The candidates are in review/, with their reasons."
        ),
    }
    for path, content in files.items():
        _replace(path, content)
    return list(files)


def _plain(struct: msgspec.Struct) -> dict[str, Any]:
    document: dict[str, Any] = _without_none(msgspec.to_builtins(struct, builtin_types=(datetime.date,)))
    return document


def _without_none(value: Any) -> Any:
    """TOML has no null; an absent key says the same. Empty lists are left out too."""
    if isinstance(value, dict):
        return {key: _without_none(item) for key, item in value.items() if item is not None and item not in ([], ())}
    return [_without_none(item) for item in value] if isinstance(value, list | tuple) else value


def _toml(document: dict[str, Any], heading: str) -> bytes:
    import tomli_w

    return f"# {heading}\n\n{tomli_w.dumps(document)}".encode()


def _candidates(candidates: Iterable[Candidate]) -> bytes:
    lines = [
        msgspec.json.encode(
            {
                "company": each.entity,
                "accepted": each.accepted,
                "by": each.by,
                "reason": each.reason,
                "list": each.entry.list_name,
                "name": each.entry.name,
                "number": each.entry.number,
                "place": each.entry.place,
            }
        )
        for each in sorted(candidates, key=lambda each: (not each.accepted, each.entity, each.entry.place))
    ]
    return b"".join(line + b"\n" for line in lines)


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomli.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise RuleError(path, "", f"is not TOML: {error}; mend or remove it") from error
    except OSError as error:
        raise RuleError(path, "", f"cannot be read: {error.strerror or error}") from error


def _replace(path: Path, content: bytes) -> None:
    beside = path.with_name(f".{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        beside.write_bytes(content)
        beside.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            beside.unlink(missing_ok=True)
        raise RuleError(path, "", f"cannot be written: {error.strerror or error}") from error
