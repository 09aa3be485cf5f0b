"""The vocabulary: what a collector says, in Elastic Common Schema (ECS 8) names.

One document from the dissector to the SIEM: a line of JSON, a value on Kafka, the fields of a Sigma rule.
`source` is the side that began the flow. Times are the packet's. What ECS has no word for stands under
`lenswatch`. Absent fields are left out of the JSON. A reader ignores fields it does not know.
"""

import datetime
from typing import Annotated

import msgspec

Moment = Annotated[datetime.datetime, msgspec.Meta(tz=True)]
"""A time with its zone; one without could not be compared with the others."""

DATASET_PREFIX = "lenswatch."
CAMERA_KINDS = ("camera", "recorder", "doorbell", "intercom", "access_control", "encoder")
"""The `lenswatch.device.type` of a camera and its kin."""
DEVICE_DATASET = DATASET_PREFIX + "device"
"""What is known of a device itself: `event.action` is identified when something of it is new, seen when it is there."""

FLOW_DATASET = DATASET_PREFIX + "flow"

BEGINNINGS = {DATASET_PREFIX + "dhcp": "DISCOVER", DATASET_PREFIX + "wsd": "Hello"}
"""Dataset → `event.action` of what a device says when it begins anew (RFC 2131 4.4.1; WS-Discovery 1.1, 4.1): it may
have been updated."""

FILE_DATASET = DATASET_PREFIX + "file"
"""A body that may be firmware has passed whole: `event.action` is download (the server sent it) or upload."""

CERTIFICATE_DATASET, FAVICON_DATASET = DATASET_PREFIX + "certificate", DATASET_PREFIX + "favicon"
"""What a web server in our networks has shown: its certificate (before TLS 1.3), or the icon of its pages."""

PUSH_DATASET, FIRMWARE_PUSH = DATASET_PREFIX + "push", "firmware_push"
"""Dataset and `event.action` of what gives a device firmware from inside our networks; `device` is who gets it."""


class Fields(msgspec.Struct, omit_defaults=True, kw_only=True, gc=False):
    """A set of ECS fields. Documents are trees, so that the cycle collector need not look at them."""


class Event(Fields):
    """`event.*`: `kind` is "event"; `dataset` is "lenswatch.<protocol>"; `id` is the same for the same packet bytes.
    `action` is what a message does, in its protocol's own word (DISCOVER, ProbeMatches, notify)."""

    kind: str
    dataset: str
    id: str
    action: str | None = None


class Interface(Fields):
    """`observer.ingress.interface.*`: the sensor's interface; `alias` is the mirror or tunnel behind it, by its
    kind and the address that sends it ("vxlan 198.51.100.7"), `id` that tunnel's VNI, key or session."""

    name: str | None = None
    alias: str | None = None
    id: str | None = None


class Ingress(Fields):
    """`observer.ingress.*`: where the packet came in."""

    interface: Interface | None = None


class Observer(Fields):
    """`observer.*`: the sensor."""

    name: str
    ingress: Ingress | None = None


class AutonomousSystemOrganization(Fields):
    """`as.organization.*`."""

    name: str


class AutonomousSystem(Fields):
    """`as.*`: who announces an address."""

    number: int
    organization: AutonomousSystemOrganization | None = None


class Geo(Fields):
    """`geo.*`: ISO 3166-1 alpha-2."""

    country_iso_code: str


class Endpoint(Fields, rename={"as_": "as"}):
    """`source.*` and `destination.*`. `bytes` are IP bytes that this side sent, `packets` their number."""

    ip: str
    port: int | None = None
    mac: str | None = None
    domain: str | None = None
    bytes: int | None = None
    packets: int | None = None
    as_: AutonomousSystem | None = None
    geo: Geo | None = None


class Vlan(Fields):
    """`network.vlan.*`: the outermost 802.1Q tag."""

    id: str


class Network(Fields):
    """`network.*`. `community_id` is version 1, seed 0. `direction` is inbound, outbound, internal or external."""

    transport: str
    type: str
    community_id: str
    protocol: str | None = None
    direction: str | None = None
    vlan: Vlan | None = None


