from torch import Tensor, zeros_like

from xplain import Explainer, Score


class LeaveOneOut(Explainer):
    """What the score loses when some frames are the baseline's; needs no gradients."""

    def __init__(self, frames: int = 4) -> None:
        if frames < 1:
            raise ValueError(f"a group has at least 1 frame, not {frames}")
        self.frames = frames  # under the parameter's name, so that it is saved

    def attribute(self, score: Score, latents: Tensor, baseline: Tensor) -> Tensor:
        """Share the drop evenly in its group: (D, N); draws (S, D, N) are averaged."""
        groups = [slice(n, n + self.frames) for n in range(0, latents.shape[1], self.frames)]
        draws = baseline if baseline.ndim == 3 else baseline[None]
        whole, attribution = score(latents[None]), zeros_like(latents)
        for draw in draws:
            for at in range(0, len(groups), score.max_batch):
                batch = groups[at : at + score.max_batch]
                variants = latents.repeat(len(batch), 1, 1)
                for variant, group in zip(variants, batch, strict=True):
                    variant[:, group] = draw[:, group]
                for drop, group in zip(whole - score(variants), batch, strict=True):
                    attribution[:, group] += drop / draw[:, group].numel() / len(draws)
        return attribution
