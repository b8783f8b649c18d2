//! Times of photos: one rule of time zones for a flight, and stamps in order.

use std::collections::HashMap;

use super::metadata::PhotoMetadata;
use crate::time::NANOS_PER_SEC;
use crate::types::{Inputs, Standing};

/// More photos of one whole second than cameras take are of no known time.
const MOST_A_SECOND: usize = 5;
/// Photos without a time stand so far from all others, seconds: nothing is told of the motion between them, as between two flights.
const APART_S: i64 = 6 * 3600;
/// Zones differ by a multiple of this, seconds.
const ZONE_STEP_S: i64 = 900;

/// When a photo was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its place in the list that was given.
    pub place: usize,
    /// Its stamp.
    pub stamp_ns: i64,
    /// Coordinated universal time, nanoseconds since 1970, where that is known.
    pub utc_ns: Option<i64>,
}

fn zone(offset_s: i32) -> String {
    let sign = if offset_s < 0 { '-' } else { '+' };
    format!("{sign}{:02}:{:02}", offset_s.abs() / 3600, offset_s.abs() / 60 % 60)
}

/// The time of each photo, nanoseconds since 1970: of UTC where the zone is known, which is told as well, else of the camera's clock. One rule holds for all of them:
/// a flight's photos are of one clock, unless that would make the flight longer than the zones do that each states.
fn instants(photos: &[&PhotoMetadata], said: &mut Inputs) -> (Vec<Option<i64>>, bool) {
    let ns = |seconds: i32| i64::from(seconds) * NANOS_PER_SEC;
    let mut stated: Vec<i32> = photos.iter().filter_map(|p| p.clock_ns.and(p.offset_s)).collect();
    let count = stated.len() as u64;
    stated.sort_unstable();
    stated.dedup();
    let clocks = || photos.iter().map(|p| p.clock_ns);
    let timed = clocks().flatten().count() as u64;
    let in_zone = |offset_s: i32| clocks().map(|t| t?.checked_sub(ns(offset_s))).collect::<Vec<_>>();
    let span = |times: &[Option<i64>]| {
        let times = times.iter().flatten();
        times.clone().max().zip(times.min()).map_or(0, |(last, first)| last.saturating_sub(*first))
    };
    match stated[..] {
        [] => match by_gps(photos) {
            Some(offset_s) => {
                said.add(
                    "time",
                    Standing::Taken,
                    timed,
                    format!("EXIF, the camera's clock; UTC{} by the times of GNSS", zone(offset_s)),
                );
                (in_zone(offset_s), true)
            }
            None => {
                if timed > 0 {
                    said.add("time", Standing::Taken, timed, "EXIF, the camera's clock; its time zone is not stated");
                }
                (clocks().collect(), false)
            }
        },
        [offset_s] => {
            if count < timed {
                let words = format!(
                    "only some photos state their time zone (UTC{}); all are of one clock, so it is taken for all",
                    zone(offset_s)
                );
                said.add("time", Standing::Contradicted, count, words);
            }
            said.add("time", Standing::Taken, timed, format!("EXIF, UTC{}", zone(offset_s)));
            (in_zone(offset_s), true)
        }
        [first, ..] => {
            let of_each: Vec<Option<i64>> =
                photos.iter().map(|p| p.clock_ns?.checked_sub(ns(p.offset_s.unwrap_or(first)))).collect();
            let of_one_clock: Vec<Option<i64>> = clocks().collect();
            let each = count == timed && span(&of_each) <= span(&of_one_clock);
            let zones = stated.iter().take(4).map(|o| zone(*o)).collect::<Vec<_>>().join(", ");
            let taken =
                if each { "each photo's own is taken" } else { "all are taken to be of one clock, whose zone is not known" };
            said.add(
                "time",
                Standing::Contradicted,
                count,
                format!("photos state several time zones ({zones}); {taken}, which makes the flight the shorter one"),
            );
            (if each { of_each } else { of_one_clock }, each)
        }
    }
}

/// What the camera's clock is ahead of GNSS, where at least half of the photos that tell it agree.
fn by_gps(photos: &[&PhotoMetadata]) -> Option<i32> {
    let step = ZONE_STEP_S * NANOS_PER_SEC;
    let mut steps: Vec<i64> =
        photos.iter().filter_map(|p| p.clock_ns?.checked_sub(p.gps_time_ns?)).map(|d| (d + step / 2).div_euclid(step)).collect();
    steps.sort_unstable();
    let middle = *steps.get(steps.len() / 2)?;
    let agree = steps.iter().filter(|s| **s == middle).count();
    (2 * agree > steps.len() && (-56..=56).contains(&middle)).then(|| i32::try_from(middle * ZONE_STEP_S).ok()).flatten()
}

