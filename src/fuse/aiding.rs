//! What telemetry tells at times of its own, between the frames: air pressure, GNSS, whether the aircraft stands on the ground.

use nalgebra::{Matrix3, Vector3};

use super::measurement::{Barometer, Gnss, Observation, Taken, ZeroVelocity};
use super::running::Running;
use super::state::BARO_OFFSET;
use super::update::Update;
use crate::time::{nanos_from_seconds, seconds_between};
use crate::types::{BarometerSample, GnssSample, LandedSample, TelemetryBatch};

/// Samples of a kind closer together than this add nothing but work: their errors last longer, seconds.
const INTERVAL_S: f64 = 1.0;
/// Positions of GNSS share their errors for about a minute: their sigma is taken this many times larger, so that a second's is worth
/// what it adds.
const GNSS_SIGMA_FACTOR: f64 = 3.0;
/// 1 sigma of the height of a GNSS antenna in the plane, metres: nobody says how high the ground lies, so it tells nothing.
const NO_HEIGHT_SIGMA_M: f64 = 1e4;
/// 1 sigma of the velocity of an aircraft on the ground, m/s.
const STANDING_SIGMA_M_S: f64 = 0.05;

/// When positions of GNSS are taken: skyfix is for when they cannot be, so never unless it is told to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum GnssUse {
    /// Never.
    #[default]
    Off,
    /// From the first sample on for so many nanoseconds.
    First(i64),
    /// Always.
    On,
}

impl std::str::FromStr for GnssUse {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<f64>()) {
            ("off", _) => Ok(Self::Off),
            ("on", _) => Ok(Self::On),
            (_, Ok(seconds)) if seconds > 0.0 && seconds <= 1e6 => Ok(Self::First(nanos_from_seconds(seconds))),
            _ => Err(format!("'{text}': write off, on, or for how many seconds from its first position on")),
        }
    }
}

impl GnssUse {
    /// Whether a position is taken whose stamp lies so far after the first one's, nanoseconds.
    fn takes(self, age_ns: i64) -> bool {
        match self {
            Self::Off => false,
            Self::First(span_ns) => age_ns <= span_ns,
            Self::On => true,
        }
    }
}

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

/// Picks out of telemetry what is to be measured: no kind more often than is of use, GNSS as far as it is asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Aiding {
    gnss: GnssUse,
    /// Stamp of the first GNSS position of the flight.
    gnss_since_ns: Option<i64>,
    last_barometer_ns: Option<i64>,
    last_gnss_ns: Option<i64>,
    last_landed_ns: Option<i64>,
}

impl Aiding {
    pub fn new(gnss: GnssUse) -> Self {
        Self { gnss, ..Self::default() }
    }

    /// What is to be measured of a batch, in order of time.
    pub fn told(&mut self, telemetry: &TelemetryBatch) -> Vec<Told> {
        fn is_due(last_ns: &mut Option<i64>, stamp_ns: i64) -> bool {
            let due = last_ns.is_none_or(|last| seconds_between(last, stamp_ns) >= INTERVAL_S);
            if due {
                *last_ns = Some(stamp_ns);
            }
            due
        }
        let barometer = telemetry.barometer.iter().filter(|s| is_due(&mut self.last_barometer_ns, s.stamp_ns));
        let mut told: Vec<Told> = barometer.map(|s| Told::Barometer(*s)).collect();
        let landed = telemetry.landed.iter().filter(|s| s.landed && is_due(&mut self.last_landed_ns, s.stamp_ns));
        told.extend(landed.map(|s| Told::Landed(*s)));
        for sample in &telemetry.gnss {
            let since_ns = *self.gnss_since_ns.get_or_insert(sample.stamp_ns);
            let taken = self.gnss.takes(sample.stamp_ns.saturating_sub(since_ns));
            if taken && is_due(&mut self.last_gnss_ns, sample.stamp_ns) {
                told.push(Told::Gnss(*sample));
            }
        }
        told.sort_by_key(Told::stamp_ns);
        told
    }
}

impl Running {
    /// Measures what was told; the filter is at its stamp.
    pub fn measure_told(&mut self, told: &Told) {
        let stamp_ns = told.stamp_ns();
        let observation = match told {
            Told::Barometer(sample) => {
                let Some(zero_m) = self.barometer_zero_m(sample) else { return };
                Observation::Barometer(Barometer { up_m: sample.alt_m - zero_m, sigma_m: sample.sigma_m })
            }
            Told::Gnss(sample) => {
                let here = self.plane.ground_from_lat_lon(sample.lat_deg, sample.lon_deg);
                let up_m = self.navigator.filter.state.position_m.z;
                let sigma_m = GNSS_SIGMA_FACTOR * sample.sigma_m;
                let sigmas_m = Vector3::new(sigma_m, sigma_m, NO_HEIGHT_SIGMA_M);
                let covariance = Matrix3::from_diagonal(&sigmas_m.component_mul(&sigmas_m));
                let antenna_m = Vector3::new(here.e_m, here.n_m, up_m);
                Observation::Gnss(Gnss { antenna_m, covariance, lever_arm_m: Vector3::zeros() })
            }
            Told::Landed(_) => Observation::ZeroVelocity(ZeroVelocity { sigma_m_s: STANDING_SIGMA_M_S }),
        };
        let taken = self.navigator.measure(stamp_ns, &observation);
        if matches!((told, taken), (Told::Gnss(_), Taken::Updated(Update::Used(_)))) {
            self.last_gnss_ns = Some(stamp_ns);
        }
    }

    /// What the barometer tells at height 0 of the plane, metres. It is set by the filter's own height, once that is known better than
    /// the barometer's offset will be: until then `None`, and the barometer is not used.
    fn barometer_zero_m(&mut self, sample: &BarometerSample) -> Option<f64> {
        let filter = &mut self.navigator.filter;
        if self.barometer_zero_m.is_none() && filter.sigma(2) < filter.noise.baro_offset_m {
            self.barometer_zero_m = Some(sample.alt_m - filter.state.position_m.z);
            filter.set_offset_by_height(BARO_OFFSET, sample.sigma_m);
        }
        self.barometer_zero_m
    }
}
