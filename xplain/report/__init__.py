"""The page that shows explanations: ``xplain.report.page.write_page``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xplain.report.page import write_page

__all__ = ["write_page"]


def __getattr__(name: str) -> Any:
    # At first use: the page needs matplotlib, jinja2 and torch, its name does not.
    if name != "write_page":
        raise AttributeError(f"module 'xplain.report' has no attribute {name!r}")
    from xplain.report.page import write_page

    return write_page