class DnsQuestion(Fields):
    """`dns.question.*`. `name` is as sent, without the last dot; unprintable bytes are \\ddd (RFC 1035 5.1)."""

    name: str
    type: str


class DnsAnswer(Fields):
    """`dns.answers.*`: one resource record of the answer section."""

    name: str
    type: str
    data: str
    ttl: int | None = None


class Dns(Fields):
    """`dns.*`: one message. `type` is query or answer."""

    type: str
    id: str | None = None
    question: DnsQuestion | None = None
    response_code: str | None = None
    answers: list[DnsAnswer] | None = None
    resolved_ip: list[str] | None = None


class TlsClient(Fields):
    """`tls.client.*`: what the ClientHello says. `ja3` is the MD5, `ja4` the FoxIO fingerprint."""

    server_name: str | None = None
    ja3: str | None = None
    ja4: str | None = None


class X509Name(Fields):
    """`tls.server.x509.subject.*` and `.issuer.*`: parts of a distinguished name."""

    common_name: list[str] | None = None
    organization: list[str] | None = None
    organizational_unit: list[str] | None = None


class X509(Fields):
    """`tls.server.x509.*`: `alternative_names` are names and addresses, `serial_number` is upper-case hexadecimal."""

    subject: X509Name
    issuer: X509Name
    not_before: Moment
    not_after: Moment
    serial_number: str
    alternative_names: list[str] | None = None


class TlsHash(Fields):
    """`tls.server.hash.*`: of the certificate; in upper case, as ECS has it here."""

    sha256: str


class TlsServer(Fields):
    """`tls.server.*`: the certificate that a server shows, its own and none of those behind it. `subject` and `issuer`
    are distinguished names, always in the order CN, OU, O, L, ST, C, others."""

    subject: str
    issuer: str
    not_before: Moment
    not_after: Moment
    hash: TlsHash
    x509: X509


class Tls(Fields):
    """`tls.*`. `version` is the highest version that the client offers ("1.3"), `next_protocol` its first ALPN."""

    version: str | None = None
    next_protocol: str | None = None
    client: TlsClient | None = None
    server: TlsServer | None = None


class Url(Fields):
    """`url.*` of an HTTP request. `original` is the request target as sent; `domain` is the host, without port."""

    original: str
    domain: str | None = None
    port: int | None = None
    path: str | None = None
    query: str | None = None


class HttpBody(Fields):
    """`http.*.body.*`: `bytes` is the announced length."""

    bytes: int


class HttpRequest(Fields):
    """`http.request.*`."""

    method: str
    body: HttpBody | None = None


class HttpResponse(Fields):
    """`http.response.*`."""

    status_code: int
    mime_type: str | None = None
    body: HttpBody | None = None


class Http(Fields):
    """`http.*`."""

    request: HttpRequest | None = None
    response: HttpResponse | None = None
    version: str | None = None


class UserAgent(Fields):
    """`user_agent.*`."""

    original: str


class FileHash(Fields):
    """`file.hash.*`; `md5` of icons only."""

    sha256: str
    md5: str | None = None


class File(Fields):
    """`file.*`: a body that passed whole. `hash` is over the body as it was sent, its content coding kept; `name` the
    last segment of the path it was asked for by."""

    size: int
    hash: FileHash
    mime_type: str | None = None
    name: str | None = None


class FileFormat(Fields):
    """`lenswatch.file.*`: what a file is by its first bytes (`containers.toml`); of an icon, `mmh3` is the number by
    which scanners know it."""

    container: str | None = None
    mmh3: int | None = None


class Model(Fields):
    """`device.model.*`."""

    name: str


class Device(Fields):
    """`device.*`: the device on our side of the flow. `id` is "<site>/<MAC or address>" and never changes."""

    id: str
    manufacturer: str | None = None
    model: Model | None = None
    serial_number: str | None = None


