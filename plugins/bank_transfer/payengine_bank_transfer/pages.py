"""Where does the buyer read what to transfer, and to whom?

At an address that nobody guesses: it ends in the payment's own reference. As a page, or as JSON for
a shop that draws its own. `epc` is the text of the code that banking apps scan (EPC069-12).
"""

from __future__ import annotations

import asyncio
import html
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from payengine_bank_transfer.amounts import CURRENCY, spell_amount
from payengine_bank_transfer.desk import Desk
from payengine_bank_transfer.references import is_reference
from payengine_bank_transfer.settings import BankTransferSettings

__all__ = ["Instructions", "instructions_of", "routes"]

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="robots" content="noindex">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>Bank transfer</title>
<style>body{{font:1rem/1.6 system-ui,sans-serif;max-width:34rem;margin:3rem auto;padding:0 1rem}}
dt{{color:#555}}dd{{margin:0 0 .8rem;font-family:ui-monospace,monospace;word-break:break-all}}
</style></head><body><main><h1>{title}</h1><dl>{rows}</dl><p>{note}</p></main></body></html>
"""
_TITLES = {
    "awaited": ("Please transfer", "Write the reference exactly as it stands here."),
    "booked": ("Paid", "The transfer has arrived. Thank you."),
    "expired": ("Too late", "This payment is not awaited any more. Please do not transfer."),
    "canceled": ("Called off", "This payment was called off. Please do not transfer."),
}


class Instructions(msgspec.Struct, frozen=True, kw_only=True):
    """What a buyer needs; `missing_minor` is what is still to be transferred, in cents."""

    status: str
    holder: str
    iban: str
    bic: str
    reference: str
    amount_minor: int
    missing_minor: int
    currency: str
    epc: str


def instructions_of(desk: Desk, reference: str) -> Instructions | None:
    """The instructions of an awaited transfer, or None where there is none; blocks."""
    if not is_reference(reference):
        return None
    store = desk.books().store
    found = store.anywhere(reference)
    if found is None or found.method != "bank_transfer" or found.kind != "authorize":
        return None
    profile = store.profiles().get(found.account)
    if profile is None:
        return None
    settings = msgspec.json.decode(profile, type=BankTransferSettings)
    iban = settings.iban.replace(" ", "").upper()
    missing = max(found.amount_minor - found.received_minor, 0)
    head = ("BCD", "002", "1", "SCT", settings.bic, settings.holder, iban)
    due = f"{CURRENCY}{spell_amount(missing)}"
    return Instructions(
        status="awaited" if found.status == "awaited" else found.status,
        holder=settings.holder,
        iban=iban,
        bic=settings.bic,
        reference=reference,
        amount_minor=found.amount_minor,
        missing_minor=missing,
        currency=CURRENCY,
        epc="\n".join((*head, due, "", reference)),
    )


def routes(desk: Desk) -> list[BaseRoute]:
    """The page of each awaited transfer."""

    async def show(request: Request) -> Response:
        reference = request.path_params["reference"]
        found = await asyncio.to_thread(instructions_of, desk, reference)
        if found is None:
            return Response("There is no such payment.", status_code=404, headers=_HEADERS)
        if "application/json" in request.headers.get("accept", ""):
            plain: dict[str, Any] = msgspec.to_builtins(found)
            return JSONResponse(plain, headers=_HEADERS)
        body = _page(found)
        return Response(body, media_type="text/html; charset=utf-8", headers=_HEADERS)

    return [Route("/pay/{reference}", show, methods=["GET"])]


def _page(found: Instructions) -> str:
    title, note = _TITLES.get(found.status, _TITLES["canceled"])
    rows = ""
    if found.status == "awaited":
        grouped = " ".join(found.iban[at : at + 4] for at in range(0, len(found.iban), 4))
        told = {
            "Amount": f"{spell_amount(found.missing_minor)} {found.currency}",
            "To": found.holder,
            "IBAN": grouped,
            "BIC": found.bic,
            "Reference": found.reference,
        }
        rows = "".join(
            f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>"
            for name, value in told.items()
            if value
        )
    return _PAGE.format(title=html.escape(title), rows=rows, note=html.escape(note))
