//! A source of measurements over time: its gate, whether it is there, and what became of its measurements.

use super::health::Health;
use super::observation::Observation;
use crate::fuse::eskf::Eskf;
use crate::fuse::sources::{AidSettings, SourceSettings};
use crate::fuse::update::Update;
use crate::time::seconds_between;
use crate::types::{AidCounters, AidSourceKind, AidState, Innovation, SourceStatus};

/// A gate that nothing passes: the filter tells the distance and stays as it is.
pub const CLOSED: f64 = -1.0;

/// What became of a measurement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Taken {
    /// The filter had it; see there.
    Updated(Update),
    /// It agreed with a source that is starting; squared Mahalanobis distance.
    Starting(f64),
    /// Its source had one of this stamp, or of a later one.
    Repeated,
}

/// A source of measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Aid {
    /// Its settings.
    pub settings: AidSettings,
    /// What became of its measurements.
    pub counters: AidCounters,
    /// Its last innovation.
    pub last: Option<Innovation>,
    /// Its innovations of late.
    health: Health,
    /// Whether it is doubted.
    doubted: bool,
    last_ns: Option<i64>,
    agreed: u32,
}

impl Aid {
    /// A source that has not been heard yet.
    pub fn new(settings: AidSettings) -> Self {
        Self {
            settings,
            counters: AidCounters::default(),
            last: None,
            health: Health::default(),
            doubted: false,
            last_ns: None,
            agreed: 0,
        }
    }

    /// Whether it is there at a time.
    pub fn state(&self, now_ns: i64) -> AidState {
        match self.last_ns {
            Some(last) if seconds_between(last, now_ns) <= self.settings.timeout_s => {
                match (self.agreed < self.settings.confirmations, self.doubted) {
                    (true, _) => AidState::Starting,
                    (false, true) => AidState::Doubted,
                    (false, false) => AidState::Active,
                }
            }
            _ => AidState::Stopped,
        }
    }

    /// The filter begins with a measurement of this source: with nothing else known it is believed, and so is what follows it.
    pub fn begun_by(&mut self, stamp_ns: i64) {
        self.last_ns = Some(stamp_ns);
        self.agreed = self.settings.confirmations;
        self.counters.used += 1;
    }

    /// Takes note of a sample of a source that leads the filter: whether it did.
    pub fn led(&mut self, stamp_ns: i64, used: bool) {
        self.last_ns = Some(stamp_ns);
        if used { self.counters.used += 1 } else { self.counters.gated += 1 }
    }

    /// From here on the source is doubted, or no more.
    pub fn set_doubted(&mut self, doubted: bool) {
        self.counters.doubted += u64::from(doubted && !self.doubted);
        self.doubted = doubted;
    }

    /// Offers a measurement to the filter, which is at its stamp.
    pub fn offer(&mut self, stamp_ns: i64, observation: &Observation, filter: &mut Eskf) -> Taken {
        if self.last_ns.is_some_and(|last| stamp_ns <= last) {
            self.counters.repeated += 1;
            return Taken::Repeated;
        }
        if self.state(stamp_ns) == AidState::Stopped {
            self.agreed = 0;
        }
        let starting = self.agreed < self.settings.confirmations;
        let update = observation.fuse(filter, if starting { CLOSED } else { self.settings.gate });
        let (Update::Used(nis) | Update::Gated(nis)) = update else {
            self.counters.refused += 1;
            return Taken::Updated(update);
        };
        self.last_ns = Some(stamp_ns);
        self.last = Some(Innovation { stamp_ns, nis, used: matches!(update, Update::Used(_)) });
        if let Some(seen) = &filter.seen.0 {
            self.health.note(seen, observation.source().dimensions());
            self.set_doubted(self.health.is_doubtful(self.doubted));
        }
        if starting && nis <= self.settings.gate {
            self.agreed += 1;
            self.counters.starting += 1;
            return Taken::Starting(nis);
        }
        match update {
            Update::Used(_) => self.counters.used += 1,
            _ => {
                self.counters.gated += 1;
                // Only a source that has yet to prove itself begins again.
                if starting {
                    self.agreed = 0;
                }
            }
        }
        Taken::Updated(update)
    }
}

/// All sources.
#[derive(Clone, Debug, PartialEq)]
pub struct Aids([Aid; AidSourceKind::ALL.len()]);

impl Default for Aids {
    /// As a flight has them.
    fn default() -> Self {
        Self::new(&SourceSettings::default())
    }
}

impl Aids {
    /// Sources that have not been heard yet.
    pub fn new(settings: &SourceSettings) -> Self {
        Self(AidSourceKind::ALL.map(|source| Aid::new(settings.aid(source))))
    }

    /// A source.
    pub fn get(&self, source: AidSourceKind) -> &Aid {
        &self.0[source as usize]
    }

    /// The sources that were heard, as they are at a time.
    pub fn status(&self, now_ns: i64) -> Vec<SourceStatus> {
        let all = AidSourceKind::ALL.iter().zip(&self.0).filter(|(_, aid)| aid.counters != AidCounters::default());
        all.map(|(&source, aid)| SourceStatus {
            source,
            state: aid.state(now_ns),
            last: aid.last,
            health: aid.health.told(),
            counters: aid.counters,
        })
        .collect()
    }

    /// A source, to be changed.
    pub fn get_mut(&mut self, source: AidSourceKind) -> &mut Aid {
        &mut self.0[source as usize]
    }
}
