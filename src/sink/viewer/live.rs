//! A viewer that watches the flight as it happens.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rerun::{MemoryLimit, RecordingStreamBuilder, ServerOptions, SpawnOptions};

use super::{APPLICATION, ViewerSink};
use crate::recording::Truth;
use crate::sink::{SinkError, ViewerTarget};
use crate::time::nanos_from_seconds;

/// A live viewer that does not take what it gets for this long is given up.
const LIVE_FLUSH_TIMEOUT: Duration = Duration::from_secs(1);
/// What a served flight may hold for viewers that connect later; the oldest goes first.
const SERVED_MEMORY_BYTES: u64 = 512 << 20;
/// The same for the viewer that is opened.
const VIEWER_MEMORY: &str = "2GB";

impl ViewerSink {
    /// Opens, serves or connects to a viewer, which gets at most `picture_rate` pictures a second of the flight. `executable` is the
    /// viewer to start; the one in the search path when `None`.
    ///
    /// # Errors
    /// When there is no viewer to start or no address to serve at, or the map cannot be read.
    pub fn live(
        target: &ViewerTarget,
        map: &Path,
        truth: &Truth,
        picture_rate: f64,
        executable: Option<&Path>,
    ) -> Result<Self, SinkError> {
        let builder = RecordingStreamBuilder::new(APPLICATION).recording_name("live").enabled(true);
        let (name, started) = match target {
            ViewerTarget::Spawn { port } => {
                let options = SpawnOptions {
                    port: *port,
                    memory_limit: VIEWER_MEMORY.into(),
                    executable_path: executable.map(|p| p.display().to_string()),
                    // The viewer would otherwise listen to everybody.
                    extra_args: vec!["--bind".into(), "127.0.0.1".into()],
                    hide_welcome_screen: true,
                    ..SpawnOptions::default()
                };
                ("the live viewer".into(), builder.spawn_opts(&options))
            }
            ViewerTarget::Connect(at) => (format!("the viewer at {at}"), builder.connect_grpc_opts(url(*at))),
            ViewerTarget::Serve(at) => {
                let name = format!("the viewer's server at {at}");
                // The server only logs that its address is taken.
                TcpListener::bind(at).map_err(|source| SinkError::Io { path: name.clone().into(), source })?;
                let memory_limit = MemoryLimit::from_bytes(SERVED_MEMORY_BYTES);
                let options = ServerOptions { memory_limit, ..ServerOptions::default() };
                (name, builder.serve_grpc_opts(at.ip().to_string(), at.port(), options))
            }
        };
        let name = PathBuf::from(name);
        let recording = started.map_err(|e| SinkError::Viewer { path: name.clone(), reason: e.to_string() })?;
        let mut sink = Self::begin(&name, recording, map, truth, LIVE_FLUSH_TIMEOUT)?;
        sink.picture_interval_ns = nanos_from_seconds(1.0 / picture_rate.max(1e-3));
        Ok(sink)
    }
}

fn url(at: SocketAddr) -> String {
    format!("rerun+http://{at}/proxy")
}
