#!/usr/bin/env python3
"""What each stage is worth, as in arXiv 2506.09748: retrieval alone, retrieval and fine matching, all three; heading and height unknown.

usage: scripts/ablation.py WORK_FOLDER [--data ../shared/data] [--skyfix target/release/skyfix] [--write models/README.md]

Frames are pooled from the real flight (31 photos, 29 with a trusted image centre) and three simulated flights over different worlds at
different heights. Each flight's map holds the distractors as well. Heading not known, height known to ± 20 %, the whole map searched for
every frame. A frame counts by its image centre: within 25 m a success, off by more than 50 m wrong, without a fix abstained (infinitely
wrong in the median). Differences are paired, frame by frame; 95 % intervals by bootstrap over the frames.

What is finished is not run again: a run belongs to its command, the binary and models/manifest.toml, so new models run anew. Says how long
it will take before it begins (the full set on one core: some hours, SASCM most of it). For a part: --frames 12 --only 'retrieval|none'.
"""
import argparse
import csv
import hashlib
import json
import math
import random
import re
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
KNOWLEDGE = ["--heading", "none", "--height-error", "0.2", "--no-prior", "--no-viewer"]
# Name, arguments, what it is compared with, and seconds a frame on one core of a Sapphire Rapids where nothing is measured yet.
VARIANTS = (
    ("retrieval only", ["--coarse", "retrieval"], None, 2),
    ("retrieval + fine", ["--coarse", "none"], "retrieval only", 4),
    ("full, dense correlation", ["--coarse", "correlation"], "retrieval + fine", 18),
    ("full, SASCM, fixed consensus", ["--coarse", "sascm"], "retrieval + fine", 40),
    ("full, SASCM, learned consensus", ["--coarse", "sascm", "--consensus", "bundled"], "full, SASCM, fixed consensus", 600),
)
# Seed, height above ground and speed of the simulated flights: another world each.
SIMULATED = {"simulated-41": (41, 120, 12), "simulated-42": (42, 90, 10), "simulated-43": (43, 160, 15)}
REAL = "fengyuan"
SUCCESS_M, WRONG_M = 25.0, 50.0
RESAMPLINGS, SEED = 10_000, 7
EARTH_RADIUS_M = 6_371_000.0
BEGIN, END = "<!-- ablation.py begins -->", "<!-- ablation.py ends -->"


class Flights:
    """The flights with their maps, made where they are not there yet."""

    def __init__(self, options):
        self.options, self.folder = options, options.work
        self.folder.mkdir(parents=True, exist_ok=True)
        names = [REAL, *SIMULATED]
        self.sources = {name: self.real() if name == REAL else self.simulated(name) for name in names}
        self.maps = {name: self.map(name) for name in names}
        self.truths = {name: self.truth(name) for name in names}

    def real(self):
        """The photos, thinned out where fewer are asked for: copies, because links are no photos."""
        photos = sorted((self.options.data / REAL / "photos").iterdir())
        if self.options.frames >= len(photos):
            return self.options.data / REAL / "photos"
        out = self.folder / f"{REAL}-{self.options.frames}"
        out.mkdir(exist_ok=True)
        for i in range(self.options.frames):
            photo = photos[i * len(photos) // self.options.frames]
            if not (out / photo.name).exists():
                shutil.copy(photo, out / photo.name)
        return out

    def simulated(self, name):
        out = self.folder / f"{name}-{self.options.frames}"
        if not (out / "truth.csv").exists():
            seed, height, speed = SIMULATED[name]
            seconds_a_photo = 2.0
            words = ["--seed", seed, "--height", height, "--speed", speed, "--rate", 1 / seconds_a_photo, "--leg", 300]
            words += ["--duration", seconds_a_photo * self.options.frames, "--map-side", 1000]
            quiet([self.options.skyfix, "simulate", out, *words])
        return out

    def map(self, name):
        """The flight's imagery and the distractors in one map, indexed with the models of today."""
        distractors = "-".join(Path(d).name for d in self.options.distractors)
        path = self.folder / f"{name if name == REAL else self.sources[name].name}-{distractors}.mbtiles"
        if not path.exists():
            own = self.options.data / REAL / "map.jpg" if name == REAL else as_tiles(self.sources[name] / "map.mbtiles")
            print(f"{path}: building", flush=True)
            part = path.with_name("part-" + path.name)
            quiet([self.options.skyfix, "map", "build", own, *(self.options.data / d for d in self.options.distractors), "-o", part, "--force"])
            part.rename(path)
        key, mark = manifest_key(), path.with_suffix(f".{self.options.model}.key")
        if not mark.exists() or mark.read_text() != key:
            print(f"{path}: indexing", flush=True)
            quiet([self.options.skyfix, "map", "index", path, "--model", self.options.model])
            mark.write_text(key)
        return path

    def truth(self, name):
        """True image centres by frame, of the frames that are there."""
        source = self.sources[name]
        table = self.options.data / REAL / "truth.csv" if name == REAL else source / "truth.csv"
        there = {p.name for p in (source if name == REAL else source / "photos").iterdir()}
        rows = [r for r in csv.DictReader(open(table)) if r["frame"] in there and r["centre_trusted"] == "yes"]
        return {r["frame"]: (float(r["centre_lat"]), float(r["centre_lon"])) for r in rows}


def quiet(words):
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, words))}: {done.stderr.strip()}")


