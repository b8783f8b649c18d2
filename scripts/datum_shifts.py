#!/usr/bin/env python3
"""Makes src/map/import/datum_shifts.csv: how the datums of coordinate reference systems lie to WGS 84, from the EPSG dataset that comes with PROJ.

usage: scripts/datum_shifts.py > src/map/import/datum_shifts.csv
       scripts/datum_shifts.py --points CODE ... > src/map/import/proj_points.csv    points that PROJ converts, for the tests

Needs pyproj (made with 3.7.2, PROJ 9.5.1). Of each geographic and projected system the transformation that PROJ takes for its area of use is written, where that
is a shift of three or seven parameters (position vector convention; metres, seconds of arc, parts per million) and needs no grid, with its accuracy.
"""
import argparse
import collections
import math

from pyproj.aoi import AreaOfInterest
from pyproj.database import query_crs_info
from pyproj.enums import PJType
from pyproj.transformer import TransformerGroup

# Other than one step of translation, rotation and scale.
OTHER = ("gridshift", "geogoffset", "molodensky", "deformation", "proj=affine", "t_epoch", "dx=")
PARAMETERS = ("x", "y", "z", "rx", "ry", "rz", "s")


def shift(transformation):
    """Of a transformation to WGS 84, zeros where the datums are one; nothing where it is no shift."""
    text = transformation.definition
    steps = [step for step in text.split("step") if "proj=helmert" in step]
    if "Ballpark" in transformation.description or any(word in text for word in OTHER) or len(steps) > 1 or any(" inv " in f" {step} " for step in steps):
        return None
    words = dict(word.split("=", 1) for step in steps for word in step.split() if "=" in word)
    values = [float(words.get(name, 0)) for name in PARAMETERS]
    if words.get("convention") == "coordinate_frame":
        values[3:6] = [-value for value in values[3:6]]
    return tuple(values)


def number(value):
    return f"{value:.7f}".rstrip("0").rstrip(".") if value else "0"


def transformations(code, area):
    """Of PROJ, from a system to WGS 84, the one for the area first."""
    return TransformerGroup(code, 4326, always_xy=True, area_of_interest=AreaOfInterest(area.west, area.south, area.east, area.north)).transformers


def systems():
    kinds = [PJType.PROJECTED_CRS, PJType.GEOGRAPHIC_2D_CRS]
    for system in query_crs_info(auth_name="EPSG", pj_types=kinds, allow_deprecated=True):
        # Codes of the library that skyfix uses have 16 bits.
        if int(system.code) <= 65535 and system.area_of_use is not None:
            yield int(system.code), system.area_of_use


def table():
    found = collections.defaultdict(list)
    for code, area in systems():
        try:
            candidates = transformations(code, area)
        except Exception:  # Systems of one dimension, engineering systems.
            continue
        best = next(((values, t.accuracy) for t in candidates if (values := shift(t))), None)
        if best and any(best[0]):
            found[best].append(code)
    print("towgs84,accuracy_m,codes")
    for (values, accuracy), codes in sorted(found.items(), key=lambda item: min(item[1])):
        print(f"{' '.join(map(number, values))},{accuracy:g},{' '.join(map(str, sorted(codes)))}")


def points(codes):
    """A point a quarter into the area of use of each code."""
    areas = dict(systems())
    print("code,x,y,lat_deg,lon_deg")
    for code in codes:
        area = areas[code]
        east = area.east + 360 * (area.east < area.west)
        lon, lat = area.west + (east - area.west) / 4, area.south + (area.north - area.south) / 4
        usable = [t for t in transformations(code, area) if "Ballpark" not in t.description]
        x, y = usable[0].transform(lon, lat, direction="INVERSE")
        if not (math.isfinite(x) and math.isfinite(y)):
            raise SystemExit(f"EPSG:{code}: no such point")
        print(f"{code},{x:.8f},{y:.8f},{lat:.8f},{lon:.8f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", nargs="+", type=int, metavar="CODE")
    options = parser.parse_args()
    points(options.points) if options.points else table()


if __name__ == "__main__":
    main()
