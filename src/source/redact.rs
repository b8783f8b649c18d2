//! Credentials stay out of every message: addresses and pipeline descriptions are shown through [`redact`].

/// What stands in the place of a secret.
const HIDDEN: &str = "***";
/// Properties and query parameters whose values are secrets.
const SECRET_KEYS: [&str; 19] = [
    "user-id",
    "user-pw",
    "password",
    "passphrase",
    "passwd",
    "pass",
    "pwd",
    "token",
    "proxy-pw",
    "secret",
    "apikey",
    "api_key",
    "signature",
    "cookies",
    "cookie",
    "extra-headers",
    "authorization",
    BEARER,
    "auth",
];
/// Of these, headers, whose values go on to the end of the line or of the quoted text.
const HEADERS: [&str; 3] = ["authorization", BEARER, "cookie"];
/// What stands before a token in a header.
const BEARER: &str = "bearer";

/// The text with what may be credentials replaced: everything between `://` and the `@` of an address, and the values of
/// properties such as `user-pw=` and `passphrase=`. Hides too much rather than too little.
pub fn redact(text: &str) -> String {
    hide_values(&hide_user_info(text))
}

fn ends_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'' | '<' | '>')
}

fn hide_user_info(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        out.push_str(before);
        let (word, after) = address.split_at(address.find(ends_address).unwrap_or(address.len()));
        match end_of_user_info(word) {
            Some(end) => {
                out.push_str(HIDDEN);
                out.push_str(&word[end..]);
                rest = after;
            }
            None => {
                // An address inside an address is another address.
                let (own, inside) = address.split_at(word.find("://").unwrap_or(word.len()));
                out.push_str(own);
                rest = inside;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Position of the `@` that ends the credentials: the last of the word, because a password may hold `/` and `@`. Where nothing before
/// the first `/` looks like credentials there are none, and an `@` further back belongs to the path.
fn end_of_user_info(word: &str) -> Option<usize> {
    let authority = &word[..word.find(['/', '?', '#']).unwrap_or(word.len())];
    let port = if authority.starts_with('[') { "" } else { authority.split_once(':').map_or("", |(_, port)| port) };
    let is_plain = !authority.contains('@') && port.bytes().all(|b| b.is_ascii_digit());
    if is_plain { None } else { word.rfind('@') }
}

fn hide_values(text: &str) -> String {
    // Byte positions stay the same in lower-case ASCII.
    let lower = text.to_ascii_lowercase();
    let mut out = String::with_capacity(text.len());
    let mut from = 0;
    while let Some((start, key)) = next_key(&lower, from) {
        let value = start + key.len();
        let is_header = HEADERS.contains(&key);
        let blanks = |from: usize| lower[from..].len() - lower[from..].trim_start().len();
        let equals = value + blanks(value);
        let separated = lower[equals..].starts_with(if is_header { &['=', ':'][..] } else { &['='] });
        if !(separated || key == BEARER && equals > value) {
            out.push_str(&text[from..value]);
            from = value;
            continue;
        }
        let after = if separated { equals + 1 } else { equals };
        let begin = after + blanks(after);
        let quote = lower[begin..].chars().next().filter(|c| matches!(c, '"' | '\''));
        let ends = |c: char| if is_header { matches!(c, '"' | '\'' | '\n') } else { ends_address(c) || c == '&' };
        let length = match quote {
            Some(q) => lower[begin + 1..].find(q).map_or(lower.len() - begin, |end| end + 2),
            None => lower[begin..].find(ends).unwrap_or(lower.len() - begin),
        };
        out.push_str(&text[from..begin]);
        out.push_str(HIDDEN);
        from = begin + length;
    }
    out.push_str(&text[from..]);
    out
}

fn next_key(lower: &str, from: usize) -> Option<(usize, &'static str)> {
    let found = SECRET_KEYS.iter().filter_map(|key| lower[from..].find(key).map(|at| (from + at, *key)));
    // Of those that begin at one place the longest: `pass` begins `passphrase`.
    found.min_by_key(|(at, key)| (*at, std::cmp::Reverse(key.len())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn credentials_of_addresses_are_hidden_and_the_rest_is_kept() {
        let cases = [
            ("rtsp://user:pass@10.0.0.2:554/s?x=1", "rtsp://***@10.0.0.2:554/s?x=1"),
            ("rtsp://user:p@ss@host/s", "rtsp://***@host/s"),
            ("rtsp://user:p/w@host/s", "rtsp://***@host/s"),
            ("rtsp://user:@Q/A@host/s", "rtsp://***@host/s"),
            ("rtsp://a:!Q:///@host.example/", "rtsp://***@host.example/"),
            ("http://relay/?from=rtsp://u:p@host/s", "http://relay/?from=rtsp://***@host/s"),
            ("rtsp://host:8554/stream@1", "rtsp://host:8554/stream@1"),
            ("rtsp://[fe80::1]:554/a", "rtsp://[fe80::1]:554/a"),
            ("cannot open \"http://a:b@c/d\": no", "cannot open \"http://***@c/d\": no"),
            ("flight.mp4", "flight.mp4"),
            (
                "rtspsrc location=rtsp://h/s user-id=me user-pw=\"a b\" ! x",
                "rtspsrc location=rtsp://h/s user-id=*** user-pw=*** ! x",
            ),
            ("srt://h:1?mode=caller&passphrase=abc&latency=2", "srt://h:1?mode=caller&passphrase=***&latency=2"),
            ("rtsp://h/s?user=a&pass=abc&x=1", "rtsp://h/s?user=a&pass=***&x=1"),
            ("the password is wrong", "the password is wrong"),
            ("souphttpsrc location=http://h/ cookies=sid=abc ! x", "souphttpsrc location=http://h/ cookies=*** ! x"),
            (r#"souphttpsrc extra-headers="x,Authorization=(string)Bearer\ abc" ! y"#, "souphttpsrc extra-headers=*** ! y"),
            ("401 for Authorization: Basic YWJj\nnext", "401 for Authorization: ***\nnext"),
            ("curl -H 'Bearer abc def' h", "curl -H 'Bearer ***' h"),
            ("by the author of it", "by the author of it"),
        ];
        for (text, expected) in cases {
            assert_eq!(redact(text), expected);
        }
    }

    proptest! {
        #[test]
        fn no_password_survives(user in "[a-z]{1,8}", secret in "[A-Z0-9@:!%]{1,3}Q[A-Z0-9@:/!%]{4,12}", tail in "[a-z0-9/]{0,10}") {
            let shown = redact(&format!("could not open rtsp://{user}:{secret}@host.example/{tail} (refused)"));
            prop_assert!(!shown.contains(&secret), "{shown}");
            prop_assert!(shown.ends_with("(refused)"), "{shown}");
        }

        #[test]
        fn arbitrary_text_is_no_crash(text in "\\PC{0,80}", more in "[a-z:/@=\"' &.-]{0,60}") {
            let _ = redact(&(text + &more));
        }
    }
}
