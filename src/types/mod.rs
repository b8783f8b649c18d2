//! Plain data that travels between the stages.

mod fix;
mod frame;
mod telemetry;
mod tensor;

pub use fix::{AbstainReason, Fix, FreePose, Match, Outcome, Prior, TrackPoint, TrackSource, TrackState};
pub use frame::{Estimate, Frame, Intake, Known, Pixels};
pub use telemetry::{
    AttitudeSample, BarometerSample, GnssSample, HeadingSample, HeightSample, ImuSample, LandedSample, Pause, TelemetryBatch,
    TelemetrySample,
};
pub use tensor::ImageTensor;
