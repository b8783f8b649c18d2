"""The tables of scripts/acceptance.py: what became of each frame, counted."""
import csv
import math
import statistics
from dataclasses import dataclass
from pathlib import Path

SUCCESS_M, FAR_M = 25.0, 50.0
# Of what is stated: upper bounds of the bins.
BINS = [0.01, 0.05, 0.2, 0.5, 1.0]
# Limits of `p_wrong` that are compared, the one of skyfix among them.
LIMITS = [0.01, 0.03, 0.06, 0.1, 0.2, 0.4]
# Outcomes of frames where nothing but `p_wrong` decides.
DECIDED_BY_P_WRONG = ("fix", "not_on_map", "ambiguous")


def metres(at, to):
    """East and north of `to` from `at`, as score.py has it."""
    a, e2 = 6378137.0, 6.69437999014e-3
    s = math.sin(math.radians(at[0]))
    w = math.sqrt(1 - e2 * s * s)
    north = math.radians(to[0] - at[0]) * a * (1 - e2) / w**3
    return math.radians((to[1] - at[1] + 180) % 360 - 180) * a / w * math.cos(math.radians(at[0])), north


def wilson(k, n, z=1.96):
    if n == 0:
        return 0.0, 1.0
    p, d = k / n, 1 + z * z / n
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (p + z * z / (2 * n) - half) / d), min(1.0, (p + z * z / (2 * n) + half) / d)


def rate(k, n):
    low, high = wilson(k, n)
    return f"{k / n:.3f} ({low:.3f} to {high:.3f})" if n else "-"


def rows(path):
    with open(path, newline="", encoding="utf-8") as table:
        return list(csv.DictReader(table))


@dataclass
class Frame:
    """What became of a frame: metres off by the image centre (infinite where every position is wrong, None without one)."""
    error: float = None
    reason: str = ""
    p_wrong: float = None
    # Squared distance of the camera in sigmas.
    mahalanobis: float = None
    sigma: float = None
    visual: bool = False

    @property
    def given(self):
        return self.error is not None


def mahalanobis(row, truth):
    east, north = metres(truth, (float(row["lat_deg"]), float(row["lon_deg"])))
    se, sn, c = float(row["sigma_e_m"]), float(row["sigma_n_m"]), float(row["corr_en"] or 0)
    x, y = east / se, north / sn
    return (x * x - 2 * c * x * y + y * y) / (1 - c * c)


def frames_of(cell, result, table="fixes.csv"):
    """The frames of a finished cell. With truth, those whose image centre is trusted; of a track, the camera's position counts."""
    out = []
    for folder, truth in result["flights"]:
        path = Path(folder) / table
        if not path.exists():
            continue
        told = {r["frame"]: r for r in rows(path) if r["frame"]}
        track = {r["frame"]: r for r in rows(Path(folder) / "track.csv") if r["frame"]}
        true = {r["frame"]: r for r in rows(truth)} if truth else {}
        names = [n for n in told if true.get(n, {}).get("centre_trusted") == "yes"] if truth else list(told)
        for name in names:
            row, frame = told[name], Frame(visual=track.get(name, {}).get("source") == "visual")
            frame.reason = row.get("reason", "")
            if row.get("p_wrong"):
                frame.p_wrong = float(row["p_wrong"])
            fix = table == "fixes.csv"
            if row["outcome"] == "fix" if fix else row["source"] == "visual" and row["lat_deg"]:
                if cell.negative or not truth:
                    frame.error = math.inf
                else:
                    t = true[name]
                    camera = (float(t["lat"]), float(t["lon"]))
                    place = ("centre_lat_deg", "centre_lon_deg") if fix else ("lat_deg", "lon_deg")
                    at = (float(t["centre_lat"]), float(t["centre_lon"])) if fix else camera
                    frame.error = math.hypot(*metres(at, (float(row[place[0]]), float(row[place[1]]))))
                    frame.mahalanobis = mahalanobis(row, camera)
                frame.sigma = math.hypot(float(row["sigma_e_m"]), float(row["sigma_n_m"])) / math.sqrt(2)
            out.append(frame)
    return out


def markdown(head, lines):
    return "\n".join("| " + " | ".join(map(str, cells)) + " |" for cells in [head, ["---"] * len(head), *lines])


