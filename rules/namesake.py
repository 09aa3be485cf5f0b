"""Whether a party on a list is one of our companies: by identifier, then by whole name, never by a part of it.

Two names are the same when they agree whole, or agree without their legal forms (cleanco knows those) and have two
words or more; one word is enough when the facts have the company on that list from that day. Otherwise one word
alone, a name within a name, a name that is merely near (rapidfuzz says how near): those are candidates, kept with the
reason for which they were refused, for a person to look at.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from rules.fact import Entity
from rules.lists.reader import Entry

# Nearness in percent above which a refused name is worth showing.
MIN_NEARNESS: Final = 88
# Nearness with legal forms below which a name cannot be that near without them.
MIN_WORTH: Final = 65
# An identifier that is all digits and as short as this may be another register's number.
MAX_AMBIGUOUS_DIGITS: Final = 9
MAX_CANDIDATES: Final = 5000
IDENTIFIERS: Final = ("uscc", "isin", "lei", "hk_cr")
# Their registers are one country's.
CHINA: Final = frozenset({"CN", "HK", "MO"})
_FORMS: Final = {"company": "co", "limited": "ltd", "corporation": "corp", "incorporated": "inc", "and": "&"}
_WORD = re.compile(r"&|[^\W_]+")


class Candidate(NamedTuple):
    """A party and a company of ours that it may be. `by`: identifier, name, one_word, part or near; `reason` says why
    it was taken or refused."""

    entry: Entry
    entity: str
    by: str
    accepted: bool
    reason: str


class _Name(NamedTuple):
    text: str
    whole: str
    core: str
    entity: str
    programme: str | None


def words_of(name: str) -> tuple[str, ...]:
    """A name's words, folded: width, case and punctuation do not matter, nor how a legal form is written."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    return tuple(_FORMS.get(word, word) for word in _WORD.findall(folded))


def core_of(name: str) -> str:
    """The words without legal forms."""
    from cleanco import basename

    text = unicodedata.normalize("NFKC", name).strip()
    while (shorter := basename(text)) and shorter != text:
        text = shorter
    return " ".join(words_of(text))


