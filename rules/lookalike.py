"""Names that resemble a maker's and are not known to be the maker's: typing errors, borrowed brands, homoglyphs.

What is compared is the registrable label (`dahuatec` of `cdn.dahuatec.xyz`), by the public suffix list. Four methods:
edit_distance (optimal string alignment: one edit; two from nine letters on), containment (a maker's distinctive brand
inside another label), other_suffix (the maker's label under another public suffix), homoglyph (the same once digits
and letters that look alike are one). Whoever asks has asked the endpoint facts first: what they know, or reject, is
no lookalike.
"""

import functools
import re
import unicodedata
from pathlib import Path
from typing import Any, Final, NamedTuple

import idna

from rules.alert import Lookalike
from rules.endpoints import normalise_name
from rules.fact import EndpointFile, Entity

MIN_LABEL_LENGTH: Final = 5
MIN_TWO_EDITS_LENGTH: Final = 9
MIN_INSIDE_LENGTH: Final = 7
MAX_SUFFIX_LABELS: Final = 5
MAX_REMEMBERED: Final = 65_536

# Makers' labels that are a common word, or lie one edit from a name that very many people use (hicloud, icloud).
COMMON_LABELS: Final = frozenset(
    ("autonat", "cloudwalk", "dbankcloud", "ecosightsecurity", "eyeincloud", "hicloud", "hik-cloud", "hiklife",
     "hikmall", "hilook", "holowits", "hwclouds", "iotbing", "ismartlife", "jftech", "kalay", "lechange", "lorex",
     "shipin7", "umeye", "xmeye", "ztemall")
)  # fmt: skip
# Companies that use far more names than the facts hold: their brand inside a label, or under another suffix, is most
# likely their own.
BROAD_ENTITIES: Final = frozenset(
    ("alibaba", "baidu", "cec", "ceiec", "china-mobile", "china-telecom", "china-unicom", "cloudwalk", "hisilicon",
     "huawei", "hytera", "megvii", "sensetime", "tencent", "tplink-systems", "tplink-technologies", "tuya", "wyze",
     "xiaomi", "yitu", "zte")
)  # fmt: skip
# Names of others within one or two edits of a maker's.
OTHER_NAMES: Final = frozenset(("aivision", "division", "hivision", "icloud", "invision"))
# Characters that are read as another: digits for letters, and Cyrillic and Greek letters with a Latin shape.
_ALIKE: Final = str.maketrans("0134578l|аеорсухіјѕһкмтвнԁɡıαονικρτ", "oieastbiiaeopcyxijshkmtbhdgiaovikpt")


class Maker(NamedTuple):
    """A maker's label or brand as it is compared, and the known name that stands for it."""

    text: str
    name: str


class _PublicSuffix:
    """Says that a domain is a public suffix, so that one label more is needed."""


_PUBLIC_SUFFIX: Final = _PublicSuffix()


class Lookalikes:
    """The makers' names of the facts, ready to be compared. Verdicts are remembered by registrable domain.

    The public suffix list is read at the first question, since it takes longer to read than all rules.
    """

    def __init__(self, files: dict[str, EndpointFile], entities: dict[str, Entity]) -> None:
        self._files, self._entities = files, entities
        self._judge = functools.lru_cache(maxsize=MAX_REMEMBERED)(self._judge_domain)

    def prepare(self) -> None:
        """Read the public suffix list and the makers' names now, and not at the first question."""
        self._judge("example.com")

    def resembles(self, name: str) -> Lookalike | None:
        """The maker's name that a normalised name resembles, or None."""
        at = name.rfind(".", 0, max(name.rfind("."), 0)) + 1
        for _ in range(MAX_SUFFIX_LABELS):
            verdict = self._judge(name[at:])
            if not isinstance(verdict, _PublicSuffix):
                return verdict
            if at == 0:
                return None
            at = name.rfind(".", 0, at - 1) + 1
        return None

    def is_plain(self, zone: str) -> bool:
        """Whether no name at or below two labels (or one) resembles a maker's: the zone is no public suffix, and no
        lookalike itself."""
        return self._judge(zone) is None

    def _judge_domain(self, domain: str) -> Lookalike | _PublicSuffix | None:
        makers = self._makers
        suffix = makers.public_suffix(domain)
        if suffix == domain:
            return _PUBLIC_SUFFIX
        if suffix is None or domain in makers.known:
            return None
        label = domain[: -len(suffix) - 1]
        found = makers.compare(label) if len(label) >= MIN_LABEL_LENGTH and label not in OTHER_NAMES else None
        return Lookalike(name=domain, resembles=found[0].name, method=found[1]) if found else None

    @functools.cached_property
    def _makers(self) -> "_Makers":
        return _Makers(self._files, self._entities)


def _registries() -> str:
    """The suffixes of registries only: a customer's name at a hosting company is the customer's to choose. Names come
    as A-labels (RFC 5890), so the list is needed in those alone, and made in a fifth of the time."""
    from publicsuffixlist import PSLFILE, encode_idn

    text = Path(PSLFILE).read_text("utf-8")
    lines = text[text.index("===BEGIN ICANN DOMAINS===") : text.index("===END ICANN DOMAINS===")].splitlines()[1:]
    rules = [line for line in lines if line and not line.startswith("//")]
    return "\n".join(rule if rule.isascii() else encode_idn(rule) for rule in rules)


