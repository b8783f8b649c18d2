//! The filter's sources of measurements, and how each fares.

/// Where a measurement comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AidSourceKind {
    /// Frames whose lean is told.
    Visual,
    /// Places on the map.
    Place,
    /// Known heights.
    Height,
    /// Barometer.
    Barometer,
    /// Rangefinder.
    Rangefinder,
    /// Compass, or the heading of a match.
    Heading,
    /// Attitude of an autopilot.
    Attitude,
    /// Velocity.
    Velocity,
    /// Motion between frames: way and turn.
    RelativePose,
    /// Motion between frames: way over ground.
    Displacement,
    /// GNSS positions.
    Gnss,
    /// Standing on the ground.
    ZeroVelocity,
    /// Wings.
    Airflow,
    /// The IMU, by its samples: it leads the filter, and all the others judge it.
    Imu,
}

impl AidSourceKind {
    /// All of them.
    pub const ALL: [Self; 14] = [
        Self::Visual,
        Self::Place,
        Self::Height,
        Self::Barometer,
        Self::Rangefinder,
        Self::Heading,
        Self::Attitude,
        Self::Velocity,
        Self::RelativePose,
        Self::Displacement,
        Self::Gnss,
        Self::ZeroVelocity,
        Self::Airflow,
        Self::Imu,
    ];

    /// Of how many numbers its measurements consist: what a squared Mahalanobis distance is on average.
    pub fn dimensions(self) -> usize {
        match self {
            Self::Height | Self::Barometer | Self::Rangefinder | Self::Heading => 1,
            Self::Place | Self::Displacement | Self::Airflow => 2,
            Self::Attitude | Self::Velocity | Self::Gnss | Self::ZeroVelocity => 3,
            Self::Visual => 4,
            Self::RelativePose | Self::Imu => 6,
        }
    }

    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visual => "visual",
            Self::Place => "place",
            Self::Height => "height",
            Self::Barometer => "barometer",
            Self::Rangefinder => "rangefinder",
            Self::Heading => "heading",
            Self::Attitude => "attitude",
            Self::Velocity => "velocity",
            Self::RelativePose => "relative_pose",
            Self::Displacement => "displacement",
            Self::Gnss => "gnss",
            Self::ZeroVelocity => "zero_velocity",
            Self::Airflow => "airflow",
            Self::Imu => "imu",
        }
    }
}

/// Whether a source is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AidState {
    /// Nothing came for longer than its timeout.
    Stopped,
    /// It came, or came back, and has not agreed with the filter often enough to be used.
    Starting,
    /// It is used.
    Active,
    /// It is there, and what it tells is not borne out: an IMU that the filter goes on without; any other source whose innovations of late are
    /// too large, or lie to one side.
    Doubted,
}

impl AidState {
    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Active => "active",
            Self::Doubted => "doubted",
        }
    }
}

/// What became of measurements, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, serde::Serialize)]
pub struct AidCounters {
    /// Used.
    pub used: u64,
    /// Beyond the gate.
    pub gated: u64,
    /// No numbers, no covariance, or of no meaning in this state.
    pub refused: u64,
    /// Seen while starting, and not used.
    pub starting: u64,
    /// Not newer than the one before.
    pub repeated: u64,
    /// How often the filter doubted itself because those that it refused agreed with each other.
    pub heeded: u64,
    /// How often the source came to be doubted.
    pub doubted: u64,
}

impl AidCounters {
    /// All that came.
    pub fn all(&self) -> u64 {
        self.used + self.gated + self.refused + self.starting + self.repeated
    }
}

/// The last innovation.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Innovation {
    /// Time of the measurement, nanoseconds.
    pub stamp_ns: i64,
    /// Squared Mahalanobis distance (normalised innovation squared).
    pub nis: f64,
    /// Whether it was used.
    pub used: bool,
}

/// The innovations of a source of late: of some twenty measurements, older ones counting less and less.
#[derive(Clone, Copy, Debug, PartialEq, Default, serde::Serialize)]
pub struct SourceHealth {
    /// Mean of the squared Mahalanobis distance over its dimensions: 1 on average of a source that is as good as it says.
    pub nis: f64,
    /// Length of the mean innovation in units of its covariance: near 0, unless they lie to one side.
    pub trend: f64,
}

/// How a source fares.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct SourceStatus {
    /// The source.
    pub source: AidSourceKind,
    /// Whether it is there.
    pub state: AidState,
    /// Its last innovation.
    pub last: Option<Innovation>,
    /// Its innovations of late.
    pub health: SourceHealth,
    /// What became of its measurements.
    pub counters: AidCounters,
}
