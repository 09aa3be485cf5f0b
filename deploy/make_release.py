"""Makes a release of what is committed: python deploy/make_release.py [FOLDER]

FOLDER (default: dist) then holds the wheel, the source distribution, a bill of materials of what is installed with it
(CycloneDX, from requirements.lock) and SHA256SUMS. The same commit gives the same bytes, wherever and whenever it is
made with the tools of requirements-dev.lock: times are the commit's (SOURCE_DATE_EPOCH,
reproducible-builds.org/specs/source-date-epoch), and nothing but committed files is looked at.
"""

import gzip
import hashlib
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SCHEMA_VERSION = "1.6"


def git(*arguments: str) -> bytes:
    """What git answers."""
    return subprocess.run(["git", "-C", str(ROOT), *arguments], check=True, capture_output=True).stdout


def refuse_changes() -> None:
    """Ends the program where files of the tree are not as committed: they would not be in it."""
    changed = git("status", "--porcelain", "--untracked-files=no").decode().splitlines()
    if changed:
        sys.exit("make_release.py: not committed, and so not in a release: " + ", ".join(line[3:] for line in changed))


def export(folder: Path) -> None:
    """The committed files, with the commit's time and plain rights."""
    with tarfile.open(fileobj=io.BytesIO(git("-c", "tar.umask=0022", "archive", "--format=tar", "HEAD"))) as tar:
        # Before 3.11.4 there are no filters.
        tar.extraction_filter = getattr(tarfile, "data_filter", None)
        tar.extractall(folder)


def build(source: Path, out: Path, epoch: str) -> None:
    """Source distribution and, of that, the wheel; with the tools that are installed here."""
    subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(source)],
        env=os.environ | {"SOURCE_DATE_EPOCH": epoch, "PYTHONHASHSEED": "0"}, check=True, stdout=subprocess.DEVNULL,
        umask=0o022,
    )  # fmt: skip


def level(path: Path, epoch: int) -> None:
    """Pack a source distribution anew, in order, with one time and no owner: setuptools writes down who built it, and
    when."""
    packed = io.BytesIO()
    with tarfile.open(path) as old, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as new:
        for member in sorted(old.getmembers(), key=lambda each: each.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = epoch, 0, 0, "", ""
            member.mode, member.pax_headers = 0o755 if member.isdir() or member.mode & 0o100 else 0o644, {}
            new.addfile(member, old.extractfile(member) if member.isfile() else None)
    with path.open("wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=epoch) as file:
        file.write(packed.getvalue())


def write_bill(source: Path, path: Path) -> None:
    """The bill of materials, which is held against CycloneDX's own schema."""
    subprocess.run(
        [
            sys.executable, "-m", "cyclonedx_py", "requirements", str(source / "requirements.lock"),
            "--pyproject", str(source / "pyproject.toml"), "--mc-type", "application", "--spec-version", SCHEMA_VERSION,
            "--output-reproducible", "--validate", "--output-format", "JSON", "--output-file", str(path),
        ],
        check=True, capture_output=True,
    )  # fmt: skip


def write_sums(folder: Path) -> str:
    """The digest of every other file of the folder, as `sha256sum --check` reads them."""
    files = sorted(path for path in folder.iterdir() if path.name != "SHA256SUMS")
    text = "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
    (folder / "SHA256SUMS").write_text(text, "utf-8")
    return text


def main() -> None:
    """Make everything, and say what was made."""
    out = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "dist").resolve()
    refuse_changes()
    epoch = git("log", "-1", "--format=%ct").decode().strip()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as name:
        source = Path(name) / "source"
        export(source)
        version = tomllib.loads((source / "pyproject.toml").read_text("utf-8"))["project"]["version"]
        write_bill(source, out / f"lenswatch-{version}.cdx.json")
        build(source, out, epoch)
        level(out / f"lenswatch-{version}.tar.gz", int(epoch))
    sys.stdout.write(write_sums(out))


if __name__ == "__main__":
    main()
