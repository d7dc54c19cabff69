//! How a network's output is read: which class a number is about, its score and its probability.

use std::fmt;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::Classes;
use crate::error::{Error, Kind, Result};
use crate::tensor::softmax;

/// What the numbers of a network's output are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnswerKind {
    /// Logits of classes of which one holds; their softmax is the probability.
    Softmax,
    /// Logits that are independent of each other; the sigmoid of each is its probability. A single one decides between
    /// two classes.
    Sigmoid,
    /// Probabilities already.
    Probabilities,
    /// Values that are no probabilities.
    Regression,
}

impl AnswerKind {
    /// What an output of so many numbers is taken for where nothing else is known.
    pub fn of(outputs: usize) -> Self {
        if outputs == 1 { Self::Sigmoid } else { Self::Softmax }
    }
}

/// How a network's output is read; cheap to clone.
///
/// A file that ends in a softmax or a sigmoid is read without it, so that the output of the model is the logits, whose
/// gradients do not saturate. The *score* of a class is the number that is explained: its logit where there is one, else
/// its probability or value.
#[derive(Clone, Debug)]
pub struct Answer {
    kind: AnswerKind,
    /// Numbers of the output.
    outputs: usize,
    /// What can be asked for: one name for each output, or both classes of a binary answer.
    classes: Classes,
    /// Of a binary answer, the class whose logit or probability the one output is.
    positive: usize,
    assumed: bool,
}

/// One class with what a network says about it.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub name: String,
    /// Its logit; its probability or value if there is no logit.
    pub score: f32,
    /// Its probability from 0 to 1; of a regression, its value.
    pub probability: f32,
}

impl Answer {
    /// How an output of `outputs` numbers is read.
    ///
    /// The names are one for each output. A single output that is a logit or a probability is about two classes: two
    /// names are those of 0 and of 1, so the output speaks for the second one, as in scikit-learn and Keras; one name is
    /// that of what the output speaks for; with none they are "class 0" and "not class 0". Without names 1,000 classes
    /// are ImageNet's, others are numbered.
    ///
    /// # Errors
    /// The number of names does not fit, or the kind does not fit one output.
    pub fn new(kind: AnswerKind, names: Option<Classes>, outputs: usize) -> Result<Self> {
        if kind == AnswerKind::Softmax && outputs == 1 {
            let message = "the network has one output, and the softmax of one number is always 1";
            return Err(Error::new(Kind::Argument, message)
                .with_hint("answer=\"sigmoid\" reads it as a logit, \"regression\" as a value")
                .at_argument("answer"));
        }
        let binary = outputs == 1 && kind != AnswerKind::Regression;
        let given = names.as_ref().map_or(0, Classes::len);
        let (classes, positive) = match names {
            None if binary => (both("class 0"), 0),
            Some(names) if binary && given == 1 => (both(&names.name(0)), 0),
            Some(names) if binary && given == 2 => (names, 1),
            Some(names) if !binary && given == outputs => (names, 0),
            None if kind == AnswerKind::Regression => {
                (Classes::from_names((0..outputs).map(|output| format!("value {output}")).collect()), 0)
            }
            None if outputs == IMAGENET => (Classes::imagenet(), 0),
            None => (Classes::numbered(outputs), 0),
            Some(_) => {
                let plural = |count: usize| if count == 1 { "" } else { "s" };
                let message = format!(
                    "there are {given} class name{}, the network has {outputs} answer{}",
                    plural(given),
                    plural(outputs)
                );
                let hint = if binary {
                    "one output takes two names, those of 0 and of 1, or the one of 1"
                } else {
                    "one name for each, in the network's order"
                };
                return Err(Error::new(Kind::File, message).with_hint(hint).at_argument("classes"));
            }
        };
        Ok(Self { kind, outputs, classes, positive, assumed: false })
    }

    /// The same answer, marked as a guess that the user may want to correct.
    #[must_use]
    pub(super) fn assumed(self, assumed: bool) -> Self {
        Self { assumed, ..self }
    }

    /// The same binary answer, with the output speaking for another of both classes.
    #[must_use]
    pub(super) fn with_positive(self, positive: usize) -> Self {
        if self.is_binary() && positive < 2 { Self { positive, ..self } } else { self }
    }

    /// Of a binary answer, the class that the output speaks for.
    pub(crate) fn speaks_for(&self) -> usize {
        self.positive
    }

