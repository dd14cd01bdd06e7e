"""API: an exercise says so in every answer, so that nothing of it is taken for real.

Marks what people read (pages, an order to read aloud, letters) and what clients read (a header).
"""

from __future__ import annotations

from typing import Final

from litestar.datastructures import MutableScopeHeaders
from litestar.types import ASGIApp, HTTPResponseStartEvent, Message, Receive, Scope, Send

from openaoc.channels.keys import EXERCISE_HEADER

BODY: Final = b"<body>"
WORDS: Final = (
    "EXERCISE · การฝึกซ้อม — nothing here is real: hold nothing, pay nothing, take nothing down. "
    "ทุกอย่างในนี้สมมติขึ้น โปรดอย่าอายัด จ่าย หรือปิดสิ่งใดตามนี้"
)
BANNER: Final = f'\n<p role="note"><strong>{WORDS}</strong></p>'.encode()
METRICS_MARK: Final = "version="
"""In the type of what machines read as text: there is no place in it for words."""
LENGTH: Final = "content-length"


def marking(app: ASGIApp) -> ASGIApp:
    """The application, every answer of which carries the mark. For the centre of an exercise."""

    async def marked(scope: Scope, receive: Receive, send: Send) -> None:
        waiting: HTTPResponseStartEvent | None = None

        async def out(message: Message) -> None:
            nonlocal waiting
            if message["type"] == "http.response.start":
                MutableScopeHeaders.from_message(message)[EXERCISE_HEADER] = "true"
                waiting = message  # its length is known with the body
                return
            if waiting is not None:
                start, waiting = waiting, None
                headers = MutableScopeHeaders.from_message(start)
                if message["type"] == "http.response.body" and not message["more_body"]:
                    body = with_mark(message["body"], kind=headers.get("content-type", ""))
                    if LENGTH in headers:
                        headers[LENGTH] = str(len(body))
                    message["body"] = body
                await send(start)
            await send(message)

        await app(scope, receive, out)

    return marked


def with_mark(body: bytes, *, kind: str) -> bytes:
    """What a person reads, with the mark where it is seen first; anything else as it is."""
    media = kind.partition(";")[0].strip().lower()
    if media == "text/html":
        return body.replace(BODY, BODY + BANNER, 1)
    if media == "text/plain" and body and METRICS_MARK not in kind:
        return f"{WORDS}\n\n".encode() + body
    return body
