"""What the webhook sender promises: real sockets on this machine, and names that lead where a test says."""

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

from afterthought.adapters.webhook_client import Resolve, WebhookReceiver, resolve
from afterthought.domain.webhooks import signature
from afterthought.domain.errors import DeliveryFailed

BODY = b'{"id":"evt_1","object":"event","created_at":1,"type":"response.completed","data":{"id":"resp_1"}}'
HEADERS = {"webhook-id": "msg_1", "webhook-timestamp": "1", "webhook-signature": "v1,x"}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
NAME = "hooks.example.com"

Answer = Callable[[socket.socket], None]


class Endpoint:
    """One listening socket on 127.0.0.1, and what came in on it."""

    def __init__(self, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.origin = f"http://127.0.0.1:{self.port}"
        self.requests: list[bytes] = []
        self.connections = 0
        self.over = threading.Event()


@contextmanager
def listening(answer: bytes | Answer, tls: ssl.SSLContext | None = None) -> Iterator[Endpoint]:
    """An endpoint that takes one request a connection and answers with these bytes, or as `answer` does."""
    listener = socket.create_server(("127.0.0.1", 0))
    endpoint = Endpoint(listener)

    def serve() -> None:
        while True:
            try:
                connected, _ = listener.accept()
            except OSError:
                return
            endpoint.connections += 1
            with connected, suppress(OSError):
                line = tls.wrap_socket(connected, server_side=True) if tls else connected
                with line:
                    endpoint.requests.append(read_request(line))
                    if callable(answer):
                        answer(line)
                    else:
                        line.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield endpoint
    finally:
        endpoint.over.set()
        # Closing alone would not wake the thread from its accept.
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)
        assert not thread.is_alive()


def read_request(line: socket.socket) -> bytes:
    line.settimeout(5)
    received = b""
    while b"\r\n\r\n" not in received:
        received += more(line)
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(int(row.split(b":")[1]) for row in head.split(b"\r\n") if row.lower().startswith(b"content-length"))
    while len(body) < length:
        body += more(line)
    return head + b"\r\n\r\n" + body


def more(line: socket.socket) -> bytes:
    received = line.recv(65536)
    if not received:
        raise ConnectionError("the sender went away")
    return received


def receiver(
    *allowed: str, resolver: Resolve = resolve, tls: ssl.SSLContext | None = None, whole_seconds: float = 5.0
) -> WebhookReceiver:
    """Reading the system's authorities takes longer than a whole test: most trust nobody instead."""
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return WebhookReceiver(frozenset(allowed), resolver, tls=tls or nobody, whole_seconds=whole_seconds)


def leading_to(*addresses: str) -> Resolve:
    return lambda *_: list(addresses)


def post(endpoint: Endpoint, path: str = "/hook", whole_seconds: float = 5.0) -> int:
    sender = receiver(endpoint.origin, whole_seconds=whole_seconds)
    return sender.post(endpoint.origin + path, BODY, HEADERS)


def test_a_2xx_is_a_success_and_the_request_arrives_whole() -> None:
    with listening(OK) as endpoint:
        assert post(endpoint, "/hook/a%20b?token=t") == 200
    [request] = endpoint.requests
    head, _, body = request.partition(b"\r\n\r\n")
    rows = [row.lower() for row in head.split(b"\r\n")]
    assert rows[0] == b"post /hook/a%20b?token=t http/1.1"
    assert f"host: 127.0.0.1:{endpoint.port}".encode() in rows
    assert b"content-type: application/json" in rows
    assert b"webhook-id: msg_1" in rows
    assert body == BODY


@pytest.mark.parametrize("status", [201, 202, 204])
def test_every_2xx_is_a_success(status: int) -> None:
    with listening(f"HTTP/1.1 {status} Fine\r\ncontent-length: 0\r\n\r\n".encode()) as endpoint:
        assert post(endpoint) == status


