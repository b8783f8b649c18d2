//! What telemetry tells at times of its own, between the frames: air pressure, GNSS, whether the aircraft stands on the ground.

use super::gnss_use::GnssUse;
use crate::time::seconds_between;
use crate::types::{BarometerSample, GnssSample, LandedSample, TelemetryBatch};

/// Samples of a kind closer together than this add nothing but work: their errors last longer, seconds.
const INTERVAL_S: f64 = 1.0;

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
