"""Which webhook URLs are accepted, and which addresses are called."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.errors import InvalidRequest
from afterthought.domain.webhooks.endpoint import check_url, is_public

NO_ORIGINS: frozenset[str] = frozenset()
LOCAL_ORIGIN = frozenset({"http://127.0.0.1:9001"})

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "metadata": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254"],
    "link-local": ["169.254.0.1", "fe80::1"],
    "with a zone": ["fe80::1%eth0", "2001:4860:4860::8888%1"],
    "site-local": ["fec0::1", "feff::1"],
    "carrier-grade NAT": ["100.64.0.1", "100.127.255.255"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 nothing listens
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "4000::1", "100::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "benchmarks": ["198.18.0.1"],
    "IPv4-mapped": ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"],
    "IPv4-compatible": ["::127.0.0.1", "::8.8.8.8"],
    "IPv4-translated": ["::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808"],
    "local NAT64": ["64:ff9b:1::7f00:1", "64:ff9b:1:ffff::a9fe:a9fe"],
    "6to4": ["2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "not an address": [
        "",
        "localhost",
        "8.8.8",
        "0x7f000001",
        "2130706433",
        "127.1",
        "8.8.8.8/32",
        "8.8.8.8:80",
        "[::1]",
    ],
}


@pytest.mark.parametrize(
    "address", [pytest.param(address, id=f"{kind}: {address}") for kind, all_ in NOT_PUBLIC.items() for address in all_]
)
def test_non_public_address_is_refused(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111"]
)
def test_public_address_is_accepted(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_ipv6_forms_of_ipv4_are_refused(address: ipaddress.IPv4Address) -> None:
    number = int(address)
    forms = [
        (0xFFFF << 32) | number,
        number,
        (0xFFFF << 48) | number,
        (0x64FF9B << 96) | number,
        (0x64FF9B0001 << 80) | number,
        (0x2002 << 112) | (number << 80),
    ]
    assert not [each for form in forms if is_public(each := str(ipaddress.IPv6Address(form)))]


@given(st.ip_addresses())
def test_private_address_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    if address.is_private or address.is_loopback or address.is_link_local or address.is_multicast:
        assert not is_public(str(address))


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com",
        "https://example.com/",
        "https://hooks.example.com:8443/a/b?c=d",
        "https://example.com./x",
        "https://xn--bcher-kva.example/",
        "HTTPS://EXAMPLE.COM/x",
    ],
)
def test_public_https_url_is_accepted(url: str) -> None:
    assert check_url(url, allowed_origins=NO_ORIGINS).hostname


HOSTILE = [
    "",
    "example.com",
    "//example.com",
    "https://",
    "https:///x",
    "http://example.com/",
    "ftp://example.com/",
    "file:///etc/passwd",
    "gopher://example.com/",
    "javascript:alert(1)",
    "https://user@example.com/",
    "https://user:password@example.com/",
    "https://:@example.com/",
    "https://@example.com/",
    "https://example.com@127.0.0.1/",
    "https://127.0.0.1/",
    "https://127.1/",
    "https://127.0.0.1./",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://127.0x0.0.1/",
    "https://127.0.0.0x1/",
    "https://0177.0.0.1/",
    "https://%31%32%37.0.0.1/",
    "https://[::1]/",
    "https://[::ffff:127.0.0.1]/",
    "https://[fe80::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://8.8.8.8/",
    "https://localhost/",
    "https://localhost./",
    "https://intranet/",
    "https://./",
    "https://../",
    "https://example.com:0/",
    "https://example.com:65536/",
    "https://example.com:x/",
    "https://example.com:-1/",
    "https://example.com\\@127.0.0.1/",
    "https://exam ple.com/",
    " https://example.com/",
    "https://example.com/ x",
    "https://example.com/\r\nx-injected: 1",
    "https://exa\tmple.com/",
    "https://example.com\x00.evil.com/",
    "https://exämple.com/",
    "https://①②⑦.⓪.⓪.①/",
    "https://example。com/",
    "https://[example.com/",
    "http://127.0.0.1:9001/",
]


@pytest.mark.parametrize("url", HOSTILE)
def test_hostile_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_url(url, allowed_origins=NO_ORIGINS)
    assert caught.value.param == "afterthought.webhook_url"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9001", "http://127.0.0.1:9001/done?x=1"])
def test_allowed_origin_is_accepted(url: str) -> None:
    assert check_url(url, allowed_origins=LOCAL_ORIGIN).port == 9001


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:9002/",
        "http://127.0.0.1/",
        "http://127.0.0.2:9001/",
        "http://localhost:9001/",
        "https://127.0.0.1:9001/",
        "http://127.0.0.1:9001@example.com/",
        "http://127.0.0.1:9001.example.com/",
    ],
)
def test_other_origin_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, allowed_origins=LOCAL_ORIGIN)


@given(st.text(max_size=60))
def test_any_text_is_accepted_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            checked = check_url(url, allowed_origins=NO_ORIGINS)
        except InvalidRequest:
            continue
        assert checked.scheme == "https"
        assert checked.hostname
