//! From frame to frame: the filter predicts from sample to sample, measures what was told on the way, and leaves the points of the track
//! that were due.

use super::smoother_window::SmootherWindow;
use crate::fuse::aiding::Told;
use crate::fuse::grid::Grid;
use crate::fuse::navigator::Sampled;
use crate::fuse::running::Running;
use crate::fuse::settings::FusionSettings;
use crate::fuse::smoother::Passage;
use crate::time::seconds_between;
use crate::types::{FusionCounters, ImuSample, TrackPoint};

/// What a filter leaves behind on its way.
pub(super) struct Propagation<'a> {
    pub settings: &'a FusionSettings,
    /// When points between frames are due, where they are asked for.
    pub grid: Option<&'a mut Grid>,
    pub window: &'a mut SmootherWindow,
    pub counters: &'a mut FusionCounters,
    /// The points that were due on the way.
    pub between: &'a mut Vec<TrackPoint>,
}

impl Propagation<'_> {
    /// Predicts from sample to sample, and measures what was told on the way; `told` is in order of time.
    pub fn propagate(&mut self, running: &mut Running, imu: &[ImuSample], told: &[Told]) {
        let mut told = told.iter().peekable();
        for sample in imu {
            while let Some(told) = told.next_if(|t| t.stamp_ns() < sample.stamp_ns) {
                self.measure_told(running, told);
            }
            if seconds_between(running.navigator.stamp_ns, sample.stamp_ns) >= 0.0 {
                self.points_before(running, sample.stamp_ns);
            }
            match running.imu(sample) {
                Sampled::Used | Sampled::Ignored | Sampled::HeldBack => {}
                Sampled::TimeWentBack => self.counters.time_went_back += 1,
                Sampled::Invalid => self.counters.samples_refused += 1,
            }
        }
        told.for_each(|told| self.measure_told(running, told));
    }

    /// Measures what was told between frames; the smoother has a node there.
    fn measure_told(&mut self, running: &mut Running, told: &Told) {
        if told.stamp_ns() < running.navigator.stamp_ns {
            self.counters.time_went_back += 1;
            return;
        }
        self.points_before(running, told.stamp_ns());
        running.advance(told.stamp_ns());
        let passage = Passage::of(&mut running.navigator.filter);
        running.measure_told(told, &self.settings.sources);
        if let Some(passage) = passage {
            self.window.between(running, passage);
        }
    }

    /// Leaves the points that are due before a stamp.
    pub fn points_before(&mut self, running: &Running, stamp_ns: i64) {
        let due = self.grid.as_mut().map(|grid| grid.due_before(stamp_ns)).unwrap_or_default();
        self.between.extend(due.into_iter().map(|at| running.track_at(at, self.settings)));
    }
}
