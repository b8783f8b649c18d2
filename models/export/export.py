"""Public models to ONNX, with their entries in the manifest.

    python export.py dinov2 --size s --weights dinov2_vits14_reg4_pretrain.pth      dense descriptors; retrieval by clusters
    python export.py dinov2 --size b --registers 0 --salad dino_salad.ckpt          with the trained SALAD head (ViT-B, no registers)
    python export.py xfeat  --weights xfeat.pt

    --side 322             side of DINOv2's input, pixels: a multiple of 14
    --variant 8192+256     SALAD's size: 8192+256, 2048+64 or 512+32
    --random SEED          random weights of the true architecture instead of a file: to try out the way, not to locate anything
    --manifest PATH        by default ../manifest.toml; the files go beside it

Then `skyfix models`, `skyfix map index area.mbtiles --model NAME`, `skyfix replay ... --model NAME`.
"""
import argparse
from pathlib import Path

import torch

import dinov2
import files
from salad import VARIANTS, Salad
from xfeat import XFeat

MANIFEST = Path(__file__).resolve().parents[1] / "manifest.toml"
DINOV2 = "https://github.com/facebookresearch/dinov2"
SALAD = "https://github.com/serizba/salad"


def randomise(module, seed):
    """Values of about the size that trained ones have, none of them zero."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            spread = 0.02 if parameter.ndim < 4 else parameter[0].numel() ** -0.5
            around_one = parameter.ndim <= 1 and (name.endswith("gamma") or "norm" in name and name.endswith("weight"))
            parameter.normal_(0.0, spread, generator=generator).add_(1.0 if around_one else 0.0)
        for name, buffer in module.named_buffers():
            if name.endswith("running_mean"):
                buffer.normal_(0.0, 0.1, generator=generator)
            elif name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5, generator=generator)
    return module


def load(path):
    state = torch.load(path, map_location="cpu", weights_only=True)
    return state.get("state_dict", state)


def of_salad(state, part):
    """The part of a SALAD checkpoint that belongs to the backbone or to the aggregator."""
    prefix = {"backbone": "backbone.model.", "aggregator": "aggregator."}[part]
    found = {key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)}
    if not found:
        raise SystemExit(f"no {prefix}*: this is no checkpoint of SALAD")
    return found


def export_dinov2(size, registers, side_px, backbone, head, variant, manifest):
    """`backbone` and `head` fill a module with weights; `head` is None for no trained head. Returns the model's name."""
    network = backbone(dinov2.DinoV2(size, registers, side_px)).fix_positions()
    channels = network.channels
    name = f"dinov2-vit{size}14{'-reg' if registers else ''}{f'-salad-{variant}' if head else ''}-{side_px}"
    path = manifest.parent / f"{name}.onnx"
    worst = files.export(network, {"image": torch.randn(1, 3, side_px, side_px)}, path, ["descriptors", "class_token"])
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, largest difference from PyTorch {worst:.1e}")
    listed = lambda values: "[" + ", ".join(str(v) for v in values) + "]"
    shape = f'channels = 3, multiple_of_px = {dinov2.PATCH_PX}, fixed_px = {side_px}, range = "unit", order = "rgb"'
    licence = "Apache-2.0 (Meta, DINOv2)" + (", last blocks trained by the authors of SALAD: see their repository for its licence" if head else "")
    lines = [
        'role = "dense"',
        f'file = "{path.name}"',
        f'sha256 = "{files.checksum(path)}"',
        f'input = {{ name = "image", {shape}, mean = {listed(dinov2.MEAN)}, std = {listed(dinov2.STD)} }}',
        f'descriptors = {{ name = "descriptors", channels = {channels} }}',
        f'class_token = {{ name = "class_token", channels = {channels} }}',
        f"stride_px = {dinov2.PATCH_PX}",
        f'licence = "{licence}"',
        f'source = "models/export/export.py, {DINOV2}"',
    ]
    files.put_entry(manifest, "model", name, lines)
    if head:
        export_salad(head(Salad(channels, variant)), name, channels, network.side**2, manifest)
    return name


