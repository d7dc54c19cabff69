//! Networks with something changed: a channel switched off, amplified or replaced.
//!
//! An edit is a node behind the edited one, which everything that read that one reads instead. The edited network is a model
//! of its own, which shares weights and what is prepared from them with the first; both executors, saving and further edits
//! treat it as any other.

use std::sync::Arc;

use candle_core::{DType, Tensor};

use super::{Graph, Model, NodeId, Op, Patch, Weights};
use crate::error::{Error, Kind, Result};
use crate::tensor::check_finite;

impl Model {
    /// The network with some channels of a layer set to zero.
    ///
    /// # Errors
    /// As [`scaled`](Self::scaled).
    pub fn without(&self, layer: NodeId, channels: &[usize]) -> Result<Self> {
        self.scale_channels(layer, channels, 0.0, "without")
    }

    /// The network with some channels of a layer (or units, if its value is a row of numbers) multiplied by a factor.
    ///
    /// Edits of one layer follow each other in the order they are made. The layer itself keeps its name and its value; what
    /// comes of the edit is a layer of its own behind it, called `….scaled`.
    ///
    /// # Errors
    /// The layer is not this model's, there is no channel, a channel does not exist or is named twice, or the factor is not
    /// finite.
    pub fn scaled(&self, layer: NodeId, channels: &[usize], factor: f32) -> Result<Self> {
        self.scale_channels(layer, channels, factor, "scaled")
    }

    /// The network with the values of some channels of a layer, or of all, replaced by constants.
    ///
    /// `values` is `[C′]`, one number for each replaced channel, or `[C′, height, width]`, one map for each, of the size that
    /// the layer has for images of the network's own size; with maps, it takes images of that size alone. They are the same
    /// for every image of a batch, and nothing passes back through them. Edits follow each other as those of
    /// [`scaled`](Self::scaled) do.
    ///
    /// # Errors
    /// As [`scaled`](Self::scaled); and `values` has another shape, or is not finite.
    pub fn patched(&self, layer: NodeId, channels: Option<&[usize]>, values: &Tensor) -> Result<Self> {
        let of = self.check_channels(layer, channels.unwrap_or(&[0]))?;
        let channels = channels.map_or_else(|| (0..of).collect(), <[usize]>::to_vec);
        let sides = &self.nominal_shape(layer)[1..];
        let allowed = [vec![channels.len()], [&[channels.len()], sides].concat()];
        if !allowed.iter().any(|shape| values.dims() == shape) {
            let [numbers, maps] = &allowed;
            let or = if maps == numbers { String::new() } else { format!(" or {maps:?}") };
            let message = format!("the values must be {numbers:?}{or}, not {:?}", values.dims());
            return Err(Error::new(Kind::Argument, message).at_argument("values"));
        }
        check_finite(values, "the values")?;
        let values = values.detach().to_dtype(DType::F32)?.contiguous()?;
        let name = self.free_name(layer, "patched");
        // edited networks share prepared kernels by the names of nodes, but constants are never prepared
        let constants = format!("{name}.values");
        let shape = values.dims().to_vec();
        let weights = self.weights().with([(constants.clone(), values)]);
        self.insert(layer, &name, Op::Patch(Patch { of, channels, values: constants, shape }), Arc::new(weights))
    }

    /// The network with the mean of each window where it takes the largest value. Its nodes have the ids that they have here.
    /// Gradients then reach all of a window, which suits the synthesis of textures (Gatys, Ecker and Bethge, 2015).
    ///
    /// # Errors
    /// The network cannot be put together.
    pub fn with_average_pooling(&self) -> Result<Self> {
        let mut parts = self.graph().to_parts();
        for part in &mut parts {
            if let Op::MaxPool2d(params) = part.op {
                part.op = Op::AvgPool2d { params, count_include_pad: false };
            }
        }
        // a model of its own: what edited networks share goes by the names of nodes
        let (weights, answer) = (self.weights().with([]), self.answer().clone());
        Self::new(self.name(), Graph::from_parts(parts)?, weights, answer, self.recipe().clone())
    }

    fn scale_channels(&self, layer: NodeId, channels: &[usize], factor: f32, what: &str) -> Result<Self> {
        let of = self.check_channels(layer, channels)?;
        if !factor.is_finite() {
            return Err(Error::new(Kind::Argument, format!("a factor of {factor}")).at_argument("factor"));
        }
        let mut factors = vec![1.0; of];
        channels.iter().for_each(|channel| factors[*channel] = factor);
        self.insert(layer, &self.free_name(layer, what), Op::ScaleChannels(factors), self.shared_weights())
    }