class _Makers:
    """Makers' labels and brands in the forms in which they are compared."""

    def __init__(self, files: dict[str, EndpointFile], entities: dict[str, Entity]) -> None:
        self._suffixes = _suffix_list()
        self.known: set[str] = set()
        self._labels: dict[str, Maker] = {}
        self._own: dict[str, Maker] = {}
        self._brands: dict[str, Maker] = {}
        self._skeletons: dict[str, Maker] = {}
        for entity, file in files.items():
            self._take(file, entities.get(entity))
        brands = sorted(self._brands, key=len, reverse=True)
        self._brand = re.compile("|".join(map(re.escape, brands)) if brands else r"(?!)")

    def public_suffix(self, domain: str) -> str | None:
        suffix: str | None = self._suffixes.publicsuffix(domain)
        return suffix

    def _take(self, file: EndpointFile, entity: Entity | None) -> None:
        own: dict[str, Maker] = {}
        pages = {fact.name for fact in file.endpoint if fact.role == "website"}
        for fact in file.endpoint:
            for text in fact.under if fact.match == "regex" else (fact.name,):
                domain: str | None = self._suffixes.privatesuffix(normalise_name(text))
                if domain is None:
                    continue
                self.known.add(domain)
                label = domain.partition(".")[0]
                sure = fact.confidence in ("high", "medium")
                # A maker's host at a hosting company is an exact name, and the company's domain is no maker's.
                if fact.match == "suffix" and sure and len(label) >= MIN_LABEL_LENGTH and label not in COMMON_LABELS:
                    own[label] = min(own.get(label, Maker(label, domain)), Maker(label, domain), key=_length)
        self._labels |= own
        if file.entity in BROAD_ENTITIES:
            return
        self._own |= own
        self._skeletons |= {_skeleton(label): maker for label, maker in own.items()}
        for label, maker in own.items():
            plain = label.replace("-", "")
            if len(plain) >= MIN_TWO_EDITS_LENGTH:
                self._brands.setdefault(plain, Maker(plain, maker.name))
        for brand in (file.entity, *(entity.brands if entity else ())):
            plain = re.sub(r"[^a-z0-9]", "", brand.partition("(")[0].lower())
            owners = [maker for label, maker in own.items() if plain in label.replace("-", "")]
            if owners and len(plain) >= MIN_LABEL_LENGTH and plain not in COMMON_LABELS:
                # The page that people know stands for the brand.
                owner = min(owners, key=lambda maker: (maker.name not in pages, len(maker.name)))
                self._brands[plain] = Maker(plain, owner.name)

    def compare(self, label: str) -> tuple[Maker, str] | None:
        """The maker that a registrable label resembles, and by which method."""
        if label in self._own:
            return self._own[label], "other_suffix"
        if label in self._labels:
            return None
        shown = _decoded(label)
        skeleton = _skeleton(shown)
        if skeleton in self._skeletons:
            return self._skeletons[skeleton], "homoglyph"
        found = self._near(label, self._labels)
        if found:
            return found, "edit_distance"
        found = self._contained(shown.replace("-", "")) or self._contained(skeleton.replace("-", ""))
        if found:
            return found, "containment"
        found = self._near_part(label)
        return (found, "edit_distance") if found else None

    def _contained(self, plain: str) -> Maker | None:
        for hit in self._brand.finditer(plain):
            at_an_end = hit.start() == 0 or hit.end() == len(plain)
            if at_an_end or hit.end() - hit.start() >= MIN_INSIDE_LENGTH:
                return self._brands[hit[0]]
        return None

    def _near(self, label: str, makers: dict[str, Maker]) -> Maker | None:
        from rapidfuzz import process
        from rapidfuzz.distance import OSA

        most = 2 if len(label) >= MIN_TWO_EDITS_LENGTH else 1
        found = process.extractOne(label, makers.keys(), scorer=OSA.distance, score_cutoff=most)
        if found is None:
            return None
        text, distance, _ = found
        # Two edits of which one is the first letter make another word: division, invision, hikvision.
        if distance == 2 and (len(text) < MIN_TWO_EDITS_LENGTH or text[0] != label[0]):
            return None
        return makers[text]

    def _near_part(self, label: str) -> Maker | None:
        """`hikvlsion-update`: a part of the label is one edit from a brand."""
        for part in label.split("-") if "-" in label else ():
            if len(part) >= MIN_INSIDE_LENGTH and part not in OTHER_NAMES and (found := self._near(part, self._brands)):
                return found
        return None


@functools.cache
def _suffix_list() -> Any:
    """Read once, since it never changes."""
    from publicsuffixlist import PublicSuffixList

    return PublicSuffixList(_registries(), accept_unknown=False, accept_encoded_idn=False)


def _length(maker: Maker) -> int:
    return len(maker.name)


def _decoded(label: str) -> str:
    """A label as a person sees it: A-label decoded, marks stripped, lower case."""
    if label.startswith("xn--"):
        try:
            label = idna.decode(label)
        except UnicodeError:
            return label
    return "".join(char for char in unicodedata.normalize("NFKD", label.lower()) if not unicodedata.combining(char))


def _skeleton(label: str) -> str:
    """A label with what looks alike made one, after the idea of Unicode Technical Standard 39, section 4."""
    return label.translate(_ALIKE).replace("rn", "m").replace("vv", "w")
