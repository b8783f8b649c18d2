#!/usr/bin/env python3
"""Is a position right, or not given? The tables of docs/ACCEPTANCE.md: real ground of another date, ground that is not on the map, pictures
without ground, narrow views and passes, the real and the bundled flight; reliability of what is stated, and sigmas.

usage: scripts/acceptance.py WORK_FOLDER [--data ../shared/data] [--skyfix target/release/skyfix] [--only REGEX] [--frames N] [--out FILE]

Every frame is searched for in the whole map (--no-prior --odometry off) but where a row says that the filter leads. A position counts by its
image centre: wrong when not within 25 m; beside it, off by more than 50 m. Rates have their 95 % interval (Wilson).

What is finished is not run again: a run belongs to its command, its scene, the models and the binary. Says how long it will take before it
begins. --only matches names as --list shows them, such as 'cross-date .*known', 'foreign half', 'no-ground (building|afterwards)'; --frames
makes a short form, whose numbers prove nothing. The tables of everything finished with this binary are printed, and written by --out.
"""
import argparse
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from acceptance_tables import line, report, rows

ROOT = Path(__file__).resolve().parents[1]
COMMON = ["--no-prior", "--odometry", "off"]
COLUMNS = {
    "known": [],
    "heading none": ["--heading", "none"],
    "both unknown": ["--heading", "none", "--height-error", "0.2"],
    "height-error 0.2": ["--height-error", "0.2"],
    "height none": ["--height", "none"],
    "heading and height none": ["--heading", "none", "--height", "none"],
}
# Seconds a frame with two workers on two cores where nothing is measured yet.
SECONDS = {"known": 1.0, "heading none": 4.0, "both unknown": 6.0, "height-error 0.2": 1.5, "height none": 3.0, "heading and height none": 12.0}
FOREIGN_COLUMNS = ["known", "heading none", "height-error 0.2", "height none", "heading and height none"]
PARTS = {"whole": 1.0, "half": 0.5, "third": 0.333333, "quarter": 0.25}
BEGIN, END = "<!-- acceptance.py begins -->", "<!-- acceptance.py ends -->"


@dataclass
class Cell:
    """One row of a table: flights under one knowledge. A negative has no truth: every position is wrong."""
    name: str
    column: str
    flights: object  # gives (recording or photos, truth.csv or None, further words) of each flight
    map: object
    frames: int
    negative: bool = False
    common: list = field(default_factory=lambda: COMMON)
    # The filter's track is scored instead of single fixes.
    track: bool = False
    # Not fitted on: counts for reliability.
    reliability: bool = True
    notes: str = ""


