"""From what is named on a command line to sources that are open, and root given up where that is asked for."""

import importlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import msgspec
import typer

from collector.capture.source import Source, is_endless, open_source
from collector.dissectors import DISSECTORS
from collector.errors import SettingsError
from collector.settings import CaptureSettings, CollectorSettings, DeepSettings

if TYPE_CHECKING:
    from collector.glance import Unclaimed
    from collector.identify.fingerprint import Fingerprint
    from collector.pipeline import Pipeline
    from collector.reporting import Concerns, Strangers
    from collector.workers import Crew

OWN, NOT_DEEP = "own", DeepSettings()
WANTED_LATER = (
    "cryptography.exceptions", "cryptography.hazmat.primitives.ciphers.aead", "cryptography.hazmat.primitives.hmac",
    "cryptography.hazmat.primitives.kdf.hkdf", "cryptography.x509", "fcntl", "multiprocessing.popen_fork", "numpy.ma",
    "selectors", *sorted({name.rpartition(".")[0] for name in DISSECTORS}),
)  # fmt: skip
"""Modules that are imported by the first packet that needs them, or by workers: where root is given up, before that."""

CaptureFilter = Annotated[
    str | None,
    typer.Option("--filter", metavar="F", help="Which packets of an interface, in pcap's filter language."),
]
Workers = Annotated[
    int | None, typer.Option("--workers", metavar="N", help="Processes that share the packets of an interface.")
]
User = Annotated[
    str | None,
    typer.Option("--user", metavar="U", help="Whom to become, instead of root, once the interface is open."),
]
Follow = Annotated[
    bool | None, typer.Option("--follow", help="Wait at a file's end for more, and for the next file of its name.")
]

Engine = Annotated[
    str | None,
    typer.Option("--engine", metavar="E", help="Who dissects: own, or pyshark (Wireshark's; slow, for the lab)."),
]

Deep = Annotated[
    bool | None,
    typer.Option("--deep", help="Let Wireshark read a sample of what we do not dissect; see [deep] in the settings."),
]


def with_options(
    settings: CaptureSettings, capture_filter: str | None, workers: int | None, user: str | None, follow: bool | None,
    engine: str | None = None,
) -> CaptureSettings:  # fmt: skip
    """The settings with what the command line says over them. Raises SettingsError."""
    given = {"filter": capture_filter, "workers": workers, "user": user, "follow": follow, "engine": engine}
    said = {name: value for name, value in given.items() if value is not None}
    try:
        capture = msgspec.structs.replace(settings, **said)
        capture.__post_init__()
    except ValueError as error:
        raise SettingsError(f"the command line: {error}") from error
    return capture


def with_deep(settings: DeepSettings, enabled: bool | None) -> DeepSettings:
    """The settings with what the command line says over them."""
    return settings if enabled is None else msgspec.structs.replace(settings, enabled=enabled)


def open_sources(
    names: Sequence[str],
    settings: CaptureSettings,
    imported_later: Sequence[str] = (),
    deep: DeepSettings = NOT_DEEP,
) -> list[Source]:
    """The sources, open; root is given up after that where the settings name somebody. Raises LenswatchError.

    `imported_later` are modules that will be asked for when that user may no longer read them: Python, or its virtual
    environment, may lie in root's home.
    """
    imported_later = [*imported_later, *wireshark_modules(settings, deep)]
    opened = together(open_all(names, settings))
    if settings.user:
        for name in (*imported_later, *WANTED_LATER):
            importlib.import_module(name)
        step_down(settings)
    return opened


def may_go_on(names: Sequence[str], settings: CaptureSettings) -> bool:
    """Whether a source that is named may be one that does not end; asked before any is opened."""
    interfaces = {name for _, name in socket.if_nameindex()}
    paths = [Path(name) for name in names if name not in interfaces and name != "-"]
    pipes = any(path.exists() and not (path.is_file() or path.is_dir()) for path in paths)
    return settings.follow or pipes or len(paths) < len(names)


