//! What an attack makes larger, in terms of what the network says.

use super::lens::{Of, Said};
use crate::error::{Error, Kind, Result};
use crate::lang::choices;

/// What an attack makes larger.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loss {
    /// The logarithm of the target's probability, or minus that of the image's own class.
    #[default]
    CrossEntropy,
    /// The score of the target minus the highest other one, or the highest other score minus that of the image's own
    /// class.
    Margin,
    /// That difference over the distance of the highest score to the third (Croce and Hein, 2020), which no scale of
    /// the scores changes.
    Dlr,
}

choices!(Loss { "cross-entropy" => CrossEntropy, "margin" => Margin, "dlr" => Dlr });

/// Two scores that are as near as that are not divided by.
const NEAR: f32 = 1e-12;

/// A loss for one image: its value, and its derivative by the numbers of the network.
#[derive(Clone, Debug)]
pub struct Pull {
    /// Which numbers.
    pub of: Of,
    /// The derivative by each.
    pub weights: Vec<f32>,
    /// The value, the larger the nearer to success.
    pub value: f32,
}

impl Loss {
    /// Whether a network has enough classes for it.
    ///
    /// # Errors
    /// It has not.
    pub fn check(self, classes: usize, targeted: bool) -> Result<()> {
        let needed = if targeted { 4 } else { 3 };
        if self == Self::Dlr && classes < needed {
            let message = format!("`loss` \"dlr\" compares {needed} scores; the network has {classes} classes");
            let error = Error::new(Kind::Argument, message).at_argument("loss");
            return Err(error.with_hint("take \"margin\" or \"cross-entropy\""));
        }
        Ok(())
    }

    /// The loss for an image of the class `own` that is to become the target, or anything else.
    pub fn pull(self, said: &Said, own: usize, target: Option<usize>) -> Pull {
        let mut weights = vec![0f32; said.scores.len()];
        let mut add = |class: usize, weight: f32| {
            if let Some(place) = weights.get_mut(class) {
                *place += weight;
            }
        };
        if self == Self::CrossEntropy {
            let (class, sign) = target.map_or((own, -1.0), |target| (target, 1.0));
            add(class, sign);
            let value = sign * said.log_probabilities.get(class).copied().unwrap_or(0.0);
            return Pull { of: Of::LogProbabilities, weights, value };
        }
        let (more, less) = match (self, target) {
            (Self::Dlr, Some(target)) => (target, own),
            (_, Some(target)) => (target, said.best_but(target)),
            (_, None) => (said.best_but(own), own),
        };
        let difference = said.score(more) - said.score(less);
        if self == Self::Margin {
            add(more, 1.0);
            add(less, -1.0);
            return Pull { of: Of::Scores, weights, value: difference };
        }
        let ranked = said.ranked();
        let place = |rank: usize| ranked.get(rank).copied().unwrap_or(own);
        let below: &[(usize, f32)] =
            &if target.is_some() { vec![(place(2), 0.5), (place(3), 0.5)] } else { vec![(place(2), 1.0)] };
        let spread = said.score(place(0)) - below.iter().map(|(class, part)| part * said.score(*class)).sum::<f32>();
        let spread = spread + NEAR;
        add(more, 1.0 / spread);
        add(less, -1.0 / spread);
        // (a / s)' = a' / s - a s' / s²
        let by_spread = -difference / (spread * spread);
        add(place(0), by_spread);
        below.iter().for_each(|(class, part)| add(*class, -part * by_spread));
        Pull { of: Of::Scores, weights, value: difference / spread }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn said(scores: &[f32]) -> Said {
        let sum = scores.iter().map(|score| score.exp()).sum::<f32>().ln();
        Said { scores: scores.to_vec(), log_probabilities: scores.iter().map(|score| score - sum).collect() }
    }

    const SCORES: [f32; 5] = [2.0, 3.5, -1.0, 0.5, 1.25];

    #[test]
    fn losses_are_what_their_papers_say() {
        let said = said(&SCORES);
        assert_eq!(Loss::Margin.pull(&said, 1, None).value, 2.0 - 3.5);
        assert_eq!(Loss::Margin.pull(&said, 1, Some(3)).value, 0.5 - 3.5);
        assert_eq!(Loss::Dlr.pull(&said, 1, None).value, (2.0 - 3.5) / (3.5 - 1.25));
        assert_eq!(Loss::Dlr.pull(&said, 1, Some(3)).value, (0.5 - 3.5) / (3.5 - (1.25 + 0.5) / 2.0));
        let own = Loss::CrossEntropy.pull(&said, 1, None);
        assert_eq!((own.value, own.weights[1]), (-said.log_probabilities[1], -1.0));
        assert_eq!(Loss::CrossEntropy.pull(&said, 1, Some(3)).value, said.log_probabilities[3]);
    }

    /// The derivative by the scores, against differences.
    #[test]
    fn derivatives_are_those_of_the_values() {
        for (loss, target) in [
            (Loss::Margin, None),
            (Loss::Margin, Some(3)),
            (Loss::Dlr, None),
            (Loss::Dlr, Some(3)),
            (Loss::Dlr, Some(4)),
        ] {
            let weights = loss.pull(&said(&SCORES), 1, target).weights;
            for (class, weight) in weights.iter().enumerate() {
                let value = |step: f32| {
                    let mut moved = SCORES;
                    moved[class] += step;
                    loss.pull(&said(&moved), 1, target).value
                };
                let slope = (value(0.01) - value(-0.01)) / 0.02;
                assert!((slope - weight).abs() < 2e-3, "{loss:?} {target:?} {class}: {slope} {weight}");
            }
        }
    }

    #[test]
    fn a_ratio_needs_enough_classes() {
        assert!(
            Loss::Dlr.check(3, false).is_ok()
                && Loss::Dlr.check(4, true).is_ok()
                && Loss::Margin.check(2, true).is_ok()
        );
        assert_eq!(Loss::Dlr.check(3, true).unwrap_err().argument(), Some("loss"));
        assert!(Loss::Dlr.check(2, false).is_err());
    }
}
