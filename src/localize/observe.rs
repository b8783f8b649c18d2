//! `rectify` and `observe`: a frame is decoded, and the views to try are decided where its prior is known.

use std::path::Path;
use std::sync::Arc;

use image::RgbImage;

use super::{FEW_HYPOTHESES, Localizer};
use crate::camera::view_hypotheses::{ViewHypothesis, view_hypotheses};
use crate::camera::{FramePyramid, footprint};
use crate::coarse::Place;
use crate::retrieve::index::level_gsd_m;
use crate::types::{AbstainReason, Camera, Estimate, Frame, Known, Pixels, Prior};

/// Where places rival each other a view may be so many times larger than is comfortable, in pixels.
const RIVALS_SEEN: f64 = 1.4;
/// A frame below this sharpness is blurred by about two pixels or more.
const MIN_SHARPNESS: f64 = 1.12;

/// A decoded frame.
pub struct DecodedFrame {
    /// The frame's ordinal.
    pub ordinal: u64,
    /// Time of capture.
    pub stamp_ns: i64,
    /// What its sensors say of its pose.
    pub sensed: Known,
    /// The camera, for the frame's true size.
    pub camera: Camera,
    /// The frame and its halvings.
    pub pyramid: FramePyramid,
    /// Whether the end of its file is missing.
    pub cut_off: bool,
}

/// A decoded frame with the views to try.
#[derive(Clone)]
pub struct Observation {
    /// The frame.
    pub frame: Arc<DecodedFrame>,
    /// What is known of its pose, the height being above the ground where it is expected.
    pub known: Known,
    /// The views to try.
    pub hypotheses: Vec<ViewHypothesis>,
    /// How sharp the frame is at the scale it is matched at; see [`FramePyramid::sharpness`].
    pub sharpness: f64,
    /// Positions in the index of the levels to search and to refine at.
    pub search_level: usize,
    /// See `search_level`.
    pub refine_level: usize,
    /// A level (0.15 m · 2^level) finer than the one that refines, at which places are matched narrowly.
    pub detail_level: Option<u32>,
    /// The same where places rival each other: a view may be larger then.
    pub closest_level: Option<u32>,
}

impl Observation {
    /// A reason to abstain, or the one behind it: the matches of a blurred frame are few, and as good at one place as at another.
    pub fn reason(&self, reason: AbstainReason) -> AbstainReason {
        let by_evidence = matches!(reason, AbstainReason::FewInliers | AbstainReason::Ambiguous | AbstainReason::NotOnMap);
        if by_evidence && self.sharpness < MIN_SHARPNESS { AbstainReason::Blurred } else { reason }
    }
}

impl Localizer {
    /// Decodes a frame.
    pub fn rectify(&self, frame: &Frame) -> Result<DecodedFrame, AbstainReason> {
        let (image, cut_off) = decode(&frame.pixels).ok_or(AbstainReason::Unreadable)?;
        let camera = frame.camera.ok_or(AbstainReason::NoCamera)?;
        let camera = Camera { intrinsics: camera.intrinsics.scaled_to(image.width(), image.height()), ..camera };
        let pyramid = FramePyramid::new(&image);
        if pyramid.contrast() < self.settings.min_contrast {
            return Err(AbstainReason::NoTexture);
        }
        if let Some(why) = pyramid.shows_no_ground() {
            tracing::debug!("frame {}: no ground: {why}", frame.ordinal);
            return Err(AbstainReason::NoGround);
        }
        // Where it was then, it says nothing of now.
        if matches!(frame.pixels, Pixels::Repeated(_)) {
            return Err(AbstainReason::Repeated);
        }
        Ok(DecodedFrame { ordinal: frame.ordinal, stamp_ns: frame.stamp_ns, sensed: frame.known, camera, pyramid, cut_off })
    }

