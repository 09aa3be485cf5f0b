"""What a detection is asked about: one observation with what the facts say of it."""

import dataclasses
import datetime

from collector.observation import Observation
from rules.alert import Lookalike, Verdict
from rules.endpoints import EndpointMatch
from rules.fact import Entity
from rules.listing import Standing


@dataclasses.dataclass(frozen=True, slots=True)
class Contact:
    """An observation touched a company's endpoint.

    `name` or `address` is what matched, `endpoint` the fact that did, `entity` the company where the facts have a
    file of it. `step` is the step of a firmware update that was seen (check or download).
    """

    endpoint: EndpointMatch
    entity: Entity | None
    role: str
    activity: str
    name: str | None = None
    address: str | None = None
    step: str | None = None

    @property
    def entity_id(self) -> str:
        """The company's id."""
        return self.endpoint.entity

    @property
    def company(self) -> str:
        """The company's name, or its id where there is no file of it."""
        return self.entity.name if self.entity else self.endpoint.entity

    @property
    def country(self) -> str | None:
        """The company's country, ISO 3166-1 alpha-2."""
        return self.entity.country if self.entity else None


@dataclasses.dataclass(slots=True)
class Sighting:
    """An observation and its context. `standing` is the company's on the packet's day, `name` the name that was asked
    of the facts, normalised. `day` is the one whose law counts; `verdicts` are None until they are asked for."""

    observation: Observation
    name: str | None = None
    contact: Contact | None = None
    standing: Standing | None = None
    lookalike: Lookalike | None = None
    day: datetime.date | None = None
    verdicts: list[Verdict] | None = None
