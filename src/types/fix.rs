//! What a frame turns into: a fix or the reason why there is none, and what the filter makes of it.

use nalgebra::{Matrix2, Matrix4, Vector2};

use super::Estimate;
use crate::geo::{Geodetic, Homography};

/// Why a frame has no fix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AbstainReason {
    /// The image could not be decoded.
    Unreadable,
    /// The image holds too little structure: grey, dark, blown out.
    NoTexture,
    /// The picture shows no ground: a test signal, a screen, text, noise.
    NoGround,
    /// The picture is that of the frame before, to the last pixel: the camera or what brings its pictures stands still.
    Repeated,
    /// Neither metadata nor settings give the height above ground.
    NoHeight,
    /// No focal length: no calibration, and the camera is not in the sensor table.
    NoCamera,
    /// The view does not meet the ground, or is too oblique to rectify.
    BadView,
    /// No cell of the map is near the prior, or the map is empty there.
    NoCandidate,
    /// What fits best would be found as easily on ground that the map does not show.
    NotOnMap,
    /// Another place fits nearly as well.
    Ambiguous,
    /// Too few consistent matches, and the frame is out of focus or smeared by motion.
    Blurred,
    /// Too few consistent matches.
    FewInliers,
    /// Matches in too small a part of the frame.
    PoorSpread,
    /// Scale, rotation or tilt is implausible.
    BadGeometry,
    /// The position is too uncertain to be useful.
    Uncertain,
    /// A stage failed; the log says how.
    Failed,
}

impl AbstainReason {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Unreadable,
        Self::NoTexture,
        Self::NoGround,
        Self::Repeated,
        Self::NoHeight,
        Self::NoCamera,
        Self::BadView,
        Self::NoCandidate,
        Self::NotOnMap,
        Self::Ambiguous,
        Self::Blurred,
        Self::FewInliers,
        Self::PoorSpread,
        Self::BadGeometry,
        Self::Uncertain,
        Self::Failed,
    ];

    /// What is wrong where most frames have this reason, and what to do about it; keys of the configuration in backquotes.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::Unreadable => "they cannot be decoded: are the files whole? The log above says what is wrong with each",
            Self::NoTexture => "they are nearly of one colour: covered, dark, blown out, fog, or a camera that was not ready",
            Self::NoGround => {
                "they show no ground: a test picture, a screen, text, noise; check what the camera or grabber gives"
            }
            Self::Repeated => {
                "each is the picture before, to the last pixel: a camera, grabber or link that stands still; look at the video"
            }
            Self::NoHeight => {
                "nothing tells the height above ground: give `telemetry.height` (metres with their sigma, 120±10, or none: it is searched for)"
            }
            Self::NoCamera => "nothing tells the focal length: give `source.camera.hfov_deg` or `source.camera.calibration`",
            Self::BadView => {
                "by the stated attitude the camera looks at the horizon or above: where it looked down in truth, the attitude's convention is \
                 another; give `source.camera.mounting` and `source.camera.tilt_sigma_deg`, or photos without these tags"
            }
            Self::NoCandidate => {
                "the map has nothing where they should be: is it of this area, and is the start (`filter.start.lat_deg`) right? \
                 `match.prior` = false searches all of the map"
            }
            Self::NotOnMap => {
                "what they show is not on the map: is it of this area, and large enough? Ground that has changed since looks the same"
            }
            Self::Ambiguous => {
                "several places fit nearly as well: fields and woods that repeat themselves; a heading and a height that are known better, a start, \
                 or more ground in the picture tell them apart"
            }
            Self::Blurred => {
                "they are out of focus or smeared: a shorter exposure, a higher flight; of a video, another `source.frame_rate`"
            }
            Self::FewInliers => {
                "too little of them matches the map: height, focal length or heading may be wrong (`telemetry.height` and `telemetry.heading` = none \
                 search for them, `source.camera.hfov_deg` overrides the metadata), the map may be of another area or season"
            }
            Self::PoorSpread => "they match in a small part only: is most of the picture sky, water, or ground that has changed?",
            Self::BadGeometry => {
                "they match at a scale, turn or lean that the stated height, heading and attitude rule out: are those right? \
                 `telemetry.height` and `telemetry.heading` = none search for them"
            }
            Self::Uncertain => {
                "they match too little to be of use: a height that is known better, or more ground in the picture, makes positions surer"
            }
            Self::Failed => "a stage failed; the log says how (SKYFIX_LOG=debug says more)",
        }
    }

    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unreadable => "unreadable",
            Self::NoTexture => "no_texture",
            Self::NoGround => "no_ground",
            Self::Repeated => "repeated",
            Self::NoHeight => "no_height",
            Self::NoCamera => "no_camera",
            Self::BadView => "bad_view",
            Self::NoCandidate => "no_candidate",
            Self::NotOnMap => "not_on_map",
            Self::Ambiguous => "ambiguous",
            Self::Blurred => "blurred",
            Self::FewInliers => "few_inliers",
            Self::PoorSpread => "poor_spread",
            Self::BadGeometry => "bad_geometry",
            Self::Uncertain => "uncertain",
            Self::Failed => "failed",
        }
    }
}

