"""How does a test get a plugin out of the template, as an author does?"""

from __future__ import annotations

from pathlib import Path

from copier import run_copy

from tests.doc_pages import ROOT

__all__ = ["TEMPLATE", "rendered"]

TEMPLATE = ROOT / "plugin-template"


def rendered(folder: Path, **answers: str) -> Path:
    """The folder with the rendered plugin; Acorn Pay's where no other answers are given."""
    run_copy(str(TEMPLATE), str(folder), data=answers, defaults=True, quiet=True)
    return folder