def export_salad(module, of, channels, patches, manifest):
    path = manifest.parent / f"{of}-head.onnx"
    inputs = {"descriptors": torch.randn(1, channels, patches), "class_token": torch.randn(1, channels)}
    worst = files.export(module, inputs, path, ["global"], {"descriptors": {2: "patches"}})
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, largest difference from PyTorch {worst:.1e}")
    lines = [
        f'of = "{of}"',
        f'file = "{path.name}"',
        f'sha256 = "{files.checksum(path)}"',
        f'input = {{ name = "descriptors", channels = {channels} }}',
        f'class_token = {{ name = "class_token", channels = {channels} }}',
        f'global = {{ name = "global", channels = {module.length} }}',
        f"clusters = {module.clusters}",
        'licence = "see the repository of SALAD"',
        f'source = "models/export/export.py, {SALAD}"',
    ]
    files.put_entry(manifest, "aggregation", f"{of}-head", lines)


def export_xfeat(fill, manifest):
    network = fill(XFeat())
    path = manifest.parent / "xfeat.onnx"
    outputs = ["descriptors", "keypoint_logits", "reliability"]
    axes = {name: {0: "batch", 2: "rows", 3: "columns"} for name in ("input", *outputs)}
    worst = files.export(network, {"input": torch.rand(1, 3, 96, 160)}, path, outputs, axes)
    other = files.largest_difference(network, {"input": torch.rand(2, 3, 224, 128)}, path, outputs)
    if not other < files.TOLERANCE:
        raise SystemExit(f"{path}: differs from PyTorch by {other:.1e} at another size")
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB, largest difference from PyTorch {max(worst, other):.1e}")
    lines = [
        'role = "dense"',
        f'file = "{path.name}"',
        f'sha256 = "{files.checksum(path)}"',
        'input = { name = "input", channels = 3, multiple_of_px = 32, range = "unit", order = "rgb" }',
        'descriptors = { name = "descriptors", channels = 64 }',
        'keypoint_logits = { name = "keypoint_logits", channels = 65 }',
        'reliability = { name = "reliability", channels = 1 }',
        "stride_px = 8",
        'licence = "Apache-2.0"',
        'source = "https://github.com/verlab/accelerated_features"',
    ]
    files.put_entry(manifest, "model", "xfeat", lines)
    return "xfeat"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="model", required=True)
    for model in ("dinov2", "xfeat"):
        sub = commands.add_parser(model)
        weights = sub.add_mutually_exclusive_group(required=True)
        weights.add_argument("--weights", type=Path, help="the public checkpoint")
        weights.add_argument("--random", type=int, metavar="SEED")
        sub.add_argument("--manifest", type=Path, default=MANIFEST)
        if model == "dinov2":
            weights.add_argument("--salad", type=Path, help="a checkpoint of SALAD: backbone and head")
            sub.add_argument("--size", choices=list(dinov2.CHANNELS_AND_HEADS), default="s")
            sub.add_argument("--registers", type=int, choices=(0, 4), default=4)
            sub.add_argument("--side", type=int, default=322)
            sub.add_argument("--variant", choices=list(VARIANTS), default="8192+256")
            sub.add_argument("--no-head", action="store_true", help="with --random: no retrieval head")
    options = parser.parse_args()

    def strictly(state):
        return lambda module: module.load_state_dict(state) and module

    if options.model == "xfeat":
        fill = strictly(load(options.weights)) if options.weights else lambda module: randomise(module, options.random)
        export_xfeat(fill, options.manifest)
        return
    if options.random is not None:
        backbone = lambda module: randomise(module, options.random)
        head = None if options.no_head else lambda module: randomise(module, options.random + 1)
    elif options.salad:
        state = load(options.salad)
        backbone, head = strictly(of_salad(state, "backbone")), strictly(of_salad(state, "aggregator"))
    else:
        backbone, head = strictly(load(options.weights)), None
    export_dinov2(options.size, options.registers, options.side, backbone, head, options.variant, options.manifest)


if __name__ == "__main__":
    main()
