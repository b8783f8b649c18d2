//! Bytes as text.

/// Hexadecimal digits of some bytes, such as a digest.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
