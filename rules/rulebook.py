"""A folder of Sigma files → its detections and correlations."""

import dataclasses
from pathlib import Path

from rules.correlation import Correlation, build_correlation
from rules.detection import Detection, build_detection, read_documents
from rules.errors import RuleError, RuleErrors


@dataclasses.dataclass(frozen=True, slots=True)
class Rulebook:
    """What the files of one folder say, in the order of their names."""

    detections: tuple[Detection, ...] = ()
    correlations: tuple[Correlation, ...] = ()


def read_rulebook(folder: Path) -> Rulebook:
    """Every `**/*.yml` of a folder. Raises RuleErrors with all that is wrong."""
    detections: list[Detection] = []
    correlations: list[Correlation] = []
    first: dict[str, Path] = {}
    errors: list[RuleError] = []
    for path in sorted(folder.rglob("*.yml")):
        try:
            content = path.read_bytes()
            documents = read_documents(path, content)
            if "correlation" in documents[0]:
                correlations.append(build_correlation(path, documents, content))
                read = correlations[-1].head
            elif len(documents) == 1:
                read = build_detection(path, documents[0], content)
                detections.append(read)
            else:
                raise RuleErrors([RuleError(path, "", "holds several rules; a file holds one rule, a mapping")])
        except OSError as error:
            errors.append(RuleError(path, "", f"cannot be read: {error.strerror or error}"))
        except RuleErrors as wrong:
            errors += wrong.errors
        else:
            if read.id in first:
                errors.append(RuleError(path, "id", f"is that of {first[read.id]}; give each its own"))
            first[read.id] = path
    errors += [RuleError(path, "", "is not read; name it .yml") for path in sorted(folder.rglob("*.yaml"))]
    if errors:
        raise RuleErrors(errors)
    return Rulebook(tuple(detections), tuple(correlations))
