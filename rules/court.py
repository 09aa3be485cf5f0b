"""What a sighting means for this organisation: the verdicts, and the waiver that covers it, if any. Pure.

Three companies may stand behind one contact, each in its own relation: the one whose service was touched (operates),
the one that made the device (made), and the one in whose network the peer is (hosts, carries). The first is what the
alert is about. The maker is judged for the device being there, the network's owner as context.
"""

import datetime
from collections.abc import Mapping
from typing import Final

import msgspec

from collector.errors import SettingsError
from rules.alert import Verdict
from rules.fact import UseClass as UseClass
from rules.factbook import Facts
from rules.sentence import our_side
from rules.sighting import Contact, Sighting
from rules.verdict import EVIDENCE_ONLY, HOSTS, MADE, OPERATES, STRENGTH, Judge, Question, rank
from rules.waivers import NO_WAIVERS, Waiver, Waivers

DEVICE_PRESENT: Final = "device_present"
CONTEXT: Final = STRENGTH["context_only"]


class Site(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who we are at a site: profiles, and what its cameras are for."""

    profiles: tuple[str, ...] = ()
    """Who we are there: docs/30-what-it-means-for-us.md."""
    use_class: UseClass | None = None
    """What the cameras there are for."""


class Organisation(msgspec.Struct, frozen=True, kw_only=True):
    """Who we are: everywhere, and at the sites that are others."""

    everywhere: Site = Site()
    sites: Mapping[str, Site] = {}

    def at(self, site: str | None) -> Site:
        """Who we are at a site."""
        return self.sites.get(site, self.everywhere) if site is not None else self.everywhere

    def check(self, facts: Facts) -> None:
        """Raises SettingsError for a profile that there is not."""
        for name, site in (("", self.everywhere), *self.sites.items()):
            for profile in site.profiles:
                if profile not in facts.profiles:
                    place = f"[rules.sites.{name}]" if name else "[rules]"
                    known = ", ".join(sorted(facts.profiles))
                    raise SettingsError(f"{place} profiles: there is no profile {profile!r}; there are {known}")


ANYBODY: Final = Organisation()


class Court:
    """Judge, organisation and waivers together."""

    def __init__(self, judge: Judge, organisation: Organisation = ANYBODY, waivers: Waivers = NO_WAIVERS) -> None:
        self.judge, self.organisation, self.waivers = judge, organisation, waivers
        facts = judge.facts
        self._makers = {
            name.casefold(): id
            for id, entity in facts.entities.items()
            for name in (entity.name, *entity.aliases, *entity.brands)
        } | {id: id for id in facts.entities}
        self._as_numbers = facts.as_numbers

    def verdicts(self, seen: Sighting) -> list[Verdict]:
        """Every verdict on a sighting, the company's own first, those that a waiver covers marked with its id."""
        found = seen.verdicts
        if found is None:
            found = seen.verdicts = self._judged(seen)
        return found

    def waiver(self, seen: Sighting) -> str | None:
        """The id of the waiver that silences whatever this sighting makes, if one does."""
        if not self.waivers:
            return None
        covering = self._covering(seen)
        for waiver in covering:
            if not waiver.programmes:
                return waiver.id
        if not covering or seen.contact is None:
            return None
        verdicts = self.verdicts(seen)
        if seen.contact.activity in EVIDENCE_ONLY:
            # It is evidence of use, and is silent where the use is waived.
            use = self._question(seen, seen.contact)._replace(activity=DEVICE_PRESENT, relation=MADE)
            verdicts = [*verdicts, *(_waived(verdict, covering) for verdict in self.judge.verdicts(use))]
        telling = [verdict for verdict in verdicts if verdict.concerns and STRENGTH[verdict.outcome] > CONTEXT]
        if telling and all(verdict.waiver is not None for verdict in telling):
            return telling[0].waiver
        return None

    def _covering(self, seen: Sighting) -> list[Waiver]:
        observation = seen.observation
        more = observation.lenswatch
        devices = [our_side(observation).ip] + ([observation.device.id] if observation.device else [])
        contact = seen.contact
        return self.waivers.covering(
            seen.day or observation.timestamp.astimezone(datetime.UTC).date(),
            contact.entity_id if contact else None,
            contact.role if contact else None,
            devices,
            more.site if more else None,
        )

    def _judged(self, seen: Sighting) -> list[Verdict]:
        contact = seen.contact
        if contact is None:
            return []
        asked = self._question(seen, contact)
        found = list(self.judge.verdicts(asked))
        maker = self._maker(seen)
        if maker is not None:
            presence = asked._replace(entity=maker, activity=DEVICE_PRESENT, relation=MADE)
            found += _telling(self.judge.verdicts(presence))
        system = seen.observation.destination.as_
        network = self._as_numbers.get(system.number) if system is not None else None
        if network is not None and network.entity not in (None, contact.entity_id):
            relation = network.relation or HOSTS
            found += _telling(
                self.judge.verdicts(asked._replace(entity=network.entity or "", relation=relation)), CONTEXT
            )
        if not self.waivers:
            return found
        covering = self._covering(seen)
        return [_waived(verdict, covering) for verdict in found]

    def _question(self, seen: Sighting, contact: Contact) -> Question:
        observation = seen.observation
        more = observation.lenswatch
        site = self.organisation.at(more.site if more else None)
        day = seen.day or observation.timestamp.astimezone(datetime.UTC).date()
        return Question(contact.entity_id, contact.activity, day, site.profiles, site.use_class, OPERATES)

    def _maker(self, seen: Sighting) -> str | None:
        device = seen.observation.device
        if device is None or device.manufacturer is None:
            return None
        return self._makers.get(device.manufacturer.casefold())


def _telling(verdicts: tuple[Verdict, ...], least: int = CONTEXT + 1) -> list[Verdict]:
    """Those that say something beside what the contact says."""
    return [verdict for verdict in verdicts if STRENGTH[verdict.outcome] >= least]


def _waived(verdict: Verdict, waivers: list[Waiver]) -> Verdict:
    for waiver in waivers:
        of_company = not waiver.companies or verdict.entity in waiver.companies
        if of_company and (not waiver.programmes or verdict.programme in waiver.programmes):
            return msgspec.structs.replace(verdict, waiver=waiver.id)
    return verdict


def in_words(verdicts: list[Verdict]) -> str:
    """The strongest verdicts of each profile in a sentence for a person: what it means for this organisation."""
    told = []
    for profile in dict.fromkeys(verdict.profile for verdict in verdicts if verdict.profile is not None):
        own = [each for each in verdicts if each.profile == profile and each.waiver is None]
        if own:
            first = min(own, key=lambda each: rank(each.outcome))
            told.append(_told(profile, first))
    return " ".join(told)


def _told(profile: str | None, verdict: Verdict) -> str:
    outcome = verdict.outcome.replace("_", " ")
    since = f" since {verdict.since}" if verdict.since else ""
    duty = f" {verdict.duties[0]}" if verdict.duties else ""
    return f"For {profile}: {outcome} under {verdict.programme}{since}. {verdict.says}{duty}"
