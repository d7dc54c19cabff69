//! What a network says about the class that is explained.

use std::cell::OnceCell;

use candle_core::Tensor;

use crate::error::{Error, Kind, Result};
use crate::job::Interrupt;
use crate::model::{Model, NodeId, Rules, Run, Scored};

/// The class that is explained.
#[derive(Clone, Debug)]
pub struct Class {
    /// Its number.
    pub class: usize,
    /// Its name.
    pub name: String,
    /// Its logit; its probability or value if there is no logit.
    pub(super) score: f32,
    probability: OnceCell<f32>,
    /// A layer and its value for the image, from which the scores of all classes are computed if they are asked for.
    layer: Option<(NodeId, Tensor)>,
}

impl Class {
    /// A class of which the network has said all.
    pub(super) fn of(scored: &Scored) -> Self {
        let Scored { class, name, score, probability } = scored.clone();
        Self { class, name, score, probability: probability.into(), layer: None }
    }

    /// A class whose score alone is known: its probability needs the other classes, which are computed from the value of a
    /// layer when it is asked for.
    pub(super) fn scored_alone(model: &Model, class: usize, score: f32, layer: (NodeId, Tensor)) -> Self {
        let name = model.classes().name(class);
        Self { class, name, score, probability: OnceCell::new(), layer: Some(layer) }
    }

    /// Its probability from 0 to 1 for this input; of a regression, its value.
    ///
    /// # Errors
    /// The network does not run.
    pub(super) fn probability(&self, model: &Model, input: &Tensor) -> Result<f32> {
        if let Some(known) = self.probability.get() {
            return Ok(*known);
        }
        let (rules, interrupt) = (Rules::default(), Interrupt::never());
        let taps = [model.graph().output()];
        let rest = self.layer.as_ref().and_then(|(layer, value)| {
            let from = [*layer];
            let run = Run { from: &from, ..Run::new(&taps, &rules, &interrupt) };
            // other values may be needed too, such as the other side of a residual sum
            model.run_with(std::slice::from_ref(value), &run).ok()?.pop()
        });
        let output = rest.map_or_else(|| model.forward(input, &interrupt), Ok)?;
        let all: Vec<f32> = model.answer().probabilities(&output)?.squeeze(0)?.to_vec1()?;
        let found = all.get(self.class).copied();
        let found = found.ok_or_else(|| Error::new(Kind::Internal, "a class that the network does not have"))?;
        Ok(*self.probability.get_or_init(|| found))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use crate::job::Job;
    use crate::model::{Input, Model, ModelOptions, Rules};
    use crate::tensor::TensorValue;
    use crate::tensor::testing::{random, rng};
    use crate::vis::{Backward, Explain};

    /// The probability of a class whose score alone was computed is that of a run over the whole network, wherever the layer
    /// is: where all that follows depends on it, and inside of a residual block, where that is not so.
    #[test]
    fn probabilities_are_computed_when_they_are_asked_for() {
        let job = Job::detached();
        let residual = Model::untrained("resnet18", 1, &ModelOptions::default()).unwrap();
        for (model, layers) in
            [(Model::embedded().unwrap(), ["fire9", "relu_conv10"]), (residual, ["layer3", "layer4.0.conv1"])]
        {
            let x = (random(&mut rng(2), (1, 3, 97, 97)) * 50.0).unwrap();
            let image = Input::Tensor(TensorValue::from(x));
            let explain = Explain { class: Some(284usize.into()), model: Some(model.clone()), target: None };
            let whole = explain.prediction(&job, &image).unwrap();
            assert!(whole.class.as_ref().unwrap().layer.is_none());
            for name in layers {
                let layer = model.layer(name).unwrap();
                let backward = Backward { layer: Some(&layer), rules: Rules::default() };
                let alone = explain.question(&job, &image).unwrap().answer_before(&job, backward).unwrap();
                let class = alone.class.as_ref().unwrap();
                assert!(class.layer.is_some() && class.probability.get().is_none(), "{name}");
                assert!((alone.score - whole.score).abs() <= 1e-4 * whole.score.abs(), "{name}");
                let (ours, truth) = (alone.probability().unwrap().unwrap(), whole.probability().unwrap().unwrap());
                assert!((ours - truth).abs() <= 1e-4 * truth, "{name}: {ours} and {truth}");
                assert_eq!(class.name, whole.class.as_ref().unwrap().name);
                assert_eq!(class.probability.get(), Some(&ours));
            }
        }
    }
}
