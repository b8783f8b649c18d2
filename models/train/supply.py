"""Batches made ahead by worker processes: drawing a pair costs more than the step that learns from it."""
import argparse
import functools
import itertools
import os

import onnxruntime
import torch
from torch.utils.data import DataLoader, Dataset


class Steps(Dataset):
    def __init__(self, make):
        self.make = make

    def __getitem__(self, step):
        return self.make(step)


def batches(make, first_step: int, workers: int):
    """`make(step)` for every step from the first on, in order, whatever the number of workers; 0 makes them here."""
    if workers == 0:
        return map(make, itertools.count(first_step))
    loader = DataLoader(
        Steps(make), sampler=itertools.count(first_step), batch_size=None, num_workers=workers, prefetch_factor=4,
        multiprocessing_context="fork",
    )  # fmt: skip
    return iter(loader)


def inference_session(path, threads: int = 2) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


@functools.cache
def _session_of(process: int, path, threads: int):
    return inference_session(path, threads)


def session_here(path, threads: int = 1) -> onnxruntime.InferenceSession:
    """The session of this process: one does not survive a fork."""
    return _session_of(os.getpid(), path, threads)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=int, default=2, help="threads of this process")
    parser.add_argument("--workers", type=int, default=0, help="processes that make the batches; 0: this one does")
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
