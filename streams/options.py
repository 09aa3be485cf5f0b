"""Options that several commands take."""

from pathlib import Path
from typing import Annotated

import typer

Config = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="The settings file (TOML).")]
Folders = Annotated[
    list[Path],
    typer.Option("--rules", metavar="DIR", help="A folder of your own facts/ and detections/; may be repeated."),
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON instead of words.")]
