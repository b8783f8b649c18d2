"""What can be said of the exports without the public weights: architecture, names, numbers, and the pipeline on the result.

    make test-export            in the repository's root; a few minutes, not part of `make test`
    python -m unittest          in this folder, with skyfix built (SKYFIX, by default ../../target/release/skyfix)
"""
import csv
import json
import math
import os
import shutil
import sqlite3
import subprocess
import tempfile
import unittest
from pathlib import Path

import numpy as np
import onnx
import torch

import dinov2
import export
import files
from salad import VARIANTS, Salad, transport
from xfeat import XFeat

ROOT = Path(__file__).resolve().parents[2]
SKYFIX = Path(os.environ.get("SKYFIX", ROOT / "target/release/skyfix"))
PUBLIC_XFEAT = Path(os.environ.get("SKYFIX_DATA", ROOT / "../shared/data")).parent / "models/xfeat.onnx"
PHOTOS = ("000003.jpg", "000006.jpg", "000009.jpg")
MAP_REACH_M = 190


def public_dinov2(channels, registers):
    """Names and shapes of the public checkpoints."""
    c = channels
    names = {"cls_token": (1, 1, c), "pos_embed": (1, 1370, c), "mask_token": (1, c)}
    names |= {"register_tokens": (1, registers, c)} if registers else {}
    names |= {"patch_embed.proj.weight": (c, 3, 14, 14), "patch_embed.proj.bias": (c,), "norm.weight": (c,), "norm.bias": (c,)}
    for i in range(12):
        of_block = {
            "norm1.weight": (c,), "norm1.bias": (c,), "norm2.weight": (c,), "norm2.bias": (c,), "ls1.gamma": (c,), "ls2.gamma": (c,),
            "attn.qkv.weight": (3 * c, c), "attn.qkv.bias": (3 * c,), "attn.proj.weight": (c, c), "attn.proj.bias": (c,),
            "mlp.fc1.weight": (4 * c, c), "mlp.fc1.bias": (4 * c,), "mlp.fc2.weight": (c, 4 * c), "mlp.fc2.bias": (c,),
        }  # fmt: skip
        names |= {f"blocks.{i}.{name}": shape for name, shape in of_block.items()}
    return names


def public_salad(channels, clusters, values, token):
    """Names and shapes of `aggregator` in the public checkpoints."""
    names = {"dust_bin": ()}
    for layer, out in (("cluster_features", values), ("score", clusters)):
        names |= {f"{layer}.0.weight": (512, channels, 1, 1), f"{layer}.0.bias": (512,)}
        names |= {f"{layer}.3.weight": (out, 512, 1, 1), f"{layer}.3.bias": (out,)}
    names |= {"token_features.0.weight": (512, channels), "token_features.0.bias": (512,)}
    return names | {"token_features.2.weight": (token, 512), "token_features.2.bias": (token,)}


def shapes(module):
    return {name: tuple(value.shape) for name, value in module.state_dict().items()}


def millions(module):
    return sum(p.numel() for p in module.parameters()) / 1e6


