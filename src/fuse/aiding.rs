//! What telemetry tells at times of its own, between the frames: air pressure, GNSS, whether the aircraft stands on the ground.

use nalgebra::{Matrix3, Vector3};

use super::gnss_use::GnssUse;
use super::measurement::{Barometer, Gnss, Observation, Taken, ZeroVelocity};
use super::running::Running;
use super::sources::{SampledAid, SourceSettings};
use super::state::BARO_OFFSET;
use super::update::Update;
use crate::time::{nanos_from_seconds, seconds_between};
use crate::types::{BarometerSample, GnssSample, LandedSample, Plausible, TelemetryBatch, TelemetrySample};

/// 1 sigma of the height of a GNSS antenna in the plane, metres: nobody says how high the ground lies, so it tells nothing.
const NO_HEIGHT_SIGMA_M: f64 = 1e4;

/// A sample that is measured at its own time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Told {
    Barometer(BarometerSample),
    Gnss(GnssSample),
    Landed(LandedSample),
}

impl Told {
    pub fn stamp_ns(&self) -> i64 {
        match self {
            Self::Barometer(s) => s.stamp_ns,
            Self::Gnss(s) => s.stamp_ns,
            Self::Landed(s) => s.stamp_ns,
        }
    }

    /// A position of GNSS, where it is one.
    pub fn gnss(&self) -> Option<GnssSample> {
        if let Self::Gnss(sample) = self { Some(*sample) } else { None }
    }
}

/// When samples of a kind are due.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// Samples closer together than this are left out, seconds.
    interval_s: f64,
    /// So long before its stamp a sample was valid, nanoseconds.
    delay_ns: i64,
    /// When the last one that was picked was valid, nanoseconds.
    last_ns: Option<i64>,
}

impl Pace {
    fn new(interval_s: f64, delay_s: f64) -> Self {
        Self { interval_s, delay_ns: nanos_from_seconds(delay_s), last_ns: None }
    }

    fn of(aid: &SampledAid) -> Self {
        Self::new(aid.interval_s, aid.delay_s)
    }

    /// When a sample was valid, nanoseconds, if it is due. `here_ns` is where the filter is.
    fn pick(&mut self, stamp_ns: i64, here_ns: Option<i64>) -> Option<i64> {
        let valid_ns = stamp_ns.saturating_sub(self.delay_ns);
        // The filter has passed what was valid then while the sample was under way, and does not go back: the next one is due instead.
        if here_ns.is_some_and(|here_ns| valid_ns < here_ns && stamp_ns >= here_ns) {
            return None;
        }
        let due = self.last_ns.is_none_or(|last| seconds_between(last, valid_ns) >= self.interval_s);
        due.then(|| *self.last_ns.insert(valid_ns))
    }
}

/// Picks out of telemetry what is to be measured: no kind more often than is of use, GNSS as far as it is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Aiding {
    use_of_gnss: GnssUse,
    /// Stamp of the first GNSS position of the flight.
    gnss_since_ns: Option<i64>,
    barometer: Pace,
    gnss: Pace,
    landed: Pace,
    plausible: Plausible,
    /// Samples that no sensor can measure.
    pub refused: u64,
}

impl Aiding {
    pub fn new(use_of_gnss: GnssUse, sources: &SourceSettings, plausible: Plausible) -> Self {
        Self {
            use_of_gnss,
            gnss_since_ns: None,
            barometer: Pace::of(&sources.barometer),
            gnss: Pace::of(&sources.gnss),
            landed: Pace::new(sources.zero_velocity.interval_s, 0.0),
            plausible,
            refused: 0,
        }
    }

    /// Whether a sensor can measure a sample; counts it where none can.
    fn admits(&mut self, sample: &TelemetrySample) -> bool {
        let admitted = self.plausible.sample(sample);
        self.refused += u64::from(!admitted);
        admitted
    }

    /// What is to be measured of a batch, in order of time, each with the stamp that it was valid at. `here_ns` is where the filter is,
    /// once it runs.
    pub fn told(&mut self, telemetry: &TelemetryBatch, here_ns: Option<i64>) -> Vec<Told> {
        let mut told = Vec::new();
        for sample in &telemetry.barometer {
            if !self.admits(&TelemetrySample::Barometer(*sample)) {
                continue;
            }
            let picked = self.barometer.pick(sample.stamp_ns, here_ns);
            told.extend(picked.map(|stamp_ns| Told::Barometer(BarometerSample { stamp_ns, ..*sample })));
        }
        for sample in telemetry.landed.iter().filter(|s| s.landed) {
            told.extend(self.landed.pick(sample.stamp_ns, here_ns).map(|_| Told::Landed(*sample)));
        }
        for sample in &telemetry.gnss {
            if !self.admits(&TelemetrySample::Gnss(*sample)) {
                continue;
            }
            let since_ns = *self.gnss_since_ns.get_or_insert(sample.stamp_ns);
            if self.use_of_gnss.takes(sample.stamp_ns.saturating_sub(since_ns)) {
                let picked = self.gnss.pick(sample.stamp_ns, here_ns);
                told.extend(picked.map(|stamp_ns| Told::Gnss(GnssSample { stamp_ns, ..*sample })));
            }
        }
        told.sort_by_key(Told::stamp_ns);
        told
    }
}