    /// What the numbers of the output are.
    pub fn kind(&self) -> AnswerKind {
        self.kind
    }

    /// Numbers of the output.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The names of what can be asked for with `class=`.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Whether one output decides between two classes.
    pub fn is_binary(&self) -> bool {
        self.outputs == 1 && self.kind != AnswerKind::Regression
    }

    /// What a score is called: "logit", "probability" or "value".
    pub fn score_name(&self) -> &'static str {
        match self.kind {
            AnswerKind::Softmax | AnswerKind::Sigmoid => "logit",
            AnswerKind::Probabilities => "probability",
            AnswerKind::Regression => "value",
        }
    }

    /// The score of each class, [N, classes], for an output [N, outputs] of the model. Gradients pass.
    ///
    /// # Errors
    /// The output has another shape.
    pub fn scores(&self, output: &Tensor) -> Result<Tensor> {
        self.check(output)?;
        if !self.is_binary() {
            return Ok(output.clone());
        }
        // both classes of a probability sum to 1, of a logit to 0
        let other = if self.kind == AnswerKind::Probabilities { output.affine(-1.0, 1.0)? } else { output.neg()? };
        let pair = if self.positive == 0 { [output, &other] } else { [&other, output] };
        Ok(Tensor::cat(&pair, 1)?)
    }

    /// The probability of each class, [N, classes], for an output [N, outputs] of the model; of a regression, the values.
    /// Gradients pass.
    ///
    /// # Errors
    /// The output has another shape.
    pub fn probabilities(&self, output: &Tensor) -> Result<Tensor> {
        let scores = self.scores(output)?;
        match self.kind {
            AnswerKind::Softmax => softmax(&scores),
            AnswerKind::Sigmoid => Ok(sigmoid(&scores)?),
            AnswerKind::Probabilities | AnswerKind::Regression => Ok(scores),
        }
    }

    /// The natural logarithm of the probability of each class, [N, classes], exact for small ones; of a regression, the
    /// values. Gradients pass.
    ///
    /// # Errors
    /// The output has another shape.
    pub fn log_probabilities(&self, output: &Tensor) -> Result<Tensor> {
        let scores = self.scores(output)?;
        match self.kind {
            AnswerKind::Softmax => {
                let largest = scores.max_keepdim(1)?.detach();
                let shifted = scores.broadcast_sub(&largest)?;
                Ok(shifted.broadcast_sub(&shifted.exp()?.sum_keepdim(1)?.log()?)?)
            }
            // log σ(z) = min(z, 0) − log(1 + e^−|z|)
            AnswerKind::Sigmoid => {
                let positive = scores.relu()?;
                let small = (&scores - (&positive * 2.0)?)?.exp()?;
                Ok(((&scores - positive)? - (small + 1.0)?.log()?)?)
            }
            AnswerKind::Probabilities => Ok(scores.clamp(f32::MIN_POSITIVE, f32::MAX)?.log()?),
            AnswerKind::Regression => Ok(scores),
        }
    }

    /// The score of one class for each image, `[N]`, for an output `[N, outputs]` of the model. Gradients pass.
    ///
    /// # Errors
    /// The output has another shape, or there is no such class.
    pub fn score(&self, output: &Tensor, class: usize) -> Result<Tensor> {
        Ok(self.scores(output)?.narrow(1, class, 1)?.squeeze(1)?)
    }

    /// What the network says about each class, in the order of the classes, for the output [1, outputs] of one image.
    ///
    /// # Errors
    /// The output has another shape or is about several images.
    pub fn read(&self, output: &Tensor) -> Result<Vec<Scored>> {
        let scores: Vec<f32> = self.scores(output)?.squeeze(0)?.to_vec1()?;
        let shares: Vec<f32> = self.probabilities(output)?.squeeze(0)?.to_vec1()?;
        let scored = |(class, (score, probability)): (usize, (&f32, &f32))| Scored {
            class,
            name: self.classes.name(class),
            score: *score,
            probability: *probability,
        };
        Ok(scores.iter().zip(&shares).enumerate().map(scored).collect())
    }

    /// The class that is meant if none is named: the most probable one, or the first value of a regression.
    pub fn best(&self, scored: &[Scored]) -> Option<usize> {
        if self.kind == AnswerKind::Regression {
            return (!scored.is_empty()).then_some(0);
        }
        // the first of equals
        scored.iter().reduce(|best, other| if other.score > best.score { other } else { best }).map(|best| best.class)
    }

    /// What the network says about a class, in words: `93.1 % (logit 12.30)`, or the value of a regression.
    pub fn describe(&self, score: f32, probability: f32) -> String {
        match self.kind {
            AnswerKind::Regression => format!("{score}"),
            AnswerKind::Probabilities => format!("{:.1} %", probability * 100.0),
            _ => format!("{:.1} % (logit {score:.2})", probability * 100.0),
        }
    }

    fn check(&self, output: &Tensor) -> Result<()> {
        match output.dims() {
            [_, outputs] if *outputs == self.outputs => Ok(()),
            dims => {
                let message = format!("the network answers with {dims:?}, not with one row of numbers for each image");
                Err(Error::new(Kind::Tensor, message)
                    .with_hint("`forward` gives its output as it is, `layer` and `activations` what is inside"))
            }
        }
    }
}