/// A correspondence between a frame and the map.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// In the frame as stored, pixels.
    pub frame_px: [f64; 2],
    /// On the map, metres east and north in the region's plane.
    pub map_m: [f64; 2],
    /// Cosine similarity of the descriptors.
    pub similarity: f32,
    /// Whether the estimate rests on it.
    pub inlier: bool,
}

/// A frame's pose as a filter takes it: without what was assumed of the camera's lean and of the map's offset. Both last from frame to
/// frame, so a filter that took each fix's own assumption of them for new would soon be sure of what nobody measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FreePose {
    /// The camera over ground as the map shows it.
    pub camera: Geodetic,
    /// The lean: where the optical axis points as seen by the camera in its nominal attitude, tangents to the right and down in the image.
    pub lean: Vector2<f64>,
    /// Covariance of (camera e, camera n in metres, lean right, lean down).
    pub covariance: Matrix4<f64>,
    /// 1 sigma an axis of the lean before anything is known of it.
    pub lean_sigma: f64,
    /// 1 sigma an axis of the map's offset, metres.
    pub map_sigma_m: f64,
}

impl FreePose {
    /// Whether all of it is finite and its covariance positive definite.
    pub fn is_valid(&self) -> bool {
        let numbers = self.lean.iter().chain(self.covariance.iter()).chain([&self.lean_sigma, &self.map_sigma_m]);
        self.camera.is_valid() && numbers.clone().all(|v| v.is_finite()) && self.covariance.cholesky().is_some()
    }
}

/// A position from one frame, free of any prior from the filter.
#[derive(Clone, Debug, PartialEq)]
pub struct Fix {
    /// Region of the map whose plane the coordinates below belong to.
    pub region: u32,
    /// The camera over ground, metres east and north.
    pub camera_m: Vector2<f64>,
    /// Where the image centre lies on the ground, metres east and north.
    pub centre_m: Vector2<f64>,
    /// Covariance of (camera e, camera n, centre e, centre n), m².
    pub covariance_m2: Matrix4<f64>,
    /// The camera over ground.
    pub camera: Geodetic,
    /// The image centre on the ground.
    pub centre: Geodetic,
    /// Height above ground of the estimate, metres, and its sigma.
    pub height_agl_m: (f64, f64),
    /// Heading of the body, radians clockwise from north, and its sigma.
    pub heading_rad: (f64, f64),
    /// Angle between the optical axis and straight down, radians.
    pub tilt_rad: f64,
    /// Ground (metres in the region's plane) from frame pixels.
    pub ground_from_frame: Homography,
    /// Matches that support it.
    pub inliers: u32,
    /// Share of the guided matches that agree, 0..1.
    pub score: f64,
    /// The same pose for a filter.
    pub free: FreePose,
}

impl Fix {
    /// Covariance of the camera's position over ground, m².
    pub fn camera_covariance_m2(&self) -> Matrix2<f64> {
        self.covariance_m2.fixed_view::<2, 2>(0, 0).into_owned()
    }
}

/// The result of matching a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// A position.
    Fix(Box<Fix>),
    /// No position, and why.
    Abstained(AbstainReason),
}

