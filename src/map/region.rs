//! What a map is made of, and which separate areas it has.

use crate::geo::{EnuPlane, GeodeticBounds};

/// Sources closer to each other than this belong to one region, metres.
const REGION_GAP_M: f64 = 500.0;
/// Metres of a degree of latitude, good enough to compare with [`REGION_GAP_M`].
const METRES_PER_DEGREE: f64 = 111_195.0;

/// Where a part of the map's imagery came from.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct SourceRecord {
    /// The file or folder it was built from, without its path.
    pub name: String,
    /// The rectangle around it.
    pub bounds: GeodeticBounds,
    /// Latitude and longitude, degrees, of its corners (north-west, north-east, south-east, south-west of the picture as stored,
    /// which may be rotated); absent where the source is no single picture.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub corners_deg: Option<[(f64, f64); 4]>,
    /// Size of its pixels on the ground, metres (geometric mean of both directions).
    pub ground_sampling_distance_m: f64,
    /// Date of the imagery, ISO 8601, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub date: Option<String>,
    /// Licence of the imagery, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
}

/// One of the disjoint areas of a map, with the local plane in which work on it is done.
#[derive(Clone, Debug)]
pub struct Region {
    /// Position in [`super::MapStore::regions`].
    pub id: u32,
    /// The rectangle around it.
    pub bounds: GeodeticBounds,
    /// The local plane at the centre of the bounds.
    pub plane: EnuPlane,
    /// Pixel size of the sharpest source in the region, metres.
    pub ground_sampling_distance_m: f64,
    /// Positions in [`super::MapStore::sources`] of what it is made of.
    pub sources: Vec<usize>,
}

impl Region {
    /// The smallest rectangle of the plane around the bounds: west, south, east, north, metres.
    pub fn extent_m(&self) -> (f64, f64, f64, f64) {
        self.bounds.extent_m(&self.plane)
    }

    /// Area of that rectangle, square metres.
    pub fn area_m2(&self) -> f64 {
        let (west, south, east, north) = self.extent_m();
        (east - west) * (north - south)
    }
}

/// Distance between two rectangles, metres; 0 where they touch.
fn gap_m(a: &GeodeticBounds, b: &GeodeticBounds) -> f64 {
    let north = (a.south_deg - b.north_deg).max(b.south_deg - a.north_deg).max(0.0);
    let east = (a.west_deg - b.east_deg).max(b.west_deg - a.east_deg).max(0.0);
    let lat = ((a.centre().lat_deg + b.centre().lat_deg) / 2.0).to_radians();
    (north * METRES_PER_DEGREE).hypot(east * METRES_PER_DEGREE * lat.cos())
}

/// Merges rectangles until all that remain lie further apart than the gap; each with the positions of its members.
/// The order is that of each group's first member.
pub(crate) fn cluster(rectangles: &[GeodeticBounds]) -> Vec<(GeodeticBounds, Vec<usize>)> {
    let mut groups: Vec<(GeodeticBounds, Vec<usize>)> = Vec::new();
    for (i, bounds) in rectangles.iter().enumerate() {
        let mut merged = (*bounds, vec![i]);
        // A merged rectangle is larger than its parts and may now be close to a group that none of them was close to.
        while let Some(near) = groups.iter().position(|g| gap_m(&g.0, &merged.0) <= REGION_GAP_M) {
            let mut group = groups.remove(near);
            group.0 = group.0.union(&merged.0);
            group.1.append(&mut merged.1);
            merged = group;
        }
        merged.1.sort_unstable();
        groups.push(merged);
    }
    groups.sort_by_key(|g| g.1.first().copied());
    groups
}

/// The regions of a map.
pub(crate) fn regions(sources: &[SourceRecord]) -> Vec<Region> {
    let bounds: Vec<GeodeticBounds> = sources.iter().map(|s| s.bounds).collect();
    cluster(&bounds)
        .into_iter()
        .enumerate()
        .map(|(id, (bounds, members))| Region {
            id: id as u32,
            bounds,
            plane: EnuPlane::at(bounds.centre()),
            ground_sampling_distance_m: members
                .iter()
                .map(|&i| sources[i].ground_sampling_distance_m)
                .fold(f64::INFINITY, f64::min),
            sources: members,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rectangle(west: f64, south: f64) -> GeodeticBounds {
        GeodeticBounds { west_deg: west, south_deg: south, east_deg: west + 0.01, north_deg: south + 0.01 }
    }

    #[test]
    fn sources_within_the_gap_form_one_region_and_far_ones_their_own() {
        // 0.004° of latitude are 445 m, 0.006° are 667 m.
        let groups = cluster(&[rectangle(10.0, 50.0), rectangle(100.0, 20.0), rectangle(10.0, 50.014), rectangle(10.0, 50.03)]);
        let members: Vec<_> = groups.iter().map(|g| g.1.clone()).collect();
        assert_eq!(members, [vec![0, 2], vec![1], vec![3]]);
    }

    #[test]
    fn a_source_that_bridges_two_regions_makes_them_one() {
        let groups = cluster(&[rectangle(10.0, 50.0), rectangle(10.0, 50.02), rectangle(10.0, 50.01)]);
        assert_eq!(groups.len(), 1);
        assert_eq!(groups[0].1, [0, 1, 2]);
    }
}
