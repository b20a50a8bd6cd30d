"""Which receivers of webhooks the mock calls: none beyond loopback that is not listed, however its URL is spelt.

Every socket and every look-up of a post is seen by an audit hook, below any library. A connection that would leave this
machine is noted and stopped; only the resolver has a stand-in, where a test needs one that lies.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from machine import lacking
from prospec_conformance.mock.receivers import Receivers, RefusedReceiver

PATIENCE_S = 20.0
"""Longer than any answer on loopback takes, on a busy machine too."""
BODY = b'{"event":"generation.completed"}'
SIGNED = {"Content-Type": "application/json", "X-Prospo-Signature": "00ff"}
ACCEPTED = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
METADATA = "169.254.169.254"


# What a post does with the network


@dataclass
class Seen:
    stops_all: bool
    connected: list[str] = field(default_factory=list)
    """Addresses, in the order of the attempts."""
    looked_up: list[str] = field(default_factory=list)


_watching: list[Seen] = []
LOOK_UPS = {"socket.getaddrinfo", "socket.gethostbyname", "socket.gethostbyaddr", "socket.getnameinfo"}


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if not _watching:
        return
    seen = _watching[-1]
    if event in LOOK_UPS:
        seen.looked_up.append(str(arguments[0]))
    if event in ("socket.connect", "socket.sendto"):
        address = arguments[1][0]
        seen.connected.append(address)
        if seen.stops_all or not is_loopback(address):
            raise ConnectionRefusedError("stopped by the test")


sys.addaudithook(_watch)  # there is no way to remove one, so it does nothing while nobody watches


def is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@contextmanager
def watched(*, stops_all: bool = False) -> Iterator[Seen]:
    seen = Seen(stops_all)
    _watching.append(seen)
    try:
        yield seen
    finally:
        _watching.remove(seen)


def test_the_watch_sees_and_stops_what_leaves_the_machine() -> None:
    with watched() as seen:
        with pytest.raises(ConnectionRefusedError, match="by the test"), socket.socket() as client:
            client.connect(("192.0.2.1", 80))
        with pytest.raises(socket.gaierror):
            socket.getaddrinfo("name.invalid.", 80, flags=socket.AI_NUMERICHOST)
    assert (seen.connected, seen.looked_up) == (["192.0.2.1"], ["name.invalid."])


# A receiver


@dataclass
class Receiver:
    port: int = 0
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    """Headers, by their names in lower case, and body."""
    target: str = ""
    server_names: list[str | None] = field(default_factory=list)
    """What each TLS handshake asked for."""
    closed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the other end has closed the connection."""


Write = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def receiving(
    answer: bytes = ACCEPTED, go_on: Write | None = None, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """Answers every request with these bytes, goes on writing as told, and waits until the other end closes."""
    receiver = Receiver()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").splitlines()
            headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in head[1:-1])}
            body = await reader.readexactly(int(headers.get("content-length", "0")))
            receiver.target = head[0]
            receiver.requests.append((headers, body))
            writer.write(answer)
            if go_on:
                await go_on(writer)
            await reader.read()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            receiver.closed.set()
            writer.close()

    if tls:
        tls.sni_callback = lambda _connection, name, _context: receiver.server_names.append(name)
    try:
        server = await asyncio.start_server(serve, host, 0, ssl=tls)
    except OSError:
        lacking(f"this machine has no {host}")
    async with server:
        receiver.port = server.sockets[0].getsockname()[1]
        yield receiver


def posted(receivers: Receivers, url: str, timeout_s: float = PATIENCE_S) -> Coroutine[Any, Any, int | None]:
    return receivers.post(url, BODY, SIGNED, timeout_s)


# Spellings

