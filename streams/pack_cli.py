"""`lenswatch rules check|keygen|sign|verify`: whether rules are sound, and who vouches for them."""

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from collector.errors import LenswatchError, SettingsError
from rules.keys import make_keys, read_private, read_trust
from rules.load import read_folder
from rules.pack import MAX_PACK_BYTES, unpack
from rules.signature import FOLDER_SIGNATURE, MAX_VERSION, SUFFIX, default_version, read_signature, sign
from streams.options import Config, Folders
from streams.ruleset import rules_for, trust_in
from streams.settings import load_settings

PackPlace = Annotated[Path, typer.Argument(metavar="PACK", help="A folder of rules, or a pack's file.")]
SigningKey = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", help="Sign with this private key (lenswatch rules keygen).")
]
Version = Annotated[
    int | None,
    typer.Option(min=1, max=MAX_VERSION, help="The pack's version, which must rise; default: the time as a number."),
]
NOTHING: Final = "holds no files in facts/ or detections/; name a folder of rules, or a pack's file"


def check(folders: Folders = [], config: Config = None) -> None:  # noqa: B006
    """Load every fact and detection; say all that is wrong, each with file and key."""
    settings = load_settings(config)
    loaded = rules_for(settings, folders)
    facts = loaded.facts
    names = sum(len(file.endpoint) for file in facts.endpoints.values())
    listings = sum(len(entity.listings) for entity in facts.entities.values())
    typer.echo(
        f"{len(loaded.detections)} detections, {len(loaded.correlations)} correlations, {names} endpoint names, "
        f"{len(facts.entities)} companies, "
        f"{len(facts.programmes)} programmes, {listings} listings, {len(facts.as_numbers)} AS numbers: all right\n"
        f"digest {loaded.digest}"
    )
    for folder, signature in zip((*settings.rules.folders, *folders), loaded.signatures, strict=False):
        typer.echo(f"{folder}: {signature.words() if signature else 'not signed'}")


def keygen(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="Where: NAME.key is secret, NAME.pub is for everybody.")],
) -> None:
    """Make a pair of keys to sign packs with."""
    private, public, key = make_keys(name)
    typer.echo(f"{private}: the private key; keep it where packs are signed, and nowhere else")
    typer.echo(f"{public}: the public key {key}; name it at [rules] trusted_keys of every sensor and worker")


def sign_pack(
    place: PackPlace,
    key: Annotated[Path, typer.Option("--key", metavar="FILE", help="The private key (lenswatch rules keygen).")],
    version: Version = None,
) -> None:
    """Sign a folder of rules, or a pack that `publish --out` wrote. The signature is put beside it."""
    secret = read_private(key)
    if place.is_dir():
        # What is wrong should be known before somebody vouches for it.
        rules_for(load_settings(None, {}), (place,))
    files, _ = read_pack(place)
    now = datetime.datetime.now(datetime.UTC)
    signature = sign(files, version or default_version(now), now, secret)
    beside = signature_of(place)
    write(beside, signature)
    typer.echo(f"{beside}: {read_signature(place, signature)[0].words()}")


def verify(
    place: PackPlace,
    keys: Annotated[
        list[Path],
        typer.Option("--key", metavar="FILE", help="A public key that is trusted; default: [rules] trusted_keys."),
    ] = [],  # noqa: B006
    config: Config = None,
) -> None:
    """Say whether a pack is the one that was signed, and by whom; exit 1 when it is not."""
    trust = read_trust(keys) if keys else trust_in(load_settings(config).rules)
    if not trust:
        raise SettingsError("no public key is trusted: name one with --key, or at [rules] trusted_keys")
    files, signature = read_pack(place)
    said = trust.check(place, files, signature)
    if said is None:
        raise LenswatchError(f"{place}: is not signed: there is no {signature_of(place)}")
    typer.echo(f"{place}: {said.words()}")


def read_pack(place: Path) -> tuple[Mapping[str, bytes], bytes | None]:
    """The files of a folder or a pack's file, and the signature beside it. Raises LenswatchError."""
    if place.is_dir():
        files, signature = read_folder(place)
    else:
        beside = signature_of(place)
        try:
            with place.open("rb") as file:
                files = unpack(file.read(MAX_PACK_BYTES + 1))
            signature = beside.read_bytes() if beside.exists() else None
        except OSError as error:
            raise LenswatchError(f"{place}: cannot be read: {error.strerror or error}") from error
        except LenswatchError as error:
            raise LenswatchError(f"{place}: {error}") from error
    if not files:
        raise LenswatchError(f"{place}: {NOTHING}")
    return files, signature


def signature_of(place: Path) -> Path:
    """Where the signature of a pack lies."""
    return place / FOLDER_SIGNATURE if place.is_dir() else Path(f"{place}{SUFFIX}")


def write(place: Path, content: bytes) -> None:
    """A file, which is there whole or as it was before. Raises LenswatchError."""
    beside = Path(f"{place}.new")
    try:
        beside.write_bytes(content)
        beside.replace(place)
    except OSError as error:
        raise LenswatchError(f"{place}: cannot be written: {error.strerror or error}") from error


def mount(app: typer.Typer) -> None:
    """Put the commands below `lenswatch rules`."""
    app.command()(check)
    app.command()(keygen)
    app.command("sign")(sign_pack)
    app.command()(verify)
