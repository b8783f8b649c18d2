//! The words and numbers inside a subtitle of a DJI aircraft: `key: number`, `key(number, number)` and `H 85.8m`.

/// A number as it is written.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Number {
    pub value: f64,
    /// Whether it has a decimal point.
    pub decimal: bool,
    /// What follows without a space: `M`, `m`, `°`.
    pub unit: String,
    /// What it is called inside parentheses: the `E` of `GPS(E: 10.9, N: 47.8)`, in upper case; else empty.
    pub name: String,
}

impl Number {
    /// A length in metres, by its unit; metres where none is written, nothing where it is another one.
    pub fn metres(&self) -> Option<f64> {
        match self.unit.to_ascii_lowercase().as_str() {
            "" | "m" => Some(self.value),
            "ft" | "feet" => Some(self.value * 0.3048),
            _ => None,
        }
    }
}

/// A key, in lower case, with its numbers; at least one.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub key: String,
    pub numbers: Vec<Number>,
    pub parenthesised: bool,
}

/// A line without its `<font …>` tags; a tag that is not closed goes to the end.
pub(super) fn without_tags(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, tag)) = rest.split_once('<') {
        out.push_str(before);
        rest = tag.split_once('>').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// The fields of a subtitle, in order. A number that the text ends in is left out: it may have been cut.
pub(super) fn fields(text: &str) -> Vec<Field> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c.is_ascii_alphabetic()) {
        let word = &rest[start..];
        let end = word.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.')).unwrap_or(word.len());
        let key = word[..end].to_ascii_lowercase();
        rest = &word[end..];
        let value = rest.trim_start_matches(' ');
        if let Some(value) = value.strip_prefix(':') {
            if let Some((number, after)) = number(value.trim_start_matches(' ')) {
                out.push(Field { key, numbers: vec![number], parenthesised: false });
                rest = after;
            }
        } else if let Some(inside) = value.strip_prefix('(') {
            if let Some((numbers, after)) = tuple(inside) {
                out.push(Field { key, numbers, parenthesised: true });
                rest = after;
            }
        } else if key == "h"
            && let Some((number, after)) = number(value).filter(|(n, _)| !n.unit.is_empty() && n.metres().is_some())
        {
            out.push(Field { key, numbers: vec![number], parenthesised: false });
            rest = after;
        }
    }
    out
}

/// `1.0, 2.0°, 3.0M)`, with what follows it.
fn tuple(text: &str) -> Option<(Vec<Number>, &str)> {
    let (inside, after) = text.split_once(')')?;
    let numbers: Option<Vec<Number>> = inside
        .split(',')
        .map(|part| {
            let (name, number) = match part.split_once(':') {
                Some((name, number)) if name.trim().chars().all(|c| c.is_ascii_alphabetic()) => (name.trim(), number.trim()),
                _ => ("", part.trim()),
            };
            let (value, decimal, unit) = lexed(number, false)?;
            Some(Number { value, decimal, unit: unit.trim().to_string(), name: name.to_ascii_uppercase() })
        })
        .collect();
    Some((numbers?, after))
}

/// A number that something follows, and the rest behind its unit.
fn number(text: &str) -> Option<(Number, &str)> {
    let (value, decimal, rest) = lexed(text, true)?;
    let end = rest.find(|c: char| c.is_whitespace() || "])[(,<".contains(c))?;
    let unit = &rest[..end];
    // A shutter of 1/5000 and a date of 2024-06-19 are no numbers.
    (!unit.starts_with(['/', '-', ':', '.']))
        .then(|| (Number { value, decimal, unit: unit.to_string(), name: String::new() }, &rest[end..]))
}

/// The number that a text begins with, whether it has a decimal point, and the rest. `comma`: whether a comma before a digit is a decimal point,
/// as it is written where programs follow the language of the system.
fn lexed(text: &str, comma: bool) -> Option<(f64, bool, &str)> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let whole = digits(unsigned);
    let after = &unsigned[whole..];
    let by_comma = || after.strip_prefix(',').filter(|rest| comma && digits(rest) > 0);
    let fraction = after.strip_prefix('.').or_else(by_comma).map(digits);
    if whole + fraction.unwrap_or(0) == 0 {
        return None;
    }
    let end = text.len() - unsigned.len() + whole + fraction.map_or(0, |f| f + 1);
    let value: f64 = text[..end].replace(',', ".").parse().ok()?;
    value.is_finite().then_some((value, fraction.is_some(), &text[end..]))
}