def as_tiles(mbtiles):
    """The finest tiles of a map as an XYZ folder, from which maps can be built."""
    out = mbtiles.with_name("tiles")
    store = sqlite3.connect(mbtiles)
    zoom = store.execute("SELECT max(zoom_level) FROM tiles").fetchone()[0]
    for x, y, data in store.execute("SELECT tile_column, tile_row, tile_data FROM tiles WHERE zoom_level = ?", (zoom,)):
        path = out / str(zoom) / str(x) / f"{2**zoom - 1 - y}.{'png' if data[1:4] == b'PNG' else 'jpg'}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return out


def manifest_key():
    return hashlib.sha256((ROOT / "models/manifest.toml").read_bytes()).hexdigest()


class Runs:
    """Replays, each once."""

    def __init__(self, options, flights):
        self.options, self.flights = options, flights
        self.binary = hashlib.sha256(Path(options.skyfix).read_bytes()).hexdigest()

    def place(self, variant, flight):
        out = self.options.work / "runs" / f"{variant[0].replace(', ', '-').replace(' ', '-')}--{self.flights.sources[flight].name}"
        words = [self.options.skyfix, "replay", self.flights.sources[flight], "--map", self.flights.maps[flight], "--model", self.options.model]
        words = [*map(str, words), *KNOWLEDGE, *variant[1], "-w", str(self.options.workers), "--out", str(out)]
        # The number of workers changes the time, not the results.
        key = {"command": [w for w in words if w != str(self.options.skyfix)], "models": manifest_key(), "binary": self.binary}
        return out, words, key

    def finished(self, variant, flight):
        out, _, key = self.place(variant, flight)
        mark = out / "ablation.json"
        return json.loads(mark.read_text()) if mark.exists() and json.loads(mark.read_text())["key"] == key else None

    def run(self, variant, flight):
        if self.finished(variant, flight):
            return
        out, words, key = self.place(variant, flight)
        begun = time.monotonic()
        done = subprocess.run(words, capture_output=True, text=True)
        # 3: not one frame was localized.
        if done.returncode not in (0, 3):
            raise SystemExit(f"{' '.join(words)}: {done.stderr.strip()}")
        seconds = time.monotonic() - begun
        (out / "ablation.json").write_text(json.dumps({"key": key, "seconds": seconds}))
        errors = self.errors(variant, flight).values()
        print(f"{variant[0]:31} {flight:13} {sum(e < SUCCESS_M for e in errors)} of {len(errors)} within {SUCCESS_M:.0f} m, {seconds:.0f} s", flush=True)

    def errors(self, variant, flight):
        """Metres of each frame with a known centre; infinite without a fix."""
        truth = self.flights.truths[flight]
        with open(self.place(variant, flight)[0] / "fixes.csv") as table:
            rows = {row["frame"]: row for row in csv.DictReader(table)}
        return {(flight, frame): distance_m(at, rows[frame]) for frame, at in truth.items()}

    def seconds_left(self, variants):
        """Of the variants that are not finished: from their finished flights, else from the list above."""
        left = 0.0
        for variant in variants:
            done = {f: self.finished(variant, f) for f in self.flights.sources}
            frames = {f: len(self.flights.truths[f]) for f in done}
            measured = [(frames[f], d["seconds"]) for f, d in done.items() if d]
            each = sum(s for _, s in measured) / sum(n for n, _ in measured) if measured else variant[3] / self.options.workers
            left += each * sum(frames[f] for f, d in done.items() if not d)
        return left


