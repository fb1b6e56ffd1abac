"""What this distribution registers; xplain imports it to list plugins, so torch stays out."""

from xplain import hookimpl
from xplain.hookspecs import Register

XPLAIN_API = 1


@hookimpl
def register_metrics(register: Register) -> None:
    """Register the metric."""
    register(
        "frames-needed",
        "xplain_frames_needed.metric:frames_needed",
        summary="Share of the frames that most of the attribution needs",
    )