LOOPBACK = [
    ("http://127.0.0.1:{port}/", "127.0.0.1"),
    ("HTTP://127.0.0.1:{port}/", "127.0.0.1"),
    ("hTtP://127.0.0.1:{port}/hook", "127.0.0.1"),
    ("http://127.0.0.1:{port}", "127.0.0.1"),
    ("http://127.0.0.1:{port}?secret=1", "127.0.0.1"),
    ("http://127.0.0.1:{port}/a?x=1&y[]=2&z={{}}", "127.0.0.1"),
    ("http://127.0.0.1:{port}/@evil.example/", "127.0.0.1"),
    ("http://127.0.0.1:{port}//evil.example/", "127.0.0.1"),
    ("http://127.0.0.1:{port}/http://evil.example/", "127.0.0.1"),
    ("http://127.0.0.1:{port}/../../%2e%2e/x", "127.0.0.1"),
    ("http://127.0.0.1:{port}/?@evil.example:80/", "127.0.0.1"),
    ("http://127.0.0.1:{port}/%0d%0aHost:%20evil.example", "127.0.0.1"),
    ("http://127.0.0.2:{port}/", "127.0.0.2"),
    ("http://127.255.255.254:{port}/", "127.255.255.254"),
    ("http://localhost:{port}/", "127.0.0.1"),
    ("http://LocalHost:{port}/", "127.0.0.1"),
    ("http://localhost.:{port}/", "127.0.0.1"),
    ("http://LOCALHOST.:{port}", "127.0.0.1"),
    ("http://[::1]:{port}/", "::1"),
    ("http://[0:0:0:0:0:0:0:1]:{port}/", "::1"),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]:{port}/", "::1"),
    ("http://[::0.0.0.1]:{port}/", "::1"),
    ("http://[::ffff:127.0.0.1]:{port}/", "127.0.0.1"),
    ("http://[::FFFF:7F00:1]:{port}/", "127.0.0.1"),
    ("http://[0:0:0:0:0:ffff:127.0.0.1]:{port}/", "127.0.0.1"),
    ("http://[::ffff:127.8.8.8]:{port}/", "127.8.8.8"),
]
"""Each with the address that is called."""