/// When photos were taken, in their order; stamps increase. Photos of one whole second are spread over it in the order that they come in. Photos without a time come last, in the order that they come in, each as if on a flight of its own: what
/// is not known must not be made up.
pub fn stamps(photos: &[&PhotoMetadata], said: &mut Inputs) -> Vec<Taken> {
    let (mut times, are_utc) = instants(photos, said);
    // A photo whose camera's clock says nothing may still have the time of its position.
    for (time, photo) in times.iter_mut().zip(photos) {
        *time = time.or(photo.gps_time_ns.filter(|_| photo.clock_ns.is_none()));
    }
    let mut counts = HashMap::<i64, usize>::new();
    for (time, _) in times.iter().zip(photos).filter(|(_, p)| !p.subsecond) {
        *counts.entry(time.unwrap_or(i64::MIN)).or_default() += 1;
    }
    let is_crowded = |(time, photo): (&Option<i64>, &&PhotoMetadata)| {
        let same = time.and_then(|t| counts.get(&t).copied()).unwrap_or(0);
        !photo.subsecond && (same > MOST_A_SECOND || same > 1 && photo.clock_is_of_change)
    };
    let crowd: Vec<bool> = times.iter().zip(photos).map(is_crowded).collect();
    let crowds = crowd.iter().filter(|c| **c).count() as u64;
    if crowds > 0 {
        said.add(
            "time",
            Standing::Contradicted,
            crowds,
            "more photos have the same second than a camera takes; those times are taken for none",
        );
        times.iter_mut().zip(crowd).filter(|(_, crowded)| *crowded).for_each(|(time, _)| *time = None);
    }
    let utc: Vec<Option<i64>> =
        times.iter().zip(photos).map(|(time, photo)| time.filter(|_| are_utc).or(photo.gps_time_ns)).collect();
    let mut out: Vec<(usize, i64)> = times.iter().enumerate().filter_map(|(i, t)| Some((i, (*t)?))).collect();
    out.sort_by_key(|(_, t)| *t);
    let mut start = 0;
    while start < out.len() {
        let same = out[start..].iter().take_while(|(_, t)| *t == out[start].1).count();
        if same > 1 {
            let words = "several photos of one whole second: they are spread over it, in the order of their names";
            said.add("time", Standing::Missing, same as u64, words);
        }
        for (i, (_, stamp)) in out[start..start + same].iter_mut().enumerate() {
            *stamp += NANOS_PER_SEC / same as i64 * i as i64;
        }
        start += same;
    }
    // A spread-out second may reach into photos that state parts of it.
    for i in 1..out.len() {
        out[i].1 = out[i].1.max(out[i - 1].1 + 1);
    }
    let missing: Vec<usize> = (0..photos.len()).filter(|i| times[*i].is_none()).collect();
    if !missing.is_empty() {
        let words = "no time is known of them: each is located on its own, last and in the order of names, and the track tells nothing of the \
                     way between them (their stamps only count them, 6 h apart)";
        said.add("time", Standing::Missing, missing.len() as u64, words);
    }
    let after = out.last().map(|(_, t)| t.div_euclid(NANOS_PER_SEC) + APART_S);
    for (n, i) in missing.into_iter().enumerate() {
        let seconds = after.unwrap_or(0).saturating_add(APART_S.saturating_mul(n as i64));
        let stamp = seconds.saturating_mul(NANOS_PER_SEC);
        out.push((i, out.last().map_or(stamp, |(_, before)| stamp.max(before.saturating_add(1)))));
    }
    out.into_iter().map(|(place, stamp_ns)| Taken { place, stamp_ns, utc_ns: utc[place] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn photo(clock_s: Option<i64>, offset_h: Option<i32>) -> PhotoMetadata {
        PhotoMetadata {
            clock_ns: clock_s.map(|t| t * NANOS_PER_SEC),
            offset_s: offset_h.map(|h| h * 3600),
            ..PhotoMetadata::default()
        }
    }

    fn taken(photos: &[PhotoMetadata]) -> (Vec<Taken>, String) {
        let mut said = Inputs::default();
        let taken = stamps(&photos.iter().collect::<Vec<_>>(), &mut said);
        let words = said.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
        (taken, words)
    }

    fn stamped(photos: &[PhotoMetadata]) -> (Vec<(usize, f64)>, String) {
        let (taken, words) = taken(photos);
        (taken.into_iter().map(|t| (t.place, t.stamp_ns as f64 / 1e9)).collect(), words)
    }

    fn utc_s(photos: &[PhotoMetadata]) -> Vec<Option<i64>> {
        taken(photos).0.iter().map(|t| t.utc_ns.map(|ns| ns / NANOS_PER_SEC)).collect()
    }

    #[test]
    fn photos_of_one_clock_keep_their_order_whatever_zone_an_editor_wrote_into_some() {
        let photos =
            [photo(Some(36_000), None), photo(Some(36_001), None), photo(Some(36_002), Some(8)), photo(Some(36_003), Some(8))];
        let (order, words) = stamped(&photos);
        assert_eq!(order, [(0, 7200.0), (1, 7201.0), (2, 7202.0), (3, 7203.0)]);
        assert!(words.contains("time contradicted, 2: only some photos state their time zone (UTC+08:00)"), "{words}");
    }

    #[test]
    fn several_zones_are_one_clock_or_each_its_own_as_makes_the_flight_short() {
        let one_clock = [photo(Some(36_000), Some(8)), photo(Some(36_001), Some(2)), photo(Some(36_002), Some(8))];
        let (order, words) = stamped(&one_clock);
        assert_eq!(order, [(0, 36_000.0), (1, 36_001.0), (2, 36_002.0)]);
        assert!(words.contains("several time zones (+02:00, +08:00); all are taken to be of one clock"), "{words}");
        let (order, words) = stamped(&[photo(Some(36_000), Some(1)), photo(Some(39_601), Some(2))]);
        assert_eq!(order, [(0, 32_400.0), (1, 32_401.0)]);
        assert!(words.contains("each photo's own"), "{words}");
    }

    #[test]
    fn gnss_tells_the_zone_of_a_clock_that_states_none() {
        let with_gps =
            |clock: i64, gps: i64| PhotoMetadata { gps_time_ns: Some(gps * NANOS_PER_SEC), ..photo(Some(clock), None) };
        let (order, words) = stamped(&[with_gps(36_010, 28_790), with_gps(36_012, 28_800), photo(Some(36_014), None)]);
        assert_eq!(order[0].1, 28_810.0);
        assert!(words.contains("UTC+02:00 by the times of GNSS"), "{words}");
    }

    #[test]
    fn universal_time_is_told_where_the_flights_rule_knows_the_zone_and_else_by_gnss() {
        // One photo states the zone of all; several zones that cannot all be true state none.
        assert_eq!(utc_s(&[photo(Some(36_000), None), photo(Some(36_001), Some(2))]), [Some(28_800), Some(28_801)]);
        assert_eq!(utc_s(&[photo(Some(36_000), Some(8)), photo(Some(36_001), Some(2))]), [None, None]);
        assert_eq!(utc_s(&[photo(Some(36_000), Some(1)), photo(Some(39_601), Some(2))]), [Some(32_400), Some(32_401)]);
        assert_eq!(utc_s(&[photo(Some(36_000), None)]), [None]);
        let with_gps = PhotoMetadata { gps_time_ns: Some(7 * NANOS_PER_SEC), ..photo(None, None) };
        assert_eq!(utc_s(&[with_gps]), [Some(7)]);
    }

    #[test]
    fn photos_without_a_time_come_last_each_on_its_own() {
        let (order, words) = stamped(&[photo(None, None), photo(Some(5), None), photo(None, None), photo(Some(4), None)]);
        let apart = APART_S as f64;
        assert_eq!(order, [(3, 4.0), (1, 5.0), (0, 5.0 + apart), (2, 5.0 + 2.0 * apart)]);
        assert!(words.contains("time missing, 2: no time is known of them"), "{words}");
        let (order, _) = stamped(&[photo(None, None), photo(None, None)]);
        assert_eq!(order, [(0, 0.0), (1, apart)]);
    }

    #[test]
    fn photos_of_one_second_are_spread_over_it_unless_no_camera_takes_so_many() {
        let (order, words) = stamped(&[photo(Some(4), None), photo(Some(4), None), photo(Some(5), None)]);
        assert_eq!(order, [(0, 4.0), (1, 4.5), (2, 5.0)]);
        assert!(words.contains("spread over it"), "{words}");
        let (order, words) = stamped(&vec![photo(Some(4), None); 6]);
        assert!(order.windows(2).all(|w| w[1].1 - w[0].1 >= APART_S as f64), "{order:?}");
        assert!(words.contains("time contradicted, 6"), "{words}");
        let changed = PhotoMetadata { clock_is_of_change: true, ..photo(Some(4), None) };
        assert!(stamped(&[changed.clone(), changed]).1.contains("no time is known"), "an export's time is not the camera's");
        let fine =
            |part: i64| PhotoMetadata { clock_ns: Some(4 * NANOS_PER_SEC + part), subsecond: true, ..PhotoMetadata::default() };
        assert_eq!(stamped(&[fine(1), fine(2)]).0.len(), 2);
    }

    #[test]
    fn any_number_of_photos_without_a_time_has_stamps_that_increase() {
        let photos = vec![PhotoMetadata::default(); 3000];
        let mut said = Inputs::default();
        let far = PhotoMetadata { clock_ns: Some(i64::MAX - 5), ..PhotoMetadata::default() };
        let all: Vec<&PhotoMetadata> = photos.iter().chain([&far]).collect();
        assert!(stamps(&all, &mut said).windows(2).all(|w| w[0].stamp_ns <= w[1].stamp_ns));
    }
}
