#!/usr/bin/env bash
# The table of the README: the real flight under what is known, with and without distractors in the map, both coarse methods.
# usage: scripts/measure.sh DATA_FOLDER [WORK_FOLDER]     (DATA_FOLDER holds fengyuan/, wildnav/, ariel_tiles/, train/oam_drone/)
# ONLY=REGEX runs only the rows whose name matches.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
data=$1
work=${2:-out/measure}
skyfix=${SKYFIX:-target/release/skyfix}
mkdir -p "$work"

[ -f "$work/flight.mbtiles" ] || "$skyfix" map build "$data/fengyuan/map.jpg" -o "$work/flight.mbtiles"
[ -f "$work/all.mbtiles" ] || "$skyfix" map build "$data/fengyuan/map.jpg" "$data/wildnav" "$data/ariel_tiles" "$data/train/oam_drone" -o "$work/all.mbtiles"

# name, map, further arguments
run() {
    local name=$1 map=$2
    [[ $name =~ ${ONLY:-.} ]] || return 0
    shift 2
    "$skyfix" replay "$data/fengyuan/photos" --map "$work/$map.mbtiles" --no-prior --no-viewer --out "$work/$name" "$@" >"$work/$name.txt" || true
    printf '%-28s ' "$name"
    python3 - "$work/$name" "$data/fengyuan/truth.csv" <<'PYTHON'
import csv, json, math, sys
out, truth = sys.argv[1:]
summary = json.load(open(out + "/summary.json"))
truth = {r["frame"]: r for r in csv.DictReader(open(truth)) if r["centre_trusted"] == "yes"}
errors = []
for row in csv.DictReader(open(out + "/fixes.csv")):
    t = truth.get(row["frame"])
    if t and row["outcome"] == "fix":
        north = (float(row["centre_lat_deg"]) - float(t["centre_lat"])) * 110770
        east = (float(row["centre_lon_deg"]) - float(t["centre_lon"])) * 101600
        errors.append(math.hypot(north, east))
n = len(truth)
every = sorted(errors) + [math.inf] * (n - len(errors))
print(f"centre <25 m {sum(e < 25 for e in errors) / n:.3f}  median {every[(n - 1) // 2]:.1f} m  wrong >50 m {sum(e > 50 for e in errors)}"
      f"  abstained {n - len(errors)} of {n}  {summary['frames_per_s']:.2f} frames/s")
PYTHON
}

for settings in "known" "heading:--heading none" "height:--height-error 0.2" "both:--heading none --height-error 0.2"; do
    name=${settings%%:*}
    arguments=${settings#"$name"}
    # shellcheck disable=SC2086  # words on purpose
    for map in flight all; do
        for coarse in correlation sascm; do
            run "$name-$map-$coarse" "$map" --coarse "$coarse" ${arguments#:}
        done
    done
    # shellcheck disable=SC2086
    run "$name-flight-xfeat" flight --model xfeat ${arguments#:}
done