ELSEWHERE = [
    # Other machines, and addresses that mean several.
    "http://192.0.2.1:{port}/",
    "http://8.8.8.8/",
    "http://10.0.0.1/",
    "http://128.0.0.1/",
    "http://126.255.255.255/",
    f"http://{METADATA}/latest/meta-data/",
    "http://168.63.129.16/",
    "http://100.100.100.200/",
    "http://255.255.255.255/",
    "http://224.0.0.1/",
    "http://0.0.0.0:{port}/",
    "http://0.0.0.1:{port}/",
    "http://[::]:{port}/",
    "http://[::2]:{port}/",
    "http://[fe80::1]:{port}/",
    "http://[fd00:ec2::254]/",
    "http://[2606:4700::1111]/",
    # IPv6 addresses that carry loopback, or others.
    "http://[::127.0.0.1]:{port}/",
    "http://[::ffff:0:127.0.0.1]:{port}/",
    "http://[::ffff:169.254.169.254]/",
    "http://[::ffff:a9fe:a9fe]/",
    "http://[::ffff:0.0.0.0]:{port}/",
    "http://[64:ff9b::7f00:1]:{port}/",
    "http://[64:ff9b:1::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/",
    "http://[2001:0:7f00:1::]:{port}/",
    "http://[2001:0:4136:e378:8000:63bf:80ff:fffe]:{port}/",
    # IPv4 addresses in their older spellings, which a browser and curl take for loopback.
    "http://2130706433:{port}/",
    "http://017700000001:{port}/",
    "http://0x7f000001:{port}/",
    "http://0x7F.0x0.0x0.0x1:{port}/",
    "http://0x7f.1:{port}/",
    "http://0177.0.0.1:{port}/",
    "http://0177.1:{port}/",
    "http://127.1:{port}/",
    "http://127.0.1:{port}/",
    "http://127:{port}/",
    "http://0:{port}/",
    "http://127.0.0.01:{port}/",
    "http://127.0.0.0x1:{port}/",
    "http://127.000.000.001:{port}/",
    "http://00127.0.0.1:{port}/",
    "http://4294967296:{port}/",
    "http://127.0.0.256:{port}/",
    "http://127.0.0.1.:{port}/",
    "http://127.0.0.1..:{port}/",
    "http://.127.0.0.1:{port}/",
    "http://127.0.0.1.1:{port}/",
    "http://127.0.0.-1:{port}/",
    # Names.
    "http://evil.example/",
    "http://localhost.evil.example:{port}/",
    "http://evil.localhost:{port}/",
    "http://localhost..:{port}/",
    "http://.localhost:{port}/",
    "http://localhost.localdomain:{port}/",
    "http://localhost6:{port}/",
    "http://ip6-localhost:{port}/",
    "http://loopback:{port}/",
    "http://127.0.0.1.nip.io:{port}/",
    "http://localtest.me:{port}/",
    "http://metadata.google.internal/",
    "http://host.docker.internal:{port}/",
    "http://xn--/",
    "http://xn--a\x80/",
    f"http://{'a' * 64}.example/",
    # A user in front of the host.
    "http://127.0.0.1@evil.example/",
    "http://127.0.0.1:{port}@evil.example/",
    "http://localhost:x@evil.example:{port}/",
    "http://evil.example@127.0.0.1:{port}/",
    "http://user:secret@127.0.0.1:{port}/",
    "http://@127.0.0.1:{port}/",
    "http://:@127.0.0.1:{port}/",
    "http://evil.example%40127.0.0.1:{port}/",
    "http://127.0.0.1:{port}%40evil.example/",
    # What ends the host for one reader and not for another.
    "http://127.0.0.1:{port}\\@evil.example/",
    "http://evil.example\\@127.0.0.1:{port}/",
    "http://127.0.0.1\\.evil.example/",
    "http:\\\\127.0.0.1:{port}\\",
    "http://127.0.0.1:{port}/\\evil.example",
    "http://127.0.0.1:{port}#@evil.example/",
    "http://127.0.0.1:{port}/#fragment",
    "http://evil.example#@127.0.0.1:{port}/",
    "http://127.0.0.1;evil.example:{port}/",
    "http://127.0.0.1,evil.example:{port}/",
    "http://127.0.0.1&@evil.example/",
    "http://127.0.0.1:{port}:80/",
    "http://127.0.0.1 evil.example:{port}/",
    # White space and controls.
    " http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/ ",
    "http://127.0.0.1:{port}/a b",
    "\thttp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\n",
    "http://127.0.0.1:{port}\n",
    "http://127.0.0.1\n.evil.example:{port}/",
    "http://127.0.0.1\t:{port}/",
    "ht\ntp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\r\nHost: evil.example\r\n",
    "http://127.0.0.1\0.evil.example:{port}/",
    "http://127.0.0.1:{port}/\x7f",
    "http://127.0.0.1:{port}/\u2028",
    # Percent signs, zones, brackets.
    "http://%31%32%37.0.0.1:{port}/",
    "http://127%2e0%2e0%2e1:{port}/",
    "http://%6c%6f%63%61%6c%68%6f%73%74:{port}/",
    "http://localhost%00.evil.example:{port}/",
    "http://localhost%2eevil.example:{port}/",
    "http://[::1%25lo]:{port}/",
    "http://[::1%lo]:{port}/",
    "http://[fe80::1%25eth0]:{port}/",
    "http://[::1]evil.example:{port}/",
    "http://[::1].evil.example:{port}/",
    "http://evil.example[::1]:{port}/",
    "http://[[::1]]:{port}/",
    "http://[::1:{port}/",
    "http://::1:{port}/",
    "http://[127.0.0.1]:{port}/",
    "http://[localhost]:{port}/",
    "http://[v1.127]:{port}/",
    "http://[]:{port}/",
    "http://[::1::]:{port}/",
    # Beyond ASCII: digits, dots and letters that IDNA folds into plain ones.
    "http://１２７.0.0.1:{port}/",
    "http://127。0。0。1:{port}/",
    "http://127．0．0．1:{port}/",
    "http://①②⑦.0.0.1:{port}/",
    "http://١٢٧.0.0.1:{port}/",
    "http://ｌｏｃａｌｈｏｓｔ:{port}/",
    "http://localho\u017ft:{port}/",
    "http://hoo\u212a.example:{port}/",
    "http://loc\u00adalhost:{port}/",
    "http://localhost\u200b:{port}/",
    "http\u017f://localhost:{port}/",
    "http://127.0.0.1:{port}/größe",
    "\ufeffhttp://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}/\ud800",
    # Ports.
    "http://127.0.0.1:0/",
    "http://127.0.0.1:65536/",
    "http://127.0.0.1:99999/",
    "http://127.0.0.1:99999999999999999999/",
    "http://127.0.0.1:-1/",
    "http://127.0.0.1:+{port}/",
    "http://127.0.0.1: {port}/",
    "http://127.0.0.1:8_0/",
    "http://127.0.0.1:８０/",
    "http://127.0.0.1:http/",
    "http://127.0.0.1:/",
    # Schemes, and no URL at all.
    "ftp://127.0.0.1:{port}/",
    "file:///etc/passwd",
    "file://127.0.0.1/etc/passwd",
    "gopher://127.0.0.1:{port}/_x",
    "ws://127.0.0.1:{port}/",
    "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/",
    "javascript:alert(1)",
    "data:text/plain,x",
    "https+insecure://127.0.0.1:{port}/",
    "//127.0.0.1:{port}/",
    "127.0.0.1:{port}",
    "localhost:{port}/",
    "http:127.0.0.1:{port}/",
    "http:/127.0.0.1:{port}/",
    "http:///127.0.0.1:{port}/",
    "http:////127.0.0.1:{port}/",
    "http://",
    "http:",
    "https://:443/",
    "http://?127.0.0.1",
    "/",
    "",
    "nonsense",
    "http://127.0.0.1:{port}/" + "a" * 70_000,
    "http://" + "127.0.0.1." * 10_000,
    "http://" + "[" * 10_000,
]


