"""What does the buyer see when the sandbox asks for 3-D Secure?

Two pages without scripts or foreign assets: a question with two buttons, and a farewell that
leads back to the shop. The style sheet is a file of its own, so that the strictest policy holds.
"""

from __future__ import annotations

import html
from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from payengine_sandbox.provider import Provider
from payengine_sandbox.records import Operation

__all__ = ["challenge_routes"]

_LARGEST_FORM = 1024
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

_STYLE = """\
:root { color-scheme: light dark; --ink: #1c2333; --soft: #5d6780; --page: #eef1f7;
  --card: #ffffff; --line: #dfe4ee; --yes: #1f6f54; --no: #a33a2c; }
@media (prefers-color-scheme: dark) { :root { --ink: #eef1f7; --soft: #a4aec4; --page: #12161f;
  --card: #1c2230; --line: #2d3546; --yes: #2f8f6d; --no: #c0523f; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 25rem; padding: 2rem; border-radius: 1rem;
  background: var(--card); border: 1px solid var(--line);
  box-shadow: 0 1.25rem 3rem rgb(20 30 60 / .12); }
.bank { margin: 0 0 1.5rem; font-size: .8rem; letter-spacing: .08em; text-transform: uppercase;
  color: var(--soft); }
h1 { margin: 0 0 .25rem; font-size: 1.25rem; }
.amount { margin: .75rem 0 0; font-size: 2.25rem; font-weight: 650;
  font-variant-numeric: tabular-nums; }
.note { margin: .25rem 0 1.5rem; color: var(--soft); font-size: .9rem; }
form { display: grid; gap: .75rem; }
button, .back { display: block; width: 100%; padding: .8rem 1rem; border: 0; border-radius: .6rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  color: #fff; background: var(--yes); }
button.no { color: var(--no); background: transparent; border: 1px solid var(--line); }
button:focus-visible, .back:focus-visible { outline: 3px solid var(--soft); outline-offset: 2px; }
"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">{head}
<title>{title}</title>
<link rel="stylesheet" href="{base}/challenge.css">
</head>
<body><main>
<p class="bank">Sandbox Bank · test payment</p>
{content}
</main></body>
</html>
"""

_QUESTION = """\
<h1>Is this payment yours?</h1>
<p class="amount">{amount}</p>
<p class="note">Reference {reference}. No money will move.</p>
<form method="post">
<button name="decision" value="approve">Approve</button>
<button name="decision" value="decline" class="no">Decline</button>
</form>"""

_FAREWELL = """\
<h1>{words}</h1>
<p class="amount">{amount}</p>
<p class="note">Reference {reference}. No money has moved.</p>
{back}"""


def challenge_routes(provider: Callable[[], Provider], *, base_path: str) -> Sequence[Route]:
    """The pages' routes; `base_path` is the path below which they are mounted."""

    async def style(request: Request) -> Response:
        return Response(_STYLE, media_type="text/css", headers={"cache-control": "max-age=3600"})

    async def ask(request: Request) -> Response:
        found = provider().engine.challenge(request.path_params["reference"])
        return _missing(base_path) if found is None else _shown(found, base_path)

    async def decide(request: Request) -> Response:
        form = b""
        async for part in request.stream():
            form += part
            if len(form) > _LARGEST_FORM:
                return Response("The form is too large.", status_code=413, headers=_HEADERS)
        decision = parse_qs(form.decode("ascii", "replace")).get("decision", [""])[-1]
        if decision not in ("approve", "decline"):
            return Response("Choose approve or decline.", status_code=400, headers=_HEADERS)
        reference = request.path_params["reference"]
        found = await provider().decide(reference, approve=decision == "approve")
        if found is None:
            return _missing(base_path)
        here = f"{base_path}/challenge/{found.reference}"
        return RedirectResponse(here, status_code=303, headers=_HEADERS)

    return [
        Route("/challenge.css", style, methods=["GET"]),
        Route("/challenge/{reference}", ask, methods=["GET"]),
        Route("/challenge/{reference}", decide, methods=["POST"]),
    ]


def _missing(base_path: str) -> Response:
    content = "<h1>There is no such payment</h1>\n<p class='note'>The link may be incomplete.</p>"
    return _page("Not found", content, base_path, status=404)


def _shown(found: Operation, base_path: str) -> Response:
    amount = html.escape(f"{found.amount_minor:,} {found.currency}".replace(",", "\u2009"))
    amount += " <small>minor units</small>"
    if found.status == "requires_action":
        content = _QUESTION.format(amount=amount, reference=found.reference)
        return _page("Confirm the payment", content, base_path)
    words = "The payment was declined"
    if found.status == "succeeded":
        words = "The payment is confirmed"
    back, head = "<p class='note'>You can close this page.</p>", ""
    if _is_web_address(found.return_url):
        target = html.escape(found.return_url or "", quote=True)
        back = f'<a class="back" href="{target}" rel="noreferrer">Return to the shop</a>'
        head = f'\n<meta http-equiv="refresh" content="3;url={target}">'
    content = _FAREWELL.format(words=words, amount=amount, reference=found.reference, back=back)
    return _page(words, content, base_path, head=head)


def _is_web_address(url: str | None) -> bool:
    """Only http and https: a `javascript:` address must never become a link."""
    try:
        return bool(url) and urlsplit(url or "").scheme in ("http", "https")
    except ValueError:
        return False


def _page(
    title: str, content: str, base_path: str, *, status: int = 200, head: str = ""
) -> Response:
    page = _PAGE.format(title=title, content=content, base=base_path, head=head)
    return Response(page, status_code=status, media_type="text/html", headers=_HEADERS)
