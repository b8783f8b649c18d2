"""Trainings that follow the clock and go on where their checkpoint ends."""
import math
import time
from pathlib import Path

import torch

CHECKPOINT_SECONDS = 180
WARM_UP_SHARE = 0.04


def learning_rate(progress: float, peak: float) -> float:
    """Warm-up, then a cosine down to two thousandths."""
    if progress < WARM_UP_SHARE:
        return peak * max(progress / WARM_UP_SHARE, 0.02)
    rest = (progress - WARM_UP_SHARE) / (1 - WARM_UP_SHARE)
    return peak * (0.002 + 0.998 * (1 + math.cos(math.pi * min(rest, 1))) / 2)


class Schedule:
    """The steps of a training. The schedule follows the clock, not the steps, so that it ends in time on a busy machine.

    `parts` are the modules that the checkpoint holds, by name; `kept` is stored beside them as it is.
    """

    def __init__(self, path: Path, minutes: float, peak: float, optimiser, parts: dict, **kept):
        self.path, self.minutes, self.peak, self.optimiser, self.kept = path, minutes, peak, optimiser, kept
        self.parts = parts | {"optimiser": optimiser}
        self.step, self.seconds = 0, 0.0
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            saved = torch.load(path, weights_only=True, map_location="cpu")
            for name, part in self.parts.items():
                part.load_state_dict(saved[name])
            self.step, self.seconds = saved["step"], saved["seconds"]

    def steps(self):
        """The numbers of the steps to take; sets the learning rate before each and saves now and then, and at the end."""
        spent_before, started = self.seconds, time.monotonic()
        last_saved = started
        while True:
            self.seconds = spent_before + time.monotonic() - started
            progress = self.seconds / (60 * self.minutes)
            if progress >= 1 or time.monotonic() - last_saved > CHECKPOINT_SECONDS:
                last_saved = time.monotonic()
                self.save()
            if progress >= 1:
                return
            for group in self.optimiser.param_groups:
                group["lr"] = learning_rate(progress, self.peak)
            yield self.step
            self.step += 1

    def save(self):
        state = {name: part.state_dict() for name, part in self.parts.items()}
        new = self.path.with_suffix(".new")
        torch.save(state | self.kept | {"step": self.step, "seconds": self.seconds}, new)
        new.replace(self.path)