def distance_m(truth, row):
    if row["outcome"] != "fix":
        return math.inf
    north = math.radians(float(row["centre_lat_deg"]) - truth[0]) * EARTH_RADIUS_M
    east = math.radians(float(row["centre_lon_deg"]) - truth[1]) * EARTH_RADIUS_M * math.cos(math.radians(truth[0]))
    return math.hypot(north, east)


def interval(differences):
    """95 % of the mean difference, by bootstrap."""
    rng = random.Random(SEED)
    n = len(differences)
    means = sorted(sum(rng.choices(differences, k=n)) / n for _ in range(RESAMPLINGS))
    return means[int(0.025 * RESAMPLINGS)], means[int(0.975 * RESAMPLINGS)]


def row(name, errors, base):
    n = len(errors)
    ordered = sorted(errors.values())
    median = ordered[(n - 1) // 2]
    cells = [name, n, f"{sum(e < SUCCESS_M for e in ordered) / n:.3f}", "none" if math.isinf(median) else f"{median:.1f} m"]
    cells += [sum(WRONG_M < e < math.inf for e in ordered), sum(map(math.isinf, ordered))]
    if base is None:
        return cells + [""]
    other_name, other = base
    differences = [int(errors[f] < SUCCESS_M) - int(other[f] < SUCCESS_M) for f in errors]
    low, high = interval(differences)
    return cells + [f"{sum(differences) / n:+.3f} ({low:+.3f} to {high:+.3f}) against {other_name}"]


def table(runs, variants, flights):
    head = ["variant", "frames", f"success < {SUCCESS_M:.0f} m", "median", f"wrong > {WRONG_M:.0f} m", "abstained", "difference in success (95 %)"]
    lines = [head, ["---"] * len(head)]
    errors = {v[0]: {k: e for f in flights for k, e in runs.errors(v, f).items()} for v in variants}
    for name, _, base, _ in variants:
        lines.append(row(name, errors[name], (base, errors[base]) if base in errors else None))
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, default=ROOT / "../shared/data")
    parser.add_argument("--skyfix", type=Path, default=ROOT / "target/release/skyfix")
    parser.add_argument("--model", default="skyfix-dense")
    parser.add_argument("--distractors", nargs="+", default=["wildnav", "ariel_tiles", "train/oam_drone"], help="sets added to each map")
    parser.add_argument("--frames", type=int, default=60, help="frames of each flight; the real one has 31")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", default="^(?!.*learned)", help="variants whose name matches; by default all but the learned consensus")
    parser.add_argument("--flights", default=".", help="flights whose name matches")
    parser.add_argument("--each", action="store_true", help="also a table for each flight")
    parser.add_argument("--write", type=Path, help="put the table between its marks in this file")
    options = parser.parse_args()
    variants = [v for v in VARIANTS if re.search(options.only, v[0])]
    flights = Flights(options)
    chosen = [name for name in flights.sources if re.search(options.flights, name)]
    flights.sources = {name: flights.sources[name] for name in chosen}
    runs = Runs(options, flights)
    print(f"{sum(len(flights.truths[f]) for f in chosen)} frames; about {runs.seconds_left(variants) / 60:.0f} minutes left", flush=True)
    for variant in variants:
        for flight in chosen:
            runs.run(variant, flight)
        print(f"about {runs.seconds_left(variants) / 60:.0f} minutes left", flush=True)
    text = table(runs, variants, chosen)
    if options.each:
        text += "".join(f"\n\n{flight}:\n\n{table(runs, variants, [flight])}" for flight in chosen)
    print(text)
    if options.write:
        old = options.write.read_text()
        if BEGIN not in old:
            raise SystemExit(f"{options.write}: no {BEGIN}")
        options.write.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}\n{END}", old, flags=re.S))


if __name__ == "__main__":
    main()