@pytest.mark.parametrize("status", [300, 304, 400, 401, 404, 410, 429, 500, 503])
def test_nothing_but_a_2xx_is_a_success(status: int) -> None:
    answer = f"HTTP/1.1 {status} No\r\ncontent-length: 0\r\n\r\n".encode()
    with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
        post(endpoint)
    assert caught.value.status == status


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(status: int) -> None:
    with listening(OK) as inside:
        answer = f"HTTP/1.1 {status} Moved\r\nlocation: {inside.origin}/secret\r\ncontent-length: 0\r\n\r\n".encode()
        with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
            post(endpoint)
    assert caught.value.status == status
    assert inside.connections == 0


def test_nobody_listening_is_a_failure_without_a_status() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as gone:
        origin = f"http://127.0.0.1:{gone.getsockname()[1]}"
    with pytest.raises(DeliveryFailed) as caught:
        receiver(origin).post(origin, BODY, HEADERS)
    assert caught.value.status is None


@pytest.mark.parametrize(
    "answer",
    [b"", b"\r\n", b"garbage\r\n\r\n", b"HTTP/1.1 abc OK\r\n\r\n", b"SSH-2.0-OpenSSH_9.6\r\n", b"\x00\xff" * 40_000],
    ids=["nothing", "an empty line", "garbage", "no number", "ssh", "binary"],
)
def test_what_is_not_http_is_a_failure(answer: bytes) -> None:
    with listening(answer) as endpoint, pytest.raises(DeliveryFailed) as caught:
        post(endpoint)
    assert caught.value.status is None


def test_a_receiver_that_drips_is_cut_when_the_time_for_all_is_over() -> None:
    def drip(line: socket.socket) -> None:
        while not endpoint.over.wait(0.02):
            line.sendall(b"H")

    with listening(drip) as endpoint, pytest.raises(DeliveryFailed):
        post(endpoint, whole_seconds=0.2)


def test_a_receiver_that_says_continue_for_ever_is_cut_too() -> None:
    def stall(line: socket.socket) -> None:
        while not endpoint.over.wait(0.02):
            line.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")

    with listening(stall) as endpoint, pytest.raises(DeliveryFailed):
        post(endpoint, whole_seconds=0.2)


def test_a_silent_receiver_is_cut() -> None:
    def wait(_: socket.socket) -> None:
        endpoint.over.wait(5)

    with listening(wait) as endpoint, pytest.raises(DeliveryFailed):
        post(endpoint, whole_seconds=0.2)


def test_an_endless_answer_is_not_read_to_its_end() -> None:
    sent = 0

    def pour(line: socket.socket) -> None:
        nonlocal sent
        line.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100000000\r\n\r\n")
        with suppress(OSError):
            while sent < 100_000_000:
                line.sendall(b"x" * 65536)
                sent += 65536

    with listening(pour) as endpoint:
        assert post(endpoint) == 200
    # What the kernel's buffers take, and no more.
    assert sent < 50_000_000


def test_an_accepted_webhook_stays_accepted_whatever_becomes_of_the_answer_body() -> None:
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
def test_a_name_that_leads_inside_is_not_called(address: str) -> None:
    with listening(OK) as endpoint, pytest.raises(DeliveryFailed, match="not public"):
        receiver(resolver=leading_to(address)).post(f"https://{NAME}:{endpoint.port}/", BODY, HEADERS)
    assert endpoint.connections == 0


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    with pytest.raises(DeliveryFailed, match="not public"):
        receiver(resolver=leading_to("93.184.215.14", "10.0.0.1")).post(f"https://{NAME}/", BODY, HEADERS)


@pytest.mark.parametrize("wrong", [OSError("no such name"), UnicodeError("label too long")])
def test_a_name_that_cannot_be_resolved_is_a_failure(wrong: Exception) -> None:
    def fail(*_: object) -> list[str]:
        raise wrong

    with pytest.raises(DeliveryFailed, match="resolved"):
        receiver(resolver=fail).post(f"https://{NAME}/", BODY, HEADERS)


def test_a_name_without_an_address_is_a_failure() -> None:
    with pytest.raises(DeliveryFailed, match="no address"):
        receiver(resolver=leading_to()).post(f"https://{NAME}/", BODY, HEADERS)


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
def test_a_url_that_was_stored_under_looser_rules_is_refused_when_it_is_called(url: str) -> None:
    resolved: list[str] = []

    def resolver(host: str, _: int) -> list[str]:
        resolved.append(host)
        return ["93.184.215.14"]

    with pytest.raises(DeliveryFailed) as caught:
        receiver(resolver=resolver).post(url, BODY, HEADERS)
    assert caught.value.status is None
    assert resolved == []