def digest(path):
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def run(words):
    """Exit status, what was written, seconds, and most memory of the process, MiB."""
    begun = time.monotonic()
    with open(os.devnull) as nothing:
        process = subprocess.Popen(list(map(str, words)), stdin=nothing, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        text = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, text, time.monotonic() - begun, usage.ru_maxrss / 1024


def quiet(words):
    code, text, _, _ = run(words)
    if code:
        raise SystemExit(f"{' '.join(map(str, words))}: {text.strip()}")
    return text


class Scenes:
    """Flights and maps, made where they are not there yet: a scene belongs to the command that makes it."""

    def __init__(self, options):
        self.options, self.folder = options, options.work / "scenes"
        self.data, self.skyfix = options.data, options.skyfix
        self.folder.mkdir(parents=True, exist_ok=True)
        self.said = {}

    def made(self, name, words, before=lambda out: None):
        """A folder that a command makes; `{out}` in it is where. What it printed is kept beside it."""
        out, mark = self.folder / name, self.folder / f"{name}.txt"
        key = " ".join(map(str, words))
        if not mark.exists() or mark.read_text().split("\n", 1)[0] != key:
            print(f"{out}: making", flush=True)
            shutil.rmtree(out, ignore_errors=True)
            before(out)
            text = quiet([self.skyfix, *(out if w == "{out}" else w for w in words)])
            mark.write_text(key + "\n" + text)
        self.said[name] = mark.read_text()
        return out

    def cross_date(self, cities, years, gsd=0.6, frames=100, passes=0):
        frames = min(frames, self.options.frames or frames)
        name = f"cross-{cities.replace(',', '-')}-{years.replace(',', '-')}-{gsd}-{frames}-{passes}"
        words = ["eval", "scenes", "cross-date", self.data / "train/naip_multiyear", "{out}", "--cities", cities, "--years", years]
        words += ["--gsd", gsd, "--frames", frames, "--passes", passes, "--seed", 11]
        return self.made(name, words)

    def foreign(self, frames):
        frames = min(frames, self.options.frames or frames)
        return self.made(f"foreign-{frames}", ["eval", "scenes", "foreign", self.data, "{out}", "--frames", frames, "--seed", 21])

    def no_ground(self, kind, height, frames):
        frames = min(frames, self.options.frames or frames)
        words = ["eval", "scenes", "no-ground", "{out}", "--kinds", kind, "--frames", frames, "--height", height, "--seed", 1]
        return self.made(f"no-ground-{kind}-{height}-{frames}", words) / kind

    def crop(self, flight, name, part):
        """The flight itself when whole; else the middle of its photos, with the words that a replay needs besides."""
        if part == 1.0:
            return flight, []
        out = self.made(f"{name}-crop-{part}", ["eval", "scenes", "crop", flight, "{out}", "--part", part])
        hfov = re.search(r"--hfov (\S+)", self.said[out.name])
        return out, ["--hfov", hfov[1]] if hfov else []

    def real(self):
        """The photos of the real flight, thinned out where fewer are asked for: copies, because links are no photos."""
        photos = sorted((self.data / "fengyuan/photos").iterdir())
        count = self.options.frames or len(photos)
        if count >= len(photos):
            return self.data / "fengyuan/photos"
        out = self.folder / f"fengyuan-{count}"
        out.mkdir(exist_ok=True)
        for i in range(count):
            photo = photos[i * len(photos) // count]
            if not (out / photo.name).exists():
                shutil.copy(photo, out / photo.name)
        return out

    def map(self, name, sources):
        """A map with its index, made with the models of today."""
        path = self.folder / f"{name}.mbtiles"
        if not path.exists():
            print(f"{path}: building", flush=True)
            part = path.with_name("part-" + path.name)
            quiet([self.skyfix, "map", "build", *sources, "-o", part, "--force"])
            part.rename(path)
        mark, key = path.with_suffix(".key"), digest(ROOT / "models/manifest.toml") + self.options.model
        stale = not mark.exists() or mark.read_text() != key
        if stale or "no usable index" in run([self.skyfix, "map", "info", path, "--model", self.options.model])[1]:
            print(f"{path}: indexing", flush=True)
            quiet([self.skyfix, "map", "index", path, "--model", self.options.model])
            mark.write_text(key)
        return path


def cells(scenes):
    """All rows of all tables."""
    data, out = scenes.data, []
    held_out, trained = "riverside,claremont", "long_beach,palm_springs"

    def own_map(scene):
        # The mosaic does not depend on how many photos are taken of it.
        return scenes.map(scene().name.rsplit("-", 2)[0], [scene() / "map.png"])

    def cross(cities, years, column, gsd=0.6, part="whole", reliability=True):
        scene = lambda: scenes.cross_date(cities, years, gsd)

        def flights():
            folder, words = scenes.crop(scene() / "flight", scene().name, PARTS[part])
            return [(folder, scene() / "flight/truth.csv", words)]

        name = f"cross-date {cities} {years.replace(',', '→')} {gsd} {part} {column}"
        out.append(Cell(name, column, flights, lambda: own_map(scene), 100, reliability=reliability))

    for years in ("2016,2020", "2018,2020"):
        for column in ("known", "heading none", "both unknown"):
            cross(held_out, years, column)
    for gsd in (0.55, 0.595, 0.65, 1.0):
        cross(held_out, "2016,2020", "known", gsd)
    for part in ("half", "third", "quarter"):
        cross(held_out, "2016,2020", "known", part=part)
    for column in ("known", "heading none", "both unknown"):
        # The networks were trained on these: quantity, not evidence.
        cross(trained, "2016,2020", column, reliability=False)

    base = lambda: scenes.cross_date(held_out, "2016,2020")
    base_map = lambda: own_map(base)

    def foreign_map():
        return scenes.map("cross-and-foreign", [base() / "map.png", scenes.foreign(200) / "ground"])

    for part in ("whole", "half", "quarter"):
        for column in FOREIGN_COLUMNS:
            frames = 50 if column == FOREIGN_COLUMNS[-1] else 200
            for there in (False, True):

                def flights(part=part, frames=frames):
                    scene = scenes.foreign(frames)
                    folder, words = scenes.crop(scene / "flight", scene.name, PARTS[part])
                    return [(folder, scene / "flight/truth.csv", words)]

                name = f"foreign {part} {column} {'with' if there else 'without'} its ground"
                out.append(Cell(name, column, flights, foreign_map if there else base_map, frames, negative=not there))
    for part in ("whole", "half"):
        for column in ("known", "heading none", "height none"):

            def flights(part=part):
                folder, words = scenes.crop(scenes.real(), f"fengyuan-{scenes.options.frames or 'all'}", PARTS[part])
                return [(folder, None, words)]

            out.append(Cell(f"foreign-photos {part} {column} without its ground", column, flights, base_map, 31, negative=True, reliability=False))
    for kinds in ("building", "afterwards"):
        for height in (40, 80, 120):
            for kind in scenes.options.kinds[kinds]:
                flights = lambda kind=kind, height=height: [(scenes.no_ground(kind, height, 20), None, [])]
                out.append(Cell(f"no-ground {kinds} {kind} {height} m", "known", flights, base_map, 20, negative=True))

    real_map = lambda: scenes.map("fengyuan", [data / "fengyuan/map.jpg"])
    for part in ("whole", "half", "third", "quarter"):
        for column in ("known", "heading none", "both unknown") if part == "whole" else ("known",):

            def flights(part=part):
                folder, words = scenes.crop(scenes.real(), f"fengyuan-{scenes.options.frames or 'all'}", PARTS[part])
                return [(folder, data / "fengyuan/truth.csv", words)]

            out.append(Cell(f"real {part} {column}", column, flights, real_map, 31, reliability=False))
    whole = lambda: [(scenes.real(), data / "fengyuan/truth.csv", [])]
    out.append(Cell("real whole with the filter", "known", whole, real_map, 31, common=[], track=True, reliability=False))
    demo = ROOT / "recordings/demo"
    bundled = lambda: [(demo, demo / "truth.csv", [])]
    for name, common, track in (("bundled known", COMMON, False), ("bundled with the filter", [], True)):
        out.append(Cell(name, "known", bundled, lambda: demo / "map.mbtiles", len(rows(demo / "photos.csv")), common=common, track=track, reliability=False))

    def passes():
        count = min(20, scenes.options.frames or 20)
        folder = scenes.cross_date(held_out, "2016,2020", frames=0, passes=count) / "passes"
        return [(flight, flight / "truth.csv", []) for flight in sorted(folder.iterdir())]

    out.append(Cell("passes quarter single frames", "known", passes, base_map, 200))
    out.append(Cell("passes quarter with the filter", "known", passes, base_map, 200, common=[], track=True, reliability=False))
    return out


class Runs:
    """Replays, each once."""

    def __init__(self, options):
        self.options = options
        self.binary, self.models = digest(options.skyfix), digest(ROOT / "models/manifest.toml")
        self.results = {}

    def folder(self, cell):
        frames = f"-{self.options.frames}" if self.options.frames else ""
        return self.options.work / "runs" / (re.sub(r"[^a-z0-9.]+", "-", cell.name.replace("→", "-").lower()).strip("-") + frames)

    def key(self, cell):
        return {"column": cell.column, "common": cell.common, "model": self.options.model, "set": self.options.set, "models": self.models, "binary": self.binary, "frames": self.options.frames}

    def finished(self, cell):
        mark = self.folder(cell) / "acceptance.json"
        if not mark.exists():
            return None
        result = json.loads(mark.read_text())
        return result if result["key"] == self.key(cell) else None

    def run(self, cell):
        folder = self.folder(cell)
        shutil.rmtree(folder, ignore_errors=True)
        map_path, flights = cell.map(), cell.flights()
        index = sum(p.stat().st_size for p in map_path.parent.glob(f"{map_path.stem}.*.safetensors"))
        result = {"key": self.key(cell), "seconds": 0.0, "memory_mib": 0.0, "index_mib": index / 2**20, "flights": []}
        for i, (source, truth, words) in enumerate(flights):
            out = folder if len(flights) == 1 else folder / f"{i:03}"
            command = [self.options.skyfix, "replay", source, "--map", map_path, "--model", self.options.model, *COLUMNS[cell.column], *cell.common]
            command += [*words, *(w for s in self.options.set for w in ("--set", s)), "-w", self.options.workers, "--no-viewer", "--out", out]
            code, text, seconds, memory = run(command)
            # 3: not one frame was localized.
            if code not in (0, 3):
                raise SystemExit(f"{' '.join(map(str, command))}: {text.strip()}")
            result["seconds"] += seconds
            result["memory_mib"] = max(result["memory_mib"], memory)
            result["flights"].append([str(out), str(truth) if truth else None])
        (folder / "acceptance.json").write_text(json.dumps(result))

    def seconds_left(self, chosen):
        """Of the cells that are not finished: from finished ones of their column, else from the list above."""
        done = {c.name: self.finished(c) for c in chosen}
        left = 0.0
        for cell in chosen:
            if done[cell.name] is None:
                like = [(c.frames, done[c.name]["seconds"]) for c in chosen if done[c.name] and c.column == cell.column]
                frames = min(cell.frames, self.options.frames or cell.frames)
                each = sum(s for _, s in like) / sum(min(n, self.options.frames or n) for n, _ in like) if like else SECONDS[cell.column]
                left += each * frames
        return left


def kinds_of(skyfix):
    """Kinds of pictures without ground, as the command lists them in an error about one that is none."""
    names = re.search(r"some of (.+)", run([skyfix, "eval", "scenes", "no-ground", os.devnull, "--kinds", "?"])[1])
    if names is None:
        raise SystemExit(f"{skyfix}: has no `eval scenes no-ground`; build it anew")
    kinds = re.findall(r"\w+", names[1])
    return {"building": kinds[:10], "afterwards": kinds[10:]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("work", type=Path)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SKYFIX_DATA", ROOT / "../shared/data")))
    parser.add_argument("--skyfix", type=Path, default=ROOT / "target/release/skyfix")
    parser.add_argument("--model", default="skyfix-dense")
    parser.add_argument("--only", default=".", help="rows whose name matches")
    parser.add_argument("--frames", type=int, help="at most so many frames a row")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a key of the configuration, for every run")
    parser.add_argument("--list", action="store_true", help="name the rows and end")
    parser.add_argument("--out", type=Path, help="put the tables between their marks in this file (docs/ACCEPTANCE.md)")
    options = parser.parse_args()
    options.kinds = kinds_of(options.skyfix)
    scenes, runs = Scenes(options), Runs(options)
    every = cells(scenes)
    chosen = [c for c in every if re.search(options.only, c.name)]
    if options.list:
        print("\n".join(f"{'finished' if runs.finished(c) else '        '}  {c.name}" for c in chosen))
        return
    if options.out and options.out.exists() and BEGIN not in options.out.read_text():
        raise SystemExit(f"{options.out}: no {BEGIN}")
    open_cells = [c for c in chosen if not runs.finished(c)]
    print(f"{len(open_cells)} of {len(chosen)} rows to run; about {runs.seconds_left(chosen) / 60:.0f} minutes, and the scenes and maps that are not there yet", flush=True)
    for cell in open_cells:
        runs.run(cell)
        print(" | ".join(map(str, line(cell, runs.finished(cell), "track.csv" if cell.track else "fixes.csv"))), flush=True)
        print(f"about {runs.seconds_left(chosen) / 60:.0f} minutes left", flush=True)
    done = [(c, r) for c in every if (r := runs.finished(c))]
    text = report(done, options, runs)
    print(text)
    if options.out:
        old = options.out.read_text() if options.out.exists() else f"{BEGIN}\n{END}\n"
        options.out.write_text(re.sub(f"{BEGIN}.*{END}", lambda _: f"{BEGIN}\n{text}\n{END}", old, flags=re.S))


if __name__ == "__main__":
    sys.exit(main())
