//! Changes files as transmission, disks, editors and attackers do.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Numbers that break what reads numbers.
const NUMBERS: [&str; 14] = [
    "0",
    "-1",
    "1e300",
    "-1e300",
    "nan",
    "inf",
    "1e-320",
    "4294967296",
    "99999999999999999999",
    "-9223372036854775808",
    "9223372036854775807",
    "",
    "0x10",
    "1,5",
];
/// Bytes of note: zero, the largest, signs, quotes, and what opens and closes.
const BYTES: [u8; 14] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'\'', b'<', b'>', b'[', b'{', b'=', b',', b'\n'];
/// A text that is repeated to nest it.
const NESTS: [&str; 5] = ["[", "{", "(", "<a>", "a."];

/// A file with some changes; `other` is one of the same kind.
pub fn mutated(file: &[u8], other: &[u8], rng: &mut ChaCha8Rng) -> Vec<u8> {
    let mut out = file.to_vec();
    for _ in 0..rng.random_range(1..=6) {
        change(&mut out, other, rng);
    }
    out
}

fn change(out: &mut Vec<u8>, other: &[u8], rng: &mut ChaCha8Rng) {
    if out.is_empty() {
        out.extend_from_slice(other);
        return;
    }
    let at = rng.random_range(0..out.len());
    let length = rng.random_range(1..=(out.len() - at).min(64));
    match rng.random_range(0..12) {
        0 => out[at] ^= 1 << rng.random_range(0..8),
        1 => out[at] = BYTES[rng.random_range(0..BYTES.len())],
        // Numbers of two, four and eight bytes, small and large.
        2 => {
            let value = [0u64, 1, u64::MAX, 0x7fff_ffff, 0x8000_0000, 1 << 40, 65_535][rng.random_range(0..7)];
            let width = [2, 4, 8][rng.random_range(0..3)].min(out.len() - at);
            out[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        }
        3 => out.truncate(at),
        4 => drop(out.drain(at..at + length)),
        5 => {
            let part = out[at..at + length].to_vec();
            let to = rng.random_range(0..=out.len());
            out.splice(to..to, part);
        }
        6 => number(out, at, rng),
        7 => drop(out.splice(at..at, NESTS[rng.random_range(0..NESTS.len())].repeat(rng.random_range(1..20_000)).into_bytes())),
        8 => out[at..at + length].fill(0),
        9 => {
            let from = rng.random_range(0..other.len().max(1)).min(other.len());
            out.truncate(at);
            out.extend_from_slice(&other[from..]);
        }
        10 => line(out, rng),
        _ => drop(out.splice(at..at, (0..length).map(|_| rng.random::<u8>()).collect::<Vec<_>>())),
    }
}

/// Replaces the number that stands at a place, or the next one.
fn number(out: &mut Vec<u8>, at: usize, rng: &mut ChaCha8Rng) {
    let digit = |b: &u8| b.is_ascii_digit() || *b == b'.';
    let Some(start) = out[at..].iter().position(digit).map(|p| p + at) else { return };
    let end = out[start..].iter().position(|b| !digit(b)).map_or(out.len(), |p| p + start);
    out.splice(start..end, NUMBERS[rng.random_range(0..NUMBERS.len())].bytes());
}

/// Drops a line, or writes it twice, or somewhere else.
fn line(out: &mut Vec<u8>, rng: &mut ChaCha8Rng) {
    let mut lines: Vec<Vec<u8>> = out.split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    let from = rng.random_range(0..lines.len());
    let taken = if rng.random() { lines.remove(from) } else { lines[from].clone() };
    if rng.random() {
        lines.insert(rng.random_range(0..=lines.len()), taken);
    }
    *out = lines.concat();
}
