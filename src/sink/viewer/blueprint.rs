//! How the viewer lays the recording out when it is opened.
//!
//! `rerun::blueprint` covers containers and views, but neither visible time ranges nor the bounds of a 2D view, so the layout is
//! logged here as the archetypes it consists of; the paths are those of the Python SDK (`rerun/blueprint/api.py`).

use rerun::external::re_log_types::BlueprintActivationCommand;
use rerun::external::re_sdk_types::blueprint::archetypes::{
    ContainerBlueprint, PanelBlueprint, PlotLegend, TextLogColumns, TimePanelBlueprint, ViewBlueprint, ViewContents,
    ViewportBlueprint, VisibleTimeRanges, VisualBounds2D,
};
use rerun::external::re_sdk_types::blueprint::components::{
    self, ColumnShare, ContainerKind, Corner2D, IncludedContent, PanelState, PlayState, RootContainer, RowShare,
};
use rerun::external::re_sdk_types::blueprint::datatypes::{TextLogColumn, TextLogColumnKind};
use rerun::external::re_types_core::datatypes::{TimeRange, TimeRangeBoundary, VisibleTimeRange};
use rerun::{AsComponents, RecordingStream, RecordingStreamBuilder, RecordingStreamResult};

use super::scene::{Bounds, path};
use super::{FLIGHT_TIME, FRAME, UTC, WALL, legend, pair, series, text};

/// What views show first; each chooses for itself where nothing is said.
#[derive(Clone, Copy, Debug, PartialEq, Default)]
pub struct Shown {
    /// Of the map, metres.
    pub map: Option<Bounds>,
    /// Of frame and map side by side, pixels.
    pub pair: Option<Bounds>,
}

/// Sends the layout; what is sent later replaces what was sent before.
pub fn send(recording: &RecordingStream, application: &'static str, shown: Shown) -> RecordingStreamResult<()> {
    // The identifier is the layout's own, so that a viewer that has opened two flights does not mix them with the data.
    let (stream, storage) = RecordingStreamBuilder::new(application).recording_id("skyfix-layout").blueprint().memory()?;
    stream.set_time_sequence("blueprint", 0);
    Layout { stream: &stream, made: 0 }.log(shown)?;
    let messages = storage.take();
    if let Some(blueprint_id) = messages.first().map(|message| message.store_id().clone()) {
        let activation = BlueprintActivationCommand { blueprint_id, make_active: true, make_default: true };
        recording.send_blueprint(messages, activation);
    }
    Ok(())
}

struct Layout<'a> {
    stream: &'a RecordingStream,
    made: u8,
}

