//! Learning the parameters of a network from labelled images.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::optim::{AdamW, Optimizer, ParamsAdamW};
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use crate::error::{Error, Kind, Result};
use crate::job::Job;
use crate::model::{Model, Op, Weights};

/// How a classifier is trained: AdamW on the cross-entropy, in batches drawn without replacement.
#[derive(Clone, Debug)]
pub struct Training {
    /// How often every image is seen.
    pub epochs: usize,
    /// Images of one step.
    pub batch: usize,
    /// The learning rate of the first step; it falls to zero along half a cosine.
    pub learning_rate: f64,
    /// The seed of the order of images.
    pub seed: u64,
}

/// What came of one epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Epoch {
    /// The mean cross-entropy over its images, each before its own step.
    pub loss: f64,
    /// The share of its images that were answered rightly, each before its own step.
    pub accuracy: f64,
}

/// Trains a classifier, beginning with its own parameters: the trained network, and what each epoch was like. `inputs` are
/// `[N, C, h, w]` in the network's input space, `labels` their classes.
///
/// # Errors
/// The labels do not fit the images or the network, a batch norm would have to gather statistics, the loss is no longer a
/// number, or the training was interrupted.
pub fn fit(
    job: &Job,
    model: &Model,
    inputs: &Tensor,
    labels: &[u32],
    training: &Training,
) -> Result<(Model, Vec<Epoch>)> {
    check(model, inputs, labels, training)?;
    let variables = model.weights().iter().map(|(name, tensor)| Ok((name.to_owned(), Var::from_tensor(tensor)?)));
    let variables: Vec<(String, Var)> = variables.collect::<Result<_>>()?;
    let learning = with_weights(model, variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().clone())))?;
    let parameters = ParamsAdamW { lr: training.learning_rate, ..ParamsAdamW::default() };
    let mut optimizer = AdamW::new(variables.iter().map(|(_, var)| var.clone()).collect(), parameters)?;

    let mut order: Vec<u32> = (0..labels.len() as u32).collect();
    let steps = labels.len().div_ceil(training.batch) * training.epochs;
    let progress = job.progress("training", steps);
    let (mut random, mut step) = (ChaCha8Rng::seed_from_u64(training.seed), 0usize);
    let mut epochs = Vec::with_capacity(training.epochs);
    for _ in 0..training.epochs {
        order.shuffle(&mut random);
        let (mut loss_sum, mut right) = (0f64, 0usize);
        for batch in order.chunks(training.batch) {
            let part = step as f64 / steps as f64;
            optimizer.set_learning_rate(0.5 * training.learning_rate * (1.0 + (std::f64::consts::PI * part).cos()));
            let x = inputs.index_select(&Tensor::new(batch, &Device::Cpu)?, 0)?;
            let wanted: Vec<u32> = batch.iter().filter_map(|index| labels.get(*index as usize).copied()).collect();
            let logits = learning.forward(&x, job.interrupt())?;
            let loss = candle_nn::loss::cross_entropy(&logits, &Tensor::new(wanted.as_slice(), &Device::Cpu)?)?;
            optimizer.backward_step(&loss)?;
            let answers: Vec<u32> = logits.argmax(1)?.to_vec1()?;
            right += answers.iter().zip(&wanted).filter(|(answer, wanted)| answer == wanted).count();
            loss_sum += f64::from(loss.to_scalar::<f32>()?) * batch.len() as f64;
            step += 1;
            progress.advance(1)?;
        }
        let epoch = Epoch { loss: loss_sum / labels.len() as f64, accuracy: right as f64 / labels.len() as f64 };
        if !epoch.loss.is_finite() {
            let message =
                format!("the training has failed: the loss is {} after {} epochs", epoch.loss, epochs.len() + 1);
            return Err(Error::new(Kind::Argument, message).with_hint("take a smaller learning rate"));
        }
        epochs.push(epoch);
    }
    let trained = variables.iter().map(|(name, var)| (name.clone(), var.as_tensor().detach()));
    Ok((with_weights(model, trained)?, epochs))
}

