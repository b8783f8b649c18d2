"""ONNX files, checked against PyTorch, and their entries in a manifest."""
import hashlib
import re
from pathlib import Path

import numpy as np
import onnxruntime
import torch

TOLERANCE = 1e-4


def export(module, inputs, path, outputs, dynamic_axes=None):
    """Writes a module as ONNX and returns the largest difference from PyTorch over its outputs, relative to the output's largest value
    where that is above 1. `inputs` are names with example tensors."""
    module.eval()
    example = tuple(inputs.values())
    torch.onnx.export(
        module, example, str(path), opset_version=17, input_names=list(inputs), output_names=outputs, dynamic_axes=dynamic_axes, dynamo=False
    )
    worst = largest_difference(module, inputs, path, outputs)
    if not worst < TOLERANCE:
        raise SystemExit(f"{path}: differs from PyTorch by {worst:.1e}")
    return worst


def largest_difference(module, inputs, path, outputs):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        wanted = module(*inputs.values())
    wanted = wanted if isinstance(wanted, tuple) else (wanted,)
    found = session.run(outputs, {name: tensor.numpy() for name, tensor in inputs.items()})
    difference = lambda w, f: np.abs(w.numpy() - f).max() / max(1.0, np.abs(f).max())
    return max(float(difference(w, f)) for w, f in zip(wanted, found, strict=True))


def checksum(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def put_entry(manifest: Path, table: str, name: str, lines: list[str]):
    """Adds a [[table]] of this name to a manifest, or replaces the one that is there."""
    entry = "\n".join([f"[[{table}]]", f'name = "{name}"', *lines]) + "\n\n"
    text = manifest.read_text()
    heads = [m.start() for m in re.finditer(r"^\[\[", text, re.M)] + [len(text)]
    for begin, end in zip(heads, heads[1:]):
        old = text[begin:end]
        if old.startswith(f"[[{table}]]") and re.search(rf'^name = "{re.escape(name)}"$', old, re.M):
            # A comment that belongs to the next table stays.
            kept = re.search(r"(^#.*\n|^\n)*\Z", old, re.M).group(0).lstrip("\n")
            manifest.write_text(text[:begin] + entry + kept + text[end:])
            return
    manifest.write_text(text.rstrip("\n") + "\n\n" + entry.rstrip("\n") + "\n")
