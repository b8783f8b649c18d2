//! Plain data that travels between the stages.

mod aid_source;
mod camera;
mod evidence;
mod fix;
mod frame;
mod fusion_counters;
mod inputs;
mod pixels;
mod plausible;
mod report;
mod telemetry;
mod tensor;
mod turned;

pub use aid_source::{AidCounters, AidSourceKind, AidState, Innovation, SourceHealth, SourceStatus};
pub use camera::{Camera, Distortion, Intrinsics, Mounting, ground_offset_of_ray, nadir_body_from_camera};
pub use evidence::{Agreement, Evidence};
pub use fix::{AbstainReason, Fix, FreePose, Match, Outcome, Prior, TrackPoint, TrackSource, TrackState};
pub use frame::{Clocks, Estimate, Frame, Intake, Known};
pub use fusion_counters::FusionCounters;
pub use inputs::{Input, Inputs, Standing};
pub use pixels::Pixels;
pub use plausible::Plausible;
pub use report::{Contender, FrameMatch, FrameReport, Report, SearchRoute, StageTimes};
pub(crate) use telemetry::telemetry_kinds;
pub use telemetry::*;
pub use tensor::ImageTensor;
