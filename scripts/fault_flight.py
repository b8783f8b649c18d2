"""A flight to be broken, and flown; see fault_matrix.py."""

import csv
import json
import os
import pathlib
import shutil
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
DEMO, VIDEO = ROOT / "recordings/demo", ROOT / "recordings/demo-video"
# Photos flown, two a second from 1 s on, and when the fault is there, seconds.
PHOTOS, FROM, TO, END = 44, 8.0, 14.0, 22.5


class Ran:
    """A flight that was flown: exit status, words, folder."""

    def __init__(self, code, words, out):
        self.code, self.words, self.out = code, words, out

    def summary(self):
        path = self.out / "summary.json"
        return json.loads(path.read_text()) if path.is_file() else {}


class Flight:
    """A copy of the first photos of the bundled flight, to be broken."""

    def __init__(self, args, name):
        self.args, self.folder = args, args.work / name.replace(":", "-")
        shutil.rmtree(self.folder, ignore_errors=True)
        self.out = self.folder / "out"
        (self.folder / "photos").mkdir(parents=True)
        for i in range(1, PHOTOS + 1):
            shutil.copy(DEMO / f"photos/{i:06d}.jpg", self.folder / "photos")
        for table in ("imu", "height", "heading", "attitude"):
            self.write(table, [r for r in self.rows(DEMO / f"{table}.csv") if r[0] == "t_ns" or int(r[0]) <= END * 1e9 + 1e9])
        self.write("photos", self.rows(DEMO / "photos.csv")[: PHOTOS + 1])
        shutil.copy(DEMO / "flight.toml", self.folder)
        self.map, self.env, self.more, self.track_rate = DEMO / "map.mbtiles", {}, [], 5

    @staticmethod
    def rows(path):
        with open(path) as table:
            return list(csv.reader(table))

    def write(self, name, rows):
        (self.folder / f"{name}.csv").write_text("\n".join(",".join(r) for r in rows) + "\n")

    def edit(self, name, change):
        """Rows of a table through a function of the row and its time, which returns a row or nothing."""
        rows = self.rows(self.folder / f"{name}.csv")
        at = 0 if rows[0][0] == "t_ns" else 1
        self.write(name, [rows[0]] + [r for r in (change(list(r), int(r[at]) / 1e9) for r in rows[1:]) if r])

    def own_map(self):
        """A copy of the map with its index, to be broken."""
        for path in (DEMO / "map.mbtiles", DEMO / "map.skyfix-dense.safetensors"):
            shutil.copy(path, self.folder)
        self.map = self.folder / "map.mbtiles"

    def command(self):
        return [str(self.args.skyfix), "replay", str(self.folder), "--map", str(self.map), "--out", str(self.out), "--no-viewer", "--track-rate", str(self.track_rate), *self.more]

    def fly(self, read=None):
        """Flies it; `read` reads its standard output, in the words' stead."""
        with open(self.folder / "stderr", "w+") as errors:
            process = subprocess.Popen(self.command(), stdout=subprocess.PIPE if read else subprocess.DEVNULL, stderr=errors, cwd=ROOT, env={**os.environ, **self.env})
            if read:
                read(process)
            try:
                code = process.wait(self.args.timeout)
            except subprocess.TimeoutExpired:
                process.kill()
                code = "hangs"
            errors.seek(0)
            return Ran(code, errors.read(), self.out)


def inside(at_s):
    return FROM <= at_s < TO
