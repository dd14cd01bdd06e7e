"""Continuity: the line between a centre and its standby: one port, TLS, both sides proven.

Both hold the same certificate from the keys folder they share; nobody else is spoken to. Carries
frames of the ledger's log, keys, files and PostgreSQL's own stream; interprets none.
"""

from __future__ import annotations

import datetime as dt
import select
import socket
import ssl
from pathlib import Path
from typing import Final, TypeVar

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from openaoc.kernel.clock import Clock
from openaoc.kernel.errors import BadInput, Unavailable
from openaoc.storage.keyring import Keyring

CERTIFICATE_NAME: Final = "standby-line.pem"
NAME: Final = "openaoc-standby-line"
VALID_YEARS: Final = 30
"""The certificate is a shared secret's other half; it is replaced with the keys, not by date."""
MESSAGE_BYTES_MAX: Final = 2 << 30
"""One frame of the ledger's log holds a whole group of batches."""
CONNECT_SECONDS_MAX: Final = 5.0
SILENCE_SECONDS_MAX: Final = 10.0
"""A side that says nothing for so long is gone."""
PUMP_BYTES: Final = 256 << 10
_DAY: Final = dt.timedelta(days=1)
Kind = TypeVar("Kind")


class LineBroken(Unavailable):
    """The line to the other side is broken."""


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """How each connection begins.

    kind: `postgres`, `ledger`, `keys`, `copy`, `cold` or `fence`. epoch: the caller's. position:
    of the last ledger entry the caller has. Names and sizes of files it has already.
    """

    kind: str
    epoch: int
    position: int = 0
    have: dict[str, int] = {}


class Welcome(msgspec.Struct, frozen=True, kw_only=True):
    """The answer: go on, or why not; the primary's epoch."""

    epoch: int
    refused: str = ""


def line_certificate(keys: Keyring, clock: Clock) -> Path:
    """The file with key and certificate of the line, made at first use."""
    path = keys.folder / CERTIFICATE_NAME
    if not path.exists():
        keys.write(path, _fresh_certificate(clock.now()))
    return path


def _fresh_certificate(now: dt.datetime) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, NAME)])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    known_by = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    signed_by = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(known_by)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _DAY)
        .not_valid_after(now + VALID_YEARS * 365 * _DAY)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(NAME)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(known_by, critical=False)
        .add_extension(signed_by, critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return secret + certificate.public_bytes(serialization.Encoding.PEM)


def context(certificate: Path, *, server: bool) -> ssl.SSLContext:
    """TLS 1.3 with the one certificate on both sides, required of both."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(certificate)
    made.load_verify_locations(certificate)
    return made


def parse_address(text: str, *, where: str) -> tuple[str, int]:
    """Host and port of `host:port`. Raises BadInput."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or not 0 <= int(port) <= 65535:  # noqa: PLR2004 - ports
        raise BadInput("must be host:port", where=where)
    return host.strip("[]"), int(port)


class Channel:
    """One connection of the line, used by one thread: messages with their length before them."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(SILENCE_SECONDS_MAX)

    def send(self, message: object) -> None:
        """A struct, as MessagePack. Raises LineBroken."""
        self.send_bytes(msgspec.msgpack.encode(message))

    def send_bytes(self, content: bytes | memoryview) -> None:
        """Bytes with their length. Raises LineBroken."""
        try:
            self.sock.sendall(len(content).to_bytes(4, "big"))
            self.sock.sendall(content)
        except OSError as error:
            raise LineBroken(type(error).__name__) from error

    def receive(self, kind: type[Kind]) -> Kind:
        """The next message. Raises LineBroken."""
        try:
            return msgspec.msgpack.decode(self.receive_bytes(), type=kind)
        except msgspec.MsgspecError as error:
            raise LineBroken(f"not understood: {error}") from error

    def receive_bytes(self) -> bytes:
        """The next bytes. Raises LineBroken."""
        size = int.from_bytes(self._exactly(4), "big")
        if size > MESSAGE_BYTES_MAX:
            raise LineBroken("a message is too large")
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        content = bytearray(size)
        view, done = memoryview(content), 0
        try:
            while done < size:
                count = self.sock.recv_into(view[done:])
                if not count:
                    raise LineBroken("the other side ended it")
                done += count
        except (OSError, ValueError) as error:  # ValueError: another thread has closed it
            raise LineBroken(type(error).__name__) from error
        return bytes(content)

    def close(self) -> None:
        """End the connection; whoever waits on it gets LineBroken."""
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            self.sock.close()
        else:
            self.sock.close()


def dial(address: str, tls: ssl.SSLContext, hello: Hello) -> tuple[Channel, Welcome]:
    """A channel to the primary, greeted. Raises LineBroken, Unavailable when it refuses."""
    host, port = parse_address(address, where="the primary's address")
    try:
        plain = socket.create_connection((host, port), timeout=CONNECT_SECONDS_MAX)
    except OSError as error:
        raise LineBroken(f"no connection ({error.strerror or error})", where=address) from error
    try:
        sock = tls.wrap_socket(plain, server_hostname=NAME)
    except OSError as error:
        plain.close()
        raise LineBroken(f"not the other side ({type(error).__name__})", where=address) from error
    channel = Channel(sock)
    try:
        channel.send(hello)
        welcome = channel.receive(Welcome)
    except LineBroken:
        channel.close()
        raise
    if welcome.refused:
        channel.close()
        raise Unavailable(welcome.refused, where=address)
    return channel, welcome


def pump(tls: ssl.SSLSocket, plain: socket.socket) -> None:
    """Carry bytes both ways until one side ends. One thread: a TLS socket takes no second one."""
    tls.setblocking(False)
    plain.setblocking(False)
    to_plain, to_tls = bytearray(), bytearray()
    while True:
        readers = [s for s, held in ((tls, to_plain), (plain, to_tls)) if len(held) < PUMP_BYTES]
        writers = [s for s, held in ((plain, to_plain), (tls, to_tls)) if held]
        ready = tls.pending() > 0 and tls in readers
        select.select(readers, writers, [], 0 if ready else 1.0)
        try:
            alive = _move(tls, to_plain) and _move(plain, to_tls)
            _give(plain, to_plain)
            _give(tls, to_tls)
        except OSError:
            return
        if not alive and not to_plain and not to_tls:
            return


def _move(source: socket.socket, held: bytearray) -> bool:
    """Take what is there, up to the bound; False at the end of the stream."""
    if len(held) >= PUMP_BYTES:
        return True
    try:
        content = source.recv(PUMP_BYTES)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return True
    held += content
    return bool(content)


def _give(target: socket.socket, held: bytearray) -> None:
    if not held:
        return
    try:
        count = target.send(held)
    except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return
    del held[:count]
