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