HEAD = ["row", "frames", "success < 25 m", "wrong (not within 25 m)", "of these > 50 m", "no position", "median", "frames/s", "memory MiB", "index MiB"]


def line(cell, result, table="fixes.csv", label=""):
    frames = frames_of(cell, result, table)
    errors = sorted(f.error if f.given else math.inf for f in frames)
    given = [f.error for f in frames if f.given]
    n = len(frames)
    median = errors[(n - 1) // 2] if n else math.inf
    success = "" if cell.negative else rate(sum(e < SUCCESS_M for e in given), n)
    wrong = sum(e >= SUCCESS_M for e in given)
    return [
        cell.name + label, n, success, f"{wrong}: {rate(wrong, n)}", sum(e > FAR_M for e in given), n - len(given),
        "" if cell.negative else "none" if math.isinf(median) else f"{median:.1f} m", f"{n / result['seconds']:.2f}" if result["seconds"] else "-", f"{result['memory_mib']:.0f}", f"{result['index_mib']:.0f}",
    ]


def no_ground(done):
    """Kinds by height: positions, points of the track called visual, and frames that abstained as no_ground."""
    lines, sums = [], {}
    for cell, result in done:
        if cell.name.startswith("no-ground"):
            frames = frames_of(cell, result)
            _, kinds, kind, height, _ = cell.name.split()
            row = sums.setdefault((kinds, kind), [0, 0, 0, 0])
            for i, v in enumerate((len(frames), sum(f.given for f in frames), sum(f.visual for f in frames), sum(f.reason == "no_ground" for f in frames))):
                row[i] += v
    for (kinds, kind), (n, fixes, visual, named) in sums.items():
        lines.append([kinds, kind, n, fixes, visual, named])
    if lines:
        lines.append(["all", "", *(sum(line[i] for line in lines) for i in range(2, 6))])
    return markdown(["kinds", "kind", "frames", "positions", "`visual` points", "`no_ground`"], lines) if lines else ""


def real_frames_called_no_ground(done):
    frames = [f for c, r in done if not c.name.startswith("no-ground") and not c.track for f in frames_of(c, r)]
    named = sum(f.reason == "no_ground" for f in frames)
    return f"`no_ground` on frames that show ground: {named} of {len(frames)}: {rate(named, len(frames))} (a frame counts once for every row it is in)." if frames else ""


def reliability(done):
    """Stated against found, of positions from sources that were not fitted on."""
    fixes = {"positives": [], "negatives": []}
    searched = {"positives": 0, "negatives": 0}
    known_right, known_sure = 0, 0
    for cell, result in done:
        if not cell.reliability or cell.track:
            continue
        side = "negatives" if cell.negative else "positives"
        frames = frames_of(cell, result)
        searched[side] += len(frames)
        stated = [(f.p_wrong, f.error >= SUCCESS_M) for f in frames if f.given and f.p_wrong is not None]
        fixes[side] += stated
        if side == "positives" and cell.column == "known":
            known_right += sum(not wrong for _, wrong in stated)
            known_sure += sum(not wrong and p <= BINS[0] for p, wrong in stated)
    stated = fixes["positives"] + fixes["negatives"]
    if not stated:
        return "No position states how likely it is wrong (`p_wrong` of `fixes.csv`)."
    lines, low = [], 0.0
    for high in BINS:
        chosen = [(p, w) for p, w in stated if (low < p or low == 0.0) and p <= high]
        n, wrong = len(chosen), sum(w for _, w in chosen)
        mean = statistics.fmean(p for p, _ in chosen) if n else math.nan
        interval = wilson(wrong, n)
        lines.append([f"{low:g} to {high:g}", n, f"{mean:.4f}" if n else "-", wrong, rate(wrong, n), "" if not n else "yes" if interval[0] <= mean <= interval[1] else "no"])
        low = high
    text = f"{searched['positives']} frames with their ground in the map, {searched['negatives']} without; {len(stated)} positions.\n\n"
    text += markdown(["stated", "positions", "mean stated", "wrong", "found", "agrees"], lines)
    return text + f"\n\nOf the right positions with all known, {rate(known_sure, known_right)} state at most 1 %."


def best_places(cell, result):
    """Of each frame with a best place: how likely it is said to be wrong (infinity where something else speaks against it), and whether it is wrong."""
    out, frames = [], 0
    for folder, truth in result["flights"]:
        true = {r["frame"]: r for r in rows(truth)} if truth else {}
        frames += sum(r["centre_trusted"] == "yes" for r in true.values()) if truth else len(rows(Path(folder) / "fixes.csv"))
        for row in rows(Path(folder) / "evidence.csv"):
            p = float(row["p_wrong"]) if row["outcome"] in DECIDED_BY_P_WRONG else math.inf
            if cell.negative or not truth:
                out.append((p, True))
            elif true.get(row["frame"], {}).get("centre_trusted") == "yes":
                t = true[row["frame"]]
                at, to = (float(t["centre_lat"]), float(t["centre_lon"])), (float(row["centre_lat_deg"]), float(row["centre_lon_deg"]))
                out.append((p, math.hypot(*metres(at, to)) >= SUCCESS_M))
    return out, frames


def limits(done):
    """What would be given at other limits of `p_wrong`: the price of success."""
    lines = []
    for cell, result in done:
        if cell.track or cell.name.startswith("no-ground"):
            continue
        places, frames = best_places(cell, result)
        given = [(sum(p <= most and not wrong for p, wrong in places), sum(p <= most and wrong for p, wrong in places)) for most in LIMITS]
        lines.append([cell.name, frames, "" if cell.negative else sum(not wrong for _, wrong in places), *(f"{right} + {wrong}" for right, wrong in given)])
    return markdown(["row", "frames", "right place found", *(f"at most {most:g}" for most in LIMITS)], lines) if lines else ""


def sigmas(done):
    lines = []
    for cell, result in done:
        tables = ["track.csv", "track_smoothed.csv"] if cell.track else ["fixes.csv"]
        for table in tables if not cell.negative else []:
            frames = [f for f in frames_of(cell, result, table) if f.mahalanobis is not None]
            # What is wrong altogether is counted as wrong; sigma is that of what is right.
            near = [f for f in frames if f.error < FAR_M]
            if near:
                inside = [rate(sum(f.mahalanobis <= k * k for f in near), len(near)) for k in (1, 2, 3)]
                lines.append([cell.name, table[:-4], len(near), *inside, f"{statistics.median(f.sigma for f in near):.2f} m"])
    return markdown(["row", "of", "positions", "inside 1 sigma (ideal 0.39)", "2 (0.86)", "3 (0.99)", "median sigma"], lines) if lines else ""


def section(title, text):
    return f"## {title}\n\n{text}\n" if text else ""


def report(done, options, runs):
    def table(prefix):
        lines = []
        for cell, result in done:
            if cell.name.split()[0] in prefix:
                lines += [line(cell, result, t, f" ({t[:-4]})") for t in ("track.csv", "track_smoothed.csv")] if cell.track else [line(cell, result)]
        return markdown(HEAD, lines) if lines else ""

    negatives = [(c, r) for c, r in done if c.name.split()[0] == "foreign" and c.negative]
    false = sum(f.given for c, r in negatives for f in frames_of(c, r))
    total = f"\n\nOn a map without its ground: {false} positions in {len(negatives)} of 15 rows." if negatives else ""
    short = f" Short form: at most {options.frames} frames a row." if options.frames else ""
    parts = [
        f"Binary {runs.binary[:12]}, models {runs.models[:12]}, {options.workers} workers.{short}\n",
        section("Ground of another date", table(["cross-date"])),
        section("Ground that is not on the map", table(["foreign", "foreign-photos"]) + total),
        section("Pictures without ground", (no_ground(done) + "\n\n" + real_frames_called_no_ground(done)).strip()),
        section("The real and the bundled flight", table(["real", "bundled"])),
        section("Passes", table(["passes"])),
        section("Reliability", reliability(done)),
        section("Other limits", f"Positions, right + wrong, that would be given at other limits of `p_wrong` (`match.evidence.max_p_wrong`).\n\n{other}" if (other := limits(done)) else ""),
        section("Sigma of the camera's position", sigmas(done)),
    ]
    return "\n".join(p for p in parts if p)
