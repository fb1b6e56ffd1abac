"""Half the precision where that is faster."""

from __future__ import annotations

import torch

SWIFT = ("avx512_bf16", "amx_bf16", "bf16")
"""What a CPU that multiplies in bfloat16 calls it, one of them."""


def halved() -> torch.autocast:
    """A context in which networks compute in bfloat16, weights stay float32.

    A third faster on CPUs that have it. Others imitate it, a convolution fourteen times slower,
    so that nothing changes there.
    """
    able = torch.cpu.get_capabilities()
    return torch.autocast(
        "cpu", dtype=torch.bfloat16, enabled=any(able.get(name) for name in SWIFT)
    )