/// How many classes ImageNet has.
const IMAGENET: usize = 1000;

fn both(name: &str) -> Classes {
    Classes::from_names(vec![name.to_owned(), format!("not {name}")])
}

/// 1 / (1 + e^−x), from tanh, which neither overflows nor loses the small ones' gradient.
fn sigmoid(x: &Tensor) -> Result<Tensor> {
    Ok(((x * 0.5)?.tanh()? + 1.0)?.affine(0.5, 0.0)?)
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.classes.len();
        match (self.kind, self.outputs) {
            (AnswerKind::Softmax, _) => write!(f, "the logits of {count} classes, of which one holds (softmax)"),
            (AnswerKind::Sigmoid, 1) => {
                let (yes, no) = (self.classes.name(self.positive), self.classes.name(1 - self.positive.min(1)));
                write!(f, "the logit of \"{yes}\" against \"{no}\" (sigmoid)")
            }
            (AnswerKind::Sigmoid, _) => write!(f, "the logits of {count} classes that are independent (sigmoids)"),
            (AnswerKind::Probabilities, 1) => write!(f, "the probability of \"{}\"", self.classes.name(self.positive)),
            (AnswerKind::Probabilities, _) => write!(f, "the probabilities of {count} classes"),
            (AnswerKind::Regression, 1) => f.write_str("one value (regression)"),
            (AnswerKind::Regression, _) => write!(f, "{count} values (regression)"),
        }?;
        if self.assumed {
            f.write_str(" (assumed: give `answer` if that is wrong)")?;
        }
        Ok(())
    }
}

impl From<Classes> for AnswerOf {
    fn from(classes: Classes) -> Self {
        Self::Classes(classes)
    }
}

impl From<Answer> for AnswerOf {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}

/// What a [`Model`](super::Model) is made with: a whole answer, or class names, for which the kind is what the number of
/// outputs suggests ([`AnswerKind::of`]).
#[derive(Clone, Debug)]
pub enum AnswerOf {
    /// Names only.
    Classes(Classes),
    /// All of it.
    Answer(Answer),
}