class Architecture(unittest.TestCase):
    def test_dinov2_has_the_names_and_the_size_of_the_public_checkpoints(self):
        for size, published in (("s", 21), ("b", 86)):
            for registers in (0, 4):
                network = dinov2.DinoV2(size, registers, 322)
                public = public_dinov2(network.channels, registers)
                self.assertEqual(shapes(network), public)
                # The published counts, in whole millions, are of the network without its position embedding.
                self.assertAlmostEqual(millions(network) - network.pos_embed.numel() / 1e6, published, delta=0.6)
                network.load_state_dict({name: torch.zeros(shape) for name, shape in public.items()}, strict=True)

    def test_a_checkpoint_with_another_name_is_refused(self):
        state = dinov2.DinoV2("s", 4, 224).state_dict()
        state["blocks.0.attn.q.weight"] = state.pop("blocks.0.attn.qkv.weight")
        with self.assertRaises(RuntimeError):
            dinov2.DinoV2("s", 4, 224).load_state_dict(state)

    def test_salad_has_the_names_and_lengths_of_the_public_checkpoints(self):
        for variant, length in (("8192+256", 8448), ("2048+64", 2112), ("512+32", 544)):
            head = Salad(768, variant)
            self.assertEqual((head.length, shapes(head)), (length, public_salad(768, *VARIANTS[variant])))

    def test_the_transport_equals_its_definition(self):
        scores, dustbin = torch.randn(1, 5, 23), torch.tensor(0.7)
        kernel = np.exp(np.vstack([scores[0].double().numpy(), np.full((1, 23), 0.7)]))
        wanted = np.array([1 / 28] * 5 + [18 / 28])
        u, v = np.ones(6), np.ones(23)
        for _ in range(3):
            u = wanted / (kernel @ v)
            v = 1 / 28 / (kernel.T @ u)
        slow = (kernel * u[:, None] * v * 28)[:5]
        self.assertLess(np.abs(transport(scores, dustbin)[0].numpy() - slow).max(), 1e-5)

    def test_positions_are_those_of_the_checkpoint_at_its_size_and_keep_their_order_at_others(self):
        for registers in (0, 4):
            network = dinov2.DinoV2("s", registers, dinov2.TRAINED_PX)
            ramp = torch.linspace(0, 1, 37)
            network.pos_embed.data[:, 1:] = ramp.repeat(37)[None, :, None]  # grows to the right
            self.assertTrue(torch.equal(network.positions(), network.pos_embed))
            network.side = 23
            found = network.positions()[0, 1:, 0].reshape(23, 23)
            centres = ((torch.arange(23) + 0.5) * 37 / 23 - 0.5).clamp(0, 36) / 36
            self.assertLess((found - centres).abs()[:, 2:-2].max(), 0.01)

    def test_xfeat_has_the_published_size_and_the_outputs_of_the_public_weights(self):
        network = XFeat().eval()
        self.assertAlmostEqual(millions(network) - millions(network.fine_matcher), 0.66, delta=0.01)
        if not PUBLIC_XFEAT.is_file():
            self.skipTest(f"no public weights in {PUBLIC_XFEAT}")
        # The public file holds convolutions with their batch norm folded in: undone by a batch norm that only shifts.
        folded = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in onnx.load(PUBLIC_XFEAT).graph.initializer}
        state = network.state_dict()
        for name in [n for n in state if not n.startswith("fine_matcher")]:
            if name in folded:
                state[name] = folded[name]
            elif name.endswith("layer.1.running_mean"):
                state[name] = -folded[name.replace("layer.1.running_mean", "layer.0.weight_bias")]
            elif name.endswith("layer.1.running_var"):
                state[name] = torch.full_like(state[name], 1 - 1e-5)
            else:
                self.assertTrue(name.endswith("num_batches_tracked"), name)
        network.load_state_dict(state)
        image = torch.rand(1, 3, 192, 256)
        outputs = ["descriptors", "keypoint_logits", "reliability"]
        unit = lambda d: d / d.norm(dim=1, keepdim=True)
        session = onnx_session(PUBLIC_XFEAT)
        found = [torch.from_numpy(v) for v in session.run(outputs, {"input": image.numpy()})]
        with torch.no_grad():
            wanted = network(image)
        self.assertLess((unit(found[0]) - unit(wanted[0])).abs().max(), 1e-4)
        for f, w in zip(found[1:], wanted[1:]):
            self.assertLess((f - w).abs().max() / w.abs().max(), 1e-4)


