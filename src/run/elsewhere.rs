//! Whether the positions that came along lie where the map does. They are told, and used for nothing else.

use crate::geo::{Geodetic, GeodeticBounds};
use crate::map::MapStore;
use crate::recording::Truth;
use crate::types::{Inputs, Standing};

/// Positions so far beside the map are elsewhere, metres: a photo shows ground that far from the aircraft.
const BESIDE_M: f64 = 500.0;

/// Tells how far positions lie from a map, where any lie beside it.
pub fn tell(truth: &Truth, map: &MapStore, said: &mut Inputs) {
    let areas: Vec<GeodeticBounds> = map.regions().iter().map(|r| r.bounds).collect();
    let distances: Vec<f64> = truth.positions().map(|p| distance_m(p, &areas)).collect();
    let beside = distances.iter().filter(|d| **d > BESIDE_M).count() as u64;
    if beside == 0 {
        return;
    }
    let nearest = distances.iter().copied().fold(f64::INFINITY, f64::min);
    let farthest = distances.iter().copied().filter(|d| d.is_finite()).fold(0.0, f64::max);
    let path = map.path().display();
    let words = if beside == distances.len() as u64 {
        format!("all positions of GNSS lie outside of the map {path}, the nearest {} away: it is of another place", far(nearest))
    } else {
        format!("positions of GNSS lie outside of the map {path}, up to {} away", far(farthest))
    };
    said.add("position", Standing::Contradicted, beside, words);
}

fn far(metres: f64) -> String {
    if metres < 10_000.0 { format!("{:.1} km", metres / 1000.0) } else { format!("{:.0} km", metres / 1000.0) }
}

fn distance_m(at: Geodetic, areas: &[GeodeticBounds]) -> f64 {
    let nearest = areas.iter().map(|b| {
        let edge = Geodetic::ground(at.lat_deg.clamp(b.south_deg, b.north_deg), at.lon_deg.clamp(b.west_deg, b.east_deg));
        (Geodetic::ground(at.lat_deg, at.lon_deg).to_ecef() - edge.to_ecef()).norm()
    });
    nearest.fold(f64::INFINITY, f64::min)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_to_the_nearest_edge_and_nothing_inside() {
        let areas = [GeodeticBounds { west_deg: 8.0, south_deg: 47.0, east_deg: 8.1, north_deg: 47.1 }];
        assert_eq!(distance_m(Geodetic::ground(47.05, 8.05), &areas), 0.0);
        let d = distance_m(Geodetic::ground(48.1, 8.05), &areas);
        assert!((d - 111_200.0).abs() < 300.0, "{d}");
        assert_eq!(far(d), "111 km");
    }
}
