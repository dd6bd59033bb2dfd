"""Which URLs are taken, and which addresses are called."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from afterthought.domain.webhooks.endpoint import check_url, is_public
from afterthought.domain.errors import InvalidRequest

NOTHING: frozenset[str] = frozenset()
LOCAL = frozenset({"http://127.0.0.1:9001"})

NOT_PUBLIC = {
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "fc00::1", "fdff::1"],
    "metadata": ["169.254.169.254", "169.254.170.2", "fd00:ec2::254"],
    "link-local": ["169.254.0.1", "fe80::1"],
    "with a zone": ["fe80::1%eth0", "2001:4860:4860::8888%1"],
    "site-local": ["fec0::1", "feff::1"],
    "shared": ["100.64.0.1", "100.127.255.255"],
    "unspecified": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104 nothing listens
    "broadcast": ["255.255.255.255"],
    "reserved": ["240.0.0.1", "4000::1", "100::1"],
    "multicast": ["224.0.0.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "for documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"],
    "for benchmarks": ["198.18.0.1"],
    "mapped": ["::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:8.8.8.8"],
    "compatible": ["::127.0.0.1", "::8.8.8.8"],
    "translated": ["::ffff:0:127.0.0.1"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b::808:808"],
    "local NAT64": ["64:ff9b:1::7f00:1", "64:ff9b:1:ffff::a9fe:a9fe"],
    "6to4": ["2002:7f00:1::1", "2002:a9fe:a9fe::", "2002:808:808::1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "no address": ["", "localhost", "8.8.8", "0x7f000001", "2130706433", "127.1", "8.8.8.8/32", "8.8.8.8:80", "[::1]"],
}


@pytest.mark.parametrize(
    "address", [pytest.param(address, id=f"{kind}: {address}") for kind, all_ in NOT_PUBLIC.items() for address in all_]
)
def test_an_address_that_is_not_of_the_public_internet_is_not_called(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "1.1.1.1", "93.184.215.14", "172.32.0.1", "100.128.0.1", "2606:4700::1111"]
)
def test_a_public_address_is_called(address: str) -> None:
    assert is_public(address)


@given(st.ip_addresses(v=4))
def test_no_ipv6_form_of_an_ipv4_address_is_a_way_around(address: ipaddress.IPv4Address) -> None:
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
def test_what_the_library_calls_private_is_never_public(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
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
def test_a_public_https_url_is_taken(url: str) -> None:
    assert check_url(url, allowed_origins=NOTHING).hostname


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
def test_a_hostile_url_is_refused_by_name(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_url(url, allowed_origins=NOTHING)
    assert refused.value.param == "afterthought.webhook_url"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9001", "http://127.0.0.1:9001/done?x=1"])
def test_a_local_stacks_own_receiver_is_taken(url: str) -> None:
    assert check_url(url, allowed_origins=LOCAL).port == 9001


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
def test_an_allowed_origin_allows_itself_alone(url: str) -> None:
    with pytest.raises(InvalidRequest):
        check_url(url, allowed_origins=LOCAL)


@given(st.text(max_size=60))
def test_any_text_is_taken_or_refused(text: str) -> None:
    for url in (text, f"https://{text}", f"https://example.com{text}"):
        try:
            taken = check_url(url, allowed_origins=NOTHING)
        except InvalidRequest:
            continue
        assert taken.scheme == "https"
        assert taken.hostname