impl Running {
    /// Measures what was told; the filter is at its stamp.
    pub(super) fn measure_told(&mut self, told: &Told, sources: &SourceSettings) {
        let stamp_ns = told.stamp_ns();
        let observation = match told {
            Told::Barometer(sample) => {
                let sigma_m = sources.barometer.sigma_factor * sample.sigma_m;
                let Some(zero_m) = self.barometer_zero_m(sample.alt_m, sigma_m) else { return };
                Observation::Barometer(Barometer { up_m: sample.alt_m - zero_m, sigma_m })
            }
            Told::Gnss(sample) => {
                let here = self.plane.ground_from_lat_lon(sample.lat_deg, sample.lon_deg);
                let up_m = self.navigator.filter.state.position_m.z;
                let sigma_m = sources.gnss.sigma_factor * sample.sigma_m;
                let sigmas_m = Vector3::new(sigma_m, sigma_m, NO_HEIGHT_SIGMA_M);
                let covariance = Matrix3::from_diagonal(&sigmas_m.component_mul(&sigmas_m));
                let antenna_m = Vector3::new(here.e_m, here.n_m, up_m);
                Observation::Gnss(Gnss { antenna_m, covariance, lever_arm_m: Vector3::zeros() })
            }
            Told::Landed(_) => Observation::ZeroVelocity(ZeroVelocity { sigma_m_s: sources.zero_velocity.sigma_m_s }),
        };
        let taken = self.measure(stamp_ns, &observation);
        if matches!((told, taken), (Told::Gnss(_), Taken::Updated(Update::Used(_)))) {
            self.last_gnss_ns = Some(stamp_ns);
        }
    }

    /// What the barometer tells at height 0 of the plane, metres. It is set by the filter's own height, once that is known better than
    /// the barometer's offset will be: until then `None`, and the barometer is not used.
    fn barometer_zero_m(&mut self, alt_m: f64, sigma_m: f64) -> Option<f64> {
        let filter = &self.navigator.filter;
        if self.barometer_zero_m.is_none() && filter.sigma(2) < filter.noise.baro_offset_m {
            self.barometer_zero_m = Some(alt_m - filter.state.position_m.z);
            self.filters_mut().for_each(|filter| filter.set_offset_by_height(BARO_OFFSET, sigma_m));
        }
        self.barometer_zero_m
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NANOS_PER_SEC;

    /// Stamps in tenths of a second of what is picked, of ten barometric heights a second from one tenth to another.
    fn picked(aiding: &mut Aiding, tenths: std::ops::RangeInclusive<i64>, here: Option<i64>) -> Vec<i64> {
        let tenth = NANOS_PER_SEC / 10;
        let sample = |i: i64| BarometerSample { stamp_ns: i * tenth, alt_m: 0.0, sigma_m: 1.0 };
        let telemetry = TelemetryBatch { barometer: tenths.map(sample).collect(), ..TelemetryBatch::default() };
        aiding.told(&telemetry, here.map(|i| i * tenth)).iter().map(|t| t.stamp_ns() / tenth).collect()
    }

    fn aiding(interval_s: f64, delay_s: f64) -> Aiding {
        let mut sources = SourceSettings::default();
        (sources.barometer.interval_s, sources.barometer.delay_s) = (interval_s, delay_s);
        Aiding::new(GnssUse::Off, &sources, Plausible::default())
    }

    #[test]
    fn what_no_sensor_can_measure_is_not_told_and_counted() {
        let mut aiding = aiding(0.0, 0.0);
        let sample = |stamp_ns: i64, alt_m: f64| BarometerSample { stamp_ns, alt_m, sigma_m: 1.0 };
        let barometer = vec![sample(1, 100.0), sample(2, 1e300), sample(3, 101.0)];
        let told = aiding.told(&TelemetryBatch { barometer, ..TelemetryBatch::default() }, None);
        assert_eq!((told.len(), aiding.refused), (2, 1));
    }

    #[test]
    fn no_kind_is_picked_more_often_than_its_interval() {
        let mut every_second = aiding(1.0, 0.0);
        assert_eq!(picked(&mut every_second, 1..=25, None), [1, 11, 21]);
        assert_eq!(picked(&mut every_second, 26..=45, Some(25)), [31, 41]);
        assert_eq!(picked(&mut aiding(0.2, 0.0), 1..=6, Some(0)), [1, 3, 5]);
    }

    #[test]
    fn a_delayed_sample_is_picked_at_the_time_it_was_valid_and_not_where_the_filter_has_passed_that() {
        let mut late = aiding(1.0, 0.3);
        assert_eq!(picked(&mut late, 1..=10, Some(0)), [0]);
        // Those of the first 0.3 s were valid before the frame; the one after them takes their turn.
        assert_eq!(picked(&mut late, 11..=20, Some(10)), [10]);
        assert_eq!(picked(&mut late, 21..=30, Some(20)), [20]);
    }
}
