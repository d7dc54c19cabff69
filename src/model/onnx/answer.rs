//! What the end of a network says about its answer.

use super::converter::Converter;
use crate::error::{Error, Kind, Result};
use crate::model::{AnswerKind, Op};
use crate::tensor::Activation;

impl Converter<'_> {
    /// The node before the softmax or the sigmoid that a network ends in, and which of both it is: a model's output is
    /// logits. If the user wants the output read otherwise, nothing is left out.
    pub(super) fn before_probabilities(
        &self,
        last: usize,
        wanted: Option<AnswerKind>,
    ) -> Result<(usize, Option<AnswerKind>)> {
        let mut at = last;
        // other shapes of the same numbers
        while matches!(self.drafts[at].op, Op::Flatten | Op::Unflatten(_) | Op::Dropout) {
            let before = self.drafts[at].inputs[0];
            let row = |shape: &[usize]| shape.iter().skip(1).all(|size| *size == 1);
            if !row(&self.drafts[before].shape) {
                break;
            }
            at = before;
        }
        let (found, name) = match self.drafts[at].op {
            Op::Softmax => (AnswerKind::Softmax, "softmax"),
            Op::Activation(Activation::Sigmoid) => (AnswerKind::Sigmoid, "sigmoid"),
            _ => return Ok((last, None)),
        };
        match wanted {
            Some(AnswerKind::Regression) if !self.ends_in_log_softmax => Ok((last, wanted)),
            Some(AnswerKind::Regression) => {
                let message = "the network ends in a log-softmax, whose values are those of classes";
                Err(Error::new(Kind::Argument, message).with_hint("leave `answer` out").at_argument("answer"))
            }
            Some(AnswerKind::Softmax | AnswerKind::Sigmoid) if wanted != Some(found) => {
                let message = format!("the network ends in a {name}");
                Err(Error::new(Kind::Argument, message)
                    .with_hint(format!("leave `answer` out, or give \"{name}\" or \"regression\""))
                    .at_argument("answer"))
            }
            _ => Ok((self.drafts[at].inputs[0], Some(found))),
        }
    }
}