def test_the_tables_are_no_shorter_than_they_were() -> None:
    assert len({url for url, _ in LOOPBACK}) >= 26
    assert len(set(ELSEWHERE)) >= 160


@pytest.mark.parametrize(("spelling", "address"), LOOPBACK, ids=lambda each: ascii(each)[:60])
def test_loopback_in_a_plain_spelling_is_called_without_a_look_up(spelling: str, address: str) -> None:
    async def scenario() -> None:
        async with receiving(host=address) as receiver:
            url = spelling.format(port=receiver.port)
            assert Receivers().refusal(url) is None
            with watched() as seen:
                assert await posted(Receivers(), url) == 200
            assert (seen.connected, seen.looked_up) == ([address], [])
            assert [body for _, body in receiver.requests] == [BODY]

    asyncio.run(scenario())


@pytest.mark.parametrize("allowed", [(), ("hook.example", "198.51.100.0/24")], ids=["nothing listed", "others listed"])
@pytest.mark.parametrize("spelling", ELSEWHERE, ids=lambda each: ascii(each)[:60])
def test_whatever_else_is_refused_without_a_connection_or_look_up(spelling: str, allowed: tuple[str, ...]) -> None:
    url = spelling.replace("{port}", "9")
    with watched(stops_all=True) as seen:
        refusal = Receivers(allowed).refusal(url)
        with pytest.raises(RefusedReceiver) as refused:
            asyncio.run(posted(Receivers(allowed), url))
    assert (seen.connected, seen.looked_up) == ([], [])
    assert str(refused.value) == refusal
    # A URL may hold a secret: the message is the same for all, or nearly.
    assert re.fullmatch(
        r"its URL is not of the plain form .* in ASCII|its host is not on loopback, nor .*", refusal or ""
    )


@pytest.mark.parametrize("url", ["http://localhost/", "https://localhost", "https://[::1]/x", "http://127.0.0.1"])
def test_a_port_may_be_left_out(url: str) -> None:
    with watched(stops_all=True) as seen:
        assert Receivers().refusal(url) is None
        assert asyncio.run(posted(Receivers(), url)) is None
    assert seen.connected == (["127.0.0.1", "::1"] if "localhost" in url else [url.split("/")[2].strip("[]")])
    assert seen.looked_up == []


def test_localhost_is_tried_at_both_addresses() -> None:
    async def scenario() -> None:
        async with receiving(host="::1") as receiver:
            with watched() as seen:
                assert await posted(Receivers(), f"http://localhost:{receiver.port}/") == 200
            assert (seen.connected, seen.looked_up) == (["127.0.0.1", "::1"], [])
            assert len(receiver.requests) == 1

    asyncio.run(scenario())


WORDS = "http https :// // %25 %2e %00 127.0.0.1 127 0x7f 0177 2130706433 localhost LOCALHOST ::1 :: ffff [::1]"
WORDS += f" evil.example {METADATA} user:secret xn-- 64:ff9b:: 80 65536"
PIECES = st.sampled_from([*WORDS.split(), *":/\\@#?[]%.-_,;=&+~a01 \t\n\0é。．９\u017f\u200b\ud800"])
URLS = st.one_of(
    st.lists(PIECES, max_size=12).map("".join),
    st.lists(PIECES, max_size=8).map(lambda pieces: "http://" + "".join(pieces)),
    st.builds(
        # Something of loopback, with something else put into it.
        lambda url, piece, at: url[: at % (len(url) + 1)] + piece + url[at % (len(url) + 1) :],
        st.sampled_from([url.format(port=9) for url, _ in LOOPBACK]),
        st.one_of(PIECES, st.characters()),
        st.integers(0, 80),
    ),
    st.ip_addresses().map(lambda each: f"http://{f'[{each}]' if each.version == 6 else each}/"),
    st.text(),
)


