//! Decodes a frame.

use std::sync::Arc;

use super::stage::stage;
use crate::flow::message::Frames;
use crate::localize::{DecodedFrame, Localizer};

/// Longer side of the copies for the viewer, pixels.
const PREVIEW_PX: usize = 640;

/// `rectify` of the graph.
pub trait Rectify<'scope> {
    /// Decodes each frame; with `previews`, keeps a small copy for the viewer.
    fn rectify(self, localizer: Arc<Localizer>, previews: bool) -> Frames<'scope, Arc<DecodedFrame>>;
}

impl<'scope> Rectify<'scope> for Frames<'scope, ()> {
    fn rectify(self, localizer: Arc<Localizer>, previews: bool) -> Frames<'scope, Arc<DecodedFrame>> {
        stage(self, "rectify", move |message| {
            let mut out = message.then(|t| &mut t.rectify_ms, |frame, ()| localizer.rectify(frame).map(Arc::new));
            if let Ok(decoded) = &out.made {
                out.frame_px = decoded.pyramid.size_px();
                out.picture_cut_off = decoded.cut_off;
                if previews {
                    out.preview = decoded.pyramid.preview(PREVIEW_PX).map(|(image, scale)| (Arc::new(image), scale));
                }
            }
            out
        })
    }
}
