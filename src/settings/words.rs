//! Settings that are written as text.

/// Reads and writes a type as the text that its `FromStr` and `Display` know. A number is taken for its text.
macro_rules! written_as_text {
    ($($type:ty),+ $(,)?) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                let text = match toml::Value::deserialize(deserializer)? {
                    toml::Value::String(text) => text,
                    number @ (toml::Value::Integer(_) | toml::Value::Float(_)) => number.to_string(),
                    other => return Err(D::Error::custom(format!("{other} is no text"))),
                };
                text.parse::<$type>().map_err(D::Error::custom)
            }
        }
    )+};
}
pub(crate) use written_as_text;

/// Declares an enumeration whose variants are written as words: with `FromStr`, `Display` and serialization.
macro_rules! words {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident: $what:literal {
            $($(#[$variant_meta:meta])* $variant:ident = $word:literal,)+
        }
    ) => {
        $(#[$meta])*
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)+
        }

        impl $name {
            /// All of them with their words.
            pub const ALL: &'static [(Self, &'static str)] = &[$((Self::$variant, $word)),+];
        }

        impl std::str::FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                let named = Self::ALL.iter().find(|(_, word)| *word == text).map(|(value, _)| *value);
                named.ok_or_else(|| {
                    let words: Vec<&str> = Self::ALL.iter().map(|(_, word)| *word).collect();
                    let (last, rest) = words.split_last().unwrap_or((&"", &[]));
                    let list = if rest.is_empty() { (*last).to_owned() } else { format!("{} or {last}", rest.join(", ")) };
                    format!("'{text}' is no {}; write {list}", $what)
                })
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self {
                    $(Self::$variant => $word,)+
                })
            }
        }

        $crate::settings::written_as_text!($name);
    };
}
pub(crate) use words;

#[cfg(test)]
mod tests {
    words! {
        /// Colours of a traffic light.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Light: "colour of a traffic light" {
            /// Stop.
            Red = "red",
            /// Wait.
            Amber = "amber",
            /// Go.
            Green = "green",
        }
    }

    #[test]
    fn words_go_both_ways_and_what_is_none_is_told_the_choice() {
        for (light, word) in Light::ALL {
            assert_eq!((light.to_string().as_str(), word.parse()), (*word, Ok(*light)));
            let toml = toml::Value::try_from(light).unwrap();
            assert_eq!((toml.as_str(), toml.clone().try_into()), (Some(*word), Ok(*light)));
        }
        let error = "blue".parse::<Light>().unwrap_err();
        assert_eq!(error, "'blue' is no colour of a traffic light; write red, amber or green");
    }
}