@settings(max_examples=400)
@given(URLS)
@example("http://127.0.0.1:9/")
def test_no_url_leads_beyond_loopback_or_to_a_look_up(url: str) -> None:
    refusal = Receivers().refusal(url)
    refuses = nullcontext() if refusal is None else pytest.raises(RefusedReceiver, match=re.escape(refusal))
    with watched(stops_all=True) as seen, refuses:
        assert asyncio.run(posted(Receivers(), url)) is None
    assert [each for each in seen.connected if not is_loopback(each)] == []
    assert seen.looked_up == []
    assert (seen.connected == []) == (refusal is not None)
    if refusal is None:
        # Another reader of the URL comes to the same host.
        host = urlsplit(url).hostname or ""
        mapped = getattr(ipaddress.ip_address(host), "ipv4_mapped", None) if ":" in host else None
        assert host.removesuffix(".") == "localhost" or is_loopback(str(mapped or host))


# What is listed


LISTABLE = "hook.example HOOK.Example. my_service a-b.c xn--bcher-kva.example 1.example localhost"
LISTABLE += " 10.0.0.5 10.0.0.0/8 0.0.0.0/0 fd00::/8 ::1 FD00::1 10.0.0.0/255.0.0.0"


@pytest.mark.parametrize("entry", LISTABLE.split())
def test_a_name_an_address_or_a_network_may_be_listed(entry: str) -> None:
    assert Receivers((entry,)).allowed == (entry,)


UNLISTABLE = ". * *.example hook..example -a.example a-.example hook.example/ http://hook.example hook.example:443"
UNLISTABLE += " user@hook.example bücher.example hoo\u212a.example hook.example,10.0.0.5"
UNLISTABLE += (
    " 10.0.0.1/8 10.0.0.0/33 fd00::1/8 [::1] 10.0.0.5:80 10.0.0.256 10.0.0 0177.0.0.1 2130706433 0x7f000001 0x"
)
UNLISTABLE += " a.0x7f a.1. fe80::1%eth0 ::ffff:10.0.0.5 ::ffff:0:0/96"


@pytest.mark.parametrize(
    "entry",
    [*UNLISTABLE.split(), "", " ", "a b", "hook.example\n", "10.0.0.5\n", "a" * 64, ".".join(["a" * 63] * 4) + ".b"],
)
def test_what_is_neither_is_refused_at_once_and_named(entry: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"webhook host {entry!r} is no host name")) as error:
        Receivers(("10.0.0.0/8", entry))
    assert "10.0.0.0/8" in str(error.value)


@pytest.mark.parametrize(
    ("allowed", "url", "address"),
    [
        (("198.51.100.7",), "http://198.51.100.7:9/", "198.51.100.7"),
        (("198.51.100.7",), "http://198.51.100.8:9/", None),
        (("198.51.100.0/24",), "https://198.51.100.255:9/", "198.51.100.255"),
        (("198.51.100.0/24",), "http://[::ffff:198.51.100.9]:9/", "198.51.100.9"),
        (("198.51.100.0/24",), "http://198.51.101.0:9/", None),
        (("fd00::/8",), "http://[fd12::1]:9/", "fd12::1"),
        (("fd00::/8",), "http://[fe00::1]:9/", None),
        (("::/0",), "http://198.51.100.7:9/", None),
        (("::/0",), f"http://[::ffff:{METADATA}]:9/", None),
        (("0.0.0.0/0",), f"http://{METADATA}:9/", METADATA),
        (("hook.example",), "http://8.8.8.8:9/", None),
        (("8.8.8.8",), "http://dns.example:9/", None),
        (("hook.example",), "http://sub.hook.example:9/", None),
        (("hook.example",), "http://hook.example.evil.example:9/", None),
        (("hook.example",), "http://hook.example@evil.example:9/", None),
        (("hook.example",), "http://evil.example/hook.example", None),
        (("198.51.100.7",), "http://127.0.0.1:9/", "127.0.0.1"),
    ],
)
def test_an_address_is_called_if_it_is_listed(allowed: tuple[str, ...], url: str, address: str | None) -> None:
    with watched(stops_all=True) as seen:
        if address is None:
            with pytest.raises(RefusedReceiver):
                asyncio.run(posted(Receivers(allowed), url))
        else:
            assert asyncio.run(posted(Receivers(allowed), url)) is None
    assert (seen.connected, seen.looked_up) == ([address] if address else [], [])


