//! Several frames together: places that no single frame decides on, carried from frame to frame until one has won.
//!
//! A frame that sees little ground, or ground that repeats itself, leaves a few places to choose between. A false one must err by the same
//! vector in the next frame to be seen again, a right one only has to move as the aircraft did: so a place that several frames find is worth
//! more than all of them alone, by the area of the map over the area in which it was expected (the scene matchers of the 1970s, DSMAC and
//! TERCOM, accepted a position on such agreement only). Frames that see the same ground are not independent of each other and count as far as
//! the view has moved; no frame counts for more than a bound, because a wrong one must not decide alone.

use nalgebra::{Matrix2, Vector2};

use crate::geo::{EnuPlane, Geodetic};
use crate::time::seconds_between;
use crate::types::{Contender, Fix};

/// Most places that are carried.
const CARRIED: usize = 256;
/// A contender agrees with a place within so many sigmas.
const GATE_SIGMAS: f64 = 3.0;
/// The error that contenders have besides what they state, metres an axis: they are told by few matches.
const FLOOR_M: f64 = 3.0;
/// A place whose 1 sigma has grown beyond this has been lost sight of, metres.
const LOST_M: f64 = 40.0;
/// What a frame alone may say for or against a place, nats.
const MOST_OF_A_FRAME: f64 = 3.0;
/// What its agreement with frames before may add, nats.
const MOST_OF_AGREEMENT: f64 = 6.0;
/// What a frame that does not find a place says against it, nats: a right one is found in every third frame or so.
const NOT_FOUND: f64 = -0.35;
/// A place speaks for itself once it is so many times more likely than not, nats,
const WON: f64 = 6.9;
/// and so many times more likely than the next, nats,
const LEAD: f64 = 4.0;
/// and has been found so often,
const FINDS: usize = 3;
/// in so many views of other ground.
const VIEWS: f64 = 1.8;
/// Half the view, of the height: how far an aircraft moves until it sees other ground.
const VIEW_OF_HEIGHT: f64 = 0.35;

/// How the aircraft moved since the frame before, metres east and north, with the covariance of that.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moved {
    /// Metres east and north.
    pub en_m: Vector2<f64>,
    /// Its covariance, m².
    pub covariance_m2: Matrix2<f64>,
}

/// A place that frames may have seen.
#[derive(Clone, Debug, PartialEq)]
struct Carried {
    en_m: Vector2<f64>,
    covariance_m2: Matrix2<f64>,
    /// Logarithm of the odds that it is right.
    log_odds: f64,
    finds: usize,
    /// How many views of other ground those are worth.
    views: f64,
    /// How far the aircraft has come since it was last found, metres.
    since_find_m: f64,
}

/// The places of the latest frames.
#[derive(Clone, Debug)]
pub struct Gathering {
    plane: Option<EnuPlane>,
    carried: Vec<Carried>,
    /// Area in which a wrong place may lie, m².
    map_area_m2: f64,
    last_ns: i64,
}

impl Gathering {
    /// Over a map of so many square metres.
    pub fn new(map_area_m2: f64) -> Self {
        Self { plane: None, carried: Vec::new(), map_area_m2: map_area_m2.max(1.0), last_ns: 0 }
    }