impl AnswerOf {
    /// The answer for an output of so many numbers.
    pub(super) fn fit(self, outputs: usize) -> Result<Answer> {
        match self {
            Self::Classes(classes) => Answer::new(AnswerKind::of(outputs), Some(classes), outputs),
            Self::Answer(answer) if answer.outputs == outputs => Ok(answer),
            Self::Answer(answer) => {
                let message = format!("the answer is read as {} numbers, the network has {outputs}", answer.outputs);
                Err(Error::new(Kind::Internal, message))
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn row(values: &[f32]) -> Tensor {
        Tensor::new(values, &Device::Cpu).unwrap().unsqueeze(0).unwrap()
    }

    fn names(names: &[&str]) -> Option<Classes> {
        Some(Classes::from_names(names.iter().map(|name| (*name).to_owned()).collect()))
    }

    fn shares(answer: &Answer, output: &[f32]) -> Vec<f32> {
        answer.probabilities(&row(output)).unwrap().squeeze(0).unwrap().to_vec1().unwrap()
    }

    fn near(a: &[f32], b: &[f64]) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            assert!((f64::from(*a) - b).abs() < 1e-6, "{a} {b}");
        }
    }

    #[test]
    fn each_kind_has_its_own_probabilities() {
        let of = |kind, outputs| Answer::new(kind, None, outputs).unwrap();
        let exp = |x: f64| x.exp();
        let sum = exp(1.0) + exp(2.0) + exp(-1.0);
        near(
            &shares(&of(AnswerKind::Softmax, 3), &[1.0, 2.0, -1.0]),
            &[exp(1.0) / sum, exp(2.0) / sum, exp(-1.0) / sum],
        );
        let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
        near(&shares(&of(AnswerKind::Sigmoid, 3), &[1.0, 2.0, -1.0]), &[sigmoid(1.0), sigmoid(2.0), sigmoid(-1.0)]);
        near(&shares(&of(AnswerKind::Sigmoid, 1), &[-0.5]), &[sigmoid(-0.5), sigmoid(0.5)]);
        near(
            &shares(&of(AnswerKind::Probabilities, 3), &[0.2, 0.3, 0.5]),
            &[0.2, 0.3, 0.5].map(|x| f64::from(x as f32)),
        );
        near(&shares(&of(AnswerKind::Probabilities, 1), &[0.25]), &[0.25, 0.75]);
        near(&shares(&of(AnswerKind::Regression, 2), &[-3.5, 12.0]), &[-3.5, 12.0]);
        near(&shares(&of(AnswerKind::Regression, 1), &[-3.5]), &[-3.5]);
        // far out nothing overflows
        near(&shares(&of(AnswerKind::Sigmoid, 2), &[-500.0, 500.0]), &[0.0, 1.0]);
    }

    #[test]
    fn two_names_of_one_output_are_those_of_0_and_of_1() {
        let answer = Answer::new(AnswerKind::Sigmoid, names(&["cat", "dog"]), 1).unwrap();
        let scored = answer.read(&row(&[2.0])).unwrap();
        assert_eq!((scored[1].name.as_str(), scored[1].score), ("dog", 2.0));
        assert_eq!((scored[0].name.as_str(), scored[0].score), ("cat", -2.0));
        assert!((scored[0].probability + scored[1].probability - 1.0).abs() < 1e-6);
        assert_eq!(answer.best(&scored), Some(1));
        assert_eq!(answer.to_string(), "the logit of \"dog\" against \"cat\" (sigmoid)");

        let one = Answer::new(AnswerKind::Sigmoid, names(&["dog"]), 1).unwrap();
        assert_eq!(one.classes().names(), ["dog", "not dog"]);
        assert_eq!(one.read(&row(&[2.0])).unwrap()[0].score, 2.0);
        let none = Answer::new(AnswerKind::Sigmoid, None, 1).unwrap();
        assert_eq!(none.classes().names(), ["class 0", "not class 0"]);
    }

    #[test]
    fn gradients_of_both_classes_are_opposite() {
        let answer = Answer::new(AnswerKind::Sigmoid, None, 1).unwrap();
        let slope = |class: usize| {
            let z = Var::from_tensor(&row(&[3.0])).unwrap();
            let score = answer.score(&z, class).unwrap();
            assert_eq!(score.dims(), [1]);
            score.sum_all().unwrap().backward().unwrap().remove(&z).unwrap().get(0).unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!((slope(0), slope(1)), (vec![1.0], vec![-1.0]));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let message = |kind, given: Option<Classes>, outputs| Answer::new(kind, given, outputs).unwrap_err();
        let error = message(AnswerKind::Softmax, names(&["a", "b"]), 7);
        assert_eq!(error.message(), "there are 2 class names, the network has 7 answers");
        let error = message(AnswerKind::Sigmoid, names(&["a", "b", "c"]), 1);
        assert_eq!(error.message(), "there are 3 class names, the network has 1 answer");
        assert_eq!(message(AnswerKind::Softmax, None, 1).argument(), Some("answer"));
        assert!(Answer::new(AnswerKind::Regression, names(&["a", "b"]), 1).is_err());
        let answer = Answer::new(AnswerKind::Softmax, None, 3).unwrap();
        let map = Tensor::zeros((1, 3, 4, 4), candle_core::DType::F32, &Device::Cpu).unwrap();
        assert!(answer.scores(&map).unwrap_err().message().contains("[1, 3, 4, 4]"));
        assert!(answer.score(&row(&[1.0, 2.0, 3.0]), 3).is_err());
    }

    #[test]
    fn a_regression_is_about_its_first_value() {
        let answer = Answer::new(AnswerKind::Regression, names(&["age", "height"]), 2).unwrap();
        let scored = answer.read(&row(&[1.0, 200.0])).unwrap();
        assert_eq!(answer.best(&scored), Some(0));
        assert_eq!(answer.describe(scored[1].score, scored[1].probability), "200");
        assert_eq!(answer.score_name(), "value");
    }
}