def test_a_name_is_resolved_once_so_that_a_second_answer_changes_nothing() -> None:
    """DNS rebinding: the check would see a public address, the call a private one."""
    answers = iter([["127.0.0.1"], ["127.0.0.2"]])
    with listening(OK) as endpoint:
        url = f"http://{NAME}:{endpoint.port}"
        assert receiver(url, resolver=lambda *_: next(answers)).post(url, BODY, HEADERS) == 200
    assert f"host: {NAME}:{endpoint.port}".encode() in endpoint.requests[0].lower()
    assert next(answers) == ["127.0.0.2"]


def test_the_next_address_is_tried_when_the_first_does_not_answer() -> None:
    with listening(OK) as endpoint:
        url = f"http://{NAME}:{endpoint.port}"
        assert receiver(url, resolver=leading_to("127.0.0.9", "127.0.0.1")).post(url, BODY, HEADERS) == 200


def test_the_machine_s_own_resolver_gives_addresses() -> None:
    assert "127.0.0.1" in resolve("127.0.0.1", 80)


def authority(name: str, directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A self-signed certificate for `name`: the server's side, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = datetime.datetime.now(datetime.UTC)
    certificate = (
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
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cafile=str(file))


def test_the_certificate_is_checked_against_the_name_and_not_the_address(tmp_path: Path) -> None:
    server, trusting = authority(NAME, tmp_path)
    with listening(OK, server) as endpoint:
        right, wrong = (f"https://{name}:{endpoint.port}" for name in (NAME, "other.example.com"))
        sender = receiver(right, wrong, resolver=leading_to("127.0.0.1"), tls=trusting)
        assert sender.post(right, BODY, HEADERS) == 200
        with pytest.raises(DeliveryFailed, match="SSLCertVerificationError"):
            sender.post(wrong, BODY, HEADERS)
    assert len(endpoint.requests) == 1


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    server, _ = authority(NAME, tmp_path)
    with listening(OK, server) as endpoint:
        url = f"https://{NAME}:{endpoint.port}"
        with pytest.raises(DeliveryFailed, match="SSLCertVerificationError"):
            # As in service: with the system's own authorities.
            WebhookReceiver(frozenset({url}), leading_to("127.0.0.1")).post(url, BODY, HEADERS)
    assert endpoint.requests == []


def test_a_handshake_that_hangs_is_cut(tmp_path: Path) -> None:
    with listening(OK) as endpoint:
        url = f"https://{NAME}:{endpoint.port}"
        _, trusting = authority(NAME, tmp_path)
        sender = receiver(url, resolver=leading_to("127.0.0.1"), tls=trusting, whole_seconds=0.2)
        with pytest.raises(DeliveryFailed):
            sender.post(url, BODY, HEADERS)


def test_no_thread_and_no_socket_outlives_a_send() -> None:
    before = threading.active_count()
    with listening(OK) as endpoint:
        post(endpoint)
        assert threading.active_count() == before + 1


def test_openai_s_own_sdk_accepts_what_is_sent() -> None:
    secrets = (signature.new_secret(bytes(range(32))), signature.new_secret(bytes(range(32, 64))))
    now = int(time.time())
    with listening(OK) as endpoint:
        headers = signature.headers(secrets, message_id="msg_1", timestamp=now, body=BODY)
        receiver(endpoint.origin).post(endpoint.origin, BODY, headers)
    head, _, body = endpoint.requests[0].partition(b"\r\n\r\n")
    received = dict(row.split(": ", 1) for row in head.decode().split("\r\n")[1:])
    for secret in secrets:
        with openai.OpenAI(api_key="unused") as client:
            event = client.webhooks.unwrap(body.decode(), received, secret=secret)
        assert (event.type, getattr(event.data, "id", None)) == ("response.completed", "resp_1")
    with openai.OpenAI(api_key="unused") as client, pytest.raises(openai.InvalidWebhookSignatureError):
        client.webhooks.unwrap(body.decode(), received, secret=signature.new_secret(bytes(32)))
