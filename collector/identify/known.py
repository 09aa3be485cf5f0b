"""One device as it is known so far: its ECS field sets, and the signs behind them."""

from collector.identify.evidence import CALLED, MAX_CONTRADICTIONS, OTHER, UNKNOWN, Opinions, Sign
from collector.observation import CAMERA_KINDS, Announced, Device, DeviceIdentity, Model

MAX_EVIDENCE = 24
MAX_OF_A_SORT = 4
"""Signs of one sort that are kept: they count as one."""
ASKED = "looks up"
ROUTER = Sign("stands before many addresses, as routers do", "router", 0.95, kind=OTHER)

End = tuple[bytes, str]
"""Where a device is met: the MAC (six bytes, or none where layer 2 is not seen) and the address."""


class KnownDevice:
    """A device. `ends` are where it is met; `resolver`: it answers DNS; `router`: it stands before other devices.

    `model`, `serial_number`, `firmware` and `name` are what it last said of itself; `told`: it was told of as a camera,
    so that a change of that is news too; `watched`: somebody named it as one to watch. Whoever hangs on `news` hears of
    every change by finding the device in it.
    """

    __slots__ = (
        "device", "ends", "firmware", "hardware", "identity", "model", "name", "news", "opinions", "resolver", "router",
        "said", "serial_number", "signs", "told", "watched",
    )  # fmt: skip

    def __init__(self, identifier: str, news: "dict[str, KnownDevice]", opinions: Opinions) -> None:
        self.device = Device(id=identifier)
        self.identity = DeviceIdentity(type=UNKNOWN, confidence=0.0)
        self.news, self.opinions = news, opinions
        self.signs: dict[str, Sign] = {}
        self.ends: list[End] = []
        self.hardware: tuple[str, ...] = ()
        self.said: tuple[str, ...] = ()
        self.resolver = self.router = self.told = self.watched = False
        self.model: str | None = None
        self.serial_number: str | None = None
        self.firmware: str | None = None
        self.name: str | None = None

    @property
    def is_camera(self) -> bool:
        """Whether the device is taken for a camera or one of its kin."""
        return self.identity.type in CAMERA_KINDS

    def add(self, sign: Sign) -> None:
        """Weigh a new sign; the same sign counts once."""
        if sign.text in self.signs or len(self.signs) >= MAX_EVIDENCE or self.router:
            return
        alike = [each for each in self.signs.values() if each.sort == sign.sort and each.maker == sign.maker]
        if len(alike) >= MAX_OF_A_SORT:
            weakest = min(alike, key=lambda each: each.weight + each.sure)
            if weakest.weight + weakest.sure >= sign.weight + sign.sure:
                return
            del self.signs[weakest.text]
        self.signs[sign.text] = sign
        self.model = self.model or sign.model
        self.judge()

    def add_over(self, weaker: str, sign: Sign) -> None:
        """Weigh a new sign, which says all that another (by its text) says, and more."""
        if sign.text not in self.signs:
            self.signs.pop(weaker, None)
            self.add(sign)

    def tell(self, said: Announced, named: bool = False) -> None:
        """The device said what it is; what it does not say again still holds, and what it says otherwise is noted.
        `named`: it said its own name, and not only that of a service."""
        for word, before, now in (("model", self.model, said.model),
                                  ("serial number", self.serial_number, said.serial_number)):  # fmt: skip
            text = f"has said {word} {before} and {now}"
            if before and now and before != now and text not in self.said:
                self.said = (*self.said, text)[-MAX_CONTRADICTIONS:]
        told = (
            said.model or self.model, said.serial_number or self.serial_number, said.firmware or self.firmware,
            said.name if named and said.name else self.name or said.name,
        )  # fmt: skip
        if told != (self.model, self.serial_number, self.firmware, self.name):
            self.model, self.serial_number, self.firmware, self.name = told
            self.judge()

    def serve_names(self) -> None:
        """The device answers DNS: what it asks for, it asks for others."""
        if self.resolver:
            return
        self.resolver = True
        asked = [text for text, sign in self.signs.items() if sign.sort == CALLED and text.startswith(ASKED)]
        for text in asked:
            del self.signs[text]
        if asked:
            self.judge()

    def give_to(self, other: "KnownDevice") -> None:
        """The other is this device, and takes what was learned of it."""
        for sign in self.signs.values():
            other.add(sign)
        said = Announced(model=self.model, serial_number=self.serial_number, firmware=self.firmware, name=self.name)
        other.tell(said)
        self.news.pop(self.device.id, None)

    def route(self) -> None:
        """The device stands before others: what was seen of it may be theirs."""
        self.signs, self.router = {ROUTER.text: ROUTER}, True
        self.model = self.serial_number = self.firmware = self.name = None
        self.said = ()
        self.judge()

    def judge(self) -> None:
        """Weigh all signs anew."""
        opinion = self.opinions.of(self.signs.values())
        # New structs: observations that were already made keep what was known when they were made.
        self.identity = DeviceIdentity(
            type=opinion.kind,
            confidence=opinion.confidence,
            evidence=opinion.evidence or None,
            against=opinion.against or None,
            contradictions=[*opinion.contradictions, *self.said][:MAX_CONTRADICTIONS] or None,
            firmware=self.firmware,
            name=self.name,
            maker=opinion.maker,
            maker_confidence=opinion.maker_confidence or None,
            brand=opinion.brand,
            oem=opinion.oem,
        )
        self.device = Device(
            id=self.device.id,
            manufacturer=opinion.maker if self.is_camera else None,
            model=Model(name=self.model) if self.model else None,
            serial_number=self.serial_number,
        )
        self.news[self.device.id] = self
