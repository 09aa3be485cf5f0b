"""The words of an alert: one sentence a person can act on (`message`), and why the rule says so (`event.reason`)."""

from collections.abc import Callable
from typing import Final

from collector.observation import CAMERA_KINDS, Endpoint, Observation
from rules.listing import in_words
from rules.sighting import Sighting

NO_ADDRESS: Final = "0.0.0.0"  # noqa: S104
ROLE_WORDS: Final = {
    "website": "website",
    "cloud": "cloud service",
    "p2p": "device registration (P2P)",
    "relay": "media relay",
    "ddns": "dynamic DNS",
    "ddns_customer": "a customer's host under its dynamic DNS",
    "telemetry": "telemetry",
    "push": "push service",
    "time": "time service",
    "storage": "recording storage",
    "firmware": "firmware server",
}
STEP_WORDS: Final = {"check": "an update check", "download": "a firmware download"}
INBOUND: Final = "inbound"


def our_side(observation: Observation) -> Endpoint:
    """The side of the flow that is on our network."""
    return observation.destination if _is_called(observation) else observation.source


def their_side(observation: Observation) -> Endpoint:
    """The side of the flow that our device talks to."""
    return observation.source if _is_called(observation) else observation.destination


def _is_called(observation: Observation) -> bool:
    """Whether the device that is spoken of was called: from outside, or by who gives it firmware."""
    if observation.network.direction == INBOUND:
        return True
    more = observation.lenswatch
    return more is not None and more.pushed_by is not None and more.pushed_by == observation.source.ip


def _device(seen: Sighting) -> str:
    observation = seen.observation
    identity = observation.lenswatch.device if observation.lenswatch else None
    kind = identity.type.replace("_", " ") if identity and identity.type in CAMERA_KINDS else "device"
    device = observation.device
    known = [device.manufacturer, device.model.name if device.model else None] if device else []
    what = " ".join(text for text in known if text)
    here = our_side(observation)
    # A device of which only the MAC is known has no address.
    where = here.mac if here.mac is not None and here.ip == NO_ADDRESS else here.ip
    return f"{kind.capitalize()} {where}{f' ({what})' if what else ''}"


def _called(seen: Sighting) -> str:
    observation = seen.observation
    if observation.event.dataset.endswith(".dns"):
        return "looked up"
    flow = observation.lenswatch.flow if observation.lenswatch else None
    if flow and flow.state == "attempt":
        return "tried to reach"
    return "was called by" if observation.network.direction == INBOUND else "called"


def _destination(seen: Sighting) -> str:
    if seen.name:
        return seen.name
    peer = their_side(seen.observation)
    if peer.port is None:
        return peer.ip
    return f"[{peer.ip}]:{peer.port}" if ":" in peer.ip else f"{peer.ip}:{peer.port}"


def _role(seen: Sighting) -> str:
    if seen.contact is None:
        return "unknown"
    return ROLE_WORDS.get(seen.contact.role, seen.contact.role)


def _step(seen: Sighting) -> str:
    if seen.contact is None or seen.contact.step is None:
        return "no more than a name look-up or an attempt"
    return STEP_WORDS[seen.contact.step]


def _broken(seen: Sighting, attribute: str) -> str:
    broken = seen.observation.lenswatch.broken if seen.observation.lenswatch else None
    return str(getattr(broken, attribute)) if broken else "unknown"


def _declared(seen: Sighting) -> str:
    """What the organisation's list calls the device, and as whose."""
    declared = seen.observation.lenswatch.declared if seen.observation.lenswatch else None
    if declared is None:
        return "nothing"
    name = declared.name or declared.address or declared.mac or declared.network or "a device"
    made = " ".join(filter(None, (declared.maker, declared.model)))
    return f"{name} ({made})" if made else name


def _maker(seen: Sighting) -> str:
    identity = seen.observation.lenswatch.device if seen.observation.lenswatch else None
    return (identity.brand or identity.maker if identity else None) or "unknown"


def _policy(seen: Sighting) -> str:
    """The policy that is broken, and what it lets pass."""
    egress = seen.observation.lenswatch.egress if seen.observation.lenswatch else None
    if egress is None:
        return "no policy"
    return egress.policy if egress.policy == egress.allows else f"{egress.policy} ({egress.allows})"


def _new(seen: Sighting) -> str:
    """Whom the device calls for the first time."""
    novelty = seen.observation.lenswatch.baseline if seen.observation.lenswatch else None
    new = (novelty.new if novelty else None) or ["nobody"]
    company = f"the company {seen.contact.company}" if seen.contact else "a company"
    words = [
        "anybody outside" if each == "outside" else company if each.startswith("company ") else each for each in new
    ]
    return ", ".join(words)


def _growth(seen: Sighting) -> str:
    """How many times the usual passed."""
    novelty = seen.observation.lenswatch.baseline if seen.observation.lenswatch else None
    if novelty is None or novelty.growth is None:
        return "as much as usual"
    if not novelty.usual_bytes:
        return "traffic where there was none"
    return f"{novelty.growth:,.0f} times the usual {novelty.usual_bytes / 1e6:,.1f} MB of a day"


WORDS: Final[dict[str, Callable[[Sighting], str]]] = {
    "device": _device,
    "called": _called,
    "destination": _destination,
    "name": lambda seen: seen.name or "",
    "company": lambda seen: seen.contact.company if seen.contact else "unknown",
    "role": _role,
    "activity": lambda seen: seen.contact.activity.replace("_", " ") if seen.contact else "unknown",
    "step": _step,
    "listings": lambda seen: in_words(seen.standing.listings if seen.standing else ()),
    "resembles": lambda seen: seen.lookalike.resembles if seen.lookalike else "",
    "method": lambda seen: seen.lookalike.method.replace("_", " ") if seen.lookalike else "",
    "protocol": lambda seen: _broken(seen, "protocol").upper(),
    "reason": lambda seen: _broken(seen, "reason"),
    "declared": _declared,
    "policy": _policy,
    "new": _new,
    "growth": _growth,
    "maker": _maker,
    "pusher": lambda seen: (seen.observation.lenswatch and seen.observation.lenswatch.pushed_by) or "unknown",
}


def write_reason(seen: Sighting) -> str:
    """Which fact tied the observation to the rule, and what it is evidence of."""
    if seen.lookalike is not None:
        like = seen.lookalike
        return f"{like.name} resembles {like.resembles} ({like.method}) and is no name that the facts know"
    if seen.contact is None:
        return "the observation itself; no endpoint fact matched"
    contact = seen.contact
    fact = contact.endpoint
    text = (
        f"{contact.name or contact.address} matches {fact.pattern} ({fact.match}, confidence {fact.confidence}) "
        f"of {contact.entity_id}, role {contact.role}, activity {contact.activity}"
    )
    if _called(seen) in ("looked up", "tried to reach"):
        text += "; a look-up or an attempt is evidence of use and nothing more"
    return text
