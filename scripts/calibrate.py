#!/usr/bin/env python3
"""Fits the weights of `match.evidence` to flights, and says how they do on others.

usage: scripts/calibrate.py --fit OUT[=TRUTH] ... [--check OUT[=TRUTH] ...] [--max-p-wrong 0.06]

OUT is the output folder of a `skyfix replay ... --no-prior`, which holds evidence.csv; TRUTH a truth.csv with centre_lat and centre_lon.
Without TRUTH the map does not show the flight, and every place is wrong. A place within 25 m is right, one beyond 40 m wrong; what lies
between is left out. Prints the keys for a pipeline file, and for every flight how many right and wrong places would be fixes.

Example, fitted on one city and checked on another:
    scripts/calibrate.py --fit out/riverside=riverside/flight/truth.csv out/foreign --check out/claremont=claremont/flight/truth.csv
"""
import argparse
import csv
import math
import sys
from pathlib import Path

NAMES = ("constant", "lead", "coarse_lead", "quarters", "narrow_quarters", "blocks", "views")
CHANCE_OF_BLOCK = 0.1  # as in src/localize/chance.rs
RIGHT_M, WRONG_M = 25.0, 40.0
RIDGE = 1e-4


def metres(lat0, lon0, lat1, lon1):
    a, e2 = 6378137.0, 6.69437999014e-3
    s = math.sin(math.radians(lat0))
    w = math.sqrt(1 - e2 * s * s)
    north = math.radians(lat1 - lat0) * a * (1 - e2) / w**3
    east = math.radians((lon1 - lon0 + 180) % 360 - 180) * a / w * math.cos(math.radians(lat0))
    return math.hypot(east, north)


def clamp(value, low, high):
    return min(max(value, low), high)


def beyond_chance(agreeing, count, chance):
    n = max(count, 1)
    share = clamp(agreeing / n, 1e-9, 1 - 1e-9)
    if share <= chance:
        return 0.0
    return n * (share * math.log(share / chance) + (1 - share) * math.log((1 - share) / (1 - chance)))


def terms(row):
    """What the model weighs: the same numbers as `terms` in src/localize/chance.rs."""
    number = lambda column: float(row[column])
    of_next = math.exp(-number("lead"))
    blocks = number("narrow_blocks_50")
    lead = blocks * (1 - of_next) / math.sqrt(blocks * (1 + of_next) + 1)
    return [
        1.0,
        clamp(lead, -2, 5),
        clamp(number("coarse_lead"), -2, 3),
        clamp((number("wide_quarter_1") + number("wide_quarter_2")) / 2, -1, 2),
        clamp((number("narrow_quarter_1") + number("narrow_quarter_2")) / 2, -1, 2),
        math.log1p(beyond_chance(blocks, number("narrow_blocks"), CHANCE_OF_BLOCK)),
        -math.log(max(number("views"), 1)),
    ]


def read(flight):
    """Terms and whether the place is wrong, of each frame of OUT[=TRUTH]; the number of frames."""
    out, _, truth_path = flight.partition("=")
    truth = {}
    if truth_path:
        for row in csv.DictReader(open(truth_path, newline="")):
            if row.get("centre_trusted", "yes") == "yes":
                truth[row["frame"]] = (float(row["centre_lat"]), float(row["centre_lon"]))
    samples = []
    for row in csv.DictReader(open(Path(out) / "evidence.csv", newline="")):
        if not truth_path:
            samples.append((terms(row), 1.0))
        elif row["frame"] in truth:
            off = metres(*truth[row["frame"]], float(row["centre_lat_deg"]), float(row["centre_lon_deg"]))
            if off <= RIGHT_M or off > WRONG_M:
                samples.append((terms(row), float(off > WRONG_M)))
    frames = len(truth) or sum(1 for _ in open(Path(out) / "fixes.csv")) - 1
    return samples, frames


def p_wrong(weights, x):
    return 1 / (1 + math.exp(clamp(sum(w * v for w, v in zip(weights, x)), -50, 50)))