def onnx_session(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


class Manifest(unittest.TestCase):
    def test_an_entry_is_added_once_and_then_replaced(self):
        with tempfile.TemporaryDirectory() as folder:
            manifest = Path(folder) / "manifest.toml"
            shutil.copy(ROOT / "models/manifest.toml", manifest)
            before = manifest.read_text()
            files.put_entry(manifest, "model", "new", ['file = "1"'])
            files.put_entry(manifest, "model", "new", ['file = "2"'])
            self.assertEqual(manifest.read_text(), before + '\n[[model]]\nname = "new"\nfile = "2"\n\n')
            files.put_entry(manifest, "model", "xfeat", ['file = "3"'])
            text = manifest.read_text()
            self.assertEqual(text.count('name = "xfeat"'), 1)
            self.assertIn("# Retrieval heads", text)
            self.assertIn('name = "skyfix-salad"', text)


class Pipeline(unittest.TestCase):
    """Export, equality with PyTorch (inside of the export), index of a small map, replay of bundled frames."""

    @classmethod
    def setUpClass(cls):
        if not SKYFIX.is_file():
            raise unittest.SkipTest(f"no {SKYFIX}: cargo build --release")
        cls.temporary = tempfile.TemporaryDirectory()
        cls.folder = Path(cls.temporary.name)
        demo = ROOT / "recordings/demo"
        cls.recording = cls.folder / "flight"
        (cls.recording / "photos").mkdir(parents=True)
        for name in ("flight.toml", "imu.csv", "height.csv", "heading.csv", "attitude.csv", "truth.csv"):
            (cls.recording / name).symlink_to(demo / name)
        for name in PHOTOS:
            shutil.copy(demo / "photos" / name, cls.recording / "photos" / name)  # links are no photos
        tiles(demo, cls.folder / "tiles")
        subprocess.run([SKYFIX, "map", "build", cls.folder / "tiles", "-o", cls.folder / "small.mbtiles"], check=True, stdout=subprocess.DEVNULL)
        cls.manifest = cls.folder / "manifest.toml"
        for path in (ROOT / "models").iterdir():
            if path.suffix in (".onnx", ".safetensors"):
                (cls.folder / path.name).symlink_to(path)
        shutil.copy(ROOT / "models/manifest.toml", cls.manifest)

    @classmethod
    def tearDownClass(cls):
        cls.temporary.cleanup()

    def run_skyfix(self, name, *words):
        environment = os.environ | {"SKYFIX_MODELS": str(self.folder)}
        out = self.folder / f"out-{name}"
        command = [SKYFIX, "replay", self.recording, "--map", self.folder / "small.mbtiles", "--model", name, "--out", out]
        done = subprocess.run([*map(str, command), "--no-prior", "--no-viewer", *words], env=environment, capture_output=True, text=True)
        # 3: not one frame was localized, as it must be with random weights.
        self.assertIn(done.returncode, (0, 3), done.stderr)
        with open(out / "fixes.csv") as table:
            rows = list(csv.DictReader(table))
        self.assertEqual([row["frame"] for row in rows], list(PHOTOS))
        self.assertNotIn("failed", {row["reason"] for row in rows})
        return rows

    def index_header(self, name):
        with open(self.folder / f"small.{name}.safetensors", "rb") as file:
            header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
        return json.loads(header["__metadata__"]["skyfix"]), header

    def check(self, size, side, head, variant="8192+256"):
        name = self.export_random(size, side, head, variant)
        # Retrieval and all that follows it: SASCM ranks cells on any map.
        rows = self.run_skyfix(name, "--coarse", "sascm")
        self.assertTrue(all(int(row["candidates"]) > 0 for row in rows), rows)
        skyfix, header = self.index_header(name)
        self.assertEqual(skyfix["identity"]["stride_px"], 14)
        for level in skyfix["levels"]:
            self.assertEqual(level["channels"], {"s": 384, "b": 768}[size])
            values = header[f"level{level['level']}.global"]["shape"][0]
            if head:
                clusters, length, token = VARIANTS[variant]
                self.assertEqual(values, len(level["cells"]) * (clusters * length + token))
        self.run_skyfix(name)

    def export_random(self, size, side, head, variant):
        backbone = lambda module: export.randomise(module, 1)
        fill = (lambda module: export.randomise(module, 2)) if head else None
        return export.export_dinov2(size, 4, side, backbone, fill, variant, self.manifest)

    def test_vit_s_at_224_with_salad(self):
        self.check("s", 224, True)

    def test_vit_s_at_322_with_salad(self):
        self.check("s", 322, True)

    def test_vit_s_at_224_with_the_smallest_salad(self):
        self.check("s", 224, True, "512+32")

    def test_vit_s_at_224_without_a_head(self):
        self.check("s", 224, False)

    def test_vit_b_at_224_with_salad(self):
        self.check("b", 224, True)

    def test_vit_b_at_322_equals_pytorch(self):
        self.export_random("b", 322, True, "8192+256")

    def test_xfeat(self):
        export.export_xfeat(lambda module: export.randomise(module, 3), self.manifest)
        self.run_skyfix("xfeat")


def tiles(demo, out):
    """The finest tiles of the bundled map around the photos, as an XYZ folder."""
    with open(demo / "truth.csv") as table:
        places = [(float(r["lat"]), float(r["lon"])) for r in csv.DictReader(table) if r["frame"] in PHOTOS]
    store = sqlite3.connect(demo / "map.mbtiles")
    zoom = store.execute("SELECT max(zoom_level) FROM tiles").fetchone()[0]
    side = 2**zoom

    def tile(lat, lon):
        y = (1 - math.asinh(math.tan(math.radians(lat))) / math.pi) / 2
        return int((lon + 180) / 360 * side), int(y * side)

    lat_reach, lon_reach = MAP_REACH_M / 111_000, MAP_REACH_M / 111_000 / math.cos(math.radians(places[0][0]))
    west_north = tile(max(p[0] for p in places) + lat_reach, min(p[1] for p in places) - lon_reach)
    east_south = tile(min(p[0] for p in places) - lat_reach, max(p[1] for p in places) + lon_reach)
    for x in range(west_north[0], east_south[0] + 1):
        for y in range(west_north[1], east_south[1] + 1):
            query = "SELECT tile_data FROM tiles WHERE zoom_level = ? AND tile_column = ? AND tile_row = ?"
            for (data,) in store.execute(query, (zoom, x, side - 1 - y)):
                folder = out / str(zoom) / str(x)
                folder.mkdir(parents=True, exist_ok=True)
                (folder / f"{y}.{'png' if data[:4] == bytes([0x89]) + b'PNG' else 'jpg'}").write_bytes(data)


if __name__ == "__main__":
    unittest.main()