    /// Decides which views of a frame to try at which levels.
    pub fn observe(&self, frame: &Arc<DecodedFrame>, prior: Option<&Prior>) -> Result<Observation, AbstainReason> {
        let DecodedFrame { camera, pyramid, .. } = frame.as_ref();
        let known = Known { height_agl_m: self.height_agl(frame, prior), ..frame.sensed };
        let hypotheses = view_hypotheses(camera, &known, self.settings.unknown_height())?;
        let first = hypotheses.first().ok_or(AbstainReason::BadView)?;
        let outline = footprint(camera, &first.enu_from_camera, first.height_m).ok_or(AbstainReason::BadView)?;
        let diagonal = extent_m(&outline);
        let refine_level = self.index.level_for_extent(diagonal, self.settings.longest_view_px);
        let detail_level = self.detail_level(diagonal, refine_level);
        let closest_level = self.detail_level(diagonal / RIVALS_SEEN, refine_level);
        // Many hypotheses are sifted on the next coarser level; a few can be searched for at once at the level that refines them.
        let coarser = usize::from(hypotheses.len() > FEW_HYPOTHESES);
        let search_level = (refine_level + coarser).min(self.index.levels.len().saturating_sub(1));
        let gsd = self.index.levels.get(refine_level).map_or(1.0, |l| level_gsd_m(l.level));
        let sharpness = pyramid.sharpness(gsd * camera.intrinsics.fx_px / first.height_m);
        let frame = Arc::clone(frame);
        Ok(Observation { frame, known, hypotheses, sharpness, search_level, refine_level, detail_level, closest_level })
    }

    /// The level at which a view of so many metres across has a good size, where that is finer than the one of the index that refines, and the
    /// map has more to show.
    fn detail_level(&self, extent_m: f64, refine_level: usize) -> Option<u32> {
        let finest = self.index.levels.get(refine_level)?.level;
        let detail = self.detail.as_ref()?;
        let shown = |level: &u32| extent_m / level_gsd_m(*level) <= self.settings.longest_view_px;
        (0..finest).find(|level| shown(level) && !detail.magnifies(*level))
    }

    /// Height above the ground where a frame is expected: near its prior, else anywhere on the map. One that the sensors do not tell for a while is
    /// bridged by the filter's own.
    fn height_agl(&self, frame: &DecodedFrame, prior: Option<&Prior>) -> Option<Estimate> {
        let bridged = || prior.filter(|_| !self.settings.search_heights)?.height_at(frame.stamp_ns);
        let sensed = frame.sensed.height_agl_m.or_else(bridged)?;
        let Some(ground) = &self.ground else { return Some(sensed) };
        if let Some(prior) = prior {
            let (position, sigma_m) = prior.at(frame.stamp_ns);
            return Some(ground.height_agl(sensed, position, sigma_m));
        }
        let map = self.index.regions.iter().map(|r| r.bounds).reduce(|a, b| a.union(&b));
        Some(map.map_or(sensed, |bounds| ground.height_agl_within(sensed, &bounds)))
    }

    /// What is known of a frame's pose when it lies at a place of the map.
    pub(super) fn known_at(&self, observation: &Observation, place: &Place) -> Known {
        let at = self.index.geodetic(place.region as u32, place.camera_m[0], place.camera_m[1]);
        let height = observation.frame.sensed.height_agl_m.zip(self.ground.as_ref()).zip(at);
        let height_agl_m = height.map(|((sensed, ground), at)| ground.height_agl(sensed, at, 0.0));
        Known { height_agl_m: height_agl_m.or(observation.known.height_agl_m), ..observation.known }
    }
}

/// The largest distance between corners of a view's outline, metres.
pub(super) fn extent_m(outline: &[[f64; 2]]) -> f64 {
    outline.iter().flat_map(|a| outline.iter().map(move |b| (a[0] - b[0]).hypot(a[1] - b[1]))).fold(0.0, f64::max)
}

/// The picture, and whether the end of its file is missing.
fn decode(pixels: &Pixels) -> Option<(Arc<RgbImage>, bool)> {
    match pixels.decode() {
        Ok(decoded) => Some(decoded),
        Err(error) => {
            tracing::warn!("{}: {error}", pixels.path().unwrap_or(Path::new("")).display());
            None
        }
    }
}
