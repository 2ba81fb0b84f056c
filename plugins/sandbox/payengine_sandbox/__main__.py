"""How is the sandbox started without the platform's command line?"""

from __future__ import annotations

from payengine_sandbox.cli import app

__all__: list[str] = []

if __name__ == "__main__":
    app()