# Names that are looked up


@dataclass
class Resolver:
    """Stands in for the system's: gives the answers in turn, the last one for ever."""

    answers: list[list[str]]
    asked: list[str] = field(default_factory=list)

    def __call__(self, host: str, port: object, *_: object, **__: object) -> list[tuple[Any, ...]]:
        self.asked.append(host)
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "no such name")
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (each, 0, 0, 0))
            if ":" in each
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, 0))
            for each in found
        ]


@pytest.fixture
def resolving(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Resolver]:
    def resolve(*answers: list[str]) -> Resolver:
        resolver = Resolver(list(answers))
        monkeypatch.setattr(socket, "getaddrinfo", resolver)
        return resolver

    return resolve


INTERNAL = "10.0.0.5 172.16.0.1 192.168.0.1 100.100.100.200 0.0.0.0 224.0.0.1 240.0.0.1 255.255.255.255 192.0.0.192"
INTERNAL += " 168.63.129.16 198.18.0.1 192.0.2.1 :: fe80::1 fc00::1 fd00:ec2::254 ff02::1 fec0::1 2001:db8::1 ::7f00:1"
INTERNAL += f" 64:ff9b::a9fe:a9fe 64:ff9b:1::1 2002:a9fe:a9fe::1 2001:0:a9fe:a9fe::1 ::ffff:0:{METADATA} ::ffff:0.0.0.0"
INTERNAL += f" {METADATA} ::ffff:{METADATA}"


@pytest.mark.parametrize("internal", INTERNAL.split())
def test_a_listed_name_may_not_lead_to_an_internal_address(resolving: Callable[..., Resolver], internal: str) -> None:
    mixes = [[internal], ["127.0.0.1", internal], [internal, "8.8.8.8"]]
    for mix in mixes:
        resolver = resolving(mix)
        with watched(stops_all=True) as seen, pytest.raises(RefusedReceiver, match="internal address") as refused:
            asyncio.run(posted(Receivers(("hook.example",)), "http://hook.example:9/"))
        assert (seen.connected, resolver.asked) == ([], ["hook.example"])
        assert "hook" not in str(refused.value).replace("--webhook-host", "")
        assert internal not in str(refused.value)


@pytest.mark.parametrize(
    ("found", "listed", "connected"),
    [
        (["127.0.0.1"], (), ["127.0.0.1"]),
        (["::1"], (), ["::1"]),
        (["::ffff:127.0.0.1"], (), ["127.0.0.1"]),
        (["8.8.8.8"], (), ["8.8.8.8"]),
        (["2606:4700::1111", "8.8.8.8"], (), ["2606:4700::1111", "8.8.8.8"]),
        (["10.0.0.5"], ("10.0.0.5",), ["10.0.0.5"]),
        (["::ffff:10.0.0.5", "8.8.8.8"], ("10.0.0.0/8",), ["10.0.0.5", "8.8.8.8"]),
        (["64:ff9b::808:808"], ("64:ff9b::/96",), ["64:ff9b::808:808"]),
        ([], (), []),
    ],
)
@pytest.mark.parametrize("host", ["hook.example", "Hook.EXAMPLE", "hook.example."])
def test_a_listed_name_leads_to_loopback_public_and_listed_addresses(
    resolving: Callable[..., Resolver], host: str, found: list[str], listed: tuple[str, ...], connected: list[str]
) -> None:
    resolver = resolving(found)
    with watched(stops_all=True) as seen:
        assert asyncio.run(posted(Receivers(("HOOK.example.", *listed)), f"http://{host}:9/")) is None
    assert (seen.connected, resolver.asked) == (connected, ["hook.example"])