/// What the filter expects: where to search for a later frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prior {
    /// Expected position over ground.
    pub position: Geodetic,
    /// 1 sigma of the horizontal position along its worst axis, metres.
    pub sigma_m: f64,
    /// Velocity over ground, m/s east and north.
    pub velocity_en_m_s: [f64; 2],
    /// 1 sigma of the velocity along its worst axis, m/s.
    pub velocity_sigma_m_s: f64,
    /// Height, as the sensors tell it, metres.
    pub height_agl_m: Estimate,
    /// How fast it grows, m/s.
    pub climb_m_s: Estimate,
    /// Time of validity.
    pub stamp_ns: i64,
}

/// Acceleration an aircraft may have had since a prior was made, 1 sigma, m/s².
const MANOEUVRE_M_S2: f64 = 2.0;

/// A height of the filter bridges one that is not told while its sigma is at most this part of it.
const BRIDGED_HEIGHT: f64 = 0.4;

impl Prior {
    /// Position and 1 sigma in metres carried on to another time.
    pub fn at(&self, stamp_ns: i64) -> (Geodetic, f64) {
        let dt = crate::time::seconds_between(self.stamp_ns, stamp_ns);
        let plane = crate::geo::EnuPlane::at(Geodetic { alt_m: 0.0, ..self.position });
        let (lat, lon) = plane.lat_lon_from_ground(self.velocity_en_m_s[0] * dt, self.velocity_en_m_s[1] * dt);
        let drift = (self.velocity_sigma_m_s * dt).hypot(0.5 * MANOEUVRE_M_S2 * dt * dt);
        (Geodetic::ground(lat, lon), self.sigma_m.hypot(drift))
    }

    /// The height carried on to another time, for frames whose sensors tell none; nothing once it tells too little of how large the view is.
    pub fn height_at(&self, stamp_ns: i64) -> Option<Estimate> {
        let dt = crate::time::seconds_between(self.stamp_ns, stamp_ns);
        let (height, climb) = (self.height_agl_m, self.climb_m_s);
        let drift = (climb.sigma * dt).hypot(0.5 * MANOEUVRE_M_S2 * dt * dt);
        let at = Estimate { value: height.value + climb.value * dt, sigma: height.sigma.hypot(drift) };
        (at.value > 1.0 && at.sigma <= BRIDGED_HEIGHT * at.value).then_some(at)
    }
}

/// How a point of the track came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackSource {
    /// A fix was used within the configured age.
    Visual,
    /// A fix was used within that age, but nothing confirms its place yet: the filter started from nothing, and too few fixes agree so far;
    /// or it refuses nearly all fixes.
    Unconfirmed,
    /// No such fix, but a position of GNSS, where the filter is told to take them.
    Gnss,
    /// Dead reckoning.
    Inertial,
    /// Not known.
    Lost,
}

impl TrackSource {
    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Visual => "visual",
            Self::Unconfirmed => "unconfirmed",
            Self::Gnss => "gnss",
            Self::Inertial => "inertial",
            Self::Lost => "lost",
        }
    }
}

/// A point of the fused trajectory.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackPoint {
    /// Time of validity.
    pub stamp_ns: i64,
    /// How it came about; everything below but the stamp is empty when lost.
    pub source: TrackSource,
    /// The state; `None` when lost.
    pub state: Option<TrackState>,
    /// Seconds since the last fix that was used.
    pub fix_age_s: Option<f64>,
    /// Squared Mahalanobis distance of this frame's fix to the prediction, when there was one.
    pub nis: Option<f64>,
    /// Whether this frame's fix was used.
    pub fix_used: bool,
}

/// The fused state at a track point.
#[derive(Clone, Debug, PartialEq)]
pub struct TrackState {
    /// Position over ground.
    pub position: Geodetic,
    /// Height above ground, metres.
    pub height_agl_m: Option<f64>,
    /// Velocity east, north, up, m/s.
    pub velocity_enu_m_s: [f64; 3],
    /// Attitude.
    pub enu_from_body: nalgebra::UnitQuaternion<f64>,
    /// Horizontal covariance, m².
    pub covariance_en_m2: Matrix2<f64>,
    /// 1 sigma of the height, metres.
    pub sigma_u_m: f64,
}
