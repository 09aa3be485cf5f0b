"""What a device's own web server shows of it: the paths that it has, its certificate, the icon of its pages."""

from collector.certificate import read_certificate
from collector.dissectors.dissector import Fact
from collector.identify.banners import Banners
from collector.identify.known import KnownDevice
from collector.observation import Tls


def note_path(banners: Banners, server: KnownDevice, fact: Fact) -> None:
    """Whom somebody asks for a maker's path may have it; who answers as one that has it, has it."""
    url = fact.answered or fact.url
    if url is None:
        return
    for asked, has in banners.of_path(fact.dataset, url):
        if fact.answered is not None:
            server.add_over(asked.text, has)
        elif has.text not in server.signs:
            server.add(asked)


def note_shown(banners: Banners, server: KnownDevice, fact: Fact) -> bool:
    """A certificate, or an icon; whether it could be read. Of a certificate, the fact has `tls` from now on."""
    if fact.certificate is not None:
        shown = read_certificate(fact.certificate)
        if shown is None:
            return False
        fact.tls = Tls(server=shown)
        signs = banners.of_certificate(shown)
    elif fact.file is not None and fact.format is not None:
        signs = banners.of_icon(fact.file.hash, fact.format.mmh3)
    else:
        return False
    for sign in signs:
        server.add(sign)
    return True
