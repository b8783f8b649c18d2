//! What a flight's files said of camera, attitude, height, time and place: what was taken of it, what was missing, what was contradicted.

/// What became of something that files may say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It is used.
    Taken,
    /// Nothing says it.
    Missing,
    /// What says it contradicts itself, something else, or what can be.
    Contradicted,
    /// It is there and not used.
    LeftOut,
}

impl Standing {
    /// The name written to files.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Taken => "taken",
            Self::Missing => "missing",
            Self::Contradicted => "contradicted",
            Self::LeftOut => "left out",
        }
    }
}

/// What the files of a flight said of one quantity, where they said the same of it.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Input {
    /// The quantity: camera, heading, attitude, height, time, position, files.
    pub quantity: &'static str,
    /// What became of it.
    pub standing: Standing,
    /// Photos, samples or files that this is true of.
    pub count: u64,
    /// In words; keys of the configuration in backquotes.
    pub words: String,
}

impl std::fmt::Display for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}, {}: {}", self.quantity, self.standing.as_str(), self.count, self.words)
    }
}

/// All of it, in order of first appearance.
#[derive(Clone, Debug, PartialEq, Default, serde::Serialize)]
#[serde(transparent)]
pub struct Inputs(Vec<Input>);

/// So many different things are told of one quantity; what comes after is counted with the last.
const MAX_OF_A_QUANTITY: usize = 8;

impl Inputs {
    /// Adds something that is true of so many photos, samples or files.
    pub fn add(&mut self, quantity: &'static str, standing: Standing, count: u64, words: impl Into<String>) {
        let words = words.into();
        if let Some(known) = self.0.iter_mut().find(|i| i.quantity == quantity && i.standing == standing && i.words == words) {
            known.count += count;
            return;
        }
        let alike = |i: &&mut Input| i.quantity == quantity && i.standing == standing;
        if self.0.iter_mut().filter(alike).count() < MAX_OF_A_QUANTITY {
            self.0.push(Input { quantity, standing, count, words });
        } else if let Some(last) = self.0.iter_mut().rfind(alike) {
            last.count += count;
            if !last.words.ends_with(AND_OTHERS) {
                last.words += AND_OTHERS;
            }
        }
    }

    /// One photo more of which this is true.
    pub fn count(&mut self, quantity: &'static str, standing: Standing, words: impl Into<String>) {
        self.add(quantity, standing, 1, words);
    }

    /// Adds what another says.
    pub fn append(&mut self, other: Self) {
        for Input { quantity, standing, count, words } in other.0 {
            self.add(quantity, standing, count, words);
        }
    }

    /// What was said.
    pub fn iter(&self) -> impl Iterator<Item = &Input> {
        self.0.iter()
    }
}

const AND_OTHERS: &str = " (and others)";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_true_of_many_photos_is_one_line_and_the_number_of_lines_is_bounded() {
        let mut inputs = Inputs::default();
        for i in 0..1000 {
            inputs.count("height", Standing::Taken, "RelativeAltitude");
            inputs.count("camera", Standing::Missing, format!("model {i}"));
        }
        let lines: Vec<String> = inputs.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 1 + MAX_OF_A_QUANTITY);
        assert_eq!(lines[0], "height taken, 1000: RelativeAltitude");
        assert_eq!(lines[MAX_OF_A_QUANTITY], "camera missing, 993: model 7 (and others)");
        assert_eq!(inputs.iter().map(|i| i.count).sum::<u64>(), 2000);
    }
}