class DeviceIdentity(Fields):
    """`lenswatch.device.*`: `type` (camera, recorder, doorbell, intercom, access_control, encoder, other, unknown),
    `confidence` in it (0 to 1), the `evidence` for it and `against` it, and `contradictions` in words.

    `maker` is likely with `maker_confidence`; `brand` is the name it is sold under where that is another's, `oem` the
    likely maker behind the brand; `name` what it calls itself. `addresses` and `hardware` (MACs) it was met at stand in
    observations of the dataset lenswatch.device only.
    """

    type: str
    confidence: float
    evidence: list[str] | None = None
    against: list[str] | None = None
    contradictions: list[str] | None = None
    firmware: str | None = None
    name: str | None = None
    maker: str | None = None
    maker_confidence: float | None = None
    brand: str | None = None
    oem: str | None = None
    addresses: list[str] | None = None
    hardware: list[str] | None = None


class TlsOffer(Fields):
    """`lenswatch.tls.*`: all that the ClientHello offers. `ech` when an encrypted ClientHello extension is there."""

    versions: list[str] | None = None
    alpn: list[str] | None = None
    ech: bool | None = None


class Announced(Fields):
    """`lenswatch.announced.*`: what the sender of a message says of itself, or of the one it asks for; nothing of it is
    proven.

    `type` is the kind of device; `name` its host or display name; `software` a Server field, a SOFTWARE attribute or a
    vendor class; `realm` the realm of an authentication; `identifier` a UUID or a cloud's own id; `location` where its
    description or service is; `services` types of service or device; `scopes` ONVIF scopes; `parameters` the options
    that a DHCP client asks for, in its order ("1,3,6").
    """

    type: str | None = None
    name: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial_number: str | None = None
    firmware: str | None = None
    mac: str | None = None
    ip: str | None = None
    software: str | None = None
    realm: str | None = None
    identifier: str | None = None
    location: str | None = None
    services: list[str] | None = None
    scopes: list[str] | None = None
    parameters: str | None = None


class Declared(Fields):
    """`lenswatch.declared.*`: what the organisation's own list says of a device: an `address`, a `network` of such
    devices (CIDR), or a `mac`; the rest in the list's words. `egress` is the name of the policy that it is under."""

    address: str | None = None
    network: str | None = None
    mac: str | None = None
    name: str | None = None
    site: str | None = None
    maker: str | None = None
    model: str | None = None
    owner: str | None = None
    use_class: str | None = None
    group: str | None = None
    egress: str | None = None


class EgressBreach(Fields):
    """`lenswatch.egress.*`: the call is none that the device's `policy` `allows` (none, listed names only, own
    country)."""

    policy: str
    allows: str


class Novelty(Fields):
    """`lenswatch.baseline.*`: what is not as usual for the device. `new` is whom it calls for the first time, from this
    day on ("company dahua", "country CN", "AS 64500", "outside"); `growth` how many times the bytes of a usual day
    (`usual_bytes`) passed on this one."""

    new: list[str] | None = None
    growth: float | None = None
    usual_bytes: int | None = None


class Broken(Fields):
    """`lenswatch.broken.*`: bytes that broke the protocol they had claimed to be."""

    protocol: str
    reason: str


class FlowState(Fields):
    """`lenswatch.flow.*`: `state` (attempt: nobody answered; opened; closed); `duration_seconds`, first to last."""

    state: str
    duration_seconds: float


class Lenswatch(Fields):
    """`lenswatch.*` of an observation. `domain_source` says where `destination.domain` is from:
    tls_sni, http_host, rtsp_url, dns_question or dns_answer (the answer that led this client to this address).
    `pushed_by` is the address that gives a device firmware from inside."""

    device: DeviceIdentity | None = None
    domain_source: str | None = None
    tls: TlsOffer | None = None
    announced: Announced | None = None
    broken: Broken | None = None
    flow: FlowState | None = None
    file: FileFormat | None = None
    declared: Declared | None = None
    egress: EgressBreach | None = None
    baseline: Novelty | None = None
    pushed_by: str | None = None
    site: str | None = None


class Observation(Fields, rename={"timestamp": "@timestamp"}):
    """One thing seen on the wire."""

    timestamp: Moment
    event: Event
    observer: Observer
    source: Endpoint
    destination: Endpoint
    network: Network
    device: Device | None = None
    dns: Dns | None = None
    tls: Tls | None = None
    url: Url | None = None
    http: Http | None = None
    user_agent: UserAgent | None = None
    file: File | None = None
    lenswatch: Lenswatch | None = None
