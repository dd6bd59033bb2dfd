"""`HttpsWebhookClient` over real local sockets, with injected name resolution."""

import datetime
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import openai
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from afterthought.adapters.webhook_client import HttpsWebhookClient, Resolve, resolve
from afterthought.domain.errors import DeliveryFailed
from afterthought.domain.webhooks import signature

BODY = b'{"id":"evt_1","object":"event","created_at":1,"type":"response.completed","data":{"id":"resp_1"}}'
HEADERS = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NAME = "hooks.example.com"

Answer = Callable[[socket.socket], None]


class Endpoint:
    """A listening socket on 127.0.0.1 that records its requests."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self.connections = 0
        self.stopping = threading.Event()


@contextmanager
def listening(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """An endpoint that reads one request per connection and responds with these bytes, or as `answer` does."""
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = Endpoint(listener)

    def serve() -> None:
        while True:
            try:
                raw_socket, _ = listener.accept()
            except OSError:
                return
            endpoint.connections += 1
            with raw_socket, suppress(OSError):
                stream = tls.wrap_socket(raw_socket, server_side=True) if tls else raw_socket
                with stream:
                    endpoint.requests.append(read_request(stream))
                    if callable(answer):
                        answer(stream)
                    else:
                        stream.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.stopping.set()
        # close() alone does not unblock accept().
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        assert not thread.is_alive()


def read_request(stream: socket.socket) -> bytes:
    stream.settimeout(5)
    data = b""
    while b"\r\n\r\n" not in data:
        data += receive(stream)
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += receive(stream)
    return head + b"\r\n\r\n" + body


def receive(stream: socket.socket) -> bytes:
    data = stream.recv(65536)
    if not data:
        raise ConnectionError("the client closed the connection")
    return data


def make_client(
    *allowed: str, resolver: Resolve = resolve, tls: ssl.SSLContext | None = None, total_seconds: float = 5.0
) -> HttpsWebhookClient:
    """Trusts no certificate authority unless `tls` is set: loading the system's takes longer than a test."""
    no_authorities = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return HttpsWebhookClient(frozenset(allowed), resolver, tls=tls or no_authorities, total_seconds=total_seconds)


def resolving_to(*addresses: str) -> Resolve:
    return lambda *_: list(addresses)


def post(endpoint: Endpoint, path: str = "/hook", total_seconds: float = 5.0) -> int:
    return make_client(endpoint.origin, total_seconds=total_seconds).post(endpoint.origin + path, BODY, HEADERS)


def test_request_is_complete() -> None:
    with listening(OK) as endpoint:
        assert post(endpoint, "/hook/a%20b?token=t") == 200
    [request] = endpoint.requests
    head, _, body = request.partition(b"\r\n\r\n")
    lines = [line.lower() for line in head.split(b"\r\n")]
    assert lines[0] == b"post /hook/a%20b?token=t http/1.1"
    assert f"host: 127.0.0.1:{endpoint.port}".encode() in lines
    assert b"content-type: application/json" in lines
    assert b"webhook-id: msg_1" in lines
    assert body == BODY


@pytest.mark.parametrize("status", [201, 202, 204])
def test_any_2xx_succeeds(status: int) -> None:
    with listening(f"HTTP/1.1 {status} Fine\r\ncontent-length: 0\r\n\r\n".encode()) as endpoint:
        assert post(endpoint) == status


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 429, 500, 503])
def test_other_status_fails(status: int) -> None:
    answer = f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode()
    with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
        post(endpoint)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirect_is_not_followed(status: int) -> None:
    with listening(OK) as internal:
        answer = f"HTTP/1.1 {status} Moved\r\nlocation: {internal.origin}/secret\r\ncontent-length: 0\r\n\r\n".encode()
        with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
            post(endpoint)
    assert caught.value.status == status
    assert internal.connections == 0


def test_refused_connection_has_no_status() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as closed:
        origin = f"http://127.0.0.1:{closed.getsockname()[1]}"
    with pytest.raises(DeliveryFailed) as caught:
        make_client(origin).post(origin, BODY, HEADERS)
    assert caught.value.status is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n", b"garbage\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\xff" * 40_000],
    ids=["no bytes", "an empty line", "garbage", "no number", "ssh", "binary"],
)
def test_invalid_http_fails(answer: bytes) -> None:
    with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
        post(endpoint)
    assert caught.value.status is None


@pytest.mark.parametrize(
    "chunk", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n", b""], ids=["one byte at a time", "endless 100", "silence"]
)
def test_slow_endpoint_is_cut_off(chunk: bytes) -> None:
    """The limit is for the whole exchange: the endpoint sends `chunk` again and again."""

    def stall(stream: socket.socket) -> None:
        while not endpoint.stopping.wait(0.02):
            stream.sendall(chunk)

    with listening(stall) as endpoint, pytest.raises(DeliveryFailed):
        post(endpoint, total_seconds=0.2)


def test_endless_response_body_is_not_read() -> None:
    sent_bytes = 0

    def send_endlessly(stream: socket.socket) -> None:
        nonlocal sent_bytes
        stream.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        with suppress(OSError):
            while sent_bytes < 100_000_000:
                stream.sendall(b"x" * 65536)
                sent_bytes += 65536

    with listening(send_endlessly) as endpoint:
        assert post(endpoint) == 200
    # Not more than the kernel's buffers.
    assert sent_bytes < 50_000_000