def test_a_name_is_looked_up_once_and_cannot_change_under_the_call(resolving: Callable[..., Resolver]) -> None:
    async def scenario() -> None:
        receivers = Receivers(("hook.example",))
        async with receiving() as receiver:
            url = f"http://hook.example:{receiver.port}/x"
            resolver = resolving(["8.8.8.8", "127.0.0.1"], [METADATA])
            with watched() as seen:
                assert await posted(receivers, url) == 200
            assert (seen.connected, resolver.asked) == (["8.8.8.8", "127.0.0.1"], ["hook.example"])
            assert receiver.requests[0][0]["host"] == f"hook.example:{receiver.port}"
            with watched() as seen, pytest.raises(RefusedReceiver):
                await posted(receivers, url)
            assert (seen.connected, len(receiver.requests)) == ([], 1)

    asyncio.run(scenario())


def test_a_name_whose_look_up_takes_too_long_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def late(*_: object, **__: object) -> list[object]:
        time.sleep(1)
        return []

    monkeypatch.setattr(socket, "getaddrinfo", late)

    async def scenario() -> float:
        start = time.monotonic()
        assert await posted(Receivers(("hook.example",)), "http://hook.example:9/", 0.05) is None
        return time.monotonic() - start

    assert asyncio.run(scenario()) < 0.9


# The call itself


def test_a_post_carries_what_it_was_given_and_nothing_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login user password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    async def scenario() -> None:
        answer = ACCEPTED.replace(b"\r\n\r\n", b"\r\nSet-Cookie: a=1; Path=/\r\n\r\n")
        async with receiving() as proxy, receiving(answer) as receiver:
            for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
                monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
            for _ in range(2):
                assert await posted(Receivers(), f"http://localhost:{receiver.port}/a%20b?c=d") == 200
            assert proxy.requests == []
            assert receiver.target == "POST /a%20b?c=d HTTP/1.1"
            for headers, body in receiver.requests:
                assert body == BODY
                assert headers == {
                    "host": f"localhost:{receiver.port}",
                    "content-type": "application/json",
                    "x-prospo-signature": "00ff",
                    "content-length": str(len(BODY)),
                    "connection": "close",
                }

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("location", ["http://127.0.0.1:{other}/", "http://evil.example/", f"http://{METADATA}/", "/x"])
@pytest.mark.parametrize("allowed", [(), ("evil.example", METADATA)], ids=["nothing listed", "listed"])
def test_no_redirect_is_followed(status: int, location: str, allowed: tuple[str, ...]) -> None:
    async def scenario() -> None:
        async with receiving() as other:
            to = location.format(other=other.port)
            moved = f"HTTP/1.1 {status} Moved\r\nLocation: {to}\r\nRefresh: 0; url={to}\r\nContent-Length: 0\r\n\r\n"
            async with receiving(moved.encode()) as receiver:
                with watched() as seen:
                    assert await posted(Receivers(allowed), f"http://127.0.0.1:{receiver.port}/") == status
                assert (len(receiver.requests), other.requests) == (1, [])
                assert (seen.connected, seen.looked_up) == (["127.0.0.1"], [])

    asyncio.run(scenario())


async def endlessly(writer: asyncio.StreamWriter, chunk: bytes, pause_s: float = 0.0) -> None:
    while True:
        writer.write(chunk)
        await writer.drain()
        await asyncio.sleep(pause_s)


def test_the_body_of_an_answer_is_left_unread_and_the_connection_closed() -> None:
    async def scenario() -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n"
        async with receiving(head, lambda writer: endlessly(writer, bytes(65536))) as receiver:
            assert await posted(Receivers(), f"http://127.0.0.1:{receiver.port}/") == 200
            await asyncio.wait_for(receiver.closed.wait(), PATIENCE_S)
        async with receiving() as receiver:
            assert await posted(Receivers(), f"http://127.0.0.1:{receiver.port}/") == 200
            await asyncio.wait_for(receiver.closed.wait(), PATIENCE_S)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("answer", "chunk"),
    [(b"", b""), (b"HTTP/1.1 200 OK\r\nX: ", b"a"), (b"", b"HTTP/1.1 103 Early Hints\r\n\r\n")],
    ids=["silent", "a byte at a time", "always about to answer"],
)
def test_a_slow_receiver_is_left_in_time(answer: bytes, chunk: bytes) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        if chunk:
            await endlessly(writer, chunk, pause_s=0.01)

    async def scenario() -> None:
        async with receiving(answer, trickle) as receiver:
            start = time.monotonic()
            assert await posted(Receivers(), f"http://127.0.0.1:{receiver.port}/", 0.3) is None
            assert 0.2 < time.monotonic() - start < 10
            assert len(receiver.requests) == 1
            await asyncio.wait_for(receiver.closed.wait(), PATIENCE_S)

    asyncio.run(asyncio.wait_for(scenario(), 60))


