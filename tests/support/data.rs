//! The development data.

use std::path::PathBuf;

/// The development data: `SKYFIX_DATA`, else `../shared/data`. Where it is absent the test is skipped, with a message, unless
/// `SKYFIX_REQUIRE_DATA=1`: then it fails.
pub fn data() -> Option<PathBuf> {
    let path = std::env::var_os("SKYFIX_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    if path.is_dir() {
        return Some(path);
    }
    assert!(
        std::env::var_os("SKYFIX_REQUIRE_DATA").is_none_or(|v| v != "1"),
        "SKYFIX_REQUIRE_DATA=1, but there is no data in {}",
        path.display()
    );
    eprintln!("skipped: no data in {} (set SKYFIX_DATA)", path.display());
    None
}