def test_truncated_response_body_still_succeeds() -> None:
    with listening(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf") as endpoint:
        assert post(endpoint) == 200


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.1",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104  it is an address to refuse
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "2001:db8::1",
        "not an address",
    ],
)
def test_non_public_address_is_not_called(address: str) -> None:
    with listening(OK) as endpoint, pytest.raises(DeliveryFailed, match="not public"):
        make_client(resolver=resolving_to(address)).post(f"https://{NAME}:{endpoint.port}/", BODY, HEADERS)
    assert endpoint.connections == 0


def test_one_private_address_refuses_all() -> None:
    with pytest.raises(DeliveryFailed, match="not public"):
        make_client(resolver=resolving_to("93.184.215.14", "10.0.0.1")).post(f"https://{NAME}/", BODY, HEADERS)


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
def test_unresolvable_name_fails(error: Exception) -> None:
    def fail(*_: object) -> list[str]:
        raise error

    with pytest.raises(DeliveryFailed, match="resolved"):
        make_client(resolver=fail).post(f"https://{NAME}/", BODY, HEADERS)


def test_name_without_address_fails() -> None:
    with pytest.raises(DeliveryFailed, match="no address"):
        make_client(resolver=resolving_to()).post(f"https://{NAME}/", BODY, HEADERS)


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example.com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f.0.0.1/",
        "https://[::1]/",
        "https://localhost/",
        "https://metadata/",
        "https://user:password@hooks.example.com/",
        "https://hooks.example.com:0/",
        "https://hooks.example.com:99999/",
        "file:///etc/passwd",
        "https://hooks.example.com/\r\nx: y",
        "https://hööks.example.com/",
        "https://",
        "https://[",
        "",
    ],
)
def test_invalid_url_is_refused_at_each_call(url: str) -> None:
    """A URL may have been stored under older rules."""
    resolved: list[str] = []

    def resolver(host: str, _: int) -> list[str]:
        resolved.append(host)
        return ["93.184.215.14"]

    with pytest.raises(DeliveryFailed) as caught:
        make_client(resolver=resolver).post(url, BODY, HEADERS)
    assert caught.value.status is None
    assert resolved == []


def test_name_is_resolved_once() -> None:
    """DNS rebinding: otherwise the check would see a public address and the call a private one."""
    addresses = iter([["127.0.0.1"], ["127.0.0.2"]])
    with listening(OK) as endpoint:
        url = f"http://{NAME}:{endpoint.port}"
        assert make_client(url, resolver=lambda *_: next(addresses)).post(url, BODY, HEADERS) == 200
    assert f"host: {NAME}:{endpoint.port}".encode() in endpoint.requests[0].lower()
    assert next(addresses) == ["127.0.0.2"]


def test_second_address_is_tried() -> None:
    with listening(OK) as endpoint:
        url = f"http://{NAME}:{endpoint.port}"
        assert make_client(url, resolver=resolving_to("127.0.0.9", "127.0.0.1")).post(url, BODY, HEADERS) == 200


def test_system_resolver() -> None:
    assert "127.0.0.1" in resolve("127.0.0.1", 80)


def certificate(name: str, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts with a self-signed certificate for `name`: the server's, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.2"))]), False
        )
        .sign(key, hashes.SHA256())
    )
    file = directory / "certificate.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


def test_certificate_must_match_the_name(tmp_path: Path) -> None:
    server, client_tls = certificate(NAME, tmp_path)
    with listening(OK, server) as endpoint:
        matching, other = (f"https://{name}:{endpoint.port}" for name in (NAME, "other.example.com"))
        client = make_client(matching, other, resolver=resolving_to("127.0.0.1"), tls=client_tls)
        assert client.post(matching, BODY, HEADERS) == 200
        with pytest.raises(DeliveryFailed, match="SSLCertVerificationError"):
            client.post(other, BODY, HEADERS)
    assert len(endpoint.requests) == 1


def test_untrusted_certificate_is_refused(tmp_path: Path) -> None:
    server, _ = certificate(NAME, tmp_path)
    with listening(OK, server) as endpoint:
        url = f"https://{NAME}:{endpoint.port}"
        with pytest.raises(DeliveryFailed, match="SSLCertVerificationError"):
            # As deployed, with the system's certificate authorities.
            HttpsWebhookClient(frozenset({url}), resolving_to("127.0.0.1")).post(url, BODY, HEADERS)
    assert endpoint.requests == []


def test_hanging_handshake_is_cut_off(tmp_path: Path) -> None:
    with listening(OK) as endpoint:
        url = f"https://{NAME}:{endpoint.port}"
        _, client_tls = certificate(NAME, tmp_path)
        client = make_client(url, resolver=resolving_to("127.0.0.1"), tls=client_tls, total_seconds=0.2)
        with pytest.raises(DeliveryFailed):
            client.post(url, BODY, HEADERS)


def test_no_thread_is_left() -> None:
    before = threading.active_count()
    with listening(OK) as endpoint:
        post(endpoint)
        assert threading.active_count() == before + 1


def test_openai_sdk_accepts_the_request() -> None:
    secrets = (signature.new_secret(bytes(range(32))), signature.new_secret(bytes(range(32, 64))))
    now = int(time.time())
    with listening(OK) as endpoint:
        headers = signature.headers(secrets, message_id="msg_1", timestamp=now, body=BODY)
        make_client(endpoint.origin).post(endpoint.origin, BODY, headers)
    head, _, body = endpoint.requests[0].partition(b"\r\n\r\n")
    received = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    for secret in secrets:
        with openai.OpenAI(api_key="unused") as client:
            event = client.webhooks.unwrap(body.decode(), received, secret=secret)
        assert (event.type, getattr(event.data, "id", None)) == ("response.completed", "resp_1")
    with openai.OpenAI(api_key="unused") as client, pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.decode(), received, secret=signature.new_secret(bytes(32)))
