//! What a network predicts for an image, and the score of it that a method explains: every attribution starts here.

use candle_core::{Tensor, Var};

use crate::error::{Error, Kind, Result};
use crate::image::Image;
use crate::job::Job;
use crate::model::{ClassName, Layer, Model, NodeId, Rules, Run, Scored, budget};

/// Variants of an input that are shown to the network at once, if the memory allows.
const MAX_BATCH: usize = 25;

/// The prediction of a network for one image, and which of its answers is explained.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The network.
    pub model: Model,
    /// The image as the network sees it.
    pub view: Image,
    /// It as network input `[1, C, h, w]`.
    pub input: Tensor,
    /// Number of the class that is explained.
    pub class: usize,
    /// Its score: the logit, where there is one.
    pub score: f32,
    /// Its probability, 0 to 1.
    pub probability: f32,
}

impl Prediction {
    /// Runs the network on an image. The class that is explained is the one given, or the most probable one.
    ///
    /// # Errors
    /// There is no such class, the image cannot become the network's input, or the run was interrupted.
    pub fn of(job: &Job, model: Model, image: &Image, class: Option<&ClassName>) -> Result<Self> {
        let named = class.map(|class| class.resolve(&model)).transpose()?;
        let view = model.view(image)?;
        let input = model.input(&view)?;
        let scored = model.answer().read(&model.forward(&input, job.interrupt())?)?;
        let class = named.or(model.answer().best(&scored));
        let Some(Scored { class, score, probability, name }) = class.and_then(|class| scored.get(class)).cloned()
        else {
            return Err(Error::new(Kind::Internal, "the network has no answers"));
        };
        job.note("class", format!("{name:?}"));
        Ok(Self { model, view, input, class, score, probability })
    }

    /// The name of the class that is explained.
    pub fn class_name(&self) -> String {
        self.model.answer().classes().name(self.class)
    }

    /// What the score is, for the label of a colour bar: "\"koala\" logit".
    pub fn score_name(&self) -> String {
        format!("\"{}\" {}", self.class_name(), self.model.answer().score_name())
    }

    /// Score and probability in words: "93.1 % (logit 12.30)".
    pub fn verdict(&self) -> String {
        self.model.answer().describe(self.score, self.probability)
    }

    /// The gradient of the score at the input, `[1, C, h, w]`.
    ///
    /// # Errors
    /// A rule acts on nothing, or the run was interrupted.
    pub fn gradient(&self, job: &Job, rules: &Rules) -> Result<Tensor> {
        let (outputs, pullback) = self.model.pullback(&self.input, &[self.output()], rules, job.interrupt())?;
        pullback.gradient(&[self.output_gradient(&outputs[0])?])
    }

    /// The activations of a layer and the gradient of the score there, both `[1, channels, h, w]`.
    ///
    /// # Errors
    /// The score does not depend on the layer, or the run was interrupted.
    pub fn gradient_at(&self, job: &Job, layer: &Layer) -> Result<(Tensor, Tensor)> {
        let (taps, at, rules) = ([layer.id(), self.output()], [layer.id()], Rules::default());
        let run = Run { gradients_at: &at, ..Run::new(&taps, &rules, job.interrupt()) };
        let (mut outputs, pullback) = self.model.pullback_with(std::slice::from_ref(&self.input), &run)?;
        let above = [outputs[0].zeros_like()?, self.output_gradient(&outputs[1])?];
        let mut gradients = pullback.gradients(&above, &at)?;
        Ok((outputs.swap_remove(0), gradients.swap_remove(0)))
    }

    /// The scores of `count` variants of the input, in order: `make(i, x)` turns `x`, a copy of the input `[C, h, w]` in
    /// row-major order, into the variant `i`. They are made and run in batches that fit the memory limit.
    ///
    /// # Errors
    /// `make` failed, or the run was interrupted.
    pub fn scores(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        self.each_variant(job, label, count, make, |outputs| self.model.answer().score(outputs, self.class))
    }

    /// The same, with the probability of the class for each variant.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn probabilities(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        make: impl FnMut(usize, &mut [f32]) -> Result<()>,
    ) -> Result<Vec<f32>> {
        self.each_variant(job, label, count, make, |outputs| {
            Ok(self.model.answer().probabilities(outputs)?.narrow(1, self.class, 1)?.squeeze(1)?)
        })
    }

    /// What `read` makes of the network's output for each variant of the input.
    fn each_variant(
        &self,
        job: &Job,
        label: &str,
        count: usize,
        mut make: impl FnMut(usize, &mut [f32]) -> Result<()>,
        read: impl Fn(&Tensor) -> Result<Tensor>,
    ) -> Result<Vec<f32>> {
        let progress = job.progress(label, count);
        let (_, channels, height, width) = self.input.dims4()?;
        let input: Vec<f32> = self.input.flatten_all()?.to_vec1()?;
        // the network cuts its own buffers to the limit; a batch is there twice, as it is made and as a tensor
        let batch = (budget::memory() / 4 / (2 * 4 * input.len())).clamp(1, MAX_BATCH);
        let mut read_off = Vec::with_capacity(count);
        for start in (0..count).step_by(batch) {
            let chunk = start..count.min(start + batch);
            let mut variants = Vec::with_capacity(chunk.len() * input.len());
            for index in chunk.clone() {
                let from = variants.len();
                variants.extend_from_slice(&input);
                make(index, &mut variants[from..])?;
            }
            let variants = Tensor::from_vec(variants, (chunk.len(), channels, height, width), self.input.device())?;
            let outputs = self.model.forward(&variants, job.interrupt())?;
            read_off.extend(read(&outputs)?.to_vec1::<f32>()?);
            progress.advance(chunk.len())?;
        }
        Ok(read_off)
    }

    fn output(&self) -> NodeId {
        self.model.graph().output()
    }

    /// The gradient of the score for the network's output.
    fn output_gradient(&self, output: &Tensor) -> Result<Tensor> {
        let output = Var::from_tensor(output)?;
        let score = self.model.answer().score(&output, self.class)?.sum_all()?;
        let gradient = score.backward()?.remove(&output);
        gradient.ok_or_else(|| Error::new(Kind::Internal, "the score does not depend on the output"))
    }
}