    /// How many channels a layer has, all of `channels` among them.
    pub(super) fn check_channels(&self, layer: NodeId, channels: &[usize]) -> Result<usize> {
        if !self.graph().contains(layer) {
            return Err(Error::new(Kind::Internal, format!("node {} is not of this model", layer.index())));
        }
        let of = self.nominal_shape(layer).first().copied().unwrap_or(0);
        let at = |message: String| Error::new(Kind::Argument, message).at_argument("channels");
        let name = &self.graph().node(layer).name;
        if channels.is_empty() {
            return Err(
                at(format!("no channel of `{name}` is named")).with_hint(format!("it has channels 0 to {}", of - 1))
            );
        }
        if let Some(missing) = channels.iter().find(|channel| **channel >= of) {
            return Err(at(format!("`{name}` has no channel {missing}"))
                .with_hint(format!("it has channels 0 to {}", of.saturating_sub(1))));
        }
        let mut sorted = channels.to_vec();
        sorted.sort_unstable();
        match sorted.windows(2).find(|pair| pair[0] == pair[1]) {
            Some(pair) => Err(at(format!("channel {} of `{name}` is named twice", pair[0]))),
            None => Ok(of),
        }
    }

    /// `features.3.scaled`, or with a number if there is one already.
    fn free_name(&self, layer: NodeId, what: &str) -> String {
        let first = format!("{}.{what}", self.graph().node(layer).name);
        let taken = |name: &str| self.graph().names().any(|known| known == name);
        let numbered = (2..).map(|i| format!("{first}{i}"));
        std::iter::once(first.clone()).chain(numbered).find(|name| !taken(name)).unwrap_or(first)
    }

    /// Puts an edit behind a layer and the edits it has already.
    fn insert(&self, layer: NodeId, name: &str, op: Op, weights: Arc<Weights>) -> Result<Self> {
        let graph = self.graph();
        let behind =
            |id: NodeId| graph.ids().find(|edit| graph.node(*edit).op.is_edit() && graph.node(*edit).inputs == [id]);
        let last = std::iter::successors(Some(layer), |id| behind(*id)).last().unwrap_or(layer);
        let (edited, _) = graph.inserted(last, name, op)?;
        self.edited(edited, weights)
    }

    /// The edits it has, in words, in order of execution: `features.3.without: channel 12 of 128 set to 0`.
    pub fn edits(&self) -> Vec<String> {
        let edits = self.graph().nodes().iter().filter(|node| node.op.is_edit());
        edits.map(|node| format!("{}: {}", node.name, node.op)).collect()
    }
}

impl Graph {
    /// The calls that would make its edits, in order of execution, such as `.without("features.3", [12, 40])`; nothing for a
    /// network without any. What stands for an edited network in a record names them.
    pub(crate) fn edit_calls(&self) -> String {
        let mut calls = String::new();
        for node in self.nodes().iter().filter(|node| node.op.is_edit()) {
            let mut layer = node;
            while let ([input], true) = (layer.inputs.as_slice(), layer.op.is_edit()) {
                layer = self.node(*input);
            }
            let name = &layer.name;
            calls += &match &node.op {
                Op::ScaleChannels(factors) => {
                    let changed = (0..factors.len()).filter(|channel| factors[*channel] != 1.0).collect::<Vec<_>>();
                    match changed.first().map(|first| factors[*first]) {
                        Some(0.0) => format!(".without({name:?}, {changed:?})"),
                        factor => format!(".scaled({name:?}, {changed:?}, {})", factor.unwrap_or(1.0)),
                    }
                }
                Op::Patch(patch) if patch.channels.len() == patch.of => format!(".patched({name:?}, from=…)"),
                Op::Patch(patch) => format!(".patched({name:?}, from=…, channels={:?})", patch.channels),
                _ => String::new(),
            };
        }
        calls
    }
}

