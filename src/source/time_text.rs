//! Times as EXIF, XMP and subtitles write them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// `2024:10:30 10:05:15`, with any other separators; parts of a second and what follows are left.
pub fn parse_time(text: &str) -> Option<i64> {
    let mut numbers = [0i64; 6];
    let mut rest = text.trim();
    for (i, number) in numbers.iter_mut().enumerate() {
        let width = if i == 0 { 4 } else { 2 };
        let digits = rest.get(..width).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
        *number = digits.parse().ok()?;
        rest = &rest[width..];
        if i < 5 {
            rest = rest.strip_prefix([':', '-', '/', '.', ' ', 'T'])?;
        }
    }
    let [year, month, day, hour, minute, second] = numbers;
    let small = |v: i64| i8::try_from(v).ok();
    let civil =
        DateTime::new(i16::try_from(year).ok()?, small(month)?, small(day)?, small(hour)?, small(minute)?, small(second)?, 0);
    // Years of clocks that were never set.
    let civil = civil.ok().filter(|c| c.year() > 1980)?;
    let whole = i64::try_from(civil.to_zoned(TimeZone::UTC).ok()?.timestamp().as_nanosecond()).ok()?;
    let part = rest.strip_prefix('.').map(|r| r.chars().take_while(char::is_ascii_digit).collect::<String>());
    whole.checked_add(part.and_then(|p| parse_subsecond(&p)).unwrap_or(0))
}

/// `+08:00`, `+0800`, `-3`, `Z`; seconds.
pub fn parse_offset(text: &str) -> Option<i32> {
    let (sign, rest) = match text.trim().split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        ("Z" | "z", "") => return Some(0),
        _ => return None,
    };
    let (hours, minutes) = match rest.split_once(':') {
        Some(parts) => parts,
        None if rest.len() == 4 => rest.split_at_checked(2)?,
        None => (rest, "0"),
    };
    let part = |s: &str, most: i32| {
        let digits = (1..=2).contains(&s.len()) && s.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| s.parse::<i32>().ok()).flatten().filter(|v| *v <= most)
    };
    Some(sign * (part(hours, 14)? * 3600 + part(minutes, 59)? * 60))
}

/// `47` is 0.47 s; nanoseconds.
pub fn parse_subsecond(text: &str) -> Option<i64> {
    let digits: String = text.trim().chars().take(9).collect();
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    format!("{digits:0<9}").parse().ok()
}

/// A date and hours, minutes and seconds of UTC; nanoseconds since 1970.
pub fn parse_gps_time(date: &str, clock: [f64; 3]) -> Option<i64> {
    let day = parse_time(&format!("{} 00:00:00", date.trim()))?;
    let [hours, minutes, seconds] = clock;
    let within = (0.0..24.0).contains(&hours) && (0.0..60.0).contains(&minutes) && (0.0..61.0).contains(&seconds);
    within.then(|| day + ((hours * 3600.0 + minutes * 60.0 + seconds) * 1e9) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::NANOS_PER_SEC;

    #[test]
    fn times_are_read_as_programs_write_them() {
        let at = parse_time("2024:06:19 10:05:15").unwrap();
        assert_eq!(at, 1_718_791_515 * NANOS_PER_SEC);
        for same in ["2024-06-19T10:05:15+02:00", "2024/06/19 10:05:15", " 2024:06:19 10:05:15 "] {
            assert_eq!(parse_time(same), Some(at), "{same}");
        }
        assert_eq!(parse_time("2024-06-19T10:05:15.25Z"), Some(at + 250_000_000));
        for none in ["0000:00:00 00:00:00", "1970:01:01 00:00:00", "2024:13:19 10:05:15", "    :  :     :  :  ", "", "2024:06:19"]
        {
            assert_eq!(parse_time(none), None, "{none}");
        }
        assert_eq!(parse_subsecond("47"), Some(470_000_000));
        assert_eq!(parse_subsecond("x"), None);
        for (text, seconds) in [("+08:00", 28_800), ("-03:30", -12_600), ("+0545", 20_700), ("Z", 0), ("+2", 7200)] {
            assert_eq!(parse_offset(text), Some(seconds), "{text}");
        }
        assert!(["", "+25:00", "8", "+ab:cd", "+"].iter().all(|t| parse_offset(t).is_none()));
        assert_eq!(parse_gps_time("2024:06:19", [8.0, 5.0, 15.0]), Some(at - 7200 * NANOS_PER_SEC));
        assert_eq!(parse_gps_time("2024:06:19", [f64::NAN, 5.0, 15.0]), None);
    }
}