class Namesakes:
    """Our companies, ready to be compared with."""

    def __init__(self, entities: Iterable[Entity]) -> None:
        self._entities = {entity.id: entity for entity in entities}
        self._identifiers: dict[str, str] = {}
        self._uids: dict[str, str] = {}
        self._names: list[_Name] = []
        for entity in self._entities.values():
            for kind, value in entity.identifiers.items():
                if kind in IDENTIFIERS:
                    self._identifiers[_bare(value)] = entity.id
                elif kind == "ofac_uid":
                    self._uids[value] = entity.id
            given = [(text, None) for text in dict.fromkeys((entity.name, *entity.aliases))]
            given += [(each.name_on_list, each.programme) for each in entity.listings if each.name_on_list]  # type: ignore[misc]
            self._names += [
                _Name(text, " ".join(words_of(text)), core_of(text), entity.id, programme) for text, programme in given
            ]
        self._by_whole: dict[str, list[_Name]] = {}
        self._by_core: dict[str, list[_Name]] = {}
        for name in self._names:
            self._by_whole.setdefault(name.whole, []).append(name)
            self._by_core.setdefault(name.core, []).append(name)
        self._cores = [name.core for name in self._names]
        self._wholes = list(self._by_whole)
        self._by_first_word: dict[str, list[tuple[list[str], _Name]]] = {}
        for name in self._names:
            words = name.core.split()
            for word in words[:1]:
                self._by_first_word.setdefault(word, []).append((words, name))

    def candidates(self, entry: Entry) -> list[Candidate]:
        """Which of our companies the party may be; at most one of them is accepted."""
        by_identifier = self._identified(entry)
        if by_identifier:
            return self._judged(entry, by_identifier)
        if entry.person:
            return []
        found: dict[str, tuple[str, str]] = {}
        for text in _spellings(entry):
            for name in self._by_whole.get(" ".join(words_of(text)), ()):
                self._note(found, entry, name, text)
            if not self._is_worth_reading(words_of(text)):
                continue
            core = core_of(text)
            for name in self._by_core.get(core, ()):
                self._note(found, entry, name, text)
            if core:
                self._note_near(found, core, text)
        return self._judged(entry, found)

    def _is_worth_reading(self, words: Sequence[str]) -> bool:
        """Whether a name may be, hold or be near one of ours: to take legal forms off every name on a list costs more
        than all the rest."""
        from rapidfuzz import fuzz, process

        if any(word in self._by_first_word for word in words):
            return True
        text = " ".join(words)
        return process.extractOne(text, self._wholes, scorer=fuzz.ratio, score_cutoff=MIN_WORTH) is not None

    def _identified(self, entry: Entry) -> dict[str, tuple[str, str]]:
        found = {}
        for value in entry.identifiers:
            entity = self._identifiers.get(_bare(value))
            if entity is not None and not (value.isdigit() and len(value) <= MAX_AMBIGUOUS_DIGITS):
                found[entity] = ("identifier", f"its identifier {value} is the company's")
        if entry.number is not None and entry.list_name in ("SDN", "CMIC") and entry.number in self._uids:
            found[self._uids[entry.number]] = ("identifier", f"its OFAC number {entry.number} is the company's")
        return found

    def _note(self, found: dict[str, tuple[str, str]], entry: Entry, name: _Name, text: str) -> None:
        """A name that agrees whole, or but for its legal form."""
        if name.programme is not None and name.programme not in entry.programmes:
            return
        known_form = name.programme is not None or (name.text == self._entities[name.entity].name)
        same = name.whole == " ".join(words_of(text))
        if (same and known_form) or len(name.core.split()) > 1 or (same and " " in name.whole):
            found[name.entity] = ("name", f"{text!r} is the company's name {name.text!r}")
        elif self._is_known_there(name.entity, entry):
            found[name.entity] = ("name", f"{text!r} is one word, and the facts have the company there since that day")
        elif name.entity not in found:
            reason = f"one word alone ({text!r}) may be another company's; no identifier agrees"
            found[name.entity] = ("one_word", reason)

    def _is_known_there(self, entity: str, entry: Entry) -> bool:
        """Whether the facts have the company on the same list from the same day."""
        return entry.since is not None and any(
            each.programme in entry.programmes and each.status == "listed" and each.since == entry.since
            for each in self._entities[entity].listings
        )

    def _note_near(self, found: dict[str, tuple[str, str]], core: str, text: str) -> None:
        """A name that holds ours or is held by it, on whole words, and one that is near."""
        from rapidfuzz import fuzz, process

        words = core.split()
        for at, word in enumerate(words):
            for ours, name in self._by_first_word.get(word, ()):
                if name.entity not in found and ours != words and words[at : at + len(ours)] == ours:
                    extra = " ".join((*words[:at], *words[at + len(ours) :]))
                    reason = f"{text!r} holds {name.text!r}, and {extra!r} beside it: another company"
                    found[name.entity] = ("part", reason)
        near = process.extract(core, self._cores, scorer=fuzz.ratio, score_cutoff=MIN_NEARNESS, limit=3)
        for _, nearness, at in near:
            name = self._names[at]
            if name.entity not in found:
                reason = f"{text!r} is near {name.text!r} ({nearness:.0f} %), not the same; no identifier agrees"
                found[name.entity] = ("near", reason)

    def _judged(self, entry: Entry, found: dict[str, tuple[str, str]]) -> list[Candidate]:
        sure = [entity for entity, (by, _) in found.items() if by in ("identifier", "name")]
        judged = []
        for entity, (by, reason) in found.items():
            accepted = by in ("identifier", "name")
            if accepted and len(sure) > 1:
                accepted, reason = (
                    False,
                    f"{reason}; but so it is of {', '.join(each for each in sure if each != entity)}",
                )
            elif accepted and by == "name" and not self._same_country(entity, entry):
                country = self._entities[entity].country
                accepted, reason = False, f"{reason}; but it is in {', '.join(entry.countries)}, not in {country}"
            elif accepted and not entry.programmes:
                accepted, reason = False, f"{reason}; but {entry.list_name} is no programme here"
            judged.append(Candidate(entry, entity, by, accepted, reason))
        return judged

    def _same_country(self, entity: str, entry: Entry) -> bool:
        country = self._entities[entity].country
        if country is None or not entry.countries:
            return True
        return country in entry.countries or (country in CHINA and not CHINA.isdisjoint(entry.countries))


def _spellings(entry: Entry) -> Sequence[str]:
    """Every name of a party, also without what stands in brackets at its end."""
    texts = (entry.name, *entry.aliases)
    return tuple(dict.fromkeys([*texts, *(re.sub(r"\s*\([^()]*\)\s*$", "", text) for text in texts)]))


def _bare(value: str) -> str:
    return "".join(_WORD.findall(value.upper()))