@pytest.mark.parametrize(
    ("answer", "chunk"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"X-Header: " + b"a" * 1000 + b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nX: ", b"a" * 1000),
        (b"", b"\0\xff" * 500),
        (b"SSH-2.0-OpenSSH_9.6\r\n", b"\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", b"x"),
    ],
    ids=["headers without end", "a header without end", "binary", "another protocol", "a length that is none"],
)
def test_an_answer_that_is_none_is_given_up_early(answer: bytes, chunk: bytes) -> None:
    async def scenario() -> None:
        async with receiving(answer, lambda writer: endlessly(writer, chunk)) as receiver:
            assert await posted(Receivers(), f"http://127.0.0.1:{receiver.port}/", timeout_s=600) is None

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_a_receiver_that_is_not_there_or_hangs_up_is_no_answer() -> None:
    async def hang_up(writer: asyncio.StreamWriter) -> None:
        writer.close()

    async def scenario() -> None:
        async with receiving(b"", hang_up) as receiver:
            url = f"http://localhost:{receiver.port}/"
            with watched() as seen:
                assert await posted(Receivers(), url) is None
            # What was sent is not sent once more to the next address.
            assert (seen.connected, len(receiver.requests)) == (["127.0.0.1"], 1)
        assert await posted(Receivers(), url) is None

    asyncio.run(scenario())


# TLS


def certified(folder: Path, names: str) -> tuple[ssl.SSLContext, Path]:
    """The server side of a certificate for these names that is signed by itself, and its file."""
    openssl = shutil.which("openssl") or lacking("openssl is not installed")
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    command = [openssl, "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-subj", "/CN=receiver", "-addext", f"subjectAltName={names}"]
    subprocess.run([*command, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "hook.example"])
def test_a_certificate_that_nobody_vouches_for_is_no_answer(
    resolving: Callable[..., Resolver], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, host: str
) -> None:
    names = "DNS:localhost,IP:127.0.0.1,DNS:hook.example"
    tls, certificate = certified(tmp_path, names)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))  # the environment vouches for nobody
    resolving(["127.0.0.1"])

    async def scenario() -> None:
        async with receiving(tls=tls) as receiver:
            url = f"https://{host}:{receiver.port}/"
            assert await posted(Receivers(("hook.example",)), url) is None
            assert len(receiver.server_names) == 1
            assert receiver.requests == []

    asyncio.run(scenario())


@pytest.mark.skipif(
    sys.platform != "linux", reason="elsewhere the system's own store decides, which a test cannot add to"
)
@pytest.mark.parametrize(
    ("host", "names", "server_name", "status"),
    [
        ("hook.example", "DNS:hook.example", "hook.example", 200),
        ("hook.example.", "DNS:hook.example", "hook.example", 200),
        ("hook.example", "DNS:other.example,IP:127.0.0.1", "hook.example", None),
        ("localhost", "DNS:localhost", "localhost", 200),
        ("localhost", "IP:127.0.0.1", "localhost", None),
        ("127.0.0.1", "IP:127.0.0.1", None, 200),
        ("127.0.0.1", "DNS:localhost", None, None),
    ],
)
def test_a_certificate_is_checked_against_the_name_not_the_address(
    resolving: Callable[..., Resolver],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    host: str,
    names: str,
    server_name: str | None,
    status: int | None,
) -> None:
    tls, certificate = certified(tmp_path, names)
    paths = ssl.get_default_verify_paths()._replace(openssl_cafile=str(certificate))
    monkeypatch.setattr(ssl, "get_default_verify_paths", lambda: paths)  # as if the system trusted it
    resolving(["127.0.0.1"])

    async def scenario() -> None:
        async with receiving(tls=tls) as receiver:
            with watched() as seen:
                assert await posted(Receivers(("hook.example",)), f"https://{host}:{receiver.port}/") == status
            assert seen.connected[0] == "127.0.0.1"
            assert receiver.server_names == [server_name]
            assert len(receiver.requests) == (1 if status else 0)
            if status:
                assert receiver.requests[0][0]["host"] == f"{host}:{receiver.port}"

    asyncio.run(scenario())