def step_down(settings: CaptureSettings) -> None:
    """Give up root where the settings name somebody. Raises SettingsError."""
    if settings.user:
        from collector.privileges import give_up_root

        give_up_root(settings.user)


def open_all(names: Sequence[str], settings: CaptureSettings) -> list[Source]:
    """Each source; interfaces that several workers share are theirs, as one. Raises LenswatchError."""
    if settings.workers > 1:
        from collector.capture.ring import Ring
        from collector.workers import Crew

        interfaces = [name for name in names if Ring.opens(name)]
        if interfaces:
            others: list[Source] = [open_source(name, settings) for name in names if name not in interfaces]
            return [*others, Crew(interfaces, settings)]
    return [open_source(name, settings) for name in names]


def together(sources: list[Source]) -> list[Source]:
    """The sources, of which those at the end that do not end are read at once. Raises SettingsError where one stands
    before one that ends."""
    ends = max((number for number, source in enumerate(sources, 1) if not is_endless(source)), default=0)
    endless = [source.name for source in sources[:ends] if is_endless(source)]
    if endless:
        raise SettingsError(f"{endless[0]} does not end, so nothing behind it would be read: name it last")
    if len(sources) - ends < 2:
        return sources
    from collector.gathered import Gathered

    return [*sources[:ends], Gathered(sources[ends:])]


def crew_of(sources: Sequence[Source]) -> "Crew | None":
    """The workers, where there are several. Raises SettingsError where they are not alone."""
    crews = [cast("Crew", source) for source in sources if hasattr(source, "prepare")]
    if crews and len(sources) > 1:
        raise SettingsError(f"{crews[0].name}: with several workers, interfaces are watched by themselves")
    return crews[0] if crews else None


def pipeline_for(
    capture: CaptureSettings,
    settings: CollectorSettings,
    fingerprints: "tuple[Fingerprint, ...]",
    concerns: "Concerns | None" = None,
    crew: "Crew | None" = None,
    deep: DeepSettings = NOT_DEEP,
    touches: "Concerns | None" = None,
    unclaimed: "Callable[[], Unclaimed] | None" = None,
) -> "Pipeline | Crew":
    """What turns blocks into observations: the workers where there are several, else one pipeline of this engine."""
    strangers = strangers_for(deep, capture)
    if crew is not None:
        crew.strangers = strangers
        crew.prepare(settings, fingerprints, concerns, touches)
        return crew
    if capture.engine != OWN:
        from collector.wireshark.engine import WiresharkPipeline

        return WiresharkPipeline(settings, fingerprints, concerns, touches=touches)
    from collector.pipeline import Pipeline

    pipeline = Pipeline(settings, fingerprints, concerns, touches, unclaimed)
    pipeline.strangers = strangers() if strangers is not None else None
    return pipeline


def strangers_for(deep: DeepSettings, capture: CaptureSettings) -> "Callable[[], Strangers] | None":
    """What makes who reads what we do not dissect, for each process; None where nobody shall."""
    if not deep.enabled:
        return None
    # Imported where it is asked for: XML and Wireshark are slow to load.
    from collector.deep import DeepReader

    share = msgspec.structs.replace(deep, cpu_share=deep.cpu_share / capture.workers)
    return lambda: DeepReader(share)


def wireshark_modules(capture: CaptureSettings, deep: DeepSettings) -> list[str]:
    """The modules that will be asked for where Wireshark shall read. Raises LenswatchError where it cannot."""
    if capture.engine == OWN and not deep.enabled:
        return []
    from collector.wireshark.tshark import find_tshark

    find_tshark()
    if capture.engine == OWN:
        return ["collector.deep"]
    if deep.enabled:
        raise SettingsError(f"deep is of no use with engine {capture.engine}, which reads everything already")
    return ["collector.wireshark.engine"]