    /// Takes what a frame could not decide, the best place first; the fix that the frames together give, with the probability that it is wrong.
    pub fn take(&mut self, stamp_ns: i64, contenders: &[Contender], moved: Option<&Moved>) -> Option<(Fix, f64)> {
        self.carry(stamp_ns, moved);
        if contenders.is_empty() {
            return None;
        }
        let plane = match &self.plane {
            Some(plane) if !self.carried.is_empty() => *plane,
            _ => EnuPlane::at(Geodetic { alt_m: 0.0, ..contenders.first()?.fix.camera }),
        };
        let mut found = vec![false; self.carried.len()];
        let mut latest = Vec::new();
        for (at, contender) in contenders.iter().enumerate() {
            let here = plane.ground_from_lat_lon(contender.fix.camera.lat_deg, contender.fix.camera.lon_deg);
            let en_m = Vector2::new(here.e_m, here.n_m);
            let covariance_m2 = contender.fix.camera_covariance_m2() + Matrix2::identity() * (FLOOR_M * FLOOR_M);
            let own = log_odds(contender.p_wrong).clamp(-MOST_OF_A_FRAME, MOST_OF_A_FRAME);
            let nearest = self.nearest(en_m, &covariance_m2, &found);
            match nearest {
                Some((place, area_m2)) => {
                    found[place] = true;
                    let carried = &mut self.carried[place];
                    let reach_m = (VIEW_OF_HEIGHT * contender.fix.height_agl_m.0).max(1.0);
                    let share = (carried.since_find_m / reach_m).min(1.0);
                    // That one so good or a better one lies there by chance.
                    let chance = area_m2 * (at + 1) as f64 / self.map_area_m2;
                    let agreement = (-chance.ln()).clamp(0.0, MOST_OF_AGREEMENT);
                    carried.log_odds += share * (agreement + own);
                    carried.finds += 1;
                    carried.views += share;
                    carried.since_find_m = 0.0;
                    (carried.en_m, carried.covariance_m2) =
                        together((carried.en_m, carried.covariance_m2), (en_m, covariance_m2));
                    latest.push((place, at));
                }
                None => {
                    let new = Carried { en_m, covariance_m2, log_odds: own, finds: 1, views: 1.0, since_find_m: 0.0 };
                    self.carried.push(new);
                    found.push(true);
                }
            }
        }
        for (carried, _) in self.carried.iter_mut().zip(&found).filter(|(_, found)| !**found) {
            carried.log_odds += NOT_FOUND;
        }
        self.plane = Some(plane);
        let won = self.winner(&latest).map(|(place, at)| {
            let p_wrong = 1.0 / (1.0 + self.carried[place].log_odds.exp());
            (contenders[at].fix.clone(), p_wrong)
        });
        self.forget();
        won
    }

    fn carry(&mut self, stamp_ns: i64, moved: Option<&Moved>) {
        let elapsed_s = seconds_between(self.last_ns, stamp_ns).max(0.0);
        self.last_ns = stamp_ns;
        let Some(moved) = moved else {
            // Nobody knows where it went.
            self.carried.clear();
            return;
        };
        if elapsed_s == 0.0 {
            return;
        }
        for carried in &mut self.carried {
            carried.en_m += moved.en_m;
            carried.covariance_m2 += moved.covariance_m2;
            carried.since_find_m += moved.en_m.norm();
        }
        self.carried.retain(|c| c.covariance_m2.trace() < LOST_M * LOST_M);
    }

    /// The place not found yet in this frame that a contender agrees with best, and the area of its gate, m².
    fn nearest(&self, en_m: Vector2<f64>, covariance_m2: &Matrix2<f64>, found: &[bool]) -> Option<(usize, f64)> {
        let mut best: Option<(f64, usize, f64)> = None;
        for (at, carried) in self.carried.iter().enumerate().filter(|(at, _)| !found[*at]) {
            let both = carried.covariance_m2 + covariance_m2;
            let off = en_m - carried.en_m;
            let Some(inverse) = both.try_inverse() else { continue };
            let distance = (off.transpose() * inverse * off)[(0, 0)];
            let area_m2 = std::f64::consts::PI * GATE_SIGMAS * GATE_SIGMAS * both.determinant().max(0.0).sqrt();
            if distance <= GATE_SIGMAS * GATE_SIGMAS && best.is_none_or(|(least, ..)| distance < least) {
                best = Some((distance, at, area_m2));
            }
        }
        best.map(|(_, at, area_m2)| (at, area_m2))
    }

    /// Of the places that the latest frame found, the one that has won.
    fn winner(&self, latest: &[(usize, usize)]) -> Option<(usize, usize)> {
        let (place, at) = *latest.iter().max_by(|a, b| self.carried[a.0].log_odds.total_cmp(&self.carried[b.0].log_odds))?;
        let own = &self.carried[place];
        let others = self.carried.iter().enumerate().filter(|(other, _)| *other != place);
        let next = others.map(|(_, c)| c.log_odds).fold(f64::NEG_INFINITY, f64::max);
        (own.finds >= FINDS && own.views >= VIEWS && own.log_odds >= WON && own.log_odds >= next + LEAD).then_some((place, at))
    }