impl Layout<'_> {
    fn log(&mut self, shown: Shown) -> RecordingStreamResult<()> {
        let map = self.view("2D", "Map: metres east and south of its centre", "/map")?;
        self.accumulate(&map, &[path::TRUTH, path::TRACK, path::SETTLED, path::FIXES, path::ELLIPSES, path::ABSTAINED])?;
        self.show(&map, shown.map)?;
        let key = self.view("2D", "Legend", legend::ROOT)?;
        self.show(&key, Some(legend::BOUNDS))?;
        let events = self.view("TextLog", "Events", text::EVENTS)?;
        // One entity logs all events, so its path says nothing.
        let columns =
            [TextLogColumnKind::LogLevel, TextLogColumnKind::Body].map(|kind| TextLogColumn { kind, visible: true.into() });
        self.stream.log(format!("{events}/TextLogColumns"), &TextLogColumns::new().with_text_log_columns(columns))?;
        let below = self.container(ContainerKind::Horizontal, &[key, events], &[1.0, 1.25])?;
        let left = self.container(ContainerKind::Vertical, &[map, below], &[3.6, 1.0])?;

        let pair = self.view("2D", "Matches: frame (left), map turned and scaled like it (right)", pair::ROOT)?;
        self.show(&pair, shown.pair)?;
        let frame = self.view("2D", "Frame", pair::FRAME)?;
        let about = self.view("TextDocument", "This run", text::ABOUT)?;
        let images = self.container(ContainerKind::Tabs, &[pair, frame, about], &[])?;
        let now = self.view("TextDocument", "This frame", text::FRAME)?;
        let mut cells = vec![now];
        for plot in series::PLOTS {
            let view = self.view("TimeSeries", plot.title, plot.root)?;
            let legend = PlotLegend::new().with_corner(Corner2D::LeftTop).with_visible(plot.lines.len() > 1);
            self.stream.log(format!("{view}/PlotLegend"), &legend)?;
            cells.push(view);
        }
        let plots = self.container(ContainerKind::Grid, &cells, &[])?;
        let right = self.container(ContainerKind::Vertical, &[images, plots], &[0.8, 1.45])?;

        let root = self.container(ContainerKind::Horizontal, &[left, right], &[1.08, 1.0])?;
        let root = rerun::external::re_sdk_types::datatypes::Uuid { bytes: uuid(id_of(&root)) };
        let viewport =
            ViewportBlueprint::new().with_root_container(RootContainer(root)).with_auto_layout(false).with_auto_views(false);
        self.stream.log("viewport", &viewport)?;
        for panel in ["blueprint_panel", "selection_panel"] {
            self.stream.log(panel, &PanelBlueprint::new().with_state(PanelState::Hidden))?;
        }
        // Following shows the end of the flight, and with it the whole track, when the file is opened.
        let time = TimePanelBlueprint::new()
            .with_state(PanelState::Collapsed)
            .with_timeline(FRAME)
            .with_fps(4.0)
            .with_play_state(PlayState::Following);
        self.stream.log("time_panel", &time)
    }

    fn next(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}/{ID_PREFIX}{:02x}", self.made)
    }

    fn view(&mut self, class: &str, name: &str, origin: &str) -> RecordingStreamResult<String> {
        let view = self.next("view");
        self.stream.log(view.as_str(), &ViewBlueprint::new(class).with_display_name(name).with_space_origin(origin))?;
        self.stream.log(format!("{view}/ViewContents"), &ViewContents::new(["$origin/**"]))?;
        Ok(view)
    }

    fn container(&mut self, kind: ContainerKind, contents: &[String], shares: &[f32]) -> RecordingStreamResult<String> {
        let container = self.next("container");
        let mut blueprint =
            ContainerBlueprint::new(kind).with_contents(contents.iter().map(|path| IncludedContent(path.as_str().into())));
        match kind {
            ContainerKind::Vertical => blueprint = blueprint.with_row_shares(shares.iter().map(|s| RowShare((*s).into()))),
            ContainerKind::Horizontal => blueprint = blueprint.with_col_shares(shares.iter().map(|s| ColumnShare((*s).into()))),
            ContainerKind::Grid => blueprint = blueprint.with_grid_columns(2u32),
            ContainerKind::Tabs => {
                if let Some(first) = contents.first() {
                    blueprint = blueprint.with_active_tab(first.as_str());
                }
            }
        }
        self.stream.log(container.as_str(), &blueprint)?;
        Ok(container)
    }

    fn show(&self, view: &str, bounds: Option<Bounds>) -> RecordingStreamResult<()> {
        let Some(Bounds { x, y }) = bounds else { return Ok(()) };
        let range = components::VisualBounds2D(rerun::datatypes::Range2D { x_range: x.into(), y_range: y.into() });
        self.stream.log(format!("{view}/VisualBounds2D"), &VisualBounds2D::new(range))
    }

    /// Shows everything logged to these entities up to the time cursor, not just the latest.
    fn accumulate(&self, view: &str, entities: &[&str]) -> RecordingStreamResult<()> {
        let range = |timeline: &str| VisibleTimeRange {
            timeline: timeline.into(),
            range: TimeRange { start: TimeRangeBoundary::Infinite, end: TimeRangeBoundary::AT_CURSOR },
        };
        let ranges = VisibleTimeRanges::new([FRAME, FLIGHT_TIME, UTC, WALL].map(range));
        for entity in entities {
            let at = format!("{view}/ViewContents/overrides/{}/visualizers", entity.trim_start_matches('/'));
            self.stream.log(at, &ranges as &dyn AsComponents)?;
        }
        Ok(())
    }
}

/// Identifiers are fixed: one layout has no use for random ones, and equal input gives equal output.
const ID_PREFIX: &str = "5f1c0de0-0000-4000-8000-0000000000";

fn id_of(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn uuid(text: &str) -> [u8; 16] {
    let digits: Vec<u8> = text.bytes().filter_map(|b| char::from(b).to_digit(16).map(|d| d as u8)).collect();
    let mut bytes = [0; 16];
    bytes.iter_mut().zip(digits.chunks_exact(2)).for_each(|(byte, pair)| *byte = pair[0] << 4 | pair[1]);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identifier_is_read_as_it_is_written() {
        let bytes = uuid(id_of("container/5f1c0de0-0000-4000-8000-00000000000a"));
        assert_eq!(bytes, [0x5f, 0x1c, 0x0d, 0xe0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 0x0a]);
    }
}
