"""What does a browser see at /graphql in development?

One page of our own that loads nothing from elsewhere.
"""

from __future__ import annotations

__all__ = ["PAGE", "PAGE_POLICY"]

#: The page's own styles and script stand inside it; it may talk to its own server only.
PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>payengine: GraphQL</title>
<style>
  :root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
  body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
  label { display: block; margin-top: 1rem; font-weight: 600; }
  input, textarea, button { font: inherit; width: 100%; box-sizing: border-box; padding: .5rem; }
  textarea, pre { font-family: ui-monospace, monospace; font-size: .9rem; }
  textarea { min-height: 12rem; }
  button { margin-top: 1rem; width: auto; padding: .5rem 1.5rem; cursor: pointer; }
  pre { overflow: auto; padding: 1rem; border: 1px solid #8884; border-radius: .5rem; }
</style>
</head>
<body>
<h1>payengine</h1>
<p>This address answers GraphQL: send a POST with a JSON body and an API key. Live events go over
a WebSocket at the same address by the protocol <code>graphql-transport-ws</code>.</p>
<pre id="curl"></pre>
<form id="form">
  <label for="key">API key</label>
  <input id="key" autocomplete="off" spellcheck="false" placeholder="kept in this page only">
  <label for="query">Query</label>
  <textarea id="query" spellcheck="false">{
  viewer { tenant { name mode } scopes }
  payments(first: 5) {
    nodes { id status amount { formatted } createdAt }
  }
}</textarea>
  <label for="variables">Variables (JSON)</label>
  <input id="variables" spellcheck="false" value="{}">
  <button>Send</button>
</form>
<label for="answer">Answer</label>
<pre id="answer" aria-live="polite">Nothing was sent yet.</pre>
<script>
  const at = (id) => document.getElementById(id);
  at("curl").textContent =
    "curl " + location.origin + "/graphql \\\\\\n" +
    "  -H 'Authorization: Bearer YOUR_KEY' -H 'Content-Type: application/json' \\\\\\n" +
    "  -d '" + JSON.stringify({ query: "{ viewer { tenant { name } } }" }) + "'";
  at("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    at("answer").textContent = "Waiting…";
    try {
      const response = await fetch("/graphql", {
        method: "POST",
        headers: {
          "Content-Type": "application/json",
          "Authorization": "Bearer " + at("key").value.trim(),
        },
        body: JSON.stringify({
          query: at("query").value,
          variables: JSON.parse(at("variables").value || "{}"),
        }),
      });
      at("answer").textContent = JSON.stringify(await response.json(), null, 2);
    } catch (problem) {
      at("answer").textContent = String(problem);
    }
  });
</script>
</body>
</html>
"""