/// The same network with other parameters; those that are variables can be trained.
///
/// # Errors
/// They are not those of the network.
pub fn with_weights(model: &Model, weights: impl Iterator<Item = (String, Tensor)>) -> Result<Model> {
    let weights = Weights::new(weights)?;
    Model::new(model.name(), model.graph().clone(), weights, model.answer().clone(), model.recipe().clone())
}

fn check(model: &Model, inputs: &Tensor, labels: &[u32], training: &Training) -> Result<()> {
    let wrong = |message: String| Err(Error::new(Kind::Argument, message));
    let images = inputs.dims().first().copied().unwrap_or(0);
    if labels.is_empty() || images != labels.len() {
        return wrong(format!("there are {images} images and {} labels", labels.len()));
    }
    if inputs.dtype() != DType::F32 {
        return wrong(format!("images must be float32, not {:?}", inputs.dtype()));
    }
    let outputs = model.answer().outputs();
    if let Some(label) = labels.iter().find(|label| **label as usize >= outputs) {
        return wrong(format!("label {label} is none of the network's {outputs} classes"));
    }
    if let Some(norm) = model.graph().nodes().iter().find(|node| matches!(node.op, Op::BatchNorm(_))) {
        return wrong(format!("{} is a batch norm, whose statistics are not gathered in training", norm.name));
    }
    if training.batch == 0 || !training.learning_rate.is_finite() || training.learning_rate <= 0.0 {
        return wrong(format!(
            "batch = {}, learning rate = {}: both must be above 0",
            training.batch, training.learning_rate
        ));
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::train::small_classifier;

    /// Red squares and blue squares somewhere on grey.
    fn squares(count: usize) -> (Tensor, Vec<u32>) {
        let mut pixels = vec![0f32; count * 3 * 24 * 24];
        let labels: Vec<u32> = (0..count as u32).map(|index| index % 2).collect();
        for (index, image) in pixels.chunks_exact_mut(3 * 24 * 24).enumerate() {
            let (channel, at) = (2 * (index % 2), (index * 7) % 16);
            for row in at..at + 8 {
                image[channel * 576 + row * 24 + at..][..8].fill(2.0);
            }
        }
        (Tensor::from_vec(pixels, (count, 3, 24, 24), &Device::Cpu).unwrap(), labels)
    }

    #[test]
    fn it_learns_and_a_seed_decides_all() {
        let names = ["red", "blue"].map(str::to_owned).to_vec();
        let model = small_classifier("squares", names, 24, 3).unwrap();
        let (inputs, labels) = squares(48);
        let training = Training { epochs: 6, batch: 8, learning_rate: 3e-3, seed: 1 };
        let (trained, epochs) = fit(&Job::detached(), &model, &inputs, &labels, &training).unwrap();
        assert!(epochs[5].accuracy > 0.95 && epochs[5].loss < 0.5 * epochs[0].loss, "{epochs:?}");
        let (again, _) = fit(&Job::detached(), &model, &inputs, &labels, &training).unwrap();
        assert_eq!(trained.weights().hash(), again.weights().hash());
        assert_ne!(trained.weights().hash(), model.weights().hash());
        assert!(!trained.weights().are_tracked());
    }

    #[test]
    fn what_does_not_fit_is_said() {
        let model = small_classifier("squares", vec!["a".into(), "b".into()], 24, 3).unwrap();
        let (inputs, labels) = squares(4);
        let training = Training { epochs: 1, batch: 2, learning_rate: 1e-3, seed: 1 };
        let run = |labels: &[u32], training: &Training| {
            fit(&Job::detached(), &model, &inputs, labels, training).unwrap_err().message().to_owned()
        };
        assert!(run(&labels[..3], &training).contains("4 images and 3 labels"));
        assert!(run(&[0, 1, 2, 0], &training).contains("label 2"));
        assert!(run(&labels, &Training { batch: 0, ..training.clone() }).contains("batch = 0"));
        assert!(run(&labels, &Training { learning_rate: 1e30, ..training }).contains("loss"));
    }
}
