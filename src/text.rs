//! Text as other programs write it, and as a shell reads it.

use std::path::Path;

/// The text of a small file: UTF-16 where the file begins with a byte order mark of it ("Unicode" of Windows' editors), else UTF-8. What is
/// neither is replaced, for numbers and keywords are ASCII; the mark is left out; lines may end in a carriage return alone.
pub(crate) fn decoded(bytes: &[u8]) -> String {
    let text = match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).into_owned(),
    };
    if text.contains('\n') { text } else { text.replace('\r', "\n") }
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> String {
    let units = bytes.as_chunks::<2>().0.iter().map(|pair| unit(*pair));
    char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
}

/// A path as one word of a shell, for commands that are advised.
pub fn shell_word(path: &Path) -> String {
    let text = path.display().to_string();
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@%,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(shell_word(Path::new("/a/b-c_1.tif")), "/a/b-c_1.tif");
        assert_eq!(shell_word(Path::new("my map's.tif")), r"'my map'\''s.tif'");
    }

    #[test]
    fn text_is_the_same_in_every_encoding() {
        let text = "0.5°\nEPSG:32632\n";
        let utf16 = |mark: u16, bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            [mark].into_iter().chain(text.encode_utf16()).flat_map(bytes).collect()
        };
        let utf8_marked = [b"\xef\xbb\xbf", text.as_bytes()].concat();
        for bytes in [text.as_bytes().to_vec(), utf8_marked, utf16(0xfeff, u16::to_le_bytes), utf16(0xfeff, u16::to_be_bytes)] {
            assert_eq!(decoded(&bytes), text);
        }
        assert_eq!(decoded(b"1\r2\r"), "1\n2\n");
        assert_eq!(decoded(b"1\r\n2\xb0"), "1\r\n2\u{fffd}");
        assert_eq!(decoded(&[0xff, 0xfe, b'1', 0, 0x00]), "1");
    }
}
