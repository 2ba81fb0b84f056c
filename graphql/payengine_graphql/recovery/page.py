"""What does the recovery page look like?

Pure: from what is known to HTML without scripts. Every text that is not ours is escaped; styles
stand in a file of their own, so that the strictest policy holds. The tenant's colour is no style of
the page: it would have to stand inside it.
"""

from __future__ import annotations

import html
from urllib.parse import urlsplit

from payengine.billing.collection.recovery import RecoveryView
from payengine.billing.invoice_words import amount_text, words_of

from payengine_graphql.recovery.words import PageWords, page_words

__all__ = ["POLICY", "STYLE", "gone_page", "recovery_page"]

POLICY = (
    "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)

STYLE = """\
:root { color-scheme: light dark; --ink: #1b2230; --soft: #5b6579; --page: #f2f4f8;
  --card: #ffffff; --line: #dce1ea; --go: #1d5fa8; --bad: #a33127; }
@media (prefers-color-scheme: dark) { :root { --ink: #edf0f6; --soft: #a3acbf; --page: #12151c;
  --card: #1c212c; --line: #303848; --go: #3d83d0; --bad: #e0786d; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 27rem; padding: 2rem; border-radius: 1rem;
  background: var(--card); border: 1px solid var(--line); }
h1 { margin: 0; font-size: 1.1rem; font-weight: 600; }
.amount { margin: .5rem 0 1.25rem; font-size: 2.25rem; font-weight: 650;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
fieldset { margin: 0 0 1rem; padding: 0; border: 0; display: grid; gap: .5rem; }
legend { padding: 0; margin-bottom: .25rem; color: var(--soft); }
label.way { display: flex; gap: .75rem; align-items: center; padding: .75rem 1rem;
  border: 1px solid var(--line); border-radius: .6rem; overflow-wrap: anywhere; }
input[type=text] { width: 100%; padding: .7rem .8rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: .6rem; }
button, a.go { display: block; width: 100%; padding: .85rem 1rem; border: 0; border-radius: .6rem;
  font: inherit; font-weight: 600; text-align: center; text-decoration: none; cursor: pointer;
  color: #fff; background: var(--go); }
:focus-visible { outline: 3px solid var(--soft); outline-offset: 2px; }
p { margin: 0 0 1rem; }
p.bad { color: var(--bad); font-weight: 600; }
"""

_PAGE = """\
<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">{head}
<title>{title}</title>
<link rel="stylesheet" href="/recover/style.css">
</head>
<body><main>
{content}
</main></body>
</html>
"""

_LOOKS_AGAIN = '\n<meta http-equiv="refresh" content="5">'


def recovery_page(view: RecoveryView, *, nonce: str, failed: bool = False) -> str:
    """The page of one invoice; `nonce` lets its form be sent once, `failed` says that it did not
    work."""
    words = page_words(view.language)
    amount = amount_text(view.owed_minor, view.currency, words=words_of(view.language))
    title = words.title.format(number=view.number)
    head = words.owed.format(number=view.number, shop=view.shop)
    parts = [f"<h1>{html.escape(head)}</h1>"]
    meta = ""
    if view.is_paid:
        parts.append(_told(words.paid))
    else:
        parts.append(f'<p class="amount">{html.escape(amount)}</p>')
        if failed:
            parts.append(f'<p class="bad" role="alert">{html.escape(words.failed)}</p>')
        if _is_web_address(view.next_action_url):
            parts += _action(view.next_action_url or "", words)
        if view.is_open:
            parts.append(_form(view, words, amount=amount, nonce=nonce))
        elif view.is_under_way and not view.next_action_url:
            parts.append(_told(words.under_way))
            meta = _LOOKS_AGAIN
        elif not view.is_under_way:
            parts.append(_told(words.closed))
    return _page(title, "\n".join(parts), language=view.language, head=meta)


def gone_page() -> str:
    """The one page of every link that does not work."""
    words = page_words("en")
    content = f"<h1>{html.escape(words.gone_title)}</h1>\n{_told(words.gone)}"
    return _page(words.gone_title, content, language="en")


def _form(view: RecoveryView, words: PageWords, *, amount: str, nonce: str) -> str:
    """The choice of a way to pay; a new one is a token, which only test worlds can spell here."""
    ways = [
        f'<label class="way"><input type="radio" name="method" value="{html.escape(each.id)}"'
        f"{' checked' if place == 0 else ''}> {html.escape(each.label)}</label>"
        for place, each in enumerate(view.methods)
    ]
    if view.mode == "test":
        chosen = "" if ways else " checked"
        ways.append(
            f'<label class="way"><input type="radio" name="method" value="new"{chosen}> '
            f"{html.escape(words.another)}</label>"
            f'<input type="text" name="token" autocomplete="off" maxlength="200" '
            f'aria-label="{html.escape(words.test_card)}" '
            f'placeholder="{html.escape(words.test_card)}">'
        )
    if not ways:
        return _told(words.no_method.format(shop=view.shop))
    pay = html.escape(words.pay.format(amount=amount))
    return (
        '<form method="post">\n<fieldset>'
        f"<legend>{html.escape(words.choose)}</legend>\n" + "\n".join(ways) + "\n</fieldset>\n"
        f'<input type="hidden" name="nonce" value="{html.escape(nonce)}">\n'
        f"<button>{pay}</button>\n</form>"
    )


def _action(url: str, words: PageWords) -> list[str]:
    link = html.escape(url, quote=True)
    return [
        _told(words.confirm),
        f'<p><a class="go" href="{link}" rel="noreferrer">'
        f"{html.escape(words.confirm_link)}</a></p>",
    ]


def _told(text: str) -> str:
    return f"<p>{html.escape(text)}</p>"


def _is_web_address(url: str | None) -> bool:
    """Only http and https: a `javascript:` address must never become a link."""
    try:
        return bool(url) and urlsplit(url or "").scheme in ("http", "https")
    except ValueError:
        return False


def _page(title: str, content: str, *, language: str, head: str = "") -> str:
    return _PAGE.format(
        title=html.escape(title), content=content, language=html.escape(language), head=head
    )