    fn forget(&mut self) {
        // Stable: equal odds keep their order.
        self.carried.sort_by(|a, b| b.log_odds.total_cmp(&a.log_odds));
        self.carried.truncate(CARRIED);
    }
}

/// Logarithm of the odds that something is right.
fn log_odds(p_wrong: f64) -> f64 {
    let p = p_wrong.clamp(1e-9, 1.0 - 1e-9);
    ((1.0 - p) / p).ln()
}

/// Two estimates of one place.
fn together(a: (Vector2<f64>, Matrix2<f64>), b: (Vector2<f64>, Matrix2<f64>)) -> (Vector2<f64>, Matrix2<f64>) {
    let Some(gain) = (a.1 + b.1).try_inverse().map(|inverse| a.1 * inverse) else { return b };
    let covariance = (Matrix2::identity() - gain) * a.1;
    (a.0 + gain * (b.0 - a.0), (covariance + covariance.transpose()) * 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::made_fix::made_fix;
    use crate::time::nanos_from_seconds;

    const AREA_M2: f64 = 4e6;

    fn contender(e_m: f64, n_m: f64, p_wrong: f64) -> Contender {
        Contender { fix: made_fix(e_m, n_m, 4.0), p_wrong }
    }

    /// A second's flight of 20 m to the east, told to 2 m.
    fn moved() -> Moved {
        Moved { en_m: Vector2::new(20.0, 0.0), covariance_m2: Matrix2::identity() * 4.0 }
    }

    /// The first frame at which something won, and where: of contenders by frame.
    fn first_won(frames: usize, seen: impl Fn(usize) -> Vec<Contender>, moved: Option<Moved>) -> Option<(usize, Fix)> {
        let mut gathering = Gathering::new(AREA_M2);
        (0..frames).find_map(|k| gathering.take(nanos_from_seconds(k as f64), &seen(k), moved.as_ref()).map(|(fix, _)| (k, fix)))
    }

    /// Anywhere on the map, another place each time.
    fn elsewhere(k: usize) -> Contender {
        contender(((k * 733) % 1900) as f64, ((k * 977) % 1900) as f64 + 100.0, 0.9)
    }

    #[test]
    fn a_place_that_moves_as_the_aircraft_does_wins_among_wrong_ones() {
        let right = |k: usize| contender(20.0 * k as f64, 0.0, 0.8);
        let (k, fix) = first_won(10, |k| vec![elsewhere(k), right(k)], Some(moved())).unwrap();
        assert!((2..5).contains(&k), "{k}");
        assert_eq!(fix, right(k).fix);
        // Seen in every third frame it takes longer.
        let seldom = |k: usize| if k.is_multiple_of(3) { vec![elsewhere(k), right(k)] } else { vec![elsewhere(k)] };
        assert!(first_won(10, seldom, Some(moved())).is_some_and(|(later, _)| later > k));
    }

    #[test]
    fn places_all_over_the_map_never_win() {
        assert_eq!(first_won(300, |k| vec![elsewhere(k), elsewhere(3 * k + 1), elsewhere(7 * k + 2)], Some(moved())), None);
    }

    #[test]
    fn a_place_that_does_not_move_or_of_a_view_that_does_not_never_wins() {
        assert_eq!(first_won(50, |_| vec![contender(0.0, 0.0, 0.5)], Some(moved())), None);
        let hovering = Moved { en_m: Vector2::zeros(), covariance_m2: Matrix2::identity() };
        assert_eq!(first_won(50, |_| vec![contender(0.0, 0.0, 0.5)], Some(hovering)), None);
    }

    #[test]
    fn two_places_that_both_go_on_hold_each_other_up() {
        let both = |k: usize| vec![contender(20.0 * k as f64, 0.0, 0.7), contender(20.0 * k as f64, 300.0, 0.7)];
        assert_eq!(first_won(20, both, Some(moved())), None);
    }

    #[test]
    fn nothing_is_carried_where_nobody_knows_the_way() {
        assert_eq!(first_won(20, |k| vec![contender(20.0 * k as f64, 0.0, 0.5)], None), None);
    }
}