def solve(a, b):
    """Gaussian elimination with pivots."""
    n = len(b)
    a = [row[:] + [b[i]] for i, row in enumerate(a)]
    for i in range(n):
        pivot = max(range(i, n), key=lambda r: abs(a[r][i]))
        a[i], a[pivot] = a[pivot], a[i]
        for r in range(i + 1, n):
            f = a[r][i] / a[i][i]
            for c in range(i, n + 1):
                a[r][c] -= f * a[i][c]
    x = [0.0] * n
    for i in reversed(range(n)):
        x[i] = (a[i][n] - sum(a[i][c] * x[c] for c in range(i + 1, n))) / a[i][i]
    return x


def fit(samples):
    """Maximum likelihood by Newton's method with a slight ridge; a weight that would be negative is left out. All right places together count
    as much as all wrong ones: how many of each are in the flights says nothing of what is met in the air."""
    n = len(samples)
    share = sum(wrong for _, wrong in samples) / n
    counts = lambda wrong: 0.5 / (share if wrong else 1 - share)
    mean = lambda k, power: sum(x[k] ** power for x, _ in samples) / n
    spread = [1.0] + [max(1e-6, mean(k, 2) - mean(k, 1) ** 2) ** 0.5 for k in range(1, len(NAMES))]
    # What does not vary cannot be told.
    free = [k for k in range(len(NAMES)) if spread[k] > 1e-3]
    weights = [0.0] * len(NAMES)
    while True:
        for _ in range(100):
            gradient = [RIDGE * n * weights[k] * spread[k] ** 2 * (k > 0) for k in free]
            hessian = [[RIDGE * n * spread[i] ** 2 * (i == j) + 1e-9 for j in free] for i in free]
            for x, wrong in samples:
                p = p_wrong(weights, x)
                for a, i in enumerate(free):
                    gradient[a] += counts(wrong) * (wrong - p) * x[i]
                    for b, j in enumerate(free):
                        hessian[a][b] += counts(wrong) * p * (1 - p) * x[i] * x[j]
            step = solve(hessian, gradient)
            largest = max(abs(s) for s in step)
            for s, k in zip(step, free):
                weights[k] -= s * min(1.0, 2.0 / largest)
            if largest < 1e-7:
                break
        negative = [k for k in free if k and weights[k] < 0]
        if not negative:
            return weights
        worst = min(negative, key=lambda k: weights[k] * spread[k])
        free.remove(worst)
        weights[worst] = 0.0


def tell(title, flights, weights, limit):
    print(f"\n{title}\n{'flight':40} frames  right  fixes  wrong  fixes  least p of a wrong one")
    for flight in flights:
        samples, frames = read(flight)
        p = [(p_wrong(weights, x), wrong) for x, wrong in samples]
        right, wrong = [q for q, w in p if not w], [q for q, w in p if w]
        fixes = lambda values: sum(q <= limit for q in values)
        least = f"{min(wrong):.4f}" if wrong else "-"
        print(f"{flight.partition('=')[0][-40:]:40} {frames:6} {len(right):6} {fixes(right):6} {len(wrong):6} {fixes(wrong):6}  {least}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", nargs="+", required=True, metavar="OUT[=TRUTH]")
    parser.add_argument("--check", nargs="*", default=[], metavar="OUT[=TRUTH]")
    parser.add_argument("--max-p-wrong", type=float, default=0.06)
    options = parser.parse_args()
    try:
        samples = [sample for flight in options.fit for sample in read(flight)[0]]
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f"calibrate.py: {error}")
    if len({wrong for _, wrong in samples}) < 2:
        sys.exit("calibrate.py: right and wrong places are needed, give flights on their own map and on another")
    weights = fit(samples)
    print("[match.evidence]")
    for name, weight in zip(NAMES, weights):
        print(f"{name} = {weight:.3f}")
    tell("fitted on", options.fit, weights, options.max_p_wrong)
    if options.check:
        tell("checked on", options.check, weights, options.max_p_wrong)


if __name__ == "__main__":
    main()