impl Patch {
    /// For each channel 1 if it stays as it is or else 0, and what is added: `[C]` or `[C, height, width]`.
    pub(super) fn constants(&self, weights: &Weights) -> Result<(Vec<f32>, Vec<f32>)> {
        let values = weights.get(&self.values)?.flatten_all()?.to_vec1::<f32>()?;
        let plane = values.len() / self.channels.len().max(1);
        let (mut keep, mut added) = (vec![1.0; self.of], vec![0.0; self.of * plane]);
        for (channel, values) in self.channels.iter().zip(values.chunks_exact(plane.max(1))) {
            keep[*channel] = 0.0;
            added[channel * plane..][..plane].copy_from_slice(values);
        }
        Ok((keep, added))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::job::Interrupt;
    use crate::model::Layer;
    use crate::tensor::testing::{assert_close, random, rng, values};

    fn x() -> Tensor {
        (random(&mut rng(3), (2, 3, 67, 67)) * 100.0).unwrap()
    }

    fn value(layer: &Layer) -> Tensor {
        layer.activations(&x(), &Interrupt::never()).unwrap()
    }

    /// The values of some channels of all images.
    fn channel(value: &Tensor, channel: usize) -> Vec<f32> {
        values(&value.narrow(1, channel, 1).unwrap())
    }

    #[test]
    fn edits_change_what_later_layers_read_and_nothing_else() {
        let model = Model::embedded().unwrap();
        let fire2 = model.layer("fire2").unwrap();
        let before = value(&fire2);
        let edited = model.without(fire2.id(), &[5, 17]).unwrap().scaled(fire2.id(), &[6, 17], -2.0).unwrap();
        assert_eq!(values(&value(&edited.layer("fire2").unwrap())), values(&before), "the layer itself");
        let after = value(&edited.layer("features.3.scaled").unwrap());
        for c in 0..128 {
            let factor = [(5, 0.0), (17, 0.0), (6, -2.0)].iter().find(|(at, _)| *at == c).map_or(1.0, |(_, f)| *f);
            let expected: Vec<f32> = channel(&before, c).iter().map(|v| v * factor).collect();
            assert_eq!(channel(&after, c), expected, "channel {c}");
        }
        // the next layer reads the edited values: run from them it has the same value
        let squeeze = edited.layer("fire3/squeeze1x1").unwrap();
        let (taps, from) = ([model.layer("fire3/squeeze1x1").unwrap().id()], [fire2.id()]);
        let (rules, interrupt) = (crate::model::Rules::default(), Interrupt::never());
        let run = crate::model::Run { from: &from, ..crate::model::Run::new(&taps, &rules, &interrupt) };
        let truth = model.run_with(&[after], &run).unwrap().remove(0);
        assert_close(&values(&value(&squeeze)), &values(&truth), 1e-6, "the next layer");
        assert_ne!(values(&value(&squeeze)), values(&value(&model.layer("fire3/squeeze1x1").unwrap())));
        assert_eq!(edited.output().shape(), [1000]);
        assert_eq!(
            edited.edits(),
            [
                "features.3.without: channels 5 and 17 of 128 set to 0",
                "features.3.scaled: channels 6 and 17 of 128 times -2"
            ]
        );
        assert!(model.edits().is_empty());
    }

    #[test]
    fn patches_are_numbers_or_maps() {
        let model = Model::embedded().unwrap();
        let conv = model.layer("conv1").unwrap();
        let before = value(&conv);
        let numbers = Tensor::new(&[3f32, -4.0], &Device::Cpu).unwrap();
        let edited = model.patched(conv.id(), Some(&[9, 2]), &numbers).unwrap();
        let after = value(&edited.layer("features.0.patched").unwrap());
        for c in 0..64 {
            let expected = match c {
                9 => vec![3.0; 2 * 33 * 33],
                2 => vec![-4.0; 2 * 33 * 33],
                _ => channel(&before, c),
            };
            assert_eq!(channel(&after, c), expected, "channel {c}");
        }
        let maps = random(&mut rng(4), (64, 113, 113));
        let edited = edited.patched(conv.id(), None, &maps).unwrap();
        let layer = edited.layer("features.0.patched2").unwrap();
        let images = (random(&mut rng(5), (2, 3, 227, 227)) * 100.0).unwrap();
        let after = layer.activations(&images, &Interrupt::never()).unwrap();
        for image in 0..2 {
            assert_eq!(values(&after.get(image).unwrap()), values(&maps));
        }
        let large = Tensor::zeros((1, 3, 243, 243), DType::F32, &Device::Cpu).unwrap();
        let error = edited.forward(&large, &Interrupt::never()).unwrap_err();
        assert!(error.to_string().contains("maps of 113×113, but here it takes [121, 121]"), "{error}");
        let error = edited.forward(&x(), &Interrupt::never()).unwrap_err();
        assert!(error.to_string().contains("67×67 pixels is too small"), "{error}");
    }

    #[test]
    fn average_pooling_keeps_the_ids_and_takes_means() {
        let model = Model::embedded().unwrap();
        let pooled = model.with_average_pooling().unwrap();
        let [relu, pool, fire] = ["relu_conv1", "pool1", "fire9"].map(|name| model.layer(name).unwrap().id());
        let at = |model: &Model, id| value(&model.output().sibling(id));
        assert_eq!(values(&at(&pooled, relu)), values(&at(&model, relu)), "nothing is pooled before");
        let (before, after) = (at(&model, relu), at(&pooled, pool));
        // 33 places in windows of 3 at every other place
        let row: Vec<f32> = values(&before.narrow(1, 7, 1).unwrap().narrow(0, 0, 1).unwrap());
        let mean = |y: usize, x: usize| (0..9).map(|i| row[(2 * y + i / 3) * 33 + 2 * x + i % 3]).sum::<f32>() / 9.0;
        let truth: Vec<f32> = (0..256).map(|place| mean(place / 16, place % 16)).collect();
        let ours = values(&after.narrow(1, 7, 1).unwrap().narrow(0, 0, 1).unwrap());
        assert_close(&ours, &truth, 1e-5, "means of windows");
        assert_eq!(at(&pooled, fire).dims(), at(&model, fire).dims());
    }

    #[test]
    fn an_edited_output_is_the_output() {
        let model = Model::embedded().unwrap();
        let edited = model.without(model.output().id(), &[3]).unwrap();
        assert_eq!(edited.output().name(), "flatten.without");
        let logits = edited.forward(&x(), &Interrupt::never()).unwrap();
        assert_eq!(channel(&logits, 3), [0.0, 0.0]);
    }

    #[test]
    fn edited_networks_are_saved_with_their_edits() {
        let model = Model::embedded().unwrap();
        let [pool, conv] = ["pool1", "conv1"].map(|name| model.layer(name).unwrap().id());
        let constant = Tensor::new(&[0.1f32], &Device::Cpu).unwrap();
        let edited = model.scaled(pool, &[0, 63], 1.0 / 3.0).unwrap().patched(conv, Some(&[7]), &constant).unwrap();
        let read = Model::from_percept(&edited.to_percept().unwrap()).unwrap();
        let logits = |model: &Model| values(&model.forward(&x(), &Interrupt::never()).unwrap());
        assert_eq!(logits(&read), logits(&edited));
        assert_ne!(logits(&read), logits(&model));
        assert_eq!(read.edits(), edited.edits());
    }

    #[test]
    fn weights_and_kernels_are_shared() {
        let model = Model::untrained("resnet18", 1, &Default::default()).unwrap();
        model.forward(&x(), &Interrupt::never()).unwrap();
        let bytes = model.prepared_bytes();
        let edited = model.without(model.layer("layer2.0.add").unwrap().id(), &[0]).unwrap();
        edited.forward(&x(), &Interrupt::never()).unwrap();
        assert!(bytes > 0);
        assert_eq!((edited.prepared_bytes(), model.prepared_bytes()), (bytes, bytes));
    }

    #[test]
    fn channels_that_do_not_exist_are_refused() {
        let model = Model::embedded().unwrap();
        let conv = model.layer("conv1").unwrap().id();
        let error = |channels: &[usize]| model.without(conv, channels).unwrap_err();
        assert_eq!(error(&[1, 64]).message(), "`features.0` has no channel 64");
        assert_eq!(error(&[64]).hint(), Some("it has channels 0 to 63"));
        assert_eq!(error(&[]).message(), "no channel of `features.0` is named");
        assert_eq!(error(&[3, 1, 3]).message(), "channel 3 of `features.0` is named twice");
        assert_eq!(error(&[64]).argument(), Some("channels"));
        let zeros = Tensor::zeros((2, 3), DType::F32, &Device::Cpu).unwrap();
        let error = model.patched(conv, Some(&[0, 1]), &zeros).unwrap_err();
        assert_eq!(error.message(), "the values must be [2] or [2, 113, 113], not [2, 3]");
        assert!(model.scaled(conv, &[0], f32::NAN).is_err());
    }
}
